"""The tables of a study: rows of runs, and what runs say beside each other."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2geq.paper.claims import SCENARIOS, Claim, check_claims
from v2geq.results.latex import summary_latex
from v2geq.show import MONEY, money
from v2geq.studies.outcome import Outcome
from v2geq.studies.plan import Study

if TYPE_CHECKING:
    import pandas as pd

SUMMARIES = SUMMARY, LATEX = ("summary.csv", "summary.tex")
"""Tables of the runs of a study, or of a variant in it."""
COMPARISONS = CLAIMS, SOCIAL_COST, UNIQUENESS = ("claims.csv", "social_cost.csv", "uniqueness.csv")
"""Tables of a study beside those of its runs."""

PRICE_COLUMNS = ("run", "result", "label", "low", "high", "status", "proof")


def tables_of(study: Study, outcomes: Sequence[Outcome], folder: Path) -> dict[Path, bytes]:
    """Contents of the tables of a study in `folder`, by file."""
    tables = {}
    if claims_of(outcomes):
        tables[folder / CLAIMS] = _claims_table(outcomes)
    plain = [o for o in outcomes if o.ok and not o.run.variant]
    costs = {(o.run.scenario, o.run.v2g): o.social_cost for o in plain}
    changes = social_cost_changes(costs, study.case.currency)
    if len(changes.columns):
        tables[folder / SOCIAL_COST] = changes.to_csv(lineterminator="\r\n").encode()
    for variant in study.variants:
        rows = [{"status": "failed", **o.row} for o in outcomes if o.run.variant == variant]
        tables[folder / variant / SUMMARY] = _csv(list(study.figures), rows)
        tables[folder / variant / LATEX] = summary_latex(rows, study.figures).encode()
    tables[folder / UNIQUENESS] = _csv(PRICE_COLUMNS, [r for o in outcomes for r in o.several])
    return tables


def social_cost_changes(
    costs: Mapping[tuple[str, bool], Mapping[str, float]], currency: str = MONEY
) -> pd.DataFrame:
    """Change of the social cost by V2G, by hour: terms x scenarios, totals with and without travel.

    Parameters
    ----------
    costs
        (scenario, v2g) -> social cost by term; scenarios without both runs are left out.
    """
    import pandas as pd

    columns = {}
    for scenario in dict.fromkeys(scenario for scenario, _ in costs):
        if {(scenario, False), (scenario, True)} <= costs.keys():
            before, after = costs[scenario, False], costs[scenario, True]
            terms = {**before, **after}
            columns[scenario] = {k: after.get(k, 0.0) - before.get(k, 0.0) for k in terms}
    table = pd.DataFrame(columns).fillna(0.0)
    if not columns:
        return table
    travel = [k for k in table.index if str(k).startswith("travel")]
    table.loc["total"] = table.sum()
    table.loc["total without travel"] = table.loc["total"] - table.loc[travel].sum()
    table.index.name = f"change by V2G ({currency}/h)"
    return table


def claims_of(outcomes: Sequence[Outcome], variant: str = "") -> list[Claim]:
    """The paper's claims on the runs of a study.

    Empty where the study does not ask for them, the six runs are not all there, or trips are
    spread over all OD pairs: the claims are about long trips between a few.
    """
    found = {
        (o.run.scenario, o.run.v2g): o.facts
        for o in outcomes
        if o.ok and o.facts and o.run.variant == variant
    }
    complete = all((s, v2g) in found for s in SCENARIOS for v2g in (False, True))
    spread = any(
        value
        for o in outcomes
        for name, value in o.run.changes.items()
        if name.endswith("trips_spread")
    )
    if not complete or spread:
        return []
    currency = next(o.currency for o in outcomes if o.ok)
    return [
        replace(claim, here=money(claim.here, currency), reason=money(claim.reason, currency))
        for claim in check_claims(found)
    ]


def _claims_table(outcomes: Sequence[Outcome]) -> bytes:
    """The claims on the plain runs, and beside them what is found in the variants."""
    rows = [dict(vars(claim)) for claim in claims_of(outcomes)]
    columns = list(rows[0])
    for variant in dict.fromkeys(o.run.variant for o in outcomes if o.run.variant):
        for row, claim in zip(rows, claims_of(outcomes, variant), strict=False):
            row.update({f"here_{variant}": claim.here, f"met_{variant}": claim.met})
        columns += [f"here_{variant}", f"met_{variant}"]
    return _csv(columns, rows)


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Content of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="nan", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
