"""Driver classes, scenarios and networks of a case exchanged; not yet checked as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.edit.rows import known, label, named
from v2geq.data.model.case import SWITCHING, CaseData, ScenarioData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import FEEDER_TABLES, ROAD_TABLES, TOLL_UNIT, TRIPS
from v2geq.data.model.values import ValueSpec, setting_specs
from v2geq.data.trips import class_trips, travelling
from v2geq.errors import DataError, did_you_mean, quoted, unknown_name

_ELECTRIC = ("battery", "consumption", "discharge_level", "charger_power")
"""Settings an electric class must be given, for zero will not do."""
_FACTOR = ValueSpec("trips", "float", lower=0.0)
_TRIPS = "give a frame of origin, destination, trips_veh_h, a series by both, or a factor"


def with_class(
    case: CaseData, name: Any, like: Any, trips: Any, given: Mapping[str, Any]
) -> CaseData:
    """Case with a driver class added, or changed where there is one of this name."""
    name = named(name, "driver class")
    where, specs = f"driver class {quoted(name)}", setting_specs(DriverClass, case.currency)
    for setting in given:
        if setting not in specs:
            raise unknown_name("unknown argument", setting, specs, where)
    model = name if like is None else known(like, case.drivers, "driver class for like =")
    base = case.drivers.get(model)
    values, table = _trips_of(case, name, model, trips)
    values |= {k: specs[k].check(v, where) for k, v in given.items()}
    kind = values.get("kind", base.kind if base else "")
    own = None if base is None or (kind == "fv" and base.kind != "fv") else base
    if own is None:
        needed = [k for k, s in specs.items() if s.required] + list(
            _ELECTRIC if kind == "ev" else ()
        )
        kept = {"value_of_time": base.value_of_time} if base else {}
        values = kept | values
        _require(name, values, needed, case)
    if name not in case.drivers or not isinstance(trips, (int, float, type(None))):
        values["trips"] = f"{name}_trips.csv"
    driver = replace(own, **values) if own else DriverClass(**values)
    basis = {k: v for k, v in case.basis.items() if not k.startswith(f"drivers.{name}.")}
    for setting in specs:
        if kind == "fv" and setting in EV_SETTINGS:
            continue
        inherited = case.basis.get(f"drivers.{model}.{setting}", ("assumed", "default"))
        told = ("assumed", "given in Python") if setting in values else inherited
        basis[f"drivers.{name}.{setting}"] = told
    case = replace(
        case,
        drivers={**case.drivers, name: driver},
        trip_tables={**case.trip_tables, name: table},
        basis=basis,
    )
    follow = [k for k, d in case.drivers.items() if d.trips_of == name and k in case.trip_tables]
    changed = {k: class_trips(case, k) for k in (name, *follow)}
    return replace(case, trips={**case.trips, **changed})


def without_classes(case: CaseData, names: tuple[Any, ...]) -> CaseData:
    """Case without some driver classes."""
    gone = _gone(names, case.drivers, "driver class")
    kept: dict[str, Any] = {
        part: {k: v for k, v in getattr(case, part).items() if k not in gone}
        for part in ("drivers", "trips", "trip_tables")
    }
    return replace(case, **kept, basis=_basis_without(case, [f"drivers.{k}." for k in gone]))


def with_scenario(case: CaseData, name: Any, like: Any, given: Mapping[str, Any]) -> CaseData:
    """Case with a scenario added, or changed where there is one of this name."""
    name = named(name, "scenario")
    where = f"scenario {quoted(name)}"
    model = name if like is None else known(like, case.scenarios, "scenario for like =")
    base = case.scenarios.get(model, ScenarioData())
    values = {k: v for k, v in given.items() if v is not None}
    for what in ("reactive_sources", "set"):
        if what in values and not isinstance(values[what], Mapping):
            raise DataError(
                f"{'parameters' if what == 'set' else what} = {quoted(values[what])} is not a "
                "table of names and values",
                where=where,
                advice='write {"voll": 5.0}' if what == "set" else 'write {"48": 300.0}',
            )
    if "reactive_sources" in values:
        values["reactive_sources"] = {label(k): v for k, v in values["reactive_sources"].items()}
    if "set" in values:
        values["set"] = {**base.set, **values["set"]}
    for what in SWITCHING:
        given_names = values.get(what)
        if isinstance(given_names, Iterable) and not isinstance(given_names, (str, Mapping)):
            values[what] = tuple(label(branch) for branch in given_names)
    scenario = replace(base, **values)
    prefix = f"scenario.{name}."
    basis = _basis_without(case, [prefix])
    for key in ("load_factor", *(f"reactive_sources.{bus}" for bus in scenario.reactive_sources)):
        mine = key.partition(".")[0] in values
        inherited = case.basis.get(f"scenario.{model}.{key}", ("assumed", "default"))
        basis[prefix + key] = ("assumed", "given in Python") if mine else inherited
    return replace(case, scenarios={**case.scenarios, name: scenario}, basis=basis)


def without_scenarios(case: CaseData, names: tuple[Any, ...]) -> CaseData:
    """Case without some scenarios."""
    gone = _gone(names, case.scenarios, "scenario")
    kept = {k: v for k, v in case.scenarios.items() if k not in gone}
    basis = _basis_without(case, [f"scenario.{k}." for k in gone])
    return replace(case, scenarios=kept, basis=basis)


def with_road(case: CaseData, road: RoadNetwork, stations: Any, trips: Any) -> CaseData:
    """Case on another road network, its stations at other nodes, its classes with other trips."""
    follow = [k for k, t in case.trip_tables.items() if t.equals(case.road.trips)]
    if _other_names(case.road, road, "nodes"):
        _all_moved("stations", case.stations.index, stations, "its node")
        _all_moved("trips", [k for k in case.drivers if k not in follow], trips, "a trip table")
    tables = [f"{t.name}." for t in ROAD_TABLES.values()]
    case = replace(case, road=priced_road(road), basis=_basis_without(case, tables))
    case = _moved(case, "stations", "road_node", stations)
    given = {**dict.fromkeys(follow, road.trips), **_names(trips, "trips", "ev", "frame")}
    for name, table in given.items():
        known(name, case.drivers, "driver class")
        case = replace(
            case, trip_tables={**case.trip_tables, name: trip_frame(table, _trips_place(name))}
        )
    found = {
        name: class_trips(case, name) if name in case.trip_tables else case.trips[name]
        for name in case.drivers
        if name in given or case.drivers[name].trips_spread or case.drivers[name].trips_of
    }
    return replace(case, trips={**case.trips, **found})


def with_feeder(case: CaseData, feeder: Feeder, stations: Any, generators: Any) -> CaseData:
    """Case on another feeder, its stations and generators at other buses."""
    tables = FEEDER_TABLES.values()
    if _other_names(case.feeder, feeder, "buses"):
        _all_moved("stations", case.stations.index, stations, "its bus")
        _all_moved("generators", case.generators.index, generators, "its bus")
        for name, scenario in case.scenarios.items():
            if scenario.outages or scenario.closed or scenario.reactive_sources:
                raise DataError(
                    f"scenario {quoted(name)} has outages, closed branches or reactive sources of "
                    "the old feeder",
                    advice=f"take it out before, as in case.without_scenario({name!r}), and add it "
                    "anew",
                )
    case = replace(case, feeder=feeder, basis=_basis_without(case, [f"{t.name}." for t in tables]))
    case = _moved(case, "stations", "bus", stations)
    return _moved(case, "generators", "bus", generators)


def priced_road(road: RoadNetwork) -> RoadNetwork:
    """The road with tolls in the unit of cases, where it has none."""
    if not isinstance(road, RoadNetwork) or not isinstance(road.arcs, pd.DataFrame):
        return road  # the door says what it is not
    free = "toll" not in road.arcs or not np.any(road.arcs["toll"].to_numpy() != 0.0)
    return replace(road, toll_unit=TOLL_UNIT) if free else road


def trip_frame(given: Any, where: str) -> pd.DataFrame:
    """Trip table given as a frame or as a series by origin and destination."""
    frame = given
    if isinstance(given, pd.Series) and given.index.nlevels == 2:
        frame = given.rename("trips_veh_h").rename_axis(["origin", "destination"]).reset_index()
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"trips = {quoted(given)} is no trip table", where=where, advice=_TRIPS)
    frame = frame.reset_index() if frame.index.nlevels == 2 else frame
    for column in ("origin", "destination"):
        if column in frame:
            frame = frame.assign(**{column: [label(v) for v in frame[column]]})
    return travelling(TRIPS.admit(frame, where), where)


def _trips_place(name: str) -> str:
    return f"trips of class {quoted(name)}"


def _trips_of(
    case: CaseData, name: str, model: str, trips: Any
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Settings that follow from what is given as trips of a class, and its table."""
    whole = {"trips_factor": 1.0, "trips_of": "", "trips_spread": False}
    where = f"driver class {quoted(name)}"
    base = case.drivers.get(model)
    if trips is not None and not np.isscalar(trips):
        return whole, trip_frame(trips, _trips_place(name))
    if trips is None and base is None:
        raise DataError("trips is missing (veh/h)", where=where, advice=_TRIPS)
    if isinstance(trips, str):
        raise DataError(f"trips = {quoted(trips)} is no trip table", where=where, advice=_TRIPS)
    factor = 1.0 if trips is None else float(_FACTOR.check(trips, where))
    if base is None:
        if case.road.trips.empty:
            raise DataError(
                f"trips = {quoted(trips)} is a factor on the road's trip table, which is empty",
                where=where,
                advice="give a frame of origin, destination, trips_veh_h",
            )
        return {**whole, "trips_factor": factor}, case.road.trips
    if model not in case.trip_tables:
        return {**whole, "trips_factor": factor}, case.trips[model]
    own = {} if trips is None else {"trips_factor": base.trips_factor * factor}
    return own, case.trip_tables[model]


