"""The market's solution: couple the players, solve, let drivers see more paths, again.

The steps of every round: join the players' programs into one complementarity problem over the paths
known so far, solve it, put prices that nothing determines at their canonical values, price all
paths, add those that would be cheaper. A round that adds none is the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.convex.relaxation import conflict_in_words, least_relaxation
from v2geq.errors import DataError
from v2geq.grid.broken import broken_limit
from v2geq.grid.power_flow import OPERATOR, SETTLED_KW, unlimited
from v2geq.market.columns import borrow_paths, by_paths, extend, prune, reconcile
from v2geq.market.coupling import Coupled, couple
from v2geq.market.lifting import NEWTON_STEPS, NEWTON_TARGET, lifted, settle
from v2geq.market.own import NOBODY, Own
from v2geq.market.prices import canonical, check_names
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import scaled_residual
from v2geq.progress import UNSEEN, Reporter
from v2geq.scenario import Scenario
from v2geq.show import brief
from v2geq.solvers import scaling, with_options
from v2geq.solvers.projection import ActiveSetNewton
from v2geq.solvers.protocol import Iteration, MCPResult, Options, Status
from v2geq.trips.generation import seeded
from v2geq.trips.traffic import Traffic, traffic

MAX_ROUNDS = 40
MAX_BASES = 20
"""Most states at which losses are linearised."""
FLOWS = (f"{OPERATOR}.p_line", f"{OPERATOR}.q_line")
"""Blocks whose distance from where losses are linearised tells how far they are."""
PRICE_OF_LOSSES = "tso_price"
"""Price at which losses are bought."""
COARSE_KW = 1.0
"""Move of flows between two linearisations below which prices of paths change no more."""
LARGEST_JUMP = 1.0
"""Share of the last step up to which two points tell where the next ones lead."""
NEAR = 0.01
"""Share of the tolerance with which Newton's method is taken for a solver."""
PRUNE_ROUNDS = 10
"""Rounds after which no path is dropped any more, so that none comes and goes for ever."""
WARM_PATHS = 8
"""New paths up to which the next round starts from the last round's solution."""


@dataclass(frozen=True)
class Solution:
    """Where a market was left by the solver.

    Attributes
    ----------
    coupled : players and the joint problem, over the paths of the last round
    z : strategies and multipliers, in the problem's order
    status : how the last round ended
    log : the solver's iterations; seconds : build, solve; rounds : of column generation
    """

    coupled: Coupled
    z: FloatArray
    status: Status
    log: list[Iteration]
    seconds: dict[str, float]
    rounds: int

    __repr__ = brief


