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
from v2geq.data.model.schema import MAY_BE_EMPTY, TableSchema, check_columns, row_name
from v2geq.data.model.values import ValueSpec
from v2geq.data.readers.folders import discreet
from v2geq.errors import DataError, did_you_mean, mistake, part, quoted
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
        Empty file, missing column, ragged row, value of the wrong type or out of range,
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
    given = [schema.spec.get(name) for name in header]
    values: dict[str, list[Any]] = {name: [] for name in header if name in schema.spec}
    lines: dict[str, int] = {}
    for line, row in rows:
        with part():
            cells = _cells(row, given, f"{path}, line {line}")
            key = row_name(cells[name] for name in schema.key)
            if key in lines:
                raise DataError(
                    f"{' and '.join(schema.key)} {quoted(key)} appears twice, "
                    f"first in line {lines[key]}",
                    where=f"{path}, line {line}",
                    advice="keep one of the rows, or rename one",
                )
            for name, value in cells.items():
                values[name].append(value)
            lines[key] = line
    schema.complete(values, len(lines))
    return schema.frame(values), TableOrigin(str(path), lines)


def _cells(row: list[str], given: Sequence[ValueSpec | None], where: str) -> dict[str, Any]:
    """Values of a row by column; columns without a spec are left out."""
    if len(row) != len(given):
        raise DataError(
            f"{len(row)} values under {len(given)} columns",
            where=where,
            advice="check for a missing or an extra comma",
        )
    values: dict[str, Any] = {}
    for spec, cell in zip(given, row, strict=True):
        if spec is None:
            continue

        def place(name: str = spec.name) -> str:
            return f"{where}, column {name}"

        try:
            if not cell and spec.unknown:
                values[spec.name] = math.nan
            elif not cell and spec.name not in MAY_BE_EMPTY:
                raise DataError("the value is missing", where=place(), advice="fill the cell")
            else:
                values[spec.name] = spec.parse(cell, place)
        except DataError as error:
            mistake(error)
            values[spec.name] = spec.stand_in(cell)
    return values


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
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(
            f"the header {quoted(header[0])} has no commas",
            where=where,
            advice="separate the columns by commas",
        )
    check_columns(header, schema, [c.name for c in schema.columns], where)
