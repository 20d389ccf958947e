"""A class of drivers: its trips, battery, charger and money."""

from __future__ import annotations

from dataclasses import dataclass

from v2geq.data.model.values import setting


@dataclass(frozen=True)
class DriverClass:
    """One class of drivers: `kind` 'ev' (battery and charger fields apply) or 'fv'."""

    kind: str = setting("", "electric or fuel vehicle", choices=("ev", "fv"))
    value_of_time: float = setting("$/h", "value of time (omega)", lower=0.0, strict=True)
    trips: str = setting("", "trip table: columns origin, destination, trips_veh_h")
    cost_of_time: str = setting(
        "$",
        "cost of a trip's time, in place of value_of_time: a convex, rising expression in t, the "
        "hours of the whole trip (not with paths.form 'legs')",
        default="",
    )
    trips_factor: float = setting("", "factor on the trip table", default=1.0, lower=0.0)
    trips_of: str = setting(
        "", "keep only the OD pairs of this class; empty: every pair of the table", default=""
    )
    trips_spread: bool = setting(
        "",
        "spread the class's trips over all OD pairs of the road's trip table, in proportion to it",
        default=False,
    )
    battery: float = setting("kWh", "battery capacity (B)", default=0.0, lower=0.0)
    consumption: float = setting("kWh/km", "energy use (kappa)", default=0.0, lower=0.0)
    discharge_level: float = setting(
        "",
        "level after a discharge, share of the battery (B_dis / B)",
        default=0.0,
        lower=0.0,
        upper=1.0,
    )
    reserve: float = setting(
        "", "range-anxiety reserve, share of the battery (alpha)", default=0.0, lower=0.0, upper=1.0
    )
    start_level: float = setting(
        "", "level at departure, share of the battery (B_0 / B)", default=1.0, lower=0.0, upper=1.0
    )
    v2g: bool = setting("", "whether the drivers sell energy at stations", default=True)
    energy_value: float = setting("$/kWh", "value of battery energy (vB)", default=0.0, lower=0.0)
    charger_power: float = setting("kW", "charger power (Pbar)", default=0.0, lower=0.0)
    degradation: float = setting("$/kWh", "battery wear per kWh discharged", default=0.0, lower=0.0)
    wear: str = setting(
        "$ per discharge",
        "battery wear by depth, in place of degradation: a convex expression in d, the share of "
        "the battery given up in a discharge",
        default="",
    )


LONGEST_TRIP_H = 24.0
"""Hours up to which the cost of a trip's time must rise and be convex."""

EV_SETTINGS = (
    "battery",
    "consumption",
    "discharge_level",
    "reserve",
    "start_level",
    "v2g",
    "energy_value",
    "charger_power",
    "degradation",
    "wear",
)
"""Settings that mean something for electric classes only."""
