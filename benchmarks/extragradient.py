"""Projection methods on the shipped runs, against the interior point in the same process.

Prints, for every run: unknowns, strategies, seconds of the interior point, then for projections
onto the joint strategies, without and with the Newton finish: iterations, projections (those that
Newton steps alone found), iterations of Clarabel, residual, seconds, and their ratio to the
interior point's. With --boxes also what projections onto the bounds reach.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import v2geq as vg
from v2geq.solvers.extragradient import SCHEMES, extragradient, polyhedral_extragradient
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import MCPResult, Options

BOX_ITERATIONS = 3000


def timed(run: Callable[[], MCPResult], repeats: int) -> tuple[MCPResult, float]:
    """The result, and the median of the seconds."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begin)
    return result, statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="ieee123_sioux_falls")
    parser.add_argument("--runs", type=int, default=3, help="repetitions; medians are printed")
    parser.add_argument("--correction", default="korpelevich", help="or tseng")
    parser.add_argument("--boxes", action="store_true", help="projections onto the bounds as well")
    chosen = parser.parse_args()
    case = vg.load_case(chosen.case)
    print(
        f"{'run':<13}{'unknowns':>9}{'strategies':>11}{'IP s':>7}  {'goal':<13}{'status':<9}"
        f"{'iter':>5}{'proj':>5}{'(warm)':>7}{'inner':>6}{'residual':>10}{'s':>7}{'ratio':>7}"
    )
    for scenario in case.scenarios:
        for v2g in (False, True):
            mcp = vg.solve(case, scenario, v2g=v2g).coupled.mcp
            strategies = sum(len(v) for p in mcp.programs for v in p.variables)
            _, peer = timed(lambda mcp=mcp: interior_point(mcp), chosen.runs)
            name = f"{scenario}{'+v2g' if v2g else ''}"
            head = f"{name:<13}{mcp.n:>9}{strategies:>11}{peer:>7.2f}"
            for goal, tolerance, finish in (("1e-6", 1e-6, False), ("1e-9, Newton", 1e-9, True)):

                def run(mcp=mcp, tolerance=tolerance, finish=finish) -> MCPResult:
                    return polyhedral_extragradient(
                        mcp,
                        None,
                        Options(tolerance=tolerance),
                        correction=chosen.correction,
                        finish=finish,
                    )

                r, seconds = timed(run, chosen.runs)
                stats = {k: int(v) for k, v in r.stats.items() if k != "seconds"}
                warm = f"({stats['warm_projections']})"
                print(
                    f"{head}  {goal:<13}{r.status:<9}{r.iterations:>5}"
                    f"{stats['projections']:>5}{warm:>7}{stats['clarabel_iterations']:>6}"
                    f"{r.residual:>10.1e}{seconds:>7.2f}{seconds / peer:>7.1f}"
                )
                head = " " * len(head)
            for scheme in SCHEMES if chosen.boxes else ():
                limit = Options(max_iterations=BOX_ITERATIONS)
                r, seconds = timed(
                    lambda mcp=mcp, scheme=scheme, limit=limit: extragradient(
                        mcp, None, limit, scheme=scheme
                    ),
                    1,
                )
                print(
                    f"{head}  bounds: {scheme}, {r.status} after {r.iterations}, "
                    f"residual {r.residual:.1e}, {seconds:.2f} s"
                )


if __name__ == "__main__":
    main()
