"""One scenario of a case, resolved to numbers: what is energised, loads, limits, demand, V2G.

Outages are applied, islands found, dead islands removed and every island checked for supply and
reactive power before any player is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from v2geq.data.case import with_parameters
from v2geq.data.model import Case
from v2geq.errors import DataError, did_you_mean
from v2geq.show import card

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """Energised branches, oriented away from the root of their island.

    Arrays by line: from_bus, to_bus (positions of buses), r_ohm, x_ohm, rating_kva (factor
    applied), ratio (V_to = ratio * V_from at no load).
    """

    names: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    rating_kva: FloatArray
    ratio: FloatArray


@dataclass(frozen=True)
class Scenario:
    """A case under one scenario, with or without V2G.

    Arrays are by energised bus unless said otherwise; kW and kvar, three-phase totals.

    Attributes
    ----------
    buses : energised buses, the root first; dead_buses : buses of removed islands
    island : island number per bus, 0 is the one of the root
    firm_kw : load that must be served or shed; responsive_kw : reference quantity q0 of the
        price-responsive demand; reactive_kvar : reactive load
    reactive_min, reactive_max : reactive supply by sources, generators and capacitors
    stations : rows of the case's stations that are energised
    generators : likewise
    """

    name: str
    v2g: bool
    case: Case
    changes: Mapping[str, Any]
    buses: tuple[str, ...]
    dead_buses: tuple[str, ...]
    island: IntArray
    lines: Lines
    firm_kw: FloatArray
    responsive_kw: FloatArray
    reactive_kvar: FloatArray
    reactive_min: FloatArray
    reactive_max: FloatArray
    stations: pd.DataFrame
    generators: pd.DataFrame

    @property
    def bus_position(self) -> dict[str, int]:
        """Position of every energised bus."""
        return {b: i for i, b in enumerate(self.buses)}

    @property
    def load_buses(self) -> IntArray:
        """Positions of buses with household load."""
        return np.flatnonzero(self.firm_kw + self.responsive_kw > 0)

    @property
    def power_scale(self) -> float:
        """Mean household load per load bus at load factor one, kW (data, not solution)."""
        loads = self.case.feeder.loads["load_kw"].to_numpy(dtype=float)
        return float(loads[loads > 0].mean()) if (loads > 0).any() else 1.0

    @property
    def voltage_scale(self) -> float:
        """Mean drop of squared voltage along a line that carries `power_scale`, pu2."""
        ohm = float(np.mean(self.lines.r_ohm + self.lines.x_ohm)) if self.lines.names else 0.0
        drop = 2.0 * ohm * self.power_scale / (1000.0 * self.case.feeder.base_kv**2)
        return drop if drop > 0 else 1e-3

    @property
    def price_scale(self) -> float:
        """The reference price, $/kWh."""
        return self.case.market.reference_price

    @property
    def money_scale(self) -> float:
        """power_scale * price_scale, $/h."""
        return self.power_scale * self.price_scale

    def __repr__(self) -> str:
        return (
            f"<Scenario {self.name} of {self.case.name} {'with' if self.v2g else 'without'} V2G: "
            f"{len(self.buses)} energised buses>"
        )

    def _repr_html_(self) -> str:
        islands = int(self.island.max()) + 1 if len(self.island) else 0
        rows = {
            "case": self.case.name,
            "V2G": "with" if self.v2g else "without",
            "buses": f"{len(self.buses)} energised in {islands} part(s), "
            f"{len(self.dead_buses)} without supply",
            "lines": len(self.lines.names),
            "household load": f"{self.firm_kw.sum() + self.responsive_kw.sum():.0f} kW, "
            f"{self.firm_kw.sum():.0f} of it firm",
            "reactive load": f"{self.reactive_kvar.sum():.0f} kvar",
            "stations, generators": f"{len(self.stations)}, {len(self.generators)}",
        }
        if self.changes:
            rows["changed"] = ", ".join(f"{k} = {v}" for k, v in self.changes.items())
        return card(f"scenario {self.name}", rows)


def resolve(
    case: Case, scenario: str, *, v2g: bool, changes: Mapping[str, Any] | None = None
) -> Scenario:
    """Resolve one scenario of `case`.

    Parameters
    ----------
    scenario
        A name in ``case.scenarios``.
    v2g
        Whether stations may buy energy from vehicles.
    changes
        Parameters to change, by name; they win over the scenario's own.

    Raises
    ------
    DataError
        Unknown scenario or parameter; an island with load but without supply or without enough
        reactive power; voltage limits that no operation can meet next to the root.
    """
    if not isinstance(case, Case):
        raise DataError(f"{case!r} is not a case", advice="read it with v2geq.load_case")
    if not isinstance(v2g, (bool, np.bool_)):
        raise DataError(f"v2g = {v2g!r} is neither True nor False")
    if changes is not None and not isinstance(changes, Mapping):
        raise DataError(
            f"set = {changes!r} is not a table of names and values", advice='write {"voll": 5.0}'
        )
    if scenario not in case.scenarios:
        raise DataError(
            f"there is no scenario {scenario!r}",
            where=case.where,
            advice=did_you_mean(scenario, case.scenarios),
        )
    original = case
    changes = dict(changes or {})
    merged = {**dict(case.scenarios[scenario].set or {}), **changes}
    if merged:
        case = with_parameters(case, merged)
    data = case.scenarios[scenario]
    feeder = case.feeder
    buses = list(feeder.buses.index)
    position = {b: i for i, b in enumerate(buses)}

    out = set(data.outages)
    closed = feeder.branches[
        ~feeder.branches["normally_open"].astype(bool) & ~feeder.branches.index.isin(out)
    ]
    tail = closed["from_bus"].map(position).to_numpy(dtype=np.int64)
    head = closed["to_bus"].map(position).to_numpy(dtype=np.int64)
    n = len(buses)
    graph = coo_array((np.ones(len(tail)), (tail, head)), shape=(n, n)).tocsr()
    _, component = connected_components(graph, directed=False)

    load = feeder.loads["load_kw"].reindex(buses).fillna(0.0).to_numpy() * data.load_factor
    q_factor = data.load_factor if case.feeder_settings.reactive_load_scales else 1.0
    reactive = feeder.loads["load_kvar"].reindex(buses).fillna(0.0).to_numpy() * q_factor
    has_station = np.zeros(n, dtype=bool)
    has_station[[position[b] for b in case.stations["bus"]]] = True
    has_generator = np.zeros(n, dtype=bool)
    has_generator[[position[b] for b in case.generators["bus"]]] = True

    root = position[feeder.root]
    wanted = (load > 0) | (reactive != 0) | has_station | has_generator
    alive_components = set(component[wanted]) | {component[root]}
    alive = np.isin(component, list(alive_components))

    q_low, q_high = _reactive_supply(case, data.reactive_sources, position, component, root)
    _check_islands(
        case, scenario, v2g, buses, component, alive_components, root, load, reactive, q_low, q_high
    )

    # the root's island first, the root at its head
    order = [root] + [i for i in range(n) if alive[i] and i != root]
    order.sort(key=lambda i: (component[i] != component[root], component[i]))
    number = {c: k for k, c in enumerate(dict.fromkeys(component[i] for i in order))}
    new = {old: k for k, old in enumerate(order)}
    lines = _orient(case, closed, tail, head, graph, order, new, number, component)

    share = case.market.firm_share
    take = np.array(order)
    names = tuple(buses[i] for i in order)
    resolved = Scenario(
        name=scenario,
        v2g=v2g,
        case=case,
        changes=changes,
        buses=names,
        dead_buses=tuple(buses[i] for i in range(n) if not alive[i]),
        island=np.array([number[component[i]] for i in order]),
        lines=lines,
        firm_kw=share * load[take],
        responsive_kw=(1.0 - share) * load[take],
        reactive_kvar=reactive[take],
        reactive_min=q_low[take],
        reactive_max=q_high[take],
        stations=case.stations[case.stations["bus"].isin(names)],
        generators=case.generators[case.generators["bus"].isin(names)],
    )
    _check_stiff_voltages(resolved)
    del original
    return resolved


def _reactive_supply(
    case: Case,
    sources: Mapping[str, float],
    position: Mapping[str, int],
    component: IntArray,
    root: int,
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest reactive supply per bus, kvar (the root's TSO supply not included)."""
    low, high = np.zeros(len(position)), np.zeros(len(position))
    for bus, kvar in dict(sources or {}).items():
        low[position[bus]] -= kvar
        high[position[bus]] += kvar
    for _, g in case.generators.iterrows():
        low[position[g["bus"]]] += g["min_kvar"]
        high[position[g["bus"]]] += g["max_kvar"]
    banks = case.feeder_settings.capacitors
    if banks != "none":
        for _, c in case.feeder.capacitors.iterrows():
            i = position[c["bus"]]
            high[i] += c["kvar"]
            # without the TSO a fixed bank could have no sink, so there it is switched
            if banks == "fixed" and component[i] == component[root]:
                low[i] += c["kvar"]
    return low, high


