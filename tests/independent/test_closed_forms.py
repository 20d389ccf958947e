"""Cases with an answer on paper."""

from __future__ import annotations

import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder, make_road
from scipy.optimize import brentq

import v2geq as vg
from v2geq.solvers.protocol import Options

TIGHT = Options(tolerance=1e-12)


def solve(case, *, v2g: bool = True) -> vg.Equilibrium:
    eq = vg.solve(case, v2g=v2g, options=TIGHT)
    assert eq.certificate.holds, eq.certificate
    return eq


# -- traffic -----------------------------------------------------------------------------------


def braess(bridge: bool):
    arcs = {
        "1-3": {"capacity_veh_h": 1.0, "free_flow_min": 1e-8, "bpr_b": 1e9, "bpr_power": 1.0},
        "1-4": {"capacity_veh_h": 1.0, "free_flow_min": 50.0, "bpr_b": 0.02, "bpr_power": 1.0},
        "3-2": {"capacity_veh_h": 1.0, "free_flow_min": 50.0, "bpr_b": 0.02, "bpr_power": 1.0},
        "3-4": {"capacity_veh_h": 1.0, "free_flow_min": 10.0, "bpr_b": 0.1, "bpr_power": 1.0},
        "4-2": {"capacity_veh_h": 1.0, "free_flow_min": 1e-8, "bpr_b": 1e9, "bpr_power": 1.0},
    }
    if not bridge:
        del arcs["3-4"]
    return fuel_only(road=make_road(arcs), trips={"fv": {"1-2": 6.0}})


def test_braess_with_bridge() -> None:
    """Two vehicles on each of three paths, 92 minutes each."""
    eq = solve(braess(True))
    flows = eq.flow_veh_h.sel(arc=["1-3", "1-4", "3-2", "3-4", "4-2"]).to_numpy()
    np.testing.assert_allclose(flows, [4.0, 2.0, 2.0, 2.0, 4.0], rtol=1e-9)
    used = eq.paths("fv")
    np.testing.assert_allclose(used["flow_veh_h"], 2.0, rtol=1e-9)
    assert len(used) == 3
    assert float(eq.data["cost_fv"][0]) == pytest.approx(92.0 / 60 * 12.0, rel=1e-9)


def test_braess_without_bridge() -> None:
    """The bridge hurts: 83 minutes without it."""
    eq = solve(braess(False))
    np.testing.assert_allclose(eq.flow_veh_h, 3.0, rtol=1e-9)
    assert float(eq.data["cost_fv"][0]) == pytest.approx(83.0 / 60 * 12.0, rel=1e-9)


# -- power market --------------------------------------------------------------------------------


def two_buses(rating: float):
    return fuel_only(
        feeder=make_feeder({"r-a": {"rating_kva": rating, "x_ohm": 0.0}}, {"a": 100.0}),
        lses={"A": 1.0},
        generators={
            "g": {"lse": "A", "bus": "a", "cost_linear": 0.05, "cost_quadratic": 5e-4},
        },
        line_rating="box",
        firm_share=1.0,
        price=0.08,
    )


def test_two_bus_market_uncongested() -> None:
    """0.05 + 0.001 g = 0.08 at g = 30: both buses at the TSO's price, no rent."""
    eq = solve(two_buses(1000.0))
    assert float(eq.generation_kw[0]) == pytest.approx(30.0, rel=1e-9)
    assert float(eq.tso_import_kw) == pytest.approx(70.0, rel=1e-9)
    np.testing.assert_allclose(eq.dlmp, 0.08, rtol=1e-9)
    assert eq.accounts.profit["dso"] == pytest.approx(0.0, abs=1e-9)
    cost = 0.08 * 70 + 0.05 * 30 + 5e-4 * 900
    assert eq.accounts.profit["lse.A"] == pytest.approx(-cost, rel=1e-9)


def test_two_bus_market_congested() -> None:
    """40 kW pass: g = 60, 0.11 $/kWh behind the line; the DSO earns 40 x (0.11 - 0.08)."""
    eq = solve(two_buses(40.0))
    assert float(eq.generation_kw[0]) == pytest.approx(60.0, rel=1e-9)
    assert float(eq.dlmp.sel(bus="r")) == pytest.approx(0.08, rel=1e-9)
    assert float(eq.dlmp.sel(bus="a")) == pytest.approx(0.11, rel=1e-9)
    assert float(eq.wheeling_price.sel(bus="a")) == pytest.approx(0.03, rel=1e-8)
    assert eq.accounts.profit["dso"] == pytest.approx(40 * 0.03, rel=1e-8)
    cost = 0.08 * 40 + 0.03 * 40 + 0.05 * 60 + 5e-4 * 3600
    assert eq.accounts.profit["lse.A"] == pytest.approx(-cost, rel=1e-9)


