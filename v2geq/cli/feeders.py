"""Commands about feeders alone: what one holds, and its optimal power flow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from v2geq.cli.options import named_values
from v2geq.cli.printing import print_dearest, say


def feeder(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FEEDER", help="OpenDSS script (Master.dss), feeder folder or shipped feeder."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write its tables and a drawing there."),
    ] = None,
    coordinates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Coordinates of buses, where the script names none."),
    ] = None,
    opened: Annotated[
        list[str] | None,
        typer.Option("--open", metavar="LINE", help="Line to open first; may be repeated."),
    ] = None,
    rating_a: Annotated[
        float | None,
        typer.Option(metavar="A", help="Rating of lines for which the script states none, A."),
    ] = None,
) -> None:
    """Look at a feeder: contents, checks, its AC power flow; tables and a drawing with --out."""
    from v2geq.data.model.feeder import Feeder
    from v2geq.data.readers.feeder import find_feeder
    from v2geq.data.readers.phases import write_feeder
    from v2geq.grid.overview import overview

    given = {"coordinates": coordinates, "opened": opened or (), "rating_a": rating_a}
    found = find_feeder(source, **{k: v for k, v in given.items() if v})
    lines, state = overview(found)
    print("\n  ".join(lines))
    if out is None:
        return
    from v2geq.plots import save
    from v2geq.plots.feeder_map import feeder_map

    written = write_feeder(found, out)
    single = found if isinstance(found, Feeder) else found.single_phase()
    volts = None if state is None else state.voltages["voltage_pu"]
    save(feeder_map(single, volts), out / "feeder")
    say(f"{', '.join(written)} and the drawing feeder.svg, feeder.png saved to {out}")


def opf(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FEEDER", help="OpenDSS script (Master.dss), feeder folder or shipped feeder."
        ),
    ],
    price: Annotated[
        float, typer.Option(metavar="P", help="Price of energy from the TSO, $/kWh.")
    ] = 0.10,
    formulation: Annotated[
        str, typer.Option(metavar="F", help="single_phase, or three_phase of a feeder by phases.")
    ] = "single_phase",
    losses: Annotated[
        bool, typer.Option("--losses/--no-losses", help="With losses, or without.")
    ] = False,
    outages: Annotated[
        list[str] | None,
        typer.Option("--outage", metavar="LINE", help="Branch out of service; may be repeated."),
    ] = None,
    closed: Annotated[
        list[str] | None,
        typer.Option("--close", metavar="LINE", help="Open branch to close; may be repeated."),
    ] = None,
    generators: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Generators: generator, bus, max_kw, cost_linear, cost_quadratic.",
        ),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting, vmin=0.95; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write tables and drawings there."),
    ] = None,
) -> None:
    """Optimal power flow of a feeder alone: prices by bus and what they are made of."""
    from v2geq.opf import optimal_power_flow, read_generators

    result = optimal_power_flow(
        source,
        price,
        formulation=formulation,
        losses=losses,
        outages=outages or (),
        closed=closed or (),
        generators=None if generators is None else read_generators(generators),
        **named_values(changed or [], "--set", "vmin=0.95"),
    )
    print("optimal power flow")
    for name, value in result.figures.items():
        print(f"  {name:<18} {value}")
    print_dearest(result.dlmp_parts)
    print("\n" + str(result.certificate))
    if out is not None:
        from v2geq.plots import save

        result.save(out)
        for name in result.plot.names():
            save(getattr(result.plot, name)(), out / name)
        say(f"tables and drawings saved to {out}")
    if not result.certificate.holds:
        raise typer.Exit(1)
