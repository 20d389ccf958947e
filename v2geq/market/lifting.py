"""Trips too few to be told from none: lifted for the search, put back for the answer.

A pair of 1e-7 vehicles per hour charges less than the rounding of a market in kW, so a solver
cannot tell whether its station trades or not, and the price its drivers pay hangs on that. Such
demand is raised until it shows, far below what counts; the solution has the right stations and
paths, and Newton's method takes it from there to the demand as it is.
"""

from __future__ import annotations

import copy

import numpy as np

from v2geq.market.coupling import Coupled
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import scaled_residual
from v2geq.solvers.projection import ActiveSetNewton
from v2geq.solvers.protocol import MCPResult, Options, Status

VISIBLE = 1e-4
"""Energy of an OD pair's trips that shows, as a share of the scale of a station's trade."""
BESIDE_LOADS = 0.1
"""Share of the scale of loads that trade at stations is told from nothing by, at least."""
NEWTON_STEPS = 12
NEWTON_TARGET = 1e-13


def least_demand(coupled: Coupled, name: str) -> float:
    """Trips (veh/h) of a class from which an OD pair shows at stations; zero without battery."""
    traffic = coupled.traffic
    kind = traffic.classes[name]
    if kind.kind != "ev":
        return 0.0
    scenario = coupled.scenario
    size = max(scenario.station_scale(traffic.energy_reach), BESIDE_LOADS * scenario.power_scale)
    return VISIBLE * size / kind.battery


def lifted(coupled: Coupled) -> MCP | None:
    """The problem with demand raised to `least_demand`; None where all of it shows as it is."""
    mcp = coupled.mcp
    problem = copy.copy(mcp)
    problem.constant, problem.start = mcp.constant.copy(), mcp.start.copy()
    problem.scale, problem.row_scale = mcp.scale.copy(), mcp.row_scale.copy()
    found, traffic = False, coupled.traffic
    for name, demand in traffic.demand.items():
        factor = np.maximum(1.0, least_demand(coupled, name) / demand)
        found = found or bool((factor > 1.0).any())
        rows = mcp[traffic.demand_key(name)].slice
        problem.constant[rows] *= factor
        problem.row_scale[rows] *= factor
        if name not in traffic.legs:
            flow = mcp[traffic.flow_key(name)].slice
            by_path = factor[traffic.paths[name].od]
            problem.scale[flow] *= by_path
            problem.start[flow] *= by_path
    return problem if found else None


def settle(coupled: Coupled, result: MCPResult, options: Options) -> MCPResult:
    """The result at the demand as it is, from one at lifted demand."""
    mcp, traffic = coupled.mcp, coupled.traffic
    z = result.z.copy()
    for name, demand in traffic.demand.items():
        share = demand / np.maximum(demand, least_demand(coupled, name))
        if name not in traffic.legs:
            z[mcp[traffic.flow_key(name)].slice] *= share[traffic.paths[name].od]
    z, residual = ActiveSetNewton(mcp, z).run(z, NEWTON_TARGET, NEWTON_STEPS)
    entry = scaled_residual(mcp, z)
    result.z, result.residual = z, residual
    result.worst = mcp.describe(int(np.argmax(entry)))
    if result.status.ok and not residual <= options.tolerance:
        result.status = Status.STALLED
    return result
