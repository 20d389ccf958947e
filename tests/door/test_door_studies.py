"""Studies: the table, runs that fail among others, processes, and bad study files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from door import Answer, SmallCase, left_over

from v2geq.equilibrium import load
from v2geq.errors import ConvergenceError, DataError
from v2geq.studies import processes
from v2geq.studies.plan import read_study
from v2geq.studies.run import run_study

pytestmark = pytest.mark.slow

COLUMNS = [
    *("scenario", "v2g", "status", "natural_residual", "wardrop_gap", "load_shed_kw"),
    *("dlmp_min", "dlmp_max", "generation_kw", "tso_import_kw", "charge_kw", "discharge_kw"),
    *("station_visit_share", "discharge_share", "dwell_h", "discharge_od_pairs"),
    *("social_cost", "build_seconds", "solve_seconds"),
]
ISLAND_ROW = '135 = { value = 10000.0, unit = "kvar"'
TWO = "[study]\nscenarios = ['base', 'island']\nv2g = [true]\n"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def break_island(small: SmallCase) -> None:
    """Take the reactive source of one island away."""
    small.edit("case.toml", ISLAND_ROW, ISLAND_ROW.replace("10000.0", "0.0"))


def test_table_and_files(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.study("[study]\nscenarios = ['base', 'stress']\n")
    out = small.root / "deep" / "er"
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == 0, answer.err
    table = rows(out)
    assert list(table[0]) == COLUMNS
    assert [(r["scenario"], r["v2g"], r["status"]) for r in table] == [
        ("base", "False", "solved"),
        ("base", "True", "solved"),
        ("stress", "False", "solved"),
        ("stress", "True", "solved"),
    ]
    assert all(float(r[c]) == float(r[c]) for r in table for c in COLUMNS[3:])
    names = ["base_no_v2g", "base_v2g", "stress_no_v2g", "stress_v2g"]
    assert left_over(out) == [
        *("base_no_v2g.nc", "base_v2g.nc", "social_cost.csv"),
        *("stress_no_v2g.nc", "stress_v2g.nc", "summary.csv", "summary.tex", "uniqueness.csv"),
    ]
    # progress and notes apart from the table; each note once
    for name in names:
        assert f"{name} " in answer.err
        assert name in answer.out
    assert "4 of 4 runs certified" in answer.err
    assert "[4/4]" in answer.err
    assert answer.err.count("charger power of class ev") == 1
    assert "certified" not in answer.out
    lines = answer.out.splitlines()
    assert len(lines) == 2 + 4
    assert len({len(line) for line in lines[2:]}) == 1
    assert run("certify", out / "stress_v2g.nc").code == 0


def test_the_paper_is_asked_for(small: SmallCase, run: Callable[..., Answer]) -> None:
    """Its trip, its claims in the table and on the screen; without the key none of them."""
    whole = small.path("study.toml").read_text(encoding="utf-8")
    asked, out = 'paper = "2605.16765"\n', small.root / "out"
    assert asked in whole
    small.study(whole.replace(asked, ""))
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == 0, answer.err
    plain, screen = rows(out), answer.out
    assert list(plain[0]) == COLUMNS
    assert not (out / "claims.csv").exists()
    changes = (out / "social_cost.csv").read_text(encoding="utf-8")
    assert changes.startswith("change by V2G ($/h),base,stress,island\n")
    assert "claims" not in screen and "OD 1-20" not in screen
    small.study(whole)
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == 0, answer.err
    at = COLUMNS.index("social_cost")
    assert list(rows(out)[0]) == [*COLUMNS[:at], "cost_od_1_20", *COLUMNS[at:]]
    for row, more in zip(plain, rows(out), strict=True):
        assert float(more.pop("cost_od_1_20")) != 0.0
        assert {k: v for k, v in row.items() if not k.endswith("seconds")} == {
            k: v for k, v in more.items() if not k.endswith("seconds")
        }
    assert len((out / "claims.csv").read_text(encoding="utf-8").splitlines()) == 1 + 13
    assert (out / "social_cost.csv").read_text(encoding="utf-8") == changes
    assert "OD 1-20" in answer.out
    assert "claims of the paper (arXiv 2605.16765), met here?" in answer.out


def test_all_od(small: SmallCase, run: Callable[..., Answer]) -> None:
    """One option: the same study on all OD pairs; its files certify, also one by one."""
    small.edit("case.toml", 'value = "enumerate"', 'value = "exact"')
    # the fuel vehicles of all pairs, not twelve times as many on a few
    small.edit("case.toml", "trips_factor = { value = 12.0", "trips_factor = { value = 1.0")
    small.edit("case.toml", 'trips_of = { value = "ev"', 'trips_of = { value = ""')
    small.study(
        "[study]\nscenarios = ['stress']\nv2g = [true]\n"
        "[[study.variant]]\nname = 'valued'\nset = { 'drivers.ev.energy_value' = 0.15 }\n"
    )
    out = small.root / "out"
    answer = run("study", small.folder, "--all-od", "--out", out, "--jobs", "1")
    assert answer.code == 0, answer.err
    assert "2 of 2 runs certified" in answer.err
    one = small.root / "one.nc"
    answer = run(
        *("solve", small.folder, "--scenario", "stress", "--all-od", "--out", one),
        *("--set", "drivers.ev.energy_value=0.15"),
    )
    assert answer.code == 0, answer.err
    for path in (out / "stress_v2g.nc", out / "valued" / "stress_v2g.nc", one):
        assert run("certify", path).code == 0
        eq = load(path)
        assert eq.data.sizes["od_ev"] == eq.data.sizes["od_fv"] == 528
        assert eq.scenario.changes["drivers.ev.trips_spread"] is True
    assert np.array_equal(load(one).z, load(out / "valued" / "stress_v2g.nc").z)


def test_jobs_make_no_difference(small: SmallCase) -> None:
    small.study("[study]\nscenarios = ['stress']\n")
    plan = read_study(small.folder)
    tables = []
    for jobs in (1, 2):
        run_study(plan, small.root / str(jobs), jobs=jobs)
        tables.append(rows(small.root / str(jobs)))
    for one, two in zip(*tables, strict=True):
        assert {k: v for k, v in one.items() if not k.endswith("seconds")} == {
            k: v for k, v in two.items() if not k.endswith("seconds")
        }
    assert left_over(small.root / "1") == left_over(small.root / "2")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_with_bad_input_among_others(
    small: SmallCase, run: Callable[..., Answer], jobs: int
) -> None:
    break_island(small)
    small.study(TWO)
    out = small.root / "out"
    answer = run("study", small.folder, "--out", out, "--jobs", jobs)
    assert answer.code == 2
    base, island = rows(out)
    assert (base["status"], island["status"]) == ("solved", "bad_input")
    assert list(island) == COLUMNS
    assert {island[c] for c in COLUMNS[3:]} == {"nan"}
    assert left_over(out) == ["base_v2g.nc", "summary.csv", "summary.tex", "uniqueness.csv"]
    for words in ("island_v2g failed:", "case.toml: scenario 'island'", "470 kvar", "state a"):
        assert words in answer.err
    assert "1 of 2 runs certified" in answer.err
    assert "bad_input" in answer.out
    assert "Traceback" not in answer.err


def failing(error: Exception) -> Callable[..., Any]:
    """A `solve` that fails for one scenario."""
    from v2geq.equilibrium import solve

    def stand_in(case: Any, scenario: str, **more: Any) -> Any:
        if scenario == "island":
            raise error
        return solve(case, scenario, **more)

    return stand_in


@pytest.mark.parametrize(
    ("error", "status", "code", "said"),
    [
        (ConvergenceError("did not converge: stalled"), "not_converged", 1, "stalled"),
        (DataError("no supply"), "bad_input", 2, "case.toml: no supply"),
    ],
)
def test_every_kind_of_failure_is_told(
    small: SmallCase,
    run: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("v2geq.equilibrium.solve", failing(error))
    small.study(TWO)
    out = small.root / "out"
    out.mkdir()
    # results of an earlier study
    (out / "island_v2g.nc").write_bytes(b"old")
    (out / "summary.csv").write_text("old")
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == code
    assert [r["status"] for r in rows(out)] == ["solved", status]
    assert "island_v2g failed: " in answer.err
    assert said in answer.err
    assert left_over(out) == ["base_v2g.nc", "summary.csv", "summary.tex", "uniqueness.csv"]


def test_an_uncertified_run_fails(
    small: SmallCase, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from v2geq.certificates.market import Certificate

    monkeypatch.setattr(Certificate, "failures", property(lambda self: ["regret is 3"]))
    small.study("[study]\nscenarios = ['base']\nv2g = [true]\n")
    answer = run("study", small.folder, "--out", small.root / "out", "--jobs", "1")
    assert answer.code == 1
    assert [r["status"] for r in rows(small.root / "out")] == ["uncertified"]
    assert "base_v2g failed: regret is 3" in answer.err


def test_a_file_that_cannot_be_saved(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.study(TWO)
    out = small.root / "out"
    (out / "island_v2g.nc").mkdir(parents=True)
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == 1
    assert "island_v2g failed: " in answer.err
    assert "Traceback" not in answer.err
    assert [r["status"] for r in rows(out)] == ["solved", "not_saved"]


DYING = """
import os
from v2geq.studies import processes

