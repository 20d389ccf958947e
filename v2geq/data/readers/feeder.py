"""Reader of a feeder folder: feeder.toml, buses.csv, branches.csv, loads.csv, capacitors.csv."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from v2geq.data.checks.feeder import check_feeder
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.origin import Origin
from v2geq.data.model.phases import PHASES_FOLDER
from v2geq.data.model.schema import CAPACITORS, FEEDER_TABLES
from v2geq.data.readers.folders import discreet, find_network, known_networks
from v2geq.data.readers.opendss import read_opendss
from v2geq.data.readers.phases import is_by_phases, read_phase_feeder, read_phase_feeder_with_origin
from v2geq.data.readers.tables import read_table
from v2geq.data.readers.toml import read_toml
from v2geq.errors import DataError, Unusable, did_you_mean, listed, part, quoted
from v2geq.files import as_path


def read_feeder(folder: str | Path) -> Feeder:
    """Feeder of a folder; see `Feeder` for its tables, columns and units.

    `capacitors.csv` may be left out. Names stay text: bus "1" is not a number. Of a feeder by
    phases it is the single-phase equivalent. A sub-folder phases/ holds the same feeder by phases.

    Raises
    ------
    DataError
        If a file is missing or malformed, a value out of range, a name unknown, or the closed
        branches are not a tree that reaches every bus from the root.
    """
    return read_feeder_with_origin(folder)[0]


def find_feeder(given: str | Path, **options: Any) -> PhaseFeeder | Feeder:
    """Feeder as it is: an OpenDSS script (`read_opendss` takes the options), folder or shipped one.

    Raises
    ------
    DataError
        Nothing of the kind there, options for what is no script, or what its reader raises.
    """
    path = as_path(given, "a feeder")
    if path.suffix.lower() == ".dss":
        return read_opendss(path, **options)
    folder = find_network("feeder", path)
    if folder is None:
        shipped = known_networks("feeder")
        raise DataError(
            f"feeder = {quoted(str(given))} is neither an OpenDSS script nor a feeder folder",
            advice=did_you_mean(str(given), shipped, f"shipped ones: {', '.join(shipped)}"),
        )
    if options:
        raise DataError(
            f"{listed(options)} told, but {quoted(str(given))} is no OpenDSS script",
            advice="change its tables instead",
        )
    if is_by_phases(read_toml(folder / "feeder.toml")):
        return read_phase_feeder(folder)
    return read_feeder(folder)


def read_feeder_with_origin(folder: str | Path) -> tuple[Feeder, Origin]:
    """Feeder of a folder, and the file and line of its rows."""
    folder = as_path(folder, "a folder")
    file = folder / "feeder.toml"
    with discreet(file, [folder]):
        head = read_toml(file)
        if is_by_phases(head):
            by_phase, origin = read_phase_feeder_with_origin(folder)
            feeder = by_phase.single_phase()
            check_feeder(feeder, origin)
            return feeder, origin
        name, root = head.text("name", folder.name), head.text("root")
        base_kv = head.number("base_kv")
        source = head.text("source", "")
        head.finish()
    frames: dict[str, Any] = {}
    origins = {}
    for table, schema in FEEDER_TABLES.items():
        path = folder / f"{table}.csv"
        if schema is CAPACITORS and not os.path.lexists(path):
            frames[table] = schema.frame({c.name: [] for c in schema.columns})
            continue
        with part():
            frames[table], origins[schema.name] = read_table(path, schema)
    if len(frames) < len(FEEDER_TABLES):
        raise Unusable
    feeder = Feeder(name=name, root=root, base_kv=base_kv, source=source, **frames)
    if os.path.lexists(folder / PHASES_FOLDER / "feeder.toml"):
        feeder = replace(feeder, by_phase=read_phase_feeder(folder / PHASES_FOLDER))
    origin = Origin(origins, {f"feeder.{key}": head.where(key) for key in ("root", "base_kv")})
    check_feeder(feeder, origin)
    return feeder, origin
