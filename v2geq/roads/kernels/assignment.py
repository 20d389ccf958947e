"""Compiled loops of path-based traffic assignment by gradient projection.

Arcs are sorted by tail (see `trees`). OD pairs are sorted by group; a group is one driver class at
one origin. Every OD pair keeps a linked list of the paths it uses. Times are minutes, flows veh/h.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from v2geq.arrays import FloatArray, IntArray
from v2geq.kernels.compiled import compiled, floats, inlined, inner, ints, longer, reverse
from v2geq.roads.kernels.delay import DelayArrays, fourth_power, retime, time_and_slope
from v2geq.roads.kernels.trees import Star, first_tree, next_tree
from v2geq.show import brief

PATHS, ARCS, DROPPED_PATHS, DROPPED_ARCS = 0, 1, 2, 3  # entries of Pool.used
NEW_PATH = 1e-13
"""Relative saving from which a path is added: above rounding, far below any gap asked for."""
HALVINGS = 60
"""Most halvings of a step that goes too far; by then it is below rounding."""
SETTLED = 1e-12
"""Difference of two paths' costs, relative, from which steps are not halved: rounding is near."""


class Roads(NamedTuple):
    """Graph and costs: `fixed` (class, arc) min, `pce` (class,) passenger car equivalents."""

    star: Star
    fixed: FloatArray
    pce: FloatArray

    def __repr__(self) -> str:
        return brief(self)


class Trips(NamedTuple):
    """Demand by group: OD pairs start[g] .. start[g + 1] - 1 leave source[g] in kind[g]'s class."""

    start: IntArray
    source: IntArray
    kind: IntArray
    destination: IntArray
    demand: FloatArray

    def __repr__(self) -> str:
        return brief(self)


class Pool(NamedTuple):
    """Paths of all OD pairs: linked lists from `first`, arcs in travel order in one long array.

    first : (od,) a path, -1 for none; next : (path,) the next of the same pair
    start, size : (path,) place in `arc`; flow : (path,); fixed : (path,) sum of fixed costs
    used : numbers of paths and of arcs, and of those dropped
    """

    first: IntArray
    next: IntArray
    start: IntArray
    size: IntArray
    flow: FloatArray
    fixed: FloatArray
    arc: NDArray[np.int32]
    used: IntArray

    def __repr__(self) -> str:
        return brief(self)


class State(NamedTuple):
    """Flow, time and slope of every arc, and scratch.

    quartic : (arc,) coefficient of the fourth power of the flow where that and the time at no flow
        are all there is to the time, else -1
    """

    flow: FloatArray
    time: FloatArray
    slope: FloatArray
    quartic: FloatArray
    mark: NDArray[np.int8]
    changed: NDArray[np.int32]
    sign: FloatArray

    def __repr__(self) -> str:
        return brief(self)


def load_paths(roads: Roads, trips: Trips, pool: Pool, arc_flow: FloatArray) -> None:
    """Path flows scaled to the demand, and arc flows summed from them.

    Loses the rounding of many small steps.
    """
    _load_paths(roads.pce, trips, pool, arc_flow)


@compiled
def _load_paths(pce: FloatArray, trips: Trips, pool: Pool, arc_flow: FloatArray) -> None:
    first, after, start, size = pool.first, pool.next, pool.start, pool.size
    flow, arcs = pool.flow, pool.arc
    for arc in range(arc_flow.size):
        arc_flow[arc] = 0.0
    for g in range(trips.source.size):
        weight = pce[trips.kind[g]]
        for w in range(trips.start[g], trips.start[g + 1]):
            total = 0.0
            p = first[w]
            while p >= 0:
                total += flow[p]
                p = after[p]
            p = first[w]
            while p >= 0:
                flow[p] = flow[p] / total * trips.demand[w]
                step = weight * flow[p]
                for i in range(start[p], start[p] + size[p]):
                    arc_flow[arcs[i]] += step
                p = after[p]


@inlined
def set_lengths(length: FloatArray, time: FloatArray, fixed: FloatArray, kind: int) -> None:
    """Costs of arcs for one class, min."""
    for arc in range(length.size):
        length[arc] = time[arc] + fixed[kind, arc]


@inlined
def tree(
    roads: Roads,
    source: int,
    length: FloatArray,
    order: NDArray[np.int32],
    distance: FloatArray,
    by: IntArray,
) -> None:
    """Shortest-path tree; `order` (node,) helps the next one, with -1 in front it is the first."""
    if order[0] < 0:
        first_tree(roads.star, source, length, distance, by, order)
    else:
        next_tree(roads.star, source, length, distance, by, order)


