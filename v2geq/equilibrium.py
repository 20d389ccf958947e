"""Solve a scenario for its equilibrium, and everything an equilibrium can tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.columns import borrow_paths, by_paths, extend, prune, reconcile
from v2geq.coupling import Coupled, couple
from v2geq.data.model import Case
from v2geq.data.provenance import Provenance, fingerprint, provenance
from v2geq.errors import ConvergenceError, DataError, quoted
from v2geq.files import as_path
from v2geq.lifting import lifted, settle
from v2geq.mcp.relaxation import least_relaxation
from v2geq.players.drivers import Traffic, traffic
from v2geq.players.generation import seed
from v2geq.results import store
from v2geq.results.accounts import Accounts, path_costs
from v2geq.results.certificate import Certificate, certify
from v2geq.results.path_flows import PathFlows, path_flows
from v2geq.results.prices import canonical
from v2geq.results.summary import summarise, warnings_of
from v2geq.results.tables import path_table, tables
from v2geq.results.uniqueness import INTERVAL, UNKNOWN, notes_on, where_used
from v2geq.results.uniqueness import uniqueness as uniqueness_table
from v2geq.scenario import Scenario, resolve
from v2geq.show import card
from v2geq.solvers import scaling, solver
from v2geq.solvers.protocol import Iteration, MCPResult, Options, Status

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from v2geq.analysis.explain import Explanation
    from v2geq.plots.api import Plots

MAX_ROUNDS = 40
PRUNE_ROUNDS = 10
"""Rounds after which no path is dropped any more, so that none comes and goes for ever."""
WARM_PATHS = 8
"""New paths up to which the next round starts from the last round's solution."""


