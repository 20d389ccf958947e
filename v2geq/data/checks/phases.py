"""Checks of a feeder by phases beyond single values: known names, phases that are there, a tree."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.phases import ANGLES, PHASE_TABLES, ROOT_VOLTAGE, plain_rows
from v2geq.data.model.schema import row_name
from v2geq.data.model.values import ValueSpec
from v2geq.errors import (
    DataError,
    Unusable,
    did_you_mean,
    listed,
    mistake,
    mistakes,
    part,
    quoted,
    unknown_name,
)


def admit_phases(feeder: Any) -> PhaseFeeder:
    """Checked copy of a feeder by phases made or changed in Python, as if read from its tables.

    Raises
    ------
    DataError
        Not one, tables that do not fit their schema, or what `check_phases` refuses.
    """
    if not isinstance(feeder, PhaseFeeder):
        raise DataError(
            f"{quoted(feeder)} is not a PhaseFeeder", advice="read one with v2geq.read_opendss"
        )
    values: dict[str, Any] = {}
    for table, schema in PHASE_TABLES.items():
        with part():
            values[table] = schema.admit(getattr(feeder, table))
    if len(values) < len(PHASE_TABLES):
        raise Unusable
    for spec in (*(ValueSpec(t, "text") for t in ("name", "root", "source")), ROOT_VOLTAGE):
        values[spec.name] = spec.check(getattr(feeder, spec.name), "feeder")
    copy = PhaseFeeder(**values)
    check_phases(copy)
    return copy


def check_phases(feeder: PhaseFeeder, origin: Origin = NO_ORIGIN, where: str = "") -> None:
    """Raise DataError unless names and phases are known and every node is fed once from the root.

    Parameters
    ----------
    where
        Place in messages of what was not read from tables.
    """

    def at(table: str, key: str | None = None, column: str | None = None) -> str:
        place = origin.at(f"feeder.{table}", key, column)
        return f"{where}: {place}" if where else place

    before = mistakes()
    buses = dict(plain_rows(feeder.buses, "", "phases"))
    for bus, phases in buses.items():
        if not phases or len(set(phases)) < len(phases) or set(phases) - set(ANGLES):
            _wrong(f"phases {quoted(phases)} of bus {quoted(bus)}", at("buses", bus, "phases"))
    if feeder.root not in buses:
        mistake(
            DataError(
                f"root bus {quoted(feeder.root)} is not in the bus table",
                where=origin.place("feeder.root"),
                advice=did_you_mean(feeder.root, buses),
            )
        )
    for branch, *ends in plain_rows(feeder.branches, "", "from_bus", "to_bus"):
        for column, bus in zip(("from_bus", "to_bus"), ends, strict=True):
            if bus not in buses:
                mistake(unknown_name("unknown bus", bus, buses, at("branches", branch, column)))
    if mistakes() == before:
        _check_conductors(feeder, at)
    for table in ("loads", "capacitors", "generators"):
        _check_phases_there(feeder, table, at)
    if mistakes() == before:
        with part():
            _check_fed_once(feeder, at)


_At = Callable[..., str]


def _wrong(what: str, where: str) -> None:
    mistake(
        DataError(
            f"{what} cannot be",
            where=where,
            advice="write letters of abc, or 12 behind a centre-tapped transformer, each once",
        )
    )


def _check_conductors(feeder: PhaseFeeder, at: _At) -> None:
    ends = {b: two for b, *two in plain_rows(feeder.branches, "", "from_bus", "to_bus")}
    phases = dict(plain_rows(feeder.buses, "", "phases"))
    known: dict[str, set[str]] = {branch: set() for branch in ends}
    columns = ("branch", "phase", "from_phase", "ratio")
    for branch, phase, begins, ratio in plain_rows(feeder.conductors, *columns):
        key = row_name((branch, phase))
        if branch not in known:
            place = at("conductors", key, "branch")
            mistake(unknown_name("unknown branch", branch, known, place))
            continue
        known[branch].add(phase)
        first, second = ends[branch]
        for bus, wanted in ((first, begins), (second, phase)):
            if missing := [p for p in wanted if p not in phases[bus]]:
                mistake(
                    DataError(
                        f"branch {quoted(branch)} uses phase {missing[0]} of bus {quoted(bus)}, "
                        f"which has {phases[bus]}",
                        where=at("conductors", key),
                        advice="correct the phase, or add it to the bus",
                    )
                )
        if not 1 <= len(begins) <= 2 or len(set(begins)) < len(begins):
            _wrong(f"from_phase {quoted(begins)}", at("conductors", key, "from_phase"))
        if abs(ratio) < 0.5:
            mistake(
                DataError(
                    f"ratio = {ratio:g} of phase {phase} of branch {quoted(branch)} is out of "
                    "range, 0.5 to 1.5",
                    where=at("conductors", key, "ratio"),
                    advice="give V_to / V_from in per unit; the tap of a regulator is near 1",
                )
            )
    for branch in (b for b, have in known.items() if not have):
        mistake(
            DataError(
                f"branch {quoted(branch)} has no conductor",
                where=at("branches", branch),
                advice="add its phases to the table of conductors",
            )
        )
    for branch, *two in plain_rows(feeder.impedances, "branch", "phase", "other_phase"):
        have = known.get(branch, set())
        if missing := [p for p in two if p not in have]:
            mistake(
                DataError(
                    f"impedance of phase {missing[0]} of branch {quoted(branch)}, which has "
                    f"{''.join(sorted(have)) or 'none'}",
                    where=at("impedances", row_name((branch, *two))),
                    advice="remove the row, or add the phase to the table of conductors",
                )
            )


def _check_phases_there(feeder: PhaseFeeder, table: str, at: _At) -> None:
    frame = getattr(feeder, table)
    buses = dict(plain_rows(feeder.buses, "", "phases"))
    for key, bus, phases, connection in plain_rows(frame, "", "bus", "phases", "connection"):
        what = table.removesuffix("s")
        if bus not in buses:
            place = at(table, key, "bus")
            mistake(unknown_name(f"{what} at unknown bus", bus, buses, place))
            continue
        if missing := [p for p in phases if p not in buses[bus]]:
            mistake(
                DataError(
                    f"{what} {quoted(key)} is on phase {missing[0]}, but bus {quoted(bus)} has "
                    f"{buses[bus]}",
                    where=at(table, key, "phases"),
                    advice="correct its phases, or feed that phase",
                )
            )
        if len(set(phases)) < len(phases) or len(phases) < (2 if connection == "delta" else 1):
            _wrong(f"phases {quoted(phases)} of a {what} in {connection}", at(table, key, "phases"))


def _check_fed_once(feeder: PhaseFeeder, at: _At) -> None:
    branches = feeder.branches[~feeder.branches["normally_open"]]
    if branches.empty:
        raise DataError(
            "the feeder has no closed branch", where=at("branches"), advice="add its lines"
        )
    ends = {b: two for b, *two in plain_rows(branches, "", "from_bus", "to_bus")}
    fed: dict[tuple[str, str], tuple[str, list[tuple[str, str]]]] = {}
    for branch, phase, begins in plain_rows(feeder.conductors, "branch", "phase", "from_phase"):
        if branch not in ends:
            continue
        first, second = ends[branch]
        if (node := (second, phase)) in fed or second == feeder.root:
            other = fed[node][0] if node in fed else "the source"
            mistake(
                DataError(
                    f"phase {phase} of bus {quoted(second)} is fed by {quoted(other)} and by "
                    f"{quoted(branch)}: a loop, or a branch that does not lead away from the root",
                    where=at("branches", branch),
                    advice="set normally_open = true on one of them, or exchange its ends",
                )
            )
            continue
        fed[node] = (branch, [(first, p) for p in begins])
    missing = {node: len(above) for node, (_, above) in fed.items()}
    below: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for node, (_, above) in fed.items():
        for start in above:
            below[start].append(node)
    phases = dict(plain_rows(feeder.buses, "", "phases"))
    queue = deque((feeder.root, p) for p in phases[feeder.root])
    reached = set(queue)
    while queue:
        for node in below[queue.popleft()]:
            missing[node] -= 1
            if not missing[node]:
                reached.add(node)
                queue.append(node)
    cut = [
        f"{bus} ({phase})"
        for bus, there in phases.items()
        for phase in there
        if (bus, phase) not in reached
    ]
    if cut:
        raise DataError(
            f"phases of buses without a path to the root {quoted(feeder.root)}: {listed(cut)}",
            where=at("branches"),
            advice="close a branch towards them, or remove them",
        )
