"""The road network: a quiet base map, and flow against capacity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Wedge
from matplotlib.transforms import Affine2D, ScaledTranslation

from v2geq.plots.positions import Point, node_positions
from v2geq.plots.style import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    new_figure,
    number,
    quantity_handles,
    style,
)

if TYPE_CHECKING:
    from v2geq.equilibrium import Equilibrium

SIDE = 0.008
"""Distance of an arc from the middle of the road, to the right of its direction."""


NODE = 64.0
"""Area of a node's disc, points squared."""

MOST_NAMES = 60
"""Nodes up to which they are named."""


def road_colours() -> Colormap:
    """Light to dark for flow over capacity; the palest part is left out."""
    return ListedColormap(colormaps["YlOrBr"](np.linspace(0.18, 1.0, 256)), name="roads")


def roads(eq: Equilibrium, *, width_mm: float = 89.0) -> Figure:
    """Flow over capacity of every arc, and what the stations charge and discharge."""
    with style():
        figure = new_figure(width_mm, 1.05 * width_mm)
        axes = figure.add_subplot()
        most = draw_roads(figure, axes, eq, pie_radius=0.09 * width_mm)
        figure.legend(handles=pie_handles(most), loc="outside upper center", ncols=2)
    return figure


def draw_roads(
    figure: Figure, axes: Axes, eq: Equilibrium, *, pie_radius: float, bar: str = "bottom"
) -> float:
    """Arcs as lines whose width and colour are flow over capacity, on the right of the road.

    Parameters
    ----------
    pie_radius
        Radius of the pie of the busiest station, points.
    bar
        Side of the colour bar.

    Returns
    -------
    Energy of that pie, kW.
    """
    place = node_positions(eq.scenario.case.road.nodes)
    graph = eq.coupled.traffic.graph
    ratio = eq.data["volume_capacity"].to_numpy()
    lines = [
        _beside(place[graph.nodes[t]], place[graph.nodes[h]])
        for t, h in zip(graph.tail, graph.head, strict=True)
    ]
    top = max(float(np.ceil(2.0 * ratio.max()) / 2.0), 1.0) if len(ratio) else 1.0
    norm = Normalize(0.0, top)
    order = np.argsort(ratio)
    axes.add_collection(
        LineCollection(
            [lines[k] for k in order],
            array=ratio[order],
            cmap=road_colours(),
            norm=norm,
            linewidths=0.5 + 2.2 * ratio[order] / top,
            capstyle="round",
            zorder=2,
        )
    )
    draw_nodes(axes, place)
    most = draw_pies(axes, eq, place, pie_radius)
    frame(axes, place)
    colorbar = figure.colorbar(
        ScalarMappable(norm, road_colours()),
        ax=axes,
        location=bar,
        fraction=0.04,
        pad=0.02,
        aspect=30,
        shrink=0.8,
        label="Flow / capacity (-)",
    )
    colorbar.outline.set_linewidth(0.0)
    return most


def base_map(axes: Axes, eq: Equilibrium) -> Mapping[str, Point]:
    """Roads in grey with numbered nodes; the positions of the nodes."""
    place = node_positions(eq.scenario.case.road.nodes)
    graph = eq.coupled.traffic.graph
    ends = {
        tuple(sorted((graph.nodes[t], graph.nodes[h])))
        for t, h in zip(graph.tail, graph.head, strict=True)
    }
    axes.add_collection(
        LineCollection([[place[a], place[b]] for a, b in sorted(ends)], colors=FAINT, zorder=1)
    )
    draw_nodes(axes, place)
    frame(axes, place)
    return place


def draw_nodes(axes: Axes, place: Mapping[str, Point]) -> None:
    """Nodes as white discs with their name; dots where there are too many to read."""
    x, y = zip(*place.values(), strict=True)
    if len(place) > MOST_NAMES:
        axes.scatter(x, y, s=2, color=MUTED, linewidths=0, zorder=3)
        return
    axes.scatter(
        x,
        y,
        s=NODE,
        facecolor="white",
        edgecolor=MUTED,
        linewidths=0.5,
        zorder=3,
    )
    for name, at in place.items():
        node_name(axes, name, at)


