"""Distribution system operator (DSO): trades with the transmission system, wheels over its feeder.

model.md, 3. How power flows over the feeder is the grid's statement.
"""

from __future__ import annotations

import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.data.model.settings import SubstationSettings
from v2geq.grid.power_flow import OPERATOR, PowerFlow
from v2geq.grid.ratings import inverters, with_inverter
from v2geq.grid.substation import bought_kvar
from v2geq.labelled import placed
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.program import Program
from v2geq.mcp.statement import Scales
from v2geq.mcp.terms import Variable
from v2geq.scenario import Scenario


def dso(scenario: Scenario, grid: PowerFlow, power_reach: float) -> Program:
    """The DSO's program; `power_reach` bounds unrated flows in its deviation problem, kW."""
    p = Program(OPERATOR, scenario, title="Distribution system operator")
    withdrawal, purchase, sale = grid.state(p, power_reach)
    _trade(p, scenario.case.substation, purchase, sale)
    p.sell("tso_price", purchase, 1)
    if sale is not None:
        p.sell("tso_price", {sale: -1.0}, 1)
    # what is lost on the way is bought and not resold
    lost, constant = grid.lost(p)
    if lost:
        p.sell("tso_price", {v: -part for v, part in lost.items()}, 1, constant=-constant)
    p.sell("wheeling_price", withdrawal, len(grid.places.labels))
    if (kvar := bought_kvar(p)) is not None:
        p.sell("reactive_price", {kvar: -1.0}, len(kvar))
    return p


def dispatch(
    scales: Scales, grid: PowerFlow, load_kw: FloatArray, generators: pd.DataFrame, reach: float
) -> Program:
    """The DSO's program where it serves the load itself, from the TSO and generators on its feeder.

    Parameters
    ----------
    load_kw
        Real load by energised bus.
    generators
        As in `CaseData`, all at energised buses; cost_linear and cost_quadratic count.
    """
    net, places = grid.network, grid.places
    p = Program(OPERATOR, scales, title="Distribution system operator")
    withdrawal, purchase, sale = grid.state(p, reach)
    _trade(p, net.substation, purchase, sale)
    made = {}
    if len(generators):
        output = p.variable(
            "generation",
            "generator",
            list(generators.index),
            unit="kW",
            lower=generators["min_kw"].to_numpy(dtype=float),
            upper=generators["max_kw"].to_numpy(dtype=float),
            reach=reach,
            meaning="output of a generator",
        )
        linear, quadratic = (
            generators[f"cost_{name}"].to_numpy(dtype=float) for name in ("linear", "quadratic")
        )
        p.separable_cost(output, Quadratic(linear, quadratic), term="generation")
        at, buses = net.bus_position, generators["bus"].tolist()
        phases = generators["phases"].tolist()
        made = {output: places.of([at[bus] for bus in buses], buses, phases)}
        _inverters(p, grid, output, made[output], generators)
    p.equality(
        "supply",
        places.dims,
        places.labels,
        terms={withdrawal: 1.0, **made},
        rhs=places.load @ load_kw,
        unit="kW",
        meaning="withdrawal and generation equal the load",
    )
    return p


def _inverters(
    p: Program, grid: PowerFlow, output: Variable, places: sp.csr_array, generators: pd.DataFrame
) -> None:
    """Add reactive supply of generators with inverters, all of it bought."""
    kvar, own = bought_kvar(p), with_inverter(generators)
    if kvar is None:
        return
    at = generators.index.get_indexer(own.index)
    real = {output: placed(at, len(generators)).T}
    sides = grid.network.limits.rating_sides
    reactive = inverters(p, "reactive", "generator", own, real, sides, both_ways=False)
    p.equality(
        "reactive_supply",
        grid.places.dims,
        kvar.labels,
        terms={kvar: 1.0, reactive: -sp.csr_array(places[grid.kvar_places][:, at])},
        meaning="reactive power bought is what inverters supply",
    )


def _trade(
    p: Program, substation: SubstationSettings, purchase: Variable, sale: Variable | None
) -> None:
    """Add what is paid to the TSO and earned from it."""
    p.cost(purchase, substation.price, term="TSO purchase")
    if sale is not None:
        p.cost(sale, -substation.feed_in_price, term="TSO sale")
