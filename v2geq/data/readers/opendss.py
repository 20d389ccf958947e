"""Reader of feeders by phases from OpenDSS scripts, through the engine."""

from __future__ import annotations

import math
import os
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from v2geq.data.checks.phases import check_phases
from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.phases import PHASE_TABLES
from v2geq.data.readers.dss_elements import (
    DEFAULT_AMPS,
    Conductors,
    Element,
    Node,
    branch_elements,
    disabled_switches,
    line_conductors,
    transformer_conductors,
)
from v2geq.data.readers.dss_engine import dss_circuit
from v2geq.data.readers.dss_loads import capacitor_rows, load_rows, source_rows
from v2geq.errors import DataError, listed
from v2geq.files import as_path

_TAKEN = frozenset(
    {"line", "reactor", "transformer", "load", "capacitor", "generator", "storage", "pvsystem"}
)
_NO_POWER = frozenset(
    {
        *("regcontrol", "capcontrol", "swtcontrol", "energymeter", "monitor", "sensor", "fuse"),
        *("recloser", "relay", "invcontrol", "expcontrol", "storagecontroller", "gendispatcher"),
        *("vsource", "fault", "espvlcontrol", "upfccontrol", "vvcontrol"),
    }
)

SOURCE_DROP = 1e-4
"""Voltage, pu, that the impedance of the source takes and above which it is a branch."""


def read_opendss(
    master: str | Path,
    *,
    coordinates: str | Path | None = None,
    opened: Iterable[str] = (),
    rating_a: float = math.nan,
) -> PhaseFeeder:
    """Feeder by phases of an OpenDSS script, with the taps and capacitors of its own solution.

    Needs the extra `power`. Names come in lower case, as the engine hands them out.

    Parameters
    ----------
    master
        Script that makes the circuit; the files it names are found in any case of letters.
    coordinates
        File of coordinates of buses (bus, x, y), where the script names none.
    opened
        Lines to open first, where the circuit is not radial.
    rating_a
        Rating of lines for which the script states none (the engine's 400 A), A; none by default.

    Raises
    ------
    DataError
        A script that does not compile, an element that cannot be taken, a loop, a bus without a
        path to the source, the engine not installed.
    ConvergenceError
        The engine's solution, or that of its controls, does not converge.
    """
    where = str(master)
    opened = (opened,) if isinstance(opened, str) else tuple(opened)
    with dss_circuit(master, opened) as engine:
        if coordinates is not None:
            engine(f'buscoords "{as_path(coordinates).absolute()}"')
        _check_classes(engine, where)
        circuit = engine.ActiveCircuit
        source, impedance = _source(circuit, where)
        elements = [*impedance, *branch_elements(engine, where), *disabled_switches(engine)]
        tree = _Tree(elements, source, where)
        buses = _buses(circuit, tree)
        branches = _branches(tree, buses, rating_a, where)
        tables: dict[str, Any] = {
            "buses": {
                "bus": list(buses),
                "phases": [_in_order(tree.phases[b].values()) for b in buses],
                **{c: [row[c] for row in buses.values()] for c in ("kv", "x", "y")},
            },
            **branches,
            "loads": load_rows(engine, tree.phases, where),
            "capacitors": capacitor_rows(circuit, tree.phases, where),
            "generators": source_rows(circuit, tree.phases, where),
        }
        name, pu = circuit.Name, circuit.Vsources.pu
    frames = {}
    for table, schema in PHASE_TABLES.items():
        values = tables[table]
        schema.complete(values, len(values[schema.key[0]]))
        frame = schema.frame(values)
        frames[table] = schema.admit(frame, f"{os.path.basename(where)}: {schema.name}")
    feeder = PhaseFeeder(
        name=name,
        root=source[0][0],
        root_voltage=pu,
        source=f"OpenDSS, {os.path.basename(where)}",
        **frames,
    )
    check_phases(feeder, where=where)
    return feeder


def _check_classes(engine: Any, where: str) -> None:
    """Refuse elements that carry power and that this reader does not know."""
    names = engine.ActiveCircuit.AllElementNames
    other = [n for n in names if n.partition(".")[0].lower() not in _TAKEN | _NO_POWER]
    if other:
        raise DataError(
            f"elements of a kind that cannot be taken: {listed(other)}",
            where=where,
            advice="remove them, or replace them by lines, transformers, loads or generators",
        )


