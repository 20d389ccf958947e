"""Players of the user: what they change, what nothing changes, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import self_supplied

import v2geq as vg
from v2geq.mcp.curves import Linear, Quadratic

SHIPPED = vg.load_case("ieee123_sioux_falls")
PRICES = ("theta", "charge_price", "purchase_price", "generation_kw", "flow_veh_h")


def battery(size: float = 300.0, cost: Any = 0.2, bus: str = "76") -> Callable[..., vg.Program]:
    """Sells at a bus what costs it `cost`, buys where that is worth it."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("battery", s)
        out = p.variable("power", unit="kW", lower=-size, upper=size, meaning="sold to the grid")
        p.cost(out, cost)
        p.sell("energy", out, at=bus)
        return p

    return state


def same(a: vg.Equilibrium, b: vg.Equilibrium, names: tuple[str, ...] = PRICES) -> None:
    """Results agree; prices of energy where there is load: between two full lines any will do."""
    loaded = [a.scenario.buses[i] for i in a.scenario.load_buses]
    np.testing.assert_allclose(a.dlmp.sel(bus=loaded), b.dlmp.sel(bus=loaded), rtol=1e-9)
    for name in names:
        np.testing.assert_allclose(a.data[name], b.data[name], rtol=1e-9, atol=1e-9, err_msg=name)


# -- sites ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("v2g", [False, True])
def test_issue_example_a_battery_sells_where_energy_is_dear(v2g: bool) -> None:
    """At its limit while the price is above its cost; the price falls, the account is the price."""
    without = vg.solve(SHIPPED, "stress", v2g=v2g)
    eq = vg.solve(SHIPPED, "stress", v2g=v2g, players=[battery()])
    assert eq.certificate.holds, eq.certificate
    price = float(eq.dlmp.sel(bus="76"))
    assert price > 0.2
    assert float(eq.data["battery.power"]) == pytest.approx(300.0)
    assert price <= float(without.dlmp.sel(bus="76")) + 1e-9
    assert eq.accounts.profit["battery"] == pytest.approx(300.0 * (price - 0.2))
    assert eq.accounts.social_cost["power battery"] == pytest.approx(60.0)
    assert eq.certificate.regrets.loc["battery", "relative"] < 1e-9


def test_a_battery_inside_its_limits_sets_the_price() -> None:
    """Stationarity: the price at its bus is its marginal cost."""
    eq = vg.solve(SHIPPED, "stress", players=[battery(5000.0, "0.1*x + 0.0001*x**2")])
    power = float(eq.data["battery.power"])
    assert abs(power) < 5000.0
    assert float(eq.dlmp.sel(bus="76")) == pytest.approx(0.1 + 0.0002 * power, abs=1e-9)
    assert eq.accounts.social_cost["power battery"] == pytest.approx(0.1 * power + 1e-4 * power**2)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
@pytest.mark.parametrize("v2g", [False, True])
def test_a_player_of_size_zero_changes_no_price(scenario: str, v2g: bool) -> None:
    same(
        vg.solve(SHIPPED, scenario, v2g=v2g, players=[battery(0.0)]),
        vg.solve(SHIPPED, scenario, v2g=v2g),
    )


def test_a_player_of_size_zero_changes_no_price_where_thetas_differ() -> None:
    case = self_supplied()
    bus = str(case.feeder.loads.index[0])
    without = vg.solve(case, "base")
    assert np.ptp(without.theta.to_numpy()) > 1e-3
    same(vg.solve(case, "base", players=[battery(0.0, bus=bus)]), without)


def test_the_site_pays_every_lse_its_portion_where_thetas_differ() -> None:
    """The price at the site is the DLMP, whoever takes the energy."""
    case = self_supplied()
    bus = str(case.feeder.loads.index[0])
    eq = vg.solve(case, "base", players=[battery(2.0, cost=0.0, bus=bus)])
    assert eq.certificate.holds, eq.certificate
    assert np.ptp(eq.theta.to_numpy()) > 1e-3
    np.testing.assert_allclose(
        eq.values["site_price"], float(eq.wheeling_price.sel(bus=bus)) + eq.theta.to_numpy()
    )
    portion = case.lses["portion"].to_numpy(dtype=float)
    power = float(eq.data["battery.power"])
    taken = [eq.values[f"lse.{k}.take"][0] for k in case.lses.index]
    np.testing.assert_allclose(taken, portion * power, atol=1e-9)
    assert eq.accounts.profit["battery"] == pytest.approx(power * float(eq.dlmp.sel(bus=bus)))


