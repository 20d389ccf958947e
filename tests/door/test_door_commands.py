"""The command line as users meet it: what it prints where, how soon, and its exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from door import Answer, SmallCase, left_over

import v2geq
from v2geq import equilibrium
from v2geq.cli.options import named_values
from v2geq.data.readers.folders import available_cases
from v2geq.errors import ConvergenceError
from v2geq.solvers import METHODS
from v2geq.solvers.protocol import MCPResult, Status

pytestmark = pytest.mark.slow

ROOT = Path(v2geq.__file__).parents[1]


def started(
    *words: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as its own process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "v2geq", *map(str, words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_help_does_not_wait_for_numerics() -> None:
    code = (
        "import sys; from v2geq.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', sorted({'numpy', 'pandas', 'scipy', 'xarray'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for command in ("study", "solve", "certify", "show", "cases"):
        assert command in out
    assert out.endswith("loaded []\n")


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        # generous for slow machines: the aim is half a second, and two for bad input
        (["--help"], 1.5),
        (["solve", "nowhere", "--scenario", "base"], 6.0),
    ],
)
def test_answers_soon(words: Sequence[str], limit: float) -> None:
    # the better of two: the first start may still compile
    taken = []
    for _ in range(2):
        begin = time.perf_counter()
        answer = started(*words)
        taken.append(time.perf_counter() - begin)
    assert min(taken) < limit
    assert answer.returncode == (0 if "--help" in words else 2)
    assert "Traceback" not in answer.stderr


def test_version(run: Callable[..., Answer]) -> None:
    assert run("--version") == Answer(0, f"v2geq {v2geq.__version__}\n", "")


def test_cases_are_listed_in_columns(run: Callable[..., Answer]) -> None:
    answer = run("cases")
    assert answer.code == 0
    assert not answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines] == available_cases()
    assert len({line.index("IEEE") for line in lines}) == 1


def test_solve_prints_results_apart_from_progress(
    small: SmallCase, run: Callable[..., Answer]
) -> None:
    out = small.root / "base.nc"
    answer = run(
        "solve", small.folder, "--scenario", "base", "--no-v2g", "--method", "interior_point",
        "--set", "voll=19", "--set", "scenario.base.outages=[]", "--out", out,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "round 1" in answer.err
    assert answer.err.endswith(f"saved to {out}\n")
    assert "round 1:" not in answer.out
    assert "saved" not in answer.out
    for words in ("scenario base without V2G: solved", "tso_import_kw", "certificate: holds"):
        assert words in answer.out
    # no minus zero, no digits of rounding, no missing values in Python's words
    assert "-0.0 " not in answer.out
    assert "nan" not in answer.out
    shown = run("show", out)
    assert shown == Answer(0, f"{answer.out}{equilibrium.load(out).provenance}\n", "")
    certified = run("certify", out)
    assert certified.code == 0
    assert shown.out.endswith(certified.out)
    assert vars(equilibrium.load(out).scenario)["changes"] == {
        "voll": 19,
        "scenario.base.outages": [],
    }


def test_figures_are_aligned(saved: Path, run: Callable[..., Answer]) -> None:
    text = run("show", saved).out
    stations = text[text.index("\nstations") :].split("\n\n")[0].splitlines()[2:]
    assert len({len(line) for line in stations}) == 1
    profit = text[text.index("\nprofit") :].split("\n\n")[0].splitlines()[2:]
    assert len({line.rindex(".") for line in profit}) == 1


def test_a_reader_that_stops_early_is_no_error(saved: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "v2geq", "show", str(saved)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("5.", 5.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("true", True),
        ("false", False),
        ("exact", "exact"),
        ("'exact'", "exact"),
        ('["sw3", "sw4"]', ["sw3", "sw4"]),
        ("[]", []),
        ("p0*(2-q/q0)", "p0*(2-q/q0)"),
        ("", ""),
    ],
)
def test_values_of_settings(text: str, value: Any) -> None:
    got = named_values([f"name={text}"], "--set", "voll=5")["name"]
    assert got == value
    assert type(got) is type(value)


def test_an_equals_sign_in_a_value() -> None:
    assert named_values([" name = a=b "], "--set", "voll=5") == {"name": "a=b"}


# ---------------------------------------------------------------------------------------------
# Runs that fail


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that gives up where it starts."""

    def give_up(problem: Any, start: Any = None, options: Any = None) -> MCPResult:
        return MCPResult(
            z=problem.start.copy(),
            status=Status.STALLED,
            residual=0.5,
            worst="market.tau",
        )

    monkeypatch.setitem(METHODS, "auto", give_up)


@pytest.mark.usefixtures("stalled")
def test_not_converged(small: SmallCase, run: Callable[..., Answer]) -> None:
    before = left_over(small.root)
    answer = run("solve", small.folder, "--scenario", "base", "--out", small.root / "x.nc")
    assert answer.code == 1
    assert not answer.out
    last = answer.err.splitlines()[-1]
    assert last.startswith("not solved: scenario 'base' with V2G did not converge: stalled")
    assert "worst at market.tau" in last
    assert left_over(small.root) == before
    with pytest.raises(ConvergenceError, match="did not converge"):
        equilibrium.solve(small.load(), "base")


