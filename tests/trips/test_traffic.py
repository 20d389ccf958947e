"""Traffic: other paths make another traffic, and what others need of a point is read here."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_case

import v2geq as vg
from v2geq.market.columns import extend, prune
from v2geq.scenario import resolve
from v2geq.trips.costs import class_costs, path_costs
from v2geq.trips.generation import seeded
from v2geq.trips.traffic import traffic

CASE = "ieee123_sioux_falls"


def solved(scenario: str = "stress") -> vg.Equilibrium:
    return vg.solve(vg.load_case(CASE), scenario, check=False)


@pytest.mark.parametrize("form", ["paths", "legs"])
def test_growing_makes_another_traffic(form: str) -> None:
    scenario = resolve(vg.load_case(CASE), "stress", v2g=True, changes={"paths.form": form})
    empty = traffic(scenario)
    roads = seeded(scenario, empty)
    assert empty.columns == 0 and not any(map(len, empty.paths.values()))
    kept = {name: own.paths for name, own in roads.paths.items()}
    plans = {name: own.plans for name, own in roads.legs.items()}
    more = {name: own.paths for name, own in solved().coupled.traffic.paths.items()}
    grown = roads.with_paths(more)
    assert grown.columns > roads.columns
    assert {name: own.paths for name, own in roads.paths.items()} == kept
    assert {name: own.plans for name, own in roads.legs.items()} == plans
    assert grown.with_paths(more).columns == grown.columns
    for name, own in kept.items():
        assert grown.paths[name].paths[: len(own)] == own


def test_rounds_leave_a_problem_as_it_is() -> None:
    eq = solved()
    coupled = eq.coupled
    before = {name: own.paths for name, own in coupled.traffic.paths.items()}
    # prices of another point: some path is cheaper, some far dearer
    z = eq.z.copy()
    z[coupled.mcp["charge_price"].slice] *= 0.2
    z[coupled.mcp[coupled.traffic.arc_key].slice] *= 0.5
    grown = extend(coupled, z)
    assert grown.columns > coupled.traffic.columns
    pruned = prune(coupled, eq.z, grown)
    assert pruned.columns < grown.columns
    assert {name: own.paths for name, own in coupled.traffic.paths.items()} == before


def test_what_a_point_says_of_drivers() -> None:
    eq = vg.solve(make_case())
    roads, values = eq.coupled.traffic, eq.values
    for item in roads.results(values):
        stored = eq.data[item.name]
        assert stored.dims == item.dims and stored.attrs["unit"] == item.unit
        np.testing.assert_array_equal(stored.to_numpy(), item.values)
    for name, own in roads.paths.items():
        flow = roads.path_flow(values, name)
        np.testing.assert_allclose(own.od_incidence @ flow, roads.demand[name], rtol=1e-9)
        # the cheapest paths cost what a trip does
        cost = roads.trip_cost(values, name)
        np.testing.assert_allclose(own.least(path_costs(roads, values, name)), cost, rtol=1e-7)
        total = sum(class_costs(roads, values)[name].values())
        assert total == pytest.approx(float(roads.demand[name] @ cost), rel=1e-7)
        assert eq.coupled.mcp[roads.flow_key(name)].labels == tuple((p,) for p in own.labels)
