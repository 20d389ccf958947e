"""Problems that between them use every kind of curve, bound and label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import make_case, make_feeder, make_road

import v2geq as vg
from v2geq.data.edit.case import Case
from v2geq.equilibrium import Equilibrium, solve
from v2geq.mcp.assemble import MCP
from v2geq.mcp.curves import Linear, Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program


def charging_case(**changes: object) -> Case:
    """Vehicles must charge on the way, so that all station prices but the V2G ones are in use."""
    return make_case(
        **{
            "drivers": {"ev": {"battery": 13.0}, "fv": {"kind": "fv"}},
            "trips": {"ev": {"1-3": 40.0}, "fv": {"1-3": 60.0, "1-2": 20.0}},
            **changes,
        }
    )


def curved_case() -> Case:
    """Costs and demand given as expressions, several BPR powers, box ratings."""
    return charging_case(
        generators={
            "ga": {"lse": "A", "bus": "a"},
            "ge": {"lse": "A", "bus": "b", "cost": "0.11*g + 1e-7*g**3 + 0.5*exp(g/400)"},
            "gb": {"lse": "B", "bus": "b", "cost_linear": 0.12},
        },
        inverse_demand="p0*exp(1 - q/q0)",
        demand_range=1.4,
        line_rating="box",
        feeder=make_feeder({"r-a": {}, "a-b": {"rating_kva": 400.0}}),
        road=make_road(
            {
                "1-2": {"capacity_veh_h": 60.0, "toll": 0.5},
                "2-3": {
                    "length_km": 6.0,
                    "free_flow_min": 6.0,
                    "bpr_power": 1.5,
                    "capacity_veh_h": 80.0,
                },
                "1-3": {"length_km": 13.0, "free_flow_min": 13.0, "bpr_power": 0.0},
            }
        ),
    )


def problem(case: Case, **options: object) -> Equilibrium:
    return solve(case, **options)


def odd_labels() -> MCP:
    """A seller and a buyer whose labels GAMS cannot take as they are."""
    long = "route " + "a" * 80
    names = [
        long + "1",
        long + "2",
        "it's",
        'say "no"',
        "both ' and \"",
        "N",
        "n",
        "x",
        "X",
        "ä\tb",
    ]
    n = len(names)
    p = Program("sum.of-all", 10.0)
    x = p.variable("x'", ("thing",), names, unit="kW", scale=2.0, upper=np.arange(1.0, n + 1))
    p.separable_cost(x, Quadratic(np.linspace(0.1, 0.4, n), np.full(n, 0.03125)))
    p.cost(x, np.full(n, 1.0 / 3.0))
    p.sell("price", {x: 1.0}, n)
    b = Program("buyer", 10.0)
    low = np.where(np.arange(n) == 1, -np.inf, 0.0)
    y = b.variable("y", ("thing",), names, unit="kW", scale=2.0, lower=low)
    b.cournot_revenue(y, Linear(np.full(n, 2.0), np.linspace(0.3, 0.7, n)), [])
    b.sell("price", {y: -1.0}, n)
    b.at_least("most", (), [()], terms={y: -np.ones((1, n))}, rhs=-4.0, unit="kW", scale=2.0)
    market = Market("price", "kW", ("thing",), names, scale=1.0, start=0.1)
    return MCP([p, b], [market])


def own_players() -> list[Callable[[Any], vg.Program]]:
    """Everything a player of the user can state, on the small case."""

    def store(s: Any) -> vg.Program:
        p = vg.Program("store", s)
        x = p.variable("x", "bus", list(s.buses[:2]), unit="kW", lower=-5.0, upper=5.0)
        p.sell("energy", x)
        p.cost(x, "0.01*x**2 + exp(x/20)")
        p.quadratic_cost(x, [[0.02, 0.01], [0.01, 0.02]])
        p.add(vg.Market("permits", "kg/h", lower=0))
        p.sell("permits", 50.0)
        s.charge("permits", "lse.*.generation", 0.5)
        return p

    def follower(s: Any) -> vg.Program:
        p = vg.Program("follower", s)
        y = p.variable("y", unit="kW", upper=4.0)
        p.sell("energy", y, at=s.buses[0])
        p.cost(y, 1e-4, times="store.x")
        p.at_most("less", terms={y: 1.0, "store.x": -0.1}, rhs=3.0)
        g = s.generators.iloc[0]
        name = str(s.generators.index[0])
        z = p.variable("z", "generator", [name], unit="kW", upper=float(g["max_kw"]))
        p.cost(z, Quadratic(np.array([g["cost_linear"]]), np.array([g["cost_quadratic"]])))
        p.sell("energy", z, at=str(g["bus"]))
        p.replaces(f"lse.{g['lse']}", generator=name)
        return p

    return [store, follower]
