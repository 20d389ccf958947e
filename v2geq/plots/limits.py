"""Marks of what binds, on maps: line ratings, voltage limits and limits of stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from v2geq.plots.style import INK

if TYPE_CHECKING:
    from v2geq.plots.feeder_view import FeederView
    from v2geq.plots.positions import Place
    from v2geq.results.point import Point

HOLLOW: Mapping[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "color": INK}
BAR: Mapping[str, Any] = {"linestyle": "none", "color": INK, "markeredgewidth": 2.2}
CLOSE = 1e-6
"""Distance of a station from its limit, as a share of the power scale, at which it is there."""


def full_stations(eq: Point) -> list[str]:
    """Stations whose net withdrawal is at a limit that leaves them some trade."""
    stations, close = eq.scenario.stations, CLOSE * eq.scenario.power_scale
    net = (eq.data["charge_kw"] - eq.data["discharge_kw"]).to_numpy()
    most, least = (stations[f"{k}_max_kw"].to_numpy(dtype=float) for k in ("charge", "discharge"))
    full = ((most > 0) & (net >= most - close)) | ((least > 0) & (net <= close - least))
    return [str(s) for s in stations.index[full]]


def mark_feeder(
    axes: Axes, view: FeederView, place: Mapping[str, Place], lines: Mapping[str, Sequence[Place]]
) -> list[Line2D]:
    """Bars across lines whose rating binds, triangles at buses at a voltage limit; the legend."""
    binding, limits = view.binding, view.network.limits
    for name in binding.lines:
        (x0, y0), (x1, y1) = lines[name]
        across = MarkerStyle("|").rotated(deg=float(np.degrees(np.arctan2(y1 - y0, x1 - x0))))
        bar: Any = {**BAR, "marker": across, "zorder": 6.5}
        halo: Any = {**bar, "color": "white", "markeredgewidth": 4.0, "zorder": 6.4}
        for look, size in ((halo, 10.0), (bar, 9.0)):
            axes.plot((x0 + x1) / 2, (y0 + y1) / 2, markersize=size, **look)
    found = []
    if binding.lines:
        found.append(hollow_mark(f"line rating binds ({len(binding.lines)})", "|", 7.0, **BAR))
    for word, bound, marker, buses in (
        ("lowest", limits.vmin, "v", binding.lowest),
        ("highest", limits.vmax, "^", binding.highest),
    ):
        if buses:
            x, y = zip(*(place[b] for b in buses), strict=True)
            axes.plot(x, y, marker=marker, markersize=9.0, zorder=6.5, **HOLLOW)
            found.append(hollow_mark(f"{word} voltage {bound:g} pu ({len(buses)})", marker, 6.0))
    return found or [hollow_mark("no limit of the feeder binds", "", 0.0)]


def mark_stations(axes: Axes, eq: Point, place: Mapping[str, Place], size: float) -> list[Line2D]:
    """Squares of `size` points around stations at a limit; the legend."""
    names = full_stations(eq)
    if not names:
        return []
    x, y = zip(*(place[str(n)] for n in eq.scenario.stations.loc[names, "road_node"]), strict=True)
    axes.plot(x, y, marker="s", markersize=size, zorder=6.5, clip_on=False, **HOLLOW)
    return [hollow_mark(f"station at its limit ({len(names)})", "s", 6.0)]


def hollow_mark(text: str, marker: str, size: float, **look: Any) -> Line2D:
    """Legend entry of a hollow marker."""
    return Line2D([], [], marker=marker, markersize=size, label=text, **{**HOLLOW, **look})
