"""Variational inequalities taken from complementarity problems: K, the map and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import v2geq as vg
from v2geq.errors import DataError
from v2geq.mcp.assemble import MCP
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.problem import scaled_residual
from v2geq.mcp.program import Program
from v2geq.solvers.variational import VariationalInequality, from_problem, variational_inequality

ONE = np.ones((1, 1))


def producer(name: str, cost: float, capacity: float) -> Program:
    """Sells x at the market price; cost * x^2; x <= capacity as a row."""
    p = Program(name, 1.0)
    x = p.variable("x", (), [()], unit="kW", scale=1.0)
    p.separable_cost(x, Quadratic(np.zeros(1), np.array([cost])))
    p.sell("price", {x: ONE}, 1)
    p.at_least("capacity", (), [()], terms={x: -ONE}, rhs=-capacity, unit="kW", scale=1.0)
    return p


def buyer(demand: float) -> Program:
    """Must buy `demand`."""
    p = Program("buyer", 1.0)
    y = p.variable("y", (), [()], unit="kW", scale=1.0)
    p.sell("price", {y: -ONE}, 1)
    p.equality("need", (), [()], terms={y: ONE}, rhs=demand, unit="kW", scale=1.0)
    return p


def market(**keywords: object) -> Market:
    return Market("price", unit="kW", scale=1.0, start=5.0, **keywords)


def test_rows_of_a_small_market() -> None:
    """Strategies a.x, b.x, y; the need and the clearing are equations, capacities are >=."""
    vi = variational_inequality(
        MCP([producer("a", 1.0, 2.0), producer("b", 3.0, 9.0), buyer(4.0)], [market()])
    )
    np.testing.assert_array_equal(vi.rows.equal.toarray(), [[0, 0, 1], [1, 1, -1]])
    np.testing.assert_array_equal(vi.rows.equal_b, [4, 0])
    np.testing.assert_array_equal(vi.rows.least.toarray(), [[-1, 0, 0], [0, -1, 0]])
    np.testing.assert_array_equal(vi.rows.least_b, [-2, -9])
    np.testing.assert_array_equal(vi.cost(np.array([2.0, 1.0, 7.0])), [4.0, 6.0, 0.0])
    np.testing.assert_array_equal(vi.jacobian(np.ones(3)).toarray(), np.diag([2.0, 6.0, 0.0]))


def test_join_puts_multipliers_where_they_solve_the_problem() -> None:
    """a makes 2 and earns 12 - 4 on its last kW, b makes 2 at marginal cost 12."""
    mcp = MCP([producer("a", 1.0, 2.0), producer("b", 3.0, 9.0), buyer(4.0)], [market()])
    vi = variational_inequality(mcp)
    z = vi.join(np.array([2.0, 2.0, 4.0]), np.array([12.0, 12.0]), np.array([8.0, 0.0]))
    assert scaled_residual(mcp, z).max() == 0.0
    values = mcp.split(z)
    assert [values[k][0] for k in ("buyer.need", "price", "a.capacity")] == [12.0, 12.0, 8.0]
    for part, again in zip(vi.split(z), vi.split(vi.join(*vi.split(z))), strict=True):
        np.testing.assert_array_equal(part, again)


def test_a_pinned_price_is_a_cost_and_its_row_no_constraint() -> None:
    mcp = MCP([producer("a", 1.0, 9.0)], [market(pinned=[0])])
    vi = variational_inequality(mcp)
    assert vi.rows.equal.shape == (0, 1)
    np.testing.assert_array_equal(vi.cost(np.array([3.0])), [6.0 - 5.0])
    assert mcp.split(vi.join(np.ones(1), np.zeros(0), np.zeros(1)))["price"][0] == 5.0


def test_weighted_multipliers_are_refused() -> None:
    p = Program("drivers", 1.0)
    f = p.variable("flow", (), [()], unit="veh/h", scale=1.0)
    x = p.variable("arc", (), [()], unit="veh/h", scale=1.0)
    p.equality("time", (), [()], terms={x: ONE, f: -ONE}, unit="veh/h", scale=1.0, weights={f: 2.0})
    with pytest.raises(DataError, match=r"'drivers\.time' enter 'drivers\.flow' with weight 2"):
        variational_inequality(MCP([p], []))


class Affine:
    """M z + q with bounds and unit scales, M stored in full."""

    def __init__(self, m: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        self.m, self.n = m, len(m)
        self.lower, self.upper = lower, upper
        self.start = np.clip(np.zeros(self.n), lower, upper)
        self.scale = self.row_scale = np.ones(self.n)
        self.diagonal_positions = np.arange(self.n) * (self.n + 1)

    def F(self, z: np.ndarray) -> np.ndarray:
        return self.m @ z + 1.0

    def J(self, z: np.ndarray) -> sp.csc_array:
        full = sp.csc_array(np.ones_like(self.m))
        return sp.csc_array((self.m.T.ravel().copy(), full.indices, full.indptr))

    def describe(self, position: int) -> str:
        return f"z[{position}]"


FREE = np.array([-np.inf, -np.inf])
SKEW = np.array([[2.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("m", "low", "message"),
    [
        (np.array([[2.0, -1.0], [1.5, 0.0]]), FREE, r"not skew"),
        (np.array([[2.0, -1.0], [1.0, 0.5]]), FREE, r"row z\[1\] depends on the multiplier z\[1\]"),
        (SKEW, np.array([0.0, -1.0]), r"z\[1\] is bounded like no multiplier"),
    ],
)
def test_other_structures_are_refused(m: np.ndarray, low: np.ndarray, message: str) -> None:
    problem = Affine(m, low, np.full(2, np.inf))
    with pytest.raises(DataError, match=message):
        from_problem(problem, np.array([True, False]))


def test_rows_of_any_problem() -> None:
    vi = from_problem(Affine(SKEW, FREE, np.full(2, np.inf)), np.array([True, False]))
    np.testing.assert_array_equal(vi.rows.equal.toarray(), [[1.0]])
    np.testing.assert_array_equal(vi.rows.equal_b, [-1.0])
    np.testing.assert_array_equal(vi.cost(np.array([3.0])), [7.0])


@pytest.fixture(scope="module")
def reference() -> VariationalInequality:
    case = vg.load_case("ieee123_sioux_falls_reference")
    return variational_inequality(vg.solve(case, "stress", v2g=True).coupled.mcp)


def test_f_is_cost_minus_multipliers_of_the_rows(reference: VariationalInequality) -> None:
    """F at a random point, put together again from the map, the rows and the multipliers."""
    vi = reference
    rng = np.random.default_rng(0)
    x = vi.problem.start[vi.strategy] + vi.scale * rng.uniform(size=vi.n)
    equal, least = rng.normal(size=len(vi.equal)), rng.uniform(size=len(vi.least))
    f = vi.problem.F(vi.join(x, equal, least))
    rows = vi.rows
    stationarity = vi.cost(x) - rows.equal.T @ equal - rows.least.T @ least
    np.testing.assert_allclose(f[vi.strategy], stationarity, atol=1e-9)
    np.testing.assert_allclose(f[vi.equal], rows.equal @ x - rows.equal_b, atol=1e-8)
    np.testing.assert_allclose(f[vi.least], rows.least @ x - rows.least_b, atol=1e-8)


def test_jacobian_is_the_derivative_of_the_cost(reference: VariationalInequality) -> None:
    vi = reference
    rng = np.random.default_rng(1)
    x = vi.problem.start[vi.strategy] + vi.scale * rng.uniform(size=vi.n)
    direction = vi.scale * rng.normal(size=vi.n)
    step = 1e-5
    difference = (vi.cost(x + step * direction) - vi.cost(x - step * direction)) / (2.0 * step)
    exact = vi.jacobian(x) @ direction
    rounding = 4.0 * np.finfo(float).eps * np.abs(vi.cost(x)) / step
    allowed = 1e-6 * np.maximum(np.abs(exact), vi.row_scale) + rounding
    assert (np.abs(difference - exact) <= allowed).all()


def test_the_gauge_is_the_only_row_left_out(reference: VariationalInequality) -> None:
    vi = reference
    rest = np.setdiff1d(np.arange(vi.problem.n), np.r_[vi.strategy, vi.equal, vi.least])
    assert list(rest) == [vi.problem["wheeling_price"].start]
