"""Equilibria by phases: AC-feasible, cleared phase by phase, like one phase where all are alike."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import make_case, make_feeder
from phase_feeders import phase_feeder

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.phases import PHASE_TABLES
from v2geq.equilibrium import Equilibrium
from v2geq.errors import DataError
from v2geq.grid.ac import power_flow
from v2geq.grid.by_phase import island_feeders

BY_PHASE = {"feeder.formulation": "three_phase"}
WITH_LOSSES = {**BY_PHASE, "feeder.losses": True}


def solved(scenario: str = "stress", **parameters: Any) -> Equilibrium:
    case = vg.load_case("ieee123_sioux_falls_reference")
    return vg.solve(case, scenario, parameters={**WITH_LOSSES, **parameters})


def drawn(eq: Equilibrium) -> list[PhaseFeeder]:
    """The feeder by phases with what the equilibrium draws at every terminal, island by island."""
    by_phase = eq.case.feeder.by_phase
    assert by_phase is not None
    grid: Any = eq.coupled.grid
    wires, kw = grid.wires, eq.values["dso.withdrawal"]
    sources = dict(zip(wires.nodes, wires.low.tolist(), strict=True))
    ranged = [node for node, a, b in zip(wires.nodes, wires.low, wires.high, strict=True) if b > a]
    sources |= dict(zip(ranged, eq.values["dso.q_source"].tolist(), strict=True))
    rows = []
    for (bus, phases), p, q in zip(wires.terminals, kw, wires.kvar, strict=True):
        kv = by_phase.buses.loc[bus, "kv"] * (math.sqrt(3.0) if len(phases) > 1 else 1.0)
        rows.append(
            {
                "load": f"{bus}.{phases}",
                "bus": bus,
                "phases": phases,
                "connection": "delta" if len(phases) > 1 else "wye",
                "kw": p,
                "kvar": q - sources.get((bus, phases), 0.0),
                "kv": kv,
            }
        )
    schema = PHASE_TABLES["loads"]
    loads = schema.frame({c.name: [r.get(c.name, c.default) for r in rows] for c in schema.columns})
    settings = eq.case.feeder_settings
    feeder = replace(by_phase, loads=loads)
    parts = island_feeders(feeder, eq.scenario.network, regulators=settings.regulators)
    volts = [eq.voltage_pu_by_phase.sel(bus=part.root, phase="a").item() for part in parts]
    return [
        replace(
            part,
            root_voltage=v,
            # banks without the substation are switched, as supplies of the DSO
            capacitors=part.capacitors.iloc[
                : None if k == 0 and settings.capacitors == "fixed" else 0
            ],
        )
        for k, (part, v) in enumerate(zip(parts, volts, strict=True))
    ]


@pytest.mark.parametrize("scenario", ["stress", "island"])
def test_it_is_ac_feasible(scenario: str) -> None:
    """An AC sweep of what is drawn has the voltages, phase by phase, and the import."""
    eq = solved(scenario)
    assert eq.certificate.holds, eq.certificate
    assert eq.certificate.parts_gap < 1e-9
    for number, part in enumerate(drawn(eq)):
        state = power_flow(part, constant_power=True)
        for (bus, phase), v in state.voltages["voltage_pu"].items():
            assert float(eq.voltage_pu_by_phase.sel(bus=bus, phase=phase)) == pytest.approx(
                v, abs=1e-7
            )
        if number == 0:
            assert state.head_kva.real == pytest.approx(float(eq.tso_import_kw), abs=1e-4)


def test_prices_by_phase_and_by_bus() -> None:
    """A bus has the mean over its load; a station that of its phases; parts add up on each."""
    eq = solved()
    dlmp, by_phase = eq.dlmp, eq.dlmp_by_phase
    one_phase = [b for b in eq.scenario.buses if eq.case.feeder.buses.loc[b, "phases"] == "a"]
    for bus in one_phase:
        assert float(dlmp.sel(bus=bus)) == pytest.approx(float(by_phase.sel(bus=bus, phase="a")))
    spread = by_phase.sel(phase=list("abc")).max("phase") - by_phase.sel(phase=list("abc")).min(
        "phase"
    )
    assert float(spread.max()) > 1e-3
    total = sum(eq.data[f"dlmp_{name}_by_phase"] for name in eq.dlmp_parts)
    assert np.allclose(total, by_phase, rtol=0.0, atol=1e-9, equal_nan=True)
    table = eq.dlmp_parts.sum(axis=1, skipna=False)
    assert np.allclose(table, dlmp, rtol=0.0, atol=1e-9, equal_nan=True)
    for station, bus in eq.scenario.stations["bus"].items():
        here = by_phase.sel(bus=bus, phase=list(eq.case.feeder.buses.loc[bus, "phases"])).mean()
        theta = eq.energy_price.sel(bus=bus)
        cheapest = float(eq.theta.min()) - float(theta)
        bought = float(eq.purchase_price.sel(station=station))
        assert bought == pytest.approx(float(here) + cheapest, abs=1e-6)


def test_stations_and_generators_on_some_phases() -> None:
    """On one phase a station has that phase's price; phases a bus has not are refused."""
    case = vg.load_case("ieee123_sioux_falls_reference")
    station = next(
        s for s, b in case.stations["bus"].items() if case.feeder.buses.loc[b, "phases"] == "abc"
    )
    bus = case.stations.loc[station, "bus"]
    moved = case.with_parameters({f"stations.{station}.phases": "b", **WITH_LOSSES})
    eq = vg.solve(moved, "stress")
    assert eq.certificate.holds, eq.certificate
    here = float(eq.dlmp_by_phase.sel(bus=bus, phase="b") - eq.energy_price.sel(bus=bus))
    price = float(eq.purchase_price.sel(station=station))
    assert price == pytest.approx(here + float(eq.theta.min()), abs=1e-6)
    with pytest.raises(DataError, match="phases = 'ax'"):
        vg.solve(case.with_parameters({f"stations.{station}.phases": "ax", **BY_PHASE}), "base")


