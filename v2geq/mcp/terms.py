"""What a player's program is made of: variables, rows, costs, sales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.mcp.block import Label
from v2geq.mcp.curves import Curve
from v2geq.show import brief


@dataclass(frozen=True, eq=False)
class Stated:
    """A block of variables, or of rows, that a player states."""

    player: str
    name: str
    dims: tuple[str, ...]
    labels: tuple[Label, ...]
    unit: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def key(self) -> str:
        return f"{self.player}.{self.name}"


@dataclass(frozen=True, eq=False)
class Variable(Stated):
    """A block of decision variables of one player.

    `scale` is a magnitude of the data of each entry, `row_scale` one of its stationarity row.

    `reach` bounds the magnitude each entry can have in any state of the system. It never enters
    the KKT block; it keeps the player's deviation problem bounded, where a price error of 1e-7
    would otherwise read as billions.
    """

    lower: FloatArray
    upper: FloatArray
    scale: FloatArray
    row_scale: FloatArray
    start: FloatArray
    reach: FloatArray
    meaning: str

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Constraint(Stated):
    """Linear rows ``sum_v A_v v == rhs`` or ``>= rhs`` of one player.

    `rivals` are variables of others, by key, that the rows contain: their owners do not perceive
    the multiplier. `weights` multiplies the multiplier in the stationarity rows of single
    variables; it differs from one only where classes value the same resource differently (drivers
    with several values of time), in which case the block is no longer the KKT system of one
    program.
    """

    terms: Mapping[Variable, sp.csr_array]
    rhs: FloatArray
    equality: bool
    scale: FloatArray
    multiplier_scale: FloatArray
    start: FloatArray
    weights: Mapping[Variable, float]
    meaning: str
    rivals: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = brief

    def right_side(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """What the player's own terms must meet, given its rivals' strategies (by key)."""
        rest = self.rhs
        for key, matrix in self.rivals.items():
            rest = rest - matrix @ values[key]
        return rest


@dataclass(frozen=True, eq=False)
class _Nonlinear:
    variable: Variable
    curve: Curve
    rivals: Sequence[str] = ()

    def others(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Sum of the rivals' variables, entry by entry."""
        total = np.zeros(len(self.variable))
        for key in self.rivals:
            total = total + values[key]
        return total


@dataclass(frozen=True, eq=False)
class SeparableCost(_Nonlinear):
    """Convex cost ``sum_i curve_i(x_i)`` of one variable block."""

    __repr__ = brief

    def value(self, x: FloatArray, others: FloatArray) -> float:
        return float(self.curve.value(x).sum())

    def gradient(self, x: FloatArray, others: FloatArray) -> FloatArray:
        return self.curve.first(x)

    def hessian(self, x: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        h = self.curve.second(x)
        return h, np.zeros_like(h)


@dataclass(frozen=True, eq=False)
class CournotRevenue(_Nonlinear):
    """Cost ``- sum_i price_i(x_i + others_i) x_i``: a Cournot seller who foresees the price.

    `rivals` are keys of the rivals' variable blocks, with the same labels; `others` is their sum.
    """

    __repr__ = brief

    def value(self, x: FloatArray, others: FloatArray) -> float:
        return -float((self.curve.value(x + others) * x).sum())

    def gradient(self, x: FloatArray, others: FloatArray) -> FloatArray:
        s = x + others
        return -self.curve.value(s) - self.curve.first(s) * x

    def hessian(self, x: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        s = x + others
        cross = -self.curve.first(s) - self.curve.second(s) * x
        return cross - self.curve.first(s), cross


NonlinearCost = SeparableCost | CournotRevenue


@dataclass(frozen=True, eq=False)
class Product:
    """Cost ``sum_i x_i (matrix y)_i`` of an own variable x by a rival's y, $/h."""

    variable: Variable
    rival: str
    matrix: Any

    __repr__ = brief

    def price(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Cost of one more unit of x at the rival's strategy, $/h."""
        price: FloatArray = self.matrix @ values[self.rival]
        return price


@dataclass(frozen=True, eq=False)
class Composite:
    """Cost ``sum_i x_i curve_i((sum_k M_k y_k + c)_i)`` of an own variable x, $/h.

    The y are strategies, multipliers or prices by key, whose change by x its owner does not see.
    """

    variable: Variable
    curve: Curve
    parts: Mapping[str, sp.csr_array]
    constant: FloatArray

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Offer:
    """Net sales in one market as stated: at some of its labels, coefficients as given."""

    market: str
    terms: Mapping[Variable, Any]
    constant: Any
    at: tuple[Label, ...] | None

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Sales:
    """Net sales of a player in one market: ``sum_v S_v v + constant``, by label of the market."""

    market: str
    terms: Mapping[Variable, sp.csr_array]
    constant: FloatArray

    __repr__ = brief

    def quantity(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Net sales by label of the market at strategies `values` (by key)."""
        total = self.constant
        for v, m in self.terms.items():
            total = total + m @ values[v.key]
        return total
