"""A player's problem, stated once, and its KKT block.

A player minimises ``f(x, rivals) - sum over markets of price * sales(x)`` over bounds and linear
constraints. Sign conventions, used everywhere:

* constraints read ``A x == b`` or ``A x >= b``; the multiplier y (free, or >= 0) is the rise of the
  optimal cost per unit of b, so stationarity is ``grad f - A' y - sales' price`` and the
  multiplier's row is ``A x - b``;
* bounds belong to variables only, never to rows;
* a market's price is paired with the sum of all players' net sales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.mcp.block import Label, as_labels
from v2geq.mcp.curves import Curve

Coefficient = Any
"""A scalar, a vector (one per entry) or a sparse matrix (rows x entries)."""


@dataclass(frozen=True, eq=False)
class Variable:
    """A block of decision variables of one player.

    `scale` is a magnitude of the data of each entry, `row_scale` one of its stationarity row.

    `reach` bounds the magnitude each entry can have in any state of the system. It never enters
    the KKT block; it keeps the player's deviation problem bounded, where a price error of 1e-7
    would otherwise read as billions.
    """

    player: str
    name: str
    dims: tuple[str, ...]
    labels: tuple[Label, ...]
    unit: str
    lower: FloatArray
    upper: FloatArray
    scale: FloatArray
    row_scale: FloatArray
    start: FloatArray
    reach: FloatArray
    meaning: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def key(self) -> str:
        return f"{self.player}.{self.name}"


@dataclass(frozen=True, eq=False)
class Constraint:
    """Linear rows ``sum_v A_v v == rhs`` or ``>= rhs`` of one player.

    `weights` multiplies the multiplier in the stationarity rows of single variables; it differs
    from one only where classes value the same resource differently (drivers with several values
    of time), in which case the block is no longer the KKT system of one program.
    """

    player: str
    name: str
    dims: tuple[str, ...]
    labels: tuple[Label, ...]
    unit: str
    terms: Mapping[Variable, sp.csr_array]
    rhs: FloatArray
    equality: bool
    scale: FloatArray
    multiplier_scale: FloatArray
    start: FloatArray
    weights: Mapping[Variable, float]
    meaning: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def key(self) -> str:
        return f"{self.player}.{self.name}"


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
class Sales:
    """Net sales of a player in one market: ``sum_v S_v v + constant``, by label of the market."""

    market: str
    terms: Mapping[Variable, sp.csr_array]
    constant: FloatArray

    def quantity(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Net sales by label of the market at strategies `values` (by key)."""
        total = self.constant
        for v, m in self.terms.items():
            total = total + m @ values[v.key]
        return total


