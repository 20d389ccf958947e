"""Strict TOML tables: every key must be asked for, every value must have the asked type."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from v2geq.data.model.values import ValueSpec
from v2geq.data.readers.tables import read_text
from v2geq.errors import DataError, did_you_mean, mistake, quoted

_REQUIRED: Any = object()
_MOST_BYTES = 2**22  # settings, not tables: the parser is slow
_MOST_DEEP = 20
_HEADER = re.compile(r"\s*\[\[?\s*(?P<path>[^\[\]]+?)\s*\]\]?\s*(#.*)?\Z")
_KEY = re.compile(
    r"""\s*(?P<path>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class TomlTable:
    """One table of a TOML file that knows its place and which keys were asked for.

    Ask for keys with `text`, `number`, `texts`, `booleans`, `table`, `tables`, `mapping` or
    `raw`, then call `finish`: keys nobody asked for are an error.

    Parameters
    ----------
    data
        Keys and values.
    path
        File, for messages.
    keys
        Section this table is, as a tuple of keys.
    source
        Text of the file, to find line numbers.

    Attributes
    ----------
    known
        Keys that will be asked for; the rest may be mistyped.
    """

    def __init__(
        self, data: Mapping[str, Any], path: str, keys: tuple[str, ...] = (), source: str = ""
    ) -> None:
        self.data, self.path, self.keys, self._source = data, path, keys, source
        self._asked: dict[str, None] = {}
        self.known: Collection[str] = ()

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def where(self, key: str | None = None) -> str:
        """Place of this table, or of one of its keys, in words."""
        path = self.keys + ((key,) if key is not None else ())
        line = _line_of(self._source, path)
        section = f", [{'.'.join(self.keys)}]" if self.keys else ""
        return self.path + (f", line {line}" if line else "") + section

    def error(self, problem: str, *, key: str | None = None, advice: str = "") -> DataError:
        """Error about this table or one of its keys, to be raised by the caller."""
        return DataError(problem, where=self.where(key), advice=advice)

    def raw(self, key: str, default: Any = _REQUIRED) -> Any:
        """Value of `key`, of any type; raises DataError if it is missing and has no default."""
        self._asked[key] = None
        if key in self.data:
            return self.data[key]
        if default is _REQUIRED:
            # a key that means something else is not a mistyped one
            near = [k for k in self.data if k not in self._asked and k not in self.known]
            raise self.error(
                f"missing key {quoted(key)}",
                advice=did_you_mean(key, near, f"add {key} = ..."),
            )
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """Text value of `key`."""
        return str(self._scalar(key, "text", default))

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """Finite number of `key`."""
        return float(self._scalar(key, "float", default))

    def texts(self, key: str, default: Any = _REQUIRED) -> list[str]:
        """List of texts of `key`."""
        return self._list(key, "text", default)

    def booleans(self, key: str, default: Any = _REQUIRED) -> list[bool]:
        """List of true and false of `key`."""
        return self._list(key, "bool", default)

    def mapping(self, key: str, default: Any = _REQUIRED) -> dict[str, Any]:
        """Table of `key` as a plain dictionary, its keys free."""
        return dict(self.table(key, default).data)

    def table(self, key: str, default: Any = _REQUIRED) -> TomlTable:
        """Table of `key`; pass `{}` as the default of an optional one."""
        if key not in self.data and default is _REQUIRED:
            section = ".".join((*self.keys, key))
            raise self.error(
                f"missing section [{section}]",
                advice=did_you_mean(key, self.data, f"add [{section}]"),
            )
        value = self.raw(key, default)
        if not isinstance(value, Mapping):
            raise self.error(
                f"{key} = {quoted(value)} is not a table", key=key, advice=f"write it as [{key}]"
            )
        return TomlTable(value, self.path, (*self.keys, key), self._source)

    def tables(self, key: str) -> list[TomlTable]:
        """Array of tables `[[key]]`; empty if there is none."""
        value = self.raw(key, [])
        keys = (*self.keys, key)
        if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
            raise self.error(
                f"{key} is not a list of tables",
                key=key,
                advice=f"write each as [[{'.'.join(keys)}]]",
            )
        return [
            TomlTable(v, self.path, keys, _only(self._source, keys, i)) for i, v in enumerate(value)
        ]

    def finish(self) -> None:
        """Raise DataError if the table has a key that was never asked for."""
        for key in self.data:
            if key not in self._asked:
                advice = did_you_mean(key, self._asked)
                mistake(self.error(f"unknown key {quoted(key)}", key=key, advice=advice))

    def _scalar(self, key: str, kind: str, default: Any) -> Any:
        value = self.raw(key, default)
        return ValueSpec(key, kind).check(value, self.where(key))

    def _list(self, key: str, kind: str, default: Any) -> list[Any]:
        value = self.raw(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.error(
                f"{key} = {quoted(value)} is not a list", key=key, advice=f"write {key} = [...]"
            )
        spec = ValueSpec(key, kind)
        return [spec.check(item, self.where(key)) for item in value]


def read_toml(path: Path) -> TomlTable:
    """Top-level table of a TOML file.

    Raises
    ------
    DataError
        If the file is missing, not UTF-8, or not TOML (with the line).
    """
    source = read_text(path, _MOST_BYTES)
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"not valid TOML ({error})", where=str(path), advice=_advice(error)
        ) from None
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError:
        raise DataError(
            "a whole number has too many digits", where=str(path), advice="write it as 1e9"
        ) from None
    layer: list[Any] = [data]
    for _ in range(_MOST_DEEP):
        inner = [v.values() if isinstance(v, dict) else v for v in layer]
        layer = [v for values in inner for v in values if isinstance(v, (dict, list))]
    if layer:
        raise _too_deep(path)
    return TomlTable(data, str(path), (), source)


def _too_deep(path: Path) -> DataError:
    return DataError(
        f"tables or lists are nested more than {_MOST_DEEP} deep", where=str(path), advice="flatten"
    )


def _advice(error: tomllib.TOMLDecodeError) -> str:
    text = str(error)
    if "overwrite" in text or "declare" in text:
        return "a key or section appears twice; keep one"
    if "Invalid value" in text:
        return "texts need quotation marks, true and false are lower case, decimals use a point"
    return "look at this line and the one before it"


def _line_of(source: str, path: tuple[str, ...]) -> int | None:
    """Line where `path` is set, or else its nearest enclosing section; None if not found."""
    best: tuple[int, int] | None = None
    section: tuple[str, ...] = ()
    for number, line in enumerate(source.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = found = _parts(header["path"])
        elif key := _KEY.match(line):
            found = section + _parts(key["path"])
        else:
            continue
        # a longer key, as in 'set.voll = 3', sets part of the table that is looked for
        found = found[: len(path)]
        depth = len(found)
        if found == path[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _only(source: str, keys: tuple[str, ...], index: int) -> str:
    """Text with the other tables `[[keys]]` blanked out, so that line numbers fit this one."""
    lines, seen, keep = source.splitlines(), -1, True
    for i, line in enumerate(lines):
        if header := _HEADER.match(line):
            found = _parts(header["path"])
            if found == keys:
                seen += 1
            keep = found[: len(keys)] != keys or seen == index
        if not keep:
            lines[i] = ""
    return "\n".join(lines)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(path))
