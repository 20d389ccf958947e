"""Reader and writer of a feeder by phases in a folder: feeder.toml and a CSV file by table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from v2geq.data.checks.phases import admit_phases, check_phases
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.origin import Origin
from v2geq.data.model.phases import KIND, PHASE_TABLES, PHASES_FOLDER, ROOT_VOLTAGE
from v2geq.data.readers.folders import discreet
from v2geq.data.readers.tables import read_table
from v2geq.data.readers.toml import TomlTable, read_toml
from v2geq.data.writing import FEEDER_MARK, feeder_files
from v2geq.errors import DataError, Unusable, part, quoted
from v2geq.files import as_path, read_bytes, remove, write_tree

OPTIONAL = frozenset({"loads", "capacitors", "generators"})


def is_by_phases(head: TomlTable) -> bool:
    """Whether a feeder.toml is of a feeder by phases; raises DataError for an unknown kind."""
    kind = head.text("kind", "single_phase")
    if kind not in ("single_phase", KIND):
        raise head.error(
            f"kind = {quoted(kind)} is neither 'single_phase' nor '{KIND}'", key="kind"
        )
    return kind == KIND


def read_phase_feeder(folder: str | Path) -> PhaseFeeder:
    """Feeder by phases of a folder; see `PhaseFeeder` for its tables, columns and units.

    `loads.csv`, `capacitors.csv` and `generators.csv` may be left out.

    Raises
    ------
    DataError
        If a file is missing or malformed, a value out of range, a name or phase unknown, or a
        phase of a bus is not fed exactly once from the root.
    """
    return read_phase_feeder_with_origin(folder)[0]


def read_phase_feeder_with_origin(folder: str | Path) -> tuple[PhaseFeeder, Origin]:
    """Feeder by phases of a folder, and the file and line of its rows."""
    folder = as_path(folder, "a folder")
    file = folder / "feeder.toml"
    with discreet(file, [folder]):
        head = read_toml(file)
        if not is_by_phases(head):
            raise head.error("the feeder is not by phases", advice=f'add kind = "{KIND}"')
        name, root = head.text("name", folder.name), head.text("root")
        voltage = ROOT_VOLTAGE.check(head.number("root_voltage", 1.0), head.where("root_voltage"))
        source = head.text("source", "")
        head.finish()
    frames, origins = {}, {}
    for table, schema in PHASE_TABLES.items():
        path = folder / f"{table}.csv"
        if table in OPTIONAL and not os.path.lexists(path):
            frames[table] = schema.frame({c.name: [] for c in schema.columns})
            continue
        with part():
            frames[table], origins[schema.name] = read_table(path, schema)
    if len(frames) < len(PHASE_TABLES):
        raise Unusable
    feeder = PhaseFeeder(name=name, root=root, root_voltage=voltage, source=source, **frames)
    origin = Origin(origins, {"feeder.root": head.where("root")})
    check_phases(feeder, origin)
    return feeder, origin


def write_feeder(feeder: PhaseFeeder | Feeder, folder: str | Path) -> list[str]:
    """Write a feeder to a new or empty folder, or over one written there before.

    Returns the files' names. Raises `DataError` where the folder holds anything else.
    """
    folder = as_path(folder, "a folder")
    files = feeder_files(admit_phases(feeder) if isinstance(feeder, PhaseFeeder) else feeder)
    files["feeder.toml"] = FEEDER_MARK + files["feeder.toml"]
    ours = False
    if os.path.isfile(folder / "feeder.toml"):
        ours = read_bytes(folder / "feeder.toml").startswith(FEEDER_MARK.encode())
        if not ours:
            raise DataError(
                "holds a feeder that was not written by v2geq",
                where=str(folder),
                advice="give a new or empty folder",
            )
    write_tree(folder, {name: text.encode() for name, text in files.items()}, again=ours)
    remove_old_phases(folder, files)
    return list(files)


def remove_old_phases(folder: Path, files: Mapping[str, str]) -> None:
    """Remove a feeder by phases, written there before, that is not among the files written now."""
    old = folder / PHASES_FOLDER
    if old.is_dir() and f"{PHASES_FOLDER}/feeder.toml" not in files:
        for name in ("feeder.toml", *(f"{table}.csv" for table in PHASE_TABLES)):
            remove(old / name)
        with suppress(OSError):
            old.rmdir()
