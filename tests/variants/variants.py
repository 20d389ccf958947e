"""Variants of the shipped cases whose figures are kept in variants.csv.

``python tests/variants/variants.py`` solves them all and writes the file anew.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import v2geq as vg
from v2geq.results.summary import FIGURES

FILE = Path(__file__).with_name("variants.csv")
SHIPPED = "ieee123_sioux_falls"
_RUN = ("scenario", "v2g", "status", "natural_residual", "wardrop_gap")
NAMES = [n for n in FIGURES if n not in _RUN and not n.endswith("seconds")]
"""Figures that are compared."""


@dataclass(frozen=True)
class Variant:
    """One solve; `outages` replace those of the scenario."""

    case: str
    scenario: str
    v2g: bool
    method: str = "auto"
    changes: dict[str, Any] = field(default_factory=dict)
    outages: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """Name in the file."""
        change = dict(self.changes)
        if self.outages is not None:
            change["outages"] = list(self.outages)
        v2g = "v2g" if self.v2g else "no_v2g"
        return " ".join([self.case, self.scenario, v2g, self.method, json.dumps(change)])

    def solve(self) -> vg.Equilibrium:
        """Its equilibrium, uncertified where it is none."""
        case = vg.load_case(self.case)
        if self.outages is not None:
            own = replace(case.scenarios[self.scenario], outages=self.outages)
            case = replace(case, scenarios={**case.scenarios, self.scenario: own})
        return vg.solve(
            case,
            self.scenario,
            v2g=self.v2g,
            method=self.method,
            parameters=self.changes,
            check=False,
            uniqueness=False,
        )


def variants() -> Iterator[Variant]:
    """All of them: loads, outages, V2G, classes, prices, limits, both path methods, solvers."""
    scenarios, both = ("base", "stress", "island"), (False, True)
    for case in (SHIPPED, f"{SHIPPED}_binding", f"{SHIPPED}_reference"):
        yield from (Variant(case, s, v) for s in scenarios for v in both)
    for s in scenarios:
        for v in both:
            yield Variant(SHIPPED, s, v, changes={"paths.method": "enumerate"})
            yield Variant(f"{SHIPPED}_reference", s, v, changes={"paths.method": "exact"})
            yield Variant(SHIPPED, s, v, changes={"drivers.ev.energy_value": 0.15})
    for factor in (0.5, 0.8, 1.2, 1.7, 2.0, 2.5):
        yield Variant(SHIPPED, "stress", True, changes={"scenario.stress.load_factor": factor})
    for s in ("base", "island"):
        for out in (("sw4",), ("l114",), ("sw3",), ("l13", "sw4"), ("sw2",), ("sw3", "sw4", "l30")):
            yield Variant(SHIPPED, s, True, outages=out)
    for s in ("stress", "island"):
        for name, value in CHANGES:
            yield from (Variant(SHIPPED, s, v, changes={name: value}) for v in both)
    for method in ("extragradient", "interior_point", "semismooth"):
        yield Variant(SHIPPED, "stress", True, method)


CHANGES: list[tuple[str, Any]] = [
    ("voll", 5.0),
    ("voll", 0.5),
    ("substation.price", 0.2),
    ("substation.import_max", 2500.0),
    ("market.firm_share", 1.0),
    ("market.firm_share", 0.3),
    ("market.elasticity", -0.2),
    ("market.reference_price", 0.3),
    ("drivers.ev.trips_factor", 3.0),
    ("drivers.ev.trips_factor", 0.01),
    ("drivers.ev.value_of_time", 25.0),
    ("drivers.ev.degradation", 0.0),
    ("drivers.ev.charger_power", 100.0),
    ("stations.queue", "direction"),
    ("feeder.line_rating", "box"),
    ("feeder.line_rating", "none"),
    ("feeder.rating_factor", 0.8),
    ("drivers.ev.reserve", 0.1),
    ("paths.form", "legs"),
    ("feeder.capacitors", "switchable"),
]


def row(variant: Variant) -> dict[str, str]:
    """Its line of the file: figures to the last digit, or why it was refused."""
    try:
        eq = variant.solve()
    except vg.DataError as error:
        return {"variant": variant.key, "outcome": error.problem.partition(";")[0]}
    outcome = "certified" if eq.certificate.holds else "not certified"
    figures = {name: repr(float(eq.summary[name])) for name in NAMES}
    return {"variant": variant.key, "outcome": outcome, **figures}


if __name__ == "__main__":
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["variant", "outcome", *NAMES], lineterminator="\n")
        writer.writeheader()
        for each in variants():
            print(each.key, flush=True)
            writer.writerow(row(each))
