"""Branches of a compiled OpenDSS circuit by conductor, from the engine's own matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from v2geq.arrays import ComplexArray, FloatArray
from v2geq.errors import DataError, quoted
from v2geq.show import brief

Node = tuple[str, int]
"""Bus and number of a node there; number 0 is earth."""

DEFAULT_AMPS = 400.0
"""Rating the engine gives a line that states none, A."""
NEAR_ZERO_OHM = 1e-5
"""Lines below it are switches."""
_SHUNT = 1e-5
"""Shunts of transformers below it (pu of the rating) only keep the engine's matrix regular."""
_KM = {1: 1.609344, 2: 0.3048, 3: 1.0, 4: 1e-3, 5: 0.3048e-3, 6: 2.54e-5, 7: 1e-5, 8: 1e-6}
"""Kilometres in the engine's units of length; 0 is a unit nobody told."""


@dataclass(frozen=True)
class Winding:
    """A winding of a transformer: volts across a coil at its tap, whether in delta, and its tap."""

    volts: float
    delta: bool
    tap: float
    kva: float


@dataclass(frozen=True)
class Element:
    """A branch as the engine has it: nodes by conductor at its two ends, and its matrix.

    Attributes
    ----------
    ends : nodes of either end, by conductor (of transformers by node, without earth)
    pairs : positions of conductors at either end that belong together
    matrix : nodal admittance over the nodes of both ends, S
    amps : rating of a line; windings : of a transformer, those of the second end last
    """

    name: str
    kind: str
    ends: tuple[tuple[Node, ...], tuple[Node, ...]]
    pairs: tuple[tuple[int, int], ...]
    matrix: ComplexArray
    amps: float
    km: float
    is_open: bool
    windings: tuple[Winding, ...] = ()
    bank: str = ""

    __repr__ = brief

    def turned(self) -> Element:
        """The element read from its other end."""
        n = len(self.ends[0])
        order = np.r_[n : len(self.matrix), :n]
        return Element(
            self.name,
            self.kind,
            self.ends[::-1],
            tuple((b, a) for a, b in self.pairs),
            self.matrix[np.ix_(order, order)],
            self.amps,
            self.km,
            self.is_open,
            self.windings[::-1],
            self.bank,
        )


@dataclass(frozen=True)
class Conductors:
    """What a branch is by conductor: nodes, volts by volts, ohm at the sending end, siemens.

    Attributes
    ----------
    begins : (node,) or (node, node) a conductor begins at or between; ends : node it ends at
    turns : V_to / V_from at no load
    z : (row, row) ohm; shunt : (row, row) S, of which `share` is at the sending end
    """

    begins: tuple[tuple[Node, ...], ...]
    ends: tuple[Node, ...]
    turns: FloatArray
    z: ComplexArray
    shunt: ComplexArray
    floating: bool = False
    share: float = 0.5

    __repr__ = brief


def branch_elements(engine: Any, where: str) -> Iterator[Element]:
    """Lines, series reactors and transformers of the solved circuit."""
    circuit = engine.ActiveCircuit
    regulated = set()
    for _ in circuit.RegControls:
        regulated.add(circuit.RegControls.Transformer)
    for _ in circuit.Lines:
        yield _line(circuit, circuit.Lines, where)
    for _ in circuit.Reactors:
        if any(_nodes(circuit.ActiveCktElement)[1]):
            yield _line(circuit, None, where)
    for _ in circuit.Transformers:
        if not _opened(circuit.ActiveCktElement, where):
            yield _transformer(circuit, circuit.Transformers, regulated, where)


