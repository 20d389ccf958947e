"""Why a bus has its price: its parts, who serves it and which limits make it differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2geq.market.sites import energy_sold
from v2geq.results.point import Point

if TYPE_CHECKING:
    import pandas as pd

SMALL = 1e-6
_ADDED = {"rating": "congestion", "voltage": "voltage", "loss": "loss", "reactive": "reactive"}


def bus_reasons(eq: Point, bus: str) -> tuple[str, pd.DataFrame]:
    """Text and table of an energised bus."""
    scenario, currency = eq.scenario, eq.scenario.case.currency
    table = way_to(eq, bus)
    at = scenario.bus_position[bus]
    fee = float(eq.data["wheeling_price"].sel(bus=bus))
    energy = float(eq.data["energy_price"].sel(bus=bus))
    parts = [
        f"Bus {bus}: energy is worth {fee + energy:z.4f} {currency}/kWh, of which {energy:z.4f} is "
        f"the energy price of the load serving entities and {fee:z.4f} the wheeling "
        "fee from the substation.",
        _firm_text(eq, bus, fee + energy),
        unique_text(eq, "dlmp", bus),
        _energy_text(eq),
        _fee_text(eq, bus, table),
        _local_text(eq, bus, at),
        _reactive_text(eq, bus),
    ]
    return " ".join(p for p in parts if p), table.round(9)


def way_to(eq: Point, bus: str) -> pd.DataFrame:
    """Lines to a bus with what each adds to the fee; losses make all parts change on the way."""
    scenario = eq.scenario
    fee = eq.data["wheeling_price"].sel(bus=list(scenario.buses)).to_numpy()
    table = eq.coupled.grid.way(eq.values, bus, fee)
    if _by_parts(eq):
        parts = eq.dlmp_parts
        rise = parts.loc[table["to_bus"]].to_numpy() - parts.loc[table["from_bus"]].to_numpy()
        for name, part in _ADDED.items():
            table[f"{name}_price"] = rise[:, parts.columns.get_loc(part)]
    return table


def _by_parts(eq: Point) -> bool:
    """Whether all parts of a price change along the way, not at limits alone."""
    return eq.coupled.grid.has_losses or len(eq.coupled.grid.places.dims) > 1


def _firm_text(eq: Point, bus: str, dlmp: float) -> str:
    """What one more kW of firm load costs, where that is not the price of energy."""
    price = float(eq.data["firm_price"].sel(bus=bus))
    if abs(price - dlmp) <= SMALL * eq.scenario.price_scale:
        return ""
    return (
        f"One more kW of firm load costs {price:z.4f} {eq.scenario.case.currency}/kWh: it would be "
        "shed, at the value of lost load."
    )


def unique_text(eq: Point, result: str, label: str) -> str:
    """Whether a price is the only one."""
    if not eq.tells_uniqueness:
        return ""
    table = eq.uniqueness
    for row in table[(table["result"] == result) & (table["label"] == label)].itertuples():
        if row.status == "unique":
            return "It is the only price an equilibrium has here."
        if row.status == "interval":
            return (
                f"It is not unique: any price from {row.low:z.4f} to {row.high:z.4f} "
                f"{eq.scenario.case.currency}/kWh belongs to an equilibrium."
            )
        return "Whether it is the only one is not known."
    return ""


def _energy_text(eq: Point) -> str:
    values, scenario = eq.values, eq.scenario
    small = SMALL * scenario.power_scale
    imported = eq.coupled.grid.import_kw(values)
    substation = scenario.case.substation
    tau = f"{float(eq.data['tso_price']):z.4f} {scenario.case.currency}/kWh"
    if imported < -small:
        full = ", its limit," if imported < small - substation.export_max else ""
        return (
            f"The load serving entities sell {-imported:.0f} kW{full} to the transmission system "
            f"at {tau}."
        )
    buying = [
        str(k) for k in eq.data["lse"].to_numpy() if float(eq.data["import_kw"].sel(lse=k)) > small
    ]
    if not buying:
        return "No load serving entity buys from the transmission system."
    if imported < small:
        return f"The load serving entities trade with each other alone, at {tau}."
    full = ", its limit" if imported > substation.import_max - small else ""
    return (
        f"{', '.join(buying)} buy{'s' if len(buying) == 1 else ''} {imported:.0f} kW{full} from "
        f"the transmission system at {tau}."
    )


def _fee_text(eq: Point, bus: str, table: pd.DataFrame) -> str:
    seen, unit = SMALL * eq.scenario.price_scale, f"{eq.scenario.case.currency}/kWh"
    parts, texts = eq.dlmp_parts.loc[bus], []
    if eq.coupled.grid.network.head(bus):
        texts.append(
            f"the bus is in an island without the substation, whose own scarcity is priced at "
            f"{parts['scarcity']:z.4f} {unit} over the energy price"
        )
    if eq.coupled.grid.has_losses:
        texts.append(f"losses add {parts['loss']:z.4f} {unit}")
    added = eq.congestion_parts.T[bus]
    added = added[added.abs() > seen]
    on_the_way = table.index.intersection(added.index)
    for line, amount in added[on_the_way.append(added.index.difference(on_the_way))].items():
        texts.append(f"line {line} is full and adds {amount:z.4f} {unit}")
    limited = eq.voltage_parts.T[bus]
    for other, amount in limited[limited.abs() > seen].items():
        texts.append(f"the voltage limit at bus {other} adds {amount:z.4f} {unit}")
    if abs(parts["reactive"]) > seen:
        texts.append(f"reactive power adds {parts['reactive']:z.4f} {unit}")
    if not texts:
        return "No limit between the substation and the bus has a price."
    return "On the way: " + "; ".join(texts) + "."


def _reactive_text(eq: Point, bus: str) -> str:
    """What reactive power is worth at the bus, where players sell some."""
    if "reactive_price" not in eq.data:
        return ""
    price = float(eq.data["reactive_price"].sel(bus=bus).mean())
    if not abs(price) > SMALL * eq.scenario.price_scale:
        return ""
    return f"Reactive power is bought here at {price:z.4f} {eq.scenario.case.currency}/kvarh."


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
            f"{scenario.case.market.voll:g} {scenario.case.currency}/kWh"
        )
    if not texts:
        return ""
    return "In this part of the feeder " + "; ".join(texts) + "."
