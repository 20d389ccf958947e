"""Commands about single equilibria: solve, look at, certify, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from v2geq.cli.options import V2G, AllOD, CaseName, SavedFile, ScenarioName, named_values
from v2geq.cli.printing import print_equilibrium, say, told
from v2geq.errors import DataError
from v2geq.files import check_result
from v2geq.progress import shown

if TYPE_CHECKING:
    from v2geq.equilibrium import Equilibrium


READING = "reading the case"


def solve(
    case: CaseName,
    scenario: ScenarioName = None,
    v2g: V2G = True,
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
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Option of the solver, as tolerance=1e-9; may be repeated."
        ),
    ] = None,
    all_od: AllOD = False,
    uniqueness: Annotated[
        bool, typer.Option("--uniqueness/--no-uniqueness", help="Tell which prices are unique.")
    ] = True,
) -> None:
    """Solve one scenario, print its figures and certificate."""
    own = named_values(set_ or [], "--set", "voll=5")
    options = named_values(option or [], "--option", "tolerance=1e-9")
    if out is not None:
        check_result(out)
    with shown(phase=READING) as line:
        from v2geq.data.edit.case import load_case
        from v2geq.data.trips import spread_trips
        from v2geq.equilibrium import solve as solve_case

        given = load_case(case)
        own = {**spread_trips(given), **own} if all_od else own
        line.phase("")
        try:
            eq = solve_case(
                given,
                scenario,
                v2g=v2g,
                method=method,
                parameters=own,
                options=options,
                uniqueness=uniqueness,
                progress=told(),
            )
        except DataError as error:
            place = given.where + (f": scenario {scenario!r}" if scenario else "")
            raise error.at(place) from None
    if out is not None:
        eq.save(out)
        say(f"saved to {out}")
    print_equilibrium(eq)
    _end(eq)


def show(file: SavedFile) -> None:
    """Print a saved equilibrium: figures, prices, accounts, certificate."""
    eq = _load(file)
    print_equilibrium(eq)
    print(eq.provenance)
    _end(eq)


def tables(
    file: SavedFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty folder.")],
    form: Annotated[str, typer.Option("--format", metavar="F", help="csv or parquet.")] = "csv",
) -> None:
    """Write all results of a saved equilibrium as tables, units in the headings."""
    eq = _load(file)
    files = eq.to_tables(out, form)
    say(f"{len(files)} tables in {out}, their columns told in {files[0].name}")
    _end(eq)


def certify(file: SavedFile) -> None:
    """Recompute the certificate of a saved equilibrium; exit 0 only if it holds."""
    eq = _load(file)
    print(eq.certificate)
    print(eq.provenance)
    _end(eq)


def powerflow(
    file: SavedFile,
    engine: Annotated[
        str, typer.Option(metavar="E", help="opendss (extra power), or sweep, the own one.")
    ] = "opendss",
    script: Annotated[
        Path | None,
        typer.Option(metavar="F.dss", help="OpenDSS script to solve with the market's loads."),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Let the script's regulators and capacitors act.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write its tables there.")
    ] = None,
) -> None:
    """AC power flow of a saved equilibrium: voltages, losses and limits the model does not see."""
    found = _load(file).power_flow(engine=engine, script=script, controls=controls)
    print(found)
    if out is not None:
        say(f"{', '.join(found.save(out))} saved to {out}")


def export(
    case: CaseName,
    out: Annotated[Path, typer.Option(metavar="F.gms", help="GAMS file to write.")],
    scenario: ScenarioName = None,
    v2g: V2G = True,
) -> None:
    """Write the problem of a scenario, on the paths of its solution, as a GAMS model for PATH."""
    check_result(out)
    with shown(phase=READING) as line:
        from v2geq.data.edit.case import load_case
        from v2geq.equilibrium import solve as solve_case
        from v2geq.export.gams import to_gams

        given = load_case(case)
        line.phase("")
        eq = solve_case(given, scenario, v2g=v2g, progress=told())
    to_gams(eq.coupled.mcp, out)
    say(f"{eq.coupled.mcp.n} variables written to {out}")


def _load(file: Path) -> Equilibrium:
    with shown(phase="reading the equilibrium"):
        from v2geq.equilibrium import load

        return load(file)


def _end(eq: Equilibrium) -> None:
    if not eq.certificate.holds:
        raise typer.Exit(1)
