"""User equilibrium of Sioux Falls with fuel vehicles alone, against the best-known solution."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import v2geq as vg
from v2geq.data.readers.folders import networks_folder
from v2geq.solvers.protocol import Options

FLOWS = networks_folder() / "sioux_falls" / "best_known_flows.csv"
OBJECTIVE = 42.31335287107440e5  # vehicle-minutes


@cache
def equilibrium(share: float = 1.0) -> vg.Equilibrium:
    """Of a share of trips and capacities."""
    case = vg.load_case("ieee123_sioux_falls").without_class("ev")
    case = case.with_parameters({"road.capacity_factor": share, "drivers.fv.trips_factor": share})
    return vg.solve(case, "base", v2g=False, options=Options(tolerance=1e-12))


def minutes(x: np.ndarray, arcs: pd.DataFrame) -> np.ndarray:
    ratio = x / arcs["capacity_veh_h"].to_numpy()
    return arcs["free_flow_min"].to_numpy() * (1 + arcs["bpr_b"].to_numpy() * ratio**4)


def test_sioux_falls_beckmann_objective() -> None:
    eq = equilibrium()
    arcs = eq.original.road.arcs
    assert (arcs["bpr_power"] == 4).all()
    x, cap = eq.flow_veh_h.to_numpy(), arcs["capacity_veh_h"].to_numpy()
    t0, b = arcs["free_flow_min"].to_numpy(), arcs["bpr_b"].to_numpy()
    beckmann = float((t0 * (x + b * cap * (x / cap) ** 5 / 5)).sum())
    assert beckmann == pytest.approx(OBJECTIVE, rel=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_sioux_falls_link_flows(share: float) -> None:
    """As the shipped cases read it, a tenth, flows are a tenth and times the same."""
    eq = equilibrium(share)
    known = pd.read_csv(FLOWS, dtype={"arc": str}).set_index("arc")
    here = eq.flow_veh_h.to_series() / share
    assert set(here.index) == set(known.index)
    gap = (here / known["flow_veh_h"].reindex(here.index) - 1).abs().max()
    assert gap <= 1e-7
    times = pd.Series(minutes(here.to_numpy(), eq.original.road.arcs), index=here.index)
    np.testing.assert_allclose(times, known["time_min"].reindex(here.index), rtol=1e-7)
    np.testing.assert_allclose(eq.time_h * 60, times, rtol=1e-12)


def test_sioux_falls_no_shorter_path() -> None:
    """No trip can be shortened: cost of every pair is the shortest time by Dijkstra's method."""
    import networkx as nx

    eq = equilibrium()
    graph = nx.DiGraph()
    for (_, a), t in zip(eq.original.road.arcs.iterrows(), eq.time_h.to_numpy(), strict=True):
        graph.add_edge(a["from_node"], a["to_node"], weight=t)
    shortest = dict(nx.all_pairs_dijkstra_path_length(graph))
    origin, destination = eq.origin_fv.to_numpy(), eq.destination_fv.to_numpy()
    best = [12.0 * shortest[o][d] for o, d in zip(origin, destination, strict=True)]
    np.testing.assert_allclose(eq.cost_fv, best, rtol=1e-10)
    assert len(best) == 528
    assert eq.certificate.holds, eq.certificate
