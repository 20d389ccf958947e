"""What can move without leaving the equilibrium: polytopes of multipliers and of strategies.

In a monotone problem whose strategies and multipliers are skew to each other, all solutions share
the strategies with strictly increasing marginal cost, and the rest of them is a product of two
polytopes (O. L. Mangasarian, A simple characterization of solution sets of convex programs,
Operations Research Letters 7 (1988) 21-26, for monotone complementarity): multipliers that support
the strategies at hand, and strategies that the multipliers at hand support. Strategies inside their
bounds and multipliers above zero make equations of the other's rows; what is at a bound makes
inequalities. A quantity whose coefficients the equations span is unique; of any other a linear
program over the polytope tells the ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.interruptible import interruptible
from v2geq.mcp.assemble import MCP
from v2geq.mcp.terms import CournotRevenue, SeparableCost
from v2geq.show import brief

TIGHT = 1e-7
"""Scaled distance from a bound up to which an entry may be at it."""
SPANNED = 1e-6
"""Share of a quantity's coefficients outside the equations up to which it counts as fixed."""
RIDGE = 1e-10
PROJECTIONS = 10
DIRECTIONS = 3
LARGEST = 60_000
"""Entries up to which linear programs are tried."""


@dataclass(frozen=True)
class Polytope:
    """Moves d of some entries of z, in data scales: A d = 0, B d >= -slack, low <= d <= high.

    Attributes
    ----------
    entries : positions in z that may move; every other entry stays
    column : their scales
    """

    entries: IntArray
    column: FloatArray
    equal: sp.csr_array
    least: sp.csr_array
    slack: FloatArray
    low: FloatArray
    high: FloatArray

    __repr__ = brief

    def moves(self) -> FloatArray:
        """Random moves within the equations alone, (DIRECTIONS, entry).

        With probability one a quantity that none of them changes is changed by no move.
        """
        import qdldl

        n = len(self.entries)
        random = np.random.default_rng(0).normal(size=(DIRECTIONS, n))
        size = sp.csr_array(self.equal**2).sum(axis=1)
        rows = np.flatnonzero(np.asarray(size).ravel() > 0.0)
        if not len(rows) or not n:
            return random
        a = sp.csr_array(
            sp.diags_array(1.0 / np.sqrt(np.asarray(size).ravel()[rows])) @ self.equal[rows]
        )
        ridge = -RIDGE * sp.eye_array(len(rows))
        system = sp.csc_matrix(sp.block_array([[sp.eye_array(n), a.T], [None, ridge]]))
        factor = interruptible(system.nnz, lambda: qdldl.Solver(system, upper=True))
        out = np.empty_like(random)
        for k, move in enumerate(random):
            # each solve divides what is left outside the null space by the ridge
            for _ in range(PROJECTIONS):
                move = np.asarray(factor.solve(np.concatenate([move, np.zeros(len(rows))])))[:n]
                if np.abs(a @ move).max() <= 1e-13:
                    break
            out[k] = move
        return out

    def least_value(self, weights: FloatArray) -> tuple[float, FloatArray] | None:
        """Least `weights @ d` and where; -inf where there is none, None where HiGHS fails."""
        from scipy.optimize import linprog

        if len(self.entries) > LARGEST:
            return None
        size = float(np.abs(weights).max())
        # a move of nothing is feasible, so whatever is called infeasible is a failure
        unbounded = 3
        work = partial(
            linprog,
            weights / size,
            A_ub=-self.least,
            b_ub=self.slack,
            A_eq=self.equal,
            b_eq=np.zeros(self.equal.shape[0]),
            bounds=np.column_stack([self.low, self.high]),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
        )
        result: Any = interruptible(self.equal.nnz + self.least.nnz, work)
        if result.status == unbounded:
            return -np.inf, np.zeros(len(self.entries))
        if result.status != 0:
            return None
        return float(min(weights @ result.x, 0.0)), np.asarray(result.x, dtype=float)


def is_monotone(mcp: MCP) -> bool:
    """Whether strategies and multipliers are skew to each other in every player's block."""
    return all(program.is_optimisation for program in mcp.programs)


