"""Traffic assignment: closed forms, best-known flows, networkx and cvxpy as second opinions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from cases import make_road

import v2geq as vg
from v2geq.analysis.validation import best_known_sioux_falls, braess
from v2geq.data.model.road import RoadNetwork
from v2geq.data.readers.folders import networks_folder
from v2geq.data.readers.road import read_road
from v2geq.roads.assign import _pool_of
from v2geq.roads.graph import Graph
from v2geq.roads.kernels import assignment as kernels
from v2geq.roads.kernels.delay import times_and_slopes
from v2geq.roads.problem import AssignmentProblem


def make_trips(pairs: dict[tuple[str, str], float]) -> pd.DataFrame:
    rows = [(o, d, float(q)) for (o, d), q in pairs.items()]
    return pd.DataFrame(rows, columns=["origin", "destination", "trips_veh_h"])


def random_road(rng: np.random.Generator, nodes: int = 8, extra: int = 14) -> RoadNetwork:
    """A strongly connected random network: a ring and random arcs."""
    ends = {(i, (i + 1) % nodes) for i in range(nodes)}
    while len(ends) < nodes + extra:
        i, j = (int(v) for v in rng.integers(nodes, size=2))
        if i != j:
            ends.add((i, j))
    return make_road(
        {
            f"n{i}-n{j}": {
                "capacity_veh_h": rng.uniform(5, 20),
                "free_flow_min": rng.choice([0.0, *rng.uniform(1, 10, 4)]),
                "length_km": rng.uniform(0, 5),
                "bpr_b": rng.uniform(0.1, 2),
                "bpr_power": rng.choice([0.0, 1.0, 2.0, 4.0, 5.5]),
                "toll": rng.choice([0.0, 0.0, 3.0]),
            }
            for i, j in sorted(ends)
        }
    )


def random_trips(rng: np.random.Generator, nodes: int = 8, pairs: int = 20) -> pd.DataFrame:
    every = [(f"n{i}", f"n{j}") for i in range(nodes) for j in range(nodes) if i != j]
    chosen = rng.choice(len(every), size=pairs, replace=False)
    return make_trips({every[k]: rng.uniform(0.5, 6) for k in chosen})


def gap_by_networkx(road: RoadNetwork, classes: dict[str, vg.UserClass], r: vg.Assignment) -> float:
    """Relative gap from the path table alone, with cheapest routes found by networkx."""
    arcs = road.arcs
    position = {
        (t, h): k for k, (t, h) in enumerate(zip(arcs["from_node"], arcs["to_node"], strict=True))
    }
    flow = np.zeros(len(arcs))
    routes = []
    for row in r.paths.itertuples():
        stops = row.route.split("-")
        used = [position[pair] for pair in pairwise(stops)]
        assert stops[0] == row.origin and stops[-1] == row.destination
        flow[used] += classes[row[1]].pce * row.flow_veh_h
        routes.append((row, used))
    np.testing.assert_allclose(flow, r.flow.to_numpy(), rtol=1e-9, atol=1e-9)
    ratio = flow / arcs["capacity_veh_h"].to_numpy()
    power = arcs["bpr_power"].to_numpy()
    congestion = np.where(power > 0, ratio**power, 1.0)
    time = arcs["free_flow_min"].to_numpy() * (1 + arcs["bpr_b"].to_numpy() * congestion)
    total = excess = 0.0
    for name, user in classes.items():
        toll = arcs["toll"].to_numpy() if "toll" in arcs else 0.0
        money = user.toll_share * toll + user.distance_cost * arcs["length_km"].to_numpy()
        cost = time + 60.0 / user.value_of_time * money
        graph = nx.DiGraph()
        for (t, h), k in position.items():
            graph.add_edge(t, h, cost=cost[k])
        for row, used in routes:
            if row[1] == name:
                best = nx.dijkstra_path_length(graph, row.origin, row.destination, weight="cost")
                total += row.flow_veh_h * cost[used].sum()
                excess += row.flow_veh_h * (cost[used].sum() - best)
                assert row.cost_min == pytest.approx(cost[used].sum(), rel=1e-9)
    for (name, o, d), part in r.paths.groupby(["class", "origin", "destination"]):
        table = classes[name].trips.set_index(["origin", "destination"])["trips_veh_h"]
        assert part["flow_veh_h"].sum() == pytest.approx(table[o, d], rel=1e-12)
    return excess / total


def test_braess_closed_form() -> None:
    """Three routes of 92 min each; without the arc in the middle two of 83 min."""
    road, trips = braess()
    r = vg.assign(road, trips, gap=1e-12)
    np.testing.assert_allclose(r.flow, [4, 2, 2, 2, 4], atol=1e-9)
    assert r.od["cost_min"].item() == pytest.approx(92, rel=1e-11)
    assert r.objective == pytest.approx(386, rel=1e-12)
    # integrals by hand: 5 x^2 for the steep arcs, 50 x + x^2 / 2 and 10 x + x^2 / 2
    assert r.objective == pytest.approx(2 * 80 + 2 * 102 + 22)
    r = vg.assign(road.without_arcs("3-4"), trips, gap=1e-12)
    assert r.od["cost_min"].item() == pytest.approx(83, rel=1e-11)


def test_sioux_falls_best_known() -> None:
    road = read_road(networks_folder() / "sioux_falls")
    r = vg.assign(road, road.trips, gap=1e-10)
    assert r.relative_gap <= 1e-10
    assert r.objective == pytest.approx(4231335.287107440, rel=1e-9)
    best = best_known_sioux_falls()["flow_veh_h"].reindex(r.flow.index)
    # a gap of 1e-10 leaves flows some 1e-3 veh/h of freedom; the published ones are met closer
    tight = vg.assign(road, road.trips, gap=1e-13, start=r)
    assert (tight.flow - best).abs().max() <= 1e-5
    assert (r.flow - best).abs().max() <= 1e-1


def test_two_routes_closed_form() -> None:
    """Linear times 1 + 0.1 x and 2 + 0.1 x for 30 trips: 20 and 10."""
    linear = {"bpr_power": 1.0, "capacity_veh_h": 10.0}
    road = make_road(
        {
            "a-b": {**linear, "free_flow_min": 1.0, "bpr_b": 1.0},
            "a-m": {**linear, "free_flow_min": 2.0, "bpr_b": 0.5},
            "m-b": {"free_flow_min": 0.0},
        }
    )
    r = vg.assign(road, make_trips({("a", "b"): 30}), gap=1e-12)
    np.testing.assert_allclose(r.flow, [20, 10, 10], rtol=1e-10)
    assert r.od["cost_min"].item() == pytest.approx(3.0)


@pytest.mark.parametrize("saving", [1e-3, 1e-7, 1e-11])
def test_routes_that_save_little_are_found(saving: float) -> None:
    """All 10 trips on one route cost 1 + saving, the other 1 + saving / 2 whatever its flow."""
    road = make_road(
        {
            "a-b": {"free_flow_min": 1.0, "bpr_b": saving, "bpr_power": 1.0, "capacity_veh_h": 10},
            "a-m": {"free_flow_min": 1.0 + saving / 2, "bpr_b": 0.0},
            "m-b": {"free_flow_min": 0.0},
        }
    )
    r = vg.assign(road, make_trips({("a", "b"): 10}), gap=saving * 1e-4)
    np.testing.assert_allclose(r.flow, 5.0, rtol=1e-3)


def test_times_and_slopes_follow_every_step() -> None:
    """In the middle of the work flows are those of the paths, times and slopes those of flows."""
    rng = np.random.default_rng(11)
    road = random_road(rng)
    road.arcs["delay"] = rng.choice(["bpr", "bpr", "conical"], 22)
    road.arcs["conical_alpha"] = 4.0
    problem = AssignmentProblem.build(
        road, {"truck": vg.UserClass(random_trips(rng), 20.0, pce=2.5)}
    )
    pairs = problem.demand.trips.size
    pool, state = kernels.reserved(pairs, 2 * pairs, 32 * pairs), problem.state
    order = np.full((problem.trips.source.size, 8), -1, dtype=np.int32)
    for sweeps in (0, 1, 3):
        work = (problem.roads, problem.trips, problem.delay, pool, state, order)
        pool, *_ = kernels.improve(*work, sweeps, 0.0)
        time, slope = times_and_slopes(problem.delay, state.flow)
        np.testing.assert_allclose(state.time, time, rtol=1e-12)
        np.testing.assert_allclose(state.slope, slope, rtol=1e-12)
        flow = np.zeros_like(state.flow)
        kernels.load_paths(problem.roads, problem.trips, pool, flow)
        np.testing.assert_allclose(state.flow, flow, atol=1e-10)


def test_toll_parts_classes_by_value_of_time() -> None:
    """A toll of 1 against 5 min more: worth it above 12 per h, whatever the flows."""
    fixed = {"bpr_b": 0.0, "bpr_power": 0.0}
    road = make_road(
        {
            "a-b": {**fixed, "free_flow_min": 5.0, "toll": 1.0},
            "a-m": {**fixed, "free_flow_min": 10.0, "toll": 0.0},
            "m-b": {**fixed, "free_flow_min": 0.0, "toll": 0.0},
        }
    )
    trips = make_trips({("a", "b"): 3})
    classes = {
        "rich": vg.UserClass(trips, value_of_time=13.0),
        "poor": vg.UserClass(trips, value_of_time=11.0),
        "exempt": vg.UserClass(trips, value_of_time=11.0, toll_share=0.0),
        "free": vg.UserClass(trips),
    }
    r = vg.assign(road, classes, gap=1e-12)
    paid = {name: r.arcs[f"flow_{name}_veh_h"]["a-b"] for name in classes}
    assert paid == {"rich": 3, "poor": 0, "exempt": 3, "free": 3}
    cost = r.od.set_index("class")["cost_min"]
    assert cost["rich"] == pytest.approx(5 + 60 / 13)
    assert cost["poor"] == pytest.approx(10)
    assert r.skim("toll", user="rich").loc["a", "b"] == 1
    assert r.skim("toll", user="poor").loc["a", "b"] == 0


def test_passenger_car_equivalents_by_hand() -> None:
    """Ten trucks of 2 pce on times 1 + 0.1 x and 2 + 0.1 x (x in pce): costs equal at 15 and 5."""
    linear = {"bpr_power": 1.0, "capacity_veh_h": 10.0}
    road = make_road(
        {
            "a-b": {**linear, "free_flow_min": 1.0, "bpr_b": 1.0},
            "a-m": {**linear, "free_flow_min": 2.0, "bpr_b": 0.5},
            "m-b": {"free_flow_min": 0.0},
        }
    )
    r = vg.assign(road, {"truck": vg.UserClass(make_trips({("a", "b"): 10}), pce=2.0)}, 1e-12)
    np.testing.assert_allclose(r.flow, [15, 5, 5], rtol=1e-10)
    assert r.paths["flow_veh_h"].sum() == pytest.approx(10)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_against_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    road = random_road(rng)
    classes = {
        "car": vg.UserClass(random_trips(rng), value_of_time=12.0, distance_cost=0.2),
        "truck": vg.UserClass(random_trips(rng), value_of_time=40.0, pce=2.5),
    }
    r = vg.assign(road, classes, gap=1e-10)
    assert abs(gap_by_networkx(road, classes, r)) <= 2e-10


@pytest.mark.parametrize("seed", range(3))
def test_random_networks_against_convex_program(seed: int) -> None:
    """Beckmann's program by flows of class and origin, solved by an interior point method."""
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(100 + seed)
    road = random_road(rng, nodes=6, extra=8)
    arcs = road.arcs
    arcs["bpr_power"] = rng.choice([1.0, 4.0], len(arcs))
    classes = {
        "car": vg.UserClass(random_trips(rng, 6, 6), value_of_time=60.0, distance_cost=0.3),
        "truck": vg.UserClass(random_trips(rng, 6, 4), value_of_time=20.0, pce=2.5),
    }
    nodes = list(road.nodes.index)
    tail = np.array([nodes.index(n) for n in arcs["from_node"]])
    head = np.array([nodes.index(n) for n in arcs["to_node"]])
    incidence = np.zeros((len(nodes), len(arcs)))
    incidence[head, np.arange(len(arcs))] += 1
    incidence[tail, np.arange(len(arcs))] -= 1
    total, cost, constraints = 0, 0, []
    for user in classes.values():
        money = arcs["toll"] + user.distance_cost * arcs["length_km"]
        for origin, part in user.trips.groupby("origin"):
            x = cp.Variable(len(arcs), nonneg=True)
            need = np.zeros(len(nodes))
            for row in part.itertuples():
                need[nodes.index(row.destination)] += row.trips_veh_h
                need[nodes.index(origin)] -= row.trips_veh_h
            constraints.append(incidence @ x == need)
            total += user.pce * x
            cost += user.pce * 60.0 / user.value_of_time * (money.to_numpy() @ x)
    t0, b, c, p = (
        arcs[k].to_numpy() for k in ("free_flow_min", "bpr_b", "capacity_veh_h", "bpr_power")
    )
    cost += t0 @ total + sum(
        t0[k] * b[k] * c[k] / (p[k] + 1) * cp.power(total[k] / c[k], p[k] + 1)
        for k in range(len(arcs))
    )
    program = cp.Problem(cp.Minimize(cost), constraints)
    program.solve(solver="CLARABEL")
    r = vg.assign(road, classes, gap=1e-11)
    assert r.objective == pytest.approx(program.value, rel=1e-6)
    steep = (t0 > 0) & (b > 0)
    np.testing.assert_allclose(r.flow[steep], total.value[steep], atol=2e-2)


