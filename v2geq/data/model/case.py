"""Frozen data of a case: feeder, road network, stations, market, drivers, scenarios.

Tables are pandas frames indexed by name; every column carries its unit in its name, every setting
its unit in its attribute table (`setting`). Nothing here knows of players or solvers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.settings import (
    FeederSettings,
    MarketSettings,
    PathSettings,
    RoadSettings,
    StationSettings,
    SubstationSettings,
)
from v2geq.data.model.values import NAME_LENGTH, ValueSpec, Where, in_words, setting
from v2geq.errors import DataError, quoted
from v2geq.show import ByName, card


@dataclass(frozen=True)
class ScenarioData:
    """One scenario: load factor, switching, reactive sources and changed parameters."""

    load_factor: float = setting("", "factor on household load", default=1.0, lower=0.0)
    outages: tuple[str, ...] = setting("", "branches out of service", default=())
    closed: tuple[str, ...] = setting("", "normally open branches that are closed", default=())
    reactive_sources: Mapping[str, float] = setting(
        "kvar", "reactive capability (both signs) added at buses", default_factory=dict
    )
    set: Mapping[str, Any] = setting(
        "", "parameters changed in this scenario", default_factory=dict
    )


REACTIVE_SOURCE = ValueSpec("reactive_sources", "float", "kvar", lower=0.0)
"""One of a scenario's `reactive_sources`."""


SWITCHING = ("outages", "closed")
"""Lists of branches in a scenario."""


def branches_of(what: str, given: Any, where: Where, advice: str) -> tuple[str, ...]:
    """Checked names of branches that are out of service, or closed."""
    if isinstance(given, str) or not isinstance(given, (list, tuple)):
        raise DataError(
            f"{what} = {quoted(given)} is not a list", where=in_words(where), advice=advice
        )
    spec = ValueSpec(what, "text", longest=NAME_LENGTH)
    return tuple(spec.check(branch, where) for branch in given)


@dataclass(frozen=True, eq=False)
class CaseData:
    """Everything a study needs: two networks, their coupling, players' data, scenarios.

    Attributes
    ----------
    road : the road network as read; its vehicles meet `traffic_road`
    stations : index station; columns road_node, bus, charge_max_kw, discharge_max_kw, piles,
        base_wait_h, queue_slope_h (h per veh/h), charger_power_kw (vehicles plug in at the smaller
        of this and their own power), discharge_piles (used where queues are by direction),
        charge_cost, discharge_cost (expressions in p, the power sold to and bought from vehicles,
        or ''), and those of the station's own PV and store: pv_kw, store_charge_kw,
        store_discharge_kw, store_value ($/kWh), store_efficiency (of a round trip), kva (of their
        inverter; nan for none)
    lses : index lse; column portion (of every bus's firm load; sums to one)
    generators : index generator; columns lse, bus, min_kw, max_kw, cost_linear ($/kWh),
        cost_quadratic ($/kW2h; cost = linear g + quadratic g^2), cost (expression in g, or ''),
        min_kvar, max_kvar, kva (of its inverter; nan for none)
    drivers : class name -> DriverClass
    trips : class name -> frame with columns origin, destination, trips_veh_h (factor applied)
    scenarios : scenario name -> ScenarioData
    basis : dotted parameter name -> (measured | cited | assumed, note); rows of tables by
        'stations.<name>', 'lses.<name>', 'generators.<name>'
    trip_tables : class name -> trip table as read, before `trips_factor`, `trips_of` and
        `trips_spread`
    file : case.toml it was read from, for messages; empty for cases of other origin
    """

    name: str
    title: str
    feeder: Feeder
    road: RoadNetwork
    stations: pd.DataFrame
    lses: pd.DataFrame
    generators: pd.DataFrame
    drivers: Mapping[str, DriverClass]
    trips: Mapping[str, pd.DataFrame]
    scenarios: Mapping[str, ScenarioData]
    feeder_settings: FeederSettings
    road_settings: RoadSettings
    substation: SubstationSettings
    market: MarketSettings
    station_settings: StationSettings
    paths: PathSettings
    basis: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    source: str = ""
    trip_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    file: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in ("drivers", "trips", "scenarios", "basis", "trip_tables"):
            if isinstance(given := getattr(self, name), Mapping):
                object.__setattr__(self, name, ByName(given))

    def __repr__(self) -> str:
        return (
            f"<Case {self.name}: {len(self.feeder.buses)} buses, {len(self.road.nodes)} road "
            f"nodes, {len(self.stations)} stations, scenarios {', '.join(self.scenarios)}>"
        )

    def _repr_html_(self) -> str:
        loads = self.feeder.loads
        counts: dict[str, int] = {}
        for kind, _ in self.basis.values():
            counts[kind] = counts.get(kind, 0) + 1
        trips = {k: float(t["trips_veh_h"].sum()) for k, t in self.trips.items()}
        rows = {
            "feeder": f"{self.feeder.name}: {len(self.feeder.buses)} buses, "
            f"{loads['load_kw'].sum():,.0f} kW, {loads['load_kvar'].sum():,.0f} kvar",
            "road": f"{self.road.name}: {len(self.road.nodes)} nodes, {len(self.road.arcs)} arcs",
            "stations": ", ".join(map(str, self.stations.index)),
            "LSEs": ", ".join(map(str, self.lses.index)),
            "generators": f"{len(self.generators)}, {self.generators['max_kw'].sum():,.0f} kW",
            "trips": ", ".join(f"{k} {v:,.0f} veh/h" for k, v in trips.items()),
            "scenarios": ", ".join(self.scenarios),
            "parameters": ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())),
        }
        return card(self.title or self.name, rows)

    @property
    def currency(self) -> str:
        """Name of the money of all its numbers."""
        return self.market.currency

    @property
    def traffic_road(self) -> RoadNetwork:
        """The road network with `road.capacity_factor` applied, to go with `trips`."""
        factor = self.road_settings.capacity_factor
        if factor == 1.0:
            return self.road
        capacity = factor * self.road.arcs["capacity_veh_h"]
        return replace(self.road, arcs=self.road.arcs.assign(capacity_veh_h=capacity))

    @property
    def vehicle_kw(self) -> float:
        """Energy all electric vehicles of an hour could charge with full batteries, kW."""
        return sum(
            float(self.trips[name]["trips_veh_h"].sum()) * kind.battery
            for name, kind in self.drivers.items()
            if kind.kind == "ev" and name in self.trips
        )

    @property
    def where(self) -> str:
        """Place of the case in messages: its file, or its name."""
        return self.file or f"case {self.name!r}"
