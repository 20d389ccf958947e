"""The AC state of a feeder by the OpenDSS engine: a circuit of its tables, or the user's script.

Branches become lines of matrices, behind ideal transformers where they turn voltages; what is drawn
becomes loads of constant power, one by terminal; references of islands are sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2geq.arrays import ComplexArray, FloatArray
from v2geq.data.model.feeder import PhaseFeeder, conductor_rows
from v2geq.data.model.phases import ANGLES, elements, plain_rows
from v2geq.data.readers.dss_engine import dss_circuit, dss_commands, dss_solve, dss_version
from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.grid.ac_state import ACState, Injections
from v2geq.grid.by_phase import island_feeders
from v2geq.grid.network import Network
from v2geq.grid.wires import Connection

OPENDSS = "OpenDSS"
"""Name of the engine."""
_NODE = {"0": 0, "a": 1, "b": 2, "c": 3, "1": 1, "2": 2}
_IDEAL = "xhl=1e-4 %loadloss=1e-9 ppm_antifloat=0"
_LEAST_OHM = 1e-6
_HERTZ = 60.0
_ANY = "model=1 vminpu=0.01 vmaxpu=100"


def opendss_state(feeder: PhaseFeeder, network: Network, given: Injections) -> ACState:
    """AC state by OpenDSS of a circuit made of the feeder's tables, its taps fixed.

    Raises
    ------
    DataError
        No engine, or a branch that cannot be stated.
    ConvergenceError
        The engine finds no solution.
    """
    parts = island_feeders(feeder, network, regulators=network.limits.regulators)
    circuit = _Circuit(parts, given)
    capacitors = network.limits.capacitors == "fixed"
    with dss_commands(circuit.commands(capacitors), f"feeder {feeder.name!r}") as engine:
        found, version = circuit.read(engine), dss_version(engine)
    return given.state(*found, f"{OPENDSS} {version}", "circuit of its tables, taps fixed")


class _Circuit:
    """Commands that make a circuit, and where its elements are found again."""

    def __init__(self, parts: Sequence[PhaseFeeder], given: Injections) -> None:
        self.parts, self.given = parts, given
        buses = [bus for part in parts for bus in part.buses.index]
        self.bus = {bus: f"b{k}" for k, bus in enumerate(buses)}
        self.kv = {b: float(kv) for part in parts for b, kv in plain_rows(part.buses, "", "kv")}
        self.lines: dict[str, tuple[str, list[Connection], FloatArray, ComplexArray]] = {}
        self.devices: dict[str, list[str]] = {}

    def commands(self, capacitors: bool) -> Iterator[str]:
        yield f"set defaultbasefrequency={_HERTZ:g}"
        yield from self._sources()
        for part in self.parts:
            yield from self._branches(part)
        banks = self.parts[0].capacitors
        columns = ("bus", "phases", "connection", "kvar", "kv")
        for k, (bus, phases, connection, kvar, kv) in enumerate(
            plain_rows(banks[banks["closed"] & capacitors], *columns)
        ):
            ends = elements(phases, connection)
            for between in ends:
                start, end = (self._at(bus, p) for p in (between[0], between[1:] or "0"))
                yield (
                    f"new capacitor.c{k}{between} phases=1 bus1={start} bus2={end} kv={kv!r} "
                    f"kvar={kvar / len(ends)!r}"
                )
        wires = self.given.wires
        for k, ((bus, between), s) in enumerate(
            zip(wires.terminals, self.given.drawn.tolist(), strict=True)
        ):
            if s:
                yield (
                    f"new load.d{k} phases=1 bus1={self._at(bus, between)} "
                    f"kv={self._across(bus, between)!r} kw={s.real!r} kvar={s.imag!r} {_ANY}"
                )
        yield "set tolerance=1e-9"

    def _at(self, bus: str, between: str) -> str:
        """Connection of a phase ('0' is earth), or both of two."""
        return self.bus[bus] + "".join(f".{_NODE[p]}" for p in between)

    def _across(self, bus: str, between: str) -> float:
        """Nominal kV at a phase, or between two."""
        split = set(between) <= set("12")
        return self.kv[bus] * ((2.0 if split else math.sqrt(3.0)) if len(between) > 1 else 1.0)

    def _sources(self) -> Iterator[str]:
        wires, first = self.given.wires, True
        for k, (bus, phase) in enumerate(wires.nodes[: wires.heads]):
            pu = float(self.given.head_pu[wires.island[k]])
            what = "new circuit.v2geq" if first else f"new vsource.v{k}"
            yield (
                f"{what} phases=1 bus1={self._at(bus, phase)} basekv={self.kv[bus]!r} pu={pu!r} "
                f"angle={ANGLES[phase]:g} r1=0 x1=1e-6 r0=0 x0=1e-6"
            )
            first = False

    def _branches(self, part: PhaseFeeder) -> Iterator[str]:
        rows = conductor_rows(part).groupby("branch", sort=False)
        cells = dict(iter(part.impedances.groupby("branch", sort=False)))
        for name, own in rows:
            yield from self._branch(str(name), own, cells.get(name))

    def _branch(self, name: str, rows: pd.DataFrame, cells: pd.DataFrame | None) -> Iterator[str]:
        """A line, with ideal transformers before it where it turns voltages."""
        at = {phase: k for k, phase in enumerate(rows["phase"])}
        n = len(at)
        z: ComplexArray = np.zeros((n, n), dtype=complex)
        y = z.copy()
        columns = ("phase", "other_phase", "r_ohm", "x_ohm", "g_us", "b_us")
        for a, b, r, x, g, s in plain_rows(cells, *columns) if cells is not None else ():
            z[at[a], at[b]], y[at[a], at[b]] = complex(r, x), complex(g, s) * 1e-6
        first, second = rows["from_bus"].iloc[0], rows["to_bus"].iloc[0]
        begins, phases = rows["from_phase"].tolist(), rows["phase"].tolist()
        turns = rows["ratio"].to_numpy() * self.kv[second] / rows["kv"].to_numpy()
        key = f"e{len(self.lines)}"
        plain = begins == phases and np.all(turns == 1.0) and not rows["floating"].any()
        share = float(rows["shunt_from"].iloc[0])
        charged = plain and share == 0.5 and not y.real.any()
        start, self.devices[name] = self.bus[first], []
        if not plain:
            start = f"m{key}"
            yield from self._ideal(name, key, rows, turns, start)
        tiny = np.abs(z.diagonal()) < _LEAST_OHM
        z = z * np.outer(turns, turns) + np.diag(np.where(tiny, _LEAST_OHM, 0.0))
        nodes = "".join(f".{_NODE[p]}" for p in phases)
        charge = 1e9 * y.imag / (2.0 * math.pi * _HERTZ) if charged else np.zeros((n, n))
        yield (
            f"new line.{key} phases={n} bus1={start}{nodes} bus2={self.bus[second]}{nodes} "
            f"length=1 rmatrix={_lower(z.real)} xmatrix={_lower(z.imag)} cmatrix={_lower(charge)}"
        )
        self.lines[name] = key, [(first, p) for p in phases], turns, 0.5 * y * charged
        if not charged and y.any():
            there: ComplexArray = share * y
            yield from self._shunts(name, f"{key}a", first, begins, there)
            yield from self._shunts(name, f"{key}b", second, phases, y - there)

    def _ideal(
        self, name: str, key: str, rows: pd.DataFrame, turns: FloatArray, middle: str
    ) -> Iterator[str]:
        """Transformers without impedance from the beginning of a branch to a bus of its own."""
        first = rows["from_bus"].iloc[0]
        begins, phases = rows["from_phase"].tolist(), rows["phase"].tolist()
        if rows["floating"].any():
            if len(begins) != 3 or begins != phases or np.ptp(turns) > 1e-9 * abs(turns[0]):
                raise DataError(
                    f"branch {quoted(name)} has no neutral behind it and is none of three phases "
                    "alike",
                    advice="use engine='sweep'",
                )
            # a closed delta keeps the sum of the voltages at nothing
            nodes = "".join(f".{_NODE[p]}" for p in phases)
            kv = self.kv[first] * math.sqrt(3.0)
            self.devices[name].append(f"transformer.{key}")
            yield (
                f"new transformer.{key} phases=3 windings=3 buses=[{self.bus[first]}{nodes}.4 "
                f"{middle}{nodes} t{key}.1.2.3] conns=[wye wye delta] kvs=[{kv!r} "
                f"{abs(float(turns[0])) * kv!r} {kv!r}] kvas=[1000 1000 1000] xht=1e-4 xlt=1e-4 "
                f"{_IDEAL}"
            )
            return
        for k, (between, phase, t) in enumerate(zip(begins, phases, turns.tolist(), strict=True)):
            begin = self._at(first, between)
            end = f"{middle}.{_NODE[phase]}" if t > 0.0 else f"{middle}.0.{_NODE[phase]}"
            kv = self._across(first, between)
            self.devices[name].append(f"transformer.{key}_{k}")
            yield (
                f"new transformer.{key}_{k} phases=1 windings=2 buses=[{begin} {end}] "
                f"conns=[wye wye] kvs=[{kv!r} {abs(t) * kv!r}] kvas=[1000 1000] {_IDEAL}"
            )

    def _shunts(
        self, name: str, key: str, bus: str, ends: Sequence[str], y: ComplexArray
    ) -> Iterator[str]:
        """Admittances between conductors' ends as reactors between phases and to earth."""
        names = sorted({p for between in ends for p in between})
        at = np.zeros((len(ends), len(names)))
        for k, between in enumerate(ends):
            for phase, sign in zip(between, (1.0, -1.0), strict=False):
                at[k, names.index(phase)] = sign
        nodal = at.T @ y @ at
        for i, phase in enumerate(names):
            for j in range(i, len(names)):
                value = complex(nodal[i].sum() if i == j else -nodal[i, j])
                if abs(value) < 1e-12:
                    continue
                ohm, end = 1.0 / value, "0" if i == j else names[j]
                self.devices[name].append(f"reactor.s{key}_{i}_{j}")
                yield (
                    f"new reactor.s{key}_{i}_{j} phases=1 bus1={self._at(bus, phase)} "
                    f"bus2={self._at(bus, end)} r={ohm.real!r} x={ohm.imag!r}"
                )

    def read(self, engine: Any) -> tuple[ComplexArray, ComplexArray, FloatArray, ComplexArray]:
        """Voltages by node, currents by conductor, losses by line, supply by island."""
        wires, circuit = self.given.wires, engine.ActiveCircuit
        volts = _node_voltages(circuit)
        voltage = np.array([volts[self._at(*node)] for node in wires.nodes])
        amps: dict[Connection, complex] = {}
        lost = np.zeros(int(wires.line.max(initial=-1)) + 1)
        line_of = dict(zip((c[0] for c in wires.conductors), wires.line.tolist(), strict=True))
        for name, (key, begins, turns, charging) in self.lines.items():
            for of in (f"line.{key}", *self.devices[name]):
                circuit.SetActiveElement(of)
                lost[line_of[name]] += _losses_kw(circuit)
                if of.startswith("line"):
                    current = _currents(circuit)[: len(begins)] * turns
            if charging.any():
                current = current - charging @ [volts[self._at(*node)] for node in begins]
            amps |= {(name, p): c for (_, p), c in zip(begins, current.tolist(), strict=True)}
        head = np.zeros(len(self.given.head_pu), dtype=complex)
        for k in range(wires.heads):
            circuit.SetActiveElement("vsource.source" if k == 0 else f"vsource.v{k}")
            head[wires.island[k]] -= _powers(circuit)[0]
        return voltage, np.array([amps[c] for c in wires.conductors]), lost, head


