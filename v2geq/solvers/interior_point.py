"""Proximal interior-point method for monotone MCPs, finished by active-set Newton steps.

Predictor-corrector path following on the perturbed conditions F(z) = w_l - w_u,
(z - lower) w_l = mu, (upper - z) w_u = mu, with one step length for all variables (F may be
nonlinear). The Newton matrix J + W / Z + rho I stays regular where multipliers are not unique;
the proximal term rho is centred at the iterate, and iterative refinement against the unregularised
matrix takes its bias out again. Near the end an active-set (natural-map Newton) step, tried now and
then, takes the residual to rounding level in one or two factorisations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.mcp.problem import Problem
from v2geq.solvers.linear import PatternFactor, equilibrate
from v2geq.solvers.protocol import (
    MCPResult,
    Options,
    Record,
    Status,
    first_point,
    one_per_block,
    skew_scales,
)

PROXIMAL = 1e-8
FIRM = 1e-6
"""The same where pivots of an LDL' were lost in rounding: surer, and more steps of refinement."""
STEP_TO_BOUNDARY = 0.9995
POLISH_BELOW = 1e-4
POLISH_STEPS = 4
STALL_AFTER = 25
CAUTIOUS_AFTER = 8
"""Iterations without progress from which steps are taken for centrality, not for speed."""
CAUTIOUS_CENTRING = 0.5
CAUTIOUS_TO_BOUNDARY = 0.8
OVERWHELMING = 1e6
"""Force on a multiplier's bound at the start that says how the pair ends, rather than how large all
pairs are: that of a row whose limit stands for none."""
BALANCE = 1e-4
"""Least complementarity, as a share of the largest imbalance: multipliers of pairs that meet their
bounds while rows are far from balanced can hold the rows where they are."""
LOST = 1.0
"""Residual of a linear solve, as a share of the right side, from which the factors are useless."""
SMALLEST_GAP = 1e-17
DIVERGING = 1e6
WARM_COMPLEMENTARITY = 0.1
"""Scaled complementarity of a warm start: near enough to save half the way, far enough to turn."""
WARM_ITERATIONS = 30


class _Scaled:
    """The problem in equilibrated units: x = z / column, g = F / row."""

    def __init__(self, problem: Problem, z: FloatArray) -> None:
        self.problem = problem
        self.diagonal = problem.diagonal_positions
        self.evaluations = 0
        a = problem.J(z)
        self.rows = a.indices
        self.columns = np.repeat(np.arange(problem.n), np.diff(a.indptr))
        column, row, self.weight = skew_scales(problem)
        d = equilibrate(a, self.columns, column, row)
        self.column, self.row = column * d, row / d
        self._factor = self.column[self.columns] / self.row[self.rows]
        self.low = problem.lower / self.column
        self.high = problem.upper / self.column

    def f(self, x: FloatArray) -> FloatArray:
        self.evaluations += 1
        return self.problem.F(x * self.column) / self.row

    def j(self, x: FloatArray) -> sp.csc_array:
        a = self.problem.J(x * self.column)
        return sp.csc_array((a.data * self._factor, a.indices, a.indptr), shape=a.shape)


@dataclass
class _State:
    """An interior point: x, and the multipliers of its lower and upper bounds."""

    x: FloatArray
    wl: FloatArray
    wu: FloatArray


def interior_point(
    problem: Problem, start: FloatArray | None = None, options: Options | None = None
) -> MCPResult:
    """Solve a monotone MCP.

    Parameters
    ----------
    start
        (n,) first point; the problem's own if left out. It need not be feasible. Where nothing is
        found from it, the run begins again from the problem's own, or from the point of the box
        nearest to zero.
    options
        Tolerance and limits.

    Returns
    -------
    MCPResult
        With the best point met, residual recomputed there.
    """
    options = options or Options()
    begin = time.perf_counter()

    def attempt(z: FloatArray, limits: Options, *, warm: bool = False) -> MCPResult:
        return _Run(problem, _Scaled(problem, z), z, limits, begin, warm=warm).run()

    first = first_point(problem, start)
    if start is None:
        return attempt(first, options)
    short = replace(options, max_iterations=min(WARM_ITERATIONS, options.max_iterations))
    result = attempt(first, short if options.warm else options, warm=options.warm)
    again = (Status.STALLED, Status.DIVERGED, Status.DOMAIN_ERROR)
    if result.status not in again and not (
        options.warm and result.status is Status.ITERATION_LIMIT
    ):
        return result
    # far starts can be so steep that no step leads away from them
    second = first_point(problem, None)
    if np.array_equal(first, second):
        second = first_point(problem, np.zeros(problem.n))
    other = attempt(second, options)
    other.log = result.log + other.log
    return other if other.residual <= result.residual else result


