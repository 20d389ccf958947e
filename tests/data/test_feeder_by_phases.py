"""Tables of a feeder by phases: written and read back, refused, reduced to one phase."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from phase_feeders import phase_feeder

import v2geq as vg
from v2geq.cli import app
from v2geq.data.checks.agreement import agreement, check_agreement, check_same_names
from v2geq.data.edit.build import as_feeder
from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.phases import NO_LIMIT_KVA, PHASE_TABLES
from v2geq.data.provenance import provenance
from v2geq.data.readers.document import case_from_document, case_to_document
from v2geq.data.readers.feeder import find_feeder, read_feeder
from v2geq.data.readers.folders import networks_folder
from v2geq.data.readers.phases import read_phase_feeder, write_feeder
from v2geq.errors import DataError, collecting
from v2geq.grid.ac import power_flow


def test_tables_read_back_equal(tmp_path: Path) -> None:
    feeder = phase_feeder()
    files = write_feeder(feeder, tmp_path / "f")
    assert files == ["feeder.toml", *(f"{t}.csv" for t in PHASE_TABLES)]
    for again in (read_phase_feeder(tmp_path / "f"), find_feeder(tmp_path / "f")):
        for table in PHASE_TABLES:
            pd.testing.assert_frame_equal(getattr(again, table), getattr(feeder, table))
        assert (again.name, again.root) == (feeder.name, feeder.root)
    write_feeder(replace(feeder, name="other"), tmp_path / "f")
    assert read_phase_feeder(tmp_path / "f").name == "other"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "feeder.toml").write_text('root = "1"\n', encoding="utf-8")
    with pytest.raises(DataError, match="holds a feeder that was not written by v2geq"):
        write_feeder(phase_feeder(), tmp_path)


def test_what_may_be_left_out(tmp_path: Path) -> None:
    write_feeder(phase_feeder(), tmp_path)
    for table in ("loads", "capacitors", "generators"):
        (tmp_path / f"{table}.csv").unlink()
    assert read_phase_feeder(tmp_path).loads.empty


def test_single_phase_equivalent(tmp_path: Path) -> None:
    """By hand: three phases z_s - z_m over three, one phase three times its own."""
    single = phase_feeder().single_phase()
    assert single.base_kv == pytest.approx(4.16)
    z = single.branches["r_ohm"] + 1j * single.branches["x_ohm"]
    assert z["main"] == pytest.approx((0.3 + 0.6j) - (0.1 + 0.2j))
    assert z["side"] == pytest.approx(3.0 * (0.5 + 0.5j))
    turns = 4.16 / math.sqrt(3.0) / 0.12
    own, mutual = (0.8 + 1.0j), (0.2 + 0.6j)
    assert z["service"] == pytest.approx(3.0 * (own + mutual) / 2.0)
    assert z["drop"] == pytest.approx(3.0 * (0.02 - 0.005) / 2.0 * turns**2)
    assert single.branches["ratio"].to_dict() == pytest.approx(
        {"main": 1.0, "reg": 1.02, "side": 1.0, "service": 1.0, "drop": 1.0, "tie": 1.0}
    )
    assert single.branches["phases"].to_dict()["reg"] == "abc"
    rating = single.branches["rating_kva"]
    assert rating["main"] == pytest.approx(3.0 * 2.4017771 * 400.0)
    assert rating["reg"] == 3000.0
    assert rating["drop"] == NO_LIMIT_KVA
    assert single.loads.loc["b"].tolist() == [330.0, 130.0]
    assert single.capacitors.loc["bank"].tolist() == ["b", 90.0]
    assert "off" not in single.capacitors.index
    assert np.isfinite(single.buses[["x", "y"]]).all(axis=None)
    assert single.buses.loc["house", ["x", "y"]].tolist() == [3.0, 1.0], "that of its neighbour"
    write_feeder(phase_feeder(), tmp_path)
    again = read_feeder(tmp_path)
    pd.testing.assert_frame_equal(again.branches, single.branches)
    assert again.by_phase is not None
    pd.testing.assert_frame_equal(again.by_phase.conductors, phase_feeder().conductors)


def test_a_feeder_carries_its_phases(tmp_path: Path) -> None:
    """In a sub-folder, which goes when the feeder is written without them."""
    single = phase_feeder().single_phase()
    files = write_feeder(single, tmp_path)
    assert "branches.csv" in files and "phases/conductors.csv" in files
    again = read_feeder(tmp_path)
    assert again.by_phase is not None
    for table in PHASE_TABLES:
        assert getattr(again.by_phase, table).equals(getattr(phase_feeder(), table))
    assert agreement(again).empty
    write_feeder(replace(single, by_phase=None), tmp_path)
    assert read_feeder(tmp_path).by_phase is None
    assert not (tmp_path / "phases").exists()


def test_a_case_holds_the_phases_of_its_feeder(tmp_path: Path) -> None:
    """Saved, restored, told apart from the case without them and from one with others."""
    case = vg.load_case("ieee123_sioux_falls")
    by_phase = case.feeder.by_phase
    assert by_phase is not None
    case.save(tmp_path)
    again = vg.load_case(tmp_path)
    assert again == case
    pd.testing.assert_frame_equal(again.feeder.by_phase.impedances, by_phase.impedances)
    assert case_from_document(json.loads(json.dumps(case_to_document(case)))) == again
    without = case.with_feeder(replace(case.feeder, by_phase=None))
    assert without != case
    without.save(tmp_path)
    assert vg.load_case(tmp_path) == without
    loads = by_phase.loads.assign(kw=by_phase.loads["kw"].where(by_phase.loads.index != "s1a", 41))
    other = case.with_feeder(replace(case.feeder, by_phase=replace(by_phase, loads=loads)))
    differences = provenance(other, {}).differences
    assert differences == ("feeder.by_phase.loads.s1a.kw = 41.0, shipped 40.0",)
    assert provenance(case, {}).differences == ()
    assert agreement(other.feeder).to_dict("records") == [
        {"table": "loads", "row": "1", "column": "load_kw", "value": 40.0, "by_phase": 41.0}
    ]
    check_agreement(other.feeder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: replace(f, root="b"),
            r"the root is 'source', by phases 'b'",
        ),
        (
            lambda f: replace(
                f,
                buses=f.buses.rename(index={"c": "d"}),
                branches=f.branches.replace({"c": "d"}),
                loads=f.loads.replace({"bus": {"c": "d"}}),
            ),
            r"buses only in the feeder, not by phases: c;",
        ),
        (
            lambda f: replace(
                f,
                branches=f.branches.rename(index={"side": "way"}),
                conductors=f.conductors.replace({"branch": {"side": "way"}}),
                impedances=f.impedances.replace({"branch": {"side": "way"}}),
            ),
            r"branches only in the feeder, not by phases: side",
        ),
    ],
    ids=["root", "buses", "branches"],
)
def test_other_names_by_phases(change: Callable[[PhaseFeeder], PhaseFeeder], message: str) -> None:
    single = phase_feeder().single_phase()
    with pytest.raises(DataError, match=message):
        check_same_names(replace(single, by_phase=change(phase_feeder())))


def test_other_ends_by_phases_are_refused_at_the_door() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    with pytest.raises(
        DataError, match="branch 'sw8' leads from '54' to '93', by phases from '54' to '94'"
    ):
        case.with_parameters({"feeder.branches.sw8.to_bus": "93"})


def test_numbers_that_do_not_agree() -> None:
    """Named where both are used together, not before: scenarios may change either."""
    case = vg.load_case("ieee123_sioux_falls").with_parameters({"feeder.branches.l115.r_ohm": 0.05})
    with pytest.raises(
        DataError, match=r"feeder.branches.l115.r_ohm = 0.05, but 0.0231869 by phases; change"
    ):
        check_agreement(case.feeder)
    loads = case.feeder.loads.drop("1")
    with pytest.raises(DataError, match=r"feeder.loads.1.load_kw = 0, but 40 by phases"):
        check_agreement(replace(vg.load_case("ieee123_sioux_falls").feeder, loads=loads))
    with pytest.raises(DataError, match="is not known by phases"):
        agreement(replace(case.feeder, by_phase=None))


def test_buses_without_any_place_get_one() -> None:
    feeder = phase_feeder()
    buses = replace(feeder, buses=feeder.buses.assign(x=np.nan, y=np.nan)).single_phase().buses
    assert len(buses[["x", "y"]].drop_duplicates()) > 3


Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("buses.csv", swap("b,abc", "b,abd"), "buses.csv, line 4, column phases: phases 'abd'"),
        ("feeder.toml", swap('"source"', '"sauce"'), r"root bus 'sauce' .* did you mean 'source'"),
        ("feeder.toml", swap('"phases"', '"phase"'), "kind = 'phase' is neither"),
        ("feeder.toml", swap("= 1.02", "= 102.0"), "root_voltage = 102.*at most 1.5|above 1.5"),
        (
            "branches.csv",
            swap("mid,b", "mid,bb"),
            "branches.csv, line 3, column to_bus: unknown bus 'bb'",
        ),
        ("conductors.csv", swap("reg,a", "rag,a"), "unknown branch 'rag'"),
        ("conductors.csv", swap("side,c,c", "side,b,b"), "uses phase b of bus 'c', which has c"),
        ("conductors.csv", swap("1.02,", "0.2,"), "ratio = 0.2 .* out of range, 0.5 to 1.5"),
        ("conductors.csv", swap("1.02,", "1.7,"), "ratio = 1.7"),
        ("conductors.csv", swap("400.0", "0"), "column rating_a: rating_a = 0"),
        ("conductors.csv", swap("service,1,c", "service,1,cc"), "from_phase 'cc' cannot be"),
        ("impedances.csv", swap("side,c,c", "side,c,b"), "impedance of phase b of branch 'side'"),
        ("loads.csv", swap("one,c,c", "one,c,a"), "load 'one' is on phase a, but bus 'c' has c"),
        ("loads.csv", swap("one,c", "one,cc"), "load at unknown bus 'cc'"),
        ("loads.csv", swap("abc,delta", "a,delta"), "phases 'a' of a load in delta cannot be"),
        ("loads.csv", swap("impedance", "impedence"), "did you mean 'impedance'"),
        (
            "branches.csv",
            swap(",true", ",false"),
            "phase c of bus 'c' is fed by 'side' and by 'tie'",
        ),
        ("branches.csv", swap("b,c,line", "c,b,line"), "phase c of bus 'b' is fed by"),
    ],
)
def test_refused(tmp_path: Path, file: str, edit: Edit, message: str) -> None:
    write_feeder(phase_feeder(), tmp_path)
    path = tmp_path / file
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_feeder(tmp_path)


def test_phases_without_a_path_to_the_root(tmp_path: Path) -> None:
    write_feeder(phase_feeder(), tmp_path)
    path = tmp_path / "buses.csv"
    path.write_text(path.read_text() + "lone,a,2.4,,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"without a path to the root 'source': lone \(a\)"):
        read_feeder(tmp_path)


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    write_feeder(phase_feeder(), tmp_path)
    path = tmp_path / "loads.csv"
    text = (
        path.read_text(encoding="utf-8")
        .replace("one,c,c", "one,c,a")
        .replace("three,b", "three,bb")
    )
    path.write_text(text, encoding="utf-8")
    with collecting() as found:
        read_phase_feeder(tmp_path)
    assert [re.search(r"line \d+", str(e.where))[0] for e in found] == ["line 2", "line 4"]  # type: ignore[index]


def test_what_is_no_feeder() -> None:
    with pytest.raises(DataError, match=r"'ieee12' is neither .*; did you mean 'ieee123'\?"):
        find_feeder("ieee12")
    with pytest.raises(DataError, match="opened told, but 'ieee123' is no OpenDSS script"):
        find_feeder("ieee123", opened=["x"])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Summary, tables and drawing of a folder; of a shipped feeder the summary."""
    write_feeder(phase_feeder(), tmp_path / "in")
    for words in (
        ["feeder", str(tmp_path / "in"), "--out", str(tmp_path / "out")],
        ["feeder", "ieee123"],
    ):
        with pytest.raises(SystemExit) as done:
            app(words)
        assert done.value.code == 0
    out = capsys.readouterr().out
    for line in (
        "loads          4, 384 kW, 154 kvar: 1 4, a 50, b 50, c 100, ab 60, bc 60, ca 60",
        "normally open  tie",
        "regulators     reg 1.02 1.02 1.02",
        "AC power flow  ",
        "normally open  sw7, sw8",
        "loads          85 buses, 3,490 kW, 1,920 kvar",
    ):
        assert line in out
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"feeder.toml", "feeder.svg", "feeder.png", "impedances.csv"} <= written
    pd.testing.assert_frame_equal(
        read_phase_feeder(tmp_path / "out").impedances, phase_feeder().impedances
    )
    assert (networks_folder() / "ieee123" / "feeder.toml").is_file()


def test_what_is_made_in_python_is_checked(tmp_path: Path) -> None:
    """By whoever takes a feeder: the file, the case, the power flow."""
    feeder = phase_feeder()
    loads = feeder.loads.assign(phases="a")
    makers: tuple[Callable[[Any], Any], ...] = (
        power_flow,
        as_feeder,
        lambda f: write_feeder(f, tmp_path / "f"),
    )
    for take in makers:
        with pytest.raises(DataError, match="load 'one' is on phase a, but bus 'c' has c"):
            take(replace(feeder, loads=loads.assign(connection="wye")))
        with pytest.raises(DataError, match="missing column 'kvar'"):
            take(replace(feeder, loads=loads.drop(columns="kvar")))
        with pytest.raises(DataError, match="root_voltage = 2"):
            take(replace(feeder, root_voltage=2.0))
        with pytest.raises(DataError, match="no closed branch"):
            take(replace(feeder, branches=feeder.branches.assign(normally_open=True)))
    assert not (tmp_path / "f").exists()
    with pytest.raises(DataError, match="'x' is not a PhaseFeeder"):
        power_flow("x")  # type: ignore[arg-type]
