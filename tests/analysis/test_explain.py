"""Explanations of stations and lines: terms add up to prices, names as users spell them."""

from __future__ import annotations

import numpy as np
import pytest
from cases import fleet, fuel_only, make_case, make_feeder

import v2geq as vg
from v2geq.errors import DataError

TERMS = ["energy", "island", "rating", "voltage", "margin", "lse", "operation", "limits"]


def add_up(eq, station):
    table = eq.explain(station=station).table
    assert list(table.columns) == ["kw", "price", *(f"{t}_price" for t in TERMS)]
    for side, row in table.iterrows():
        price = float(eq.data[f"{side}_price"].sel(station=station))
        assert row["price"] == pytest.approx(price, abs=1e-11)
        terms = [row[f"{t}_price"] for t in TERMS if t != "lse"]
        assert sum(terms) == pytest.approx(price, abs=1e-8)
        assert sum(terms[:5]) == pytest.approx(row["lse_price"], abs=1e-8)
    return table


def line_adds_up(eq, line):
    table = eq.explain(line=line).table
    dlmp = eq.dlmp.to_series()
    np.testing.assert_allclose(table.iloc[:, :3].sum(axis=1), dlmp[table.index], atol=1e-8)
    return table


@pytest.fixture(scope="module")
def scarce():
    """Three electric classes, two queues at a station, a rated line and little energy."""
    return vg.solve(fleet(), "base")


@pytest.fixture(scope="module")
def limited():
    """A station that would charge more than it may, were it not for the longer wait elsewhere."""
    near = {"road_node": "2", "bus": "b", "charge_max_kw": 20.0}
    slow = {"road_node": "2", "bus": "b", "base_wait_h": 0.1}
    case = make_case(stations={"s": near, "slow": slow}, drivers={"ev": {"battery": 10.0}})
    return vg.solve(case, "base", v2g=False)


def test_terms_of_a_station_s_prices_add_up(scarce):
    for station in scarce.scenario.stations.index:
        add_up(scarce, station)


def test_a_station_at_its_limit_says_what_that_adds(limited):
    table = add_up(limited, "s")
    added = table.loc["charge", "limits_price"]
    assert float(limited.charge_kw[0]) == pytest.approx(20.0)
    assert added > 0.01
    text = limited.explain(station="s").text
    assert f"a limit that binds and adds {added:.4f} $/kWh" in text
    assert "there is no V2G" in text
    assert "(4.0 of class ev)" in text
    assert "its limits have no price" in limited.explain(station="slow").text
    add_up(limited, "slow")


def test_visits_by_class_are_the_stops(scarce):
    eq = scarce
    for k, station in enumerate(eq.scenario.stations.index):
        stops = 0.0
        for name in eq.coupled.traffic.electric:
            paths = eq.coupled.traffic.paths[name]
            own = float((paths.stop_count @ eq.coupled.traffic.path_flow(eq.values, name))[k])
            stops += own
            if own > 0.1:
                assert f"{own:.1f} of class {name}" in eq.explain(station=station).text
        assert stops == pytest.approx(float(eq.stops_veh_h[k]), abs=1e-5)


def test_a_station_of_another_operator_has_its_margin_as_a_term():
    def operator(scenario):
        p = vg.Program("operator", scenario)
        p.replaces("cno")
        n = len(scenario.stations)
        sold = p.variable("sold", "station", list(scenario.stations.index), reach=1e3, unit="kW")
        p.cost(sold, 0.02)
        p.sell("charge_price", sold, n)
        p.sell("purchase_price", {sold: -1.0}, n)
        return p

    eq = vg.solve(make_case(drivers={"ev": {"battery": 10.0}}), v2g=False, players=[operator])
    assert add_up(eq, "s").loc["charge", "operation_price"] == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("kind", ["box", "polygon"])
def test_a_line_s_rating_moves_the_buses_behind_it(kind):
    case = fuel_only(
        feeder=make_feeder(
            {"r-a": {}, "a-b": {"rating_kva": 120.0, "x_ohm": 0.0}, "b-c": {}},
            {"a": 100.0, "b": 100.0, "c": 100.0},
        ),
        lses={"A": 1.0},
        generators={"g": {"lse": "A", "bus": "c", "cost_linear": 0.3}},
        line_rating=kind,
        firm_share=1.0,
    )
    eq = vg.solve(case, "base")
    table = line_adds_up(eq, "a-b")
    assert list(table.index) == ["b", "c"]
    difference = float(eq.dlmp.sel(bus="b") - eq.dlmp.sel(bus="a"))
    assert difference > 0.1
    np.testing.assert_allclose(table["rating_price"], difference, atol=1e-7)
    text = eq.explain(line="a-b").text
    assert "which binds" in text
    assert f"shadow price is {difference:.4f} $/kWh" in text
    assert "does not bind. Its rating moves no price" in eq.explain(line="b-c").text
    for bus in ("b", "c"):
        way = eq.explain(bus=bus).table
        assert way.loc["a-b", "rating_price"] == pytest.approx(difference, abs=1e-7)


def test_names_are_understood_as_users_spell_them(scarce):
    text = scarce.explain(line="a-b").text
    assert scarce.explain(line=("a", "b")).text == scarce.explain(line=("b", "a")).text == text
    first = scarce.coupled.traffic.od_names("small")[0]
    text = scarce.explain(od="-".join(first)).text
    assert scarce.explain(od=first).text == scarce.explain(od=tuple(map(int, first))).text == text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"od": "1-99"}, "no vehicles travel 1-99; "),
        ({"od": 7}, "7 is no OD pair; write od="),
        ({"od": (1, 2, 3)}, r"\(1, 2, 3\) is no OD pair; write od="),
        ({"bus": "B"}, "there is no bus 'B'; did you mean 'b'"),
        ({"station": "S2"}, "there is no station 'S2'; did you mean 's2'"),
        ({"line": "a-c"}, "there is no line 'a-c'; did you mean 'a-b'"),
        ({"line": ("b", "r")}, "there is no line 'b-r'; "),
        ({}, "explain takes one of od=, bus=, station= and line="),
        ({"bus": "a", "line": "a-b"}, "explain takes one of"),
    ],
)
def test_unknown_names_are_told_in_one_line(scarce, wrong, message):
    with pytest.raises(DataError, match=message) as found:
        scarce.explain(**wrong)
    assert "\n" not in str(found.value)
