"""The whole against one convex program.

With linear demand and one value of time Phi has its optimum at the equilibrium. The program is
written by hand (`byhand.Potential`) and solved by Clarabel.

Compared is only what is unique: lambda + theta at buses with load (not its parts), arc and station
flows, trip costs, generation, sums of shedding and of energies. Energy by station is unique only
where stations face different prices, shedding by bus where less than all buses shed.
"""

from __future__ import annotations

import byhand
import numpy as np
import pytest
from cases import make_case, make_feeder, make_road

import v2geq as vg

pytestmark = pytest.mark.slow

REFERENCE = "ieee123_sioux_falls_reference"
RUNS = [(REFERENCE, s, v) for s in ("base", "stress", "island") for v in (False, True)]
RUNS += [
    ("ieee123_sioux_falls", "stress", True),
    ("ieee123_sioux_falls_binding", "stress", True),
    ("ieee123_sioux_falls_binding", "island", True),
]


def compare(eq: vg.Equilibrium, scenario: str, v2g: bool, *, rel: float = 1e-6) -> None:
    """Raise unless `eq` is the optimum of the potential."""
    f = byhand.facts(eq.original, scenario, v2g)
    paths = byhand.path_lists(eq)
    program = byhand.Potential(f, paths).solve()
    k = program.retailers
    loaded = np.flatnonzero(f.firm + f.responsive > 0)
    names = [f.buses[i] for i in loaded]
    kw = max(1.0, float(f.firm.sum() + f.responsive.sum()))

    def close(got, want, size, what: str) -> None:
        gap = float(np.abs(np.asarray(got) - np.asarray(want)).max(initial=0.0))
        assert gap <= rel * size, (what, gap / size)

    dlmp = eq.dlmp.sel(bus=names).to_numpy()
    close(program.dlmp[loaded] / dlmp, 1.0, 1.0, "dlmp")
    flow = program.trips.ratio.value * byhand.capacities(eq.original)
    close(flow, eq.flow_veh_h, float(eq.flow_veh_h.max()), "arc flow")
    if len(f.stations) and program.trips.waits:
        stops = byhand.stops_of(eq)
        close(program.trips.n.value, stops, float(stops.max()) + 1, "stops")
    close(program.c.value.sum(), eq.charge_kw.sum(), kw, "charge")
    close(program.d.value.sum(), eq.discharge_kw.sum(), kw, "discharge")
    for name in eq.original.drivers:
        u = -byhand.UNIT * program.trips.demand[name].dual_value
        if eq.original.drivers[name].kind == "fv":
            u = u * eq.original.drivers[name].value_of_time / program.trips.omega
        cost = eq.data[f"cost_{name}"].to_numpy()
        close(u, cost, float(np.abs(cost).max()), f"trip cost {name}")
    # which of several buses at the value of lost load sheds is free: compare the sum
    close(sum(r.shed.value.sum() for r in k.values()), eq.shed_kw.sum(), kw, "shed")
    made = {g: x for r in k.values() for g, x in zip(r.own.index, r.gen.value, strict=True)}
    close([made[g] for g in eq.data["generator"].to_numpy()], eq.generation_kw, kw, "generation")
    close(program.grid.import_kw.value, eq.tso_import_kw, kw, "import")
    for name, r in k.items():
        close(r.q.value, _sales(eq, f, name), kw, "sales")
    phi = byhand.potential_value(eq.values, eq.coupled.mcp, f, paths)
    best = float(program.power_cost.value) + _time_and_money(program)
    assert phi == pytest.approx(best, rel=1e-9)


def _sales(eq: vg.Equilibrium, f: byhand.Facts, name: str) -> np.ndarray:
    r = byhand.Retailer(f, name)
    r.assign(eq)
    return r.q.value


