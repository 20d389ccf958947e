"""Look at a case without solving it: contents, what every scenario leaves of it, who gets where.

All that can be said before a solver runs: every scenario is resolved with and without V2G, and
every electric trip is checked for a path its battery can do.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2geq.data.edit.case import load_case
from v2geq.data.model.case import CaseData
from v2geq.data.model.values import BASES
from v2geq.data.parameters.change import admit_case
from v2geq.data.parameters.unused import unused, unused_changes
from v2geq.data.readers.folders import available_cases, networks_folder
from v2geq.data.readers.tables import read_text
from v2geq.errors import DataError, collecting, listed, part
from v2geq.files import as_path
from v2geq.roads.graph import Graph
from v2geq.scenario import Scenario, resolve
from v2geq.show import card
from v2geq.studies.plan import Study, read_study
from v2geq.trips.battery import EnergyRules
from v2geq.trips.reach import reach
from v2geq.trips.traffic import traffic

FAST_CHARGER = 3.0
"""Charger power over battery capacity (1/h) above which a warning is due."""


FEW = 5
"""Mistakes in one column of a table that are told one by one."""


@dataclass
class Report:
    """What a check found: lines of text, what is doubtful, and what is wrong with which runs.

    Attributes
    ----------
    name : case
    lines : what the case holds
    warnings : what is doubtful
    errors : what is wrong, every mistake once; of a cell of a table the first, for what cannot be
        read names nothing either
    """

    name: str = ""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> list[str]:
        """Every problem once, with the runs that have it if it is not of all."""
        return [
            f"{text} ({', '.join(run for run in runs if run)})" if any(runs) else text
            for text, runs in self.problems.items()
        ]

    @property
    def told(self) -> list[str]:
        """The errors for people: of many in one column the first few, and how many more."""
        seen: dict[str, int] = {}
        kept = []
        for text, error in zip(self.problems, self.errors, strict=True):
            column = re.sub(r", line \d+", "", self.places[text])
            seen[column] = seen.get(column, 0) + 1
            if ", column " not in column or seen[column] <= FEW:
                kept.append(error)
        many = [(c, n - FEW) for c, n in seen.items() if ", column " in c and n > FEW]
        return kept + [f"{column}: {n} more like these" for column, n in many]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        told = [f"error: {e}" for e in self.told] + [f"warning: {w}" for w in self.warnings]
        return "\n".join([repr(self).strip("<>"), *(f"  {line}" for line in told)])

    def __repr__(self) -> str:
        found = f"{_many(len(self.errors), 'error')}, {_many(len(self.warnings), 'warning')}"
        return f"<Check of {self.name}: {found}>"

    def _repr_html_(self) -> str:
        rows = {f"error {k}": text for k, text in enumerate(self.told, 1)}
        rows |= {f"warning {k}": text for k, text in enumerate(self.warnings, 1)}
        return card(repr(self).strip("<>"), rows, good=self.ok)

    def head(self, text: str) -> None:
        """Start a section."""
        self.lines += ["", text] if self.lines else [text]

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what is said of them, aligned."""
        width = max((len(name) for name, _ in rows), default=0)
        self.lines += [f"  {name:<{width}}  {text}" for name, text in rows]

    def fail(self, error: DataError, run: str = "") -> None:
        """Note what is wrong with a run."""
        text, place = str(error), error.where
        if text not in self.problems and ", column " in place and place in self.places.values():
            return
        self.problems.setdefault(text, []).append(run)
        self.places[text] = place

    def warn(self, text: str) -> None:
        """Note a warning, each text once."""
        if text not in self.warnings:
            self.warnings.append(text)


def check(case: CaseData | str | Path) -> Report:
    """Every mistake of a case at once, and what is doubtful in it; nothing is solved.

    Parameters
    ----------
    case
        CaseData, name of a shipped one, folder of a case with or without a study, case.toml or
        study.toml.

    Returns
    -------
    Report
        Its `errors` are those of all tables, settings and scenarios, as far as one does not make
        others meaningless; `ok` if there are none. What the case holds is told only then.

    Raises
    ------
    DataError
        What is given is neither a case nor a path.
    """
    report = Report(case.name if isinstance(case, CaseData) else str(as_path(case, "a case")))
    whole, plan = None, None
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        with collecting() as found, part():
            whole, plan = (admit_case(case), None) if isinstance(case, CaseData) else _read(case)
    for doubt in doubts:
        report.warn(str(doubt.message))
    for error in found:
        report.fail(error)
    if whole is None or found:
        return report
    report.name = whole.name
    _describe(report, whole, plan)
    _trips(report, whole)
    _scenarios(report, whole, plan)
    return report


