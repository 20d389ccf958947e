"""Cheapest legs on Pareto fronts, and their min-plus composition to paths with stops.

A leg starts from a position: a source row at the level of departure, then every station with a
full, then every station with a low battery; R source rows and S stations make R + 2 S positions.
It ends at a stop of kind CHARGE or SELL, or at the destination.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.kernels.compiled import compiled, floats, inner, ints, longer
from v2geq.roads.kernels.trees import Star
from v2geq.trips.kernels.labels import Fronts

CHARGE, SELL = 0, 1


class Terms(NamedTuple):
    """Battery and prices of one driver class; stations as (station,) arrays.

    value_of_time, energy_value : $/h and $/kWh
    start, battery, low, reserve, tolerance : levels and slack, kWh
    row, column : of the station among sources and targets of the fronts
    delay, unit : (2, station) $ per stop and $ per kWh charged or discharged
    allowed : (2, station) whether vehicles may charge or discharge
    """

    value_of_time: float
    energy_value: float
    start: float
    battery: float
    low: float
    reserve: float
    tolerance: float
    row: IntArray
    column: IntArray
    delay: FloatArray
    unit: FloatArray
    allowed: BoolArray


class Legs(NamedTuple):
    """Cheapest legs to stops, (kind, position, station).

    cost : $ with delay and energy of the stop, inf where no leg is feasible
    energy : energy used, kWh
    label : position in the tree of labels
    """

    cost: FloatArray
    energy: FloatArray
    label: IntArray


class Traced(NamedTuple):
    """Paths as flat arrays.

    start : (path, 4) bounds of up to three legs in `arc`; legs a path lacks have no arcs
    arc : arcs in travel order; what follows the last bound is not set
    energy : (path, 3) energy of the legs, kWh
    """

    start: IntArray
    arc: IntArray
    energy: FloatArray


@inner
def _level(terms: Terms, rows: int, position: int) -> float:
    """Level of the battery at a position."""
    if position < rows:
        return terms.start
    return terms.battery if position < rows + terms.row.size else terms.low


@inner
def _row(terms: Terms, rows: int, position: int) -> int:
    """Source row of a position."""
    return position if position < rows else terms.row[(position - rows) % terms.row.size]


@inner
def _amount(terms: Terms, kind: int, level: float) -> tuple[float, float]:
    """Energy of a stop after a leg that uses u is offset + sign * u: (offset, sign)."""
    if kind == CHARGE:
        return terms.battery - level, 1.0
    return level - terms.low, -1.0


@inner
def _cheapest(
    time: FloatArray,
    energy: FloatArray,
    begin: int,
    end: int,
    value_of_time: float,
    unit: float,
    offset: float,
    sign: float,
    more_than: float,
    budget: float,
) -> tuple[float, int]:
    """Least value_of_time * time + unit * amount among entries of a front, and the entry.

    The amount is offset + sign * energy and must be more than `more_than`, the energy at most the
    budget. The entry is -1 and the cost inf where there is none.
    """
    best, chosen = np.inf, -1
    for k in range(begin, end):
        used = energy[k]
        amount = offset + sign * used
        if used <= budget and amount > more_than:
            cost = value_of_time * time[k] + unit * amount
            if cost < best:
                best, chosen = cost, k
    return best, chosen


def front_legs(fronts: Fronts, width: int, rows: int, needed: BoolArray, terms: Terms) -> Legs:
    """Cheapest legs to stops on the fronts; exact where no weight of energy is negative.

    Parameters
    ----------
    width, rows
        Numbers of targets and sources of the fronts.
    needed
        (row,) whether legs at the level of departure start there.
    """
    stations = terms.row.size
    shape = (2, rows + 2 * stations, stations)
    legs = Legs(np.full(shape, np.inf), np.zeros(shape), np.full(shape, -1, dtype=np.int64))
    _front_legs(fronts, width, rows, needed, terms, legs)
    return legs


@compiled
def _front_legs(
    fronts: Fronts, width: int, rows: int, needed: BoolArray, terms: Terms, legs: Legs
) -> None:
    stations = terms.row.size
    start, time, energy = fronts.start, fronts.time, fronts.energy
    for position in range(rows + 2 * stations):
        if position < rows and not needed[position]:
            continue
        level, row = _level(terms, rows, position), _row(terms, rows, position)
        # nobody discharges twice
        for kind in range(2 if position < rows + stations else 1):
            offset, sign = _amount(terms, kind, level)
            for s in range(stations):
                if not terms.allowed[kind, s]:
                    continue
                front = row * width + terms.column[s]
                cost, entry = _cheapest(
                    time,
                    energy,
                    start[front],
                    start[front + 1],
                    terms.value_of_time,
                    terms.unit[kind, s],
                    offset,
                    sign,
                    terms.tolerance,
                    level - terms.reserve + terms.tolerance,
                )
                if entry >= 0:
                    legs.cost[kind, position, s] = cost + terms.delay[kind, s]
                    legs.energy[kind, position, s] = energy[entry]
                    legs.label[kind, position, s] = fronts.label[entry]


def elementary_legs(
    star: Star,
    time: FloatArray,
    energy: FloatArray,
    fronts: Fronts,
    sources: IntArray,
    targets: IntArray,
    needed: BoolArray,
    terms: Terms,
    limit: int,
) -> tuple[Legs, Fronts, bool]:
    """Cheapest legs to stops over all elementary routes, for any weights of energy.

    Where a weight is negative more energy is better and no front helps: the problem is a longest
    path. All elementary routes within the budget are followed, but not beyond a node from where
    no stop can become cheaper than the best one found, whose cost starts at that of the front.

    Returns
    -------
    The legs, the fronts with the labels of the new routes, and whether the search ended before
    `limit` steps.
    """
    legs = front_legs(fronts, targets.size, sources.size, needed, terms)
    open_ends = np.empty((2, terms.row.size), dtype=np.bool_)
    grown, finished = _elementary_legs(
        star, time, energy, fronts, sources, targets, needed, terms, limit, legs, open_ends
    )
    return legs, grown, finished


@compiled
def _elementary_legs(
    star: Star,
    time: FloatArray,
    energy: FloatArray,
    fronts: Fronts,
    sources: IntArray,
    targets: IntArray,
    needed: BoolArray,
    terms: Terms,
    limit: int,
    legs: Legs,
    open_ends: BoolArray,
) -> tuple[Fronts, bool]:
    rows, width, stations, nodes = sources.size, targets.size, terms.row.size, star.through.size
    before, by = fronts.before, fronts.by
    labels = before.size
    # stations of each node, linked
    first_at, next_at = np.full(nodes, -1, dtype=np.int64), np.full(stations, -1, dtype=np.int64)
    for s in range(stations):
        node = targets[terms.column[s]]
        next_at[s], first_at[node] = first_at[node], s
    # the route from the source; `name` is the label of a node on it, -1 if it has none yet
    node_at, arc_at = ints(nodes), ints(nodes)
    name, branch = ints(nodes), ints(nodes)
    time_at, energy_at = floats(nodes), floats(nodes)
    visited = np.zeros(nodes, dtype=np.bool_)
    steps = 0
    for position in range(rows + 2 * stations):
        if position < rows and not needed[position]:
            continue
        level, row = _level(terms, rows, position), _row(terms, rows, position)
        source = sources[row]
        budget = level - terms.reserve + terms.tolerance
        for kind in range(2):
            for s in range(stations):
                # the last entry of a front needs the least energy
                end = fronts.start[row * width + terms.column[s] + 1]
                open_ends[kind, s] = (
                    terms.allowed[kind, s]
                    and (kind == CHARGE or position < rows + stations)
                    and targets[terms.column[s]] != source
                    and end > fronts.start[row * width + terms.column[s]]
                    and fronts.energy[end - 1] <= budget
                )
        depth = 0
        node_at[0], arc_at[0], name[0], time_at[0], energy_at[0] = source, -1, -1, 0.0, 0.0
        branch[0] = star.out_start[source]
        visited[source] = True
        while depth >= 0:
            node = node_at[depth]
            go_on = False
            while branch[depth] < star.out_start[node + 1]:
                k = branch[depth]
                branch[depth] += 1
                head, used = star.head[k], energy_at[depth] + energy[k]
                if visited[head] or used > budget:
                    continue
                steps += 1
                if steps > limit:
                    return fronts, False
                go_on = True
                break
            if not go_on:
                visited[node] = False
                depth -= 1
                continue
            now = time_at[depth] + time[k]
            depth += 1
            node_at[depth], arc_at[depth], name[depth] = head, star.arc[k], -1
            time_at[depth], energy_at[depth] = now, used
            visited[head] = True
            s = first_at[head]
            while s >= 0:
                for kind in range(2):
                    if not open_ends[kind, s]:
                        continue
                    offset, sign = _amount(terms, kind, level)
                    amount = offset + sign * used
                    cost = terms.value_of_time * now + terms.unit[kind, s] * amount
                    cost += terms.delay[kind, s]
                    if amount <= terms.tolerance or cost >= legs.cost[kind, position, s]:
                        continue
                    for i in range(depth + 1):
                        if name[i] < 0:
                            if labels == before.size:
                                before, by = longer(before), longer(by)
                            before[labels] = name[i - 1] if i else -1
                            by[labels] = arc_at[i]
                            name[i] = labels
                            labels += 1
                    legs.cost[kind, position, s] = cost
                    legs.energy[kind, position, s] = used
                    legs.label[kind, position, s] = name[depth]
                s = next_at[s]
            # leave the node only where some end could still become cheaper
            branch[depth] = star.out_start[head + 1]
            if not star.through[head]:
                continue
            for kind in range(2):
                offset, sign = _amount(terms, kind, level)
                for s in range(stations):
                    if not open_ends[kind, s]:
                        continue
                    most = used if terms.unit[kind, s] * sign >= 0.0 else budget
                    bound = terms.value_of_time * now + terms.delay[kind, s]
                    bound += terms.unit[kind, s] * (offset + sign * most)
                    if bound < legs.cost[kind, position, s]:
                        branch[depth] = star.out_start[head]
    grown = Fronts(fronts.start, fronts.time, fronts.energy, fronts.label, before, by)
    return grown, True


def compose(
    fronts: Fronts,
    width: int,
    legs: Legs,
    needed: BoolArray,
    terms: Terms,
    od_row: IntArray,
    od_column: IntArray,
) -> tuple[FloatArray, IntArray]:
    """Cheapest composition of at most three legs for every OD pair; of equal ones fewest stops.

    Returns
    -------
    (od,) cost in $, and (od, 2) positions after the first and the second stop, -1 where there is
    none; of a path with one stop the second.
    """
    rows, stations = needed.size, terms.row.size
    # cheapest way to leave a position with a stop, and the position before it (-1: departure)
    way = np.full((rows, 2 * stations), np.inf)
    came = np.full((rows, 2 * stations), -1, dtype=np.int64)
    last = np.empty((width, 2 * stations))
    cost = np.empty(od_row.size)
    positions = np.full((od_row.size, 2), -1, dtype=np.int64)
    _compose(
        fronts, width, legs, needed, terms, od_row, od_column, way, came, last, cost, positions
    )
    return cost, positions


@compiled
def _compose(
    fronts: Fronts,
    width: int,
    legs: Legs,
    needed: BoolArray,
    terms: Terms,
    od_row: IntArray,
    od_column: IntArray,
    way: FloatArray,
    came: IntArray,
    last: FloatArray,
    cost: FloatArray,
    positions: IntArray,
) -> None:
    rows, stations = needed.size, terms.row.size
    charge, sell = legs.cost[CHARGE], legs.cost[SELL]
    for row in range(rows):
        if not needed[row]:
            continue
        for t in range(stations):
            way[row, t] = charge[row, t]
            way[row, stations + t] = sell[row, t]
        for s in range(stations):
            charged, sold = charge[row, s], sell[row, s]
            full, low = rows + s, rows + stations + s
            for t in range(stations):
                if t == s:
                    continue
                if charged + charge[full, t] < way[row, t]:
                    way[row, t] = charged + charge[full, t]
                    came[row, t] = full
                if sold + charge[low, t] < way[row, t]:
                    way[row, t] = sold + charge[low, t]
                    came[row, t] = low
                if charged + sell[full, t] < way[row, stations + t]:
                    way[row, stations + t] = charged + sell[full, t]
                    came[row, stations + t] = full
    # least cost of the last legs, with the energy missing on arrival
    start, time, energy = fronts.start, fronts.time, fronts.energy
    value_of_time, energy_value, departure = terms.value_of_time, terms.energy_value, terms.start
    for i in range(2 * stations):
        level = _level(terms, 0, i)
        budget, missing = level - terms.reserve + terms.tolerance, departure - level
        front = _row(terms, 0, i) * width
        for column in range(width):
            last[column, i] = _cheapest(
                time,
                energy,
                start[front + column],
                start[front + column + 1],
                value_of_time,
                energy_value,
                missing,
                1.0,
                -np.inf,
                budget,
            )[0]
    budget = departure - terms.reserve + terms.tolerance
    for w in range(od_row.size):
        row, column = od_row[w], od_column[w]
        front = row * width + column
        best = _cheapest(
            time,
            energy,
            start[front],
            start[front + 1],
            value_of_time,
            energy_value,
            0.0,
            1.0,
            -np.inf,
            budget,
        )[0]
        chosen, stops = -1, 0
        for i in range(2 * stations):
            total = way[row, i] + last[column, i]
            if total <= best and total < np.inf:
                more = 1 if came[row, i] < 0 else 2
                if total < best or more < stops:
                    best, chosen, stops = total, i, more
        cost[w] = best
        if chosen >= 0:
            positions[w, 0], positions[w, 1] = came[row, chosen], rows + chosen


def trace(
    fronts: Fronts,
    width: int,
    legs: Legs,
    terms: Terms,
    od_row: IntArray,
    od_column: IntArray,
    positions: IntArray,
) -> Traced:
    """Arcs and energies of the paths that `compose` found; one OD pair per row."""
    paths = od_row.size
    start, energy = np.zeros((paths, 4), dtype=np.int64), np.zeros((paths, 3))
    arc = _trace(fronts, width, legs, terms, od_row, od_column, positions, start, energy)
    return Traced(start, arc, energy)


@compiled
def _trace(
    fronts: Fronts,
    width: int,
    legs: Legs,
    terms: Terms,
    od_row: IntArray,
    od_column: IntArray,
    positions: IntArray,
    start: IntArray,
    energy: FloatArray,
) -> IntArray:
    stations, paths = terms.row.size, od_row.size
    rows = legs.cost.shape[1] - 2 * stations
    arc = ints(max(16 * paths, 16))
    size = 0
    for w in range(paths):
        here = od_row[w]
        start[w, 0] = size
        leg = 0
        for i in range(3):
            if i < 2:
                to = positions[w, i]
                if to < 0:
                    continue
                kind = CHARGE if to < rows + stations else SELL
                s = (to - rows) % stations
                label, energy[w, leg] = legs.label[kind, here, s], legs.energy[kind, here, s]
                here = to
            else:
                level = _level(terms, rows, here)
                front = _row(terms, rows, here) * width + od_column[w]
                entry = _cheapest(
                    fronts.time,
                    fronts.energy,
                    fronts.start[front],
                    fronts.start[front + 1],
                    terms.value_of_time,
                    terms.energy_value,
                    terms.start - level,
                    1.0,
                    -np.inf,
                    level - terms.reserve + terms.tolerance,
                )[1]
                label, energy[w, leg] = fronts.label[entry], fronts.energy[entry]
            begin = size
            while fronts.by[label] >= 0:
                if size == arc.size:
                    arc = longer(arc)
                arc[size] = fronts.by[label]
                size += 1
                label = fronts.before[label]
            for k in range((size - begin) // 2):
                other = size - 1 - k
                arc[begin + k], arc[other] = arc[other], arc[begin + k]
            leg += 1
            for k in range(leg, 4):
                start[w, k] = size
    return arc
