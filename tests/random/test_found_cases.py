"""What random cases brought to light, each as a small case of its own."""

from __future__ import annotations

from collections.abc import Callable

import judge
import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder, make_road
from drivers_byhand import check_wardrop
from random_cases import Market

import v2geq as vg
from v2geq.certificates.market import certify
from v2geq.data.edit.case import Case
from v2geq.data.model.case import ScenarioData
from v2geq.errors import DataError


def must_run(**changes) -> Case:
    """An island with one kW of firm load and a generator that must run at 7 kW.

    Vehicles pass the station on their way and need not charge; only their charging makes room.
    """
    settings = {
        "feeder": make_feeder({"r-a": {}}, {"a": 1.0}),
        "road": make_road({"1-2": {"length_km": 8.0}, "2-3": {"length_km": 2.0}}),
        "stations": {"s": {"road_node": "2", "bus": "a", "charge_max_kw": 30.0}},
        "lses": {"A": 1.0},
        "generators": {"g": {"lse": "A", "bus": "a", "min_kw": 7.0, "max_kw": 7.0}},
        "trips": {"ev": {"1-3": 2.0}},
        "scenarios": {"base": ScenarioData(outages=("r-a",))},
        "firm_share": 1.0,
    }
    return make_case(**{**settings, **changes})


def test_paths_that_make_a_case_feasible_are_found() -> None:
    """No cheapest path charges, so without prices from the conflict the case looked infeasible."""
    eq = vg.solve(must_run(), v2g=False)
    assert eq.certificate.holds, eq.certificate
    assert float(eq.charge_kw.sum()) == pytest.approx(6.0, abs=1e-6)
    check_wardrop(eq)


def test_a_case_no_path_makes_feasible_is_refused() -> None:
    """Two vehicles an hour with 24 kWh each cannot take 100 kW, wherever they drive."""
    generators = {"g": {"lse": "A", "bus": "a", "min_kw": 100.0, "max_kw": 100.0}}
    case = must_run(generators=generators)
    with pytest.raises(DataError, match=r"no state of the market.*generation\[g\]") as caught:
        vg.solve(case, v2g=False)
    judge.confirm(Market(case, False), str(caught.value))


def test_limit_of_zero_is_named() -> None:
    """A fixed bank whose reactive power may not flow back to the TSO."""
    case = make_case(
        feeder=make_feeder(capacitors={"b": 500.0}), capacitors="fixed", reactive_min=0.0
    )
    with pytest.raises(
        DataError, match="nearest: substation at least 380 kvar below reactive_min 0"
    ) as caught:
        vg.solve(case)
    judge.confirm(Market(case, True), str(caught.value))


@pytest.mark.parametrize("rating", ["box", "polygon", "none"])
def test_feeder_without_any_line(rating: str) -> None:
    """All that is left of the feeder is the substation."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"r": 100.0}),
        generators={},
        scenarios={"base": ScenarioData(outages=("r-a",))},
        line_rating=rating,
    )
    eq = vg.solve(case, v2g=False)
    assert eq.certificate.holds, eq.certificate
    assert isinstance(eq.warnings, list)


def test_unrated_lines_carry_more_reactive_than_real_power() -> None:
    """The DSO's own problem once bounded reactive flows by all real power there is."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {"r_ohm": 0.01, "x_ohm": 0.01}}, {"a": (10.0, 400.0)}),
        generators={},
        line_rating="none",
        import_max=0.0,
    )
    eq = vg.solve(case, v2g=False)
    assert eq.certificate.holds, eq.certificate


