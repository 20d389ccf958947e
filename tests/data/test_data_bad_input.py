"""Bad cases are refused at the door, each with one message that says where and what to do."""

from __future__ import annotations

import pytest

from v2geq.data.edit.case import load_case
from v2geq.errors import DataError

CASE, STATIONS, GENERATORS = "case.toml", "stations.csv", "generators.csv"
BRANCHES, ARCS, LOADS = "feeder/branches.csv", "road/arcs.csv", "feeder/loads.csv"
L1 = "l1,1,2,line,b,0.05334,0.132164773,0.133984375,552.408737561,1.0,false"
S5 = "s5,5,7,2000,2000,40,0.02,0.02,assumed"
G13 = "g13,A,13,0,300,0.1,0.0001,0,0,assumed"

BAD = {
    # feeder
    "unknown root": ("feeder/feeder.toml", '"150"', '"159"', ["feeder.toml, line 2", "'159'"]),
    "root as a number": ("feeder/feeder.toml", '"150"', "150", ["root = 150", "must be text"]),
    "base voltage zero": ("feeder/feeder.toml", "4.16", "0", ["feeder.toml, line 3", "base_kv = 0 kV"]),
    "feeder key": ("feeder/feeder.toml", "base_kv", "basekv", ["missing key 'base_kv'", "'basekv'"]),
    "branch bus": (BRANCHES, "l1,1,2,", "l1,1,2x,", ["line 3, column to_bus", "unknown bus '2x'"]),
    "branch self-loop": (BRANCHES, "l1,1,2,", "l1,1,1,", ["'l1' joins bus '1' to itself"]),
    "feeder loop": (BRANCHES, L1, L1 + "\n" + L1.replace("l1,1,2", "new,2,7"), ["loop: l1, new, l3"]),
    "bus cut off": (BRANCHES, L1, L1.replace("false", "true"), ["'150': 2", "branches.csv"]),
    "negative resistance": (BRANCHES, "0.132164773", "-0.1", ["column r_ohm", "-0.1 ohm"]),
    "negative reactance": (BRANCHES, "0.133984375", "-0.1", ["column x_ohm"]),
    "rating zero": (BRANCHES, "552.408737561", "0", ["column rating_kva", "above 0 kVA"]),
    "ratio zero": (BRANCHES, "552.408737561,1.0", "552.408737561,0", ["column ratio", "above 0"]),
    "branch kind": (BRANCHES, "l1,1,2,line", "l1,1,2,wire", ["'wire'", "line, switch"]),
    "open neither true nor false": (BRANCHES, L1, L1.replace("false", "no"), ["'no'", "false"]),
    "branch twice": (BRANCHES, "l1,1,2", "l2,1,2", ["'l2' appears twice, first in line 3"]),
    "load bus": (LOADS, "\n2,20", "\n2y,20", ["line 3", "load at unknown bus '2y'"]),
    "negative load": (LOADS, "\n2,20", "\n2,-20", ["line 3, column load_kw", "-20.0 kW"]),
    "capacitor bus": ("feeder/capacitors.csv", ",83,", ",8x3,", ["unknown bus '8x3'"]),
    "bus twice": ("feeder/buses.csv", "\n149,", "\n150,", ["bus '150' appears twice"]),
    # road
    "capacity zero": (ARCS, "25900.20064", "0", ["line 2, column capacity_veh_h", "above 0"]),
    "negative length": (ARCS, "25900.20064,6,6", "25900.2,-1,6", ["column length_km", "at least 0"]),
    "negative time": (ARCS, "25900.20064,6,6", "25900.2,6,-1", ["column free_flow_min", "at least"]),
    "negative bpr": (ARCS, "25900.20064,6,6,0.15", "25900.2,6,6,-0.1", ["column bpr_b"]),
    "bpr power": (ARCS, "25900.20064,6,6,0.15,4", "25900.2,6,6,0.15,0.5", ["bpr_power = 0.5"]),
    "arc node": (ARCS, "1-2,1,2", "1-2,1,25", ["column to_node", "unknown node '25'"]),
    "arc self-loop": (ARCS, "1-2,1,2", "1-2,1,1", ["'1-2' joins node '1' to itself"]),
    "arcs with the same ends": (ARCS, "1-3,1,3", "new,1,2", ["'1-2' and 'new'", "line 3"]),
    "trips at unknown node": ("road/trips.csv", "\n1,2,", "\n1,99,", ["line 2", "node '99'"]),
    "negative trips": ("road/trips.csv", "1,2,100", "1,2,-100", ["column trips_veh_h", "-100.0"]),
    # stations, LSEs, generators
    "station node": (STATIONS, "s5,5,7", "s5,50,7", ["column road_node", "unknown road node '50'"]),
    "station bus": (STATIONS, "s5,5,7", "s5,5,7x", ["column bus", "unknown bus '7x'", "'s5'"]),
    "station twice": (STATIONS, "s8,", "s5,", ["station 's5' appears twice"]),
    "no piles": (STATIONS, S5, S5.replace("40", "0"), ["column piles", "above 0"]),
    "negative limit": (STATIONS, "7,2000", "7,-1", ["column charge_max_kw", "-1.0 kW"]),
    "station basis": (STATIONS, S5, S5.replace("assumed", "guess"), ["basis = 'guess'", "cited"]),
    "portions": ("lses.csv", "B,0.5", "B,0.6", ["sum to 1.1", "lses.csv, column portion"]),
    "portion above one": ("lses.csv", "B,0.5", "B,1.5", ["portion = 1.5", "at most 1"]),
    "generator lse": (GENERATORS, "g13,A", "g13,C", ["'g13'", "unknown LSE 'C'", "column lse"]),
    "generator bus": (GENERATORS, "A,13,", "A,1x3,", ["unknown bus '1x3'"]),
    "generator range": (GENERATORS, "13,0,300", "13,400,300", ["min_kw = 400 above max_kw = 300"]),
    "generator kvar": (GENERATORS, G13, G13.replace("0,0,as", "5,0,as"), ["min_kvar = 5 above"]),
    "concave cost": (GENERATORS, "0.1,0.0001", "0.1,-0.0001", ["column cost_quadratic"]),
    # settings
    "voltage limits": (CASE, "vmin = { value = 0.95", "vmin = { value = 1.05", ["vmin = 1.05 pu"]),
    "root voltage": (CASE, "value = 1.03", "value = 1.06", ["root_voltage = 1.06", "[feeder]"]),
    "unknown key": (CASE, "voll =", "vol =", ["missing key 'voll'", "did you mean 'vol'"]),
    "extra key": (CASE, "[paths]", "[paths]\nroutes = 3", ["unknown key 'routes'", "[paths]"]),
    "extra section": (CASE, "[paths]", "[path]", ["unknown key 'path'", "did you mean 'paths'"]),
    "unit": (CASE, 'value = 20.0, unit = "$/kWh"', 'value = 2, unit = "$/MWh"', ["'$/MWh'", "'$/kWh'"]),
    "basis": (CASE, 'value = 20.0, unit = "$/kWh", basis = "assumed"',
              'value = 20.0, basis = "known"', ["'known'", "measured, cited, assumed"]),
    "form without value": (CASE, "voll = { value", "voll = { amount", ["unknown key 'amount' of voll"]),
    "wrong type": (CASE, "value = 20.0", 'value = "20"', ["voll = '20'", "a number (unit $/kWh)"]),
    "truth as number": (CASE, "regulators = { value = false", "regulators = { value = 0", ["true or"]),
    "number as truth": (CASE, "value = 20.0", "value = true", ["voll = True", "a number"]),
    "whole number": (CASE, "base_routes_ev = { value = 8", "base_routes_ev = { value = 8.5", ["8.5"]),
    "choice": (CASE, 'value = "enumerate"', 'value = "enumerat"', ["did you mean 'enumerate'"]),
    "not finite": (CASE, "value = 2800.0", "value = inf", ["import_max = inf", "large number"]),
    "import range": (CASE, "import_min = { value = 0.0", "import_min = { value = 3e3", ["3000 kW"]),
    "elasticity": (CASE, "value = -0.5", "value = 0.0", ["elasticity = 0 is not negative"]),
    "syntax": (CASE, "[market]", "[market", ["not valid TOML", "line"]),
    "networks": (CASE, "../ieee123", "../ieee124", ["no feeder folder '../ieee124'", "ieee123"]),
    # drivers
    "battery": (CASE, "battery = { value = 24.0", "battery = { value = 0", ["battery", "above 0"]),
    "consumption": (CASE, "consumption = { value = 1.0", "consumption = { value = 0", ["kWh/km"]),
    "charger": (CASE, "value = 150.0", "value = 0", ["charger_power", "0 kW"]),
    "discharge level": (CASE, "discharge_level = { value = 0.5", "discharge_level = { value = 0.1",
                        ["discharge_level = 0.1", "reserve = 0.2"]),
    "level above one": (CASE, "discharge_level = { value = 0.5", "discharge_level = { value = 1.5",
                        ["discharge_level = 1.5", "at most 1"]),
    "fuel with battery": (CASE, 'kind = "fv"', 'kind = "fv"\nbattery = 24.0', ["fuel class 'fv'"]),
    "trips_of": (CASE, 'trips_of = { value = "ev"', 'trips_of = { value = "evs"',
                 ["trips_of = 'evs'", "did you mean 'ev'"]),
    "trips_of itself": (CASE, 'trips_of = { value = "ev"', 'trips_of = { value = "fv"', ["another"]),
    "no trips": (CASE, "trips_factor = { value = 12.0", "trips_factor = { value = 0", ["no trips"]),
    "trip file": (CASE, '"ev_trips.csv"', '"trips_ev.csv"', ["file not found", "ev_trips.csv"]),
    "demand node": ("ev_trips.csv", "1,13,30", "1,31,30", ["ev_trips.csv, line 2", "'31'"]),
    "negative demand": ("ev_trips.csv", "1,13,30", "1,13,-30", ["column trips_veh_h"]),
    # scenarios
    "outage": (CASE, '"sw4"', '"sw44"', ["unknown branch 'sw44'", "did you mean", "'island'"]),
    "outage twice": (CASE, '"sw4"', '"sw3"', ["'sw3' twice"]),
    "closed": (CASE, "outages = []", 'outages = []\nclosed = ["sw77"]',
               ["unknown branch 'sw77'", "did you mean 'sw7'", "line"]),
    "closed twice": (CASE, "outages = []", 'outages = []\nclosed = ["l1", "l1"]', ["closes branch 'l1' twice"]),
    "closed and out": (CASE, "outages = []", 'outages = ["sw7"]\nclosed = ["sw7"]',
                       ["closes branch 'sw7' and takes it out"]),
    "loop": (CASE, "outages = []", 'outages = []\nclosed = ["sw7"]',
             ["scenario 'base' closes a loop: ", ", sw7; open one of them", "outages = ['sw"]),
    "outage text": (CASE, '["sw3", "sw4"]', '"sw3"', ["not a list"]),
    "source bus": (CASE, "\n135 =", "\n1355 =", ["unknown bus '1355'", "line"]),
    "source below zero": (CASE, "135 = { value = 10000.0", "135 = { value = -1.0", ["-1.0 kvar"]),
    "load factor": (CASE, "load_factor = 1.5", "load_factor = -1.5", ["load_factor = -1.5"]),
    "scenario key": (CASE, "load_factor = 1.5", "load_facto = 1.5", ["did you mean 'load_factor'"]),
    "scenario set": (CASE, "outages = []", "outages = []\nset.market.vol = 3",
                     ["unknown parameter 'market.vol'", "market.voll", "scenario.base"]),
    "scenario set value": (CASE, "outages = []", "outages = []\nset.voll = -3",
                           ["voll = -3.0 $/kWh", "scenario.base"]),
    "scenario sets scenario": (CASE, "outages = []", "outages = []\nset.scenario.base.load_factor = 2",
                               ["a scenario changes only the other parameters"]),
    "set": (CASE, "[scenario.base]", "[set]\nvol = 3\n\n[scenario.base]", ["unknown parameter 'vol'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refused(editable, name):
    file, old, new, said = BAD[name]
    editable.edit(file, old, new)
    with pytest.raises(DataError) as caught:
        editable.load()
    message = str(caught.value)
    for words in said:
        assert words in message


def test_no_route(editable):
    text = editable.path(ARCS).read_text(encoding="utf-8").splitlines()
    kept = [line for line in text if line.split(",")[2] != "20"]
    editable.path(ARCS).write_text("\n".join(kept) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"trips\.csv, line 20: no route from '1' to '20'"):
        editable.load()


def test_a_zone_connector_is_no_way_through(editable):
    # nodes 20 and 24 are reached over 21 and 22 and others; closing all neighbours of 24 cuts it
    for node in ("13", "21", "23"):
        text = editable.path("road/nodes.csv").read_text(encoding="utf-8").splitlines()
        changed = [
            line.replace("true", "false") if line.startswith(f"{node},") else line for line in text
        ]
        editable.path("road/nodes.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="no route from '1' to '24'"):
        editable.load()


def test_empty_demand(editable):
    editable.path("ev_trips.csv").write_text("origin,destination,trips_veh_h\n1,13,0\n")
    with pytest.raises(DataError, match="driver class 'ev' has no trips"):
        editable.load()


def test_intrazonal_trips_are_dropped_with_a_warning(editable):
    editable.edit("ev_trips.csv", "1,13,30", "13,13,30")
    with pytest.warns(UserWarning, match=r"ev_trips\.csv.*\(13\).*30 veh/h"):
        case = editable.load()
    assert len(case.trips["ev"]) == 23


@pytest.mark.parametrize("section", ["drivers", "scenario"])
def test_nothing_to_solve(editable, section):
    lines, keep = [], True
    for line in editable.path(CASE).read_text(encoding="utf-8").splitlines():
        keep = not line.startswith(f"[{section}") if line.startswith("[") else keep
        lines += [line] * keep
    editable.path(CASE).write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        DataError, match=f"there is no {'driver' if section == 'drivers' else section}"
    ):
        editable.load()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ieee123_sioux_fall", "did you mean 'ieee123_sioux_falls'"),
        ("", "shipped cases: "),
        ("nothing_like_it", "shipped cases: ieee123_sioux_falls, "),
        ("networks/ieee123", "neither a shipped case nor a folder with case.toml"),
    ],
)
def test_wrong_case_name(name, said):
    with pytest.raises(DataError, match=said):
        load_case(name)


def test_plain_values_and_quoted_names_are_accepted(editable):
    old = 'voll = { value = 20.0, unit = "$/kWh"'
    line = next(x for x in editable.path(CASE).read_text().splitlines() if x.startswith(old))
    editable.edit(CASE, line, "voll = 7")
    editable.edit(
        CASE, "outages = []", 'outages = []\n[scenario.base.set]\n"market.voll" = 3\nbattery = 30'
    )
    case = editable.load()
    assert case.market.voll == 7.0
    assert case.basis["market.voll"] == ("assumed", "")
    assert case.scenarios["base"].set == {"market.voll": 3.0, "drivers.ev.battery": 30.0}


def test_optional_files_may_be_absent(editable):
    editable.path("feeder/capacitors.csv").unlink()
    assert editable.load().feeder.capacitors.empty


def test_path_of_the_file_and_networks_by_name(editable, tmp_path, reference):
    editable.edit(CASE, '"../ieee123"', '"ieee123"')
    case = load_case(editable.folder / "case.toml")
    assert case.feeder.branches.equals(reference.feeder.branches)