real = processes.solve_run


def solve_run(study, run, out):
    if run.scenario == "stress":
        # in the middle of writing
        os.fsync = lambda _: os._exit(9)
    return real(study, run, out)
"""


def test_a_process_that_dies(
    small: SmallCase, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    (small.root / "dying_process.py").write_text(DYING)
    monkeypatch.syspath_prepend(small.root)
    import dying_process

    monkeypatch.setattr(processes, "solve_run", dying_process.solve_run)
    try:
        small.study("[study]\nscenarios = ['stress', 'base']\nv2g = [true]\n")
        out = small.root / "out"
        out.mkdir()
        (out / "stress_v2g.nc.part").write_text("mine")
        answer = run("study", small.folder, "--out", out, "--jobs", "2")
    finally:
        del sys.modules["dying_process"]
    assert answer.code == 1
    assert [r["status"] for r in rows(out)] == ["crashed", "solved"]
    assert "stress_v2g failed: its process died" in answer.err
    assert left_over(out) == [
        "base_v2g.nc",
        "stress_v2g.nc.part",
        "summary.csv",
        "summary.tex",
        "uniqueness.csv",
    ]


# ---------------------------------------------------------------------------------------------
# Variants

VARIANTS = """
[study]
scenarios = ["base"]
v2g = [true]

