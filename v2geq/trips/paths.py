"""Routes, stops and battery: the paths drivers choose from, and their matrices.

A path is a route plus its stops. The battery rules A1-A4 make the energy charged and discharged at
every stop a constant of the path, so a set of paths is nothing but a few sparse matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.roads.graph import Graph
from v2geq.trips.battery import CHARGE, DISCHARGE, PATTERNS, EnergyRules


class Stop(NamedTuple):
    """A stop: station position, kind 'C' or 'D', arcs travelled before it, energy in kWh.

    The energy is per vehicle and positive: charged for 'C', discharged for 'D'.
    """

    station: int
    kind: str
    after: int
    energy_kwh: float


PathKey = tuple[int, tuple[int, ...], tuple[tuple[int, str, int], ...]]


@dataclass(frozen=True)
class Path:
    """A route and its stops, for one OD pair.

    Attributes
    ----------
    od
        Position of the OD pair.
    arcs
        Arc positions in travel order.
    stops
        Stops in travel order.
    arrival_kwh
        Energy in the battery on arrival at the destination (0 for fuel vehicles).
    """

    od: int
    arcs: tuple[int, ...]
    stops: tuple[Stop, ...]
    arrival_kwh: float

    @property
    def pattern(self) -> str:
        """Kinds of the stops: '', 'C', 'CC', 'D', 'CD' or 'DC'."""
        return "".join(s.kind for s in self.stops)

    @property
    def key(self) -> PathKey:
        """Identity of the path; the energies follow from it."""
        return self.od, self.arcs, tuple((s.station, s.kind, s.after) for s in self.stops)


def make_path(
    graph: Graph,
    rules: EnergyRules,
    od: int,
    arcs: Sequence[int],
    stops: Sequence[tuple[int, str, int]],
) -> Path | None:
    """Path along `arcs` with `stops`, or None if a rule of the battery forbids it.

    Rules A1-A4 (model.md, 2): departure at the start level; charging adds energy until the battery
    is full; discharging empties it to the low level and needs more than that on arrival; at most
    two stops, at different stations, at most one of them discharging; on every arrival, anywhere,
    at least the reserve. Energy comparisons have a slack of 1e-9 of the battery. A leg must not
    pass a node that is not `through`; a stop ends a leg.

    Parameters
    ----------
    od
        Position of the OD pair, kept as it is.
    arcs
        Arc positions in travel order.
    stops
        (station, kind 'C' or 'D', number of arcs travelled before the stop) in travel order.
        A `Stop` may be given; its energy is recomputed.

    Raises
    ------
    ValueError
        If the arcs do not join, a kind is unknown or stops are not in travel order.
    """
    arcs = tuple(int(a) for a in arcs)
    if not graph.is_route(arcs):
        raise ValueError(f"arcs {[graph.arcs[a] for a in arcs]} do not form a route")
    places = [int(s[2]) for s in stops]
    if places != sorted(places) or (places and not 0 <= places[0] <= places[-1] <= len(arcs)):
        raise ValueError(f"stops after {places} arcs are not in travel order on {len(arcs)} arcs")
    kinds = "".join(s[1] for s in stops)
    if any(k not in (CHARGE, DISCHARGE) for k in kinds):
        raise ValueError(f"stop kinds {kinds!r}: only 'C' and 'D' are known")
    if kinds not in PATTERNS or len({int(s[0]) for s in stops}) < len(stops):
        return None
    for i in range(1, len(arcs)):
        if i not in places and not graph.through[graph.tail[arcs[i]]]:
            return None
    bounds = [0, *places, len(arcs)]
    use = [rules.consumption * float(graph.length_km[a]) for a in arcs]
    legs = [total(use, i, j) for i, j in pairwise(bounds)]
    result = rules.simulate(legs, kinds)
    if result is None:
        return None
    amounts, arrival = result
    full = tuple(Stop(int(s[0]), s[1], int(s[2]), e) for s, e in zip(stops, amounts, strict=True))
    return Path(od, arcs, full, arrival)


def total(use: Sequence[float], start: int, end: int) -> float:
    """Sum of use[start:end] in travel order, so that every leg is added up to the same digits."""
    total = 0.0
    for i in range(start, end):
        total += use[i]
    return total


class PathSet:
    """Paths of one driver class with their matrices; columns are paths. A set never changes.

    Parameters
    ----------
    graph
        Road graph of the arcs.
    od_count
        Number of OD pairs.
    stations
        Names of the stations.
    paths
        Its paths; doubles (by key) are dropped.
    """

    def __init__(
        self,
        graph: Graph,
        od_count: int,
        stations: Sequence[str],
        paths: Iterable[Path] = (),
    ) -> None:
        self.graph, self.od_count, self.stations = graph, od_count, tuple(stations)
        self._position: dict[PathKey, int] = {}
        self.paths = tuple(self._enter(paths, self._position))

    def __len__(self) -> int:
        """Return the number of paths."""
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<PathSet: {len(self)} paths of {self.od_count} OD pairs>"

    def __getitem__(self, position: int) -> Path:
        """Return the path in this column."""
        return self.paths[position]

    def with_paths(self, paths: Iterable[Path], *, od_count: int | None = None) -> PathSet:
        """The set with the paths whose key is new behind its own; itself where none is.

        `od_count` is the number of OD pairs where there are more of them now. Raises ValueError for
        an OD pair, arc or station position outside the set's ranges.
        """
        count = self.od_count if od_count is None else od_count
        grown = self._like(self.paths, self._position.copy(), count)
        grown.paths += tuple(grown._enter(paths, grown._position))
        same = len(grown) == len(self) and grown.od_count == self.od_count
        return self if same else grown

    def keep(self, wanted: BoolArray) -> PathSet:
        """The set of the paths that are `wanted`, (path,); columns move up."""
        kept = tuple(p for p, stays in zip(self.paths, wanted.tolist(), strict=True) if stays)
        return self._like(kept, {p.key: i for i, p in enumerate(kept)}, self.od_count)

    def _like(
        self, paths: tuple[Path, ...], position: dict[PathKey, int], od_count: int
    ) -> PathSet:
        """A set of other paths on the same roads."""
        other = PathSet(self.graph, od_count, self.stations)
        other.paths, other._position = paths, position
        return other

    def _enter(self, paths: Iterable[Path], position: dict[PathKey, int]) -> list[Path]:
        """The paths whose key `position` lacks; enters them there."""
        new = []
        for path in paths:
            key = path.key
            if key in position:
                continue
            if not 0 <= path.od < self.od_count:
                raise ValueError(f"OD position {path.od} of {self.od_count}")
            if any(not 0 <= a < len(self.graph.arcs) for a in path.arcs):
                raise ValueError(f"arc position outside 0..{len(self.graph.arcs) - 1}: {path.arcs}")
            if any(not 0 <= s.station < len(self.stations) for s in path.stops):
                raise ValueError(f"station position of {path.stops} of {len(self.stations)}")
            position[key] = len(position)
            new.append(path)
        return new

    def position(self, path: Path) -> int | None:
        """Column of the path with the same key, None if it is not in the set."""
        return self._position.get(path.key)

    @cached_property
    def arc_incidence(self) -> sparse.csr_array:
        """(arc, path) how often the path travels the arc."""
        arcs = [a for p in self.paths for a in p.arcs]
        columns = np.repeat(np.arange(len(self)), [len(p.arcs) for p in self.paths])
        # an arc travelled twice, on two legs, adds up to 2
        return _matrix(np.ones(len(arcs)), arcs, columns, (len(self.graph.arcs), len(self)))

    @cached_property
    def od_incidence(self) -> sparse.csr_array:
        """(od, path) one where the path serves the OD pair."""
        n = len(self)
        return _matrix(np.ones(n), self.od, np.arange(n), (self.od_count, n))

    @cached_property
    def od(self) -> IntArray:
        """(path,) position of the OD pair."""
        return np.array([p.od for p in self.paths], dtype=np.int64)

    @cached_property
    def charge_energy(self) -> sparse.csr_array:
        """(station, path) energy charged, kWh per vehicle."""
        return self._energy(CHARGE)

    @cached_property
    def discharge_energy(self) -> sparse.csr_array:
        """(station, path) energy discharged, kWh per vehicle, positive."""
        return self._energy(DISCHARGE)

    def _energy(self, kind: str) -> sparse.csr_array:
        """(station, path) energy at stops of a kind."""
        stops = [(p, s) for p, path in enumerate(self.paths) for s in path.stops if s.kind == kind]
        return _matrix(
            np.array([s.energy_kwh for _, s in stops]),
            [s.station for _, s in stops],
            [p for p, _ in stops],
            (len(self.stations), len(self)),
        )

    @cached_property
    def charge_stops(self) -> sparse.csr_array:
        """(station, path) one where the path charges at the station."""
        return _ones(self.charge_energy)

    @cached_property
    def discharge_stops(self) -> sparse.csr_array:
        """(station, path) one where the path discharges at the station."""
        return _ones(self.discharge_energy)

    @cached_property
    def stop_count(self) -> sparse.csr_array:
        """(station, path) one where the path stops at the station."""
        return self.charge_stops + self.discharge_stops

    @cached_property
    def charged_kwh(self) -> FloatArray:
        """(path,) energy charged at all stops, kWh per vehicle."""
        return np.asarray(self.charge_energy.sum(axis=0)).ravel()

    @cached_property
    def discharged_kwh(self) -> FloatArray:
        """(path,) energy discharged at all stops, kWh per vehicle."""
        return np.asarray(self.discharge_energy.sum(axis=0)).ravel()

    @cached_property
    def arrival_kwh(self) -> FloatArray:
        """(path,) energy in the battery on arrival, kWh."""
        return np.array([p.arrival_kwh for p in self.paths], dtype=np.float64)

    @property
    def patterns(self) -> tuple[str, ...]:
        """(path,) kinds of the stops."""
        return tuple(p.pattern for p in self.paths)

    def least(self, cost: FloatArray) -> FloatArray:
        """(od,) least cost of a pair's paths, from (path,) costs; inf for a pair without any."""
        least = np.full(self.od_count, np.inf)
        np.minimum.at(least, self.od, cost)
        return least

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """(path,) nodes in travel order with '(+station)' for a charge, '(-station)' a discharge.

        For example '1-2-6(+5)-8': from node 1 to node 8 with a charge at station 5 in node 6.
        """
        return tuple(self.label(p) for p in self.paths)

    def label(self, path: Path) -> str:
        """Readable name of one path, see `labels`."""
        graph = self.graph
        nodes: list[str] = []
        if path.arcs:
            nodes.append(graph.nodes[graph.tail[path.arcs[0]]])
        nodes.extend(graph.nodes[graph.head[a]] for a in path.arcs)
        if not nodes:
            nodes.append("")
        for stop in path.stops:
            sign = "+" if stop.kind == CHARGE else "-"
            nodes[stop.after] += f"({sign}{self.stations[stop.station]})"
        return "-".join(nodes)

    def to_arrays(self) -> dict[str, IntArray | FloatArray]:
        """Flat arrays that hold the paths without loss, for saving.

        od, arrival_kwh (path,); arc_start (path + 1,) bounds of each path in arc; stop_start
        likewise in stop_station, stop_discharge (0 charge, 1 discharge), stop_after and
        stop_energy_kwh.
        """
        stops = [s for p in self.paths for s in p.stops]

        def bounds(sizes: list[int]) -> IntArray:
            return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)

        return {
            "od": self.od,
            "arrival_kwh": self.arrival_kwh,
            "arc_start": bounds([len(p.arcs) for p in self.paths]),
            "arc": np.array([a for p in self.paths for a in p.arcs], dtype=np.int64),
            "stop_start": bounds([len(p.stops) for p in self.paths]),
            "stop_station": np.array([s.station for s in stops], dtype=np.int64),
            "stop_discharge": np.array([s.kind == DISCHARGE for s in stops], dtype=np.int64),
            "stop_after": np.array([s.after for s in stops], dtype=np.int64),
            "stop_energy_kwh": np.array([s.energy_kwh for s in stops], dtype=np.float64),
        }

    @classmethod
    def from_arrays(
        cls,
        graph: Graph,
        od_count: int,
        stations: Sequence[str],
        arrays: Mapping[str, NDArray[Any]],
    ) -> PathSet:
        """The set whose `to_arrays` gave `arrays`; raises ValueError where they do not fit."""
        flat = {name: np.asarray(values).tolist() for name, values in arrays.items()}
        parts = [flat[f"stop_{part}"] for part in ("station", "discharge", "after", "energy_kwh")]
        stops = [
            Stop(int(s), DISCHARGE if d else CHARGE, int(i), float(e))
            for s, d, i, e in zip(*parts, strict=True)
        ]
        arc = tuple(int(a) for a in flat["arc"])
        arc_start = [int(i) for i in flat["arc_start"]]
        stop_start = [int(i) for i in flat["stop_start"]]
        if arc_start[-1] != len(arc) or stop_start[-1] != len(stops):
            raise ValueError("arc_start or stop_start does not end at the number of arcs or stops")
        ends = pairwise(arc_start), pairwise(stop_start)
        paths = [
            Path(int(od), arc[a:b], tuple(stops[s:t]), float(level))
            for od, (a, b), (s, t), level in zip(
                flat["od"], *ends, flat["arrival_kwh"], strict=True
            )
        ]
        return cls(graph, od_count, stations, paths)


def _matrix(
    values: FloatArray,
    rows: Sequence[int] | IntArray,
    columns: Sequence[int] | IntArray,
    shape: tuple[int, int],
) -> sparse.csr_array:
    """Sparse matrix of entries; those in one place add up."""
    at = (np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64))
    return sparse.coo_array((values, at), shape=shape).tocsr()


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    """A matrix with ones for its entries."""
    ones = matrix.copy()
    ones.data[:] = 1.0
    return ones
