"""Where a point is wrong, and how well a problem is scaled: tables for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.mcp.problem import Problem, scaled_residual


@dataclass(frozen=True)
class Row:
    """One entry of a point: its residual and what it is made of."""

    name: str
    residual: float
    z: float
    f: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return (
            f"{self.name}: residual {self.residual:.2e}, z {self.z:.6g} in "
            f"[{self.lower:.6g}, {self.upper:.6g}], F {self.f:.6g}"
        )


def worst_rows(problem: Problem, z: FloatArray, count: int = 10) -> list[Row]:
    """Entries of `z` with the largest scaled natural residual, largest first."""
    f = problem.F(z)
    residual = scaled_residual(problem, z, f)
    return [
        Row(
            problem.describe(int(k)),
            float(residual[k]),
            float(z[k]),
            float(f[k]),
            float(problem.lower[k]),
            float(problem.upper[k]),
        )
        for k in np.argsort(-residual)[:count]
    ]


def residual_by_block(problem: Problem, z: FloatArray) -> dict[str, float]:
    """Largest scaled natural residual of every block of names, ``block[label]``."""
    residual = scaled_residual(problem, z)
    out: dict[str, float] = {}
    for k, value in enumerate(residual.tolist()):
        block = problem.describe(k).partition("[")[0]
        out[block] = max(out.get(block, 0.0), value)
    return out


@dataclass(frozen=True)
class Scaling:
    """Sizes of the Jacobian's entries after dividing by the problem's scales.

    Attributes
    ----------
    smallest, median, largest : of the absolute values of nonzero entries
    rows, columns : names of those with the largest and the smallest largest entry
    """

    smallest: float
    median: float
    largest: float
    rows: tuple[str, str]
    columns: tuple[str, str]

    def __str__(self) -> str:
        return (
            f"scaled Jacobian entries {self.smallest:.1e} to {self.largest:.1e}, median "
            f"{self.median:.1e}; largest row {self.rows[0]}, smallest {self.rows[1]}; largest "
            f"column {self.columns[0]}, smallest {self.columns[1]}"
        )


def scaling(problem: Problem, z: FloatArray) -> Scaling:
    """How far apart the Jacobian's entries are at `z`, in the problem's scales."""
    a = problem.J(z)
    columns = np.repeat(np.arange(problem.n), np.diff(a.indptr))
    size = np.abs(a.data) * problem.scale[columns] / problem.row_scale[a.indices]
    keep = size > 0
    size, rows, columns = size[keep], a.indices[keep], columns[keep]
    if not size.size:
        nothing = ("", "")
        return Scaling(0.0, 0.0, 0.0, nothing, nothing)

    def ends(index: np.ndarray) -> tuple[str, str]:
        largest = np.zeros(problem.n)
        np.maximum.at(largest, index, size)
        smallest = np.where(largest > 0, largest, np.inf)
        return problem.describe(int(largest.argmax())), problem.describe(int(smallest.argmin()))

    return Scaling(
        float(size.min()), float(np.median(size)), float(size.max()), ends(rows), ends(columns)
    )
