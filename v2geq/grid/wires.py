"""The conductors of an hour: a feeder by phases, energised, with the places where power is drawn.

A terminal is where something may be connected: a phase of a bus, or two phases where a load is
connected between them. Nodes are phases of buses, references of islands first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import ComplexArray, FloatArray, IntArray
from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.phases import elements, plain_rows
from v2geq.errors import DataError, quoted
from v2geq.grid.ac import PhaseNetwork, phase_network, swept
from v2geq.grid.by_phase import island_feeders
from v2geq.grid.network import Network
from v2geq.grid.places import Places, shares
from v2geq.labelled import placed
from v2geq.show import brief

Connection = tuple[str, str]
"""Bus and phase, or phases."""
CANCEL = 1e-9
"""Sum of loads, as a share of their sizes, below which they cancel."""


@dataclass(frozen=True)
class WireState:
    """An AC state: voltage by node, V; current by conductor, A; power by terminal, kVA."""

    voltage: ComplexArray
    current: ComplexArray
    drawn: ComplexArray

    __repr__ = brief


@dataclass(frozen=True)
class Wires:
    """Energised conductors of all islands and the terminals of their nodes.

    Attributes
    ----------
    network : conductors and nodes, references first; capacitors that are in are among its shunts
    island : (node,) number of the island; line : (conductor,) position of its branch
    kva : (conductor,) rating, inf for none
    terminals : labels; ends : (terminal, node) +1 where it begins, -1 where it ends
    load : (terminal, bus) how the real load of a bus is shared; kvar : reactive load, (terminal,)
    low, high : (node,) range of reactive supply, kvar
    """

    network: PhaseNetwork
    island: IntArray
    line: IntArray
    kva: FloatArray
    terminals: tuple[Connection, ...]
    ends: sp.csr_array
    load: sp.csr_array
    kvar: FloatArray
    low: FloatArray
    high: FloatArray

    __repr__ = brief

    @cached_property
    def nodes(self) -> list[Connection]:
        """Bus and phase of every node."""
        return self.network.nodes.tolist()

    @cached_property
    def conductors(self) -> list[Connection]:
        """Branch and phase of every conductor."""
        return list(plain_rows(self.network.rows, "branch", "phase"))

    @property
    def heads(self) -> int:
        """Number of nodes that are references of islands."""
        return self.network.roots

    def places(self, position: Mapping[str, int]) -> Places:
        """Terminals as places of trade; `position` is that of every bus."""
        phases: dict[str, dict[str, int]] = {}
        for k, (bus, phase) in enumerate(self.nodes):
            phases.setdefault(bus, {})[phase] = k
        even = {
            (k, position[bus]): 1.0 / len(own) for bus, own in phases.items() for k in own.values()
        }
        balanced = shares(even, len(self.terminals), len(position))
        return Places(("bus", "phase"), self.terminals, self.load, balanced, phases)

    @cached_property
    def head_islands(self) -> sp.csr_array:
        """(island, reference node) ones."""
        return placed(self.island[: self.heads], int(self.island.max()) + 1)

    def no_load(self, head_pu: FloatArray) -> WireState:
        """State without load, of the voltage of each island's reference, pu."""
        net = self._fed(head_pu)
        none = np.zeros(len(net.turns), dtype=complex)
        return WireState(net.voltages(none), none, np.zeros(len(self.terminals), dtype=complex))

    def state(self, drawn: ComplexArray, head_pu: FloatArray, start: WireState) -> WireState:
        """AC state of the power drawn by terminal, kVA, less what sources supply.

        Raises
        ------
        ConvergenceError
            Where there is none: more is drawn than the feeder can carry.
        """
        net = self._fed(head_pu)

        def current(voltage: ComplexArray) -> ComplexArray:
            across = self.ends @ voltage
            out: ComplexArray = self.ends.T @ np.conj(1000.0 * drawn / across)
            out += net.shunt @ voltage
            return out

        voltage, amps, _ = swept(net, current, start.voltage, "the market's feeder")
        return WireState(voltage, amps, drawn)

    def _fed(self, head_pu: FloatArray) -> PhaseNetwork:
        net = self.network
        unit = net.source / np.abs(net.source)
        return replace(
            net, source=unit * net.volts[: net.roots] * head_pu[self.island[: net.roots]]
        )


