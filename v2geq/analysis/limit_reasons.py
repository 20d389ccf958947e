"""Why a station has its prices, and what the rating of a line does to prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from v2geq.analysis.bus_reasons import SMALL, unique_text, way_to
from v2geq.errors import listed
from v2geq.players.cno import CNO, price_parts
from v2geq.results.point import Point

if TYPE_CHECKING:
    import pandas as pd

SIDES = {"charge": "purchase_price", "discharge": "resale_price"}
"""What vehicles do at a station -> price at which its operator trades that energy with LSEs."""


def station_reasons(eq: Point, station: str) -> tuple[str, pd.DataFrame]:
    """Text and table of a station: a row for what vehicles take and one for what they give.

    All prices and their parts are money per kWh.
    price is the sum of lse_price (what the operator trades at), operation_price (its
    cost, or margin) and limits_price; lse_price that of the columns before it.
    """
    import pandas as pd

    data = eq.data.sel(station=station)
    bus = str(eq.scenario.stations.loc[station, "bus"])
    terms = _fee_terms(eq, bus)
    parts = _operator_parts(eq, station)
    rows, texts = {}, []
    for side, market in list(SIDES.items())[: 1 + eq.scenario.v2g]:
        price, own = float(data[f"{side}_price"]), float(data[market])
        limits = 0.0 if parts is None else parts["limits"]
        sign = 1.0 if side == "charge" else -1.0
        rows[side] = {
            "kw": float(data[f"{side}_kw"]),
            "price": price,
            **terms,
            "margin_price": own - sum(terms.values()),
            "lse_price": own,
            # of an operator of the user's only the margin is known
            "operation_price": price - own if parts is None else sign * parts[side],
            "limits_price": limits,
        }
        texts.append(_price_text(eq, station, side, rows[side]["operation_price"] * sign))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("side")
    if not eq.scenario.v2g:
        texts.append("It buys nothing from vehicles: there is no V2G.")
    texts += [_limit_text(eq, station, parts), _queue_text(eq, station), _plant_text(eq, station)]
    text = " ".join([f"Station {station} at bus {bus}.", *texts])
    return " ".join(text.split()), table.round(12) + 0.0


def _operator_parts(eq: Point, station: str) -> dict[str, float] | None:
    """What costs and limits of the built-in operator add to prices; none where it is another's."""
    program = eq.coupled.programs.get(CNO)
    labels = [] if program is None else [label[0] for label in program["charge"].labels]
    if program is None or station not in labels:
        return None
    at = labels.index(station)
    return {k: float(v[at]) for k, v in price_parts(program, eq.values).items()}


def line_reasons(eq: Point, line: str) -> tuple[str, pd.DataFrame]:
    """Text and table of a line: what it adds to the DLMP of the buses it serves."""
    import pandas as pd

    net, data = eq.coupled.grid.network, eq.data
    at = net.lines.names.index(line)
    served = [bus for bus in net.buses if at in net.way(bus)]
    row = way_to(eq, served[0]).loc[line].to_dict()
    own = {name: float(row[f"{name}_price"]) for name in ("rating", "voltage")}
    dlmp = data["dlmp"].sel(bus=served).to_numpy()
    index = pd.Index(served, name="bus")
    rest = dlmp - own["rating"] - own["voltage"]
    columns = {"rating_price": own["rating"], "voltage_price": own["voltage"]}
    table = pd.DataFrame({**columns, "others_price": rest, "dlmp": dlmp}, index=index)

    p, q = (float(data[name].sel(line=line)) for name in ("p_kw", "q_kvar"))
    rating = float(net.lines.rating_kva[at])
    kind = eq.scenario.case.feeder_settings.line_rating
    text = f"Line {line} from bus {row['from_bus']} to {row['to_bus']} carries {p:.0f} kW and "
    text += f"{q:.0f} kvar, {float(row['loading']):.1%} of its rating of {rating:.0f} kVA"
    if kind == "none":
        text += ", which the case does not enforce."
    elif line in eq.coupled.grid.binding(eq.values).lines:
        text += ", which binds."
    else:
        text += ", which does not bind."
    currency = eq.scenario.case.currency
    if abs(own["rating"]) > SMALL * eq.scenario.price_scale:
        text += (
            f" Its shadow price is {own['rating']:z.4f} {currency}/kWh: so much it adds to the "
            f"DLMP of the {len(served)} buses it serves ({listed(served, 6)})."
        )
    else:
        text += f" Its rating moves no price; it serves {len(served)} buses ({listed(served, 6)})."
    if round(own["voltage"], 4):
        text += f" Its voltage drop, where voltage limits bind, adds {own['voltage']:z.4f} "
        text += f"{currency}/kWh."
    return text, table.round(12) + 0.0


