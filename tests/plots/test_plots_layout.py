"""No text of any figure lies on another or leaves the canvas, at the widths of a journal page."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
import pytest
from cases import fleet, make_case
from matplotlib.backends.backend_agg import FigureCanvasAgg

import v2geq as vg
from v2geq.paper.figures import FIGURES, draw
from v2geq.plots import COLUMN_MM, PAGE_MM
from v2geq.plots.api import Plots
from v2geq.plots.style import style

pytestmark = pytest.mark.slow

WIDTHS = pytest.mark.parametrize("width", [COLUMN_MM, PAGE_MM])
TOUCH = 1.0
"""Pixels, at 150 dpi, by which boxes may overlap: they have room around their letters."""


def boxes(figure):
    """(text, box in pixels) of all that is written, and the canvas."""
    drawn = {}
    draw_text = mpl.text.Text.draw

    def record(text, renderer, *rest):
        drawn[text] = None
        return draw_text(text, renderer, *rest)

    with style(), patch.object(mpl.text.Text, "draw", record):
        figure.set_dpi(150)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    shown = [text for text in drawn if text.get_visible() and text.get_text().strip()]
    return [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in shown], figure.bbox


def faults(figure):
    """What is written over something else, or cut."""
    found, canvas = boxes(figure)
    out = []
    for text, box in found:
        if (
            box.x0 < -TOUCH
            or box.y0 < -TOUCH
            or box.x1 > canvas.x1 + TOUCH
            or box.y1 > canvas.y1 + TOUCH
        ):
            out.append(f"{text!r} is cut")
    for (one, a), (other, b) in combinations(found, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        if wide > TOUCH and high > TOUCH:
            out.append(f"{one!r} on {other!r} by {wide:.0f} x {high:.0f}")
    return out


def of_one(eq, width):
    """All figures of one equilibrium, by name."""
    for name in Plots(eq).names():
        ways = [{}]
        if name in ("feeder", "networks"):
            ways = [{"color": c} for c in ("dlmp", "voltage", "loading", "dlmp_congestion")]
        if name == "price_stack":
            ways = [{"order": order} for order in ("distance", "value")]
        for way in ways:
            yield f"{name} {way}", getattr(Plots(eq), name)(width_mm=width, **way)


def check(figures):
    found = {name: f for name, figure in figures if (f := faults(figure))}
    assert not found, found


@WIDTHS
@pytest.mark.parametrize("k", list(FIGURES))
@pytest.mark.parametrize("study", ["ieee123_sioux_falls", "ieee123_sioux_falls_binding"])
def test_figures_of_a_study(study, k, width, shipped, runs):
    chosen = runs if study.endswith("binding") else shipped
    check([(str(k), draw(chosen, k, width_mm=width))])


@WIDTHS
@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
def test_figures_of_one_equilibrium(scenario, v2g, width, shipped, runs):
    for study in (shipped, runs):
        check(of_one(study.get(scenario, v2g), width))


@WIDTHS
@pytest.mark.parametrize("case", [make_case(), fleet()], ids=["one class", "four classes"])
def test_figures_of_a_small_case(case, width):
    for v2g in (False, True):
        check(of_one(vg.solve(case, "base", v2g=v2g), width))


@WIDTHS
def test_figures_of_a_road_without_coordinates(width):
    case = vg.load_case("ieee123_sioux_falls")
    case.road.nodes[["x", "y"]] = np.nan
    eq = vg.solve(case, "base")
    for name in ("roads", "networks", "route"):
        figure = getattr(eq.plot, name)(width_mm=width)
        written = [text for text, _ in boxes(figure)[0]]
        assert "positions computed: no coordinates" in written, name
        assert not faults(figure), name


@WIDTHS
def test_figures_of_an_assignment(width):
    road = vg.load_case("ieee123_sioux_falls").road
    bare = dataclasses.replace(road, nodes=road.nodes.assign(x=np.nan, y=np.nan))
    for net in (road, bare):
        result = vg.assign(net, road.trips)
        check(
            (name, getattr(result.plot, name)(*args, width_mm=width))
            for name, args in (("roads", ()), ("select_link", ("10-15",)), ("convergence", ()))
        )
