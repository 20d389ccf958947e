"""Column generation: the cheapest energy-feasible paths at given flows and prices.

The drivers' block holds the paths found so far; this module finds those it lacks. Exactness over
all paths is a statement about `price_all`: no path of any class costs less than u_w.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.progress import UNSEEN, Reporter
from v2geq.roads.assign import user_equilibrium
from v2geq.roads.classes import UserClass
from v2geq.roads.result import UserEquilibrium
from v2geq.scenario import Scenario
from v2geq.show import brief
from v2geq.trips.battery import DISCHARGE, EnergyRules
from v2geq.trips.costs import Rates, rates, time_cost
from v2geq.trips.fronts import LegFronts
from v2geq.trips.paths import Path
from v2geq.trips.pricing import price_paths, shortest_routes
from v2geq.trips.ties import cheapest_paths
from v2geq.trips.traffic import Traffic, TripConditions
from v2geq.trips.whole_time import WholeTime

SEED_GAP = 1e-8
"""Relative gap of the roads alone from which paths start."""
SEED_ROUNDS = 6
"""Rounds of loading queues."""
NO_BATTERY = EnergyRules(battery=1.0, reserve=0.0, low=0.0, consumption=0.0)
"""A vehicle without range: any route will do."""


@dataclass(frozen=True)
class Cheapest:
    """Least trip cost over all feasible paths, by class and OD pair, $/veh, and such paths."""

    cost: dict[str, FloatArray]
    paths: dict[str, list[Path]]

    __repr__ = brief


def price_all(
    traffic: Traffic,
    conditions: TripConditions,
    below: Mapping[str, FloatArray] | None = None,
    kinds: Collection[str] = ("ev", "fv"),
) -> Cheapest:
    """Cheapest path of every class and OD pair over all energy-feasible paths.

    Parameters
    ----------
    below
        class -> (od,) cost in $/veh; only cheaper paths are returned. Fuel vehicles' costs are at
        the class's own value of time.
    kinds
        Kinds of classes to price.
    """
    cost: dict[str, FloatArray] = {}
    paths: dict[str, list[Path]] = {}
    for name, kind in traffic.classes.items():
        if kind.kind not in kinds:
            continue
        limit = None if below is None else below[name]
        if kind.cost_of_time:
            cost[name], found = _by_whole_time(traffic, name, conditions).cheapest(limit)
            electric = kind.kind == "ev"
            paths[name] = found if electric else [replace(p, arrival_kwh=0.0) for p in found]
            continue
        hours = traffic.arc_hours(name, conditions.arc_flow)
        pairs = traffic.od_pairs[name]
        if kind.kind == "ev":
            cost[name], paths[name] = price_paths(
                traffic.graph,
                traffic.rules(name),
                hours,
                pairs,
                traffic.station_node,
                rates(traffic, name, conditions),
                fronts=_fronts(traffic, name, hours),
                below=limit,
            )
        else:
            least, paths[name] = shortest_routes(
                traffic.graph,
                hours,
                pairs,
                below=None if limit is None else limit / kind.value_of_time,
            )
            cost[name] = kind.value_of_time * least
    return Cheapest(cost, paths)


def _by_whole_time(traffic: Traffic, name: str, conditions: TripConditions) -> WholeTime:
    """Pricing of a class whose trips' whole time has a cost."""
    kind, rules, stations = traffic.classes[name], NO_BATTERY, np.zeros(0, dtype=np.int64)
    pays = _tolls_alone(kind.value_of_time)
    if kind.kind == "ev":
        rules, stations = traffic.rules(name), traffic.station_node
        pays = rates(traffic, name, conditions)
    return WholeTime(
        traffic.graph,
        rules,
        traffic.travel_time.time(conditions.arc_flow),
        traffic.toll,
        traffic.od_pairs[name],
        stations,
        pays,
        time_cost(kind),
    )


def _tolls_alone(value_of_time: float) -> Rates:
    """What fuel vehicles pay: nothing but time and tolls."""
    none = np.zeros(0)
    return Rates(value_of_time, none, none, none, None, none, 0.0, 0.0)


def _fronts(traffic: Traffic, name: str, times_h: FloatArray) -> LegFronts:
    """Leg fronts of an electric class, kept until times change.

    They are shared by classes of equal batteries that see the same times: with tolls, those of
    equal values of time.
    """
    tolled = bool(traffic.toll.any())

    def sees(name: str) -> tuple[float, ...]:
        rules, omega = traffic.rules(name), traffic.classes[name].value_of_time
        return rules.battery, rules.reserve, rules.consumption, omega if tolled else 0.0

    own = sees(name)

    def build() -> LegFronts:
        pairs = [traffic.od_pairs[k] for k in traffic.electric if sees(k) == own]
        return LegFronts.for_pairs(
            traffic.graph,
            traffic.rules(name),
            times_h,
            np.concatenate(pairs),
            traffic.station_node,
        )

    return traffic.fronts.at(own, times_h, build)


