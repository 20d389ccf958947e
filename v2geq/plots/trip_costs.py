"""Cost of an electric trip by term, for every OD pair and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from v2geq.errors import DataError
from v2geq.plots import tables
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    COLOURS,
    INK,
    MUTED,
    PAGE_MM,
    STATES,
    is_wide,
    legend,
    new_figure,
    number,
    quantity_handles,
    quiet,
    style,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point

PARTS = {
    "travel": ("travel", "travel time"),
    "toll": ("toll", "tolls"),
    "waiting": ("waiting", "waiting and plug time"),
    "charging": ("charge", "energy charged"),
    "degradation": ("degradation", "battery wear"),
    "battery": ("battery", "battery energy"),
    "discharging": ("discharge", "energy discharged (receipt)"),
}
MOST_PAIRS = 40
"""OD pairs in the figure at most; those with the most trips are kept."""

OUTLIER = 3.0
"""Panels that span more than this many times the median have an axis of their own."""


def trip_costs(
    equilibria: Runs | Point | Sequence[Point],
    *,
    most: int = MOST_PAIRS,
    width_mm: float = PAGE_MM,
) -> Figure:
    """Stacked cost of an electric trip of every OD pair, one panel per run.

    Panels share one axis; those that reach much further than the others have their own and say so.

    Parameters
    ----------
    most
        OD pairs to show; those with the most trips are kept.

    Raises
    ------
    DataError
        The case has no electric trips.
    """
    runs = as_runs(equilibria)
    table = _largest(tables.trip_cost_table(runs), most)
    if not len(table):
        raise DataError("there are no electric trips", advice="draw another figure")
    keys = [key for key, _ in runs]
    reach = {key: _reach(tables.rows_of(table, *key)) for key in keys}
    spans = sorted(high - low for low, high in reach.values())
    usual = spans[(len(spans) - 1) // 2]
    common = [r for r in reach.values() if r[1] - r[0] <= OUTLIER * usual]
    limits = (min(low for low, _ in common), max(high for _, high in common))
    used = [c for c in PARTS if (table[c].abs() > 1e-9).any()]
    pairs = len(tables.rows_of(table, *keys[0]))
    wide = is_wide(width_mm)
    columns = len(keys) if wide else min(3, len(keys))
    rows = -(-len(keys) // columns)
    with style():
        above = 2.0 if wide else 2.0 * len(used)
        figure = new_figure(width_mm, rows * (16 + 3.0 * max(pairs, 3)) + above)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        if not wide and len(keys) > columns:
            # states in rows, scenarios in columns
            keys = [k for v2g in STATES for k in keys if k[1] == v2g]
        for axes in panels[len(keys) :]:
            axes.remove()
        for i, (axes, key) in enumerate(zip(panels, keys, strict=False)):
            part = tables.rows_of(table, *key)
            own = reach[key] not in common
            _stack(axes, part, used, reach[key] if own else limits)
            axes.set_title(f"{key[0]}\n{STATES[key[1]]}", fontsize=6.5)
            axes.set_xlabel(f"{runs.currency} per trip" + (" (own scale)" if own else ""))
            if own:
                axes.spines["bottom"].set_color(COLOURS["shed"])
                axes.spines["bottom"].set_linewidth(1.0)
                axes.xaxis.label.set_color(COLOURS["shed"])
            if i % columns:
                axes.tick_params(axis="y", labelleft=False)
            else:
                axes.set_ylabel("OD pair")
        handles: list[Artist] = [*quantity_handles({PARTS[c][0]: PARTS[c][1] for c in used})]
        handles.append(
            Line2D([], [], color=INK, marker="o", markersize=2.2, linestyle="none", label="total")
        )
        legend(figure, handles, len(handles) if wide else 2)
    return figure


def _largest(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Rows of the `most` OD pairs with the most trips, in the table's order."""
    pairs = list(
        zip(*(table.index.get_level_values(level) for level in ("class", "od")), strict=True)
    )
    trips = table["trips_veh_h"].groupby(["class", "od"], sort=False).max()
    kept = set(trips.nlargest(most).index)
    return table[[pair in kept for pair in pairs]]


def _reach(part: pd.DataFrame) -> tuple[float, float]:
    terms = part[list(PARTS)]
    low = float(terms.clip(upper=0.0).sum(axis=1).min())
    return low, float(terms.clip(lower=0.0).sum(axis=1).max())


def _stack(
    axes: Axes, part: pd.DataFrame, used: Sequence[str], limits: tuple[float, float]
) -> None:
    places = np.arange(len(part))
    right, left = np.zeros(len(part)), np.zeros(len(part))
    for column in used:
        size = part[column].to_numpy(dtype=float)
        start = np.where(size >= 0, right, left)
        parts = axes.barh(
            places, size, 0.74, left=start, color=COLOURS[PARTS[column][0]], linewidth=0
        )
        for part_of_bar in parts:
            # inside the axes in any case: asking hundreds for their place takes a second
            part_of_bar.set_in_layout(False)
        right += np.maximum(size, 0.0)
        left += np.minimum(size, 0.0)
    dots: Any = {"linestyle": "none", "marker": "o", "markersize": 2.2, "color": INK}
    edge: Any = {"markeredgecolor": "white", "markeredgewidth": 0.3}
    axes.plot(part["total"], places, **dots, **edge, zorder=4)
    axes.axvline(0.0, color=INK, linewidth=0.6, zorder=3)
    classes = part.index.get_level_values("class")
    several = len(set(classes)) > 1
    axes.set_yticks(places, [f"{od} {name}" if several else f"{od}" for name, od in part.index])
    axes.tick_params(axis="y", labelsize=6)
    axes.set_ylim(len(part) - 0.4, -0.6)
    span = limits[1] - limits[0]
    axes.set_xlim(limits[0] - (0.04 * span if limits[0] < 0 else 0.0), limits[1] + 0.04 * span)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
    axes.grid(axis="x")
    quiet(axes, "left")
    _separate_origins(axes, [str(od).split("-")[0] for od in part.index.get_level_values("od")])


def _separate_origins(axes: Axes, origins: Sequence[str]) -> None:
    """Thin lines between pairs of different origins."""
    for k in range(1, len(origins)):
        if origins[k] != origins[k - 1]:
            axes.axhline(k - 0.5, color=MUTED, linewidth=0.3, zorder=0)
