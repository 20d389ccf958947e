"""One scenario of a case, resolved to numbers: what is energised, loads, limits, demand, V2G.

Outages are applied, islands found, dead islands removed and every island checked for supply and
reactive power before any player is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.case import CaseData
from v2geq.data.parameters.change import admit_case, with_changes
from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.grid.network import Network, network
from v2geq.grid.topology import Lines
from v2geq.show import card

LEAST_PRICE = 1e-4
"""$/kWh; prices are never measured by less, as the rest of the market costs a thousand times it."""


PLANTS = ("pv_kw", "store_charge_kw", "store_discharge_kw")
"""Columns of stations that are the most their own plants can make, take and give, kW."""


class Period(NamedTuple):
    """A stretch of time with one state of the market."""

    name: str
    hours: float


@dataclass(frozen=True)
class Scenario:
    """A case under one scenario, with or without V2G.

    Arrays are by energised bus; kW, three-phase totals.

    Attributes
    ----------
    case : with the changes of the scenario and the user applied, so that solving it gives the same;
        given : as it was given, a copy nobody else holds
    network : what is energised, with reactive load and supply and the limits of the feeder
    firm_kw : load that must be served or shed; responsive_kw : reference quantity q0 of the
        price-responsive demand
    stations : rows of the case's stations that are energised
    generators : likewise
    """

    name: str
    v2g: bool
    case: CaseData
    given: CaseData
    changes: Mapping[str, Any]
    network: Network
    firm_kw: FloatArray
    responsive_kw: FloatArray
    stations: pd.DataFrame
    generators: pd.DataFrame

    @property
    def buses(self) -> tuple[str, ...]:
        """Energised buses, the root first."""
        return self.network.buses

    @property
    def dead_buses(self) -> tuple[str, ...]:
        """Buses of removed islands."""
        return self.network.dead_buses

    @cached_property
    def bus_position(self) -> dict[str, int]:
        """Position of every energised bus."""
        return self.network.bus_position

    @property
    def island(self) -> IntArray:
        """Island number per bus, 0 is the one of the root."""
        return self.network.island

    @property
    def lines(self) -> Lines:
        """Energised branches."""
        return self.network.lines

    @property
    def where(self) -> str:
        """Words for errors: the case's place and the scenario."""
        return f"{self.case.where}: scenario {quoted(self.name)}"

    @property
    def load_buses(self) -> IntArray:
        """Positions of buses with household load."""
        return np.flatnonzero(self.firm_kw + self.responsive_kw > 0)

    @cached_property
    def power_scale(self) -> float:
        """Mean load of energised buses with load, at load factor one, kW (data, not solution)."""
        loads = self.case.feeder.loads["load_kw"].reindex(list(self.buses)).to_numpy(dtype=float)
        return float(loads[loads > 0].mean()) if (loads > 0).any() else 1.0

    @cached_property
    def plants(self) -> list[str]:
        """Energised buses at which a station has a plant of its own: PV or a store."""
        own = self.stations[list(PLANTS)].to_numpy(dtype=float).any(axis=1)
        at = set(self.stations["bus"].to_numpy()[own])
        return [bus for bus in self.buses if bus in at]

    @property
    def shed_kvar(self) -> FloatArray:
        """(bus,) reactive load that goes with a kW of firm load shed; zero unless so asked."""
        load = self.network.load_kw
        if not self.case.market.shed_reactive:
            return np.zeros(len(load))
        return np.where(
            load > 0.0, self.network.reactive_kvar / np.where(load > 0.0, load, 1.0), 0.0
        )

    def station_scale(self, energy_reach: float) -> float:
        """Power per station if all vehicles charged, kW, at most `power_scale`.

        However few they are: trade at stations is measured by what could be traded there.
        """
        here = energy_reach / len(self.stations) if len(self.stations) else 0.0
        return min(self.power_scale, here) if here > 0.0 else self.power_scale

    @cached_property
    def price_scale(self) -> float:
        """The least of what energy is known to cost, $/kWh: a price that is off by it is wrong.

        Purchase from the TSO, sale to it, the reference price where demand responds to it, the
        value of lost load; at least `LEAST_PRICE`.
        """
        market, substation = self.case.market, self.case.substation
        known = [market.voll, substation.price]
        if substation.export_max:
            known.append(substation.feed_in_price)
        if self.responsive_kw.any():
            known.append(market.reference_price)
        return max(min(p for p in known if p > 0.0), LEAST_PRICE)

    @property
    def money_scale(self) -> float:
        """power_scale * price_scale, $/h."""
        return self.power_scale * self.price_scale

    def scale_of(self, unit: str) -> float | None:
        """Magnitude of quantities in a unit among the feeder's data; None for other units."""
        return self.power_scale if unit in ("kW", "kvar") else None

    @property
    def periods(self) -> tuple[Period, ...]:
        """What is solved at once, in order: one hour."""
        return (Period("hour", 1.0),)

    def __repr__(self) -> str:
        return (
            f"<Scenario {self.name} of {self.case.name} {'with' if self.v2g else 'without'} V2G: "
            f"{len(self.buses)} energised buses>"
        )

    def _repr_html_(self) -> str:
        islands = int(self.island.max()) + 1 if len(self.island) else 0
        rows = {
            "case": self.case.name,
            "V2G": "with" if self.v2g else "without",
            "buses": f"{len(self.buses)} energised in {islands} part(s), "
            f"{len(self.dead_buses)} without supply",
            "lines": len(self.lines.names),
            "household load": f"{self.firm_kw.sum() + self.responsive_kw.sum():.0f} kW, "
            f"{self.firm_kw.sum():.0f} of it firm",
            "reactive load": f"{self.network.reactive_kvar.sum():.0f} kvar",
            "stations, generators": f"{len(self.stations)}, {len(self.generators)}",
        }
        if self.changes:
            rows["changed"] = ", ".join(f"{k} = {v}" for k, v in self.changes.items())
        return card(f"scenario {self.name}", rows)


