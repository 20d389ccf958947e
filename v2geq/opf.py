"""Optimal power flow of a feeder alone: who generates, and what power is worth at every bus."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.certificates.duality import could_gain
from v2geq.certificates.verdict import Figure, Verdict
from v2geq.convex.relaxation import conflict_in_words, least_relaxation
from v2geq.data.checks.door import admit_feeder
from v2geq.data.checks.feeder import check_feeder, check_switching
from v2geq.data.checks.phases import admit_phases
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.feeder import Feeder, PhaseFeeder
from v2geq.data.model.schema import GENERATORS, TableSchema
from v2geq.data.model.settings import FeederSettings, SubstationSettings
from v2geq.data.model.values import ValueSpec, setting_specs
from v2geq.data.parameters.unused import idle_sources
from v2geq.data.readers.feeder import find_feeder
from v2geq.data.readers.pandapower import read_pandapower
from v2geq.data.readers.tables import read_table
from v2geq.errors import ConvergenceError, DataError, quoted, unknown_name
from v2geq.files import as_path, make_folder, write_files
from v2geq.grid.broken import SOURCES, broken_limit
from v2geq.grid.dlmp import PriceParts
from v2geq.grid.formulation import formulated
from v2geq.grid.network import Network, network_of
from v2geq.grid.power_flow import SETTLED_KW, PowerFlow, unlimited
from v2geq.mcp.assemble import MCP
from v2geq.mcp.problem import reduced_costs, scaled_residual
from v2geq.mcp.program import Program
from v2geq.mcp.statement import FixedScales
from v2geq.players.dso import dispatch
from v2geq.show import MONEY, card
from v2geq.solvers.automatic import automatic
from v2geq.solvers.projection import ActiveSetNewton
from v2geq.solvers.protocol import Options, Status

if TYPE_CHECKING:
    from v2geq.plots.api import FeederPlots

ROUNDS = 40
"""Most linearisations of the losses."""
POLISH, SOLVED = 1e-12, 1e-11
"""Scaled residual that Newton's steps aim at, and with which a point is taken."""
STEPS = 6
"""Most of these steps."""
NO_LIMIT = 1e9
"""What stands for no limit of the substation, kW and kvar."""
SETTINGS: Mapping[str, Any] = {
    "vmin": 0.9,
    "vmax": 1.1,
    "root_voltage": 1.0,
    "regulators": True,
    "capacitors": "fixed",
    "import_max": NO_LIMIT,
    "reactive_min": -NO_LIMIT,
    "reactive_max": NO_LIMIT,
}
"""Settings of a bare feeder, which those of `FeederSettings` and `SubstationSettings` replace."""
PLANTS = TableSchema(
    "generators",
    GENERATORS.key,
    tuple(c for c in GENERATORS.columns if c.name not in ("lse", "cost")),
)