def test_least_objective_grows_by_the_cost_of_a_trip() -> None:
    """Envelope theorem, by central differences, with every kind of delay and two classes."""
    rng = np.random.default_rng(8)
    road = random_road(rng)
    road.arcs["delay"] = rng.choice(["bpr", "conical", "t0*(1 + x/c) + 0.1*sqrt(1 + x)"], 22)
    road.arcs["conical_alpha"] = 4.0
    road.arcs["fixed_min"] = rng.choice([0.0, 1.0], 22)
    classes = {
        "car": vg.UserClass(random_trips(rng), value_of_time=12.0, distance_cost=0.2),
        "truck": vg.UserClass(random_trips(rng), value_of_time=40.0, pce=2.5),
    }
    r = vg.assign(road, classes, 1e-12)
    for name, user in classes.items():
        sides = []
        for h in (1e-3, -1e-3):
            table = user.trips.copy()
            table.loc[0, "trips_veh_h"] += h
            changed = {**classes, name: replace(user, trips=table)}
            sides.append(vg.assign(road, changed, 1e-12, start=r).objective)
        o, d = user.trips.loc[0, ["origin", "destination"]]
        cost = r.od.set_index(["class", "origin", "destination"])["cost_min"][name, o, d]
        assert (sides[0] - sides[1]) / 2e-3 == pytest.approx(user.pce * cost, rel=1e-5)


