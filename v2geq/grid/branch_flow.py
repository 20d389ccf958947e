"""Branch-flow equations of a radial feeder, and their linearisation at a state.

Single-phase equivalent; P, Q at the sending end of a line from i to j, l = (P^2 + Q^2) / v_i:

    P - r l - sum of P out = W_j,   Q - x l - sum of Q out = Q_j
    v_j = ratio^2 (v_i - 2 (r P + x Q) + (r^2 + x^2) l)

with r and x in pu per kW. l is homogeneous, so that its linearisation has no constant; without l
the equations are LinDistFlow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import ConvergenceError
from v2geq.grid.network import Network
from v2geq.labelled import placed
from v2geq.show import brief

TOLERANCE = 1e-11
"""Change of an AC state, as a share of all withdrawals and in pu^2, at which it is found."""
STEPS = 30
"""Most steps of Newton's method."""


class FlowState(NamedTuple):
    """Real and reactive flow by line, kW and kvar, and squared voltage by bus, pu."""

    p: FloatArray
    q: FloatArray
    v: FloatArray

    def __repr__(self) -> str:
        return brief(self)

    def distance(self, other: FlowState) -> tuple[float, float]:
        """Largest difference of a flow, kW or kvar, and of a voltage, pu."""
        flows = [np.abs(self.p - other.p), np.abs(self.q - other.q)]
        volts = np.abs(np.sqrt(np.maximum(self.v, 0.0)) - np.sqrt(np.maximum(other.v, 0.0)))
        return float(np.max(flows, initial=0.0)), float(volts.max(initial=0.0))


class FlowRows(NamedTuple):
    """Coefficients of some rows in P, Q and v; None for none."""

    p: sp.csr_array | None
    q: sp.csr_array | None
    v: sp.csr_array | None


