"""The AC state of a feeder that serves what a market has traded, by the sweep of this package.

By phases where the feeder has them: load by bus is shared as the loads by phases say, all else as
its phases say or evenly by those of its bus. Each island's reference bus holds its voltage and
supplies what is missing, losses among it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import ComplexArray, FloatArray
from v2geq.data.checks.agreement import check_agreement
from v2geq.data.model.feeder import Feeder
from v2geq.errors import DataError
from v2geq.grid.branch_flow import heads, losses
from v2geq.grid.lindistflow import LinDistFlow
from v2geq.grid.phase_rows import lost_by_line
from v2geq.grid.power_flow import PowerFlow
from v2geq.grid.three_phase import ThreePhase
from v2geq.grid.wires import Connection, Wires, wires_of
from v2geq.labelled import placed
from v2geq.show import brief

SWEEP = "sweep"
"""Name of the engine."""


class Traded(NamedTuple):
    """What is connected somewhere: position and name of its bus, its phases ('' for all), kW."""

    at: Sequence[int]
    buses: Sequence[str]
    phases: Sequence[str]
    kw: FloatArray

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True)
class ACState:
    """A solved AC power flow.

    Attributes
    ----------
    nodes : (bus, phase), phase '' where phases are not told apart; voltage_pu : (node,)
    conductors : (line, phase); power : (conductor,) kVA at the sending end; loading : (conductor,)
        of its rating, nan where it has none
    lost_kw : (line,) real power lost
    head_kva : (island,) what its reference supplies, kVA
    engine : that found it; circuit : what it was given, in words
    """

    nodes: Sequence[Connection]
    voltage_pu: FloatArray
    conductors: Sequence[Connection]
    power: ComplexArray
    loading: FloatArray
    lost_kw: FloatArray
    head_kva: ComplexArray
    engine: str
    circuit: str

    __repr__ = brief


@dataclass(frozen=True)
class Injections:
    """Conductors of a feeder by phases and what is drawn from them.

    Attributes
    ----------
    drawn : (terminal,) power drawn less what sources supply, kVA
    head_pu : (island,) voltage of its reference
    """

    wires: Wires
    drawn: ComplexArray
    head_pu: FloatArray

    __repr__ = brief

    def state(
        self,
        voltage: ComplexArray,
        current: ComplexArray,
        lost_kw: FloatArray,
        head_kva: ComplexArray,
        engine: str,
        circuit: str,
    ) -> ACState:
        """The state of voltages by node, V, and currents by conductor, A."""
        wires, net = self.wires, self.wires.network
        power = (net.begins @ voltage) * np.conj(current) / 1000.0
        amps, kva = (net.rows[c].to_numpy(dtype=float) for c in ("rating_a", "rating_kva"))
        loading = np.fmax(np.abs(current) / amps, np.abs(power) / kva)
        # ratings of branches may have been changed: each conductor's is a share of them
        loading *= net.rows["kva"].to_numpy(dtype=float) / wires.kva
        size = np.abs(voltage) / net.volts
        return ACState(
            wires.nodes,
            size,
            wires.conductors,
            power,
            loading,
            lost_kw,
            head_kva,
            engine,
            circuit,
        )

    def swept(self) -> ACState:
        """The AC state, by the sweep.

        Raises
        ------
        ConvergenceError
            There is none: more is drawn than the feeder can carry.
        """
        wires, net = self.wires, self.wires.network
        at = wires.state(self.drawn, self.head_pu, wires.no_load(self.head_pu))
        leaving = net.begins.T @ at.current + net.shunt @ at.voltage
        leaving += wires.ends.T @ np.conj(1000.0 * self.drawn / (wires.ends @ at.voltage))
        supplied = (at.voltage * np.conj(leaving))[: wires.heads] / 1000.0
        return self.state(
            at.voltage,
            at.current,
            lost_by_line(wires, at),
            wires.head_islands @ supplied,
            SWEEP,
            "taps fixed",
        )


def injections(
    grid: PowerFlow,
    values: Mapping[str, FloatArray],
    feeder: Feeder,
    served_kw: FloatArray,
    traded: Sequence[Traded],
    head_pu: FloatArray,
) -> Injections:
    """What a market's point draws from the conductors of its feeder.

    Parameters
    ----------
    served_kw
        (bus,) load that is served.
    traded
        What has phases of its own; the rest of a bus's withdrawal is shared evenly.

    Raises
    ------
    DataError
        A feeder without phases, or whose phases say something else.
    """
    if isinstance(grid, ThreePhase):
        return Injections(grid.wires, grid.drawn(values), head_pu)
    if not isinstance(grid, LinDistFlow) or feeder.by_phase is None:
        raise DataError(
            "power is not known by phases",
            where=f"feeder {feeder.name!r}",
            advice="read the feeder with read_opendss, or give its folder a sub-folder phases",
        )
    check_agreement(feeder)
    net = grid.network
    wires = wires_of(feeder.by_phase, net)
    places = wires.places(net.bus_position)
    rest = grid.withdrawn(values).real - served_kw
    real = places.load @ served_kw
    for item in traded:
        real += places.of(item.at, item.buses, item.phases) @ item.kw
        rest -= np.bincount(item.at, item.kw, minlength=len(net.buses))
    real += places.balanced @ rest
    reactive = wires.kvar.copy()
    reactive[: len(wires.nodes)] -= _sources(grid, values, wires)
    reactive -= places.balanced @ grid.bought(values)
    return Injections(wires, real + 1j * reactive, head_pu)


def _sources(grid: LinDistFlow, values: Mapping[str, FloatArray], wires: Wires) -> FloatArray:
    """(node,) reactive supply, capacitors among the shunts left out, kvar.

    What a bus supplies above its least is shared as the ranges of its nodes are.
    """
    net = grid.network
    at = placed([net.bus_position[bus] for bus, _ in wires.nodes], len(net.buses))
    above = grid.supplied(values) - net.reactive_min
    ranges = wires.high - wires.low
    whole = at @ ranges
    share = np.divide(above, whole, out=np.zeros_like(above), where=whole > 0.0)
    out: FloatArray = wires.low + ranges * (sp.csr_array(at).T @ share)
    return out


def single_phase_state(grid: LinDistFlow, values: Mapping[str, FloatArray]) -> ACState:
    """The AC state of a feeder whose phases are not told apart."""
    net, at = grid.network, grid.ac(values)
    lost, _ = losses(net, at)
    power = at.p + 1j * at.q
    out = np.zeros(len(net.buses), dtype=complex)
    np.add.at(out, net.lines.from_bus, power)
    root = heads(net)
    drawn = grid.withdrawn(values)[root]
    return ACState(
        [(bus, "") for bus in net.buses],
        np.sqrt(at.v),
        [(line, "") for line in net.lines.names],
        power,
        np.abs(power) / net.lines.rating_kva,
        lost,
        out[root] + drawn,
        SWEEP,
        "single-phase equivalent",
    )
