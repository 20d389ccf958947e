"""Rows of a case's tables: added, changed, taken away; not yet checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.model.case import CaseData
from v2geq.data.model.schema import ARCS, CASE_TABLES, LSES, TableSchema
from v2geq.data.model.values import BASES, NAME_LENGTH, ValueSpec
from v2geq.errors import DataError, quoted, unknown_name

NOUNS = {"stations": "station", "generators": "generator", "lses": "LSE", "road.arcs": "arc"}
_FORMULAS = ("cost", "charge_cost", "discharge_cost", "delay")
_BASIS = ValueSpec("basis", "text", choices=BASES)
_NOTE = ValueSpec("note", "text")
_NAME = ValueSpec("name", "text", longest=NAME_LENGTH)


def label(given: Any) -> Any:
    """A name as text; whole numbers may stand for names of nodes and buses."""
    whole = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
    return str(given) if whole else given


def named(given: Any, noun: str) -> str:
    """Name of a thing to be added."""
    name = _NAME.check(label(given), noun)
    if not name.strip() or name != name.strip():
        raise DataError(
            f"name = {quoted(name)} is empty, or begins or ends with a blank",
            where=noun,
            advice="give a name of letters and digits",
        )
    return str(name)


def known(name: Any, names: Any, noun: str) -> str:
    """Name of a thing that is there."""
    name = label(name)
    if not isinstance(name, str) or name not in names:
        raise unknown_name(f"the case has no {noun}", name, names)
    return name


def with_row(
    case: CaseData, table: str, name: Any, given: Mapping[str, Any], like: Any
) -> CaseData:
    """Case with a row of `table` added, or changed where there is one of this name."""
    schema, frame = CASE_TABLES[table].priced(case.currency), getattr(case, table)
    noun = NOUNS[table]
    name = named(name, noun)
    columns, basis = _taken(given, f"{noun} {quoted(name)}")
    if like is not None:
        like = known(like, frame.index, f"{noun} for like =")
    elif table == "generators" and name not in frame.index and len(case.lses) == 1:
        columns = {"lse": case.lses.index[0], **columns}
    row = _row(schema, frame, name, columns, like, noun)
    frame = _put(schema, frame, {name: row})
    if table == "lses":
        frame = _others_scaled(frame, name)
    how = "added in Python" + (f" like {like}" if like else "")
    told = basis or ("assumed", _words(how, columns))
    change: dict[str, Any] = {table: frame, "basis": {**case.basis, f"{table}.{name}": told}}
    return replace(case, **change)


def without_rows(case: CaseData, table: str, names: tuple[Any, ...]) -> CaseData:
    """Case without some rows of `table`."""
    frame, noun = getattr(case, table), NOUNS[table]
    if not names:
        raise DataError(f"no {noun} is named", advice=f"give one of {', '.join(frame.index)}")
    gone = [known(name, frame.index, noun) for name in names]
    frame = frame.drop(gone)
    if table == "lses" and len(frame):
        total = float(frame["portion"].sum())
        frame = frame.assign(portion=frame["portion"] / total if total else 1.0 / len(frame))
    lost = {f"{table}.{name}" for name in gone}
    basis = {k: v for k, v in case.basis.items() if k not in lost}
    change: dict[str, Any] = {table: frame, "basis": basis}
    return replace(case, **change)


def with_arcs(case: CaseData, changes: Any) -> CaseData:
    """Case with arcs of its road changed, or added where their name is new."""
    if isinstance(changes, pd.DataFrame):
        keyed = changes.set_index("arc") if "arc" in changes else changes
        changes = {k: r.dropna().to_dict() for k, r in keyed.iterrows()}
    if not isinstance(changes, Mapping):
        raise DataError(
            f"arcs = {quoted(changes)} is neither a table of arcs nor a frame",
            advice='write {"6-8": {"toll": 2.0}}',
        )
    arcs, basis, rows = case.road.arcs, dict(case.basis), {}
    schema = ARCS.priced(case.currency)
    for given, row in changes.items():
        arc = named(given, "arc")
        if not isinstance(row, Mapping):
            raise DataError(
                f"arc {quoted(arc)} is given {quoted(row)}", advice='write {"toll": 2.0}'
            )
        if arc not in arcs.index and not {"from_node", "to_node"} <= set(row):
            problem = f"road network {quoted(case.road.name)} has no arc"
            error = unknown_name(problem, arc, arcs.index)
            raise DataError(
                error.problem, advice=f"{error.advice}; a new one needs from_node and to_node"
            )
        columns, own = _taken(row, f"arc {quoted(arc)}")
        rows[arc] = _row(schema, arcs, arc, columns, None, "arc")
        basis[f"road.arcs.{arc}"] = own or ("assumed", _words("added in Python", columns))
    return replace(case, road=replace(case.road, arcs=_put(ARCS, arcs, rows)), basis=basis)


def as_frame(given: Any, schema: TableSchema, noun: str) -> Any:
    """Frame of a table given as a frame, its key as index or column, or as rows by name."""
    if isinstance(given, Mapping):
        empty = schema.frame({c.name: [] for c in schema.columns})
        rows = {}
        for key, row in given.items():
            name = named(key, noun)
            if not isinstance(row, Mapping):
                raise DataError(
                    f"{noun} {quoted(name)} is given {quoted(row)}",
                    advice=f"write its columns: {', '.join(schema.value_columns)}",
                )
            rows[name] = _row(schema, empty, name, row, None, noun)
        return _put(schema, empty, rows)
    if not isinstance(given, pd.DataFrame):
        return given  # the door says what it is not
    frame = given.set_index(schema.key[0]) if schema.key[0] in given else given.copy()
    frame.index = pd.Index([label(k) for k in frame.index], dtype=object)
    for spec in schema.columns:
        if spec.kind == "text" and spec.name in frame and spec.name not in _FORMULAS:
            frame[spec.name] = [label(v) for v in frame[spec.name]]
    return frame


def _taken(given: Mapping[str, Any], where: str) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Columns of a row, and where its values come from, if that is told."""
    columns = {k: v for k, v in given.items() if k not in ("basis", "note")}
    if len(columns) == len(given):
        return columns, None
    basis = _BASIS.check(given.get("basis", "assumed"), where)
    return columns, (basis, _NOTE.check(given.get("note", ""), where))


