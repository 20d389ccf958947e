"""Shared by the independent tests; lets them import `cases` (beside this folder) and `byhand`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import v2geq as vg

TESTS = Path(__file__).resolve().parents[1]
for folder in (TESTS, TESTS / "independent"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def case_of() -> Callable[[str], vg.Case]:
    """Shipped cases by name, each read once."""
    return functools.cache(vg.load_case)


@pytest.fixture(scope="session")
def solved(case_of) -> Callable[[str, str, bool], vg.Equilibrium]:
    """Equilibria of shipped cases by (case, scenario, v2g), each solved once."""

    @functools.cache
    def solve(name: str, scenario: str, v2g: bool) -> vg.Equilibrium:
        return vg.solve(case_of(name), scenario, v2g=v2g)

    return solve
