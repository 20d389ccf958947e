"""The command line: study, solve, certify, show, cases.

Exit codes: 0 done and certified; 1 a run did not converge or a certificate fails; 2 bad input.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2geq.errors import ConvergenceError, V2GError

if TYPE_CHECKING:
    from v2geq.equilibrium import Equilibrium
    from v2geq.studies.study import Outcome

app = typer.Typer(
    help="Market equilibrium of electric vehicles, charging stations and a distribution feeder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: expected errors become one line and an exit code."""
    try:
        app()
    except ConvergenceError as error:
        print(f"not solved: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except V2GError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


@app.command()
def study(
    study_file: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY.toml]", help="Study file, folder or shipped case."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for summary.csv and one .nc per run.")] = Path(
        "results"
    ),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default one per core.")
    ] = None,
) -> None:
    """Solve all runs of a study (default: the shipped one) and write its table."""
    from v2geq.studies.study import read_study, run_study

    begin = time.perf_counter()
    plan = read_study(study_file)
    total = len(plan.runs)
    _say(f"{plan.case.title or plan.case.name}: {total} runs, results in {out}")
    count = 0

    def progress(outcome: Outcome) -> None:
        nonlocal count
        count += 1
        word = "certified" if outcome.ok else "FAILED"
        _say(f"[{count}/{total}] {outcome.run.name}: {word}")
        for warning in outcome.warnings:
            _say(f"        note: {warning}")

    outcomes = run_study(plan, out, jobs=jobs, progress=progress)
    _print_rows(outcomes)
    failed = [o for o in outcomes if not o.ok]
    for outcome in failed:
        _say(f"{outcome.run.name} failed: {outcome.problem}")
    _say(f"{total - len(failed)} of {total} certified in {time.perf_counter() - begin:.1f} s")
    if any(o.row.get("status") == "bad_input" for o in failed):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


@app.command()
def solve(
    case: Annotated[str, typer.Argument(help="Shipped case, folder or case.toml.")],
    scenario: Annotated[str, typer.Option(help="Scenario of the case.")],
    v2g: Annotated[bool, typer.Option("--v2g/--no-v2g", help="Stations buy from vehicles.")] = True,
    method: Annotated[str, typer.Option(help="Solver.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Save the equilibrium (.nc).")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter; may be repeated."),
    ] = None,
) -> None:
    """Solve one scenario, print its figures and certificate."""
    from v2geq.data.case import load_case
    from v2geq.equilibrium import solve as solve_case

    eq = solve_case(
        load_case(case),
        scenario,
        v2g=v2g,
        method=method,
        set=_changes(set_ or []),
        check=False,
        progress=_say,
    )
    if out is not None:
        _check_folder(out)
        eq.save(out)
        _say(f"saved to {out}")
    _show(eq)
    if not eq.certificate.holds:
        raise typer.Exit(1)


@app.command()
def certify(file: Annotated[Path, typer.Argument(help="Saved equilibrium (.nc).")]) -> None:
    """Recompute the certificate of a saved equilibrium; exit 0 only if it holds."""
    from v2geq.equilibrium import load

    eq = load(file)
    print(eq.certificate)
    if not eq.certificate.holds:
        raise typer.Exit(1)


@app.command()
def show(file: Annotated[Path, typer.Argument(help="Saved equilibrium (.nc).")]) -> None:
    """Print a saved equilibrium: figures, prices, accounts, certificate."""
    from v2geq.equilibrium import load

    _show(load(file))


@app.command()
def cases() -> None:
    """List the shipped cases."""
    from v2geq.data.case import available_cases, load_case

    for name in available_cases():
        print(f"{name:<34} {load_case(name).title}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _changes(texts: list[str]) -> dict[str, Any]:
    """NAME=VALUE options as parameters: numbers, true and false, else text."""
    out: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
        out[name.strip()] = _value(value.strip())
    return out


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise typer.BadParameter(f"folder {str(path.parent)!r} does not exist", param_hint="--out")


def _print_rows(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = {
        "load_shed_kw": ("shed kW", "{:.0f}"),
        "dlmp_max": ("top DLMP $/kWh", "{:.3g}"),
        "generation_kw": ("gen kW", "{:.0f}"),
        "tso_import_kw": ("import kW", "{:.0f}"),
        "charge_kw": ("charge kW", "{:.0f}"),
        "discharge_kw": ("disch kW", "{:.0f}"),
        "station_visit_share": ("visits", "{:.1%}"),
        "discharge_share": ("disch", "{:.1%}"),
        "dwell_h": ("dwell h", "{:.1f}"),
        "cost_od_1_20": ("OD 1-20 $", "{:.2f}"),
        "natural_residual": ("residual", "{:.0e}"),
    }
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    for heading, _ in shown.values():
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        cells = [
            form.format(outcome.row[key]) if key in outcome.row else "-"
            for key, (_, form) in shown.items()
        ]
        table.add_row(outcome.run.name, *cells)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _show(eq: Equilibrium) -> None:
    """Print an equilibrium for people."""
    ranges = eq.path_flows
    print(repr(eq).strip("<>"))
    for key, value in eq.summary.items():
        if isinstance(value, float):
            print(f"  {key:<22} {value:.6g}")
    print(f"  visits                 {ranges.visit_share} of electric trips [min, max]")
    print(f"  discharging trips      {ranges.discharge_share} of electric trips [min, max]")
    print(f"  discharging OD pairs   {ranges.discharge_od_pairs} [min, max]")
    print("stations")
    columns = [
        "charge_price",
        "discharge_price",
        "charge_kw",
        "discharge_kw",
        "stops_veh_h",
        "wait_h",
    ]
    print(_indent(eq.data[columns].to_dataframe().round(4).to_string()))
    print("profit ($/h)")
    print(_indent(eq.accounts.profit.round(4).to_string()))
    print("social cost ($/h)")
    print(_indent(eq.accounts.social_cost.round(4).to_string()))
    for warning in eq.warnings:
        print(f"note: {warning}")
    print(eq.certificate)


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
