"""The road network: a quiet base map, and flow against capacity."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Wedge
from matplotlib.transforms import Affine2D, ScaledTranslation

from v2geq.arrays import BoolArray, FloatArray
from v2geq.plots.limits import hollow_mark, mark_stations
from v2geq.plots.positions import Place, has_places, node_positions, shape
from v2geq.plots.runs import run_name
from v2geq.plots.style import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    is_wide,
    legend,
    new_figure,
    note,
    number,
    quantity_handles,
    style,
)
from v2geq.roads.graph import Graph

if TYPE_CHECKING:
    from v2geq.data.model.road import RoadNetwork
    from v2geq.results.point import Point

SIDE = 0.008
"""Distance of an arc from the middle of the road, to the right of its direction."""


NODE = 64.0
"""Area of a node's disc, points squared."""

MOST_NAMES = 60
"""Nodes up to which they are named."""

ROOM = 25.0
"""Space per node, points, below which lines become thinner."""


def road_colours() -> Colormap:
    """Light to dark for flow over capacity; the palest part is left out."""
    return ListedColormap(colormaps["YlOrBr"](np.linspace(0.18, 1.0, 256)), name="roads")


def roads(eq: Point, *, width_mm: float = 89.0) -> Figure:
    """Flow over capacity of every arc, and what the stations charge and discharge."""
    with style():
        ratio = shape(node_positions(eq.scenario.case.road))
        figure = new_figure(width_mm, min(max(ratio, 0.35), 0.9) * width_mm + 24.0)
        axes = figure.add_subplot()
        handles = draw_roads(figure, axes, eq, radius=min(0.09 * width_mm, 12.0))
        axes.set_title(run_name(eq))
        legend(figure, handles, 3 if is_wide(width_mm) else 2)
    return figure


def draw_roads(
    figure: Figure, axes: Axes, eq: Point, *, radius: float, bar: str = "bottom"
) -> list[Artist]:
    """Flow over capacity of every arc, what the stations charge and discharge; the legend.

    Parameters
    ----------
    radius
        That of the ring of the busiest station, points.
    bar
        Side of the colour bar.
    """
    road = eq.scenario.case.road
    place = node_positions(road)
    ratio = eq.data["volume_capacity"].to_numpy()
    draw_arcs(figure, axes, road, place, ratio, plain=~congestible(road), bar=bar)
    most = draw_rings(
        axes,
        place,
        [str(n) for n in eq.scenario.stations["road_node"]],
        np.maximum(eq.data["discharge_kw"].to_numpy(), 0.0),
        np.maximum(eq.data["charge_kw"].to_numpy(), 0.0),
        radius,
    )
    idle = int((eq.data["charge_kw"] + eq.data["discharge_kw"] <= 1e-3 * most).sum())
    scale = f"(largest ring {number(most)} kW)" if most > 0 else "(all stations idle)"
    words = {"charge": "charging", "discharge": f"discharging  {scale}"}
    handles: list[Artist] = [*quantity_handles(words)]
    if most > 0 and idle:
        handles.append(hollow_mark(f"idle station ({idle})", "o", 6.0, markeredgewidth=1.1))
    return handles + mark_stations(axes, eq, place, 2.0 * radius + 3.0)


def tell_layout(axes: Axes, road: RoadNetwork) -> None:
    """Say so where the positions of nodes are computed, for want of coordinates."""
    if not has_places(road):
        text, middle = "positions computed: no coordinates", (0.5, 0.0)
        note(axes, text, middle, (0, -1), where="axes fraction", va="top", colour=MUTED)


def congestible(road: RoadNetwork) -> BoolArray:
    """(arc,) whether flow changes the travel time and through traffic may use the arc.

    The others are zone connectors: their capacity means nothing.
    """
    from v2geq.roads.delay import delay_arrays
    from v2geq.roads.kernels.delay import times_and_slopes

    graph, delay = Graph.from_road(road), delay_arrays(road)
    slope = times_and_slopes(delay, delay.capacity.copy())[1]
    out: BoolArray = graph.through[graph.tail] & graph.through[graph.head] & (slope > 0.0)
    return out


def draw_arcs(
    figure: Figure,
    axes: Axes,
    road: RoadNetwork,
    place: Mapping[str, Place],
    values: FloatArray,
    *,
    plain: BoolArray,
    norm: Normalize | None = None,
    label: str = "Flow / capacity (-)",
    bar: str = "bottom",
) -> None:
    """Roads and nodes: arcs as lines on the right of the road, width and colour by value.

    Parameters
    ----------
    values
        (arc,) zero or more.
    plain
        (arc,) drawn thin and grey, whatever the value.
    norm
        Scale of the values; by default from 0 to the next half, at least to 1.
    label, bar
        Text of the colour bar, and its side.
    """
    lines = arc_lines(road, place)
    size = 72.0 * float((figure.get_size_inches() * axes.get_position().size).min())
    thin = min(1.0, size / (ROOM * np.sqrt(len(place))))
    add_lines(axes, lines[plain], colors=FAINT, linewidths=0.5 * thin, zorder=1)
    if norm is None:
        top = float(np.ceil(2.0 * values[~plain].max(initial=0.0)) / 2.0)
        norm = Normalize(0.0, max(top, 1.0))
    order = np.flatnonzero(~plain)[np.argsort(values[~plain])]
    widths = thin * (0.5 + 2.2 * norm(values[order]))
    shade = {"array": values[order], "cmap": road_colours(), "norm": norm}
    add_lines(axes, lines[order], **shade, linewidths=widths, capstyle="round", zorder=2)
    draw_nodes(axes, place)
    tell_layout(axes, road)
    frame(axes, place)
    colour_bar(figure, axes, ScalarMappable(norm, road_colours()), label, bar)