def voltage_rows(network: Network) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """Matrices (V, R, X), lines x (buses, lines, lines), of V v + R P + X Q = 0 without losses.

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


def per_kw(network: Network) -> tuple[FloatArray, FloatArray]:
    """Resistance and reactance by line, pu per kW."""
    base = 1000.0 * network.base_kv**2
    return network.lines.r_ohm / base, network.lines.x_ohm / base


def squared_current(network: Network, at: FlowState) -> tuple[FloatArray, FloatArray, FloatArray]:
    """l of every line, linearised at a state: its derivatives by P, Q and v_i, by line."""
    v = at.v[network.lines.from_bus]
    return 2.0 * at.p / v, 2.0 * at.q / v, -(at.p**2 + at.q**2) / v**2


def losses(network: Network, at: FlowState) -> tuple[FloatArray, FloatArray]:
    """Real and reactive power lost by line, kW and kvar."""
    r, x = per_kw(network)
    current = (at.p**2 + at.q**2) / at.v[network.lines.from_bus]
    return r * current, x * current


def flow_rows(network: Network, base: FlowState | None) -> tuple[FlowRows, FlowRows, FlowRows]:
    """FlowRows of the real and the reactive balance by bus, and of the voltage drop by line.

    Balances are what arrives less what leaves; linearised at `base`, without losses if None.
    """
    if base is None:
        a, (v, r_rows, x_rows) = network.incidence, voltage_rows(network)
        return FlowRows(a, None, None), FlowRows(None, a, None), FlowRows(r_rows, x_rows, v)
    lines, n, m = network.lines, len(network.buses), len(network.lines.names)
    start, end, k = lines.from_bus, lines.to_bus, np.arange(m)
    by_p, by_q, by_v = squared_current(network, base)

    def rows(
        count: int, size: int, row: IntArray, column: IntArray, entries: FloatArray
    ) -> sp.csr_array:
        shown = entries != 0.0
        where = row[shown], column[shown]
        return sp.csr_array(sp.coo_array((entries[shown], where), shape=(count, size)))

    def lost(ohm: FloatArray) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
        """Losses in the balance where a line ends, by P, Q and v."""
        flows = (rows(n, m, end, k, -ohm * by) for by in (by_p, by_q))
        return (*flows, rows(n, n, end, start, -ohm * by_v))

    r, x = per_kw(network)
    squared = lines.ratio**2
    rise = squared * (r**2 + x**2)
    ends = np.r_[k, k], np.r_[end, start]
    drop = FlowRows(
        rows(m, m, k, k, 2.0 * squared * r - rise * by_p),
        rows(m, m, k, k, 2.0 * squared * x - rise * by_q),
        rows(m, n, *ends, np.r_[np.ones(m), -squared - rise * by_v]),
    )
    a = network.incidence
    (p, q, v), (p_reactive, q_reactive, v_reactive) = lost(r), lost(x)
    return FlowRows(a + p, q, v), FlowRows(p_reactive, a + q_reactive, v_reactive), drop


def end_rows(network: Network, base: FlowState | None, far: BoolArray) -> tuple[FlowRows, FlowRows]:
    """FlowRows of the real and the reactive flow by line, where it ends at `far` lines."""
    eye = sp.csr_array(sp.eye_array(len(far)))
    real, reactive = FlowRows(eye, None, None), FlowRows(None, eye, None)
    if base is None or not far.any():
        return real, reactive
    r, x = (sp.diags_array(far * ohm) for ohm in per_kw(network))
    current = _current_rows(network, base)
    return _less(real, r, current), _less(reactive, x, current)


def _current_rows(network: Network, base: FlowState) -> FlowRows:
    """FlowRows of l by line, linearised at `base`."""
    by_p, by_q, by_v = (sp.diags_array(d) for d in squared_current(network, base))
    starts = placed(network.lines.from_bus, len(network.buses)).T
    return FlowRows(sp.csr_array(by_p), sp.csr_array(by_q), sp.csr_array(by_v @ starts))


def _less(rows: FlowRows, weight: sp.csr_array, current: FlowRows) -> FlowRows:
    """Rows less l with a weight."""
    terms = (
        -(weight @ c) if row is None else row - weight @ c
        for row, c in zip(rows, current, strict=True)
    )
    return FlowRows(*(sp.csr_array(term) for term in terms))


def heads(network: Network) -> BoolArray:
    """Which buses are the root of their island."""
    first = np.ones(len(network.buses), dtype=bool)
    first[network.lines.to_bus] = False
    return first


def square(network: Network, base: FlowState | None) -> tuple[sp.csc_array, sp.csr_array]:
    """The rows that determine a state: (A, B), A in (P, Q, v but the heads'), B in the heads' v.

    Balances at all buses but the heads, then voltage drops.
    """
    at_head, lines = heads(network), len(network.lines.names)
    inner = ~at_head
    none = sp.csr_array((len(network.buses), lines)), sp.csr_array((len(network.buses),) * 2)
    real, reactive, voltage = flow_rows(network, base)
    parts, sides = [], []
    for rows, keep in ((real, inner), (reactive, inner), (voltage, slice(None))):
        p, q, v = (
            fallback if term is None else term
            for term, fallback in zip(rows, (none[0], none[0], none[1]), strict=True)
        )
        parts.append([p[keep], q[keep], v[keep][:, inner]])
        sides.append(v[keep][:, at_head])
    return sp.csc_array(sp.block_array(parts, format="csc")), sp.csr_array(sp.vstack(sides))


def ac_state(
    network: Network, kw: FloatArray, kvar: FloatArray, head_v: FloatArray, start: FlowState
) -> FlowState:
    """AC state of net withdrawals by bus, by Newton's method.

    Parameters
    ----------
    kw, kvar
        Net withdrawals by bus; those of the heads follow.
    head_v
        Squared voltage of the heads, pu, island by island.

    Raises
    ------
    ConvergenceError
        Where it finds none: more is drawn than the feeder can carry.
    """
    at_head, m = heads(network), len(network.lines.names)
    inner = ~at_head
    given = np.concatenate([kw[inner], kvar[inner], np.zeros(m)])
    size = max(float(np.abs(given).sum()), 1.0)
    state = start
    for _ in range(STEPS):
        a, b = square(network, state)
        x = splu(a).solve(given - b @ head_v) if m else np.zeros(0)
        v = np.empty(len(network.buses))
        v[at_head], v[inner] = head_v, x[2 * m :]
        new = FlowState(x[:m], x[m : 2 * m], v)
        if not (v > 0.0).all():
            break
        flows, _ = new.distance(state)
        near = flows <= TOLERANCE * size and np.abs(new.v - state.v).max() <= TOLERANCE
        state = new
        if near:
            return state
    worst = network.buses[int(np.argmin(v))]
    raise ConvergenceError(
        f"the AC power flow finds no voltages, least of all at bus {worst!r}: loads may be above "
        "what the feeder can carry"
    )
