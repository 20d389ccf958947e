"""Whether a result is the only one an equilibrium allows, or one of an interval.

Section 5: where limits are tight without need, and where nothing is traded, prices are intervals,
and solvers return different points of them. Every quantity is compared with what can move without
leaving the equilibrium (`v2geq.results.polytope`); ends are by linear programs, to which paths are
added that prices at the ends would make the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import listed
from v2geq.market.coupling import Coupled, couple
from v2geq.market.prices import STATION_PRICES, thetas, traded
from v2geq.mcp.assemble import MCP
from v2geq.players.lse import player_name
from v2geq.results.path_flows import with_cheapest_paths
from v2geq.results.polytope import (
    SPANNED,
    Polytope,
    is_monotone,
    multipliers,
    strategies,
)
from v2geq.results.tables import tables
from v2geq.trips.generation import price_all

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("result", "label", "low", "high", "status", "proof")
UNIQUE, INTERVAL, UNKNOWN = "unique", "interval", "unknown"
STRICT, REGULAR, LINEAR = "strict monotonicity", "regular active set", "LP"
WIDTH = 1e-7
"""Width of an interval, beside its scale, up to which both ends are the same."""
MORE_PATHS = 20
"""Times paths are added at one end of an interval."""
CHEAPER = 1e-9
"""Relative saving from which a path at the end of an interval takes part."""
MOVE = 1e-3
"""Size of the moves, in data scales, that show what is not unique."""
FAR = 10.0
"""Price, in values of lost load, from which on a price counts as none that is ever reached."""
SMALL_ROAD = 100
"""Nodes up to which prices are looked at that pay vehicles for charging."""


@dataclass(frozen=True)
class Linear:
    """A result as linear function of blocks of z: one row of every matrix per label.

    `start` is the result at the point at hand; `scale` what differences are compared with.
    """

    result: str
    labels: list[str]
    parts: Mapping[str, sp.csr_array]
    start: FloatArray
    scale: float

    def weights(self, mcp: MCP, polytope: Polytope) -> sp.csr_array:
        """(label, entry) change of the result per move of the polytope's entries."""
        place = np.full(mcp.n, -1)
        place[polytope.entries] = np.arange(len(polytope.entries))
        parts = [(sp.coo_array(part), mcp[name].start) for name, part in self.parts.items()]
        row = np.concatenate([part.row for part, _ in parts])
        column = place[np.concatenate([part.col + start for part, start in parts])]
        data = np.concatenate([part.data for part, _ in parts]) * polytope.column[column]
        moves = column >= 0
        shape = (len(self.labels), len(polytope.entries))
        return sp.csr_array(sp.coo_array((data[moves], (row[moves], column[moves])), shape=shape))


