"""Every player alone: the equilibrium and the KKT block against the problem written by hand."""

from __future__ import annotations

from dataclasses import replace

import byhand
import cvxpy as cp
import numpy as np
import pytest
from cases import make_case, make_feeder

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.mcp.assemble import MCP
from v2geq.mcp.program import Program
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import Options

pytestmark = pytest.mark.slow

RUNS = [
    ("ieee123_sioux_falls", "stress", False),
    ("ieee123_sioux_falls", "stress", True),
    ("ieee123_sioux_falls", "island", True),
    ("ieee123_sioux_falls_binding", "stress", True),
    ("ieee123_sioux_falls_binding", "island", True),
]
PLAYERS = ["cno", "dso", "lse.A", "lse.B", "drivers"]


def direct(eq: vg.Equilibrium, f: byhand.Facts, player: str, price) -> byhand.Direct:
    """The player's problem by hand, the equilibrium's strategies put in."""
    if player == "cno":
        problem = byhand.cno_problem(f, price)
        byhand.put(problem.parts["charge"], eq.charge_kw)
        byhand.put(problem.parts["discharge"], eq.discharge_kw)
        plants = problem.parts["plants"]
        for x, result in (
            (plants.pv, "pv_kw"),
            (plants.into, "store_charge_kw"),
            (plants.out, "store_discharge_kw"),
        ):
            byhand.put(x, eq.data[result] if result in eq.data else np.zeros(len(f.stations)))
        return problem
    if player == "dso":
        problem = byhand.dso_problem(f, price)
        problem.parts["grid"].assign(eq)
        return problem
    if player == "drivers":
        problem = byhand.driver_problem(f, byhand.path_lists(eq), price)
        problem.parts["trips"].assign(eq)
        return problem
    name = player.removeprefix("lse.")
    problem = byhand.lse_problem(f, name, price, rivals_of(eq, f, name))
    problem.parts["retailer"].assign(eq)
    return problem


def rivals_of(eq: vg.Equilibrium, f: byhand.Facts, name: str) -> np.ndarray:
    total = np.zeros(int((f.responsive > 0).sum()))
    for other in f.case.lses.index:
        if other != name:
            k = byhand.Retailer(f, other)
            k.assign(eq)
            total = total + k.q.value
    return total


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize(("case", "scenario", "v2g"), RUNS)
def test_spec_player_optimum_at_equilibrium(solved, case, scenario, v2g, player) -> None:
    """The optimum at equilibrium prices is what the player has, and what it does is allowed."""
    eq = solved(case, scenario, v2g)
    f = byhand.facts(eq.original, scenario, v2g)
    problem = direct(eq, f, player, byhand.prices_of(eq, f))
    now = float(problem.objective.value)
    own = eq.coupled.programs[player].profit(eq.values, eq.values)
    turnover = eq.accounts.turnover.filter(like=player).sum()
    assert problem.violation <= 1e-9 * max(1.0, turnover)
    # the package states the same objective (drivers: with the sign of a profit)
    assert now == pytest.approx(-own if player == "drivers" else own, abs=1e-11 * turnover)
    best = problem.optimum()
    assert best == pytest.approx(now, abs=1e-9 * turnover)