def test_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(9)
    road, trips = random_road(rng), random_trips(rng)
    r = vg.assign(road, trips, 1e-12)
    mixed = replace(
        road,
        nodes=road.nodes.sample(frac=1, random_state=1),
        arcs=road.arcs.sample(frac=1, random_state=1),
    )
    other = vg.assign(mixed, trips.sample(frac=1, random_state=1), 1e-12)
    steep = road.arcs.index[(road.arcs[["free_flow_min", "bpr_power"]] > 0).all(axis=1)]
    np.testing.assert_allclose(other.flow[steep], r.flow[steep], rtol=1e-5, atol=1e-5)
    costs = [x.od.set_index(["origin", "destination"])["cost_min"] for x in (r, other)]
    np.testing.assert_allclose(costs[1][costs[0].index], costs[0], rtol=1e-9)
    assert other.objective == pytest.approx(r.objective, rel=1e-11)


@pytest.mark.parametrize("delay", ["conical", "t0*(1 + 0.3*(x/c)**2) + 0.1*sqrt(1 + x)"])
def test_other_delay_functions_equalise_costs(delay: str) -> None:
    rng = np.random.default_rng(5)
    road = random_road(rng)
    road.arcs["delay"] = delay
    road.arcs["conical_alpha"] = 4.0
    r = vg.assign(road, random_trips(rng), gap=1e-11)
    t0, c, x = road.arcs["free_flow_min"], road.arcs["capacity_veh_h"], r.flow
    if delay == "conical":
        room = 1 - x / c
        time = t0 * (2 + np.sqrt(16 * room**2 + (7 / 6) ** 2) - 4 * room - 7 / 6)
    else:
        time = t0 * (1 + 0.3 * (x / c) ** 2) + 0.1 * np.sqrt(1 + x)
    np.testing.assert_allclose(r.time, time, rtol=1e-12)
    cost = r.paths.groupby(["origin", "destination"])["cost_min"]
    np.testing.assert_allclose(cost.max(), cost.min(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "delay", ["t0*(1 + 10/(1 + exp(20*(1 - x/c))))", "t0*(1 + 10*x**8/(x**8 + c**8))"]
)
def test_times_that_level_off(delay: str) -> None:
    """Newton's step alone goes to and fro between two routes that are flat at both ends."""
    steps = {"capacity_veh_h": 1.0, "delay": delay}
    road = make_road({"a-b": steps, "a-m": steps, "m-b": {"free_flow_min": 0.0}})
    r = vg.assign(road, make_trips({("a", "b"): 2}), 1e-12)
    np.testing.assert_allclose(r.flow, 1.0, rtol=1e-10)


def test_times_that_overflow_on_the_way() -> None:
    """All trips on one route take exp(1000) min; shared evenly they take exp(500)."""
    steep = {"capacity_veh_h": 0.01, "delay": "t0*exp(x/c)"}
    road = make_road({"a-b": steep, "a-m": steep, "m-b": {"free_flow_min": 0.0}})
    r = vg.assign(road, make_trips({("a", "b"): 10}), 1e-12)
    np.testing.assert_allclose(r.flow, 5.0, rtol=1e-10)


@pytest.mark.parametrize(
    ("arc", "trips", "user"),
    [
        ({"capacity_veh_h": 1e-20, "bpr_power": 20.0}, 10.0, {}),
        ({"capacity_veh_h": 1e-100}, 10.0, {}),
        ({}, 1e300, {}),
        ({}, 1e200, {"pce": 1e200}),
        ({"toll": 1e307}, 100.0, {"value_of_time": 60.0}),
    ],
)
def test_overflow_is_loud(arc: Any, trips: float, user: Any) -> None:
    road = make_road({"a-b": arc, "a-m": arc, "m-b": arc})
    classes = {"car": vg.UserClass(make_trips({("a", "b"): trips}), **user)}
    with pytest.raises(vg.ConvergenceError, match="beyond all numbers"):
        vg.assign(road, classes)
    assert not vg.assign(road, classes, check=False).converged


def test_overflow_before_a_pair_has_a_path() -> None:
    """Trips from a overflow the arc that trips from c need as well: no flow of theirs is lost."""
    road = make_road({"a-b": {"capacity_veh_h": 0.01, "delay": "t0*exp(x/c)"}, "c-a": {}})
    trips = make_trips({("a", "b"): 10, ("c", "b"): 1})
    with pytest.raises(vg.ConvergenceError, match="beyond all numbers \\(arc 'a-b'\\)"):
        vg.assign(road, trips)
    r = vg.assign(road, trips, check=False)
    assert not r.converged and r.od["paths"].tolist() == [1, 0]


@pytest.mark.parametrize("capacity", [1e-80, 1e-70, 1e90])
def test_extreme_capacities(capacity: float) -> None:
    """Powers of the capacity may overflow or lose digits; flow over capacity does not."""
    road = make_road({"a-b": {"capacity_veh_h": capacity}})
    r = vg.assign(road, make_trips({("a", "b"): 3 * capacity}))
    assert r.time["a-b"] == pytest.approx(5 * (1 + 0.15 * 81), rel=1e-12)


def test_roads_that_cost_nothing() -> None:
    road = make_road({arc: {"free_flow_min": 0.0} for arc in ("a-b", "b-c", "c-b", "a-c")})
    r = vg.assign(road, make_trips({("a", "b"): 1, ("a", "c"): 2}))
    assert r.relative_gap == 0.0 and len(r.iterations) == 2
    assert r.flow.sum() >= 3.0 and r.od["cost_min"].tolist() == [0.0, 0.0]


def test_zones_are_not_passed() -> None:
    """The short way leads through a zone; it may only start or end there."""
    slow = {"free_flow_min": 50.0}
    arcs = {"a-z": {}, "z-b": {}, "a-m": slow, "m-b": slow}
    trips = make_trips({("a", "b"): 1, ("a", "z"): 1, ("z", "b"): 1})
    open_road = vg.assign(make_road(arcs), trips, 1e-12).paths
    assert "a-z-b" in set(open_road["route"])
    routes = set(vg.assign(make_road(arcs, closed=["a", "b", "z"]), trips, 1e-12).paths["route"])
    assert routes == {"a-m-b", "a-z", "z-b"}
    only = make_road({"a-z": {}, "z-b": {}}, closed=["z"])
    with pytest.raises(vg.DataError, match="have no route: a -> b"):
        vg.assign(only, trips)
    skim = vg.assign(only, make_trips({("a", "z"): 1, ("z", "b"): 1})).skim()
    assert skim.loc["a", "b"] == np.inf and skim.loc["z", "b"] < 5.1


def test_one_newton_step_meets_linear_times() -> None:
    """The second search finds the other route and shares 25 pce at once, one to three."""
    linear = {"bpr_power": 1.0, "capacity_veh_h": 10.0, "bpr_b": 1.0}
    wide = {**linear, "capacity_veh_h": 30.0}
    road = make_road({"a-b": linear, "a-m": wide, "m-b": {"free_flow_min": 0.0}})
    truck = vg.UserClass(make_trips({("a", "b"): 10}), pce=2.5)
    problem = AssignmentProblem.build(road, {"truck": truck})
    pool, order = kernels.reserved(1, 2, 32), np.full((1, 3), -1, dtype=np.int32)
    for _ in range(2):
        work = (problem.roads, problem.trips, problem.delay, pool, problem.state, order)
        pool, *_ = kernels.improve(*work, 0, 0.0)
    flow = problem.by_arc(problem.state.flow)
    np.testing.assert_allclose(flow, [6.25, 18.75, 18.75], rtol=1e-12)


def test_one_sweep_leaves_all_dearer_routes_of_constant_cost() -> None:
    """From three routes in use to the cheapest; the excess met is that of the flows before."""
    ends = ("a-b", "a-m", "m-b", "a-n", "n-b")
    linear = {"bpr_power": 1.0, "capacity_veh_h": 1.0, "bpr_b": 1.0}
    trips = make_trips({("a", "b"): 9})
    shared = vg.assign(make_road({arc: linear for arc in ends}), trips, 1e-12)
    flow = shared.flow
    times = {"a-b": 6.0, "a-m": 2.0, "m-b": 2.0, "a-n": 1.0, "n-b": 2.0}
    road = make_road({arc: {"free_flow_min": t, "bpr_b": 0.0} for arc, t in times.items()})
    problem = AssignmentProblem.build(road, {"all": vg.UserClass(trips)})
    pool = _pool_of(problem, shared)
    work = (problem.roads, problem.trips)
    kernels.load_paths(*work, pool, problem.state.flow)
    excess = kernels.rebalance(*work, problem.delay, pool, problem.state)
    assert excess == pytest.approx(3 * flow["a-b"] + flow["a-m"])
    np.testing.assert_allclose(problem.by_arc(problem.state.flow), [0, 0, 0, 9, 9], atol=1e-12)


def test_costs_no_flow_changes_are_part_of_the_choice() -> None:
    """5 min against 2 min and a fixed cost of 4 min; at 60 per h and km 1 per km on top."""
    fixed = {"bpr_b": 0.0, "length_km": 0.0}
    arcs = {
        "a-b": {**fixed, "free_flow_min": 5.0, "fixed_min": 0.0, "length_km": 2.0},
        "a-m": {**fixed, "free_flow_min": 2.0, "fixed_min": 4.0},
        "m-b": {**fixed, "free_flow_min": 0.0, "fixed_min": 0.0},
    }
    trips = make_trips({("a", "b"): 1})
    classes = {"time": vg.UserClass(trips), "money": vg.UserClass(trips, 60.0, distance_cost=1.0)}
    r = vg.assign(make_road(arcs), classes, 1e-12)
    assert r.paths["route"].tolist() == ["a-b", "a-m-b"]
    assert r.od["cost_min"].tolist() == [5.0, 6.0]
    assert r.objective == pytest.approx(11.0)


def test_intrazonal_trips_are_left_out_and_reported() -> None:
    road = make_road({"a-b": {}, "b-a": {}})
    trips = make_trips({("a", "b"): 2, ("a", "a"): 7, ("b", "b"): 1, ("b", "a"): 0})
    r = vg.assign(road, trips)
    assert r.intrazonal == {"all": 8.0}
    assert r.od["trips_veh_h"].tolist() == [2.0]
    assert "intrazonal trips left out" in r.figures


def test_warm_start_after_more_demand() -> None:
    road = read_road(networks_folder() / "sioux_falls")
    r = vg.assign(road, road.trips, gap=1e-10)
    again = vg.assign(road, road.trips, gap=1e-10, start=r)
    assert len(again.iterations) == 1
    more = road.trips.iloc[5:].assign(trips_veh_h=lambda t: 1.05 * t["trips_veh_h"])
    cold, warm = vg.assign(road, more, gap=1e-9), vg.assign(road, more, gap=1e-9, start=r)
    assert len(warm.iterations) <= len(cold.iterations)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-9)
    # and the start is as it was
    assert r.objective == pytest.approx(4231335.287107440, rel=1e-9)
    assert r.paths["flow_veh_h"].sum() == pytest.approx(road.trips["trips_veh_h"].sum())


