"""DLMP against the central difference of the potential in firm demand at one bus.

Phi is evaluated by `byhand.potential_value`, the equilibrium moved by h and solved again with the
paths it has. DLMP is the derivative of the potential, not of social cost.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import byhand
import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder, self_supplied

import v2geq as vg
from v2geq.market.coupling import couple
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import Options

pytestmark = pytest.mark.slow

H = 0.2  # kW


def slope(eq: vg.Equilibrium, bus: str, h: float = H) -> float:
    """(Phi(F + h) - Phi(F - h)) / 2h with the firm demand of `bus` moved."""
    f = byhand.facts(eq.original, eq.scenario.name, eq.scenario.v2g)
    paths = byhand.path_lists(eq)
    value = []
    for move in (h, -h):
        firm = eq.scenario.firm_kw.copy()
        firm[eq.scenario.bus_position[bus]] += move
        coupled = couple(replace(eq.scenario, firm_kw=firm), eq.coupled.traffic)
        result = interior_point(coupled.mcp, None, Options(tolerance=1e-11))
        assert result.status.ok
        value.append(byhand.potential_value(coupled.mcp.split(result.z), coupled.mcp, f, paths))
    return (value[0] - value[1]) / (2 * h)


def check(eq: vg.Equilibrium, bus: str, rel: float = 1e-6) -> float:
    price = float(eq.dlmp.sel(bus=bus))
    assert slope(eq, bus) == pytest.approx(price, rel=rel), bus
    return price


@pytest.mark.parametrize(
    ("case", "scenario", "v2g", "bus"),
    [
        ("ieee123_sioux_falls", "base", True, "48"),
        ("ieee123_sioux_falls", "stress", True, "76"),
        ("ieee123_sioux_falls", "stress", False, "114"),  # at the value of lost load
        ("ieee123_sioux_falls", "island", True, "1"),  # source part
        ("ieee123_sioux_falls", "island", True, "48"),  # island behind sw3
        ("ieee123_sioux_falls", "island", True, "76"),  # island behind sw4
        ("ieee123_sioux_falls", "island", False, "76"),
    ],
)
def test_spec_dlmp_shipped(solved, case, scenario, v2g, bus) -> None:
    check(solved(case, scenario, v2g), bus)


def test_spec_dlmp_binding_case(solved) -> None:
    """Where lines or voltages bind, buses have different prices; each is its own derivative."""
    for scenario, v2g in (("island", True), ("stress", True)):
        eq = solved("ieee123_sioux_falls_binding", scenario, v2g)
        loaded = [eq.scenario.buses[i] for i in eq.scenario.load_buses]
        dlmp = eq.dlmp.sel(bus=loaded).to_numpy()
        for at in (int(np.argmin(dlmp)), int(np.argmax(dlmp)), len(dlmp) // 2):
            check(eq, loaded[at])


def test_spec_dlmp_binding_line() -> None:
    """Behind a full line the bus pays its own generator, before it the TSO's price."""
    case = fuel_only(
        feeder=make_feeder(
            {"r-a": {}, "a-b": {"rating_kva": 60.0, "x_ohm": 0.0}}, {"a": 100.0, "b": 150.0}
        ),
        generators={
            "gb": {"lse": "B", "bus": "b", "cost_linear": 0.2, "cost_quadratic": 1e-3},
        },
        line_rating="box",
    )
    eq = vg.solve(case)
    before, behind = check(eq, "a"), check(eq, "b")
    assert before == pytest.approx(0.08, rel=1e-9)
    assert behind > 0.2
    assert float(eq.p_kw.sel(line="a-b")) == pytest.approx(60.0)


