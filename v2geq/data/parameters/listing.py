"""Every parameter of a case with value, unit, range, basis and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from v2geq.data.model.case import REACTIVE_SOURCE, SWITCHING, CaseData, ScenarioData
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import ValueSpec, setting_specs
from v2geq.data.parameters.change import admit_case
from v2geq.data.parameters.meaning import MEANINGS, meant
from v2geq.data.parameters.targets import TABLES, Target, applies, table_frame, value_of
from v2geq.errors import DataError, quoted
from v2geq.show import money

_COLUMNS = ("name", "value", "unit", "range", "basis", "meaning", "note")


def parameters(case: CaseData, search: str = "") -> pd.DataFrame:
    """Every parameter of a case, as `with_parameters` and ``set=`` take them.

    Parameters
    ----------
    case
        Case.
    search
        Part of a name, or words of its meaning, such as 'line limits'; empty for all.

    Returns
    -------
    pandas.DataFrame
        Columns name, value, unit, range, basis (measured, cited or assumed), meaning, note; the
        best match first where something is searched for.
    """
    if not isinstance(search, str):
        raise DataError(f"search = {quoted(search)} is not text", advice="write 'line limits'")
    found = pd.DataFrame(list(_rows(admit_case(case))), columns=list(_COLUMNS))
    if not search:
        return found
    part = found["name"].str.contains(search, case=False, regex=False)
    names = meant(search, zip(found["name"], found["meaning"], strict=True))
    wanted = dict.fromkeys([*found["name"][part], *names])
    return found.set_index("name").loc[list(wanted)].reset_index()


def _rows(case: CaseData) -> Iterator[tuple[Any, ...]]:
    for section, (_, cls) in SECTIONS.items():
        yield from _settings(case, "section", section, cls)
    for name in case.drivers:
        yield from _settings(case, "driver", name, DriverClass)
    for name, scenario in case.scenarios.items():
        for field in ("load_factor", *SWITCHING):
            target = Target("scenario", name, field)
            spec = setting_specs(ScenarioData).get(field, ValueSpec(field, "text"))
            yield _row(case, target, spec, _meaning(ScenarioData, field))
        for bus in scenario.reactive_sources:
            target = Target("scenario", name, "reactive_sources", bus)
            meaning = _meaning(ScenarioData, "reactive_sources")
            yield _row(case, target, REACTIVE_SOURCE, meaning)
    for table, (_, _, schema) in TABLES.items():
        frame = table_frame(case, table)
        for key in frame.index:
            kind, note = case.basis.get(f"{table}.{key}", ("", ""))
            for column in schema.value_columns:
                spec = schema.spec[column]
                yield (
                    f"{table}.{key}.{column}",
                    frame.loc[key, column],
                    money(spec.unit, case.currency),
                    spec.range,
                    kind,
                    MEANINGS[f"{table}.{column}"],
                    note,
                )


def _settings(case: CaseData, kind: str, owner: str, cls: type) -> Iterator[tuple[Any, ...]]:
    for name, spec in setting_specs(cls, case.currency).items():
        target = Target(kind, owner, name)
        if applies(case, target):
            meaning = money(_meaning(cls, name), case.currency)
            yield _row(case, target, spec, meaning)


def _row(case: CaseData, target: Target, spec: ValueSpec, meaning: str) -> tuple[Any, ...]:
    kind, note = case.basis.get(target.name, ("", ""))
    return target.name, value_of(case, target), spec.unit, spec.range, kind, meaning, note


def _meaning(cls: Any, name: str) -> str:
    return str(cls.__dataclass_fields__[name].metadata["text"])
