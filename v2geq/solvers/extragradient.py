"""Projection methods for monotone variational inequalities.

Two solvers. `extragradient` works on boxes, where a projection is a clip, and on any problem:
Korpelevich's method with the step rule of Khobotov and Marcotte, or Malitsky's golden-ratio method,
which needs one projection and one evaluation an iteration.

`polyhedral_extragradient` works on the joint strategies of all players, where prices are the
multipliers of the projection. Its metric is diagonal: absolute row sums of the Jacobian, in which
the map is locally nonexpansive. A projection step is taken whole as long as it lowers the residual.
Where it does not, the metric is frozen and steps are corrected as in Korpelevich's method (a second
projection) or in Tseng's forward-backward-forward method (the map once more, no second projection);
both converge for every monotone, locally Lipschitz map, the gradient of a cost or not.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import ConvergenceError, DataError, did_you_mean
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import Problem
from v2geq.solvers.projection import ActiveSetNewton, Projection, Projector
from v2geq.solvers.protocol import MCPResult, Options, Record, Status, first_point
from v2geq.solvers.variational import VariationalInequality, variational_inequality

SCHEMES = ("korpelevich", "golden_ratio")
CORRECTIONS = ("korpelevich", "tseng")

BOX_ITERATIONS = 20_000
CONTRACTION = 0.9
"""Largest change of the map over a step, in units of the step: below one, both methods converge."""
GROWTH = 1.2
GOLDEN = 1.5
SMALLEST_STEP, LARGEST_STEP = 1e-12, 1e6
DIVERGED_AT = 1e8
"""Size of an iterate, in units of the data, that no data explain."""

PROXIMAL = 1e-6
"""Metric of strategies whose costs are linear, in units of the data: keeps projections unique."""
ACCEPT = 0.9
REOPEN = 0.1
NEAR = 1.0
FINISH_BELOW = 1e-2
FINISH_STEPS = 4
STALL_AFTER = 60
LIMITED_AFTER = 5


def _choice(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"there is no {what} {value!r}", advice=did_you_mean(value, known))


# -- boxes ------------------------------------------------------------------------------------


def extragradient(
    problem: Problem,
    start: FloatArray | None = None,
    options: Options | None = None,
    *,
    scheme: str = "korpelevich",
) -> MCPResult:
    """Solve a monotone MCP by projections onto its bounds.

    Needs no factorisation, and many iterations: use it where the problem is well conditioned or too
    large for a Newton method.

    Parameters
    ----------
    start
        (n,) first point; the problem's own if left out.
    options
        Tolerance and limits; without them 20,000 iterations.
    scheme
        "korpelevich" (two projections an iteration, more where the step shrinks) or "golden_ratio"
        (Malitsky 2020, one). Iterations of the latter are so many more that the former needs fewer
        projections in all on most problems.

    Returns
    -------
    MCPResult
        With the best point met, residual recomputed there.
    """
    _choice("scheme", scheme, SCHEMES)
    options = options or Options(max_iterations=BOX_ITERATIONS)
    z = first_point(problem, start)
    record = Record(problem, options, z)
    method = _golden_ratio if scheme == "golden_ratio" else _korpelevich
    try:
        status = method(_Box(problem, z, record), z, record)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return record.result(status)


class _Box:
    """F, bounds and a diagonal metric fixed at the first point."""

    def __init__(self, problem: Problem, z: FloatArray, record: Record) -> None:
        self.problem, self.record = problem, record
        unit = problem.scale / problem.row_scale
        size = _row_sums(problem.J(z)) * unit
        size = np.where(np.isfinite(size), size, 0.0)
        largest = float(size.max(initial=0.0))
        self.metric = np.maximum(size, 1e-3 * largest if largest > 0 else 1.0) / unit

    def f(self, z: FloatArray) -> FloatArray:
        self.record.count("evaluations")
        return self.problem.F(z)

    def project(self, z: FloatArray, f: FloatArray, step: float) -> FloatArray:
        self.record.count("projections")
        moved = z - step * f / self.metric
        return np.clip(moved, self.problem.lower, self.problem.upper)

    def far(self, z: FloatArray) -> bool:
        return bool(np.abs(z / self.problem.scale).max(initial=0.0) > DIVERGED_AT)


def _noted(record: Record, phase: str, x: FloatArray, step: float, f: FloatArray) -> Status | None:
    """Note a point; whether the tolerance or a limit is reached."""
    record.note(phase, record.residual(x, f), step)
    return _ended(record)


def _ended(record: Record) -> Status | None:
    return Status.SOLVED if record.best_residual <= record.options.tolerance else record.limit()


def _korpelevich(box: _Box, x: FloatArray, record: Record) -> Status:
    f = box.f(x)
    step = 1.0
    while np.isfinite(f).all():
        if (end := _noted(record, "extragradient", x, step, f)) is not None:
            return end
        if box.far(x):
            return Status.DIVERGED
        while True:
            y = box.project(x, f, step)
            g = box.f(y)
            moved = _norm(y - x, box.metric)
            change = step * _dual_norm(g - f, box.metric) if np.isfinite(g).all() else np.inf
            if change <= CONTRACTION * moved:
                break
            shrunk = CONTRACTION * moved / change
            step *= min(0.7, max(shrunk, 0.1))
            if step < SMALLEST_STEP:
                return Status.STALLED
        x = box.project(x, g, step)
        f = box.f(x)
        if change < 0.5 * CONTRACTION * moved:
            step = min(GROWTH * step, LARGEST_STEP)
    return Status.DOMAIN_ERROR


def _golden_ratio(box: _Box, x: FloatArray, record: Record) -> Status:
    """Malitsky's adaptive method: steps from a mean of past points, lengths from past changes."""
    f = box.f(x)
    mean, step, theta = x, 1.0, 1.0
    before: tuple[FloatArray, FloatArray] | None = None
    rho = 1.0 / GOLDEN + 1.0 / GOLDEN**2
    while np.isfinite(f).all():
        if (end := _noted(record, "golden ratio", x, step, f)) is not None:
            return end
        if box.far(x):
            return Status.DIVERGED
        if before is None:
            # a short step first: the length that suits is learnt from the change of F over it
            step = _first_step(box, x, f)
            if step < SMALLEST_STEP:
                return Status.STALLED
        else:
            moved = _norm(x - before[0], box.metric)
            change = _dual_norm(f - before[1], box.metric)
            longest = min(rho * step, LARGEST_STEP)
            if change > 0:
                longest = min(longest, GOLDEN * theta / (4.0 * step) * (moved / change) ** 2)
            if longest < SMALLEST_STEP:
                return Status.STALLED
            theta = GOLDEN * longest / step
            step = longest
        mean = ((GOLDEN - 1.0) * x + mean) / GOLDEN
        before = (x, f)
        x = box.project(mean, f, step)
        f = box.f(x)
    return Status.DOMAIN_ERROR


