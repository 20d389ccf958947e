"""The variational inequality over strategies that a complementarity problem stands for.

Where multipliers and prices enter F linearly and skew, they are the multipliers of one polyhedron K
of joint strategies, and the problem is: find x in K with cost(x)' (y - x) >= 0 for all y in K. The
rows of constraints and of market clearing describe K; what is left of the strategies' rows of F is
the map `cost`. Signs are those of `v2geq.mcp.program`: stationarity reads
``cost(x) - A' y - C' m - (bound multipliers) = 0`` with A x = b (y free) and C x >= d (m >= 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.convex.quadratic import Rows
from v2geq.errors import DataError
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import Problem
from v2geq.show import brief

SKEW_TOLERANCE = 1e-9
ADVICE = "use method 'interior_point'"


@dataclass(frozen=True)
class VariationalInequality:
    """Find x in K = {A x = b, C x >= d, low <= x <= high} that solves VI(cost, K).

    Attributes
    ----------
    problem
        The complementarity problem it was taken from; its residual judges every point.
    strategy, equal, least
        Positions in z of x, of the multipliers of A x = b and of those of C x >= d.
    rows
        A, b, C, d.
    low, high, scale, row_scale
        Bounds and data scales of x and of `cost`, entry by entry.
    resting
        (n,) z with zero multipliers and with prices that are pinned at their value: their rows are
        no part of K.
    """

    problem: Problem
    strategy: IntArray
    equal: IntArray
    least: IntArray
    rows: Rows
    low: FloatArray
    high: FloatArray
    scale: FloatArray
    row_scale: FloatArray
    resting: FloatArray
    _entries: IntArray
    _indices: IntArray
    _indptr: IntArray

    __repr__ = brief

    @property
    def n(self) -> int:
        return len(self.strategy)

    def cost(self, x: FloatArray) -> FloatArray:
        """The map of the inequality, (n,): F of the strategies without multipliers."""
        return self.problem.F(self._at(x))[self.strategy]

    def jacobian(self, x: FloatArray) -> sp.csc_array:
        """Jacobian of `cost`, always with the same pattern."""
        data = self.problem.J(self._at(x)).data[self._entries]
        return sp.csc_array((data, self._indices, self._indptr), shape=(self.n, self.n))

    def join(self, x: FloatArray, equal: FloatArray, least: FloatArray) -> FloatArray:
        """The point z of the complementarity problem with these strategies and multipliers."""
        z = self._at(x)
        z[self.equal] = equal
        z[self.least] = np.maximum(least, 0.0)
        return z

    def split(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Inverse of `join`: strategies, multipliers of A x = b and of C x >= d."""
        return z[self.strategy], z[self.equal], z[self.least]

    def _at(self, x: FloatArray) -> FloatArray:
        z = self.resting.copy()
        z[self.strategy] = x
        return z


def variational_inequality(mcp: MCP) -> VariationalInequality:
    """The variational inequality over all players' strategies.

    Raises
    ------
    DataError
        Where a constraint weighs its multiplier differently in several variables
        (`Constraint.weights`): no inequality over strategies has such multipliers.
    """
    for program in mcp.programs:
        for c in program.constraints:
            for v, weight in c.weights.items():
                if v in c.terms and weight != 1.0:
                    raise DataError(
                        f"rows {c.key!r} enter {v.key!r} with weight {weight:g}, so the problem "
                        "is no variational inequality over strategies",
                        advice=ADVICE,
                    )
    return from_problem(mcp, mcp.is_strategy, constant=mcp.constant)


def from_problem(
    problem: Problem, strategies: BoolArray, constant: FloatArray | None = None
) -> VariationalInequality:
    """The variational inequality over the entries of z marked in `strategies`.

    Every other entry must be a multiplier: its row affine in the strategies alone, and minus that
    row's transpose in the strategies' rows. One without bounds belongs to an equation, one bounded
    by [0, inf) to ``>=``; one whose bounds agree keeps its value and its row is no constraint.

    Parameters
    ----------
    strategies
        (n,) True where an entry of z is a strategy.
    constant
        (n,) F where all strategies are zero, on the multipliers' rows; computed if left out.

    Raises
    ------
    DataError
        Where the problem is not of this form.
    """
    lower, upper = problem.lower, problem.upper
    pinned = ~strategies & (lower == upper)
    free = ~strategies & np.isneginf(lower) & np.isposinf(upper)
    signed = ~strategies & (lower == 0.0) & np.isposinf(upper)
    odd = np.flatnonzero(~(strategies | pinned | free | signed))
    if len(odd):
        raise DataError(
            f"{problem.describe(int(odd[0]))} is bounded like no multiplier of a constraint",
            advice=ADVICE,
        )

    resting = np.where(pinned, lower, 0.0)
    first = resting.copy()
    first[strategies] = np.clip(problem.start, lower, upper)[strategies]
    j = problem.J(first)
    columns = np.repeat(np.arange(problem.n), np.diff(j.indptr))
    _require_skew(problem, j, columns, strategies)

    x, equal, least = (np.flatnonzero(m) for m in (strategies, free, signed))
    position = np.zeros(problem.n, dtype=np.int64)
    position[x] = np.arange(len(x))
    entries = np.flatnonzero(strategies[j.indices] & strategies[columns])
    per_column = np.bincount(position[columns[entries]], minlength=len(x))

    by_row = sp.csr_array(j)
    if constant is None:
        constant = problem.F(first) - by_row @ first
    a, c = (sp.csr_array(by_row[at][:, x]) for at in (equal, least))
    for matrix in (a, c):
        matrix.eliminate_zeros()
    return VariationalInequality(
        problem,
        x,
        equal,
        least,
        Rows(a, -constant[equal], c, -constant[least]),
        lower[x],
        upper[x],
        problem.scale[x],
        problem.row_scale[x],
        resting,
        entries,
        position[j.indices[entries]],
        np.concatenate([[0], np.cumsum(per_column)]),
    )


def _require_skew(
    problem: Problem, j: sp.csc_array, columns: IntArray, strategies: BoolArray
) -> None:
    """Raise DataError where multipliers do not enter F skew to their rows."""
    rows = j.indices
    size = problem.scale[columns] / problem.row_scale[rows]
    multiplier = ~strategies
    among = np.flatnonzero(multiplier[rows] & multiplier[columns])
    wrong = among[np.abs(j.data[among]) * size[among] > SKEW_TOLERANCE]
    if len(wrong):
        raise DataError(
            f"row {problem.describe(int(rows[wrong[0]]))} depends on the multiplier "
            f"{problem.describe(int(columns[wrong[0]]))}",
            advice=ADVICE,
        )
    across = strategies[rows] != strategies[columns]
    places = (rows[across], columns[across])
    part = sp.csr_array(sp.coo_array((j.data[across], places), shape=j.shape))
    rest = sp.coo_array(part + part.T)
    excess = np.abs(rest.data) * problem.scale[rest.col] / problem.row_scale[rest.row]
    limit = SKEW_TOLERANCE * max(1.0, float((np.abs(j.data) * size)[across].max(initial=0.0)))
    wrong = np.flatnonzero(excess > limit)
    if len(wrong):
        row, column = int(rest.row[wrong[0]]), int(rest.col[wrong[0]])
        raise DataError(
            f"{problem.describe(row)} and {problem.describe(column)} are not skew in each "
            "other's rows, so the problem is no variational inequality over strategies",
            advice=ADVICE,
        )