def test_two_bus_market_export() -> None:
    """A line full the other way: cheap power at the end, the load at its head; rent again >= 0."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}, "a-b": {"rating_kva": 50.0, "x_ohm": 0.0}}, {"a": 100.0}),
        lses={"A": 1.0},
        generators={
            "g": {"lse": "A", "bus": "b", "cost_linear": 0.02, "cost_quadratic": 1e-4},
        },
        line_rating="box",
        firm_share=1.0,
    )
    eq = solve(case)
    assert float(eq.p_kw.sel(line="a-b")) == pytest.approx(-50.0, rel=1e-9)
    assert float(eq.dlmp.sel(bus="a")) == pytest.approx(0.08, rel=1e-9)
    assert float(eq.dlmp.sel(bus="b")) == pytest.approx(0.02 + 2e-4 * 50, rel=1e-9)
    assert eq.accounts.profit["dso"] == pytest.approx(50 * (0.08 - 0.03), rel=1e-8)


def test_two_bus_market_scarcity() -> None:
    """Nothing but 60 kW of import for 100 kW: 40 kW shed at the value of lost load.

    The import limit's rent (VoLL - c_TSO per kW) is the DSO's, who resells at tau.
    """
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        generators={},
        firm_share=1.0,
        import_max=60.0,
        voll=5.0,
    )
    eq = solve(case)
    assert float(eq.shed_kw.sum()) == pytest.approx(40.0, rel=1e-9)
    assert float(eq.dlmp.sel(bus="a")) == pytest.approx(5.0, rel=1e-9)
    assert eq.accounts.profit["dso"] == pytest.approx(60 * (5.0 - 0.08), rel=1e-9)
    assert eq.accounts.social_cost["lost load"] == pytest.approx(200.0, rel=1e-9)


@pytest.mark.parametrize("sellers", [1, 2, 3, 5])
def test_cournot_oligopoly(sellers: int) -> None:
    """q = (a - c) / ((n + 1) b) each, price (a + n c) / (n + 1); n = 1 is the monopoly."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        lses={f"k{i}": 1.0 / sellers for i in range(sellers)},
        generators={},
        firm_share=0.0,
        price=0.08,
        reference_price=0.15,
        elasticity=-0.5,
    )
    eq = solve(case)
    b = 0.15 / (0.5 * 100.0)
    a, c, n = 0.15 + b * 100.0, 0.08, sellers
    for i in range(sellers):
        assert eq.values[f"lse.k{i}.sales"][0] == pytest.approx((a - c) / ((n + 1) * b), rel=1e-9)
        assert eq.accounts.profit[f"lse.k{i}"] == pytest.approx(
            ((a - c) / (n + 1)) ** 2 / b, rel=1e-9
        )
    assert float(eq.retail_price.sel(bus="a")) == pytest.approx((a + n * c) / (n + 1), rel=1e-9)
    assert float(eq.dlmp.sel(bus="a")) == pytest.approx(c, rel=1e-9)


