"""Charging network operator (CNO): trades energy between load serving entities and vehicles.

model.md, 1: maximise (rho+ - pi+) c+ - (rho- - pi-) c- within the stations' net limits.
"""

from __future__ import annotations

from typing import Any

from v2geq.mcp.program import Program
from v2geq.scenario import Scenario


def cno(scenario: Scenario, energy_reach: float) -> Program:
    """The CNO's program.

    Parameters
    ----------
    energy_reach
        Energy (kW) all vehicles together could charge; bounds the deviation problem.

    Notes
    -----
    Variables `charge` (c+), `discharge` (c-, with V2G only), kW by station, both >= 0. Rows
    `net_upper`, `net_lower`: Cmin <= c+ - c- <= Cmax with multipliers nu_up, nu_lo >= 0 ($/kWh).
    Sells `charge` at the charging price and, with V2G, resells `discharge`.
    """
    p = Program("cno", scenario, title="Charging network operator")
    limits, price, n = scenario.stations, scenario.price_scale, len(scenario.stations)
    shape: dict[str, Any] = {
        "dims": "station",
        "labels": list(limits.index),
        "unit": "kW",
        # limits too bind or not by what is traded, however little beside the feeder's loads
        "scale": scenario.station_scale(energy_reach),
    }
    trade: dict[str, Any] = {**shape, "row_scale": price, "reach": energy_reach}
    charge = p.variable("charge", **trade, meaning="energy sold to vehicles (c+)")
    net = {charge: 1.0}
    p.sell("charge_price", charge, n)
    p.sell("purchase_price", {charge: -1.0}, n)
    if scenario.v2g:
        discharge = p.variable("discharge", **trade, meaning="energy bought from vehicles (c-)")
        net[discharge] = -1.0
        p.sell("discharge_price", {discharge: -1.0}, n)
        p.sell("resale_price", discharge, n)
    p.at_most(
        "net_upper",
        **shape,
        terms=net,
        rhs=limits["charge_max_kw"],
        multiplier_scale=price,
        meaning="net withdrawal of a station at most Cmax (nu_up)",
    )
    p.at_least(
        "net_lower",
        **shape,
        terms=net,
        rhs=-limits["discharge_max_kw"],
        multiplier_scale=price,
        meaning="net withdrawal of a station at least Cmin (nu_lo)",
    )
    return p
