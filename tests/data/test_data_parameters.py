"""Parameters changed by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from v2geq.data.parameters.change import with_parameters
from v2geq.data.trips import spread_trips
from v2geq.errors import DataError


@pytest.mark.parametrize(
    ("name", "value", "get"),
    [
        ("market.voll", 3, lambda c: c.market.voll),
        ("voll", 3.5, lambda c: c.market.voll),
        ("battery", np.float64(30.0), lambda c: c.drivers["ev"].battery),
        ("drivers.ev.energy_value", 0.15, lambda c: c.drivers["ev"].energy_value),
        ("drivers.fv.value_of_time", 20.0, lambda c: c.drivers["fv"].value_of_time),
        ("feeder.rating_factor", 0.5, lambda c: c.feeder_settings.rating_factor),
        ("regulators", np.bool_(True), lambda c: c.feeder_settings.regulators),
        ("paths.method", "exact", lambda c: c.paths.method),
        ("base_routes_ev", np.int64(4), lambda c: c.paths.base_routes_ev),
        ("stations.queue_smoothing", 2.0, lambda c: c.station_settings.queue_smoothing),
        ("scenario.stress.load_factor", 1.7, lambda c: c.scenarios["stress"].load_factor),
        ("scenario.stress.outages", ["sw5"], lambda c: list(c.scenarios["stress"].outages)),
        (
            "scenario.island.reactive_sources.135",
            900.0,
            lambda c: c.scenarios["island"].reactive_sources["135"],
        ),
        ("scenario.stress.set.voll", 3.0, lambda c: c.scenarios["stress"].set["market.voll"]),
        ("stations.s5.charge_max_kw", 100, lambda c: c.stations.loc["s5", "charge_max_kw"]),
        ("stations.s5.bus", "8", lambda c: c.stations.loc["s5", "bus"]),
        ("generators.g13.max_kw", 500.0, lambda c: c.generators.loc["g13", "max_kw"]),
        ("feeder.branches.l1.rating_kva", 9.0, lambda c: c.feeder.branches.loc["l1", "rating_kva"]),
        ("feeder.loads.48.load_kw", 9.0, lambda c: c.feeder.loads.loc["48", "load_kw"]),
        ("feeder.capacitors.c83.kvar", 9.0, lambda c: c.feeder.capacitors.loc["c83", "kvar"]),
        ("road.arcs.1-2.capacity_veh_h", 9.0, lambda c: c.road.arcs.loc["1-2", "capacity_veh_h"]),
        ("road.capacity_factor", 0.2, lambda c: c.road_settings.capacity_factor),
        ("capacity_factor", 0.2, lambda c: c.road_settings.capacity_factor),
    ],
)
def test_change(reference, name, value, get):
    before = get(replace(reference)) if "set." not in name else None
    changed = with_parameters(reference, {name: value})
    assert get(changed) == value
    if before is not None:
        assert get(reference) == before != value, "the case given must stay as it was"


def test_units_and_provenance_travel_along(reference):
    form = {"value": 3, "unit": "$/kWh", "basis": "cited", "note": "a survey"}
    assert with_parameters(reference, {"voll": form}).basis["market.voll"] == ("cited", "a survey")
    plain = with_parameters(reference, {"voll": 3, "stations.s5.piles": 20})
    assert plain.basis["market.voll"] == ("assumed", "changed: voll = 3.0")
    assert plain.basis["stations.s5"] == ("assumed", "changed: piles = 20.0")
    with pytest.raises(DataError, match=r"'\$/MWh'.*convert"):
        with_parameters(reference, {"voll": {"value": 3, "unit": "$/MWh"}})


def test_several_changes_are_checked_together(reference):
    changed = with_parameters(reference, {"lses.A.portion": 0.25, "lses.B.portion": 0.75})
    assert changed.lses["portion"].tolist() == [0.25, 0.75]
    with pytest.raises(DataError, match="change them together"):
        with_parameters(reference, {"lses.A.portion": 0.25})


def test_trips_follow_factor_and_pairs(reference):
    more = with_parameters(reference, {"drivers.fv.trips_factor": 6.0})
    assert more.trips["fv"]["trips_veh_h"].sum() == 6 * 12100.0
    everywhere = with_parameters(
        reference, {"drivers.fv.trips_of": "", "drivers.fv.trips_factor": 1.0}
    )
    assert everywhere.trips["fv"]["trips_veh_h"].sum() == 360600.0
    back = with_parameters(
        everywhere, {"drivers.fv.trips_of": "ev", "drivers.fv.trips_factor": 12.0}
    )
    assert back.trips["fv"].equals(reference.trips["fv"])
    assert reference.trips["fv"]["trips_veh_h"].sum() == 12 * 12100.0


def test_capacities_follow_their_factor_and_the_table_stays(reference):
    assert reference.traffic_road is reference.road
    less = with_parameters(reference, {"road.capacity_factor": 0.25})
    assert less.road.arcs.equals(reference.road.arcs)
    arcs = less.traffic_road.arcs
    assert arcs["capacity_veh_h"].equals(0.25 * reference.road.arcs["capacity_veh_h"])
    rest = arcs.columns.drop("capacity_veh_h")
    assert arcs[rest].equals(reference.road.arcs[rest])
    one = with_parameters(less, {"road.arcs.1-2.capacity_veh_h": 400.0})
    assert one.traffic_road.arcs.loc["1-2", "capacity_veh_h"] == 100.0
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(DataError, match=r"road\.capacity_factor.*capacity_factor"):
            with_parameters(reference, {"road.capacity_factor": wrong})


def test_a_delay_is_checked_at_the_capacities_it_meets(reference):
    """A time that falls from 5,000 veh/h on, which ten times a capacity reach or do not."""
    arc = {"road.arcs.1-2.delay": "20 + 0.01*x - 1e-6*x**2", "road.arcs.1-2.capacity_veh_h": 1e3}
    with pytest.raises(DataError, match="'1-2' falls"):
        with_parameters(reference, arc)
    low = with_parameters(reference, {**arc, "road.capacity_factor": 0.1})
    with pytest.raises(DataError, match="'1-2' falls"):
        with_parameters(low, {"road.capacity_factor": 1.0})


def test_trips_spread_over_all_pairs(reference):
    """The road's table in proportion, the class's own total; who follows its pairs keeps them."""
    ev, road = reference.trips["ev"], reference.road.trips
    spread = with_parameters(reference, {"drivers.ev.trips_spread": True})
    mine = spread.trips["ev"]
    assert len(mine) == len(road) == 528
    assert mine["trips_veh_h"].sum() == pytest.approx(ev["trips_veh_h"].sum(), rel=1e-12)
    share = mine["trips_veh_h"] / road["trips_veh_h"]
    assert share.to_numpy() == pytest.approx(ev["trips_veh_h"].sum() / road["trips_veh_h"].sum())
    # fuel vehicles on the pairs of the electric class's own table stay there
    assert spread.trips["fv"].equals(reference.trips["fv"])
    back = with_parameters(spread, {"drivers.ev.trips_spread": False})
    assert all(back.trips[k].equals(reference.trips[k]) for k in ("ev", "fv"))
    twice = with_parameters(spread, {"drivers.ev.trips_factor": 2.0})
    assert twice.trips["ev"]["trips_veh_h"].sum() == pytest.approx(2 * ev["trips_veh_h"].sum())
    assert spread_trips(reference) == {"drivers.ev.trips_spread": True}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vol": 3}, ["unknown parameter 'vol'", "did you mean 'voll'"]),
        ({"market.vol": 3}, ["unknown parameter 'market.vol'", "'market.voll'"]),
        ({"value_of_time": 3}, ["ambiguous", "drivers.ev.value_of_time or drivers.fv.value"]),
        ({"trips_factor": 3}, ["ambiguous"]),
        ({"load_factor": 3}, ["unknown parameter"]),
        ({3: 3}, ["is not text"]),
        ({"voll": "3"}, ["parameter 'voll'", "must be a number (unit $/kWh)"]),
        ({"voll": True}, ["must be a number"]),
        ({"voll": None}, ["NoneType"]),
        ({"voll": float("nan")}, ["not finite"]),
        ({"voll": 0}, ["above 0"]),
        ({"voll": 10**400}, ["not finite"]),
        ({"base_routes_ev": 10**30}, ["whole number"]),
        ({"inverse_demand": " "}, ["inverse_demand", "the expression is empty"]),
        ({"firm_share": 1.2}, ["at most 1"]),
        ({"base_routes_ev": 8.0}, ["whole number"]),
        ({"paths.method": "all"}, ["exact, enumerate"]),
        ({"regulators": 1}, ["true or false"]),
        ({"stations.s6.piles": 3}, ["no row 's6'", "did you mean"]),
        ({"stations.s5.pile": 3}, ["no column 'pile'", "'piles'"]),
        ({"stations.s5": 3}, ["unknown parameter"]),
        ({"stations.s5.bus": "7x"}, ["unknown bus '7x'", "stations 's5'"]),
        ({"stations.s5.piles": 0}, ["parameter 'stations.s5.piles'", "above 0"]),
        ({"feeder.branches.l999.rating_kva": 3}, ["no row 'l999'"]),
        ({"feeder.branches.sw7.normally_open": False}, ["loop: ", "sw7"]),
        ({"feeder.branches.l1.normally_open": True}, ["'150': 2"]),
        ({"scenario.stres.load_factor": 3}, ["unknown scenario 'stres'", "'stress'"]),
        ({"scenario.stress.load": 3}, ["unknown parameter 'scenario.stress.load'", "load_factor"]),
        ({"scenario.stress.outages": "sw3"}, ["not a list"]),
        ({"scenario.stress.closed": "sw7"}, ["closed = 'sw7' is not a list"]),
        (
            {"scenario.stress.closed": ["sw7"]},
            ["'stress' closes a loop: l51, ", ", sw7", "open one of them, as by outages = ['sw3']"],
        ),
        ({"scenario.stress.outages": ["sw33"]}, ["unknown branch 'sw33'"]),
        ({"scenario.stress.reactive_sources": {"x": 1.0}}, ["unknown bus 'x'"]),
        ({"scenario.stress.reactive_sources": 5}, ["not a table"]),
        ({"scenario.stress.set.vol": 5}, ["scenario.stress.set", "unknown parameter 'vol'"]),
        ({"vmin": 1.1}, ["vmin = 1.1 pu is not below"]),
        ({"drivers.ev.trips": "other.csv"}, ["cannot be exchanged"]),
        ({"drivers.ev.trips_factor": 0}, ["'ev' has no trips"]),
        ({"drivers.ev.trips_of": "fv"}, ["trips_of"]),
        ({"drivers.fv.battery": 3.0}, ["fuel class"]),
        ({"drivers.fv.start_level": 0.5}, ["start_level = 0.5", "fuel class"]),
        ({"drivers.ev.start_level": 0.1}, ["start_level = 0.1", "reserve = 0.2"]),
        ({"drivers.fv.trips_spread": True}, ["trips_of", "trips_spread", "leave one"]),
        ({"stations.s5.charger_power_kw": float("inf")}, ["not finite", "large number"]),
        ({"drivers.taxi.battery": 3.0}, ["unknown parameter 'drivers.taxi.battery'"]),
    ],
)
def test_refused(reference, changes, said):
    with pytest.raises(DataError) as caught:
        with_parameters(reference, changes)
    for words in said:
        assert words in str(caught.value)
