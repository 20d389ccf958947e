"""Bars in pairs: for every scenario one without and one with V2G, side by side.

Where all runs are of one state, a bar stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from v2geq.plots.style import INK, MUTED, SHORT_STATES, STATES, edge, fill, note, number
from v2geq.plots.tables import rows_of

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.plots.runs import Runs

BAR = 0.36
"""Width of a bar; scenarios are one apart."""


def place(runs: Runs, scenario: int, v2g: bool) -> float:
    """Middle of a bar."""
    aside = 0.0 if len(runs.states) < 2 else 0.5 if v2g else -0.5
    return scenario + aside * (BAR + 0.04)


def bar(
    axes: Axes, x: float, height: float, quantity: str, v2g: bool, *, bottom: float = 0.0
) -> None:
    """One bar, or one part of a stacked bar; nothing for a height of zero."""
    if height != 0:
        colours: Any = {"color": fill(quantity, v2g), "edgecolor": edge(quantity)}
        axes.bar(x, height, BAR, bottom=bottom, linewidth=0.5, **colours)


def value_label(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    below: bool = False,
    middle: bool = False,
    size: float = 6.0,
    colour: str = INK,
) -> None:
    """Number above (or below, or in) the end of a bar."""
    note(
        axes,
        text,
        (x, y),
        (0, 0 if middle else (-1.5 if below else 1.5)),
        va="center" if middle else ("top" if below else "bottom"),
        size=size,
        colour=colour,
        annotation_clip=False,
    )


def label_pairs(axes: Axes, labels: Sequence[tuple[float, float, str]]) -> None:
    """Numbers (x, y, text) above bars; equal ones of a pair once, in the middle."""
    pairs: dict[int, list[tuple[float, float, str]]] = {}
    for label in labels:
        pairs.setdefault(round(label[0]), []).append(label)
    for scenario, pair in pairs.items():
        if len(pair) == 2 and pair[0][2] == pair[1][2]:
            value_label(axes, scenario, max(pair[0][1], pair[1][1]), pair[0][2])
        else:
            for x, y, text in pair:
                value_label(axes, x, y, text)


def range_mark(axes: Axes, x: float, low: float, high: float) -> None:
    """Whisker from `low` to `high`."""
    look: Any = {"color": INK, "linewidth": 0.6, "capsize": 1.6, "capthick": 0.6, "zorder": 4}
    axes.errorbar(x, (low + high) / 2, yerr=(high - low) / 2, **look)


def scenario_axis(axes: Axes, runs: Runs, states: bool = True) -> None:
    """Scenario names below the bars, and with `states` the word for each bar of a pair."""
    scenarios = runs.scenarios
    axes.set_xlim(-0.55, len(scenarios) - 0.45)
    places = range(len(scenarios))
    if not states:
        axes.set_xticks(places, scenarios)
    elif len(runs.states) == 1:
        axes.set_xticks(places, [f"{s}\n{STATES[runs.states[0]]}" for s in scenarios])
    else:
        axes.set_xticks(places, scenarios)
        # below the words of the states
        axes.tick_params(axis="x", which="major", pad=11.0)
        minor = [place(runs, i, v2g) for i in places for v2g in runs.states]
        words = [SHORT_STATES[v2g] for v2g in runs.states]
        axes.set_xticks(minor, words * len(scenarios), minor=True)
        for label in axes.get_xticklabels(minor=True):
            label.set_fontsize(6)
            label.set_color(MUTED)
    axes.tick_params(axis="x", which="both", length=0)


def value_axis(axes: Axes, label: str, *, headroom: float = 0.08, digits: int = 0) -> None:
    """Label, thousands separators, light grid and room for the numbers at the bars."""
    axes.set_ylabel(label)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v, digits)))
    axes.grid(axis="y")
    low, high = axes.get_ylim()
    span = high - min(low, 0.0)
    axes.set_ylim(low - (headroom * span if low < 0 else 0.0), high + headroom * span)


def zero_line(axes: Axes) -> None:
    """Line at zero, where bars go both ways."""
    axes.axhline(0.0, color=INK, linewidth=0.6, zorder=3)


def each(
    axes: Axes, runs: Runs, table: pd.DataFrame
) -> Iterator[tuple[float, bool, dict[str, float]]]:
    """Place, V2G and row of every run of `table`; missing ones are marked on the axes."""
    for i, scenario in enumerate(runs.scenarios):
        for v2g in runs.states:
            rows = rows_of(table, scenario, v2g)
            if len(rows):
                values = rows.to_numpy(dtype=float)[0]
                names = [str(c) for c in rows.columns]
                yield place(runs, i, v2g), v2g, dict(zip(names, map(float, values), strict=True))
            else:
                no_run(axes, place(runs, i, v2g))


def no_run(axes: Axes, x: float, text: str = "no run") -> None:
    """Mark in the place of a run that is missing."""
    note(axes, text, (x, 0.0), (0, 3), where=("data", "axes fraction"), colour=MUTED, rotation=90)
