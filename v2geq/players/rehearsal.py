"""Every compiled loop of pricing once, on the smallest road: to compile them before their turn."""

from __future__ import annotations

import numpy as np

from v2geq.players.paths import EnergyRules
from v2geq.players.pricing import price_paths, shortest_routes
from v2geq.roads.graph import Graph


def rehearse() -> None:
    """Price two nodes, an arc and a station; in later processes this only loads the loops."""
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
        value_of_time=1.0,
        charge_wait_h=one,
        discharge_wait_h=one,
        charge_price=one,
        discharge_price=one,
        charger_power=one,
        degradation=0.0,
        energy_value=0.0,
    )
    shortest_routes(graph, one, pairs)
