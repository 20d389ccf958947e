"""How users spell an OD pair, a bus, a station or a line, and what each spelling means.

Names may be numbers (76 is "76"); pairs are "1-20", ("1", "20") or (1, 20).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from v2geq.errors import DataError, did_you_mean, quoted, unknown_name

if TYPE_CHECKING:
    from v2geq.scenario import Scenario

Name = str | int
Pair = tuple[str, str]
Ends = str | tuple[Name, Name]
"""Spelling of a pair."""


def od_pair(given: Ends, known: Iterable[Pair], who: str) -> Pair:
    """One of the `known` OD pairs; `who` would travel it.

    Raises
    ------
    DataError
        What is no pair, or a pair that nobody travels.
    """
    by_label = {"-".join(pair): pair for pair in known}
    label = _joined(given)
    if label is None:
        raise DataError(
            f"{quoted(given)} is no OD pair", advice="write od=(1, 20) or od='1-20', for example"
        )
    if label not in by_label:
        raise DataError(f"no {who} travel {label}", advice=did_you_mean(label, by_label))
    return by_label[label]


def bus(given: Name, scenario: Scenario) -> str:
    """An energised bus.

    Raises
    ------
    DataError
        An unknown bus, or one out of service.
    """
    name = _one_of("bus", given, map(str, scenario.case.feeder.buses.index))
    if name not in scenario.bus_position:
        raise DataError(
            f"bus {name!r} is out of service in scenario {scenario.name!r}: its part of the feeder "
            "has no supply, load or station"
        )
    return name


def station(given: Name, scenario: Scenario) -> str:
    """A station with power.

    Raises
    ------
    DataError
        An unknown station, or one without power.
    """
    name = _one_of("station", given, map(str, scenario.case.stations.index))
    if name not in scenario.stations.index:
        raise DataError(f"station {name!r} has no power in scenario {scenario.name!r}")
    return name


def line(given: Ends | int, scenario: Scenario) -> str:
    """A closed branch of the feeder, by its name or its two buses in any order.

    Raises
    ------
    DataError
        An unknown branch, or one that carries nothing.
    """
    branches = scenario.case.feeder.branches
    ends = zip(branches["from_bus"].astype(str), branches["to_bus"].astype(str), strict=True)
    known = dict(zip(map(str, branches.index), ends, strict=True))
    label = _joined(given) or str(given)
    if label not in known:
        joins = [n for n, (a, b) in known.items() if label in (f"{a}-{b}", f"{b}-{a}")]
        live = [n for n in joins if n in scenario.lines.names]
        label = next(iter(live or joins), label)
    name = _one_of("line", label, known)
    if name not in scenario.lines.names:
        raise DataError(f"line {name!r} is open or without supply in scenario {scenario.name!r}")
    return name


def _joined(given: Any) -> str | None:
    """A pair as text; nothing for what is no pair."""
    if isinstance(given, str):
        return given
    if isinstance(given, tuple | list) and len(given) == 2:
        return "-".join(map(str, given))
    return None


def _one_of(kind: str, given: Any, known: Iterable[str]) -> str:
    names = list(known)
    if str(given) not in names:
        raise unknown_name(f"there is no {kind}", given, names)
    return str(given)
