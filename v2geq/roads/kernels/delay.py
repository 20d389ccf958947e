"""Travel time of one arc, its slope and its integral, for compiled loops.

The formulas are in `v2geq.roads.delay`, which also fills the arrays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from v2geq.arrays import FloatArray, IntArray
from v2geq.kernels.compiled import compiled, inlined
from v2geq.show import brief

# kinds of delay functions
BPR, CONICAL, EXPRESSION = range(3)

# instructions of an expression in postfix form: operands first ...
CONSTANT, FLOW, FREE_FLOW, CAPACITY, B, POWER, LENGTH = range(7)
# ... then what is done with the one or two values on top of the stack
ADD, MULTIPLY, WHOLE_POWER, RAISE, SQRT, EXP, LOG, ABS = range(7, 15)

#: largest whole power of a BPR function that is multiplied out
_MULTIPLIED = 16.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(15)


class DelayArrays(NamedTuple):
    """Delay functions of all arcs: one entry per arc, but `code` and `operand` one per instruction.

    kind : BPR, CONICAL or EXPRESSION
    free_flow : time at no flow; b, power, capacity, length : parameters of the formulas
    alpha : steepness of the conical function; not used by other kinds
    begin, end : where the arc's expression stands in `code` (instructions) and `operand` (the
        constant of CONSTANT, the exponent of WHOLE_POWER); not used by other kinds
    """

    kind: IntArray
    free_flow: FloatArray
    b: FloatArray
    power: FloatArray
    capacity: FloatArray
    length: FloatArray
    alpha: FloatArray
    begin: IntArray
    end: IntArray
    code: IntArray
    operand: FloatArray

    def __repr__(self) -> str:
        return brief(self)


@inlined
def time_and_slope(delay: DelayArrays, arc: int, flow: float) -> tuple[float, float]:
    """Time of `arc` at `flow` (taken as zero where negative) and its derivative."""
    flow = max(flow, 0.0)
    t0, b, power = delay.free_flow[arc], delay.b[arc], delay.power[arc]
    capacity, kind = delay.capacity[arc], delay.kind[arc]
    if kind == BPR:
        return _bpr(t0, b, power, capacity, flow)
    if kind == CONICAL:
        return _conical(t0, delay.alpha[arc], capacity, flow)
    named = (flow, t0, capacity, b, power, delay.length[arc])
    return _expression(delay.code, delay.operand, delay.begin[arc], delay.end[arc], named)


@compiled
def integral(delay: DelayArrays, arc: int, flow: float) -> float:
    """Integral of the time of `arc` from zero to `flow`; below zero the time is that at zero."""
    if flow <= 0.0:
        time, _ = time_and_slope(delay, arc, 0.0)
        return time * flow
    t0, b, power = delay.free_flow[arc], delay.b[arc], delay.power[arc]
    capacity, kind = delay.capacity[arc], delay.kind[arc]
    if kind == BPR:
        return _bpr_integral(t0, b, power, capacity, flow)
    if kind == CONICAL:
        return _conical_integral(t0, delay.alpha[arc], capacity, flow)
    named = (flow, t0, capacity, b, power, delay.length[arc])
    return _quadrature(delay.code, delay.operand, delay.begin[arc], delay.end[arc], named)


@inlined
def fourth_power(free_flow: float, quartic: float, flow: float) -> tuple[float, float]:
    """`time_and_slope` of free_flow + quartic * flow^4, the usual function."""
    x = max(flow, 0.0)
    rise = quartic * x * x * x
    return free_flow + rise * x, 4.0 * rise


@compiled
def retime(
    delay: DelayArrays,
    quartic: FloatArray,
    flow: FloatArray,
    time: FloatArray,
    slope: FloatArray,
    arcs: NDArray[np.int32],
    begin: int,
    end: int,
) -> None:
    """Times and slopes of the arcs listed in arcs[begin:end]; `fourth_power` where not below 0."""
    free_flow = delay.free_flow
    for i in range(begin, end):
        arc = arcs[i]
        if quartic[arc] >= 0.0:
            time[arc], slope[arc] = fourth_power(free_flow[arc], quartic[arc], flow[arc])
        else:
            time[arc], slope[arc] = time_and_slope(delay, arc, flow[arc])


def times_and_slopes(delay: DelayArrays, flow: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`time_and_slope` of every arc."""
    size = flow.size
    time, slope, quartic = np.empty(size), np.empty(size), np.full(size, -1.0)
    retime(delay, quartic, flow, time, slope, np.arange(size, dtype=np.int32), 0, size)
    return time, slope


@compiled
def integrals(delay: DelayArrays, flow: FloatArray) -> FloatArray:
    """`integral` of every arc."""
    out = np.empty(flow.size)
    for arc in range(flow.size):
        out[arc] = integral(delay, arc, flow[arc])
    return out


@compiled
def _bpr(t0: float, b: float, power: float, capacity: float, flow: float) -> tuple[float, float]:
    per_capacity = 1.0 / capacity
    ratio = flow * per_capacity
    if power == 4.0:
        below = ratio * ratio * ratio
    elif power == 0.0:
        return t0 * (1.0 + b), 0.0
    elif power <= _MULTIPLIED and power == np.floor(power):
        below = 1.0
        for _ in range(int(power) - 1):
            below *= ratio
    else:
        below = ratio ** (power - 1.0)
    steep = t0 * b * below
    return t0 + steep * ratio, steep * power * per_capacity


