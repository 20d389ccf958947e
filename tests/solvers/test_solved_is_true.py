"""'Solved' is never said of a point that is none: exact residuals, odd scales, no solution at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from v2geq.errors import DataError
from v2geq.solvers import METHODS, Options, scaled_residual, solve_mcp
from v2geq.solvers.functions import FunctionProblem

OWN = sorted(set(METHODS) - {"path"})
INF = np.inf


def exact_residual(m: np.ndarray, q: np.ndarray, low: object, high: object, z: np.ndarray) -> float:
    """|z - clip(z - (M z + q))| in rational numbers, where nothing cancels."""
    n = len(q)
    x = [Fraction(float(v)) for v in z]
    worst = Fraction(0)
    for i in range(n):
        f = sum((Fraction(float(m[i, j])) * x[j] for j in range(n)), Fraction(float(q[i])))
        moved = x[i] - f
        if low[i] > -1e20:
            moved = max(moved, Fraction(float(low[i])))
        if high[i] < 1e20:
            moved = min(moved, Fraction(float(high[i])))
        worst = max(worst, abs(x[i] - moved))
    return float(worst)


def random_lcp(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A P-matrix, skew, infeasible or indefinite problem in odd units, with any start."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    a = rng.normal(size=(n, n))
    m = [
        a @ a.T + 0.1 * np.eye(n),
        a - a.T,
        np.eye(n) + 2.0 * np.triu(rng.uniform(size=(n, n)), 1),
        np.zeros((n, n)),
        a,
    ][seed % 5]
    q = rng.normal(size=n)
    low = np.where(rng.uniform(size=n) < 0.7, rng.uniform(-1.0, 0.0, n), -INF)
    high = np.where(rng.uniform(size=n) < 0.4, rng.uniform(0.0, 1.0, n), INF)
    rows, columns = 10.0 ** rng.uniform(-12.0, 12.0, 2) if seed % 2 else (1.0, 1.0)
    m, q = rows * m / columns, rows * q
    low, high = low * columns, high * columns
    low[rng.uniform(size=n) < 0.1] = -1e20
    start = columns * rng.normal(size=n) * 10.0 ** rng.uniform(-2.0, 18.0)
    return m, q, low, high, start


@pytest.mark.slow
@pytest.mark.parametrize("method", OWN)
def test_solved_holds_in_exact_arithmetic(method: str) -> None:
    options = Options(max_iterations=300)
    solved = 0
    for seed in range(100):
        m, q, low, high, start = random_lcp(seed)
        result = solve_mcp(
            lambda z, m=m, q=q: m @ z + q,
            lambda z, m=m: m,
            low,
            high,
            start,
            method=method,
            options=options,
        )
        if result.status.ok:
            solved += 1
            # F itself is only as exact as its terms
            terms = float((np.abs(m) @ np.abs(result.z) + np.abs(q)).max())
            exact = exact_residual(m, q, low, high, result.z)
            assert exact <= 1.0e-8 + 1e-14 * terms, (seed, exact, result)
    assert solved >= 30


NONE = {
    "constant": (lambda z: 0.0 * z + 0.5, lambda z: np.zeros((1, 1)), -1e20, 1e20, 0.0),
    "constant, free": (lambda z: 0.0 * z + 0.5, lambda z: np.zeros((1, 1)), -INF, INF, 1e18),
    "constant, far start": (lambda z: 0.0 * z - 1.0, lambda z: np.zeros((1, 1)), 0.0, INF, 1e17),
    "constant, upper": (lambda z: 0.0 * z + 1.0, lambda z: np.zeros((1, 1)), -INF, 0.0, -1e17),
}


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("name", NONE)
def test_large_points_hide_nothing(name: str, method: str) -> None:
    f, j, low, high, start = NONE[name]
    result = solve_mcp(f, j, [low], [high], [start], method=method)
    assert not result.status.ok
    assert result.residual >= 0.5


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("low", [0.0, -INF])
def test_a_distant_solution_is_reached_or_not_claimed(low: float, method: str) -> None:
    result = solve_mcp(
        lambda z: z / 1e18 - 1, lambda z: np.eye(1) / 1e18, [low], [INF], [0.0], method=method
    )
    assert result.residual == pytest.approx(abs(result.z[0] / 1e18 - 1.0))
    assert result.status.ok == (result.residual <= 1e-8)


def test_residual_is_the_natural_one() -> None:
    """Against |z - clip(z - F)| where that is exact: inside, at, and outside of bounds, lb = ub."""
    values = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
    for low, high in [(-1.0, 1.0), (0.0, INF), (-INF, 0.0), (-INF, INF), (0.5, 0.5)]:
        for z in values:
            for f in values:
                p = FunctionProblem(lambda z, f=f: 0 * z + f, lambda z: np.eye(1), [low], [high])
                p.scale, p.row_scale = np.array([4.0]), np.array([0.5])
                x, g = z / 4.0, f / 0.5
                want = abs(x - np.clip(x - g, low / 4.0, high / 4.0))
                assert scaled_residual(p, np.array([z]))[0] == want, (low, high, z, f)


def good() -> dict:
    return {
        "F": lambda z: z - 1.0,
        "J": lambda z: np.eye(2),
        "lb": [0, 0],
        "ub": [9, 9],
        "z0": [1, 1],
    }


BAD = {
    "complex F": ({"F": lambda z: z + 1j}, "F holds complex"),
    "text F": ({"F": lambda z: ["a", "b"]}, "F holds values of type"),
    "long F": ({"F": lambda z: np.ones(3)}, r"F returns shape \(3,\)"),
    "column F": ({"F": lambda z: np.ones((2, 1))}, r"F returns shape \(2, 1\)"),
    "ragged F": ({"F": lambda z: [[1], [1, 2]]}, "F is no array"),
    "F of nothing": ({"F": lambda z: None}, "F returns shape"),
    "no F": ({"F": None}, "F must be a function"),
    "text for F": ({"F": "z"}, "F must be a function"),
    "J no function": ({"J": np.eye(2)}, "J must be a function"),
    "wide J": ({"J": lambda z: np.eye(3)}, r"J returns shape \(3, 3\)"),
    "wide sparse J": ({"J": lambda z: sp.eye_array(3)}, r"J returns shape \(3, 3\)"),
    "vector J": ({"J": lambda z: np.ones(2)}, r"J returns shape \(2,\)"),
    "complex J": ({"J": lambda z: sp.eye_array(2) * 1j}, "J holds complex"),
    "nothing": ({"lb": [], "ub": [], "z0": []}, "no variables"),
    "scalar bound": ({"lb": 0.0}, "lb must be a vector"),
    "short ub": ({"ub": [9]}, "ub 1"),
    "text bound": ({"lb": ["a", "b"]}, "lb holds"),
    "complex bound": ({"ub": [1j, 1]}, "ub holds complex"),
    "NaN bound": ({"lb": [np.nan, 0]}, "lb must be a vector without NaN"),
    "lb inf": ({"lb": [0, INF], "ub": [9, INF]}, r"lower bound of z\[1\] is inf"),
    "lb 1e20": ({"lb": [0, 1e20], "ub": [9, INF]}, r"lower bound of z\[1\] is 1e\+20"),
    "ub -inf": ({"lb": [-INF, 0], "ub": [-INF, 9]}, r"upper bound of z\[0\] is -inf"),
    "crossed": ({"lb": [0, 10]}, r"bounds of z\[1\] cross: 10 > 9"),
    "NaN start": ({"z0": [np.nan, 0]}, "z0"),
    "infinite start": ({"z0": [INF, 0]}, "z0 must be 2 finite"),
    "long start": ({"z0": [0, 0, 0]}, "z0 must be 2 finite"),
    "method": ({"method": "newton"}, "no method 'newton'"),
    "names": ({"names": ["a"]}, "1 names for 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_are_none(name: str) -> None:
    changes, message = BAD[name]
    arguments = good() | changes
    with pytest.raises(DataError, match=message):
        solve_mcp(arguments.pop("F"), arguments.pop("J"), **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"tolerance": np.nan},
        {"tolerance": -1.0},
        {"tolerance": INF},
        {"max_iterations": -1},
        {"max_iterations": "9"},
        {"time_limit_s": np.nan},
    ],
)
def test_options_that_are_none(changes: dict) -> None:
    with pytest.raises(DataError, match=next(iter(changes))):
        Options(**changes)


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("start", [np.ones(3), np.array([np.nan, 0.0])])
def test_starts_of_every_solver(method: str, start: np.ndarray) -> None:
    p = FunctionProblem(lambda z: z - 1.0, lambda z: np.eye(2), [0, 0], [9, 9])
    with pytest.raises(DataError, match="2 finite numbers"):
        METHODS[method](p, start, None)
