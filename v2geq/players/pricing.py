"""Cheapest paths at given prices, over all routes: exact pricing for column generation.

Every stop leaves the battery at B or B_dis, so a path falls into independent legs (section 2, table
of legs). A leg costs omega * time + weight * energy + constant under an energy budget. While its
weight is not negative, its cheapest route lies on the Pareto front of (time, energy); the fronts
depend on travel times only and serve for any prices. Legs are then joined to the six stop patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, V2GError
from v2geq.players.paths import (
    CHARGE,
    DISCHARGE,
    EnergyRules,
    Path,
    make_path,
)
from v2geq.roads.graph import Graph, shortest_tree

#: most steps of the enumeration that replaces the fronts where a charge weight is negative
ELEMENTARY_LIMIT = 1_000_000
#: energies closer than this share of the battery count as equal on a front: it keeps rounding
#: from filling fronts with copies, far below the slack of the budgets
_FRONT_TOLERANCE = 1e-12


class LegFronts:
    """Pareto fronts of (time, energy) of all legs, for one vector of travel times.

    One label setting per source. Labels leave the heap in order of time, so a label is on the
    front of its node exactly if it needs less energy than every label before it. Routes do not
    pass nodes that are not `through`; they may start or end there.

    Parameters
    ----------
    graph, rules
        Road graph and battery of the class; the budget of every label is R = (1 - alpha) B. The
        front for the low budget is the part of it that keeps the lower budget.
    times_h
        (arc,) travel times in h, zero or more.
    sources, targets
        Node positions where legs may start and end (doubles are dropped).

    Attributes
    ----------
    time_h, energy_kwh
        (source, target, label) by increasing time and decreasing energy; unused labels have
        infinite time.
    steps
        Arcs that leave each node: head, time in h, energy in kWh, arc.
    label_count
        (source, target) labels on the front; 0 where the target is out of reach.

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
        self.times_h = _checked_times(graph, times_h)
        self.graph, self.rules = graph, rules
        self.sources, self.targets = np.unique(sources), np.unique(targets)
        self._row = np.full(len(graph.nodes), -1, dtype=np.int64)
        self._row[self.sources] = np.arange(self.sources.size)
        self._column = np.full(len(graph.nodes), -1, dtype=np.int64)
        self._column[self.targets] = np.arange(self.targets.size)
        self.steps = _outgoing(graph, rules, self.times_h)
        self._labels = [self._label_setting(int(s)) for s in self.sources]
        self._pad()

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

    def route(self, row: int, column: int, label: int) -> tuple[int, ...]:
        """Arcs of one label of the front, in travel order."""
        _, parent, by, ends = self._labels[row]
        at = ends[column][label]
        arcs = []
        while by[at] >= 0:
            arcs.append(by[at])
            at = parent[at]
        return tuple(reversed(arcs))

    def _label_setting(
        self, source: int
    ) -> tuple[list[tuple[float, float]], list[int], list[int], list[list[int]]]:
        """All labels from one source: (time, energy), parent label, arc, labels per target."""
        rules = self.rules
        budget = rules.full_budget + rules.tolerance
        slack = _FRONT_TOLERANCE * rules.battery
        column = self._column.tolist()
        through = self.graph.through.tolist()
        steps = self.steps
        least = [np.inf] * len(self.graph.nodes)
        value: list[tuple[float, float]] = []
        parent: list[int] = []
        by: list[int] = []
        ends: list[list[int]] = [[] for _ in self.targets]
        heap = [(0.0, 0.0, source, -1, -1)] if budget >= 0 else []
        while heap:
            time, energy, node, before, arc = heappop(heap)
            if energy >= least[node] - slack:
                continue
            least[node] = energy
            label = len(value)
            value.append((time, energy))
            parent.append(before)
            by.append(arc)
            if column[node] >= 0:
                ends[column[node]].append(label)
            if through[node] or node == source:
                for head, step_time, step_energy, step in steps[node]:
                    reached = energy + step_energy
                    if reached <= budget and reached < least[head] - slack:
                        heappush(heap, (time + step_time, reached, head, label, step))
        return value, parent, by, ends

    def _pad(self) -> None:
        """Copy the labels to arrays padded to the longest front."""
        self.label_count = np.array(
            [[len(e) for e in ends] for _, _, _, ends in self._labels], dtype=np.int64
        ).reshape(self.sources.size, self.targets.size)
        longest = int(self.label_count.max(initial=1))
        shape = (*self.label_count.shape, max(longest, 1))
        self.time_h = np.full(shape, np.inf)
        # finite, so that a weight of zero makes no nan; the infinite time rules the label out
        self.energy_kwh = np.full(shape, 2.0 * self.rules.battery + 1.0)
        used = np.arange(shape[2]) < self.label_count[:, :, None]
        flat = [value[i] for value, _, _, ends in self._labels for end in ends for i in end]
        both = np.array(flat, dtype=np.float64).reshape(-1, 2)
        self.time_h[used], self.energy_kwh[used] = both[:, 0], both[:, 1]


