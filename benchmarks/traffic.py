"""Traffic: assignment beside AequilibraE, pricing of paths, all OD pairs coupled, cold start.

Sioux Falls as shipped; with a folder of TNTP data (github.com/bstabler/TransportationNetworks) also
Anaheim and Chicago-Sketch. CPU seconds of whole `assign` and `solve` calls, data in memory,
compiled kernels warm; what compiling costs is printed last. AequilibraE (bi-conjugate
Frank-Wolfe) is compared in the same run where it is installed, on one core, its progress bars off.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pricing import pricing

import v2geq as vg
from v2geq.data.trips import spread_trips

ONE_CORE = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "AEQ_SHOW_PROGRESS": "FALSE"}
# folder, prefix of the files, minutes per unit of length and of toll
NETWORKS: dict[str, tuple[str, float, float]] = {
    "Anaheim": ("Anaheim", 0.0, 0.0),
    "Chicago-Sketch": ("ChicagoSketch", 0.04, 0.02),
}
PEER_ITERATIONS = 5000


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and its result."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def median_cpu(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median CPU seconds of several calls, and the last result."""
    times, result = [], None
    for _ in range(runs):
        seconds, result = cpu(work)
        times.append(seconds)
    return statistics.median(times), result


def peer(road: Any, demand: Any, gap: float) -> tuple[float, float] | None:
    """CPU seconds and gap of AequilibraE's bi-conjugate Frank-Wolfe; None if not installed."""
    try:
        from aequilibrae.matrix import AequilibraeMatrix
        from aequilibrae.paths import Graph, TrafficAssignment, TrafficClass
    except ImportError:
        return None
    import logging

    import numpy as np
    import pandas as pd

    logging.disable(logging.WARNING)
    arcs = road.arcs
    inside = demand[demand["origin"] != demand["destination"]]
    zones = np.unique(inside[["origin", "destination"]].astype(int).to_numpy())
    network = pd.DataFrame(
        {
            "link_id": np.arange(1, len(arcs) + 1),
            "a_node": arcs["from_node"].astype(int).to_numpy(),
            "b_node": arcs["to_node"].astype(int).to_numpy(),
            "direction": 1,
            "capacity": arcs["capacity_veh_h"].to_numpy(),
            # it refuses links without free-flow time; a ten-thousandth of a minute changes nothing
            "free_flow_time": arcs["free_flow_min"].clip(lower=1e-4).to_numpy(),
            "b": arcs["bpr_b"].to_numpy(),
            "power": arcs["bpr_power"].to_numpy(),
            "fixed": arcs["fixed_min"].to_numpy() if "fixed_min" in arcs else 0.0,
        }
    )
    graph = Graph()
    graph.network = network
    graph.prepare_graph(zones)
    graph.set_graph("free_flow_time")
    graph.set_skimming(["free_flow_time"])
    closed = not road.nodes["through"].all()
    graph.set_blocked_centroid_flows(closed)
    matrix = AequilibraeMatrix()
    matrix.create_empty(
        zones=len(zones), matrix_names=["car"], memory_only=True, file_name="benchmark"
    )
    matrix.index[:] = zones
    table = np.zeros((len(zones), len(zones)))
    table[
        np.searchsorted(zones, inside["origin"].astype(int)),
        np.searchsorted(zones, inside["destination"].astype(int)),
    ] = inside["trips_veh_h"]
    matrix.matrix["car"][:, :] = table
    matrix.computational_view(["car"])
    car = TrafficClass("car", graph, matrix)
    car.set_pce(1.0)
    if network["fixed"].any():
        car.set_vot(1.0)
        car.set_fixed_cost("fixed")
    assignment = TrafficAssignment()
    assignment.set_classes([car])
    assignment.set_vdf("BPR")
    assignment.set_vdf_parameters({"alpha": "b", "beta": "power"})
    assignment.set_capacity_field("capacity")
    assignment.set_time_field("free_flow_time")
    assignment.set_algorithm("bfw")
    assignment.set_cores(1)
    assignment.max_iter = PEER_ITERATIONS
    assignment.rgap_target = gap
    seconds, _ = cpu(lambda: assignment.execute(log_specification=False))
    return seconds, float(assignment.assignment.rgap)