def test_cournot_duopoly_unequal_costs() -> None:
    """Own generation at other marginal costs: q_k = (a - 2 c_k + c_j) / (3 b)."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        lses={"A": 0.5, "B": 0.5},
        generators={
            "ga": {"lse": "A", "bus": "a", "cost_linear": 0.02, "cost_quadratic": 0.0},
            "gb": {"lse": "B", "bus": "a", "cost_linear": 0.05, "cost_quadratic": 0.0},
        },
        firm_share=0.0,
        price=0.5,
    )
    eq = solve(case)
    b = 0.15 / (0.5 * 100.0)
    a = 0.15 + b * 100.0
    assert eq.values["lse.A.sales"][0] == pytest.approx((a - 0.04 + 0.05) / (3 * b), rel=1e-9)
    assert eq.values["lse.B.sales"][0] == pytest.approx((a - 0.10 + 0.02) / (3 * b), rel=1e-9)


# -- stations ------------------------------------------------------------------------------------


def detour(**station):
    """A slow road that needs no charge, or a fast one of 20 km with a charge of 10 kWh half way."""
    return make_case(
        road=make_road(
            {
                "1-3": {"length_km": 18.0, "free_flow_min": 40.0, "bpr_b": 0.0},
                "1-2": {"length_km": 10.0, "free_flow_min": 5.0, "bpr_b": 0.0},
                "2-3": {"length_km": 10.0, "free_flow_min": 5.0, "bpr_b": 0.0},
            }
        ),
        stations={"s": {"road_node": "2", "bus": "b", "piles": 5.0, **station}},
        generators={},
        lses={"A": 0.6, "B": 0.4},
        trips={"ev": {"1-3": 30.0}},
    )


def wait(n: float, piles: float = 5.0, eps: float = 1.0) -> float:
    z = n - piles
    return 0.02 + 0.02 * (z + np.sqrt(z**2 + eps**2)) / 2


def test_queue_scalar_equation() -> None:
    """40 min = 10 min + wait(n) + 10 / 150 h + 10 kWh at 0.08 $/kWh."""
    eq = solve(detour(), v2g=False)
    n = brentq(lambda n: 0.5 - wait(n) - 10 / 150 - 10 * 0.08 / 12, 0, 30, xtol=1e-14)
    assert 6 < n < 29
    assert float(eq.stops_veh_h[0]) == pytest.approx(n, rel=1e-10)
    assert float(eq.charge_kw[0]) == pytest.approx(10 * n, rel=1e-10)
    assert float(eq.wait_h[0]) == pytest.approx(wait(n), rel=1e-10)
    assert float(eq.charge_price[0]) == pytest.approx(0.08, rel=1e-10)
    assert float(eq.data["cost_ev"][0]) == pytest.approx(12.0 * 40 / 60, rel=1e-10)
    assert eq.summary["dwell_h"] == pytest.approx(n * wait(n) + 10 * n / 150, rel=1e-10)


def test_station_limit_on_charging() -> None:
    """100 kW pass: the charging price rises by nu_up until ten vehicles want to stop."""
    eq = solve(detour(charge_max_kw=100.0), v2g=False)
    rho = 12 * (0.5 - wait(10.0) - 10 / 150) / 10
    assert float(eq.stops_veh_h[0]) == pytest.approx(10.0, rel=1e-10)
    assert float(eq.charge_price[0]) == pytest.approx(rho, rel=1e-9)
    assert eq.values["cno.net_upper"][0] == pytest.approx(rho - 0.08, rel=1e-9)
    assert eq.values["cno.net_lower"][0] == pytest.approx(0.0, abs=1e-12)
    assert eq.accounts.profit["cno"] == pytest.approx(100.0 * (rho - 0.08), rel=1e-9)


def test_station_limit_on_discharging() -> None:
    """50 kW pass: the discharging price falls nu_lo below the value of lost load.

    The station at node 2 takes 24 - 5 - 12 = 7 kWh of each vehicle; import is 100 kW short.
    """
    case = make_case(
        stations={"s": {"road_node": "2", "bus": "b", "discharge_max_kw": 50.0}},
        generators={},
        firm_share=1.0,
        import_max=200.0,
        voll=5.0,
    )
    eq = solve(case)
    n = 50.0 / 7.0
    rho = 0.05 + 12 * (wait(n, piles=10.0) + 7 / 150) / 7
    assert float(eq.shed_kw.sum()) == pytest.approx(50.0, rel=1e-9)
    assert float(eq.discharge_kw[0]) == pytest.approx(50.0, rel=1e-9)
    assert float(eq.stops_veh_h[0]) == pytest.approx(n, rel=1e-9)
    assert float(eq.resale_price[0]) == pytest.approx(5.0, rel=1e-9)
    assert float(eq.discharge_price[0]) == pytest.approx(rho, rel=1e-9)
    assert eq.values["cno.net_lower"][0] == pytest.approx(5.0 - rho, rel=1e-9)
    assert eq.values["cno.net_upper"][0] == pytest.approx(0.0, abs=1e-12)
    assert eq.accounts.profit["cno"] == pytest.approx(50.0 * (5.0 - rho), rel=1e-9)


def test_discharge_indifference() -> None:
    """Unlimited station: discharge covers the 40 kW that lack, at the drivers' own price.

    That price, not the value of lost load, is then the price of energy everywhere.
    """
    case = make_case(generators={}, firm_share=1.0, import_max=260.0, voll=5.0)
    eq = solve(case)
    n = 40.0 / 7.0
    rho = 0.05 + 12 * (wait(n, piles=10.0) + 7 / 150) / 7
    assert float(eq.shed_kw.sum()) == pytest.approx(0.0, abs=1e-9)
    assert float(eq.stops_veh_h[0]) == pytest.approx(n, rel=1e-9)
    assert float(eq.discharge_price[0]) == pytest.approx(rho, rel=1e-9)
    np.testing.assert_allclose(eq.dlmp, rho, rtol=1e-9)
    assert eq.accounts.profit["dso"] == pytest.approx(260 * (rho - 0.08), rel=1e-8)


def test_battery_energy_value() -> None:
    """vB raises the price of discharge by vB per kWh and what a trip costs by vB per kWh used."""
    kw = {"generators": {}, "firm_share": 1.0, "import_max": 260.0, "voll": 5.0}
    plain = solve(make_case(**kw))
    priced = solve(make_case(**kw, drivers={"ev": {"energy_value": 0.15}}))
    assert float(priced.discharge_price[0] - plain.discharge_price[0]) == pytest.approx(0.15)
    # the trip without a stop uses 11 kWh
    assert float(priced.cost_ev[0] - plain.cost_ev[0]) == pytest.approx(0.15 * 11.0)
