"""What a path costs, term by term: stated here and nowhere else (model.md, 2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.trips.traffic import Traffic

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
TRANSFERS = ("tolls", "charging", "discharging")
"""Terms that others receive, or pay."""


def constant_terms(traffic: Traffic, name: str) -> dict[str, FloatArray]:
    """Terms of the cost of a class's paths that no flow or price changes, (path,) $/veh."""
    kind, paths = traffic.classes[name], traffic.paths[name]
    terms: dict[str, FloatArray] = {}
    if traffic.toll.any():
        terms["tolls"] = paths.arc_incidence.T @ traffic.toll
    if kind.kind == "ev":
        discharged = np.asarray(paths.discharge_energy.sum(axis=0)).ravel()
        terms["plug"] = kind.value_of_time * traffic.plug_hours(name)
        terms["degradation"] = kind.degradation * discharged
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
    times = traffic.travel_time.time(values["drivers.arc_flow"])
    terms = constant_terms(traffic, name)
    terms["travel"] = kind.value_of_time * (paths.arc_incidence.T @ times)
    if kind.kind == "ev":
        waits = traffic.queue_time.time(values["drivers.station_flow"])
        terms["waiting"] = kind.value_of_time * (traffic.queue_stops(name).T @ waits)
        terms["charging"] = paths.charge_energy.T @ values["charge_price"]
    if name in traffic.sellers:
        terms["discharging"] = -(paths.discharge_energy.T @ values["discharge_price"])
    return {term: terms[term] for term in PATH_TERMS if term in terms}


def path_costs(traffic: Traffic, values: Mapping[str, FloatArray], name: str) -> FloatArray:
    """Cost C_p of every path of a class at its own value of time, $/veh."""
    terms = path_terms(traffic, values, name)
    return sum(terms.values(), np.zeros(len(traffic.paths[name])))
