"""Legs as commodities: trips are plans of stops, and the roads between stops are shared by plans.

Every stop leaves the battery at B or B_dis, so what happens on a leg does not depend on the legs
before it (model.md, 2). Where many plans share legs, one flow per route of a leg and one per plan
are fewer numbers than one per path, and every combination of routes is there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from scipy import sparse

from v2geq.arrays import FloatArray, IntArray
from v2geq.roads.graph import Graph
from v2geq.trips.battery import DISCHARGE, EnergyRules
from v2geq.trips.paths import Path, PathSet, Stop, make_path

START, FULL, LOW = "", "full", "low"  # battery at the start of a leg
End = tuple[str, int]  # (battery level, node or station) or (kind of stop or '', station or node)
Leg = tuple[End, End]


class LegSet:
    """Legs, their routes and the plans of one electric class. A set never changes.

    Attributes
    ----------
    routes
        Routes of all legs as paths: `od` is the position of the leg, which has a stop at its end
        unless that is a destination. `arrival_kwh` is the level at the destination; on legs that
        end at a station that at departure, so that only the last leg counts battery energy.
    """

    def __init__(
        self, graph: Graph, rules: EnergyRules, pairs: IntArray, stations: Sequence[str]
    ) -> None:
        self.graph, self.rules, self.pairs = graph, rules, pairs
        self.routes = PathSet(graph, 0, stations)
        self._legs: dict[Leg, int] = {}
        self._plans: dict[tuple[int, tuple[int, ...]], int] = {}

    def __len__(self) -> int:
        """Return the number of legs."""
        return len(self._legs)

    def __repr__(self) -> str:
        return f"<LegSet: {len(self)} legs, {len(self._plans)} plans of {len(self.pairs)} OD pairs>"

    @property
    def plans(self) -> list[tuple[int, ...]]:
        """(plan,) positions of its legs in travel order."""
        return [legs for _, legs in self._plans]

    @cached_property
    def plan_od(self) -> IntArray:
        """(plan,) position of the OD pair."""
        return np.array([od for od, _ in self._plans], dtype=np.int64)

    def with_paths(self, paths: Iterable[Path]) -> LegSet:
        """These legs and the plans, legs and routes of `paths`."""
        grown = LegSet(self.graph, self.rules, self.pairs, self.routes.stations)
        legs, plans = grown._legs, grown._plans = self._legs.copy(), self._plans.copy()
        routes = []
        for path in paths:
            plan = []
            for leg, route in self._split(path):
                position = legs.setdefault(leg, len(legs))
                plan.append(position)
                routes.append(Path(position, *route))
            plans.setdefault((path.od, tuple(plan)), len(plans))
        grown.routes = self.routes.with_paths(routes, od_count=len(legs))
        return grown

    def _split(
        self, path: Path
    ) -> list[tuple[Leg, tuple[tuple[int, ...], tuple[Stop, ...], float]]]:
        """Legs of a path: ends, and arcs, stop and arrival level of the route between them."""
        origin, destination = (int(n) for n in self.pairs[path.od])
        parts = []
        begin: End = (START, origin)
        done = 0
        for stop in path.stops:
            arcs = path.arcs[done : stop.after]
            at_end = (stop._replace(after=len(arcs)),)
            parts.append(((begin, (stop.kind, stop.station)), (arcs, at_end, self.rules.start)))
            begin = (LOW if stop.kind == DISCHARGE else FULL, stop.station)
            done = stop.after
        last = (path.arcs[done:], (), path.arrival_kwh)
        return [*parts, ((begin, ("", destination)), last)]

    @cached_property
    def plan_incidence(self) -> sparse.csr_array:
        """(leg, plan) one where the plan has the leg."""
        plans = self.plans
        rows = np.array([leg for plan in plans for leg in plan], dtype=np.int64)
        columns = np.repeat(np.arange(len(plans)), [len(plan) for plan in plans])
        shape = (len(self._legs), len(plans))
        return sparse.coo_array((np.ones(rows.size), (rows, columns)), shape=shape).tocsr()

    @cached_property
    def od_incidence(self) -> sparse.csr_array:
        """(od, plan) one where the plan serves the OD pair."""
        n, shape = len(self._plans), (len(self.pairs), len(self._plans))
        return sparse.coo_array((np.ones(n), (self.plan_od, np.arange(n))), shape=shape).tocsr()

    @cached_property
    def labels(self) -> list[str]:
        """(leg,) '1 to +s5': from node 1 to a charge at station s5; 'full s5 to 8'."""
        nodes, stations = self.graph.nodes, self.routes.stations

        def text(leg: Leg) -> str:
            (level, place), (kind, end) = leg
            begin = f"{level} {stations[place]}" if level else nodes[place]
            sign = {"": "", DISCHARGE: "-"}.get(kind, "+")
            return f"{begin} to {sign}{stations[end] if kind else nodes[end]}"

        return [text(leg) for leg in self._legs]

    @property
    def plan_labels(self) -> list[str]:
        """(plan,) '1-20', '1(+s5)-20': origin, stops, destination."""
        nodes, stations = self.graph.nodes, self.routes.stations
        legs = list(self._legs)
        texts = []
        for od, plan in self._plans:
            stops = [legs[leg][1] for leg in plan[:-1]]
            marks = "".join(f"({'-' if k == DISCHARGE else '+'}{stations[s]})" for k, s in stops)
            origin, destination = self.pairs[od]
            texts.append(f"{nodes[origin]}{marks}-{nodes[destination]}")
        return texts

    def route_labels(self) -> list[str]:
        """(route,) the leg and the nodes of the route."""
        legs = self.labels
        return [f"{legs[r.od]}: {self.routes.label(r)}" for r in self.routes.paths]

    def join(self, route_flow: FloatArray, plan_flow: FloatArray) -> dict[Path, float]:
        """Paths and flows that add up to those of the routes and of the plans.

        Plans take the routes of their legs in order until each is used up, so there are at most as
        many paths as plans and routes.
        """
        left = route_flow.copy()
        queue: list[list[int]] = [[] for _ in self._legs]
        for r, route in enumerate(self.routes.paths):
            if left[r] > 0.0 or not queue[route.od]:
                queue[route.od].append(r)
        flow: dict[Path, float] = {}
        served = {od for (od, _), f in zip(self._plans, plan_flow, strict=True) if f > 0.0}
        for (od, plan), wanted in zip(self._plans, plan_flow.tolist(), strict=True):
            rest = max(wanted, 0.0)
            if not rest and od in served:
                continue
            # a pair keeps a path even if the point has no flow for it
            served.add(od)
            while True:
                # the last route of a leg takes what rounding leaves
                step = min([rest, *(max(left[queue[g][0]], 0.0) for g in plan if queue[g][1:])])
                chosen = [queue[g][0] for g in plan]
                flow[self._path(od, chosen)] = step
                rest -= step
                for leg, r in zip(plan, chosen, strict=True):
                    left[r] -= step
                    if left[r] <= 0.0 and len(queue[leg]) > 1:
                        queue[leg].pop(0)
                if not rest > 0.0:
                    break
        return flow

    def _path(self, od: int, routes: Sequence[int]) -> Path:
        arcs: tuple[int, ...] = ()
        stops: list[tuple[int, str, int]] = []
        for r in routes:
            part = self.routes[r]
            arcs += part.arcs
            stops += [(s.station, s.kind, len(arcs)) for s in part.stops]
        path = make_path(self.graph, self.rules, od, arcs, stops)
        if path is None:
            raise ValueError(f"legs of OD position {od} do not join to a feasible path: {stops}")
        return path
