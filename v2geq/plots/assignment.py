"""`r.plot`: the figures of one traffic assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch

from v2geq.plots.api import Figures
from v2geq.plots.positions import node_positions, shape
from v2geq.plots.roads import arc_lines, congestible, draw_arcs, draw_rings
from v2geq.plots.style import COLOURS, INK, MUTED, legend, new_figure, number, quiet, style

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from v2geq.arrays import FloatArray
    from v2geq.plots.positions import Place
    from v2geq.roads.result import UserEquilibrium

ENDS = (COLOURS["travel"], COLOURS["waiting"])
"""Colours of origins and destinations."""


class AssignmentPlots(Figures):
    """Figures of one assignment; every method returns a matplotlib `Figure`.

    `v2geq.plots.save(figure, path)` writes one as SVG and PNG. Widths are in mm. Maps of nodes
    without coordinates have computed positions, and say so.
    """

    def __init__(self, result: UserEquilibrium) -> None:
        self._result = result

    def roads(self, *, width_mm: float = 89.0) -> Figure:
        """Flow over capacity on the roads; zone connectors are grey."""
        road = self._result.problem.road
        place = node_positions(road)
        ratio = self._result.arcs["volume_capacity"].to_numpy()
        with style():
            figure = new_figure(width_mm, _height(place, width_mm))
            axes = figure.add_subplot()
            draw_arcs(figure, axes, road, place, ratio, plain=~congestible(road))
        return figure

    def select_link(self, *arcs: str, how: str = "any", width_mm: float = 89.0) -> Figure:
        """Where the vehicles on chosen arcs come from and go, see `UserEquilibrium.select_link`.

        Width and colour of an arc are the share of these vehicles that use it; arrows mark the
        chosen arcs. Rings are the trips that start and end at a node, area by their sum.

        Raises
        ------
        DataError
            An unknown arc, or another word than 'any' or 'all'.
        """
        chosen = self._result.select_link(*arcs, how=how)
        road = self._result.problem.road
        place = node_positions(road)
        share = chosen.flow.to_numpy() / (chosen.trips or 1.0)
        nodes, starting, ending = _ends(chosen.od)
        with style():
            figure = new_figure(width_mm, _height(place, width_mm) + 6.0)
            axes = figure.add_subplot()
            draw_arcs(
                figure,
                axes,
                road,
                place,
                share,
                plain=share <= 0.0,
                # most arcs carry few of the vehicles: the root tells small shares apart
                norm=PowerNorm(0.5, 0.0, 1.0, clip=True),
                label="Share of these vehicles (-)",
            )
            for start, end in arc_lines(road, place)[road.arcs.index.isin(arcs)]:
                look: Any = {"facecolor": INK, "edgecolor": "white", "linewidth": 0.4, "zorder": 7}
                shape: Any = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
                tail, head = 0.6 * start + 0.4 * end, 0.4 * start + 0.6 * end
                axes.add_patch(FancyArrowPatch(tail, head, **shape, **look))
            most = draw_rings(
                axes, place, nodes, starting, ending, min(0.07 * width_mm, 12.0), ENDS
            )
            joint = " or " if how == "any" else " and "
            first, second = (
                Patch(color=c, label=n) for c, n in zip(ENDS, ("start", "end"), strict=True)
            )
            title = (
                f"{number(chosen.trips)} veh/h on {joint.join(arcs)}, largest ring {number(most)}"
            )
            legend(figure, [first, second], 2, title=title)
        return figure

    def convergence(self, *, width_mm: float = 89.0) -> Figure:
        """Relative gap by time, a dot for every search for new routes.

        Time runs from the end of the first search, which has no gap: the roads were empty.
        """
        result = self._result
        log = result.log
        seconds = (log["seconds"] - log["seconds"].iloc[0]).to_numpy()
        known = np.isfinite(log["relative_gap"].to_numpy())
        milli = float(seconds[-1]) < 1.0
        with style():
            figure = new_figure(width_mm, 0.55 * width_mm)
            axes = figure.add_subplot()
            axes.grid(axis="y")
            axes.plot(
                seconds[known] * (1e3 if milli else 1.0),
                log["relative_gap"].to_numpy()[known],
                color=COLOURS["charge"],
                marker="o",
                markersize=2.5,
            )
            axes.axhline(result.target, color=MUTED, linewidth=0.7, dashes=(4, 2))
            axes.set_yscale("log")
            axes.set_xlim(left=0.0)
            axes.set_xlabel(f"Time after the first search ({'ms' if milli else 's'})")
            axes.set_ylabel("Relative gap (-)")
            quiet(axes, "left")
        return figure


def _ends(od: pd.DataFrame) -> tuple[list[str], FloatArray, FloatArray]:
    """Nodes, and the trips that start and end there; without those too few to be seen."""
    starting, ending = (od.groupby(c)["trips_veh_h"].sum() for c in ("origin", "destination"))
    total = starting.add(ending, fill_value=0.0)
    nodes = total.index[total > 1e-3 * total.max()]
    first, second = (t.reindex(nodes, fill_value=0.0).to_numpy() for t in (starting, ending))
    return [str(n) for n in nodes], first, second


def _height(place: Mapping[str, Place], width_mm: float) -> float:
    """Height that suits the shape of the network and fits on a page, mm."""
    return min(max(shape(place), 0.4) * width_mm + 10.0, 210.0)
