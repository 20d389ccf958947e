"""Interior-point solver on problems with known answers, named after their source."""

from __future__ import annotations

import numpy as np
import pytest
from problems import PlainProblem, assert_solves, linear

from v2geq.errors import DataError
from v2geq.mcp.problem import scaled_residual
from v2geq.solvers import METHODS, solver
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import Options, Status


def test_murty_1988_lcp_upper_triangular() -> None:
    """M = I + 2 strictly upper ones, q = -e: solution (0, ..., 0, 1)."""
    n = 24
    problem = linear(np.eye(n) + 2.0 * np.triu(np.ones((n, n)), 1), -np.ones(n))
    result = interior_point(problem)
    assert result.status is Status.SOLVED
    np.testing.assert_allclose(result.z, np.r_[np.zeros(n - 1), 1.0], atol=1e-8)


def test_fathi_1979_lcp() -> None:
    """M = A A' with A = lower triangular (1; 2 below), q = -e: solution (1, 0, ..., 0)."""
    n = 16
    a = np.eye(n) + 2.0 * np.tril(np.ones((n, n)), -1)
    problem = linear(a @ a.T, -np.ones(n))
    result = interior_point(problem)
    assert result.status.ok
    np.testing.assert_allclose(result.z, np.r_[1.0, np.zeros(n - 1)], atol=1e-8)


def test_obstacle_problem_one_dimension() -> None:
    """String over a bump: -u'' = contact force; the residual conditions hold entry by entry."""
    n = 60
    h = 1.0 / (n + 1)
    x = np.linspace(h, 1.0 - h, n)
    bump = 0.3 - 4.0 * (x - 0.5) ** 2
    stiff = (2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) / h**2
    problem = linear(stiff, np.zeros(n), lower=np.maximum(bump, 0.0))
    result = interior_point(problem)
    assert result.status.ok
    # rows are of size 1e4
    assert_solves(problem, result.z, tolerance=1e-5)
    assert (result.z > bump + 1e-6).any()
    assert np.isclose(result.z, bump, atol=1e-9).sum() >= 3


def test_harker_1988_nash_cournot_five_firms() -> None:
    """Murphy, Sherali, Soyster (1982), five firms: outputs published to three digits."""
    c = np.array([10.0, 8.0, 6.0, 4.0, 2.0])
    big_l = np.array([5.0, 5.0, 5.0, 5.0, 5.0])
    beta = np.array([1.2, 1.1, 1.0, 0.9, 0.8])
    gamma = 1.1

    def f(q: np.ndarray) -> np.ndarray:
        total = q.sum()
        price = 5000.0 ** (1 / gamma) * total ** (-1 / gamma)
        marginal = c + (q / big_l) ** (1 / beta)
        return marginal - price + q * price / (gamma * total)

    def j(q: np.ndarray) -> np.ndarray:
        step = 1e-7
        columns = [(f(q + step * e) - f(q - step * e)) / (2 * step) for e in np.eye(5)]
        return np.column_stack(columns)

    problem = PlainProblem(f, j, np.zeros(5), np.full(5, np.inf), np.full(5, 10.0))
    result = interior_point(problem)
    assert result.status.ok
    np.testing.assert_allclose(result.z, [36.932, 41.817, 43.706, 42.659, 39.179], atol=1.5e-3)


@pytest.mark.parametrize("seed", range(8))
def test_monotone_linear_with_double_bounds_and_free_variables(seed: int) -> None:
    """Random monotone M, some variables free, boxed, fixed: conditions checked entry by entry."""
    rng = np.random.default_rng(seed)
    n = 40
    root = rng.normal(size=(n, n // 2))
    skew = rng.normal(size=(n, n))
    m = root @ root.T / n + skew - skew.T + 1e-3 * np.eye(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[:25] = rng.uniform(-1.0, 0.0, 25)
    high[10:30] = rng.uniform(0.5, 1.5, 20)
    low[30], high[30] = 0.25, 0.25
    problem = linear(m, rng.normal(size=n), low, high)
    result = interior_point(problem)
    assert result.status.ok
    assert result.z[30] == 0.25
    assert_solves(problem, result.z)


def test_multipliers_that_are_not_unique() -> None:
    """Two copies of one equality: multipliers are free along a line, the proximal term copes."""
    # min (x - 1)^2 s.t. x = 2 twice; z = (x, y1, y2)
    m = np.array([[2.0, -1.0, -1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    problem = linear(m, np.array([-2.0, -2.0, -2.0]), lower=[-np.inf] * 3)
    result = interior_point(problem)
    assert result.status.ok
    assert result.z[0] == pytest.approx(2.0, abs=1e-9)
    assert result.z[1] + result.z[2] == pytest.approx(2.0, abs=1e-8)


def test_infeasible_is_not_called_solved() -> None:
    """x >= 2 and x <= 1 as rows: no solution; the multipliers that grow are named."""
    m = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    problem = linear(m, np.array([1.0, -2.0, 1.0]), lower=[-np.inf, 0.0, 0.0])
    result = interior_point(problem)
    assert not result.status.ok
    assert result.residual > 1e-3
    assert "z[1]" in result.diverging


def test_residual_is_recomputed_at_the_returned_point() -> None:
    problem = linear(np.eye(3), np.array([-1.0, 2.0, -3.0]))
    result = interior_point(problem)
    assert result.residual == scaled_residual(problem, result.z).max()
    np.testing.assert_allclose(result.z, [1.0, 0.0, 3.0], atol=1e-9)


def test_iteration_limit_returns_the_best_point() -> None:
    n = 24
    problem = linear(np.eye(n) + 2.0 * np.triu(np.ones((n, n)), 1), -np.ones(n))
    result = interior_point(problem, options=Options(max_iterations=2))
    assert result.status is Status.ITERATION_LIMIT
    assert result.residual == pytest.approx(min(e.residual for e in result.log), rel=1e-9)


def test_time_limit() -> None:
    n = 24
    problem = linear(np.eye(n) + 2.0 * np.triu(np.ones((n, n)), 1), -np.ones(n))
    result = interior_point(problem, options=Options(time_limit_s=0.0))
    assert result.status is Status.TIME_LIMIT


def test_domain_error_is_told() -> None:
    def f(z: np.ndarray) -> np.ndarray:
        return np.full(2, np.nan)

    problem = PlainProblem(f, lambda z: np.eye(2), np.zeros(2), np.full(2, np.inf), np.ones(2))
    assert interior_point(problem).status is Status.DOMAIN_ERROR


def test_start_and_log_and_callback() -> None:
    seen = []
    problem = linear(np.diag([1.0, 4.0]), np.array([-1.0, -8.0]))
    result = interior_point(problem, np.array([5.0, 5.0]), Options(callback=seen.append))
    np.testing.assert_allclose(result.z, [1.0, 2.0], atol=1e-9)
    assert seen == result.log
    assert [e.number for e in result.log] == list(range(len(result.log)))


def test_unknown_method_suggests_one() -> None:
    with pytest.raises(DataError, match="did you mean 'interior_point'"):
        solver("interior_pint")
    assert "auto" in METHODS
