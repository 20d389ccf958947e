"""Reductions that can be undone: the same solution from a smaller problem."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_case
from problems import assert_solves, linear

import v2geq as vg
from v2geq.solvers import interior_point, scaled_residual, solve_mcp
from v2geq.solvers.presolve import presolve


def test_fixed_variables_leave_and_come_back() -> None:
    m = np.array([[2.0, -1.0, 0.0], [1.0, 1.0, -1.0], [0.0, 1.0, 3.0]])
    problem = linear(m, np.array([-1.0, 1.0, -2.0]), [0.0, 0.5, 0.0], [np.inf, 0.5, np.inf])
    small = presolve(problem)
    assert (small.problem.n, small.fixed, small.chains) == (2, 1, 0)
    assert [small.problem.describe(k) for k in range(2)] == ["z[0]", "z[2]"]
    z = small.restore(interior_point(small.problem).z)
    assert_solves(problem, z)
    np.testing.assert_allclose(z, [0.75, 0.5, 0.5], atol=1e-9)


def test_a_chain_of_prices_leaves_two_variables() -> None:
    """w free with mu - lam + 0.5 = 0; x sells at mu, y buys at lam: by hand mu = lam - 0.5."""
    # z = (x, w, mu, lam, y): cost x^2 - mu x; row mu: x - w; row lam: w - y; y: lam - 3 + y
    m = np.zeros((5, 5))
    m[0, 0], m[0, 2] = 2.0, -1.0
    m[1, 2], m[1, 3] = 1.0, -1.0
    m[2, 0], m[2, 1] = 1.0, -1.0
    m[3, 1], m[3, 4] = 1.0, -1.0
    m[4, 3], m[4, 4] = 1.0, 1.0
    q = np.array([0.0, 0.5, 0.0, 0.0, -3.0])
    low = np.array([0.0, -np.inf, -np.inf, -np.inf, 0.0])
    problem = linear(m, q, low)
    small = presolve(problem)
    assert (small.problem.n, small.chains) == (3, 1)
    z = small.restore(interior_point(small.problem).z)
    assert_solves(problem, z)
    # 2 x = mu, lam = 3 - x, mu = lam - 0.5
    np.testing.assert_allclose(z, [2.5 / 3, 2.5 / 3, 5 / 3, 3 - 2.5 / 3, 2.5 / 3], atol=1e-9)
    np.testing.assert_allclose(small.restore(small.reduce(z)), z, atol=1e-9)


def test_a_row_that_is_not_constant_stays() -> None:
    from v2geq.solvers import FunctionProblem

    problem = FunctionProblem(
        lambda z: np.array([z[1] * z[1] - z[2], z[0] - 1.0, -z[0] + z[2]]),
        lambda z: np.array([[0.0, 2.0 * z[1], -1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 1.0]]),
        np.full(3, -np.inf),
        np.full(3, np.inf),
        np.ones(3),
    )
    assert presolve(problem).chains == 0


@pytest.mark.parametrize("v2g", [False, True])
def test_a_market_shrinks_and_its_solution_is_the_same(v2g: bool) -> None:
    """Every bus but the root has a chain: withdrawal, its balance and its wheeling price."""
    mcp = vg.solve(make_case(), "base", v2g=v2g).coupled.mcp
    small = presolve(mcp)
    assert small.chains >= len(mcp["dso.withdrawal"]) - 1
    assert small.problem.n == mcp.n - small.fixed - 2 * small.chains
    result = solve_mcp(mcp, presolve=True)
    assert result.status.ok
    assert result.residual == scaled_residual(mcp, result.z).max()
    plain = interior_point(mcp)
    for name in ("dso.p_line", "wheeling_price", "drivers.demand_ev", "lse.A.sales"):
        np.testing.assert_allclose(
            mcp.split(result.z)[name], mcp.split(plain.z)[name], rtol=1e-6, atol=1e-6
        )


def test_nothing_to_remove_changes_nothing() -> None:
    problem = linear(np.eye(3), -np.ones(3))
    small = presolve(problem)
    assert small.problem.n == 3
    np.testing.assert_array_equal(small.restore(np.arange(3.0)), np.arange(3.0))
