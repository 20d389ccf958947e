"""Fleets in detail: start levels, classes that sell nothing, chargers by station, queues apart.

With equal values of time the whole is compared with the convex program by hand; with different ones
every driver's conditions are checked over all paths of the road, enumerated by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import byhand
import numpy as np
import pytest
from cases import fleet, make_case, make_road
from drivers_byhand import check_wardrop
from test_accounts import assert_wardrop, own_costs
from test_certificate_perturbed import broken, moved
from test_closed_forms import wait
from test_potential import compare

import v2geq as vg
from v2geq.certificates.market import certify
from v2geq.data.edit.case import Case
from v2geq.market.coupling import couple
from v2geq.plots.tables import trip_terms
from v2geq.solvers.interior_point import interior_point

pytestmark = pytest.mark.slow

EQUAL, DIFFERENT = (12.0, 12.0, 12.0), (12.0, 25.0, 40.0)
QUEUES = ("shared", "direction")


@pytest.fixture(scope="module")
def solved_fleet() -> Callable[..., vg.Equilibrium]:
    found: dict[tuple, vg.Equilibrium] = {}

    def solve(value_of_time, queue: str, v2g: bool = True) -> vg.Equilibrium:
        key = (value_of_time, queue, v2g)
        if key not in found:
            found[key] = vg.solve(fleet(value_of_time, queue=queue), v2g=v2g)
        return found[key]

    return solve


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("v2g", [False, True])
def test_spec_potential_fleet(solved_fleet, queue: str, v2g: bool) -> None:
    eq = solved_fleet(EQUAL, queue, v2g)
    assert eq.certificate.holds, eq.certificate
    assert not any("without potential" in text for text in eq.warnings)
    compare(eq, "base", v2g)
    check_wardrop(eq)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("v2g", [False, True])
def test_spec_wardrop_fleet_of_different_values_of_time(
    solved_fleet, queue: str, v2g: bool
) -> None:
    eq = solved_fleet(DIFFERENT, queue, v2g)
    assert eq.certificate.holds, eq.certificate
    assert any("without potential" in text for text in eq.warnings)
    # nobody gains by any path of the road, and whoever travels pays the least
    check_wardrop(eq)
    assert_wardrop(eq)
    # or the test would say little
    assert float(eq.charge_kw.sum()) > 100.0
    if v2g:
        assert all((eq.paths(k)["discharge_kwh"] * eq.paths(k)["flow_veh_h"]).sum() > 10.0
                   for k in ("small", "big"))  # fmt: skip
    assert eq.paths("taxi")["discharge_kwh"].max() == 0.0


def test_values_of_time_of_a_fleet_matter(solved_fleet) -> None:
    """The program without potential is not the one with equal values of time in disguise."""
    one, other = (solved_fleet(v, "shared") for v in (EQUAL, DIFFERENT))
    assert abs(one.stops_veh_h - other.stops_veh_h).max() > 0.1


def test_queues_apart_are_no_shared_queue(solved_fleet) -> None:
    eq = solved_fleet(EQUAL, "direction")
    assert abs(eq.stops_veh_h - solved_fleet(EQUAL, "shared").stops_veh_h).max() > 0.1
    f = byhand.facts(eq.original, "base", True)
    base, slope, piles, eps = byhand.queues(f)
    n = byhand.stops_of(eq)
    z = n - piles
    hours = base + slope / 2 * (z + np.sqrt(z**2 + eps**2))
    np.testing.assert_allclose(hours, np.r_[eq.charge_wait_h, eq.discharge_wait_h], rtol=1e-12)
    np.testing.assert_allclose(n.reshape(2, -1).sum(axis=0), eq.stops_veh_h, rtol=1e-12)
    # the mean wait times the stops is the time all vehicles wait
    assert float(eq.stops_veh_h @ eq.wait_h) == pytest.approx(float(n @ hours), rel=1e-12)
    both = (eq.charge_stops_veh_h > 0.1) & (eq.discharge_stops_veh_h > 0.1)
    assert both.any()


@pytest.mark.parametrize("queue", QUEUES)
def test_spec_social_cost_and_dwell_of_a_fleet(solved_fleet, queue: str) -> None:
    eq = solved_fleet(DIFFERENT, queue)
    case, f = eq.original, byhand.facts(eq.original, "base", True)
    price, book = byhand.prices_of(eq, f), eq.accounts.social_cost
    plugged = 0.0
    for name, kind in case.drivers.items():
        flow = eq.values[f"drivers.flow_{name}"]
        cost = own_costs(eq, name)
        np.testing.assert_allclose(cost, eq.paths(name)["cost"][: len(cost)], rtol=1e-10)
        if kind.kind == "ev":
            terms = trip_terms(eq, name).sum(axis=1)[: len(cost)]
            np.testing.assert_allclose(cost, terms, rtol=1e-10)
        paid = float(cost @ flow)
        if kind.kind == "ev":
            d = byhand.path_data(f, kind, byhand.path_lists(eq)[name])
            paid -= float(price["rho_c"] @ (d["charge"] @ flow))
            paid += float(price["rho_d"] @ (d["discharge"] @ flow))
            plugged += float(d["plug"] @ flow)
        own = book[[k for k in book.index if k.endswith(f" {name}")]]
        assert own.sum() == pytest.approx(paid, rel=1e-9)
    assert abs(eq.accounts.identity_gap) <= 1e-9 * float(book.abs().sum())
    waited = float(eq.stops_veh_h @ eq.wait_h)
    assert eq.summary["dwell_h"] == pytest.approx(waited + plugged, rel=1e-8)


MOVED = [
    *((f"drivers__flow_{name}", {"natural_residual"}) for name in ("small", "big", "taxi", "fv")),
    ("drivers__station_flow", {"natural_residual"}),
    ("drivers__queue_time", {"natural_residual"}),
    ("drivers__demand_taxi", {"natural_residual"}),
    ("discharge_price", {"natural_residual"}),
    ("cno__discharge", {"natural_residual", "market_mismatch_kw"}),
]


@pytest.mark.parametrize(("block", "figures"), MOVED)
@pytest.mark.parametrize("queue", QUEUES)
def test_certificate_fleet_moved(solved_fleet, queue: str, block: str, figures: set[str]) -> None:
    eq = solved_fleet(DIFFERENT, queue)
    # a price where nothing is traded may move; the last but one queue is s5's, of discharging where
    # they are apart
    size = len(eq.values[block.replace("__", ".")])
    for at in (0, max(size - 2, 0)):
        assert figures <= broken(moved(eq, **{block: {at: 0.1}}))


@pytest.mark.parametrize("name", ["small", "big", "taxi"])
def test_regret_of_a_class_that_lacks_its_best_paths(solved_fleet, name: str) -> None:
    """Without a station its drivers use, the rest solves, and the class's regret shows it."""
    eq = solved_fleet(DIFFERENT, "direction")
    own = eq.coupled.traffic.paths[name]
    flow = eq.values[f"drivers.flow_{name}"]
    used = {int(s) for p, f in zip(own.paths, flow, strict=True) if f > 0.1
            for s in (stop.station for stop in p.stops)}  # fmt: skip
    # one station that some of its drivers use is kept from them
    lost = min(used)
    rest = np.array([lost not in {s.station for s in p.stops} for p in own.paths])
    roads = eq.coupled.traffic.keep({name: rest})
    coupled = couple(eq.scenario, roads)
    certificate = certify(coupled, interior_point(coupled.mcp).z)[0]
    assert certificate.natural_residual < 1e-8
    assert certificate.wardrop_gap < 1e-12
    assert "regret" in broken(certificate)
    assert certificate.regrets.loc[f"drivers.{name}", "relative"] > 1e-3


