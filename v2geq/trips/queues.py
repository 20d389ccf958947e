"""Waiting time of queues at stations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.mcp.curves import Formula
from v2geq.show import brief


@dataclass(frozen=True)
class QueueTime:
    """Smoothed queueing time of every queue, h over veh/h, times `weight` ($/h).

    wait(n) = base + slope (z + sqrt(z^2 + eps^2)) / 2 with z = n - piles.
    """

    base_h: FloatArray
    slope_h: FloatArray
    piles: FloatArray
    smoothing: float
    weight: float = 1.0

    __repr__ = brief

    def time(self, n: FloatArray) -> FloatArray:
        """Waiting time in h."""
        z = n - self.piles
        return self.base_h + 0.5 * self.slope_h * (z + np.hypot(z, self.smoothing))

    def value(self, n: FloatArray) -> FloatArray:
        return self.weight * (self._integral(n) - self._integral(np.zeros_like(n)))

    def _integral(self, n: FloatArray) -> FloatArray:
        z, eps = n - self.piles, self.smoothing
        queue = 0.5 * (z * z + z * np.hypot(z, eps) + eps**2 * np.arcsinh(z / eps))
        return self.base_h * n + 0.5 * self.slope_h * queue

    def first(self, n: FloatArray) -> FloatArray:
        return self.weight * self.time(n)

    def second(self, n: FloatArray) -> FloatArray:
        z = n - self.piles
        return 0.5 * self.weight * self.slope_h * (1.0 + z / np.hypot(z, self.smoothing))

    def formulas(self, n: int) -> list[Formula]:
        named = {
            "base": self.weight * self.base_h,
            "slope": self.weight * self.slope_h,
            "piles": self.piles,
        }
        eps = repr(float(self.smoothing))
        z, root = "(n - piles)", f"sqrt((n - piles)**2 + {eps}**2)"
        value = f"base*n + slope/4*({z}**2 + {z}*{root} + {eps}**2*log({z} + {root}))"
        return [Formula(np.arange(n), "n", named, value, f"base + slope/2*({z} + {root})")]
