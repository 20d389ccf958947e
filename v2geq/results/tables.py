"""Labelled results: every quantity by name, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.market.accounts import responsive_sales
from v2geq.market.coupling import Coupled
from v2geq.market.prices import thetas, traded
from v2geq.players.lse import demand_buses, inverse_demand, player_name
from v2geq.trips.costs import path_costs
from v2geq.trips.traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def tables(coupled: Coupled, values: Mapping[str, FloatArray]) -> xr.Dataset:
    """All labelled results at strategies and prices `values`.

    Dimensions bus, line, station, lse, generator, arc and, by driver class, od_<class>. Buses
    without supply are listed with NaN. Signs: withdrawal takes power from the grid; line flows are
    positive away from the root; prices are paid per kWh by whoever buys. Where vehicles that charge
    and that discharge wait apart, stops_veh_h and wait_h are sums and means over both, and each
    direction has its own (charge_stops_veh_h, discharge_wait_h, ...). Not unique in themselves:
    how shed load splits between buses whose price is the value of lost load, and how charging
    splits between stations of equal price and wait; their sums are.
    """
    import xarray as xr

    data: dict[str, Any] = {}

    def put(name: str, dims: tuple[str, ...], array: Any, unit: str, text: str) -> None:
        data[name] = (dims, np.asarray(array), {"unit": unit, "long_name": text})

    _power(coupled, values, put)
    _stations(coupled, values, put)
    _market(coupled, values, put)
    for item in coupled.traffic.results(values):
        put(*item)
    scenario, case = coupled.scenario, coupled.scenario.case
    coords: dict[str, Any] = {
        "bus": list(case.feeder.buses.index),
        "line": list(scenario.lines.names),
        "station": list(scenario.stations.index),
        "lse": list(case.lses.index),
        "generator": list(scenario.generators.index),
        "arc": list(coupled.traffic.graph.arcs),
    }
    for name in coupled.traffic.classes:
        pairs = coupled.traffic.od_names(name)
        coords[f"od_{name}"] = [f"{o}-{d}" for o, d in pairs]
        coords[f"origin_{name}"] = (f"od_{name}", [o for o, _ in pairs])
        coords[f"destination_{name}"] = (f"od_{name}", [d for _, d in pairs])
    return xr.Dataset(data, coords=coords)


def firm_prices(coupled: Coupled, fee: FloatArray, theta: FloatArray) -> FloatArray:
    """(bus,) price of one more firm kW, $/kWh: sum_k portion_k * min(lambda + theta_k, VoLL).

    Where an LSE sheds all of its firm load at a bus one more kW is shed as well, whatever energy is
    worth there (section 5).
    """
    case = coupled.scenario.case
    portion = case.lses["portion"].to_numpy(dtype=float)
    price: FloatArray = np.minimum(fee[:, None] + theta, case.market.voll) @ portion
    return price


def _power(coupled: Coupled, values: Mapping[str, FloatArray], put: Any) -> None:
    scenario, case = coupled.scenario, coupled.scenario.case
    every = {b: i for i, b in enumerate(case.feeder.buses.index)}
    alive = np.array([every[b] for b in scenario.buses])

    def spread(array: FloatArray, at: np.ndarray | None = None, fill: float = np.nan) -> FloatArray:
        out = np.full(len(every), np.nan)
        out[alive] = fill
        out[alive if at is None else alive[at]] = array
        return out

    fee = values["wheeling_price"]
    theta = thetas(coupled, values)
    energy = float(case.lses["portion"].to_numpy(dtype=float) @ theta)
    put(
        "dlmp",
        ("bus",),
        spread(fee + energy),
        "$/kWh",
        "price of energy at a bus: of one more kW that is injected or must be served (lambda + "
        "theta)",
    )
    put(
        "firm_price",
        ("bus",),
        spread(firm_prices(coupled, fee, theta)),
        "$/kWh",
        "price of one more kW of firm load, which may be shed: by LSE at most the value of lost "
        "load",
    )
    put("wheeling_price", ("bus",), spread(fee), "$/kWh", "wheeling fee from the root (lambda)")
    put(
        "energy_price",
        ("bus",),
        spread(np.full(len(fee), energy)),
        "$/kWh",
        "energy price of the LSEs, weighted by their portions (theta)",
    )
    at = demand_buses(scenario)
    sold = responsive_sales(coupled, values)
    price = inverse_demand(scenario).value(sold) if len(at) else sold
    put("retail_price", ("bus",), spread(price, at), "$/kWh", "price of responsive demand (phi)")
    put("sales_kw", ("bus",), spread(sold, at, 0.0), "kW", "sales to responsive demand")
    put("firm_kw", ("bus",), spread(scenario.firm_kw), "kW", "firm load")
    shed = np.zeros(len(scenario.buses))
    by_lse = []
    for k in case.lses.index:
        program = coupled.programs[player_name(k)]
        variable = next(v for v in program.variables if v.name == "shed")
        own = np.zeros(len(scenario.buses))
        where = [scenario.bus_position[label[0]] for label in variable.labels]
        own[where] = values[variable.key]
        shed += own
        by_lse.append(spread(own))
    put("shed_kw", ("bus",), spread(shed), "kW", "firm load not served")
    put("shed_by_lse_kw", ("lse", "bus"), np.stack(by_lse), "kW", "firm load not served, by LSE")
    put("voltage_pu", ("bus",), spread(np.sqrt(values["dso.v_squared"])), "pu", "voltage")
    put("withdrawal_kw", ("bus",), spread(values["dso.withdrawal"]), "kW", "net withdrawal")
    put("island", ("bus",), spread(scenario.island.astype(float)), "", "island; 0 has the root")

    lines = scenario.lines
    p, q = values["dso.p_line"], values["dso.q_line"]
    names = np.array(scenario.buses)
    put("from_bus", ("line",), names[lines.from_bus], "", "bus nearer the root")
    put("to_bus", ("line",), names[lines.to_bus], "", "bus farther from the root")
    put("p_kw", ("line",), p, "kW", "real flow")
    put("q_kvar", ("line",), q, "kvar", "reactive flow")
    put("loading", ("line",), np.hypot(p, q) / lines.rating_kva, "", "apparent flow over rating")
    put("tso_import_kw", (), values["dso.p_tso"][0], "kW", "bought from the TSO")
    put("tso_reactive_kvar", (), values["dso.q_tso"][0], "kvar", "reactive supply of the TSO")


def _stations(coupled: Coupled, values: Mapping[str, FloatArray], put: Any) -> None:
    s = ("station",)
    charge = values["cno.charge"]
    none = np.full(len(charge), np.nan)
    discharge = values.get("cno.discharge", np.zeros(len(charge)))
    put("charge_price", s, values["charge_price"], "$/kWh", "paid by vehicles that charge (rho+)")
    put(
        "discharge_price",
        s,
        values.get("discharge_price", none),
        "$/kWh",
        "paid to vehicles that discharge (rho-)",
    )
    put("purchase_price", s, values["purchase_price"], "$/kWh", "paid by the CNO to LSEs (pi+)")
    put(
        "resale_price",
        s,
        values.get("resale_price", none),
        "$/kWh",
        "paid by LSEs to the CNO (pi-)",
    )
    trade = traded(coupled, values)
    sold = trade.get("discharge_price", np.zeros(len(charge)))
    put("charge_traded", s, trade["charge_price"].astype("int8"), "", "1 where vehicles charge")
    put("discharge_traded", s, sold.astype("int8"), "", "1 where they discharge")
    put("charge_kw", s, charge, "kW", "energy sold to vehicles (c+)")
    put("discharge_kw", s, discharge, "kW", "energy bought from vehicles (c-)")


def _market(coupled: Coupled, values: Mapping[str, FloatArray], put: Any) -> None:
    case, scenario = coupled.scenario.case, coupled.scenario
    players = [player_name(k) for k in case.lses.index]
    put("theta", ("lse",), thetas(coupled, values), "$/kWh", "energy price of an LSE (theta)")
    put("tso_price", (), values["tso_price"][0], "$/kWh", "price of TSO energy (tau)")
    imports = [values[f"{p}.import"][0] for p in players]
    put("import_kw", ("lse",), imports, "kW", "bought via the TSO (m)")
    generation = np.zeros(len(scenario.generators))
    position = {g: i for i, g in enumerate(scenario.generators.index)}
    for p in players:
        program = coupled.programs[p]
        variable = next(v for v in program.variables if v.name == "generation")
        generation[[position[label[0]] for label in variable.labels]] = values[variable.key]
    put("generation_kw", ("generator",), generation, "kW", "generation")
    both = ("lse", "station")
    zero = np.zeros(len(scenario.stations))
    put(
        "to_station_kw",
        both,
        np.stack([values[f"{p}.to_station"] for p in players]),
        "kW",
        "sold to the CNO (h+)",
    )
    put(
        "from_station_kw",
        both,
        np.stack([values.get(f"{p}.from_station", zero) for p in players]),
        "kW",
        "bought from the CNO (h-)",
    )


def path_table(traffic: Traffic, values: Mapping[str, FloatArray], name: str) -> pd.DataFrame:
    """Paths of a class: route, pattern, flow (veh/h), cost ($/veh), energies (kWh per vehicle)."""
    import pandas as pd

    paths = traffic.paths[name]
    pairs = traffic.od_names(name)
    length = paths.arc_incidence.T @ traffic.graph.length_km
    hours = paths.arc_incidence.T @ traffic.travel_time.time(traffic.arc_flow(values))
    return pd.DataFrame(
        {
            "origin": [pairs[k][0] for k in paths.od],
            "destination": [pairs[k][1] for k in paths.od],
            "pattern": list(paths.patterns),
            "flow_veh_h": traffic.path_flow(values, name),
            "cost_usd": path_costs(traffic, values, name),
            "time_h": hours,
            "toll_usd": paths.arc_incidence.T @ traffic.toll,
            "length_km": length,
            "charge_kwh": paths.charged_kwh,
            "discharge_kwh": paths.discharged_kwh,
            "arrival_kwh": paths.arrival_kwh,
        },
        index=pd.Index(paths.labels, name="path"),
    )
