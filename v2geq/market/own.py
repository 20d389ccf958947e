"""Players of the user: functions that state programs, joined with the built-in players.

model.md, 5. A function is called once per problem with the scenario; what it returns is checked
here, whether it comes from a function or from a file. Energy is traded at sites, in the LSEs'
portions; what others do can be charged to a market; a part of a built-in player can be taken over.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.data.model.case import Case
from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.mcp.block import Label
from v2geq.mcp.checks import vector
from v2geq.mcp.coefficients import matrix_of
from v2geq.mcp.convexity import farthest, unbounded
from v2geq.mcp.document import program_from_document, program_to_document
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Offer, Sales, Variable
from v2geq.scenario import Scenario, check_supply, resolve

ENERGY = "energy"
"""Name by which players trade at the site of a bus."""
SITE = "site_price"


@dataclass(frozen=True)
class Charge:
    """What players pay in a market for what they do: `factor` per unit of matching variables."""

    market: str
    pattern: str
    factor: Any


@dataclass(frozen=True)
class Stage(Scenario):
    """The scenario as players meet it who state their problem."""

    charges: list[Charge] = field(default_factory=list)

    @staticmethod
    def of(scenario: Scenario) -> Stage:
        """A stage in a scenario."""
        return Stage(**{f.name: getattr(scenario, f.name) for f in fields(Scenario)})

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

    @property
    def markets(self) -> list[Market]:
        """Markets the players open."""
        return [m for p in self.programs for m in p.markets]

    def sites(self, scenario: Scenario) -> list[str]:
        """Energised buses at which somebody trades, in the scenario's order."""
        named = {b for p in self.programs for o in _energy(p) for b in _buses(o)}
        return [b for b in scenario.buses if b in named]

    def most_kw(self, scenario: Scenario) -> tuple[FloatArray, FloatArray]:
        """(bus,) most that the players can sell and buy at every energised bus, kW."""
        sold, bought = np.zeros(len(scenario.buses)), np.zeros(len(scenario.buses))
        where = scenario.bus_position
        for program in self.programs:
            for offer in _energy(program):
                matrices, constant = _at_buses(program, offer)
                high, low = constant.copy(), constant.copy()
                for v, m in matrices.items():
                    far = farthest(v)
                    top, bottom = np.minimum(v.upper, far), np.maximum(v.lower, -far)
                    high += m.maximum(0.0) @ top + m.minimum(0.0) @ bottom
                    low += m.maximum(0.0) @ bottom + m.minimum(0.0) @ top
                for bus, most, least in zip(_buses(offer), high, low, strict=True):
                    if bus in where:
                        sold[where[bus]] += max(most, 0.0)
                        bought[where[bus]] += max(-least, 0.0)
        return sold, bought


NOBODY = Own()


def set_up(
    case: Case,
    scenario: str,
    *,
    v2g: bool,
    changes: Mapping[str, Any] | None = None,
    players: Iterable[Player] = (),
    own: Own = NOBODY,
) -> tuple[Scenario, Own]:
    """A scenario and the players of the user in it, from their functions or as stated before.

    Raises
    ------
    DataError
        As `v2geq.scenario.resolve` and `state`.
    """
    if isinstance(players, str) or not isinstance(players, Iterable):
        raise DataError(f"players = {quoted(players)} is no list of functions")
    functions = tuple(players)
    others = bool(functions or own.programs)
    resolved = resolve(case, scenario, v2g=v2g, changes=changes, others_supply=others)
    if functions:
        own = state(resolved, functions)
    else:
        admit(resolved, own)
    if others:
        check_supply(resolved, own.most_kw(resolved)[0])
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


