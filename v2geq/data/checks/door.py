"""The door every case and road passes on its way to a problem, whoever made it.

What a file may not hold, no object may hold: tables meet the schemas of the files, settings their
attribute tables, and the parts fit together. What comes through is a copy that nobody else holds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.checks.case import check_case
from v2geq.data.checks.phases import admit_phases
from v2geq.data.checks.road import check_arcs
from v2geq.data.model.case import REACTIVE_SOURCE, SWITCHING, CaseData, ScenarioData, branches_of
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TOLL_UNIT, TRIPS
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import (
    BASES,
    LARGEST,
    NAME_LENGTH,
    ValueSpec,
    currency_told,
    setting_specs,
)
from v2geq.data.trips import class_trips, travelling
from v2geq.errors import DataError, Unusable, mistake, mistakes, part, quoted, unknown_name
from v2geq.show import MONEY, money

_NAME = ValueSpec("name", "text", longest=NAME_LENGTH)
_TITLE = ValueSpec("title", "text", longest=300)
_SOURCE = ValueSpec("source", "text")
_NOTE = ValueSpec("note", "text")
_TOLL_UNIT = ValueSpec("toll_unit", "text")


def checked_copy(given: Any) -> CaseData:
    """Checked copy of a case; scenarios' own changes of parameters are left to the caller.

    Raises
    ------
    DataError
        As the readers of files do.
    """
    if not isinstance(given, CaseData):
        raise DataError(f"{quoted(given)} is not a case", advice="read it with v2geq.load_case")
    case: CaseData = given
    parts: dict[str, Callable[[], Any]] = {
        spec.name: partial(spec.check, getattr(case, spec.name), f"case.{spec.name}")
        for spec in (_NAME, _TITLE, _SOURCE)
    }
    parts["feeder"] = lambda: admit_feeder(case.feeder)
    currency = currency_told(getattr(case.market, "__dict__", None))
    parts["road"] = lambda: admit_road(case.road, as_case=True, currency=currency)
    for name, schema in CASE_TABLES.items():
        parts[name] = partial(schema.priced(currency).admit, getattr(case, name))
    for section, (attribute, cls) in SECTIONS.items():
        parts[attribute] = partial(_settings, getattr(case, attribute), cls, section, currency)
    parts["drivers"] = lambda: _by_name(
        case.drivers,
        "drivers",
        lambda name, d: _settings(d, DriverClass, f"drivers.{name}", currency),
    )
    for which in ("trips", "trip_tables"):
        parts[which] = partial(_trips, case, which)
    parts["scenarios"] = lambda: _by_name(case.scenarios, "scenario", _scenario)
    parts["basis"] = lambda: _by_name(case.basis, "basis", _basis)
    found: dict[str, Any] = {}
    for name, admit in parts.items():
        with part():
            found[name] = admit()
    if len(found) < len(parts):
        raise Unusable
    copy = replace(case, **found)
    check_case(copy)
    if not mistakes():
        _check_agreement(copy)
    return copy


def admit_road(road: Any, *, as_case: bool = False, currency: str = MONEY) -> RoadNetwork:
    """Checked copy of a road network; of a case, or else to assign trips of other tables to.

    A case knows arcs by their ends, has numbers of ordinary size and a trip table of its own.

    Raises
    ------
    DataError
        Not a road network, tables that do not fit their schema, arcs at unknown nodes.
    """
    if not isinstance(road, RoadNetwork):
        raise DataError(
            f"{quoted(road)} is not a road network", advice="read it with v2geq.read_tntp"
        )
    for spec in (_NAME, _SOURCE, _TOLL_UNIT):
        spec.check(getattr(road, spec.name), f"road.{spec.name}")
    largest = LARGEST if as_case else sys.float_info.max
    frames: dict[str, Any] = {
        name: schema.priced(currency).admit(getattr(road, name), largest=largest)
        for name, schema in ROAD_TABLES.items()
        if as_case or schema is not TRIPS
    }
    if as_case:
        frames["trips"] = travelling(frames["trips"], TRIPS.name)
        if road.toll_unit == money(TOLL_UNIT, currency):
            frames["toll_unit"] = TOLL_UNIT
    copy: RoadNetwork = replace(road, **frames)
    if not as_case:
        check_arcs(copy, parallel=True)
    return copy


def admit_feeder(feeder: Any) -> Feeder:
    """Checked copy of a feeder made or changed in Python: its tables and values, and by phases."""
    if not isinstance(feeder, Feeder):
        raise DataError(
            f"{quoted(feeder)} is not a Feeder", where="feeder", advice="take that of another case"
        )
    values: dict[str, Any] = {}
    for name, schema in FEEDER_TABLES.items():
        with part():
            values[name] = schema.admit(getattr(feeder, name))
    if len(values) < len(FEEDER_TABLES):
        raise Unusable
    texts = (_NAME, ValueSpec("root", "text", longest=NAME_LENGTH), _SOURCE)
    values |= {s.name: s.check(getattr(feeder, s.name), "feeder") for s in texts}
    if feeder.by_phase is not None:
        values["by_phase"] = admit_phases(feeder.by_phase)
    values["base_kv"] = ValueSpec("base_kv", "float", "kV").check(feeder.base_kv, "feeder")
    copy: Feeder = replace(feeder, **values)
    return copy


def _settings(settings: Any, cls: Any, where: str, currency: str) -> Any:
    if not isinstance(settings, cls):
        raise DataError(
            f"{quoted(settings)} is not a {cls.__name__}",
            where=where,
            advice=f"give a {cls.__module__}.{cls.__name__}",
        )
    values = {}
    for name, spec in setting_specs(cls, currency).items():
        try:
            values[name] = spec.check(getattr(settings, name), f"{where}.{name}")
        except DataError as error:
            mistake(error)
            values[name] = spec.stand_in(getattr(settings, name))
    return replace(settings, **values)


def _by_name(given: Any, where: str, admit: Callable[[str, Any], Any]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise DataError(f"{quoted(given)} is not a table of names and values", where=where)
    spec = _NOTE if where == "basis" else _NAME
    out = {}
    for name, value in given.items():
        with part():
            out[spec.check(name, where)] = admit(name, value)
    return out


def _trips(case: CaseData, which: str) -> dict[str, pd.DataFrame]:
    """Frames of `trips`, one for every class, or of `trip_tables`, for any of them."""
    tables = _by_name(
        getattr(case, which),
        which,
        lambda name, t: travelling(TRIPS.admit(t, f"{which}.{name}"), f"{which}.{name}"),
    )
    for name in tables:
        if name not in case.drivers:
            mistake(unknown_name("trips of unknown driver class", name, case.drivers, which))
    for name in case.drivers if which == "trips" else ():
        if name not in getattr(case, which) or (name in tables and tables[name].empty):
            mistake(
                DataError(
                    f"driver class {quoted(name)} has no trips",
                    where=which,
                    advice=f"give a table of {', '.join(TRIPS.value_columns)}, or remove the class",
                )
            )
    return tables


def _check_agreement(case: CaseData) -> None:
    """Raise DataError unless trips are what the trip tables and the classes' settings say."""
    for name, driver in case.drivers.items():
        if name not in case.trip_tables:
            continue
        if driver.trips_of in case.drivers and driver.trips_of not in case.trip_tables:
            raise DataError(
                f"trips_of = {quoted(driver.trips_of)} names a class without a trip table",
                where=f"drivers.{name}",
                advice="add it to trip_tables",
            )
        found = case.trips[name]
        wanted = class_trips(case, name)
        same = (found[c].array == wanted[c].array for c in found.columns)
        if len(found) == len(wanted) and all(column.all() for column in same):
            continue
        both = found.merge(wanted, "outer", ["origin", "destination"], suffixes=("", "_table"))
        both = both.fillna(0.0)
        row = both[~np.isclose(both["trips_veh_h"], both["trips_veh_h_table"], 1e-12, 0.0)]
        if row.empty:  # in another order
            continue
        origin, destination, trips, table = row.iloc[0]
        raise DataError(
            f"trips from {quoted(origin)} to {quoted(destination)} are {trips:g} veh/h, but "
            f"{table:g} by trip_tables and the settings of class {quoted(name)}",
            where=f"trips.{name}",
            advice="change both alike, or drop the class from trip_tables",
        )


