"""DLMPs at the load buses and load not served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from v2geq.errors import DataError
from v2geq.plots import bars, tables
from v2geq.plots.runs import Runs, as_runs
from v2geq.plots.style import (
    COLOURS,
    INK,
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
    panel_letter,
    style,
)

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point


def prices(
    equilibria: Runs | Point | Sequence[Point],
    *,
    order: str = "value",
    width_mm: float = PAGE_MM,
) -> Figure:
    """DLMPs at the load buses of every scenario and load not served.

    The text in a panel is the highest DLMP without V2G and, after the arrow, with it.

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
    scenarios = runs.scenarios
    count = len(scenarios) + 1
    wide = is_wide(width_mm)
    with style():
        columns = count if wide else 2
        rows = -(-count // columns)
        figure = new_figure(width_mm, (60 if wide else 46 * rows) + 4)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in panels[count:]:
            axes.remove()
        low = min(float(table["dlmp"].min()), voll) / 2.5
        for i, scenario in enumerate(scenarios):
            axes = panels[i]
            _price_panel(axes, table, scenario, order)
            axes.set_ylim(low, voll * 1.7)
            axes.axhline(voll, color=COLOURS["shed"], linewidth=0.7, dashes=(4, 2))
            if i == 0:
                note(
                    axes,
                    f"value of lost load {voll:g} $/kWh",
                    (1.0, voll),
                    (0, -2),
                    where=("axes fraction", "data"),
                    ha="right",
                    va="top",
                    colour=edge("shed"),
                )
            if i % columns == 0:
                axes.set_ylabel("DLMP ($/kWh)")
            else:
                axes.tick_params(labelleft=False)
            panel_letter(axes, "abcdefgh"[i], scenario)
            first = "lowest DLMP first" if order == "value" else "feeder order"
            axes.set_xlabel(f"Load buses, {first}")
        _shed_panel(panels[count - 1], runs, "abcdefgh"[count - 1])
        marks = {text: _marker(v2g) for v2g, text in STATES.items()}
        handles = [Line2D([], [], linestyle="none", label=k, **m) for k, m in marks.items()]
        legend(figure, handles, 2)
    return figure


def _price_panel(axes: Axes, table: pd.DataFrame, scenario: str, order: str) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10.0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y")
    tops: list[float] = []
    for v2g in STATES:
        part = tables.rows_of(table, scenario, v2g)
        if not len(part):
            continue
        values = np.sort(part["dlmp"].to_numpy()) if order == "value" else part["dlmp"].to_numpy()
        places, above = np.arange(1, len(values) + 1), 3 if v2g else 2.5
        dots: Any = {"linestyle": "none", "zorder": above, "clip_on": False}
        axes.plot(places, values, **dots, **_marker(v2g))
        tops.append(float(values.max()))
    note(
        axes,
        "highest " + " → ".join(f"{top:.3g}" for top in tops),
        (1.0, 0.0),
        (0, 2),
        where="axes fraction",
        ha="right",
    )
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _marker(v2g: bool) -> dict[str, Any]:
    """Small full marks with V2G on larger pale ones without: both show where they coincide."""
    return {
        "marker": "o",
        "markersize": 1.9 if v2g else 4.0,
        "markerfacecolor": mix(INK, 0.0 if v2g else PALE),
        "markeredgecolor": INK if v2g else mix(INK, 0.45),
        "markeredgewidth": 0.0 if v2g else 0.4,
    }


def _shed_panel(axes: Axes, runs: Runs, letter: str) -> None:
    table = tables.supply_table(runs)
    for x, v2g, row in bars.each(axes, runs.scenarios, table):
        shed = row["load_shed_kw"]
        bars.bar(axes, x, shed, "shed", v2g)
        bars.value_label(axes, x, shed, number(shed))
    bars.scenario_axis(axes, runs.scenarios, states=False)
    axes.set_ylim(0.0, max(axes.get_ylim()[1], 1.0))
    bars.value_axis(axes, "Load not served (kW)")
    panel_letter(axes, letter, "Shed load")
