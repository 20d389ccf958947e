"""Linearised DistFlow without losses, single-phase equivalent.

model.md, 3. Real power is in kW, reactive in kvar, squared voltage in per unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from v2geq.data.model.settings import FeederSettings
from v2geq.grid.branch_flow import (
    FlowRows,
    FlowState,
    ac_state,
    end_rows,
    flow_rows,
    heads,
    losses,
    per_kw,
    voltage_rows,
)
from v2geq.grid.dlmp import Duals, PriceParts, parts_of_prices
from v2geq.grid.network import Network
from v2geq.grid.places import Places, bus_places
from v2geq.grid.power_flow import OPERATOR, Binding, Violations
from v2geq.grid.ratings import BINDING, Box, rating
from v2geq.grid.substation import (
    bought_kw,
    purchase_parts,
    state_purchase,
    state_supply,
    supply_results,
)
from v2geq.labelled import Labelled, placed, whole
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LinDistFlow:
    """Power flow by LinDistFlow; see `v2geq.grid.power_flow.PowerFlow`.

    Attributes
    ----------
    power_scale, price_scale : kW and $/kWh that powers and prices are measured by
    base : state at which losses are linearised; None for no losses
    curvature : (line,) second derivative of the operator's cost by a flow, $/kW2h, about the base
    """

    network: Network
    power_scale: float
    price_scale: float
    base: FlowState | None = None
    curvature: FloatArray | None = None

    __repr__ = brief

    @property
    def places(self) -> Places:
        """Buses, where energy is traded."""
        return bus_places(self.network.buses)

    @property
    def kvar_places(self) -> IntArray:
        """Positions of buses where reactive power is bought."""
        return self.network.trades_kvar

    @property
    def rating(self) -> Box:
        """The rating of the lines."""
        return rating(self.network.lines.rating_kva, self.network.limits)

    @property
    def _far(self) -> BoolArray:
        """(line,) whether the rating is kept where the line ends: its flow is larger there.

        At the base. Where both ends would need it the smaller flow keeps it by itself, so that
        where the base is the solution both ends do.
        """
        if self.base is None:
            return np.zeros(len(self.network.lines.names), dtype=bool)
        near, far = (self.rating.share(*flow) for flow in self._ends(self.base))
        larger: BoolArray = far > near
        return larger

    def _ends(self, at: FlowState) -> list[tuple[FloatArray, FloatArray]]:
        """Real and reactive flow where lines begin and, with losses, where they end."""
        if self.base is None:
            return [(at.p, at.q)]
        lost = losses(self.network, at)
        return [(at.p, at.q), (at.p - lost[0], at.q - lost[1])]

    @property
    def voltage_scale(self) -> float:
        """Mean drop of squared voltage along a line that carries `power_scale`, pu2.

        At most the range it may have, or one line of many ohms would hide the others; at least
        1e-5, or rounding of voltages near one would show in the scaled residual.
        """
        lines, limits = self.network.lines, self.network.limits
        ohm = float(np.mean(lines.r_ohm + lines.x_ohm)) if lines.names else 0.0
        drop = 2.0 * ohm * self.power_scale / (1000.0 * self.network.base_kv**2)
        return max(min(drop, limits.vmax**2 - limits.vmin**2), 1e-5)

    def state(self, program: Program, reach: float) -> tuple[Variable, Variable, Variable | None]:
        """Add flows, voltages, balances and limits; returns withdrawal, purchase and sale.

        The statement is the same at every bus; that only price differences are determined, and the
        root's is set to zero, is the coupling's business. The root's voltage is fixed by its
        bounds.
        """
        net, limits, buses = self.network, self.network.limits, self.network.buses
        lines, tso, rated = net.lines, net.substation, self.rating
        kw: dict[str, Any] = {"unit": "kW", "scale": self.power_scale}
        kvar: dict[str, Any] = {"unit": "kvar", "scale": self.power_scale}
        pu2: dict[str, Any] = {"unit": "pu2", "scale": self.voltage_scale}
        bus: dict[str, Any] = {"dims": "bus", "labels": buses}
        line: dict[str, Any] = {"dims": "line", "labels": lines.names}
        # on a tree no line carries more than all reactive loads and sources together; sources with
        # limits that stand for none have no use for more than all power there is
        reactive_load = float(np.abs(net.reactive_kvar).sum())
        sources = np.maximum(np.abs(net.reactive_min), np.abs(net.reactive_max))
        sources = np.minimum(sources, reactive_load + reach)
        reactive_reach = reactive_load + float(sources.sum())
        at_root = np.arange(len(buses)) == 0
        withdrawal = program.variable(
            "withdrawal",
            **bus,
            **kw,
            lower=-np.inf,
            reach=reach,
            meaning="net withdrawal from the grid at a bus (W)",
        )
        flow: dict[str, Any] = {**line, "lower": -np.inf}
        p_line = program.variable(
            "p_line", **flow, **kw, reach=rated.reach(reach), meaning="real flow (P)"
        )
        q_line = program.variable(
            "q_line", **flow, **kvar, reach=rated.reach(reactive_reach), meaning="reactive flow (Q)"
        )
        v = program.variable(
            "v_squared",
            **bus,
            **pu2,
            lower=np.where(at_root, limits.root_voltage, limits.vmin) ** 2,
            upper=np.where(at_root, limits.root_voltage, limits.vmax) ** 2,
            start=limits.root_voltage**2,
            meaning="squared voltage (v)",
        )
        purchase, sale, q_tso = state_supply(program, tso, self.power_scale, reach, reactive_reach)
        is_ranged = net.reactive_max > net.reactive_min
        ranged = np.flatnonzero(is_ranged)
        q_source = program.variable(
            "q_source",
            "bus",
            [buses[i] for i in ranged],
            **kvar,
            lower=net.reactive_min[ranged],
            upper=net.reactive_max[ranged],
            reach=reactive_reach,
            meaning="reactive supply of generators, sources and capacitors (q_DG + q_shunt)",
        )
        most = np.maximum(np.abs(net.offered_min), np.abs(net.offered_max))
        bought = state_purchase(program, self.places, self.kvar_places, most)
        real, reactive, voltage = flow_rows(net, self.base)

        def flows(rows: FlowRows) -> dict[Variable, Any]:
            """Terms of rows in flows and voltages."""
            terms = zip((v, p_line, q_line), (rows.v, rows.p, rows.q), strict=True)
            return {variable: term for variable, term in terms if term is not None}

        to_root = placed([0], len(buses))
        supply = {purchase: to_root} if sale is None else {purchase: to_root, sale: -to_root}
        program.equality(
            "balance",
            **bus,
            terms={**flows(real), **supply, withdrawal: -1.0},
            meaning="real inflow and TSO supply equal the withdrawal (mu)",
        )
        program.equality(
            "reactive_balance",
            **bus,
            terms={
                **flows(reactive),
                q_tso: to_root,
                q_source: placed(ranged, len(buses)),
                **({} if bought is None else {bought: placed(self.kvar_places, len(buses))}),
            },
            rhs=net.reactive_kvar - np.where(is_ranged, 0.0, net.reactive_min),
            meaning="reactive inflow and supply equal the reactive load (mu_q)",
        )
        program.equality(
            "voltage_drop",
            **line,
            **pu2,
            terms=flows(voltage),
            meaning="LinDistFlow voltage drop (eta)",
        )
        rated.state(program, p_line, *map(flows, end_rows(net, self.base, self._far)))
        if self.base is not None and self.curvature is not None:
            for variable, at in ((p_line, self.base.p), (q_line, self.base.q)):
                near = Quadratic(-self.curvature * at, 0.5 * self.curvature)
                program.separable_cost(variable, near, term="curvature of losses")
        return withdrawal, purchase, sale

    def within(self, limits: FeederSettings) -> LinDistFlow:
        """The formulation with other limits."""
        return replace(self, network=replace(self.network, limits=limits))

    def rated(self, most: float) -> LinDistFlow:
        """The formulation without ratings above `most`, kVA, which nothing can reach."""
        kva = self.network.lines.rating_kva
        lines = replace(self.network.lines, rating_kva=np.where(kva >= most, np.inf, kva))
        return replace(self, network=replace(self.network, lines=lines))

    @property
    def has_losses(self) -> bool:
        """Whether lines have losses."""
        return self.base is not None

    def lost(self, program: Program) -> tuple[dict[Variable, sp.csr_array], float]:
        """All losses in the operator's variables, and their constant, kW; empty without losses."""
        real, _, _ = flow_rows(self.network, self.base)
        if self.base is None:
            return {}, 0.0
        total = (
            (program[name], -sp.csr_array(rows.sum(axis=0).reshape(1, -1)))
            for name, rows in zip(("p_line", "q_line", "v_squared"), real, strict=True)
            if rows is not None
        )
        return dict(total), 0.0

    def results(self, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
        """Results by energised bus and by line, and those of the substation."""
        net, lines = self.network, self.network.lines
        bus, line, names = ("bus",), ("line",), np.array(self.network.buses)
        # near one a move of the square is twice that of the voltage
        v = _voltage(values)
        slope = sp.csr_array(sp.diags_array(0.5 / np.where(v > 0.0, v, 1.0)))
        squared = {_key("v_squared"): slope}
        yield Labelled("voltage_pu", bus, v, "pu", "voltage", parts=squared)
        yield whole("withdrawal_kw", bus, _key("withdrawal"), values, "kW", "net withdrawal")
        at = placed(np.flatnonzero(net.reactive_max > net.reactive_min), len(net.buses))
        supply = {_key("q_source"): at}
        supply |= purchase_parts(placed(self.kvar_places, len(net.buses)))
        yield Labelled(
            "reactive_supply_kvar",
            bus,
            self.supplied(values) + self.bought(values),
            "kvar",
            "reactive supply by generators, sources and capacitors",
            parts=supply,
        )
        yield Labelled("island", bus, net.island.astype(float), "", "island; 0 has the root")
        yield Labelled("from_bus", line, names[lines.from_bus], "", "bus nearer the root")
        yield Labelled("to_bus", line, names[lines.to_bus], "", "bus farther from the root")
        yield whole("p_kw", line, _key("p_line"), values, "kW", "real flow")
        yield whole("q_kvar", line, _key("q_line"), values, "kvar", "reactive flow")
        if self.base is not None:
            yield Labelled("losses_kw", line, self.losses(values), "kW", "real power lost")
        yield Labelled("loading", line, self._loading(values), "", "apparent flow over rating")
        yield from supply_results(net.substation, values)

    def violations(self, values: Mapping[str, FloatArray]) -> Violations:
        """How far limits are broken."""
        limits, v = self.network.limits, _voltage(values)
        above = [self.rating.excess(*flow) for flow in self._ends(self.flows(values))]
        return Violations(
            max(0.0, float((limits.vmin - v).max()), float((v - limits.vmax).max())),
            float(np.max(above, initial=0.0)),
        )

    def binding(self, values: Mapping[str, FloatArray]) -> Binding:
        """Which limits bind."""
        net, limits = self.network, self.network.limits
        full = self.rating.binds(self._multipliers(values), self.price_scale)
        v = _voltage(values)[1:]
        low, high = v < limits.vmin + BINDING, v > limits.vmax - BINDING
        return Binding(
            tuple(net.lines.names[k] for k in np.flatnonzero(full)),
            tuple(net.buses[1 + i] for i in np.flatnonzero(low)),
            tuple(net.buses[1 + i] for i in np.flatnonzero(high)),
        )

    def import_kw(self, values: Mapping[str, FloatArray]) -> float:
        """Real power bought from the TSO less what is sold to it, kW."""
        return bought_kw(self.network.substation, values)

    def flows(self, values: Mapping[str, FloatArray]) -> FlowState:
        """Flows and voltages."""
        return FlowState(*(_of(values, name) for name in ("p_line", "q_line", "v_squared")))

    def ac(self, values: Mapping[str, FloatArray]) -> FlowState:
        """AC state of the net withdrawals."""
        net, here = self.network, self.flows(values)
        _, reactive, _ = flow_rows(net, self.base)
        terms = zip(reactive, here, strict=True)
        kvar = sum((c @ x for c, x in terms if c is not None), np.zeros(len(net.buses)))
        return ac_state(net, _of(values, "withdrawal"), kvar, here.v[heads(net)], here)

    def supplied(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(bus,) reactive supply of sources, capacitors among them, kvar; not the TSO's."""
        net = self.network
        out = net.reactive_min.copy()
        out[net.reactive_max > net.reactive_min] = _of(values, "q_source")
        return out

    def bought(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(bus,) reactive power bought of players, kvar."""
        n = len(self.network.buses)
        parts = purchase_parts(placed(self.kvar_places, n))
        return sum((part @ values[key] for key, part in parts.items()), np.zeros(n))

    def withdrawn(self, values: Mapping[str, FloatArray]) -> ComplexArray:
        """(bus,) net withdrawal, reactive supply taken off, kVA."""
        out: ComplexArray = _of(values, "withdrawal") + 1j * self.network.reactive_kvar
        out -= 1j * (self.supplied(values) + self.bought(values))
        return out

    def distance(self, values: Mapping[str, FloatArray]) -> tuple[float, float]:
        """Largest distance of flows, kW, and of voltages, pu, from their AC state."""
        return self.flows(values).distance(self.ac(values))

    def moved(self, values: Mapping[str, FloatArray]) -> float:
        """Largest distance of flows from the base, kW."""
        return np.inf if self.base is None else self.flows(values).distance(self.base)[0]

    def settled(self, values: Mapping[str, FloatArray]) -> LinDistFlow:
        """The rows with losses at the point's own flows, where the curvature adds nothing."""
        return replace(self, base=self.flows(values), curvature=None)

    def losses(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Real power lost by line, kW."""
        lost, _ = losses(self.network, self.flows(values))
        return lost if self.base is not None else np.zeros_like(lost)

    def linearised(self, values: Mapping[str, FloatArray], resale: float = 0.0) -> LinDistFlow:
        """The rows with losses at the AC state of a point, and their curvature at its prices.

        The curvature is what the cost gains by the losses' second derivatives in the flows.
        Without it repetition may swap equal supplies for ever; where the point is its own AC state
        it adds nothing.
        """
        net, at = self.network, self.ac(values)
        lines = net.lines
        r, x = per_kw(net)
        real, reactive = (_of(values, k)[lines.to_bus] for k in ("balance", "reactive_balance"))
        real = real + resale
        drop = lines.ratio**2 * (r**2 + x**2) * _of(values, "voltage_drop")
        by_p, by_q = self.rating.pull(self._multipliers(values))
        full = np.where(self._far, r * by_p + x * by_q, 0.0)
        worth = np.maximum(r * real + x * reactive + drop - full, 0.0)
        return replace(self, base=at, curvature=2.0 * worth / at.v[lines.from_bus])

    def dlmp_parts(
        self,
        values: Mapping[str, FloatArray],
        reduced: Mapping[str, FloatArray],
        resale: float = 0.0,
    ) -> PriceParts:
        """Price of real power by bus and its parts; see `PowerFlow.dlmp_parts`."""
        pull = self.rating.pull(self._multipliers(values))
        ends = end_rows(self.network, self.base, self._far)
        # by line: every flow that is limited is one of its own line and of where it begins
        by_p, by_q, by_v = (
            sum(
                (
                    np.asarray(row.sum(axis=1)).ravel() * by
                    for row, by in zip(rows, pull, strict=True)
                    if row is not None
                ),
                np.zeros(len(pull[0])),
            )
            for rows in zip(*ends, strict=True)
        )
        duals = Duals(
            _of(values, "balance") + resale,
            _of(values, "reactive_balance"),
            by_p - _of(reduced, "p_line"),
            by_q - _of(reduced, "q_line"),
            by_v,
            -_of(reduced, "v_squared"),
        )
        return parts_of_prices(self.network, self.base, duals)

    def way(self, values: Mapping[str, FloatArray], bus: str, fee: FloatArray) -> pd.DataFrame:
        """Lines to a bus, with what each adds to the fee.

        From stationarity in a line's real flow: the fee rises by the shadow price of its rating and
        by what its voltage drop costs.
        """
        import pandas as pd

        net, lines, at = self.network, self.network.lines, self.network.way(bus)
        names = np.array(net.buses, dtype=object)
        _, r_rows, _ = voltage_rows(net)
        voltage = -(r_rows.T @ _of(values, "voltage_drop"))
        full, _ = self.rating.pull(self._multipliers(values))
        columns = {
            "from_bus": names[lines.from_bus],
            "to_bus": names[lines.to_bus],
            "p_kw": _of(values, "p_line"),
            "loading": self._loading(values),
            "voltage_pu": _voltage(values)[lines.to_bus],
            "rating_price": full,
            "voltage_price": voltage,
            "fee": fee[lines.to_bus],
        }
        return pd.DataFrame(columns, index=pd.Index(lines.names, name="line")).iloc[at]

    def _loading(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Apparent flow over the rating, by line, at the end where it is larger."""
        flow: FloatArray = np.max([np.hypot(*f) for f in self._ends(self.flows(values))], axis=0)
        return flow / self.network.lines.rating_kva

    def _multipliers(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(line, side) multipliers of the ratings' rows, $/kWh."""
        return self.rating.multipliers(values.get(_key("rating")))


def _key(name: str) -> str:
    return f"{OPERATOR}.{name}"


def _of(values: Mapping[str, FloatArray], name: str) -> FloatArray:
    """One of the power flow's own blocks."""
    return values[_key(name)]


def _voltage(values: Mapping[str, FloatArray]) -> FloatArray:
    """(bus,) voltage, pu; zero where the square is not positive."""
    return np.sqrt(np.maximum(_of(values, "v_squared"), 0.0))