def solve_market(
    scenario: Scenario,
    *,
    method: str = "auto",
    options: Options | Mapping[str, Any] | None = None,
    own: Own = NOBODY,
    start: tuple[Coupled, FloatArray] | None = None,
    show: Reporter = UNSEEN,
) -> tuple[Solution, MCPResult]:
    """Solve a scenario; the point of the last round, and what the solver said of it.

    Parameters
    ----------
    own
        Players of the user.
    start
        A neighbouring market and its point, whose paths and values serve as the first.
    show
        What is told of the phases, the iterations and the rounds.

    Raises
    ------
    DataError
        Limits that no state of the market can keep.
    """
    solve_mcp, limits = with_options(method, options)
    limits = _telling(limits or Options(), show)
    begin = time.perf_counter()
    exact = scenario.case.paths.method == "exact"
    show.phase("setting up")
    roads = traffic(scenario)
    if exact:
        roads = seeded(scenario, roads, show)
        if start is not None:
            roads = borrow_paths(start[0], scenario, roads)
    show.phase(f"building the problem of {roads.columns:,} paths")
    coupled = couple(scenario, roads, own)
    check_names(coupled)
    near = None if start is None else coupled.mcp.carry(start[0].mcp, start[1])
    built = time.perf_counter()
    log: list[Iteration] = []
    rounds, bases, jump, moved = 0, 0, Jump(), np.inf
    settled: Coupled | None = None
    losses, keep = scenario.case.feeder_settings.losses, coupled.grid.network.limits
    while True:
        rounds += 1
        show.phase(f"round {rounds}", f"{coupled.traffic.columns:,} paths")
        # from a point without losses those with losses are too far for Newton's method
        result = _beside(coupled, near, limits, log) if bases and moved < np.inf else None
        result = result or _solve_visibly(coupled, near, solve_mcp, limits, log)
        if result.status.ok and result.residual > NEAR * limits.tolerance:
            # where the grid is stiff, prices are not yet what their parts come to
            newton = ActiveSetNewton(coupled.mcp, result.z)
            result.z, result.residual = newton.run(result.z, NEWTON_TARGET, NEWTON_STEPS)
        z = canonical(coupled, result.z)
        show.say(f"round {rounds}: {result.status}, residual {result.residual:.1e}")
        if result.status is Status.INTERRUPTED:
            break
        values = coupled.mcp.split(z)
        moved = coupled.grid.moved(values) if losses and result.status.ok else 0.0
        # while losses settle, paths that were right at their beginning stay so
        if exact and not (bases and SETTLED_KW < moved < COARSE_KW):
            show.phase(f"round {rounds}, pricing paths")
            roads = _more_paths(coupled, z, result)
        new = roads.columns - coupled.traffic.columns
        if not new:
            if not losses:
                break
            if not result.status.ok:
                if bases or coupled.grid.network.limits is not keep:
                    break
                # losses may be what keeps the limits: they are first linearised without these
                coupled, near = coupled.on(coupled.grid.within(unlimited(keep))), None
                continue
            if moved <= SETTLED_KW:
                settled = coupled.settled(z)
                if _holds(settled, z, 0.1 * limits.tolerance):
                    break
                settled = None
            if bases == MAX_BASES:
                result.status = Status.UNSETTLED
                result.worst = f"flows, which still move by {moved:.2g} kW"
                break
            bases += 1
            show.phase(f"losses, round {bases}", f"flows have moved by {moved:.2g} kW")
            ahead = coupled.mcp.split(jump.after(coupled.mcp, z))
            there = coupled.grid.linearised(ahead, float(values["tso_price"][0]))
            coupled, near = coupled.on(there.within(keep)), z
            continue
        if rounds >= MAX_ROUNDS:
            result.status = Status.ITERATION_LIMIT
            break
        if result.status.ok and rounds <= PRUNE_ROUNDS:
            roads = prune(coupled, z, roads)
        last, coupled = coupled, coupled.over(roads)
        jump = Jump()
        few = result.status.ok and new <= WARM_PATHS
        near = coupled.mcp.carry(last.mcp, z) if few else None
    coupled = settled or coupled.settled(z)
    if coupled.traffic.legs and result.status is not Status.INTERRUPTED:
        coupled, z = by_paths(coupled, z)
        check_names(coupled)
    seconds = {"build": built - begin, "solve": time.perf_counter() - built}
    if not (result.status.ok or result.status is Status.INTERRUPTED):
        show.phase("looking for limits that conflict")
        _refuse_infeasible(coupled)
    return Solution(coupled, z, result.status, log, seconds, rounds), result


@dataclass
class Jump:
    """Where losses are linearised next: ahead of the points met, by the secant of two of them.

    Anderson's method of depth one, in the operator's variables; their steps shrink evenly.
    """

    _base: FloatArray | None = None
    _point: FloatArray | None = None
    _step: FloatArray | None = None

    def after(self, mcp: MCP, z: FloatArray) -> FloatArray:
        """The point from which to linearise, after `z` was the answer to the last one."""
        own = np.concatenate([np.arange(mcp[k].start, mcp[k].stop) for k in FLOWS])
        step = None if self._base is None else (z - self._base)[own]
        ahead = z
        if step is not None and self._step is not None and self._point is not None:
            change = step - self._step
            share = float(step @ change) / max(float(change @ change), 1e-300)
            if abs(share) < LARGEST_JUMP:
                ahead = z - share * (z - self._point)
        self._base, self._point, self._step = ahead, z, step
        return ahead


