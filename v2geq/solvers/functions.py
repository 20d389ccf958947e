"""An MCP given by plain functions, with its Jacobian kept on one sparsity pattern."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import DataError
from v2geq.mcp.checks import real_numbers, usable_bounds

PROBES = 4
"""Points at which the pattern of a Jacobian is looked at."""
WRONG_DERIVATIVE = 1e-5
"""Relative difference from central differences at which an entry counts as wrong."""


class FunctionProblem:
    """F, J and bounds as a problem for the solvers, in unit scales.

    Parameters
    ----------
    function, jacobian
        F(z) -> (n,) and J(z) -> (n, n), dense or sparse.
    lower, upper
        (n,) bounds, infinite where there is none.
    start
        (n,) first point; by default the point of the box nearest to zero.
    names
        Names of the n entries, for messages.

    Raises
    ------
    DataError
        Shapes that do not fit, bounds that cross, NaN, or functions that fail at the start.
    """

    def __init__(
        self,
        function: Callable[[FloatArray], Any],
        jacobian: Callable[[FloatArray], Any],
        lower: Any,
        upper: Any,
        start: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        for what, given in (("F", function), ("J", jacobian)):
            if not callable(given):
                raise DataError(f"{what} must be a function of z, got {type(given).__name__}")
        low, high = _vector("lb", lower), _vector("ub", upper)
        n = self.n = len(low)
        if n == 0:
            raise DataError("the problem has no variables: lb is empty")
        if len(high) != n:
            raise DataError(f"lb has {n} entries and ub {len(high)}")
        self.names = None if names is None else [str(k) for k in names]
        if self.names is not None and len(self.names) != n:
            raise DataError(f"{len(self.names)} names for {n} variables")
        self.lower, self.upper = usable_bounds(low, high, self.describe)
        nearest = np.clip(np.zeros(n), self.lower, self.upper)
        self.start = nearest if start is None else _vector("z0", start)
        if len(self.start) != n or not np.isfinite(self.start).all():
            raise DataError(f"z0 must be {n} finite numbers")
        self.scale, self.row_scale = np.ones(n), np.ones(n)
        self._function, self._jacobian = function, jacobian
        self.F(np.clip(self.start, self.lower, self.upper))
        self._pattern()

    def describe(self, position: int) -> str:
        """Name of an entry."""
        return f"z[{position}]" if self.names is None else self.names[position]

    def F(self, z: FloatArray) -> FloatArray:
        """The map, (n,).

        Raises
        ------
        DataError
            Where the function returns anything but n real numbers.
        """
        value = real_numbers("F", self._function(z))
        if value.shape != (self.n,):
            raise DataError(f"F returns shape {value.shape}, expected ({self.n},)")
        return value

    def J(self, z: FloatArray) -> sp.csc_array:
        """The Jacobian on the common pattern.

        Raises
        ------
        DataError
            Where it has an entry that was structurally absent before.
        """
        entries = self._entries(z)
        keys = entries.col.astype(np.int64) * self.n + entries.row
        at = np.searchsorted(self._keys, keys)
        known = at < len(self._keys)
        known[known] = self._keys[at[known]] == keys[known]
        if not known.all():
            k = int(np.argmin(known))
            raise DataError(
                f"the Jacobian has a new entry, row {self.describe(int(entries.row[k]))}, column "
                f"{self.describe(int(entries.col[k]))}",
                advice="return every entry that can be nonzero, with explicit zeros",
            )
        data = np.zeros(len(self._keys))
        np.add.at(data, at, entries.data)
        return sp.csc_array((data, self._indices, self._indptr), shape=(self.n, self.n))

    @property
    def diagonal_positions(self) -> IntArray:
        """Where the diagonal sits in the data of every Jacobian."""
        return self._diagonal

    def wrong_derivatives(self, z: FloatArray, most: int = 10) -> list[str]:
        """Entries of J that differ from central differences of F at z, largest first."""
        exact = self.J(z).toarray()
        step = 1e-6 * np.maximum(1.0, np.abs(z))
        differences = np.empty_like(exact)
        for k in range(self.n):
            move = np.zeros(self.n)
            move[k] = step[k]
            differences[:, k] = (self.F(z + move) - self.F(z - move)) / (2.0 * step[k])
        size = np.maximum(np.maximum(np.abs(exact), np.abs(differences)), 1.0)
        error = np.abs(exact - differences) / size
        out = []
        for flat in np.argsort(-error, axis=None)[:most]:
            i, j = divmod(int(flat), self.n)
            if not error[i, j] > WRONG_DERIVATIVE:
                break
            out.append(
                f"dF[{self.describe(i)}]/d{self.describe(j)} is {exact[i, j]:g}, by differences "
                f"{differences[i, j]:g}"
            )
        return out

    def _entries(self, z: FloatArray) -> sp.coo_array:
        matrix = self._jacobian(z)
        if sp.issparse(matrix):
            matrix = sp.coo_array(matrix)
            entries, shape = real_numbers("J", matrix.data), matrix.shape
        else:
            dense = real_numbers("J", matrix)
            entries, shape = dense.ravel(), dense.shape
        if shape != (self.n, self.n):
            raise DataError(f"J returns shape {shape}, expected ({self.n}, {self.n})")
        if sp.issparse(matrix):
            places = (matrix.row, matrix.col)
        else:
            places = np.divmod(np.arange(self.n**2), self.n)
        return sp.coo_array((entries, places), shape=shape)

    def _pattern(self) -> None:
        """Union of the patterns at a few points, the transposed pattern and the diagonal."""
        rng = np.random.default_rng(0)
        inside = np.clip(self.start, self.lower, self.upper)
        n = self.n
        keys = [np.arange(n, dtype=np.int64) * (n + 1)]
        for k in range(PROBES):
            point = inside if k == 0 else inside + 0.1 * rng.uniform(size=n)
            entries = self._entries(np.clip(point, self.lower, self.upper))
            row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)
            keys += [column * n + row, row * n + column]
        self._keys = np.unique(np.concatenate(keys))
        self._indices = (self._keys % n).astype(np.int32)
        self._indptr = np.searchsorted(self._keys, np.arange(n + 1) * n).astype(np.int32)
        self._diagonal = np.searchsorted(self._keys, np.arange(n, dtype=np.int64) * (n + 1))


def _vector(what: str, value: Any) -> FloatArray:
    array = real_numbers(what, value)
    if array.ndim != 1 or np.isnan(array).any():
        raise DataError(f"{what} must be a vector without NaN, got shape {array.shape}")
    return array
