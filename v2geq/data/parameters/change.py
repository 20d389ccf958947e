"""Change parameters of a case by name, checked as in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from v2geq.data.checks.case import check_case
from v2geq.data.checks.door import checked_copy
from v2geq.data.model.case import REACTIVE_SOURCE, SWITCHING, CaseData, ScenarioData, branches_of
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.schema import DESCRIPTIONS
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import Where, in_words, setting_specs
from v2geq.data.parameters.form import parameter
from v2geq.data.parameters.targets import TABLES, Target, find_target, table_frame
from v2geq.data.trips import class_trips
from v2geq.errors import DataError, collecting, mistake, mistakes, quoted

_TRIP_FIELDS = ("trips_factor", "trips_of", "trips_spread")


def with_parameters(case: CaseData, changes: Mapping[str, Any]) -> CaseData:
    """Case with some parameters changed.

    Parameters
    ----------
    case
        Case to start from; it is not modified.
    changes
        Parameter name -> new value, in the parameter's unit. Names are those of case.toml, dotted:
        'market.voll', 'drivers.ev.battery', 'scenario.stress.load_factor'; table entries as
        table, row and column: 'stations.s5.charge_max_kw', 'feeder.branches.l1.rating_kva',
        'feeder.loads.48.load_kw', 'road.arcs.1-2.capacity_veh_h'. The last part of a setting's
        name is enough where it is unique: 'voll'. A value may also be the form
        {value, unit, basis, note} of the files.

    Raises
    ------
    DataError
        Unknown or ambiguous name, wrong type, value out of range, or a case that no longer fits
        together.
    """
    return with_changes(admit_case(case), changes)


def admit_case(case: Any) -> CaseData:
    """Checked copy of a case, whoever made it; its scenarios name parameters in full.

    The one way from a case to a problem or a file. Tables may have been edited in place since the
    case was read, so it is checked each time.

    Raises
    ------
    DataError
        What the readers of files refuse.
    """
    return with_full_names(checked_copy(case))


def with_changes(case: CaseData, changes: Mapping[str, Any]) -> CaseData:
    """`with_parameters` of a case that has been checked."""
    if not isinstance(changes, Mapping):
        raise DataError(
            f"changes = {quoted(changes)} is not a table of names and values",
            advice='write {"voll": 5.0}',
        )
    changed, touched = apply_changes(case, changes, lambda name: f"parameter {quoted(name)}")
    for name in touched:
        changed = replace(changed, trips={**changed.trips, name: _trips(changed, name)})
    check_case(changed, checked=case)
    return with_full_names(changed)


def with_full_names(case: CaseData, origin: Origin = NO_ORIGIN) -> CaseData:
    """Case whose scenarios give their changed parameters by full name, checked."""
    scenarios = {
        name: replace(
            scenario,
            set=check_scenario_set(case, name, scenario.set, origin.place(f"scenario.{name}.set")),
        )
        for name, scenario in case.scenarios.items()
    }
    return replace(case, scenarios=scenarios)


def check_scenario_set(
    case: CaseData, scenario: str, changes: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Full dotted names and checked values of a scenario's changed parameters.

    Raises
    ------
    DataError
        As `with_parameters`, and if a scenario changes a scenario.
    """
    plain: dict[str, Any] = {}

    def add(name: str, raw: Any) -> None:
        if isinstance(name, str) and name.split(".")[0] == "scenario":
            raise DataError(
                f"{quoted(name)} is a parameter of a scenario",
                advice="a scenario changes only the other parameters",
            )
        target = find_target(case, name)
        if target.name == "market.currency":
            raise DataError(
                f"{quoted(name)} is one for all scenarios: their numbers are compared",
                advice="state it in the section [market]",
            )
        plain[target.name] = _checked(case, target, raw, f"parameter {quoted(name)}")[0]

    def together() -> None:
        if plain and not mistakes():
            bare = replace(case.scenarios[scenario], set={})
            with collecting(False):
                with_changes(replace(case, scenarios={scenario: bare}), plain)

    steps: list[Callable[[], None]] = [partial(add, *change) for change in changes.items()]
    for step in (*steps, together):
        try:
            step()
        except DataError as error:
            mistake(DataError(str(error), where=where))
    return plain


