"""The numbers of the figures are those of the study's table and add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from v2geq.plots import tables
from v2geq.plots.routes import battery_table, route_table
from v2geq.trips.costs import path_costs

pytestmark = pytest.mark.slow


def test_supply_is_that_of_the_summary(runs, summary):
    table = tables.supply_table(runs)
    assert list(table.index) == [(s, v) for s in ("base", "stress", "island") for v in (0, 1)]
    none = ["pv_kw", "store_kw", "own_players_kw"]
    assert (table[none] == 0.0).all(axis=None)
    for column in table.columns.drop(["net_station_kw", *none]):
        np.testing.assert_allclose(table[column], summary[column], atol=1e-6)
    np.testing.assert_allclose(
        table["net_station_kw"], summary["charge_kw"] - summary["discharge_kw"], atol=1e-6
    )


def test_supply_meets_load_in_every_run(runs):
    table = tables.supply_table(runs)
    for key, eq in runs:
        row = table.loc[key]
        served = float(eq.firm_kw.sum() + eq.sales_kw.sum()) - row["load_shed_kw"]
        supply = row["tso_import_kw"] + row["generation_kw"] + row["discharge_kw"]
        assert supply == pytest.approx(served + row["charge_kw"], rel=1e-6)


def test_prices_reach_the_extremes_of_the_summary(runs, summary):
    table = tables.dlmp_table(runs)
    groups = table.groupby(["scenario", "v2g"], sort=False)
    np.testing.assert_allclose(groups["dlmp"].min(), summary["dlmp_min"], rtol=1e-9)
    np.testing.assert_allclose(groups["dlmp"].max(), summary["dlmp_max"], rtol=1e-9)
    np.testing.assert_allclose(groups["shed_kw"].sum(), summary["load_shed_kw"], atol=1e-6)
    one = tables.rows_of(table, "stress", True)
    assert sorted(one["rank"]) == list(range(1, len(one) + 1))
    assert one.sort_values("rank")["dlmp"].is_monotonic_increasing


def test_station_use_is_that_of_the_summary(runs, summary):
    table = tables.trips_table(runs)
    for ours, theirs in {
        "visit_share": "station_visit_share",
        "discharge_share": "discharge_share",
        "dwell_h": "dwell_h",
        "charge_kw": "charge_kw",
        "discharge_od_pairs": "discharge_od_pairs",
    }.items():
        np.testing.assert_allclose(table[ours], summary[theirs], rtol=1e-9, atol=1e-9)
    for name in ("visit_share", "discharge_share", "discharge_od_pairs"):
        assert (table[f"{name}_low"] <= table[name] + 1e-12).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-12).all()
    assert (table["od_pairs"] == 24).all()


def test_terms_of_a_trip_add_up_to_its_cost(runs):
    table = tables.trip_cost_table(runs)
    for (scenario, v2g), eq in runs:
        part = tables.rows_of(table, scenario, v2g).droplevel("class")
        cost = eq.cost_ev.to_series()
        np.testing.assert_allclose(part["total"], cost.loc[part.index], rtol=1e-5, atol=1e-5)
        assert (part["discharging"] <= 1e-12).all()
        if not v2g:
            assert (part["discharging"] == 0).all()


def test_terms_of_a_path_add_up_to_its_cost(runs):
    for _, eq in runs:
        flows = eq.path_flows
        terms = tables.trip_terms(eq, "ev").sum(axis=1)
        np.testing.assert_allclose(
            terms, path_costs(flows.coupled.traffic, flows.values, "ev"), rtol=1e-12, atol=1e-12
        )


def test_changes_of_the_social_cost_add_up(runs, summary):
    table = tables.social_cost_table(runs)
    total = table.groupby("scenario", sort=False)["change"].sum()
    for scenario in ("base", "stress", "island"):
        change = summary.loc[(scenario, True), "social_cost"]
        change -= summary.loc[(scenario, False), "social_cost"]
        assert total[scenario] == pytest.approx(change, abs=1e-4)


def test_social_terms_are_grouped_without_loss():
    given = pd.Series(
        {
            "generation": 1.0,
            "travel ev": 2.0,
            "waiting ev": 3.0,
            "plug ev": 4.0,
            "waiting taxi": 5.0,
            "travel fv": 6.0,
            "battery energy ev": 7.0,
            "degradation ev": 8.0,
            "benefit of responsive demand": -9.0,
        }
    )
    terms = tables.social_terms(given)
    assert terms.sum() == given.sum()
    assert terms["waiting and plug"] == 12.0
    assert terms["battery wear"] == 8.0
    assert [t for t in terms.index if tables.is_travel(t)] == ["travel ev", "travel fv"]


def test_routes_carry_all_trips_of_the_pair(runs):
    eq = runs.get("stress", True)
    table = route_table(eq, "1-20")
    assert table["flow_veh_h"].sum() == pytest.approx(30.0, rel=1e-6)
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["flow_veh_h"].is_monotonic_decreasing
    assert table["cost"].std() < 1e-4


def test_battery_keeps_its_rules_along_every_used_route(runs):
    for _, eq in runs:
        rules = eq.coupled.traffic.rules("ev")
        for row in route_table(eq, "1-20").to_dict("records"):
            profile = battery_table(eq, "ev", row["path"])
            path = eq.coupled.traffic.paths["ev"][row["path"]]
            assert profile["kwh"].iloc[0] == rules.battery
            assert profile["kwh"].iloc[-1] == pytest.approx(path.arrival_kwh)
            assert profile["km"].iloc[-1] == pytest.approx(row["length_km"])
            assert profile["kwh"].min() >= rules.reserve - 1e-6
            assert "".join(profile["stop"]) == row["pattern"]