def test_an_uncertified_solution_is_shown_and_fails(
    saved: Path, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "v2geq.results.store.differences", lambda *_: ["stored dlmp does not follow"]
    )
    for command in ("certify", "show"):
        answer = run(command, saved)
        assert answer.code == 1
        assert "certificate: FAILS: stored dlmp does not follow" in answer.out


# ---------------------------------------------------------------------------------------------
# Places


def test_paths_with_spaces_and_letters_of_any_script(
    small: SmallCase, run: Callable[..., Answer]
) -> None:
    root = small.root / "mes études ütf 東京"
    root.mkdir()
    for name in ("ieee123", "sioux_falls", small.folder.name):
        (small.root / name).rename(root / name)
    folder = root / small.folder.name
    out = root / "résultat 1.nc"
    assert run("solve", folder, "--scenario", "base", "--out", out).code == 0
    assert run("certify", out).code == 0
    (folder / "study.toml").write_text("[study]\nscenarios = ['base']\n", encoding="utf-8")
    answer = run("study", folder / "study.toml", "--out", root / "tables ß", "--jobs", "1")
    assert answer.code == 0, answer.err
    assert "2 of 2 runs certified" in answer.err


def test_a_terminal_without_unicode(small: SmallCase) -> None:
    small.edit("case.toml", 'title = "', 'title = "東京 ')
    small.study("[study]\nscenarios = ['base']\nv2g = [true]\n")
    answer = started(
        "study", small.folder, "--out", small.root / "out", "--jobs", "1",
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "?? IEEE 123-bus" in answer.stderr


def test_line_ends_of_other_systems(small: SmallCase, run: Callable[..., Answer]) -> None:
    for file in small.root.rglob("*.*"):
        if file.suffix in (".csv", ".toml"):
            text = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            file.write_bytes(b"\xef\xbb\xbf" + text)
    answer = run("solve", small.folder, "--scenario", "base")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("given", ["folder", "file", "relative", "relative file", "here"])
def test_a_case_by_folder_or_file(
    small: SmallCase, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(small.folder if given == "here" else small.root)
    name = {
        "folder": str(small.folder),
        "file": str(small.folder / "case.toml"),
        # a path, or a shipped case of the same name would be meant
        "relative": f"./{small.folder.name}",
        "relative file": f"{small.folder.name}/case.toml",
        "here": ".",
    }[given]
    answer = run("solve", name, "--scenario", "base")
    assert answer.code == 0, answer.err
    # three pairs: the small case, not the shipped one
    assert "2317 unknowns" in answer.out


def test_a_read_only_folder_to_work_in(small: SmallCase, tmp_path: Path) -> None:
    here, out = tmp_path / "locked", tmp_path / "out"
    here.mkdir()
    out.mkdir()
    small.study("[study]\nscenarios = ['base']\nv2g = [false]\n")
    here.chmod(0o555)
    try:
        solved = started(
            "solve", small.folder, "--scenario", "base", "--out", out / "a.nc", cwd=here
        )
        studied = started("study", small.folder, "--out", out / "table", cwd=here)
    finally:
        here.chmod(0o755)
    assert solved.returncode == 0, solved.stderr
    assert studied.returncode == 0, studied.stderr
    assert left_over(here) == []
    assert left_over(out) == [
        "a.nc",
        "table",
        "table/base_no_v2g.nc",
        "table/summary.csv",
        "table/summary.tex",
        "table/uniqueness.csv",
    ]


def test_tables_of_a_saved_equilibrium(
    saved: Path, tmp_path: Path, run: Callable[..., Answer]
) -> None:
    answer = run("tables", saved, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "their columns told in columns.csv" in answer.err
    found = left_over(tmp_path / "out")
    assert {"buses.csv", "columns.csv", "paths_ev.csv", "summary.csv"} <= set(found)
    again = run("tables", saved, "--out", tmp_path / "out")
    assert again.code == 2
    assert "is not empty; give a new or empty folder" in again.err
    assert left_over(tmp_path / "out") == found
    wrong = run("tables", saved, "--out", tmp_path / "x", "--format", "xls")
    assert wrong.code == 2
    assert "no format 'xls'" in wrong.err


def test_export_writes_a_gams_model(small: SmallCase, run: Callable[..., Answer]) -> None:
    out = small.root / "base.gms"
    answer = run("export", small.folder, "--scenario", "base", "--out", out)
    assert answer.code == 0
    assert "variables written to" in answer.err
    assert "mcp" in out.read_text(encoding="utf-8").lower()
    refused = run(
        "export", small.folder, "--scenario", "base", "--out", small.root / "no" / "x.gms"
    )
    assert refused.code == 2
    assert "does not exist" in refused.err
