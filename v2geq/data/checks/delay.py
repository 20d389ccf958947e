"""Checks of the delay functions of a road network."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from v2geq.arrays import BoolArray
from v2geq.data.model.origin import NO_ORIGIN, Origin
from v2geq.data.model.road import DELAY_NAMES, RoadNetwork, delay_texts
from v2geq.errors import DataError, quoted

#: an expression is checked for flows up to this multiple of the capacity
CHECKED_RATIO = 10.0


def check_delays(road: RoadNetwork, origin: Origin = NO_ORIGIN) -> None:
    """Raise DataError unless every arc has a finite travel time that does not fall with its flow.

    Of expressions this is proved for flows up to `CHECKED_RATIO` times the capacity.
    """
    texts = delay_texts(road)
    bpr, conical = (texts == "bpr").to_numpy(), (texts == "conical").to_numpy()
    for column in DELAY_NAMES.values():
        values = road.arcs[column].to_numpy(dtype=float)
        if column == "capacity_veh_h":
            _require(road, origin, column, values > 0.0, "capacities must be above 0 veh/h")
        _require(road, origin, column, np.isfinite(values) & (values >= 0.0), "give a number >= 0")
        if column == "bpr_power":
            _require(
                road,
                origin,
                column,
                ~bpr | (values == 0.0) | (values >= 1.0),
                "use 0 (constant time) or at least 1, else the time has no slope at zero flow",
            )
    if conical.any():
        if "conical_alpha" not in road.arcs:
            raise DataError(
                f"arc {road.arcs.index[conical][0]!r} is conical without conical_alpha",
                where=origin.at("road.arcs"),
                advice="add the column; Spiess takes 2 to 12",
            )
        alpha = road.arcs["conical_alpha"].to_numpy(dtype=float)
        good = ~conical | (np.isfinite(alpha) & (alpha > 1.0))
        _require(road, origin, "conical_alpha", good, "give a number above 1")
    for text in texts[~bpr & ~conical].unique():
        _check_expression(road, origin, text, (texts == text).to_numpy())


def _require(road: RoadNetwork, origin: Origin, column: str, good: BoolArray, advice: str) -> None:
    bad = np.flatnonzero(~good)
    if bad.size:
        arc = road.arcs.index[bad[0]]
        raise DataError(
            f"{column} = {float(road.arcs[column].iloc[bad[0]])!r} of arc {arc!r} is out of range",
            where=origin.at("road.arcs", arc, column),
            advice=advice,
        )


def _check_expression(road: RoadNetwork, origin: Origin, text: str, own: BoolArray) -> None:
    """Raise DataError unless `text` is a travel time for the arcs `own`."""
    from v2geq.mcp.expression import Expression

    arcs = road.arcs[own]
    named = {n: arcs[column].to_numpy(dtype=float) for n, column in DELAY_NAMES.items()}
    time = Expression.parse(
        text,
        variable="x",
        parameters=named,
        where=origin.at("road.arcs", arcs.index[0], "delay"),
    )

    def refuse(arc: int, what: str, flow: float, advice: str) -> NoReturn:
        name = arcs.index[arc]
        raise DataError(
            f"the travel time {quoted(text)} of arc {name!r} {what} at x = {flow:g} veh/h",
            where=origin.at("road.arcs", name, "delay"),
            advice=advice,
        )

    def require(good: BoolArray, what: str, ratio: float, advice: str) -> None:
        if not good.all():
            arc = int(np.argmin(good))
            refuse(arc, what, ratio * named["c"][arc], advice)

    falls = ("falls", "give a time that does not fall as x grows")
    before = np.zeros_like(named["c"])
    for ratio in np.linspace(0.0, CHECKED_RATIO, 201):
        value = time.value(ratio * named["c"])
        finite = "give a time that is finite at all flows, in minutes"
        require(np.isfinite(value), "is not finite", ratio, finite)
        require(value >= 0.0, "is negative", ratio, "give a time >= 0, in minutes")
        require(value >= before * (1.0 - 1e-12), falls[0], ratio, falls[1])
        before = value
    # towards zero: a power below one has a slope without limit
    near, nearer = (time.first(ratio * named["c"]) for ratio in (1e-9, 1e-60))
    with np.errstate(all="ignore"):
        steady = np.abs(nearer) <= 10.0 * np.abs(near) + 1e-9 * before / named["c"]
    require(steady, "has no slope", 0.0, "shift a root, for example sqrt(x + 1) - 1")
    doubt = time.rises(CHECKED_RATIO * named["c"])
    if doubt is None:
        return
    if doubt.at is not None:
        refuse(doubt.entry, falls[0], doubt.at, falls[1])
    raise DataError(
        f"whether the travel time {quoted(text)} of arc {arcs.index[doubt.entry]!r} is finite and "
        f"does not fall could not be proved between x = {doubt.low:.9g} and {doubt.high:.9g} veh/h",
        where=origin.at("road.arcs", arcs.index[doubt.entry], "delay"),
        advice="give a smooth time without differences of nearly equal terms",
    )
