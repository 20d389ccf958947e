"""DLMPs over the load they are paid for, and load not served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from v2geq.errors import DataError
from v2geq.plots import tables
from v2geq.plots.roads import add_lines
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    COLOURS,
    INK,
    MUTED,
    PAGE_MM,
    PALE,
    STATES,
    edge,
    is_wide,
    legend,
    mix,
    new_figure,
    note,
    number,
    style,
    two_line_title,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point

LINES: dict[bool, dict[str, Any]] = {
    False: {"color": mix(INK, PALE), "linewidth": 3.2, "zorder": 2.5},
    True: {"color": INK, "linewidth": 1.1, "zorder": 3.0},
}
"""Look of a run: a broad pale line without V2G, a thin dark one with it; both show where they
coincide."""
SAME = 1e-6
"""Relative difference below which prices are the same."""


def prices(
    equilibria: Runs | Point | Sequence[Point],
    *,
    order: str = "value",
    width_mm: float = PAGE_MM,
) -> Figure:
    """How much load pays which DLMP, in every scenario, and how much of it is not served.

    A panel's text has the highest DLMP and the load not served, without V2G and, after the arrow,
    with it.

    Parameters
    ----------
    order
        Buses by 'value' (every run by its own, lowest first) or as in the 'feeder' table.

    Raises
    ------
    DataError
        An unknown order.
    """
    if order not in ("value", "feeder"):
        raise DataError(f"order is {order!r}", advice="use 'value' or 'feeder'")
    runs = as_runs(equilibria)
    table = tables.dlmp_table(runs)
    voll = runs.first.original.market.voll
    count = len(runs.scenarios)
    wide = is_wide(width_mm)
    with style():
        figure = new_figure(width_mm, 60 if wide else 36 * count + 12)
        shape = (1, count) if wide else (count, 1)
        panels = figure.subplots(*shape, squeeze=False, sharey=True).flat
        for i, (axes, scenario) in enumerate(zip(panels, runs.scenarios, strict=True)):
            title = f"{'abcdefgh'[i]}  {scenario}" if count > 1 else scenario
            two_line_title(axes, title, _price_panel(axes, table, runs, scenario, order), MUTED)
            axes.axhline(voll, color=COLOURS["shed"], linewidth=0.7, dashes=(4, 2))
            if i == 0:
                note(
                    axes,
                    f"value of lost load {voll:g} {runs.currency}/kWh",
                    (0.0, voll),
                    (2, 1.5),
                    where=("axes fraction", "data"),
                    ha="left",
                    colour=edge("shed"),
                )
            if not wide or i == 0:
                axes.set_ylabel(f"DLMP ({runs.currency}/kWh)")
            if wide or i == count - 1:
                first = "lowest DLMP first" if order == "value" else "feeder order"
                axes.set_xlabel(f"Firm load (kW), {first}")
        _scale(axes, float(table["dlmp"].min()), max(float(table["dlmp"].max()), voll))
        handles: list[Artist] = [
            Line2D([], [], label=STATES[v2g], **LINES[v2g]) for v2g in runs.states
        ]
        if (table["shed_kw"] > tables.SEEN).any():
            shed: Any = {"color": COLOURS["shed"], "linewidth": 3.2}
            handles.append(Line2D([], [], label="load not served", **shed))
        legend(figure, handles, len(handles))
    return figure


def _scale(axes: Axes, low: float, high: float) -> None:
    """Logarithmic prices with room above for words; linear near zero where some are negative."""
    if low > 0.0:
        axes.set_yscale("log")
        axes.set_ylim(low / 2.0, high * 2.6)
        axes.yaxis.set_major_locator(
            LogLocator(10.0, subs=(1.0,) if high > 50.0 * low else (1.0, 2.0, 5.0))
        )
    else:
        axes.set_yscale("symlog", linthresh=0.01 * high)
        axes.set_ylim(2.0 * low - 0.005 * high, high * 2.6)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _price_panel(axes: Axes, table: pd.DataFrame, runs: Runs, scenario: str, order: str) -> str:
    """Lines of a scenario's runs; what they come to in words."""
    axes.grid(axis="y")
    tops, sheds = [], []
    for v2g in runs.states:
        part = tables.rows_of(table, scenario, v2g)
        if not len(part):
            continue
        if order == "value":
            part = part.sort_values("dlmp", kind="stable")
        price, firm, shed = (part[c].to_numpy(dtype=float) for c in ("dlmp", "firm_kw", "shed_kw"))
        end = np.cumsum(firm)
        axes.stairs(price, np.r_[0.0, end], baseline=None, **LINES[v2g])
        # how load not served splits between buses of one price is anybody's choice, its sum is not
        last = np.flatnonzero(np.r_[np.abs(np.diff(price)) > SAME * price[1:], True])
        lost = np.diff(np.r_[0.0, np.cumsum(shed)[last]])
        ends = zip(end[last], price[last], lost, strict=True)
        segments = [((x - s, y), (x, y)) for x, y, s in ends if s > tables.SEEN]
        width = LINES[v2g]["linewidth"]
        add_lines(axes, segments, colors=COLOURS["shed"], linewidths=width, zorder=3.5)
        axes.set_xlim(0.0, max(float(end[-1]), 1e-9))
        tops.append(f"{float(price.max()):.3g}")
        sheds.append(number(float(shed.sum())))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
    highest = f"{' → '.join(tops)} {runs.currency}/kWh"
    return f"highest DLMP {highest}\nload not served {' → '.join(sheds)} kW"
