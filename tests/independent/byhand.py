"""The players' problems and the potential written by hand, from the tables of a case.

Only tables and settings of the case are read, plus the paths (as lists of arcs and stops) where a
path set has to be given; no program, scenario or curve of the package. Lines keep the direction of
their table row, so the package's orientation is checked as well. cvxpy and Clarabel solve.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import networkx as nx
import numpy as np

from v2geq.data.edit.case import Case
from v2geq.equilibrium import Equilibrium

UNIT = 1e3  # programs count in 1,000 $/h, MW and 1,000 veh/h, or Clarabel gives up early


def variable(shape=(), **kw) -> Any:
    """A variable in kW or veh/h whose unknown is in thousands of them."""
    return UNIT * cp.Variable(shape, **kw)


def put(expression, value) -> None:
    """Give a `variable` a value."""
    expression.args[1].value = np.asarray(value, dtype=float) / UNIT


@dataclass
class Facts:
    """A scenario in plain numbers; arrays by energised bus, line, station, generator."""

    case: Case
    v2g: bool
    buses: list[str]
    root: str
    firm: np.ndarray
    responsive: np.ndarray
    reactive: np.ndarray
    q_low: np.ndarray
    q_high: np.ndarray
    lines: Any
    stations: Any
    generators: Any
    island: np.ndarray

    @property
    def at(self) -> dict[str, int]:
        return {b: i for i, b in enumerate(self.buses)}

    def place(self, names) -> np.ndarray:
        """Buses x entries: one where an entry stands."""
        m = np.zeros((len(self.buses), len(names)))
        for k, b in enumerate(names):
            m[self.at[b], k] = 1.0
        return m


def facts(case: Case, scenario: str, v2g: bool) -> Facts:
    """Apply load factor and outages to the tables."""
    data = case.scenarios[scenario]
    assert not data.set, "scenarios that change parameters are not read here"
    f, branches = case.feeder, case.feeder.branches
    closed = branches[~branches["normally_open"] & ~branches.index.isin(data.outages)]
    graph = nx.Graph()
    graph.add_nodes_from(f.buses.index)
    graph.add_edges_from(zip(closed["from_bus"], closed["to_bus"], strict=True))
    used = {*f.loads.index[f.loads["load_kw"] > 0], *case.stations["bus"], f.root}
    used |= {*case.generators["bus"]}
    parts = [c for c in nx.connected_components(graph) if used & c]
    number = {b: k for k, part in enumerate(parts) for b in part}
    buses = [b for b in f.buses.index if b in number]
    load = f.loads["load_kw"].reindex(buses).fillna(0.0).to_numpy() * data.load_factor
    kvar = f.loads["load_kvar"].reindex(buses).fillna(0.0).to_numpy()
    if case.feeder_settings.reactive_load_scales:
        kvar = kvar * data.load_factor
    at = {b: i for i, b in enumerate(buses)}
    low, high = np.zeros(len(buses)), np.zeros(len(buses))
    for bus, q in data.reactive_sources.items():
        if bus in at:
            low[at[bus]] -= q
            high[at[bus]] += q
    for _, g in case.generators.iterrows():
        if g["bus"] in at:
            low[at[g["bus"]]] += g["min_kvar"]
            high[at[g["bus"]]] += g["max_kvar"]
    if case.feeder_settings.capacitors != "none":
        for _, c in f.capacitors.iterrows():
            if c["bus"] in at:
                high[at[c["bus"]]] += c["kvar"]
                fixed = case.feeder_settings.capacitors == "fixed"
                if fixed and number[c["bus"]] == number[f.root]:
                    low[at[c["bus"]]] += c["kvar"]
    return Facts(
        case,
        v2g,
        buses,
        f.root,
        case.market.firm_share * load,
        (1 - case.market.firm_share) * load,
        kvar,
        low,
        high,
        closed[closed["from_bus"].isin(buses)],
        case.stations[case.stations["bus"].isin(buses)],
        case.generators[case.generators["bus"].isin(buses)],
        np.array([number[b] for b in buses]),
    )


def _between(x, low: np.ndarray, high: np.ndarray) -> list[Any]:
    """Bounds, as equations where they meet: an interior-point method needs an interior."""
    fixed, loose = np.flatnonzero(low == high), np.flatnonzero(low < high)
    rules = [x[fixed] == low[fixed]] if len(fixed) else []
    return rules + ([x[loose] >= low[loose], x[loose] <= high[loose]] if len(loose) else [])


# -- physics -------------------------------------------------------------------------------------


class Grid:
    """The DSO's variables and constraints; `withdrawal` is an expression by bus."""

    def __init__(self, f: Facts) -> None:
        n, m = len(f.buses), len(f.lines)
        limits, s = f.case.feeder_settings, f.case.substation
        self.f = f
        self.p, self.q = variable(m), variable(m)
        self.v = cp.Variable(n)
        self.import_kw, self.import_kvar = variable(), variable()
        self.tso_cost = s.price * self.import_kw
        if s.import_min < 0:
            self.tso_cost = cp.maximum(self.tso_cost, s.feed_in_price * self.import_kw)
        self.source = variable(n)
        start, end = f.place(f.lines["from_bus"]), f.place(f.lines["to_bus"])
        root = np.array([b == f.root for b in f.buses], dtype=float)
        self.withdrawal = (end - start) @ self.p + root * self.import_kw
        ratio = f.lines["ratio"].to_numpy()
        if not limits.regulators:
            ratio = np.where(f.lines["kind"] == "regulator", 1.0, ratio)
        r, x = f.lines["r_ohm"].to_numpy(), f.lines["x_ohm"].to_numpy()
        drop = (cp.multiply(r, self.p) + cp.multiply(x, self.q)) / (1000 * f.case.feeder.base_kv**2)
        rating = f.lines["rating_kva"].to_numpy() * limits.rating_factor
        at_root = f.at[f.root]
        free = [i for i in range(n) if i != at_root]
        self.constraints = [
            (end - start) @ self.q + root * self.import_kvar + self.source == f.reactive,
            *_between(self.source, f.q_low, f.q_high),
            end.T @ self.v == cp.multiply(ratio**2, start.T @ self.v - 2 * drop),
            self.v[at_root] == limits.root_voltage**2,
            self.v[free] >= limits.vmin**2,
            self.v[free] <= limits.vmax**2,
            self.import_kw >= s.import_min,
            self.import_kw <= s.import_max,
            self.import_kvar >= s.reactive_min,
            self.import_kvar <= s.reactive_max,
        ]
        if limits.line_rating == "box":
            self.constraints += [cp.abs(self.p) <= rating, cp.abs(self.q) <= rating]
        elif limits.line_rating == "polygon":
            k = limits.rating_sides
            for j in range(k):
                # chord between the corners at 2 pi j / k and 2 pi (j + 1) / k
                a, b = 2 * np.pi * j / k, 2 * np.pi * (j + 1) / k
                normal = np.array([np.sin(b) - np.sin(a), np.cos(a) - np.cos(b)])
                reach = normal @ [np.cos(a), np.sin(a)]
                self.constraints.append(normal[0] * self.p + normal[1] * self.q <= reach * rating)

    def assign(self, eq: Equilibrium) -> None:
        """Put the equilibrium's strategies in, lines turned as in the table."""
        lines = eq.data["line"].to_numpy().tolist()
        order = [lines.index(k) for k in self.f.lines.index]
        sign = np.where(
            eq.from_bus.to_numpy()[order] == self.f.lines["from_bus"].to_numpy(), 1.0, -1.0
        )
        put(self.p, sign * eq.p_kw.to_numpy()[order])
        put(self.q, sign * eq.q_kvar.to_numpy()[order])
        self.v.value = eq.voltage_pu.sel(bus=self.f.buses).to_numpy() ** 2
        put(self.import_kw, float(eq.tso_import_kw))
        put(self.import_kvar, float(eq.tso_reactive_kvar))
        flow_in = (
            self.f.place(self.f.lines["to_bus"]) - self.f.place(self.f.lines["from_bus"])
        ) @ self.q.value
        flow_in[self.f.at[self.f.root]] += self.import_kvar.value
        put(self.source, self.f.reactive - flow_in)


