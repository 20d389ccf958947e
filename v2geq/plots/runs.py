"""The runs a figure shows: scenarios in the case's order, each without and with V2G."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from v2geq.errors import DataError
from v2geq.files import as_path
from v2geq.plots.style import STATES

if TYPE_CHECKING:
    from v2geq.results.point import Point

Key = tuple[str, bool]


def file_name(scenario: str, v2g: bool) -> str:
    """File of a run in the folder of its study, or of a variant of it."""
    return f"{scenario}_{'v2g' if v2g else 'no_v2g'}.nc"


def run_name(eq: Point) -> str:
    """Heading of a run: its scenario, and whether with V2G."""
    return f"{eq.scenario.name} {STATES[eq.scenario.v2g]}"


@dataclass(frozen=True)
class Runs:
    """Equilibria by scenario and V2G.

    Attributes
    ----------
    found : (scenario, v2g) -> equilibrium, in drawing order
    folder : where they were read from, for messages; empty for equilibria in memory
    """

    found: Mapping[Key, Point]
    folder: str = ""

    @property
    def scenarios(self) -> list[str]:
        """Scenarios with at least one run."""
        return list(dict.fromkeys(scenario for scenario, _ in self.found))

    @property
    def states(self) -> list[bool]:
        """Without and with V2G, as far as there are runs of either."""
        return sorted({v2g for _, v2g in self.found})

    @property
    def missing(self) -> list[Key]:
        """Runs that would complete the pairs of the scenarios of the case."""
        names = self.first.original.scenarios if self.folder else self.scenarios
        return [(s, v) for s in names for v in (False, True) if (s, v) not in self.found]

    @property
    def first(self) -> Point:
        """Any of the equilibria, for what they share."""
        return next(iter(self.found.values()))

    @property
    def currency(self) -> str:
        """That of all of them."""
        return self.first.scenario.case.currency

    def __iter__(self) -> Iterator[tuple[Key, Point]]:
        """Runs in drawing order."""
        return iter(self.found.items())

    def pairs(self) -> list[str]:
        """Scenarios with both runs.

        Raises
        ------
        DataError
            Where there is none.
        """
        both = [s for s in self.scenarios if {(s, False), (s, True)} <= set(self.found)]
        if not both:
            raise self.lacks(*[k for k in self.missing if k[0] in self.scenarios][:1])
        return both

    def get(self, scenario: str, v2g: bool) -> Point:
        """One run; DataError with the name of its file where it is missing."""
        if (scenario, v2g) not in self.found:
            raise self.lacks((scenario, v2g))
        return self.found[scenario, v2g]

    def lacks(self, *keys: Key) -> DataError:
        """Error that names the missing runs, by file if they come from a folder."""
        if self.folder:
            names = ", ".join(file_name(s, v) for s, v in keys)
            verb = "is" if len(keys) == 1 else "are"
            return DataError(
                f"{names} {verb} missing",
                where=self.folder,
                advice="solve the study again, or choose another figure",
            )
        names = " and ".join(f"{s!r} {'with' if v else 'without'} V2G" for s, v in keys)
        return DataError(f"this figure needs a run of {names}", advice="add it to the equilibria")


def as_runs(equilibria: Runs | Point | Sequence[Point]) -> Runs:
    """Equilibria in the order of the case's scenarios, each without V2G first.

    Raises
    ------
    DataError
        No equilibrium, two of the same run, or of different cases.
    """
    if isinstance(equilibria, Runs):
        return equilibria
    listed = list(equilibria) if isinstance(equilibria, Sequence) else [equilibria]
    if not listed:
        raise DataError("there is nothing to draw", advice="give at least one equilibrium")
    case = listed[0].original
    found: dict[Key, Point] = {}
    for eq in listed:
        key = (eq.scenario.name, eq.scenario.v2g)
        if eq.original.name != case.name:
            raise DataError(
                f"equilibria of different cases: {case.name!r} and {eq.original.name!r}",
                advice="draw each case by itself",
            )
        if eq.scenario.case.currency != listed[0].scenario.case.currency:
            raise DataError(
                f"equilibria in {listed[0].scenario.case.currency} and "
                f"{eq.scenario.case.currency}: their numbers do not compare",
                advice="draw each by itself",
            )
        if key in found:
            raise DataError(
                f"two equilibria of scenario {key[0]!r} {'with' if key[1] else 'without'} V2G",
                advice="give one for every scenario and V2G choice",
            )
        found[key] = eq
    order = list(case.scenarios)
    return Runs(dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))))


def load_runs(folder: str | Path) -> Runs:
    """Saved equilibria of a study; runs without a file are left out.

    Parameters
    ----------
    folder
        Where the study wrote its files; a variant has a folder of its own in it.

    Raises
    ------
    DataError
        No such folder, no run of the study in it, or a file that cannot be read.
    """
    from v2geq.results.point import Point
    from v2geq.results.store import load_point

    where = as_path(folder, "a folder")
    if not os.path.isdir(where):
        raise DataError(
            "no such folder", where=str(where), advice="give the folder a study wrote (--out)"
        )
    files = sorted(where.glob("*.nc"))
    if not files:
        raise DataError(
            "there is no saved equilibrium (*.nc)",
            where=str(where),
            advice="give the folder a study wrote (--out)",
        )
    first = load_point(files[0], Point)
    known = {file_name(s, v): (s, v) for s in first.original.scenarios for v in (False, True)}
    found = {
        key: first if where / name == files[0] else load_point(where / name, Point)
        for name, key in known.items()
        if (where / name).is_file()
    }
    if not found:
        raise DataError(
            f"holds no run of a study; {next(iter(known))} would be one",
            where=str(where),
            advice="files present: " + ", ".join(f.name for f in files[:6]),
        )
    for (scenario, v2g), eq in found.items():
        if (eq.scenario.name, eq.scenario.v2g) != (scenario, v2g):
            raise DataError(
                f"holds scenario {eq.scenario.name!r} {'with' if eq.scenario.v2g else 'without'} "
                "V2G, which its name does not say",
                where=str(where / file_name(scenario, v2g)),
                advice="name it after its run, or solve the study again",
            )
    return Runs(dict(as_runs(list(found.values())).found), str(where))
