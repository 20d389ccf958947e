"""`eq.plot`: the figures of one equilibrium, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from v2geq.errors import did_you_mean
from v2geq.plots.style import PAGE_MM
from v2geq.show import card

if TYPE_CHECKING:
    from v2geq.results.names import Ends
    from v2geq.results.point import Point


class Figures:
    """Methods that each draw one figure; a name that does not exist is told the closest ones."""

    def names(self) -> list[str]:
        """Names of the figures."""
        return [n for n in vars(type(self)) if not n.startswith("_") and n != "names"]

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


class Plots(Figures):
    """Figures of one equilibrium; every method returns a matplotlib `Figure`.

    `v2geq.plots.save(figure, path)` writes one as SVG and PNG. Widths are in mm.
    """

    def __init__(self, eq: Point) -> None:
        self._eq = eq

    def networks(self, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
        """Roads and feeder side by side with their stations, and the limits that bind.

        `color` of the feeder is 'dlmp', 'voltage' or 'loading'.
        """
        from v2geq.plots.networks import networks

        return networks(self._eq, color=color, width_mm=width_mm)

    def feeder(self, *, color: str = "dlmp", width_mm: float = PAGE_MM) -> Figure:
        """Feeder coloured by 'dlmp', 'voltage' or 'loading', with the limits that bind marked."""
        from v2geq.plots.feeder import feeder

        return feeder(self._eq, color=color, width_mm=width_mm)

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