def test_own_players_are_supply_of_an_island_and_trade_nothing_at_dead_buses() -> None:
    outages = replace(SHIPPED.scenarios["base"], outages=("l35",))
    case = replace(SHIPPED, scenarios={**SHIPPED.scenarios, "base": outages})
    with pytest.raises(vg.DataError, match="no supply"):
        vg.solve(case, "base")
    with pytest.raises(vg.DataError, match="no reactive source"):
        vg.solve(case, "base", players=[battery(bus="37")])
    # 37 is in the island that l35 cuts off; its load is 80 kW and kvar are at hand by a source
    sources = replace(outages, reactive_sources={"37": 200.0})
    case = replace(case, scenarios={**case.scenarios, "base": sources})
    with pytest.raises(vg.DataError, match="no supply"):
        vg.solve(case, "base", players=[battery(bus="76")])
    eq = vg.solve(case, "base", players=[battery(bus="37")])
    assert eq.certificate.holds, eq.certificate
    assert float(eq.data["battery.power"]) > 10.0
    # a bus whose island has neither load nor anything else is dead
    gone = replace(SHIPPED.scenarios["base"], outages=("sw6",))
    case = replace(SHIPPED, scenarios={**SHIPPED.scenarios, "base": gone})
    dead = vg.solve(case, "base").scenario.dead_buses
    assert dead
    eq = vg.solve(case, "base", players=[battery(cost=0.0, bus=dead[0])])
    assert eq.certificate.holds, eq.certificate
    assert float(eq.data["battery.power"]) == pytest.approx(0.0, abs=1e-9)

    def fixed(s: Any) -> vg.Program:
        p = vg.Program("source", s)
        p.sell("energy", 10.0, at=dead[0])
        return p

    with pytest.raises(vg.DataError, match="fixed quantity at buses .* no supply"):
        vg.solve(case, "base", players=[fixed])


# -- taking a part over, charging others ------------------------------------------------------------

STATIONS = ("s11", "s15")


def aggregator(
    margin: float = 0.0, stations: tuple[str, ...] = STATIONS
) -> Callable[..., vg.Program]:
    """Stations of the CNO's, run by somebody else."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("aggregator", s, title="Aggregator")
        limits = s.stations.loc[list(stations)]
        net = {p.variable("charge", "station", stations, unit="kW", reach=1e5): 1.0}
        p.sell("charge_price", p["charge"])
        p.sell("purchase_price", {p["charge"]: -1.0})
        if s.v2g:
            net[p.variable("discharge", "station", stations, unit="kW", reach=1e5)] = -1.0
            p.sell("discharge_price", {p["discharge"]: -1.0})
            p.sell("resale_price", p["discharge"])
        p.at_most("most", "station", stations, terms=net, rhs=limits["charge_max_kw"].to_numpy())
        least = -limits["discharge_max_kw"].to_numpy()
        p.at_least("least", "station", stations, terms=net, rhs=least)
        for v in p.variables if margin else ():
            p.margin(v, margin)
        p.replaces("cno", station=stations)
        return p

    return state


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["stress", "island"])
@pytest.mark.parametrize("v2g", [False, True])
def test_an_aggregator_who_takes_prices_changes_nothing(scenario: str, v2g: bool) -> None:
    without = vg.solve(SHIPPED, scenario, v2g=v2g)
    eq = vg.solve(SHIPPED, scenario, v2g=v2g, players=[aggregator()])
    assert eq.certificate.holds, eq.certificate
    assert not {"s11", "s15"} & {label[0] for label in eq.coupled.mcp["cno.charge"].labels}
    same(eq, without, ("theta", "charge_price", "purchase_price", "flow_veh_h"))
    same(eq, without, ("charge_kw", "discharge_kw", "charge_traded", "discharge_traded"))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
def test_an_independent_producer_who_takes_prices_changes_nothing(scenario: str) -> None:
    """A generator of LSE A's run by somebody else, who sells at its bus."""

    def producer(s: Any) -> vg.Program:
        p = vg.Program("producer", s)
        g = s.generators.loc["g13"]
        x = p.variable("generation", unit="kW", lower=g.min_kw, upper=g.max_kw)
        p.cost(x, Quadratic(np.array([g.cost_linear]), np.array([g.cost_quadratic])))
        p.sell("energy", x, at=str(g.bus))
        p.replaces(f"lse.{g.lse}", generator="g13")
        return p

    without = vg.solve(SHIPPED, scenario)
    eq = vg.solve(SHIPPED, scenario, players=[producer])
    assert eq.certificate.holds, eq.certificate
    same(eq, without, ("theta", "charge_price", "flow_veh_h", "discharge_kw"))
    output = float(without.generation_kw.sel(generator="g13"))
    assert float(eq.data["producer.generation"]) == pytest.approx(output, abs=1e-8)
    table = eq.own_players.loc["producer.generation"]
    assert table["unit"].tolist() == ["kW"]


