"""Programs, markets and assembled problems name what does not fit: player, variable, row, market."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from v2geq.convex.deviation import best_deviation
from v2geq.convex.relaxation import least_relaxation
from v2geq.errors import ConvergenceError, DataError
from v2geq.mcp.assemble import MCP
from v2geq.mcp.curves import Quadratic
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable

NAN, INF = np.nan, np.inf
KW = {"unit": "kW", "scale": 1.0}


def program(name: str = "a") -> tuple[Program, Variable]:
    p = Program(name, 1.0)
    return p, p.variable("x", ("bus",), ["1", "2"], **KW, upper=[1.0, 2.0])


def market(**changes) -> Market:
    settings = {"scale": 1.0, "start": 1.0}
    return Market(
        "price", "kW", ("bus",), changes.pop("labels", ["1", "2"]), **(settings | changes)
    )


def declare(**changes) -> Callable[[], object]:
    labels = changes.pop("labels", ["1", "2"])
    name = changes.pop("name", "y")
    return lambda: program()[0].variable(name, ("bus",), labels, **(KW | changes))


def rows(**changes) -> Callable[[], object]:
    def run() -> object:
        p, x = program()
        settings = {"terms": {x: 1.0}, "rhs": 0.0, **KW}
        name = changes.get("name", "r")
        return p.equality(
            name,
            ("bus",),
            ["1", "2"],
            **(settings | {k: v for k, v in changes.items() if k != "name"}),
        )

    return run


def of_another() -> Variable:
    return program("b")[1]


def with_program(action: Callable[[Program, Variable], object]) -> Callable[[], object]:
    return lambda: action(*program())


def joined(action: Callable[[Program, Variable], object], *markets: Market) -> Callable[[], object]:
    def run() -> object:
        p, x = program()
        action(p, x)
        return MCP([p], markets or [market()])

    return run


BAD = {
    "label twice": (declare(labels=["1", "1"]), r"a\.y\[1\] is declared twice"),
    "label of two parts": (declare(labels=[("1", "2"), "3"]), r"a\.y\[1, 2\] has 2 labels"),
    "variable twice": (declare(name="x"), "player 'a' declares 'x' twice"),
    "row like a variable": (rows(name="x"), "player 'a' declares 'x' twice"),
    "NaN bound": (declare(lower=NAN), r"lower bound of a\.y is nan at entry 0"),
    "crossed": (declare(lower=[0, 3], upper=[1, 2]), r"bounds of a\.y\[2\] cross: 3 > 2"),
    "lower inf": (declare(lower=INF), r"lower bound of a\.y\[1\] is inf"),
    "upper -inf": (declare(lower=-INF, upper=-INF), r"upper bound of a\.y\[1\] is -inf"),
    "three bounds": (
        declare(lower=[0, 0, 0]),
        r"lower bound of a\.y has shape \(3,\), expected \(2,\)",
    ),
    "text bound": (declare(lower="low"), r"lower bound of a\.y holds"),
    "no scale": (declare(scale=0.0), r"scale of a\.y is 0"),
    "NaN scale": (declare(scale=NAN), r"scale of a\.y is nan"),
    "NaN start": (declare(start=NAN), r"start of a\.y is nan"),
    "NaN reach": (declare(reach=NAN), r"reach of a\.y is nan"),
    "no money": (lambda: Program("a", 0.0), "money scale of player 'a' is 0"),
    "NaN cost": (
        with_program(lambda p, x: p.cost(x, [1.0, NAN])),
        r"cost of a\.x is nan at entry 1",
    ),
    "infinite cost": (with_program(lambda p, x: p.cost(x, INF)), r"cost of a\.x is inf"),
    "long cost": (
        with_program(lambda p, x: p.cost(x, [1, 2, 3])),
        r"cost of a\.x has shape \(3,\)",
    ),
    "another's cost": (
        with_program(lambda p, x: p.cost(of_another(), 1.0)),
        r"a cost of player 'a' names b\.x",
    ),
    "another's curve": (
        with_program(
            lambda p, x: p.separable_cost(of_another(), Quadratic(np.zeros(2), np.ones(2)))
        ),
        r"names b\.x",
    ),
    "long curve": (
        with_program(lambda p, x: p.separable_cost(x, Quadratic(np.zeros(3), np.ones(3)))),
        r"curve of a\.x does not fit",
    ),
    "another's row": (
        rows(terms={of_another(): 1.0}),
        r"rows a\.r of player 'a' names b\.x|names b\.x",
    ),
    "another's sale": (
        with_program(lambda p, x: p.sell("price", {of_another(): 1.0}, 2)),
        r"market 'price' of player 'a' names b\.x",
    ),
    "NaN in a row": (rows(terms={program()[1]: 1.0}), r"names a\.x, which is no variable"),
    "NaN coefficient": (
        with_program(lambda p, x: p.sell("price", {x: [NAN, 1.0]}, 2)),
        "coefficient is not finite",
    ),
    "wide coefficient": (
        with_program(lambda p, x: p.sell("price", {x: np.ones((2, 3))}, 2)),
        r"expected a 2 x 2 matrix, got \(2, 3\)",
    ),
    "diagonal of three": (
        with_program(lambda p, x: p.sell("price", {x: 1.0}, 3)),
        "diagonal of 1 entries does not fit 3 rows",
    ),
    "NaN right side": (rows(rhs=NAN), r"right side of rows a\.r is nan"),
    "long right side": (rows(rhs=[1, 2, 3]), r"right side of rows a\.r has shape"),
    "row scale": (rows(scale=-1.0), r"scale of rows a\.r is -1"),
    "market label twice": (
        lambda: market(labels=["1", "1"]),
        r"market 'price'\[1\] is declared twice",
    ),
    "market start": (lambda: market(start=[1, 2, 3]), "start of market 'price' has shape"),
    "market scale": (lambda: market(scale=0.0), "scale of market 'price' is 0"),
    "pinned nowhere": (lambda: market(pinned=[2]), "pins prices at"),
    "no player": (lambda: MCP([], [market()]), "at least one player"),
    "two players of a name": (
        lambda: MCP([program()[0], program()[0]], []),
        r"share the name 'a\.x'",
    ),
    "two markets of a name": (
        joined(lambda p, x: None, market(), market()),
        "share the name 'price'",
    ),
    "mistyped market": (
        joined(lambda p, x: p.sell("prise", {x: 1.0}, 2)),
        "'prise', which there is not; did you mean 'price'",
    ),
    "short sale": (
        joined(lambda p, x: p.sell("price", {x: np.ones((1, 2))}, 1)),
        "player 'a' sells in 1 rows of market 'price', which has 2",
    ),
    "unknown rival": (
        joined(lambda p, x: p.cournot_revenue(x, Quadratic(np.zeros(2), np.ones(2)), ["b.x"])),
        r"rival 'b\.x', which no player",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_by_name(name: str) -> None:
    build, message = BAD[name]
    with pytest.raises(DataError, match=message):
        build()


def small() -> MCP:
    p, x = program()
    p.cost(x, 1.0)
    p.sell("price", {x: 1.0}, 2)
    return MCP([p], [market()])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": np.zeros(1)}, "no block 'extra'"),
        ({"a.xx": np.zeros(2)}, r"no block 'a\.xx'; did you mean 'a\.x'"),
        ({"a.x": np.zeros(3)}, r"'a\.x' needs 2 values, not shape \(3,\)"),
        ({"a.x": ["p", "q"]}, r"'a\.x' holds"),
    ],
)
def test_join_takes_its_own_blocks_only(changes: dict, message: str) -> None:
    mcp = small()
    with pytest.raises(DataError, match=message):
        mcp.join(mcp.split(mcp.start) | changes)


def test_missing_blocks_and_wrong_points() -> None:
    mcp = small()
    with pytest.raises(DataError, match=r"'a\.x' is missing"):
        mcp.join({"price": np.zeros(2)})
    with pytest.raises(DataError, match="no block 'prise'; did you mean 'price'"):
        mcp["prise"]
    with pytest.raises(DataError, match="4 unknowns"):
        mcp.carry(mcp, np.zeros(3))


def test_bounds_of_1e20_are_none() -> None:
    p = Program("a", 1.0)
    x = p.variable("x", (), [()], **KW, lower=-1e20, upper=1e25)
    assert x.lower[0] == -INF
    assert x.upper[0] == INF


@pytest.mark.parametrize("prices", [{}, {"prise": np.zeros(2)}, {"price": np.zeros(3)}])
def test_deviation_at_prices_that_do_not_fit(prices: dict) -> None:
    p, x = program()
    p.sell("price", {x: 1.0}, 2)
    with pytest.raises(DataError, match="player 'a' sells in"):
        best_deviation(p, {"a.x": np.zeros(2)}, prices)


def test_a_limit_that_stands_for_none_does_not_spoil_a_deviation() -> None:
    """x <= 2 earns 3 each; the other row's limit cannot bind."""
    p = Program("a", 1.0)
    x = p.variable("x", (), [()], **KW, upper=2.0)
    p.at_least("limit", (), [()], terms={x: -np.ones((1, 1))}, rhs=-1e14, **KW)
    p.cost(x, -3.0)
    found = best_deviation(p, {"a.x": np.zeros(1)}, {})
    assert found.profit == pytest.approx(6.0, rel=1e-7)


def test_a_deviation_without_end_is_told_in_words() -> None:
    p = Program("a", 1.0)
    x = p.variable("x", (), [()], **KW)
    p.cost(x, -1.0)
    with pytest.raises(
        ConvergenceError, match="player 'a' was not solved: it has no best point"
    ) as caught:
        best_deviation(p, {"a.x": np.zeros(1)}, {})
    assert "Infeasible" not in str(caught.value)


def test_relaxations_are_judged_relative_to_the_limit() -> None:
    """A need of 1e9 that misses its limit by rounding is no conflict; by a thousandth it is."""
    for excess, conflicts in ((1.0, 0), (1e6, 1)):
        p = Program("a", 1.0)
        x = p.variable("x", (), [()], **KW, upper=1e9)
        p.equality("need", (), [()], terms={x: np.ones((1, 1))}, rhs=1e9 + excess, **KW)
        assert len(least_relaxation(MCP([p], [])).limits) == conflicts
