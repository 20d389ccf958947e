"""What a case holds, as one short hash, and how it differs from the shipped case of its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from v2geq.data.model.case import SWITCHING, CaseData
from v2geq.data.model.phases import PHASE_TABLES
from v2geq.data.model.schema import (
    CASE_TABLES,
    FEEDER_TABLES,
    ROAD_TABLES,
    TRIPS,
    TableSchema,
    row_name,
)
from v2geq.data.readers.case import read_case
from v2geq.data.readers.document import document_of, fingerprint
from v2geq.data.readers.folders import available_cases
from v2geq.errors import listed, quoted

_LINES = 12
"""Differences that are printed; the rest are counted."""
_ROWS = 4
"""Rows of a table in one case only that are told one by one."""

Entries = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Provenance:
    """Which case an equilibrium is of.

    Attributes
    ----------
    name : of the case; contents : hash of all it holds (`fingerprint`)
    shipped : whether a case of this name is shipped
    differences : from the shipped case, as 'market.voll = 10.0, shipped 20.0'
    changes : parameters changed for this run, by name
    """

    name: str
    contents: str
    shipped: bool
    differences: tuple[str, ...]
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        count, head = len(self.differences), f"case {self.name}, contents {self.contents}: "
        if not self.shipped:
            head += "no case of this name is shipped"
        elif not count:
            head += "as shipped"
        else:
            places = "one place" if count == 1 else f"{count} places"
            head += f"not the shipped case of this name, differs in {places}"
        lines = [head, *(f"  {text}" for text in self.differences[:_LINES])]
        if count > _LINES:
            lines.append(f"  and {count - _LINES} more")
        if self.changes:
            changed = ", ".join(
                f"{k} = {quoted(v)}" for k, v in list(self.changes.items())[:_LINES]
            )
            more = len(self.changes) - _LINES
            lines.append(f"  set for this run: {changed}{f' and {more} more' if more > 0 else ''}")
        return "\n".join(lines)


def provenance(case: CaseData, changes: Mapping[str, Any]) -> Provenance:
    """Provenance of a checked case with some parameters changed for a run."""
    contents, shipped = fingerprint(case), case.name in available_cases()
    known = read_case(case.name) if shipped else case
    same = fingerprint(known) == contents
    found = () if same else tuple(_differences(case, known))
    return Provenance(case.name, contents, shipped, found, changes)


def _differences(case: CaseData, shipped: CaseData) -> Iterator[str]:
    """What two cases hold differently, each value by name."""
    mine, theirs = _entries(document_of(case)), _entries(document_of(shipped))
    alone: dict[tuple[str, str], list[str]] = {}
    for key in dict.fromkeys([*theirs, *mine]):
        if key not in mine or key not in theirs:
            which = "this" if key in mine else "the shipped"
            alone.setdefault((key[0], which), []).append(key[1])
    for (label, which), rows in alone.items():
        if len(rows) > _ROWS:
            yield f"{len(rows)} rows of {quoted(label)} are only in {which} case: {listed(rows, 3)}"
            continue
        for row in rows:
            yield f"{quoted('.'.join(p for p in (label, row) if p))} is only in {which} case"
    for key in dict.fromkeys([*theirs, *mine]):
        name = ".".join(part for part in key if part)
        if key not in mine or key not in theirs:
            continue
        ours, others = mine[key], theirs[key]
        for column in dict.fromkeys([*others, *ours]):
            here, there = ours.get(column, "nothing"), others.get(column, "nothing")
            if here != there and (here == here or there == there):
                yield f"{name}.{column} = {quoted(here)}, shipped {quoted(there)}"
    for label in dict.fromkeys(label for label, _ in theirs):
        both = [key for key in mine if key[0] == label and key in theirs]
        if both != [key for key in theirs if key[0] == label and key in mine]:
            yield f"the rows of {label} are in another order"


def _entries(document: Mapping[str, Any]) -> Entries:
    """Values of a case's document by (table or section, row) and column."""
    out: Entries = {("", ""): {name: document[name] for name in ("name", "title", "source")}}
    feeder = dict(document["feeder"])
    networks = [("feeder", feeder, FEEDER_TABLES), ("road", document["road"], ROAD_TABLES)]
    if (by_phase := feeder.pop("by_phase", None)) is not None:
        networks.append(("feeder.by_phase", by_phase, PHASE_TABLES))
    for part, whole, tables in networks:
        out[part, ""] = {k: v for k, v in whole.items() if k not in tables}
        for name, schema in tables.items():
            out |= _rows(schema.name.replace("feeder", part), whole[name], schema)
    for name, schema in CASE_TABLES.items():
        out |= _rows(name, document[name], schema)
    for section, values in document["settings"].items():
        out.setdefault((section, ""), {}).update(values)
    for name, values in document["drivers"].items():
        out["drivers", name] = {k: v for k, v in values.items() if k != "trips"}
    # where there is a trip table the trips follow from it
    trips = {**document["trips"], **document["trip_tables"]}
    for name, table in trips.items():
        out |= _rows(f"trips.{name}", table, TRIPS)
    for name, scenario in document["scenarios"].items():
        row = {k: scenario[k] for k in ("load_factor", *SWITCHING)}
        for what in ("reactive_sources", "set"):
            row |= {f"{what}.{key}": value for key, value in scenario[what].items()}
        out["scenario", name] = row
    for name, (kind, note) in document["basis"].items():
        out["basis", name] = {"basis": kind, "note": note}
    return out


def _rows(label: str, columns: Mapping[str, list[Any]], schema: TableSchema) -> Entries:
    keys = [row_name(key) for key in zip(*(columns[k] for k in schema.key), strict=True)]
    names = [name for name in columns if name not in schema.key]
    values = zip(*(columns[name] for name in names), strict=True)
    return {
        (label, key): dict(zip(names, row, strict=True))
        for key, row in zip(keys, values, strict=True)
    }
