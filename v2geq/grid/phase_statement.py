"""Statement of the power flow by phases: mutual impedances, loads by phase and between phases.

Linearised branch flow by conductor (`v2geq.grid.phase_rows`): at no load, which is LinDistFlow by
phases, or with losses at the AC state of a point. Real power in kW, reactive in kvar, squared
voltage in per unit, angles in radians from those at no load.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.grid import phase_rows
from v2geq.grid.network import Network
from v2geq.grid.phase_rows import PhaseRows, PhaseTerms, complex_power
from v2geq.grid.places import Places
from v2geq.grid.ratings import Box, rating
from v2geq.grid.substation import state_purchase, state_supply
from v2geq.grid.wires import Wires, WireState
from v2geq.labelled import eye, placed
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

if TYPE_CHECKING:
    from v2geq.mcp.block import Label


@dataclass(frozen=True)
class PhaseStatement:
    """Statement of a power flow by phases.

    Attributes
    ----------
    network : the same feeder bus by bus; wires : conductors and terminals
    power_scale, price_scale : kW and $/kWh that powers and prices are measured by
    base : state at which losses are linearised; None for no losses
    curvature : (conductor,) second derivative of the operator's cost by a flow, $/kW2h
    """

    network: Network
    wires: Wires
    power_scale: float
    price_scale: float
    base: WireState | None = None
    curvature: FloatArray | None = None

    __repr__ = brief

    # -- statement --------------------------------------------------------------------------------

    @cached_property
    def places(self) -> Places:
        """Terminals, where energy is traded."""
        return self.wires.places(self.network.bus_position)

    @cached_property
    def kvar_places(self) -> IntArray:
        """Positions of terminals where reactive power is bought of players."""
        buses = {self.network.buses[i] for i in self.network.trades_kvar}
        return np.flatnonzero([bus in buses for bus, _ in self.places.labels])

    @property
    def rating(self) -> Box:
        """The rating of the conductors."""
        return rating(self.wires.kva, self.network.limits)

    @cached_property
    def _no_load(self) -> WireState:
        islands = int(self.network.island.max()) + 1
        return self.wires.no_load(np.full(islands, self.network.limits.root_voltage))

    @cached_property
    def _rows(self) -> PhaseRows:
        at = self._no_load if self.base is None else self.base
        return phase_rows.phase_rows(self.wires, at, losses=self.base is not None)

    @cached_property
    def _far(self) -> BoolArray:
        """(conductor,) whether the rating is kept where it ends: its flow at the base is larger."""
        wires = self.wires
        if self.base is None:
            return np.zeros(len(wires.kva), dtype=bool)
        near = complex_power(wires, self.base)
        end = near - phase_rows.lost_power(wires, self.base)
        larger: BoolArray = self.rating.share(end.real, end.imag) > self.rating.share(
            near.real, near.imag
        )
        return larger

    @cached_property
    def _limited(self) -> tuple[PhaseTerms, PhaseTerms]:
        """Real and reactive flow that a rating limits, at the end where it is larger."""
        m, n = len(self.wires.kva), len(self.wires.nodes)
        one, none, volts = eye(m), sp.csr_array((m, m)), sp.csr_array((m, n))
        near = PhaseTerms(one, none, volts, volts), PhaseTerms(none, one, volts, volts)
        if self.base is None or not (self._far & np.isfinite(self.rating.kva)).any():
            return near
        far = sp.diags_array(self._far.astype(float))
        here = sp.diags_array((~self._far).astype(float))
        ends = phase_rows.far_rows(self.wires, self.base, self._rows)
        real, reactive = (
            PhaseTerms(*(sp.csr_array(here @ a + far @ b) for a, b in zip(x, y, strict=True)))
            for x, y in zip(near, ends, strict=True)
        )
        return real, reactive

    @cached_property
    def _turned(self) -> FloatArray:
        """(node,) angle of the base, from those at no load."""
        if self.base is None:
            return np.zeros(len(self.wires.nodes))
        return np.angle(self.base.voltage / self._no_load.voltage)

    @property
    def voltage_scale(self) -> float:
        """Mean drop of squared voltage along a conductor that carries `power_scale`, pu2.

        At most the range it may have; at least 1e-5, or rounding would show in the residual.
        """
        net, limits = self.wires.network, self.network.limits
        own = np.abs(net.z.diagonal())
        across = np.abs(net.begins @ self._no_load.voltage)
        drop = float(np.mean(2000.0 * own * self.power_scale / across**2)) if len(own) else 0.0
        return max(min(drop, limits.vmax**2 - limits.vmin**2), 1e-5)

    @cached_property
    def _gathered(self) -> sp.csr_array:
        """(row, node) sums the nodes of each reference, which may exchange power between phases."""
        heads, n = self.wires.heads, len(self.wires.nodes)
        inner = sp.eye_array(n - heads)
        return sp.csr_array(sp.block_diag([self.wires.head_islands, inner], format="csr"))

    @cached_property
    def _balances(self) -> tuple[Label, ...]:
        """Labels of the balances: references by all their phases, then nodes."""
        wires = self.wires
        nodes, heads = wires.nodes, wires.heads
        together: dict[int, list[str]] = {}
        bus = {}
        for (name, phase), island in zip(nodes[:heads], wires.island[:heads].tolist(), strict=True):
            together.setdefault(island, []).append(phase)
            bus[island] = name
        return (*((bus[k], "".join(together[k])) for k in sorted(bus)), *nodes[heads:])

    def state(self, program: Program, reach: float) -> tuple[Variable, Variable, Variable | None]:
        """Add flows, voltages, balances and limits; returns withdrawal, purchase and sale.

        At the reference of an island power may pass from phase to phase, as in the transformer of
        a substation or in the inverter that forms the island.
        """
        net, limits, wires, rated = self.network, self.network.limits, self.wires, self.rating
        nodes, heads = wires.nodes, wires.heads
        kw: dict[str, Any] = {"unit": "kW", "scale": self.power_scale}
        kvar: dict[str, Any] = {"unit": "kvar", "scale": self.power_scale}
        pu2: dict[str, Any] = {"unit": "pu2", "scale": self.voltage_scale}
        at_node: dict[str, Any] = {"dims": ("bus", "phase")}
        conductor: dict[str, Any] = {"dims": ("line", "phase"), "labels": wires.conductors}
        sources = np.maximum(np.abs(wires.low), np.abs(wires.high))
        load = float(np.abs(wires.kvar).sum())
        banks = float(np.abs(wires.network.shunt.diagonal().imag @ wires.network.volts**2)) / 1000.0
        kvar_reach = load + banks + float(np.minimum(sources, load + reach).sum())
        withdrawal = program.variable(
            "withdrawal",
            **at_node,
            labels=wires.terminals,
            **kw,
            lower=-np.inf,
            reach=reach,
            meaning="net withdrawal from the grid at a terminal (W)",
        )
        flow: dict[str, Any] = {**conductor, "lower": -np.inf}
        p = program.variable(
            "p_line", **flow, **kw, reach=rated.reach(reach), meaning="real flow (P)"
        )
        q = program.variable(
            "q_line", **flow, **kvar, reach=rated.reach(kvar_reach), meaning="reactive flow (Q)"
        )
        at_root = (np.arange(len(nodes)) < heads) & (wires.island == 0)
        v = program.variable(
            "v_squared",
            **at_node,
            labels=nodes,
            **pu2,
            lower=np.where(at_root, limits.root_voltage, limits.vmin) ** 2,
            upper=np.where(at_root, limits.root_voltage, limits.vmax) ** 2,
            start=phase_rows.squared(wires, self._no_load),
            meaning="squared voltage (v)",
        )
        angle = program.variable(
            "angle",
            **at_node,
            labels=nodes[heads:],
            unit="rad",
            scale=self.voltage_scale,
            lower=-np.inf,
            reach=np.pi,
            meaning="angle of the voltage, from that at no load (theta)",
        )
        supply = state_supply(program, net.substation, self.power_scale, reach, kvar_reach)
        is_ranged = wires.high > wires.low
        ranged = np.flatnonzero(is_ranged)
        q_source = program.variable(
            "q_source",
            **at_node,
            labels=[nodes[k] for k in ranged],
            **kvar,
            lower=wires.low[ranged],
            upper=wires.high[ranged],
            reach=kvar_reach,
            meaning="reactive supply of generators, sources and capacitors (q_DG + q_shunt)",
        )
        most = np.maximum(np.abs(net.offered_min), np.abs(net.offered_max))
        kvar_bought = state_purchase(program, self.places, self.kvar_places, most)
        rows, gather = self._rows, self._gathered
        shares = sp.csr_array(gather @ rows.shares)
        drawn = shares @ (1j * wires.kvar)
        given = gather @ np.where(is_ranged, 0.0, wires.low)

        def terms(part: PhaseTerms, gathered: sp.csr_array | None = None) -> dict[Variable, Any]:
            """Terms of rows in flows and voltages."""
            by_angle = part.angle[:, heads:]
            whole = zip((p, q, v, angle), (part.p, part.q, part.v, by_angle), strict=True)
            return {
                x: matrix if gathered is None else sp.csr_array(gathered @ matrix)
                for x, matrix in whole
            }

        def turned(part: PhaseTerms) -> FloatArray:
            out: FloatArray = part.angle @ self._turned
            return out

        at_kvar = sp.csr_array(sp.csc_array(shares)[:, self.kvar_places])
        to_root = placed([0], gather.shape[0])
        bought = {supply.purchase: to_root}
        if supply.sale is not None:
            bought[supply.sale] = -to_root
        program.equality(
            "balance",
            **at_node,
            labels=self._balances,
            **kw,
            terms={
                **terms(rows.real, gather),
                **bought,
                withdrawal: -sp.csr_array(shares.real),
                **({} if kvar_bought is None else {kvar_bought: -at_kvar.imag}),
            },
            rhs=drawn.real + gather @ turned(rows.real),
            meaning="real inflow and TSO supply equal the withdrawal (mu)",
        )
        program.equality(
            "reactive_balance",
            **at_node,
            labels=self._balances,
            **kvar,
            terms={
                **terms(rows.reactive, gather),
                supply.reactive: to_root,
                q_source: sp.csr_array(gather @ placed(ranged, len(nodes))),
                withdrawal: -sp.csr_array(shares.imag),
                **({} if kvar_bought is None else {kvar_bought: at_kvar.real}),
            },
            rhs=drawn.imag - given + gather @ turned(rows.reactive),
            meaning="reactive inflow and supply equal the reactive load (mu_q)",
        )
        program.equality(
            "voltage_drop",
            **conductor,
            **pu2,
            terms=terms(rows.voltage),
            rhs=turned(rows.voltage),
            meaning="voltage drop along a conductor (eta)",
        )
        program.equality(
            "angle_drop",
            **conductor,
            unit="rad",
            terms=terms(rows.angle),
            rhs=turned(rows.angle),
            meaning="angle along a conductor (zeta)",
        )
        self._level_heads(program, v, pu2)
        limited = [terms(part) for part in self._limited]
        constant = -turned(self._limited[0]), -turned(self._limited[1])
        rated.state(program, p, *limited, given=constant)
        if self.base is not None and self.curvature is not None:
            power = complex_power(wires, self.base)
            for variable, at in ((p, power.real), (q, power.imag)):
                near = Quadratic(-self.curvature * at, 0.5 * self.curvature)
                program.separable_cost(variable, near, term="curvature of losses")
        return withdrawal, supply.purchase, supply.sale

    def _level_heads(self, program: Program, v: Variable, pu2: dict[str, Any]) -> None:
        """The phases of a reference other than the root have one voltage."""
        island = self.wires.island[: self.wires.heads]
        pairs = [
            (k, k + 1)
            for k in range(self.wires.heads - 1)
            if island[k] == island[k + 1] and island[k] > 0
        ]
        if not pairs:
            return
        nodes = self.wires.nodes
        first, second = (placed([p[k] for p in pairs], len(nodes)).T for k in (0, 1))
        program.equality(
            "reference_voltage",
            ("bus", "phase"),
            [nodes[b] for _, b in pairs],
            **pu2,
            terms={v: sp.csr_array(second - first)},
            meaning="the phases of an island's reference have one voltage",
        )

    @property
    def has_losses(self) -> bool:
        """Whether conductors have losses."""
        return self.base is not None

    def lost(self, program: Program) -> tuple[dict[Variable, sp.csr_array], float]:
        """All losses in the variables of the operator's program, and their constant, kW."""
        if self.base is None:
            return {}, 0.0
        real = self._rows.real
        total = {
            name: -sp.csr_array(np.asarray(part.sum(axis=0)).reshape(1, -1))
            for name, part in zip(
                ("p_line", "q_line", "v_squared", "angle"),
                (real.p, real.q, real.v, real.angle[:, self.wires.heads :]),
                strict=True,
            )
        }
        return {program[name]: part for name, part in total.items()}, float(
            real.angle.sum(axis=0) @ self._turned
        )
