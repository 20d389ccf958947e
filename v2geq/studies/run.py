"""Solve the runs of a study and write one file per run and tables."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from v2geq.files import (
    as_path,
    check_writable,
    locked,
    make_folder,
    remove,
    remove_unfinished,
    write_files,
)
from v2geq.progress import beside, shown
from v2geq.studies.outcome import Outcome
from v2geq.studies.plan import Run, Study
from v2geq.studies.processes import cores, outcomes
from v2geq.studies.tables import COMPARISONS, SUMMARIES, SUMMARY, tables_of


def run_study(
    study: Study,
    out: str | Path,
    *,
    jobs: int | None = None,
    progress: Callable[[Outcome], None] | Literal[False] | None = None,
) -> list[Outcome]:
    """Solve all runs; write OUT/summary.csv, one .nc file per run and tables that compare runs.

    OUT/summary.tex has the figures as a LaTeX table (package booktabs), a column per run.

    Runs of a variant and their table go to a folder of its name below. OUT/uniqueness.csv lists
    prices that are not unique; OUT/social_cost.csv the change of the social cost by V2G, by term,
    of every scenario with both runs. Where a study asks for the paper and has base, stress and
    island, each without and with V2G, OUT/claims.csv compares them with it. A run that fails does
    not stop the others: its row says so, and its outcome why.

    The folder is kept to one study at a time. Runs that an earlier study left in it are removed
    when this one begins: saved equilibria under the name of their run. Whatever else is there
    stays, and so do folders of variants that this study does not have, which is told.

    Parameters
    ----------
    jobs
        Processes; by default one per core, at most one per run.
    progress
        Called with every outcome as it comes. Beside that a terminal or a notebook shows how far
        long work is, unless this is False.

    Raises
    ------
    DataError
        Where `out` cannot be written to, or another study is at it.
    """
    folder = as_path(out, "a folder")
    jobs = max(1, min(jobs or cores(), len(study.runs)))
    done: dict[str, Outcome] = {}
    with ExitStack() as stack:
        for variant in study.variants:
            make_folder(folder / variant)
            stack.enter_context(locked(folder / variant))
        _clear(study, folder)
        try:
            with shown(False if progress is False else None) as show:
                show.phase("study")
                show.count("runs", 0, len(study.runs))
                for outcome in outcomes(study, str(folder), jobs):
                    done[outcome.run.name] = outcome
                    show.count("runs", len(done), len(study.runs))
                    if progress:
                        with beside():
                            progress(outcome)
        finally:
            for run in study.runs:
                remove_unfinished(folder / f"{run.name}.nc")
        in_order = [done[r.name] for r in study.runs]
        write_files(tables_of(study, in_order, folder))
    return in_order


def _clear(study: Study, folder: Path) -> None:
    """Remove what an earlier study left: nothing old may pass for a result of this one."""
    tables = [folder / v / name for v in study.variants for name in SUMMARIES]
    tables += [folder / name for name in COMPARISONS]
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
    for path in sorted(folder.glob(f"*/{SUMMARY}")):
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
