"""Why a price or a trip cost is what it is: text and table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.errors import DataError, did_you_mean, one_line
from v2geq.market.sites import energy_sold
from v2geq.players.cno import CNO, price_parts
from v2geq.results.point import Point
from v2geq.show import card
from v2geq.trips.costs import path_costs, path_terms
from v2geq.trips.paths import Path
from v2geq.trips.traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "travel": "time_usd",
    "tolls": "toll_usd",
    "waiting": "wait_usd",
    "plug": "plug_usd",
    "degradation": "wear_usd",
    "battery energy": "battery_usd",
    "charging": "charging_usd",
    "discharging": "discharging_usd",
}
"""Columns of a trip's table by term of a path's cost."""
UNUSED_SHOWN = 3
SMALL = 1e-6


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
    od: tuple[Any, Any] | None = None,
    bus: str | int | None = None,
    station: str | int | None = None,
) -> Explanation:
    """Explain a trip (`od`) or prices (`bus`, `station`).

    Parameters
    ----------
    od
        Origin and destination: used paths of every electric class and the best unused ones.
    bus
        A bus: the parts of its DLMP, who serves it and which limits make it differ.
    station
        A station: the parts of what vehicles pay and receive there.

    Raises
    ------
    DataError
        Unknown names, with suggestions, or not exactly one of the three.
    """
    if [od, bus, station].count(None) != 2:
        raise DataError("explain takes one of od=(origin, destination), bus=name, station=name")
    if station is not None:
        return _explain_station(eq, str(station))
    if od is not None:
        return _explain_trip(eq, str(od[0]), str(od[1]))
    return _explain_price(eq, str(bus))


# -- trips ----------------------------------------------------------------------------------------


def _explain_trip(eq: Point, origin: str, destination: str) -> Explanation:
    import pandas as pd

    traffic = eq.coupled.traffic
    tables, texts = [], []
    known: dict[str, None] = {}
    for name in traffic.classes:
        pairs = traffic.od_names(name)
        known.update({f"{o}-{d}": None for o, d in pairs})
        if (origin, destination) not in pairs:
            continue
        od = pairs.index((origin, destination))
        table = _trip_table(eq, name, od)
        tables.append(table)
        texts.append(_trip_text(eq, name, od, table))
    if not tables:
        pair = f"{origin}-{destination}"
        raise DataError(
            f"no class travels from {origin} to {destination}", advice=did_you_mean(pair, known)
        )
    return Explanation(" ".join(texts), pd.concat(tables))


def _trip_table(eq: Point, name: str, od: int) -> pd.DataFrame:
    import pandas as pd

    flows = eq.path_flows
    traffic, values = flows.coupled.traffic, flows.values
    kind, paths = traffic.classes[name], traffic.paths[name]
    cost = path_costs(traffic, values, name)
    flow = flows.least_squares[name]
    mine = np.flatnonzero(paths.od == od)
    used = mine[flow[mine] > SMALL]
    unused = mine[flow[mine] <= SMALL]
    shown = [*used[np.argsort(-flow[used])], *unused[np.argsort(cost[unused])][:UNUSED_SHOWN]]
    terms = path_terms(traffic, values, name)
    rows = []
    for p in shown:
        path = paths[int(p)]
        row: dict[str, Any] = {
            "path": paths.label(path),
            "class": name,
            "used": "yes" if p in used else "no",
            "flow_veh_h": flow[p],
            "cost_usd": cost[p],
            "km": float(sum(traffic.graph.length_km[a] for a in path.arcs)),
            **{COLUMNS[term]: amounts[p] for term, amounts in terms.items()},
        }
        if kind.kind == "ev":
            row["battery_kwh"] = _charge_levels(traffic, name, path)
        rows.append(row)
    return pd.DataFrame(rows).set_index("path").round(9)


def _charge_levels(traffic: Traffic, name: str, path: Path) -> str:
    """Battery along the way: level on arrival at each stop and after it, then at the end."""
    rules, station = traffic.rules(name), traffic.paths[name].stations
    parts = [f"{rules.start:g}"]
    for s in path.stops:
        arrived, left = rules.levels_at(s.kind, s.energy_kwh)
        parts.append(f"{arrived:g} at {station[s.station]}, {left:g}")
    return " > ".join([*parts, f"{path.arrival_kwh:g}"])


def _trip_text(eq: Point, name: str, od: int, table: pd.DataFrame) -> str:
    origin, destination = eq.coupled.traffic.od_names(name)[od]
    trips = float(eq.coupled.traffic.demand[name][od])
    used = table[table["used"] == "yes"]
    text = (
        f"Class {name}, {origin} to {destination}: {trips:g} trips per hour on {len(used)} "
        f"path{'s' if len(used) != 1 else ''} at {used['cost_usd'].min():.2f} $ a trip."
    )
    unused = table[table["used"] == "no"]
    if len(unused):
        more = float(unused["cost_usd"].min() - used["cost_usd"].min())
        text += (
            f" The best unused path in the problem costs {more:.2f} $ more."
            if more > SMALL
            else " Some unused paths cost the same."
        )
    if eq.certificate.exact_paths:
        text += " No energy-feasible path is cheaper."
    return text


# -- prices ---------------------------------------------------------------------------------------


def _explain_price(eq: Point, bus: str) -> Explanation:
    scenario = eq.scenario
    every = [str(b) for b in scenario.case.feeder.buses.index]
    if bus not in every:
        raise DataError(f"there is no bus {bus!r}", advice=did_you_mean(bus, every))
    if bus not in scenario.buses:
        raise DataError(
            f"bus {bus!r} is out of service in scenario {scenario.name!r}: its part of the feeder "
            "has no supply, load or station"
        )
    table = eq.coupled.grid.way(eq.values, bus, eq.values["wheeling_price"])
    at = scenario.bus_position[bus]
    fee = float(eq.values["wheeling_price"][at])
    energy = float(eq.data["energy_price"].sel(bus=bus))
    parts = [
        f"Bus {bus}: energy is worth {fee + energy:.4f} $/kWh, of which {energy:.4f} is the energy "
        f"price of the load serving entities and {round(fee, 4) + 0.0:.4f} the wheeling fee from "
        "the substation.",
        _firm_text(eq, bus, fee + energy),
        _unique_text(eq, bus),
        _energy_text(eq),
        _fee_text(eq, bus, table),
        _local_text(eq, bus, at),
    ]
    return Explanation(" ".join(p for p in parts if p), table)


def _firm_text(eq: Point, bus: str, dlmp: float) -> str:
    """What one more kW of firm load costs, where that is not the price of energy."""
    price = float(eq.data["firm_price"].sel(bus=bus))
    if abs(price - dlmp) <= SMALL * eq.scenario.price_scale:
        return ""
    return (
        f"One more kW of firm load costs {price:.4f} $/kWh: it would be shed, at the value of lost "
        "load."
    )


def _unique_text(eq: Point, bus: str) -> str:
    """Whether the price is the only one."""
    if not eq.tells_uniqueness:
        return ""
    table = eq.uniqueness
    for row in table[(table["result"] == "dlmp") & (table["label"] == bus)].itertuples():
        if row.status == "unique":
            return "It is the only price an equilibrium has here."
        if row.status == "interval":
            return (
                f"It is not unique: any price from {row.low:.4f} to {row.high:.4f} $/kWh belongs "
                "to an equilibrium."
            )
        return "Whether it is the only one is not known."
    return ""


def _energy_text(eq: Point) -> str:
    values, scenario = eq.values, eq.scenario
    small = SMALL * scenario.power_scale
    imported = eq.coupled.grid.import_kw(values)
    substation = scenario.case.substation
    tau = float(eq.data["tso_price"])
    if imported < -small:
        full = ", its limit," if imported < small - substation.export_max else ""
        return (
            f"The load serving entities sell {-imported:.0f} kW{full} to the transmission system "
            f"at {tau:.4f} $/kWh."
        )
    buying = [
        str(k) for k in eq.data["lse"].to_numpy() if float(eq.data["import_kw"].sel(lse=k)) > small
    ]
    if not buying:
        return "No load serving entity buys from the transmission system."
    if imported < small:
        return f"The load serving entities trade with each other alone, at {tau:.4f} $/kWh."
    full = ", its limit" if imported > substation.import_max - small else ""
    return (
        f"{', '.join(buying)} buy{'s' if len(buying) == 1 else ''} {imported:.0f} kW{full} from "
        f"the transmission system at {tau:.4f} $/kWh."
    )


def _fee_text(eq: Point, bus: str, table: pd.DataFrame) -> str:
    grid, price = eq.coupled.grid, SMALL * eq.scenario.price_scale
    texts = []
    full = table[table["rating_usd_kwh"].abs() > price]
    for line, row in full.iterrows():
        texts.append(f"line {line} is full and adds {row['rating_usd_kwh']:.4f} $/kWh")
    total = float(table["voltage_usd_kwh"].sum())
    if abs(total) > price:
        binding = grid.binding(eq.values)
        tight = {*binding.lowest, *binding.highest}
        names = ", ".join(b for b in eq.scenario.buses if b in tight)
        texts.append(f"voltage limits at {names or 'other buses'} add {total:.4f} $/kWh")
    head = grid.network.head(bus)
    if head:
        own = float(eq.data["wheeling_price"].sel(bus=eq.scenario.buses[head]))
        texts.insert(
            0,
            f"the bus is in an island without the substation, whose own scarcity is priced at "
            f"{own:.4f} $/kWh over the energy price",
        )
    if not texts:
        return "No limit between the substation and the bus has a price."
    return "On the way: " + "; ".join(texts) + "."


def _local_text(eq: Point, bus: str, at: int) -> str:
    """Who is at the margin in the bus's part of the feeder."""
    scenario, data = eq.scenario, eq.data
    here = {scenario.buses[i] for i in np.flatnonzero(scenario.island == scenario.island[at])}
    small = SMALL * scenario.power_scale
    texts = []
    running, full = [], []
    for name, g in scenario.generators.iterrows():
        if g["bus"] in here:
            output = float(data["generation_kw"].sel(generator=name))
            if output >= g["max_kw"] - small:
                full.append(str(name))
            elif output > g["min_kw"] + small:
                running.append(str(name))
    if running:
        texts.append(f"generators {', '.join(running)} follow the price")
    if full:
        texts.append(f"generators {', '.join(full)} are at their limits")
    sellers = [
        str(s)
        for s in data["station"].to_numpy()
        if scenario.stations.loc[s, "bus"] in here
        and float(data["discharge_kw"].sel(station=s)) > small
    ]
    if sellers:
        total = float(data["discharge_kw"].sel(station=sellers).sum())
        texts.append(f"vehicles discharge {total:.0f} kW at {', '.join(sellers)}")
    for program in eq.coupled.own.programs:
        sold = {b: kw for b, kw in energy_sold(program, eq.values).items() if b in here}
        for word, kw in (
            ("sells", sum(x for x in sold.values() if x > 0.0)),
            ("buys", -sum(x for x in sold.values() if x < 0.0)),
        ):
            if kw > small:
                texts.append(f"{program.player} {word} {kw:.0f} kW at {', '.join(sold)}")
    shed = float(data["shed_kw"].sel(bus=sorted(here)).sum())
    if shed > small:
        own = float(data["shed_kw"].sel(bus=bus))
        texts.append(
            f"{shed:.0f} kW of load are shed, {own:.0f} of them here, at "
            f"{scenario.case.market.voll:g} $/kWh"
        )
    if not texts:
        return ""
    return "In this part of the feeder " + "; ".join(texts) + "."


