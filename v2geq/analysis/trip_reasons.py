"""Why a trip costs what it costs: paths in use and the best unused ones, term by term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.results.names import Pair
from v2geq.results.point import Point
from v2geq.trips.costs import path_costs, path_terms
from v2geq.trips.paths import Path
from v2geq.trips.traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "travel": "travel",
    "tolls": "toll",
    "waiting": "waiting",
    "plug": "plug",
    "degradation": "degradation",
    "battery energy": "battery",
    "charging": "charging",
    "discharging": "discharging",
}
"""Columns of a trip's table, money per vehicle, by term of a path's cost."""
UNUSED_SHOWN = 3
SMALL = 1e-6


def trip_reasons(eq: Point, pair: Pair) -> tuple[str, pd.DataFrame]:
    """Text and table of an OD pair, over all classes that travel it."""
    import pandas as pd

    traffic = eq.coupled.traffic
    tables, texts = [], []
    for name in traffic.classes:
        pairs = traffic.od_names(name)
        if pair in pairs:
            od = pairs.index(pair)
            tables.append(_trip_table(eq, name, od))
            texts.append(_trip_text(eq, name, od, tables[-1]))
    return " ".join(texts), pd.concat(tables)


def _trip_table(eq: Point, name: str, od: int) -> pd.DataFrame:
    import pandas as pd

    flows = eq.path_flows
    traffic, values = flows.coupled.traffic, flows.values
    kind, paths = traffic.classes[name], traffic.paths[name]
    cost = path_costs(traffic, values, name)
    flow = flows.least_squares[name]
    mine = np.flatnonzero(paths.od == od)
    used = mine[flow[mine] > SMALL]
    unused = mine[flow[mine] <= SMALL]
    shown = [*used[np.argsort(-flow[used])], *unused[np.argsort(cost[unused])][:UNUSED_SHOWN]]
    terms = path_terms(traffic, values, name)
    rows = []
    for p in shown:
        path = paths[int(p)]
        row: dict[str, Any] = {
            "path": paths.label(path),
            "class": name,
            "used": "yes" if p in used else "no",
            "flow_veh_h": flow[p],
            "cost": cost[p],
            "km": float(sum(traffic.graph.length_km[a] for a in path.arcs)),
            **{COLUMNS[term]: amounts[p] for term, amounts in terms.items()},
        }
        if kind.kind == "ev":
            row["battery_kwh"] = _charge_levels(traffic, name, path)
        rows.append(row)
    return pd.DataFrame(rows).set_index("path").round(9)


def _charge_levels(traffic: Traffic, name: str, path: Path) -> str:
    """Battery along the way: level on arrival at each stop and after it, then at the end."""
    rules, station = traffic.rules(name), traffic.paths[name].stations
    parts = [f"{rules.start:g}"]
    for s in path.stops:
        arrived, left = rules.levels_at(s.kind, s.energy_kwh)
        parts.append(f"{arrived:g} at {station[s.station]}, {left:g}")
    return " > ".join([*parts, f"{path.arrival_kwh:g}"])


def _trip_text(eq: Point, name: str, od: int, table: pd.DataFrame) -> str:
    origin, destination = eq.coupled.traffic.od_names(name)[od]
    trips = float(eq.coupled.traffic.demand[name][od])
    used = table[table["used"] == "yes"]
    currency = eq.scenario.case.currency
    text = (
        f"Class {name}, {origin} to {destination}: {trips:g} trips per hour on {len(used)} "
        f"path{'s' if len(used) != 1 else ''} at {used['cost'].min():.2f} {currency} a trip."
    )
    unused = table[table["used"] == "no"]
    if len(unused):
        more = float(unused["cost"].min() - used["cost"].min())
        text += (
            f" The best unused path in the problem costs {more:.2f} {currency} more."
            if more > SMALL
            else " Some unused paths cost the same."
        )
    if eq.certificate.exact_paths:
        text += " No energy-feasible path is cheaper."
    return text
