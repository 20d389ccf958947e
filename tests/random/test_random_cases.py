"""Random small cases: each is solved and certified, or refused for a reason that is confirmed.

A solved case is saved and read again, its trip costs are compared with all paths of the road
enumerated by hand, its problem is solved from a far start as well, and where the equilibrium is the
optimum of a convex program, that program is solved by cvxpy.

``python -m pytest tests/random --hypothesis-profile=thorough`` draws 1,000 cases.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import judge
import pytest
from drivers_byhand import check_wardrop
from hypothesis import event, given
from random_cases import Market, markets


@pytest.mark.slow
@given(market=markets())
def test_random_case(market: Market) -> None:
    eq = judge.solve(market)
    if eq is None:
        event("refused")
        return
    if judge.sells_beyond_range(eq) and not eq.certificate.holds:
        # profits need not be concave there: nobody gains by a small change, but by a large one
        event("beyond the range of the inverse demand")
        assert all(text.startswith("regret is") for text in eq.certificate.failures)
        return
    event("solved")
    assert eq.certificate.holds, eq.certificate
    with tempfile.TemporaryDirectory() as folder:
        judge.check_saved(eq, Path(folder) / "eq.nc")
    check_wardrop(eq)
    judge.check_each_pair(eq)
    judge.solve_from_afar(eq)
    if judge.has_potential(market):
        compared = judge.check_potential(eq)
        event(f"convex program {'compared' if compared else 'not solved by Clarabel'}")
