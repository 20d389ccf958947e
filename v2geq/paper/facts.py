"""The few figures of an equilibrium that comparisons between runs need, as plain data."""

from __future__ import annotations

from typing import Any

from v2geq.equilibrium import Equilibrium
from v2geq.results.summary import FOCUS


def facts(eq: Equilibrium) -> dict[str, Any]:
    """Summary, net load of stations (kW), social cost by term ($/h), dominant path of OD 1-20.

    Keys beyond the summary's: `stations_net_kw`, `social_cost_terms`, `reference_price`, `voll`,
    `focus_route` (with stops), `focus_nodes`, `focus_km`, `focus_discharges_at` (station or '').
    """
    market = eq.scenario.case.market
    out: dict[str, Any] = {
        **eq.summary,
        "stations_net_kw": float(eq.data["charge_kw"].sum() - eq.data["discharge_kw"].sum()),
        "social_cost_terms": {str(k): float(v) for k, v in eq.accounts.social_cost.items()},
        "reference_price": market.reference_price,
        "voll": market.voll,
        "focus_route": "",
        "focus_nodes": "",
        "focus_km": float("nan"),
        "focus_discharges_at": "",
    }
    for name, kind in eq.coupled.traffic.classes.items():
        if kind.kind != "ev":
            continue
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
