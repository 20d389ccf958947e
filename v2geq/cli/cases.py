"""Commands about cases: a new one, a look at one, the shipped ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from v2geq.cli.options import CaseName
from v2geq.cli.printing import say


def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder.")],
) -> None:
    """Write a small commented case to start from; it solves as it is."""
    from v2geq.data.template import write_template

    for name in write_template(folder):
        print(folder / name)
    say(f"next: v2geq check {folder}; v2geq study {folder}")


def check(
    case: Annotated[
        str,
        typer.Argument(metavar="CASE", help="Case folder, case.toml, study.toml or shipped case."),
    ] = ".",
) -> None:
    """Look at a case and its study without solving: contents, scenarios, all its mistakes."""
    from v2geq.studies.check import check as check_case

    report = check_case(case)
    lines = [*report.lines, ""] if report.lines else []
    lines += [f"warning: {text}" for text in report.warnings]
    if lines:
        print("\n".join(lines).rstrip())
    if report.errors:
        sys.stdout.flush()
        for text in report.told:
            say(f"error: {text}")
        raise typer.Exit(2)
    print("\nno errors: every scenario can be set up, with and without V2G")


def parameters(
    case: CaseName,
    search: Annotated[
        str, typer.Argument(metavar="SEARCH", help="Part of a name, or words of its meaning.")
    ] = "",
) -> None:
    """List the parameters of a case: value, unit, range, basis, meaning."""
    from v2geq.data.edit.case import load_case
    from v2geq.data.parameters.listing import parameters as parameters_of

    found = parameters_of(load_case(case), search)
    whole = len(found)
    if not search:
        found = found[~found["name"].str.match(r"(feeder|road)\.\w+\.")]
    if not len(found):
        say(f"no parameter has {search!r} in its name or meaning")
        raise typer.Exit(2)
    rows = [
        [name, str(value), unit, limits, f"{meaning} ({basis})" if basis else meaning]
        for name, value, unit, limits, basis, meaning, _ in found.itertuples(index=False)
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        print("  ".join(cells).rstrip())
    if len(found) < whole:
        say(f"{whole - len(found)} more of the networks' tables: v2geq parameters {case} toll")


def cases() -> None:
    """List the shipped cases."""
    from v2geq.data.edit.case import load_case
    from v2geq.data.readers.folders import available_cases

    found = {name: load_case(name) for name in available_cases()}
    width = max((len(name) for name in found), default=0)
    for name, case in found.items():
        print(f"{name:<{width}}  {case.title} ({', '.join(case.scenarios)})")
