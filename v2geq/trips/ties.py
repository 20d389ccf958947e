"""All cheapest paths, not one of each OD pair: what path flows of an equilibrium may use.

A depth-first search over routes and stops that only follows what can still end at the least cost.
What a leg still costs is known exactly, from Pareto fronts of (time, energy) towards its end, so
the search visits nothing but cheapest paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.roads.graph import Graph
from v2geq.trips.battery import CHARGE, DISCHARGE, EnergyRules, Wear
from v2geq.trips.costs import Rates
from v2geq.trips.fronts import LegFronts
from v2geq.trips.paths import Path, make_path

MOST = 20_000
"""Paths of a class beyond two for each OD pair after which the search gives up."""


@dataclass(frozen=True)
class _Wear:
    """Wear of a sale of `surplus` less the energy used on the way, and what it is beside prices.

    With `per_kwh` used on the way the cost of the energy is least at `best`.
    """

    curve: Wear
    surplus: float
    per_kwh: float
    best: float

    @staticmethod
    def of(curve: Wear, surplus: float, per_kwh: float) -> _Wear:
        low, high = 0.0, surplus
        for _ in range(60):
            middle = 0.5 * (low + high)
            slope = float(curve.first(np.array([surplus - middle]))[0])
            low, high = (middle, high) if slope > per_kwh else (low, middle)
        return _Wear(curve, surplus, per_kwh, low)

    def least(self, used: float) -> float:
        """Least wear and cost of energy where so much is used, or more."""
        at = max(used, self.best)
        return self.value(at) + self.per_kwh * at

    def value(self, used: float) -> float:
        """Wear where so much energy is used on the way, $."""
        return _worn(self.curve, self.surplus - used)


@lru_cache(maxsize=100_000)
def _worn(curve: Wear, kwh: float) -> float:
    return float(curve.value(np.array([max(kwh, 0.0)]))[0])


@dataclass(frozen=True)
class _End:
    """Where a leg ends, and its cost: value_of_time * time + weight * energy + constant + wear."""

    node: int
    weight: float
    constant: float
    budget: float
    more_than: float = -np.inf
    wear: _Wear | None = None


Route = tuple[tuple[int, ...], float]  # arcs and cost without the constant


def cheapest_paths(
    graph: Graph,
    rules: EnergyRules,
    times_h: FloatArray,
    od_pairs: IntArray,
    station_node: IntArray,
    rates: Rates,
    limit: FloatArray,
) -> list[Path] | None:
    """Every energy-feasible path that costs at most `limit`, legs without cycles.

    Parameters
    ----------
    times_h
        (arc,) generalised times in h.
    limit
        (od,) $ per trip, little more than the least cost: the search grows with what it finds.

    Returns
    -------
    The paths, or None where there are too many (`MOST`), charging is paid for, so that costs are
    no longer bounded by fronts, or a sale at a loss would let vehicles through a closed node.
    """
    if (rates.per_kwh_charged < 0.0).any():
        return None
    sold = rates.discharge_price is not None
    loss = sold and bool((_first_kwh(rates) >= 0.0).any())
    if loss and not graph.through[station_node].all():
        return None
    search = _Search(graph, rules, times_h, od_pairs, station_node, rates)
    paths: list[Path] = []
    for w, (origin, destination) in enumerate(od_pairs.tolist()):
        for arcs, stops in search.trips(origin, destination, float(limit[w])):
            path = make_path(graph, rules, w, arcs, stops)
            if path is not None:
                paths.append(path)
            if len(paths) > MOST + 2 * len(od_pairs):
                return None
    return paths


def _first_kwh(rates: Rates) -> FloatArray:
    """(station,) cost of the first kWh discharged, $/kWh."""
    first = 0.0 if rates.wear is None else float(rates.wear.first(np.zeros(1))[0])
    cost: FloatArray = rates.per_kwh_discharged + first
    return cost


Stops = tuple[tuple[int, str, int], ...]


class _Search:
    def __init__(
        self,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        od_pairs: IntArray,
        station_node: IntArray,
        rates: Rates,
    ) -> None:
        self.rules, self.rates = rules, rates
        self.per_kwh = {CHARGE: rates.per_kwh_charged.tolist()}
        self.per_stop = {CHARGE: rates.per_charge.tolist()}
        if rates.discharge_price is not None:
            self.per_kwh[DISCHARGE] = rates.per_kwh_discharged.tolist()
            self.per_stop[DISCHARGE] = rates.per_discharge.tolist()
            self.pays = (_first_kwh(rates) < 0.0).tolist()
        self.stations: list[int] = station_node.tolist()
        self.through: list[bool] = graph.through.tolist()
        every = np.arange(len(graph.nodes), dtype=np.int64)
        ends = np.concatenate((od_pairs[:, 1], station_node))
        backwards = replace(graph, tail=graph.head, head=graph.tail)
        legs = LegFronts(backwards, rules, times_h, ends, every)
        fronts = legs.fronts
        self.start, self.time, self.energy = (
            a.tolist() for a in (fronts.start, fronts.time, fronts.energy)
        )
        self.row = {node: k for k, node in enumerate(legs.sources.tolist())}
        self.nodes = len(every)
        use = (rules.consumption * graph.length_km).tolist()
        self.leaving: list[list[tuple[int, int, float, float]]] = [[] for _ in graph.nodes]
        for arc, (tail, head, hours) in enumerate(
            zip(graph.tail.tolist(), graph.head.tolist(), times_h.tolist(), strict=True)
        ):
            self.leaving[tail].append((arc, head, rates.value_of_time * hours, use[arc]))
        self._wear: dict[tuple[int, float], _Wear] = {}
        self._after: dict[tuple[int, float, int, int], float] = {}

    def destination(self, node: int, level: float) -> _End:
        value, start = self.rates.energy_value, self.rules.start
        return _End(node, value, value * (start - level), level - self.rules.reserve)

    def charge(self, s: int, level: float) -> _End:
        price, rules = self.per_kwh[CHARGE][s], self.rules
        missing = rules.battery - level
        return _End(
            self.stations[s],
            price,
            price * missing + self.per_stop[CHARGE][s],
            level - rules.reserve,
            rules.tolerance - missing,
        )

    def discharge(self, s: int, level: float) -> _End:
        cost, rules = self.per_kwh[DISCHARGE][s], self.rules
        surplus = level - rules.low
        budget = min(level - rules.reserve, surplus - rules.tolerance)
        constant = cost * surplus + self.per_stop[DISCHARGE][s]
        if (s, level) not in self._wear and self.rates.wear is not None:
            self._wear[s, level] = _Wear.of(self.rates.wear, surplus, -cost)
        wear = self._wear.get((s, level))
        return _End(self.stations[s], -cost, constant, budget, wear=wear)

    def least(self, node: int, end: _End, used: float = 0.0) -> float:
        """Least cost from a node to the end of a leg without the constant, inf if out of reach.

        With wear a bound of it, which holds its own and the cost of energy of the whole leg.
        """
        front = self.row[end.node] * self.nodes + node
        left = end.budget + self.rules.tolerance - used
        omega = self.rates.value_of_time
        best = np.inf
        for k in range(self.start[front], self.start[front + 1]):
            if self.energy[k] <= left:
                energy = self.energy[k]
                cost = end.weight * energy
                if end.wear is not None:
                    cost = end.wear.least(used + energy) - end.weight * used
                best = min(best, omega * self.time[k] + cost)
        return best

    def routes(self, node: int, end: _End, limit: float) -> Iterator[Route]:
        """Routes of a leg that cost at most `limit` without the constant."""
        budget = end.budget + self.rules.tolerance
        waiting: list[tuple[int, float, float, tuple[int, ...], frozenset[int]]] = [
            (node, 0.0, 0.0, (), frozenset((node,)))
        ]
        while waiting:
            here, cost, used, arcs, seen = waiting.pop()
            if here == end.node:
                worn = 0.0 if end.wear is None else end.wear.value(used)
                if used > end.more_than and cost + worn <= limit:
                    yield arcs, cost + worn
                continue
            if here != node and not self.through[here]:
                continue
            for arc, head, price, energy in self.leaving[here]:
                total, spent = cost + price + end.weight * energy, used + energy
                if head in seen or spent > budget:
                    continue
                if total + self.least(head, end, spent) <= limit:
                    waiting.append((head, total, spent, (*arcs, arc), seen | {head}))

    def options(
        self, level: float, used: tuple[int, ...], sold: bool
    ) -> Iterator[tuple[int, str, _End, float, bool]]:
        """Stops that may come next: station, kind, end of the leg, level after, whether sold."""
        if len(used) > 1:
            return
        for s in range(len(self.stations)):
            if s in used:
                continue
            yield s, CHARGE, self.charge(s, level), self.rules.battery, sold
            # a sale at a loss is in no cheapest path while charging costs something
            if DISCHARGE in self.per_kwh and not sold and self.pays[s]:
                yield s, DISCHARGE, self.discharge(s, level), self.rules.low, True

    def after(self, used: tuple[int, ...], level: float, sold: bool, goal: int) -> float:
        """Least cost from the last stop to the goal."""
        key = (used[-1], level, len(used), goal)
        if key not in self._after:
            node = self.stations[used[-1]]
            end = self.destination(goal, level)
            best = self.least(node, end) + end.constant
            for s, _, stop, then, gone in self.options(level, used, sold):
                leg = self.least(node, stop) + stop.constant
                if leg < np.inf:
                    best = min(best, leg + self.after((*used, s), then, gone, goal))
            self._after[key] = best
        return self._after[key]

    def trips(
        self, origin: int, goal: int, limit: float
    ) -> Iterator[tuple[tuple[int, ...], Stops]]:
        """Arcs and stops of all trips that cost at most `limit`."""
        waiting: list[tuple[int, float, tuple[int, ...], bool, float, tuple[int, ...], Stops]] = [
            (origin, self.rules.start, (), False, 0.0, (), ())
        ]
        while waiting:
            node, level, used, sold, cost, arcs, stops = waiting.pop()
            end = self.destination(goal, level)
            left = limit - cost - end.constant
            if self.least(node, end) <= left:
                for more, _ in self.routes(node, end, left):
                    yield arcs + more, stops
            for s, kind, stop, then, gone in self.options(level, used, sold):
                rest = self.after((*used, s), then, gone, goal)
                left = limit - cost - stop.constant - rest
                if self.least(node, stop) > left:
                    continue
                for more, price in self.routes(node, stop, left):
                    way = arcs + more
                    waiting.append(
                        (
                            self.stations[s],
                            then,
                            (*used, s),
                            gone,
                            cost + price + stop.constant,
                            way,
                            (*stops, (s, kind, len(way))),
                        )
                    )