@dataclass(frozen=True, repr=False)
class OptimalPowerFlow:
    """An optimal power flow.

    Attributes
    ----------
    feeder : all buses and branches; grid : how power flows, bus by bus or by phases
    program : what was minimised; values : the point by block
    parts : prices and what they are made of; certificate : why to believe them
    rounds : linearisations of the losses; outages : branches out of service
    """

    feeder: Feeder
    grid: PowerFlow
    program: Program
    generators: pd.DataFrame
    values: Mapping[str, FloatArray]
    parts: PriceParts
    certificate: Verdict
    rounds: int
    outages: tuple[str, ...] = ()

    @property
    def dlmp(self) -> pd.Series[float]:
        """Price of one more kW of real load at constant kvar by bus, $/kWh."""
        return self.parts.price

    @property
    def dlmp_parts(self) -> pd.DataFrame:
        """Parts of prices by bus, $/kWh: energy, scarcity, loss, congestion, voltage, reactive."""
        return self.parts.table

    @property
    def congestion_parts(self) -> pd.DataFrame:
        """What every full line adds to the price, bus by line, $/kWh."""
        return self.parts.congestion

    @property
    def voltage_parts(self) -> pd.DataFrame:
        """What every bus at a voltage limit adds to the price, bus by limiting bus, $/kWh."""
        return self.parts.voltage

    def _table(self, *dims: str) -> pd.DataFrame:
        """Results of some dimensions by label."""
        found = [item for item in self.grid.results(self.values) if item.dims == dims]
        columns = {item.name.removesuffix("_by_phase"): item.values for item in found}
        if len(dims) > 1:
            labels = found[0].labels or ()
            return pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(labels, names=dims))
        net = self.grid.network
        names = net.buses if dims == ("bus",) else net.lines.names
        return pd.DataFrame(columns, index=pd.Index(names, name=dims[0]))

    @property
    def _phases(self) -> tuple[str, ...]:
        """What comes after bus and line in the labels of results."""
        return self.grid.places.dims[1:]

    @cached_property
    def buses(self) -> pd.DataFrame:
        """Voltage, net withdrawal, island and price by bus, by phases those of its load."""
        return self._table("bus").assign(dlmp=self.grid.places.load.T @ self.dlmp.to_numpy())

    @property
    def flows(self) -> pd.DataFrame:
        """Flow at the sending end and loading by line (and phase)."""
        return self._table("line", *self._phases)

    @property
    def voltage(self) -> pd.Series[float]:
        """Voltage by bus (and phase), pu."""
        return self._table("bus", *self._phases)["voltage_pu"]

    @property
    def generation(self) -> pd.Series[float]:
        """Output by generator, kW."""
        at = _outputs(self.program)
        made = self.values[at[0]] if at else np.zeros(0)
        return pd.Series(made, index=self.generators.index, name="generation_kw")

    @property
    def import_kw(self) -> float:
        """Bought from the TSO less what is sold to it, kW."""
        return self.grid.import_kw(self.values)

    @property
    def losses_kw(self) -> float:
        """Real power lost in lines, kW."""
        return float(self.grid.losses(self.values).sum())

    @property
    def cost(self) -> float:
        """What purchase and generation cost, $/h."""
        return -self.program.profit(self.values, {})

    @property
    def figures(self) -> dict[str, str]:
        """The main figures in words."""
        binding, idle = self.grid.binding(self.values), idle_sources(self.feeder)
        low, high = (int(f(self.dlmp.to_numpy())) for f in (np.argmin, np.argmax))
        lost = f"{self.losses_kw:,.1f} kW" if self.grid.has_losses else "left out"
        return {
            "cost": f"{self.cost:,.2f} {MONEY}/h",
            "from the TSO": f"{self.import_kw:,.1f} kW",
            "generation": f"{self.generation.sum():,.1f} kW",
            "losses": lost,
            "voltages": f"{self.voltage.min():.4f} to {self.voltage.max():.4f} pu",
            "DLMP": f"{self.dlmp.iloc[low]:.5f} ({_label(self.dlmp.index[low])}) to "
            f"{self.dlmp.iloc[high]:.5f} ({_label(self.dlmp.index[high])}) {MONEY}/kWh",
            "full lines": ", ".join(binding.lines) or "none",
            "at voltage limits": ", ".join((*binding.lowest, *binding.highest)) or "none",
            **({"note": "; ".join(idle)} if idle else {}),
        }

    @cached_property
    def plot(self) -> FeederPlots:
        """Figures of the feeder; ``r.plot.names()`` lists them."""
        from v2geq.plots.api import FeederPlots
        from v2geq.plots.feeder_view import FeederView

        load, net = self.feeder.loads["load_kw"], self.grid.network
        parts = self.parts.at_buses(self.grid.places.load, net.buses).table
        return FeederPlots(
            FeederView(
                title=self.feeder.name,
                feeder=self.feeder,
                network=net,
                buses=self.buses.join(parts.add_prefix("dlmp_")),
                loading=self._table("line")["loading"],
                binding=self.grid.binding(self.values),
                loaded=frozenset(load.index[load > 0.0]),
                outages=frozenset(self.outages),
                currency=MONEY,
            )
        )

    def save(self, folder: str | Path) -> None:
        """Write buses.csv (with prices and their parts), lines.csv, generators.csv.

        And what full lines and voltage limits add: congestion_parts.csv, voltage_parts.csv.
        """
        home = as_path(folder, "a folder")
        make_folder(home)
        plants = self.generators.assign(generation_kw=self.generation)
        tables = {
            "buses": self.buses.join(self.dlmp_parts) if not self._phases else self.buses,
            **({"dlmp": self.dlmp_parts.assign(dlmp=self.dlmp)} if self._phases else {}),
            "lines": self.flows,
            "generators": plants,
            "congestion_parts": self.congestion_parts,
            "voltage_parts": self.voltage_parts,
        }
        write_files({home / f"{name}.csv": t.to_csv().encode() for name, t in tables.items()})

    def __repr__(self) -> str:
        lost = f"{self.losses_kw:,.1f} kW lost" if self.grid.has_losses else "without losses"
        return (
            f"<OptimalPowerFlow: {self.import_kw:,.1f} kW from the TSO, {lost}, DLMP "
            f"{self.dlmp.min():.5f} to {self.dlmp.max():.5f} {MONEY}/kWh, certificate "
            f"{'holds' if self.certificate.holds else 'FAILS'}>"
        )

    def _repr_html_(self) -> str:
        why = "; ".join(self.certificate.failures)
        return card("optimal power flow", self.figures, note=why, good=self.certificate.holds)


