"""Frozen data of a case: feeder, road network, stations, market, drivers, scenarios.

Tables are pandas frames indexed by name; every column carries its unit in its name, every setting
its unit in its attribute table (`setting`). Nothing here knows of players or solvers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.settings import (
    FeederSettings,
    MarketSettings,
    PathSettings,
    StationSettings,
    SubstationSettings,
)
from v2geq.data.model.values import ValueSpec, setting
from v2geq.errors import DataError, quoted
from v2geq.show import card


@dataclass(frozen=True)
class ScenarioData:
    """One scenario: load factor, outages, reactive sources and changed parameters."""

    load_factor: float = setting("", "factor on household load", default=1.0, lower=0.0)
    outages: tuple[str, ...] = setting("", "branches out of service", default=())
    reactive_sources: Mapping[str, float] = setting(
        "kvar", "reactive capability (both signs) added at buses", default_factory=dict
    )
    set: Mapping[str, Any] = setting(
        "", "parameters changed in this scenario", default_factory=dict
    )


REACTIVE_SOURCE = ValueSpec("reactive_sources", "float", "kvar", lower=0.0)
"""One of a scenario's `reactive_sources`."""


@dataclass(frozen=True)
class Case:
    """Everything a study needs: two networks, their coupling, players' data, scenarios.

    `with_...` and `without_...` return changed cases, checked; `build` makes and `save` writes one.

    Attributes
    ----------
    stations : index station; columns road_node, bus, charge_max_kw, discharge_max_kw, piles,
        base_wait_h, queue_slope_h (h per veh/h), charger_power_kw (vehicles plug in at the smaller
        of this and their own power), discharge_piles (used where queues are by direction)
    lses : index lse; column portion (of every bus's firm load; sums to one)
    generators : index generator; columns lse, bus, min_kw, max_kw, cost_linear ($/kWh),
        cost_quadratic ($/kW2h; cost = linear g + quadratic g^2), cost (expression in g, or ''),
        min_kvar, max_kvar
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
    substation: SubstationSettings
    market: MarketSettings
    station_settings: StationSettings
    paths: PathSettings
    basis: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    source: str = ""
    trip_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    file: str = field(default="", compare=False)

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

    # -----------------------------------------------------------------------------------------
    # Changes: every one is checked as files are, and returns a new case

    @staticmethod
    def build(
        *,
        feeder: Any,
        road: Any,
        stations: Any = None,
        generators: Any = None,
        lses: Any = None,
        drivers: Any = None,
        scenarios: Any = None,
        name: str = "case",
        title: str = "",
        source: str = "",
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Case:
        """Case of two networks, with defaults for the rest.

        Parameters
        ----------
        feeder
            `Feeder`, folder or name of a shipped one ('ieee123'), or its parts by name: buses,
            branches, loads, capacitors (none if left out), root, base_kv.
        road
            `RoadNetwork`, what `read_tntp` returns, folder or name of a shipped one
            ('sioux_falls'), or its parts by name: nodes, arcs, trips. Nodes need no coordinates.
        stations, generators
            Frame, or columns by name: ``{"s1": {"road_node": 5, "bus": 7, ...}}``; none if left
            out. The column `lse` of generators is needed where there are several.
        lses
            Portions by name; one LSE 'A' if left out.
        drivers
            Settings by class, as in `with_class`; if left out `v2geq.data.edit.build.DRIVERS`: a
            tenth of the road's trips by electric vehicles of 40 kWh, the rest by fuel vehicles.
        scenarios
            Arguments of `with_scenario` by name, or names; 'base' if left out.
        parameters, more
            Parameters by name, as in `with_parameters`. Settings that have no default elsewhere
            take those of `v2geq.data.edit.build.SETTINGS`, which are the shipped study's but for
            the limits of the substation (1e5 kW and kvar).

        Raises
        ------
        DataError
            Missing columns, with their units, and what the readers of files refuse.
        """
        from v2geq.data.edit.build import build_case

        return build_case(
            feeder=feeder,
            road=road,
            stations=stations,
            generators=generators,
            lses=lses,
            drivers=drivers,
            scenarios=scenarios,
            texts={"name": name, "title": title, "source": source},
            parameters=_joined(parameters, more),
        )

    def with_parameters(self, changes: Mapping[str, Any] | None = None, **more: Any) -> Case:
        """Case with parameters changed: ``{"drivers.ev.trips_factor": 2}, voll=5``."""
        from v2geq.data.parameters.change import with_parameters

        return with_parameters(self, _joined(changes, more))

    def with_station(self, name: str, *, like: str | None = None, **columns: Any) -> Case:
        """Case with a station added, or changed where there is one of this name.

        Columns are those of `stations`. Of a new station those left out are of the station `like`,
        or else `charger_power_kw` limits no vehicle and `discharge_piles` are as many as `piles`.
        `basis` and `note` tell where its values come from.
        """
        return self._with_row("stations", name, like, columns)

    def with_generator(self, name: str, *, like: str | None = None, **columns: Any) -> Case:
        """Case with a generator added or changed; columns are those of `generators`.

        Of a new one those left out are of the generator `like`, or else `min_kw`, `min_kvar` and
        `max_kvar` are 0, there is no formula `cost`, and `lse` is the only one.
        """
        return self._with_row("generators", name, like, columns)

    def with_lse(self, name: str, *, like: str | None = None, **columns: Any) -> Case:
        """Case with an LSE added or changed; the portions of the others make up the rest."""
        return self._with_row("lses", name, like, columns)

    def without_station(self, *names: str) -> Case:
        """Case without some stations."""
        return self._without_rows("stations", names)

    def without_generator(self, *names: str) -> Case:
        """Case without some generators."""
        return self._without_rows("generators", names)

    def without_lse(self, *names: str) -> Case:
        """Case without some LSEs; the portions of the others make up the whole."""
        return self._without_rows("lses", names)

    def with_class(
        self, name: str, *, like: str | None = None, trips: Any = None, **settings: Any
    ) -> Case:
        """Case with a driver class added, or changed where there is one of this name.

        Parameters
        ----------
        name
            Class.
        like
            Class that settings and trips are taken from where they are not given.
        trips
            Frame of origin, destination and trips_veh_h, or series by both: the whole demand of
            the class; or a factor on the trips of the class it is like, or else of the road.
        settings
            Settings of `DriverClass`, such as ``battery=60``, in their units.
        """
        from v2geq.data.edit.parts import with_class

        return _changed(with_class, self, name, like, trips, settings)

    def without_class(self, *names: str) -> Case:
        """Case without some driver classes."""
        from v2geq.data.edit.parts import without_classes

        return _changed(without_classes, self, names)

    def with_scenario(
        self,
        name: str,
        *,
        like: str | None = None,
        load_factor: float | None = None,
        outages: Any = None,
        reactive_sources: Mapping[str, float] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Case:
        """Case with a scenario added, or changed where there is one of this name.

        What is left out is that of the scenario `like`, or else load factor 1 and nothing more.
        `outages` are branches, `reactive_sources` kvar by bus; `parameters` and `more` are changed
        in this scenario only, as ``voll=5``.
        """
        from v2geq.data.edit.parts import with_scenario

        given = {
            "load_factor": load_factor,
            "outages": outages,
            "reactive_sources": reactive_sources,
            "set": _joined(parameters, more),
        }
        return _changed(with_scenario, self, name, like, given)

    def without_scenario(self, *names: str) -> Case:
        """Case without some scenarios."""
        from v2geq.data.edit.parts import without_scenarios

        return _changed(without_scenarios, self, names)

    def with_road(
        self,
        road: Any,
        *,
        stations: Mapping[str, Any] | None = None,
        trips: Mapping[str, Any] | None = None,
    ) -> Case:
        """Case on another road network, given as in `build`.

        Parameters
        ----------
        road
            Road network.
        stations
            Node of every station that is to stand at another one, by station.
        trips
            Trip tables by class; a class that took the trips of the old road takes those of the
            new one.
        """
        from v2geq.data.edit.build import as_road
        from v2geq.data.edit.parts import with_road

        return _changed(with_road, self, as_road(road), stations, trips)

    def with_feeder(
        self,
        feeder: Any,
        *,
        stations: Mapping[str, Any] | None = None,
        generators: Mapping[str, Any] | None = None,
    ) -> Case:
        """Case on another feeder, given as in `build`; buses of stations and generators by name.

        Scenarios with outages or reactive sources of the old feeder are to be changed first.
        """
        from v2geq.data.edit.build import as_feeder
        from v2geq.data.edit.parts import with_feeder

        return _changed(with_feeder, self, as_feeder(feeder), stations, generators)

    def with_arcs(self, changes: Any) -> Case:
        """Case with arcs of its road changed: ``{"6-8": {"toll": 2.0}}``, or a frame by arc.

        A new arc needs from_node, to_node and every column without default.
        """
        from v2geq.data.edit.rows import with_arcs

        return _changed(with_arcs, self, changes)

    def save(self, folder: str | Path) -> list[str]:
        """Write the case to a folder that `load_case` reads back equal; return the files' names.

        The folder is new, empty, or one a case was saved to before; nothing else is overwritten.
        """
        from v2geq.data.edit.save import save_case
        from v2geq.data.parameters.change import admit_case

        return save_case(admit_case(self), folder)

    def _with_row(self, table: str, name: str, like: str | None, columns: Any) -> Case:
        from v2geq.data.edit.rows import with_row

        return _changed(with_row, self, table, name, columns, like)

    def _without_rows(self, table: str, names: tuple[Any, ...]) -> Case:
        from v2geq.data.edit.rows import without_rows

        return _changed(without_rows, self, table, names)

    @property
    def where(self) -> str:
        """Place of the case in messages: its file, or its name."""
        return self.file or f"case {self.name!r}"


def _changed(change: Callable[..., Case], case: Case, *given: Any) -> Case:
    """The changed case, checked."""
    from v2geq.data.parameters.change import admit_case

    try:
        changed = change(case, *given)
    except (AttributeError, KeyError, TypeError, ValueError):
        admit_case(case)  # what it starts from may be what is wrong
        raise
    return admit_case(changed)


def _joined(changes: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters given by name in two ways."""
    if changes is not None and not isinstance(changes, Mapping):
        raise DataError(
            f"parameters = {quoted(changes)} is not a table of names and values",
            advice='write {"voll": 5.0}',
        )
    if twice := [name for name in more if changes and name in changes]:
        raise DataError(f"{quoted(twice[0])} is given twice", advice="keep one of them")
    return {**(changes or {}), **more}
