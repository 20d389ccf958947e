"""The exported text read back by a reader of its own: the same map, bounds, starts and scales."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cases import fleet, fuel_only, make_case
from gams_models import charging_case, curved_case, odd_labels, own_players, problem
from gams_reader import GamsModel

from v2geq.errors import DataError
from v2geq.export.gams import to_gams
from v2geq.mcp.assemble import MCP
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program

PROBLEMS = {
    "default": lambda: problem(make_case()).coupled.mcp,
    "charging": lambda: problem(charging_case()).coupled.mcp,
    "charging, no V2G": lambda: problem(charging_case(), v2g=False).coupled.mcp,
    "expressions": lambda: problem(curved_case(), check=False).coupled.mcp,
    "queues by direction": lambda: problem(fleet(queue="direction")).coupled.mcp,
    "sale to the TSO": lambda: problem(make_case(import_min=-50.0, feed_in_price=0.05)).coupled.mcp,
    "costs of stations": lambda: (
        problem(
            make_case(
                stations={
                    "s": {"road_node": "2", "bus": "b", "charge_cost": "0.01*p + exp(p/500)"},
                    "t": {"road_node": "3", "bus": "a", "discharge_cost": "1e-4*p**2"},
                }
            )
        ).coupled.mcp
    ),
    "power market": lambda: problem(fuel_only()).coupled.mcp,
    "odd labels": odd_labels,
    "own players": lambda: problem(make_case(), players=own_players()).coupled.mcp,
}


@pytest.fixture(params=PROBLEMS, scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    mcp = PROBLEMS[request.param]()
    path = tmp_path_factory.mktemp("gams") / "model.gms"
    to_gams(mcp, path)
    return mcp, GamsModel(path)


def test_map(exported: tuple[MCP, GamsModel]) -> None:
    mcp, model = exported
    random = np.random.default_rng(3)
    inside = np.clip(mcp.start, mcp.lower, mcp.upper)
    for spread in (0.0, 0.3, 3.0):
        # off the bounds too: the continuation below zero is exported as well
        z = inside + spread * mcp.scale * random.standard_normal(mcp.n)
        ours, theirs = mcp.F(z), model.evaluate(z)
        assert (np.abs(ours - theirs) <= 1e-12 * (mcp.row_scale + np.abs(ours))).all()


def test_linear_part_is_exact(exported: tuple[MCP, GamsModel]) -> None:
    """Numbers survive as the same doubles."""
    mcp, model = exported
    written = [v for k, p in model.parameters.items() if k[:2] in ("a_", "q_") for v in p.values()]
    known = {*mcp.matrix.data.tolist(), *mcp.constant.tolist()}
    assert set(written) <= known
    for field, values in (("lo", mcp.lower), ("up", mcp.upper), ("scale", mcp.scale)):
        assert (model.column(field) == values).all()
    assert (model.column("l") == np.clip(mcp.start, mcp.lower, mcp.upper)).all()
    assert (model.row_scale() == mcp.row_scale).all()


def test_relations_fit_the_bounds(exported: tuple[MCP, GamsModel]) -> None:
    mcp, model = exported
    blocks = [b for b in mcp.blocks if len(b)]
    for block, (f, x) in zip(blocks, model.pairs, strict=True):
        assert f[2:] == x[2:]
        low, high = mcp.lower[block.slice], mcp.upper[block.slice]
        relation = model.equations[f][1]
        if relation == "=e=":
            assert np.isinf(low).all() and np.isinf(high).all()
        elif relation == "=g=":
            assert np.isfinite(low).all() and np.isinf(high).all()
        else:
            assert np.isfinite(high).any() or 0 < np.isfinite(low).sum() < len(low)


def test_names_keep_the_rules_of_gams(exported: tuple[MCP, GamsModel]) -> None:
    _, model = exported
    symbols = re.findall(r"^(?:set|parameter|variable|equation|model) (\S+?)[( ]", model.text, re.M)
    assert len({s.casefold() for s in symbols}) == len(symbols)
    for s in symbols:
        assert re.fullmatch(r"[A-Za-z]\w{0,62}", s, re.ASCII)
        assert re.match(r"(i|j|a|c\d+|s\d+|q|x|f|m)_", s), "a prefix keeps reserved words out"
    for elements in model.sets.values():
        assert len({e.casefold() for e in elements}) == len(elements)
        assert all(0 < len(e) <= 63 for e in elements)
    assert all(len(line) < 80_000 for line in model.text.splitlines())


def test_long_labels_stay_readable(tmp_path: Path) -> None:
    mcp = odd_labels()
    to_gams(mcp, tmp_path / "m.gms")
    text = (tmp_path / "m.gms").read_text(encoding="utf-8")
    assert "route " + "a" * 80 + "2" in text
    assert "x_sum_of_all_x_" in text


def test_blocks_are_explained(tmp_path: Path) -> None:
    mcp = problem(make_case()).coupled.mcp
    to_gams(mcp, tmp_path / "m.gms", name="my case")
    text = (tmp_path / "m.gms").read_text(encoding="utf-8")
    for block in mcp.blocks:
        if len(block):
            assert f"* {block.name}: {block.meaning}" in text
            assert f"{block.name}, {block.unit}: " in text
    assert "model m_my_case" in text and "execute_unload 'my case.gdx'" in text


def test_curve_without_formulas_is_named(tmp_path: Path) -> None:
    class Mute:
        def value(self, x):
            return x

        def first(self, x):
            return x

        def second(self, x):
            return x

    p = Program("p", 1.0)
    x = p.variable("x", (), [()], unit="kW", scale=1.0)
    p.separable_cost(x, Mute())
    p.sell("m", {x: 1.0}, 1)
    market = Market("m", unit="kW", scale=1.0, start=0.0)
    with pytest.raises(DataError, match=r"p\.x.*Mute.*formulas"):
        to_gams(MCP([p], [market]), tmp_path / "m.gms")
