"""Line ratings: none, a box on real and reactive flow, or a polygon inside the circle.

What a rating adds to a power flow and what it says of a point is stated here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.data.model.settings import FeederSettings
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
    sides: int = 0

    __repr__ = brief

    @property
    def bound(self) -> FloatArray:
        """Bound of real and of reactive flow either way, kW and kvar."""
        return self.kva

    def reach(self, most: float) -> FloatArray:
        """Largest magnitude of a flow on a feeder that has at most `most` to carry."""
        return np.minimum(self.kva, most)

    def state(self, program: Program, p: Variable, q: Variable) -> None:
        """Add the rating's rows to the program of the flows: a box has none beside the bounds."""

    def multipliers(self, rows: FloatArray | None) -> FloatArray:
        """(line, side) multipliers, from those of the rows where there are any."""
        return np.zeros((len(self.kva), self.sides))

    def pull(self, multipliers: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(line,) how hard the rows push real and reactive flow down, $/kWh."""
        none = np.zeros(len(self.kva))
        return none, none

    def excess(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Flow above the rating, kVA; negative below."""
        return np.maximum(np.abs(p), np.abs(q)) - self.kva

    def binds(
        self, p: FloatArray, q: FloatArray, multipliers: FloatArray, price_scale: float
    ) -> BoolArray:
        """Whether the rating binds."""
        return np.maximum(np.abs(p), np.abs(q)) >= self.kva * (1.0 - BINDING)

    def price(self, multipliers: FloatArray, rest: FloatArray) -> FloatArray:
        """Shadow price of the rating in real flow, $/kWh: what it adds to the fee along the line.

        `rest` is the part of the fee's rise along the line that voltages do not explain; bounds
        have no multipliers of their own.
        """
        return rest


class Polygon(Box):
    """Apparent power inside the regular polygon of `sides` inside the rating's circle."""

    @property
    def bound(self) -> FloatArray:
        return np.full(len(self.kva), np.inf)

    @property
    def normals(self) -> tuple[FloatArray, FloatArray]:
        """Real and reactive part (cos, sin) of the sides' normals."""
        angle = 2.0 * np.pi * (np.arange(self.sides) + 0.5) / self.sides
        return np.cos(angle), np.sin(angle)

    def state(self, program: Program, p: Variable, q: Variable) -> None:
        rated = np.flatnonzero(np.isfinite(self.kva))
        if not len(rated):
            return
        eye = sp.eye_array(len(self.kva), format="csr")[rated]
        apothem = float(np.cos(np.pi / self.sides))
        program.at_least(
            "rating",
            (*p.dims, "side"),
            [(*p.labels[line], str(k)) for line in rated for k in range(self.sides)],
            terms={
                flow: sp.csr_array(sp.kron(eye, -part[:, None], format="csr"))
                for flow, part in zip((p, q), self.normals, strict=True)
            },
            rhs=-apothem * np.repeat(self.kva[rated], self.sides),
            meaning="apparent power inside the rating polygon (nu_S)",
        )

    def excess(self, p: FloatArray, q: FloatArray) -> FloatArray:
        above: FloatArray = np.hypot(p, q) - self.kva
        return above

    def binds(
        self, p: FloatArray, q: FloatArray, multipliers: FloatArray, price_scale: float
    ) -> BoolArray:
        largest: FloatArray = multipliers.max(axis=1)
        return largest > BINDING * price_scale

    def multipliers(self, rows: FloatArray | None) -> FloatArray:
        out = super().multipliers(rows)
        if rows is not None:
            out[np.isfinite(self.kva)] = rows.reshape(-1, self.sides)
        return out

    def pull(self, multipliers: FloatArray) -> tuple[FloatArray, FloatArray]:
        cos, sin = self.normals
        return multipliers @ cos, multipliers @ sin

    def price(self, multipliers: FloatArray, rest: FloatArray) -> FloatArray:
        return self.pull(multipliers)[0]


def rating(kva: FloatArray, limits: FeederSettings) -> Box:
    """The rating that a feeder's settings ask for."""
    if limits.line_rating == "polygon":
        return Polygon(kva, limits.rating_sides)
    return Box(kva if limits.line_rating == "box" else np.full(len(kva), np.inf))