class Retailer:
    """An LSE's variables, balance and use at every bus."""

    def __init__(self, f: Facts, name: str, taken: Any = 0) -> None:
        """`taken` is what plants of stations give by bus, of which an LSE takes its portion."""
        self.f, self.name = f, name
        n, market = len(f.buses), f.case.market
        self.portion = float(f.case.lses.loc[name, "portion"])
        self.has = np.flatnonzero(f.responsive > 0)
        self.own = f.generators[f.generators["lse"] == name]
        self.firm = self.portion * f.firm
        s = len(f.stations)
        self.q = variable(len(self.has), nonneg=True)
        self.shed = variable(n)
        self.gen = variable(len(self.own))
        self.to_station = variable(s, nonneg=True)
        self.from_station = variable(s, nonneg=True)
        self.m = variable(nonneg=f.case.substation.import_min >= 0)
        sold = f.place([f.buses[i] for i in self.has]) @ self.q
        made = f.place(self.own["bus"]) @ self.gen
        station = f.place(f.stations["bus"]) @ (self.to_station - self.from_station)
        taken = self.portion * taken
        self.use = sold + self.firm - self.shed + station - made - taken
        given = cp.sum(self.gen) + cp.sum(self.from_station) + cp.sum(taken)
        self.balance = given + self.m == cp.sum(self.q) + cp.sum(self.firm - self.shed) + cp.sum(
            self.to_station
        )
        self.constraints = [
            self.balance,
            *_between(self.gen, self.own["min_kw"].to_numpy(), self.own["max_kw"].to_numpy()),
            *_between(self.shed, 0 * self.firm, self.firm),
        ]
        if not f.v2g:
            self.constraints.append(self.from_station == 0)
        q0 = f.responsive[self.has]
        self.b = market.reference_price / (-market.elasticity * q0)
        self.a = market.reference_price + self.b * q0
        self.generation_cost = self.own["cost_linear"].to_numpy() @ self.gen + cp.sum(
            cp.multiply(self.own["cost_quadratic"].to_numpy(), cp.square(self.gen))
        )
        self.lost = market.voll * cp.sum(self.shed)

    def revenue(self, rivals: np.ndarray) -> Any:
        """Cournot revenue with the rivals' sales fixed."""
        return (self.a - self.b * rivals) @ self.q - cp.sum(cp.multiply(self.b, cp.square(self.q)))

    def assign(self, eq: Equilibrium) -> None:
        """Put the equilibrium's strategies in."""
        me, mcp = f"lse.{self.name}", eq.coupled.mcp
        buses = [self.f.buses[i] for i in self.has]

        def ordered(key: str, names) -> np.ndarray:
            if key not in mcp:
                return np.zeros(len(names))
            found = {lab[0]: x for lab, x in zip(mcp[key].labels, eq.values[key], strict=True)}
            return np.array([found.get(k, 0.0) for k in names])

        put(self.q, ordered(f"{me}.sales", buses))
        put(self.shed, ordered(f"{me}.shed", self.f.buses))
        put(self.gen, ordered(f"{me}.generation", self.own.index))
        put(self.to_station, ordered(f"{me}.to_station", self.f.stations.index))
        put(self.from_station, ordered(f"{me}.from_station", self.f.stations.index))
        put(self.m, eq.values[f"{me}.import"][0])


