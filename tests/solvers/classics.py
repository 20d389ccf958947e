"""Classical complementarity problems, each named after its source.

Every function returns one problem: the map, bounds, starts and what is known of the answer. Where
the docstring gives no published answer, either an independent computation stands in for it (said
there) or the conditions alone are checked ("conditions only"). Sources: S. P. Dirkse and M. C.
Ferris, "MCPLIB", Optim. Methods Softw. 5 (1995); W. Hock and K. Schittkowski, "Test Examples for
Nonlinear Programming Codes" (1981), numbers HS; and the papers named with each problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.optimize import brentq, lsq_linear

Map = Callable[[np.ndarray], np.ndarray]
Check = Callable[[np.ndarray], None]


@dataclass
class Classic:
    """A problem, its starts and its answers (any of them, entries that are NaN unknown).

    `strongly` marks small strongly monotone problems on a box: first-order methods solve them too.
    `check` looks at a solution in a way of its own.
    """

    f: Map
    j: Map
    lower: np.ndarray
    upper: np.ndarray
    starts: list[np.ndarray]
    answers: list[np.ndarray] = field(default_factory=list)
    digits: float = 1e-6
    monotone: bool = True
    strongly: bool = False
    check: Check | None = None


CLASSICS: dict[str, Callable[[], Classic]] = {}
IMPOSSIBLE: dict[str, Callable[[], Classic]] = {}


def classic(build: Callable[[], Classic]) -> Callable[[], Classic]:
    CLASSICS[build.__name__] = cache(build)
    return build


def impossible(build: Callable[[], Classic]) -> Callable[[], Classic]:
    IMPOSSIBLE[build.__name__] = cache(build)
    return build


def differences(f: Map) -> Map:
    """Jacobian by complex steps; the maps below are analytic."""

    def j(z: np.ndarray) -> np.ndarray:
        n = len(z)
        return np.column_stack([f(z + 1e-30j * e).imag / 1e-30 for e in np.eye(n)])

    return j


def problem(f: Map, n: int, starts: list[object], **more: object) -> Classic:
    """Nonnegative variables unless told, Jacobian by complex steps unless given."""
    points = [np.broadcast_to(np.asarray(s, dtype=float), (n,)).copy() for s in starts]
    low, high = more.pop("lower", np.zeros(n)), more.pop("upper", np.full(n, np.inf))
    j = more.pop("j", differences(f))
    return Classic(f, j, low, high, points, **more)  # type: ignore[arg-type]


def lcp(m: np.ndarray, q: object, starts: list[object], **more: object) -> Classic:
    """M z + q."""
    q = np.broadcast_to(np.asarray(q, dtype=float), (len(m),))
    return problem(lambda z: m @ z + q, len(m), starts, j=lambda z: m, **more)


def laplace(n: int) -> np.ndarray:
    """Five-point stencil on the n by n inner points of the unit square, times h^2."""
    line = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return np.kron(line, np.eye(n)) + np.kron(np.eye(n), line)


def gauss_seidel(
    m: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray, over: float = 1.6
) -> np.ndarray:
    """Projected over-relaxation (Cryer 1971) for symmetric positive definite M."""
    z = np.clip(np.zeros(len(q)), low, high)
    for _ in range(3000):
        change = 0.0
        for k in range(len(q)):
            new = min(max(z[k] - over * (m[k] @ z + q[k]) / m[k, k], low[k]), high[k])
            change, z[k] = max(change, abs(new - z[k])), new
        if change < 1e-14:
            break
    return z


# -- nonlinear, small ---------------------------------------------------------------------------

ROOT = np.sqrt(6.0) / 2.0
FOUR_STARTS: list[object] = [0.0, 1.0, [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]]


def _kojima(z: np.ndarray, third: tuple[float, ...]) -> np.ndarray:
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


@classic
def kojima_shindo_1986() -> Classic:
    """Two published solutions, the first one degenerate."""
    return problem(
        lambda z: _kojima(z, (10.0, 9.0, 9.0, 3.0)),
        4,
        FOUR_STARTS,
        answers=[np.array([ROOT, 0, 0, 0.5]), np.array([1.0, 0, 3, 0])],
        monotone=False,
    )


@classic
def josephy_1979() -> Classic:
    """One published solution."""
    return problem(
        lambda z: _kojima(z, (3.0, 3.0, 1.0, 3.0)),
        4,
        FOUR_STARTS,
        answers=[np.array([ROOT, 0, 0, 0.5])],
        monotone=False,
    )


@classic
def mathiesen_1987() -> Classic:
    """Walrasian equilibrium with a continuum of solutions: conditions only."""

    def f(z: np.ndarray) -> np.ndarray:
        a, b, c, d = z
        return np.array(
            [
                -b + c + d,
                a - (4.5 * c + 2.7 * d) / (b + 1),
                5 - a - (0.5 * c + 0.3 * d) / (c + 1),
                3 - a,
            ]
        )

    return problem(f, 4, [1.0, [3, 1, 1, 1], [1, 0.5, 0.5, 0]], monotone=False)


@classic
def billups_1995() -> Classic:
    """Root known; made to trap descent methods at 0."""
    return problem(
        lambda z: (z - 1) ** 2 - 1.01,
        1,
        [2.0, 4.0, 10.0],
        answers=[np.array([1 + np.sqrt(1.01)])],
        monotone=False,
    )


def _watson(*starts: Callable[[np.ndarray], np.ndarray]) -> Classic:
    shift = np.arange(1.0, 11.0) - 2.0
    answer = np.maximum(shift, 0.0)

    def f(z: np.ndarray) -> np.ndarray:
        y = z - shift
        return 2.0 * y * np.exp((y * y).sum())

    return problem(f, 10, [s(answer) for s in starts], answers=[answer])


@classic
def watson_1979_exponential() -> Classic:
    """Gradient of exp(sum (z_i - i + 2)^2), n = 10; solution (0, 0, 1, ..., 8), checked by hand."""
    return _watson(lambda z: z + 0.5, lambda z: 0.8 * z, lambda z: np.maximum(z - 0.5, 0.0))


@classic
def watson_1979_exponential_far() -> Classic:
    """The same from where the map is of size 1e5 to 1e10 (at 0 it is 1e90)."""
    return _watson(lambda z: z + 0.9, lambda z: z + 1.5)


# -- oligopoly, general equilibrium, spatial prices ---------------------------------------------


def _cournot(c: list[float], big_l: float, beta: list[float], gamma: float) -> Map:
    cost, exponent = np.array(c), 1.0 / np.array(beta)

    def f(q: np.ndarray) -> np.ndarray:
        total = q.sum()
        price = 5000.0 ** (1 / gamma) * total ** (-1 / gamma)
        return cost + (q / big_l) ** exponent - price + q * price / (gamma * total)

    return f


@classic
def murphy_sherali_soyster_1982_five_firms() -> Classic:
    """Nash-Cournot; outputs published to three digits."""
    return problem(
        _cournot([10, 8, 6, 4, 2], 5.0, [1.2, 1.1, 1.0, 0.9, 0.8], 1.1),
        5,
        [10.0, 1.0, 50.0],
        answers=[np.array([36.932, 41.817, 43.706, 42.659, 39.179])],
        digits=1.5e-3,
    )


@classic
def harker_1988_ten_firms() -> Classic:
    """Nash-Cournot: conditions only."""
    return problem(
        _cournot(
            [5, 3, 8, 5, 1, 3, 7, 4, 6, 3],
            10.0,
            [1.2, 1.0, 0.9, 0.6, 1.5, 1.0, 0.7, 1.1, 0.95, 0.75],
            1.2,
        ),
        10,
        [10.0, 1.0],
    )


@classic
def scarf_hansen_1973() -> Classic:
    """Activity analysis, CES consumers (data as in GAMS scarfmcp).

    No published answer at hand: conditions, Walras's law (the one row without a complement, that
    of the fixed income, closes by itself) and zero profits of the activities in use.
    """
    # capital at the end of the period, nondurables, durables, capital at its beginning, labour
    endowment = np.zeros((6, 5))
    endowment[3] = [3, 0.1, 2, 1, 6]
    endowment[4] = [5, 0.1, 6, 0.1, 0.1]
    endowment[5] = [0.1, 7, 0.1, 8, 0.5]
    endowment[2] = [1, 2, 1.5, 1, 2]
    demand = np.zeros((6, 5))
    demand[0] = [4, 0.4, 2, 5, 3]
    demand[1] = [2, 4, 2, 5, 4]
    demand[2] = [3.2, 1, 1.5, 4.5, 2]
    demand[4] = [0.2, 0, 0.5, 0, 0]
    demand[5] = [0, 0.6, 0, 0.2, 0.2]
    share = demand / demand.sum(axis=0)
    sigma = np.array([1.2, 1.6, 0.8, 0.5, 0.6])
    a = np.zeros((6, 8))
    a[0] = [4, 4, 1.6, 1.6, 1.6, 0.9, 7, 8]
    a[1, 2:5] = [6, 8, 7]
    a[2, :2] = [4, 3.5]
    a[3] = [-5.3, -5, -2, -2, -2, -1, -4, -5]
    a[4] = [-2, -1, -2, -4, -1, 0, -3, -2]
    a[5] = [-1, -6, -3, -1, -8, 0, -1, -8]
    used = share.max(axis=1) > 0

    def f(z: np.ndarray) -> np.ndarray:
        p, y, income = z[:6], z[6:14], z[14:]
        ratio = p[:, None]
        with np.errstate(all="ignore"):
            index = (share[used] * ratio[used] ** (1.0 - sigma)).sum(axis=0)
            bought = np.zeros((6, 5), dtype=z.dtype)
            bought[used] = share[used] * ratio[used] ** -sigma * (income / index)
        return np.concatenate(
            [a @ y + endowment.sum(axis=1) - bought.sum(axis=1), -a.T @ p, income - p @ endowment]
        )

    low, high = np.zeros(19), np.full(19, np.inf)
    low[:6][used] = 1e-5
    first = endowment.sum(axis=0)
    low[14] = high[14] = first[0]

    def check(z: np.ndarray) -> None:
        assert abs(f(z)[14]) <= 1e-6
        assert (z[:6] > 1e-3).all()
        assert (np.abs(a.T @ z[:6])[z[6:14] > 1e-6] <= 1e-8).all()

    starts = [np.r_[np.full(6, p), np.full(8, y), first] for p, y in ((1, 1), (1, 0.1), (0.5, 2))]
    return problem(f, 19, starts, lower=low, upper=high, monotone=False, check=check)


@classic
def takayama_judge_1964() -> Classic:
    """Spatial prices, three regions, two goods (data as in GAMS spatequ).

    No published answer at hand; prices are unique, and balance and arbitrage are checked.
    """
    top = np.array([[200.0, 300], [100, 200], [160, 250]])
    own = np.array([[10.0, 10], [5, 20], [8, 10]])
    base = np.array([50.0, 60])
    rise = np.array([[10.0, 15], [20, 25], [10, 15]])
    cost = np.array([[[0, 0], [2, 3], [2, 3]], [[2, 3], [0, 0], [1, 2]], [[2, 3], [1, 2], [0, 0]]])

    def f(z: np.ndarray) -> np.ndarray:
        p, x = z[:6].reshape(3, 2), z[6:].reshape(3, 3, 2)
        cross = p[:, ::-1]
        supply, demand = -base + rise * p + 0.5 * cross, top - own * p + cross
        balance = supply + x.sum(axis=0) - x.sum(axis=1) - demand
        return np.concatenate([balance.ravel(), (p[:, None] + cost - p[None]).ravel()])

    def check(z: np.ndarray) -> None:
        p = z[:6].reshape(3, 2)
        assert (p > 1.0).all()
        assert (p[None] - p[:, None] <= cost + 1e-7).all()

    return problem(f, 24, [0.0, 1.0, 10.0, 100.0], check=check)


# -- linear -------------------------------------------------------------------------------------


def _murty(n: int) -> Classic:
    answer = np.r_[np.zeros(n - 1), 1.0]
    m = np.eye(n) + 2.0 * np.triu(np.ones((n, n)), 1)
    return lcp(m, -1.0, [0.0, 1.0, np.arange(n) % 2, 10.0], answers=[answer])


@classic
def murty_1988_sixteen() -> Classic:
    """Exponentially many pivots of Lemke's method (explcp); solution (0, ..., 0, 1)."""
    return _murty(16)


