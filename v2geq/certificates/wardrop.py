"""Wardrop's condition: how far drivers are from the cheapest paths, recomputed from a point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import V2GError
from v2geq.show import brief
from v2geq.trips.costs import TIME_TERMS, path_terms
from v2geq.trips.generation import price_all
from v2geq.trips.traffic import Traffic

SLIGHT = 1e-6
"""Share of the cost of all trips below which their travel time measures no gap."""
NO_COST = 1e-12
"""$ that costs are compared with where all of them are zero, as on roads that take no time."""


@dataclass(frozen=True)
class Wardrop:
    """How far drivers are from the cheapest paths.

    Attributes
    ----------
    gap, gap_all_paths : sum f (C - cheapest) / sum f * time cost, over the listed paths and over
        all; nan where drivers choose from a list and costs allow no search over all
    trip_cost_gap, worst : see `v2geq.certificates.market.Certificate`
    gains : class -> what its drivers could save together if each took the cheapest energy-feasible
        path at the present times and prices, $/h
    time_costs : class -> cost of the time of all its trips, $/h
    """

    gap: float
    gap_all_paths: float
    trip_cost_gap: float
    worst: str
    gains: dict[str, float]
    time_costs: dict[str, float]

    __repr__ = brief


def wardrop(traffic: Traffic, values: Mapping[str, FloatArray], *, exact: bool) -> Wardrop:
    """Compare every path in use, and every trip cost u, with the cheapest path.

    `exact`: drivers choose from all paths, not from a list.
    """
    none = {name: np.full(len(d), -np.inf) for name, d in traffic.demand.items()}
    try:
        cheapest = price_all(traffic, traffic.conditions(values), below=none).cost
    except V2GError:  # costs for which there is no search over all paths
        if exact:
            raise
        cheapest = {}
    listed = total = travel = spent = 0.0
    off, worst = 0.0, ""
    gains: dict[str, float] = {}
    time_costs: dict[str, float] = {}
    for name, paths in traffic.paths.items():
        flow, terms = traffic.path_flow(values, name), path_terms(traffic, values, name)
        cost, on_road = sum(terms.values(), np.zeros(len(paths))), terms["travel"]
        least = paths.least(cost)
        over_all = np.minimum(cheapest[name], least) if cheapest else least
        listed += float(flow @ (cost - least[paths.od]))
        gains[name] = float(flow @ (cost - over_all[paths.od]))
        total += gains[name]
        time_costs[name] = sum(float(flow @ terms[t]) for t in TIME_TERMS if t in terms)
        travel += float(flow @ on_road)
        spent += float(flow @ np.abs(cost))
        if not paths.od_count:
            continue
        u = traffic.trip_cost(values, name)
        size = np.maximum(np.maximum(np.abs(u), paths.least(on_road)), NO_COST)
        apart = np.abs(u - (over_all if exact else least)) / size
        w = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
        if not apart[w] <= off:
            off, worst = float(apart[w]), f"{name} {'-'.join(traffic.od_names(name)[w])}"
    # where travel takes no time, as a share of what else trips cost
    base = travel if travel > SLIGHT * spent else spent
    over_all_paths = relative(total, base) if cheapest or not traffic.paths else float("nan")
    return Wardrop(relative(listed, base), over_all_paths, off, worst, gains, time_costs)


def relative(part: float, whole: float) -> float:
    """Part of a whole that may be nothing."""
    return part / whole if whole > 0.0 else (0.0 if part == 0.0 else np.inf)