def _scenario(name: str, scenario: Any) -> ScenarioData:
    where = f"scenario.{name}"
    if not isinstance(scenario, ScenarioData):
        raise DataError(
            f"{quoted(scenario)} is not a ScenarioData",
            where=where,
            advice="give a v2geq.data.model.case.ScenarioData",
        )
    switching = {
        what: branches_of(what, getattr(scenario, what), where, "write ('sw3', 'sw4')")
        for what in SWITCHING
    }
    for what in ("reactive_sources", "set"):
        if not isinstance(getattr(scenario, what), Mapping):
            raise DataError(
                f"{what} = {quoted(getattr(scenario, what))} is not a table of names and values",
                where=where,
            )
    return ScenarioData(
        load_factor=setting_specs(ScenarioData)["load_factor"].check(scenario.load_factor, where),
        **switching,
        reactive_sources={
            _NAME.check(bus, f"{where}.reactive_sources"): REACTIVE_SOURCE.check(kvar, where)
            for bus, kvar in scenario.reactive_sources.items()
        },
        set=dict(scenario.set),
    )


def _basis(name: str, pair: Any) -> tuple[str, str]:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] not in BASES:
        raise DataError(
            f"basis of {quoted(name)} is {quoted(pair)}",
            where="basis",
            advice=f"write (one of {', '.join(BASES)}, note)",
        )
    return str(pair[0]), str(_NOTE.check(pair[1], f"basis of {quoted(name)}"))