def _check_islands(
    case: Case,
    scenario: str,
    v2g: bool,
    buses: list[str],
    component: IntArray,
    alive: set[int],
    root: int,
    load: FloatArray,
    reactive: FloatArray,
    q_low: FloatArray,
    q_high: FloatArray,
) -> None:
    where = f"{case.where}: scenario {scenario!r}"
    at = {b: i for i, b in enumerate(buses)}
    for c in sorted(alive):
        if c == component[root]:
            continue
        here = component == c
        names = _some([buses[i] for i in np.flatnonzero(here & (load > 0))])
        supply = sum(
            g["max_kw"] for _, g in case.generators.iterrows() if component[at[g["bus"]]] == c
        )
        if v2g:
            supply += sum(
                s["discharge_max_kw"]
                for _, s in case.stations.iterrows()
                if component[at[s["bus"]]] == c
            )
        if load[here].sum() > 0 and supply <= 0:
            raise DataError(
                f"an island without the substation has {load[here].sum():.0f} kW of load and no "
                f"supply (buses {names})",
                where=where,
                advice="put a generator there, or take the outage away that cuts it off",
            )
        need, least, most = reactive[here].sum(), q_low[here].sum(), q_high[here].sum()
        if not least - 1e-9 <= need <= most + 1e-9:
            lack = need - most if need > most else least - need
            kind = "no reactive source" if least == most == 0 else "too little reactive range"
            names = _some([buses[i] for i in np.flatnonzero(here & (reactive != 0))])
            raise DataError(
                f"an island without the substation needs {need:.0f} kvar and has {kind}: sources "
                f"give {least:.0f} to {most:.0f} kvar, short by {lack:.0f} (buses {names})",
                where=where,
                advice="state a source under reactive_sources of the scenario, or give a "
                "generator there min_kvar and max_kvar",
            )


