"""Line ratings and LinDistFlow on feeders of two and three buses, by hand arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder
from scipy.sparse import csr_array

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.data.model.feeder import Feeder
from v2geq.errors import DataError
from v2geq.grid.lindistflow import LinDistFlow
from v2geq.grid.network import network
from v2geq.grid.ratings import Box, Polygon, rating
from v2geq.mcp.program import Program
from v2geq.plots.feeder import feeder_table
from v2geq.plots.feeder_view import feeder_view
from v2geq.scenario import check_supply, resolve

KVA = np.array([50.0, 50.0, 50.0])
P = np.array([50.0, -50.0, 30.0])
Q = np.array([0.0, 0.0, 45.0])
NONE = np.zeros((3, 4))
HALF = np.sqrt(0.5)


def test_rating_none() -> None:
    """Nothing is ever full, and a flow reaches as far as there is power."""
    free = rating(KVA, make_case(line_rating="none").feeder_settings)
    assert (free.kva == np.inf).all()
    assert (free.reach(70.0) == 70.0).all()
    assert free.excess(P, Q).max(initial=0.0) == 0.0
    assert not free.binds(NONE, 0.1).any()


def test_rating_box() -> None:
    """30 kW and 45 kvar fit into 50 kVA each."""
    box = Box(KVA)
    np.testing.assert_array_equal(box.reach(70.0), KVA)
    np.testing.assert_array_equal(box.reach(20.0), 20.0)
    np.testing.assert_allclose(box.excess(P, Q), [0.0, 0.0, -5.0])
    np.testing.assert_allclose(box.share(P, Q), [50.0, 50.0, 45.0])
    multipliers = np.array([[0.2, 0.0, 0.0, 0.0], [0.0, 0.0, 0.3, 0.1], [1e-9, 0.0, 0.0, 0.0]])
    assert box.binds(multipliers, 0.1).tolist() == [True, True, False]
    np.testing.assert_allclose(box.pull(multipliers), [[0.2, -0.3, 1e-9], [0.0, -0.1, 0.0]])


def test_rating_polygon() -> None:
    """Of four sides, those at +-45 degrees limit flow away from the root, the others flow to it."""
    square = Polygon(KVA, 4)
    np.testing.assert_allclose(square.excess(P, Q), [0.0, 0.0, np.hypot(30.0, 45.0) - 50.0])
    np.testing.assert_allclose(square.share(P, Q), [50.0, 50.0, 75.0])
    away, back, small = [0.2, 0.0, 0.0, 0.2], [0.0, 0.3, 0.3, 0.0], [1e-9, 0.0, 0.0, 1e-9]
    multipliers = np.array([away, back, small])
    assert square.binds(multipliers, 0.1).tolist() == [True, True, False]
    real, reactive = square.pull(multipliers)
    np.testing.assert_allclose(real, [0.4 * HALF, -0.6 * HALF, 0.0], atol=1e-8)
    np.testing.assert_allclose(reactive, 0.0, atol=1e-12)


@pytest.mark.parametrize("sides", [4, 6, 10, 16, 360])
def test_rating_polygon_is_the_same_both_ways(sides: int) -> None:
    """Its corners, one on the real axis either way, lie on the circle; nothing outside passes."""
    polygon = Polygon(KVA[:1], sides)
    angle = np.linspace(0.0, 2.0 * np.pi, 721)
    cos, sin = 50.0 * np.cos(angle), 50.0 * np.sin(angle)
    share = polygon.share(cos, sin)
    np.testing.assert_allclose(share, polygon.share(-cos, -sin))
    np.testing.assert_allclose(share[[0, 360]], 50.0)
    assert (share >= 50.0 - 1e-9).all()
    assert share.max() <= 50.0 / np.cos(np.pi / sides) + 1e-9


def test_rating_polygon_rows() -> None:
    """The corners of four sides lie on the axes: 50 kW alone pass, 30 kW and 45 kvar do not."""
    program = Program("dso", 1.0)
    names = ("l1", "l2", "l3")
    flows = [program.variable(n, ("line",), names, unit="kW", scale=1.0) for n in ("p", "q")]
    eye = csr_array(np.eye(3))
    Polygon(KVA, 4).state(program, flows[0], *({v: eye} for v in flows))
    (rows,) = program.constraints
    left = sum(rows.terms[v] @ x for v, x in zip(flows, (P, Q), strict=True)) - rows.rhs
    assert rows.labels[4:6] == (("l2", "0"), ("l2", "1"))
    np.testing.assert_allclose(
        left.reshape(3, 4) / HALF,
        [[0, 100, 100, 0], [100, 0, 0, 100], [-25, 35, 125, 65]],
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("asked", "kind", "sides"), [("none", Box, 4), ("box", Box, 4), ("polygon", Polygon, 12)]
)
def test_rating_asked_for(asked: str, kind: type, sides: int) -> None:
    limits = make_case(line_rating=asked, rating_sides=12).feeder_settings
    found = rating(KVA, limits)
    assert type(found) is kind
    assert found.sides == sides


def three_buses(**settings: Any) -> LinDistFlow:
    """r - a - b of 0.1 + 0.2j ohm each; on 1 kV and 1 pu2, 100 kW drop 0.02, 100 kvar 0.04 pu2."""
    case = make_case(
        feeder=make_feeder(
            {"r-a": {"rating_kva": 500.0}, "a-b": {"rating_kva": 50.0}}, base_kv=1.0
        ),
        **settings,
    )
    return LinDistFlow(network(case, case.scenarios["base"]), 100.0, 0.1)


def point(**moved: np.ndarray) -> dict[str, np.ndarray]:
    """300 kW and 50 kvar pass the first line, 40 kW and 30 kvar the second, which is full."""
    values = {
        "p_line": np.array([300.0, 40.0]),
        "q_line": np.array([50.0, 30.0]),
        "v_squared": np.array([1.0, 1.0 - 0.06 - 0.02, 0.92 - 0.008 - 0.012]),
        "p_tso": np.array([300.0]),
        "q_tso": np.array([50.0]),
        "withdrawal": np.array([0.0, 260.0, 40.0]),
        "q_source": np.zeros(0),
        "rating": np.zeros(8),
        "voltage_drop": np.zeros(2),
    }
    return {f"dso.{name}": x for name, x in {**values, **moved}.items()}


def test_lindistflow_rows_hold() -> None:
    """The rows take the hand-made point."""
    grid, values = three_buses(line_rating="polygon", rating_sides=4), point()
    program = Program("dso", 1.0)
    withdrawal, purchase, _ = grid.state(program, 1e4)
    assert (withdrawal.key, purchase.key) == ("dso.withdrawal", "dso.p_tso")
    rows = {row.name: row for row in program.constraints}
    for name in ("balance", "voltage_drop"):
        row = rows[name]
        left = sum(m @ values[v.key] for v, m in row.terms.items())
        np.testing.assert_allclose(left, row.rhs, atol=1e-12)


def test_lindistflow_results() -> None:
    results = {r.name: r for r in three_buses().results(point())}
    np.testing.assert_allclose(results["voltage_pu"].values ** 2, [1.0, 0.92, 0.90])
    np.testing.assert_allclose(results["loading"].values, [np.hypot(300, 50) / 500, 1.0])
    assert results["to_bus"].values.tolist() == ["a", "b"]
    assert results["tso_import_kw"].values == 300.0
    assert {r.dims for r in results.values()} == {("bus",), ("line",), ()}


def test_lindistflow_slopes() -> None:
    """A small move of a block moves a result by its slope."""
    grid, values = three_buses(), point()
    results = {r.name: r for r in grid.results(values)}
    sloped = {name: r for name, r in results.items() if r.parts}
    assert set(results) - set(sloped) == {"island", "from_bus", "to_bus", "loading"}
    for name, result in sloped.items():
        for block, slope in result.parts.items():
            move = 1e-6 * np.arange(1.0, 1.0 + len(values[block]))
            moved = {**values, block: values[block] + move}
            there = {x.name: x.values for x in grid.results(moved)}[name]
            change = np.atleast_1d(there) - np.atleast_1d(result.values)
            np.testing.assert_allclose(change, slope @ move, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "kva"), [("none", 0.0), ("box", 10.0), ("polygon", np.hypot(60.0, 30.0) - 50.0)]
)
def test_lindistflow_violations(kind: str, kva: float) -> None:
    grid = three_buses(line_rating=kind, vmin=0.95, vmax=1.05)
    found = grid.violations(point(p_line=np.array([300.0, 60.0])))
    assert found.rating_kva == pytest.approx(kva)
    assert found.voltage_pu == pytest.approx(0.95 - np.sqrt(0.90))
    high = point(v_squared=np.array([1.0, 1.21, 1.0]))
    assert grid.violations(high).voltage_pu == pytest.approx(1.1 - 1.05)
    assert three_buses(vmin=0.9).violations(point()) == (0.0, 0.0)


def test_lindistflow_binding() -> None:
    lowest = float(np.sqrt(0.90))
    sides = np.zeros(8)
    sides[[4, 7]] = 0.1
    square = three_buses(line_rating="polygon", rating_sides=4, vmin=lowest, root_voltage=1.0)
    assert square.binding(point(rating=sides)) == (("a-b",), ("b",), ())
    box = three_buses(line_rating="box", vmin=0.9, vmax=1.0, root_voltage=1.0)
    back = np.array([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0])
    moved = {"p_line": np.array([-500.0, 40.0]), "v_squared": np.array([1.0, 1.0, 0.95])}
    full = point(**moved, rating=back)
    assert box.binding(full) == (("r-a",), (), ("a",))  # the root is held, it does not bind
    free = {k: x for k, x in full.items() if k != "dso.rating"}
    assert three_buses(line_rating="none", vmin=0.9).binding(free) == ((), (), ())


@pytest.mark.parametrize("kind", ["box", "polygon"])
def test_lindistflow_way(kind: str) -> None:
    """The fee rises by 0.05: 0.2 cents per kW of a voltage row's price, the rest is the rating's."""
    grid = three_buses(line_rating=kind, rating_sides=4)
    sides = np.zeros(8)
    sides[[4, 7]] = 0.03 / (2 * HALF) if kind == "polygon" else [0.03, 0.0]
    values = point(rating=sides, voltage_drop=np.array([0.0, -100.0]))
    table = grid.way(values, "b", np.array([0.0, 0.0, 0.05]))
    assert table.index.tolist() == ["r-a", "a-b"]
    assert table.loc["a-b", ["from_bus", "to_bus"]].tolist() == ["a", "b"]
    np.testing.assert_allclose(table["voltage_price"], [0.0, 0.02])
    np.testing.assert_allclose(table["rating_price"], [0.0, 0.03])
    np.testing.assert_allclose(table["fee"], [0.0, 0.05])
    assert grid.way(values, "a", np.zeros(3)).index.tolist() == ["r-a"]
    assert grid.way(values, "r", np.zeros(3)).empty


@pytest.mark.parametrize("kind", ["box", "polygon"])
@pytest.mark.parametrize(
    ("generator", "flow", "price"),
    [
        ({"cost_linear": 0.05, "cost_quadratic": 5e-4}, 40.0, 0.03),
        ({"cost_linear": 0.01, "cost_quadratic": 1e-4, "max_kw": 1e3}, -40.0, 0.038 - 0.08),
    ],
)
def test_shadow_price_of_a_full_line(
    kind: str, generator: dict[str, float], flow: float, price: float
) -> None:
    """A full line adds the difference of costs: 0.05 + 0.001 g at g = 60, 0.01 + 0.0002 g at 140.

    Positive where flow leaves the root, negative where it comes towards it.
    """
    case = fuel_only(
        feeder=make_feeder({"r-a": {"rating_kva": 40.0, "x_ohm": 0.0}}, {"r": 100.0, "a": 100.0}),
        lses={"A": 1.0},
        generators={"g": {"lse": "A", "bus": "a", **generator}},
        line_rating=kind,
        rating_sides=4,
        firm_share=1.0,
    )
    eq = vg.solve(case, "base")
    row = eq.explain(bus="a").table.loc["r-a"]
    assert row["p_kw"] == pytest.approx(flow, rel=1e-8)
    assert row["rating_price"] == pytest.approx(price, rel=1e-7)
    assert row["voltage_price"] == pytest.approx(0.0, abs=1e-8)
    assert any("line ratings bind: r-a" in text for text in eq.warnings)


@pytest.mark.parametrize("losses", [False, True])
@pytest.mark.parametrize("kind", ["box", "polygon"])
def test_ratings_that_stand_for_none(kind: str, losses: bool) -> None:
    """99,999 kA at 4.16 kV, and as much as a number may be, change nothing."""
    lines = {"r-a": {"rating_kva": 720_522_778.0}, "a-b": {"rating_kva": 1e12}}
    feeder = make_feeder(lines, {"a": (100.0, 40.0), "b": (200.0, 80.0)})
    found = [
        vg.solve(make_case(feeder=feeder, line_rating=rated, losses=losses), "base")
        for rated in (kind, "none")
    ]
    assert all(eq.certificate.holds for eq in found)
    np.testing.assert_allclose(*(eq.dlmp for eq in found), rtol=1e-9)
    np.testing.assert_allclose(*(eq.p_kw for eq in found), atol=1e-5)
    assert not any("rating" in text for text in found[0].warnings)


def ringed(regulator: str = "a-b", **more: Any) -> Feeder:
    """r - a - b with a regulator between, and an open switch r - b."""
    lines = {
        "r-a": {"r_ohm": 0.3},
        regulator: {"kind": "regulator", "ratio": 1.02, "rating_kva": 400.0},
        "r-b": {"kind": "switch", "normally_open": True, "x_ohm": 0.3},
    }
    for name, columns in more.items():
        lines[name.replace("_", "-")] |= columns
    return make_feeder(lines, {"a": (100.0, 40.0), "b": (200.0, 80.0)}, base_kv=1.0)


@pytest.mark.parametrize("losses", [False, True])
def test_a_switch_is_closed(losses: bool) -> None:
    """Fed from the other end, the regulator is turned: by hand, and by a feeder so built."""
    switched = {"base": ScenarioData(outages=("r-a",), closed=("r-b",))}
    common: dict[str, Any] = {"lses": {"A": 1.0}, "generators": {}, "firm_share": 1.0, "vmin": 0.8}
    eq = vg.solve(fuel_only(feeder=ringed(), scenarios=switched, losses=losses, **common))
    assert eq.certificate.holds
    assert eq.from_bus.to_series().to_dict() == {"a-b": "b", "r-b": "r"}
    v, p, q = (eq.data[k].to_series() for k in ("voltage_pu", "p_kw", "q_kvar"))
    if not losses:
        assert p.to_dict() == pytest.approx({"a-b": 100.0, "r-b": 300.0})
        assert v["b"] ** 2 == pytest.approx(1.0 - 2.0 * (0.1 * 300.0 + 0.3 * 120.0) / 1000.0)
    # the table's line a -> b: V_b = 1.02 (V_a - z I), I conj = -(P + jQ) / V_a where it is drawn
    drawn = complex(100.0, 40.0) / 1000.0
    begin = v["a"] + complex(0.1, 0.2) * np.conj(drawn / v["a"])
    if losses:
        assert v["b"] == pytest.approx(1.02 * abs(begin), rel=1e-9)
        assert complex(p["a-b"], q["a-b"]) / 1000.0 == pytest.approx(
            begin * drawn / v["a"], rel=1e-7
        )
    else:
        drop = 2.0 * (0.1 * 100.0 + 0.2 * 40.0) / 1000.0
        assert v["b"] ** 2 == pytest.approx(1.02**2 * (v["a"] ** 2 + drop))
    built = ringed(r_a={"normally_open": True}, r_b={"normally_open": False})
    other = vg.solve(fuel_only(feeder=built, losses=losses, **common))
    assert other.dlmp.to_series().to_dict() == pytest.approx(eq.dlmp.to_series().to_dict())
    assert feeder_table(feeder_view(eq))["state"].to_dict() == {
        "r-a": "out",
        "a-b": "closed",
        "r-b": "closed by the scenario",
    }


def test_a_loop_is_refused() -> None:
    """All its branches are named; another switch of it, if there is one, is told to be opened."""
    with pytest.raises(DataError, match=r"closes a loop: r-a, a-b, r-b; .* outages = \['r-a'\]"):
        fuel_only(feeder=ringed(), scenarios={"base": ScenarioData(closed=("r-b",))})
    switch = ringed(a_b={"kind": "switch", "ratio": 1.0})
    with pytest.raises(DataError, match=r"the switching closes a loop: .* outages = \['a-b'\]"):
        vg.optimal_power_flow(switch, closed=["r-b"])
    with pytest.raises(DataError, match="closed is unknown branch 'rb'"):
        vg.optimal_power_flow(switch, closed=["rb"])
    opened = vg.optimal_power_flow(switch, closed=["r-b"], outages=["a-b"])
    assert opened.flows.index.tolist() == ["r-a", "r-b"]


def test_supply_of_others_counts() -> None:
    """An island without generator or station is refused, unless somebody else supplies there."""
    case = make_case(
        scenarios={"base": ScenarioData(), "cut": ScenarioData(outages=("a-b",))},
        stations={"s": {"road_node": "2", "bus": "a"}},
        generators={"g": {"lse": "A", "bus": "a"}},
        feeder=make_feeder(loads={"a": 100.0, "b": 200.0}),
    )
    with pytest.raises(DataError, match="200 kW of load and no supply"):
        resolve(case, "cut", v2g=True)
    whole = resolve(case, "base", v2g=True)
    cut = replace(whole, network=network(case, case.scenarios["cut"]))
    assert cut.network.head("b") == 2
    with pytest.raises(DataError, match="no supply"):
        check_supply(cut)
    own = np.array([0.0, 0.0, 1.0])
    check_supply(cut, own)
    assert own.tolist() == [0.0, 0.0, 1.0]