@compiled
def _bpr_integral(t0: float, b: float, power: float, capacity: float, flow: float) -> float:
    more = power + 1.0
    return t0 * (flow + b * capacity * math.pow(flow / capacity, more) / more)


@compiled
def _conical(t0: float, a: float, capacity: float, flow: float) -> tuple[float, float]:
    b = (2.0 * a - 1.0) / (2.0 * a - 2.0)
    free = a * (1.0 - flow / capacity)
    root = np.sqrt(free * free + b * b)
    # as a difference, root - free would lose digits where the arc is nearly empty
    rise = b * b / (root + free) if free > 0.0 else root - free
    return t0 * (2.0 - b + rise), t0 * a / capacity * rise / root


@compiled
def _conical_integral(t0: float, a: float, capacity: float, flow: float) -> float:
    b = (2.0 * a - 1.0) / (2.0 * a - 2.0)
    ratio = flow / capacity
    straight = (2.0 - b - a) * ratio + 0.5 * a * ratio * ratio
    curved = _root_integral(a, b) - _root_integral(a * (1.0 - ratio), b)
    return t0 * capacity * (straight + curved / a)


@compiled
def _root_integral(z: float, b: float) -> float:
    """Integral of sqrt(z^2 + b^2)."""
    return 0.5 * (z * math.hypot(z, b) + b * b * math.asinh(z / b))


Named = tuple[float, float, float, float, float, float]  # values of FLOW, FREE_FLOW, ... LENGTH


@compiled
def _expression(
    code: IntArray, operand: FloatArray, begin: int, end: int, named: Named
) -> tuple[float, float]:
    """Value of an expression and its derivative in the flow, side by side on a stack."""
    value, slope = np.empty(end - begin), np.empty(end - begin)
    top = -1
    for k in range(begin, end):
        what = code[k]
        if what == CONSTANT:
            top += 1
            value[top], slope[top] = operand[k], 0.0
        elif what <= LENGTH:
            top += 1
            value[top], slope[top] = named[what - FLOW], 1.0 if what == FLOW else 0.0
        elif what == ADD:
            top -= 1
            value[top] += value[top + 1]
            slope[top] += slope[top + 1]
        elif what == MULTIPLY:
            top -= 1
            slope[top] = slope[top] * value[top + 1] + value[top] * slope[top + 1]
            value[top] *= value[top + 1]
        elif what == WHOLE_POWER:
            n = int(operand[k])
            slope[top] = _times(n * value[top] ** (n - 1), slope[top])
            value[top] = value[top] ** n
        elif what == RAISE:
            top -= 1
            base, n = value[top], value[top + 1]
            # a power of zero has no slope, also at zero
            change = 0.0 if n == 0.0 else _times(n * base ** (n - 1.0), slope[top])
            value[top] = base**n
            if slope[top + 1] != 0.0 and value[top] != 0.0:
                change += value[top] * np.log(base) * slope[top + 1]
            slope[top] = change
        elif what == SQRT:
            value[top] = np.sqrt(value[top])
            slope[top] = _times(0.5 / value[top], slope[top])
        elif what == EXP:
            value[top] = np.exp(value[top])
            slope[top] *= value[top]
        elif what == LOG:
            slope[top] /= value[top]
            value[top] = np.log(value[top])
        else:  # ABS
            slope[top] *= np.sign(value[top])
            value[top] = abs(value[top])
    return value[0], slope[0]


@compiled
def _times(outer: float, inner: float) -> float:
    """Product of outer and inner derivative; what does not change has none, however steep."""
    return 0.0 if inner == 0.0 else outer * inner


@compiled
def _quadrature(code: IntArray, operand: FloatArray, begin: int, end: int, named: Named) -> float:
    """Integral of an expression from zero to the flow, to rounding.

    Gauss-Legendre with 15 nodes on steps that are halved until two halves agree with the whole: a
    root near zero or a smoothed kink does not spoil it.
    """
    flow = named[0]
    # times do not decrease, so flow * time is no less than the integral
    tolerance = 1e-14 * flow * _expression(code, operand, begin, end, named)[0]
    least = flow * 2.0**-50
    total, start, step = 0.0, 0.0, flow
    while start < flow:
        stop = min(start + step, flow)
        middle = 0.5 * (start + stop)
        whole = _gauss(code, operand, begin, end, named, start, stop)
        halves = _gauss(code, operand, begin, end, named, start, middle)
        halves += _gauss(code, operand, begin, end, named, middle, stop)
        if abs(whole - halves) <= tolerance or not step > least:
            total += halves
            start = stop
            step *= 2.0
        else:
            step *= 0.5
    return total


@compiled
def _gauss(
    code: IntArray,
    operand: FloatArray,
    begin: int,
    end: int,
    named: Named,
    start: float,
    stop: float,
) -> float:
    half, total = 0.5 * (stop - start), 0.0
    for k in range(_NODES.size):
        flow = start + half * (1.0 + _NODES[k])
        at = (flow, named[1], named[2], named[3], named[4], named[5])
        total += _WEIGHTS[k] * _expression(code, operand, begin, end, at)[0]
    return half * total
