"""Whether a feeder and the same feeder by phases say the same: names, and numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.phases import plain_rows
from v2geq.errors import DataError, listed, mistake, quoted

RELATIVE = 1e-3
"""Difference of an impedance or capacitor at which both still say the same, of its size."""
NEAR_ZERO_OHM = 1e-3
"""Difference of impedances that is always taken, ohm: switches, regulators."""
RATIO = 1e-3
"""Difference of a ratio from the mean over phases at which both still say the same."""
_ADVICE = "change the feeder and its folder phases/ alike, or take by_phase off the feeder"


def check_same_names(feeder: Feeder, origin: Origin = NO_ORIGIN) -> None:
    """Raise DataError unless the feeder by phases, if any, has the same root, buses and branches.

    Branches have the same ends; which are open is what the feeder itself says.
    """
    by_phase = feeder.by_phase
    if by_phase is None:
        return
    if by_phase.root != feeder.root:
        mistake(
            DataError(
                f"the root is {quoted(feeder.root)}, by phases {quoted(by_phase.root)}",
                where=origin.place("feeder.root"),
                advice=_ADVICE,
            )
        )
    for table, what in (("buses", "buses"), ("branches", "branches")):
        here, there = getattr(feeder, table).index, getattr(by_phase, table).index
        for missing, where in (
            (here.difference(there, sort=False), "only in the feeder, not by phases"),
            (there.difference(here, sort=False), "only by phases"),
        ):
            if len(missing):
                mistake(
                    DataError(
                        f"{what} {where}: {listed(missing)}",
                        where=origin.at(f"feeder.{table}"),
                        advice=_ADVICE,
                    )
                )
    ends = ["from_bus", "to_bus"]
    both = feeder.branches[ends].join(by_phase.branches[ends], rsuffix="_phases", how="inner")
    other = (both[ends].to_numpy() != both[[f"{e}_phases" for e in ends]].to_numpy()).any(axis=1)
    for branch, *found in both[other].itertuples():
        first, second, *others = map(quoted, found)
        mistake(
            DataError(
                f"branch {quoted(branch)} leads from {first} to {second}, by phases from "
                f"{' to '.join(others)}",
                where=origin.at("feeder.branches", branch),
                advice=_ADVICE,
            )
        )


def agreement(feeder: Feeder) -> pd.DataFrame:
    """Where the numbers of a feeder are not those of the same feeder by phases.

    Compared are r_ohm, x_ohm and ratio of branches, loads and capacitors by bus.

    Returns
    -------
    DataFrame
        Columns table, row, column, value, by_phase; no row where both say the same.
    """
    by_phase = _by_phase(feeder)
    rows: list[tuple[str, str, str, float, float]] = []

    def compare(
        table: str, column: str, here: Any, there: Any, relative: float, least: float = 0.0
    ) -> None:
        for row in {**here, **there}:
            a, b = here.get(row, 0.0), there.get(row, 0.0)
            if abs(a - b) > max(least, relative * max(abs(a), abs(b))):
                rows.append((table, row, column, a, b))

    for column, series in by_phase.balanced().items():
        relative, least = (0.0, RATIO) if column == "ratio" else (RELATIVE, NEAR_ZERO_OHM)
        here = feeder.branches[column].to_dict()
        compare("branches", column, here, series.to_dict(), relative, least)
    banks = by_phase.capacitors[by_phase.capacitors["closed"]]
    for table, column, there, of in (
        ("loads", "load_kw", by_phase.loads, "kw"),
        ("loads", "load_kvar", by_phase.loads, "kvar"),
        ("capacitors", "kvar", banks, "kvar"),
    ):
        own = _by_bus(getattr(feeder, table).reset_index(), column)
        compare(table, column, own, _by_bus(there, of), RELATIVE)
    return pd.DataFrame(rows, columns=["table", "row", "column", "value", "by_phase"])


def check_agreement(feeder: Feeder) -> None:
    """Raise DataError unless single-phase figures and those by phases can be used together.

    Loads by phases say how a bus's load is shared by phases, not how much it is: they differ in
    nothing but where only one of both has a load.
    """
    found = agreement(feeder)
    loads = found["table"] == "loads"
    nothing = (found["value"] == 0.0) | (found["by_phase"] == 0.0)
    wrong = found[~loads | nothing]
    for table, row, column, value, other in wrong.itertuples(index=False):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(
            f"feeder.{table}.{row}.{column} = {value:.6g}, but {other:.6g} by phases{more}",
            where=f"feeder {quoted(feeder.name)}",
            advice=_ADVICE,
        )


def _by_phase(feeder: Feeder) -> PhaseFeeder:
    if feeder.by_phase is None:
        raise DataError(
            f"feeder {quoted(feeder.name)} is not known by phases",
            advice="read it with v2geq.read_opendss, or add the folder phases/ to its own",
        )
    return feeder.by_phase


def _by_bus(table: pd.DataFrame, column: str) -> dict[str, float]:
    """Sums of a column by bus."""
    out: dict[str, float] = {}
    for bus, value in plain_rows(table, "bus", column):
        out[bus] = out.get(bus, 0.0) + float(value)
    return out