@inner
def measure(
    trips: Trips,
    pool: Pool,
    time: FloatArray,
    g: int,
    distance: FloatArray,
    cost: FloatArray,
    wanted: IntArray,
) -> tuple[float, float, int]:
    """Excess cost and total cost of one group, veh min/h, at these times.

    The excess is infinite where a pair has no path. Fills `cost` (od,) with the least cost over
    all routes, and `wanted` with the pairs whose cheapest route is not among their paths; returns
    their number as well.
    """
    first, after, start, size = pool.first, pool.next, pool.start, pool.size
    flow, fixed, arcs = pool.flow, pool.fixed, pool.arc
    excess = total = 0.0
    count = 0
    for w in range(trips.start[g], trips.start[g + 1]):
        reached = distance[trips.destination[w]]
        least, spent = np.inf, 0.0
        p = first[w]
        while p >= 0:
            c = fixed[p]
            for i in range(start[p], start[p] + size[p]):
                c += time[arcs[i]]
            spent += flow[p] * c
            least = min(least, c)
            p = after[p]
        if reached < least * (1.0 - NEW_PATH):
            wanted[count] = w
            count += 1
        cost[w] = min(reached, least)
        total += spent
        excess += max(spent - trips.demand[w] * cost[w], 0.0) if first[w] >= 0 else np.inf
    return excess, total, count


@inlined
def grown(pool: Pool, paths: int, arcs: int) -> Pool:
    """The pool, copied to at least twice the size where so many more would not fit."""
    after, start, size = pool.next, pool.start, pool.size
    flow, fixed, arc = pool.flow, pool.fixed, pool.arc
    while pool.used[PATHS] + paths > after.size:
        after, start, size = longer(after), longer(start), longer(size)
        flow, fixed = longer(flow), longer(fixed)
    while pool.used[ARCS] + arcs > arc.size:
        arc = longer(arc)
    return Pool(pool.first, after, start, size, flow, fixed, arc, pool.used)


@inlined
def add_paths(
    roads: Roads, trips: Trips, pool: Pool, by: IntArray, wanted: IntArray, count: int, kind: int
) -> Pool:
    """Put the tree's routes at the head of the lists of `count` OD pairs, with no flow."""
    arcs = 0
    for k in range(count):
        node = trips.destination[wanted[k]]
        while by[node] >= 0:
            arcs += 1
            node = roads.star.tail[by[node]]
    pool = grown(pool, count, arcs)
    path_arcs = pool.arc
    for k in range(count):
        w = wanted[k]
        p, begin = pool.used[PATHS], pool.used[ARCS]
        end = begin
        fixed = 0.0
        node = trips.destination[w]
        while by[node] >= 0:
            arc = by[node]
            path_arcs[end] = arc
            fixed += roads.fixed[kind, arc]
            node = roads.star.tail[arc]
            end += 1
        reverse(path_arcs, begin, end)
        pool.next[p], pool.first[w] = pool.first[w], p
        pool.start[p], pool.size[p], pool.fixed[p], pool.flow[p] = begin, end - begin, fixed, 0.0
        pool.used[PATHS] += 1
        pool.used[ARCS] = end
    return pool


@inlined
def load_new(
    trips: Trips,
    delay: DelayArrays,
    pool: Pool,
    state: State,
    wanted: IntArray,
    count: int,
    weight: float,
) -> None:
    """Put all demand of pairs whose new path is their first on it; times follow pair by pair."""
    for k in range(count):
        w = wanted[k]
        p = pool.first[w]
        if pool.next[p] < 0:
            pool.flow[p] = trips.demand[w]
            begin, end = pool.start[p], pool.start[p] + pool.size[p]
            for i in range(begin, end):
                state.flow[pool.arc[i]] += weight * trips.demand[w]
            retime(delay, state.quartic, state.flow, state.time, state.slope, pool.arc, begin, end)


