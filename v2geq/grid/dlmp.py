"""What the price of real power at every bus is made of.

Stationarity in flows and voltages makes the multipliers of balances and voltage drops a linear
function of what drives them: prices at the heads of islands, multipliers of limits. One
factorisation, one solve by driver; no part is the remainder of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from v2geq.arrays import FloatArray, IntArray
from v2geq.grid.branch_flow import FlowRows, FlowState, flow_rows, heads, square
from v2geq.grid.network import Network
from v2geq.labelled import placed
from v2geq.show import brief


@dataclass(frozen=True)
class Duals:
    """Multipliers of a power flow, $/kWh, or $/h per pu^2 of voltages.

    Attributes
    ----------
    real, reactive : (bus,) of the balances, what one more unit of withdrawal costs
    line_p, line_q : (line,) of limits of real and of reactive flow; positive where the limit holds
        the flow down; line_v : of the same limits, by the voltage where the line begins
    voltage : (bus,) of voltage limits; positive at the highest
    """

    real: FloatArray
    reactive: FloatArray
    line_p: FloatArray
    line_q: FloatArray
    line_v: FloatArray
    voltage: FloatArray

    __repr__ = brief


@dataclass(frozen=True)
class PriceParts:
    """Price of real power at constant kvar by bus, and its parts, $/kWh.

    Attributes
    ----------
    price : by bus, or bus and phase
    table : columns energy (at the root), scarcity (what power is worth more at the head of an
        island without the root), loss, congestion, voltage, reactive
    congestion : by line that is full; voltage : by bus at a limit; their sums are in `table`
    """

    price: pd.Series[float]
    table: pd.DataFrame
    congestion: pd.DataFrame
    voltage: pd.DataFrame

    __repr__ = brief

    def at_buses(self, shares: sp.csr_array, buses: Sequence[str]) -> PriceParts:
        """The parts by bus, of prices by label; `shares` (label, bus) are what counts at a bus."""
        index = pd.Index(buses, name="bus")

        def mean(frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame(shares.T @ frame.to_numpy(), index, frame.columns)

        return PriceParts(
            pd.Series(shares.T @ self.price.to_numpy(), index, name="dlmp"),
            mean(self.table),
            mean(self.congestion),
            mean(self.voltage),
        )

    @property
    def gap(self) -> float:
        """Largest difference between a price and the sum of its parts, $/kWh."""
        off = (self.table.sum(axis=1) - self.price).abs()
        return float(off.max())


@dataclass(frozen=True)
class Stationarity:
    """Rows that determine flows and voltages, whose multipliers the drivers determine.

    Attributes
    ----------
    square : (row, unknown) rows but the heads' balances in flows and voltages but the heads'
    head_real, head_reactive : (island, unknown) balances of the heads in the same unknowns
    readout : (label, row) what of the rows' multipliers the price of a label is
    at_head : (label, island) ones where a label is at the head
    island : (label,) number of the island
    """

    square: sp.csc_array
    head_real: sp.csr_array
    head_reactive: sp.csr_array
    readout: sp.csr_array
    at_head: sp.csr_array
    island: IntArray

    __repr__ = brief


@dataclass(frozen=True)
class Limit:
    """Multipliers of a kind of limit in the unknowns: (unknown, name) entries, and the names."""

    pull: sp.csc_array
    names: tuple[str, ...]

    __repr__ = brief


def split_prices(
    rows: Stationarity,
    price: pd.Series[float],
    real: FloatArray,
    reactive: FloatArray,
    lines: Limit,
    voltages: Limit,
) -> PriceParts:
    """Parts of prices by label.

    Parameters
    ----------
    price
        The prices, in the order of the labels.
    real, reactive
        Multipliers of the heads' balances by island.
    """

    def of_heads(balances: sp.csr_array, multipliers: FloatArray) -> FloatArray:
        driven: FloatArray = -(balances.toarray() * multipliers[:, None]).T
        return driven

    driven = [
        of_heads(rows.head_real, real),
        of_heads(rows.head_reactive, reactive),
        lines.pull.toarray(),
        voltages.pull.toarray(),
    ]
    sides = np.hstack(driven)
    solved = splu(sp.csc_array(rows.square.T)).solve(sides) if len(sides) else sides
    at = np.cumsum([part.shape[1] for part in driven])[:-1]
    by_real, by_reactive, congestion, voltage = np.split(rows.readout @ solved, at, axis=1)
    head = real[rows.island]
    table = pd.DataFrame(
        {
            "energy": real[0],
            "scarcity": head - real[0],
            "loss": by_real.sum(axis=1) + rows.at_head @ real - head,
            "congestion": congestion.sum(axis=1),
            "voltage": voltage.sum(axis=1),
            "reactive": by_reactive.sum(axis=1),
        },
        index=price.index,
    )

    def by(values: FloatArray, names: Sequence[str], name: str) -> pd.DataFrame:
        """Columns of one name together."""
        codes, unique = pd.factorize(np.array(names, dtype=object))
        total = values @ placed(codes, len(unique)).T if len(names) else values
        return pd.DataFrame(total, index=price.index, columns=pd.Index(unique, name=name))

    return PriceParts(
        price,
        table,
        by(congestion, lines.names, "line"),
        by(voltage, voltages.names, "limited_bus"),
    )


def parts_of_prices(network: Network, base: FlowState | None, duals: Duals) -> PriceParts:
    """Parts of the prices at a point whose rows are linearised at `base`."""
    buses, lines = network.buses, network.lines.names
    n, m = len(buses), len(lines)
    at_head = heads(network)
    first, inner = np.flatnonzero(at_head), np.flatnonzero(~at_head)
    full = np.flatnonzero((duals.line_p != 0.0) | (duals.line_q != 0.0))
    limited = np.flatnonzero((duals.voltage != 0.0) & ~at_head)
    real, reactive, _ = flow_rows(network, base)
    a, _ = square(network, base)
    begins = network.lines.from_bus
    place = np.full(n, -1)
    place[inner] = np.arange(len(inner))

    def of_heads(rows: FlowRows) -> sp.csr_array:
        flows = [sp.csr_array((len(first), m)) if t is None else t[first] for t in rows[:2]]
        none = sp.csr_array((len(first), len(inner)))
        return sp.csr_array(
            sp.hstack([*flows, none if rows.v is None else rows.v[first][:, inner]])
        )

    def entries(at: IntArray, values: FloatArray) -> sp.csc_array:
        where = at, np.arange(len(at))
        return sp.csc_array(sp.coo_array((values, where), shape=(a.shape[0], len(at))))

    lines_pull = (
        entries(full, duals.line_p[full])
        + entries(m + full, duals.line_q[full])
        + entries(2 * m + place[begins[full]], np.where(at_head[begins], 0.0, duals.line_v)[full])
    )
    stationarity = Stationarity(
        a,
        of_heads(real),
        of_heads(reactive),
        sp.csr_array(placed(inner, n) @ sp.eye_array(len(inner), a.shape[0])),
        placed(first, n),
        network.island,
    )
    return split_prices(
        stationarity,
        pd.Series(duals.real, index=pd.Index(buses, name="bus"), name="dlmp"),
        duals.real[first],
        duals.reactive[first],
        Limit(sp.csc_array(lines_pull), tuple(lines[k] for k in full)),
        Limit(
            entries(2 * m + place[limited], duals.voltage[limited]),
            tuple(buses[k] for k in limited),
        ),
    )