Step = tuple[int, float, float, int]  # head, time in h, energy in kWh, arc


def _outgoing(graph: Graph, rules: EnergyRules, times_h: FloatArray) -> list[list[Step]]:
    """Steps that leave each node."""
    steps: list[list[Step]] = [[] for _ in graph.nodes]
    energy = (rules.consumption * graph.length_km).tolist()
    rows = zip(graph.tail.tolist(), graph.head.tolist(), times_h.tolist(), energy, strict=True)
    for arc, (tail, head, time, use) in enumerate(rows):
        steps[tail].append((head, time, use, arc))
    return steps


def _checked_times(graph: Graph, times_h: FloatArray) -> FloatArray:
    times = np.array(times_h, dtype=np.float64)
    if times.shape != (len(graph.arcs),):
        raise ValueError(f"travel times of shape {times.shape} for {len(graph.arcs)} arcs")
    bad = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
    if bad.size:
        raise DataError(
            f"travel time of arc {graph.arcs[bad[0]]!r} is {times[bad[0]]} h",
            advice="times must be finite and not negative; check flows and capacities",
        )
    return times


# ---------------------------------------------------------------------------------------------
# Cheapest legs at given prices


@dataclass
class _Legs:
    """Cheapest legs from some sources to some ends: cost in $ and how to find the route."""

    cost: FloatArray  # (source, end), inf where no leg keeps the budget
    label: IntArray  # (source, end) label on the front
    listed: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def empty(cls, height: int, width: int) -> _Legs:
        return cls(np.full((height, width), np.inf), np.zeros((height, width), dtype=np.int64))


def _front_legs(
    fronts: LegFronts,
    rows: IntArray,
    columns: IntArray,
    value_of_time: float,
    weight: FloatArray,
    budget: float,
    least: float = -np.inf,
) -> _Legs:
    """Cheapest leg on each front with least < energy <= budget; `weight` (end,) in $/kWh."""
    time = fronts.time_h[np.ix_(rows, columns)]
    energy = fronts.energy_kwh[np.ix_(rows, columns)]
    cost = value_of_time * time + weight[:, None] * energy
    cost[(energy > budget) | (energy <= least)] = np.inf
    label = cost.argmin(axis=2)
    best = np.take_along_axis(cost, label[:, :, None], axis=2)[:, :, 0]
    return _Legs(best, label)


@dataclass(frozen=True)
class _Ends:
    """Energy and price rules of legs that end at a station."""

    weight: FloatArray  # (station,) $/kWh
    allowed: BoolArray  # (station,)
    least: float  # energy must be more than this, kWh
    most: float  # and at most this