@classic
def murty_1988_sixty_four() -> Classic:
    return _murty(64)


@classic
def fathi_1979() -> Classic:
    """Murty's matrix times its transpose; solution (1, 0, ..., 0)."""
    n = 16
    a = np.eye(n) + 2.0 * np.tril(np.ones((n, n)), -1)
    return lcp(a @ a.T, -1.0, [0.0, 1.0, 10.0], answers=[np.r_[1.0, np.zeros(n - 1)]])


@classic
def ahn_1983() -> Classic:
    """Tridiagonal (1, 4, -2), q = -1, strongly monotone; the solution is interior."""
    n = 30
    m = 4.0 * np.eye(n) - 2.0 * np.eye(n, k=1) + np.eye(n, k=-1)
    answer = np.linalg.solve(m, np.ones(n))
    assert (answer > 0).all()
    return lcp(m, -1.0, [0.0, 1.0, 5.0], answers=[answer], strongly=True)


@classic
def degenerate_in_every_entry() -> Classic:
    """z = 0 and F = 0 at once (q = 0): nothing tells the two apart. Answer by hand."""
    m = np.array([[2.0, 1, 0], [-1, 2, 1], [0, -1, 2]])
    return lcp(m, 0.0, [0.0, 1.0, [3, 0, 2]], answers=[np.zeros(3)], digits=1e-5, strongly=True)


