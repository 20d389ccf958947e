"""AC power flow of a feeder by phases: a backward-forward sweep.

Branches as in `PhaseFeeder`: V_to = ratio (V_from - z I), I / ratio leaves at the receiving end.
Given the currents that nodes draw, one triangular solve gathers them towards the root and one
carries voltages away from it; the two are repeated until voltages stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from v2geq.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from v2geq.data.checks.phases import admit_phases
from v2geq.data.model.feeder import PhaseFeeder, conductor_rows
from v2geq.data.model.phases import elements, phasor, plain_rows
from v2geq.data.model.values import ValueSpec
from v2geq.errors import ConvergenceError
from v2geq.show import brief

TOLERANCE_PU = 1e-10
"""Change of voltages in a sweep at which they count as found, pu."""
SWEEPS = 300
"""Most sweeps."""
_LOST = 10.0
"""Change of voltages in a sweep from which no other leads back, pu."""
_ANY = (1e-6, 1e6)
"""Voltages, pu, within which a load is what it says: any."""

_CONSTANT_POWER = ValueSpec("constant_power", "bool")
_TOLERANCE = ValueSpec("tolerance", "float", "pu", lower=0.0, strict=True, least=0.0)


@dataclass(frozen=True)
class Drawn:
    """What loads, capacitors and generators draw, element by element.

    Attributes
    ----------
    ends : (element, node) sparse +1 where its voltage begins, -1 where it ends
    kva : (element,) at nominal voltage; volts : (element,) that voltage, V
    exponent : (element,) of the voltage: 0 constant power, 1 current, 2 impedance
    low, high : (element,) voltage, V, outside of which it is a constant impedance
    """

    ends: sp.csr_array
    kva: ComplexArray
    volts: FloatArray
    exponent: IntArray
    low: FloatArray
    high: FloatArray

    __repr__ = brief

    def power(self, voltage: ComplexArray) -> ComplexArray:
        """kVA drawn by element at the voltages of the nodes, V."""
        size = np.abs(self.ends @ voltage)
        inside = np.clip(size, self.low, self.high)
        out: ComplexArray = self.kva * (inside / self.volts) ** self.exponent * (size / inside) ** 2
        return out

    def current(self, voltage: ComplexArray) -> ComplexArray:
        """Current drawn by node, A."""
        across = self.ends @ voltage
        out: ComplexArray = self.ends.T @ np.conj(1000.0 * self.power(voltage) / across)
        return out


@dataclass(frozen=True)
class PhaseNetwork:
    """Closed branches of a feeder by conductor, its nodes, and what is drawn there.

    Attributes
    ----------
    nodes : (bus, phase); those of the root first, then that where each conductor ends
    roots : number of the root's nodes
    rows : conductors, see `conductor_rows`
    begins : (conductor, node) sparse, what of the nodes' voltages it begins with
    turns : (conductor,) V_to / V_from at no load, volts by volts; z : (conductor, conductor) ohm
    shunt : (node, node) S; volts : (node,) nominal, V; source : (node of the root,) voltage, V
    """

    nodes: pd.MultiIndex
    roots: int
    rows: pd.DataFrame
    begins: sp.csr_array
    turns: FloatArray
    z: sp.csr_array
    shunt: sp.csr_array
    volts: FloatArray
    source: ComplexArray
    drawn: Drawn

    __repr__ = brief

    @cached_property
    def _factor(self) -> SuperLU:
        """Factor of: voltage where a conductor ends, less what of it comes from other conductors'.

        Its transpose gathers currents.
        """
        ahead = sp.diags_array(self.turns) @ self.begins[:, self.roots :]
        return splu(sp.csc_array(sp.eye_array(len(self.turns)) - ahead))

    def _solve(self, rhs: ComplexArray, trans: str) -> ComplexArray:
        parts = np.ascontiguousarray(rhs).view(float).reshape(-1, 2)
        out: ComplexArray = np.ascontiguousarray(self._factor.solve(parts, trans)).view(complex)
        return out.ravel()

    def currents(self, drawn: ComplexArray) -> ComplexArray:
        """Current of every conductor at its sending end, of what nodes draw, A."""
        return self.turns * self._solve(drawn[self.roots :], "T")

    def voltages(self, current: ComplexArray) -> ComplexArray:
        """Voltage of every node, of the currents of conductors, V."""
        start = self.turns * (self.begins[:, : self.roots] @ self.source - self.z @ current)
        return np.concatenate([self.source, self._solve(start, "N")])


@dataclass(frozen=True)
class PhaseState:
    """A solved power flow.

    Attributes
    ----------
    voltage : (node,) V; current : (conductor,) at the sending end, A; sweeps : how many it took
    """

    network: PhaseNetwork
    voltage: ComplexArray
    current: ComplexArray
    sweeps: int

    def __repr__(self) -> str:
        volts = self.voltages["voltage_pu"]
        return (
            f"<PhaseState: {self.head_kva.real:,.1f} kW from the source, {self.losses_kw:,.1f} kW "
            f"lost, {volts.min():.4f} to {volts.max():.4f} pu>"
        )

    @property
    def power(self) -> ComplexArray:
        """(conductor,) kVA at the sending end."""
        out: ComplexArray = (self.network.begins @ self.voltage) * np.conj(self.current) / 1000.0
        return out

    @property
    def head_kva(self) -> complex:
        """Power that the source supplies, kVA."""
        net = self.network
        leaving = net.begins.T @ self.current + net.shunt @ self.voltage
        leaving += net.drawn.current(self.voltage)
        return complex((net.source * np.conj(leaving[: net.roots])).sum() / 1000.0)

    @property
    def losses_kw(self) -> float:
        """Real power lost in branches, kW."""
        return self.head_kva.real - float(self.network.drawn.power(self.voltage).real.sum())

    @property
    def voltages(self) -> pd.DataFrame:
        """Voltage by bus and phase; columns voltage_pu (line-to-neutral), angle_deg."""
        return pd.DataFrame(
            {
                "voltage_pu": np.abs(self.voltage) / self.network.volts,
                "angle_deg": np.angle(self.voltage, deg=True),
            },
            index=self.network.nodes,
        )

    @property
    def flows(self) -> pd.DataFrame:
        """Flow by conductor at its sending end.

        Columns branch, phase, p_kw, q_kvar, current_a, loading (of its rating, nan where it has
        none).
        """
        rows, power = self.network.rows, self.power
        amps = np.abs(self.current)
        load = np.fmax(amps / rows["rating_a"], np.abs(power) / rows["rating_kva"])
        return pd.DataFrame(
            {
                "branch": rows["branch"],
                "phase": rows["phase"],
                "p_kw": power.real,
                "q_kvar": power.imag,
                "current_a": amps,
                "loading": load,
            }
        ).reset_index(drop=True)


def power_flow(
    feeder: PhaseFeeder, *, constant_power: bool = False, tolerance: float = TOLERANCE_PU
) -> PhaseState:
    """AC power flow of a feeder by phases, taps and capacitors as they are.

    Parameters
    ----------
    constant_power
        Take every load as constant power, as markets do.
    tolerance
        Change of voltages in a sweep at which they count as found, pu.

    Raises
    ------
    DataError
        If it is not a feeder that could be read from tables, or an option is none.
    ConvergenceError
        The sweep finds no voltages: loads are above what the feeder can carry.
    """
    tolerance = _TOLERANCE.check(tolerance, "power_flow")
    constant_power = _CONSTANT_POWER.check(constant_power, "power_flow")
    net = phase_network(admit_phases(feeder), constant_power=constant_power)

    def current(voltage: ComplexArray) -> ComplexArray:
        out: ComplexArray = net.drawn.current(voltage) + net.shunt @ voltage
        return out

    start = net.voltages(np.zeros(len(net.turns), dtype=complex))
    return PhaseState(net, *swept(net, current, start, f"feeder {feeder.name!r}", tolerance))


def swept(
    net: PhaseNetwork,
    drawn: Callable[[ComplexArray], ComplexArray],
    voltage: ComplexArray,
    where: str,
    tolerance: float = TOLERANCE_PU,
) -> tuple[ComplexArray, ComplexArray, int]:
    """Voltage by node and current by conductor where voltages stay, and the sweeps it took.

    Parameters
    ----------
    drawn
        Current that nodes draw, shunts included, A, of their voltages, V.
    voltage
        First voltages.
    where
        Words for errors.

    Raises
    ------
    ConvergenceError
        The sweep finds no voltages.
    """
    for sweep in range(SWEEPS):
        current = net.currents(drawn(voltage))
        new = net.voltages(current)
        gap = np.abs(new - voltage) / net.volts
        voltage, worst = new, float(gap.max(initial=0.0))
        if worst <= tolerance:
            return voltage, current, sweep + 1
        if worst > _LOST:
            break
    bus, phase = net.nodes[int(np.argmax(gap))]
    raise ConvergenceError(
        f"{where}: the AC power flow finds no voltages in {sweep + 1} sweeps, least of all at "
        f"phase {phase} of bus {bus!r}: loads may be above what the feeder can carry"
    )


def phase_network(feeder: PhaseFeeder, *, constant_power: bool = False) -> PhaseNetwork:
    """Closed branches of a feeder by conductor and what is drawn at its nodes."""
    rows = conductor_rows(feeder)
    rows = rows[~rows["normally_open"]].reset_index(drop=True)
    phases = dict(plain_rows(feeder.buses, "", "phases"))
    root = [(feeder.root, str(p)) for p in phases[feeder.root]]
    ends = [*root, *plain_rows(rows, "to_bus", "phase")]
    at = {node: k for k, node in enumerate(ends)}
    kv = dict(plain_rows(feeder.buses, "", "kv"))
    volts = np.array([1000.0 * kv[bus] for bus, _ in ends])
    starts = _ends(plain_rows(rows, "from_bus", "from_phase"), at)
    number = rows.index.to_numpy()
    floating = rows["floating"].to_numpy(dtype=bool)
    begins = _level(floating, rows["branch"]) @ starts
    across = 1000.0 * rows["kv"].to_numpy(dtype=float)
    cells = feeder.impedances
    position = {key: k for key, k in zip(plain_rows(rows, "branch", "phase"), number, strict=True)}
    own, other = (
        np.array(
            [position.get(key, -1) for key in plain_rows(cells, "branch", c)],
            dtype=np.int64,
        )
        for c in ("phase", "other_phase")
    )
    closed = own >= 0
    shape = (len(rows), len(rows))
    series, shunt = (
        sp.csr_array(
            sp.coo_array(
                (
                    scale * (cells[re].to_numpy() + 1j * cells[im].to_numpy())[closed],
                    (own[closed], other[closed]),
                ),
                shape=shape,
            )
        )
        for re, im, scale in (("r_ohm", "x_ohm", 1.0), ("g_us", "b_us", 1e-6))
    )
    there = 1.0 - rows["shunt_from"].to_numpy(dtype=float)
    tail = sp.csr_array(
        sp.coo_array(
            (np.ones(len(rows)), (number, number + len(root))), shape=(len(rows), len(ends))
        )
    )
    here = sp.diags_array(1.0 - there) @ starts
    charging = tail.T @ shunt @ (sp.diags_array(there) @ tail) + starts.T @ shunt @ here
    return PhaseNetwork(
        nodes=pd.MultiIndex.from_tuples(ends, names=["bus", "phase"]),
        roots=len(root),
        rows=rows,
        begins=sp.csr_array(begins),
        turns=rows["ratio"].to_numpy(dtype=float) * volts[len(root) :] / across,
        z=series,
        shunt=sp.csr_array(charging),
        volts=volts,
        source=feeder.root_voltage * volts[: len(root)] * np.array([phasor(p) for _, p in root]),
        drawn=_drawn(feeder, at, constant_power),
    )


def _ends(pairs: Iterable[tuple[Any, ...]], at: Mapping[tuple[Any, ...], int]) -> sp.csr_array:
    """(pair, node) +1 at the first phase of a bus and -1 at the second, if there is one."""
    row, column, value = [], [], []
    count = 0
    for k, (bus, phases) in enumerate(pairs):
        count = k + 1
        for phase, sign in zip(phases, (1.0, -1.0), strict=False):
            row.append(k)
            column.append(at[bus, phase])
            value.append(sign)
    return sp.csr_array(sp.coo_array((value, (row, column)), shape=(count, len(at))))


def _level(floating: BoolArray, branch: pd.Series[Any]) -> sp.csr_array:
    """(conductor, conductor) that takes the mean from conductors of branches without neutral."""
    n = len(floating)
    code, known = pd.factorize(branch)
    shape = (n, len(known))
    member = sp.csr_array(sp.coo_array((floating * 1.0, (np.arange(n), code)), shape=shape))
    share = sp.diags_array(1.0 / np.maximum(member.sum(axis=0), 1.0))
    return sp.csr_array(sp.eye_array(n) - member @ share @ member.T)


def _drawn(feeder: PhaseFeeder, at: Mapping[tuple[Any, ...], int], constant_power: bool) -> Drawn:
    """Elements of loads, capacitors that are in, and generators."""
    exponents = {"power": 0, "current": 1, "impedance": 2}
    ends: list[tuple[str, str]] = []
    values: list[tuple[complex, float, int, float, float]] = []
    where = ("bus", "phases", "connection")
    loads = plain_rows(feeder.loads, *where, "model", "kw", "kvar", "kv", "vmin_pu", "vmax_pu")
    for *place, model, kw, kvar, kv, low, high in loads:
        how = (0, *_ANY) if constant_power else (exponents[model], low, high)
        _add(ends, values, place, kw + 1j * kvar, kv, how)
    banks = feeder.capacitors[feeder.capacitors["closed"]]
    for *place, kvar, kv in plain_rows(banks, *where, "kvar", "kv"):
        _add(ends, values, place, -1j * kvar, kv, (2, *_ANY))
    nominal = dict(plain_rows(feeder.buses, "", "kv"))
    for *place, kw, kvar in plain_rows(feeder.generators, *where, "kw", "kvar"):
        _add(ends, values, place, -kw - 1j * kvar, nominal[place[0]], (0, *_ANY))
    volts, low, high = (np.array([v[k] for v in values], dtype=float) for k in (1, 3, 4))
    return Drawn(
        ends=_ends(ends, at),
        kva=np.array([v[0] for v in values], dtype=complex),
        volts=volts,
        exponent=np.array([v[2] for v in values], dtype=np.int64),
        low=low * volts,
        high=high * volts,
    )


def _add(
    ends: list[tuple[str, str]],
    values: list[tuple[complex, float, int, float, float]],
    place: Sequence[str],
    kva: complex,
    kv: float,
    how: tuple[int, float, float],
) -> None:
    """The elements of a load, capacitor or generator, each with its share."""
    bus, phases, connection = place
    parts = elements(phases, connection)
    for between in parts:
        ends.append((bus, between))
        values.append((kva / len(parts), 1000.0 * kv, *how))
