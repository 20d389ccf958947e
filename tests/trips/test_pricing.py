"""Exact pricing (model.md, 2, table of legs) against full enumeration and a layered graph."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import networkx as nx
import numpy as np
import pytest

import v2geq.trips.pricing as pricing
from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import DataError, V2GError
from v2geq.roads.graph import Graph
from v2geq.trips.battery import PATTERNS, EnergyRules
from v2geq.trips.costs import Rates
from v2geq.trips.enumeration import enumerate_paths
from v2geq.trips.fronts import LegFronts
from v2geq.trips.paths import Path, make_path
from v2geq.trips.pricing import price_paths, shortest_routes


class Problem:
    """A small random network with prices."""

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        nodes: int = 6,
        arcs: int = 15,
        stations: int = 3,
        energy_value: float = 0.0,
        v2g: bool = True,
        integer: bool = False,
        charge: tuple[float, float] = (0.05, 0.5),
        closed: int = 0,
        partial: bool = False,
        instant: float = 0.0,
    ) -> None:
        ends = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
        chosen = rng.choice(len(ends), size=arcs, replace=False)
        km = rng.integers(1, 5, arcs).astype(float)
        if not integer:
            # steps of 0.1 km meet budgets with equality up to rounding; some arcs have no length
            km = np.where(rng.random(arcs) < 0.1, 0.0, rng.integers(3, 45, arcs) * 0.1)
        self.times = rng.uniform(0.01, 0.2, arcs)
        if instant:
            self.times *= rng.random(arcs) > instant
        through = np.ones(nodes, dtype=np.bool_)
        through[rng.choice(nodes, closed, replace=False)] = False
        self.graph = Graph(
            tuple(f"n{i}" for i in range(nodes)),
            tuple(f"a{i}" for i in range(arcs)),
            np.array([ends[c][0] for c in chosen], dtype=np.int64),
            np.array([ends[c][1] for c in chosen], dtype=np.int64),
            km,
            self.times,
            through,
        )
        battery = float(rng.integers(7, 12))
        low = float(rng.integers(3, 6))
        departure = float(rng.integers(3, int(battery) + 1)) if partial else None
        self.rules = EnergyRules(battery, 2.0, low, 1.0, departure)
        self.station_node: IntArray = rng.integers(0, nodes, stations)
        picked = rng.choice(len(ends), size=4, replace=False)
        self.pairs = [ends[c] for c in picked]
        self.prices: dict[str, Any] = {
            "value_of_time": float(rng.uniform(5.0, 20.0)),
            "charge_wait_h": rng.uniform(0.0, 0.1, stations),
            "discharge_wait_h": rng.uniform(0.0, 0.1, stations),
            "charge_price": rng.uniform(*charge, stations),
            "discharge_price": rng.uniform(-0.2, 1.5, stations) if v2g else None,
            "charger_power": rng.choice([11.0, 50.0, 150.0, np.inf], stations),
            "degradation": 0.05,
            "energy_value": energy_value,
        }

    def price(
        self, *, fronts: LegFronts | None = None, below: FloatArray | None = None, **changes: Any
    ) -> tuple[FloatArray, list[Path]]:
        return price_paths(
            self.graph,
            self.rules,
            self.times,
            self.pairs,
            self.station_node,
            Rates(**(self.prices | changes)),
            fronts=fronts,
            below=below,
        )

    def cost(self, path: Path) -> float:
        """C_p of model.md, 2, from the energies of the path."""
        p = self.prices
        hours = sum(self.times[a] for a in path.arcs)
        money = p["energy_value"] * (self.rules.start - path.arrival_kwh)
        for s in path.stops:
            wait = p["charge_wait_h" if s.kind == "C" else "discharge_wait_h"]
            hours += wait[s.station] + s.energy_kwh / p["charger_power"][s.station]
            if s.kind == "C":
                money += p["charge_price"][s.station] * s.energy_kwh
            else:
                price = p["discharge_price"][s.station] - p["degradation"]
                money -= price * s.energy_kwh
        return float(p["value_of_time"] * hours + money)

    def legs(self, source: int, target: int) -> list[tuple[int, ...]]:
        """All elementary routes within the full budget."""
        found: list[tuple[int, ...]] = []

        def walk(node: int, arcs: tuple[int, ...], seen: frozenset[int]) -> None:
            if node == target:
                found.append(arcs)
                return
            if arcs and not self.graph.through[node]:
                return
            for a in np.flatnonzero(self.graph.tail == node).tolist():
                head = int(self.graph.head[a])
                use = sum(self.graph.length_km[b] for b in (*arcs, a))
                if head not in seen and use <= self.rules.full_budget + 1e-6:
                    walk(head, (*arcs, a), seen | {head})

        walk(source, (), frozenset((source,)))
        return found

    def brute_force(self) -> FloatArray:
        """Least cost over all compositions of elementary legs that the simulation allows."""
        v2g = self.prices["discharge_price"] is not None
        at = self.station_node.tolist()
        best = np.full(len(self.pairs), np.inf)
        memo: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        for od, (origin, destination) in enumerate(self.pairs):
            for kinds in PATTERNS:
                if "D" in kinds and not v2g:
                    continue
                for visits in product(range(len(at)), repeat=len(kinds)):
                    halts = [origin, *(at[s] for s in visits), destination]
                    options = []
                    for ends in pairwise(halts):
                        if ends not in memo:
                            memo[ends] = self.legs(*ends)
                        options.append(memo[ends])
                    for legs in product(*options):
                        arcs: tuple[int, ...] = ()
                        stops = []
                        for leg, s, kind in zip(legs, visits, kinds, strict=False):
                            arcs += leg
                            stops.append((s, kind, len(arcs)))
                        arcs += legs[-1]
                        path = make_path(self.graph, self.rules, od, arcs, stops)
                        if path is not None:
                            best[od] = min(best[od], self.cost(path))
        return best

    def check(self) -> tuple[FloatArray, list[Path]]:
        cost, paths = self.price()
        np.testing.assert_allclose(cost, self.brute_force(), rtol=1e-11, atol=1e-12)
        assert [p.od for p in paths] == np.flatnonzero(np.isfinite(cost)).tolist()
        for path in paths:
            again = make_path(self.graph, self.rules, path.od, path.arcs, path.key[2])
            assert path == again
            ends = [self.graph.tail[path.arcs[0]], self.graph.head[path.arcs[-1]]]
            assert tuple(ends) == self.pairs[path.od]
            for stop in path.stops:
                before = self.graph.head[path.arcs[stop.after - 1]] if stop.after else ends[0]
                assert before == self.station_node[stop.station]
            assert self.cost(path) == pytest.approx(cost[path.od], rel=1e-11, abs=1e-12)
        return cost, paths


def test_pricing_random_networks() -> None:
    seen: set[str] = set()
    infeasible = binding = revisits = 0
    for seed in range(90):
        rng = np.random.default_rng(seed)
        problem = Problem(
            rng,
            energy_value=(0.0, 0.15, 0.6)[seed % 3],
            v2g=seed % 4 != 0,
            integer=seed % 5 == 0,
            closed=int(seed % 6 == 0),
            partial=seed % 7 > 3,
            instant=0.2 * (seed % 8 == 3),
        )
        cost, paths = problem.check()
        infeasible += int(np.isinf(cost).sum())
        seen |= {p.pattern for p in paths}
        binding += sum(p.arrival_kwh <= problem.rules.reserve + 1e-9 for p in paths)
        revisits += sum(len(set(p.arcs)) < len(p.arcs) for p in paths)
    # the sample must show every pattern, budgets that bind, pairs out of reach and walks that
    # use an arc twice, or the comparison proves little
    assert seen == set(PATTERNS)
    assert infeasible > 5 and binding > 5 and revisits > 0


def test_pricing_negative_charge_weights() -> None:
    gained = 0
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        problem = Problem(
            rng,
            nodes=5,
            arcs=11,
            charge=(-1.5, 0.2),
            v2g=seed % 3 != 0,
            energy_value=0.1 * (seed % 2),
            closed=int(seed % 5 == 0),
            partial=seed % 7 > 3,
            instant=0.2 * (seed % 8 == 3),
        )
        if seed % 3 == 1:
            problem.prices["discharge_price"] = rng.uniform(-0.3, 0.1, 3)
        _, paths = problem.check()
        # discharging at a loss to be paid for the refill
        margin = None if seed % 3 == 0 else problem.prices["discharge_price"] - 0.05
        if margin is not None:
            margin = margin - problem.prices["value_of_time"] / problem.prices["charger_power"]
            gained += sum(s.kind == "D" and margin[s.station] < 0 for p in paths for s in p.stops)
    assert gained > 0


def test_never_discharges_at_a_loss_when_charging_costs() -> None:
    for seed in range(20):
        problem = Problem(np.random.default_rng(2000 + seed))
        problem.prices["discharge_price"] = np.full(3, 0.05)  # less than wear and plug time
        cost, paths = problem.check()
        assert all("D" not in p.pattern for p in paths)
        without, _ = problem.price(discharge_price=None)
        assert np.array_equal(cost, without)


def test_sale_at_a_loss_opens_the_way_through_a_closed_node() -> None:
    """Both ways of pricing it: weights of energy that leave arcs a cost, and that do not."""
    opened = mixed = 0
    for seed in range(60):
        rng = np.random.default_rng(4000 + seed)
        problem = Problem(rng, closed=3, partial=seed % 3 == 0, energy_value=0.1 * (seed % 2))
        closed = np.flatnonzero(~problem.graph.through)
        problem.station_node[:2] = closed[:2]
        dear = seed % 4 == 0
        problem.prices["discharge_price"] = rng.uniform(-1.5 if dear else -0.1, 0.3, 3)
        problem.prices["charge_price"] += 0.5
        _, paths = problem.check()
        margin = problem.prices["discharge_price"] - 0.05
        margin = margin - problem.prices["value_of_time"] / problem.prices["charger_power"]
        sold = [s.station for p in paths for s in p.stops if s.kind == "D"]
        opened += sum(margin[s] < 0 for s in sold)
        weight = problem.prices["value_of_time"] * problem.times
        weight = weight + margin[:2].min() * problem.graph.length_km
        mixed += bool((weight < 0).any())
    assert opened > 3 and 3 < mixed < 57


def test_closed_node_reached_without_energy() -> None:
    """A full battery cannot be charged there: the longer way that uses some is the way through."""
    idle = 0
    for seed in range(80):
        rng = np.random.default_rng(5000 + seed)
        problem = Problem(rng, closed=3, v2g=seed % 2 == 0)
        problem.graph.length_km[rng.random(15) < 0.3] = 0.0
        problem.station_node[:2] = np.flatnonzero(~problem.graph.through)[:2]
        problem.check()
        idle += int((problem.graph.length_km == 0.0).any())
    assert idle > 40


def layered_cost(problem: Problem, origin: int, destination: int) -> float:
    """Shortest way in the graph of (node, level, stops so far); needs whole-number energies."""
    p, rules, graph = problem.prices, problem.rules, problem.graph
    omega, v2g = p["value_of_time"], p["discharge_price"] is not None
    g = nx.DiGraph()
    start: tuple[int, int, tuple[Any, ...]] = (origin, int(rules.start), ())
    todo: list[tuple[int, int, tuple[Any, ...]]] = [start]
    known = {start}
    g.add_node(start)
    while todo:
        node, level, stops = state = todo.pop()
        moves: list[tuple[tuple[int, int, tuple[Any, ...]], float]] = []
        for a in np.flatnonzero(graph.tail == node).tolist():
            left = level - int(graph.length_km[a])
            if left >= rules.reserve:
                moves.append(((int(graph.head[a]), left, stops), omega * problem.times[a]))
        used = {s for s, _ in stops}
        for s in np.flatnonzero(problem.station_node == node).tolist():
            if len(stops) == 2 or s in used:
                continue
            add, sell = int(rules.battery) - level, level - int(rules.low)
            plug = omega / p["charger_power"][s]
            if add > 0:
                moves.append(
                    (
                        (node, int(rules.battery), (*stops, (s, "C"))),
                        omega * p["charge_wait_h"][s] + add * (p["charge_price"][s] + plug),
                    )
                )
            if v2g and sell > 0 and all(k != "D" for _, k in stops):
                earn = p["discharge_price"][s] - p["degradation"] - plug
                fixed = omega * p["discharge_wait_h"][s]
                moves.append(((node, int(rules.low), (*stops, (s, "D"))), fixed - sell * earn))
        if node == destination:
            value = p["energy_value"] * (rules.start - level)
            if not g.has_edge(state, "end") or value < g.edges[state, "end"]["cost"]:
                g.add_edge(state, "end", cost=value)
        for after, cost in moves:
            if after not in known:
                known.add(after)
                todo.append(after)
            if not g.has_edge(state, after) or cost < g.edges[state, after]["cost"]:
                g.add_edge(state, after, cost=cost)
    if "end" not in g or not nx.has_path(g, start, "end"):
        return float("inf")
    return float(nx.bellman_ford_path_length(g, start, "end", "cost"))


@pytest.mark.parametrize("seed", range(12))
def test_pricing_against_layered_graph(seed: int) -> None:
    rng = np.random.default_rng(3000 + seed)
    problem = Problem(
        rng,
        nodes=7,
        arcs=19,
        integer=True,
        v2g=seed % 3 != 0,
        energy_value=0.1 * (seed % 2),
        partial=seed % 4 > 1,
    )
    cost, _ = problem.price()
    expected = [layered_cost(problem, *pair) for pair in problem.pairs]
    np.testing.assert_allclose(cost, expected, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------------------------------------
# Cases by hand


def line(*km: float) -> Graph:
    n = len(km)
    return Graph(
        tuple(str(i) for i in range(n + 1)),
        tuple(f"{i}-{i + 1}" for i in range(n)),
        np.arange(n),
        np.arange(1, n + 1),
        np.array(km),
        np.full(n, 0.1),
        np.ones(n + 1, dtype=np.bool_),
    )


RULES = EnergyRules(10.0, 2.0, 5.0, 1.0)
PRICES: dict[str, Any] = {
    "value_of_time": 10.0,
    "degradation": 0.05,
    "energy_value": 0.0,
}


def price_line(
    graph: Graph,
    stations: list[int],
    charge: list[float],
    discharge: list[float] | None,
    rules: EnergyRules = RULES,
    **changes: Any,
) -> tuple[float, Path | None]:
    last = len(graph.nodes) - 1
    terms = {
        "charge_wait_h": np.full(len(stations), 0.02),
        "discharge_wait_h": np.full(len(stations), 0.02),
        "charger_power": np.full(len(stations), 100.0),
    }
    cost, paths = price_paths(
        graph,
        rules,
        graph.free_flow_h,
        [(0, last)],
        np.array(stations, dtype=np.int64),
        Rates(
            charge_price=np.array(charge),
            discharge_price=None if discharge is None else np.array(discharge),
            **(PRICES | terms | changes),
        ),
    )
    assert len(paths) == np.isfinite(cost[0])
    return float(cost[0]), paths[0] if paths else None


def test_discharge_at_origin() -> None:
    # sells 5 kWh at 1.05 less wear 0.05 and plug time 0.1: 4.5 $, less 0.2 $ of waiting
    cost, path = price_line(line(1.0, 2.0), [0], [0.3], [1.05])
    assert path is not None and path.key[2] == ((0, "D", 0),)
    assert cost == pytest.approx(2.0 + 0.2 - 4.5)
    assert path.arrival_kwh == pytest.approx(2.0)


def test_discharge_at_destination_and_value_of_energy() -> None:
    cost, path = price_line(line(1.0, 2.0), [2], [0.3], [1.05])
    assert path is not None and path.key[2] == ((0, "D", 2),)
    assert cost == pytest.approx(2.0 + 0.2 - 2 * 0.9)
    # energy worth more than the margin stays in the battery; worth more than charging, it is bought
    cost, path = price_line(line(1.0, 2.0), [2], [1.3], [1.05], energy_value=1.0)
    assert path is not None and path.stops == () and cost == pytest.approx(2.0 + 3.0)
    cost, path = price_line(line(1.0, 2.0), [2], [0.3], [1.05], energy_value=1.0)
    assert path is not None and path.pattern == "C" and path.arrival_kwh == 10.0
    assert cost == pytest.approx(2.0 + 0.2 + 3 * 0.4)


def test_charge_at_destination_when_paid() -> None:
    # a charging price of -0.5 earns 0.4 per kWh after plug time
    cost, path = price_line(line(1.0, 2.0), [2], [-0.5], None)
    assert path is not None and path.key[2] == ((0, "C", 2),)
    assert cost == pytest.approx(2.0 + 0.2 - 3 * 0.4)


def test_budgets_at_equality() -> None:
    assert price_line(line(8.0), [], [], None)[0] == pytest.approx(1.0)
    assert price_line(line(8.0 + 1e-6), [], [], None) == (np.inf, None)
    assert price_line(line(0.1, 0.2, 7.7), [], [], None)[0] == pytest.approx(3.0)
    # low budget 3 and a discharge that would sell nothing
    cost, path = price_line(line(1.0, 3.0), [1], [0.3], [9.0])
    assert path is not None and path.pattern == "D" and cost < 0
    _, path = price_line(line(1.0, 3.0 + 1e-6), [1], [0.3], [9.0])
    assert path is not None and path.pattern == ""
    _, path = price_line(line(5.0, 1.0), [1], [0.3], [9.0])
    assert path is not None and path.pattern == ""


def test_arcs_of_no_time_and_length_do_not_loop() -> None:
    # 1 and 2 are joined both ways by nothing, twice
    graph = Graph(
        ("0", "1", "2", "3"),
        ("in", "there", "back", "there too", "out"),
        np.array([0, 1, 2, 1, 2]),
        np.array([1, 2, 1, 2, 3]),
        np.array([1.0, 0.0, 0.0, 0.0, 2.0]),
        np.array([0.1, 0.0, 0.0, 0.0, 0.2]),
        np.ones(4, dtype=np.bool_),
    )
    for charge in (0.3, -0.5):
        cost, path = price_line(graph, [2], [charge], None)
        assert path is not None and len(path.arcs) == 3
        assert cost == pytest.approx(3.0 if charge > 0 else 3.0 + 0.2 - 0.4)
    fronts = LegFronts(graph, RULES, graph.free_flow_h, np.arange(4), np.arange(4))
    assert np.diff(fronts.fronts.start).max() == 1


def test_departure_below_full() -> None:
    # 4 kWh at departure spend 2 before the reserve: a charge at the origin takes 6, at node 1 it
    # takes 7, and energy is worth nothing
    rules = replace(RULES, departure=4.0)
    graph = line(1.0, 2.0)
    assert price_line(graph, [], [], None, rules=rules) == (np.inf, None)
    cost, path = price_line(graph, [0], [0.3], None, rules=rules)
    assert path is not None and path.stops[0].energy_kwh == 6.0 and path.arrival_kwh == 7.0
    assert cost == pytest.approx(2.0 + 0.2 + 6 * 0.4)
    # against the start, arrival with 8 earns 4 at 0.1 $/kWh
    cost, path = price_line(graph, [1], [0.3], None, rules=rules, energy_value=0.1)
    assert path is not None and path.stops[0].energy_kwh == 7.0
    assert cost == pytest.approx(2.0 + 0.2 + 7 * 0.4 - 0.4)
    # the budget binds with equality, also where it is met only up to rounding
    assert price_line(line(0.1, 0.2, 1.7), [], [], None, rules=rules)[0] == pytest.approx(3.0)
    # below the low level nothing can be sold; above it, what is left of the start
    _, path = price_line(line(1.0, 1.0), [1], [0.3], [9.0], rules=rules)
    assert path is not None and path.stops == ()
    rules = replace(RULES, departure=7.0)
    _, path = price_line(line(1.0, 1.0), [1], [0.3], [9.0], rules=rules)
    assert path is not None and path.pattern == "D" and path.stops[0].energy_kwh == 1.0


def test_waits_by_direction_and_power_by_station() -> None:
    graph = line(1.0, 7.0)
    terms = {
        "charge_wait_h": np.array([0.3, 0.01]),
        "discharge_wait_h": np.array([0.02, 0.4]),
        "charger_power": np.array([20.0, 200.0]),
    }
    # both stations at node 1: selling at the first is quick to start, charging at the second
    cost, path = price_line(graph, [1, 1], [0.1, 0.1], [2.05, 2.05], **terms)
    assert path is not None and path.key[2] == ((0, "D", 1), (1, "C", 1))
    assert cost == pytest.approx(2.0 + 0.2 + 0.1 - 4 * (2.0 - 0.5) + 5 * (0.1 + 0.05))


def test_two_stations_at_one_node_sell_and_refill() -> None:
    cost, path = price_line(line(1.0, 7.0), [1, 1], [0.1, 5.0], [0.0, 1.05])
    assert path is not None and path.key[2] == ((1, "D", 1), (0, "C", 1))
    # sells 4 kWh at a margin of 0.9, buys 5 kWh at 0.2
    assert cost == pytest.approx(2.0 + 0.4 - 3.6 + 1.0)


def test_two_charges_are_needed() -> None:
    cost, path = price_line(line(8.0, 8.0, 8.0), [1, 2], [0.1, 0.2], None)
    assert path is not None and path.pattern == "CC"
    assert cost == pytest.approx(3.0 + 0.4 + 8 * 0.2 + 8 * 0.3)


def test_leg_front_of_two_routes() -> None:
    # fast and long against slow and short
    graph = Graph(
        ("0", "1", "2"),
        ("a", "b", "c"),
        np.array([0, 0, 1]),
        np.array([2, 1, 2]),
        np.array([7.0, 1.0, 1.0]),
        np.array([0.1, 0.1, 0.1]),
        np.ones(3, dtype=np.bool_),
    )
    fronts = LegFronts(graph, RULES, graph.free_flow_h, np.array([0]), np.array([0, 2]))
    found = fronts.fronts
    assert found.start.tolist() == [0, 1, 3]
    assert found.time[1:].tolist() == [0.1, 0.2]
    assert found.energy[1:].tolist() == [7.0, 2.0]
    fast, short = found.label[1:].tolist()
    assert (found.by[fast], found.before[fast]) == (0, found.label[0])
    assert (found.by[short], found.by[found.before[short]]) == (2, 1)
    closed = Graph(
        **{
            f: getattr(graph, f)
            for f in ("nodes", "arcs", "tail", "head", "length_km", "free_flow_h")
        },
        through=np.array([True, False, True]),
    )
    fronts = LegFronts(closed, RULES, graph.free_flow_h, np.array([0, 1]), np.array([1, 2]))
    assert np.diff(fronts.fronts.start).tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="lack a source"):
        fronts.rows(np.array([2]))
    with pytest.raises(ValueError, match="lack a target"):
        fronts.columns(np.array([0]))


def test_fronts_serve_other_prices_and_below() -> None:
    problem = Problem(np.random.default_rng(5))
    fronts = LegFronts.for_pairs(
        problem.graph, problem.rules, problem.times, problem.pairs, problem.station_node
    )
    for factor in (0.5, 1.0, 3.0):
        charge = factor * problem.prices["charge_price"]
        cost, paths = problem.price(charge_price=charge)
        again, same = problem.price(charge_price=charge, fronts=fronts)
        assert np.array_equal(cost, again) and paths == same
        bound = cost.copy()
        bound[0] += 1.0
        _, cheaper = problem.price(charge_price=charge, fronts=fronts, below=bound)
        assert cheaper == [p for p in paths if p.od == 0]
    assert fronts.at(problem.times.copy()) is fronts
    problem.times = problem.times + 0.01
    with pytest.raises(ValueError, match="other travel times"):
        problem.price(fronts=fronts)
    cost, paths = problem.price()
    again, same = problem.price(fronts=fronts.at(problem.times))
    assert np.array_equal(cost, again) and paths == same
    # departure and low level need no fronts of their own; another reserve does
    problem.rules = replace(problem.rules, departure=6.0, low=4.0)
    cost, _ = problem.price()
    assert np.array_equal(cost, problem.price(fronts=fronts.at(problem.times))[0])
    problem.rules = replace(problem.rules, reserve=1.0)
    with pytest.raises(ValueError, match="another battery"):
        problem.price(fronts=fronts.at(problem.times))


def test_never_dearer_than_any_enumerated_path() -> None:
    for seed in range(10):
        problem = Problem(np.random.default_rng(4000 + seed), nodes=8, arcs=28, stations=5)
        try:
            paths = enumerate_paths(
                problem.graph, problem.rules, problem.pairs, problem.station_node, 6, v2g=True
            )
        except DataError:
            continue
        cost, _ = problem.price()
        assert all(cost[p.od] <= problem.cost(p) + 1e-10 for p in paths)


def test_limit_of_the_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "ELEMENTARY_LIMIT", 3)
    with pytest.raises(V2GError, match="negative charging prices"):
        price_line(line(1.0, 1.0, 1.0, 1.0), [2], [-0.5], None)


def test_bad_numbers_raise() -> None:
    graph = line(1.0, 1.0)
    with pytest.raises(DataError, match="charge_price of station 0"):
        price_line(graph, [1], [np.nan], None)
    with pytest.raises(DataError, match="discharge_price of station 0"):
        price_line(graph, [1], [0.1], [np.inf])
    with pytest.raises(DataError, match="energy value -1"):
        price_line(graph, [1], [0.1], None, energy_value=-1.0)
    with pytest.raises(DataError, match="travel time of arc '1-2' is -1"):
        LegFronts(graph, RULES, np.array([0.1, -1.0]), np.array([0]), np.array([1]))
    with pytest.raises(ValueError, match="for 2 arcs"):
        shortest_routes(graph, np.array([0.1]), [(0, 1)])


@pytest.mark.parametrize("seed", range(10))
def test_shortest_routes_against_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = Problem(rng, nodes=9, arcs=24)
    graph = problem.graph
    g = nx.DiGraph()
    g.add_nodes_from(range(9))
    for a, t in enumerate(problem.times):
        g.add_edge(int(graph.tail[a]), int(graph.head[a]), h=t)
    pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
    hours, paths = shortest_routes(graph, problem.times, pairs)
    lengths = dict(nx.all_pairs_dijkstra_path_length(g, weight="h"))
    expected = [lengths[i].get(j, np.inf) for i, j in pairs]
    np.testing.assert_allclose(hours, expected, rtol=1e-13)
    assert [p.od for p in paths] == np.flatnonzero(np.isfinite(hours)).tolist()
    for path in paths:
        assert graph.is_route(path.arcs)
        assert (graph.tail[path.arcs[0]], graph.head[path.arcs[-1]]) == pairs[path.od]
        assert problem.times[list(path.arcs)].sum() == pytest.approx(hours[path.od])
    _, none = shortest_routes(graph, problem.times, pairs, below=hours)
    assert none == []