def _telling(options: Options, show: Reporter) -> Options:
    """The options with a callback that also shows every iteration."""

    def tell(entry: Iteration) -> None:
        show.iteration(entry.number, "residual", entry.residual, options.tolerance)
        if options.callback is not None:
            options.callback(entry)

    return replace(options, callback=tell)


def _holds(coupled: Coupled, z: FloatArray, tolerance: float) -> bool:
    return bool(scaled_residual(coupled.mcp, z).max() <= tolerance)


def _beside(
    coupled: Coupled, z: FloatArray | None, options: Options, log: list[Iteration]
) -> MCPResult | None:
    """The solution by Newton's method, where it is near `z`."""
    if z is None:
        return None
    begin = time.perf_counter()
    target = NEAR * options.tolerance
    z, residual = ActiveSetNewton(coupled.mcp, z).run(z, target, NEWTON_STEPS)
    if not residual <= target:
        return None
    seconds = time.perf_counter() - begin
    log.append(Iteration(1, "Newton beside the last losses", residual, 0.0, 1.0, seconds))
    worst = coupled.mcp.describe(int(np.argmax(scaled_residual(coupled.mcp, z))))
    return MCPResult(Status.SOLVED, z, residual, worst)


def _more_paths(coupled: Coupled, z: FloatArray, result: MCPResult) -> Traffic:
    """The traffic with paths cheaper than those known; after a failure those that resolve it.

    Without the paths still missing there may be no feasible point.
    """
    roads = extend(coupled, z)
    if roads.columns == coupled.traffic.columns and not result.status.ok:
        return reconcile(coupled)
    return roads


def _solve_visibly(
    coupled: Coupled,
    near: FloatArray | None,
    solve_mcp: Callable[..., MCPResult],
    options: Options,
    log: list[Iteration],
) -> MCPResult:
    """One solve, at demand that shows where some is too small to, then at demand as it is."""
    faint = lifted(coupled)
    result = solve_mcp(faint or coupled.mcp, near, replace(options, warm=near is not None))
    if faint is not None:
        result = settle(coupled, result, options)
        if not result.status.ok and result.status is not Status.INTERRUPTED:
            log += result.log
            result = solve_mcp(coupled.mcp, result.z, options)
    log += result.log
    return result


def _refuse_infeasible(coupled: Coupled) -> None:
    """Raise DataError where the players' constraints cannot hold together, naming which."""
    conflict = least_relaxation(coupled.mcp)
    if conflict.limits:
        scenario = coupled.scenario
        words = partial(broken_limit, coupled.grid.network)
        told = conflict_in_words(coupled.mcp, conflict, words)
        raise DataError(
            f"no state of the market keeps all limits; nearest: {told}",
            where=f"{scenario.case.where}: scenario {scenario.name!r} "
            f"{'with' if scenario.v2g else 'without'} V2G",
            advice="reactive loads and charging needs must be met whatever the price: check these "
            "limits, the regulators and the reactive sources",
        )


def failure(coupled: Coupled, result: MCPResult) -> str:
    """What happened to a run that did not converge; that limits conflict is excluded by then."""
    scenario = coupled.scenario
    text = (
        f"scenario {scenario.name!r} {'with' if scenario.v2g else 'without'} V2G did not converge: "
        f"{result.status.message}; scaled natural residual {result.residual:.2e}, worst at "
        f"{result.worst}, after {result.iterations} iterations"
    )
    if result.diverging:
        text += f"; growing without bound: {', '.join(result.diverging)}"
    if coupled.grid.has_losses and PRICE_OF_LOSSES in (*result.diverging, result.worst):
        most = scenario.case.substation.import_max
        return (
            f"{text}; losses may be above what the TSO supplies, import_max = {most:g} kW: raise "
            "it, or set it to 0 for the load serving entities to supply them"
        )
    if result.status not in (Status.STALLED, Status.DIVERGED):
        return text
    sizes = scaling(coupled.mcp, result.z)
    return (
        f"{text}; some state of the market keeps all limits, so look for data of very different "
        f"size, here between {sizes.rows[0]} and {sizes.rows[1]}"
    )