def admit(scenario: Scenario, own: Own) -> None:
    """The door for players of the user.

    Raises
    ------
    DataError
        Names taken or not known, variables without bound or reach, energy sold nowhere.
    """
    taken = {"cno", "dso", "drivers", *(f"lse.{k}" for k in scenario.case.lses.index)}
    seen: set[str] = set()
    every = list(map(str, scenario.case.feeder.buses.index))
    for program in own.programs:
        name = program.player
        if name in taken or name.partition(".")[0] in ("lse", *taken):
            raise DataError(f"player {name!r} has the name of a built-in player")
        if name in seen:
            raise DataError(f"two players are called {name!r}")
        seen.add(name)
        if not (program.variables or program.offers or program.sales):
            raise DataError(f"player {name!r} has no variable and trades nothing")
        for v in program.variables:
            defined = f"{v.key}_is" in {c.key for c in program.constraints}
            if not defined and not np.isfinite(farthest(v)).all():
                raise unbounded(v)
        for offer in _energy(program):
            for bus in _buses(offer):
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
        if any(s.market == ENERGY for s in program.sales):
            raise DataError(
                f"player {name!r} trades energy by row", advice='say where: at="76", not rows='
            )


def _energy(program: Program) -> list[Offer]:
    return [o for o in program.offers if o.market == ENERGY]


def _buses(offer: Offer) -> list[str]:
    """Bus of every row of an offer of energy."""
    if offer.at is None:
        labels = {v.labels for v in offer.terms if v.dims == ("bus",)}
        if len(labels) != 1 or any(v.dims != ("bus",) for v in offer.terms):
            raise DataError(
                "energy is sold at a bus, and the sale does not say which", advice='write at="76"'
            )
        return [label[0] for label in labels.pop()]
    for label in offer.at:
        if len(label) != 1:
            raise DataError(f"energy is sold at a bus, not at {label}")
    return [label[0] for label in offer.at]


def _at_buses(program: Program, offer: Offer) -> tuple[dict[Variable, sp.csr_array], FloatArray]:
    """Coefficients and constant of an offer of energy, row by row."""
    n = len(_buses(offer))
    what = f"energy sold by player {program.player!r}"
    matrices = {v: matrix_of(f"{what}, {v.key}", c, n, v.labels) for v, c in offer.terms.items()}
    return matrices, vector(f"the constant of {what}", offer.constant, n)


def own_to_document(own: Own) -> dict[str, Any]:
    """Players of the user as plain data; DataError where one cannot be written down."""
    return {
        "programs": [program_to_document(p) for p in own.programs],
        "charges": [[c.market, c.pattern, _plain_factor(c.factor)] for c in own.charges],
    }


def own_from_document(document: Any) -> Own:
    """Inverse of `own_to_document`; DataError for damaged data."""
    try:
        charges = tuple(
            Charge(str(market), str(pattern), dict(factor) if isinstance(factor, list) else factor)
            for market, pattern, factor in document["charges"]
        )
        programs = list(document["programs"])
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(f"the players are damaged ({error!r})") from error
    return Own(tuple(program_from_document(p) for p in programs), charges)


def _plain_factor(factor: Any) -> Any:
    if isinstance(factor, Mapping):
        return [[str(label), float(c)] for label, c in factor.items()]
    return float(factor)


def energy_sold(program: Program, values: Mapping[str, FloatArray]) -> dict[str, float]:
    """Bus -> energy the player sells there (negative: buys), kW, at strategies by key."""
    out: dict[str, float] = {}
    for offer in _energy(program):
        matrices, constant = _at_buses(program, offer)
        quantity = sum((m @ values[v.key] for v, m in matrices.items()), constant)
        for bus, kw in zip(_buses(offer), quantity.tolist(), strict=True):
            out[bus] = out.get(bus, 0.0) + kw
    return out


# -- sites ----------------------------------------------------------------------------------------


def site_market(scenario: Scenario, sites: Sequence[str]) -> Market:
    """Price of energy at sites, by LSE and bus; each LSE serves its portion."""
    return Market(
        SITE,
        "kW",
        ("lse", "bus"),
        tuple((str(k), bus) for k in scenario.case.lses.index for bus in sites),
        scale=scenario.price_scale,
        start=scenario.price_scale,
        meaning="energy at a site, by the LSE that takes its portion (lambda + theta)",
    )


