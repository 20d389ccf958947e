"""Projection methods on inequalities with known answers, named after their source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder
from problems import PlainProblem, assert_solves, linear

import v2geq as vg
from v2geq.errors import DataError
from v2geq.mcp.problem import scaled_residual
from v2geq.solvers.extragradient import (
    CORRECTIONS,
    SCHEMES,
    extragradient,
    polyhedral_extragradient,
    solve_variational,
)
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import Iteration, Options, Status
from v2geq.solvers.variational import VariationalInequality, from_problem

ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])


# -- boxes -------------------------------------------------------------------------------------


def test_projection_alone_diverges_on_a_rotation() -> None:
    """Why an extragradient: x - step F(x) has norm sqrt(1 + step^2) |x|."""
    x = np.array([1.0, 1.0])
    for _ in range(50):
        x = x - 0.5 * ROTATION @ x
    assert np.linalg.norm(x) > 100.0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("high", [1.0, np.inf])
def test_korpelevich_1976_rotation(scheme: str, high: float) -> None:
    problem = linear(ROTATION, np.array([0.3, -0.2]), -high, high)
    result = extragradient(problem, np.array([1.0, 1.0]), scheme=scheme)
    assert result.status is Status.SOLVED
    np.testing.assert_allclose(result.z, [-0.2, -0.3], atol=1e-7)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(4))
def test_monotone_affine_on_a_box(scheme: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    root, skew = rng.normal(size=(n, n // 2)), rng.normal(size=(n, n))
    m = root @ root.T / n + skew - skew.T + 1e-3 * np.eye(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[:25] = rng.uniform(-1.0, 0.0, 25)
    high[10:30] = rng.uniform(0.5, 1.5, 20)
    low[30], high[30] = 0.25, 0.25
    problem = linear(m, rng.normal(size=n), low, high)
    result = extragradient(problem, scheme=scheme)
    assert result.status.ok
    assert result.z[30] == 0.25
    assert_solves(problem, result.z, 1e-7)
    assert result.residual == scaled_residual(problem, result.z).max()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_harker_1988_nash_cournot_five_firms(scheme: str) -> None:
    """Murphy, Sherali, Soyster (1982), five firms: outputs published to three digits."""
    problem = five_firms()
    result = extragradient(problem, scheme=scheme)
    assert result.status.ok
    np.testing.assert_allclose(result.z, FIVE_FIRMS, atol=1.5e-3)


FIVE_FIRMS = [36.932, 41.817, 43.706, 42.659, 39.179]


def five_firms() -> PlainProblem:
    c = np.array([10.0, 8.0, 6.0, 4.0, 2.0])
    beta, gamma = np.array([1.2, 1.1, 1.0, 0.9, 0.8]), 1.1

    def f(q: np.ndarray) -> np.ndarray:
        price = (5000.0 / q.sum()) ** (1 / gamma)
        return c + (q / 5.0) ** (1 / beta) - price + q * price / (gamma * q.sum())

    def j(q: np.ndarray) -> np.ndarray:
        step = 1e-7
        return np.column_stack(
            [(f(q + step * e) - f(q - step * e)) / (2 * step) for e in np.eye(5)]
        )

    return PlainProblem(f, j, np.full(5, 1.0), np.full(5, 200.0), np.full(5, 10.0))


def test_default_scheme_needs_fewer_projections_here() -> None:
    n = 24
    problem = linear(np.eye(n) + 2.0 * np.triu(np.ones((n, n)), 1), -np.ones(n))
    runs = {s: extragradient(problem, scheme=s) for s in SCHEMES}
    assert all(r.status.ok for r in runs.values())
    for r in runs.values():
        np.testing.assert_allclose(r.z, np.r_[np.zeros(n - 1), 1.0], atol=1e-6)
    assert runs["korpelevich"].stats["projections"] < runs["golden_ratio"].stats["projections"]


# -- polyhedra ---------------------------------------------------------------------------------


def inequality(
    function: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], np.ndarray],
    n: int,
    equal: tuple[np.ndarray, np.ndarray] | None = None,
    least: tuple[np.ndarray, np.ndarray] | None = None,
    low: float = -np.inf,
    high: float = np.inf,
    start: np.ndarray | None = None,
) -> VariationalInequality:
    """VI(function, K) by its KKT conditions."""
    none = (np.zeros((0, n)), np.zeros(0))
    (a, b), (c, d) = equal or none, least or none
    rows, rhs = np.vstack([a, c]), np.r_[b, d]
    m = len(rhs)
    problem = PlainProblem(
        lambda z: np.r_[function(z[:n]) - rows.T @ z[n:], rows @ z[:n] - rhs],
        lambda z: np.block([[jacobian(z[:n]), -rows.T], [rows, np.zeros((m, m))]]),
        np.r_[np.full(n, low), np.full(len(b), -np.inf), np.zeros(len(d))],
        np.r_[np.full(n, high), np.full(m, np.inf)],
        np.r_[np.zeros(n) if start is None else start, np.zeros(m)],
    )
    return from_problem(problem, np.arange(n + m) < n)


def affine(m: np.ndarray, q: np.ndarray, **keywords: object) -> VariationalInequality:
    return inequality(lambda x: m @ x + q, lambda x: m, len(q), **keywords)


def slow(tolerance: float = 1e-8) -> Options:
    return Options(tolerance=tolerance, max_iterations=3000)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("finish", [False, True])
def test_rotation_without_any_row(correction: str, finish: bool) -> None:
    vi = affine(ROTATION, np.array([0.3, -0.2]), start=np.array([1.0, 1.0]))
    result = solve_variational(vi, None, slow(), correction=correction, finish=finish)
    assert result.status is Status.SOLVED
    np.testing.assert_allclose(result.z, [-0.2, -0.3], atol=1e-7)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_rock_paper_scissors_on_the_simplex(correction: str) -> None:
    """A skew game, no gradient: play evenly, value zero (the multiplier of the simplex's row)."""
    game = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    vi = affine(
        game,
        np.zeros(3),
        equal=(np.ones((1, 3)), np.ones(1)),
        low=0.0,
        start=np.array([1.0, 0.0, 0.0]),
    )
    result = solve_variational(vi, None, slow(1e-7), correction=correction, finish=False)
    assert result.status is Status.SOLVED
    np.testing.assert_allclose(result.z, [1 / 3, 1 / 3, 1 / 3, 0.0], atol=1e-6)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_monotone_affine_on_a_polyhedron(correction: str, seed: int) -> None:
    """Mostly skew, equations, inequalities, bounds: against the interior point."""
    rng = np.random.default_rng(seed)
    n = 15
    root, skew = rng.normal(size=(n, n)), rng.normal(size=(n, n))
    m = root @ root.T / n + 0.5 * (skew - skew.T)
    a, c, inside = rng.normal(size=(3, n)), rng.normal(size=(6, n)), rng.uniform(0.1, 0.9, n)
    vi = affine(
        m,
        rng.normal(size=n),
        equal=(a, a @ inside),
        least=(c, c @ inside - 0.1),
        low=0.0,
        high=1.0,
    )
    result = solve_variational(vi, None, slow(), correction=correction, finish=False)
    assert result.status is Status.SOLVED
    np.testing.assert_allclose(result.z[:n], interior_point(vi.problem).z[:n], atol=1e-6)
    assert result.residual == scaled_residual(vi.problem, result.z).max()


def test_multiplier_signs_on_a_triangle() -> None:
    """min |x - (2, 2)|^2 / 2, x1 + 2 x2 >= 7, x1 = 1: x2 = 3, y = -3/2 for x1 = 1, m = 1/2."""
    vi = affine(
        np.eye(2),
        np.array([-2.0, -2.0]),
        equal=(np.array([[1.0, 0.0]]), np.ones(1)),
        least=(np.array([[1.0, 2.0]]), np.array([7.0])),
    )
    for finish in (False, True):
        result = solve_variational(vi, finish=finish)
        assert result.status is Status.SOLVED
        np.testing.assert_allclose(result.z, [1.0, 3.0, -1.5, 0.5], atol=1e-7)


def test_cournot_on_a_shared_limit() -> None:
    """Five firms, total output at most 150: the rent is every firm's marginal profit."""
    free = five_firms()
    vi = inequality(
        free.F,
        free.jacobian,
        5,
        least=(-np.ones((1, 5)), np.array([-150.0])),
        low=1.0,
        high=200.0,
        start=np.full(5, 10.0),
    )
    result = solve_variational(vi)
    assert result.status is Status.SOLVED
    assert result.z[:5].sum() == pytest.approx(150.0, abs=1e-6)
    np.testing.assert_allclose(-free.F(result.z[:5]), result.z[5], atol=1e-6)
    assert result.z[5] > 0.0
    loose = inequality(free.F, free.jacobian, 5, low=1.0, high=200.0, start=np.full(5, 10.0))
    np.testing.assert_allclose(solve_variational(loose).z, FIVE_FIRMS, atol=1.5e-3)


def test_braess_1968() -> None:
    """Two vehicles on each of three paths, 92 minutes each: the multiplier of the demand."""
    # arcs 1-3, 1-4, 3-2, 3-4, 4-2; paths 1-3-2, 1-4-2, 1-3-4-2
    uses = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=float)
    constant, slope = np.array([0.0, 50.0, 50.0, 10.0, 0.0]), np.array([10.0, 1.0, 1.0, 1.0, 10.0])
    vi = affine(
        uses.T @ np.diag(slope) @ uses,
        uses.T @ constant,
        equal=(np.ones((1, 3)), np.array([6.0])),
        low=0.0,
    )
    for correction in CORRECTIONS:
        result = solve_variational(vi, None, slow(), correction=correction, finish=False)
        assert result.status is Status.SOLVED
        np.testing.assert_allclose(result.z, [2.0, 2.0, 2.0, 92.0], atol=1e-6)


