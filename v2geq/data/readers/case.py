"""Reader of a case folder: case.toml, stations.csv, lses.csv, generators.csv, trip tables."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from v2geq.data.checks.case import check_case
from v2geq.data.model.case import REACTIVE_SOURCE, SWITCHING, CaseData, ScenarioData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.origin import Origin, TableOrigin
from v2geq.data.model.schema import CASE_TABLES, TRIPS, with_provenance
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import BASES, ValueSpec, currency_told, setting_specs
from v2geq.data.parameters.change import apply_changes, with_full_names
from v2geq.data.parameters.form import Basis, flatten, parameter
from v2geq.data.readers.feeder import read_feeder_with_origin
from v2geq.data.readers.folders import (
    available_cases,
    discreet,
    find_network,
    known_networks,
    networks_folder,
)
from v2geq.data.readers.road import read_road_with_origin, read_trips
from v2geq.data.readers.tables import read_table
from v2geq.data.readers.toml import TomlTable, read_toml
from v2geq.data.trips import class_trips
from v2geq.errors import DataError, Unusable, did_you_mean, mistake, mistakes, part, quoted


def read_case(name_or_path: str | Path) -> CaseData:
    """Checked data of a case folder; arguments and errors as of `v2geq.load_case`."""
    path = _case_file(name_or_path)
    with discreet(path, [path.parent]):
        return _read_folder(path)


def _case_file(name_or_path: str | Path) -> Path:
    if not isinstance(name_or_path, (str, Path)):
        raise DataError(f"{quoted(name_or_path)} is neither the name nor the path of a case")
    if isinstance(name_or_path, str) and name_or_path in available_cases():
        return networks_folder() / name_or_path / "case.toml"
    path = Path(name_or_path)
    if os.path.isdir(path):
        path = path / "case.toml"
    if os.path.isfile(path) and path.suffix == ".toml":
        return path
    shipped = available_cases()
    raise DataError(
        f"no case {quoted(str(name_or_path))}: neither a shipped case nor a folder with case.toml",
        advice=did_you_mean(str(name_or_path), shipped, f"shipped cases: {', '.join(shipped)}"),
    )


class _Parts:
    """What has been read so far of a case: provenance and places of its parameters."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.basis: dict[str, Basis] = {}
        self.places: dict[str, str] = {}
        self.tables: dict[str, TableOrigin] = {}

    def values(self, table: TomlTable, cls: type, prefix: str) -> dict[str, Any]:
        """Checked scalar settings of the attribute table `cls` by name, defaults filled in.

        Keys it does not know are left to `table.finish`.
        """
        values: dict[str, Any] = {}
        specs = table.known = setting_specs(cls, self.currency)
        for name, spec in specs.items():
            dotted = f"{prefix}.{name}"
            self.places[dotted] = table.where(name)
            if name not in table and not spec.required:
                table.raw(name, None)
                values[name], self.basis[dotted] = spec.default, ("assumed", "default")
                continue
            try:
                raw = table.raw(name)
                values[name], self.basis[dotted] = parameter(spec, raw, self.places[dotted])
            except DataError as error:
                mistake(error)
                values[name] = spec.stand_in(table.data.get(name))
        return values

    def settings(self, table: TomlTable, cls: type, prefix: str) -> Any:
        """Instance of the attribute table `cls`, all keys known."""
        values = self.values(table, cls, prefix)
        table.finish()
        return cls(**values)

    def rows(self, name: str, frame: pd.DataFrame, label: str) -> None:
        basis = frame.get("basis")
        if basis is not None:
            for key, kind, note in zip(frame.index, basis, frame["note"], strict=True):
                self.basis[f"{label}.{key}"] = (kind, note)
        self.places[name] = self.tables[name].path


