"""Where nodes and buses are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

Place = tuple[float, float]

GAP = 0.066
"""Least distance of two nodes in a drawing, as a share of its larger side, for few nodes."""


def node_positions(nodes: pd.DataFrame) -> Mapping[str, Place]:
    """Positions of road nodes in the unit square; nodes that would touch are moved apart."""
    xy = _unit(nodes[["x", "y"]].to_numpy(dtype=float))
    xy = spread(xy, min(GAP, 0.4 / np.sqrt(max(len(xy), 1))))
    return {str(n): (float(x), float(y)) for n, (x, y) in zip(nodes.index, xy, strict=True)}


def bus_positions(buses: pd.DataFrame) -> Mapping[str, Place]:
    """Positions of buses as in the feeder's diagram, in the unit square."""
    xy = _unit(buses[["x", "y"]].to_numpy(dtype=float))
    return {str(b): (float(x), float(y)) for b, (x, y) in zip(buses.index, xy, strict=True)}


def _unit(xy: np.ndarray) -> np.ndarray:
    if not len(xy):
        return xy
    low = xy.min(axis=0)
    size = float((xy.max(axis=0) - low).max()) or 1.0
    out: np.ndarray = (xy - low) / size
    return out


def spread(xy: np.ndarray, gap: float, rounds: int = 50) -> np.ndarray:
    """Push points apart that are closer than `gap`; points in one place go apart sideways."""
    xy = xy.copy()
    for _ in range(rounds):
        close = cKDTree(xy).query_pairs(gap * (1 - 1e-6), output_type="ndarray")
        if not len(close):
            break
        for i, j in close:
            apart = xy[j] - xy[i]
            distance = float(np.hypot(*apart))
            way = apart / distance if distance > 1e-9 else np.array([1.0, 0.0])
            push = 0.5 * max(gap - distance, 0.0) * way
            xy[i] -= push
            xy[j] += push
    return xy
