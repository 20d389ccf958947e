"""What DLMPs are made of: stacked by bus along the feeder, and a map for every part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from v2geq.errors import DataError
from v2geq.plots.bars import zero_line
from v2geq.plots.feeder import draw_feeder
from v2geq.plots.feeder_view import PARTS, FeederView
from v2geq.plots.positions import bus_positions, shape
from v2geq.plots.style import (
    INK,
    MUTED,
    PAGE_MM,
    fill,
    is_wide,
    legend,
    new_figure,
    note,
    quantity_handles,
    style,
)

SHOWN = 1e-4
"""Share of the highest price below which a part is none."""
ROOM = 0.12
"""Share of the buses from which an island has room for words."""
NAMED = {True: 50, False: 24}
"""Most buses with names under them, on a wide figure and on a narrow one."""


def price_stack(view: FeederView, *, order: str = "distance", width_mm: float = PAGE_MM) -> Figure:
    """Parts of the DLMP of every energised bus, what lowers it below zero; the DLMP as a line.

    Parameters
    ----------
    order
        Buses by 'distance' from the head of their island, or by 'value', lowest DLMP first.

    Raises
    ------
    DataError
        An unknown order.
    """
    if order not in ("distance", "value"):
        raise DataError(f"order is {order!r}", advice="use 'distance' or 'value'")
    table, ends = _ordered(view, order)
    shown = _parts_shown(view)
    wide = is_wide(width_mm)
    with style():
        figure = new_figure(width_mm, 74.0)
        axes = figure.add_subplot()
        _stack(axes, table, shown)
        axes.stairs(table["dlmp"], np.arange(len(table) + 1.0), baseline=None, color=INK, zorder=4)
        _islands(axes, view, ends)
        axes.set_title(view.title, pad=12.0 if len(ends) > 1 else None)
        axes.set_xlim(0.0, len(table))
        axes.set_ylabel(f"DLMP and its parts ({view.currency}/kWh)")
        first = "nearest the substation first" if order == "distance" else "lowest DLMP first"
        axes.set_xlabel(f"{len(table)} buses, {first}")
        if len(table) <= NAMED[wide]:
            axes.set_xticks(np.arange(len(table)) + 0.5, table.index, rotation=90)
        else:
            axes.set_xticks([])
        parts = quantity_handles({part: part for part in shown})
        handles = [Line2D([], [], color=INK, label="DLMP"), *parts]
        legend(figure, handles, len(handles) if wide else 4)
    return figure


def part_maps(view: FeederView, *, width_mm: float = PAGE_MM) -> Figure:
    """The DLMP and every part of it that differs by bus, a map each with a scale of its own."""
    least = SHOWN * float(view.buses["dlmp"].abs().max())
    differ = (PARTS[part] for part in _parts_shown(view))
    colours = ["dlmp", *(name for name in differ if np.ptp(view.buses[name]) > least)]
    wide = is_wide(width_mm)
    columns = min(len(colours), 3 if wide else 1)
    rows = -(-len(colours) // columns)
    with style():
        ratio = min(max(shape(bus_positions(view.feeder.buses)), 0.35), 1.2)
        figure = new_figure(width_mm, rows * (ratio * width_mm / columns + 16.0) + 8.0)
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for k, axes in enumerate(panels):
            if k >= len(colours):
                axes.set_axis_off()
                continue
            handles = draw_feeder(figure, axes, view, color=colours[k])
            axes.set_title(f"{'abcdefgh'[k]}  {view.title if k == 0 else ''}")
        legend(figure, handles, len(handles) if wide else 2)
    return figure


def _parts_shown(view: FeederView) -> list[str]:
    """Parts that are not zero at all buses."""
    least = SHOWN * float(view.buses["dlmp"].abs().max())
    return [part for part, name in PARTS.items() if (view.buses[name].abs() > least).any()]


def _ordered(view: FeederView, order: str) -> tuple[pd.DataFrame, list[int]]:
    """Results by bus in drawing order, islands one after the other, and where each of them ends."""
    by = view.distance_km if order == "distance" else view.buses["dlmp"]
    table = view.buses.assign(island=view.network.island, by=by.reindex(view.buses.index))
    table = table.sort_values(["island", "by"], kind="stable")
    ends = np.flatnonzero(np.diff(table["island"], append=-1)) + 1
    return table, [int(end) for end in ends]


def _stack(axes: Axes, table: pd.DataFrame, shown: list[str]) -> None:
    """Parts upon each other, those above zero and those below apart."""
    edges = np.arange(len(table) + 1.0)
    up, down = np.zeros(len(table)), np.zeros(len(table))
    for part in shown:
        values = table[PARTS[part]].to_numpy(dtype=float)
        for base, height in ((up, np.maximum(values, 0.0)), (down, np.minimum(values, 0.0))):
            look: Any = {"fill": True, "facecolor": fill(part, True), "linewidth": 0}
            axes.stairs(base + height, edges, baseline=base.copy(), **look)
            base += height
    axes.grid(axis="y")
    if (down < 0.0).any():
        zero_line(axes)


def _islands(axes: Axes, view: FeederView, ends: list[int]) -> None:
    """Lines between islands, and the heads of those that have room for words."""
    if len(ends) < 2:
        return
    net = view.network
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if start:
            axes.axvline(start, color=MUTED, linewidth=0.6, dashes=(4, 2), zorder=5)
        if end - start > ROOM * ends[-1]:
            head = net.buses[int(np.argmax(net.island == number))]
            name = f"island of {head}" if number else "substation"
            middle = (start + end) / 2, 1.0
            note(axes, name, middle, (0, 2), where=("data", "axes fraction"))
