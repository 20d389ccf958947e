"""Checks of a case across its tables: names, shares, limits, drivers and scenarios."""

from __future__ import annotations

import math

import numpy as np

from v2geq.data.checks.feeder import check_feeder, check_switching
from v2geq.data.checks.road import arc_tolls, check_road, check_trips
from v2geq.data.model.case import CaseData
from v2geq.data.model.drivers import EV_SETTINGS, LONGEST_TRIP_H, DriverClass
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.values import is_currency, setting_specs
from v2geq.errors import DataError, mistake, mistakes, part, quoted, unknown_name

_PORTION_TOLERANCE = 1e-9
_SWITCHED = {"outages": "takes out", "closed": "closes"}
_NOT_IN_NAMES = '/\\:*?"<>|'


def check_case(case: CaseData, origin: Origin = NO_ORIGIN, checked: CaseData | None = None) -> None:
    """Raise DataError unless the parts of `case` fit together.

    Parameters
    ----------
    case
        Case to check.
    origin
        Files and lines its data came from, for messages.
    checked
        Case already checked; networks shared with it are not checked again.
    """
    _check_names(case, origin)
    before = mistakes()
    if checked is None or case.feeder is not checked.feeder:
        check_feeder(case.feeder, origin)
    sound_feeder = mistakes() == before
    before = mistakes()
    if (
        checked is None
        or case.road is not checked.road
        or case.road_settings != checked.road_settings
    ):
        check_road(case.traffic_road, origin)
        with part():
            arc_tolls(case.road, origin, case.currency)
    sound = mistakes() == before
    _check_settings(case, origin)
    _check_players(case, origin)
    _check_formulas(case, origin)
    _check_drivers(case, origin)
    for name in case.trips if sound else ():
        check_trips(case.road, case.trips[name], f"trips.{name}", origin)
    _check_scenarios(case, origin, sound_feeder)


def _check_names(case: CaseData, origin: Origin) -> None:
    """Names that become part of file names or of variable names in files."""
    for kind, section, names in (
        ("LSE", "lses", case.lses.index),
        ("driver class", "drivers", case.drivers),
        ("scenario", "scenario", case.scenarios),
    ):
        for name in names:
            if not name.strip() or not name.isprintable() or any(c in _NOT_IN_NAMES for c in name):
                where = origin.at("lses", name, "lse") if section == "lses" else None
                mistake(
                    DataError(
                        f"{kind} {quoted(name)} has a name that cannot be part of a file name",
                        where=where or origin.place(section),
                        advice=f"use letters, digits, '_' and '-', and none of {_NOT_IN_NAMES}",
                    )
                )


def _check_settings(case: CaseData, origin: Origin) -> None:
    feeder, substation = case.feeder_settings, case.substation
    if not is_currency(case.currency):
        mistake(
            DataError(
                f"currency = {quoted(case.currency)} is no sign or short word",
                where=origin.place("market.currency"),
                advice="write a sign or at most 8 letters, as '€' or 'EUR'",
            )
        )
    if feeder.vmin >= feeder.vmax:
        mistake(
            DataError(
                f"vmin = {feeder.vmin:g} pu is not below vmax = {feeder.vmax:g} pu",
                where=origin.place("feeder.vmin"),
                advice="usual limits are 0.95 and 1.05",
            )
        )
    if feeder.root_voltage < feeder.vmin or feeder.root_voltage > feeder.vmax:
        mistake(
            DataError(
                f"root_voltage = {feeder.root_voltage:g} pu is outside "
                f"[{feeder.vmin:g}, {feeder.vmax:g}]",
                where=origin.place("feeder.root_voltage"),
                advice="the substation must keep the limits itself",
            )
        )
    for low, high, unit in (
        ("import_min", "import_max", "kW"),
        ("reactive_min", "reactive_max", "kvar"),
    ):
        if getattr(substation, low) > getattr(substation, high):
            mistake(
                DataError(
                    f"{low} = {getattr(substation, low):g} {unit} is above "
                    f"{high} = {getattr(substation, high):g} {unit}",
                    where=origin.place(f"substation.{low}"),
                    advice="swap them",
                )
            )
    if substation.export_max and substation.feed_in_price > substation.price:
        mistake(
            DataError(
                f"feed_in_price = {substation.feed_in_price:g} {case.currency}/kWh is "
                f"above price = {substation.price:g} {case.currency}/kWh: to buy and "
                "sell at once would pay",
                where=origin.place("substation.feed_in_price"),
                advice="give at most the price, or import_min = 0 for no sale to the TSO",
            )
        )
    if case.paths.form == "legs" and case.paths.method != "exact":
        mistake(
            DataError(
                f"form = 'legs' does not go with method = {quoted(case.paths.method)}: legs join "
                "to paths outside the list",
                where=origin.place("paths.form"),
                advice="use method = 'exact', or form = 'paths'",
            )
        )
    if case.market.elasticity >= 0.0:
        mistake(
            DataError(
                f"elasticity = {case.market.elasticity:g} is not negative",
                where=origin.place("market.elasticity"),
                advice="demand must fall with the price, for example -0.5",
            )
        )


