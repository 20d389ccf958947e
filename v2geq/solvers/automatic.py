"""The default choice: interior point first, semismooth Newton where it fails."""

from __future__ import annotations

from v2geq.arrays import FloatArray
from v2geq.mcp.problem import Problem
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import MCPResult, Options, Status
from v2geq.solvers.semismooth import semismooth_newton

LARGEST_NEWTON = 2000
"""Unknowns up to which a failed problem is tried by Newton's method as well."""
LARGEST_DIVERGING = 200
"""The same where multipliers have grown beyond all data."""


def automatic(
    problem: Problem, start: FloatArray | None = None, options: Options | None = None
) -> MCPResult:
    """Interior point; small problems that it fails on by semismooth Newton as well.

    Newton's method is tried from the given start and from the best point so far. The best result
    is returned, with the log of all attempts.
    """
    best = interior_point(problem, start, options)
    if best.status.ok or best.status is Status.INTERRUPTED:
        return best
    # multipliers beyond all data say that there is no feasible point, in a monotone problem; in
    # others they may have gone astray, which is worth a look where it costs little
    if problem.n > (LARGEST_DIVERGING if best.diverging else LARGEST_NEWTON):
        return best
    log = list(best.log)
    for first in (start, best.z):
        tried = semismooth_newton(problem, first, options)
        log += tried.log
        # entries that diverge tell more of a failure than a smaller residual
        if tried.status.ok or (not best.diverging and tried.residual < best.residual):
            best = tried
        if best.status.ok or tried.status is Status.INTERRUPTED:
            break
    best.log = log
    return best