def _first_step(box: _Box, x: FloatArray, f: FloatArray) -> float:
    """A step over which F changes by no more than it may."""
    step = 1.0
    while step >= SMALLEST_STEP:
        y = box.project(x, f, step)
        g = box.f(y)
        if np.isfinite(g).all():
            moved, change = _norm(y - x, box.metric), _dual_norm(g - f, box.metric)
            if step * change <= 0.5 * moved:
                return step
        step *= 0.3
    return step


# -- polyhedra --------------------------------------------------------------------------------


def polyhedral_extragradient(
    problem: Problem,
    start: FloatArray | None = None,
    options: Options | None = None,
    *,
    correction: str = "korpelevich",
    finish: bool = True,
) -> MCPResult:
    """Solve an assembled MCP by projections onto the joint strategies of all players.

    Parameters
    ----------
    problem
        An `MCP`: its programs tell strategies from multipliers.
    start
        (n,) first point; the problem's own if left out. It need not be feasible.
    options
        Tolerance and limits.
    correction
        How a projection that does not lower the residual is corrected: "korpelevich" or "tseng",
        see `solve_variational`.
    finish
        Whether Newton steps on the whole problem follow where the active set has settled.

    Raises
    ------
    DataError
        Where the problem is no variational inequality over strategies.
    """
    if not isinstance(problem, MCP):
        raise DataError(
            "projections onto joint strategies need a problem assembled from programs",
            advice="use method 'interior_point'",
        )
    vi = variational_inequality(problem)
    return solve_variational(vi, start, options, correction=correction, finish=finish)


def projection_method(
    problem: Problem,
    start: FloatArray | None = None,
    options: Options | None = None,
    *,
    correction: str = "korpelevich",
    finish: bool = True,
    scheme: str = "korpelevich",
) -> MCPResult:
    """Projections onto joint strategies where the problem has them, else onto its box.

    `correction` and `finish` are of the former, see `polyhedral_extragradient`; `scheme` is of the
    latter, see `extragradient`.

    Raises
    ------
    DataError
        Where an assembled problem is no variational inequality over strategies.
    """
    if isinstance(problem, MCP):
        return polyhedral_extragradient(
            problem, start, options, correction=correction, finish=finish
        )
    return extragradient(problem, start, options, scheme=scheme)