# -- markets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rating", "tso", "price"), [(1000.0, 70.0, 0.08), (40.0, 40.0, 0.11)])
def test_two_bus_market(rating: float, tso: float, price: float) -> None:
    """0.05 + 0.001 g at load 100: TSO price 0.08 without, marginal cost at 60 with congestion."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {"rating_kva": rating, "x_ohm": 0.0}}, {"a": 100.0}),
        lses={"A": 1.0},
        generators={"g": {"lse": "A", "bus": "a", "cost_linear": 0.05, "cost_quadratic": 5e-4}},
        line_rating="box",
        firm_share=1.0,
        price=0.08,
    )
    mcp = vg.solve(case).coupled.mcp
    for finish in (False, True):
        result = polyhedral_extragradient(mcp, None, Options(tolerance=1e-7), finish=finish)
        assert result.status is Status.SOLVED
        values = mcp.split(result.z)
        assert values["dso.p_tso"][0] == pytest.approx(tso, rel=1e-5)
        dlmp = values["wheeling_price"][1] + values["lse.A.energy"][0]
        assert dlmp == pytest.approx(price, rel=1e-5)


def test_small_coupled_market_equals_the_interior_point() -> None:
    eq = vg.solve(make_case())
    mcp = eq.coupled.mcp
    result = polyhedral_extragradient(mcp)
    assert result.status is Status.SOLVED
    values, known = mcp.split(result.z), mcp.split(eq.z)
    for key in ("drivers.demand_ev", "drivers.arc_flow", "lse.A.sales", "lse.B.generation"):
        np.testing.assert_allclose(values[key], known[key], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_a_start_that_fits_no_row(seed: int) -> None:
    """Entries off by powers of ten: travel times of power 4 span many digits there."""
    eq = vg.solve(make_case())
    mcp = eq.coupled.mcp
    start = mcp.scale * np.exp(3.0 * np.random.default_rng(seed).normal(size=mcp.n))
    result = polyhedral_extragradient(mcp, start)
    assert result.status is Status.SOLVED
    arcs = mcp["drivers.arc_flow"].slice
    np.testing.assert_allclose(result.z[arcs], eq.z[arcs], rtol=1e-6, atol=1e-8)


def test_several_values_of_time_are_refused() -> None:
    case = make_case(
        drivers={"ev": {}, "hurried": {"value_of_time": 30.0}},
        trips={"ev": {"1-3": 10.0}, "hurried": {"1-3": 5.0}},
    )
    with pytest.raises(DataError, match="use method 'interior_point'"):
        polyhedral_extragradient(vg.solve(case).coupled.mcp)


@pytest.fixture(scope="module", params=["base", "stress", "island"])
def reference(request: pytest.FixtureRequest) -> vg.Equilibrium:
    return vg.solve(vg.load_case("ieee123_sioux_falls_reference"), request.param, v2g=True)


def test_reference_prices(reference: vg.Equilibrium) -> None:
    """What is unique: trip costs, flows, sales, DLMP at buses with price-responsive demand."""
    mcp = reference.coupled.mcp
    result = polyhedral_extragradient(mcp, None, Options(tolerance=1e-6), finish=False)
    assert result.status is Status.SOLVED
    assert result.residual == scaled_residual(mcp, result.z).max() <= 1e-6
    values, known = mcp.split(result.z), mcp.split(reference.z)
    for key in ("drivers.demand_ev", "drivers.arc_time", "drivers.queue_time"):
        np.testing.assert_allclose(values[key], known[key], rtol=1e-5)
    sellers = [k for k in reference.coupled.programs if k.startswith("lse.")]
    buses = [label for label in mcp[f"{sellers[0]}.sales"].labels]
    at = [mcp["wheeling_price"].labels.index(b) for b in buses]
    for k in sellers:
        selling = known[f"{k}.sales"] > 1.0
        cost, exact = (
            (v["wheeling_price"][at] + v[f"{k}.energy"])[selling] for v in (values, known)
        )
        np.testing.assert_allclose(cost, exact, rtol=1e-5)


def test_newton_finish_on_the_reference(reference: vg.Equilibrium) -> None:
    result = polyhedral_extragradient(reference.coupled.mcp, None, Options(tolerance=1e-9))
    assert result.status is Status.SOLVED
    assert result.log[-1].phase == "newton"
    assert result.stats["projections"] < 30


def test_a_solution_as_start_needs_no_projection(reference: vg.Equilibrium) -> None:
    result = polyhedral_extragradient(reference.coupled.mcp, reference.z)
    assert result.status is Status.SOLVED
    assert result.stats["projections"] == 0


# -- ends --------------------------------------------------------------------------------------


def run(method: str, problem: PlainProblem, options: Options | None = None):
    if method == "box":
        return extragradient(problem, None, options)
    if method == "golden ratio":
        return extragradient(problem, None, options, scheme="golden_ratio")
    vi = from_problem(problem, np.ones(problem.n, dtype=bool))
    return solve_variational(vi, None, options, finish=False)


METHODS = ("box", "golden ratio", "polyhedron")


def turning() -> PlainProblem:
    problem = linear(ROTATION, np.array([0.3, -0.2]), -1.0, 1.0)
    problem.start = np.array([1.0, 1.0])
    return problem


@pytest.mark.parametrize("method", METHODS)
def test_iteration_limit_returns_the_best_point(method: str) -> None:
    result = run(method, turning(), Options(max_iterations=7))
    assert result.status is Status.ITERATION_LIMIT
    assert result.residual == min(e.residual for e in result.log)
    assert result.residual == scaled_residual(turning(), result.z).max()


@pytest.mark.parametrize("method", METHODS)
def test_time_limit(method: str) -> None:
    assert run(method, turning(), Options(time_limit_s=0.0)).status is Status.TIME_LIMIT


@pytest.mark.parametrize("method", METHODS)
def test_domain_error_is_told(method: str) -> None:
    nowhere = PlainProblem(
        lambda z: np.full(2, np.nan), lambda z: np.eye(2), np.zeros(2), np.full(2, 9.0), np.ones(2)
    )
    assert run(method, nowhere).status is Status.DOMAIN_ERROR


@pytest.mark.parametrize("method", METHODS)
def test_interrupted_run_returns_the_best_point(method: str) -> None:
    def stop(entry: Iteration) -> None:
        if entry.number == 5:
            raise KeyboardInterrupt

    result = run(method, turning(), Options(callback=stop))
    assert result.status is Status.INTERRUPTED
    assert len(result.log) == 6
    assert result.residual == min(e.residual for e in result.log)


@pytest.mark.parametrize("method", METHODS)
def test_callback_sees_the_log(method: str) -> None:
    seen: list[Iteration] = []
    result = run(method, turning(), Options(max_iterations=500, callback=seen.append))
    assert result.status is Status.SOLVED
    assert seen == result.log
    assert [e.number for e in seen] == list(range(len(seen)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_solution_is_not_called_solved(scheme: str) -> None:
    problem = linear(np.zeros((2, 2)), np.array([-1.0, 1.0]), 0.0, np.inf)
    result = extragradient(problem, scheme=scheme)
    assert result.status is Status.DIVERGED
    assert result.residual == 1.0


def test_an_empty_polyhedron_names_its_rows() -> None:
    """x >= 2 and x <= 1 as rows."""
    vi = affine(np.eye(1), np.zeros(1), least=(np.array([[1.0], [-1.0]]), np.array([2.0, -1.0])))
    result = solve_variational(vi)
    assert not result.status.ok
    assert result.diverging
    assert set(result.diverging) <= {"z[1]", "z[2]"}


def test_unknown_choices_suggest_one() -> None:
    with pytest.raises(DataError, match="did you mean 'korpelevich'"):
        extragradient(turning(), scheme="korpelevic")
    vi = affine(np.eye(1), np.zeros(1))
    with pytest.raises(DataError, match="did you mean 'tseng'"):
        solve_variational(vi, correction="tsen")


def test_plain_problems_have_no_joint_strategies() -> None:
    with pytest.raises(DataError, match="assembled from programs"):
        polyhedral_extragradient(turning())