def _elementary_legs(
    fronts: LegFronts,
    rows: IntArray,
    station_node: IntArray,
    value_of_time: float,
    groups: Sequence[_Ends],
) -> list[_Legs]:
    """Cheapest elementary legs to stations by listing all of them within the battery's range.

    Where a weight is negative more energy is better and no front helps: the problem is a longest
    path, and all elementary routes within the budget are listed (elementary within the leg; else
    a driver paid for charging would circle). Raises `V2GError` after `ELEMENTARY_LIMIT` steps.
    """
    at_node: dict[int, list[int]] = {}
    for s, n in enumerate(station_node.tolist()):
        at_node.setdefault(n, []).append(s)
    found = [_Legs.empty(rows.size, station_node.size) for _ in groups]
    budget = max((g.most for g in groups), default=-np.inf)
    through = fronts.graph.through.tolist()
    count = 0
    for row, source_row in enumerate(rows.tolist()):
        source = int(fronts.sources[source_row])
        stack: list[tuple[int, float, float, tuple[int, ...], frozenset[int]]] = []
        if budget >= 0:
            stack.append((source, 0.0, 0.0, (), frozenset((source,))))
        while stack:
            node, time, energy, arcs, visited = stack.pop()
            count += 1
            if count > ELEMENTARY_LIMIT:
                raise V2GError(
                    "a station's charging price is so low that charging pays for the time it "
                    f"takes, and more than {ELEMENTARY_LIMIT} routes are within the battery's "
                    "range: the cheapest path cannot be found. Check for negative charging prices "
                    "(generators with a minimum output, tight station limits), or use the path "
                    "method 'enumerate'"
                )
            for s in at_node.get(node, ()):
                for group, legs in zip(groups, found, strict=True):
                    if group.allowed[s] and group.least < energy <= group.most:
                        cost = value_of_time * time + float(group.weight[s]) * energy
                        if cost < legs.cost[row, s]:
                            legs.cost[row, s] = cost
                            legs.listed[row, s] = arcs
            if through[node] or node == source:
                for head, step_time, step_energy, arc in fronts.steps[node]:
                    reached = energy + step_energy
                    if reached <= budget and head not in visited:
                        stack.append(
                            (head, time + step_time, reached, (*arcs, arc), visited | {head})
                        )
    return found


