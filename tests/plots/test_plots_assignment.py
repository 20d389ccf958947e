"""Figures of an assignment: what the lines, pies and points are, and messages."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, Wedge

import v2geq as vg
from v2geq.analysis.validation import braess
from v2geq.data.model.road import RoadNetwork
from v2geq.errors import DataError
from v2geq.plots import COLUMN_MM, PAGE_MM
from v2geq.plots.assignment import ENDS
from v2geq.plots.positions import node_positions
from v2geq.plots.roads import arc_lines, congestible

LINK = "10-15"

COMPUTED = "positions computed: no coordinates"


@pytest.fixture(scope="module")
def road():
    return vg.load_case("ieee123_sioux_falls").road


@pytest.fixture(scope="module")
def result(road):
    return vg.assign(road, road.trips, gap=1e-10)


def lines(figure):
    """Collections of grey and of coloured arcs."""
    found = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    return (
        next(c for c in found if c.get_array() is None),
        next(c for c in found if c.get_array() is not None),
    )


def written(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def grid(side: int) -> vg.Assignment:
    """Square grid whose corners are joined to zones by arcs of constant time."""
    names = [f"{i},{j}" for i in range(side) for j in range(side)]
    xy = {n: tuple(map(float, n.split(","))) for n in names}
    xy |= {"west": (-1.0, 0.0), "east": (float(side), float(side))}
    steps = ((1, 0), (0, 1), (-1, 0), (0, -1))
    ends = [
        (n, m)
        for n in names
        for m in (f"{int(xy[n][0]) + i},{int(xy[n][1]) + j}" for i, j in steps)
        if m in xy
    ]
    last = f"{side - 1},{side - 1}"
    connectors = [("west", "0,0"), ("0,0", "west"), (last, "east"), ("east", last)]
    arcs = pd.DataFrame(ends + connectors, columns=["from_node", "to_node"])
    arcs.index = pd.Index(arcs["from_node"] + "-" + arcs["to_node"], name="arc")
    arcs = arcs.assign(capacity_veh_h=100.0, length_km=1.0, bpr_b=0.15, bpr_power=4.0)
    arcs["free_flow_min"] = [1.0] * len(ends) + [0.0] * len(connectors)
    nodes = pd.DataFrame.from_dict(xy, orient="index", columns=["x", "y"])
    trips = pd.DataFrame({"origin": ["west"], "destination": ["east"], "trips_veh_h": [300.0]})
    return vg.assign(RoadNetwork("grid", nodes, arcs, trips, "a grid"), trips)


@pytest.mark.parametrize("width", [COLUMN_MM, PAGE_MM])
def test_figures_have_their_width_and_readable_text(result, width):
    for name in result.plot.names():
        figure = getattr(result.plot, name)(
            *((LINK,) if name == "select_link" else ()), width_mm=width
        )
        assert figure.get_size_inches()[0] * 25.4 == pytest.approx(width)
        figure.draw_without_rendering()
        sizes = {t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_text().strip()}
        assert min(sizes) >= 6


def test_roads_colours_are_flow_over_capacity(result):
    grey, coloured = lines(result.plot.roads())
    want = np.sort(result.flow.to_numpy() / result.problem.road.arcs["capacity_veh_h"].to_numpy())
    np.testing.assert_allclose(coloured.get_array(), want)
    assert (np.diff(coloured.get_linewidths()) >= 0).all()
    assert not grey.get_segments()


def test_arcs_lie_on_the_right_of_the_road(road):
    place = node_positions(road)
    for (start, end), (tail, head) in zip(
        arc_lines(road, place), road.arcs[["from_node", "to_node"]].to_numpy(), strict=True
    ):
        along, aside = np.subtract(place[head], place[tail]), start - place[tail]
        assert along[0] * aside[1] - along[1] * aside[0] < 0
        np.testing.assert_allclose(end - start, along)


def test_many_nodes_have_thin_lines_no_names_and_grey_connectors():
    result = grid(9)
    figure = result.plot.roads()
    grey, coloured = lines(figure)
    assert len(grey.get_segments()) == 4
    assert to_hex(grey.get_color()[0]) == "#c8c8c8"
    assert max(coloured.get_linewidths()) < 2.7
    assert not figure.axes[0].texts
    result.plot.select_link("0,0-1,0").draw_without_rendering()


def test_zones_that_no_route_passes_make_connectors(road):
    nodes = road.nodes.assign(through=road.nodes.index != "1")
    closed = dataclasses.replace(road, nodes=nodes)
    names = road.arcs.index[~congestible(closed)]
    assert set(names) == {"1-2", "2-1", "1-3", "3-1"}


def test_select_link_shows_the_paths_that_use_it(result):
    paths = result.paths
    tail, head = LINK.split("-")
    steps = paths["route"].str.split("-")
    on = np.array([(tail, head) in pairwise(r) for r in steps])
    chosen = paths[on]
    figure = result.plot.select_link(LINK)
    total = chosen["flow_veh_h"].sum()
    grey, coloured = lines(figure)
    share = coloured.get_array()
    assert share.max() == pytest.approx(1.0)
    vehicles = chosen["flow_veh_h"] * chosen["route"].str.count("-")
    assert share.sum() == pytest.approx(vehicles.sum() / total)
    assert len(grey.get_segments()) + len(share) == len(result.flow)
    # areas of rings, by colour, are trips by end
    wedges = figure.axes[0].findobj(Wedge)
    for colour, end in zip(ENDS, ("origin", "destination"), strict=True):
        own = [w for w in wedges if to_hex(w.get_facecolor()) == to_hex(colour)]
        area = np.array([(w.r**2 - (w.r - w.width) ** 2) * (w.theta2 - w.theta1) for w in own])
        trips = np.sort(chosen.groupby(end)["flow_veh_h"].sum())
        largest = pd.concat([chosen["origin"], chosen["destination"]])
        both = pd.concat([chosen["flow_veh_h"]] * 2).groupby(largest).sum()
        trips = trips[trips > 1e-3 * both.max()]
        np.testing.assert_allclose(np.sort(area) / area.sum(), trips / trips.sum(), rtol=1e-6)
    title = figure.legends[0].get_title().get_text()
    assert title.startswith(f"{total:,.0f} veh/h on {LINK}")


def test_select_link_arrow_points_along_the_arc(result, road):
    place = node_positions(road)
    (arrow,) = result.plot.select_link(LINK).axes[0].findobj(FancyArrowPatch)
    start, end = arrow._posA_posB
    along = np.subtract(place["15"], place["10"])
    np.testing.assert_allclose(np.subtract(end, start), 0.2 * along)
    assert len(result.plot.select_link(LINK, "15-10").axes[0].findobj(FancyArrowPatch)) == 2


def test_select_link_without_vehicles_is_empty(road):
    only = road.trips[(road.trips["origin"] == "1") & (road.trips["destination"] == "2")]
    figure = vg.assign(road, only).plot.select_link(LINK)
    figure.draw_without_rendering()
    assert not figure.axes[0].findobj(Wedge)


def test_select_link_of_an_unknown_arc(result):
    with pytest.raises(DataError, match="no arc '10-51'.*did you mean"):
        result.plot.select_link("10-51")


def test_convergence_is_the_log(result, road):
    gap, target = result.plot.convergence().axes[0].lines
    log = result.log
    np.testing.assert_allclose(gap.get_ydata(), log["relative_gap"].iloc[1:])
    np.testing.assert_allclose(
        gap.get_xdata(), 1e3 * (log["seconds"] - log["seconds"].iloc[0]).iloc[1:]
    )
    assert set(target.get_ydata()) == {1e-10}
    warm = vg.assign(road, road.trips, gap=1e-10, start=result)
    assert warm.plot.convergence().axes[0].lines[0].get_ydata()[0] <= 1e-10


def test_convergence_where_rounding_leaves_no_gap():
    net, trips = braess()
    figure = vg.assign(net, trips.assign(trips_veh_h=1e-6), gap=1e-12).plot.convergence()
    figure.draw_without_rendering()
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize("missing", [["10"], slice(None)])
def test_without_coordinates_positions_are_computed_and_said_to_be(road, missing):
    nodes = road.nodes.copy()
    nodes.loc[missing, ["x", "y"]] = np.nan
    result = vg.assign(dataclasses.replace(road, nodes=nodes), road.trips)
    for figure in (result.plot.roads(), result.plot.select_link(LINK)):
        figure.draw_without_rendering()
        assert COMPUTED in written(figure)
    places = np.array(list(node_positions(result.problem.road).values()))
    assert np.isfinite(places).all() and np.ptp(places, axis=0).min() > 0.2
    result.plot.convergence()


def test_nodes_in_one_place_are_no_map():
    net, trips = braess()
    nodes = net.nodes.assign(x=1.0, y=1.0)
    figure = vg.assign(dataclasses.replace(net, nodes=nodes), trips).plot.roads()
    assert COMPUTED in written(figure)


def test_known_coordinates_are_not_said_to_be_computed(result):
    assert COMPUTED not in written(result.plot.roads())


def test_computed_positions_keep_the_distances_of_a_line_of_roads():
    net, _ = braess()
    names = [str(k) for k in range(6)]
    nodes = pd.DataFrame({"x": np.nan, "y": np.nan, "through": True}, index=names)
    arcs = pd.concat([net.arcs.iloc[:1]] * 5, ignore_index=True)
    arcs = arcs.assign(from_node=names[:-1], to_node=names[1:], length_km=2.0)
    arcs.index = [f"{k}-{k + 1}" for k in range(5)]
    place = node_positions(dataclasses.replace(net, nodes=nodes, arcs=arcs))
    x = sorted(p[0] for p in place.values())
    assert np.allclose(np.diff(x), 0.2, atol=1e-6)


def test_mistyped_figure_has_advice(result):
    assert result.plot.names() == ["roads", "select_link", "convergence"]
    with pytest.raises(AttributeError, match="did you mean 'convergence'"):
        result.plot.convergance()
