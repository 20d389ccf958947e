"""Profiles of the random tests; lets them import the helpers of this folder and of its neighbours.

``--hypothesis-profile=thorough`` draws 1,000 cases that differ from run to run; otherwise 100 cases
are drawn, always the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent, HERE.parent / "independent"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
settings.register_profile(
    "ci",
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=SLOW,
)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, suppress_health_check=SLOW, print_blob=True
)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("ci")
