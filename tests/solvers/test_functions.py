"""The door for problems given by functions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from v2geq.errors import ConvergenceError, DataError
from v2geq.solvers import Options, Status, solve_mcp


def f(z: np.ndarray) -> np.ndarray:
    return np.array([2.0 * z[0] - z[1] - 1.0, z[0] + z[1] ** 3 - 3.0])


def j(z: np.ndarray) -> np.ndarray:
    return np.array([[2.0, -1.0], [1.0, 3.0 * z[1] ** 2]])


NAMES = ["apples", "pears"]
ZERO, INF = np.zeros(2), np.full(2, np.inf)


def test_dense_and_sparse_jacobians_agree() -> None:
    dense = solve_mcp(f, j, ZERO, INF, names=NAMES)
    sparse = solve_mcp(f, lambda z: sp.csr_array(j(z)), ZERO, INF, names=NAMES)
    assert dense.status is Status.SOLVED
    np.testing.assert_allclose(dense.z, sparse.z, atol=1e-9)
    np.testing.assert_allclose(f(dense.z), 0.0, atol=1e-8)
    assert dense.worst in NAMES


def test_an_assembled_problem_comes_in_as_it_is() -> None:
    from problems import linear

    result = solve_mcp(linear(np.eye(2), np.array([-1.0, 1.0])))
    np.testing.assert_allclose(result.z, [1.0, 0.0], atol=1e-9)


def test_wrong_derivatives_are_named() -> None:
    def wrong(z: np.ndarray) -> np.ndarray:
        return j(z) + np.array([[0.0, 0.5], [0.0, 0.0]])

    with pytest.raises(DataError, match=r"dF\[apples\]/dpears is -0.5, by differences -1"):
        solve_mcp(f, wrong, ZERO, INF, np.ones(2), names=NAMES, check_derivatives=True)
    assert solve_mcp(f, j, ZERO, INF, np.ones(2), check_derivatives=True).status.ok


def test_nan_is_a_domain_error_or_refused() -> None:
    result = solve_mcp(lambda z: z * np.nan, lambda z: np.eye(2), ZERO, INF, names=NAMES)
    assert result.status is Status.DOMAIN_ERROR
    assert result.worst in NAMES


def test_failure_is_returned_or_raised() -> None:
    few = Options(max_iterations=0)
    assert not solve_mcp(f, j, ZERO, INF, options=few, method="interior_point").status.ok
    with pytest.raises(ConvergenceError, match="iteration limit"):
        solve_mcp(f, j, ZERO, INF, options=few, method="interior_point", on_failure="raise")


def test_an_interrupt_returns_the_best_point() -> None:
    def stop(entry: object) -> None:
        if getattr(entry, "number", 0) == 2:
            raise KeyboardInterrupt

    result = solve_mcp(f, j, ZERO, INF, options=Options(callback=stop), method="interior_point")
    assert result.status is Status.INTERRUPTED
    assert np.isfinite(result.z).all()


def test_a_new_entry_of_the_jacobian_is_named() -> None:
    def growing(z: np.ndarray) -> sp.coo_array:
        # the last entry appears only far from the start
        extra = [(1, 1, 1.0)] if np.abs(z).max() < 0.5 else [(1, 1, 1.0), (0, 1, 1.0)]
        rows, columns, data = zip((0, 0, 1.0), *extra, strict=True)
        return sp.coo_array((data, (rows, columns)), shape=(2, 2))

    with pytest.raises(DataError, match="row apples, column pears"):
        solve_mcp(lambda z: z - 3.0, growing, ZERO, INF, names=NAMES)


BAD: dict[str, tuple[dict[str, object], str]] = {
    "bounds that cross": ({"lb": [1.0, 0.0], "ub": [0.0, 1.0]}, "bounds of apples cross: 1 > 0"),
    "NaN in a bound": ({"lb": [np.nan, 0.0]}, "lb must be a vector without NaN"),
    "bounds of two lengths": ({"ub": [1.0]}, "lb has 2 entries and ub 1"),
    "names of another length": ({"names": ["a"]}, "1 names for 2 variables"),
    "start of another length": ({"z0": [1.0]}, "z0 must be 2 finite numbers"),
    "start not finite": ({"z0": [1.0, np.inf]}, "z0 must be 2 finite numbers"),
    "F of another length": ({"F": lambda z: np.ones(3)}, r"F returns shape \(3,\)"),
    "J of another shape": ({"J": lambda z: np.ones((2, 3))}, r"J returns shape \(2, 3\)"),
    "no Jacobian": ({"J": None}, "needs its Jacobian"),
    "method": ({"method": "newtn"}, "no method 'newtn'"),
    "on_failure": ({"on_failure": "ignore"}, "choose 'return' or 'raise'"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_do_not_fit(name: str) -> None:
    changes, message = BAD[name]
    call: dict[str, object] = {"F": f, "J": j, "lb": ZERO, "ub": INF, "names": NAMES, **changes}
    with pytest.raises(DataError, match=message):
        solve_mcp(**call)  # type: ignore[arg-type]
