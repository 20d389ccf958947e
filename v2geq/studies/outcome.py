"""One run of a study: solved, certified, saved, or why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from v2geq.data.parameters.change import with_parameters
from v2geq.errors import ConvergenceError, DataError, one_line
from v2geq.files import check_writable
from v2geq.paper.facts import PAPER_FIGURES, facts
from v2geq.results.summary import priced, with_units
from v2geq.show import MONEY, card
from v2geq.studies.plan import Run, Study


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its row, or why there is none.

    `social_cost` is by term ($/h), `facts` feed the claims of the paper a study asks for, and
    `several` are rows on prices that are not unique.
    """

    run: Run
    row: Mapping[str, Any]
    problem: str = ""
    warnings: tuple[str, ...] = ()
    social_cost: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    several: Sequence[Mapping[str, Any]] = ()
    currency: str = MONEY

    def __repr__(self) -> str:
        return f"<Outcome of {self.run.name}: {one_line(self.problem or 'certified', 200)}>"

    def _repr_html_(self) -> str:
        rows = with_units(self.row, priced(PAPER_FIGURES, self.currency))
        return card(f"run {self.run.name}", rows, note=self.problem, good=self.ok)

    @property
    def ok(self) -> bool:
        """Solved, with a certificate that holds."""
        return not self.problem


def solve_run(study: Study, run: Run, out: str) -> Outcome:
    """Solve one run, certify it and save it; a failure becomes part of the outcome."""
    try:
        return _solve_run(study, run, Path(out) / f"{run.name}.nc")
    except ConvergenceError as error:
        return failed(run, "not_converged", str(error))
    except DataError as error:
        return failed(run, "bad_input", str(error.at(study.case.where)))


def _solve_run(study: Study, run: Run, path: Path) -> Outcome:
    from v2geq.equilibrium import solve

    try:
        check_writable(path)
    except DataError as error:
        return failed(run, "not_saved", str(error))
    if run.changes:
        try:
            with_parameters(study.case, run.changes)
        except DataError as error:
            raise DataError(str(error), where=run.place) from None
    eq = solve(study.case, run.scenario, v2g=run.v2g, parameters=run.changes)
    problems = list(eq.certificate.failures)
    row = {name: figure.of(eq) for name, figure in study.figures.items()}
    if problems:
        row["status"] = "uncertified"
    try:
        eq.save(path)
    except DataError as error:
        row["status"] = "not_saved"
        problems.append(f"solved but not saved: {error}")
    several = eq.uniqueness[eq.uniqueness["status"] != "unique"]
    return Outcome(
        run,
        row,
        "; ".join(problems),
        tuple(eq.warnings),
        {str(term): float(cost) for term, cost in eq.accounts.social_cost.items()},
        facts(eq) if study.paper else {},
        [
            {"run": run.name, **dict(zip(several.columns, price, strict=True))}
            for price in several.itertuples(index=False)
        ],
        study.case.currency,
    )


def failed(run: Run, status: str, problem: str) -> Outcome:
    """Outcome of a run without an equilibrium."""
    return Outcome(run, {"scenario": run.scenario, "v2g": run.v2g, "status": status}, problem)