def _line(circuit: Any, lines: Any, where: str) -> Element:
    """The active line, or series reactor."""
    element = circuit.ActiveCktElement
    name = element.Name.partition(".")[2]
    buses = [b.partition(".")[0] for b in element.BusNames]
    first, second = _nodes(element)
    if max(*first, *second) > 3 or not min(*first, *second):
        raise DataError(
            f"{element.Name} has a conductor at nodes {quoted((*first, *second))}: a neutral",
            where=where,
            advice="reduce its matrices to the phases (Kron) first",
        )
    n = len(first)
    is_open = _opened(element, where)
    matrix = _series(lines, n) if is_open and lines is not None else _matrix(element)
    least = float(np.abs(matrix[:n, n:].diagonal()).min())
    switch = lines is not None and (lines.IsSwitch or least * NEAR_ZERO_OHM > 1.0)
    return Element(
        name=name,
        kind="switch" if switch else "line",
        ends=(tuple((buses[0], k) for k in first), tuple((buses[1], k) for k in second)),
        pairs=tuple((k, k) for k in range(n)),
        matrix=matrix,
        # the engine computes one for reactors from a power that nobody stated
        amps=element.NormalAmps if lines is not None else np.nan,
        km=lines.Length * _KM.get(int(lines.Units), 0.0) if lines is not None else 0.0,
        is_open=is_open,
    )


def _opened(element: Any, where: str) -> bool:
    """Whether an end of the active element is open in all its phases."""
    for terminal in range(1, element.NumTerminals + 1):
        if not element.IsOpen(terminal, 0):
            continue
        if all(element.IsOpen(terminal, k) for k in range(1, element.NumPhases + 1)):
            return True
        raise DataError(
            f"{element.Name} is open in some of its phases",
            where=where,
            advice="open all, or describe its phases as lines of their own",
        )
    return False


def _series(lines: Any, n: int) -> ComplexArray:
    """Matrix of the active line were it closed, without charging."""
    z = (np.asarray(lines.Rmatrix) + 1j * np.asarray(lines.Xmatrix)).reshape(n, n) * lines.Length
    out: ComplexArray = np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.linalg.inv(z))
    return out


def disabled_switches(engine: Any) -> Iterator[Element]:
    """Switches that are disabled, as open ones."""
    lines = engine.ActiveCircuit.Lines
    enabled = {lines.Name.lower() for _ in lines}

    def told(name: str, what: str) -> str:
        engine.Text.Command = f"? line.{name}.{what}"
        return str(engine.Text.Result)

    for name in lines.AllNames:
        if name.lower() in enabled or not told(name, "switch").lower().startswith(("y", "t")):
            continue
        bus1, bus2, phases, r, x, length, amps = (
            told(name, what)
            for what in ("bus1", "bus2", "phases", "r1", "x1", "length", "normamps")
        )
        n = int(phases)
        ends = []
        for text in (bus1, bus2):
            bus, *given = text.lower().split(".")
            numbers = [int(k) for k in given] + list(range(len(given) + 1, n + 1))
            ends.append(tuple((bus, k) for k in numbers[:n]))
        z = max(abs(complex(float(r), float(x))) * float(length), 1e-9)
        y = np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.eye(n) / z).astype(complex)
        yield Element(
            name=name.lower(),
            kind="switch",
            ends=(ends[0], ends[1]),
            pairs=tuple((k, k) for k in range(n)),
            matrix=y,
            amps=float(amps),
            km=0.0,
            is_open=True,
        )


