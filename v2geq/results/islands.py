"""The parts of the feeder that nothing connects: what each uses and who supplies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.labelled import placed
from v2geq.market.coupling import Coupled
from v2geq.market.sites import energy_sold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COLUMNS = {
    "island": ("", "number; 0 has the substation"),
    "reference": ("", "bus that voltages and prices are counted from"),
    "buses": ("", "number of buses"),
    "load_kw": ("kW", "household load at the reference price"),
    "served_kw": ("kW", "of it, firm load served and sales"),
    "charge_kw": ("kW", "power sold to vehicles"),
    "losses_kw": ("kW", "lost in lines"),
    "generation_kw": ("kW", "supply by generators"),
    "stations_kw": ("kW", "supply by vehicles that discharge and by plants of stations"),
    "own_kw": ("kW", "sold less bought by players of the user"),
    "import_kw": ("kW", "bought from the TSO less what is sold to it"),
    "load_kvar": ("kvar", "reactive load"),
    "supply_kvar": ("kvar", "reactive supply by generators, sources and capacitors"),
    "import_kvar": ("kvar", "reactive supply of the TSO"),
    "fee": ("$/kWh", "wheeling fee at the reference: the island's own scarcity"),
}
"""Unit and meaning of every column of `islands`."""


def islands(coupled: Coupled, data: xr.Dataset, values: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Load, supply by kind and scarcity price of every part of the feeder, the root's first.

    What is served, charged and lost is what generators, stations, own players and the import
    supply. Reactive supply is that of the load and of what lines take.
    """
    import pandas as pd

    scenario, grid = coupled.scenario, coupled.grid
    data = data.sel(bus=list(scenario.buses))
    number, lines = scenario.island, scenario.lines
    count = int(number.max()) + 1

    def total(values: FloatArray, at: IntArray = number) -> FloatArray:
        """Sum by island."""
        out: FloatArray = placed(at, count) @ np.asarray(values, dtype=float)
        return out

    def at_buses(names: pd.Series, *results: tuple[str, float]) -> FloatArray:
        """Sum by island of results by station or generator."""
        at = number[[scenario.bus_position[bus] for bus in names]]
        found = (sign * data[name].to_numpy() for name, sign in results if name in data)
        return total(sum(found, np.zeros(len(names))), at)

    at_root = np.arange(count) == 0
    sold = np.zeros(len(number))
    for program in coupled.own.programs:
        for bus, kw in energy_sold(program, values).items():
            if bus in scenario.bus_position:
                sold[scenario.bus_position[bus]] += kw
    stations = scenario.stations["bus"]
    plants = (("pv_kw", 1.0), ("store_discharge_kw", 1.0), ("store_charge_kw", -1.0))
    served = data["firm_kw"] - data["shed_kw"] + data["sales_kw"].fillna(0.0)
    first = [int(np.argmax(number == k)) for k in range(count)]
    columns = {
        "reference": [scenario.buses[i] for i in first],
        "buses": total(np.ones(len(number))).astype(int),
        "load_kw": total(scenario.firm_kw + scenario.responsive_kw),
        "served_kw": total(served.to_numpy()),
        "charge_kw": at_buses(stations, ("charge_kw", 1.0)),
        "losses_kw": total(grid.losses(values), number[lines.to_bus]),
        "generation_kw": at_buses(scenario.generators["bus"], ("generation_kw", 1.0)),
        "stations_kw": at_buses(stations, ("discharge_kw", 1.0), *plants),
        "own_kw": total(sold),
        "import_kw": np.where(at_root, float(data["tso_import_kw"]), 0.0),
        "load_kvar": total(scenario.network.reactive_kvar),
        "supply_kvar": total(data["reactive_supply_kvar"].to_numpy()),
        "import_kvar": np.where(at_root, float(data["tso_reactive_kvar"]), 0.0),
        "fee": data["wheeling_price"].to_numpy()[first],
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(count, name="island"))
