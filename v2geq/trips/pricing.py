"""Cheapest paths at given prices, over all routes: exact pricing for column generation.

Every stop leaves the battery at B or B_dis, so a path falls into independent legs (model.md, 2,
table of legs). A leg costs omega * time + weight * energy + constant under an energy budget, where
the time is generalised: tolls count at the class's value of time. While its weight is not
negative, its cheapest route lies on the Pareto front of (time, energy); the fronts depend on times
only and serve for any prices. Legs are then joined to the six stop patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import pairwise

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, V2GError
from v2geq.roads.graph import Graph
from v2geq.roads.kernels.shortest import shortest_trees, trace_routes
from v2geq.trips.kernels.labels import Fronts, label_setting
from v2geq.trips.kernels.legs import Legs, Terms, compose, elementary_legs, front_legs, trace
from v2geq.trips.paths import CHARGE, DISCHARGE, EnergyRules, Path, Stop

#: most steps of the enumeration that replaces the fronts where a charge weight is negative
ELEMENTARY_LIMIT = 1_000_000
#: energies closer than this share of the battery count as equal on a front: it keeps rounding
#: from filling fronts with copies, far below the slack of the budgets
_FRONT_TOLERANCE = 1e-12


class LegFronts:
    """Pareto fronts of (time, energy) of all legs, for one vector of travel times.

    One label setting per source. Routes do not pass nodes that are not `through`; they may start
    or end there.

    Parameters
    ----------
    graph, rules
        Road graph and battery of the class; the budget of every label is R = (1 - alpha) B. The
        front for a lower budget is the part of it that keeps that budget, so the fronts serve for
        any level at departure and after a discharge.
    times_h
        (arc,) generalised times in h, zero or more.
    sources, targets
        Node positions where legs may start and end (doubles are dropped).

    Attributes
    ----------
    fronts
        All fronts by (source, target), see `v2geq.trips.kernels.labels.Fronts`.
    star, step_time_h, step_energy_kwh
        The graph with its arcs sorted by tail, and (arc,) time and energy in that order.

    Raises
    ------
    DataError
        If a travel time is negative or not finite.
    """

    def __init__(
        self,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        sources: IntArray,
        targets: IntArray,
    ) -> None:
        self.graph, self.rules = graph, rules
        self.sources, self._row = _numbered(sources, len(graph.nodes))
        self.targets, self._column = _numbered(targets, len(graph.nodes))
        self.star = graph.star
        self.step_energy_kwh = (rules.consumption * graph.length_km)[self.star.arc]
        self._label(times_h)

    @classmethod
    def for_pairs(
        cls,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        od_pairs: Sequence[tuple[int, int]] | IntArray,
        station_node: IntArray,
    ) -> LegFronts:
        """Fronts that `price_paths` needs: origins and stations to stations and destinations."""
        pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
        nodes = np.asarray(station_node, dtype=np.int64)
        return cls(
            graph,
            rules,
            times_h,
            np.concatenate((pairs[:, 0], nodes)),
            np.concatenate((pairs[:, 1], nodes)),
        )

    def at(self, times_h: FloatArray) -> LegFronts:
        """Fronts of the same legs for other travel times; these themselves where none changed."""
        if np.array_equal(self.times_h, times_h):
            return self
        other = copy(self)
        other._label(times_h)
        return other

    def serves(self, graph: Graph, rules: EnergyRules) -> bool:
        """Whether the fronts are those of this graph, and of a battery of these budgets."""
        own = self.rules
        return graph is self.graph and (own.battery, own.reserve, own.consumption) == (
            rules.battery,
            rules.reserve,
            rules.consumption,
        )

    def rows(self, nodes: IntArray) -> IntArray:
        """Positions of source nodes; raises ValueError for a node that is no source."""
        rows: IntArray = self._row[nodes]
        if rows.size and rows.min() < 0:
            raise ValueError("the leg fronts lack a source node; build them with for_pairs")
        return rows

    def columns(self, nodes: IntArray) -> IntArray:
        """Positions of target nodes; raises ValueError for a node that is no target."""
        columns: IntArray = self._column[nodes]
        if columns.size and columns.min() < 0:
            raise ValueError("the leg fronts lack a target node; build them with for_pairs")
        return columns

    def _label(self, times_h: FloatArray) -> None:
        self.times_h = _checked_times(self.graph, times_h)
        self.step_time_h = self.times_h[self.star.arc]
        self.fronts: Fronts = label_setting(
            self.star,
            self.step_time_h,
            self.step_energy_kwh,
            self.sources,
            self._column,
            self.targets.size,
            self.rules.full_budget + self.rules.tolerance,
            _FRONT_TOLERANCE * self.rules.battery,
        )


def _numbered(nodes: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The nodes without doubles, and (node,) their positions among these, -1 elsewhere."""
    number = np.full(count, -1, dtype=np.int64)
    number[nodes] = 0
    kept = np.flatnonzero(number == 0)
    number[kept] = np.arange(kept.size)
    return kept, number


def _checked_times(graph: Graph, times_h: FloatArray) -> FloatArray:
    """Copy of (arc,) travel times; raises `DataError` where one is negative or not finite."""
    times = np.array(times_h, dtype=np.float64)
    if times.shape != (len(graph.arcs),):
        raise ValueError(f"travel times of shape {times.shape} for {len(graph.arcs)} arcs")
    good = np.isfinite(times) & (times >= 0)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"travel time of arc {graph.arcs[bad]!r} is {times[bad]} h",
            advice="times must be finite and not negative; check flows and capacities",
        )
    return times


