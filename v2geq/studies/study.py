"""Read a study file, solve its runs in parallel processes, write one file per run and tables."""

from __future__ import annotations

import csv
import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from v2geq.data.model.case import Case
from v2geq.data.parameters.change import with_parameters
from v2geq.data.parameters.form import flatten
from v2geq.data.parameters.targets import find_target
from v2geq.data.readers.case import load_case
from v2geq.data.readers.folders import available_cases, discreet, networks_folder
from v2geq.data.readers.toml import TomlTable, read_toml
from v2geq.data.trips import spread_trips
from v2geq.errors import ConvergenceError, DataError, did_you_mean, quoted
from v2geq.files import (
    as_path,
    check_writable,
    locked,
    make_folder,
    remove,
    remove_unfinished,
    write_files,
)
from v2geq.kernels.announcement import Once, share
from v2geq.paper.claims import SCENARIOS, Claim, check_claims, social_cost_changes
from v2geq.show import log_to_stderr

PRICE_COLUMNS = ("run", "result", "label", "low", "high", "status", "proof")
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
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_NOT_IN_NAMES = '/\\:*?"<>|'


@dataclass(frozen=True)
class Run:
    """One equilibrium of a study; `place` is where its changes are stated, for messages."""

    scenario: str
    v2g: bool
    variant: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    @property
    def name(self) -> str:
        """File of the run without its ending; a variant has a folder of its own."""
        word = f"{self.scenario}_{'v2g' if self.v2g else 'no_v2g'}"
        return f"{self.variant}/{word}" if self.variant else word


@dataclass(frozen=True)
class Study:
    """A case and the runs to make of it."""

    case: Case
    runs: tuple[Run, ...]
    source: str

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, the plain runs first as the empty name."""
        return tuple(dict.fromkeys(r.variant for r in self.runs))


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its row, or why there is none.

    `facts` feed comparisons of runs, `several` are rows on prices that are not unique.
    """

    run: Run
    row: Mapping[str, Any]
    problem: str = ""
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    several: Sequence[Mapping[str, Any]] = ()

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
    if not isinstance(path, (str, Path)):
        raise DataError(f"{quoted(path)} is not the path of a study")
    file = Path(path)
    if os.path.isdir(file):
        file = file / "study.toml"
    if not os.path.isfile(file):
        raise DataError(
            f"no study file {quoted(str(path))}",
            advice="give a study.toml, a folder that holds one, or a shipped case: "
            + ", ".join(available_cases()),
        )
    with discreet(file, [file.parent]):
        return _read_study(file)


def _read_study(file: Path) -> Study:
    top = read_toml(file)
    table = top.table("study")
    top.finish()
    case = _case(table, file.parent)
    scenarios = table.texts("scenarios", list(case.scenarios))
    choices = table.booleans("v2g", [False, True])
    for name in scenarios:
        if name not in case.scenarios:
            raise table.error(
                f"the case has no scenario {name!r}",
                key="scenarios",
                advice=did_you_mean(name, case.scenarios),
            )
    runs = [Run(scenario, v2g) for scenario in scenarios for v2g in choices]
    for variant in table.tables("variant"):
        name, changes = _variant(case, variant)
        place = variant.where("set")
        runs += [
            Run(scenario, v2g, name, changes, place) for scenario in scenarios for v2g in choices
        ]
    table.finish()
    names = [r.name for r in runs]
    # some file systems take names that differ in case alone for one
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise table.error(
                f"two runs are called {name!r}",
                advice="name every scenario and v2g choice once, and every variant differently",
            )
    if not runs:
        raise table.error("the study has no runs", advice="list scenarios and v2g choices")
    return Study(case, tuple(runs), str(file))


def over_all_pairs(study: Study) -> Study:
    """The study with the trips of all electric classes spread over all OD pairs of the road.

    Raises
    ------
    DataError
        If the road has no trip table, or there is no electric class.
    """
    spread = spread_trips(study.case)
    runs = tuple(replace(run, changes={**spread, **run.changes}) for run in study.runs)
    return replace(study, runs=runs)


def _case(table: TomlTable, folder: Path) -> Case:
    """Case named in a study: a path from the study file, or a shipped one."""
    named = table.text("case", ".")
    if os.path.exists(folder / named):
        return load_case(folder / named)
    if named in available_cases():
        return load_case(named)
    raise table.error(
        f"no case {quoted(named)}",
        key="case",
        advice="give a path relative to the study file, or a shipped case: "
        + ", ".join(available_cases()),
    )


def _variant(case: Case, table: TomlTable) -> tuple[str, dict[str, Any]]:
    """Name and changes of a variant; the names of the parameters are checked, not the values.

    A value that does not work makes its own runs fail, a name that does not exist is a mistake in
    the file.
    """
    name, changes = table.text("name"), flatten(table.mapping("set"))
    table.finish()
    bad = not name.strip(" .") or not name.isprintable()
    if bad or any(c in _NOT_IN_NAMES for c in name):
        raise table.error(
            f"variant name {quoted(name)} cannot be the name of a folder",
            key="name",
            advice=f"use letters, digits, '_' and '-', and none of {_NOT_IN_NAMES}",
        )
    for parameter in changes:
        find_target(case, parameter, table.where("set"))
    return name, changes


