"""All cheapest paths, against enumeration of every path and counting by dynamic programming."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import v2geq as vg
from v2geq.roads.graph import Graph
from v2geq.trips.battery import EnergyRules
from v2geq.trips.costs import Rates
from v2geq.trips.enumeration import enumerate_paths
from v2geq.trips.generation import NO_BATTERY
from v2geq.trips.paths import Path
from v2geq.trips.ties import cheapest_paths


def test_sioux_falls_equilibrium_routes_are_counted() -> None:
    """As many routes as the arcs without excess cost allow, counted along them."""
    road = vg.load_case("ieee123_sioux_falls").road
    r = vg.assign(road, road.trips, gap=1e-13)
    graph, demand = r.problem.graph, r.problem.demand
    pairs = np.column_stack((demand.origin, demand.destination))
    none = np.zeros(0)
    free = Rates(1.0, none, none, none, None, none, 0.0, 0.0)
    limit = r.od["cost_min"].to_numpy() / 60.0 * (1.0 + 1e-9)
    hours = r.time.to_numpy() / 60.0
    paths = cheapest_paths(
        graph, NO_BATTERY, hours, pairs, np.zeros(0, dtype=np.int64), free, limit
    )
    assert paths is not None
    total = 0
    for o in range(24):
        away = r.skim(zones=graph.nodes).to_numpy()[o] / 60.0
        excess = away[graph.tail] + hours - away[graph.head]
        tight = nx.DiGraph([(graph.tail[a], graph.head[a]) for a in np.flatnonzero(excess < 1e-8)])
        ways = dict.fromkeys(tight, 0)
        ways[o] = 1
        for node in nx.topological_sort(tight):
            for after in tight.successors(node):
                ways[after] += ways[node]
        total += sum(ways[d] for _, d in pairs[pairs[:, 0] == o].tolist())
    assert len(paths) == len({p.key for p in paths}) == total
    own = {(p.od, p.arcs) for p in paths}
    arcs = graph.star.arc[r.pool.arc]
    for pair, begin, size in zip(r.path_pair, r.pool.start, r.pool.size, strict=True):
        assert (int(pair), tuple(arcs[begin : begin + size].tolist())) in own


def grid(rng: np.random.Generator) -> Graph:
    """A 3 x 3 grid whose arcs take whole minutes: many ties."""
    ends = []
    for i in range(3):
        for j in range(3):
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                if 0 <= i + di < 3 and 0 <= j + dj < 3:
                    ends.append((3 * i + j, 3 * (i + di) + j + dj))
    tail, head = np.array(ends).T
    size = len(ends)
    return Graph(
        nodes=tuple("abcdefghi"),
        arcs=tuple(f"{t}-{h}" for t, h in ends),
        tail=tail,
        head=head,
        length_km=rng.integers(1, 3, size).astype(float),
        free_flow_h=rng.integers(1, 3, size) / 60.0,
        through=np.array([True] * 8 + [False]),
    )


def cost_of(path: Path, graph: Graph, rules: EnergyRules, rates: Rates) -> float:
    cost = rates.value_of_time * sum(graph.free_flow_h[a] for a in path.arcs)
    cost += rates.energy_value * (rules.start - path.arrival_kwh)
    for s in path.stops:
        wait = (rates.charge_wait_h if s.kind == "C" else rates.discharge_wait_h)[s.station]
        cost += rates.value_of_time * wait
        if s.kind == "C":
            cost += rates.charge_price[s.station] * s.energy_kwh
        else:
            assert rates.discharge_price is not None
            cost -= rates.discharge_price[s.station] * s.energy_kwh
    return float(cost)


@pytest.mark.parametrize("seed", range(8))
def test_cheapest_paths_are_those_of_enumeration(seed: int) -> None:
    """Enumerated over all simple routes; a path may pass a node twice, on different legs."""
    rng = np.random.default_rng(seed)
    graph = grid(rng)
    rules = EnergyRules(7.0, 1.0, 5.0, 1.0, departure=float(rng.choice([6.0, 7.0])))
    stations = rng.choice(8, size=3, replace=False)
    pairs = np.array([[0, 8], [2, 6], [8, 0], [1, 1 + 6]])
    rates = Rates(
        value_of_time=12.0,
        energy_value=float(rng.choice([0.0, 0.1])),
        charge_wait_h=rng.integers(0, 3, 3) / 60.0,
        discharge_wait_h=rng.integers(0, 3, 3) / 60.0,
        charge_price=rng.integers(1, 4, 3) / 10.0,
        discharge_price=None if seed % 2 else rng.integers(-2, 5, 3) / 10.0,
        charger_power=np.full(3, np.inf),
        degradation=0.0,
    )
    od = [(int(o), int(d)) for o, d in pairs]
    every = enumerate_paths(graph, rules, od, stations, 1000, rates.discharge_price is not None)
    cost = np.array([cost_of(p, graph, rules, rates) for p in every])
    least = np.array([cost[[p.od == w for p in every]].min() for w in range(len(pairs))])
    limit = least + 0.3
    found = cheapest_paths(graph, rules, graph.free_flow_h, pairs, stations, rates, limit)
    assert found is not None
    keys = {p.key for p in found}
    assert len(keys) == len(found)
    for p in found:
        assert cost_of(p, graph, rules, rates) <= limit[p.od] + 1e-9
    # all of the enumeration but sales at a loss, which the search leaves out
    for p, c in zip(every, cost, strict=True):
        gain = [rates.discharge_price[s.station] > 0 for s in p.stops if s.kind == "D"]
        if c <= limit[p.od] - 1e-9 and all(gain):
            assert p.key in keys, (p, c)
    # and beyond it only what passes a node twice
    known = {p.key for p in every}
    for p in found:
        if p.key not in known:
            nodes = [graph.tail[p.arcs[0]], *(graph.head[a] for a in p.arcs)]
            assert len(set(nodes)) < len(nodes)


def test_paid_charging_is_left_to_others() -> None:
    graph = grid(np.random.default_rng(0))
    rules = EnergyRules(6.0, 1.0, 4.0, 1.0)
    one, none = np.zeros(1), np.array([-0.1])
    rates = Rates(1.0, one, one, none, None, np.full(1, np.inf), 0.0, 0.0)
    pairs, at = np.array([[0, 2]]), np.array([1])
    assert cheapest_paths(graph, rules, graph.free_flow_h, pairs, at, rates, one) is None


def test_path_flows_are_over_all_cheapest_paths() -> None:
    """The headline does not depend on which of the equal paths the solver happened to use."""
    case = vg.load_case("ieee123_sioux_falls")
    eq = vg.solve(case, "island")
    legs = vg.solve(case, "island", parameters={"paths.form": "legs"})
    assert eq.path_flows.complete
    assert len(eq.paths("fv")) > len(eq.coupled.traffic.paths["fv"])
    for name in ("visit_share", "discharge_share", "discharge_od_pairs"):
        mine, other = getattr(eq.path_flows, name), getattr(legs.path_flows, name)
        assert (mine.low, mine.high) == pytest.approx((other.low, other.high), abs=1e-6)
        assert mine.value == pytest.approx(other.value, abs=1e-5)
    flow = eq.path_flows.least_squares["ev"]
    trips = eq.coupled.traffic.demand["ev"]
    paths = eq.path_flows.coupled.traffic.paths["ev"]
    np.testing.assert_allclose(np.bincount(paths.od, flow), trips, rtol=1e-6)


def test_too_many_ties_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """All routes of a grid of equal times from corner to corner: 924 of them."""
    side = 7
    ends = [
        (side * i + j, side * (i + di) + j + dj)
        for i in range(side)
        for j in range(side)
        for di, dj in ((0, 1), (1, 0))
        if i + di < side and j + dj < side
    ]
    tail, head = np.array(ends).T
    one = np.ones(len(ends))
    names = tuple(str(n) for n in range(side * side))
    graph = Graph(
        names, tuple(map(str, ends)), tail, head, one, one / 60.0, np.ones(side**2, dtype=bool)
    )
    none = np.zeros(0)
    args = (
        graph,
        NO_BATTERY,
        graph.free_flow_h,
        np.array([[0, side * side - 1]]),
        np.zeros(0, dtype=np.int64),
        Rates(1.0, none, none, none, None, none, 0.0, 0.0),
        np.array([2 * (side - 1) / 60.0 + 1e-9]),
    )
    found = cheapest_paths(*args)
    assert found is not None and len(found) == 924
    monkeypatch.setattr("v2geq.trips.ties.MOST", 921)
    assert cheapest_paths(*args) is None
