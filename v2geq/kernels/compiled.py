"""The one way functions are compiled here: to machine code, cached on disk; array chores.

A compiled function is built at its first call after installation and read from the cache after
that, see `cache`. Slices are assigned in loops: the check of their shapes alone takes seconds to
compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from v2geq.arrays import FloatArray, IntArray
from v2geq.kernels.cache import cache_for

N = TypeVar("N", bound=np.generic)
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` on first use; no wrapping of negative indices is relied on."""
    return _compiled(function)


def inner(function: F) -> F:
    """As `compiled`, for functions that only compiled ones call: nothing to call them by hand.

    That takes a good part of the time to compile functions of many arrays.
    """
    return _compiled(function, no_cpython_wrapper=True)


def inlined(function: F) -> F:
    """As `compiled`, for small functions in the hottest loops: written out where they are called.

    A call with a tuple of many arrays otherwise spends more on handing it over than on the work.
    """
    return _compiled(function, inline="always")


def _compiled(function: F, **options: Any) -> F:
    options |= {"error_model": "numpy", "no_cfunc_wrapper": True}
    dispatcher: Any = njit(**options)(function)
    dispatcher._cache = cache_for(function)
    return cast(F, dispatcher)


@inner
def ints(size: int) -> IntArray:
    """Whole numbers, not set; numpy's own function is compiled anew for every caller."""
    return np.empty(size, dtype=np.int64)


@inner
def floats(size: int) -> FloatArray:
    """Numbers, not set."""
    return np.empty(size)


@inner
def set_all(values: NDArray[N], value: float) -> None:
    """Set all of an array to one value."""
    for i in range(values.size):
        values[i] = value


@compiled
def longer(values: NDArray[N]) -> NDArray[N]:
    """Copy of twice the length; the second half is not set."""
    twice = np.empty(2 * values.size, dtype=values.dtype)
    for i in range(values.size):
        twice[i] = values[i]
    return twice


@compiled
def reverse(values: NDArray[N], begin: int, end: int) -> None:
    """Turn values[begin:end] around in place."""
    for i in range((end - begin) // 2):
        here, there = begin + i, end - 1 - i
        values[here], values[there] = values[there], values[here]
