"""Load serving entities (LSE): serve firm load, sell to responsive demand as Cournot rivals.

model.md, 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.labelled import Labelled, placed
from v2geq.mcp.curves import Formula, Integrable, Linear, Quadratic, Written
from v2geq.mcp.expression import Expression
from v2geq.mcp.program import Program
from v2geq.scenario import Scenario


def player_name(lse: str) -> str:
    """Name of an LSE as a player."""
    return f"lse.{lse}"


def demand_buses(scenario: Scenario) -> IntArray:
    """Positions of buses with price-responsive demand."""
    return np.flatnonzero(scenario.responsive_kw > 0)


def inverse_demand(scenario: Scenario) -> Integrable:
    """Price of total responsive sales at every bus of `demand_buses`, $/kWh over kW.

    Raises
    ------
    DataError
        Where a given expression is not a function of q, q0 and p0, or breaks
        2 phi' + q |phi''| <= 0 on [0, demand_range * q0].
    """
    market = scenario.case.market
    q0 = scenario.responsive_kw[demand_buses(scenario)]
    p0 = market.reference_price
    if market.inverse_demand == "linear":
        slope = p0 / (-market.elasticity * q0)
        return Linear(intercept=p0 + slope * q0, slope=slope)
    curve = Expression.parse(
        market.inverse_demand,
        variable="q",
        parameters={"q0": q0, "p0": np.full_like(q0, p0)},
        where=f"{scenario.case.where}: market.inverse_demand",
    )
    curve.check_inverse_demand(market.demand_range * q0)
    return curve


def generation_cost(scenario: Scenario, lse: str) -> list[tuple[slice, Written]]:
    """Cost curves of an LSE's generators, $/h over kW, as (positions, curve) pairs."""
    own = scenario.generators[scenario.generators["lse"] == lse]
    if (own["cost"] == "").all():
        return [
            (
                slice(0, len(own)),
                Quadratic(
                    own["cost_linear"].to_numpy(dtype=float),
                    own["cost_quadratic"].to_numpy(dtype=float),
                ),
            )
        ]
    curves: list[tuple[slice, Written]] = []
    for k, (name, g) in enumerate(own.iterrows()):
        if g["cost"]:
            curve = Expression.parse(
                g["cost"],
                variable="g",
                parameters={},
                where=f"{scenario.case.where}: generator {name!r}",
            )
            curve.check_convex(g["min_kw"], g["max_kw"])
            curves.append((slice(k, k + 1), curve))
        else:
            lin, quad = np.array([g["cost_linear"]]), np.array([g["cost_quadratic"]])
            curves.append((slice(k, k + 1), Quadratic(lin.astype(float), quad.astype(float))))
    return curves