def test_warm_start_with_other_classes_and_tolls() -> None:
    rng = np.random.default_rng(1)
    road = random_road(rng)
    car, truck = random_trips(rng), random_trips(rng)
    first = vg.assign(road, {"car": vg.UserClass(car), "bus": vg.UserClass(truck)}, 1e-10)
    classes = {
        "truck": vg.UserClass(truck, value_of_time=20.0),
        "car": vg.UserClass(car, value_of_time=10.0, distance_cost=0.1),
    }
    warm = vg.assign(road, classes, 1e-10, start=first)
    assert abs(gap_by_networkx(road, classes, warm)) <= 2e-10
    cold = vg.assign(road, classes, 1e-10)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-8)


def test_warm_start_after_the_demand_grew_from_next_to_nothing() -> None:
    """The ratio of the two demands is beyond all numbers."""
    road = make_road({"a-b": {}, "a-m": {}, "m-b": {}})
    little = vg.assign(road, make_trips({("a", "b"): 1e-310}))
    much = make_trips({("a", "b"): 1e4})
    warm, cold = vg.assign(road, much, 1e-12, start=little), vg.assign(road, much, 1e-12)
    np.testing.assert_allclose(warm.flow, cold.flow, rtol=1e-6)


def test_warm_start_from_another_graph_is_refused() -> None:
    """The same names, but a zone now closed, or arcs that lead elsewhere."""
    arcs = {"a-z": {}, "z-b": {}, "a-m": {}, "m-b": {}}
    road, trips = make_road(arcs), make_trips({("a", "b"): 1})
    r = vg.assign(road, trips)
    turned = road.arcs.assign(from_node=["a", "m", "a", "z"], to_node=["m", "b", "z", "b"])
    closed, other = make_road(arcs, closed=["z"]), RoadNetwork("o", road.nodes, turned, trips)
    for changed in (closed, other):
        with pytest.raises(vg.DataError, match="other roads"):
            vg.assign(changed, trips, start=r)


