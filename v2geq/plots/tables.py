"""The numbers of the study's figures as tables: one row per run, trip or term.

Index levels `scenario` and `v2g`; columns carry their unit in their name, those
of money none: it is that of the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from v2geq.market.accounts import accounts
from v2geq.market.sites import energy_sold
from v2geq.plots.runs import Runs, as_runs
from v2geq.results.summary import FIGURES
from v2geq.scenario import PLANTS
from v2geq.trips import costs

if TYPE_CHECKING:
    from v2geq.results.point import Point

TRIP_TERMS = {
    "travel": ("travel",),
    "toll": ("tolls",),
    "waiting": ("waiting", "plug"),
    "charging": ("charging",),
    "degradation": ("degradation",),
    "battery": ("battery energy",),
    "discharging": ("discharging",),
}
"""Columns of the cost of an electric trip, $, and their terms; what is earned is negative."""

SUPPLY = ("tso_import_kw", "generation_kw", "discharge_kw", "charge_kw", "load_shed_kw")

SEEN = 0.5
"""kW below which there is nothing to see in a figure."""
USED = 1e-6
"""Share of an OD pair's trips from which a path counts as used."""


def supply_table(equilibria: Runs | Point | Sequence[Point]) -> pd.DataFrame:
    """Supply of the feeder, station energy and load not served by run, kW.

    Columns `SUPPLY` (an import below zero is sold to the TSO), pv_kw and store_kw (of the stations'
    own plants; below zero the stores take more than they give), own_players_kw (what players of the
    user sell at buses) and net_station_kw (charge less discharge: below zero the stations inject).
    """
    rows = {}
    for key, eq in as_runs(equilibria):
        found = {name: FIGURES[name].of(eq) for name in SUPPLY}
        pv, taken, given = (_total(eq, name) for name in PLANTS)
        found |= {"pv_kw": pv, "store_kw": given - taken}
        sold = [energy_sold(p, eq.values).values() for p in eq.coupled.own.programs]
        found["own_players_kw"] = sum(kw for own in sold for kw in own if kw > 0.0)
        rows[key] = {**found, "net_station_kw": found["charge_kw"] - found["discharge_kw"]}
    return _by_run(rows)


def _total(eq: Point, name: str) -> float:
    """Sum of a result that not every case has."""
    return float(eq.data[name].sum()) if name in eq.data else 0.0


def dlmp_table(equilibria: Runs | Point | Sequence[Point]) -> pd.DataFrame:
    """DLMP ($/kWh) and shed load (kW) of every energised bus with load.

    Index levels scenario, v2g, bus, in the feeder's order; columns dlmp, firm_kw, shed_kw, island
    and rank (1 for the lowest DLMP of the run).
    """
    parts = {}
    for key, eq in as_runs(equilibria):
        loaded = {eq.scenario.buses[i] for i in eq.scenario.load_buses}
        names = [b for b in eq.scenario.case.feeder.buses.index if b in loaded]
        data = eq.data.sel(bus=names)
        part = pd.DataFrame(
            {name: data[name].to_numpy() for name in ("dlmp", "firm_kw", "shed_kw", "island")},
            index=pd.Index(names, name="bus"),
        )
        part["island"] = part["island"].astype(int)
        part["rank"] = part["dlmp"].rank(method="first").astype(int)
        parts[key] = part
    return pd.concat(parts, names=["scenario", "v2g"])


def trips_table(equilibria: Runs | Point | Sequence[Point]) -> pd.DataFrame:
    """What electric vehicles do at stations, by run.

    Shares are of electric trips, between 0 and 1, and the count of OD pairs that discharge is of
    `od_pairs`; `..._low` and `..._high` bound them over all equilibrium path flows. dwell_h is in
    vehicle-hours per hour, charge_kwh_per_stop and discharge_kwh_per_stop are means over the stops
    of a kind.
    """
    rows: dict[Any, dict[str, float]] = {}
    for key, eq in as_runs(equilibria):
        flows = eq.path_flows
        row = {name: FIGURES[name].of(eq) for name in ("charge_kw", "discharge_kw", "dwell_h")}
        for name, stops in zip(("charge", "discharge"), _stops(eq), strict=True):
            row[f"{name}_kwh_per_stop"] = row[f"{name}_kw"] / stops if stops > USED else 0.0
        for name, value in {
            "visit_share": flows.visit_share,
            "discharge_share": flows.discharge_share,
            "discharge_od_pairs": flows.discharge_od_pairs,
        }.items():
            row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        traffic = eq.coupled.traffic
        rows[key] = {**row, "od_pairs": sum(len(traffic.demand[k]) for k in traffic.electric)}
    return _by_run(rows)


