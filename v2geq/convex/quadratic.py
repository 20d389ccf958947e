"""Small convex programs solved directly by Clarabel: the independent side of every check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.errors import ConvergenceError
from v2geq.interruptible import elsewhere
from v2geq.mcp.program import Program


@dataclass(frozen=True)
class Rows:
    """Linear rows over one vector: ``equal x == equal_b`` and ``least x >= least_b``."""

    equal: sp.csr_array
    equal_b: FloatArray
    least: sp.csr_array
    least_b: FloatArray


def program_rows(program: Program, values: Mapping[str, FloatArray]) -> Rows:
    """Constraints of a program over its variables side by side, each divided by its scale.

    `values` are all players' strategies by key, of which rivals' may stand in the rows.

    Variables count in their own scales too: rows in kW and in squared voltages then weigh alike,
    and a tolerance means the same in all of them.
    """
    kinds: dict[bool, tuple[list[sp.csr_array], list[FloatArray]]] = {
        True: ([], []),
        False: ([], []),
    }
    n = sum(len(v) for v in program.variables)
    for c in program.constraints:
        parts = [
            sp.diags_array(1.0 / c.scale) @ c.terms[v] @ sp.diags_array(v.scale)
            if v in c.terms
            else sp.csr_array((len(c), len(v)))
            for v in program.variables
        ]
        matrices, sides = kinds[c.equality]
        matrices.append(sp.csr_array(sp.hstack(parts, format="csr")))
        sides.append(c.right_side(values) / c.scale)

    def stack(equality: bool) -> tuple[sp.csr_array, FloatArray]:
        matrices, sides = kinds[equality]
        if not matrices:
            return sp.csr_array((0, n)), np.zeros(0)
        return sp.csr_array(sp.vstack(matrices, format="csr")), np.concatenate(sides)

    return Rows(*stack(True), *stack(False))


ATTEMPTS = ((0.99, 1e-8), (0.99, 1e-12), (0.9, 1e-8), (0.7, 1e-12))
"""Step and regularisation of Clarabel, one after the other until one succeeds: its longest steps
can cycle even in two variables, and its usual regularisation can stop it far from the end where
many variables cost nothing inside wide bounds."""


SOLVED = ("Solved", "AlmostSolved")


ENDINGS = {
    "PrimalInfeasible": "its limits cannot all hold",
    "DualInfeasible": "it has no best point within its limits",
    "MaxIterations": "its iteration limit was reached",
    "MaxTime": "its time limit was reached",
}
ADVICE = (
    "numbers of very different size defeat it: where a limit stands for 'no limit', write a value "
    "some hundred times larger than can occur"
)


def _ending(status: str) -> str:
    """Clarabel's status in our words."""
    name = status.removeprefix("Almost")
    return ENDINGS.get(name, "rounding errors kept it from its accuracy")


def _can_bind(
    rows: sp.csr_array, sides: FloatArray, low: FloatArray, high: FloatArray
) -> BoolArray:
    """Which rows ``A x >= b`` some x within the bounds breaks, (rows,).

    A limit that stands for none, 1e12 say, would spoil the scaling of all others.
    """
    positive, negative = rows.maximum(0.0), rows.minimum(0.0)
    free_low, free_high = np.isinf(low), np.isinf(high)
    bounded = (positive @ free_low + abs(negative) @ free_high) == 0.0
    least = positive @ np.where(free_low, 0.0, low) + negative @ np.where(free_high, 0.0, high)
    can_bind: BoolArray = ~(bounded & (least >= sides))
    return can_bind


def stacked(rows: Rows, low: FloatArray, high: FloatArray) -> tuple[Any, FloatArray, int]:
    """Rows and bounds as Clarabel takes them, A x + s = b: equations, then s >= 0; how many those.

    Equations of the rows come first, then fixed entries; inequalities of the rows before bounds.
    """
    fixed = high - low <= 0
    has_low, has_high = np.isfinite(low) & ~fixed, np.isfinite(high) & ~fixed
    eye = sp.eye_array(len(low), format="csr")
    matrix = sp.vstack(
        [rows.equal, eye[fixed], -rows.least, -eye[has_low], eye[has_high]], format="csc"
    )
    b = [rows.equal_b, low[fixed], -rows.least_b, -low[has_low], high[has_high]]
    return matrix, np.concatenate(b), len(rows.equal_b) + int(fixed.sum())


def clarabel_settings(tolerance: float, step: float) -> Any:
    """Quiet settings with one tolerance for gaps and feasibility, and a share of longest steps."""
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    settings.max_step_fraction = step
    return settings


def quadratic_program(
    hessian: FloatArray,
    linear: FloatArray,
    rows: Rows,
    low: FloatArray,
    high: FloatArray,
    *,
    what: str,
) -> FloatArray:
    """Minimise ``x' diag(hessian) x / 2 + linear' x`` over rows and bounds.

    Raises
    ------
    ConvergenceError
        Where Clarabel finds no solution; `what` names the problem.
    """
    counts = _can_bind(rows.least, rows.least_b, low, high)
    binding = replace(rows, least=rows.least[counts], least_b=rows.least_b[counts])
    matrix, b, equalities = stacked(binding, low, high)
    problem = hessian, linear, sp.csc_matrix(matrix), b, equalities
    # it orders the entries of a large problem for seconds in which nothing else runs
    status, gap, found = elsewhere(matrix.nnz, _attempts, *problem)
    stuck_at_end = status == "InsufficientProgress" and gap <= 1e-6
    if status not in SOLVED and not stuck_at_end:
        raise ConvergenceError(f"{what} was not solved: {_ending(status)}; {ADVICE}")
    x: FloatArray = np.clip(found, low, high)
    return x


def _attempts(
    hessian: FloatArray, linear: FloatArray, matrix: Any, b: FloatArray, equalities: int
) -> tuple[str, float, FloatArray]:
    """How Clarabel ended, the gap between its two values, and its point."""
    import clarabel

    cones = [clarabel.ZeroConeT(equalities), clarabel.NonnegativeConeT(len(b) - equalities)]
    quadratic = sp.csc_matrix(sp.diags_array(hessian))
    for step, regularization in ATTEMPTS:
        settings = clarabel_settings(1e-10, step)
        settings.static_regularization_constant = regularization
        solution = clarabel.DefaultSolver(quadratic, linear, matrix, b, cones, settings).solve()
        if str(solution.status) in SOLVED:
            break
    gap = abs(solution.obj_val - solution.obj_val_dual) / (1.0 + abs(solution.obj_val))
    return str(solution.status), gap, np.asarray(solution.x, dtype=float)