@pytest.mark.slow
def test_own_players_over_legs_and_enumerated_paths() -> None:
    players = [battery(cost="0.1*x + 0.0001*x**2"), regulator(500.0)]
    whole = vg.solve(SHIPPED, "stress", players=players)
    legs = vg.solve(SHIPPED, "stress", players=players, parameters={"paths.form": "legs"})
    listed = vg.solve(SHIPPED, "stress", players=players, parameters={"paths.method": "enumerate"})
    assert legs.certificate.holds and listed.certificate.holds
    same(legs, whole, ("theta", "charge_price", "emissions", "battery.power"))


def test_a_margin_is_earned_on_every_kwh_and_is_no_social_cost() -> None:
    every = tuple(map(str, SHIPPED.stations.index))
    eq = vg.solve(SHIPPED, "stress", players=[aggregator(0.05, every)])
    assert eq.certificate.holds, eq.certificate
    for low, high in (("purchase", "charge"), ("discharge", "resale")):
        # where nothing is traded too: trade would start there
        np.testing.assert_allclose(eq.data[f"{high}_price"] - eq.data[f"{low}_price"], 0.05)
    assert float(eq.charge_kw.sum()) > 1.0 and float(eq.discharge_kw.sum()) > 1.0
    moved = float(sum(eq.data[f"aggregator.{v}"].sum() for v in ("charge", "discharge")))
    assert eq.accounts.profit["aggregator"] == pytest.approx(0.05 * moved)
    assert not any("aggregator" in term for term in eq.accounts.social_cost.index)


def regulator(cap: float) -> Callable[..., vg.Program]:
    """Sells `cap` kg/h of permits; every kWh generated needs 0.7 kg."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("regulator", s)
        p.add(vg.Market("emissions", "kg/h", lower=0, meaning="a kg of CO2"))
        p.sell("emissions", cap)
        s.charge("emissions", "lse.*.generation", 0.7)
        return p

    return state


def test_a_cap_binds_with_a_price_and_is_free_while_slack() -> None:
    without = vg.solve(SHIPPED, "stress")
    emitted = 0.7 * float(without.generation_kw.sum())
    slack = vg.solve(SHIPPED, "stress", players=[regulator(emitted + 100.0)])
    assert float(slack.data["emissions"]) == 0.0
    same(slack, without, ("theta", "charge_price", "generation_kw"))
    tight = vg.solve(SHIPPED, "stress", players=[regulator(0.5 * emitted)])
    assert tight.certificate.holds, tight.certificate
    assert 0.7 * float(tight.generation_kw.sum()) == pytest.approx(0.5 * emitted, rel=1e-9)
    assert float(tight.data["emissions"]) > 0.0
    assert tight.data["emissions"].attrs["unit"] == "$/kg"
    paid = 0.5 * emitted * float(tight.data["emissions"])
    assert tight.accounts.profit["regulator"] == pytest.approx(paid)
    table = tight.certificate.markets
    assert table.loc["emissions", "unit"] == "kg/h"
    assert table.loc["emissions", "mismatch"] < 1e-9


def test_a_cap_that_nothing_can_keep_is_named() -> None:
    with pytest.raises(vg.DataError, match=r"keeps all limits.*emissions by 100 kg/h"):
        vg.solve(SHIPPED, "stress", players=[regulator(-100.0)])


@pytest.mark.parametrize("factor", [{"g13": 1.0}, [0.7, 0.5, 0.3], 0.7])
def test_charges_of_every_form_are_kept_in_files(factor: Any, tmp_path: Path) -> None:
    """By label, one per entry of the variable, and one for all."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("regulator", s)
        p.add(vg.Market("emissions", "kg/h", lower=0))
        p.sell("emissions", 400.0)
        s.charge("emissions", "lse.A.generation", factor)
        return p

    eq = vg.solve(SHIPPED, "stress", players=[state])
    eq.save(tmp_path / "charged.nc")
    again = vg.load(tmp_path / "charged.nc")
    assert again.certificate.holds, again.certificate
    np.testing.assert_array_equal(again.coupled.mcp.F(eq.z), eq.coupled.mcp.F(eq.z))


