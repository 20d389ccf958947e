"""The power flow by phases, against an AC sweep, closed forms and the single-phase formulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from phase_feeders import KV, phase_feeder

import v2geq as vg
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.settings import FeederSettings
from v2geq.data.readers.feeder import find_feeder, read_feeder
from v2geq.errors import DataError
from v2geq.grid.ac import PhaseState, power_flow
from v2geq.grid.by_phase import island_feeders
from v2geq.grid.topology import energised
from v2geq.opf import OptimalPowerFlow

PRICE, STEP = 0.10, 2.0
PLANTS = pd.DataFrame(
    {
        "bus": ["76", "48", "114"],
        "max_kw": [600.0, 300.0, 200.0],
        "cost_linear": [0.105, 0.09, 0.2],
        "cost_quadratic": [1e-6, 1e-6, 0.0],
        "phases": ["", "ab", "a"],
    },
    index=pd.Index(["G", "H", "K"], name="generator"),
)
LIMITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    # settings, parts of the price other than energy and losses
    "free": ({"line_rating": "none", "vmax": 1.2}, set()),
    "voltage": ({"line_rating": "none", "vmin": 0.99, "vmax": 1.2}, {"voltage"}),
    "line": ({"rating_factor": 0.9, "vmax": 1.2}, {"congestion"}),
    "reactive": ({"line_rating": "none", "vmax": 1.2, "reactive_max": 1255.0}, {"reactive"}),
}


def opf(feeder: Any, losses: bool = True, **given: Any) -> OptimalPowerFlow:
    return vg.optimal_power_flow(
        feeder, price=PRICE, formulation="three_phase", losses=losses, **given
    )


def unlimited(feeder: Any, losses: bool = True, **given: Any) -> OptimalPowerFlow:
    limits: dict[str, Any] = {"line_rating": "none", "vmin": 0.5, "vmax": 1.5}
    return opf(feeder, losses, **{**limits, **given})


def with_load(feeder: PhaseFeeder, bus: str, phases: str, kw: float) -> PhaseFeeder:
    """One more load, constant power, between the phases if they are two."""
    loads = feeder.loads
    own = {
        "bus": bus,
        "phases": phases,
        "connection": "delta" if len(phases) > 1 else "wye",
        "model": "power",
        "kw": kw,
        "kvar": 0.0,
        "kv": feeder.buses.loc[bus, "kv"] * (math.sqrt(3.0) if len(phases) > 1 else 1.0),
        "vmin_pu": 1e-6,
        "vmax_pu": 1e6,
    }
    more = pd.DataFrame([own], index=pd.Index(["more"], name="load"))[list(loads.columns)]
    return replace(feeder, loads=pd.concat([loads, more]))


def shipped() -> PhaseFeeder:
    by_phase = read_feeder("networks/ieee123").by_phase
    assert by_phase is not None
    return by_phase


def ac(feeder: PhaseFeeder) -> PhaseState:
    return power_flow(feeder, constant_power=True, tolerance=1e-13)


@pytest.mark.parametrize("feeder", [shipped(), phase_feeder()], ids=["ieee123", "small"])
def test_it_is_the_ac_power_flow(feeder: PhaseFeeder) -> None:
    """Voltages, flows, head power and losses; regulator, split phases and delta loads among it."""
    r = unlimited(feeder)
    state = ac(feeder)
    assert r.certificate.holds, r.certificate
    volts = state.voltages["voltage_pu"]
    assert np.allclose(r.voltage, volts.loc[list(r.voltage.index)], rtol=0.0, atol=1e-8)
    assert r.import_kw == pytest.approx(state.head_kva.real, abs=1e-5)
    assert r.losses_kw == pytest.approx(state.losses_kw, abs=1e-5)
    flows = state.flows.set_index(["branch", "phase"])
    flows = flows.loc[list(r.flows.index)]
    assert np.allclose(r.flows[["p_kw", "q_kvar"]], flows[["p_kw", "q_kvar"]], atol=1e-5)


@pytest.mark.parametrize("feeder", [shipped(), phase_feeder()], ids=["ieee123", "small"])
def test_prices_are_those_of_the_ac_power_flow(feeder: PhaseFeeder) -> None:
    """Of phases and between phases: central differences of what the source supplies."""
    r = unlimited(feeder)
    assert r.dlmp[feeder.root, "a"] == pytest.approx(PRICE)
    places = list(r.dlmp.index)
    between = [p for p in places if len(p[1]) > 1]
    assert between
    for bus, phases in [*between, *places[:: max(1, len(places) // 20)]]:
        step = STEP if bus not in ("low", "house") else 0.1
        ends = [ac(with_load(feeder, bus, phases, s * step)).head_kva.real for s in (1.0, -1.0)]
        marginal = (ends[0] - ends[1]) / (2.0 * step)
        assert r.dlmp[bus, phases] == pytest.approx(PRICE * marginal, rel=3e-6), (bus, phases)


@pytest.mark.parametrize("name", list(LIMITS))
def test_limits_that_bind(name: str) -> None:
    """Prices are central differences of the least cost; parts sum to them, each by itself."""
    settings, parts = LIMITS[name]
    feeder = shipped()

    def solved(by_phase: PhaseFeeder) -> OptimalPowerFlow:
        single = rated(by_phase) if name == "line" else by_phase
        return opf(single, generators=PLANTS, **settings)

    r = solved(feeder)
    assert r.certificate.holds, r.certificate
    found = set(r.dlmp_parts.columns[(r.dlmp_parts.abs() > 1e-6).any()])
    assert found == {"energy", "loss", *parts}
    assert float((r.dlmp_parts.sum(axis=1) - r.dlmp).abs().max()) < 1e-9
    for bus, phases in (("114", "a"), ("76", "ab"), ("66", "c")):
        cost = [solved(with_load(feeder, bus, phases, s * 0.05)).cost for s in (1.0, -1.0)]
        marginal = (cost[0] - cost[1]) / 0.1
        assert r.dlmp[bus, phases] == pytest.approx(marginal, rel=1e-4), (bus, phases)


def rated(by_phase: PhaseFeeder) -> Feeder:
    """The shipped feeder, whose ratings are not all of them those of the import."""
    return replace(
        read_feeder("networks/ieee123"), by_phase=by_phase, loads=by_phase.single_phase().loads
    )


def two_buses(**changes: Any) -> PhaseFeeder:
    """A source and a bus, one line with mutual impedance between them."""
    rows: Mapping[str, Any] = {
        "buses": [
            {"bus": bus, "phases": "abc", "kv": KV, "x": 0.0, "y": 0.0} for bus in ("source", "end")
        ],
        "branches": [{"branch": "line", "from_bus": "source", "to_bus": "end", "kind": "line"}],
        "conductors": [{"branch": "line", "phase": p, "from_phase": p} for p in "abc"],
        "impedances": [
            {
                "branch": "line",
                "phase": p,
                "other_phase": m,
                "r_ohm": 0.3 if p == m else 0.1,
                "x_ohm": 0.6 if p == m else 0.2,
            }
            for p in "abc"
            for m in "abc"
        ],
        "loads": [
            {"load": "one", "bus": "end", "phases": "b", "kw": 100.0, "kvar": 40.0, "kv": KV}
        ],
        "capacitors": [],
        "generators": [],
    }
    return phase_feeder(**{**rows, "root_voltage": 1.0, **changes})


def test_without_losses_it_is_lindistflow_by_phases() -> None:
    """A load on phase b lifts one neighbour and lowers the other: the sign of mutual terms."""
    r = unlimited(two_buses(), losses=False)
    power, turn = 100.0 - 40.0j, np.exp(1j * np.deg2rad([0.0, -120.0, 120.0]))
    z = np.array([0.1 + 0.2j, 0.3 + 0.6j, 0.1 + 0.2j])
    # dv_m = -2 Re(conj(V_m) z_mb conj(S_b / V_b))
    drop = 2.0 * np.real(np.conj(turn) * z * power / np.conj(turn[1])) / (1000.0 * KV**2)
    v = np.square(r.voltage["end"].loc[list("abc")])
    assert np.allclose(v, 1.0 - drop, rtol=0.0, atol=1e-10)
    assert v["a"] != pytest.approx(v["c"], abs=1e-4)
    assert np.allclose(r.dlmp, PRICE)


def test_a_load_between_two_phases() -> None:
    """S V_a / (V_a - V_b) of it is drawn from a: real power that the reactive splits unevenly."""
    load = {"load": "ab", "bus": "end", "phases": "ab", "connection": "delta"}
    feeder = two_buses(loads=[{**load, "kw": 90.0, "kvar": 30.0, "kv": math.sqrt(3.0) * KV}])
    r = unlimited(feeder, losses=False)
    part = (90.0 + 30.0j) / (1.0 - np.exp(-2j * np.pi / 3.0))
    flow = r.flows.loc["line"]
    assert flow["p_kw"]["a"] == pytest.approx(part.real)
    assert flow["q_kvar"]["a"] == pytest.approx(part.imag)
    assert flow["p_kw"]["b"] == pytest.approx(90.0 - part.real)
    assert flow["p_kw"]["c"] == pytest.approx(0.0, abs=1e-9)
    assert ("end", "ab") in r.dlmp.index


@pytest.mark.parametrize("losses", [False, True])
def test_balanced_it_is_the_single_phase_formulation(losses: bool) -> None:
    """Three phases alike, transposed lines: the same voltages and prices on every phase."""
    loads = [{"load": "all", "bus": "end", "phases": "abc", "kw": 600.0, "kvar": 200.0, "kv": KV}]
    feeder = two_buses(loads=loads)
    plants = pd.DataFrame(
        {"bus": ["end"], "max_kw": [250.0], "cost_linear": [0.101], "cost_quadratic": [1e-5]},
        index=pd.Index(["G"], name="generator"),
    )
    limits: dict[str, Any] = {"vmin": 0.975, "generators": plants}
    three = opf(feeder, losses, **limits)
    one = vg.optimal_power_flow(feeder, PRICE, losses=losses, **limits)
    assert three.import_kw == pytest.approx(one.import_kw, abs=1e-6)
    for phase in "abc":
        at = [("source", phase), ("end", phase)]
        assert np.allclose(three.voltage[at], one.voltage, rtol=0.0, atol=1e-9)
        assert np.allclose(three.dlmp[at], one.dlmp, rtol=0.0, atol=1e-8)
        assert np.allclose(three.dlmp_parts.loc[at], one.dlmp_parts, rtol=0.0, atol=1e-8)


def test_a_plant_on_one_phase_is_paid_its_price() -> None:
    own = {"max_kw": [50.0], "cost_linear": [0.05], "cost_quadratic": [0.0]}
    plants = pd.DataFrame({"bus": ["end"], **own, "phases": ["b"]}, index=pd.Index(["G"]))
    plants.index.name = "generator"
    r = unlimited(two_buses(), generators=plants)
    assert r.flows.loc["line"]["p_kw"]["b"] == pytest.approx(50.0, abs=1.0)
    for wrong in ("d", "ac1"):
        with pytest.raises(DataError, match=f"phases = '{wrong}' at bus 'end'"):
            unlimited(two_buses(), generators=plants.assign(phases=wrong))


def test_fed_from_the_other_end() -> None:
    """A regulator whose far end is the reference: V_source = V_end / t + z I."""
    feeder = two_buses(
        branches=[{"branch": "line", "from_bus": "source", "to_bus": "end", "kind": "regulator"}],
        conductors=[{"branch": "line", "phase": p, "from_phase": p, "ratio": 1.05} for p in "abc"],
        loads=[{"load": "x", "bus": "source", "phases": "a", "kw": 50.0, "kvar": 20.0, "kv": KV}],
    )
    limits = FeederSettings(0.9, 1.1, 1.0, True, "fixed")
    turned = energised(replace(feeder.single_phase(), root="end"), limits, (), ())
    (other,) = island_feeders(feeder, turned)
    assert other.root == "end"
    v = power_flow(other).voltages["voltage_pu"]["source"]
    z, expected = 0.3 + 0.6j, 1000.0 * KV + 0.0j
    for _ in range(50):
        # what the load draws flows against the branch's direction
        expected = 1000.0 * KV / 1.05 - z * np.conj((50.0 + 20.0j) * 1000.0 / expected)
    assert v["a"] == pytest.approx(abs(expected) / (1000.0 * KV), abs=1e-9)
    (flat,) = island_feeders(feeder, turned, regulators=False)
    assert power_flow(flat).voltages["voltage_pu"]["source", "a"] > v["a"]


def test_what_is_refused() -> None:
    plain = replace(read_feeder("networks/ieee123"), by_phase=None)
    with pytest.raises(DataError, match="needs a feeder by phases"):
        opf(plain)
    whole = find_feeder("ieee123")
    assert isinstance(whole, Feeder)
    branches = whole.branches.copy()
    branches.loc["l1", "r_ohm"] *= 2.0
    with pytest.raises(DataError, match=r"feeder.branches.l1.r_ohm = .* by phases"):
        opf(replace(whole, branches=branches))
    with pytest.raises(DataError, match="formulation = 'two_phase' is not one of"):
        vg.optimal_power_flow("ieee123", formulation="two_phase")


def test_a_rating_holds_where_the_flow_is_larger() -> None:
    """Of a plant that feeds back, at the plant's end: losses are taken off on the way."""
    plants = pd.DataFrame(
        {"bus": ["end"], "max_kw": [900.0], "cost_linear": [0.02], "cost_quadratic": [0.0]},
        index=pd.Index(["G"], name="generator"),
    )
    feeder = two_buses(
        conductors=[
            {"branch": "line", "phase": p, "from_phase": p, "rating_kva": 200.0} for p in "abc"
        ],
        loads=[{"load": "b", "bus": "end", "phases": "b", "kw": 30.0, "kvar": 15.0, "kv": KV}],
    )
    limits: dict[str, Any] = {"rating_sides": 64, "import_min": -1e4, "feed_in_price": 0.06}
    r = opf(feeder, generators=plants, **limits)
    assert r.certificate.holds, r.certificate
    made = r.generation["G"] / 3.0
    # phases a and c feed back all that is made there
    assert made == pytest.approx(200.0, rel=2e-3)
    assert -r.flows.loc["line"]["p_kw"]["a"] < made - 1.0
    cost = {
        s: opf(with_load(feeder, "end", "a", 0.05 * s), generators=plants, **limits).cost
        for s in (1.0, -1.0)
    }
    marginal = (cost[1.0] - cost[-1.0]) / 0.1
    assert r.dlmp["end", "a"] == pytest.approx(marginal, abs=1e-6)
    assert abs(r.dlmp_parts.loc[("end", "a"), "congestion"]) > 1e-3
    assert r.parts.gap < 1e-9