def apply_changes(
    case: CaseData, changes: Mapping[str, Any], where: Callable[[str], str]
) -> tuple[CaseData, list[str]]:
    """Case with changed values, not yet checked as a whole, and the classes whose trips change."""
    touched: list[str] = []
    for name, raw in changes.items():
        target = find_target(case, name, where(name))
        if target.kind == "table" and (target.owner, target.field) in DESCRIPTIONS:
            raise DataError(
                f"{target.name} enters no equation",
                where=where(name),
                advice=DESCRIPTIONS[target.owner, target.field],
            )
        value, (basis, note) = _checked(case, target, raw, where(name))
        case = _put(case, target, value)
        label = target.name if target.kind != "table" else f"{target.owner}.{target.key}"
        if not isinstance(raw, Mapping) or "value" not in raw:
            note = f"changed: {target.field} = {value}"
        case = replace(case, basis={**case.basis, label: (basis, note)})
        if target.kind == "driver" and target.field in _TRIP_FIELDS:
            touched.append(target.owner)
            if target.field == "trips_spread":
                touched += [k for k, d in case.drivers.items() if d.trips_of == target.owner]
    return case, touched


def _checked(case: CaseData, target: Target, raw: Any, where: Where) -> tuple[Any, tuple[str, str]]:
    if target.kind == "scenario":
        return _checked_scenario(target, raw, where)
    if target.kind == "table":
        spec = TABLES[target.owner][2].spec[target.field].priced(case.currency)
    else:
        cls = DriverClass if target.kind == "driver" else SECTIONS[target.owner][1]
        spec = setting_specs(cls, case.currency)[target.field]
    value, basis = parameter(spec, raw, where)
    is_table = target.kind == "driver" and target.field == "trips"
    if is_table and value != case.drivers[target.owner].trips:
        raise DataError(
            "a trip table cannot be exchanged in a loaded case",
            where=in_words(where),
            advice="change trips_factor, trips_of or trips_spread, or edit case.toml",
        )
    return value, basis


def _checked_scenario(target: Target, raw: Any, where: Where) -> tuple[Any, tuple[str, str]]:
    if target.field == "load_factor":
        return parameter(setting_specs(ScenarioData)["load_factor"], raw, where)
    if target.field == "reactive_sources" and target.key:
        return parameter(REACTIVE_SOURCE, raw, where)
    if target.field in SWITCHING:
        names = branches_of(target.field, raw, where, "write ['sw3', 'sw4']")
        return names, ("assumed", "")
    if target.field == "set" and target.key:
        return raw, ("assumed", "")
    if not isinstance(raw, Mapping):
        raise DataError(
            f"{target.field} = {quoted(raw)} is not a table of names and values",
            where=in_words(where),
        )
    if target.field == "set":
        return dict(raw), ("assumed", "")
    sources = {str(bus): parameter(REACTIVE_SOURCE, kvar, where)[0] for bus, kvar in raw.items()}
    return sources, ("assumed", "")


def _put(case: CaseData, target: Target, value: Any) -> CaseData:
    change: dict[str, Any] = {target.field: value}
    if target.kind == "section":
        attribute = SECTIONS[target.owner][0]
        change = {attribute: replace(getattr(case, attribute), **change)}
        return replace(case, **change)
    if target.kind == "driver":
        driver = replace(case.drivers[target.owner], **change)
        return replace(case, drivers={**case.drivers, target.owner: driver})
    if target.kind == "scenario":
        scenario = case.scenarios[target.owner]
        if target.key:
            change = {target.field: {**getattr(scenario, target.field), target.key: value}}
        scenario = replace(scenario, **change)
        return replace(case, scenarios={**case.scenarios, target.owner: scenario})
    attribute, table, schema = TABLES[target.owner]
    frame, spec = table_frame(case, target.owner).copy(), schema.spec[target.field]
    if target.field not in frame:
        frame[target.field] = frame[spec.default_of] if spec.default_of else spec.default
    frame.loc[target.key, target.field] = value
    change = {table: frame}
    change = {attribute: replace(getattr(case, attribute), **change) if table else frame}
    return replace(case, **change)


def _trips(case: CaseData, name: str) -> pd.DataFrame:
    if name not in case.trip_tables:
        raise DataError(
            f"the case has no trip table of class {quoted(name)}",
            where=f"drivers.{name}",
            advice=f"load the case from its folder to change {', '.join(_TRIP_FIELDS)}",
        )
    return class_trips(case, name)
