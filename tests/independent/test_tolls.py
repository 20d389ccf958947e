"""Tolls: answers on paper, the convex program and all paths by hand, and who receives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import fleet, fuel_only, make_case, make_road
from drivers_byhand import check_wardrop, legs_of, ways
from test_accounts import assert_wardrop
from test_potential import busy, compare
from test_potential_random import random_case

import v2geq as vg
from v2geq.data.edit.case import Case
from v2geq.errors import DataError
from v2geq.plots.tables import trip_cost_table
from v2geq.scenario import resolve
from v2geq.trips.costs import path_terms
from v2geq.trips.generation import all_cheapest, price_all
from v2geq.trips.traffic import TripConditions, traffic

pytestmark = pytest.mark.slow


def with_tolls(case: Case, seed: int = 0) -> Case:
    """The case with a toll of 0 to 3 $ on about half of its arcs."""
    g = np.random.default_rng(seed)
    names = case.road.arcs.index
    toll = g.uniform(0.0, 3.0, len(names)) * (g.random(len(names)) < 0.5)
    return case.with_parameters(
        {f"road.arcs.{a}.toll": float(t) for a, t in zip(names, toll, strict=True)}
    )


def solve(case: Case, **more) -> vg.Equilibrium:
    eq = vg.solve(case, **more)
    assert eq.certificate.holds, eq.certificate
    return eq


# -- answers on paper ----------------------------------------------------------------------------

TWO_ROUTES = {
    "1-2": {"capacity_veh_h": 50.0, "free_flow_min": 10.0, "bpr_b": 1.0, "bpr_power": 1.0},
    "1-3": {"capacity_veh_h": 100.0, "free_flow_min": 20.0, "bpr_b": 1.0, "bpr_power": 1.0},
    "3-2": {"free_flow_min": 0.0, "length_km": 0.0},
}


@pytest.mark.parametrize("toll", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("kind", ["ev", "fv"])
def test_toll_shifts_trips_between_two_routes(kind: str, toll: float) -> None:
    """10 (1 + x / 50) + 60 toll / 15 = 20 (1 + (90 - x) / 100) minutes, so x = 70 - 10 toll."""
    case = make_case(
        road=make_road({**TWO_ROUTES, "1-2": {**TWO_ROUTES["1-2"], "toll": toll}}),
        stations={},
        drivers={kind: {"kind": kind, "value_of_time": 15.0}},
        trips={kind: {"1-2": 90.0}},
    )
    eq = solve(case)
    x = 70.0 - 10.0 * toll
    np.testing.assert_allclose(eq.flow_veh_h, [x, 90.0 - x, 90.0 - x], rtol=1e-8)
    cost = 15.0 / 60.0 * (20.0 + 0.2 * (90.0 - x))
    assert float(eq.data[f"cost_{kind}"][0]) == pytest.approx(cost, rel=1e-8)
    roads = eq.accounts.profit.get("roads", 0.0)
    assert roads == pytest.approx(toll * x, rel=1e-8)


def test_classes_of_different_value_of_time_part_at_a_toll() -> None:
    """1 $ against 5 minutes: worth it above 12 $/h, for fuel and for electric vehicles."""
    constant = {"bpr_b": 0.0, "free_flow_min": 5.0}
    arcs = {"1-2": {**constant, "toll": 1.0}, "1-3": constant, "3-2": constant}
    worth = {"rich": ("ev", 30.0), "poor": ("ev", 6.0), "fast": ("fv", 13.0), "slow": ("fv", 11.0)}
    case = make_case(
        road=make_road(arcs),
        stations={},
        drivers={k: {"kind": kind, "value_of_time": v} for k, (kind, v) in worth.items()},
        trips={k: {"1-2": 10.0} for k in worth},
    )
    eq = solve(case)
    for name, (_, value) in worth.items():
        pays = value > 12.0
        np.testing.assert_allclose(
            eq.data[f"flow_{name}_veh_h"], [10.0 * pays, *[10.0 * (not pays)] * 2], atol=1e-9
        )
        cost = min(value * 5 / 60 + 1.0, value * 10 / 60)
        assert float(eq.data[f"cost_{name}"][0]) == pytest.approx(cost, rel=1e-9)


def test_a_toll_that_all_must_pay_changes_costs_only() -> None:
    case = busy()
    plain, tolled = solve(case), solve(case, parameters={"road.arcs.4-5.toll": 1e6})
    np.testing.assert_allclose(tolled.flow_veh_h, plain.flow_veh_h, rtol=1e-6, atol=1e-6)
    more = (tolled.cost_ev - plain.cost_ev).to_numpy()
    wanted = [1e6 * (d == "5") for d in tolled.data["destination_ev"].to_numpy()]
    np.testing.assert_allclose(more, wanted, rtol=1e-9, atol=1e-5)


def test_prices_of_power_do_not_know_tolls_without_electric_vehicles() -> None:
    case = fuel_only(road=make_road(TWO_ROUTES), trips={"fv": {"1-2": 90.0}})
    plain, tolled = solve(case), solve(case, parameters={"road.arcs.1-2.toll": 2.0})
    assert abs(float(plain.flow_veh_h[0] - tolled.flow_veh_h[0])) > 1.0
    np.testing.assert_allclose(tolled.dlmp, plain.dlmp, rtol=1e-8)


def test_toll_on_the_shipped_case_empties_the_road() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    tolled = case.with_parameters({"road.arcs.6-8.toll": {"value": 50, "unit": "$/veh"}})
    eq = solve(tolled)
    assert float(eq.flow_veh_h.sel(arc="6-8")) == pytest.approx(0.0, abs=1e-6)
    some = solve(case, parameters={"road.arcs.6-8.toll": 5.0})
    flow = float(some.flow_veh_h.sel(arc="6-8"))
    assert flow > 100.0
    assert some.accounts.profit["roads"] == pytest.approx(5.0 * flow, rel=1e-9)
    assert "toll" in some.explain(od=(1, 20)).table


# -- against other models ------------------------------------------------------------------------


@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("seed", [1, 5, 8, None])
def test_tolled_equilibrium_is_the_optimum_of_the_potential(seed: int | None, v2g: bool) -> None:
    """By cvxpy, and by hand: no path of the road is cheaper, of fuel and electric vehicles."""
    case = with_tolls(busy() if seed is None else random_case(seed), seed or 0)
    eq = solve(case, v2g=v2g)
    assert eq.accounts.profit["roads"] > 1.0
    compare(eq, "base", v2g)
    check_wardrop(eq)
    assert_wardrop(eq)


@pytest.mark.parametrize("values", [(12.0, 12.0, 12.0), (25.0, 12.0, 6.0)])
def test_classes_see_their_own_tolls(values, tmp_path: Path) -> None:
    """Equal and unequal values of time; saved and read again; by legs as by paths."""
    case = with_tolls(fleet(values), 3)
    eq = solve(case)
    check_wardrop(eq)
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert np.array_equal(again.z, eq.z) and not again.edited and again.certificate.holds
    assert again.accounts.items.equals(eq.accounts.items)
    legs = solve(case, parameters={"paths.form": "legs"})
    np.testing.assert_allclose(legs.flow_veh_h, eq.flow_veh_h, rtol=1e-5, atol=1e-5)
    parts = [eq.data[f"cost_{k}"].to_numpy() for k in case.drivers]
    others = [legs.data[f"cost_{k}"].to_numpy() for k in case.drivers]
    np.testing.assert_allclose(np.concatenate(others), np.concatenate(parts), rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_cheapest_tolled_paths_at_any_flows_and_prices(seed: int) -> None:
    """Pricing, and the search for ties, against all paths enumerated by hand."""
    g = np.random.default_rng(seed)
    v2g = bool(seed % 2)
    case = with_tolls(random_case(seed), seed)
    omega = float(g.uniform(3.0, 40.0))
    case = case.with_parameters({"drivers.ev.value_of_time": omega})
    roads = traffic(resolve(case, "base", v2g=v2g), first_paths=False)
    count = len(case.stations)
    flow, stops = g.uniform(0.0, 40.0, len(case.road.arcs)), g.uniform(0.0, 10.0, count)
    charge, discharge = g.uniform(0.05, 1.0, (2, count))
    here = TripConditions(flow, stops, charge, discharge if v2g else None)
    found = price_all(roads, here)
    tied = all_cheapest(roads, here, {k: c + 0.2 for k, c in found.cost.items()})
    hours, waits = roads.travel_time.time(flow), roads.waits(stops)
    legs = legs_of(case.road, case.drivers, case.stations)["ev"]
    least = [
        legs.cheapest(o, d, hours, (waits[0], waits[1]), charge, discharge if v2g else None)
        for o, d in roads.od_names("ev")
    ]
    np.testing.assert_allclose(found.cost["ev"], least, rtol=1e-11)
    price = case.drivers["fv"].value_of_time * hours + case.road.arcs["toll"].to_numpy()
    fuel = [min(price[w].sum() for w in ways(case.road, o, d)) for o, d in roads.od_names("fv")]
    np.testing.assert_allclose(found.cost["fv"], fuel, rtol=1e-11)
    values = {"drivers.arc_flow": flow, "drivers.station_flow": stops, "charge_price": charge}
    values["discharge_price"] = discharge
    for name in case.drivers:
        roads = roads.with_paths({name: found.paths[name]})
        own = np.sum(list(path_terms(roads, values, name).values()), axis=0)
        np.testing.assert_allclose(own, found.cost[name], rtol=1e-11)
        assert {p.key for p in found.paths[name]} <= {p.key for p in tied[name] or ()}
        roads = roads.with_paths({name: tied[name] or ()})
        own = np.sum(list(path_terms(roads, values, name).values()), axis=0)
        assert (own <= found.cost[name][roads.paths[name].od] + 0.2 + 1e-9).all()


def test_equal_batteries_of_unequal_values_of_time_are_priced_apart() -> None:
    """Leg fronts are of time and toll: one class's would give the other's cost wrongly."""
    values = {"rich": 40.0, "poor": 4.0}
    case = make_case(
        road=make_road(
            {
                "1-2": {"toll": 1.0, "free_flow_min": 5.0},
                "1-3": {"free_flow_min": 6.0},
                "3-2": {"free_flow_min": 4.0},
                "2-4": {},
            }
        ),
        stations={"s": {"road_node": "2", "bus": "b"}},
        drivers={k: {"value_of_time": v} for k, v in values.items()},
        trips={k: {"1-4": 5.0} for k in values},
    )
    roads = traffic(resolve(case, "base", v2g=True), first_paths=False)
    found = price_all(roads, TripConditions(np.zeros(4), np.zeros(1), np.array([0.2]), None))
    for name, value in values.items():
        assert found.cost[name][0] == pytest.approx(
            min(value * 10 / 60 + 1.0, value * 15 / 60), rel=1e-12
        )
    assert len(found.paths["rich"][0].arcs) == 2 < len(found.paths["poor"][0].arcs)


def test_routes_tied_by_a_toll_are_all_found() -> None:
    """5 min and 1 $ or 10 min at 12 $/h: path flows are over both, whoever found one."""
    constant = {"bpr_b": 0.0, "free_flow_min": 5.0}
    road = make_road({"1-2": {**constant, "toll": 1.0}, "1-3": constant, "3-2": constant})
    for kind in ("ev", "fv"):
        case = make_case(
            road=road, stations={}, drivers={kind: {"kind": kind}}, trips={kind: {"1-2": 10.0}}
        )
        table = solve(case).paths(kind)
        assert sorted(table["toll"]) == [0.0, 1.0]
        np.testing.assert_allclose(table["cost"], 2.0, rtol=1e-9)


def test_enumerated_paths_pay_tolls() -> None:
    case = with_tolls(busy(method="enumerate"), 2)
    eq = solve(case)
    assert_wardrop(eq)
    compare(eq, "base", True)


# -- who pays and who receives -------------------------------------------------------------------


def test_tolls_are_received_by_the_roads_and_no_social_cost() -> None:
    eq = solve(with_tolls(busy(), 4))
    toll = eq.original.road.arcs["toll"].to_numpy()
    items = eq.accounts.items.set_index(["player", "item"])["amount"]
    paid = {k: float(toll @ eq.data[f"flow_{k}_veh_h"].to_numpy()) for k in eq.original.drivers}
    assert all(amount > 0.0 for amount in paid.values())
    for name, amount in paid.items():
        assert items[f"drivers.{name}", "tolls"] == pytest.approx(-amount, rel=1e-9)
        # trip costs hold all that drivers pay
        trips = float(eq.data[f"trips_{name}_veh_h"] @ eq.data[f"cost_{name}"])
        assert eq.accounts.profit[f"drivers.{name}"] == pytest.approx(-trips, rel=1e-8)
    table = trip_cost_table(eq)
    assert float(table["toll"] @ table["trips_veh_h"]) == pytest.approx(paid["ev"], rel=1e-6)
    np.testing.assert_allclose(table["total"], eq.cost_ev, rtol=1e-6)
    assert items["roads", "tolls"] == pytest.approx(sum(paid.values()), rel=1e-9)
    assert not [term for term in eq.accounts.social_cost.index if "toll" in term]
    welfare = -float(eq.accounts.social_cost.sum())
    assert float(eq.accounts.profit.sum()) == pytest.approx(welfare, rel=1e-9)
    assert abs(eq.accounts.identity_gap) <= 1e-6


def test_sensitivity_to_a_toll() -> None:
    case = with_tolls(busy(), 5)
    arc = case.road.arcs["toll"].idxmax()
    name, value = f"road.arcs.{arc}.toll", float(case.road.arcs["toll"].max())
    slope = solve(case).sensitivity(of="flow_veh_h", to=name)
    h = 1e-3
    up, down = (solve(case, parameters={name: value + s}).flow_veh_h for s in (h, -h))
    assert float(np.abs(slope).max()) > 0.01
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-4, atol=1e-5)


# -- doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "unit", "words"),
    [
        ({"toll": -2.0}, "$/veh", r"'1-2'.* toll = -2\.0 \$/veh is out of range.*at least 0"),
        ({"toll": np.nan}, "$/veh", r"'1-2'.* toll = nan is not finite"),
        ({"toll": np.inf}, "$/veh", r"'1-2'.* toll = inf is not finite"),
        ({"toll": 2.0}, "", r"'1-2'.* toll = 2\.0 in an unknown unit.*toll_usd"),
        ({"toll": 2.0}, "cents", r"'1-2'.* toll = 2\.0 cents, .*in \$/veh"),
        ({"fixed_min": 2.0}, "$/veh", r"'1-2'.* fixed_min = 2\.0 min.*set fixed_min to 0"),
    ],
)
def test_costs_of_arcs_that_no_case_holds(columns, unit: str, words: str) -> None:
    case = busy()
    arcs = case.road.arcs.copy()
    arcs.loc["1-2", list(columns)] = list(columns.values())
    road = replace(case.road, arcs=arcs, toll_unit=unit)
    with pytest.raises(DataError, match=words):
        vg.solve(replace(case, road=road))


def test_a_road_without_the_column_gets_it_with_its_first_toll() -> None:
    case = busy()
    bare = replace(case, road=replace(case.road, arcs=case.road.arcs.drop(columns="toll")))
    assert "tolls" not in solve(bare).accounts.items["item"].to_numpy()
    tolled = bare.with_parameters({"road.arcs.1-2.toll": 1.0})
    assert tolled.road.arcs["toll"].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_parameter_of_a_toll_is_checked() -> None:
    for value in (-1.0, {"value": 50, "unit": "$/h"}, "free", float("nan")):
        with pytest.raises(DataError, match="toll"):
            busy().with_parameters({"road.arcs.1-2.toll": value})
