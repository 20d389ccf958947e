"""Ranges of what depends on the choice of path flows, on cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_case, make_feeder, make_road

import v2geq as vg
from v2geq.results.path_flows import path_flows


def corridor():
    """Pairs 1 -> 4 and 5 -> 4 through stations at nodes 2 and 3; they differ before node 2."""
    free = {"bpr_b": 0.0}
    return make_case(
        road=make_road(
            {
                "1-2": {"length_km": 2.0, "free_flow_min": 2.0, **free},
                "5-2": {"length_km": 4.0, "free_flow_min": 4.0, **free},
                "2-3": {"length_km": 3.0, "free_flow_min": 3.0, **free},
                "3-4": {"length_km": 3.0, "free_flow_min": 3.0, **free},
            }
        ),
        stations={"s2": {"road_node": "2", "bus": "a"}, "s3": {"road_node": "3", "bus": "b"}},
        trips={"ev": {"1-4": 20.0, "5-4": 20.0}},
        method="enumerate",
    )


def test_hand_count_visit_share_range() -> None:
    """Stops and energies fix sums over pairs only; shares move along one direction.

    Per pair: none, C at 3, D at 2, D at 2 with C at 3 (DC). A discharge gives 10 kWh (pair 1) or 8
    (pair 2), so stops and energy at node 2 fix each pair's D + DC. A charge takes 5 (pair 1) or 7
    (pair 2), after a discharge 15. Moving t_i trips from D to DC adds a stop and 15 kWh at node 3;
    with T = t_1 + t_2, pair 1 must charge 4 T trips more and pair 2 5 T less: stops 4 - 5 + 1 = 0,
    energy 20 - 35 + 15 = 0. The visiting trips fall by T.
    """
    eq = vg.solve(corridor(), v2g=True)
    paths = eq.coupled.traffic.paths["ev"]
    assert set(paths.patterns) >= {"", "C", "D", "DC"}
    flow = np.zeros(len(paths))
    start = {"": 4.0, "C3": 5.0, "D2": 6.0, "D2C3": 5.0}
    for k, path in enumerate(paths.paths):
        key = "".join(f"{s.kind}{s.station + 2}" for s in path.stops)
        flow[k] = start.get(key, 0.0)
    for od in (0, 1):
        assert flow[paths.od == od].sum() == 20.0
    # prices at which the trip without a stop is cheapest: paths not in use stay out
    values = {**eq.values, "drivers.flow_ev": flow}
    values["charge_price"], values["discharge_price"] = np.array([0.5, 0.4]), np.zeros(2)
    ranges = path_flows(eq.coupled, values)

    # C of pair 2 and none of pair 1 hit zero at T = 1, none of pair 2 at T = -0.8
    assert ranges.visit_share.low == pytest.approx(31.0 / 40, abs=1e-9)
    assert ranges.visit_share.high == pytest.approx(32.8 / 40, abs=1e-9)
    # discharging trips are the stops at node 2: fixed
    assert ranges.discharge_share.low == pytest.approx(22.0 / 40, abs=1e-9)
    assert ranges.discharge_share.high == pytest.approx(22.0 / 40, abs=1e-9)
    # least squares over (t_1, t_2); order none, C, D, DC of pair 1, then of pair 2
    both = np.array([4.0, 5.0, 6.0, 5.0] * 2)
    ways = np.array(
        [[-4.0, 4.0, -1.0, 1.0, 5.0, -5.0, 0.0, 0.0], [-4.0, 4.0, 0.0, 0.0, 5.0, -5.0, -1.0, 1.0]]
    )
    t = np.linalg.lstsq(ways.T, -both, rcond=None)[0]
    want = both + t @ ways
    assert (want > 0).all()
    assert ranges.visit_share.value == pytest.approx((32.0 - t.sum()) / 40, abs=1e-9)
    got = ranges.least_squares["ev"]
    assert np.sort(got[got > 1e-6]) == pytest.approx(np.sort(want), abs=1e-7)


def two_equal_routes():
    """Two pairs, each with the same two equal routes; one station on each route."""
    half = {"bpr_power": 1.0, "bpr_b": 1.0, "capacity_veh_h": 100.0}
    return make_case(
        road=make_road(
            {
                "1-2": {"length_km": 1.0, "free_flow_min": 1.0, "bpr_b": 0.0},
                "5-2": {"length_km": 1.0, "free_flow_min": 1.0, "bpr_b": 0.0},
                "2-3": {**half},
                "2-4": {**half},
                "3-6": {**half},
                "4-6": {**half},
            }
        ),
        stations={"s3": {"road_node": "3", "bus": "a"}, "s4": {"road_node": "4", "bus": "b"}},
        trips={"ev": {"1-6": 20.0, "5-6": 20.0}},
    )


def test_ties_of_trips_that_earn() -> None:
    """A trip cost below zero: the same split of routes as above it, from any flows to start with."""
    case = two_equal_routes()
    scarce = make_case(
        feeder=make_feeder(loads={"a": 3000.0}),
        road=case.road,
        stations={"s2": {"road_node": "2", "bus": "a"}},
        generators={"ga": {"lse": "A", "bus": "a", "max_kw": 1.0}},
        drivers={"ev": {"discharge_level": 0.7}},
        trips={"ev": {"1-6": 20.0, "5-6": 20.0}},
        import_max=10.0,
    )
    eq = vg.solve(scarce, v2g=True)
    assert eq.certificate.holds
    assert (eq.cost_ev < 0).all()
    wide = eq.path_flows
    paths = wide.coupled.traffic.paths["ev"]
    flow = np.zeros(len(paths))
    arcs = list(wide.coupled.traffic.graph.arcs)
    for od, arc in ((0, "2-3"), (1, "2-4")):
        own = [k for k, p in enumerate(paths.paths) if p.od == od and arcs.index(arc) in p.arcs]
        flow[own[0]] = 20.0
    ranges = path_flows(wide.coupled, {**wide.values, "drivers.flow_ev": flow})
    used = ranges.least_squares["ev"]
    np.testing.assert_allclose(used[used > 1e-6], 10.0, rtol=1e-5)


def test_hand_count_equal_routes() -> None:
    """Arc flows 20/20 are unique, who takes which route is not; least squares halves both."""
    eq = vg.solve(two_equal_routes(), v2g=False)
    assert eq.certificate.holds
    np.testing.assert_allclose(eq.flow_veh_h.sel(arc=["2-3", "2-4"]), 20.0, rtol=1e-9)
    np.testing.assert_allclose(eq.path_flows.least_squares["ev"], 10.0, rtol=1e-6)
    assert eq.path_flows.visit_share.high == 0.0


def test_hand_count_discharging_pairs_range() -> None:
    """20 discharges among two equal pairs: one pair alone could do them, or both."""
    case = make_case(
        road=make_road(
            {
                "1-2": {"length_km": 2.0, "free_flow_min": 2.0, "bpr_b": 0.0},
                "5-2": {"length_km": 2.0, "free_flow_min": 2.0, "bpr_b": 0.0},
                "2-4": {"length_km": 5.0, "free_flow_min": 5.0, "bpr_b": 0.0},
            }
        ),
        stations={"s": {"road_node": "2", "bus": "b", "piles": 40.0}},
        generators={},
        trips={"ev": {"1-4": 12.0, "5-4": 12.0}},
        firm_share=1.0,
        import_max=200.0,
    )
    eq = vg.solve(case)
    assert eq.certificate.holds
    stops = float(eq.stops_veh_h[0])
    assert stops == pytest.approx(10.0, rel=1e-9)  # 100 kW lack, 10 kWh each
    pairs = eq.path_flows.discharge_od_pairs
    assert (pairs.low, pairs.value, pairs.high) == (1.0, 2.0, 2.0)
    share = eq.path_flows.discharge_share
    assert (share.low, share.high) == pytest.approx((10 / 24, 10 / 24), abs=1e-9)
