"""Small cases built in code: feeders of a few buses, roads of a few nodes, any market.

`make_case` needs no argument: its default couples a three-bus feeder with a three-node road, one
station, two LSEs with a generator each, and one class of electric vehicles. Every part can be
replaced by keyword.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from v2geq.data.checks.case import check_case
from v2geq.data.edit.case import Case
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork
from v2geq.data.model.schema import CASE_TABLES, FEEDER_TABLES, ROAD_TABLES, TRIPS, TableSchema
from v2geq.data.model.settings import SECTIONS
from v2geq.data.parameters.change import with_full_names

Row = Mapping[str, Any]

LINE = {
    "kind": "line",
    "phases": "abc",
    "length_km": 1.0,
    "r_ohm": 0.10,
    "x_ohm": 0.20,
    "rating_kva": 1000.0,
    "ratio": 1.0,
    "normally_open": False,
}
ARC = {
    "capacity_veh_h": 1000.0,
    "length_km": 5.0,
    "free_flow_min": 5.0,
    "bpr_b": 0.15,
    "bpr_power": 4.0,
}
STATION = {
    "charge_max_kw": 1000.0,
    "discharge_max_kw": 1000.0,
    "piles": 10.0,
    "base_wait_h": 0.02,
    "queue_slope_h": 0.02,
    "charger_power_kw": 1e6,
}
GENERATOR = {
    "min_kw": 0.0,
    "max_kw": 200.0,
    "cost_linear": 0.10,
    "cost_quadratic": 1e-4,
    "cost": "",
    "min_kvar": 0.0,
    "max_kvar": 0.0,
}
EV = {
    "kind": "ev",
    "value_of_time": 12.0,
    "trips": "",
    "battery": 24.0,
    "consumption": 1.0,
    "discharge_level": 0.5,
    "reserve": 0.2,
    "energy_value": 0.0,
    "charger_power": 150.0,
    "degradation": 0.05,
}
FV = {"kind": "fv", "value_of_time": 12.0, "trips": ""}
SETTINGS = {
    "vmin": 0.90,
    "vmax": 1.10,
    "root_voltage": 1.0,
    "regulators": True,
    "capacitors": "none",
    "line_rating": "polygon",
    "price": 0.08,
    "import_min": 0.0,
    "import_max": 1e4,
    "reactive_min": -1e4,
    "reactive_max": 1e4,
    "voll": 5.0,
    "firm_share": 0.8,
    "reference_price": 0.15,
    "elasticity": -0.5,
    "method": "exact",
}


def _frame(schema: TableSchema, rows: Sequence[Row]) -> Any:
    return schema.frame(
        {
            c.name: [r[c.name] if c.required else r.get(c.name, c.default) for r in rows]
            for c in schema.columns
        }
    )


def make_feeder(
    lines: Mapping[str, Row] | None = None,
    loads: Mapping[str, float | tuple[float, float]] | None = None,
    capacitors: Mapping[str, float] | None = None,
    *,
    root: str = "r",
    base_kv: float = 4.16,
) -> Feeder:
    """Feeder from its lines.

    Parameters
    ----------
    lines
        Name "from-to" -> columns that differ from `LINE`; the default is r - a - b.
    loads
        Bus -> kW, or (kW, kvar).
    capacitors
        Bus -> kvar.
    """
    lines = {"r-a": {}, "a-b": {}} if lines is None else lines
    loads = {"a": (100.0, 40.0), "b": (200.0, 80.0)} if loads is None else loads
    rows = []
    for name, row in lines.items():
        start, end = name.split("-")
        rows.append({**LINE, "branch": name, "from_bus": start, "to_bus": end, **row})
    buses = list(dict.fromkeys([root, *(r[k] for r in rows for k in ("from_bus", "to_bus"))]))
    pairs = {b: v if isinstance(v, tuple) else (v, 0.0) for b, v in loads.items()}
    tables = {
        "buses": [
            {"bus": b, "phases": "abc", "x": float(i), "y": 0.0, "base_kv": base_kv}
            for i, b in enumerate(buses)
        ],
        "branches": rows,
        "loads": [{"bus": b, "load_kw": p, "load_kvar": q} for b, (p, q) in pairs.items()],
        "capacitors": [
            {"capacitor": f"c{b}", "bus": b, "kvar": q} for b, q in (capacitors or {}).items()
        ],
    }
    frames = {name: _frame(FEEDER_TABLES[name], rows) for name, rows in tables.items()}
    return Feeder(name="small", root=root, base_kv=base_kv, source="tests/cases.py", **frames)


def make_road(arcs: Mapping[str, Row] | None = None, *, closed: Sequence[str] = ()) -> RoadNetwork:
    """Road from its arcs, name "from-to" -> columns that differ from `ARC`.

    The default is 1 - 2 - 3 with a slow detour 1 - 3. Nodes in `closed` let no route pass.
    """
    if arcs is None:
        arcs = {"1-2": {}, "2-3": {"length_km": 6.0, "free_flow_min": 6.0}}
        arcs = {**arcs, "1-3": {"length_km": 13.0, "free_flow_min": 13.0}}
    rows = []
    for name, row in arcs.items():
        start, end = name.split("-")
        rows.append({**ARC, "arc": name, "from_node": start, "to_node": end, **row})
    nodes = list(dict.fromkeys(r[k] for r in rows for k in ("from_node", "to_node")))
    return RoadNetwork(
        name="small",
        nodes=_frame(
            ROAD_TABLES["nodes"],
            [
                {"node": n, "x": float(i), "y": 0.0, "through": n not in closed}
                for i, n in enumerate(nodes)
            ],
        ),
        arcs=_frame(ROAD_TABLES["arcs"], rows),
        trips=_frame(TRIPS, []),
        source="tests/cases.py",
    )


def make_case(
    *,
    feeder: Feeder | None = None,
    road: RoadNetwork | None = None,
    stations: Mapping[str, Row] | None = None,
    lses: Mapping[str, float] | None = None,
    generators: Mapping[str, Row] | None = None,
    drivers: Mapping[str, Row] | None = None,
    trips: Mapping[str, Mapping[str, float]] | None = None,
    scenarios: Mapping[str, ScenarioData] | None = None,
    **settings: Any,
) -> Case:
    """A checked case.

    Parameters
    ----------
    stations, generators
        Name -> columns that differ from `STATION`, `GENERATOR`; where they stand must be given.
    lses
        Name -> portion of the firm load.
    drivers
        Class -> settings that differ from `EV`, or from `FV` where kind is 'fv'.
    trips
        Class -> {"origin-destination": veh/h}.
    settings
        Any setting of the case's sections by its own name; see `SETTINGS` for what differs from
        the data model's defaults.
    """
    if stations is None:
        stations = {"s": {"road_node": "2", "bus": "b"}}
    lses = {"A": 0.6, "B": 0.4} if lses is None else lses
    if generators is None:
        generators = {
            "ga": {"lse": "A", "bus": "a"},
            "gb": {"lse": "B", "bus": "b", "cost_linear": 0.12},
        }
    drivers = {"ev": {}} if drivers is None else drivers
    trips = {"ev": {"1-3": 10.0}} if trips is None else trips
    scenarios = {"base": ScenarioData()} if scenarios is None else scenarios

    chosen = {**SETTINGS, **settings}
    sections = {}
    for attribute, cls in SECTIONS.values():
        own = {f.name: chosen.pop(f.name) for f in fields(cls) if f.name in chosen}
        sections[attribute] = cls(**own)
    if chosen:
        raise TypeError(f"unknown settings {sorted(chosen)}")

    places = [{**STATION, "station": k, **v} for k, v in stations.items()]
    rows: dict[str, list[Row]] = {
        "stations": [{"discharge_piles": s["piles"], **s} for s in places],
        "lses": [{"lse": k, "portion": v} for k, v in lses.items()],
        "generators": [{**GENERATOR, "generator": k, **v} for k, v in generators.items()],
    }
    tables = {name: _frame(CASE_TABLES[name], r) for name, r in rows.items()}
    trip_tables = {}
    for name, table in trips.items():
        pairs = [pair.split("-") for pair in table]
        trip_tables[name] = _frame(
            TRIPS,
            [
                {"origin": o, "destination": d, "trips_veh_h": t}
                for (o, d), t in zip(pairs, table.values(), strict=True)
            ],
        )
    case = Case(
        name="small",
        title="a small case",
        feeder=feeder or make_feeder(),
        road=road or make_road(),
        drivers={
            k: DriverClass(**{**(FV if v.get("kind") == "fv" else EV), **v})
            for k, v in drivers.items()
        },
        trips=dict(trip_tables),
        trip_tables=dict(trip_tables),
        scenarios=dict(scenarios),
        source="tests/cases.py",
        **tables,
        **sections,
    )
    check_case(case)
    return with_full_names(case)


def self_supplied(**changes: Any) -> Case:
    """Cheap generators of both LSEs beside a dear TSO: nothing is imported."""
    return make_case(
        generators={
            "ga": {"lse": "A", "bus": "a", "max_kw": 500.0, "cost_linear": 0.02},
            "gb": {"lse": "B", "bus": "b", "max_kw": 500.0, "cost_linear": 0.01},
        },
        price=0.5,
        **changes,
    )


def fuel_only(**changes: Any) -> Case:
    """A power market alone: one fuel vehicle per hour on one arc, no stations."""
    return make_case(
        **{
            "road": make_road({"1-2": {}}),
            "stations": {},
            "drivers": {"fv": {"kind": "fv"}},
            "trips": {"fv": {"1-2": 1.0}},
            **changes,
        }
    )


def fleet(value_of_time: Sequence[float] = (12.0, 12.0, 12.0), **changes: Any) -> Case:
    """Three electric classes that differ in everything, of which one sells no energy, and fuel.

    Stations differ in charger power and in piles by direction; energy is scarce, so that vehicles
    queue to discharge.
    """
    first, second, third = value_of_time
    lengths = {"1-2": 5, "2-3": 6, "3-4": 5, "1-5": 7, "5-4": 7, "2-5": 4, "3-6": 4, "6-4": 4}
    arcs = {
        "-".join(ends): {
            "length_km": float(km),
            "free_flow_min": float(km),
            "capacity_veh_h": 20.0,
        }
        for name, km in lengths.items()
        for ends in (name.split("-"), name.split("-")[::-1])
    }
    settings: dict[str, Any] = {
        "road": make_road(arcs),
        "feeder": make_feeder(
            {"r-a": {}, "a-b": {"rating_kva": 150.0}}, {"a": (180.0, 40.0), "b": (300.0, 80.0)}
        ),
        "stations": {
            "s2": {
                "road_node": "2",
                "bus": "a",
                "piles": 3.0,
                "discharge_piles": 2.0,
                "charger_power_kw": 50.0,
            },
            "s5": {"road_node": "5", "bus": "b", "piles": 4.0, "discharge_piles": 5.0},
            "s3": {"road_node": "3", "bus": "b", "piles": 2.0, "charger_power_kw": 22.0},
        },
        "drivers": {
            "small": {
                "value_of_time": first,
                "battery": 30.0,
                "start_level": 0.9,
                "consumption": 0.6,
                "charger_power": 60.0,
            },
            "big": {
                "value_of_time": second,
                "battery": 60.0,
                "consumption": 1.5,
                "discharge_level": 0.4,
                "reserve": 0.1,
                "charger_power": 120.0,
                "degradation": 0.02,
                "energy_value": 0.05,
            },
            "taxi": {
                "value_of_time": third,
                "battery": 30.0,
                "v2g": False,
                "start_level": 0.5,
                "charger_power": 80.0,
            },
            "fv": {"kind": "fv", "value_of_time": 20.0},
        },
        "trips": {
            "small": {"1-4": 25.0, "2-4": 6.0},
            "big": {"1-4": 4.0, "4-1": 2.0},
            "taxi": {"1-4": 9.0, "1-6": 5.0},
            "fv": {"1-4": 10.0},
        },
        "import_max": 100.0,
        "firm_share": 0.9,
        "voll": 3.0,
    }
    return make_case(**{**settings, **changes})