def _read(path: str | Path) -> tuple[CaseData, Study | None]:
    """Case and study at `path`; a study brings its own case."""
    path = path if isinstance(path, str) else as_path(path, "a case")
    file = networks_folder() / path if path in available_cases() else Path(path)
    if os.path.isfile(file / "study.toml"):
        file = file / "study.toml"
    if file.name == "case.toml" or not os.path.isfile(file):
        return load_case(path), None
    # any other TOML file may be either
    if file.suffix == ".toml" and "[study]" not in read_text(file):
        return load_case(path), None
    plan = read_study(file)
    return plan.case, plan


# -- What the files hold ---------------------------------------------------------------------------


def _describe(report: Report, case: CaseData, plan: Study | None) -> None:
    feeder, road, factor = case.feeder, case.road, case.road_settings.capacity_factor
    kinds = Counter(feeder.branches["kind"])
    opened = int(feeder.branches["normally_open"].sum())
    branches = ", ".join(
        _many(n, kind, "es" if kind == "switch" else "s") for kind, n in kinds.items()
    )
    loads = feeder.loads[feeder.loads["load_kw"] > 0]
    closed = int((~road.nodes["through"].astype(bool)).sum())
    stations, generators = case.stations, case.generators
    report.head(f"{case.name}: {case.title}" if case.title else case.name)
    rows = [
        (
            "feeder",
            f"{_many(len(feeder.buses), 'bus', 'es')} at {feeder.base_kv:g} kV, root {feeder.root}",
        ),
        (
            "branches",
            f"{len(feeder.branches)}: {branches}" + (f"; {opened} normally open" if opened else ""),
        ),
        (
            "loads",
            f"{feeder.loads['load_kw'].sum():,.1f} kW and {feeder.loads['load_kvar'].sum():,.1f} "
            f"kvar at {_many(len(loads), 'bus', 'es')}",
        ),
        (
            "capacitors",
            f"{feeder.capacitors['kvar'].sum():,.1f} kvar in "
            f"{_many(len(feeder.capacitors), 'bank')} ({case.feeder_settings.capacitors})",
        ),
        (
            "road",
            f"{_many(len(road.nodes), 'node')}, {_many(len(road.arcs), 'arc')}, "
            f"{road.arcs['length_km'].sum():,.1f} km"
            + (f"; {closed} nodes let no route pass" if closed else "")
            + (f"; capacities times {factor:g}" if factor != 1.0 else ""),
        ),
        *([("tolls", tolls)] if (tolls := _tolls(case)) else []),
        (
            "stations",
            f"{len(stations)}; charge up to {stations['charge_max_kw'].sum():,.0f} kW, "
            f"discharge up to {stations['discharge_max_kw'].sum():,.0f} kW, "
            f"{stations['piles'].sum():g} piles"
            + ("; queues by direction" if case.station_settings.queue == "direction" else ""),
        ),
        ("LSEs", ", ".join(f"{k} ({v:.1%})" for k, v in case.lses["portion"].items())),
        (
            "generators",
            f"{len(generators)}; {generators['min_kw'].sum():,.0f} to "
            f"{generators['max_kw'].sum():,.0f} kW",
        ),
    ]
    for name, kind in case.drivers.items():
        trips = case.trips[name]
        word = "electric" if kind.kind == "ev" else "fuel"
        text = f"{word}, {trips['trips_veh_h'].sum():,.1f} veh/h on {_many(len(trips), 'OD pair')}"
        if kind.kind == "ev":
            span = (1.0 - kind.reserve) * kind.battery / kind.consumption
            text += f"; {kind.battery:g} kWh, {span:.4g} km between stops"
            if kind.start_level < 1.0:
                first = (kind.start_level - kind.reserve) * kind.battery / kind.consumption
                text += f", {first:.4g} km to the first"
            if not kind.v2g:
                text += "; sells no energy"
            power = min(kind.charger_power, stations["charger_power_kw"].max())
            if power > FAST_CHARGER * kind.battery:
                report.warn(
                    f"charger power of class {name} is {power / kind.battery:.1f} C, "
                    f"above {FAST_CHARGER:g} C"
                )
        rows.append((f"class {name}", text))
    rows.append(("scenarios", ", ".join(case.scenarios)))
    if plan is not None:
        named = [v for v in plan.variants if v]
        rows.append(
            (
                "study",
                _many(len(plan.runs), "run") + (f"; variants {', '.join(named)}" if named else ""),
            )
        )
    count = Counter(basis for basis, _ in case.basis.values())
    left = sum(note == "default" for _, note in case.basis.values())
    rows.append(
        ("parameters", ", ".join(f"{count[b]} {b}" for b in BASES) + f" ({left} of them defaults)")
    )
    report.table(rows)
    for text in unused(case):
        report.warn(text)
    if case.market.voll <= max(case.substation.price, case.market.reference_price):
        report.warn(
            f"the value of lost load ({case.market.voll:g} {case.currency}/kWh) is not above the "
            "price of energy: firm load is shed to save money"
        )


