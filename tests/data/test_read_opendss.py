"""Feeders read from OpenDSS scripts: what is taken, against the engine's own voltages; bad scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ieee123_phases import derived, with_taps
from small_dss import LINES, MASTER, ODD, write_small

import v2geq as vg
from v2geq.cli import app
from v2geq.data.checks.agreement import agreement
from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.phases import NO_LIMIT_KVA, PHASE_TABLES
from v2geq.data.readers import dss_engine
from v2geq.data.readers.dss_engine import dss_circuit
from v2geq.data.readers.feeder import read_feeder
from v2geq.data.readers.folders import networks_folder
from v2geq.data.readers.phases import read_phase_feeder
from v2geq.errors import ConvergenceError, DataError
from v2geq.grid.ac import PhaseState, power_flow

pytest.importorskip("dss", reason="needs the OpenDSS engine: pip install 'v2geq[power]'")

RAW = Path(os.environ.get("V2GEQ_RAW") or Path(__file__).resolve().parents[3] / "shared" / "data")
IEEE123 = RAW / "ieee123" / "opendss" / "IEEE123Master.dss"
IEEE8500 = RAW / "ieee8500" / "opendss" / "Master.dss"
NODES = {"a": 1, "b": 2, "c": 3, "1": 1, "2": 2}


def raw(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(
            f"needs the raw OpenDSS files {path} (set V2GEQ_RAW to the folder of ieee123 and ieee8500)"
        )
    return path


def engine_voltages(
    master: Path, change: Callable[[object], None] | None = None
) -> tuple[dict[str, float], complex]:
    """Voltage by node, pu, and power of the source, kVA, as the engine has them."""
    with dss_circuit(master) as engine:
        if change:
            change(engine)
        circuit = engine.ActiveCircuit
        assert circuit.Solution.Converged
        head = np.asarray(circuit.TotalPower).view(complex)[0]
        return dict(zip(circuit.AllNodeNames, circuit.AllBusVmagPu, strict=True)), -head


def gap(state: PhaseState, volts: dict[str, float]) -> tuple[float, str]:
    """Largest difference of voltages, pu, and where."""
    there = {
        f"{bus}.{NODES[phase]}": abs(v - volts[f"{bus}.{NODES[phase]}"])
        for (bus, phase), v in state.voltages["voltage_pu"].items()
    }
    worst = max(there, key=there.__getitem__)
    return there[worst], worst


def constant_power(engine: object) -> None:
    """Every load constant power at any voltage, taps as they are."""
    circuit = engine.ActiveCircuit  # type: ignore[attr-defined]
    for _ in circuit.Loads:
        circuit.Loads.Model, circuit.Loads.Vmaxpu, circuit.Loads.Vminpu = 1, 5.0, 0.1
    engine("set controlmode=off")  # type: ignore[operator]
    circuit.Solution.Solve()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PhaseFeeder]:
    master = write_small(tmp_path_factory.mktemp("small"))
    return master, vg.read_opendss(master)


def test_every_kind_of_element_as_the_engine_has_it(small: tuple[Path, PhaseFeeder]) -> None:
    """Delta-wye, delta-delta and centre-tapped transformers, regulators, loads of every model."""
    master, feeder = small
    state = power_flow(feeder)
    volts, head = engine_voltages(master)
    assert gap(state, volts)[0] < 1e-6
    assert abs(state.head_kva - head) < 2e-5 * abs(head)
    with dss_circuit(master) as engine:
        assert state.losses_kw == pytest.approx(engine.ActiveCircuit.Losses[0] / 1000.0, rel=1e-4)


def test_the_source_has_an_impedance(tmp_path: Path) -> None:
    """Next to nothing it is left out, else a branch behind which the voltage is held."""
    master = write_small(tmp_path, MASTER.replace("x1=0.0001 r0=0 x0=0.0001", "x1=6 r0=1 x0=9"))
    feeder = vg.read_opendss(master)
    assert (feeder.root, feeder.branches.index[0]) == ("source_source", "source_impedance")
    state = power_flow(feeder)
    below = state.voltages.drop("source_source", level="bus")
    volts, _ = engine_voltages(master)
    assert len(below) == len(volts) - 2, "two nodes are not supplied"
    assert state.voltages.loc[("source", "a"), "voltage_pu"] < 1.0199
    names = {f"{b}.{NODES[p]}": v for (b, p), v in below["voltage_pu"].items()}
    assert max(abs(v - volts[n]) for n, v in names.items()) < 1e-6


def test_elements_from_their_far_end(tmp_path: Path) -> None:
    """Also phases that cross, windings between phases, merged conductors, no-load losses."""
    master = write_small(tmp_path, ODD)
    feeder = vg.read_opendss(master)
    rows = feeder.conductors.set_index(["branch", "phase"])
    assert rows.loc["crossed", "from_phase"].to_dict() == {"b": "a", "c": "b", "a": "c"}
    assert rows.loc["unity", "from_phase"].tolist() == ["ab", "bc", "ca"], "the other delta-wye"
    assert rows.loc["across3", "from_phase"].tolist() == ["ca", "ca"]
    assert feeder.branches.loc[["back", "mill"], "shunt_from"].tolist() == [1.0, 0.0]
    assert rows.loc["back", "ratio"].tolist() == pytest.approx([1.025] * 3)
    volts, head = engine_voltages(master)
    state = power_flow(feeder)
    assert gap(state, volts)[0] < 1e-6
    assert abs(state.head_kva - head) < 1e-5 * abs(head)


def test_what_is_taken(small: tuple[Path, PhaseFeeder]) -> None:
    feeder = small[1]
    assert (feeder.root, feeder.root_voltage, feeder.base_kv) == ("source", 1.02, 12.47)
    assert feeder.buses["phases"].to_dict()["house"] == "12"
    assert "far1" not in feeder.buses.index, "not supplied, and nothing there"
    assert feeder.branches["kind"].to_dict() == {
        **dict.fromkeys(("up", "ab", "bc", "triplex"), "line"),
        **dict.fromkeys(("sub", "mill", "service"), "transformer"),
        **{"reg": "regulator", "tie": "switch"},
    }
    assert feeder.branches.index[feeder.branches["normally_open"]].tolist() == ["tie"]
    rows = feeder.conductors.set_index(["branch", "phase"])
    assert rows.loc["sub", "from_phase"].tolist() == ["ac", "ba", "cb"]
    assert rows.loc["service", "from_phase"].tolist() == ["c", "c"]
    assert np.sign(rows.loc["service", "ratio"]).tolist() == [1.0, -1.0]
    assert rows.loc["reg", "ratio"].tolist() == pytest.approx([1.0125, 1.0, 1.0])
    assert rows.loc["ab", "rating_a"].tolist() == [300.0] * 3
    assert rows.loc["triplex", "rating_a"].isna().all(), "the engine's 400 A is no rating"
    assert rows.loc["mill", "rating_kva"].sum() == pytest.approx(500.0)
    loads = feeder.loads
    assert loads.loc["delta", ["connection", "model"]].tolist() == ["delta", "impedance"]
    assert loads.loc[["zip_z", "zip_i", "zip"], "kw"].tolist() == pytest.approx([45.0, 45.0, 60.0])
    assert loads.loc["three_q", ["model", "kw", "kvar"]].tolist() == ["impedance", 0.0, 20.0]
    assert feeder.capacitors["kvar"].to_dict() == {"bank": 300.0, "one": 50.0}
    sources = feeder.generators
    assert sources["kind"].to_dict() == {"gen": "generator", "store": "storage", "roof": "pv"}
    assert sources["kw"].to_dict() == pytest.approx({"gen": 100.0, "store": 40.0, "roof": 50.0})
    assert sources.loc["gen", ["kvar_min", "kvar_max"]].tolist() == [-30.0, 30.0]
    assert sources.loc["store", ["kw_max", "kwh"]].tolist() == [80.0, 200.0]
    assert sources.loc["roof", "kva"] == 60.0


def test_reading_stays_in_the_folder_it_was_called_from(tmp_path: Path) -> None:
    master, here = write_small(tmp_path), os.getcwd()
    vg.read_opendss(master)
    assert os.getcwd() == here
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        *("Coords.csv", "Master.dss", "lines.dss", "parts")
    ]
    with pytest.raises(DataError):
        vg.read_opendss(write_small(tmp_path, lines="new line.x bus1=mv bus2=b linecode=no"))
    assert os.getcwd() == here


def test_a_case_stands_on_a_script(small: tuple[Path, PhaseFeeder]) -> None:
    """By phases, as a script, as a folder of tables: the same single-phase equivalent."""
    master, feeder = small
    single = feeder.single_phase()
    assert single.loads["load_kw"].sum() == pytest.approx(feeder.loads["kw"].sum())
    assert single.branches.loc["triplex", "rating_kva"] == NO_LIMIT_KVA
    stations = {
        "A": {"road_node": "1", "bus": "b", "charge_max_kw": 50.0, "discharge_max_kw": 50.0}
    }
    stations["A"] |= {"piles": 5.0, "base_wait_h": 0.1, "queue_slope_h": 0.01}
    for given in (feeder, master, str(master)):
        case = vg.Case.build(feeder=given, road="sioux_falls", stations=stations)
        assert case.feeder.branches.equals(single.branches)
    assert vg.solve(case, v2g=True).certificate.holds
    other = vg.load_case("ieee123_sioux_falls").without_scenario("stress", "island")
    moved = [dict.fromkeys(table.index, "b") for table in (other.stations, other.generators)]
    other = other.with_feeder(feeder, stations=moved[0], generators=moved[1])
    assert other.feeder.loads.equals(single.loads)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bus1=c.3 phases=1 kv=7.2 kw=50", "bus1=c.1 phases=1 kv=7.2 kw=50", "node 1 of bus 'c'"),
        (
            "bus1=c.3 phases=1 kv=7.2 kw=50",
            "bus1=far2.1 phases=1 kv=7.2 kw=50",
            r"source: three \(bus far2\)",
        ),
        ("xhl=.01 %loadloss=.001", "xhl=.01 %loadloss=.001 wdg=2 tap=1.2", "tap 1.2 .* 0.9 to 1.1"),
        ("conns=(delta delta) kvs", "conns=(wye delta) kvs", "transformer 'mill' has a connection"),
        (
            "set voltagebases",
            "new vsource.two bus1=b basekv=12.47\nset voltagebases",
            "2 voltage so",
        ),
        ("set voltagebases", "new isource.i bus1=b amps=1\nset voltagebases", "kind .*source.i"),
        ("new circuit.small", "// new circuit.small", "OpenDSS: "),
    ],
)
def test_bad_scripts(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MASTER
    with pytest.raises(DataError, match=message) as caught:
        vg.read_opendss(write_small(tmp_path, MASTER.replace(old, new, 1)))
    assert "Master.dss" in str(caught.value)


def test_a_script_that_does_not_compile_is_told_by_file_and_line(tmp_path: Path) -> None:
    lines = LINES + "new line.x bus1=mv bus2=b linecode=nope\n"
    with pytest.raises(DataError, match=r'OpenDSS: .*"nope" not found') as caught:
        vg.read_opendss(write_small(tmp_path, lines=lines))
    assert caught.value.where == f"{tmp_path / 'Parts' / 'Lines.DSS'}, line {lines.count(chr(10))}"


def test_loops_are_named_and_opened(tmp_path: Path) -> None:
    master = write_small(tmp_path, lines=LINES.replace("switch=y enabled=no", "switch=y"))
    with pytest.raises(
        DataError, match="Master.dss: .* form a loop: .*tie.*; the feeder must be radial"
    ) as caught:
        vg.read_opendss(master)
    assert {"ab", "bc", "tie"} <= set(str(caught.value).replace(",", " ").replace(";", " ").split())
    feeder = vg.read_opendss(master, opened="tie")
    assert feeder.branches["normally_open"].to_dict()["tie"]
    with pytest.raises(DataError, match=r"no line 'ties' to open; did you mean 'tie'\?"):
        vg.read_opendss(master, opened=["ties"])


def test_a_rating_of_zero(tmp_path: Path) -> None:
    lines = LINES.replace("normamps=150", "normamps=0")
    with pytest.raises(DataError, match="'bc-c', column rating_a: rating_a = 0"):
        vg.read_opendss(write_small(tmp_path, lines=lines))


def test_an_engine_that_does_not_converge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dss_engine, "ITERATIONS", 2)
    with pytest.raises(ConvergenceError, match="Master.dss: the OpenDSS engine does not converge"):
        vg.read_opendss(write_small(tmp_path, MASTER + "set maxiterations=2\n"))
    monkeypatch.undo()
    monkeypatch.setattr(dss_engine, "CONTROL_ITERATIONS", 1)
    with pytest.raises(ConvergenceError, match="controls .* do not settle"):
        vg.read_opendss(write_small(tmp_path, MASTER + "set maxcontroliter=1\n"))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    master = write_small(tmp_path)
    with pytest.raises(DataError, match=r"file not found; did you mean 'Master.dss'\?"):
        vg.read_opendss(tmp_path / "Mater.dss")
    (tmp_path / "parts" / "lines.dss").unlink()
    with pytest.raises(DataError, match="OpenDSS: Redirect file not found"):
        vg.read_opendss(master)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dss", None)
    with pytest.raises(DataError, match=r"not installed; pip install 'v2geq\[power\]'"):
        vg.read_opendss(write_small(tmp_path))


def test_ieee123_is_the_shipped_feeder(tmp_path: Path) -> None:
    """But for regulators' own impedance, taps, open points and ratings, which were assigned.

    Regulators keep any tap inside their band; from the shipped ones the engine does not move.
    """
    feeder = vg.read_opendss(with_taps(raw(IEEE123), tmp_path), rating_a=530.0)
    assert feeder.loads[["kw", "kvar"]].sum().tolist() == pytest.approx([3490.0, 1920.0])
    shipped, single = read_feeder(networks_folder() / "ieee123"), feeder.single_phase()
    assert set(single.buses.index) ^ set(shipped.buses.index) == {"300_open", "94_open"}
    assert single.loads.reindex(shipped.loads.index).equals(shipped.loads.astype(float))
    assert single.capacitors.equals(shipped.capacitors.astype({"kvar": float}))
    assert (single.root, single.base_kv) == (shipped.root, shipped.base_kv)
    here = single.branches.rename(index={"reg1a": "reg1", "reg2a": "reg2"})
    assert set(here.index) == set(shipped.branches.index)
    here = here.reindex(shipped.branches.index)
    open_ = shipped.branches["normally_open"]
    same = ["from_bus", "to_bus", "phases", "kind"]
    assert here.loc[~open_, same].equals(shipped.branches.loc[~open_, same])
    regulators = here["kind"] == "regulator"
    for column in ("r_ohm", "x_ohm"):
        off = (here[column] - shipped.branches[column]).abs()
        assert off[~regulators].max() < 1e-7
        assert off[regulators].max() < 1e-3, "an impedance near zero, left out in the shipped one"
    assert (here["ratio"] - shipped.branches["ratio"]).abs().max() < 1e-9
    devices = here["kind"].isin(["regulator", "transformer"])
    shipped_kva = shipped.branches["rating_kva"]
    assert here.loc[devices, "rating_kva"].to_dict() == pytest.approx(
        shipped_kva[devices].to_dict()
    )


def test_ieee123_by_phases_as_shipped() -> None:
    """Its tables are those of the published files, and say what the single-phase ones say."""
    made, shipped = derived(raw(IEEE123)), read_feeder(networks_folder() / "ieee123")
    assert shipped.by_phase is not None
    for table in PHASE_TABLES:
        pd.testing.assert_frame_equal(getattr(shipped.by_phase, table), getattr(made, table))
    assert agreement(shipped).empty
    rating = made.single_phase().branches["rating_kva"] / shipped.branches["rating_kva"]
    assert (rating - 1.0).abs().max() < 1e-8


@pytest.mark.parametrize("models", ["own", "constant power"])
def test_ieee123_voltages(models: str) -> None:
    """Asked for: 0.0005 pu by phase, 0.05 % at the head."""
    state = power_flow(vg.read_opendss(raw(IEEE123)), constant_power=models != "own")
    volts, head = engine_voltages(IEEE123, None if models == "own" else constant_power)
    assert len(state.voltages) == len(volts) == 278
    assert gap(state, volts)[0] < 3e-5, "the source's own impedance"
    assert abs(state.head_kva - head) < 1e-4 * abs(head)


def test_ieee8500() -> None:
    """Whole: 10,773 kW; medium and low voltage as the engine has them."""
    feeder = vg.read_opendss(raw(IEEE8500))
    assert feeder.loads["kw"].sum() == pytest.approx(10773.17)
    assert len(feeder.buses) == 4876
    assert (feeder.buses["phases"] == "12").sum() == 2354
    state = power_flow(feeder)
    volts, head = engine_voltages(IEEE8500)
    assert gap(state, volts)[0] < 1e-5
    assert abs(state.head_kva - head) < 1e-5 * abs(head)
    single = feeder.single_phase()
    assert single.base_kv == 12.47
    assert single.loads["load_kw"].sum() == pytest.approx(10773.17)


def test_command_on_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Summary, checks, tables that read back and a drawing."""
    master = write_small(tmp_path, lines=LINES.replace("enabled=no", ""))
    words = ["feeder", str(master), "--open", "tie", "--rating-a", "250", "--out"]
    with pytest.raises(SystemExit) as done:
        app([*words, str(tmp_path / "out")])
    assert done.value.code == 0
    assert "regulators     reg 1.0125 1 1" in capsys.readouterr().out
    again = read_phase_feeder(tmp_path / "out")
    rated = again.conductors.set_index("branch")["rating_a"]
    assert rated["triplex"].tolist() == [250.0, 250.0]
    gone = power_flow(again).voltages - power_flow(vg.read_opendss(master, opened="tie")).voltages
    assert gone.abs().max(axis=None) < 1e-9


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this is a folder; name the script in it"):
        vg.read_opendss(tmp_path)
