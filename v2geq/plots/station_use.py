"""Trips that stop, energy per stop, dwell time and OD pairs that discharge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from v2geq.plots import bars, tables
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    MUTED,
    PAGE_MM,
    edge,
    fill,
    is_wide,
    legend,
    new_figure,
    note,
    number,
    panel_letter,
    quantity_handles,
    state_handles,
    style,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point


def station_use(equilibria: Runs | Point | Sequence[Point], *, width_mm: float = PAGE_MM) -> Figure:
    """Trips that stop, energy per stop, dwell time and OD pairs that discharge.

    Whiskers are the range over all equilibrium path flows.
    """
    runs = as_runs(equilibria)
    table = tables.trips_table(runs)
    wide = is_wide(width_mm)
    with style():
        figure = new_figure(width_mm, 62 if wide else 108)
        panels = figure.subplot_mosaic(
            "abcd" if wide else "ab;cd", width_ratios=[1.25, 1.25, 1.0, 0.9] if wide else [1, 1]
        )
        _share_panel(panels["a"], runs, table)
        _energy_panel(panels["b"], runs, table)
        _dwell_panel(panels["c"], runs, table)
        _pairs_panel(panels["d"], runs, table)
        quantities = quantity_handles({"charge": "charging", "discharge": "discharging"})
        legend(figure, [*quantities, *state_handles(runs.states)], 4)
    return figure


def _share_panel(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    labels = []
    for x, v2g, row in bars.each(axes, runs, table):
        row = {k: 100.0 * v for k, v in row.items()}
        visit, discharge = row["visit_share"], row["discharge_share"]
        bars.bar(axes, x, discharge, "discharge", v2g)
        bars.bar(axes, x, visit - discharge, "charge", v2g, bottom=discharge)
        top = visit
        for name, off in (("visit_share", 0.09), ("discharge_share", -0.09)):
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            if high - low > 0.1:
                bars.range_mark(axes, x + off, low, high)
                top = max(top, high)
        labels.append((x, top, number(visit, 1)))
        if discharge > 8:
            text = number(discharge)
            bars.value_label(axes, x, discharge / 2, text, middle=True, colour="white")
    bars.label_pairs(axes, labels)
    bars.scenario_axis(axes, runs, states=False)
    bars.value_axis(axes, "EV trips that use a station (%)", headroom=0.03)
    panel_letter(axes, "a", "Station use")


def _energy_panel(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    """Energy of a mean stop: what the sums of the supply figure are made of."""
    labels = []
    for x, v2g, row in bars.each(axes, runs, table):
        charge, discharge = row["charge_kwh_per_stop"], row["discharge_kwh_per_stop"]
        bars.bar(axes, x, charge, "charge", v2g)
        labels.append((x, charge, number(charge, 1)))
        bars.bar(axes, x, -discharge, "discharge", v2g)
        if discharge:
            bars.value_label(axes, x, -discharge, number(discharge, 1), below=True)
    bars.zero_line(axes)
    bars.label_pairs(axes, labels)
    bars.scenario_axis(axes, runs, states=False)
    bars.value_axis(axes, "Energy per stop (kWh)", headroom=0.06)
    # both directions are amounts of energy
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(abs(v))))
    panel_letter(axes, "b", "Energy per stop")


def _dwell_panel(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    axes.set_yscale("log")
    ends: dict[int, list[tuple[float, float]]] = {}
    for x, v2g, row in bars.each(axes, runs, table):
        hours = row["dwell_h"]
        if hours <= 0:
            # nobody stops: the logarithmic axis has no place for it
            bars.no_run(axes, x, "none")
            continue
        ends.setdefault(round(x), []).append((x, hours))
        colours: Any = {
            "markerfacecolor": fill("waiting", v2g),
            "markeredgecolor": edge("waiting"),
        }
        axes.plot(x, hours, marker="o", markersize=5, markeredgewidth=0.6, zorder=3, **colours)
    for points in ends.values():
        axes.plot(*zip(*points, strict=True), color=MUTED, linewidth=0.6, zorder=2)
        upper = max(points, key=lambda p: p[1])
        for point in points:
            note(
                axes,
                number(point[1], 1),
                point,
                (0, 4 if point == upper else -4),
                va="bottom" if point == upper else "top",
            )
    bars.scenario_axis(axes, runs, states=False)
    reached = [hours for points in ends.values() for _, hours in points] or [1.0]
    axes.set_ylim(min(reached) / 1.9, max(reached) * 1.9)
    axes.yaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_ylabel("Dwell time (vehicle-hours per hour)")
    panel_letter(axes, "c", "Dwell time")


def _pairs_panel(axes: Axes, runs: Runs, table: pd.DataFrame) -> None:
    for x, v2g, row in bars.each(axes, runs, table):
        value = row["discharge_od_pairs"]
        bars.bar(axes, x, value, "discharge", v2g)
        low, high = (row[f"discharge_od_pairs_{end}"] for end in ("low", "high"))
        if high > low:
            bars.range_mark(axes, x, low, high)
        bars.value_label(axes, x, max(value, high), number(value))
    bars.scenario_axis(axes, runs, states=False)
    total = float(table["od_pairs"].max())
    axes.set_ylim(0.0, total)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    axes.set_ylabel(f"OD pairs that discharge (of {total:g})")
    panel_letter(axes, "d", "Discharging pairs")
