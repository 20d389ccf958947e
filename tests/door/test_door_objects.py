"""Cases and roads made or changed in Python: what a file may not hold, no object may hold."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cases import fuel_only, make_case, make_road
from door import Answer, SmallCase

import v2geq as vg
from v2geq.data.edit.case import Case
from v2geq.data.model.case import ScenarioData
from v2geq.data.parameters.change import admit_case
from v2geq.data.parameters.targets import find_target
from v2geq.data.readers.document import case_to_document

ESCAPE = "\x1b[31mred"
HUGE = 10**5000


def table(path: str, change: Callable[[pd.DataFrame], Any]) -> Callable[[Case], Case]:
    """Case with one of its tables changed; the frame itself where `change` returns nothing."""

    def changed(case: Case) -> Case:
        part, _, name = path.rpartition(".")
        holder = getattr(case, part) if part else case
        frame = getattr(holder, name).copy()
        new = change(frame)
        holder = replace(holder, **{name: frame if new is None else new})
        return replace(case, **{part: holder}) if part else holder

    return changed


def cell(path: str, row: str, column: str, value: Any) -> Callable[[Case], Case]:
    """Case with one cell changed, whatever the column's type was."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        kind = "float64" if isinstance(value, float) else object
        frame[column] = frame[column].astype(kind)
        frame.loc[row, column] = value
        return frame

    return table(path, change)


def setting(part: str, **values: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, **{part: replace(getattr(case, part), **values)})


def driver(**values: Any) -> Callable[[Case], Case]:
    return lambda c: replace(c, drivers={"ev": replace(c.drivers["ev"], **values)})


def scenario(**values: Any) -> Callable[[Case], Case]:
    return lambda c: replace(c, scenarios={"base": replace(c.scenarios["base"], **values)})


def trips(**columns: Any) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        frame = case.trips["ev"].assign(**columns)
        return replace(case, trips={"ev": frame}, trip_tables={"ev": frame})

    return change


def named(**values: Any) -> Callable[[Case], Case]:
    return lambda case: replace(case, **values)


def drop(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=frame.columns[0])


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame])