def test_skims_are_shortest_paths() -> None:
    rng = np.random.default_rng(2)
    road = random_road(rng)
    road.arcs["free_flow_min"] += 0.5  # unique cheapest routes
    r = vg.assign(road, random_trips(rng), gap=1e-8)
    graph = nx.DiGraph()
    for arc, row in road.arcs.iterrows():
        graph.add_edge(row["from_node"], row["to_node"], time=r.time[arc], length=row["length_km"])
    cost, length, time = r.skim(), r.skim("length"), r.skim("time")
    for o in cost.index:
        best = nx.single_source_dijkstra(graph, o, weight="time")
        for d in cost.columns:
            assert cost.loc[o, d] == pytest.approx(best[0][d])
            assert length.loc[o, d] == pytest.approx(nx.path_weight(graph, best[1][d], "length"))
    pd.testing.assert_frame_equal(cost, time)
    assert r.skim(zones=["n1", "n0"]).index.tolist() == ["n1", "n0"]


def test_skims_along_roads_without_time() -> None:
    """Nodes at equal distance are summed up in the order of the route, from either end."""
    ends = ("a-b", "b-c", "c-d", "d-c", "c-b", "b-a")
    road = make_road({arc: {"free_flow_min": 0.0, "length_km": 1.0} for arc in ends})
    length = vg.assign(road, make_trips({("a", "d"): 1})).skim("length", zones=list("adbc"))
    at = np.array([0, 3, 1, 2])
    np.testing.assert_array_equal(length, np.abs(at[:, None] - at))


