"""Costs of running stations, given as formulas: against the potential and the operator by hand."""

from __future__ import annotations

import byhand
import numpy as np
import pytest
from cases import make_case
from test_certificate_perturbed import broken, moved
from test_players_direct import direct
from test_potential import busy, compare

import v2geq as vg
from v2geq.errors import DataError

STATIONS = {
    "s2": {
        "road_node": "2",
        "bus": "b",
        "piles": 4.0,
        "charge_cost": "0.02*p + 4e-4*p**2",
        "discharge_cost": "0.01*p + 2e-4*p**2",
    },
    "s3": {"road_node": "3", "bus": "c", "piles": 3.0, "discharge_cost": "0.03*p + 1e-5*p**2"},
}


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    """Vehicles charge and discharge, lines bind, one station has a cost of discharging alone."""
    return vg.solve(busy(stations=STATIONS), v2g=True)


@pytest.mark.parametrize("v2g", [False, True])
def test_the_whole_is_the_optimum_of_the_potential(v2g: bool) -> None:
    found = vg.solve(busy(stations=STATIONS), v2g=v2g)
    assert found.certificate.holds
    compare(found, "base", v2g)
    # what follows differs from the market without costs, or nothing is tested
    free = {k: {c: x for c, x in v.items() if "cost" not in c} for k, v in STATIONS.items()}
    plain = vg.solve(busy(stations=free), v2g=v2g)
    assert np.abs(plain.charge_price - found.charge_price).max() > 0.01


def test_the_operator_gains_nothing_alone(eq) -> None:
    f = byhand.facts(eq.original, "base", True)
    problem = direct(eq, f, "cno", byhand.prices_of(eq, f))
    now = float(problem.objective.value)
    assert now == pytest.approx(eq.accounts.profit["cno"], abs=1e-9)
    assert problem.optimum() == pytest.approx(now, abs=1e-6)


def test_the_margin_is_the_marginal_cost(eq) -> None:
    """rho+ = pi+ + C+' and rho- = pi- - C-', no limit of a station binding."""
    assert (eq.charge_kw > 1.0).any() and (eq.discharge_kw > 1.0).any()
    c, d = eq.charge_kw.to_numpy(), eq.discharge_kw.to_numpy()
    assert ((c - d < 999.0) & (c - d > -999.0)).all()
    cost = np.array([0.02 + 8e-4 * c[0], 0.0])
    saved = np.array([0.01 + 4e-4 * d[0], 0.03 + 2e-5 * d[1]])
    np.testing.assert_allclose(eq.charge_price - eq.purchase_price, cost, atol=1e-8)
    np.testing.assert_allclose(eq.resale_price - eq.discharge_price, saved, atol=1e-8)
    spent = 0.02 * c[0] + 4e-4 * c[0] ** 2 + 0.01 * d[0] + 2e-4 * d[0] ** 2
    spent += 0.03 * d[1] + 1e-5 * d[1] ** 2
    assert eq.accounts.social_cost["station operation"] == pytest.approx(spent)
    assert eq.accounts.identity_gap == pytest.approx(0.0, abs=1e-8)
    told = eq.explain(station="s2")
    assert "to run the station costs" in told.text
    row = told.table.loc["discharge"]
    parts = row["lse_price"] + row["operation_price"] + row["limits_price"]
    assert row["price"] == pytest.approx(parts, abs=1e-8)
    assert row["operation_price"] == pytest.approx(-saved[0], abs=1e-8)


def test_the_certificate_sees_a_margin_that_does_not_pay(eq) -> None:
    """Selling at less than the marginal cost: no wrong sign or derivative could pass."""
    assert {"natural_residual"} <= broken(moved(eq, charge_price={0: -0.01}))
    assert {"natural_residual"} <= broken(moved(eq, cno__charge={0: 1.0}))


def test_derivatives_follow_the_curvature(eq) -> None:
    slope = eq.sensitivity(of="charge_price", to="feeder.loads.c.load_kw").to_numpy()
    up, down = (
        vg.solve(eq.original, v2g=True, parameters={"feeder.loads.c.load_kw": 150.0 + h})
        for h in (0.1, -0.1)
    )
    difference = ((up.charge_price - down.charge_price) / 0.2).to_numpy()
    np.testing.assert_allclose(slope, difference, atol=1e-4 * np.abs(difference).max())


def test_formulas_survive_files(eq, tmp_path) -> None:
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert again.certificate.holds
    assert again.original.stations.equals(eq.original.stations)
    eq.original.save(tmp_path / "case")
    read = vg.load_case(tmp_path / "case")
    assert read.stations["charge_cost"].tolist() == ["0.02*p + 4e-4*p**2", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1e-4*p**2", "the cost '-1e-4*p**2' is not convex at p = 0 kW"),
        ("0.1*g", "'g'"),
        ("sqrt(p)", "not finite at p = 0"),
    ],
)
def test_costs_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        make_case(stations={"s": {"road_node": "2", "bus": "b", "charge_cost": text}})
    assert said in str(error.value)
    assert "station 's'" in str(error.value)


def test_a_user_takes_over_one_of_the_stations() -> None:
    """The cost of the others stays with them."""

    def keeper(s):
        p = vg.Program("keeper", s)
        sold = p.variable("sold", unit="kW", upper=500.0)
        p.sell("charge_price", sold, at="s3")
        p.sell("purchase_price", {sold: -1.0}, at="s3")
        bought = p.variable("bought", unit="kW", upper=500.0)
        p.sell("discharge_price", {bought: -1.0}, at="s3")
        p.sell("resale_price", bought, at="s3")
        p.replaces("cno", station=["s3"])
        return p

    eq = vg.solve(busy(stations=STATIONS), v2g=True, players=[keeper])
    assert eq.certificate.holds
    margin = (eq.charge_price - eq.purchase_price).to_numpy()
    assert margin[0] == pytest.approx(0.02 + 8e-4 * float(eq.charge_kw[0]), abs=1e-8)
    assert margin[1] == pytest.approx(0.0, abs=1e-8)
    assert "operation" in str(eq.explain(station="s3"))