@classic
def degenerate_in_one_entry() -> Classic:
    """Solution (1, 0) with F = 0. Answer by hand."""
    m = np.array([[2.0, 1], [1, 2]])
    return lcp(
        m,
        [-2.0, -1.0],
        [0.0, 1.0, [0, 5]],
        answers=[np.array([1.0, 0])],
        digits=1e-5,
        strongly=True,
    )


@classic
def two_finger_morra() -> Classic:
    """Matrix game of value 0; optimal strategies (0, p, 1 - p, 0), 4/7 <= p <= 3/5 (Dantzig)."""
    pay = np.array([[0.0, 2, -3, 0], [-2, 0, 0, 3], [3, 0, 0, -4], [0, -3, 4, 0]])
    one, zero = np.ones((4, 1)), np.zeros((4, 4))
    m = np.block(
        [
            [zero, -pay, one, 0 * one],
            [pay.T, zero, 0 * one, -one],
            [-one.T, 0 * one.T, np.zeros((1, 2))],
            [0 * one.T, one.T, np.zeros((1, 2))],
        ]
    )

    def check(z: np.ndarray) -> None:
        for s in (z[:4], z[4:8]):
            assert abs(s.sum() - 1) <= 1e-7
            assert abs(s[0]) + abs(s[3]) <= 1e-6
            assert 4 / 7 - 1e-6 <= s[1] <= 3 / 5 + 1e-6
        assert np.abs(z[8:]).max() <= 1e-6

    low = np.r_[np.zeros(8), -np.inf, -np.inf]
    q = np.r_[np.zeros(8), 1.0, -1.0]
    starts = [np.zeros(10), np.r_[np.full(8, 0.25), 0, 0], np.r_[1, 0, 0, 0, 0, 0, 0, 1, 1, -1]]
    return lcp(m, q, starts, lower=low, check=check)


