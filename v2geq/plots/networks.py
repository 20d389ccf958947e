"""Both networks side by side, with the stations that couple them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from v2geq.plots.feeder import draw_feeder, shade
from v2geq.plots.feeder_view import feeder_view
from v2geq.plots.positions import bus_positions, node_positions, shape
from v2geq.plots.roads import draw_roads
from v2geq.plots.runs import run_name
from v2geq.plots.style import INK, PAGE_MM, is_wide, legend, new_figure, note, style

if TYPE_CHECKING:
    from v2geq.results.point import Point


def networks(eq: Point, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
    """Road network and feeder side by side, a line from every station's node to its bus.

    Roads: width and colour are flow over capacity. Rings at the stations: charge and discharge,
    area by energy. Feeder: buses of islands without supply are grey, open switches are boxes.

    Parameters
    ----------
    color
        Colour of the feeder, one of `v2geq.plots.feeder.SHADES`.

    Raises
    ------
    DataError
        An unknown `color`.
    """
    shade(color)
    wide = is_wide(width_mm)
    with style():
        road = np.clip(shape(node_positions(eq.scenario.case.road)), 0.35, 1.25)
        buses = np.clip(shape(bus_positions(eq.scenario.case.feeder.buses)), 0.35, 1.0)
        if wide:
            height = min(max(0.39 * road, 0.61 * buses), 0.43) * width_mm + 22.0
            figure = new_figure(width_mm, height)
            left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.55])
        else:
            figure = new_figure(width_mm, min(0.8 * road + buses, 1.5) * width_mm + 38.0)
            left, right = figure.subplots(2, 1, height_ratios=[0.8 * road + 0.1, buses + 0.1])
        side = "bottom" if wide else "top"
        handles = draw_roads(figure, left, eq, radius=10.0, bar=side)
        handles += draw_feeder(figure, right, feeder_view(eq), color=color)
        _couple(figure, left, right, eq)
        if wide:
            left.set_title("Road network")
            right.set_title(f"Feeder: {run_name(eq)}")
        else:
            figure.suptitle(run_name(eq), x=0.02, ha="left", fontsize=7, fontweight="bold")
        columns = 2 if not wide else len(handles) if len(handles) <= 5 else -(-len(handles) // 2)
        legend(figure, handles, columns, "upper" if wide else "lower")
    return figure


def _couple(figure: Figure, left: Axes, right: Axes, eq: Point) -> None:
    """Curves from stations' road nodes to their buses, and the stations' names at the buses."""
    nodes = node_positions(eq.scenario.case.road)
    buses = bus_positions(eq.scenario.case.feeder.buses)
    for _, row in eq.scenario.stations.iterrows():
        node, bus = nodes[str(row["road_node"])], buses[str(row["bus"])]
        # behind both networks
        look: Any = {"color": "#56708A", "linewidth": 0.6, "linestyle": (0, (4, 2)), "zorder": -1}
        link = ConnectionPatch(node, bus, "data", "data", axesA=left, axesB=right, **look)
        link.set_in_layout(False)
        figure.add_artist(link)
    for at, here in eq.scenario.stations.groupby("bus", sort=False):
        bus = buses[str(at)]
        right.scatter(
            *bus, s=26, marker="D", facecolor="none", edgecolor=INK, linewidths=0.8, zorder=6
        )
        note(
            right,
            "\n".join(map(str, here.index)),
            bus,
            (4, -4),
            ha="left",
            va="top",
            zorder=8,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4},
        )
