"""Drivers: Wardrop equilibrium on the charge/discharge-expanded road graph.

spec section 2. With one value of time the conditions are those of one convex program over path
flows (Beckmann); several values of time give a variational inequality of the same shape.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.check_road import arc_tolls
from v2geq.data.model import DriverClass
from v2geq.mcp.curves import Formula
from v2geq.mcp.program import Program, Variable
from v2geq.players.legs import LegSet
from v2geq.players.paths import (
    EnergyRules,
    Path,
    PathSet,
    enumerate_paths,
    enumerate_routes,
    reach,
    require_feasible,
)
from v2geq.players.pricing import LegFronts
from v2geq.roads.delay import TravelTime
from v2geq.roads.graph import Graph
from v2geq.scenario import Scenario

PATH_TERMS = (
    "travel",
    "tolls",
    "waiting",
    "plug",
    "degradation",
    "battery energy",
    "charging",
    "discharging",
)
"""Terms of the cost of a path, see `path_terms`."""
TRANSFERS = ("tolls", "charging", "discharging")
"""Terms that others receive, or pay."""


@dataclass(frozen=True)
class QueueTime:
    """Smoothed queueing time of every queue, h over veh/h, times `weight` ($/h).

    wait(n) = base + slope (z + sqrt(z^2 + eps^2)) / 2 with z = n - piles.
    """

    base_h: FloatArray
    slope_h: FloatArray
    piles: FloatArray
    smoothing: float
    weight: float = 1.0

    def time(self, n: FloatArray) -> FloatArray:
        """Waiting time in h."""
        z = n - self.piles
        return self.base_h + 0.5 * self.slope_h * (z + np.hypot(z, self.smoothing))

    def value(self, n: FloatArray) -> FloatArray:
        return self.weight * (self._integral(n) - self._integral(np.zeros_like(n)))

    def _integral(self, n: FloatArray) -> FloatArray:
        z, eps = n - self.piles, self.smoothing
        queue = 0.5 * (z * z + z * np.hypot(z, eps) + eps**2 * np.arcsinh(z / eps))
        return self.base_h * n + 0.5 * self.slope_h * queue

    def first(self, n: FloatArray) -> FloatArray:
        return self.weight * self.time(n)

    def second(self, n: FloatArray) -> FloatArray:
        z = n - self.piles
        return 0.5 * self.weight * self.slope_h * (1.0 + z / np.hypot(z, self.smoothing))

    def formulas(self, n: int) -> list[Formula]:
        named = {
            "base": self.weight * self.base_h,
            "slope": self.weight * self.slope_h,
            "piles": self.piles,
        }
        eps = repr(float(self.smoothing))
        z, root = "(n - piles)", f"sqrt((n - piles)**2 + {eps}**2)"
        value = f"base*n + slope/4*({z}**2 + {z}*{root} + {eps}**2*log({z} + {root}))"
        return [Formula(np.arange(n), "n", named, value, f"base + slope/2*({z} + {root})")]


@dataclass(frozen=True)
class Traffic:
    """Road graph, demand and paths of every driver class under one scenario.

    Attributes
    ----------
    demand : class -> (od,) trips, veh/h; od_pairs : class -> (od, 2) node positions
    paths : class -> the paths its drivers choose from; the sets may grow
    station_node : (station,) node positions of the energised stations
    station_power : (station,) largest charger power, kW
    queue_of : (2, station) positions of the queues in which vehicles that charge and that discharge
        wait; the same one where queues are shared
    queues : labels of the queues: station, or (station, direction)
    toll : (arc,) toll, $/veh, of every class
    queue_time : waiting time of every queue
    sellers : electric classes whose drivers may discharge at stations
    legs : electric class -> its legs, where those are the commodities; `paths` has their routes
    fronts : leg fronts of the latest travel times by battery and, where roads charge tolls, value
        of time; kept by `generation`
    """

    graph: Graph
    classes: Mapping[str, DriverClass]
    od_pairs: Mapping[str, IntArray]
    demand: Mapping[str, FloatArray]
    paths: dict[str, PathSet]
    station_node: IntArray
    station_power: FloatArray
    queue_of: IntArray
    queues: tuple[tuple[str, ...], ...]
    travel_time: TravelTime
    toll: FloatArray
    queue_time: QueueTime
    sellers: frozenset[str]
    legs: Mapping[str, LegSet] = field(default_factory=dict)
    fronts: dict[Hashable, LegFronts] = field(default_factory=dict, repr=False, compare=False)

    @property
    def value_of_time(self) -> float:
        """Value of time in which arc and queue times are priced: that of the electric vehicles.

        What fuel vehicles pay beside time, tolls, no flow or price changes, so any positive factor
        on their costs leaves their choice unchanged; see `rescaling`.
        """
        electric = [c.value_of_time for c in self.classes.values() if c.kind == "ev"]
        return electric[0] if electric else next(iter(self.classes.values())).value_of_time

    @property
    def free_flow_cost(self) -> float:
        """Cost of the time on a mean arc without traffic, at least of a minute, $/veh."""
        free_flow = self.travel_time.time(np.zeros(len(self.graph.arcs)))
        return self.value_of_time * max(float(free_flow.mean()), 1.0 / 60.0)

    def copy(self) -> Traffic:
        """The same traffic with path sets of its own: those of a built problem stay as they are."""
        legs = {name: own.copy() for name, own in self.legs.items()}
        paths = {
            name: legs[name].routes if name in legs else own.copy()
            for name, own in self.paths.items()
        }
        return replace(self, paths=paths, legs=legs)

    def add(self, name: str, paths: Iterable[Path]) -> int:
        """Let drivers of a class choose from more paths; how many columns that adds."""
        if name in self.legs:
            return self.legs[name].extend(paths)
        return len(self.paths[name].extend(paths))

    def trip_cost(self, name: str, values: Mapping[str, FloatArray]) -> FloatArray:
        """(od,) trip costs of a class at its own value of time, $/veh, from values by block."""
        cost: FloatArray = values[f"drivers.demand_{name}"] / self.rescaling(name)
        return cost

    def rescaling(self, name: str) -> float:
        """Factor from a class's own costs to those in the problem.

        Fuel vehicles' are at `value_of_time` there: their time enters as everybody's, which keeps
        the map monotone, and their tolls at the same rate of exchange. Energy prices of electric
        vehicles are paid to others, so their costs stay as they are.
        """
        kind = self.classes[name]
        return self.value_of_time / kind.value_of_time if kind.kind == "fv" else 1.0

    def arc_hours(self, name: str, arc_flow: FloatArray) -> FloatArray:
        """(arc,) generalised time of a class, h: travel time, and the toll at its value of time."""
        return self.travel_time.time(arc_flow) + self.toll_hours(name)

    def toll_hours(self, name: str) -> FloatArray:
        """(arc,) time a class would give for not paying the toll, h."""
        hours: FloatArray = self.toll / self.classes[name].value_of_time
        return hours

    def od_names(self, name: str) -> list[tuple[str, str]]:
        """(origin, destination) names of a class's OD pairs."""
        nodes = self.graph.nodes
        return [(nodes[o], nodes[d]) for o, d in self.od_pairs[name]]

    def rules(self, name: str) -> EnergyRules:
        """Battery rules of an electric class."""
        return EnergyRules.from_class(self.classes[name])

    @property
    def shared_queues(self) -> bool:
        """Whether vehicles that charge and that discharge wait in one queue."""
        return bool((self.queue_of[0] == self.queue_of[1]).all())

    def waits(self, queue_flow: FloatArray) -> FloatArray:
        """(2, station) waiting time before charging and before discharging, h."""
        return self.queue_time.time(queue_flow)[self.queue_of]

    def queue_stops(self, name: str) -> sp.csr_array:
        """(queue, path) one where a path of the class waits in the queue."""
        paths = self.paths[name]
        if self.shared_queues:
            return paths.stop_count
        return sp.csr_array(sp.vstack([paths.charge_stops, paths.discharge_stops], format="csr"))

    def charger_power(self, name: str) -> FloatArray:
        """(station,) power at which vehicles of an electric class plug in, kW."""
        return np.minimum(self.classes[name].charger_power, self.station_power)

    def plug_hours(self, name: str) -> FloatArray:
        """(path,) time at the plug along every path of an electric class, h."""
        paths = self.paths[name]
        hours: FloatArray = (paths.charge_energy + paths.discharge_energy).T @ (
            1.0 / self.charger_power(name)
        )
        return hours

    @property
    def energy_reach(self) -> float:
        """Energy all electric vehicles could charge with full batteries, kW."""
        return sum(
            float(self.demand[k].sum()) * c.battery
            for k, c in self.classes.items()
            if c.kind == "ev"
        )


