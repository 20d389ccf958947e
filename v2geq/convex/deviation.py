"""A player's best deviation: its own problem solved directly at given prices and rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.convex.quadratic import program_rows, quadratic_program
from v2geq.errors import DataError
from v2geq.mcp.program import Program
from v2geq.show import brief

MAX_ROUNDS = 30
MAX_HALVINGS = 20


@dataclass(frozen=True)
class Deviation:
    """Best response of one player: its profit ($/h) and strategies by key."""

    profit: float
    values: dict[str, FloatArray]

    __repr__ = brief


def best_deviation(
    program: Program, values: Mapping[str, FloatArray], prices: Mapping[str, FloatArray]
) -> Deviation:
    """Solve a player's own problem by Clarabel, prices and rivals' strategies fixed.

    Bounds are tightened to the variables' `reach` (or to where they stand), so that an unbounded
    ray of a nearly tied price cannot turn a rounding error into a fortune. Costs that are not
    quadratic are solved as a sequence of quadratic programs.

    Parameters
    ----------
    values
        Strategies of all players by key; the player's own are the first guess. Multipliers of the
        player's equalities, where given, only make the program easier to solve.
    prices
        Market prices by market name.

    Raises
    ------
    DataError
        Prices or strategies that are missing or do not fit.
    ConvergenceError
        Where the quadratic program is infeasible or Clarabel gives up.
    """
    program.check_prices(prices)
    for v in program.variables:
        if v.key not in values or np.shape(values[v.key]) != (len(v),):
            raise DataError(f"strategies {v.key!r} are missing or not {len(v)} values")
    if not program.variables:
        return Deviation(program.profit(values, prices), {})
    at = {}
    n = 0
    for v in program.variables:
        at[v.key] = slice(n, n + len(v))
        n += len(v)
    linear = np.zeros(n)
    for v in program.variables:
        linear[at[v.key]] += program.marginal(v)
    for product in program.products:
        linear[at[product.variable.key]] += product.price(values)
    for sale in program.sales:
        for v, s in sale.terms.items():
            linear[at[v.key]] -= s.T @ prices[sale.market]

    rows = program_rows(program, values)
    # on the equalities this changes the objective by a constant. Where only the sum of two prices
    # is determined both may be large, and their difference would drown in rounding
    equalities = [c for c in program.constraints if c.equality]
    multipliers = [np.broadcast_to(values.get(c.key, 0.0), (len(c),)) for c in equalities]
    scaled = [m * c.scale for m, c in zip(multipliers, equalities, strict=True)]
    scale = np.concatenate([v.scale for v in program.variables])
    reduced = linear - (rows.equal.T @ np.concatenate([np.zeros(0), *scaled])) / scale
    best: dict[str, FloatArray] = {k: values[k] for k in at}
    everyone = dict(values)
    x = np.concatenate([values[v.key] for v in program.variables])
    # a player may stay where it is, also beyond its reach: demand at prices below zero
    reach = np.concatenate([v.reach for v in program.variables])
    low = np.maximum(np.concatenate([v.lower for v in program.variables]), np.minimum(-reach, x))
    high = np.minimum(np.concatenate([v.upper for v in program.variables]), np.maximum(reach, x))
    profit = -np.inf
    for _ in range(MAX_ROUNDS):
        everyone.update({k: x[s] for k, s in at.items()})
        hessian, gradient = np.zeros(n), reduced.copy()
        for term in program.nonlinear:
            where = at[term.variable.key]
            others = term.others(values)
            curvature, _ = term.hessian(x[where], others)
            # a profit that is not concave there (sales beyond their range) is taken as straight
            hessian[where] += np.maximum(curvature, 0.0)
            gradient[where] += term.gradient(x[where], others)
        last = x
        x = scale * quadratic_program(
            hessian * scale**2 / program.money_scale,
            (gradient - hessian * x) * scale / program.money_scale,
            rows,
            low / scale,
            high / scale,
            what=f"the deviation problem of player {program.player!r}",
        )
        everyone.update({k: x[s] for k, s in at.items()})
        new = program.profit(everyone, prices)
        # profit is concave: a step that overshoots where costs are not quadratic gains when halved
        for _ in range(MAX_HALVINGS):
            if not new < profit:
                break
            x = 0.5 * (last + x)
            everyone.update({k: x[s] for k, s in at.items()})
            new = program.profit(everyone, prices)
        if not np.isfinite(profit) or new > profit:
            best = {k: x[s].copy() for k, s in at.items()}
        if new - profit <= 1e-12 * (1.0 + abs(new)):
            profit = max(profit, new)
            break
        profit = new
    return Deviation(profit, best)
