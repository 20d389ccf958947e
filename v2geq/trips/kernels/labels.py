"""Bi-criteria label setting: Pareto fronts of (time, energy) from one source to many targets.

Nodes that are not `through` are left only by routes that start there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.kernels.compiled import compiled, floats, inner, ints, longer, set_all
from v2geq.roads.kernels.trees import Star


class Fronts(NamedTuple):
    """Pareto fronts of every source and target, and the trees of labels behind them.

    start : (source * target + 1,) bounds of the fronts, row by row
    time, energy, label : (entry,) by increasing time and decreasing energy; position of the label
    before, by : (label,) label before (-1 at the source) and arc, in the graph's own order
    """

    start: IntArray
    time: FloatArray
    energy: FloatArray
    label: IntArray
    before: IntArray
    by: IntArray


class _Tree(NamedTuple):
    """Labels of one source, and the heap of those that wait; all of one length.

    `entry` are labels on the front of a target, and `chain` links those of one target, last first.
    """

    node: IntArray
    time: FloatArray
    energy: FloatArray
    before: IntArray
    by: IntArray
    entry: IntArray
    chain: IntArray
    heap: IntArray
    heap_time: FloatArray
    heap_energy: FloatArray


@inner
def _tree(size: int) -> _Tree:
    return _Tree(
        ints(size),
        floats(size),
        floats(size),
        ints(size),
        ints(size),
        ints(size),
        ints(size),
        ints(size),
        floats(size),
        floats(size),
    )


@inner
def _grow(
    star: Star,
    time: FloatArray,
    energy: FloatArray,
    source: int,
    column: IntArray,
    budget: float,
    slack: float,
    tree: _Tree,
    newest: IntArray,
    least: FloatArray,
    last: IntArray,
) -> tuple[int, int]:
    """Fill the tree of one source: numbers of labels and entries, (-1, 0) if it has no room.

    `newest` receives the last entry of every target; `least` and `last`, energy of the last label
    that left the heap and last label made for each node, are scratch.
    """
    out_start, _, heads, arcs, through = star
    node_of, time_of, energy_of, before, by, entry, chain, heap, heap_time, heap_energy = tree
    set_all(newest, -1)
    set_all(least, np.inf)
    set_all(last, -1)
    entries, labels, waiting = 0, 1, 1
    node_of[0], time_of[0], energy_of[0], before[0], by[0] = source, 0.0, 0.0, -1, -1
    heap[0], heap_time[0], heap_energy[0] = 0, 0.0, 0.0
    while waiting:
        label, now, used = heap[0], heap_time[0], heap_energy[0]
        waiting -= 1
        moved, t, e = heap[waiting], heap_time[waiting], heap_energy[waiting]
        at = 0
        while True:
            child = 2 * at + 1
            if child >= waiting:
                break
            right = child + 1
            if right < waiting and (
                heap_time[right] < heap_time[child]
                or (
                    heap_time[right] == heap_time[child] and heap_energy[right] < heap_energy[child]
                )
            ):
                child = right
            if t < heap_time[child] or (t == heap_time[child] and e <= heap_energy[child]):
                break
            heap[at], heap_time[at] = heap[child], heap_time[child]
            heap_energy[at] = heap_energy[child]
            at = child
        heap[at], heap_time[at], heap_energy[at] = moved, t, e
        node = node_of[label]
        if used >= least[node] - slack:
            continue
        least[node] = used
        target = column[node]
        if target >= 0:
            entry[entries], chain[entries], newest[target] = label, newest[target], entries
            entries += 1
        if node != source and not through[node]:
            continue
        for k in range(out_start[node], out_start[node + 1]):
            head, t, e = heads[k], now + time[k], used + energy[k]
            if e > budget or e >= least[head] - slack:
                continue
            # one that waits already is better
            if last[head] >= 0 and t >= time_of[last[head]] and e >= energy_of[last[head]]:
                continue
            if labels == heap.size:
                return -1, 0
            last[head] = labels
            node_of[labels], time_of[labels], energy_of[labels] = head, t, e
            before[labels], by[labels] = label, arcs[k]
            at = waiting
            while at:
                above = (at - 1) // 2
                if heap_time[above] < t or (heap_time[above] == t and heap_energy[above] <= e):
                    break
                heap[at], heap_time[at] = heap[above], heap_time[above]
                heap_energy[at] = heap_energy[above]
                at = above
            heap[at], heap_time[at], heap_energy[at] = labels, t, e
            labels += 1
            waiting += 1
    return labels, entries


def label_setting(
    star: Star,
    time: FloatArray,
    energy: FloatArray,
    sources: IntArray,
    column: IntArray,
    width: int,
    budget: float,
    slack: float,
) -> Fronts:
    """Fronts from every source within the energy budget.

    Labels leave a heap by time, then energy, so a label is on the front of its node exactly if it
    needs less energy (by more than `slack`) than the one before it; an arc of no time and no
    energy cannot bring a label back.

    Parameters
    ----------
    time, energy
        (arc,) in the order of `star`, zero or more.
    column, width
        (node,) position among the targets or -1; number of targets.
    budget
        Zero or more.
    """
    fronts, labels = _label_setting(star, time, energy, sources, column, width, budget, slack)
    entries = fronts.start[-1]
    return Fronts(
        fronts.start,
        fronts.time[:entries].copy(),
        fronts.energy[:entries].copy(),
        fronts.label[:entries].copy(),
        fronts.before[:labels].copy(),
        fronts.by[:labels].copy(),
    )


@compiled
def _label_setting(
    star: Star,
    time: FloatArray,
    energy: FloatArray,
    sources: IntArray,
    column: IntArray,
    width: int,
    budget: float,
    slack: float,
) -> tuple[Fronts, int]:
    """`label_setting` in arrays with room to spare, and the number of labels."""
    tree = _tree(4 * column.size)
    newest, last = ints(width), ints(column.size)
    least = floats(column.size)
    start = ints(sources.size * width + 1)
    start[0] = 0
    size = 2 * sources.size * column.size
    before, by = ints(size), ints(size)
    front_label = ints(size)
    front_time, front_energy = floats(size), floats(size)
    total = first = 0
    for row in range(sources.size):
        while True:
            labels, entries = _grow(
                star,
                time,
                energy,
                sources[row],
                column,
                budget,
                slack,
                tree,
                newest,
                least,
                last,
            )
            if labels >= 0:
                break
            tree = _tree(2 * tree.node.size)
        while total + labels > before.size:
            before, by = longer(before), longer(by)
        for i in range(labels):
            before[total + i] = tree.before[i] + total if tree.before[i] >= 0 else -1
            by[total + i] = tree.by[i]
        while first + entries > front_time.size:
            front_time, front_energy = longer(front_time), longer(front_energy)
            front_label = longer(front_label)
        for target in range(width):
            i = newest[target]
            while i >= 0:
                first += 1
                i = tree.chain[i]
            at, i = first, newest[target]
            while i >= 0:
                at -= 1
                label = tree.entry[i]
                front_time[at], front_energy[at] = tree.time[label], tree.energy[label]
                front_label[at] = total + label
                i = tree.chain[i]
            start[row * width + target + 1] = first
        total += labels
    return Fronts(start, front_time, front_energy, front_label, before, by), total