class Trips:
    """Path flows of all classes with arc flows, station flows and energies."""

    def __init__(self, f: Facts, paths: dict[str, list[Any]], *, expand: bool = False) -> None:
        """With `expand` times enter by their second-order expansion at a point; see `expand_at`."""
        self.f = f
        road, s = f.case.road.arcs, f.stations
        self.flow, self.constraints, self.data = {}, [], {}
        arcs, stops, charge, discharge = 0, 0, 0, 0
        self.money = 0  # tolls, degradation, plug time and battery energy
        first_ev = [d for d in f.case.drivers.values() if d.kind == "ev"]
        self.omega = (first_ev or [*f.case.drivers.values()])[0].value_of_time
        self.demand = {}
        for name, kind in f.case.drivers.items():
            table = f.case.trips[name]
            d = path_data(f, kind, paths[name])
            self.data[name] = d
            flow = variable(len(paths[name]), nonneg=True)
            self.flow[name] = flow
            member = np.zeros((len(table), len(paths[name])))
            for k, path in enumerate(paths[name]):
                member[path.od, k] = 1.0
            met = member @ flow == table["trips_veh_h"].to_numpy()
            self.demand[name] = met
            self.constraints.append(met)
            arcs = arcs + d["arc"] @ flow
            self.money = self.money + paid_tolls(f, kind) @ d["arc"] @ flow
            if kind.kind == "ev":
                assert kind.value_of_time == self.omega, "one value of time only"
                stops = stops + d["stop"] @ flow
                charge = charge + d["charge"] @ flow
                discharge = discharge + d["discharge"] @ flow
                each = (
                    kind.value_of_time * d["plug"]
                    + kind.degradation * d["discharge"].sum(0)
                    + kind.energy_value * d["used"]
                )
                self.money = self.money + each @ flow
        none = np.zeros(len(s))
        self.charge = charge if len(s) and first_ev else cp.Constant(none)
        self.discharge = discharge if len(s) and first_ev else cp.Constant(none)
        self.x_expression, self.n_expression = arcs, stops
        cap = capacities(f.case)
        # flow over capacity
        self._expanded = [_Expansion(len(road))] if expand else []
        self.ratio = self._expanded[0].x if expand else cp.Variable(len(road))
        self.constraints.append(cp.multiply(cap, self.ratio) == arcs)
        self.t0 = road["free_flow_min"].to_numpy() / 60
        self.cap, self.bpr_b = cap, road["bpr_b"].to_numpy()
        self.power = road["bpr_power"].to_numpy()
        self.waits = bool(len(s) and first_ev)
        if self.waits:
            self.base, self.slope, self.piles, self.eps = queues(f)
            if expand:
                self._expanded.append(_Expansion(len(self.piles)))
            self.n = self._expanded[1].x if expand else cp.Variable(len(self.piles))
            self.constraints.append(self.n == stops)
        self.waiting = 0
        if expand:
            self.travel = self._expanded[0].model
            if self.waits:
                self.waiting = self._expanded[1].model
        else:
            self._cones()

    def _cones(self) -> None:
        """Times as second-order and exponential cones."""
        self.travel = (self.t0 * self.cap) @ self.ratio
        for e in np.unique(self.power):
            on = np.flatnonzero(self.power == e)
            weight = (self.t0 * self.cap * self.bpr_b)[on] / (e + 1)
            self.travel = self.travel + weight @ cp.power(self.ratio[on], int(e) + 1)
        if self.waits:
            # the integral of (z + sqrt(z^2 + eps^2)) / 2 is the conjugate of
            # y^2/2 - (eps^2/4) log y, so it is min over w > 0 of (z + w)^2/2 - (eps^2/4) log w
            self.slack = cp.Variable(len(self.base))
            eps2 = self.eps**2 / 4
            self.waiting = (
                self.base @ self.n
                + self.slope @ cp.square(self.n - self.piles + self.slack) / 2
                - eps2 * (self.slope @ cp.log(self.slack))
                - self._waiting_of_none(eps2)
            )

    def expand_at(self, ratio: np.ndarray, n: np.ndarray) -> None:
        """Expand travel and waiting integrals to second order here."""
        rise = self.bpr_b * ratio**self.power
        self._expanded[0].at(
            ratio,
            self.t0 * self.cap * (1 + rise),
            self.t0 * self.cap * self.bpr_b * self.power * ratio ** (self.power - 1),
        )
        if self.waits:
            z = n - self.piles
            root = np.sqrt(z**2 + self.eps**2)
            self._expanded[1].at(
                n, self.base + self.slope * (z + root) / 2, self.slope * (1 + z / root) / 2
            )

    def _waiting_of_none(self, eps2: float) -> float:
        """The integral's value without vehicles, so that it counts from there."""
        z = -self.piles
        w = (np.sqrt(z**2 + 4 * eps2) - z) / 2
        return float((self.slope * ((z + w) ** 2 / 2 - eps2 * np.log(w))).sum())

    @property
    def time_and_money(self) -> Any:
        return self.omega * (self.travel + self.waiting) + self.money

    def assign(self, eq: Equilibrium) -> None:
        """Put the equilibrium's path flows in; path lists are those of the equilibrium."""
        for name, flow in self.flow.items():
            put(flow, eq.values[f"drivers.flow_{name}"])
        cap = capacities(self.f.case)
        self.ratio.value = self.x_expression.value / cap
        if self.waits:
            self.n.value = self.n_expression.value
            z = self.n.value - self.piles
            self.slack.value = (np.sqrt(z**2 + self.eps**2) - z) / 2


