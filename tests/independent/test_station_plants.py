"""PV and stores of stations: closed forms, and against the potential and the operator by hand."""

from __future__ import annotations

import byhand
import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder, self_supplied
from test_certificate_perturbed import broken, moved
from test_players_direct import direct
from test_potential import busy, compare

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.errors import DataError

PRICE = 0.08


def one_station(**plant) -> vg.Case:
    """Vehicles that must charge at a station with a plant; a TSO without limit."""
    return make_case(
        stations={"s": {"road_node": "2", "bus": "b", **plant}},
        drivers={"ev": {"battery": 13.0}},
        trips={"ev": {"1-3": 40.0}},
        price=PRICE,
    )


@pytest.mark.parametrize("v2g", [False, True])
def test_vehicles_pay_what_the_sun_would_earn_elsewhere(v2g: bool) -> None:
    """All of it is used: the price is that of the energy it saves, and the vehicles pay that."""
    plain, eq = (vg.solve(one_station(pv_kw=kw), v2g=v2g) for kw in (0.0, 100.0))
    assert eq.certificate.holds
    assert eq.pv_kw.to_numpy() == pytest.approx([100.0])
    assert float(plain.tso_import_kw - eq.tso_import_kw) == pytest.approx(100.0)
    assert float(eq.charge_price[0]) == pytest.approx(PRICE)
    assert float(eq.dlmp.sel(bus="b")) == pytest.approx(PRICE)
    assert float(eq.accounts.profit["cno"]) == pytest.approx(100.0 * PRICE)
    assert float(eq.withdrawal_kw.sel(bus="b")) == pytest.approx(
        float(plain.withdrawal_kw.sel(bus="b")) - 100.0
    )
    assert "its PV makes 100 of 100 kW" in eq.explain(station="s").text


@pytest.mark.parametrize("v2g", [False, True])
def test_more_sun_than_anybody_can_use_is_cut(v2g: bool) -> None:
    eq = vg.solve(one_station(pv_kw=5000.0), v2g=v2g)
    assert eq.certificate.holds
    assert float(eq.dlmp.sel(bus="b")) == pytest.approx(0.0, abs=1e-9)
    assert float(eq.charge_price[0]) == pytest.approx(0.0, abs=1e-9)
    used = float(eq.charge_kw.sum() + eq.sales_kw.sum() + eq.firm_kw.sum() - eq.discharge_kw.sum())
    assert float(eq.pv_kw[0]) == pytest.approx(used, abs=1e-6)
    assert float(eq.generation_kw.sum()) == pytest.approx(0.0, abs=1e-6)


def test_a_full_line_cuts_the_sun_behind_it() -> None:
    """What no vehicle or load takes there leaves by the line, at a price of zero."""
    case = make_case(
        feeder=make_feeder(
            {"r-a": {}, "a-b": {"rating_kva": 60.0, "x_ohm": 0.0}}, {"a": 300.0, "b": 50.0}
        ),
        generators={},
        firm_share=1.0,
        stations={"s": {"road_node": "2", "bus": "b", "pv_kw": 400.0}},
        line_rating="box",
        price=PRICE,
    )
    eq = vg.solve(case)
    assert float(eq.p_kw.sel(line="a-b")) == pytest.approx(-60.0)
    assert float(eq.pv_kw[0]) == pytest.approx(110.0 + float(eq.charge_kw[0] - eq.discharge_kw[0]))
    assert float(eq.dlmp.sel(bus="b")) == pytest.approx(0.0, abs=1e-9)
    assert float(eq.dlmp.sel(bus="a")) == pytest.approx(PRICE)


@pytest.mark.parametrize(
    ("value", "into", "out"),
    [
        (0.05, 0.0, 50.0),
        (0.0799, 0.0, 50.0),
        (0.0801, 0.0, 0.0),
        (0.0999, 0.0, 0.0),  # 0.8 * 0.0999 < 0.08
        (0.1001, 70.0, 0.0),
        (0.2, 70.0, 0.0),
    ],
)
def test_a_store_is_idle_within_its_losses(value: float, into: float, out: float) -> None:
    """It gives where energy is dearer than its value, takes where it is cheaper than the share."""
    store = {"store_charge_kw": 70.0, "store_discharge_kw": 50.0}
    case = one_station(**store, store_value=value, store_efficiency=0.8)
    eq = vg.solve(case)
    assert eq.certificate.holds
    assert float(eq.store_charge_kw[0]) == pytest.approx(into, abs=1e-6)
    assert float(eq.store_discharge_kw[0]) == pytest.approx(out, abs=1e-6)
    earned = out * (PRICE - value) + into * (0.8 * value - PRICE)
    assert eq.accounts.profit["cno"] == pytest.approx(earned, abs=1e-9)
    assert eq.accounts.social_cost["station stores"] == pytest.approx(
        out * value - 0.8 * into * value, abs=1e-6
    )
    assert eq.accounts.identity_gap == pytest.approx(0.0, abs=1e-8)


STATIONS = {
    "s2": {
        "road_node": "2",
        "bus": "b",
        "piles": 4.0,
        "pv_kw": 40.0,
        "store_discharge_kw": 60.0,
        "store_charge_kw": 40.0,
        "store_value": 0.3,
        "store_efficiency": 0.9,
    },
    "s3": {
        "road_node": "3",
        "bus": "c",
        "piles": 3.0,
        "store_charge_kw": 30.0,
        "store_value": 0.2,
        "discharge_cost": "0.01*p + 1e-4*p**2",
    },
}


