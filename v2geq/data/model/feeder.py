"""A distribution feeder: single-phase equivalent, and by phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.model.phases import NO_LIMIT_KVA, phasor, plain_rows, with_places
from v2geq.data.model.schema import BRANCHES, BUSES, CAPACITORS, LOADS


@dataclass(frozen=True, eq=False)
class Feeder:
    """A radial distribution feeder, single-phase equivalent.

    Attributes
    ----------
    buses : index bus; columns phases, x, y (diagram coordinates), base_kv (line-line kV); they
        describe and enter no equation
    branches : index branch; columns from_bus, to_bus, kind (line, switch, regulator, transformer),
        phases and length_km (which describe), r_ohm, x_ohm (of the whole branch), rating_kva, ratio
        (V_to / V_from), normally_open
    loads : index bus; columns load_kw, load_kvar (three-phase totals)
    capacitors : index capacitor; columns bus, kvar
    root : substation bus; base_kv : line-line kV the impedances refer to
    by_phase : the same feeder by phases: buses, branches and root of the same names; or None
    """

    name: str
    root: str
    base_kv: float
    buses: pd.DataFrame
    branches: pd.DataFrame
    loads: pd.DataFrame
    capacitors: pd.DataFrame
    source: str = ""
    by_phase: PhaseFeeder | None = None

    def __repr__(self) -> str:
        return (
            f"<Feeder {self.name}: {len(self.buses)} buses, {len(self.branches)} branches, "
            f"{self.loads['load_kw'].sum():,.0f} kW of load>"
        )


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
        branches = self.branches.assign(
            phases=by_branch["phase"].agg("".join),
            **self.balanced(),
            rating_kva=by_branch["kva"].sum().where(by_branch["kva"].count() == by_branch.size()),
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
            by_phase=self,
            **{
                name: schema.admit(frame[list(schema.value_columns)])
                for name, (schema, frame) in frames.items()
            },
        )

    def balanced(self) -> dict[str, pd.Series[float]]:
        """r_ohm, x_ohm and ratio by branch where phases share the power equally."""
        rows = conductor_rows(self)
        z = _balanced(self, rows)
        ratio = rows["ratio"].abs().groupby(rows["branch"]).mean()
        return {
            "r_ohm": pd.Series(z.to_numpy().real.clip(min=0.0), z.index),
            "x_ohm": pd.Series(z.to_numpy().imag.clip(min=0.0), z.index),
            "ratio": ratio.reindex(z.index),
        }


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
