"""Random small cases against the convex program: limits of every kind bind in some of them."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_case, make_feeder, make_road
from test_potential import compare

import v2geq as vg

pytestmark = pytest.mark.slow


def random_case(seed: int):
    """Tree of 3 to 6 buses, road of 6 nodes, 1 to 4 stations, 0 to 3 generators, two classes."""
    g = np.random.default_rng(seed)
    names = list("abcde")[: g.integers(2, 6)]
    lines = {}
    for i, bus in enumerate(names):
        parent = "r" if i == 0 else names[g.integers(0, i)]
        lines[f"{parent}-{bus}"] = {
            "r_ohm": float(g.uniform(0.05, 0.6)),
            "x_ohm": float(g.uniform(0.05, 0.6)),
            "rating_kva": float(g.uniform(80, 500)),
        }
    loads = {b: (float(g.uniform(30, 200)), float(g.uniform(0, 60))) for b in names}
    arcs = {}
    for i in range(1, 7):
        for j in range(i + 1, 7):
            if j == i + 1 or g.random() < 0.35:
                km = float(g.uniform(2, 7) * (j - i) ** 0.8)
                arcs[f"{i}-{j}"] = {
                    "capacity_veh_h": float(g.uniform(8, 40)),
                    "length_km": km,
                    "free_flow_min": km * float(g.uniform(0.7, 1.4)),
                    "bpr_power": float(g.choice([1.0, 2.0, 4.0])),
                }
    stations = {
        f"s{k}": {
            "road_node": str(k + 2),
            "bus": str(g.choice(names)),
            "piles": float(g.uniform(1, 8)),
            "charge_max_kw": float(g.choice([30.0, 1000.0])),
            "discharge_max_kw": float(g.choice([30.0, 1000.0])),
        }
        for k in range(g.integers(1, 5))
    }
    generators = {
        f"g{k}": {
            "lse": str(g.choice(["A", "B"])),
            "bus": str(g.choice(names)),
            "max_kw": float(g.uniform(20, 150)),
            "cost_linear": float(g.uniform(0.02, 0.4)),
            "cost_quadratic": float(g.uniform(0, 5e-4)),
        }
        for k in range(g.integers(0, 4))
    }
    return make_case(
        feeder=make_feeder(lines, loads),
        road=make_road(arcs),
        stations=stations,
        generators=generators,
        drivers={
            "ev": {"energy_value": float(g.choice([0.0, 0.05]))},
            "fv": {"kind": "fv", "value_of_time": 20.0},
        },
        trips={
            "ev": {"1-6": float(g.uniform(5, 40)), "1-4": float(g.uniform(5, 20)), "2-6": 5.0},
            "fv": {"1-6": 10.0},
        },
        line_rating=str(g.choice(["polygon", "box"])),
        vmin=0.94,
        vmax=1.06,
        firm_share=float(g.choice([0.3, 0.8, 1.0])),
        import_max=float(g.choice([200.0, 1e4])),
        voll=float(g.choice([1.0, 5.0, 20.0])),
        price=float(g.choice([0.08, 0.3])),
        queue_smoothing=float(g.choice([0.2, 1.0])),
    )


@pytest.mark.parametrize("v2g", [False, True])
@pytest.mark.parametrize("seed", [1, 3, 5, 6, 7, 8, 9, 10])
def test_random_small_cases_potential(seed: int, v2g: bool) -> None:
    eq = vg.solve(random_case(seed), v2g=v2g)
    assert eq.certificate.holds, eq.certificate
    compare(eq, "base", v2g)