@dataclass
class Program:
    """Statement of one player's problem.

    Parameters
    ----------
    player
        Name; prefixes every variable and constraint.
    money_scale
        $/h by which the scale of a partner follows where none is given: ``money_scale / scale``,
        so that variable and row multiply to $/h.
    """

    player: str
    money_scale: float
    variables: list[Variable] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    linear: dict[Variable, FloatArray] = field(default_factory=dict)
    nonlinear: list[NonlinearCost] = field(default_factory=list)
    sales: list[Sales] = field(default_factory=list)

    def variable(
        self,
        name: str,
        dims: Sequence[str],
        labels: Sequence[str | Label],
        *,
        unit: str,
        scale: float | FloatArray,
        row_scale: float | FloatArray | None = None,
        lower: float | FloatArray = 0.0,
        upper: float | FloatArray = np.inf,
        start: float | FloatArray = 0.0,
        reach: float | FloatArray = np.inf,
        meaning: str = "",
    ) -> Variable:
        """Declare a block of variables with bounds, unit, data scale, start value and reach.

        `row_scale` is the scale of the stationarity rows, ``money_scale / scale`` if left out.
        """
        n = len(labels)
        size = _vector(scale, n)
        var = Variable(
            self.player,
            name,
            tuple(dims),
            as_labels(labels),
            unit,
            _vector(lower, n),
            _vector(upper, n),
            size,
            self.money_scale / size if row_scale is None else _vector(row_scale, n),
            _vector(start, n),
            _vector(reach, n),
            meaning,
        )
        self.variables.append(var)
        return var

    def cost(self, variable: Variable, coefficient: float | FloatArray) -> None:
        """Add a linear cost ($/h per unit)."""
        previous = self.linear.get(variable, np.zeros(len(variable)))
        self.linear[variable] = previous + _vector(coefficient, len(variable))

    def separable_cost(self, variable: Variable, curve: Curve) -> None:
        """Add a convex cost that acts on each entry alone."""
        self.nonlinear.append(SeparableCost(variable, curve))

    def cournot_revenue(self, variable: Variable, price: Curve, rivals: Sequence[str]) -> None:
        """Add the revenue of a seller who foresees the price's answer to its own quantity."""
        self.nonlinear.append(CournotRevenue(variable, price, tuple(rivals)))

    def sell(
        self, market: str, terms: Mapping[Variable, Coefficient], rows: int, constant: Any = 0.0
    ) -> None:
        """Sell (positive) or buy (negative) in a market of `rows` labels at its price."""
        self.sales.append(
            Sales(
                market,
                {v: _matrix(c, rows, len(v)) for v, c in terms.items()},
                _vector(constant, rows),
            )
        )

    def equality(
        self, name: str, dims: Sequence[str], labels: Sequence[Any], **kw: Any
    ) -> Constraint:
        """Add rows ``sum A v == rhs``; the multiplier is free. Keywords: see `Constraint`."""
        return self._constraint(name, dims, labels, equality=True, **kw)

    def at_least(
        self, name: str, dims: Sequence[str], labels: Sequence[Any], **kw: Any
    ) -> Constraint:
        """Add rows ``sum A v >= rhs``; the multiplier is >= 0. Keywords: see `Constraint`."""
        return self._constraint(name, dims, labels, equality=False, **kw)

    def _constraint(
        self,
        name: str,
        dims: Sequence[str],
        labels: Sequence[str | Label],
        *,
        equality: bool,
        terms: Mapping[Variable, Coefficient],
        rhs: float | FloatArray = 0.0,
        unit: str,
        scale: float | FloatArray,
        multiplier_scale: float | FloatArray | None = None,
        start: float | FloatArray = 0.0,
        weights: Mapping[Variable, float] | None = None,
        meaning: str = "",
    ) -> Constraint:
        n = len(labels)
        size = _vector(scale, n)
        row = Constraint(
            self.player,
            name,
            tuple(dims),
            as_labels(labels),
            unit,
            {v: _matrix(c, n, len(v)) for v, c in terms.items()},
            _vector(rhs, n),
            equality,
            size,
            self.money_scale / size
            if multiplier_scale is None
            else _vector(multiplier_scale, n),
            _vector(start, n),
            dict(weights or {}),
            meaning,
        )
        self.constraints.append(row)
        return row

    @property
    def is_optimisation(self) -> bool:
        """Whether the block is the KKT system of one convex program."""
        return all(w == 1.0 for c in self.constraints for w in c.weights.values())

    def profit(
        self,
        values: Mapping[str, FloatArray],
        prices: Mapping[str, FloatArray],
    ) -> float:
        """Profit in $/h at strategies `values` (all players', by key) and market `prices`."""
        total = 0.0
        for sale in self.sales:
            total += float(prices[sale.market] @ sale.quantity(values))
        for v, c in self.linear.items():
            total -= float(c @ values[v.key])
        for term in self.nonlinear:
            total -= term.value(values[term.variable.key], term.others(values))
        return total


def _vector(value: Any, n: int) -> FloatArray:
    array = np.asarray(value, dtype=float)
    if array.ndim and array.shape != (n,):
        raise ValueError(f"expected {n} values, got shape {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (n,)))


def _matrix(coefficient: Coefficient, rows: int, columns: int) -> sp.csr_array:
    if sp.issparse(coefficient):
        matrix = sp.csr_array(coefficient)
    else:
        array = np.asarray(coefficient, dtype=float)
        if array.ndim == 2:
            matrix = sp.csr_array(array)
        else:
            if rows != columns:
                raise ValueError(f"a diagonal coefficient needs {rows} == {columns} entries")
            matrix = sp.csr_array(sp.diags_array(np.broadcast_to(array, (rows,)).astype(float)))
    if matrix.shape != (rows, columns):
        raise ValueError(f"expected a {rows} x {columns} matrix, got {matrix.shape}")
    return matrix
