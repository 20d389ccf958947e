"""Compiled loops of pricing and of a gap once, on next to nothing: compiled before their turn."""

from __future__ import annotations

import numpy as np

from v2geq.roads.graph import Graph
from v2geq.roads.kernels.assignment import Pool, Roads, State, Trips, gap
from v2geq.roads.kernels.trees import Star
from v2geq.trips.battery import EnergyRules
from v2geq.trips.costs import Rates
from v2geq.trips.pricing import price_paths, shortest_routes


def rehearse() -> None:
    """Judge an assignment of nothing, then price two nodes, an arc and a station.

    In later processes this only loads the loops. What an assignment needs first of all is left to
    whoever begins with one at the same time.
    """
    reals, whole, small = np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    star = Star(np.zeros(1, dtype=np.int64), whole, whole, whole, np.zeros(0, dtype=np.bool_))
    gap(
        Roads(star, np.zeros((1, 0)), np.ones(1)),
        Trips(np.zeros(1, dtype=np.int64), whole, whole, whole, reals),
        Pool(whole, whole, whole, whole, reals, reals, small, np.zeros(4, dtype=np.int64)),
        State(reals, reals, reals, reals, np.zeros(0, dtype=np.int8), small, reals),
        np.zeros((0, 0), dtype=np.int32),
        reals,
    )
    one = np.ones(1)
    graph = Graph(
        ("a", "b"), ("ab",), np.array([0]), np.array([1]), one, one, np.ones(2, dtype=np.bool_)
    )
    pairs = np.array([[0, 1]])
    price_paths(
        graph,
        EnergyRules(battery=10.0, reserve=1.0, low=5.0, consumption=0.2),
        one,
        pairs,
        np.array([1]),
        Rates(1.0, one, one, one, one, one, 0.0, 0.0),
    )
    shortest_routes(graph, one, pairs)