def resolve(
    case: CaseData,
    scenario: str | None,
    *,
    v2g: bool,
    changes: Mapping[str, Any] | None = None,
    others_supply: bool = False,
) -> Scenario:
    """Resolve one scenario of `case`.

    Parameters
    ----------
    scenario
        A name in ``case.scenarios``; None is its only one, or else 'base'.
    v2g
        Whether stations may buy energy from vehicles.
    changes
        Parameters to change, by name; they win over the scenario's own.
    others_supply
        Leave it to the caller, who knows of other suppliers, to `check_supply` of islands.

    Raises
    ------
    DataError
        Unknown scenario or parameter; an island with load but without supply or without enough
        reactive power; voltage limits that no operation can meet next to the root.
    """
    if not isinstance(v2g, (bool, np.bool_)):
        raise DataError(f"v2g = {quoted(v2g)} is neither True nor False")
    if changes is not None and not isinstance(changes, Mapping):
        raise DataError(
            f"parameters = {quoted(changes)} is not a table of names and values",
            advice='write {"voll": 5.0}',
        )
    given = case = admit_case(case)
    if scenario is None:
        scenario = next(iter(case.scenarios)) if len(case.scenarios) == 1 else "base"
    if not isinstance(scenario, str) or scenario not in case.scenarios:
        raise DataError(
            f"there is no scenario {quoted(scenario)}",
            where=case.where,
            advice=did_you_mean(scenario, case.scenarios),
        )
    changes = dict(changes or {})
    # the scenario's own first: what is asked for by name wins
    for table in (case.scenarios[scenario].set, changes):
        case = with_changes(case, table) if table else case
    data = replace(case.scenarios[scenario], set={})
    case = replace(case, scenarios={**case.scenarios, scenario: data})
    grid = network(case, data)
    buses = list(grid.buses)
    load = grid.load_kw
    share = case.market.firm_share
    resolved = Scenario(
        name=scenario,
        v2g=bool(v2g),
        case=case,
        given=given,
        changes=changes,
        network=grid,
        firm_kw=share * load,
        responsive_kw=(1.0 - share) * load,
        stations=case.stations[case.stations["bus"].isin(buses)],
        generators=case.generators[case.generators["bus"].isin(buses)],
    )
    if not others_supply:
        check_supply(resolved)
    grid.check(resolved.where)
    return resolved


def check_supply(scenario: Scenario, extra_kw: FloatArray | None = None) -> None:
    """Islands without the substation need supply for their load.

    Parameters
    ----------
    extra_kw
        What others than generators and stations could supply, by energised bus.

    Raises
    ------
    DataError
        Where an island has load and nothing could supply any.
    """
    load = scenario.firm_kw + scenario.responsive_kw
    supply = np.zeros(len(load)) if extra_kw is None else extra_kw.copy()
    at = scenario.bus_position
    for _, g in scenario.generators.iterrows():
        supply[at[g["bus"]]] += g["max_kw"]
    for _, s in scenario.stations.iterrows():
        supply[at[s["bus"]]] += s["pv_kw"] + s["store_discharge_kw"]
        supply[at[s["bus"]]] += s["discharge_max_kw"] if scenario.v2g else 0.0
    for number in range(1, int(scenario.island.max()) + 1):
        here = scenario.island == number
        if load[here].sum() > 0 and supply[here].sum() <= 0:
            names = listed([scenario.buses[i] for i in np.flatnonzero(here & (load > 0))])
            raise DataError(
                f"an island without the substation has {load[here].sum():.0f} kW of load and no "
                f"supply (buses {names})",
                where=scenario.where,
                advice="put a generator there, or take the outage away that cuts it off",
            )
