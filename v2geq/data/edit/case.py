"""The case as users hold it: read, built, changed and saved, checked at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from v2geq.data.edit.build import as_feeder, as_road, build_case
from v2geq.data.edit.parts import (
    with_class,
    with_feeder,
    with_road,
    with_scenario,
    without_classes,
    without_scenarios,
)
from v2geq.data.edit.rows import with_arcs, with_row, without_rows
from v2geq.data.edit.save import save_case
from v2geq.data.model.case import CaseData
from v2geq.data.parameters.change import admit_case, with_parameters
from v2geq.data.readers.case import read_case
from v2geq.data.readers.document import fingerprint
from v2geq.errors import DataError, quoted


def load_case(name_or_path: str | Path) -> Case:
    """Case of a folder with case.toml and its tables.

    Parameters
    ----------
    name_or_path
        Name of a shipped case (see `available_cases`), or path of a folder or of its case.toml.
        A plain name means the shipped case first; write './name' for a folder of the same name.

    Raises
    ------
    DataError
        If there is no such case, or its data cannot be used.
    """
    return Case.of(read_case(name_or_path))


class Case(CaseData):
    """Everything a study needs; see `CaseData` for tables, columns and units.

    `with_...` and `without_...` return changed cases, checked as files are; `build` makes and
    `save` writes one.
    """

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same data; where they were read from does not matter."""
        return isinstance(other, CaseData) and fingerprint(self) == fingerprint(other)

    __hash__ = None  # type: ignore[assignment]  # its frames may be changed

    @classmethod
    def of(cls, data: CaseData) -> Case:
        """The case of checked data."""
        return cls(**{f.name: getattr(data, f.name) for f in fields(CaseData)})

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
            Its numbers are taken as they are, per hour; `road.capacity_factor` and the classes'
            `trips_factor` are for tables of a day.
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
        return Case.of(
            build_case(
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
        )

    def with_parameters(self, changes: Mapping[str, Any] | None = None, **more: Any) -> Case:
        """Case with parameters changed: ``{"drivers.ev.trips_factor": 2}, voll=5``."""
        return Case.of(with_parameters(self, _joined(changes, more)))

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
        return _changed(with_class, self, name, like, trips, settings)

    def without_class(self, *names: str) -> Case:
        """Case without some driver classes."""
        return _changed(without_classes, self, names)

    def with_scenario(
        self,
        name: str,
        *,
        like: str | None = None,
        load_factor: float | None = None,
        outages: Any = None,
        closed: Any = None,
        reactive_sources: Mapping[str, float] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Case:
        """Case with a scenario added, or changed where there is one of this name.

        What is left out is that of the scenario `like`, or else load factor 1 and nothing more.
        `outages` are branches, `closed` normally open ones, `reactive_sources` kvar by bus;
        `parameters` and `more` are changed in this scenario only, as ``voll=5``.
        """
        given = {
            "load_factor": load_factor,
            "outages": outages,
            "closed": closed,
            "reactive_sources": reactive_sources,
            "set": _joined(parameters, more),
        }
        return _changed(with_scenario, self, name, like, given)

    def without_scenario(self, *names: str) -> Case:
        """Case without some scenarios."""
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
            Node of every station that is to stand at another one, by station; of all stations
            where the names of the nodes are not those of the old road.
        trips
            Trip tables by class; a class that took the trips of the old road takes those of the
            new one. Needed of all others where the names of the nodes differ. The factors on trips
            and capacities stay.
        """
        return _changed(with_road, self, as_road(road), stations, trips)

    def with_feeder(
        self,
        feeder: Any,
        *,
        stations: Mapping[str, Any] | None = None,
        generators: Mapping[str, Any] | None = None,
    ) -> Case:
        """Case on another feeder, given as in `build`; buses of stations and generators by name.

        Needed of all of them where the names of the buses differ. Scenarios with outages,
        closed branches or reactive sources of the old feeder are to be taken out first.
        """
        return _changed(with_feeder, self, as_feeder(feeder), stations, generators)

    def with_arcs(self, changes: Any) -> Case:
        """Case with arcs of its road changed: ``{"6-8": {"toll": 2.0}}``, or a frame by arc.

        A new arc needs from_node, to_node and every column without default.
        """
        return _changed(with_arcs, self, changes)

    def save(self, folder: str | Path) -> list[str]:
        """Write the case to a folder that `load_case` reads back equal; return the files' names.

        The folder is new, empty, or one a case was saved to before; nothing else is overwritten.
        """
        return save_case(admit_case(self), folder)

    def _with_row(self, table: str, name: str, like: str | None, columns: Any) -> Case:
        return _changed(with_row, self, table, name, columns, like)

    def _without_rows(self, table: str, names: tuple[Any, ...]) -> Case:
        return _changed(without_rows, self, table, names)


def _changed(change: Callable[..., CaseData], case: CaseData, *given: Any) -> Case:
    """The changed case, checked."""
    try:
        changed = change(case, *given)
    except (AttributeError, KeyError, TypeError, ValueError):
        admit_case(case)  # what it starts from may be what is wrong
        raise
    return Case.of(admit_case(changed))


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