def _tolls(case: CaseData) -> str:
    """Arcs with a toll, in words."""
    toll = case.road.arcs.get("toll", pd.Series(dtype=float))
    toll = toll[toll > 0.0]
    arcs = [f"{arc} ({amount:g})" for arc, amount in toll.items()]
    return f"{case.currency}/veh on {_many(len(toll), 'arc')}: {listed(arcs)}" if arcs else ""


# -- Who gets where --------------------------------------------------------------------------------


def _trips(report: Report, case: CaseData) -> None:
    """Reach of electric trips with all stations."""
    graph = Graph.from_road(case.road)
    at = {n: i for i, n in enumerate(graph.nodes)}
    stations = np.array([at[n] for n in case.stations["road_node"]], dtype=np.int64)
    used = np.zeros(len(stations), dtype=bool)
    rows = []
    for name, kind in case.drivers.items():
        if kind.kind != "ev":
            continue
        pairs = graph.pairs(case.trips[name])
        found = reach(graph, EnergyRules.from_class(kind), pairs, stations)
        used |= found.usable
        number = Counter(found.stops.tolist())
        words = {0: "direct", 1: "with one stop", 2: "with two stops", 3: "NOT AT ALL"}
        text = ", ".join(f"{number[k]} {word}" for k, word in words.items() if number[k])
        rows.append((f"class {name}", f"{_many(len(pairs), 'OD pair')}: {text}"))
    if rows:
        report.head("electric trips within the battery, least stops")
        report.table(rows)
        for station in case.stations.index[~used]:
            report.warn(f"station {station}: no electric trip can stop there")


# -- Scenarios -------------------------------------------------------------------------------------


ISLAND_COLUMNS = (
    "buses",
    "load kW",
    "firm kW",
    "generators",
    "TSO",
    "vehicles",
    "load kvar",
    "supply from",
    "to kvar",
)
"""Of the scenarios' tables: real load, the most of each supply, reactive load and its supply."""


@dataclass(frozen=True)
class _Island:
    """A part of the feeder that is connected: name and figures of `ISLAND_COLUMNS`."""

    name: str
    figures: tuple[float, ...]

    @property
    def lack(self) -> tuple[float, float]:
        """Firm load above all supply, kW, without and with vehicles."""
        _, _, firm, made, tso, vehicles, *_ = self.figures
        return max(firm - made - tso, 0.0), max(firm - made - tso - vehicles, 0.0)


def _scenarios(report: Report, case: CaseData, plan: Study | None) -> None:
    """Resolve every scenario with and without V2G, and again in every variant of the study."""
    variants: dict[str, Mapping[str, Any]] = {"": {}}
    if plan is not None:
        variants |= {run.variant: run.changes for run in plan.runs}
    plain: dict[str, list[_Island]] = {}
    for variant, changes in variants.items():
        for name in case.scenarios:
            title = f"scenario {name}" + (f", variant {variant}" if variant else "")
            found = _resolved(report, case, name, title, changes)
            islands = _islands(found[max(found)]) if found else []
            if variant and islands == plain[name]:
                continue
            plain.setdefault(name, islands)
            _scenario(report, title, found, islands)


