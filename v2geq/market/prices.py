"""Canonical prices: one choice where nothing is traded and equilibrium prices are intervals.

model.md, 5. The choice is the end of the interval at which trade would start, so it stays an
equilibrium and prices paths that nobody uses correctly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from v2geq.arrays import BoolArray, FloatArray
from v2geq.market.coupling import Coupled
from v2geq.players.lse import player_name

STATION_PRICES = ("charge_price", "discharge_price", "purchase_price", "resale_price")
TRADED = 1e-6
"""Share of what could be traded at a station above which energy counts as traded."""


def traded(coupled: Coupled, values: Mapping[str, FloatArray]) -> dict[str, BoolArray]:
    """Price at stations -> (station,) whether energy is traded at it; without V2G two of four."""
    least = TRADED * coupled.scenario.station_scale(coupled.traffic.energy_reach)
    out = {"charge_price": values["cno.charge"] > least}
    out["purchase_price"] = out["charge_price"]
    if coupled.scenario.v2g:
        out["discharge_price"] = values["cno.discharge"] > least
        out["resale_price"] = out["discharge_price"]
    return out


def station_wheeling(coupled: Coupled, values: Mapping[str, FloatArray]) -> FloatArray:
    """Wheeling fee lambda at every station's bus, $/kWh."""
    scenario = coupled.scenario
    where = scenario.bus_position
    return values["wheeling_price"][[where[b] for b in scenario.stations["bus"]]]


def thetas(coupled: Coupled, values: Mapping[str, FloatArray]) -> FloatArray:
    """Energy price theta_k of every LSE, $/kWh."""
    names = coupled.scenario.case.lses.index
    return np.array([values[f"{player_name(k)}.energy"][0] for k in names])


def canonical(coupled: Coupled, z: FloatArray) -> FloatArray:
    """`z` with station prices and the TSO price at their canonical values.

    pi+ = lambda + min theta, pi- = lambda + max theta, rho = pi + nu_up - nu_lo, tau = max theta.
    """
    z = z.copy()
    values = coupled.mcp.split(z)
    fee, theta = station_wheeling(coupled, values), thetas(coupled, values)
    tight = values["cno.net_upper"] - values["cno.net_lower"]
    values["purchase_price"][:] = fee + theta.min()
    values["charge_price"][:] = fee + theta.min() + tight
    if coupled.scenario.v2g:
        values["resale_price"][:] = fee + theta.max()
        values["discharge_price"][:] = fee + theta.max() + tight
    values["tso_price"][:] = theta.max()
    return z
