"""Where nodes and buses are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from v2geq.arrays import FloatArray
from v2geq.data.model.road import RoadNetwork

Place = tuple[float, float]

GAP = 0.066
"""Least distance of two nodes in a drawing, as a share of its larger side, for few nodes."""


PIVOTS = 200
"""Most nodes from which distances are measured where positions are computed."""


def has_places(road: RoadNetwork) -> bool:
    """Whether every node has coordinates, not all the same."""
    xy = road.nodes[["x", "y"]].to_numpy(dtype=float)
    return bool(np.isfinite(xy).all() and (len(xy) < 2 or np.ptp(xy, axis=0).any()))


def node_positions(road: RoadNetwork) -> Mapping[str, Place]:
    """Positions of road nodes in the unit square; nodes that would touch are moved apart.

    Without coordinates they are computed from the lengths of the arcs.
    """
    nodes = road.nodes
    known = has_places(road)
    xy = _unit(nodes[["x", "y"]].to_numpy(dtype=float) if known else _layout(road))
    xy = spread(xy, min(GAP, 0.4 / np.sqrt(max(len(xy), 1))))
    return {str(n): (float(x), float(y)) for n, (x, y) in zip(nodes.index, xy, strict=True)}


def bus_positions(buses: pd.DataFrame) -> Mapping[str, Place]:
    """Positions of buses as in the feeder's diagram, in the unit square."""
    xy = _unit(buses[["x", "y"]].to_numpy(dtype=float))
    return {str(b): (float(x), float(y)) for b, (x, y) in zip(buses.index, xy, strict=True)}


def shape(place: Mapping[str, Place]) -> float:
    """Height of a map over its width."""
    width, height = np.ptp(np.array(list(place.values())), axis=0) + 0.1
    return float(height / width)


def _layout(road: RoadNetwork) -> FloatArray:
    """(node, 2) positions whose distances are near those along the roads (pivot MDS)."""
    at = {node: k for k, node in enumerate(road.nodes.index)}
    start, end = (road.arcs[c].map(at).to_numpy(dtype=int) for c in ("from_node", "to_node"))
    length = road.arcs["length_km"].to_numpy(dtype=float)
    length = np.maximum(length, 1e-3 * length.max(initial=0.0)) if length.any() else length + 1.0
    n = len(at)
    # of parallel arcs one
    _, first = np.unique(start * n + end, return_index=True)
    graph = csr_array((length[first], (start[first], end[first])), shape=(n, n))
    pivots = np.unique(np.linspace(0, n - 1, min(n, PIVOTS)).astype(int))
    far = dijkstra(graph, directed=False, indices=pivots).T
    finite = np.isfinite(far)
    far[~finite] = 1.2 * far[finite].max(initial=1.0)
    square = far**2
    centred = -0.5 * (square - square.mean(axis=0) - square.mean(axis=1)[:, None] + square.mean())
    axes, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    xy = np.zeros((n, 2))
    k = min(2, sizes.size)
    xy[:, :k] = axes[:, :k] * np.sqrt(sizes[:k])
    return xy * np.where(xy[np.abs(xy).argmax(axis=0), [0, 1]] < 0.0, -1.0, 1.0)


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