def balanced(feeder: Feeder) -> Feeder:
    """The feeder with three phases alike, without mutual impedances."""
    z = feeder.branches[["r_ohm", "x_ohm"]]
    kv = feeder.base_kv / math.sqrt(3.0)
    rows: dict[str, list[dict[str, Any]]] = {
        "buses": [{"bus": b, "phases": "abc", "kv": kv} for b in feeder.buses.index],
        "branches": [
            {"branch": k, "from_bus": i, "to_bus": j, "kind": "line"}
            for k, i, j in feeder.branches[["from_bus", "to_bus"]].itertuples()
        ],
        "conductors": [
            {"branch": k, "phase": p, "from_phase": p} for k in feeder.branches.index for p in "abc"
        ],
        "impedances": [
            {"branch": k, "phase": p, "other_phase": p, "r_ohm": r, "x_ohm": x}
            for k, r, x in z.itertuples()
            for p in "abc"
        ],
        "loads": [
            {"load": b, "bus": b, "phases": "abc", "kw": p, "kvar": q, "kv": kv}
            for b, p, q in feeder.loads.itertuples()
        ],
        "capacitors": [],
        "generators": [],
    }
    frames = {
        name: schema.frame(
            {c.name: [r.get(c.name, c.default) for r in rows[name]] for c in schema.columns}
        )
        for name, schema in PHASE_TABLES.items()
    }
    by_phase = PhaseFeeder(name=feeder.name, root=feeder.root, root_voltage=1.0, **frames)
    return replace(feeder, by_phase=by_phase)


@pytest.mark.parametrize("losses", [False, True])
def test_balanced_it_is_the_single_phase_market(losses: bool) -> None:
    """Three phases alike have the prices, flows and voltages of the single-phase formulation."""
    lines = {"r-a": {"rating_kva": 320.0}, "a-b": {}}
    feeder = balanced(make_feeder(lines))
    found = {}
    for formulation in ("single_phase", "three_phase"):
        case = make_case(
            feeder=feeder,
            trips={"ev": {"1-3": 20.0}},
            formulation=formulation,
            losses=losses,
            vmin=0.985,
        )
        found[formulation] = eq = vg.solve(case, "base")
        assert eq.certificate.holds, eq.certificate
    one, three = found["single_phase"], found["three_phase"]
    assert set(one.data) < set(three.data)
    for name in (
        "dlmp",
        "voltage_pu",
        "p_kw",
        "q_kvar",
        "loading",
        "generation_kw",
        "charge_price",
        *(f"dlmp_{part}" for part in one.dlmp_parts),
    ):
        assert np.allclose(one.data[name], three.data[name], rtol=0.0, atol=1e-6), name
    for phase in "abc":
        assert np.allclose(three.dlmp_by_phase.sel(phase=phase), one.dlmp, rtol=0.0, atol=1e-6)


def test_saved_and_loaded(tmp_path: Path) -> None:
    eq = solved()
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert again.certificate.holds, again.certificate
    assert np.array_equal(again.dlmp_by_phase, eq.dlmp_by_phase, equal_nan=True)


def test_explained() -> None:
    eq = solved()
    bus = str(eq.dlmp.to_series().idxmax())
    assert "losses add" in eq.explain(bus=bus).text
    plain = solved(**{"feeder.losses": False})
    columns = plain.explain(bus=bus).table.columns
    assert {"rating_price", "voltage_price", "loss_price"} <= set(columns)
    assert plain.explain(line="l115").table.shape[0] > 100


def test_feeders_that_say_two_things() -> None:
    """Changes of the single-phase tables alone are refused, as they would be without effect."""
    case = vg.load_case("ieee123_sioux_falls_reference")
    changed = {**BY_PHASE, "feeder.branches.l1.r_ohm": 1.0}
    with pytest.raises(DataError, match=r"feeder.branches.l1.r_ohm = 1, but .* by phases"):
        vg.solve(case, "base", parameters=changed)
    rated = {"feeder.branches.l115.rating_kva": 2700.0, "feeder.line_rating": "polygon"}
    tight = solved("base", **rated)
    own = tight.loading_by_phase.sel(line="l115")
    assert float(own.max()) == pytest.approx(1.0, abs=0.02)
    assert float(own.sum("phase")) < 3.0


def test_islands_of_one_bus_and_of_a_transformer() -> None:
    """A bus alone is an island; one phase feeds a split-phase secondary, never the other way."""
    feeder = phase_feeder()
    own = feeder.single_phase()
    plants = {
        f"{lse}{bus}": {"lse": lse, "bus": bus, "max_kw": 300.0, "cost_linear": cost}
        for lse, cost in (("A", 0.1), ("B", 0.12))
        for bus in ("b", "c")
    }
    sources = {"b": 300.0, "c": 100.0}
    hour = ScenarioData(outages=("reg", "side"), reactive_sources=sources)
    case = make_case(
        feeder=own,
        generators=plants,
        stations={"s": {"road_node": "2", "bus": "b"}},
        scenarios={"base": hour},
        formulation="three_phase",
        losses=True,
    )
    eq = vg.solve(case, "base")
    assert eq.certificate.holds, eq.certificate
    heads = [list(p.buses.index) for p in island_feeders(feeder, eq.scenario.network)]
    assert sorted(map(len, heads)) == [1, 2, 3]
    assert {"b"} in map(set, heads)
    ac = eq.power_flow()
    assert "0.0000 pu from the model's" in str(ac)