def _source(circuit: Any, where: str) -> tuple[list[Node], list[Element]]:
    """Nodes held by the only voltage source, and its impedance unless next to nothing."""
    names = circuit.Vsources.AllNames
    if len(names) > 1:
        raise DataError(
            f"{len(names)} voltage sources: {listed(names)}",
            where=where,
            advice="keep one; describe the others as generators",
        )
    circuit.Vsources.First  # noqa: B018
    element = circuit.ActiveCktElement
    n = element.NumPhases
    bus = element.BusNames[0].partition(".")[0]
    nodes = [(bus, int(k)) for k in list(element.NodeOrder)[:n]]
    y = np.asarray(element.Yprim)
    y = (y if np.iscomplexobj(y) else y.view(complex)).reshape(2 * n, 2 * n)[:n, :n]
    drop = np.abs(np.linalg.inv(y) @ np.asarray(element.Currents).view(complex)[:n]).max()
    if drop < SOURCE_DROP * 1000.0 * circuit.Vsources.BasekV / math.sqrt(3.0):
        return nodes, []
    held = [(f"{bus}_source", k) for _, k in nodes]
    impedance = Element(
        name="source_impedance",
        kind="line",
        ends=(tuple(held), tuple(nodes)),
        pairs=tuple((k, k) for k in range(n)),
        matrix=np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), y),
        amps=math.nan,
        km=0.0,
        is_open=False,
    )
    return held, [impedance]


class _Tree:
    """Elements in the order and the direction in which they are fed, what is not fed left out.

    Attributes
    ----------
    fed : elements away from the source, each with its conductors that carry supply
    open_ : open elements between supplied nodes
    phases : phase of the nodes of every bus
    """

    def __init__(self, elements: Sequence[Element], source: Sequence[Node], where: str) -> None:
        at: dict[Node, list[int]] = defaultdict(list)
        for k, element in enumerate(elements):
            for node in {*element.ends[0], *element.ends[1]}:
                at[node].append(k)
        supplied = _supplied(elements, at, source)
        self.fed: list[tuple[Element, list[int]]] = []
        self.open_ = []
        self.phases: dict[str, dict[int, str]] = defaultdict(dict)
        for bus, number in source:
            self.phases[bus][number] = "abc"[number - 1]
        came: dict[Node, Element | None] = dict.fromkeys(source)
        used: set[int] = set()
        queue = deque(source)
        while queue:
            node = queue.popleft()
            for k in at[node]:
                element = elements[k]
                if k in used or element.is_open:
                    continue
                used.add(k)
                element = element if node in element.ends[0] else element.turned()
                keep = _carrying(element, supplied)
                self.fed.append((element, keep))
                split = len(element.windings) == 3 or "1" in self.phases[node[0]].values()
                new = dict.fromkeys(element.ends[1][j] for j in keep)
                for end in new:
                    if end in came:
                        self._refuse_loop(element, end, came, where)
                    came[end] = element
                    self.phases[end[0]][end[1]] = ("12" if split else "abc")[end[1] - 1]
                    queue.append(end)
        for element in elements:
            if element.is_open and all(any(n in supplied for n in e) for e in element.ends):
                self.open_.append((element, _carrying(element, supplied)))

    @staticmethod
    def _refuse_loop(
        element: Element, end: Node, came: dict[Node, Element | None], where: str
    ) -> None:
        ways = []
        for start in (end, element.ends[0][0]):
            way: list[str] = []
            at: Node | None = start
            while at is not None and (by := came.get(at)) is not None:
                way.append(by.name)
                at = next((n for n in by.ends[0] if n in came), None)
            ways.append(way)
        both = set(ways[0]) & set(ways[1])
        loop = [n for way in ways for n in way if n not in both]
        names = list(dict.fromkeys([element.name, *loop]))
        raise DataError(
            f"closed branches form a loop: {listed(names, 20)}",
            where=where,
            advice="the feeder must be radial: open one of the lines, such as "
            f"read_opendss(..., opened=[{names[0]!r}])",
        )


def _supplied(
    elements: Sequence[Element], at: dict[Node, list[int]], source: Sequence[Node]
) -> set[Node]:
    """Nodes with a path of conductors to the source."""
    seen, queue = set(source), deque(source)
    while queue:
        node = queue.popleft()
        for k in at[node]:
            element = elements[k]
            if element.is_open:
                continue
            for i, j in element.pairs:
                for here, there in ((0, 1), (1, 0)):
                    a, b = (i, j) if here == 0 else (j, i)
                    end = element.ends[there][b]
                    if element.ends[here][a] == node and end not in seen:
                        seen.add(end)
                        queue.append(end)
    return seen


def _carrying(element: Element, supplied: Collection[Node]) -> list[int]:
    """Conductors of a line, or nodes of a transformer's second end, that are supplied."""
    return [
        j
        for j in range(len(element.ends[1]))
        if element.ends[1][j] in supplied
        and any(element.ends[0][i] in supplied for i, b in element.pairs if b == j)
    ]