def solve_run(case: Case, run: Run, out: str) -> Outcome:
    """Solve one run, certify it and save it; a failure becomes part of the outcome."""
    try:
        return _solve_run(case, run, Path(out) / f"{run.name}.nc")
    except ConvergenceError as error:
        return _failed(run, "not_converged", str(error))
    except DataError as error:
        return _failed(run, "bad_input", str(error.at(case.where)))


def _solve_run(case: Case, run: Run, path: Path) -> Outcome:
    from v2geq.equilibrium import solve
    from v2geq.paper.facts import facts

    try:
        check_writable(path)
    except DataError as error:
        return _failed(run, "not_saved", str(error))
    if run.changes:
        try:
            with_parameters(case, run.changes)
        except DataError as error:
            raise DataError(str(error), where=run.place) from None
    eq = solve(case, run.scenario, v2g=run.v2g, set=run.changes)
    found, problems = facts(eq), list(eq.certificate.failures)
    row = {name: found[name] for name in COLUMNS}
    if problems:
        row["status"] = "uncertified"
    try:
        eq.save(path)
    except DataError as error:
        row["status"] = "not_saved"
        problems.append(f"solved but not saved: {error}")
    several = eq.uniqueness[eq.uniqueness["status"] != "unique"]
    return Outcome(
        run,
        row,
        "; ".join(problems),
        tuple(eq.warnings),
        found,
        [
            {"run": run.name, **dict(zip(PRICE_COLUMNS[1:], r, strict=True))}
            for r in several.itertuples(index=False)
        ],
    )


def _failed(run: Run, status: str, problem: str) -> Outcome:
    return Outcome(run, {"scenario": run.scenario, "v2g": run.v2g, "status": status}, problem)


