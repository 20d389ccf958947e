"""Markets that once stalled: far starts, steep roads, limits that stand for none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import structural_rank
from scipy.sparse.linalg import SuperLU, splu

import v2geq as vg
from v2geq.solvers import Options, solver

SHIPPED = vg.load_case("ieee123_sioux_falls")


@pytest.fixture(scope="module")
def stress() -> vg.Equilibrium:
    return vg.solve(SHIPPED, "stress")


@pytest.mark.parametrize("distance", [10.0, 1e2, 1e3, 1e6])
def test_starts_far_from_all_data(stress: vg.Equilibrium, distance: float) -> None:
    mcp = stress.coupled.mcp
    start = mcp.start + mcp.scale * np.random.default_rng(3).normal(0.0, distance, mcp.n)
    result = solver("interior_point")(mcp, start, None)
    assert result.status.ok, (result.status, result.residual, result.worst)


LIMITLESS: dict[str, dict[str, Any]] = {
    "import": {"substation.import_max": 1e12},
    "reactive": {"substation.reactive_max": 1e12, "substation.reactive_min": -1e12},
    "generators": {f"generators.{g}.max_kw": 1e12 for g in SHIPPED.generators.index},
    "stations": {
        f"stations.{s}.{column}": 1e12
        for s in SHIPPED.stations.index
        for column in ("charge_max_kw", "discharge_max_kw", "piles")
    },
    "ratings": {f"feeder.branches.{b}.rating_kva": 1e12 for b in SHIPPED.feeder.branches.index},
}


@pytest.mark.parametrize("name", LIMITLESS)
def test_limits_that_stand_for_none(name: str) -> None:
    eq = vg.solve(SHIPPED, "stress", parameters=LIMITLESS[name])
    assert eq.certificate.holds, eq.certificate


def test_one_arc_of_power_100() -> None:
    eq = vg.solve(SHIPPED, "base", parameters={"road.arcs.6-8.bpr_power": 100.0})
    assert eq.certificate.holds, eq.certificate


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.4])
def test_all_arcs_of_power_100(share: float) -> None:
    """With as many vehicles as there is room for: beyond it travel times have no digits left.

    Trips and capacities as published, of which the electric vehicles are few.
    """
    powers = {f"road.arcs.{a}.bpr_power": 100.0 for a in SHIPPED.road.arcs.index}
    published = {"drivers.fv.trips_factor": share, "road.capacity_factor": 1.0}
    eq = vg.solve(SHIPPED, "base", parameters={**published, **powers})
    assert eq.certificate.holds, eq.certificate


@pytest.mark.slow
@pytest.mark.parametrize("factor", [5.0, 10.0, 20.0, 50.0])
def test_island_with_many_vehicles(factor: float) -> None:
    eq = vg.solve(SHIPPED, "island", parameters={"drivers.ev.trips_factor": factor})
    assert eq.certificate.holds, eq.certificate


def test_a_run_cut_short_does_not_speak_of_infeasibility() -> None:
    with pytest.raises(
        vg.V2GError, match="iteration limit reached; raise max_iterations"
    ) as caught:
        vg.solve(SHIPPED, "stress", method="interior_point", options=Options(max_iterations=3))
    assert "infeasible" not in str(caught.value)


def test_newton_steps_factorise_regular_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """SuperLU reads memory that is not its own where no choice of entries makes a matrix regular.

    Found as a crash of this market, whose Jacobian has such a pattern where prices are not unique.
    """
    ranks = []

    def factorise(a: sp.csc_array) -> SuperLU:
        ranks.append((structural_rank(a), a.shape[0]))
        return splu(a)

    monkeypatch.setattr("v2geq.solvers.semismooth.splu", factorise)
    eq = vg.solve(SHIPPED, "stress", method="semismooth")
    assert eq.certificate.holds
    assert ranks
    assert all(rank == size for rank, size in ranks)