# -- stations -------------------------------------------------------------------------------------


def _explain_station(eq: Point, name: str) -> Explanation:
    import pandas as pd

    scenario, data = eq.scenario, eq.data
    every = [str(s) for s in scenario.case.stations.index]
    if name not in every:
        raise DataError(f"there is no station {name!r}", advice=did_you_mean(name, every))
    if name not in scenario.stations.index:
        raise DataError(f"station {name!r} has no power in scenario {scenario.name!r}")
    parts = {"charge": 0.0, "discharge": 0.0, "limits": 0.0}
    program = eq.coupled.programs.get(CNO)
    labels = [] if program is None else [label[0] for label in program["charge"].labels]
    if program is not None and name in labels:
        at = labels.index(name)
        parts = {k: float(v[at]) for k, v in price_parts(program, eq.values).items()}
    rows, texts = {}, []
    for side, price, market, sign, words in (
        ("charge", "charge_price", "purchase_price", 1.0, ("take", "pay", "buys at")),
        ("discharge", "discharge_price", "resale_price", -1.0, ("give", "receive", "sells at")),
    )[: 1 + scenario.v2g]:
        row = {
            "kw": float(data[f"{side}_kw"].sel(station=name)),
            "price_usd_kwh": float(data[price].sel(station=name)),
            "lse_usd_kwh": float(data[market].sel(station=name)),
            "operation_usd_kwh": sign * parts[side],
            "limits_usd_kwh": parts["limits"],
        }
        rows[side] = row
        amount, vehicles, operator = words
        text = (
            f"vehicles {amount} {row['kw']:.0f} kW and {vehicles} {row['price_usd_kwh']:.4f} "
            f"$/kWh; the operator {operator} {row['lse_usd_kwh']:.4f} $/kWh"
        )
        small = SMALL * scenario.price_scale
        if parts[side] > small:
            text += f", to run the station costs {parts[side]:.4f} $/kWh more"
        if abs(parts["limits"]) > small:
            text += f", its limits are worth {parts['limits']:.4f} $/kWh"
        texts.append(text)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("side").round(9)
    for result, has in (
        ("pv_kw", "its PV makes"),
        ("store_charge_kw", "its store takes"),
        ("store_discharge_kw", "its store gives"),
    ):
        most = float(scenario.stations[result][name])
        if most and result in data:
            now = float(data[result].sel(station=name))
            texts.append(f"{has} {now:.0f} of {most:.0f} kW")
    where = str(scenario.stations.loc[name, "bus"])
    return Explanation(f"Station {name} at bus {where}: {'. Also, '.join(texts)}.", table)
