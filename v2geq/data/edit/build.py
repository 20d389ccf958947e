"""A case put together in Python from networks, tables and classes; the rest by defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from v2geq.data.checks.phases import admit_phases
from v2geq.data.edit.parts import priced_road, trip_frame, with_class, with_scenario
from v2geq.data.edit.rows import as_frame, label, named
from v2geq.data.model.case import CaseData, ScenarioData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import (
    CASE_TABLES,
    FEEDER_TABLES,
    LSES,
    ROAD_TABLES,
    TRIPS,
    TableSchema,
)
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import currency_told, setting_specs
from v2geq.data.parameters.change import admit_case, with_changes
from v2geq.data.readers.feeder import read_feeder
from v2geq.data.readers.folders import find_network, known_networks
from v2geq.data.readers.opendss import read_opendss
from v2geq.data.readers.road import read_road
from v2geq.errors import DataError, did_you_mean, quoted, unknown_name
from v2geq.show import MONEY

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "feeder": {
        "vmin": 0.95,
        "vmax": 1.05,
        "root_voltage": 1.0,
        "regulators": True,
        "capacitors": "fixed",
    },
    "road": {},
    "substation": {
        "price": 0.08,
        "import_max": 1e5,
        "reactive_min": -1e5,
        "reactive_max": 1e5,
    },
    "market": {"voll": 20.0, "firm_share": 0.8, "reference_price": 0.15, "elasticity": -0.5},
    "stations": {},
    "paths": {},
}
"""Settings of a built case that have no default of their own; as in the shipped study."""

DRIVERS: Mapping[str, Mapping[str, Any]] = {
    "ev": {
        "kind": "ev",
        "trips": 0.1,
        "value_of_time": 12.0,
        "battery": 40.0,
        "consumption": 0.2,
        "discharge_level": 0.5,
        "reserve": 0.2,
        "charger_power": 50.0,
        "degradation": 0.05,
    },
    "fv": {"kind": "fv", "trips": 0.9, "value_of_time": 12.0},
}
"""Driver classes of a case built without any: a tenth of the road's trips is electric."""

_BASIS = "default of Case.build"