def test_loads_that_cancel_are_refused() -> None:
    """Shares of nothing: 60 kW on one phase and -60 kW on another would be left out."""
    feeder = two_buses(
        loads=[
            {"load": p, "bus": "end", "phases": p, "kw": kw, "kvar": 5.0, "kv": KV}
            for p, kw in (("a", 60.0), ("b", -60.0))
        ]
    )
    with pytest.raises(DataError, match="loads of bus 'end' by phases cancel: 60 kW drawn"):
        opf(feeder)


def test_reactive_power_of_a_plant_is_on_its_own_phase() -> None:
    plants = pd.DataFrame(
        {"bus": ["end"], "max_kw": [0.0], "cost_linear": [0.1], "cost_quadratic": [0.0]},
        index=pd.Index(["G"], name="generator"),
    ).assign(phases="a", min_kvar=20.0, max_kvar=20.0)
    flow = unlimited(two_buses(), losses=False, generators=plants).flows.loc["line"]["q_kvar"]
    assert flow.to_dict() == pytest.approx({"a": -20.0, "b": 40.0, "c": 0.0}, abs=1e-9)
    plants = plants.assign(min_kvar=0.0)
    r = unlimited(two_buses(), losses=True, generators=plants)
    assert r.flows.loc["line"]["q_kvar"]["c"] == pytest.approx(0.0, abs=1e-9)