class _Expansion:
    """x = x0 + step; gradient step + curvature step^2 / 2, all but the step to be given.

    The step as unknown keeps the bulk of the travel cost out of the objective, to which Clarabel's
    tolerance is relative.
    """

    def __init__(self, n: int) -> None:
        step = cp.Variable(n)
        self.gradient, self.root = cp.Parameter(n), cp.Parameter(n, nonneg=True)
        self.centre = cp.Parameter(n)
        self.x = self.centre + step
        self.model = self.gradient @ step + cp.sum_squares(cp.multiply(self.root, step)) / 2

    def at(self, x0: np.ndarray, gradient: np.ndarray, curvature: np.ndarray) -> None:
        self.gradient.value, self.root.value = gradient, np.sqrt(curvature)
        self.centre.value = x0


def by_direction(f: Facts) -> bool:
    """Whether vehicles that charge and that discharge wait apart."""
    return f.v2g and f.case.station_settings.queue == "direction"


def queues(f: Facts) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Base wait, slope and piles of every queue, and the smoothing.

    One queue for each station, or those of vehicles that charge before those that discharge.
    """
    s, twice = f.stations, 2 if by_direction(f) else 1
    base, slope, piles = (s[c].to_numpy() for c in ("base_wait_h", "queue_slope_h", "piles"))
    if twice == 2:
        piles = np.concatenate([piles, s["discharge_piles"].to_numpy()])
    return (
        np.tile(base, twice),
        np.tile(slope, twice),
        piles,
        f.case.station_settings.queue_smoothing,
    )


def stops_of(eq: Equilibrium) -> np.ndarray:
    """Reported stops of every queue, in the order of `queues`."""
    if "charge_stops_veh_h" not in eq.data:
        return eq.stops_veh_h.to_numpy()
    return np.concatenate([eq.charge_stops_veh_h, eq.discharge_stops_veh_h])


def capacities(case: Case) -> np.ndarray:
    """(arc,) capacities the vehicles of a case meet, veh/h: a share of those of its table."""
    return case.road_settings.capacity_factor * case.road.arcs["capacity_veh_h"].to_numpy()


def paid_tolls(f: Facts, kind) -> np.ndarray:
    """Tolls in the potential, $: fuel vehicles' at the electric ones' value of time."""
    arcs = f.case.road.arcs
    toll = arcs["toll"].to_numpy() if "toll" in arcs else np.zeros(len(arcs))
    electric = [d.value_of_time for d in f.case.drivers.values() if d.kind == "ev"]
    omega = (electric or [d.value_of_time for d in f.case.drivers.values()])[0]
    return toll if kind.kind == "ev" else toll * omega / kind.value_of_time


def path_data(f: Facts, kind, paths) -> dict[str, np.ndarray]:
    """Matrices of a class's paths; energies follow the battery along the route, by hand.

    Rows of `stop` are queues, of `charge` and `discharge` stations; `plug` is the time at the plug
    (h), `used` the battery energy a trip costs (kWh).
    """
    arcs = f.case.road.arcs
    length = arcs["length_km"].to_numpy()
    s = len(f.stations)
    power = np.minimum(kind.charger_power, f.stations["charger_power_kw"].to_numpy())
    out = {
        "arc": np.zeros((len(arcs), len(paths))),
        "stop": np.zeros((s * (1 + by_direction(f)), len(paths))),
        "charge": np.zeros((s, len(paths))),
        "discharge": np.zeros((s, len(paths))),
        "plug": np.zeros(len(paths)),
        "used": np.zeros(len(paths)),
    }
    for k, path in enumerate(paths):
        start = level = kind.start_level * kind.battery
        stops = {}
        for stop in path.stops:
            stops.setdefault(stop.after, []).append(stop)
        for position in range(len(path.arcs) + 1):
            for stop in stops.get(position, []):
                assert stop.kind == "C" or (f.v2g and kind.v2g)
                queue = stop.station + s * (by_direction(f) and stop.kind == "D")
                out["stop"][queue, k] += 1
                if stop.kind == "C":
                    energy = kind.battery - level
                    out["charge"][stop.station, k] = energy
                    level = kind.battery
                else:
                    low = kind.discharge_level * kind.battery
                    energy = level - low
                    out["discharge"][stop.station, k] = energy
                    level = low
                out["plug"][k] += energy / power[stop.station]
            if position < len(path.arcs):
                out["arc"][path.arcs[position], k] += 1
                level -= kind.consumption * length[path.arcs[position]]
                if kind.kind == "ev":
                    assert level >= kind.reserve * kind.battery - 1e-9
        out["used"][k] = start - level
    return out


# -- problems ------------------------------------------------------------------------------------


@dataclass
class Direct:
    """A player's problem; maximise or minimise `objective`."""

    objective: Any
    constraints: list[Any]
    maximise: bool = True
    parts: dict[str, Any] = field(default_factory=dict)

    def optimum(self) -> float:
        sense = cp.Maximize if self.maximise else cp.Minimize
        problem = cp.Problem(sense(self.objective / UNIT), self.constraints)
        solve(problem)
        return UNIT * problem.value

    @property
    def violation(self) -> float:
        """Largest violation at the variables' present values."""
        return max(float(np.max(c.violation(), initial=0.0)) for c in self.constraints)


