"""Projections onto a polyhedron in a diagonal metric, and the Newton step they share with a finish.

The polyhedron stays, metric and centre change from call to call: Clarabel keeps its symbolic work,
and where the active set has nearly settled a few Newton steps from the last projection replace it,
one sparse factorisation each.
"""

from __future__ import annotations

from dataclasses import dataclass

import clarabel
import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.convex.quadratic import clarabel_settings, stacked
from v2geq.errors import ConvergenceError
from v2geq.mcp.problem import Problem, scaled_residual
from v2geq.show import brief
from v2geq.solvers.linear import PatternFactor, equilibrate
from v2geq.solvers.protocol import one_per_block, skew_scales
from v2geq.solvers.variational import VariationalInequality

PROXIMAL = 1e-8
HELD = 1e14
"""Diagonal that holds a variable at its bound, against entries of order one."""
WARM_STEPS = 4
POLISH_STEPS = 3
HOPELESS = 1e2
CAN_UPDATE = hasattr(clarabel.DefaultSolver, "update")
"""Older releases of Clarabel set every problem up anew."""
COARSE, FINE, FINE_BELOW = 1e-7, 1e-10, 1e-7
"""Tolerances of Clarabel, and the target below which it has to be the finer one."""
CLARABEL_STEPS = (0.99, 0.9)
"""Its longest steps can cycle even in two variables; shorter ones do not."""


class ActiveSetNewton:
    """Newton's method on the natural map of a monotone MCP, from a point near the solution.

    Every step fixes the variables that z - F puts outside their bounds and solves for the others.
    It converges in one or two steps where the active set is right and not at all where it is far
    from right; what it returns is never worse than where it began.
    """

    def __init__(self, problem: Problem, z: FloatArray) -> None:
        self.problem = problem
        self.lu = PatternFactor(pivot_threshold=0.0)
        j = problem.J(z)
        columns = np.repeat(np.arange(problem.n), np.diff(j.indptr))
        column, row, _ = skew_scales(problem)
        d = equilibrate(j, columns, column, row)
        self.column, self.row = column * d, row / d
        self._factor = self.column[columns] / self.row[j.indices]
        self.low, self.high = problem.lower / self.column, problem.upper / self.column
        self.fixed = self.high <= self.low

    def run(self, z: FloatArray, target: float, steps: int) -> tuple[FloatArray, float]:
        """At most `steps` steps from `z`; the best point met and its scaled natural residual.

        Ends early at the residual `target`, or where the iteration is on its way out.
        """
        problem, diagonal = self.problem, self.problem.diagonal_positions
        z = np.clip(z, problem.lower, problem.upper)
        f = problem.F(z)
        best, least = z, float(scaled_residual(problem, z, f).max())
        hopeless = HOPELESS * max(1.0, least)
        x, g = z / self.column, f / self.row
        for _ in range(steps):
            trial = x - g
            at_low, at_high = (trial <= self.low) | self.fixed, (trial >= self.high) & ~self.fixed
            active = at_low | at_high
            x = np.where(at_low, self.low, np.where(at_high, self.high, x))
            z = x * self.column
            rhs = np.where(active, 0.0, -problem.F(z) / self.row)
            j = problem.J(z)
            data = j.data * self._factor
            data[diagonal] += np.where(active, HELD, 0.0)
            if not (np.isfinite(data).all() and np.isfinite(rhs).all()):
                break
            try:
                dx = self._solve(sp.csc_array((data, j.indices, j.indptr), shape=j.shape), rhs)
            except RuntimeError:  # exactly singular
                break
            dx[active] = 0.0
            x = x + dx
            z = np.clip(x * self.column, problem.lower, problem.upper)
            f = problem.F(z)
            residual = float(scaled_residual(problem, z, f).max())
            if residual < least:
                best, least = z, residual
            if least <= target or not residual < hopeless:
                break
            g = problem.F(x * self.column) / self.row
        return best, least

    def _solve(self, exact: sp.csc_array, b: FloatArray) -> FloatArray:
        """Solve by the factors of a regularised matrix, refined as long as it helps."""
        data = exact.data.copy()
        data[self.problem.diagonal_positions] += PROXIMAL
        self.lu.factor(sp.csc_array((data, exact.indices, exact.indptr), shape=exact.shape))
        x = self.lu.solve(b)
        r = b - exact @ x
        norm = np.abs(r).max()
        for _ in range(8):
            if norm <= 1e-14 * max(float(np.abs(b).max()), 1e-300):
                break
            y = x + self.lu.solve(r)
            s = b - exact @ y
            new = np.abs(s).max()
            if not new < norm:
                break
            x, r, norm = y, s, new
        return x