def traffic(scenario: Scenario, *, first_paths: bool = True) -> Traffic:
    """Road data, demand and the first path sets of a scenario.

    With ``paths.method = "enumerate"`` the sets are final; with ``"exact"``, or without
    `first_paths`, they are empty and filled later. Legs are the commodities where
    ``paths.form = "legs"``, but not without `first_paths`.

    Raises
    ------
    DataError
        An OD pair without any energy-feasible path.
    """
    case = scenario.case
    graph = Graph.from_road(case.road)
    where = {n: i for i, n in enumerate(graph.nodes)}
    station_node = np.array([where[n] for n in scenario.stations["road_node"]], dtype=np.int64)
    names = list(scenario.stations.index)
    sellers = frozenset(
        name
        for name, kind in case.drivers.items()
        if scenario.v2g and kind.kind == "ev" and kind.v2g
    )
    exact = case.paths.method == "exact"
    demand: dict[str, FloatArray] = {}
    pairs: dict[str, IntArray] = {}
    paths: dict[str, PathSet] = {}
    legs: dict[str, LegSet] = {}
    for name, kind in case.drivers.items():
        table = case.trips[name]
        table = table[table["trips_veh_h"] > 0]
        pairs[name] = np.array(
            [
                [where[o], where[d]]
                for o, d in zip(table["origin"], table["destination"], strict=True)
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        demand[name] = table["trips_veh_h"].to_numpy(dtype=float)
        od = [(int(o), int(d)) for o, d in pairs[name]]
        if kind.kind == "ev":
            rules = EnergyRules.from_class(kind)
            first = []
            if exact or not first_paths:
                require_feasible(graph, rules, od, station_node)
            else:
                first = enumerate_paths(
                    graph, rules, od, station_node, case.paths.base_routes_ev, name in sellers
                )
        else:
            wanted = first_paths and not exact
            first = enumerate_routes(graph, od, case.paths.base_routes_fv) if wanted else []
        if kind.kind == "ev" and first_paths and case.paths.form == "legs":
            legs[name] = LegSet(graph, EnergyRules.from_class(kind), pairs[name], names)
            paths[name] = legs[name].routes
        else:
            paths[name] = PathSet(graph, len(od), len(names), first, stations=names)
    stations = scenario.stations
    # without V2G nobody waits to discharge
    apart = scenario.v2g and case.station_settings.queue == "direction"
    one = np.arange(len(names), dtype=np.int64)
    twice = 2 if apart else 1

    def by_queue(charge: str, discharge: str) -> FloatArray:
        columns = [stations[charge], stations[discharge]][:twice]
        return np.concatenate([c.to_numpy(dtype=float) for c in columns])

    return Traffic(
        graph,
        dict(case.drivers),
        pairs,
        demand,
        paths,
        station_node,
        stations["charger_power_kw"].to_numpy(dtype=float),
        np.stack([one, one + (twice - 1) * len(names)]),
        tuple((n, w) for w in ("charge", "discharge") for n in names)
        if apart
        else tuple((n,) for n in names),
        TravelTime.from_road(case.road),
        arc_tolls(case.road),
        QueueTime(
            by_queue("base_wait_h", "base_wait_h"),
            by_queue("queue_slope_h", "queue_slope_h"),
            by_queue("piles", "discharge_piles"),
            case.station_settings.queue_smoothing,
        ),
        sellers,
        legs,
    )


def out_of_reach(traffic: Traffic) -> list[str]:
    """Stations at which no trip of any electric class can stop, whatever it costs."""
    electric = [name for name, kind in traffic.classes.items() if kind.kind == "ev"]
    usable = np.zeros(len(traffic.station_node), dtype=bool)
    for name in electric:
        pairs, rules = traffic.od_pairs[name], traffic.rules(name)
        usable |= reach(traffic.graph, rules, pairs, traffic.station_node).usable
    names = traffic.paths[electric[0]].stations if electric else ()
    return [name for name, used in zip(names, usable, strict=False) if not used]


def constant_terms(traffic: Traffic, name: str) -> dict[str, FloatArray]:
    """Terms of the cost of a class's paths that no flow or price changes, (path,) $/veh."""
    kind, paths = traffic.classes[name], traffic.paths[name]
    terms: dict[str, FloatArray] = {}
    if traffic.toll.any():
        terms["tolls"] = paths.arc_incidence.T @ traffic.toll
    if kind.kind == "ev":
        discharged = np.asarray(paths.discharge_energy.sum(axis=0)).ravel()
        terms["plug"] = kind.value_of_time * traffic.plug_hours(name)
        terms["degradation"] = kind.degradation * discharged
        terms["battery energy"] = kind.energy_value * (
            traffic.rules(name).start - paths.arrival_kwh
        )
    return terms


def constant_cost(traffic: Traffic, name: str) -> FloatArray:
    """Part of the cost of a class's paths that no flow or price changes, (path,) $/veh."""
    return sum(constant_terms(traffic, name).values(), np.zeros(len(traffic.paths[name])))


def path_terms(
    traffic: Traffic, values: Mapping[str, FloatArray], name: str
) -> dict[str, FloatArray]:
    """Terms of the cost C_p of a class's paths at its own value of time, (path,) $/veh.

    Travel, tolls where roads charge them, waiting, plug, degradation, battery energy, charging and
    discharging (negative); `values` by block name. All that says what a path costs starts here.
    """
    kind, paths = traffic.classes[name], traffic.paths[name]
    times = traffic.travel_time.time(values["drivers.arc_flow"])
    terms = constant_terms(traffic, name)
    terms["travel"] = kind.value_of_time * (paths.arc_incidence.T @ times)
    if kind.kind == "ev":
        waits = traffic.queue_time.time(values["drivers.station_flow"])
        terms["waiting"] = kind.value_of_time * (traffic.queue_stops(name).T @ waits)
        terms["charging"] = paths.charge_energy.T @ values["charge_price"]
    if name in traffic.sellers:
        terms["discharging"] = -(paths.discharge_energy.T @ values["discharge_price"])
    return {term: terms[term] for term in PATH_TERMS if term in terms}


def drivers(scenario: Scenario, traffic: Traffic) -> Program:
    """The drivers' block.

    Notes
    -----
    Variables: `flow_<class>` by path, `arc_flow` by arc, `station_flow` by queue (station, or
    station and direction), veh/h. Rows: `demand_<class>` by OD pair, whose multiplier is the trip
    cost u_w in $/veh; `arc_time` and `queue_time` define arc and station flows, their multipliers
    are the priced travel and waiting times ($/veh). Energy is bought at the charging price and sold
    at the discharging price.
    """
    p = Program("drivers", scenario.money_scale)
    omega = traffic.value_of_time
    graph, stations = traffic.graph, len(scenario.stations)
    flows: dict[str, Variable] = {}
    weight: dict[Variable, float] = {}
    arc_total = np.zeros(len(graph.arcs))
    stop_total = np.zeros(len(traffic.queues))
    for name, kind in traffic.classes.items():
        paths, demand = traffic.paths[name], traffic.demand[name]
        legs, wanted = traffic.legs.get(name), demand
        if legs is not None:
            wanted = legs.plan_incidence @ _evenly(legs.od_incidence, demand)
        begin = _evenly(paths.od_incidence, wanted)
        flow = p.variable(
            f"flow_{name}" if legs is None else f"route_{name}",
            ("path",),
            paths.labels if legs is None else legs.route_labels(),
            unit="veh/h",
            # every trip counts alike, however few make it
            scale=wanted[paths.od],
            row_scale=_cost_scale(p, traffic, demand),
            start=begin,
            reach=wanted[paths.od],
            meaning=f"path flow of class {name} (f)"
            if legs is None
            else f"flow of class {name} on a route of a leg",
        )
        flows[name] = flow
        weight[flow] = kind.value_of_time / omega if kind.kind == "ev" else 1.0
        p.cost(flow, traffic.rescaling(name) * constant_cost(traffic, name))
        arc_total += paths.arc_incidence @ begin
        stop_total += traffic.queue_stops(name) @ begin
        if kind.kind == "ev":
            p.sell("charge_price", {flow: -paths.charge_energy}, stations)
            if name in traffic.sellers:
                p.sell("discharge_price", {flow: paths.discharge_energy}, stations)

    total = sum(float(d.sum()) for d in traffic.demand.values())
    pairs = sum(len(d) for d in traffic.demand.values())
    arc_scale = total / pairs
    arc_flow = p.variable(
        "arc_flow",
        ("arc",),
        graph.arcs,
        unit="veh/h",
        scale=arc_scale,
        row_scale=_cost_scale(p, traffic, arc_scale),
        lower=-np.inf,
        start=arc_total,
        reach=total,
        meaning="flow of all classes on an arc (x)",
    )
    p.separable_cost(arc_flow, _priced(traffic.travel_time, omega))
    p.equality(
        "arc_time",
        ("arc",),
        graph.arcs,
        terms={arc_flow: 1.0, **{f: -traffic.paths[k].arc_incidence for k, f in flows.items()}},
        unit="veh/h",
        scale=arc_scale,
        multiplier_scale=_cost_scale(p, traffic, arc_scale),
        start=omega * traffic.travel_time.time(arc_total),
        weights=weight,
        meaning="arc flow is the sum of path flows (omega t)",
    )
    electric = {k: f for k, f in flows.items() if traffic.classes[k].kind == "ev"}
    # more piles than vehicles measure nothing
    piles = np.minimum(traffic.queue_time.piles, total)
    station_scale = float(piles.mean()) if stations else 1.0
    by_queue = ("station",) if traffic.shared_queues else ("station", "direction")
    station_flow = p.variable(
        "station_flow",
        by_queue,
        traffic.queues,
        unit="veh/h",
        scale=station_scale,
        row_scale=_cost_scale(p, traffic, station_scale),
        lower=-np.inf,
        start=stop_total,
        reach=total,
        meaning="vehicles that stop at a station (n)",
    )
    p.separable_cost(station_flow, _priced(traffic.queue_time, omega))
    p.equality(
        "queue_time",
        by_queue,
        traffic.queues,
        terms={
            station_flow: 1.0,
            **{f: -traffic.queue_stops(k) for k, f in electric.items()},
        },
        unit="veh/h",
        scale=station_scale,
        multiplier_scale=_cost_scale(p, traffic, station_scale),
        start=omega * traffic.queue_time.time(stop_total),
        weights=weight,
        meaning="station flow is the sum of stopping path flows (omega wait)",
    )
    for name, flow in flows.items():
        paths = traffic.paths[name]
        cost = traffic.rescaling(name) * constant_cost(traffic, name)
        cost = cost + omega * (paths.arc_incidence.T @ traffic.travel_time.time(arc_total))
        cheapest = np.full(paths.od_count, np.inf)
        np.minimum.at(cheapest, paths.od, cost)
        trips, serves = flow, paths.od_incidence
        if name in traffic.legs:
            trips, serves, cheapest = _plans(p, traffic, name, flow, cheapest)
        p.equality(
            f"demand_{name}",
            ("origin", "destination"),
            traffic.od_names(name),
            terms={trips: serves},
            rhs=traffic.demand[name],
            unit="veh/h",
            scale=traffic.demand[name],
            multiplier_scale=_cost_scale(p, traffic, traffic.demand[name]),
            start=cheapest,
            meaning=f"path flows of class {name} meet the demand (u)",
        )
    return p


def _cost_scale(p: Program, traffic: Traffic, flow: float | FloatArray) -> float:
    """Scale of costs ($/veh) beside flows of that mean size.

    Their product is the money scale, but costs are never measured by less than a trip's: where
    almost nobody drives they are still to be right.
    """
    return min(p.money_scale / float(np.mean(flow)), traffic.free_flow_cost)


def _evenly(serves: sp.csr_array, wanted: FloatArray) -> FloatArray:
    """(column,) what every row wants, spread evenly over the columns that serve it."""
    share: FloatArray = serves.T @ (wanted / np.asarray(serves.sum(axis=1)).ravel())
    return share


def _plans(
    p: Program, traffic: Traffic, name: str, route: Variable, cost: FloatArray
) -> tuple[Variable, sp.csr_array, FloatArray]:
    """Flow of plans of stops, made of legs whose routes carry it.

    `cost` (leg,) starts the price of a leg; returns the variable, the OD pairs it serves and the
    start of their trip costs.
    """
    legs, demand = traffic.legs[name], traffic.demand[name]
    serves, uses = legs.od_incidence, legs.plan_incidence
    od = np.array(legs.plan_od, dtype=np.int64)
    plan = p.variable(
        f"plan_{name}",
        ("plan",),
        legs.plan_labels,
        unit="veh/h",
        scale=demand[od],
        row_scale=_cost_scale(p, traffic, demand),
        start=_evenly(serves, demand),
        reach=demand[od],
        meaning=f"trips of class {name} by stops",
    )
    p.equality(
        f"leg_{name}",
        ("leg",),
        legs.labels,
        terms={route: traffic.paths[name].od_incidence, plan: -uses},
        unit="veh/h",
        scale=uses @ demand[od],
        multiplier_scale=_cost_scale(p, traffic, demand),
        start=cost,
        meaning=f"routes of a leg carry the plans of class {name} that have it",
    )
    least = np.full(demand.size, np.inf)
    np.minimum.at(least, od, uses.T @ cost)
    return plan, serves, least


def _priced(curve: TravelTime | QueueTime, omega: float) -> TravelTime | QueueTime:
    return replace(curve, weight=omega)