# ---------------------------------------------------------------------------------------------
# Cheapest paths


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

    The cost is C_p of section 2. The legs of the table there are joined to the patterns none, C,
    CC and, with V2G, D, CD, DC; of equal costs the path with fewer stops is taken. A path may
    revisit a node on different legs, and a leg may end at a station whose node is not `through`.

    Charge weights rho+ + omega / Pbar are usually positive; then it never pays to discharge at a
    station with m = rho- - kdeg - omega / Pbar <= 0, which is skipped. If a charge weight is
    negative all legs to stations are found by listing the elementary routes within range, see
    `ELEMENTARY_LIMIT`; legs to the destination still come from the fronts, as vB >= 0.

    Parameters
    ----------
    times_h
        (arc,) travel times in h.
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
    v2g = discharge_price is not None
    charge_wait = _checked("charge_wait_h", charge_wait_h, stations.size, nonnegative=True)
    discharge_wait = _checked("discharge_wait_h", discharge_wait_h, stations.size, nonnegative=True)
    charge = _checked("charge_price", charge_price, stations.size)
    discharge = (
        charge
        if discharge_price is None
        else _checked("discharge_price", discharge_price, stations.size)
    )
    power = np.asarray(charger_power, dtype=np.float64)
    if power.shape != (stations.size,):
        raise ValueError(f"charger_power of shape {power.shape} for {stations.size} stations")
    if not value_of_time > 0 or not energy_value >= 0 or not (power > 0).all():
        raise DataError(
            f"value of time {value_of_time} $/h, charger power {power.tolist()} kW, energy value "
            f"{energy_value} $/kWh",
            advice="the first two must be positive, the last zero or more",
        )
    plug = value_of_time / power  # $/kWh
    if fronts is None:
        fronts = LegFronts.for_pairs(graph, rules, times_h, pairs, stations)
    elif not np.array_equal(fronts.times_h, times_h) or fronts.rules != rules:
        raise ValueError("the leg fronts belong to other travel times or another battery")

    origins, od_origin = np.unique(pairs[:, 0], return_inverse=True)
    destinations, od_destination = np.unique(pairs[:, 1], return_inverse=True)
    # sources of legs: origins first, then stations
    rows = fronts.rows(np.concatenate((origins, stations)))
    o = origins.size
    station_columns = fronts.columns(stations)
    destination_columns = fronts.columns(destinations)
    tol = rules.tolerance
    span = rules.battery - rules.low  # energy between full and low
    charge_weight = charge + plug
    margin = discharge - degradation - plug
    paid = bool((charge_weight < 0).any())
    may_discharge = np.full(stations.size, v2g) & ((margin > 0) | paid)
    any_discharge = bool(may_discharge.any())

    everywhere = np.ones(stations.size, dtype=np.bool_)
    initial, full, low = (
        budget + tol for budget in (rules.start_budget, rules.full_budget, rules.low_budget)
    )
    charged, sold = rules.battery - rules.start, rules.start - rules.low  # by a leg of no energy

    # a charge must add and a discharge must leave a positive amount
    def before_charge(gained: float, budget: float) -> _Ends:
        return _Ends(charge_weight, everywhere, tol - gained, budget)

    def before_discharge(gained: float, budget: float) -> _Ends:
        most = min(budget, float(np.nextafter(gained - tol, -np.inf)))
        return _Ends(margin, may_discharge, -np.inf, most)

    from_start = (before_charge(charged, initial), before_discharge(sold, initial))
    from_full = (before_charge(0.0, full), before_discharge(span, full))
    from_low = (_Ends(charge_weight, everywhere & any_discharge, -np.inf, low),)

    def cheapest(sources: IntArray, groups: Sequence[_Ends]) -> list[_Legs]:
        if paid:
            return _elementary_legs(fronts, sources, stations, value_of_time, groups)
        return [
            _front_legs(
                fronts,
                sources,
                station_columns,
                value_of_time,
                ends.weight,
                ends.most,
                ends.least,
            )
            if ends.allowed.any()
            else _Legs.empty(sources.size, stations.size)
            for ends in groups
        ]

    c_first, d_first = cheapest(rows[:o], from_start)
    c_legs, d_legs = cheapest(rows[o:], from_full)
    (r_legs,) = cheapest(rows[o:], from_low)
    to_end = np.full(destinations.size, energy_value)
    none_legs, e_legs, l_legs = (
        _front_legs(fronts, sources, destination_columns, value_of_time, to_end, budget)
        for sources, budget in ((rows[:o], initial), (rows[o:], full), (rows[o:], low))
    )

    # constants of the table of legs, for a departure at the level B_0
    delay, sale_delay = value_of_time * charge_wait, value_of_time * discharge_wait

    def sell(legs: _Legs, amount: float) -> FloatArray:
        return np.where(may_discharge, legs.cost + (sale_delay - margin * amount), np.inf)

    charging_first = c_first.cost + (delay + charge_weight * charged)
    discharging_first = sell(d_first, sold)
    charging = c_legs.cost + delay
    discharging = sell(d_legs, span)
    refilling = r_legs.cost + (delay + charge_weight * span)
    ending = e_legs.cost - energy_value * charged
    ending_low = l_legs.cost + energy_value * sold

    # best way to stand at station t with a full or low battery: (origin, t), over s before it
    every = np.arange(stations.size)
    distinct = np.where(every[:, None] == every[None, :], np.inf, 0.0)

    def join(first: FloatArray, second: FloatArray) -> tuple[FloatArray, IntArray]:
        total = first[:, :, None] + (second + distinct)[None, :, :]
        if not stations.size:
            return np.full((o, 0), np.inf), np.zeros((o, 0), dtype=np.int64)
        by = total.argmin(axis=1)
        return np.take_along_axis(total, by[:, None, :], axis=1)[:, 0, :], by

    ways: list[tuple[str, FloatArray, IntArray | None]] = [("C", charging_first, None)]
    ways.append(("CC", *join(charging_first, charging)))
    low_ways: list[tuple[str, FloatArray, IntArray | None]] = []
    if any_discharge:
        ways.append(("DC", *join(discharging_first, refilling)))
        low_ways.append(("D", discharging_first, None))
        low_ways.append(("CD", *join(charging_first, discharging)))

    n_od = len(pairs)
    cost = none_legs.cost[od_origin, od_destination]
    last_way: list[tuple[str, FloatArray, IntArray | None] | None] = [None]
    chosen = np.zeros(n_od, dtype=np.int64)  # position in last_way
    last_station = np.full(n_od, -1, dtype=np.int64)
    if stations.size:
        for group, end in ((ways, ending), (low_ways, ending_low)):
            for way in group:
                last_way.append(way)
                total = way[1][od_origin] + end[:, od_destination].T
                station = total.argmin(axis=1)
                value = total[np.arange(n_od), station]
                better = value < cost
                cost[better] = value[better]
                chosen[better] = len(last_way) - 1
                last_station[better] = station[better]

    legs_by = {
        ("start", CHARGE): c_first,
        ("start", DISCHARGE): d_first,
        ("full", CHARGE): c_legs,
        ("full", DISCHARGE): d_legs,
        ("low", CHARGE): r_legs,
        ("start", ""): none_legs,
        ("full", ""): e_legs,
        ("low", ""): l_legs,
    }
    paths = []
    wanted = np.isfinite(cost) if below is None else cost < below
    for w in np.flatnonzero(wanted).tolist():
        start, end_at = int(od_origin[w]), int(od_destination[w])
        way_taken = last_way[chosen[w]]
        visits: list[tuple[int, str]] = []
        if way_taken is not None:
            pattern, _, by = way_taken
            t = int(last_station[w])
            if by is not None:
                visits.append((int(by[start, t]), pattern[0]))
            visits.append((t, pattern[-1]))
        arcs: tuple[int, ...] = ()
        stops: list[tuple[int, str, int]] = []
        here, level = start, "start"  # position in `rows`
        for s, kind in visits:
            legs = legs_by[level, kind]
            arcs += _route(
                fronts, legs, rows, station_columns, here, s, 0 if level == "start" else o
            )
            stops.append((s, kind, len(arcs)))
            here, level = o + s, "full" if kind == CHARGE else "low"
        legs = legs_by[level, ""]
        offset = 0 if level == "start" else o
        arcs += _route(fronts, legs, rows, destination_columns, here, end_at, offset)
        path = make_path(graph, rules, w, arcs, stops)
        if path is None:
            raise V2GError(
                f"pricing found a path that breaks the battery rules, OD pair "
                f"{graph.nodes[pairs[w, 0]]} -> {graph.nodes[pairs[w, 1]]}, "
                f"stops {stops}: report it"
            )
        paths.append(path)
    return cost, paths


