"""Power flow by phases at a point: its AC state, losses, results and what prices are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import ComplexArray, FloatArray
from v2geq.data.model.settings import FeederSettings
from v2geq.grid import phase_rows
from v2geq.grid.dlmp import Limit, PriceParts, Stationarity, split_prices
from v2geq.grid.phase_rows import complex_power
from v2geq.grid.phase_statement import PhaseStatement
from v2geq.grid.power_flow import OPERATOR, Binding, Violations
from v2geq.grid.ratings import BINDING
from v2geq.grid.substation import bought_kw, purchase_parts, supply_results
from v2geq.grid.wires import WireState
from v2geq.labelled import Labelled, placed, whole

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class ThreePhase(PhaseStatement):
    """Power flow by phases; see `v2geq.grid.power_flow.PowerFlow`."""

    def within(self, limits: FeederSettings) -> Self:
        """The formulation with other limits."""
        return replace(self, network=replace(self.network, limits=limits))

    def rated(self, most: float) -> Self:
        """The formulation without ratings above `most`, kVA, which nothing can reach."""
        kva = self.wires.kva
        return replace(self, wires=replace(self.wires, kva=np.where(kva >= most, np.inf, kva)))

    def point(self, values: Mapping[str, FloatArray]) -> WireState:
        """Voltages, currents and power drawn as the point states them."""
        net = self.wires.network
        turn = np.concatenate([np.zeros(net.roots), _of(values, "angle")])
        at_no_load = self._no_load.voltage / np.abs(self._no_load.voltage)
        size = np.sqrt(np.maximum(_of(values, "v_squared"), 0.0)) * net.volts
        voltage = size * at_no_load * np.exp(1j * turn)
        current = np.conj(1000.0 * self.power(values) / (net.begins @ voltage))
        return WireState(voltage, current, self.drawn(values))

    def drawn(self, values: Mapping[str, FloatArray]) -> ComplexArray:
        """Power drawn by terminal less what sources supply, kVA."""
        wires = self.wires
        out: ComplexArray = _of(values, "withdrawal") + 1j * wires.kvar
        is_ranged = wires.high > wires.low
        supplied = np.where(is_ranged, 0.0, wires.low)
        supplied[is_ranged] = _of(values, "q_source")
        out[: len(supplied)] -= 1j * supplied
        for key, part in purchase_parts(placed(self.kvar_places, len(out))).items():
            out -= 1j * (part @ values[key])
        return out

    def power(self, values: Mapping[str, FloatArray]) -> ComplexArray:
        """Flow by conductor at its sending end, kVA."""
        out: ComplexArray = _of(values, "p_line") + 1j * _of(values, "q_line")
        return out

    def ac(self, values: Mapping[str, FloatArray]) -> WireState:
        """AC state of what is drawn."""
        v = np.sqrt(np.maximum(_of(values, "v_squared")[: self.wires.heads], 0.0))
        islands = self.wires.head_islands
        head_pu = (islands @ v) / islands.sum(axis=1)
        return self.wires.state(self.drawn(values), head_pu, self.point(values))

    def distance(self, values: Mapping[str, FloatArray]) -> tuple[float, float]:
        """Largest distance of flows, kW, and of voltages, pu, from their AC state."""
        at = self.ac(values)
        gap = self.power(values) - complex_power(self.wires, at)
        volts = np.abs(at.voltage) / self.wires.network.volts - self._voltage(values)
        flow = max(np.abs(gap.real).max(initial=0.0), np.abs(gap.imag).max(initial=0.0))
        return float(flow), float(np.abs(volts).max(initial=0.0))

    def moved(self, values: Mapping[str, FloatArray]) -> float:
        """Largest distance of flows from the base, kW."""
        if self.base is None:
            return np.inf
        gap = self.power(values) - complex_power(self.wires, self.base)
        return float(max(np.abs(gap.real).max(initial=0.0), np.abs(gap.imag).max(initial=0.0)))

    def settled(self, values: Mapping[str, FloatArray]) -> Self:
        """The rows with losses at the point's own flows, where the curvature adds nothing."""
        return replace(self, base=self.point(values), curvature=None)

    def linearised(self, values: Mapping[str, FloatArray], resale: float = 0.0) -> Self:
        """The rows with losses at the AC state of a point, and their curvature at its prices.

        The curvature is what each conductor's own losses add; where the point is its own AC state
        it adds nothing.
        """
        net, at = self.wires.network, self.ac(values)
        inner = len(self._gathered.indptr) - 1 - len(net.turns)
        real, reactive = (_of(values, k)[inner:] for k in ("balance", "reactive_balance"))
        real = real + resale
        own = net.z.diagonal()
        sending = np.abs(net.begins @ at.voltage)
        rise = (net.turns * np.abs(own) / net.volts[net.roots :]) ** 2 * 1000.0
        worth = own.real * real + own.imag * reactive + rise * _of(values, "voltage_drop")
        return replace(self, base=at, curvature=2000.0 * np.maximum(worth, 0.0) / sending**2)

    def losses(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Real power lost by line, kW."""
        if self.base is None:
            return np.zeros(len(self.network.lines.names))
        return phase_rows.lost_by_line(self.wires, self.point(values))

    @cached_property
    def _lines(self) -> sp.csr_array:
        """(line, conductor) ones."""
        return placed(self.wires.line, len(self.network.lines.names))

    @cached_property
    def _mean(self) -> sp.csr_array:
        """(bus, node) mean over the phases of a bus."""
        at = self.network.bus_position
        member = placed([at[bus] for bus, _ in self.wires.nodes], len(at))
        return sp.csr_array(sp.diags_array(1.0 / member.sum(axis=1)) @ member)

    def _voltage(self, values: Mapping[str, FloatArray]) -> FloatArray:
        return np.sqrt(np.maximum(_of(values, "v_squared"), 0.0))

    def results(self, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
        """Results by energised bus, line, their phases, and those of the substation."""
        net, wires = self.network, self.wires
        bus, line, names = ("bus",), ("line",), np.array(net.buses)
        v = self._voltage(values)
        slope = sp.csr_array(sp.diags_array(0.5 / np.where(v > 0.0, v, 1.0)))
        nodes, conductors = tuple(wires.nodes), tuple(wires.conductors)
        by_phase: dict[str, Any] = {"labels": nodes, "fill": np.nan}
        mean = {_key("v_squared"): sp.csr_array(self._mean @ slope)}
        text = "voltage, mean over phases"
        yield Labelled("voltage_pu", bus, self._mean @ v, "pu", text, parts=mean)
        yield Labelled(
            "voltage_pu_by_phase",
            ("bus", "phase"),
            v,
            "pu",
            "voltage",
            parts={_key("v_squared"): slope},
            **by_phase,
        )
        at_bus = placed([net.bus_position[b] for b, _ in wires.terminals], len(net.buses))
        text, drawn = "net withdrawal", _of(values, "withdrawal")
        own = {_key("withdrawal"): at_bus}
        yield Labelled("withdrawal_kw", bus, at_bus @ drawn, "kW", text, parts=own)
        ranged = np.flatnonzero(wires.high > wires.low)
        fixed = np.where(wires.high > wires.low, 0.0, wires.low)
        of_bus = placed([net.bus_position[b] for b, _ in wires.nodes], len(net.buses))
        by_source = sp.csr_array(of_bus @ placed(ranged, len(wires.nodes)))
        sold = purchase_parts(sp.csr_array(sp.csc_array(at_bus)[:, self.kvar_places]))
        supply = {_key("q_source"): by_source, **sold}
        yield Labelled(
            "reactive_supply_kvar",
            bus,
            sum((part @ values[key] for key, part in supply.items()), of_bus @ fixed),
            "kvar",
            "reactive supply by generators, sources and switched capacitors",
            parts=supply,
        )
        yield Labelled("island", bus, net.island.astype(float), "", "island; 0 has the root")
        yield Labelled("from_bus", line, names[net.lines.from_bus], "", "bus nearer the root")
        yield Labelled("to_bus", line, names[net.lines.to_bus], "", "bus farther from the root")
        for name, block, unit, text in (
            ("p_kw", "p_line", "kW", "real flow"),
            ("q_kvar", "q_line", "kvar", "reactive flow"),
        ):
            key = _key(block)
            total = self._lines @ values[key]
            yield Labelled(name, line, total, unit, text, parts={key: self._lines})
            phases = ("line", "phase")
            yield whole(
                f"{name}_by_phase", phases, key, values, unit, text, conductors, fill=np.nan
            )
        if self.base is not None:
            yield Labelled("losses_kw", line, self.losses(values), "kW", "real power lost")
        loading = self._loading(values)
        text = "apparent flow over rating"
        most = self._largest(loading)
        yield Labelled("loading", line, most, "", f"{text}, of the phase nearest to it")
        yield Labelled(
            "loading_by_phase", ("line", "phase"), loading, "", text, conductors, fill=np.nan
        )
        yield from supply_results(net.substation, values)

    def _loading(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Apparent flow over the rating, by conductor."""
        out: FloatArray = np.abs(self.power(values)) / self.wires.kva
        return out

    def _largest(self, by_conductor: FloatArray) -> FloatArray:
        """(line,) largest value of its conductors."""
        out = np.full(len(self.network.lines.names), -np.inf)
        np.maximum.at(out, self.wires.line, by_conductor)
        return out

    def violations(self, values: Mapping[str, FloatArray]) -> Violations:
        """How far limits are broken."""
        limits, v = self.network.limits, self._voltage(values)
        flow = self.power(values)
        ends = [flow]
        if self.base is not None:
            ends.append(flow - phase_rows.lost_power(self.wires, self.point(values)))
        above = [self.rating.excess(end.real, end.imag) for end in ends]
        return Violations(
            max(0.0, float((limits.vmin - v).max()), float((v - limits.vmax).max())),
            float(np.max(above, initial=0.0)),
        )

    def binding(self, values: Mapping[str, FloatArray]) -> Binding:
        """Which limits bind, on any phase."""
        limits, wires = self.network.limits, self.wires
        full = self.rating.binds(self._multipliers(values), self.price_scale)
        v = self._voltage(values)
        inner = np.ones(len(v), dtype=bool)
        inner[: wires.heads] = wires.island[: wires.heads] > 0
        low = (v < limits.vmin + BINDING) & inner
        high = (v > limits.vmax - BINDING) & inner

        def named(labels: list[tuple[str, str]], at: Any) -> tuple[str, ...]:
            return tuple(dict.fromkeys(labels[k][0] for k in np.flatnonzero(at)))

        return Binding(
            named(wires.conductors, full), named(wires.nodes, low), named(wires.nodes, high)
        )

    def import_kw(self, values: Mapping[str, FloatArray]) -> float:
        """Real power bought from the TSO less what is sold to it, kW."""
        return bought_kw(self.network.substation, values)

    def _multipliers(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(conductor, side) multipliers of the ratings' rows, $/kWh."""
        return self.rating.multipliers(values.get(_key("rating")))

    def dlmp_parts(
        self,
        values: Mapping[str, FloatArray],
        reduced: Mapping[str, FloatArray],
        resale: float = 0.0,
    ) -> PriceParts:
        """Price of real power by terminal and its parts; see `PowerFlow.dlmp_parts`."""
        wires, rows, gather = self.wires, self._rows, self._gathered
        heads, n, m = wires.heads, len(wires.nodes), len(wires.network.turns)
        islands = gather.shape[0] - (n - heads)
        real, reactive = (sp.csr_array(gather @ r.whole) for r in (rows.real, rows.reactive))
        unknown = np.arange(2 * m + heads, 2 * m + n)
        keep = np.r_[np.arange(2 * m), unknown, n + unknown]

        def of(matrix: sp.csr_array) -> sp.csr_array:
            return sp.csr_array(sp.csc_array(matrix)[:, keep])

        drops = of(rows.voltage.whole), of(rows.angle.whole)
        square = sp.vstack([of(real)[islands:], of(reactive)[islands:], *drops])
        shares = sp.csr_array(gather @ rows.shares)
        inner = shares[islands:]
        none = sp.csr_array((len(wires.terminals), 2 * m))
        island_at = dict(zip(wires.nodes, wires.island.tolist(), strict=True))
        island = np.array([island_at[bus, phases[0]] for bus, phases in wires.terminals])
        mu, mu_q = _of(values, "balance") + resale, _of(values, "reactive_balance")
        price = sp.csr_array(shares.real).T @ mu + sp.csr_array(shares.imag).T @ mu_q
        by_p, by_q = self.rating.pull(self._multipliers(values))
        full = np.flatnonzero((by_p != 0.0) | (by_q != 0.0))
        real_flow, reactive_flow = (of(part.whole)[full] for part in self._limited)
        pull = real_flow.T @ sp.diags_array(by_p[full])
        pull = pull + reactive_flow.T @ sp.diags_array(by_q[full])
        volts = -_of(reduced, "v_squared")[heads:]
        limited = np.flatnonzero(volts != 0.0)

        def entries(at: Any, of: FloatArray) -> sp.csc_array:
            shape = (square.shape[0], len(at))
            return sp.csc_array(sp.coo_array((of, (at, np.arange(len(at)))), shape=shape))

        index = pd.MultiIndex.from_tuples(wires.terminals, names=["bus", "phase"])
        return split_prices(
            Stationarity(
                sp.csc_array(square),
                of(real)[:islands],
                of(reactive)[:islands],
                sp.csr_array(sp.hstack([inner.real.T, inner.imag.T, none])),
                sp.csr_array(shares[:islands].real.T),
                island,
            ),
            pd.Series(price, index=index, name="dlmp"),
            mu[:islands],
            mu_q[:islands],
            Limit(sp.csc_array(pull), tuple(wires.conductors[k][0] for k in full)),
            Limit(
                entries(2 * m + limited, volts[limited]),
                tuple(wires.nodes[heads + k][0] for k in limited),
            ),
        )

    def way(self, values: Mapping[str, FloatArray], bus: str, fee: FloatArray) -> pd.DataFrame:
        """Lines to a bus; what each adds to the fee is told by its parts."""
        net, lines, at = self.network, self.network.lines, self.network.way(bus)
        names = np.array(net.buses, dtype=object)
        columns = {
            "from_bus": names[lines.from_bus],
            "to_bus": names[lines.to_bus],
            "p_kw": self._lines @ _of(values, "p_line"),
            "loading": self._largest(self._loading(values)),
            "voltage_pu": (self._mean @ self._voltage(values))[lines.to_bus],
            "fee": fee[lines.to_bus],
        }
        return pd.DataFrame(columns, index=pd.Index(lines.names, name="line")).iloc[at]


def _key(name: str) -> str:
    return f"{OPERATOR}.{name}"


def _of(values: Mapping[str, FloatArray], name: str) -> FloatArray:
    """One of the power flow's own blocks."""
    return values[_key(name)]
