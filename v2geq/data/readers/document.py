"""Cases as JSON-able documents and back, without loss."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import pandas as pd

from v2geq.data.model.case import SWITCHING, CaseData, ScenarioData
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.phases import PHASE_TABLES
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TRIPS, TableSchema
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import currency_told, setting_specs
from v2geq.data.parameters.change import admit_case
from v2geq.errors import DataError, quoted, unknown_name

FORMAT, VERSION = "v2geq-case", 1
_TABLES: dict[type, Mapping[str, TableSchema]] = {
    Feeder: FEEDER_TABLES,
    PhaseFeeder: PHASE_TABLES,
    RoadNetwork: ROAD_TABLES,
}
_NETWORKS: dict[str, type] = {"feeder": Feeder, "road": RoadNetwork}
_BY_PHASE = "by_phase"
_TEXTS = ("name", "title", "source")


def fingerprint(case: CaseData) -> str:
    """Hash of everything a checked case holds: tables, settings, scenarios, notes."""
    document = document_of(case)
    for driver in document["drivers"].values():
        del driver["trips"]  # the name of a file
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def case_to_document(case: CaseData) -> dict[str, Any]:
    """Case as a dictionary of plain JSON values; `case_from_document` restores it exactly.

    Raises
    ------
    DataError
        If it is not a case that could be read from files.
    """
    return document_of(admit_case(case))


def document_of(case: CaseData) -> dict[str, Any]:
    """`case_to_document` of a case that has been checked."""
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(case, name) for name in _TEXTS},
        **{part: _network_to_document(getattr(case, part), cls) for part, cls in _NETWORKS.items()},
        **{
            name: _table_to_document(getattr(case, name), schema)
            for name, schema in CASE_TABLES.items()
        },
        "settings": {
            section: _settings_to_document(getattr(case, attribute))
            for section, (attribute, _) in SECTIONS.items()
        },
        "drivers": {name: _settings_to_document(d) for name, d in case.drivers.items()},
        "trips": {name: _table_to_document(t, TRIPS) for name, t in case.trips.items()},
        "trip_tables": {name: _table_to_document(t, TRIPS) for name, t in case.trip_tables.items()},
        "scenarios": {
            name: {
                "load_factor": s.load_factor,
                **{what: list(getattr(s, what)) for what in SWITCHING},
                "reactive_sources": dict(s.reactive_sources),
                "set": dict(s.set),
            }
            for name, s in case.scenarios.items()
        },
        "basis": {name: list(pair) for name, pair in case.basis.items()},
    }


def case_from_document(document: Mapping[str, Any]) -> CaseData:
    """Case of a document written by `case_to_document`, checked like files.

    Raises
    ------
    DataError
        Unknown format or version, missing or unknown keys, values of the wrong type or out of
        range, or parts that do not fit together.
    """
    own = ["settings", "drivers", "trips", "trip_tables", "scenarios", "basis"]
    expected = ["format", "version", *_TEXTS, *_NETWORKS, *CASE_TABLES, *own]
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise DataError(
            "not a case document", where="document", advice=f"format must be {quoted(FORMAT)}"
        )
    if document.get("version") != VERSION:
        raise DataError(
            f"version {quoted(document.get('version'))} of the case document is unknown",
            where="document",
            advice=f"this release reads version {VERSION}",
        )
    _check_keys(document, expected, "document")
    settings = _mapping(document, "settings", "document")
    _check_keys(settings, list(SECTIONS), "settings")
    currency = currency_told(settings["market"])
    parts: dict[str, Any] = {name: document[name] for name in _TEXTS}
    parts |= {part: _network(document, part, cls, currency) for part, cls in _NETWORKS.items()}
    parts |= {
        name: _table(document, name, schema.priced(currency), name)
        for name, schema in CASE_TABLES.items()
    }
    parts |= {
        attribute: _fields(settings[section], cls, section)
        for section, (attribute, cls) in SECTIONS.items()
    }
    for part, cls, label in (
        ("drivers", DriverClass, "drivers"),
        ("scenarios", ScenarioData, "scenario"),
    ):
        entries = _mapping(document, part, "document")
        parts[part] = {
            str(name): _fields(entry, cls, f"{label}.{name}") for name, entry in entries.items()
        }
    for part in ("trips", "trip_tables"):
        holder = _mapping(document, part, "document")
        parts[part] = {str(k): _table(holder, k, TRIPS, f"{part}.{k}") for k in holder}
    # the door checks the values
    return admit_case(CaseData(**parts, basis=_mapping(document, "basis", "document")))


def _settings_to_document(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in setting_specs(type(settings))}


def _table_to_document(frame: pd.DataFrame, schema: TableSchema) -> dict[str, Any]:
    columns = {schema.key[0]: frame.index.tolist()} if schema.indexed else {}
    columns |= {name: frame[name].tolist() for name in schema.value_columns}
    for spec in schema.columns:
        if spec.unknown:  # JSON has no nan
            columns[spec.name] = [None if v != v else v for v in columns[spec.name]]
    return columns


def _table(holder: Mapping[str, Any], name: str, schema: TableSchema, where: str) -> pd.DataFrame:
    columns = _mapping(holder, name, where)
    names = [c.name for c in schema.columns if c.required or c.name in columns]
    _check_keys(columns, names, where)
    values: dict[str, list[Any]] = {}
    for spec in schema.columns:
        if spec.name not in columns:
            continue
        column = columns[spec.name]
        if not isinstance(column, (list, tuple)):
            raise DataError(f"column {spec.name} is not a list", where=where)
        values[spec.name] = [
            math.nan
            if value is None and spec.unknown
            else spec.check(value, f"{where}, row {i + 1}, column {spec.name}")
            for i, value in enumerate(column)
        ]
    if len({len(column) for column in values.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in values.items())
        raise DataError(f"columns of different length: {lengths}", where=where)
    schema.complete(values, len(values[schema.key[0]]))
    return schema.frame(values)


def _network_to_document(network: Any, cls: type) -> dict[str, Any]:
    """A network's tables and texts; without the feeder by phases where there is none."""
    tables = _TABLES[cls]
    out: dict[str, Any] = {}
    for f in fields(cls):
        value = getattr(network, f.name)
        if f.name in tables:
            out[f.name] = _table_to_document(value, tables[f.name])
        elif f.name != _BY_PHASE:
            out[f.name] = value
        elif value is not None:
            out[f.name] = _network_to_document(value, PhaseFeeder)
    return out