def _stops(eq: Point) -> tuple[float, float]:
    """Stops to charge and to discharge, veh/h."""
    flows, charge, discharge = eq.path_flows, 0.0, 0.0
    for name in flows.coupled.traffic.electric:
        paths, flow = flows.coupled.traffic.paths[name], flows.least_squares[name]
        charge += float((paths.charge_stops @ flow).sum())
        discharge += float((paths.discharge_stops @ flow).sum())
    return charge, discharge


def trip_cost_table(equilibria: Runs | Point | Sequence[Point]) -> pd.DataFrame:
    """Cost of an electric trip by term, $ per vehicle, of every class and OD pair.

    Means over the used paths of a pair, weighted by the least-squares flows. Index levels scenario,
    v2g, class, od; columns trips_veh_h, `TRIP_TERMS` and total (their sum). waiting is the
    time in the queue and at the plug.
    """
    parts = [_trip_costs(eq).assign(scenario=s, v2g=v) for (s, v), eq in as_runs(equilibria)]
    table = pd.concat(parts).reset_index()
    return table.set_index(["scenario", "v2g", "class", "od"])


def trip_terms(eq: Point, name: str) -> pd.DataFrame:
    """`TRIP_TERMS` of every path of electric class `name`, $ per vehicle; index path position."""
    flows = eq.path_flows
    terms = costs.path_terms(flows.coupled.traffic, flows.values, name)
    none = np.zeros(len(flows.coupled.traffic.paths[name]))
    return pd.DataFrame(
        {column: sum((terms.get(t, none) for t in own), none) for column, own in TRIP_TERMS.items()}
    )


def _trip_costs(eq: Point) -> pd.DataFrame:
    traffic = eq.path_flows.coupled.traffic
    parts = []
    for name in traffic.electric:
        paths, flow = traffic.paths[name], eq.path_flows.least_squares[name]
        pairs = [f"{o}-{d}" for o, d in traffic.od_names(name)]
        flow = np.where(flow > USED * traffic.demand[name][paths.od], flow, 0.0)
        weight = pd.Series(flow).groupby(paths.od).sum()
        mean = trip_terms(eq, name).mul(flow, axis=0).groupby(paths.od).sum().div(weight, axis=0)
        mean.insert(0, "trips_veh_h", traffic.demand[name])
        mean["total"] = mean[list(TRIP_TERMS)].sum(axis=1)
        mean.index = pd.MultiIndex.from_product([[name], pairs], names=["class", "od"])
        parts.append(mean)
    if not parts:
        empty = pd.MultiIndex.from_arrays([[], []], names=["class", "od"])
        return pd.DataFrame(columns=["trips_veh_h", *TRIP_TERMS, "total"], index=empty)
    return pd.concat(parts)


def social_cost_table(equilibria: Runs | Point | Sequence[Point]) -> pd.DataFrame:
    """Social cost by term of the scenarios with both runs, $/h.

    Index levels scenario and term; columns without, with and change. Waiting and plug time, wear
    and battery energy are summed over the electric classes, travel is listed by class.
    """
    runs = as_runs(equilibria)
    parts = {}
    for scenario in runs.pairs():
        without, with_ = (
            social_terms(accounts(eq.coupled, eq.values).social_cost)
            for eq in (runs.get(scenario, v2g) for v2g in (False, True))
        )
        part = pd.DataFrame({"without": without, "with": with_}).fillna(0.0)
        part["change"] = part["with"] - part["without"]
        parts[scenario] = part.rename_axis("term")
    return pd.concat(parts, names=["scenario"])


def social_terms(social_cost: pd.Series) -> pd.Series:
    """Terms of the social cost as the figures group them, $/h."""
    groups = {
        "waiting": "waiting and plug",
        "plug": "waiting and plug",
        "degradation": "battery wear",
        "battery energy": "battery energy",
    }

    def group(term: str) -> str:
        for start, name in groups.items():
            if term.startswith(f"{start} "):
                return name
        return term

    return social_cost.groupby([group(str(t)) for t in social_cost.index], sort=False).sum()


def is_travel(term: str) -> bool:
    """Whether a term of the social cost is travel time."""
    return term.startswith("travel ")


def rows_of(table: pd.DataFrame, scenario: str, v2g: bool) -> pd.DataFrame:
    """Rows of one run, by what else indexes the table; none where it is missing."""
    mine = (table.index.get_level_values("scenario") == scenario) & (
        table.index.get_level_values("v2g") == v2g
    )
    part = table[mine]
    return part.droplevel(["scenario", "v2g"]) if table.index.nlevels > 2 else part


def _by_run(rows: dict[Any, dict[str, float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(rows), names=["scenario", "v2g"])
    return pd.DataFrame(list(rows.values()), index=index)
