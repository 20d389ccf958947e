"""Trips of each driver class from its trip table, factor and choice of pairs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from v2geq.data.model import DriverClass
from v2geq.errors import DataError, did_you_mean


def class_trips(
    name: str,
    drivers: Mapping[str, DriverClass],
    tables: Mapping[str, pd.DataFrame],
    where: str,
) -> pd.DataFrame:
    """Trips of class `name`: columns origin, destination, trips_veh_h (veh/h), factor applied.

    Parameters
    ----------
    name, drivers
        Class and all classes.
    tables
        Class name -> trip table as read.
    where
        Place of the class, for messages.

    Raises
    ------
    DataError
        If `trips_of` names no other class with a table of its own, or no trips are left.
    """
    driver, table = drivers[name], tables[name]
    if other := driver.trips_of:
        if other not in drivers or other == name:
            raise DataError(
                f"trips_of = {other!r} is not another driver class",
                where=where,
                advice=did_you_mean(other, [known for known in drivers if known != name]),
            )
        if drivers[other].trips_of:
            raise DataError(
                f"trips_of = {other!r} names a class that has trips_of itself",
                where=where,
                advice="name the class that owns the pairs",
            )
        pairs = pd.MultiIndex.from_frame(tables[other][["origin", "destination"]])
        mine = pd.MultiIndex.from_frame(table[["origin", "destination"]])
        table = table[mine.isin(pairs)].reset_index(drop=True)
    trips = table.assign(trips_veh_h=table["trips_veh_h"] * driver.trips_factor)
    trips = trips[trips["trips_veh_h"] > 0].reset_index(drop=True)
    if trips.empty:
        raise DataError(
            f"driver class {name!r} has no trips",
            where=where,
            advice="check its trip table, trips_factor and trips_of, or remove the class",
        )
    return trips