def _time_and_money(program: byhand.Potential) -> float:
    """The drivers' part of Phi by formula: the program itself holds an expansion of it."""
    t = program.trips
    ratio = np.maximum(t.ratio.value, 0.0)
    travel = (t.t0 * t.cap * (ratio + t.bpr_b * ratio ** (t.power + 1) / (t.power + 1))).sum()
    waiting = 0.0
    if t.waits:

        def queue(z: np.ndarray) -> np.ndarray:
            e = t.eps
            return (z**2 + z * np.sqrt(z**2 + e**2) + e**2 * np.arcsinh(z / e)) / 4

        n = t.n.value
        waiting = (t.base * n + t.slope * (queue(n - t.piles) - queue(-t.piles))).sum()
    money = t.money.value if hasattr(t.money, "value") else t.money
    return float(t.omega * (travel + waiting) + money)


@pytest.mark.parametrize(("case", "scenario", "v2g"), RUNS)
def test_spec_potential_shipped(solved, case, scenario, v2g) -> None:
    compare(solved(case, scenario, v2g), scenario, v2g)


def congested(**changes):
    """Small case where a line binds, a queue forms and drivers charge and discharge."""
    settings = {
        "feeder": make_feeder(
            {"r-a": {"rating_kva": 250.0}, "a-b": {}, "a-c": {"rating_kva": 120.0}},
            {"a": (100.0, 30.0), "b": (200.0, 60.0), "c": (150.0, 50.0)},
        ),
        "road": make_road(
            {
                "1-2": {"capacity_veh_h": 30.0},
                "2-4": {"capacity_veh_h": 20.0, "length_km": 6.0, "free_flow_min": 6.0},
                "1-3": {"capacity_veh_h": 15.0, "length_km": 7.0, "free_flow_min": 7.0},
                "3-4": {"capacity_veh_h": 20.0, "length_km": 6.0, "free_flow_min": 6.0},
                "2-3": {"length_km": 4.0, "free_flow_min": 4.0},
            }
        ),
        "stations": {
            "s2": {"road_node": "2", "bus": "b", "piles": 4.0},
            "s3": {"road_node": "3", "bus": "c", "piles": 3.0},
        },
        "drivers": {"ev": {"energy_value": 0.02}, "fv": {"kind": "fv", "value_of_time": 20.0}},
        "trips": {"ev": {"1-4": 20.0, "2-4": 5.0}, "fv": {"1-4": 15.0}},
        "generators": {
            "ga": {"lse": "A", "bus": "a", "max_kw": 80.0},
            "gc": {"lse": "B", "bus": "c", "max_kw": 60.0, "cost_linear": 0.30},
        },
        "voll": 2.0,
        "queue_smoothing": 0.5,
    }
    return make_case(**{**settings, **changes})


def busy(**changes):
    """`congested` with a node 5 so far out that its trips must charge."""
    road = make_road(
        {
            "1-2": {"capacity_veh_h": 30.0},
            "2-4": {"capacity_veh_h": 20.0, "length_km": 6.0, "free_flow_min": 6.0},
            "1-3": {"capacity_veh_h": 15.0, "length_km": 7.0, "free_flow_min": 7.0},
            "3-4": {"capacity_veh_h": 20.0, "length_km": 6.0, "free_flow_min": 6.0},
            "2-3": {"length_km": 4.0, "free_flow_min": 4.0},
            "4-5": {"length_km": 9.0, "free_flow_min": 9.0},
        }
    )
    trips = {"ev": {"1-4": 20.0, "2-4": 5.0, "1-5": 8.0}, "fv": {"1-4": 15.0}}
    return congested(**{"road": road, "trips": trips, **changes})


@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("build", [congested, busy])
def test_spec_potential_small_congested(build, v2g: bool) -> None:
    """Binding lines, queues, fuel vehicles of another value of time, priced battery energy."""
    eq = vg.solve(build(), v2g=v2g)
    assert eq.certificate.holds, eq.certificate
    dlmp = eq.dlmp.to_numpy()
    assert np.nanmax(dlmp) - np.nanmin(dlmp) > 0.01
    compare(eq, "base", v2g)
