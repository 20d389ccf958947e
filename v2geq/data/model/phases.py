"""A distribution feeder by phases, and its single-phase equivalent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.model.feeder import Feeder
from v2geq.data.model.schema import BRANCHES, BUSES, CAPACITORS, LOADS, TableSchema
from v2geq.data.model.values import NAME_LENGTH, ValueSpec

KIND = "phases"
"""The `kind` in the feeder.toml of a feeder by phases."""
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


@dataclass(frozen=True)
class PhaseFeeder:
    """A radial feeder by phases: a, b, c, and the legs 1 and 2 of split-phase secondaries.

    A conductor k of a branch ends in one phase and begins in one, or between two: "ab" is the
    voltage V_a - V_b. With I its current at the sending end and z the matrix of the branch,

        V_to,k = ratio_k (V_from,k - sum_l z_kl I_l),   and   I_k / ratio_k leaves it;

    ratio in per unit of the nominal voltages.

    Attributes
    ----------
    root : bus of the source; root_voltage : its voltage, pu, balanced
    buses : index bus; columns phases, kv (nominal, line-to-neutral), x, y (nan where unknown)
    branches : index branch; columns from_bus, to_bus (away from the root), kind (line, switch,
        regulator, transformer), length_km, shunt_from (share of its shunts at the sending end),
        floating (no neutral behind it: voltages there sum to zero), normally_open
    conductors : columns branch, phase (where it ends), from_phase, ratio, rating_a at the sending
        end and rating_kva (nan where there is none)
    impedances : columns branch, phase, other_phase, r_ohm, x_ohm (at the sending end), g_us, b_us
    loads : index load; columns bus, phases, connection (wye, delta), model (constant power,
        current, impedance), kw, kvar (of all phases), kv (nominal, across one of its elements),
        vmin_pu and vmax_pu (outside of which it is a constant impedance)
    capacitors : index capacitor; columns bus, phases, connection, kvar, kv, closed
    generators : index generator; columns bus, phases, connection, kind (generator, storage, pv),
        kw and kvar supplied, kw_max, kva, kvar_min, kvar_max, kwh (of storage)
    """

    name: str
    root: str
    root_voltage: float
    buses: pd.DataFrame
    branches: pd.DataFrame
    conductors: pd.DataFrame
    impedances: pd.DataFrame
    loads: pd.DataFrame
    capacitors: pd.DataFrame
    generators: pd.DataFrame
    source: str = ""

    def __repr__(self) -> str:
        return (
            f"<PhaseFeeder {self.name}: {len(self.buses)} buses, {len(self.branches)} branches of "
            f"{len(self.conductors)} conductors, {self.loads['kw'].sum():,.0f} kW of load>"
        )

    @property
    def base_kv(self) -> float:
        """Line-to-line kV that most buses with phases a, b or c have."""
        kv = self.buses.loc[self.buses["phases"].str.contains("[abc]"), "kv"]
        return round(float(kv.mode().iloc[-1]) * math.sqrt(3.0), 6)

    def single_phase(self) -> Feeder:
        """Single-phase equivalent: all phases together, the impedance they have when balanced.

        Loads and capacitors are sums over phases, ratios means; impedances are those of n phases
        that share the power equally, referred to `base_kv`. Line charging, shunts of transformers,
        generators and how loads depend on voltage are left out.
        """
        rows = conductor_rows(self)
        by_branch = rows.groupby("branch", sort=False)
        z = _balanced(self, rows)
        branches = self.branches.assign(
            phases=by_branch["phase"].agg("".join),
            r_ohm=z.to_numpy().real.clip(min=0.0),
            x_ohm=z.to_numpy().imag.clip(min=0.0),
            rating_kva=by_branch["kva"].sum().where(by_branch["kva"].count() == by_branch.size()),
            ratio=rows["ratio"].abs().groupby(rows["branch"]).mean(),
        )
        branches["rating_kva"] = branches["rating_kva"].fillna(NO_LIMIT_KVA)
        buses = with_places(self.buses, self.branches).assign(
            base_kv=lambda b: [
                kv * math.sqrt(3.0) if set(p) & set("abc") else kv
                for kv, p in zip(b["kv"], b["phases"], strict=True)
            ]
        )
        loads = self.loads.groupby("bus", sort=False)[["kw", "kvar"]].sum()
        loads = loads.rename(columns={"kw": "load_kw", "kvar": "load_kvar"})
        frames = {
            "buses": (BUSES, buses),
            "branches": (BRANCHES, branches),
            "loads": (LOADS, loads),
            "capacitors": (CAPACITORS, self.capacitors[self.capacitors["closed"]]),
        }
        return Feeder(
            name=self.name,
            root=self.root,
            base_kv=self.base_kv,
            source=(f"{self.source}; " if self.source else "") + "single-phase equivalent",
            **{
                name: schema.admit(frame[list(schema.value_columns)])
                for name, (schema, frame) in frames.items()
            },
        )


def conductor_rows(feeder: PhaseFeeder) -> pd.DataFrame:
    """Conductors with what is known of their branch.

    Further columns: from_bus, to_bus, kind, shunt_from, floating, normally_open, kv (nominal
    voltage at the sending end, line-to-line between two phases), kva (the lower of its ratings,
    nan if none).
    """
    columns = ["from_bus", "to_bus", "kind", "shunt_from", "floating", "normally_open"]
    rows = feeder.conductors.join(feeder.branches[columns], on="branch")
    between = rows["from_phase"].str.len() > 1
    kv = rows["from_bus"].map(feeder.buses["kv"])
    split = rows["from_phase"].isin(["12", "21"])
    rows["kv"] = kv * np.where(split, 2.0, np.where(between, math.sqrt(3.0), 1.0))
    rows["kva"] = np.fmin(rows["rating_a"] * rows["kv"], rows["rating_kva"])
    return rows


def plain_rows(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of some columns as plain values; '' is the index."""
    return zip(*((frame[c] if c else frame.index).tolist() for c in columns), strict=True)


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


def _balanced(feeder: PhaseFeeder, rows: pd.DataFrame) -> pd.Series[Any]:
    """Series impedance by branch for equal power by conductor, referred to base_kv, ohm."""
    keys = plain_rows(rows, "branch", "phase")
    turn = dict(zip(keys, rows["from_phase"].map(phasor) / rows["kv"], strict=True))
    z = feeder.impedances
    own, other = (
        np.array([turn[key] for key in plain_rows(z, "branch", c)], dtype=complex)
        for c in ("phase", "other_phase")
    )
    value = (z["r_ohm"].to_numpy() + 1j * z["x_ohm"].to_numpy()) * np.conj(own) * other
    total = pd.Series(value).groupby(z["branch"].to_numpy()).sum()
    number = feeder.conductors.groupby("branch").size()
    total = total.reindex(feeder.branches.index).fillna(0.0)
    return total * feeder.base_kv**2 / number.reindex(total.index) ** 2


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