def lse(
    scenario: Scenario,
    name: str,
    energy_reach: float,
    power_reach: float,
    sites: Sequence[str] = (),
) -> Program:
    """The program of LSE `name`.

    Parameters
    ----------
    energy_reach, power_reach
        Energy all vehicles could charge, and power the feeder could carry, kW: they bound the
        deviation problem.
    sites
        Buses at which others trade energy; the LSE takes its portion over from them.

    Notes
    -----
    Variables, kW: `sales` by bus (q), `shed` by bus, `generation` by generator, `to_station` (h+)
    and `from_station` (h-, with V2G only) by station, `import` (m), `take` by site. The row
    `energy` balances supply and sales; its multiplier is theta_k. The LSE pays the wheeling price
    on its net withdrawal.
    """
    case = scenario.case
    power, price = scenario.power_scale, scenario.price_scale
    p = Program(player_name(name), scenario.money_scale, title="Load serving entity")
    kw: dict[str, Any] = {"unit": "kW", "scale": power}
    n = len(scenario.buses)

    at_demand = demand_buses(scenario)
    portion = float(case.lses["portion"][name])
    firm = portion * scenario.firm_kw
    at_firm = np.flatnonzero(firm > 0)
    # a line is concave everywhere, other demands only within their range; prices below zero, where
    # generators must run, sell more than that
    linear = case.market.inverse_demand == "linear"
    rivals = [k for k in case.lses.index if k != name]
    q0 = scenario.responsive_kw[at_demand]
    own = scenario.generators[scenario.generators["lse"] == name]
    stations = scenario.stations
    trade: dict[str, Any] = {
        "unit": "kW",
        "scale": scenario.station_scale(energy_reach),
        "row_scale": price,
    }

    sales = p.variable(
        "sales",
        ("bus",),
        [scenario.buses[i] for i in at_demand],
        **kw,
        start=q0 / len(case.lses),
        reach=power_reach if linear else case.market.demand_range * q0,
        meaning="sales to price-responsive demand (q)",
    )
    shed = p.variable(
        "shed",
        ("bus",),
        [scenario.buses[i] for i in at_firm],
        unit="kW",
        # beside what may be shed, however little that is beside other loads
        scale=np.minimum(power, firm[at_firm]),
        row_scale=price,
        upper=firm[at_firm],
        meaning="firm load not served (shed)",
    )
    low, high = own["min_kw"].to_numpy(dtype=float), own["max_kw"].to_numpy(dtype=float)
    generation = p.variable(
        "generation",
        ("generator",),
        list(own.index),
        unit="kW",
        scale=np.minimum(power, np.where(high > low, high - low, power)),
        row_scale=price,
        lower=low,
        upper=high,
        start=np.minimum(0.5 * (low + high), np.maximum(low, power_reach)),
        reach=power_reach,
        meaning="generation (gen)",
    )
    to_station = p.variable(
        "to_station",
        ("station",),
        list(stations.index),
        **trade,
        reach=energy_reach,
        meaning="sold to the CNO at a station (h+)",
    )
    bought = p.variable(
        "import", (), [()], **kw, reach=power_reach, meaning="bought via the TSO (m)"
    )

    if len(at_demand):
        p.cournot_revenue(
            sales, inverse_demand(scenario), [f"{player_name(k)}.sales" for k in rivals]
        )
    p.cost(shed, case.market.voll, term="lost load")
    p.separable_cost(generation, _Joined(generation_cost(scenario, name)), term="generation")
    p.sell("tso_price", {bought: -np.ones((1, 1))}, 1)
    p.sell("purchase_price", {to_station: 1.0}, len(stations))

    def at(positions: FloatArray | IntArray) -> sp.csr_array:
        """Buses x entries: one where an entry sits."""
        m = len(positions)
        return sp.csr_array((np.ones(m), (positions, np.arange(m))), shape=(n, m))

    where = scenario.bus_position
    at_generator = at(np.array([where[b] for b in own["bus"]], dtype=np.int64))
    at_station = at(np.array([where[b] for b in stations["bus"]], dtype=np.int64))
    net = {sales: -at(at_demand), shed: at(at_firm), generation: at_generator}
    net[to_station] = -at_station
    energy = {
        sales: -np.ones((1, len(sales))),
        shed: np.ones((1, len(shed))),
        generation: np.ones((1, len(generation))),
        to_station: -np.ones((1, len(stations))),
        bought: np.ones((1, 1)),
    }
    if scenario.v2g:
        from_station = p.variable(
            "from_station",
            ("station",),
            list(stations.index),
            **trade,
            reach=energy_reach,
            meaning="bought from the CNO at a station (h-)",
        )
        p.sell("resale_price", {from_station: -1.0}, len(stations))
        net[from_station] = at_station
        energy[from_station] = np.ones((1, len(stations)))
    if sites:
        take = p.variable(
            "take",
            ("bus",),
            sites,
            **kw,
            lower=-np.inf,
            reach=power_reach,
            meaning="taken over from a site",
        )
        p.sell("site_price", {take: -1.0}, at=[(name, bus) for bus in sites])
        net[take] = at(np.array([where[b] for b in sites], dtype=np.int64))
        energy[take] = np.ones((1, len(sites)))
    p.sell("wheeling_price", net, n, constant=-firm)
    p.equality(
        "energy",
        (),
        [()],
        terms=energy,
        rhs=firm.sum(),
        **kw,
        start=price,
        meaning="supply equals sales and served firm load (theta)",
    )
    return p


