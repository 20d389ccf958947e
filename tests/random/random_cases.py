"""Strategies for small random cases: every kind of object and setting, odd ones included.

Numbers come from whole numbers over a power of ten, so that failing cases shrink to readable ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cases import EV, make_case, make_feeder, make_road
from drivers_byhand import Legs, reachable
from hypothesis import assume
from hypothesis import strategies as st

from v2geq.data.edit.case import Case
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.drivers import DriverClass
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import RoadNetwork


@dataclass(frozen=True)
class Market:
    """A case with one scenario, 'base', and whether stations buy from vehicles."""

    case: Case
    v2g: bool

    def __repr__(self) -> str:
        # the whole case would be pages; the draws below it tell how it was made
        c = self.case
        return (
            f"<{len(c.feeder.buses)} buses, {len(c.road.nodes)} nodes, {len(c.stations)} stations, "
            f"{len(c.lses)} LSEs, {len(c.generators)} generators, {'' if self.v2g else 'no '}V2G>"
        )


class Draw:
    """Short words for draws."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def number(self, low: float, high: float, digits: int = 2) -> float:
        ten = 10**digits
        return self.draw(st.integers(round(low * ten), round(high * ten))) / ten

    def count(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def rarely(self) -> bool:
        return self.draw(st.integers(0, 9)) == 9

    def often(self) -> bool:
        return self.draw(st.booleans())


@st.composite
def markets(draw: Any) -> Market:
    """A small market."""
    d = Draw(draw)
    # all power at another size than the few hundred kW of the default
    size = d.of(1.0, 1.0, 1.0, 1.0, 0.05, 40.0)
    # and all money in another currency
    money = d.of(1.0, 1.0, 1.0, 1.0, 0.02, 150.0)
    feeder = _feeder(d, size)
    road = _road(d, money)
    buses, nodes = list(feeder.buses.index), list(road.nodes.index)
    stations = {
        f"s{k}": {
            "road_node": d.of(*nodes),
            "bus": d.of(*buses),
            "charge_max_kw": d.of(1000.0, 1000.0, 200.0, 30.0, 0.0),
            "discharge_max_kw": d.of(1000.0, 1000.0, 20.0, 0.0),
            "piles": d.of(10.0, 0.5, 3.0),
            "discharge_piles": d.of(10.0, 0.5, 3.0),
            "charger_power_kw": d.of(1e6, 1e6, 50.0, 11.0),
            "base_wait_h": d.number(0, 0.1, 3),
            "queue_slope_h": d.of(0.02, 0.0, 0.3),
        }
        for k in range(d.count(0, 3))
    }
    lses = d.of({"A": 0.6, "B": 0.4}, {"A": 1.0}, {"A": 0.5, "B": 0.3, "C": 0.2}, {"A": 1, "B": 0})
    generators = {
        f"g{k}": _generator(d, buses, list(lses), size, money) for k in range(d.count(0, 4))
    }
    drivers, trips = _drivers(d, road, [s["road_node"] for s in stations.values()], money)
    outages, sources = [], {}
    if d.rarely() or d.rarely():
        lines = list(feeder.branches.index[~feeder.branches["normally_open"]])
        outages = [d.of(*lines)]
        if d.often():
            bus = feeder.branches.loc[outages[0], d.of("from_bus", "to_bus")]
            sources = {bus: 500.0 * size}
    least_import = d.of(0.0, 0.0, 0.0, 0.0, 20.0) * size
    low, high = d.of((0.9, 1.1), (0.95, 1.05), (0.97, 1.03))
    # a rare demand curve other than a line, within the range where its profit is concave
    curve = d.of(*["linear"] * 8, "p0*exp(0.5*(1 - q/q0))", "p0*(1.5 - 0.25*q/q0 - 0.25*(q/q0)**2)")
    case = make_case(
        feeder=feeder,
        road=road,
        stations=stations,
        lses=lses,
        generators=generators,
        drivers=drivers,
        trips=trips,
        scenarios={
            "base": ScenarioData(
                load_factor=d.of(1.0, 1.0, 0.3, 1.7),
                outages=tuple(outages),
                reactive_sources=sources,
            )
        },
        vmin=low,
        vmax=high,
        root_voltage=d.of(1.0, 1.02),
        regulators=d.often(),
        capacitors=d.of("fixed", "switchable", "none"),
        reactive_load_scales=d.often(),
        line_rating=d.of("polygon", "box", "none"),
        rating_sides=d.of(16, 4, 6),
        price=d.of(0.08, 0.02, 0.3) * money,
        reference_price=0.15 * money,
        import_min=least_import,
        import_max=max(least_import, d.of(1e4, 1e4, 300.0, 0.0) * size),
        reactive_min=d.of(-1e4, -1e4, -1e4, 0.0) * size,
        reactive_max=d.of(1e4, 1e4, 1e4, 200.0) * size,
        voll=d.of(5.0, 0.5, 20.0) * money,
        firm_share=d.of(0.8, 0.0, 0.3, 1.0),
        elasticity=d.of(-0.5, -0.05, -2.0),
        inverse_demand=curve,
        demand_range=3.0 if curve == "linear" else 2.0,
        queue_smoothing=d.of(1.0, 0.1),
        queue=d.of("shared", "direction"),
        method=d.of("exact", "exact", "enumerate"),
        base_routes_ev=d.of(8, 2, 40),
    )
    return Market(case, d.often())


def _feeder(d: Draw, size: float) -> Feeder:
    buses = list("rabcdefghi")[: d.count(2, 10)]
    lines: dict[str, dict[str, Any]] = {}
    for i, bus in enumerate(buses[1:], 1):
        ends = [buses[d.count(max(0, i - 3), i - 1)], bus]
        if d.rarely():  # a row of the table may point either way
            ends.reverse()
        kind = d.of("line", "line", "line", "line", "switch", "regulator", "transformer")
        row: dict[str, Any] = {"kind": kind, "rating_kva": d.of(1000.0, 500.0, 250.0) * size}
        if kind == "switch":
            row |= {"r_ohm": 0.0, "x_ohm": 0.0}
        else:
            row |= {"r_ohm": d.number(0.01, 0.5) / size, "x_ohm": d.number(0.01, 0.5) / size}
        if kind in ("regulator", "transformer"):
            row["ratio"] = d.number(0.97, 1.03, 3)
        lines["-".join(ends)] = row
    if len(buses) > 3 and d.rarely():
        pair = f"{buses[0]}-{buses[-1]}"
        if pair not in lines:
            lines[pair] = {"normally_open": True}
    loads = {
        bus: (d.number(1, 200, 0) * size, d.number(-10, 40, 0) * size)
        for bus in buses
        if d.count(0, 3) and (bus != "r" or d.rarely())
    }
    assume(loads)
    banks = {d.of(*buses): d.of(50.0, 200.0) * size for _ in range(d.count(0, 2))}
    return make_feeder(lines, loads, banks)


def _generator(
    d: Draw, buses: list[str], lses: list[str], size: float, money: float
) -> dict[str, Any]:
    most = d.number(5, 300, 0) * size
    row = {
        "lse": d.of(*lses),
        "bus": d.of(*buses),
        "max_kw": most,
        "min_kw": d.of(0.0, 0.0, 0.0, 0.2, 1.0) * most,
        "cost_linear": d.number(0.0, 0.4, 3) * money,
        "cost_quadratic": d.of(1e-4, 0.0, 1e-3) / size * money,
        "min_kvar": d.of(0.0, 0.0, -50.0) * size,
        "max_kvar": d.of(0.0, 0.0, 100.0) * size,
    }
    if d.rarely():
        row["cost"] = d.of(
            f"{0.1 * size}*exp(g/{100 * size})",
            f"0.05*g + {1e-6 / size**2}*g**3",
            "g*log(g + 2)/50",
        )
    return row


def _road(d: Draw, money: float) -> RoadNetwork:
    names = [str(i) for i in range(1, d.count(3, 9) + 1)]
    arcs: dict[str, dict[str, Any]] = {}
    powers = d.of((4.0,), (4.0, 1.0, 2.0), (4.0, 1.0, 2.0, 1.5, 0.0))

    tolls = d.of((0.0,), (0.0,), (0.0, 1.0, 5.0, 0.1))

    def join(start: str, end: str) -> None:
        km = d.number(1, 9, 1)
        arcs[f"{start}-{end}"] = {
            "length_km": km,
            "free_flow_min": round(km * d.number(0.5, 2.5, 1), 3),
            "capacity_veh_h": d.of(50.0, 1000.0, 12.0),
            "bpr_b": d.of(0.15, 0.0, 1.0),
            "bpr_power": d.of(*powers),
            "toll": d.of(*tolls) * money,
        }

    for i, name in enumerate(names[1:], 1):
        before = names[d.count(max(0, i - 3), i - 1)]
        join(before, name)
        if not d.rarely():
            join(name, before)
    for _ in range(d.count(0, len(names))):
        start, end = d.of(*names), d.of(*names)
        if start != end and f"{start}-{end}" not in arcs:
            join(start, end)
    closed = [d.of(*names)] if d.rarely() else []
    return make_road(arcs, closed=closed)


def _shares(d: Draw) -> Callable[[], float]:
    """Factor of an OD pair's trips: pairs alike, over ten orders of magnitude, or all of them few."""
    spread = d.of("none", "none", "wide", "wide", "few")
    common = 10.0 ** -d.count(1, 10) if spread == "few" else 1.0
    return lambda: 10.0 ** -d.number(0, 10, 1) if spread == "wide" else common


def _drivers(
    d: Draw, road: RoadNetwork, at: list[str], money: float
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float]]]:
    """Classes and trips on pairs that have a route, most of them one the battery can do."""
    drivers: dict[str, dict[str, Any]] = {}
    trips: dict[str, dict[str, float]] = {}
    share = _shares(d)
    routes = [(o, e) for o in road.nodes.index for e in sorted(reachable(road, o) - {o})]
    assume(routes)
    for k in range(d.of(1, 1, 1, 2, 3, 0)):
        reserve = d.of(0.2, 0.1, 0.0)
        row = {
            # two values of time are a variational inequality without potential
            "value_of_time": (d.of(12.0, 12.0, 25.0) if k else 12.0) * money,
            "battery": d.of(24.0, 12.0, 60.0),
            "consumption": d.of(1.0, 0.5, 0.2),
            "reserve": reserve,
            "discharge_level": reserve + d.of(0.3, 0.05, 0.6),
            "energy_value": d.of(0.0, 0.05, 0.15) * money,
            "charger_power": d.of(150.0, 22.0),
            "degradation": d.of(0.05, 0.0, 0.2) * money,
            "start_level": d.of(1.0, 1.0, reserve + 0.25, 0.9),
            "v2g": not d.rarely(),
        }
        name = f"ev{k}"
        drivers[name] = row
        legs = Legs(road, DriverClass(**{**EV, **row}), at, [1e6] * len(at))
        able = [pair for pair in routes if legs.feasible(*pair)]
        pairs = routes if d.rarely() or not able else able
        chosen = {d.of(*pairs) for _ in range(d.count(1, 3))}
        trips[name] = {f"{o}-{e}": d.number(1, 30, 0) * share() for o, e in sorted(chosen)}
    if not drivers or d.often():
        drivers["fv"] = {"kind": "fv", "value_of_time": d.of(12.0, 20.0) * money}
        chosen = {d.of(*routes) for _ in range(d.count(1, 3))}
        trips["fv"] = {f"{o}-{e}": d.number(1, 60, 0) * share() for o, e in sorted(chosen)}
    return drivers, trips
