"""Cheapest paths at given prices, over all routes: exact pricing for column generation.

Every stop leaves the battery at B or B_dis, so a path falls into independent legs (model.md, 2,
table of legs). A leg costs omega * time + weight * energy + constant under an energy budget, where
the time is generalised: tolls count at the class's value of time. While its weight is not
negative, its cheapest route lies on the Pareto front of (time, energy); the fronts depend on times
only and serve for any prices. Legs are then joined to the six stop patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, V2GError
from v2geq.roads.graph import Graph
from v2geq.roads.kernels.shortest import shortest_trees, trace_routes
from v2geq.trips.battery import CHARGE, DISCHARGE, EnergyRules, Wear
from v2geq.trips.costs import Rates
from v2geq.trips.fronts import LegFronts, checked_times, numbered
from v2geq.trips.kernels.labels import Fronts
from v2geq.trips.kernels.legs import Legs, Terms, compose, elementary_legs, front_legs, trace
from v2geq.trips.paths import Path, Stop

#: most steps of the enumeration that replaces the fronts where a charge weight is negative
ELEMENTARY_LIMIT = 1_000_000


def price_paths(
    graph: Graph,
    rules: EnergyRules,
    times_h: FloatArray,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
    rates: Rates,
    *,
    fronts: LegFronts | None = None,
    below: FloatArray | None = None,
) -> tuple[FloatArray, list[Path]]:
    """Cheapest energy-feasible path of every OD pair, over all routes and stops.

    The cost is C_p of model.md, 2. The legs of the table there are joined to the patterns none, C,
    CC and, with V2G, D, CD, DC; of equal costs the path with fewer stops is taken. A path may
    revisit a node on different legs, and a leg may end at a station whose node is not `through`.

    Charge weights rho+ + omega / Pbar are usually positive; then it never pays to discharge at a
    station with m = rho- - kdeg - omega / Pbar <= 0, which is skipped, unless its node may not be
    passed: there a stop lets the vehicle through. If a charge weight is negative more energy is
    better and no front helps, nor where such a node is reached without using energy, with nothing
    to charge: legs to stations are then searched among all elementary routes within range
    (elementary within the leg, else a driver paid for charging would circle), at most
    `ELEMENTARY_LIMIT` steps; legs to the destination still come from the fronts, as vB >= 0.

    Parameters
    ----------
    times_h
        (arc,) generalised times in h.
    od_pairs
        (od, 2) node positions of origin and destination.
    station_node
        (station,) node positions.
    rates
        What the class pays.
    fronts
        Fronts of the same travel times, OD pairs and stations (`LegFronts.for_pairs`) when only
        prices have changed; built here if left out.
    below
        (od,) build a path only where the cost is below this value; all costs are returned.

    Returns
    -------
    (od,) costs in $ per trip, inf where no path is feasible, and the cheapest paths, one for each
    OD pair that has one.

    Raises
    ------
    DataError
        For prices, times or waits that are not finite or have a sign that is not allowed.
    V2GError
        If the enumeration for negative charge weights reaches its limit.
    """
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    stations = np.asarray(station_node, dtype=np.int64)
    if fronts is None:
        fronts = LegFronts.for_pairs(graph, rules, times_h, pairs, stations)
    elif not fronts.serves(graph, rules) or not np.array_equal(fronts.times_h, times_h):
        raise ValueError("the leg fronts belong to other travel times or another battery")
    terms = _terms(rules, fronts, stations, rates)
    od_row, od_column = fronts.rows(pairs[:, 0]), fronts.columns(pairs[:, 1])
    width = fronts.targets.size
    needed = np.zeros(fronts.sources.size, dtype=np.bool_)
    needed[od_row] = True
    labelled = fronts.fronts
    closed = np.flatnonzero(~graph.through[stations])
    # a leg of no energy is on every front, but leaves a full battery nothing to charge
    every_leg = bool((terms.unit[0] < 0).any()) or _reached_for_nothing(fronts, terms, closed)
    losses: list[int] = []
    wear = None if rates.discharge_price is None else rates.wear
    if wear is not None:
        terms.allowed[1] = False
    elif rates.discharge_price is not None and not every_leg:
        losses = closed[~terms.allowed[1, closed]].tolist()
        if losses and not _sales_could_help(fronts, terms, losses, needed, od_row, od_column):
            losses = []
    shifted = [_times_with_energy(fronts, terms, s) for s in losses]
    if every_leg or any((t < 0).any() for t in shifted):
        terms.allowed[1] = rates.discharge_price is not None and wear is None
        legs, labelled, finished = elementary_legs(
            fronts.star,
            fronts.step_time_h,
            fronts.step_energy_kwh,
            labelled,
            fronts.sources,
            fronts.targets,
            needed,
            terms,
            ELEMENTARY_LIMIT,
        )
        if not finished:
            why = (
                "a station's charging price is so low that charging pays for the time it takes"
                if (terms.unit[0] < 0).any()
                else "a station is at a node that only vehicles that stop may pass, and a stop "
                "for that reason alone may pay"
            )
            raise V2GError(
                f"{why}, and more than {ELEMENTARY_LIMIT} routes are within the battery's range: "
                "the cheapest path cannot be found. Check for negative charging prices "
                "(generators with a minimum output, tight station limits), move such stations to "
                "nodes that may be passed, or use the path method 'enumerate'"
            )
    else:
        legs = front_legs(labelled, width, needed.size, needed, terms)
        for s, times in zip(losses, shifted, strict=True):
            labelled = _sell_at_a_loss(fronts, labelled, legs, needed, terms, s, times)
    if wear is not None:
        labelled = _sell_with_wear(fronts, labelled, legs, needed, terms, wear)
    cost, positions = compose(labelled, width, legs, needed, terms, od_row, od_column)

    wanted = np.flatnonzero(np.isfinite(cost) if below is None else cost < below)
    if not wanted.size:
        return cost, []
    positions = positions[wanted]
    traced = trace(labelled, width, legs, terms, od_row[wanted], od_column[wanted], positions)
    arc = traced.arc[: traced.start[-1, -1]].tolist()
    start, energy = traced.start.tolist(), traced.energy.tolist()
    paths = []
    for i, (w, visited) in enumerate(zip(wanted.tolist(), positions.tolist(), strict=True)):
        # positions of a full battery come first, then those of a low one
        halts = [divmod(p - needed.size, stations.size) for p in visited if p >= 0]
        kinds = [DISCHARGE if low else CHARGE for low, _ in halts]
        run = rules.simulate(energy[i][: len(halts) + 1], kinds)
        if run is None:
            raise V2GError(
                f"pricing found a path that breaks the battery rules, OD pair "
                f"{graph.nodes[pairs[w, 0]]} -> {graph.nodes[pairs[w, 1]]}, "
                f"stops {list(zip(halts, kinds, strict=True))}: report it"
            )
        amounts, arrival = run
        first = start[i][0]
        stops = tuple(
            Stop(s, kind, start[i][leg] - first, amount)
            for leg, ((_, s), kind, amount) in enumerate(zip(halts, kinds, amounts, strict=True), 1)
        )
        paths.append(Path(w, tuple(arc[first : start[i][3]]), stops, arrival))
    return cost, paths


def _reached_for_nothing(fronts: LegFronts, terms: Terms, closed: IntArray) -> bool:
    """Whether a route without energy leads to one of the stations `closed` from another node."""
    if not closed.size:
        return False
    table, rows = fronts.fronts, np.arange(fronts.sources.size)[:, None]
    columns = terms.column[closed]
    front = rows * fronts.targets.size + columns
    begin, end = table.start[front], table.start[front + 1]
    there = (end > begin) & (fronts.sources[:, None] != fronts.targets[columns])
    # the last entry of a front needs the least energy
    return bool((table.energy[end[there] - 1] <= terms.tolerance).any())


def _sales_could_help(
    fronts: LegFronts,
    terms: Terms,
    losses: list[int],
    needed: BoolArray,
    od_row: IntArray,
    od_column: IntArray,
) -> bool:
    """Whether any trip would be cheaper if sales at the stations `losses` cost nothing.

    They cost something, so where this does not help nothing does, and the search for how much
    energy to use before such a sale is spared: seldom is it worth a stop to pass a node.
    """
    free = terms._replace(unit=terms.unit.copy(), allowed=terms.allowed.copy())
    free.unit[1, losses], free.allowed[1, losses] = 0.0, True
    cost, hope = (
        compose(
            fronts.fronts,
            fronts.targets.size,
            front_legs(fronts.fronts, fronts.targets.size, needed.size, needed, some),
            needed,
            some,
            od_row,
            od_column,
        )[0]
        for some in (terms, free)
    )
    return bool((hope < cost).any())


def _times_with_energy(fronts: LegFronts, terms: Terms, s: int) -> FloatArray:
    """(arc,) time and the value of energy used on the way to a sale at station `s`, in hours."""
    use = fronts.rules.consumption * fronts.graph.length_km
    hours: FloatArray = fronts.times_h - terms.unit[1, s] / terms.value_of_time * use
    return hours


def _sell_at_a_loss(
    fronts: LegFronts,
    labelled: Fronts,
    legs: Legs,
    needed: BoolArray,
    terms: Terms,
    s: int,
    times_h: FloatArray,
) -> Fronts:
    """Legs to a sale that earns less than it costs, at a station whose node may not be passed.

    Elsewhere nobody sells at a loss; there a stop lets a vehicle through. Energy used on the way
    need not be sold, so its weight is negative; with it in the times, zero or more, fronts of
    (cost, energy) give the cheapest leg again. Fills `legs`; returns the labels with the new ones.
    """
    own = LegFronts(
        fronts.graph, fronts.rules, times_h, fronts.sources, fronts.targets[terms.column[s : s + 1]]
    ).fronts
    for position in range(needed.size + terms.row.size):
        row = position if position < needed.size else int(terms.row[position - needed.size])
        if position < needed.size and not needed[position]:
            continue
        level = terms.start if position < needed.size else terms.battery
        surplus = level - terms.low
        for k in range(own.start[row], own.start[row + 1]):
            used = own.energy[k]
            in_reach = used <= level - terms.reserve + terms.tolerance
            if in_reach and surplus - used > terms.tolerance:
                cost = terms.value_of_time * own.time[k] + terms.unit[1, s] * surplus
                legs.cost[1, position, s] = cost + terms.delay[1, s]
                legs.energy[1, position, s] = used
                legs.label[1, position, s] = own.label[k] + labelled.before.size
                break
    return _with_labels(labelled, own)


def _sell_with_wear(
    fronts: LegFronts,
    labelled: Fronts,
    legs: Legs,
    needed: BoolArray,
    terms: Terms,
    wear: Wear,
) -> Fronts:
    """Legs to sales whose wear is a convex function of the energy sold.

    What a sale costs by the energy used on the way falls nowhere faster than with the last kWh of
    the deepest sale. With that slope in the times, zero or more, the rest rises with the energy, so
    fronts of (cost, energy) hold the cheapest leg. Where even the first kWh costs something nobody
    sells, but to pass a node. Fills `legs`; returns the labels with the new ones.
    """
    rows, omega, per_kwh = needed.size, terms.value_of_time, terms.unit[1]
    first, last = (float(wear.first(np.array([x]))[0]) for x in (0.0, terms.battery - terms.low))
    closed = ~fronts.graph.through[fronts.targets[terms.column]]
    never = (per_kwh + first >= 0.0) & ~closed & bool((terms.unit[0] >= 0.0).all())
    use = fronts.rules.consumption * fronts.graph.length_km
    for s in np.flatnonzero(~never).tolist():
        slope = max(per_kwh[s] + last, 0.0)
        own, column, width, shift = labelled, int(terms.column[s]), fronts.targets.size, 0
        if slope > 0.0:
            times = fronts.times_h - slope / omega * use
            if (times < 0.0).any():
                raise V2GError(
                    f"battery wear rises so steeply, to {last:.4g} per kWh, that detours would pay "
                    "for themselves by selling less: the cheapest path cannot be found; use a "
                    "flatter formula for wear, or paths.method = 'enumerate'"
                )
            target = fronts.targets[column : column + 1]
            own = LegFronts(fronts.graph, fronts.rules, times, fronts.sources, target).fronts
            column, width, shift = 0, 1, labelled.before.size
        for level, begin in ((terms.start, 0), (terms.battery, rows)):
            # a leg from every source at this level: rows at departure, stations with full batteries
            row = np.arange(rows) if begin == 0 else terms.row
            wanted = np.flatnonzero(needed) if begin == 0 else np.arange(row.size)
            front = row[wanted] * width + column
            size = own.start[front + 1] - own.start[front]
            place = np.repeat(np.arange(wanted.size), size)
            entry = np.arange(size.sum()) + np.repeat(
                own.start[front] - np.cumsum(size) + size, size
            )
            used = own.energy[entry]
            amount = level - terms.low - used
            good = (used <= level - terms.reserve + terms.tolerance) & (amount > terms.tolerance)
            place, entry, used, amount = place[good], entry[good], used[good], amount[good]
            cost = omega * own.time[entry] + per_kwh[s] * amount + wear.value(amount)
            cost = cost + slope * used + terms.delay[1, s]
            order = np.lexsort((cost, place))
            best = order[np.r_[True, np.diff(place[order]) > 0]] if order.size else order
            at = begin + wanted[place[best]]
            legs.cost[1, at, s], legs.energy[1, at, s] = cost[best], used[best]
            legs.label[1, at, s] = own.label[entry[best]] + shift
        if shift:
            labelled = _with_labels(labelled, own)
    return labelled


def _with_labels(labelled: Fronts, own: Fronts) -> Fronts:
    """The fronts with the labels of others behind their own."""
    before = np.where(own.before >= 0, own.before + labelled.before.size, -1)
    return labelled._replace(
        before=np.concatenate((labelled.before, before)),
        by=np.concatenate((labelled.by, own.by)),
    )


def _terms(rules: EnergyRules, fronts: LegFronts, station_node: IntArray, rates: Rates) -> Terms:
    """Battery and prices as the compiled kernels take them, checked; see `price_paths`."""
    size = station_node.size
    if not 0 < rates.value_of_time < np.inf or not 0 <= rates.energy_value < np.inf:
        raise DataError(
            f"value of time {rates.value_of_time} per h, energy value {rates.energy_value} per kWh",
            advice="the first must be positive, the second zero or more",
        )
    power = np.asarray(rates.charger_power, dtype=np.float64)
    if power.shape != (size,) or not (power > 0).all():
        raise DataError(
            f"charger power {power.tolist()} kW of {size} stations",
            advice="give one positive number for each station",
        )
    _check("charge_price", rates.charge_price, size)
    _check("charge_wait_h", rates.charge_wait_h, size, nonnegative=True)
    _check("discharge_wait_h", rates.discharge_wait_h, size, nonnegative=True)
    unit, allowed = np.zeros((2, size)), np.ones((2, size), dtype=np.bool_)
    unit[0] = rates.per_kwh_charged
    if rates.discharge_price is None:
        allowed[1] = False
    else:
        _check("discharge_price", rates.discharge_price, size)
        unit[1] = rates.per_kwh_discharged
        if (unit[0] >= 0).all():
            allowed[1] = unit[1] < 0
    return Terms(
        float(rates.value_of_time),
        float(rates.energy_value),
        float(rules.start),
        float(rules.battery),
        float(rules.low),
        float(rules.reserve),
        rules.tolerance,
        fronts.rows(station_node),
        fronts.columns(station_node),
        np.stack([rates.per_charge, rates.per_discharge]),
        unit,
        allowed,
    )


def _check(what: str, values: FloatArray, size: int, *, nonnegative: bool = False) -> None:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ValueError(f"{what} of shape {array.shape} for {size} stations")
    bad = ~np.isfinite(array) | (array < (0 if nonnegative else -np.inf))
    if bad.any():
        station = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{what} of station {station} (position) is {array[station]}",
            advice="give finite numbers" + (", zero or more" if nonnegative else ""),
        )


def shortest_routes(
    graph: Graph,
    times_h: FloatArray,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    *,
    below: FloatArray | None = None,
) -> tuple[FloatArray, list[Path]]:
    """Fastest route of every OD pair, for fuel vehicles.

    Parameters
    ----------
    times_h
        (arc,) travel times in h, zero or more.
    od_pairs
        (od, 2) node positions of origin and destination.
    below
        (od,) build a path only where the time is below this value.

    Returns
    -------
    (od,) travel times in h, inf where there is no route, and the routes as paths without stops,
    one for each OD pair that has one.

    Raises
    ------
    DataError
        If a travel time is negative or not finite.
    """
    times = checked_times(graph, times_h)
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    star = graph.star
    origins, row_of = numbered(pairs[:, 0], len(graph.nodes))
    distance, by = shortest_trees(star, times[star.arc], origins)
    row = row_of[pairs[:, 0]]
    time: FloatArray = distance[row, pairs[:, 1]]
    wanted = np.flatnonzero(np.isfinite(time) if below is None else time < below)
    start, arc = trace_routes(star, by, row[wanted], pairs[wanted, 1])
    bounds, arcs = start.tolist(), arc[: start[-1]].tolist()
    paths = [
        Path(w, tuple(arcs[i:j]), (), 0.0)
        for w, (i, j) in zip(wanted.tolist(), pairwise(bounds), strict=True)
    ]
    return time, paths
