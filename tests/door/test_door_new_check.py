"""Commands `new` and `check`: a case to start from, and a look at a case without solving it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from v2geq.data.edit.case import load_case
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES
from v2geq.data.model.settings import SECTIONS
from v2geq.data.template import template_files, write_template
from v2geq.equilibrium import solve
from v2geq.studies.check import check

SCENARIOS = ["base", "peak", "island"]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    write_template(folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace the only `old`."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text.count(old))
    path.write_text(text.replace(old, new), encoding="utf-8")


# -- new -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_new_check_study_in_a_row(run, tmp_path: Path) -> None:
    folder = tmp_path / "a new case"
    made = run("new", folder)
    assert made.code == 0, made.err
    assert sorted(made.out.split("\n")[:-1]) == sorted(str(folder / f) for f in template_files("x"))
    checked = run("check", folder)
    assert checked.code == 0, checked.err
    assert not checked.err
    studied = run("study", folder, "--out", tmp_path / "out", "--jobs", "1")
    assert studied.code == 0, studied.err
    assert "6 of 6 runs certified" in studied.err
    assert len(list((tmp_path / "out").glob("*.nc"))) == 6


def test_new_case_shows_what_vehicles_do(mine: Path) -> None:
    """Peak load is shed without V2G and served with it; some trips must charge."""
    case = load_case(mine)
    assert list(case.scenarios) == SCENARIOS
    without, with_v2g = (solve(case, "peak", v2g=v) for v in (False, True))
    assert without.summary["load_shed_kw"] > 100.0
    assert with_v2g.summary["load_shed_kw"] < 1.0
    assert without.summary["charge_kw"] > 100.0


def test_new_into_an_empty_folder(run, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert run("new", folder).code == 0
    assert load_case(folder).name == "empty"


@pytest.mark.parametrize("kind", ["file inside", "file"])
def test_new_refuses_what_is_there(run, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "taken"
    inside = folder / "notes.txt" if kind == "file inside" else folder
    inside.parent.mkdir(exist_ok=True)
    inside.write_text("mine", encoding="utf-8")
    answer = run("new", folder)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {folder}: ")
    assert answer.err.count("\n") == 1
    assert inside.read_text(encoding="utf-8") == "mine"
    assert len(list(tmp_path.rglob("*"))) == (2 if kind == "file inside" else 1)


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "ümläut", "tab\tstop"])
def test_new_in_a_folder_with_an_odd_name(tmp_path: Path, name: str) -> None:
    assert tomllib.loads(template_files(name)["case.toml"])["name"] == name


def test_new_lists_every_setting_with_its_meaning(mine: Path) -> None:
    """Each attribute table is there in full, and each setting's text stands above it."""
    text = (mine / "case.toml").read_text(encoding="utf-8")
    plain = re.sub(r"\n#   ", " ", text)
    tables = [cls for _, cls in SECTIONS.values()] + [DriverClass, ScenarioData]
    document = tomllib.loads(text)
    for section, (_, cls) in SECTIONS.items():
        assert set(document[section]) == {f.name for f in fields(cls)}
    assert set(document["drivers"]["ev"]) == {f.name for f in fields(DriverClass)}
    assert set(document["scenario"]["base"]) == {f.name for f in fields(ScenarioData)}
    for cls in tables:
        for f in fields(cls):
            assert re.search(
                rf"^# {re.escape(f.metadata['text'])}.*\n{f.name} = ", plain, re.MULTILINE
            ), f.name
            if f.metadata["unit"]:
                assert f"{f.metadata['text']}; {f.metadata['unit']}" in plain


def test_new_readme_lists_every_column(mine: Path) -> None:
    text = (mine / "README.md").read_text(encoding="utf-8")
    for schema in (*CASE_TABLES.values(), *FEEDER_TABLES.values(), *ROAD_TABLES.values()):
        for column in schema.columns:
            assert f"| `{column.name}` | {column.unit} |" in text


# -- check ---------------------------------------------------------------------------------------


def test_check_tells_what_is_in_a_case(run, mine: Path) -> None:
    answer = run("check", mine)
    for part in (
        "mine: Six buses and six road nodes",
        "6 buses at 4.16 kV, root sub",
        "6: 4 lines, 2 switches; 1 normally open",
        "1,050.0 kW and 430.0 kvar at 5 buses",
        "150.0 kvar in 1 bank (switchable)",
        "6 nodes, 14 arcs",
        "A (60.0%), B (40.0%)",
        "2; 0 to 550 kW",
        "electric, 115.0 veh/h on 4 OD pairs",
        "study       6 runs",
        "4 OD pairs: 2 direct, 2 with one stop",
        "0 measured, 0 cited",
        "without vehicles firm load exceeds supply by 110 kW",
    ):
        assert part in answer.out
    rows = [line.split() for line in answer.out.splitlines() if line.startswith("  island of")]
    assert rows == [
        ["island", "of", "b4", "2", "450", "360", "250", "0", "800", "190", "-500", "650"]
    ]


def test_check_tells_a_factor_on_capacities(run, mine: Path) -> None:
    file = mine / "case.toml"
    text = file.read_text(encoding="utf-8")
    assert "capacities" not in run("check", mine).out
    file.write_text(text.replace("capacity_factor = 1.0", "capacity_factor = 0.5"), "utf-8")
    assert "14 arcs, 590.0 km; capacities times 0.5" in run("check", mine).out


