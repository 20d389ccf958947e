"""Paths along base routes: all stops that fit on the shortest routes of every OD pair.

The paper's Algorithm 1; `pricing` finds the cheapest path over all routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from v2geq.arrays import IntArray
from v2geq.errors import DataError
from v2geq.roads.graph import Graph, no_route
from v2geq.roads.routes import k_shortest_routes
from v2geq.trips.battery import CHARGE, DISCHARGE, EnergyRules
from v2geq.trips.paths import Path, Stop, total
from v2geq.trips.reach import require_feasible


def enumerate_routes(graph: Graph, od_pairs: Sequence[tuple[int, int]], k: int) -> list[Path]:
    """Paths of fuel vehicles: the `k` base routes of every OD pair, without stops.

    Raises
    ------
    DataError
        If an OD pair has no route.
    """
    paths: list[Path] = []
    for od, (origin, destination) in enumerate(od_pairs):
        routes = k_shortest_routes(graph, origin, destination, k)
        if not routes:
            raise no_route(graph, origin, destination)
        paths.extend(Path(od, arcs, (), 0.0) for arcs in routes)
    return paths


def enumerate_paths(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]],
    station_node: IntArray,
    k: int,
    v2g: bool,
) -> list[Path]:
    """Paths of an EV class: all feasible stops on the `k` base routes of every OD pair.

    The augmentation of base routes with stops (Algorithm 1 of the paper): patterns none, C, CC
    and, with `v2g`, D, CD, DC, at stations on nodes of the route including origin and
    destination. Two stations at one node are visited in either order.

    Parameters
    ----------
    od_pairs
        (origin, destination) node positions.
    station_node
        (station,) node positions.

    Raises
    ------
    DataError
        If an OD pair has no energy-feasible path, over all routes or on its base routes.
    """
    at_node: dict[int, list[int]] = {}
    for s, n in enumerate(station_node.tolist()):
        at_node.setdefault(n, []).append(s)
    head = graph.head.tolist()
    arc_use = [rules.consumption * km for km in graph.length_km.tolist()]
    kinds_of_one = (CHARGE, DISCHARGE) if v2g else (CHARGE,)
    kinds_of_two = ("CC", "CD", "DC") if v2g else ("CC",)
    paths: list[Path] = []
    for od, (origin, destination) in enumerate(od_pairs):
        count = len(paths)
        for arcs in k_shortest_routes(graph, origin, destination, k):
            nodes = [origin, *(head[a] for a in arcs)]
            use = [arc_use[a] for a in arcs]
            last = len(arcs)
            halts = [(i, s) for i, n in enumerate(nodes) for s in at_node.get(n, ())]
            places = sorted({0, last, *(i for i, _ in halts)})
            leg = {(i, j): total(use, i, j) for i in places for j in places if i <= j}
            _append(paths, rules, od, arcs, (leg[0, last],), (), "")
            for i, s in halts:
                for kind in kinds_of_one:
                    _append(paths, rules, od, arcs, (leg[0, i], leg[i, last]), ((s, i),), kind)
                for j, t in halts:
                    if j < i or t == s:
                        continue
                    legs = (leg[0, i], leg[i, j], leg[j, last])
                    for kinds in kinds_of_two:
                        _append(paths, rules, od, arcs, legs, ((s, i), (t, j)), kinds)
        if len(paths) == count:
            require_feasible(graph, rules, [(origin, destination)], station_node)
            raise DataError(
                f"OD pair {graph.nodes[origin]} -> {graph.nodes[destination]} has no "
                f"energy-feasible path on its {k} base routes, though it has one on other routes",
                advice="increase base_routes_ev, or use the path method 'exact'",
            )
    return paths


def _append(
    paths: list[Path],
    rules: EnergyRules,
    od: int,
    arcs: tuple[int, ...],
    legs: tuple[float, ...],
    halts: tuple[tuple[int, int], ...],
    kinds: str,
) -> None:
    """Append the path with stops of `kinds` at `halts` (station, after), if it is feasible."""
    result = rules.simulate(legs, kinds)
    if result is not None:
        amounts, arrival = result
        stops = tuple(
            Stop(s, kind, i, e) for (s, i), kind, e in zip(halts, kinds, amounts, strict=True)
        )
        paths.append(Path(od, arcs, stops, arrival))
