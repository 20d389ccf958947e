"""Players of the user: functions that state programs, joined with the built-in players.

model.md, 5. A function is called once per problem with the scenario; what it returns is checked
here, whether it comes from a function or from a file. Energy is traded at sites, in the LSEs'
portions; what others do can be charged to a market; a part of a built-in player can be taken over.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.model.case import CaseData
from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.market.sites import ENERGY, SITE, at_buses, buses_of, energy_offers
from v2geq.mcp.coefficients import tabled
from v2geq.mcp.convexity import check_convex, check_price, farthest, unbounded
from v2geq.mcp.document import program_from_document, program_to_document
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.terms import CournotRevenue
from v2geq.scenario import Scenario, check_supply, resolve
from v2geq.show import brief

WITHIN_GRID = ("tso_price", "wheeling_price", SITE)
"""Markets whose energy others move: what is sold there would get lost."""
WORD = re.compile(r"\w([\w .-]*\w)?")
LONGEST = 100
ENDLESS = 1e10
"""kW at a bus that stand for no limit: beside them nothing else could be told from rounding."""
TAKEN = {"cno", "dso", "lse", "drivers", "households", "roads", "z", "paths"}
"""Words names of players and markets do not begin with: of others, and of parts of files."""


@dataclass(frozen=True)
class Charge:
    """What players pay in a market for what they do: `factor` per unit of matching variables."""

    market: str
    pattern: str
    factor: Any

    __repr__ = brief


@dataclass(frozen=True)
class Stage(Scenario):
    """The scenario as players meet it who state their problem."""

    charges: list[Charge] = field(default_factory=list)

    @staticmethod
    def of(scenario: Scenario) -> Stage:
        """A stage in a copy of a scenario: what a player does to it stays there."""
        return Stage(**copy.deepcopy({f.name: getattr(scenario, f.name) for f in fields(Scenario)}))

    def charge(self, market: str, of: str, factor: Any) -> None:
        """Let players pay in a market for what they do.

        Parameters
        ----------
        market
            A market one of the players opens.
        of
            Variables by key, with wildcards: "lse.*.generation".
        factor
            What one unit of the variable counts in the market: a number, or by label.
        """
        self.charges.append(Charge(market, of, factor))


Player = Callable[[Stage], Any]


@dataclass(frozen=True)
class Own:
    """Players of the user in one problem.

    Attributes
    ----------
    programs, charges : as stated
    functions : that stated them; none where they come from a file
    """

    programs: tuple[Program, ...] = ()
    charges: tuple[Charge, ...] = ()
    functions: tuple[Player, ...] = ()

    __repr__ = brief

    @property
    def markets(self) -> list[Market]:
        """Markets the players open."""
        return [m for p in self.programs for m in p.markets]

    def sites(self, scenario: Scenario) -> list[str]:
        """Energised buses at which somebody trades, in the scenario's order."""
        named = {b for p in self.programs for o in energy_offers(p) for b in buses_of(o)}
        return [b for b in scenario.buses if b in named]

    def most_kw(self, scenario: Scenario) -> tuple[FloatArray, FloatArray]:
        """(bus,) most that the players can sell and buy at every energised bus, kW."""
        sold, bought = np.zeros(len(scenario.buses)), np.zeros(len(scenario.buses))
        where = scenario.bus_position
        for program in self.programs:
            for offer in energy_offers(program):
                matrices, constant = at_buses(program, offer)
                high, low = constant.copy(), constant.copy()
                for v, m in matrices.items():
                    far = farthest(v)
                    top, bottom = np.minimum(v.upper, far), np.maximum(v.lower, -far)
                    high += m.maximum(0.0) @ top + m.minimum(0.0) @ bottom
                    low += m.maximum(0.0) @ bottom + m.minimum(0.0) @ top
                for bus, most, least in zip(buses_of(offer), high, low, strict=True):
                    if bus in where:
                        sold[where[bus]] += max(most, 0.0)
                        bought[where[bus]] += max(-least, 0.0)
        return sold, bought


