"""Drivers: Wardrop equilibrium on the charge/discharge-expanded road graph.

model.md, 2. With one value of time the conditions are those of one convex program over path
flows (Beckmann); several values of time give a variational inequality of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.roads.delay import TravelTime
from v2geq.scenario import Scenario
from v2geq.trips.costs import constant_cost, time_cost
from v2geq.trips.queues import QueueTime
from v2geq.trips.traffic import Traffic

DRIVERS = "drivers"
"""Player whose program holds all classes."""


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
    p = Program(DRIVERS, scenario, title="Drivers")
    omega = traffic.value_of_time
    graph, stations = traffic.graph, len(scenario.stations)
    flows: dict[str, Variable] = {}
    costs: dict[str, FloatArray] = {}
    weight: dict[Variable, float] = {}
    arc_total = np.zeros(len(graph.arcs))
    stop_total = np.zeros(len(traffic.queues))
    for name, kind in traffic.classes.items():
        paths, demand = traffic.paths[name], traffic.demand[name]
        legs, wanted = traffic.legs.get(name), demand
        if legs is not None:
            wanted = legs.plan_incidence @ _evenly(legs.od_incidence, demand)
        begin = _evenly(paths.od_incidence, wanted)
        on_leg = f"flow of class {name} on a route of a leg"
        flow = p.variable(
            f"flow_{name}" if legs is None else f"route_{name}",
            "path",
            paths.labels if legs is None else legs.route_labels(),
            unit="veh/h",
            # every trip counts alike, however few make it
            scale=wanted[paths.od],
            row_scale=_cost_scale(p, traffic, demand),
            start=begin,
            reach=wanted[paths.od],
            meaning=f"path flow of class {name} (f)" if legs is None else on_leg,
        )
        flows[name] = flow
        weight[flow] = kind.value_of_time / omega if kind.kind == "ev" else 1.0
        if kind.cost_of_time:
            weight[flow] = 0.0
        costs[name] = traffic.rescaling(name) * constant_cost(traffic, name)
        p.cost(flow, costs[name])
        arc_total += paths.arc_incidence @ begin
        stop_total += traffic.queue_stops(name) @ begin
        if kind.kind == "ev":
            p.sell("charge_price", {flow: -paths.charge_energy}, stations)
            if name in traffic.sellers:
                p.sell("discharge_price", {flow: paths.discharge_energy}, stations)

    total = sum(float(d.sum()) for d in traffic.demand.values())
    pairs = sum(len(d) for d in traffic.demand.values())

    def add_flow(
        name: str,
        row: str,
        by: dict[str, Any],
        curve: TravelTime | QueueTime,
        uses: Mapping[str, sp.csr_array],
        start: FloatArray,
        scale: float,
        meanings: tuple[str, str],
    ) -> None:
        """What all paths send along arcs or into queues, at the price of its time."""
        shape = {**by, "unit": "veh/h", "scale": scale}
        price = _cost_scale(p, traffic, scale)
        free: dict[str, Any] = {**shape, "row_scale": price, "lower": -np.inf, "reach": total}
        flow = p.variable(name, **free, start=start, meaning=meanings[0])
        p.separable_cost(flow, replace(curve, weight=omega))
        p.equality(
            row,
            **shape,
            terms={flow: 1.0, **{flows[k]: -m for k, m in uses.items()}},
            multiplier_scale=price,
            start=omega * curve.time(start),
            weights=weight,
            meaning=meanings[1],
        )

    add_flow(
        "arc_flow",
        "arc_time",
        {"dims": "arc", "labels": graph.arcs},
        traffic.travel_time,
        {k: traffic.paths[k].arc_incidence for k in flows},
        arc_total,
        total / pairs,
        ("flow of all classes on an arc (x)", "arc flow is the sum of path flows (omega t)"),
    )
    # more piles than vehicles measure nothing
    piles = np.minimum(traffic.queue_time.piles, total)
    by_queue = "station" if traffic.shared_queues else ("station", "direction")
    add_flow(
        "station_flow",
        "queue_time",
        {"dims": by_queue, "labels": traffic.queues},
        traffic.queue_time,
        {k: traffic.queue_stops(k) for k in traffic.electric},
        stop_total,
        float(piles.mean()) if stations else 1.0,
        (
            "vehicles that stop at a station (n)",
            "station flow is the sum of stopping path flows (omega wait)",
        ),
    )
    for name, kind in traffic.classes.items():
        if kind.cost_of_time:
            hours = {
                f"{p.player}.{row}": sp.csr_array(uses.T / omega)
                for row, uses in (
                    ("arc_time", traffic.paths[name].arc_incidence),
                    ("queue_time", traffic.queue_stops(name)),
                )
            }
            plug = traffic.plug_hours(name) if kind.kind == "ev" else np.zeros(len(flows[name]))
            p.composite_cost(flows[name], time_cost(kind), hours, plug)
    for name, flow in flows.items():
        paths = traffic.paths[name]
        at_start = omega * (paths.arc_incidence.T @ traffic.travel_time.time(arc_total))
        cheapest = paths.least(costs[name] + at_start)
        trips, serves = flow, paths.od_incidence
        if name in traffic.legs:
            trips, serves, cheapest = _plans(p, traffic, name, flow, cheapest)
        p.equality(
            f"demand_{name}",
            ("origin", "destination"),
            traffic.od_names(name),
            terms={trips: serves},
            rhs=traffic.demand[name],
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
    serves, uses, od = legs.od_incidence, legs.plan_incidence, legs.plan_od
    plan = p.variable(
        f"plan_{name}",
        "plan",
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
        "leg",
        legs.labels,
        terms={route: traffic.paths[name].od_incidence, plan: -uses},
        scale=uses @ demand[od],
        multiplier_scale=_cost_scale(p, traffic, demand),
        start=cost,
        meaning=f"routes of a leg carry the plans of class {name} that have it",
    )
    least = np.full(demand.size, np.inf)
    np.minimum.at(least, od, uses.T @ cost)
    return plan, serves, least
