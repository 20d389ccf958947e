"""Solvers of mixed complementarity problems. They know nothing of markets."""

from __future__ import annotations

from collections.abc import Callable

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, did_you_mean
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import MCPResult, Options, Problem

Solver = Callable[[Problem, FloatArray | None, Options | None], MCPResult]

METHODS: dict[str, Solver] = {"auto": interior_point, "interior_point": interior_point}
"""Solvers by name; "auto" is the default choice."""


def solver(method: str) -> Solver:
    """The solver called `method`; raises DataError with suggestions for an unknown name."""
    if method not in METHODS:
        raise DataError(f"there is no method {method!r}", advice=did_you_mean(method, METHODS))
    return METHODS[method]