def test_skim_without_route_is_infinite() -> None:
    road = make_road({"a-b": {}, "b-c": {}})
    r = vg.assign(road, make_trips({("a", "c"): 1}))
    assert r.skim("length").loc["c", "a"] == np.inf
    assert r.skim("length").loc["a", "c"] == 10.0
    assert r.skim("time").loc["a", "a"] == 0.0


def test_select_link_counts_each_path_once() -> None:
    road = read_road(networks_folder() / "sioux_falls")
    r = vg.assign(road, road.trips, gap=1e-8)
    one = r.select_link("10-15")
    assert one.trips == pytest.approx(r.flow["10-15"])
    assert one.flow["10-15"] == pytest.approx(one.trips)
    assert one.od["trips_veh_h"].sum() == pytest.approx(one.trips)
    other = r.select_link("15-22")
    both, either = r.select_link("10-15", "15-22", how="all"), r.select_link("10-15", "15-22")
    assert either.trips == pytest.approx(one.trips + other.trips - both.trips)
    assert 0 < both.trips < min(one.trips, other.trips)
    assert (one.flow <= r.flow + 1e-9).all()


def test_tables_agree_with_each_other(tmp_path: Any) -> None:
    road = read_road(networks_folder() / "sioux_falls")
    r = vg.assign(road, road.trips, gap=1e-8)
    spent = r.paths["flow_veh_h"] @ r.paths["cost_min"]
    assert r.total_cost == pytest.approx(spent) == pytest.approx(r.flow @ r.time)
    assert r.total_cost - r.od["trips_veh_h"] @ r.od["cost_min"] == pytest.approx(
        r.excess_cost, abs=1e-5
    )
    assert r.log["relative_gap"].iloc[-1] == r.relative_gap
    assert r.log["paths"].iloc[-1] == len(r.paths)
    r.save(tmp_path / "out")
    arcs = pd.read_csv(tmp_path / "out" / "arcs.csv", index_col="arc")
    # the default reader of older pandas may miss the last digit
    np.testing.assert_allclose(arcs["flow_veh_h"], r.flow, rtol=1e-15)
    paths, od = (pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("paths", "od"))
    least = paths.merge(od, on=["class", "origin", "destination"])["cost_min_y"]
    excess = paths["flow_veh_h"] @ (paths["cost_min"] - least)
    assert excess / (paths["flow_veh_h"] @ paths["cost_min"]) == pytest.approx(
        r.relative_gap, rel=1e-6
    )
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "arcs.csv",
        "od.csv",
        "paths.csv",
        "log.csv",
    }
    assert "relative gap" in r._repr_html_()