class _Run:
    def __init__(
        self,
        problem: Problem,
        scaled: _Scaled,
        z: FloatArray,
        options: Options,
        begin: float,
        *,
        warm: bool = False,
    ) -> None:
        self.problem, self.scaled, self.options = problem, scaled, options
        self.record = Record(problem, options, z, begin)
        self.low_at = np.flatnonzero(np.isfinite(scaled.low))
        self.high_at = np.flatnonzero(np.isfinite(scaled.high))
        self.fixed = scaled.high - scaled.low <= 0.0
        self.low_at = self.low_at[~self.fixed[self.low_at]]
        self.high_at = self.high_at[~self.fixed[self.high_at]]
        self.pairs = max(len(self.low_at) + len(self.high_at), 1)
        self.weight = scaled.weight
        # what is small beside the data of an entry is small beside its unit times this
        self.unit = np.sqrt(scaled.weight)
        self.row_unit = problem.row_scale / scaled.row
        self.lu = PatternFactor()
        x = z / scaled.column
        self.state = self._warm_start(x) if warm else self._start(x)

    # -- points -------------------------------------------------------------------------------

    def _start(self, x: FloatArray) -> _State:
        """Move the first point inside its bounds, all pairs at the mean complementarity.

        Pairs as unequal as the forces at a first point would hold up the first ten steps. Products
        count in the problem's own scales (`weight`): a trip that few make gets as near to its
        bounds, beside its size, as one of many.
        """
        low, high, unit = self.scaled.low, self.scaled.high, self.unit
        margin = np.minimum(unit, 0.25 * (high - low))
        x = np.clip(x, low + margin, high - margin)
        x[self.fixed] = low[self.fixed]
        f = self.scaled.f(x)
        wl, wu = np.zeros_like(x), np.zeros_like(x)
        # multipliers of rows whose limits stand for none start at their bounds
        force = f / unit
        slack = self.scaled.j(x).data[self.scaled.diagonal] == 0.0
        slack &= (force > OVERWHELMING) & np.isfinite(low) & ~self.fixed
        forces = np.concatenate([force[self.low_at], -force[self.high_at]])
        usual = ~np.concatenate([slack[self.low_at], np.zeros(len(self.high_at), bool)])
        if usual.any():
            forces = forces[usual]
        mu = 1.0 + float(np.maximum(forces, 0.0).mean()) if len(forces) else 1.0
        if usual.any():
            x[slack] = low[slack] + (mu * self.weight[slack] / f[slack])
        gl, gu = self._gaps(x)
        wl[self.low_at] = (mu * self.weight / gl)[self.low_at]
        wu[self.high_at] = (mu * self.weight / gu)[self.high_at]
        return _State(x, wl, wu)

    def _warm_start(self, x: FloatArray) -> _State:
        """Put every pair of a neighbour's solution on the central path at one complementarity.

        The larger of gap and multiplier stays as it is, the other follows, so that the active set
        is kept as a tendency and no pair is stuck at zero.
        """
        mu = WARM_COMPLEMENTARITY
        x = x.copy()
        f = self.scaled.f(x)
        wl, wu = np.zeros_like(x), np.zeros_like(x)
        half = 0.5 * (self.scaled.high - self.scaled.low)
        for at, sign, bound, w in (
            (self.low_at, 1.0, self.scaled.low, wl),
            (self.high_at, -1.0, self.scaled.high, wu),
        ):
            unit = self.unit[at]
            gap = np.maximum(sign * (x[at] - bound[at]), 0.0) / unit
            force = np.maximum(sign * f[at], 0.0) / unit
            inactive = np.maximum(gap, np.sqrt(mu))
            active = mu / np.maximum(force, np.sqrt(mu))
            gap = np.minimum(np.where(gap >= force, inactive, active), half[at] / unit)
            w[at] = mu / gap * unit
            x[at] = bound[at] + sign * gap * unit
        return _State(x, wl, wu)

    def _gaps(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distances to the bounds; one where there is none. Never zero, even after rounding."""
        gl, gu = np.ones_like(x), np.ones_like(x)
        for gap, sign, at, bound in (
            (gl, 1.0, self.low_at, self.scaled.low),
            (gu, -1.0, self.high_at, self.scaled.high),
        ):
            least = SMALLEST_GAP * (self.unit[at] + np.abs(bound[at]))
            gap[at] = np.maximum(sign * (x[at] - bound[at]), least)
        return gl, gu

    def _residual(self, x: FloatArray, f: FloatArray) -> float:
        """Scaled natural residual in the problem's own scales; remembers the best point."""
        z = np.clip(x * self.scaled.column, self.problem.lower, self.problem.upper)
        return self.record.residual(z, f * self.scaled.row)

    # -- linear algebra -----------------------------------------------------------------------

    def _factor(self, j: sp.csc_array, diagonal: FloatArray) -> sp.csc_array:
        """Factorise J + diag + rho I; return J + diag."""
        data = j.data.copy()
        data[self.scaled.diagonal] += diagonal
        exact = sp.csc_array((data, j.indices, j.indptr), shape=j.shape)
        self.lu.factor(self._regular(exact, PROXIMAL))
        return exact

    def _regular(self, exact: sp.csc_array, rho: float) -> sp.csc_array:
        """The matrix plus rho I."""
        self.rho, data = rho, exact.data.copy()
        data[self.scaled.diagonal] += rho
        return sp.csc_array((data, exact.indices, exact.indptr), shape=exact.shape)

    def _solve(self, exact: sp.csc_array, b: FloatArray, steps: int = 4) -> FloatArray:
        """Solve with refinement against the unregularised matrix, as long as it helps."""
        x = self.lu.solve(b)
        r = b - exact @ x
        norm = np.abs(r / self.row_unit).max()
        size = max(np.abs(b / self.row_unit).max(), 1e-300)
        if not norm <= LOST * size and self.lu.kind == "LDL":
            if self.rho < FIRM:
                self.lu.factor(self._regular(exact, FIRM))
            else:
                self.lu.with_pivots(self._regular(exact, PROXIMAL))
            return self._solve(exact, b, steps)
        target = 1e-13 * size
        for _ in range(steps):
            if norm <= target:
                break
            y = x + self.lu.solve(r)
            s = b - exact @ y
            new = np.abs(s / self.row_unit).max()
            if not new < 0.5 * norm:
                if new < norm:
                    x = y
                break
            x, r, norm = y, s, new
        return x

    # -- the method ---------------------------------------------------------------------------

    def run(self) -> MCPResult:
        """Iterate to the end; an interrupt returns the best point."""
        try:
            # points far outside overflow in F; they are met by shorter steps, not by warnings
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return self._result(self._iterate())
        except KeyboardInterrupt:
            return self._result(Status.INTERRUPTED)

    def _iterate(self) -> Status:
        since_best = 0
        least_unbalanced = np.inf
        polish_at = POLISH_BELOW
        state = self.state
        f = self.scaled.f(state.x)
        if not np.isfinite(f).all():
            return Status.DOMAIN_ERROR
        step = 0.0
        while True:
            before = self.record.best_residual
            residual = self._residual(state.x, f)
            gl, gu = self._gaps(state.x)
            mu = float((gl * state.wl + gu * state.wu) @ (1.0 / self.weight)) / self.pairs
            self.record.note("interior", residual, step, mu)
            # where F is huge the natural residual is a variable's size, and still while F falls
            unbalanced = float(np.abs(f - state.wl + state.wu)[~self.fixed].max(initial=0.0))
            falling = unbalanced < 0.9 * least_unbalanced
            least_unbalanced = min(unbalanced, least_unbalanced)
            progress = falling or self.record.best_residual < 0.9 * before
            since_best = 0 if progress else since_best + 1
            if residual <= self.options.tolerance:
                # one more step from here is nearly free and takes the point to rounding level
                self._polish(state, f)
                return Status.SOLVED
            if residual < polish_at:
                polish_at = 0.03 * residual
                if self._polish(state, f):
                    return Status.SOLVED
            if (end := self.record.limit()) is not None:
                return end
            if since_best > STALL_AFTER:
                return Status.STALLED
            try:
                moved = self._step(state, f, mu, cautious=since_best >= CAUTIOUS_AFTER)
            except RuntimeError:  # the factorisation met an exactly singular matrix
                return Status.STALLED
            if moved is None:
                return Status.DOMAIN_ERROR
            state, f, step = moved
            self.state = state

    def _step(
        self, s: _State, f: FloatArray, mu: float, *, cautious: bool = False
    ) -> tuple[_State, FloatArray, float] | None:
        """Next point, F there and the step length; None where F or its Jacobian is not finite.

        Predictor-corrector steps can cycle, off the central path, with residual and
        complementarity going up and down for ever. A cautious step aims at a mild decrease of
        complementarity, without second-order terms, and stays clear of the bounds: plain path
        following, which does not cycle.
        """
        gl, gu = self._gaps(s.x)
        ratio = s.wl / gl + s.wu / gu
        ratio[self.fixed] = 1e12
        j = self.scaled.j(s.x)
        if not np.isfinite(j.data).all():
            return None
        exact = self._factor(j, ratio)

        def direction(cl: FloatArray, cu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            """Newton direction to gap * multiplier = c on the two sides."""
            tl, tu = np.zeros_like(gl), np.zeros_like(gu)
            tl[self.low_at] = cl[self.low_at] / gl[self.low_at]
            tu[self.high_at] = cu[self.high_at] / gu[self.high_at]
            rhs = tl - tu - f
            rhs[self.fixed] = 0.0
            dx = self._solve(exact, rhs)
            dwl = tl - s.wl - s.wl / gl * dx
            dwu = tu - s.wu + s.wu / gu * dx
            return dx, dwl, dwu

        zero = np.zeros_like(gl)
        dx, dwl, dwu = direction(zero, zero)
        alpha = self._longest(s, (gl, gu), (dx, dwl, dwu))
        then_l = (gl + alpha * dx) * (s.wl + alpha * dwl)
        then_u = (gu - alpha * dx) * (s.wu + alpha * dwu)
        after = float(
            (then_l / self.weight)[self.low_at].sum() + (then_u / self.weight)[self.high_at].sum()
        )
        after /= self.pairs
        sigma = min(max((after / mu) ** 3, 1e-6), 1.0) if mu > 0 else 0.0
        second_l, second_u = dx * dwl, -dx * dwu
        if cautious:
            sigma, second_l, second_u = max(sigma, CAUTIOUS_CENTRING), zero, zero
        unbalanced = np.abs(f - s.wl + s.wu)[~self.fixed]
        worst = float((unbalanced / self.row_unit[~self.fixed]).max(initial=0.0))
        target = max(sigma * mu, min(mu, BALANCE * worst)) * self.weight
        dx, dwl, dwu = direction(target - alpha * second_l, target - alpha * second_u)
        alpha = self._longest(s, (gl, gu), (dx, dwl, dwu))
        # centrality correctors: pull outlying products back, as long as the step grows
        for _ in range(2):
            if alpha > 0.9 or cautious:
                break
            trial = min(1.0, alpha + 0.3)
            pl = (gl + trial * dx) * (s.wl + trial * dwl)
            pu = (gu - trial * dx) * (s.wu + trial * dwu)
            fix_l = np.clip(np.clip(pl, 0.1 * target, 10 * target) - pl, -10 * target, None)
            fix_u = np.clip(np.clip(pu, 0.1 * target, 10 * target) - pu, -10 * target, None)
            cl = target - alpha * second_l + fix_l
            cu = target - alpha * second_u + fix_u
            ex, ewl, ewu = direction(cl, cu)
            longer = self._longest(s, (gl, gu), (ex, ewl, ewu))
            if longer < alpha + 0.03:
                break
            dx, dwl, dwu, alpha = ex, ewl, ewu, longer
        alpha = min(1.0, (CAUTIOUS_TO_BOUNDARY if cautious else STEP_TO_BOUNDARY) * alpha)
        # F is nonlinear: shorten until its residual does not blow up
        old = float(unbalanced.max(initial=0.0))
        for _ in range(12):
            x = s.x + alpha * dx
            g = self.scaled.f(x)
            wl, wu = s.wl + alpha * dwl, s.wu + alpha * dwu
            if np.isfinite(g).all():
                new = np.abs(g - wl + wu)[~self.fixed].max()
                if new <= max(1.5 * old, 10.0 * mu):
                    return _State(x, wl, wu), g, alpha
            alpha *= 0.5
        if not np.isfinite(g).all():
            return None
        return _State(x, wl, wu), g, alpha

    def _longest(
        self, s: _State, gaps: tuple[FloatArray, FloatArray], move: tuple[FloatArray, ...]
    ) -> float:
        """Longest step in [0, 1] that keeps gaps and multipliers positive."""
        alpha, (gl, gu), (dx, dwl, dwu) = 1.0, gaps, move
        for value, change in (
            (gl[self.low_at], dx[self.low_at]),
            (s.wl[self.low_at], dwl[self.low_at]),
            (gu[self.high_at], -dx[self.high_at]),
            (s.wu[self.high_at], dwu[self.high_at]),
        ):
            falling = change < 0
            if falling.any():
                alpha = min(alpha, float((-value[falling] / change[falling]).min()))
        return alpha

    # -- finish -------------------------------------------------------------------------------

    def _polish(self, state: _State, f: FloatArray) -> bool:
        """Active-set Newton from the interior point; True where it reaches the tolerance."""
        scaled = self.scaled
        gl, gu = self._gaps(state.x)
        at_low, at_high = np.zeros(self.problem.n, bool), np.zeros(self.problem.n, bool)
        at_low[self.low_at] = (gl < state.wl)[self.low_at]
        at_high[self.high_at] = (gu < state.wu)[self.high_at]
        x = state.x.copy()
        reached = False
        last = np.inf
        for _ in range(POLISH_STEPS):
            bound = np.where(at_low, scaled.low, scaled.high)
            active = at_low | at_high | self.fixed
            bound[self.fixed] = scaled.low[self.fixed]
            move = np.where(active, bound - x, 0.0)
            x = x + move
            f = scaled.f(x)
            j = scaled.j(x)
            rhs = np.where(active, 0.0, -f)
            try:
                exact = self._factor(j, np.where(active, 1e14, 0.0))
            except RuntimeError:
                return reached
            dx = self._solve(exact, rhs, steps=12)
            dx[active] = 0.0
            x = np.clip(x + dx, scaled.low, scaled.high)
            f = scaled.f(x)
            if not np.isfinite(f).all():
                return reached
            residual = self._residual(x, f)
            self.record.note("newton", residual, 1.0)
            reached = reached or residual <= self.options.tolerance
            if residual > 0.3 * last or residual < 1e-14:
                break
            last = residual
            trial = x - f
            at_low = (trial < scaled.low) & ~self.fixed
            at_high = (trial > scaled.high) & ~self.fixed
        return reached

    def _result(self, status: Status) -> MCPResult:
        done, factored = self.scaled.evaluations, self.lu.factorisations
        result = self.record.result(status, evaluations=done, factorisations=factored)
        if status.ok and not result.residual <= self.options.tolerance:
            result.status = Status.STALLED
        result.diverging = [] if result.status.ok else self._diverging()
        if result.status is Status.STALLED and result.diverging:
            result.status = Status.DIVERGED
        return result

    def _diverging(self) -> list[str]:
        """Largest entries of the last iterate where they dwarf the data, one per block."""
        size = np.abs(self.state.x * self.scaled.column / self.problem.scale)
        largest = np.argsort(-size)[:200]
        return one_per_block(self.problem, largest[~(size[largest] < DIVERGING)])