class _Conditions:
    """KKT conditions of a projection as a complementarity problem (x, equal, least)."""

    def __init__(self, vi: VariationalInequality) -> None:
        rows, scales = vi.rows, vi.problem
        n, equal, least = vi.n, len(vi.equal), len(vi.least)
        self.n = n + equal + least
        self.lower = np.concatenate([vi.low, np.full(equal, -np.inf), np.zeros(least)])
        self.upper = np.concatenate([vi.high, np.full(equal + least, np.inf)])
        self.start = np.zeros(self.n)
        order = np.concatenate([vi.strategy, vi.equal, vi.least])
        self.scale, self.row_scale = scales.scale[order], scales.row_scale[order]
        b = sp.vstack([rows.equal, rows.least], format="csr")
        matrix = sp.csc_array(
            sp.block_array(
                [[sp.eye_array(n), -b.T], [b, sp.eye_array(equal + least)]], format="csc"
            )
        )
        matrix.sort_indices()
        columns = np.repeat(np.arange(self.n), np.diff(matrix.indptr))
        self._diagonal = np.flatnonzero(matrix.indices == columns)
        matrix.data[self._diagonal] = 0.0
        self._matrix = matrix
        self._constant = np.concatenate([np.zeros(n), -rows.equal_b, -rows.least_b])
        self._strategies = n

    def set(self, metric: FloatArray, linear: FloatArray) -> None:
        """The projection whose cost is ``x' diag(metric) x / 2 + linear' x``."""
        self._matrix.data[self._diagonal[: self._strategies]] = metric
        self._constant[: self._strategies] = linear

    @property
    def diagonal_positions(self) -> IntArray:
        return self._diagonal

    def F(self, z: FloatArray) -> FloatArray:
        f: FloatArray = self._matrix @ z + self._constant
        return f

    def J(self, z: FloatArray) -> sp.csc_array:
        return self._matrix

    def describe(self, position: int) -> str:
        return f"projection[{position}]"


@dataclass(frozen=True)
class Projection:
    """A projected point, the multipliers of A x = b and C x >= d, and the scaled KKT residual."""

    x: FloatArray
    equal: FloatArray
    least: FloatArray
    residual: float

    __repr__ = brief