def _sides(mcp: MCP, z: FloatArray) -> tuple[BoolArray, BoolArray, BoolArray, FloatArray]:
    """Entries near their lower bound, near the upper one, fixed; and scaled F."""
    x, f = z / mcp.scale, mcp.F(z) / mcp.row_scale
    near_low = x - mcp.lower / mcp.scale <= TIGHT
    near_high = mcp.upper / mcp.scale - x <= TIGHT
    return near_low, near_high, mcp.lower == mcp.upper, f


def _scaled(mcp: MCP, rows: IntArray, columns: IntArray) -> sp.csr_array:
    part = mcp.matrix[rows][:, columns]
    return sp.csr_array(
        sp.diags_array(1.0 / mcp.row_scale[rows]) @ part @ sp.diags_array(mcp.scale[columns])
    )


def multipliers(mcp: MCP, z: FloatArray) -> Polytope:
    """Multipliers and prices that support the strategies of the solution `z`."""
    near_low, near_high, fixed, f = _sides(mcp, z)
    strategy = mcp.is_strategy
    price = ~strategy & ~fixed
    # a multiplier whose row is slack is zero
    free = price & (np.isinf(mcp.lower) | (f <= TIGHT))
    entries = np.flatnonzero(free)
    inside = np.flatnonzero(strategy & ~near_low & ~near_high & ~fixed)
    at_low = np.flatnonzero(strategy & near_low & ~near_high & ~fixed)
    at_high = np.flatnonzero(strategy & near_high & ~near_low & ~fixed)
    low, high = _scaled(mcp, at_low, entries), _scaled(mcp, at_high, entries)
    return Polytope(
        entries,
        mcp.scale[entries],
        _scaled(mcp, inside, entries),
        sp.csr_array(sp.vstack([low, -high], format="csr")),
        np.maximum(np.concatenate([f[at_low], -f[at_high]]), 0.0),
        np.minimum((mcp.lower[entries] - z[entries]) / mcp.scale[entries], 0.0),
        np.full(len(entries), np.inf),
    )


def strategies(mcp: MCP, z: FloatArray) -> tuple[Polytope, BoolArray]:
    """Strategies that the multipliers of the solution `z` support, and which are strictly unique.

    The second, (n,), marks entries with strictly increasing marginal cost: they are the same in all
    solutions.
    """
    near_low, near_high, fixed, f = _sides(mcp, z)
    strategy = mcp.is_strategy
    strict = strictly_convex(mcp, z)
    held = (near_low & (f > TIGHT)) | (near_high & (f < -TIGHT)) | fixed | strict
    entries = np.flatnonzero(strategy & ~held)
    row = ~strategy
    positive = z / mcp.scale > TIGHT
    equal = np.flatnonzero(row & (np.isinf(mcp.lower) | positive | fixed))
    slack = np.flatnonzero(row & ~(np.isinf(mcp.lower) | positive | fixed))
    column = mcp.scale[entries]
    low = np.minimum((mcp.lower[entries] - z[entries]) / column, 0.0)
    high = np.maximum((mcp.upper[entries] - z[entries]) / column, 0.0)
    rows = _scaled(mcp, equal, entries), _scaled(mcp, slack, entries)
    return Polytope(entries, column, *rows, np.maximum(f[slack], 0.0), low, high), strict


def strictly_convex(mcp: MCP, z: FloatArray) -> BoolArray:
    """(n,) strategies with strictly increasing marginal cost.

    Curves are analytic where they are not constant, so one that bends anywhere bends almost
    everywhere.
    """
    out = np.zeros(mcp.n, dtype=bool)
    values = mcp.split(z)
    for program in mcp.programs:
        for term in program.nonlinear:
            at = mcp[term.variable.key].slice
            own, others = values[term.variable.key], term.others(values)
            if isinstance(term, SeparableCost):
                step = np.maximum(mcp.scale[at], np.abs(own))
                for factor in (0.0, 1.0, 10.0):
                    there = np.clip(own + factor * step, mcp.lower[at], mcp.upper[at])
                    out[at] |= term.hessian(there, others)[0] > 0.0
            elif isinstance(term, CournotRevenue) and len(own):
                diagonal, cross = term.hessian(own, others)
                # the game of equal sellers: eigenvalues are diagonal - cross and their sum's
                sellers = len(term.rivals)
                out[at] |= (diagonal - cross > 0.0) & (diagonal + sellers * cross > 0.0)
    return out
