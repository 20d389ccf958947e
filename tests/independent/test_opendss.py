"""Voltages of the linear model against OpenDSS on the IEEE 123-bus feeder.

Asked for are 0.003 pu at three-phase buses; found are 0.0012 (regulators on) and 0.0018 (off). The
limits below are near what is found, so that a lost ratio, capacitor or factor does not pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

import v2geq as vg
from v2geq.grid.branch_flow import voltage_rows
from v2geq.scenario import resolve

REFERENCE = Path(__file__).parents[1] / "reference" / "ieee123_opendss_voltages.csv"


def linear_voltages(regulators: bool) -> pd.Series:
    """All load served from the substation, no losses, capacitors fixed; voltages by bus, pu."""
    case = vg.load_case("ieee123_sioux_falls")
    s = resolve(case, "base", v2g=False, changes={"regulators": regulators})
    assert len(s.buses) == 130
    a = sp.csc_array(s.network.incidence[1:])  # without the root: square
    p = spsolve(a, (s.firm_kw + s.responsive_kw)[1:])
    q = spsolve(a, (s.network.reactive_kvar - s.network.reactive_max)[1:])
    assert s.network.reactive_max.sum() == pytest.approx(750.0)
    assert p[s.lines.from_bus == 0].sum() == pytest.approx(3490.0)
    v, r, x = voltage_rows(s.network)
    v = sp.csc_array(v)
    squared = spsolve(sp.csc_array(v[:, 1:]), -(r @ p + x @ q) - v[:, [0]].toarray().ravel())
    return pd.Series(np.sqrt(np.r_[1.0, squared]), index=list(s.buses))


@pytest.mark.parametrize(
    ("state", "worst", "mean"), [("regon", 0.0015, 0.001), ("regoff", 0.002, 0.001)]
)
def test_opendss_three_phase_voltages(state: str, worst: float, mean: float) -> None:
    reference = pd.read_csv(REFERENCE, dtype={"bus": str}, comment="#").set_index("bus")
    here = linear_voltages(state == "regon").reindex(reference.index)
    three = reference["phases"] == "abc"
    gap = (here - reference[f"v_{state}"])[three].abs()
    assert three.sum() > 50
    assert gap.max() <= worst
    assert gap.mean() <= mean
