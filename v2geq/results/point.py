"""A point of a market and all that follows from it: results, accounts, certificate, summary."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from v2geq.arrays import FloatArray
from v2geq.certificates.market import Certificate, certify
from v2geq.data.edit.case import Case
from v2geq.data.provenance import Provenance, provenance
from v2geq.data.readers.document import fingerprint
from v2geq.errors import DataError, did_you_mean
from v2geq.grid.dlmp import PriceParts
from v2geq.market.accounts import Accounts
from v2geq.market.coupling import Coupled
from v2geq.market.prices import dlmp_parts
from v2geq.progress import Reporter, shown
from v2geq.results.islands import islands
from v2geq.results.path_flows import PathFlows, path_flows
from v2geq.results.tables import path_table, tables
from v2geq.results.uniqueness import notes_on
from v2geq.results.uniqueness import uniqueness as uniqueness_table
from v2geq.results.warnings import warnings_of
from v2geq.scenario import Scenario
from v2geq.show import ByName
from v2geq.solvers.protocol import Iteration, Status

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Point:
    """A point, its labelled results and its certificate.

    Attributes
    ----------
    coupled : players and the joint problem
    z : strategies and multipliers, in the problem's order
    status : how the solver ended
    log : the solver's iterations; seconds : build, solve; rounds : of column generation
    edited : what a file states that does not follow from its strategies
    tells_uniqueness : whether `uniqueness` was asked for
    shows : whether long work on what is asked for later is shown
    """

    coupled: Coupled
    z: FloatArray
    status: Status
    log: list[Iteration] = field(repr=False)
    seconds: dict[str, float]
    rounds: int = 1
    edited: tuple[str, ...] = ()
    tells_uniqueness: bool = True
    shows: bool = field(default=True, repr=False)

    @property
    def scenario(self) -> Scenario:
        """The resolved scenario."""
        return self.coupled.scenario

    @cached_property
    def case(self) -> Case:
        """The case with the changes of the scenario and of `parameters` applied."""
        return Case.of(self.scenario.case)

    @cached_property
    def original(self) -> Case:
        """The case as it was given."""
        return Case.of(self.scenario.given)

    @property
    def effort(self) -> str:
        """Iterations, rounds of column generation and paths in the problem, as text."""
        paths = sum(len(p) for p in self.coupled.traffic.paths.values())
        rounds = f"{self.rounds} round{'s' if self.rounds > 1 else ''}"
        return f"{len(self.log)} iterations in {rounds} of column generation, {paths:,} paths"

    def _shown(self, phase: str) -> AbstractContextManager[Reporter]:
        return shown(None if self.shows else False, phase)

    @cached_property
    def values(self) -> dict[str, FloatArray]:
        """Strategies, multipliers and prices by block name."""
        return ByName(self.coupled.mcp.split(self.z))

    @cached_property
    def data(self) -> xr.Dataset:
        """All labelled results; see `v2geq.results.tables.tables`."""
        with self._shown("tables of results"):
            return tables(self.coupled, self.values)

    @cached_property
    def _parts(self) -> PriceParts:
        """What DLMPs are made of, by energised bus."""
        parts = dlmp_parts(self.coupled, self.z)
        return parts.at_buses(self.coupled.grid.places.load, self.scenario.buses)

    @property
    def dlmp_parts(self) -> pd.DataFrame:
        """Parts of the DLMP by bus, $/kWh: energy, scarcity, loss, congestion, voltage, reactive.

        Energy is the LSEs' price, scarcity what power is worth more in an island.
        """
        return self._by_bus(self._parts.table)

    @property
    def congestion_parts(self) -> pd.DataFrame:
        """What every full line adds to the DLMP, bus by line, $/kWh."""
        return self._by_bus(self._parts.congestion)

    @property
    def voltage_parts(self) -> pd.DataFrame:
        """What every bus at a voltage limit adds to the DLMP, bus by limiting bus, $/kWh."""
        return self._by_bus(self._parts.voltage)

    def _by_bus(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of all buses; those without supply have NaN."""
        return table.reindex(self.data.indexes["bus"])

    @cached_property
    def islands(self) -> pd.DataFrame:
        """Parts of the feeder: load, supply by kind, scarcity; units in `islands.COLUMNS`.

        Index island, 0 the substation's; columns reference (bus), buses, load_kw, served_kw,
        charge_kw, losses_kw, generation_kw, stations_kw, own_kw, import_kw, load_kvar,
        supply_kvar, import_kvar, fee ($/kWh, at the reference).
        """
        return islands(self.coupled, self.data, self.values)

    def __getattr__(self, name: str) -> Any:
        """Results by name: ``eq.dlmp`` is ``eq.data["dlmp"]``."""
        if hasattr(type(self), name):
            # a property failed; its own error says why
            return object.__getattribute__(self, name)
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.data.variables:
            return self.data[name]
        known = [str(k) for k in self.data.variables]
        raise AttributeError(f"no result {name!r}; {did_you_mean(name, known)}")

    @cached_property
    def _judged(self) -> tuple[Certificate, Accounts]:
        with self._shown("certifying"):
            certificate, book = certify(self.coupled, self.z)
        extra = list(self.edited)
        if not self.status.ok:
            extra.append(f"the solver's status is {self.status}")
        case = f"{self.original.name}, contents {fingerprint(self.original)}"
        if self.coupled.own.programs:
            names = ", ".join(program.player for program in self.coupled.own.programs)
            case += f", with players {names}"
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
        with self._shown("which prices are unique"):
            table = uniqueness_table(self.coupled, self.values)
        return table if self.certificate.holds else table.iloc[:0]

    @cached_property
    def full_uniqueness(self) -> pd.DataFrame:
        """As `uniqueness`, of all results; takes some seconds, tens where load is shed."""
        with self._shown("which results are unique"):
            table = uniqueness_table(self.coupled, self.values, full=True)
        return table if self.certificate.holds else table.iloc[:0]

    @cached_property
    def path_flows(self) -> PathFlows:
        """Ranges of what depends on the choice of path flows."""
        with self._shown("ranges of path flows"):
            return path_flows(self.coupled, self.values)

    def paths(self, name: str) -> pd.DataFrame:
        """Paths of driver class `name` with flow, cost, time and energy.

        The problem's own, and every other that is as cheap.
        """
        classes = self.coupled.traffic.classes
        if name not in classes:
            raise DataError(f"no driver class {name!r}", advice=did_you_mean(name, classes))
        flows = self.path_flows
        table = path_table(flows.coupled.traffic, flows.values, name)
        table["flow_least_squares_veh_h"] = flows.least_squares[name]
        return table

    @property
    def own_players(self) -> pd.DataFrame:
        """What the user's players decide, and prices of their markets.

        Index levels result and label; columns value, unit, meaning.
        """
        import pandas as pd

        own = self.coupled.own
        names = [v.key for p in own.programs for v in p.variables] + [m.name for m in own.markets]
        rows: dict[tuple[str, Any], tuple[float, str, str]] = {}
        for name in names:
            result = self.data[name]
            told = result.attrs["unit"], result.attrs["long_name"]
            by_label = result.to_series().dropna() if result.dims else {"": result}
            rows |= {(name, label): (float(value), *told) for label, value in by_label.items()}
        index = pd.MultiIndex.from_tuples(list(rows), names=["result", "label"]) if rows else None
        columns = ["value", "unit", "meaning"]
        return pd.DataFrame(list(rows.values()), index=index, columns=columns)

    @property
    def convergence(self) -> pd.DataFrame:
        """The solver's log: round of column generation, number in it, phase, residual, seconds."""
        import pandas as pd

        log = pd.DataFrame([asdict(entry) for entry in self.log])
        # every solve counts its iterations anew
        log.insert(0, "round", (log["number"].diff().fillna(0) <= 0).cumsum())
        return log

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader should know before using the figures."""
        out = warnings_of(self.coupled, self.data, self.values)
        return [*out, *notes_on(self.coupled, self.uniqueness)] if self.tells_uniqueness else out
