"""Factorisations with one ordering: LDL' after sign changes, LU otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from v2geq.solvers.linear import PatternFactor, PatternLDL, PatternLU


def saddle(seed: int, symmetric_part: bool = True) -> sp.csc_array:
    """[H, -A'; A, rho]: skew coupling of strategies and multipliers."""
    rng = np.random.default_rng(seed)
    n, m = 30, 12
    a = sp.random_array((m, n), density=0.2, rng=rng, data_sampler=rng.normal)
    h = sp.diags_array(rng.uniform(0.1, 2.0, n))
    if not symmetric_part:
        h = h + sp.coo_array(([0.7, 0.3], ([0, 1], [1, 0])), shape=(n, n))
    blocks = sp.block_array([[h, -a.T], [a, sp.diags_array(np.full(m, 1e-3))]])
    matrix = sp.csc_array(blocks.tocsc())
    matrix.sort_indices()
    return matrix


@pytest.mark.parametrize("seed", range(5))
def test_skew_coupling_is_factorised_as_symmetric(seed: int) -> None:
    a = saddle(seed)
    ldl = PatternLDL()
    assert ldl.factor(a)
    b = np.random.default_rng(seed).normal(size=a.shape[0])
    np.testing.assert_allclose(a @ ldl.solve(b), b, atol=1e-9)


def test_values_change_and_the_pattern_stays() -> None:
    a = saddle(0)
    factor = PatternFactor()
    for k in range(3):
        a.data[a.indices == np.repeat(np.arange(42), np.diff(a.indptr))] += 0.5
        factor.factor(a)
        b = np.arange(42.0) + k
        np.testing.assert_allclose(a @ factor.solve(b), b, atol=1e-9)
    assert factor.kind == "LDL"
    assert factor.factorisations == 3


def test_a_map_without_potential_falls_back_to_lu() -> None:
    a = saddle(1, symmetric_part=False)
    factor = PatternFactor()
    factor.factor(a)
    assert factor.kind == "LU"
    b = np.ones(42)
    np.testing.assert_allclose(a @ factor.solve(b), b, atol=1e-9)


def test_symmetry_lost_on_the_way_falls_back_to_lu() -> None:
    a = saddle(2)
    factor = PatternFactor()
    factor.factor(a)
    columns = np.repeat(np.arange(42), np.diff(a.indptr))
    off = np.flatnonzero(a.indices != columns)[0]
    a.data[off] *= 2.0
    factor.factor(a)
    assert factor.kind == "LU"
    assert factor.factorisations == 2
    np.testing.assert_allclose(a @ factor.solve(np.ones(42)), np.ones(42), atol=1e-9)


def test_signs_that_contradict_each_other_are_refused() -> None:
    """Three variables, two pairs equal and one opposite: no choice of signs makes it symmetric."""
    a = sp.csc_array(np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, -1.0, 2.0]]))
    assert not PatternLDL().factor(a)


def test_lu_keeps_the_ordering_for_new_values() -> None:
    a = saddle(3)
    lu = PatternLU()
    for scale in (1.0, 7.0):
        lu.factor(scale * a)
        np.testing.assert_allclose(scale * (a @ lu.solve(np.ones(42))), np.ones(42), atol=1e-9)
    assert lu.factorisations == 2
