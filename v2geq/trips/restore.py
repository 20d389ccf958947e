"""Paths of a saved equilibrium: checked against the case before anything is built on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2geq.errors import DataError
from v2geq.trips.paths import PathSet, make_path
from v2geq.trips.traffic import Traffic


def unusable(problem: str, where: str) -> DataError:
    """Error about a saved file, to be raised by the caller."""
    return DataError(problem, where=where, advice="solve and save again")


def restored(
    traffic: Traffic, saved: Mapping[str, Mapping[str, NDArray[Any]]], where: str
) -> Traffic:
    """The traffic over saved paths, class -> arrays of `PathSet.to_arrays`, in place of its own.

    Raises
    ------
    DataError
        Where they do not fit the road network, or are not routes of their OD pair with stops and
        energies by the rules of the battery.
    """
    sets = {}
    for name, own in traffic.paths.items():
        if name not in saved:
            raise unusable(f"the file has no paths of class {name!r}", where)
        arrays = saved[name]
        try:
            paths = PathSet.from_arrays(own.graph, own.od_count, own.stations, arrays)
            again = paths.to_arrays()
            for part, values in again.items():
                if not np.array_equal(values, arrays[part]):
                    raise ValueError(f"{part} is inconsistent")
            _check_paths(traffic, name, paths)
            _check_enumeration(own, paths)
        except KeyError as error:
            lacks = f"the file has no {error.args[0]} of the paths of class {name!r}"
            raise unusable(lacks, where) from error
        except (ValueError, IndexError, OverflowError) as error:
            problem = f"the paths of class {name!r} do not fit the case: {error}"
            raise unusable(problem, where) from error
        sets[name] = paths
    return traffic.over(sets)


def _check_paths(traffic: Traffic, name: str, paths: PathSet) -> None:
    """Raise ValueError unless every path is one its drivers may take."""
    graph, electric = traffic.graph, traffic.classes[name].kind == "ev"
    names, pairs = traffic.od_names(name), traffic.od_pairs[name]
    missing = set(range(len(pairs))) - set(paths.od.tolist())
    if missing:
        raise ValueError(f"no path for OD pair {'-'.join(names[min(missing)])}")
    for number, path in enumerate(paths.paths):
        label = f"path {number} of OD pair {'-'.join(names[path.od])}"
        nodes = [int(graph.tail[a]) for a in path.arcs[:1]] + [
            int(graph.head[a]) for a in path.arcs
        ]
        if not graph.is_route(path.arcs) or not nodes:
            raise ValueError(f"{label} is not a route")
        if (nodes[0], nodes[-1]) != (int(pairs[path.od, 0]), int(pairs[path.od, 1])):
            raise ValueError(f"{label} does not join its nodes")
        if not electric:
            if path.stops or path.arrival_kwh != 0.0:
                raise ValueError(f"{label} of a fuel class has stops or a battery")
            continue
        if any(
            not 0 <= s.after < len(nodes) or nodes[s.after] != traffic.station_node[s.station]
            for s in path.stops
        ):
            raise ValueError(f"{label} stops where the station is not")
        if "D" in path.pattern and name not in traffic.sellers:
            raise ValueError(f"{label} sells energy, which its class does not do")
        rules = traffic.rules(name)
        stops = [(s.station, s.kind, s.after) for s in path.stops]
        exact = make_path(graph, rules, path.od, path.arcs, stops)
        if exact is None:
            raise ValueError(f"{label} breaks a rule of the battery")
        energies = [(path.arrival_kwh, exact.arrival_kwh)]
        energies += [
            (a.energy_kwh, b.energy_kwh) for a, b in zip(path.stops, exact.stops, strict=True)
        ]
        if not all(math.isclose(a, b, abs_tol=rules.tolerance) for a, b in energies):
            raise ValueError(f"{label} has energies that do not follow from its stops")


def _check_enumeration(listed: PathSet, paths: PathSet) -> None:
    """Raise ValueError unless these are the listed paths, where paths are enumerated beforehand.

    Drivers who choose from a list must have the whole list: an equilibrium over a part of it is
    another one.
    """
    if not len(listed):
        return
    missing = [p for p in listed.paths if paths.position(p) is None]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(listed)} enumerated paths are not in the file, for "
            f"example {listed.label(missing[0])}"
        )
    others = [p for p in paths.paths if listed.position(p) is None]
    if others:
        raise ValueError(
            f"{len(others)} paths are not in the enumeration, for example {paths.label(others[0])}"
        )
