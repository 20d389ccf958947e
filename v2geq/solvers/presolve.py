"""Make a problem smaller by steps that can be undone: fixed variables and price chains.

* A variable whose bounds coincide leaves with its row.
* A free variable i whose row reads a z_j + b z_k + c = 0, with z_j free, and which appears in the
  rows of z_j and z_k only and in the same proportion, leaves together with z_j: z_j follows from
  z_k, and z_i from the row of z_j. Prices tied to each other, such as the two multipliers of a
  withdrawal that is both in a balance and in a market, are of this kind.

With z = T y + c the reduced map is T' F(T y + c), so skew and monotone structure is kept. The
entries concerned must be constant; they are looked at in a few points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.mcp.problem import Problem
from v2geq.show import brief
from v2geq.solvers.functions import FunctionProblem

PROBES = 3
EQUAL = 1e-12
"""Relative difference up to which two entries count as equal."""


@dataclass(frozen=True)
class Presolved:
    """A smaller problem and the way back.

    Attributes
    ----------
    problem : the reduced problem, its entries named as in the original
    kept : positions of its variables in the original
    fixed, chains : how many variables left, and of what kind
    """

    problem: FunctionProblem
    kept: IntArray
    fixed: int
    chains: int
    _original: Problem
    _transform: sp.csr_array
    _constant: FloatArray
    _partners: IntArray
    _rows: IntArray
    _entries: FloatArray

    __repr__ = brief

    def restore(self, y: FloatArray) -> FloatArray:
        """Point of the original problem, (n,), for a point of the reduced one."""
        z: FloatArray = self._transform @ y + self._constant
        if self._partners.size:
            z[self._partners] = -self._original.F(z)[self._rows] / self._entries
        return z

    def reduce(self, z: FloatArray) -> FloatArray:
        """Point of the reduced problem for a point of the original, (m,)."""
        return z[self.kept]


def presolve(problem: Problem) -> Presolved:
    """Reduce `problem`; where nothing can leave, the reduced problem is the same."""
    n = problem.n
    fixed = problem.lower == problem.upper
    partner, follower, leader, ratio = _chains(problem, fixed)
    gone = fixed.copy()
    gone[partner] = gone[follower] = True
    kept = np.flatnonzero(~gone)
    column = np.full(n, -1)
    column[kept] = np.arange(len(kept))

    constant = np.where(fixed, problem.lower, 0.0)
    at = _anchor(problem)
    f, j = problem.F(at), sp.csr_array(problem.J(at))
    rest = f[partner] - (j @ at)[partner]
    own = np.asarray(j[partner, follower]).ravel()
    constant[follower] = ratio * constant[leader] - rest / own if len(partner) else 0.0
    moves = column[leader] >= 0
    rows = np.concatenate([kept, follower[moves]])
    columns = np.concatenate([np.arange(len(kept)), column[leader[moves]]])
    values = np.concatenate([np.ones(len(kept)), ratio[moves]])
    transform = sp.csr_array(sp.coo_array((values, (rows, columns)), shape=(n, len(kept))))
    transposed = sp.csr_array(transform.T)

    reduced = FunctionProblem(
        lambda y: transposed @ problem.F(transform @ y + constant),
        lambda y: transposed @ sp.csr_array(problem.J(transform @ y + constant)) @ transform,
        problem.lower[kept],
        problem.upper[kept],
        np.clip(problem.start, problem.lower, problem.upper)[kept],
        [problem.describe(int(k)) for k in kept],
    )
    reduced.scale, reduced.row_scale = problem.scale[kept], problem.row_scale[kept]
    entries = np.asarray(j[follower, partner]).ravel()
    back = (problem, transform, constant, partner, follower, entries)
    return Presolved(reduced, kept, int(fixed.sum()), len(partner), *back)


def _anchor(problem: Problem) -> FloatArray:
    return np.clip(problem.start, problem.lower, problem.upper)


def _chains(problem: Problem, fixed: np.ndarray) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Positions of partners i, followers j and leaders k, and the ratio z_j / z_k."""
    n = problem.n
    rng = np.random.default_rng(0)
    at = _anchor(problem)
    matrices = []
    for k in range(PROBES):
        move = problem.scale * rng.uniform(size=n) if k else 0.0
        z = np.clip(at + move, problem.lower, problem.upper)
        a = sp.csr_array(problem.J(z))
        a.eliminate_zeros()
        matrices.append(a)
    rows, columns = matrices[0], sp.csc_array(matrices[0])
    free = np.isinf(problem.lower) & np.isinf(problem.upper)
    two = free & (np.diff(rows.indptr) == 2) & (np.diff(columns.indptr) <= 2)
    taken = fixed.copy()
    held = np.zeros(n, dtype=bool)
    found: list[tuple[int, int, int, float]] = []
    for i in np.flatnonzero(two).tolist():
        if taken[i] or held[i]:
            continue
        ends = rows.indices[rows.indptr[i] : rows.indptr[i + 1]].tolist()
        if i in ends or not _constant(matrices, i):
            continue
        for j, k in (ends, ends[::-1]):
            if not free[j] or taken[j] or held[j] or (taken[k] and not fixed[k]):
                continue
            a, b = float(rows[i, j]), float(rows[i, k])
            ratio = -b / a
            up, across = float(rows[j, i]), float(rows[k, i])
            touched = set(columns.indices[columns.indptr[i] : columns.indptr[i + 1]].tolist())
            if up == 0.0 or not touched <= {j, k}:
                continue
            if not fixed[k] and abs(across + ratio * up) > EQUAL * (abs(across) + abs(up)):
                continue
            found.append((i, j, k, ratio))
            taken[i] = taken[j] = True
            held[k] = True
            break
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty, np.zeros(0)
    partners, followers, leaders = (np.array([f[m] for f in found]) for m in range(3))
    return partners, followers, leaders, np.array([f[3] for f in found])


def _constant(matrices: list[sp.csr_array], i: int) -> bool:
    """Whether row i and column i hold the same entries at all probes."""
    first = matrices[0]
    for other in matrices[1:]:
        if other.indptr[i + 1] - other.indptr[i] != first.indptr[i + 1] - first.indptr[i]:
            return False
        for end in first.indices[first.indptr[i] : first.indptr[i + 1]].tolist():
            if first[i, end] != other[i, end] or first[end, i] != other[end, i]:
                return False
    return True