@classic
def von_stengel_2007_bimatrix() -> Classic:
    """Three by two game with three equilibria, all published (Algorithmic Game Theory, ch. 3)."""
    a, b = np.array([[3.0, 3], [2, 5], [0, 6]]), np.array([[3.0, 2], [2, 6], [3, 1]])

    def f(z: np.ndarray) -> np.ndarray:
        x, y, u, v = z[:3], z[3:5], z[5], z[6]
        rest = np.array([x.sum() - 1.0, y.sum() - 1.0])
        return np.concatenate([u - a @ y, v - b.T @ x, rest])

    answers = []
    for x, y in (
        ([1, 0, 0], [1, 0]),
        ([4 / 5, 1 / 5, 0], [2 / 3, 1 / 3]),
        ([0, 1 / 3, 2 / 3], [1 / 3, 2 / 3]),
    ):
        answers.append(np.r_[x, y, (a @ y).max(), (b.T @ x).max()])
    low = np.r_[np.zeros(5), -np.inf, -np.inf]
    starts = [[1 / 3] * 3 + [1 / 2] * 2 + [0, 0], [0, 0, 1, 0, 1, 5, 5], [0, 1, 0, 1, 0, 3, 3]]
    return problem(f, 7, starts, lower=low, answers=answers, monotone=False)


# -- nonlinear programmes as complementarity problems -------------------------------------------


def programme(
    gradient: Map,
    a: np.ndarray,
    b: np.ndarray,
    answer: object,
    starts: list[object],
    **more: object,
) -> Classic:
    """min over x >= 0 subject to A x >= b; the multipliers are not compared."""
    m, n = a.shape

    def f(z: np.ndarray) -> np.ndarray:
        return np.concatenate([gradient(z[:n]) - a.T @ z[n:], a @ z[:n] - b])

    known = np.r_[np.asarray(answer, dtype=float), np.full(m, np.nan)]
    points = [np.r_[np.broadcast_to(s, n), np.zeros(m)] for s in starts]
    return problem(f, n + m, points, answers=[known], **more)


@classic
def beale_1967_hs35() -> Classic:
    """Published solution (4/3, 7/9, 4/9)."""
    h = np.array([[4.0, 2, 2], [2, 4, 0], [2, 0, 2]])
    return programme(
        lambda x: h @ x - np.array([8.0, 6, 4]),
        np.array([[-1.0, -1, -2]]),
        np.array([-3.0]),
        [4 / 3, 7 / 9, 4 / 9],
        [0.5, 0.0, 10.0],
    )


@classic
def murtagh_sargent_1969_hs76() -> Classic:
    """Published solution (3/11, 23/11, 0, 6/11)."""
    h = np.array([[2.0, 0, -1, 0], [0, 1, 0, 0], [-1, 0, 2, 1], [0, 0, 1, 1]])
    return programme(
        lambda x: h @ x + np.array([-1.0, -3, 1, -1]),
        np.array([[-1.0, -2, -1, -1], [-3, -1, -2, 1], [0, 1, 4, 0]]),
        np.array([-5.0, -4, 1.5]),
        [3 / 11, 23 / 11, 0, 6 / 11],
        [0.5, 0.0, 10.0],
    )