def solve_variational(
    vi: VariationalInequality,
    start: FloatArray | None = None,
    options: Options | None = None,
    *,
    correction: str = "korpelevich",
    finish: bool = True,
) -> MCPResult:
    """Solve a monotone variational inequality over a polyhedron; see `polyhedral_extragradient`.

    Parameters
    ----------
    start
        (n,) point of the complementarity problem; near a solution its multipliers are used too.
    correction
        With y the projected point, "korpelevich": x <- the projection of x - step G(y) / metric;
        "tseng": x <- y - step (G(y) - G(x)) / metric, which needs no second projection but leaves
        K, where a steep G (travel times of power 4) makes steps very short.

    Returns
    -------
    MCPResult
        With the best point met, residual of the complementarity problem recomputed there.
    """
    _choice("correction", correction, CORRECTIONS)
    problem = vi.problem
    z = first_point(problem, start)
    record = Record(problem, options or Options(), z)
    run = _Polyhedral(vi, record, correction, finish)
    try:
        status = run.run(z)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except ConvergenceError:
        # without a projection there is no step; the polyhedron may be empty
        status = Status.STALLED
    record.stats.update(run.counts())
    return record.result(status, run.projector.conflict)


class _Polyhedral:
    """State of a run: the iterate, its cost, the metric and step of the next projection."""

    x: FloatArray
    g: FloatArray
    metric: FloatArray

    def __init__(
        self, vi: VariationalInequality, record: Record, correction: str, finish: bool
    ) -> None:
        self.vi, self.record, self.correction = vi, record, correction
        self.projector = Projector(vi)
        self.finisher: ActiveSetNewton | None = None
        self.finish_at = FINISH_BELOW if finish else 0.0
        self.step = 1.0
        self.whole = True
        """Whether projected points are taken as they are."""
        self.reference = self.entered = np.inf
        """Residuals of the last point taken whole, and where corrected steps began."""
        self.sharp = self.inside = False
        """Whether the next projection spares no effort; whether x has been within K."""
        self.last = self.least = self.milestone = np.inf
        """Residuals of projected points: the last, the least, the least that counted as progress.
        The start is none of them: it may fit no row of K and yet have a smaller residual."""
        self.idle = self.limited = 0

    def counts(self) -> dict[str, float]:
        projector = self.projector
        lus = [n.lu for n in (projector.newton, self.finisher) if n is not None]
        return {
            "projections": projector.projections,
            "warm_projections": projector.warm,
            "clarabel_iterations": projector.inner,
            "factorisations": sum(lu.factorisations for lu in lus),
        }

    def run(self, z: FloatArray) -> Status:
        self.last = self.record.residual(z)
        self.record.note("start", self.last, 0.0)
        self.projector.begin_at(z)
        x = self.vi.split(z)[0]
        if not (self._move(x, self._cost(x)) and self._renew_metric()):
            return Status.DOMAIN_ERROR
        while True:
            if (end := _ended(self.record)) is not None:
                if end.ok and self.finish_at > 0.0:
                    self._finish()  # one more step from here takes the point to rounding level
                return end
            try:
                p = self._project(self.g)
            except ConvergenceError:
                if self.inside or self.projector.conflict:
                    raise
                # costs far from K can span more digits than a projection resolves: enter K first
                x = self._nearest()
                if not (self._move(x, self._cost(x)) and self._renew_metric()):
                    return Status.DOMAIN_ERROR
                continue
            gy = self._cost(p.x)
            if not np.isfinite(gy).all():
                self.whole = False
                if not self._shorten(0.3):
                    return Status.DOMAIN_ERROR
                continue
            residual = self._judge(p)
            if self.record.best_residual < self.finish_at:
                self.finish_at = 0.03 * self.record.best_residual
                if self._finish():
                    return Status.SOLVED
            if self.idle > STALL_AFTER or self.limited > LIMITED_AFTER:
                return Status.STALLED
            if self.whole and residual <= ACCEPT * self.reference:
                self.reference, self.sharp = residual, False
                if not (self._move(p.x, gy) and self._renew_metric()):
                    return Status.DOMAIN_ERROR
            elif self.whole and p.residual > 0.1 * residual and not self.sharp:
                # blame the projection before the step
                self.sharp = True
                self.record.count("wasted_projections")
            else:
                status = self._corrected(p.x, gy)
                if status is not None:
                    return status

    # -- parts of an iteration ----------------------------------------------------------------

    def _cost(self, x: FloatArray) -> FloatArray:
        self.record.count("evaluations")
        return self.vi.cost(x)

    def _move(self, x: FloatArray, g: FloatArray) -> bool:
        self.x, self.g = x, g
        return bool(np.isfinite(g).all())

    def _renew_metric(self) -> bool:
        """Absolute row sums of the Jacobian: they majorise it and bound its skew part."""
        sums = _row_sums(self.vi.jacobian(self.x))
        self.metric = sums + PROXIMAL * self.vi.row_scale / self.vi.scale
        return bool(np.isfinite(self.metric).all())

    def _shorten(self, factor: float) -> bool:
        """Shorten the step, at the price of a projection; False where none is short enough."""
        self.step *= factor
        self.record.count("wasted_projections")
        return self.step >= SMALLEST_STEP

    def _project(self, g: FloatArray) -> Projection:
        """The point of K next to x - step g / metric; its multipliers are prices."""
        weight = self.metric / self.step
        tolerance = self.record.options.tolerance
        target = min(max(1e-4 * self.last, 0.1 * tolerance, 1e-11), 1e-6)
        return self.projector.project(
            weight, g - weight * self.x, target, near=self.last < NEAR, sharp=self.sharp
        )

    def _nearest(self) -> FloatArray:
        """The point of K nearest to x in units of the data."""
        self.inside = True
        self.record.count("wasted_projections")
        unit = self.vi.row_scale / self.vi.scale
        return self.projector.project(unit, -unit * self.x, 1e-6, near=False, sharp=False).x

    def _judge(self, p: Projection) -> float:
        """Residual of a projected point with its multipliers, and what it says of progress."""
        self.inside = True
        phase = "projection" if self.whole else "corrected"
        z = self.vi.join(p.x, p.equal, p.least)
        r = self.last = self.record.residual(z)
        self.record.note(phase, r, self.step)
        self.least = min(self.least, r)
        self.idle += 1
        if self.least < 0.9 * self.milestone:
            self.milestone, self.idle = self.least, 0
        # where the residual is that of the projection itself, more steps do not help
        self.limited = self.limited + 1 if self.idle and p.residual > 0.3 * r else 0
        return r

    def _corrected(self, y: FloatArray, gy: FloatArray) -> Status | None:
        """Move from x to a point nearer to every solution, by the projected point y."""
        if self.whole:
            self.whole, self.entered = False, self.least
        moved = _norm(y - self.x, self.metric)
        change = self.step * _dual_norm(gy - self.g, self.metric)
        if change > CONTRACTION * moved:
            factor = min(0.7, max(0.7 * CONTRACTION * moved / change, 0.1))
            return None if self._shorten(factor) else Status.STALLED
        if self.correction == "tseng":
            # a clip is the projection onto the box, a superset of K: no farther from solutions
            x = y - self.step * (gy - self.g) / self.metric
            x = np.clip(x, self.vi.low, self.vi.high)
            finite = self._move(x, self._cost(x))
        if self.correction == "korpelevich" or not finite:
            x = self._project(gy).x
            finite = self._move(x, self._cost(x))
        if not finite:
            return Status.DOMAIN_ERROR
        if change < 0.5 * CONTRACTION * moved:
            self.step = min(GROWTH * self.step, LARGEST_STEP)
        if self.least <= REOPEN * self.entered:
            self.whole, self.reference, self.step = True, self.least, 1.0
            if not self._renew_metric():
                return Status.DOMAIN_ERROR
        return None

    def _finish(self) -> bool:
        """Newton steps on the whole problem from the best point; True at the tolerance."""
        record = self.record
        if self.finisher is None:
            self.finisher = ActiveSetNewton(self.vi.problem, record.best)
        z, residual = self.finisher.run(record.best, 1e-13, FINISH_STEPS)
        if residual < record.best_residual:
            record.note("newton", record.residual(z), 1.0)
        return record.best_residual <= record.options.tolerance


def _row_sums(j: sp.csc_array) -> FloatArray:
    """The larger of the absolute row sum and column sum of every index.

    In the diagonal metric of these sums a matrix has norm at most one (Schur's test).
    """
    size = np.abs(j.data)
    rows = np.bincount(j.indices, weights=size, minlength=j.shape[0])
    columns = np.repeat(np.arange(j.shape[1]), np.diff(j.indptr))
    return np.maximum(rows, np.bincount(columns, weights=size, minlength=j.shape[1]))


def _norm(x: FloatArray, metric: FloatArray) -> float:
    return float(np.sqrt(np.sum(metric * x * x)))


def _dual_norm(f: FloatArray, metric: FloatArray) -> float:
    return float(np.sqrt(np.sum(f * f / metric)))
