"""Supply of the feeder and energy of the stations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from v2geq.plots import bars, tables
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    COLOURS,
    INK,
    PAGE_MM,
    is_wide,
    legend,
    new_figure,
    number,
    panel_letter,
    quantity_handles,
    style,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point

_SOMETIMES = (
    ("pv", "pv_kw", "station PV"),
    ("store", "store_kw", "station stores"),
    ("battery", "own_players_kw", "own players"),
)
"""Quantity, column and text of supply that only some cases have."""


def supply(equilibria: Runs | Point | Sequence[Point], *, width_mm: float = PAGE_MM) -> Figure:
    """Supply of the feeder and energy of the stations, in pairs without and with V2G."""
    runs = as_runs(equilibria)
    table = tables.supply_table(runs)
    wide = is_wide(width_mm)
    with style():
        beside = wide or len(runs.scenarios) == 1
        figure = new_figure(width_mm, 66 if beside else 118)
        left, right = figure.subplots(1, 2) if beside else figure.subplots(2, 1)
        _supply_bars(left, runs, table)
        _station_bars(right, runs, table)
        sold = (table["tso_import_kw"] < -tables.SEEN).any()
        words = {
            "tso": "TSO import, export" if sold else "TSO import",
            "generation": "local generation",
            "charge": "charging",
            "discharge": "V2G discharge",
            **{quantity: text for quantity, column, text in _SOMETIMES if table[column].any()},
        }
        frame: dict[str, Any] = {
            "facecolor": "white",
            "edgecolor": COLOURS["shed"],
            "hatch": "//////",
        }
        handles: list[Artist] = [*quantity_handles(words)]
        if (table["load_shed_kw"] > tables.SEEN).any():
            handles.append(Patch(label="load not served", **frame))
        if (table["discharge_kw"] > tables.SEEN).any():
            handles.append(Line2D([], [], color=INK, linewidth=1.6, label="net of both"))
        legend(figure, handles, len(handles) if wide else 3)
    return figure


def _supply_bars(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    supplies = {
        "tso": "tso_import_kw",
        "generation": "generation_kw",
        "discharge": "discharge_kw",
        **{quantity: column for quantity, column, _ in _SOMETIMES},
    }
    parts = table[list(supplies.values())]
    above, below = parts.clip(lower=0.0).sum(axis=1), parts.clip(upper=0.0).sum(axis=1)
    span = float(above.max() - below.min())
    for x, v2g, row in bars.each(axes, runs, table):
        total, taken = 0.0, 0.0
        for quantity, column in supplies.items():
            height = row[column]
            bottom = total if height > 0.0 else taken
            bars.bar(axes, x, height, quantity, v2g, bottom=bottom)
            if abs(height) > 0.06 * span:
                bars.value_label(axes, x, bottom + height / 2, number(height), middle=True)
            total, taken = total + max(height, 0.0), taken + min(height, 0.0)
        shed = row["load_shed_kw"]
        if shed > tables.SEEN:
            empty: Any = {"facecolor": "white", "edgecolor": COLOURS["shed"], "hatch": "/////"}
            axes.bar(x, shed, bars.BAR, bottom=total, linewidth=0.6, **empty)
            bars.value_label(axes, x, total + shed, number(shed))
    if float(below.min()) < 0.0:
        bars.zero_line(axes)
    bars.scenario_axis(axes, runs)
    bars.value_axis(axes, "Power (kW)", headroom=0.05)
    panel_letter(axes, "a", "Supply")


def _station_bars(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    for x, v2g, row in bars.each(axes, runs, table):
        charge, discharge = row["charge_kw"], row["discharge_kw"]
        net = row["net_station_kw"]
        bars.bar(axes, x, charge, "charge", v2g)
        bars.value_label(axes, x, charge, number(charge))
        if discharge > tables.SEEN:
            bars.bar(axes, x, -discharge, "discharge", v2g)
            bars.value_label(axes, x, -discharge, number(-discharge), below=True)
            half = bars.BAR / 2
            axes.plot([x - half, x + half], [net, net], color=INK, linewidth=1.6, zorder=5)
            bars.value_label(axes, x, net, number(net), colour="white")
    bars.zero_line(axes)
    bars.scenario_axis(axes, runs)
    bars.value_axis(axes, "Power at stations (kW)", headroom=0.06)
    panel_letter(axes, "b", "Stations")
