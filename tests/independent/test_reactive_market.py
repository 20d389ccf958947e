"""Reactive power sold by inverters and freed by shedding: closed forms, accounts, certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cases import make_case, make_feeder

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.errors import DataError
from v2geq.opf import OptimalPowerFlow
from v2geq.studies.check import check

PLANTS = {
    "ga": {"lse": "A", "bus": "a", "max_kw": 60.0, "cost_linear": 0.05},
    "gb": {"lse": "B", "bus": "b", "max_kw": 120.0, "cost_linear": 0.04},
}


def inverter(sign: float = 1.0, kva: float = 120.0, **more: Any) -> Any:
    """r - a - b with an inverter at b; the TSO gives or takes 60 kvar of 140."""
    loads = {"a": (100.0, sign * 40.0), "b": (200.0, sign * 100.0)}
    limit = {"reactive_max": 60.0} if sign > 0.0 else {"reactive_min": -60.0}
    plants = {**PLANTS, "gb": {**PLANTS["gb"], "kva": kva}}
    feeder = make_feeder({"r-a": {}, "a-b": {}}, loads)
    return make_case(feeder=feeder, generators=plants, **{**limit, **more})


@pytest.mark.parametrize("losses", [False, True])
@pytest.mark.parametrize(("sides", "sign"), [(4, 1.0), (8, 1.0), (8, -1.0), (16, 1.0), (16, -1.0)])
def test_an_inverter_at_its_rating(sides: int, sign: float, losses: bool) -> None:
    """What a kvar earns is what the real power it displaces would: the side's slope."""
    eq = vg.solve(inverter(sign, rating_sides=sides, losses=losses), "base")
    assert eq.certificate.holds, eq.certificate
    p, q = (float(eq.data[k].sel(generator="gb")) for k in ("generation_kw", "generation_kvar"))
    if not losses:
        assert q == pytest.approx(sign * 80.0)
        assert float(eq.reactive_supply_kvar.sel(bus="b")) == pytest.approx(q)
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    reached = (p * np.cos(angle) + q * np.sin(angle)) / np.cos(np.pi / sides)
    side = int(np.argmax(reached))
    assert reached[side] == pytest.approx(120.0)
    worth = float(eq.wheeling_price.sel(bus="b") + eq.theta.sel(lse="B"))
    margin = worth - 0.04 - 2e-4 * p
    assert margin > 1e-3
    price = float(eq.reactive_price.sel(bus="b"))
    assert price == pytest.approx(margin * np.tan(angle[side]), rel=1e-6)
    assert sign * price > 0.0
    assert eq.explain(bus="b").text.endswith("$/kvarh.")


def test_accounts_and_file(tmp_path: Path) -> None:
    """The DSO pays what the LSE earns; the file brings it all back."""
    eq = vg.solve(inverter(), "base")
    paid = eq.accounts.items.query("item == 'at reactive_price'").set_index("player")["amount"]
    assert set(paid.index) == {"dso", "lse.B"}
    earned = float(eq.reactive_price.sel(bus="b") * eq.generation_kvar.sel(generator="gb"))
    assert paid["lse.B"] == pytest.approx(earned)
    assert paid.sum() == pytest.approx(0.0, abs=1e-9)
    assert abs(eq.accounts.identity_gap) < 1e-8
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert again.certificate.holds
    assert again.data.equals(eq.data)
    table = eq.full_uniqueness
    found = table[(table["result"] == "reactive_price") & (table["label"] == "b")]
    assert found["status"].tolist() == ["unique"]


def test_without_inverters_there_is_no_market() -> None:
    eq = vg.solve(make_case(), "base")
    assert "reactive_price" not in eq.data
    assert "generation_kvar" not in eq.data


def test_limits_of_reactive_supply_hold_too() -> None:
    """A constant limit within the inverter's."""
    plants = {**PLANTS, "gb": {**PLANTS["gb"], "kva": 200.0, "min_kvar": 0.0, "max_kvar": 85.0}}
    feeder = make_feeder({"r-a": {}, "a-b": {}}, {"a": (100.0, 40.0), "b": (200.0, 100.0)})
    eq = vg.solve(make_case(feeder=feeder, generators=plants, reactive_max=55.0), "base")
    assert float(eq.generation_kvar.sel(generator="gb")) == pytest.approx(85.0)
    assert float(eq.tso_reactive_kvar) == pytest.approx(55.0)


def test_plants_of_a_station() -> None:
    """PV less what the store takes leaves the inverter room, either way of real power."""
    feeder = make_feeder({"r-a": {}, "a-b": {}}, {"a": (100.0, 40.0), "b": (200.0, 100.0)})
    place = {"road_node": "2", "bus": "b"}

    def station(**columns: float) -> vg.Equilibrium:
        stations = {"s": {**place, "kva": 90.0, **columns}}
        case = make_case(feeder=feeder, stations=stations, reactive_max=70.0, rating_sides=16)
        eq = vg.solve(case, "base")
        assert eq.certificate.holds, eq.certificate
        return eq

    only = station()
    assert float(only.plant_kvar.sel(station="s")) >= 70.0 - 1e-9
    sun = station(pv_kw=80.0)
    assert float(sun.plant_kvar.sel(station="s")) == pytest.approx(70.0)
    assert float(sun.pv_kw.sel(station="s")) < 60.0  # cut, as reactive power is short
    assert float(sun.reactive_price.sel(bus="b")) > 0.0
    store = {"store_charge_kw": 40.0, "store_value": 1.0}
    both = station(pv_kw=80.0, **store)
    assert float(both.pv_kw.sel(station="s")) == pytest.approx(80.0)
    takes = station(store_charge_kw=80.0, store_value=1.0)
    assert float(takes.store_charge_kw.sel(station="s")) == pytest.approx(
        float(sun.pv_kw.sel(station="s"))
    )


