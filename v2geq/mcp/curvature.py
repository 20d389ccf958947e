"""Convexity of formulas by the rules of composition.

They prove at once what intervals cannot where curvature vanishes next to terms that cancel, as in
log(1 + exp(x)) for large x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from v2geq.mcp.interval import Interval
from v2geq.mcp.parse import ABS, ADD, EXP, LOG, MULTIPLY, NAME, NUMBER, POWER, RAISE, Code


@dataclass(frozen=True)
class _Shape:
    """What is known of a part of a formula on the whole range.

    `squares`: a sum of squares of affine functions and constants >= 0, whose root is convex
    """

    values: Interval
    affine: bool = False
    convex: bool = False
    concave: bool = False
    log_convex: bool = False
    squares: bool = False

    @property
    def number(self) -> float | None:
        """Its value if it is a constant."""
        return float(self.values.low) if self.values.low == self.values.high else None


def convex_by_rules(code: Code, low: float, high: float) -> bool:
    """Whether the rules show a formula in one name to be convex on [low, high]."""
    stack: list[_Shape] = []
    for what, operand in code:
        if what == NUMBER:
            stack.append(_constant(float(operand)))
        elif what == NAME:
            values = Interval(np.asarray(low), np.asarray(high))
            stack.append(_Shape(values, affine=True, convex=True, concave=True))
        elif what == POWER:
            stack.append(_power(stack.pop(), float(operand)))
        elif what == ABS:
            a = stack.pop()
            stack.append(_Shape(a.values.absolute(0), convex=a.affine))
        elif what == EXP:
            stack.append(_exp(stack.pop()))
        elif what == LOG:
            stack.append(_log(stack.pop()))
        else:
            b, a = stack.pop(), stack.pop()
            stack.append({ADD: _sum, MULTIPLY: _product, RAISE: _raised}[what](a, b))
    return stack.pop().convex


def _constant(c: float) -> _Shape:
    return _Shape(Interval.of(c), True, True, True, log_convex=c > 0.0, squares=c >= 0.0)


def _sum(a: _Shape, b: _Shape) -> _Shape:
    return _Shape(
        a.values + b.values,
        a.affine and b.affine,
        a.convex and b.convex,
        a.concave and b.concave,
        a.log_convex and b.log_convex,
        a.squares and b.squares,
    )


def _product(a: _Shape, b: _Shape) -> _Shape:
    if a.number is None:
        a, b = b, a
    values, c = a.values * b.values, a.number
    if c is None:
        both = a.log_convex and b.log_convex
        return _Shape(values, convex=both, log_convex=both)
    if c < 0.0:
        return _Shape(values, b.affine, b.concave, b.convex)
    return replace(b, values=values, log_convex=b.log_convex and c > 0.0)


def _power(a: _Shape, r: float) -> _Shape:
    positive = bool(a.values.low > 0.0)
    falling = r < 0.0 and positive and a.concave
    log_convex = falling or (r > 0.0 and a.log_convex)
    convex = (
        log_convex
        or (a.affine and r > 0.0 and r % 2.0 == 0.0)
        or (r >= 1.0 and bool(a.values.low >= 0.0) and a.convex)
        or (r == 0.5 and a.squares)
    )
    concave = 0.0 < r <= 1.0 and bool(a.values.low >= 0.0) and a.concave
    squares = r == 2.0 and a.affine
    return _Shape(a.values.power(r), False, convex, concave, log_convex, squares)


def _exp(a: _Shape) -> _Shape:
    return _Shape(a.values.exp(), convex=a.convex, log_convex=a.convex)


def _log(a: _Shape) -> _Shape:
    return _Shape(a.values.log(), convex=a.log_convex, concave=a.concave)


def _raised(base: _Shape, exponent: _Shape) -> _Shape:
    if base.number is not None and base.number > 0.0:
        return _exp(_product(_constant(math.log(base.number)), exponent))
    return _exp(_Shape(exponent.values * base.values.log()))
