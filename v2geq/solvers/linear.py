"""Sparse factorisations with one fill-reducing ordering for all matrices of a pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from v2geq.arrays import FloatArray, IntArray
from v2geq.interruptible import interruptible

SYMMETRIC = 1e-9
"""Relative difference up to which two entries count as equal in size."""


PIVOT = 0.01
"""A diagonal entry smaller than this share of its column is no pivot where LDL' has failed."""


class PatternLU:
    """Factorise matrices that share a sparsity pattern with a stored diagonal.

    The minimum-degree ordering of A + A' is found once and kept; pivots stay on the diagonal where
    they can, which suits matrices that are quasi-definite after sign changes. COLAMD, the default
    of SciPy, is 5 to 100 times slower on such matrices.
    """

    def __init__(self, pivot_threshold: float = 0.0) -> None:
        self.pivot_threshold = pivot_threshold
        self.factorisations = 0
        self._gather: np.ndarray | None = None
        self._indices: np.ndarray
        self._indptr: np.ndarray
        self._order: np.ndarray
        self._lu: SuperLU

    def factor(self, a: sp.csc_array) -> None:
        """Factorise `a`; raises RuntimeError where it is exactly singular."""
        self.factorisations += 1
        how = {"diag_pivot_thresh": self.pivot_threshold, "options": {"SymmetricMode": True}}
        if self._gather is None:
            probe = interruptible(a.nnz, lambda: splu(a, permc_spec="MMD_AT_PLUS_A", **how))
            n = a.shape[0]
            self._order = np.argsort(probe.perm_c)
            marked = sp.csc_array((np.arange(1, a.nnz + 1), a.indices, a.indptr), shape=(n, n))
            permuted = sp.csc_array(marked[self._order][:, self._order])
            permuted.sort_indices()
            self._gather = permuted.data - 1
            self._indices, self._indptr = permuted.indices, permuted.indptr
        permuted = sp.csc_array((a.data[self._gather], self._indices, self._indptr), shape=a.shape)
        self._lu = interruptible(a.nnz, lambda: splu(permuted, permc_spec="NATURAL", **how))

    def solve(self, b: FloatArray) -> FloatArray:
        """Solve with the last factorised matrix."""
        x = np.empty_like(b)
        x[self._order] = self._lu.solve(b[self._order])
        return x