@inner
def balance(
    delay: DelayArrays, pool: Pool, state: State, begin: int, end: int, weight: float
) -> float:
    """One step for every OD pair in begin..end-1 that has several paths.

    Every path exchanges flow with a cheapest one by a Newton step on the difference of their
    costs, which only the arcs on one of the two depend on; times follow at once. A step that turns
    the difference round and leaves half of it or more is halved, so that steps do not go to and fro
    where times level off or overflow. Paths without flow are dropped. Returns the excess cost met,
    veh min/h.
    """
    first, after, start, size = pool.first, pool.next, pool.start, pool.size
    flow, fixed, arcs = pool.flow, pool.fixed, pool.arc
    arc_flow, time, slope = state.flow, state.time, state.slope
    quartic, free_flow = state.quartic, delay.free_flow
    mark, changed, sign = state.mark, state.changed, state.sign
    excess = 0.0
    for w in range(begin, end):
        # none where no route has had a finite cost yet
        if first[w] < 0 or after[first[w]] < 0:
            continue
        basic = first[w]
        if after[after[basic]] >= 0:
            least = np.inf
            p = first[w]
            while p >= 0:
                c = fixed[p]
                for i in range(start[p], start[p] + size[p]):
                    c += time[arcs[i]]
                if c < least:
                    least, basic = c, p
                p = after[p]
        p = first[w]
        while p >= 0:
            if p == basic:
                p = after[p]
                continue
            # arcs on p only (sign +1) and on the basic path only (-1)
            for i in range(start[basic], start[basic] + size[basic]):
                mark[arcs[i]] = 1
            count = 0
            difference, steepness = fixed[p] - fixed[basic], 0.0
            for i in range(start[p], start[p] + size[p]):
                arc = arcs[i]
                if mark[arc]:
                    mark[arc] = 0
                else:
                    changed[count], sign[count] = arc, 1.0
                    count += 1
                    difference += time[arc]
                    steepness += slope[arc]
            settled = SETTLED * (difference + fixed[basic])
            for i in range(start[basic], start[basic] + size[basic]):
                arc = arcs[i]
                if mark[arc]:
                    mark[arc] = 0
                    changed[count], sign[count] = arc, -1.0
                    count += 1
                    difference -= time[arc]
                    steepness += slope[arc]
            # not where both costs are infinite
            if abs(difference) > 0.0:
                if 0.0 < steepness < np.inf:
                    step = difference / (weight * steepness)
                else:
                    step = np.copysign(np.inf, difference)
                if difference > 0.0:
                    excess += difference * flow[p]
                else:
                    excess -= difference * flow[basic]
                step = max(min(step, flow[p]), -flow[basic])
                applied = 0.0
                for _ in range(HALVINGS):
                    moved = weight * (step - applied)
                    applied = step
                    left = fixed[p] - fixed[basic]
                    for i in range(count):
                        arc = changed[i]
                        x = arc_flow[arc] - sign[i] * moved
                        arc_flow[arc] = x
                        if quartic[arc] >= 0.0:
                            time[arc], slope[arc] = fourth_power(free_flow[arc], quartic[arc], x)
                        else:
                            time[arc], slope[arc] = time_and_slope(delay, arc, x)
                        left += sign[i] * time[arc]
                    if left * difference >= 0.0 or abs(left) < max(0.5 * abs(difference), settled):
                        break
                    step *= 0.5
                flow[p] -= applied
                flow[basic] += applied
            p = after[p]
        before = -1
        p = first[w]
        while p >= 0:
            if flow[p] > 0.0:
                before = p
            else:
                if before < 0:
                    first[w] = after[p]
                else:
                    after[before] = after[p]
                pool.used[DROPPED_PATHS] += 1
                pool.used[DROPPED_ARCS] += size[p]
            p = after[p]
    return excess


@inlined
def rebalance(roads: Roads, trips: Trips, delay: DelayArrays, pool: Pool, state: State) -> float:
    """`balance` over all OD pairs; the excess cost met."""
    excess = 0.0
    for g in range(trips.source.size):
        weight = roads.pce[trips.kind[g]]
        excess += balance(delay, pool, state, trips.start[g], trips.start[g + 1], weight)
    return excess


@inlined
def generate(
    roads: Roads,
    trips: Trips,
    delay: DelayArrays,
    pool: Pool,
    state: State,
    order: NDArray[np.int32],
) -> tuple[Pool, float, float]:
    """Add cheapest routes that are missing, group by group, and take one step in each group.

    A pair without any path gets all its flow on the cheapest. Costs follow every step.
    `order` (group, node) keeps the nodes by distance from one call to the next; -1 at first.

    Returns
    -------
    The pool, and at the costs met on the way: the excess cost over the cheapest paths (infinite
    where a pair had no path), and the total cost, veh min/h.
    """
    n = roads.star.through.size
    length = floats(roads.star.head.size)
    distance, by = floats(n), ints(n)
    cost = floats(trips.demand.size)
    wanted = ints(trips.demand.size)
    excess = total = 0.0
    for g in range(trips.source.size):
        kind = trips.kind[g]
        weight = roads.pce[kind]
        set_lengths(length, state.time, roads.fixed, kind)
        tree(roads, trips.source[g], length, order[g], distance, by)
        more, spent, count = measure(trips, pool, state.time, g, distance, cost, wanted)
        if count:
            pool = add_paths(roads, trips, pool, by, wanted, count, kind)
            load_new(trips, delay, pool, state, wanted, count, weight)
        balance(delay, pool, state, trips.start[g], trips.start[g + 1], weight)
        excess += more
        total += spent
    return pool, excess, total


