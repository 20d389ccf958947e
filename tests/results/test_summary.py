"""The registry of figures is what summaries, their units and their columns are made of."""

from __future__ import annotations

import pytest
from cases import make_case, make_road

import v2geq as vg
from v2geq.paper.facts import PAPER_FIGURES, TRIP_COST, facts
from v2geq.results.summary import FIGURES


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    trips = {"ev": {"1-3": 10.0, "3-1": 0.5}}
    arcs = {"1-2": {}, "2-3": {}, "3-2": {}, "2-1": {}}
    return vg.solve(make_case(trips=trips, road=make_road(arcs)), "base")


def test_a_summary_is_its_figures(eq: vg.Equilibrium) -> None:
    assert list(eq.summary) == list(FIGURES)
    for name, figure in FIGURES.items():
        assert name == figure.name
        assert figure.meaning
        assert eq.summary[name] == figure.of(eq)
        # what is shown can be shown
        assert figure.format.format(eq.summary[name])


def test_names_and_units_say_the_same() -> None:
    for name, figure in PAPER_FIGURES.items():
        ending = {"kw": "kW", "h": "vehicle-hours per hour", "seconds": "s"}
        if (last := name.split("_")[-1]) in ending:
            assert figure.unit == ending[last]


def test_units_are_on_the_card(eq: vg.Equilibrium) -> None:
    card = eq._repr_html_()
    for name in ("dlmp_max", "load_shed_kw", "discharge_share", "social_cost"):
        assert FIGURES[name].unit in card


def test_the_paper_s_trip_is_a_figure_of_the_paper_alone(eq: vg.Equilibrium) -> None:
    assert TRIP_COST.name not in FIGURES
    names = list(PAPER_FIGURES)
    assert names[names.index(TRIP_COST.name) + 1] == "social_cost"
    names.remove(TRIP_COST.name)
    assert names == list(FIGURES)
    # nobody travels from 1 to 20 here
    found = facts(eq)
    assert found[TRIP_COST.name] != found[TRIP_COST.name]
    assert found["focus_nodes"] == ""