def test_charges_by_label_reach_the_named_generators_only() -> None:
    def state(s: Any) -> vg.Program:
        p = vg.Program("regulator", s)
        p.add(vg.Market("emissions", "kg/h", lower=0))
        p.sell("emissions", 50.0)
        s.charge("emissions", "lse.*.generation", {"g13": 1.0})
        return p

    eq = vg.solve(SHIPPED, "stress", players=[state])
    assert eq.certificate.holds
    assert float(eq.generation_kw.sel(generator="g13")) == pytest.approx(50.0)


# -- rivals and costs -------------------------------------------------------------------------------


@pytest.mark.slow
def test_rivals_in_rows_and_costs_are_not_perceived_by_their_owner() -> None:
    """A follower that must sell a tenth of what LSE A generates, and one paid by its output."""

    def follower(s: Any) -> vg.Program:
        p = vg.Program("follower", s)
        x = p.variable("x", unit="kW", upper=500.0)
        p.sell("energy", x, at="76")
        p.equality("tenth", terms={x: 1.0, "lse.A.generation": -0.1})
        return p

    without = vg.solve(SHIPPED, "island")
    eq = vg.solve(SHIPPED, "island", players=[follower])
    assert eq.certificate.holds, eq.certificate
    own = eq.values["lse.A.generation"].sum()
    assert float(eq.data["follower.x"]) == pytest.approx(0.1 * own, rel=1e-9)
    assert without.certificate.holds

    def payer(s: Any) -> vg.Program:
        p = vg.Program("payer", s)
        x = p.variable("x", unit="kW", upper=500.0)
        p.sell("energy", x, at="76")
        p.cost(x, 0.001, times="lse.A.generation")
        return p

    eq = vg.solve(SHIPPED, "stress", players=[payer])
    assert eq.certificate.holds, eq.certificate
    price, x = float(eq.dlmp.sel(bus="76")), float(eq.data["payer.x"])
    marginal = 0.001 * float(eq.values["lse.A.generation"].sum())
    if 1.0 < x < 499.0:
        assert price == pytest.approx(marginal)
    assert eq.accounts.social_cost["x payer"] == pytest.approx(marginal * x)
    assert set(eq.uniqueness["status"]) == {"unknown"}


@pytest.mark.slow
def test_costs_of_combinations_and_quadratic_costs_are_the_same_thing() -> None:
    """(a + b)^2 / 2000 stated as a formula and as a matrix; a price is its derivative."""

    def two(how: str) -> Callable[..., vg.Program]:
        def state(s: Any) -> vg.Program:
            p = vg.Program("two", s)
            a = p.variable("a", unit="kW", upper=400.0)
            b = p.variable("b", unit="kW", upper=400.0)
            p.sell("energy", a, at="76")
            p.sell("energy", b, at="65")
            p.cost(b, 0.01)
            if how == "formula":
                p.cost({a: 1.0, b: 1.0}, "x**2/2000")
            else:
                p.quadratic_cost([a, b], np.full((2, 2), 1e-3))
            return p

        return state

    runs = [vg.solve(SHIPPED, "stress", players=[two(how)]) for how in ("formula", "matrix")]
    for eq in runs:
        assert eq.certificate.holds, eq.certificate
        a, b = float(eq.data["two.a"]), float(eq.data["two.b"])
        assert a + b > 10.0
        for x, bus, own in ((a, "76", 0.0), (b, "65", 0.01)):
            if 1.0 < x < 399.0:
                assert float(eq.dlmp.sel(bus=bus)) == pytest.approx(own + (a + b) / 1000, rel=1e-6)
    same(runs[0], runs[1])


