"""The road graph in arrays, and shortest distances on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.data.model.road import RoadNetwork
    from v2geq.roads.kernels.trees import Star


@dataclass(frozen=True, eq=False)
class Graph:
    """Road graph in arrays; nodes and arcs are positions.

    Attributes
    ----------
    nodes, arcs
        Names, in the order of the positions.
    tail, head
        (arc,) node positions.
    length_km, free_flow_h
        (arc,) length in km and free-flow time in h.
    through
        (node,) whether a route may pass the node; if not, routes (and legs between stops) only
        start or end there.
    """

    nodes: tuple[str, ...]
    arcs: tuple[str, ...]
    tail: IntArray
    head: IntArray
    length_km: FloatArray
    free_flow_h: FloatArray
    through: BoolArray

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes and {len(self.arcs)} arcs>"

    @classmethod
    def from_road(cls, road: RoadNetwork) -> Graph:
        """Arrays of `road`.

        Raises
        ------
        DataError
            A name given twice, an arc at an unknown node, a negative length or time.
        """
        nodes = tuple(str(n) for n in road.nodes.index)
        position = {n: i for i, n in enumerate(nodes)}
        arcs = tuple(str(a) for a in road.arcs.index)
        for what, names in (("node", nodes), ("arc", arcs)):
            if len(set(names)) < len(names):
                twice = next(n for n, count in Counter(names).items() if count > 1)
                raise DataError(
                    f"{what} {twice!r} of road network {road.name!r} appears twice",
                    where=road.source,
                    advice="give every one its own name",
                )
        ends: list[IntArray] = []
        for column in ("from_node", "to_node"):
            places = [str(n) for n in road.arcs[column]]
            for arc, name in zip(arcs, places, strict=True):
                if name not in position:
                    raise DataError(
                        f"arc {arc!r} of road network {road.name!r}: {column} {name!r} is no node",
                        where=road.source,
                        advice="add the node to the node table or correct the arc",
                    )
            ends.append(np.array([position[n] for n in places], dtype=np.int64))
        length_km = road.arcs["length_km"].to_numpy(dtype=np.float64, copy=True)
        free_flow_h = road.arcs["free_flow_min"].to_numpy(dtype=np.float64) / 60.0
        for what, values in (("length_km", length_km), ("free_flow_min", free_flow_h)):
            bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
            if bad.size:
                raise DataError(
                    f"arc {arcs[bad[0]]!r} of road network {road.name!r}: {what} is "
                    f"{road.arcs[what].iloc[int(bad[0])]}",
                    where=road.source,
                    advice="give a finite number, zero or more",
                )
        through = (
            # for arrays that cannot be written, as frames hand out, loops are compiled anew
            road.nodes["through"].to_numpy(dtype=np.bool_, copy=True)
            if "through" in road.nodes
            else np.ones(len(nodes), dtype=np.bool_)
        )
        return cls(nodes, arcs, ends[0], ends[1], length_km, free_flow_h, through)

    @cached_property
    def star(self) -> Star:
        """The graph with its arcs sorted by tail, for compiled loops."""
        from v2geq.roads.kernels.trees import Star

        arc = np.argsort(self.tail, kind="stable")
        bounds = np.searchsorted(self.tail[arc], np.arange(len(self.nodes) + 1))
        return Star(bounds, self.tail[arc], self.head[arc], arc, self.through)

    @cached_property
    def route_minutes(self) -> list[float]:
        """(arc,) free-flow minutes by which base routes are ordered.

        Rounded to 1e-9 min: hours are minutes / 60, and the way back must give the minutes of the
        table exactly, or rounding would break the ties of equal route times.
        """
        return [float(m) for m in np.round(self.free_flow_h * 60.0, 9)]

    @cached_property
    def neighbours(self) -> tuple[list[list[tuple[int, float]]], list[list[tuple[int, float]]]]:
        """Successors and predecessors of every node as (node, free-flow minutes), arc order."""
        following: list[list[tuple[int, float]]] = [[] for _ in self.nodes]
        preceding: list[list[tuple[int, float]]] = [[] for _ in self.nodes]
        for (i, j), a in self.fastest_arc.items():
            following[i].append((j, self.route_minutes[a]))
            preceding[j].append((i, self.route_minutes[a]))
        return following, preceding

    @cached_property
    def fastest_arc(self) -> dict[tuple[int, int], int]:
        """(tail, head) -> the arc between them of least free-flow time (the first of equals)."""
        best: dict[tuple[int, int], int] = {}
        for a, ends in enumerate(zip(self.tail.tolist(), self.head.tolist(), strict=True)):
            if ends not in best or self.route_minutes[a] < self.route_minutes[best[ends]]:
                best[ends] = a
        return best

    def pairs(self, trips: pd.DataFrame) -> IntArray:
        """(od, 2) node positions of the origins and destinations of a trip table."""
        at = {name: i for i, name in enumerate(self.nodes)}
        ends = [[at[n] for n in trips[column]] for column in ("origin", "destination")]
        return np.ascontiguousarray(np.array(ends, dtype=np.int64).T)

    def is_route(self, arcs: Sequence[int]) -> bool:
        """Whether each arc starts where the one before it ends."""
        return all(self.head[a] == self.tail[b] for a, b in pairwise(arcs))


def shortest_tree(
    graph: Graph, weight: FloatArray, sources: IntArray
) -> tuple[FloatArray, IntArray]:
    """Least total `weight` from every source to every node, passing only `through` nodes.

    Parameters
    ----------
    weight
        (arc,) zero or more.
    sources
        (source,) node positions.

    Returns
    -------
    (source, node) distances, inf where there is no route, and (source, node) arcs by which a
    shortest route enters the node, -1 at the source and where there is none.
    """
    n = len(graph.nodes)
    # a node that may not be passed is split: arcs enter the node itself and leave a copy of it,
    # which nothing enters; routes from the node start at the copy
    copy = np.arange(n, dtype=np.int64)
    split = np.flatnonzero(~graph.through)
    copy[split] = n + np.arange(split.size)
    tail, head, size = copy[graph.tail], graph.head, n + split.size
    order = np.lexsort((weight, head, tail))
    key = tail[order] * size + head[order]
    # of parallel arcs the lightest
    order = order[np.concatenate(([True], key[1:] != key[:-1]))] if key.size else order
    # explicit zeros stay arcs of weight zero
    matrix = sparse.coo_array(
        (weight[order], (tail[order], head[order])), shape=(size, size)
    ).tocsr()
    starts = copy[sources]
    distance, previous = dijkstra(matrix, indices=starts, return_predecessors=True)
    distance, previous = np.atleast_2d(distance), np.atleast_2d(previous).astype(np.int64)
    rows = np.arange(len(sources))
    distance = np.ascontiguousarray(distance[:, :n])
    distance[rows, sources] = 0.0
    previous = previous[:, :n]
    known = previous >= 0
    key = tail[order] * size + head[order]
    wanted = previous * size + np.arange(n)
    by = np.full(previous.shape, -1, dtype=np.int64)
    by[known] = order[np.searchsorted(key, wanted[known])]
    by[rows, sources] = -1
    return distance, by


def no_route(graph: Graph, origin: int, destination: int) -> DataError:
    """Error of an OD pair without any route."""
    return DataError(
        f"OD pair {graph.nodes[origin]} -> {graph.nodes[destination]} has no route",
        advice="check the arcs around both nodes and the nodes that may not be passed, or drop "
        "the OD pair",
    )