def _buses(circuit: Any, tree: _Tree) -> dict[str, dict[str, float]]:
    """Nominal voltage and place of the buses, from the source on."""
    rows: dict[str, dict[str, float]] = {}

    def add(bus: str, kv: float) -> None:
        there = circuit.SetActiveBus(bus) >= 0
        active = circuit.ActiveBus
        known = there and active.Coorddefined
        rows[bus] = {
            "kv": (there and active.kVBase) or kv,
            "x": active.x if known else math.nan,
            "y": active.y if known else math.nan,
        }

    circuit.Vsources.First  # noqa: B018
    add(next(iter(tree.phases)), circuit.Vsources.BasekV / math.sqrt(3.0))
    for element, keep in tree.fed:
        if not keep:
            continue
        first, second = (element.ends[e][0][0] for e in (0, 1))
        if second not in rows:
            kv = rows[first]["kv"]
            if element.windings:
                a, b = element.windings[0], element.windings[-1]
                kv *= b.volts / b.tap / (a.volts / a.tap) * (math.sqrt(3.0) if a.delta else 1.0)
            add(second, kv)
    return rows


def _in_order(phases: Iterable[str]) -> str:
    return "".join(sorted(phases))


def _branches(
    tree: _Tree, buses: dict[str, dict[str, float]], rating_a: float, where: str
) -> dict[str, dict[str, list[Any]]]:
    """Tables of branches, conductors and impedances; banks of single phases are one branch."""
    parts: dict[tuple[str, str, bool], list[tuple[Element, Conductors]]] = defaultdict(list)
    for is_open, group in ((False, tree.fed), (True, tree.open_)):
        for element, keep in group:
            if not keep:
                continue
            if element.windings:
                made = transformer_conductors(element, keep, where)
            else:
                made = line_conductors(element, keep)
            key = (element.ends[0][0][0], element.ends[1][0][0], is_open)
            parts[key].append((element, made))
    taken: set[str] = set()
    names = (
        *("branch", "from_bus", "to_bus", "kind"),
        *("length_km", "shunt_from", "floating", "normally_open"),
    )
    branches: dict[str, list[Any]] = {name: [] for name in names}
    rows: list[tuple[Any, ...]] = []
    cells: list[tuple[Any, ...]] = []
    for (first, second, is_open), members in parts.items():
        name = _name_of([e for e, _ in members], taken)
        taken.add(name)
        lead = members[0][0]
        values = (
            *(name, first, second, lead.kind, lead.km),
            *(members[0][1].share, any(c.floating for _, c in members), is_open),
        )
        for column, value in zip(names, values, strict=True):
            branches[column].append(value)
        for element, made in members:
            at = _phases_at(tree, made)
            for k, (begin, end) in enumerate(at):
                kv = buses[first]["kv"] * (math.sqrt(3.0) if len(begin) > 1 else 1.0)
                amps = rating_a if element.amps == DEFAULT_AMPS else element.amps
                kva = (
                    element.windings[0].kva / _phases_of(element) if element.windings else math.nan
                )
                rows.append((name, end, begin, made.turns[k] * kv / buses[second]["kv"], amps, kva))
            ends = [end for _, end in at]
            for k, end in enumerate(ends):
                for m, other in enumerate(ends):
                    z, y = made.z[k, m], made.shunt[k, m] * 1e6
                    if z or y:
                        cells.append((name, end, other, z.real, z.imag, y.real, y.imag))
    return {
        "branches": branches,
        "conductors": _columns(
            rows, ("branch", "phase", "from_phase", "ratio", "rating_a", "rating_kva")
        ),
        "impedances": _columns(
            cells, ("branch", "phase", "other_phase", "r_ohm", "x_ohm", "g_us", "b_us")
        ),
    }


def _phases_of(element: Element) -> int:
    """Conductors among which the rating of a transformer is shared."""
    return len(element.ends[1])


def _phases_at(tree: _Tree, made: Conductors) -> list[tuple[str, str]]:
    """Phase or phases where conductors begin, and phase where they end."""
    return [
        ("".join(tree.phases[b][n] for b, n in begin), tree.phases[end[0]][end[1]])
        for begin, end in zip(made.begins, made.ends, strict=True)
    ]


def _name_of(elements: Sequence[Element], taken: Collection[str]) -> str:
    """Name of a branch of one or more elements: theirs, their bank's, or what they share."""
    if len(elements) == 1:
        names = [elements[0].name]
    else:
        banks = {e.bank for e in elements}
        first, *rest = (e.name for e in elements)
        same = (all(n[k : k + 1] == c for n in rest) for k, c in enumerate(first))
        shared = first[: sum(takewhile(bool, same))].rstrip("_-. ")
        names = [*(banks if len(banks) == 1 else ()), shared]
        names.append("+".join(e.name for e in elements))
    for name in names:
        if name and name not in taken:
            return name
    tail = 2
    while f"{names[-1]}_{tail}" in taken:
        tail += 1
    return f"{names[-1]}_{tail}"


def _columns(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}
