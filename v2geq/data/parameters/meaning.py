"""What the parameters of tables mean, and which parameter words may stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MEANINGS: Mapping[str, str] = {
    "feeder.buses.phases": "phases, described only",
    "feeder.buses.x": "place in the feeder's diagram",
    "feeder.buses.y": "place in the feeder's diagram",
    "feeder.buses.base_kv": "line-to-line voltage, described only",
    "feeder.branches.from_bus": "bus at its beginning",
    "feeder.branches.to_bus": "bus at its end",
    "feeder.branches.kind": "line, switch, regulator or transformer",
    "feeder.branches.phases": "phases, described only",
    "feeder.branches.length_km": "length, described only",
    "feeder.branches.r_ohm": "resistance of the whole branch",
    "feeder.branches.x_ohm": "reactance of the whole branch",
    "feeder.branches.rating_kva": "largest apparent power of the line (limit, capacity)",
    "feeder.branches.ratio": "voltage ratio V_to / V_from of a regulator or transformer",
    "feeder.branches.normally_open": "open in the normal state",
    "feeder.loads.load_kw": "household real load of the bus, three phases, at load factor one",
    "feeder.loads.load_kvar": "household reactive load of the bus, at load factor one",
    "feeder.capacitors.bus": "bus of the capacitor bank",
    "feeder.capacitors.kvar": "reactive power of the capacitor bank",
    "road.nodes.x": "place on the map",
    "road.nodes.y": "place on the map",
    "road.nodes.through": "whether a route may pass the node",
    "road.arcs.from_node": "node at its beginning",
    "road.arcs.to_node": "node at its end",
    "road.arcs.capacity_veh_h": "capacity of the road, in its travel time",
    "road.arcs.length_km": "length of the road",
    "road.arcs.free_flow_min": "travel time without traffic",
    "road.arcs.bpr_b": "factor of the travel time's rise (BPR b)",
    "road.arcs.bpr_power": "power of the travel time's rise (BPR p)",
    "road.arcs.toll": "toll paid by every vehicle",
    "road.arcs.fixed_min": "cost that no flow changes; none in a case",
    "road.arcs.conical_alpha": "steepness of the conical travel time",
    "road.arcs.delay": "travel time: 'bpr', 'conical' or an expression in x, t0, c, b, p, l",
    "stations.road_node": "road node of the station",
    "stations.bus": "bus of the station",
    "stations.charge_max_kw": "largest power the station sells to vehicles",
    "stations.discharge_max_kw": "largest power the station buys from vehicles",
    "stations.piles": "charging points",
    "stations.base_wait_h": "wait without a queue",
    "stations.queue_slope_h": "rise of the wait with the vehicles above the piles",
    "stations.charger_power_kw": "power of the charger; vehicles take it, or their own if smaller",
    "stations.discharge_piles": "points for vehicles that sell, where queues are by direction",
    "stations.charge_cost": "operator's cost of selling p (kW) to vehicles, an expression in p",
    "stations.discharge_cost": "operator's cost of buying p (kW) from vehicles, an expression in p",
    "stations.pv_kw": "what the station's photovoltaic (solar) plant could make now; may be cut",
    "stations.store_charge_kw": "largest power into the station's own store in this hour",
    "stations.store_discharge_kw": "largest power out of the station's own store in this hour",
    "stations.store_value": "what a kWh in the station's own store is worth",
    "stations.store_efficiency": "round trip: kWh the store gives back of one put in",
    "stations.kva": "rating of the inverter of its PV and store, which sells reactive power too",
    "stations.phases": "phases it is connected to, evenly; all of its bus if empty",
    "lses.portion": "share of every bus's firm load; they sum to one",
    "generators.lse": "load serving entity it belongs to",
    "generators.bus": "bus of the generator",
    "generators.min_kw": "least generation",
    "generators.max_kw": "largest generation (capacity)",
    "generators.cost_linear": "cost per kWh",
    "generators.cost_quadratic": "rise of the cost; cost = linear g + quadratic g^2",
    "generators.cost": "cost as an expression in g (kW), in place of the two",
    "generators.min_kvar": "least reactive supply",
    "generators.max_kvar": "largest reactive supply",
    "generators.kva": "rating of its inverter; reactive power within it is sold to the DSO",
    "generators.phases": "phases it is connected to, evenly; all of its bus if empty",
}
"""Of table columns, by table and column."""

_ALIKE = (
    ("limit", "rating", "max", "maximum", "largest", "cap", "most"),
    ("minimum", "min", "least"),
    ("share", "factor", "portion", "fraction", "ratio", "percentage"),
    ("line", "branch", "cable"),
    ("price", "cost", "tariff"),
    ("demand", "load"),
    ("vehicle", "car", "driver"),
    ("electric", "ev"),
    ("power", "kw"),
    ("wear", "degradation", "ageing", "aging"),
    ("efficiency", "consumption", "kappa"),
    ("import", "purchase", "tso", "grid"),
    ("shedding", "shed", "voll", "outage"),
    ("switch", "open", "close"),
    ("voltage", "vmin", "vmax"),
    ("charger", "pile", "plug", "point"),
    ("time", "min", "hour"),
    ("soc", "level", "charge"),
)
"""Words that mean much the same."""
_EMPTY = frozenset({"of", "the", "a", "an", "on", "in", "for", "per", "and", "to"})


def words(text: str) -> list[str]:
    """Words of a name or meaning: lower case, without plural, signs and empty words."""
    found = re.findall(r"[a-z]+|\d+", text.lower())
    return [w[:-1] if len(w) > 2 and w[-1] == "s" and w[-2] != "s" else w for w in found]


def meant(query: str, entries: Iterable[tuple[str, str]]) -> list[str]:
    """Names whose words or meaning hold every word of a query, best first.

    A word of the name counts more than one that means the same, and that more than one of the
    meaning; entries are (name, meaning).
    """
    wanted = [w for w in words(query[:200]) if w not in _EMPTY]
    rated = [(_score(wanted, name, text), name) for name, text in entries] if wanted else []
    return [name for score, name in sorted(rated, key=lambda r: -r[0]) if score > 0]


def _score(wanted: list[str], name: str, text: str) -> int:
    """How well a parameter matches; 0 where a word is in neither its name nor its meaning."""
    mine, told = set(words(name)), set(words(text))
    total = 0
    for word in wanted:
        alike = {w for group in _ALIKE if word in group for w in group}
        if word in mine:
            total += 4
        elif alike & mine:
            total += 3
        elif any(len(word) > 2 and w.startswith(word) for w in mine):
            total += 2
        elif word in told or alike & told:
            total += 1
        else:
            return 0
    return total