def theta_key(name: str) -> str:
    """Block of the energy price theta of an LSE."""
    return f"{player_name(name)}.energy"


def responsive_sales(scenario: Scenario, values: Mapping[str, FloatArray]) -> FloatArray:
    """Total price-responsive sales S_i at the buses of `demand_buses`, kW."""
    total = np.zeros(len(demand_buses(scenario)))
    for k in scenario.case.lses.index:
        total = total + values[f"{player_name(k)}.sales"]
    return total


def results(
    scenario: Scenario, programs: Mapping[str, Program], values: Mapping[str, FloatArray]
) -> Iterator[Labelled]:
    """What the LSEs buy, sell, generate and shed."""
    names = [str(k) for k in scenario.case.lses.index]
    own = {k: programs[player_name(k)] for k in names}

    def by(
        what: str, dims: tuple[str, ...], name: str, meaning: str, *, by_lse: bool = False
    ) -> Labelled:
        """One variable of all LSEs: summed by label, or by LSE and label."""
        blocks = {k: p[what] for k, p in own.items() if what in p}
        listed = [
            ((k, *label) if by_lse else label) for k, v in blocks.items() for label in v.labels
        ]
        labels = tuple(dict.fromkeys(listed))
        place = {label: i for i, label in enumerate(labels)}
        parts = {
            v.key: placed(
                [place[(k, *label) if by_lse else label] for label in v.labels], len(labels)
            )
            for k, v in blocks.items()
        }
        total = sum((m @ values[key] for key, m in parts.items()), np.zeros(len(labels)))
        return Labelled(name, dims, total, "kW", meaning, labels, parts)

    at = demand_buses(scenario)
    sold = responsive_sales(scenario, values)
    price = inverse_demand(scenario).value(sold) if len(at) else sold
    where = tuple((scenario.buses[i],) for i in at)
    yield Labelled(
        "retail_price",
        ("bus",),
        price,
        "$/kWh",
        "price of responsive demand (phi)",
        where,
        fill=np.nan,
    )
    yield by("sales", ("bus",), "sales_kw", "sales to responsive demand")
    yield Labelled("firm_kw", ("bus",), scenario.firm_kw, "kW", "firm load")
    yield by("shed", ("bus",), "shed_kw", "firm load not served")
    both = ("lse", "bus")
    yield by("shed", both, "shed_by_lse_kw", "firm load not served, by LSE", by_lse=True)
    thetas = np.array([values[theta_key(k)][0] for k in names])
    single = {theta_key(k): placed([i], len(names)) for i, k in enumerate(names)}
    yield Labelled(
        "theta", ("lse",), thetas, "$/kWh", "energy price of an LSE (theta)", parts=single
    )
    yield by("import", ("lse",), "import_kw", "bought via the TSO (m)", by_lse=True)
    yield by("generation", ("generator",), "generation_kw", "generation")
    both = ("lse", "station")
    yield by("to_station", both, "to_station_kw", "sold to the CNO (h+)", by_lse=True)
    yield by("from_station", both, "from_station_kw", "bought from the CNO (h-)", by_lse=True)


class _Joined:
    """Curves of single entries side by side."""

    def __init__(self, parts: list[tuple[slice, Written]]) -> None:
        self.parts = parts

    def _apply(self, what: str, x: FloatArray) -> FloatArray:
        out = np.empty_like(x)
        for where, curve in self.parts:
            out[where] = getattr(curve, what)(x[where])
        return out

    def value(self, x: FloatArray) -> FloatArray:
        return self._apply("value", x)

    def first(self, x: FloatArray) -> FloatArray:
        return self._apply("first", x)

    def second(self, x: FloatArray) -> FloatArray:
        return self._apply("second", x)

    def formulas(self, n: int) -> list[Formula]:
        return [
            replace(f, positions=np.arange(n)[where][f.positions])
            for where, curve in self.parts
            for f in curve.formulas(len(np.arange(n)[where]))
        ]
