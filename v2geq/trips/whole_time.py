"""Cheapest paths where the time of a whole trip has a cost that is convex in it.

The cost of a path is then no sum over its arcs. A tangent of the cost of time bounds it from below,
and with the tangent paths are priced as ever: the least bound is raised over tangents, and what is
left between it and the best path known is searched through, path by path.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import V2GError
from v2geq.mcp.expression import Expression
from v2geq.roads.graph import Graph
from v2geq.trips.battery import CHARGE, EnergyRules
from v2geq.trips.costs import Rates
from v2geq.trips.fronts import LegFronts
from v2geq.trips.paths import Path
from v2geq.trips.pricing import price_paths
from v2geq.trips.ties import cheapest_paths

TANGENTS = 30
"""Most tangents tried for a pair."""
CLOSE = 1e-11
"""Share of a trip's cost up to which bound and path are the same."""


class WholeTime:
    """Prices paths of one class at given times and prices.

    Parameters
    ----------
    times_h, toll
        (arc,) travel times in h and tolls in $.
    rates
        What the class pays beside tolls; its value of time is not used.
    cost
        Cost of the hours of a trip, $: convex, its slope above zero.
    """

    def __init__(
        self,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        toll: FloatArray,
        od_pairs: IntArray,
        station_node: IntArray,
        rates: Rates,
        cost: Expression,
    ) -> None:
        self.graph, self.rules, self.times_h, self.toll = graph, rules, times_h, toll
        self.pairs, self.stations, self.rates, self.cost = od_pairs, station_node, rates, cost
        self.fronts = LegFronts.for_pairs(graph, rules, times_h, od_pairs, station_node)

    def cheapest(self, below: FloatArray | None) -> tuple[FloatArray, list[Path]]:
        """(od,) least costs, inf where there is no path, and paths that cost less than `below`."""
        best = [self._pair(w) for w in range(len(self.pairs))]
        cost = np.array([u for u, _ in best])
        limit = np.full(len(cost), np.inf) if below is None else below
        return cost, [p for (u, p), most in zip(best, limit, strict=True) if p and u < most]

    def all_cheapest(self, limit: FloatArray) -> list[Path] | None:
        """Every path that costs at most `limit` (od,); None where there are too many."""
        found: list[Path] = []
        for w, most in enumerate(limit.tolist()):
            _, path = self._pair(w)
            if path is None:
                continue
            some = self._within(w, self.hours(path), most)
            if some is None:
                return None
            found += [p for u, p in some if u <= most]
        return found

    def hours(self, path: Path) -> float:
        """Hours of the whole trip."""
        rates, total = self.rates, float(self.times_h[list(path.arcs)].sum())
        for s in path.stops:
            wait = rates.charge_wait_h if s.kind == CHARGE else rates.discharge_wait_h
            total += float(wait[s.station] + s.energy_kwh / rates.charger_power[s.station])
        return total

    def _tangent(self, at: float) -> tuple[float, float]:
        """Value and slope of the cost of time."""
        value, slope = (float(x[0]) for x in self.cost.derivatives(np.array([at]), 1))
        return value, slope

    def _money(self, path: Path) -> float:
        """Cost of a path but for its time, $."""
        rates = self.rates
        total = float(self.toll[list(path.arcs)].sum())
        total += rates.energy_value * (self.rules.start - path.arrival_kwh)
        for s in path.stops:
            if s.kind == CHARGE:
                total += float(rates.charge_price[s.station]) * s.energy_kwh
                continue
            assert rates.discharge_price is not None
            price = rates.degradation - float(rates.discharge_price[s.station])
            total += price * s.energy_kwh
            if rates.wear is not None:
                total += float(rates.wear.value(np.array([s.energy_kwh]))[0])
        return total

    def _full(self, path: Path) -> float:
        """Cost of a path, $."""
        return self._tangent(self.hours(path))[0] + self._money(path)

    def _pair(self, w: int) -> tuple[float, Path | None]:
        """Least cost of a pair and a path of that cost."""
        best, chosen = np.inf, None
        bound, at, where = -np.inf, 0.0, 0.0
        low, high = 0.0, np.inf
        for _ in range(TANGENTS):
            value, slope = self._tangent(at)
            linear, paths = self._priced(w, slope)
            if not paths:
                return np.inf, None
            hours, full = self.hours(paths[0]), self._full(paths[0])
            if full < best:
                best, chosen = full, paths[0]
            if linear + value - slope * at > bound:
                bound, where = linear + value - slope * at, at
            if best - bound <= CLOSE * (abs(best) + abs(bound)) or hours == at:
                break
            # the bound is concave in the point of the tangent
            low, high = (at, high) if hours > at else (low, at)
            at = hours if low < hours < high else 0.5 * (low + high)
            if high - low <= CLOSE * high:
                break
        if best - bound > CLOSE * (abs(best) + abs(bound)):
            some = self._within(w, where, best)
            if some is None:
                raise V2GError(
                    "the cheapest path by the time of the whole trip cannot be found: too many "
                    "paths are nearly as cheap, or charging is paid for; use a flatter "
                    "cost_of_time, or the path method 'enumerate'"
                )
            for full, path in some:
                if full < best:
                    best, chosen = full, path
        return best, chosen

    def _rates(self, slope: float) -> tuple[FloatArray, Rates]:
        """Generalised times and rates with time at this price."""
        return self.times_h + self.toll / slope, replace(self.rates, value_of_time=slope)

    def _priced(self, w: int, slope: float) -> tuple[float, list[Path]]:
        """Least cost of a pair with time at this price, and such a path."""
        times, rates = self._rates(slope)
        pair = self.pairs[w : w + 1]
        cost, paths = price_paths(
            self.graph,
            self.rules,
            times,
            pair,
            self.stations,
            rates,
            fronts=self.fronts.at(times) if self.toll.any() else self.fronts,
        )
        return float(cost[0]), [replace(p, od=w) for p in paths]

    def _within(self, w: int, at: float, most: float) -> list[tuple[float, Path]] | None:
        """Paths of a pair, with their cost, that a tangent does not show to cost more than that."""
        value, slope = self._tangent(at)
        times, rates = self._rates(slope)
        limit = np.array([most - value + slope * at + 1e-9 * abs(most)])
        found = cheapest_paths(
            self.graph, self.rules, times, self.pairs[w : w + 1], self.stations, rates, limit
        )
        if found is None:
            return None
        return [(self._full(p), replace(p, od=w)) for p in found]
