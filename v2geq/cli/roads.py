"""Commands about roads alone: traffic assignment and its validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from v2geq.cli.printing import say, told
from v2geq.files import make_folder
from v2geq.progress import shown


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

    with shown(phase="reading roads and trips"):
        road, demand = read_tntp(
            net, trips, distance_factor=distance_factor, toll_factor=toll_factor
        )
    if out is not None:
        check_results(out, (net, trips))
        make_folder(out)
    result = assign_trips(road, demand, gap, progress=told())
    if out is not None:
        result.save(out)
        say(f"arcs, OD pairs, paths and log saved to {out}")
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


def validate(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="TNTP data: folders Anaheim, Chicago-Sketch."),
    ] = None,
) -> None:
    """Compare traffic assignment with best-known solutions (Markdown)."""
    from v2geq.analysis.validation import validation_page

    with shown(phase="assigning trips to the published networks"):
        page = validation_page(folder)
    print(page, end="")