NOBODY = Own()


def set_up(
    case: CaseData,
    scenario: str | None,
    *,
    v2g: bool,
    changes: Mapping[str, Any] | None = None,
    players: Iterable[Player] = (),
    own: Own = NOBODY,
    document: Any = None,
) -> tuple[Scenario, Own]:
    """A scenario and the players of the user in it: from functions, as stated before, or a file's.

    Raises
    ------
    DataError
        As `v2geq.scenario.resolve` and `state`.
    """
    if isinstance(players, str) or not isinstance(players, Iterable):
        raise DataError(f"players = {quoted(players)} is no list of functions")
    functions = tuple(players)
    others = bool(functions or own.programs or document is not None)
    resolved = resolve(case, scenario, v2g=v2g, changes=changes, others_supply=others)
    if functions:
        own = state(resolved, functions)
    else:
        own = own if document is None else own_from_document(document, resolved)
        admit(resolved, own)
    if others:
        sold, bought = own.most_kw(resolved)
        check_supply(resolved, sold)
        most = np.maximum(sold, bought)
        if most.max() > ENDLESS:
            raise DataError(
                f"players can trade {most.max():g} kW at bus {resolved.buses[int(most.argmax())]}",
                advice="give the largest quantity that is ever traded as bound or reach",
            )
    return resolved, own


def state(scenario: Scenario, functions: Sequence[Player]) -> Own:
    """Call the users' functions, each with the scenario, and admit what they state.

    Raises
    ------
    DataError
        What is no function, or no statement that can be used.
    """
    programs: list[Program] = []
    charges: list[Charge] = []
    for function in functions:
        if not callable(function):
            raise DataError(
                f"player {quoted(function)} is no function",
                advice="give a function that takes the scenario and returns a vg.Program",
            )
        stage = Stage.of(scenario)
        with contextlib.suppress(ValueError):  # of some built-in functions nothing is known
            try:
                inspect.signature(function).bind(stage)
            except TypeError as error:
                raise DataError(
                    f"{_name(function)} cannot be called with the scenario: {error}",
                    advice="write: def player(s): ...",
                ) from error
        stated = function(stage)
        for program in [stated] if isinstance(stated, Program) else _listed(function, stated):
            if not isinstance(program, Program):
                raise DataError(
                    f"{_name(function)} returns {quoted(program)}, which is no vg.Program"
                )
            programs.append(program)
        charges += stage.charges
    own = Own(tuple(programs), tuple(charges), tuple(functions))
    admit(scenario, own)
    return own


def _name(function: Player) -> str:
    return f"player function {getattr(function, '__name__', 'without a name')!r}"


def _listed(function: Player, stated: Any) -> list[Any]:
    if not isinstance(stated, (list, tuple)) or not stated:
        raise DataError(
            f"{_name(function)} returns {quoted(stated)}, which is no vg.Program",
            advice="end it with: return p",
        )
    return list(stated)


def _check_words(program: Program) -> None:
    """Names, units and meanings that can stand in results, pages and files."""
    whose = f"player {quoted(program.player)}"
    blocks: list[Any] = [*program.variables, *program.constraints]
    parts: list[tuple[str, Any]] = [("the name of the player", program.player)]
    for b in (*blocks, *program.markets):
        kind = "market" if isinstance(b, Market) else "variable or row"
        parts += [(f"the name of a {kind} of {whose}", b.name)]
        parts += [(f"a dimension of {b.name!r} of {whose}", d) for d in b.dims]
        if not isinstance(b.unit, str) or not b.unit.isprintable():
            raise DataError(
                f"{b.name!r} of {whose} has the unit {quoted(b.unit)}, which is no text"
            )
        if not isinstance(b.meaning, str):
            raise DataError(f"the meaning of {b.name!r} of {whose} is {quoted(b.meaning)}, no text")
    for what, name in parts:
        if not isinstance(name, str) or len(name) > LONGEST or not WORD.fullmatch(name):
            raise DataError(
                f"{what} must be a word, not {quoted(name)}",
                advice="use letters, digits, and between them _ . - and spaces",
            )
    for name in {d for b in blocks for d in b.dims} & {b.name for b in blocks}:
        raise DataError(f"{whose} has a variable or row, and a dimension, called {name!r}")
    for text in (program.title, *program.terms.values()):
        if not isinstance(text, str):
            raise DataError(f"a title or term of {whose} is {quoted(text)}, which is no text")
    for market in program.markets:
        if market.name == ENERGY or market.name.partition(".")[0] in TAKEN:
            raise DataError(f"market {market.name!r} of {whose} has the name of a built-in part")


