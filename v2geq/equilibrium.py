"""Solve a scenario for its equilibrium; what users call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2geq.data.edit.case import Case
from v2geq.errors import ConvergenceError, DataError, V2GError, quoted
from v2geq.files import as_path
from v2geq.market.own import Player, set_up
from v2geq.market.solve import failure, solve_market
from v2geq.progress import Told, shown
from v2geq.results.latex import summary_latex
from v2geq.results.point import Point
from v2geq.results.sheets import write_sheets
from v2geq.results.store import load_point, write
from v2geq.results.summary import Summary, summarise
from v2geq.results.uniqueness import INTERVAL, UNKNOWN, where_used
from v2geq.show import LongList, card
from v2geq.solvers.protocol import Options, Status

if TYPE_CHECKING:
    import xarray as xr

    from v2geq.analysis.explain import Explanation
    from v2geq.plots.api import Plots
    from v2geq.results.ac import ACPowerFlow
    from v2geq.results.names import Ends, Name


def solve(
    case: Case,
    scenario: str | None = None,
    *,
    v2g: bool = True,
    method: str = "auto",
    parameters: Mapping[str, Any] | None = None,
    options: Options | Mapping[str, Any] | None = None,
    players: Sequence[Player] = (),
    start: Equilibrium | None = None,
    check: bool = True,
    uniqueness: bool = True,
    progress: Told = None,
) -> Equilibrium:
    """Equilibrium of one scenario.

    Parameters
    ----------
    case
        Data, from `load_case`.
    scenario
        Name of one of the case's scenarios; if left out, its only one or else 'base'.
    v2g
        Whether stations may buy energy from vehicles.
    method
        Solver, see `v2geq.solvers.METHODS`.
    parameters
        Parameters to change, by name, for example ``{"voll": 5.0}``.
    options
        Tolerance and limits of the solver and what it takes besides, by name, for example
        ``{"tolerance": 1e-9}``; see `v2geq.solvers.with_options`.
    players
        Players of your own: functions that take the scenario and return a `Program`.
    start
        Equilibrium of a neighbouring scenario or parameter set to start from.
    check
        Raise where the solver did not converge; otherwise return the best point met, whose
        `status` and certificate say so.
    uniqueness
        Whether `Equilibrium.uniqueness` belongs to the result, its notes and its file.
    progress
        Called with a line of text for every round. Otherwise a terminal or a notebook shows how far
        long work is; False silences it.

    Raises
    ------
    DataError
        Unknown names, data out of range, limits that no state of the market can keep.
    ConvergenceError
        With `check`, where the solver did not reach its tolerance.
    """
    if start is not None and not isinstance(start, Point):
        raise DataError(f"start = {quoted(start)} is no Point")
    with shown(progress, "setting up") as show:
        resolved, own = set_up(case, scenario, v2g=v2g, changes=parameters, players=players)
        solution, result = solve_market(
            resolved,
            method=method,
            options=options,
            own=own,
            start=None if start is None else (start.coupled, start.z),
            show=show,
        )
    if check and solution.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if check and not solution.status.ok:
        raise ConvergenceError(failure(solution.coupled, result))
    return Equilibrium(
        coupled=solution.coupled,
        z=solution.z,
        status=solution.status,
        log=LongList(solution.log),
        seconds=solution.seconds,
        rounds=solution.rounds,
        tells_uniqueness=bool(uniqueness),
        shows=progress is None or progress is True,
    )


def load(path: str | Path) -> Equilibrium:
    """Read a saved equilibrium and rebuild its problem; nothing is solved.

    Results in the file that do not follow from its strategies make the certificate fail.

    Raises
    ------
    DataError
        Where the file is missing, damaged, or does not fit the case it holds.
    """
    with shown(phase="reading an equilibrium"):
        return load_point(path, Equilibrium)


class Equilibrium(Point):
    """A point with its pictures, explanations and sensitivities; see `v2geq.results.point`."""

    @cached_property
    def summary(self) -> Summary:
        """The figures of one row of a study's table; see `v2geq.results.summary.FIGURES`.

        A dictionary that shows units and meanings.
        """
        return summarise(self)

    def save(self, path: str | Path) -> None:
        """Write a NetCDF file with case, strategies, paths and results, loss-free."""
        with self._shown("saving"):
            write(as_path(path), self)

    def to_tables(self, folder: str | Path, format: str = "csv") -> list[Path]:
        """Write every result as tables to a new or empty folder; return the files.

        One row per bus, station, arc, path, account and so on, units in the headings; `columns` has
        unit and meaning of every column.

        Parameters
        ----------
        folder
            Made if need be.
        format
            'csv', or 'parquet' (extra `parquet`).
        """
        return write_sheets(self, folder, format)

    def to_latex(self, *others: Equilibrium, names: Sequence[str] | None = None) -> str:
        """Write the summary as a LaTeX table (package booktabs), with others beside it.

        Parameters
        ----------
        names
            Headings, by default scenario, with or without V2G.
        """
        return summary_latex([eq.summary for eq in (self, *others)], self.summary.figures, names)

    @cached_property
    def plot(self) -> Plots:
        """Figures of this equilibrium; ``eq.plot.names()`` lists them."""
        from v2geq.plots.api import Plots

        return Plots(self)

    def explain(
        self,
        *,
        od: Ends | None = None,
        bus: Name | None = None,
        station: Name | None = None,
        line: Ends | int | None = None,
    ) -> Explanation:
        """Why a trip costs what it costs, or why a price is what it is; text and table.

        Parameters
        ----------
        od
            Origin and destination, for example ``(1, 20)`` or ``"1-20"``.
        bus
            A bus, for example ``"76"``: its DLMP.
        station
            A station: what it pays and asks for, its limits and its queue.
        line
            A line by name or by its two buses: what its rating adds to which DLMPs.
        """
        from v2geq.analysis.explain import explain

        return explain(self, od=od, bus=bus, station=station, line=line)

    def power_flow(
        self,
        *,
        engine: str = "opendss",
        script: str | Path | None = None,
        controls: bool = False,
    ) -> ACPowerFlow:
        """AC power flow of this equilibrium's own injections beside what it says of them.

        By phases where the feeder has them: load that is served is shared by phases and connected
        as the loads by phases say; generators and stations have the phases they name, or share
        evenly those of their bus, as everything else. Reactive sources and capacitors supply what
        they do here. The reference bus of an island holds its voltage and closes its balance.

        Parameters
        ----------
        engine
            'opendss' (extra `power`), or 'sweep', this package's own.
        script
            Script of OpenDSS to solve instead of a circuit of the feeder's tables: its loads and
            supplies are replaced, its lines, taps and capacitors stay.
        controls
            Let the script's controls of regulators and capacitors act.

        Raises
        ------
        DataError
            The extra is not installed; a feeder without phases, or whose phases say something else
            than its single-phase figures; a script that does not fit.
        ConvergenceError
            There is no AC state: more is drawn than the feeder can carry.
        """
        from v2geq.results.ac import ac_power_flow

        with self._shown("AC power flow"):
            return ac_power_flow(
                self.coupled,
                self.values,
                self.data,
                engine=engine,
                script=script,
                controls=controls,
            )

    @cached_property
    def ac_line(self) -> str:
        """The AC power flow by the own sweep in a line: voltages, losses, limits it breaks."""
        from v2geq.results.ac import ac_line

        if not self.status.ok:
            return f"none: the solver's status is {self.status}"
        try:
            return ac_line(self.coupled, self.values, self.data)
        except V2GError as error:
            return f"none: {error}"

    def equations(self) -> str:
        """Markdown page of the equations solved, with those of your own players."""
        from v2geq.analysis.equations import equations_page

        return equations_page(self.coupled)

    def sensitivity(self, *, of: str, to: str) -> xr.DataArray:
        """Derivative of result `of` with respect to parameter or column `to`.

        By implicit differentiation on the active set, for example
        ``eq.sensitivity(of="dlmp", to="load_kw")``; see `v2geq.analysis.sensitivity`.
        """
        from v2geq.analysis.sensitivity import sensitivity

        return sensitivity(self, of=of, to=to)

    @property
    def _several(self) -> str:
        """Words after the prices of energy on the card: whether they are the only ones."""
        if not self.tells_uniqueness or self.uniqueness.empty:
            return ""
        found = set(where_used(self.coupled, self.uniqueness)["status"])
        if INTERVAL in found:
            return ", not unique"
        return ", perhaps not unique" if UNKNOWN in found else ", unique"

    @property
    def _dearest(self) -> str:
        """The bus of the highest DLMP and the parts that show in it."""
        parts = self.dlmp_parts
        bus = parts.sum(axis=1).idxmax()
        shown = {name: f"{part:z.4f}" for name, part in parts.T[bus].items()}
        told = (f"{name} {part}" for name, part in shown.items() if float(part))
        return f"at bus {bus}: {', '.join(told)} {self.scenario.case.currency}/kWh"

    @property
    def _apart(self) -> dict[str, str]:
        """What the card says of islands, where there are any."""
        apart = [
            f"{row['reference']}: {row['served_kw']:.0f} of {row['load_kw']:.0f} kW served"
            for _, row in self.islands.iloc[1:].iterrows()
        ]
        return {"islands": "; ".join(apart)} if apart else {}

    def _repr_html_(self) -> str:
        figures = self.summary
        unit = {name: figure.unit for name, figure in figures.figures.items()}
        rows = {
            "status": f"{self.status}, {self.effort}",
            "DLMP": f"{figures['dlmp_min']:.4g} to {figures['dlmp_max']:.4g} "
            f"{unit['dlmp_max']}{self._several}",
            "highest DLMP": self._dearest,
            "load shed": f"{figures['load_shed_kw']:.1f} {unit['load_shed_kw']}",
            "generation, import": f"{figures['generation_kw']:.0f}, "
            f"{figures['tso_import_kw']:.0f} {unit['tso_import_kw']}",
            "charge, discharge": f"{figures['charge_kw']:.0f}, {figures['discharge_kw']:.0f} "
            f"{unit['discharge_kw']}",
            **self._apart,
            "visits, discharges": f"{figures['station_visit_share']:.1%}, "
            f"{figures['discharge_share']:.1%} {unit['discharge_share']}",
            "social cost": f"{figures['social_cost']:,.2f} {unit['social_cost']}",
            "AC": self.ac_line,
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
