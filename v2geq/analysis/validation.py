"""Traffic assignment against best-known solutions: the page behind `v2geq validate`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.model.road import RoadNetwork
from v2geq.data.readers.folders import networks_folder
from v2geq.data.readers.road import read_road
from v2geq.data.readers.tntp import read_tntp, read_tntp_flows
from v2geq.errors import DataError
from v2geq.files import as_path
from v2geq.roads.assign import user_equilibrium

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.roads.result import UserEquilibrium

GAP = 1e-12
"""Relative gap of the solutions compared."""


@dataclass(frozen=True)
class Published:
    """A network in TNTP format: folder, prefix of its files, cost factors, what is known of it."""

    folder: str
    prefix: str
    distance_factor: float = 0.0
    toll_factor: float = 0.0
    objective: float | None = None


PUBLISHED = (
    Published("Anaheim", "Anaheim"),
    Published("Chicago-Sketch", "ChicagoSketch", 0.04, 0.02, objective=17313018.7387477),
)
SIOUX_FALLS_OBJECTIVE = 4231335.287107440


@dataclass(frozen=True)
class Comparison:
    """One network's solution beside the best known.

    Attributes
    ----------
    result : the assignment
    flow : (arc,) best-known flows, veh/h
    objective : the published objective, veh min/h; None where none is published
    """

    name: str
    result: UserEquilibrium
    flow: FloatArray
    objective: float | None

    @property
    def flow_difference(self) -> float:
        """Largest difference of any arc's flow, veh/h."""
        return float(np.abs(self.result.flow.to_numpy() - self.flow).max())

    @property
    def objective_at_flow(self) -> float:
        """Beckmann's objective at the best-known flows, veh min/h; for one class."""
        from v2geq.roads.kernels.delay import integrals

        problem = self.result.problem
        flow = self.flow[problem.graph.star.arc]
        times = integrals(problem.delay, flow).sum()
        return float(times + problem.roads.fixed[0] @ flow)


def comparisons(folder: Path | None) -> Iterator[Comparison]:
    """Braess and Sioux Falls, and what of Anaheim and Chicago-Sketch is in `folder`."""
    road, trips = braess()
    result = user_equilibrium(road, trips, GAP)
    yield Comparison("Braess", result, np.array([4.0, 2.0, 2.0, 2.0, 4.0]), 386.0)
    home = networks_folder() / "sioux_falls"
    road = read_road(home)
    best = best_known_sioux_falls()
    result = user_equilibrium(road, road.trips, GAP)
    flow = best["flow_veh_h"].reindex(road.arcs.index).to_numpy()
    yield Comparison("Sioux Falls", result, flow, SIOUX_FALLS_OBJECTIVE)
    folder = None if folder is None else as_path(folder, "a folder")
    if folder is None:
        return
    if not os.path.isdir(folder):
        raise DataError("no such folder", where=str(folder), advice="give that of the TNTP data")
    for known in PUBLISHED:
        files = folder / known.folder / known.prefix
        if not os.path.lexists(f"{files}_net.tntp"):
            continue
        road, trips = read_tntp(
            f"{files}_net.tntp",
            f"{files}_trips.tntp",
            distance_factor=known.distance_factor,
            toll_factor=known.toll_factor,
        )
        volume = read_tntp_flows(f"{files}_flow.tntp")["volume"].reindex(road.arcs.index)
        result = user_equilibrium(road, trips, GAP)
        yield Comparison(known.folder, result, volume.to_numpy(), known.objective)


def best_known_sioux_falls() -> pd.DataFrame:
    """Best-known flows (veh/h) and times (min) of the shipped Sioux Falls network, by arc."""
    import pandas as pd

    path = networks_folder() / "sioux_falls" / "best_known_flows.csv"
    return pd.read_csv(path, index_col="arc")


def braess() -> tuple[RoadNetwork, pd.DataFrame]:
    """Braess's network and its six trips: times 10 x, 50 + x and 10 + x min, at 4, 2 and 2.

    D. Braess, Ueber ein Paradoxon aus der Verkehrsplanung, Unternehmensforschung 12 (1968).
    """
    import pandas as pd

    arcs = {
        "1-3": ("1", "3", "10*x"),
        "1-4": ("1", "4", "50 + x"),
        "3-2": ("3", "2", "50 + x"),
        "3-4": ("3", "4", "10 + x"),
        "4-2": ("4", "2", "10*x"),
    }
    columns = ["from_node", "to_node", "delay"]
    table = pd.DataFrame.from_dict(arcs, orient="index", columns=columns)
    table.index.name = "arc"
    numbers = {
        "capacity_veh_h": 1.0,
        "length_km": 1.0,
        "free_flow_min": 0.0,
        "bpr_b": 0.0,
        "bpr_power": 1.0,
    }
    table = table.assign(**numbers)
    nodes = pd.DataFrame(
        {"x": [0.0, 2.0, 1.0, 1.0], "y": [0.0, 0.0, 1.0, -1.0], "through": True},
        index=pd.Index(list("1234"), name="node"),
    )
    trips = pd.DataFrame({"origin": ["1"], "destination": ["2"], "trips_veh_h": [6.0]})
    return RoadNetwork("braess", nodes, table, trips, "Braess (1968)"), trips


def validation_page(folder: Path | None) -> str:
    """The comparison as a Markdown page."""
    rows = []
    for c in comparisons(folder):
        demand = c.result.problem.demand
        published = "-" if c.objective is None else f"{c.objective:.12g}"
        rows.append(
            f"| {c.name} | {len(c.result.problem.graph.arcs):,} | {demand.trips.size:,} | "
            f"{demand.trips.sum():,.2f} | {_magnitude(c.result.relative_gap)} | "
            f"{c.result.objective:.12g} | {c.objective_at_flow:.12g} | {published} | "
            f"{_magnitude(c.flow_difference)} |"
        )
    columns = (
        "network",
        "arcs",
        "OD pairs",
        "trips, veh/h",
        "relative gap",
        "objective, veh min/h",
        "at the best-known flows",
        "published",
        "largest difference of a flow, veh/h",
    )
    return f"""# Traffic assignment against best-known solutions

User equilibrium of networks with published solutions, solved to a relative gap of {GAP:.0e}.
Regenerate with `v2geq validate FOLDER > notebooks/validation.md`, where FOLDER holds Anaheim and
Chicago-Sketch as in the repository bstabler/TransportationNetworks; without it only the first two
rows are made.

| {" | ".join(columns)} |
{"|---" * len(columns)}|
{chr(10).join(rows)}

* The objective is Beckmann's: the sum over arcs of the integral of travel time, and of constant
  costs times flow.
* Relative gap: cost beyond that on cheapest routes, over all routes of the network, divided by the
  total cost; recomputed from the returned path flows.
* Braess: three routes of cost 92 min; closed form, with times 10 x, 50 + x and 10 + x given as
  expressions.
* Sioux Falls: best-known flows shipped in `networks/sioux_falls`; times read as minutes.
* Anaheim: no objective is published; nodes 1 to 38 are zones that no route may pass.
* Chicago-Sketch: generalised cost with 0.04 min per mile and 0.02 min per cent of toll; trips
  within a zone are left out.

Sources: Transportation Networks for Research Core Team,
github.com/bstabler/TransportationNetworks; D. Braess (1968).
"""


def _magnitude(value: float) -> str:
    """A small number up to its order of magnitude: digits below differ between machines."""
    return f"below {10.0 ** np.ceil(np.log10(value)):.0e}" if value > 0 else "0"
