"""A finished study in a folder, its equilibria, and small cases (`cases` lies beside this)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ["MPLBACKEND"] = "Agg"

TESTS = Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Folder of the study in which limits bind, so that prices differ between buses."""
    from v2geq.studies.plan import read_study
    from v2geq.studies.run import run_study

    out = tmp_path_factory.mktemp("study")
    assert all(o.ok for o in run_study(read_study("ieee123_sioux_falls_binding"), out, jobs=1))
    return out


@pytest.fixture(scope="session")
def runs(folder):
    from v2geq.plots import load_runs

    return load_runs(folder)


@pytest.fixture(scope="session")
def summary(folder):
    import pandas as pd

    table = pd.read_csv(folder / "summary.csv")
    return table.set_index(["scenario", "v2g"])


@pytest.fixture(scope="session")
def shipped():
    """The shipped study, as runs in memory."""
    import v2geq as vg
    from v2geq.plots.runs import as_runs

    case = vg.load_case("ieee123_sioux_falls")
    return as_runs([vg.solve(case, s, v2g=v) for s in case.scenarios for v in (False, True)])