def shedding(shed: bool = True, source: float = 80.0, **more: Any) -> Any:
    """Island b of 200 kW, 160 of them firm, and 100 kvar."""
    feeder = make_feeder({"r-a": {}, "a-b": {}}, {"a": (100.0, 40.0), "b": (200.0, 100.0)})
    plants = {**PLANTS, "gb": {**PLANTS["gb"], "max_kw": 300.0}}
    scenarios = {"base": ScenarioData(outages=("a-b",), reactive_sources={"b": source})}
    return make_case(
        feeder=feeder, generators=plants, scenarios=scenarios, shed_reactive=shed, **more
    )


@pytest.mark.parametrize("losses", [False, True])
def test_shed_load_takes_its_reactive_part_with_it(losses: bool) -> None:
    """20 kvar short are 40 kW shed; a kvar is worth two kW of lost load less their energy."""
    eq = vg.solve(shedding(losses=losses), "base")
    assert eq.certificate.holds, eq.certificate
    assert float(eq.shed_kw.sel(bus="b")) == pytest.approx(40.0)
    fee, price = (float(x.sel(bus="b")) for x in (eq.wheeling_price, eq.reactive_price))
    assert price > 5.0
    by_lse = eq.shed_by_lse_kw.sel(bus="b").to_series()
    theta = eq.theta.to_series()
    for name, kw in by_lse.items():
        kept = 160.0 * eq.case.lses.loc[name, "portion"]
        worth = fee + theta[name] + 0.5 * price
        if 1e-6 < kw < kept - 1e-6:
            assert worth == pytest.approx(5.0)
        else:
            assert worth >= 5.0 - 1e-9 if kw > 1.0 else worth <= 5.0 + 1e-9
    firm = sum(
        min(fee + theta[k], 5.0 - 0.5 * price) * p for k, p in eq.case.lses["portion"].items()
    )
    assert float(eq.firm_price.sel(bus="b")) == pytest.approx(firm)
    assert abs(eq.accounts.identity_gap) < 1e-8
    assert eq.islands.loc[1, "supply_kvar"] == pytest.approx(100.0)


def test_what_shedding_cannot_free() -> None:
    """By default nothing; with the setting the firm share of the reactive load."""
    for case, short in ((shedding(shed=False), "short by 20"), (shedding(source=10.0), "by 10")):
        with pytest.raises(DataError, match=short):
            vg.solve(case, "base")
    report = check(shedding())
    assert report.ok
    row = next(line for line in report.lines if "island of b" in line)
    assert row.split()[-3:] == ["100", "-80", "160"]


def dispatched(kw: float = 0.0, kvar: float = 0.0) -> OptimalPowerFlow:
    loads = {"a": (100.0, 40.0), "b": (150.0 + kw, 120.0 + kvar)}
    plant = {"bus": ["b"], "max_kw": [2e3], "cost_linear": [0.02], "cost_quadratic": [1e-5]}
    return vg.optimal_power_flow(
        make_feeder({"r-a": {}, "a-b": {"r_ohm": 0.4, "x_ohm": 0.5}}, loads),
        losses=True,
        generators=pd.DataFrame({**plant, "kva": [260.0]}, index=pd.Index(["g"], name="generator")),
        rating_sides=8,
        reactive_max=20.0,
    )


def test_an_inverter_in_an_optimal_power_flow() -> None:
    """Prices of real and of reactive load are differences of the cost."""
    r = dispatched()
    assert r.certificate.holds
    assert r.import_kw > 1.0
    ends = [dispatched(kw=d).cost for d in (0.5, -0.5)]
    assert r.dlmp["b"] == pytest.approx(ends[0] - ends[1], rel=1e-7)
    ends = [dispatched(kvar=d).cost for d in (0.5, -0.5)]
    assert r.values["dso.reactive_balance"][2] == pytest.approx(ends[0] - ends[1], rel=1e-7)


@pytest.mark.parametrize("formulation", ["single_phase", "three_phase"])
def test_on_the_shipped_feeder(formulation: str) -> None:
    """With losses, inverters and reactive shedding together, by bus or by phase."""
    changes = {
        "feeder.formulation": formulation,
        "feeder.losses": True,
        "feeder.line_rating": "none",
        "generators.g13.kva": 300.0,
        "stations.s5.kva": 400.0,
        "market.shed_reactive": True,
    }
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "stress", parameters=changes)
    assert eq.certificate.holds, eq.certificate
    made = float(eq.generation_kvar.sel(generator="g13"))
    assert made > 10.0
    assert float(eq.generation_kw.sel(generator="g13")) ** 2 + made**2 <= 300.0**2 + 1e-6
    assert float(np.nanmin(eq.reactive_price)) > 0.0
