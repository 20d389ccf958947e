"""Assembly of programs into one problem: names, pattern, derivatives, direct solutions."""

from __future__ import annotations

import numpy as np
import pytest

import v2geq as vg
from v2geq.convex.deviation import best_deviation
from v2geq.convex.relaxation import least_relaxation
from v2geq.market.coupling import Coupled
from v2geq.mcp.assemble import MCP
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program


def producer(name: str, cost: float, capacity: float) -> Program:
    """Sells x at the market price; cost * x^2; x <= capacity as a row."""
    p = Program(name, 1.0)
    x = p.variable("x", (), [()], unit="kW", scale=1.0)
    p.separable_cost(x, Quadratic(np.zeros(1), np.array([cost])))
    p.sell("price", {x: np.ones((1, 1))}, 1)
    p.at_least(
        "capacity", (), [()], terms={x: -np.ones((1, 1))}, rhs=-capacity, unit="kW", scale=1.0
    )
    return p


def buyer(demand: float) -> Program:
    """Must buy `demand`."""
    p = Program("buyer", 1.0)
    y = p.variable("y", (), [()], unit="kW", scale=1.0)
    p.sell("price", {y: -np.ones((1, 1))}, 1)
    p.equality("need", (), [()], terms={y: np.ones((1, 1))}, rhs=demand, unit="kW", scale=1.0)
    return p


def market() -> Market:
    return Market("price", unit="kW", scale=1.0, start=1.0)


def test_two_producers_share_a_market() -> None:
    """Marginal costs 2x and 6x, demand 4: x = (3, 1), price 6; the buyer's multiplier is the price."""
    from v2geq.solvers.interior_point import interior_point

    mcp = MCP([producer("a", 1.0, 10.0), producer("b", 3.0, 10.0), buyer(4.0)], [market()])
    values = mcp.split(interior_point(mcp).z)
    np.testing.assert_allclose(
        [values[k][0] for k in ("a.x", "b.x", "price", "buyer.need", "a.capacity")],
        [3.0, 1.0, 6.0, 6.0, 0.0],
        atol=1e-8,
    )


def test_capacity_rent_is_the_rows_multiplier() -> None:
    from v2geq.solvers.interior_point import interior_point

    mcp = MCP([producer("a", 1.0, 2.0), producer("b", 3.0, 10.0), buyer(4.0)], [market()])
    values = mcp.split(interior_point(mcp).z)
    # b makes 2 at marginal cost 12; a earns 12 - 4 on its last kW
    np.testing.assert_allclose(
        [values[k][0] for k in ("a.x", "price", "a.capacity")], [2.0, 12.0, 8.0], atol=1e-8
    )


def test_a_pinned_price_stays_and_its_row_is_free() -> None:
    pinned = Market("price", unit="kW", scale=1.0, start=5.0, pinned=[0])
    mcp = MCP([producer("a", 1.0, 10.0)], [pinned])
    assert (mcp.lower[mcp["price"].slice] == 5.0).all()
    assert (mcp.upper[mcp["price"].slice] == 5.0).all()


def test_best_deviation_finds_the_optimum_and_profit() -> None:
    """max 6 x - x^2 subject to x <= 2: x = 2, profit 8."""
    program = producer("a", 1.0, 2.0)
    found = best_deviation(program, {"a.x": np.array([0.5])}, {"price": np.array([6.0])})
    assert found.profit == pytest.approx(8.0, abs=1e-7)
    assert found.values["a.x"][0] == pytest.approx(2.0, abs=1e-7)
    assert program.profit({"a.x": np.array([0.5])}, {"price": np.array([6.0])}) == 2.75


def test_relaxation_names_the_limits_that_conflict() -> None:
    """Demand 4, capacities 1 and 2: one kW is missing."""
    mcp = MCP([producer("a", 1.0, 1.0), producer("b", 1.0, 2.0), buyer(4.0)], [market()])
    found = least_relaxation(mcp).limits
    assert sum(r.amount for r in found) == pytest.approx(1.0, abs=1e-7)
    assert {r.name for r in found} <= {"a.capacity", "b.capacity"}
    assert found[0].unit == "kW"
    feasible = MCP([producer("a", 1.0, 3.0), producer("b", 1.0, 2.0), buyer(4.0)], [market()])
    assert least_relaxation(feasible).limits == []


def test_two_blocks_of_one_name_are_refused() -> None:
    with pytest.raises(vg.DataError, match="share the name"):
        MCP([producer("a", 1.0, 1.0), producer("a", 1.0, 2.0)], [market()])


