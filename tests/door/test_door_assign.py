"""`v2geq assign` and `v2geq validate` as users meet them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from door import Answer

NET = """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 4
<FIRST THRU NODE> 1
<NUMBER OF LINKS> 5
<END OF METADATA>

~ init term capacity length time b power speed toll type ;
1 3 1 1 0.00000001 1000000000 1 0 0 1 ;
1 4 1 1 50 0.02 1 0 0 1 ;
3 2 1 1 50 0.02 1 0 0 1 ;
3 4 1 1 10 0.1 1 0 0 1 ;
4 2 1 1 0.00000001 1000000000 1 0 0 1 ;
"""
TRIPS = """<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 6.0
<END OF METADATA>

Origin 1
    1 : 0.0;    2 : 6.0;
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    net, trips = tmp_path / "net.tntp", tmp_path / "trips.tntp"
    net.write_text(NET, encoding="utf-8")
    trips.write_text(TRIPS, encoding="utf-8")
    return net, trips


def test_assign_prints_and_writes(
    run: Callable[..., Answer], files: tuple[Path, Path], tmp_path: Path
) -> None:
    answer = run("assign", *files, "--gap", "1e-9", "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "objective" in answer.out and "386" in answer.out
    assert "relative gap" in answer.err  # progress
    arcs = pd.read_csv(tmp_path / "out" / "arcs.csv", index_col="arc")
    assert arcs["flow_veh_h"].round(6).tolist() == [4, 2, 2, 2, 4]
    assert len(pd.read_csv(tmp_path / "out" / "paths.csv")) == 3


def test_assign_counts_distance(run: Callable[..., Answer], files: tuple[Path, Path]) -> None:
    answer = run("assign", *files, "--distance-factor", "100")
    assert answer.code == 0
    # 100 min per unit of length: the route of three arcs is not worth it
    assert "3-4" not in answer.out.split("most loaded")[1] or " 0.00" in answer.out


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (0, "3 4 1 1 10", "3 4 0 1 10", "net.tntp, line 11"),
        (0, "3 4 1 1 10", "3 4 1 1 ten", "net.tntp, line 11"),
        (0, "<NUMBER OF LINKS> 5", "<NUMBER OF LINKS> 6", "net.tntp"),
        (0, "<END OF METADATA>", "", "END OF METADATA"),
        (1, "2 : 6.0", "7 : 6.0", "trips.tntp, line 6"),
        (1, "2 : 6.0", "2 : -6.0", "trips.tntp, line 6"),
        (1, "2 : 6.0;", "2 : 6.0 3", "trips.tntp, line 6"),
        (1, "Origin 1", "Origin 2", "2 -> 1"),
    ],
)
def test_bad_tntp_is_one_message(
    run: Callable[..., Answer],
    files: tuple[Path, Path],
    file: int,
    old: str,
    new: str,
    message: str,
) -> None:
    text = files[file].read_text(encoding="utf-8")
    assert old in text
    changed = text.replace(old, new)
    if new == "Origin 2":
        changed = changed.replace("1 : 0.0;    2 : 6.0;", "1 : 6.0;    2 : 0.0;")
    files[file].write_text(changed, encoding="utf-8")
    answer = run("assign", *files)
    assert answer.code == 2
    assert answer.out == ""
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_assign_that_cannot_converge_exits_one(
    run: Callable[..., Answer], files: tuple[Path, Path]
) -> None:
    answer = run("assign", *files, "--gap", "1e-30")
    assert answer.code in (0, 1)
    assert (answer.code == 1) == ("not solved" in answer.err)
    assert run("assign", *files, "--gap", "-1").code == 2


def test_assign_that_cannot_write_says_so_before_the_work(
    run: Callable[..., Answer], files: tuple[Path, Path]
) -> None:
    """A file stands where the folder should be."""
    answer = run("assign", *files, "--out", files[0])
    assert answer.code == 2 and "net.tntp: cannot make the folder" in answer.err
    assert "relative gap" not in answer.err


def test_validate_without_data(run: Callable[..., Answer], tmp_path: Path) -> None:
    answer = run("validate")
    assert answer.code == 0
    rows = [line.split("|") for line in answer.out.splitlines() if line.startswith("| ")]
    table = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in rows[1:]}
    assert set(table) == {"Braess", "Sioux Falls"}
    for objective, at_best, published in (row[4:7] for row in table.values()):
        assert float(objective) == pytest.approx(float(published), rel=1e-9)
        assert float(at_best) == pytest.approx(float(published), rel=1e-9)
    assert run("validate", tmp_path / "none").code == 2
