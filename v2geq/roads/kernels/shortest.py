"""Fastest routes from many origins, as flat arrays of arcs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from v2geq.arrays import FloatArray, IntArray
from v2geq.kernels.compiled import compiled, ints, longer
from v2geq.roads.kernels.trees import Star, first_tree


def shortest_trees(star: Star, time: FloatArray, sources: IntArray) -> tuple[FloatArray, IntArray]:
    """(source, node) least times, inf where there is no route, and arcs of `star` that enter."""
    nodes = star.through.size
    distance = np.empty((sources.size, nodes))
    by = np.empty((sources.size, nodes), dtype=np.int64)
    _shortest_trees(star, time, sources, distance, by, np.empty(nodes, dtype=np.int32))
    return distance, by


@compiled
def _shortest_trees(
    star: Star,
    time: FloatArray,
    sources: IntArray,
    distance: FloatArray,
    by: IntArray,
    order: NDArray[np.int32],
) -> None:
    for row in range(sources.size):
        first_tree(star, sources[row], time, distance[row], by[row], order)


@compiled
def trace_routes(
    star: Star, by: IntArray, rows: IntArray, ends: IntArray
) -> tuple[IntArray, IntArray]:
    """Routes from the source of `rows` to `ends`: bounds (route + 1,), arcs in graph order.

    What follows the last bound is not set.
    """
    start = ints(rows.size + 1)
    start[0] = 0
    arc = ints(max(16 * rows.size, 16))
    size = 0
    for i in range(rows.size):
        row, node, length = rows[i], ends[i], 0
        while by[row, node] >= 0:
            node = star.tail[by[row, node]]
            length += 1
        while size + length > arc.size:
            arc = longer(arc)
        size += length
        node = ends[i]
        for k in range(size - 1, size - length - 1, -1):
            arc[k] = star.arc[by[row, node]]
            node = star.tail[by[row, node]]
        start[i + 1] = size
    return start, arc
