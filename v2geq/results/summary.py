"""One row of figures per equilibrium, and the warnings it raises by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.checks.unused import unused, unused_changes
from v2geq.errors import listed
from v2geq.market.accounts import Accounts
from v2geq.market.coupling import Coupled
from v2geq.players.lse import demand_buses, responsive_sales
from v2geq.results.path_flows import PathFlows
from v2geq.trips.traffic import out_of_reach

if TYPE_CHECKING:
    import xarray as xr

FOCUS = ("1", "20")
"""OD pair whose trip cost the summary lists, as in the study this case follows."""


def summarise(
    coupled: Coupled, data: xr.Dataset, book: Accounts, flows: PathFlows
) -> dict[str, float]:
    """Figures of an equilibrium; kW, $/kWh, h per h, veh/h; shares between 0 and 1."""
    scenario, traffic = coupled.scenario, coupled.traffic
    loaded = [scenario.buses[i] for i in scenario.load_buses]
    dlmp = data["dlmp"].sel(bus=loaded).to_numpy()
    charge, discharge = float(data["charge_kw"].sum()), float(data["discharge_kw"].sum())
    # stops times wait by direction where queues are apart: the same, as wait_h is their mean
    dwell = float((data["stops_veh_h"] * data["wait_h"]).sum())
    focus = float("nan")
    for name, kind in traffic.classes.items():
        if kind.kind != "ev":
            continue
        dwell += float(flows.coupled.traffic.plug_hours(name) @ flows.least_squares[name])
        if FOCUS in traffic.od_names(name) and np.isnan(focus):
            focus = float(data[f"cost_{name}"].sel({f"od_{name}": "-".join(FOCUS)}))
    return {
        "load_shed_kw": float(data["shed_kw"].sum()),
        "dlmp_min": float(dlmp.min()) if len(dlmp) else float("nan"),
        "dlmp_max": float(dlmp.max()) if len(dlmp) else float("nan"),
        "generation_kw": float(data["generation_kw"].sum()),
        "tso_import_kw": float(data["tso_import_kw"]),
        "charge_kw": charge,
        "discharge_kw": discharge,
        "station_visit_share": flows.visit_share.value,
        "discharge_share": flows.discharge_share.value,
        "dwell_h": dwell,
        "discharge_od_pairs": flows.discharge_od_pairs.value,
        "cost_od_1_20": focus,
        "social_cost": float(book.social_cost.sum()),
    }


def warnings_of(coupled: Coupled, data: xr.Dataset, values: Mapping[str, FloatArray]) -> list[str]:
    """What a reader should know before using the figures; named objects."""
    case = coupled.scenario.case
    scenario = coupled.scenario
    changed = {**case.scenarios[scenario.name].set, **scenario.changes}
    out = [*unused(case), *unused_changes(case, scenario.name, changed)]
    shed = float(data["shed_kw"].sum())
    if shed > 1e-3:
        most = str(data["bus"].to_numpy()[int(np.nanargmax(data["shed_kw"].to_numpy()))])
        out.append(f"load is shed: {shed:.1f} kW, most at bus {most}")
    traffic, stops = coupled.traffic, coupled.traffic.queue_flow(values)
    for queue, n, hours in zip(traffic.queues, stops, traffic.queue_time.time(stops), strict=True):
        if n > 1e-6 and hours > case.station_settings.period:
            to = f" to {queue[1]}" if len(queue) > 1 else ""
            out.append(
                f"mean wait{to} at station {queue[0]} is {hours:.2f} h, above the study period of "
                f"{case.station_settings.period:g} h"
            )
    out += [f"station {name}: no electric trip can stop there" for name in out_of_reach(traffic)]
    ratio = data["volume_capacity"].to_numpy()
    over = [f"{a} ({r:.1f})" for a, r in zip(data["arc"].to_numpy(), ratio, strict=True) if r > 2]
    if over:
        out.append(f"volume over capacity above 2 on arcs {listed(over)}")
    for name, kind in traffic.classes.items():
        power = traffic.charger_power(name).max(initial=0.0) if kind.kind == "ev" else 0.0
        if power > 3.0 * kind.battery:
            out.append(f"charger power of class {name} is {power / kind.battery:.1f} C, above 3 C")
    binding, limits = coupled.grid.binding(values), case.feeder_settings
    if binding.lines:
        out.append(f"line ratings bind: {listed(binding.lines)}")
    for word, bound, tight in (
        ("lowest", limits.vmin, binding.lowest),
        ("highest", limits.vmax, binding.highest),
    ):
        if tight:
            names = [str(b) for b in data["bus"].to_numpy() if b in tight]
            out.append(f"the {word} voltage {bound} pu binds at buses {listed(names)}")
    at = demand_buses(coupled.scenario)
    limit = case.market.demand_range * coupled.scenario.responsive_kw[at]
    beyond = responsive_sales(coupled.scenario, values) > limit * (1.0 + 1e-9)
    if case.market.inverse_demand != "linear" and beyond.any():
        names = [coupled.scenario.buses[i] for i in at[beyond]]
        out.append(
            f"sales exceed demand_range, where the inverse demand was not checked, at buses "
            f"{listed(names, 6)}"
        )
    if not coupled.programs["drivers"].is_optimisation:
        out.append(
            "electric classes value time differently: a variational inequality without potential"
        )
    if coupled.scenario.dead_buses:
        out.append(
            f"buses without supply or use are left out: {listed(list(coupled.scenario.dead_buses))}"
        )
    return out
