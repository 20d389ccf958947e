"""A player's best deviation: its own problem solved directly at given prices and rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.errors import ConvergenceError
from v2geq.mcp.curves import FloatArray
from v2geq.mcp.program import Program

MAX_ROUNDS = 30


@dataclass(frozen=True)
class Deviation:
    """Best response of one player: its profit ($/h) and strategies by key."""

    profit: float
    values: dict[str, FloatArray]


def best_deviation(
    program: Program, values: Mapping[str, FloatArray], prices: Mapping[str, FloatArray]
) -> Deviation:
    """Solve a player's own problem by Clarabel, prices and rivals' strategies fixed.

    Bounds are tightened to the variables' `reach`, so that an unbounded ray of a nearly tied price
    cannot turn a rounding error into a fortune. Costs that are not quadratic are solved as a
    sequence of quadratic programs.

    Parameters
    ----------
    values
        Strategies of all players by key; the player's own are the first guess.
    prices
        Market prices by market name.

    Raises
    ------
    ConvergenceError
        Where the quadratic program is infeasible or Clarabel gives up.
    """
    at = {}
    n = 0
    for v in program.variables:
        at[v.key] = slice(n, n + len(v))
        n += len(v)
    linear = np.zeros(n)
    for v, c in program.linear.items():
        linear[at[v.key]] += c
    for sale in program.sales:
        for v, s in sale.terms.items():
            linear[at[v.key]] -= s.T @ prices[sale.market]

    low = np.concatenate([np.maximum(v.lower, -v.reach) for v in program.variables])
    high = np.concatenate([np.minimum(v.upper, v.reach) for v in program.variables])
    matrix, b, equalities = _rows(program, at, n, low, high)

    best: dict[str, FloatArray] = {k: values[k] for k in at}
    everyone = dict(values)
    x = np.concatenate([values[v.key] for v in program.variables])
    profit = -np.inf
    for _ in range(MAX_ROUNDS):
        everyone.update({k: x[s] for k, s in at.items()})
        hessian, gradient = np.zeros(n), linear.copy()
        for term in program.nonlinear:
            where = at[term.variable.key]
            others = term.others(values)
            curvature, _ = term.hessian(x[where], others)
            hessian[where] += curvature
            gradient[where] += term.gradient(x[where], others)
        x = _quadratic_program(
            program.player, hessian, gradient - hessian * x, matrix, b, equalities
        )
        x = np.clip(x, low, high)
        everyone.update({k: x[s] for k, s in at.items()})
        new = program.profit(everyone, prices)
        if not np.isfinite(profit) or new > profit:
            best = {k: x[s].copy() for k, s in at.items()}
        if new - profit <= 1e-12 * (1.0 + abs(new)):
            profit = max(profit, new)
            break
        profit = new
    return Deviation(profit, best)


def _rows(
    program: Program, at: Mapping[str, slice], n: int, low: FloatArray, high: FloatArray
) -> tuple[sp.csc_matrix, FloatArray, int]:
    """All constraints as Clarabel's A x + s = b: equalities first, then s >= 0."""
    equal: list[sp.csr_array] = []
    equal_b: list[FloatArray] = []
    least: list[sp.csr_array] = []
    least_b: list[FloatArray] = []
    for c in program.constraints:
        parts = [c.terms.get(v, None) if v in c.terms else None for v in program.variables]
        row = sp.hstack(
            [
                sp.csr_array((len(c), len(v))) if part is None else part
                for v, part in zip(program.variables, parts, strict=True)
            ],
            format="csr",
        )
        (equal if c.equality else least).append(row)
        (equal_b if c.equality else least_b).append(c.rhs)
    fixed = high - low <= 0
    eye = sp.eye_array(n, format="csr")
    if fixed.any():
        equal.append(eye[fixed])
        equal_b.append(low[fixed])
    has_low, has_high = np.isfinite(low) & ~fixed, np.isfinite(high) & ~fixed
    blocks = [*equal, *(-r for r in least), -eye[has_low], eye[has_high]]
    sides = [*equal_b, *(-r for r in least_b), -low[has_low], high[has_high]]
    matrix = sp.csc_matrix(sp.vstack(blocks, format="csc"))
    return matrix, np.concatenate(sides), sum(len(r) for r in equal_b)


def _quadratic_program(
    player: str,
    hessian: FloatArray,
    linear: FloatArray,
    matrix: sp.csc_matrix,
    b: FloatArray,
    equalities: int,
) -> FloatArray:
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    cones = [
        clarabel.ZeroConeT(equalities),
        clarabel.NonnegativeConeT(len(b) - equalities),
    ]
    quadratic = sp.csc_matrix(sp.diags(hessian))
    solution = clarabel.DefaultSolver(quadratic, linear, matrix, b, cones, settings).solve()
    if str(solution.status) not in ("Solved", "AlmostSolved", "InsufficientProgress"):
        raise ConvergenceError(
            f"the deviation problem of player {player!r} ended as {solution.status}"
        )
    return np.asarray(solution.x, dtype=float)
