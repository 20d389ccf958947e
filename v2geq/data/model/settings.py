"""Settings of a case by section of case.toml, each with unit, meaning, default and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from v2geq.data.model.values import setting
from v2geq.show import MONEY

FORMULATIONS = ("single_phase", "three_phase")
"""How power may flow."""


@dataclass(frozen=True)
class FeederSettings:
    """How the feeder is operated and which limits it keeps."""

    vmin: float = setting("pu", "lowest voltage at any bus", lower=0.0, strict=True)
    vmax: float = setting("pu", "highest voltage at any bus", lower=0.0, strict=True)
    root_voltage: float = setting("pu", "voltage at the substation", lower=0.0, strict=True)
    regulators: bool = setting("", "regulator ratios as measured (true) or all one (false)")
    capacitors: str = setting("", "capacitor banks", choices=("fixed", "switchable", "none"))
    reactive_load_scales: bool = setting("", "reactive load follows the load factor", default=True)
    line_rating: str = setting(
        "",
        "apparent-power rating as an inner regular polygon, as a box on P and Q, or not at all",
        default="polygon",
        choices=("polygon", "box", "none"),
    )
    rating_sides: int = setting(
        "",
        "sides of the rating polygon, the same both ways",
        default=16,
        lower=4,
        upper=360,
        even=True,
    )
    rating_factor: float = setting(
        "", "factor on every line rating", default=1.0, lower=0.0, strict=True
    )
    formulation: str = setting(
        "",
        "power flow of all phases together, or by phases where the feeder has them",
        default="single_phase",
        choices=FORMULATIONS,
    )
    losses: bool = setting(
        "", "losses of lines by the exact branch flow (true), or none (false)", default=False
    )


@dataclass(frozen=True, kw_only=True)
class SubstationSettings:
    """Trade with the transmission system operator (TSO) at the root bus."""

    price: float = setting("$/kWh", "price of energy bought from the TSO (c_TSO)")
    feed_in_price: float = setting(
        "$/kWh",
        "price of energy sold to the TSO (c_feed), where import_min is below 0; at most `price`",
        default=0.0,
    )
    import_min: float = setting(
        "kW", "least purchase; below 0 as much may be sold to the TSO", default=0.0
    )
    import_max: float = setting("kW", "largest purchase", lower=0.0)
    reactive_min: float = setting("kvar", "least reactive supply at the root")
    reactive_max: float = setting("kvar", "largest reactive supply at the root")

    @property
    def export_max(self) -> float:
        """Most that may be sold to the TSO, kW."""
        return max(-self.import_min, 0.0)


@dataclass(frozen=True)
class RoadSettings:
    """How the road's table is read."""

    capacity_factor: float = setting(
        "",
        "factor on the capacity of every arc; with trips_factor it reads a table of a day per hour",
        default=1.0,
        lower=0.0,
        strict=True,
    )


@dataclass(frozen=True)
class MarketSettings:
    """Household demand and the value of lost load."""

    voll: float = setting("$/kWh", "value of lost load", lower=0.0, strict=True)
    firm_share: float = setting("", "firm share of the household load", lower=0.0, upper=1.0)
    reference_price: float = setting(
        "$/kWh",
        "price at which the responsive demand is its reference quantity",
        lower=0.0,
        strict=True,
    )
    elasticity: float = setting(
        "", "price elasticity of the responsive demand at the reference point (negative)", upper=0.0
    )
    inverse_demand: str = setting(
        "$/kWh",
        "'linear', or an expression in q (kW), q0 (kW) and p0 ($/kWh) for the price at demand q",
        default="linear",
    )
    demand_range: float = setting(
        "",
        "range of the inverse demand, as a multiple of the reference quantity q0",
        default=3.0,
        lower=1.0,
    )
    shed_reactive: bool = setting(
        "",
        "shed load takes its reactive part with it (true), or only its real part (false)",
        default=False,
    )
    currency: str = setting(
        "",
        "currency of all money in the case, as '€' or 'EUR': a name, no number is converted",
        default=MONEY,
    )


@dataclass(frozen=True)
class StationSettings:
    """What all charging stations share."""

    period: float = setting(
        "h", "study period; longer mean waits raise a warning", default=1.0, lower=0.0, strict=True
    )
    queue_smoothing: float = setting(
        "veh/h", "smoothing of the queue's kink (eps)", default=1.0, lower=0.0, strict=True
    )
    queue: str = setting(
        "",
        "'shared': all vehicles of a station wait in one queue; 'direction': those that charge and "
        "those that discharge wait apart, at `piles` and at `discharge_piles`",
        default="shared",
        choices=("shared", "direction"),
    )


@dataclass(frozen=True)
class PathSettings:
    """Which paths the drivers choose from."""

    method: str = setting(
        "",
        "'exact': all energy-feasible paths, by column generation; 'enumerate': stops on K base "
        "routes by free-flow time, tolls not counted",
        default="exact",
        choices=("exact", "enumerate"),
    )
    form: str = setting(
        "",
        "flows solved for, of electric vehicles: by path, or by leg between stops and plan of "
        "stops (needs method 'exact'; results are by path in both)",
        default="paths",
        choices=("paths", "legs"),
    )
    base_routes_ev: int = setting(
        "", "base routes per OD pair, electric vehicles", default=8, lower=1
    )
    base_routes_fv: int = setting("", "base routes per OD pair, fuel vehicles", default=12, lower=1)


SECTIONS: Mapping[str, tuple[str, type]] = {
    # section of case.toml -> (attribute of Case, attribute table)
    "feeder": ("feeder_settings", FeederSettings),
    "road": ("road_settings", RoadSettings),
    "substation": ("substation", SubstationSettings),
    "market": ("market", MarketSettings),
    "stations": ("station_settings", StationSettings),
    "paths": ("paths", PathSettings),
}