def _resolved(
    report: Report, case: CaseData, name: str, title: str, changes: Mapping[str, Any]
) -> dict[bool, Scenario]:
    """The scenario without and with V2G, as far as it can be set up."""
    found: dict[bool, Scenario] = {}
    for v2g in (False, True):
        try:
            resolved = resolve(case, name, v2g=v2g, changes=changes)
            # paths are needed too, and stations may have lost their power
            traffic(resolved)
        except DataError as error:
            run = f"{title} {'with' if v2g else 'without'} V2G"
            report.fail(error.at(case.where), run)
        else:
            found[v2g] = resolved
            changed = [*case.scenarios[name].set, *changes]
            # a variant may change other scenarios than this one
            own = [c for c in changed if not c.startswith("scenario.")]
            for text in unused_changes(resolved.case, name, own):
                report.warn(f"{title}: {text}")
    return found


def _scenario(
    report: Report, title: str, found: Mapping[bool, Scenario], islands: Sequence[_Island]
) -> None:
    report.head(title)
    missing = " and ".join(w for v, w in ((False, "without"), (True, "with")) if v not in found)
    if missing:
        report.lines.append(f"  cannot be set up {missing} V2G, see the errors")
    if not found:
        return
    cells = [
        ["", *ISLAND_COLUMNS],
        *([i.name, *(f"{round(x) + 0:,}" for x in i.figures)] for i in islands),
    ]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    for row in cells:
        first, *numbers = (
            c.rjust(w) if k else c.ljust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        report.lines.append("  ".join(["", first, *numbers]))
    for island in islands:
        without, with_vehicles = island.lack
        if with_vehicles:
            report.warn(
                f"{title}, {island.name}: firm load exceeds all supply by {with_vehicles:,.0f} kW "
                "and will be shed"
            )
        elif without:
            report.warn(
                f"{title}, {island.name}: without vehicles firm load exceeds supply by "
                f"{without:,.0f} kW"
            )
    s = found[max(found)]
    if s.dead_buses:
        what = _many(len(s.dead_buses), "bus", "es")
        report.lines.append(f"  {what} without use or supply left out: {listed(s.dead_buses)}")
    lost = [name for name in s.case.stations.index if name not in s.stations.index]
    if lost:
        report.warn(f"{title}: stations without power: {listed(lost)}")


def _islands(s: Scenario) -> list[_Island]:
    position, tso, grid = s.bus_position, s.case.substation, s.network
    at_station = np.array([s.island[position[b]] for b in s.stations["bus"]], dtype=np.int64)
    at_generator = np.array([s.island[position[b]] for b in s.generators["bus"]], dtype=np.int64)
    rows = []
    for k in range(int(s.island.max()) + 1):
        here, root = s.island == k, k == 0
        first = s.buses[int(np.flatnonzero(here)[0])]
        rows.append(
            _Island(
                "substation" if root else f"island of {first}",
                (
                    float(here.sum()),
                    float((s.firm_kw + s.responsive_kw)[here].sum()),
                    float(s.firm_kw[here].sum()),
                    float(s.generators["max_kw"].to_numpy()[at_generator == k].sum())
                    + float(
                        s.stations[["pv_kw", "store_discharge_kw"]][at_station == k].sum().sum()
                    ),
                    tso.import_max if root else 0.0,
                    float(s.stations["discharge_max_kw"].to_numpy()[at_station == k].sum())
                    if s.v2g
                    else 0.0,
                    float(grid.reactive_kvar[here].sum()),
                    float((grid.reactive_min + grid.offered_min)[here].sum())
                    + (tso.reactive_min if root else 0.0),
                    float((grid.reactive_max + grid.offered_max)[here].sum())
                    + (tso.reactive_max if root else 0.0),
                ),
            )
        )
    return rows


def _many(n: int, word: str, ending: str = "s") -> str:
    return f"{n} {word}{'' if n == 1 else ending}"
