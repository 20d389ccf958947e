"""Frozen data of a case: feeder, road network, stations, market, drivers, scenarios.

Tables are pandas frames indexed by name; every column carries its unit in its name, every setting
its unit in its attribute table (`Setting`). Nothing here knows of players or solvers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

import pandas as pd

from v2geq.data.parameters.schema import ARCS, TOLL_UNIT
from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.show import card


def setting(
    unit: str,
    text: str,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    strict: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one scalar setting with its unit, meaning, default and range.

    `strict` makes `lower` an open bound; `choices` lists the values a text setting may take.
    """
    meta = {
        "unit": unit,
        "text": text,
        "lower": lower,
        "upper": upper,
        "strict": strict,
        "choices": choices,
    }
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=meta)
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


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
    rating_sides: int = setting("", "sides of the rating polygon", default=16, lower=4, upper=360)
    rating_factor: float = setting(
        "", "factor on every line rating", default=1.0, lower=0.0, strict=True
    )


@dataclass(frozen=True, kw_only=True)
class SubstationSettings:
    """Purchase from the transmission system operator (TSO) at the root bus."""

    price: float = setting("$/kWh", "price of energy bought from the TSO (c_TSO)")
    import_min: float = setting("kW", "least purchase", default=0.0)
    import_max: float = setting("kW", "largest purchase")
    reactive_min: float = setting("kvar", "least reactive supply at the root")
    reactive_max: float = setting("kvar", "largest reactive supply at the root")


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


@dataclass(frozen=True)
class DriverClass:
    """One class of drivers: `kind` 'ev' (battery and charger fields apply) or 'fv'."""

    kind: str = setting("", "electric or fuel vehicle", choices=("ev", "fv"))
    value_of_time: float = setting("$/h", "value of time (omega)", lower=0.0, strict=True)
    trips: str = setting("", "trip table: columns origin, destination, trips_veh_h")
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


@dataclass(frozen=True)
class ScenarioData:
    """One scenario: load factor, outages, reactive sources and changed parameters."""

    load_factor: float = setting("", "factor on household load", default=1.0, lower=0.0)
    outages: tuple[str, ...] = setting("", "branches out of service", default=())
    reactive_sources: Mapping[str, float] = setting(
        "kvar", "reactive capability (both signs) added at buses", default_factory=dict
    )
    set: Mapping[str, Any] = setting(
        "", "parameters changed in this scenario", default_factory=dict
    )


@dataclass(frozen=True)
class Feeder:
    """A radial distribution feeder, single-phase equivalent.

    Attributes
    ----------
    buses : index bus; columns phases, x, y (diagram coordinates), base_kv (line-line kV); they
        describe and enter no equation
    branches : index branch; columns from_bus, to_bus, kind (line, switch, regulator, transformer),
        phases and length_km (which describe), r_ohm, x_ohm (of the whole branch), rating_kva, ratio
        (V_to / V_from), normally_open
    loads : index bus; columns load_kw, load_kvar (three-phase totals)
    capacitors : index capacitor; columns bus, kvar
    root : substation bus; base_kv : line-line kV the impedances refer to
    """

    name: str
    root: str
    base_kv: float
    buses: pd.DataFrame
    branches: pd.DataFrame
    loads: pd.DataFrame
    capacitors: pd.DataFrame
    source: str = ""


@dataclass(frozen=True)
class RoadNetwork:
    """A directed road network with travel times and a trip table.

    Attributes
    ----------
    nodes : index node; columns x, y, through (whether a route may pass it)
    arcs : index arc ('from-to'); columns from_node, to_node, capacity_veh_h, length_km,
        free_flow_min, bpr_b, bpr_power, and if need be toll, fixed_min (part of the generalised
        cost that no flow changes, min; none in a case), delay ('bpr', 'conical' or an
        expression, see `v2geq.roads.delay`; 'bpr' if left out), conical_alpha
    trips : columns origin, destination, trips_veh_h; no zero rows, no intrazonal rows
    toll_unit : unit of the tolls: $/veh, as in every case; another, or none where nobody knows it,
        will do for an assignment, where values of time are in the same money
    """

    name: str
    nodes: pd.DataFrame
    arcs: pd.DataFrame
    trips: pd.DataFrame
    source: str = ""
    toll_unit: str = TOLL_UNIT

    def with_arcs(self, changes: Mapping[str, Mapping[str, Any]]) -> RoadNetwork:
        """The network with some columns of some arcs changed, as {"6-8": {"toll": 2.0}}.

        Raises
        ------
        DataError
            An unknown arc or column.
        """
        arcs = self.arcs.copy()
        for arc, row in changes.items():
            self._require(arc)
            if not isinstance(row, Mapping):
                raise DataError(
                    f"changes of arc {quoted(arc)} are {quoted(row)}",
                    advice='write {"toll": 2.0}',
                )
            for column, value in row.items():
                if column not in ARCS.value_columns:
                    raise DataError(
                        f"arcs have no column {quoted(column)}",
                        advice=did_you_mean(column, ARCS.value_columns),
                    )
                spec = ARCS.spec[column]
                if column not in arcs:
                    arcs[column] = spec.default
                value = spec.check(value, f"road.arcs {quoted(arc)}, column {column}")
                arcs.loc[arc, column] = value
        return replace(self, arcs=arcs)

    def without_arcs(self, *names: str) -> RoadNetwork:
        """The network without some arcs; raises `DataError` for an unknown one."""
        for arc in names:
            self._require(arc)
        return replace(self, arcs=self.arcs.drop(list(names)))

    def _require(self, arc: str) -> None:
        if not isinstance(arc, str) or arc not in self.arcs.index:
            raise DataError(
                f"road network {quoted(self.name)} has no arc {quoted(arc)}",
                advice=did_you_mean(arc, self.arcs.index),
            )