HOSTILE: dict[str, tuple[Callable[[Case], Any], str]] = {
    "nan load": (cell("feeder.loads", "a", "load_kw", np.nan), "feeder.loads 'a', column load_kw"),
    "negative load": (cell("feeder.loads", "a", "load_kw", -1.0), "load_kw = -1.0 kW"),
    "load inf": (cell("feeder.loads", "a", "load_kw", np.inf), "not finite"),
    "load 1e308": (cell("feeder.loads", "a", "load_kw", 1e308), "beyond 1e+15"),
    "load text": (cell("feeder.loads", "a", "load_kw", "100"), "'100' is text"),
    "load none": (cell("feeder.loads", "a", "load_kw", None), "of type NoneType"),
    "load NA": (cell("feeder.loads", "a", "load_kw", pd.NA), "of type NAType"),
    "load huge": (cell("feeder.loads", "a", "load_kw", HUGE), "a number of 16610 bits"),
    "load complex": (cell("feeder.loads", "a", "load_kw", 1j), "of type complex"),
    "load truth": (cell("feeder.loads", "a", "load_kw", True), "true or false"),
    "load at unknown bus": (table("feeder.loads", lambda f: f.rename({"a": "x"})), "unknown bus"),
    "nan kvar": (cell("feeder.loads", "a", "load_kvar", np.nan), "load_kvar"),
    "load twice": (table("feeder.loads", twice), "'a' appears twice"),
    "load column missing": (table("feeder.loads", drop), "missing column 'load_kw'"),
    "columns twice": (table("feeder.loads", lambda f: pd.concat([f, f], axis=1)), "appears twice"),
    "index of numbers": (
        table("feeder.loads", lambda f: f.set_axis([1, 2])),
        "bus = 1 is a whole number",
    ),
    "index of tuples": (
        table("feeder.loads", lambda f: pd.concat({"k": f})),
        "is a list; bus must be text",
    ),
    "index of nan": (table("feeder.loads", lambda f: f.set_axis([np.nan, "b"])), "bus = nan"),
    "name empty": (table("feeder.buses", lambda f: f.rename({"b": ""})), "the value is missing"),
    "name with blank": (table("feeder.buses", lambda f: f.rename({"b": "b "})), "with a blank"),
    "name with escape": (table("feeder.buses", lambda f: f.rename({"b": ESCAPE})), "\\x1b[31mred"),
    "name with newline": (table("stations", lambda f: f.rename({"s": "s\nx"})), "cannot be shown"),
    "name from right to left": (table("lses", lambda f: f.rename({"A": "a\u202eb"})), "\\u202e"),
    "name of no width": (table("generators", lambda f: f.rename({"ga": "g\u200b"})), "\\u200b"),
    "name of 300 letters": (table("lses", lambda f: f.rename({"A": "a" * 300})), "300 letters"),
    "table as list": (lambda c: replace(c, lses=[1, 2]), "lses: [1, 2] is no table"),
    "table as nothing": (lambda c: replace(c, stations=None), "stations: None is no table"),
    "resistance": (cell("feeder.branches", "a-b", "r_ohm", -0.1), "r_ohm = -0.1 ohm"),
    "rating": (cell("feeder.branches", "a-b", "rating_kva", 0.0), "above 0 kVA"),
    "rating 1e-300": (cell("feeder.branches", "a-b", "rating_kva", 1e-300), "at least 1e-12"),
    "open as number": (cell("feeder.branches", "a-b", "normally_open", 1), "true or false"),
    "kind of branch": (cell("feeder.branches", "a-b", "kind", "wire"), "not one of line"),
    "branch to nowhere": (cell("feeder.branches", "a-b", "to_bus", "x"), "unknown bus 'x'"),
    "root": (setting("feeder", root="x"), "root bus 'x'"),
    "base voltage": (setting("feeder", base_kv=-1.0), "base_kv = -1 kV"),
    "feeder as road": (lambda c: replace(c, feeder=c.road), "<RoadNetwork> is not a Feeder"),
    "road as text": (lambda c: replace(c, road="roads"), "'roads' is not a road network"),
    "capacity nan": (cell("road.arcs", "1-2", "capacity_veh_h", np.nan), "capacity_veh_h"),
    "arc at unknown node": (cell("road.arcs", "1-2", "to_node", "9"), "unknown node '9'"),
    "arc in a circle": (cell("road.arcs", "1-2", "to_node", "1"), "joins node '1' to itself"),
    "power": (cell("road.arcs", "1-2", "bpr_power", 0.5), "bpr_power = 0.5"),
    "through as text": (cell("road.nodes", "1", "through", "yes"), "through = 'yes'"),
    "place inf": (cell("road.nodes", "1", "x", np.inf), "x = inf is not finite"),
    "piles": (cell("stations", "s", "piles", -5.0), "piles = -5.0 is out of range"),
    "station at unknown node": (cell("stations", "s", "road_node", "9"), "road node '9'"),
    "station at unknown bus": (cell("stations", "s", "bus", "9"), "unknown bus '9'"),
    "portions": (cell("lses", "A", "portion", 0.9), "sum to 1.3"),
    "generator of nobody": (cell("generators", "ga", "lse", "Z"), "unknown LSE 'Z'"),
    "generator at unknown bus": (cell("generators", "ga", "bus", "Z"), "unknown bus 'Z'"),
    "quadratic cost": (cell("generators", "ga", "cost_quadratic", -1.0), "cost_quadratic = -1.0"),
    "least above most": (cell("generators", "ga", "min_kw", 900.0), "min_kw = 900 above"),
    "voll": (setting("market", voll=-5.0), "market.voll: voll = -5.0 $/kWh"),
    "voll as text": (setting("market", voll="5"), "'5' is text"),
    "voll huge": (setting("market", voll=HUGE), "a number of"),
    "firm share": (setting("market", firm_share=1.5), "firm_share = 1.5"),
    "sides": (setting("feeder_settings", rating_sides=3.5), "a whole number"),
    "regulators": (setting("feeder_settings", regulators=1), "true or false"),
    "queue": (setting("station_settings", queue="both"), "not one of shared"),
    "market as table": (lambda c: replace(c, market={"voll": 5.0}), "not a MarketSettings"),
    "consumption": (driver(consumption=-1.0), "consumption = -1.0 kWh/km"),
    "consumption 0": (driver(consumption=0.0), "consumption of driver class 'ev' is 0"),
    "battery nan": (driver(battery=float("nan")), "battery = nan is not finite"),
    "class as tuple": (named(drivers={"ev": ("ev", 12.0)}), "not a DriverClass"),
    "classes as list": (named(drivers=["ev"]), "['ev'] is not a table of names"),
    "class name no text": (lambda c: replace(c, drivers={5: c.drivers["ev"]}), "name = 5"),
    "class without trips": (named(trips={}), "driver class 'ev' has no trips"),
    "trips of nobody": (
        lambda c: replace(c, trips={**c.trips, "bus": c.trips["ev"]}),
        "unknown driver class 'bus'",
    ),
    "trips nan": (trips(trips_veh_h=np.nan), "trips.ev '1-3', column trips_veh_h"),
    "trips negative": (trips(trips_veh_h=-1.0), "trips_veh_h = -1.0"),
    "trips as text": (trips(trips_veh_h="10"), "'10' is text"),
    "trips from nowhere": (trips(origin="9"), "trips at unknown node '9'"),
    "zones as numbers": (trips(origin=1), "origin = 1 is a whole number"),
    "trips of zero": (trips(trips_veh_h=0.0), "has no trips"),
    "trips against tables": (
        lambda c: replace(c, trips={"ev": c.trips["ev"].assign(trips_veh_h=40.0)}),
        "from '1' to '3' are 40 veh/h, but 10 by trip_tables",
    ),
    "load factor": (scenario(load_factor=-1.0), "load_factor = -1.0"),
    "outage": (scenario(outages=("x",)), "unknown branch 'x'"),
    "outages as text": (scenario(outages="a-b"), "outages = 'a-b' is not a list"),
    "source at unknown bus": (scenario(reactive_sources={"x": 1.0}), "unknown bus 'x'"),
    "source nan": (scenario(reactive_sources={"a": np.nan}), "not finite"),
    "set": (scenario(set={"VoLL": 3}), "did you mean 'voll'"),
    "set by number": (scenario(set={5: 3}), "parameter name 5 is not text"),
    "set as list": (scenario(set=[1]), "[1] is not a table of names"),
    "scenario as table": (named(scenarios={"base": {}}), "not a ScenarioData"),
    "scenario name": (named(scenarios={"base": ScenarioData(), "a/b": ScenarioData()}), "'a/b'"),
    "title": (named(title="two\nlines"), "title = 'two\\nlines'"),
    "name": (named(name=ESCAPE), "name = '\\x1b[31mred'"),
    "source": (named(source=5), "source = 5"),
    "basis": (named(basis={"voll": "measured"}), "basis of 'voll'"),
    "note": (named(basis={"voll": ("measured", "a\x1b")}), "note = 'a\\x1b'"),
    "no case": (lambda c: {"name": "c"}, "is not a case"),
}


