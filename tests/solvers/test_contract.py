"""One suite for every solver: classical complementarity problems, named after their source.

Feasibility and complementarity are checked entry by entry, and the published answer where there is
one. Sources: S. P. Dirkse and M. C. Ferris, "MCPLIB", Optim. Methods Softw. 5 (1995), and the papers
named with each problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.sparse as sp
from problems import assert_solves, linear

import v2geq as vg
from v2geq.solvers import METHODS, FunctionProblem, Options, solver

Map = Callable[[np.ndarray], np.ndarray]


# PATH is tested where a library of it is at hand
OWN = sorted(set(METHODS) - {"path"})
FIRST_ORDER = {"extragradient"}


@dataclass
class Classic:
    """A problem, its starts and its published answers (any of them)."""

    f: Map
    j: Map
    lower: np.ndarray
    upper: np.ndarray
    starts: list[np.ndarray]
    answers: list[np.ndarray] = field(default_factory=list)
    digits: float = 1e-6
    monotone: bool = True


def differences(f: Map) -> Map:
    """Jacobian by complex steps; the maps below are analytic."""

    def j(z: np.ndarray) -> np.ndarray:
        n = len(z)
        return np.column_stack([f(z + 1e-30j * e).imag / 1e-30 for e in np.eye(n)])

    return j


def problem(f: Map, n: int, starts: list[object], **more: object) -> Classic:
    """Nonnegative variables, Jacobian by complex steps."""
    points = [np.broadcast_to(np.asarray(s, dtype=float), (n,)).copy() for s in starts]
    low, high = more.pop("lower", np.zeros(n)), more.pop("upper", np.full(n, np.inf))
    return Classic(f, differences(f), low, high, points, **more)  # type: ignore[arg-type]


def kojima_shindo(z: np.ndarray, third: tuple[float, ...]) -> np.ndarray:
    a, b, c, d = z
    p, q, r, s = third
    return np.array(
        [
            3 * a**2 + 2 * a * b + 2 * b**2 + c + 3 * d - 6,
            2 * a**2 + a + b**2 + p * c + 2 * d - 2,
            3 * a**2 + a * b + 2 * b**2 + 2 * c + q * d - r,
            a**2 + 3 * b**2 + 2 * c + s * d - 3,
        ]
    )


def mathiesen(z: np.ndarray) -> np.ndarray:
    a, b, c, d = z
    return np.array(
        [
            -b + c + d,
            a - (4.5 * c + 2.7 * d) / (b + 1),
            5 - a - (0.5 * c + 0.3 * d) / (c + 1),
            3 - a,
        ]
    )


def cournot(c: list[float], big_l: float, beta: list[float], gamma: float) -> Map:
    cost, exponent = np.array(c), 1.0 / np.array(beta)

    def f(q: np.ndarray) -> np.ndarray:
        total = q.sum()
        price = 5000.0 ** (1 / gamma) * total ** (-1 / gamma)
        return cost + (q / big_l) ** exponent - price + q * price / (gamma * total)

    return f


def bratu(n: int, lam: float) -> Map:
    """-u'' - lam exp(u) on a line under an upper obstacle."""
    h = 1.0 / (n + 1)

    def f(u: np.ndarray) -> np.ndarray:
        out = 2.0 * u - lam * h**2 * np.exp(u)
        out[1:] -= u[:-1]
        out[:-1] -= u[1:]
        return out / h

    return f


ROOT = np.sqrt(6.0) / 2.0
CLASSICS: dict[str, Classic] = {
    "kojima_shindo_1986": problem(
        lambda z: kojima_shindo(z, (10.0, 9.0, 9.0, 3.0)),
        4,
        [0.0, 1.0, [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]],
        answers=[np.array([ROOT, 0, 0, 0.5]), np.array([1.0, 0, 3, 0])],
        monotone=False,
    ),
    "josephy_1979": problem(
        lambda z: kojima_shindo(z, (3.0, 3.0, 1.0, 3.0)),
        4,
        [0.0, 1.0, [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]],
        answers=[np.array([ROOT, 0, 0, 0.5])],
        monotone=False,
    ),
    "mathiesen_1987": problem(mathiesen, 4, [1.0, [3, 1, 1, 1], [1, 0.5, 0.5, 0]], monotone=False),
    "billups_1995": problem(
        lambda z: (z - 1) ** 2 - 1.01,
        1,
        [2.0, 4.0, 10.0],
        answers=[np.array([1 + np.sqrt(1.01)])],
        monotone=False,
    ),
    "murphy_sherali_soyster_1982_five_firms": problem(
        cournot([10, 8, 6, 4, 2], 5.0, [1.2, 1.1, 1.0, 0.9, 0.8], 1.1),
        5,
        [10.0, 1.0, 50.0],
        answers=[np.array([36.932, 41.817, 43.706, 42.659, 39.179])],
        digits=1.5e-3,
    ),
    "harker_1988_ten_firms": problem(
        cournot(
            [5, 3, 8, 5, 1, 3, 7, 4, 6, 3],
            10.0,
            [1.2, 1.0, 0.9, 0.6, 1.5, 1.0, 0.7, 1.1, 0.95, 0.75],
            1.2,
        ),
        10,
        [10.0, 1.0],
    ),
    "bratu_with_obstacle": problem(
        bratu(40, 3.0),
        40,
        [0.0, 0.2],
        lower=np.zeros(40),
        upper=np.full(40, 0.3),
        monotone=False,
    ),
}


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("name", sorted(CLASSICS))
def test_classic(name: str, method: str) -> None:
    """Each method solves each start of the problems it is made for; `auto` solves them all."""
    classic = CLASSICS[name]
    if method in FIRST_ORDER:
        pytest.skip("first-order methods are held to monotone linear problems")
    solved = 0
    for start in classic.starts:
        p = FunctionProblem(classic.f, classic.j, classic.lower, classic.upper, start)
        result = solver(method)(p, start, Options())
        if result.status.ok:
            solved += 1
            assert result.residual <= 1e-8
            z = np.clip(result.z, classic.lower, classic.upper)
            np.testing.assert_array_equal(z, result.z)
            f = p.F(z)
            residual = z - np.clip(z - f, classic.lower, classic.upper)
            assert np.abs(residual).max() <= 1e-8
            if classic.answers:
                away = [np.abs(z - a).max() for a in classic.answers]
                assert min(away) <= classic.digits * (1.0 + np.abs(z).max())
        else:
            # honest: it does not say solved where it is not
            assert result.residual > 1e-8
    needed = {"interior_point": len(classic.starts) if classic.monotone else 1, "semismooth": 1}
    assert solved >= needed.get(method, len(classic.starts))


def braess_links() -> Classic:
    """Braess (1968): six trips; five links with costs 10x, 50+x, 50+x, 10x, 10+x; link-node form."""
    tail, head = np.array([0, 0, 2, 2, 3]), np.array([2, 3, 1, 3, 1])
    slope, base = np.array([10.0, 1, 1, 1, 10]), np.array([0.0, 50, 50, 10, 0])
    a = np.zeros((4, 5))
    a[head, np.arange(5)], a[tail, np.arange(5)] = 1.0, -1.0
    demand = np.array([-6.0, 6.0, 0.0, 0.0])
    a, demand = a[1:], demand[1:]

    def f(z: np.ndarray) -> np.ndarray:
        x, u = z[:5], z[5:]
        return np.concatenate([base + slope * x - a.T @ u, a @ x - demand])

    low = np.concatenate([np.zeros(5), np.full(3, -np.inf)])
    answer = np.array([4.0, 2, 2, 2, 4])
    return Classic(f, differences(f), low, np.full(8, np.inf), [np.zeros(8)], [answer], 1e-8)


@pytest.mark.parametrize("method", sorted(set(OWN) - FIRST_ORDER))
def test_braess_1968_link_flows(method: str) -> None:
    classic = braess_links()
    p = FunctionProblem(classic.f, classic.j, classic.lower, classic.upper)
    result = solver(method)(p, None, None)
    assert result.status.ok
    np.testing.assert_allclose(result.z[:5], classic.answers[0], atol=1e-7)
    assert result.z[5] == pytest.approx(92.0, abs=1e-6)


def test_sioux_falls_in_link_node_form() -> None:
    """Multicommodity user equilibrium; Beckmann objective of the published best-known flows."""
    case = vg.load_case("ieee123_sioux_falls")
    arcs, nodes = case.road.arcs, list(case.road.nodes.index)
    at = {n: i for i, n in enumerate(nodes)}
    tail = np.array([at[k] for k in arcs["from_node"]])
    head = np.array([at[k] for k in arcs["to_node"]])
    n, m = len(nodes), len(arcs)
    free, capacity = arcs["free_flow_min"].to_numpy(float), arcs["capacity_veh_h"].to_numpy(float)
    incidence = sp.coo_array(
        (np.r_[np.ones(m), -np.ones(m)], (np.r_[head, tail], np.r_[np.arange(m), np.arange(m)])),
        shape=(n, m),
    ).tocsr()
    trips = np.zeros((n, n))
    for o, d, t in case.road.trips[["origin", "destination", "trips_veh_h"]].itertuples(
        index=False
    ):
        trips[at[o], at[d]] = t
    demand = [trips[o] - trips[o].sum() * (np.arange(n) == o) for o in range(n)]
    # the balance of the origin is implied; its potential is zero
    keep = [np.flatnonzero(np.arange(n) != o) for o in range(n)]
    a = sp.block_diag([incidence[k] for k in keep], format="csr")
    b = np.concatenate([demand[o][k] for o, k in enumerate(keep)]) / 1000.0
    total = sp.hstack([sp.eye_array(m)] * n, format="csr")
    size = n * m

    def flow(z: np.ndarray) -> np.ndarray:
        return total @ z[:size] * 1000.0

    def f(z: np.ndarray) -> np.ndarray:
        time = free * (1.0 + 0.15 * (np.maximum(flow(z), 0.0) / capacity) ** 4)
        return np.concatenate([total.T @ time - a.T @ z[size:], a @ z[:size] - b])

    def j(z: np.ndarray) -> sp.csc_array:
        slope = 1000.0 * free * 0.6 / capacity * (np.maximum(flow(z), 0.0) / capacity) ** 3
        top = total.T @ sp.diags_array(slope) @ total
        return sp.csc_array(sp.block_array([[top, -a.T], [a, None]]))

    low = np.concatenate([np.zeros(size), np.full(len(b), -np.inf)])
    p = FunctionProblem(f, j, low, np.full(size + len(b), np.inf), np.ones(size + len(b)))
    result = solver("auto")(p, p.start, None)
    assert result.status.ok
    x = flow(result.z)
    beckmann = float((free * (x + 0.03 * capacity * (x / capacity) ** 5)).sum())
    assert beckmann == pytest.approx(42.31335287107440e5, rel=1e-7)


def test_infeasible_is_never_called_solved() -> None:
    m = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    for method in OWN:
        p = linear(m, np.array([1.0, -2.0, 1.0]), lower=[-np.inf, 0.0, 0.0])
        result = solver(method)(p, None, Options(max_iterations=100))
        assert not result.status.ok, method
        assert result.residual > 1e-3


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("seed", range(3))
def test_strongly_monotone_linear_with_all_kinds_of_bounds(method: str, seed: int) -> None:
    """Every method, first-order ones too."""
    rng = np.random.default_rng(seed)
    n = 20
    skew = rng.normal(size=(n, n))
    m = np.eye(n) + 0.3 * (skew - skew.T)
    low = np.where(np.arange(n) < 12, rng.uniform(-1.0, 0.0, n), -np.inf)
    high = np.where(np.arange(n) % 2 == 0, rng.uniform(0.1, 1.0, n), np.inf)
    p = linear(m, rng.normal(size=n), low, high)
    result = solver(method)(p, None, Options(max_iterations=20_000))
    assert result.status.ok
    assert_solves(p, result.z, tolerance=1e-7)


def test_solved_means_the_residual_asked_for() -> None:
    p = linear(np.diag([1.0, 100.0]), np.array([-1.0, -3.0]))
    for method in OWN:
        result = solver(method)(p, None, Options(tolerance=1e-6, max_iterations=20_000))
        assert result.status.ok
        assert result.residual <= 1e-6
