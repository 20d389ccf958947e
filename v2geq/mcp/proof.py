"""Proofs that formulas keep their conditions on a whole range, by interval arithmetic.

The range is halved until every piece is proved, a point breaks a condition, or a limit of work is
reached. On each piece the true values lie in the formula evaluated with intervals, and in its
Taylor polynomial at the middle with the remainder so evaluated; both enclosures are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.mcp.interval import Interval
from v2geq.mcp.jet import Jet, entry, jet
from v2geq.mcp.parse import Code

#: pieces times instructions that are evaluated before a proof is given up; pieces of each entry
#: that are evaluated in any case; pieces that take as long as one
_WORK, _PIECES, _OVERHEAD = 400_000, 20, 300
#: pieces are halved down to this fraction of the range
_FINEST = 2.0**-40
#: pieces of a range to begin with, where there are few entries
_FIRST = 8

#: (condition, scale): the condition is to be no less than -`slack` times the scale's size, at least
#: that of `floor`, or than 0 where the scale is None
Condition = tuple[Jet, Jet | None]
#: from the jets of the argument and of the formula, of the orders told, to conditions, whose jets
#: have two orders more than the conditions need
Conditions = Callable[[Jet, Jet], list[Condition]]


@dataclass(frozen=True)
class Doubt:
    """A piece of the range of one entry on which a condition could not be proved.

    `at` is a point that breaks a condition, or None where none was found.
    """

    entry: int
    low: float
    high: float
    at: float | None = None


def prove(
    code: Code,
    variable: str,
    parameters: Mapping[str, FloatArray],
    low: FloatArray,
    high: FloatArray,
    conditions: Conditions,
    order: int,
    slack: FloatArray,
    floor: FloatArray,
) -> Doubt | None:
    """None if the formula and its derivatives up to `order` are finite and keep all conditions.

    Parameters
    ----------
    code, variable, parameters
        The formula; `parameters` hold one value per entry.
    low, high
        Range of the argument, by entry.
    conditions, slack, floor
        What is to hold, on derivatives up to `order`; what counts as rounding, by entry.
    """
    pieces = max(1, _FIRST // max(1, low.size))
    cuts = [low + (high - low) * (k / pieces) for k in range(1, pieces)]
    left, right = np.concatenate([low, *cuts]), np.concatenate([*cuts, high])
    at = np.tile(np.arange(low.size), pieces)
    work = max(_WORK, _PIECES * low.size * len(code))
    while True:
        work -= max(left.size, _OVERHEAD) * len(code)
        if work < 0:
            return _widest(at, left, right)
        own = {name: values[at] for name, values in parameters.items()}
        middle = left + 0.5 * (right - left)
        with np.errstate(all="ignore"):
            proved, broken = _judge(
                code,
                variable,
                own,
                (left, middle, right),
                conditions,
                order,
                (slack[at], floor[at]),
            )
        if broken.any():
            k = int(np.argmax(broken))
            return Doubt(int(at[k]), float(left[k]), float(right[k]), float(middle[k]))
        open_ = ~proved
        left, middle, right, at = left[open_], middle[open_], right[open_], at[open_]
        if not at.size:
            return None
        if (right - left <= _FINEST * (high - low)[at]).any():
            return _widest(at, left, right)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        at = np.concatenate([at, at])


def _widest(at: IntArray, left: FloatArray, right: FloatArray) -> Doubt:
    """What is left of the first entry in doubt, from its first piece to its last."""
    own = at == at[0]
    return Doubt(int(at[0]), float(left[own].min()), float(right[own].max()))


def _judge(
    code: Code,
    variable: str,
    parameters: Mapping[str, FloatArray],
    ends: tuple[FloatArray, FloatArray, FloatArray],
    conditions: Conditions,
    order: int,
    rounding: tuple[FloatArray, FloatArray],
) -> tuple[BoolArray, BoolArray]:
    """Where all conditions are proved, and where the middle breaks one."""
    left, middle, right = ends
    slack, floor = rounding
    constant: dict[str, Jet] = {name: [values] for name, values in parameters.items()}

    def evaluated(x: Interval) -> tuple[Jet, list[Condition]]:
        argument: Jet = [x, 1.0]
        f = jet(code, {**constant, variable: argument}, order + 2)
        return f, conditions(argument, f)

    piece, point = Interval(left, right), Interval(middle, middle)
    f, on_piece = evaluated(piece)
    _, at_middle = evaluated(point)
    reach = np.nextafter(np.maximum(right - middle, middle - left), np.inf)
    step = Interval(-reach, reach)
    half_square = Interval(np.zeros_like(reach), np.nextafter(0.5 * reach * reach, np.inf))

    proved = np.ones(left.size, dtype=bool)
    for k in range(order + 1):
        if (derivative := entry(f, k)) is not None:
            proved &= Interval.of(derivative).bounded
    broken = np.zeros(left.size, dtype=bool)
    for (whole, scale), (local, local_scale) in zip(on_piece, at_middle, strict=True):
        # None: zero everywhere
        value = _interval(entry(whole, 0), left)
        expanded = _interval(entry(local, 0), left)
        expanded += _interval(entry(local, 1), left) * step
        expanded += _interval(entry(whole, 2), left) * half_square
        least = np.fmax(value.low, expanded.low)
        allowed = np.zeros_like(least)
        if scale is not None:
            allowed = slack * np.maximum(_interval(entry(scale, 0), left).least_size, floor)
        proved &= least >= -allowed
        most = _interval(entry(local, 0), left).high
        if local_scale is not None:
            size = _interval(entry(local_scale, 0), left)
            most = most + slack * np.maximum(np.maximum(size.high, -size.low), floor)
        broken |= most < 0.0
    return proved, broken


def _interval(value: object, like: FloatArray) -> Interval:
    """`value` as intervals of the shape of `like`; None is zero."""
    given = Interval.of(0.0 if value is None else value)  # type: ignore[arg-type]
    low, high = (np.broadcast_to(end, like.shape) for end in (given.low, given.high))
    return Interval(low, high)
