"""Figures 5 to 10 of the paper, of any study, drawn from the files it saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from v2geq.errors import DataError
from v2geq.files import as_path
from v2geq.paper.facts import FOCUS
from v2geq.plots.prices import prices
from v2geq.plots.routes import electric_pairs, routes
from v2geq.plots.runs import Runs, load_runs
from v2geq.plots.social_cost import social_cost
from v2geq.plots.station_use import station_use
from v2geq.plots.style import PAGE_MM, save
from v2geq.plots.supply import supply
from v2geq.plots.trip_costs import trip_costs
from v2geq.progress import Told, shown


def _routes(runs: Runs, **options: Any) -> Figure:
    """Routes of the paper's OD pair in stress; of what `routes` takes where a study has neither."""
    if "stress" in runs.first.original.scenarios:
        options = {"scenario": "stress", **options}
    if FOCUS in electric_pairs(runs.first):
        options = {"od": FOCUS, **options}
    return routes(runs, **options)


FIGURES: dict[int, tuple[Callable[..., Figure], str]] = {
    5: (supply, "supply and station energy"),
    6: (prices, "DLMPs and load not served"),
    7: (station_use, "station use, energy per stop, dwell time, discharging OD pairs"),
    8: (trip_costs, "cost of a trip by term"),
    9: (_routes, "routes without and with V2G, and the battery"),
    10: (social_cost, "change of the social cost by term"),
}
"""Number -> function that draws it from runs, and what it shows."""


def draw(runs: Runs, figure: int, **options: Any) -> Figure:
    """Figure by number.

    Raises
    ------
    DataError
        An unknown number, or a run the figure cannot do without.
    """
    _check([figure])
    return FIGURES[figure][0](runs, **options)


def plot_study(
    folder: str | Path,
    figures: Iterable[int] | None = None,
    *,
    out: str | Path | None = None,
    width_mm: float = PAGE_MM,
    progress: Told = None,
) -> list[Path]:
    """Draw figures of a finished study and save them as SVG and PNG.

    Parameters
    ----------
    folder
        Where the study wrote its files; a variant has a folder of its own in it.
    figures
        Numbers, see `FIGURES`; by default all of them, less those that need runs which are missing.
    out
        Folder for the figures, by default `folder`/figures.
    progress
        Called with a line of text for every figure, and for what is left out. Otherwise a terminal
        or a notebook shows how far long work is; False silences it.

    Returns
    -------
    The files written.

    Raises
    ------
    DataError
        An unknown number, files that cannot be read or written, a figure asked for by number that
        needs a missing run, or none that can be drawn.
    """
    folder = as_path(folder, "a folder")
    wanted = list(FIGURES) if figures is None else list(dict.fromkeys(figures))
    _check(wanted)
    target = folder / "figures" if out is None else as_path(out, "a folder")
    files: list[Path] = []
    refused: list[DataError] = []
    with shown(progress, "reading the runs") as show:
        runs = load_runs(folder)
        if runs.missing:
            show.say(f"runs left out: {runs.lacks(*runs.missing).problem}")
        show.phase("drawing")
        for done, k in enumerate(wanted):
            show.count("figures", done, len(wanted))
            try:
                figure = draw(runs, k, width_mm=width_mm)
            except DataError as error:
                if figures is not None:
                    raise
                refused.append(error)
                show.say(f"figure {k} left out: {error.problem}")
                continue
            files += save(figure, target / f"figure_{k}")
            show.say(f"figure {k}: {FIGURES[k][1]}")
    if not files and refused:
        raise refused[0]
    return files


def _check(numbers: Iterable[int]) -> None:
    for k in numbers:
        if k not in FIGURES:
            raise DataError(
                f"there is no figure {k}",
                advice="figures: " + ", ".join(f"{n} ({text})" for n, (_, text) in FIGURES.items()),
            )
