"""What of a feeder by phases is energised: one feeder per island, away from its reference bus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from v2geq.data.model.feeder import PhaseFeeder, conductor_rows
from v2geq.data.model.phases import plain_rows
from v2geq.errors import DataError, quoted
from v2geq.grid.topology import Topology


def island_feeders(
    feeder: PhaseFeeder, topology: Topology, *, regulators: bool = True
) -> list[PhaseFeeder]:
    """A feeder by phases per island of a topology, its root the island's reference bus.

    Parameters
    ----------
    topology
        Of the feeder's buses and branches; branches that are not in it are left out.
    regulators
        Whether regulators keep their ratios, or have none.

    Raises
    ------
    DataError
        A branch that cannot be fed from its other end, a phase in use that nothing feeds.
    """
    lines = topology.lines
    names = np.array(topology.buses, dtype=object)
    begins = pd.Series(names[lines.from_bus], index=pd.Index(lines.names), dtype=object)
    branches = feeder.branches
    closed = branches.loc[branches.index.isin(begins.index)].assign(normally_open=False)
    turned = closed.index[closed["from_bus"] != begins.reindex(closed.index)]
    alive = replace(
        feeder,
        branches=closed,
        conductors=_of(feeder.conductors, "branch", closed.index),
        impedances=_of(feeder.impedances, "branch", closed.index),
    )
    if not regulators:
        regulating = closed.index[closed["kind"] == "regulator"]
        here = alive.conductors["branch"].isin(regulating)
        even = alive.conductors["ratio"].where(~here, np.sign(alive.conductors["ratio"]))
        alive = replace(alive, conductors=alive.conductors.assign(ratio=even))
    if len(turned):
        alive = _turned(alive, turned)
    parts = [_part(alive, topology, number) for number in range(int(topology.island.max()) + 1)]
    for part in parts:
        _check_fed(part)
    return parts


def _of(frame: pd.DataFrame, column: str, names: pd.Index[str]) -> pd.DataFrame:
    return frame[frame[column].isin(names)]


def _part(feeder: PhaseFeeder, topology: Topology, number: int) -> PhaseFeeder:
    """The buses of one island, with what is there."""
    at = np.flatnonzero(topology.island == number)
    buses = pd.Index([topology.buses[i] for i in at])
    branches = _of(feeder.branches, "from_bus", buses)
    whole = len(branches) == len(feeder.branches)
    return replace(
        feeder,
        root=topology.buses[at[0]],
        buses=feeder.buses.loc[feeder.buses.index.isin(buses)],
        branches=branches,
        conductors=feeder.conductors if whole else _of(feeder.conductors, "branch", branches.index),
        impedances=feeder.impedances if whole else _of(feeder.impedances, "branch", branches.index),
        loads=_of(feeder.loads, "bus", buses),
        capacitors=_of(feeder.capacitors, "bus", buses),
        generators=_of(feeder.generators, "bus", buses),
    )


def _check_fed(feeder: PhaseFeeder) -> None:
    """Raise DataError where a branch, load or capacitor uses a phase that no branch leads to."""
    to = feeder.conductors["branch"].map(feeder.branches["to_bus"])
    begin = feeder.conductors["branch"].map(feeder.branches["from_bus"])
    fed = {*zip(to, feeder.conductors["phase"], strict=True)}
    fed |= {(feeder.root, p) for p in str(feeder.buses.loc[feeder.root, "phases"])}
    uses = (
        (
            "branch",
            zip(feeder.conductors["branch"], begin, feeder.conductors["from_phase"], strict=True),
        ),
        ("load", plain_rows(feeder.loads, "", "bus", "phases")),
        ("capacitor", plain_rows(feeder.capacitors, "", "bus", "phases")),
    )
    for what, rows in uses:
        for name, bus, phases in rows:
            for phase in phases:
                if (bus, phase) not in fed:
                    raise DataError(
                        f"{what} {quoted(name)} is on phase {phase} of bus {quoted(bus)}, to which "
                        f"no closed branch leads from {quoted(feeder.root)} in that phase",
                        where=f"feeder {quoted(feeder.name)}",
                        advice="close a branch that has the phase instead",
                    )


def _turned(feeder: PhaseFeeder, names: pd.Index[str]) -> PhaseFeeder:
    """The feeder with branches seen from their other end.

    With t the ratio in volts and I' = -I / t, V_to = t (V_from - z I) reads
    V_from = (V_to - t z t I') / t.
    """
    rows = conductor_rows(feeder)
    here = rows["branch"].isin(names)
    odd = rows[here & ((rows["phase"] != rows["from_phase"]) | rows["floating"])]
    if len(odd):
        raise DataError(
            f"branch {odd['branch'].iloc[0]!r} would be fed from its end {odd['to_bus'].iloc[0]!r}"
            ", which its windings between phases do not allow",
            where=f"feeder {feeder.name!r}",
            advice="open another branch of the loop",
        )
    volts = rows["to_bus"].map(feeder.buses["kv"]).to_numpy(dtype=float)
    t = rows["ratio"].to_numpy(dtype=float) * volts / rows["kv"].to_numpy(dtype=float)
    turn = dict(zip(zip(rows["branch"], rows["phase"], strict=True), t.tolist(), strict=True))
    cells = feeder.impedances
    own, other = (
        np.array([turn[key] for key in zip(cells["branch"], cells[c], strict=True)])
        for c in ("phase", "other_phase")
    )
    factor = np.where(cells["branch"].isin(names), own * other, 1.0)
    ratio, amps = rows["ratio"].to_numpy(dtype=float), rows["rating_a"].to_numpy(dtype=float)
    branches = feeder.branches
    away = branches.index.isin(names)
    start, end = branches["from_bus"], branches["to_bus"]
    return replace(
        feeder,
        branches=branches.assign(
            from_bus=np.where(away, end, start),
            to_bus=np.where(away, start, end),
            shunt_from=np.where(away, 1.0 - branches["shunt_from"], branches["shunt_from"]),
        ),
        conductors=feeder.conductors.assign(
            ratio=np.where(here, 1.0 / ratio, ratio),
            rating_a=np.where(here, amps / np.abs(t), amps),
        ),
        impedances=cells.assign(r_ohm=cells["r_ohm"] * factor, x_ohm=cells["x_ohm"] * factor),
    )
