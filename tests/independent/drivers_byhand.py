"""All energy-feasible paths of an EV class on a small road, leg by leg, by full enumeration.

Only tables are read. A leg is every way from one node to another that repeats no node; a path is a
chain of up to three legs. Used to price the cheapest path over all paths, and to say which station
energies are possible at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import permutations, product
from typing import Any

import byhand
import numpy as np

import v2geq as vg
from v2geq.data.edit.case import Case
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.road import RoadNetwork


def reachable(road: RoadNetwork, origin: str) -> set[str]:
    """Nodes a route from `origin` can end at; closed nodes let no route pass."""
    through = dict(zip(road.nodes.index, road.nodes["through"], strict=True))
    ends = list(zip(road.arcs["from_node"], road.arcs["to_node"], strict=True))
    found, todo = {origin}, [origin]
    while todo:
        node = todo.pop()
        if node == origin or through[node]:
            new = {b for a, b in ends if a == node} - found
            found |= new
            todo += new
    return found


def ways(road: RoadNetwork, start: str, goal: str) -> list[list[int]]:
    """Arc positions of every way from `start` to `goal` that repeats no node."""
    through = dict(zip(road.nodes.index, road.nodes["through"], strict=True))
    out: dict[str, list[tuple[int, str]]] = {}
    for k, (a, b) in enumerate(zip(road.arcs["from_node"], road.arcs["to_node"], strict=True)):
        out.setdefault(a, []).append((k, b))
    found: list[list[int]] = []

    def walk(node: str, arcs: list[int], seen: frozenset[str]) -> None:
        if node == goal:
            found.append(arcs)
            return
        if node != start and not through[node]:
            return
        for k, after in out.get(node, []):
            if after not in seen:
                walk(after, [*arcs, k], seen | {after})

    walk(start, [], frozenset({start}))
    return found


class Legs:
    """Times and energies of all legs of a class; `at` and `power` are the stations' nodes and kW."""

    def __init__(
        self, road: RoadNetwork, kind: DriverClass, at: list[str], power: list[float]
    ) -> None:
        self.road, self.kind, self.at = road, kind, at
        self.power = [min(kind.charger_power, p) for p in power]
        self.tol = 1e-9 * kind.battery
        self.start = kind.start_level * kind.battery
        self.first = self.start - kind.reserve * kind.battery
        self.full = (1.0 - kind.reserve) * kind.battery
        self.low_level = kind.discharge_level * kind.battery
        self.low = self.low_level - kind.reserve * kind.battery
        self._ways: dict[tuple[str, str], list[list[int]]] = {}

    def leg(self, start: str, goal: str) -> list[list[int]]:
        if (start, goal) not in self._ways:
            self._ways[start, goal] = ways(self.road, start, goal)
        return self._ways[start, goal]

    @cached_property
    def _use(self) -> np.ndarray:
        return self.kind.consumption * self.road.arcs["length_km"].to_numpy(dtype=float)

    def energies(self, start: str, goal: str, budget: float) -> np.ndarray:
        """Energy of every leg within the budget, kWh."""
        e = np.array([self._use[w].sum() for w in self.leg(start, goal)])
        return e[e <= budget + self.tol]

    def feasible(self, origin: str, goal: str) -> bool:
        """Whether some path gets there."""
        return bool(self.station_energies(origin, goal, v2g=False))

    def station_energies(self, origin: str, goal: str, *, v2g: bool) -> list[dict[int, float]]:
        """Extreme energies by station (charging positive) of one vehicle, over all paths."""
        out: list[dict[int, float]] = []

        def ends(e: np.ndarray) -> list[float]:
            return [float(e.min()), float(e.max())] if len(e) else []

        v2g = v2g and self.kind.v2g
        b, tol, begin = self.kind.battery, self.tol, self.start
        if len(self.energies(origin, goal, self.first)):
            out.append({})
        stations = range(len(self.at))
        last_full = [bool(len(self.energies(n, goal, self.full))) for n in self.at]
        last_low = [bool(len(self.energies(n, goal, self.low))) for n in self.at]

        def at_first(s: int) -> tuple[list[float], list[float]]:
            used = self.energies(origin, self.at[s], self.first)
            filled, given = b - begin + used, begin - self.low_level - used
            return ends(filled[filled > tol]), ends(given[given > tol])

        for s in stations:
            charge, sold = at_first(s)
            if last_full[s]:
                out += [{s: e} for e in charge]
            if v2g and last_low[s]:
                out += [{s: -e} for e in sold]
        for s, t in permutations(stations, 2):
            charge, sold = at_first(s)
            after_full = self.energies(self.at[s], self.at[t], self.full)
            after_low = self.energies(self.at[s], self.at[t], self.low)
            if last_full[t]:
                then = ends(after_full[after_full > tol])
                out += [{s: e, t: f} for e, f in product(charge, then)]
            if v2g and last_low[t]:
                then = ends(after_full[b - self.low_level - after_full > tol])
                out += [{s: e, t: -(b - self.low_level - f)} for e, f in product(charge, then)]
            if v2g and last_full[t]:
                then = ends(after_low)
                out += [{s: -e, t: b - self.low_level + f} for e, f in product(sold, then)]
        return out

    def cheapest(
        self,
        origin: str,
        goal: str,
        hours: np.ndarray,
        waits: tuple[np.ndarray, np.ndarray],
        charge_price: np.ndarray,
        discharge_price: np.ndarray | None,
    ) -> float:
        """Least cost of a path from `origin` to `goal` at given times and prices, $.

        `waits` are those before charging and before discharging.
        """
        k, b, tol = self.kind, self.kind.battery, self.tol
        toll = self.road.arcs["toll"].to_numpy(dtype=float)
        if not k.v2g:
            discharge_price = None

        def least(start: str, end: str, budget: float, cost: Any) -> float:
            found = self.leg(start, end)
            if not found:
                return np.inf
            t = np.array([hours[w].sum() for w in found])
            paid = np.array([toll[w].sum() for w in found])
            e = np.array([self._use[w].sum() for w in found])
            total = k.value_of_time * t + paid + cost(e)
            return float(np.where(e <= budget + tol, total, np.inf).min())

        def to_goal(start: str, level: float, budget: float) -> float:
            return least(start, goal, budget, lambda e: k.energy_value * (self.start - level + e))

        def to_charge(start: str, s: int, level: float, budget: float) -> float:
            price = charge_price[s] + k.value_of_time / self.power[s]

            def cost(e: np.ndarray) -> np.ndarray:
                filled = b - level + e
                paid = k.value_of_time * waits[0][s] + price * filled
                return np.where(filled > tol, paid, np.inf)

            return least(start, self.at[s], budget, cost)

        def to_discharge(start: str, s: int, level: float, budget: float) -> float:
            gain = discharge_price[s] - k.degradation - k.value_of_time / self.power[s]

            def cost(e: np.ndarray) -> np.ndarray:
                given = level - self.low_level - e
                return np.where(given > tol, k.value_of_time * waits[1][s] - gain * given, np.inf)

            return least(start, self.at[s], budget, cost)

        stations = range(len(self.at))
        best = to_goal(origin, self.start, self.first)
        end_full = [to_goal(n, b, self.full) for n in self.at]
        end_low = [to_goal(n, self.low_level, self.low) for n in self.at]
        filled = [to_charge(origin, s, self.start, self.first) for s in stations]
        best = min([best, *(filled[s] + end_full[s] for s in stations)])
        sold = []
        if discharge_price is not None:
            sold = [to_discharge(origin, s, self.start, self.first) for s in stations]
            best = min([best, *(sold[s] + end_low[s] for s in stations)])
        for s, t in permutations(stations, 2):
            best = min(best, filled[s] + to_charge(self.at[s], t, b, self.full) + end_full[t])
            if discharge_price is not None:
                then = to_discharge(self.at[s], t, b, self.full)
                best = min(best, filled[s] + then + end_low[t])
                again = to_charge(self.at[s], t, self.low_level, self.low)
                best = min(best, sold[s] + again + end_full[t])
        return best


