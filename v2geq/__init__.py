"""Market equilibrium of vehicles, charging stations and a distribution feeder.

>>> import v2geq as vg
>>> case = vg.load_case("ieee123_sioux_falls")
>>> eq = vg.solve(case, scenario="stress", v2g=True)
>>> eq.dlmp, eq.certificate
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from v2geq.assignment import Assignment, assign
    from v2geq.data.edit.case import Case, load_case
    from v2geq.data.model.road import RoadNetwork
    from v2geq.data.parameters.listing import parameters
    from v2geq.data.readers.folders import available_cases
    from v2geq.data.readers.opendss import read_opendss
    from v2geq.data.readers.pandapower import read_pandapower
    from v2geq.data.readers.tntp import read_tntp
    from v2geq.equilibrium import Equilibrium, load, solve
    from v2geq.errors import ConvergenceError, DataError, V2GError
    from v2geq.mcp.market import Market
    from v2geq.mcp.program import Program
    from v2geq.opf import optimal_power_flow
    from v2geq.roads.classes import UserClass
    from v2geq.solvers.protocol import Options
    from v2geq.studies.check import check
    from v2geq.studies.plan import read_study
    from v2geq.studies.run import run_study

# imported on first use, so that the command line answers at once
_HOME = {
    "Assignment": "v2geq.assignment",
    "Case": "v2geq.data.edit.case",
    "ConvergenceError": "v2geq.errors",
    "DataError": "v2geq.errors",
    "Equilibrium": "v2geq.equilibrium",
    "Market": "v2geq.mcp.market",
    "Options": "v2geq.solvers.protocol",
    "Program": "v2geq.mcp.program",
    "RoadNetwork": "v2geq.data.model.road",
    "UserClass": "v2geq.roads.classes",
    "V2GError": "v2geq.errors",
    "assign": "v2geq.assignment",
    "available_cases": "v2geq.data.readers.folders",
    "check": "v2geq.studies.check",
    "load": "v2geq.equilibrium",
    "load_case": "v2geq.data.edit.case",
    "optimal_power_flow": "v2geq.opf",
    "parameters": "v2geq.data.parameters.listing",
    "read_opendss": "v2geq.data.readers.opendss",
    "read_pandapower": "v2geq.data.readers.pandapower",
    "read_study": "v2geq.studies.plan",
    "read_tntp": "v2geq.data.readers.tntp",
    "run_study": "v2geq.studies.run",
    "solve": "v2geq.equilibrium",
}

__all__ = [
    "Assignment",
    "Case",
    "ConvergenceError",
    "DataError",
    "Equilibrium",
    "Market",
    "Options",
    "Program",
    "RoadNetwork",
    "UserClass",
    "V2GError",
    "assign",
    "available_cases",
    "check",
    "load",
    "load_case",
    "optimal_power_flow",
    "parameters",
    "read_opendss",
    "read_pandapower",
    "read_study",
    "read_tntp",
    "run_study",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'v2geq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
