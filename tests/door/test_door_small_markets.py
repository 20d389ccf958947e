"""Markets with a part missing or at the edge of its range are solved, certified and saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from door import Answer, SmallCase

from v2geq.data.edit.case import Case
from v2geq.equilibrium import solve

pytestmark = pytest.mark.slow

EV = "[drivers.ev]", "[drivers.fv]"
FV = "[drivers.fv]", "[scenario.base]"


def drop(small: SmallCase, begin: str, end: str) -> None:
    """Leave out a part of case.toml."""
    text = small.path("case.toml").read_text(encoding="utf-8")
    kept = text[: text.index(begin)] + text[text.index(end) :]
    small.path("case.toml").write_text(kept, encoding="utf-8")


def no_ev(small: SmallCase) -> None:
    small.edit("case.toml", 'trips_of = { value = "ev"', 'trips_of = { value = ""')
    small.edit("case.toml", '"../sioux_falls/trips.csv"', '"ev_trips.csv"')
    drop(small, *EV)


def no_fv(small: SmallCase) -> None:
    drop(small, *FV)


def wide_battery(small: SmallCase) -> None:
    # without stations every trip must end on its first battery
    small.edit("case.toml", "battery = { value = 24.0", "battery = { value = 60.0")


def no_stations(small: SmallCase) -> None:
    small.keep_header("stations.csv")
    wide_battery(small)


def one_station(small: SmallCase) -> None:
    lines = small.path("stations.csv").read_text(encoding="utf-8").splitlines()
    small.path("stations.csv").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    wide_battery(small)


def no_generators(small: SmallCase) -> None:
    small.keep_header("generators.csv")


def one_lse(small: SmallCase) -> None:
    small.path("lses.csv").write_text("lse,portion\nA,1\n", encoding="utf-8")
    text = small.path("generators.csv").read_text(encoding="utf-8")
    small.path("generators.csv").write_text(text.replace(",B,", ",A,"), encoding="utf-8")


def idle_lse(small: SmallCase) -> None:
    small.path("lses.csv").write_text("lse,portion\nA,0.5\nB,0.5\nC,0\n", encoding="utf-8")


def no_loads(small: SmallCase) -> None:
    small.keep_header("feeder/loads.csv")


def as_it_is(small: SmallCase) -> None:
    pass


PARTS: dict[str, tuple[Callable[[SmallCase], None], Mapping[str, Any]]] = {
    "no electric class": (no_ev, {}),
    "no fuel class": (no_fv, {}),
    "no stations": (no_stations, {}),
    "one station": (one_station, {}),
    "no generators": (no_generators, {}),
    "one LSE": (one_lse, {}),
    "LSE without customers": (idle_lse, {}),
    "no loads": (no_loads, {}),
    "no responsive demand": (as_it_is, {"firm_share": 1.0}),
    "no firm demand": (as_it_is, {"firm_share": 0.0}),
    "no line limits": (as_it_is, {"line_rating": "none"}),
    "box limits": (as_it_is, {"line_rating": "box"}),
    "polygon limits": (as_it_is, {"line_rating": "polygon"}),
    "polygon of four sides": (as_it_is, {"line_rating": "polygon", "rating_sides": 4}),
    "no import": (as_it_is, {"import_max": 0.0}),
    "free energy": (as_it_is, {"substation.price": 0.0}),
    "load factor zero": (as_it_is, {"scenario.base.load_factor": 0.0}),
    "generator that must run": (as_it_is, {"generators.g13.min_kw": 300.0}),
    "generator out of service": (as_it_is, {"generators.g13.max_kw": 0.0}),
    "road without congestion": (as_it_is, {"road.arcs.1-2.bpr_b": 0.0}),
    "linear congestion": (as_it_is, {"road.arcs.1-2.bpr_power": 1.0}),
    "switched capacitors": (as_it_is, {"feeder.capacitors": "switchable"}),
    "wear and energy priced": (as_it_is, {"degradation": 0.1, "energy_value": 0.15}),
}


LEFT_OUT = [name for name, (change, _) in PARTS.items() if change is not as_it_is]
EDGES = [name for name in PARTS if name not in LEFT_OUT]


@pytest.mark.parametrize(("method", "v2g"), [("exact", True), ("enumerate", False)])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_part_left_out(
    small: SmallCase, run: Callable[..., Answer], name: str, method: str, v2g: bool
) -> None:
    change, _ = PARTS[name]
    change(small)
    eq = solve(small.load(), "base", v2g=v2g, parameters={"paths.method": method})
    assert eq.certificate.holds, str(eq.certificate)
    file = small.root / "part.nc"
    eq.save(file)
    shown = run("show", file)
    assert shown.code == 0, shown.err + shown.out
    assert not shown.err


@pytest.mark.parametrize("name", EDGES)
def test_a_value_at_the_edge(solved_case: Case, name: str) -> None:
    _, values = PARTS[name]
    eq = solve(solved_case, "base", parameters={**values, "paths.method": "exact"})
    assert eq.certificate.holds, str(eq.certificate)
    assert eq.summary["status"] == "solved"
