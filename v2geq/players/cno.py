"""Charging network operator (CNO): trades energy between load serving entities and vehicles.

model.md, 1: maximise (rho+ - pi+) c+ - (rho- - pi-) c- - costs within the stations' net limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.grid.places import Places
from v2geq.grid.ratings import inverters, with_inverter
from v2geq.labelled import Labelled, placed, whole
from v2geq.mcp.curves import Joined, Quadratic, Written
from v2geq.mcp.expression import Expression
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.scenario import PLANTS, Scenario

CNO = "cno"
"""Player who runs the stations."""
_PLANTS = {
    "pv": ("made by a station's own PV (pv)", 1.0),
    "store_charge": ("put into a station's own store (s+)", -1.0),
    "store_discharge": ("taken out of a station's own store (s-)", 1.0),
}
"""Variables of the stations' own plants, as `PLANTS`: meaning, and sign of the energy sold."""


def cno(
    scenario: Scenario,
    energy_reach: float,
    sites: Sequence[str] = (),
    places: Places | None = None,
    kvar_places: Sequence[int] = (),
) -> Program:
    """The CNO's program.

    Parameters
    ----------
    energy_reach
        Energy (kW) all vehicles together could charge; bounds the deviation problem.
    sites
        Buses at which energy is traded with all LSEs at once, those of plants among them.
    places, kvar_places
        Places of the feeder, and positions of those at which the DSO buys reactive power.

    Notes
    -----
    Variables `charge` (c+), `discharge` (c-, with V2G only), kW by station, both >= 0. Rows
    `net_upper`, `net_lower`: Cmin <= c+ - c- <= Cmax with multipliers nu_up, nu_lo >= 0 ($/kWh).
    Sells `charge` at the charging price and, with V2G, resells `discharge`. Where stations have
    plants of their own: `pv`, `store_charge` and `store_discharge`, kW, traded at their buses.
    """
    p = Program(CNO, scenario, title="Charging network operator")
    limits, price, n = scenario.stations, scenario.price_scale, len(scenario.stations)
    shape: dict[str, Any] = {
        "dims": "station",
        "labels": list(limits.index),
        "unit": "kW",
        # limits too bind or not by what is traded, however little beside the feeder's loads
        "scale": scenario.station_scale(energy_reach),
    }
    trade: dict[str, Any] = {**shape, "row_scale": price, "reach": energy_reach}
    charge = p.variable("charge", **trade, meaning="energy sold to vehicles (c+)")
    _add_cost(p, charge, scenario, "charge_cost", energy_reach)
    net = {charge: 1.0}
    p.sell("charge_price", charge, n)
    p.sell("purchase_price", {charge: -1.0}, n)
    if scenario.v2g:
        discharge = p.variable("discharge", **trade, meaning="energy bought from vehicles (c-)")
        _add_cost(p, discharge, scenario, "discharge_cost", energy_reach)
        net[discharge] = -1.0
        p.sell("discharge_price", {discharge: -1.0}, n)
        p.sell("resale_price", discharge, n)
    p.at_most(
        "net_upper",
        **shape,
        terms=net,
        rhs=limits["charge_max_kw"],
        multiplier_scale=price,
        meaning="net withdrawal of a station at most Cmax (nu_up)",
    )
    p.at_least(
        "net_lower",
        **shape,
        terms=net,
        rhs=-limits["discharge_max_kw"],
        multiplier_scale=price,
        meaning="net withdrawal of a station at least Cmin (nu_lo)",
    )
    _add_plants(p, scenario, sites)
    if places is not None and scenario.stations["kva"].notna().any():
        _add_inverters(p, scenario, places, kvar_places)
    return p


