"""Optimal power flow of a feeder alone, against AC power flows and a second program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from case33 import KV, case33
from cases import make_feeder
from typer.testing import CliRunner

import v2geq as vg
from v2geq.cli import app
from v2geq.data.model.feeder import Feeder
from v2geq.data.readers.feeder import read_feeder
from v2geq.errors import ConvergenceError, DataError
from v2geq.opf import OptimalPowerFlow

PLANTS = pd.DataFrame(
    {
        "bus": ["18", "25", "33", "22"],
        "max_kw": [500.0, 400.0, 800.0, 300.0],
        "cost_linear": [0.08, 0.105, 0.104, 0.112],
        "cost_quadratic": [0.0, 0.0, 1e-6, 0.0],
        "min_kvar": [-100.0, 0.0, -300.0, 0.0],
        "max_kvar": [100.0, 0.0, 300.0, 0.0],
    },
    index=pd.Index(list("ABCD"), name="generator"),
)
RATED = {"2-3": 2900.0, "6-26": 1000.0}
CASES: dict[str, tuple[Feeder, dict[str, Any], set[str]]] = {
    # feeder, settings, parts of the price other than energy and losses
    "free": (case33(), {}, set()),
    "line": (case33(RATED), {}, {"congestion"}),
    "voltage": (case33(), {"vmin": 0.96}, {"voltage"}),
    "reactive": (case33(), {"reactive_max": 1950.0}, {"reactive"}),
    "box": (case33({"2-3": 2300.0}), {"line_rating": "box"}, {"congestion"}),
    "both": (case33({"2-3": 2410.0, "6-26": 900.0}), {"vmin": 0.965}, {"congestion", "voltage"}),
}


def sweep(
    feeder: Feeder, made: dict[str, complex] | None = None
) -> tuple[complex, dict[str, complex]]:
    """AC power flow in complex numbers: power at the root, kVA, and voltage by bus, pu."""
    rows = list(feeder.branches.itertuples())
    z = {row.to_bus: (row.r_ohm + 1j * row.x_ohm) / (1000.0 * KV**2) for row in rows}
    drawn = {b: complex(kw, kvar) for b, kw, kvar in feeder.loads.itertuples()}
    for bus, power in (made or {}).items():
        drawn[bus] -= power
    v = dict.fromkeys(feeder.buses.index, 1.0 + 0.0j)
    for _ in range(100):
        current = {bus: (drawn.get(bus, 0.0) / v[bus]).conjugate() for bus in v}
        for row in reversed(rows):  # lines are listed from the root outwards
            current[row.from_bus] += current[row.to_bus]
        for row in rows:
            v[row.to_bus] = v[row.from_bus] - z[row.to_bus] * current[row.to_bus]
    return current["1"].conjugate(), v


def test_the_published_figures() -> None:
    r = vg.optimal_power_flow(case33(), losses=True)
    assert r.losses_kw == pytest.approx(202.68, abs=0.01)
    assert r.voltage.idxmin() == "18"
    assert r.voltage.min() == pytest.approx(0.91309, abs=1e-5)
    assert r.certificate.holds
    assert r.flows["losses_kw"].sum() == pytest.approx(r.losses_kw)
    assert r.import_kw == pytest.approx(3715.0 + r.losses_kw)


def test_prices_are_those_of_the_ac_power_flow() -> None:
    """All 33 within 0.002 % of central differences of the power bought at the root."""
    r = vg.optimal_power_flow(case33(), price=0.10, losses=True)
    loads, step = case33().loads["load_kw"], 1.0
    assert r.dlmp["1"] == pytest.approx(0.10)
    for bus, load in loads.items():
        more, less = (sweep(case33(loads={bus: load + d}))[0].real for d in (step, -step))
        assert r.dlmp[bus] == pytest.approx(0.10 * (more - less) / (2.0 * step), rel=2e-5), bus


@pytest.mark.parametrize("name", list(CASES))
def test_limits_that_bind(name: str) -> None:
    """AC-feasible, as cheap as the cone program, with its prices; parts sum to the price."""
    feeder, settings, parts = CASES[name]
    r = vg.optimal_power_flow(feeder, losses=True, generators=PLANTS, **settings)
    assert r.certificate.holds, r.certificate
    found = set(r.dlmp_parts.columns[(r.dlmp_parts.abs() > 1e-6).any()])
    assert found == {"energy", "loss", *parts}
    assert float((r.dlmp_parts.sum(axis=1) - r.dlmp).abs().max()) < 1e-9
    for detail in ("congestion", "voltage"):
        total = getattr(r.parts, detail).sum(axis=1)
        assert np.allclose(total, r.dlmp_parts[detail], rtol=0.0, atol=1e-12)

    q = pd.Series(r.values["dso.q_source"], index=["18", "33"])
    made = {
        bus: complex(r.generation[plant], q.get(bus, 0.0)) for plant, bus in PLANTS["bus"].items()
    }
    root, volts = sweep(feeder, made)
    assert root.real == pytest.approx(r.import_kw, abs=1e-4)
    size = pd.Series({bus: abs(v) for bus, v in volts.items()})
    assert np.allclose(size[r.voltage.index], r.voltage, rtol=0.0, atol=1e-7)

    cost, prices = cone_program(feeder, settings)
    assert r.cost == pytest.approx(cost, rel=1e-7)
    assert np.allclose(prices[r.dlmp.index], r.dlmp, rtol=2e-5, atol=0.0)


def cone_program(feeder: Feeder, settings: dict[str, Any]) -> tuple[float, pd.Series[float]]:
    """Cost and prices of the exact branch flow relaxed to cones, which are tight here."""
    buses = list(feeder.buses.index)
    at = {bus: k for k, bus in enumerate(buses)}
    lines = feeder.branches[~feeder.branches["normally_open"]]
    start, end = (lines[c].map(at).to_numpy() for c in ("from_bus", "to_bus"))
    m, n, mw = len(lines), len(buses), 1000.0
    r, x = (lines[c].to_numpy() / KV**2 for c in ("r_ohm", "x_ohm"))  # pu per MW
    p, q, current, v = (cp.Variable(k) for k in (m, m, m, n))
    bought, reactive, g, k = cp.Variable(), cp.Variable(), cp.Variable(4), cp.Variable(4)
    arrive, leave, here = np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, 4))
    arrive[end, np.arange(m)] = 1.0
    leave[start, np.arange(m)] = 1.0
    here[[at[bus] for bus in PLANTS["bus"]], np.arange(4)] = 1.0
    root = np.eye(n)[0]
    load = feeder.loads.reindex(buses).fillna(0.0).to_numpy() / mw
    balance = (
        arrive @ (p - cp.multiply(r, current)) - leave @ p + here @ g + root * bought == load[:, 0]
    )
    limits = [
        balance,
        arrive @ (q - cp.multiply(x, current)) - leave @ q + here @ k + root * reactive
        == load[:, 1],
        v[end]
        == v[start]
        - 2.0 * (cp.multiply(r, p) + cp.multiply(x, q))
        + cp.multiply(r**2 + x**2, current),
        v[0] == 1.0,
        v >= settings.get("vmin", 0.9) ** 2,
        v <= 1.1**2,
        g >= 0.0,
        g <= PLANTS["max_kw"].to_numpy() / mw,
        k >= PLANTS["min_kvar"].to_numpy() / mw,
        k <= PLANTS["max_kvar"].to_numpy() / mw,
        reactive <= settings.get("reactive_max", 1e5) / mw,
    ]
    limits += [
        cp.SOC(
            current[j] + v[int(start[j])],
            cp.hstack([2 * p[j], 2 * q[j], current[j] - v[int(start[j])]]),
        )
        for j in range(m)
    ]
    for j in np.flatnonzero(lines["rating_kva"].to_numpy() < 1e5):
        rating = lines["rating_kva"].iloc[j] / mw
        if settings.get("line_rating") == "box":
            limits += [cp.abs(p[j]) <= rating, cp.abs(q[j]) <= rating]
            continue
        angle = 2.0 * np.pi * (np.arange(16) + 0.5) / 16
        limits.append(np.cos(angle) * p[j] + np.sin(angle) * q[j] <= rating * np.cos(np.pi / 16))
    linear, curved = PLANTS["cost_linear"].to_numpy(), PLANTS["cost_quadratic"].to_numpy()
    cost = mw * (0.10 * bought + linear @ g + mw * cp.sum(cp.multiply(curved, cp.square(g))))
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    gap = current.value * v.value[start] - p.value**2 - q.value**2
    assert np.abs(gap).max() < 1e-5
    return float(problem.value), pd.Series(-balance.dual_value / mw, index=buses)


def test_equal_supplies_settle() -> None:
    """With linear costs that tie, repetition alone would swap generators for ever."""
    tied = PLANTS.assign(cost_linear=0.106, cost_quadratic=0.0)
    r = vg.optimal_power_flow(case33(RATED), losses=True, generators=tied)
    assert r.certificate.holds
    assert r.rounds < 12
    running = r.generation[(r.generation > 1.0) & (r.generation < tied["max_kw"] - 1.0)]
    assert np.allclose(r.dlmp[tied["bus"][running.index]], 0.106, rtol=0.0, atol=1e-9)


def test_without_losses() -> None:
    r = vg.optimal_power_flow(case33(), price=0.2)
    assert np.allclose(r.dlmp, 0.2)
    assert r.losses_kw == 0.0
    assert r.import_kw == pytest.approx(3715.0)
    full = vg.optimal_power_flow(case33(RATED), generators=PLANTS)
    assert list(full.parts.congestion.columns) == ["2-3"]
    assert full.certificate.holds
    assert "ac_distance_kw" not in [f.name for f in full.certificate.figures]


def test_losses_may_be_what_keeps_the_limits() -> None:
    """Much is fed in: without losses voltages are above 1.05 pu whatever is done."""
    must = PLANTS.assign(min_kw=3.0 * PLANTS["max_kw"], max_kw=3.0 * PLANTS["max_kw"])
    given: dict[str, Any] = {"generators": must, "import_min": -5000.0, "vmax": 1.05}
    with pytest.raises(DataError, match="no dispatch keeps all limits"):
        vg.optimal_power_flow(case33(), **given)
    r = vg.optimal_power_flow(case33(), losses=True, **given)
    assert r.certificate.holds
    assert 1.04 < r.voltage.max() <= 1.05 + 1e-6
    assert r.import_kw < -1900.0


def test_an_island() -> None:
    """Behind an open line power is worth what it costs there; losses count from its head."""
    plants = PLANTS.loc[["B", "C"]].assign(min_kvar=-600.0, max_kvar=600.0, max_kw=2000.0)
    r = vg.optimal_power_flow(case33(), losses=True, generators=plants, outages=["3-23"])
    assert r.certificate.holds
    parts = r.dlmp_parts.loc["24"]
    assert r.dlmp["25"] == pytest.approx(0.105)
    assert parts["energy"] == pytest.approx(0.10)
    assert parts["scarcity"] > 0.005
    assert r.dlmp_parts.loc["2", "scarcity"] == 0.0
    lost = r.flows.loc[["23-24", "24-25"], "losses_kw"].sum()
    assert r.generation["B"] == pytest.approx(930.0 + lost)


def test_what_it_takes(tmp_path: Path) -> None:
    """Shipped feeders by name; results by label, as files, in words."""
    r = vg.optimal_power_flow("ieee123", losses=True, line_rating="none")
    assert isinstance(r, OptimalPowerFlow)
    assert r.certificate.holds
    assert "90.4 kW lost" in repr(r)
    assert "DLMP" in r._repr_html_()
    r.save(tmp_path)
    table = pd.read_csv(tmp_path / "buses.csv", dtype={"bus": str}).set_index("bus")
    assert np.allclose(table["dlmp"], r.dlmp)
    assert np.allclose(table[list(r.dlmp_parts)].sum(axis=1), table["dlmp"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"vmin": 0.95},
            r"no dispatch keeps all limits; nearest: bus \d+ at least 0\.\d{4} pu below vmin 0.95; bus",
        ),
        ({"vmin": 1.2}, "vmin = 1.2 pu is above vmax"),
        ({"vmim": 0.95}, "unknown setting 'vmim'.*vmin"),
        ({"formulation": "dc"}, "formulation = 'dc'"),
        ({"price": "dear"}, "price = 'dear'"),
        ({"outages": ["x"]}, "outage of unknown branch 'x'"),
        ({"rating_sides": 7}, "rating_sides = 7 is out of range; rating_sides must be even"),
        ({"generators": PLANTS.assign(bus="x")}, "generator at unknown bus 'x'"),
        ({"generators": PLANTS.drop(columns="max_kw")}, "max_kw"),
        ({"feeder": 3}, "pandapower net|needs pandapower"),
    ],
)
def test_bad_input(given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        vg.optimal_power_flow(**{"feeder": case33(), "losses": True, **given})


def test_the_smallest_violation_is_told() -> None:
    """By so much limits have to give way, and by no less, whatever generators do."""
    given: dict[str, Any] = {"generators": PLANTS.assign(max_kw=150.0)}
    with pytest.raises(DataError, match=r"nearest: bus (\d+) at least \d") as caught:
        vg.optimal_power_flow(case33(), vmin=0.96, **given)
    found = re.search(r"bus (\d+) at least (\S+) pu below vmin 0.96;", str(caught.value))
    assert found is not None
    least = 0.96 - float(found[2])
    r = vg.optimal_power_flow(case33(), vmin=least - 1e-4, **given)
    assert r.voltage.idxmin() == found[1]
    with pytest.raises(DataError, match="no dispatch keeps all limits"):
        vg.optimal_power_flow(case33(), vmin=least + 1e-4, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"feeder": case33({"2-3": 1000.0})},
            "line 2-3 at least 2881 kVA above its rating of 1000",
        ),
        ({"import_max": 1000.0}, "substation at least 2715 kW above import_max 1000"),
        ({"reactive_max": 1000.0}, "substation at least 1300 kvar above reactive_max 1000"),
        (
            {"vmax": 1.01, "import_min": -1e4, "generators": PLANTS.assign(min_kw=5e3, max_kw=5e3)},
            r"bus 18 at least 0.\d+ pu above vmax 1.01",
        ),
    ],
)
def test_limits_are_told_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"nearest: {words}"):
        vg.optimal_power_flow(**{"feeder": case33(), **given})


def test_more_than_it_can_carry() -> None:
    heavy = case33(loads={"18": 5_000.0})
    with pytest.raises(ConvergenceError, match="AC power flow finds no voltages"):
        vg.optimal_power_flow(heavy, losses=True, vmin=0.01)


def test_the_command(tmp_path: Path) -> None:
    plants = pd.DataFrame(
        {"bus": ["114"], "max_kw": [50.0], "cost_linear": [0.05], "cost_quadratic": [0.0]},
        index=pd.Index(["pv"], name="generator"),
    )
    plants.to_csv(tmp_path / "plants.csv")
    words = ["opf", "ieee123", "--losses", "--set", "line_rating=none", "--price", "0.2"]
    words += ["--generators", str(tmp_path / "plants.csv"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for text in ("generation         50.0 kW", "dearest buses", "certificate: holds"):
        assert text in done.output
    tables = ("buses", "lines", "generators", "congestion_parts", "voltage_parts")
    drawings = ("feeder", "price_stack", "part_maps")
    files = {f"{name}.csv" for name in tables}
    files |= {f"{name}.{kind}" for name in drawings for kind in ("svg", "png")}
    assert {f.name for f in (tmp_path / "out").iterdir()} == files


def test_the_command_by_phases_and_switched(tmp_path: Path) -> None:
    """Prices by bus and phase; a tie takes over what an outage cuts off."""
    words = ["opf", "ieee123", "--formulation", "three_phase", "--set", "line_rating=none"]
    words += ["--set", "vmin=0.8", "--outage", "sw2", "--close", "sw7", "--losses"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "certificate: holds" in done.output
    prices = pd.read_csv(tmp_path / "out" / "dlmp.csv", dtype={"bus": str})
    assert list(prices.columns[:2]) == ["bus", "phase"]
    assert set(prices["bus"]) == set(read_feeder("networks/ieee123").buses.index)
    wrong = CliRunner().invoke(app, ["opf", "ieee123", "--formulation", "four_phase"])
    assert wrong.exit_code != 0


def exporting(kind: str, kvar: float, more: dict[str, float] | None = None) -> OptimalPowerFlow:
    """r - a - b: the generator at b sells to the TSO, over a line that is full the other way."""
    loads = {"a": (100.0, 40.0), "b": (150.0, kvar)}
    for bus, kw in (more or {}).items():
        loads[bus] = loads[bus][0] + kw, loads[bus][1]
    line = {"rating_kva": 300.0, "r_ohm": 0.4, "x_ohm": 0.5}
    plant = {"bus": ["b"], "max_kw": [2000.0], "cost_linear": [0.02], "cost_quadratic": [1e-5]}
    return vg.optimal_power_flow(
        make_feeder({"r-a": {}, "a-b": line}, loads),
        losses=True,
        generators=pd.DataFrame(plant, index=pd.Index(["g"], name="generator")),
        line_rating=kind,
        rating_sides=6,
        import_min=-5000.0,
        feed_in_price=0.06,
    )


@pytest.mark.parametrize("kvar", [0.0, -200.0, 200.0])
@pytest.mark.parametrize("kind", ["polygon", "box"])
def test_a_rating_holds_at_both_ends(kind: str, kvar: float) -> None:
    """Flow towards the root is largest where it comes in; prices are the cost's differences."""
    r = exporting(kind, kvar)
    assert r.certificate.holds
    assert r.grid.binding(r.values).lines == ("a-b",)
    into, out = r.generation["g"] - 150.0, -r.flows.loc["a-b", "p_kw"]
    assert into - out == pytest.approx(r.flows.loc["a-b", "losses_kw"])
    assert into > out + 1.0
    if kind == "box" or not kvar:
        assert into == pytest.approx(300.0)
    else:  # the side at 30 degrees, where most of the flow is real
        gauge = (into * np.cos(np.pi / 6) + abs(kvar) / 2.0) / np.cos(np.pi / 6)
        assert gauge == pytest.approx(300.0)
    apparent = np.hypot(into, kvar) / 300.0
    assert r.flows.loc["a-b", "loading"] == pytest.approx(apparent, rel=2e-2)
    for bus in ("a", "b"):
        ends = [exporting(kind, kvar, {bus: d}).cost for d in (0.5, -0.5)]
        assert r.dlmp[bus] == pytest.approx(ends[0] - ends[1], rel=1e-7)
    assert r.dlmp["b"] == pytest.approx(0.02 + 2e-5 * r.generation["g"])
    assert r.dlmp_parts.loc["b", "congestion"] < -0.02
