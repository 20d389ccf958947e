"""Short texts and small HTML cards of objects, and the log on a terminal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from html import escape
from typing import Any, TextIO, TypeVar

from v2geq.errors import one_line, quoted
from v2geq.progress import beside

T = TypeVar("T")
MONEY = "$"
"""What units are written with inside: the money of a case, whatever its currency."""
_LONGEST = 600
"""Characters of an object's short text."""
_FEW = 4
"""Entries of a collection that are written out."""


def money(text: str, currency: str) -> str:
    """A unit with the currency of a case in it."""
    return text.replace(MONEY, currency)


def card(
    title: str, rows: Mapping[str, object], *, note: str = "", good: bool | None = None
) -> str:
    """A titled two-column table; `good` colours a mark beside the title green or red."""
    mark = ""
    if good is not None:
        colour, sign = ("#009e73", "&#10003;") if good else ("#d55e00", "&#10007;")
        mark = f' <span style="color:{colour}">{sign}</span>'
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(str(k))}</td>'
        f'<td style="text-align:left">{escape(str(v))}</td></tr>'
        for k, v in rows.items()
    )
    tail = f"<p>{escape(note)}</p>" if note else ""
    return f"<div><b>{escape(title)}</b>{mark}<table>{cells}</table>{tail}</div>"


def brief(x: Any) -> str:
    """One line for an object of many fields: arrays, tables and collections by their size.

    For ``__repr__ = brief`` in the body of a dataclass or named tuple.
    """
    names = getattr(x, "_fields", None) or [f.name for f in fields(x) if f.repr]
    parts = ", ".join(f"{name}={_short(getattr(x, name))}" for name in names)
    return one_line(f"{type(x).__name__}({parts})", _LONGEST)


class ByName(dict[str, T]):
    """Arrays and the like by name; shown by their sizes."""

    def __repr__(self) -> str:
        parts = ", ".join(f"{name!r}: {_short(value)}" for name, value in self.items())
        return one_line(f"{{{parts}}}", _LONGEST)


class LongList(list[T]):
    """A long list; shown by its length and its last entry."""

    def __repr__(self) -> str:
        return f"<{len(self)} entries, the last: {self[-1]!r}>" if self else "<no entries>"


def _short(value: Any) -> str:
    shape = getattr(value, "shape", ())
    if shape:
        return f"<{' x '.join(map(str, shape))}>"
    if isinstance(value, (Mapping, list, tuple, frozenset)) and len(value) > _FEW:
        return f"<{len(value)} entries>"
    return quoted(value)


class _Beside(logging.StreamHandler[TextIO]):
    """Lines on the standard error, for which the line of work under way makes room."""

    def emit(self, record: logging.LogRecord) -> None:
        with beside():
            super().emit(record)


def log_to_stderr() -> None:
    """Write the package's log to the standard error, as plain lines."""
    log = logging.getLogger("v2geq")
    if not log.handlers:
        log.addHandler(_Beside())
    log.setLevel(logging.INFO)
