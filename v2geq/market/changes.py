"""What players of the user change about others: charges, and parts that they take over."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from v2geq.errors import DataError, did_you_mean, listed, quoted
from v2geq.market.own import Charge, Own
from v2geq.mcp.block import Label
from v2geq.mcp.coefficients import matrix_of, tabled
from v2geq.mcp.curves import Part
from v2geq.mcp.program import Program
from v2geq.mcp.terms import CournotRevenue, Offer, Sales, SeparableCost, Variable


def charged(
    programs: Sequence[Program], charges: Iterable[Charge], markets: Sequence[str]
) -> list[Program]:
    """Programs that pay for what they do in `markets`; those that pay nothing as they are."""
    out = list(programs)
    for charge in charges:
        keys = [v.key for p in out for v in p.variables]
        matching = {k for k in keys if fnmatchcase(k, str(charge.pattern))}
        if not matching:
            raise DataError(
                f"a charge in market {quoted(charge.market)} is for {quoted(charge.pattern)}, "
                "which no player's variable matches",
                advice=did_you_mean(str(charge.pattern), keys),
            )
        factors = tabled(charge.factor)
        wanted = factors if isinstance(factors, Mapping) else None
        found: set[str] = set()
        for k, program in enumerate(out):
            offers = []
            for v in program.variables:
                if v.key not in matching:
                    continue
                factor = factors
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
        if charge.market not in markets:
            raise DataError(
                f"a charge is in market {quoted(charge.market)}, which no player opens",
                advice=did_you_mean(str(charge.market), markets),
            )
    return out


def replaced(programs: Sequence[Program], own: Own) -> list[Program]:
    """Built-in programs without the parts that own players take over."""
    out = {p.player: p for p in programs}
    for program in own.programs:
        for player, dimension, labels in program.replaced:
            if player not in out:
                raise DataError(
                    f"player {program.player!r} replaces {quoted(player)}, which there is not",
                    advice=did_you_mean(str(player), out),
                )
            if player in ("dso", "drivers") or (not dimension and player != "cno"):
                raise DataError(
                    f"player {player!r} cannot be replaced, as others depend on it",
                    advice="take over some labels of an LSE or the cno, or the whole cno",
                )
            if not dimension:
                del out[player]
            else:
                out[player] = without(out[player], dimension, labels)
    return list(out.values())


def without(program: Program, dimension: str, labels: Sequence[str]) -> Program:
    """A program without some labels of a dimension: their variables and rows.

    Raises
    ------
    DataError
        Where it has no such label, or foresees prices of one of these variables.
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
        if len(k) < len(v) and any(
            t.variable is v for t in program.nonlinear if isinstance(t, CournotRevenue)
        ):
            raise DataError(f"{v.key} foresees its prices and cannot be taken over in part")
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
    out.nonlinear = [
        t
        if fewer[t.variable] is t.variable
        else SeparableCost(fewer[t.variable], Part(t.curve, len(t.variable), keep[t.variable]))
        for t in program.nonlinear
    ]
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
