"""Points of runs that stopped early: every view of them works and says what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import v2geq as vg
from v2geq.market import solve as market_solve
from v2geq.results import point


@pytest.mark.parametrize("form", ["paths", "legs"])
def test_round_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str) -> None:
    """Paths found in the last round are not in its problem, and not in its results."""
    monkeypatch.setattr(market_solve, "MAX_ROUNDS", 1)
    case = vg.load_case("ieee123_sioux_falls")
    eq = vg.solve(case, "island", check=False, parameters={"paths.form": form})
    assert eq.status == "iteration_limit"
    assert not eq.certificate.holds
    assert any("iteration_limit" in text for text in eq.certificate.failures)
    # cheaper paths are known, so trips are not at the least cost
    assert eq.certificate.trip_cost_gap > 1e-6
    assert eq.data["dlmp"].notnull().any()
    assert eq.summary["status"] == "iteration_limit"
    assert len(eq.paths("ev")) == len(eq.path_flows.coupled.traffic.paths["ev"])
    assert eq.uniqueness.empty
    eq.save(tmp_path / "unfinished.nc")
    assert not vg.load(tmp_path / "unfinished.nc").certificate.holds
    with pytest.raises(vg.ConvergenceError):
        vg.solve(case, "island", parameters={"paths.form": form})


def test_an_error_inside_a_property_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "base")

    def broken(*_: object) -> None:
        raise AttributeError("what really went wrong")

    monkeypatch.setattr(point, "certify", broken)
    with pytest.raises(AttributeError, match="what really went wrong"):
        _ = eq.certificate
    with pytest.raises(AttributeError, match=r"no result 'dlpm'.*dlmp"):
        _ = eq.dlpm


def test_a_limit_of_iterations_is_no_matter_of_the_data() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    with pytest.raises(vg.ConvergenceError, match="raise max_iterations") as caught:
        vg.solve(case, "base", options=vg.Options(max_iterations=2))
    assert "very different size" not in str(caught.value)
