"""Small complementarity problems with known solutions, in uneven units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp


@dataclass
class Small:
    """F and J by entry, with scales, a sparse pattern that holds the diagonal, and counters."""

    function: object
    jacobian: object
    pattern: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    start: np.ndarray
    scale: np.ndarray
    row_scale: np.ndarray
    calls: dict[str, int] = field(default_factory=lambda: {"F": 0, "J": 0})

    def __post_init__(self) -> None:
        self.n = len(self.lower)
        self._csc = sp.csc_array(self.pattern | np.eye(self.n, dtype=bool))
        self._csc.sort_indices()
        self._where = np.repeat(np.arange(self.n), np.diff(self._csc.indptr))

    @property
    def diagonal_positions(self) -> np.ndarray:
        return np.flatnonzero(self._csc.indices == self._where)

    def F(self, z: np.ndarray) -> np.ndarray:
        self.calls["F"] += 1
        return np.asarray(self.function(z), dtype=float)

    def J(self, z: np.ndarray) -> sp.csc_array:
        self.calls["J"] += 1
        dense = np.asarray(self.jacobian(z), dtype=float)
        data = dense[self._csc.indices, self._where]
        return sp.csc_array((data, self._csc.indices, self._csc.indptr), shape=(self.n, self.n))

    def describe(self, position: int) -> str:
        return f"block.quantity[a rather long label {position}]"


def market() -> tuple[Small, np.ndarray]:
    """Two plants (one at its limit), a price, a fixed and an idle entry; in kW and $/kWh.

    cost c + s g, limits 0 and 40; demand 200 - 500 p; the price clears.
    """
    c, s = np.array([0.05, 0.10, 0.90]), np.array([0.001, 0.0005, 0.001])

    def function(z):
        g, p, fixed = z[:3], z[3], z[4]
        return np.array([*(c + s * g - p), g.sum() + fixed - (200.0 - 500.0 * p), 7.0])

    def jacobian(z):
        j = np.zeros((5, 5))
        j[[0, 1, 2], [0, 1, 2]] = s
        j[:3, 3] = -1.0
        j[3, :3] = j[3, 4] = 1.0
        j[3, 3] = 500.0
        return j

    pattern = jacobian(None) != 0
    low = np.array([0.0, 0.0, 0.0, -np.inf, 10.0])
    high = np.array([40.0, np.inf, np.inf, np.inf, 10.0])
    scale = np.array([50.0, 50.0, 50.0, 0.1, 50.0])
    problem = Small(function, jacobian, pattern, low, high, np.full(5, 1.0), scale, 10.0 / scale)
    # 40 + (p - 0.1) / 0.0005 + 10 = 200 - 500 p
    p = (150.0 + 200.0) / 2500.0
    return problem, np.array([40.0, (p - 0.1) / 0.0005, 0.0, p, 10.0])


def curved() -> tuple[Small, np.ndarray]:
    """log x = 1 and y**3 = 8, away from the bound and not everywhere defined."""

    def function(z):
        with np.errstate(all="ignore"):
            return np.array([np.log(z[0]) - 1.0, z[1] ** 3 - 8.0])

    def jacobian(z):
        with np.errstate(all="ignore"):
            return np.diag([1.0 / z[0], 3.0 * z[1] ** 2])

    ones, low = np.ones(2), np.zeros(2)
    problem = Small(
        function, jacobian, np.eye(2, dtype=bool), low, low + np.inf, ones.copy(), ones, ones
    )
    return problem, np.array([np.e, 2.0])
