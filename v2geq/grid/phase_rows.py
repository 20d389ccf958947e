"""Branch flow by phases, linearised at a state.

S the power of a conductor at its sending end, V_s the voltage there, I = conj(S / V_s); t its ratio
in volts, j the node where it ends:

    loss     L = conj(I) (z I)                 voltage   V_j = t (V_s - z I)
    balance  sum of (S - L) that arrives - sum of S V_n / V_s that leaves - what is drawn = 0

A conductor or load between two phases takes its power from both, V_n / V_s of it (with the sign of
its end) from node n. Unknowns are P, Q, squared voltages v and angles; the equations but the
angles' are homogeneous in P, Q and v, so that their linearisation has no constant.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import ComplexArray, FloatArray
from v2geq.grid.wires import Wires, WireState
from v2geq.labelled import placed
from v2geq.show import brief


class PhaseTerms(NamedTuple):
    """Coefficients of a set of rows in P and Q by conductor, v and angle by node."""

    p: sp.csr_array
    q: sp.csr_array
    v: sp.csr_array
    angle: sp.csr_array

    def __repr__(self) -> str:
        return brief(self)

    @property
    def whole(self) -> sp.csr_array:
        """Coefficients in all of them."""
        return sp.csr_array(sp.hstack(self, format="csr"))


class PhaseRows(NamedTuple):
    """PhaseTerms of a linearisation, and what the power drawn by terminal takes from them.

    real, reactive : by node, what arrives less what leaves; voltage, angle : by conductor;
    shares : (node, terminal) complex, share of a terminal's power drawn from a node
    end : with losses, power where conductors end by S, conj(S), dV / V and its conjugate
    """

    real: PhaseTerms
    reactive: PhaseTerms
    voltage: PhaseTerms
    angle: PhaseTerms
    shares: sp.csr_array
    end: tuple[sp.csr_array, sp.csr_array, sp.csr_array, sp.csr_array] | None

    def __repr__(self) -> str:
        return brief(self)


def complex_power(wires: Wires, at: WireState) -> ComplexArray:
    """Power of every conductor at its sending end, kVA."""
    out: ComplexArray = (wires.network.begins @ at.voltage) * np.conj(at.current) / 1000.0
    return out


def lost_power(wires: Wires, at: WireState) -> ComplexArray:
    """Power lost by conductor, kVA."""
    out: ComplexArray = np.conj(at.current) * (wires.network.z @ at.current) / 1000.0
    return out


def lost_by_line(wires: Wires, at: WireState) -> FloatArray:
    """Real power lost by line, kW.

    What shunts lose counts with the conductor that ends there, at references with the first.
    """
    lost = lost_power(wires, at).real
    here = in_shunts(wires, at).real
    lost += here[wires.heads :]
    lost[:1] += here[: wires.heads].sum()
    out: FloatArray = placed(wires.line, int(wires.line.max(initial=-1)) + 1) @ lost
    return out


def in_shunts(wires: Wires, at: WireState) -> ComplexArray:
    """Power drawn by the shunts of every node, kVA."""
    out: ComplexArray = at.voltage * np.conj(wires.network.shunt @ at.voltage) / 1000.0
    return out


def squared(wires: Wires, at: WireState) -> FloatArray:
    """Squared voltage by node, pu."""
    out: FloatArray = (np.abs(at.voltage) / wires.network.volts) ** 2
    return out


def phase_rows(wires: Wires, at: WireState, *, losses: bool) -> PhaseRows:
    """PhaseTerms linearised at a state; without losses, one without currents."""
    net = wires.network
    volt, amps = at.voltage, at.current
    n, m = len(volt), len(net.turns)
    # parts of a sending end's voltage: one for a single phase
    sending = net.begins @ volt
    part = _scaled(1.0 / sending, net.begins, volt)
    arrives = placed(np.arange(net.roots, n), n)
    shunt = net.shunt if losses else sp.csr_array(1j * net.shunt.imag)
    drawn_by_shunt = volt * np.conj(shunt @ volt) / 1000.0

    # by S, its conjugate, u = dV / V and its conjugate
    s, end = arrives - part.T, None
    by_shunt = _scaled(volt, shunt.conj(), np.conj(volt)) / 1000.0
    u = -_diag(drawn_by_shunt)
    u_bar = -by_shunt
    per_current = 1000.0 / np.conj(sending)
    fall = _scaled(net.turns / volt[net.roots :], net.z, per_current)
    head = placed(np.arange(net.roots, n), n).T
    v_u = head - _scaled(net.turns / volt[net.roots :], net.begins, volt)
    v_s_bar, v_u_bar = fall, None
    terminal = _scaled(1.0 / (wires.ends @ volt), wires.ends, volt)
    if losses:
        drop = net.z @ amps
        # dI = per_current conj(dS) + back conj(u)
        back = _scaled(-amps / np.conj(sending), net.begins.conj(), np.conj(volt))
        own = _diag(drop / 1000.0)
        other = _scaled(np.conj(amps) / 1000.0, net.z, np.ones(m))
        end = (
            sp.csr_array(sp.eye_array(m) - own @ _diag(np.conj(per_current))),
            sp.csr_array(-(other @ _diag(per_current))),
            sp.csr_array(-(own @ back.conj())),
            sp.csr_array(-(other @ back)),
        )
        s, s_bar = arrives @ end[0] - part.T, arrives @ end[1]
        u = u + arrives @ end[2] - _turning(part, complex_power(wires, at), net.begins)
        u = u - _turning(terminal, at.drawn, wires.ends)
        u_bar = u_bar + arrives @ end[3]
        v_u_bar = _scaled(net.turns / volt[net.roots :], net.z, np.ones(m)) @ back
    else:
        s_bar = None
    v = squared(wires, at)
    real, reactive = _split(s, s_bar, u, u_bar, v)
    twice = _diag(2.0 * v[net.roots :])
    level, turn = _split(None, v_s_bar, v_u, v_u_bar, v)
    return PhaseRows(
        real,
        reactive,
        PhaseTerms(*(sp.csr_array(twice @ part) for part in level)),
        turn,
        sp.csr_array(terminal.T),
        end,
    )


def far_rows(wires: Wires, at: WireState, rows: PhaseRows) -> tuple[PhaseTerms, PhaseTerms]:
    """Real and reactive flow where conductors end; rows with losses."""
    assert rows.end is not None
    return _split(*rows.end, squared(wires, at))


def _diag(values: ComplexArray | FloatArray) -> sp.dia_array:
    return sp.diags_array(values)


def _scaled(
    left: ComplexArray | FloatArray, matrix: sp.csr_array, right: ComplexArray | FloatArray
) -> sp.csr_array:
    """Matrix with its rows and columns multiplied."""
    by_row = np.repeat(left, np.diff(matrix.indptr))
    data = by_row * matrix.data * right[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _turning(part: sp.csr_array, power: ComplexArray, ends: sp.csr_array) -> sp.csr_array:
    """By u, what is drawn from nodes as the parts of voltages between two phases change."""
    between = np.flatnonzero(np.diff(ends.indptr) > 1)
    n = part.shape[1]
    if not len(between):
        return sp.csr_array((n, n), dtype=complex)
    part, power = part[between], power[between]
    return sp.csr_array(_diag(part.T @ power) - part.T @ _diag(power) @ part)


def _split(
    s: sp.csr_array | None,
    s_bar: sp.csr_array | None,
    u: sp.csr_array,
    u_bar: sp.csr_array | None,
    v: FloatArray,
) -> tuple[PhaseTerms, PhaseTerms]:
    """Real and imaginary rows of s S + s_bar conj(S) + u U + u_bar conj(U).

    U = dv / (2 v) + j angle.
    """

    def both(a: Any, b: Any) -> tuple[sp.csr_array, sp.csr_array]:
        """What multiplies the real and the imaginary part."""
        direct = 0.0 * b if a is None else a
        conjugate = 0.0 * a if b is None else b
        return direct + conjugate, 1j * (direct - conjugate)

    p, q = both(s, s_bar)
    size, angle = both(u, u_bar)
    terms = p, q, size @ _diag(0.5 / v), angle
    real = PhaseTerms(*(_clean(t.real) for t in terms))
    return real, PhaseTerms(*(_clean(t.imag) for t in terms))


def _clean(matrix: sp.sparray) -> sp.csr_array:
    """The matrix without zeros and what rounding leaves of them."""
    out = sp.csr_array(matrix)
    out.data[np.abs(out.data) < 1e-14] = 0.0
    out.eliminate_zeros()
    return out
