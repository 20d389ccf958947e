"""What the price of real power at every bus is made of.

Stationarity in flows and voltages makes the multipliers of balances and voltage drops a linear
function of what drives them: prices at the heads of islands, multipliers of limits. One
factorisation, one solve by driver; no part is the remainder of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from v2geq.arrays import FloatArray
from v2geq.grid.branch_flow import FlowState, flow_rows, heads, square
from v2geq.grid.network import Network
from v2geq.show import brief


@dataclass(frozen=True)
class Duals:
    """Multipliers of a power flow, $/kWh, or $/h per pu^2 of voltages.

    Attributes
    ----------
    real, reactive : (bus,) of the balances, what one more unit of withdrawal costs
    line_p, line_q : (line,) of limits of real and of reactive flow; positive where the limit holds
        the flow down
    voltage : (bus,) of voltage limits; positive at the highest
    """

    real: FloatArray
    reactive: FloatArray
    line_p: FloatArray
    line_q: FloatArray
    voltage: FloatArray

    __repr__ = brief


@dataclass(frozen=True)
class PriceParts:
    """Price of real power at constant kvar by bus, and its parts, $/kWh.

    Attributes
    ----------
    price : (bus,) multipliers of the real balances
    table : index bus; columns energy (at the root), scarcity (what power is worth more at the head
        of an island without the root), loss, congestion, voltage, reactive
    congestion : bus x line that is full; voltage : bus x bus at a limit; their sums are in `table`
    """

    price: pd.Series[float]
    table: pd.DataFrame
    congestion: pd.DataFrame
    voltage: pd.DataFrame

    __repr__ = brief

    @property
    def gap(self) -> float:
        """Largest difference between a price and the sum of its parts, $/kWh."""
        off = (self.table.sum(axis=1) - self.price).abs()
        return float(off.max())


def parts_of_prices(network: Network, base: FlowState | None, duals: Duals) -> PriceParts:
    """Parts of the prices at a point whose rows are linearised at `base`."""
    buses, lines = network.buses, network.lines.names
    n, m = len(buses), len(lines)
    at_head = heads(network)
    first, inner = np.flatnonzero(at_head), np.flatnonzero(~at_head)
    full = np.flatnonzero((duals.line_p != 0.0) | (duals.line_q != 0.0))
    limited = np.flatnonzero((duals.voltage != 0.0) & ~at_head)
    real, reactive, _ = flow_rows(network, base)
    place = np.full(n, -1)
    place[inner] = np.arange(len(inner))

    def of_heads(rows: sp.csr_array | None) -> FloatArray:
        """Coefficients of the heads' balances, (island, entry)."""
        return np.zeros((len(first), m)) if rows is None else rows[first].toarray()

    def drive(rows: tuple[sp.csr_array | None, ...], price: FloatArray) -> FloatArray:
        """What the heads' prices ask of the other multipliers, (entry, island)."""
        p, q, v = rows
        volts = np.zeros((len(first), len(inner))) if v is None else v[first][:, inner].toarray()
        out: FloatArray = -(np.hstack([of_heads(p), of_heads(q), volts]) * price[:, None]).T
        return out

    def only(entries: np.ndarray, values: FloatArray) -> FloatArray:
        out = np.zeros((3 * m, len(entries)))
        out[entries, np.arange(len(entries))] = values
        return out

    driven = [
        drive(real, duals.real[first]),
        drive(reactive, duals.reactive[first]),
        only(full, duals.line_p[full]) + only(m + full, duals.line_q[full]),
        only(2 * m + place[limited], duals.voltage[limited]),
    ]
    sides = np.hstack(driven)
    out = np.zeros((n, sides.shape[1]))
    if m:
        a, _ = square(network, base)
        out[inner] = splu(sp.csc_array(a.T)).solve(sides)[: len(inner)]
    at = np.cumsum([part.shape[1] for part in driven])[:-1]
    by_real, by_reactive, congestion, voltage = np.split(out, at, axis=1)
    head = duals.real[first][network.island]
    energy = duals.real[0]
    inside = by_real.sum(axis=1) - np.where(at_head, 0.0, head)
    table = pd.DataFrame(
        {
            "energy": energy,
            "scarcity": head - energy,
            "loss": inside,
            "congestion": congestion.sum(axis=1),
            "voltage": voltage.sum(axis=1),
            "reactive": by_reactive.sum(axis=1),
        },
        index=pd.Index(buses, name="bus"),
    )
    index = table.index
    return PriceParts(
        pd.Series(duals.real, index=index, name="dlmp"),
        table,
        pd.DataFrame(
            congestion, index=index, columns=pd.Index([lines[k] for k in full], name="line")
        ),
        pd.DataFrame(
            voltage, index=index, columns=pd.Index([buses[k] for k in limited], name="limited_bus")
        ),
    )
