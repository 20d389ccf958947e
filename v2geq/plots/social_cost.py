"""Change of the social cost from without to with V2G, by term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from v2geq.plots import tables
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    COLOURS,
    INK,
    MUTED,
    PAGE_MM,
    edge,
    is_wide,
    new_figure,
    note,
    number,
    quiet,
    style,
    two_line_title,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point


def social_cost(equilibria: Runs | Point | Sequence[Point], *, width_mm: float = PAGE_MM) -> Figure:
    """Change of the social cost from without to with V2G, by term.

    Scenarios without both runs are left out.

    Raises
    ------
    DataError
        No scenario has both runs.
    """
    runs = as_runs(equilibria)
    scenarios = runs.pairs()
    table = tables.social_cost_table(runs)
    size = table[["without", "with"]].abs().max(axis=1).groupby("term", sort=False).max()
    terms = [str(t) for t in size.index if size[t] > 0]
    wide = is_wide(width_mm)
    with style():
        height = 19 + 4.4 * (len(terms) + 1)
        figure = new_figure(width_mm, height if wide else (height - 2) * len(scenarios))
        shape = (1, len(scenarios)) if wide else (len(scenarios), 1)
        panels = figure.subplots(*shape, squeeze=False, sharey=wide).flat
        for i, (axes, scenario) in enumerate(zip(panels, scenarios, strict=True)):
            mine = table.index.get_level_values("scenario") == scenario
            part = table[mine].droplevel("scenario").reindex(terms).fillna(0.0)
            if float(part["change"].abs().max()) < NO_CHANGE:
                _nothing(axes, part)
            else:
                _waterfall(axes, part, 0.25 if wide else 0.36)
            _in_total(axes, part, f"{'abcdefgh'[i]}  {scenario}", runs.currency)
            if wide and i:
                axes.tick_params(axis="y", labelleft=False)
            if wide or i == len(scenarios) - 1:
                axes.set_xlabel(f"Change with V2G ({runs.currency}/h)")
    return figure


NO_CHANGE = 5e-3
"""$/h below which nothing changes: less than a cent."""

TERM_COLOURS = {
    "generation": "generation",
    "TSO purchase": "tso",
    "TSO sale": "tso",
    "lost load": "shed",
    "station operation": "operation",
    "station stores": "store",
    "waiting and plug": "waiting",
    "battery wear": "degradation",
    "battery energy": "battery",
    "benefit of responsive demand": "benefit",
}

OWN = "battery"
"""Colour of what players of the user cost, here and in the supply."""


def _waterfall(axes: Axes, table: pd.DataFrame, margin: float) -> None:
    """Floating bars by term and their total; `margin` is the room on the left, of the span."""
    change = table["change"]
    reached = change.cumsum()
    total = float(change.sum())
    span = max(float(reached.max()), 0.0) - min(float(reached.min()), 0.0) or 1.0
    rows = [*change.index, "total"]
    for k, term in enumerate(rows):
        start = 0.0 if term == "total" else float(reached.iloc[k] - change.iloc[k])
        step = total if term == "total" else float(change.iloc[k])
        key = TERM_COLOURS.get(term, "travel" if tables.is_travel(term) else OWN)
        axes.barh(
            k,
            step,
            0.62,
            left=start,
            color=INK if term == "total" else COLOURS[key],
            edgecolor=INK if term == "total" else edge(key),
            linewidth=0.5,
        )
        if k:
            at = total if term == "total" else start
            axes.plot([at, at], [k - 0.69, k - 0.31], color=MUTED, linewidth=0.5)
        digits = 0 if abs(span) >= 100 else 2
        sign = "+" if round(step, digits) > 0 else ""
        # on the side with room: towards zero for bars that end far to the left
        low, high = min(start, start + step), max(start, start + step)
        right = high - min(float(reached.min()), 0.0) < 0.6 * span
        note(
            axes,
            f"{sign}{number(step, digits)}",
            (high if right else low, k),
            (2 if right else -2, 0),
            ha="left" if right else "right",
            va="center",
            colour=INK if term == "total" or round(step, digits) else MUTED,
            fontweight="bold" if term == "total" else "normal",
        )
    axes.axvline(0.0, color=INK, linewidth=0.6, zorder=3)
    low, high = min(float(reached.min()), 0.0), max(float(reached.max()), 0.0)
    axes.set_xlim(low - margin * span, high + 0.16 * span)
    _rows(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v, 0 if span > 4 else 2)))
    axes.grid(axis="x")


def _nothing(axes: Axes, table: pd.DataFrame) -> None:
    """Words in the place of bars that would all be zero."""
    axes.axvline(0.0, color=INK, linewidth=0.6, zorder=3)
    axes.set_xlim(-1.0, 1.0)
    axes.set_xticks([0.0])
    _rows(axes, [*table.index, "total"])
    note(
        axes,
        "no change",
        (0.0, 0.5),
        (4, 0),
        where=("data", "axes fraction"),
        ha="left",
        va="center",
        colour=MUTED,
    )


def _rows(axes: Axes, terms: Sequence[str]) -> None:
    axes.set_ylim(len(terms) - 0.4, -0.6)
    axes.set_yticks(range(len(terms)), [_label(str(t)) for t in terms])
    quiet(axes, "left")


def _in_total(axes: Axes, table: pd.DataFrame, title: str, currency: str) -> None:
    """Heading with the whole change, with and without travel time, by hour and in percent."""
    travel = np.array([tables.is_travel(str(t)) for t in table.index])
    lines = []
    for what, part in (("with travel time", table), ("without it", table[~travel])):
        change, before = float(part["change"].sum()), float(part["without"].sum())
        percent = 100.0 * change / abs(before) if before else 0.0
        share = f" ({number(percent, 2 if abs(percent) < 10 else 1)} %)"
        digits = 0 if abs(change) >= 100 else 2
        lines.append(f"{number(change, digits)} {currency}/h{share} {what}")
    two_line_title(axes, title, "\n".join(lines), MUTED)


def _label(term: str) -> str:
    """Term as an axis label; the usual class names in capitals."""
    words = [w.upper() if w in ("ev", "fv") else w for w in term.split(" ")]
    text = " ".join(words).replace("travel ", "travel time ")
    return text[:1].upper() + text[1:]
