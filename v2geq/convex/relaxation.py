"""Why there is no feasible point: the smallest relaxation of named limits that would make one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import ConvergenceError
from v2geq.interruptible import interruptible
from v2geq.mcp.assemble import MCP
from v2geq.mcp.block import find_block
from v2geq.show import brief

NEGLIGIBLE = 1e-7
"""Scaled relaxation, relative to the limit, that counts as none."""
INFEASIBLE = 2
"""Status of `linprog` where there is no feasible point."""
ROUNDED = 4
"""Status of `linprog` where rounding errors kept it from its accuracy."""
ENDINGS = {
    1: "its iteration limit was reached",
    INFEASIBLE: "its rows cannot all hold",
    3: "it has no best point within its rows",
    ROUNDED: "rounding errors kept it from its accuracy",
}
"""Other states of `linprog` in words."""


MOST_TOLD = 4
"""Limits that a message names."""


@dataclass(frozen=True)
class Relaxation:
    """A limit and by how much it would have to give way.

    Attributes
    ----------
    name : of the entry; meaning : of its block
    amount : by how much, in `unit`
    block, label : where the entry is; side : 'lower' or 'upper' bound, or 'row'
    unavoidable : whether it gives way by as much at least where limits of the blocks in conflict
        give way as they please, and no other
    """

    name: str
    meaning: str
    amount: float
    unit: str
    block: str = ""
    label: tuple[str, ...] = ()
    side: str = "row"
    unavoidable: bool = False

    __repr__ = brief

    def __str__(self) -> str:
        return f"{self.name} by {self.amount:.4g} {self.unit} ({self.meaning})"


@dataclass(frozen=True)
class Conflict:
    """Limits that cannot hold together.

    Attributes
    ----------
    limits : which would have to give way, largest scaled amount first; empty where none must
    prices : (n,) at the players' equalities and market clearing, what one more unit of the row's
        right side adds to the least scaled relaxation; zero elsewhere. A new column helps only
        if it earns at these prices.
    soft : (n,) lower bounds that may give way
    """

    limits: list[Relaxation]
    prices: FloatArray
    soft: BoolArray


def least_relaxation(mcp: MCP, firm: Collection[str] = ()) -> Conflict:
    """Limits that together must give way, least scaled sum first.

    Players' equalities and market clearing stay; inequality rows, upper bounds and lower bounds
    may be relaxed. Answers whether all constraints of all players can hold together, which an
    equilibrium needs.

    Fixed values (a generator that must run at one output) give way only where that is not enough,
    and zero lower bounds after those: first of quantities with an upper bound, which may be limits
    that happen to be zero (no reactive power back to the TSO), then signs (vehicles that must
    charge where nothing is generated: somebody would have to buy less than nothing).

    Parameters
    ----------
    firm
        Blocks whose limits stay, unless nothing else is enough.

    Raises
    ------
    ConvergenceError
        Where even the relaxed problem has no solution: equalities contradict each other.
    """
    fixed = mcp.lower == mcp.upper
    ranges = ~fixed & (mcp.lower != 0.0)
    set_values = fixed & (mcp.lower != 0.0)
    zeros = (mcp.lower == 0.0) & np.isfinite(mcp.upper)
    signs = mcp.lower == 0.0
    limits = ranges | set_values
    for soft in (ranges, limits, limits | zeros, limits | signs):
        found = _relaxation(mcp, soft, firm=firm)
        if found is not None:
            return found
    if firm:
        return least_relaxation(mcp)
    raise ConvergenceError(
        "no relaxation of limits makes the constraints of all players hold together: their "
        "equations contradict each other"
    )


def conflict_in_words(
    mcp: MCP, conflict: Conflict, words: Callable[[Relaxation], str | None]
) -> str:
    """The first few limits that conflict, each object once, and how many more there are.

    Parameters
    ----------
    words
        What a limit is called; None for its name in the problem.
    """
    objects: dict[tuple[str, str], Relaxation] = {}
    for limit in conflict.limits:
        objects.setdefault((limit.block, limit.label[0] if limit.label else ""), limit)
    others = {b.name for b in mcp.blocks} - {x.block for x in conflict.limits}
    told = []
    for limit in list(objects.values())[:MOST_TOLD]:
        alone = _relaxation(mcp, conflict.soft, firm=others, alone=limit)
        least = alone.limits[0] if alone is not None and alone.limits else limit
        told.append(words(least) or str(limit))
    more = f" and {len(objects) - MOST_TOLD} more" if len(objects) > MOST_TOLD else ""
    return "; ".join(told) + more


def _relaxation(
    mcp: MCP,
    soft: BoolArray,
    *,
    firm: Collection[str] = (),
    alone: Relaxation | None = None,
) -> Conflict | None:
    """Least relaxation of lower bounds at `soft`, of upper bounds and rows; None where not enough.

    Upper bounds of fixed values give way with their lower bounds, limits of the blocks `firm` not
    at all. With `alone` that of one limit, where all others give way as they please.

    Raises
    ------
    ConvergenceError
        Where HiGHS ends neither with a solution nor with the proof that there is none.
    """
    from scipy.optimize import linprog

    variables = _positions(mcp, [v.key for p in mcp.programs for v in p.variables])
    equal = [c.key for p in mcp.programs for c in p.constraints if c.equality]
    caps = [m.name for m in mcp.markets if m.lower == 0.0]
    bounds = [c.key for p in mcp.programs for c in p.constraints if not c.equality]
    least = _positions(mcp, bounds + caps)
    pinned = {mcp[m.name].start + k for m in mcp.markets for k in m.pinned}
    free = _positions(mcp, [m.name for m in mcp.markets if m.name not in caps])
    clearing = [k for k in free if k not in pinned]
    rows = np.concatenate([_positions(mcp, equal), np.array(clearing, dtype=np.int64)])

    low, high = mcp.lower[variables], mcp.upper[variables]
    gives_low = soft[variables]
    gives_high = (low != high) | gives_low
    soft_low = np.flatnonzero(np.isfinite(low) & gives_low)
    soft_high = np.flatnonzero(np.isfinite(high) & gives_high)
    n, eye = len(variables), sp.eye_array(len(variables), format="csr")
    # everything in units of the data, so that tolerances mean the same in all rows
    scale = mcp.scale[variables]
    low, high = low / scale, high / scale

    def scaled(at: IntArray) -> sp.csr_array:
        part = mcp.matrix[at][:, variables]
        return sp.diags_array(1.0 / mcp.row_scale[at]) @ part @ sp.diags_array(scale)

    below = sp.vstack([-scaled(least), -eye[soft_low], eye[soft_high]], format="csr")
    side = np.concatenate(
        [mcp.constant[least] / mcp.row_scale[least], -low[soft_low], high[soft_high]]
    )
    m = len(side)
    at = np.concatenate([least, variables[soft_low], variables[soft_high]])
    kind = np.repeat(["row", "lower", "upper"], [len(least), len(soft_low), len(soft_high)])
    cost, most = np.ones(m), np.full(m, np.inf)
    for name in firm:
        most[(at >= mcp[name].start) & (at < mcp[name].stop)] = 0.0
    if alone is not None:
        position = mcp[alone.block].start + mcp[alone.block].labels.index(alone.label)
        cost = ((at == position) & (kind == alone.side)) * 1.0
    work = partial(
        linprog,
        np.concatenate([np.zeros(n), cost]),
        A_ub=sp.hstack([below, -sp.eye_array(m)], format="csr"),
        b_ub=side,
        A_eq=sp.hstack([scaled(rows), sp.csr_array((len(rows), m))]),
        b_eq=-mcp.constant[rows] / mcp.row_scale[rows],
        bounds=np.column_stack(
            [
                np.concatenate([np.where(gives_low, -np.inf, low), np.zeros(m)]),
                np.concatenate([np.where(gives_high, np.inf, high), most]),
            ]
        ),
    )
    result = interruptible(mcp.matrix.nnz, partial(work, method="highs"))
    if result.status == ROUNDED:
        result = interruptible(mcp.matrix.nnz, partial(work, method="highs-ipm"))
    if result.status == INFEASIBLE:
        return None
    if result.status != 0:
        raise ConvergenceError(f"the search for a feasible point failed: {ENDINGS[result.status]}")
    given = result.x[n:]
    found = []
    # of a limit of 1e9 units, a unit more or less is rounding
    given[(given <= NEGLIGIBLE * (1.0 + np.abs(side))) | (cost == 0.0)] = 0.0
    for k in np.argsort(-given):
        if given[k] == 0.0:
            break
        position = int(at[k])
        block = find_block(mcp.blocks, position)
        is_row = kind[k] == "row"
        scale = (mcp.row_scale if is_row else mcp.scale)[position]
        found.append(
            Relaxation(
                block.describe(position),
                block.meaning,
                float(given[k] * scale),
                block.row_unit if is_row else block.unit,
                block.name,
                block.labels[position - block.start],
                str(kind[k]),
                alone is not None,
            )
        )
    prices = np.zeros(mcp.n)
    prices[rows] = result.eqlin.marginals / mcp.row_scale[rows]
    return Conflict(found, prices, soft)


def _positions(mcp: MCP, names: list[str]) -> np.ndarray:
    parts = [np.arange(mcp[name].start, mcp[name].stop) for name in names]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
