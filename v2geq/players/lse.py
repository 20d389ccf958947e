"""Load serving entities (LSE): serve firm load, sell to responsive demand as Cournot rivals.

model.md, 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.grid.places import Places
from v2geq.grid.ratings import inverters, with_inverter
from v2geq.labelled import Labelled, placed
from v2geq.mcp.curves import Integrable, Joined, Linear, Quadratic, Written
from v2geq.mcp.expression import Expression
from v2geq.mcp.program import Program
from v2geq.scenario import Scenario


def player_name(lse: str) -> str:
    """Name of an LSE as a player."""
    return f"lse.{lse}"


def demand_buses(scenario: Scenario) -> IntArray:
    """Positions of buses with price-responsive demand."""
    return np.flatnonzero(scenario.responsive_kw > 0)


def inverse_demand(scenario: Scenario) -> Integrable:
    """Price of total responsive sales at every bus of `demand_buses`, $/kWh over kW.

    Raises
    ------
    DataError
        Where a given expression is not a function of q, q0 and p0, or breaks
        2 phi' + q |phi''| <= 0 on [0, demand_range * q0].
    """
    market = scenario.case.market
    q0 = scenario.responsive_kw[demand_buses(scenario)]
    p0 = market.reference_price
    if market.inverse_demand == "linear":
        slope = p0 / (-market.elasticity * q0)
        return Linear(intercept=p0 + slope * q0, slope=slope)
    curve = Expression.parse(
        market.inverse_demand,
        variable="q",
        parameters={"q0": q0, "p0": np.full_like(q0, p0)},
        where=f"{scenario.case.where}: market.inverse_demand",
    )
    curve.check_inverse_demand(market.demand_range * q0)
    return curve


def generation_cost(scenario: Scenario, lse: str) -> list[tuple[slice, Written]]:
    """Cost curves of an LSE's generators, $/h over kW, as (positions, curve) pairs."""
    own = scenario.generators[scenario.generators["lse"] == lse]
    linear, quadratic = (own[f"cost_{c}"].to_numpy(dtype=float) for c in ("linear", "quadratic"))
    if (own["cost"] == "").all():
        return [(slice(0, len(own)), Quadratic(linear, quadratic))]
    curves: list[tuple[slice, Written]] = []
    for k, (name, g) in enumerate(own.iterrows()):
        part = slice(k, k + 1)
        if g["cost"]:
            where = f"{scenario.case.where}: generator {name!r}"
            formula = Expression.parse(g["cost"], variable="g", parameters={}, where=where)
            formula.check_convex(g["min_kw"], g["max_kw"])
            curves.append((part, formula))
        else:
            curves.append((part, Quadratic(linear[part], quadratic[part])))
    return curves


