"""The command line: studies and single solves, saved results, traffic assignment, cases.

Results go to the standard output, progress and errors to the standard error. Exit codes: 0 done and
certified; 1 a run did not converge or a certificate fails; 2 bad input.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import time
import tomllib
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2geq import __version__
from v2geq.errors import ConvergenceError, DataError, V2GError, one_line, quoted
from v2geq.files import check_result, make_folder
from v2geq.show import log_to_stderr

if TYPE_CHECKING:
    from v2geq.equilibrium import Equilibrium
    from v2geq.studies.study import Outcome

app = typer.Typer(
    help="Market equilibrium of electric vehicles, charging stations and a distribution feeder.",
    epilog="Exit codes: 0 done and certified, 1 not converged or not certified, 2 bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143
"""Exit codes after Ctrl-C, a reader that went away and a signal to end, as shells have them."""

_STOPPED = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

UNITS = {
    "load_shed_kw": "kW",
    "dlmp_min": "$/kWh",
    "dlmp_max": "$/kWh",
    "generation_kw": "kW",
    "tso_import_kw": "kW",
    "charge_kw": "kW",
    "discharge_kw": "kW",
    "station_visit_share": "of electric trips",
    "discharge_share": "of electric trips",
    "dwell_h": "vehicle-hours per hour",
    "cost_od_1_20": "$ per trip",
    "social_cost": "$/h",
    "build_seconds": "s",
    "solve_seconds": "s",
}
"""Units of the summary's figures."""

RUN_COLUMNS = {
    "status": ("", "status", "{}"),
    "load_shed_kw": ("shed", "kW", "{:.0f}"),
    "dlmp_max": ("top DLMP", "$/kWh", "{:.4g}"),
    "generation_kw": ("generation", "kW", "{:.0f}"),
    "tso_import_kw": ("import", "kW", "{:.0f}"),
    "charge_kw": ("charge", "kW", "{:.0f}"),
    "discharge_kw": ("discharge", "kW", "{:.0f}"),
    "station_visit_share": ("visits", "%", "{:.1%}"),
    "discharge_share": ("discharge", "% trips", "{:.1%}"),
    "dwell_h": ("dwell", "h/h", "{:.1f}"),
    "cost_od_1_20": ("OD 1-20", "$", "{:.2f}"),
    "natural_residual": ("residual", "", "{:.0e}"),
}
"""Columns of a study's table on the screen: two lines of heading and the format."""

STATION_COLUMNS = {
    "charge_price": ("charging", "$/kWh", "{:.4f}"),
    "discharge_price": ("discharging", "$/kWh", "{:.4f}"),
    "charge_kw": ("charge", "kW", "{:.1f}"),
    "discharge_kw": ("discharge", "kW", "{:.1f}"),
    "stops_veh_h": ("stops", "veh/h", "{:.1f}"),
    "wait_h": ("wait", "h", "{:.4f}"),
    "charge_wait_h": ("to charge", "h", "{:.4f}"),
    "discharge_wait_h": ("to discharge", "h", "{:.4f}"),
}
"""Columns of the stations' table; the waits by direction only where queues are apart."""

AllOD = Annotated[
    bool,
    typer.Option(
        "--all-od", help="Spread electric trips over all OD pairs of the road's trip table."
    ),
]


def main() -> None:
    """Entry point: expected errors become one line and an exit code."""
    if sys.stdout is None or sys.stderr is None:
        # closed by the caller: files opened later must not take their place
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # names of cases may hold letters that the terminal's encoding lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning
    log_to_stderr()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    raise SystemExit(_flush(_run()))


def _run() -> int:
    """Exit code of the command."""
    try:
        app()
    except ConvergenceError as error:
        _say(f"not solved: {error}")
        return 1
    except V2GError as error:
        _say(f"error: {error}")
        return 2
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _say(f"error: {error.filename or 'output'}: cannot be written ({error.strerror})")
        return 2
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.__context__, BrokenPipeError):
            # nobody reads on, and what the command would have found is not known
            return UNREAD
        if code in _STOPPED:
            _say(f"{_STOPPED[code]}; what was saved before is complete")
        return code
    return 0