def script_state(
    script: str | Path, network: Network, given: Injections, *, controls: bool = False
) -> ACState:
    """AC state by OpenDSS of the user's own script, its loads and supplies replaced.

    Voltage of the source, loads and supplies are the market's; lines, taps and capacitors the
    script's; taps as its own solution has them, or moved by their controls. Capacitors, and taps
    that are not moved, are out where the market has none. Lines are found by name; others have no
    flow.

    Raises
    ------
    DataError
        No engine, a script that does not compile, buses it does not have, islands.
    ConvergenceError
        The engine finds no solution.
    """
    wires, where = given.wires, str(script)
    if network.island.max() > 0 or network.dead_buses:
        raise DataError(
            "a script is solved as it stands, without outages, but the feeder is in islands",
            where=where,
            advice="leave script out: the circuit is then made of the feeder's tables",
        )
    with dss_circuit(script) as engine:
        circuit = engine.ActiveCircuit
        there = set(circuit.AllNodeNames)
        _replace_loads(engine, given, there, fixed=network.limits.capacitors == "fixed")
        if not network.limits.regulators and not controls:
            for _ in _taps(circuit):
                circuit.Transformers.Tap = 1.0
        dss_solve(engine, where, controls=controls)
        volts = _node_voltages(circuit)
        nodes = [f"{bus.lower()}.{_NODE[p]}" for bus, p in wires.nodes]
        voltage = np.array([volts.get(n, complex(math.nan)) for n in nodes])
        known = set(circuit.Lines.AllNames)
        current = np.full(len(wires.conductors), complex(math.nan))
        lost = np.zeros(int(wires.line.max(initial=-1)) + 1)
        rows = wires.network.rows
        begins = dict(zip(rows["branch"], rows["from_bus"], strict=True))
        for k, (name, phase) in enumerate(wires.conductors):
            if name.lower() not in known:
                continue
            circuit.SetActiveElement(f"line.{name}")
            element = circuit.ActiveCktElement
            n = element.NumConductors
            turned = element.BusNames[0].partition(".")[0] != begins[name].lower()
            order = list(element.NodeOrder)[n * turned : n * (turned + 1)]
            if _NODE[phase] in order:
                own = _currents(circuit)[n * turned : n * (turned + 1)]
                current[k] = own[order.index(_NODE[phase])]
            lost[wires.line[k]] = _losses_kw(circuit)
        rest = float(np.asarray(circuit.Losses).ravel()[0]) / 1000.0 - float(lost.sum())
        others = sorted({int(wires.line[k]) for k in np.flatnonzero(np.isnan(current))})
        if others:  # transformers: shared, as the script's names are its own
            lost[others] = rest / len(others)
        head = np.asarray(circuit.TotalPower).ravel().view(complex)[:1]
        taps = ", ".join(f"{t} {tap:.5g}" for t, tap in _taps(circuit))
        version = dss_version(engine)
    out = "" if network.limits.regulators else ", regulators out"
    moved = "controls live" if controls else f"taps as its own solution has them{out}"
    return given.state(
        voltage,
        current,
        lost,
        -head,
        f"{OPENDSS} {version}",
        f"{Path(script).name}, {moved}" + (f": {taps}" if taps else ""),
    )