def admit(scenario: Scenario, own: Own) -> None:
    """The door for players of the user.

    Raises
    ------
    DataError
        Names taken or not known, variables without bound or reach, energy sold nowhere.
    """
    for program in own.programs:
        _check_words(program)
    seen: set[str] = set()
    every = list(map(str, scenario.case.feeder.buses.index))
    for program in own.programs:
        name = program.player
        if name.partition(".")[0] in TAKEN:
            raise DataError(f"player {name!r} has the name of a built-in player or part")
        if name in seen:
            raise DataError(f"two players are called {name!r}")
        seen.add(name)
        if not (program.variables or program.offers or program.sales):
            raise DataError(f"player {name!r} has no variable and trades nothing")
        for v in program.variables:
            defined = f"{v.key}_is" in {c.key for c in program.constraints}
            if not defined and not np.isfinite(farthest(v)).all():
                raise unbounded(v)
            inside = (v.lower <= v.reach) & (v.upper >= -v.reach) & (v.reach >= 0.0)
            for k in np.flatnonzero(~inside)[:1].tolist():
                raise DataError(
                    f"no value of {v.key} within its bounds has its reach, {v.reach[k]:g}"
                )
        for term in program.nonlinear:
            check = check_price if isinstance(term, CournotRevenue) else check_convex
            check(term.variable, term.curve)
        for offer in energy_offers(program):
            for bus in buses_of(offer):
                if bus not in every:
                    raise DataError(
                        f"player {name!r} trades energy at bus {bus!r}, which there is not",
                        advice=did_you_mean(bus, every),
                    )
            for v, c in offer.terms.items():
                if np.ndim(c) == 0 and not isinstance(c, Mapping) and v.unit != "kW":
                    raise DataError(
                        f"player {name!r} trades energy by {v.key}, which is in {v.unit}",
                        advice='declare it with unit="kW"',
                    )
        for market in [*(o.market for o in program.offers), *(s.market for s in program.sales)]:
            if market in WITHIN_GRID:
                raise DataError(
                    f"player {name!r} trades in market {market!r}, which moves no energy",
                    advice='sell "energy" at a bus',
                )
        if any(s.market == ENERGY for s in program.sales):
            raise DataError(
                f"player {name!r} trades energy by row", advice='say where: at="76", not rows='
            )


def own_to_document(own: Own) -> dict[str, Any]:
    """Players of the user as plain data; DataError where one cannot be written down."""
    return {
        "programs": [program_to_document(p) for p in own.programs],
        "charges": [[c.market, c.pattern, _plain_factor(c.factor)] for c in own.charges],
    }


def own_from_document(document: Any, scenario: Scenario) -> Own:
    """Inverse of `own_to_document`, in a scenario; DataError for damaged data."""
    try:
        charges = tuple(
            Charge(str(market), str(pattern), factor)
            for market, pattern, factor in document["charges"]
        )
        programs = list(document["programs"])
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(f"the players are damaged ({error!r})") from error
    return Own(tuple(program_from_document(p, scenario) for p in programs), charges)


def _plain_factor(factor: Any) -> Any:
    factor = tabled(factor)
    if isinstance(factor, Mapping):
        return {str(label): float(c) for label, c in factor.items()}
    return np.asarray(factor, dtype=float).tolist()
