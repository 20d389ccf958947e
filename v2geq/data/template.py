"""A small case to start from: a commented folder that solves as it is and is meant to be edited.

Comments and the tables of the folder's README are made from the attribute tables and schemas, so
they say what the reader of the files checks.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from v2geq.data.model.case import ScenarioData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TRIPS, TableSchema
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import BASES, ValueSpec, setting_specs
from v2geq.data.writing import csv_text, toml_value
from v2geq.files import as_path, write_tree

_Rows = Sequence[Sequence[str | float | bool]]

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "feeder": {
        "vmin": 0.95,
        "vmax": 1.05,
        "root_voltage": 1.03,
        "regulators": True,
        "capacitors": "switchable",
    },
    "road": {},
    "substation": {
        "price": 0.10,
        "import_max": 1200.0,
        "reactive_min": -2000.0,
        "reactive_max": 2000.0,
    },
    "market": {
        "voll": 5.0,
        "firm_share": 0.8,
        "reference_price": 0.15,
        "elasticity": -0.3,
    },
    "stations": {},
    "paths": {},
}
"""Values of the sections' settings; those left out keep their default."""

_DRIVERS: Mapping[str, Mapping[str, Any]] = {
    "ev": {
        "kind": "ev",
        "value_of_time": 15.0,
        "trips": "ev_trips.csv",
        "battery": 30.0,
        "consumption": 0.2,
        "discharge_level": 0.5,
        "reserve": 0.15,
        "energy_value": 0.10,
        "charger_power": 80.0,
        "degradation": 0.05,
    },
    "fv": {"kind": "fv", "value_of_time": 15.0, "trips": "fv_trips.csv"},
}

_SCENARIOS = {
    "base": ScenarioData(),
    "peak": ScenarioData(load_factor=1.6),
    "island": ScenarioData(outages=("l3",), reactive_sources={"b5": 400.0}),
}

_FEEDER: Mapping[str, _Rows] = {
    "buses": [
        ("sub", "abc", 0, 0, 4.16),
        ("b1", "abc", 1, 0, 4.16),
        ("b2", "abc", 2, 0, 4.16),
        ("b3", "abc", 2, 1, 4.16),
        ("b4", "abc", 3, 0, 4.16),
        ("b5", "abc", 4, 0, 4.16),
    ],
    "branches": [
        ("l1", "sub", "b1", "line", "abc", 0.6, 0.10, 0.22, 3000, 1, False),
        ("l2", "b1", "b2", "line", "abc", 0.5, 0.09, 0.18, 2000, 1, False),
        ("sw1", "b2", "b3", "switch", "abc", 0, 0, 0, 1000, 1, False),
        ("l3", "b2", "b4", "line", "abc", 0.7, 0.16, 0.25, 1500, 1, False),
        ("l4", "b4", "b5", "line", "abc", 0.4, 0.10, 0.14, 1000, 1, False),
        ("tie", "b3", "b5", "switch", "abc", 0, 0, 0, 1000, 1, True),
    ],
    "loads": [
        ("b1", 200, 80),
        ("b2", 250, 100),
        ("b3", 150, 60),
        ("b4", 250, 110),
        ("b5", 200, 80),
    ],
    "capacitors": [("c1", "b4", 150)],
}

_KM = {"1-2": 35, "1-3": 55, "2-4": 45, "3-4": 30, "3-5": 45, "4-6": 50, "5-6": 35}
_ROAD: Mapping[str, _Rows] = {
    "nodes": [
        ("1", 0, 1, True),
        ("2", 1, 2, True),
        ("3", 1, 0, True),
        ("4", 2, 1, True),
        ("5", 2, 0, True),
        ("6", 3, 1, True),
    ],
    "arcs": [
        ("-".join(ends), *ends, 400, km, round(km * 0.7, 1), 0.15, 4)
        for name, km in _KM.items()
        for ends in (name.split("-"), name.split("-")[::-1])
    ],
}
_TABLES: Mapping[str, _Rows] = {
    "stations": [
        ("s3", "3", "b3", 800, 800, 20, 0.02, 0.02, 150, 20),
        ("s4", "4", "b5", 800, 800, 20, 0.02, 0.02, 50, 20),
    ],
    "lses": [("A", 0.6), ("B", 0.4)],
    "generators": [
        ("g1", "A", "b2", 0, 300, 0.12, 1e-4, "", 0, 0),
        ("g2", "B", "b5", 0, 250, 0.14, 1e-4, "", -100, 100),
    ],
}
_TRIP_TABLES: Mapping[str, _Rows] = {
    "ev_trips": [("1", "6", 40), ("6", "1", 30), ("1", "5", 25), ("2", "6", 20)],
    "fv_trips": [("1", "6", 300), ("6", "1", 250), ("2", "5", 150)],
}

