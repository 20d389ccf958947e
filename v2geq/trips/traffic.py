"""Roads, demand and the paths drivers choose from, under one scenario.

model.md, 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.data.checks.road import arc_tolls
from v2geq.data.model.drivers import DriverClass
from v2geq.labelled import Labelled, eye, whole
from v2geq.roads.delay import TravelTime
from v2geq.roads.graph import Graph
from v2geq.scenario import Scenario
from v2geq.show import ByName, brief
from v2geq.trips.battery import EnergyRules
from v2geq.trips.enumeration import enumerate_paths, enumerate_routes
from v2geq.trips.fronts import FrontCache
from v2geq.trips.legs import LegSet
from v2geq.trips.paths import Path, PathSet
from v2geq.trips.queues import QueueTime
from v2geq.trips.reach import reach, require_feasible


@dataclass(frozen=True)
class TripConditions:
    """What drivers meet on the roads and at stations.

    Attributes
    ----------
    arc_flow, queue_flow : flows that make travel and waiting times, veh/h
    charge_price, discharge_price : (station,) $/kWh; None without V2G
    """

    arc_flow: FloatArray
    queue_flow: FloatArray
    charge_price: FloatArray
    discharge_price: FloatArray | None

    __repr__ = brief


@dataclass(frozen=True)
class Traffic:
    """Road graph, demand and paths of every driver class under one scenario.

    Other paths make another traffic. What a point of the market says of drivers is read here, from
    `values` by block; names of the drivers' blocks are known here and to the player only.

    Attributes
    ----------
    demand : class -> (od,) trips, veh/h; od_pairs : class -> (od, 2) node positions
    paths : class -> the paths its drivers choose from
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
    paths: Mapping[str, PathSet]
    station_node: IntArray
    station_power: FloatArray
    queue_of: IntArray
    queues: tuple[tuple[str, ...], ...]
    travel_time: TravelTime
    toll: FloatArray
    queue_time: QueueTime
    sellers: frozenset[str]
    legs: Mapping[str, LegSet] = field(default_factory=dict)
    fronts: FrontCache = field(default_factory=FrontCache, repr=False, compare=False)

    def __repr__(self) -> str:
        classes = ", ".join(
            f"{name} {self.demand[name].sum():,.0f} veh/h on {len(paths):,} paths"
            for name, paths in self.paths.items()
        )
        return f"<Traffic on {len(self.graph.arcs)} arcs: {classes}>"

    @property
    def electric(self) -> list[str]:
        """Names of the electric classes."""
        return [name for name, kind in self.classes.items() if kind.kind == "ev"]

    @property
    def value_of_time(self) -> float:
        """Value of time in which arc and queue times are priced: that of the electric vehicles.

        What fuel vehicles pay beside time, tolls, no flow or price changes, so any positive factor
        on their costs leaves their choice unchanged; see `rescaling`.
        """
        return self.classes[[*self.electric, *self.classes][0]].value_of_time

    @property
    def free_flow_cost(self) -> float:
        """Cost of the time on a mean arc without traffic, at least of a minute, $/veh."""
        free_flow = self.travel_time.time(np.zeros(len(self.graph.arcs)))
        return self.value_of_time * max(float(free_flow.mean()), 1.0 / 60.0)

    # -- other paths --------------------------------------------------------------------------

    @property
    def columns(self) -> int:
        """Number of paths, or of routes of legs and plans, in the problem."""
        plans = sum(len(own.plan_od) for own in self.legs.values())
        return plans + sum(len(own) for own in self.paths.values())

    def with_paths(self, more: Mapping[str, Iterable[Path]]) -> Traffic:
        """The traffic whose drivers choose from more paths as well, class -> paths."""
        legs = {name: own.with_paths(more.get(name, ())) for name, own in self.legs.items()}
        paths = {
            name: legs[name].routes if name in legs else own.with_paths(more.get(name, ()))
            for name, own in self.paths.items()
        }
        return replace(self, paths=paths, legs=legs)

    def keep(self, wanted: Mapping[str, BoolArray]) -> Traffic:
        """The traffic whose drivers choose from fewer paths, class -> (path,) those they keep."""
        kept = {name: self.paths[name].keep(own) for name, own in wanted.items()}
        return replace(self, paths={**self.paths, **kept})

    def over(self, paths: Mapping[str, PathSet]) -> Traffic:
        """The traffic over other path sets, class -> set; no legs are commodities then."""
        return replace(self, paths={**self.paths, **paths}, legs={})

    def joined(self, values: Mapping[str, FloatArray]) -> tuple[Traffic, dict[str, FloatArray]]:
        """The traffic over paths in place of legs, and the values of a point over these."""
        paths, over_paths = {}, dict(values)
        for name, legs in self.legs.items():
            found = legs.join(values[f"drivers.route_{name}"], values[f"drivers.plan_{name}"])
            paths[name] = PathSet(self.graph, len(legs.pairs), legs.routes.stations, found)
            over_paths[self.flow_key(name)] = np.array(list(found.values()))
        return self.over(paths), over_paths

    # -- what a point says --------------------------------------------------------------------

    arc_key: ClassVar[str] = "drivers.arc_flow"
    queue_key: ClassVar[str] = "drivers.station_flow"

    def flow_key(self, name: str) -> str:
        """Block of the path flows of a class; none where legs are its commodities."""
        return f"drivers.flow_{name}"

    def demand_key(self, name: str) -> str:
        """Block of the rows that meet a class's demand, and of their multipliers u."""
        return f"drivers.demand_{name}"

    def arc_flow(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(arc,) flow of all classes, veh/h."""
        return values[self.arc_key]

    def queue_flow(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(queue,) vehicles that stop, veh/h."""
        return values[self.queue_key]

    def path_flow(self, values: Mapping[str, FloatArray], name: str) -> FloatArray:
        """(path,) flow of a class, veh/h."""
        return values[self.flow_key(name)]

    def trip_cost(self, values: Mapping[str, FloatArray], name: str) -> FloatArray:
        """(od,) trip costs of a class at its own value of time, $/veh."""
        cost: FloatArray = values[self.demand_key(name)] / self.rescaling(name)
        return cost

    def trip_costs(
        self, values: Mapping[str, FloatArray], margin: float = 0.0
    ) -> dict[str, FloatArray]:
        """Class -> (od,) trip costs and a share of their size, $/veh."""
        costs = {name: self.trip_cost(values, name) for name in self.classes}
        return {name: cost + margin * np.abs(cost) for name, cost in costs.items()}

    def conditions(self, values: Mapping[str, FloatArray]) -> TripConditions:
        """What drivers meet at the point."""
        return TripConditions(
            self.arc_flow(values),
            self.queue_flow(values),
            values["charge_price"],
            values.get("discharge_price"),
        )

    def results(self, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
        """Flows and times of arcs, trips and their costs, stops and waits at stations."""
        flow, arc = self.arc_flow(values), ("arc",)
        text = "flow of all classes"
        yield whole("flow_veh_h", arc, self.arc_key, values, "veh/h", text)
        yield Labelled("time_h", arc, self.travel_time.time(flow), "h", "travel time")
        yield Labelled("toll", arc, self.toll, "$/veh", "toll")
        ratio = flow / self.travel_time.capacity
        yield Labelled("volume_capacity", arc, ratio, "", "flow over capacity")
        for name in self.classes:
            incidence, text = self.paths[name].arc_incidence, f"flow of class {name}"
            own, part = incidence @ self.path_flow(values, name), {self.flow_key(name): incidence}
            yield Labelled(f"flow_{name}_veh_h", arc, own, "veh/h", text, parts=part)
            od, trips, cost = (f"od_{name}",), self.demand[name], self.trip_cost(values, name)
            yield Labelled(f"trips_{name}_veh_h", od, trips, "veh/h", f"trips of class {name}")
            part = {self.demand_key(name): sp.csr_array(eye(len(cost)) / self.rescaling(name))}
            text = f"cost of a trip of class {name} (u)"
            yield Labelled(f"cost_{name}", od, cost, "$/veh", text, parts=part)
        yield from self._stops(values)

    def _stops(self, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
        """Stops and waits, of both directions and, where these wait apart, of each."""
        flow = self.queue_flow(values)
        at, waits = ("station",), self.waits(flow)
        if self.shared_queues:
            text = "vehicles that stop"
            yield whole("stops_veh_h", at, self.queue_key, values, "veh/h", text)
            yield Labelled("wait_h", at, waits[0], "h", "waiting time per stop")
            return
        stops = flow[self.queue_of]
        weight = np.maximum(stops, 0.0)
        weight[0, weight.sum(axis=0) == 0.0] = 1.0
        mean = (weight * waits).sum(axis=0) / weight.sum(axis=0)
        text = "mean waiting time per stop; where nobody stops, of charging"
        yield Labelled("stops_veh_h", at, stops.sum(axis=0), "veh/h", "vehicles that stop")
        yield Labelled("wait_h", at, mean, "h", text)
        for word, n, wait in zip(("charge", "discharge"), stops, waits, strict=True):
            what = f"vehicles that stop to {word}"
            yield Labelled(f"{word}_stops_veh_h", at, n, "veh/h", what)
            yield Labelled(f"{word}_wait_h", at, wait, "h", f"waiting time per stop to {word}")

    # -- what drivers see ---------------------------------------------------------------------

    def rescaling(self, name: str) -> float:
        """Factor from a class's own costs to those in the problem.

        Fuel vehicles' are at `value_of_time` there: their time enters as everybody's, which keeps
        the map monotone, and their tolls at the same rate of exchange. Energy prices of electric
        vehicles are paid to others, so their costs stay as they are.
        """
        kind = self.classes[name]
        linear = kind.kind == "fv" and not kind.cost_of_time
        return self.value_of_time / kind.value_of_time if linear else 1.0

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
        return sum(float(self.demand[k].sum()) * self.classes[k].battery for k in self.electric)


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
    road = case.traffic_road
    graph = Graph.from_road(road)
    where = {n: i for i, n in enumerate(graph.nodes)}
    station_node = np.array([where[n] for n in scenario.stations["road_node"]], dtype=np.int64)
    names = list(scenario.stations.index)
    may_sell = {name: kind.kind == "ev" and kind.v2g for name, kind in case.drivers.items()}
    sellers = frozenset(name for name, may in may_sell.items() if may and scenario.v2g)
    listed = first_paths and case.paths.method != "exact"
    demand: dict[str, FloatArray] = ByName()
    pairs: dict[str, IntArray] = {}
    paths: dict[str, PathSet] = {}
    legs: dict[str, LegSet] = {}
    for name, kind in case.drivers.items():
        table = case.trips[name]
        table = table[table["trips_veh_h"] > 0]
        pairs[name] = graph.pairs(table)
        demand[name] = table["trips_veh_h"].to_numpy(dtype=float)
        od = [(int(o), int(d)) for o, d in pairs[name]]
        first = []
        if kind.kind == "ev":
            rules, routes = EnergyRules.from_class(kind), case.paths.base_routes_ev
            if listed:
                sells = name in sellers
                first = enumerate_paths(graph, rules, od, station_node, routes, sells)
            else:
                require_feasible(graph, rules, od, station_node)
            if first_paths and case.paths.form == "legs":
                legs[name] = LegSet(graph, rules, pairs[name], names)
        elif listed:
            first = enumerate_routes(graph, od, case.paths.base_routes_fv)
        own = legs.get(name)
        paths[name] = PathSet(graph, len(od), names, first) if own is None else own.routes
    stations = scenario.stations
    # without V2G nobody waits to discharge
    apart = scenario.v2g and case.station_settings.queue == "direction"
    one = np.arange(len(names), dtype=np.int64)
    twice = 2 if apart else 1
    both = tuple((n, w) for w in ("charge", "discharge") for n in names)
    queues = both if apart else tuple((n,) for n in names)

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
        queues,
        TravelTime.from_road(road),
        arc_tolls(road, currency=case.currency),
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
    electric = traffic.electric
    usable = np.zeros(len(traffic.station_node), dtype=bool)
    for name in electric:
        pairs, rules = traffic.od_pairs[name], traffic.rules(name)
        usable |= reach(traffic.graph, rules, pairs, traffic.station_node).usable
    names = traffic.paths[electric[0]].stations if electric else ()
    return [name for name, used in zip(names, usable, strict=False) if not used]