def placed(program: Program, scenario: Scenario) -> Program:
    """The program with energy sold at sites, in portions; at buses without supply nothing is."""
    offers = _energy(program)
    if not offers:
        return program
    out = copy.copy(program)
    out.offers = [o for o in program.offers if o.market != ENERGY]
    out.constraints = list(program.constraints)
    for number, offer in enumerate(offers, 1):
        matrices, constant = _at_buses(program, offer)
        buses = _buses(offer)
        live = np.array([b in scenario.bus_position for b in buses], dtype=bool)
        if live.any():
            out.offers.append(_in_portions(scenario, offer, matrices, constant, buses, live))
        if not live.all():
            _idle(out, scenario, number, matrices, constant, buses, ~live)
    return out


def _in_portions(
    scenario: Scenario,
    offer: Offer,
    matrices: Mapping[Variable, sp.csr_array],
    constant: FloatArray,
    buses: Sequence[str],
    live: np.ndarray[Any, np.dtype[np.bool_]],
) -> Offer:
    portions = {str(k): float(p) for k, p in scenario.case.lses["portion"].items()}
    here = [b for b, alive in zip(buses, live, strict=True) if alive]
    return Offer(
        SITE,
        {
            v: sp.csr_array(sp.vstack([p * m[live] for p in portions.values()], format="csr"))
            for v, m in matrices.items()
        },
        np.concatenate([p * constant[live] for p in portions.values()]),
        tuple((k, bus) for k in portions for bus in here),
    )


def _idle(
    program: Program,
    scenario: Scenario,
    number: int,
    matrices: Mapping[Variable, sp.csr_array],
    constant: FloatArray,
    buses: Sequence[str],
    dead: np.ndarray[Any, np.dtype[np.bool_]],
) -> None:
    """Rows that keep trade at buses without supply at nothing."""
    names = [b for b, gone in zip(buses, dead, strict=True) if gone]
    reached = sum((abs(m[dead]).sum(axis=1) for m in matrices.values()), np.zeros(len(names)))
    fixed = constant[dead]
    stuck = [b for b, r, c in zip(names, reached, fixed, strict=True) if c != 0.0 and r == 0.0]
    if stuck:
        raise DataError(
            f"player {program.player!r} trades a fixed quantity at buses {listed(stuck)}, which "
            f"have no supply in scenario {scenario.name!r}"
        )
    rows = np.flatnonzero(reached > 0.0)
    if rows.size:
        program.equality(
            "idle" if number == 1 else f"idle_{number}",
            ("row",),
            [f"{k + 1} at {names[k]}" for k in rows],
            terms={v: m[dead][rows] for v, m in matrices.items()},
            rhs=-fixed[rows],
            unit="kW",
            meaning="nothing is traded at a bus without supply",
        )


# -- what own players do to others ----------------------------------------------------------------


def charged(programs: Sequence[Program], charges: Iterable[Charge]) -> list[Program]:
    """Programs that pay for what they do; those that pay nothing as they are."""
    out = list(programs)
    for charge in charges:
        keys = [v.key for p in out for v in p.variables]
        matching = {k for k in keys if fnmatchcase(k, charge.pattern)}
        if not matching:
            raise DataError(
                f"a charge in market {charge.market!r} is for {charge.pattern!r}, which no "
                "player's variable matches",
                advice=did_you_mean(charge.pattern, keys),
            )
        wanted = charge.factor if isinstance(charge.factor, Mapping) else None
        found: set[str] = set()
        for k, program in enumerate(out):
            offers = []
            for v in program.variables:
                if v.key not in matching:
                    continue
                factor = charge.factor
                if wanted is not None:
                    names = {", ".join(label) for label in v.labels}
                    factor = {label: c for label, c in wanted.items() if str(label) in names}
                    found |= set(map(str, factor))
                factor = np.asarray(
                    matrix_of(f"a charge for {v.key}", factor, 1, v.labels).toarray()[0]
                )
                offers.append(Offer(charge.market, {v: -factor}, 0.0, None))
            if offers:
                out[k] = copy.copy(program)
                out[k].offers = [*program.offers, *offers]
        unknown = set(map(str, wanted or ())) - found
        if unknown:
            raise DataError(
                f"a charge for {charge.pattern!r} names {listed(sorted(unknown))}, which none of "
                "these variables has"
            )
    return out


