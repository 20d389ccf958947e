"""What a path costs, term by term: stated here and nowhere else (model.md, 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.model.drivers import DriverClass
from v2geq.mcp.expression import Expression
from v2geq.show import brief
from v2geq.trips.battery import Wear, wear_of
from v2geq.trips.traffic import Traffic, TripConditions

PATH_TERMS = (
    "travel",
    "tolls",
    "waiting",
    "plug",
    "degradation",
    "battery energy",
    "charging",
    "discharging",
)
"""Terms of the cost of a path, see `path_terms`."""
TIME_TERMS = ("travel", "waiting", "plug")
"""Terms that are time, at the class's value of it."""
TRANSFERS = ("tolls", "charging", "discharging")
"""Terms that others receive, or pay."""


@dataclass(frozen=True)
class Rates:
    """What a class pays beside tolls, as pricing takes it; (station,) arrays.

    Attributes
    ----------
    value_of_time : omega, $/h; energy_value : vB, $/kWh, zero or more
    charge_wait_h, discharge_wait_h : waiting before charging and before discharging, zero or more
    charge_price, discharge_price : rho+ and rho-, $/kWh; None for no V2G
    charger_power : Pbar, kW, positive; inf where plugging in takes no time
    degradation : kdeg, $ per kWh discharged; wear : of a discharge by depth, beside that
    """

    value_of_time: float
    charge_wait_h: FloatArray
    discharge_wait_h: FloatArray
    charge_price: FloatArray
    discharge_price: FloatArray | None
    charger_power: FloatArray
    degradation: float
    energy_value: float
    wear: Wear | None = None

    __repr__ = brief

    @property
    def per_charge(self) -> FloatArray:
        """Cost of the wait before charging, $ per stop."""
        return self.value_of_time * self.charge_wait_h

    @property
    def per_discharge(self) -> FloatArray:
        """Cost of the wait before discharging, $ per stop."""
        return self.value_of_time * self.discharge_wait_h

    @property
    def per_kwh_charged(self) -> FloatArray:
        """Price of a kWh and of the time at the plug it takes, $/kWh."""
        return self.charge_price + self.value_of_time / self.charger_power

    @property
    def per_kwh_discharged(self) -> FloatArray:
        """Degradation and time at the plug of a kWh less what it earns, $/kWh; with V2G only."""
        assert self.discharge_price is not None
        return self.degradation + self.value_of_time / self.charger_power - self.discharge_price


def rates(traffic: Traffic, name: str, conditions: TripConditions) -> Rates:
    """What an electric class pays under these conditions."""
    kind = traffic.classes[name]
    charge_wait, discharge_wait = traffic.waits(conditions.queue_flow)
    return Rates(
        kind.value_of_time,
        charge_wait,
        discharge_wait,
        conditions.charge_price,
        conditions.discharge_price if name in traffic.sellers else None,
        traffic.charger_power(name),
        kind.degradation,
        kind.energy_value,
        wear_of(kind),
    )


def constant_terms(traffic: Traffic, name: str) -> dict[str, FloatArray]:
    """Terms of the cost of a class's paths that no flow or price changes, (path,) $/veh.

    Where the whole time of a trip has a cost, that of the plug is part of it.
    """
    kind, paths = traffic.classes[name], traffic.paths[name]
    terms: dict[str, FloatArray] = {}
    if traffic.toll.any():
        terms["tolls"] = paths.arc_incidence.T @ traffic.toll
    if kind.kind == "ev":
        if not kind.cost_of_time:
            terms["plug"] = kind.value_of_time * traffic.plug_hours(name)
        terms["degradation"] = kind.degradation * paths.discharged_kwh
        if (wear := wear_of(kind)) is not None:
            # a path discharges once, and a leg too
            sold = np.flatnonzero(paths.discharged_kwh)
            terms["degradation"][sold] += wear.value(paths.discharged_kwh[sold])
        terms["battery energy"] = kind.energy_value * (
            traffic.rules(name).start - paths.arrival_kwh
        )
    return terms


def constant_cost(traffic: Traffic, name: str) -> FloatArray:
    """Part of the cost of a class's paths that no flow or price changes, (path,) $/veh."""
    return sum(constant_terms(traffic, name).values(), np.zeros(len(traffic.paths[name])))


def path_terms(
    traffic: Traffic, values: Mapping[str, FloatArray], name: str
) -> dict[str, FloatArray]:
    """Terms of the cost C_p of a class's paths at its own value of time, (path,) $/veh.

    Travel, tolls where roads charge them, waiting, plug, degradation, battery energy, charging and
    discharging (negative); `values` by block name. All that says what a path costs starts here.
    """
    kind, paths = traffic.classes[name], traffic.paths[name]
    times = traffic.travel_time.time(traffic.arc_flow(values))
    terms = constant_terms(traffic, name)
    terms["travel"] = kind.value_of_time * (paths.arc_incidence.T @ times)
    if kind.kind == "ev":
        waits = traffic.queue_time.time(traffic.queue_flow(values))
        terms["waiting"] = kind.value_of_time * (traffic.queue_stops(name).T @ waits)
        terms["charging"] = paths.charge_energy.T @ values["charge_price"]
    if name in traffic.sellers:
        terms["discharging"] = -(paths.discharge_energy.T @ values["discharge_price"])
    if kind.cost_of_time:
        if kind.kind == "ev":
            terms["plug"] = kind.value_of_time * traffic.plug_hours(name)
        terms |= _by_whole_time(kind, {k: terms[k] for k in TIME_TERMS if k in terms})
    return {term: terms[term] for term in PATH_TERMS if term in terms}


def _by_whole_time(kind: DriverClass, terms: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Terms of time that add up to the cost of the whole, in their shares of it."""
    total = sum(terms.values(), np.zeros(len(terms["travel"])))
    cost = time_cost(kind).value(total / kind.value_of_time)
    share = np.divide(cost, total, out=np.zeros_like(cost), where=total > 0.0)
    out = {term: share * own for term, own in terms.items()}
    out["travel"] = np.where(total > 0.0, out["travel"], cost)
    return out


def time_cost(kind: DriverClass) -> Expression:
    """Cost of the whole time of a class's trips by hours, $; where it has a formula."""
    return _time_cost(kind.cost_of_time)


@lru_cache(maxsize=64)
def _time_cost(text: str) -> Expression:
    return Expression.parse(text, variable="t", parameters={}, where="drivers")


def path_costs(traffic: Traffic, values: Mapping[str, FloatArray], name: str) -> FloatArray:
    """Cost C_p of every path of a class at its own value of time, $/veh."""
    terms = path_terms(traffic, values, name)
    return sum(terms.values(), np.zeros(len(traffic.paths[name])))


def class_costs(traffic: Traffic, values: Mapping[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Cost of all trips of every class by term, at its own value of time, $/h."""
    return {
        name: {
            term: float(cost @ traffic.path_flow(values, name))
            for term, cost in path_terms(traffic, values, name).items()
        }
        for name in traffic.classes
    }
