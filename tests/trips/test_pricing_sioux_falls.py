"""Exact pricing of all 528 OD pairs of Sioux Falls against Dijkstra in a graph of battery levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

import v2geq as vg
from v2geq.arrays import FloatArray, IntArray
from v2geq.roads.graph import Graph
from v2geq.trips.battery import EnergyRules
from v2geq.trips.costs import Rates, rates
from v2geq.trips.fronts import FrontCache
from v2geq.trips.generation import price_all
from v2geq.trips.pricing import price_paths
from v2geq.trips.traffic import Traffic, TripConditions

CASE = vg.load_case("ieee123_sioux_falls")
GRAPH = Graph.from_road(CASE.road)
COUNT = len(GRAPH.nodes)
PAIRS = np.array([(i, j) for i in range(COUNT) for j in range(COUNT) if i != j])
STATIONS: IntArray = np.array(
    [GRAPH.nodes.index(str(n)) for n in CASE.stations["road_node"]], dtype=np.int64
)


def layered_costs(rules: EnergyRules, times: FloatArray, prices: dict[str, Any]) -> FloatArray:
    """(od,) least costs by one search per origin over (memory, node, level in whole kWh).

    The memory is what the rules need to know of earlier stops: none, the station and kind of the
    first, or that there were two. `shift` per stop keeps all lengths above zero.
    """
    stations, levels, shift = STATIONS.size, int(rules.battery) + 1, 1e3
    memories = 2 + 2 * stations  # none; charged at s; discharged at s; two stops
    omega = prices["value_of_time"]
    tail: list[int] = []
    head: list[int] = []
    length: list[float] = []

    def state(memory: int, node: int, level: int) -> int:
        return (memory * COUNT + node) * levels + level

    def edge(start: int, end: int, cost: float) -> None:
        tail.append(start)
        head.append(end)
        length.append(cost)

    for memory in range(memories):
        for a in range(len(GRAPH.arcs)):
            use = GRAPH.length_km[a]
            assert use == int(use)
            for level in range(levels):
                if level - use >= rules.reserve:
                    i, j = int(GRAPH.tail[a]), int(GRAPH.head[a])
                    left = level - int(use)
                    edge(state(memory, i, level), state(memory, j, left), omega * times[a])
        if memory == memories - 1:
            continue
        for s, node in enumerate(STATIONS.tolist()):
            if memory and (memory - 1) % stations == s:
                continue
            plug = omega / prices["charger_power"][s]
            for level in range(levels):
                add = int(rules.battery) - level
                after = 1 + s if memory == 0 else memories - 1
                if add > 0:
                    cost = omega * prices["charge_wait_h"][s]
                    cost += add * (prices["charge_price"][s] + plug) + shift
                    edge(state(memory, node, level), state(after, node, int(rules.battery)), cost)
                sell = level - int(rules.low)
                if prices["discharge_price"] is None or memory > stations or sell <= 0:
                    continue
                after = 1 + stations + s if memory == 0 else memories - 1
                earn = prices["discharge_price"][s] - prices["degradation"] - plug
                cost = omega * prices["discharge_wait_h"][s] - sell * earn + shift
                edge(state(memory, node, level), state(after, node, int(rules.low)), cost)
    size = memories * COUNT * levels
    # of equal ends the shortest: two ways to arrive at the same memory of two stops
    order = np.lexsort((length, head, tail))
    ends = np.array(tail)[order] * size + np.array(head)[order]
    first = np.concatenate(([True], ends[1:] != ends[:-1]))
    kept = order[first]
    lengths = np.array(length)[kept]
    assert lengths.min() > 0
    matrix = sparse.csr_array(
        (lengths, (np.array(tail)[kept], np.array(head)[kept])), shape=(size, size)
    )
    starts = [state(0, o, int(rules.start)) for o in range(COUNT)]
    distance = dijkstra(matrix, indices=starts).reshape(COUNT, memories, COUNT, levels)
    stops = np.array([0, *[1] * (2 * stations), 2])
    distance -= shift * stops[:, None, None]
    distance += prices["energy_value"] * (rules.start - np.arange(levels))
    best = distance.min(axis=(1, 3))
    result: FloatArray = best[PAIRS[:, 0], PAIRS[:, 1]]
    return result


RULES = EnergyRules(24.0, 4.8, 12.0, 1.0)


def random_prices(rng: np.random.Generator, v2g: bool = True) -> dict[str, Any]:
    return {
        "value_of_time": 12.0,
        "charge_wait_h": rng.uniform(0.0, 0.3, STATIONS.size),
        "discharge_wait_h": rng.uniform(0.0, 0.3, STATIONS.size),
        "charge_price": rng.uniform(0.05, 0.6, STATIONS.size),
        "discharge_price": rng.uniform(0.0, 1.5, STATIONS.size) if v2g else None,
        "charger_power": rng.choice([22.0, 50.0, 150.0], STATIONS.size),
        "degradation": 0.05,
        "energy_value": float(rng.choice([0.0, 0.15])),
    }


@pytest.mark.parametrize("seed", range(6))
def test_sioux_falls_random_prices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # three ranges: all trips direct, some with one stop, some with two or out of reach
    battery = (24.0, 16.0, 13.0)[seed % 3]
    rules = EnergyRules(battery, 4.0, 9.0, 1.0, (None, 11.0)[seed % 2])
    times = GRAPH.free_flow_h * rng.uniform(1.0, 3.0, len(GRAPH.arcs))
    prices = random_prices(rng, v2g=seed != 5)
    cost, paths = price_paths(GRAPH, rules, times, PAIRS, STATIONS, Rates(**prices))
    np.testing.assert_allclose(cost, layered_costs(rules, times, prices), rtol=1e-10)
    assert [p.od for p in paths] == np.flatnonzero(np.isfinite(cost)).tolist()
    patterns = {p.pattern for p in paths}
    assert {"C", "CC"} <= patterns if battery < 24.0 else "D" in patterns


def test_sioux_falls_ties() -> None:
    # free-flow times and lengths are whole numbers, so that many routes are equal; one price
    prices = random_prices(np.random.default_rng(9))
    for name in ("charge_wait_h", "discharge_wait_h"):
        prices[name] = np.full(STATIONS.size, 0.1)
    prices["charge_price"] = prices["discharge_price"] = np.full(STATIONS.size, 0.2)
    prices["charger_power"] = np.full(STATIONS.size, 50.0)
    cost, paths = price_paths(GRAPH, RULES, GRAPH.free_flow_h, PAIRS, STATIONS, Rates(**prices))
    np.testing.assert_allclose(cost, layered_costs(RULES, GRAPH.free_flow_h, prices), rtol=1e-10)
    assert len(paths) == len(PAIRS)
    assert all(not p.stops for p in paths if p.arrival_kwh >= 20.0)


@pytest.mark.parametrize("v2g", [True, False])
def test_sioux_falls_equilibrium_prices(v2g: bool) -> None:
    eq = vg.solve(CASE, "stress", v2g=v2g)
    roads, values = eq.coupled.traffic, eq.values
    times = roads.travel_time.time(values["drivers.arc_flow"])
    waits = roads.waits(values["drivers.station_flow"])
    kind = roads.classes["ev"]
    prices = {
        "value_of_time": kind.value_of_time,
        "charge_wait_h": waits[0],
        "discharge_wait_h": waits[1],
        "charge_price": values["charge_price"],
        "discharge_price": values.get("discharge_price"),
        "charger_power": roads.charger_power("ev"),
        "degradation": kind.degradation,
        "energy_value": kind.energy_value,
    }
    rules = roads.rules("ev")
    cost, _ = price_paths(GRAPH, rules, times, PAIRS, STATIONS, Rates(**prices))
    np.testing.assert_allclose(cost, layered_costs(rules, times, prices), rtol=1e-10)
    # at the equilibrium nothing is cheaper than what drivers pay
    own = {
        (int(o), int(d)): u
        for (o, d), u in zip(roads.od_pairs["ev"], values["drivers.demand_ev"], strict=True)
    }
    found = {(int(o), int(d)): c for (o, d), c in zip(PAIRS, cost, strict=True)}
    assert max(u - found[w] for w, u in own.items()) < 1e-7


def test_classes_share_fronts_while_times_stay() -> None:
    roads: Traffic = vg.solve(CASE, "base").coupled.traffic
    ev = roads.classes["ev"]
    roads = replace(
        roads,
        classes={
            **roads.classes,
            "late": replace(ev, start_level=0.6),
            "big": replace(ev, battery=40.0),
        },
        od_pairs={**roads.od_pairs, "late": PAIRS, "big": PAIRS[:5]},
        fronts=FrontCache(),
    )
    flow, queue = np.zeros(len(GRAPH.arcs)), np.zeros(len(roads.queues))
    here = TripConditions(flow, queue, np.full(STATIONS.size, 0.2), None)
    found = price_all(roads, here)
    assert len(roads.fronts.kept) == 2
    before = dict(roads.fronts.kept)
    again = price_all(roads, replace(here, charge_price=2.0 * here.charge_price))
    assert all(roads.fronts.kept[k] is f for k, f in before.items())
    assert (again.cost["late"] >= found.cost["late"]).all()
    price_all(roads, replace(here, arc_flow=flow + 1e4))
    assert all(roads.fronts.kept[k] is not f for k, f in before.items())
    # the same as without anything kept
    for name in ("ev", "late", "big"):
        cost, _ = price_paths(
            GRAPH,
            roads.rules(name),
            roads.travel_time.time(flow),
            roads.od_pairs[name],
            STATIONS,
            rates(roads, name, here),
        )
        assert np.array_equal(cost, found.cost[name])