@pytest.mark.parametrize("v2g", [False, True])
def test_the_whole_is_the_optimum_of_the_potential(v2g: bool) -> None:
    """Binding lines, queues, plants of both kinds at two buses."""
    eq = vg.solve(busy(stations=STATIONS), v2g=v2g)
    assert eq.certificate.holds
    compare(eq, "base", v2g)
    f = byhand.facts(eq.original, "base", v2g)
    problem = direct(eq, f, "cno", byhand.prices_of(eq, f))
    now = float(problem.objective.value)
    assert now == pytest.approx(eq.accounts.profit["cno"], abs=1e-8)
    assert problem.optimum() == pytest.approx(now, abs=1e-6)


def test_where_suppliers_differ_the_plant_earns_the_price_at_its_bus() -> None:
    """Neither supplier is forced to the other's price: the plant sells in their portions."""
    case = self_supplied(stations={"s": {"road_node": "2", "bus": "b", "pv_kw": 30.0}})
    eq = vg.solve(case)
    assert eq.certificate.holds
    assert abs(float(eq.theta[0] - eq.theta[1])) > 1e-3
    plain = vg.solve(self_supplied(stations={"s": {"road_node": "2", "bus": "b"}}))
    assert abs(float(plain.theta[0] - plain.theta[1])) > 1e-3
    earned = 30.0 * float(eq.dlmp.sel(bus="b"))
    assert eq.accounts.profit["cno"] == pytest.approx(earned)
    compare(eq, "base", True)


def test_the_certificate_sees_a_plant_that_does_not_follow_the_price() -> None:
    eq = vg.solve(busy(stations=STATIONS), v2g=True)
    assert "natural_residual" in broken(moved(eq, cno__store_discharge={0: -5.0}))
    assert "natural_residual" in broken(moved(eq, cno__pv={0: -5.0}))


def test_derivatives_by_plants() -> None:
    """More sun makes energy cheaper; of a plant that is not there nothing is said."""
    eq = vg.solve(self_supplied(stations={"s": {"road_node": "2", "bus": "b", "pv_kw": 30.0}}))
    name = "stations.s.pv_kw"
    slope = eq.sensitivity(of="dlmp", to=name).to_numpy()
    up, down = (vg.solve(eq.original, parameters={name: 30.0 + h}) for h in (0.05, -0.05))
    difference = ((up.dlmp - down.dlmp) / 0.1).to_numpy()
    assert (difference < -1e-6).all()
    np.testing.assert_allclose(slope, difference, rtol=1e-4)
    with pytest.raises(DataError, match="cannot move by a little"):
        eq.sensitivity(of="dlmp", to="stations.s.store_charge_kw")


def test_plants_survive_files(tmp_path) -> None:
    eq = vg.solve(busy(stations=STATIONS), v2g=False)
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert again.certificate.holds
    assert again.pv_kw.equals(eq.pv_kw)
    eq.original.save(tmp_path / "case")
    assert vg.load_case(tmp_path / "case").stations.equals(eq.original.stations)


def test_an_island_may_live_on_the_sun() -> None:
    """A part without the substation is supplied by a station's PV alone; without it is refused."""
    island = {"scenarios": {"base": ScenarioData(outages=("a-b",), reactive_sources={"b": 200.0})}}

    def case(**plant):
        return fuel_only(
            road=None,
            stations={"s": {"road_node": "2", "bus": "b", **plant}},
            generators={"ga": {"lse": "A", "bus": "a"}},
            **island,
        )

    eq = vg.solve(case(pv_kw=300.0), v2g=False)
    assert eq.certificate.holds
    assert float(eq.pv_kw[0]) == pytest.approx(
        float(eq.sales_kw.sel(bus="b") + eq.firm_kw.sel(bus="b"))
    )
    with pytest.raises(DataError, match="no supply"):
        vg.solve(case(), v2g=False)


def test_a_user_who_takes_the_station_over_takes_its_plant() -> None:
    def keeper(s):
        p = vg.Program("keeper", s)
        sold = p.variable("sold", unit="kW", upper=500.0)
        p.sell("charge_price", sold, at="s2")
        p.sell("purchase_price", {sold: -1.0}, at="s2")
        p.replaces("cno", station=["s2"])
        return p

    eq = vg.solve(busy(stations=STATIONS), v2g=False, players=[keeper])
    assert eq.certificate.holds
    assert float(eq.store_charge_kw.sel(station="s2")) == 0.0


@pytest.mark.parametrize(
    ("column", "value"),
    [("pv_kw", -1.0), ("store_efficiency", 1.2), ("store_efficiency", 0.0), ("store_value", -0.1)],
)
def test_columns_have_their_range(column: str, value: float) -> None:
    with pytest.raises(DataError, match=f"{column} = .* is out of range"):
        vg.solve(one_station(**{column: value}))


def test_a_price_of_zero_is_told_without_a_sign() -> None:
    """Where the sun is cut prices are zero but for rounding, some from below."""
    eq = vg.solve(one_station(pv_kw=5000.0))
    eq.values["lse.A.energy"][:] = -1e-17
    for told in (eq.explain(bus="b").text, eq.explain(station="s").text):
        assert "0.0000 $/kWh" in told and "-0.0000" not in told
