"""Pareto fronts of (time, energy) of all legs: what pricing needs of the roads, whatever prices.

Every stop leaves the battery at B or B_dis, so a path falls into independent legs (model.md, 2,
table of legs). While no energy price is negative, the cheapest route of a leg lies on its front.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from copy import copy

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import DataError
from v2geq.roads.graph import Graph
from v2geq.trips.battery import EnergyRules
from v2geq.trips.kernels.labels import Fronts, label_setting

#: energies closer than this share of the battery count as equal on a front: it keeps rounding
#: from filling fronts with copies, far below the slack of the budgets
_FRONT_TOLERANCE = 1e-12


class LegFronts:
    """Pareto fronts of (time, energy) of all legs, for one vector of travel times.

    One label setting per source. Routes do not pass nodes that are not `through`; they may start
    or end there.

    Parameters
    ----------
    graph, rules
        Road graph and battery of the class; the budget of every label is R = (1 - alpha) B. The
        front for a lower budget is the part of it that keeps that budget, so the fronts serve for
        any level at departure and after a discharge.
    times_h
        (arc,) generalised times in h, zero or more.
    sources, targets
        Node positions where legs may start and end (doubles are dropped).

    Attributes
    ----------
    fronts
        All fronts by (source, target), see `v2geq.trips.kernels.labels.Fronts`.
    star, step_time_h, step_energy_kwh
        The graph with its arcs sorted by tail, and (arc,) time and energy in that order.

    Raises
    ------
    DataError
        If a travel time is negative or not finite.
    """

    def __init__(
        self,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        sources: IntArray,
        targets: IntArray,
    ) -> None:
        self.graph, self.rules = graph, rules
        self.sources, self._row = numbered(sources, len(graph.nodes))
        self.targets, self._column = numbered(targets, len(graph.nodes))
        self.star = graph.star
        self.step_energy_kwh = (rules.consumption * graph.length_km)[self.star.arc]
        self._label(times_h)

    @classmethod
    def for_pairs(
        cls,
        graph: Graph,
        rules: EnergyRules,
        times_h: FloatArray,
        od_pairs: Sequence[tuple[int, int]] | IntArray,
        station_node: IntArray,
    ) -> LegFronts:
        """Fronts that `price_paths` needs: origins and stations to stations and destinations."""
        pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
        nodes = np.asarray(station_node, dtype=np.int64)
        return cls(
            graph,
            rules,
            times_h,
            np.concatenate((pairs[:, 0], nodes)),
            np.concatenate((pairs[:, 1], nodes)),
        )

    def at(self, times_h: FloatArray) -> LegFronts:
        """Fronts of the same legs for other travel times; these themselves where none changed."""
        if np.array_equal(self.times_h, times_h):
            return self
        other = copy(self)
        other._label(times_h)
        return other

    def serves(self, graph: Graph, rules: EnergyRules) -> bool:
        """Whether the fronts are those of this graph, and of a battery of these budgets."""
        own = self.rules
        return graph is self.graph and (own.battery, own.reserve, own.consumption) == (
            rules.battery,
            rules.reserve,
            rules.consumption,
        )

    def rows(self, nodes: IntArray) -> IntArray:
        """Positions of source nodes; raises ValueError for a node that is no source."""
        rows: IntArray = self._row[nodes]
        if rows.size and rows.min() < 0:
            raise ValueError("the leg fronts lack a source node; build them with for_pairs")
        return rows

    def columns(self, nodes: IntArray) -> IntArray:
        """Positions of target nodes; raises ValueError for a node that is no target."""
        columns: IntArray = self._column[nodes]
        if columns.size and columns.min() < 0:
            raise ValueError("the leg fronts lack a target node; build them with for_pairs")
        return columns

    def _label(self, times_h: FloatArray) -> None:
        self.times_h = checked_times(self.graph, times_h)
        self.step_time_h = self.times_h[self.star.arc]
        self.fronts: Fronts = label_setting(
            self.star,
            self.step_time_h,
            self.step_energy_kwh,
            self.sources,
            self._column,
            self.targets.size,
            self.rules.full_budget + self.rules.tolerance,
            _FRONT_TOLERANCE * self.rules.battery,
        )


class FrontCache:
    """Leg fronts of the latest travel times, by what makes them differ."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, LegFronts] = {}

    def at(self, key: Hashable, times_h: FloatArray, build: Callable[[], LegFronts]) -> LegFronts:
        """The fronts of `key` for these times, from those kept; built where none are."""
        known = self.kept.get(key)
        self.kept[key] = build() if known is None else known.at(times_h)
        return self.kept[key]


def numbered(nodes: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The nodes without doubles, and (node,) their positions among these, -1 elsewhere."""
    number = np.full(count, -1, dtype=np.int64)
    number[nodes] = 0
    kept = np.flatnonzero(number == 0)
    number[kept] = np.arange(kept.size)
    return kept, number


def checked_times(graph: Graph, times_h: FloatArray) -> FloatArray:
    """Copy of (arc,) travel times; raises `DataError` where one is negative or not finite."""
    times = np.array(times_h, dtype=np.float64)
    if times.shape != (len(graph.arcs),):
        raise ValueError(f"travel times of shape {times.shape} for {len(graph.arcs)} arcs")
    good = np.isfinite(times) & (times >= 0)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"travel time of arc {graph.arcs[bad]!r} is {times[bad]} h",
            advice="times must be finite and not negative; check flows and capacities",
        )
    return times