def test_gap_not_reached_is_loud() -> None:
    road = read_road(networks_folder() / "sioux_falls")
    with pytest.raises(vg.ConvergenceError, match="after 2 iterations"):
        vg.assign(road, road.trips, gap=1e-10, max_iterations=2)
    r = vg.assign(road, road.trips, gap=1e-10, max_iterations=2, check=False)
    assert not r.converged and r.relative_gap > 1e-10
    with pytest.raises(vg.ConvergenceError, match="rounding"):
        vg.assign(road, road.trips, gap=1e-20)


def test_progress_tells_every_iteration() -> None:
    road, trips = braess()
    lines: list[str] = []
    r = vg.assign(road, trips, progress=lines.append)
    assert len(lines) == len(r.iterations)
    assert "relative gap" in lines[-1]


ROAD = make_road({"a-b": {}, "b-c": {}, "c-b": {}})
GOOD = make_trips({("a", "c"): 1})


@pytest.mark.parametrize(
    ("trips", "message"),
    [
        (
            make_trips({("c", "a"): 2, ("a", "b"): 1}),
            r"1 OD pairs with 2 veh/h have no route: c -> a",
        ),
        (make_trips({("a", "zone"): 1}), "destination 'zone', no node"),
        (make_trips({("a", "c"): -1}), "from a to c are -1.0"),
        (make_trips({("a", "c"): np.nan}), "from a to c are nan"),
        (make_trips({("a", "a"): 5}), "no trips between different zones"),
        (pd.concat([GOOD, GOOD]), "from a to c appear twice"),
        (GOOD.drop(columns="trips_veh_h"), "lack the column trips_veh_h"),
        (
            {"car": vg.UserClass(GOOD, value_of_time=0.0)},
            "value_of_time of user class 'car' is 0.0",
        ),
        ({"car": vg.UserClass(GOOD, pce=-1.0)}, "pce of user class 'car'"),
        ({"car": vg.UserClass(GOOD, pce=np.inf)}, "pce of user class 'car' is inf"),
        ({"car": vg.UserClass(GOOD, distance_cost=-1.0)}, "distance_cost of user class 'car'"),
        ({"car": vg.UserClass(GOOD, toll_share=np.nan)}, "toll_share of user class 'car' is nan"),
        ({"car": GOOD}, "user class 'car' is a DataFrame"),
        ({}, "no trips"),
        (GOOD.assign(trips_veh_h="ten"), "from a to c are ten"),
    ],
)
def test_bad_trips_are_named(trips: Any, message: str) -> None:
    with pytest.raises(vg.DataError, match=message):
        vg.assign(ROAD, trips)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("capacity_veh_h", 0.0),
        ("capacity_veh_h", np.nan),
        ("capacity_veh_h", 1e-320),
        ("free_flow_min", -1.0),
        ("bpr_b", -0.1),
        ("bpr_power", 0.5),
        ("length_km", np.inf),
        ("fixed_min", -1.0),
    ],
)
def test_bad_arcs_are_named(column: str, value: float) -> None:
    road = make_road({"a-b": {}, "b-c": {column: value}})
    if column == "fixed_min":
        road.arcs["fixed_min"] = road.arcs["fixed_min"].fillna(0.0)
    with pytest.raises(vg.DataError, match="'b-c'"):
        vg.assign(road, GOOD)


