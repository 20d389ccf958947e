"""AC power flow of an equilibrium beside what it says: figures, limits broken, costs, report."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import v2geq as vg
from v2geq.cli import app
from v2geq.equilibrium import Equilibrium
from v2geq.errors import DataError
from v2geq.grid.lindistflow import LinDistFlow
from v2geq.results.ac import MEANINGS, _relief


@pytest.fixture(scope="module")
def stress() -> Equilibrium:
    return vg.solve(vg.load_case("ieee123_sioux_falls"), "stress")


def test_stress_case_by_phases(stress: Equilibrium) -> None:
    """The issue's figures, of other taps: 93 kW, head line 129 % (model 98 %), 3,174 kW."""
    found = stress.power_flow(engine="sweep")
    f = found.figures
    assert set(f) == set(MEANINGS)
    assert f["import_kw"] == pytest.approx(3081.4, abs=0.1)
    assert f["head_kw"] == pytest.approx(3172.2, abs=0.2)
    assert f["losses_kw"] == pytest.approx(f["head_kw"] - f["import_kw"], abs=1e-3)
    assert f["model_losses_kw"] == 0.0
    assert f["largest_loading"] == pytest.approx(1.284, abs=0.001)
    worst = found.violations.iloc[found.violations["value"].argmax()]
    assert tuple(worst[["kind", "name", "phase"]]) == ("loading", "l115", "a")
    assert worst["model"] == pytest.approx(0.981, abs=0.001)
    assert stress.ac_line == (
        "max dV 0.028 pu, losses 91 kW, 6 violations: line l115.a 128 %, line sw1.a 128 %, "
        "line l3.a 124 % and 3 more"
    )
    assert "AC" in stress._repr_html_() and "l115.a 128" in stress._repr_html_()
    volts = found.buses.loc[("66", "b")]
    assert volts["difference_pu"] == pytest.approx(volts["ac_pu"] - volts["model_pu"])


def test_what_it_costs(stress: Equilibrium) -> None:
    """Losses at the DLMP of the bus a line leads to; what is too much counts once on its way."""
    found = stress.power_flow(engine="sweep")
    table = found.lines
    dlmp = stress.data["dlmp"].to_series()
    ends = stress.data["to_bus"].to_series()
    price = ends.map(dlmp)
    assert found.figures["losses_cost"] == pytest.approx((table["losses_kw"] * price).sum())
    over = found.branches["p_kw"].abs() * (1.0 - 1.0 / found.branches["loading"].clip(lower=1.0))
    by_line = over.fillna(0.0).groupby("line").sum()
    assert found.figures["overload_kw"] == pytest.approx(by_line["l115"]), "the head line is most"
    assert table["relief_kw"].sum() == found.figures["overload_kw"]
    assert (table["relief_kw"] >= 0.0).all()
    voll = stress.case.market.voll
    assert table.loc["l115", "shed_price"] == pytest.approx(voll - dlmp["1"])


def test_relief_by_hand() -> None:
    """Root 0 with lines to 1, on to 2 and 3: 5 kW at the head, 2 and 4 kW behind: none more."""
    first, second = np.array([0, 1, 1]), np.array([1, 2, 3])
    assert _relief(np.array([5.0, 2.0, 4.0]), first, second, 4).tolist() == [0.0, 2.0, 4.0]
    assert _relief(np.array([9.0, 2.0, 4.0]), first, second, 4).tolist() == [3.0, 2.0, 4.0]


def test_report_and_tables(stress: Equilibrium, tmp_path: Path) -> None:
    found = stress.power_flow(engine="sweep")
    text = str(found)
    assert "head power   3,172.2 kW, the model's import 3,081.4 kW" in text
    assert "feeder.losses = true: losses 83.5 kW, import 3,164.9 kW (+83.5 kW)" in text
    assert "feeder.formulation = 'three_phase' and feeder.losses = true: losses 90.8 kW" in text
    assert repr(found).startswith("<ACPowerFlow by sweep: 90.8 kW")
    assert "at the DLMPs" in found._repr_html_()
    files = found.save(tmp_path / "out")
    assert files == [
        f"{t}.csv" for t in ("buses", "branches", "lines", "heads", "violations", "figures")
    ]
    again = pd.read_csv(tmp_path / "out" / "buses.csv", dtype={"bus": str}).set_index(
        ["bus", "phase"]
    )
    assert again["ac_pu"].to_numpy() == pytest.approx(found.buses["ac_pu"].to_numpy())


def test_losses_by_phases_leave_nothing_to_find() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    phases = {"feeder.formulation": "three_phase", "feeder.losses": True}
    eq = vg.solve(case, "base", parameters=phases)
    found = eq.power_flow(engine="sweep")
    assert found.figures["voltage_difference_pu"] < 1e-5
    assert found.figures["head_kw"] == pytest.approx(found.figures["import_kw"], abs=0.01)
    assert found.figures["losses_kw"] == pytest.approx(found.figures["model_losses_kw"], abs=0.01)
    assert found.violations.empty and found.without_losses == ""
    assert eq.ac_line.endswith("no violation")


