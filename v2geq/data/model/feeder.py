"""A distribution feeder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, eq=False)
class Feeder:
    """A radial distribution feeder, single-phase equivalent.

    Attributes
    ----------
    buses : index bus; columns phases, x, y (diagram coordinates), base_kv (line-line kV); they
        describe and enter no equation
    branches : index branch; columns from_bus, to_bus, kind (line, switch, regulator, transformer),
        phases and length_km (which describe), r_ohm, x_ohm (of the whole branch), rating_kva, ratio
        (V_to / V_from), normally_open
    loads : index bus; columns load_kw, load_kvar (three-phase totals)
    capacitors : index capacitor; columns bus, kvar
    root : substation bus; base_kv : line-line kV the impedances refer to
    """

    name: str
    root: str
    base_kv: float
    buses: pd.DataFrame
    branches: pd.DataFrame
    loads: pd.DataFrame
    capacitors: pd.DataFrame
    source: str = ""
    by_phase: Any = None

    def __repr__(self) -> str:
        return (
            f"<Feeder {self.name}: {len(self.buses)} buses, {len(self.branches)} branches, "
            f"{self.loads['load_kw'].sum():,.0f} kW of load>"
        )