def _replace_loads(engine: Any, given: Injections, there: set[str], *, fixed: bool) -> None:
    """Switch the script's loads and supplies off and state the market's."""
    circuit, wires = engine.ActiveCircuit, given.wires
    gone = ["load", "generator", "storage", "pvsystem"] + ([] if fixed else ["capacitor"])
    for of_class in gone:
        circuit.SetActiveClass(of_class)
        if circuit.ActiveClass.Count:
            engine(f"batchedit {of_class}..* enabled=no")
    circuit.Vsources.First  # noqa: B018
    circuit.Vsources.pu = float(given.head_pu[0])
    needed = [t for t, s in zip(wires.terminals, given.drawn.tolist(), strict=True) if s]
    missing = [
        f"{b}.{p}" for b, phases in needed for p in phases if f"{b.lower()}.{_NODE[p]}" not in there
    ]
    if missing:
        names = {n.partition(".")[0] for n in there}
        raise DataError(
            f"the script has no {listed(missing)}, where the market has load or supply",
            where=f"circuit {circuit.Name}",
            advice=did_you_mean(missing[0].partition(".")[0], sorted(names)),
        )
    net = wires.network
    kv = dict(zip((b for b, _ in wires.nodes), (net.volts / 1000.0).tolist(), strict=True))
    for k, ((bus, phases), s) in enumerate(zip(wires.terminals, given.drawn.tolist(), strict=True)):
        if s:
            split = set(phases) <= set("12")
            across = kv[bus] * ((2.0 if split else math.sqrt(3.0)) if len(phases) > 1 else 1.0)
            nodes = "".join(f".{_NODE[p]}" for p in phases)
            engine(
                f"new load.v2geq{k} phases=1 bus1={bus}{nodes} kv={across!r} kw={s.real!r} "
                f"kvar={s.imag!r} {_ANY}"
            )


