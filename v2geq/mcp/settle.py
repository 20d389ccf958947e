"""From a program as stated to one that fits its markets and rivals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import scipy.sparse as sp

from v2geq.errors import DataError, did_you_mean
from v2geq.mcp.checks import vector
from v2geq.mcp.coefficients import matrix_of, selection
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.statement import SCALAR
from v2geq.mcp.terms import Offer, Sales, Variable


def settled(
    program: Program, variables: Mapping[str, Variable], markets: Mapping[str, Market]
) -> Program:
    """The program with sales by label of their market and rivals' coefficients as matrices.

    Parameters
    ----------
    variables
        All players' variables by key.
    markets
        All markets by name.

    Raises
    ------
    DataError
        Markets, labels or rivals that there are not, or that do not fit.
    """
    if not (program.offers or program.products or any(c.rivals for c in program.constraints)):
        return program
    out = copy.copy(program)
    out.sales = [*program.sales, *(_sales(program.player, o, markets) for o in program.offers)]
    out.offers = []
    out.constraints = [
        replace(
            c,
            rivals={
                key: _rival(program, f"rows {c.key}", key, m, len(c), variables)
                for key, m in c.rivals.items()
            },
        )
        for c in program.constraints
    ]
    out.products = [
        replace(
            x,
            matrix=_rival(
                program,
                f"the cost of {x.variable.key}",
                x.rival,
                x.matrix,
                len(x.variable),
                variables,
            ),
        )
        for x in program.products
    ]
    return out


def _sales(player: str, offer: Offer, markets: Mapping[str, Market]) -> Sales:
    what = f"sales of player {player!r} in market {offer.market!r}"
    if offer.market not in markets:
        raise DataError(
            f"player {player!r} sells in market {offer.market!r}, which there is not",
            advice=did_you_mean(offer.market, markets),
        )
    market = markets[offer.market]
    at = offer.at
    if at is None:
        at = SCALAR
        if market.dims:
            own = {v.labels for v in offer.terms}
            if len(own) != 1:
                raise DataError(
                    f"{what} do not say where",
                    advice=f"write at= a {' and '.join(market.dims)}",
                )
            at = own.pop()
    place = selection(what, at, market.labels)
    _check_units(offer, market, what)
    n = len(at)
    return Sales(
        offer.market,
        {
            v: sp.csr_array(place @ matrix_of(f"{what}, {v.key}", c, n, v.labels))
            for v, c in offer.terms.items()
        },
        place @ vector(f"the constant of {what}", offer.constant, n),
    )


def _check_units(offer: Offer, market: Market, what: str) -> None:
    """A variable sold as it is must be in the market's unit."""
    for v, c in offer.terms.items():
        plain = isinstance(c, (int, float)) and abs(c) == 1.0
        if plain and v.unit != market.unit:
            raise DataError(
                f"{what}: {v.key} is in {v.unit}, the market trades {market.unit}",
                advice="give the factor that converts one into the other",
            )


def _rival(
    program: Program, what: str, key: str, given: Any, rows: int, variables: Mapping[str, Variable]
) -> sp.csr_array:
    if key not in variables:
        raise DataError(
            f"{what} names the rival's variable {key!r}, which no player declares",
            advice=did_you_mean(key, variables),
        )
    if variables[key] in program.variables:
        raise DataError(
            f"{what} names {key!r} as a rival's, which is the player's own",
            advice="give the variable itself, not its key",
        )
    return matrix_of(f"{what}, {key}", given, rows, variables[key].labels)
