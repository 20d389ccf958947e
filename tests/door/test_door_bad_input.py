"""Bad input all the way through: one error that says where, what, which value and what to do.

The readers' own errors are tested with the readers; here is one of each kind, through the command
line and through `solve`, with nothing left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from door import Answer, SmallCase, left_over

import v2geq as vg
from v2geq.errors import DataError

CASE, STATIONS, ARCS = "case.toml", "stations.csv", "road/arcs.csv"
BRANCHES = "feeder/branches.csv"
L1 = "l1,1,2,line,b,0.05334,0.132164773,0.133984375,552.408737561,1.0,false"
ISLAND_ROW = '135 = { value = 10000.0, unit = "kvar"'


@dataclass(frozen=True)
class Bad:
    """Edits of files and settings of the command that make a bad input; what the error says."""

    said: Sequence[str]
    edits: Sequence[tuple[str, str, str]] = ()
    sets: Sequence[str] = ()
    scenario: str = "base"
    more: Sequence[str] = ()


BAD = {
    # drivers
    "no energy-feasible path": Bad(
        ["case.toml: scenario 'base'", "OD pair 1 -> 20", "22 kWh", "enlarge the battery"],
        edits=[(CASE, "battery = { value = 24.0", "battery = { value = 3.0")],
    ),
    "no energy-feasible path for a battery not full at departure": Bad(
        [
            "case.toml: scenario 'base'",
            "OD pair 1 -> 20",
            "22 kWh",
            "2.4 kWh after departure and 19.2 kWh from full",
            "battery 24 less reserve 4.8",
        ],
        edits=[(CASE, "start_level = { value = 1.0", "start_level = { value = 0.3")],
    ),
    "departure with the reserve": Bad(
        ["case.toml, line", "start_level = 0.2 of driver class 'ev'", "not above reserve = 0.2"],
        edits=[(CASE, "start_level = { value = 1.0", "start_level = { value = 0.2")],
    ),
    "departure above full": Bad(
        ["start_level = 1.2 is out of range", "at most 1"], sets=["drivers.ev.start_level=1.2"]
    ),
    "willingness as a number": Bad(["v2g = 1 is a whole number", "true or false"], sets=["v2g=1"]),
    "fuel vehicles that sell nothing": Bad(
        ["v2g = False is given for the fuel class 'fv'"], sets=["drivers.fv.v2g=false"]
    ),
    "charger without power": Bad(
        ["charger_power_kw = 0.0 kW is out of range", "above 0"],
        sets=["stations.s5.charger_power_kw=0"],
    ),
    "no piles to discharge": Bad(
        ["discharge_piles = 0.0 is out of range", "above 0"],
        sets=["stations.s5.discharge_piles=0"],
    ),
    "unknown queue": Bad(
        ["queue = 'directions' is not one of shared, direction", "did you mean 'direction'"],
        sets=["queue=directions"],
    ),
    "trips over all pairs and over some": Bad(
        ["driver class 'fv' has trips_of, which keeps some OD pairs, and trips_spread"],
        sets=["drivers.fv.trips_spread=true"],
    ),
    "demand for an unknown node": Bad(
        ["ev_trips.csv, line 2, column origin", "unknown node '100'", "did you mean '10'"],
        edits=[("ev_trips.csv", "1,20,30", "100,20,30")],
    ),
    # islands
    "island with load and no supply": Bad(
        ["case.toml: scenario 'island'", "30 kW of load", "buses 51", "put a generator there"],
        edits=[(CASE, '"sw3", "sw4"', '"l50"')],
        scenario="island",
    ),
    "island without reactive source": Bad(
        ["case.toml: scenario 'island'", "470 kvar", "no reactive source", "buses 35", "state a"],
        edits=[(CASE, ISLAND_ROW, ISLAND_ROW.replace("10000.0", "0.0"))],
        scenario="island",
    ),
    "island with too little reactive power": Bad(
        ["too little reactive range", "-100 to 100 kvar", "short by 370", "reactive_sources"],
        sets=["scenario.island.reactive_sources.135=100"],
        scenario="island",
    ),
    "outage of an unknown branch": Bad(
        ["case.toml, line", "[scenario.island]", "unknown branch 'sw44'", "did you mean"],
        edits=[(CASE, '"sw4"', '"sw44"')],
        scenario="island",
    ),
    # feeder
    "loop": Bad(
        ["branches.csv, line 6", "loop: l1, new, l3", "set normally_open = true"],
        edits=[(BRANCHES, L1, L1 + "\n" + L1.replace("l1,1,2", "new,2,7"))],
    ),
    "loop by a scenario's switch": Bad(
        ["case.toml, line", "[scenario.stress]", "form a loop", "sw7", "normally_open = true"],
        edits=[
            (
                CASE,
                "[scenario.stress]\n",
                '[scenario.stress]\nset."feeder.branches.sw7.normally_open" = false\n',
            )
        ],
        scenario="stress",
    ),
    "loop by a setting": Bad(
        ["form a loop", "sw7", "normally_open = true"],
        sets=["feeder.branches.sw7.normally_open=false"],
    ),
    "switch opened without an island": Bad(
        ["without a closed connection to the root '150'", "52, 53", "close a branch"],
        sets=["feeder.branches.sw2.normally_open=true"],
    ),
    "voltage limits swapped": Bad(
        ["case.toml, line 10, [feeder]", "vmin = 1.05 pu", "vmax = 1.05 pu", "0.95 and 1.05"],
        edits=[(CASE, "vmin = { value = 0.95", "vmin = { value = 1.05")],
    ),
    "substation outside the limits": Bad(
        ["root_voltage = 1.06 pu is outside [0.95, 1.05]", "substation"],
        sets=["root_voltage=1.06"],
    ),
    "regulator outside the limits": Bad(
        ["case.toml: scenario 'base'", "bus '150r'", "1.0894 pu", "change feeder.root_voltage"],
        edits=[
            (CASE, "regulators = { value = false", "regulators = { value = true"),
            (CASE, "value = 1.03", "value = 1.05"),
        ],
    ),
    # tables
    "negative capacity": Bad(
        ["arcs.csv, line 2, column capacity_veh_h", "-25900.20064 veh/h", "must be above 0"],
        edits=[(ARCS, "25900.20064", "-25900.20064")],
    ),
    "negative length": Bad(
        ["arcs.csv, line 2, column length_km", "-6.0 km", "must be at least 0"],
        edits=[(ARCS, "25900.20064,6", "25900.20064,-6")],
    ),
    "negative line length": Bad(
        ["branches.csv, line 3, column length_km", "-0.05334 km", "at least 0"],
        edits=[(BRANCHES, "0.05334", "-0.05334")],
    ),
    "station at an unknown node": Bad(
        ["stations.csv, line 2, column road_node", "station 's5'", "'50'", "did you mean '5'"],
        edits=[(STATIONS, "s5,5,7", "s5,50,7")],
    ),
    "station at an unknown bus": Bad(
        ["stations.csv, line 2, column bus", "station 's5'", "'7x'", "did you mean '7'"],
        edits=[(STATIONS, "s5,5,7", "s5,5,7x")],
    ),
    "duplicate name": Bad(
        ["stations.csv, line 3", "'s5' appears twice, first in line 2", "rename one"],
        edits=[(STATIONS, "s8,", "s5,")],
    ),
    "not a number": Bad(
        ["stations.csv, line 2, column piles", "'nan' is not a finite number", "plain number"],
        edits=[(STATIONS, "2000,2000,40", "2000,2000,nan")],
    ),
    "not a number in TOML": Bad(
        ["case.toml, line 27, [market]", "voll = nan is not finite", "large number"],
        edits=[(CASE, "value = 20.0", "value = nan")],
    ),
    "unknown key": Bad(
        ["case.toml, line", "[paths]", "unknown key 'metod'", "did you mean 'method'"],
        edits=[(CASE, "[paths]", "[paths]\nmetod = 'exact'")],
    ),
    "wrong type": Bad(
        ["case.toml, line 27, [market]", "voll = 'high' is text", "a number (unit $/kWh)"],
        edits=[(CASE, "value = 20.0", "value = 'high'")],
    ),
    "name with a slash": Bad(
        ["LSE 'A/B'", "cannot be part of a file name", "use letters"],
        edits=[("lses.csv", "\nA,", "\nA/B,")],
    ),
    # functions given as text
    "inverse demand that is no expression": Bad(
        ["market.inverse_demand", "'p0*(2-q/q0' is not an expression", "check brackets"],
        edits=[(CASE, "[market]", "[market]\ninverse_demand = 'p0*(2-q/q0'")],
    ),
    "inverse demand with an unknown name": Bad(
        ["market.inverse_demand", "'x' is not known", "use q, q0, p0"],
        sets=["inverse_demand=p0*(2-x/q0)"],
    ),
    "inverse demand that rises": Bad(
        ["market.inverse_demand", "'p0*q/q0'", "give a decreasing price"],
        sets=["inverse_demand=p0*q/q0"],
    ),
    "inverse demand that runs programs": Bad(
        ["market.inverse_demand", "'__import__' is not known"],
        sets=["inverse_demand=__import__('os').getcwd()"],
    ),
    "cost that is no expression": Bad(
        ["generator 'g13'", "'g**' is not an expression"], sets=["generators.g13.cost=g**"]
    ),
    "cost that is not convex": Bad(
        ["generator 'g13'", "is not convex", "second derivative"],
        sets=["generators.g13.cost=0.1*g-0.001*g**2"],
    ),
    "cost without a value at zero": Bad(
        ["generator 'g13'", "not finite at g = 0", "twice differentiable"],
        sets=["generators.g13.cost=-log(g)"],
    ),
    # names in the command
    "unknown case parameter": Bad(
        ["unknown parameter 'vol'", "did you mean 'voll'"], sets=["vol=3"]
    ),
    "ambiguous parameter": Bad(
        ["'value_of_time' is ambiguous", "drivers.ev.value_of_time or drivers.fv.value_of_time"],
        sets=["value_of_time=3"],
    ),
    "unknown row": Bad(
        ["stations has no row 's55'", "did you mean 's5'"], sets=["stations.s55.piles=3"]
    ),
    "value of the wrong type": Bad(
        ["'voll'", "voll = 'abc' is text", "a number (unit $/kWh)"], sets=["voll=abc"]
    ),
    "value not a number": Bad(["voll = nan is not finite"], sets=["voll=nan"]),
    "value missing": Bad(["voll = '' is text", "a number"], sets=["voll="]),
    "list for a number": Bad(["voll = [1, 2] is a list"], sets=["voll=[1, 2]"]),
    "negative load factor": Bad(
        ["'scenario.base.load_factor'", "-1.0 is out of range", "at least 0"],
        sets=["scenario.base.load_factor=-1"],
    ),
    "outages as text": Bad(
        ["outages = 'sw3' is not a list", "write ['sw3', 'sw4']"],
        sets=["scenario.base.outages=sw3"],
    ),
    "outage by a setting": Bad(
        ["unknown branch 'sw33'", "did you mean"], sets=["scenario.base.outages=['sw33']"]
    ),
    "portions": Bad(["sum to 1.2", "change them together"], sets=["lses.A.portion=0.7"]),
    "unknown scenario": Bad(
        ["case.toml: there is no scenario 'bse'", "did you mean 'base'"], scenario="bse"
    ),
    "unknown method": Bad(
        ["no method 'interior_pont'", "did you mean 'interior_point'"],
        more=["--method", "interior_pont"],
    ),
    "setting without a value": Bad(["--set: 'voll' is not NAME=VALUE"], sets=["voll"]),
    "setting without a name": Bad(["--set: '=3' is not NAME=VALUE"], sets=["=3"]),
    "setting twice": Bad(["--set: 'voll' is set twice"], sets=["voll=3", "voll=4"]),
}


@pytest.mark.parametrize("name", BAD)
def test_solve_refuses(small: SmallCase, run: Callable[..., Answer], name: str) -> None:
    bad = BAD[name]
    for edit in bad.edits:
        small.edit(*edit)
    before = left_over(small.root)
    words = [word for text in bad.sets for word in ("--set", text)]
    out = small.root / "never.nc"
    answer = run("solve", small.folder, "--scenario", bad.scenario, *words, *bad.more, "--out", out)
    assert answer.code == 2, answer
    assert_one_error(answer, bad.said)
    assert left_over(small.root) == before


@pytest.mark.parametrize("command", ["solve", "study"])
def test_all_od_needs_a_trip_table(
    small: SmallCase, run: Callable[..., Answer], command: str
) -> None:
    # the fuel vehicles' own table is the road's file
    small.edit(CASE, "../sioux_falls/trips.csv", "fv_trips.csv")
    small.path("road/trips.csv").rename(small.path("fv_trips.csv"))
    more = ["--scenario", "base"] if command == "solve" else ["--out", small.root / "out"]
    answer = run(command, small.folder, "--all-od", *more)
    assert answer.code == 2
    assert_one_error(answer, ["case.toml: trips cannot be spread", "the road has no trip table"])
    assert not (small.root / "out").exists()


@pytest.mark.parametrize("name", [n for n, bad in BAD.items() if bad.edits])
def test_the_library_says_the_same(small: SmallCase, name: str) -> None:
    bad = BAD[name]
    for edit in bad.edits:
        small.edit(*edit)
    with pytest.raises(DataError) as caught:
        vg.solve(vg.load_case(small.folder), bad.scenario)
    # the command adds the file where the library's error has none
    for words in bad.said[1:]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"case": "ieee123_sioux_falls"}, "'ieee123_sioux_falls' is not a case; read it with"),
        ({"scenario": 3}, "there is no scenario 3; known names: base, stress, island"),
        ({"scenario": "Base"}, "no scenario 'Base'; did you mean 'base'"),
        ({"v2g": "no"}, "v2g = 'no' is neither True nor False"),
        ({"method": None}, "no method None"),
        ({"parameters": ["voll"]}, "is not a table of names and values; write"),
        ({"parameters": {"voll": None}}, "voll = None is of type NoneType; voll must be a number"),
        ({"parameters": {3: 1}}, "parameter name 3 is not text"),
    ],
)
def test_wrong_arguments_of_solve(
    solved_case: vg.Case, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        vg.solve(**{"case": solved_case, **arguments})
    assert said in str(caught.value)


@pytest.mark.parametrize("name", [None, 3, ["ieee123_sioux_falls"]])
def test_wrong_argument_of_load_case(name: Any) -> None:
    with pytest.raises(DataError, match="neither the name nor the path of a case"):
        vg.load_case(name)


def assert_one_error(answer: Answer, said: Sequence[str]) -> None:
    assert not answer.out
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    for words in said:
        assert words in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["solve", "nowhere", "--scenario", "base"], ["no case 'nowhere'", "shipped cases"]),
        (
            ["solve", "ieee123_sioux_fals", "--scenario", "base"],
            ["no case 'ieee123_sioux_fals'", "did you mean 'ieee123_sioux_falls'"],
        ),
        (["study", "nowhere.toml"], ["no study file 'nowhere.toml'", "give a study.toml"]),
        (["certify", "nowhere.nc"], ["nowhere.nc: no such file"]),
        (["show", "nowhere.nc"], ["nowhere.nc: no such file"]),
    ],
)
def test_files_that_are_not_there(
    run: Callable[..., Answer], words: list[str], said: list[str]
) -> None:
    answer = run(*words)
    assert answer.code == 2
    assert_one_error(answer, said)


@pytest.mark.parametrize(
    "words",
    [
        ["slove"],
        ["solve"],
        ["solve", "x", "--scenario"],
        ["solve", "x", "--scenario", "base", "--jobs", "2"],
        ["study", "--jobs", "0"],
        ["study", "--jobs", "two"],
        ["certify"],
        ["cases", "x"],
    ],
)
def test_wrong_use(run: Callable[..., Answer], words: list[str]) -> None:
    answer = run(*words)
    assert answer.code == 2
    assert not answer.out
    assert "Error" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("nowhere/file.nc", "the folder"),
        (".", "is a folder"),
        ("case.toml/file.nc", "the folder"),
    ],
)
def test_a_place_to_write_is_checked_before_solving(
    small: SmallCase, run: Callable[..., Answer], out: str, said: str
) -> None:
    before = left_over(small.root)
    path = small.folder / out
    answer = run("solve", small.folder, "--scenario", "base", "--out", path)
    assert answer.code == 2
    assert_one_error(answer, [said])
    assert left_over(small.root) == before
