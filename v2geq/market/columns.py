"""Column generation: which paths enter the problem, before the first round and between rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.convex.relaxation import least_relaxation
from v2geq.market.coupling import Coupled, couple
from v2geq.scenario import Scenario
from v2geq.trips.generation import StationPrices, price_all, price_energy
from v2geq.trips.paths import PathSet, make_path
from v2geq.trips.traffic import Traffic

NEW_PATH_GAIN = 1e-10
"""Relative saving from which a path outside the problem is added to it."""
DEAR = 0.1
"""Relative excess cost from which a path without flow is dropped between rounds."""


def by_paths(coupled: Coupled, z: FloatArray) -> tuple[Coupled, FloatArray]:
    """The problem over paths, and its point, that belong to a point of one over legs."""
    roads, values = coupled.traffic, coupled.mcp.split(z)
    paths, flow = dict(roads.paths), dict(values)
    for name, legs in roads.legs.items():
        found = legs.join(values[f"drivers.route_{name}"], values[f"drivers.plan_{name}"])
        stations = legs.routes.stations
        paths[name] = PathSet(roads.graph, len(legs.pairs), len(stations), found, stations=stations)
        flow[f"drivers.flow_{name}"] = np.array(list(found.values()))
    whole = couple(coupled.scenario, replace(roads, paths=paths, legs={}), coupled.own)
    return whole, whole.mcp.join({b.name: flow[b.name] for b in whole.mcp.blocks})


def borrow_paths(source: Coupled, scenario: Scenario, roads: Traffic) -> None:
    """Add the paths another equilibrium uses, where roads and stations are the same."""
    theirs = source.traffic
    if theirs.graph.arcs != roads.graph.arcs or list(source.scenario.stations.index) != list(
        scenario.stations.index
    ):
        return
    for name in roads.paths:
        if name not in theirs.paths or theirs.od_names(name) != roads.od_names(name):
            continue
        used = theirs.paths[name].paths
        if roads.classes[name].kind == "ev":
            rules = roads.rules(name)
            again = [
                make_path(roads.graph, rules, *p.key)
                for p in used
                if name in roads.sellers or "D" not in p.pattern
            ]
            used = tuple(p for p in again if p is not None)
        roads.add(name, used)


def extend(coupled: Coupled, z: FloatArray, roads: Traffic) -> int:
    """Add to `roads` paths that would be cheaper than those in use; how many columns that makes."""
    values, traffic = coupled.mcp.split(z), coupled.traffic
    limit = {}
    for name in traffic.classes:
        cost = traffic.trip_cost(name, values)
        limit[name] = cost - NEW_PATH_GAIN * np.abs(cost)
    prices = StationPrices(values["charge_price"], values.get("discharge_price"))
    found = price_all(
        traffic, values["drivers.arc_flow"], values["drivers.station_flow"], prices, below=limit
    )
    return sum(roads.add(name, paths) for name, paths in found.paths.items())


def prune(coupled: Coupled, z: FloatArray, roads: Traffic) -> None:
    """Drop from `roads` paths of the problem without flow that cost far more than those in use.

    Paths added since are kept.
    """
    values, excess = coupled.mcp.split(z), coupled.mcp.split(coupled.mcp.F(z))
    for name, paths in roads.paths.items():
        if name in roads.legs:
            continue  # a leg's route may serve another plan
        flow = f"drivers.flow_{name}"
        count = len(values[flow])
        cost = np.abs(values[f"drivers.demand_{name}"])[paths.od[:count]]
        wanted = np.ones(len(paths), dtype=np.bool_)
        wanted[:count] = (excess[flow] <= DEAR * cost) | (values[flow] > 0.0)
        paths.keep(wanted)


def reconcile(coupled: Coupled, roads: Traffic) -> int:
    """Add to `roads` paths that help to keep all limits; how many columns that makes.

    The point of a failed run has no useful prices. Those of the least relaxation of limits are
    exact: while it is positive and some path earns at them, the path makes it smaller.
    """
    conflict = least_relaxation(coupled.mcp)
    if not conflict.limits:
        return 0
    price = coupled.mcp.split(conflict.prices)
    prices = StationPrices(price["charge_price"], price.get("discharge_price"))
    traded = [p for p in (prices.charge, prices.discharge) if p is not None]
    highest = float(np.abs(np.concatenate(traded)).max(initial=0.0))
    below = {}
    for name, kind in roads.classes.items():
        if kind.kind == "ev":
            cost = price[f"drivers.demand_{name}"]
            below[name] = cost - NEW_PATH_GAIN * (kind.battery * highest + np.abs(cost))
    found = price_energy(roads, prices, below)
    return sum(roads.add(name, paths) for name, paths in found.items())