def uniqueness(
    coupled: Coupled, values: Mapping[str, FloatArray], *, full: bool = False
) -> pd.DataFrame:
    """What is unique and what is not, by result and label.

    Parameters
    ----------
    full
        All results; otherwise prices of energy, of firm load and at stations.

    Returns
    -------
    pandas.DataFrame
        Columns result, label, low, high (in the result's unit), status ("unique", "interval" or
        "unknown") and proof ("strict monotonicity", "regular active set" or "LP"). A station's
        price where nothing is traded is an interval, from the price at which trade would start to
        that at which the first vehicle would come. Where classes value time differently nothing is
        known of equilibria far away: what only cannot move nearby is "unknown" as well.
    """
    import pandas as pd

    point = coupled.mcp.join(dict(values))
    prices = _Search(coupled, point, multipliers(coupled.mcp, point))
    trade = traded(coupled, values)
    rows = []
    for quantity in _prices(coupled, values, full=full):
        idle = ~trade[quantity.result] if quantity.result in trade else None
        rows += prices.rows(quantity, skip=idle)
        if idle is not None:
            rows += _untraded(prices, quantity, idle, paid=full)
    if full:
        rows += _beside_prices(prices, values, {row[0] for row in rows})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _beside_prices(
    prices: _Search, values: Mapping[str, FloatArray], done: set[str]
) -> Iterator[tuple[Any, ...]]:
    """Rows of all results but those `done`."""
    wide, wide_values, complete = with_cheapest_paths(prices.coupled, values)
    wide = replace(wide, mcp=couple(wide.scenario, wide.traffic).mcp)
    point = wide.mcp.join(wide_values)
    polytope, strict = strategies(wide.mcp, point)
    flows = _Search(wide, point, polytope, exact=complete, strict=strict)
    for quantity in _quantities(wide, wide_values):
        done.add(quantity.result)
        yield from flows.rows(quantity)
    # what is left is no linear function: it is unique where nothing that may move changes it
    data = tables(wide, wide_values)
    by_prices = changing(prices.coupled, prices.z, prices.polytope)
    for name, moves in changing(wide, point, polytope).items():
        if name in done:
            continue
        result, moves = data[name], moves | by_prices[name]
        labels = product(*(map(str, result[d].to_numpy()) for d in result.dims))
        for label, moved, value in zip(labels, moves.flat, result.to_numpy().flat, strict=True):
            text = ", ".join(label)
            if np.isnan(value):
                continue
            if moved or not prices.monotone:
                yield name, text, np.nan, np.nan, UNKNOWN, ""
            else:
                yield name, text, float(value), float(value), UNIQUE, REGULAR


def changing(coupled: Coupled, z: FloatArray, polytope: Polytope) -> dict[str, BoolArray]:
    """Results that hang on strategies or prices, and where a move of the polytope changes them.

    In the shape of each result; what is data is left out.
    """
    mcp = coupled.mcp
    here = tables(coupled, mcp.split(z))
    names = [str(k) for k in here if here[k].dtype.kind == "f"]

    def change(entries: IntArray, move: FloatArray) -> dict[str, FloatArray]:
        moved = z.copy()
        moved[entries] += MOVE * mcp.scale[entries] * move
        there = tables(coupled, mcp.split(moved))
        return {k: np.nan_to_num(np.abs((there[k] - here[k]).to_numpy())) for k in names}

    # what a move of everything changes is what the moves are compared with
    whole = change(np.arange(mcp.n), np.random.default_rng(1).normal(size=mcp.n))
    moves = [change(polytope.entries, move) for move in polytope.moves()]
    return {
        k: np.any([m[k] > SPANNED * size for m in moves], axis=0)
        for k, size in whole.items()
        if size.any()
    }


def where_used(coupled: Coupled, table: pd.DataFrame) -> pd.DataFrame:
    """Rows on prices of energy at buses with load, a station or a generator."""
    scenario = coupled.scenario
    used = {scenario.buses[i] for i in scenario.load_buses}
    used |= set(scenario.stations["bus"]) | set(scenario.generators["bus"])
    return table[(table["result"] == "dlmp") & table["label"].isin(used)]


def notes_on(coupled: Coupled, table: pd.DataFrame) -> list[str]:
    """What a reader of prices should know: those that are not unique where anybody trades."""
    prices = where_used(coupled, table)
    out = []
    several = prices[prices["status"] == INTERVAL]
    if len(several):
        first = several.iloc[0]
        out.append(
            f"prices of energy are not unique at buses {listed(list(several['label']))}; at "
            f"{first['label']}: any value from {first['low']:.6g} to {first['high']:.6g} $/kWh"
        )
    unknown = prices[prices["status"] == UNKNOWN]
    if len(unknown):
        out.append(
            "whether prices of energy are unique is not known at buses "
            f"{listed(list(unknown['label']))}"
        )
    return out


