"""Commands about cases: a new one, a look at one, the shipped ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

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
    """Look at a case and its study without solving: contents, scenarios, who gets where."""
    from v2geq.studies.check import check_case_and_study

    report = check_case_and_study(case)
    print("\n".join(report.lines))
    if report.warnings:
        print("\n" + "\n".join(f"warning: {text}" for text in report.warnings))
    if report.errors:
        sys.stdout.flush()
        for text in report.errors:
            say(f"error: {text}")
        raise typer.Exit(2)
    print("\nno errors: every scenario can be set up, with and without V2G")


def cases() -> None:
    """List the shipped cases."""
    from v2geq.data.readers.case import load_case
    from v2geq.data.readers.folders import available_cases

    found = {name: load_case(name) for name in available_cases()}
    width = max((len(name) for name in found), default=0)
    for name, case in found.items():
        print(f"{name:<{width}}  {case.title} ({', '.join(case.scenarios)})")
