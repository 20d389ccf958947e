"""Checks of a road network beyond single values: known names, travel times, routes for trips."""

from __future__ import annotations

from collections import deque

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.data.checks.delay import check_delays
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.road import DELAY_NAMES, RoadNetwork
from v2geq.data.model.schema import TOLL_UNIT
from v2geq.errors import DataError, collects, mistake, mistakes, part, quoted, unknown_name
from v2geq.show import MONEY, money


def check_road(road: RoadNetwork, origin: Origin = NO_ORIGIN) -> None:
    """Raise DataError unless names are known, arcs are simple, times fit, trips have routes."""
    before = mistakes()
    check_arcs(road, origin)
    if not collects() or road.arcs[list(DELAY_NAMES.values())].notna().all(axis=None):
        with part():
            check_delays(road, origin)
    if mistakes() == before:
        check_trips(road, road.trips, "road.trips", origin)


def check_arcs(road: RoadNetwork, origin: Origin = NO_ORIGIN, *, parallel: bool = False) -> None:
    """Raise DataError unless arcs join two known nodes; two join the same if `parallel`."""
    nodes, arcs = set(road.nodes.index), road.arcs
    ends: dict[tuple[str, str], str] = {}
    for arc, start, end in zip(arcs.index, arcs["from_node"], arcs["to_node"], strict=True):
        for at, node in (("from_node", start), ("to_node", end)):
            if node not in nodes:
                place = origin.at("road.arcs", arc, at)
                mistake(unknown_name(f"arc {quoted(arc)} has an unknown node", node, nodes, place))
        if start == end:
            mistake(
                DataError(
                    f"arc {quoted(arc)} joins node {quoted(start)} to itself",
                    where=origin.at("road.arcs", arc, "to_node"),
                    advice="remove it, or give two different nodes",
                )
            )
        # paths are told apart by their nodes
        if (start, end) in ends and not parallel:
            mistake(
                DataError(
                    f"arcs {quoted(ends[start, end])} and {quoted(arc)} both go from "
                    f"{quoted(start)} to {quoted(end)}",
                    where=origin.at("road.arcs", arc),
                    advice="merge them, or put a node in the middle of one",
                )
            )
        ends[start, end] = arc


def arc_tolls(road: RoadNetwork, origin: Origin = NO_ORIGIN, currency: str = MONEY) -> FloatArray:
    """(arc,) tolls as the drivers of a case in `currency` pay them, $/veh.

    Raises
    ------
    DataError
        A toll in no known unit, or a cost of an arc that is neither time nor money (`fixed_min`),
        which no account of a case could hold.
    """
    arcs, toll, extra = road.arcs, road.column("toll"), road.column("fixed_min")
    unit = f" {road.toll_unit}" if road.toll_unit else ""
    own = money(TOLL_UNIT, currency)
    for name, bad, what, advice in (
        (
            "toll",
            (toll != 0.0) & (road.toll_unit != TOLL_UNIT),
            f"{unit}, where the case counts in {own}" if unit else " in an unknown unit",
            f"state them in {own}: read_tntp(..., toll_usd={currency} per unit of the file), or "
            f"replace(road, arcs=..., toll_unit={own!r})",
        ),
        (
            "fixed_min",
            extra != 0.0,
            " min, a cost that is neither travel time nor money",
            f"set fixed_min to 0, and state what is paid as toll ({own})",
        ),
    ):
        for k in np.flatnonzero(bad)[:1]:
            raise DataError(
                f"arc {arcs.index[k]!r} of road network {road.name!r} has {name} = "
                f"{float(arcs[name].iloc[k])!r}{what}",
                where=origin.at("road.arcs", arcs.index[k], name),
                advice=advice,
            )
    return toll


def check_trips(road: RoadNetwork, trips: pd.DataFrame, table: str, origin: Origin) -> None:
    """Raise DataError unless every pair of `trips` joins known nodes by a route."""
    after: dict[str, list[str]] = {node: [] for node in road.nodes.index}
    for start, end in zip(road.arcs["from_node"], road.arcs["to_node"], strict=True):
        after[start].append(end)
    through = dict(zip(road.nodes.index, road.nodes["through"], strict=True))
    reached: dict[str, set[str]] = {}
    for start, end in zip(trips["origin"], trips["destination"], strict=True):
        key = f"{start}-{end}"
        for at, node in (("origin", start), ("destination", end)):
            if node not in after:
                place = origin.at(table, key, at)
                mistake(unknown_name("trips at unknown node", node, after, place))
        if start not in after or end not in after:
            continue
        if start not in reached:
            reached[start] = _reached(after, through, start)
        if end not in reached[start]:
            mistake(
                DataError(
                    f"no route from {quoted(start)} to {quoted(end)}",
                    where=origin.at(table, key),
                    advice="add the missing arcs, or remove the trips of this pair",
                )
            )
            return  # where one is cut off, most are


def _reached(after: dict[str, list[str]], through: dict[str, bool], start: str) -> set[str]:
    found = {start}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        # a zone connector may be left only by trips that start there
        if node != start and not through[node]:
            continue
        for other in after[node]:
            if other not in found:
                found.add(other)
                queue.append(other)
    return found
