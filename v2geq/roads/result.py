"""The result of a traffic assignment: flows by path, arc and OD pair, skims, select-link."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, did_you_mean
from v2geq.files import as_path, make_folder, write_files
from v2geq.roads.problem import AssignmentProblem
from v2geq.show import card

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.roads.kernels.assignment import Pool

SKIMS = ("cost", "time", "length", "toll")


class Search(NamedTuple):
    """One search for new routes: s since the start, relative gap met, paths, sweeps over them.

    The gap is infinite where some pair had no route before.
    """

    iteration: int
    seconds: float
    relative_gap: float
    paths: int
    sweeps: int

    def __str__(self) -> str:
        met = f"relative gap {self.relative_gap:.2e}" if self.relative_gap < np.inf else "loading"
        return f"iteration {self.iteration}: {met}, {self.paths} paths, {self.seconds:.2f} s"


_FILES = ("arcs.csv", "od.csv", "paths.csv", "log.csv")


def check_results(folder: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise DataError where results in `folder` would replace what was read."""
    replaced = {Path(os.path.realpath(folder / name)) for name in _FILES}
    if os.path.lexists(folder / "road.toml") or any(
        Path(os.path.realpath(path)) in replaced for path in inputs
    ):
        raise DataError(
            "holds input files that the results would replace",
            where=str(folder),
            advice="choose another folder",
        )


@dataclass(frozen=True, eq=False)
class SelectLink:
    """Trips that use chosen arcs, veh/h.

    Attributes
    ----------
    trips : their total
    od : columns class, origin, destination, trips_veh_h
    flow : (arc,) where these vehicles drive, by arc
    """

    trips: float
    od: pd.DataFrame
    flow: pd.Series

    def __repr__(self) -> str:
        return f"<SelectLink: {self.trips:,.1f} veh/h of {len(self.od)} OD pairs>"


