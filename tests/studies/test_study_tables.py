"""What runs say beside each other: the change of the social cost."""

from __future__ import annotations

from v2geq.studies.tables import social_cost_changes


def test_changes_by_term_and_totals() -> None:
    plain = {"generation": 100.0, "lost load": 600.0, "travel fv": 9300.0}
    costs = {
        ("peak", False): plain,
        ("peak", True): {**plain, "lost load": 0.0, "travel fv": 9250.0, "plug ev": 2.0},
        ("calm", True): plain,
        ("calm", False): plain,
        ("alone", True): plain,
    }
    table = social_cost_changes(costs)
    # scenarios with both runs, in the order of the study
    assert list(table.columns) == ["peak", "calm"]
    assert table.loc["lost load", "peak"] == -600.0
    assert table.loc["plug ev", "peak"] == 2.0
    assert table.loc["total", "peak"] == -648.0
    assert table.loc["total without travel", "peak"] == -598.0
    assert (table["calm"] == 0.0).all()


def test_without_a_pair_of_runs_there_is_no_change() -> None:
    assert social_cost_changes({}).columns.empty
    assert social_cost_changes({("base", True): {"generation": 1.0}}).columns.empty
