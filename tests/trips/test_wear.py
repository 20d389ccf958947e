"""Battery wear by depth: pricing against enumeration, and markets with it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from cases import fleet, make_case, make_road
from test_pricing import Problem
from test_ties import cost_of, grid

import v2geq as vg
from v2geq.certificates.market import certify
from v2geq.errors import DataError, V2GError
from v2geq.mcp.expression import Expression
from v2geq.trips.battery import EnergyRules, Wear
from v2geq.trips.costs import Rates
from v2geq.trips.enumeration import enumerate_paths
from v2geq.trips.paths import Path
from v2geq.trips.ties import cheapest_paths

FORMULAS = ("1.5*d", "4*d**2", "0.3 + 9*d**3", "0.05*exp(5*d)")


def wear_of(text: str, battery: float) -> Wear:
    return Wear(Expression.parse(text, variable="d", parameters={}, where="test"), battery)


def by_hand(text: str, share: float) -> float:
    return float(eval(text, {"d": share, "exp": np.exp}))


class Worn(Problem):
    """A network whose arcs take time enough for no detour to pay by selling less."""

    def __init__(self, rng: np.random.Generator, text: str, **settings) -> None:
        super().__init__(rng, **settings)
        self.text = text
        self.prices["wear"] = wear_of(text, self.rules.battery)
        self.prices["degradation"] = 0.0

    def cost(self, path: Path) -> float:
        depth = [s.energy_kwh / self.rules.battery for s in path.stops if s.kind == "D"]
        return super().cost(path) + sum(by_hand(self.text, d) for d in depth)


def test_pricing_finds_the_cheapest_of_all_paths() -> None:
    """Also where the last kWh costs more than it earns, so that using energy first pays."""
    sold = bent = refused = 0
    for seed in range(120):
        rng = np.random.default_rng(7000 + seed)
        problem = Worn(
            rng,
            FORMULAS[seed % 4],
            energy_value=(0.0, 0.15)[seed % 2],
            closed=int(seed % 6 == 0),
            partial=seed % 7 > 3,
        )
        problem.times = np.maximum(problem.times, 0.05 * (1 + seed % 3) * problem.graph.length_km)
        try:
            _, paths = problem.check()
        except V2GError:
            with pytest.raises(V2GError, match="wear rises so steeply"):
                problem.price()
            refused += 1
            continue
        sold += sum("D" in p.pattern for p in paths)
        deepest = 1.0 - problem.rules.low / problem.rules.battery
        margin = problem.prices["wear"].first(np.array([deepest * problem.rules.battery]))
        per_kwh = problem.prices["value_of_time"] / problem.prices["charger_power"]
        per_kwh = per_kwh - problem.prices["discharge_price"] + margin
        bent += sum(per_kwh[s.station] > 0 for p in paths for s in p.stops if s.kind == "D")
    assert sold > 40 and bent > 4 and refused < 30, (sold, bent, refused)


def test_pricing_where_charging_is_paid_for() -> None:
    sold = 0
    for seed in range(30):
        rng = np.random.default_rng(8000 + seed)
        problem = Worn(rng, FORMULAS[seed % 4], nodes=5, arcs=11, charge=(-1.0, 0.2))
        problem.times = np.maximum(problem.times, 0.08 * problem.graph.length_km)
        try:
            _, paths = problem.check()
        except V2GError:
            continue
        sold += sum("D" in p.pattern for p in paths)
    assert sold > 5


def test_wear_proportional_to_energy_is_degradation() -> None:
    for seed in range(10):
        problem = Problem(np.random.default_rng(seed), energy_value=0.1)
        problem.times = np.maximum(problem.times, 0.03 * problem.graph.length_km)
        cost, paths = problem.price()
        line = wear_of(f"{0.05 * problem.rules.battery!r}*d", problem.rules.battery)
        same, others = problem.price(degradation=0.0, wear=line)
        np.testing.assert_allclose(same, cost, rtol=1e-12)
        assert [p.key for p in others] == [p.key for p in paths]


@pytest.mark.parametrize("seed", range(8))
def test_all_cheapest_paths_are_those_of_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = grid(rng)
    rules = EnergyRules(7.0, 1.0, 5.0, 1.0, departure=float(rng.choice([6.0, 7.0])))
    stations = rng.choice(8, size=3, replace=False)
    pairs = np.array([[0, 8], [2, 6], [8, 0], [1, 7]])
    text = FORMULAS[seed % 4]
    rates = Rates(
        12.0,
        rng.integers(0, 3, 3) / 60.0,
        rng.integers(0, 3, 3) / 60.0,
        rng.integers(1, 4, 3) / 10.0,
        rng.integers(4, 12, 3) / 10.0,
        np.full(3, np.inf),
        0.0,
        float(rng.choice([0.0, 0.1])),
        wear_of(text, rules.battery),
    )

    def cost_with_wear(p: Path) -> float:
        depth = [s.energy_kwh / rules.battery for s in p.stops if s.kind == "D"]
        return cost_of(p, graph, rules, rates) + sum(by_hand(text, d) for d in depth)

    od = [(int(o), int(d)) for o, d in pairs]
    every = enumerate_paths(graph, rules, od, stations, 1000, True)
    cost = np.array([cost_with_wear(p) for p in every])
    least = np.array([cost[[p.od == w for p in every]].min() for w in range(len(pairs))])
    limit = least + 0.3
    found = cheapest_paths(graph, rules, graph.free_flow_h, pairs, stations, rates, limit)
    assert found is not None
    keys = {p.key for p in found}
    assert len(keys) == len(found)
    assert all(cost_with_wear(p) <= limit[p.od] + 1e-9 for p in found)
    first = float(rates.wear.first(np.zeros(1))[0])
    for p, c in zip(every, cost, strict=True):
        gain = [rates.discharge_price[s.station] > first for s in p.stops if s.kind == "D"]
        if c <= limit[p.od] - 1e-9 and all(gain):
            assert p.key in keys, (p, c)


# -- markets --------------------------------------------------------------------------------------

SCARCE = {
    "generators": {},
    "import_max": 240.0,
    "voll": 2.0,
    "firm_share": 1.0,
    "trips": {"ev": {"1-3": 20.0}},
}


def worn(wear: str = "", degradation: float = 0.0, **changes) -> vg.Case:
    ev = {"wear": wear, "degradation": degradation}
    return make_case(**{**SCARCE, "drivers": {"ev": ev}, **changes})


@cache
def market(wear: str = "3*d**2", **changes) -> vg.Equilibrium:
    return vg.solve(worn(wear, **changes))


def test_a_discharge_costs_what_the_formula_says() -> None:
    eq = market()
    assert eq.certificate.holds
    assert float(eq.discharge_kw.sum()) > 10.0
    paths = eq.coupled.traffic.paths["ev"]
    flow = eq.values["drivers.flow_ev"]
    depth = paths.discharged_kwh / 24.0
    spent = float(flow @ (3.0 * depth**2))
    assert spent > 0.1
    assert eq.accounts.social_cost["degradation ev"] == pytest.approx(spent)
    assert eq.accounts.identity_gap == pytest.approx(0.0, abs=1e-8)


def test_half_the_wear_is_another_market_and_a_line_is_none() -> None:
    """A wrong sign or a wear left out would show; in proportion to energy it is degradation."""
    linear, same = market("0.05*24*d"), vg.solve(worn(degradation=0.05))
    np.testing.assert_allclose(linear.dlmp, same.dlmp, atol=1e-9)
    np.testing.assert_allclose(linear.cost_ev, same.cost_ev, atol=1e-9)
    free = vg.solve(worn())
    assert float(market().discharge_price[0]) > float(free.discharge_price[0]) + 0.01


def test_all_paths_are_considered() -> None:
    """Exact equals the enumeration of all routes, in both forms, and the certificate says so."""
    eq = market()
    listed = vg.solve(worn("3*d**2", method="enumerate", base_routes_ev=50))
    np.testing.assert_allclose(eq.dlmp, listed.dlmp, atol=1e-8)
    np.testing.assert_allclose(eq.cost_ev, listed.cost_ev, atol=1e-8)
    assert listed.certificate.wardrop_gap_all_paths == pytest.approx(0.0, abs=1e-9)
    legs = vg.solve(worn("3*d**2", form="legs"))
    np.testing.assert_allclose(eq.dlmp, legs.dlmp, atol=1e-8)
    assert legs.certificate.holds


def test_several_classes_with_wear_of_their_own() -> None:
    case = fleet()
    drivers = {
        name: replace(d, wear="2*d + 5*d**2", degradation=0.0) if name == "big" else d
        for name, d in case.drivers.items()
    }
    eq = vg.solve(replace(case, drivers=drivers))
    assert eq.certificate.holds
    legs = vg.solve(replace(case, drivers=drivers), parameters={"paths.form": "legs"})
    np.testing.assert_allclose(eq.dlmp, legs.dlmp, atol=1e-6)


def test_the_gap_shows_a_wear_that_drivers_do_not_pay() -> None:
    """The certificate prices all paths by the formula of the case."""
    eq = market()
    other = vg.solve(worn("3.5*d**2"))
    wrong = replace(
        eq.coupled, traffic=replace(eq.coupled.traffic, classes=other.coupled.traffic.classes)
    )

    certificate = certify(wrong, eq.z)[0]
    assert certificate.wardrop_gap_all_paths > 1e-3 and not certificate.holds


@pytest.mark.parametrize(
    ("name", "value", "h"),
    [("drivers.ev.charger_power", 150.0, 0.1), ("drivers.ev.battery", 24.0, 1e-3)],
)
def test_derivatives_with_wear(name: str, value: float, h: float) -> None:
    """A battery that grows changes the energies of every path, and the depth of its discharges."""
    eq = market()
    slope = eq.sensitivity(of="dlmp", to=name).to_numpy()
    up, down = (vg.solve(eq.original, parameters={name: value + x}) for x in (h, -h))
    difference = ((up.dlmp - down.dlmp) / (2.0 * h)).to_numpy()
    assert np.abs(difference).max() > 1e-5
    np.testing.assert_allclose(slope, difference, rtol=1e-3)


def test_the_formula_survives_files(tmp_path) -> None:
    eq = market()
    eq.save(tmp_path / "eq.nc")
    assert vg.load(tmp_path / "eq.nc").certificate.holds
    eq.original.save(tmp_path / "case")
    assert vg.load_case(tmp_path / "case").drivers["ev"].wear == "3*d**2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 - d", "falls with the depth"),
        ("-1 + d", "is below zero"),
        ("sqrt(d + 1)", "is not convex"),
        ("3*x", "'x'"),
    ],
)
def test_formulas_that_are_no_wear_are_refused(text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        worn(text)
    assert said in str(error.value) and "drivers.ev" in str(error.value) + "drivers.ev"


def test_wear_is_said_once() -> None:
    with pytest.raises(DataError, match="wear would count twice"):
        worn("3*d", degradation=0.05)
    with pytest.raises(DataError, match="is given for the fuel class"):
        worn(drivers={"ev": {}, "fv": {"kind": "fv", "wear": "d"}}, trips={"fv": {"1-3": 1.0}})


def test_wear_too_steep_for_its_roads_is_refused() -> None:
    """A detour of no time would sell less and wear less: no front holds the cheapest path."""
    road = make_road({"1-2": {}, "2-3": {"free_flow_min": 0.01, "bpr_b": 0.0}, "1-3": {}})
    steep = worn("100*d**8", road=road, voll=20.0)
    with pytest.raises(V2GError, match="wear rises so steeply"):
        vg.solve(steep)
    # drivers who choose from a list need no such search, and how far all paths are is not known
    eq = vg.solve(steep.with_parameters({"paths.method": "enumerate"}))
    assert eq.certificate.holds, eq.certificate
    assert np.isnan(eq.certificate.wardrop_gap_all_paths)
    assert eq.summary["wardrop_gap"] < 1e-8