def test_a_cournot_seller_of_the_user_foresees_its_price() -> None:
    """Alone with demand 1 - x/100 outside the feeder: x = 50 at no cost."""

    def seller(price: Any) -> Callable[..., vg.Program]:
        def state(s: Any) -> vg.Program:
            p = vg.Program("seller", s)
            x = p.variable("x", unit="kW", upper=90.0)
            p.cournot_revenue(x, price)
            return p

        return state

    for price in ("1 - x/100", Linear(np.ones(1), np.full(1, 0.01))):
        eq = vg.solve(SHIPPED, "base", players=[seller(price)])
        assert float(eq.data["seller.x"]) == pytest.approx(50.0, rel=1e-6)


# -- the same everywhere ----------------------------------------------------------------------------


def test_files_hold_statements_and_no_code(tmp_path: Path) -> None:
    players = [battery(250.0, "0.1*x + 0.0001*x**2"), regulator(400.0), aggregator(0.05)]
    eq = vg.solve(SHIPPED, "stress", players=players)
    eq.save(tmp_path / "own.nc")
    again = vg.load(tmp_path / "own.nc")
    assert again.certificate.holds, again.certificate
    assert again.coupled.own.functions == ()
    np.testing.assert_array_equal(again.z, eq.z)
    np.testing.assert_array_equal(
        again.coupled.mcp.F(again.z), eq.coupled.mcp.F(eq.z), err_msg="the same problem"
    )
    again.save(tmp_path / "again.nc")
    assert vg.load(tmp_path / "again.nc").certificate.holds


class Bowl:
    """A convex curve that is Python code."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return 1e-4 * x**2

    def first(self, x: np.ndarray) -> np.ndarray:
        return 2e-4 * x

    def second(self, x: np.ndarray) -> np.ndarray:
        return np.full_like(x, 2e-4)


def test_python_curves_solve_and_are_not_saved(tmp_path: Path) -> None:
    eq = vg.solve(SHIPPED, "stress", players=[battery(cost=Bowl())])
    assert eq.certificate.holds
    written = vg.solve(
        SHIPPED, "stress", players=[battery(cost=Quadratic(np.zeros(1), np.full(1, 1e-4)))]
    )
    assert float(eq.data["battery.power"]) == pytest.approx(float(written.data["battery.power"]))
    with pytest.raises(vg.DataError, match="Python code"):
        eq.save(tmp_path / "code.nc")
    assert not (tmp_path / "code.nc").exists()


def test_everything_knows_the_players(tmp_path: Path) -> None:
    eq = vg.solve(SHIPPED, "stress", players=[battery(), regulator(500.0)])
    assert eq.data["battery.power"].attrs == {"unit": "kW", "long_name": "sold to the grid"}
    page = eq.equations()
    assert "## battery" in page and "`emissions`" in page and "*emissions*" in page
    assert "battery sells 300 kW at 76" in eq.explain(bus="76").text
    by_voll = eq.sensitivity(of="battery.power", to="voll")
    assert float(by_voll) == 0.0
    by_price = eq.sensitivity(of="emissions", to="substation.price")
    assert np.isfinite(float(by_price))
    full = eq.full_uniqueness.set_index("result")["status"]
    assert full["battery.power"] == "unique" and full["emissions"] == "unique"
    from v2geq.export.gams import gams_text

    assert "x_battery_power" in gams_text(eq.coupled.mcp)
    assert "battery" in str(eq.certificate)


def test_sensitivities_state_the_players_again() -> None:
    """A player whose data follow the case: derivative against two equilibria."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("battery", s)
        out = p.variable("power", unit="kW", upper=10.0 * s.case.market.voll)
        p.sell("energy", out, at="76")
        return p

    eq = vg.solve(SHIPPED, "stress", players=[state])
    assert float(eq.data["battery.power"]) == pytest.approx(200.0)
    assert float(eq.sensitivity(of="battery.power", to="voll")) == pytest.approx(10.0, rel=1e-6)


def test_players_are_stated_once_per_problem() -> None:
    calls = []

    def counted(s: Any) -> vg.Program:
        calls.append(s.periods)
        return battery()(s)

    vg.solve(SHIPPED, "stress", players=[counted])
    assert len(calls) == 1
    assert [(p.name, p.hours) for p in calls[0]] == [("hour", 1.0)]
