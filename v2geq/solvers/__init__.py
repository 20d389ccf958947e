"""Solvers of mixed complementarity problems. They know nothing of markets.

Which one? `auto` (the default) runs the proximal interior-point method, which is made for monotone
problems, large and sparse ones too, and turns to the semismooth Newton method where it fails;
`semismooth` starts where it is told and needs no monotonicity; `path` calls a PATH library of yours
(environment variable PATH_LIBRARY); `extragradient` needs projections only: onto all players' joint
strategies where it is given an assembled problem, onto the box otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import ConvergenceError, DataError, did_you_mean, quoted, unknown_name
from v2geq.mcp.checks import real_numbers
from v2geq.mcp.problem import Problem, scaled_residual
from v2geq.solvers.automatic import automatic
from v2geq.solvers.extragradient import extragradient, projection_method
from v2geq.solvers.functions import FunctionProblem
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.path_bridge import path
from v2geq.solvers.presolve import presolve as presolve_steps
from v2geq.solvers.protocol import Iteration, MCPResult, Options, Status
from v2geq.solvers.report import residual_by_block, scaling, worst_rows
from v2geq.solvers.semismooth import semismooth_newton

__all__ = [
    "METHODS",
    "FunctionProblem",
    "Iteration",
    "MCPResult",
    "Options",
    "Problem",
    "Status",
    "extragradient",
    "interior_point",
    "residual_by_block",
    "scaled_residual",
    "scaling",
    "semismooth_newton",
    "solve_mcp",
    "solver",
    "with_options",
    "worst_rows",
]

Solver = Callable[[Problem, FloatArray | None, Options | None], MCPResult]

METHODS: dict[str, Solver] = {
    "auto": automatic,
    "extragradient": projection_method,
    "interior_point": interior_point,
    "path": path,
    "semismooth": semismooth_newton,
}
"""Solvers by name; "auto" is the default choice."""


def solver(method: str) -> Solver:
    """The solver called `method`; raises DataError with suggestions for an unknown name."""
    if not isinstance(method, str) or method not in METHODS:
        known = did_you_mean(method if isinstance(method, str) else "", METHODS)
        raise DataError(f"there is no method {quoted(method)}", advice=known)
    return METHODS[method]


def with_options(
    method: str, options: Options | Mapping[str, Any] | None
) -> tuple[Solver, Options | None]:
    """The solver called `method` with options of its own, and the limits that all solvers know.

    Parameters
    ----------
    options
        `Options`, or values by name: those of `Options` and the keywords of the method itself, for
        example ``{"tolerance": 1e-9, "correction": "tseng"}`` of "extragradient".

    Raises
    ------
    DataError
        Unknown names, with those there are.
    """
    run = solver(method)
    if options is None or isinstance(options, Options):
        return run, options
    if not isinstance(options, Mapping):
        raise DataError(
            f"options = {quoted(options)} is neither Options nor a table of names and values",
            advice='write {"tolerance": 1e-9}',
        )
    limits = {f.name for f in fields(Options) if f.name != "warm"}
    own = {k for k, p in signature(run).parameters.items() if p.kind is Parameter.KEYWORD_ONLY}
    for name in options:
        if name not in limits | own:
            place = f"options of method {method!r}"
            raise unknown_name("unknown option", name, sorted(limits | own), place)
    bound = partial(run, **{k: v for k, v in options.items() if k in own})
    return bound, Options(**{k: v for k, v in options.items() if k in limits})


def solve_mcp(
    F: Callable[[FloatArray], Any] | Problem,
    J: Callable[[FloatArray], Any] | None = None,
    lb: Any = None,
    ub: Any = None,
    z0: Any = None,
    *,
    method: str = "auto",
    options: Options | Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    on_failure: str = "return",
    check_derivatives: bool = False,
    presolve: bool = False,
) -> MCPResult:
    """Find z in [lb, ub] with F = 0 inside, F >= 0 at lb, F <= 0 at ub.

    Parameters
    ----------
    F
        The map z (n,) -> (n,), or an assembled problem (then J, lb and ub stay out).
    J
        Its Jacobian, dense or sparse (n, n); return every entry that can be nonzero.
    lb, ub
        (n,) bounds; infinite where there is none.
    z0
        (n,) first point.
    method
        One of `METHODS`.
    options
        Tolerance, limits, callback, and what the method takes, see `with_options`.
    names
        Names of the n entries, for messages.
    on_failure
        "return" the best point with a status that says so, or "raise" ConvergenceError.
    check_derivatives
        Compare J with central differences of F at z0 first.
    presolve
        Solve a smaller problem without fixed variables and price chains, and undo the steps; for
        solvers with a limit on size. The residual is that of the full problem.

    Returns
    -------
    MCPResult
        `status`, `z`, `residual` recomputed at z, `worst` entries, `log`, `stats`.

    Raises
    ------
    DataError
        Arguments that do not fit; wrong derivatives, with their entries named.
    ConvergenceError
        With ``on_failure="raise"``, where the problem was not solved.
    """
    run, options = with_options(method, options)
    if on_failure not in ("return", "raise"):
        raise DataError(f"on_failure = {on_failure!r}; choose 'return' or 'raise'")
    if callable(F):
        if J is None or lb is None or ub is None:
            raise DataError("a map F needs its Jacobian J and bounds lb and ub")
        problem: Problem = FunctionProblem(F, J, lb, ub, z0, names)
        start = problem.start if z0 is not None else None
    elif isinstance(F, Problem):
        problem = F
        if J is not None or lb is not None or ub is not None:
            raise DataError("an assembled problem has its own J, lb and ub; leave them out")
        start = None if z0 is None else real_numbers("z0", z0)
        if start is not None and not (start.shape == (problem.n,) and np.isfinite(start).all()):
            raise DataError(f"z0 must be {problem.n} finite numbers")
    else:
        raise DataError(f"F must be a function of z or an assembled problem, got {F!r:.60}")
    if check_derivatives:
        if not isinstance(problem, FunctionProblem):
            raise DataError("derivatives are checked for problems given by functions only")
        wrong = problem.wrong_derivatives(np.clip(problem.start, problem.lower, problem.upper))
        if wrong:
            raise DataError(f"the Jacobian is wrong: {'; '.join(wrong)}")
    if presolve:
        result = _solve_reduced(run, problem, start, options or Options())
    else:
        result = run(problem, start, options)
    if on_failure == "raise" and not result.status.ok:
        raise ConvergenceError(
            f"{result.status.message}; scaled natural residual {result.residual:.2e}, worst at "
            f"{result.worst}"
        )
    return result


def _solve_reduced(
    run: Solver, problem: Problem, start: FloatArray | None, options: Options
) -> MCPResult:
    """Presolve, solve, restore; the status is that of the residual of the full problem."""
    steps = presolve_steps(problem)
    result = run(steps.problem, None if start is None else steps.reduce(start), options)
    z = np.clip(steps.restore(result.z), problem.lower, problem.upper)
    residual = scaled_residual(problem, z)
    worst = int(np.argmax(residual))
    result.z, result.residual = z, float(residual[worst])
    result.worst = problem.describe(worst)
    if result.status.ok and not result.residual <= options.tolerance:
        result.status = Status.STALLED
    return result