@pytest.fixture(scope="module")
def coupled() -> Coupled:
    case = vg.load_case("ieee123_sioux_falls_reference")
    return vg.solve(case, "stress", v2g=True).coupled


def test_jacobian_is_the_derivative_of_f(coupled: Coupled) -> None:
    """Directional central differences at a point away from kinks, all rows at once."""
    mcp = coupled.mcp
    rng = np.random.default_rng(0)
    z = mcp.start + 0.01 * mcp.scale * rng.uniform(size=mcp.n)
    j = mcp.J(z)
    for _ in range(3):
        direction = mcp.scale * rng.normal(size=mcp.n)
        step = 1e-5
        difference = (mcp.F(z + step * direction) - mcp.F(z - step * direction)) / (2.0 * step)
        exact = j @ direction
        rounding = 4.0 * np.finfo(float).eps * np.abs(mcp.F(z)) / step
        allowed = 1e-6 * np.maximum(np.abs(exact), mcp.row_scale) + rounding
        assert (np.abs(difference - exact) <= allowed).all()


def test_strategies_and_multipliers_are_skew(coupled: Coupled) -> None:
    """The linear part is skew: what a row takes from a variable, it gives to its multiplier."""
    m = coupled.mcp.matrix
    assert abs(m + m.T).max() < 1e-12


def test_pattern_is_kept_and_holds_the_diagonal(coupled: Coupled) -> None:
    mcp = coupled.mcp
    a, b = mcp.J(mcp.start), mcp.J(mcp.start + mcp.scale)
    assert (a.indices == b.indices).all()
    assert (a.indptr == b.indptr).all()
    np.testing.assert_array_equal(a.data[mcp.diagonal_positions], a.diagonal())


def test_every_index_has_a_name(coupled: Coupled) -> None:
    mcp = coupled.mcp
    names = [mcp.describe(k) for k in range(mcp.n)]
    assert len(set(names)) == mcp.n
    assert "wheeling_price[76]" in names
    assert "drivers.demand_ev[1, 20]" in names
    assert all(b.unit and b.row_unit and b.meaning for b in mcp.blocks)


def test_split_and_join_are_inverse(coupled: Coupled) -> None:
    mcp = coupled.mcp
    z = np.random.default_rng(1).normal(size=mcp.n)
    np.testing.assert_array_equal(mcp.join(mcp.split(z)), z)
    with pytest.raises(vg.DataError, match="needs"):
        mcp.join({})


def test_scales_multiply_to_money_trip_by_trip(coupled: Coupled) -> None:
    """Variable times row is money; flows and demand of an OD pair by its share of the mean pair."""
    mcp, traffic = coupled.mcp, coupled.traffic
    share = np.ones(mcp.n)
    # what may be shed or generated counts by its own range where that is less than a mean load
    for b in mcp.blocks:
        if b.name.endswith((".shed", ".generation")):
            span = (mcp.upper - mcp.lower)[b.slice]
            share[b.slice] = np.minimum(1.0, span / coupled.scenario.power_scale)
    for name, demand in traffic.demand.items():
        by_pair = demand / demand.mean()
        share[mcp[f"drivers.demand_{name}"].slice] = by_pair
        share[mcp[f"drivers.flow_{name}"].slice] = by_pair[traffic.paths[name].od]
        assert (mcp.row_scale[mcp[f"drivers.demand_{name}"].slice] == demand).all()
    np.testing.assert_allclose(mcp.scale * mcp.row_scale, share * coupled.scenario.money_scale)


class _Rounded:
    """sqrt(1 + (x - 2)^2): a full second-order step from |x - 2| > 1 lands farther away."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.sqrt(1.0 + (x - 2.0) ** 2)

    def first(self, x: np.ndarray) -> np.ndarray:
        return (x - 2.0) / self.value(x)

    def second(self, x: np.ndarray) -> np.ndarray:
        return self.value(x) ** -3.0


@pytest.mark.parametrize("start", [2.5, 3.5, 0.0, 40.0])
def test_best_deviation_of_a_cost_that_is_not_quadratic(start: float) -> None:
    """The least cost is 1, at x = 2, also from where full steps would diverge."""
    p = Program("a", 1.0)
    x = p.variable("x", (), [()], unit="kW", scale=1.0, upper=1000.0)
    p.separable_cost(x, _Rounded())
    found = best_deviation(p, {"a.x": np.array([start])}, {})
    assert found.profit == pytest.approx(-1.0, abs=1e-8)
    assert found.values["a.x"][0] == pytest.approx(2.0, abs=1e-4)
