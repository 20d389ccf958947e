"""Exact pricing of paths with stops: CPU time of the fronts of all legs and of a price-only round.

Sioux Falls with the stations of the shipped case and all 528 OD pairs; with a folder of TNTP
networks (github.com/bstabler/TransportationNetworks) also bigger ones with random stations, at
free-flow times and at random times up to twice as long. The peer is the same label setting in plain
Python, with heapq, in the same run; both must find fronts of the same size. Kernels are warm; what
the first call costs in this process is printed apart (compiled, or read from the cache).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

import v2geq as vg
from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.road import RoadNetwork
from v2geq.roads.graph import Graph
from v2geq.trips.battery import EnergyRules
from v2geq.trips.costs import Rates
from v2geq.trips.fronts import LegFronts
from v2geq.trips.pricing import price_paths, shortest_routes

# folder, prefix, stations, kWh per km
NETWORKS: dict[str, tuple[str, int, float]] = {
    "Anaheim": ("Anaheim", 20, 0.2),
    "Chicago-Sketch": ("ChicagoSketch", 50, 0.2),
}


def cpu_ms(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median CPU milliseconds of a call, and the last result; short calls are timed in bundles."""
    times = []
    for _ in range(runs):
        begin = time.process_time()
        calls = 0
        while not calls or time.process_time() - begin < 0.02:
            result = work()
            calls += 1
        times.append((time.process_time() - begin) / calls * 1e3)
    return statistics.median(times), result


def plain_label_setting(
    graph: Graph, rules: EnergyRules, times: FloatArray, sources: IntArray, targets: IntArray
) -> int:
    """Number of labels on all fronts, by a textbook label setting in Python."""
    steps: list[list[tuple[int, float, float]]] = [[] for _ in graph.nodes]
    use = rules.consumption * graph.length_km
    for tail, head, t, e in zip(graph.tail, graph.head, times, use, strict=True):
        steps[tail].append((int(head), float(t), float(e)))
    budget, slack = rules.full_budget + rules.tolerance, 1e-12 * rules.battery
    through, wanted = graph.through.tolist(), set(targets.tolist())
    count = 0
    for source in sources.tolist():
        least = [np.inf] * len(steps)
        heap = [(0.0, 0.0, source)]
        while heap:
            now, used, node = heappop(heap)
            if used >= least[node] - slack:
                continue
            least[node] = used
            count += node in wanted
            if through[node] or node == source:
                for head, t, e in steps[node]:
                    if used + e <= budget and used + e < least[head] - slack:
                        heappush(heap, (now + t, used + e, head))
    return count


def measure(
    name: str,
    graph: Graph,
    rules: EnergyRules,
    pairs: IntArray,
    station_node: IntArray,
    runs: int,
) -> None:
    """Print one line for free-flow times and one for times up to twice as long."""
    rng = np.random.default_rng(1)
    stations = station_node.size
    rates = Rates(
        value_of_time=12.0,
        charge_wait_h=rng.uniform(0.0, 0.2, stations),
        discharge_wait_h=rng.uniform(0.0, 0.2, stations),
        charge_price=rng.uniform(0.1, 0.4, stations),
        discharge_price=rng.uniform(0.1, 0.8, stations),
        charger_power=np.full(stations, 50.0),
        degradation=0.05,
        energy_value=0.1,
    )
    none = np.full(len(pairs), -np.inf)
    for state, times in (
        ("free flow", graph.free_flow_h),
        ("congested", graph.free_flow_h * rng.uniform(1.0, 2.0, len(graph.arcs))),
    ):
        fronts = LegFronts.for_pairs(graph, rules, times + 1.0, pairs, station_node)

        def rebuild(fronts: LegFronts = fronts, times: FloatArray = times) -> LegFronts:
            return fronts.at(times)

        build_ms, fronts = cpu_ms(rebuild, runs)

        def price(fronts: LegFronts = fronts, times: FloatArray = times) -> Any:
            return price_paths(
                graph, rules, times, pairs, station_node, rates, fronts=fronts, below=none
            )

        round_ms, _ = cpu_ms(price, runs)

        def route(times: FloatArray = times) -> Any:
            return shortest_routes(graph, times, pairs, below=none)

        route_ms, _ = cpu_ms(route, runs)
        begin = time.process_time()
        count = plain_label_setting(graph, rules, times, fronts.sources, fronts.targets)
        peer_ms = (time.process_time() - begin) * 1e3
        entries = fronts.fronts.time.size
        if count != entries:
            raise AssertionError(f"{entries} labels on the fronts, {count} by the peer")
        print(
            f"{name:<15}{state:<11}{len(pairs):>8}{stations:>9}"
            f"{entries / max(np.count_nonzero(np.diff(fronts.fronts.start)), 1):>12.1f}"
            f"{build_ms:>11.3f}{peer_ms / build_ms:>9.0f}{round_ms:>10.3f}{route_ms:>10.3f}",
            flush=True,
        )


