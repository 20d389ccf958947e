"""Reader of a road folder: road.toml, nodes.csv, arcs.csv, trips.csv."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from v2geq.data.checks.road import check_road
from v2geq.data.model.origin import Origin, TableOrigin
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import ARCS, NODES, ROAD_TABLES, TRIPS, TableSchema
from v2geq.data.readers.folders import discreet
from v2geq.data.readers.tables import read_table
from v2geq.data.readers.toml import read_toml
from v2geq.data.trips import travelling
from v2geq.errors import Unusable, part
from v2geq.files import as_path
from v2geq.show import MONEY


def read_road(folder: str | Path) -> RoadNetwork:
    """Road network of a folder; see `RoadNetwork` for its tables, columns and units.

    Tolls are money per vehicle, in the currency of the case, or in units of which one is
    `toll_usd` of it, where road.toml says so. `trips.csv` may be left out. Zero and intrazonal
    trips are dropped, the latter with a warning.

    Raises
    ------
    DataError
        If a file is missing or malformed, a value out of range, a name unknown, an expression no
        travel time, two arcs join the same nodes, or a trip has no route.
    """
    return read_road_with_origin(folder)[0]


def read_road_with_origin(folder: str | Path, currency: str = MONEY) -> tuple[RoadNetwork, Origin]:
    """Road network of a folder, and the file and line of its rows."""
    folder = as_path(folder, "a folder")
    file = folder / "road.toml"
    with discreet(file, [folder]):
        head = read_toml(file)
        name, source = head.text("name", folder.name), head.text("source", "")
        toll_usd = head.number("toll_usd", 1.0)
        if toll_usd < 0.0:
            raise head.error(
                f"toll_usd = {toll_usd:g}", key="toll_usd", advice="give a number >= 0"
            )
        head.finish()
    frames, origins = {TRIPS.name: TRIPS.frame({c.name: [] for c in TRIPS.columns})}, {}
    for table, schema in (("nodes", NODES), ("arcs", ARCS)):
        with part():
            frames[schema.name], origins[schema.name] = read_table(
                folder / f"{table}.csv", schema.priced(currency)
            )
    if os.path.lexists(folder / "trips.csv"):
        with part():
            frames[TRIPS.name], origins[TRIPS.name] = read_trips(folder / "trips.csv")
    if len(frames) < len(ROAD_TABLES):
        raise Unusable
    nodes, arcs, trips = (frames[schema.name] for schema in ROAD_TABLES.values())
    arcs["toll"] *= toll_usd
    road = RoadNetwork(name=name, nodes=nodes, arcs=arcs, trips=trips, source=source)
    origin = Origin(origins)
    check_road(road, origin)
    return road, origin


def read_trips(
    path: Path, schema: TableSchema = TRIPS, homes: Sequence[Path] = ()
) -> tuple[pd.DataFrame, TableOrigin]:
    """Trip table in long format: columns origin, destination, trips_veh_h (veh/h).

    Zero rows are dropped; trips within one node are dropped with a warning.

    Raises
    ------
    DataError
        If the file is malformed, trips are negative, or a pair appears twice.
    """
    frame, origin = read_table(path, schema, homes)
    return travelling(frame, str(path)), origin
