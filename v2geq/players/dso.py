"""Distribution system operator (DSO): trades with the transmission system, wheels over its feeder.

model.md, 3. How power flows over the feeder is the grid's statement.
"""

from __future__ import annotations

from v2geq.grid.power_flow import OPERATOR, PowerFlow
from v2geq.mcp.program import Program
from v2geq.scenario import Scenario


def dso(scenario: Scenario, grid: PowerFlow, power_reach: float) -> Program:
    """The DSO's program; `power_reach` bounds unrated flows in its deviation problem, kW."""
    p = Program(OPERATOR, scenario, title="Distribution system operator")
    withdrawal, purchase, sale = grid.state(p, power_reach)
    p.cost(purchase, scenario.case.substation.price, term="TSO purchase")
    p.sell("tso_price", purchase, 1)
    if sale is not None:
        p.cost(sale, -scenario.case.substation.feed_in_price, term="TSO sale")
        p.sell("tso_price", {sale: -1.0}, 1)
    p.sell("wheeling_price", withdrawal, len(scenario.buses))
    return p
