"""What every model's certificate is made of: figures with limits, a verdict, bounds with a gap.

Figures are recomputed from a point, outside of whatever found it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from v2geq.errors import did_you_mean
from v2geq.show import card


class Figure(NamedTuple):
    """A figure that must not exceed its limit; `evidence` names where it is worst."""

    name: str
    value: float
    limit: float
    unit: str = ""
    evidence: str = ""

    @property
    def holds(self) -> bool:
        """Whether it keeps its limit; NaN does not."""
        return bool(self.value <= self.limit)

    def __str__(self) -> str:
        return f"{self.value:.2e} (limit {self.limit:.0e})"


class Bounded(NamedTuple):
    """The best value found and a proven bound on all values, of one unit."""

    incumbent: float
    bound: float

    @property
    def gap(self) -> float:
        """Distance between both as a share of the larger, zero where both are zero."""
        size = max(abs(self.incumbent), abs(self.bound))
        return abs(self.incumbent - self.bound) / size if size else 0.0

    def __str__(self) -> str:
        return f"{self.incumbent:.6g}, bound {self.bound:.6g}, gap {self.gap:.2%}"


@dataclass(frozen=True)
class Verdict:
    """Whether all figures keep their limits.

    Attributes
    ----------
    figures : what the verdict rests on; each value is an attribute of its name
    extra_failures : other reasons not to believe the point, in words
    """

    figures: tuple[Figure, ...]
    extra_failures: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Figure:
        for figure in self.figures:
            if figure.name == name:
                return figure
        known = [figure.name for figure in self.figures]
        raise KeyError(f"no figure {name!r}; {did_you_mean(name, known)}")

    def __getattr__(self, name: str) -> float:
        """Value of a figure by its name."""
        if name.startswith("_") or name == "figures":
            raise AttributeError(name)
        try:
            return self[name].value
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    @property
    def failures(self) -> list[str]:
        """What breaks its limit, in words; empty where all hold."""
        broken = [
            f"{f.name} is {f.value:.3g}, limit {f.limit:.0e}" for f in self.figures if not f.holds
        ]
        return [*broken, *self.extra_failures]

    @property
    def holds(self) -> bool:
        """Whether every figure keeps its limit."""
        return not self.failures

    def lines(self) -> list[str]:
        """The verdict and its figures, a line each."""
        head = "certificate: " + ("holds" if self.holds else "FAILS: " + "; ".join(self.failures))
        return [
            head,
            *(f"  {f.name:<22} {f.value:10.2e}   (limit {f.limit:.0e})" for f in self.figures),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        told = f"holds, {len(self.figures)} figures" if self.holds else f"FAILS, {self.failures[0]}"
        return f"<{type(self).__name__}: {told}>"

    def _repr_html_(self) -> str:
        rows = {figure.name: str(figure) for figure in self.figures}
        return card("certificate", rows, note="; ".join(self.failures), good=self.holds)
