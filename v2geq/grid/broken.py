"""Limits of the feeder that no operation keeps, in the words of its tables and settings."""

from __future__ import annotations

from v2geq.convex.relaxation import Relaxation
from v2geq.grid.network import Network
from v2geq.grid.power_flow import OPERATOR

SOURCES = f"{OPERATOR}.q_source"
"""Block of what sources, generators and capacitors supply."""
_FLOW = {"p_line": "kW", "q_line": "kvar", "rating": "kVA"}
_SUPPLY = {
    ("p_tso", "lower"): "import_min",
    ("p_tso", "upper"): "import_max",
    ("p_feed", "upper"): "export_max",
    ("q_tso", "lower"): "reactive_min",
    ("q_tso", "upper"): "reactive_max",
}
"""Variables of the substation, their bounds and the settings that these are."""


def broken_limit(network: Network, limit: Relaxation) -> str | None:
    """A limit of the feeder that gives way: where it is and by how much; None for any other."""
    player, _, name = limit.block.partition(".")
    if player != OPERATOR:
        return None
    most = "at least " if limit.unavoidable else ""
    amount = f"{most}{limit.amount:.4g}"
    way = "below" if limit.side == "lower" else "above"
    if name == "v_squared":
        bus, *phase = limit.label
        bound = "vmin" if limit.side == "lower" else "vmax"
        value = float(getattr(network.limits, bound))
        if bus == network.buses[0]:
            bound, value = "root_voltage", network.limits.root_voltage
        sign = -1.0 if limit.side == "lower" else 1.0
        there = max(value**2 + sign * limit.amount, 0.0) ** 0.5
        where = ".".join((bus, *phase))
        return f"bus {where} {most}{abs(there - value):.4f} pu {way} {bound} {value:g}"
    if name in _FLOW:
        line, *phase = limit.label
        if name == "rating":
            phase = phase[:-1]  # the last is a side of the polygon
        rating = network.lines.rating_kva[network.lines.names.index(line)]
        where = ".".join((line, *phase))
        return f"line {where} {amount} {_FLOW[name]} above its rating of {rating:g} kVA"
    if limit.block == SOURCES:
        text = "what sources, generators and capacitors there supply"
        return f"bus {limit.label[0]} {amount} kvar {way} {text}"
    if (name, limit.side) in _SUPPLY:
        setting = _SUPPLY[name, limit.side]
        bound = getattr(network.substation, setting)
        return f"substation {amount} {limit.unit} {way} {setting} {bound:g}"
    return None
