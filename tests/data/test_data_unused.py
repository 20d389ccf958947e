"""Data that no equation uses is told, or refused where it could never have an effect."""

from __future__ import annotations

from typing import Any

import pytest
from cases import make_case, make_road

import v2geq as vg
from v2geq.data.edit.case import load_case
from v2geq.data.model.case import ScenarioData
from v2geq.data.parameters.unused import unused
from v2geq.errors import DataError

OWN = {"ga": {"lse": "A", "bus": "a", "cost": "0.1*g"}, "gb": {"lse": "B", "bus": "b"}}
CONSTANT = {"bpr_b": 0.0, "bpr_power": 0.0}


def road(**columns: Any) -> Any:
    return make_road({"1-2": columns, "2-3": {}})


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, []),
        (
            {"road": road(conical_alpha=4.0)},
            ["road.arcs: conical_alpha of 1-2 is not used: the delay is 'bpr'"],
        ),
        ({"road": road(delay="conical", conical_alpha=4.0, **CONSTANT)}, []),
        (
            {"road": road(delay="t0*(1 + b*x/c)")},
            ["road.arcs: bpr_power of 1-2 is not used: the delay is 't0*(1 + b*x/c)'"],
        ),
        (
            {"stations": {"s": {"road_node": "2", "bus": "b", "discharge_piles": 3.0}}},
            ["stations: discharge_piles of s is not used: stations.queue is 'shared'"],
        ),
        (
            {
                "stations": {"s": {"road_node": "2", "bus": "b", "discharge_piles": 3.0}},
                "queue": "direction",
            },
            [],
        ),
        (
            {"generators": OWN},
            [
                "generators: cost_linear of ga is not used: the cost is 0.1*g",
                "generators: cost_quadratic of ga is not used: the cost is 0.1*g",
            ],
        ),
        (
            {"line_rating": "box", "rating_sides": 8},
            ["feeder.rating_sides = 8 is not used: feeder.line_rating is 'box'"],
        ),
        (
            {"scenarios": {"base": ScenarioData(closed=("a-b",))}},
            ["scenario.base.closed: a-b is closed in any scenario"],
        ),
        (
            {"base_routes_ev": 3},
            ["paths.base_routes_ev = 3 is not used: paths.method is 'exact'"],
        ),
        ({"base_routes_ev": 3, "method": "enumerate"}, []),
        (
            {"feed_in_price": 0.04},
            ["substation.feed_in_price = 0.04 is not used: substation.import_min is not below 0"],
        ),
        ({"feed_in_price": 0.04, "import_min": -10.0}, []),
        (
            {"stations": {"s": {"road_node": "2", "bus": "b", "store_efficiency": 0.9}}},
            ["stations: store_efficiency of s is not used: store_charge_kw is zero"],
        ),
        (
            {
                "stations": {
                    "s": {"road_node": "2", "bus": "b", "store_value": 0.1, "store_charge_kw": 5.0}
                }
            },
            [],
        ),
    ],
)
def test_unused_data_are_named(parts: dict[str, Any], told: list[str]) -> None:
    assert unused(make_case(**parts)) == told


@pytest.mark.parametrize("name", vg.available_cases())
def test_shipped_cases_use_all_they_hold(name: str) -> None:
    assert unused(load_case(name)) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"stations.s.discharge_piles": 10.0}, "stations.queue is 'shared'"),
        ({"road.arcs.1-2.conical_alpha": 0.0}, "the delay is 'bpr'"),
        ({"base_routes_fv": 12}, "paths.method is 'exact'"),
        ({"demand_range": 3.0}, "inverse_demand is 'linear'"),
        ({"scenario.other.load_factor": 2.0}, "the scenario is base"),
    ],
)
def test_a_change_without_effect_is_told(change: dict[str, Any], why: str) -> None:
    scenarios = {"base": ScenarioData(), "other": ScenarioData()}
    eq = vg.solve(make_case(scenarios=scenarios), parameters=change)
    told = [text for text in eq.warnings if "is changed but not used" in text]
    assert len(told) == 1
    assert why in told[0] and next(iter(change)).rpartition(".")[2] in told[0]


def test_a_change_with_effect_is_not_told() -> None:
    changes = {"voll": 4.0, "scenario.base.load_factor": 0.9, "road.arcs.1-2.toll": 1.0}
    eq = vg.solve(make_case(), parameters=changes)
    assert not [text for text in eq.warnings if "not used" in text]


@pytest.mark.parametrize(
    "name",
    [
        "feeder.buses.b.base_kv",
        "feeder.buses.b.phases",
        "feeder.branches.a-b.length_km",
        "feeder.branches.a-b.phases",
    ],
)
def test_descriptions_are_no_parameters(name: str) -> None:
    value = "a" if name.endswith("phases") else 2.0
    with pytest.raises(DataError, match=f"{name} enters no equation; .*change"):
        make_case().with_parameters({name: value})


def test_phases_without_effect_are_told() -> None:
    stations = {"s": {"road_node": "2", "bus": "b", "phases": "a"}}
    told = vg.check(make_case(stations=stations)).warnings
    assert "stations: phases of s is not used: feeder.formulation is single_phase" in told, told
