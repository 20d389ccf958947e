"""The figures of a summary: what they are called, mean, are measured in, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.show import MONEY, card, money

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.arrays import FloatArray
    from v2geq.results.point import Point


@dataclass(frozen=True)
class SummaryFigure:
    """A figure of a summary.

    Attributes
    ----------
    name : in `Equilibrium.summary` and in the tables of studies
    meaning : what it is, in words
    of : finds it in the results of a point
    unit : empty for a pure number or a text
    heading : two short lines over its column on the screen; empty for no column there
    format : in that column
    evidence : whether it tells of the solution and not of the market; such columns come last
    """

    name: str
    meaning: str
    of: Callable[[Point], Any]
    unit: str = ""
    heading: tuple[str, str] | None = None
    format: str = "{}"
    evidence: bool = False


def _power(name: str, meaning: str, heading: str, result: str = "") -> SummaryFigure:
    """Sum of a result over its places."""

    def total(eq: Point) -> float:
        return float(eq.data[result or name].sum())

    return SummaryFigure(name, meaning, total, "kW", (heading, "kW"), "{:.0f}")


def _dlmp(eq: Point) -> FloatArray:
    """DLMPs of the buses with load; not a number where there is none."""
    loaded = [eq.scenario.buses[i] for i in eq.scenario.load_buses]
    return eq.data["dlmp"].sel(bus=loaded).to_numpy() if loaded else np.array([np.nan])


def _dwell(eq: Point) -> float:
    # stops times wait by direction where queues are apart: the same, as wait_h is their mean
    dwell = float((eq.data["stops_veh_h"] * eq.data["wait_h"]).sum())
    flows = eq.path_flows
    traffic = flows.coupled.traffic
    plug = (traffic.plug_hours(k) @ flows.least_squares[k] for k in traffic.electric)
    return sum(map(float, plug), dwell)


_FIGURES = (
    # the run
    SummaryFigure("scenario", "scenario of the case", lambda eq: eq.scenario.name),
    SummaryFigure("v2g", "whether stations buy from vehicles", lambda eq: eq.scenario.v2g),
    SummaryFigure(
        "status",
        "'solved', or how the solver gave up",
        lambda eq: str(eq.status),
        heading=("", "status"),
    ),
    # evidence
    SummaryFigure(
        "natural_residual",
        "scaled natural residual of the joint problem",
        lambda eq: eq.certificate.natural_residual,
        heading=("residual", ""),
        format="{:.0e}",
        evidence=True,
    ),
    SummaryFigure(
        "wardrop_gap",
        "what drivers pay above their cheapest paths, as a share of the cost of their time",
        lambda eq: eq.certificate.wardrop_gap,
        evidence=True,
    ),
    # the feeder
    _power("load_shed_kw", "firm load not served", "shed", "shed_kw"),
    SummaryFigure(
        "dlmp_min", "lowest DLMP of a bus with load", lambda eq: float(_dlmp(eq).min()), "$/kWh"
    ),
    SummaryFigure(
        "dlmp_max",
        "highest DLMP of a bus with load",
        lambda eq: float(_dlmp(eq).max()),
        "$/kWh",
        ("top DLMP", "$/kWh"),
        "{:.4g}",
    ),
    _power("generation_kw", "local generation", "generation"),
    _power("tso_import_kw", "purchase from the transmission operator", "import"),
    # the stations
    _power("charge_kw", "power sold to vehicles", "charge"),
    _power("discharge_kw", "power bought from vehicles", "discharge"),
    SummaryFigure(
        "station_visit_share",
        "electric trips that stop at a station, least-squares path flow",
        lambda eq: eq.path_flows.visit_share.value,
        "of electric trips",
        ("visits", "%"),
        "{:.1%}",
    ),
    SummaryFigure(
        "discharge_share",
        "electric trips that discharge, least-squares path flow",
        lambda eq: eq.path_flows.discharge_share.value,
        "of electric trips",
        ("discharge", "% trips"),
        "{:.1%}",
    ),
    SummaryFigure(
        "dwell_h",
        "time of electric vehicles in queues and at plugs",
        _dwell,
        "vehicle-hours per hour",
        ("dwell", "h/h"),
        "{:.1f}",
    ),
    SummaryFigure(
        "discharge_od_pairs",
        "OD pairs that discharge, least-squares path flow",
        lambda eq: eq.path_flows.discharge_od_pairs.value,
    ),
    # all together
    SummaryFigure(
        "social_cost",
        "cost to all together, payments between them left out",
        lambda eq: float(eq.accounts.social_cost.sum()),
        "$/h",
    ),
    SummaryFigure(
        "build_seconds", "time to set the problem up", lambda eq: eq.seconds["build"], "s"
    ),
    SummaryFigure("solve_seconds", "time to solve it", lambda eq: eq.seconds["solve"], "s"),
)

FIGURES: Mapping[str, SummaryFigure] = {f.name: f for f in _FIGURES}
"""The figures of every summary, by name, in the order of its row."""


def priced(figures: Mapping[str, SummaryFigure], currency: str) -> dict[str, SummaryFigure]:
    """The figures with their units in a currency."""
    return {
        name: replace(
            figure,
            unit=money(figure.unit, currency),
            heading=figure.heading and (figure.heading[0], money(figure.heading[1], currency)),
        )
        for name, figure in figures.items()
    }


def with_units(row: Mapping[str, Any], figures: Mapping[str, SummaryFigure]) -> dict[str, str]:
    """Values of a row with their units, by name."""
    return {
        name: f"{value:.6g} {figures[name].unit}".rstrip() if is_number(value) else str(value)
        for name, value in row.items()
    }


def is_number(value: Any) -> bool:
    """Whether a figure's value is a number, and no text or choice."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Summary(dict[str, Any]):
    """The figures of a point by name, in the order of `FIGURES`; shown with units and meanings."""

    currency = MONEY
    """That of the case."""

    @property
    def figures(self) -> dict[str, SummaryFigure]:
        """`FIGURES` in its currency."""
        return priced(FIGURES, self.currency)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{k:<{width}}  {v}" for k, v in with_units(self, self.figures).items())

    def _repr_html_(self) -> str:
        rows = {k: f"{v}: {FIGURES[k].meaning}" for k, v in with_units(self, self.figures).items()}
        return card("summary", rows)

    def to_frame(self) -> pd.DataFrame:
        """Columns figure, value, text (of what is no number), unit, meaning."""
        import pandas as pd

        figures = self.figures
        rows = [
            (
                name,
                float("nan") if isinstance(value, str) else float(value),
                value if isinstance(value, str) else "",
                figures[name].unit,
                FIGURES[name].meaning,
            )
            for name, value in self.items()
        ]
        return pd.DataFrame(rows, columns=["figure", "value", "text", "unit", "meaning"])


def summarise(eq: Point) -> Summary:
    """All figures of a point, by name."""
    found = Summary((name, figure.of(eq)) for name, figure in FIGURES.items())
    found.currency = eq.scenario.case.currency
    return found