def lse(
    scenario: Scenario,
    name: str,
    energy_reach: float,
    power_reach: float,
    places: Places,
    sites: Sequence[str] = (),
    kvar_places: Sequence[int] = (),
) -> Program:
    """The program of LSE `name`.

    Parameters
    ----------
    energy_reach, power_reach
        Energy all vehicles could charge, and power the feeder could carry, kW: they bound the
        deviation problem.
    places
        Where the LSE takes energy from the grid.
    sites
        Buses at which others trade energy; the LSE takes its portion over from them.
    kvar_places
        Positions of places at which the DSO buys reactive power.

    Notes
    -----
    Variables, kW: `sales` by bus (q), `shed` by bus, `generation` by generator, `to_station` (h+)
    and `from_station` (h-, with V2G only) by station, `import` (m), `take` by site. The row
    `energy` balances supply and sales; its multiplier is theta_k. The LSE pays the wheeling price
    on its net withdrawal.
    """
    case, stations, where = scenario.case, scenario.stations, scenario.bus_position
    power, price, n = scenario.power_scale, scenario.price_scale, len(places.labels)
    p = Program(player_name(name), scenario, title="Load serving entity")
    kw: dict[str, Any] = {"unit": "kW", "scale": power}
    trade: dict[str, Any] = {
        "dims": "station",
        "labels": list(stations.index),
        "unit": "kW",
        "scale": scenario.station_scale(energy_reach),
        "row_scale": price,
        "reach": energy_reach,
    }
    at_demand = demand_buses(scenario)
    q0 = scenario.responsive_kw[at_demand]
    firm = float(case.lses["portion"][name]) * scenario.firm_kw
    at_firm = np.flatnonzero(firm > 0)
    own = scenario.generators[scenario.generators["lse"] == name]
    low, high = (own[c].to_numpy(dtype=float) for c in ("min_kw", "max_kw"))
    # a line is concave everywhere, other demands only within their range; prices below zero, where
    # generators must run, sell more than that
    linear = case.market.inverse_demand == "linear"
    sales = p.variable(
        "sales",
        "bus",
        [scenario.buses[i] for i in at_demand],
        **kw,
        start=q0 / len(case.lses),
        reach=power_reach if linear else case.market.demand_range * q0,
        meaning="sales to price-responsive demand (q)",
    )
    shed = p.variable(
        "shed",
        "bus",
        [scenario.buses[i] for i in at_firm],
        unit="kW",
        # beside what may be shed, however little that is beside other loads
        scale=np.minimum(power, firm[at_firm]),
        row_scale=price,
        upper=firm[at_firm],
        meaning="firm load not served (shed)",
    )
    generation = p.variable(
        "generation",
        "generator",
        list(own.index),
        unit="kW",
        scale=np.minimum(power, np.where(high > low, high - low, power)),
        row_scale=price,
        lower=low,
        upper=high,
        start=np.minimum(0.5 * (low + high), np.maximum(low, power_reach)),
        reach=power_reach,
        meaning="generation (gen)",
    )
    to_station = p.variable("to_station", **trade, meaning="sold to the CNO at a station (h+)")
    # below zero it is sold: others of the feeder, or the TSO, take it; or the DSO, for its losses,
    # where the TSO supplies nobody
    hour = scenario.network
    supplied = bool((hour.load_kw[hour.island == 0] > 0.0).any()) or any(
        hour.island[hour.bus_position[bus]] == 0 for bus in scenario.stations["bus"]
    )
    alone = case.substation.import_max <= 0.0 or not supplied
    sells = case.substation.export_max > 0.0 or (case.feeder_settings.losses and alone)
    bought = p.variable(
        "import",
        **kw,
        lower=-np.inf if sells else 0.0,
        reach=power_reach,
        meaning="bought via the TSO (m)",
    )

    if len(at_demand):
        rivals = [f"{player_name(k)}.sales" for k in case.lses.index if k != name]
        p.cournot_revenue(sales, inverse_demand(scenario), rivals)
    p.cost(shed, case.market.voll, term="lost load")
    p.separable_cost(generation, Joined(generation_cost(scenario, name)), term="generation")
    p.sell("tso_price", {bought: -1.0}, 1)
    p.sell("purchase_price", {to_station: 1.0}, len(stations))
    load = sp.csc_array(places.load)

    def connected(things: pd.DataFrame) -> sp.csr_array:
        buses = things["bus"].tolist()
        return places.of([where[b] for b in buses], buses, things["phases"].tolist())

    at_station = connected(stations)
    net = {
        sales: -load[:, at_demand],
        shed: load[:, at_firm],
        generation: connected(own),
        to_station: -at_station,
    }
    energy = {sales: -1.0, shed: 1.0, generation: 1.0, to_station: -1.0, bought: 1.0}
    if scenario.v2g:
        meaning = "bought from the CNO at a station (h-)"
        from_station = p.variable("from_station", **trade, meaning=meaning)
        p.sell("resale_price", {from_station: -1.0}, len(stations))
        net[from_station], energy[from_station] = at_station, 1.0
    if sites:
        free: dict[str, Any] = {**kw, "lower": -np.inf, "reach": power_reach}
        take = p.variable("take", "bus", sites, **free, meaning="taken over from a site")
        p.sell("site_price", {take: -1.0}, at=[(name, bus) for bus in sites])
        net[take], energy[take] = places.of([where[b] for b in sites], sites), 1.0
    p.sell("wheeling_price", net, n, constant=-(load @ firm))
    kvar = {}
    if scenario.shed_kvar.any() and len(shed):
        kvar[shed] = net[shed] @ sp.diags_array(scenario.shed_kvar[at_firm])
    inverter = with_inverter(own)
    if len(inverter):
        at = own.index.get_indexer(inverter.index)
        real = {generation: placed(at, len(own)).T}
        sides = case.feeder_settings.rating_sides
        reactive = inverters(p, "reactive", "generator", inverter, real, sides, both_ways=False)
        kvar[reactive] = net[generation][:, at]
    if kvar:
        sold = {v: sp.csr_array(part)[list(kvar_places)] for v, part in kvar.items()}
        p.sell("reactive_price", sold, len(kvar_places))
    meaning = "supply equals sales and served firm load (theta)"
    p.equality("energy", terms=energy, rhs=firm.sum(), start=price, meaning=meaning)
    return p