def one_line(error: pytest.ExceptionInfo[Any]) -> str:
    text = str(error.value)
    assert text.isprintable() and len(text) < 1000
    return text


@pytest.mark.parametrize("what", HOSTILE)
def test_no_object_holds_what_a_file_may_not(what: str) -> None:
    change, said = HOSTILE[what]
    case = change(make_case())
    for use in (lambda: vg.solve(case, "base"), lambda: admit_case(case)):
        with pytest.raises(vg.DataError) as error:
            use()
        assert said in one_line(error)
    with pytest.raises(vg.DataError):
        case_to_document(case)


@pytest.mark.parametrize(
    ("column", "said"),
    [("load_kW", "did you mean 'load_kw'"), (5, "column 5 is not known and left out")],
)
def test_an_extra_column_is_named_and_left_out(column: Any, said: str) -> None:
    case = make_case()
    extra = table("feeder.loads", lambda f: f.assign(**{"x": 1.0}).rename(columns={"x": column}))
    with pytest.warns(UserWarning, match=said) as told:
        document = case_to_document(extra(case))
    assert len(told) == 1 and "feeder.loads" in str(told[0].message)
    assert document == case_to_document(case)


def test_frames_edited_in_place_are_checked_again_and_problems_keep_their_own() -> None:
    case = make_case()
    eq = vg.solve(case, "base")
    before = eq.dlmp.to_numpy().copy()
    case.feeder.loads.loc["a", "load_kw"] = np.nan
    with pytest.raises(vg.DataError, match="load_kw = nan"):
        vg.solve(case, "base")
    assert eq.original.feeder.loads.loc["a", "load_kw"] == 100.0
    assert vg.solve(eq.original, "base").dlmp.to_numpy() == pytest.approx(before)


def test_other_types_of_the_same_values_are_taken() -> None:
    case = make_case()
    loads = case.feeder.loads.iloc[::-1].astype(object)
    loads["load_kw"] = pd.array([200, 100], dtype="Int64")
    stations = case.stations.assign(bus=pd.Categorical(["b"]))
    other = replace(case, feeder=replace(case.feeder, loads=loads), stations=stations)
    assert vg.solve(other, "base").dlmp.values == pytest.approx(vg.solve(case, "base").dlmp.values)