def _route(
    fronts: LegFronts,
    legs: _Legs,
    rows: IntArray,
    columns: IntArray,
    source: int,
    end: int,
    offset: int,
) -> tuple[int, ...]:
    """Arcs of the cheapest leg from rows[source] to columns[end]; `legs` starts at `offset`."""
    row = source - offset
    if legs.listed:
        return legs.listed[row, end]
    return fronts.route(int(rows[source]), int(columns[end]), int(legs.label[row, end]))


def _checked(what: str, values: FloatArray, size: int, *, nonnegative: bool = False) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ValueError(f"{what} of shape {array.shape} for {size} stations")
    bad = np.flatnonzero(~np.isfinite(array) | (nonnegative & (array < 0)))
    if bad.size:
        raise DataError(
            f"{what} of station {bad[0]} (position) is {array[bad[0]]}",
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
    origins, row = np.unique(pairs[:, 0], return_inverse=True)
    distance, by = shortest_tree(graph, times, origins)
    time: FloatArray = distance[row, pairs[:, 1]]
    wanted = np.isfinite(time) if below is None else time < below
    tail = graph.tail.tolist()
    tree = [r.tolist() for r in by]
    paths = []
    for w in np.flatnonzero(wanted).tolist():
        entered, node = tree[row[w]], int(pairs[w, 1])
        arcs = []
        while entered[node] >= 0:
            arcs.append(entered[node])
            node = tail[arcs[-1]]
        paths.append(Path(w, tuple(reversed(arcs)), (), 0.0))
    return time, paths
