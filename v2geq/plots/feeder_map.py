"""A bare feeder drawn: branches by kind, buses by their lowest voltage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from v2geq.plots.positions import Place, bus_positions
from v2geq.plots.roads import add_lines, colour_bar, frame
from v2geq.plots.style import COLOURS, INK, MUTED, PAGE_MM, legend, new_figure, note, style

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.data.model.feeder import Feeder

LOOKS = {
    "line": "#9A9A9A",
    "switch": "#56708A",
    "transformer": COLOURS["generation"],
    "regulator": COLOURS["shed"],
}
"""Colours of the kinds of branches."""
FEW = 400
"""Most buses that are drawn large."""


def feeder_map(
    feeder: Feeder, voltages: pd.Series[float] | None = None, *, width_mm: float = PAGE_MM
) -> Figure:
    """Diagram of a feeder without an equilibrium.

    Parameters
    ----------
    voltages
        Voltage by bus, pu, to colour buses by; those of several phases by the lowest.
    """
    place = bus_positions(feeder.buses)
    few = len(feeder.buses) <= FEW
    branches = feeder.branches
    closed = branches[~branches["normally_open"]]
    with style():
        figure = new_figure(width_mm, 0.72 * width_mm)
        axes = figure.add_subplot()
        handles = []
        for kind, colour in LOOKS.items():
            shown = closed[closed["kind"] == kind]
            ends = _ends(shown, place)
            # wide lines carry three phases
            widths = np.where(shown["phases"].str.len() > 2, 1.2, 0.6) * (1.0 if few else 0.6)
            add_lines(axes, ends, colors=colour, linewidths=widths, zorder=2)
            if len(shown):
                handles.append(Line2D([], [], color=colour, linewidth=1.2, label=kind))
            if len(shown) and (kind == "regulator" or (few and kind == "transformer")):
                x, y = np.mean(ends, axis=1).T
                axes.scatter(x, y, s=14, marker="D", color=colour, linewidths=0, zorder=5)
        _draw_open(axes, branches[branches["normally_open"]], place, few)
        _draw_buses(figure, axes, feeder, place, voltages, 6.0 if few else 1.5)
        at = place[feeder.root]
        axes.scatter(at[0], at[1], s=26, marker="s", color=INK, linewidths=0, zorder=6)
        note(axes, "source", at, (-2.5, -4.5), ha="left", va="top")
        frame(axes, place, margin=0.04)
        legend(figure, handles, max(len(handles), 1))
    return figure


def _ends(branches: pd.DataFrame, place: Mapping[str, Place]) -> list[list[Place]]:
    return [
        [place[str(a)], place[str(b)]]
        for a, b in zip(branches["from_bus"], branches["to_bus"], strict=True)
    ]


def _draw_open(axes: Axes, branches: pd.DataFrame, place: Mapping[str, Place], named: bool) -> None:
    """Open branches dotted, with a box in the middle."""
    ends = _ends(branches, place)
    dots: Any = {"colors": MUTED, "linestyles": (0, (1, 1.5)), "linewidths": 0.7}
    add_lines(axes, ends, **dots, zorder=2)
    for name, line in zip(branches.index, ends, strict=True):
        x, y = np.mean(line, axis=0)
        box: Any = {"s": 12, "marker": "s", "facecolor": "white", "edgecolor": MUTED}
        axes.scatter(x, y, **box, linewidths=0.7, zorder=5)
        if named:
            note(axes, str(name), (x, y), (0, 3.5), colour=MUTED)


def _draw_buses(
    figure: Figure,
    axes: Axes,
    feeder: Feeder,
    place: Mapping[str, Place],
    voltages: pd.Series[float] | None,
    size: float,
) -> None:
    names = [str(b) for b in feeder.buses.index]
    x, y = zip(*(place[b] for b in names), strict=True)
    if voltages is None:
        axes.scatter(x, y, s=size, color=MUTED, linewidths=0, zorder=3)
        return
    lowest = voltages.groupby(level=0).min().reindex(names).to_numpy(dtype=float)
    norm = Normalize(float(np.nanmin(lowest)), float(np.nanmax(lowest)))
    colours = colormaps["viridis"]
    look: Any = {"cmap": colours, "norm": norm, "linewidths": 0, "zorder": 3}
    axes.scatter(x, y, s=2.0 * size, c=lowest, **look)
    label = "Lowest voltage of a bus (pu)"
    colour_bar(figure, axes, ScalarMappable(norm, colours), label, "bottom", (40.0, 0.7))