def _network(holding: Mapping[str, Any], part: str, cls: Any, currency: str) -> Any:
    tables = _TABLES[cls]
    holder = _mapping(holding, part, "document")
    own = [f for f in fields(cls) if f.name in holder or f.default is MISSING]
    _check_keys(holder, [f.name for f in own], part)
    values = {f.name: holder[f.name] for f in own if f.name not in tables}
    frames = {
        name: _table(holder, name, schema.priced(currency), f"{part}.{name}")
        for name, schema in tables.items()
    }
    if _BY_PHASE in values:
        values[_BY_PHASE] = _network(holder, _BY_PHASE, PhaseFeeder, currency)
    return cls(**values, **frames)


def _fields(entry: Any, cls: type, where: str) -> Any:
    """Instance of a dataclass of settings, all of them given."""
    if not isinstance(entry, Mapping):
        what = "scenario" if cls is ScenarioData else "table of settings"
        raise DataError(f"{quoted(entry)} is not a {what}", where=where)
    _check_keys(entry, [f.name for f in fields(cls)], where)
    return cls(**entry)


def _mapping(holder: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = holder[key]
    if not isinstance(value, Mapping):
        raise DataError(f"{key} = {quoted(value)} is not a table", where=where)
    return value


def _check_keys(given: Mapping[str, Any], expected: list[str], where: str) -> None:
    for key in given:
        if key not in expected:
            raise unknown_name("unknown key", key, expected, where)
    missing = [key for key in expected if key not in given]
    if missing:
        raise DataError(f"missing key {', '.join(map(repr, missing))}", where=where)