@pytest.mark.parametrize("what", ["nodes", "arcs"])
def test_names_given_twice_are_refused(what: str) -> None:
    twice = replace(ROAD, **{what: pd.concat([getattr(ROAD, what)] * 2)})
    with pytest.raises(vg.DataError, match=f"{what[:-1]} '.*' appears twice"):
        vg.assign(twice, GOOD)


def test_trips_in_other_dress() -> None:
    """Integer or categorical zones, whole numbers, more columns, any index."""
    road = make_road({"1-2": {}, "2-3": {}})
    plain = vg.assign(road, make_trips({("1", "3"): 4, ("1", "2"): 2}))
    table = pd.DataFrame(
        {"purpose": "work", "trips_veh_h": [2, 4], "destination": [2, 3], "origin": [1, 1]},
        index=[7, 7],
    )
    for trips in (table, table.astype({"origin": "category", "destination": "category"})):
        pd.testing.assert_frame_equal(vg.assign(road, trips).od, plain.od)


def test_arcs_without_a_delay_are_bpr() -> None:
    road = make_road({"a-b": {}, "b-c": {"delay": "conical", "conical_alpha": 4.0}, "c-b": {}})
    partly = replace(road, arcs=road.arcs.assign(delay=[None, "conical", np.nan]))
    assert vg.assign(partly, GOOD).time.tolist() == vg.assign(road, GOOD).time.tolist()


def test_bad_calls_are_named() -> None:
    with pytest.raises(vg.DataError, match="gap = 0"):
        vg.assign(ROAD, GOOD, gap=0.0)
    with pytest.raises(vg.DataError, match="max_iterations = 0"):
        vg.assign(ROAD, GOOD, max_iterations=0)
    r = vg.assign(ROAD, GOOD)
    with pytest.raises(vg.DataError, match="other roads"):
        vg.assign(make_road({"a-c": {}}), GOOD, start=r)
    with pytest.raises(vg.DataError, match="no arc 'a-d'; did you mean"):
        r.select_link("a-d")
    with pytest.raises(vg.DataError, match="how='some'"):
        r.select_link("a-b", how="some")
    with pytest.raises(vg.DataError, match="cannot skim 'distance'"):
        r.skim("distance")
    with pytest.raises(vg.DataError, match="no zone 'x'"):
        r.skim(zones=["x"])


def test_changed_arcs() -> None:
    """A toll of 1 at 60 per h is a minute; the network it came from stays as it is."""
    road = make_road({"a-b": {"bpr_b": 0.0, "free_flow_min": 3.0}})
    trips = make_trips({("a", "b"): 1})
    dear = road.with_arcs({"a-b": {"toll": 1.0, "delay": "4 + x"}})
    r = vg.assign(dear, {"all": vg.UserClass(trips, value_of_time=60.0)})
    assert r.od["cost_min"].item() == pytest.approx(4 + 1 + 1)
    assert vg.assign(road, trips).od["cost_min"].item() == pytest.approx(3)
    with pytest.raises(vg.DataError, match="no arc 'a-c'; did you mean 'a-b'"):
        road.with_arcs({"a-c": {"toll": 1.0}})
    with pytest.raises(vg.DataError, match="no column 'tol'; did you mean 'toll'"):
        road.with_arcs({"a-b": {"tol": 1.0}})
    with pytest.raises(vg.DataError, match="no arc 'x'"):
        road.without_arcs("x")


def test_order_of_a_tree_has_every_node_once() -> None:
    """Also those out of reach: the next tree starts from it."""
    from v2geq.roads.kernels.trees import first_tree, next_tree

    graph = Graph.from_road(make_road({"a-b": {}, "b-c": {}, "d-a": {}, "e-d": {}}))
    distance, by = np.empty(5), np.empty(5, dtype=np.int64)
    order = np.full(5, -1, dtype=np.int32)
    length = np.ones(4)
    first_tree(graph.star, 1, length, distance, by, order)
    assert sorted(order) == list(range(5)) and order[0] == 1
    next_tree(graph.star, 1, length, distance, by, order)
    assert sorted(order) == list(range(5))
    assert distance.tolist() == [np.inf, 0.0, 1.0, np.inf, np.inf]
