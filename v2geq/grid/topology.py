"""What of a feeder is energised under outages: buses, islands, lines away from their root."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.settings import FeederSettings
from v2geq.show import brief


@dataclass(frozen=True)
class Lines:
    """Energised branches, oriented away from the root of their island.

    Arrays by line: from_bus, to_bus (positions of buses), r_ohm, x_ohm, rating_kva (factor
    applied), ratio (V_to = ratio * V_from at no load).
    """

    names: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    rating_kva: FloatArray
    ratio: FloatArray

    __repr__ = brief


@dataclass(frozen=True)
class Topology:
    """Energised buses, island by island, each island's root first; lines between them.

    Attributes
    ----------
    buses : names; the substation is the first
    dead_buses : buses of islands without load, generator or station
    island : (bus,) island number; 0 is the substation's
    """

    buses: tuple[str, ...]
    dead_buses: tuple[str, ...]
    island: IntArray
    lines: Lines

    __repr__ = brief

    @property
    def bus_position(self) -> dict[str, int]:
        """Position of every energised bus."""
        return {b: i for i, b in enumerate(self.buses)}

    @property
    def incidence(self) -> csr_array:
        """Buses x lines: +1 where a line ends, -1 where it begins."""
        k = np.arange(len(self.lines.names))
        ones = np.ones(len(k))
        ends = np.r_[self.lines.to_bus, self.lines.from_bus]
        shape = (len(self.buses), len(k))
        return csr_array(coo_array((np.r_[ones, -ones], (ends, np.r_[k, k])), shape=shape))

    def head(self, bus: str) -> int:
        """Position of the root of a bus's island."""
        return int(np.argmax(self.island == self.island[self.bus_position[bus]]))

    def way(self, bus: str) -> list[int]:
        """Positions of the lines from the root of a bus's island to the bus."""
        entering = {int(j): k for k, j in enumerate(self.lines.to_bus)}
        at, way = self.bus_position[bus], []
        while at in entering:
            way.append(entering[at])
            at = int(self.lines.from_bus[way[-1]])
        return way[::-1]


def energised(
    feeder: Feeder,
    settings: FeederSettings,
    traded: Collection[str],
    outages: Collection[str],
    closed: Collection[str] = (),
) -> Topology:
    """Topology of a feeder without the branches in `outages`, with normally open ones `closed`.

    Parameters
    ----------
    traded
        Buses with generators or stations.
    """
    names = list(feeder.buses.index)
    position = {b: i for i, b in enumerate(names)}
    branches = feeder.branches
    is_closed = ~branches["normally_open"].astype(bool) | branches.index.isin(list(closed))
    joined = branches[is_closed & ~branches.index.isin(list(outages))]
    tail = joined["from_bus"].map(position).to_numpy(dtype=np.int64)
    head = joined["to_bus"].map(position).to_numpy(dtype=np.int64)
    n = len(names)
    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n)).tocsr()
    _, component = connected_components(graph, directed=False)

    root = position[feeder.root]
    used = np.zeros(n, dtype=bool)
    loads = feeder.loads
    busy = loads.index[(loads["load_kw"] > 0) | (loads["load_kvar"] != 0)]
    for bus in (feeder.root, *busy, *traded):
        used[position[bus]] = True
    alive = np.isin(component, component[used])
    # a bus with most of the phases is the reference of an island without the substation; the
    # legs of a split-phase secondary count after any phase
    phases = feeder.buses["phases"].str
    wires = list(zip(phases.count("[abc]"), phases.len(), strict=True))
    first: dict[int, int] = {component[root]: root}
    for i in np.flatnonzero(alive).tolist():
        best = first.setdefault(component[i], i)
        if component[i] != component[root] and wires[i] > wires[best]:
            first[component[i]] = i
    order = np.flatnonzero(alive).tolist()
    order.sort(
        key=lambda i: (component[i] != component[root], component[i], first[component[i]] != i)
    )
    number = {c: k for k, c in enumerate(dict.fromkeys(component[i] for i in order))}

    depth = np.full(n, -1)
    for start in first.values():
        visited, parents = breadth_first_order(graph, start, directed=False)
        for i in visited:
            depth[i] = 0 if i == start else depth[parents[i]] + 1
    keep = alive[tail]
    columns, t, h = joined.loc[keep], tail[keep], head[keep]
    turned = depth[t] > depth[h]
    ratio = columns["ratio"].to_numpy(dtype=float)
    if not settings.regulators:
        ratio = np.where(columns["kind"].to_numpy() == "regulator", 1.0, ratio)
    # v_to = ratio^2 (v_from - 2 r P ...) read from the other end
    impedance = np.where(turned, ratio**2, 1.0)
    new = np.full(n, -1)
    new[order] = np.arange(len(order))
    return Topology(
        buses=tuple(names[i] for i in order),
        dead_buses=tuple(names[i] for i in np.flatnonzero(~alive)),
        island=np.array([number[component[i]] for i in order], dtype=np.int64),
        lines=Lines(
            names=tuple(columns.index),
            from_bus=new[np.where(turned, h, t)],
            to_bus=new[np.where(turned, t, h)],
            r_ohm=columns["r_ohm"].to_numpy(dtype=float) * impedance,
            x_ohm=columns["x_ohm"].to_numpy(dtype=float) * impedance,
            rating_kva=columns["rating_kva"].to_numpy(dtype=float) * settings.rating_factor,
            ratio=np.where(turned, 1.0 / ratio, ratio),
        ),
    )
