"""Market clearing joins the players into one complementarity problem.

model.md, 5. Each market's price is paired with the sum of all players' net sales, so a price
rises where more is bought than sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from v2geq.mcp.assemble import MCP, Market
from v2geq.mcp.program import Program
from v2geq.players.cno import cno
from v2geq.players.drivers import drivers
from v2geq.players.dso import dso
from v2geq.players.lse import lse
from v2geq.scenario import Scenario
from v2geq.trips.traffic import Traffic


@dataclass(frozen=True)
class Coupled:
    """All players of a scenario and the problem that joins them."""

    scenario: Scenario
    traffic: Traffic
    programs: dict[str, Program]
    mcp: MCP


def power_reach(scenario: Scenario, traffic: Traffic) -> float:
    """Largest real power any part of the feeder could carry, kW: all load, charging, generation.

    Never more than twice what can be used or must be taken: limits that stand for none say nothing.
    """
    supply = scenario.generators[["min_kw", "max_kw"]].sum()
    substation = scenario.case.substation
    use = (
        scenario.firm_kw.sum()
        + scenario.case.market.demand_range * scenario.responsive_kw.sum()
        + traffic.energy_reach
        + supply["min_kw"]
        + max(substation.import_min, 0.0)
    )
    return float(use + min(supply["max_kw"] + substation.import_max, use))


def markets(scenario: Scenario, energy_reach: float) -> list[Market]:
    """The markets of a scenario; without V2G nothing is bought from vehicles.

    Wheeling prices are determined up to a constant; the gauge pins the root's to zero.
    """
    price = scenario.price_scale
    stations = list(scenario.stations.index)
    energy: dict[str, Any] = {"unit": "$/kWh", "row_unit": "kW", "scale": price}
    at_station: dict[str, Any] = {
        "dims": ("station",),
        "labels": stations,
        **energy,
        "row_scale": scenario.station_scale(energy_reach),
        "start": price,
    }
    listed = [
        Market.of("charge_price", **at_station, meaning="energy sold to vehicles (rho+)"),
        Market.of("purchase_price", **at_station, meaning="energy sold to the CNO (pi+)"),
    ]
    if scenario.v2g:
        listed += [
            Market.of(
                "discharge_price", **at_station, meaning="energy bought from vehicles (rho-)"
            ),
            Market.of("resale_price", **at_station, meaning="energy bought from the CNO (pi-)"),
        ]
    return [
        *listed,
        Market.of("tso_price", (), [()], **energy, start=price, meaning="TSO energy resold (tau)"),
        Market.of(
            "wheeling_price",
            ("bus",),
            scenario.buses,
            **energy,
            start=0.0,
            pinned=[0],
            meaning="withdrawal equals use at a bus (lambda)",
        ),
    ]


def couple(scenario: Scenario, traffic: Traffic) -> Coupled:
    """Build every player's program and assemble them with market clearing."""
    energy, power = traffic.energy_reach, power_reach(scenario, traffic)
    programs = [cno(scenario, energy), dso(scenario, power)]
    programs += [lse(scenario, name, energy, power) for name in scenario.case.lses.index]
    programs.append(drivers(scenario, traffic))
    mcp = MCP(programs, markets(scenario, energy))
    return Coupled(scenario, traffic, {p.player: p for p in programs}, mcp)