def solve(problem: cp.Problem) -> None:
    """By Clarabel, as far as it gets: from 1e-11 up to its default of 1e-8."""
    for tol in (1e-11, 1e-10, 1e-9, 1e-8):
        with warnings.catch_warnings(), contextlib.suppress(cp.SolverError):
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(
                solver=cp.CLARABEL, tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol, max_iter=200
            )
            if problem.status in ("optimal", "optimal_inaccurate"):
                return
    raise AssertionError(f"Clarabel ended as {problem.status}")


def prices_of(eq: Equilibrium, f: Facts) -> dict[str, np.ndarray]:
    """Market prices in the order of `f`."""
    s = list(f.stations.index)
    out = {
        "rho_c": eq.charge_price.sel(station=s).to_numpy(),
        "pi_c": eq.purchase_price.sel(station=s).to_numpy(),
        "tau": float(eq.tso_price),
        "fee": eq.wheeling_price.sel(bus=f.buses).to_numpy(),
        "energy": eq.dlmp.sel(bus=f.stations["bus"].tolist()).to_numpy(),
        "rho_d": np.zeros(len(s)),
        "pi_d": np.zeros(len(s)),
    }
    if f.v2g:
        out["rho_d"] = eq.discharge_price.sel(station=s).to_numpy()
        out["pi_d"] = eq.resale_price.sel(station=s).to_numpy()
    return out


