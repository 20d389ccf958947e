"""Path flows are not unique: ranges of what depends on them, and one reproducible choice.

Arc flows, station flows and energies of an equilibrium fix a polytope of path flows, over all
cheapest paths. Shares of trips that stop are reported as [min, max] over it; the headline is the
flow of least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.convex.quadratic import Rows, quadratic_program
from v2geq.convex.relaxation import ENDINGS
from v2geq.errors import ConvergenceError
from v2geq.interruptible import interruptible
from v2geq.market.coupling import Coupled
from v2geq.show import ByName, card
from v2geq.trips.costs import path_costs
from v2geq.trips.generation import all_cheapest

DISCHARGE_THRESHOLD = 0.01
"""veh/h above which an OD pair counts as discharging."""
TIED = 1e-6
"""Relative excess cost up to which a path counts as cheapest."""


@dataclass(frozen=True)
class Range:
    """A quantity that depends on the choice of path flows."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class PathFlows:
    """What is said about path flows of an equilibrium.

    Attributes
    ----------
    coupled, values : the market with every cheapest path beside the problem's own, and its point;
        where paths are enumerated nothing is added
    least_squares : class -> (path,) flow of least sum of squares, veh/h
    complete : False where there were too many cheapest paths: the ranges may be wider
    visit_share, discharge_share : shares of electric trips that stop, that discharge
    discharge_od_pairs : OD pairs with more than 0.01 veh/h discharging
    """

    coupled: Coupled
    values: Mapping[str, FloatArray]
    least_squares: dict[str, FloatArray]
    complete: bool
    visit_share: Range
    discharge_share: Range
    discharge_od_pairs: Range

    @property
    def ranges(self) -> dict[str, Range]:
        """What depends on the choice of path flows, by its name in a summary."""
        return {
            "station_visit_share": self.visit_share,
            "discharge_share": self.discharge_share,
            "discharge_od_pairs": self.discharge_od_pairs,
        }

    def __repr__(self) -> str:
        paths = sum(map(len, self.least_squares.values()))
        ranges = "; ".join(f"{name} {value}" for name, value in self.ranges.items())
        return f"<PathFlows on {paths:,} paths: {ranges}>"

    def _repr_html_(self) -> str:
        note = "" if self.complete else "too many cheapest paths to list: ranges may be wider"
        return card("value [min, max] over path flows of equal cost", self.ranges, note=note)


def path_flows(coupled: Coupled, values: Mapping[str, FloatArray]) -> PathFlows:
    """Ranges over all path flows with the same arc flows, station flows and energies.

    Raises
    ------
    ConvergenceError
        Where a linear or quadratic program over the polytope fails.
    """
    coupled, values, complete = with_cheapest_paths(coupled, values)
    traffic = coupled.traffic
    polytope, keep = _polytope(coupled, values)
    parts, at = {}, 0
    for name, kept in keep.items():
        parts[name], at = slice(at, at + len(kept)), at + len(kept)
    flow = np.concatenate([traffic.path_flow(values, k)[kept] for k, kept in keep.items()])
    best = _least_squares(polytope, flow)

    electric = traffic.electric
    stopping, discharging = np.zeros(at), np.zeros(at)
    pair = np.full(at, -1)
    pairs = 0
    for name in electric:
        kept, where = keep[name], parts[name]
        paths = traffic.paths[name]
        stopping[where] = np.asarray(paths.stop_count.sum(axis=0)).ravel()[kept] > 0
        discharging[where] = paths.discharged_kwh[kept] > 0
        pair[where] = paths.od[kept] + pairs
        pairs += paths.od_count
    trips = sum(float(traffic.demand[k].sum()) for k in electric)

    def share(weights: FloatArray) -> Range:
        if not weights.any():
            return Range(0.0, 0.0, 0.0)
        low = _linear(polytope, flow, weights)
        high = -_linear(polytope, flow, -weights)
        value = float(np.clip(weights @ best, low, high))
        return Range(value / trips, low / trips, high / trips)

    least_squares: dict[str, FloatArray] = ByName()
    for name, kept in keep.items():
        full = np.zeros(len(traffic.paths[name]))
        full[kept] = best[parts[name]]
        least_squares[name] = full
    return PathFlows(
        coupled,
        values,
        least_squares,
        complete,
        share(stopping),
        share(discharging),
        _pairs(polytope, flow, best, discharging, pair, pairs),
    )


