"""Canonical prices: one choice where nothing is traded and equilibrium prices are intervals.

spec section 5. The choice is the end of the interval at which trade would start, so it stays an
equilibrium and prices paths that nobody uses correctly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.coupling import Coupled
from v2geq.players.lse import player_name


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