_FILES = {
    **{name: f"feeder/{name}.csv" for name in _FEEDER},
    **{name: f"road/{name}.csv" for name in _ROAD},
    **{name: f"{name}.csv" for name in (*_TABLES, *_TRIP_TABLES)},
}
_WORDS = {
    "buses": "Buses of the feeder; `x`, `y` only place them in pictures.",
    "branches": "Branches; those not `normally_open` must form a tree that reaches every bus.",
    "loads": "Household load, three-phase totals, at load factor one.",
    "capacitors": "Capacitor banks.",
    "nodes": "Road nodes; where `through` is false routes may only start or end.",
    "arcs": "Directed arcs; time = free_flow_min * (1 + bpr_b * (flow / capacity) ^ bpr_power), or "
    "as `delay` says: 'conical' or minutes as an expression in x (flow), t0, c, b, p, l. `toll` is "
    "paid by every vehicle.",
    "stations": "Charging stations, each at a road node and a bus; `discharge_piles` count where "
    "the setting `queue` is 'direction'. The operator's costs, `charge_cost` of what it sells to "
    "vehicles and `discharge_cost` of what it buys from them, are expressions in p (kW). A station "
    "may have a photovoltaic plant, of which `pv_kw` could be used now, and a store: a kWh put in "
    "counts `store_efficiency`, a kWh taken out one, at `store_value`. Their "
    "inverter of `kva`, if any, sells reactive power to the operator of the feeder.",
    "lses": "Load serving entities; the portions of the firm load sum to 1.",
    "generators": "Generators; cost = cost_linear * g + cost_quadratic * g^2, or the expression "
    "`cost` in g (kW). Reactive power from `min_kvar` to `max_kvar` is the feeder "
    "operator's to use; a generator with an inverter of `kva` (blank: none) sells it instead, "
    "within the inverter's rating.",
    "ev_trips": "Trips of the electric class.",
    "fv_trips": "Trips of the fuel class.",
}


def template_files(name: str) -> dict[str, str]:
    """Text of every file of the template, by path in its folder; `name` is the case's name."""
    schemas = _schemas()
    rows: dict[str, _Rows] = {**_FEEDER, **_ROAD, **_TABLES, **_TRIP_TABLES}
    files = {_FILES[table]: _csv(schemas[table], rows[table]) for table in _FILES}
    files["feeder/feeder.toml"] = (
        'name = "small feeder"\n'
        "# bus of the substation\n"
        'root = "sub"\n'
        "# line-to-line voltage the impedances refer to, kV\n"
        "base_kv = 4.16\n"
        'source = "template"\n'
    )
    files["road/road.toml"] = 'name = "small road"\nsource = "template"\n'
    files["case.toml"] = _case_toml(name)
    files["study.toml"] = _STUDY
    files["README.md"] = _readme(name)
    return files


def write_template(folder: str | Path) -> list[str]:
    """Write the template to `folder`, which may exist if it is empty; return the files' names.

    Raises
    ------
    DataError
        Where the folder is not empty or cannot be written.
    """
    folder = as_path(folder, "a folder")
    files = template_files(folder.resolve().name or "case")
    write_tree(folder, {name: text.encode() for name, text in files.items()})
    return list(files)


def _schemas() -> dict[str, TableSchema]:
    trips = {name: TRIPS for name in _TRIP_TABLES}
    return {**FEEDER_TABLES, **ROAD_TABLES, **CASE_TABLES, **trips}


def _csv(schema: TableSchema, rows: _Rows) -> str:
    # optional columns at the end may be left out
    return csv_text([c.name for c in schema.columns[: len(rows[0])]], rows)


