"""The claims' judge: every verdict can be yes and no."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from v2geq.errors import DataError
from v2geq.paper.claims import check_claims
from v2geq.studies.outcome import Outcome
from v2geq.studies.plan import Run
from v2geq.studies.tables import claims_of


def paper() -> dict[tuple[str, bool], dict[str, Any]]:
    """Facts in which every claim of the paper is met."""
    common = {"reference_price": 0.15}
    figures = {
        # shed, peak, generation, charge, discharge, visits, discharge share, dwell, pairs, cost
        ("base", False): (0, 0.2, 600, 1000, 0, 0.12, 0.0, 20, 0, 14.0),
        ("base", True): (0, 0.2, 600, 990, 10, 0.12, 0.01, 21, 1, 14.0),
        ("stress", False): (300, 20.0, 1600, 900, 0, 0.12, 0.0, 40, 0, 36.4),
        ("stress", True): (0, 0.3, 1600, 800, 400, 0.22, 0.1, 30, 5, 14.7),
        ("island", False): (1500, 20.0, 1100, 850, 0, 0.12, 0.0, 35, 0, 528.7),
        ("island", True): (0, 0.4, 1100, 800, 1500, 0.34, 0.3, 30, 9, 14.7),
    }
    names = (
        "load_shed_kw dlmp_max generation_kw charge_kw discharge_kw station_visit_share "
        "discharge_share dwell_h discharge_od_pairs cost_od_1_20"
    ).split()
    facts = {}
    for run, values in figures.items():
        scenario, v2g = run
        lost = 600.0 if scenario != "base" and not v2g else 0.0
        facts[run] = {
            **common,
            **dict(zip(names, map(float, values), strict=True)),
            "stations_net_kw": values[3] - values[4],
            "social_cost_terms": {
                "generation": 100.0,
                "TSO purchase": 100.0,
                "lost load": lost,
                "travel fv": 9300.0,
            },
            "focus_route": "1-3-12(-s12)-13-24-21-20" if v2g else "1-2-6-8-7-18-20",
            "focus_nodes": "1-3-12-13-24-21-20" if v2g else "1-2-6-8-7-18-20",
            "focus_km": 24.0 if v2g else 22.0,
            "focus_discharges_at": "s12" if v2g else "",
        }
    return facts


def test_all_claims_are_met_by_the_paper_s_own_figures() -> None:
    claims = check_claims(paper())
    assert [c.number for c in claims] == list(range(1, 14))
    assert {c.number: c.met for c in claims} == dict.fromkeys(range(1, 14), "yes")


CHANGES: list[tuple[int, tuple[str, bool], dict[str, Any], str]] = [
    (1, ("base", True), {"load_shed_kw": 1.0}, "no"),
    (1, ("base", False), {"dlmp_max": 0.5}, "no"),
    (2, ("stress", False), {"load_shed_kw": 0.0}, "no"),
    (2, ("island", False), {"dlmp_max": 1.0}, "no"),
    (3, ("island", True), {"dlmp_max": 11.0}, "no"),
    (3, ("stress", True), {"load_shed_kw": 5.0}, "no"),
    (4, ("island", False), {"generation_kw": 500.0}, "no"),
    (4, ("island", True), {"stations_net_kw": 1.0}, "no"),
    (5, ("island", True), {"station_visit_share": 0.45}, "direction"),
    (5, ("base", True), {"station_visit_share": 0.15}, "direction"),
    (5, ("stress", True), {"station_visit_share": 0.11}, "no"),
    (6, ("base", True), {"discharge_share": 0.2}, "no"),
    (7, ("island", True), {"charge_kw": 900.0}, "direction"),
    (7, ("base", True), {"discharge_kw": 2000.0}, "no"),
    (8, ("island", True), {"dwell_h": 300.0}, "direction"),
    (8, ("stress", True), {"dwell_h": 41.0}, "no"),
    (9, ("stress", True), {"discharge_od_pairs": 10.0}, "no"),
    (10, ("stress", False), {"cost_od_1_20": 172.0}, "direction"),
    (10, ("island", True), {"cost_od_1_20": 600.0}, "no"),
    (11, ("stress", True), {"focus_discharges_at": ""}, "direction"),
    (11, ("stress", False), {"focus_nodes": "1-3-12-13-24-21-20"}, "no"),
]


@pytest.mark.parametrize(("number", "run", "change", "met"), CHANGES)
def test_a_changed_figure_changes_the_verdict(
    number: int, run: tuple[str, bool], change: dict[str, Any], met: str
) -> None:
    facts = copy.deepcopy(paper())
    facts[run].update(change)
    assert {c.number: c.met for c in check_claims(facts)}[number] == met


def test_social_cost_claims_follow_the_terms() -> None:
    facts = copy.deepcopy(paper())
    facts["stress", True]["social_cost_terms"]["travel fv"] += 5000.0
    verdict = {c.number: c.met for c in check_claims(facts)}
    assert verdict[12] == "no"
    assert verdict[13] == "no"


def test_a_saving_of_rounding_has_no_sources() -> None:
    facts = copy.deepcopy(paper())
    facts["stress", False]["social_cost_terms"]["lost load"] = 1e-9
    claim = {c.number: c for c in check_claims(facts)}[13]
    assert (
        claim.here == "supply and lost load make nothing (stress) and 100% (island) of the saving"
    )
    assert claim.met == "no"


def test_a_missing_run_is_named() -> None:
    facts = paper()
    del facts["island", True]
    with pytest.raises(DataError, match="island with V2G"):
        check_claims(facts)


def test_table_has_the_columns_of_the_file() -> None:
    rows = [vars(claim) for claim in check_claims(paper())]
    assert len(rows) == 13
    for row in rows:
        assert list(row) == ["number", "claim", "paper", "here", "met", "reason"]
        assert all(row.values())


def test_claims_are_judged_on_six_runs_of_the_cases_own_trips() -> None:
    facts = paper()
    outcomes = [Outcome(Run(*key), {}, facts=facts[key]) for key in facts]
    assert len(claims_of(outcomes)) == 13
    assert claims_of(outcomes[:5]) == []
    # of a study that does not ask for them
    assert claims_of([Outcome(Run(*key), {}) for key in facts]) == []
    spread = {"drivers.ev.trips_spread": True}
    assert claims_of([Outcome(Run(*k, changes=spread), {}, facts=facts[k]) for k in facts]) == []