def od_pairs(road: RoadNetwork, graph: Graph) -> IntArray:
    """(od, 2) node positions of the network's trips."""
    where = {n: i for i, n in enumerate(graph.nodes)}
    ends = [road.trips[c].map(where).to_numpy(dtype=np.int64) for c in ("origin", "destination")]
    return np.column_stack(ends)


def first_call(graph: Graph, rules: EnergyRules, pairs: IntArray, station_node: IntArray) -> None:
    """Call every kernel once: fronts, composition and paths, elementary routes, fastest routes."""
    some = pairs[:1]
    size = station_node.size
    for charge_price in (0.2, -0.25):
        price_paths(
            graph,
            rules,
            graph.free_flow_h,
            some,
            station_node,
            Rates(
                12.0,
                np.zeros(size),
                np.zeros(size),
                np.full(size, charge_price),
                np.full(size, 0.3),
                np.full(size, 50.0),
                0.05,
                0.0,
            ),
        )
    shortest_routes(graph, graph.free_flow_h, some)


def pricing(folder: Path | None, runs: int) -> None:
    """Print the table: Sioux Falls, and the networks of the folder."""
    case = vg.load_case("ieee123_sioux_falls")
    graph = Graph.from_road(case.road)
    count = len(graph.nodes)
    every = np.array([(i, j) for i in range(count) for j in range(count) if i != j])
    pairs = od_pairs(case.road, graph) if len(case.road.trips) else every
    node = {n: i for i, n in enumerate(graph.nodes)}
    station_node = np.array([node[str(n)] for n in case.stations["road_node"]])
    rules = EnergyRules.from_class(next(c for c in case.drivers.values() if c.kind == "ev"))
    begin = time.process_time()
    first_call(graph, rules, pairs, station_node)
    print(f"first call in this process {time.process_time() - begin:.2f} s CPU\n")
    print(
        f"{'network':<15}{'times':<11}{'OD pairs':>8}{'stations':>9}{'labels/leg':>12}"
        f"{'fronts ms':>11}{'vs plain':>9}{'round ms':>10}{'routes ms':>10}"
    )
    measure("Sioux Falls", graph, rules, pairs, station_node, runs)
    if folder is None:
        return
    for name, (prefix, stations, per_km) in NETWORKS.items():
        where = folder / name
        if not where.is_dir():
            print(f"{name:<15}not in {folder}")
            continue
        road, _ = vg.read_tntp(where / f"{prefix}_net.tntp", where / f"{prefix}_trips.tntp")
        graph = Graph.from_road(road)
        chosen = np.random.default_rng(0).choice(len(graph.nodes), stations, replace=False)
        rules = EnergyRules(40.0, 8.0, 20.0, per_km)
        measure(name, graph, rules, od_pairs(road, graph), chosen, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="folder of TNTP networks")
    parser.add_argument("--runs", type=int, default=5, help="repetitions; medians are printed")
    options = parser.parse_args()
    pricing(options.folder, options.runs)


if __name__ == "__main__":
    main()