def _some(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _orient(
    case: Case,
    closed: pd.DataFrame,
    tail: IntArray,
    head: IntArray,
    graph: Any,
    order: list[int],
    new: Mapping[int, int],
    number: Mapping[int, int],
    component: IntArray,
) -> Lines:
    """Turn every branch away from its island's first bus."""
    depth = np.full(len(component), -1)
    for first in {number[component[i]]: i for i in reversed(order)}.values():
        visited, parents = breadth_first_order(graph, first, directed=False)
        for i in visited:
            depth[i] = 0 if i == first else depth[parents[i]] + 1
    keep = np.array([t in new for t in tail], dtype=bool)
    names = tuple(closed.index[keep])
    turned = (depth[tail] > depth[head])[keep]
    t, h = tail[keep], head[keep]
    columns = closed.loc[keep]
    ratio = columns["ratio"].to_numpy(dtype=float)
    if not case.feeder_settings.regulators:
        ratio = np.where(columns["kind"].to_numpy() == "regulator", 1.0, ratio)
    # v_to = ratio^2 (v_from - 2 r P ...) read from the other end
    impedance = np.where(turned, ratio**2, 1.0)
    return Lines(
        names=names,
        from_bus=np.array([new[i] for i in np.where(turned, h, t)], dtype=np.int64),
        to_bus=np.array([new[i] for i in np.where(turned, t, h)], dtype=np.int64),
        r_ohm=columns["r_ohm"].to_numpy(dtype=float) * impedance,
        x_ohm=columns["x_ohm"].to_numpy(dtype=float) * impedance,
        rating_kva=columns["rating_kva"].to_numpy(dtype=float) * case.feeder_settings.rating_factor,
        ratio=np.where(turned, 1.0 / ratio, ratio),
    )


def _check_stiff_voltages(scenario: Scenario) -> None:
    """Voltages that follow from the root through branches without impedance must fit the limits."""
    limits = scenario.case.feeder_settings
    voltage = {0: limits.root_voltage}
    lines = scenario.lines
    stiff = (lines.r_ohm == 0) & (lines.x_ohm == 0)
    grown = True
    while grown:
        grown = False
        for k in np.flatnonzero(stiff):
            i, j = int(lines.from_bus[k]), int(lines.to_bus[k])
            if i in voltage and j not in voltage:
                voltage[j] = voltage[i] * lines.ratio[k]
                grown = True
    for i, v in voltage.items():
        if not limits.vmin - 1e-9 <= v <= limits.vmax + 1e-9:
            raise DataError(
                f"bus {scenario.buses[i]!r} is held at {v:.4f} pu by the substation voltage and "
                f"the regulators, outside the limits {limits.vmin} to {limits.vmax}",
                where=f"{scenario.case.where}: scenario {scenario.name!r}",
                advice="change feeder.root_voltage, feeder.regulators, or the limits",
            )