class _Search:
    """Judges quantities over one polytope."""

    def __init__(
        self,
        coupled: Coupled,
        z: FloatArray,
        polytope: Polytope,
        *,
        exact: bool = True,
        strict: BoolArray | None = None,
    ) -> None:
        self.coupled, self.z, self.polytope = coupled, z, polytope
        self.exact, self.strict = exact, strict
        self.monotone = is_monotone(coupled.mcp)
        self.moves = polytope.moves()
        self.first: dict[tuple[int, bool], float] = {}

    def changes(self, quantity: Linear) -> tuple[FloatArray, BoolArray]:
        """(label, move) changes of the quantity, and (label,) whether no move changes it."""
        weights = quantity.weights(self.coupled.mcp, self.polytope)
        size = np.sqrt(np.asarray((weights**2).sum(axis=1)).ravel())
        change: FloatArray = weights @ self.moves.T
        return change, np.abs(change).max(axis=1, initial=0.0) <= SPANNED * size

    def rows(self, quantity: Linear, skip: BoolArray | None = None) -> list[tuple[Any, ...]]:
        """Rows of the table for the labels of a quantity that are not to be skipped."""
        change, fixed = self.changes(quantity)
        proof = self._proof(quantity)
        shared: dict[tuple[float, ...], tuple[float, float, float]] = {}
        out = []
        for k, label in enumerate(quantity.labels):
            if skip is not None and skip[k]:
                continue
            value = float(quantity.start[k])
            if not self.monotone:
                out.append((quantity.result, label, np.nan, np.nan, UNKNOWN, ""))
            elif fixed[k]:
                out.append((quantity.result, label, value, value, UNIQUE, proof))
            else:
                out.append(
                    (quantity.result, label, *self._interval(quantity, k, change[k], shared))
                )
        return out

    def _proof(self, quantity: Linear) -> str:
        if self.strict is None:
            return REGULAR
        mcp = self.coupled.mcp
        touched = [mcp[name] for name, part in quantity.parts.items() if part.nnz]
        return STRICT if all(self.strict[b.slice].all() for b in touched) else REGULAR

    def _interval(
        self,
        quantity: Linear,
        k: int,
        change: FloatArray,
        shared: dict[tuple[float, ...], tuple[float, float, float]],
    ) -> tuple[float, float, str, str]:
        """Ends, status and proof of one label; `shared` keeps those of the same direction."""
        largest = float(change[np.argmax(np.abs(change))])
        key = tuple(np.round(change / largest, 6).tolist())
        if key not in shared:
            ends = [self._end(quantity, k, sign) for sign in (1.0, -1.0)]
            if ends[0] is None or ends[1] is None:
                return np.nan, np.nan, UNKNOWN, LINEAR
            shared[key] = (ends[0], -ends[1], largest)
        low, high, unit = shared[key]
        # quantities that every move changes in proportion have intervals in proportion
        low, high = sorted((low * largest / unit, high * largest / unit))
        value = float(quantity.start[k])
        if high - low <= WIDTH * quantity.scale:
            return value, value, UNIQUE, LINEAR
        return value + low, value + high, INTERVAL, LINEAR

    def _end(self, quantity: Linear, k: int, sign: float) -> float | None:
        """Least change of `sign` times the quantity; None where it was not found."""
        for _ in range(MORE_PATHS):
            weights = sign * quantity.weights(self.coupled.mcp, self.polytope)[[k]].toarray()[0]
            found = self.polytope.least_value(weights)
            if found is None or self.strict is not None:
                return None if found is None or not self.exact else found[0]
            if not np.isfinite(found[0]) or not self._grow(found[1]):
                return found[0]
        return None

    def _grow(self, move: FloatArray) -> bool:
        """Let paths take part that are cheaper than those in use after a move of prices."""
        coupled, mcp = self.coupled, self.coupled.mcp
        if coupled.scenario.case.paths.method != "exact":
            return False
        z = self.z.copy()
        z[self.polytope.entries] += self.polytope.column * move
        values, traffic = mcp.split(z), coupled.traffic
        limit = traffic.trip_costs(values, -CHEAPER)
        roads = traffic.with_paths(price_all(traffic, traffic.conditions(values), limit).paths)
        if roads.columns == traffic.columns:
            return False
        self.coupled = couple(coupled.scenario, roads)
        self.z = self.coupled.mcp.carry(mcp, self.z)
        self.polytope = multipliers(self.coupled.mcp, self.z)
        self.moves = self.polytope.moves()
        return True


