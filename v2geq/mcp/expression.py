"""Scalar functions given as text: value and derivatives; conditions proved on a whole range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from v2geq.arrays import BoolArray, FloatArray
from v2geq.errors import DataError, quoted
from v2geq.mcp.curvature import convex_by_rules
from v2geq.mcp.curves import Formula
from v2geq.mcp.jet import Jet, entry, jet, plus, times
from v2geq.mcp.parse import Code, parse
from v2geq.mcp.proof import Condition, Conditions, Doubt, prove

#: what counts as rounding, as a fraction of the slope
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Expression:
    """A scalar function given as text, applied elementwise.

    Attributes
    ----------
    text : the expression; variable : its argument
    parameters : named arrays, one value per entry of the argument
    where : origin, for messages
    code : the expression as read
    """

    text: str
    variable: str
    parameters: Mapping[str, FloatArray]
    where: str
    code: Code

    @staticmethod
    def parse(
        text: str, *, variable: str, parameters: Mapping[str, FloatArray], where: str
    ) -> Expression:
        """Read `text`, an expression in `variable` and `parameters` with + - * / ** exp log sqrt.

        Raises
        ------
        DataError
            Unknown names or characters, or text that is not one expression, or too long a one.
        """
        code = parse(text, (variable, *parameters), where)
        return Expression(text, variable, dict(parameters), where, code)

    def derivatives(self, x: FloatArray, order: int) -> list[FloatArray]:
        """Value and derivatives up to `order`, each of the shape of `x`."""
        names: dict[str, Jet] = {name: [values] for name, values in self.parameters.items()}
        names[self.variable] = [x, 1.0]
        with np.errstate(all="ignore"):
            found = jet(self.code, names, order)
        return [np.array(np.broadcast_to(_filled(found, k), x.shape)) for k in range(order + 1)]

    def value(self, x: FloatArray) -> FloatArray:
        return self.derivatives(x, 0)[0]

    def first(self, x: FloatArray) -> FloatArray:
        return self.derivatives(x, 1)[1]

    def second(self, x: FloatArray) -> FloatArray:
        return self.derivatives(x, 2)[2]

    def integral(self, x: FloatArray) -> FloatArray:
        """Integral from 0 to x, by Gauss-Legendre quadrature with 40 nodes."""
        nodes, weights = np.polynomial.legendre.leggauss(40)
        total = np.zeros_like(x)
        for node, weight in zip(nodes, weights, strict=True):
            total += weight * self.value(0.5 * x * (1.0 + node))
        return 0.5 * x * total

    def formulas(self, n: int) -> list[Formula]:
        """The text itself; its derivative is left to the reader of the formula."""
        return [Formula(np.arange(n), self.variable, self.parameters, self.text)]

    def check_convex(self, low: float, high: float, *, unit: str = "kW") -> None:
        """Raise DataError unless proved to be finite and convex on [low, high].

        A slope that falls by less than `ROUNDING` of itself over the whole range counts as
        rounding.
        """
        start, end = np.array([float(low)]), np.array([float(high)])
        slack = np.array([ROUNDING / (high - low if high > low else 1.0)])
        x, first, second = self._sampled(start, end)
        conditions = _smooth if convex_by_rules(self.code, low, high) else _convex
        self._require(
            self._first_broken(x, second < -slack * np.abs(first))
            or self._doubt(conditions, (start, end, slack, _least_slope(first))),
            "the cost {} is not convex",
            "whether the cost {} is convex",
            "give a cost whose second derivative is >= 0 on the whole range",
            unit,
        )

    def check_inverse_demand(self, high: FloatArray) -> None:
        """Raise DataError unless proved finite, decreasing, 2 phi' + q |phi''| <= 0 on [0, high].

        The last holds up to `ROUNDING` of phi'.
        """
        low, slack = np.zeros_like(high), np.full_like(high, ROUNDING)
        q, first, second = self._sampled(low, high)
        bad = (first >= 0) | (2.0 * first + q * np.abs(second) > slack * np.abs(first))
        self._require(
            self._first_broken(q, bad)
            or self._doubt(_concave_revenue, (low, high, slack, _least_slope(first))),
            "the inverse demand {} breaks 2 phi' + q |phi''| <= 0, so the sellers' profit may not "
            "be concave,",
            "whether the inverse demand {} falls and keeps 2 phi' + q |phi''| <= 0",
            "give a decreasing price with less curvature, or a smaller market.demand_range",
        )

    def rises(self, high: FloatArray) -> Doubt | None:
        """None if proved finite and not falling from 0 to `high`, by entry.

        A value that falls by less than `ROUNDING` of itself counts as rounding.
        """
        arrays = np.zeros_like(high), high, ROUNDING / high, np.zeros_like(high)
        return self._doubt(_rising, arrays, 1)

    def _sampled(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, ...]:
        """Points from `low` to `high`, first and second derivative there; all must be finite."""
        x = low + np.linspace(0.0, 1.0, 201)[:, None] * (high - low)
        value, first, second = self.derivatives(x, 2)
        bad = ~(np.isfinite(value) & np.isfinite(first) & np.isfinite(second))
        if bad.any():
            raise DataError(
                f"{quoted(self.text)} or a derivative is not finite at {self.variable} = "
                f"{x[bad][0]:g}",
                where=self.where,
                advice="give a function that is twice differentiable on the whole range, for "
                "example with (x + 1)**1.5 for x**1.5",
            )
        return x, first, second

    def _first_broken(self, x: FloatArray, bad: BoolArray) -> Doubt | None:
        if not bad.any():
            return None
        at = float(x[bad][0])
        return Doubt(0, at, at, at)

    def _require(
        self, doubt: Doubt | None, broken: str, undecided: str, advice: str, unit: str = "kW"
    ) -> None:
        """Raise DataError if there is a doubt; the texts take the formula in place of {}."""
        if doubt is None:
            return
        name, text = self.variable, quoted(self.text)
        if doubt.at is not None:
            problem = f"{broken.format(text)} at {name} = {doubt.at:.9g} {unit}"
        else:
            problem = (
                f"{undecided.format(text)} could not be proved between {name} = {doubt.low:.9g} "
                f"and {doubt.high:.9g} {unit}"
            )
            advice += "; avoid kinks, steps and differences of nearly equal terms"
        raise DataError(problem, where=self.where, advice=advice)

    def _doubt(
        self, conditions: Conditions, arrays: tuple[FloatArray, ...], order: int = 2
    ) -> Doubt | None:
        names = tuple((n, v.tobytes()) for n, v in self.parameters.items())
        keys = tuple(a.tobytes() for a in arrays)
        return _proved(self.code, self.variable, names, keys, conditions, order)


def _least_slope(first: FloatArray) -> FloatArray:
    """Least size of a slope that is not zero, by entry; 0 where all are."""
    sizes = np.where(first == 0.0, np.inf, np.abs(first)).min(axis=0)
    return np.where(np.isinf(sizes), 0.0, sizes)


def _filled(of: Jet, k: int) -> FloatArray | float:
    value = entry(of, k)
    return 0.0 if value is None else value


@lru_cache(maxsize=256)
def _proved(
    code: Code,
    variable: str,
    parameters: tuple[tuple[str, bytes], ...],
    arrays: tuple[bytes, ...],
    conditions: Conditions,
    order: int,
) -> Doubt | None:
    """`prove`; a formula is checked each time a problem is built."""
    values = {name: np.frombuffer(v) for name, v in parameters}
    low, high, slack, floor = (np.frombuffer(a) for a in arrays)
    return prove(code, variable, values, low, high, conditions, order, slack, floor)


def _rising(x: Jet, f: Jet) -> list[Condition]:
    return [(f[1:], f)]


def _smooth(x: Jet, f: Jet) -> list[Condition]:
    return []


def _convex(x: Jet, f: Jet) -> list[Condition]:
    return [(f[2:], f[1:])]


def _concave_revenue(q: Jet, phi: Jet) -> list[Condition]:
    first, bend = phi[1:], times(q, phi[2:], 2) if len(phi) > 2 else [0.0]
    steep = times([-2.0], first, 2)
    # -2 phi' + sign q phi''
    both = [plus(steep, times([sign], bend, 2)) for sign in (-1.0, 1.0)]
    return [(times([-1.0], first, 2), None), *((margin, first) for margin in both)]