def _transformer(circuit: Any, iface: Any, regulated: set[str], where: str) -> Element:
    """The active transformer, over the nodes of its two buses."""
    element = circuit.ActiveCktElement
    name, phases = iface.Name, element.NumPhases
    buses = [b.partition(".")[0] for b in element.BusNames]
    windings = []
    for k in range(iface.NumWindings):
        iface.Wdg = k + 1
        across = 1.0 if phases == 1 or iface.IsDelta else np.sqrt(3.0)
        if not iface.MinTap - 1e-9 <= iface.Tap <= iface.MaxTap + 1e-9:
            raise DataError(
                f"tap {iface.Tap:g} of winding {k + 1} of transformer {quoted(name)} is out of "
                f"range, {iface.MinTap:g} to {iface.MaxTap:g}",
                where=where,
                advice="change tap, MinTap or MaxTap",
            )
        volts = 1000.0 * iface.kV / across * iface.Tap
        windings.append(Winding(volts, bool(iface.IsDelta), iface.Tap, iface.kVA))
    if len(set(buses[1:])) > 1 or len(buses) > 3:
        raise DataError(
            f"transformer {quoted(name)} joins more than two buses ({', '.join(buses)})",
            where=where,
            advice="split it into transformers of two windings",
        )
    full = _matrix(element)
    terminals = _nodes(element)
    flat = [(0 if t == 0 else 1, k) for t, nodes in enumerate(terminals) for k in nodes]
    ends = [tuple(dict.fromkeys(k for e, k in flat if e == side and k)) for side in (0, 1)]
    if max((*ends[0], *ends[1]), default=9) > 3:
        raise DataError(
            f"transformer {quoted(name)} has a neutral at a node of its own",
            where=where,
            advice="ground it (node 0)",
        )
    at = {(side, k): i for i, (side, k) in enumerate((s, k) for s in (0, 1) for k in ends[s])}
    gather = np.zeros((len(flat), len(at)))
    for i, node in enumerate(flat):
        if node in at:
            gather[i, at[node]] = 1.0
    n = len(ends[0])
    matrix = gather.T @ full @ gather
    across = np.abs(matrix[:n, n:])
    near = across > 1e-6 * across.max()
    return Element(
        name=name,
        kind="regulator" if name in regulated else "transformer",
        ends=(tuple((buses[0], k) for k in ends[0]), tuple((buses[1], k) for k in ends[1])),
        pairs=tuple((int(i), int(j)) for i, j in np.argwhere(near)),
        matrix=matrix,
        amps=np.nan,
        km=0.0,
        is_open=False,
        windings=tuple(windings),
        bank=_bank(element),
    )


def _bank(element: Any) -> str:
    return str(element.Properties("bank").Val).lower()


def _nodes(element: Any) -> list[list[int]]:
    """Node numbers by terminal and conductor; lines on bus.3 alone may have (3, 2, 3)."""
    order = np.asarray(element.NodeOrder).reshape(element.NumTerminals, -1)
    return [[int(k) for k in terminal] for terminal in order]


def _matrix(element: Any) -> ComplexArray:
    values = np.asarray(element.Yprim)
    values = values if np.iscomplexobj(values) else values.view(complex)
    n = round(np.sqrt(values.size))
    out: ComplexArray = values.reshape(n, n).copy()
    return out


def line_conductors(element: Element, keep: Sequence[int]) -> Conductors:
    """Conductors `keep` of a line; those between the same nodes are one."""
    n = len(element.ends[0])
    own, across = element.matrix[:n, :n], element.matrix[:n, n:]
    z: Any = -np.linalg.inv(across)[np.ix_(keep, keep)]
    shunt = 2.0 * (own + across)[np.ix_(keep, keep)]
    begins, ends = ([element.ends[e][k] for k in keep] for e in (0, 1))
    rows = list(dict.fromkeys(zip(begins, ends, strict=True)))
    if len(rows) < len(keep):
        gather = np.array(
            [[float(row == pair) for row in rows] for pair in zip(begins, ends, strict=True)]
        )
        z = np.asarray(np.linalg.inv(gather.T @ np.linalg.inv(z) @ gather), dtype=complex)
        shunt = gather.T @ shunt @ gather
    return Conductors(
        begins=tuple((b,) for b, _ in rows),
        ends=tuple(e for _, e in rows),
        turns=np.ones(len(rows)),
        z=z + 0.0,  # no negative zero
        # beside the series admittance of a switch only rounding is left
        shunt=np.where(np.abs(shunt) > 1e-12 * np.abs(own).max(), shunt.imag * 1j, 0.0),
    )


