"""What a study is to solve: its file, its case and its runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from v2geq.data.edit.case import Case, load_case
from v2geq.data.parameters.form import flatten
from v2geq.data.parameters.targets import find_target
from v2geq.data.readers.folders import available_cases, discreet, networks_folder
from v2geq.data.readers.toml import TomlTable, read_toml
from v2geq.data.trips import spread_trips
from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.paper.facts import ARXIV, PAPER_FIGURES
from v2geq.results.summary import FIGURES, SummaryFigure, priced
from v2geq.show import card

DEFAULT_STUDY = "ieee123_sioux_falls"
PAPERS = (ARXIV,)
"""Papers whose own figures and claims a study may ask for."""

_NOT_IN_NAMES = '/\\:*?"<>|'


@dataclass(frozen=True)
class Run:
    """One equilibrium of a study; `place` is where its changes are stated, for messages."""

    scenario: str
    v2g: bool
    variant: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    @property
    def name(self) -> str:
        """File of the run without its ending; a variant has a folder of its own."""
        word = f"{self.scenario}_{'v2g' if self.v2g else 'no_v2g'}"
        return f"{self.variant}/{word}" if self.variant else word


@dataclass(frozen=True)
class Study:
    """A case and the runs to make of it; `paper` is whose claims are judged, empty for none."""

    case: Case
    runs: tuple[Run, ...]
    paper: str = ""

    def __repr__(self) -> str:
        return f"<Study of {self.case.name}: {len(self.runs)} runs>"

    def _repr_html_(self) -> str:
        rows = {
            run.name: ", ".join(f"{k} = {v}" for k, v in run.changes.items()) for run in self.runs
        }
        return card(f"study of {self.case.name}", rows)

    @property
    def figures(self) -> Mapping[str, SummaryFigure]:
        """Columns of its tables of runs, by name."""
        return priced(PAPER_FIGURES if self.paper else FIGURES, self.case.currency)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, the plain runs first as the empty name."""
        return tuple(dict.fromkeys(r.variant for r in self.runs))


def read_study(path: str | Path | None = None) -> Study:
    """Study of a TOML file, a folder with study.toml, or a shipped case; default the shipped one.

    Raises
    ------
    DataError
        Missing files, unknown keys or names, runs that share a name.
    """
    path = DEFAULT_STUDY if path is None else path
    if isinstance(path, str) and path in available_cases():
        path = networks_folder() / path
    if not isinstance(path, (str, Path)):
        raise DataError(f"{quoted(path)} is not the path of a study")
    file = Path(path)
    if os.path.isdir(file):
        file = file / "study.toml"
    if not os.path.isfile(file):
        raise DataError(
            f"no study file {quoted(str(path))}",
            advice="give a study.toml, a folder that holds one, or a shipped case: "
            + ", ".join(available_cases()),
        )
    with discreet(file, [file.parent]):
        return _read_study(file)


def _read_study(file: Path) -> Study:
    top = read_toml(file)
    table = top.table("study")
    top.finish()
    case = _case(table, file.parent)
    scenarios = table.texts("scenarios", list(case.scenarios))
    choices = table.booleans("v2g", [False, True])
    for name in scenarios:
        if name not in case.scenarios:
            raise table.error(
                f"the case has no scenario {name!r}",
                key="scenarios",
                advice=did_you_mean(name, case.scenarios),
            )
    paper = table.text("paper", "")
    if paper and paper not in PAPERS:
        raise table.error(
            f"no paper {quoted(paper)}", key="paper", advice=did_you_mean(paper, PAPERS)
        )
    runs = [Run(scenario, v2g) for scenario in scenarios for v2g in choices]
    for variant in table.tables("variant"):
        name, changes = _variant(case, variant)
        place = variant.where("set")
        runs += [
            Run(scenario, v2g, name, changes, place) for scenario in scenarios for v2g in choices
        ]
    table.finish()
    names = [r.name for r in runs]
    # some file systems take names that differ in case alone for one
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise table.error(
                f"two runs are called {name!r}",
                advice="name every scenario and v2g choice once, and every variant differently",
            )
    if not runs:
        raise table.error("the study has no runs", advice="list scenarios and v2g choices")
    return Study(case, tuple(runs), paper)


def over_all_pairs(study: Study) -> Study:
    """The study with the trips of all electric classes spread over all OD pairs of the road.

    Raises
    ------
    DataError
        If the road has no trip table, or there is no electric class.
    """
    spread = spread_trips(study.case)
    runs = tuple(replace(run, changes={**spread, **run.changes}) for run in study.runs)
    return replace(study, runs=runs)


def _case(table: TomlTable, folder: Path) -> Case:
    """Case named in a study: a path from the study file, or a shipped one."""
    named = table.text("case", ".")
    if os.path.exists(folder / named):
        return load_case(folder / named)
    if named in available_cases():
        return load_case(named)
    raise table.error(
        f"no case {quoted(named)}",
        key="case",
        advice="give a path relative to the study file, or a shipped case: "
        + ", ".join(available_cases()),
    )


def _variant(case: Case, table: TomlTable) -> tuple[str, dict[str, Any]]:
    """Name and changes of a variant; the names of the parameters are checked, not the values.

    A value that does not work makes its own runs fail, a name that does not exist is a mistake in
    the file.
    """
    name, changes = table.text("name"), flatten(table.mapping("set"))
    table.finish()
    bad = not name.strip(" .") or not name.isprintable()
    if bad or any(c in _NOT_IN_NAMES for c in name):
        raise table.error(
            f"variant name {quoted(name)} cannot be the name of a folder",
            key="name",
            advice=f"use letters, digits, '_' and '-', and none of {_NOT_IN_NAMES}",
        )
    for parameter in changes:
        find_target(case, parameter, table.where("set"))
    return name, changes
