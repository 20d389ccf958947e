"""Schemas of the tables of a case: columns with type, unit and range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pandas as pd

from v2geq.data.model import TOLL_UNIT
from v2geq.data.values import BASES, ValueSpec

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


def text(name: str, **more: Any) -> ValueSpec:
    """Text column."""
    return ValueSpec(name, "text", **more)


def number(name: str, unit: str = "", **more: Any) -> ValueSpec:
    """Number column."""
    return ValueSpec(name, "float", unit, **more)


def _positive(name: str, unit: str = "", **more: Any) -> ValueSpec:
    return number(name, unit, lower=0.0, strict=True, **more)


def _not_negative(name: str, unit: str = "", **more: Any) -> ValueSpec:
    return number(name, unit, lower=0.0, **more)


_PROVENANCE = (
    text("basis", choices=BASES, required=False, default="assumed"),
    text("note", required=False, default=""),
)

BUSES = TableSchema(
    "feeder.buses",
    ("bus",),
    (text("bus"), text("phases"), number("x"), number("y"), _positive("base_kv", "kV")),
)
BRANCHES = TableSchema(
    "feeder.branches",
    ("branch",),
    (
        text("branch"),
        text("from_bus"),
        text("to_bus"),
        text("kind", choices=("line", "switch", "regulator", "transformer")),
        text("phases"),
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
    (text("bus"), _not_negative("load_kw", "kW"), number("load_kvar", "kvar")),
)
CAPACITORS = TableSchema(
    "feeder.capacitors",
    ("capacitor",),
    (text("capacitor"), text("bus"), _not_negative("kvar", "kvar")),
)
NODES = TableSchema(
    "road.nodes",
    ("node",),
    (
        text("node"),
        number("x", unknown=True),
        number("y", unknown=True),
        ValueSpec("through", "bool", required=False, default=True),
    ),
)
ARCS = TableSchema(
    "road.arcs",
    ("arc",),
    (
        text("arc"),
        text("from_node"),
        text("to_node"),
        _positive("capacity_veh_h", "veh/h"),
        _not_negative("length_km", "km"),
        _not_negative("free_flow_min", "min"),
        _not_negative("bpr_b"),
        _not_negative("bpr_power"),
        _not_negative("toll", TOLL_UNIT, required=False, default=0.0),
        _not_negative("fixed_min", "min", required=False, default=0.0),
        _not_negative("conical_alpha", required=False, default=0.0),
        text("delay", required=False, default="bpr"),
    ),
)
TRIPS = TableSchema(
    "road.trips",
    ("origin", "destination"),
    (text("origin"), text("destination"), _not_negative("trips_veh_h", "veh/h")),
    indexed=False,
)
STATIONS = TableSchema(
    "stations",
    ("station",),
    (
        text("station"),
        text("road_node"),
        text("bus"),
        _not_negative("charge_max_kw", "kW"),
        _not_negative("discharge_max_kw", "kW"),
        _positive("piles"),
        _not_negative("base_wait_h", "h"),
        _not_negative("queue_slope_h", "h per veh/h"),
        _positive("charger_power_kw", "kW", required=False, default=NO_LIMIT_KW),
        _positive("discharge_piles", required=False, default_of="piles"),
    ),
)
LSES = TableSchema(
    "lses",
    ("lse",),
    (text("lse"), number("portion", lower=0.0, upper=1.0)),
)
GENERATORS = TableSchema(
    "generators",
    ("generator",),
    (
        text("generator"),
        text("lse"),
        text("bus"),
        _not_negative("min_kw", "kW", required=False, default=0.0),
        _not_negative("max_kw", "kW"),
        number("cost_linear", "$/kWh"),
        _not_negative("cost_quadratic", "$/kW2h"),
        text("cost", required=False, default=""),
        number("min_kvar", "kvar", required=False, default=0.0),
        number("max_kvar", "kvar", required=False, default=0.0),
    ),
)

DESCRIPTIONS = {
    ("feeder.buses", "phases"): "the feeder is single-phase: change loads or branches",
    ("feeder.buses", "base_kv"): "impedances refer to the base_kv of feeder.toml: change r_ohm, "
    "x_ohm or ratio",
    (
        "feeder.branches",
        "phases",
    ): "the feeder is single-phase: change r_ohm and x_ohm",
    ("feeder.branches", "length_km"): "r_ohm and x_ohm are of the whole branch: change these",
}
"""Columns that only describe, and what to change instead."""

# columns of a schema that may be left empty in a file
MAY_BE_EMPTY = frozenset({"note", "cost", "phases"})

FEEDER_TABLES = {"buses": BUSES, "branches": BRANCHES, "loads": LOADS, "capacitors": CAPACITORS}
ROAD_TABLES = {"nodes": NODES, "arcs": ARCS, "trips": TRIPS}
CASE_TABLES = {"stations": STATIONS, "lses": LSES, "generators": GENERATORS}


def with_provenance(schema: TableSchema) -> TableSchema:
    """Schema with the optional columns `basis` and `note`."""
    return TableSchema(schema.name, schema.key, schema.columns + _PROVENANCE, schema.indexed)


def row_name(key: Iterable[str]) -> str:
    """Name of a row with the given key: 'a', or 'a-b' for several key columns."""
    return "-".join(key)
