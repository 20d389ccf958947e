"""Whether a battery gets there at all: least stops of every OD pair, stations in reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError
from v2geq.roads.graph import Graph, no_route, shortest_tree
from v2geq.show import brief
from v2geq.trips.battery import EnergyRules


@dataclass(frozen=True)
class Reach:
    """How far the battery of a class gets, by legs of least energy.

    Attributes
    ----------
    stops
        (od,) least number of charging stops, 3 where no path is feasible.
    need_kwh
        (od,) energy of the shortest route, inf where there is none.
    usable
        (station,) whether a feasible path of some OD pair may stop there.
    """

    stops: IntArray
    need_kwh: FloatArray
    usable: BoolArray

    __repr__ = brief


def reach(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
) -> Reach:
    """Least stops of every OD pair and the stations in reach, over all routes.

    Discharging never helps to get anywhere, and whoever may discharge at a station could charge
    there, so patterns none, C and CC say it all.
    """
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    energy = rules.consumption * graph.length_km
    sources, row = np.unique(np.concatenate((pairs[:, 0], station_node)), return_inverse=True)
    distance, _ = shortest_tree(graph, energy, sources)
    start, station = row[: len(pairs)], row[len(pairs) :]
    need = distance[start, pairs[:, 1]]
    at_start = distance <= rules.start_budget + rules.tolerance
    full = distance <= rules.full_budget + rules.tolerance
    first = at_start[start][:, station_node]
    last = full[station][:, pairs[:, 1]].T
    between = full[station][:, station_node]
    between &= ~np.eye(len(station_node), dtype=bool)
    # (od, station): whether it may be the second stop, or the first of two
    second, before = first @ between, last @ between.T
    stops = np.select(
        [
            at_start[start, pairs[:, 1]],
            (first & last).any(axis=1),
            (second & last).any(axis=1),
        ],
        [0, 1, 2],
        3,
    )
    usable = ((first & (last | before)) | (second & last)).any(axis=0)
    return Reach(stops.astype(np.int64), need, np.asarray(usable))


def require_feasible(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
) -> None:
    """Raise `DataError` for the first OD pair without any energy-feasible path over all routes.

    The message names the pair, the energy of its shortest route and the battery's budgets.
    """
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    found = reach(graph, rules, pairs, station_node)
    for w in np.flatnonzero(found.stops > 2):
        origin, destination = int(pairs[w, 0]), int(pairs[w, 1])
        if np.isinf(found.need_kwh[w]):
            raise no_route(graph, origin, destination)
        at_start = ""
        if rules.start < rules.battery:
            at_start = f"{rules.start_budget:.6g} kWh after departure and "
        raise DataError(
            f"OD pair {graph.nodes[origin]} -> {graph.nodes[destination]} has no energy-feasible "
            f"path: its shortest route needs {found.need_kwh[w]:.6g} kWh, the battery may spend "
            f"{at_start}{rules.full_budget:.6g} kWh from full to the next stop (battery "
            f"{rules.battery:.6g} less reserve {rules.reserve:.6g}), and no two charging stops "
            "close the gap",
            advice="enlarge the battery, lower the reserve, add a station on the way or drop the "
            "OD pair",
        )