def all_cheapest(
    traffic: Traffic, conditions: TripConditions, limit: Mapping[str, FloatArray]
) -> dict[str, list[Path] | None]:
    """Every path of every class that costs at most `limit`, class -> (od,) $/veh at its own value.

    None for a class with too many, see `ties.cheapest_paths`.
    """
    found: dict[str, list[Path] | None] = {}
    for name, kind in traffic.classes.items():
        if kind.cost_of_time:
            priced = _by_whole_time(traffic, name, conditions)
            found[name] = priced.all_cheapest(limit[name])
            continue
        if kind.kind == "ev":
            rules, stations = traffic.rules(name), traffic.station_node
            pays = rates(traffic, name, conditions)
        else:
            rules, stations = NO_BATTERY, np.zeros(0, dtype=np.int64)
            pays = _tolls_alone(kind.value_of_time)
        found[name] = cheapest_paths(
            traffic.graph,
            rules,
            traffic.arc_hours(name, conditions.arc_flow),
            traffic.od_pairs[name],
            stations,
            pays,
            limit[name],
        )
    return found


def price_energy(
    traffic: Traffic,
    charge_price: FloatArray,
    discharge_price: FloatArray | None,
    below: Mapping[str, FloatArray],
) -> dict[str, list[Path]]:
    """Paths of electric classes whose energy alone costs less than `below`, class -> (od,).

    Time, tolls, wear and battery energy cost nothing here: at the prices of a conflict of limits
    these are the paths that help to resolve it, and without any no path does.
    """
    found: dict[str, list[Path]] = {}
    times, none = np.zeros(len(traffic.graph.arcs)), np.zeros(len(traffic.station_node))
    for name, limit in below.items():
        sold = discharge_price if name in traffic.sellers else None
        _, found[name] = price_paths(
            traffic.graph,
            traffic.rules(name),
            times,
            traffic.od_pairs[name],
            traffic.station_node,
            Rates(1.0, none, none, charge_price, sold, none + np.inf, 0.0, 0.0),
            fronts=_fronts(traffic, name, times),
            below=limit,
        )
    return found


def seeded(scenario: Scenario, traffic: Traffic, show: Reporter = UNSEEN) -> Traffic:
    """The traffic with paths near those of the equilibrium.

    Routes of all vehicles without stops are in equilibrium on the roads alone; fuel vehicles get
    these. At the times they leave, electric vehicles get their cheapest paths of a few rounds of
    loading, with prices at the reference price and queues averaged over the rounds.
    """
    case = scenario.case
    users = {
        name: UserClass(case.trips[name], value_of_time=kind.value_of_time)
        for name, kind in traffic.classes.items()
    }
    show.phase("first paths")
    roads = user_equilibrium(case.traffic_road, users, SEED_GAP, check=False)
    traffic = traffic.with_paths(
        {
            name: _routes(roads, name, traffic.od_pairs[name])
            for name, kind in traffic.classes.items()
            if kind.kind == "fv"
        }
    )
    arc_flow = roads.flow.to_numpy()
    price = np.full(len(scenario.stations), scenario.price_scale)
    queue_flow = np.zeros(len(traffic.queues))
    show.phase("first paths with stops")
    for k in range(SEED_ROUNDS):
        conditions = TripConditions(arc_flow, queue_flow, price, price if scenario.v2g else None)
        found = price_all(traffic, conditions, kinds=("ev",)).paths
        traffic = traffic.with_paths(found)
        stops = np.zeros_like(queue_flow)
        for name, paths in found.items():
            trips = traffic.demand[name][[p.od for p in paths]]
            queues = [
                [int(traffic.queue_of[int(s.kind == DISCHARGE), s.station]) for s in p.stops]
                for p in paths
            ]
            flat = np.array([q for own in queues for q in own], dtype=np.int64)
            stops += np.bincount(flat, np.repeat(trips, [len(q) for q in queues]), stops.size)
        queue_flow = queue_flow + 2.0 / (k + 2.0) * (stops - queue_flow)
    return traffic


def _routes(roads: UserEquilibrium, name: str, od_pairs: IntArray) -> list[Path]:
    """Routes of one class of an assignment, as paths of the given OD pairs."""
    demand, pool = roads.problem.demand, roads.pool
    position = {pair: w for w, pair in enumerate(map(tuple, od_pairs.tolist()))}
    arcs = roads.problem.graph.star.arc[pool.arc].tolist()
    ends = list(zip(demand.origin.tolist(), demand.destination.tolist(), strict=True))
    own = np.flatnonzero(demand.kind[roads.path_pair] == demand.classes.index(name))
    pairs, starts, sizes = (x[own].tolist() for x in (roads.path_pair, pool.start, pool.size))
    return [
        Path(position[ends[w]], tuple(arcs[i : i + n]), (), 0.0)
        for w, i, n in zip(pairs, starts, sizes, strict=True)
    ]
