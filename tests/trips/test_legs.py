"""Legs as commodities: paths fall into legs and back, and both forms have one equilibrium."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from cases import make_case, make_road

import v2geq as vg
from v2geq.roads.graph import Graph
from v2geq.trips.battery import EnergyRules
from v2geq.trips.legs import LegSet
from v2geq.trips.paths import Path, make_path


def road() -> Graph:
    """Two ways from 1 to 3, one of them by 2; two from 3 to 5, one of them by 4."""
    return Graph.from_road(make_road({a: {} for a in "1-2 2-3 1-3 3-4 4-5 3-5".split()}))


RULES = EnergyRules(battery=20.0, reserve=0.0, low=8.0, consumption=0.5, departure=15.0)


def a_path(graph: Graph, arcs: str, stops: list[tuple[int, str, int]]) -> Path:
    names = list(graph.arcs)
    path = make_path(graph, RULES, 0, [names.index(a) for a in arcs.split()], stops)
    assert path is not None
    return path


def test_paths_fall_into_shared_legs() -> None:
    graph = road()
    legs = LegSet(graph, RULES, np.array([[0, 4]]), ["s"])
    north = a_path(graph, "1-3 3-5", [(0, "C", 1)])
    south = a_path(graph, "1-2 2-3 3-4 4-5", [(0, "C", 2)])
    sold = a_path(graph, "1-3 3-4 4-5", [(0, "D", 1)])
    sizes = []
    for more in ([north], [south], [sold, north]):
        before, legs = legs, legs.with_paths(more)
        sizes.append((len(before.plans), len(before.routes)))
    # one plan, two routes; the same plan on other routes; all sets as they were
    assert sizes == [(0, 0), (1, 2), (1, 4)]
    assert (len(legs.plans), len(legs.routes)) == (2, 6)
    assert legs.labels == ["1 to +s", "full s to 5", "1 to -s", "low s to 5"]
    assert legs.plan_labels == ["1(+s)-5", "1(-s)-5"]
    assert legs.plan_incidence.toarray().tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    # what a path charges, sells and arrives with is the sum over its routes
    routes = legs.routes
    used = [routes.label(r) for r in routes.paths]
    assert used[0] == "1-3(+s)" and used[1] == "3-5"
    charged = np.asarray(routes.charge_energy.sum(axis=0)).ravel()
    assert charged[0] == pytest.approx(north.stops[0].energy_kwh)
    sold_energy = np.asarray(routes.discharge_energy.sum(axis=0)).ravel()
    assert sold_energy[used.index("1-3(-s)")] == pytest.approx(sold.stops[0].energy_kwh)
    assert routes.arrival_kwh[1] == north.arrival_kwh
    assert routes.arrival_kwh[0] == RULES.start


def test_joined_paths_add_up_to_routes_and_plans() -> None:
    graph = road()
    legs = LegSet(graph, RULES, np.array([[0, 4]]), ["s"])
    legs = legs.with_paths([a_path(graph, "1-3 3-5", [(0, "C", 1)])])
    legs = legs.with_paths([a_path(graph, "1-2 2-3 3-4 4-5", [(0, "C", 2)])])
    route = np.array([3.0, 1.0, 2.0, 4.0])  # 1-3, 3-5, 1-2-3, 3-4-5
    flow = legs.join(route, np.array([5.0]))
    assert sum(flow.values()) == pytest.approx(5.0)
    assert len(flow) <= 5
    total = dict.fromkeys(graph.arcs, 0.0)
    for path, f in flow.items():
        for a in path.arcs:
            total[graph.arcs[a]] += f
    expected = {"1-2": 2, "2-3": 2, "1-3": 3, "3-4": 4, "4-5": 4, "3-5": 1}
    assert total == pytest.approx(expected)


def test_joining_survives_rounding() -> None:
    graph = road()
    legs = LegSet(graph, RULES, np.array([[0, 4]]), ["s"])
    legs = legs.with_paths([a_path(graph, "1-3 3-5", [(0, "C", 1)])])
    flow = legs.join(np.array([1.0 - 1e-12, 1.0 - 1e-12]), np.array([1.0]))
    assert list(flow.values()) == [1.0]


def test_joining_leaves_every_pair_a_path() -> None:
    graph = road()
    legs = LegSet(graph, RULES, np.array([[0, 4]]), ["s"])
    legs = legs.with_paths([a_path(graph, "1-3 3-5", [(0, "C", 1)])])
    flow = legs.join(np.zeros(2), np.array([-1e-9]))
    assert list(flow.values()) == [0.0]


@cache
def solved(scenario: str, v2g: bool, form: str) -> vg.Equilibrium:
    case = vg.load_case("ieee123_sioux_falls_binding")
    return vg.solve(case, scenario, v2g=v2g, parameters={"paths.form": form})


@pytest.mark.slow
@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
def test_both_forms_have_one_equilibrium(scenario: str, v2g: bool) -> None:
    paths, legs = solved(scenario, v2g, "paths"), solved(scenario, v2g, "legs")
    assert legs.certificate.holds, legs.certificate.failures
    np.testing.assert_allclose(legs.cost_ev, paths.cost_ev, rtol=1e-7)
    np.testing.assert_allclose(legs.flow_veh_h, paths.flow_veh_h, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(legs.stops_veh_h, paths.stops_veh_h, rtol=1e-6, atol=1e-4)
    # elsewhere prices are intervals where limits bind
    loaded = [paths.scenario.buses[i] for i in paths.scenario.load_buses]
    np.testing.assert_allclose(legs.dlmp.sel(bus=loaded), paths.dlmp.sel(bus=loaded), rtol=1e-6)
    totals = [float(eq.accounts.social_cost.sum()) for eq in (legs, paths)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-9)


def test_legs_with_several_classes_save_and_load(tmp_path) -> None:
    eq = vg.solve(make_case(), parameters={"paths.form": "legs"})
    assert eq.certificate.holds
    eq.save(tmp_path / "legs.nc")
    again = vg.load(tmp_path / "legs.nc")
    assert again.certificate.holds
    np.testing.assert_array_equal(again.z, eq.z)
    warm = vg.solve(make_case(), parameters={"paths.form": "legs"}, start=eq)
    assert warm.certificate.holds


def test_legs_do_not_go_with_enumerated_paths() -> None:
    case = vg.load_case("ieee123_sioux_falls_reference")
    with pytest.raises(vg.DataError, match="form = 'legs' does not go with method = 'enumerate'"):
        vg.solve(case, "base", parameters={"paths.form": "legs"})
