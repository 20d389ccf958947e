"""Labelled results: every quantity by name, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.labelled import Labelled, whole
from v2geq.market.coupling import Coupled
from v2geq.market.prices import built_in_results
from v2geq.mcp.block import paired_unit
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Constraint, Variable
from v2geq.show import money
from v2geq.trips.costs import path_costs
from v2geq.trips.traffic import Traffic

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def tables(coupled: Coupled, values: Mapping[str, FloatArray]) -> xr.Dataset:
    """All labelled results at strategies and prices `values`.

    Dimensions bus, line, station, lse, generator, arc and, by driver class, od_<class>. Buses
    without supply are listed with NaN. Signs: withdrawal takes power from the grid; line flows are
    positive away from the root; prices are paid per kWh by whoever buys. Where vehicles that charge
    and that discharge wait apart, stops_veh_h and wait_h are sums and means over both, and each
    direction has its own (charge_stops_veh_h, discharge_wait_h, ...). Not unique in themselves:
    how shed load splits between buses whose price is the value of lost load, and how charging
    splits between stations of equal price and wait; their sums are.
    """
    import xarray as xr

    coords = coordinates(coupled)
    data: dict[str, Any] = {}
    results = [_by_own_labels(r, coords) for r in handed_out(coupled, values)]
    for name, labels in _own_coordinates(results, coords).items():
        coords[name] = labels
    named = {name for result in results for name in result.dims}
    place = {name: {str(x): i for i, x in enumerate(coords[name])} for name in named}
    # what is out of service is listed with NaN
    service = {**coords, "bus": coupled.scenario.buses}
    alive = {name: np.array([at[str(x)] for x in service[name]], int) for name, at in place.items()}
    currency = coupled.scenario.case.currency
    for result in results:
        unit = {"unit": money(result.unit, currency), "long_name": result.meaning}
        data[result.name] = (result.dims, _spread(result, place, alive), unit)
    return xr.Dataset(data, coords=coords)


def coordinates(coupled: Coupled) -> dict[str, Any]:
    """Labels of the dimensions that results share."""
    scenario, case = coupled.scenario, coupled.scenario.case
    coords: dict[str, Any] = {
        "bus": list(case.feeder.buses.index),
        "line": list(scenario.lines.names),
        "station": list(scenario.stations.index),
        "lse": list(case.lses.index),
        "generator": list(scenario.generators.index),
        "arc": list(coupled.traffic.graph.arcs),
    }
    for name in coupled.traffic.classes:
        pairs = coupled.traffic.od_names(name)
        coords[f"od_{name}"] = [f"{o}-{d}" for o, d in pairs]
        coords[f"origin_{name}"] = (f"od_{name}", [o for o, _ in pairs])
        coords[f"destination_{name}"] = (f"od_{name}", [d for _, d in pairs])
    return coords


def labels_of(coupled: Coupled, result: Labelled) -> Sequence[tuple[str, ...]]:
    """Labels of a result's values, in their order."""
    if result.labels is not None:
        return result.labels
    if not result.dims:
        return ((),)
    (name,) = result.dims
    names = coupled.scenario.buses if name == "bus" else coordinates(coupled)[name]
    return [(str(n),) for n in names]


def handed_out(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    """Results of all layers and players."""
    yield from built_in_results(coupled, values)
    for program in coupled.own_programs:
        yield from _own(program, values, set(_COORDINATES))


_COORDINATES = ("bus", "line", "station", "lse", "generator", "arc")


def _own(
    program: Program, values: Mapping[str, FloatArray], known: Collection[str]
) -> Iterator[Labelled]:
    """Variables and multipliers of a player of the user; dimensions of its own bear its name."""
    blocks: list[tuple[Variable | Constraint, str, str]] = []
    blocks += [(v, v.unit, "") for v in program.variables]
    blocks += [(c, paired_unit(c.unit), "price of: ") for c in program.constraints]
    for block, unit, word in blocks:
        dims = tuple(d if d in known else f"{program.player}.{d}" for d in block.dims)
        text = word + (block.meaning or block.name)
        yield whole(block.key, dims, block.key, values, unit, text, block.labels, np.nan)


def _by_own_labels(result: Labelled, coords: Mapping[str, Any]) -> Labelled:
    """The result; where labels are not those of the dimension of that name, by one of its own."""
    if result.labels is None or set(result.dims).isdisjoint(coords):
        return result
    fit = [
        d not in coords or {x[k] for x in result.labels} <= set(map(str, coords[d]))
        for k, d in enumerate(result.dims)
    ]
    dims = (d if ok else f"{result.name}.{d}" for d, ok in zip(result.dims, fit, strict=True))
    return result._replace(dims=tuple(dims))


def _own_coordinates(results: Sequence[Labelled], known: Collection[str]) -> dict[str, list[str]]:
    """Labels of the dimensions that only results know, of all results together."""
    out: dict[str, dict[str, None]] = {}
    for result in results:
        for d, name in enumerate(result.dims if result.labels is not None else ()):
            if name not in known:
                out.setdefault(name, {}).update(dict.fromkeys(x[d] for x in result.labels or ()))
    return {name: list(labels) for name, labels in out.items()}


def _spread(
    result: Labelled, place: Mapping[str, Mapping[str, int]], alive: Mapping[str, IntArray]
) -> Any:
    """Values over whole coordinates, by positions of all labels and of those in service."""
    values, labels = np.asarray(result.values), result.labels
    if not result.dims:
        return values.item()
    if labels is None and "bus" not in result.dims:
        return values
    at = [place[name] for name in result.dims]
    whole = np.full([len(p) for p in at], np.nan if values.dtype.kind == "f" else 0)
    if labels is None:
        whole[alive["bus"]] = values
        return whole
    whole[np.ix_(*(alive[name] for name in result.dims))] = result.fill
    for label, value in zip(labels, values.tolist(), strict=True):
        whole[tuple(p[n] for p, n in zip(at, label, strict=True))] = value
    return whole


def path_table(traffic: Traffic, values: Mapping[str, FloatArray], name: str) -> pd.DataFrame:
    """Paths of a class: route, pattern, flow (veh/h), cost ($/veh), energies (kWh per vehicle)."""
    import pandas as pd

    paths = traffic.paths[name]
    pairs = traffic.od_names(name)
    length = paths.arc_incidence.T @ traffic.graph.length_km
    hours = paths.arc_incidence.T @ traffic.travel_time.time(traffic.arc_flow(values))
    return pd.DataFrame(
        {
            "origin": [pairs[k][0] for k in paths.od],
            "destination": [pairs[k][1] for k in paths.od],
            "pattern": list(paths.patterns),
            "flow_veh_h": traffic.path_flow(values, name),
            "cost": path_costs(traffic, values, name),
            "time_h": hours,
            "toll": paths.arc_incidence.T @ traffic.toll,
            "length_km": length,
            "charge_kwh": paths.charged_kwh,
            "discharge_kwh": paths.discharged_kwh,
            "arrival_kwh": paths.arrival_kwh,
        },
        index=pd.Index(paths.labels, name="path"),
    )
