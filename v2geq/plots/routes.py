"""Routes of one OD pair on the map, and the battery along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.plots.positions import Place, node_positions, shape
from v2geq.plots.roads import NODE, base_map, node_name
from v2geq.plots.runs import Runs, as_runs, run_name
from v2geq.plots.style import (
    COLOURS,
    MUTED,
    PAGE_MM,
    STATES,
    edge,
    is_wide,
    mix,
    new_figure,
    note,
    style,
    two_line_title,
)
from v2geq.results.names import Ends, Pair, od_pair

if TYPE_CHECKING:
    from v2geq.results.point import Point
    from v2geq.trips.paths import Path

ROUTE = "#333333"
STOPS = {"C": ("charge", "^"), "D": ("discharge", "v")}
"""Kind of a stop -> quantity, marker."""


def electric_pairs(eq: Point) -> list[Pair]:
    """OD pairs of electric vehicles."""
    traffic = eq.coupled.traffic
    return list(dict.fromkeys(od for k in traffic.electric for od in traffic.od_names(k)))


def telling_pair(eq: Point) -> Pair:
    """The OD pair to look at: most trips that discharge, then that charge, then most trips.

    Raises
    ------
    DataError
        There are no electric trips.
    """
    flows, counts = eq.path_flows, dict[Pair, FloatArray]()
    traffic = flows.coupled.traffic
    for name in traffic.electric:
        paths, flow = traffic.paths[name], flows.least_squares[name]
        stops = (paths.discharged_kwh > 0, paths.charged_kwh > 0)
        by_pair = [paths.od_incidence @ (flow * kind) for kind in stops]
        # less than a thousandth of a vehicle is the choice of a path flow
        amounts = np.round([*by_pair, traffic.demand[name]], 3).T
        for od, own in zip(traffic.od_names(name), amounts, strict=True):
            counts[od] = counts.get(od, 0.0) + own
    if not counts:
        raise DataError("there are no electric trips", advice="draw another figure")
    # of pairs with equal counts the first
    return max(counts, key=lambda od: tuple(counts[od]))


def route_table(eq: Point, od: Ends) -> pd.DataFrame:
    """Used paths of an OD pair of electric vehicles, the one with the most vehicles first.

    Columns class, path (position in its class), route, pattern, flow_veh_h (least squares),
    share, cost, length_km, charge_kwh, discharge_kwh.

    Raises
    ------
    DataError
        No electric vehicles travel between the two nodes.
    """
    pair = _known(eq, od)
    parts = []
    for name in eq.coupled.traffic.electric:
        table = eq.paths(name)
        table.insert(0, "class", name)
        table.insert(1, "path", range(len(table)))
        parts.append(table[(table["origin"] == pair[0]) & (table["destination"] == pair[1])])
    table = pd.concat(parts).rename_axis("route").reset_index()
    flow = table["flow_least_squares_veh_h"]
    table["flow_veh_h"] = flow
    table["share"] = flow / flow.sum()
    columns = [
        "class",
        "path",
        "route",
        "pattern",
        "flow_veh_h",
        "share",
        "cost",
        "length_km",
        "charge_kwh",
        "discharge_kwh",
    ]
    used = table.loc[table["share"] > 1e-6, columns]
    return used.sort_values("flow_veh_h", ascending=False, kind="stable", ignore_index=True)


def battery_table(eq: Point, name: str, path: int) -> pd.DataFrame:
    """Battery along a path: columns node, km, kwh and stop ('', 'C' or 'D').

    A stop has two rows, before and after it.
    """
    traffic = eq.path_flows.coupled.traffic
    graph, chosen, rules = traffic.graph, traffic.paths[name][path], traffic.rules(name)
    stops = {s.after: [t for t in chosen.stops if t.after == s.after] for s in chosen.stops}
    level, km = rules.start, 0.0
    rows: list[tuple[str, float, float, str]] = []
    for k, node in enumerate(path_nodes(eq, chosen)):
        if k:
            length = float(graph.length_km[chosen.arcs[k - 1]])
            km += length
            level -= rules.consumption * length
        rows.append((node, km, level, ""))
        for stop in stops.get(k, []):
            level += stop.energy_kwh if stop.kind == "C" else -stop.energy_kwh
            rows.append((node, km, level, stop.kind))
    return pd.DataFrame(rows, columns=["node", "km", "kwh", "stop"])


def path_nodes(eq: Point, path: Path) -> list[str]:
    """Names of the nodes of a path in travel order."""
    graph = eq.coupled.traffic.graph
    first = [graph.nodes[graph.tail[path.arcs[0]]]] if path.arcs else []
    return first + [graph.nodes[graph.head[a]] for a in path.arcs]


def route(
    eq: Point,
    od: Ends | None = None,
    *,
    width_mm: float = 89.0,
) -> Figure:
    """Route with the most electric vehicles of an OD pair, and the battery along it.

    Other routes in use are drawn thin. Without a pair given, that of `telling_pair`.

    Raises
    ------
    DataError
        No electric vehicles travel between the two nodes.
    """
    pair = telling_pair(eq) if od is None else _known(eq, od)
    with style():
        # at most as high as wide: the map, and below it the battery
        heights = [min(max(shape(node_positions(eq.scenario.case.road)), 0.15), 0.9), 0.3]
        figure = new_figure(width_mm, sum(heights) * width_mm + 16.0)
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        _draw(upper, lower, eq, pair, run_name(eq))
    return figure


def routes(
    equilibria: Runs | Sequence[Point],
    *,
    scenario: str | None = None,
    od: Ends | None = None,
    width_mm: float = PAGE_MM,
) -> Figure:
    """Dominant routes of an OD pair without and with V2G, side by side.

    Parameters
    ----------
    scenario
        By default the last one with both runs.
    od
        OD pair, as ``(1, 20)`` or ``"1-20"``; by default that of `telling_pair` with V2G.

    Raises
    ------
    DataError
        A run that is missing, or an OD pair without electric vehicles.
    """
    runs = as_runs(equilibria)
    if scenario is None:
        scenario = runs.pairs()[-1]
    pair_of = [runs.get(scenario, v2g) for v2g in STATES]
    pair = telling_pair(pair_of[1]) if od is None else _known(pair_of[1], od)
    wide = is_wide(width_mm)
    with style():
        figure = new_figure(width_mm, 108 if wide else 128)
        if wide:
            grid = figure.subplots(2, 2, height_ratios=[2.6, 1.0])
            maps, batteries = grid[0], grid[1]
        else:
            grid = figure.subplots(2, 2, width_ratios=[1.2, 1.0])
            maps, batteries = grid[:, 0], grid[:, 1]
            for axes in batteries:
                # leaves room beside the text above the map
                axes.set_box_aspect(1.25)
        for i, eq in enumerate(pair_of):
            _draw(maps[i], batteries[i], eq, pair, f"{'ab'[i]}  {run_name(eq)}")
        _same_limits(batteries[0], batteries[1])
        if wide:
            batteries[1].set_ylabel("")
            batteries[1].tick_params(labelleft=False)
    return figure


def _known(eq: Point, od: Ends) -> Pair:
    return od_pair(od, electric_pairs(eq), "electric vehicles")


def _draw(upper: Axes, lower: Axes, eq: Point, pair: Pair, title: str) -> None:
    table = route_table(eq, pair)
    first, *others = table.to_dict("records")
    name, position = str(first["class"]), int(first["path"])
    profile = battery_table(eq, name, position)
    # the energies are in the panel of the battery
    marks = dict.fromkeys(pair, (ROUTE, NODE))
    for node, stop in zip(profile["node"], profile["stop"], strict=True):
        if stop:
            marks[node] = (COLOURS[STOPS[stop][0]], 1.3 * NODE)
    place = base_map(upper, eq, marks)
    paths = eq.path_flows.coupled.traffic.paths
    for row in others:
        nodes = path_nodes(eq, paths[str(row["class"])][int(row["path"])])
        _line(upper, place, nodes, mix(ROUTE, 0.45), 1.0, arrows=False)
    nodes = path_nodes(eq, paths[name][position])
    _line(upper, place, nodes, ROUTE, 2.4, arrows=True)
    for node, (colour, size) in marks.items():
        _mark(upper, place, node, colour, size)
    _battery(lower, eq, name, profile)
    share = f"{100 * float(first['share']):.0f} % of trips {'-'.join(pair)}"
    if others:
        share += " (thin: the others)"
    cost = float(first["cost"])
    text = f"{'-'.join(nodes)}, {float(first['length_km']):g} km\n{share}, {cost:,.2f} "
    text += eq.scenario.case.currency
    two_line_title(upper, title, text)


def _line(
    axes: Axes,
    place: Mapping[str, Place],
    nodes: Sequence[str],
    colour: str | tuple[float, float, float],
    width: float,
    *,
    arrows: bool,
) -> None:
    xy = np.array([place[n] for n in nodes])
    axes.plot(
        xy[:, 0],
        xy[:, 1],
        color=colour,
        linewidth=width,
        solid_joinstyle="round",
        solid_capstyle="round",
        zorder=2.2 if arrows else 2.0,
    )
    if not arrows:
        return
    for a, b in pairwise(xy):
        axes.add_patch(
            FancyArrowPatch(
                tuple(a + 0.45 * (b - a)),
                tuple(a + 0.62 * (b - a)),
                arrowstyle="-|>,head_length=0.5,head_width=0.3",
                mutation_scale=11,
                linewidth=0.0,
                facecolor=colour,
                zorder=2.4,
            )
        )


def _mark(axes: Axes, place: Mapping[str, Place], node: str, colour: str, size: float) -> None:
    """A node as a disc of a colour, its name in white."""
    axes.scatter(*place[node], s=size, facecolor=colour, edgecolor="white", zorder=4)
    node_name(axes, node, place[node], "white", zorder=4.5)


def _battery(axes: Axes, eq: Point, name: str, profile: pd.DataFrame) -> None:
    rules = eq.coupled.traffic.rules(name)
    axes.plot(profile["km"], profile["kwh"], color=ROUTE, linewidth=1.2, zorder=3)
    km, kwh, stops = (profile[c].to_list() for c in ("km", "kwh", "stop"))
    for k, stop in enumerate(stops):
        if not stop:
            continue
        quantity, marker = STOPS[stop]
        axes.plot(
            [km[k], km[k]],
            [kwh[k - 1], kwh[k]],
            color=COLOURS[quantity],
            linewidth=2.4,
            zorder=4,
        )
        axes.plot(km[k], kwh[k], marker=marker, markersize=4, color=COLOURS[quantity], zorder=5)
        step = kwh[k] - kwh[k - 1]
        # where the line is not: below the foot of a charge, right of the head of a discharge
        above = step < 0
        note(
            axes,
            f"{'+' if step > 0 else '−'}{abs(step):.3g} kWh\nat {profile['node'].iloc[k]}",
            (km[k], kwh[k - 1]),
            (1, 2) if above else (0, -3),
            ha="left" if above else "center",
            va="bottom" if above else "top",
            colour=edge(quantity),
            linespacing=1.1,
        )
    for level, text in ((rules.reserve, "reserve"), (rules.battery, "full")):
        axes.axhline(level, color=MUTED, linewidth=0.6, dashes=(4, 2), zorder=1)
        note(
            axes,
            text,
            (1.0, level),
            (0, 1.5),
            where=("axes fraction", "data"),
            ha="right",
            va="baseline",
            colour=MUTED,
        )
    axes.set_ylim(0.0, rules.battery * 1.16)
    axes.set_xlim(0.0, float(profile["km"].max()) * 1.02)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("Distance (km)")
    axes.set_ylabel("Battery (kWh)")


def _same_limits(first: Axes, second: Axes) -> None:
    for axis in ("x", "y"):
        ends = [getattr(a, f"get_{axis}lim")() for a in (first, second)]
        for a in (first, second):
            getattr(a, f"set_{axis}lim")(min(e[0] for e in ends), max(e[1] for e in ends))
