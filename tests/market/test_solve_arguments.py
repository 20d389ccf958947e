"""What `vg.solve` takes besides a case: scenario, parameters, options of the solver."""

from __future__ import annotations

import pytest
from cases import make_case

import v2geq as vg
from v2geq.solvers import METHODS, with_options
from v2geq.solvers.protocol import Options, Status

REFERENCE = "ieee123_sioux_falls_reference"


def test_a_scenario_may_be_left_out() -> None:
    """The only one, whatever its name; of several 'base'; else they are named."""
    alone = make_case().with_scenario("evening", load_factor=1.1).without_scenario("base")
    assert vg.solve(alone).scenario.name == "evening"
    assert vg.solve(alone.with_scenario("base")).scenario.name == "base"
    two = alone.with_scenario("night")
    with pytest.raises(vg.DataError, match="no scenario 'base'; known names: evening, night"):
        vg.solve(two)


def test_the_case_of_a_result_has_the_changes_applied() -> None:
    """Its scenario's own and the user's, who wins; solved again it gives the same."""
    case = make_case().with_scenario("dear", load_factor=1.2, voll=9.0, elasticity=-0.4)
    eq = vg.solve(case, "dear", parameters={"voll": 7.0})
    assert isinstance(eq.case, vg.Case) and isinstance(eq.original, vg.Case)
    assert (eq.case.market.voll, eq.case.market.elasticity) == (7.0, -0.4)
    assert eq.original.scenarios["dear"].set == {"market.voll": 9.0, "market.elasticity": -0.4}
    again = vg.solve(eq.case, "dear")
    assert again.dlmp.to_numpy() == pytest.approx(eq.dlmp.to_numpy(), rel=1e-9)
    assert again.case.market == eq.case.market
    assert vg.solve(eq.case.with_parameters(voll=3.0), "dear").case.market.voll == 3.0


@pytest.mark.parametrize("method", [m for m in METHODS if m != "path"])
def test_options_by_name_reach_every_method(method: str) -> None:
    """A limit of no iterations is met by all; the log is that of the callback."""
    seen = []
    eq = vg.solve(
        vg.load_case(REFERENCE),
        method=method,
        options={"max_iterations": 1, "callback": seen.append},
        check=False,
    )
    assert eq.status is Status.ITERATION_LIMIT
    assert not eq.certificate.holds
    assert len(seen) > 0


def test_options_of_a_method() -> None:
    run, limits = with_options("extragradient", {"tolerance": 1e-6, "finish": False})
    assert limits == Options(tolerance=1e-6)
    assert run.keywords == {"finish": False}
    eq = vg.solve(
        make_case(), method="extragradient", options={"correction": "tseng", "finish": False}
    )
    assert eq.certificate.holds
    for name, advice in (("tolerence", "tolerance"), ("corection", "correction")):
        with pytest.raises(vg.DataError, match=f"unknown option '{name}'; did you mean '{advice}'"):
            vg.solve(make_case(), method="extragradient", options={name: 1})
    with pytest.raises(vg.DataError, match="options = 3 is neither Options nor a table"):
        vg.solve(make_case(), options=3)


def test_one_status(tmp_path) -> None:
    """The solver's, the result's and that of its file are of one type, and are words."""
    eq = vg.solve(make_case())
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert eq.status is again.status is Status.SOLVED
    assert eq.status == "solved" == str(eq.status) and eq.status.ok
    assert eq.summary["status"] == "solved"
