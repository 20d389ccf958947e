"""User classes of a traffic assignment: trips and what they pay, checked and in arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.values import NAME_LENGTH, ValueSpec
from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.roads.graph import Graph
from v2geq.show import brief

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.data.model.road import RoadNetwork

TRIP_COLUMNS = ("origin", "destination", "trips_veh_h")
_LARGEST = sys.float_info.max


_CLASS = ValueSpec("name of a user class", "text", longest=NAME_LENGTH)


@dataclass(frozen=True, eq=False)
class UserClass:
    """Drivers who see the same costs.

    A route costs its travel time, the roads' `fixed_min`, and money at the value of time:
    ``60 / value_of_time * (toll_share * toll + distance_cost * length_km)`` minutes per arc.

    Attributes
    ----------
    trips : columns origin, destination, trips_veh_h
    value_of_time : money per h, in the currency of the tolls; by default money does not matter
    distance_cost : money per km
    toll_share : share of the arcs' `toll` the class pays
    pce : passenger car equivalents of one vehicle in the flow of an arc
    """

    trips: pd.DataFrame
    value_of_time: float = inf
    distance_cost: float = 0.0
    toll_share: float = 1.0
    pce: float = 1.0

    __repr__ = brief

    def fixed_minutes(self, road: RoadNetwork, name: str) -> FloatArray:
        """(arc,) cost that no flow changes, min.

        Raises
        ------
        DataError
            A parameter out of range, or a cost that is negative or not finite.
        """
        for what, strict, most, advice in (
            ("value_of_time", True, inf, "above 0"),
            ("pce", True, _LARGEST, "above 0 and finite"),
            ("distance_cost", False, _LARGEST, "not negative and finite"),
            ("toll_share", False, _LARGEST, "not negative and finite"),
        ):
            value = getattr(self, what)
            if not (
                _is_number(value) and (value > 0.0 if strict else value >= 0.0) and value <= most
            ):
                raise DataError(
                    f"{what} of user class {quoted(name)} is {quoted(value)}",
                    advice=f"give a number that is {advice}",
                )
        arcs = road.arcs
        toll, extra = road.column("toll"), road.column("fixed_min")
        money = self.toll_share * toll + self.distance_cost * arcs["length_km"].to_numpy(float)
        fixed: FloatArray = extra + 60.0 / self.value_of_time * money
        bad = np.flatnonzero(~(np.isfinite(fixed) & (fixed >= 0.0)))
        if bad.size:
            raise DataError(
                f"arc {arcs.index[bad[0]]!r} costs class {quoted(name)} {fixed[bad[0]]:g} min "
                "beside its travel time",
                where=road.source,
                advice="tolls and distance costs must be finite and not negative together",
            )
        return fixed


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class Demand:
    """Trips of all classes by OD pair, sorted by class, then origin.

    Attributes
    ----------
    classes : names
    kind : (od,) position of the class; origin, destination : (od,) node positions
    trips : (od,) veh/h, above zero
    intrazonal : class -> trips within one node, veh/h: they use no road and are left out
    """

    classes: tuple[str, ...]
    kind: IntArray
    origin: IntArray
    destination: IntArray
    trips: FloatArray
    intrazonal: Mapping[str, float]

    __repr__ = brief


def gather_demand(graph: Graph, classes: Mapping[str, UserClass]) -> Demand:
    """Trip tables of all classes in arrays; rows without trips are dropped.

    Raises
    ------
    DataError
        There is no class or no trip, a column is missing, a zone is no node of the road, trips are
        negative or not finite, or a pair appears twice in a class.
    """
    import pandas as pd

    nodes = pd.Index(graph.nodes)
    parts = []
    intrazonal: dict[str, float] = {}
    for k, (name, user) in enumerate(classes.items()):
        _CLASS.check(name, "user classes")
        if not isinstance(user, UserClass):
            raise DataError(
                f"user class {quoted(name)} is a {type(user).__name__}",
                advice="give trips as columns of one table, or a UserClass for every name",
            )
        table = user.trips
        if not isinstance(table, pd.DataFrame):
            raise DataError(
                f"the trips of class {quoted(name)} are {quoted(table)}",
                advice=f"give a pandas frame with the columns {', '.join(TRIP_COLUMNS)}",
            )
        if not table.columns.is_unique:
            raise DataError(f"the trips of class {quoted(name)} have a column twice")
        missing = [c for c in TRIP_COLUMNS if c not in table]
        if missing:
            raise DataError(
                f"the trips of class {quoted(name)} lack the column {listed(missing)}",
                advice=f"give the columns {', '.join(TRIP_COLUMNS)}",
            )
        ends = []
        for end in ("origin", "destination"):
            names = table[end].astype(str)
            at = nodes.get_indexer(pd.Index(names))
            if (at < 0).any():
                unknown = list(dict.fromkeys(names[at < 0]))
                raise DataError(
                    f"trips of class {quoted(name)} have {end} {listed(map(quoted, unknown))}, "
                    "no node of the road network",
                    advice=did_you_mean(unknown[0], nodes) + " (the trips may belong to other "
                    "roads)",
                )
            ends.append(at.astype(np.int64))
        given: Any = table["trips_veh_h"]
        if not isinstance(given.dtype, np.dtype) or given.dtype.kind not in "iuf":
            given = [v if _is_number(v) else np.nan for v in given]
        trips = np.array(given, dtype=float)
        bad = np.flatnonzero(~(np.isfinite(trips) & (trips >= 0.0)))
        if bad.size:
            row = table.iloc[int(bad[0])]
            raise DataError(
                f"trips of class {quoted(name)} from {row['origin']} to {row['destination']} are "
                + quoted(row["trips_veh_h"]).strip("'"),
                advice="give finite numbers, zero or more",
            )
        inside = ends[0] == ends[1]
        intrazonal[name] = float(trips[inside].sum())
        kept = (trips > 0.0) & ~inside
        key = ends[0][kept] * len(nodes) + ends[1][kept]
        order = np.argsort(key, kind="stable")
        key = key[order]
        twice = np.flatnonzero(key[1:] == key[:-1])
        if twice.size:
            o, d = divmod(int(key[twice[0]]), len(nodes))
            raise DataError(
                f"trips of class {quoted(name)} from {nodes[o]} to {nodes[d]} appear twice",
                advice="add them up to one row",
            )
        kind = np.full(key.size, k, dtype=np.int64)
        parts.append((kind, key // len(nodes), key % len(nodes), trips[kept][order]))
    if not any(part[0].size for part in parts):
        raise DataError("there are no trips between different zones", advice="check the trips")
    kinds, origins, destinations, flows = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Demand(tuple(classes), kinds, origins, destinations, flows, intrazonal)
