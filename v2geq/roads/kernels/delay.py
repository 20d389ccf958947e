"""Travel time of one arc and its slope, for compiled loops."""

from __future__ import annotations

from typing import NamedTuple

from v2geq.arrays import FloatArray, IntArray
from v2geq.roads.kernels.compiled import compiled

BPR = 0


class DelayArrays(NamedTuple):
    """Delay functions of all arcs, one entry per arc; see `v2geq.roads.delay` for the formulas.

    kind : BPR, ...
    free_flow : time at no flow; b, power, capacity : parameters of the formula
    """

    kind: IntArray
    free_flow: FloatArray
    b: FloatArray
    power: FloatArray
    capacity: FloatArray


@compiled
def time_and_slope(delay: DelayArrays, arc: int, flow: float) -> tuple[float, float]:
    """Time of `arc` at `flow` (taken as zero where negative) and its derivative."""
    t0 = delay.free_flow[arc]
    ratio = max(flow, 0.0) / delay.capacity[arc]
    power = delay.power[arc]
    if power == 4.0:
        cube = ratio * ratio * ratio
    elif power == 0.0 or (ratio == 0.0 and power > 1.0):
        cube = 0.0
    else:
        cube = ratio ** (power - 1.0)
    slope = t0 * delay.b[arc] * cube
    if power == 0.0:
        return t0 * (1.0 + delay.b[arc]), 0.0
    return t0 + slope * ratio, slope * power / delay.capacity[arc]
