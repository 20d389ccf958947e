"""The feeder's diagram: buses coloured by price or voltage, lines by loading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from v2geq.errors import DataError, did_you_mean
from v2geq.plots.feeder_view import PARTS, FeederView
from v2geq.plots.limits import mark_feeder
from v2geq.plots.positions import Place, bus_positions, shape
from v2geq.plots.roads import add_lines, colour_bar, frame, road_colours
from v2geq.plots.style import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    PAGE_MM,
    is_wide,
    legend,
    new_figure,
    note,
    style,
)
from v2geq.show import money

if TYPE_CHECKING:
    import pandas as pd

LINE_INK = "#9A9A9A"
TIED = "closed by the scenario"
"""State of normally open branches that are closed."""


@dataclass(frozen=True)
class Shade:
    """What colours the feeder: a result, where it lives, its label and colour map."""

    result: str
    on: str
    label: str
    colours: str


SHADES = {
    "dlmp": Shade("dlmp", "bus", "DLMP ($/kWh)", "viridis"),
    "voltage": Shade("voltage_pu", "bus", "Voltage (pu)", "viridis"),
    "loading": Shade("loading", "line", "Flow / rating (-)", "roads"),
    **{k: Shade(k, "bus", p.capitalize() + " part ($/kWh)", "viridis") for p, k in PARTS.items()},
}


def shade(color: str) -> Shade:
    """Shade by name.

    Raises
    ------
    DataError
        An unknown name, with the closest known ones.
    """
    if color not in SHADES:
        raise DataError(
            f"the feeder cannot be coloured by {color!r}", advice=did_you_mean(color, SHADES)
        )
    return SHADES[color]


def feeder(view: FeederView, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
    """Feeder with buses coloured by DLMP, a part of it or voltage, or lines by loading.

    Parameters
    ----------
    color
        One of `SHADES`.
    """
    shade(color)
    with style():
        ratio = shape(bus_positions(view.feeder.buses))
        figure = new_figure(width_mm, min(max(ratio, 0.35), 1.2) * width_mm + 24.0)
        axes = figure.add_subplot()
        handles = draw_feeder(figure, axes, view, color=color)
        axes.set_title(view.title)
        legend(figure, handles, len(handles) if is_wide(width_mm) else 2)
    return figure


def feeder_table(view: FeederView) -> pd.DataFrame:
    """Every branch of the feeder: ends, kind, loading and state.

    Column state: 'closed', 'open' (normally open), 'closed by the scenario' (normally open), 'out'
    (an outage) or 'dead' (without supply).
    """
    branches = view.feeder.branches
    table = branches[["from_bus", "to_bus", "kind"]].copy()
    table["loading"] = view.loading.reindex(table.index)
    table["state"] = "dead"
    is_open = branches["normally_open"].astype(bool)
    is_live = table.index.isin(view.network.lines.names)
    table.loc[is_live, "state"] = "closed"
    table.loc[is_open, "state"] = "open"
    table.loc[is_open & is_live, "state"] = TIED
    table.loc[table.index.isin(list(view.outages)), "state"] = "out"
    return table


def draw_feeder(
    figure: Figure, axes: Axes, view: FeederView, *, color: str = "dlmp"
) -> list[Line2D]:
    """Lines, buses, open switches, substation and binding limits over a colour bar; the legend."""
    what = shade(color)
    place = bus_positions(view.feeder.buses)
    table = feeder_table(view)
    on_line = what.on == "line"
    values = view.loading if on_line else view.buses[what.result]
    norm = _norm(values.to_numpy(dtype=float), color)
    cmap = road_colours() if what.colours == "roads" else colormaps[what.colours]

    segments = {
        name: [place[str(a)], place[str(b)]]
        for name, a, b in zip(table.index, table["from_bus"], table["to_bus"], strict=True)
    }
    closed = table.index[table["state"].isin(["closed", TIED])]
    lines = [segments[n] for n in closed]
    if on_line:
        loading = values.reindex(closed).to_numpy(dtype=float)
        shades = {"array": loading, "cmap": cmap, "norm": norm}
        add_lines(axes, lines, **shades, linewidths=1.8, capstyle="round", zorder=2)
    else:
        add_lines(axes, lines, colors=LINE_INK, linewidths=0.7, zorder=2)
    dead = table.index[table["state"] == "dead"]
    add_lines(axes, (segments[n] for n in dead), colors=FAINT, linewidths=0.7, zorder=1)
    _draw_open(axes, table, segments)
    _draw_buses(axes, view, place, None if on_line else values, cmap, norm)
    root: Any = {"linestyle": "none", "color": INK, "marker": "s", "markersize": 5}
    handles = [Line2D([], [], label="substation", **root)]
    handles += mark_feeder(axes, view, place, segments)
    frame(axes, place, margin=0.04)

    shaded = ScalarMappable(norm, cmap)
    label = "; ".join([money(what.label, view.currency)[:-1], *_limits(view, color)]) + ")"
    bar = colour_bar(figure, axes, shaded, label, "bottom", (40.0, 0.7))
    if isinstance(norm, LogNorm):
        bar.ax.xaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        bar.ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    known = values[np.isfinite(values)]
    if not on_line and len(known) and float(known.max() - known.min()) < 1e-6:
        bar.ax.xaxis.set_major_locator(NullLocator())
        bar.set_label(f"{label}: {float(known.mean()):.4g} at all buses")
    return handles


def _limits(view: FeederView, color: str) -> list[str]:
    """Words for the limits of what colours the feeder, if it has any."""
    settings = view.network.limits
    words = {
        "voltage": f"limits {settings.vmin:g} to {settings.vmax:g}",
        "loading": "not limited" if settings.line_rating == "none" else "limit 1",
    }
    if view.voll is not None:
        words["dlmp"] = f"value of lost load {view.voll:g}"
    return [words[color]] if color in words else []


def _norm(values: np.ndarray, color: str) -> Normalize:
    known = values[np.isfinite(values)]
    if not len(known):
        return Normalize(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    if color == "loading":
        return Normalize(0.0, max(high, 1.0))
    if color == "dlmp" and low > 0 and high > 5.0 * low:
        return LogNorm(low, high)
    return Normalize(low, high) if high - low > 1e-6 else Normalize(low - 0.5, low + 0.5)


def _draw_open(axes: Axes, table: pd.DataFrame, segments: Mapping[str, list[Place]]) -> None:
    """Open branches dotted, with a box in the middle: empty if normally open, crossed if out.

    A full box is a normally open branch that the scenario closes.
    """
    for state, colour in (("open", MUTED), ("out", COLOURS["shed"]), (TIED, INK)):
        names = table.index[table["state"] == state]
        dots = {"linestyles": (0, (1, 1.5)), "linewidths": 0.7}
        if state != TIED:
            add_lines(axes, (segments[n] for n in names), colors=colour, **dots, zorder=2)
        for name in names:
            (x0, y0), (x1, y1) = segments[name]
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            box: Any = {"s": 12, "marker": "s", "edgecolor": colour}
            box["facecolor"] = colour if state == TIED else "white"
            axes.scatter(x, y, **box, linewidths=0.7, zorder=5)
            if state == "out":
                axes.scatter(x, y, s=10, marker="x", color=colour, linewidths=0.8, zorder=6)
            note(
                axes,
                name,
                (x, y),
                (0, 3.5),
                colour=colour,
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.3},
                zorder=4.5,
            )


def _draw_buses(
    axes: Axes,
    view: FeederView,
    place: Mapping[str, Place],
    values: pd.Series | None,
    cmap: Colormap,
    norm: Normalize,
) -> None:
    dead, alive = view.network.dead_buses, list(view.network.buses)
    if dead:
        x, y = zip(*[place[b] for b in dead], strict=True)
        axes.scatter(x, y, s=6, color=FAINT, linewidths=0, zorder=3)
    sizes = [13.0 if b in view.loaded else 5.0 for b in alive]
    x, y = zip(*[place[b] for b in alive], strict=True)
    if values is None:
        axes.scatter(x, y, s=5, color=MUTED, linewidths=0, zorder=3)
    else:
        axes.scatter(
            x,
            y,
            s=sizes,
            c=values.reindex(alive).to_numpy(dtype=float),
            cmap=cmap,
            norm=norm,
            linewidths=0.25,
            edgecolors=INK,
            zorder=3,
        )
    axes.scatter(*place[view.feeder.root], s=26, marker="s", color=INK, linewidths=0, zorder=4)