def _flush(code: int) -> int:
    """Exit code once the streams are written out; what nobody reads any more is dropped."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            # or the interpreter tries again at its end, and tells of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                _say(f"error: output: cannot be written ({error.strerror})")
                code = code or 2
    return code


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"v2geq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder.")],
) -> None:
    """Write a small commented case to start from; it solves as it is."""
    from v2geq.data.template import write_template

    for name in write_template(folder):
        print(folder / name)
    _say(f"next: v2geq check {folder}; v2geq study {folder}")


@app.command()
def check(
    case: Annotated[
        str,
        typer.Argument(metavar="CASE", help="Case folder, case.toml, study.toml or shipped case."),
    ] = ".",
) -> None:
    """Look at a case and its study without solving: contents, scenarios, who gets where."""
    from v2geq.studies.check import check as check_case

    report = check_case(case)
    print("\n".join(report.lines))
    if report.warnings:
        print("\n" + "\n".join(f"warning: {text}" for text in report.warnings))
    if report.errors:
        sys.stdout.flush()
        for text in report.errors:
            _say(f"error: {text}")
        raise typer.Exit(2)
    print("\nno errors: every scenario can be set up, with and without V2G")


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
        int | None, typer.Option(min=1, help="Processes; by default one per core.")
    ] = None,
    all_od: AllOD = False,
) -> None:
    """Solve all runs of a study (default: the shipped one) and write their tables."""
    from v2geq.studies.study import over_all_pairs, read_study, run_study

    begin = time.perf_counter()
    plan = read_study(study_file)
    plan = over_all_pairs(plan) if all_od else plan
    total, width = len(plan.runs), max(len(r.name) for r in plan.runs)
    _say(f"{plan.case.title or plan.case.name}: {total} runs, results in {out}")
    count = 0

    def progress(outcome: Outcome) -> None:
        nonlocal count
        count += 1
        seconds = sum(outcome.row.get(k, 0.0) for k in ("build_seconds", "solve_seconds"))
        word = f"certified  {seconds:6.1f} s" if outcome.ok else "FAILED"
        _say(f"[{count:>{len(str(total))}}/{total}] {outcome.run.name:<{width}}  {word}")

    outcomes = run_study(plan, out, jobs=jobs, progress=progress)
    _print_runs(outcomes)
    _print_claims(outcomes, plan.variants)
    _say_notes(outcomes)
    failed = [o for o in outcomes if not o.ok]
    for outcome in failed:
        _say(f"{outcome.run.name} failed: {outcome.problem}")
    _say(
        f"{total - len(failed)} of {total} runs certified in {time.perf_counter() - begin:.1f} s, "
        f"table in {out / 'summary.csv'}"
    )
    if any(o.row.get("status") == "bad_input" for o in failed):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


@app.command()
def plot(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a study, or of a variant in it.")
    ],
    figure: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Figure, 5 to 10; may be repeated. By default all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures; by default DIR/figures.")
    ] = None,
    width: Annotated[
        float, typer.Option(metavar="MM", help="Width of a figure: 89 one column, 183 two.")
    ] = 183.0,
) -> None:
    """Draw the figures of a finished study as SVG and PNG; nothing is solved."""
    from v2geq.plots import plot_study

    begin = time.perf_counter()
    files = plot_study(folder, figure or None, out=out, width_mm=width, progress=_say)
    _say(f"{len(files)} files in {files[0].parent}, {time.perf_counter() - begin:.1f} s")


@app.command()
def solve(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="Shipped case, folder or its case.toml.")
    ],
    scenario: Annotated[str, typer.Option(metavar="NAME", help="Scenario of the case.")],
    v2g: Annotated[bool, typer.Option("--v2g/--no-v2g", help="Stations buy from vehicles.")] = True,
    method: Annotated[str, typer.Option(metavar="M", help="Solver.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(metavar="F.nc", help="Save the equilibrium to this file.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a parameter, as voll=5; may be repeated."
        ),
    ] = None,
    all_od: AllOD = False,
    uniqueness: Annotated[
        bool, typer.Option("--uniqueness/--no-uniqueness", help="Tell which prices are unique.")
    ] = True,
) -> None:
    """Solve one scenario, print its figures and certificate."""
    changes = _changes(set_ or [])
    from v2geq.data.readers.case import load_case
    from v2geq.data.trips import spread_trips
    from v2geq.equilibrium import solve as solve_case

    if out is not None:
        check_result(out)
    given = load_case(case)
    changes = {**spread_trips(given), **changes} if all_od else changes
    try:
        eq = solve_case(
            given,
            scenario,
            v2g=v2g,
            method=method,
            set=changes,
            uniqueness=uniqueness,
            progress=_say,
        )
    except DataError as error:
        raise error.at(f"{given.where}: scenario {scenario!r}") from None
    if out is not None:
        eq.save(out)
        _say(f"saved to {out}")
    _show(eq)
    _end(eq)


@app.command()
def assign(
    net: Annotated[Path, typer.Argument(metavar="NET.tntp", help="Road network, TNTP format.")],
    trips: Annotated[Path, typer.Argument(metavar="TRIPS.tntp", help="Trip table.")],
    gap: Annotated[float, typer.Option(metavar="G", help="Relative gap to reach.")] = 1e-6,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write arcs.csv, od.csv, paths.csv, log.csv there."),
    ] = None,
    distance_factor: Annotated[
        float, typer.Option(metavar="F", help="Cost per unit of length, in the file's units.")
    ] = 0.0,
    toll_factor: Annotated[
        float, typer.Option(metavar="F", help="Cost per unit of toll, in the file's units.")
    ] = 0.0,
) -> None:
    """Assign trips to a road network: user equilibrium of the roads alone."""
    from v2geq.assignment import assign as assign_trips
    from v2geq.data.readers.tntp import read_tntp
    from v2geq.roads.result import check_results

    road, demand = read_tntp(net, trips, distance_factor=distance_factor, toll_factor=toll_factor)
    if out is not None:
        check_results(out, (net, trips))
        make_folder(out)
    result = assign_trips(road, demand, gap, progress=_say)
    if out is not None:
        result.save(out)
        _say(f"arcs, OD pairs, paths and log saved to {out}")
    print(f"traffic assignment, {road.name}: {len(road.nodes)} nodes, {len(road.arcs)} arcs")
    width = max(map(len, result.figures))
    for name, value in result.figures.items():
        print(f"  {name:<{width}}  {value}")
    busiest = result.arcs.sort_values("volume_capacity", ascending=False).head(5)
    print("\n  most loaded arcs  flow veh/h  time min  volume/capacity")
    for arc, row in busiest.iterrows():
        print(
            f"  {arc!s:<16}  {row['flow_veh_h']:>10,.1f}  {row['time_min']:>8.2f}  "
            f"{row['volume_capacity']:>15.2f}"
        )


@app.command()
def validate(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="TNTP data: folders Anaheim, Chicago-Sketch."),
    ] = None,
) -> None:
    """Compare traffic assignment with best-known solutions (Markdown)."""
    from v2geq.analysis.validation import validation_page

    print(validation_page(folder), end="")


@app.command()
def certify(
    file: Annotated[Path, typer.Argument(metavar="F.nc", help="Saved equilibrium.")],
) -> None:
    """Recompute the certificate of a saved equilibrium; exit 0 only if it holds."""
    from v2geq.equilibrium import load

    eq = load(file)
    print(eq.certificate)
    print(eq.provenance)
    _end(eq)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="F.nc", help="Saved equilibrium.")],
) -> None:
    """Print a saved equilibrium: figures, prices, accounts, certificate."""
    from v2geq.equilibrium import load

    eq = load(file)
    _show(eq)
    print(eq.provenance)
    _end(eq)


@app.command()
def export(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="Shipped case, folder or its case.toml.")
    ],
    scenario: Annotated[str, typer.Option(metavar="NAME", help="Scenario of the case.")],
    out: Annotated[Path, typer.Option(metavar="F.gms", help="GAMS file to write.")],
    v2g: Annotated[bool, typer.Option("--v2g/--no-v2g", help="Stations buy from vehicles.")] = True,
) -> None:
    """Write the problem of a scenario, on the paths of its solution, as a GAMS model for PATH."""
    from v2geq.data.readers.case import load_case
    from v2geq.equilibrium import solve as solve_case
    from v2geq.export.gams import to_gams

    check_result(out)
    eq = solve_case(load_case(case), scenario, v2g=v2g, progress=_say)
    to_gams(eq.coupled.mcp, out)
    _say(f"{eq.coupled.mcp.n} variables written to {out}")


@app.command()
def equations() -> None:
    """Print the equations with symbols, units and places in the code (Markdown)."""
    from v2geq.analysis.equations import equations_page
    from v2geq.data.readers.case import load_case
    from v2geq.equilibrium import solve as solve_case

    coupled = solve_case(load_case("ieee123_sioux_falls"), "island", v2g=True).coupled
    print(equations_page(coupled), end="")


@app.command()
def cases() -> None:
    """List the shipped cases."""
    from v2geq.data.readers.case import load_case
    from v2geq.data.readers.folders import available_cases

    found = {name: load_case(name) for name in available_cases()}
    width = max((len(name) for name in found), default=0)
    for name, case in found.items():
        print(f"{name:<{width}}  {case.title} ({', '.join(case.scenarios)})")


def _end(eq: Equilibrium) -> None:
    if not eq.certificate.holds:
        raise typer.Exit(1)


def _say(text: str) -> None:
    # work goes on where nobody can be told of it
    with suppress(OSError):
        print(one_line(text), file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings about data as notes; those of numerical libraries are no help to a user."""
    if issubclass(category, UserWarning):
        _say(f"note: {one_line(str(message))}")


