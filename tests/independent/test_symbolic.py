"""F and J of the coupled problem against Lagrangians written down with sympy.

A three-bus feeder with a regulator, polygon ratings of four sides, one station, two LSEs, V2G,
electric and fuel vehicles. Every unknown is a symbol named by block and label. Stationarity rows
are derivatives of the Lagrangian of the row's owner; constraint and clearing rows are as printed.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import byhand
import numpy as np
import pytest
import sympy as sp
from cases import make_case, make_feeder, make_road

import v2geq as vg
from v2geq.errors import DataError
from v2geq.market.coupling import couple
from v2geq.mcp.expression import Expression
from v2geq.scenario import resolve
from v2geq.trips.generation import seeded
from v2geq.trips.traffic import traffic

pytestmark = pytest.mark.slow

LINE_KINDS = ("polygon", "box", "none")


def the_case(line_rating: str = "polygon", **more):
    return make_case(
        feeder=make_feeder(
            {
                "r-a": {"ratio": 1.05, "kind": "regulator", "r_ohm": 0.3, "rating_kva": 400.0},
                # stands against the flow: the package must turn it
                "b-a": {"r_ohm": 0.2, "x_ohm": 0.5, "rating_kva": 300.0, "ratio": 0.98},
            },
            {"a": (100.0, 40.0), "b": (200.0, 80.0)},
            {"b": 30.0},
        ),
        road=make_road(
            {
                "1-2": {},
                "2-3": {"length_km": 6.0, "free_flow_min": 6.5, "bpr_power": 2.0},
                "1-3": {"length_km": 13.0, "free_flow_min": 12.0, "bpr_b": 0.4},
            }
        ),
        generators={
            "ga": {"lse": "A", "bus": "a", "min_kvar": -20.0, "max_kvar": 50.0},
            "gb": {"lse": "B", "bus": "b", "cost_linear": 0.12, "cost_quadratic": 3e-4},
            "gc": {"lse": "B", "bus": "a", "cost_linear": 0.14},
        },
        drivers={
            "ev": {"energy_value": 0.03, "value_of_time": 11.0},
            "fv": {"kind": "fv", "value_of_time": 17.0},
        },
        trips={"ev": {"1-3": 10.0, "1-2": 4.0}, "fv": {"1-3": 7.0}},
        capacitors="switchable",
        method="enumerate",
        line_rating=line_rating,
        rating_sides=4,
        vmin=0.9,
        vmax=1.1,
        queue_smoothing=0.7,
        **more,
    )


def symbols_of(mcp) -> dict[str, dict[tuple, sp.Symbol]]:
    return {
        b.name: {lab: sp.Symbol(f"{b.name}[{','.join(lab)}]", real=True) for lab in b.labels}
        for b in mcp.blocks
    }


def price_of(market, q, q0) -> sp.Expr:
    p0, e = market.reference_price, market.elasticity
    b = p0 / (-e * q0)
    return p0 + b * q0 - b * q


def rows_by_hand(case, v2g: bool, mcp, paths, inverse_demand=price_of, cost_of=None):
    """Row of F for every block and label, as a sympy expression."""
    x = symbols_of(mcp)
    f = byhand.facts(case, "base", v2g)
    buses, stations = f.buses, list(f.stations.index)
    lses = list(case.lses.index)
    rows: dict[str, dict[tuple, sp.Expr]] = {}

    def one(name: str, *label: str) -> sp.Expr:
        return x.get(name, {}).get(tuple(label), sp.Integer(0))

    lam = {b: one("wheeling_price", b) for b in buses}
    tau = one("tso_price")
    s_bus = dict(zip(stations, f.stations["bus"], strict=True))

    def stationary(lagrangian: sp.Expr, player: str) -> None:
        """Rows of a player who minimises: dL/dx of its strategies."""
        mine = [
            b.name
            for b in mcp.blocks
            if b.name.startswith(player + ".") and b.name not in multipliers
        ]
        for name in mine:
            rows[name] = {lab: sp.diff(lagrangian, sym) for lab, sym in x[name].items()}

    multipliers: set[str] = set()

    def rule(name: str, expressions: dict[tuple, sp.Expr]) -> sp.Expr:
        """Rows `expression (== or >=) 0`; what they add to the Lagrangian."""
        multipliers.add(name)
        rows[name] = expressions
        assert set(expressions) == set(x[name]), name
        return -sum(x[name][lab] * e for lab, e in expressions.items())

    # CNO -----------------------------------------------------------------------------------
    net = {s: one("cno.charge", s) - one("cno.discharge", s) for s in stations}
    profit = sum(
        one("charge_price", s) * one("cno.charge", s)
        - one("discharge_price", s) * one("cno.discharge", s)
        - one("purchase_price", s) * one("cno.charge", s)
        + one("resale_price", s) * one("cno.discharge", s)
        for s in stations
    )
    top, low = f.stations["charge_max_kw"], -f.stations["discharge_max_kw"]
    lagrangian = -profit + rule("cno.net_upper", {(s,): top[s] - net[s] for s in stations})
    lagrangian += rule("cno.net_lower", {(s,): net[s] - low[s] for s in stations})
    stationary(lagrangian, "cno")

    # DSO -----------------------------------------------------------------------------------
    w = {b: one("dso.withdrawal", b) for b in buses}
    p_tso, q_tso = one("dso.p_tso"), one("dso.q_tso")
    profit = sum(lam[b] * w[b] for b in buses) + (tau - case.substation.price) * p_tso
    # away from the root: r -> a, a -> b; the second stands the other way in the table
    away = {"r-a": ("r", "a", False), "b-a": ("a", "b", True)}
    real, reactive, drop, rating = {}, {}, {}, {}
    for b in buses:
        balance = sum(one("dso.p_line", k) * ((j == b) - (i == b)) for k, (i, j, _) in away.items())
        real[(b,)] = balance + (p_tso if b == "r" else 0) - w[b]
        flow = sum(one("dso.q_line", k) * ((j == b) - (i == b)) for k, (i, j, _) in away.items())
        at = f.at[b]
        reactive[(b,)] = (
            flow + (q_tso if b == "r" else 0) + one("dso.q_source", b) - float(f.reactive[at])
        )
    for k, (i, j, turned) in away.items():
        row = f.lines.loc[k]
        p, q = one("dso.p_line", k), one("dso.q_line", k)
        base = 1000 * case.feeder.base_kv**2
        loss = 2 * (row["r_ohm"] * p + row["x_ohm"] * q) / base
        v_i, v_j = one("dso.v_squared", i), one("dso.v_squared", j)
        if turned:  # the table's line j -> i carries (-P, -Q): v_i = ratio^2 (v_j + loss)
            drop[(k,)] = v_j - (v_i / row["ratio"] ** 2 - loss)
        else:
            drop[(k,)] = v_j - row["ratio"] ** 2 * (v_i - loss)
        box = case.feeder_settings.line_rating == "box"
        for side in range(4):
            angle = 2 * np.pi * (side + 0.5 * (not box)) / 4
            rating[(k, str(side))] = row["rating_kva"] * (1 if box else np.cos(np.pi / 4)) - (
                round(np.cos(angle), 15) * p + round(np.sin(angle), 15) * q
            )
    lagrangian = -profit + rule("dso.balance", real) + rule("dso.reactive_balance", reactive)
    lagrangian += rule("dso.voltage_drop", drop)
    if case.feeder_settings.line_rating != "none":
        lagrangian += rule("dso.rating", rating)
    stationary(lagrangian, "dso")

    # LSEs ----------------------------------------------------------------------------------
    q0 = dict(zip(buses, f.responsive, strict=True))
    use = dict.fromkeys(buses, sp.Integer(0))
    for k in lses:
        me, portion = f"lse.{k}", float(case.lses.loc[k, "portion"])
        own = f.generators[f.generators["lse"] == k]
        firm = {b: portion * float(f.firm[f.at[b]]) for b in buses}
        q = {b: one(f"{me}.sales", b) for b in buses}
        rest = {b: sum(one(f"lse.{o}.sales", b) for o in lses if o != k) for b in buses}
        shed = {b: one(f"{me}.shed", b) for b in buses}
        gen = {g: one(f"{me}.generation", g) for g in own.index}
        hp = {s: one(f"{me}.to_station", s) for s in stations}
        hm = {s: one(f"{me}.from_station", s) for s in stations}
        m = one(f"{me}.import")
        profit = sum(
            (inverse_demand(case.market, q[b] + rest[b], q0[b]) - lam[b]) * q[b]
            for b in buses
            if q0[b] > 0
        )
        profit -= sum(lam[b] * (firm[b] - shed[b]) + case.market.voll * shed[b] for b in buses)
        for g, row in own.iterrows():
            if cost_of is not None and row["cost"]:
                profit -= cost_of(gen[g])
            else:
                profit -= row["cost_linear"] * gen[g] + row["cost_quadratic"] * gen[g] ** 2
            profit += lam[row["bus"]] * gen[g]
        profit += sum((one("purchase_price", s) - lam[s_bus[s]]) * hp[s] for s in stations)
        profit -= sum((one("resale_price", s) - lam[s_bus[s]]) * hm[s] for s in stations)
        profit -= tau * m
        energy = sum(gen.values()) + sum(hm.values()) + m
        energy -= sum(q.values()) + sum(firm[b] - shed[b] for b in buses) + sum(hp.values())
        stationary(-profit + rule(f"{me}.energy", {(): energy}), me)
        for b in buses:
            use[b] += q[b] + firm[b] - shed[b]
            use[b] -= sum(gen[g] for g in own.index if own.loc[g, "bus"] == b)
            use[b] += sum(hp[s] - hm[s] for s in stations if s_bus[s] == b)

    # drivers -------------------------------------------------------------------------------
    omega = case.drivers["ev"].value_of_time
    arcs = case.road.arcs
    arc_rows = {(a,): one("drivers.arc_flow", a) for a in arcs.index}
    stop_rows = {(s,): one("drivers.station_flow", s) for s in stations}
    charge, discharge = dict.fromkeys(stations, 0), dict.fromkeys(stations, 0)
    lagrangian = sp.Integer(0)
    for (a, row), cap in zip(arcs.iterrows(), byhand.capacities(case), strict=True):
        v = one("drivers.arc_flow", a)
        n = int(row["bpr_power"])
        hours = v + row["bpr_b"] * cap * (v / cap) ** (n + 1) / (n + 1)
        lagrangian += omega * row["free_flow_min"] / 60 * hours
    z = sp.Symbol("z", real=True)
    eps = case.station_settings.queue_smoothing
    for s, row in f.stations.iterrows():
        wait = row["base_wait_h"] + row["queue_slope_h"] * (z + sp.sqrt(z**2 + eps**2)) / 2
        integral = (
            row["base_wait_h"] * z
            + row["queue_slope_h"]
            * (z**2 + z * sp.sqrt(z**2 + eps**2) + eps**2 * sp.asinh(z / eps))
            / 4
        )
        assert abs((sp.diff(integral, z) - wait).subs(z, 0.3)) < 1e-15
        v = one("drivers.station_flow", s)
        lagrangian += omega * integral.subs(z, v - row["piles"])
    for name, kind in case.drivers.items():
        own = paths[name]
        data = byhand.path_data(f, kind, own)
        labels = [lab for lab in x[f"drivers.flow_{name}"]]
        flow = [x[f"drivers.flow_{name}"][lab] for lab in labels]
        table = case.trips[name]
        met = {}
        for w_, (o, d, trips) in enumerate(table.itertuples(index=False)):
            met[(o, d)] = sum(
                (v for v, path in zip(flow, own, strict=True) if path.od == w_), sp.Integer(0)
            ) - float(trips)
        lagrangian += rule(f"drivers.demand_{name}", met)
        for k, v in enumerate(flow):
            for i, a in enumerate(arcs.index):
                arc_rows[(a,)] -= data["arc"][i, k] * v
            if kind.kind != "ev":
                continue
            for i, s in enumerate(stations):
                stop_rows[(s,)] -= data["stop"][i, k] * v
                c, d = data["charge"][i, k], data["discharge"][i, k]
                charge[s] += c * v
                discharge[s] += d * v
                lagrangian += kind.degradation * d * v
                lagrangian += one("charge_price", s) * c * v - one("discharge_price", s) * d * v
            lagrangian += (omega * data["plug"][k] + kind.energy_value * data["used"][k]) * v
    lagrangian += rule("drivers.arc_time", arc_rows) + rule("drivers.queue_time", stop_rows)
    stationary(lagrangian, "drivers")

    # clearing, as printed ------------------------------------------------------------------
    each = {s: [one(f"lse.{k}.to_station", s) for k in lses] for s in stations}
    rows["charge_price"] = {(s,): one("cno.charge", s) - charge[s] for s in stations}
    rows["purchase_price"] = {(s,): sum(each[s]) - one("cno.charge", s) for s in stations}
    if v2g:
        back = {s: [one(f"lse.{k}.from_station", s) for k in lses] for s in stations}
        rows["discharge_price"] = {(s,): discharge[s] - one("cno.discharge", s) for s in stations}
        rows["resale_price"] = {(s,): one("cno.discharge", s) - sum(back[s]) for s in stations}
    rows["tso_price"] = {(): p_tso - sum(one(f"lse.{k}.import") for k in lses)}
    rows["wheeling_price"] = {(b,): w[b] - use[b] for b in buses}
    return x, rows


def problem(case, v2g: bool):
    """The coupled problem and, as lists, its paths; no solve."""
    scenario = resolve(case, "base", v2g=v2g)
    roads = traffic(scenario)
    if case.paths.method == "exact":
        roads = seeded(scenario, roads)
    coupled = couple(scenario, roads)
    return SimpleNamespace(
        mcp=coupled.mcp, paths={k: list(p.paths) for k, p in roads.paths.items()}
    )


def assert_same(case, v2g: bool, seeds=(0, 1, 2), **functions) -> int:
    """Compare F and J entry by entry at random points; the number of nonzeros compared."""
    built = problem(case, v2g)
    mcp = built.mcp
    x, rows = rows_by_hand(case, v2g, mcp, built.paths, **functions)
    assert set(rows) == {b.name for b in mcp.blocks}
    names = [(b.name, lab) for b in mcp.blocks for lab in b.labels]
    z = [x[name][lab] for name, lab in names]
    f = sp.Matrix([sp.sympify(rows[name][lab]) for name, lab in names])
    value = sp.lambdify([z], f, modules="numpy")
    jacobian = sp.lambdify([z], f.jacobian(z), modules="numpy", cse=True)
    count = 0
    for k in seeds:
        rng = np.random.default_rng(k)
        point = rng.uniform(0.2, 1.8, mcp.n)
        for b in mcp.blocks:  # quantities of a size at which curvature shows
            if b.name.startswith(("drivers.arc_flow", "drivers.flow")):
                point[b.slice] *= 700.0
            elif b.name.startswith(("drivers.station_flow", "lse.", "dso.p", "dso.q")):
                point[b.slice] *= 11.0
        want, got = np.asarray(value(point), dtype=float).ravel(), mcp.F(point)
        size = np.maximum(1.0, np.abs(want))
        bad = int(np.argmax(np.abs(got - want) / size))
        assert abs(got[bad] - want[bad]) <= 1e-9 * size[bad], (names[bad], got[bad], want[bad])
        want = np.asarray(jacobian(point), dtype=float)
        got = mcp.J(point).toarray()
        size = np.maximum(1e-3, np.abs(want))
        gap = np.abs(got - want) / size
        i, j = np.unravel_index(int(np.argmax(gap)), gap.shape)
        assert gap[i, j] <= 1e-9, (names[i], names[j], got[i, j], want[i, j])
        count += int((want != 0).sum())
    return count


@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("line_rating", LINE_KINDS)
def test_spec_equations_symbolic(line_rating: str, v2g: bool) -> None:
    assert assert_same(the_case(line_rating), v2g) > 300


@pytest.mark.parametrize("v2g", [False, True])
def test_spec_bounds(v2g: bool) -> None:
    """Bounds of the problem, block by block, as in model.md."""
    case = the_case("polygon")
    mcp = problem(case, v2g).mcp
    free = (-np.inf, np.inf)
    up = (0.0, np.inf)
    expected = {
        "cno.charge": up, "cno.discharge": up, "cno.net_upper": up, "cno.net_lower": up,
        "dso.withdrawal": free, "dso.p_line": free, "dso.q_line": free,
        "dso.p_tso": (0.0, 1e4), "dso.q_tso": (-1e4, 1e4), "dso.balance": free,
        "dso.reactive_balance": free, "dso.voltage_drop": free, "dso.rating": up,
        "drivers.flow_ev": up, "drivers.flow_fv": up, "drivers.arc_flow": free,
        "drivers.station_flow": free, "drivers.arc_time": free, "drivers.queue_time": free,
        "drivers.demand_ev": free, "drivers.demand_fv": free,
        "charge_price": free, "discharge_price": free, "purchase_price": free,
        "resale_price": free, "tso_price": free,
    }  # fmt: skip
    for k in "AB":
        for name in ("sales", "to_station", "from_station", "import"):
            expected[f"lse.{k}.{name}"] = up
        expected[f"lse.{k}.energy"] = free
        expected[f"lse.{k}.generation"] = (0.0, 200.0)
    by_label = {
        "dso.v_squared": {("r",): (1.0, 1.0), ("a",): (0.81, 1.21), ("b",): (0.81, 1.21)},
        "dso.q_source": {("a",): (-20.0, 50.0), ("b",): (0.0, 30.0)},
        "wheeling_price": {("r",): (0.0, 0.0), ("a",): free, ("b",): free},
        "lse.A.shed": {("a",): (0.0, 0.6 * 80.0), ("b",): (0.0, 0.6 * 160.0)},
        "lse.B.shed": {("a",): (0.0, 0.4 * 80.0), ("b",): (0.0, 0.4 * 160.0)},
    }
    seen = set()
    for b in mcp.blocks:
        seen.add(b.name)
        for i, lab in zip(range(b.start, b.stop), b.labels, strict=True):
            want = by_label[b.name][lab] if b.name in by_label else expected[b.name]
            assert (mcp.lower[i], mcp.upper[i]) == pytest.approx(want, abs=1e-12), (b.name, lab)
    without = {n for n in {*expected, *by_label} if "discharge" in n or "from_station" in n}
    assert {*expected, *by_label} - seen == (set() if v2g else without | {"resale_price"})


# -- expressions ------------------------------------------------------------------------------


def test_spec_inverse_demand_and_cost_expressions() -> None:
    """Nonlinear inverse demand and generation cost given as text: rows and Jacobian."""

    def price(market, q, q0):
        p0 = market.reference_price
        return p0 * sp.exp(sp.Rational(1, 2) * (1 - q / q0)) - 0.001 * (q / q0) ** 2

    case = the_case("polygon").with_parameters(
        {
            "market.inverse_demand": "p0*exp(0.5*(1 - q/q0)) - 0.001*(q/q0)**2",
            "generators.gb.cost": "0.1*g + 0.002*(g + 1)**1.5 + 1e-6*g**3",
        },
    )
    assert (
        assert_same(
            case,
            True,
            inverse_demand=price,
            cost_of=lambda g: 0.1 * g + 0.002 * (g + 1) ** 1.5 + 1e-6 * g**3,
        )
        > 300
    )


@pytest.mark.parametrize(
    "text",
    [
        "p0*exp(0.5*(1 - q/q0))",
        "p0/(1 + q/q0)**2 - 1e-3*sqrt(1 + q)",
        "p0 - 0.01*log(1 + q/q0)",
        "1.5*p0 - p0*(q/q0)**1.2/3",
    ],
)
def test_finite_differences_expression(text: str) -> None:
    q0, p0 = np.array([20.0, 55.0]), np.array([0.15, 0.15])
    e = Expression.parse(text, variable="q", parameters={"q0": q0, "p0": p0}, where="here")
    q = np.array([13.0, 61.0])
    h = 1e-4 * q
    first = (e.value(q + h) - e.value(q - h)) / (2 * h)
    second = (e.first(q + h) - e.first(q - h)) / (2 * h)
    np.testing.assert_allclose(e.first(q), first, rtol=1e-7)
    np.testing.assert_allclose(e.second(q), second, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"market.inverse_demand": "p0 + 0.001*q"}, "phi'"),  # rises
        ({"market.inverse_demand": "p0*q0**3/(q + 0.1*q0)**3"}, "phi'"),  # too much curvature
        ({"market.inverse_demand": "p0*log(q/q0)*(-1)"}, "not finite"),  # at q = 0
        ({"market.inverse_demand": "p0 - x"}, "'x' is not known"),
        ({"market.inverse_demand": "p0 - q +"}, "not an expression"),
        ({"market.inverse_demand": "q.real"}, "character|known"),
        ({"generators.gb.cost": "0.1*g - 1e-4*g**2"}, "not convex"),
        ({"generators.gb.cost": "0.1*h"}, "'h' is not known"),
        ({"generators.gb.cost": "log(g)"}, "finite|convex"),
    ],
)
def test_spec_expressions_refused(changes, word) -> None:
    """2 phi' + q |phi''| <= 0 and convex costs are required, over the whole range."""
    with pytest.raises(DataError, match=word):
        vg.solve(make_case().with_parameters(changes))


