"""Errors that name the file, the object, the value and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class V2GError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(V2GError):
    """Input that cannot be used, told in one message.

    Parameters
    ----------
    problem
        What is wrong, with the object's name and the offending value.
    where
        File (and line, section or column) the value came from.
    advice
        What to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", advice: str = "") -> None:
        self.problem, self.where, self.advice = problem, where, advice
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}; {advice}" if advice else text)

    def at(self, where: str) -> DataError:
        """This error if it has a place, else the same one at `where`."""
        return self if self.where else DataError(self.problem, where=where, advice=self.advice)

    def __reduce__(self) -> tuple[Any, ...]:
        # by default rebuilt from the message alone: the parts would be lost between processes
        return _data_error, (self.problem, self.where, self.advice)


def _data_error(problem: str, where: str, advice: str) -> DataError:
    return DataError(problem, where=where, advice=advice)


class ConvergenceError(V2GError):
    """A solver stopped before it reached its tolerance."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Advice for a mistyped name: the closest known names, or all of a short list."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known names: {shown}" if known else "none are defined"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names separated by commas; of a long list the first and how many more."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
