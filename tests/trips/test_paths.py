"""Base routes, battery rules A1-A4, enumeration of stops (model.md, 2) and path matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise, product

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from v2geq.arrays import IntArray
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.road import RoadNetwork
from v2geq.errors import DataError
from v2geq.roads.graph import Graph, shortest_tree
from v2geq.roads.routes import k_shortest_routes
from v2geq.trips.battery import EnergyRules
from v2geq.trips.enumeration import enumerate_paths, enumerate_routes
from v2geq.trips.paths import Path, PathSet, make_path
from v2geq.trips.reach import require_feasible

# Sioux Falls: every street runs both ways, length in km = free-flow time in minutes
SIOUX_FALLS = (
    "1-2:6 1-3:4 2-6:5 3-4:4 3-12:4 4-5:2 4-11:6 5-6:4 5-9:5 6-8:2 7-8:3 7-18:2 8-9:10 8-16:5 "
    "9-10:3 10-11:5 10-15:6 10-16:4 10-17:8 11-12:6 11-14:4 12-13:3 13-24:4 14-15:5 14-23:4 "
    "15-19:3 15-22:3 16-17:2 16-18:3 17-19:2 18-20:4 19-20:4 20-21:6 20-22:5 21-22:2 21-24:3 "
    "22-23:4 23-24:2"
)
STATIONS = np.array([5, 8, 11, 12, 15, 16, 18, 22]) - 1
NAMES = [str(n + 1) for n in STATIONS]
PAIRS = [(o - 1, d - 1) for o in (1, 2, 4, 5, 10, 11) for d in (13, 20, 21, 24)]


def graph_of(
    rows: Sequence[tuple[int, int, float, float]], closed: Sequence[int] = (), size: int = 0
) -> Graph:
    """Graph from rows (tail, head, km, minutes) of node positions; nodes are named from 1."""
    tail, head = [r[0] for r in rows], [r[1] for r in rows]
    n = size or 1 + max(*tail, *head)
    through = np.ones(n, dtype=np.bool_)
    through[list(closed)] = False
    return Graph(
        tuple(str(i + 1) for i in range(n)),
        tuple(f"{i + 1}-{j + 1}" for i, j in zip(tail, head, strict=True)),
        np.array(tail, dtype=np.int64),
        np.array(head, dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.float64),
        np.array([r[3] for r in rows], dtype=np.float64) / 60.0,
        through,
    )


def sioux_falls() -> Graph:
    rows = []
    for street in SIOUX_FALLS.split():
        ends, _, km = street.partition(":")
        i, j = (int(n) - 1 for n in ends.split("-"))
        rows += [(i, j, float(km), float(km)), (j, i, float(km), float(km))]
    return graph_of(sorted(rows))


def line(*km: float) -> Graph:
    return graph_of([(i, i + 1, d, d) for i, d in enumerate(km)])


def random_graph(rng: np.random.Generator, nodes: int, arcs: int, closed: int = 0) -> Graph:
    ends = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
    chosen = rng.choice(len(ends), size=min(arcs, len(ends)), replace=False)
    rows = [(*ends[c], float(rng.integers(1, 6)), float(rng.integers(1, 5)) + 0.1) for c in chosen]
    return graph_of(rows, list(range(closed)), nodes)


def levels_by_hand(graph: Graph, rules: EnergyRules, path: Path) -> list[float] | None:
    """Battery level on arrival at every node and stop, None if a rule of A1-A4 is broken."""
    level = rules.battery
    seen = []
    if sum(s.kind == "D" for s in path.stops) > 1 or len(path.stops) > 2:
        return None
    if len({s.station for s in path.stops}) < len(path.stops):
        return None
    for i in range(len(path.arcs) + 1):
        if i:
            level -= rules.consumption * graph.length_km[path.arcs[i - 1]]
            seen.append(level)
        for stop in path.stops:
            if stop.after == i:
                seen.append(level)
                change = rules.battery - level if stop.kind == "C" else level - rules.low
                if change <= 1e-7 or abs(change - stop.energy_kwh) > 1e-9:
                    return None
                level += change if stop.kind == "C" else -change
    seen.append(level)
    return seen if min(seen) >= rules.reserve - 1e-7 else None


# battery 10, reserve 2 (budget 8 when full), low level 5 (budget 3 after a discharge)
RULES = EnergyRules(10.0, 2.0, 5.0, 1.0)


@pytest.mark.parametrize(
    ("km", "stops", "energies", "arrival"),
    [
        ((4.0,), [], (), 6.0),
        ((8.0,), [], (), 2.0),  # budget met with equality
        ((8.0 + 1e-6,), [], None, 0.0),
        ((3.0, 6.0), [], None, 0.0),
        ((3.0, 6.0), [(0, "C", 1)], (3.0,), 4.0),
        ((3.0, 6.0), [(0, "C", 0)], None, 0.0),  # a full battery takes no charge
        ((3.0, 5.0), [(0, "C", 2)], (8.0,), 10.0),  # at the destination
        ((8.0, 8.0, 8.0), [(0, "C", 1), (1, "C", 2)], (8.0, 8.0), 2.0),
        ((8.0, 8.0, 8.0), [(0, "C", 1), (0, "C", 2)], None, 0.0),  # one station twice
        ((3.0, 3.0), [(0, "D", 1)], (2.0,), 2.0),  # low budget met with equality
        ((3.0, 3.1), [(0, "D", 1)], None, 0.0),
        ((5.0, 1.0), [(0, "D", 1)], None, 0.0),  # arrives with the low level
        ((6.0, 1.0), [(0, "D", 1)], None, 0.0),
        ((2.0, 1.0), [(0, "D", 0)], (5.0,), 2.0),  # at the origin
        ((2.0, 1.0), [(0, "D", 2)], (2.0,), 5.0),  # at the destination
        ((4.0, 3.0, 8.0), [(0, "D", 1), (1, "C", 2)], (1.0, 8.0), 2.0),
        ((4.0, 3.5, 8.0), [(0, "D", 1), (1, "C", 2)], None, 0.0),
        ((8.0, 4.0, 3.0), [(0, "C", 1), (1, "D", 2)], (8.0, 1.0), 2.0),
        ((1.0, 1.0, 1.0), [(0, "D", 1), (1, "D", 2)], None, 0.0),
        ((1.0, 1.0), [(0, "D", 1), (1, "C", 1)], (4.0, 5.0), 9.0),  # two stations at one node
        ((1.0, 1.0), [(0, "C", 1), (1, "C", 1)], None, 0.0),
        ((1.0, 1.0), [(0, "C", 1), (1, "D", 1)], (1.0, 5.0), 4.0),
    ],
)
def test_battery_rules_by_hand(
    km: tuple[float, ...],
    stops: list[tuple[int, str, int]],
    energies: tuple[float, ...] | None,
    arrival: float,
) -> None:
    path = make_path(line(*km), RULES, 3, range(len(km)), stops)
    if energies is None:
        assert path is None
        return
    assert path is not None
    assert path.od == 3
    assert tuple(s.energy_kwh for s in path.stops) == pytest.approx(energies, abs=1e-12)
    assert path.arrival_kwh == pytest.approx(arrival, abs=1e-12)
    assert path.pattern == "".join(s[1] for s in stops)
    assert path.key == (3, tuple(range(len(km))), tuple(stops))


def test_low_level_below_the_reserve_forbids_discharging() -> None:
    rules = EnergyRules(10.0, 6.0, 5.0, 1.0)
    assert make_path(line(1.0), rules, 0, (0,), [(0, "D", 1)]) is None


def test_equal_budget_survives_rounding() -> None:
    # 0.1 + 0.2 is more than 0.3 in floating point
    rules = EnergyRules(0.5, 0.2, 0.2, 1.0)
    assert rules.full_budget < 0.1 + 0.2
    assert make_path(line(0.1, 0.2), rules, 0, (0, 1), []) is not None
    assert make_path(line(0.1, 0.2), rules, 0, (0, 1), [(0, "C", 2)]) is not None


def test_route_may_not_pass_a_closed_node_but_may_stop_there() -> None:
    graph = graph_of([(0, 1, 1.0, 1.0), (1, 2, 1.0, 1.0)], closed=[1])
    assert make_path(graph, RULES, 0, (0, 1), []) is None
    assert make_path(graph, RULES, 0, (0, 1), [(0, "C", 1)]) is not None
    assert make_path(graph, RULES, 0, (0,), []) is not None


def test_make_path_rejects_nonsense() -> None:
    graph = line(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="do not form a route"):
        make_path(graph, RULES, 0, (0, 2), [])
    with pytest.raises(ValueError, match="travel order"):
        make_path(graph, RULES, 0, (0, 1), [(0, "C", 2), (1, "C", 1)])
    with pytest.raises(ValueError, match="travel order"):
        make_path(graph, RULES, 0, (0, 1), [(0, "C", 3)])
    with pytest.raises(ValueError, match="only 'C' and 'D'"):
        make_path(graph, RULES, 0, (0, 1), [(0, "X", 1)])


def test_rules_of_a_driver_class() -> None:
    ev = DriverClass(
        kind="ev",
        value_of_time=12.0,
        trips="",
        battery=24.0,
        reserve=0.2,
        discharge_level=0.5,
        consumption=1.0,
        start_level=0.75,
    )
    rules = EnergyRules.from_class(ev)
    assert rules == EnergyRules(24.0, 4.800000000000001, 12.0, 1.0, 18.0)
    assert (rules.full_budget, rules.low_budget) == pytest.approx((19.2, 7.2))
    with pytest.raises(DataError, match="'fv' has no battery"):
        EnergyRules.from_class(DriverClass(kind="fv", value_of_time=12.0, trips=""))


def test_graph_from_road() -> None:
    nodes = pd.DataFrame({"x": 0.0, "y": 0.0, "through": [False, True]}, index=["1", "b"])
    arcs = pd.DataFrame(
        {"from_node": ["1"], "to_node": ["b"], "length_km": [2.5], "free_flow_min": [3.6]},
        index=["1-b"],
    )
    road = RoadNetwork("r", nodes, arcs, pd.DataFrame(), source="net.csv")
    graph = Graph.from_road(road)
    assert graph.nodes == ("1", "b") and graph.arcs == ("1-b",)
    assert graph.through.tolist() == [False, True]
    assert (graph.length_km[0], graph.free_flow_h[0]) == pytest.approx((2.5, 0.06))
    assert graph.route_minutes == [3.6]
    road = replace(road, arcs=arcs.assign(to_node="c"))
    with pytest.raises(DataError, match=r"net\.csv: arc '1-b'.*to_node 'c' is no node"):
        Graph.from_road(road)
    road = replace(road, arcs=arcs.assign(length_km=-1.0))
    with pytest.raises(DataError, match=r"length_km is -1\.0"):
        Graph.from_road(road)


# ---------------------------------------------------------------------------------------------
# Base routes


def networkx_routes(graph: Graph, origin: int, destination: int, k: int) -> list[list[int]]:
    g = nx.DiGraph()
    g.add_nodes_from(range(len(graph.nodes)))
    for a, (i, j) in enumerate(zip(graph.tail.tolist(), graph.head.tolist(), strict=True)):
        if all(graph.through[n] or n in (origin, destination) for n in (i, j)):
            g.add_edge(i, j, minutes=graph.route_minutes[a])
    try:
        return list(islice(nx.shortest_simple_paths(g, origin, destination, "minutes"), k))
    except nx.NetworkXNoPath:
        return []


def nodes_of(graph: Graph, origin: int, arcs: Sequence[int]) -> list[int]:
    assert graph.is_route(arcs)
    return [origin, *(int(graph.head[a]) for a in arcs)]


def test_routes_in_the_order_of_networkx_sioux_falls() -> None:
    # many ties: minutes are whole numbers
    graph = sioux_falls()
    for origin, destination in [*PAIRS, (0, 1), (23, 0), (12, 6)]:
        routes = k_shortest_routes(graph, origin, destination, 12)
        assert [nodes_of(graph, origin, r) for r in routes] == networkx_routes(
            graph, origin, destination, 12
        )


@pytest.mark.parametrize("seed", range(30))
def test_routes_in_the_order_of_networkx_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 9, 30, closed=seed % 3)
    for origin, destination in ((0, 8), (3, 1), (5, 6)):
        routes = k_shortest_routes(graph, origin, destination, 9)
        assert [nodes_of(graph, origin, r) for r in routes] == networkx_routes(
            graph, origin, destination, 9
        )


def test_routes_of_parallel_arcs_and_ends() -> None:
    graph = graph_of([(0, 1, 1.0, 5.0), (0, 1, 1.0, 3.0), (0, 1, 1.0, 3.0)])
    assert k_shortest_routes(graph, 0, 1, 4) == [(1,)]
    assert k_shortest_routes(graph, 1, 0, 4) == []
    assert k_shortest_routes(graph, 1, 1, 4) == [()]


def test_fuel_vehicle_routes() -> None:
    graph = sioux_falls()
    routes = enumerate_routes(graph, PAIRS, 12)
    assert len(routes) == 24 * 12
    assert all(not r.stops and r.arrival_kwh == 0.0 for r in routes)
    minutes = [sum(graph.route_minutes[a] for a in r.arcs) for r in routes]
    assert all(m <= n for i, (m, n) in enumerate(pairwise(minutes)) if (i + 1) % 12)
    with pytest.raises(DataError, match="OD pair 2 -> 1 has no route"):
        enumerate_routes(line(1.0), [(0, 1), (1, 0)], 3)


@pytest.mark.parametrize("seed", range(10))
def test_shortest_tree_against_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 9, 28, closed=seed % 3)
    weight = rng.integers(0, 4, len(graph.arcs)).astype(float)  # zeros are weights too
    distance, by = shortest_tree(graph, weight, np.arange(9))
    for i, j in product(range(9), repeat=2):
        g = nx.DiGraph()
        g.add_nodes_from((i, j))
        for a, (u, v) in enumerate(zip(graph.tail.tolist(), graph.head.tolist(), strict=True)):
            if all(graph.through[n] or n in (i, j) for n in (u, v)):
                g.add_edge(u, v, w=weight[a])
        expected = nx.shortest_path_length(g, i, j, "w") if nx.has_path(g, i, j) else np.inf
        assert distance[i, j] == expected
        if np.isfinite(expected):
            node, total = j, 0.0
            while by[i, node] >= 0:
                total += weight[by[i, node]]
                node = int(graph.tail[by[i, node]])
            assert node == i and total == expected


# ---------------------------------------------------------------------------------------------
# Enumeration


def test_enumeration_by_hand() -> None:
    # 1 -4- 2 -3- 3 -1- 4, stations 0 at node 2 and 1 at node 3; budgets 8 and 3
    graph = line(4.0, 3.0, 1.0)
    found = {
        tuple((s.station, s.kind, s.after, s.energy_kwh) for s in p.stops): p.arrival_kwh
        for p in enumerate_paths(graph, RULES, [(0, 3)], np.array([1, 2]), 5, v2g=True)
    }
    assert found == {
        (): 2.0,
        ((0, "C", 1, 4.0),): 6.0,
        ((1, "C", 2, 7.0),): 9.0,
        ((0, "C", 1, 4.0), (1, "C", 2, 3.0)): 9.0,
        # discharging at 0 leaves 5, which ends at 1, below the reserve; at 1 it arrives with 3
        ((0, "C", 1, 4.0), (1, "D", 2, 2.0)): 4.0,
        ((0, "D", 1, 1.0), (1, "C", 2, 8.0)): 9.0,
    }
    without = enumerate_paths(graph, RULES, [(0, 3)], np.array([1, 2]), 5, v2g=False)
    assert {p.pattern for p in without} == {"", "C", "CC"} and len(without) == 4


def test_sioux_falls_reference_path_counts() -> None:
    graph = sioux_falls()
    rules = EnergyRules(24.0, 4.8, 12.0, 1.0)
    without = enumerate_paths(graph, rules, PAIRS, STATIONS, 8, v2g=False)
    paths = enumerate_paths(graph, rules, PAIRS, STATIONS, 8, v2g=True)
    counts = {k: sum(p.pattern == k for p in paths) for k in ("", "C", "CC", "D", "CD", "DC")}
    assert counts == {"": 71, "C": 309, "CC": 267, "D": 27, "CD": 106, "DC": 103}
    assert [p for p in paths if "D" not in p.pattern] == without
    assert len({p.key for p in paths}) == len(paths) == 883
    used = PathSet(graph, len(PAIRS), NAMES, paths).arc_incidence.T @ graph.length_km
    for path, km in zip(paths, used, strict=True):
        assert levels_by_hand(graph, rules, path) is not None
        sold = sum(s.energy_kwh if s.kind == "D" else -s.energy_kwh for s in path.stops)
        # the wrong sign of either energy would not balance
        assert 24.0 - km - sold == pytest.approx(path.arrival_kwh, abs=1e-9)
        assert all(s.energy_kwh > 0 for s in path.stops)
        assert all(
            nodes_of(graph, PAIRS[path.od][0], path.arcs)[s.after] == STATIONS[s.station]
            for s in path.stops
        )
    # and a path with the sign turned is no path of these rules
    turned = next(p for p in paths if p.pattern == "D")
    stop = turned.stops[0]
    wrong = Path(turned.od, turned.arcs, (stop._replace(energy_kwh=-stop.energy_kwh),), 0.0)
    assert levels_by_hand(graph, rules, wrong) is None


@pytest.mark.parametrize("seed", range(8))
def test_enumeration_is_make_path_on_all_stops(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    graph = random_graph(rng, 7, 24)
    rules = EnergyRules(float(rng.integers(9, 14)), 2.0, float(rng.integers(3, 8)), 1.0)
    stations: IntArray = rng.integers(0, 7, 4)  # stations may share a node
    pairs = [(0, 6), (2, 5)]
    try:
        found = enumerate_paths(graph, rules, pairs, stations, 4, v2g=True)
    except DataError:
        pytest.skip("a pair is out of reach")
    expected = []
    for od, (origin, destination) in enumerate(pairs):
        for arcs in k_shortest_routes(graph, origin, destination, 4):
            nodes = nodes_of(graph, origin, arcs)
            halts = [
                (s, kind, i)
                for i, n in enumerate(nodes)
                for s in np.flatnonzero(stations == n).tolist()
                for kind in "CD"
            ]
            for stops in [(), *((h,) for h in halts), *product(halts, repeat=2)]:
                if len(stops) < 2 or stops[0][2] <= stops[1][2]:
                    path = make_path(graph, rules, od, arcs, stops)
                    if path is not None:
                        expected.append(path)
    assert len(found) == len(expected)
    assert set(found) == set(expected)  # energies to the last digit


def test_infeasible_pair_names_energy_and_budget() -> None:
    graph = line(9.0, 9.0)
    with pytest.raises(
        DataError,
        match=r"1 -> 3 has no energy-feasible path: .* 18 kWh, .* 8 kWh .*enlarge the battery",
    ):
        enumerate_paths(graph, RULES, [(0, 2)], np.array([1]), 3, v2g=True)
    with pytest.raises(DataError, match="3 -> 1 has no route"):
        enumerate_paths(graph, RULES, [(2, 0)], np.array([1]), 3, v2g=True)


def test_infeasible_on_base_routes_only_says_so() -> None:
    # the fast way is too long, the slow way has the station
    graph = graph_of([(0, 2, 9.0, 1.0), (0, 1, 8.0, 9.0), (1, 2, 8.0, 9.0)])
    with pytest.raises(DataError, match=r"1 base routes.*increase base_routes_ev"):
        enumerate_paths(graph, RULES, [(0, 2)], np.array([1]), 1, v2g=False)
    paths = enumerate_paths(graph, RULES, [(0, 2)], np.array([1]), 2, v2g=False)
    assert [p.pattern for p in paths] == ["C"]
    require_feasible(graph, RULES, [(0, 2)], np.array([1]))


def test_feasible_with_two_charges_only() -> None:
    graph = line(8.0, 8.0, 8.0)
    require_feasible(graph, RULES, [(0, 3)], np.array([1, 2]))
    with pytest.raises(DataError, match="needs 24 kWh"):
        require_feasible(graph, RULES, [(0, 3)], np.array([1]))
    with pytest.raises(DataError, match="needs 24 kWh"):
        require_feasible(graph, RULES, [(0, 3)], np.array([], dtype=np.int64))


# ---------------------------------------------------------------------------------------------
# Matrices


def some_paths() -> tuple[Graph, list[Path]]:
    graph = sioux_falls()
    rules = EnergyRules(24.0, 4.8, 12.0, 1.0)
    return graph, enumerate_paths(graph, rules, PAIRS, STATIONS, 8, v2g=True)


def test_path_set_matrices() -> None:
    graph, paths = some_paths()
    first = PathSet(graph, len(PAIRS), NAMES, paths[:500])
    first_arcs = first.arc_incidence
    columns = first.with_paths(paths[400:700])
    assert columns.with_paths(paths[:10]) is columns
    assert first.paths == tuple(paths[:500]) and first.arc_incidence is first_arcs
    fewer = columns.keep(np.arange(700) % 2 == 0)
    assert fewer.paths == columns.paths[::2] and fewer.position(paths[650]) == 325
    assert len(columns) == 700 and columns.paths == tuple(paths[:700])
    assert columns.position(paths[650]) == 650 and columns.position(paths[800]) is None
    arc, od = columns.arc_incidence.toarray(), columns.od_incidence.toarray()
    charge, discharge = columns.charge_energy.toarray(), columns.discharge_energy.toarray()
    stops = columns.stop_count.toarray()
    assert arc.shape == (76, 700) and od.shape == (24, 700) and charge.shape == (8, 700)
    for p, path in enumerate(columns.paths):
        assert np.flatnonzero(arc[:, p]).tolist() == sorted(path.arcs)
        assert arc[:, p].sum() == len(path.arcs)
        assert np.flatnonzero(od[:, p]).tolist() == [path.od]
        for stop in path.stops:
            assert (charge if stop.kind == "C" else discharge)[stop.station, p] == stop.energy_kwh
        assert stops[:, p].sum() == len(path.stops)
        assert np.count_nonzero(charge[:, p]) == path.pattern.count("C")
        assert np.count_nonzero(discharge[:, p]) == path.pattern.count("D")
    assert columns.arrival_kwh.tolist() == [p.arrival_kwh for p in paths[:700]]
    assert (od.argmax(axis=0) == columns.od).all()


def test_path_set_counts_an_arc_travelled_twice() -> None:
    graph = graph_of([(0, 1, 1.0, 1.0), (1, 0, 1.0, 1.0), (0, 2, 1.0, 1.0)])
    path = make_path(graph, RULES, 0, (0, 1, 0, 1, 2), [(0, "C", 3)])
    assert path is not None
    columns = PathSet(graph, 1, ["A"], [path])
    assert columns.arc_incidence.toarray()[:, 0].tolist() == [2.0, 2.0, 1.0]
    assert columns.labels == ("1-2-1-2(+A)-1-3",)


def test_path_set_labels() -> None:
    graph = line(1.0, 1.0, 1.0)
    both = make_path(graph, RULES, 0, (0, 1, 2), [(1, "D", 1), (0, "C", 1)])
    ends = make_path(graph, RULES, 0, (0, 1, 2), [(0, "D", 0), (1, "C", 3)])
    assert both is not None and ends is not None
    labels = PathSet(graph, 1, ["s5", "s7"], [both, ends]).labels
    assert labels == ("1-2(-s7)(+s5)-3-4", "1(-s5)-2-3-4(+s7)")


def test_path_set_arrays_are_loss_free() -> None:
    graph, paths = some_paths()
    before = PathSet(graph, len(PAIRS), NAMES, paths)
    arrays = before.to_arrays()
    assert all(a.ndim == 1 and a.dtype in (np.int64, np.float64) for a in arrays.values())
    after = PathSet.from_arrays(graph, len(PAIRS), NAMES, arrays)
    assert after.paths == before.paths
    assert (after.charge_energy.toarray() == before.charge_energy.toarray()).all()
    empty = PathSet(graph, 2, [])
    assert len(PathSet.from_arrays(graph, 2, [], empty.to_arrays())) == 0
    assert empty.arc_incidence.shape == (76, 0) and empty.stop_count.shape == (0, 0)
    with pytest.raises(ValueError, match="does not end"):
        PathSet.from_arrays(graph, len(PAIRS), NAMES, {**arrays, "arc": arrays["arc"][:-1]})


def test_path_set_rejects_positions_out_of_range() -> None:
    graph = line(1.0)
    for path in (Path(1, (0,), (), 0.0), Path(0, (1,), (), 0.0)):
        with pytest.raises(ValueError, match="position"):
            PathSet(graph, 1, [], [path])