class Projector:
    """Minimise ``x' diag(metric) x / 2 + linear' x`` over the polyhedron of an inequality.

    Attributes
    ----------
    projections, warm
        Projections so far, and how many of them Newton steps alone found.
    inner
        Interior-point iterations of Clarabel so far.
    conflict
        Where a projection failed because K is empty: rows that exclude each other, one a block.
    """

    def __init__(self, vi: VariationalInequality) -> None:
        self.vi = vi
        self.projections = self.warm = self.inner = 0
        self.conflict: list[str] = []
        self.conditions = _Conditions(vi)
        self.newton: ActiveSetNewton | None = None
        self._last: FloatArray | None = None
        self._solvers: dict[tuple[float, float], clarabel.DefaultSolver] = {}
        self._stack()

    def _stack(self) -> None:
        """Clarabel's rows in units of the data: equations, fixed strategies, then inequalities."""
        vi = self.vi
        fixed = vi.high <= vi.low
        has_low, has_high = np.isfinite(vi.low) & ~fixed, np.isfinite(vi.high) & ~fixed
        equal_unit = vi.problem.row_scale[vi.equal]
        least_unit = vi.problem.row_scale[vi.least]
        unit = np.concatenate(
            [equal_unit, vi.scale[fixed], least_unit, vi.scale[has_low], vi.scale[has_high]]
        )
        matrix, b, self._equations = stacked(vi.rows, vi.low, vi.high)
        scaled = sp.diags_array(1.0 / unit) @ matrix @ sp.diags_array(vi.scale)
        self._matrix = sp.csc_matrix(scaled)
        self._b = b / unit
        self._equal_unit, self._least_unit = equal_unit, least_unit
        # cost per unit of the scaled objective
        self._money = float(np.median(vi.scale * vi.row_scale))

    def begin_at(self, z: FloatArray) -> None:
        """Take a point of the complementarity problem for the last projection."""
        self._last = np.concatenate(self.vi.split(z))

    def project(
        self, metric: FloatArray, linear: FloatArray, target: float, *, near: bool, sharp: bool
    ) -> Projection:
        """The projection with a scaled KKT residual of about `target`.

        Parameters
        ----------
        near
            Whether the last projection is likely to share most of its active set.
        sharp
            Whether to spare no effort: Clarabel's finer tolerance, and Newton steps after it.

        Raises
        ------
        ConvergenceError
            Where Clarabel finds no solution: the polyhedron may be empty.
        """
        self.projections += 1
        self.conditions.set(metric, linear)
        if self.newton is None:
            self.newton = ActiveSetNewton(self.conditions, self.conditions.start)
        if near and self._last is not None:
            z, residual = self.newton.run(self._last, target, WARM_STEPS)
            if residual <= target:
                self.warm += 1
                return self._found(z, residual)
        fine = sharp or target <= FINE_BELOW
        z = self._clarabel(metric, linear, FINE if fine else COARSE)
        residual = float(scaled_residual(self.conditions, z).max())
        if residual > target and (near or sharp):
            z, residual = self.newton.run(z, target, POLISH_STEPS)
        return self._found(z, residual)

    def _found(self, z: FloatArray, residual: float) -> Projection:
        self._last = z
        x, equal, least = np.split(z, np.cumsum([self.vi.n, len(self.vi.equal)]))
        return Projection(x, equal, least, residual)

    def _clarabel(self, metric: FloatArray, linear: FloatArray, tolerance: float) -> FloatArray:
        vi = self.vi
        hessian = metric * vi.scale**2 / self._money
        gradient = linear * vi.scale / self._money
        for step in CLARABEL_STEPS:
            key = (step, tolerance)
            if key in self._solvers and CAN_UPDATE:
                self._solvers[key].update(P=hessian, q=gradient)
            else:
                self._solvers[key] = self._new_solver(hessian, gradient, *key)
            solver = self._solvers[key]
            solution = solver.solve()
            self.inner += int(solution.iterations)
            if str(solution.status) in ("Solved", "AlmostSolved", "InsufficientProgress"):
                break
        else:
            if str(solution.status).endswith("PrimalInfeasible"):
                self._name_conflict(np.asarray(solution.z))
            raise ConvergenceError("a projection onto the joint strategies was not found")
        x = np.clip(np.asarray(solution.x) * vi.scale, vi.low, vi.high)
        dual = np.asarray(solution.z) * self._money
        equal = -dual[: len(vi.equal)] / self._equal_unit
        least = dual[self._equations :][: len(vi.least)] / self._least_unit
        return np.concatenate([x, equal, np.maximum(least, 0.0)])

    def _name_conflict(self, certificate: FloatArray) -> None:
        """Rows with the largest weights in a proof that K is empty."""
        least = certificate[self._equations :][: len(self.vi.least)]
        size = np.abs(np.concatenate([certificate[: len(self.vi.equal)], least]))
        at = np.concatenate([self.vi.equal, self.vi.least])
        largest = np.argsort(-size)
        largest = largest[~(size[largest] < 1e-3 * size.max())]
        self.conflict = one_per_block(self.vi.problem, at[largest])

    def _new_solver(
        self, hessian: FloatArray, gradient: FloatArray, step: float, tolerance: float
    ) -> clarabel.DefaultSolver:
        settings = clarabel_settings(tolerance, step)
        if hasattr(settings, "max_threads"):
            settings.max_threads = 1
        # presolve would forbid updates; the rows are already in units of the data
        settings.presolve_enable = False
        settings.equilibrate_enable = False
        cones = [
            clarabel.ZeroConeT(self._equations),
            clarabel.NonnegativeConeT(len(self._b) - self._equations),
        ]
        quadratic = sp.csc_matrix(sp.diags_array(hessian))
        return clarabel.DefaultSolver(quadratic, gradient, self._matrix, self._b, cones, settings)
