"""Loads, capacitors and sources of a compiled OpenDSS circuit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from v2geq.errors import DataError, listed, quoted

Phases = Mapping[str, Mapping[int, str]]
"""Phase of the nodes of every supplied bus."""

_MODELS = {1: "power", 2: "impedance", 5: "current"}
_P_FIXED_Q_SQUARE, _ZIP = 3, 8
_LOADS = ("load", "bus", "phases", "connection", "model", "kw", "kvar", "kv", "vmin_pu", "vmax_pu")


def load_rows(engine: Any, phases: Phases, where: str) -> dict[str, list[Any]]:
    """Table of loads; one of mixed model has a row for each part. Shunt reactors are loads too."""
    circuit = engine.ActiveCircuit
    loads, multiplier = circuit.Loads, circuit.Solution.LoadMult
    rows: list[tuple[Any, ...]] = []
    dead: list[str] = []
    taken: list[str] = []
    for _ in loads:
        element, name = circuit.ActiveCktElement, loads.Name
        found = _place(element, loads.IsDelta, phases, where)
        if found is None:
            dead.append(_at_bus(element, name))
            continue
        bus, letters, connection = found
        many = element.NumPhases > 1 and not loads.IsDelta
        kv = loads.kV / (math.sqrt(3.0) if many else 1.0)
        factor = multiplier if int(loads.Status) == 0 else 1.0
        kw, kvar = factor * loads.kW, factor * loads.kvar
        model = int(loads.Model)
        if model not in (*_MODELS, _P_FIXED_Q_SQUARE, _ZIP):
            taken.append(f"{name} (model {model})")
        for tail, kind, p, q in _parts(model, kw, kvar, loads):
            rows.append(
                (
                    *(name + tail, bus, letters, connection, kind, p, q, kv),
                    *(loads.Vminpu, loads.Vmaxpu),
                )
            )
    if taken:
        warnings.warn(
            f"{where}: loads taken as constant power: {listed(taken)}",
            stacklevel=4,
        )
    if dead:
        _refuse_dead("loads", dead, where)
    rows += _shunt_reactors(circuit, phases, where)
    return {name: [row[k] for row in rows] for k, name in enumerate(_LOADS)}


def _parts(
    model: int, kw: float, kvar: float, loads: Any
) -> Iterator[tuple[str, str, float, float]]:
    """Tail of the name, model, kW and kvar of the parts of a load."""
    if model == _P_FIXED_Q_SQUARE:
        yield "", "power", kw, 0.0
        yield "_q", "impedance", 0.0, kvar
    elif model == _ZIP:
        z = list(loads.ZIPV)
        for tail, kind, k in (("_z", "impedance", 0), ("_i", "current", 1), ("", "power", 2)):
            if z[k] or z[k + 3]:
                yield tail, kind, kw * z[k], kvar * z[k + 3]
    else:
        yield "", _MODELS.get(model, "power"), kw, kvar


def capacitor_rows(circuit: Any, phases: Phases, where: str) -> dict[str, list[Any]]:
    """Table of shunt capacitors with the steps that are in."""
    capacitors = circuit.Capacitors
    rows: list[tuple[Any, ...]] = []
    dead: list[str] = []
    for _ in capacitors:
        element, name = circuit.ActiveCktElement, capacitors.Name
        second = list(element.NodeOrder)[element.NumConductors :]
        if any(second) and not capacitors.IsDelta:
            raise DataError(
                f"capacitor {quoted(name)} is in series",
                where=where,
                advice="describe it as a reactor of negative reactance, or leave it out",
            )
        found = _place(element, capacitors.IsDelta, phases, where)
        if found is None:
            dead.append(_at_bus(element, name))
            continue
        many = element.NumPhases > 1 and not capacitors.IsDelta
        kv = capacitors.kV / (math.sqrt(3.0) if many else 1.0)
        states = list(capacitors.States)
        kvar = capacitors.kvar * (sum(states) / len(states) if any(states) else 1.0)
        rows.append((name, *found, kvar, kv, any(states)))
    if dead:
        _refuse_dead("capacitors", dead, where)
    names = ("capacitor", "bus", "phases", "connection", "kvar", "kv", "closed")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def source_rows(circuit: Any, phases: Phases, where: str) -> dict[str, list[Any]]:
    """Table of generators, storage and PV with what they supply in the engine's solution."""
    rows: list[tuple[Any, ...]] = []
    dead: list[str] = []
    for kind, of_class in (("generator", "Generator"), ("storage", "Storage"), ("pv", "PVSystem")):
        circuit.SetActiveClass(of_class)
        for name in list(circuit.ActiveClass.AllNames):
            circuit.SetActiveElement(f"{of_class}.{name}")
            element = circuit.ActiveCktElement
            if not element.Enabled:
                continue

            def told(what: str, element: Any = element) -> float:
                return float(element.Properties(what).Val)

            delta = str(element.Properties("conn").Val).lower() in ("delta", "ll")
            found = _place(element, delta, phases, where)
            if found is None:
                dead.append(_at_bus(element, name))
                continue
            supplied = -np.asarray(element.Powers).view(complex)[: element.NumPhases].sum()
            kva = told("kVA")
            most = {"generator": "kW", "storage": "kWrated", "pv": "Pmpp"}[kind]
            low, high = (told("Minkvar"), told("Maxkvar")) if kind == "generator" else (-kva, kva)
            energy = told("kWhrated") if kind == "storage" else 0.0
            rows.append(
                (
                    *(name, *found, kind, supplied.real, supplied.imag),
                    *(told(most), kva, low, high, energy),
                )
            )
    if dead:
        _refuse_dead("generators", dead, where)
    names = (
        *("generator", "bus", "phases", "connection", "kind", "kw", "kvar"),
        *("kw_max", "kva", "kvar_min", "kvar_max", "kwh"),
    )
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def _place(element: Any, delta: bool, phases: Phases, where: str) -> tuple[str, str, str] | None:
    """Bus, phases and connection of an element with one terminal; None without supply."""
    bus = element.BusNames[0].partition(".")[0]
    nodes = [int(n) for n in list(element.NodeOrder)[: element.NumConductors]]
    if bus not in phases:
        return None
    used = nodes if delta else nodes[: element.NumPhases]
    if not delta and element.NumPhases == 1 and len(nodes) > 1 and nodes[1]:
        used, delta = nodes[:2], True  # between two nodes
    missing = [n for n in used if n not in phases[bus]]
    if missing:
        have = "".join(sorted(phases[bus].values()))
        raise DataError(
            f"{element.Name} is connected to node {missing[0]} of bus {quoted(bus)}, which is not "
            f"supplied (phases there: {have})",
            where=where,
            advice="correct its bus, or feed that phase",
        )
    letters = "".join(phases[bus][n] for n in dict.fromkeys(used))
    return bus, letters, "delta" if delta else "wye"


