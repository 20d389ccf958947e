"""What a reader should know before using the figures of an equilibrium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.parameters.unused import unused, unused_changes
from v2geq.errors import listed
from v2geq.market.coupling import Coupled
from v2geq.players.drivers import DRIVERS
from v2geq.players.lse import demand_buses, responsive_sales
from v2geq.trips.traffic import out_of_reach

if TYPE_CHECKING:
    import xarray as xr


def warnings_of(coupled: Coupled, data: xr.Dataset, values: Mapping[str, FloatArray]) -> list[str]:
    """Warnings that an equilibrium raises by itself; objects are named."""
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
    whole = [name for name, kind in case.drivers.items() if kind.cost_of_time]
    if whole:
        out.append(
            f"the cost of time of {listed(whole)} is of the whole trip: a variational inequality "
            "without potential"
        )
    elif not coupled.programs[DRIVERS].is_optimisation:
        out.append(
            "electric classes value time differently: a variational inequality without potential"
        )
    if coupled.scenario.dead_buses:
        out.append(
            f"buses without supply or use are left out: {listed(list(coupled.scenario.dead_buses))}"
        )
    return out
