"""`eq.plot`: the figures of one equilibrium, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from v2geq.errors import DataError, did_you_mean
from v2geq.files import as_path
from v2geq.plots.style import PAGE_MM
from v2geq.progress import Told, shown
from v2geq.show import card

if TYPE_CHECKING:
    from v2geq.plots.feeder_view import FeederView
    from v2geq.results.names import Ends
    from v2geq.results.point import Point


class Figures:
    """Methods that each draw one figure; a name that does not exist is told the closest ones."""

    def names(self) -> list[str]:
        """Names of the figures."""
        own = (vars(c) for c in type(self).__mro__ if c is not Figures and issubclass(c, Figures))
        return [n for methods in own for n in methods if not n.startswith("_")]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Figure]:
            """Tell the closest names for one that does not exist."""
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(f"no figure {name!r}; {did_you_mean(name, self.names())}")

    def __repr__(self) -> str:
        return f"<figures: {', '.join(self.names())}>"

    def _repr_html_(self) -> str:
        lines = {n: (getattr(type(self), n).__doc__ or "").partition("\n")[0] for n in self.names()}
        return card("Figures", {f"{name}()": line for name, line in lines.items()})


def plot_equilibrium(
    file: str | Path,
    figures: Sequence[str] | None = None,
    *,
    out: str | Path | None = None,
    width_mm: float = PAGE_MM,
    progress: Told = None,
) -> list[Path]:
    """Draw figures of a saved equilibrium and save them as SVG and PNG; the files written.

    Parameters
    ----------
    file
        Where it was saved.
    figures
        Names, see `Plots`; by default all of them that can be drawn.
    out
        Folder for the figures, by default one beside the file with its name.
    progress
        As of `v2geq.solve`.

    Raises
    ------
    DataError
        An unknown name, files that cannot be read or written.
    """
    from v2geq.plots.style import save
    from v2geq.results.point import Point
    from v2geq.results.store import load_point

    path = as_path(file)
    target = path.with_suffix("") if out is None else as_path(out, "a folder")
    files: list[Path] = []
    with shown(progress, "reading the equilibrium") as show:
        plots = Plots(load_point(path, Point))
        names = plots.names() if figures is None else list(dict.fromkeys(figures))
        for name in names:
            if name not in plots.names():
                raise DataError(
                    f"there is no figure {name!r}", advice=did_you_mean(name, plots.names())
                )
        show.phase("drawing")
        for done, name in enumerate(names):
            show.count("figures", done, len(names))
            try:
                figure = getattr(plots, name)(width_mm=width_mm)
            except DataError as error:
                if figures is not None:
                    raise
                show.say(f"{name} left out: {error.problem}")
                continue
            files += save(figure, target / name)
            show.say(f"{name}: {(getattr(Plots, name).__doc__ or '').partition('.')[0]}")
    return files


class FeederPlots(Figures):
    """Figures of a feeder with results; every method returns a matplotlib `Figure`.

    `v2geq.plots.save(figure, path)` writes one as SVG and PNG. Widths are in mm.
    """

    _view: FeederView

    def __init__(self, view: FeederView) -> None:
        self._view = view

    def feeder(self, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
        """Feeder coloured by DLMP, voltage or loading, with the limits that bind marked.

        `color` is 'dlmp', 'voltage', 'loading', or a part of the DLMP as 'dlmp_congestion'.
        """
        from v2geq.plots.feeder import feeder

        return feeder(self._view, color=color, width_mm=width_mm)

    def price_stack(self, *, order: str = "distance", width_mm: float = PAGE_MM) -> Figure:
        """What the DLMP of every bus is made of, by 'distance' from its head or 'value'."""
        from v2geq.plots.price_stack import price_stack

        return price_stack(self._view, order=order, width_mm=width_mm)

    def part_maps(self, *, width_mm: float = PAGE_MM) -> Figure:
        """Maps of the DLMP and of every part of it."""
        from v2geq.plots.price_stack import part_maps

        return part_maps(self._view, width_mm=width_mm)


class Plots(FeederPlots):
    """Figures of one equilibrium; every method returns a matplotlib `Figure`.

    `v2geq.plots.save(figure, path)` writes one as SVG and PNG. Widths are in mm.
    """

    def __init__(self, eq: Point) -> None:
        self._eq = eq

    @cached_property
    def _view(self) -> FeederView:  # type: ignore[override]
        from v2geq.plots.feeder_view import feeder_view

        return feeder_view(self._eq)

    def networks(self, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
        """Roads and feeder side by side with their stations, and the limits that bind.

        `color` of the feeder is 'dlmp', 'voltage', 'loading', or a part as 'dlmp_congestion'.
        """
        from v2geq.plots.networks import networks

        return networks(self._eq, color=color, width_mm=width_mm)

    def roads(self, *, width_mm: float = 89.0) -> Figure:
        """Flow over capacity on the roads, energy of the stations as rings."""
        from v2geq.plots.roads import roads

        return roads(self._eq, width_mm=width_mm)

    def route(self, od: Ends | None = None, *, width_mm: float = 89.0) -> Figure:
        """Route with the most electric vehicles of an OD pair, and the battery along it.

        `od` is ``(1, 20)`` or ``"1-20"``; by default the pair with the most trips that discharge,
        then that charge, then the most trips.
        """
        from v2geq.plots.routes import route

        return route(self._eq, od, width_mm=width_mm)

    def supply(self, *, width_mm: float = 89.0) -> Figure:
        """Supply of the feeder and energy of the stations."""
        from v2geq.plots.supply import supply

        return supply(self._eq, width_mm=width_mm)

    def prices(self, *, order: str = "value", width_mm: float = 89.0) -> Figure:
        """Load that pays each DLMP, by 'value' or in 'feeder' order, and load not served."""
        from v2geq.plots.prices import prices

        return prices(self._eq, order=order, width_mm=width_mm)

    def convergence(self, *, width_mm: float = 89.0) -> Figure:
        """Residual by iteration and round of column generation."""
        from v2geq.plots.convergence import convergence

        return convergence(self._eq, width_mm=width_mm)

    def trip_costs(self, *, most: int = 40, width_mm: float = 89.0) -> Figure:
        """Cost of an electric trip by term, for the `most` OD pairs with the most trips."""
        from v2geq.plots.trip_costs import trip_costs

        return trip_costs(self._eq, most=most, width_mm=width_mm)
