"""Prices at a point: canonical ones where nothing is traded, and the results that are prices.

model.md, 5. Where nothing is traded a price is an interval. The canonical choice is the end at
which trade would start, so it stays an equilibrium and prices paths that nobody uses correctly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, listed
from v2geq.grid.dlmp import PriceParts
from v2geq.labelled import Labelled, column, eye, placed, whole
from v2geq.market.coupling import Coupled
from v2geq.mcp.problem import reduced_costs
from v2geq.players.cno import cno_results
from v2geq.players.lse import lse_results, theta_key

STATION_PRICES = {
    "charge_price": "paid by vehicles that charge (rho+)",
    "discharge_price": "paid to vehicles that discharge (rho-)",
    "purchase_price": "paid by the CNO to LSEs (pi+)",
    "resale_price": "paid by LSEs to the CNO (pi-)",
}
PARTS = {
    "energy": "price of energy at the root",
    "scarcity": "what energy is worth more in an island without the root",
    "loss": "losses of lines",
    "congestion": "lines that are full",
    "voltage": "voltage limits",
    "reactive": "reactive power at the root of the island",
}
"""Parts of DLMPs, the columns of `PriceParts.table`, and what each is of."""
TRADED = 1e-6
"""Share of what could be traded at a station above which energy counts as traded."""
CANONICAL = {
    "purchase_price": 1.0,
    "charge_price": 1.0,
    "resale_price": -1.0,
    "discharge_price": -1.0,
    "tso_price": -1.0,
}
"""Markets in the order of the chain, and who starts trade there: sellers (1) or buyers (-1)."""


def canonical(coupled: Coupled, z: FloatArray) -> FloatArray:
    """`z` with prices of `CANONICAL` markets where their first seller, or buyer, would start.

    So pi+ = lambda + min theta, pi- = lambda + max theta, rho = pi + nu_up - nu_lo and tau = max
    theta where the built-in players trade, and whatever their place is taken by.
    """
    z = z.copy()
    for market, sign in CANONICAL.items():
        if _may_move(coupled, market):
            label, shift, _, _ = _first_traders(coupled, z, market, sign)
            z[coupled.mcp[market].start + label] += sign * shift
    return z


def _may_move(coupled: Coupled, market: str) -> bool:
    """Whether a market has a canonical price; losses say what the TSO's energy is worth."""
    lost = market == "tso_price" and coupled.grid.has_losses
    return market in coupled.mcp and not lost


def starting_prices(coupled: Coupled, z: FloatArray) -> dict[str, dict[str, sp.csr_array]]:
    """Derivative of the canonical prices by blocks of the problem, by market."""
    mcp = coupled.mcp
    out: dict[str, sp.csr_array] = {}
    for market, sign in CANONICAL.items():
        if not _may_move(coupled, market):
            continue
        block = mcp[market]
        label, _, entry, size = _first_traders(coupled, z, market, sign)
        shape = (len(block), mcp.n)
        own = sp.csr_array((np.ones(len(label)), (label, block.start + label)), shape=shape)
        gain = placed(label, len(block)) @ sp.diags_array(sign / size)
        rows = own + gain @ mcp.matrix[entry]
        # prices that are canonical themselves are what their own first trader makes them
        for other, theirs in out.items():
            at = mcp[other].slice
            through = sp.csr_array(sp.csc_array(rows)[:, at])
            keep = np.ones(mcp.n)
            keep[at] = 0.0
            rows = rows @ sp.diags_array(keep) + through @ theirs
        out[market] = sp.csr_array(rows)
    parts = {}
    for market, rows in out.items():
        columns = sp.csc_array(rows)
        used = np.diff(columns.indptr) > 0
        blocks = [b for b in mcp.blocks if used[b.slice].any()]
        parts[market] = {b.name: sp.csr_array(columns[:, b.slice]) for b in blocks}
    return parts


def _first_traders(
    coupled: Coupled, z: FloatArray, market: str, sign: float
) -> tuple[IntArray, FloatArray, IntArray, FloatArray]:
    """Who would start trade: labels, by how much the price must move, positions in z, units sold.

    Labels at which nobody sells, or buys, are left out.
    """
    mcp, f = coupled.mcp, coupled.mcp.F(z)
    found: list[tuple[Any, ...]] = []
    for program in coupled.programs.values():
        for sale in program.sales:
            if sale.market != market:
                continue
            for v, matrix in sale.terms.items():
                part, several = sp.coo_array(matrix), np.diff(sp.csc_array(matrix).indptr) > 1
                mine = sign * part.data > 0.0
                label, entry, size = part.row[mine], part.col[mine], np.abs(part.data[mine])
                low, high = v.lower[entry], v.upper[entry]
                at = mcp[v.key].start + entry
                gain = f[at] / size
                # who can trade no more does not start, nor who trades at several labels at once
                gain = np.where(several[entry], np.minimum(gain, 0.0), gain)
                gain = np.where(z[at] >= high, 0.0, gain)
                able = low < high
                found.append((label[able], gain[able], at[able], size[able]))
    none = np.zeros(0, dtype=np.int64)
    if not found:
        return none, np.zeros(0), none, np.zeros(0)
    label, gain, at, size = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((gain, label))
    first = order[np.r_[True, np.diff(label[order]) > 0]] if len(order) else order
    return label[first], gain[first], at[first], size[first]


