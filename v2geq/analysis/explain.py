"""Why a price or a trip cost is what it is: text and table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from v2geq.errors import DataError, one_line
from v2geq.results import names
from v2geq.results.point import Point
from v2geq.show import card

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.names import Ends, Name


@dataclass(frozen=True)
class Explanation:
    """A text and the table behind it."""

    text: str
    table: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.text}\n{self.table.to_string()}"

    def __repr__(self) -> str:
        return f"<Explanation: {one_line(self.text, 200)}>"

    def _repr_html_(self) -> str:
        return card("explanation", {}, note=self.text) + self.table.to_html()


def explain(
    eq: Point,
    *,
    od: Ends | None = None,
    bus: Name | None = None,
    station: Name | None = None,
    line: Ends | int | None = None,
) -> Explanation:
    """Explain a trip (`od`), a price (`bus`, `station`) or what a line's rating does (`line`).

    Parameters
    ----------
    od
        Origin and destination, as ``(1, 20)`` or ``"1-20"``: used paths of every class and the best
        unused ones.
    bus
        A bus: the parts of its DLMP, who serves it and which limits make it differ.
    station
        A station: the parts of its prices, its limits, its queue and who stops there.
    line
        A line by its name or its two buses: its flow and rating, and what the rating adds to the
        DLMP of every bus it serves.

    Raises
    ------
    DataError
        Unknown names, with suggestions, or not exactly one of the four.
    """
    from v2geq.analysis.bus_reasons import bus_reasons
    from v2geq.analysis.limit_reasons import line_reasons, station_reasons
    from v2geq.analysis.trip_reasons import trip_reasons

    if sum(given is not None for given in (od, bus, station, line)) != 1:
        raise DataError(
            "explain takes one of od=, bus=, station= and line=",
            advice="write od=(1, 20), for example",
        )
    scenario, traffic = eq.scenario, eq.coupled.traffic
    if od is not None:
        known = [pair for name in traffic.classes for pair in traffic.od_names(name)]
        return Explanation(*trip_reasons(eq, names.od_pair(od, known, "vehicles")))
    if bus is not None:
        return Explanation(*bus_reasons(eq, names.bus(bus, scenario)))
    if station is not None:
        return Explanation(*station_reasons(eq, names.station(station, scenario)))
    assert line is not None
    return Explanation(*line_reasons(eq, names.line(line, scenario)))
