"""Routes, stops and battery: the paths drivers choose from, and their matrices.

A path is a route plus its stops. The battery rules A1-A4 (model.md, 2) make
the energy charged and discharged at every stop a constant of the path, so a set of paths is nothing
but a few sparse matrices. This module builds paths along base routes; `pricing` finds the cheapest
path over all routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError
from v2geq.roads.graph import Graph, no_route, shortest_tree
from v2geq.roads.routes import k_shortest_routes

if TYPE_CHECKING:
    from v2geq.data.model.drivers import DriverClass


CHARGE, DISCHARGE = "C", "D"
#: stop patterns of a path; the last three need V2G
PATTERNS = ("", "C", "CC", "D", "CD", "DC")
#: slack of every energy comparison, relative to the battery: budgets may be met with equality
ENERGY_TOLERANCE = 1e-9


# ---------------------------------------------------------------------------------------------
# Battery


@dataclass(frozen=True)
class EnergyRules:
    """Battery data of one EV class, kWh (consumption kWh/km); rules A1-A4.

    battery
        Capacity B, and the level after charging.
    reserve
        Least level on every arrival (alpha B).
    low
        Level after a discharge (B_dis).
    departure
        Level at departure (B_0); None for a full battery.
    """

    battery: float
    reserve: float
    low: float
    consumption: float
    departure: float | None = None

    @classmethod
    def from_class(cls, c: DriverClass) -> EnergyRules:
        """Rules of a driver class of kind 'ev'; raises `DataError` for any other."""
        if c.kind != "ev":
            raise DataError(
                f"driver class of kind {c.kind!r} has no battery",
                advice="use enumerate_routes and shortest_routes for fuel vehicles",
            )
        return cls(
            c.battery,
            c.reserve * c.battery,
            c.discharge_level * c.battery,
            c.consumption,
            c.start_level * c.battery,
        )

    @property
    def start(self) -> float:
        """Level at departure."""
        return self.battery if self.departure is None else self.departure

    @property
    def start_budget(self) -> float:
        """Energy that may be spent between departure and the first arrival, B_0 - alpha B."""
        return self.start - self.reserve

    @property
    def full_budget(self) -> float:
        """Energy a full battery may spend before the next arrival, R = (1 - alpha) B."""
        return self.battery - self.reserve

    @property
    def low_budget(self) -> float:
        """Energy a discharged battery may spend before the next arrival, r = B_dis - alpha B."""
        return self.low - self.reserve

    @property
    def tolerance(self) -> float:
        """Slack of every comparison of energies."""
        return ENERGY_TOLERANCE * self.battery

    def simulate(
        self, legs: Sequence[float], kinds: Sequence[str]
    ) -> tuple[tuple[float, ...], float] | None:
        """Run the battery along legs that end at stops of the given kinds, then the destination.

        Parameters
        ----------
        legs
            Energy use of each leg, kWh; one more than there are stops.
        kinds
            'C' or 'D' of each stop.

        Returns
        -------
        Energy charged or discharged at each stop and the level on arrival, or None if a rule is
        broken. Use along a leg is never negative, so the reserve need only be checked at its end.

        """
        tol = self.tolerance
        level = self.start
        amounts = []
        for used, kind in zip(legs, kinds, strict=False):
            if used > level - self.reserve + tol:
                return None
            if kind == CHARGE:
                amount = (self.battery - level) + used
                level = self.battery
            else:
                amount = (level - self.low) - used
                level = self.low
            if amount <= tol:
                return None
            amounts.append(amount)
        if legs[-1] > level - self.reserve + tol:
            return None
        return tuple(amounts), level - legs[-1]


# ---------------------------------------------------------------------------------------------
# Paths


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
    legs = [_total(use, i, j) for i, j in pairwise(bounds)]
    result = rules.simulate(legs, kinds)
    if result is None:
        return None
    amounts, arrival = result
    full = tuple(Stop(int(s[0]), s[1], int(s[2]), e) for s, e in zip(stops, amounts, strict=True))
    return Path(od, arcs, full, arrival)


def _total(use: Sequence[float], start: int, end: int) -> float:
    """Sum of use[start:end] in travel order, so that every leg is added up to the same digits."""
    total = 0.0
    for i in range(start, end):
        total += use[i]
    return total


# ---------------------------------------------------------------------------------------------
# Paths on base routes


def enumerate_routes(graph: Graph, od_pairs: Sequence[tuple[int, int]], k: int) -> list[Path]:
    """Paths of fuel vehicles: the `k` base routes of every OD pair, without stops.

    Raises
    ------
    DataError
        If an OD pair has no route.

    """
    paths: list[Path] = []
    for od, (origin, destination) in enumerate(od_pairs):
        routes = k_shortest_routes(graph, origin, destination, k)
        if not routes:
            raise no_route(graph, origin, destination)
        paths.extend(Path(od, arcs, (), 0.0) for arcs in routes)
    return paths


def enumerate_paths(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]],
    station_node: IntArray,
    k: int,
    v2g: bool,
) -> list[Path]:
    """Paths of an EV class: all feasible stops on the `k` base routes of every OD pair.

    The augmentation of base routes with stops (Algorithm 1 of the paper): patterns none, C, CC
    and, with `v2g`, D, CD, DC, at stations on nodes of the route including origin and
    destination. Two stations at one node are visited in either order.

    Parameters
    ----------
    od_pairs
        (origin, destination) node positions.
    station_node
        (station,) node positions.

    Raises
    ------
    DataError
        If an OD pair has no energy-feasible path, over all routes or on its base routes.

    """
    at_node: dict[int, list[int]] = {}
    for s, n in enumerate(station_node.tolist()):
        at_node.setdefault(n, []).append(s)
    head = graph.head.tolist()
    arc_use = [rules.consumption * km for km in graph.length_km.tolist()]
    kinds_of_one = (CHARGE, DISCHARGE) if v2g else (CHARGE,)
    kinds_of_two = ("CC", "CD", "DC") if v2g else ("CC",)
    paths: list[Path] = []
    for od, (origin, destination) in enumerate(od_pairs):
        count = len(paths)
        for arcs in k_shortest_routes(graph, origin, destination, k):
            nodes = [origin, *(head[a] for a in arcs)]
            use = [arc_use[a] for a in arcs]
            last = len(arcs)
            halts = [(i, s) for i, n in enumerate(nodes) for s in at_node.get(n, ())]
            places = sorted({0, last, *(i for i, _ in halts)})
            leg = {(i, j): _total(use, i, j) for i in places for j in places if i <= j}
            _append(paths, rules, od, arcs, (leg[0, last],), (), "")
            for i, s in halts:
                for kind in kinds_of_one:
                    _append(paths, rules, od, arcs, (leg[0, i], leg[i, last]), ((s, i),), kind)
                for j, t in halts:
                    if j < i or t == s:
                        continue
                    legs = (leg[0, i], leg[i, j], leg[j, last])
                    for kinds in kinds_of_two:
                        _append(paths, rules, od, arcs, legs, ((s, i), (t, j)), kinds)
        if len(paths) == count:
            require_feasible(graph, rules, [(origin, destination)], station_node)
            raise DataError(
                f"OD pair {graph.nodes[origin]} -> {graph.nodes[destination]} has no "
                f"energy-feasible path on its {k} base routes, though it has one on other routes",
                advice="increase base_routes_ev, or use the path method 'exact'",
            )
    return paths


def _append(
    paths: list[Path],
    rules: EnergyRules,
    od: int,
    arcs: tuple[int, ...],
    legs: tuple[float, ...],
    halts: tuple[tuple[int, int], ...],
    kinds: str,
) -> None:
    """Append the path with stops of `kinds` at `halts` (station, after), if it is feasible."""
    result = rules.simulate(legs, kinds)
    if result is not None:
        amounts, arrival = result
        stops = tuple(
            Stop(s, kind, i, e) for (s, i), kind, e in zip(halts, kinds, amounts, strict=True)
        )
        paths.append(Path(od, arcs, stops, arrival))


# ---------------------------------------------------------------------------------------------
# Whether a battery gets there at all


@dataclass(frozen=True)
class Reach:
    """How far the battery of a class gets, by legs of least energy.

    Attributes
    ----------
    stops
        (od,) least number of charging stops, 3 where no path is feasible.
    need_kwh
        (od,) energy of the shortest route, inf where there is none.
    usable
        (station,) whether a feasible path of some OD pair may stop there.

    """

    stops: IntArray
    need_kwh: FloatArray
    usable: BoolArray


def reach(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
) -> Reach:
    """Least stops of every OD pair and the stations in reach, over all routes.

    Discharging never helps to get anywhere, and whoever may discharge at a station could charge
    there, so patterns none, C and CC say it all.
    """
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    energy = rules.consumption * graph.length_km
    sources, row = np.unique(np.concatenate((pairs[:, 0], station_node)), return_inverse=True)
    distance, _ = shortest_tree(graph, energy, sources)
    start, station = row[: len(pairs)], row[len(pairs) :]
    need = distance[start, pairs[:, 1]]
    at_start = distance <= rules.start_budget + rules.tolerance
    full = distance <= rules.full_budget + rules.tolerance
    first = at_start[start][:, station_node]
    last = full[station][:, pairs[:, 1]].T
    between = full[station][:, station_node]
    between &= ~np.eye(len(station_node), dtype=bool)
    # (od, station): whether it may be the second stop, or the first of two
    second, before = first @ between, last @ between.T
    stops = np.select(
        [
            at_start[start, pairs[:, 1]],
            (first & last).any(axis=1),
            (second & last).any(axis=1),
        ],
        [0, 1, 2],
        3,
    )
    usable = ((first & (last | before)) | (second & last)).any(axis=0)
    return Reach(stops.astype(np.int64), need, np.asarray(usable))


def require_feasible(
    graph: Graph,
    rules: EnergyRules,
    od_pairs: Sequence[tuple[int, int]] | IntArray,
    station_node: IntArray,
) -> None:
    """Raise `DataError` for the first OD pair without any energy-feasible path over all routes.

    The message names the pair, the energy of its shortest route and the battery's budgets.
    """
    pairs = np.asarray(od_pairs, dtype=np.int64).reshape(-1, 2)
    found = reach(graph, rules, pairs, station_node)
    for w in np.flatnonzero(found.stops > 2):
        origin, destination = int(pairs[w, 0]), int(pairs[w, 1])
        if np.isinf(found.need_kwh[w]):
            raise no_route(graph, origin, destination)
        at_start = ""
        if rules.start < rules.battery:
            at_start = f"{rules.start_budget:.6g} kWh after departure and "
        raise DataError(
            f"OD pair {graph.nodes[origin]} -> {graph.nodes[destination]} has no energy-feasible "
            f"path: its shortest route needs {found.need_kwh[w]:.6g} kWh, the battery may spend "
            f"{at_start}{rules.full_budget:.6g} kWh from full to the next stop (battery "
            f"{rules.battery:.6g} less reserve {rules.reserve:.6g}), and no two charging stops "
            "close the gap",
            advice="enlarge the battery, lower the reserve, add a station on the way or drop the "
            "OD pair",
        )


# ---------------------------------------------------------------------------------------------
# Sets of paths


class PathSet:
    """Paths of one driver class with their matrices; columns are paths.

    Parameters
    ----------
    graph
        Road graph of the arcs.
    od_count, station_count
        Numbers of OD pairs and of stations: rows of the matrices.
    paths
        First paths; doubles (by key) are dropped.
    stations
        Station names for labels; positions if left out.

    """

    def __init__(
        self,
        graph: Graph,
        od_count: int,
        station_count: int,
        paths: Iterable[Path] = (),
        *,
        stations: Sequence[str] | None = None,
    ) -> None:
        self.graph = graph
        self.od_count = od_count
        self.station_count = station_count
        self.stations = tuple(
            stations if stations is not None else (str(s) for s in range(station_count))
        )
        if len(self.stations) != station_count:
            raise ValueError(f"{len(self.stations)} station names for {station_count} stations")
        self._paths: list[Path] = []
        self._position: dict[PathKey, int] = {}
        self._cache: dict[str, Any] = {}
        self.extend(paths)

    def __len__(self) -> int:
        """Return the number of paths."""
        return len(self._paths)

    def __getitem__(self, position: int) -> Path:
        """Return the path in this column."""
        return self._paths[position]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths in column order."""
        return tuple(self._paths)

    def extend(self, paths: Iterable[Path]) -> IntArray:
        """Append the paths whose key is new; the columns of those appended.

        Columns of earlier paths keep their positions. Raises ValueError for an OD pair, arc or
        station position outside the set's ranges.
        """
        start = len(self._paths)
        for path in paths:
            key = path.key
            if key in self._position:
                continue
            if not 0 <= path.od < self.od_count:
                raise ValueError(f"OD position {path.od} of {self.od_count}")
            if any(not 0 <= a < len(self.graph.arcs) for a in path.arcs):
                raise ValueError(f"arc position outside 0..{len(self.graph.arcs) - 1}: {path.arcs}")
            if any(not 0 <= s.station < self.station_count for s in path.stops):
                raise ValueError(f"station position of {path.stops} of {self.station_count}")
            self._position[key] = len(self._paths)
            self._paths.append(path)
        if len(self._paths) > start:
            self._cache.clear()
        return np.arange(start, len(self._paths), dtype=np.int64)

    def keep(self, wanted: BoolArray) -> None:
        """Drop the paths that are not `wanted`, (path,); the others move up."""
        kept = [p for p, stays in zip(self._paths, wanted.tolist(), strict=True) if stays]
        self._paths, self._position = kept, {p.key: i for i, p in enumerate(kept)}
        self._cache.clear()

    def copy(self) -> PathSet:
        """The same paths, to grow or shrink apart from these."""
        twin = copy(self)
        twin._paths, twin._position = self._paths.copy(), self._position.copy()
        twin._cache = self._cache.copy()
        return twin

    def position(self, path: Path) -> int | None:
        """Column of the path with the same key, None if it is not in the set."""
        return self._position.get(path.key)

    def _matrix(self, name: str) -> sparse.csr_array:
        if name not in self._cache:
            rows: list[int] = []
            columns: list[int] = []
            values: list[float] = []
            for p, path in enumerate(self._paths):
                if name == "arc":
                    rows.extend(path.arcs)
                    columns.extend([p] * len(path.arcs))
                    continue
                for stop in path.stops:
                    if stop.kind == name[0]:
                        rows.append(stop.station)
                        columns.append(p)
                        values.append(1.0 if name.endswith("stops") else stop.energy_kwh)
            data = np.array(values) if values else np.ones(len(rows))
            height = len(self.graph.arcs) if name == "arc" else self.station_count
            # an arc travelled twice, on two legs, adds up to 2
            self._cache[name] = sparse.coo_array(
                (data, (np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64))),
                shape=(height, len(self._paths)),
            ).tocsr()
        matrix: sparse.csr_array = self._cache[name]
        return matrix

    @property
    def arc_incidence(self) -> sparse.csr_array:
        """(arc, path) how often the path travels the arc."""
        return self._matrix("arc")

    @property
    def od_incidence(self) -> sparse.csr_array:
        """(od, path) one where the path serves the OD pair."""
        if "od" not in self._cache:
            n = len(self._paths)
            self._cache["od"] = sparse.coo_array(
                (np.ones(n), (self.od, np.arange(n))), shape=(self.od_count, n)
            ).tocsr()
        matrix: sparse.csr_array = self._cache["od"]
        return matrix

    @property
    def od(self) -> IntArray:
        """(path,) position of the OD pair."""
        return np.array([p.od for p in self._paths], dtype=np.int64)

    @property
    def charge_energy(self) -> sparse.csr_array:
        """(station, path) energy charged, kWh per vehicle."""
        return self._matrix(CHARGE)

    @property
    def discharge_energy(self) -> sparse.csr_array:
        """(station, path) energy discharged, kWh per vehicle, positive."""
        return self._matrix(DISCHARGE)

    @property
    def charge_stops(self) -> sparse.csr_array:
        """(station, path) one where the path charges at the station."""
        return self._matrix(f"{CHARGE} stops")

    @property
    def discharge_stops(self) -> sparse.csr_array:
        """(station, path) one where the path discharges at the station."""
        return self._matrix(f"{DISCHARGE} stops")

    @property
    def stop_count(self) -> sparse.csr_array:
        """(station, path) one where the path stops at the station."""
        if "count" not in self._cache:
            self._cache["count"] = self.charge_stops + self.discharge_stops
        matrix: sparse.csr_array = self._cache["count"]
        return matrix

    @property
    def arrival_kwh(self) -> FloatArray:
        """(path,) energy in the battery on arrival, kWh."""
        return np.array([p.arrival_kwh for p in self._paths], dtype=np.float64)

    @property
    def patterns(self) -> tuple[str, ...]:
        """(path,) kinds of the stops."""
        return tuple(p.pattern for p in self._paths)

    @property
    def labels(self) -> tuple[str, ...]:
        """(path,) nodes in travel order with '(+station)' for a charge, '(-station)' a discharge.

        For example '1-2-6(+5)-8': from node 1 to node 8 with a charge at station 5 in node 6.
        """
        if "labels" not in self._cache:
            self._cache["labels"] = tuple(self.label(p) for p in self._paths)
        labels: tuple[str, ...] = self._cache["labels"]
        return labels

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
        stops = [s for p in self._paths for s in p.stops]

        def bounds(sizes: list[int]) -> IntArray:
            return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)

        return {
            "od": self.od,
            "arrival_kwh": self.arrival_kwh,
            "arc_start": bounds([len(p.arcs) for p in self._paths]),
            "arc": np.array([a for p in self._paths for a in p.arcs], dtype=np.int64),
            "stop_start": bounds([len(p.stops) for p in self._paths]),
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
        station_count: int,
        arrays: Mapping[str, NDArray[Any]],
        *,
        stations: Sequence[str] | None = None,
    ) -> PathSet:
        """The set whose `to_arrays` gave `arrays`; raises ValueError where they do not fit."""
        flat = {name: np.asarray(values).tolist() for name, values in arrays.items()}
        stops = [
            Stop(int(s), DISCHARGE if d else CHARGE, int(i), float(e))
            for s, d, i, e in zip(
                flat["stop_station"],
                flat["stop_discharge"],
                flat["stop_after"],
                flat["stop_energy_kwh"],
                strict=True,
            )
        ]
        arc = tuple(int(a) for a in flat["arc"])
        arc_start = [int(i) for i in flat["arc_start"]]
        stop_start = [int(i) for i in flat["stop_start"]]
        if arc_start[-1] != len(arc) or stop_start[-1] != len(stops):
            raise ValueError("arc_start or stop_start does not end at the number of arcs or stops")
        paths = [
            Path(int(od), arc[a:b], tuple(stops[s:t]), float(level))
            for od, a, b, s, t, level in zip(
                flat["od"],
                arc_start[:-1],
                arc_start[1:],
                stop_start[:-1],
                stop_start[1:],
                flat["arrival_kwh"],
                strict=True,
            )
        ]
        return cls(graph, od_count, station_count, paths, stations=stations)
