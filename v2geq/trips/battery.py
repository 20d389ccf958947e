"""Battery of an electric class along a trip: rules A1-A4 (model.md, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.mcp.expression import Expression

if TYPE_CHECKING:
    from v2geq.data.model.drivers import DriverClass

CHARGE, DISCHARGE = "C", "D"
#: stop patterns of a path; the last three need V2G
PATTERNS = ("", "C", "CC", "D", "CD", "DC")
#: slack of every energy comparison, relative to the battery: budgets may be met with equality
ENERGY_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Wear:
    """Cost of a discharge by the energy given up: a convex formula of its share of the battery."""

    formula: Expression
    battery: float

    def value(self, kwh: FloatArray) -> FloatArray:
        """$ per discharge of so many kWh."""
        return self.formula.value(kwh / self.battery)

    def first(self, kwh: FloatArray) -> FloatArray:
        """$ per further kWh."""
        return self.formula.first(kwh / self.battery) / self.battery


def wear_of(c: DriverClass) -> Wear | None:
    """Wear by depth of a driver class; None where it is proportional to the energy."""
    return _wear(c.wear, c.battery) if c.wear else None


@lru_cache(maxsize=64)
def _wear(text: str, battery: float) -> Wear:
    return Wear(Expression.parse(text, variable="d", parameters={}, where="drivers"), battery)


@dataclass(frozen=True)
class EnergyRules:
    """Battery data of one EV class, kWh (consumption kWh/km); rules A1-A4.

    battery
        Capacity B, and the level after charging.
    reserve
        Least level on every arrival (alpha B).
    low
        Level after a discharge (B_dis).
    departure
        Level at departure (B_0); None for a full battery.
    """

    battery: float
    reserve: float
    low: float
    consumption: float
    departure: float | None = None

    @classmethod
    def from_class(cls, c: DriverClass) -> EnergyRules:
        """Rules of a driver class of kind 'ev'; raises `DataError` for any other."""
        if c.kind != "ev":
            raise DataError(
                f"driver class of kind {c.kind!r} has no battery",
                advice="use enumerate_routes and shortest_routes for fuel vehicles",
            )
        return cls(
            c.battery,
            c.reserve * c.battery,
            c.discharge_level * c.battery,
            c.consumption,
            c.start_level * c.battery,
        )

    @property
    def start(self) -> float:
        """Level at departure."""
        return self.battery if self.departure is None else self.departure

    @property
    def start_budget(self) -> float:
        """Energy that may be spent between departure and the first arrival, B_0 - alpha B."""
        return self.start - self.reserve

    @property
    def full_budget(self) -> float:
        """Energy a full battery may spend before the next arrival, R = (1 - alpha) B."""
        return self.battery - self.reserve

    @property
    def low_budget(self) -> float:
        """Energy a discharged battery may spend before the next arrival, r = B_dis - alpha B."""
        return self.low - self.reserve

    @property
    def tolerance(self) -> float:
        """Slack of every comparison of energies."""
        return ENERGY_TOLERANCE * self.battery

    def levels_at(self, kind: str, energy_kwh: float) -> tuple[float, float]:
        """Level on arrival at a stop of a kind and energy, and after it."""
        if kind == CHARGE:
            return self.battery - energy_kwh, self.battery
        return self.low + energy_kwh, self.low

    def simulate(
        self, legs: Sequence[float], kinds: Sequence[str]
    ) -> tuple[tuple[float, ...], float] | None:
        """Run the battery along legs that end at stops of the given kinds, then the destination.

        Parameters
        ----------
        legs
            Energy use of each leg, kWh; one more than there are stops.
        kinds
            'C' or 'D' of each stop.

        Returns
        -------
        Energy charged or discharged at each stop and the level on arrival, or None if a rule is
        broken. Use along a leg is never negative, so the reserve need only be checked at its end.
        """
        tol = self.tolerance
        level = self.start
        amounts = []
        for used, kind in zip(legs, kinds, strict=False):
            if used > level - self.reserve + tol:
                return None
            if kind == CHARGE:
                amount = (self.battery - level) + used
                level = self.battery
            else:
                amount = (level - self.low) - used
                level = self.low
            if amount <= tol:
                return None
            amounts.append(amount)
        if legs[-1] > level - self.reserve + tol:
            return None
        return tuple(amounts), level - legs[-1]
