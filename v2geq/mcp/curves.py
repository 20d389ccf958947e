"""Scalar functions applied elementwise: value, first and second derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from v2geq.arrays import FloatArray


class Curve(Protocol):
    """A family of scalar functions, one per entry of the argument."""

    def value(self, x: FloatArray) -> FloatArray:
        """Function values, shape of `x`."""

    def first(self, x: FloatArray) -> FloatArray:
        """First derivatives, shape of `x`."""

    def second(self, x: FloatArray) -> FloatArray:
        """Second derivatives, shape of `x`."""


class Integrable(Curve, Protocol):
    """A curve whose integral from zero is known: an inverse demand and its gross benefit."""

    def integral(self, x: FloatArray) -> FloatArray:
        """Integrals from 0 to `x`, shape of `x`."""


@dataclass(frozen=True)
class Quadratic:
    """``linear * x + quadratic * x**2`` with one pair of coefficients per entry."""

    linear: FloatArray
    quadratic: FloatArray

    def value(self, x: FloatArray) -> FloatArray:
        return (self.linear + self.quadratic * x) * x

    def first(self, x: FloatArray) -> FloatArray:
        return self.linear + 2.0 * self.quadratic * x

    def second(self, x: FloatArray) -> FloatArray:
        return 2.0 * self.quadratic + 0.0 * x


@dataclass(frozen=True)
class Linear:
    """``intercept - slope * x``: a linear inverse demand."""

    intercept: FloatArray
    slope: FloatArray

    def value(self, x: FloatArray) -> FloatArray:
        return self.intercept - self.slope * x

    def first(self, x: FloatArray) -> FloatArray:
        return -self.slope + 0.0 * x

    def second(self, x: FloatArray) -> FloatArray:
        return 0.0 * x

    def integral(self, x: FloatArray) -> FloatArray:
        return (self.intercept - 0.5 * self.slope * x) * x
