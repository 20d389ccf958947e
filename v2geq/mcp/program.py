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
from v2geq.errors import DataError, did_you_mean
from v2geq.mcp.block import Label, as_labels
from v2geq.mcp.checks import positive, real_numbers, unique_labels, usable_bounds, vector
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

    def __post_init__(self) -> None:
        positive(f"the money scale of player {self.player!r}", self.money_scale, 1)

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

        Raises
        ------
        DataError
            A name or label declared twice, crossed bounds, numbers that are none or do not fit.
        """
        n = len(labels)
        what = self._new_name(name, dims, as_labels(labels))
        low, high = usable_bounds(
            vector(f"the lower bound of {what}", lower, n, finite=False),
            vector(f"the upper bound of {what}", upper, n, finite=False),
            lambda k: f"{what}[{', '.join(as_labels(labels)[k])}]" if dims else what,
        )
        size = positive(f"the scale of {what}", scale, n)
        var = Variable(
            self.player,
            name,
            tuple(dims),
            as_labels(labels),
            unit,
            low,
            high,
            size,
            self._partner_scale(f"the row scale of {what}", row_scale, size),
            vector(f"the start of {what}", start, n),
            vector(f"the reach of {what}", reach, n, finite=False),
            meaning,
        )
        self.variables.append(var)
        return var

    def _partner_scale(
        self, what: str, given: float | FloatArray | None, size: FloatArray
    ) -> FloatArray:
        return self.money_scale / size if given is None else positive(what, given, len(size))

    def cost(self, variable: Variable, coefficient: float | FloatArray) -> None:
        """Add a linear cost ($/h per unit)."""
        self._own(variable, "a cost")
        previous = self.linear.get(variable, np.zeros(len(variable)))
        more = vector(f"the cost of {variable.key}", coefficient, len(variable))
        self.linear[variable] = previous + more

    def separable_cost(self, variable: Variable, curve: Curve) -> None:
        """Add a convex cost that acts on each entry alone."""
        self._own(variable, "a cost")
        _check_curve(variable, curve)
        self.nonlinear.append(SeparableCost(variable, curve))

    def cournot_revenue(self, variable: Variable, price: Curve, rivals: Sequence[str]) -> None:
        """Add the revenue of a seller who foresees the price's answer to its own quantity."""
        self._own(variable, "a revenue")
        _check_curve(variable, price)
        self.nonlinear.append(CournotRevenue(variable, price, tuple(rivals)))

    def sell(
        self, market: str, terms: Mapping[Variable, Coefficient], rows: int, constant: Any = 0.0
    ) -> None:
        """Sell (positive) or buy (negative) in a market of `rows` labels at its price."""
        what = f"sales of player {self.player!r} in market {market!r}"
        self.sales.append(
            Sales(
                market,
                self._matrices(what, terms, rows),
                vector(f"the constant of {what}", constant, rows),
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
        what = self._new_name(name, dims, as_labels(labels))
        for v, weight in (weights or {}).items():
            self._own(v, f"rows {what}")
            vector(f"the weight of {v.key} in rows {what}", weight, 1)
        size = positive(f"the scale of rows {what}", scale, n)
        row = Constraint(
            self.player,
            name,
            tuple(dims),
            as_labels(labels),
            unit,
            self._matrices(f"rows {what}", terms, n),
            vector(f"the right side of rows {what}", rhs, n),
            equality,
            size,
            self._partner_scale(f"the multiplier scale of rows {what}", multiplier_scale, size),
            vector(f"the start of rows {what}", start, n),
            dict(weights or {}),
            meaning,
        )
        self.constraints.append(row)
        return row

    def _new_name(self, name: str, dims: Sequence[str], labels: Sequence[Label]) -> str:
        """Key of a new block; raises DataError where it or one of its labels is there already."""
        key = f"{self.player}.{name}"
        if key in [v.key for v in self.variables] + [c.key for c in self.constraints]:
            raise DataError(f"player {self.player!r} declares {name!r} twice")
        unique_labels(key, labels, dims)
        return key

    def _own(self, variable: Variable, where: str) -> None:
        """Raises DataError where `variable` was not declared by this program."""
        if not any(variable is v for v in self.variables):
            name = variable.key if isinstance(variable, Variable) else repr(variable)
            raise DataError(
                f"{where} of player {self.player!r} names {name}, which is no variable of that "
                "player",
                advice="declare it with `variable` of the same program",
            )

    def _matrices(
        self, what: str, terms: Mapping[Variable, Coefficient], rows: int
    ) -> dict[Variable, sp.csr_array]:
        for v in terms:
            self._own(v, what)
        return {v: _matrix(f"{what}, {v.key}", c, rows, len(v)) for v, c in terms.items()}

    @property
    def is_optimisation(self) -> bool:
        """Whether the block is the KKT system of one convex program."""
        return all(w == 1.0 for c in self.constraints for w in c.weights.values())

    def check_prices(self, prices: Mapping[str, FloatArray]) -> None:
        """Raises DataError where a market of this player has no prices, or too few or many."""
        for sale in self.sales:
            if sale.market not in prices:
                raise DataError(
                    f"player {self.player!r} sells in market {sale.market!r}, which has no prices",
                    advice=did_you_mean(sale.market, prices),
                )
            if np.shape(prices[sale.market]) != sale.constant.shape:
                raise DataError(
                    f"player {self.player!r} sells in {len(sale.constant)} rows of market "
                    f"{sale.market!r}, which has prices of shape {np.shape(prices[sale.market])}"
                )

    def profit(
        self,
        values: Mapping[str, FloatArray],
        prices: Mapping[str, FloatArray],
    ) -> float:
        """Profit in $/h at strategies `values` (all players', by key) and market `prices`."""
        total = 0.0
        self.check_prices(prices)
        for sale in self.sales:
            total += float(prices[sale.market] @ sale.quantity(values))
        for v, c in self.linear.items():
            total -= float(c @ values[v.key])
        for term in self.nonlinear:
            total -= term.value(values[term.variable.key], term.others(values))
        return total


def _check_curve(variable: Variable, curve: Curve) -> None:
    """Raises DataError where a curve has another number of entries than its variable."""
    begin = np.clip(variable.start, variable.lower, variable.upper)
    with np.errstate(all="ignore"):
        try:
            shape = np.shape(curve.first(begin))
        except ValueError as error:
            raise DataError(f"the curve of {variable.key} does not fit it: {error}") from error
    if shape != begin.shape:
        raise DataError(f"the curve of {variable.key} returns shape {shape}, not {begin.shape}")


def _matrix(what: str, coefficient: Coefficient, rows: int, columns: int) -> sp.csr_array:
    if sp.issparse(coefficient):
        matrix = sp.csr_array(coefficient)
    else:
        array = real_numbers(what, coefficient)
        if array.ndim == 2:
            matrix = sp.csr_array(array)
        else:
            if rows != columns or array.size not in (1, rows):
                raise DataError(
                    f"{what}: a diagonal of {array.size} entries does not fit {rows} rows and "
                    f"{columns} variables"
                )
            matrix = sp.csr_array(sp.diags_array(np.broadcast_to(array, (rows,)).astype(float)))
    if matrix.shape != (rows, columns):
        raise DataError(f"{what}: expected a {rows} x {columns} matrix, got {matrix.shape}")
    if not np.isfinite(real_numbers(what, matrix.data)).all():
        raise DataError(f"{what}: a coefficient is not finite")
    return matrix
