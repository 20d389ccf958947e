"""One scenario of a case, resolved to numbers: what is energised, loads, limits, demand, V2G.

Outages are applied, islands found, dead islands removed and every island checked for supply and
reactive power before any player is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.case import admit
from v2geq.data.model.case import Case
from v2geq.data.parameters.change import with_changes
from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.grid.topology import Lines, Topology, energised
from v2geq.show import card

LEAST_PRICE = 1e-4
"""$/kWh; prices are never measured by less, as the rest of the market costs a thousand times it."""


class Period(NamedTuple):
    """A stretch of time with one state of the market."""

    name: str
    hours: float


@dataclass(frozen=True)
class Scenario:
    """A case under one scenario, with or without V2G.

    Arrays are by energised bus unless said otherwise; kW and kvar, three-phase totals.

    Attributes
    ----------
    case : with the changes applied; given : as it was given, a copy nobody else holds
    buses : energised buses, the root first; dead_buses : buses of removed islands
    island : island number per bus, 0 is the one of the root
    firm_kw : load that must be served or shed; responsive_kw : reference quantity q0 of the
        price-responsive demand; reactive_kvar : reactive load
    reactive_min, reactive_max : reactive supply by sources, generators and capacitors
    stations : rows of the case's stations that are energised
    generators : likewise
    """

    name: str
    v2g: bool
    case: Case
    given: Case
    changes: Mapping[str, Any]
    buses: tuple[str, ...]
    dead_buses: tuple[str, ...]
    island: IntArray
    lines: Lines
    firm_kw: FloatArray
    responsive_kw: FloatArray
    reactive_kvar: FloatArray
    reactive_min: FloatArray
    reactive_max: FloatArray
    stations: pd.DataFrame
    generators: pd.DataFrame

    @property
    def bus_position(self) -> dict[str, int]:
        """Position of every energised bus."""
        return {b: i for i, b in enumerate(self.buses)}

    @property
    def load_buses(self) -> IntArray:
        """Positions of buses with household load."""
        return np.flatnonzero(self.firm_kw + self.responsive_kw > 0)

    @property
    def power_scale(self) -> float:
        """Mean load of energised buses with load, at load factor one, kW (data, not solution)."""
        loads = self.case.feeder.loads["load_kw"].reindex(list(self.buses)).to_numpy(dtype=float)
        return float(loads[loads > 0].mean()) if (loads > 0).any() else 1.0

    @property
    def voltage_scale(self) -> float:
        """Mean drop of squared voltage along a line that carries `power_scale`, pu2.

        At most the range it may have, or one line of many ohms would hide the others; at least
        1e-5, or rounding of voltages near one would show in the scaled residual.
        """
        ohm = float(np.mean(self.lines.r_ohm + self.lines.x_ohm)) if self.lines.names else 0.0
        drop = 2.0 * ohm * self.power_scale / (1000.0 * self.case.feeder.base_kv**2)
        limits = self.case.feeder_settings
        return max(min(drop, limits.vmax**2 - limits.vmin**2), 1e-5)

    def station_scale(self, energy_reach: float) -> float:
        """Power per station if all vehicles charged, kW, at most `power_scale`.

        However few they are: trade at stations is measured by what could be traded there.
        """
        here = energy_reach / len(self.stations) if len(self.stations) else 0.0
        return min(self.power_scale, here) if here > 0.0 else self.power_scale

    @property
    def price_scale(self) -> float:
        """The least of what energy is known to cost, $/kWh: a price that is off by it is wrong.

        Purchase from the TSO, the reference price where demand responds to it, the value of lost
        load; at least `LEAST_PRICE`.
        """
        market = self.case.market
        known = [market.voll, self.case.substation.price]
        if self.responsive_kw.any():
            known.append(market.reference_price)
        return max(min(p for p in known if p > 0.0), LEAST_PRICE)

    @property
    def money_scale(self) -> float:
        """power_scale * price_scale, $/h."""
        return self.power_scale * self.price_scale

    def scale_of(self, unit: str) -> float | None:
        """Magnitude of quantities in a unit among the feeder's data; None for other units."""
        if unit in ("kW", "kvar"):
            return self.power_scale
        return self.voltage_scale if unit == "pu2" else None

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
            "reactive load": f"{self.reactive_kvar.sum():.0f} kvar",
            "stations, generators": f"{len(self.stations)}, {len(self.generators)}",
        }
        if self.changes:
            rows["changed"] = ", ".join(f"{k} = {v}" for k, v in self.changes.items())
        return card(f"scenario {self.name}", rows)