def legs_of(
    road: RoadNetwork, drivers: Mapping[str, DriverClass], stations: Any
) -> dict[str, Legs]:
    """Legs of every electric class; `stations` is the table of a case, or rows of it."""
    at, power = list(stations["road_node"]), list(stations["charger_power_kw"])
    return {
        name: Legs(road, kind, at, power) for name, kind in drivers.items() if kind.kind == "ev"
    }


def check_wardrop(eq: vg.Equilibrium) -> None:
    """Nobody has a cheaper path, among all paths of the road enumerated by hand."""
    case = eq.original
    stations = eq.scenario.stations
    x = np.maximum(eq.flow_veh_h.to_numpy(), 0.0)
    arcs = case.road.arcs
    hours = arcs["free_flow_min"].to_numpy() / 60
    ratio = x / byhand.capacities(case)
    hours = hours * (1 + arcs["bpr_b"].to_numpy() * ratio ** arcs["bpr_power"].to_numpy())
    base, slope, piles, eps = byhand.queues(byhand.facts(case, "base", eq.scenario.v2g))
    z = byhand.stops_of(eq) - piles
    wait = base + slope * (z + np.sqrt(z**2 + eps**2)) / 2
    # before charging, before discharging
    waits = (wait[: len(stations)], wait[-len(stations) :])
    selling = eq.discharge_price.to_numpy() if eq.scenario.v2g else None
    legs = legs_of(case.road, case.drivers, stations)
    for name, known in legs.items():
        t = case.trips[name]
        for o, d, u in zip(t["origin"], t["destination"], eq.data[f"cost_{name}"], strict=True):
            least = known.cheapest(o, d, hours, waits, eq.charge_price.to_numpy(), selling)
            gap = (float(u) - least) / _size(case, name, hours, least, o, d)
            if case.paths.method == "exact":
                assert abs(gap) <= 1e-6, (name, o, d, float(u), least)
            else:  # base routes hold some of all paths
                assert gap >= -1e-6, (name, o, d, float(u), least)
    for name, kind in case.drivers.items():
        if kind.kind == "ev":
            continue
        price = kind.value_of_time * hours + arcs["toll"].to_numpy()
        t = case.trips[name]
        for o, d, u in zip(t["origin"], t["destination"], eq.data[f"cost_{name}"], strict=True):
            least = min(float(price[w].sum()) for w in ways(case.road, o, d))
            gap = (float(u) - least) / _size(case, name, hours, least, o, d)
            assert gap >= -1e-6, (name, o, d, float(u), least)
            assert case.paths.method != "exact" or gap <= 1e-6, (name, o, d, float(u), least)


def _size(case: Case, name: str, hours: np.ndarray, cost: float, origin: str, goal: str) -> float:
    """What a gap of a trip's cost is measured by: the cost, at least that of its shortest time."""
    shortest = min(float(hours[w].sum()) for w in ways(case.road, origin, goal))
    return max(abs(cost), case.drivers[name].value_of_time * shortest, 1e-9)
