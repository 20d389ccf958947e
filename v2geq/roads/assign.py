"""Traffic assignment: user equilibrium of the roads alone, by gradient projection on paths.

After R. Jayakrishnan, W. K. Tsai, J. N. Prashker, S. Rajadhyaksha, A faster path-based algorithm
for traffic assignment, Transportation Research Record 1443 (1994) 75-83, in Gauss-Seidel order:
times follow every step. Shortest-path trees reuse the order of nodes of the tree before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.values import ValueSpec
from v2geq.errors import ConvergenceError, DataError, listed, quoted
from v2geq.progress import UNSEEN, Reporter
from v2geq.roads.classes import UserClass
from v2geq.roads.problem import AssignmentProblem
from v2geq.roads.result import Search, UserEquilibrium

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.data.model.road import RoadNetwork
    from v2geq.roads.kernels.assignment import Pool

_GAP = ValueSpec("gap", "float", lower=0.0, strict=True, least=0.0)
_ITERATIONS = ValueSpec("max_iterations", "int", lower=1)
SWEEPS = 20
"""Most sweeps over the paths at hand between two searches for new ones."""
SWEEP_SHARE = 0.05
"""Share of the excess cost at which they stop earlier."""
STALLED = 50
"""Iterations without a smaller gap after which rounding is taken to be all that is left."""


def user_equilibrium(
    road: RoadNetwork,
    demand: pd.DataFrame | Mapping[str, UserClass],
    gap: float = 1e-6,
    *,
    start: UserEquilibrium | None = None,
    max_iterations: int = 1000,
    check: bool = True,
    show: Reporter = UNSEEN,
) -> UserEquilibrium:
    """See `v2geq.assign`; `show` is told of every iteration."""
    gap = _GAP.check(gap, "assign")
    max_iterations = _ITERATIONS.check(max_iterations, "assign")
    if start is not None and not isinstance(start, UserEquilibrium):
        raise DataError(
            f"start = {quoted(start)} is no assignment", advice="give what vg.assign returned"
        )
    begin = time.perf_counter()
    classes = demand if isinstance(demand, Mapping) else {"all": UserClass(demand)}
    problem = AssignmentProblem.build(road, classes)
    from v2geq.roads.kernels import assignment as kernels

    roads, trips, delay, state = problem.roads, problem.trips, problem.delay, problem.state
    pairs = trips.demand.size
    pool = kernels.reserved(pairs, 2 * pairs, 32 * pairs)
    pool = pool if start is None else _pool_of(problem, start)
    order = np.full((trips.source.size, len(problem.graph.nodes)), -1, dtype=np.int32)
    cost = np.empty(trips.demand.size)
    kernels.gap(roads, trips, pool, state, order, cost)
    _refuse_unreachable(problem, cost)
    if start is not None:
        kernels.load_paths(roads, trips, pool, state.flow)
        problem.retime()

    log: list[Search] = []
    best, best_at = np.inf, 0
    while True:
        pool, excess, total, sweeps = kernels.improve(
            roads, trips, delay, pool, state, order, SWEEPS, SWEEP_SHARE
        )
        relative = _relative(excess, total)
        iteration = len(log) + 1
        if relative < best:
            best, best_at = relative, iteration
        last = iteration >= max_iterations or iteration >= best_at + STALLED
        judged = relative <= gap or last
        if judged:
            # so far costs were taken before and after steps: judge one point, with fresh sums
            kernels.load_paths(roads, trips, pool, state.flow)
            problem.retime()
            excess, total = kernels.gap(roads, trips, pool, state, order, cost)
            relative = _relative(excess, total)
        paths = int(pool.used[kernels.PATHS] - pool.used[kernels.DROPPED_PATHS])
        log.append(Search(iteration, time.perf_counter() - begin, relative, paths, sweeps))
        show.iteration(iteration, "gap", relative, gap)
        show.say(str(log[-1]))
        if judged and (relative <= gap or last):
            break
        if 2 * pool.used[kernels.DROPPED_ARCS] > pool.used[kernels.ARCS]:
            pool = kernels.compact(pool, 2)
    result = UserEquilibrium(
        problem=problem,
        pool=kernels.compact(pool, 1),
        pair_cost=cost,
        target=gap,
        relative_gap=relative,
        excess_cost=excess,
        total_cost=total,
        iterations=tuple(log),
    )
    if check and not result.converged:
        if np.isinf(relative):
            why = f"costs are beyond all numbers ({problem.overflow or 'in total'})"
        elif len(log) >= max_iterations:
            why = "allow more"
        else:
            why = f"the last {STALLED} came no closer: rounding, or flows far above capacity"
        raise ConvergenceError(
            f"the relative gap is {relative:.2e} after {len(log)} iterations, not {gap:.0e}; {why}"
        )
    return result


def _relative(excess: float, total: float) -> float:
    """Relative gap: zero where nothing costs anything, infinite where costs are."""
    if excess == 0.0:
        return 0.0
    return excess / total if excess < np.inf and total > 0.0 else np.inf


def _pool_of(problem: AssignmentProblem, start: UserEquilibrium) -> Pool:
    """Paths and flows of `start` for the OD pairs and classes both have."""
    graph, theirs = problem.graph, start.problem
    other = theirs.graph
    if (graph.nodes, graph.arcs) != (other.nodes, other.arcs) or not (
        np.array_equal(graph.tail, other.tail)
        and np.array_equal(graph.head, other.head)
        and np.array_equal(graph.through, other.through)
    ):
        raise DataError(
            "the assignment to start from is on other roads",
            advice="nodes and arcs must have the same names in the same order, arcs the same "
            "ends, and the same nodes be passed",
        )
    nodes = len(graph.nodes)

    def key(kind: IntArray, p: AssignmentProblem) -> IntArray:
        return (kind * nodes + p.demand.origin) * nodes + p.demand.destination

    names = problem.demand.classes
    kind_here = np.array([names.index(c) if c in names else -1 for c in theirs.demand.classes])
    ours = key(problem.demand.kind, problem)
    known = key(kind_here[theirs.demand.kind], theirs)
    at = np.minimum(np.searchsorted(ours, known), ours.size - 1)
    shared = ours[at] == known
    old = start.pool
    pool = old._replace(
        first=np.full(ours.size, -1, dtype=np.int64),
        next=old.next.copy(),
        flow=old.flow.copy(),
        used=old.used.copy(),
    )
    pool.first[at[shared]] = old.first[shared]
    # what each arc on each path costs the pair's class now
    kind = np.repeat(kind_here[theirs.demand.kind[start.path_pair]], old.size)
    sums = np.add.reduceat(problem.roads.fixed[kind, old.arc], old.start)
    left = ~shared[start.path_pair]
    pool.used[2:] = left.sum(), old.size[left].sum()
    return pool._replace(fixed=sums)


def _refuse_unreachable(problem: AssignmentProblem, cost: FloatArray) -> None:
    bad = np.flatnonzero(np.isinf(cost))
    if bad.size:
        names = [problem.pair_name(int(w)) for w in bad]
        raise DataError(
            f"{bad.size} OD pairs with {problem.demand.trips[bad].sum():g} veh/h have no route: "
            f"{listed(names)}",
            where=problem.road.source,
            advice="check the arcs around these zones and the nodes that may not be passed, or "
            "drop the trips",
        )
