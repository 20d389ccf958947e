"""Whether a result is the only one an equilibrium allows, or one of an interval.

Section 5: where limits are tight without need, and where nothing is traded, prices are intervals,
and solvers return different points of them. Every quantity is compared with what can move without
leaving the equilibrium (`v2geq.results.polytope`); ends are by linear programs, to which paths are
added that prices at the ends would make the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.coupling import Coupled, couple
from v2geq.errors import listed
from v2geq.mcp.assemble import MCP
from v2geq.players.generation import StationPrices, price_all
from v2geq.players.lse import player_name
from v2geq.results.path_flows import with_cheapest_paths
from v2geq.results.polytope import (
    SPANNED,
    Polytope,
    is_monotone,
    multipliers,
    strategies,
)

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

    own = dict(values)
    point = coupled.mcp.join(own)
    prices = _Search(coupled, point, multipliers(coupled.mcp, point))
    traded = _traded(coupled, own)
    rows = []
    for quantity in _prices(coupled, own, full=full):
        at_station = traded.get(quantity.result)
        skip = None if at_station is None else ~at_station
        rows += prices.rows(quantity, skip=skip)
        if at_station is not None and quantity.result in ("charge_price", "discharge_price"):
            rows += _untraded(prices, quantity, ~at_station, full=full)
    if full:
        wide, wide_values, complete = with_cheapest_paths(coupled, own)
        wide = replace(wide, mcp=couple(wide.scenario, wide.traffic).mcp)
        moves, strict = strategies(wide.mcp, wide.mcp.join(wide_values))
        flows = _Search(wide, wide.mcp.join(wide_values), moves, exact=complete, strict=strict)
        for quantity in _quantities(wide, wide_values):
            rows += flows.rows(quantity)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def notes_on(coupled: Coupled, table: pd.DataFrame) -> list[str]:
    """What a reader of prices should know: those that are not unique where anybody trades."""
    scenario = coupled.scenario
    used = {scenario.buses[i] for i in scenario.load_buses}
    used |= set(scenario.stations["bus"]) | set(scenario.generators["bus"])
    several = table[table["status"] != UNIQUE]
    out = []
    at_buses = several[(several["result"] == "dlmp") & several["label"].isin(used)]
    if len(at_buses):
        out.append(f"prices of energy are not unique at buses {_some(at_buses)}")
    return out


def _some(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    known = first["status"] == INTERVAL
    ends = f"any value from {first['low']:.6g} to {first['high']:.6g}" if known else "unknown"
    return f"{listed(list(rows['label']))}; at {first['label']}: {ends} $/kWh"


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
        cost = {name: traffic.trip_cost(name, values) for name in traffic.classes}
        found = price_all(
            traffic,
            values["drivers.arc_flow"],
            values["drivers.station_flow"],
            StationPrices(values["charge_price"], values.get("discharge_price")),
            below={name: c - CHEAPER * np.abs(c) for name, c in cost.items()},
        )
        roads = traffic.copy()
        if not sum(roads.add(name, paths) for name, paths in found.paths.items()):
            return False
        self.coupled = couple(coupled.scenario, roads)
        self.z = self.coupled.mcp.carry(mcp, self.z)
        self.polytope = multipliers(self.coupled.mcp, self.z)
        self.moves = self.polytope.moves()
        return True


# ---------------------------------------------------------------------------------------------
# Stations where nothing is traded


def _traded(coupled: Coupled, values: Mapping[str, FloatArray]) -> dict[str, BoolArray]:
    """Result -> (station,) whether anything is traded at that price."""
    least = 1e-6 * coupled.scenario.station_scale(coupled.traffic.energy_reach)
    out = {"charge_price": values["cno.charge"] > least}
    out["purchase_price"] = out["charge_price"]
    if "cno.discharge" in values:
        out["discharge_price"] = values["cno.discharge"] > least
        out["resale_price"] = out["discharge_price"]
    return out


def _untraded(
    search: _Search, quantity: Linear, idle: BoolArray, *, full: bool
) -> Iterator[tuple[Any, ...]]:
    """Rows of stations without trade: from where trade would start to where a vehicle would come.

    Where trade would start is the canonical price; that it is unique says the active set. Where the
    first vehicle would come, all other prices as they are, is found from the other side: every
    cheapest path that would earn says at which price it would not.
    """
    coupled, mcp = search.coupled, search.coupled.mcp
    values = mcp.split(search.z)
    charging = quantity.result == "charge_price"
    _, settled = search.changes(_canonical(coupled, values, charging=charging))
    for s in np.flatnonzero(idle).tolist():
        label, here = quantity.labels[s], float(quantity.start[s])
        if not (search.monotone and settled[s]):
            yield quantity.result, label, np.nan, np.nan, UNKNOWN, LINEAR
            continue
        other = _first_vehicle(coupled, values, s, charging=charging, paid=full)
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
    cost = {name: traffic.trip_cost(name, values) for name in traffic.classes}
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
            values["drivers.arc_flow"],
            values["drivers.station_flow"],
            StationPrices(charge, discharge),
            below={name: c - CHEAPER * np.abs(c) for name, c in cost.items()},
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
    listed = ["charge_price", "discharge_price"]
    listed += ["purchase_price", "resale_price"] if full else []
    for name in listed:
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
        block = f"drivers.demand_{name}"
        factor = 1.0 / traffic.rescaling(name)
        yield Linear(
            f"cost_{name}",
            ["-".join(od) for od in traffic.od_names(name)],
            {block: sp.csr_array(factor * sp.eye_array(len(values[block])))},
            traffic.trip_cost(name, values),
            traffic.free_flow_cost,
        )


def _canonical(coupled: Coupled, values: Mapping[str, FloatArray], *, charging: bool) -> Linear:
    """Price at every station at which trade would start, see `v2geq.results.prices`."""
    scenario = coupled.scenario
    stations = [str(s) for s in scenario.stations.index]
    n = len(stations)
    at = [scenario.bus_position[b] for b in scenario.stations["bus"]]
    bus = sp.csr_array((np.ones(n), (np.arange(n), at)), shape=(n, len(scenario.buses)))
    names = [player_name(str(k)) for k in scenario.case.lses.index]
    theta = [float(values[f"{k}.energy"][0]) for k in names]
    marginal = names[int(np.argmin(theta) if charging else np.argmax(theta))]
    eye = sp.eye_array(n, format="csr")
    parts = {
        "wheeling_price": bus,
        f"{marginal}.energy": _ones(n),
        "cno.net_upper": eye,
        "cno.net_lower": -eye,
    }
    return Linear("", stations, parts, np.zeros(n), scenario.price_scale)


def _quantities(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Linear]:
    """Results that hang on strategies."""
    scenario, traffic = coupled.scenario, coupled.traffic
    kw = scenario.power_scale
    mcp = coupled.mcp

    def block(result: str, name: str, scale: float) -> Linear:
        own = mcp[name]
        labels = ["-".join(label) for label in own.labels]
        return Linear(
            result, labels, {name: sp.eye_array(len(own), format="csr")}, values[name], scale
        )

    yield block("p_kw", "dso.p_line", kw)
    yield block("q_kvar", "dso.q_line", kw)
    yield block("withdrawal_kw", "dso.withdrawal", kw)
    yield block("tso_import_kw", "dso.p_tso", kw)
    yield block("tso_reactive_kvar", "dso.q_tso", kw)
    squared = block("voltage_pu", "dso.v_squared", scenario.voltage_scale)
    # near one a move of the square is twice that of the voltage
    voltage = np.sqrt(squared.start)
    half = sp.csr_array(sp.diags_array(0.5 / voltage))
    yield replace(squared, parts={"dso.v_squared": half}, start=voltage)
    trade = scenario.station_scale(traffic.energy_reach)
    for result, name in (("charge_kw", "cno.charge"), ("discharge_kw", "cno.discharge")):
        if name in mcp:
            yield block(result, name, trade)
    stop_scale = float(traffic.queue_time.piles.mean()) if traffic.queues else 1.0
    yield block("stops_veh_h", "drivers.station_flow", stop_scale)
    for player in (player_name(str(k)) for k in scenario.case.lses.index):
        yield block("generation_kw", f"{player}.generation", kw)
        yield block(f"import_kw {player}", f"{player}.import", kw)
        yield block(f"shed_kw {player}", f"{player}.shed", kw)
        yield block(f"sales_kw {player}", f"{player}.sales", kw)
        yield block(f"to_station_kw {player}", f"{player}.to_station", trade)
        if f"{player}.from_station" in mcp:
            yield block(f"from_station_kw {player}", f"{player}.from_station", trade)
    yield block("flow_veh_h", "drivers.arc_flow", float(mcp.scale[mcp["drivers.arc_flow"].start]))
    arcs = list(traffic.graph.arcs)
    for name, demand in traffic.demand.items():
        incidence = traffic.paths[name].arc_incidence
        flow = values[f"drivers.flow_{name}"]
        yield Linear(
            f"flow_{name}_veh_h",
            arcs,
            {f"drivers.flow_{name}": incidence},
            incidence @ flow,
            float(demand.mean()) if len(demand) else 1.0,
        )
