"""Phases: their angles, the tables of a feeder by phases, what stands between which of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.model.schema import TableSchema
from v2geq.data.model.values import NAME_LENGTH, ValueSpec

KIND = "phases"
"""The `kind` in the feeder.toml of a feeder by phases."""
PHASES_FOLDER = "phases"
"""Sub-folder of a feeder's folder that holds the same feeder by phases."""
ANGLES = {"a": 0.0, "b": -120.0, "c": 120.0, "1": 0.0, "2": 180.0}
"""Nominal angle of the phases in degrees; 1 and 2 are the legs of a split-phase secondary."""
NO_LIMIT_KVA = 1e6
"""Rating in the single-phase equivalent of a branch that has none, kVA."""

_text = partial(ValueSpec, kind="text", longest=NAME_LENGTH)
_number = partial(ValueSpec, kind="float")
_positive = partial(ValueSpec, kind="float", lower=0.0, strict=True)
_not_negative = partial(ValueSpec, kind="float", lower=0.0)
_unrated: dict[str, Any] = {"required": False, "unknown": True, "default": math.nan}

BUSES_BY_PHASE = TableSchema(
    "feeder.buses",
    ("bus",),
    (
        _text("bus"),
        _text("phases"),
        _positive("kv", unit="kV"),
        _number("x", required=False, unknown=True, default=math.nan),
        _number("y", required=False, unknown=True, default=math.nan),
    ),
)
BRANCHES_BY_PHASE = TableSchema(
    "feeder.branches",
    ("branch",),
    (
        _text("branch"),
        _text("from_bus"),
        _text("to_bus"),
        _text("kind", choices=("line", "switch", "regulator", "transformer")),
        _not_negative("length_km", unit="km", required=False, default=0.0),
        _number("shunt_from", lower=0.0, upper=1.0, required=False, default=0.5),
        ValueSpec("floating", "bool", required=False, default=False),
        ValueSpec("normally_open", "bool", required=False, default=False),
    ),
)
CONDUCTORS = TableSchema(
    "feeder.conductors",
    ("branch", "phase"),
    (
        _text("branch"),
        _text("phase", choices=tuple(ANGLES)),
        _text("from_phase"),
        _number("ratio", lower=-1.5, upper=1.5, required=False, default=1.0),
        _positive("rating_a", unit="A", **_unrated),
        _positive("rating_kva", unit="kVA", **_unrated),
    ),
    indexed=False,
)
IMPEDANCES = TableSchema(
    "feeder.impedances",
    ("branch", "phase", "other_phase"),
    (
        _text("branch"),
        _text("phase", choices=tuple(ANGLES)),
        _text("other_phase", choices=tuple(ANGLES)),
        _number("r_ohm", unit="ohm"),
        _number("x_ohm", unit="ohm"),
        _number("g_us", unit="uS", required=False, default=0.0),
        _number("b_us", unit="uS", required=False, default=0.0),
    ),
    indexed=False,
)
_CONNECTION = _text("connection", choices=("wye", "delta"), required=False, default="wye")
LOADS_BY_PHASE = TableSchema(
    "feeder.loads",
    ("load",),
    (
        _text("load"),
        _text("bus"),
        _text("phases"),
        _CONNECTION,
        _text("model", choices=("power", "current", "impedance"), required=False, default="power"),
        _number("kw", unit="kW"),
        _number("kvar", unit="kvar"),
        _positive("kv", unit="kV"),
        _positive("vmin_pu", unit="pu", required=False, default=1e-6),
        _positive("vmax_pu", unit="pu", required=False, default=1e6),
    ),
)
CAPACITORS_BY_PHASE = TableSchema(
    "feeder.capacitors",
    ("capacitor",),
    (
        _text("capacitor"),
        _text("bus"),
        _text("phases"),
        _CONNECTION,
        _not_negative("kvar", unit="kvar"),
        _positive("kv", unit="kV"),
        ValueSpec("closed", "bool", required=False, default=True),
    ),
)
SOURCES = TableSchema(
    "feeder.generators",
    ("generator",),
    (
        _text("generator"),
        _text("bus"),
        _text("phases"),
        _CONNECTION,
        _text("kind", choices=("generator", "storage", "pv")),
        _number("kw", unit="kW"),
        _number("kvar", unit="kvar"),
        _not_negative("kw_max", unit="kW"),
        _not_negative("kva", unit="kVA"),
        _number("kvar_min", unit="kvar"),
        _number("kvar_max", unit="kvar"),
        _not_negative("kwh", unit="kWh", required=False, default=0.0),
    ),
)

PHASE_TABLES = {
    "buses": BUSES_BY_PHASE,
    "branches": BRANCHES_BY_PHASE,
    "conductors": CONDUCTORS,
    "impedances": IMPEDANCES,
    "loads": LOADS_BY_PHASE,
    "capacitors": CAPACITORS_BY_PHASE,
    "generators": SOURCES,
}
ROOT_VOLTAGE = ValueSpec("root_voltage", "float", "pu", lower=0.5, upper=1.5)
"""What the voltage of the source may be."""


def plain_rows(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of some columns as plain values; '' is the index."""
    parts = (frame[c] if c else frame.index for c in columns)
    # of text an array gives its values at once, a column one by one
    return zip(*(part.to_numpy().tolist() for part in parts), strict=True)


def phasor(phases: str) -> complex:
    """Nominal voltage of a phase, or between two, over its size."""
    at = [np.exp(1j * np.deg2rad(ANGLES[p])) for p in phases]
    v = at[0] - at[1] if len(at) > 1 else at[0]
    return complex(v / abs(v))


def elements(phases: str, connection: str) -> list[str]:
    """Phases, or pairs of phases, between which a load or capacitor has its elements."""
    if connection == "wye":
        return list(phases)
    if len(phases) == 2:
        return [phases]
    return [a + b for a, b in zip(phases, phases[1:] + phases[0], strict=True)]


def with_places(buses: pd.DataFrame, branches: pd.DataFrame) -> pd.DataFrame:
    """Buses all of which have a place: where unknown that of a neighbour; in a tree if none has."""
    known = buses["x"].notna() & buses["y"].notna()
    x, y = buses["x"].to_dict(), buses["y"].to_dict()
    left = set(buses.index[~known])
    ends = list(zip(branches["from_bus"], branches["to_bus"], strict=True))
    if not known.any() and len(buses):
        start = ends[0][0] if ends else buses.index[0]
        x[start], y[start] = 0.0, 0.0
        left.discard(start)
        below: dict[str, int] = {}
        depth = {start: 0}
        for i, j in ends:
            if j in left and i in depth:
                depth[j] = depth[i] + 1
                x[j], y[j] = float(depth[j]), y[i] + 1.0 * below.get(i, 0)
                below[i] = below.get(i, 0) + 1
                left.discard(j)
    grown = True
    while left and grown:
        grown = False
        for i, j in (*ends, *((j, i) for i, j in reversed(ends))):
            if j in left and i not in left:
                x[j], y[j] = x[i], y[i]
                left.discard(j)
                grown = True
    for bus in left:
        x[bus], y[bus] = 0.0, 0.0
    return buses.assign(x=buses.index.map(x), y=buses.index.map(y))
