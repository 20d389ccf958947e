"""Players of the user: statements that are refused, and those that are read as they are meant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
from cases import fuel_only, make_case
from test_own_players import SHIPPED, battery

import v2geq as vg
from v2geq.mcp.curves import Linear, Quadratic

SMALL = make_case()


class HalfCurve:
    def first(self, x: np.ndarray) -> np.ndarray:
        return x

    def second(self, x: np.ndarray) -> np.ndarray:
        return np.ones_like(x)


def stated(action: Callable[[vg.Program, Any, Any], object]) -> Callable[..., vg.Program]:
    """A battery with one more line."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("battery", s)
        x = p.variable("power", unit="kW", lower=-300, upper=300)
        p.sell("energy", x, at="76")
        action(p, x, s)
        return p

    return state


BAD = {
    "unknown bus": (lambda p, x, s: p.sell("energy", x, at="7b"), "bus '7b', which there is not"),
    "no bus": (lambda p, x, s: p.sell("energy", x), "does not say which"),
    "megawatts": (
        lambda p, x, s: p.sell("energy", p.variable("y", unit="MW", upper=1), at="76"),
        "which is in MW",
    ),
    "unknown market": (
        lambda p, x, s: p.sell("emission", x),
        "market 'emission', which there is not",
    ),
    "unit of a market": (
        lambda p, x, s: p.sell("charge_price", p.variable("y", unit="MW", upper=1), at="s11"),
        "is in MW, the market trades kW",
    ),
    "unknown station": (lambda p, x, s: p.sell("charge_price", x, at="s99"), "no label 's99'"),
    "no label": (
        lambda p, x, s: p.sell("charge_price", x),
        "market 'charge_price'.*has no label|do not say where",
    ),
    "unbounded": (
        lambda p, x, s: p.variable("y", unit="kW"),
        "battery.y has no bound, and no reach",
    ),
    "crossed": (
        lambda p, x, s: p.variable("y", unit="kW", lower=2, upper=1),
        "bounds of battery.y cross",
    ),
    "twice": (lambda p, x, s: p.variable("power", unit="kW", upper=1), "declares 'power' twice"),
    "shape": (
        lambda p, x, s: p.variable("y", "bus", ["76", "65"], unit="kW", upper=[1, 2, 3]),
        "upper bound of battery.y has shape",
    ),
    "concave formula": (lambda p, x, s: p.cost(x, "-0.1*x**2"), "is not convex"),
    "concave curve": (
        lambda p, x, s: p.cost(x, Quadratic(np.zeros(1), -np.ones(1))),
        "is not convex at",
    ),
    "concave matrix": (lambda p, x, s: p.quadratic_cost(x, [[-1.0]]), "has the eigenvalue -1"),
    "function": (lambda p, x, s: p.cost(x, lambda y: y**2), "is a Python function"),
    "unknown rival": (
        lambda p, x, s: p.equality("r", terms={x: 1.0, "lse.C.generation": 1.0}),
        "'lse.C.generation', which no player declares",
    ),
    "unknown charge": (
        lambda p, x, s: s.charge("tso_price", "lse.*.generatoin", 1.0),
        "which no player's variable matches",
    ),
    "charge by unknown label": (
        lambda p, x, s: s.charge("tso_price", "lse.*.generation", {"g99": 1.0}),
        "names g99",
    ),
    "floor": (
        lambda p, x, s: p.add(vg.Market("m", "kg/h", lower=5)),
        "free \\(-inf\\) or at least 0",
    ),
    "replaces nobody": (lambda p, x, s: p.replaces("cn0"), "replaces 'cn0', which there is not"),
    "replaces an LSE": (lambda p, x, s: p.replaces("lse.A"), "cannot be replaced, as others"),
    "replaces no station": (lambda p, x, s: p.replaces("cno", station="s99"), "no station 's99'"),
    "replaces by bus": (lambda p, x, s: p.replaces("cno", bus="76"), "no variable by 'bus'"),
    "NaN": (lambda p, x, s: p.cost(x, np.nan), "cost of battery.power is nan"),
    "unit": (lambda p, x, s: p.variable("y", unit=None, upper=1), "has the unit None"),
    "name of a variable": (
        lambda p, x, s: p.variable("a/b", unit="kW", upper=1),
        "must be a word, not 'a/b'",
    ),
    "number as a name": (lambda p, x, s: p.variable(3, unit="kW", upper=1), "must be a word"),
    "name of the dimension": (
        lambda p, x, s: p.variable("unit", "unit", ["1"], unit="kW", upper=1),
        "a variable or row, and a dimension, called 'unit'",
    ),
    "no labels": (
        lambda p, x, s: p.variable("y", "bus", None, unit="kW", upper=1),
        "None is no list of labels",
    ),
    "dimension": (
        lambda p, x, s: p.variable("y", 3, ["76"], unit="kW", upper=1),
        "3 is no name of a dimension",
    ),
    "dimensions repeat": (
        lambda p, x, s: p.variable("y", ("bus", "bus"), [("76", "65")], unit="kW", upper=1),
        "repeat",
    ),
    "table without a label": (
        lambda p, x, s: p.variable("y", "bus", ["76", "65"], unit="kW", upper={"76": 1.0}),
        "upper bound of battery.y has no entry for 65",
    ),
    "reach": (lambda p, x, s: p.variable("y", unit="kW", reach=-1), "has its reach, -1"),
    "reach below bounds": (
        lambda p, x, s: p.variable("y", unit="kW", lower=5, upper=9, reach=1),
        "within its bounds has its reach",
    ),
    "rows of a list": (lambda p, x, s: p.equality("r", terms=[x]), "write {variable: coefficient"),
    "rows of nothing": (lambda p, x, s: p.at_most("r", rhs=1.0), "name no variable"),
    "coefficient": (
        lambda p, x, s: p.at_most("r", terms={x: 1.0, "lse.A.generation": "a"}),
        "must hold real numbers",
    ),
    "own variable as a rival's": (
        lambda p, x, s: p.at_most("r", terms={"battery.power": 1.0}),
        "which is the player's own",
    ),
    "own variable as a price": (
        lambda p, x, s: p.cost(x, 1.0, times="battery.power"),
        "which is the player's own",
    ),
    "formula times a rival": (
        lambda p, x, s: p.cost(x, "x**2", times="lse.A.generation"),
        "and the cost as a number",
    ),
    "no variable in a combination": (
        lambda p, x, s: p.cost({x: 1.0, 3: 1.0}, "x**2"),
        "names 3, which is no variable",
    ),
    "half a curve": (lambda p, x, s: p.cost(x, HalfCurve()), "has no function 'value'"),
    "concave curve by the back door": (
        lambda p, x, s: p.separable_cost(x, Quadratic(np.zeros(1), -np.ones(1))),
        "is not convex at",
    ),
    "twice in a matrix": (
        lambda p, x, s: p.quadratic_cost([x, x], np.eye(2)),
        "names battery.power twice",
    ),
    "no matrix": (lambda p, x, s: p.quadratic_cost([], np.eye(0)), "needs a 0 x 0 matrix"),
    "rising price": (
        lambda p, x, s: p.cournot_revenue(
            p.variable("y", unit="kW", upper=1), Linear(np.ones(1), -np.ones(1))
        ),
        "does not fall",
    ),
    "own rival": (
        lambda p, x, s: p.cournot_revenue(
            p.variable("y", unit="kW", upper=1), "1 - x/9", ["battery.y"]
        ),
        "which is no rival's",
    ),
    "revenue of a buyer": (lambda p, x, s: p.cournot_revenue(x, "1 - x"), "may be below zero"),
    "market not added": (
        lambda p, x, s: p.sell(vg.Market("m", "kW"), x),
        "'m', which there is not",
    ),
    "no market": (lambda p, x, s: p.sell(3, x), "give a market's name"),
    "place": (lambda p, x, s: p.sell("energy", x, at=7.6), "7.6 is no list of labels"),
    "energy from nowhere": (lambda p, x, s: p.sell("tso_price", x), "which moves no energy"),
    "built-in market": (lambda p, x, s: p.add(vg.Market("energy", "kW")), "of a built-in part"),
    "result": (lambda p, x, s: p.add(vg.Market("dlmp", "kg/h")), "dlmp: a market .* result's name"),
    "dimension of results": (
        lambda p, x, s: p.add(vg.Market("bus", "kg/h")),
        "bus: a market or its dimension",
    ),
    "endless": (
        lambda p, x, s: p.sell("energy", p.variable("y", unit="kW", upper=1e12), at="76"),
        "players can trade 1e\\+12 kW at bus 76",
    ),
    "part of a file": (lambda p, x, s: p.add(vg.Market("z.m", "kg/h")), "of a built-in part"),
    "nobody to sell to": (
        lambda p, x, s: (p.add(vg.Market("m", "kg/h")), p.sell("m", 3.0)),
        "only a fixed quantity of 3 kg/h",
    ),
    "replaces the DSO": (lambda p, x, s: p.replaces("dso", bus="76"), "cannot be replaced"),
    "charge in a built-in market": (
        lambda p, x, s: s.charge("energy", "lse.*.generation", 1.0),
        "'energy', which no player opens",
    ),
    "charge of a list": (lambda p, x, s: s.charge("m", ["lse.*"], 1.0), "variable matches"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_statements_are_refused(name: str) -> None:
    action, message = BAD[name]
    with pytest.raises(vg.DataError, match=message):
        vg.solve(SHIPPED, "stress", v2g=True, players=[stated(action)])


def named(name: str) -> Callable[..., vg.Program]:
    def state(s: Any) -> vg.Program:
        p = vg.Program(name, s)
        p.sell("energy", p.variable("x", unit="kW", upper=1), at="76")
        return p

    return state


@pytest.mark.parametrize(
    ("players", "message"),
    [
        ("battery", "no list of functions"),
        ([3], "is no function"),
        ([lambda s: None], "returns None, which is no vg.Program"),
        ([lambda s: [3]], "returns 3, which is no vg.Program"),
        ([named("cno")], "name of a built-in player"),
        ([named("lse.C")], "name of a built-in player"),
        ([battery(), battery()], "two players are called 'battery'"),
        ([lambda s: vg.Program("nobody", s)], "has no variable and trades nothing"),
        ([lambda s: vg.Program("", s)], "name of a player must be a word"),
        ([named("a*")], "name of the player must be a word"),
        ([named("households")], "name of a built-in player"),
        ([named("z")], "name of a built-in player"),
        ([lambda: None], "cannot be called with the scenario"),
        ([lambda s: vg.Program("a", s.case)], "is no scenario"),
    ],
)
def test_what_is_no_player_is_refused(players: Any, message: str) -> None:
    with pytest.raises(vg.DataError, match=message):
        vg.solve(SHIPPED, "stress", players=players)


def small(action: Callable[[vg.Program, Any], object]) -> vg.Equilibrium:
    """An equilibrium of the small case with one player; its certificate holds."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("own", s)
        action(p, s)
        return p

    eq = vg.solve(SMALL, players=[state])
    assert eq.certificate.holds, eq.certificate
    return eq


def test_tables_by_label_are_read_by_label() -> None:
    limits = pd.Series({"b": 2.0, "a": 1.0})

    def state(p: vg.Program, s: Any) -> None:
        x = p.variable("x", "bus", ["a", "b"], unit="kW", upper=limits)
        p.cost(x, -limits)
        p.at_most("half", "bus", ["a", "b"], terms={x: limits}, rhs=limits)
        p.sell("energy", x)

    eq = small(state)
    np.testing.assert_array_equal(eq.coupled.programs["own"]["x"].upper, [1.0, 2.0])
    assert eq.data["own.x"].sel(bus=["a", "b"]).values == pytest.approx([1.0, 1.0])
    assert eq.accounts.social_cost["x own"] == pytest.approx(-3.0)


def test_blocks_over_one_dimension_need_not_share_its_labels(tmp_path: Path) -> None:
    """Dimensions of results unite them; a name like `bus` for other labels is the player's own."""

    def state(p: vg.Program, s: Any) -> None:
        x = p.variable("x", "part", ["1"], unit="kW", upper=1.0)
        y = p.variable("y", "part", ["1", "2"], unit="kW", upper=1.0)
        z = p.variable("w", "bus", ["nowhere"], unit="kW", upper=1.0)
        p.quadratic_cost([x, y], np.ones((3, 3)))
        p.quadratic_cost([y, z], np.ones((3, 3)))
        for v in (x, y, z):
            p.sell("energy", v, at="b")

    eq = small(state)
    assert eq.data["own.y"].dims == eq.data["own.x"].dims == ("own.part",)
    assert eq.data["own.w"].dims == ("own.w.bus",)
    eq.save(tmp_path / "own.nc")
    assert vg.load(tmp_path / "own.nc").certificate.holds


def test_what_a_player_does_to_the_scenario_stays_with_it() -> None:
    def state(p: vg.Program, s: Any) -> None:
        s.firm_kw[:] = 0.0
        s.stations["charge_max_kw"] = 0.0
        s.case.generators["max_kw"] = 0.0
        p.sell("energy", 0.0, at="b")

    eq, without = small(state), vg.solve(SMALL)
    np.testing.assert_allclose(eq.generation_kw, without.generation_kw)
    np.testing.assert_allclose(eq.charge_kw, without.charge_kw)
    np.testing.assert_allclose(eq.dlmp, without.dlmp, rtol=1e-12)


def test_revenue_from_outside_is_no_cost_of_the_market() -> None:
    """Accounts close with a seller who foresees its price, and with terms of built-in names."""

    def state(p: vg.Program, s: Any) -> None:
        x = p.variable("x", unit="kW", upper=90.0)
        p.cournot_revenue(x, "1 - x/100")
        p.cost(x, 0.2, term="benefit of responsive demand")

    eq = small(state)
    assert float(eq.data["own.x"]) == pytest.approx(40.0, rel=1e-6)
    assert eq.accounts.profit["own"] == pytest.approx(40.0 * 0.4)
    assert eq.accounts.social_cost["revenue from x own"] == pytest.approx(-40.0 * 0.6)


def test_a_player_too_small_to_matter_is_solved() -> None:
    """Rows and markets of tiny players are measured by what they can trade, at usual prices."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("heat", s)
        p.add(vg.Market("warmth", "kW"))
        made = p.variable("made", unit="kW", upper=1e-6)
        need = p.variable("need", unit="kW", upper=1e-6)
        use = p.variable("use", unit="kW", upper=3e-6)
        p.sell("warmth", {made: 1.0, need: -1.0})
        p.at_least("heat_pump", terms={use: 3.0, made: -1.0})
        p.sell("energy", {use: -1.0}, at="10")
        p.cost(need, Quadratic(np.full(1, -0.4), np.full(1, 1e5)))
        return p

    assert vg.solve(SHIPPED, "island", players=[state]).certificate.holds


@pytest.mark.parametrize("whole", [False, True])
def test_uniqueness_where_nobody_trades(whole: bool) -> None:
    """Without stations, and with the stations' operator replaced by nobody."""

    def state(s: Any) -> vg.Program:
        p = vg.Program("own", s)
        p.sell("energy", 0.0, at="b")
        if whole:
            p.replaces("cno")
        return p

    eq = vg.solve(SMALL if whole else fuel_only(), players=[state], v2g=False)
    assert len(eq.full_uniqueness)


def in_program(part: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["programs"][0].update({part: value})


def in_part(part: str, k: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["programs"][0][part][k].update(changes)


HUGE = {"shape": [10**9, 10**9], "row": [], "column": [], "data": []}
EDITS = {
    "cost": (in_program("linear", {"x": [0.5]}), None),
    "bound": (in_part("variables", 0, upper=[1.0]), None),
    "revenue": (in_part("curves", 1, rivals=None, kind="formula", text="9*x**2"), None),
    "market": (in_part("markets", 0, lower=-np.inf), None),
    "concave": (in_part("curves", 0, text="-x**2"), "is not convex"),
    "code": (in_part("curves", 0, text="__import__('os')"), "is not known"),
    "not a number": (in_program("linear", {"x": [np.nan]}), "is nan"),
    "type": (in_program("variables", 3), "damaged"),
    "name": (in_program("player", None), "must be a word"),
    "memory": (in_part("constraints", 0, terms={"x": HUGE}), "matrix of shape"),
    "nobody": (lambda d: d.update(programs=[]), "do not fit"),
    "missing": (lambda d: d.pop("charges"), "damaged"),
    "key": (lambda d: d["programs"][0].pop("offers"), "damaged"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_statements_fail_or_are_refused(name: str, tmp_path: Path) -> None:
    """Also where the digest is made to fit."""

    def state(p: vg.Program, s: Any) -> None:
        x = p.variable("x", unit="kW", upper=20.0)
        p.cost(x, "0.001*x**2")
        p.at_most("most", terms={x: 1.0}, rhs=15.0)
        p.sell("energy", x, at="b")
        p.cournot_revenue(p.variable("y", unit="kW", upper=9.0), "1 - x/10")
        p.add(vg.Market("emissions", "kg/h", lower=0))
        p.sell("emissions", 50.0)
        s.charge("emissions", "lse.*.generation", {"ga": 0.5})

    path = tmp_path / "own.nc"
    small(state).save(path)
    edit, message = EDITS[name]
    with netCDF4.Dataset(path, "a") as file:
        document = json.loads(file.getncattr("players"))
        edit(document)
        text, digests = json.dumps(document), json.loads(file.getncattr("digests"))
        digests["@players"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        file.setncattr("players", text)
        file.setncattr("digests", json.dumps(digests))
    if message is None:
        assert not vg.load(path).certificate.holds
    else:
        with pytest.raises(vg.DataError, match=message):
            vg.load(path)