def _add_inverters(
    p: Program, scenario: Scenario, places: Places, kvar_places: Sequence[int]
) -> None:
    """Reactive supply by the inverters of the stations' plants."""
    own = with_inverter(scenario.stations)
    real = {}
    for name, (_, sign) in _PLANTS.items():
        if name in p:
            labels = [label[0] for label in p[name].labels]
            here = [(own.index.get_loc(k), j) for j, k in enumerate(labels) if k in own.index]
            cells = np.full(len(here), sign), tuple(np.array(here, dtype=int).reshape(-1, 2).T)
            real[p[name]] = sp.csr_array(sp.coo_array(cells, shape=(len(own), len(labels))))
    sides = scenario.case.feeder_settings.rating_sides
    reactive = inverters(p, "reactive", "station", own, real, sides, both_ways=True)
    buses, phases = own["bus"].tolist(), own["phases"].tolist()
    shares = places.of([scenario.bus_position[b] for b in buses], buses, phases)
    p.sell("reactive_price", {reactive: shares[list(kvar_places)]}, len(kvar_places))


def _add_plants(p: Program, scenario: Scenario, sites: Sequence[str]) -> None:
    """PV and stores of the stations that have some, traded at the price of energy at the bus."""
    at_site = {bus: k for k, bus in enumerate(sites)}
    portions = scenario.case.lses["portion"].to_numpy(dtype=float)
    worth = scenario.stations["store_value"].to_numpy(dtype=float)
    stored = worth * scenario.stations["store_efficiency"].to_numpy(dtype=float)
    for (name, (what, sign)), column in zip(_PLANTS.items(), PLANTS, strict=True):
        most = scenario.stations[column].to_numpy(dtype=float)
        own = np.flatnonzero(most)
        if not own.size:
            continue
        v = p.variable(
            name,
            "station",
            list(scenario.stations.index[own]),
            unit="kW",
            scale=np.minimum(scenario.power_scale, most[own]),
            row_scale=scenario.price_scale,
            upper=most[own],
            meaning=what,
        )
        if name != "pv":
            p.cost(v, worth[own] if sign > 0.0 else -stored[own], term="station stores")
        here = placed([at_site[bus] for bus in scenario.stations["bus"].iloc[own]], len(sites))
        shares = sp.csr_array(sp.vstack([sign * portion * here for portion in portions]))
        p.sell("site_price", {v: shares}, shares.shape[0])


def cno_results(
    programs: Mapping[str, Program], values: Mapping[str, FloatArray]
) -> Iterator[Labelled]:
    """What plants of the stations make, take and give, where there are any."""
    program = programs.get(CNO)
    for name, (what, _) in _PLANTS.items():
        if program is not None and name in program:
            v = program[name]
            yield whole(f"{name}_kw", v.dims, v.key, values, "kW", what, v.labels)
    if program is not None and "reactive" in program:
        v, what = program["reactive"], "reactive supply by the inverter of a station's plants"
        yield whole("plant_kvar", v.dims, v.key, values, "kvar", what, v.labels)


def _add_cost(p: Program, trade: Variable, scenario: Scenario, column: str, most: float) -> None:
    """What the stations' formulas in `column` say that trade of up to `most` kW costs."""
    texts = scenario.stations[column]
    if (texts == "").all():
        return
    curves: list[tuple[slice, Written]] = []
    for k, (name, text) in enumerate(texts.items()):
        curve: Written = Quadratic(np.zeros(1), np.zeros(1))
        if text:
            where = f"{scenario.case.where}: station {name!r}, {column}"
            curve = Expression.parse(text, variable="p", parameters={}, where=where)
            curve.check_convex(0.0, most)
        curves.append((slice(k, k + 1), curve))
    p.separable_cost(trade, Joined(curves), term="station operation")


def price_parts(program: Program, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """What the operator's costs and limits add to the prices of vehicles, by station, $/kWh.

    'charge' and 'discharge' are the costs of one more kW sold and bought, 'limits' is nu_up -
    nu_lo: rho+ = pi+ + charge + limits and rho- = pi- - discharge + limits where vehicles trade.
    """
    limits = values[f"{program.player}.net_upper"] - values[f"{program.player}.net_lower"]
    parts = {"limits": limits}
    for name in ("charge", "discharge"):
        parts[name] = np.zeros(len(limits))
        for term in program.nonlinear:
            if term.variable.name == name:
                x = values[term.variable.key]
                parts[name] = parts[name] + term.gradient(x, np.zeros(len(x)))
    return parts
