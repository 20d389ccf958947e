"""The AC sweep by phases: by hand, by its own equations, and where there is no solution."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
import pytest
from phase_feeders import KV, phase_feeder

from v2geq.errors import ConvergenceError, DataError
from v2geq.grid.ac import power_flow


def test_two_buses_by_hand() -> None:
    """One phase, constant power: v^2 from the quadratic of the two-bus power flow."""
    r, x, kw, kvar = 0.5, 0.4, 300.0, 150.0
    feeder = phase_feeder(
        root_voltage=1.0,
        buses=[{"bus": b, "phases": "a", "kv": KV} for b in ("source", "end")],
        branches=[{"branch": "l", "from_bus": "source", "to_bus": "end", "kind": "line"}],
        conductors=[{"branch": "l", "phase": "a", "from_phase": "a", "rating_a": 100.0}],
        impedances=[{"branch": "l", "phase": "a", "other_phase": "a", "r_ohm": r, "x_ohm": x}],
        loads=[{"load": "d", "bus": "end", "phases": "a", "kw": kw, "kvar": kvar, "kv": KV}],
        capacitors=[],
    )
    state = power_flow(feeder)
    e = KV * 1000.0
    p, q = kw * 1000.0, kvar * 1000.0
    half = e**2 / 2.0 - (r * p + x * q)
    v = math.sqrt(half + math.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2)))
    assert state.voltages.loc[("end", "a"), "voltage_pu"] == pytest.approx(v / e, abs=1e-10)
    amps = math.hypot(p, q) / v
    assert state.losses_kw == pytest.approx(r * amps**2 / 1000.0)
    flow = state.flows.iloc[0]
    assert flow["p_kw"] == pytest.approx(kw + state.losses_kw)
    assert flow["current_a"] == pytest.approx(amps)
    assert flow["loading"] == pytest.approx(amps / 100.0)


@pytest.mark.parametrize("constant_power", [False, True])
def test_it_satisfies_its_equations(constant_power: bool) -> None:
    """Ohm's law of every conductor with the branch's matrix, Kirchhoff's at every node."""
    feeder = phase_feeder()
    state = power_flow(feeder, constant_power=constant_power)
    net = state.network
    volts = dict(zip(net.nodes, state.voltage, strict=True))
    amps = {
        (b, p): i
        for b, p, i in zip(net.rows["branch"], net.rows["phase"], state.current, strict=True)
    }
    z = {
        (row.branch, row.phase, row.other_phase): row.r_ohm + 1j * row.x_ohm
        for row in feeder.impedances.itertuples()
    }
    leaving = {node: 0j for node in net.nodes}
    for row in net.rows.itertuples():
        drop = sum(
            value * amps[row.branch, m]
            for (b, k, m), value in z.items()
            if (b, k) == (row.branch, row.phase)
        )
        base = {"service": 0.12 / KV}.get(row.branch, 1.0)
        expected = row.ratio * base * (volts[row.from_bus, row.from_phase] - drop)
        assert volts[row.to_bus, row.phase] == pytest.approx(expected, abs=1e-5)
        leaving[row.from_bus, row.from_phase] += amps[row.branch, row.phase]
        leaving[row.to_bus, row.phase] -= amps[row.branch, row.phase] / (row.ratio * base)

    def drawn(kw: float, kvar: float, v: complex, kv: float, exponent: int) -> complex:
        size = 0 if constant_power else exponent
        power = 1000.0 * (kw + 1j * kvar) * (abs(v) / (1000.0 * kv)) ** size
        return (power / v).conjugate()

    for p in "abc":
        leaving["b", p] += drawn(50.0, 20.0, volts["b", p], KV, 0)
        cap = -1j * 30.0 * 1000.0 * (abs(volts["b", p]) / (1000.0 * KV)) ** 2
        leaving["b", p] += (cap / volts["b", p]).conjugate()
    for p, q in ("ab", "bc", "ca"):
        i = drawn(60.0, 70.0 / 3.0, volts["b", p] - volts["b", q], 4.16, 2)
        leaving["b", p] += i
        leaving["b", q] -= i
    leaving["c", "c"] += drawn(50.0, 23.0, volts["c", "c"], KV, 1)
    leaving["house", "1"] += drawn(4.0, 1.0, volts["house", "1"], 0.12, 0)
    for node, current in leaving.items():
        if node[0] != "source":
            assert abs(current) < 1e-5, node
    turned = cmath.phase(-volts["house", "1"] / volts["house", "2"])
    assert turned == pytest.approx(0.0, abs=0.1)


def test_losses_are_what_impedances_take() -> None:
    feeder = phase_feeder()
    state = power_flow(feeder)
    z = state.network.z
    taken = float((np.conj(state.current) * (z @ state.current)).real.sum()) / 1000.0
    assert state.losses_kw == pytest.approx(taken, abs=1e-6)


def test_outside_its_voltages_a_load_is_an_impedance() -> None:
    """Power falls with the square of the voltage below the lowest at which it is kept."""
    kw = 100.0
    load = {"load": "d", "bus": "b", "phases": "a", "kw": kw, "kvar": 0.0, "kv": KV}
    state = power_flow(phase_feeder(root_voltage=0.8, loads=[{**load, "vmin_pu": 0.95}]))
    v = state.voltages.loc[("b", "a"), "voltage_pu"]
    drawn = state.network.drawn.power(state.voltage)
    assert v < 0.9
    assert drawn[0].real == pytest.approx(kw * (v / 0.95) ** 2)


def test_more_than_it_can_carry() -> None:
    load = {"load": "d", "bus": "house", "phases": "1", "kw": 900.0, "kvar": 0.0, "kv": 0.12}
    with pytest.raises(ConvergenceError, match=r"phase 1 of bus 'house': loads may be above"):
        power_flow(phase_feeder(loads=[load]))


@pytest.mark.parametrize("given", [{"tolerance": "x"}, {"tolerance": 0.0}, {"constant_power": 1}])
def test_options_of_another_type(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"power_flow: {next(iter(given))} = "):
        power_flow(phase_feeder(), **given)