# -- by hand -------------------------------------------------------------------------------------


def one_road(**ev) -> Case:
    """1 - 2 - 3 with a station at 2; 11 km in all."""
    return make_case(
        road=make_road(
            {
                "1-2": {"bpr_b": 0.0},
                "2-3": {"length_km": 6.0, "free_flow_min": 6.0, "bpr_b": 0.0},
            }
        ),
        stations={"s": {"road_node": "2", "bus": "b", "charger_power_kw": 34.0}},
        drivers={"ev": {"energy_value": 0.1, **ev}},
    )


def test_closed_form_half_full_at_departure() -> None:
    """12 of 24 kWh, 4.8 kept: 7.2 do not last 11 km, so 17 are charged at 2, half an hour at 34 kW.

    18 kWh are left on arrival, six more than at departure.
    """
    eq = vg.solve(one_road(start_level=0.5), v2g=False)
    assert eq.certificate.holds, eq.certificate
    assert float(eq.charge_kw[0]) == pytest.approx(170.0, rel=1e-10)
    hours = 11.0 / 60.0 + wait(10.0, piles=10.0) + 0.5
    cost = 12.0 * hours + 17.0 * float(eq.charge_price[0]) - 0.1 * 6.0
    assert float(eq.cost_ev[0]) == pytest.approx(cost, rel=1e-10)
    assert eq.summary["dwell_h"] == pytest.approx(10 * (wait(10.0, piles=10.0) + 0.5), rel=1e-9)
    assert eq.paths("ev")["arrival_kwh"].iloc[0] == pytest.approx(18.0)
    assert eq.accounts.social_cost["battery energy ev"] == pytest.approx(-6.0)
    table = eq.explain(od=(1, 3)).table.iloc[0]
    assert table["battery_kwh"] == "12 > 7 at s, 24 > 18"
    assert table["plug"] == pytest.approx(6.0)
    assert table["battery"] == pytest.approx(-0.6)
    terms = ["travel", "waiting", "plug", "charging", "battery"]
    assert table[terms].sum() == pytest.approx(float(eq.cost_ev[0]))


