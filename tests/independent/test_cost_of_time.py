"""Costs of a trip's whole time: closed forms, Jacobian, certificate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import fleet, fuel_only, make_case, make_road
from scipy.optimize import brentq
from test_certificate_perturbed import broken, moved

import v2geq as vg
from v2geq.analysis.trip_reasons import COLUMNS
from v2geq.certificates.market import certify
from v2geq.errors import DataError
from v2geq.export.gams import to_gams

COST = "12*t + 30*t**2"


def f(t: float) -> float:
    return 12.0 * t + 30.0 * t**2


def two_routes(cost: str = COST, kind: str = "fv") -> vg.Case:
    """A short road that fills up, and a long one that charges a toll, from 1 to 3."""
    road = make_road(
        {
            "1-3": {"free_flow_min": 10.0, "capacity_veh_h": 100.0, "bpr_b": 1.0, "bpr_power": 1.0},
            "1-2": {"free_flow_min": 12.0, "bpr_b": 0.0, "toll": 1.0},
            "2-3": {"free_flow_min": 8.0, "bpr_b": 0.0},
        }
    )
    return fuel_only(
        road=road,
        drivers={"fv": {"kind": "fv", "value_of_time": 12.0, "cost_of_time": cost}},
        trips={"fv": {"1-3": 300.0}},
        method="enumerate",
    )


def test_two_routes_in_closed_form() -> None:
    """f(10 min (1 + x/100)) = f(20 min) + 1 $: by hand, at the class's own money."""
    eq = vg.solve(two_routes())
    assert eq.certificate.holds
    x = brentq(lambda x: f((1.0 + x / 100.0) / 6.0) - f(1.0 / 3.0) - 1.0, 0.0, 300.0)
    assert 0.0 < x < 300.0
    assert float(eq.flow_veh_h.sel(arc="1-3")) == pytest.approx(x, rel=1e-8)
    assert float(eq.cost_fv[0]) == pytest.approx(f(1.0 / 3.0) + 1.0, rel=1e-8)
    # and not where time has one price: a formula left out would show
    plain = vg.solve(two_routes(""))
    assert abs(float(plain.flow_veh_h.sel(arc="1-3")) - x) > 5.0
    social = eq.accounts.social_cost["travel fv"]
    assert social == pytest.approx(
        x * f((1.0 + x / 100.0) / 6.0) + (300.0 - x) * f(1.0 / 3.0), rel=1e-8
    )
    assert eq.accounts.identity_gap == pytest.approx(0.0, abs=1e-6)


def test_exact_paths_are_those_of_the_list(tmp_path) -> None:
    """On roads small enough to list all routes both methods have one equilibrium."""
    case = two_routes()
    exact = vg.solve(case, parameters={"paths.method": "exact"})
    assert exact.certificate.holds
    exact.save(tmp_path / "exact.nc")
    assert vg.load(tmp_path / "exact.nc").certificate.holds
    np.testing.assert_allclose(exact.flow_veh_h, vg.solve(case).flow_veh_h, atol=1e-6)
    listed = vg.solve(several(base_routes_ev=200, base_routes_fv=50))
    found = vg.solve(several(), parameters={"paths.method": "exact"})
    assert found.certificate.holds
    assert listed.certificate.wardrop_gap_all_paths == pytest.approx(0.0, abs=1e-8)
    np.testing.assert_allclose(found.flow_veh_h, listed.flow_veh_h, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.cost_big, listed.cost_big, rtol=1e-7)
    flows = found.path_flows
    low, high = flows.visit_share.low, flows.visit_share.high
    assert low - 1e-9 <= flows.visit_share.value <= high + 1e-9


def test_a_short_list_shows_in_the_certificate() -> None:
    short = vg.solve(several(base_routes_ev=1, base_routes_fv=1))
    assert short.certificate.wardrop_gap_all_paths > 1e-4


def test_a_line_is_the_value_of_time() -> None:
    for formula, omega in (("12*t", 12.0), ("20*t", 20.0)):
        line = vg.solve(two_routes(formula))
        kind = {"fv": {"kind": "fv", "value_of_time": omega}}
        case = two_routes("")
        drivers = {"fv": replace(case.drivers["fv"], value_of_time=kind["fv"]["value_of_time"])}
        same = vg.solve(replace(case, drivers=drivers))
        np.testing.assert_allclose(line.flow_veh_h, same.flow_veh_h, atol=1e-7)
        np.testing.assert_allclose(line.cost_fv, same.cost_fv, rtol=1e-9)