@pytest.mark.parametrize("demand", ["linear", "p0*exp(0.5*(1 - q/q0))"])
def test_must_run_sells_beyond_the_range_of_demand(demand: str) -> None:
    """Prices fall to nothing or below; the sellers' own problems still hold the point."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        lses={"A": 1.0},
        generators={"g": {"lse": "A", "bus": "a", "min_kw": 400.0, "max_kw": 500.0}},
        firm_share=0.0,
        inverse_demand=demand,
        demand_range=2.0,
    )
    eq = vg.solve(case, v2g=False)
    assert eq.certificate.holds, eq.certificate
    assert float(eq.generation_kw.sum()) == pytest.approx(400.0)


def test_prices_whose_sum_alone_is_determined_may_be_large() -> None:
    """In an island without trade outside, lambda and theta may move against each other."""
    case = make_case(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        road=make_road({"1-2": {}, "2-3": {}}),
        stations={"s": {"road_node": "2", "bus": "a"}},
        lses={"A": 1.0},
        generators={},
        trips={"ev": {"1-3": 30.0}},
        scenarios={"base": ScenarioData(outages=("r-a",))},
    )
    eq = vg.solve(case, v2g=True)
    assert eq.certificate.holds
    z = eq.z.copy()
    values = eq.coupled.mcp.split(z)
    shift = 6000.0
    values["lse.A.energy"] += shift
    values["tso_price"] += shift
    values["dso.balance"][1] -= shift
    values["wheeling_price"][1] -= shift
    certificate, _ = certify(eq.coupled, z)
    # the substation would sell nothing at no price below this one, if it may not import
    regrets = certificate.regrets["relative"].drop("dso")
    assert regrets.max() < 1e-5


def test_dso_alone_where_a_voltage_limit_is_dear() -> None:
    """Power and squared voltages in one program: tolerances in kW once let a voltage be off."""
    case = fuel_only(
        feeder=make_feeder(
            {
                "r-a": {"r_ohm": 0.07, "x_ohm": 0.15},
                "r-b": {"kind": "switch", "r_ohm": 0.0, "x_ohm": 0.0},
                "c-r": {
                    "kind": "regulator",
                    "r_ohm": 0.34,
                    "x_ohm": 0.02,
                    "rating_kva": 500.0,
                    "ratio": 0.982,
                },
                "c-d": {"r_ohm": 0.23, "x_ohm": 0.33},
                "d-e": {"r_ohm": 0.05, "x_ohm": 0.32},
                "d-f": {"kind": "switch", "r_ohm": 0.0, "x_ohm": 0.0, "rating_kva": 250.0},
            },
            {"r": (198.0, 6.0), "c": (13.0, 38.0), "d": (119.0, 35.0), "f": (166.0, 5.0)},
        ),
        lses={"A": 0.5, "B": 0.3, "C": 0.2},
        generators={
            "g0": {
                "lse": "C",
                "bus": "d",
                "min_kw": 14.0,
                "max_kw": 70.0,
                "cost": "0.1*exp(g/100)",
            },
            "g1": {
                "lse": "C",
                "bus": "d",
                "max_kw": 50.0,
                "cost_linear": 49.35,
                "cost_quadratic": 0.15,
                "max_kvar": 100.0,
            },
            "g2": {
                "lse": "C",
                "bus": "c",
                "min_kw": 123.0,
                "max_kw": 123.0,
                "cost_linear": 31.8,
                "cost_quadratic": 0.0,
                "max_kvar": 100.0,
            },
        },
        vmin=0.97,
        vmax=1.03,
        root_voltage=1.02,
        line_rating="box",
        price=45.0,
        reference_price=22.5,
        voll=75.0,
        elasticity=-2.0,
        inverse_demand="p0*(1.5 - 0.25*q/q0 - 0.25*(q/q0)**2)",
        demand_range=2.0,
        import_min=20.0,
        reactive_max=200.0,
    )
    eq = vg.solve(case, v2g=False)
    assert float(eq.voltage_pu.max()) == pytest.approx(1.03)
    assert eq.certificate.holds, eq.certificate


def cycling() -> Case:
    """From a far start predictor-corrector steps threw g1 from one of its bounds to the other."""
    lines = {
        "r-a": {"r_ohm": 0.01225, "x_ohm": 0.008, "rating_kva": 16000.0},
        "r-b": {"kind": "switch", "r_ohm": 0.0, "x_ohm": 0.0, "rating_kva": 16000.0},
        "r-c": {"r_ohm": 0.01225, "x_ohm": 0.00825, "rating_kva": 16000.0},
        "c-d": {"r_ohm": 0.00225, "x_ohm": 0.00125, "rating_kva": 40000.0},
        "b-e": {"r_ohm": 0.005, "x_ohm": 0.00925, "rating_kva": 40000.0},
        "d-f": {"r_ohm": 0.00675, "x_ohm": 0.0115, "rating_kva": 40000.0},
        "e-g": {"r_ohm": 0.00575, "x_ohm": 0.0095, "rating_kva": 16000.0},
        "f-h": {"r_ohm": 0.00425, "x_ohm": 0.0085, "rating_kva": 4800.0},
        "f-i": {"r_ohm": 0.00475, "x_ohm": 0.00425, "rating_kva": 4800.0},
    }
    loads = {
        "a": (3880.0, -240.0),
        "b": (7400.0, 3200.0),
        "c": (5600.0, 2280.0),
        "d": (4960.0, 2040.0),
        "e": (4200.0, 1280.0),
        "f": (8000.0, -280.0),
        "g": (6920.0, 40.0),
        "h": (2880.0, 2240.0),
        "i": (3120.0, 1840.0),
    }
    arc = {"bpr_b": 0.0, "bpr_power": 4.0}
    cheap = {"lse": "A", "cost_quadratic": 2.5e-5}
    return make_case(
        feeder=make_feeder(lines, loads, {"g": 2000.0}),
        road=make_road(
            {
                "1-2": {**arc, "length_km": 6.5, "free_flow_min": 11.05},
                "2-1": {**arc, "length_km": 9.0, "free_flow_min": 9.9},
                "2-3": {**arc, "length_km": 5.1, "free_flow_min": 9.69},
            }
        ),
        stations={
            "s0": {"road_node": "1", "bus": "r", "charge_max_kw": 200.0, "queue_slope_h": 0.0},
            "s1": {"road_node": "2", "bus": "b", "queue_slope_h": 0.0},
            "s2": {"road_node": "2", "bus": "f", "charge_max_kw": 200.0},
        },
        lses={"A": 1.0},
        generators={
            "g0": {**cheap, "bus": "a", "max_kw": 8040.0, "cost_linear": 0.047},
            "g1": {**cheap, "bus": "r", "max_kw": 3400.0, "cost_linear": 0.001},
        },
        drivers={"ev": {"battery": 60.0, "discharge_level": 0.15, "reserve": 0.1}},
        trips={"ev": {"1-2": 29.0}},
        vmin=0.95,
        vmax=1.05,
        regulators=False,
        capacitors="fixed",
        line_rating="box",
        reactive_min=0.0,
        reactive_max=4e5,
        import_max=4e5,
        firm_share=0.0,
        elasticity=-2.0,
        queue_smoothing=0.1,
    )


@pytest.mark.parametrize("build", [cycling, must_run])
def test_far_starts(build: Callable[[], Case]) -> None:
    eq = vg.solve(build(), v2g=False)
    mcp = eq.coupled.mcp
    for seed in range(20):
        normal = np.random.default_rng(seed).normal(0.0, 3.0, mcp.n)
        result = judge.solver("interior_point")(mcp, mcp.start + mcp.scale * normal, None)
        assert result.status.ok, (seed, result.status, result.residual, result.worst)


@pytest.mark.parametrize("factor", [2, 5])
def test_found_deviation_with_many_free_trades(factor: float) -> None:
    """Stations and buses of equal price leave an LSE indifferent inside wide bounds."""
    case = vg.load_case("ieee123_sioux_falls")
    changes = {"drivers.ev.trips_spread": True, "drivers.ev.trips_factor": factor}
    eq = vg.solve(case, "stress", parameters=changes)
    assert eq.certificate.holds, eq.certificate.failures


def test_found_charging_where_nothing_is_generated() -> None:
    """Vehicles that must charge in an island fed by nobody: bad data, said so with the place."""
    case = make_case(
        feeder=make_feeder(loads={"a": 100.0, "b": 200.0}),
        generators={"ga": {"lse": "A", "bus": "a"}},
        drivers={"ev": {"start_level": 0.45}},
        scenarios={"base": ScenarioData(outages=("a-b",))},
        firm_share=0.0,
    )
    with pytest.raises(DataError, match="no state of the market keeps all limits"):
        vg.solve(case, v2g=True)


def test_a_limit_of_nothing_binds_by_the_trade_beside_it() -> None:
    """Stations that may not charge once paid a few sellers 571,000 $/kWh, for a limit not met.

    Their sales of 1e-7 kW were nothing beside the loads of the feeder, so the limit passed for met.
    """
    station = {"road_node": "2", "piles": 0.5, "discharge_piles": 0.5, "charger_power_kw": 11.0}
    case = make_case(
        feeder=make_feeder(
            {
                "r-a": {"kind": "switch", "r_ohm": 0.0, "x_ohm": 0.0},
                "r-b": {"r_ohm": 0.49, "x_ohm": 0.16},
                "b-c": {"r_ohm": 0.3, "x_ohm": 0.17},
            },
            {"a": (79.0, 32.0), "b": (6.0, 35.0)},
        ),
        road=make_road(
            {
                "1-2": {"length_km": 6.7, "free_flow_min": 10.72},
                "2-1": {"length_km": 8.0, "free_flow_min": 13.6},
                "2-3": {"length_km": 5.7, "free_flow_min": 7.41},
                "3-2": {"length_km": 7.1, "free_flow_min": 10.65},
            }
        ),
        stations={
            "s0": {**station, "bus": "a", "charge_max_kw": 0.0, "base_wait_h": 0.088},
            "s1": {**station, "bus": "b", "charge_max_kw": 0.0, "base_wait_h": 0.014},
            "s2": {**station, "bus": "c", "base_wait_h": 0.083},
        },
        generators={"g0": {"lse": "A", "bus": "b", "max_kw": 5.0, "cost_linear": 0.114}},
        drivers={
            "ev": {
                "battery": 60.0,
                "consumption": 0.2,
                "discharge_level": 0.4,
                "reserve": 0.1,
                "degradation": 0.2,
            }
        },
        trips={"ev": {"1-3": 2e-10, "2-1": 3e-9}},
        import_max=0.0,
        firm_share=0.0,
        elasticity=-2.0,
    )
    eq = vg.solve(case)
    assert eq.certificate.holds, eq.certificate
    # where drivers would begin to sell: plugging in takes time
    assert float(np.abs(eq.discharge_price).max()) < 2.0


def test_a_fixed_capacitor_may_give_more_than_all_loads_could_use() -> None:
    """A range of reactive supply around 200 kvar beside a load of 5 kW was refused as a statement."""
    case = must_run(
        feeder=make_feeder({"r-a": {}}, {"a": (5.0, 0.0)}, capacitors={"a": 200.0}),
        generators={
            "g": {"lse": "A", "bus": "a", "max_kw": 1.0, "min_kvar": -1.0, "max_kvar": 1.0}
        },
        scenarios={"base": ScenarioData()},
        capacitors="fixed",
    )
    eq = vg.solve(case, "base")
    assert eq.certificate.holds, eq.certificate
    assert float(eq.tso_reactive_kvar) == pytest.approx(-200.0, abs=2.0)
