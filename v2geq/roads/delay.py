"""Travel times of arcs as functions of their flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.mcp.curves import Formula


@dataclass(frozen=True)
class TravelTime:
    """BPR travel time of arcs, h over veh/h, times `weight` ($/h): a curve of its integral.

    t(x) = t0 (1 + b (x / capacity)^power); below zero flow it is continued as t0, so that an
    iterate outside the feasible set still has a monotone, differentiable time.
    """

    free_flow_h: FloatArray
    b: FloatArray
    power: FloatArray
    capacity: FloatArray
    weight: float = 1.0

    def time(self, x: FloatArray) -> FloatArray:
        """Travel time in h."""
        ratio = np.maximum(x, 0.0) / self.capacity
        return self.free_flow_h * (1.0 + self.b * ratio**self.power)

    def value(self, x: FloatArray) -> FloatArray:
        ratio = np.maximum(x, 0.0) / self.capacity
        congested = self.b * self.capacity * ratio ** (self.power + 1.0) / (self.power + 1.0)
        return self.weight * self.free_flow_h * (x + congested)

    def first(self, x: FloatArray) -> FloatArray:
        return self.weight * self.time(x)

    def second(self, x: FloatArray) -> FloatArray:
        ratio = np.maximum(x, 0.0) / self.capacity
        slope = np.zeros_like(ratio)
        steep = (self.power > 0) & ((ratio > 0) | (self.power == 1.0))
        slope[steep] = ratio[steep] ** (self.power[steep] - 1.0)
        return self.weight * self.free_flow_h * self.b * self.power / self.capacity * slope

    def formulas(self, n: int) -> list[Formula]:
        """One formula per distinct power, so that whole powers can be written as such."""
        written = []
        for power in np.unique(self.power):
            k = np.flatnonzero(self.power == power)
            named = {
                "priced": self.weight * self.free_flow_h[k],
                "b": self.b[k],
                "capacity": self.capacity[k],
            }
            p = repr(int(power)) if power == int(power) else repr(float(power))
            ratio = "(max(x, 0)/capacity)"
            written.append(
                Formula(
                    k,
                    "x",
                    named,
                    f"priced*(x + b*capacity*{ratio}**({p} + 1)/({p} + 1))",
                    f"priced*(1 + b*{ratio}**{p})",
                )
            )
        return written