def resolve(
    case: Case, scenario: str, *, v2g: bool, changes: Mapping[str, Any] | None = None
) -> Scenario:
    """Resolve one scenario of `case`.

    Parameters
    ----------
    scenario
        A name in ``case.scenarios``.
    v2g
        Whether stations may buy energy from vehicles.
    changes
        Parameters to change, by name; they win over the scenario's own.

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
            f"set = {quoted(changes)} is not a table of names and values",
            advice='write {"voll": 5.0}',
        )
    given = case = admit(case)
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
    data = case.scenarios[scenario]
    topology = energised(case, data.outages)
    buses = list(topology.buses)
    loads = case.feeder.loads.reindex(buses).fillna(0.0)
    load = loads["load_kw"].to_numpy(dtype=float) * data.load_factor
    scales = case.feeder_settings.reactive_load_scales
    reactive = loads["load_kvar"].to_numpy(dtype=float) * (data.load_factor if scales else 1.0)
    low, high = _reactive_supply(case, data.reactive_sources, topology)
    share = case.market.firm_share
    resolved = Scenario(
        name=scenario,
        v2g=bool(v2g),
        case=case,
        given=given,
        changes=changes,
        buses=topology.buses,
        dead_buses=topology.dead_buses,
        island=topology.island,
        lines=topology.lines,
        firm_kw=share * load,
        responsive_kw=(1.0 - share) * load,
        reactive_kvar=reactive,
        reactive_min=low,
        reactive_max=high,
        stations=case.stations[case.stations["bus"].isin(buses)],
        generators=case.generators[case.generators["bus"].isin(buses)],
    )
    _check_islands(resolved)
    _check_stiff_voltages(resolved)
    return resolved


def _reactive_supply(
    case: Case, sources: Mapping[str, float], topology: Topology
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest reactive supply per bus, kvar (the root's TSO supply not included)."""
    at = {b: i for i, b in enumerate(topology.buses)}
    low, high = np.zeros(len(at)), np.zeros(len(at))
    for bus, kvar in sources.items():
        if bus in at:
            low[at[bus]] -= kvar
            high[at[bus]] += kvar
    for _, g in case.generators.iterrows():
        if g["bus"] in at:
            low[at[g["bus"]]] += g["min_kvar"]
            high[at[g["bus"]]] += g["max_kvar"]
    banks = case.feeder_settings.capacitors
    for _, c in case.feeder.capacitors.iterrows():
        if banks == "none" or c["bus"] not in at:
            continue
        i = at[c["bus"]]
        high[i] += c["kvar"]
        # without the TSO a fixed bank could have no sink, so there it is switched
        if banks == "fixed" and topology.island[i] == 0:
            low[i] += c["kvar"]
    return low, high


def _check_islands(scenario: Scenario) -> None:
    """Islands without the substation need supply for their load, real and reactive."""
    where = f"{scenario.case.where}: scenario {quoted(scenario.name)}"
    load = scenario.firm_kw + scenario.responsive_kw
    supply = np.zeros(len(load))
    at = scenario.bus_position
    for _, g in scenario.generators.iterrows():
        supply[at[g["bus"]]] += g["max_kw"]
    if scenario.v2g:
        for _, s in scenario.stations.iterrows():
            supply[at[s["bus"]]] += s["discharge_max_kw"]
    for number in range(1, int(scenario.island.max()) + 1):
        here = scenario.island == number
        if load[here].sum() > 0 and supply[here].sum() <= 0:
            names = listed([scenario.buses[i] for i in np.flatnonzero(here & (load > 0))])
            raise DataError(
                f"an island without the substation has {load[here].sum():.0f} kW of load and no "
                f"supply (buses {names})",
                where=where,
                advice="put a generator there, or take the outage away that cuts it off",
            )
        need = scenario.reactive_kvar[here].sum()
        least, most = scenario.reactive_min[here].sum(), scenario.reactive_max[here].sum()
        if not least - 1e-9 <= need <= most + 1e-9:
            lack = need - most if need > most else least - need
            kind = "no reactive source" if least == most == 0 else "too little reactive range"
            loaded = here & (scenario.reactive_kvar != 0)
            names = listed([scenario.buses[i] for i in np.flatnonzero(loaded)])
            raise DataError(
                f"an island without the substation needs {need:.0f} kvar and has {kind}: sources "
                f"give {least:.0f} to {most:.0f} kvar, short by {lack:.0f} (buses {names})",
                where=where,
                advice="state a source under reactive_sources of the scenario, or give a "
                "generator there min_kvar and max_kvar",
            )


def _check_stiff_voltages(scenario: Scenario) -> None:
    """Voltages that follow from the root through branches without impedance must fit the limits."""
    limits = scenario.case.feeder_settings
    voltage = {0: limits.root_voltage}
    lines = scenario.lines
    stiff = (lines.r_ohm == 0) & (lines.x_ohm == 0)
    grown = True
    while grown:
        grown = False
        for k in np.flatnonzero(stiff):
            i, j = int(lines.from_bus[k]), int(lines.to_bus[k])
            if i in voltage and j not in voltage:
                voltage[j] = voltage[i] * lines.ratio[k]
                grown = True
    for i, v in voltage.items():
        if not limits.vmin - 1e-9 <= v <= limits.vmax + 1e-9:
            raise DataError(
                f"bus {quoted(scenario.buses[i])} is held at {v:.4f} pu by the substation voltage "
                f"and the regulators, outside the limits {limits.vmin} to {limits.vmax}",
                where=f"{scenario.case.where}: scenario {quoted(scenario.name)}",
                advice="change feeder.root_voltage, feeder.regulators, or the limits",
            )
