"""The feeder of one hour: what is energised, reactive load and supply, and the limits to keep."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.case import CaseData, ScenarioData
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.phases import plain_rows
from v2geq.data.model.settings import FeederSettings, SubstationSettings
from v2geq.errors import DataError, listed, quoted
from v2geq.grid.ratings import with_inverter
from v2geq.grid.topology import Topology, energised
from v2geq.show import brief


@dataclass(frozen=True)
class Network(Topology):
    """What a power flow is stated on. Arrays are by energised bus; kvar, three-phase totals.

    Attributes
    ----------
    load_kw, reactive_kvar : load
    reactive_min, reactive_max : reactive supply by sources, generators and capacitors, without the
        TSO's at the root
    reactive_on_phases : of these, bus, phases and range of generators connected to some phases
    offered_min, offered_max : reactive power that players can sell, which the operator buys
    limits : of voltages and lines; substation : of what the TSO supplies at the root
    base_kv : line-line kV the impedances refer to
    """

    load_kw: FloatArray
    reactive_kvar: FloatArray
    reactive_min: FloatArray
    reactive_max: FloatArray
    reactive_on_phases: tuple[tuple[str, str, float, float], ...]
    offered_min: FloatArray
    offered_max: FloatArray
    limits: FeederSettings
    substation: SubstationSettings
    base_kv: float

    __repr__ = brief

    @property
    def trades_kvar(self) -> IntArray:
        """Positions of buses where reactive power is bought."""
        return np.flatnonzero((self.offered_min != 0.0) | (self.offered_max != 0.0))

    def check(self, where: str) -> None:
        """Raise DataError where no operation can serve reactive load or keep voltage limits."""
        self._check_reactive(where)
        self._check_stiff_voltages(where)

    def _check_reactive(self, where: str) -> None:
        """Islands without the substation need reactive supply for their load."""
        for number in range(1, int(self.island.max()) + 1):
            here = self.island == number
            need = self.reactive_kvar[here].sum()
            least = (self.reactive_min + self.offered_min)[here].sum()
            most = (self.reactive_max + self.offered_max)[here].sum()
            if not least - 1e-9 <= need <= most + 1e-9:
                lack = need - most if need > most else least - need
                kind = "no reactive source" if least == most == 0 else "too little reactive range"
                loaded = np.flatnonzero(here & (self.reactive_kvar != 0))
                names = listed([self.buses[i] for i in loaded])
                raise DataError(
                    f"an island without the substation needs {need:.0f} kvar and has {kind}: "
                    f"sources give {least:.0f} to {most:.0f} kvar, short by {lack:.0f} (buses "
                    f"{names})",
                    where=where,
                    advice="state a source under reactive_sources of the scenario, or give a "
                    "generator there min_kvar and max_kvar, or kva",
                )

    def _check_stiff_voltages(self, where: str) -> None:
        """Voltages that follow from the root's without impedance between must fit the limits."""
        limits, lines = self.limits, self.lines
        voltage = {0: limits.root_voltage}
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
                    f"bus {quoted(self.buses[i])} is held at {v:.4f} pu by the substation voltage "
                    f"and the regulators, outside the limits {limits.vmin} to {limits.vmax}",
                    where=where,
                    advice="change feeder.root_voltage, feeder.regulators, or the limits",
                )


def network(case: CaseData, hour: ScenarioData) -> Network:
    """The case's feeder with the switching, load and reactive sources of an hour."""
    plants, market = case.generators, case.market
    traded = (*case.stations["bus"], *plants["bus"])
    grid = network_of(case.feeder, case.feeder_settings, case.substation, plants, traded, hour)
    low, high = grid.offered_min + 0.0, grid.offered_max + 0.0
    _offer(grid, low, high, with_inverter(case.stations))
    if market.shed_reactive:
        # what shedding frees, of either sign
        free = np.where(grid.load_kw > 0.0, market.firm_share * grid.reactive_kvar, 0.0)
        low, high = low + np.minimum(free, 0.0), high + np.maximum(free, 0.0)
    return replace(grid, offered_min=low, offered_max=high)


def _offer(grid: Topology, low: FloatArray, high: FloatArray, inverters: pd.DataFrame) -> None:
    """Add to the ranges by bus what inverters can supply."""
    at = grid.bus_position
    for total, column in ((low, "min_kvar"), (high, "max_kvar")):
        for bus, kva, kvar in zip(
            inverters["bus"], inverters["kva"], inverters[column], strict=True
        ):
            if bus in at:
                total[at[bus]] += min(max(kvar, -kva), kva)


def network_of(
    feeder: Feeder,
    limits: FeederSettings,
    substation: SubstationSettings,
    generators: pd.DataFrame,
    traded: Collection[str],
    hour: ScenarioData,
) -> Network:
    """A feeder in an hour; see `CaseData` for generators and `energised` for `traded`."""
    topology = energised(feeder, limits, traded, hour.outages, hour.closed)
    load = feeder.loads.reindex(list(topology.buses)).fillna(0.0)
    low, high = np.zeros(len(topology.buses)), np.zeros(len(topology.buses))
    at = topology.bus_position
    for bus, kvar in hour.reactive_sources.items():
        if bus in at:
            low[at[bus]] -= kvar
            high[at[bus]] += kvar
    offered_min, offered_max = np.zeros(len(low)), np.zeros(len(low))
    _offer(topology, offered_min, offered_max, with_inverter(generators))
    on_phases = []
    columns = ("bus", "phases", "min_kvar", "max_kvar")
    for bus, phases, least, most in plain_rows(generators[generators["kva"].isna()], *columns):
        if bus in at:
            low[at[bus]] += least
            high[at[bus]] += most
            if phases and (least or most):
                on_phases.append((bus, phases, least, most))
    for _, c in feeder.capacitors.iterrows():
        if limits.capacitors == "none" or c["bus"] not in at:
            continue
        i = at[c["bus"]]
        high[i] += c["kvar"]
        # without the TSO a fixed bank could have no sink, so there it is switched
        if limits.capacitors == "fixed" and topology.island[i] == 0:
            low[i] += c["kvar"]
    return Network(
        **vars(topology),
        load_kw=load["load_kw"].to_numpy(dtype=float) * hour.load_factor,
        reactive_kvar=load["load_kvar"].to_numpy(dtype=float)
        * (hour.load_factor if limits.reactive_load_scales else 1.0),
        reactive_min=low,
        reactive_max=high,
        reactive_on_phases=tuple(on_phases),
        offered_min=offered_min,
        offered_max=offered_max,
        limits=limits,
        substation=substation,
        base_kv=feeder.base_kv,
    )