def _words(how: str, columns: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} = {quoted(value)}" for name, value in columns.items())
    return f"{how}: {shown}" if shown else how


def _row(
    schema: TableSchema,
    frame: pd.DataFrame,
    name: str,
    given: Mapping[str, Any],
    like: str | None,
    noun: str,
) -> dict[str, Any]:
    """Values of a row: given, else those of the row it is like or changes, else the defaults."""
    where = f"{noun} {quoted(name)}"
    for column in given:
        if column not in schema.value_columns:
            raise unknown_name("unknown argument", column, schema.value_columns, where)
    model = like if like is not None else name
    base = frame.loc[model].to_dict() if model in frame.index else {}
    row: dict[str, Any] = {}
    missing = []
    for column in schema.value_columns:
        spec = schema.spec[column]
        follows = spec.default_of
        if column in given:
            value = given[column]
            value = label(value) if spec.kind == "text" and column not in _FORMULAS else value
            row[column] = spec.check(value, where)
        elif column in base and not (follows and base[column] == base[follows]):
            row[column] = base[column]
        elif not spec.required:
            row[column] = row.get(follows) if follows else spec.default
        else:
            missing.append(f"{column} ({spec.unit})" if spec.unit else column)
    if missing:
        others = [str(k) for k in frame.index if k != name]
        advice = f", or like={others[0]!r} to take the rest from another" if others else ""
        raise DataError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            where=where,
            advice=("give it" if len(missing) == 1 else "give them") + advice,
        )
    return row


def _put(
    schema: TableSchema, frame: pd.DataFrame, rows: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Frame with rows added or replaced, columns of the schema."""
    whole = {c: frame[c] if c in frame else schema.spec[c].default for c in schema.value_columns}
    old = pd.DataFrame(whole, index=frame.index)
    values: dict[str, list[Any]] = {c: old[c].tolist() for c in schema.value_columns}
    at = {str(k): i for i, k in enumerate(frame.index)}
    names = list(at)
    for name, row in rows.items():
        if name not in at:
            names.append(name)
        for column in schema.value_columns:
            if name in at:
                values[column][at[name]] = row[column]
            else:
                values[column].append(row[column])
    return schema.frame({schema.key[0]: names, **values})


def _others_scaled(lses: pd.DataFrame, name: str) -> pd.DataFrame:
    """Portions that sum to one, that of `name` kept, the others in proportion."""
    others = lses.index != name
    portion = lses["portion"].to_numpy(dtype=float, copy=True)
    total, rest = portion[others].sum(), 1.0 - portion[~others].sum()
    if others.any():
        portion[others] = portion[others] * (rest / total) if total else rest / others.sum()
    return LSES.frame({"lse": list(lses.index), "portion": portion})