def test_a_rating_of_one_conductor_counts() -> None:
    """Beside conductors that have none, and with the factor on ratings."""
    feeder = two_buses(
        conductors=[
            {
                "branch": "line",
                "phase": p,
                "from_phase": p,
                **({"rating_kva": 80.0} if p == "b" else {}),
            }
            for p in "abc"
        ],
    )
    with pytest.raises(DataError, match=r"nearest: line line.b"):
        opf(feeder, losses=False)
    r = opf(feeder, losses=False, rating_factor=2.0)
    assert r.flows.loc["line"]["loading"]["b"] == pytest.approx(abs(100.0 + 40.0j) / 160.0)


def test_a_phase_that_is_not_fed() -> None:
    """Closed instead of the main line, the tie has one phase of the three below."""
    with pytest.raises(DataError, match=r"phase [ab] of bus 'c', to which no closed"):
        opf(with_tie(), outages=["reg"], closed=["tie"])


def with_tie() -> PhaseFeeder:
    """The small feeder whose side line has three phases and whose tie has one."""
    feeder = phase_feeder()
    buses = feeder.buses.assign(phases=feeder.buses["phases"].replace({"c": "abc"}))
    rows = feeder.conductors
    more = pd.concat(
        [rows, *(rows[rows["branch"] == "side"].assign(phase=p, from_phase=p) for p in "ab")]
    )
    return replace(feeder, buses=buses, conductors=more)


@pytest.mark.parametrize(
    "given", [{"losses": "yes"}, {"outages": "line"}, {"closed": None}, {"outages": [["line"]]}]
)
def test_arguments_of_another_type(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(given)).removesuffix("s")):
        vg.optimal_power_flow(two_buses(), **given)


def test_generators_of_the_tables_are_told_to_have_no_part() -> None:
    """Who generates is said by `generators`; an AC power flow counts what the tables say."""
    own = {"generator": "pv", "bus": "end", "phases": "abc", "kind": "pv", "kw": 30.0, "kvar": 0.0}
    limits = {"kw_max": 30.0, "kva": 30.0, "kvar_min": 0.0, "kvar_max": 0.0}
    r = unlimited(two_buses(generators=[{**own, **limits}]))
    assert r.figures["note"].startswith("generators of the feeder by phases are not used: pv")
    assert "note" not in unlimited(two_buses()).figures