def _check_players(case: CaseData, origin: Origin) -> None:
    buses, nodes = case.feeder.buses.index, case.road.nodes.index
    links = (
        ("stations", "road_node", nodes, "is at unknown road node"),
        ("stations", "bus", buses, "is at unknown bus"),
        ("generators", "bus", buses, "is at unknown bus"),
        ("generators", "lse", case.lses.index, "belongs to unknown LSE"),
    )
    for table, column, known, words in links:
        frame = getattr(case, table)
        for key, name in zip(frame.index, frame[column], strict=True):
            if name not in known:
                problem = f"{table[:-1]} {quoted(key)} {words}"
                mistake(unknown_name(problem, name, known, origin.at(table, key, column)))
    generators = case.generators
    for low, high in (("min_kw", "max_kw"), ("min_kvar", "max_kvar")):
        for key, least, most in zip(
            generators.index, generators[low], generators[high], strict=True
        ):
            if least > most:
                mistake(
                    DataError(
                        f"generator {quoted(key)} has {low} = {least:g} above {high} = {most:g}",
                        where=origin.at("generators", key, low),
                        advice="swap them",
                    )
                )
    for low, sign in (("min_kw", 1.0), ("min_kvar", 1.0), ("max_kvar", -1.0)):
        for key, bound, kva in zip(
            generators.index, generators[low], generators["kva"], strict=True
        ):
            if sign * bound > kva:
                mistake(
                    DataError(
                        f"generator {quoted(key)} has kva = {kva:g}, too little for {low} = "
                        f"{bound:g}",
                        where=origin.at("generators", key, "kva"),
                        advice="give a larger kva, or leave it blank for no inverter",
                    )
                )
    total = math.fsum(case.lses["portion"])
    if abs(total - 1.0) > _PORTION_TOLERANCE:
        mistake(
            DataError(
                f"the portions of the LSEs sum to {quoted(total)}",
                where=origin.at("lses", column="portion"),
                advice="they share every bus's firm load and must sum to 1; change them together",
            )
        )


def _check_formulas(case: CaseData, origin: Origin) -> None:
    """Costs and inverse demand given as text; the demand's range is known with a scenario only."""
    from v2geq.mcp.expression import Expression
    from v2geq.mcp.parse import parse

    generators = case.generators
    for key, text, low, high in zip(
        *(generators.index, generators["cost"], generators["min_kw"], generators["max_kw"]),
        strict=True,
    ):
        if text:
            where = f"{origin.at('generators', key, 'cost')}: generator {key!r}"
            with part():
                cost = Expression.parse(text, variable="g", parameters={}, where=where)
                cost.check_convex(low, high)
    most = case.vehicle_kw if math.isfinite(case.vehicle_kw) else 0.0
    for column in ("charge_cost", "discharge_cost"):
        for key, text in zip(case.stations.index, case.stations[column], strict=True):
            if text:
                where = f"{origin.at('stations', key, column)}: station {key!r}"
                with part():
                    cost = Expression.parse(text, variable="p", parameters={}, where=where)
                    cost.check_convex(0.0, most)
    if case.market.inverse_demand != "linear":
        name = "market.inverse_demand"
        where = f"{origin.place(name)}: {name}" if name in origin.settings else name
        with part():
            parse(case.market.inverse_demand, ("q", "q0", "p0"), where)


def _check_drivers(case: CaseData, origin: Origin) -> None:
    if not case.drivers:
        mistake(
            DataError(
                "there is no driver class",
                where=origin.place("drivers"),
                advice="add [drivers.ev] with kind = 'ev'",
            )
        )
    for name, driver in case.drivers.items():
        check = _check_ev if driver.kind == "ev" else _check_fv
        check(name, driver, origin)
        if driver.cost_of_time:
            with part():
                _check_cost_of_time(case, name, driver.cost_of_time, origin)


def _check_ev(name: str, driver: DriverClass, origin: Origin) -> None:
    for field, unit in (("battery", "kWh"), ("consumption", "kWh/km"), ("charger_power", "kW")):
        if getattr(driver, field) <= 0.0:
            mistake(
                DataError(
                    f"{field} of driver class {quoted(name)} is {getattr(driver, field):g} {unit}",
                    where=origin.place(f"drivers.{name}.{field}"),
                    advice="an electric class needs a value above 0",
                )
            )
    if driver.discharge_level <= driver.reserve or driver.discharge_level >= 1.0:
        mistake(
            DataError(
                f"discharge_level = {driver.discharge_level:g} of driver class {quoted(name)} is "
                f"not between reserve = {driver.reserve:g} and 1",
                where=origin.place(f"drivers.{name}.discharge_level"),
                advice="a discharge must leave more than the reserve and less than a full battery",
            )
        )
    if driver.wear:
        with part():
            _check_wear(name, driver, origin)
    if driver.start_level <= driver.reserve:
        mistake(
            DataError(
                f"start_level = {driver.start_level:g} of driver class {quoted(name)} is not above "
                f"reserve = {driver.reserve:g}",
                where=origin.place(f"drivers.{name}.start_level"),
                advice="a driver who leaves with the reserve alone gets nowhere",
            )
        )


