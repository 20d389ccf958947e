"""Feeder of a pandapower net: single-phase equivalent, as pandapower's own power flow has it."""

from __future__ import annotations

import json
import math
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.checks.feeder import check_feeder
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.phases import NO_LIMIT_KVA, with_places
from v2geq.data.model.schema import FEEDER_TABLES
from v2geq.errors import DataError, listed, quoted

_WHERE = "pandapower net"
_REFUSED = ("trafo3w", "impedance", "dcline", "ward", "xward", "svc", "tcsc", "ssc", "vsc", "motor")
_LEFT_OUT = ("sgen", "gen", "storage", "asymmetric_sgen")


def read_pandapower(net: Any) -> Feeder:
    """Single-phase feeder of a radial pandapower net.

    Lines, two-winding transformers with their taps, switches, loads and shunt capacitors; its
    external grid is the root. Lines that are out of service or open at an end are normally open.
    Generators and storage are left out with a note: give them to the case. So are line charging
    and the magnetising branch of transformers. Ratings above any flow are no limit.

    Raises
    ------
    DataError
        Not a pandapower net, no or several external grids, an element that cannot be taken, closed
        branches that are not a tree.
    """
    try:
        import pandapower as pp
    except ImportError:
        raise DataError(
            "reading a pandapower net needs pandapower, which is not installed",
            advice="pip install 'v2geq[pandapower]'",
        ) from None
    if not isinstance(net, pp.pandapowerNet):
        raise DataError(
            f"{quoted(net)} is no pandapower net",
            advice="give a net, such as pandapower.networks.case33bw()",
        )
    _refuse(net)
    names = _names(net)
    kv = {int(i): float(v) for i, v in net.bus["vn_kv"].items()}
    base = float(net.bus.loc[list(names), "vn_kv"].mode().iloc[0])
    rows = [*_lines(net, names, kv, base), *_transformers(net, names, kv, base)]
    rows += _bus_switches(net, names, kv)
    columns = ["branch", "from_bus", "to_bus", "kind", "phases", "length_km", "r_ohm", "x_ohm"]
    columns += ["rating_kva", "ratio", "normally_open"]
    branches = pd.DataFrame(rows, columns=columns).set_index("branch")
    places = [_place(net, i) for i in names]
    buses = pd.DataFrame(
        {
            "phases": "abc",
            "x": [x for x, _ in places],
            "y": [y for _, y in places],
            "base_kv": [kv[i] for i in names],
        },
        index=pd.Index(list(names.values()), name="bus"),
    )
    grid = net.ext_grid[net.ext_grid["in_service"]]
    tables = {
        "buses": with_places(buses, branches),
        "branches": branches,
        "loads": _loads(net, names),
        "capacitors": _capacitors(net, names),
    }
    frames: dict[str, Any] = {
        t: schema.admit(tables[t], f"{_WHERE}: {t}") for t, schema in FEEDER_TABLES.items()
    }
    feeder = Feeder(
        name=str(net.name or "pandapower net"),
        root=names[int(grid["bus"].iloc[0])],
        base_kv=base,
        source="pandapower",
        **frames,
    )
    check_feeder(feeder)
    return feeder


def _refuse(net: Any) -> None:
    """Refuse what cannot be taken; say what is left out."""
    grids = net.ext_grid[net.ext_grid["in_service"]]
    if len(grids) != 1:
        raise DataError(
            f"{len(grids)} external grids in service", where=_WHERE, advice="keep one: the root"
        )
    for table in _REFUSED:
        if table in net and len(net[table]) and net[table].get("in_service", pd.Series(True)).any():
            raise DataError(
                f"elements that cannot be taken: {table} {listed(map(str, net[table].index))}",
                where=_WHERE,
                advice="replace them by lines, two-winding transformers or loads",
            )
    left = [
        f"{table} {listed(map(str, net[table].index[net[table]['in_service']]))}"
        for table in _LEFT_OUT
        if table in net and net[table]["in_service"].any()
    ]
    if left:
        warnings.warn(
            f"{_WHERE}: left out, give them to the case as generators: {'; '.join(left)}",
            stacklevel=3,
        )


def _names(net: Any) -> dict[int, str]:
    """Name of every bus in service: its own where all have one of their own, else its number."""
    alive = net.bus.index[net.bus["in_service"]]
    own = [str(n).strip() if n is not None and n == n else "" for n in net.bus.loc[alive, "name"]]
    plain = all(own) and len(set(own)) == len(own)
    return {int(i): (n if plain else str(i)) for i, n in zip(alive, own, strict=True)}


def _place(net: Any, bus: int) -> tuple[float, float]:
    geo = net.bus["geo"].get(bus) if "geo" in net.bus else None
    if not isinstance(geo, str):
        return math.nan, math.nan
    x, y = json.loads(geo)["coordinates"][:2]
    return float(x), float(y)


def _limit(kva: float) -> float:
    return kva if 0.0 < kva < NO_LIMIT_KVA else NO_LIMIT_KVA


def _number(row: Any, name: str, default: float) -> float:
    value = getattr(row, name, default)
    return default if value is None or value != value else float(value)


def _opened(net: Any, kind: str) -> set[int]:
    """Elements with an open switch at one of their ends."""
    switches = net.switch[(net.switch["et"] == kind) & ~net.switch["closed"].astype(bool)]
    return {int(e) for e in switches["element"]}


def _label(kind: str, row: Any, taken: set[str]) -> str:
    name = str(row.name).strip() if isinstance(row.name, str) else ""
    name = name if name and name not in taken else f"{kind}{row.Index}"
    taken.add(name)
    return name


