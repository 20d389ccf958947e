"""What a case holds and no equation uses, told so that nobody waits for its effect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from v2geq.arrays import BoolArray
from v2geq.data.model.case import CaseData
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.road import DELAY_NAMES, delay_text
from v2geq.data.model.settings import SECTIONS
from v2geq.data.model.values import setting_specs
from v2geq.data.parameters.targets import Target, find_target, table_frame
from v2geq.errors import listed


def unused(case: CaseData) -> list[str]:
    """Columns and settings with a value other than the usual that nothing uses, in words."""
    out = []
    for table, column, given in _columns(case):
        rows = table_frame(case, table).index[given]
        by_reason: dict[str, list[str]] = {}
        for key in rows:
            if why := why_unused(case, Target("table", table, column, str(key))):
                by_reason.setdefault(why, []).append(str(key))
        out += [f"{table}: {column} of {listed(k)} is not used: {w}" for w, k in by_reason.items()]
    for section, (attribute, cls) in SECTIONS.items():
        for name, spec in setting_specs(cls).items():
            value = getattr(getattr(case, attribute), name)
            why = why_unused(case, Target("section", section, name))
            if why and not spec.required and value != spec.default:
                out.append(f"{section}.{name} = {value!r} is not used: {why}")
    out += idle_sources(case.feeder)
    shut = case.feeder.branches["normally_open"].astype(bool)
    for name, scenario in case.scenarios.items():
        anyway = [branch for branch in scenario.closed if not shut[branch]]
        if anyway:
            out.append(f"scenario.{name}.closed: {listed(anyway)} is closed in any scenario")
    return out


def idle_sources(feeder: Feeder) -> list[str]:
    """Generators, PV and storage of a feeder by phases, which only its AC power flow counts."""
    if feeder.by_phase is None or feeder.by_phase.generators.empty:
        return []
    names = listed(list(feeder.by_phase.generators.index))
    return [f"generators of the feeder by phases are not used: {names}; list them in generators"]


def unused_changes(case: CaseData, scenario: str, names: Iterable[str]) -> list[str]:
    """Of the parameters changed for a run of a scenario those that nothing uses, in words."""
    out = []
    for name in names:
        target = find_target(case, name)
        why = why_unused(case, target)
        if target.kind == "scenario" and target.owner != scenario:
            why = f"the scenario is {scenario}"
        if why:
            out.append(f"{target.name} is changed but not used: {why}")
    return out


def _columns(case: CaseData) -> Iterator[tuple[str, str, BoolArray]]:
    """Table, column, and (row,) whether a value is given, of columns that may be without use."""
    arcs, generators, stations = case.road.arcs, case.generators, case.stations
    for column in ("bpr_b", "bpr_power", "conical_alpha"):
        if column in arcs:
            yield "road.arcs", column, arcs[column].to_numpy(dtype=float) != 0.0
    for column in ("cost_linear", "cost_quadratic"):
        yield "generators", column, generators[column].to_numpy(dtype=float) != 0.0
    for table, frame in (("stations", stations), ("generators", generators)):
        yield table, "phases", frame["phases"].to_numpy() != ""
    own = stations["discharge_piles"].to_numpy() != stations["piles"].to_numpy()
    yield "stations", "discharge_piles", own
    yield "stations", "store_value", stations["store_value"].to_numpy(dtype=float) != 0.0
    yield "stations", "store_efficiency", stations["store_efficiency"].to_numpy(dtype=float) != 1.0


def why_unused(case: CaseData, target: Target) -> str:
    """Why no equation of the case uses what `target` points at; empty where one does."""
    owner, field = target.owner, target.field
    grid, market = case.feeder_settings, case.market
    if target.kind == "driver":
        silent = field in ("discharge_level", "degradation", "wear") and not case.drivers[owner].v2g
        return f"v2g of class {owner} is false" if silent else ""
    if field == "phases" and grid.formulation == "single_phase":
        return "feeder.formulation is single_phase"
    if owner == "road.arcs":
        return _why_no_delay(case, target)
    if owner == "generators":
        formula = str(case.generators.loc[target.key, "cost"])
        return f"the cost is {formula}" if formula and field.startswith("cost_") else ""
    if owner == "stations" and field in ("store_value", "store_efficiency"):
        uses = ["store_charge_kw"] + ["store_discharge_kw"] * (field == "store_value")
        used = case.stations.loc[target.key, uses].to_numpy(dtype=float).any()
        return "" if used else f"{' and '.join(uses)} {'are' if uses[1:] else 'is'} zero"
    if owner == "feeder.branches":
        is_open = case.feeder.branches.loc[target.key, "normally_open"]
        closes = any(target.key in s.closed for s in case.scenarios.values())
        if is_open and not closes and field != "normally_open":
            return "the branch is open"
        kind = case.feeder.branches.loc[target.key, "kind"]
        if field == "ratio" and kind == "regulator" and not grid.regulators:
            return "feeder.regulators is false"
    linear, exact = market.inverse_demand == "linear", case.paths.method == "exact"
    rules = {
        "feeder.rating_sides": (
            grid.line_rating != "polygon",
            f"feeder.line_rating is {grid.line_rating!r}",
        ),
        "feeder.capacitors.kvar": (grid.capacitors == "none", "feeder.capacitors is 'none'"),
        "substation.feed_in_price": (
            not case.substation.export_max,
            "substation.import_min is not below 0",
        ),
        "market.demand_range": (linear, "inverse_demand is 'linear'"),
        "market.elasticity": (not linear, "inverse_demand is an expression"),
        "paths.base_routes_ev": (exact, "paths.method is 'exact'"),
        "paths.base_routes_fv": (exact, "paths.method is 'exact'"),
        "stations.discharge_piles": (
            case.station_settings.queue == "shared",
            "stations.queue is 'shared'",
        ),
    }
    applies, why = rules.get(f"{owner}.{field}", (False, ""))
    return why if applies else ""


def _why_no_delay(case: CaseData, target: Target) -> str:
    """Why the travel time of an arc does not hold a column."""
    if target.field not in ("bpr_b", "bpr_power", "conical_alpha"):
        return ""
    text = delay_text(case.road, target.key)
    used = {"bpr": ["bpr_b", "bpr_power"], "conical": ["conical_alpha"]}.get(text)
    if used is None:
        used = [c for name, c in DELAY_NAMES.items() if re.search(rf"\b{name}\b", text)]
    return "" if target.field in used else f"the delay is {text!r}"