@compiled
def improve(
    roads: Roads,
    trips: Trips,
    delay: DelayArrays,
    pool: Pool,
    state: State,
    order: NDArray[np.int32],
    sweeps: int,
    share: float,
) -> tuple[Pool, float, float, int]:
    """One iteration: `generate`, then `balance` until the excess is down to `share`.

    At most `sweeps` times. Returns what `generate` returns, and the number of sweeps.
    """
    pool, excess, total = generate(roads, trips, delay, pool, state, order)
    done = 0
    while done < sweeps:
        left = rebalance(roads, trips, delay, pool, state)
        done += 1
        if left <= share * excess:
            break
    return pool, excess, total, done


def gap(
    roads: Roads, trips: Trips, pool: Pool, state: State, order: NDArray[np.int32], cost: FloatArray
) -> tuple[float, float]:
    """Excess cost over the cheapest routes and total cost at the times as they are, veh min/h.

    Fills `cost` (od,), min, infinite where there is no route. Nothing is moved.
    """
    return _gap(roads, trips, pool, state.time, order, cost)


@compiled
def _gap(
    roads: Roads,
    trips: Trips,
    pool: Pool,
    time: FloatArray,
    order: NDArray[np.int32],
    cost: FloatArray,
) -> tuple[float, float]:
    n = roads.star.through.size
    length = floats(roads.star.head.size)
    distance, by = floats(n), ints(n)
    wanted = ints(trips.demand.size)
    excess = total = 0.0
    for g in range(trips.source.size):
        set_lengths(length, time, roads.fixed, trips.kind[g])
        tree(roads, trips.source[g], length, order[g], distance, by)
        more, spent, _ = measure(trips, pool, time, g, distance, cost, wanted)
        excess += more
        total += spent
    return excess, total


def compact(pool: Pool, room: int) -> Pool:
    """Copy of the pool without dropped paths, the paths of a pair side by side.

    `room` is how many times the size is reserved for more.
    """
    paths = int(pool.used[PATHS] - pool.used[DROPPED_PATHS])
    arcs = int(pool.used[ARCS] - pool.used[DROPPED_ARCS])
    new = reserved(pool.first.size, room * paths, room * arcs)
    new.used[:2] = paths, arcs
    _copy(pool, new)
    return new


def reserved(pairs: int, paths: int, arcs: int) -> Pool:
    """A pool without paths, with room for some."""
    first, used = np.full(pairs, -1, dtype=np.int64), np.zeros(4, dtype=np.int64)
    after, start, size = np.empty((3, paths), dtype=np.int64)
    flow, fixed = np.empty((2, paths))
    return Pool(first, after, start, size, flow, fixed, np.empty(arcs, dtype=np.int32), used)


@compiled
def _copy(pool: Pool, new: Pool) -> None:
    p = used = 0
    for w in range(pool.first.size):
        new.first[w] = p if pool.first[w] >= 0 else -1
        old = pool.first[w]
        while old >= 0:
            begin = pool.start[old]
            new.start[p], new.size[p] = used, pool.size[old]
            new.flow[p], new.fixed[p] = pool.flow[old], pool.fixed[old]
            for i in range(pool.size[old]):
                new.arc[used + i] = pool.arc[begin + i]
            used += pool.size[old]
            old = pool.next[old]
            new.next[p] = p + 1 if old >= 0 else -1
            p += 1


@compiled
def skim(
    roads: Roads,
    time: FloatArray,
    kind: int,
    sources: IntArray,
    targets: IntArray,
    amounts: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Least costs of a class between nodes, min, and sums of `amounts` (what, arc) on the way.

    Returns (source, target), infinite where there is no route, and (what, source, target).
    """
    n = roads.star.through.size
    length = floats(time.size)
    set_lengths(length, time, roads.fixed, kind)
    distance, by = floats(n), ints(n)
    order = np.full(n, -1, dtype=np.int32)
    total = np.empty((amounts.shape[0], n))
    costs = np.empty((sources.size, targets.size))
    sums = np.empty((amounts.shape[0], sources.size, targets.size))
    for s in range(sources.size):
        order[0] = -1
        tree(roads, sources[s], length, order, distance, by)
        total[:] = np.inf
        total[:, sources[s]] = 0.0
        for node in order:
            if by[node] >= 0:
                total[:, node] = total[:, roads.star.tail[by[node]]] + amounts[:, by[node]]
        costs[s] = distance[targets]
        for k in range(amounts.shape[0]):
            sums[k, s] = total[k][targets]
    return costs, sums
