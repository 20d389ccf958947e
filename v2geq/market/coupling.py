"""Market clearing joins the players into one complementarity problem.

model.md, 5. Each market's price is paired with the sum of all players' net sales, so a price
rises where more is bought than sold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from v2geq.arrays import FloatArray
from v2geq.grid.formulation import formulated
from v2geq.grid.places import Places
from v2geq.grid.power_flow import OPERATOR, PowerFlow
from v2geq.market.changes import charged, replaced
from v2geq.market.own import NOBODY, Own
from v2geq.market.sites import at_sites, site_market
from v2geq.mcp.assemble import MCP
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.players.cno import cno
from v2geq.players.drivers import DRIVERS, drivers
from v2geq.players.dso import dso
from v2geq.players.lse import lse, player_name
from v2geq.scenario import PLANTS, Scenario
from v2geq.trips.traffic import Traffic


@dataclass(frozen=True)
class Coupled:
    """All players of a scenario, how power flows, and the problem that joins them.

    Attributes
    ----------
    programs : by player, as they stand in the problem
    own : players of the user
    stated : programs of the built-in players, the drivers last, and of the user's, before they meet
    """

    scenario: Scenario
    traffic: Traffic
    grid: PowerFlow
    programs: dict[str, Program]
    mcp: MCP
    own: Own
    stated: tuple[Sequence[Program], Sequence[Program]]

    def __repr__(self) -> str:
        return f"<Market of {self.scenario!r}: {len(self.programs)} players, {self.mcp.n} unknowns>"

    def over(self, traffic: Traffic) -> Coupled:
        """The same market whose drivers choose from other paths."""
        built_in, theirs = self.stated
        stated = [*built_in[:-1], drivers(self.scenario, traffic)], theirs
        return _joined(self.scenario, traffic, self.grid, self.own, stated, list(self.mcp.markets))

    def on(self, grid: PowerFlow) -> Coupled:
        """The same market on another statement of its feeder."""
        power = _reach(self.scenario, self.traffic, self.own)
        built_in, theirs = self.stated
        built_in = [
            dso(self.scenario, grid, power) if p.player == OPERATOR else p for p in built_in
        ]
        stated = built_in, theirs
        listed = list(self.mcp.markets)
        return _joined(self.scenario, self.traffic, grid, self.own, stated, listed)

    def settled(self, z: FloatArray) -> Coupled:
        """The market whose losses are those at the point itself; the same without losses."""
        if not self.scenario.case.feeder_settings.losses:
            return self
        return self.on(self.grid.settled(self.mcp.split(z)))

    @property
    def traders(self) -> dict[str, Program]:
        """Programs of players with one account each; drivers have one by class."""
        return {name: p for name, p in self.programs.items() if name != DRIVERS}

    def lse_program(self, name: str) -> Program:
        """Program of an LSE."""
        return self.programs[player_name(name)]

    @property
    def own_programs(self) -> list[Program]:
        """Programs of the user's players, as they stand in the problem."""
        return [self.programs[p.player] for p in self.own.programs]


def power_reach(scenario: Scenario, traffic: Traffic) -> float:
    """Largest real power any part of the feeder could carry, kW: all load, charging, generation.

    Never more than twice what can be used or must be taken: limits that stand for none say nothing.
    """
    supply = scenario.generators[["min_kw", "max_kw"]].sum()
    pv, into, out_of = scenario.stations[list(PLANTS)].sum()
    made = supply["max_kw"] + pv + out_of
    substation = scenario.case.substation
    use = (
        scenario.firm_kw.sum()
        + scenario.case.market.demand_range * scenario.responsive_kw.sum()
        + traffic.energy_reach
        + supply["min_kw"]
        + max(substation.import_min, 0.0)
        + min(substation.export_max, made)
        + into
    )
    return float(use + min(made + substation.import_max, use))


def _reach(scenario: Scenario, traffic: Traffic, own: Own) -> float:
    """As `power_reach`, with players of the user."""
    return power_reach(scenario, traffic) + sum(float(m.sum()) for m in own.most_kw(scenario))


def markets(
    scenario: Scenario, energy_reach: float, places: Places, kvar_places: Sequence[int]
) -> list[Market]:
    """The markets of a scenario; without V2G nothing is bought from vehicles.

    Wheeling prices are determined up to a constant; the gauge pins the root's to zero.
    """
    price = scenario.price_scale
    energy: dict[str, Any] = {"unit": "kW", "scale": price}
    at_station: dict[str, Any] = {
        "dims": ("station",),
        "labels": list(scenario.stations.index),
        **energy,
        "row_scale": scenario.station_scale(energy_reach),
        "start": price,
    }
    sold = {
        "charge_price": "energy sold to vehicles (rho+)",
        "purchase_price": "energy sold to the CNO (pi+)",
    }
    bought = {
        "discharge_price": "energy bought from vehicles (rho-)",
        "resale_price": "energy bought from the CNO (pi-)",
    }
    traded = {**sold, **bought} if scenario.v2g else sold
    meaning = "withdrawal equals use at a bus (lambda)"
    where: dict[str, Any] = {"dims": places.dims, "labels": places.labels, "pinned": [0]}
    reactive = Market(
        "reactive_price",
        "kvar",
        places.dims,
        tuple(places.labels[k] for k in kvar_places),
        scale=price,
        meaning="reactive power bought equals what is sold (mu_q)",
    )
    return [
        *(Market(name, **at_station, meaning=text) for name, text in traded.items()),
        Market("tso_price", **energy, start=price, meaning="TSO energy resold (tau)"),
        Market("wheeling_price", **energy, **where, meaning=meaning),
        *([reactive] if len(kvar_places) else []),
    ]


def couple(scenario: Scenario, traffic: Traffic, own: Own = NOBODY) -> Coupled:
    """Build every player's program and assemble them with market clearing.

    Raises
    ------
    DataError
        Own players that name markets, labels or players there are not.
    """
    trading = {*own.sites(scenario), *scenario.plants}
    sites = [bus for bus in scenario.buses if bus in trading]
    energy = traffic.energy_reach
    power = _reach(scenario, traffic, own)
    feeder = scenario.case.feeder
    grid = formulated(scenario.network, feeder, scenario.power_scale, scenario.price_scale)
    places = grid.places
    kvar = grid.kvar_places.tolist()
    built_in = [cno(scenario, energy, sites, places, kvar), dso(scenario, grid, power)]
    names = scenario.case.lses.index
    built_in += [lse(scenario, name, energy, power, places, sites, kvar) for name in names]
    listed = [
        *markets(scenario, energy, places, kvar),
        *([site_market(scenario, sites)] if sites else []),
    ]
    built_in.append(drivers(scenario, traffic))
    stated = built_in, [at_sites(p, scenario) for p in own.programs]
    return _joined(scenario, traffic, grid, own, stated, listed + own.markets)


def _joined(
    scenario: Scenario,
    traffic: Traffic,
    grid: PowerFlow,
    own: Own,
    stated: tuple[Sequence[Program], Sequence[Program]],
    listed: list[Market],
) -> Coupled:
    """The programs joined by market clearing."""
    built_in, theirs = stated
    programs = list(built_in)
    if theirs:
        programs = replaced(programs, own) + list(theirs)
        programs = charged(programs, own.charges, [m.name for m in own.markets])
    mcp = MCP(programs, listed)
    by_player = {p.player: p for p in mcp.programs}
    return Coupled(scenario, traffic, grid, by_player, mcp, own, stated)
