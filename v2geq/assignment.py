"""Traffic assignment as users meet it: trips on roads, and the figures of the result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from v2geq.progress import Told, shown
from v2geq.roads.assign import user_equilibrium
from v2geq.roads.classes import UserClass
from v2geq.roads.result import UserEquilibrium

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.data.model.road import RoadNetwork
    from v2geq.plots.assignment import AssignmentPlots


class Assignment(UserEquilibrium):
    """A user equilibrium of the roads alone, with its figures."""

    @cached_property
    def plot(self) -> AssignmentPlots:
        """Figures of this assignment; ``r.plot.names()`` lists them."""
        from v2geq.plots.assignment import AssignmentPlots

        return AssignmentPlots(self)


def assign(
    road: RoadNetwork,
    demand: pd.DataFrame | Mapping[str, UserClass],
    gap: float = 1e-6,
    *,
    start: Assignment | None = None,
    max_iterations: int = 1000,
    check: bool = True,
    progress: Told = None,
) -> Assignment:
    """User equilibrium (Wardrop) of trips on a road network.

    Parameters
    ----------
    road
        Arcs with delay functions; see `RoadNetwork` and `v2geq.roads.delay`. The optional column
        `fixed_min` is a constant cost, `toll` the money a class with a value of time pays.
    demand
        Trips (columns origin, destination, trips_veh_h), or user classes by name. Trips within
        one node are left out and reported as `intrazonal`.
    gap
        Relative gap to reach: (total cost - cost on cheapest routes) / total cost.
    start
        Assignment on the same roads to start from: its routes and shares serve where pairs agree.
    max_iterations
        Most searches for new routes, at least one.
    check
        Raise where the gap is not reached; otherwise return the last point, which says so.
    progress
        Called with a line of text for every iteration. Otherwise a terminal or a notebook shows how
        far long work is; False silences it.

    Raises
    ------
    DataError
        Bad parameters, trips at unknown nodes, OD pairs without a route, or a start on other
        roads.
    ConvergenceError
        With `check`, where the gap is not reached.

    Examples
    --------
    >>> import v2geq as vg
    >>> road, demand = vg.read_tntp("SiouxFalls_net.tntp", "SiouxFalls_trips.tntp")
    >>> vg.assign(road, demand, gap=1e-10).objective
    """
    with shown(progress, "assigning trips") as show:
        found = user_equilibrium(
            road,
            demand,
            gap,
            start=start,
            max_iterations=max_iterations,
            check=check,
            show=show,
        )
    return Assignment(**vars(found))
