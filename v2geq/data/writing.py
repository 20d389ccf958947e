"""A case as the files of its folder: tables as CSV, the rest as TOML; readers read it back equal.

Values keep every digit. Tables tell the basis of their rows where every row has one; what else has
a basis is listed in the section [basis] of case.toml.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from v2geq.data.model.case import SWITCHING, CaseData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.phases import KIND, PHASE_TABLES, PHASES_FOLDER
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TRIPS, TableSchema
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import ValueSpec, setting_specs

MARK = "# written by v2geq: saving a case here again replaces it\n"
"""First line of the case.toml of a saved case."""
FEEDER_MARK = "# written by v2geq: saving a feeder here again replaces it\n"
"""First line of the feeder.toml of a saved feeder."""


def toml_value(value: Any) -> str:
    """A value as TOML; texts of JSON are texts of TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml_value(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return repr(value)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(v) for v in row])
    return out.getvalue()


def case_files(case: CaseData) -> dict[str, str]:
    """Text of every file of a checked case, by path in its folder."""
    road = case.road
    files = {f"feeder/{name}": text for name, text in feeder_files(case.feeder).items()}
    files["road/road.toml"] = toml_lines(name=road.name, source=road.source)
    for table, schema in ROAD_TABLES.items():
        files[f"road/{table}.csv"] = table_text(schema, getattr(road, table))
    basis = dict(case.basis)
    for table, schema in CASE_TABLES.items():
        files[f"{table}.csv"] = table_text(schema, getattr(case, table), basis)
    trips = _trip_files(case)
    for name, file in trips.items():
        files[file] = table_text(TRIPS, case.trip_tables.get(name, case.trips[name]))
    return {"case.toml": MARK + _case_toml(case, trips, basis), **files}


def feeder_files(feeder: PhaseFeeder | Feeder) -> dict[str, str]:
    """Text of every file of a checked feeder, by path in its folder."""
    tables: dict[str, TableSchema] = FEEDER_TABLES
    own: dict[str, Any] = {}
    if isinstance(feeder, PhaseFeeder):
        tables, own = PHASE_TABLES, {"kind": KIND, "root_voltage": feeder.root_voltage}
    else:
        own = {"base_kv": feeder.base_kv}
    head = toml_lines(name=feeder.name, root=feeder.root, **own, source=feeder.source)
    files = {"feeder.toml": head}
    for table, schema in tables.items():
        files[f"{table}.csv"] = table_text(schema, getattr(feeder, table))
    if isinstance(feeder, Feeder) and feeder.by_phase is not None:
        inside = feeder_files(feeder.by_phase)
        files |= {f"{PHASES_FOLDER}/{name}": text for name, text in inside.items()}
    return files


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value != value else value  # nan: a number nobody knows


def table_text(
    schema: TableSchema, frame: pd.DataFrame, basis: dict[str, tuple[str, str]] | None = None
) -> str:
    """Table as CSV; with the basis of its rows, taken out of `basis`, where all have one."""
    names = [c.name for c in schema.columns]
    keys = [frame.index.tolist()] if schema.indexed else []
    columns = keys + [frame[name].tolist() for name in schema.value_columns]
    labels = [f"{schema.name}.{key}" for key in frame.index]
    told = [basis[k] for k in labels if k in basis] if basis else []
    if basis and labels and len(told) == len(labels) and all(n == n.strip() for _, n in told):
        names += ["basis", "note"]
        columns += [[kind for kind, _ in told], [note for _, note in told]]
        for k in labels:
            del basis[k]
    return csv_text(names, zip(*columns, strict=True))


def _trip_files(case: CaseData) -> dict[str, str]:
    """File of the trips of every class; told apart also where upper and lower case are one."""
    files: dict[str, str] = {}
    for name in case.drivers:
        taken = {file.casefold() for file in files.values()}
        tail = ""
        while f"trips/{name}{tail}.csv".casefold() in taken:
            tail += "_"
        files[name] = f"trips/{name}{tail}.csv"
    return files


def _case_toml(case: CaseData, trips: Mapping[str, str], basis: dict[str, tuple[str, str]]) -> str:
    """Text of case.toml; the basis of what it holds is taken out of `basis`."""
    parts = [
        toml_lines(name=case.name, title=case.title, source=case.source),
        "[networks]\n" + toml_lines(feeder="feeder", road="road"),
    ]
    for section, (attribute, cls) in SECTIONS.items():
        holder = getattr(case, attribute)
        values = {k: getattr(holder, k) for k in setting_specs(cls)}
        parts.append(_section([section], values, setting_specs(cls, case.currency), basis))
    for name, driver in case.drivers.items():
        specs = setting_specs(DriverClass, case.currency)
        left = EV_SETTINGS if driver.kind == "fv" else ()
        values = {k: getattr(driver, k) for k in specs if k not in left}
        values["trips"] = trips[name]
        if name not in case.trip_tables:
            values |= {"trips_factor": 1.0, "trips_of": "", "trips_spread": False}
        parts.append(_section(["drivers", name], values, specs, basis))
    for name, scenario in case.scenarios.items():
        path = ["scenario", name]
        parts.append(
            _section(path, {"load_factor": scenario.load_factor}, {}, basis)
            + toml_lines(**{what: getattr(scenario, what) for what in SWITCHING})
        )
        sources = _section([*path, "reactive_sources"], scenario.reactive_sources, {}, basis)
        parts += [sources] if scenario.reactive_sources else []
        parts += [_section([*path, "set"], scenario.set, {}, {})] if scenario.set else []
    if basis:
        rest = {k: {"basis": kind, "note": note} for k, (kind, note) in basis.items()}
        parts.append(_section(["basis"], rest, {}, {}))
    return "\n".join(parts)


def toml_lines(**values: Any) -> str:
    """Keys and values as TOML."""
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())


def _section(
    path: Sequence[str],
    values: Mapping[str, Any],
    specs: Mapping[str, ValueSpec],
    basis: dict[str, tuple[str, str]],
) -> str:
    """Section of values; those with a basis in their form, and it is taken out of `basis`."""
    lines = [
        "[" + ".".join(p if p.isidentifier() and p.isascii() else toml_value(p) for p in path) + "]"
    ]
    for key, value in values.items():
        kind, note = basis.pop(".".join([*path, key]), ("", ""))
        spec = specs.get(key)
        left_out = (kind, note) == ("assumed", "default") and spec and not spec.required
        if left_out and spec and value == spec.default:
            continue
        if kind and (kind, note) != ("assumed", ""):
            form = {"value": value, "basis": kind, "note": note}
            if spec and spec.unit:
                form = {"value": value, "unit": spec.unit, "basis": kind, "note": note}
            inside = ", ".join(f"{k} = {toml_value(v)}" for k, v in form.items())
            lines.append(f"{toml_value(key)} = {{ {inside} }}")
        else:
            lines.append(f"{toml_value(key)} = {toml_value(value)}")
    return "\n".join(lines) + "\n"