def quantity(
    coupled: Coupled, market: str, values: Mapping[str, FloatArray], *, sold: bool
) -> tuple[FloatArray, dict[str, sp.csr_array]]:
    """What is sold in a market by label, or bought, by all who do nothing else there.

    And its derivative by blocks. Each side of a market adds up to the same where it clears.
    """
    sign = 1.0 if sold else -1.0
    total = np.zeros(len(coupled.mcp[market]))
    parts: dict[str, sp.csr_array] = {}
    for program in coupled.programs.values():
        for sale in program.sales:
            if sale.market == market:
                for v, matrix in sale.terms.items():
                    mine = (sign * matrix).maximum(0.0)
                    if mine.nnz:
                        parts[v.key] = parts[v.key] + mine if v.key in parts else mine
                        total += mine @ values[v.key]
                total += np.maximum(sign * sale.constant, 0.0)
    return total, parts


def traded(coupled: Coupled, values: Mapping[str, FloatArray]) -> dict[str, BoolArray]:
    """Price at stations -> (station,) whether energy is traded at it; without V2G two of four."""
    least = TRADED * coupled.scenario.station_scale(coupled.traffic.energy_reach)
    out = {"charge_price": quantity(coupled, "charge_price", values, sold=True)[0] > least}
    out["purchase_price"] = out["charge_price"]
    if coupled.scenario.v2g:
        bought, _ = quantity(coupled, "discharge_price", values, sold=False)
        out["discharge_price"] = out["resale_price"] = bought > least
    return out


