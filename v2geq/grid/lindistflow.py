"""Linearised DistFlow without losses, single-phase equivalent.

model.md, 3. Real power is in kW, reactive in kvar, squared voltage in per unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.grid.network import Network
from v2geq.grid.power_flow import OPERATOR, Binding, Violations
from v2geq.grid.ratings import BINDING, Box, rating
from v2geq.labelled import Labelled, column, placed, whole
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

if TYPE_CHECKING:
    import pandas as pd


def voltage_rows(network: Network) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """Matrices (V, R, X), lines x (buses, lines, lines), of V v + R P + X Q = 0.

    v_j - ratio^2 v_i + 2 ratio^2 (r P + x Q) / (1000 kV^2) = 0 for a line from i to j.
    """
    lines = network.lines
    n, k = len(network.buses), np.arange(len(lines.names))
    squared = lines.ratio**2
    ends = np.r_[lines.to_bus, lines.from_bus]
    entries = np.r_[np.ones(len(k)), -squared]
    v = sp.csr_array(sp.coo_array((entries, (np.r_[k, k], ends)), shape=(len(k), n)))
    factor = 2.0 * squared / (1000.0 * network.base_kv**2)
    r, x = (sp.csr_array(sp.diags_array(factor * ohm)) for ohm in (lines.r_ohm, lines.x_ohm))
    return v, r, x


@dataclass(frozen=True)
class LinDistFlow:
    """Power flow by LinDistFlow; see `v2geq.grid.power_flow.PowerFlow`.

    Attributes
    ----------
    power_scale, price_scale : kW and $/kWh that powers and prices are measured by
    """

    network: Network
    power_scale: float
    price_scale: float

    __repr__ = brief

    @property
    def rating(self) -> Box:
        """The rating of the lines."""
        return rating(self.network.lines.rating_kva, self.network.limits)

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
        flow: dict[str, Any] = {**line, "lower": -rated.bound, "upper": rated.bound}
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
        purchase = program.variable(
            "p_tso",
            **kw,
            lower=max(tso.import_min, 0.0) if self._sells else tso.import_min,
            upper=tso.import_max,
            reach=reach,
            meaning="bought from the TSO (p_TSO)",
        )
        sale = None
        if self._sells:
            sale = program.variable(
                "p_feed",
                **kw,
                upper=tso.export_max,
                reach=reach,
                meaning="sold to the TSO (p_feed)",
            )
        q_tso = program.variable(
            "q_tso",
            **kvar,
            lower=tso.reactive_min,
            upper=tso.reactive_max,
            reach=reactive_reach,
            meaning="reactive supply of the TSO (q_TSO)",
        )
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
        a, to_root = net.incidence, placed([0], len(buses))
        supply = {purchase: to_root} if sale is None else {purchase: to_root, sale: -to_root}
        program.equality(
            "balance",
            **bus,
            terms={p_line: a, **supply, withdrawal: -1.0},
            meaning="real inflow and TSO supply equal the withdrawal (mu)",
        )
        program.equality(
            "reactive_balance",
            **bus,
            terms={q_line: a, q_tso: to_root, q_source: placed(ranged, len(buses))},
            rhs=net.reactive_kvar - np.where(is_ranged, 0.0, net.reactive_min),
            meaning="reactive inflow and supply equal the reactive load (mu_q)",
        )
        v_rows, r_rows, x_rows = voltage_rows(net)
        program.equality(
            "voltage_drop",
            **line,
            **pu2,
            terms={v: v_rows, p_line: r_rows, q_line: x_rows},
            meaning="LinDistFlow voltage drop (eta)",
        )
        rated.state(program, p_line, q_line)
        return withdrawal, purchase, sale

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
        yield Labelled("island", bus, net.island.astype(float), "", "island; 0 has the root")
        yield Labelled("from_bus", line, names[lines.from_bus], "", "bus nearer the root")
        yield Labelled("to_bus", line, names[lines.to_bus], "", "bus farther from the root")
        yield whole("p_kw", line, _key("p_line"), values, "kW", "real flow")
        yield whole("q_kvar", line, _key("q_line"), values, "kvar", "reactive flow")
        yield Labelled("loading", line, self._loading(values), "", "apparent flow over rating")
        meaning, sold = "bought from the TSO", {}
        if self._sells:
            meaning, sold = f"{meaning} less sold to it", {_key("p_feed"): column([-1.0])}
        bought = {_key("p_tso"): column([1.0]), **sold}
        kw = np.array(self.import_kw(values))
        yield Labelled("tso_import_kw", (), kw, "kW", meaning, parts=bought)
        meaning = "reactive supply of the TSO"
        yield whole("tso_reactive_kvar", (), _key("q_tso"), values, "kvar", meaning)

    def violations(self, values: Mapping[str, FloatArray]) -> Violations:
        """How far limits are broken."""
        limits, v = self.network.limits, _voltage(values)
        above = self.rating.excess(_of(values, "p_line"), _of(values, "q_line"))
        return Violations(
            max(0.0, float((limits.vmin - v).max()), float((v - limits.vmax).max())),
            float(above.max(initial=0.0)),
        )

    def binding(self, values: Mapping[str, FloatArray]) -> Binding:
        """Which limits bind."""
        net, limits = self.network, self.network.limits
        p, q = _of(values, "p_line"), _of(values, "q_line")
        full = self.rating.binds(p, q, self._multipliers(values), self.price_scale)
        v = _voltage(values)[1:]
        low, high = v < limits.vmin + BINDING, v > limits.vmax - BINDING
        return Binding(
            tuple(net.lines.names[k] for k in np.flatnonzero(full)),
            tuple(net.buses[1 + i] for i in np.flatnonzero(low)),
            tuple(net.buses[1 + i] for i in np.flatnonzero(high)),
        )

    def import_kw(self, values: Mapping[str, FloatArray]) -> float:
        """Real power bought from the TSO less what is sold to it, kW."""
        sold = _of(values, "p_feed")[0] if self._sells else 0.0
        return float(_of(values, "p_tso")[0] - sold)

    @property
    def _sells(self) -> bool:
        """Whether sale to the TSO is apart from purchase: at one price one variable says both."""
        tso = self.network.substation
        return tso.export_max > 0.0 and tso.feed_in_price < tso.price

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
        rest = fee[lines.to_bus] - fee[lines.from_bus] - voltage
        columns = {
            "from_bus": names[lines.from_bus],
            "to_bus": names[lines.to_bus],
            "p_kw": _of(values, "p_line"),
            "loading": self._loading(values),
            "voltage_pu": _voltage(values)[lines.to_bus],
            "rating_price": self.rating.price(self._multipliers(values), rest),
            "voltage_price": voltage,
            "fee": fee[lines.to_bus],
        }
        return pd.DataFrame(columns, index=pd.Index(lines.names, name="line")).iloc[at]

    def _loading(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Apparent flow over the rating, by line."""
        flow: FloatArray = np.hypot(_of(values, "p_line"), _of(values, "q_line"))
        return flow / self.network.lines.rating_kva

    def _multipliers(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(line, side) multipliers of the ratings' rows, $/kWh."""
        sides = self.rating.sides
        rows = _of(values, "rating") if sides else np.zeros(0)
        return rows.reshape(len(self.network.lines.names), sides)


def _key(name: str) -> str:
    return f"{OPERATOR}.{name}"


def _of(values: Mapping[str, FloatArray], name: str) -> FloatArray:
    """One of the power flow's own blocks."""
    return values[_key(name)]


def _voltage(values: Mapping[str, FloatArray]) -> FloatArray:
    """(bus,) voltage, pu; zero where the square is not positive."""
    return np.sqrt(np.maximum(_of(values, "v_squared"), 0.0))
