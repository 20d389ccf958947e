"""Line ratings: none, a box on real and reactive flow, or a polygon inside the circle.

What a rating adds to a power flow and what it says of a point is stated here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.data.model.settings import FeederSettings
from v2geq.labelled import eye
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

BINDING = 1e-6
"""Distance (pu, share of a rating or of the price scale) at which a limit counts as binding."""


@dataclass(frozen=True)
class Box:
    """Real and reactive flow within the rating each; no limit where the rating is infinite.

    Arrays are by line: real and reactive flows `p` and `q` in kW and kvar, `multipliers` of the
    rating's rows by line and side in $/kWh.

    Attributes
    ----------
    kva : (line,) rating
    sides : rows per line
    """

    kva: FloatArray
    sides: int = 4

    __repr__ = brief

    @property
    def normals(self) -> tuple[FloatArray, FloatArray]:
        """Real and reactive part (cos, sin) of the sides' normals."""
        return np.array([1.0, 0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0, -1.0])

    @property
    def apothem(self) -> float:
        """Distance of the sides from the middle, as a share of the rating."""
        return 1.0

    def reach(self, most: float) -> FloatArray:
        """Largest magnitude of a flow on a feeder that has at most `most` to carry."""
        return np.minimum(self.kva, most)

    def state(
        self,
        program: Program,
        flow: Variable,
        real: Mapping[Variable, sp.csr_array],
        reactive: Mapping[Variable, sp.csr_array],
        *,
        given: tuple[FloatArray, FloatArray] | None = None,
        both_ways: bool = True,
        name: str = "rating",
        meaning: str = "apparent power inside the rating polygon (nu_S)",
    ) -> None:
        """Add the rating's rows to the program of the flows.

        Parameters
        ----------
        flow
            Variable by line.
        real, reactive
            The flows that are limited, by line, in the program's variables.
        given
            Constants of these flows.
        both_ways
            Whether real flow may be below zero; otherwise sides that limit that are left out.
        """
        rated = np.flatnonzero(np.isfinite(self.kva))
        if not len(rated):
            return
        sides = np.flatnonzero(both_ways | (self.normals[0] > -BINDING))
        terms: dict[Variable, sp.csr_array] = {}
        for limited, normal in zip((real, reactive), self.normals, strict=True):
            for v, matrix in limited.items():
                side = sp.csr_array(matrix[np.repeat(rated, len(sides))])
                by_row = np.tile(-normal[sides], len(rated))
                side.data *= np.repeat(by_row, np.diff(side.indptr))
                side.eliminate_zeros()
                terms[v] = terms[v] + side if v in terms else side
        p, q = (np.zeros(len(self.kva)),) * 2 if given is None else given
        cos, sin = (normal[sides] for normal in self.normals)
        fixed = (np.outer(p[rated], cos) + np.outer(q[rated], sin)).ravel()
        program.at_least(
            name,
            (*flow.dims, "side"),
            [(*flow.labels[line], str(k)) for line in rated for k in sides],
            terms=terms,
            rhs=fixed - self.apothem * np.repeat(self.kva[rated], len(sides)),
            unit="kW",
            meaning=meaning,
        )

    def multipliers(self, rows: FloatArray | None) -> FloatArray:
        """(line, side) multipliers, from those of the rows where there are any."""
        out = np.zeros((len(self.kva), self.sides))
        if rows is not None:
            out[np.isfinite(self.kva)] = rows.reshape(-1, self.sides)
        return out

    def pull(self, multipliers: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(line,) how hard the rows push real and reactive flow down, $/kWh."""
        cos, sin = self.normals
        return multipliers @ cos, multipliers @ sin

    def share(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Smallest rating that would let a flow pass, kVA."""
        cos, sin = self.normals
        farthest: FloatArray = (np.outer(p, cos) + np.outer(q, sin)).max(axis=1) / self.apothem
        return farthest

    def excess(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Flow above the rating, kVA; negative below."""
        return np.maximum(np.abs(p), np.abs(q)) - self.kva

    def binds(self, multipliers: FloatArray, price_scale: float) -> BoolArray:
        """Whether the rating binds."""
        largest: FloatArray = multipliers.max(axis=1)
        return largest > BINDING * price_scale


class Polygon(Box):
    """Apparent power inside the regular polygon of `sides` inside the rating's circle."""

    @property
    def normals(self) -> tuple[FloatArray, FloatArray]:
        angle = 2.0 * np.pi * (np.arange(self.sides) + 0.5) / self.sides
        return np.cos(angle), np.sin(angle)

    @property
    def apothem(self) -> float:
        return float(np.cos(np.pi / self.sides))

    def excess(self, p: FloatArray, q: FloatArray) -> FloatArray:
        above: FloatArray = np.hypot(p, q) - self.kva
        return above


def inverters(
    program: Program,
    name: str,
    dims: str,
    plants: pd.DataFrame,
    real: Mapping[Variable, sp.csr_array],
    sides: int,
    *,
    both_ways: bool,
) -> Variable:
    """Add the reactive supply of plants with inverters, and the rating it shares with the real one.

    Parameters
    ----------
    plants
        By name; columns kva, min_kvar, max_kvar.
    real
        Real supply by plant in the program's variables.
    """
    kva, low, high = (plants[c].to_numpy(dtype=float) for c in ("kva", "min_kvar", "max_kvar"))
    reactive = program.variable(
        name,
        dims,
        list(plants.index),
        unit="kvar",
        lower=np.maximum(low, -kva),
        upper=np.minimum(high, kva),
        meaning="reactive supply of an inverter (q_inv)",
    )
    Polygon(kva, sides).state(
        program,
        reactive,
        real,
        {reactive: eye(len(plants))},
        both_ways=both_ways,
        name="inverter",
        meaning="apparent power of an inverter inside its rating polygon (nu_inv)",
    )
    return reactive


def with_inverter(plants: pd.DataFrame) -> pd.DataFrame:
    """Those of generators or stations that have one, with its limits of reactive supply.

    Those of min_kvar and max_kvar, where one is not zero; else none but its rating.
    """
    own = plants[plants["kva"].notna()]
    none = pd.Series(0.0, own.index)
    low, high = own.get("min_kvar", none), own.get("max_kvar", none)
    free = (low == 0.0) & (high == 0.0)
    kva = own["kva"]
    return own.assign(min_kvar=low.where(~free, -kva), max_kvar=high.where(~free, kva))


def rating(kva: FloatArray, limits: FeederSettings) -> Box:
    """The rating that a feeder's settings ask for."""
    if limits.line_rating == "polygon":
        return Polygon(kva, limits.rating_sides)
    return Box(kva if limits.line_rating == "box" else np.full(len(kva), np.inf))
