"""The equations as they are assembled: every variable, row and price with symbol, unit and place.

Generated from the players' statements, so the page cannot drift from the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from v2geq.grid.power_flow import OPERATOR
from v2geq.market import coupling
from v2geq.market.coupling import Coupled
from v2geq.mcp.program import Program
from v2geq.mcp.terms import CournotRevenue, Variable
from v2geq.players import cno, drivers, dso, lse
from v2geq.show import money

_SYMBOL = re.compile(r"^(?P<text>.*?)\s*\((?P<symbol>[^()]*)\)$")
_STATED: dict[str, Callable[..., Program]] = {
    "cno": cno.cno,
    "dso": dso.dso,
    "lse": lse.lse,
    "drivers": drivers.drivers,
}


def equations_page(coupled: Coupled) -> str:
    """Markdown page of all blocks of a problem, one load serving entity standing for all.

    Each variable is paired with its stationarity row, each constraint with its multiplier, each
    price with the clearing of its market.
    """
    lines = [
        "# Equations and where they are in the code",
        "",
        "Generated from the players' statements. Each player minimises its cost less its sales",
        "over bounds and rows `A x = b` or `A x >= b`; a variable x is paired with its",
        "stationarity row, a constraint with its multiplier, a price with the clearing of its",
        "market. The stationarity row of a variable holds the marginal cost of the terms listed,",
        "less the multipliers of the rows and the prices of the markets it appears in.",
        "What the players want, and why these rows: [model.md](model.md).",
        "",
    ]
    currency, seen = coupled.scenario.case.currency, set()
    for player, program in coupled.programs.items():
        kind = player.partition(".")[0]
        if kind in seen:
            continue
        seen.add(kind)
        stated = "by a player of the user"
        if kind in _STATED:
            places = [_place(_STATED[kind])]
            if player == OPERATOR:
                places.append(_place(coupled.grid.state))
            stated = "in " + " and ".join(f"`{place}`" for place in places)
        lines += [f"## {program.title}", "", f"Stated {stated}.", ""]
        lines += _variables(program, currency)
        lines += _rows(program, currency)
    lines += ["## Market clearing", "", f"Stated in `{_place(coupling.markets)}`; each row is the"]
    lines += ["sum of all players' net sales.", ""]
    lines += ["| price | symbol | meaning | unit | row in | sellers and buyers |"]
    lines += ["|---|---|---|---|---|---|"]
    for market in coupled.mcp.markets:
        text, symbol = _split(market.meaning)
        traders = [
            _kind(p.player)
            for p in coupled.mcp.programs
            for s in p.sales
            if s.market == market.name
        ]
        lines.append(
            f"| `{market.name}` | {symbol} | {text} | {money(market.price_unit, currency)} | "
            f"{money(market.unit, currency)} | {', '.join(dict.fromkeys(traders))} |"
        )
    return "\n".join([*lines, ""])


def _variables(program: Program, currency: str) -> list[str]:
    fixed = [s.market for s in program.sales if s.constant.any()]
    if not program.variables:
        return [f"Trades fixed quantities in {', '.join(f'*{m}*' for m in fixed)}.", ""]
    lines = ["| variable | symbol | meaning | by | unit | bounds | its row: cost, rows, markets |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for v in program.variables:
        text, symbol = _split(v.meaning)
        lines.append(
            f"| `{v.name}` | {symbol} | {text} | {', '.join(v.dims) or '-'} | "
            f"{money(v.unit, currency)} | {_bounds(v)} | {_terms(program, v)} |"
        )
    return [*lines, ""]


def _rows(program: Program, currency: str) -> list[str]:
    if not program.constraints:
        return []
    lines = ["| row | multiplier | meaning | by | unit | kind | variables |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for c in program.constraints:
        text, symbol = _split(c.meaning)
        names = ", ".join(f"`{name}`" for name in [*(v.name for v in c.terms), *c.rivals])
        lines.append(
            f"| `{c.name}` | {symbol} | {text} | {', '.join(c.dims) or '-'} | "
            f"{money(c.unit, currency)} | {'= 0' if c.equality else '>= 0'} | {names} |"
        )
    return [*lines, ""]


def _terms(program: Program, v: Variable) -> str:
    parts = []
    if v in program.linear:
        parts.append("linear cost")
    if v in program.margins:
        parts.append("margin")
    parts += [f"cost by `{x.rival}`" for x in program.products if x.variable is v]
    parts += [
        f"convex cost of {' and '.join(f'`{key}`' for key in x.parts)}"
        for x in program.composites
        if x.variable is v
    ]
    for term in program.nonlinear:
        if term.variable is v:
            cournot = isinstance(term, CournotRevenue)
            parts.append("revenue, price foreseen" if cournot else "convex cost")
    parts += [f"`{c.name}`" for c in program.constraints if v in c.terms]
    parts += [f"*{s.market}*" for s in program.sales if v in s.terms]
    return ", ".join(parts)


def _bounds(v: Variable) -> str:
    low = "" if (v.lower == float("-inf")).all() else "0" if (v.lower == 0).all() else "data"
    high = "" if (v.upper == float("inf")).all() else "data"
    if not low and not high:
        return "free"
    return f"{low + ' <=' if low else ''} x {'<= ' + high if high else ''}".strip()


def _split(meaning: str) -> tuple[str, str]:
    match = _SYMBOL.match(meaning)
    return (match["text"], match["symbol"]) if match else (meaning, "")


def _kind(player: str) -> str:
    return player.partition(".")[0]


def _place(function: Callable[..., object]) -> str:
    module = inspect.getmodule(function)
    assert module is not None
    return f"{module.__name__.replace('.', '/')}.py: {function.__qualname__}"
