"""One suite for every solver: classical complementarity problems, named after their source.

Feasibility and complementarity are checked entry by entry, and the published answer where there is
one; `classics.py` has the problems and says where each answer comes from.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from classics import CLASSICS, IMPOSSIBLE, Classic
from problems import assert_solves, linear

import v2geq as vg
from v2geq.errors import DataError
from v2geq.solvers import METHODS, FunctionProblem, Options, solver

# PATH is tested where a library of it is at hand
OWN = sorted(set(METHODS) - {"path"})
FIRST_ORDER = {"extragradient"}


def cases() -> list[object]:
    """Every method on the problems it is made for."""
    out = []
    for name, build in sorted(CLASSICS.items()):
        for method in OWN:
            if method in FIRST_ORDER and not build().strongly:
                continue
            out.append((name, method))
    return out


def needed(classic: Classic, method: str) -> int:
    """Starts that a method must solve: all of them, but for local methods on hard problems."""
    if method == "semismooth" or (method == "interior_point" and not classic.monotone):
        return 1
    return len(classic.starts)


def assert_answer(classic: Classic, z: np.ndarray) -> None:
    """What is known of the solution."""
    if classic.answers:
        away = [np.nanmax(np.abs(z - a)) for a in classic.answers]
        assert min(away) <= classic.digits * (1.0 + np.abs(z).max())
    if classic.check is not None:
        classic.check(z)


@pytest.mark.parametrize(("name", "method"), cases())
def test_classic(name: str, method: str) -> None:
    """`auto` solves every start, monotone problems fall to the interior point from every start."""
    classic = CLASSICS[name]()
    options = Options(max_iterations=20_000) if method in FIRST_ORDER else Options()
    solved = 0
    for start in classic.starts:
        p = FunctionProblem(classic.f, classic.j, classic.lower, classic.upper, start)
        result = solver(method)(p, start, options)
        z = result.z
        np.testing.assert_array_equal(z, np.clip(z, classic.lower, classic.upper))
        f = p.F(z)
        residual = np.abs(z - np.clip(z - f, classic.lower, classic.upper)).max()
        if result.status.ok:
            solved += 1
            assert result.residual <= 1e-8
            assert residual <= 1e-8
            assert_solves(p, z, tolerance=1.01e-8)
            assert_answer(classic, z)
        else:
            # honest: it does not say unsolved of a solution, nor hide how far it is
            assert residual > 1e-8
            assert result.residual == pytest.approx(residual)
    assert solved >= needed(classic, method)


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_without_a_solution(name: str, method: str) -> None:
    """Never called solved, whatever the start."""
    classic = IMPOSSIBLE[name]()
    for start in classic.starts:
        p = FunctionProblem(classic.f, classic.j, classic.lower, classic.upper, start)
        result = solver(method)(p, start, Options(max_iterations=100))
        assert not result.status.ok
        assert result.residual > 1e-3


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


@pytest.mark.parametrize(("name", "start"), [("billups_1995", 2), ("colville_1968_hs117", 0)])
def test_newton_leaves_a_minimum_that_is_no_solution(name: str, start: int) -> None:
    """The plain merit function ends in a local minimum from here; the penalised one does not."""
    classic = CLASSICS[name]()
    first = classic.starts[start]
    p = FunctionProblem(classic.f, classic.j, classic.lower, classic.upper, first)
    result = solver("semismooth")(p, first, None)
    assert result.status.ok
    assert_answer(classic, result.z)


@pytest.mark.parametrize(
    ("name", "value"),
    [("tolerance", "abc"), ("max_iterations", True), ("callback", 3), ("warm", "yes")],
)
def test_options_of_the_wrong_kind_are_named(name: str, value: object) -> None:
    with pytest.raises(DataError, match=f"solver option: {name} = {value!r}; it must be"):
        Options(**{name: value})