def build_case(
    *,
    feeder: Any,
    road: Any,
    stations: Any,
    generators: Any,
    lses: Any,
    drivers: Any,
    scenarios: Any,
    texts: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> CaseData:
    """Checked case; see `Case.build`."""
    basis = {
        f"{section}.{name}": ("assumed", _BASIS if name in SETTINGS[section] else "default")
        for section, (_, cls) in SECTIONS.items()
        for name in setting_specs(cls)
    }
    parts: dict[str, Any] = {
        attribute: cls(**SETTINGS[section]) for section, (attribute, cls) in SECTIONS.items()
    }
    currency = currency_told(parameters, "market.currency")
    if currency == MONEY:
        currency = currency_told(parameters)
    parts["market"] = replace(parts["market"], currency=currency)
    parts["lses"] = _lses(lses)
    tables = {"stations": stations, "generators": generators}
    for table, given in tables.items():
        if table == "generators":
            given = _of_one(given, parts["lses"])
        schema = CASE_TABLES[table].priced(currency)
        parts[table] = as_frame({} if given is None else given, schema, table[:-1])
    for table, schema in CASE_TABLES.items():
        parts[table], told = _without_basis(parts[table], schema)
        basis |= told
    case = CaseData(
        **parts,
        **texts,
        feeder=as_feeder(feeder),
        road=as_road(road),
        drivers={},
        trips={},
        scenarios={},
        basis=basis,
    )
    for name, given in _by_name(DRIVERS if drivers is None else drivers, "drivers", "ev").items():
        case = _with_class(case, name, given)
    if isinstance(scenarios, Iterable) and not isinstance(scenarios, (str, Mapping)):
        scenarios = {named(name, "scenario"): {} for name in scenarios}
    every = {"base": {}} if scenarios is None else scenarios
    for name, given in _by_name(every, "scenarios", "base").items():
        case = _with_scenario(case, name, given)
    return with_changes(admit_case(case), parameters)


def as_feeder(given: Any) -> Feeder:
    """Feeder given as an object, its folder, script or parts; of one by phases the equivalent."""
    if isinstance(given, PhaseFeeder):
        return admit_phases(given).single_phase()
    if isinstance(given, (str, Path)) and str(given).lower().endswith(".dss"):
        return read_opendss(given).single_phase()
    if isinstance(given, (str, Path)):
        return read_feeder(_folder(given, "feeder"))
    if not isinstance(given, Mapping):
        whole: Feeder = _object(given, Feeder, "feeder", "ieee123")
        return whole
    empty = FEEDER_TABLES["capacitors"].frame(
        {c.name: [] for c in FEEDER_TABLES["capacitors"].columns}
    )
    made: Feeder = _network(given, Feeder, FEEDER_TABLES, {"name": "feeder", "capacitors": empty})
    return made


def as_road(given: Any) -> RoadNetwork:
    """Road network given as an object or by `read_tntp`, by its folder, or by its parts."""
    if isinstance(given, tuple) and given and isinstance(given[0], RoadNetwork):
        given = given[0]  # of read_tntp, which hands out the demand beside
    if isinstance(given, (str, Path)):
        return read_road(_folder(given, "road"))
    if not isinstance(given, Mapping):
        return priced_road(_object(given, RoadNetwork, "road", "sioux_falls"))
    none = TRIPS.frame({c.name: [] for c in TRIPS.columns})
    if "trips" in given:
        given = {**given, "trips": trip_frame(given["trips"], TRIPS.name)}
    return priced_road(_network(given, RoadNetwork, ROAD_TABLES, {"name": "road", "trips": none}))


def _object(given: Any, cls: type, what: str, example: str) -> Any:
    if not isinstance(given, cls):
        raise DataError(
            f"{what} = {quoted(given)} is no {cls.__name__}",
            advice=f"give one, its folder, the name of a shipped one such as {example!r}, or its "
            "tables by name",
        )
    return given


def _network(
    given: Mapping[str, Any], cls: Any, tables: Mapping[str, TableSchema], empty: dict[str, Any]
) -> Any:
    """A network given by its tables and texts."""
    what = cls.__name__
    names = [f.name for f in fields(cls)]
    for key in given:
        if key not in names:
            raise unknown_name(f"{what} has no part", key, names)
    values = {**empty, **given}
    optional = {"source", "toll_unit", "by_phase"}
    if missing := [n for n in names if n not in values and n not in optional]:
        raise DataError(
            f"{what} has no {', '.join(missing)}", advice=f"its parts are {', '.join(names)}"
        )
    for name, schema in tables.items():
        if schema.indexed:
            values[name] = as_frame(values[name], schema, schema.key[0])
    if "root" in values:
        values["root"] = label(values["root"])
    return cls(**values)


def _folder(given: str | Path, kind: str) -> Path:
    found = find_network(kind, given)
    if found is None:
        shipped = known_networks(kind)
        raise DataError(
            f"{kind} = {quoted(str(given))} is no {kind} folder",
            advice=did_you_mean(str(given), shipped, f"shipped ones: {', '.join(shipped)}"),
        )
    return found


def _lses(given: Any) -> Any:
    if given is None:
        given = {"A": 1.0}
    if isinstance(given, pd.Series):
        given = given.to_dict()
    if isinstance(given, Mapping):
        given = {k: v if isinstance(v, Mapping) else {"portion": v} for k, v in given.items()}
    return as_frame(given, LSES, "LSE")


def _of_one(given: Any, lses: Any) -> Any:
    """Generators, of the only LSE where none is told."""
    if not isinstance(lses, pd.DataFrame) or len(lses) != 1:
        return given
    lse = lses.index[0]
    if isinstance(given, pd.DataFrame) and "lse" not in given:
        return given.assign(lse=lse)
    if isinstance(given, Mapping):
        return {k: {"lse": lse, **v} if isinstance(v, Mapping) else v for k, v in given.items()}
    return given


def _without_basis(frame: Any, schema: TableSchema) -> tuple[Any, dict[str, tuple[str, str]]]:
    """Frame without the columns basis and note, and what they say, by row."""
    if not isinstance(frame, pd.DataFrame):
        return frame, {}
    kinds = frame["basis"] if "basis" in frame else ["assumed"] * len(frame)
    notes = frame["note"] if "note" in frame else ["given in Python"] * len(frame)
    told = {f"{schema.name}.{k}": (b, n) for k, b, n in zip(frame.index, kinds, notes, strict=True)}
    return frame.drop(columns=["basis", "note"], errors="ignore"), told


def _by_name(given: Any, what: str, example: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise DataError(
            f"{what} = {quoted(given)} is not a table of names",
            advice=f"write {{{example!r}: {{...}}}}",
        )
    return given


def _with_class(case: CaseData, name: Any, given: Any) -> CaseData:
    if isinstance(given, DriverClass):
        left = EV_SETTINGS if given.kind == "fv" else ()
        given = {k: getattr(given, k) for k in setting_specs(DriverClass) if k not in left}
        given["trips"] = 1.0  # an object names a file; its table is that of the road
    if not isinstance(given, Mapping):
        raise DataError(
            f"driver class {quoted(name)} is given {quoted(given)}",
            advice="write {'kind': 'ev', 'trips': ..., 'battery': ...}",
        )
    given = dict(given)
    return with_class(case, name, given.pop("like", None), given.pop("trips", None), given)


def _with_scenario(case: CaseData, name: Any, given: Any) -> CaseData:
    if isinstance(given, ScenarioData):
        return replace(case, scenarios={**case.scenarios, name: given})
    if not isinstance(given, Mapping):
        raise DataError(
            f"scenario {quoted(name)} is given {quoted(given)}", advice="write {'load_factor': 1.5}"
        )
    given = dict(given)
    if "parameters" in given:
        given["set"] = given.pop("parameters")
    names = [f.name for f in fields(ScenarioData)]
    for key in given:
        if key not in (*names, "like"):
            known = ["parameters" if n == "set" else n for n in names]
            raise unknown_name("unknown argument", key, known, f"scenario {quoted(name)}")
    return with_scenario(case, name, given.pop("like", None), given)
