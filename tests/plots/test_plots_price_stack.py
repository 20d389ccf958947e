"""Stacked parts of DLMPs and their maps: heights, order, islands; alike for both models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import make_case, make_feeder
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

import v2geq as vg
from v2geq.plots.api import plot_equilibrium
from v2geq.plots.feeder_view import PARTS, feeder_view


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    """A full line, a tight voltage and losses; a generator feeds in at the end."""
    feeder = make_feeder(
        {"r-a": {}, "a-b": {"rating_kva": 110.0}, "b-c": {"length_km": 0.5}, "a-d": {}},
        {"b": (100.0, 30.0), "c": 100.0, "d": 50.0},
    )
    plant = {"g": {"lse": "A", "bus": "c", "cost_linear": 0.3}}
    case = make_case(feeder=feeder, generators=plant)
    return vg.solve(case, "base", v2g=False, parameters={"feeder.losses": True})


def steps(figure: Figure) -> list[StepPatch]:
    (axes,) = figure.axes
    return [patch for patch in axes.patches if isinstance(patch, StepPatch)]


@pytest.mark.parametrize("order", ["distance", "value"])
def test_stacks_end_at_the_price(eq: vg.Equilibrium, order: str) -> None:
    """Parts above zero less those below are the DLMP, bus by bus."""
    *parts, line = steps(eq.plot.price_stack(order=order))
    total = np.zeros(len(eq.scenario.buses))
    for patch in parts:
        data = patch.get_data()
        total += data.values - data.baseline
    np.testing.assert_allclose(total, line.get_data().values, rtol=0.0, atol=1e-4)
    prices = line.get_data().values
    far = feeder_view(eq).distance_km
    assert far["c"] == pytest.approx(2.5)
    by = far if order == "distance" else eq.dlmp.to_series()
    np.testing.assert_allclose(prices, eq.dlmp.to_series()[by.sort_values(kind="stable").index])


def test_parts_that_lower_a_price_hang_below_zero() -> None:
    """Behind a full line that power leaves it is worth less."""
    plants = pd.DataFrame(
        {"bus": ["b"], "max_kw": [500.0], "cost_linear": [0.01], "cost_quadratic": [0.0]},
        index=pd.Index(["pv"], name="generator"),
    )
    feeder = make_feeder({"r-a": {}, "a-b": {"rating_kva": 110.0}}, {"a": 400.0, "b": 50.0})
    r = vg.optimal_power_flow(feeder, generators=plants)
    assert r.dlmp["b"] == pytest.approx(0.01)
    assert r.congestion_parts.loc["b", "a-b"] == pytest.approx(-0.09)
    low = min(patch.get_data().values.min() for patch in steps(r.plot.price_stack()))
    assert low == pytest.approx(-0.09)


def test_maps_of_parts(eq: vg.Equilibrium) -> None:
    """One for the DLMP and one for every part that differs by bus."""
    for plots in (eq.plot, vg.optimal_power_flow("ieee123", losses=True, line_rating="none").plot):
        figure = plots.part_maps()
        labels = [a.get_xlabel() for a in figure.axes if a.get_xlabel()]
        assert labels[0].startswith("DLMP")
        assert any(label.startswith("Loss part") for label in labels)
        assert not any(label.startswith("Energy part") for label in labels)
        figure.draw_without_rendering()
    for name in PARTS.values():
        eq.plot.feeder(color=name).draw_without_rendering()


def test_islands_stand_apart() -> None:
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "island", uniqueness=False)
    (axes,) = eq.plot.price_stack().axes
    words = [t.get_text() for t in axes.texts]
    assert words[0] == "substation"
    heads = [w.removeprefix("island of ") for w in words[1:]]
    assert all(eq.coupled.grid.network.head(bus) for bus in heads)


def test_bad_input(eq: vg.Equilibrium, tmp_path: Path) -> None:
    with pytest.raises(vg.DataError, match="order is 'name'; use 'distance' or 'value'"):
        eq.plot.price_stack(order="name")
    with pytest.raises(vg.DataError, match=r"'dlmp_los'; did you mean 'dlmp_loss'"):
        eq.plot.feeder(color="dlmp_los")
    eq.save(tmp_path / "eq.nc")
    with pytest.raises(vg.DataError, match=r"no figure 'parts'; "):
        plot_equilibrium(tmp_path / "eq.nc", ["parts"])
    files = plot_equilibrium(tmp_path / "eq.nc", ["price_stack", "feeder"])
    assert [f.name for f in files] == [
        f"{name}.{kind}" for name in ("price_stack", "feeder") for kind in ("svg", "png")
    ]
    assert all(f.parent == tmp_path / "eq" for f in files)
