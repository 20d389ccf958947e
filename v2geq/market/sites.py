"""Sites: where players of the user trade energy at a bus, in the LSEs' portions.

model.md, 5.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.errors import DataError, listed
from v2geq.mcp.checks import vector
from v2geq.mcp.coefficients import matrix_of
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Offer, Variable
from v2geq.scenario import Scenario

ENERGY = "energy"
"""Name by which players trade at the site of a bus."""
SITE = "site_price"


def energy_offers(program: Program) -> list[Offer]:
    return [o for o in program.offers if o.market == ENERGY]


def buses_of(offer: Offer) -> list[str]:
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


def at_buses(program: Program, offer: Offer) -> tuple[dict[Variable, sp.csr_array], FloatArray]:
    """Coefficients and constant of an offer of energy, row by row."""
    n = len(buses_of(offer))
    what = f"energy sold by player {program.player!r}"
    matrices = {v: matrix_of(f"{what}, {v.key}", c, n, v.labels) for v, c in offer.terms.items()}
    return matrices, vector(f"the constant of {what}", offer.constant, n)


def energy_sold(program: Program, values: Mapping[str, FloatArray]) -> dict[str, float]:
    """Bus -> energy the player sells there (negative: buys), kW, at strategies by key."""
    out: dict[str, float] = {}
    for offer in energy_offers(program):
        matrices, constant = at_buses(program, offer)
        quantity = sum((m @ values[v.key] for v, m in matrices.items()), constant)
        for bus, kw in zip(buses_of(offer), quantity.tolist(), strict=True):
            out[bus] = out.get(bus, 0.0) + kw
    return out


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


def at_sites(program: Program, scenario: Scenario) -> Program:
    """The program with energy sold at sites, in portions; at buses without supply nothing is."""
    offers = energy_offers(program)
    if not offers:
        return program
    out = copy.copy(program)
    out.offers = [o for o in program.offers if o.market != ENERGY]
    out.constraints = list(program.constraints)
    for number, offer in enumerate(offers, 1):
        matrices, constant = at_buses(program, offer)
        buses = buses_of(offer)
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
    live: BoolArray,
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
    dead: BoolArray,
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
