"""Checks of a feeder beyond single values: known names and a tree in the normal state."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

import pandas as pd

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
    branches = feeder.branches
    for branch, start, end in _ends(branches):
        if start == end:
            mistake(
                DataError(
                    f"branch {quoted(branch)} joins bus {quoted(start)} to itself",
                    where=origin.at("feeder.branches", branch, "to_bus"),
                    advice="give two different buses",
                )
            )
    found = _Forest(feeder, branches.index[~branches["normally_open"].astype(bool)])
    for loop in found.loops:
        mistake(
            DataError(
                f"closed branches form a loop: {', '.join(loop)}",
                where=origin.at("feeder.branches", loop[-1]),
                advice="the feeder must be radial: set normally_open = true on one of them",
            )
        )
    cut = [bus for bus in feeder.buses.index if found.top(bus) != found.top(feeder.root)]
    if cut:
        shown = ", ".join(cut[:10]) + (f" and {len(cut) - 10} more" if len(cut) > 10 else "")
        raise DataError(
            f"buses without a closed connection to the root {quoted(feeder.root)}: {shown}",
            where=origin.at("feeder.branches"),
            advice="close a branch towards them, or remove them",
        )


def check_switching(
    feeder: Feeder, outages: Collection[str], closed: Collection[str], who: str, where: str
) -> None:
    """Raise DataError where closing branches of a sound feeder makes a loop.

    Parameters
    ----------
    who
        Who closes them, in words.
    """
    normal = feeder.branches.index[~feeder.branches["normally_open"].astype(bool)]
    for loop in _Forest(feeder, [b for b in (*normal, *closed) if b not in outages]).loops:
        switches = feeder.branches.loc[loop[:-1], "kind"] == "switch"
        other = (loop[: int(switches.argmax()) + 1] or loop)[-1]
        mistake(
            DataError(
                f"{who} closes a loop: {', '.join(loop)}",
                where=where,
                advice=f"open one of them, as by outages = [{quoted(other)}]",
            )
        )


def _ends(branches: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(branches.index, branches["from_bus"], branches["to_bus"], strict=True)


class _Forest:
    """Closed branches in their order, but those that would make a loop.

    Attributes
    ----------
    loops : branches of every loop, the one that makes it last
    """

    def __init__(self, feeder: Feeder, closed: Collection[str]) -> None:
        near: dict[str, list[tuple[str, str]]] = {bus: [] for bus in feeder.buses.index}
        self._group = {bus: bus for bus in near}
        self.loops: list[list[str]] = []
        for branch, start, end in _ends(feeder.branches.loc[list(dict.fromkeys(closed))]):
            if start == end:
                continue
            if self.top(start) == self.top(end):
                self.loops.append([*_route(near, start, end), branch])
                continue
            self._group[self.top(start)] = self.top(end)
            near[start].append((end, branch))
            near[end].append((start, branch))

    def top(self, bus: str) -> str:
        """A bus that stands for all that are connected with a bus."""
        group = self._group
        while group[bus] != bus:
            group[bus] = group[group[bus]]
            bus = group[bus]
        return bus


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
