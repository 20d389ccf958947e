"""A small feeder by phases, made in Python."""

from __future__ import annotations

import math
from typing import Any

from v2geq.data.model.feeder import PhaseFeeder
from v2geq.data.model.phases import PHASE_TABLES

KV = 4.16 / math.sqrt(3.0)


def phase_feeder(**changes: Any) -> PhaseFeeder:
    """Main line and regulator in three phases, a one-phase side line, a house on split phases."""
    three = [(k, m) for k in "abc" for m in "abc"]
    two = [(k, m) for k in "12" for m in "12"]
    rows: dict[str, list[dict[str, Any]]] = {
        "buses": [
            {"bus": "source", "phases": "abc", "kv": KV, "x": 0.0, "y": 0.0},
            {"bus": "mid", "phases": "abc", "kv": KV, "x": 1.0, "y": 0.0},
            {"bus": "b", "phases": "abc", "kv": KV, "x": 2.0, "y": 0.0},
            {"bus": "c", "phases": "c", "kv": KV, "x": 3.0, "y": 1.0},
            {"bus": "low", "phases": "12", "kv": 0.12},
            {"bus": "house", "phases": "12", "kv": 0.12},
        ],
        "branches": [
            {"branch": "main", "from_bus": "source", "to_bus": "mid", "kind": "line"},
            {"branch": "reg", "from_bus": "mid", "to_bus": "b", "kind": "regulator"},
            {"branch": "side", "from_bus": "b", "to_bus": "c", "kind": "line"},
            {"branch": "service", "from_bus": "c", "to_bus": "low", "kind": "transformer"},
            {"branch": "drop", "from_bus": "low", "to_bus": "house", "kind": "line"},
            {
                "branch": "tie",
                "from_bus": "mid",
                "to_bus": "c",
                "kind": "switch",
                "normally_open": True,
            },
        ],
        "conductors": [
            *({"branch": "main", "phase": p, "from_phase": p, "rating_a": 400.0} for p in "abc"),
            *(
                {"branch": "reg", "phase": p, "from_phase": p, "ratio": 1.02, "rating_kva": 1000.0}
                for p in "abc"
            ),
            {"branch": "side", "phase": "c", "from_phase": "c", "rating_a": 200.0},
            {
                "branch": "service",
                "phase": "1",
                "from_phase": "c",
                "ratio": 1.0,
                "rating_kva": 25.0,
            },
            {
                "branch": "service",
                "phase": "2",
                "from_phase": "c",
                "ratio": -1.0,
                "rating_kva": 25.0,
            },
            *({"branch": "drop", "phase": p, "from_phase": p} for p in "12"),
            {"branch": "tie", "phase": "c", "from_phase": "c"},
        ],
        "impedances": [
            *_cells("main", three, 0.3 + 0.6j, 0.1 + 0.2j),
            {"branch": "side", "phase": "c", "other_phase": "c", "r_ohm": 0.5, "x_ohm": 0.5},
            *_cells("service", two, 0.8 + 1.0j, 0.2 + 0.6j),
            *_cells("drop", two, 0.02, 0.005),
        ],
        "loads": [
            _load("three", "b", "abc", 150.0, 60.0, KV),
            _load("delta", "b", "abc", 180.0, 70.0, 4.16, connection="delta", model="impedance"),
            _load("one", "c", "c", 50.0, 23.0, KV, model="current"),
            _load("leg", "house", "1", 4.0, 1.0, 0.12),
        ],
        "capacitors": [
            {"capacitor": "bank", "bus": "b", "phases": "abc", "kvar": 90.0, "kv": KV},
            {
                "capacitor": "off",
                "bus": "b",
                "phases": "a",
                "kvar": 30.0,
                "kv": KV,
                "closed": False,
            },
        ],
        "generators": [],
    }
    frames = {}
    for table, schema in PHASE_TABLES.items():
        frame = changes.get(table, rows[table])
        values: dict[str, Any] = {
            c.name: [row.get(c.name, c.default) for row in frame] for c in schema.columns
        }
        frames[table] = schema.frame(values)
    own = {"name": "small", "root": "source", "root_voltage": 1.02}
    return PhaseFeeder(**{**own, **{k: v for k, v in changes.items() if k in own}}, **frames)


def _cells(branch: str, pairs: list[tuple[str, str]], own: complex, mutual: complex) -> list[Any]:
    cells = []
    for k, m in pairs:
        z = complex(own if k == m else mutual)
        cells.append(
            {"branch": branch, "phase": k, "other_phase": m, "r_ohm": z.real, "x_ohm": z.imag}
        )
    return cells


def _load(name: str, bus: str, phases: str, kw: float, kvar: float, kv: float, **more: Any) -> Any:
    return {"load": name, "bus": bus, "phases": phases, "kw": kw, "kvar": kvar, "kv": kv, **more}
