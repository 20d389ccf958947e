"""The one way functions are compiled here: to machine code, cached on disk.

A compiled function is built at its first call after installation and read from the cache after
that. The cache notices changes of the file a function is in, not of files it calls: after editing
a kernel that others call, remove the `__pycache__` folder beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` on first use; no wrapping of negative indices is relied on."""
    try:
        return cast(F, njit(cache=True, error_model="numpy")(function))
    except RuntimeError as error:
        # neither the package's folder nor the user's cache can be written
        if "no locator" not in str(error):
            raise
        return cast(F, njit(error_model="numpy")(function))
