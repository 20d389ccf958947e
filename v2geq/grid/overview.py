"""What a feeder holds, in lines of text, and what its AC power flow says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from v2geq.data.model.feeder import Feeder, PhaseFeeder, conductor_rows
from v2geq.data.model.phases import elements, plain_rows
from v2geq.errors import ConvergenceError, listed
from v2geq.grid.ac import PhaseState, power_flow

_PLURALS = {"switch": "switches"}


def overview(feeder: PhaseFeeder | Feeder) -> tuple[list[str], PhaseState | None]:
    """Lines of text on a feeder, and its AC power flow where it has one."""
    if isinstance(feeder, Feeder):
        by_phase, lines = feeder.by_phase, list(_single_phase(feeder))
        if by_phase is None:
            return lines, None
        lines.append("by phases")
    else:
        by_phase = feeder
        wires = feeder.buses["phases"].str.contains("[abc]")
        lines = list(_head(feeder, feeder.buses["kv"] * np.where(wires, math.sqrt(3.0), 2.0)))
    lines += _by_phase(by_phase)
    try:
        state = power_flow(by_phase)
    except ConvergenceError as error:
        return [*lines, f"AC power flow  none: {error}"], None
    return [*lines, *_solved(state)], state


def _head(feeder: PhaseFeeder | Feeder, base: pd.Series[float]) -> Iterator[str]:
    yield f"{feeder.name}" + (f" ({feeder.source})" if feeder.source else "")
    levels = base.round(4).value_counts()
    shown = ", ".join(f"{n} at {kv:g} kV" for kv, n in sorted(levels.items(), reverse=True))
    yield f"buses          {len(feeder.buses):,}: {shown} (line-to-line); root {feeder.root}"
    kinds = feeder.branches["kind"].value_counts()
    counts = (f"{n:,} {_PLURALS.get(str(k), f'{k}s') if n > 1 else k}" for k, n in kinds.items())
    yield f"branches       {', '.join(counts)}"
    opened = feeder.branches.index[feeder.branches["normally_open"]]
    if len(opened):
        yield f"normally open  {listed(opened)}"


def _single_phase(feeder: Feeder) -> Iterator[str]:
    yield from _head(feeder, feeder.buses["base_kv"])
    loads = feeder.loads
    yield (
        f"loads          {len(loads):,} buses, {loads['load_kw'].sum():,.0f} kW, "
        f"{loads['load_kvar'].sum():,.0f} kvar"
    )
    yield f"capacitors     {len(feeder.capacitors)}, {feeder.capacitors['kvar'].sum():,.0f} kvar"
    yield from _regulators(plain_rows(feeder.branches, "", "kind", "ratio"))


def _by_phase(feeder: PhaseFeeder) -> Iterator[str]:
    loads = feeder.loads
    yield (
        f"loads          {len(loads):,}, {loads['kw'].sum():,.0f} kW, "
        f"{loads['kvar'].sum():,.0f} kvar{_phase_sums(loads)}"
    )
    mix = loads.groupby(["model", "connection"])["kw"].sum().sort_values(ascending=False)
    shares = (
        f"{kw:,.0f} kW constant {model} in {connection}"
        for model, connection, kw in plain_rows(mix.reset_index(), "model", "connection", "kw")
    )
    if len(loads):
        yield f"               {', '.join(shares)}"
    banks = feeder.capacitors[feeder.capacitors["closed"]]
    off = len(feeder.capacitors) - len(banks)
    out = f" ({off} more switched off)" if off else ""
    yield f"capacitors     {len(banks)}, {banks['kvar'].sum():,.0f} kvar{out}"
    for kind, rows in feeder.generators.groupby("kind"):
        now, most = rows["kw"].sum(), rows["kw_max"].sum()
        yield f"{kind!s:<14} {len(rows)}, {now:,.0f} kW of {most:,.0f} kW"
    kinds = dict(plain_rows(feeder.branches, "", "kind"))
    yield from _regulators(
        (b, kinds[b], ratio) for b, ratio in plain_rows(feeder.conductors, "branch", "ratio")
    )
    rated = int(conductor_rows(feeder)["kva"].notna().sum())
    yield f"ratings        of {rated:,} conductors out of {len(feeder.conductors):,}"


def _phase_sums(loads: pd.DataFrame) -> str:
    """Load by phase, or between two phases."""
    total: dict[str, float] = {}
    for phases, connection, kw in plain_rows(loads, "phases", "connection", "kw"):
        parts = elements(phases, connection)
        for part in parts:
            total[part] = total.get(part, 0.0) + kw / len(parts)
    ordered = sorted(total, key=lambda p: (len(p), p))
    return ": " * bool(total) + ", ".join(f"{p} {total[p]:,.0f}" for p in ordered)


def _regulators(rows: Iterator[tuple[str, str, float]]) -> Iterator[str]:
    ratios: dict[str, list[str]] = {}
    for branch, kind, ratio in rows:
        if kind == "regulator":
            ratios.setdefault(branch, []).append(f"{ratio:.5g}")
    if ratios:
        texts = (f"{branch} {' '.join(values)}" for branch, values in ratios.items())
        yield f"regulators     {', '.join(texts)}"


def _solved(state: PhaseState) -> Iterator[str]:
    volts, flows = state.voltages["voltage_pu"], state.flows
    low, high = (volts.index[int(k)] for k in (volts.argmin(), volts.argmax()))
    head = state.head_kva
    yield (
        f"AC power flow  {head.real:,.1f} kW and {head.imag:,.1f} kvar from the source, losses "
        f"{state.losses_kw:,.1f} kW"
    )
    yield (
        f"voltages       {volts.min():.4f} pu ({low[0]}, phase {low[1]}) to {volts.max():.4f} pu "
        f"({high[0]}, phase {high[1]})"
    )
    loaded = flows.dropna(subset="loading").sort_values("loading")
    for branch, phase, loading in plain_rows(loaded[-1:], "branch", "phase", "loading"):
        above = int((loaded["loading"] > 1.0).sum())
        more = f"; {above} conductors above their rating" if above else ""
        yield f"loading        at most {100 * loading:.1f} % ({branch}, phase {phase}){more}"
