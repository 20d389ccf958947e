"""What a parameter name points at: a setting, a driver's setting, a table entry, a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from v2geq.data.model.case import SWITCHING, CaseData, ScenarioData
from v2geq.data.model.drivers import EV_SETTINGS, DriverClass
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TableSchema
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import setting_specs
from v2geq.data.parameters.meaning import MEANINGS, meant, words
from v2geq.errors import DataError, closest, did_you_mean, listed, quoted, unknown_name

_SCENARIO_FIELDS = ("load_factor", *SWITCHING, "reactive_sources", "set")

# dotted prefix -> (case attribute, attribute of it or '', schema); road.trips is left out: the
# drivers' trips come from their own tables
TABLES: dict[str, tuple[str, str, TableSchema]] = {
    **{s.name: ("feeder", table, s) for table, s in FEEDER_TABLES.items()},
    **{s.name: ("road", table, s) for table, s in ROAD_TABLES.items() if table != "trips"},
    **{s.name: (table, "", s) for table, s in CASE_TABLES.items()},
}


@dataclass(frozen=True)
class Target:
    """What a parameter name points at."""

    kind: str  # section, driver, table or scenario
    owner: str  # section, class, table or scenario name
    field: str
    key: str = ""

    @property
    def name(self) -> str:
        """Full dotted name."""
        if self.kind == "driver":
            return f"drivers.{self.owner}.{self.field}"
        if self.kind == "table":
            return f"{self.owner}.{self.key}.{self.field}"
        if self.kind == "scenario":
            return f"scenario.{self.owner}.{self.field}" + (f".{self.key}" if self.key else "")
        return f"{self.owner}.{self.field}"


def value_of(case: CaseData, target: Target) -> Any:
    """Present value of what `target` points at."""
    if target.kind == "driver":
        return getattr(case.drivers[target.owner], target.field)
    if target.kind == "table":
        attribute, table, _ = TABLES[target.owner]
        frame = getattr(case, attribute)
        return (getattr(frame, table) if table else frame).loc[target.key, target.field]
    if target.kind == "scenario":
        value = getattr(case.scenarios[target.owner], target.field)
        return value[target.key] if target.key else value
    return getattr(getattr(case, SECTIONS[target.owner][0]), target.field)


def find_target(case: CaseData, name: str, where: str = "") -> Target:
    """Target of a parameter name.

    Raises
    ------
    DataError
        If nothing, or more than one setting, has this name.
    """
    if not isinstance(name, str):
        raise DataError(f"parameter name {quoted(name)} is not text", where=where)
    settings = _setting_targets(case)
    for target in settings:
        if target.name == name:
            return target
    head, _, rest = name.partition(".")
    if not rest:
        found = [t for t in settings if t.field == name and applies(case, t)]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{quoted(name)} is ambiguous",
                where=where,
                advice="write " + " or ".join(t.name for t in found),
            )
    elif head == "scenario":
        return _scenario_target(case, rest, where)
    else:
        for prefix in TABLES:
            if not name.startswith(prefix + "."):
                continue
            if entry := _table_target(case, prefix, name[len(prefix) + 1 :], where):
                return entry
    known = _known_names(case, settings)
    raise DataError(
        f"unknown parameter {quoted(name)}", where=where, advice=_advice(case, name, known)
    )


def _advice(case: CaseData, name: str, known: dict[str, str]) -> str:
    """What an unknown parameter may stand for: by spelling, else by meaning."""
    groups = {
        **dict.fromkeys(case.drivers, "drivers."),
        **dict.fromkeys(case.scenarios, "scenario."),
    }
    groups |= dict.fromkeys([*SECTIONS, *TABLES], "")
    for group, prefix in groups.items():
        if words(name) == words(group) or words(name) == words(prefix + group):
            inside = [k for k in known if k.startswith(f"{prefix}{group}.")]
            return f"its parameters are {listed(inside, 4)}; vg.parameters(case) lists all"
    near = closest(name, known, sure=True)
    near = near or meant(name, [(k, text) for k, text in known.items() if text])[:3]
    if near:
        return f"did you mean {' or '.join(map(quoted, near))}?"
    return did_you_mean(name, known)


def _known_names(case: CaseData, settings: list[Target]) -> dict[str, str]:
    """Names a mistyped parameter may stand for, with meaning; columns with their first row."""
    applying = [t for t in settings if applies(case, t)]
    fields = [t.field for t in applying]
    names = {field: "" for field in dict.fromkeys(fields) if fields.count(field) == 1}
    for t in applying:
        cls: Any = DriverClass if t.kind == "driver" else SECTIONS[t.owner][1]
        names[t.name] = str(cls.__dataclass_fields__[t.field].metadata["text"])
    for scenario in case.scenarios:
        for field in _SCENARIO_FIELDS:
            text = ScenarioData.__dataclass_fields__[field].metadata["text"]
            names[f"scenario.{scenario}.{field}"] = str(text)
    for prefix, (_, _, schema) in TABLES.items():
        for row in table_frame(case, prefix).index[:1]:
            names |= {
                f"{prefix}.{row}.{c}": MEANINGS[f"{prefix}.{c}"] for c in schema.value_columns
            }
    return names


def _setting_targets(case: CaseData) -> list[Target]:
    targets = [
        Target("section", section, name)
        for section, (_, cls) in SECTIONS.items()
        for name in setting_specs(cls)
    ]
    return targets + [
        Target("driver", owner, name)
        for owner in case.drivers
        for name in setting_specs(DriverClass)
    ]


def applies(case: CaseData, target: Target) -> bool:
    """Whether a driver setting means anything for the class."""
    return not (
        target.kind == "driver"
        and target.field in EV_SETTINGS
        and case.drivers[target.owner].kind != "ev"
    )


def _scenario_target(case: CaseData, rest: str, where: str) -> Target:
    # scenario names hold no dots in practice, yet the longest match is the safe one
    for scenario in sorted(case.scenarios, key=len, reverse=True):
        if rest == scenario or rest.startswith(scenario + "."):
            field, _, key = rest[len(scenario) + 1 :].partition(".")
            if field not in _SCENARIO_FIELDS or (key and field in ("load_factor", *SWITCHING)):
                raise DataError(
                    f"unknown parameter 'scenario.{rest}'",
                    where=where,
                    advice=did_you_mean(field, _SCENARIO_FIELDS),
                )
            return Target("scenario", scenario, field, key)
    scenario = rest.partition(".")[0]
    raise unknown_name("unknown scenario", scenario, case.scenarios, where)


def _table_target(case: CaseData, prefix: str, rest: str, where: str) -> Target | None:
    key, dot, column = rest.rpartition(".")
    if not dot:
        return None
    schema = TABLES[prefix][2]
    if column not in schema.value_columns:
        raise unknown_name(f"{prefix} has no column", column, schema.value_columns, where)
    rows = table_frame(case, prefix).index
    if key not in rows:
        raise unknown_name(f"{prefix} has no row", key, rows, where)
    return Target("table", prefix, column, key)


def table_frame(case: CaseData, prefix: str) -> pd.DataFrame:
    attribute, table, _ = TABLES[prefix]
    holder = getattr(case, attribute)
    frame: pd.DataFrame = getattr(holder, table) if table else holder
    return frame