def test_spec_dlmp_binding_voltage() -> None:
    """A lower voltage limit at the end of a long line makes its bus dear."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {"r_ohm": 2.0, "x_ohm": 1.0}}, {"a": (400.0, 100.0)}),
        generators={
            "ga": {"lse": "A", "bus": "a", "cost_linear": 0.2, "cost_quadratic": 5e-4},
        },
        vmin=0.97,
    )
    eq = vg.solve(case)
    assert float(eq.voltage_pu.sel(bus="a")) == pytest.approx(0.97, abs=1e-9)
    assert check(eq, "a") > 0.2


@pytest.mark.parametrize("v2g", [False, True])
def test_spec_dlmp_no_import(v2g: bool) -> None:
    """Cheap local generation and p_TSO = 0: tau is in [max theta, c_TSO], the DLMP is theta."""
    case = self_supplied()
    eq = vg.solve(case, v2g=v2g)
    assert float(eq.tso_import_kw) == pytest.approx(0.0, abs=1e-9)
    assert float(eq.tso_price) == pytest.approx(float(eq.theta.max()), abs=1e-12)
    assert float(eq.tso_price) < 0.5
    assert check(eq, "a") < 0.5
    assert check(eq, "b") < 0.5
    assert float(eq.theta[0]) != pytest.approx(float(eq.theta[1]), rel=1e-3)


def test_spec_dlmp_is_not_marginal_social_cost() -> None:
    """With Cournot sellers social cost falls where they sell more: the equilibrium is no optimum.

    A kW sold more at bus b is worth the retail price and costs the DLMP, b q_k less.
    """
    eq = vg.solve(make_case(firm_share=0.3, generators={}))
    margin = float(eq.retail_price.sel(bus="b") - eq.dlmp.sel(bus="b"))
    q0 = 0.7 * 200.0
    slope_b = 0.15 / (0.5 * q0)
    per_seller = float(eq.sales_kw.sel(bus="b")) / 2
    assert margin == pytest.approx(slope_b * per_seller, rel=1e-9)
    assert margin > 0.02


def test_where_all_firm_load_is_shed_its_price_is_not_the_dlmp() -> None:
    """One more firm kW is shed at VoLL; one more kW injected, or served without fail, is not."""
    eq = vg.solve(
        vg.load_case("ieee123_sioux_falls_reference"),
        "island",
        v2g=False,
        parameters={"drivers.ev.trips_factor": 3.0},
    )
    bus, voll = "35", 20.0
    at = eq.scenario.bus_position[bus]
    assert float(eq.shed_kw.sel(bus=bus)) == pytest.approx(eq.scenario.firm_kw[at])
    assert float(eq.dlmp.sel(bus=bus)) == pytest.approx(25.43, abs=5e-3)
    assert float(eq.firm_price.sel(bus=bus)) == voll
    assert slope(eq, bus, 1e-3) == pytest.approx(voll, rel=1e-6)
    assert must_serve_slope(eq, bus, 1e-3) == pytest.approx(float(eq.dlmp.sel(bus=bus)), rel=1e-5)


def must_serve_slope(eq: vg.Equilibrium, bus: str, h: float) -> float:
    """Central difference of the potential in load of a bus that cannot be shed."""
    f = byhand.facts(eq.original, eq.scenario.name, eq.scenario.v2g)
    paths = byhand.path_lists(eq)
    value = []
    for move in (h, -h):
        mcp = copy.copy(eq.coupled.mcp)
        mcp.constant = mcp.constant.copy()
        mcp.constant[mcp["wheeling_price"].start + eq.scenario.bus_position[bus]] -= move
        for k, portion in eq.original.lses["portion"].items():
            mcp.constant[mcp[f"lse.{k}.energy"].start] -= portion * move
        result = interior_point(mcp, None, Options(tolerance=1e-11))
        assert result.status.ok
        value.append(byhand.potential_value(mcp.split(result.z), mcp, f, paths))
    return (value[0] - value[1]) / (2 * h)


def test_firm_price_is_the_dlmp_where_load_is_served(solved) -> None:
    for scenario in ("base", "stress"):
        eq = solved("ieee123_sioux_falls", scenario, True)
        np.testing.assert_allclose(eq.firm_price, eq.dlmp, rtol=1e-12)
    # where some is shed and some is not, both are the value of lost load
    eq = solved("ieee123_sioux_falls", "stress", False)
    assert float(eq.firm_price.sel(bus="114")) == pytest.approx(20.0, rel=1e-9)


@pytest.mark.parametrize(("scenario", "bus"), [("stress", "76"), ("island", "65")])
def test_injection_of_a_player_moves_the_potential_by_the_price_at_its_site(
    scenario: str, bus: str
) -> None:
    """One more kW that somebody sells at a bus is worth the DLMP, and that is what it earns."""

    def run(kw: float) -> vg.Equilibrium:
        def source(s: Any) -> vg.Program:
            p = vg.Program("source", s)
            p.sell("energy", kw, at=bus)
            return p

        case = vg.load_case("ieee123_sioux_falls")
        return vg.solve(case, scenario, players=[source], options=Options(tolerance=1e-11))

    eq, h = run(20.0), 0.05
    value = []
    for moved in (run(20.0 - h), run(20.0 + h)):
        f, paths = byhand.facts(moved.original, scenario, True), byhand.path_lists(moved)
        value.append(byhand.potential_value(moved.values, moved.coupled.mcp, f, paths))
    price = float(eq.dlmp.sel(bus=bus))
    assert (value[0] - value[1]) / (2 * h) == pytest.approx(price, rel=1e-5)
    assert eq.accounts.profit["source"] == pytest.approx(20.0 * price)
