"""What drawings of a feeder show, of an equilibrium or of an optimal power flow alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2geq.market import prices
from v2geq.plots.runs import run_name
from v2geq.show import brief

if TYPE_CHECKING:
    from v2geq.arrays import FloatArray
    from v2geq.data.model.feeder import Feeder
    from v2geq.grid.network import Network
    from v2geq.grid.power_flow import Binding
    from v2geq.results.point import Point

PARTS = {part: f"dlmp_{part}" for part in prices.PARTS}
"""Parts of DLMPs and the results that they are."""


@dataclass(frozen=True)
class FeederView:
    """Results of a feeder.

    Attributes
    ----------
    title : heading of its figures
    feeder : all buses and branches; network : those that are energised
    buses : by energised bus, voltage_pu, dlmp and its `PARTS`; loading : by line
    binding : limits that bind; loaded : buses with load; outages : branches out of service
    currency : of prices; voll : value of lost load, None where no load is shed
    """

    title: str
    feeder: Feeder
    network: Network
    buses: pd.DataFrame
    loading: pd.Series[float]
    binding: Binding
    loaded: frozenset[str]
    outages: frozenset[str]
    currency: str
    voll: float | None = None

    __repr__ = brief

    @property
    def distance_km(self) -> pd.Series[float]:
        """Length of the way from the head of its island to every energised bus, km."""
        net = self.network
        length = self.feeder.branches["length_km"].reindex(list(net.lines.names)).to_numpy(float)
        far: FloatArray = np.full(len(net.buses), np.nan)
        far[np.setdiff1d(np.arange(len(far)), net.lines.to_bus)] = 0.0
        while np.isnan(far).any():
            far[net.lines.to_bus] = far[net.lines.from_bus] + length
        return pd.Series(far, index=pd.Index(net.buses, name="bus"))


def feeder_view(eq: Point) -> FeederView:
    """What drawings of the feeder show of an equilibrium."""
    scenario, data = eq.scenario, eq.data
    case, alive = scenario.case, list(scenario.buses)
    return FeederView(
        title=run_name(eq),
        feeder=case.feeder,
        network=eq.coupled.grid.network,
        buses=data[["voltage_pu", "dlmp", *PARTS.values()]].sel(bus=alive).to_dataframe(),
        loading=data["loading"].to_series(),
        binding=eq.coupled.grid.binding(eq.values),
        loaded=frozenset(alive[i] for i in scenario.load_buses),
        outages=frozenset(case.scenarios[scenario.name].outages),
        currency=case.currency,
        voll=case.market.voll,
    )
