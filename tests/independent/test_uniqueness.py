"""What is said to be unique, and ends of intervals, checked at the ends and beyond them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import self_supplied

import v2geq as vg
from v2geq.certificates.market import certify
from v2geq.results.polytope import multipliers
from v2geq.results.uniqueness import INTERVAL, UNIQUE, UNKNOWN, _linear, _Search
from v2geq.trips.generation import price_all

pytestmark = pytest.mark.slow

ISLAND = {"scenario.island.outages": ["sw2", "sw3"], "scenario.island.load_factor": 1.5}


@pytest.fixture(scope="module")
def island() -> vg.Equilibrium:
    """An island whose supply just meets its reactive limit: its price is an interval."""
    case = vg.load_case("ieee123_sioux_falls_reference")
    return vg.solve(case, "island", v2g=True, parameters=ISLAND)


def row(eq: vg.Equilibrium, result: str, label: str, *, full: bool = False) -> pd.Series:
    table = eq.full_uniqueness if full else eq.uniqueness
    found = table[(table["result"] == result) & (table["label"] == label)]
    assert len(found) == 1
    return found.iloc[0]


def test_price_of_an_island_with_a_tight_reactive_limit(island: vg.Equilibrium) -> None:
    told = row(island, "dlmp", "69")
    assert (told["status"], told["proof"]) == (INTERVAL, "LP")
    assert told["low"] == pytest.approx(4.1311, abs=5e-5)
    assert told["high"] == pytest.approx(4.1540, abs=5e-5)
    assert row(island, "dlmp", "1")["status"] == UNIQUE
    assert any("prices of energy are not unique" in text for text in island.warnings)
    assert "any price from 4.1311 to 4.1540" in island.explain(bus="69").text
    assert "only price" in island.explain(bus="1").text
    assert "not unique" in island._repr_html_()


def test_other_solvers_end_inside(island: vg.Equilibrium) -> None:
    told = row(island, "dlmp", "69")
    other = vg.solve(island.original, "island", parameters=ISLAND, method="extragradient")
    price = float(other.dlmp.sel(bus="69"))
    assert told["low"] < price < told["high"]
    assert price != pytest.approx(float(island.dlmp.sel(bus="69")), rel=1e-6)
    again = row(other, "dlmp", "69")
    assert (again["low"], again["high"]) == pytest.approx((told["low"], told["high"]), rel=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_ends_are_equilibria_and_nothing_beyond_is(island: vg.Equilibrium, sign: float) -> None:
    """Prices moved to an end keep the certificate; a little farther they break it."""
    coupled, z = island.coupled, island.z
    search = _Search(coupled, z, multipliers(coupled.mcp, z))
    quantity = next(
        q for q in _linear(coupled, island.values, strategies=False) if q.result == "dlmp"
    )
    k = quantity.labels.index("69")
    assert search._end(quantity, k, sign) is not None
    # the search may have let paths take part
    coupled, z, polytope = search.coupled, search.z, search.polytope
    weights = sign * quantity.weights(coupled.mcp, polytope)[[k]].toarray()[0]
    found = polytope.least_value(weights)
    assert found is not None
    for share, holds in ((0.5, True), (1.0, True), (1.05, False)):
        moved = z.copy()
        moved[polytope.entries] += share * polytope.column * found[1]
        assert certify(coupled, moved)[0].holds == holds, share


def test_prices_of_the_shipped_runs_are_unique_where_there_is_load(solved) -> None:
    for scenario in ("base", "stress", "island"):
        eq = solved("ieee123_sioux_falls", scenario, True)
        table = eq.uniqueness
        dlmp = table[table["result"] == "dlmp"].set_index("label")
        loaded = [eq.scenario.buses[i] for i in eq.scenario.load_buses]
        assert (dlmp.loc[loaded, "status"] == UNIQUE).all()
        assert (dlmp.loc[loaded, "proof"] == "regular active set").all()
        np.testing.assert_allclose(dlmp.loc[loaded, "low"], eq.dlmp.sel(bus=loaded))
        assert not any("not unique" in text for text in eq.warnings)


def test_two_full_lines_in_a_row_share_a_price(solved) -> None:
    """Bus 149 lies between lines of one rating and has no load: its price is either's."""
    eq = solved("ieee123_sioux_falls", "base", True)
    told = row(eq, "dlmp", "149")
    assert told["status"] == INTERVAL
    assert told["low"] == pytest.approx(0.08, abs=1e-9)
    assert told["high"] == pytest.approx(float(eq.dlmp.sel(bus="1")), rel=1e-9)


@pytest.mark.parametrize("v2g", [False, True])
def test_without_import_the_tso_price_is_an_interval(v2g: bool) -> None:
    case = self_supplied()
    eq = vg.solve(case, v2g=v2g)
    told = row(eq, "tso_price", "", full=True)
    assert told["status"] == INTERVAL
    assert told["low"] == pytest.approx(float(eq.theta.max()), abs=1e-9)
    assert told["high"] == pytest.approx(0.5, abs=1e-9)
    strict = eq.full_uniqueness.query("proof == 'strict monotonicity'")["result"]
    assert {"flow_veh_h", "generation_kw"} <= set(strict)


