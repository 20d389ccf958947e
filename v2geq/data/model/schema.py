"""Schemas of the tables of a case: columns with type, unit and range."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from v2geq.data.model.values import BASES, LARGEST, NAME_LENGTH, ValueSpec
from v2geq.errors import DataError, did_you_mean, mistake, quoted, unknown_name

TOLL_UNIT = "$/veh"
"""Unit of the tolls of a case, whose currency stands for $."""
NO_LIMIT_KW = 1e6
"""Charger power of a station that limits no vehicle, kW."""

_DTYPES = {"float": "float64", "int": "int64", "bool": "bool", "text": "str"}


@dataclass(frozen=True)
class TableSchema:
    """Columns of one table.

    Attributes
    ----------
    name : name in dotted parameters and messages, such as 'feeder.branches'
    key : columns that together identify a row
    columns : specs of all columns, key columns first
    indexed : whether the (single) key column becomes the index
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[ValueSpec, ...]
    indexed: bool = True

    @property
    def spec(self) -> dict[str, ValueSpec]:
        """Specs by column name."""
        return {c.name: c for c in self.columns}

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Columns of the frame, the index left out."""
        return tuple(c.name for c in self.columns if not (self.indexed and c.name in self.key))

    def priced(self, currency: str) -> TableSchema:
        """The same in a currency."""
        return replace(self, columns=tuple(c.priced(currency) for c in self.columns))

    def complete(self, values: dict[str, list[Any]], rows: int) -> None:
        """Fill in optional columns that are not given: their default, or the column they follow."""
        for column in self.columns:
            if column.name not in values and not column.required:
                same = values.get(column.default_of)
                values[column.name] = list(same) if same else [column.default] * rows

    def frame(self, values: Mapping[str, Sequence[Any] | npt.NDArray[Any]]) -> pd.DataFrame:
        """Frame of checked values by column, with the schema's dtypes and order."""
        specs = self.spec
        data = {
            name: pd.Series(list(values[name]), dtype=_DTYPES[specs[name].kind])
            for name in self.value_columns
        }
        frame = pd.DataFrame(data, columns=list(self.value_columns))
        if self.indexed:
            frame.index = pd.Index(list(values[self.key[0]]), dtype="str", name=self.key[0])
        return frame

    def admit(self, given: Any, name: str = "", largest: float = LARGEST) -> pd.DataFrame:
        """Checked copy of a frame made or changed in Python: as if it had been read from a file.

        Parameters
        ----------
        given
            Columns of the schema in any order, indexed by the key column if the schema says so.
        name
            Name of the table in messages, where it is not the schema's.
        largest
            Largest size of a number.

        Raises
        ------
        DataError
            Not a frame, missing columns, values of the wrong type or out of range,
            repeated keys.
        """
        name = name or self.name
        frame = self._with_columns(given, name)
        columns: dict[str, Any] = {}
        as_it_is = tuple(frame.columns) == self.value_columns
        for spec in self.columns:
            of_index = self.indexed and spec.name in self.key
            if of_index or spec.name in frame:
                values = frame.index if of_index else frame[spec.name]

                def where(row: int, column: str = "" if of_index else spec.name) -> str:
                    return self._place(frame, name, row, column)

                columns[spec.name] = _admit_column(spec, values, where, largest)
                as_it_is &= values.dtype == _DTYPES[spec.kind]
                as_it_is &= spec.required or spec.kind != "text" or not values.hasnans
        if as_it_is:
            out = frame.copy()
            out.index = (
                frame.index.rename(self.key[0]) if self.indexed else pd.RangeIndex(len(frame))
            )
        else:
            self.complete(columns, len(frame))
            out = self.frame(columns)
        keys = list(zip(*(columns[k] for k in self.key), strict=True))
        if len(set(keys)) < len(keys):
            key = next(k for i, k in enumerate(keys) if k in keys[:i])
            raise DataError(
                f"{' and '.join(self.key)} {quoted(row_name(key))} appears twice",
                where=name,
                advice="keep one of the rows, or rename one",
            )
        return out

    def _with_columns(self, frame: Any, name: str) -> pd.DataFrame:
        """The frame, if it has the schema's columns and no other."""
        names = ", ".join(self.value_columns)
        if not isinstance(frame, pd.DataFrame):
            raise DataError(
                f"{quoted(frame)} is no table", where=name, advice=f"give a pandas frame of {names}"
            )
        given = frame.columns.tolist()
        extra = check_columns(given, self, self.value_columns, name)
        return frame.drop(columns=extra) if extra else frame

    def _key(self, frame: pd.DataFrame, row: int) -> str:
        """Name of a row of a frame that may hold anything."""
        if self.indexed:
            return str(frame.index[row])
        return row_name(str(frame[k].iloc[row]) for k in self.key)

    def _place(self, frame: pd.DataFrame, name: str, row: int, column: str) -> str:
        """Row and column in words, as `Origin.at` without files."""
        place = f"{name} {quoted(self._key(frame, row))}" if column else f"{name}, row {row + 1}"
        return f"{place}, column {column}" if column else place


