"""Both networks side by side, with the stations that couple them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from v2geq.plots.feeder import draw_feeder, shade
from v2geq.plots.positions import bus_positions, node_positions
from v2geq.plots.roads import draw_roads, pie_handles
from v2geq.plots.style import INK, PAGE_MM, STATES, is_wide, legend, new_figure, note, style

if TYPE_CHECKING:
    from v2geq.results.point import Point


def networks(eq: Point, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
    """Road network and feeder side by side, a line from every station's node to its bus.

    Roads: width and colour are flow over capacity. Pies at the stations: charge and discharge,
    area by energy. Feeder: buses of islands without supply are grey, open switches are boxes.

    Parameters
    ----------
    color
        Colour of the feeder: 'dlmp', 'voltage' or 'loading'.

    Raises
    ------
    DataError
        An unknown `color`.
    """
    shade(color)
    wide = is_wide(width_mm)
    with style():
        figure = new_figure(width_mm, 0.52 * width_mm if wide else 1.65 * width_mm)
        if wide:
            left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.55])
        else:
            left, right = figure.subplots(2, 1, height_ratios=[1.25, 1.0])
        most = draw_roads(figure, left, eq, pie_radius=10.0, bar="bottom" if wide else "top")
        draw_feeder(figure, right, eq, color=color)
        _couple(figure, left, right, eq)
        run = f"{eq.scenario.name} {STATES[eq.scenario.v2g]}"
        if wide:
            left.set_title("Road network")
            right.set_title(f"Feeder: {run}")
        else:
            figure.suptitle(run, x=0.02, ha="left", fontsize=7, fontweight="bold")
        legend(figure, pie_handles(most), 2, "upper" if wide else "lower")
    return figure


def _couple(figure: Figure, left: Axes, right: Axes, eq: Point) -> None:
    """Curves from stations' road nodes to their buses, and the stations' names at the buses."""
    nodes = node_positions(eq.scenario.case.road)
    buses = bus_positions(eq.scenario.case.feeder.buses)
    for name, row in eq.scenario.stations.iterrows():
        node, bus = nodes[str(row["road_node"])], buses[str(row["bus"])]
        # behind both networks
        look: Any = {"color": "#56708A", "linewidth": 0.6, "linestyle": (0, (4, 2)), "zorder": -1}
        link = ConnectionPatch(node, bus, "data", "data", axesA=left, axesB=right, **look)
        link.set_in_layout(False)
        figure.add_artist(link)
        right.scatter(
            *bus, s=26, marker="D", facecolor="none", edgecolor=INK, linewidths=0.8, zorder=6
        )
        note(
            right,
            str(name),
            bus,
            (4, -4),
            ha="left",
            va="top",
            zorder=8,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4},
        )