def fleet_energy(f: Facts) -> float:
    """Energy of all electric vehicles, kW: no station trades more than that."""
    return sum(
        kind.battery * float(f.case.trips[name]["trips_veh_h"].sum())
        for name, kind in f.case.drivers.items()
        if kind.kind == "ev"
    )


class Plants:
    """PV and stores of stations: what they give, kW by station, and its cost."""

    def __init__(self, f: Facts) -> None:
        s = f.stations
        self.pv, self.into, self.out = (variable(len(s)) for _ in range(3))
        self.net = self.pv + self.out - self.into
        worth, share = s["store_value"].to_numpy(), s["store_efficiency"].to_numpy()
        self.cost = worth @ self.out - (worth * share) @ self.into
        limits = (
            (self.pv, "pv_kw"),
            (self.into, "store_charge_kw"),
            (self.out, "store_discharge_kw"),
        )
        self.constraints = []
        for x, column in limits:
            self.constraints += _between(x, np.zeros(len(s)), s[column].to_numpy())


def running_cost(f: Facts, c, d) -> Any:
    """Costs of running stations, given as squares: "a*p + b*p**2", $/h."""
    total: Any = 0
    for column, trade in (("charge_cost", c), ("discharge_cost", d)):
        for k, text in enumerate(f.stations[column]):
            if text:
                linear, square = (float(part.split("*p")[0]) for part in text.split(" + "))
                total = total + linear * trade[k] + square * cp.square(trade[k])
    return total


def cno_problem(f: Facts, price) -> Direct:
    """model.md, 1."""
    s = len(f.stations)
    c, d = variable(s, nonneg=True), variable(s, nonneg=True)
    most = fleet_energy(f)
    rules = [
        c - d <= f.stations["charge_max_kw"].to_numpy(),
        c - d >= -f.stations["discharge_max_kw"].to_numpy(),
        c <= most,
        d <= most,
    ]
    if not f.v2g:
        rules.append(d == 0)
    profit = (price["rho_c"] - price["pi_c"]) @ c - (price["rho_d"] - price["pi_d"]) @ d
    plants = Plants(f)
    profit = profit - running_cost(f, c, d) - plants.cost + price["energy"] @ plants.net
    rules += plants.constraints
    return Direct(profit, rules, parts={"charge": c, "discharge": d, "plants": plants})


def dso_problem(f: Facts, price) -> Direct:
    """model.md, 3."""
    grid = Grid(f)
    profit = price["fee"] @ grid.withdrawal
    profit = profit + price["tau"] * grid.import_kw - grid.tso_cost
    return Direct(profit, grid.constraints, parts={"grid": grid})