def solve(
    case: Case,
    scenario: str = "base",
    *,
    v2g: bool = True,
    method: str = "auto",
    set: Mapping[str, Any] | None = None,
    options: Options | None = None,
    start: Equilibrium | None = None,
    check: bool = True,
    uniqueness: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Equilibrium:
    """Equilibrium of one scenario.

    Parameters
    ----------
    case
        Data, from `load_case`.
    scenario
        Name of one of the case's scenarios.
    v2g
        Whether stations may buy energy from vehicles.
    method
        Solver, see `v2geq.solvers.METHODS`.
    set
        Parameters to change, by name, for example ``{"voll": 5.0}``.
    options
        Tolerance and limits of the solver.
    start
        Equilibrium of a neighbouring scenario or parameter set to start from.
    check
        Raise where the solver did not converge; otherwise return the best point met, whose
        `status` and certificate say so.
    uniqueness
        Whether `Equilibrium.uniqueness` belongs to the result, its notes and its file.
    progress
        Called with a line of text now and then.

    Raises
    ------
    DataError
        Unknown names, data out of range, limits that no state of the market can keep.
    ConvergenceError
        With `check`, where the solver did not reach its tolerance.
    """
    solve_mcp = solver(method)
    for name, given, kind in (("start", start, Equilibrium), ("options", options, Options)):
        if given is not None and not isinstance(given, kind):
            raise DataError(f"{name} = {quoted(given)} is no {kind.__name__}")
    begin = time.perf_counter()
    resolved = resolve(case, scenario, v2g=v2g, changes=set)
    roads = traffic(resolved)
    exact = resolved.case.paths.method == "exact"
    if exact:
        seed(resolved, roads)
    if start is not None and exact:
        borrow_paths(start.coupled, resolved, roads)
    coupled = couple(resolved, roads)
    near = None if start is None else coupled.mcp.carry(start.coupled.mcp, start.z)
    built = time.perf_counter()
    log: list[Iteration] = []
    options = options or Options()
    rounds = 0
    while True:
        rounds += 1
        faint = lifted(coupled)
        result = solve_mcp(faint or coupled.mcp, near, replace(options, warm=near is not None))
        if faint is not None:
            result = settle(coupled, result, options)
            if not result.status.ok and result.status is not Status.INTERRUPTED:
                log += result.log
                result = solve_mcp(coupled.mcp, result.z, options)
        log += result.log
        z = canonical(coupled, result.z)
        if progress:
            progress(f"round {rounds}: {result.status.word}, residual {result.residual:.1e}")
        if result.status is Status.INTERRUPTED:
            if check:
                raise KeyboardInterrupt
            break
        # also after a failure: without the paths still missing there may be no feasible point
        roads = coupled.traffic.copy()
        new = extend(coupled, z, roads) if exact else 0
        if exact and not new and not result.status.ok:
            new = reconcile(coupled, roads)
        if not new:
            break
        if rounds >= MAX_ROUNDS:
            result.status = Status.ITERATION_LIMIT
            break
        if result.status.ok and rounds <= PRUNE_ROUNDS:
            prune(coupled, z, roads)
        last, coupled = coupled, couple(resolved, roads)
        few = result.status.ok and new <= WARM_PATHS
        near = coupled.mcp.carry(last.mcp, z) if few else None
    if coupled.traffic.legs and result.status is not Status.INTERRUPTED:
        coupled, z = by_paths(coupled, z)
    end = time.perf_counter()
    if not result.status.ok:
        _refuse_infeasible(coupled)
    if check and not result.status.ok:
        raise ConvergenceError(_failure(coupled, result))
    return Equilibrium(
        original=resolved.given,
        coupled=coupled,
        z=z,
        status=result.status.word,
        log=log,
        seconds={"build": built - begin, "solve": end - built},
        rounds=rounds,
        tells_uniqueness=bool(uniqueness),
    )


def _refuse_infeasible(coupled: Coupled) -> None:
    """Raise DataError where the players' constraints cannot hold together, naming which."""
    conflict = least_relaxation(coupled.mcp).limits
    if conflict:
        scenario = coupled.scenario
        by_object = {c.name.partition(",")[0]: c for c in reversed(conflict)}
        worst = sorted(by_object.values(), key=lambda c: conflict.index(c))
        named = "; ".join(str(c) for c in worst[:4])
        more = f" and {len(worst) - 4} more" if len(worst) > 4 else ""
        raise DataError(
            f"no state of the market keeps all limits; nearest are those that break {named}{more}",
            where=f"{scenario.case.where}: scenario {scenario.name!r} "
            f"{'with' if scenario.v2g else 'without'} V2G",
            advice="reactive loads and charging needs must be met whatever the price: check these "
            "limits, the regulators and the reactive sources",
        )


def _failure(coupled: Coupled, result: MCPResult) -> str:
    """What happened; that limits conflict is excluded by then."""
    scenario = coupled.scenario
    text = (
        f"scenario {scenario.name!r} {'with' if scenario.v2g else 'without'} V2G did not converge: "
        f"{result.status.value}; scaled natural residual {result.residual:.2e}, worst at "
        f"{result.worst}, after {result.iterations} iterations"
    )
    if result.diverging:
        text += f"; growing without bound: {', '.join(result.diverging)}"
    if result.status not in (Status.STALLED, Status.DIVERGED):
        return text
    sizes = scaling(coupled.mcp, result.z)
    return (
        f"{text}; some state of the market keeps all limits, so look for data of very different "
        f"size, here between {sizes.rows[0]} and {sizes.rows[1]}"
    )


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A point, its labelled results and its certificate.

    Attributes
    ----------
    original : the case as given; ``scenario.case`` has the changes applied
    coupled : players and the joint problem
    z : strategies and multipliers, in the problem's order
    status : 'solved', or how the solver gave up
    log : the solver's iterations; seconds : build, solve; rounds : of column generation
    edited : what a file states that does not follow from its strategies
    tells_uniqueness : whether `uniqueness` was asked for
    """

    original: Case
    coupled: Coupled
    z: FloatArray
    status: str
    log: list[Iteration] = field(repr=False)
    seconds: dict[str, float]
    rounds: int = 1
    edited: tuple[str, ...] = ()
    tells_uniqueness: bool = True

    @property
    def scenario(self) -> Scenario:
        """The resolved scenario."""
        return self.coupled.scenario

    @property
    def effort(self) -> str:
        """Iterations, rounds of column generation and paths in the problem, as text."""
        paths = sum(len(p) for p in self.coupled.traffic.paths.values())
        rounds = f"{self.rounds} round{'s' if self.rounds > 1 else ''}"
        return f"{len(self.log)} iterations in {rounds} of column generation, {paths:,} paths"

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """Strategies, multipliers and prices by block name."""
        return self.coupled.mcp.split(self.z)

    @cached_property
    def data(self) -> xr.Dataset:
        """All labelled results; see `v2geq.results.tables.tables`."""
        return tables(self.coupled, self.values)

    def __getattr__(self, name: str) -> Any:
        """Results by name: ``eq.dlmp`` is ``eq.data["dlmp"]``."""
        if hasattr(type(self), name):
            # a property failed; its own error says why
            return object.__getattribute__(self, name)
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.data.variables:
            return self.data[name]
        from v2geq.errors import did_you_mean

        known = [str(k) for k in self.data.variables]
        raise AttributeError(f"no result {name!r}; {did_you_mean(name, known)}")

    @cached_property
    def _judged(self) -> tuple[Certificate, Accounts]:
        certificate, book = certify(self.coupled, self.z)
        extra = list(self.edited)
        if self.status != Status.SOLVED.word:
            extra.append(f"the solver's status is {self.status}")
        case = f"{self.original.name}, contents {fingerprint(self.original)}"
        return replace(certificate, extra_failures=tuple(extra), case=case), book

    @property
    def certificate(self) -> Certificate:
        """Evidence recomputed from the point."""
        return self._judged[0]

    @cached_property
    def provenance(self) -> Provenance:
        """Hash of the case and how it differs from the shipped case of its name."""
        return provenance(self.original, self.scenario.changes)

    @property
    def accounts(self) -> Accounts:
        """Players' accounts and the social cost by term."""
        return self._judged[1]

    @cached_property
    def uniqueness(self) -> pd.DataFrame:
        """Which prices are unique, and the ends of those that are not.

        Columns result, label, low, high, status, proof; prices of energy, of firm load and at
        stations. See `v2geq.results.uniqueness.uniqueness`; empty where the point is no
        equilibrium.

        Raises
        ------
        DataError
            Where it was left out by ``solve(..., uniqueness=False)``.
        """
        if not self.tells_uniqueness:
            raise DataError("uniqueness was left out", advice="solve without uniqueness=False")
        table = uniqueness_table(self.coupled, self.values)
        return table if self.certificate.holds else table.iloc[:0]

    @cached_property
    def full_uniqueness(self) -> pd.DataFrame:
        """As `uniqueness`, of all results; takes some seconds, tens where load is shed."""
        table = uniqueness_table(self.coupled, self.values, full=True)
        return table if self.certificate.holds else table.iloc[:0]

    @cached_property
    def path_flows(self) -> PathFlows:
        """Ranges of what depends on the choice of path flows."""
        return path_flows(self.coupled, self.values)

    def paths(self, name: str) -> pd.DataFrame:
        """Paths of driver class `name` with flow, cost, time and energy.

        The problem's own, and every other that is as cheap.
        """
        classes = self.coupled.traffic.classes
        if name not in classes:
            from v2geq.errors import did_you_mean

            raise DataError(f"no driver class {name!r}", advice=did_you_mean(name, classes))
        flows = self.path_flows
        cost = path_costs(flows.coupled, flows.values, name)
        table = path_table(flows.coupled, flows.values, name, cost)
        table["flow_least_squares_veh_h"] = flows.least_squares[name]
        return table

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The figures of one row of a study's table."""
        return {
            "scenario": self.scenario.name,
            "v2g": self.scenario.v2g,
            "status": self.status,
            "natural_residual": self.certificate.natural_residual,
            "wardrop_gap": self.certificate.wardrop_gap,
            **summarise(self.coupled, self.data, self.accounts, self.path_flows),
            "build_seconds": self.seconds["build"],
            "solve_seconds": self.seconds["solve"],
        }

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader should know before using the figures."""
        out = warnings_of(self.coupled, self.data, self.values)
        return [*out, *notes_on(self.coupled, self.uniqueness)] if self.tells_uniqueness else out

    @cached_property
    def plot(self) -> Plots:
        """Figures of this equilibrium; ``eq.plot.names()`` lists them."""
        plots: Plots = _room("plots.api").Plots(self)
        return plots

    def save(self, path: str | Path) -> None:
        """Write a NetCDF file with case, strategies, paths and results, loss-free."""
        store.write(
            as_path(path),
            case=self.original,
            scenario=self.scenario.name,
            v2g=self.scenario.v2g,
            changes=self.scenario.changes,
            status=self.status,
            z=self.values,
            traffic=self.coupled.traffic,
            log=self.log,
            seconds={**self.seconds, "rounds": self.rounds},
            tables=self.data,
            uniqueness=self.uniqueness if self.tells_uniqueness else None,
        )

    def explain(
        self, *, od: tuple[Any, Any] | None = None, bus: str | int | None = None
    ) -> Explanation:
        """Why a trip costs what it costs, or why a bus has its price; text and table.

        Parameters
        ----------
        od
            Origin and destination, for example ``(1, 20)``.
        bus
            A bus, for example ``"76"``.
        """
        explanation: Explanation = _room("analysis.explain").explain(self, od=od, bus=bus)
        return explanation

    def sensitivity(self, *, of: str, to: str) -> xr.DataArray:
        """Derivative of result `of` with respect to parameter or column `to`.

        By implicit differentiation on the active set, for example
        ``eq.sensitivity(of="dlmp", to="load_kw")``; see `v2geq.analysis.sensitivity`.
        """
        derivative: xr.DataArray = _room("analysis.sensitivity").sensitivity(self, of=of, to=to)
        return derivative

    @property
    def _several(self) -> str:
        """Words after the prices of energy on the card: whether they are the only ones."""
        if not self.tells_uniqueness or self.uniqueness.empty:
            return ""
        found = set(where_used(self.coupled, self.uniqueness)["status"])
        if INTERVAL in found:
            return ", not unique"
        return ", perhaps not unique" if UNKNOWN in found else ", unique"

    def _repr_html_(self) -> str:
        figures = self.summary
        rows = {
            "status": f"{self.status}, {self.effort}",
            "DLMP": f"{figures['dlmp_min']:.4g} to {figures['dlmp_max']:.4g} $/kWh{self._several}",
            "load shed": f"{figures['load_shed_kw']:.1f} kW",
            "generation, import": f"{figures['generation_kw']:.0f}, "
            f"{figures['tso_import_kw']:.0f} kW",
            "charge, discharge": f"{figures['charge_kw']:.0f}, {figures['discharge_kw']:.0f} kW",
            "visits, discharges": f"{figures['station_visit_share']:.1%}, "
            f"{figures['discharge_share']:.1%} of electric trips",
            "social cost": f"{figures['social_cost']:,.2f} $/h",
            "case": self.certificate.case,
            "certificate": "holds" if self.certificate.holds else self.certificate.failures[0],
        }
        return card(
            repr(self).strip("<>"),
            rows,
            note="; ".join(self.warnings),
            good=self.certificate.holds,
        )

    def __repr__(self) -> str:
        with_v2g = "with" if self.scenario.v2g else "without"
        return (
            f"<Equilibrium of {self.original.name}, scenario {self.scenario.name} {with_v2g} V2G: "
            f"{self.status}, {self.coupled.mcp.n} unknowns>"
        )


def _room(name: str) -> ModuleType:
    """A module of the rooms above this one, brought in when asked for: they build on this one."""
    return import_module(f"v2geq.{name}")


def load(path: str | Path) -> Equilibrium:
    """Read a saved equilibrium and rebuild its problem; nothing is solved.

    Results in the file that do not follow from its strategies make the certificate fail.

    Raises
    ------
    DataError
        Where the file is missing, damaged, or does not fit the case it holds.
    """
    path = as_path(path)
    where = str(path)
    saved = store.read(path)
    resolved = resolve(saved.case, saved.scenario, v2g=saved.v2g, changes=saved.changes)
    # where paths are enumerated the list is made again, and the file's must be the same
    enumerated = resolved.case.paths.method == "enumerate"
    roads: Traffic = traffic(resolved, first_paths=enumerated)
    store.restore_paths(roads, saved, where)
    coupled = couple(resolved, roads)
    try:
        z = coupled.mcp.join(saved.z)
    except DataError as error:
        raise DataError(
            f"strategies do not fit the case: {error}", where=where, advice="solve and save again"
        ) from error
    if not np.isfinite(z).all():
        worst = coupled.mcp.describe(int(np.argmin(np.isfinite(z))))
        raise DataError(f"{worst} is not finite", where=where, advice="solve and save again")
    seconds = dict(saved.seconds)
    rounds = int(seconds.pop("rounds", 1))
    edited = tuple(store.differences(saved.tables, tables(coupled, coupled.mcp.split(z))))
    return Equilibrium(
        saved.case,
        coupled,
        z,
        saved.status,
        saved.log,
        seconds,
        rounds,
        edited,
        tells_uniqueness=saved.tells_uniqueness,
    )
