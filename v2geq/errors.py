"""Errors that name the file, the object, the value and what to do."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import SequenceMatcher
from typing import Any

_LONGEST = 1500
"""Characters of a part of a message; one line of one error is never longer than three of these."""
_LONGEST_VALUE = 60
_DIGITS = 40
_SURE = 0.8
_UNITS = re.compile(
    r"[\W_](kwh|kw|kvar|kva|kv|pu|ohm|km|hours?|h|veh_h|percent|pct|usd|dollars?|per_kwh)\Z"
)


class V2GError(Exception):
    """Base of every error this package raises on purpose; its text is one line."""

    def __init__(self, text: str = "") -> None:
        super().__init__(one_line(text, 3 * _LONGEST))


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
        problem, where, advice = one_line(problem), one_line(where), one_line(advice)
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


class Unusable(V2GError):
    """Mistakes that were kept (`collecting`) leave nothing to go on with."""


class ConvergenceError(V2GError):
    """A solver stopped before it reached its tolerance."""


_kept: ContextVar[list[DataError] | None] = ContextVar("_kept", default=None)


def mistake(error: DataError) -> None:
    """Raise an error; or keep it where mistakes are collected, and go on."""
    found = _kept.get()
    if found is None:
        raise error
    found.append(error)


def collects() -> bool:
    """Whether mistakes are collected."""
    return _kept.get() is not None


def mistakes() -> int:
    """Number of mistakes kept so far; none where the first one is raised."""
    return len(_kept.get() or ())


@contextmanager
def part() -> Iterator[None]:
    """A part that its first mistake may end; where mistakes are collected, work goes on behind."""
    try:
        yield
    except DataError as error:
        if not collects():
            raise
        mistake(error)
    except Unusable:
        if not collects():
            raise


@contextmanager
def collecting(wanted: bool = True) -> Iterator[list[DataError]]:
    """Keep the mistakes noted in this block in a list; or, where not wanted, raise the first."""
    found: list[DataError] = []
    token = _kept.set(found if wanted else None)
    try:
        yield found
    finally:
        _kept.reset(token)


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Text on one line: what a terminal obeys or hides is written out, the middle may be cut."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return _cut(text, longest)


def quoted(value: Any) -> str:
    """Value of unknown origin for a message: on one line, in bounded length, never failing."""
    if isinstance(value, str):
        return repr(_cut(str(value), _LONGEST_VALUE))
    return one_line(_SHORT.repr(value), 2 * _LONGEST_VALUE)


class _Short(reprlib.Repr):
    """Bounded texts of plain values; other objects by their type, their own text may be long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, _LONGEST_VALUE, _LONGEST_VALUE

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out very large integers
        return repr(x) if x.bit_length() < 3 * _DIGITS else f"a number of {x.bit_length()} bits"

    def repr_instance(self, x: object, level: int) -> str:
        if getattr(x, "ndim", None) == 0 and callable(item := getattr(x, "item", None)):
            return self.repr1(item(), level - 1)  # a numpy scalar as the value it holds
        plain = x is None or isinstance(x, (bool, float, complex))
        return repr(x) if plain else f"<{type(x).__name__}>"


_SHORT = _Short()


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    tail = longest // 4
    return f"{text[: longest - tail - 5]} ... {text[-tail:]}"


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Advice for a mistyped name: the closest known names, else `otherwise` or a short list."""
    known = list(dict.fromkeys(map(str, known)))
    close = closest(name, known)
    if close:
        return "did you mean " + " or ".join(map(quoted, close)) + "?"
    if otherwise:
        return otherwise
    shown = ", ".join(_cut(k, _LONGEST_VALUE) for k in known[:12])
    shown += ", ..." if len(known) > 12 else ""
    return f"known names: {shown}" if known else "none are defined"


def unknown_name(problem: str, name: Any, known: Iterable[str], where: str = "") -> DataError:
    """Error about a name that is none of the known ones, to be raised by the caller."""
    return DataError(
        f"{problem} {quoted(name)}", where=where, advice=did_you_mean(str(name), known)
    )


def closest(name: str, known: Iterable[str], most: int = 3, sure: bool = False) -> list[str]:
    """Known names that a mistyped one may stand for, best first; empty where none is near.

    Names that differ in case, signs, a plural or a unit at the end alone go before those that end
    in the same word ('voll' and 'market.voll'), those before names spelled alike; `sure` leaves
    out those whose spelling is not quite near.
    """
    name = str(name)[:200]
    rated = sorted(((*_likeness(name, k), k) for k in known), key=lambda r: (-r[0], -r[1]))
    if not rated or rated[0][0] == 0:
        return []
    group, best, _ = rated[0]
    if sure and group == 1 and best < _SURE:
        return []
    return [k for g, alike, k in rated[:most] if g == group and alike >= best - 0.1]


def _likeness(name: str, known: str) -> tuple[int, float]:
    """How a known name resembles one that is not known: kind of likeness (0 none), and degree."""
    mine, theirs = _letters(name), _letters(known)
    if not mine or not theirs:
        return 0, 0.0
    alike = max(_ratio(mine, theirs), _ratio(name, known))
    last, their_last = name.rpartition(".")[2], known.rpartition(".")[2]
    if mine == theirs or _stem(name) == _stem(known):
        return 3, alike
    if _stem(last) == _stem(their_last) and ("." in name or "." in known):
        return 2, alike
    parts = _ratio(_stem(last), _stem(their_last))
    if len(mine) > 3 and _stem(last) and _stem(last) in _letters(their_last):
        parts = max(parts, 0.75)
    alike = max(alike, 0.95 * parts)
    return (1, alike) if alike >= 0.6 else (0, alike)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _stem(name: str) -> str:
    """Letters and digits of a name without a unit at its end and a plural."""
    bare = _UNITS.sub("", name.casefold().strip()) or name
    return "".join(_letters(part).removesuffix("s") or part for part in bare.split("."))


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names separated by commas; of a long list the first and how many more."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_cut(str(name), _LONGEST_VALUE) for name in names[:most]) + more