def lse_problem(f: Facts, name: str, price, rivals: np.ndarray) -> Direct:
    """model.md, 4; `rivals` is the rivals' total sales at buses with responsive demand."""
    k = Retailer(f, name)
    fee_s = f.place(f.stations["bus"]).T @ price["fee"]
    place_g = f.place(k.own["bus"]).T @ price["fee"]
    profit = (
        k.revenue(rivals)
        - price["fee"][k.has] @ k.q
        - price["fee"] @ (k.firm - k.shed)
        - k.lost
        - k.generation_cost
        + place_g @ k.gen
        + (price["pi_c"] - fee_s) @ k.to_station
        - (price["pi_d"] - fee_s) @ k.from_station
        - price["tau"] * k.m
    )
    most = fleet_energy(f)
    rules = [
        *k.constraints,
        k.to_station <= most,
        k.from_station <= most,
        k.m <= f.case.substation.import_max,
    ]
    return Direct(profit, rules, parts={"retailer": k})


def driver_problem(f: Facts, paths, price) -> Direct:
    """model.md, 2 with one value of time: Beckmann's program, energy prices fixed."""
    trips = Trips(f, paths)
    cost = trips.time_and_money
    if len(f.stations):
        cost = cost + price["rho_c"] @ trips.charge - price["rho_d"] @ trips.discharge
    return Direct(cost, trips.constraints, maximise=False, parts={"trips": trips})


class Potential:
    """The convex program of model.md, 6, all players' constraints together.

    With all players in one program the cones of the time integrals stop Clarabel early, so these
    enter by their second-order expansion, and the quadratic program is solved again at its own
    solution until that stays (Newton's method; the limit is the optimum of the program itself).
    """

    def __init__(self, f: Facts, paths) -> None:
        case = f.case
        self.f, self.paths = f, paths
        self.grid = Grid(f)
        self.plants = Plants(f)
        taken = f.place(f.stations["bus"]) @ self.plants.net if len(f.stations) else 0
        self.retailers = {k: Retailer(f, k, taken) for k in case.lses.index}
        self.trips = Trips(f, paths, expand=True)
        # what vehicles charge is what the CNO sells and buys
        self.c, self.d = self.trips.charge, self.trips.discharge
        everyone = self.retailers.values()
        self.bus_balance = sum(k.use for k in everyone) == self.grid.withdrawal
        rules = [
            self.bus_balance,
            *self.grid.constraints,
            *self.trips.constraints,
            *self.plants.constraints,
            # import_kw == sum of m follows from the balances; stated, it would be one row too many
            self.c == sum(k.to_station for k in everyone),
            self.d == sum(k.from_station for k in everyone),
            self.c - self.d <= f.stations["charge_max_kw"].to_numpy(),
            self.c - self.d >= -f.stations["discharge_max_kw"].to_numpy(),
        ]
        for k in everyone:
            rules += k.constraints
        first = next(iter(everyone))
        total = sum(k.q for k in everyone)
        benefit = first.a @ total - cp.sum(cp.multiply(first.b, cp.square(total))) / 2
        for k in everyone:
            benefit = benefit - cp.sum(cp.multiply(first.b, cp.square(k.q))) / 2
        self.power_cost = (
            sum(k.generation_cost + k.lost for k in everyone)
            + self.grid.tso_cost
            + running_cost(f, self.c, self.d)
            + self.plants.cost
            - benefit
        )
        self.value = self.power_cost + self.trips.time_and_money
        self.problem = cp.Problem(cp.Minimize(self.value / UNIT), rules)

    def solve(self) -> Potential:
        """Newton's method from the traffic at reference prices."""
        price = np.full(len(self.f.stations), self.f.case.market.reference_price)
        start = driver_problem(self.f, self.paths, {"rho_c": price, "rho_d": price})
        start.optimum()
        t0 = start.parts["trips"]
        ratio, n = np.maximum(t0.ratio.value, 0), t0.n.value if t0.waits else np.zeros(0)
        self.steps, move = 0, np.inf
        while True:
            self.trips.expand_at(ratio, n)
            solve(self.problem)
            self.steps += 1
            new = np.maximum(self.trips.ratio.value, 0)
            new_n = self.trips.n.value if self.trips.waits else n
            last, move = move, max(np.abs(new - ratio).max(), np.abs(new_n - n).max(initial=0))
            ratio, n = new, new_n
            # steps shrink quadratically, until the solver's own accuracy
            if move < 1e-7 or (move < 1e-3 and move > 0.5 * last):
                return self
            assert self.steps < 30

    @property
    def dlmp(self) -> np.ndarray:
        """Multiplier of one more firm kW at a bus, shared as the LSEs' portions, $/kWh."""
        at_bus = UNIT * self.bus_balance.dual_value
        energy = sum(
            k.portion * UNIT * float(k.balance.dual_value) for k in self.retailers.values()
        )
        return _signed(at_bus, energy)