def node_name(
    axes: Axes,
    name: str,
    at: Point,
    colour: str = INK,
    zorder: float = 3.5,
    offset: Point = (0.0, 0.0),
) -> None:
    """Name of a node in its disc, or `offset` points from its middle."""
    axes.annotate(
        name,
        at,
        # digits have no descent, so their middle lies above that of the text
        xytext=(offset[0], offset[1] - 0.5),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=6,
        color=colour,
        zorder=zorder,
    )


def frame(axes: Axes, place: Mapping[str, Point], margin: float = 0.05) -> None:
    """Limits around the nodes, equal scales, no axes."""
    x, y = (np.array([p[i] for p in place.values()]) for i in (0, 1))
    axes.set_xlim(x.min() - margin, x.max() + margin)
    axes.set_ylim(y.min() - margin, y.max() + margin)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _beside(start: Point, end: Point) -> list[Point]:
    """Line from `start` to `end`, moved to the right."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy)) or 1.0
    ox, oy = SIDE * dy / length, -SIDE * dx / length
    return [(start[0] + ox, start[1] + oy), (end[0] + ox, end[1] + oy)]


def draw_pies(axes: Axes, eq: Equilibrium, place: Mapping[str, Point], size: float) -> float:
    """Stations as pies of charge and discharge at their nodes, area by energy.

    The largest has radius `size` (points); its energy, kW. An idle station is a thick ring.
    """
    charge, discharge = eq.data["charge_kw"].to_numpy(), eq.data["discharge_kw"].to_numpy()
    charge, discharge = np.maximum(charge, 0.0), np.maximum(discharge, 0.0)
    total = charge + discharge
    most = float(total.max()) if len(total) else 0.0
    nodes = [str(n) for n in eq.scenario.stations["road_node"]]
    for k in np.argsort(-total):
        at = place[nodes[k]]
        if total[k] <= 1e-3 * most:
            axes.scatter(*at, s=NODE, facecolor="none", edgecolor=INK, linewidths=1.1, zorder=5)
            continue
        radius = size * float(np.sqrt(total[k] / most))
        pie(axes, at, radius, 90.0 + 360.0 * float(discharge[k] / total[k]))
        if len(place) <= MOST_NAMES:
            # the pie covers the name in the node's disc; a small one has no room for it
            inside = radius > 4.5
            if not inside:
                axes.scatter(*at, s=1.05 * NODE, color="white", linewidths=0, zorder=3.7)
            node_name(
                axes,
                nodes[k],
                at,
                "white" if inside else INK,
                zorder=6,
                offset=(0.0, 0.0) if inside else (-6.5, 4.0),
            )
    return most


def pie(axes: Axes, at: Point, radius: float, turn: float, zorder: float = 4.0) -> None:
    """Discharge from the top anticlockwise to angle `turn`, charge from there; radius in points."""
    figure = axes.figure
    in_data: Any = axes.transData  # declared for affine transforms, made for any
    where = (
        Affine2D().scale(1.0 / 72.0)
        + figure.dpi_scale_trans
        + ScaledTranslation(at[0], at[1], in_data)
    )
    for quantity, start, end in (("discharge", 90.0, turn), ("charge", turn, 450.0)):
        if end - start > 0.5:
            axes.add_artist(
                Wedge(
                    (0.0, 0.0),
                    radius,
                    start,
                    end,
                    transform=where,
                    facecolor=COLOURS[quantity],
                    edgecolor="white",
                    linewidth=0.4,
                    zorder=zorder,
                    clip_on=False,
                )
            )


def pie_handles(most: float) -> list[Patch]:
    """Legend of the pies, with the energy of the largest."""
    scale = f"(largest pie {number(most)} kW)" if most > 0 else "(all stations idle)"
    return quantity_handles({"charge": "charging", "discharge": f"discharging  {scale}"})
