"""How solvers come to a point: residual by iteration, round by round of column generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from v2geq.plots.style import COLOURS, FAINT, INK, MUTED, new_figure, style

if TYPE_CHECKING:
    from v2geq.results.point import Point

LINES = ("charge", "discharge", "shed", "generation", "waiting")


def convergence(points: Point | Mapping[str, Point], *, width_mm: float = 89.0) -> Figure:
    """Scaled natural residual by iteration; a dot ends a round, after which paths are added.

    Several points, by name, are drawn side by side: the same market by other methods, say.
    """
    named = points if isinstance(points, Mapping) else {"": points}
    with style():
        figure = new_figure(width_mm, 0.6 * width_mm)
        panels = figure.subplots(1, len(named), sharey=True, squeeze=False)[0]
        for axes, (name, point), colour in zip(panels, named.items(), LINES * 9, strict=False):
            log = point.convergence
            axes.grid(axis="y")
            for _, own in log.groupby("round"):
                residual = own["residual"].clip(lower=1e-16)
                axes.plot(own.index, residual, color=COLOURS[colour])
                axes.plot(own.index[-1], residual.iloc[-1], "o", color=COLOURS[colour], ms=2.5)
                axes.axvline(own.index[-1] + 0.5, color=FAINT, linewidth=0.5)
            axes.axhline(1e-8, color=MUTED, linewidth=0.7, dashes=(4, 2))
            axes.set_yscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_title(name, color=INK)
            axes.set_xlabel("Iteration")
        panels[0].set_ylabel("Scaled natural residual (-)")
    return figure