@dataclass(frozen=True)
class Case:
    """Everything a study needs: two networks, their coupling, players' data, scenarios.

    Attributes
    ----------
    stations : index station; columns road_node, bus, charge_max_kw, discharge_max_kw, piles,
        base_wait_h, queue_slope_h (h per veh/h), charger_power_kw (vehicles plug in at the smaller
        of this and their own power), discharge_piles (used where queues are by direction)
    lses : index lse; column portion (of every bus's firm load; sums to one)
    generators : index generator; columns lse, bus, min_kw, max_kw, cost_linear ($/kWh),
        cost_quadratic ($/kW2h; cost = linear g + quadratic g^2), cost (expression in g, or ''),
        min_kvar, max_kvar
    drivers : class name -> DriverClass
    trips : class name -> frame with columns origin, destination, trips_veh_h (factor applied)
    scenarios : scenario name -> ScenarioData
    basis : dotted parameter name -> (measured | cited | assumed, note); rows of tables by
        'stations.<name>', 'lses.<name>', 'generators.<name>'
    trip_tables : class name -> trip table as read, before `trips_factor`, `trips_of` and
        `trips_spread`
    file : case.toml it was read from, for messages; empty for cases of other origin
    """

    name: str
    title: str
    feeder: Feeder
    road: RoadNetwork
    stations: pd.DataFrame
    lses: pd.DataFrame
    generators: pd.DataFrame
    drivers: Mapping[str, DriverClass]
    trips: Mapping[str, pd.DataFrame]
    scenarios: Mapping[str, ScenarioData]
    feeder_settings: FeederSettings
    substation: SubstationSettings
    market: MarketSettings
    station_settings: StationSettings
    paths: PathSettings
    basis: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    source: str = ""
    trip_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    file: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return (
            f"<Case {self.name}: {len(self.feeder.buses)} buses, {len(self.road.nodes)} road "
            f"nodes, {len(self.stations)} stations, scenarios {', '.join(self.scenarios)}>"
        )

    def _repr_html_(self) -> str:
        loads = self.feeder.loads
        counts: dict[str, int] = {}
        for kind, _ in self.basis.values():
            counts[kind] = counts.get(kind, 0) + 1
        trips = {k: float(t["trips_veh_h"].sum()) for k, t in self.trips.items()}
        rows = {
            "feeder": f"{self.feeder.name}: {len(self.feeder.buses)} buses, "
            f"{loads['load_kw'].sum():,.0f} kW, {loads['load_kvar'].sum():,.0f} kvar",
            "road": f"{self.road.name}: {len(self.road.nodes)} nodes, {len(self.road.arcs)} arcs",
            "stations": ", ".join(map(str, self.stations.index)),
            "LSEs": ", ".join(map(str, self.lses.index)),
            "generators": f"{len(self.generators)}, {self.generators['max_kw'].sum():,.0f} kW",
            "trips": ", ".join(f"{k} {v:,.0f} veh/h" for k, v in trips.items()),
            "scenarios": ", ".join(self.scenarios),
            "parameters": ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())),
        }
        return card(self.title or self.name, rows)

    @property
    def where(self) -> str:
        """Place of the case in messages: its file, or its name."""
        return self.file or f"case {self.name!r}"


SECTIONS: Mapping[str, tuple[str, type]] = {
    # section of case.toml -> (attribute of Case, attribute table)
    "feeder": ("feeder_settings", FeederSettings),
    "substation": ("substation", SubstationSettings),
    "market": ("market", MarketSettings),
    "stations": ("station_settings", StationSettings),
    "paths": ("paths", PathSettings),
}


def attribute_table(cls: type) -> pd.DataFrame:
    """Settings of `cls` as a table: index name; columns unit, default, meaning."""
    rows = {
        f.name: (f.metadata["unit"], "" if f.default is MISSING else f.default, f.metadata["text"])
        for f in fields(cls)
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["unit", "default", "meaning"])