def _fee_terms(eq: Point, bus: str) -> dict[str, float]:
    """Terms of the DLMP of a bus, $/kWh."""
    grid, fee = eq.coupled.grid, eq.data["wheeling_price"]
    way = way_to(eq, bus)
    added = [str(c) for c in way.columns if str(c).endswith("_price") and c != "fee_price"]
    return {
        "energy_price": float(eq.data["energy_price"].sel(bus=bus)),
        "island_price": float(fee.sel(bus=eq.scenario.buses[grid.network.head(bus)])),
        **{name: float(way[name].sum()) for name in added},
    }


def _price_text(eq: Point, station: str, side: str, cost: float) -> str:
    data = eq.data.sel(station=station)
    price, kw = float(data[f"{side}_price"]), float(data[f"{side}_kw"])
    unit = f"{eq.scenario.case.currency}/kWh"
    words = f"Vehicles {side} {kw:.0f} kW at {price:z.4f} {unit}"
    if not data[f"{side}_traded"]:
        words = f"No vehicle {side}s; from {price:z.4f} {unit} the station would trade"
    if round(cost, 4):
        words += f", where to run the station costs {cost:z.4f} {unit}"
    return f"{words}. {unique_text(eq, f'{side}_price', station)}"


def _limit_text(eq: Point, station: str, parts: Mapping[str, float] | None) -> str:
    data, own = eq.data.sel(station=station), eq.scenario.stations.loc[station].to_dict()
    net = float(data["charge_kw"] - data["discharge_kw"])
    low, high = -float(own["discharge_max_kw"]), float(own["charge_max_kw"])
    words = f"Its net withdrawal is {net:.0f} kW, within {low:.0f} to {high:.0f} kW"
    price = 0.0 if parts is None else parts["limits"]
    if abs(price) > SMALL * eq.scenario.price_scale:
        adds = f"{price:z.4f} {eq.scenario.case.currency}/kWh"
        return f"{words}, a limit that binds and adds {adds} to its prices."
    return f"{words}; its limits have no price."


def _plant_text(eq: Point, station: str) -> str:
    """What its own plants make, take and give."""
    texts = []
    for result, has in (
        ("pv_kw", "its PV makes"),
        ("store_charge_kw", "its store takes"),
        ("store_discharge_kw", "its store gives"),
    ):
        most = float(eq.scenario.stations[result][station])
        if most and result in eq.data:
            now = float(eq.data[result].sel(station=station))
            texts.append(f"{has} {now:.0f} of {most:.0f} kW")
    return f"Also, {', '.join(texts)}." if texts else ""


def _queue_text(eq: Point, station: str) -> str:
    """Stops, waits and piles, and who stops."""
    traffic, data = eq.coupled.traffic, eq.data.sel(station=station)
    at = list(eq.scenario.stations.index).index(station)
    shared = traffic.shared_queues
    texts = []
    for row, word in enumerate(["stop"] if shared else ["charge", "discharge"]):
        name = "" if shared else f"{word}_"
        stops, wait = (abs(float(data[f"{name}{x}"])) for x in ("stops_veh_h", "wait_h"))
        piles = traffic.queue_time.piles[traffic.queue_of[row, at]]
        texts.append(
            f"{stops:.1f} vehicles an hour {word} at {piles:g} piles and wait {60 * wait:.1f} min "
            "each"
        )
    visits = {}
    for name in traffic.electric:
        flow, paths = traffic.path_flow(eq.values, name), traffic.paths[name]
        visits[name] = float((paths.stop_count @ flow)[at])
    by_class = ", ".join(f"{n:.1f} of class {k}" for k, n in visits.items() if n > SMALL)
    return "; ".join(texts) + (f" ({by_class})." if by_class else ".")