def _read_folder(path: Path) -> CaseData:
    top, folder = read_toml(path), path.parent
    currency = currency_told(top.data.get("market"))
    parts = _Parts(currency)
    parts.places |= {name: str(path) for name in ("drivers", "scenario")}
    name, title = top.text("name", folder.name), top.text("title", "")
    source = top.text("source", "")
    networks = top.table("networks")
    homes = [folder]
    loaded: dict[str, Any] = {}
    origin = Origin()
    read_road = partial(read_road_with_origin, currency=currency)
    for kind, read in (("feeder", read_feeder_with_origin), ("road", read_road)):
        with part():
            homes.append(_network(networks, kind, folder))
            loaded[kind], found = read(homes[-1])
            origin |= found
    networks.finish()
    for section, (attribute, cls) in SECTIONS.items():
        with part():
            loaded[attribute] = parts.settings(top.table(section, {}), cls, section)
    for table, schema in CASE_TABLES.items():
        with part():
            file = folder / f"{table}.csv"
            frame, parts.tables[table] = read_table(file, with_provenance(schema.priced(currency)))
            parts.rows(table, frame, table)
            loaded[table] = frame[list(schema.value_columns)]
    drivers, trip_tables = _drivers(top.table("drivers", {}), homes, parts)
    scenario_table = top.table("scenario", {})
    scenarios = {}
    for key in scenario_table.data:
        scenarios[key] = ScenarioData()
        with part():
            scenarios[key] = _scenario(scenario_table, key, parts)
    changes = flatten(top.mapping("set", {}))
    places = {key: top.where("set") for key in changes}
    told = top.table("basis", {})
    parts.basis |= {name: _basis(told, name) for name in told.data}
    top.finish()
    if len(loaded) < 2 + len(SECTIONS) + len(CASE_TABLES):
        raise Unusable
    case = CaseData(
        name=name,
        title=title,
        drivers=drivers,
        trips={},
        scenarios=scenarios,
        basis=parts.basis,
        source=source,
        trip_tables=trip_tables,
        file=str(path),
        **loaded,
    )
    with part():
        case, _ = apply_changes(case, changes, places.__getitem__)
    origin |= Origin(parts.tables, parts.places)
    trips = {}
    for k, driver in case.drivers.items():
        known = {k, driver.trips_of} & set(case.drivers) <= set(trip_tables)
        if known and not math.isnan(driver.trips_factor):
            with part():
                trips[k] = class_trips(case, k, origin.place(f"drivers.{k}.trips"))
    case = replace(case, trips=trips)
    check_case(case, origin)
    case = with_full_names(case, origin)
    if mistakes():
        raise Unusable
    return case


def _basis(section: TomlTable, name: str) -> Basis:
    """Basis of a value that has no form of its own, such as one of an arc."""
    table = section.table(name)
    basis = ValueSpec("basis", "text", choices=BASES).check(table.raw("basis"), table.where())
    note = table.text("note", "")
    table.finish()
    return basis, note


def _network(networks: TomlTable, key: str, folder: Path) -> Path:
    """Network folder named in case.toml: relative to the case, or the name of a shipped one."""
    name = networks.text(key)
    if found := find_network(key, name, folder):
        return found
    raise networks.error(
        f"no {key} folder {quoted(name)}",
        key=key,
        advice="give a path relative to the case, or a shipped one: "
        + ", ".join(known_networks(key)),
    )


def _drivers(
    section: TomlTable, homes: Sequence[Path], parts: _Parts
) -> tuple[dict[str, DriverClass], dict[str, pd.DataFrame]]:
    drivers: dict[str, DriverClass] = {}
    tables: dict[str, pd.DataFrame] = {}
    for name in section.data:
        with part():
            table = section.table(name)
            driver = parts.settings(table, DriverClass, f"drivers.{name}")
            if driver.kind == "fv":
                for setting in EV_SETTINGS:
                    parts.basis.pop(f"drivers.{name}.{setting}", None)
            drivers[name], before = driver, mistakes()
            if not driver.trips and mistakes():
                continue
            frame, origin = read_trips(homes[0] / driver.trips, with_provenance(TRIPS), homes)
            if frame.empty and mistakes() > before:
                continue
            tables[name] = frame[list(TRIPS.value_columns)]
            parts.tables[f"trips.{name}"] = origin
    return drivers, tables


def _scenario(section: TomlTable, name: str, parts: _Parts) -> ScenarioData:
    table, prefix = section.table(name), f"scenario.{name}"
    value = parts.values(table, ScenarioData, prefix)
    sources = {}
    reactive = table.table("reactive_sources", {})
    for bus, raw in reactive.data.items():
        key = f"{prefix}.reactive_sources.{bus}"
        parts.places[key] = reactive.where(bus)
        sources[bus], parts.basis[key] = parameter(REACTIVE_SOURCE, raw, parts.places[key])
    for key in (*SWITCHING, "set"):
        parts.places[f"{prefix}.{key}"] = table.where(key)
    scenario = ScenarioData(
        load_factor=value["load_factor"],
        **{what: tuple(table.texts(what, [])) for what in SWITCHING},
        reactive_sources=sources,
        set=flatten(table.mapping("set", {})),
    )
    table.finish()
    return scenario