def _outputs(program: Program) -> list[str]:
    """Block of the output of generators, if there are any."""
    return [v.key for v in program.variables if v.name == "generation"]


def _label(of: Any) -> str:
    """A bus, or bus and phase, in words: '35.a'."""
    return of if isinstance(of, str) else ".".join(of)


def read_generators(file: str | Path) -> pd.DataFrame:
    """Generators of a CSV file, for `optimal_power_flow`."""
    return read_table(as_path(file, "a file"), PLANTS)[0]


def optimal_power_flow(
    feeder: Any,
    price: float = 0.10,
    *,
    formulation: str = "single_phase",
    losses: bool = False,
    generators: pd.DataFrame | None = None,
    outages: Collection[str] = (),
    closed: Collection[str] = (),
    **settings: Any,
) -> OptimalPowerFlow:
    """Least-cost supply of a feeder's load and the price of power at every bus.

    Parameters
    ----------
    feeder
        Feeder, by phases or not, pandapower net, OpenDSS script, feeder folder or shipped feeder.
    price
        $/kWh of energy from the TSO.
    formulation
        "single_phase": all phases together; "three_phase": each conductor and its mutual
        impedances, for a feeder with phases; results are then by bus and phase.
    losses
        Exact branch-flow equations instead of flows without losses.
    generators
        Index generator; columns bus, max_kw, cost_linear ($/kWh), cost_quadratic ($/kW2h) and, if
        need be, min_kw, min_kvar, max_kvar.
    outages
        Branches that are open; closed: normally open ones that are closed.
    settings
        Of `FeederSettings` and `SubstationSettings` by name: vmin, vmax, root_voltage,
        line_rating, import_max, reactive_max, feed_in_price. `SETTINGS` are those of a bare feeder;
        of one by phases the root voltage is its own.

    Raises
    ------
    DataError
        A feeder or settings that cannot be used, limits that no dispatch keeps.
    ConvergenceError
        The solver or the losses find no solution.

    Examples
    --------
    >>> r = vg.optimal_power_flow("ieee123", losses=True)
    >>> r.dlmp, r.dlmp_parts, r.losses_kw
    """
    specs = setting_specs(FeederSettings)
    formulation = specs["formulation"].check(formulation, "optimal_power_flow")
    losses = specs["losses"].check(losses, "optimal_power_flow")
    outages, closed = _names("outages", outages), _names("closed", closed)
    found, given = _admitted(feeder, formulation)
    limits, substation = _settings({**SETTINGS, **given, **settings, "price": price})
    none: dict[str, list[Any]] = {c.name: [] for c in PLANTS.columns}
    plants = PLANTS.frame(none) if generators is None else PLANTS.admit(generators)
    for name, bus in plants["bus"].items():
        if bus not in found.buses.index:
            where = f"generators, {name}"
            raise unknown_name("generator at unknown bus", bus, found.buses.index, where)
    for word, named in (("outage of", outages), ("closed is", closed)):
        for branch in named:
            if not isinstance(branch, str) or branch not in found.branches.index:
                raise unknown_name(f"{word} unknown branch", branch, found.branches.index)
    check_switching(found, outages, closed, "the switching", f"feeder {found.name!r}")
    hour = ScenarioData(outages=outages, closed=closed)
    net = network_of(found, limits, substation, plants, plants["bus"], hour)
    net.check(f"feeder {found.name!r}")
    result = _solve(found, net, plants, formulation, losses)
    return dataclasses.replace(result, outages=outages)