def price_paths(
    graph: Graph,
    rules: EnergyRules,
    times_h: FloatArray,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
    *,
    value_of_time: float,
    charge_wait_h: FloatArray,
    discharge_wait_h: FloatArray,
    charge_price: FloatArray,
    discharge_price: FloatArray | None,
    charger_power: FloatArray,
    degradation: float,
    energy_value: float,
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
    value_of_time
        omega, $/h.
    charge_wait_h, discharge_wait_h
        (station,) waiting times before charging and before discharging in h, zero or more.
    charge_price, discharge_price
        (station,) rho+ and rho-, $/kWh; None for no V2G.
    charger_power
        (station,) Pbar in kW, positive; inf where plugging in takes no time.
    degradation
        kdeg, $ per kWh discharged.
    energy_value
        vB, $/kWh, zero or more.
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
    terms = _terms(
        rules,
        fronts,
        stations,
        value_of_time=value_of_time,
        wait_h=(charge_wait_h, discharge_wait_h),
        charge_price=charge_price,
        discharge_price=discharge_price,
        charger_power=charger_power,
        degradation=degradation,
        energy_value=energy_value,
    )
    od_row, od_column = fronts.rows(pairs[:, 0]), fronts.columns(pairs[:, 1])
    width = fronts.targets.size
    needed = np.zeros(fronts.sources.size, dtype=np.bool_)
    needed[od_row] = True
    labelled = fronts.fronts
    closed = np.flatnonzero(~graph.through[stations])
    # a leg of no energy is on every front, but leaves a full battery nothing to charge
    every_leg = bool((terms.unit[0] < 0).any()) or _reached_for_nothing(fronts, terms, closed)
    losses: list[int] = []
    if discharge_price is not None and not every_leg:
        losses = closed[~terms.allowed[1, closed]].tolist()
        if losses and not _sales_could_help(fronts, terms, losses, needed, od_row, od_column):
            losses = []
    shifted = [_times_with_energy(fronts, terms, s) for s in losses]
    if every_leg or any((t < 0).any() for t in shifted):
        terms.allowed[1] = discharge_price is not None
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
    cost, positions = compose(labelled, width, legs, needed, terms, od_row, od_column)

    wanted = np.flatnonzero(np.isfinite(cost) if below is None else cost < below)
    if not wanted.size:
        return cost, []
    positions = positions[wanted]
    traced = trace(labelled, width, legs, terms, od_row[wanted], od_column[wanted], positions)
    arc, start, energy = (
        traced.arc[: traced.start[-1, -1]].tolist(),
        traced.start.tolist(),
        traced.energy.tolist(),
    )
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
    before = np.where(own.before >= 0, own.before + labelled.before.size, -1)
    return labelled._replace(
        before=np.concatenate((labelled.before, before)),
        by=np.concatenate((labelled.by, own.by)),
    )


def _terms(
    rules: EnergyRules,
    fronts: LegFronts,
    station_node: IntArray,
    *,
    value_of_time: float,
    wait_h: tuple[FloatArray, FloatArray],
    charge_price: FloatArray,
    discharge_price: FloatArray | None,
    charger_power: FloatArray,
    degradation: float,
    energy_value: float,
) -> Terms:
    """Battery and prices as the compiled kernels take them, checked; see `price_paths`."""
    size = station_node.size
    if not 0 < value_of_time < np.inf or not 0 <= energy_value < np.inf:
        raise DataError(
            f"value of time {value_of_time} $/h, energy value {energy_value} $/kWh",
            advice="the first must be positive, the second zero or more",
        )
    power = np.asarray(charger_power, dtype=np.float64)
    if power.shape != (size,) or not (power > 0).all():
        raise DataError(
            f"charger power {power.tolist()} kW of {size} stations",
            advice="give one positive number for each station",
        )
    plug = value_of_time / power  # $/kWh
    unit = np.empty((2, size))
    unit[0] = _checked("charge_price", charge_price, size) + plug
    allowed = np.ones((2, size), dtype=np.bool_)
    if discharge_price is None:
        unit[1] = allowed[1] = 0
    else:
        unit[1] = degradation + plug - _checked("discharge_price", discharge_price, size)
        if (unit[0] >= 0).all():
            allowed[1] = unit[1] < 0
    delay = np.empty((2, size))
    for row, what, hours in zip(delay, ("charge_wait_h", "discharge_wait_h"), wait_h, strict=True):
        row[:] = _checked(what, hours, size, nonnegative=True)
    delay *= value_of_time
    return Terms(
        float(value_of_time),
        float(energy_value),
        float(rules.start),
        float(rules.battery),
        float(rules.low),
        float(rules.reserve),
        rules.tolerance,
        fronts.rows(station_node),
        fronts.columns(station_node),
        delay,
        unit,
        allowed,
    )


def _checked(what: str, values: FloatArray, size: int, *, nonnegative: bool = False) -> FloatArray:
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
    return array


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
    times = _checked_times(graph, times_h)
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    star = graph.star
    origins, row_of = _numbered(pairs[:, 0], len(graph.nodes))
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