PAIRS = pd.DataFrame({"origin": ["1"], "destination": ["3"], "trips_veh_h": [10.0]})
ROADS: dict[str, tuple[Callable[[], Any], str]] = {
    "road no road": (lambda: vg.assign("road", PAIRS), "not a road network"),
    "road changed": (
        lambda: vg.assign(replace(R, arcs=R.arcs.assign(length_km=-1.0)), PAIRS),
        "length_km = -1.0",
    ),
    "arcs as text": (
        lambda: vg.assign(replace(R, arcs=R.arcs.assign(free_flow_min="5")), PAIRS),
        "'5' is text",
    ),
    "toll text": (lambda: R.with_arcs({"1-2": {"toll": "x"}}), "toll = 'x' is text"),
    "toll nan": (lambda: R.with_arcs({"1-2": {"toll": np.nan}}), "toll = nan"),
    "column": (lambda: R.with_arcs({"1-2": {"tol": 1}}), "did you mean 'toll'"),
    "arc": (lambda: R.with_arcs({"1-9": {"toll": 1.0}}), "no arc '1-9'"),
    "arc no text": (lambda: R.without_arcs(["1-2"]), "no arc ['1-2']"),
    "trips none": (lambda: vg.assign(R, None), "are None"),
    "trips nan": (lambda: vg.assign(R, PAIRS.assign(trips_veh_h=np.nan)), "are nan"),
    "trips text": (lambda: vg.assign(R, PAIRS.assign(trips_veh_h="10")), "are 10"),
    "trips twice": (lambda: vg.assign(R, pd.concat([PAIRS, PAIRS])), "appear twice"),
    "zone": (lambda: vg.assign(R, PAIRS.assign(origin=ESCAPE)), "\\x1b[31mred"),
    "class value": (
        lambda: vg.assign(R, {"c": vg.UserClass(PAIRS, value_of_time="12")}),
        "value_of_time",
    ),
    "class name": (lambda: vg.assign(R, {"c\n": vg.UserClass(PAIRS)}), "cannot be shown"),
    "gap": (lambda: vg.assign(R, PAIRS, gap="small"), "gap = 'small' is text"),
    "iterations": (lambda: vg.assign(R, PAIRS, max_iterations=1.5), "max_iterations = 1.5"),
    "start": (lambda: vg.assign(R, PAIRS, start=1), "start = 1 is no assignment"),
    "path": (lambda: vg.read_tntp(5), "5 is not the path"),
    "solve start": (lambda: vg.solve(make_case(), "base", start=5), "start = 5 is no"),
    "scenario list": (lambda: vg.solve(make_case(), ["base"]), "no scenario ['base']"),
    "changes list": (lambda: make_case().with_parameters([1]), "is not a table"),
    "nested": (lambda: make_case().with_parameters({"voll": [[[[[HUGE]]]]]}), "voll = [[["),
    "load": (lambda: vg.load(None), "None is not the path"),
    "load long": (lambda: vg.load("x" * 300), "cannot be read (File name too long)"),
    "load nul": (lambda: vg.load("x\0y"), "x\\x00y: cannot be read"),
    "case long": (lambda: vg.load_case("x" * 300), "no case"),
    "case nul": (lambda: vg.load_case("x\0"), "no case 'x\\x00'"),
    "study long": (lambda: vg.read_study("x" * 300), "no study file"),
}
R = make_road()


@pytest.mark.parametrize("what", ROADS)
def test_roads_trips_and_arguments_pass_the_same_door(what: str) -> None:
    use, said = ROADS[what]
    with pytest.raises(vg.V2GError) as error:
        use()
    assert said in one_line(error)


