"""Starting from a neighbouring equilibrium: the same answer, sooner."""

from __future__ import annotations

import numpy as np
import pytest

import v2geq as vg
from v2geq.equilibrium import Equilibrium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def near() -> Equilibrium:
    return vg.solve(vg.load_case("ieee123_sioux_falls"), "stress", v2g=True)


@pytest.mark.parametrize(
    ("scenario", "v2g", "changes"),
    [
        ("stress", True, {"voll": 15.0}),
        ("stress", True, {"stations.s12.piles": 45.0}),
        ("stress", True, {"drivers.ev.battery": 26.0}),
        ("stress", False, {}),
        ("island", True, {}),
        ("base", True, {"paths.method": "enumerate", "drivers.fv.trips_of": "ev"}),
    ],
)
def test_warm_and_cold_agree(
    near: Equilibrium, scenario: str, v2g: bool, changes: dict[str, object]
) -> None:
    case = near.original
    cold = vg.solve(case, scenario, v2g=v2g, parameters=changes)
    warm = vg.solve(case, scenario, v2g=v2g, parameters=changes, start=near)
    assert warm.certificate.holds
    np.testing.assert_allclose(warm.flow_veh_h, cold.flow_veh_h, rtol=1e-7, atol=1e-5)
    np.testing.assert_allclose(warm.cost_ev, cold.cost_ev, rtol=1e-8)
    assert warm.summary["load_shed_kw"] == pytest.approx(cold.summary["load_shed_kw"], abs=1e-6)


def test_a_small_change_takes_one_round(near: Equilibrium) -> None:
    """The neighbour's paths and solution are enough: one round, fewer iterations."""
    cold = vg.solve(near.original, "stress", v2g=True, parameters={"voll": 15.0})
    warm = vg.solve(near.original, "stress", v2g=True, parameters={"voll": 15.0}, start=near)
    assert warm.rounds == 1 < cold.rounds
    assert len(warm.log) < 0.7 * len(cold.log)


def test_points_are_carried_by_label(near: Equilibrium) -> None:
    mcp = near.coupled.mcp
    np.testing.assert_array_equal(mcp.carry(mcp, near.z), near.z)
    other = vg.solve(near.original, "island", v2g=False).coupled.mcp
    carried = other.split(other.carry(mcp, near.z))
    position = dict(zip(other["dso.p_line"].labels, carried["dso.p_line"], strict=True))
    mine = dict(zip(mcp["dso.p_line"].labels, near.values["dso.p_line"], strict=True))
    assert ("sw3",) in mine
    assert ("sw3",) not in position
    assert all(position[label] == mine[label] for label in position)
