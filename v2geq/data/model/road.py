"""A road network: its tables, its delay functions, and what may be changed in it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.data.model.schema import ARCS, TOLL_UNIT
from v2geq.errors import DataError, quoted, unknown_name

#: names in a delay expression besides the flow x (veh/h), and the columns they stand for
DELAY_NAMES = {
    "t0": "free_flow_min",
    "c": "capacity_veh_h",
    "b": "bpr_b",
    "p": "bpr_power",
    "l": "length_km",
}


@dataclass(frozen=True, eq=False)
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
    toll_unit : unit of the tolls: "$/veh" is money of the case per vehicle, whatever its currency;
        "€/veh" fits a case in € alone. Another, or none where nobody knows it, will do for an
        assignment, where values of time are in the same money
    """

    name: str
    nodes: pd.DataFrame
    arcs: pd.DataFrame
    trips: pd.DataFrame
    source: str = ""
    toll_unit: str = TOLL_UNIT

    def __repr__(self) -> str:
        return (
            f"<RoadNetwork {self.name}: {len(self.nodes)} nodes, {len(self.arcs)} arcs, "
            f"{self.trips['trips_veh_h'].sum():,.0f} veh/h>"
        )

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
                    raise unknown_name("arcs have no column", column, ARCS.value_columns)
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

    def column(self, name: str) -> FloatArray:
        """(arc,) a column of numbers; zeros where the arcs lack it."""
        if name not in self.arcs:
            return np.zeros(len(self.arcs))
        values: FloatArray = self.arcs[name].to_numpy(dtype=float)
        return values

    def _require(self, arc: str) -> None:
        if not isinstance(arc, str) or arc not in self.arcs.index:
            raise unknown_name(f"road network {quoted(self.name)} has no arc", arc, self.arcs.index)


def delay_texts(road: RoadNetwork) -> pd.Series:
    """(arc,) 'bpr', 'conical' or an expression; 'bpr' where the column `delay` says nothing."""
    if "delay" in road.arcs:
        return road.arcs["delay"].fillna("bpr").astype(str)
    return pd.Series("bpr", index=road.arcs.index, dtype=str)


def delay_text(road: RoadNetwork, arc: str) -> str:
    """`delay_texts` of one arc."""
    text = road.arcs.loc[arc, "delay"] if "delay" in road.arcs else None
    return text if isinstance(text, str) else "bpr"
