"""Build and solve times of the shipped runs, against the time of SciPy's default factorisation.

Prints, for every run: unknowns, nonzeros, seconds to build and solve, rounds of column generation,
iterations, milliseconds of one factorisation, and how much longer SciPy's default ordering (COLAMD)
takes for the same matrix in the same process.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

import v2geq as vg
from v2geq.solvers.linear import PatternFactor


def factorisation_ratio(eq: vg.Equilibrium) -> tuple[float, float]:
    """Seconds of one refactorisation here, and the ratio of SciPy's default to it."""
    mcp = eq.coupled.mcp
    a = mcp.J(eq.z)
    factor = mcp.scale[np.repeat(np.arange(mcp.n), np.diff(a.indptr))] / mcp.row_scale[a.indices]
    data = a.data * factor
    data[mcp.diagonal_positions] += 1.0
    a = sp.csc_array((data, a.indices, a.indptr), shape=a.shape)
    ours = PatternFactor()
    ours.factor(a)
    begin = time.perf_counter()
    ours.factor(a)
    mine = time.perf_counter() - begin
    begin = time.perf_counter()
    splu(a)
    return mine, (time.perf_counter() - begin) / mine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="ieee123_sioux_falls")
    parser.add_argument("--runs", type=int, default=3, help="repetitions; medians are printed")
    options = parser.parse_args()
    case = vg.load_case(options.case)
    vg.solve(case, next(iter(case.scenarios)))  # imports and first-use costs
    print(
        f"{'run':<16}{'unknowns':>9}{'nonzeros':>9}{'build s':>9}{'solve s':>9}{'rounds':>7}"
        f"{'iter':>6}{'ms':>7}{'default':>12}"
    )
    for scenario in case.scenarios:
        for v2g in (False, True):
            build, solve = [], []
            for _ in range(options.runs):
                eq = vg.solve(case, scenario, v2g=v2g)
                build.append(eq.seconds["build"])
                solve.append(eq.seconds["solve"])
            ms, ratio = factorisation_ratio(eq)
            mcp = eq.coupled.mcp
            print(
                f"{scenario + ('_v2g' if v2g else ''):<16}{mcp.n:>9}{mcp.J(eq.z).nnz:>9}"
                f"{statistics.median(build):>9.3f}{statistics.median(solve):>9.3f}{eq.rounds:>7}"
                f"{len(eq.log):>6}{1e3 * ms:>7.1f}{ratio:>11.1f}x"
            )


if __name__ == "__main__":
    main()