COLVILLE_E = np.array([-15.0, -27, -36, -18, -12])
COLVILLE_C = np.array(
    [
        [30.0, -20, -10, 32, -10],
        [-20, 39, -6, -31, 32],
        [-10, -6, 10, -6, -10],
        [32, -31, -6, 39, -20],
        [-10, 32, -10, -20, 30],
    ]
)
COLVILLE_D = np.array([4.0, 8, 10, 6, 2])
COLVILLE_A = np.array(
    [
        [-16, 2, 0, 1, 0],
        [0, -2, 0, 0.4, 2],
        [-3.5, 0, 2, 0, 0],
        [0, -2, 0, -4, -1],
        [0, -9, -2, 1, -2.8],
        [2, 0, -4, 0, 0],
        [-1, -1, -1, -1, -1],
        [-1, -2, -3, -2, -1],
        [1, 2, 3, 4, 5],
        [1, 1, 1, 1, 1],
    ]
)
COLVILLE_B = np.array([-40.0, -2, -0.25, -4, -4, -1, -40, -60, 5, 1])
COLVILLE_X = [0.3, 0.33346761, 0.4, 0.42831010, 0.22396487]


@classic
def colville_1968_hs86() -> Classic:
    """Colville's first problem (colvnlp), convex; published solution and value -32.34867897."""

    def gradient(x: np.ndarray) -> np.ndarray:
        return COLVILLE_E + 2.0 * COLVILLE_C @ x + 3.0 * COLVILLE_D * x**2

    def check(z: np.ndarray) -> None:
        x = z[:5]
        value = COLVILLE_E @ x + x @ COLVILLE_C @ x + COLVILLE_D @ x**3
        assert abs(value + 32.34867897) <= 1e-6

    return programme(
        gradient,
        COLVILLE_A,
        COLVILLE_B,
        COLVILLE_X,
        [[0, 0, 0, 0, 1.0], 0.0, 1.0, 10.0],
        check=check,
    )


@classic
def colville_1968_hs117() -> Classic:
    """Its dual (colvdual): not convex; published objective 32.348679."""

    def f(z: np.ndarray) -> np.ndarray:
        y, x, t = z[:10], z[10:15], z[15:]
        slope = 2.0 * COLVILLE_C
        return np.concatenate(
            [
                -COLVILLE_B + COLVILLE_A @ t,
                slope @ x + 6.0 * COLVILLE_D * x**2 - slope @ t - 6.0 * COLVILLE_D * x * t,
                slope @ x + 3.0 * COLVILLE_D * x**2 + COLVILLE_E - COLVILLE_A.T @ y,
            ]
        )

    def check(z: np.ndarray) -> None:
        y, x = z[:10], z[10:15]
        value = -COLVILLE_B @ y + x @ COLVILLE_C @ x + 2.0 * COLVILLE_D @ x**3
        assert abs(value - 32.348679) <= 1e-5

    published = np.r_[np.full(10, 0.001), np.full(10, 0.001)]
    published[6] = 60.0
    starts = [published, 1.0, 0.0, 10.0, np.r_[np.zeros(10), np.full(10, 5.0)]]
    return problem(f, 20, starts, monotone=False, check=check)


POWELL = np.array([1.717143, 1.595709, 1.827247, 0.7636413, 0.7636450])


def _powell(z: np.ndarray, bounded: bool) -> np.ndarray:
    x, (u, v, w) = z[:5], z[5:]
    gradient = np.array([np.prod(np.delete(x, k)) for k in range(5)])
    if bounded:
        gradient = gradient * np.exp(np.prod(x))
    normal = 2.0 * u * x
    normal = normal + v * np.array([0.0, 1, 1, -5, -5]) * x[[0, 2, 1, 4, 3]]
    normal = normal + 3.0 * w * np.array([1.0, 1, 0, 0, 0]) * x**2
    rows = np.array([x @ x - 10.0, x[1] * x[2] - 5.0 * x[3] * x[4], x[0] ** 3 + x[1] ** 3 + 1.0])
    return np.concatenate([gradient - normal, rows])


def _powell_check(z: np.ndarray) -> None:
    np.testing.assert_allclose(np.abs(z[:5]), POWELL, atol=1e-5)
    assert abs(np.prod(z[:5]) + 2.91970041) <= 1e-6


@classic
def powell_1969_hs78() -> Classic:
    """Equalities and free variables only (powell_mcp); published up to signs of pairs."""
    free = np.full(8, -np.inf)
    start = [-2, 1.5, 2, -1, -1, 0, 0, 0]
    return problem(
        lambda z: _powell(z, False),
        8,
        [start, [-1.7, 1.6, 1.8, -0.8, -0.7, 0, 0, 0], [-2, 1.5, 2, 1, 1, 0, 0, 0]],
        lower=free,
        monotone=False,
        check=_powell_check,
    )