def colour_bar(
    figure: Figure,
    axes: Axes,
    colours: ScalarMappable,
    label: str,
    side: Any,
    shape: tuple[float, float] = (30.0, 0.8),
) -> Colorbar:
    """Colour bar beside the axes; `shape` is its aspect, and its length as a share of theirs."""
    aspect, shrink = shape
    place: Any = {"location": side, "fraction": 0.04, "pad": 0.02}
    bar = figure.colorbar(colours, ax=axes, aspect=aspect, shrink=shrink, label=label, **place)
    bar.outline.set_linewidth(0.0)
    return bar


def add_lines(axes: Axes, segments: Iterable[Any], **style: Any) -> None:
    """Many lines at once."""
    axes.add_collection(LineCollection(list(segments), **style))


def arc_lines(road: RoadNetwork, place: Mapping[str, Place]) -> FloatArray:
    """(arc, 2, 2) first and last point of every arc, moved to the right of the road."""
    start, end = (
        np.array([place[str(n)] for n in road.arcs[c]]).reshape(-1, 2)
        for c in ("from_node", "to_node")
    )
    along = end - start
    length = np.hypot(*along.T)[:, None]
    # closer to the middle of the road where roads are many
    side = SIDE * min(1.0, np.sqrt(MOST_NAMES / len(place)))
    aside = side * along[:, ::-1] * (1.0, -1.0) / np.where(length > 0.0, length, 1.0)
    lines: FloatArray = np.stack((start + aside, end + aside), axis=1)
    return lines


def base_map(axes: Axes, eq: Point, named: Collection[str]) -> Mapping[str, Place]:
    """Roads in grey and nodes, with names but for those `named` elsewhere; their positions."""
    place = node_positions(eq.scenario.case.road)
    graph = eq.coupled.traffic.graph
    ends = {
        tuple(sorted((graph.nodes[t], graph.nodes[h])))
        for t, h in zip(graph.tail, graph.head, strict=True)
    }
    add_lines(axes, ([place[a], place[b]] for a, b in sorted(ends)), colors=FAINT, zorder=1)
    draw_nodes(axes, place, named)
    tell_layout(axes, eq.scenario.case.road)
    frame(axes, place)
    return place


def draw_nodes(axes: Axes, place: Mapping[str, Place], named: Collection[str] = ()) -> None:
    """Nodes as white discs with their name, but for those `named` elsewhere; or many as dots."""
    x, y = zip(*place.values(), strict=True)
    if len(place) > MOST_NAMES:
        area = 2.0 * MOST_NAMES / len(place)
        axes.scatter(x, y, s=area, color=MUTED, linewidths=0, zorder=3)
        return
    axes.scatter(x, y, s=NODE, facecolor="white", edgecolor=MUTED, linewidths=0.5, zorder=3)
    for name, at in place.items():
        if name not in named:
            node_name(axes, name, at)


def node_name(axes: Axes, name: str, at: Place, colour: str = INK, zorder: float = 3.5) -> None:
    """Name of a node in its disc."""
    note(axes, name, at, (0.0, -0.5), va="center", colour=colour, zorder=zorder)


def frame(axes: Axes, place: Mapping[str, Place], margin: float = 0.05) -> None:
    """Limits around the nodes, equal scales, no axes."""
    x, y = (np.array([p[i] for p in place.values()]) for i in (0, 1))
    axes.set_xlim(x.min() - margin, x.max() + margin)
    axes.set_ylim(y.min() - margin, y.max() + margin)
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw_rings(
    axes: Axes,
    place: Mapping[str, Place],
    nodes: Sequence[str],
    first: FloatArray,
    second: FloatArray,
    size: float,
    colours: tuple[str, str] = (COLOURS["discharge"], COLOURS["charge"]),
) -> float:
    """Two amounts at nodes as rings round their discs, area by their sum; the largest sum.

    The largest has radius `size` (points). A node without either is circled.
    """
    total = first + second
    most = float(total.max()) if len(total) else 0.0
    # nodes without names have no disc to go round
    inner = 0.5 * np.sqrt(NODE) if len(place) <= MOST_NAMES else 0.0
    for k in np.argsort(-total):
        at = place[nodes[k]]
        if total[k] <= 1e-3 * most:
            axes.scatter(*at, s=NODE, facecolor="none", edgecolor=INK, linewidths=1.1, zorder=5)
            continue
        radius = float(np.sqrt(inner**2 + (size**2 - inner**2) * total[k] / most))
        ring(axes, at, (inner, radius), 90.0 + 360.0 * float(first[k] / total[k]), colours)
    return most


def ring(
    axes: Axes, at: Place, radii: tuple[float, float], turn: float, colours: tuple[str, str]
) -> None:
    """First colour from the top anticlockwise to angle `turn`, then the second; radii, points."""
    figure = axes.figure
    in_data: Any = axes.transData  # declared for affine transforms, made for any
    where = (
        Affine2D().scale(1.0 / 72.0)
        + figure.dpi_scale_trans
        + ScaledTranslation(at[0], at[1], in_data)
    )
    inner, outer = radii
    for colour, start, end in zip(colours, (90.0, turn), (turn, 450.0), strict=True):
        if end - start > 0.5:
            # behind the nodes, so that no ring hides the name of another
            look: Any = {"edgecolor": "white", "linewidth": 0.4, "zorder": 2.8, "clip_on": False}
            at_zero = {"transform": where, "facecolor": colour, "width": outer - inner, **look}
            axes.add_artist(Wedge((0.0, 0.0), outer, start, end, **at_zero))
