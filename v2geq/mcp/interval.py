"""Arrays of intervals, rounded outwards: what is computed with them holds the true values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from v2geq.arrays import BoolArray, FloatArray

_MOST = np.finfo(float).max
#: relative errors of library functions: whole powers and exp, log; other powers, whose exponent may
#: have been rounded
_FUNCTION, _FRACTION = 1e-15, 1e-13


@dataclass(frozen=True, eq=False)
class Interval:
    """Lower and upper ends; NaN where the value may be undefined. Numbers count as exact."""

    low: FloatArray
    high: FloatArray
    #: arrays leave operations with intervals to this class
    __array_ufunc__: ClassVar[None] = None

    @staticmethod
    def of(value: Interval | FloatArray | float) -> Interval:
        """`value`, as an interval of no width if it is a number."""
        if isinstance(value, Interval):
            return value
        return Interval(np.asarray(value, dtype=float), np.asarray(value, dtype=float))

    def __add__(self, other: Any) -> Interval:
        other = Interval.of(other)
        low, below = _exact_sum(self.low, other.low)
        high, above = _exact_sum(self.high, other.high)
        return Interval(
            np.minimum(np.where(below < 0.0, np.nextafter(low, -np.inf), low), _MOST),
            np.maximum(np.where(above > 0.0, np.nextafter(high, np.inf), high), -_MOST),
        )

    __radd__ = __add__

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __mul__(self, other: Any) -> Interval:
        if isinstance(other, float) and abs(other) in (1.0, 2.0, 4.0):  # exact
            ends = other * self.low, other * self.high
            return Interval(*(ends if other > 0.0 else ends[::-1]))
        other = Interval.of(other)
        a, b, c, d = self.low, self.high, other.low, other.high
        with np.errstate(all="ignore"):
            products = [a * c, a * d, b * c, b * d]
        if np.isnan(products).any():
            # an infinite end is a bound, not a value: none of the values is infinite
            undefined = np.isnan(a) | np.isnan(c)
            products = [np.where(np.isnan(p) & ~undefined, 0.0, p) for p in products]
        low = np.minimum(np.minimum(products[0], products[1]), np.minimum(products[2], products[3]))
        high = np.maximum(
            np.maximum(products[0], products[1]), np.maximum(products[2], products[3])
        )
        positive = (a >= 0.0) & (c >= 0.0) | (b <= 0.0) & (d <= 0.0)
        negative = (a >= 0.0) & (d <= 0.0) | (b <= 0.0) & (c >= 0.0)
        return _outward(low, high, 0.0, positive, negative)

    __rmul__ = __mul__

    def power(self, exponent: FloatArray | float) -> Interval:
        """Power with exact exponents; undefined where a value may be."""
        low, high = self.low, self.high
        whole = exponent == np.floor(exponent)
        even = whole & (np.mod(exponent, 2.0) == 0.0)
        with np.errstate(all="ignore"):
            ends = np.power(low, exponent), np.power(high, exponent)
        least, most = np.minimum(*ends), np.maximum(*ends)
        least = np.where(even & (exponent > 0.0) & (low < 0.0) & (high > 0.0), 0.0, least)
        undefined = np.where(
            exponent < 0.0,
            (low <= 0.0) & (high >= 0.0) | ~whole & (low < 0.0),
            ~whole & (low < 0.0),
        )
        least, most = (np.where(undefined, np.nan, end) for end in (least, most))
        slack = np.where(whole, _FUNCTION, _FRACTION)
        return _outward(least, most, slack, even | (low >= 0.0), ~even & (high <= 0.0))

    def exp(self) -> Interval:
        with np.errstate(over="ignore"):
            return _outward(np.exp(self.low), np.exp(self.high), _FUNCTION, True, False)

    def log(self) -> Interval:
        with np.errstate(all="ignore"):
            low, high = (np.where(self.low > 0.0, np.log(e), np.nan) for e in (self.low, self.high))
        return _outward(low, high, _FUNCTION, self.low >= 1.0, self.high <= 1.0)

    def absolute(self, derivative: int) -> Interval:
        """Absolute value or a derivative of it; the second is not defined at zero."""
        if derivative == 0:
            most = np.maximum(-self.low, self.high)
            return Interval(np.where(np.isnan(self.low), np.nan, self.least_size), most)
        low, high = np.sign(self.low), np.sign(self.high)
        if derivative == 1:
            return Interval(np.where(low == 0.0, -1.0, low), np.where(high == 0.0, 1.0, high))
        kink = np.where(low * high > 0.0, 0.0, np.nan)
        return Interval(kink, kink)

    @property
    def bounded(self) -> BoolArray:
        """Whether defined, with finite ends."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    @property
    def least_size(self) -> FloatArray:
        """Least absolute value."""
        return np.maximum(np.maximum(self.low, -self.high), 0.0)


def _outward(
    low: FloatArray, high: FloatArray, slack: Any, positive: Any, negative: Any
) -> Interval:
    """Ends moved outwards by rounding and the relative error `slack`, yet not beyond a sign that is
    known."""
    with np.errstate(invalid="ignore"):
        # what overflowed is large, not infinite; an infinite end stays
        low, high = np.minimum(low, _MOST), np.maximum(high, -_MOST)
        if np.any(slack):
            low = low - slack * np.abs(low)
            high = high + slack * np.abs(high)
        low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
        low = np.where(positive, np.maximum(low, 0.0), low)
        high = np.where(negative, np.minimum(high, 0.0), high)
    return Interval(low, high)


def _exact_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A sum and what rounding took from it (Knuth's two-sum)."""
    with np.errstate(all="ignore"):
        total = a + b
        part = total - a
        return total, (a - (total - part)) + (b - part)
