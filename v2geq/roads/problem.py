"""One assignment problem in the arrays of the compiled loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.checks.door import admit_road
from v2geq.errors import DataError
from v2geq.roads.classes import Demand, UserClass, gather_demand
from v2geq.roads.delay import delay_arrays
from v2geq.roads.graph import Graph
from v2geq.show import brief

if TYPE_CHECKING:
    from v2geq.data.model.road import RoadNetwork
    from v2geq.roads.kernels.assignment import Roads, State, Trips
    from v2geq.roads.kernels.delay import DelayArrays


@dataclass(frozen=True, eq=False)
class AssignmentProblem:
    """Roads and demand of an assignment; in `roads`, `delay` and `state` arcs are sorted by tail.

    Attributes
    ----------
    road, graph, classes, demand : as given, in arrays, by name, by OD pair
    roads, trips, delay, state : what the kernels work on; `state` changes
    """

    road: RoadNetwork
    graph: Graph
    classes: Mapping[str, UserClass]
    demand: Demand
    roads: Roads
    trips: Trips
    delay: DelayArrays
    state: State

    __repr__ = brief

    @classmethod
    def build(cls, road: RoadNetwork, classes: Mapping[str, UserClass]) -> AssignmentProblem:
        """Gather and check all data; raises `DataError` for what cannot be used."""
        from v2geq.roads.kernels import assignment as kernels
        from v2geq.roads.kernels.delay import BPR

        road = admit_road(road)
        graph = Graph.from_road(road)
        demand = gather_demand(graph, classes)
        order = graph.star.arc
        arcs, nodes = len(graph.arcs), len(graph.nodes)
        fixed = np.array([c.fixed_minutes(road, name) for name, c in classes.items()])
        roads = kernels.Roads(
            graph.star,
            np.ascontiguousarray(fixed[:, order]),
            np.array([c.pce for c in classes.values()], dtype=float),
        )
        groups, first = np.unique(demand.kind * nodes + demand.origin, return_index=True)
        trips = kernels.Trips(
            np.append(first, demand.trips.size),
            groups % nodes,
            groups // nodes,
            demand.destination,
            demand.trips,
        )
        whole = delay_arrays(road)
        by_arc = {
            name: np.ascontiguousarray(getattr(whole, name)[order])
            for name in whole._fields
            if name not in ("code", "operand")
        }
        delay = whole._replace(**by_arc)
        # not where the fourth power of the capacity would lose digits
        usual = (delay.capacity > 1e-60) & (delay.capacity < 1e60)
        fourth = (delay.kind == BPR) & (delay.power == 4.0) & usual
        quartic = np.full(arcs, -1.0)
        quartic[fourth] = (delay.free_flow * delay.b)[fourth] / delay.capacity[fourth] ** 4
        state = kernels.State(
            flow=np.zeros(arcs),
            time=np.zeros(arcs),
            slope=np.zeros(arcs),
            quartic=quartic,
            mark=np.zeros(arcs, dtype=np.int8),
            changed=np.zeros(2 * nodes, dtype=np.int32),
            sign=np.zeros(2 * nodes),
        )
        problem = cls(road, graph, classes, demand, roads, trips, delay, state)
        problem.retime()
        if problem.overflow:
            raise DataError(
                f"the travel time of {problem.overflow} is not finite at no flow",
                where=road.source,
                advice="check its parameters, above all the capacity",
            )
        return problem

    def retime(self) -> None:
        """Times and slopes of all arcs at their flows."""
        from v2geq.roads.kernels.delay import retime

        flow, time, slope, quartic = self.state[:4]
        arcs = np.arange(len(self.graph.arcs), dtype=np.int32)
        retime(self.delay, quartic, flow, time, slope, arcs, 0, arcs.size)

    @property
    def overflow(self) -> str:
        """The first arc whose time or slope is not finite, for messages; '' where all are."""
        bad = np.flatnonzero(~np.isfinite(self.by_arc(self.state.time + self.state.slope)))
        return f"arc {self.graph.arcs[bad[0]]!r}" if bad.size else ""

    def by_arc(self, values: FloatArray) -> FloatArray:
        """Values in the kernels' order as values in the graph's order."""
        out = np.empty_like(values)
        out[..., self.graph.star.arc] = values
        return out

    def pair_name(self, w: int) -> str:
        """Origin and destination of an OD pair, for messages."""
        nodes = self.graph.nodes
        return f"{nodes[self.demand.origin[w]]} -> {nodes[self.demand.destination[w]]}"