def _check_cost_of_time(case: CaseData, name: str, text: str, origin: Origin) -> None:
    from v2geq.mcp.expression import Expression

    where = origin.place(f"drivers.{name}.cost_of_time")
    if case.paths.form == "legs":
        raise DataError(
            f"cost_of_time of driver class {quoted(name)} does not go with paths.form = 'legs': "
            "the cost of a path is no sum over its legs then",
            where=where,
            advice="use paths.form = 'paths'",
        )
    place = f"{where}: driver class {quoted(name)}"
    cost = Expression.parse(text, variable="t", parameters={}, where=place)
    cost.check_convex(0.0, LONGEST_TRIP_H, unit="h")
    rising = cost.rises(np.array([LONGEST_TRIP_H])) is None
    if not rising or float(cost.first(np.zeros(1))[0]) <= 0.0:
        raise DataError(
            f"the cost of time {quoted(text)} of driver class {quoted(name)} does not "
            "rise from the first minute",
            where=where,
            advice=f"give one that rises with t from 0 to {LONGEST_TRIP_H:g} h, as 12*t + 6*t**2",
        )


def _check_wear(name: str, driver: DriverClass, origin: Origin) -> None:
    from v2geq.mcp.expression import Expression

    where = origin.place(f"drivers.{name}.wear")
    if driver.degradation:
        raise DataError(
            f"driver class {quoted(name)} has wear = {quoted(driver.wear)} and degradation = "
            f"{driver.degradation:g}: wear would count twice",
            where=where,
            advice="set degradation = 0, or leave wear out",
        )
    place = f"{where}: driver class {quoted(name)}"
    wear = Expression.parse(driver.wear, variable="d", parameters={}, where=place)
    wear.check_convex(0.0, 1.0, unit="of the battery")
    least = float(wear.value(np.zeros(1))[0])
    if least < 0.0 or wear.rises(np.ones(1)) is not None:
        raise DataError(
            f"the wear {quoted(driver.wear)} of driver class {quoted(name)} is below zero or falls "
            "with the depth",
            where=where,
            advice="give a cost of zero or more that rises with d from 0 to 1, as 8*d**2",
        )


def _check_fv(name: str, driver: DriverClass, origin: Origin) -> None:
    specs = setting_specs(DriverClass)
    for field in EV_SETTINGS:
        if (value := getattr(driver, field)) != specs[field].default:
            mistake(
                DataError(
                    f"{field} = {quoted(value)} is given for the fuel class {quoted(name)}",
                    where=origin.place(f"drivers.{name}.{field}"),
                    advice="remove it, or set kind = 'ev'",
                )
            )


def _check_scenarios(case: CaseData, origin: Origin, sound: bool) -> None:
    """`sound` says whether the feeder has no mistake."""
    if not case.scenarios:
        mistake(
            DataError(
                "there is no scenario",
                where=origin.place("scenario"),
                advice="add [scenario.base]",
            )
        )
    branches, buses = case.feeder.branches.index, case.feeder.buses.index
    for name, scenario in case.scenarios.items():
        before = mistakes()
        for what, verb in _SWITCHED.items():
            place, given = origin.place(f"scenario.{name}.{what}"), getattr(scenario, what)
            for position, branch in enumerate(given):
                if branch not in branches:
                    problem = f"scenario {quoted(name)} {verb} unknown branch"
                    mistake(unknown_name(problem, branch, branches, place))
                if branch in given[:position]:
                    mistake(
                        DataError(
                            f"scenario {quoted(name)} {verb} branch {quoted(branch)} twice",
                            where=place,
                            advice="name it once",
                        )
                    )
        for branch in scenario.closed:
            if branch in scenario.outages:
                mistake(
                    DataError(
                        f"scenario {quoted(name)} closes branch {quoted(branch)} and takes it out",
                        where=place,
                        advice="name it under closed or under outages",
                    )
                )
        if scenario.closed and sound and mistakes() == before:
            who = f"scenario {quoted(name)}"
            check_switching(case.feeder, scenario.outages, scenario.closed, who, place)
        for bus in scenario.reactive_sources:
            if bus not in buses:
                problem = f"scenario {quoted(name)} has a reactive source at unknown bus"
                place = origin.place(f"scenario.{name}.reactive_sources.{bus}")
                mistake(unknown_name(problem, bus, buses, place))
