"""Small convex programs solved directly by Clarabel: the independent side of every check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import ConvergenceError
from v2geq.mcp.program import Program


@dataclass(frozen=True)
class Rows:
    """Linear rows over one vector: ``equal x == equal_b`` and ``least x >= least_b``."""

    equal: sp.csr_array
    equal_b: FloatArray
    least: sp.csr_array
    least_b: FloatArray


def program_rows(program: Program) -> Rows:
    """Constraints of a program over its variables side by side, each divided by its scale.

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
        sides.append(c.rhs / c.scale)

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
    import clarabel

    fixed = high - low <= 0
    has_low, has_high = np.isfinite(low) & ~fixed, np.isfinite(high) & ~fixed
    eye = sp.eye_array(len(low), format="csr")
    matrix = sp.csc_matrix(
        sp.vstack([rows.equal, eye[fixed], -rows.least, -eye[has_low], eye[has_high]], format="csc")
    )
    b = np.concatenate([rows.equal_b, low[fixed], -rows.least_b, -low[has_low], high[has_high]])
    equalities = len(rows.equal_b) + int(fixed.sum())
    cones = [clarabel.ZeroConeT(equalities), clarabel.NonnegativeConeT(len(b) - equalities)]
    quadratic = sp.csc_matrix(sp.diags_array(hessian))
    for step, regularization in ATTEMPTS:
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
        settings.max_step_fraction = step
        settings.static_regularization_constant = regularization
        solution = clarabel.DefaultSolver(quadratic, linear, matrix, b, cones, settings).solve()
        if str(solution.status) in ("Solved", "AlmostSolved"):
            break
    gap = abs(solution.obj_val - solution.obj_val_dual) / (1.0 + abs(solution.obj_val))
    stuck_at_end = str(solution.status) == "InsufficientProgress" and gap <= 1e-6
    if str(solution.status) not in ("Solved", "AlmostSolved") and not stuck_at_end:
        raise ConvergenceError(f"{what} ended as {solution.status}")
    x: FloatArray = np.clip(np.asarray(solution.x, dtype=float), low, high)
    return x