def check_columns(
    given: Sequence[Any], schema: TableSchema, known: Sequence[str], where: str
) -> list[Any]:
    """Columns of a table that nobody knows, each with a warning.

    Raises
    ------
    DataError
        A column is missing or appears twice.
    """
    extra = [c for c in given if not isinstance(c, str) or c not in known]
    missing = [c for c in known if schema.spec[c].required and c not in given]
    for position, column in enumerate(given):
        if column in given[:position]:
            raise DataError(
                f"column {quoted(column)} appears twice", where=where, advice="remove one"
            )
    if missing and extra:
        raise unknown_name("unknown column", extra[0], known, where)
    if missing:
        words = [f"{c!r} ({u})" if (u := schema.spec[c].unit) else repr(c) for c in missing]
        raise DataError(
            f"missing column {', '.join(words)}",
            where=where,
            advice=f"the columns are {', '.join(known)}",
        )
    for column in extra:
        warnings.warn(
            f"{where}: column {quoted(column)} is not known and left out; "
            + did_you_mean(str(column), known, f"the columns are {', '.join(known)}"),
            stacklevel=4,
        )
    return extra


def _admit_column(
    spec: ValueSpec, column: Any, where: Callable[[int], str], largest: float
) -> list[Any]:
    """Checked values of a column or index; of the declared type they are checked all at once."""
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else ""
    out: list[Any] = column.to_numpy().tolist()
    if spec.kind == "bool" and kind == "b":
        return out
    if spec.kind == "text" and not spec.required and column.hasnans:
        missing = column.isna()
        out = [spec.default if empty else v for v, empty in zip(out, missing, strict=True)]
    look: Iterable[int] = range(len(out))
    if spec.kind == "float" and kind == "f":
        values = column.to_numpy(dtype=float)
        good = np.abs(values) <= largest
        if spec.lower is not None and spec.strict:
            good &= (values > spec.lower) & (values >= min(spec.least, 1.0 / largest))
        elif spec.lower is not None:
            good &= values >= spec.lower
        if spec.upper is not None:
            good &= values <= spec.upper
        look = np.flatnonzero(~(good | (np.isnan(values) & spec.unknown))).tolist()
    elif spec.kind == "text" and all(type(v) is str for v in out):
        bad = {v for v in set(out) if not _is_plain(spec, v)}
        look = [i for i, v in enumerate(out) if v in bad] if bad else ()
    for row in look:
        try:
            out[row] = spec.check(out[row], partial(where, row))
            if spec.kind == "text":
                _refuse_blank(spec, out[row], where(row))
        except DataError as error:
            mistake(error)
            out[row] = spec.stand_in(out[row])
    return out


def _is_plain(spec: ValueSpec, value: str) -> bool:
    """Whether a text needs no further look."""
    if spec.choices:
        return value in spec.choices
    return (
        value.isprintable()
        and len(value) <= spec.longest
        and value == value.strip()
        and (bool(value) or spec.name in MAY_BE_EMPTY)
    )


def _refuse_blank(spec: ValueSpec, value: str, where: str) -> None:
    """Raise DataError for what a table in a file cannot hold: no text, or blanks around it."""
    if not value and spec.name not in MAY_BE_EMPTY:
        raise DataError("the value is missing", where=where, advice="fill the cell")
    if value != value.strip():
        raise DataError(
            f"{spec.name} = {quoted(value)} begins or ends with a blank",
            where=where,
            advice="remove it",
        )


def _text(name: str, **more: Any) -> ValueSpec:
    """Text column."""
    return ValueSpec(name, "text", longest=NAME_LENGTH, **more)


def _number(name: str, unit: str = "", **more: Any) -> ValueSpec:
    """Number column."""
    return ValueSpec(name, "float", unit, **more)


def _positive(name: str, unit: str = "", **more: Any) -> ValueSpec:
    return _number(name, unit, lower=0.0, strict=True, **more)


def _not_negative(name: str, unit: str = "", **more: Any) -> ValueSpec:
    return _number(name, unit, lower=0.0, **more)


_PROVENANCE = (
    _text("basis", choices=BASES, required=False, default="assumed"),
    ValueSpec("note", "text", required=False, default=""),
)

