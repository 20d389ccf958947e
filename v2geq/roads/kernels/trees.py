"""Shortest-path trees on graphs whose arcs are sorted by tail (forward star).

Nodes that are not `through` are left only by the source's own tree. Lengths are zero or more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.kernels.compiled import compiled, ints, set_all
from v2geq.show import brief


class Star(NamedTuple):
    """A road graph whose arcs are sorted by tail.

    out_start : (node + 1,) arcs that leave node n are out_start[n] .. out_start[n + 1] - 1
    tail, head, arc : (arc,) ends, and position of the arc in the graph's own order
    through : (node,) whether a route may pass the node
    """

    out_start: IntArray
    tail: IntArray
    head: IntArray
    arc: IntArray
    through: BoolArray

    def __repr__(self) -> str:
        return brief(self)


@compiled
def first_tree(
    star: Star,
    source: int,
    length: FloatArray,
    distance: FloatArray,
    by: IntArray,
    order: NDArray[np.int32],
) -> None:
    """Dijkstra's tree: fills distance, entering arc (-1: none) and nodes in settled order."""
    out_start, head, through = star.out_start, star.head, star.through
    n = distance.size
    heap_node = ints(n)
    place = ints(n)  # in the heap; -2 once settled
    set_all(place, -1)
    set_all(distance, np.inf)
    set_all(by, -1)
    distance[source] = 0.0
    heap_node[0], place[source], size = source, 0, 1
    settled = 0
    while size:
        node = heap_node[0]
        place[node] = -2
        order[settled] = node
        settled += 1
        size -= 1
        if size:
            last = heap_node[size]
            at = 0
            while True:
                child = 2 * at + 1
                if child >= size:
                    break
                right = child + 1
                if right < size and distance[heap_node[right]] < distance[heap_node[child]]:
                    child = right
                if distance[heap_node[child]] >= distance[last]:
                    break
                heap_node[at] = heap_node[child]
                place[heap_node[at]] = at
                at = child
            heap_node[at] = last
            place[last] = at
        if node != source and not through[node]:
            continue
        for arc in range(out_start[node], out_start[node + 1]):
            other = head[arc]
            reached = distance[node] + length[arc]
            if reached < distance[other]:
                distance[other] = reached
                by[other] = arc
                at = place[other]
                if at == -1:
                    at = size
                    size += 1
                while at:
                    above = (at - 1) // 2
                    if distance[heap_node[above]] <= reached:
                        break
                    heap_node[at] = heap_node[above]
                    place[heap_node[at]] = at
                    at = above
                heap_node[at] = other
                place[other] = at
    for node in range(n):
        if place[node] == -1:
            order[settled] = node
            settled += 1


@compiled
def next_tree(
    star: Star,
    source: int,
    length: FloatArray,
    distance: FloatArray,
    by: IntArray,
    order: NDArray[np.int32],
) -> None:
    """Tree for lengths near those `order` came from; `order` is brought up to date.

    Nodes are relaxed in the old order of distance. One pass is exact if no node becomes nearer
    after its own arcs were relaxed; else another pass follows. After small changes of the lengths
    this takes one or two passes and no heap.
    """
    out_start, head, through = star.out_start, star.head, star.through
    n = distance.size
    scanned = ints(n)
    set_all(distance, np.inf)
    set_all(by, -1)
    distance[source] = 0.0
    again = True
    while again:
        again = False
        set_all(scanned, 0)
        for i in range(n):
            node = order[i]
            scanned[node] = 1
            here = distance[node]
            if here == np.inf or (node != source and not through[node]):
                continue
            for arc in range(out_start[node], out_start[node + 1]):
                other = head[arc]
                reached = here + length[arc]
                if reached < distance[other]:
                    distance[other] = reached
                    by[other] = arc
                    again = again or scanned[other] == 1
        for i in range(1, n):
            node = order[i]
            here = distance[node]
            k = i
            while k and distance[order[k - 1]] > here:
                order[k] = order[k - 1]
                k -= 1
            order[k] = node