# -- case.toml -------------------------------------------------------------------------------------


def _case_toml(name: str) -> str:
    lines = [
        "# A case: two networks, what couples them, and the scenarios to solve.",
        "# Every setting is listed with its unit, meaning and range; those with a default may be",
        "# left out. A value may say where it comes from:",
        '#   vmin = { value = 0.95, unit = "pu", basis = "cited", note = "ANSI C84.1" }',
        f"# with basis one of {', '.join(BASES)}; plain values count as assumed.",
        "",
        f"name = {toml_value(name)}",
        'title = "Six buses and six road nodes"',
        'source = "template of v2geq"',
        "",
        "[networks]",
        "# folders, relative to this file",
        'feeder = "feeder"',
        'road = "road"',
    ]
    for section, (_, cls) in SECTIONS.items():
        lines += ["", *_summary(cls), f"[{section}]", *_settings(cls, _SETTINGS[section])]
    for key, driver in _DRIVERS.items():
        skip = EV_SETTINGS if driver["kind"] == "fv" else ()
        lines += ["", *_summary(DriverClass), f"[drivers.{key}]"]
        lines += _settings(DriverClass, driver, skip)
    for key, scenario in _SCENARIOS.items():
        lines += ["", *(_summary(ScenarioData) if key == "base" else []), f"[scenario.{key}]"]
        for setting, value in vars(scenario).items():
            comment = _comment(ScenarioData, setting)
            lines += comment if key == "base" else []
            lines.append(f"{setting} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def _summary(cls: type) -> list[str]:
    first = (cls.__doc__ or "").strip().splitlines()[0]
    return [f"# {first}"]


def _settings(cls: type, given: Mapping[str, Any], skip: Sequence[str] = ()) -> list[str]:
    lines = []
    for name, spec in setting_specs(cls).items():
        if name not in skip:
            lines += _comment(cls, name)
            lines.append(f"{name} = {toml_value(given.get(name, spec.default))}")
    return lines


def _comment(cls: type, name: str) -> list[str]:
    """Meaning, unit, range and default of a setting, from its attribute table."""
    field = cls.__dataclass_fields__[name]  # type: ignore[attr-defined]
    spec = setting_specs(cls).get(name)
    meta = field.metadata
    notes = [meta["unit"]] if meta["unit"] else []
    if spec is not None:
        notes += [_range(spec)] if _range(spec) else []
        if not spec.required and spec.default != "":
            notes.append(f"default {toml_value(spec.default)}")
    text = f"{meta['text']}; {'; '.join(notes)}" if notes else meta["text"]
    return textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="#   ")


def _range(spec: ValueSpec) -> str:
    """Values a setting may take, texts as TOML."""
    return f"one of {', '.join(map(toml_value, spec.choices))}" if spec.choices else spec.range


_STUDY = """\
# The runs of `v2geq study`: every scenario with every choice of v2g.
[study]
# folder with case.toml, relative to this file
case = "."
scenarios = ["base", "peak", "island"]
v2g = [false, true]

# The same runs with other parameters, in a folder of their own:
# [[study.variant]]
# name = "free_energy"
# set = { "drivers.ev.energy_value" = 0.0 }
"""


def _readme(name: str) -> str:
    schemas = _schemas()
    lines = [
        f"# {name}",
        "",
        "A small case: edit the files, then",
        "",
        "```",
        "v2geq check .      # what is in the files, and whether every scenario can be solved",
        "v2geq study .      # solve all runs of study.toml",
        "v2geq solve . --scenario base",
        "```",
        "",
        "Settings are explained in case.toml, runs in study.toml. The tables:",
    ]
    for table, file in _FILES.items():
        lines += [
            "",
            f"## {file}",
            "",
            _WORDS[table],
            "",
            "| column | unit | values |",
            "|---|---|---|",
        ]
        for c in schemas[table].columns:
            kind = _range(c) or {"float": "number"}.get(c.kind, c.kind)
            if not c.required:
                kind += (
                    f"; default {f'`{c.default_of}`' if c.default_of else toml_value(c.default)}"
                )
            lines.append(f"| `{c.name}` | {c.unit} | {kind} |")
    return "\n".join(lines) + "\n"