def _shunt_reactors(circuit: Any, phases: Phases, where: str) -> list[tuple[Any, ...]]:
    rows = []
    for _ in circuit.Reactors:
        element = circuit.ActiveCktElement
        n = element.NumConductors
        if any(list(element.NodeOrder)[n:]):
            continue
        found = _place(element, False, phases, where)
        if found is None:
            _refuse_dead("reactors", [_at_bus(element, element.Name)], where)
            continue
        circuit.SetActiveBus(found[0])
        kv = circuit.ActiveBus.kVBase
        y = np.asarray(element.Yprim)
        y = (y if np.iscomplexobj(y) else y.view(complex)).reshape(2 * n, 2 * n)
        s = np.conj(y.diagonal()[:n].sum()) * kv**2 * 1000.0
        name = element.Name.lower().replace(".", "_")
        rows.append((name, *found, "impedance", s.real, s.imag, kv, 1e-6, 1e6))
    return rows


def _at_bus(element: Any, name: str) -> str:
    """An element and its first bus."""
    return f"{name} (bus {element.BusNames[0].partition('.')[0]})"


def _refuse_dead(what: str, names: Sequence[str], where: str) -> None:
    raise DataError(
        f"{what} at buses without a path to the source: {listed(names)}",
        where=where,
        advice="close a switch towards them, or remove them",
    )
