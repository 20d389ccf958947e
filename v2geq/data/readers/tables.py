"""Reader of CSV tables with a declared schema; every error names file, line, column and value."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from v2geq.data.model.origin import TableOrigin
from v2geq.data.model.schema import MAY_BE_EMPTY, TableSchema, row_name
from v2geq.data.readers.folders import discreet
from v2geq.errors import DataError, did_you_mean, quoted, unknown_name
from v2geq.files import MOST_BYTES, read_bytes


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Text of a UTF-8 file of at most `most` bytes, with or without byte order mark.

    Raises
    ------
    DataError
        If the file is missing, no regular one, too large, or not UTF-8.
    """
    try:
        raw = read_bytes(path, most)
    except FileNotFoundError:
        near = sorted(os.listdir(path.parent)) if os.path.isdir(path.parent) else []
        raise DataError(
            "file not found",
            where=str(path),
            advice=did_you_mean(path.name, near) if near else "check the path",
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            where=f"{path}, line {line}",
            advice="save the file with the encoding UTF-8",
        ) from None


def read_table(
    path: Path, schema: TableSchema, homes: Sequence[Path] = ()
) -> tuple[pd.DataFrame, TableOrigin]:
    """Table of a CSV file.

    Parameters
    ----------
    path
        CSV file with a header line, comma-separated.
    schema
        Declared columns. Missing optional columns take their default.
    homes
        Folders the file may be quoted from in messages; by default its own.

    Returns
    -------
    frame
        Columns in the schema's order, indexed by the key column if the schema says so.
    origin
        File and line of each row, by key ('origin-destination' for two key columns).

    Raises
    ------
    DataError
        Empty file, missing or unknown column, ragged row, value of the wrong type or out of range,
        repeated key, or encoding other than UTF-8.
    """
    with discreet(path, homes or (path.parent,)):
        return _read_table(path, schema)


def _read_table(path: Path, schema: TableSchema) -> tuple[pd.DataFrame, TableOrigin]:
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        wanted = ", ".join(c.name for c in schema.columns if c.required)
        raise DataError(
            "the file is empty",
            where=str(path),
            advice=f"it needs a header with the columns {wanted}",
        )
    header_line, header = first
    _check_header(header, schema, f"{path}, line {header_line}")
    given = [schema.spec[name] for name in header]
    values: dict[str, list[Any]] = {name: [] for name in header}
    lines: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{len(row)} values under {len(header)} columns",
                where=f"{path}, line {line}",
                advice="check for a missing or an extra comma",
            )
        for spec, cell in zip(given, row, strict=True):

            def where(line: int = line, name: str = spec.name) -> str:
                return f"{path}, line {line}, column {name}"

            if not cell and spec.unknown:
                values[spec.name].append(math.nan)
                continue
            if not cell and spec.name not in MAY_BE_EMPTY:
                raise DataError("the value is missing", where=where(), advice="fill the cell")
            values[spec.name].append(spec.parse(cell, where))
        key = row_name(values[name][-1] for name in schema.key)
        if key in lines:
            raise DataError(
                f"{' and '.join(schema.key)} {quoted(key)} appears twice, "
                f"first in line {lines[key]}",
                where=f"{path}, line {line}",
                advice="keep one of the rows, or rename one",
            )
        lines[key] = line
    schema.complete(values, len(lines))
    return schema.frame(values), TableOrigin(str(path), lines)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"broken CSV ({error})",
                where=f"{path}, line {start}",
                advice="check the quotation marks",
            ) from None
        cells = [cell.strip() for cell in row]
        if cells and cells != [""]:
            yield start, cells


def _check_header(header: list[str], schema: TableSchema, where: str) -> None:
    known = [c.name for c in schema.columns]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(
            f"the header {quoted(header[0])} has no commas",
            where=where,
            advice="separate the columns by commas",
        )
    for position, name in enumerate(header):
        if name not in known:
            raise unknown_name("unknown column", name, known, where)
        if name in header[:position]:
            raise DataError(
                f"column {quoted(name)} appears twice", where=where, advice="remove one"
            )
    missing = [c.name for c in schema.columns if c.required and c.name not in header]
    if missing:
        raise DataError(
            f"missing column {', '.join(repr(name) for name in missing)}",
            where=where,
            advice=f"the columns are {', '.join(known)}",
        )