def _admitted(given: Any, formulation: str) -> tuple[Feeder, dict[str, float]]:
    """The feeder that was given, checked, and settings that come with it."""
    if isinstance(given, (str, Path)):
        given = find_feeder(given)
    elif not isinstance(given, (Feeder, PhaseFeeder)):
        given = read_pandapower(given)
    if isinstance(given, PhaseFeeder):
        by_phase = admit_phases(given)
        return by_phase.single_phase(), {"root_voltage": by_phase.root_voltage}
    if formulation == "single_phase":
        given = dataclasses.replace(given, by_phase=None)
    feeder = admit_feeder(given)
    check_feeder(feeder)
    return feeder, {}


def _names(what: str, given: Any) -> tuple[Any, ...]:
    """Names of branches that were given."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise DataError(
            f"{what} = {quoted(given)} is no list of branches",
            where="optimal_power_flow",
            advice=f'write {what}=["l1"]',
        )
    return tuple(given)


def _settings(values: Mapping[str, Any]) -> tuple[FeederSettings, SubstationSettings]:
    """Checked settings of feeder and substation by name."""
    kinds = FeederSettings, SubstationSettings
    specs: dict[str, ValueSpec] = {k: s for cls in kinds for k, s in setting_specs(cls).items()}
    for name in values:
        if name not in specs:
            raise unknown_name("unknown setting", name, specs, "optimal_power_flow")
    checked = {name: specs[name].check(value, name) for name, value in values.items()}
    if not checked["vmin"] <= checked["vmax"]:
        raise DataError(f"vmin = {checked['vmin']:g} pu is above vmax = {checked['vmax']:g} pu")

    def of(cls: Any) -> dict[str, Any]:
        return {name: checked[name] for name in setting_specs(cls) if name in checked}

    return FeederSettings(**of(FeederSettings)), SubstationSettings(**of(SubstationSettings))


def _solve(
    feeder: Feeder, net: Network, plants: pd.DataFrame, formulation: str, losses: bool
) -> OptimalPowerFlow:
    """Solve at one linearisation after the other, until flows are their own AC state."""
    load = feeder.loads["load_kw"].reindex(list(net.buses)).fillna(0.0).to_numpy(dtype=float)
    power = float(load[load > 0].mean()) if (load > 0).any() else 1.0
    known = plants.loc[plants["cost_linear"] > 0.0, "cost_linear"]
    worth = max(min([p for p in (net.substation.price, *known) if p > 0.0], default=1.0), 1e-3)
    scales = FixedScales(power * worth, {"kW": power, "kvar": power})
    most = np.abs(load).sum() + np.minimum(plants["max_kw"], NO_LIMIT).sum()
    # twice as much as there is to carry is no limit
    reach = 2.0 * float(most + np.abs(net.reactive_kvar).sum())

    def problem(grid: PowerFlow) -> tuple[Program, MCP]:
        program = dispatch(scales, grid, load, plants, reach)
        return program, MCP([program], [])

    limits = dataclasses.replace(net.limits, formulation=formulation)
    net = dataclasses.replace(net, limits=limits)
    grid = formulated(net, feeder, power, worth).rated(2.0 * reach)
    program, mcp = problem(grid)
    start: FloatArray | None = None
    try:
        z = start = _point(feeder, grid.network, mcp, None)
    except DataError:
        if not losses:
            raise
        # losses may be what keeps the limits: they are first linearised without these
        grid = grid.within(unlimited(limits))
        program, mcp = problem(grid)
        z = _point(feeder, grid.network, mcp, None)
    rounds, moved = 0, np.inf
    while losses and moved > SETTLED_KW:
        if rounds == ROUNDS:
            raise ConvergenceError(
                f"feeder {feeder.name!r}: losses do not settle in {ROUNDS} rounds; flows still "
                f"move by {moved:.2g} kW"
            )
        rounds += 1
        grid = grid.linearised(mcp.split(z)).within(limits)
        program, mcp = problem(grid)
        z = start = _point(feeder, grid.network, mcp, start)
        moved = grid.moved(mcp.split(z))
    if losses:
        grid = grid.settled(mcp.split(z))
        program, mcp = problem(grid)
    values = mcp.split(z)
    parts = grid.dlmp_parts(values, mcp.split(reduced_costs(mcp, z)))
    checks = _certificate(grid, program, mcp, z, parts)
    return OptimalPowerFlow(feeder, grid, program, plants, values, parts, checks, rounds)


def _point(feeder: Feeder, net: Network, mcp: MCP, start: FloatArray | None) -> FloatArray:
    """Solution of the problem.

    Raises
    ------
    DataError
        Limits that no dispatch keeps, the nearest relaxation named.
    """
    if start is not None:
        z, residual = ActiveSetNewton(mcp, start).run(start, POLISH, STEPS)
        if residual <= SOLVED:
            return z
    result = automatic(mcp, start, Options(warm=start is not None))
    if result.status is Status.SOLVED and result.residual <= POLISH:
        return result.z
    if result.status is Status.SOLVED:
        return ActiveSetNewton(mcp, result.z).run(result.z, POLISH, STEPS)[0]
    (program,) = mcp.programs
    conflict = least_relaxation(mcp, [SOURCES, *_outputs(program)])
    if conflict.limits:
        told = conflict_in_words(mcp, conflict, partial(broken_limit, net))
        raise DataError(
            f"no dispatch keeps all limits; nearest: {told}",
            where=f"feeder {feeder.name!r}",
            advice="widen these limits, or add generators",
        )
    raise ConvergenceError(
        f"feeder {feeder.name!r}: {result.status.message}; scaled natural residual "
        f"{result.residual:.2e}, worst at {result.worst}"
    )


def _certificate(
    grid: PowerFlow, program: Program, mcp: MCP, z: FloatArray, parts: PriceParts
) -> Verdict:
    """Figures recomputed from the point."""
    values = mcp.split(z)
    residual = scaled_residual(mcp, z)
    worst = int(np.argmax(residual))
    cost = -program.profit(values, {})
    saved = could_gain(program, values, mcp.split(mcp.F(z)))
    broken = grid.violations(values)
    figures = [
        Figure("natural_residual", float(residual[worst]), 1e-8, "", mcp.describe(worst)),
        Figure("cost_gap", saved / max(abs(cost), 1e-9), 1e-6),
        Figure("voltage_violation_pu", broken.voltage_pu, 1e-6, "pu"),
        Figure("rating_violation_kva", broken.rating_kva, 1e-4, "kVA"),
        Figure("parts_gap", parts.gap, 1e-9, "$/kWh"),
    ]
    if grid.has_losses:
        kw, pu = grid.distance(values)
        figures += [Figure("ac_distance_kw", kw, 1e-3, "kW")]
        figures += [Figure("ac_distance_pu", pu, 1e-6, "pu")]
    return Verdict(tuple(figures))
