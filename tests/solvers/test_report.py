"""Worst rows and scaling by name."""

from __future__ import annotations

import numpy as np
import pytest
from problems import linear

from v2geq.solvers import FunctionProblem, residual_by_block, scaling, worst_rows


def test_worst_rows_name_what_is_wrong() -> None:
    """Row 1 is off by 3, row 0 by 1; row 2 is at its bound with F >= 0: right."""
    problem = linear(np.eye(3), np.array([-1.0, -3.0, 2.0]))
    rows = worst_rows(problem, np.zeros(3))
    assert [r.name for r in rows] == ["z[1]", "z[0]", "z[2]"]
    assert [r.residual for r in rows] == [3.0, 1.0, 0.0]
    assert "residual 3.00e+00, z 0 in [0, inf], F -3" in str(rows[0])


def test_scaling_names_the_extremes() -> None:
    problem = linear(np.array([[1e4, 0.0], [1.0, 1e-3]]), np.zeros(2))
    report = scaling(problem, np.zeros(2))
    assert (report.smallest, report.largest) == (1e-3, 1e4)
    assert report.median == pytest.approx(1.0)
    assert report.rows == ("z[0]", "z[1]")
    assert report.columns == ("z[0]", "z[1]")
    assert "1.0e-03 to 1.0e+04" in str(report)


def test_a_zero_jacobian_has_no_scaling() -> None:
    assert scaling(linear(np.zeros((2, 2)), np.zeros(2)), np.zeros(2)).largest == 0.0


def test_residual_by_block_takes_the_largest_of_each() -> None:
    problem = FunctionProblem(
        lambda z: z - np.array([1.0, 3.0, 0.5]),
        lambda z: np.eye(3),
        np.zeros(3),
        np.full(3, np.inf),
        names=["price[a]", "price[b]", "flow[a]"],
    )
    assert residual_by_block(problem, np.zeros(3)) == {"price": 3.0, "flow": 0.5}