def test_a_class_that_sells_nothing_stays_out_of_a_dear_market() -> None:
    """Selling pays for the others; with nobody willing nothing is sold, and prices stay finite."""
    scarce = {"import_max": 100.0, "generators": {}}
    sells = vg.solve(one_road().with_parameters({}), parameters={"import_max": 100.0})
    assert sells.certificate.holds
    for methods in ("exact", "enumerate"):
        case = make_case(drivers={"ev": {"v2g": False}}, method=methods, **scarce)
        eq = vg.solve(case, v2g=True)
        assert eq.certificate.holds, eq.certificate
        assert float(eq.discharge_kw.sum()) == 0.0
        assert np.isfinite(eq.discharge_price).all()
        willing = vg.solve(case.with_parameters({"drivers.ev.v2g": True}), v2g=True)
        assert float(willing.discharge_kw.sum()) > 1.0
        # the unwilling do not gain from what they do not do
        check_wardrop(eq)


# -- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", QUEUES)
def test_file_of_a_fleet(solved_fleet, tmp_path: Path, queue: str) -> None:
    eq = solved_fleet(DIFFERENT, queue)
    eq.save(tmp_path / "fleet.nc")
    again = vg.load(tmp_path / "fleet.nc")
    assert again.certificate.holds, again.certificate
    assert np.array_equal(again.z, eq.z)
    assert again.data.identical(eq.data)
    assert ("discharge_wait_h" in again.data) == (queue == "direction")


def test_file_with_sales_by_a_class_that_sells_nothing(solved_fleet, tmp_path: Path) -> None:
    """A saved point is not one of a case whose class `big` sells nothing."""
    eq = solved_fleet(DIFFERENT, "shared")
    case = eq.original.with_parameters({"drivers.big.v2g": False})
    scenario = replace(eq.scenario, given=case)
    replace(eq, coupled=replace(eq.coupled, scenario=scenario)).save(tmp_path / "sold.nc")
    with pytest.raises(vg.DataError, match="sells energy, which its class does not do"):
        vg.load(tmp_path / "sold.nc")


@pytest.mark.parametrize("queue", QUEUES)
def test_warm_start_between_fleets(solved_fleet, queue: str) -> None:
    eq = solved_fleet(DIFFERENT, queue)
    near = vg.solve(eq.original, parameters={"drivers.big.v2g": False}, start=eq)
    cold = vg.solve(eq.original, parameters={"drivers.big.v2g": False})
    assert near.certificate.holds and cold.certificate.holds
    np.testing.assert_allclose(near.stops_veh_h, cold.stops_veh_h, atol=1e-6)
    assert near.paths("big")["discharge_kwh"].max() == 0.0


@pytest.mark.parametrize("queue", QUEUES)
def test_fleet_by_legs(solved_fleet, queue: str) -> None:
    """Legs and plans of stops carry start levels, chargers and queues as paths do."""
    eq = solved_fleet(DIFFERENT, queue)
    legs = vg.solve(eq.original, parameters={"paths.form": "legs"})
    assert legs.certificate.holds, legs.certificate
    for name in ("stops_veh_h", "wait_h", "flow_veh_h", "dlmp", "charge_kw", "cost_taxi"):
        np.testing.assert_allclose(legs.data[name], eq.data[name], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("queue", QUEUES)
def test_projections_on_a_fleet(solved_fleet, queue: str) -> None:
    """One value of time: the same point. Several: no inequality over strategies, and it says so."""
    eq = solved_fleet(EQUAL, queue)
    other = vg.solve(eq.original, method="extragradient")
    assert other.certificate.holds, other.certificate
    np.testing.assert_allclose(other.stops_veh_h, eq.stops_veh_h, atol=1e-5)
    with pytest.raises(vg.DataError, match=r"enter 'drivers.flow_big' with weight 2.08333"):
        vg.solve(solved_fleet(DIFFERENT, queue).original, method="extragradient")


def test_sensitivity_to_piles_of_one_direction(solved_fleet) -> None:
    eq = solved_fleet(EQUAL, "direction")
    derivative = eq.sensitivity(of="discharge_wait_h", to="stations.s5.discharge_piles")
    step = 1e-4
    name = "stations.s5.discharge_piles"
    up, down = (
        vg.solve(eq.original, parameters={name: 5.0 + by}, start=eq) for by in (step, -step)
    )
    difference = (up.discharge_wait_h - down.discharge_wait_h) / (2 * step)
    np.testing.assert_allclose(derivative, difference, atol=1e-5)
    assert float(derivative.sel(station="s5")) < -1e-4