BUSES = TableSchema(
    "feeder.buses",
    ("bus",),
    (_text("bus"), _text("phases"), _number("x"), _number("y"), _positive("base_kv", "kV")),
)
BRANCHES = TableSchema(
    "feeder.branches",
    ("branch",),
    (
        _text("branch"),
        _text("from_bus"),
        _text("to_bus"),
        _text("kind", choices=("line", "switch", "regulator", "transformer")),
        _text("phases"),
        _not_negative("length_km", "km"),
        _not_negative("r_ohm", "ohm"),
        _not_negative("x_ohm", "ohm"),
        _positive("rating_kva", "kVA"),
        _positive("ratio", required=False, default=1.0),
        ValueSpec("normally_open", "bool", required=False, default=False),
    ),
)
LOADS = TableSchema(
    "feeder.loads",
    ("bus",),
    (_text("bus"), _not_negative("load_kw", "kW"), _number("load_kvar", "kvar")),
)
CAPACITORS = TableSchema(
    "feeder.capacitors",
    ("capacitor",),
    (_text("capacitor"), _text("bus"), _not_negative("kvar", "kvar")),
)
NODES = TableSchema(
    "road.nodes",
    ("node",),
    (
        _text("node"),
        _number("x", unknown=True, required=False, default=math.nan),
        _number("y", unknown=True, required=False, default=math.nan),
        ValueSpec("through", "bool", required=False, default=True),
    ),
)
ARCS = TableSchema(
    "road.arcs",
    ("arc",),
    (
        _text("arc"),
        _text("from_node"),
        _text("to_node"),
        _positive("capacity_veh_h", "veh/h"),
        _not_negative("length_km", "km"),
        _not_negative("free_flow_min", "min"),
        _not_negative("bpr_b"),
        _not_negative("bpr_power"),
        _not_negative("toll", TOLL_UNIT, required=False, default=0.0),
        _not_negative("fixed_min", "min", required=False, default=0.0),
        _not_negative("conical_alpha", required=False, default=0.0),
        ValueSpec("delay", "text", required=False, default="bpr"),
    ),
)
TRIPS = TableSchema(
    "road.trips",
    ("origin", "destination"),
    (_text("origin"), _text("destination"), _not_negative("trips_veh_h", "veh/h")),
    indexed=False,
)
_KVA = _positive("kva", "kVA", unknown=True, required=False, default=math.nan)
"""Rating of an inverter; without one it has no reactive power of its own to sell."""
_PHASES = ValueSpec("phases", "text", required=False, default="")
"""Phases to which something is connected, all of its bus if empty."""

STATIONS = TableSchema(
    "stations",
    ("station",),
    (
        _text("station"),
        _text("road_node"),
        _text("bus"),
        _not_negative("charge_max_kw", "kW"),
        _not_negative("discharge_max_kw", "kW"),
        _positive("piles"),
        _not_negative("base_wait_h", "h"),
        _not_negative("queue_slope_h", "h per veh/h"),
        _positive("charger_power_kw", "kW", required=False, default=NO_LIMIT_KW),
        _positive("discharge_piles", required=False, default_of="piles"),
        ValueSpec("charge_cost", "text", required=False, default=""),
        ValueSpec("discharge_cost", "text", required=False, default=""),
        _not_negative("pv_kw", "kW", required=False, default=0.0),
        _not_negative("store_charge_kw", "kW", required=False, default=0.0),
        _not_negative("store_discharge_kw", "kW", required=False, default=0.0),
        _not_negative("store_value", "$/kWh", required=False, default=0.0),
        _number("store_efficiency", lower=0.0, strict=True, upper=1.0, required=False, default=1.0),
        _KVA,
        _PHASES,
    ),
)
LSES = TableSchema(
    "lses",
    ("lse",),
    (_text("lse"), _number("portion", lower=0.0, upper=1.0)),
)
GENERATORS = TableSchema(
    "generators",
    ("generator",),
    (
        _text("generator"),
        _text("lse"),
        _text("bus"),
        _not_negative("min_kw", "kW", required=False, default=0.0),
        _not_negative("max_kw", "kW"),
        _number("cost_linear", "$/kWh"),
        _not_negative("cost_quadratic", "$/kW2h"),
        ValueSpec("cost", "text", required=False, default=""),
        _number("min_kvar", "kvar", required=False, default=0.0),
        _number("max_kvar", "kvar", required=False, default=0.0),
        _KVA,
        _PHASES,
    ),
)

DESCRIPTIONS = {
    ("feeder.buses", "phases"): "the feeder is single-phase: change loads or branches",
    ("feeder.buses", "base_kv"): "impedances refer to the base_kv of feeder.toml: change r_ohm, "
    "x_ohm or ratio",
    ("feeder.branches", "phases"): "the feeder is single-phase: change r_ohm and x_ohm",
    ("feeder.branches", "length_km"): "r_ohm and x_ohm are of the whole branch: change these",
}
"""Columns that only describe, and what to change instead."""

# columns of a schema that may be left empty in a file
MAY_BE_EMPTY = frozenset({"note", "cost", "charge_cost", "discharge_cost", "phases"})

FEEDER_TABLES = {"buses": BUSES, "branches": BRANCHES, "loads": LOADS, "capacitors": CAPACITORS}
ROAD_TABLES = {"nodes": NODES, "arcs": ARCS, "trips": TRIPS}
CASE_TABLES = {"stations": STATIONS, "lses": LSES, "generators": GENERATORS}


def with_provenance(schema: TableSchema) -> TableSchema:
    """Schema with the optional columns `basis` and `note`."""
    return TableSchema(schema.name, schema.key, schema.columns + _PROVENANCE, schema.indexed)


def row_name(key: Iterable[str]) -> str:
    """Name of a row with the given key: 'a', or 'a-b' for several key columns."""
    return "-".join(key)
