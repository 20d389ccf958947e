"""Complementarity problems stated by plain functions, for tests of solvers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass
class PlainProblem:
    """F and a dense or sparse Jacobian as functions, unit scales."""

    function: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    lower: np.ndarray
    upper: np.ndarray
    start: np.ndarray

    def __post_init__(self) -> None:
        self.n = len(self.lower)
        self.scale = np.ones(self.n)
        self.row_scale = np.ones(self.n)
        pattern = sp.csc_array(np.ones((self.n, self.n)))
        self._indices, self._indptr = pattern.indices, pattern.indptr

    @property
    def diagonal_positions(self) -> np.ndarray:
        return np.arange(self.n) * (self.n + 1)

    def F(self, z: np.ndarray) -> np.ndarray:
        return self.function(z)

    def J(self, z: np.ndarray) -> sp.csc_array:
        dense = np.asarray(self.jacobian(z), dtype=float)
        return sp.csc_array(
            (dense.T.ravel().copy(), self._indices, self._indptr), shape=(self.n, self.n)
        )

    def describe(self, position: int) -> str:
        return f"z[{position}]"


def linear(
    m: np.ndarray, q: np.ndarray, lower: object = 0.0, upper: object = np.inf
) -> PlainProblem:
    """M z + q with bounds."""
    n = len(q)
    return PlainProblem(
        lambda z: m @ z + q,
        lambda z: m,
        np.broadcast_to(np.asarray(lower, dtype=float), (n,)).copy(),
        np.broadcast_to(np.asarray(upper, dtype=float), (n,)).copy(),
        np.zeros(n),
    )


def assert_solves(problem: PlainProblem, z: np.ndarray, tolerance: float = 1e-8) -> None:
    """Feasibility and complementarity, written out without the solver's own residual."""
    f = problem.F(z)
    assert (z >= problem.lower - tolerance).all()
    assert (z <= problem.upper + tolerance).all()
    inside = (z > problem.lower + 1e-6) & (z < problem.upper - 1e-6)
    assert np.abs(f[inside]).max(initial=0.0) <= tolerance
    at_low = (z <= problem.lower + 1e-6) & (problem.upper > problem.lower)
    at_high = (z >= problem.upper - 1e-6) & (problem.upper > problem.lower)
    assert f[at_low].min(initial=0.0) >= -1e-6
    assert f[at_high].max(initial=0.0) <= 1e-6