def _changes(texts: list[str]) -> dict[str, Any]:
    """NAME=VALUE options as parameters."""
    out: dict[str, Any] = {}
    for text in texts:
        if not text.isprintable():
            raise DataError(f"{quoted(text)} is more than one line of text", where="--set")
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise DataError(
                f"{quoted(text)} is not NAME=VALUE", where="--set", advice="write voll=5"
            )
        if name in out:
            raise DataError(
                f"{quoted(name)} is set twice", where="--set", advice="keep one of them"
            )
        out[name] = _value(value)
    return out


def _value(text: str) -> Any:
    """Value written as in TOML files; anything else is text, so that expressions need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, too many digits, too deep
        pass
    try:
        return float(text) if text.isascii() else text
    except ValueError:
        return text


# ---------------------------------------------------------------------------------------------
# Tables for people


def _table(headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with two lines of heading, the first column to the left."""
    cells = [[h[0] for h in headings], [h[1] for h in headings], *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _print_runs(outcomes: list[Outcome]) -> None:
    def cells(outcome: Outcome, keys: list[str]) -> list[str]:
        # a run that failed has its status and no figures
        return [outcome.run.name] + [
            RUN_COLUMNS[k][2].format(outcome.row[k]) if k in outcome.row else "-" for k in keys
        ]

    keys = list(RUN_COLUMNS)
    if all(o.ok for o in outcomes):
        keys.remove("status")
    while True:
        lines = _table(
            [("", "run"), *(RUN_COLUMNS[k][:2] for k in keys)], [cells(o, keys) for o in outcomes]
        )
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
        if len(keys) < 4 or max(map(len, lines)) <= room:
            break
        # a narrow terminal gets fewer columns, never cut numbers; the file has them all
        keys.pop()
    print("\n".join(lines), flush=True)


def _print_claims(outcomes: list[Outcome], variants: Sequence[str]) -> None:
    """Print the paper's claims where the study can judge them."""
    from v2geq.studies.study import claims_of

    claims = claims_of(outcomes)
    if not claims:
        return
    beside = {v: claims_of(outcomes, v) for v in variants if v}
    print("\nclaims of the paper (arXiv 2605.16765), met here?")
    for k, claim in enumerate(claims):
        print(f"{claim.number:>3}  {claim.met:<9}  {claim.claim}")
        print(f"{'':16}paper: {claim.paper}")
        print(f"{'':16}here:  {claim.here}")
        for name, others in beside.items():
            if others and others[k].here != claim.here:
                print(f"{'':16}{name}: {others[k].here} ({others[k].met})")
        print(f"{'':16}{claim.reason}")
    print(flush=True)


def _say_notes(outcomes: list[Outcome]) -> None:
    """Warnings of all runs, each once."""
    runs: dict[str, list[str]] = {}
    for outcome in outcomes:
        for text in outcome.warnings:
            runs.setdefault(text, []).append(outcome.run.name)
    certified = sum(o.ok for o in outcomes)
    for text, names in runs.items():
        _say(f"note: {text} ({'all runs' if len(names) == certified > 1 else ', '.join(names)})")


def _show(eq: Equilibrium) -> None:
    """Print an equilibrium for people."""
    print(repr(eq).strip("<>"))
    print(eq.effort)
    print("\nfigures")
    for key, value in eq.summary.items():
        if isinstance(value, float):
            print(f"  {key:<20}  {_number(value):>12}  {UNITS.get(key, '')}".rstrip())
    if eq.tells_uniqueness:
        counts = eq.uniqueness["status"].value_counts()
        told = ", ".join(f"{n} {status}" for status, n in counts.items())
        print(f"  {'prices':<20}  {told or 'of no equilibrium'}")
    ranges = eq.path_flows
    print("\nranges over path flows of equal cost: value [min, max]")
    print(f"  station_visit_share   {ranges.visit_share}")
    print(f"  discharge_share       {ranges.discharge_share}")
    print(f"  discharge_od_pairs    {ranges.discharge_od_pairs}")
    if not ranges.complete:
        print("  too many cheapest paths to list: the ranges may be wider")
    columns = {k: c for k, c in STATION_COLUMNS.items() if k in eq.data}
    stations = eq.data[list(columns)].to_dataframe()[list(columns)]
    if len(stations):
        print("\nstations (prices to drivers)")
        rows = [
            [str(name)]
            + [
                columns[c][2].format(v + 0.0) if v == v else "-"
                for c, v in zip(columns, row.round(4), strict=True)
            ]
            for name, row in zip(stations.index, stations.to_numpy(), strict=True)
        ]
        headings = [("", "station"), *(h[:2] for h in columns.values())]
        print("\n".join("  " + line for line in _table(headings, rows)))
    for title, account in (
        ("profit", eq.accounts.profit),
        ("social cost", eq.accounts.social_cost),
    ):
        print(f"\n{title} ($/h)")
        width = max(len(str(name)) for name in account.index)
        for name, value in account.items():
            print(f"  {name!s:<{width}}  {round(float(value), 2) + 0.0:>16,.2f}")
        if title == "social cost":
            print(f"  {'total':<{width}}  {float(account.sum()):>16,.2f}")
    if eq.warnings:
        print()
    for warning in eq.warnings:
        print(f"note: {warning}")
    print()
    print(eq.certificate)


def _number(value: float) -> str:
    return "-" if value != value else f"{value + 0.0:.6g}"
