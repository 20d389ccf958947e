"""Wrong changes of a case in Python end in one line that names object, value and what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cases import make_case

import v2geq as vg

STATION = {"road_node": 9, "bus": 13, "charge_max_kw": 100, "discharge_max_kw": 50, "piles": 4}
STATION |= {"base_wait_h": 0.02, "queue_slope_h": 0.02}
PAIRS = pd.DataFrame({"origin": [1], "destination": [20], "trips_veh_h": [30.0]})
NET = {"feeder": "ieee123", "road": "sioux_falls"}


def build(**given):
    return lambda c: vg.Case.build(**{**NET, **given})


WRONG = {
    # stations
    "argument": (lambda c: c.with_station("s9", road_nod=9), ["'s9'", "'road_nod'", "'road_node'"]),
    "like": (lambda c: c.with_station("s9", like="s55"), ["like", "'s55'", "'s5'"]),
    "missing": (lambda c: c.with_station("s9", road_node=9, bus=13),
                ["'s9'", "charge_max_kw (kW)", "queue_slope_h (h per veh/h)", "like='s5'"]),
    "node": (lambda c: c.with_station("s9", like="s5", road_node=99), ["'s9'", "'99'", "known"]),
    "node no name": (lambda c: c.with_station("s9", like="s5", road_node=9.5), ["road_node = 9.5"]),
    "bus": (lambda c: c.with_station("s9", like="s5", bus="15O"), ["'s9'", "'15O'", "did you mean"]),
    "piles": (lambda c: c.with_station("s9", like="s5", piles=0), ["'s9'", "piles = 0", "above 0"]),
    "piles text": (lambda c: c.with_station("s9", like="s5", piles="4"), ["piles = '4'", "number"]),
    "power": (lambda c: c.with_station("s5", charge_max_kw=-1), ["'s5'", "-1.0 kW", "at least 0 kW"]),
    "nan": (lambda c: c.with_station("s5", base_wait_h=np.nan), ["base_wait_h = nan", "finite"]),
    "huge": (lambda c: c.with_station("s5", charge_max_kw=1e16), ["1e+16", "1e9"]),
    "name": (lambda c: c.with_station("", **STATION), ["name = ''", "give a name"]),
    "name blank": (lambda c: c.with_station(" s", **STATION), ["name = ' s'", "blank"]),
    "name of 200": (lambda c: c.with_station("s" * 200, **STATION), ["200 letters", "at most 100"]),
    "name list": (lambda c: c.with_station(["s9"], **STATION), ["station", "['s9']", "text"]),
    "basis": (lambda c: c.with_station("s9", **STATION, basis="guess"), ["'s9'", "'guess'", "cited"]),
    "remove": (lambda c: c.without_station("s6"), ["no station 's6'", "did you mean 's16'"]),
    "remove none": (lambda c: c.without_station(), ["no station is named", "s5"]),
    # generators and LSEs
    "generator bus": (lambda c: c.with_generator("g13", bus="1x3"), ["'g13'", "'1x3'", "'13'"]),
    "generator lse": (lambda c: c.with_generator("g13", lse="C"), ["'g13'", "LSE 'C'", "A, B"]),
    "generator new": (lambda c: c.with_generator("g1", bus=1), ["'g1'", "lse", "max_kw (kW)"]),
    "generator range": (lambda c: c.with_generator("g13", min_kw=400), ["min_kw = 400", "swap"]),
    "generator inverter": (lambda c: c.with_generator("g13", min_kw=200, kva=150),
                           ["'g13' has kva = 150", "too little for min_kw = 200", "blank"]),
    "inverter zero": (lambda c: c.with_station("s5", kva=0), ["'s5'", "kva = 0", "above 0 kVA"]),
    "generator cost": (lambda c: c.with_generator("g13", cost="-g**2"), ["'g13'", "convex"]),
    "generator formula": (lambda c: c.with_generator("g13", cost="0.1*h"), ["'g13'", "'h'"]),
    "generator gone": (lambda c: c.without_generator("g133"), ["'g133'", "did you mean 'g13'"]),
    "portion": (lambda c: c.with_lse("C", portion=1.2), ["'C'", "portion = 1.2", "at most 1"]),
    "portion missing": (lambda c: c.with_lse("C"), ["'C'", "portion is missing"]),
    "lse in use": (lambda c: c.without_lse("A"), ["generator 'g13'", "LSE 'A'"]),
    "lse name": (lambda c: c.with_lse("a/b", portion=0.1), ["'a/b'", "file name"]),
    # classes
    "class like": (lambda c: c.with_class("taxi", like="evs"), ["'evs'", "did you mean 'ev'"]),
    "class setting": (lambda c: c.with_class("taxi", like="ev", batery=60),
                      ["'taxi'", "'batery'", "did you mean 'battery'"]),
    "class value": (lambda c: c.with_class("taxi", like="ev", battery=-60),
                    ["'taxi'", "battery = -60.0 kWh", "at least 0"]),
    "class level": (lambda c: c.with_class("taxi", like="ev", discharge_level=0.1),
                    ["discharge_level = 0.1", "'taxi'", "reserve"]),
    "class kind": (lambda c: c.with_class("taxi", kind="eV", trips=PAIRS), ["kind = 'eV'", "'ev'"]),
    "class bare": (lambda c: c.with_class("taxi", kind="ev", trips=PAIRS),
                   ["'taxi'", "battery (kWh)", "charger_power (kW)", "like='ev'"]),
    "class no trips": (lambda c: c.with_class("taxi", kind="fv", value_of_time=9),
                       ["'taxi'", "trips is missing (veh/h)", "factor"]),
    "class fuel battery": (lambda c: c.with_class("fv", battery=9), ["'fv'", "battery = 9", "ev"]),
    "trips text": (lambda c: c.with_class("taxi", like="ev", trips="x.csv"), ["'x.csv'", "frame"]),
    "trips factor": (lambda c: c.with_class("taxi", like="ev", trips=-1), ["'taxi'", "trips = -1"]),
    "trips zero": (lambda c: c.with_class("taxi", like="ev", trips=0), ["'taxi'", "no trips"]),
    "trips truth": (lambda c: c.with_class("taxi", like="ev", trips=True), ["trips = True"]),
    "trips list": (lambda c: c.with_class("taxi", like="ev", trips=[1, 2]), ["'taxi'", "[1, 2]"]),
    "trips columns": (lambda c: c.with_class("taxi", like="ev", trips=PAIRS[["origin"]]),
                      ["'taxi'", "'destination'", "'trips_veh_h' (veh/h)"]),
    "trips column": (lambda c: c.with_class("taxi", like="ev",
                                            trips=PAIRS.rename(columns={"trips_veh_h": "trips"})),
                     ["'taxi'", "'trips'", "did you mean 'trips_veh_h'"]),
    "trips node": (lambda c: c.with_class("taxi", like="ev", trips=PAIRS.assign(origin=99)),
                   ["trips.taxi", "'99'"]),
    "trips negative": (lambda c: c.with_class("taxi", like="ev", trips=-PAIRS[["trips_veh_h"]].join(
        -PAIRS[["origin", "destination"]])), ["'taxi'", "-30.0 veh/h"]),
    "class in use": (lambda c: c.with_class("a", like="ev", trips_of="fv").without_class("fv"),
                     ["trips_of = 'fv'"]),
    "class unknown": (lambda c: c.without_class("fw"), ["no driver class 'fw'", "ev, fv"]),
    # scenarios
    "outage": (lambda c: c.with_scenario("x", outages=["sw33"]), ["'x'", "'sw33'", "'sw3'"]),
    "outage text": (lambda c: c.with_scenario("x", outages="sw3"), ["'sw3'", "not a list"]),
    "load factor": (lambda c: c.with_scenario("x", load_factor=-1), ["scenario.x", "-1"]),
    "source": (lambda c: c.with_scenario("x", reactive_sources={"1355": 1}), ["'x'", "'1355'"]),
    "sources": (lambda c: c.with_scenario("x", reactive_sources=[1]), ["'x'", "[1]", "write"]),
    "scenario voll": (lambda c: c.with_scenario("x", voll=-5), ["scenario.x", "voll = -5"]),
    "scenario name": (lambda c: c.with_scenario("x", loadfactor=2), ["'loadfactor'", "load_factor"]),
    "scenario like": (lambda c: c.with_scenario("x", like="sterss"), ["'sterss'", "'stress'"]),
    "scenario unknown": (lambda c: c.without_scenario("bas"), ["'bas'", "'base'"]),
    "no scenario": (lambda c: c.without_scenario(*c.scenarios), ["no scenario", "add"]),
    # networks
    "arc": (lambda c: c.with_arcs({"6-88": {"toll": 2}}), ["'6-88'", "'6-8'", "from_node"]),
    "arc column": (lambda c: c.with_arcs({"6-8": {"tol": 2}}), ["'6-8'", "'tol'", "'toll'"]),
    "arc value": (lambda c: c.with_arcs({"6-8": {"toll": -2}}), ["'6-8'", "toll = -2.0 $/veh"]),
    "arc row": (lambda c: c.with_arcs({"6-8": 2}), ["'6-8'", "2", '{"toll": 2.0}']),
    "arcs": (lambda c: c.with_arcs(["6-8"]), ["['6-8']", "toll"]),
    "arc new": (lambda c: c.with_arcs({"1-9": {"from_node": 1, "to_node": 9}}),
                ["'1-9'", "capacity_veh_h (veh/h)"]),
    "arc node": (lambda c: c.with_arcs({"6-8": {"to_node": 88}}), ["'6-8'", "'88'"]),
    "road name": (lambda c: c.with_road("sioux_fall"), ["'sioux_fall'", "'sioux_falls'"]),
    "road object": (lambda c: c.with_road(c.feeder), ["<Feeder>", "RoadNetwork"]),
    "road station": (lambda c: c.with_road(c.road, stations={"s55": 1}), ["'s55'", "'s5'"]),
    "road class": (lambda c: c.with_road(c.road, trips={"evs": PAIRS}), ["'evs'", "'ev'"]),
    "other road": (lambda c: c.with_road("anaheim"), ["stations: 's5', 's8'", "of the old network"]),
    "other trips": (
        lambda c: c.without_station(*c.stations.index).with_road("anaheim"),
        ["trips: 'ev'", "{'ev': a trip table, ...}"],
    ),
    "other feeder": (
        lambda c: c.with_feeder(make_case().feeder, stations={"s5": "a"}),
        ["stations: 's8', 's11'", "of the old network"],
    ),
    "other feeder's outages": (
        lambda c: c.without_station(*c.stations.index)
        .without_generator(*c.generators.index)
        .with_feeder(make_case().feeder),
        ["scenario 'island' has outages", "without_scenario('island')"],
    ),
    "feeder name": (lambda c: c.with_feeder("ieee12"), ["'ieee12'", "'ieee123'"]),
    "feeder bus": (lambda c: c.with_feeder("ieee123", stations={"s5": "7x"}), ["'s5'", "'7x'"]),
    "feeder list": (lambda c: c.with_feeder("ieee123", stations=["s5"]), ["stations = ['s5']"]),
    # parameters
    "parameter": (lambda c: c.with_parameters({"market.vol": 3}), ["'market.vol'", "market.voll"]),
    "parameter value": (lambda c: c.with_parameters(voll="5"), ["voll = '5'", "$/kWh"]),
    "parameter twice": (lambda c: c.with_parameters({"voll": 5}, voll=6), ["'voll'", "twice"]),
    "parameters": (lambda c: c.with_parameters([("voll", 5)]), ["parameters =", '{"voll": 5.0}']),
    # build
    "no feeder": (build(feeder=None), ["feeder = None", "ieee123"]),
    "feeder part": (build(feeder={"buses": PAIRS}), ["Feeder has no", "root"]),
    "feeder key": (build(feeder={"busses": PAIRS}), ["'busses'", "'buses'"]),
    "stations list": (build(stations=["s1"]), ["stations", "frame"]),
    "station row": (build(stations={"s1": 5}), ["'s1'", "5", "columns"]),
    "station columns": (build(stations={"s1": {"bus": 5}}), ["'s1'", "charge_max_kw (kW)"]),
    "station frame": (build(stations=pd.DataFrame({"bus": [5]}, index=["s1"])),
                      ["stations", "'charge_max_kw' (kW)"]),
    "lses": (build(lses={"A": 0.5, "B": 0.6}), ["sum to 1.1", "must sum to 1"]),
    "lses number": (build(lses=5), ["lses", "5", "frame"]),
    "trips twice": (lambda c: c.with_class("taxi", like="ev", trips=pd.concat([PAIRS, PAIRS])),
                    ["'taxi'", "'1-20' appears twice"]),
    "broken before": (lambda c: replace(c, stations=5).with_station("s9", like="s5"),
                      ["stations", "5 is no table"]),
    "broken classes": (lambda c: replace(c, drivers=5).with_class("x", like="ev"), ["drivers", "5"]),
    "drivers": (build(drivers=["ev"]), ["drivers = ['ev']", "write"]),
    "driver": (build(drivers={"ev": 5}), ["'ev'", "5", "kind"]),
    "scenarios": (build(scenarios="base"), ["scenarios = 'base'", "write"]),
    "scenario key": (build(scenarios={"x": {"load": 2}}), ["'x'", "'load'", "load_factor"]),
    "built parameter": (build(vol=5), ["'vol'", "'voll'"]),
    "name of a case": (build(name=5), ["case.name", "5", "text"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def case():
    return vg.load_case("ieee123_sioux_falls")


def test_they_are_many():
    assert len(WRONG) >= 60


@pytest.mark.parametrize("name", WRONG)
def test_refused(name, case):
    change, said = WRONG[name]
    with pytest.raises(vg.DataError) as caught:
        change(case)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600
    for words in said:
        assert words in message, message