@cache
def nonlinear_equilibrium() -> vg.Equilibrium:
    case = make_case(firm_share=0.4).with_parameters(
        {
            "market.inverse_demand": "p0*exp(0.5*(1 - q/q0))",
            "generators.gb.cost": "0.03*g + 1e-6*g**3",
        },
    )
    return vg.solve(case)


def test_spec_nonlinear_equilibrium_by_hand() -> None:
    """First-order conditions of the solution, from the formulas themselves."""
    eq = nonlinear_equilibrium()
    assert eq.certificate.holds, eq.certificate
    p0 = 0.15
    for b, load in (("a", 100.0), ("b", 200.0)):
        q0 = 0.6 * load
        s = float(eq.sales_kw.sel(bus=b))
        phi = p0 * np.exp(0.5 * (1 - s / q0))
        assert float(eq.retail_price.sel(bus=b)) == pytest.approx(phi, rel=1e-12)
        for k in "AB":
            i = eq.coupled.mcp[f"lse.{k}.sales"].labels.index((b,))
            q = eq.values[f"lse.{k}.sales"][i]
            marginal = phi - 0.5 / q0 * phi * q
            theta = float(eq.theta.sel(lse=k)) + float(eq.wheeling_price.sel(bus=b))
            assert marginal == pytest.approx(theta, rel=1e-9)
    g = float(eq.generation_kw.sel(generator="gb"))
    assert 1.0 < g < 199.0
    assert 0.03 + 3e-6 * g**2 == pytest.approx(
        float(eq.theta.sel(lse="B")) + float(eq.wheeling_price.sel(bus="b")), rel=1e-9
    )


def test_spec_nonlinear_benefit() -> None:
    """Benefit of responsive demand: the integral of p0 exp((1 - q/q0) / 2) in closed form."""
    eq = nonlinear_equilibrium()
    want = 0.0
    for b, load in (("a", 100.0), ("b", 200.0)):
        q0, s = 0.6 * load, float(eq.sales_kw.sel(bus=b))
        want += 0.15 * 2 * q0 * np.exp(0.5) * (1 - np.exp(-s / (2 * q0)))
    got = -eq.accounts.social_cost["benefit of responsive demand"]
    assert got == pytest.approx(want, rel=1e-9)
