"""Links of a TNTP network file: units, ranges, names of arcs."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from v2geq.data.model.schema import ARCS
from v2geq.data.readers.tntp_file import TntpFile
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


def read_links(
    file: TntpFile,
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
            "arc": arc_names(ends),
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


def _check_link(file: TntpFile, line: int, arc: str, row: tuple[float, ...]) -> None:
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


def _units(file: TntpFile, time_unit: str | None, length_unit: str | None) -> tuple[float, float]:
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
    file: TntpFile, heading: str, known: dict[str, float], argument: str, default: str
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


def arc_names(ends: Sequence[tuple[int, int]]) -> list[str]:
    seen: dict[tuple[int, int], int] = {}
    names = []
    for tail, head in ends:
        seen[tail, head] = again = seen.get((tail, head), 0) + 1
        names.append(f"{tail}-{head}" + (f"#{again}" if again > 1 else ""))
    return names
