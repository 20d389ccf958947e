"""Prices where nothing is traded, costs at each class's own value of time, social cost by term."""

from __future__ import annotations

import byhand
import numpy as np
import pytest
from cases import make_case, self_supplied
from test_potential import busy

import v2geq as vg


def own_costs(eq: vg.Equilibrium, name: str) -> np.ndarray:
    """C_p by the formula of model.md, 2 from times, waits and prices by hand, $/veh."""
    f = byhand.facts(eq.original, eq.scenario.name, eq.scenario.v2g)
    kind = eq.original.drivers[name]
    paths = byhand.path_lists(eq)
    d = byhand.path_data(f, kind, paths[name])
    x, n = np.zeros(len(d["arc"])), np.zeros(len(d["stop"]))
    for other, list_ in paths.items():
        o = byhand.path_data(f, eq.original.drivers[other], list_)
        x += o["arc"] @ eq.values[f"drivers.flow_{other}"]
        n += o["stop"] @ eq.values[f"drivers.flow_{other}"]
    arcs = eq.original.road.arcs
    ratio = x / byhand.capacities(eq.original)
    power, b = arcs["bpr_power"].to_numpy(), arcs["bpr_b"].to_numpy()
    hours = arcs["free_flow_min"].to_numpy() / 60 * (1 + b * ratio**power)
    base, slope, piles, eps = byhand.queues(f)
    z = n - piles
    wait = base + slope / 2 * (z + np.sqrt(z**2 + eps**2))
    cost = kind.value_of_time * (d["arc"].T @ hours)
    cost += d["arc"].T @ arcs["toll"].to_numpy()
    if kind.kind == "ev":
        price = byhand.prices_of(eq, f)
        cost += kind.value_of_time * (d["stop"].T @ wait)
        cost += kind.value_of_time * d["plug"]
        cost += price["rho_c"] @ d["charge"] - price["rho_d"] @ d["discharge"]
        cost += kind.degradation * d["discharge"].sum(0)
        cost += kind.energy_value * d["used"]
    return cost


def assert_wardrop(eq: vg.Equilibrium) -> None:
    for name in eq.original.drivers:
        cost = own_costs(eq, name)
        flow = eq.values[f"drivers.flow_{name}"]
        od = eq.coupled.traffic.paths[name].od
        u = eq.data[f"cost_{name}"].to_numpy()
        assert (flow >= 0).all()
        assert (cost - u[od]).min() >= -1e-9
        assert np.abs(flow * (cost - u[od])).max() <= 1e-8
        met = np.bincount(od, flow, minlength=len(u))
        np.testing.assert_allclose(met, eq.original.trips[name]["trips_veh_h"], rtol=1e-10)


TWO_CLASSES = {
    "drivers": {
        "hurried": {"value_of_time": 25.0, "energy_value": 0.02},
        "patient": {"value_of_time": 6.0, "battery": 30.0, "charger_power": 50.0},
        "fv": {"kind": "fv", "value_of_time": 20.0},
    },
    "trips": {
        "hurried": {"1-4": 10.0, "2-4": 3.0, "1-5": 4.0},
        "patient": {"1-4": 10.0, "2-4": 2.0, "1-5": 4.0},
        "fv": {"1-4": 15.0},
    },
}


@pytest.mark.parametrize("v2g", [False, True])
def test_spec_wardrop_two_values_of_time(v2g: bool) -> None:
    """No potential exists; each class's conditions hold at its own value of time all the same."""
    eq = vg.solve(busy(**TWO_CLASSES), v2g=v2g)
    assert eq.certificate.holds, eq.certificate
    assert_wardrop(eq)
    assert any("without potential" in text for text in eq.warnings)


@pytest.mark.parametrize(("scenario", "v2g"), [("stress", True), ("island", True)])
def test_spec_wardrop_shipped(solved, scenario, v2g) -> None:
    assert_wardrop(solved("ieee123_sioux_falls", scenario, v2g))


