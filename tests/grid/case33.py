"""The 33-bus feeder of Baran and Wu.

M. E. Baran, F. F. Wu, Network reconfiguration in distribution systems for loss reduction and load
balancing, IEEE Trans. Power Delivery 4 (1989) 1401-1407, 12.66 kV, tie lines open; the values are
those of pandapower's case33bw. Published: 202.7 kW of losses, lowest voltage 0.9131 pu at bus 18.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from v2geq.data.model.feeder import Feeder
from v2geq.data.model.schema import FEEDER_TABLES

KV = 12.66
LINES = (
    # from, to, r ohm, x ohm, kW and kvar at the end
    (1, 2, 0.0922, 0.047, 100.0, 60.0),
    (2, 3, 0.493, 0.2511, 90.0, 40.0),
    (3, 4, 0.366, 0.1864, 120.0, 80.0),
    (4, 5, 0.3811, 0.1941, 60.0, 30.0),
    (5, 6, 0.819, 0.707, 60.0, 20.0),
    (6, 7, 0.1872, 0.6188, 200.0, 100.0),
    (7, 8, 0.7114, 0.2351, 200.0, 100.0),
    (8, 9, 1.03, 0.74, 60.0, 20.0),
    (9, 10, 1.044, 0.74, 60.0, 20.0),
    (10, 11, 0.1966, 0.065, 45.0, 30.0),
    (11, 12, 0.3744, 0.1238, 60.0, 35.0),
    (12, 13, 1.468, 1.155, 60.0, 35.0),
    (13, 14, 0.5416, 0.7129, 120.0, 80.0),
    (14, 15, 0.591, 0.526, 60.0, 10.0),
    (15, 16, 0.7463, 0.545, 60.0, 20.0),
    (16, 17, 1.289, 1.721, 60.0, 20.0),
    (17, 18, 0.732, 0.574, 90.0, 40.0),
    (2, 19, 0.164, 0.1565, 90.0, 40.0),
    (19, 20, 1.5042, 1.3554, 90.0, 40.0),
    (20, 21, 0.4095, 0.4784, 90.0, 40.0),
    (21, 22, 0.7089, 0.9373, 90.0, 40.0),
    (3, 23, 0.4512, 0.3083, 90.0, 50.0),
    (23, 24, 0.898, 0.7091, 420.0, 200.0),
    (24, 25, 0.896, 0.7011, 420.0, 200.0),
    (6, 26, 0.203, 0.1034, 60.0, 25.0),
    (26, 27, 0.2842, 0.1447, 60.0, 25.0),
    (27, 28, 1.059, 0.9337, 60.0, 20.0),
    (28, 29, 0.8042, 0.7006, 120.0, 70.0),
    (29, 30, 0.5075, 0.2585, 200.0, 600.0),
    (30, 31, 0.9744, 0.963, 150.0, 70.0),
    (31, 32, 0.3105, 0.3619, 210.0, 100.0),
    (32, 33, 0.341, 0.5302, 60.0, 40.0),
)


def case33(
    ratings: dict[str, float] | None = None, loads: dict[str, float] | None = None
) -> Feeder:
    """The feeder, without ratings but those given (kVA), with some real loads changed (kW)."""
    ends = [str(end) for _, end, *_ in LINES]
    names = [f"{start}-{end}" for start, end, *_ in LINES]
    r, x, kw, kvar = ([row[k] for row in LINES] for k in (2, 3, 4, 5))
    branches: dict[str, Any] = {
        "from_bus": [str(start) for start, *_ in LINES],
        "to_bus": ends,
        "kind": "line",
        "phases": "abc",
        "length_km": 0.0,
        "r_ohm": r,
        "x_ohm": x,
        "rating_kva": [(ratings or {}).get(name, 1e6) for name in names],
        "ratio": 1.0,
        "normally_open": False,
    }
    buses = ["1", *ends]
    load = [(loads or {}).get(end, value) for end, value in zip(ends, kw, strict=True)]
    frames = {
        "buses": pd.DataFrame(
            {"phases": "abc", "x": 0.0, "y": 0.0, "base_kv": KV}, index=pd.Index(buses, name="bus")
        ),
        "branches": pd.DataFrame(branches, index=pd.Index(names, name="branch")),
        "loads": pd.DataFrame(
            {"load_kw": load, "load_kvar": kvar}, index=pd.Index(ends, name="bus")
        ),
        "capacitors": pd.DataFrame({"bus": [], "kvar": []}, index=pd.Index([], name="capacitor")),
    }
    tables = {name: schema.admit(frames[name]) for name, schema in FEEDER_TABLES.items()}
    return Feeder("33-bus feeder", "1", KV, **tables)