def test_check_tables_are_aligned(run, mine: Path) -> None:
    lines = run("check", mine).out.splitlines()
    at = lines.index("scenario island")
    assert len({len(line) for line in lines[at + 1 : at + 4]}) == 1


@pytest.mark.parametrize("file", ["case.toml", "study.toml"])
def test_check_takes_files_as_well(run, mine: Path, file: str) -> None:
    answer = run("check", mine / file)
    assert answer.code == 0
    assert ("6 runs" in answer.out) == (file == "study.toml")


def test_check_takes_the_folder_one_is_in(run, mine: Path, monkeypatch) -> None:
    monkeypatch.chdir(mine)
    assert run("check").code == 0


@pytest.mark.parametrize("case", ["ieee123_sioux_falls", "ieee123_sioux_falls_reference"])
def test_check_shipped_cases(run, case: str) -> None:
    answer = run("check", case)
    assert answer.code == 0
    assert "130 buses" in answer.out
    assert "24 OD pairs: 21 direct, 3 with one stop" in answer.out
    assert ("6.2 C, above 3 C" in answer.out) == case.endswith("reference")


def test_check_reports_every_scenario_that_fails(run, mine: Path) -> None:
    edit(mine / "case.toml", '{ "b5" = 400.0 }', "{}")
    text = (mine / "case.toml").read_text(encoding="utf-8")
    more = '\n[scenario.cut]\noutages = ["l4"]\n[scenario.dark]\noutages = ["sw1"]\n'
    (mine / "case.toml").write_text(text + more, encoding="utf-8")
    edit(mine / "generators.csv", "g2,B,b5", "g2,B,b2")
    answer = run("check", mine)
    assert answer.code == 2
    lines = answer.err.splitlines()
    assert all(line.startswith(f"error: {mine / 'case.toml'}") for line in lines)
    # without V2G there is no supply, with it there is no reactive power
    assert [line.rpartition("(")[2] for line in lines] == [
        f"scenario {name} {word} V2G)"
        for name in ("island", "cut", "dark")
        for word in ("without", "with")
    ]
    assert "scenario base" in answer.out
    assert "cannot be set up without and with V2G, see the errors" in answer.out
    assert "no errors" not in answer.out


def test_check_tells_of_trips_no_battery_can_do(run, mine: Path) -> None:
    edit(mine / "case.toml", "battery = 30.0", "battery = 12.0")
    answer = run("check", mine)
    assert answer.code == 2
    assert "1 with one stop, 3 NOT AT ALL" in answer.out
    assert "no energy-feasible path" in answer.err


def test_check_tells_of_stations_nobody_can_reach(run, mine: Path) -> None:
    nodes, arcs = mine / "road/nodes.csv", mine / "road/arcs.csv"
    nodes.write_text(nodes.read_text() + "7,9,9,true\n", encoding="utf-8")
    arcs.write_text(arcs.read_text() + "7-6,7,6,400,10,7,0.15,4\n", encoding="utf-8")
    edit(mine / "stations.csv", "s3,3,b3", "s7,7,b3,800,800,20,0.02,0.02,50,20\ns3,3,b3")
    answer = run("check", mine)
    assert answer.code == 0
    assert "warning: station s7: no electric trip can stop there" in answer.out
    answer = run("solve", mine, "--scenario", "base")
    assert answer.code == 0
    assert "note: station s7: no electric trip can stop there" in answer.out


def test_check_reads_variants(run, mine: Path) -> None:
    study = mine / "study.toml"
    added = '[[study.variant]]\nname = "small"\nset = { "substation.import_max" = 100.0 }\n'
    study.write_text(study.read_text(encoding="utf-8") + added, encoding="utf-8")
    answer = run("check", mine)
    assert answer.code == 0
    assert "12 runs; variants small" in answer.out
    assert "scenario base, variant small" in answer.out
    edit(study, 'import_max" = 100.0', 'import_max" = -5.0')
    answer = run("check", mine)
    assert answer.code == 2
    # one line with all runs that have this problem
    assert answer.err.count("\n") == 1
    assert answer.err.count("variant small with") == 6


def test_check_bad_input_is_one_line(run, mine: Path) -> None:
    edit(mine / "lses.csv", "A,0.6", "A,0.7")
    answer = run("check", mine)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "lses.csv" in answer.err
    assert not answer.out


@pytest.mark.parametrize("what", ["nothing", "empty folder"])
def test_check_without_a_case(run, tmp_path: Path, what: str) -> None:
    (tmp_path / "empty folder").mkdir()
    answer = run("check", tmp_path / what)
    assert answer.code == 2
    assert answer.err.startswith("error: no case ")


def test_check_without_a_study(mine: Path) -> None:
    (mine / "study.toml").unlink()
    report = check(mine)
    assert not report.errors
    assert not any("study" in line for line in report.lines)


def test_check_names_stations_without_power(mine: Path) -> None:
    shutil.copy(mine / "case.toml", mine / "case.bak")
    edit(mine / "case.toml", '["l3"]', '["sw1"]')
    edit(mine / "case.toml", '{ "b5" = 400.0 }', '{ "b3" = 400.0 }')
    edit(mine / "feeder/loads.csv", "b3,150,60\n", "")
    report = check(mine)
    # a station keeps its bus alive, so it is an island of its own
    assert not report.errors
    assert any(line.startswith("  island of b3") for line in report.lines)


@pytest.mark.slow
def test_new_and_check_answer_within_two_seconds(mine: Path) -> None:
    """Processor time of a fresh process, so that a busy machine does not matter."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "v2geq", "check", str(mine)], check=True)
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < 2.0