def _signed(at_bus: np.ndarray, energy: float) -> np.ndarray:
    # cvxpy's dual of `left == right` is minus the rise of the optimum per unit of `right - left`;
    # firm load stands left in the bus balance and right in the LSE's balance
    return at_bus - energy


def path_lists(eq: Equilibrium) -> dict[str, list[Any]]:
    """The paths of an equilibrium by class."""
    return {k: list(p.paths) for k, p in eq.coupled.traffic.paths.items()}


def potential_value(eq_values, mcp, f: Facts, paths) -> float:
    """Phi at strategies `eq_values`, by formula and numpy only, $/h."""
    case, market = f.case, f.case.market
    total: dict[str, float] = {}
    phi = case.substation.price * float(eq_values["dso.p_tso"][0])
    bought = eq_values.get("cno.discharge", np.zeros(len(f.stations)))
    spent = running_cost(f, eq_values["cno.charge"], bought)
    phi += float(getattr(spent, "value", spent))
    for key, per_kwh in (
        ("cno.store_charge", -f.stations["store_value"] * f.stations["store_efficiency"]),
        ("cno.store_discharge", f.stations["store_value"]),
    ):
        if key in eq_values:
            names = [label[0] for label in mcp[key].labels]
            phi += float(per_kwh[names].to_numpy() @ eq_values[key])
    if "dso.p_feed" in eq_values:
        phi -= case.substation.feed_in_price * float(eq_values["dso.p_feed"][0])
    squares: dict[str, float] = {}
    for k in case.lses.index:
        for (bus,), q in zip(
            mcp[f"lse.{k}.sales"].labels, eq_values[f"lse.{k}.sales"], strict=True
        ):
            total[bus] = total.get(bus, 0.0) + q
            squares[bus] = squares.get(bus, 0.0) + q**2
        phi += market.voll * float(eq_values[f"lse.{k}.shed"].sum())
        for (g,), x in zip(
            mcp[f"lse.{k}.generation"].labels, eq_values[f"lse.{k}.generation"], strict=True
        ):
            row = case.generators.loc[g]
            phi += row["cost_linear"] * x + row["cost_quadratic"] * x**2
    for bus, s in total.items():
        q0 = f.responsive[f.at[bus]]
        b = market.reference_price / (-market.elasticity * q0)
        a = market.reference_price + b * q0
        phi -= a * s - b * s**2 / 2 - b * squares[bus] / 2
    road = case.road.arcs
    x = np.zeros(len(road))
    base, slope, piles, eps = queues(f)
    n = np.zeros(len(piles))
    omega = next(
        (d.value_of_time for d in case.drivers.values() if d.kind == "ev"),
        next(iter(case.drivers.values())).value_of_time,
    )
    for name, kind in case.drivers.items():
        d = path_data(f, kind, paths[name])
        flow = eq_values[f"drivers.flow_{name}"]
        x += d["arc"] @ flow
        phi += float(paid_tolls(f, kind) @ d["arc"] @ flow)
        if kind.kind == "ev":
            n += d["stop"] @ flow
            phi += omega * float(d["plug"] @ flow) + kind.energy_value * float(d["used"] @ flow)
            phi += kind.degradation * float((d["discharge"] @ flow).sum())
    cap = capacities(case)
    b, e = (road[c].to_numpy() for c in ("bpr_b", "bpr_power"))
    t0 = road["free_flow_min"].to_numpy() / 60
    phi += omega * float((t0 * (x + b * cap * (x / cap) ** (e + 1) / (e + 1))).sum())

    def queue(z):
        return (z**2 + z * np.sqrt(z**2 + eps**2) + eps**2 * np.arcsinh(z / eps)) / 4

    g = queue(n - piles) - queue(-piles)
    return phi + omega * float((base * n + slope * g).sum())
