"""Circuits made for OpenDSS against the own sweep, and the user's own script with other loads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from phase_feeders import phase_feeder
from small_dss import MASTER, ODD, write_small

import v2geq as vg
from v2geq.arrays import FloatArray
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.schema import CASE_TABLES
from v2geq.data.model.settings import FeederSettings, SubstationSettings
from v2geq.errors import DataError
from v2geq.grid.ac_state import Injections
from v2geq.grid.dss_circuit import opendss_state, script_state
from v2geq.grid.network import Network, network_of
from v2geq.grid.wires import wires_of

pytest.importorskip("dss", reason="needs the OpenDSS engine: pip install 'v2geq[power]'")

RAW = Path(os.environ.get("V2GEQ_RAW") or Path(__file__).resolve().parents[3] / "shared" / "data")
IEEE123 = RAW / "ieee123" / "opendss" / "IEEE123Master.dss"


def given(
    feeder: PhaseFeeder, *outages: str, scale: float = 1.0, capacitors: str = "fixed"
) -> tuple[Network, Injections]:
    """The feeder's own loads, constant power, as a market's injections."""
    single = feeder.single_phase()
    limits = FeederSettings(
        vmin=0.9, vmax=1.1, root_voltage=feeder.root_voltage, regulators=True, capacitors=capacitors
    )
    substation = SubstationSettings(price=0.1, import_max=1e5, reactive_min=-1e5, reactive_max=1e5)
    plants = CASE_TABLES["generators"]
    none = plants.frame({c.name: [] for c in plants.columns})
    hour = ScenarioData(outages=outages)
    net = network_of(single, limits, substation, none, [], hour)
    wires = wires_of(feeder, net)
    kw: FloatArray = single.loads["load_kw"].reindex(list(net.buses)).fillna(0.0).to_numpy()
    drawn = scale * (wires.load @ kw + 1j * wires.kvar)
    heads = np.full(int(net.island.max()) + 1, feeder.root_voltage)
    return net, Injections(wires, drawn, heads)


@pytest.mark.parametrize("script", ["MASTER", "ODD"])
def test_every_kind_of_branch(tmp_path: Path, script: str) -> None:
    """Also windings between phases, phases that cross, without a neutral, split, no-load losses."""
    feeder = vg.read_opendss(write_small(tmp_path, {"MASTER": MASTER, "ODD": ODD}[script]))
    net, injected = given(feeder)
    own, theirs = injected.swept(), opendss_state(feeder, net, injected)
    assert np.abs(own.voltage_pu - theirs.voltage_pu).max() < 2e-5
    assert np.abs(own.power - theirs.power).max() < 2e-4 * np.abs(own.power).max()
    assert abs(own.head_kva - theirs.head_kva).max() < 2e-4 * abs(own.head_kva).max()
    assert theirs.engine.startswith("OpenDSS 0.")


def test_islands_have_their_own_sources() -> None:
    feeder = phase_feeder()
    net, injected = given(feeder, "reg")
    assert net.island.max() == 1
    own, theirs = injected.swept(), opendss_state(feeder, net, injected)
    assert np.abs(own.voltage_pu - theirs.voltage_pu).max() < 1e-5
    assert theirs.head_kva[1].real > 300.0, "the load behind the regulator"
    assert theirs.head_kva == pytest.approx(own.head_kva, rel=1e-4, abs=0.1)
    assert own.lost_kw.sum() == pytest.approx(theirs.lost_kw.sum(), abs=0.05)


def test_losses_and_supply_close_the_balance() -> None:
    own = (injected := given(phase_feeder())[1]).swept()
    used = float(injected.drawn.real.sum())
    assert own.head_kva.real.sum() == pytest.approx(used + own.lost_kw.sum(), abs=1e-6)


def test_the_script_with_other_loads(tmp_path: Path) -> None:
    """With half its loads, constant power: as the feeder read from it, whose taps stay."""
    master = write_small(tmp_path)
    feeder = vg.read_opendss(master)
    net, injected = given(feeder, scale=0.5)
    own, theirs = injected.swept(), script_state(master, net, injected)
    assert np.nanmax(np.abs(own.voltage_pu - theirs.voltage_pu)) < 1e-5
    assert theirs.head_kva == pytest.approx(own.head_kva, rel=1e-4)
    assert own.lost_kw.sum() == pytest.approx(theirs.lost_kw.sum(), rel=1e-3)
    assert "Master.dss, taps as its own solution has them: reg" in theirs.circuit
    known = ~np.isnan(theirs.loading)
    assert known.any()
    moved = script_state(master, net, injected, controls=True)
    assert "Master.dss, controls live: reg" in moved.circuit


def test_a_script_that_does_not_fit(tmp_path: Path) -> None:
    master = write_small(tmp_path)
    net, injected = given(vg.read_opendss(write_small(tmp_path / "odd", ODD)))
    with pytest.raises(DataError, match="the script has no a1.a, .* where the market has load"):
        script_state(master, net, injected)
    net, injected = given(phase_feeder(), "reg")
    with pytest.raises(DataError, match="the feeder is in islands; leave script out"):
        script_state(master, net, injected)


@pytest.mark.slow
@pytest.mark.parametrize("v2g", [True, False])
@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
def test_equilibria_of_the_reference_case(scenario: str, v2g: bool) -> None:
    """Asked for: 1e-4 pu; found: 2e-7."""
    eq = vg.solve(vg.load_case("ieee123_sioux_falls_reference"), scenario, v2g=v2g)
    own, theirs = (eq.power_flow(engine=e) for e in ("sweep", "opendss"))
    assert (own.buses["ac_pu"] - theirs.buses["ac_pu"]).abs().max() < 1e-5
    assert (own.heads - theirs.heads).abs().max(axis=None) < 0.1
    assert own.figures["losses_kw"] == pytest.approx(theirs.figures["losses_kw"], abs=0.01)
    assert own.violations.shape == theirs.violations.shape


@pytest.mark.skipif(not IEEE123.is_file(), reason="needs the raw OpenDSS files (V2GEQ_RAW)")
def test_published_script_of_the_stress_case() -> None:
    """Losses and head of the issue: 93 kW and 3,174 kW, 129 % of the head line's rating."""
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "stress")
    found = eq.power_flow(script=IEEE123)
    assert found.figures["losses_kw"] == pytest.approx(93.0, abs=4.0)
    assert found.figures["head_kw"] == pytest.approx(3174.0, abs=5.0)
    assert found.figures["largest_loading"] == pytest.approx(1.29, abs=0.02)
