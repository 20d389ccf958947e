"""Read a study file, solve its runs in parallel processes, write one file per run and a table."""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from v2geq.data.case import available_cases, load_case, networks_folder
from v2geq.data.model import Case
from v2geq.data.toml import read_toml
from v2geq.errors import ConvergenceError, DataError, V2GError, did_you_mean

COLUMNS = (
    "scenario",
    "v2g",
    "status",
    "natural_residual",
    "wardrop_gap",
    "load_shed_kw",
    "dlmp_min",
    "dlmp_max",
    "generation_kw",
    "tso_import_kw",
    "charge_kw",
    "discharge_kw",
    "station_visit_share",
    "discharge_share",
    "dwell_h",
    "discharge_od_pairs",
    "cost_od_1_20",
    "social_cost",
    "build_seconds",
    "solve_seconds",
)
DEFAULT_STUDY = "ieee123_sioux_falls"


@dataclass(frozen=True)
class Run:
    """One equilibrium of a study."""

    scenario: str
    v2g: bool
    variant: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run's file without its ending."""
        word = "v2g" if self.v2g else "no_v2g"
        return "_".join(part for part in (self.scenario, word, self.variant) if part)


@dataclass(frozen=True)
class Study:
    """A case and the runs to make of it."""

    case: Case
    runs: tuple[Run, ...]
    source: str

    @property
    def has_variants(self) -> bool:
        """Whether any run changes parameters under a name."""
        return any(r.variant for r in self.runs)


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its row, or why there is none."""

    run: Run
    row: Mapping[str, Any]
    problem: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Solved, with a certificate that holds."""
        return not self.problem


def read_study(path: str | Path | None = None) -> Study:
    """Study of a TOML file, a folder with study.toml, or a shipped case; default the shipped one.

    Raises
    ------
    DataError
        Missing files, unknown keys or names, runs that share a name.
    """
    path = DEFAULT_STUDY if path is None else path
    if isinstance(path, str) and path in available_cases():
        path = networks_folder() / path
    file = Path(path)
    if file.is_dir():
        file = file / "study.toml"
    if not file.is_file():
        raise DataError(
            f"no study file {str(path)!r}",
            advice="give a study.toml, a folder that holds one, or a shipped case: "
            + ", ".join(available_cases()),
        )
    top = read_toml(file)
    table = top.table("study")
    top.finish()
    named = table.text("case", ".")
    beside = file.parent / named
    case = load_case(beside if beside.exists() else named)
    scenarios = table.texts("scenarios", list(case.scenarios))
    choices = table.booleans("v2g", [False, True])
    for name in scenarios:
        if name not in case.scenarios:
            raise table.error(
                f"the case has no scenario {name!r}",
                key="scenarios",
                advice=did_you_mean(name, case.scenarios),
            )
    variants: list[tuple[str, dict[str, Any]]] = [("", {})]
    for variant in table.tables("variant"):
        variants.append((variant.text("name"), variant.mapping("set")))
        variant.finish()
    table.finish()
    runs = [
        Run(scenario, v2g, name, changes)
        for name, changes in variants
        for scenario in scenarios
        for v2g in choices
    ]
    names = [r.name for r in runs]
    for name in names:
        if names.count(name) > 1:
            raise table.error(
                f"two runs are called {name!r}", advice="give every variant its own name"
            )
    if not runs:
        raise table.error("the study has no runs", advice="list scenarios and v2g choices")
    return Study(case, tuple(runs), str(file))


def solve_run(case: Case, run: Run, out: str) -> Outcome:
    """Solve one run, certify it and save it; an expected failure becomes part of the outcome."""
    from v2geq.equilibrium import solve

    blank = {"scenario": run.scenario, "v2g": run.v2g}
    try:
        eq = solve(case, run.scenario, v2g=run.v2g, set=run.changes, check=False)
        row = eq.summary
        eq.save(Path(out) / f"{run.name}.nc")
    except ConvergenceError as error:
        return Outcome(run, {**blank, "status": "stalled"}, str(error))
    except V2GError as error:
        return Outcome(run, {**blank, "status": "bad_input"}, str(error))
    return Outcome(run, row, "; ".join(eq.certificate.failures), tuple(eq.warnings))


def run_study(
    study: Study,
    out: str | Path,
    *,
    jobs: int | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Solve all runs; write OUT/summary.csv and one .nc file per run.

    A run that fails does not stop the others: its row says so, and its outcome why.

    Parameters
    ----------
    jobs
        Processes; by default one per core, at most one per run.
    progress
        Called with every outcome as it comes.

    Raises
    ------
    DataError
        Where `out` cannot be written to.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder ({error.strerror})", where=str(folder), advice="choose another"
        ) from error
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(study.runs)))
    done: dict[str, Outcome] = {}
    for outcome in _outcomes(study, str(folder), jobs):
        done[outcome.run.name] = outcome
        if progress:
            progress(outcome)
    outcomes = [done[r.name] for r in study.runs]
    _write_summary(folder / "summary.csv", outcomes, study.has_variants)
    return outcomes


def _outcomes(study: Study, out: str, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        for run in study.runs:
            yield solve_run(study.case, run, out)
        return
    # one thread of linear algebra per process, or they get in each other's way
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            futures: list[Future[Outcome]] = [
                pool.submit(solve_run, study.case, run, out) for run in study.runs
            ]
            for future in as_completed(futures):
                yield future.result()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _write_summary(path: Path, outcomes: list[Outcome], variants: bool) -> None:
    columns = (("variant",) if variants else ()) + COLUMNS
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="nan", extrasaction="ignore")
            writer.writeheader()
            for outcome in outcomes:
                writer.writerow({"variant": outcome.run.variant, **outcome.row})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