def _lines(net: Any, names: dict[int, str], kv: dict[int, float], base: float) -> list[Any]:
    opened, taken, rows = _opened(net, "l"), set[str](), []
    charging = 0.0
    for row in net.line.itertuples():
        if row.from_bus not in names or row.to_bus not in names:
            continue
        volts, parallel = kv[row.from_bus], _number(row, "parallel", 1.0)
        refer = (base / volts) ** 2 * row.length_km / parallel
        charging += 2e-3 * math.pi * net.f_hz * row.c_nf_per_km * 1e-3 * row.length_km * volts**2
        amps = row.max_i_ka * 1000.0 * _number(row, "df", 1.0) * parallel
        if amps <= 0.0:
            raise DataError(
                f"max_i_ka = {row.max_i_ka:g} of line {row.Index} is not above 0",
                where=_WHERE,
                advice="give its rating, or a large one for no limit",
            )
        amps *= _number(row, "max_loading_percent", 100.0) / 100.0
        rows.append(
            (
                *(_label("line", row, taken), names[row.from_bus], names[row.to_bus], "line"),
                *("abc", row.length_km, row.r_ohm_per_km * refer, row.x_ohm_per_km * refer),
                *(_limit(math.sqrt(3.0) * volts * amps), 1.0),
                not row.in_service or int(row.Index) in opened,
            )
        )
    if charging > 1.0:
        warnings.warn(f"{_WHERE}: line charging of {charging:.0f} kvar is left out", stacklevel=3)
    return rows


def _transformers(net: Any, names: dict[int, str], kv: dict[int, float], base: float) -> list[Any]:
    opened, taken, rows = _opened(net, "t"), set[str](), []
    for row in net.trafo.itertuples():
        if row.hv_bus not in names or row.lv_bus not in names:
            continue
        high, low = row.vn_hv_kv / kv[row.hv_bus], row.vn_lv_kv / kv[row.lv_bus]
        step = _number(row, "tap_step_percent", 0.0) / 100.0
        change = 1.0 + step * (_number(row, "tap_pos", 0.0) - _number(row, "tap_neutral", 0.0))
        low_tap = low * (change if row.tap_side == "lv" else 1.0)
        ratio = low_tap / (high * (change if row.tap_side == "hv" else 1.0))
        parallel = _number(row, "parallel", 1.0)
        # per unit of 1 MVA at the low side, then referred to the high one
        refer = low_tap**2 / ratio**2 / (100.0 * row.sn_mva * parallel) * base**2
        x = math.sqrt(max(row.vk_percent**2 - row.vkr_percent**2, 0.0))
        kva = 1000.0 * row.sn_mva * parallel * _number(row, "df", 1.0)
        rows.append(
            (
                *(_label("trafo", row, taken), names[row.hv_bus], names[row.lv_bus]),
                *("transformer", "abc", 0.0, row.vkr_percent * refer, x * refer),
                *(_limit(kva * _number(row, "max_loading_percent", 100.0) / 100.0), ratio),
                not row.in_service or int(row.Index) in opened,
            )
        )
    return rows


def _bus_switches(net: Any, names: dict[int, str], kv: dict[int, float]) -> list[Any]:
    taken, rows = set[str](), []
    for row in net.switch[net.switch["et"] == "b"].itertuples():
        if row.bus not in names or row.element not in names:
            continue
        kva = math.sqrt(3.0) * kv[row.bus] * 1000.0 * _number(row, "in_ka", math.inf)
        rows.append(
            (
                *(_label("switch", row, taken), names[row.bus], names[row.element], "switch"),
                *("abc", 0.0, _number(row, "z_ohm", 0.0), 0.0, _limit(kva), 1.0, not row.closed),
            )
        )
    return rows


def _loads(net: Any, names: dict[int, str]) -> pd.DataFrame:
    total: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    parts: tuple[tuple[Any, list[str], list[str]], ...] = (
        (net.load, ["p_mw"], ["q_mvar"]),
        (
            net.asymmetric_load,
            [f"p_{k}_mw" for k in "abc"],
            [f"q_{k}_mvar" for k in "abc"],
        ),
    )
    for frame, real, reactive in parts:
        for row in frame[frame["in_service"].astype(bool)].itertuples():
            if row.bus in names:
                at = total[names[row.bus]]
                at[0] += 1000.0 * row.scaling * sum(getattr(row, c) for c in real)
                at[1] += 1000.0 * row.scaling * sum(getattr(row, c) for c in reactive)
    values = np.array(list(total.values())).reshape(-1, 2)
    return pd.DataFrame(
        {"load_kw": values[:, 0], "load_kvar": values[:, 1]},
        index=pd.Index(list(total), name="bus", dtype="str"),
    )


def _capacitors(net: Any, names: dict[int, str]) -> pd.DataFrame:
    shunts = net.shunt[net.shunt["in_service"].astype(bool)]
    rows = {}
    for row in shunts.itertuples():
        if row.q_mvar > 0.0 or row.p_mw != 0.0:
            raise DataError(
                f"shunt {row.Index} is no capacitor",
                where=_WHERE,
                advice="replace it by a load",
            )
        if row.bus in names:
            rows[f"shunt{row.Index}"] = (names[row.bus], -1000.0 * row.q_mvar * row.step)
    return pd.DataFrame(
        {"bus": [b for b, _ in rows.values()], "kvar": [q for _, q in rows.values()]},
        index=pd.Index(list(rows), name="capacitor", dtype="str"),
    )
