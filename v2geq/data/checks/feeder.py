"""Checks of a feeder beyond single values: known names and a tree in the normal state."""

from __future__ import annotations

from collections import deque

from v2geq.data.checks.agreement import check_same_names
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.errors import DataError, did_you_mean, mistake, mistakes, part, quoted, unknown_name


def check_feeder(feeder: Feeder, origin: Origin = NO_ORIGIN) -> None:
    """Raise DataError unless names are known and closed branches form a tree from the root.

    By phases it has the same names.
    """
    buses = feeder.buses.index
    if feeder.base_kv <= 0.0:
        mistake(
            DataError(
                f"base_kv = {feeder.base_kv:g} kV is not above 0",
                where=origin.place("feeder.base_kv"),
                advice="give the line-to-line voltage the impedances refer to",
            )
        )
    before = mistakes()
    if feeder.root not in buses:
        mistake(
            DataError(
                f"root bus {quoted(feeder.root)} is not in the bus table",
                where=origin.place("feeder.root"),
                advice=did_you_mean(feeder.root, buses),
            )
        )
    for table, columns in (("branches", ("from_bus", "to_bus")), ("capacitors", ("bus",))):
        frame = getattr(feeder, table)
        for column in columns:
            for key, bus in zip(frame.index, frame[column], strict=True):
                if bus not in buses:
                    place = origin.at(f"feeder.{table}", key, column)
                    mistake(unknown_name("unknown bus", bus, buses, place))
    for bus in feeder.loads.index:
        if bus not in buses:
            place = origin.at("feeder.loads", bus, "bus")
            mistake(unknown_name("load at unknown bus", bus, buses, place))
    if mistakes() == before:
        with part():
            _check_tree(feeder, origin)
            check_same_names(feeder, origin)


def _check_tree(feeder: Feeder, origin: Origin) -> None:
    near: dict[str, list[tuple[str, str]]] = {bus: [] for bus in feeder.buses.index}
    group = {bus: bus for bus in near}

    def top(bus: str) -> str:
        while group[bus] != bus:
            group[bus] = group[group[bus]]
            bus = group[bus]
        return bus

    ends = zip(
        feeder.branches.index,
        feeder.branches["from_bus"],
        feeder.branches["to_bus"],
        feeder.branches["normally_open"],
        strict=True,
    )
    for branch, start, end, is_open in ends:
        if start == end:
            mistake(
                DataError(
                    f"branch {quoted(branch)} joins bus {quoted(start)} to itself",
                    where=origin.at("feeder.branches", branch, "to_bus"),
                    advice="give two different buses",
                )
            )
            continue
        if is_open:
            continue
        if top(start) == top(end):
            loop = ", ".join([*_route(near, start, end), branch])
            mistake(
                DataError(
                    f"closed branches form a loop: {loop}",
                    where=origin.at("feeder.branches", branch),
                    advice="the feeder must be radial: set normally_open = true on one of them",
                )
            )
            continue
        group[top(start)] = top(end)
        near[start].append((end, branch))
        near[end].append((start, branch))
    cut = [bus for bus in near if top(bus) != top(feeder.root)]
    if cut:
        shown = ", ".join(cut[:10]) + (f" and {len(cut) - 10} more" if len(cut) > 10 else "")
        raise DataError(
            f"buses without a closed connection to the root {quoted(feeder.root)}: {shown}",
            where=origin.at("feeder.branches"),
            advice="close a branch towards them, or remove them",
        )


def _route(near: dict[str, list[tuple[str, str]]], start: str, end: str) -> list[str]:
    """Branches from `start` to `end` in the forest `near`."""
    came: dict[str, tuple[str, str] | None] = {start: None}
    queue = deque([start])
    while queue and end not in came:
        bus = queue.popleft()
        for other, branch in near[bus]:
            if other not in came:
                came[other] = (bus, branch)
                queue.append(other)
    route: list[str] = []
    step = came[end]
    while step is not None:
        route.append(step[1])
        step = came[step[0]]
    return route[::-1]
