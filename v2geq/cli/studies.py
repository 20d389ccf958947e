"""Commands about studies: solve their runs, draw their figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2geq.cli.options import AllOD
from v2geq.cli.printing import print_claims, print_runs, say, say_notes
from v2geq.progress import shown

if TYPE_CHECKING:
    from v2geq.studies.outcome import Outcome


def study(
    study_file: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY.toml]", help="Study file, folder or shipped case."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for summary.csv and one .nc per run.")] = Path(
        "results"
    ),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one per core.")
    ] = None,
    all_od: AllOD = False,
) -> None:
    """Solve all runs of a study (default: the shipped one) and write their tables."""
    from v2geq.studies.plan import over_all_pairs, read_study
    from v2geq.studies.run import run_study

    begin = time.perf_counter()
    with shown(phase="reading the study"):
        plan = read_study(study_file)
        plan = over_all_pairs(plan) if all_od else plan
    total, width = len(plan.runs), max(len(r.name) for r in plan.runs)
    say(f"{plan.case.title or plan.case.name}: {total} runs, results in {out}")
    count = 0

    def progress(outcome: Outcome) -> None:
        nonlocal count
        count += 1
        seconds = sum(outcome.row.get(k, 0.0) for k in ("build_seconds", "solve_seconds"))
        word = f"certified  {seconds:6.1f} s" if outcome.ok else "FAILED"
        say(f"[{count:>{len(str(total))}}/{total}] {outcome.run.name:<{width}}  {word}")

    outcomes = run_study(plan, out, jobs=jobs, progress=progress)
    print_runs(outcomes, plan.figures)
    print_claims(outcomes, plan.variants)
    say_notes(outcomes)
    failed = [o for o in outcomes if not o.ok]
    for outcome in failed:
        say(f"{outcome.run.name} failed: {outcome.problem}")
    say(
        f"{total - len(failed)} of {total} runs certified in {time.perf_counter() - begin:.1f} s, "
        f"table in {out / 'summary.csv'}"
    )
    if any(o.row.get("status") == "bad_input" for o in failed):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


def plot(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of a study, or of a variant in it; or a saved equilibrium."
        ),
    ],
    figure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Figure, 5 to 10, or of an equilibrium by name; may be repeated. By default all.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures; by default DIR/figures, or F for F.nc."),
    ] = None,
    width: Annotated[
        float, typer.Option(metavar="MM", help="Width of a figure: 89 one column, 183 two.")
    ] = 183.0,
) -> None:
    """Draw the figures of a study, or of an equilibrium, as SVG and PNG; nothing is solved."""
    from v2geq.paper.figures import plot_study
    from v2geq.plots.api import plot_equilibrium

    begin = time.perf_counter()
    options: dict[str, Any] = {"out": out, "width_mm": width, "progress": say}
    with shown():
        if folder.suffix == ".nc":
            files = plot_equilibrium(folder, figure or None, **options)
        else:
            numbers: list[Any] = [int(f) if f.isdecimal() else f for f in figure or ()]
            files = plot_study(folder, numbers or None, **options)
    say(f"{len(files)} files in {files[0].parent}, {time.perf_counter() - begin:.1f} s")
