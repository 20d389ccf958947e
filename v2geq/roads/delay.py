"""Travel times of arcs as functions of their flow.

Three kinds, by arc, with t0 the free-flow time, c the capacity and r = x / c:

- BPR: t = t0 (1 + b r^p)
- conical (H. Spiess, Conical volume-delay functions, Transportation Science 24 (1990) 153-158):
  t = t0 (2 + sqrt(a^2 (1 - r)^2 + b^2) - a (1 - r) - b) with b = (2a - 1) / (2a - 2), a > 1
- an expression in x, t0, c, b, p and the length l, in minutes

Below zero flow the time is continued as that at zero, so that an iterate outside the feasible set
still has a monotone time. All are evaluated by `v2geq.roads.kernels.delay`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.checks.delay import check_delays
from v2geq.data.model.road import DELAY_NAMES, RoadNetwork, delay_texts
from v2geq.mcp import parse as language
from v2geq.mcp.curves import Formula
from v2geq.show import brief

if TYPE_CHECKING:
    from v2geq.roads.kernels.delay import DelayArrays

_NAMES = ("x", *DELAY_NAMES)


def delay_arrays(road: RoadNetwork) -> DelayArrays:
    """Delay functions of all arcs for compiled loops, times in minutes.

    Raises
    ------
    DataError
        A parameter out of range, or an expression that is no travel time.
    """
    from v2geq.roads.kernels import delay as kernels

    check_delays(road)
    texts = delay_texts(road).to_numpy()
    kind = np.full(len(texts), kernels.EXPRESSION, dtype=np.int64)
    kind[texts == "bpr"] = kernels.BPR
    kind[texts == "conical"] = kernels.CONICAL
    begin, end = np.zeros_like(kind), np.zeros_like(kind)
    program: list[tuple[int, float]] = []
    for text in np.unique(texts[kind == kernels.EXPRESSION]):
        begin[texts == text] = len(program)
        program += _instructions(language.parse(text, _NAMES, "road.arcs"))
        end[texts == text] = len(program)
    columns = {n: np.array(road.arcs[column], dtype=float) for n, column in DELAY_NAMES.items()}
    return kernels.DelayArrays(
        kind=kind,
        free_flow=columns["t0"],
        b=columns["b"],
        power=columns["p"],
        capacity=columns["c"],
        length=columns["l"],
        alpha=road.column("conical_alpha").copy(),
        begin=begin,
        end=end,
        code=np.array([code for code, _ in program], dtype=np.int64),
        operand=np.array([operand for _, operand in program], dtype=float),
    )


def _instructions(read: language.Code) -> Iterator[tuple[int, float]]:
    """Code for the compiled loops: (instruction, operand) pairs."""
    from v2geq.roads.kernels import delay as kernels

    flows = "FLOW", "FREE_FLOW", "CAPACITY", "B", "POWER", "LENGTH"
    names = {name: getattr(kernels, code) for name, code in zip(_NAMES, flows, strict=True)}
    same = "ADD", "MULTIPLY", "RAISE", "EXP", "LOG", "ABS"
    plain = {getattr(language, code): getattr(kernels, code) for code in same}
    for what, operand in read:
        if what == language.NUMBER:
            yield kernels.CONSTANT, float(operand)
        elif what == language.NAME:
            yield names[str(operand)], 0.0
        elif what != language.POWER:
            yield plain[what], 0.0
        elif float(operand).is_integer():
            yield kernels.WHOLE_POWER, float(operand)
        elif operand == 0.5:
            yield kernels.SQRT, 0.0
        else:
            yield kernels.CONSTANT, float(operand)
            yield kernels.RAISE, 0.0


@dataclass(frozen=True, eq=False)
class TravelTime:
    """Travel time of arcs, h over veh/h, times `weight` ($/h): a curve of its integral.

    Attributes
    ----------
    delay : the delay functions, in minutes
    texts : (arc,) 'bpr', 'conical' or the expression
    """

    delay: DelayArrays
    texts: tuple[str, ...]
    weight: float = 1.0

    __repr__ = brief

    @classmethod
    def from_road(cls, road: RoadNetwork) -> TravelTime:
        """Travel times of a road network.

        Raises
        ------
        DataError
            A parameter out of range, or an expression that is no travel time.
        """
        return cls(delay_arrays(road), tuple(delay_texts(road)))

    @property
    def capacity(self) -> FloatArray:
        """(arc,) capacities, veh/h."""
        return self.delay.capacity

    def time(self, x: FloatArray) -> FloatArray:
        """Travel time in h."""
        return self._evaluate(x)[0] / 60.0

    def value(self, x: FloatArray) -> FloatArray:
        from v2geq.roads.kernels.delay import integrals

        return self.weight / 60.0 * integrals(self.delay, np.array(x, dtype=float))

    def first(self, x: FloatArray) -> FloatArray:
        return self.weight / 60.0 * self._evaluate(x)[0]

    def second(self, x: FloatArray) -> FloatArray:
        return self.weight / 60.0 * self._evaluate(x)[1]

    def _evaluate(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        from v2geq.roads.kernels.delay import times_and_slopes

        # a copy: compiled code tells arrays apart that may not be written or are not contiguous
        return times_and_slopes(self.delay, np.array(x, dtype=float))

    def formulas(self, n: int) -> list[Formula]:
        """One formula per function and distinct power, so that whole powers are written as such."""
        texts, power = np.array(self.texts), self.delay.power
        written = []
        for text in np.unique(texts):
            own = texts == text
            if text == "conical":
                written.append(self._conical(np.flatnonzero(own)))
                continue
            for p in np.unique(power[own]):
                k = np.flatnonzero(own & (power == p))
                exponent = repr(int(p)) if p == int(p) else repr(float(p))
                if text == "bpr":
                    written.append(self._bpr(k, exponent))
                else:
                    written.append(self._expression(k, text, exponent))
        return written

    @cached_property
    def _priced(self) -> FloatArray:
        return self.weight / 60.0 * self.delay.free_flow

    def _bpr(self, k: IntArray, power: str) -> Formula:
        d = self.delay
        named = {"priced": self._priced[k], "b": d.b[k], "capacity": d.capacity[k]}
        ratio = "(max(x, 0)/capacity)"
        return Formula(
            k,
            "x",
            named,
            f"priced*(x + b*capacity*{ratio}**({power} + 1)/({power} + 1))",
            f"priced*(1 + b*{ratio}**{power})",
        )

    def _conical(self, k: IntArray) -> Formula:
        a = self.delay.alpha[k]
        named = {
            "priced": self._priced[k],
            "a": a,
            "b": (2.0 * a - 1.0) / (2.0 * a - 2.0),
            "capacity": self.delay.capacity[k],
        }
        free = "(a*(1 - max(x, 0)/capacity))"
        return Formula(k, "x", named, "", f"priced*(2 - b + sqrt({free}**2 + b**2) - {free})")

    def _expression(self, k: IntArray, text: str, power: str) -> Formula:
        d = self.delay
        columns = {"t0": d.free_flow, "c": d.capacity, "b": d.b, "l": d.length}
        named = {n: values[k] for n, values in columns.items() if re.search(rf"\b{n}\b", text)}
        text = re.sub(r"\bx\b", "max(x, 0)", re.sub(r"\bp\b", power, text))
        named["hourly"] = np.full(k.size, self.weight / 60.0)
        return Formula(k, "x", named, "", f"hourly*({text})")
