"""What a user holds prints shortly; the main objects have a card in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from tempfile import TemporaryDirectory
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr

import v2geq as vg
from v2geq.data.trips import spread_trips
from v2geq.errors import V2GError
from v2geq.market.solve import solve_market
from v2geq.studies.outcome import failed, solve_run
from v2geq.studies.plan import Run, Study

LONGEST = 1000
DEEPEST = 4
"""Attributes of attributes that are looked at."""
TABLES = (pd.DataFrame, pd.Series, pd.Index, xr.Dataset, xr.DataArray, np.ndarray, sp.sparray)
"""Shorten themselves."""
CARDS = (
    "case",
    "scenario",
    "equilibrium",
    "certificate",
    "accounts",
    "path flows",
    "summary",
    "explanation of a trip",
    "explanation of a price",
    "assignment",
    "study",
    "outcome",
    "failed outcome",
    "solver's result",
)


@cache
def held(size: str) -> Mapping[str, Any]:
    """What users hold, by name."""
    case = vg.load_case("ieee123_sioux_falls")
    if size == "all OD pairs":
        case = vg.load_case("ieee123_sioux_falls").with_parameters(spread_trips(case))
    eq = vg.solve(case, "stress", uniqueness=size == "shipped")
    run = Run("stress", True)
    study = Study(case, (Run("stress", False), run))
    with TemporaryDirectory() as folder:
        outcome = solve_run(study, run, folder)
    _, solved = solve_market(eq.scenario)
    return {
        "case": case,
        "scenario": eq.scenario,
        "equilibrium": eq,
        "certificate": eq.certificate,
        "accounts": eq.accounts,
        "path flows": eq.path_flows,
        "summary": eq.summary,
        "explanation of a trip": eq.explain(od=(1, 20)),
        "explanation of a price": eq.explain(bus="76"),
        "sensitivity": eq.sensitivity(of="dlmp", to="voll"),
        "assignment": vg.assign(case.road, case.road.trips),
        "roads of an arc": vg.assign(case.road, case.road.trips).select_link("1-2"),
        "user class": vg.UserClass(case.road.trips),
        "study": study,
        "run": run,
        "outcome": outcome,
        "failed outcome": failed(run, "bad_input", "no " * 1000),
        "options": vg.Options(),
        "solver's result": solved,
        "program": eq.coupled.mcp.programs[0],
        "market": eq.coupled.mcp.markets[0],
        "values": eq.values,
        "check": vg.check(case),
        "parameters": vg.parameters(case),
        "pictures": eq.plot,
        "public": [getattr(vg, name) for name in vg.__all__],
    }


def parts(name: str, x: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """An object of the package, and what its public attributes and entries lead to."""
    if id(x) in seen or isinstance(x, (type, FunctionType, MethodType, BuiltinMethodType)):
        return
    seen.add(id(x))
    yield name, x
    if depth == 0 or isinstance(x, (*TABLES, ModuleType, str)):
        return
    if isinstance(x, Mapping):
        entries = list(x.items())
        for k, v in entries[:2] + entries[-1:]:
            yield from parts(f"{name}[{k!r:.30}]", v, depth - 1, seen)
    elif isinstance(x, (list, tuple)):
        for v in [*x[:2], *x[-1:]]:
            yield from parts(f"{name}[...]", v, depth - 1, seen)
    if type(x).__module__.startswith("v2geq"):
        for attribute in dir(x):
            # what takes seconds or is the part of another object
            if attribute.startswith("_") or attribute in ("full_uniqueness",):
                continue
            try:
                value = getattr(x, attribute)
            except (V2GError, AttributeError):
                continue
            yield from parts(f"{name}.{attribute}", value, depth - 1, seen)


@pytest.mark.parametrize("size", ["shipped", "all OD pairs"])
def test_everything_prints_shortly(size: str) -> None:
    seen: set[int] = set()
    keep = held(size)
    long = {}
    for name, x in keep.items():
        for place, part in list(parts(name, x, DEEPEST, seen)):
            plain = isinstance(part, (*TABLES, str)) or type(part) in (list, tuple, dict)
            if not plain and len(repr(part)) > LONGEST:
                long[place] = (type(part).__name__, len(repr(part)))
    assert not long
    assert len(seen) > 300


@pytest.mark.parametrize("size", ["shipped", "all OD pairs"])
def test_collections_that_users_ask_for_print_shortly(size: str) -> None:
    case, eq = held(size)["case"], held(size)["equilibrium"]
    flows = eq.path_flows
    for x in (
        *(case.drivers, case.trips, case.trip_tables, case.scenarios, case.basis),
        *(eq.values, eq.log, eq.seconds, eq.warnings, eq.effort, eq.provenance),
        *(flows.values, flows.least_squares, eq.coupled.traffic.demand),
        eq.coupled.programs,
    ):
        assert len(repr(x)) <= LONGEST, type(x)


@pytest.mark.parametrize("size", ["shipped", "all OD pairs"])
@pytest.mark.parametrize("name", CARDS)
def test_main_objects_have_a_card(size: str, name: str) -> None:
    x = held(size)[name]
    card = x._repr_html_()
    assert card.startswith("<div>")
    assert card.count("<table") == card.count("</table>") >= 1
    assert len(card) < 20_000


def test_texts_say_what_it_is() -> None:
    found = held("shipped")
    eq = found["equilibrium"]
    assert repr(eq.certificate) == "<Certificate: holds, 11 figures>"
    assert repr(eq.coupled.traffic).startswith("<Traffic on 76 arcs: ev 720 veh/h on ")
    assert repr(found["case"].feeder) == (
        "<Feeder IEEE 123-bus feeder: 130 buses, 131 branches, 3,490 kW of load>"
    )
    assert repr(found["case"].trips) == "{'ev': <24 x 3>, 'fv': <528 x 3>}"
    assert repr(eq.log).startswith(f"<{len(eq.log)} entries, the last: Iteration(")
    assert repr(found["outcome"]) == "<Outcome of stress_v2g: certified>"
    assert "no no" in repr(found["failed outcome"])


def test_a_summary_is_a_dictionary_that_shows_units() -> None:
    import json

    summary = held("shipped")["summary"]
    assert isinstance(summary, dict)
    assert json.loads(json.dumps(summary)) == summary
    lines = repr(summary).splitlines()
    assert [line.split()[0] for line in lines] == list(summary)
    assert "$/kWh" in next(line for line in lines if line.startswith("dlmp_max"))
    frame = summary.to_frame()
    assert list(frame["figure"]) == list(summary)
    assert frame.set_index("figure").loc["dlmp_max", "value"] == summary["dlmp_max"]
