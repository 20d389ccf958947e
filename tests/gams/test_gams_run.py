"""The exported model solved for real by GAMS's PATH, through gamspy and its demonstration licence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gams_models import charging_case, curved_case, odd_labels, problem
from gams_reader import GamsModel

from v2geq.errors import ConvergenceError, DataError
from v2geq.export.gams import GAMSPY, solve_with_gamspy, to_gams
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import scaled_residual
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.protocol import Options

gamspy = pytest.importorskip("gamspy", reason="needs the extra gams")

UNIQUE = (
    "dso.withdrawal", "dso.p_line", "dso.q_line", "dso.v_squared", "dso.p_tso", "lse.A.sales",
    "lse.B.sales", "lse.A.generation", "lse.B.generation", "lse.A.energy", "lse.B.energy",
    "drivers.arc_flow", "drivers.station_flow", "drivers.arc_time", "drivers.demand_ev",
    "drivers.demand_fv", "charge_price", "purchase_price", "tso_price", "wheeling_price",
)  # fmt: skip
"""Blocks that strictly monotone costs and markets in use determine."""


@pytest.fixture(scope="module")
def gams_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips with GAMS's own words where it cannot start, for example without a loopback interface."""
    try:
        gamspy.Container(working_directory=str(tmp_path_factory.mktemp("gams"))).close()
    except (gamspy.exceptions.FatalError, gamspy.exceptions.GamspyException, OSError) as error:
        pytest.skip(f"gamspy cannot start GAMS here: {error}")


def ours(mcp: MCP) -> np.ndarray:
    result = interior_point(mcp, None, Options(tolerance=1e-10))
    assert result.status.ok
    return result.z


def assert_same(mcp: MCP, a: np.ndarray, b: np.ndarray) -> None:
    for name in UNIQUE:
        s = mcp[name].slice
        assert np.abs(a[s] - b[s]).max(initial=0.0) <= 1e-6 * mcp.scale[s].max(), name


def test_version() -> None:
    assert gamspy.__version__ == GAMSPY, "run these tests again before pinning another version"


@pytest.mark.usefixtures("gams_runs")
@pytest.mark.parametrize("case", [charging_case, curved_case], ids=["quadratic", "expressions"])
def test_feeder_and_road(case) -> None:
    mcp = problem(case()).coupled.mcp
    assert mcp.n < 1000
    z = solve_with_gamspy(mcp)
    assert scaled_residual(mcp, z).max() <= 1e-8
    assert_same(mcp, z, ours(mcp))


@pytest.mark.usefixtures("gams_runs")
def test_odd_labels() -> None:
    mcp = odd_labels()
    z = solve_with_gamspy(mcp)
    assert np.abs(z - ours(mcp)).max() <= 1e-6


@pytest.mark.usefixtures("gams_runs")
def test_file_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GAMS compiles and solves the exported file unchanged, in one run."""
    mcp = problem(curved_case()).coupled.mcp
    to_gams(mcp, tmp_path / "model.gms")
    # the file writes its option file and results where GAMS runs, and options are read there
    monkeypatch.chdir(tmp_path)
    container = gamspy.Container(working_directory=str(tmp_path))
    try:
        container.addGamsCode((tmp_path / "model.gms").read_text(encoding="utf-8"))
    except gamspy.exceptions.GamspyException as error:
        if "license" in str(error).lower():
            pytest.skip(f"this GAMS licence does not run whole files: {error}")
        raise
    finally:
        container.close()
    levels = gamspy.Container(load_from=str(tmp_path / "v2geq.gdx"))
    model = GamsModel(tmp_path / "model.gms")
    z = []
    for _, x in model.pairs:
        # the file sorts elements by their first use anywhere
        records = levels[x].records
        level = dict(zip(records.iloc[:, 0].astype(str), records["level"], strict=True))
        z += [level[e] for e in model.sets[model.domain[x]]]
    z = np.array(z)
    assert scaled_residual(mcp, z).max() <= 1e-8
    assert_same(mcp, z, ours(mcp))


@pytest.mark.usefixtures("gams_runs")
def test_unsolved_problem_is_told() -> None:
    mcp = odd_labels()
    mcp.lower[mcp["buyer.y"].slice] = 5.0  # the row buyer.most allows 4 in all
    with pytest.raises(ConvergenceError, match=r"PATH ended with|GAMS could not"):
        solve_with_gamspy(mcp)


def test_without_gamspy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gamspy", None)
    with pytest.raises(DataError, match=r"v2geq\[gams\]"):
        solve_with_gamspy(odd_labels())