def run_study(
    study: Study,
    out: str | Path,
    *,
    jobs: int | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Solve all runs; write OUT/summary.csv, one .nc file per run and, where they apply, claims.

    Runs of a variant and their table go to a folder of its name below. Where a study has base,
    stress and island, each without and with V2G, OUT/claims.csv compares them with the paper and
    OUT/social_cost.csv lists the change of the social cost by term. A run that fails does not stop
    the others: its row says so, and its outcome why.

    The folder is kept to one study at a time. Runs that an earlier study left in it are removed
    when this one begins: saved equilibria under the name of their run. Whatever else is there
    stays, and so do folders of variants that this study does not have, which is told.

    Parameters
    ----------
    jobs
        Processes; by default one per core, at most one per run.
    progress
        Called with every outcome as it comes.

    Raises
    ------
    DataError
        Where `out` cannot be written to, or another study is at it.
    """
    folder = as_path(out, "a folder")
    jobs = max(1, min(jobs or _cores(), len(study.runs)))
    done: dict[str, Outcome] = {}
    with ExitStack() as stack:
        for variant in study.variants:
            make_folder(folder / variant)
            stack.enter_context(locked(folder / variant))
        _clear(study, folder)
        try:
            for outcome in _outcomes(study, str(folder), jobs):
                done[outcome.run.name] = outcome
                if progress:
                    progress(outcome)
        finally:
            for run in study.runs:
                remove_unfinished(folder / f"{run.name}.nc")
        outcomes = [done[r.name] for r in study.runs]
        tables = _comparisons(folder, outcomes)
        for variant in study.variants:
            own = [o for o in outcomes if o.run.variant == variant]
            rows = [{"status": "failed", **o.row} for o in own]
            tables[folder / variant / "summary.csv"] = _table(COLUMNS, rows)
        several = [row for o in outcomes for row in o.several]
        tables[folder / "uniqueness.csv"] = _table(PRICE_COLUMNS, several)
        write_files(tables)
    return outcomes


def _clear(study: Study, folder: Path) -> None:
    """Remove what an earlier study left: nothing old may pass for a result of this one."""
    tables = [folder / v / "summary.csv" for v in study.variants]
    tables += [folder / f"{name}.csv" for name in ("claims", "social_cost", "uniqueness")]
    for table in tables:
        check_writable(table)
    own = [folder / f"{run.name}.nc" for run in study.runs]
    files = {path for path in own if _is_regular(path)} | set(filter(_is_regular, tables))
    for variant in study.variants:
        for path in filter(_is_regular, (folder / variant).glob("*_v2g.nc")):
            found = None if path in files else _run_in(path)
            if found is not None and Run(*found).name == path.stem:
                files.add(path)
    for path in files:
        remove(path)
    for path in own:
        remove_unfinished(path)
    for path in sorted(folder.glob("*/summary.csv")):
        if path.parent.name not in study.variants:
            warnings.warn(
                f"{path.parent} holds runs that are not of this study; it is left as it is",
                stacklevel=3,
            )


def _run_in(path: Path) -> tuple[str, bool] | None:
    # all that solves is imported with it: only where there is a file to look into
    from v2geq.results.store import run_in

    return run_in(path)


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _outcomes(study: Study, out: str, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        for run in study.runs:
            yield solve_run(study.case, run, out)
        return
    lost: list[Run] = []
    with _one_thread(), _pool(jobs) as pool:
        futures: dict[Future[Outcome], Run] = {}
        for position, run in enumerate(study.runs):
            if position == 1:
                # the first run compiles what is not in the cache yet, and the others help it;
                # whatever one is at, nobody else compiles
                with _no_interrupts():
                    for _ in range(jobs - 1):
                        pool.submit(_get_ready)
            try:
                with _no_interrupts():
                    future = pool.submit(solve_run, study.case, run, out)
                futures[future] = run
            except BrokenProcessPool:
                lost.append(run)
        for future in as_completed(futures):
            error, run = future.exception(), futures[future]
            if error is None:
                yield future.result()
            elif isinstance(error, BrokenProcessPool):
                lost.append(run)
            else:  # a mistake of the program: the other runs go on, and this one says so
                yield _failed(
                    run,
                    "crashed",
                    f"internal error, {type(error).__name__}: {error}; please report it",
                )
    # a process that dies takes the runs of all others with it: alone, each shows its own fate
    for run in [r for r in study.runs if r in lost]:
        with _one_thread(), _pool(1) as pool:
            try:
                with _no_interrupts():
                    future = pool.submit(solve_run, study.case, run, out)
                yield future.result()
            except BrokenProcessPool:
                yield _failed(
                    run,
                    "crashed",
                    "its process died; the memory may be too small (try --jobs 1), or a script "
                    "calls run_study outside of: if __name__ == '__main__'",
                )


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    talks = logging.getLogger("v2geq").isEnabledFor(logging.INFO)
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start, initargs=(talks, theirs, context.Lock())
    )
    try:
        yield pool
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


def _start(talks: bool, lifeline: Connection, turn: Once) -> None:
    """Leave interrupts to the main process; a worker's log goes where the main one's does.

    `lifeline` is a pipe to which nothing is written: it ends when the main process closes it or is
    no more, and the worker with it. Only one of those who share `turn` says that it compiles.
    """
    share(turn)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if talks:
        log_to_stderr()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold interrupts back; processes started meanwhile never get any."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _get_ready() -> None:
    """Import what solving takes, and load or compile the loops that a run comes to last."""
    from v2geq import equilibrium  # noqa: F401
    from v2geq.trips.rehearsal import rehearse

    rehearse()


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of linear algebra per new process, or they get in each other's way."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _six_runs(
    outcomes: Sequence[Outcome], variant: str
) -> dict[tuple[str, bool], Mapping[str, Any]] | None:
    """Facts of base, stress and island without and with V2G; None where one is missing."""
    found = {
        (o.run.scenario, o.run.v2g): o.facts for o in outcomes if o.ok and o.run.variant == variant
    }
    if any((scenario, v2g) not in found for scenario in SCENARIOS for v2g in (False, True)):
        return None
    return found


def claims_of(outcomes: Sequence[Outcome], variant: str = "") -> list[Claim]:
    """The paper's claims on the runs of a study.

    Empty where the six runs are not all there, or trips are spread over all OD pairs: the claims
    are about long trips between a few.
    """
    found = _six_runs(outcomes, variant)
    spread = any(
        value
        for o in outcomes
        for name, value in o.run.changes.items()
        if name.endswith("trips_spread")
    )
    return [] if found is None or spread else check_claims(found)


def _comparisons(folder: Path, outcomes: list[Outcome]) -> dict[Path, bytes]:
    """Claims of the paper and the change of the social cost, where a study has the six runs."""
    tables: dict[Path, bytes] = {}
    claims = claims_of(outcomes)
    if claims:
        rows = [dict(vars(c)) for c in claims]
        columns = list(rows[0])
        for variant in dict.fromkeys(o.run.variant for o in outcomes if o.run.variant):
            for row, claim in zip(rows, claims_of(outcomes, variant), strict=False):
                row.update({f"here_{variant}": claim.here, f"met_{variant}": claim.met})
            columns += [f"here_{variant}", f"met_{variant}"]
        tables[folder / "claims.csv"] = _table(columns, rows)
    plain = _six_runs(outcomes, "")
    if plain is not None:
        changes = social_cost_changes(plain)
        names = [str(changes.index.name), *map(str, changes.columns)]
        lines = [
            dict(zip(names, (term, *values), strict=True))
            for term, values in zip(changes.index, changes.to_numpy().tolist(), strict=True)
        ]
        tables[folder / "social_cost.csv"] = _table(names, lines)
    return tables


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Content of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="nan", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
