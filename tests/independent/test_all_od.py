"""Sioux Falls with the electric trips spread over all 528 OD pairs."""

from __future__ import annotations

import numpy as np
import pytest
from test_accounts import assert_wardrop

import v2geq as vg

SPREAD = {"drivers.ev.trips_spread": True}


@pytest.fixture(scope="module")
def spread(case_of):
    case = case_of("ieee123_sioux_falls")
    return {s: vg.solve(case, s, v2g=True, parameters=SPREAD) for s in ("stress", "island")}


@pytest.mark.parametrize("scenario", ["stress", "island"])
def test_all_od_pairs(spread, scenario: str) -> None:
    eq = spread[scenario]
    certificate = eq.certificate
    assert certificate.holds, certificate
    assert certificate.exact_paths
    assert certificate.wardrop_gap_all_paths <= 1e-8
    road = eq.original.road.trips
    pairs = [f"{o}-{d}" for o, d in zip(road["origin"], road["destination"], strict=True)]
    for name in ("ev", "fv"):
        assert eq.data[f"od_{name}"].to_numpy().tolist() == pairs
    trips = eq.trips_ev_veh_h.to_numpy()
    assert trips.sum() == pytest.approx(720.0, rel=1e-12)
    np.testing.assert_allclose(trips / trips.sum(), road["trips_veh_h"] / 360600.0, rtol=1e-12)


def test_all_od_pairs_wardrop_by_hand(case_of) -> None:
    """Costs of all paths in the problem from tables and flows alone."""
    case = case_of("ieee123_sioux_falls").with_parameters(SPREAD)
    assert_wardrop(vg.solve(case, "island", v2g=True))


def test_all_od_pairs_saved(spread, tmp_path) -> None:
    eq = spread["stress"]
    eq.save(tmp_path / "all.nc")
    again = vg.load(tmp_path / "all.nc")
    assert again.certificate.holds, again.certificate
    assert np.array_equal(again.z, eq.z)
    # the case is saved as it was, with what was changed
    assert not again.original.drivers["ev"].trips_spread
    assert again.scenario.changes == SPREAD