def replaced(programs: Sequence[Program], own: Own) -> list[Program]:
    """Built-in programs without the parts that own players take over."""
    out = {p.player: p for p in programs}
    for program in own.programs:
        for player, dimension, labels in program.replaced:
            if player not in out:
                raise DataError(
                    f"player {program.player!r} replaces {player!r}, which there is not",
                    advice=did_you_mean(player, out),
                )
            if not dimension:
                if player != "cno":
                    raise DataError(
                        f"player {player!r} cannot be replaced as a whole, as others depend on it",
                        advice="take over some labels, as station=[...], or the whole cno",
                    )
                del out[player]
            else:
                out[player] = without(out[player], dimension, labels)
    return list(out.values())


def without(program: Program, dimension: str, labels: Sequence[str]) -> Program:
    """A program without some labels of a dimension: their variables and rows.

    Raises
    ------
    DataError
        Where it has no such label, or a curved cost on one of these variables.
    """
    own = [v for v in program.variables if dimension in v.dims]
    dims = {d for v in program.variables for d in v.dims}
    if not own:
        raise DataError(
            f"player {program.player!r} has no variable by {dimension!r}",
            advice=did_you_mean(dimension, dims),
        )
    known = {label[v.dims.index(dimension)] for v in own for label in v.labels}
    for name in labels:
        if name not in known:
            raise DataError(
                f"player {program.player!r} has no {dimension} {name!r}",
                advice=did_you_mean(name, known),
            )

    def kept(dims: tuple[str, ...], given: Sequence[Label]) -> np.ndarray[Any, Any]:
        if dimension not in dims:
            return np.arange(len(given))
        at = dims.index(dimension)
        return np.array([k for k, label in enumerate(given) if label[at] not in labels], dtype=int)

    fewer: dict[Variable, Variable] = {}
    keep: dict[Variable, np.ndarray[Any, Any]] = {}
    for v in program.variables:
        k = keep[v] = kept(v.dims, v.labels)
        if len(k) < len(v) and any(t.variable is v for t in program.nonlinear):
            raise DataError(f"{v.key} has a curved cost and cannot be taken over in part")
        parts = ("lower", "upper", "scale", "row_scale", "start", "reach")
        fewer[v] = (
            v
            if len(k) == len(v)
            else replace(
                v,
                labels=tuple(v.labels[i] for i in k),
                **{name: getattr(v, name)[k] for name in parts},
            )
        )
    out = copy.copy(program)
    out.variables = list(fewer.values())
    out.linear = {fewer[v]: c[keep[v]] for v, c in program.linear.items()}
    out.margins = {fewer[v]: c[keep[v]] for v, c in program.margins.items()}
    out.sales = [
        Sales(s.market, {fewer[v]: m[:, keep[v]] for v, m in s.terms.items()}, s.constant)
        for s in program.sales
    ]
    out.constraints = []
    for c in program.constraints:
        rows = kept(c.dims, c.labels)
        out.constraints.append(
            replace(
                c,
                labels=tuple(c.labels[i] for i in rows),
                terms={fewer[v]: m[rows][:, keep[v]] for v, m in c.terms.items()},
                weights={fewer[v]: w for v, w in c.weights.items()},
                **{n: getattr(c, n)[rows] for n in ("rhs", "scale", "multiplier_scale", "start")},
            )
        )
    return out
