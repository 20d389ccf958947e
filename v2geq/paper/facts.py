"""The paper's favourite trip, and the few figures of an equilibrium that its claims compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from v2geq.results.summary import FIGURES, SummaryFigure, summarise

if TYPE_CHECKING:
    from v2geq.results.point import Point

ARXIV = "2605.16765"
"""The paper: J. Hou, Y. Li, J.-S. Pang, arXiv 2605.16765 (2026)."""

FOCUS = ("1", "20")
"""OD pair whose trips the paper follows."""


def _trip_cost(eq: Point) -> float:
    traffic = eq.coupled.traffic
    for name in traffic.electric:
        if FOCUS in traffic.od_names(name):
            return float(eq.data[f"cost_{name}"].sel({f"od_{name}": "-".join(FOCUS)}))
    return float("nan")


TRIP_COST = SummaryFigure(
    "cost_od_1_20",
    "cost of an electric trip of OD pair 1-20",
    _trip_cost,
    "$ per trip",
    ("OD 1-20", "$"),
    "{:.2f}",
)

PAPER_FIGURES: Mapping[str, SummaryFigure] = {
    figure.name: figure
    for general in FIGURES.values()
    for figure in ([TRIP_COST, general] if general.name == "social_cost" else [general])
}
"""The figures of a summary with the cost of the paper's trip, by name, in the order of a row."""


def facts(eq: Point) -> dict[str, Any]:
    """Summary, net load of stations (kW), social cost by term ($/h), dominant path of OD 1-20.

    Keys beyond `PAPER_FIGURES`: `stations_net_kw`, `social_cost_terms`, `reference_price`,
    `focus_route` (with stops), `focus_nodes`, `focus_km`, `focus_discharges_at` (station or '').
    """
    out: dict[str, Any] = {
        **summarise(eq),
        TRIP_COST.name: TRIP_COST.of(eq),
        "stations_net_kw": float(eq.data["charge_kw"].sum() - eq.data["discharge_kw"].sum()),
        "social_cost_terms": {str(k): float(v) for k, v in eq.accounts.social_cost.items()},
        "reference_price": eq.scenario.case.market.reference_price,
        "focus_route": "",
        "focus_nodes": "",
        "focus_km": float("nan"),
        "focus_discharges_at": "",
    }
    for name in eq.coupled.traffic.electric:
        table = eq.paths(name)
        own = table[(table["origin"] == FOCUS[0]) & (table["destination"] == FOCUS[1])]
        if len(own):
            best = int(own["flow_least_squares_veh_h"].to_numpy().argmax())
            label = str(own.index[best])
            out["focus_route"] = label
            out["focus_km"] = float(own["length_km"].iloc[best])
            paths = eq.path_flows.coupled.traffic.paths[name]
            path = paths[paths.labels.index(label)]
            sold = [s.station for s in path.stops if s.kind == "D"]
            graph = paths.graph
            nodes = [FOCUS[0], *(graph.nodes[graph.head[a]] for a in path.arcs)]
            out["focus_nodes"] = "-".join(nodes)
            out["focus_discharges_at"] = paths.stations[sold[0]] if sold else ""
            break
    return out
