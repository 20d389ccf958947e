"""Hostile inputs: whatever is in the files or arguments, one line says what is wrong with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import fuel_only, make_case, make_feeder, make_road
from door import Answer, SmallCase, left_over

import v2geq as vg
from v2geq.analysis.validation import validation_page
from v2geq.certificates.market import certify
from v2geq.data.template import write_template
from v2geq.equilibrium import Equilibrium
from v2geq.export.gams import to_gams
from v2geq.paper.figures import plot_study
from v2geq.solvers import solver
from v2geq.studies.check import check

CASE, LOADS, ARCS = "case.toml", "feeder/loads.csv", "road/arcs.csv"
STATIONS, TRIPS, GENERATORS = "stations.csv", "ev_trips.csv", "generators.csv"
SECONDS = 5.0

Change = Callable[[bytes], bytes]


def swap(old: str, new: str | bytes) -> Change:
    def change(raw: bytes) -> bytes:
        assert old.encode() in raw, old
        return raw.replace(old.encode(), new if isinstance(new, bytes) else new.encode(), 1)

    return change


def add(text: str | bytes) -> Change:
    return lambda raw: raw + (text if isinstance(text, bytes) else text.encode())


def whole(text: str | bytes) -> Change:
    return lambda _: text if isinstance(text, bytes) else text.encode()


NUMBERS = (
    "1e400 -1e400 0x10 0b1 0o7 1_000 1,5 ٣ ４ nan NaN -nan inf -inf Infinity 1e 1e+ --1 +-1 1.2.3 . "
    "- + e5 1j None null true 1/2 1e15x 2026-01-01 12:00 $40 40kW '40' 40% ½ Ⅳ −40 1e16 -1 -1e-300"
).split()
"""What is no load: numbers of other languages, signs, dates, and numbers no feeder has."""

TOML = {
    "key twice": add("\n[stations]\npiles = 1\n"),
    "dotted key redefines": swap("[feeder]", "feeder.vmin = 1\n[feeder]"),
    "inline table extended": swap("[feeder]", "x = {a = 1}\nx.b = 2\n[feeder]"),
    "date": swap("value = 20.0", "value = 2026-01-01"),
    "time": swap("value = 20.0", "value = 12:00:00"),
    "array": swap("value = 20.0", "value = [20.0]"),
    "table in a value": swap("value = 20.0", "value = {value = 20.0}"),
    "text": swap("value = 20.0", "value = '20.0'"),
    "truth": swap("value = 20.0", "value = true"),
    "infinite": swap("value = 20.0", "value = -inf"),
    "leading zero": swap("value = 20.0", "value = 020"),
    "arabic digits": swap("value = 20.0", "value = ٢٠"),
    "decimal comma": swap("value = 20.0", "value = 20,0"),
    "huge integer": swap("value = 20.0", "value = " + "9" * 5000),
    "huge exponent": swap("value = 20.0", "value = 1e999999"),
    "deep": swap("value = 20.0", "value = " + "[" * 3000 + "]" * 3000),
    "deep tables": add("\n[" + ".".join("a" * 2000) + "]\n"),
    "no end of text": swap('"ieee123_sioux_falls_reference"', '"ieee123'),
    "no end of list": add("\nx = [1,"),
    "NUL": add(b"\n# \x00\n"),
    "escape": add(b"\n# \x1b[2J\n"),
    "not UTF-8": add(b"\n# \xff\xfe\n"),
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "byte order mark inside": add("\n\ufeff[x]\n"),
    "carriage returns alone": lambda raw: raw.replace(b"\n", b"\r"),
    "empty": whole(""),
    "blanks": whole(" \n\t\n"),
    "a list of tables": swap("[market]", "[[market]]"),
    "networks as text": swap('[networks]\nfeeder = "../ieee123"', 'networks = "x"\n[n]'),
    "feeder is itself": swap('"../ieee123"', '"."'),
    "feeder is the road": swap('"../ieee123"', '"../sioux_falls"'),
    "feeder with NUL": swap('"../ieee123"', '"a\\u0000b"'),
    "feeder far away": swap('"../ieee123"', '"../../../../../../../../etc"'),
    "feeder of 5000 letters": swap('"../ieee123"', '"' + "a" * 5000 + '"'),
    "feeder as number": swap('"../ieee123"', "5"),
    "feeder empty": swap('"../ieee123"', '""'),
    "name as number": swap('"ieee123_sioux_falls_reference"', "5"),
    "name with escape": swap('"ieee123_sioux_falls_reference"', '"\\u001b[2J"'),
    "unit of another world": swap('"$/kWh"', '"furlong"'),
    "unit as list": swap('unit = "$/kWh"', 'unit = ["$/kWh"]'),
    "unit of 10,000 letters": swap('"$/kWh"', '"' + "$" * 10000 + '"'),
    "basis": swap('basis = "assumed"', 'basis = "guessed"'),
    "note as table": swap('note = "no export to the transmission system"', "note = {}"),
    "scenario is text": add("\n[scenario]\nx = 'y'\n"),
    "scenario with a slash": add('\n[scenario."../x"]\n'),
    "scenario within a folder": add('\n[scenario."a/b"]\n'),
    "scenario with a backslash": add("\n[scenario.'a\\b']\n"),
    "scenario without name": add('\n[scenario.""]\n'),
    "scenario of blanks": add('\n[scenario."  "]\n'),
    "scenario of 300 letters": add("\n[scenario." + "a" * 300 + "]\n"),
    "scenario sets a scenario": add("\n[scenario.x]\nset.'scenario.x.set' = 1\n"),
    "scenario sets itself": add("\n[scenario.x]\nset.scenario.x.load_factor = 1e400\n"),
    "outages as table": add("\n[scenario.x]\noutages = {a = 1}\n"),
    "outage twice": add('\n[scenario.x]\noutages = ["sw1", "sw1"]\n'),
    "outage as number": add("\n[scenario.x]\noutages = [1]\n"),
    "class without kind": add("\n[drivers.x]\nvalue_of_time = 1\n"),
    "class of another kind": add("\n[drivers.x]\nkind = 'bus'\nvalue_of_time = 1\ntrips = 'a'\n"),
    "trips are the case": add("\n[drivers.x]\nkind='fv'\nvalue_of_time=1\ntrips='case.toml'\n"),
    "trips are a folder": add("\n[drivers.x]\nkind='fv'\nvalue_of_time=1\ntrips='.'\n"),
    "trips are a device": add("\n[drivers.x]\nkind='fv'\nvalue_of_time=1\ntrips='/dev/zero'\n"),
    "load factor as date": add("\n[scenario.x]\nload_factor = 1979-05-27T07:32:00Z\n"),
    "load factor below 0": add("\n[scenario.x]\nload_factor = -0.1\n"),
}

TABLES: dict[str, tuple[str, Change]] = {
    "load bus twice, once decomposed": (LOADS, add("Å,1,1\nA\u030a,1,1\n")),
    "no header": (LOADS, swap("bus,load_kw,load_kvar\n", "")),
    "header twice": (LOADS, swap("bus,load_kw,load_kvar", "bus,load_kw,load_kw")),
    "header of blanks": (LOADS, swap("bus,load_kw", " , ")),
    "10,000 columns": (LOADS, swap("load_kvar\n", "load_kvar," + ",".join("x" * 10000) + "\n")),
    "a cell of a million letters": (LOADS, add("x" * 10**6 + ",1,1\n")),
    "row too short": (LOADS, add("2\n")),
    "row too long": (LOADS, add("2,1,1,1\n")),
    "quote not closed": (LOADS, add('"2,1,1\n')),
    "quote inside": (LOADS, add('2"x",1,1\n')),
    "newline in a name": (LOADS, add('"a\nb",1,1\n')),
    "NUL in a name": (LOADS, add(b"a\x00b,1,1\n")),
    "escape in a name": (LOADS, add(b"\x1b[31m,1,1\n")),
    "mark inside": (LOADS, add("\ufeff2,1,1\n")),
    "right to left": (LOADS, add("\u202e2,1,1\n")),
    "no width": (LOADS, add("\u200b,1,1\n")),
    "latin 1": (LOADS, add(b"\xe5,1,1\n")),
    "semicolons": (LOADS, lambda raw: raw.replace(b",", b";")),
    "tabs": (LOADS, lambda raw: raw.replace(b",", b"\t")),
    "UTF-32": (LOADS, lambda raw: raw.decode().encode("utf-32")),
    "an archive": (LOADS, whole(b"PK\x03\x04" + bytes(100))),
    "nothing": (LOADS, whole("")),
    "one byte": (LOADS, whole(b"\xff")),
    "no name": (LOADS, add(",1,1\n")),
    "name of blanks": (LOADS, add("   ,1,1\n")),
    "name of 300 letters": (LOADS, add("a" * 300 + ",1,1\n")),
    "stations without header": (STATIONS, whole("")),
    "station at no node": (STATIONS, swap("s5,5,7", "s5,,7")),
    "station at a node of nowhere": (STATIONS, swap("s5,5,7", "s5,٥,7")),
    "station of nan piles": (STATIONS, swap("2000,2000,40", "2000,2000,nan")),
    "station of few piles": (STATIONS, swap("2000,2000,40", "2000,2000,-0.5")),
    "limit below zero": (STATIONS, swap("2000,2000,40", "-1,2000,40")),
    "pair twice": (TRIPS, add("1,20,1\n")),
    "pair from nowhere": (TRIPS, add("0,20,1\n")),
    "pair without end": (TRIPS, add("1,,1\n")),
    "trips below zero": (TRIPS, add("2,20,-1\n")),
    "trips of a formula": (TRIPS, add("2,20,=1+1\n")),
    "trips beyond all": (TRIPS, add("2,20,1e300\n")),
    "least above most": (GENERATORS, swap("0,300,", "301,300,")),
    "most below zero": (GENERATORS, swap("0,300,", "0,-300,")),
    "cost below zero": (GENERATORS, swap("0.1,0.0001", "0.1,-0.0001")),
    "reactive swapped": (GENERATORS, swap("0.0001,0,0", "0.0001,5,-5")),
    "generator of nobody": (GENERATORS, swap("g13,A,", "g13,,")),
    "portions": ("lses.csv", swap("A,0.5", "A,0.50001")),
    "portion below zero": ("lses.csv", swap("A,0.5", "A,-0.5")),
    "LSE with a slash": ("lses.csv", swap("\nA,", "\n../A,")),
    "arc of no length": (ARCS, swap("25900.20064,6,6", "25900.20064,-0.1,6")),
    "arc of no capacity": (ARCS, swap("25900.20064", "0")),
    "arc to itself": (ARCS, swap("1-2,1,2", "1-2,1,1")),
    "arc twice": (ARCS, add("1-2b,1,2,1,1,1,0.15,4\n")),
    "arc back in time": (ARCS, swap("25900.20064,6,6", "25900.20064,6,-6")),
    "power between": (ARCS, swap("6,6,0.15,4", "6,6,0.15,0.5")),
    "loop": ("feeder/branches.csv", add("new,1,7,line,abc,1,1,1,1,1,false\n")),
    "branch to itself": ("feeder/branches.csv", add("new,1,1,line,abc,1,1,1,1,1,false\n")),
    "branch of no ratio": ("feeder/branches.csv", swap("3818.825620528,1.0", "3818.8,0")),
    "open is maybe": ("feeder/branches.csv", swap("1.0,false", "1.0,maybe")),
    "bus alone": ("feeder/buses.csv", add("alone,abc,0,0,4.16\n")),
    "no bus": ("feeder/buses.csv", whole("bus,phases,x,y,base_kv\n")),
    "no node": ("road/nodes.csv", whole("node,x,y,through\n")),
    "no LSE": ("lses.csv", whole("lse,portion,basis\n")),
    "root of nowhere": ("feeder/feeder.toml", swap('"150"', '"Å"')),
    "root as number": ("feeder/feeder.toml", swap('"150"', "150")),
    "no voltage": ("feeder/feeder.toml", swap("4.16", "0")),
}

FILES: dict[str, tuple[str, Change]] = {
    **{f"load {text}": (LOADS, swap("\n1,40,20", f"\n1,{text},20")) for text in NUMBERS},
    **{f"case: {name}": (CASE, change) for name, change in TOML.items()},
    **TABLES,
}


SEVERAL = {
    "case: class without kind": "and without trips",
    "case: class of another kind": "and with trips in no file",
    "load bus twice, once decomposed": "two unknown buses",
    "LSE with a slash": "whose generators have lost it",
    "no bus": "so all that stands at one is nowhere",
    "no node": "so all that stands at one is nowhere",
    "no LSE": "so generators have none",
    "loop": "of a branch that the tables by phases do not have",
    "branch to itself": "and not in the tables by phases",
}
"""Files with more than one mistake, or one that brings others about, and why."""
MOST = 60
"""Lines that tell of them, where one mistake brings about hundreds."""


def one_line(answer: Answer, code: int = 2) -> None:
    lines = answer.err.splitlines()
    assert answer.code == code, answer
    assert lines
    assert "Traceback" not in answer.err
    assert all(line.isprintable() and len(line) < 5000 for line in lines), answer.err


@pytest.mark.slow
@pytest.mark.parametrize("what", FILES)
def test_files(what: str, small: SmallCase, run: Callable[..., Answer]) -> None:
    name, change = FILES[what]
    path = small.path(name)
    path.write_bytes(change(path.read_bytes()))
    before, begin = left_over(small.root), time.perf_counter()
    answer = run("check", small.folder / CASE)
    one_line(answer)
    told = answer.err.splitlines()
    assert all(line.startswith("error: ") for line in told), answer.err
    assert len(told) == 1 or (what in SEVERAL and len(told) <= MOST), answer.err
    assert time.perf_counter() - begin < SECONDS
    assert left_over(small.root) == before


def test_there_are_many() -> None:
    assert len(FILES) >= 150


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
@pytest.mark.parametrize("name", [CASE, LOADS, STATIONS, TRIPS, ARCS])
def test_links_in_a_circle(name: str, small: SmallCase, run: Callable[..., Answer]) -> None:
    path = small.path(name)
    path.unlink()
    path.symlink_to(path)
    one_line(run("check", small.folder))


STUDIES = [
    "",
    "[study]\ncase = 5\n",
    "[study]\ncase = 'nowhere'\n",
    "[study]\ncase = '/dev/null'\n",
    "[study]\ncase = 'study.toml'\n",
    "[study]\nscenarios = 'base'\n",
    "[study]\nscenarios = ['base', 'base']\n",
    "[study]\nscenarios = ['../x']\n",
    "[study]\nscenarios = []\n",
    "[study]\nv2g = [1]\n",
    "[study]\nv2g = []\n",
    "[study]\n[[study.variant]]\n",
    "[study]\n[[study.variant]]\nname = '..'\n",
    "[study]\n[[study.variant]]\nname = '../x'\n",
    "[study]\n[[study.variant]]\nname = 'a/b'\n",
    "[study]\n[[study.variant]]\nname = 'x'\n[[study.variant]]\nname = 'x'\n",
    "[study]\n[[study.variant]]\nname = 'x'\n[[study.variant]]\nname = 'X'\n",
    "[study]\n[[study.variant]]\nname = 'x'\nset = 5\n",
    "[study]\n[[study.variant]]\nname = 'x'\nset.vol = 5\n",
    "[study]\nstudy = 1\n[study]\n",
]


@pytest.mark.parametrize("text", STUDIES)
def test_studies(text: str, small: SmallCase, run: Callable[..., Answer], tmp_path: Path) -> None:
    file = small.study(text)
    answer = run("study", file, "--out", tmp_path / "results")
    one_line(answer)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["case.toml", "stations.csv", "Case.TOML", "net.tntp"])
@pytest.mark.parametrize("command", ["solve", "export"])
def test_results_do_not_replace_inputs(
    command: str, name: str, small: SmallCase, run: Callable[..., Answer]
) -> None:
    kept = small.path(CASE).read_bytes()
    out = small.folder / name
    answer = run(command, small.folder, "--scenario", "base", "--out", out)
    one_line(answer)
    assert "as the files of a case do" in answer.err
    assert small.path(CASE).read_bytes() == kept


def test_assignment_does_not_replace_a_road(small: SmallCase, tmp_path: Path) -> None:
    road = make_road({"1-2": {}})
    demand = road.trips.assign()
    demand.loc[0] = ["1", "2", 5.0]
    kept = small.path(ARCS).read_bytes()
    result = vg.assign(road, demand)
    with pytest.raises(vg.DataError, match="input files that the results would replace"):
        result.save(small.path(ARCS).parent)
    assert small.path(ARCS).read_bytes() == kept


NO_PATHS = [None, 5, 1.5, b"x", ["x"], {"x": 1}, ("a", "b"), object()]


@pytest.mark.parametrize("path", NO_PATHS, ids=lambda x: type(x).__name__)
def test_what_is_no_path(path: Any, solved: Equilibrium) -> None:
    calls: list[Callable[[Any], Any]] = [
        vg.load,
        vg.load_case,
        solved.save,
        plot_study,
        write_template,
        check,
        vg.read_tntp,
        lambda p: to_gams(solved.coupled.mcp, p),
    ]
    if path is not None:
        calls += [vg.read_study, validation_page]
    for call in calls:
        with pytest.raises(vg.DataError) as caught:
            call(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("method", [None, 5, [], {}, b"auto", ("auto",), "Auto", "", "a" * 10**5])
def test_methods(method: Any) -> None:
    with pytest.raises(vg.DataError, match="there is no method"):
        solver(method)


# ---------------------------------------------------------------------------------------------
# False certificates: one odd entry of the data sets the scale of all others


def forged(eq: Equilibrium, block: str, position: int, value: float) -> list[str]:
    """What the certificate says where one strategy is another."""
    z = eq.z.copy()
    eq.coupled.mcp.split(z)[block][position] = value
    certificate, _ = certify(eq.coupled, z)
    return certificate.failures


def test_one_line_of_many_ohms_does_not_hide_the_others() -> None:
    feeder = make_feeder({"r-a": {}, "a-b": {}, "b-c": {"r_ohm": 1e10}})
    eq = vg.solve(make_case(feeder=feeder))
    assert eq.certificate.holds, eq.certificate
    plain = vg.solve(make_case(feeder=make_feeder({"r-a": {}, "a-b": {}})))
    assert float(eq.voltage_pu[2]) == pytest.approx(float(plain.voltage_pu[2]), abs=1e-9)
    assert any("row_gap" in text for text in forged(eq, "dso.v_squared", 1, 0.9))


def test_one_large_flow_does_not_hide_the_others() -> None:
    road = make_road({"1-2": {}, "2-3": {}, "8-9": {"capacity_veh_h": 1e13}})
    case = make_case(
        road=road,
        drivers={"ev": {}, "fv": {"kind": "fv"}},
        trips={"ev": {"1-3": 10.0}, "fv": {"8-9": 1e12}},
    )
    eq = vg.solve(case)
    assert any("row_gap" in text for text in forged(eq, "drivers.arc_flow", 0, 10.001))


def test_piles_that_stand_for_no_limit_do_not_hide_the_others() -> None:
    stations = {
        "s": {"road_node": "2", "bus": "b", "piles": 1.0},
        "x": {"road_node": "9", "bus": "b", "piles": 1e13},
    }
    road = make_road({"1-2": {}, "2-3": {"length_km": 16.0}, "8-9": {}})
    eq = vg.solve(make_case(road=road, stations=stations), v2g=False)
    assert eq.certificate.holds, eq.certificate
    assert any("row_gap" in text for text in forged(eq, "drivers.station_flow", 0, 9.99))


def test_sensitivity_at_the_end_of_a_range() -> None:
    """No toll can be lowered: the derivative is the one upwards."""
    eq = vg.solve(fuel_only())
    change = eq.sensitivity(of="cost_fv", to="road.arcs.1-2.toll")
    assert float(change[0]) == pytest.approx(1.0, abs=1e-6)


# ---------------------------------------------------------------------------------------------
# NetCDF files that keep their library for ever

# written by h5py: f = File(..., libver="latest"); f["b"] = f["/"]
CIRCLE = bytes.fromhex(
    "894844460d0a1a0a030808000000000000000000ffffffffffffffffb30000000000000030000000"
    "000000009555568b4f484452020078021200000000ffffffffffffffffffffffffffffffff0a0200"
    "010000060c0000010001623000000000000000160500040002000000003f00000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000b7a47dcf"
)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["certify", "show"])
def test_groups_in_a_circle(command: str, tmp_path: Path, run: Callable[..., Answer]) -> None:
    (tmp_path / "circle.nc").write_bytes(CIRCLE)
    answer = run(command, tmp_path / "circle.nc")
    one_line(answer)
    assert "not a readable NetCDF file" in answer.err
