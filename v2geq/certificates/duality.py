"""What a player could gain at most by deviating alone, from multipliers: no solver is asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.mcp.program import Program


def could_gain(
    program: Program, values: Mapping[str, FloatArray], f: Mapping[str, FloatArray]
) -> float:
    """Bound on what any other strategy could gain, $/h: the duality gap.

    The player's problem is convex, so that no point within its limits is better than its marginal
    costs say.

    Parameters
    ----------
    values
        Strategies and multipliers by key.
    f
        Marginal costs of strategies, slack of rows, by key.
    """
    gap = 0.0
    for v in program.variables:
        x, slope = values[v.key], f[v.key]
        low = np.minimum(np.maximum(v.lower, -v.reach), x)
        high = np.maximum(np.minimum(v.upper, v.reach), x)
        gap += float(np.where(slope > 0.0, slope * (x - low), -slope * (high - x)).sum())
    for c in program.constraints:
        if not c.equality:
            gap += float(np.abs(values[c.key] * f[c.key]).sum())
    return gap