def _require(name: str, values: Mapping[str, Any], needed: list[str], case: CaseData) -> None:
    specs = setting_specs(DriverClass, case.currency)
    missing = [
        f"{k} ({specs[k].unit or ' or '.join(specs[k].choices) or 'share'})"
        for k in needed
        if k not in values and k != "trips"
    ]
    if missing:
        likes = [k for k in case.drivers if k != name]
        advice = f", or like={likes[0]!r} to take the rest from another" if likes else ""
        raise DataError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            where=f"driver class {quoted(name)}",
            advice=f"give {'it' if len(missing) == 1 else 'them'}{advice}",
        )


def _moved(case: CaseData, table: str, column: str, places: Any) -> CaseData:
    """Case with rows of a table at other places, by name."""
    frame = getattr(case, table).copy()
    for name, place in _names(places, table, "s1", "its new place").items():
        frame.loc[known(name, frame.index, table[:-1]), column] = label(place)
    return replace(case, **{table: frame})


def _other_names(old: Any, new: Any, table: str) -> bool:
    """Whether a network has other nodes or buses, so that names of the old one mean nothing."""
    frame = getattr(new, table, None)
    return isinstance(frame, pd.DataFrame) and set(frame.index) != set(getattr(old, table).index)


def _all_moved(argument: str, names: Iterable[Any], given: Any, value: str) -> None:
    """Raise DataError unless all that was on the old network has its place on the new one."""
    missing = [name for name in names if name not in _names(given, argument, "s1", value)]
    if missing:
        raise DataError(
            f"{', '.join(map(quoted, missing))} {'is' if len(missing) == 1 else 'are'} of the old "
            f"network, whose names differ from the new one's",
            where=argument,
            advice=f"write {argument}={{{missing[0]!r}: {value}, ...}}, or take out what is not to "
            "move before",
        )


def _names(given: Any, argument: str, name: str, value: str) -> dict[Any, Any]:
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise DataError(
            f"{argument} = {quoted(given)} is not a table of names",
            advice=f"write {{{name!r}: {value}}}",
        )
    return dict(given)


def _gone(names: tuple[Any, ...], there: Mapping[str, Any], noun: str) -> list[str]:
    if not names:
        raise DataError(f"no {noun} is named", advice=did_you_mean("", there))
    return [known(name, there, noun) for name in names]


def _basis_without(case: CaseData, prefixes: list[str]) -> dict[str, tuple[str, str]]:
    return {k: v for k, v in case.basis.items() if not k.startswith(tuple(prefixes))}