# ---------------------------------------------------------------------------------------------
# Stations where nothing is traded


def _untraded(
    search: _Search, quantity: Linear, idle: BoolArray, *, paid: bool
) -> Iterator[tuple[Any, ...]]:
    """Rows of stations without trade: from where trade would start to where a vehicle would come.

    Where trade would start is the canonical price; that it is unique says the active set. Where the
    first vehicle would come, all other prices as they are, is found from the other side: every
    cheapest path that would earn says at which price it would not. The CNO's prices are the
    drivers' less what a station's limits cost.
    """
    coupled, values = search.coupled, search.coupled.mcp.split(search.z)
    charging = quantity.result in ("charge_price", "purchase_price")
    drivers = "charge_price" if charging else "discharge_price"
    markup = values[drivers] - quantity.start
    _, settled = search.changes(_canonical(coupled, values, quantity.result))
    for s in np.flatnonzero(idle).tolist():
        label, here = quantity.labels[s], float(quantity.start[s])
        if not (search.monotone and settled[s]):
            yield quantity.result, label, np.nan, np.nan, UNKNOWN, LINEAR if search.monotone else ""
            continue
        if (s, charging) not in search.first:
            search.first[s, charging] = _first_vehicle(
                coupled, values, s, charging=charging, paid=paid
            )
        other = search.first[s, charging] - float(markup[s])
        low, high = (min(other, here), here) if charging else (here, max(other, here))
        if np.isnan(other):
            yield quantity.result, label, np.nan, np.nan, UNKNOWN, LINEAR
        elif high - low <= WIDTH * quantity.scale:
            yield quantity.result, label, here, here, UNIQUE, LINEAR
        else:
            yield quantity.result, label, low, high, INTERVAL, LINEAR


def _first_vehicle(
    coupled: Coupled,
    values: Mapping[str, FloatArray],
    station: int,
    *,
    charging: bool,
    paid: bool,
) -> float:
    """Price at which the first vehicle would trade at a station without trade, $/kWh.

    Infinite where no price brings any. Prices that pay vehicles to charge, more than their time
    at the plug, take a search over elementary routes: they are tried where `paid`, on small roads,
    else nan is returned where nobody comes without.
    """
    traffic, scenario = coupled.traffic, coupled.scenario
    charge, discharge = values["charge_price"].copy(), values.get("discharge_price")
    discharge = None if discharge is None else discharge.copy()
    electric = [name for name, kind in traffic.classes.items() if kind.kind == "ev"]
    if not electric:
        return -np.inf if charging else np.inf
    cost, here = traffic.trip_costs(values), traffic.conditions(values)
    far = FAR * scenario.case.market.voll
    plug = [traffic.classes[k].value_of_time / traffic.charger_power(k)[station] for k in electric]
    paid &= len(traffic.graph.nodes) <= SMALL_ROAD
    start = far if not charging else -far if paid else -float(min(plug))
    price = start
    for _ in range(MORE_PATHS * 5):
        prices = charge if charging or discharge is None else discharge
        prices[station] = price
        found = price_all(
            traffic,
            replace(here, charge_price=charge, discharge_price=discharge),
            below=traffic.trip_costs(values, -CHEAPER),
            kinds=("ev",),
        )
        ends = []
        for name in electric:
            for path in found.paths[name]:
                sign = 1.0 if charging else -1.0
                kind = "C" if charging else "D"
                energy = sum(
                    s.energy_kwh for s in path.stops if s.station == station and s.kind == kind
                )
                if energy > 0.0:
                    saving = cost[name][path.od] - found.cost[name][path.od]
                    ends.append(price + sign * saving / energy)
        if not ends:
            if price != start:
                return price
            if charging and not paid:
                return np.nan
            return -np.inf if charging else np.inf
        price = max(ends) if charging else min(ends)
    return np.nan