@dataclass(frozen=True, eq=False)
class UserEquilibrium:
    """User equilibrium of trips on roads; costs in minutes, flows in veh/h.

    Attributes
    ----------
    problem : roads, classes and demand
    pool : paths in use, those of an OD pair side by side
    pair_cost : (od,) least cost over all routes, min
    target, relative_gap : gap asked for, and reached: excess_cost / total_cost
    excess_cost : cost beyond that on cheapest routes, veh min/h
    total_cost : cost of all trips, veh min/h
    iterations : the solver's log
    """

    problem: AssignmentProblem
    pool: Pool
    pair_cost: FloatArray
    target: float
    relative_gap: float
    excess_cost: float
    total_cost: float
    iterations: tuple[Search, ...]

    @property
    def converged(self) -> bool:
        """Whether the gap asked for is reached."""
        return self.relative_gap <= self.target

    @property
    def average_excess_cost(self) -> float:
        """Excess cost per trip, min."""
        return self.excess_cost / float(self.problem.demand.trips.sum())

    @property
    def seconds(self) -> float:
        """Time taken, s."""
        return self.iterations[-1].seconds

    @property
    def intrazonal(self) -> dict[str, float]:
        """Trips within one node that were left out, veh/h by class."""
        return dict(self.problem.demand.intrazonal)

    @cached_property
    def objective(self) -> float:
        """Beckmann's objective, veh min/h: the integrals of time, and costs no flow changes.

        Counted in passenger car equivalents; an equilibrium is its minimum.
        """
        from v2geq.roads.kernels.delay import integrals

        problem = self.problem
        weight = problem.roads.pce[problem.demand.kind[self.path_pair]] * self.pool.flow
        times = integrals(problem.delay, problem.state.flow).sum()
        return float(times + weight @ self.pool.fixed)

    @cached_property
    def path_pair(self) -> IntArray:
        """(path,) position of the OD pair."""
        served = np.flatnonzero(self.pool.first >= 0)
        counts = np.diff(np.append(self.pool.first[served], self.pool.flow.size))
        return np.repeat(served, counts)

    @cached_property
    def flow(self) -> pd.Series:
        """Flow of all classes by arc, veh/h in passenger car equivalents."""
        return self._by_arc(self.problem.state.flow, "flow_veh_h")

    @cached_property
    def time(self) -> pd.Series:
        """Travel time by arc, min."""
        return self._by_arc(self.problem.state.time, "time_min")

    def _by_arc(self, values: FloatArray, name: str) -> pd.Series:
        import pandas as pd

        index = pd.Index(self.problem.graph.arcs, name="arc")
        return pd.Series(self.problem.by_arc(values), index=index, name=name)

    def _flow_of(self, paths: BoolArray) -> FloatArray:
        """Vehicles by arc of the kernels' order on the paths chosen, veh/h."""
        pool, arcs = self.pool, len(self.problem.graph.arcs)
        weight = np.repeat(np.where(paths, pool.flow, 0.0), pool.size)
        return np.bincount(pool.arc, weights=weight, minlength=arcs).astype(float)

    @cached_property
    def arcs(self) -> pd.DataFrame:
        """Arcs: ends, flow and vehicles of each class (veh/h), time (min), volume over capacity."""
        table = self.problem.road.arcs[["from_node", "to_node"]].copy()
        table["flow_veh_h"] = self.flow.to_numpy()
        if len(self.problem.classes) > 1:
            of_class = self.problem.demand.kind[self.path_pair]
            for k, name in enumerate(self.problem.classes):
                own = self._flow_of(of_class == k)
                table[f"flow_{name}_veh_h"] = self.problem.by_arc(own)
        table["time_min"] = self.time.to_numpy()
        capacity = self.problem.road.arcs["capacity_veh_h"].to_numpy(dtype=float)
        table["volume_capacity"] = self.flow.to_numpy() / capacity
        return table

    def _pairs(self, at: IntArray) -> dict[str, np.ndarray]:
        demand = self.problem.demand
        nodes, classes = np.array(self.problem.graph.nodes), np.array(demand.classes)
        return {
            "class": classes[demand.kind[at]],
            "origin": nodes[demand.origin[at]],
            "destination": nodes[demand.destination[at]],
        }

    @cached_property
    def od(self) -> pd.DataFrame:
        """OD pairs: class, ends, trips (veh/h), cost of a trip (min), number of paths."""
        import pandas as pd

        every = np.arange(self.pair_cost.size)
        return pd.DataFrame(
            {
                **self._pairs(every),
                "trips_veh_h": self.problem.demand.trips,
                "cost_min": self.pair_cost,
                "paths": np.bincount(self.path_pair, minlength=every.size),
            }
        )

    @cached_property
    def paths(self) -> pd.DataFrame:
        """Paths in use: class, ends, route ('1-3-4'), flow (veh/h), cost and time (min), length."""
        import pandas as pd

        pool, problem = self.pool, self.problem
        length = problem.graph.length_km[problem.graph.star.arc]
        time = np.add.reduceat(problem.state.time[pool.arc], pool.start)
        nodes = problem.graph.nodes
        heads = problem.graph.star.head[pool.arc].tolist()
        first = problem.demand.origin[self.path_pair].tolist()
        routes = [
            "-".join([nodes[o], *(nodes[n] for n in heads[begin : begin + size])])
            for o, begin, size in zip(first, pool.start.tolist(), pool.size.tolist(), strict=True)
        ]
        return pd.DataFrame(
            {
                **self._pairs(self.path_pair),
                "route": routes,
                "flow_veh_h": pool.flow,
                "cost_min": time + pool.fixed,
                "time_min": time,
                "length_km": np.add.reduceat(length[pool.arc], pool.start),
            }
        )

    @cached_property
    def log(self) -> pd.DataFrame:
        """Convergence: seconds, relative gap, paths and sweeps by iteration."""
        import pandas as pd

        return pd.DataFrame(list(self.iterations)).set_index("iteration")

    def skim(
        self, what: str = "cost", *, user: str | None = None, zones: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Matrix between zones along cheapest routes at the times of the equilibrium.

        Parameters
        ----------
        what
            'cost' or 'time' (min), 'length' (km) or 'toll'. Where several routes are cheapest
            the last three belong to one of them.
        user
            Class whose costs choose the route; the first if left out.
        zones
            Nodes; all with trips if left out.

        Returns
        -------
        (origin, destination), infinite where there is no route.

        Raises
        ------
        DataError
            Unknown names.
        """
        import pandas as pd

        from v2geq.roads.kernels.assignment import skim

        problem, demand = self.problem, self.problem.demand
        names = demand.classes
        user = names[0] if user is None else user
        for value, known in ((what, SKIMS), (user, names)):
            if value not in known:
                raise DataError(f"cannot skim {value!r}", advice=did_you_mean(value, known))
        nodes = pd.Index(problem.graph.nodes)
        if zones is None:
            at = np.unique(np.concatenate((demand.origin, demand.destination)))
        else:
            at = nodes.get_indexer(pd.Index([str(z) for z in zones])).astype(np.int64)
            if (at < 0).any():
                name = str(zones[int(np.argmin(at))])
                raise DataError(f"no zone {name!r}", advice=did_you_mean(name, nodes))
        amounts = {"length": problem.graph.length_km, "toll": problem.road.column("toll")}
        amount = amounts[what][problem.graph.star.arc] if what in amounts else problem.state.time
        cost, sums = skim(
            problem.roads, problem.state.time, names.index(user), at, at, amount[None, :].copy()
        )
        label = pd.Index(nodes[at], name="origin")
        matrix = cost if what == "cost" else sums[0]
        return pd.DataFrame(matrix, index=label, columns=label.rename("destination"))

    def select_link(self, *arcs: str, how: str = "any") -> SelectLink:
        """Trips that use any ('any') or all ('all') of the arcs, with their OD pairs and roads.

        Path flows of an equilibrium are not unique where routes overlap; this is the split the
        solver ended with.

        Raises
        ------
        DataError
            An unknown arc, or another word than 'any' or 'all'.
        """
        import pandas as pd

        known = self.problem.graph.arcs
        if how not in ("any", "all") or not arcs:
            raise DataError(
                f"select_link({', '.join(map(repr, arcs))}, how={how!r})",
                advice="name one or more arcs, and how='any' or 'all'",
            )
        order = self.problem.graph.star.arc
        inverse = np.empty_like(order)
        inverse[order] = np.arange(order.size)
        counts = np.zeros(self.pool.flow.size, dtype=np.int64)
        of_path = np.repeat(np.arange(counts.size), self.pool.size)
        for arc in dict.fromkeys(arcs):
            if arc not in known:
                raise DataError(f"no arc {arc!r}", advice=did_you_mean(arc, known))
            on = of_path[self.pool.arc == inverse[known.index(arc)]]
            counts[np.unique(on)] += 1
        chosen = counts >= (1 if how == "any" else len(set(arcs)))
        trips = np.bincount(self.path_pair[chosen], weights=self.pool.flow[chosen])
        pairs = np.flatnonzero(trips)
        od = pd.DataFrame({**self._pairs(pairs), "trips_veh_h": trips[pairs]})
        return SelectLink(float(trips.sum()), od, self._by_arc(self._flow_of(chosen), "flow_veh_h"))

    def save(self, folder: str | Path) -> None:
        """Write arcs.csv, od.csv, paths.csv and log.csv to a folder, made if need be."""
        folder = as_path(folder, "a folder")
        check_results(folder)
        make_folder(folder)
        tables = {
            "arcs.csv": self.arcs.to_csv(),
            "od.csv": self.od.to_csv(index=False),
            "paths.csv": self.paths.to_csv(index=False),
            "log.csv": self.log.to_csv(),
        }
        write_files({folder / name: text.encode() for name, text in tables.items()})

    @property
    def figures(self) -> dict[str, str]:
        """What there is to say in short, as text."""
        demand = self.problem.demand
        inside = sum(demand.intrazonal.values())
        rows = {
            "trips": f"{demand.trips.sum():,.2f} veh/h in {demand.trips.size:,} OD pairs",
            "intrazonal trips left out": f"{inside:,.2f} veh/h",
            "relative gap": f"{self.relative_gap:.2e} (asked for {self.target:.0e})",
            "average excess cost": f"{self.average_excess_cost:.2e} min per trip",
            "objective": f"{self.objective:.9g} veh min/h",
            "total cost": f"{self.total_cost:.9g} veh min/h",
            "paths": f"{self.pool.flow.size:,}",
            "iterations": f"{len(self.iterations)} in {self.seconds:.3f} s",
        }
        return rows if inside else {k: v for k, v in rows.items() if "intrazonal" not in k}

    def __repr__(self) -> str:
        state = "" if self.converged else "not converged, "
        return (
            f"<Assignment of {self.problem.road.name}: {state}relative gap "
            f"{self.relative_gap:.1e}, objective {self.objective:.10g}>"
        )

    def _repr_html_(self) -> str:
        title = f"Traffic assignment, {self.problem.road.name}"
        return card(title, self.figures, good=self.converged)
