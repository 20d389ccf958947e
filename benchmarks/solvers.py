"""Times of the default solver on the problems it was built for, with ratios in one run.

* the six runs of the shipped study: cold, and warm from the same scenario at another value of lost
  load; build and rebuild; the peer is the same method with an LU in place of the LDL';
* all 528 OD pairs of Sioux Falls with 8 base routes each as one problem;
* a made-up radial market of ninety thousand unknowns.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import v2geq as vg
from v2geq.data.edit.case import Case
from v2geq.data.model.feeder import Feeder
from v2geq.market.coupling import Coupled, couple
from v2geq.scenario import resolve
from v2geq.solvers import Options, interior_point
from v2geq.solvers.linear import PatternFactor
from v2geq.trips.traffic import traffic


class _AlwaysLU(PatternFactor):
    def __init__(self) -> None:
        super().__init__()
        self._ldl = None


def timed(function: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median seconds and the last result."""
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), result


def rebuilt(eq: vg.Equilibrium, changes: dict[str, Any]) -> Coupled:
    """The problem of an equilibrium with changed numbers, on the same paths."""
    scenario = resolve(eq.original, eq.scenario.name, v2g=eq.scenario.v2g, changes=changes)
    roads = traffic(scenario, first_paths=False).over(eq.coupled.traffic.paths)
    return couple(scenario, roads)


def study_runs(runs: int) -> None:
    case = vg.load_case("ieee123_sioux_falls")
    print("shipped study, scaled natural residual 1e-8")
    print(f"{'run':<14}{'unknowns':>9}{'rebuild s':>10}{'cold s':>8}{'iter':>5}", end="")
    print(f"{'warm s':>8}{'iter':>5}{'LU/LDL':>8}")
    medians: dict[str, list[float]] = {"cold": [], "warm": [], "rebuild": []}
    module: Any = sys.modules["v2geq.solvers.interior_point"]
    for scenario in case.scenarios:
        for v2g in (False, True):
            eq = vg.solve(case, scenario, v2g=v2g)
            build, changed = timed(lambda e=eq: rebuilt(e, {"voll": 15.0}), runs)
            mcp = changed.mcp
            cold, first = timed(lambda m=mcp: interior_point(m), runs)
            options = Options(warm=True)
            warm, second = timed(lambda m=mcp, z=eq.z, o=options: interior_point(m, z, o), runs)
            assert first.status.ok
            assert second.status.ok
            module.PatternFactor = _AlwaysLU
            peer, _ = timed(lambda m=mcp: interior_point(m), runs)
            module.PatternFactor = PatternFactor
            name = scenario + ("_v2g" if v2g else "")
            print(f"{name:<14}{mcp.n:>9}{build:>10.3f}{cold:>8.3f}{first.iterations:>5}", end="")
            print(f"{warm:>8.3f}{second.iterations:>5}{peer / cold:>7.1f}x")
            for key, value in (("cold", cold), ("warm", warm), ("rebuild", build)):
                medians[key].append(value)
    text = ", ".join(f"{k} {statistics.median(v):.3f} s" for k, v in medians.items())
    print(f"medians: {text}\n")


def all_pairs() -> Coupled:
    """Electric vehicles on all OD pairs, paths enumerated over 8 base routes."""
    case = vg.load_case("ieee123_sioux_falls").with_parameters({"paths.method": "enumerate"})
    table = case.road.trips.copy()
    table["trips_veh_h"] *= 0.004
    case = replace(
        case,
        trips={**case.trips, "ev": table},
        trip_tables={**case.trip_tables, "ev": table},
    )
    scenario = resolve(case, "stress", v2g=True)
    return couple(scenario, traffic(scenario))


def radial_market(buses: int) -> Coupled:
    """A random tree with load at every bus, a hundred generators and the shipped stations."""
    rng = np.random.default_rng(0)
    shipped = vg.load_case("ieee123_sioux_falls")
    names = ["root", *(f"b{k}" for k in range(1, buses))]
    parent = [max(0, k - 1 - int(rng.geometric(0.35))) for k in range(1, buses)]
    feeder = Feeder(
        name="radial",
        root="root",
        base_kv=4.16,
        buses=pd.DataFrame(
            {"phases": "abc", "x": 0.0, "y": 0.0, "base_kv": 4.16},
            index=pd.Index(names, name="bus"),
        ),
        branches=pd.DataFrame(
            {
                "from_bus": [names[p] for p in parent],
                "to_bus": names[1:],
                "kind": "line",
                "phases": "abc",
                "length_km": 0.1,
                "r_ohm": 2e-5,
                "x_ohm": 2e-5,
                "rating_kva": 1e5,
                "ratio": 1.0,
                "normally_open": False,
            },
            index=pd.Index([f"l{k}" for k in range(1, buses)], name="branch"),
        ),
        loads=pd.DataFrame(
            {"load_kw": rng.uniform(1.0, 5.0, buses - 1), "load_kvar": 1.0},
            index=pd.Index(names[1:], name="bus"),
        ),
        capacitors=shipped.feeder.capacitors.iloc[:0],
    )
    generators = pd.concat([shipped.generators.iloc[:1]] * 100)
    generators.index = pd.Index([f"g{k}" for k in range(100)], name="generator")
    generators["bus"] = rng.choice(names[1:], 100)
    generators["cost_linear"] = rng.uniform(0.08, 0.2, 100)
    stations = shipped.stations.assign(bus=rng.choice(names[1:], len(shipped.stations)))
    limits = replace(
        shipped.feeder_settings, vmin=0.5, vmax=1.5, line_rating="none", capacitors="none"
    )
    contract = replace(shipped.substation, import_max=1e6, reactive_min=-1e6, reactive_max=1e6)
    case: Case = replace(
        shipped,
        feeder=feeder,
        generators=generators,
        stations=stations,
        feeder_settings=limits,
        substation=contract,
        paths=replace(shipped.paths, method="enumerate"),
        drivers={"ev": shipped.drivers["ev"]},
        trips={"ev": shipped.trips["ev"]},
        trip_tables={"ev": shipped.trip_tables["ev"]},
        scenarios={"base": shipped.scenarios["base"]},
    )
    scenario = resolve(case, "base", v2g=True)
    return couple(scenario, traffic(scenario))


def large(title: str, coupled: Coupled) -> None:
    mcp = coupled.mcp
    result = interior_point(mcp)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print(
        f"{title}: {mcp.n} unknowns, {mcp.J(mcp.start).nnz} nonzeros, {result.status}, "
        f"residual {result.residual:.0e}, {result.iterations} iterations, "
        f"{result.stats['seconds']:.2f} s, peak {memory:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="repetitions; medians are printed")
    options = parser.parse_args()
    study_runs(options.runs)
    large("528 OD pairs, 8 base routes", all_pairs())
    large("radial market", radial_market(7_200))


if __name__ == "__main__":
    main()
