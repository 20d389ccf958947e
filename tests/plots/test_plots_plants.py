"""Figures of cases whose stations have plants and costs, and whose substation sells."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_case
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import v2geq as vg
from v2geq.plots import COLUMN_MM, PAGE_MM, tables
from v2geq.plots.runs import as_runs
from v2geq.plots.social_cost import TERM_COLOURS, social_cost
from v2geq.plots.style import COLOURS, fill
from v2geq.plots.supply import supply


@pytest.fixture(scope="module")
def runs():
    case = make_case(price=0.08, feed_in_price=0.05, import_min=-1e4).with_station(
        "s",
        pv_kw=900.0,
        store_charge_kw=120.0,
        store_discharge_kw=80.0,
        store_value=0.07,
        charge_cost="1e-4*p**2",
    )
    return as_runs([vg.solve(case, v2g=v) for v in (False, True)])


def test_what_is_sold_and_stored_hangs_below_zero(runs) -> None:
    table = tables.supply_table(runs)
    assert (table["tso_import_kw"] < -10.0).all() and (table["store_kw"] == -120.0).all()
    assert (table["pv_kw"] == 900.0).all()
    left = supply(runs).axes[0]
    for quantity, column in (("tso", "tso_import_kw"), ("store", "store_kw"), ("pv", "pv_kw")):
        mine = [p for p in left.patches if np.allclose(p.get_facecolor()[:3], fill(quantity, True))]
        assert [p.get_height() for p in mine] == pytest.approx([table[column].iloc[1]])
        assert mine[0].get_y() <= 0.0 or quantity == "pv"
    # parts below zero stand on each other, none covers another
    below = sorted(
        (p.get_y() + p.get_height(), p.get_y())
        for p in left.patches
        if p.get_height() < 0.0 and p.get_x() > 0.0
    )
    assert below[1][0] == pytest.approx(below[0][1]) and below[1][1] == 0.0
    assert left.get_ylim()[0] < below[0][0]


@pytest.mark.parametrize("width", [COLUMN_MM, PAGE_MM])
def test_the_legend_of_many_supplies_is_not_cut(runs, width: float) -> None:
    figure = supply(runs, width_mm=width)
    figure.draw_without_rendering()
    for text in figure.legends[0].findobj(Text):
        box = text.get_window_extent()
        assert box.x0 >= 0.0 and box.x1 <= figure.bbox.x1


def test_supply_shown_and_energy_used_are_the_same(runs) -> None:
    table = tables.supply_table(runs)
    supplied = table[["tso_import_kw", "generation_kw", "discharge_kw", "pv_kw", "store_kw"]]
    for (_, eq), total in zip(runs, supplied.sum(axis=1), strict=True):
        used = float(eq.firm_kw.sum() - eq.shed_kw.sum() + eq.sales_kw.sum() + eq.charge_kw.sum())
        assert total == pytest.approx(used, abs=1e-6)


def test_no_term_but_travel_has_the_colour_of_travel(runs) -> None:
    terms = tables.social_cost_table(runs).index.get_level_values("term")
    assert {"TSO sale", "station operation", "station stores"} <= set(terms)
    assert {t for t in terms if t not in TERM_COLOURS} == {t for t in terms if tables.is_travel(t)}
    social_cost(runs)


def test_what_players_of_the_user_cost_is_not_drawn_as_travel() -> None:
    def own(s):
        p = vg.Program("plant", s)
        out = p.variable("power", unit="kW", lower=0, upper=50 if s.v2g else 10, meaning="made")
        p.cost(out, 0.01)
        p.sell("energy", out, at="b")
        return p

    pair = [vg.solve(make_case(), v2g=v, players=[own]) for v in (False, True)]
    figure = social_cost(pair)
    axes = figure.axes[0]
    labels = [t.get_text() for t in axes.get_yticklabels()]
    bar = axes.patches[labels.index("Power plant")]
    assert bar.get_facecolor()[:3] == to_rgb(COLOURS["battery"])
