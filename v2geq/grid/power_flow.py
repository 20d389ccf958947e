"""What the rest of the market asks of a power flow, whatever its formulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.settings import FeederSettings
from v2geq.grid.network import Network
from v2geq.grid.places import Places
from v2geq.labelled import Labelled
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.grid.dlmp import PriceParts

SETTLED_KW = 1e-5
"""Distance of flows from where losses are linearised at which they count as exact, kW."""
OPERATOR = "dso"
"""Player whose program holds the power flow; prefixes its blocks."""

LOW, HIGH = 0.1, 10.0
"""Voltages that are no limit, pu."""


def unlimited(limits: FeederSettings) -> FeederSettings:
    """Settings with limits that are none."""
    return replace(limits, vmin=LOW, vmax=HIGH, line_rating="none")


class Violations(NamedTuple):
    """Largest violation of voltage limits (pu) and of line ratings (kVA)."""

    voltage_pu: float
    rating_kva: float

    def __repr__(self) -> str:
        return brief(self)


class Binding(NamedTuple):
    """Names of lines whose rating binds and of buses, but the root, at a limit of voltage."""

    lines: tuple[str, ...]
    lowest: tuple[str, ...]
    highest: tuple[str, ...]

    def __repr__(self) -> str:
        return brief(self)


class PowerFlow(Protocol):
    """A formulation of the power flow on a network.

    It states variables and rows of the operator's program and reads what they are at a point from
    `values`, the point by block.
    """

    @property
    def network(self) -> Network:
        """What it is stated on."""

    @property
    def places(self) -> Places:
        """Where energy is traded: labels of withdrawals and of the wheeling market."""

    @property
    def kvar_places(self) -> IntArray:
        """Positions of places where reactive power is bought of players."""

    def state(self, program: Program, reach: float) -> tuple[Variable, Variable, Variable | None]:
        """Add flows, voltages, balances and limits to the operator's program.

        Parameters
        ----------
        reach
            Total load plus generation, kW: bounds unrated flows in the deviation problem.

        Returns
        -------
        The net withdrawal by place, the purchase from the TSO and, where sale has a price
        of its own, the sale to it, all kW.
        """

    def within(self, limits: FeederSettings) -> PowerFlow:
        """The formulation with other limits."""

    def rated(self, most: float) -> PowerFlow:
        """The formulation without ratings above `most`, kVA, which nothing can reach."""

    @property
    def has_losses(self) -> bool:
        """Whether lines have losses, linearised at some state."""

    def lost(self, program: Program) -> tuple[dict[Variable, sp.csr_array], float]:
        """All losses in the operator's variables, and their constant, kW; empty without losses."""

    def linearised(self, values: Mapping[str, FloatArray], resale: float = 0.0) -> PowerFlow:
        """The formulation with losses at the AC state of a point, and their curvature there.

        `resale` is the price at which the operator sells what it does not lose, $/kWh.
        """

    def settled(self, values: Mapping[str, FloatArray]) -> PowerFlow:
        """The formulation with losses at the point's own flows, without curvature."""

    def moved(self, values: Mapping[str, FloatArray]) -> float:
        """Largest distance of flows from where losses are linearised, kW."""

    def distance(self, values: Mapping[str, FloatArray]) -> tuple[float, float]:
        """Largest distance of flows, kW, and of voltages, pu, from their AC state."""

    def dlmp_parts(
        self,
        values: Mapping[str, FloatArray],
        reduced: Mapping[str, FloatArray],
        resale: float = 0.0,
    ) -> PriceParts:
        """Price of real power by bus and its parts.

        Parameters
        ----------
        reduced
            Marginal cost of every strategy by key, not zero where a bound holds it.
        resale
            $/kWh at which the operator sells what it does not lose, over which balances are priced.
        """

    def losses(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Real power lost by line, kW."""

    def results(self, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
        """Results by energised bus and by line, and those of the substation."""

    def violations(self, values: Mapping[str, FloatArray]) -> Violations:
        """How far limits are broken."""

    def binding(self, values: Mapping[str, FloatArray]) -> Binding:
        """Which limits bind."""

    def import_kw(self, values: Mapping[str, FloatArray]) -> float:
        """Real power bought from the TSO less what is sold to it, kW."""

    def way(self, values: Mapping[str, FloatArray], bus: str, fee: FloatArray) -> pd.DataFrame:
        """Lines from the root of a bus's island to the bus, with what each adds to the fee.

        Parameters
        ----------
        fee
            Wheeling fee by energised bus, $/kWh.

        Returns
        -------
        pandas.DataFrame
            Index line; columns from_bus, to_bus, p_kw, loading, voltage_pu (of to_bus),
            rating_price and voltage_price (what rating and voltage limits add), fee.
        """