def wires_of(feeder: PhaseFeeder, network: Network) -> Wires:
    """A feeder by phases in an hour; loads by bus are those of the hour's network.

    Raises
    ------
    DataError
        Load at a bus where the feeder by phases has none, or loads by phases that cancel.
    """
    parts = island_feeders(feeder, network, regulators=network.limits.regulators)
    net = joined([phase_network(_bare(part)) for part in parts])
    nodes = list(net.nodes)
    at = {node: k for k, node in enumerate(nodes)}
    island_of = dict(zip(network.buses, network.island.tolist(), strict=True))
    position = network.bus_position
    lines = {name: k for k, name in enumerate(network.lines.names)}
    low, high, shunt = _reactive(feeder, network, net, at)
    terminals, load, kvar = _loads(feeder, network, nodes)
    rows = net.rows
    line = np.array([lines[b] for b in rows["branch"]], dtype=np.int64)
    return Wires(
        network=replace(net, shunt=sp.csr_array(net.shunt + shunt)),
        island=np.array([island_of[bus] for bus, _ in nodes]),
        line=line,
        kva=_ratings(
            rows["kva"].to_numpy(dtype=float) * network.limits.rating_factor,
            line,
            network.lines.rating_kva,
        ),
        terminals=tuple(terminals),
        ends=_ends(terminals, at),
        load=shares(
            {(k, position[bus]): part for (k, bus), part in load.items()},
            len(terminals),
            len(network.buses),
        ),
        kvar=kvar,
        low=low,
        high=high,
    )


def _ratings(own: FloatArray, line: IntArray, whole: FloatArray) -> FloatArray:
    """Rating by conductor: of its branch, in proportion to their own where all have one.

    Where some have one, their own, but no more than an even share.
    """
    total = np.bincount(line, own, minlength=len(whole))
    even = whole / np.bincount(line, minlength=len(whole))
    out: FloatArray = np.where(
        np.isnan(total[line]), np.fmin(own, even[line]), whole[line] * own / total[line]
    )
    return out


def _bare(feeder: PhaseFeeder) -> PhaseFeeder:
    """The feeder without what is connected to it."""
    return replace(
        feeder,
        loads=feeder.loads.iloc[:0],
        capacitors=feeder.capacitors.iloc[:0],
        generators=feeder.generators.iloc[:0],
    )


def joined(networks: Sequence[PhaseNetwork]) -> PhaseNetwork:
    """Networks that are not connected as one, their roots first."""
    if len(networks) == 1:
        return networks[0]
    sizes = [len(n.nodes) for n in networks]
    begin = np.cumsum([0, *sizes[:-1]])
    order = np.concatenate(
        [
            *(b + np.arange(n.roots) for b, n in zip(begin, networks, strict=True)),
            *(b + np.arange(n.roots, k) for b, n, k in zip(begin, networks, sizes, strict=True)),
        ]
    )
    labels = [node for n in networks for node in n.nodes]

    def block(parts: list[sp.csr_array]) -> sp.csr_array:
        return sp.csr_array(sp.block_diag(parts, format="csr"))

    first = networks[0]
    return replace(
        first,
        nodes=pd.MultiIndex.from_tuples([labels[k] for k in order], names=["bus", "phase"]),
        roots=sum(n.roots for n in networks),
        rows=pd.concat([n.rows for n in networks], ignore_index=True),
        begins=block([n.begins for n in networks])[:, order],
        turns=np.concatenate([n.turns for n in networks]),
        z=block([n.z for n in networks]),
        shunt=block([n.shunt for n in networks])[order][:, order],
        volts=np.concatenate([n.volts for n in networks])[order],
        source=np.concatenate([n.source for n in networks]),
    )


def _ends(terminals: Sequence[Connection], at: dict[Connection, int]) -> sp.csr_array:
    """(terminal, node) +1 where it begins, -1 where it ends."""
    entries = [
        (k, at[bus, phase], sign)
        for k, (bus, phases) in enumerate(terminals)
        for phase, sign in zip(phases, (1.0, -1.0), strict=False)
    ]
    row, column, value = zip(*entries, strict=True)
    return sp.csr_array(sp.coo_array((value, (row, column)), shape=(len(terminals), len(at))))


