"""Scalar functions applied elementwise: value, first and second derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.show import brief


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
class Formula:
    """A curve written out for some of its entries, for export to modelling languages.

    Attributes
    ----------
    positions : the entries it holds for
    variable : name of the argument in the text
    parameters : named arrays, one value per position
    value, first : value (of a cost: up to a constant) and first derivative, in + - * / ** exp
        log sqrt max and the names; without `first` it is the derivative of `value`; a cost with
        `first` may leave out its value
    """

    positions: IntArray
    variable: str
    parameters: Mapping[str, FloatArray]
    value: str
    first: str = ""

    __repr__ = brief


class Written(Curve, Protocol):
    """A curve that can be written out; `n` is the number of its entries."""

    def formulas(self, n: int) -> list[Formula]:
        """Formulas that cover every entry once."""


@dataclass(frozen=True)
class Quadratic:
    """``linear * x + quadratic * x**2`` with one pair of coefficients per entry."""

    linear: FloatArray
    quadratic: FloatArray

    __repr__ = brief

    def value(self, x: FloatArray) -> FloatArray:
        return (self.linear + self.quadratic * x) * x

    def first(self, x: FloatArray) -> FloatArray:
        return self.linear + 2.0 * self.quadratic * x

    def second(self, x: FloatArray) -> FloatArray:
        return 2.0 * self.quadratic + 0.0 * x

    def formulas(self, n: int) -> list[Formula]:
        named = {"linear": self.linear, "quadratic": self.quadratic}
        return [
            Formula(np.arange(n), "x", named, "linear*x + quadratic*x**2", "linear + 2*quadratic*x")
        ]


@dataclass(frozen=True)
class Linear:
    """``intercept - slope * x``: a linear inverse demand."""

    intercept: FloatArray
    slope: FloatArray

    __repr__ = brief

    def value(self, x: FloatArray) -> FloatArray:
        return self.intercept - self.slope * x

    def first(self, x: FloatArray) -> FloatArray:
        return -self.slope + 0.0 * x

    def second(self, x: FloatArray) -> FloatArray:
        return 0.0 * x

    def integral(self, x: FloatArray) -> FloatArray:
        return (self.intercept - 0.5 * self.slope * x) * x

    def formulas(self, n: int) -> list[Formula]:
        named = {"intercept": self.intercept, "slope": self.slope}
        return [Formula(np.arange(n), "q", named, "intercept - slope*q", "-slope")]


@dataclass(frozen=True)
class Part:
    """Some entries of a curve of `size` entries, those at `kept`."""

    curve: Curve
    size: int
    kept: IntArray

    __repr__ = brief

    def _at(self, what: str, x: FloatArray) -> FloatArray:
        whole = np.zeros(self.size)
        whole[self.kept] = x
        some: FloatArray = getattr(self.curve, what)(whole)[self.kept]
        return some

    def value(self, x: FloatArray) -> FloatArray:
        return self._at("value", x)

    def first(self, x: FloatArray) -> FloatArray:
        return self._at("first", x)

    def second(self, x: FloatArray) -> FloatArray:
        return self._at("second", x)

    def formulas(self, n: int) -> list[Formula]:
        place = np.full(self.size, -1)
        place[self.kept] = np.arange(n)
        out = []
        for f in getattr(self.curve, "formulas")(self.size):  # noqa: B009
            here = place[f.positions] >= 0
            own = {k: np.broadcast_to(v, here.shape)[here] for k, v in f.parameters.items()}
            out.append(replace(f, positions=place[f.positions[here]], parameters=own))
        return [f for f in out if len(f.positions)]


@dataclass(frozen=True)
class Joined:
    """Curves of some entries each, side by side: (positions, curve) pairs that cover all."""

    parts: Sequence[tuple[slice, Written]]

    __repr__ = brief

    def _apply(self, what: str, x: FloatArray) -> FloatArray:
        out = np.empty_like(x)
        for where, curve in self.parts:
            out[where] = getattr(curve, what)(x[where])
        return out

    def value(self, x: FloatArray) -> FloatArray:
        return self._apply("value", x)

    def first(self, x: FloatArray) -> FloatArray:
        return self._apply("first", x)

    def second(self, x: FloatArray) -> FloatArray:
        return self._apply("second", x)

    def formulas(self, n: int) -> list[Formula]:
        everyone = np.arange(n)
        return [
            replace(f, positions=everyone[where][f.positions])
            for where, curve in self.parts
            for f in curve.formulas(len(everyone[where]))
        ]
