"""Cheapest paths where the whole time of a trip has a cost, against enumeration of all paths."""

from __future__ import annotations

import numpy as np
import pytest
from test_pricing import Problem

from v2geq.arrays import FloatArray
from v2geq.mcp.expression import Expression
from v2geq.trips.costs import Rates
from v2geq.trips.paths import Path
from v2geq.trips.whole_time import WholeTime

FORMULAS = ("6*t + 30*t**2", "0.5*t + 80*t**3", "exp(6*t) - 1", "12*t")


class Timed(Problem):
    """A network with tolls on some arcs."""

    def __init__(self, rng: np.random.Generator, text: str, **settings) -> None:
        super().__init__(rng, **settings)
        self.text = text
        self.toll: FloatArray = np.zeros(len(self.times))
        if rng.random() < 0.5:
            self.toll = rng.choice([0.0, 0.5, 2.0], len(self.times))

    def cost(self, path: Path) -> float:
        hours = sum(self.times[a] for a in path.arcs)
        for s in path.stops:
            wait = self.prices["charge_wait_h" if s.kind == "C" else "discharge_wait_h"]
            hours += wait[s.station] + s.energy_kwh / self.prices["charger_power"][s.station]
        money = super().cost(path) - self.prices["value_of_time"] * hours
        money += sum(self.toll[a] for a in path.arcs)
        return float(eval(self.text, {"t": hours, "exp": np.exp})) + money

    def whole(self) -> WholeTime:
        return WholeTime(
            self.graph,
            self.rules,
            self.times,
            self.toll,
            np.array(self.pairs),
            self.station_node,
            Rates(**self.prices),
            Expression.parse(self.text, variable="t", parameters={}, where="test"),
        )


def test_the_cheapest_of_all_paths_is_found() -> None:
    searched = stopped = 0
    for seed in range(60):
        rng = np.random.default_rng(9000 + seed)
        problem = Timed(
            rng,
            FORMULAS[seed % 4],
            energy_value=(0.0, 0.15)[seed % 2],
            v2g=seed % 3 != 0,
            partial=seed % 5 > 2,
        )
        cost, paths = problem.whole().cheapest(None)
        np.testing.assert_allclose(cost, problem.brute_force(), rtol=1e-9, atol=1e-9)
        assert [p.od for p in paths] == np.flatnonzero(np.isfinite(cost)).tolist()
        for path in paths:
            assert problem.cost(path) == pytest.approx(cost[path.od], rel=1e-9, abs=1e-9)
        stopped += sum(bool(p.stops) for p in paths)
        # what a constant value of time would choose is another path, or nothing is tested
        plain = problem.price()[1] if not problem.toll.any() else []
        searched += sum(problem.cost(p) > cost[p.od] + 1e-6 for p in plain)
    assert searched > 5 and stopped > 40


def test_only_cheaper_paths_are_returned() -> None:
    problem = Timed(np.random.default_rng(9001), FORMULAS[0])
    whole = problem.whole()
    cost, _ = whole.cheapest(None)
    assert whole.cheapest(cost)[1] == []
    assert len(whole.cheapest(cost + 1e-6)[1]) == np.isfinite(cost).sum()


def test_all_cheapest_paths_keep_the_limit() -> None:
    for seed in range(6):
        problem = Timed(np.random.default_rng(9100 + seed), FORMULAS[seed % 4], closed=0)
        whole = problem.whole()
        cost, paths = whole.cheapest(None)
        limit = np.where(np.isfinite(cost), cost + 0.2, 0.0)
        found = whole.all_cheapest(limit)
        assert found is not None
        keys = {p.key for p in found}
        assert {p.key for p in paths} <= keys
        assert all(problem.cost(p) <= limit[p.od] + 1e-9 for p in found)
