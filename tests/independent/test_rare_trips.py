"""OD pairs whose trips are ten orders apart: each is priced like any other, and certified so."""

from __future__ import annotations

import numpy as np
import pytest

import v2geq as vg
from v2geq.certificates.market import certify

pytestmark = pytest.mark.slow

TRUE_COST = 13.881093
"""$ of a trip from 1 to 20 in base with V2G, at any number of trips that changes nothing else."""


def rare(name: str, trips: float, od: tuple[str, str] = ("1", "20")) -> vg.Case:
    case = vg.load_case("ieee123_sioux_falls")
    table = case.trips[name].copy()
    here = (table["origin"] == od[0]) & (table["destination"] == od[1])
    assert here.sum() == 1
    table.loc[here, "trips_veh_h"] = trips
    return case.with_class(name, trips=table)


def spread(name: str, seed: int) -> vg.Case:
    """Trips of every pair times a number between 1e-10 and 1."""
    case = vg.load_case("ieee123_sioux_falls")
    table = case.trips[name].copy()
    size = np.random.default_rng(seed).uniform(-10.0, 0.0, len(table))
    return case.with_class(name, trips=table.assign(trips_veh_h=table["trips_veh_h"] * 10.0**size))


def cost(eq: vg.Equilibrium, name: str, od: str) -> float:
    return float(eq.data[f"cost_{name}"].sel({f"od_{name}": od}))


@pytest.mark.parametrize(
    ("method", "trips"),
    [("exact", trips) for trips in (1e-3, 1e-5, 1e-7, 1e-9, 1e-12)]
    + [("enumerate", 1e-7)]
    + [
        pytest.param("enumerate", trips, marks=pytest.mark.slow)
        for trips in (1e-3, 1e-5, 1e-9, 1e-12)
    ],
)
def test_a_rare_electric_trip_costs_what_any_costs(method: str, trips: float) -> None:
    eq = vg.solve(rare("ev", trips), "base", parameters={"paths.method": method})
    assert eq.certificate.holds
    # fewer trips than 30 leave a little less congestion
    assert cost(eq, "ev", "1-20") == pytest.approx(TRUE_COST, abs=2e-4)


def test_a_rare_fuel_trip_costs_its_time() -> None:
    eq = vg.solve(rare("fv", 1e-6, ("1", "2")), "base")
    assert eq.certificate.holds
    route = eq.paths("fv").query("origin == '1' and destination == '2'")
    assert cost(eq, "fv", "1-2") == pytest.approx(route["cost"].min(), rel=1e-12)


@pytest.mark.parametrize("name", ["ev", "fv"])
def test_a_wrong_cost_of_a_rare_trip_fails_the_certificate(name: str) -> None:
    od = ("1", "20") if name == "ev" else ("1", "2")
    eq = vg.solve(rare(name, 1e-7, od), "base")
    z = eq.z.copy()
    rows = eq.coupled.mcp[f"drivers.demand_{name}"].slice
    w = eq.coupled.traffic.od_names(name).index(od)
    # unused and dearer paths leave the natural residual as it is; the trip's own row cannot
    z[rows.start + w] *= 1.0 - 1e-6
    certificate, _ = certify(eq.coupled, z)
    assert certificate.trip_cost_gap == pytest.approx(1e-6, rel=1e-3)
    assert certificate["trip_cost_gap"].evidence == f"{name} {'-'.join(od)}"
    assert any(text.startswith("trip_cost_gap") for text in certificate.failures)


@pytest.mark.parametrize(
    ("name", "scenario", "seed"),
    [("ev", "base", 111), ("ev", "island", 1), ("ev", "stress", 103), ("fv", "island", 1)],
)
def test_trips_over_ten_orders(name: str, scenario: str, seed: int) -> None:
    eq = vg.solve(spread(name, seed), scenario)
    assert eq.certificate.holds
    assert eq.certificate.trip_cost_gap < 1e-12


def test_lognormal_trips() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    table = case.trips["fv"]
    size = np.exp(3.0 * np.random.default_rng(0).normal(size=len(table)) - 4.5)
    table = table.assign(trips_veh_h=table["trips_veh_h"] * size)
    assert vg.solve(case.with_class("fv", trips=table), "island").certificate.holds


def test_hardly_any_electric_vehicles_at_all() -> None:
    """Costs tend to those without queues and with prices of the others."""
    case = vg.load_case("ieee123_sioux_falls")
    few, fewer = (
        vg.solve(case, "base", parameters={"drivers.ev.trips_factor": factor})
        for factor in (1e-6, 1e-9)
    )
    assert few.certificate.holds
    assert fewer.certificate.holds
    assert cost(few, "ev", "1-20") == pytest.approx(cost(fewer, "ev", "1-20"), abs=1e-5)
    # what they trade is trade
    assert fewer.charge_traded.sum() == few.charge_traded.sum() > 0