def test_without_phases_the_single_phase_state() -> None:
    """And nothing else than that: OpenDSS needs phases."""
    case = vg.load_case("ieee123_sioux_falls")
    case = case.with_feeder(replace(case.feeder, by_phase=None))
    eq = vg.solve(case, "base")
    found = eq.power_flow(engine="sweep")
    assert found.buses.index[0] == ("150", "")
    grid = eq.coupled.grid
    assert isinstance(grid, LinDistFlow)
    _, volts = grid.distance(eq.values)
    assert found.figures["voltage_difference_pu"] == pytest.approx(volts)
    head, lost = found.figures["head_kw"], found.figures["losses_kw"]
    assert head == pytest.approx(found.figures["import_kw"] + lost, abs=1e-3)
    assert "three_phase" not in found.without_losses
    with pytest.raises(DataError, match="power is not known by phases"):
        eq.power_flow()
    lossy = vg.solve(case, "base", parameters={"feeder.losses": True})
    assert lossy.power_flow(engine="sweep").without_losses == ""
    assert lossy.ac_line.startswith("max dV 0.000 pu, losses 8")


def test_islands_are_told() -> None:
    eq = vg.solve(vg.load_case("ieee123_sioux_falls_reference"), "island")
    found = eq.power_flow(engine="sweep")
    assert found.heads.index.tolist() == ["150", "35", "67"]
    assert "island of 35" in str(found)
    total = found.heads["p_kw"].sum()
    balance = found.figures["import_kw"] + found.figures["losses_kw"]
    assert total == pytest.approx(balance, abs=1e-3), "references supply what is lost"


def test_phases_of_a_generator() -> None:
    """On one phase it lifts that phase; unbalance shows, the sum does not change."""
    case = vg.load_case("ieee123_sioux_falls")
    even = vg.solve(case, "base").power_flow(engine="sweep")
    on_a = vg.solve(case.with_generator("g76", phases="a"), "base").power_flow(engine="sweep")
    lift = on_a.buses["ac_pu"] - even.buses["ac_pu"]
    assert lift.loc[("76", "a")] > 0.002 > -0.001 > lift.loc[("76", "b")]
    assert on_a.figures["import_kw"] == pytest.approx(even.figures["import_kw"], abs=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"engine": "matpower"}, "engine = 'matpower' is not one of opendss, sweep"),
        ({"engine": "sweep", "controls": True}, "script and controls are the OpenDSS engine's"),
        (
            {"controls": True},
            "controls of regulators and capacitors are in no table; give the script",
        ),
    ],
)
def test_what_cannot_be_asked_for(
    stress: Equilibrium, words: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        stress.power_flow(**words)


def test_phases_that_say_something_else() -> None:
    """Told where the card has its line; an error where it is asked for."""
    eq = vg.solve(
        vg.load_case("ieee123_sioux_falls"), parameters={"feeder.branches.l115.r_ohm": 0.05}
    )
    assert "feeder.branches.l115.r_ohm = 0.05, but 0.0231869 by phases" in eq.ac_line
    with pytest.raises(DataError, match="by phases; change the feeder"):
        eq.power_flow(engine="sweep")


def test_without_the_extra(stress: Equilibrium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dss", None)
    with pytest.raises(DataError, match=r"not installed; pip install 'v2geq\[power\]'"):
        stress.power_flow()


def test_command(stress: Equilibrium, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stress.save(tmp_path / "eq.nc")
    words = [
        "powerflow",
        str(tmp_path / "eq.nc"),
        "--engine",
        "sweep",
        "--out",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit) as done:
        app(words)
    assert done.value.code == 0
    said = capsys.readouterr()
    assert "violations   6 violations: line l115.a 128 %" in said.out
    assert "figures.csv saved to" in said.err


@pytest.mark.parametrize("engine", ["sweep", "opendss"])
def test_ratings_are_those_of_the_run(engine: str) -> None:
    """A branch with twice the rating is loaded half as much; a factor counts for all."""
    case = vg.load_case("ieee123_sioux_falls_reference")
    rating = float(case.feeder.branches.loc["l115", "rating_kva"])
    found = {}
    for name, parameters in {
        "own": {},
        "branch": {"feeder.branches.l115.rating_kva": 2.0 * rating},
        "all": {"feeder.rating_factor": 2.0},
    }.items():
        eq = vg.solve(case, "base", v2g=False, parameters=parameters)
        flows = eq.power_flow(engine=engine).branches
        # by kVA: how charging splits between stations is not unique
        kva = np.hypot(flows["p_kw"], flows["q_kvar"])
        found[name] = (flows["loading"] / kva).where(kva > 1.0)
    own = found["own"]
    assert np.allclose(found["branch"].loc["l115"], 0.5 * own.loc["l115"], rtol=1e-4)
    assert np.allclose(found["branch"].drop("l115"), own.drop("l115"), rtol=1e-4, equal_nan=True)
    assert np.allclose(found["all"], 0.5 * own, rtol=1e-4, equal_nan=True)