# ---------------------------------------------------------------------------------------------
# Results as linear functions


def _ones(n: int, at: FloatArray | None = None) -> sp.csr_array:
    """(n, 1) ones, or what stands at the labels."""
    return sp.csr_array(np.ones((n, 1)) if at is None else at.reshape(-1, 1))


def _prices(coupled: Coupled, values: Mapping[str, FloatArray], *, full: bool) -> Iterator[Linear]:
    """Results that hang on multipliers and prices."""
    scenario, case = coupled.scenario, coupled.scenario.case
    buses, unit = [str(b) for b in scenario.buses], scenario.price_scale
    portion = {k: float(p) for k, p in case.lses["portion"].items()}
    fee = values["wheeling_price"]
    theta = {k: float(values[f"{player_name(str(k))}.energy"][0]) for k in portion}
    n, eye = len(buses), sp.eye_array(len(buses), format="csr")
    energy = {f"{player_name(str(k))}.energy": p * _ones(n) for k, p in portion.items()}
    dlmp = fee + sum(p * theta[k] for k, p in portion.items())
    yield Linear("dlmp", buses, {"wheeling_price": eye, **energy}, dlmp, unit)
    # an LSE that sheds pays the value of lost load, whatever the price of energy
    parts, price = {}, np.zeros(n)
    at_fee = np.zeros(n)
    for k, p in portion.items():
        program = coupled.programs[player_name(str(k))]
        shed = next(v for v in program.variables if v.name == "shed")
        served = np.ones(n)
        where = [scenario.bus_position[label[0]] for label in shed.labels]
        served[where] = values[shed.key] <= 1e-9 * scenario.power_scale
        at_fee += p * served
        parts[f"{player_name(str(k))}.energy"] = p * _ones(n, served)
        price += p * np.minimum(fee + theta[k], case.market.voll)
    parts["wheeling_price"] = sp.csr_array(sp.diags_array(at_fee))
    yield Linear("firm_price", buses, parts, price, unit)
    stations = [str(s) for s in scenario.stations.index]
    at_station = sp.eye_array(len(stations), format="csr")
    for name in STATION_PRICES if full else STATION_PRICES[:2]:
        if name in values:
            yield Linear(name, stations, {name: at_station}, values[name], unit)
    if not full:
        return
    yield Linear("wheeling_price", buses, {"wheeling_price": eye}, fee, unit)
    yield Linear("energy_price", buses, energy, dlmp - fee, unit)
    for k in portion:
        own = f"{player_name(str(k))}.energy"
        yield Linear("theta", [str(k)], {own: _ones(1)}, values[own], unit)
    yield Linear("tso_price", [""], {"tso_price": _ones(1)}, values["tso_price"], unit)
    traffic = coupled.traffic
    for name in traffic.classes:
        block = traffic.demand_key(name)
        factor = 1.0 / traffic.rescaling(name)
        yield Linear(
            f"cost_{name}",
            ["-".join(od) for od in traffic.od_names(name)],
            {block: sp.csr_array(factor * sp.eye_array(len(values[block])))},
            traffic.trip_cost(values, name),
            traffic.free_flow_cost,
        )


def _canonical(coupled: Coupled, values: Mapping[str, FloatArray], result: str) -> Linear:
    """Price at every station at which trade would start, see `v2geq.market.prices`."""
    scenario = coupled.scenario
    stations = [str(s) for s in scenario.stations.index]
    n = len(stations)
    at = [scenario.bus_position[b] for b in scenario.stations["bus"]]
    bus = sp.csr_array((np.ones(n), (np.arange(n), at)), shape=(n, len(scenario.buses)))
    theta = thetas(coupled, values)
    buys = result in ("charge_price", "purchase_price")
    marginal = scenario.case.lses.index[int(theta.argmin() if buys else theta.argmax())]
    parts = {"wheeling_price": bus, f"{player_name(marginal)}.energy": _ones(n)}
    if result in ("charge_price", "discharge_price"):
        eye = sp.eye_array(n, format="csr")
        parts |= {"cno.net_upper": eye, "cno.net_lower": -eye}
    return Linear("", stations, parts, np.zeros(n), scenario.price_scale)


