"""Semismooth Newton method on the Fischer-Burmeister equations of an MCP.

phi(a, b) = a + b - sqrt(a^2 + b^2) vanishes where a >= 0, b >= 0, a b = 0. With a = z - lower and
b = F the MCP becomes a system of equations, nonsmooth at the kinks, whose squared norm is smooth:
a line search on it makes Newton's method global without monotonicity (De Luca, Facchinei, Kanzow
1996; double bounds after Billups 1995). Where the norm has a minimum that is no solution, the run
begins again on the penalised function (1 - w) phi(a, b) + w max(a, 0) max(b, 0), which has the same
zeros and other minima (Chen, Chen, Kanzow 2000). For monotone problems the interior-point method is
the safer choice; this one needs no interior and starts where it is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from v2geq.arrays import FloatArray
from v2geq.mcp.problem import Problem
from v2geq.solvers.protocol import MCPResult, Options, Record, Status, first_point

MEMORY = 5
"""Iterations whose largest merit the line search may not exceed (nonmonotone)."""
DESCENT = 1e-4
SHORTEST_STEP = 1e-12
STATIONARY = 1e-9
LARGEST = 1e12
PENALTY = 0.2
"""Weight of the product in the penalised function. Not used first: products of large gaps and large
values of F are badly scaled, while the plain function is no larger than either."""
STUCK_AFTER = 25
STUCK = 0.9
"""A run whose merit fell by less than this factor over that many iterations is going nowhere."""


@dataclass(frozen=True)
class _Point:
    x: FloatArray
    f: FloatArray
    phi: FloatArray

    @property
    def merit(self) -> float:
        # a trial so far off that the sum overflows is as bad as any
        with np.errstate(over="ignore"):
            return 0.5 * float(self.phi @ self.phi)


def semismooth_newton(
    problem: Problem, start: FloatArray | None = None, options: Options | None = None
) -> MCPResult:
    """Solve an MCP by Newton steps on its Fischer-Burmeister equations.

    Parameters and result as for every solver, see `v2geq.solvers.protocol`.
    """
    return _Newton(problem, start, options or Options()).run()


class _Newton:
    def __init__(self, problem: Problem, start: FloatArray | None, options: Options) -> None:
        self.problem = problem
        self.low, self.high = problem.lower / problem.scale, problem.upper / problem.scale
        self.has_low, self.has_high = np.isfinite(self.low), np.isfinite(self.high)
        self.first = first_point(problem, start) / problem.scale
        self.penalty = 0.0
        self.record = Record(problem, options, self.first * problem.scale)
        self.record.stats = {"evaluations": 0, "factorisations": 0}
        a = problem.J(self.first * problem.scale)
        self.columns = np.repeat(np.arange(problem.n), np.diff(a.indptr))
        self.rows = a.indices
        self.factor = problem.scale[self.columns] / problem.row_scale[self.rows]

    def run(self) -> MCPResult:
        """Plain function first, penalised function where that is stuck."""
        try:
            status = self._iterate()
            if status in (Status.STALLED, Status.INFEASIBLE_STATIONARY):
                self.penalty = PENALTY
                again = self._iterate()
                # two failures: the first one says more, unless the second was cut short
                if again.ok or again in (Status.ITERATION_LIMIT, Status.TIME_LIMIT):
                    status = again
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        return self.record.result(status)

    def _iterate(self) -> Status:
        point = self._point(self.first)
        if point is None:
            return Status.DOMAIN_ERROR
        merits = [point.merit]
        step = 0.0
        while True:
            z = np.clip(point.x * self.problem.scale, self.problem.lower, self.problem.upper)
            residual = self.record.residual(z)
            self.record.note("newton", residual, step, point.merit)
            if residual <= self.record.options.tolerance:
                return Status.SOLVED
            if (end := self.record.limit()) is not None:
                return end
            if np.abs(point.x).max() > LARGEST:
                return Status.DIVERGED
            recent = merits[-STUCK_AFTER:]
            if len(merits) > STUCK_AFTER and min(recent) > STUCK * min(merits[:-STUCK_AFTER]):
                return Status.STALLED
            moved = self._advance(point, max(merits[-MEMORY:]))
            if isinstance(moved, Status):
                return moved
            point, step = moved
            merits.append(point.merit)

    # -- one step -----------------------------------------------------------------------------

    def _advance(self, p: _Point, reference: float) -> tuple[_Point, float] | Status:
        jacobian = self.problem.J(p.x * self.problem.scale)
        self.record.count("evaluations")
        if not np.isfinite(jacobian.data).all():
            return Status.DOMAIN_ERROR
        da, db = self._derivative(p)
        data = jacobian.data * self.factor * db[self.rows]
        # a diagonal that is stored, zeros too: SuperLU reads memory that is not its own where the
        # pattern itself is singular (xiaoyeli/superlu, issue 33)
        diagonal = np.arange(len(da))
        entries = (np.r_[self.rows, diagonal], np.r_[self.columns, diagonal])
        h = sp.coo_array((np.r_[data, da], entries), shape=jacobian.shape).tocsc()
        gradient = h.T @ p.phi
        if np.abs(gradient).max() <= STATIONARY * min(1.0, np.sqrt(2.0 * p.merit)):
            return Status.INFEASIBLE_STATIONARY
        newton = self._newton_direction(h, p)
        directions = [-gradient] if newton is None else [newton, -gradient]
        for direction in directions:
            slope = float(gradient @ direction)
            if slope > -1e-14 * float(direction @ direction):
                continue
            found = self._search(p, direction, slope, reference)
            if found is not None:
                return found
        return Status.STALLED

    def _newton_direction(self, h: sp.csc_array, p: _Point) -> FloatArray | None:
        """Newton direction; a small multiple of the identity is added where H is singular."""
        shift = 0.0
        for _ in range(3):
            self.record.count("factorisations")
            try:
                shifted = h if shift == 0.0 else sp.csc_array(h + shift * sp.eye_array(len(p.x)))
                d = splu(shifted).solve(-p.phi)
            except RuntimeError:  # exactly singular
                d = np.full(len(p.x), np.nan)
            if np.isfinite(d).all() and np.abs(d).max() < LARGEST:
                direction: FloatArray = d
                return direction
            shift = 1e-8 if shift == 0.0 else 1e3 * shift
        return None

    def _search(
        self, p: _Point, direction: FloatArray, slope: float, reference: float
    ) -> tuple[_Point, float] | None:
        step = 1.0
        while step > SHORTEST_STEP:
            trial = self._point(p.x + step * direction)
            if trial is not None and trial.merit <= reference + DESCENT * step * slope:
                return trial, step
            step *= 0.5
        return None

    # -- the equations ------------------------------------------------------------------------

    def _point(self, x: FloatArray) -> _Point | None:
        self.record.count("evaluations")
        with np.errstate(all="ignore"):
            f = self.problem.F(x * self.problem.scale) / self.problem.row_scale
        if not np.isfinite(f).all():
            return None
        return _Point(x, f, self._equations(x, f))

    def _equations(self, x: FloatArray, f: FloatArray) -> FloatArray:
        phi = f.copy()
        only_high = self.has_high & ~self.has_low
        phi[only_high] = -self._ncp(self.high[only_high] - x[only_high], -f[only_high])
        low = self.has_low
        second = f.copy()
        both = self.has_low & self.has_high
        second[both] = -self._ncp(self.high[both] - x[both], -f[both])
        phi[low] = self._ncp(x[low] - self.low[low], second[low])
        return phi

    def _derivative(self, p: _Point) -> tuple[FloatArray, FloatArray]:
        """Diagonals Da, Db of an element Da + Db J of the generalised Jacobian."""
        n = len(p.x)
        da, db = np.zeros(n), np.ones(n)
        upper = self.has_high
        inner = p.f.copy()
        # derivative of -phi(high - x, -f) in x and in f
        pa, pb = self._ncp_derivative(self.high[upper] - p.x[upper], -p.f[upper])
        da[upper], db[upper] = pa, pb
        inner[upper] = -self._ncp(self.high[upper] - p.x[upper], -p.f[upper])
        low = self.has_low
        qa, qb = self._ncp_derivative(p.x[low] - self.low[low], inner[low])
        da[low] = qa + qb * da[low]
        db[low] = qb * db[low]
        return da, db

    def _ncp(self, a: FloatArray, b: FloatArray) -> FloatArray:
        if self.penalty == 0.0:
            return _fb(a, b)
        both = np.maximum(a, 0.0) * np.maximum(b, 0.0)
        return (1.0 - self.penalty) * _fb(a, b) + self.penalty * both

    def _ncp_derivative(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        da, db = _fb_derivative(a, b)
        if self.penalty == 0.0:
            return da, db
        inside = (a > 0) & (b > 0)
        da = (1.0 - self.penalty) * da + self.penalty * np.where(inside, b, 0.0)
        db = (1.0 - self.penalty) * db + self.penalty * np.where(inside, a, 0.0)
        return da, db


def _fb(a: FloatArray, b: FloatArray) -> FloatArray:
    """Fischer-Burmeister function, without cancellation where a and b are positive and large."""
    root = np.hypot(a, b)
    total = a + b
    with np.errstate(divide="ignore", invalid="ignore"):
        stable = 2.0 * a * b / (total + root)
    return np.where(total > 0, stable, total - root)


def _fb_derivative(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """An element of the generalised gradient; at the kink the one of the direction (1, 1)."""
    root = np.hypot(a, b)
    kink = root < 1e-15
    safe = np.where(kink, 1.0, root)
    at_kink = 1.0 - 1.0 / np.sqrt(2.0)
    return np.where(kink, at_kink, 1.0 - a / safe), np.where(kink, at_kink, 1.0 - b / safe)