# file of the small case, its new text, what is said
FILES = {
    "deep": ("case.toml", "a = " + "[" * 3000 + "]" * 3000, "nested more than 20 deep"),
    "deep keys": ("case.toml", ".".join("a" * 3000) + " = 1", "nested more than 20 deep"),
    "digits": ("case.toml", "a = " + "1" * 5000, "too many digits"),
    "hexadecimal digits": ("study.toml", "[study]\ncase = 0x" + "f" * 5000, "a number of 20000"),
    "nul": ("study.toml", '[study]\ncase = "a\\u0000"', "case = 'a\\x00' holds a character"),
    "long": ("study.toml", f"[study]\ncase = '{'x' * 300}'", "no case"),
    "escape": ("ev_trips.csv", f"origin,{ESCAPE}\n", "\\x1b[31mred"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_break_readers_end_in_one_line(
    what: str, small: SmallCase, run: Callable[..., Answer]
) -> None:
    file, text, said = FILES[what]
    small.path(file).write_text(text, encoding="utf-8")
    answer = run("check", small.folder)
    assert answer.code == 2 and said in answer.err
    assert answer.err.count("\n") == 1 and "\x1b" not in answer.err and len(answer.err) < 2000


def test_contents_from_outside_the_case_are_not_quoted(small: SmallCase, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_text("hunter2:x:0\n", encoding="utf-8")
    text = small.path("case.toml").read_text(encoding="utf-8")
    ways = {
        "path": lambda: small.edit("case.toml", '"ev_trips.csv"', '"../elsewhere/secret"'),
        "link": lambda: _link(small.path("ev_trips.csv"), secret),
        "case": lambda: _link(small.path("case.toml"), secret),
        "road": lambda: _link(small.path("road/road.toml"), secret),
    }
    for way, change in ways.items():
        change()
        with pytest.raises(vg.DataError, match="not shown") as error:
            small.load()
        assert "hunter2" not in one_line(error), way
        if way == "path":
            small.path("case.toml").write_text(text, encoding="utf-8")
        else:
            small = SmallCase(_new(tmp_path / way))


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_devices_and_pipes_are_no_tables(small: SmallCase) -> None:
    small.path("ev_trips.csv").unlink()
    os.mkfifo(small.path("ev_trips.csv"))
    with pytest.raises(vg.DataError, match="a device or a pipe"):
        small.load()


@pytest.mark.parametrize("make", [make_case, fuel_only])
def test_roads_without_travel_time_are_certified(make: Callable[..., Case]) -> None:
    case = make(road=make_road({"1-2": {"free_flow_min": 0.0}, "2-3": {"free_flow_min": 0.0}}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eq = vg.solve(case, "base")
        assert eq.certificate.holds and eq.summary
    assert vg.assign(case.road, next(iter(case.trips.values()))).relative_gap == 0.0


MISTYPED = {
    "VoLL": "voll", "VOLL": "voll", "vol": "voll", "market.VoLL": "market.voll",
    "markets.voll": "market.voll", "voll_usd": "voll", "load_factor": "scenario.base.load_factor",
    "stress.load_factor": "scenario.stress.load_factor",
    "loadfactor": "scenario.base.load_factor", "load-factor": "scenario.base.load_factor",
    "scenarios.stress.load_factor": "scenario.stress.load_factor",
    "scenario.stress.loadfactor": "load_factor", "scenario.strss.load_factor": "stress",
    "battery_kwh": "battery", "batery": "battery", "Battery": "battery",
    "driver.ev.battery": "drivers.ev.battery", "drivers.ev.battery_kwh": "drivers.ev.battery",
    "drivers.ev.batteries": "drivers.ev.battery", "ev.battery": "battery",
    "firm-share": "firm_share", "firmshare": "firm_share", "firm_shares": "firm_share",
    "elasticty": "elasticity", "Vmin": "vmin", "vmin_pu": "vmin", "feeder.v_min": "feeder.vmin",
    "importmax": "import_max", "import_max_kw": "import_max", "import": "import_min",
    "substation.importmax": "substation.import_max", "reference-price": "reference_price",
    "station.queue": "stations.queue", "energy_values": "energy_value",
    "consumption_kwh_km": "consumption", "piles": "stations.s5.piles",
    "station.s5.piles": "stations.s5.piles", "generators.g13.maxkw": "max_kw",
    "load_kw": "feeder.loads.1.load_kw", "toll": "road.arcs.1-2.toll",
    "outages": "scenario.base.outages", "charger_power_kw": "charger_power",
    "root_voltage_pu": "root_voltage", "trips_factors": "drivers.ev.trips_factor",
}  # fmt: skip


def test_advice_names_what_was_meant() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    assert len(MISTYPED) >= 40
    for name, meant in MISTYPED.items():
        with pytest.raises(vg.DataError) as error:
            find_target(case, name)
        assert f"did you mean {meant!r}" in str(error.value), (name, str(error.value))


@pytest.mark.slow
def test_saved_equilibria_tell_how_their_case_differs_from_the_shipped_one(
    tmp_path: Path, run: Callable[..., Answer]
) -> None:
    case = vg.load_case("ieee123_sioux_falls_reference")
    other = replace(case, market=replace(case.market, voll=10.0))
    file = tmp_path / "eq.nc"
    for made, said in (
        (case, ["as shipped"]),
        (other, ["differs in one place", "market.voll = 10.0, shipped 20.0"]),
        (make_case(), ["no case of this name is shipped"]),
    ):
        eq = vg.solve(made, "base", parameters={"elasticity": -0.4})
        eq.save(file)
        again = vg.load(file)
        assert str(again.provenance) == str(eq.provenance)
        assert eq.provenance.contents in str(eq.certificate) and eq.provenance.contents in (
            eq._repr_html_()
        )
        answer = run("certify", file)
        assert answer.code == 0
        for text in [*said, "elasticity = -0.4", eq.provenance.contents]:
            assert text in answer.out