class PatternLDL:
    """LDL' of matrices that become symmetric, and quasi-definite, when some rows change sign.

    The Jacobian of an equilibrium with a potential is of that kind: multipliers' rows are skew to
    the strategies'. One ordering serves all matrices of the pattern, and a factorisation takes a
    fifth to a tenth of the time of an LU.
    """

    def __init__(self) -> None:
        self.factorisations = 0
        self._signs: FloatArray | None = None
        self._upper: np.ndarray
        self._lower: np.ndarray
        self._upper_sign: FloatArray
        self._lower_sign: FloatArray
        self._matrix: sp.csc_matrix
        self._solver: Any = None

    def factor(self, a: sp.csc_array) -> bool:
        """Factorise `a` and return True; False where it is not symmetric after sign changes.

        Raises RuntimeError where a pivot vanishes.
        """
        if self._signs is None and not self._analyse(a):
            return False
        upper = self._upper_sign * a.data[self._upper]
        lower = self._lower_sign * a.data[self._lower]
        if not (np.abs(upper - lower) <= SYMMETRIC * (np.abs(upper) + np.abs(lower))).all():
            return False
        self.factorisations += 1
        self._matrix.data[:] = upper
        if self._solver is None:
            import qdldl

            self._solver = interruptible(a.nnz, lambda: qdldl.Solver(self._matrix, upper=True))
        else:
            interruptible(a.nnz, lambda: self._solver.update(self._matrix, upper=True))
        return True

    def solve(self, b: FloatArray) -> FloatArray:
        """Solve with the last factorised matrix."""
        assert self._signs is not None
        return np.asarray(self._solver.solve(self._signs * b))

    def _analyse(self, a: sp.csc_array) -> bool:
        """Find the signs: two variables agree where their entries are equal, else differ."""
        n = a.shape[0]
        positions = sp.csc_array((np.arange(1, a.nnz + 1), a.indices, a.indptr), shape=(n, n))
        mirrored = sp.csc_array(positions.T)
        mirrored.sort_indices()
        same = np.array_equal(mirrored.indices, a.indices)
        if not (same and np.array_equal(mirrored.indptr, a.indptr)):
            return False
        partner = mirrored.data - 1
        rows, columns = a.indices, np.repeat(np.arange(n), np.diff(a.indptr))
        value, mirror = a.data, a.data[partner]
        off = (rows != columns) & (value != 0)
        agree = off & (np.sign(value) == np.sign(mirror))
        differ = off & ~agree
        # in the double cover a variable is joined to those of its own sign, or to the opposite
        i, j = rows[agree], columns[agree]
        k, m = rows[differ], columns[differ]
        heads = np.concatenate([i, i + n, k, k + n])
        tails = np.concatenate([j, j + n, m + n, m])
        cover = sp.coo_array((np.ones(len(heads)), (heads, tails)), shape=(2 * n, 2 * n))
        _, label = connected_components(cover.tocsr(), directed=False)
        plus, minus = label[:n], label[n:]
        if (plus == minus).any():
            return False
        self._signs = np.where(plus < minus, 1.0, -1.0)
        self._upper = np.flatnonzero(rows <= columns)
        self._lower = partner[self._upper]
        self._upper_sign = self._signs[rows[self._upper]]
        self._lower_sign = self._signs[columns[self._upper]]
        self._matrix = sp.csc_matrix(
            (np.ones(len(self._upper)), (rows[self._upper], columns[self._upper])), shape=(n, n)
        )
        self._matrix.sort_indices()
        return True


class PatternFactor:
    """LDL' where the matrices allow it, LU otherwise."""

    def __init__(self, pivot_threshold: float = PIVOT) -> None:
        self.pivot_threshold = pivot_threshold
        self._ldl: PatternLDL | None = PatternLDL()
        self._lu = PatternLU()

    @property
    def factorisations(self) -> int:
        """Factorisations so far, of either kind."""
        return self._lu.factorisations + (self._ldl.factorisations if self._ldl else 0)

    @property
    def kind(self) -> str:
        """Which factorisation the last matrix took."""
        return "LDL" if self._ldl else "LU"

    def factor(self, a: sp.csc_array) -> None:
        """Factorise `a`; raises RuntimeError where it is singular."""
        if self._ldl is not None:
            try:
                if self._ldl.factor(a):
                    return
            except RuntimeError:  # a pivot vanished; LU may still exchange rows
                pass
        self.with_pivots(a)

    def with_pivots(self, a: sp.csc_array) -> None:
        """Factorise `a` by LU, and all that follow: LDL' had lost its digits."""
        if self._ldl is not None:
            self._lu = PatternLU(self.pivot_threshold)
            self._lu.factorisations = self._ldl.factorisations
            self._ldl = None
        self._lu.factor(a)

    def solve(self, b: FloatArray) -> FloatArray:
        """Solve with the last factorised matrix."""
        return self._lu.solve(b) if self._ldl is None else self._ldl.solve(b)


def equilibrate(
    a: sp.csc_array, columns: IntArray, scale: FloatArray, row_scale: FloatArray
) -> FloatArray:
    """Diagonal d that brings the largest entry of every row and column of D A D near one.

    One d for rows and columns keeps the skew pairing of variables and multipliers.
    """
    rows = a.indices
    size = np.abs(a.data) * scale[columns] / row_scale[rows]
    d = np.ones(a.shape[0])
    for _ in range(6):
        entry = size * d[rows] * d[columns]
        largest = np.zeros(a.shape[0])
        np.maximum.at(largest, rows, entry)
        np.maximum.at(largest, columns, entry)
        d /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return np.clip(d, 1e-4, 1e4)
