"""What a solver sees of a mixed complementarity problem, and the residual that judges a point."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.mcp.checks import INFINITE


@runtime_checkable
class Problem(Protocol):
    """A mixed complementarity problem: F = 0 inside, >= 0 at lower, <= 0 at upper bounds.

    `scale` and `row_scale` are magnitudes of the data for variables and rows of F. The Jacobian
    keeps one sparsity pattern, with every diagonal entry stored at `diagonal_positions`.
    """

    n: int
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    scale: FloatArray
    row_scale: FloatArray

    @property
    def diagonal_positions(self) -> IntArray: ...

    def F(self, z: FloatArray) -> FloatArray: ...

    def J(self, z: FloatArray) -> sp.csc_array: ...

    def describe(self, position: int) -> str: ...


def scaled_residual(problem: Problem, z: FloatArray, f: FloatArray | None = None) -> FloatArray:
    """Scaled natural residual of every entry, (n,): |z - clip(z - F, lower, upper)|.

    Variables and rows are divided by their data scales first. Written so that F is never added to
    a large z, which would hide it.
    """
    f = problem.F(z) if f is None else f
    above = np.where(problem.lower > -INFINITE, z - problem.lower, np.inf) / problem.scale
    below = np.where(problem.upper < INFINITE, problem.upper - z, np.inf) / problem.scale
    residual: FloatArray = np.abs(np.maximum(np.minimum(f / problem.row_scale, above), -below))
    return residual


def reduced_costs(problem: Problem, z: FloatArray) -> FloatArray:
    """F where a bound holds an entry, zero elsewhere, (n,)."""
    f = problem.F(z)
    trial = z / problem.scale - f / problem.row_scale
    low, high = problem.lower / problem.scale, problem.upper / problem.scale
    held: FloatArray = np.where((trial > low) & (trial < high), 0.0, f)
    return held
