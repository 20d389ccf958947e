"""Labelled results before they become part of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp


class Labelled(NamedTuple):
    """A quantity by label.

    Layers and players hand out their results so; `v2geq.results.tables` joins them.

    Attributes
    ----------
    name, dims, values, unit, meaning : what it is, in the order of the labels
    labels : of a part of the dimension; None for all of it
    parts : derivative of the values by blocks of the problem (label x entry), where they follow
        from strategies, multipliers and prices near the point
    fill : value at the other labels that are in service
    """

    name: str
    dims: tuple[str, ...]
    values: Any
    unit: str
    meaning: str
    labels: tuple[tuple[str, ...], ...] | None = None
    parts: Mapping[str, sp.csr_array] | None = None
    fill: float = 0.0


def whole(
    name: str,
    dims: tuple[str, ...],
    block: str,
    values: Mapping[str, Any],
    unit: str,
    meaning: str,
    labels: tuple[tuple[str, ...], ...] | None = None,
    fill: float = 0.0,
) -> Labelled:
    """A block of the problem that is a result as it stands."""
    here, parts = values[block], {block: eye(len(values[block]))}
    return Labelled(name, dims, here if dims else here[0], unit, meaning, labels, parts, fill)


def eye(n: int) -> sp.csr_array:
    """(n, n) identity."""
    return sp.eye_array(n, format="csr")


def placed(rows: list[int] | np.ndarray[Any, Any], n: int) -> sp.csr_array:
    """(n, entry) ones that put every entry into its row."""
    entries = np.arange(len(rows))
    return sp.csr_array((np.ones(len(rows)), (rows, entries)), shape=(n, len(rows)))


def column(values: Any) -> sp.csr_array:
    """(label, 1) derivative by a single entry."""
    return sp.csr_array(np.asarray(values, dtype=float).reshape(-1, 1))