def with_cheapest_paths(
    coupled: Coupled, values: Mapping[str, FloatArray]
) -> tuple[Coupled, dict[str, FloatArray], bool]:
    """The market with every cheapest path among the drivers', its values, and whether it is all.

    Where paths are enumerated nothing is added: drivers choose from the list.
    """
    traffic = coupled.traffic
    if coupled.scenario.case.paths.method != "exact":
        return coupled, ByName(values), True
    found = all_cheapest(traffic, traffic.conditions(values), traffic.trip_costs(values, TIED))
    wide = traffic.with_paths({name: paths or () for name, paths in found.items()})
    more = {}
    for name, paths in wide.paths.items():
        flow = traffic.path_flow(values, name)
        more[traffic.flow_key(name)] = np.pad(flow, (0, len(paths) - len(flow)))
    complete = all(p is not None for p in found.values())
    return replace(coupled, traffic=wide), ByName({**values, **more}), complete


def _polytope(
    coupled: Coupled, values: Mapping[str, FloatArray]
) -> tuple[sp.csr_array, dict[str, np.ndarray]]:
    """Rows that fix demand, arc flows, stops and energies; kept columns (paths tied for best)."""
    traffic = coupled.traffic
    keep: dict[str, np.ndarray] = {}
    shared: list[sp.csr_array] = []
    demand: list[sp.csr_array] = []
    for name, paths in traffic.paths.items():
        cost = path_costs(traffic, values, name)
        least = paths.least(cost)
        tied = cost <= (least + TIED * np.abs(least))[paths.od]
        used = traffic.path_flow(values, name) > 0
        kept = np.flatnonzero(tied | used)
        keep[name] = kept
        demand.append(paths.od_incidence[:, kept])
        energies, stops = [paths.charge_energy, paths.discharge_energy], traffic.queue_stops(name)
        own = sp.vstack([paths.arc_incidence, stops, *energies], format="csr")
        shared.append(sp.csr_array(own)[:, kept])
    rows = sp.csr_array(sp.vstack([sp.hstack(shared), sp.block_diag(demand)], format="csr"))
    return rows[np.diff(rows.indptr) > 0], keep


def _least_squares(a: sp.csr_array, flow: FloatArray) -> FloatArray:
    """Flow of least sum of squares with the same totals as `flow`."""
    n = a.shape[1]
    size = max(float(flow.max()), 1.0)
    rows, zero = Rows(a, a @ (flow / size), sp.csr_array((0, n)), np.zeros(0)), np.zeros(n)
    what = "the least-squares path flow"
    return size * quadratic_program(np.ones(n), zero, rows, zero, np.full(n, np.inf), what=what)


def _linear(a: sp.csr_array, flow: FloatArray, weights: FloatArray) -> float:
    """Least `weights @ f` over flows with the same totals as `flow`."""
    from scipy.optimize import linprog

    work = partial(linprog, weights, A_eq=a, b_eq=a @ flow, bounds=(0, None), method="highs")
    result = interruptible(a.nnz, work)
    if result.status != 0:
        raise ConvergenceError(f"range of path flows not found: {ENDINGS[result.status]}")
    return float(result.fun)


def _pairs(
    a: sp.csr_array,
    flow: FloatArray,
    best: FloatArray,
    discharging: FloatArray,
    pair: np.ndarray,
    pairs: int,
) -> Range:
    """Number of OD pairs above the threshold, and its range, by mixed-integer programs."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    columns = np.flatnonzero(discharging)
    if not len(columns):
        return Range(0.0, 0.0, 0.0)
    n = a.shape[1]
    by_pair = sp.csr_array((np.ones(len(columns)), (pair[columns], columns)), shape=(pairs, n))
    value = float((by_pair @ best > DISCHARGE_THRESHOLD).sum())
    with_any = np.flatnonzero(by_pair.sum(axis=1) > 0)
    by_pair = by_pair[with_any]
    m = len(with_any)
    largest = np.asarray(by_pair @ np.full(n, flow.sum())).max()
    same = LinearConstraint(
        sp.hstack([a, sp.csr_array((a.shape[0], m))], format="csc"), a @ flow, a @ flow
    )
    bounds = Bounds(np.zeros(n + m), np.r_[np.full(n, np.inf), np.ones(m)])
    whole = np.r_[np.zeros(n), np.ones(m)]

    def count(sign: float, factor: float) -> float:
        # low: f <= threshold + largest y; high: f >= threshold y
        link = sp.hstack([by_pair, -factor * sp.eye_array(m)], format="csc")
        rows = (
            LinearConstraint(link, -np.inf, DISCHARGE_THRESHOLD)
            if sign > 0
            else LinearConstraint(link, 0.0, np.inf)
        )
        work = partial(
            milp, sign * whole, constraints=[same, rows], bounds=bounds, integrality=whole
        )
        result = interruptible(a.nnz, work)
        if result.status != 0:
            raise ConvergenceError(
                f"range of discharging OD pairs not found: {ENDINGS[result.status]}"
            )
        return float(round(sign * result.fun))

    low, high = count(1.0, largest), count(-1.0, DISCHARGE_THRESHOLD)
    return Range(float(np.clip(value, low, high)), low, high)
