"""Reader of TNTP files: road networks, trip tables and link flows for traffic assignment.

The format of github.com/bstabler/TransportationNetworks: metadata in pointed brackets, then rows of
numbers that end with a semicolon; `~` begins a comment.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from v2geq.arrays import BoolArray, FloatArray
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import NODES, TOLL_UNIT, TRIPS
from v2geq.data.readers.tntp_file import TntpFile
from v2geq.data.readers.tntp_network import arc_names, read_links
from v2geq.errors import DataError, quoted


def read_tntp(
    net: str | Path,
    trips: str | Path | None = None,
    *,
    distance_factor: float = 0.0,
    toll_factor: float = 0.0,
    toll_usd: float | None = None,
    nodes: str | Path | None = None,
    time_unit: str | None = None,
    length_unit: str | None = None,
) -> tuple[RoadNetwork, pd.DataFrame]:
    """Road network and demand of TNTP files.

    Parameters
    ----------
    net
        Network file. Nodes are named '1' to 'N', arcs 'tail-head' (parallel ones 'tail-head#2',
        ...); nodes numbered below FIRST THRU NODE let no route pass.
    trips
        Trip table; without one the demand is empty.
    distance_factor, toll_factor
        Weights of length and toll in the generalised cost, in the file's units: time per unit of
        length, time per unit of toll.
    toll_usd
        Money per unit of toll in the file, for example 0.01 for cents: the tolls are then money
        per vehicle, in the currency of the case they go to. Where left out they stay as in the
        file, whose unit nobody knows.
    nodes
        Node file with coordinates; without one they are missing.
    time_unit, length_unit
        'min', 'h', '0.01h' or 's', and 'km', 'mi', 'ft' or 'm'. Where left out, what the line
        ORIGINAL HEADER says, for example 'Length (ft)', else min and km.

    Returns
    -------
    road
        Times in minutes (the file's numbers as they stand if these are minutes), lengths in km,
        capacities as in the file; `toll` in money or the file's unit, `fixed_min` =
        distance_factor * length + toll_factor * toll (of the file). Its `trips` are the demand
        without intrazonal rows.
    demand
        Columns origin, destination, trips_veh_h in the order of the file; no zero rows, intrazonal
        rows kept.

    Raises
    ------
    DataError
        A file is missing or malformed, or a value out of range: with file and line.
    """
    links = TntpFile.read(net, "network")
    arcs, zones, count, first_through = read_links(
        links, distance_factor, toll_factor, time_unit, length_unit
    )
    demand = (
        TRIPS.frame({c.name: [] for c in TRIPS.columns})
        if trips is None
        else _read_trips(trips, zones, links.path)
    )
    names = [str(n) for n in range(1, count + 1)]
    xy = np.full((count, 2), np.nan) if nodes is None else _read_nodes(nodes, count)
    table = NODES.frame(
        {
            "node": names,
            "x": xy[:, 0],
            "y": xy[:, 1],
            "through": np.arange(1, count + 1) >= first_through,
        }
    )
    toll_unit = TOLL_UNIT
    if toll_usd is not None:
        if not (math.isfinite(toll_usd) and toll_usd >= 0.0):
            raise DataError(f"toll_usd = {toll_usd!r}", advice="give a number >= 0")
        arcs["toll"] *= toll_usd
    elif (arcs["toll"] != 0.0).any():
        toll_unit = ""
    between = demand[demand["origin"] != demand["destination"]].reset_index(drop=True)
    name = re.sub(r"_net$", "", Path(net).stem)
    return RoadNetwork(name, table, arcs, between, str(net), toll_unit), demand


def read_tntp_flows(path: str | Path) -> pd.DataFrame:
    """Link flows of a TNTP flow file: index arc as in `read_tntp`, columns volume and cost.

    Raises
    ------
    DataError
        The file is missing or malformed.
    """
    file = TntpFile.plain(path)
    ends: list[tuple[int, int]] = []
    rows: list[tuple[float, float]] = []
    for line, text in file.rows:
        cells = re.split(r"[\s:;]+", text.strip(" \t;"))
        if text.startswith("<"):
            continue
        if len(cells) != 4:
            raise file.error(line, f"{len(cells)} values", "a row is: from, to, volume, cost;")
        if not rows and cells[0].lower() in ("from", "tail", "init_node"):
            continue
        ends.append((file.whole(line, "from", cells[0]), file.whole(line, "to", cells[1])))
        rows.append((file.number(line, "volume", cells[2]), file.number(line, "cost", cells[3])))
    index = pd.Index(arc_names(ends), dtype="str", name="arc")
    return pd.DataFrame(rows, index=index, columns=["volume", "cost"], dtype=float)


def _read_nodes(path: str | Path, count: int) -> FloatArray:
    """(node, 2) coordinates."""
    file = TntpFile.plain(path)
    xy = np.full((count, 2), np.nan)
    for k, (line, text) in enumerate(file.rows):
        cells = text.replace(";", " ").split()
        if k == 0 and cells[0].lower() == "node":
            continue
        if len(cells) != 3:
            raise file.error(line, f"{len(cells)} values", "a row is: node, x, y;")
        node = file.whole(line, "node", cells[0])
        if not 1 <= node <= count:
            raise file.error(line, f"{node} is no node", f"nodes are numbered 1 to {count}")
        if not np.isnan(xy[node - 1, 0]):
            raise file.error(line, f"node {node} appears twice", "keep one of the rows")
        xy[node - 1] = [file.number(line, n, c) for n, c in zip("xy", cells[1:], strict=True)]
    missing = np.flatnonzero(np.isnan(xy[:, 0]))
    if missing.size:
        raise file.error(None, f"node {missing[0] + 1} is missing", f"give all {count} nodes")
    return xy


def _read_trips(path: str | Path, zones: int, net: Path) -> pd.DataFrame:
    file = TntpFile.read(path, "trip table")
    own = file.count("NUMBER OF ZONES")
    if own != zones:
        line = file.metadata["NUMBER OF ZONES"][0]
        raise file.error(
            line, f"{own} zones, but {zones} in {net}", "give files that belong together"
        )
    origin, destination, value, lines = _entries(file, zones)
    start, end, at = (np.array(x, dtype=np.int64) for x in (origin, destination, lines))
    amount = np.array(value, dtype=float)

    def refuse(bad: BoolArray, problem: Callable[[int], str], advice: str) -> None:
        where = np.flatnonzero(bad)
        if where.size:
            k = int(where[0])
            raise file.error(int(at[k]), problem(k), advice)

    def pair(k: int) -> str:
        return f"trips from {start[k]} to {end[k]}"

    refuse(
        (end < 1) | (end > zones),
        lambda k: f"destination {end[k]} is no zone",
        f"zones are numbered 1 to {zones}",
    )
    refuse(~np.isfinite(amount), lambda k: f"{pair(k)} are {amount[k]}", "write a finite number")
    refuse(amount < 0.0, lambda k: f"{pair(k)} are {amount[k]:g}", "give a number >= 0")
    again = np.ones(start.size, dtype=bool)
    again[np.unique(start * (zones + 1) + end, return_index=True)[1]] = False
    refuse(again, lambda k: f"{pair(k)} appear twice", "keep one of the entries")
    if "TOTAL OD FLOW" in file.metadata:
        line, text = file.metadata["TOTAL OD FLOW"]
        told = file.number(line, "<TOTAL OD FLOW>", text.partition("~")[0].rstrip(" \t;"))
        total = float(amount.sum())
        if abs(total - told) > 1e-3 * abs(told):
            warnings.warn(
                f"{file.path}: the trips sum to {total:g}, <TOTAL OD FLOW> says {told:g}",
                stacklevel=3,
            )
    kept = amount > 0.0
    names = np.array([str(n) for n in range(zones + 1)], dtype=object)
    return TRIPS.frame(
        {
            "origin": names[start[kept]],
            "destination": names[end[kept]],
            "trips_veh_h": amount[kept],
        }
    )


def _entries(file: TntpFile, zones: int) -> tuple[list[int], list[int], list[float], list[int]]:
    """Origin, destination, trips and line of every entry `destination : trips;`."""
    origins: list[int] = []
    destinations: list[int] = []
    values: list[float] = []
    lines: list[int] = []
    origin = 0
    for line, text in file.rows:
        first, *blocks = re.split("origin", text, flags=re.IGNORECASE)
        for k, block in enumerate((first, *blocks)):
            if k:
                name, *rest = block.split(None, 1)[:2] or [""]
                block = "".join(rest)
                origin = file.whole(line, "origin", name.rstrip(";"))
                if not 1 <= origin <= zones:
                    raise file.error(
                        line, f"origin {origin} is no zone", f"zones are numbered 1 to {zones}"
                    )
            for entry in block.split(";"):
                destination, colon, trips = entry.partition(":")
                if not colon and not entry.strip():
                    continue
                try:
                    if not colon or "_" in entry or len(destination.strip()) > 18:
                        raise ValueError
                    destinations.append(int(destination))
                    values.append(float(trips))
                except ValueError:
                    raise file.error(
                        line,
                        f"{quoted(entry.strip()[:40])} is no entry of a trip table",
                        "write destination : trips;",
                    ) from None
                if not origin:
                    raise file.error(line, "trips before the first origin", "add a line Origin 1")
                origins.append(origin)
                lines.append(line)
    return origins, destinations, values, lines
