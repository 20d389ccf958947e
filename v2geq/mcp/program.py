"""One player's problem, stated once: variables, costs, constraints, sales in markets.

A program describes

    minimise  sum_v (c_v' v + sum_i cost_i(v_i)) - sum_m price_m' (S_m v + s_m)
    subject to  lower <= v <= upper,  A v = b (multiplier free),  A v >= b (multiplier >= 0)

in the player's own strategies v, prices and rivals' strategies given. Everything else follows from
this statement: the KKT block, the deviation problem, the player's account, its labelled results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, did_you_mean
from v2geq.mcp.block import Label, as_labels
from v2geq.mcp.checks import positive, real_numbers, unique_labels, usable_bounds, vector
from v2geq.mcp.coefficients import Coefficient, matrix_of
from v2geq.mcp.convexity import (
    check_convex,
    check_curve,
    farthest,
    formula,
    inverse_demand,
    principal_parts,
)
from v2geq.mcp.curves import Curve, Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.terms import (
    Constraint,
    CournotRevenue,
    NonlinearCost,
    Offer,
    Product,
    Sales,
    SeparableCost,
    Variable,
)

SCALAR: tuple[Label, ...] = ((),)


class Scales(Protocol):
    """Magnitudes of the data, from which a program takes the scales that are not given."""

    @property
    def money_scale(self) -> float:
        """$/h."""

    def scale_of(self, unit: str) -> float | None:
        """Magnitude of quantities in a unit; None for units it does not know."""


@dataclass(frozen=True)
class FixedScales:
    """Scales of a program that stands for itself, by unit."""

    money_scale: float
    units: Mapping[str, float] = field(default_factory=dict)

    def scale_of(self, unit: str) -> float | None:
        return self.units.get(unit)


class Program:
    """Statement of one player's problem.

    Parameters
    ----------
    player
        Name; prefixes every variable and constraint.
    scales
        Where scales that are not given come from: the scenario a player's function is called with,
        or the money scale ($/h) alone.
    title
        The player in words, for the equations page.

    Attributes
    ----------
    linear, margins : by variable, cost and margin of one more unit, $/h
    nonlinear, products : other costs
    offers : sales as stated; sales : those by label of their market
    markets : markets the player opens
    replaced : (player, dimension, labels) of built-in players whose part this one takes over
    """

    def __init__(self, player: str, scales: Scales | float, *, title: str = "") -> None:
        if not isinstance(player, str) or not player.isprintable() or not player.strip():
            raise DataError(f"the name of a player must be a word, not {player!r}")
        known = FixedScales(float(scales)) if isinstance(scales, (int, float)) else scales
        self.player = player
        self.title = title or player
        money = positive(f"the money scale of player {player!r}", known.money_scale, 1)
        self.money_scale = float(money[0])
        self.scales: Scales = known
        self.variables: list[Variable] = []
        self.constraints: list[Constraint] = []
        self.linear: dict[Variable, FloatArray] = {}
        self.margins: dict[Variable, FloatArray] = {}
        self.nonlinear: list[NonlinearCost] = []
        self.products: list[Product] = []
        self.offers: list[Offer] = []
        self.sales: list[Sales] = []
        self.markets: list[Market] = []
        self.replaced: list[tuple[str, str, tuple[str, ...]]] = []
        self.terms: dict[str, str] = {}

    def __getitem__(self, name: str) -> Variable:
        """Variable by name."""
        for v in self.variables:
            if v.name == name:
                return v
        raise DataError(
            f"player {self.player!r} has no variable {name!r}",
            advice=did_you_mean(name, [v.name for v in self.variables]),
        )

    def __contains__(self, name: str) -> bool:
        return any(v.name == name for v in self.variables)

    def __repr__(self) -> str:
        words = ", ".join(v.name for v in self.variables)
        return f"<Program of {self.player}: {words}; {len(self.constraints)} constraints>"

    # -- variables --------------------------------------------------------------------------------

    def variable(
        self,
        name: str,
        dims: str | Sequence[str] = (),
        labels: Sequence[str | int | Label] = SCALAR,
        *,
        unit: str,
        lower: float | FloatArray = 0.0,
        upper: float | FloatArray = np.inf,
        reach: float | FloatArray = np.inf,
        start: float | FloatArray = 0.0,
        scale: float | FloatArray | None = None,
        row_scale: float | FloatArray | None = None,
        meaning: str = "",
    ) -> Variable:
        """Declare a block of variables, one per label; without labels a single one.

        Parameters
        ----------
        dims, labels
            Name of the dimension, or several, and a label (or tuple of labels) per entry.
        lower, upper
            Bounds, in `unit`; a variable is >= 0 unless it says otherwise.
        reach
            Magnitude no state of the market exceeds: bounds the player's own deviation where the
            bounds do not.
        scale, row_scale
            Magnitude of the data of the variable and of its stationarity row; by the unit, else by
            the range, and ``money_scale / scale``, if left out.

        Raises
        ------
        DataError
            A name or label declared twice, crossed bounds, numbers that are none or do not fit.
        """
        dims, labels = _dims(dims), as_labels(labels)
        n = len(labels)
        what = self._new_name(name, dims, labels)
        low, high = usable_bounds(
            vector(f"the lower bound of {what}", lower, n, finite=False),
            vector(f"the upper bound of {what}", upper, n, finite=False),
            lambda k: f"{what}[{', '.join(labels[k])}]" if dims else what,
        )
        far = vector(f"the reach of {what}", reach, n, finite=False)
        known = self.scales.scale_of(unit)
        if scale is None:
            size = _size(low, high, far, known)
            if row_scale is None and known is not None:
                row_scale = self.money_scale / known
        else:
            size = positive(f"the scale of {what}", scale, n)
        var = Variable(
            self.player,
            name,
            dims,
            labels,
            unit,
            low,
            high,
            size,
            self._partner_scale(f"the row scale of {what}", row_scale, size),
            vector(f"the start of {what}", start, n),
            far,
            meaning,
        )
        self.variables.append(var)
        return var

    # -- costs ------------------------------------------------------------------------------------

    def cost(
        self,
        what: Variable | Mapping[Variable | str, Coefficient],
        price: Any,
        *,
        times: str | None = None,
        reach: float | FloatArray | None = None,
        name: str = "cost",
        term: str = "",
    ) -> None:
        """Add a cost, $/h.

        Parameters
        ----------
        what
            A variable; or, for a convex function, a linear combination of variables, in which
            rivals' variables go by their key ("lse.A.generation").
        price
            $/h per unit, one number or one per entry; or a convex function of each entry: a
            formula in x as text, "0.01*x**2 + exp(x/50)", or a curve of `v2geq.mcp.curves`.
        times
            Key of a rival's variable the linear cost is proportional to.
        reach
            Largest magnitude of a combination that holds rivals' variables.
        name
            Name of the combination, of which the problem gets a variable and a row.
        term
            Name of the cost among the terms of the social cost.

        Raises
        ------
        DataError
            Variables of others, numbers that do not fit, a function not known to be convex.
        """
        if isinstance(what, Variable):
            self._own(what, "a cost")
        elif not isinstance(what, Mapping):
            raise DataError(
                f"a cost of player {self.player!r} names {what!r:.60}, which is no variable"
            )
        if isinstance(price, str) or hasattr(price, "second"):
            of = self._combination(name, what, reach) if isinstance(what, Mapping) else what
            curve = formula(of, price) if isinstance(price, str) else price
            if not isinstance(price, str):
                check_convex(of, curve)
            self.separable_cost(of, curve, term=term)
            return
        if callable(price):
            raise DataError(
                f"a cost of player {self.player!r} is a Python function, of which no derivative is "
                "known",
                advice="write it as a formula in x, or as an object with value, first and second",
            )
        if isinstance(what, Mapping):
            raise DataError(
                f"a linear cost of player {self.player!r} names a combination",
                advice="state it variable by variable",
            )
        if times is not None:
            self.products.append(Product(what, times, price))
        else:
            more = vector(f"the cost of {what.key}", price, len(what))
            self.linear[what] = self.linear.get(what, 0.0) + more
        self.terms[what.name] = term or self.terms.get(what.name, "")

    def separable_cost(self, variable: Variable, curve: Curve, *, term: str = "") -> None:
        """Add a convex cost that acts on each entry alone."""
        self._own(variable, "a cost")
        check_curve(variable, curve)
        self.nonlinear.append(SeparableCost(variable, curve))
        self.terms[variable.name] = term or self.terms.get(variable.name, "")

    def quadratic_cost(
        self, what: Variable | Sequence[Variable], matrix: Any, *, name: str = "mix", term: str = ""
    ) -> None:
        """Add the cost ``x' Q x / 2`` of variables side by side; Q positive semidefinite.

        Raises
        ------
        DataError
            A matrix of another shape, or one that is not convex.
        """
        parts = [what] if isinstance(what, Variable) else list(what)
        n = sum(map(len, parts))
        q = real_numbers(f"the quadratic cost of player {self.player!r}", matrix)
        if q.shape != (n, n) or not np.isfinite(q).all():
            raise DataError(
                f"the quadratic cost of player {self.player!r} needs a {n} x {n} matrix of "
                f"numbers, not shape {q.shape}"
            )
        values, vectors = principal_parts(f"the quadratic cost of player {self.player!r}", q)
        if len(parts) == 1 and not (q - np.diag(np.diagonal(q))).any():
            diagonal = 0.5 * np.diagonal(q)
            self.separable_cost(parts[0], Quadratic(np.zeros(n), diagonal.copy()), term=term)
            return
        at, terms = 0, dict[Variable | str, Coefficient]()
        for v in parts:
            terms[v] = sp.csr_array(vectors[at : at + len(v)].T)
            at += len(v)
        u = self._combination(name, terms, None, [str(k) for k in range(1, len(values) + 1)])
        self.separable_cost(u, Quadratic(np.zeros(len(values)), 0.5 * values), term=term)

    def margin(self, variable: Variable, per_unit: float | FloatArray) -> None:
        """Ask for a margin, $/h per unit: the player trades only where it earns that much more.

        It steers the player like a cost, but is kept: no part of its account or the social cost.
        """
        self._own(variable, "a margin")
        more = vector(f"the margin on {variable.key}", per_unit, len(variable))
        self.margins[variable] = self.margins.get(variable, 0.0) + more

    def cournot_revenue(
        self, variable: Variable, price: Curve | str, rivals: Sequence[str] = ()
    ) -> None:
        """Add the revenue of a seller who foresees the price's answer to its own quantity.

        `price` is the inverse demand of own and rivals' quantities together, label by label: a
        falling curve, or a formula in x.
        """
        self._own(variable, "a revenue")
        if isinstance(price, str):
            price = inverse_demand(variable, price)
        check_curve(variable, price)
        self.nonlinear.append(CournotRevenue(variable, price, tuple(rivals)))

    def _combination(
        self,
        name: str,
        terms: Mapping[Variable | str, Coefficient],
        reach: float | FloatArray | None = None,
        labels: Sequence[str] | None = None,
    ) -> Variable:
        """A variable equal to a combination of others; a row defines it."""
        own = [v for v in terms if isinstance(v, Variable)]
        for v in own:
            self._own(v, "a cost")
        units = {v.unit for v in own}
        if not own:
            raise DataError(f"a cost of player {self.player!r} names no variable of its own")
        if labels is not None:
            dims: tuple[str, ...] = ("part",)
            names = as_labels(labels)
        else:
            # entry by entry where all have the same labels, their sum otherwise
            same = len({v.labels for v in own}) == 1
            dims, names = (own[0].dims, own[0].labels) if same else ((), SCALAR)
        n = len(names)
        matrices = {v: matrix_of(f"a cost, {v.key}", terms[v], n, v.labels) for v in own}
        far = sum((abs(m) @ farthest(v) for v, m in matrices.items()), np.zeros(n))
        size = sum((abs(m) @ v.scale for v, m in matrices.items()), np.zeros(n))
        common: dict[str, Any] = {
            "unit": units.pop() if len(units) == 1 else "1",
            "scale": np.where(size > 0.0, size, 1.0),
        }
        others = {k: _negative(c) for k, c in terms.items() if isinstance(k, str)}
        if reach is None:
            reach = np.inf if others else far
        u = self.variable(
            name,
            dims,
            names,
            **common,
            lower=-np.inf,
            reach=reach,
            meaning="combination that a cost is a function of",
        )
        self.equality(
            f"{name}_is",
            dims,
            names,
            terms={u: 1.0, **{v: -m for v, m in matrices.items()}, **others},
            **common,
            meaning="what the combination is",
        )
        return u

    # -- markets ----------------------------------------------------------------------------------

    def sell(
        self,
        market: str,
        what: Variable | Mapping[Variable, Coefficient] | float = 0.0,
        rows: int | None = None,
        constant: Any = 0.0,
        *,
        at: str | int | Label | Sequence[str | int | Label] | None = None,
    ) -> None:
        """Sell (positive) or buy (negative) in a market at its price.

        Parameters
        ----------
        market
            "energy" trades at buses at the site's price; other markets by their name.
        what
            A variable, coefficients of variables, or a fixed quantity.
        rows
            Number of the market's labels where coefficients are given for all of them.
        constant
            Fixed quantity added to `what`.
        at
            Label of the market, or one per entry; by the variable's own labels if left out.
        """
        label = f"sales of player {self.player!r} in market {market!r}"
        if isinstance(what, (Variable, Mapping)):
            terms = {what: 1.0} if isinstance(what, Variable) else dict(what)
        else:
            terms, constant = {}, real_numbers(label, what) + real_numbers(label, constant)
        for v in terms:
            self._own(v, label)
        if rows is not None:
            matrices = {
                v: matrix_of(f"{label}, {v.key}", c, rows, v.labels) for v, c in terms.items()
            }
            fixed = vector(f"the constant of {label}", constant, rows)
            self.sales.append(Sales(market, matrices, fixed))
            return
        where = None
        if at is not None:
            single = isinstance(at, (str, int, tuple))
            where = as_labels([at] if single else at)  # type: ignore[list-item, arg-type]
        self.offers.append(Offer(market, terms, constant, where))

    def add(self, market: Market) -> None:
        """Open a market of the player's own."""
        if not isinstance(market, Market):
            raise DataError(f"{market!r:.60} is no market", advice="write vg.Market(name, unit)")
        self.markets.append(market)

    def replaces(self, player: str, **labels: str | Sequence[str]) -> None:
        """Take the part of a built-in player over, whole or at some labels: ``station=["s3"]``."""
        if not labels:
            self.replaced.append((player, "", ()))
        for dimension, given in labels.items():
            names = [given] if isinstance(given, str) else list(given)
            self.replaced.append((player, dimension, tuple(map(str, names))))

    # -- constraints ------------------------------------------------------------------------------

    def equality(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v == rhs``; the multiplier is free. Arguments: see `at_least`."""
        return self._constraint(name, *args, equality=True, **kw)

    def at_least(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v >= rhs``; the multiplier is >= 0.

        Parameters
        ----------
        name, dims, labels
            As of a variable.
        terms
            Coefficients by variable; rivals' variables by their key.
        rhs
            Right side, in the rows' unit.
        unit, scale, multiplier_scale
            Unit and magnitude of the data of the rows, and magnitude of their multipliers; those of
            the first variable, and ``money_scale / scale``, if left out.
        start, weights, meaning
            Start of the multipliers, see `Constraint`, and the rows in words.
        """
        return self._constraint(name, *args, equality=False, **kw)

    def at_most(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v <= rhs``; the multiplier is >= 0. Arguments: see `at_least`."""
        kw["terms"] = {v: _negative(c) for v, c in kw.get("terms", {}).items()}
        kw["rhs"] = -real_numbers("the right side", kw.get("rhs", 0.0))
        return self._constraint(name, *args, equality=False, **kw)

    def _constraint(
        self,
        name: str,
        dims: str | Sequence[str] = (),
        labels: Sequence[str | int | Label] = SCALAR,
        *,
        equality: bool,
        terms: Mapping[Variable | str, Coefficient],
        rhs: float | FloatArray = 0.0,
        unit: str | None = None,
        scale: float | FloatArray | None = None,
        multiplier_scale: float | FloatArray | None = None,
        start: float | FloatArray = 0.0,
        weights: Mapping[Variable, float] | None = None,
        meaning: str = "",
    ) -> Constraint:
        dims, labels = _dims(dims), as_labels(labels)
        n = len(labels)
        what = self._new_name(name, dims, labels)
        own = [v for v in terms if not isinstance(v, str)]
        for v in own:
            self._own(v, f"rows {what}")
        if not own and not terms:
            raise DataError(f"rows {what} name no variable")
        for v, weight in (weights or {}).items():
            self._own(v, f"rows {what}")
            vector(f"the weight of {v.key} in rows {what}", weight, 1)
        matrices = {v: matrix_of(f"rows {what}, {v.key}", terms[v], n, v.labels) for v in own}
        if unit is None:
            unit = own[0].unit if own else ""
        if scale is None:
            scale = self.scales.scale_of(unit) or _largest(matrices, n)
        size = positive(f"the scale of rows {what}", scale, n)
        row = Constraint(
            self.player,
            name,
            dims,
            labels,
            unit,
            matrices,
            vector(f"the right side of rows {what}", rhs, n),
            equality,
            size,
            self._partner_scale(f"the multiplier scale of rows {what}", multiplier_scale, size),
            vector(f"the start of rows {what}", start, n),
            dict(weights or {}),
            meaning,
            {key: c for key, c in terms.items() if isinstance(key, str)},
        )
        self.constraints.append(row)
        return row

    # -- what follows -----------------------------------------------------------------------------

    @property
    def is_optimisation(self) -> bool:
        """Whether the block is the KKT system of one convex program in the player's own variables.

        Rivals' variables in rows or products make it a game of its own kind.
        """
        weighted = any(w != 1.0 for c in self.constraints for w in c.weights.values())
        return not weighted and not self.products and not any(c.rivals for c in self.constraints)

    def marginal(self, variable: Variable) -> FloatArray:
        """Linear cost and margin of one more unit of every entry, $/h."""
        none = np.zeros(len(variable))
        total: FloatArray = self.linear.get(variable, none) + self.margins.get(variable, none)
        return total

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

    def profit(self, values: Mapping[str, FloatArray], prices: Mapping[str, FloatArray]) -> float:
        """What the player maximises, $/h, at strategies `values` (by key) and market `prices`.

        Its profit, less the margins it asks for.
        """
        total = 0.0
        self.check_prices(prices)
        for sale in self.sales:
            total += float(prices[sale.market] @ sale.quantity(values))
        for costs in (self.linear, self.margins):
            for v, c in costs.items():
                total -= float(c @ values[v.key])
        for product in self.products:
            total -= float(product.price(values) @ values[product.variable.key])
        for term in self.nonlinear:
            total -= term.value(values[term.variable.key], term.others(values))
        return total

    # -- chores -----------------------------------------------------------------------------------

    def _partner_scale(
        self, what: str, given: float | FloatArray | None, size: FloatArray
    ) -> FloatArray:
        return self.money_scale / size if given is None else positive(what, given, len(size))

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


def _dims(dims: str | Sequence[str]) -> tuple[str, ...]:
    return (dims,) if isinstance(dims, str) else tuple(dims)


def _negative(coefficient: Coefficient) -> Coefficient:
    if isinstance(coefficient, Mapping):
        return {label: -c for label, c in coefficient.items()}
    return -coefficient if sp.issparse(coefficient) else -np.asarray(coefficient, dtype=float)


def _size(low: FloatArray, high: FloatArray, far: FloatArray, known: float | None) -> FloatArray:
    """Scale of a variable: of its unit, but no more than its range."""
    size = np.minimum(np.maximum(np.abs(low), np.abs(high)), far)
    size = np.where((size > 0.0) & np.isfinite(size), size, known or 1.0)
    return size if known is None else np.minimum(size, known)


def _largest(matrices: Mapping[Variable, sp.csr_array], rows: int) -> FloatArray:
    """(row,) largest term at the scales of the variables; one where there is none."""
    size = np.zeros(rows)
    for v, matrix in matrices.items():
        size = np.maximum(size, (abs(matrix) @ sp.diags_array(v.scale)).max(axis=1).toarray())
    return np.where(size > 0.0, size, 1.0)
