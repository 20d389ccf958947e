"""The shipped feeder of 123 buses by phases, made of the published OpenDSS files.

    python tests/ieee123_phases.py IEEE123Master.dss

writes networks/ieee123/phases anew. Names, open switches, places and ratings are those of the
single-phase tables beside it.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import v2geq as vg
from v2geq.arrays import FloatArray
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.phases import PHASE_TABLES
from v2geq.data.readers.feeder import read_feeder
from v2geq.data.readers.folders import networks_folder
from v2geq.data.writing import csv_text, toml_lines

TAPS = {"reg1a": 1.0375, "reg3a": 1.0125, "reg4a": 1.05, "reg4b": 1.0125, "reg4c": 1.03125}
"""Taps the ratios of the single-phase tables are means of; from them the engine does not move."""
NAMES = {"reg1a": "reg1", "reg2a": "reg2"}
FAR_ENDS = {"300_open": "300", "94_open": "94"}
KEPT = ("x", "y", "length_km", "normally_open")
"""Columns of buses and branches that the OpenDSS files do not have, or not so."""


def with_taps(published: Path, folder: Path) -> Path:
    """A script beside that redirects to the published one and sets the taps."""
    master = folder / "Master.dss"
    taps = "\n".join(f"transformer.{k}.wdg=2\ntransformer.{k}.tap={tap}" for k, tap in TAPS.items())
    master.write_text(f'redirect "{published.absolute()}"\n{taps}\n', encoding="utf-8")
    return master


def derived(published: Path) -> PhaseFeeder:
    """The published feeder with the shipped names, numbers of nine digits."""
    with tempfile.TemporaryDirectory() as folder:
        found = vg.read_opendss(with_taps(published, Path(folder)))
    shipped = read_feeder(networks_folder() / "ieee123")
    tables = {}
    for table in PHASE_TABLES:
        frame = getattr(found, table).replace({"branch": NAMES})
        if table in ("buses", "branches"):
            like = getattr(shipped, table)
            frame = frame.rename(index=NAMES).replace({"to_bus": FAR_ENDS})
            frame = frame.reindex(like.index)
            frame = frame.assign(**{c: like[c] for c in KEPT if c in frame})
        if table == "branches":
            cells = found.impedances[["g_us", "b_us"]].any(axis=1)
            charged = found.impedances["branch"][cells].replace(NAMES)
            frame.loc[~frame.index.isin(charged), "shunt_from"] = 0.5
        if table == "conductors":
            frame = frame.assign(rating_a=_amps(shipped, frame))
        numbers = frame.select_dtypes("number").map(lambda v: float(f"{v:.9g}"))
        tables[table] = frame.assign(**numbers)
    return replace(
        found,
        name=shipped.name,
        source="IEEE PES distribution test feeders (W. H. Kersting), from the OpenDSS distribution",
        **tables,
    )


def _amps(shipped: Feeder, conductors: pd.DataFrame) -> FloatArray:
    """Ampacity of the conductors of lines and switches, of which the tables have the sum."""
    count = conductors.groupby("branch")["phase"].transform("size")
    kva = conductors["branch"].map(shipped.branches["rating_kva"]) / count
    lines = conductors["branch"].map(shipped.branches["kind"]).isin(["line", "switch"])
    return np.where(lines, kva / (shipped.base_kv / math.sqrt(3.0)), np.nan)


def _short(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value


def main() -> None:
    """Write the tables of networks/ieee123/phases."""
    feeder = derived(Path(sys.argv[1]))
    folder = networks_folder() / "ieee123" / "phases"
    folder.mkdir(exist_ok=True)
    head = toml_lines(
        name=feeder.name,
        kind="phases",
        root=feeder.root,
        root_voltage=feeder.root_voltage,
        source=feeder.source,
    )
    (folder / "feeder.toml").write_text(head, encoding="utf-8")
    for table, schema in PHASE_TABLES.items():
        frame = getattr(feeder, table)
        if table == "generators":
            continue
        frame = frame.reset_index() if schema.indexed else frame
        names = [c.name for c in schema.columns]
        rows = [[_short(v) for v in row] for row in frame[names].to_numpy(dtype=object).tolist()]
        (folder / f"{table}.csv").write_text(csv_text(names, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