def alone(eq: vg.Equilibrium, player: str, prices: dict[str, np.ndarray]) -> tuple[MCP, np.ndarray]:
    """The player's block as a problem of its own: prices pinned, rivals held still."""
    program = eq.coupled.programs[player]
    rivals = []
    for term in program.nonlinear:
        for key in getattr(term, "rivals", ()):
            still = Program(key.rsplit(".", 1)[0], program.money_scale)
            value = eq.values[key]
            still.variable(
                "sales",
                ("bus",),
                eq.coupled.mcp[key].labels,
                unit="kW",
                scale=1.0,
                lower=value,
                upper=value,
                start=value,
            )
            rivals.append(still)
    markets = []
    known = {market.name: market for market in eq.coupled.mcp.markets}
    for sale in program.sales:
        old = known[sale.market]
        markets.append(replace(old, start=prices[sale.market], pinned=range(len(old.labels))))
    problem = MCP([program, *rivals], markets)
    result = interior_point(problem, None, Options(tolerance=1e-10))
    assert result.status.ok, result.status
    return problem, result.z


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("case", "scenario"),
    [("ieee123_sioux_falls", "stress"), ("ieee123_sioux_falls_binding", "island")],
)
def test_spec_player_block_alone(solved, case, scenario, seed, player) -> None:
    """At prices off the equilibrium the block alone has the profit of the hand-written optimum."""
    eq = solved(case, scenario, True)
    f = byhand.facts(eq.original, scenario, True)
    rng = np.random.default_rng(seed)
    prices = {m.name: eq.values[m.name].copy() for m in eq.coupled.mcp.markets}
    # off the equilibrium, but without arbitrage, or a player could earn without end
    for name, sign in (
        ("charge_price", -1),
        ("purchase_price", -1),
        ("discharge_price", 1),
        ("resale_price", 1),
        ("tso_price", 1),
    ):
        prices[name] += sign * rng.uniform(0.0, 0.05, len(prices[name]))
    if player == "cno":  # sells c+ at rho+, buys at pi+: pi+ - rho+ >= pi- - rho- keeps it bounded
        prices["purchase_price"] = prices["charge_price"] + rng.uniform(
            -0.05, 0.05, len(prices["charge_price"])
        )
        margin = prices["charge_price"] - prices["purchase_price"]
        prices["resale_price"] = (
            prices["discharge_price"] - margin - rng.uniform(0.0, 0.05, len(margin))
        )
    if player == "dso":
        prices["wheeling_price"] += rng.uniform(-0.02, 0.02, len(prices["wheeling_price"]))
        prices["wheeling_price"][0] = 0.0
    mcp, z = alone(eq, player, prices)
    values = mcp.split(z)
    profit = eq.coupled.programs[player].profit({**eq.values, **values}, prices)

    s = [list(eq.scenario.stations.index).index(k) for k in f.stations.index]
    fee = dict(zip(eq.scenario.buses, prices["wheeling_price"], strict=True))
    by_hand = {
        "rho_c": prices["charge_price"][s],
        "rho_d": prices["discharge_price"][s],
        "pi_c": prices["purchase_price"][s],
        "pi_d": prices["resale_price"][s],
        "tau": float(prices["tso_price"][0]),
        "fee": np.array([fee[b] for b in f.buses]),
        "energy": np.zeros(len(s)),
    }
    best = direct(eq, f, player, by_hand).optimum()
    sign = -1 if player == "drivers" else 1
    turnover = eq.accounts.turnover.filter(like=player).sum()
    assert sign * profit == pytest.approx(best, abs=2e-9 * max(turnover, abs(best)))
    if player != "drivers":  # the test means nothing if the prices left the optimum where it was
        now = eq.coupled.programs[player].profit(eq.values, prices)
        assert best > now + 1e-6


def test_spec_dso_box_and_polygon() -> None:
    """The wheeling of a sold kW is limited by the box, or by the apothem of the polygon."""
    for kind, sides, most in (
        ("box", 16, 50.0),
        ("polygon", 4, 50.0 * np.cos(np.pi / 4) * np.sqrt(2)),
        ("polygon", 16, 50.0),
    ):
        case = make_case(
            feeder=make_feeder({"r-a": {"rating_kva": 50.0, "x_ohm": 0.0}}, {"a": 200.0}),
            stations={},
            generators={"g": {"lse": "A", "bus": "a", "max_kw": 10.0}},
            line_rating=kind,
            rating_sides=sides,
            scenarios={"base": ScenarioData()},
        )
        eq = vg.solve(case)
        # corners of the polygon lie on the P axis, so all of the rating carries real power
        assert float(eq.p_kw[0]) == pytest.approx(most, rel=1e-9)
        f = byhand.facts(case, "base", True)
        grid = byhand.Grid(f)
        problem = cp.Problem(cp.Maximize(grid.p[0]), grid.constraints)
        byhand.solve(problem)
        assert problem.value == pytest.approx(most, rel=1e-7)