def built_in_results(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    """Results of all layers and built-in players."""
    yield from price_results(coupled, values)
    yield from _parts_at_buses(coupled, values)
    yield from cno_results(coupled.programs, values)
    yield from lse_results(coupled.scenario, coupled.programs, values)
    yield from coupled.grid.results(values)
    yield from coupled.traffic.results(values)


def check_names(coupled: Coupled) -> None:
    """Raises DataError where a market of the user's has the name of a result or a dimension."""
    if not coupled.own.markets or coupled.traffic.legs:
        return  # over legs there are no results yet: the market over paths is asked
    results = list(built_in_results(coupled, coupled.mcp.split(coupled.mcp.start)))
    names = [r.name for r in results]
    taken = {name for name in names if names.count(name) > 1}
    taken |= set(names) & {d for r in results for d in r.dims}
    if taken:
        raise DataError(f"{listed(sorted(taken))}: a market or its dimension has a result's name")


def price_results(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    """Prices of all markets, and what is traded at stations."""
    yield from _at_buses(coupled, values)
    yield from _at_stations(coupled, values)
    yield whole("tso_price", (), "tso_price", values, "$/kWh", "price of TSO energy (tau)")
    if "reactive_price" in coupled.mcp:
        places, text = coupled.grid.places, "price of reactive power bought of players (mu_q)"
        some = tuple(places.labels[k] for k in coupled.grid.kvar_places)
        name, unit = "reactive_price", "$/kvarh"
        yield whole(name, places.dims, name, values, unit, text, some, np.nan)
    for market in coupled.own.markets:
        name, unit, dims = market.name, market.price_unit, market.dims
        text, labels = f"price of {market.meaning or name}", market.labels if dims else None
        yield whole(name, dims, name, values, unit, text, labels)


def _at_buses(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    scenario, voll = coupled.scenario, coupled.scenario.case.market.voll
    at, n, places = scenario.bus_position, len(scenario.buses), coupled.grid.places
    # at a bus with phases, the price of its load
    here, own = values["wheeling_price"], sp.csr_array(places.load.T)
    fee = own @ here
    portion = {str(k): float(p) for k, p in scenario.case.lses["portion"].items()}
    theta = {k: float(values[theta_key(k)][0]) for k in portion}
    energy = sum(p * theta[k] for k, p in portion.items())
    by_fee = {"wheeling_price": own}
    by_theta = {theta_key(k): column(np.full(n, p)) for k, p in portion.items()}

    def price(name: str, of: FloatArray, parts: Mapping[str, sp.csr_array], text: str) -> Labelled:
        return Labelled(name, ("bus",), of, "$/kWh", text, parts=parts)

    text = "price of energy at a bus: of one more kW that is injected or must be served (lambda + "
    yield price("dlmp", fee + energy, by_fee | by_theta, f"{text}theta)")
    # an LSE that sheds pays the value of lost load, whatever the price of energy
    firm, at_fee, parts = np.zeros(n), np.zeros(n), {}
    # to shed also frees reactive power, which has a price
    freed, kvar = scenario.shed_kvar, _kvar_prices(coupled)
    worth = voll - (0.0 if kvar is None else freed * (kvar @ values["reactive_price"]))
    for k, p in portion.items():
        shed = coupled.lse_program(k)["shed"]
        served = np.ones(n)
        where = [at[label[0]] for label in shed.labels]
        served[where] = values[shed.key] <= 1e-9 * scenario.power_scale
        at_fee += p * served
        parts[theta_key(k)] = column(p * served)
        firm += p * np.minimum(fee + theta[k], worth)
    parts["wheeling_price"] = sp.csr_array(sp.diags_array(at_fee) @ own)
    if kvar is not None:
        parts["reactive_price"] = sp.csr_array(sp.diags_array(-(1.0 - at_fee) * freed) @ kvar)
    text = "price of one more kW of firm load, which may be shed: by LSE at most the value of lost"
    yield price("firm_price", firm, parts, f"{text} load")
    yield price("wheeling_price", fee, by_fee, "wheeling fee from the root (lambda)")
    text = "energy price of the LSEs, weighted by their portions (theta)"
    yield price("energy_price", np.full(n, energy), by_theta, text)
    if len(places.dims) > 1:
        terms = {theta_key(k): column(np.full(len(here), p)) for k, p in portion.items()}
        terms["wheeling_price"] = eye(len(here))
        yield Labelled(
            "dlmp_by_phase",
            places.dims,
            here + energy,
            "$/kWh",
            "price of energy at a phase of a bus, or between two",
            places.labels,
            terms,
            fill=np.nan,
        )


def _kvar_prices(coupled: Coupled) -> sp.csr_array | None:
    """(bus, label) what of the prices of reactive power is that of the load of a bus."""
    if "reactive_price" not in coupled.mcp:
        return None
    return sp.csr_array(sp.csr_array(coupled.grid.places.load)[coupled.grid.kvar_places].T)


def dlmp_parts(coupled: Coupled, z: FloatArray) -> PriceParts:
    """What DLMPs are made of, by place: the energy price of the LSEs and what the feeder adds."""
    values, reduced = (coupled.mcp.split(x) for x in (z, reduced_costs(coupled.mcp, z)))
    energy = next(r for r in _at_buses(coupled, values) if r.name == "energy_price").values[0]
    parts = coupled.grid.dlmp_parts(values, reduced, float(values["tso_price"][0]))
    return replace(
        parts,
        price=pd.Series(energy + values["wheeling_price"], parts.price.index, name="dlmp"),
        table=parts.table.assign(energy=energy),
    )


def _parts_at_buses(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    parts, places = dlmp_parts(coupled, coupled.mcp.join(values)).table, coupled.grid.places
    for name, text in PARTS.items():
        here, told = parts[name].to_numpy(), f"part of the DLMP: {text}"
        yield Labelled(f"dlmp_{name}", ("bus",), places.load.T @ here, "$/kWh", told)
        if len(places.dims) > 1:
            by_phase = f"dlmp_{name}_by_phase", places.dims, here, "$/kWh", told, places.labels
            yield Labelled(*by_phase, fill=np.nan)


def _at_stations(coupled: Coupled, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    n, station = len(coupled.scenario.stations), ("station",)
    none: FloatArray = np.full(n, np.nan)
    for name, meaning in STATION_PRICES.items():
        parts = {name: eye(n)} if name in values else None
        yield Labelled(name, station, values.get(name, none), "$/kWh", meaning, parts=parts)
    trade = traded(coupled, values)
    sold = trade.get("discharge_price", np.zeros(n))
    charges = trade["charge_price"].astype("int8")
    yield Labelled("charge_traded", station, charges, "", "1 where vehicles charge")
    yield Labelled("discharge_traded", station, sold.astype("int8"), "", "1 where they discharge")
    amount, by = quantity(coupled, "charge_price", values, sold=True)
    yield Labelled("charge_kw", station, amount, "kW", "energy sold to vehicles (c+)", parts=by)
    amount, by = np.zeros(n), {}
    if coupled.scenario.v2g:
        amount, by = quantity(coupled, "discharge_price", values, sold=False)
    meaning = "energy bought from vehicles (c-)"
    yield Labelled("discharge_kw", station, amount, "kW", meaning, parts=by or None)