[[study.variant]]
name = "cheap loss"
set = { voll = 1.0, "paths.method" = "exact" }

[[study.variant]]
name = "tight"
[study.variant.set]
feeder.vmin = 1.2

[[study.variant]]
name = "short"
set.drivers.ev.battery = 3.0
"""


def test_variants(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.study(VARIANTS)
    out = small.root / "out"
    answer = run("study", small.folder / "study.toml", "--out", out, "--jobs", "1")
    assert answer.code == 2
    for variant, status in {
        "": "solved",
        "cheap loss": "solved",
        "tight": "bad_input",
        "short": "bad_input",
    }.items():
        (row,) = rows(out / variant)
        assert list(row) == COLUMNS
        assert row["status"] == status
        files = ["base_v2g.nc"] * (status == "solved") + ["summary.csv", "summary.tex"]
        files += ["uniqueness.csv"] * (not variant)  # one table for all variants
        assert sorted(f.name for f in (out / variant).glob("*.*")) == files
    # each error names the place of its own variant
    assert "study.toml, line 12, [study.variant]: feeder.vmin: vmin = 1.2 pu" in answer.err
    assert "short/base_v2g failed: " in answer.err
    assert "no energy-feasible path" in answer.err


# ---------------------------------------------------------------------------------------------
# Bad study files

HEAD = "[study]\ncase = '.'\n"
VARIANT = HEAD + "[[study.variant]]\n"
BAD = {
    "empty": ("", ["study.toml", "missing section [study]", "add [study]"]),
    "without section": ("case = '.'\n", ["missing section [study]"]),
    "not TOML": ("[study\n", ["not valid TOML", "line 1"]),
    "no runs": (HEAD + "scenarios = []\n", ["the study has no runs", "list scenarios"]),
    "no choices": (HEAD + "v2g = []\n", ["the study has no runs"]),
    "unknown scenario": (
        HEAD + "scenarios = ['bse']\n",
        ["line 3, [study]", "no scenario 'bse'", "did you mean 'base'"],
    ),
    "unknown case": (
        "[study]\ncase = 'nope'\n",
        ["line 2, [study]", "no case 'nope'", "relative to the study file"],
    ),
    "unknown key": (HEAD + "scenario = ['base']\n", ["'scenario'", "did you mean 'scenarios'"]),
    "key outside": ("jobs = 2\n" + HEAD, ["line 1", "unknown key 'jobs'"]),
    "unknown paper": (
        HEAD + "paper = '2605.16756'\n",
        ["line 3, [study]", "no paper '2605.16756'", "did you mean '2605.16765'"],
    ),
    "number for a paper": (HEAD + "paper = 2605.16765\n", ["line 3", "must be text"]),
    "text for a list": (HEAD + "scenarios = 'base'\n", ["'base' is not a list"]),
    "text for a truth": (HEAD + "v2g = ['yes']\n", ["'yes' is text", "true or false"]),
    "scenario twice": (
        HEAD + "scenarios = ['base', 'base']\n",
        ["two runs are called 'base_no_v2g'"],
    ),
    "variant twice": (
        VARIANT + "name = 'a'\nset = {}\n[[study.variant]]\nname = 'a'\nset = {}\n",
        ["two runs are called 'a/base_no_v2g'", "every variant differently"],
    ),
    "variant without a name": (VARIANT + "set = {}\n", ["line 3", "missing key 'name'"]),
    "variant without changes": (VARIANT + "name = 'a'\n", ["missing section [study.variant.set]"]),
    "variant as a table": (
        HEAD + "[study.variant]\nname = 'a'\n",
        ["not a list of tables", "[[study.variant]]"],
    ),
    "unknown parameter": (
        VARIANT + "name = 'a'\nset = {}\n[[study.variant]]\nname = 'b'\nset.vol = 3\n",
        ["line 8, [study.variant]", "unknown parameter 'vol'", "did you mean 'voll'"],
    ),
    "variant name": (VARIANT + "name = 'a/b'\nset = {}\n", ["line 4", "'a/b'", "name of a folder"]),
    "variant name empty": (VARIANT + "name = ''\nset = {}\n", ["''", "name of a folder"]),
    "variant name upwards": (VARIANT + "name = '..'\nset = {}\n", ["'..'", "name of a folder"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_study_makes_no_folder(
    small: SmallCase, run: Callable[..., Answer], name: str
) -> None:
    text, said = BAD[name]
    small.study(text)
    before = left_over(small.root)
    answer = run("study", small.folder, "--out", small.root / "out")
    assert answer.code == 2
    assert not answer.out
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    for words in ("study.toml", *said):
        assert words in answer.err
    assert left_over(small.root) == before


def test_a_bad_case_makes_no_folder(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.edit("stations.csv", "s5,5,7", "s5,50,7")
    answer = run("study", small.folder, "--out", small.root / "out")
    assert answer.code == 2
    assert "stations.csv, line 2" in answer.err
    assert not (small.root / "out").exists()


def test_results_under_a_file(small: SmallCase, run: Callable[..., Answer]) -> None:
    answer = run("study", small.folder, "--out", small.folder / "case.toml")
    assert answer.code == 2
    assert "cannot make the folder" in answer.err
    answer = run("study", small.folder, "--out", small.folder / "case.toml" / "out")
    assert answer.code == 2
    assert "cannot make the folder" in answer.err


def test_the_default_is_the_shipped_study() -> None:
    plan = read_study()
    assert plan.case.name == "ieee123_sioux_falls"
    assert [r.name for r in plan.runs] == [
        f"{folder}{scenario}_{word}"
        for folder in ("", "battery_valued/")
        for scenario in ("base", "stress", "island")
        for word in ("no_v2g", "v2g")
    ]
    assert plan.variants == ("", "battery_valued")


def test_a_shipped_case_by_name_from_a_study_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[study]\ncase = 'ieee123_sioux_falls'\nscenarios = ['base']\n")
    assert read_study(file).case.name == "ieee123_sioux_falls"


def test_an_api_user_sees_outcomes_as_they_come(small: SmallCase) -> None:
    small.study(TWO)
    seen: list[str] = []
    outcomes = run_study(
        read_study(small.folder),
        small.root / "out",
        jobs=1,
        progress=lambda outcome: seen.append(outcome.run.name),
    )
    assert seen == [o.run.name for o in outcomes] == ["base_v2g", "island_v2g"]
    assert all(o.ok and not o.problem for o in outcomes)


def test_an_interrupt_is_told_without_a_traceback(
    small: SmallCase, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    small.study(TWO)
    monkeypatch.setattr(processes, "solve_run", interrupt)
    answer = run("study", small.folder, "--out", small.root / "out", "--jobs", "1")
    assert answer.code == 130
    assert answer.err.endswith("interrupted; what was saved before is complete\n")
    assert left_over(small.root / "out") == []