@classic
def powell_1969_hs80() -> Classic:
    """Double bounds and free multipliers; published up to signs of pairs."""
    box = np.array([2.3, 2.3, 3.2, 3.2, 3.2])
    free = np.full(3, np.inf)
    return problem(
        lambda z: _powell(z, True),
        8,
        [[-2, 2, 2, -1, -1, 0, 0, 0], [-1.7, 1.6, 1.8, -0.8, -0.7, 0, 0, 0]],
        lower=np.r_[-box, -free],
        upper=np.r_[box, free],
        monotone=False,
        check=_powell_check,
    )


@classic
def bounded_linear_quadratic_control() -> Classic:
    """Double integrator with bounded thrust (opt_cont's form), states and costates free.

    Stands against bounded least squares in the thrusts alone.
    """
    n, h, weight = 20, 0.25, 0.1
    step, push = np.array([[1.0, h], [0.0, 1.0]]), np.array([h * h / 2, h])
    first = np.array([2.0, 0.0])
    c = np.zeros((2 * n, 3 * n))
    e = np.zeros(2 * n)
    for k in range(n):
        rows = slice(2 * k, 2 * k + 2)
        c[rows, n + 2 * k : n + 2 * k + 2] = np.eye(2)
        c[rows, k] = -push
        if k:
            c[rows, n + 2 * k - 2 : n + 2 * k] = -step
    e[:2] = step @ first
    cost = np.diag(np.r_[np.full(n, weight), np.ones(2 * n)])
    m = np.block([[cost, -c.T], [c, np.zeros((2 * n, 2 * n))]])
    states = np.linalg.solve(c[:, n:], np.column_stack([-c[:, :n], e]))
    best = lsq_linear(
        np.vstack([states[:, :-1], np.sqrt(weight) * np.eye(n)]),
        np.r_[-states[:, -1], np.zeros(n)],
        bounds=(-1.0, 1.0),
        method="bvls",
        tol=1e-14,
    )
    u = best.x
    assert (np.abs(u) > 1 - 1e-9).any()
    assert (np.abs(u) < 0.9).any()
    answer = np.r_[u, states[:, :-1] @ u + states[:, -1], np.full(2 * n, np.nan)]
    free = np.full(4 * n, np.inf)
    return lcp(
        m,
        np.r_[np.zeros(3 * n), -e],
        [0.0, 1.0, -3.0],
        lower=np.r_[-np.ones(n), -free],
        upper=np.r_[np.ones(n), free],
        answers=[answer],
    )


# -- traffic ------------------------------------------------------------------------------------


def braess_links() -> Classic:
    """Braess (1968): six trips; five links with costs 10x, 50+x, 50+x, 10x, 10+x; link-node form."""
    tail, head = np.array([0, 0, 2, 2, 3]), np.array([2, 3, 1, 3, 1])
    slope, base = np.array([10.0, 1, 1, 1, 10]), np.array([0.0, 50, 50, 10, 0])
    a = np.zeros((4, 5))
    a[head, np.arange(5)], a[tail, np.arange(5)] = 1.0, -1.0
    demand = np.array([-6.0, 6.0, 0.0, 0.0])
    a, demand = a[1:], demand[1:]
    m = np.block([[np.diag(slope), -a.T], [a, np.zeros((3, 3))]])
    low = np.concatenate([np.zeros(5), np.full(3, -np.inf)])
    answer = np.array([4.0, 2, 2, 2, 4, 92, 40, 52])
    return lcp(m, np.r_[base, -demand], [0.0, 1.0, 100.0], lower=low, answers=[answer])


@classic
def braess_1968_links() -> Classic:
    return braess_links()


def _ring(gamma: float, demand: np.ndarray) -> Map:
    """Five entrances on two ring roads; each pair goes three exits outside or two inside.

    Delay of a link 1 + t + t^2, ten times that on highways; merging flows couple by gamma. The
    symmetric part of the Jacobian is linear in the flows, so that its values at the unit flows tell
    where it is positive semidefinite: for gamma up to 1/2, no more for 1.
    """

    def t(flow: np.ndarray) -> np.ndarray:
        return 1.0 + flow + flow**2

    def f(w: np.ndarray) -> np.ndarray:
        x, z, y = w[:5], w[5:10], w[10:]

        def at(v: np.ndarray, k: int) -> np.ndarray:
            return np.roll(v, -k)

        highway = t(x + at(x, 3) + at(x, 4))
        bypass = t(x + at(x, 4))
        outside = 2.0 * t(x) + gamma * t(at(x, 3) + at(x, 4)) + bypass + at(bypass, 1)
        outside = outside + 10.0 * (highway + at(highway, 1) + at(highway, 2))
        outside = outside + 2.0 * gamma * (t(at(x, 3)) + t(at(x, 4)) + t(x))
        inner = t(z + at(z, 1))
        inside = 3.0 * t(z) + 3.0 * gamma * t(at(z, 1)) + 2.0 * gamma * t(z)
        inside = inside + 10.0 * (inner + at(inner, 4))
        return np.concatenate([outside - y, inside - y, x + z - demand])

    return f


