"""Trips of each driver class from its trip table, factor and choice of pairs."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from v2geq.data.model.case import CaseData
from v2geq.errors import DataError, did_you_mean, quoted

_PAIR = ["origin", "destination"]


def travelling(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Rows of a trip table that use roads: those without trips, or within one node, are dropped.

    The latter with a warning that names the place `where`.
    """
    amount, ends = table["trips_veh_h"].to_numpy(), (table[k].tolist() for k in _PAIR)
    within = np.array([a == b for a, b in zip(*ends, strict=True)], dtype=bool)
    inside = within & (amount > 0)
    if inside.any():
        nodes = ", ".join(table.loc[inside, "origin"].head(8))
        total = table.loc[inside, "trips_veh_h"].sum()
        warnings.warn(
            f"{where}: {int(inside.sum())} pairs start and end at the same node ({nodes}); "
            f"their {total:g} veh/h use no road and are dropped",
            stacklevel=3,
        )
    kept = (amount > 0) & ~within
    return table if kept.all() else table[kept].reset_index(drop=True)


def class_trips(case: CaseData, name: str, where: str = "") -> pd.DataFrame:
    """Trips of a class from its trip table: columns as there (veh/h), factor applied.

    `where` is the place of the class, for messages.

    Raises
    ------
    DataError
        If `trips_of` names no other class with a table of its own, trips are to be spread over no
        table, or no trips are left.
    """
    where = where or f"drivers.{name}"
    driver, table, road_trips = case.drivers[name], case.trip_tables[name], case.road.trips
    if driver.trips_of:
        pairs = _pairs_of(case, name, where)
        mine = pd.MultiIndex.from_frame(table[_PAIR])
        table = table[mine.isin(pairs)]
    total = driver.trips_factor * float(table["trips_veh_h"].sum())
    if driver.trips_spread:
        if road_trips.empty:
            raise DataError(
                f"the trips of driver class {quoted(name)} are to be spread over the "
                "road's trip table, and the road has none",
                where=where,
                advice="add trips.csv to the road folder, or leave trips_spread out",
            )
        share = road_trips["trips_veh_h"] / road_trips["trips_veh_h"].sum()
        trips = road_trips.assign(trips_veh_h=total * share)
    else:
        trips = table.assign(trips_veh_h=table["trips_veh_h"] * driver.trips_factor)
    trips = trips[trips["trips_veh_h"] > 0].reset_index(drop=True)
    if trips.empty:
        raise DataError(
            f"driver class {quoted(name)} has no trips",
            where=where,
            advice="check its trip table, trips_factor and trips_of, or remove the class",
        )
    return trips


def _pairs_of(case: CaseData, name: str, where: str) -> pd.MultiIndex:
    """OD pairs of the class that `trips_of` of class `name` points at."""
    drivers = case.drivers
    other = drivers[name].trips_of
    if other not in drivers or other == name:
        raise DataError(
            f"trips_of = {quoted(other)} is not another driver class",
            where=where,
            advice=did_you_mean(other, [known for known in drivers if known != name]),
        )
    if drivers[other].trips_of:
        raise DataError(
            f"trips_of = {quoted(other)} names a class that has trips_of itself",
            where=where,
            advice="name the class that owns the pairs",
        )
    if drivers[name].trips_spread:
        raise DataError(
            f"driver class {quoted(name)} has trips_of, which keeps some OD pairs, "
            "and trips_spread, which takes all",
            where=where,
            advice="leave one of them out",
        )
    # its table's pairs, also where its trips are spread over others
    return pd.MultiIndex.from_frame(case.trip_tables[other][_PAIR])


def spread_trips(case: CaseData) -> dict[str, bool]:
    """Changes of parameters that spread every electric class over all OD pairs of the road.

    Raises
    ------
    DataError
        If the road has no trip table, or there is no electric class.
    """
    electric = [name for name, kind in case.drivers.items() if kind.kind == "ev"]
    if not electric or case.road.trips.empty:
        what = "the case has no electric class" if not electric else "the road has no trip table"
        raise DataError(
            f"trips cannot be spread over all OD pairs: {what}",
            where=case.where,
            advice="add trips.csv to the road folder" if electric else "solve the case as it is",
        )
    return {f"drivers.{name}.trips_spread": True for name in electric}