def theta_key(name: str) -> str:
    """Block of the energy price theta of an LSE."""
    return f"{player_name(name)}.energy"


def responsive_sales(scenario: Scenario, values: Mapping[str, FloatArray]) -> FloatArray:
    """Total price-responsive sales S_i at the buses of `demand_buses`, kW."""
    total = np.zeros(len(demand_buses(scenario)))
    for k in scenario.case.lses.index:
        total = total + values[f"{player_name(k)}.sales"]
    return total


def lse_results(
    scenario: Scenario, programs: Mapping[str, Program], values: Mapping[str, FloatArray]
) -> Iterator[Labelled]:
    """What the LSEs buy, sell, generate and shed."""
    names = [str(k) for k in scenario.case.lses.index]
    own = {k: programs[player_name(k)] for k in names}

    def by(
        what: str,
        dims: tuple[str, ...],
        name: str,
        meaning: str,
        *,
        by_lse: bool = False,
        unit: str = "kW",
    ) -> Labelled:
        """One variable of all LSEs: summed by label, or by LSE and label."""
        listed = {
            p[what].key: [(k, *label) if by_lse else label for label in p[what].labels]
            for k, p in own.items()
            if what in p
        }
        labels = tuple(
            dict.fromkeys(label for own_labels in listed.values() for label in own_labels)
        )
        place = {label: i for i, label in enumerate(labels)}
        parts = {key: placed([place[x] for x in at], len(labels)) for key, at in listed.items()}
        total = sum((m @ values[key] for key, m in parts.items()), np.zeros(len(labels)))
        return Labelled(name, dims, total, unit, meaning, labels, parts)

    at = demand_buses(scenario)
    sold = responsive_sales(scenario, values)
    price = inverse_demand(scenario).value(sold) if len(at) else sold
    where, meaning = tuple((scenario.buses[i],) for i in at), "price of responsive demand (phi)"
    yield Labelled("retail_price", ("bus",), price, "$/kWh", meaning, where, fill=np.nan)
    yield by("sales", ("bus",), "sales_kw", "sales to responsive demand")
    yield Labelled("firm_kw", ("bus",), scenario.firm_kw, "kW", "firm load")
    yield by("shed", ("bus",), "shed_kw", "firm load not served")
    both = ("lse", "bus")
    yield by("shed", both, "shed_by_lse_kw", "firm load not served, by LSE", by_lse=True)
    thetas = np.array([values[theta_key(k)][0] for k in names])
    single = {theta_key(k): placed([i], len(names)) for i, k in enumerate(names)}
    meaning = "energy price of an LSE (theta)"
    yield Labelled("theta", ("lse",), thetas, "$/kWh", meaning, parts=single)
    yield by("import", ("lse",), "import_kw", "bought via the TSO (m)", by_lse=True)
    yield by("generation", ("generator",), "generation_kw", "generation")
    if any("reactive" in p for p in own.values()):
        meaning = "reactive supply by inverters"
        supply = by("reactive", ("generator",), "generation_kvar", meaning, unit="kvar")
        yield supply._replace(fill=np.nan)
    both = ("lse", "station")
    yield by("to_station", both, "to_station_kw", "sold to the CNO (h+)", by_lse=True)
    yield by("from_station", both, "from_station_kw", "bought from the CNO (h-)", by_lse=True)