RING_LOWER = np.r_[np.zeros(10), np.full(5, -np.inf)]
RING_STARTS: list[object] = [0.0, 1.0, np.r_[np.ones(5), np.zeros(10)], 10.0]


def _symmetric_ring(gamma: float) -> Classic:
    demand = 2.0
    f = _ring(gamma, np.full(5, demand))

    def excess(x: float) -> float:
        w = np.r_[np.full(5, x), np.full(5, demand - x), np.zeros(5)]
        return float(f(w)[0] - f(w)[5])

    x = brentq(excess, 0.0, demand, xtol=1e-14)
    w = np.r_[np.full(5, x), np.full(5, demand - x), np.zeros(5)]
    answer = np.r_[w[:10], np.full(5, f(w)[0])]
    return problem(f, 15, RING_STARTS, lower=RING_LOWER, answers=[answer], monotone=gamma <= 0.5)


@classic
def bertsekas_gafni_1982_ring() -> Classic:
    """Unit coefficients, equal demands, no coupling: all pairs split alike, by one equation."""
    return _symmetric_ring(0.0)


@classic
def bertsekas_gafni_1982_ring_coupled() -> Classic:
    """The same with coupling (asymmetric Jacobian): the even split."""
    return _symmetric_ring(1.0)


@classic
def bertsekas_gafni_1982_ring_uneven() -> Classic:
    """Uneven demands of our own, coupling 0.5: conditions only (the paper's data unconfirmed)."""
    f = _ring(0.5, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    return problem(f, 15, RING_STARTS, lower=RING_LOWER)


# -- obstacles and reaction-diffusion -----------------------------------------------------------


@classic
def string_over_a_bump() -> Classic:
    """Obstacle in one dimension; the discrete answer is the smallest concave majorant."""
    n = 20
    x = np.linspace(0.0, 1.0, n + 2)
    bump = np.maximum(0.3 - 4.0 * (x - 0.5) ** 2, 0.0)
    hull = [0]
    for k in range(1, n + 2):
        while len(hull) > 1:
            i, j = hull[-2], hull[-1]
            if (bump[j] - bump[i]) * (k - j) > (bump[k] - bump[j]) * (j - i):
                break
            hull.pop()
        hull.append(k)
    answer = np.interp(x, x[hull], bump[hull])[1:-1]
    m = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return lcp(m, 0.0, [0.0, 1.0, bump[1:-1]], lower=bump[1:-1], answers=[answer], strongly=True)


def _membrane(load: float, low: Map, high: Map, strongly: bool) -> Classic:
    n = 10
    line = np.linspace(0.0, 1.0, n + 2)[1:-1]
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    m, q = laplace(n), np.full(n * n, -load / (n + 1) ** 2)
    below, above = low(np.array([x, y])), high(np.array([x, y]))
    answer = gauss_seidel(m, q, below, above)
    assert ((answer <= below) | (answer >= above)).any()
    return lcp(
        m,
        q,
        [0.0, below, np.minimum(above, 10.0)],
        lower=below,
        upper=above,
        answers=[answer],
        strongly=strongly,
    )


@classic
def elastic_plastic_torsion() -> Classic:
    """|stress| at most the distance to the boundary, load 5 (Glowinski 1984), 10 by 10.

    Stands against projected over-relaxation.
    """

    def distance(v: np.ndarray) -> np.ndarray:
        return np.minimum(v, 1.0 - v).min(axis=0)

    return _membrane(5.0, lambda v: -distance(v), distance, strongly=True)


@classic
def dembo_tulowitzki_1983_obstacle() -> Classic:
    """Between (sin 9.2x sin 9.3y)^3 and its square + 0.02, load 1 (obstacle), 10 by 10.

    Stands against projected over-relaxation.
    """

    def wave(v: np.ndarray) -> np.ndarray:
        return np.sin(9.2 * v[0]) * np.sin(9.3 * v[1])

    return _membrane(1.0, lambda v: wave(v) ** 3, lambda v: wave(v) ** 2 + 0.02, strongly=True)


def _bratu(n: int, lam: float) -> Map:
    """-u'' - lam exp(u), u = 0 at both ends, times h."""
    h = 1.0 / (n + 1)

    def f(u: np.ndarray) -> np.ndarray:
        out = 2.0 * u - lam * h**2 * np.exp(u)
        out[1:] -= u[:-1]
        out[:-1] -= u[1:]
        return out / h

    return f


@classic
def bratu_on_a_line() -> Classic:
    """-u'' = lam exp(u) under an upper obstacle, where it is monotone: conditions only."""
    return problem(_bratu(40, 3.0), 40, [0.0, 0.2, 0.3], upper=np.full(40, 0.3))


@classic
def bratu_1914_both_branches() -> Classic:
    """Without obstacle, lam = 2 < 3.5138: two solutions, in closed form but for the grid's error.

    u = 2 log(cosh c / cosh(c (1 - 2x))), cosh c = c sqrt(8 / lam).
    """
    n, lam = 60, 2.0
    x = np.linspace(0.0, 1.0, n + 2)[1:-1]
    turn = 1.1997  # minimum of cosh c / c
    answers = []
    for low, high in ((0.1, turn), (turn, 10.0)):
        c = brentq(lambda c: np.cosh(c) - c * np.sqrt(8.0 / lam), low, high)
        answers.append(2.0 * np.log(np.cosh(c) / np.cosh(c * (1.0 - 2.0 * x))))
    return problem(
        _bratu(n, lam),
        n,
        [0.0, 1.0, 3.5 * np.sin(np.pi * x), 5.0 * np.sin(np.pi * x)],
        lower=np.full(n, -np.inf),
        answers=answers,
        digits=2e-3,
        monotone=False,
    )


@classic
def bratu_on_a_square() -> Classic:
    """-Laplacian u = lam exp(u), lam = 6, 0 <= u <= 0.5, 9 by 9: conditions and symmetry only."""
    n, lam = 9, 6.0
    m, h = laplace(n), 1.0 / (n + 1)

    def check(u: np.ndarray) -> None:
        grid = u.reshape(n, n)
        np.testing.assert_allclose(grid, grid.T, atol=1e-7)
        np.testing.assert_allclose(grid, grid[::-1], atol=1e-7)
        assert (u == 0.5).any()

    return problem(
        lambda u: m @ u - lam * h**2 * np.exp(u),
        n * n,
        [0.0, 0.5, 0.25],
        upper=np.full(n * n, 0.5),
        j=lambda u: m - np.diag(lam * h**2 * np.exp(u)),
        check=check,
    )


# -- without a solution -------------------------------------------------------------------------

FREE = -np.inf


@impossible
def contradictory_inequalities() -> Classic:
    """x >= 2 and x <= 1 as rows with multipliers."""
    m = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    return lcp(m, [1.0, -2.0, 1.0], [0.0, 5.0], lower=np.array([FREE, 0, 0]))


@impossible
def contradictory_equalities() -> Classic:
    """min x^2 / 2 with x = 1 and x = 2."""
    m = np.array([[1.0, -1, -1], [1, 0, 0], [1, 0, 0]])
    return lcp(m, [0.0, -1.0, -2.0], [0.0, 1.5], lower=np.full(3, FREE))


@impossible
def sum_beyond_the_bounds() -> Classic:
    """x + y = 5 with both in [0, 1]."""
    m = np.array([[1.0, 0, -1], [0, 1, -1], [1, 1, 0]])
    low, high = np.array([0, 0, FREE]), np.array([1, 1, np.inf])
    return lcp(m, [0.0, 0.0, -5.0], [0.0, 1.0], lower=low, upper=high)


@impossible
def skew_lcp_without_feasible_point() -> Classic:
    """M skew: second row -z1 - 1 >= 0."""
    return lcp(np.array([[0.0, 1], [-1, 0]]), -1.0, [0.0, 1.0])


@impossible
def negative_lcp() -> Classic:
    """F = -z - 1 < 0 on all of z >= 0; not monotone."""
    return lcp(np.array([[-1.0, 0], [0, 1]]), -1.0, [0.0, 1.0], monotone=False)


@impossible
def unbounded_linear_programme() -> Classic:
    """min -x - y, x - y <= 1, x, y >= 0."""
    m = np.array([[0.0, 0, 1], [0, 0, -1], [-1, 1, 0]])
    return lcp(m, [-1.0, -1.0, 1.0], [0.0, 1.0])


@impossible
def equation_without_root() -> Classic:
    """z^2 + 1 = 0."""
    return problem(
        lambda z: z**2 + 1.0, 1, [0.0, 1.0, -3.0], lower=np.array([FREE]), monotone=False
    )


@impossible
def feasible_lcp_without_complementarity() -> Classic:
    """F = (z2 - 1, 1): z2 >= 1 is feasible, complementarity asks for z2 = 0; not monotone."""
    return lcp(np.array([[0.0, 1], [0, 0]]), [-1.0, 1.0], [0.0, 1.0], monotone=False)