def several(**changes) -> vg.Case:
    """Electric classes that queue, charge and discharge; one with a cost of its whole time."""
    case = fleet(method="enumerate", **changes)
    big = replace(case.drivers["big"], cost_of_time="10*t + 8*t**2")
    return replace(case, drivers={**case.drivers, "big": big})


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    return vg.solve(several())


def test_every_used_path_costs_least_by_the_formula(eq) -> None:
    """Path costs from times, energies and prices of the results alone."""
    assert eq.certificate.holds
    traffic, values = eq.coupled.traffic, eq.values
    paths, kind = traffic.paths["big"], traffic.classes["big"]
    at_plug = np.minimum(kind.charger_power, eq.original.stations["charger_power_kw"].to_numpy())
    hours = paths.arc_incidence.T @ eq.time_h.to_numpy()
    hours = hours + paths.stop_count.T @ eq.wait_h.to_numpy()
    hours = hours + (paths.charge_energy + paths.discharge_energy).T @ (1.0 / at_plug)
    cost = 10.0 * hours + 8.0 * hours**2
    cost += paths.charge_energy.T @ eq.charge_price.to_numpy()
    cost -= paths.discharge_energy.T @ (eq.discharge_price.to_numpy() - kind.degradation)
    cost += kind.energy_value * (kind.battery * kind.start_level - paths.arrival_kwh)
    u = eq.data["cost_big"].to_numpy()[paths.od]
    flow = values["drivers.flow_big"]
    np.testing.assert_allclose(cost[flow > 1e-6], u[flow > 1e-6], rtol=1e-7)
    assert (cost >= u - 1e-7 * np.abs(u)).all()


def test_the_jacobian_is_the_derivative(eq) -> None:
    """Central differences of the map, away from the solution as well."""
    mcp = eq.coupled.mcp
    random = np.random.default_rng(0)
    for spread in (0.0, 0.05):
        z = eq.z + spread * mcp.scale * random.uniform(0.0, 1.0, mcp.n)
        for _ in range(5):
            d = mcp.scale * random.standard_normal(mcp.n)
            h = 1e-6
            difference = (mcp.F(z + h * d) - mcp.F(z - h * d)) / (2.0 * h)
            exact = mcp.J(z) @ d
            size = mcp.row_scale + np.abs(exact)
            assert (np.abs(exact - difference) <= 1e-5 * size).all()


def test_the_certificate_sees_another_formula(eq) -> None:
    assert "natural_residual" in broken(moved(eq, drivers__demand_big={0: 0.1}))
    steeper = replace(eq.coupled.traffic.classes["big"], cost_of_time="10*t + 9*t**2")
    classes = {**eq.coupled.traffic.classes, "big": steeper}
    wrong = replace(eq.coupled, traffic=replace(eq.coupled.traffic, classes=classes))
    assert not certify(wrong, eq.z)[0].holds


def test_derivatives_follow_the_formula() -> None:
    eq = vg.solve(two_routes())
    name = "road.arcs.1-2.toll"
    slope = eq.sensitivity(of="flow_veh_h", to=name).to_numpy()
    up, down = (vg.solve(eq.original, parameters={name: 1.0 + h}) for h in (1e-3, -1e-3))
    difference = ((up.flow_veh_h - down.flow_veh_h) / 2e-3).to_numpy()
    assert np.abs(difference).max() > 1.0
    np.testing.assert_allclose(slope, difference, rtol=1e-4)


def test_shares_of_time_are_told_and_saved(eq, tmp_path) -> None:
    od = eq.coupled.traffic.od_names("big")[0]
    table = eq.explain(od=od).table
    own = table[table["class"] == "big"]
    parts = [c for c in own if c in COLUMNS.values()]
    np.testing.assert_allclose(own[parts].sum(axis=1), own["cost"], atol=1e-6)
    assert any("of the whole trip" in w for w in eq.warnings)
    assert "convex cost of `drivers.arc_time`" in eq.equations()
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert again.certificate.holds
    with pytest.raises(DataError, match="is not written out"):
        to_gams(eq.coupled.mcp, tmp_path / "m.gms")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"form": "legs"}, "does not go with paths.form = 'legs'"),
        ({"cost": "-3*t"}, "does not rise"),
        ({"cost": "3*t**2"}, "does not rise from the first minute"),
        ({"cost": "sqrt(t + 1)"}, "is not convex"),
        ({"cost": "3*x"}, "'x'"),
    ],
)
def test_what_is_no_cost_of_time_is_refused(changes: dict[str, str], said: str) -> None:
    ev = {"cost_of_time": changes.get("cost", COST)}
    with pytest.raises(DataError) as error:
        make_case(drivers={"ev": ev}, form=changes.get("form", "paths"))
    assert said in str(error.value)
