"""The one way functions are compiled here: to machine code, cached on disk.

A compiled function is built at its first call after installation and read from the cache after
that. The cache notices changes of the file a function is in, not of files it calls: after editing
a kernel that others call, remove the `__pycache__` folder beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` on first use; no wrapping of negative indices is relied on."""
    return _compiled(function)


def inlined(function: F) -> F:
    """As `compiled`, for small functions in the hottest loops: written out where they are called.

    A call with a tuple of many arrays otherwise spends more on handing it over than on the work.
    """
    return _compiled(function, inline="always")


def _compiled(function: F, inline: Literal["always", "never"] = "never") -> F:
    try:
        return cast(F, njit(cache=True, error_model="numpy", inline=inline)(function))
    except RuntimeError as error:
        # neither the package's folder nor the user's cache can be written
        if "no locator" not in str(error):
            raise
        return cast(F, njit(error_model="numpy", inline=inline)(function))
