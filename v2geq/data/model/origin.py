"""Where data came from: file, line and column of every table row, for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from v2geq.errors import quoted


@dataclass(frozen=True)
class TableOrigin:
    """File a table was read from and the line of each row, by key."""

    path: str
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Origin:
    """Files of a case's tables and sections; empty for data that was not read from files.

    Attributes
    ----------
    tables : table name (such as 'feeder.branches') -> its file and lines
    settings : dotted name (such as 'market.voll') -> file, line and section
    """

    tables: Mapping[str, TableOrigin] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def at(self, table: str, key: str | None = None, column: str | None = None) -> str:
        """Place of a row (and column) of `table` in words."""
        column_text = f", column {column}" if column else ""
        origin = self.tables.get(table)
        if origin is None:
            return table + (f" {quoted(key)}" if key is not None else "") + column_text
        line = origin.lines.get(key) if key is not None else None
        return origin.path + (f", line {line}" if line is not None else "") + column_text

    def place(self, name: str) -> str:
        """Place of the setting or section with the dotted name, in words."""
        return self.settings.get(name, name)

    def __or__(self, other: Origin) -> Origin:
        return Origin({**self.tables, **other.tables}, {**self.settings, **other.settings})


NO_ORIGIN = Origin()