def _loads(
    feeder: PhaseFeeder, network: Network, nodes: list[Connection]
) -> tuple[list[Connection], dict[tuple[int, str], float], FloatArray]:
    """Terminals, shares of the buses' real load by (terminal, bus), and reactive load."""
    alive = set(network.buses)
    kw: dict[Connection, float] = {}
    reactive: dict[Connection, float] = {}
    for bus, phases, connection, p, q in plain_rows(
        feeder.loads, "bus", "phases", "connection", "kw", "kvar"
    ):
        parts = elements(phases, connection)
        for part in parts:
            kw[bus, part] = kw.get((bus, part), 0.0) + p / len(parts)
            reactive[bus, part] = reactive.get((bus, part), 0.0) + q / len(parts)
    known = set(nodes)
    terminals = [*nodes, *(t for t in kw if t[0] in alive and t not in known)]
    at = {t: k for k, t in enumerate(terminals)}
    phases_at: dict[str, list[str]] = {}
    for bus, phase in nodes:
        phases_at.setdefault(bus, []).append(phase)
    sums, kvars = (_by_bus(x, unit, alive, feeder) for x, unit in ((kw, "kW"), (reactive, "kvar")))
    load = {
        (at[bus, part], bus): value / sums[bus]
        for (bus, part), value in kw.items()
        if bus in alive and sums[bus] != 0.0
    }
    # where no load is, as what is balanced
    shared = {bus for _, bus in load}
    for bus in network.buses:
        if bus not in shared:
            load |= {(at[bus, p], bus): 1.0 / len(phases_at[bus]) for p in phases_at[bus]}
    need = dict(zip(network.buses, network.reactive_kvar.tolist(), strict=True))
    kvar = np.zeros(len(terminals))
    for bus, value in need.items():
        if value and not kvars.get(bus):
            raise DataError(
                f"bus {quoted(bus)} has a reactive load of {value:g} kvar, and none by phases",
                where=f"feeder {feeder.name!r}",
                advice="state it in the loads by phases",
            )
    for (bus, part), value in reactive.items():
        if bus in alive and kvars[bus]:
            kvar[at[bus, part]] += need[bus] * value / kvars[bus]
    return terminals, load, kvar


def _by_bus(
    values: dict[Connection, float], unit: str, alive: set[str], feeder: PhaseFeeder
) -> dict[str, float]:
    """Sums by bus, of which the values are shares.

    Raises
    ------
    DataError
        Values that cancel, so that they are shares of nothing.
    """
    out: dict[str, float] = {}
    size: dict[str, float] = {}
    for (bus, _), value in values.items():
        out[bus] = out.get(bus, 0.0) + value
        size[bus] = size.get(bus, 0.0) + abs(value)
    for bus, total in out.items():
        if bus in alive and abs(total) < CANCEL * size[bus]:
            raise DataError(
                f"loads of bus {quoted(bus)} by phases cancel: {size[bus] / 2.0:g} {unit} drawn "
                "and as much supplied",
                where=f"feeder {quoted(feeder.name)}",
                advice="connect what supplies to a bus of its own",
            )
    return out


def _reactive(
    feeder: PhaseFeeder, network: Network, net: PhaseNetwork, at: dict[Connection, int]
) -> tuple[FloatArray, FloatArray, sp.csr_array]:
    """Range of reactive supply by node, kvar, and admittance of capacitors that are in, S.

    What a generator on some phases supplies is shared evenly by these; what is not a capacitor
    either, by the phases of its bus.
    """
    low, high = np.zeros(len(at)), np.zeros(len(at))
    fixed: list[tuple[Connection, float]] = []
    others = {
        bus: (float(a), float(b))
        for bus, a, b in zip(network.buses, network.reactive_min, network.reactive_max, strict=True)
    }
    position, how = network.bus_position, network.limits.capacitors
    banks = feeder.capacitors[feeder.capacitors["closed"]]
    for bus, phases, connection, kvar, kv in plain_rows(
        banks, "bus", "phases", "connection", "kvar", "kv"
    ):
        if how == "none" or bus not in position:
            continue
        is_in = how == "fixed" and network.island[position[bus]] == 0
        a, b = others[bus]
        others[bus] = a - kvar * is_in, b - kvar
        parts = elements(phases, connection)
        if is_in:
            fixed += [((bus, part), kvar / len(parts) / (1000.0 * kv**2)) for part in parts]
            continue
        for phase in phases:
            high[at[bus, phase]] += kvar / len(phases)
    for bus, phases, least, most in network.reactive_on_phases:
        a, b = others[bus]
        others[bus] = a - least, b - most
        for phase in phases:
            if (bus, phase) in at:
                low[at[bus, phase]] += least / len(phases)
                high[at[bus, phase]] += most / len(phases)
    by_bus: dict[str, list[int]] = {}
    for (bus, _), k in at.items():
        by_bus.setdefault(bus, []).append(k)
    for bus, (a, b) in others.items():
        here = by_bus[bus]
        low[here] += a / len(here)
        high[here] += b / len(here)
    if not fixed:
        return low, high, sp.csr_array((len(at), len(at)), dtype=complex)
    ends = _ends([place for place, _ in fixed], at)
    susceptance = sp.diags_array(1j * np.array([s for _, s in fixed]))
    return low, high, sp.csr_array(ends.T @ susceptance @ ends)
