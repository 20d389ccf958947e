"""Players' accounts, social cost by term and the identity that ties them together.

model.md, 8. All amounts are $/h; receipts are positive, payments negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.market.coupling import Coupled
from v2geq.mcp.program import Program
from v2geq.mcp.terms import CournotRevenue, SeparableCost, Variable
from v2geq.players.lse import inverse_demand, responsive_sales
from v2geq.show import MONEY, card
from v2geq.trips.costs import TRANSFERS, class_costs

TERMS = ("generation", "TSO purchase", "lost load")
"""Terms of the social cost that come first."""


@dataclass(frozen=True)
class Accounts:
    """Who earns and pays what, $/h in the currency of the case.

    Attributes
    ----------
    items : columns player, item, amount; one row per receipt or payment
    social_cost : terms of the social cost, by name
    identity_gap : difference of the two sides of the accounting identity
    turnover : by player, sum of absolute items, at least reference price x total load
    """

    items: pd.DataFrame
    social_cost: pd.Series
    identity_gap: float
    turnover: pd.Series
    currency: str = MONEY

    def __repr__(self) -> str:
        return (
            f"<Accounts of {len(self.turnover)} players: "
            f"social cost {self.social_cost.sum():,.2f} {self.currency}/h>"
        )

    def _repr_html_(self) -> str:
        profit = {name: f"{amount:,.2f} {self.currency}/h" for name, amount in self.profit.items()}
        cost = f"social cost {self.social_cost.sum():,.2f} {self.currency}/h"
        return card("profit", {str(name): text for name, text in profit.items()}, note=cost)

    @property
    def profit(self) -> pd.Series:
        """Sum of every player's items, $/h."""
        return self.items.groupby("player", sort=False)["amount"].sum()


def program_items(
    program: Program, values: Mapping[str, FloatArray]
) -> list[tuple[str, str, float]]:
    """Receipts and payments of a player who states a program; their sum is its profit.

    Margins steer a player and are neither.
    """
    items: list[tuple[str, str, float]] = []
    for sale in program.sales:
        quantity = sale.quantity(values)
        items.append((program.player, f"at {sale.market}", float(values[sale.market] @ quantity)))
    for v, cost in own_costs(program, values).items():
        items.append((program.player, f"cost of {v.name}", -cost))
    for v, revenue in foreseen_revenue(program, values).items():
        items.append((program.player, f"revenue from {v.name}", revenue))
    return items


def foreseen_revenue(program: Program, values: Mapping[str, FloatArray]) -> dict[Variable, float]:
    """What a player earns by its variables at prices that it foresees, $/h."""
    earned: dict[Variable, float] = {}
    for term in program.nonlinear:
        if isinstance(term, CournotRevenue):
            v = term.variable
            revenue = -term.value(values[v.key], term.others(values))
            earned[v] = earned.get(v, 0.0) + revenue
    return earned


def own_costs(program: Program, values: Mapping[str, FloatArray]) -> dict[Variable, float]:
    """What a player's variables cost by themselves, $/h: no market is part of it."""
    costs: dict[Variable, float] = {}

    def add(v: Variable, cost: float) -> None:
        costs[v] = costs.get(v, 0.0) + cost

    for v, c in program.linear.items():
        add(v, float(c @ values[v.key]))
    for term in program.nonlinear:
        if isinstance(term, SeparableCost):
            add(term.variable, term.value(values[term.variable.key], term.others(values)))
    for product in program.products:
        v = product.variable
        add(v, float(product.price(values) @ values[v.key]))
    return costs


def accounts(coupled: Coupled, values: Mapping[str, FloatArray]) -> Accounts:
    """Accounts at strategies and prices `values` (by block name)."""
    scenario = coupled.scenario
    items: list[tuple[str, str, float]] = []
    social = dict.fromkeys(TERMS, 0.0)
    for player, program in coupled.traders.items():
        items += program_items(program, values)
        for v, cost in own_costs(program, values).items():
            term = program.terms.get(v.name) or f"{v.name} {player}"
            social[term] = social.get(term, 0.0) + cost
    for program in coupled.own_programs:
        # nobody in the market pays it
        for v, revenue in foreseen_revenue(program, values).items():
            term = f"revenue from {v.name} {program.player}"
            social[term] = social.get(term, 0.0) - revenue
    sold = responsive_sales(scenario, values)
    benefit = paid = 0.0
    if len(sold):
        curve = inverse_demand(scenario)
        benefit = float(curve.integral(sold).sum())
        paid = float(curve.value(sold) @ sold)
    items += [("households", "benefit of responsive demand", benefit)]
    items += [("households", "paid for responsive demand", -paid)]
    traffic = coupled.traffic
    costs = class_costs(traffic, values)
    for name, terms in costs.items():
        items += [(f"drivers.{name}", term, -amount) for term, amount in terms.items()]
    if traffic.toll.any():
        items += [("roads", "tolls", float(traffic.toll @ traffic.arc_flow(values)))]

    table = pd.DataFrame(items, columns=["player", "item", "amount"])
    others = {
        f"{term} {name}": amount
        for name, terms in costs.items()
        for term, amount in terms.items()
        if term not in TRANSFERS
    }
    for term, amount in {**others, "benefit of responsive demand": -benefit}.items():
        social[term] = social.get(term, 0.0) + amount
    reference = scenario.price_scale * float(scenario.firm_kw.sum() + scenario.responsive_kw.sum())
    turnover = table.assign(size=table["amount"].abs()).groupby("player", sort=False)["size"].sum()
    gap = float(table["amount"].sum() + sum(social.values()))
    return Accounts(
        table,
        pd.Series(social, name=f"social cost ({scenario.case.currency}/h)"),
        gap,
        turnover.clip(lower=reference),
        scenario.case.currency,
    )
