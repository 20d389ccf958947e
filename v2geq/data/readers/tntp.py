"""Reader of TNTP files: road networks, trip tables and link flows for traffic assignment.

The format of github.com/bstabler/TransportationNetworks: metadata in pointed brackets, then rows of
numbers that end with a semicolon; `~` begins a comment.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2geq.arrays import BoolArray, FloatArray
from v2geq.data.model.case import RoadNetwork
from v2geq.data.parameters.schema import ARCS, NODES, TOLL_UNIT, TRIPS
from v2geq.data.readers.tables import read_text
from v2geq.errors import DataError, did_you_mean, quoted

_COLUMNS = (
    "init node",
    "term node",
    "capacity",
    "length",
    "free flow time",
    "B",
    "power",
    "speed",
    "toll",
    "link type",
)
_MINUTES = {"min": 1.0, "h": 60.0, "0.01h": 0.6, "s": 1.0 / 60.0}
_KM = {"km": 1.0, "mi": 1.609344, "ft": 0.0003048, "m": 0.001}
# how headers write the units
_SPELLINGS = {
    "min": ("min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "0.01h": ("0.01h", "0.01hr", "0.01hour", "0.01hours"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "km": ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    "mi": ("mi", "mile", "miles"),
    "ft": ("ft", "feet", "foot"),
    "m": ("m", "meter", "meters", "metre", "metres"),
}
_UNIT_OF = {spelling: unit for unit, all_ in _SPELLINGS.items() for spelling in all_}
_MOST_NODES = 10_000_000
_METADATA = re.compile(r"\s*<\s*([^<>]*?)\s*>(.*)")


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
        $ per unit of toll in the file, for example 0.01 for cents: the tolls are then in $/veh, as
        cases need them. Where left out they stay as in the file, whose unit nobody knows.
    nodes
        Node file with coordinates; without one they are missing.
    time_unit, length_unit
        'min', 'h', '0.01h' or 's', and 'km', 'mi', 'ft' or 'm'. Where left out, what the line
        ORIGINAL HEADER says, for example 'Length (ft)', else min and km.

    Returns
    -------
    road
        Times in minutes (the file's numbers as they stand if these are minutes), lengths in km,
        capacities as in the file; `toll` in $/veh or the file's unit, `fixed_min` =
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
    links = _File.read(net, "network")
    arcs, zones, count, first_through = _read_links(
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
    file = _File(_path(path), {}, _lines(_path(path)))
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
    index = pd.Index(_arc_names(ends), dtype="str", name="arc")
    return pd.DataFrame(rows, index=index, columns=["volume", "cost"], dtype=float)


# ---------------------------------------------------------------------------------------------
# Lines, metadata, numbers


@dataclass(frozen=True)
class _File:
    """Metadata by name, each with its line, and the rows that hold more than a comment."""

    path: Path
    metadata: dict[str, tuple[int, str]]
    rows: list[tuple[int, str]]

    @classmethod
    def read(cls, path: str | Path, what: str) -> _File:
        """A 'network' or 'trip table' (`what`); one in the place of the other is told."""
        path = _path(path)
        lines = _lines(path, keep="<")
        metadata: dict[str, tuple[int, str]] = {}
        rest = iter(lines)
        for line, text in rest:
            found = _METADATA.match(text)
            if not found:
                raise DataError(
                    f"{quoted(text.strip()[:40])} before <END OF METADATA>",
                    where=f"{path}, line {line}",
                    advice=f"a {what} file begins with lines such as <NUMBER OF ZONES> 24",
                )
            key = " ".join(found[1].upper().split())
            if key == "END OF METADATA":
                break
            value = found[2].strip()
            if metadata.get(key, (line, value))[1] != value:
                raise DataError(
                    f"<{key}> says something else than in line {metadata[key][0]}",
                    where=f"{path}, line {line}",
                    advice="keep one of the lines",
                )
            metadata[key] = (line, value)
        else:
            raise DataError(
                "<END OF METADATA> is missing",
                where=str(path),
                advice=f"is this a TNTP {what} file, and complete?",
            )
        is_network = "NUMBER OF LINKS" in metadata
        if is_network != (what == "network") and (is_network or "TOTAL OD FLOW" in metadata):
            raise DataError(
                f"this is a {'network' if is_network else 'trip table'}, not a {what}",
                where=str(path),
                advice="give the network file first, then the trip table",
            )
        return cls(path, metadata, _stripped(list(rest)))

    def error(self, line: int | None, problem: str, advice: str) -> DataError:
        at = f", line {line}" if line else ""
        return DataError(problem, where=f"{self.path}{at}", advice=advice)

    def whole(self, line: int, name: str, text: str) -> int:
        """A whole number of digits only."""
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self.error(
                line,
                f"{name} = {quoted(text[:40])} is no whole number",
                "write digits only, at most 18",
            )
        return int(text)

    def number(self, line: int, name: str, text: str) -> float:
        """A finite number."""
        try:
            value = math.nan if "_" in text or not text.isascii() else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(line, f"{name} = {quoted(text)} is no number", "write a finite number")
        return value

    def count(self, key: str) -> int:
        """Whole number of the metadata."""
        if key not in self.metadata:
            raise self.error(None, f"<{key}> is missing", did_you_mean(key, self.metadata))
        line, text = self.metadata[key]
        return self.whole(line, f"<{key}>", text.partition("~")[0].rstrip(" \t;"))


def _path(path: Any) -> Path:
    if not isinstance(path, (str, Path)):
        raise DataError(f"{quoted(path)} is not the path of a file")
    return Path(path)


def _lines(path: Path, keep: str = "") -> list[tuple[int, str]]:
    """Numbered lines with content; comments are dropped, but in lines that begin with `keep`."""
    lines = list(enumerate(read_text(path).splitlines(), 1))
    return _stripped(lines, keep)


def _stripped(lines: Sequence[tuple[int, str]], keep: str = "") -> list[tuple[int, str]]:
    out = []
    for line, text in lines:
        if not (keep and text.lstrip().startswith(keep)):
            text = text.partition("~")[0]
        text = text.strip()
        if text and text != ";":
            out.append((line, text))
    return out


# ---------------------------------------------------------------------------------------------
# Network


def _read_links(
    file: _File,
    distance_factor: float,
    toll_factor: float,
    time_unit: str | None,
    length_unit: str | None,
) -> tuple[pd.DataFrame, int, int, int]:
    """Arc table, number of zones and of nodes, first node that may be passed."""
    for name, factor in (("distance_factor", distance_factor), ("toll_factor", toll_factor)):
        if not (math.isfinite(factor) and factor >= 0.0):
            raise DataError(f"{name} = {quoted(factor)}", advice="give a number >= 0")
    zones, count = file.count("NUMBER OF ZONES"), file.count("NUMBER OF NODES")
    first_through, expected = file.count("FIRST THRU NODE"), file.count("NUMBER OF LINKS")
    if count > _MOST_NODES:
        line = file.metadata["NUMBER OF NODES"][0]
        raise file.error(line, f"{count} nodes", f"give at most {_MOST_NODES}")
    if zones > count:
        line = file.metadata["NUMBER OF ZONES"][0]
        raise file.error(line, f"{zones} zones, but {count} nodes", "zones are the first nodes")
    if first_through > count:
        line = file.metadata["FIRST THRU NODE"][0]
        raise file.error(line, f"no route may pass any of {count} nodes", "correct FIRST THRU NODE")
    minutes, km = _units(file, time_unit, length_unit)
    ends: list[tuple[int, int]] = []
    values: list[tuple[float, ...]] = []
    for line, text in file.rows:
        cells = text.replace(";", " ").split()
        if len(cells) != len(_COLUMNS):
            raise file.error(
                line,
                f"{len(cells)} values for {len(_COLUMNS)} columns",
                f"the columns are {', '.join(_COLUMNS)}",
            )
        tail, head = (file.whole(line, _COLUMNS[k], cells[k]) for k in (0, 1))
        for k, node in enumerate((tail, head)):
            if not 1 <= node <= count:
                raise file.error(
                    line, f"{_COLUMNS[k]} {node} is no node", f"nodes are numbered 1 to {count}"
                )
        if tail == head:
            raise file.error(line, f"the link joins node {tail} to itself", "remove it")
        row = tuple(file.number(line, _COLUMNS[k], cells[k]) for k in range(2, 9))
        _check_link(file, line, f"{tail}-{head}", row)
        ends.append((tail, head))
        values.append(row)
    if len(ends) != expected:
        line = file.metadata["NUMBER OF LINKS"][0]
        raise file.error(line, f"{expected} links announced, {len(ends)} found", "correct one")
    capacity, length, time, b, power, _, toll = np.array(values).reshape(-1, 7).T
    arcs = ARCS.frame(
        {
            "arc": _arc_names(ends),
            "from_node": [str(tail) for tail, _ in ends],
            "to_node": [str(head) for _, head in ends],
            "capacity_veh_h": capacity,
            "length_km": length * km,
            "free_flow_min": time * minutes,
            "bpr_b": b,
            "bpr_power": power,
            "toll": toll,
            "fixed_min": (distance_factor * length + toll_factor * toll) * minutes,
            "conical_alpha": np.zeros(len(ends)),
            "delay": ["bpr"] * len(ends),
        }
    )
    return arcs, zones, count, first_through


def _check_link(file: _File, line: int, arc: str, row: tuple[float, ...]) -> None:
    for name, value in zip(_COLUMNS[2:9], row, strict=True):
        if name == "capacity" and value <= 0.0:
            raise file.error(line, f"capacity = {value:g} of link {arc}", "give a number above 0")
        if value < 0.0:
            raise file.error(line, f"{name} = {value:g} of link {arc}", "give a number >= 0")
        if name == "power" and 0.0 < value < 1.0:
            raise file.error(
                line,
                f"power = {value:g} of link {arc} leaves no slope at zero flow",
                "use 0 (constant time) or at least 1",
            )


def _units(file: _File, time_unit: str | None, length_unit: str | None) -> tuple[float, float]:
    """Minutes per unit of time and km per unit of length."""
    for name, given, known in (
        ("time_unit", time_unit, _MINUTES),
        ("length_unit", length_unit, _KM),
    ):
        if given is not None and given not in known:
            raise DataError(f"{name} = {quoted(given)}", advice=did_you_mean(given, known))
    return (
        _MINUTES[time_unit or _written_unit(file, r"time|fftt", _MINUTES, "time_unit", "min")],
        _KM[length_unit or _written_unit(file, "length", _KM, "length_unit", "km")],
    )


def _written_unit(
    file: _File, heading: str, known: dict[str, float], argument: str, default: str
) -> str:
    """Unit in brackets behind a heading of the line ORIGINAL HEADER."""
    line, header = file.metadata.get("ORIGINAL HEADER", (0, ""))
    found = re.search(rf"(?:{heading})[^\t(]*\(([^)]*)\)", header, re.IGNORECASE)
    if not found:
        return default
    unit = _UNIT_OF.get("".join(found[1].lower().split()), "")
    if unit in known:
        return unit
    warnings.warn(
        f"{file.path}, line {line}: unit {quoted(found[1])} is not known, the numbers are taken as "
        f"{default}; say {argument}",
        stacklevel=2,
    )
    return default


def _arc_names(ends: Sequence[tuple[int, int]]) -> list[str]:
    seen: dict[tuple[int, int], int] = {}
    names = []
    for tail, head in ends:
        seen[tail, head] = again = seen.get((tail, head), 0) + 1
        names.append(f"{tail}-{head}" + (f"#{again}" if again > 1 else ""))
    return names


def _read_nodes(path: str | Path, count: int) -> FloatArray:
    """(node, 2) coordinates."""
    file = _File(_path(path), {}, _lines(_path(path)))
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


# ---------------------------------------------------------------------------------------------
# Trips


def _read_trips(path: str | Path, zones: int, net: Path) -> pd.DataFrame:
    file = _File.read(path, "trip table")
    own = file.count("NUMBER OF ZONES")
    if own != zones:
        line = file.metadata["NUMBER OF ZONES"][0]
        raise file.error(
            line, f"{own} zones, but {zones} in {net}", "give files that belong together"
        )
    origin, destination, value, lines = _entries(file, zones)
    at = np.array(lines, dtype=np.int64)
    start, end = np.array(origin, dtype=np.int64), np.array(destination, dtype=np.int64)
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


def _entries(file: _File, zones: int) -> tuple[list[int], list[int], list[float], list[int]]:
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