def _taps(circuit: Any) -> Iterator[tuple[str, float]]:
    for _ in circuit.RegControls:
        circuit.Transformers.Name = circuit.RegControls.Transformer
        circuit.Transformers.Wdg = circuit.RegControls.Winding
        yield circuit.Transformers.Name, circuit.Transformers.Tap


def _lower(matrix: FloatArray) -> str:
    """Lower triangle as the engine reads it."""
    rows = (" ".join(repr(v) for v in row[: k + 1]) for k, row in enumerate(matrix.tolist()))
    return "[" + " | ".join(rows) + "]"


def _node_voltages(circuit: Any) -> dict[str, complex]:
    volts = np.asarray(circuit.AllBusVolts)
    volts = volts if np.iscomplexobj(volts) else volts.view(complex)
    return dict(zip(circuit.AllNodeNames, volts.ravel().tolist(), strict=True))


def _currents(circuit: Any) -> ComplexArray:
    amps = np.asarray(circuit.ActiveCktElement.Currents)
    out: ComplexArray = (amps if np.iscomplexobj(amps) else amps.view(complex)).ravel()
    return out


def _powers(circuit: Any) -> ComplexArray:
    kva = np.asarray(circuit.ActiveCktElement.Powers)
    out: ComplexArray = (kva if np.iscomplexobj(kva) else kva.view(complex)).ravel()
    return out


def _losses_kw(circuit: Any) -> float:
    watt = np.asarray(circuit.ActiveCktElement.Losses).ravel()
    return float(watt[0].real) / 1000.0
