"""Arguments and options that commands share."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from v2geq.errors import DataError, quoted

CaseName = Annotated[
    str, typer.Argument(metavar="CASE", help="Shipped case, folder or its case.toml.")
]
ScenarioName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Scenario of the case; its only one or 'base' if left out."),
]
V2G = Annotated[bool, typer.Option("--v2g/--no-v2g", help="Stations buy from vehicles.")]
SavedFile = Annotated[Path, typer.Argument(metavar="F.nc", help="Saved equilibrium.")]
AllOD = Annotated[
    bool,
    typer.Option(
        "--all-od", help="Spread electric trips over all OD pairs of the road's trip table."
    ),
]


def named_values(texts: list[str], option: str, example: str) -> dict[str, Any]:
    """NAME=VALUE texts of an option of the command line."""
    out: dict[str, Any] = {}
    for text in texts:
        if not text.isprintable():
            raise DataError(f"{quoted(text)} is more than one line of text", where=option)
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise DataError(
                f"{quoted(text)} is not NAME=VALUE", where=option, advice=f"write {example}"
            )
        if name in out:
            raise DataError(f"{quoted(name)} is set twice", where=option, advice="keep one of them")
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
