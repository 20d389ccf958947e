"""Values and derivatives of formulas in one argument, side by side.

A jet is the sequence f, f', f'', ... up to some order, None for what is zero everywhere. Entries
are arrays, or intervals that hold the true values (`v2geq.mcp.interval`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from v2geq.mcp.interval import Interval
from v2geq.mcp.parse import ABS, ADD, EXP, MULTIPLY, NAME, NUMBER, POWER, RAISE, Code

Jet = Sequence[Any]


def jet(code: Code, names: Mapping[str, Jet], order: int) -> Jet:
    """Jet of a formula up to `order` (at most 4), given those of its names.

    Names that do not depend on the argument have jets of one entry.
    """
    stack: list[Jet] = []
    for what, operand in code:
        if what == NUMBER:
            stack.append([operand])
        elif what == NAME:
            stack.append(names[str(operand)][: order + 1])
        elif what == ABS:
            stack.append(_abs(stack.pop(), order))
        elif what == POWER:
            stack.append(_power(stack.pop(), float(operand), order))
        elif what in (ADD, MULTIPLY, RAISE):
            right, left = stack.pop(), stack.pop()
            if what == ADD:
                stack.append(plus(left, right))
            else:
                stack.append((times if what == MULTIPLY else _raised)(left, right, order))
        else:
            stack.append((_exp if what == EXP else _log)(stack.pop(), order))
    return stack.pop()


def entry(of: Jet, k: int) -> Any:
    """Derivative `k`, None where it is zero."""
    return of[k] if k < len(of) else None


def plus(a: Jet, b: Jet) -> Jet:
    return [_add(entry(a, k), entry(b, k)) for k in range(max(len(a), len(b)))]


def times(a: Jet, b: Jet, order: int) -> Jet:
    """By Leibniz's rule."""
    return [
        _total((math.comb(k, i), entry(a, i), entry(b, k - i)) for i in range(k + 1))
        for k in range(min(order, len(a) + len(b) - 2) + 1)
    ]


def _raised(base: Jet, exponent: Jet, order: int) -> Jet:
    if len(exponent) == 1:
        return _power(base, exponent[0], order)
    return _exp(times(exponent, _log(base, order), order), order)


def _power(inner: Jet, exponent: Any, order: int) -> Jet:
    """Power with an exponent that does not depend on the argument."""

    def outer(k: int) -> Any:
        factor: Any = math.prod(exponent - j for j in range(k))
        if not np.any(factor):
            return None
        value = _raise(inner[0], exponent - k)
        # a derivative that vanishes does so also where the power is infinite
        return value if k == 0 else _where_not_zero(factor, value)

    return _composed(outer, inner, order)


def _exp(inner: Jet, order: int) -> Jet:
    u = inner[0]
    value = u.exp() if isinstance(u, Interval) else np.exp(u)
    return _composed(lambda k: value, inner, order)


def _abs(inner: Jet, order: int) -> Jet:
    u = inner[0]
    if isinstance(u, Interval):
        return _composed(lambda k: u.absolute(k), inner, order)
    return _composed(lambda k: (np.abs(u), np.sign(u))[k] if k < 2 else None, inner, order)


def _log(inner: Jet, order: int) -> Jet:
    u = inner[0]

    def outer(k: int) -> Any:
        if k == 0:
            return u.log() if isinstance(u, Interval) else np.log(u)
        return _raise(u, float(-k)) * float((-1) ** (k - 1) * math.factorial(k - 1))

    return _composed(outer, inner, order)


def _composed(outer: Callable[[int], Any], v: Jet, order: int) -> Jet:
    """Jet of h(v), `outer` giving the derivatives of h at v, by Faa di Bruno's rule."""
    if len(v) == 1:
        return [outer(0)]
    v1, v2, v3, v4 = (entry(v, k) for k in range(1, 5))

    def power(value: Any, n: int) -> Any:
        return None if value is None else _raise(value, float(n))

    rules: list[Callable[[], list[tuple[int, Any, Any]]]] = [
        lambda: [(1, h[1], v1)],
        lambda: [(1, h[1], v2), (1, h[2], power(v1, 2))],
        lambda: [(1, h[1], v3), (3, h[2], _product(v1, v2)), (1, h[3], power(v1, 3))],
        lambda: [
            (1, h[1], v4),
            (4, h[2], _product(v1, v3)),
            (3, h[2], power(v2, 2)),
            (6, h[3], _product(power(v1, 2), v2)),
            (1, h[4], power(v1, 4)),
        ],
    ]
    h = [outer(k) for k in range(order + 1)]
    return [h[0], *(_total(rule()) for rule in rules[:order])]


# -- entries: numbers, arrays, intervals, or None for zero -----------------------------------------


def _add(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _product(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


def _total(terms: Iterable[tuple[int, Any, Any]]) -> Any:
    """Sum of products."""
    total = None
    for count, a, b in terms:
        term = _product(a, b)
        total = _add(total, term if count == 1 or term is None else term * float(count))
    return total


def _raise(base: Any, exponent: Any) -> Any:
    if isinstance(base, Interval):
        return base.power(exponent)
    if isinstance(exponent, float) and exponent == -1.0:
        return 1.0 / base
    if isinstance(exponent, float) and exponent == 0.5:
        return np.sqrt(base)
    return np.asarray(base, dtype=float) ** exponent


def _where_not_zero(factor: Any, value: Any) -> Any:
    product = value * factor
    if isinstance(factor, float):
        return product
    if isinstance(value, Interval):
        ends = (np.where(factor == 0.0, 0.0, end) for end in (product.low, product.high))
        return Interval(*ends)
    return np.where(factor == 0.0, 0.0, product)