def transformer_conductors(element: Element, keep: Sequence[int], where: str) -> Conductors:
    """Conductors of a transformer that end in the nodes `keep` of its second end."""
    n = len(element.ends[0])
    first, last = element.windings[0], element.windings[-1]
    own, across, back = (
        element.matrix[n:, n:],
        element.matrix[n:, :n],
        element.matrix[:n, n:],
    )
    a = last.volts / first.volts
    if first.delta and last.delta and n == 3 == len(own):
        # in delta a phase has two thirds of the three impedances' admittance
        y = -1.5 * back[0, 0] * a
        ends = np.array([1.5 * element.matrix[0, 0] - y, 1.5 * own[0, 0] - y / a**2])
        shunt, share = _no_load(ends[:1], ends[1:], a, element)
        return Conductors(
            begins=tuple((node,) for node in element.ends[0]),
            ends=element.ends[1],
            turns=np.full(3, a),
            z=np.eye(3) / y,
            shunt=np.eye(3) * shunt,
            floating=True,
            share=share,
        )
    if not last.delta or len(own) < 3:
        seen = -np.linalg.solve(own, across).real / a
        plain = np.rint(seen)
        if np.abs(seen - plain).max() < 0.05 and (np.abs(plain).sum(axis=1) >= 1).all():
            return _by_row(element, plain, a, own, back, keep)
    raise DataError(
        f"transformer {quoted(element.name)} has a connection that cannot be taken by phases",
        where=where,
        advice="supported are wye-wye, delta-wye, delta-delta and centre-tapped ones",
    )


def _by_row(
    element: Element,
    pattern: FloatArray,
    a: float,
    own: ComplexArray,
    back: ComplexArray,
    keep: Sequence[int],
) -> Conductors:
    """Rows whose voltage at no load is `a` times a phase of the first end or between two."""
    begins: list[tuple[Node, ...]] = []
    turns: list[float] = []
    plus: list[int] = []
    for row in pattern:
        there = [int(i) for i in np.argsort(-row, kind="stable") if row[i]]
        between = tuple(element.ends[0][i] for i in there)
        sign = 1.0 if len(there) > 1 else float(row[there[0]])
        if between[::-1] in begins:
            between, there, sign = between[::-1], there[::-1], -sign if len(there) > 1 else sign
        begins.append(between)
        turns.append(a * sign)
        plus.append(there[0])
    t = np.array(turns)
    y = t[:, None] * own * t
    for k, p in enumerate(plus):
        same = [m for m, between in enumerate(begins) if between == begins[k] and m != k]
        y[k, k] = -back[p, k] * t[k] - y[same, k].sum()
    # no-load losses are at one of the ends
    n = len(element.ends[0])
    ends = [tuple(element.ends[0].index(node) for node in between) for between in begins]
    starts = np.array([[(i == e[0]) - 1.0 * (i in e[1:]) for i in range(n)] for e in ends])
    left = element.matrix[:n, :n] - starts.T @ y @ starts
    before = np.array([-left[e] if len(e) > 1 else left[e[0], e[0]] for e in ends])
    before /= np.array([begins.count(between) for between in begins])
    after = own.diagonal() - y.diagonal() / t**2
    shunt, share = _no_load(before, after, a, element)
    rows = list(keep)
    return Conductors(
        begins=tuple(begins[k] for k in rows),
        ends=tuple(element.ends[1][k] for k in rows),
        turns=t[rows],
        z=np.linalg.inv(y)[np.ix_(rows, rows)],
        shunt=np.diag(shunt[rows]),
        share=share,
    )


def _no_load(
    before: ComplexArray, after: ComplexArray, a: float, element: Element
) -> tuple[ComplexArray, float]:
    """Shunts of no-load losses at the end that has them, and their share at the sending one."""
    at_start = bool(np.abs(before).max() > np.abs(after).max() * a**2)
    rest, winding = (before, element.windings[0]) if at_start else (after, element.windings[-1])
    least = _SHUNT * 1000.0 * winding.kva / winding.volts**2
    return np.where(np.abs(rest) > least, rest, 0.0), float(at_start)