def test_first_vehicle_at_a_station_without_trade(solved) -> None:
    """Just inside the end of the interval no path is cheaper than the trips; just outside one is."""
    eq = solved("ieee123_sioux_falls", "stress", True)
    table = eq.uniqueness
    values, traffic = eq.values, eq.coupled.traffic
    cost = {name: traffic.trip_cost(values, name) for name in traffic.classes}
    checked = 0
    for result, sign in (("charge_price", -1.0), ("discharge_price", 1.0)):
        own = table[(table["result"] == result) & (table["status"] == INTERVAL)]
        for told in own.itertuples():
            s = list(eq.scenario.stations.index).index(told.label)
            end = told.low if result == "charge_price" else told.high
            start = told.high if result == "charge_price" else told.low
            assert start == pytest.approx(float(eq.data[result].sel(station=told.label)))
            for step, cheaper in ((-1e-4, False), (1e-4, True)):
                prices = {p: values[p].copy() for p in ("charge_price", "discharge_price")}
                prices[result][s] = end + sign * step
                found = price_all(
                    traffic,
                    traffic.conditions({**values, **prices}),
                    below={name: c * (1.0 - 1e-8) for name, c in cost.items()},
                    kinds=("ev",),
                )
                assert any(found.paths.values()) == cheaper, (told, step)
            checked += 1
    assert checked > 5


def test_classes_that_value_time_differently_are_not_known() -> None:
    case = vg.load_case("ieee123_sioux_falls")
    drivers = {**case.drivers, "vip": replace(case.drivers["ev"], value_of_time=30.0)}
    case = replace(
        case,
        drivers=drivers,
        trips={**case.trips, "vip": case.trips["ev"]},
        trip_tables={**case.trip_tables, "vip": case.trip_tables["ev"]},
    )
    eq = vg.solve(case, "base")
    assert set(eq.uniqueness["status"]) == {UNKNOWN}
    assert not any("not unique" in text for text in eq.warnings)
    assert any("whether prices of energy are unique is not known" in text for text in eq.warnings)
    assert "perhaps not unique" in eq._repr_html_()


def test_the_full_table_has_every_result(solved) -> None:
    """Results that are data apart; at stations without trade the CNO's prices are told as well."""
    eq = solved("ieee123_sioux_falls", "stress", True)
    table = eq.full_uniqueness
    data = {"firm_kw", "island", "toll", "trips_ev_veh_h", "trips_fv_veh_h"}
    # without losses, islands and limits of voltage these parts are zero at any prices
    data |= {f"dlmp_{part}" for part in ("loss", "scarcity", "voltage", "reactive")}
    numbers = {str(k) for k in eq.data if eq.data[k].dtype.kind == "f"}
    assert set(table["result"]) == numbers - data
    sizes = table.groupby("result").size()
    for name in ("purchase_price", "resale_price", "import_kw", "wait_h", "loading"):
        assert sizes[name] == eq.data[name].size, name
    ends = table.set_index(["result", "label"])
    # no limit of a station binds there, so both pay and get the same
    same = ["low", "high", "status"]
    for mine, drivers in (("purchase_price", "charge_price"), ("resale_price", "discharge_price")):
        pd.testing.assert_frame_equal(ends.loc[mine, same], ends.loc[drivers, same])
    for told in table.itertuples():
        if told.status == INTERVAL and told.result in numbers:
            assert told.low <= told.high


@pytest.mark.slow
def test_shed_load_splits_freely_at_one_price(solved) -> None:
    eq = solved("ieee123_sioux_falls", "stress", False)
    told = eq.full_uniqueness.query("result == 'shed_kw'").set_index("label")
    assert (told["status"] == INTERVAL).all()
    total = float(eq.shed_kw.sum())
    firm = eq.firm_kw.sel(bus=told.index).to_numpy()
    # any bus may be the one that sheds, up to its load, and none has to
    np.testing.assert_allclose(told["low"], 0.0, atol=1e-6)
    np.testing.assert_allclose(told["high"], np.minimum(firm, total), atol=1e-6)


def test_left_out_and_saved(island: vg.Equilibrium, tmp_path: Path) -> None:
    island.save(tmp_path / "with.nc")
    again = vg.load(tmp_path / "with.nc")
    pd.testing.assert_frame_equal(again.uniqueness, island.uniqueness)
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "base", uniqueness=False)
    with pytest.raises(vg.DataError, match="uniqueness was left out"):
        _ = eq.uniqueness
    eq.save(tmp_path / "without.nc")
    assert not vg.load(tmp_path / "without.nc").tells_uniqueness


def test_a_sensitivity_where_a_price_is_not_unique(island: vg.Equilibrium) -> None:
    slope = island.sensitivity(of="dlmp", to="voll")
    assert np.isnan(slope.sel(bus="69"))
    assert "69" in slope.attrs["not_unique"].split(", ")
    assert np.isfinite(slope.sel(bus="1"))
    case = self_supplied()
    eq = vg.solve(case)
    with pytest.raises(vg.DataError, match="tso_price is not unique"):
        eq.sensitivity(of="tso_price", to="voll")
