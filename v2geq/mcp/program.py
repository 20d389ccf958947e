"""One player's problem, stated once: variables, costs, constraints, sales in markets.

A program describes

    minimise  sum_v (c_v' v + sum_i cost_i(v_i)) - sum_m price_m' (S_m v + s_m)
    subject to  lower <= v <= upper,  A v = b (multiplier free),  A v >= b (multiplier >= 0)

in the player's own strategies v, prices and rivals' strategies given. Everything else follows from
this statement: the KKT block, the deviation problem, the player's account, its labelled results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.mcp.block import Label, as_labels
from v2geq.mcp.checks import real_numbers, vector
from v2geq.mcp.coefficients import Coefficient, entries, matrix_of, negative
from v2geq.mcp.convexity import (
    check_curve,
    farthest,
    formula,
    price_formula,
    principal_parts,
)
from v2geq.mcp.curves import Curve, Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.statement import SCALAR, Statement
from v2geq.mcp.terms import (
    Composite,
    CournotRevenue,
    Offer,
    Product,
    Sales,
    SeparableCost,
    Variable,
)


class Program(Statement):
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

    Examples
    --------
    >>> def battery(s):
    ...     p = vg.Program("battery", s)
    ...     out = p.variable("power", unit="kW", lower=-300, upper=300, meaning="sold to the grid")
    ...     p.cost(out, 0.2)
    ...     p.sell("energy", out, at="76")
    ...     return p
    >>> eq = vg.solve(case, "stress", players=[battery])
    """

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
                f"a cost of player {self.player!r} names {quoted(what)}, which is no variable"
            )
        if times is not None and not (isinstance(times, str) and _plain(price)):
            raise DataError(
                f"a cost of player {self.player!r} is times {quoted(times)}",
                advice="give a rival's variable by key, lse.A.generation, and the cost as a number",
            )
        if not _plain(price):
            of = self._combination(name, what, reach) if isinstance(what, Mapping) else what
            curve = formula(of, price) if isinstance(price, str) else price
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
            more = entries(f"the cost of {what.key}", price, what.labels)
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

        A number or vector stands for the diagonal of Q.

        Raises
        ------
        DataError
            A matrix of another shape, or one that is not convex.
        """
        label = f"the quadratic cost of player {self.player!r}"
        parts: list[Any] = list(what) if isinstance(what, (list, tuple)) else [what]
        for k, v in enumerate(parts):
            self._own(v, label)
            if v in parts[:k]:
                raise DataError(f"{label} names {v.key} twice")
        n = sum(map(len, parts))
        q = real_numbers(label, matrix.toarray() if sp.issparse(matrix) else matrix)
        if q.ndim < 2 and q.size in (1, n):
            q = np.diag(np.broadcast_to(q, (n,)))
        if q.shape != (n, n) or not n or not np.isfinite(q).all():
            raise DataError(f"{label} needs a {n} x {n} matrix of numbers, not shape {q.shape}")
        values, vectors = principal_parts(label, q)
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

    def composite_cost(
        self,
        variable: Variable,
        curve: Curve,
        parts: Mapping[str, sp.csr_array],
        constant: FloatArray,
    ) -> None:
        """Add a cost of every entry's unit that is a curve of a combination of other blocks.

        The blocks are strategies, multipliers or prices by key; they are taken as given.
        """
        self._own(variable, "a cost")
        self.composites.append(Composite(variable, curve, parts, constant))

    def margin(self, variable: Variable, per_unit: float | FloatArray) -> None:
        """Ask for a margin, $/h per unit: the player trades only where it earns that much more.

        It steers the player like a cost, but is kept: no part of its account or the social cost.
        """
        self._own(variable, "a margin")
        more = entries(f"the margin on {variable.key}", per_unit, variable.labels)
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
            price = price_formula(variable, price)
        check_curve(variable, price)
        if isinstance(rivals, str):
            rivals = (rivals,)
        self.nonlinear.append(CournotRevenue(variable, price, tuple(rivals)))

    def _free(self, name: str) -> str:
        """`name`, numbered where the player has a variable of that name."""
        names = [name, *(f"{name}_{k}" for k in range(2, len(self.variables) + 2))]
        return next(k for k in names if k not in self)

    def _combination(
        self,
        name: str,
        terms: Mapping[Variable | str, Coefficient],
        reach: float | FloatArray | None = None,
        labels: Sequence[str] | None = None,
    ) -> Variable:
        """A variable equal to a combination of others; a row defines it."""
        own = [v for v in terms if not isinstance(v, str)]
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
        name = self._free(name)
        matrices = {v: matrix_of(f"a cost, {v.key}", terms[v], n, v.labels) for v in own}
        far = sum((abs(m) @ farthest(v) for v, m in matrices.items()), np.zeros(n))
        size = sum((abs(m) @ v.scale for v, m in matrices.items()), np.zeros(n))
        common: dict[str, Any] = {
            "unit": units.pop() if len(units) == 1 else "1",
            "scale": np.where(size > 0.0, size, 1.0),
        }
        others = {k: negative(f"a cost, {k}", c) for k, c in terms.items() if isinstance(k, str)}
        if not others:
            reach = far
        u = self.variable(
            name,
            dims,
            names,
            **common,
            lower=-np.inf,
            reach=np.inf if reach is None else reach,
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
        market: str | Market,
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
        market = market.name if isinstance(market, Market) else market
        if not isinstance(market, str):
            raise DataError(
                f"player {self.player!r} sells in {quoted(market)}", advice="give a market's name"
            )
        label = f"sales of player {self.player!r} in market {market!r}"
        if isinstance(what, (Variable, Mapping)):
            terms = {what: 1.0} if isinstance(what, Variable) else dict(what)
        else:
            terms, constant = {}, real_numbers(label, what) + real_numbers(label, constant)
        for v in terms:
            self._own(v, f"sales in market {market!r}")
        if rows is not None:
            matrices = {
                v: matrix_of(f"{label}, {v.key}", c, rows, v.labels) for v, c in terms.items()
            }
            fixed = vector(f"the constant of {label}", constant, rows)
            self.sales.append(Sales(market, matrices, fixed))
            return
        where = None
        if at is not None:
            where = as_labels([at] if isinstance(at, tuple) else at)
        self.offers.append(Offer(market, terms, constant, where))

    def add(self, market: Market) -> None:
        """Open a market of the player's own."""
        if not isinstance(market, Market):
            raise DataError(f"{quoted(market)} is no market", advice="write vg.Market(name, unit)")
        self.markets.append(market)

    def replaces(self, player: str, **labels: str | Sequence[str]) -> None:
        """Take the part of a built-in player over, whole or at some labels: ``station=["s3"]``."""
        if not labels:
            self.replaced.append((player, "", ()))
        for dimension, given in labels.items():
            names = tuple(label[0] for label in as_labels(given))
            self.replaced.append((player, dimension, names))

    # -- what follows -----------------------------------------------------------------------------

    @property
    def is_optimisation(self) -> bool:
        """Whether the block is the KKT system of one convex program in the player's own variables.

        Rivals' variables in rows or products make it a game of its own kind.
        """
        if self.composites:
            return False
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


def _plain(price: Any) -> bool:
    """Whether a price is numbers, not a function."""
    return not isinstance(price, str) and not hasattr(price, "second")
