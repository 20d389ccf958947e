"""Column generation: which paths enter the problem, before the first round and between rounds."""

from __future__ import annotations

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.convex.relaxation import least_relaxation
from v2geq.market.coupling import Coupled
from v2geq.scenario import Scenario
from v2geq.trips.battery import DISCHARGE
from v2geq.trips.generation import price_all, price_energy
from v2geq.trips.paths import make_path
from v2geq.trips.traffic import Traffic

NEW_PATH_GAIN = 1e-10
"""Relative saving from which a path outside the problem is added to it."""
DEAR = 0.1
"""Relative excess cost from which a path without flow is dropped between rounds."""


def by_paths(coupled: Coupled, z: FloatArray) -> tuple[Coupled, FloatArray]:
    """The problem over paths, and its point, that belong to a point of one over legs."""
    roads, values = coupled.traffic.joined(coupled.mcp.split(z))
    whole = coupled.over(roads)
    return whole, whole.mcp.join({b.name: values[b.name] for b in whole.mcp.blocks})


def borrow_paths(source: Coupled, scenario: Scenario, roads: Traffic) -> Traffic:
    """`roads` with the paths another equilibrium uses, where roads and stations are the same."""
    theirs = source.traffic
    stations, others = (list(s.stations.index) for s in (scenario, source.scenario))
    if theirs.graph.arcs != roads.graph.arcs or stations != others:
        return roads
    borrowed = {}
    for name in roads.paths:
        if name not in theirs.paths or theirs.od_names(name) != roads.od_names(name):
            continue
        used = theirs.paths[name].paths
        if roads.classes[name].kind == "ev":
            rules = roads.rules(name)
            may = [p for p in used if name in roads.sellers or DISCHARGE not in p.pattern]
            again = (make_path(roads.graph, rules, *p.key) for p in may)
            used = tuple(p for p in again if p is not None)
        borrowed[name] = used
    return roads.with_paths(borrowed)


def extend(coupled: Coupled, z: FloatArray) -> Traffic:
    """The traffic with paths that would be cheaper than those in use."""
    values, traffic = coupled.mcp.split(z), coupled.traffic
    limit = traffic.trip_costs(values, -NEW_PATH_GAIN)
    return traffic.with_paths(price_all(traffic, traffic.conditions(values), limit).paths)


def prune(coupled: Coupled, z: FloatArray, roads: Traffic) -> Traffic:
    """`roads` without paths of the problem that have no flow and cost far more than those in use.

    Paths added since are kept.
    """
    values, excess = coupled.mcp.split(z), coupled.mcp.split(coupled.mcp.F(z))
    wanted = {}
    for name, paths in roads.paths.items():
        if name in roads.legs:
            continue  # a leg's route may serve another plan
        flow, more = roads.path_flow(values, name), roads.path_flow(excess, name)
        cost = np.abs(values[roads.demand_key(name)])[paths.od[: len(flow)]]
        wanted[name] = np.ones(len(paths), dtype=np.bool_)
        wanted[name][: len(flow)] = (more <= DEAR * cost) | (flow > 0.0)
    return roads.keep(wanted)


def reconcile(coupled: Coupled) -> Traffic:
    """The traffic with paths that help to keep all limits.

    The point of a failed run has no useful prices. Those of the least relaxation of limits are
    exact: while it is positive and some path earns at them, the path makes it smaller.
    """
    conflict, traffic = least_relaxation(coupled.mcp), coupled.traffic
    if not conflict.limits:
        return traffic
    price = coupled.mcp.split(conflict.prices)
    traded = [price[key] for key in ("charge_price", "discharge_price") if key in price]
    highest = float(np.abs(np.concatenate(traded)).max(initial=0.0))
    below = {}
    for name in traffic.electric:
        cost = price[traffic.demand_key(name)]
        most = traffic.classes[name].battery * highest
        below[name] = cost - NEW_PATH_GAIN * (most + np.abs(cost))
    found = price_energy(traffic, price["charge_price"], price.get("discharge_price"), below)
    return traffic.with_paths(found)