def cold_start() -> tuple[float, float]:
    """Wall seconds of the first solve in new processes: kernels to compile, then cached."""
    program = (
        "import time, numpy, pandas, v2geq as vg; begin = time.perf_counter(); "
        "vg.solve(vg.load_case('ieee123_sioux_falls'), 'base'); "
        "print(time.perf_counter() - begin)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        seconds = [
            float(
                subprocess.run(
                    [sys.executable, "-c", program],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(2)
        ]
    return seconds[0], seconds[1]


def networks(folder: Path | None) -> Iterator[tuple[str, Any, Any]]:
    """Names, roads and trips: Sioux Falls, and what is in the folder."""
    road = vg.load_case("ieee123_sioux_falls").road
    yield "Sioux Falls", road, road.trips
    for name, (prefix, distance, toll) in NETWORKS.items() if folder else ():
        files = f"{folder}/{name}/{prefix}"
        if not Path(f"{files}_net.tntp").exists():
            print(f"{name:<16}not in {folder}")
            continue
        road, trips = vg.read_tntp(
            f"{files}_net.tntp",
            f"{files}_trips.tntp",
            distance_factor=distance,
            toll_factor=toll,
        )
        yield name, road, trips


def assignments(folder: Path | None, runs: int, with_peer: bool) -> None:
    print(f"{'network':<16}{'gap asked':>10}{'reached':>10}{'CPU s':>9}{'paths':>9}  AequilibraE")
    for name, road, trips in networks(folder):
        vg.assign(road, trips, 1e-4)
        for gap in (1e-6, 1e-10):
            seconds, r = median_cpu(partial(vg.assign, road, trips, gap), runs)
            line = (
                f"{name:<16}{gap:>10.0e}{r.relative_gap:>10.1e}{seconds:>9.4f}{r.pool.flow.size:>9}"
            )
            if with_peer and gap == 1e-6:
                other = peer(road, trips, gap)
                line += (
                    "  not installed"
                    if other is None
                    else f"  {other[0]:.2f} s to {other[1]:.1e}: {other[0] / seconds:.0f} times"
                )
            print(line, flush=True)


def coupled(runs: int) -> None:
    """All OD pairs of Sioux Falls with both classes, exact over all paths."""
    case = vg.load_case("ieee123_sioux_falls")
    changes = spread_trips(case)
    print(f"{'coupled run':<16}{'CPU s':>8}{'unknowns':>10}{'paths':>8}{'rounds':>8}{'gap':>10}")
    for scenario in case.scenarios:
        for v2g in (False, True):
            seconds, eq = median_cpu(
                partial(vg.solve, case, scenario, v2g=v2g, parameters=changes), runs
            )
            paths = sum(len(p) for p in eq.coupled.traffic.paths.values())
            print(
                f"{scenario + ('_v2g' if v2g else ''):<16}{seconds:>8.3f}{eq.coupled.mcp.n:>10}"
                f"{paths:>8}{eq.rounds:>8}{eq.certificate.wardrop_gap_all_paths:>10.0e}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="folder of TNTP networks")
    parser.add_argument("--runs", type=int, default=5, help="repetitions; medians are printed")
    parser.add_argument("--no-peer", action="store_true", help="leave AequilibraE out")
    options = parser.parse_args()
    if any(os.environ.get(k) != v for k, v in ONE_CORE.items()):
        # numerical libraries read these when they are loaded, which has happened: start again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    assignments(options.folder, options.runs, not options.no_peer)
    print()
    pricing(options.folder, options.runs)
    print()
    coupled(options.runs)
    first, second = cold_start()
    print(f"\nfirst solve after installation {first:.1f} s, in later processes {second:.1f} s")


if __name__ == "__main__":
    main()
