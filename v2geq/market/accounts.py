"""Players' accounts, social cost by term and the identity that ties them together.

spec section 8. All amounts are $/h; receipts are positive, payments negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.market.coupling import Coupled
from v2geq.mcp.program import Program, SeparableCost
from v2geq.players.lse import demand_buses, inverse_demand, player_name
from v2geq.trips.costs import TRANSFERS, class_costs


@dataclass(frozen=True)
class Accounts:
    """Who earns and pays what, $/h.

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

    @property
    def profit(self) -> pd.Series:
        """Sum of every player's items, $/h."""
        return self.items.groupby("player", sort=False)["amount"].sum()


def program_items(
    program: Program, values: Mapping[str, FloatArray]
) -> list[tuple[str, str, float]]:
    """Receipts and payments of a player who states a program; their sum is its profit."""
    items: list[tuple[str, str, float]] = []
    for sale in program.sales:
        quantity = sale.quantity(values)
        items.append((program.player, f"at {sale.market}", float(values[sale.market] @ quantity)))
    for v, c in program.linear.items():
        items.append((program.player, f"cost of {v.name}", -float(c @ values[v.key])))
    for term in program.nonlinear:
        what = "cost of" if isinstance(term, SeparableCost) else "revenue from"
        cost = term.value(values[term.variable.key], term.others(values))
        items.append((program.player, f"{what} {term.variable.name}", -cost))
    return items


def responsive_sales(coupled: Coupled, values: Mapping[str, FloatArray]) -> FloatArray:
    """Total price-responsive sales S_i at the buses of `demand_buses`, kW."""
    scenario = coupled.scenario
    total = np.zeros(len(demand_buses(scenario)))
    for k in scenario.case.lses.index:
        total = total + values[f"{player_name(k)}.sales"]
    return total


def accounts(coupled: Coupled, values: Mapping[str, FloatArray]) -> Accounts:
    """Accounts at strategies and prices `values` (by block name)."""
    scenario, case = coupled.scenario, coupled.scenario.case
    items: list[tuple[str, str, float]] = []
    for player, program in coupled.programs.items():
        if player != "drivers":
            items += program_items(program, values)
    generation = -sum(amount for _, item, amount in items if item == "cost of generation")
    sold = responsive_sales(coupled, values)
    benefit = revenue = 0.0
    if len(sold):
        curve = inverse_demand(scenario)
        benefit = float(curve.integral(sold).sum())
        revenue = float(curve.value(sold) @ sold)
    items += [("households", "benefit of responsive demand", benefit)]
    items += [("households", "paid for responsive demand", -revenue)]
    traffic = coupled.traffic
    costs = class_costs(traffic, values)
    for name, terms in costs.items():
        items += [(f"drivers.{name}", term, -amount) for term, amount in terms.items()]
    if traffic.toll.any():
        items += [("roads", "tolls", float(traffic.toll @ traffic.arc_flow(values)))]

    table = pd.DataFrame(items, columns=["player", "item", "amount"])
    shed = sum(float(values[f"{player_name(k)}.shed"].sum()) for k in case.lses.index)
    social = {
        "generation": generation,
        "TSO purchase": case.substation.price * float(values["dso.p_tso"][0]),
        "lost load": case.market.voll * shed,
        **{
            f"{term} {name}": amount
            for name, terms in costs.items()
            for term, amount in terms.items()
            if term not in TRANSFERS
        },
        "benefit of responsive demand": -benefit,
    }
    reference = scenario.price_scale * float(scenario.firm_kw.sum() + scenario.responsive_kw.sum())
    turnover = table.assign(size=table["amount"].abs()).groupby("player", sort=False)["size"].sum()
    gap = float(table["amount"].sum() + sum(social.values()))
    return Accounts(
        table,
        pd.Series(social, name="social cost ($/h)"),
        gap,
        turnover.clip(lower=reference),
    )
