"""Energy sold to the TSO at the substation: against the convex program and players by hand."""

from __future__ import annotations

import byhand
import numpy as np
import pytest
from cases import make_case
from test_certificate_perturbed import broken, moved
from test_players_direct import direct
from test_potential import compare

import v2geq as vg
from v2geq.errors import DataError

PRICE, FEED_IN = 0.08, 0.05


def case_of(cost: float, most: float, import_min: float = -1e4, **settings) -> vg.Case:
    """A generator of LSE A that may make more than the feeder takes."""
    return make_case(
        generators={
            "ga": {
                "lse": "A",
                "bus": "a",
                "max_kw": most,
                "cost_linear": cost,
                "cost_quadratic": 1e-5,
            },
            "gb": {"lse": "B", "bus": "b", "max_kw": 50.0, "cost_linear": 0.3},
        },
        import_min=import_min,
        **{"price": PRICE, "feed_in_price": FEED_IN, **settings},
    )


RUNS = {
    "sells": (case_of(0.02, 600.0), FEED_IN),
    "sells all it may": (case_of(0.02, 600.0, import_min=-100.0), None),
    "buys": (case_of(0.02, 200.0), PRICE),
    "neither": (case_of(0.06, 600.0), None),
    "pays to sell": (case_of(-0.05, 600.0, feed_in_price=-0.02), -0.02),
    "at one price": (case_of(0.02, 600.0, feed_in_price=PRICE), PRICE),
}


@pytest.fixture(scope="module")
def solved() -> dict[str, vg.Equilibrium]:
    return {run: vg.solve(case) for run, (case, _) in RUNS.items()}


@pytest.mark.parametrize("run", RUNS)
def test_the_price_at_the_root_is_that_of_the_side_it_trades_on(solved, run: str) -> None:
    eq, price = solved[run], RUNS[run][1]
    assert eq.certificate.holds
    at_root = float(eq.dlmp.sel(bus="r"))
    if price is not None:
        assert at_root == pytest.approx(price, abs=1e-9)
    else:
        assert at_root < FEED_IN if run == "sells all it may" else FEED_IN < at_root < PRICE
    traded = float(eq.tso_import_kw)
    if run == "buys":
        assert traded > 50.0
    elif run == "neither":
        assert traded == pytest.approx(0.0, abs=1e-6)
    elif run == "sells all it may":
        assert traded == pytest.approx(-100.0, abs=1e-6)
    else:
        assert traded < -100.0
    # what is made is used, or sold: a kW counted the wrong way round would show here
    used = eq.firm_kw.sum() - eq.shed_kw.sum() + eq.sales_kw.sum()
    used = float(used + eq.charge_kw.sum() - eq.discharge_kw.sum())
    assert float(eq.generation_kw.sum()) + traded == pytest.approx(used, abs=1e-6)
    assert float(eq.import_kw.sum()) == pytest.approx(traded, abs=1e-6)


@pytest.mark.parametrize("run", RUNS)
def test_the_whole_is_the_optimum_of_the_potential(solved, run: str) -> None:
    compare(solved[run], "base", True)


@pytest.mark.parametrize("player", ["dso", "lse.A", "lse.B"])
@pytest.mark.parametrize("run", ["sells", "buys", "neither", "sells all it may"])
def test_players_gain_nothing_alone(solved, run: str, player: str) -> None:
    eq = solved[run]
    f = byhand.facts(eq.original, "base", True)
    problem = direct(eq, f, player, byhand.prices_of(eq, f))
    now = float(problem.objective.value)
    own = eq.coupled.programs[player].profit(eq.values, eq.values)
    assert problem.violation <= 1e-8
    assert now == pytest.approx(own, abs=1e-8)
    assert problem.optimum() == pytest.approx(now, abs=1e-6)


def test_receipts_of_the_sale_are_in_the_accounts(solved) -> None:
    eq = solved["sells"]
    accounts = eq.accounts
    earned = FEED_IN * -float(eq.tso_import_kw)
    assert accounts.social_cost["TSO sale"] == pytest.approx(-earned)
    items = accounts.items[accounts.items["item"] == "cost of p_feed"]
    assert items["player"].tolist() == ["dso"]
    assert items["amount"].tolist() == pytest.approx([earned])
    # what it pays the LSEs is what it gets
    assert accounts.profit["dso"] == pytest.approx(0.0, abs=1e-6)
    assert "sell" in eq.explain(bus="a").text


def test_the_certificate_sees_a_sale_at_the_wrong_price(solved) -> None:
    """At a price a bit higher the operator would sell less to the TSO: regret."""
    eq = solved["sells"]
    assert broken(moved(eq, tso_price={0: 0.01})) == {"natural_residual", "regret"}
    assert "natural_residual" in broken(moved(eq, dso__p_feed={0: 1.0}))


def test_derivatives_by_the_feed_in_price(solved) -> None:
    eq = solved["sells"]
    slope = eq.sensitivity(of="dlmp", to="substation.feed_in_price")
    np.testing.assert_allclose(slope, 1.0, atol=1e-6)
    assert not eq.sensitivity(of="dlmp", to="substation.price").any()
    with pytest.raises(DataError, match="cannot move by a little"):
        solved["at one price"].sensitivity(of="dlmp", to="substation.feed_in_price")


def test_a_saved_result_keeps_the_sale(solved, tmp_path) -> None:
    eq = solved["sells"]
    eq.save(tmp_path / "sells.nc")
    again = vg.load(tmp_path / "sells.nc")
    assert float(again.tso_import_kw) == float(eq.tso_import_kw)
    assert again.certificate.holds


def test_more_than_the_price_is_refused() -> None:
    with pytest.raises(DataError, match=r"feed_in_price = 0\.09 \$/kWh is above price = 0\.08"):
        case_of(0.02, 600.0, feed_in_price=0.09)
    # where nothing may be sold it means nothing
    eq = vg.solve(case_of(0.02, 600.0, import_min=0.0, feed_in_price=0.09))
    assert "dso.p_feed" not in eq.values
    told = "substation.feed_in_price = 0.09 is not used: substation.import_min is not below 0"
    assert told in eq.warnings


def test_a_largest_purchase_below_zero_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="import_max = -500.0 kW is out of range"):
        case_of(0.02, 600.0).with_parameters(import_max=-500.0)