def test_spec_canonical_prices() -> None:
    """LSEs of unequal theta: pi+ at the lower, pi- at the higher one, where nothing is traded."""
    case = self_supplied()
    eq = vg.solve(case)
    assert eq.certificate.holds
    theta, fee = eq.theta.to_numpy(), float(eq.wheeling_price.sel(bus="b"))
    assert np.ptp(theta) > 1e-3
    assert not eq.charge_traded.any()
    assert not eq.discharge_traded.any()
    assert float(eq.purchase_price[0]) == pytest.approx(fee + theta.min(), rel=1e-12)
    assert float(eq.charge_price[0]) == pytest.approx(fee + theta.min(), rel=1e-12)
    assert float(eq.resale_price[0]) == pytest.approx(fee + theta.max(), rel=1e-12)
    assert float(eq.discharge_price[0]) == pytest.approx(fee + theta.max(), rel=1e-12)


@pytest.mark.parametrize("changes", [{}, TWO_CLASSES])
def test_spec_social_cost(changes) -> None:
    """model.md, 8: every term by hand, and the identity of social cost and what players keep."""
    eq = vg.solve(busy(**changes))
    case, f = eq.original, byhand.facts(eq.original, "base", True)
    book = eq.accounts.social_cost
    g = eq.generation_kw.to_numpy()
    rows = case.generators.loc[eq.data["generator"].to_numpy()]
    linear, quadratic = rows["cost_linear"].to_numpy(), rows["cost_quadratic"].to_numpy()
    generation = float(linear @ g + quadratic @ g**2)
    purchase = case.substation.price * float(eq.tso_import_kw)
    lost = case.market.voll * float(eq.shed_kw.sum())
    assert book["generation"] == pytest.approx(generation)
    assert book["TSO purchase"] == pytest.approx(purchase)
    assert book["lost load"] == pytest.approx(lost, abs=1e-9)
    total = generation + purchase + lost
    at = np.flatnonzero(f.responsive > 0)
    q0, sold = f.responsive[at], eq.sales_kw.sel(bus=[f.buses[i] for i in at]).to_numpy()
    b = case.market.reference_price / (-case.market.elasticity * q0)
    a = case.market.reference_price + b * q0
    benefit = float((a * sold - b * sold**2 / 2).sum())
    assert book["benefit of responsive demand"] == pytest.approx(-benefit)
    total -= benefit
    drivers = 0.0
    for name, kind in case.drivers.items():
        flow = eq.values[f"drivers.flow_{name}"]
        paid = float(own_costs(eq, name) @ flow)
        drivers += paid
        if kind.kind == "ev":  # money to and from the CNO is a transfer
            d = byhand.path_data(f, kind, byhand.path_lists(eq)[name])
            price = byhand.prices_of(eq, f)
            paid -= float(price["rho_c"] @ (d["charge"] @ flow))
            paid += float(price["rho_d"] @ (d["discharge"] @ flow))
        own = book[[k for k in book.index if k.endswith(f" {name}")]]
        assert own.sum() == pytest.approx(paid)
        total += paid
    assert book.sum() == pytest.approx(total)
    profit = eq.accounts.profit
    surplus = benefit - float((a - b * sold) @ sold)
    players = profit["cno"] + profit["dso"] + profit[["lse.A", "lse.B"]].sum()
    assert -total == pytest.approx(players + surplus - drivers, rel=1e-9)
    assert abs(eq.accounts.identity_gap) <= 1e-9 * abs(total)


def test_sales_beyond_the_checked_range_are_told() -> None:
    """With free local energy households take more than the range the expression was checked on."""
    eq = vg.solve(
        make_case(
            inverse_demand="p0 * (3 - q / q0)",
            demand_range=1.1,
            generators={
                "ga": {"lse": "A", "bus": "a", "cost_linear": 0.0, "cost_quadratic": 0.0},
                "gb": {"lse": "B", "bus": "b", "cost_linear": 0.0, "cost_quadratic": 0.0},
            },
        ),
        "base",
    )
    assert any("sales exceed demand_range" in text for text in eq.warnings)
