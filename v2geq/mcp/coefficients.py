"""Coefficients as people state them, as sparse matrices of rows by entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, did_you_mean, listed
from v2geq.mcp.block import Label, as_labels
from v2geq.mcp.checks import real_numbers, vector

Coefficient = Any
"""A number, one per entry (a vector, or a table by label), or a matrix (rows x entries).

A number or vector in a single row counts every entry, in as many rows as entries each its own.
"""


def matrix_of(
    what: str, coefficient: Coefficient, rows: int, labels: Sequence[Label]
) -> sp.csr_array:
    """`coefficient` as a matrix, rows x labels; DataError where it does not fit."""
    columns = len(labels)
    coefficient = tabled(coefficient)
    if isinstance(coefficient, Mapping):
        coefficient = _by_label(what, coefficient, labels)
    if sp.issparse(coefficient):
        matrix = sp.csr_array(coefficient)
    else:
        array = real_numbers(what, coefficient)
        if array.ndim == 2:
            matrix = sp.csr_array(array)
        elif rows == 1 and array.size in (1, columns):
            matrix = sp.csr_array(np.broadcast_to(array, (1, columns)))
        elif rows != columns or array.size not in (1, rows):
            raise DataError(
                f"{what}: a diagonal of {array.size} entries does not fit {rows} rows and "
                f"{columns} variables"
            )
        else:
            matrix = sp.csr_array(sp.diags_array(np.broadcast_to(array, (rows,)).astype(float)))
    if matrix.shape != (rows, columns):
        raise DataError(f"{what}: expected a {rows} x {columns} matrix, got {matrix.shape}")
    if not np.isfinite(real_numbers(what, matrix.data)).all():
        raise DataError(f"{what}: a coefficient is not finite")
    return matrix


def entries(what: str, value: Any, labels: Sequence[Label], *, finite: bool = True) -> FloatArray:
    """`value` as one number per label, a scalar repeated; a table must name every label."""
    value = tabled(value)
    if isinstance(value, Mapping):
        missing = [label for label in labels if label not in set(as_labels(value))]
        if missing:
            raise DataError(f"{what} has no entry for {listed(map(', '.join, missing))}")
        value = _by_label(what, value, labels)
    return vector(what, value, len(labels), finite=finite)


def tabled(value: Any) -> Any:
    """A series of pandas or xarray as a table by label, unless it is merely numbered."""
    if hasattr(value, "to_series") and hasattr(value, "dims") and value.ndim == 1:
        value = value.to_series()
    index = getattr(value, "index", None)
    if index is None or callable(index) or value.ndim != 1:
        return value
    numbered = list(index) == list(range(len(index)))
    return value.to_numpy() if numbered else dict(zip(index, value.tolist(), strict=True))


def _by_label(what: str, table: Mapping[Any, float], labels: Sequence[Label]) -> FloatArray:
    place = {label: k for k, label in enumerate(labels)}
    out = np.zeros(len(labels))
    for given, value in zip(as_labels(table), table.values(), strict=True):
        if given not in place:
            name = ", ".join(given)
            known = [", ".join(label) for label in labels]
            raise DataError(f"{what} has no entry {name!r}", advice=did_you_mean(name, known))
        out[place[given]] = real_numbers(f"{what}[{', '.join(given)}]", value)
    return out


def selection(what: str, at: Sequence[Label], labels: Sequence[Label]) -> sp.csr_array:
    """(labels, at) ones that put rows `at` into those of all labels."""
    place = {label: k for k, label in enumerate(labels)}
    for label in at:
        if label not in place:
            name = ", ".join(label)
            known = [", ".join(known) for known in labels]
            raise DataError(f"{what} has no label {name!r}", advice=did_you_mean(name, known))
    rows = [place[label] for label in at]
    shape = (len(labels), len(at))
    return sp.csr_array((np.ones(len(at)), (rows, np.arange(len(at)))), shape=shape)


def negative(what: str, coefficient: Coefficient) -> Coefficient:
    coefficient = tabled(coefficient)
    if isinstance(coefficient, Mapping):
        return {label: -real_numbers(what, c) for label, c in coefficient.items()}
    return -coefficient if sp.issparse(coefficient) else -real_numbers(what, coefficient)
