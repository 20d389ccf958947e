"""Commands about feeders alone: what one holds, drawn and written as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from v2geq.cli.printing import say


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