def _quantities(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Linear]:
    """Results that are linear in strategies, by the names and labels of `tables`."""
    scenario, traffic, mcp = coupled.scenario, coupled.traffic, coupled.mcp
    kw, trade = scenario.power_scale, scenario.station_scale(traffic.energy_reach)

    def block(result: str, name: str, scale: float) -> Linear:
        own = mcp[name]
        labels = [", ".join(label) for label in own.labels]
        return Linear(
            result, labels, {name: sp.eye_array(len(own), format="csr")}, values[name], scale
        )

    for result, name, scale in (
        ("p_kw", "dso.p_line", kw),
        ("q_kvar", "dso.q_line", kw),
        ("withdrawal_kw", "dso.withdrawal", kw),
        ("tso_import_kw", "dso.p_tso", kw),
        ("tso_reactive_kvar", "dso.q_tso", kw),
        ("charge_kw", "cno.charge", trade),
        ("discharge_kw", "cno.discharge", trade),
        ("flow_veh_h", traffic.arc_key, float(mcp.scale[mcp[traffic.arc_key].start])),
    ):
        if name in mcp:
            yield block(result, name, scale)
    # near one a move of the square is twice that of the voltage
    squared = block("voltage_pu", "dso.v_squared", scenario.voltage_scale)
    voltage = np.sqrt(squared.start)
    half = sp.csr_array(sp.diags_array(0.5 / voltage))
    yield replace(squared, parts={"dso.v_squared": half}, start=voltage)
    if traffic.shared_queues and traffic.queues:
        stops = float(mcp.scale[mcp[traffic.queue_key].start])
        yield block("stops_veh_h", traffic.queue_key, stops)
    names = [str(k) for k in scenario.case.lses.index]
    for k in names:
        yield block("generation_kw", f"{player_name(k)}.generation", kw)
        yield replace(block("import_kw", f"{player_name(k)}.import", kw), labels=[k])
        for result, what, scale in (
            ("shed_by_lse_kw", "shed", kw),
            ("to_station_kw", "to_station", trade),
            ("from_station_kw", "from_station", trade),
        ):
            if f"{player_name(k)}.{what}" in mcp:
                own = block(result, f"{player_name(k)}.{what}", scale)
                yield replace(own, labels=[f"{k}, {label}" for label in own.labels])
    for result, what in (("shed_kw", "shed"), ("sales_kw", "sales")):
        yield _by_bus(coupled, values, result, [f"{player_name(k)}.{what}" for k in names])
    for name, demand in traffic.demand.items():
        incidence = traffic.paths[name].arc_incidence
        flow = traffic.flow_key(name)
        yield Linear(
            f"flow_{name}_veh_h",
            list(traffic.graph.arcs),
            {flow: incidence},
            incidence @ values[flow],
            float(demand.mean()) if len(demand) else 1.0,
        )


def _by_bus(
    coupled: Coupled, values: Mapping[str, FloatArray], result: str, blocks: list[str]
) -> Linear:
    """Sum over LSEs at every bus where one of them has any."""
    labels = list(dict.fromkeys(label[0] for b in blocks for label in coupled.mcp[b].labels))
    place = {label: i for i, label in enumerate(labels)}
    parts = {}
    for name in blocks:
        rows = [place[label[0]] for label in coupled.mcp[name].labels]
        shape = (len(labels), len(rows))
        parts[name] = sp.csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=shape)
    total = sum((part @ values[name] for name, part in parts.items()), np.zeros(len(labels)))
    return Linear(result, labels, parts, total, coupled.scenario.power_scale)
