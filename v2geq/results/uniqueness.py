"""Whether a result is the only one an equilibrium allows, or one of an interval.

model.md, 5: where limits are tight without need, and where nothing is traded, prices are intervals,
and solvers return different points of them. Every quantity is compared with what can move without
leaving the equilibrium (`v2geq.results.polytope`); ends are by linear programs, to which paths are
added that prices at the ends would make the cheapest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import listed
from v2geq.labelled import Labelled
from v2geq.market.coupling import Coupled
from v2geq.market.prices import price_results, starting_prices, traded
from v2geq.mcp.assemble import MCP
from v2geq.results.path_flows import with_cheapest_paths
from v2geq.results.polytope import (
    SPANNED,
    Polytope,
    is_monotone,
    multipliers,
    strategies,
)
from v2geq.results.tables import handed_out, labels_of, tables
from v2geq.show import brief
from v2geq.trips.generation import price_all

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("result", "label", "low", "high", "status", "proof")
PRICES = ("dlmp", "firm_price", "charge_price", "discharge_price")
"""Results whose uniqueness belongs to every equilibrium."""
UNIQUE, INTERVAL, UNKNOWN = "unique", "interval", "unknown"
STRICT, REGULAR, LINEAR = "strict monotonicity", "regular active set", "LP"
WIDTH = 1e-7
"""Width of an interval, beside its scale, up to which both ends are the same."""
MORE_PATHS = 20
"""Times paths are added at one end of an interval."""
CHEAPER = 1e-9
"""Relative saving from which a path at the end of an interval takes part."""
MOVE = 1e-3
"""Size of the moves, in data scales, that show what is not unique."""
FAR = 10.0
"""Price, in values of lost load, from which on a price counts as none that is ever reached."""
SMALL_ROAD = 100
"""Nodes up to which prices are looked at that pay vehicles for charging."""


@dataclass(frozen=True)
class LinearResult:
    """A result near a point as linear function of blocks of z: a row of every part per label.

    `start` is the result at the point at hand; `scale` what differences are compared with.
    """

    result: str
    labels: list[str]
    parts: Mapping[str, sp.csr_array]
    start: FloatArray
    scale: float

    __repr__ = brief

    @staticmethod
    def of(coupled: Coupled, result: Labelled) -> LinearResult | None:
        """A result that says how it follows from the blocks of the problem; else None."""
        if not result.parts:
            return None
        mcp, start = coupled.mcp, np.atleast_1d(np.asarray(result.values, dtype=float))
        size = sum(
            (abs(part) @ mcp.scale[mcp[name].slice] for name, part in result.parts.items()),
            np.zeros(len(start)),
        )
        labels = [", ".join(map(str, label)) for label in labels_of(coupled, result)]
        return LinearResult(
            result.name, labels, result.parts, start, float(size.max(initial=0.0)) or 1.0
        )

    def weights(self, mcp: MCP, polytope: Polytope) -> sp.csr_array:
        """(label, entry) change of the result per move of the polytope's entries."""
        place = np.full(mcp.n, -1)
        place[polytope.entries] = np.arange(len(polytope.entries))
        none = sp.coo_array((len(self.labels), 0))
        parts = [(sp.coo_array(part), mcp[name].start) for name, part in self.parts.items()]
        parts = parts or [(none, 0)]
        row = np.concatenate([part.row for part, _ in parts])
        column = place[np.concatenate([part.col + start for part, start in parts])]
        data = np.concatenate([part.data for part, _ in parts]) * polytope.column[column]
        moves = column >= 0
        shape = (len(self.labels), len(polytope.entries))
        return sp.csr_array(sp.coo_array((data[moves], (row[moves], column[moves])), shape=shape))


def uniqueness(
    coupled: Coupled, values: Mapping[str, FloatArray], *, full: bool = False
) -> pd.DataFrame:
    """What is unique and what is not, by result and label.

    Parameters
    ----------
    full
        All results; otherwise prices of energy, of firm load and at stations.

    Returns
    -------
    pandas.DataFrame
        Columns result, label, low, high (in the result's unit), status ("unique", "interval" or
        "unknown") and proof ("strict monotonicity", "regular active set" or "LP"). A station's
        price where nothing is traded is an interval, from the price at which trade would start to
        that at which the first vehicle would come. Where classes value time differently nothing is
        known of equilibria far away: what only cannot move nearby is "unknown" as well.
    """
    import pandas as pd

    point = coupled.mcp.join(dict(values))
    prices = _Search(coupled, point, multipliers(coupled.mcp, point))
    trade = traded(coupled, values)
    rows = []
    for quantity in _linear(coupled, values, strategies=False, names=() if full else PRICES):
        idle = ~trade[quantity.result] if quantity.result in trade else None
        rows += prices.rows(quantity, skip=idle)
        if idle is not None:
            rows += _untraded(prices, quantity, idle, paid=full)
    if full:
        rows += _beside_prices(prices, values, {row[0] for row in rows})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _beside_prices(
    prices: _Search, values: Mapping[str, FloatArray], done: set[str]
) -> Iterator[tuple[Any, ...]]:
    """Rows of all results but those `done`."""
    wide, wide_values, complete = with_cheapest_paths(prices.coupled, values)
    wide = wide.over(wide.traffic)
    point = wide.mcp.join(wide_values)
    polytope, strict = strategies(wide.mcp, point)
    flows = _Search(wide, point, polytope, exact=complete, strict=strict)
    for quantity in _linear(wide, wide_values, strategies=True):
        done.add(quantity.result)
        yield from flows.rows(quantity)
    # what is left is no linear function: it is unique where nothing that may move changes it
    data = tables(wide, wide_values)
    by_prices = changing(prices.coupled, prices.z, prices.polytope)
    for name, moves in changing(wide, point, polytope).items():
        if name in done:
            continue
        result, moves = data[name], moves | by_prices[name]
        labels = product(*(map(str, result[d].to_numpy()) for d in result.dims))
        for label, moved, value in zip(labels, moves.flat, result.to_numpy().flat, strict=True):
            text = ", ".join(label)
            if np.isnan(value):
                continue
            if moved or not prices.monotone:
                yield name, text, np.nan, np.nan, UNKNOWN, ""
            else:
                yield name, text, float(value), float(value), UNIQUE, REGULAR


def _linear(
    coupled: Coupled,
    values: Mapping[str, FloatArray],
    *,
    strategies: bool,
    names: Collection[str] = (),
) -> Iterator[LinearResult]:
    """Results linear in strategies, or in multipliers and prices, near the point.

    All, or those of the given names, which are among the prices.
    """
    own = {v.key for p in coupled.mcp.programs for v in p.variables}
    for result in price_results(coupled, values) if names else handed_out(coupled, values):
        if names and result.name not in names:
            continue
        linear = LinearResult.of(coupled, result)
        if linear is not None and (own & set(result.parts or ()) != set()) == strategies:
            yield linear


def changing(coupled: Coupled, z: FloatArray, polytope: Polytope) -> dict[str, BoolArray]:
    """Results that hang on strategies or prices, and where a move of the polytope changes them.

    In the shape of each result; what is data is left out.
    """
    mcp = coupled.mcp
    here = tables(coupled, mcp.split(z))
    names = [str(k) for k in here if here[k].dtype.kind == "f"]

    def change(entries: IntArray, move: FloatArray) -> dict[str, FloatArray]:
        moved = z.copy()
        moved[entries] += MOVE * mcp.scale[entries] * move
        there = tables(coupled, mcp.split(moved))
        return {k: np.nan_to_num(np.abs((there[k] - here[k]).to_numpy())) for k in names}

    # what a move of everything changes is what the moves are compared with
    whole = change(np.arange(mcp.n), np.random.default_rng(1).normal(size=mcp.n))
    moves = [change(polytope.entries, move) for move in polytope.moves()]
    return {
        k: np.any([m[k] > SPANNED * size for m in moves], axis=0)
        for k, size in whole.items()
        if size.any()
    }


def where_used(coupled: Coupled, table: pd.DataFrame) -> pd.DataFrame:
    """Rows on prices of energy at buses with load, a station or a generator."""
    scenario = coupled.scenario
    used = {scenario.buses[i] for i in scenario.load_buses}
    used |= set(scenario.stations["bus"]) | set(scenario.generators["bus"])
    return table[(table["result"] == "dlmp") & table["label"].isin(used)]


def notes_on(coupled: Coupled, table: pd.DataFrame) -> list[str]:
    """What a reader of prices should know: those that are not unique where anybody trades."""
    prices = where_used(coupled, table)
    out = []
    several = prices[prices["status"] == INTERVAL]
    if len(several):
        first = several.iloc[0]
        out.append(
            f"prices of energy are not unique at buses {listed(list(several['label']))}; at "
            f"{first['label']}: any value from {first['low']:.6g} to {first['high']:.6g} "
            f"{coupled.scenario.case.currency}/kWh"
        )
    unknown = prices[prices["status"] == UNKNOWN]
    if len(unknown):
        out.append(
            "whether prices of energy are unique is not known at buses "
            f"{listed(list(unknown['label']))}"
        )
    return out


class _Search:
    """Judges quantities over one polytope."""

    def __init__(
        self,
        coupled: Coupled,
        z: FloatArray,
        polytope: Polytope,
        *,
        exact: bool = True,
        strict: BoolArray | None = None,
    ) -> None:
        self.coupled, self.z, self.polytope = coupled, z, polytope
        self.exact, self.strict = exact, strict
        self.monotone = is_monotone(coupled.mcp)
        self.moves = polytope.moves()
        self.first: dict[tuple[int, bool], float] = {}

    @cached_property
    def starts(self) -> dict[str, dict[str, sp.csr_array]]:
        """How prices at which trade would start follow from the blocks."""
        return starting_prices(self.coupled, self.z)

    def changes(self, quantity: LinearResult) -> tuple[FloatArray, BoolArray]:
        """(label, move) changes of the quantity, and (label,) whether no move changes it."""
        weights = quantity.weights(self.coupled.mcp, self.polytope)
        size = np.sqrt(np.asarray((weights**2).sum(axis=1)).ravel())
        change: FloatArray = weights @ self.moves.T
        return change, np.abs(change).max(axis=1, initial=0.0) <= SPANNED * size

    def rows(self, quantity: LinearResult, skip: BoolArray | None = None) -> list[tuple[Any, ...]]:
        """Rows of the table for the labels of a quantity that are not to be skipped."""
        change, fixed = self.changes(quantity)
        proof = self._proof(quantity)
        shared: dict[tuple[float, ...], tuple[float, float, float]] = {}
        out = []
        for k, label in enumerate(quantity.labels):
            if skip is not None and skip[k]:
                continue
            value = float(quantity.start[k])
            if not self.monotone:
                out.append((quantity.result, label, np.nan, np.nan, UNKNOWN, ""))
            elif fixed[k]:
                out.append((quantity.result, label, value, value, UNIQUE, proof))
            else:
                out.append(
                    (quantity.result, label, *self._interval(quantity, k, change[k], shared))
                )
        return out

    def _proof(self, quantity: LinearResult) -> str:
        if self.strict is None:
            return REGULAR
        mcp = self.coupled.mcp
        touched = [mcp[name] for name, part in quantity.parts.items() if part.nnz]
        return STRICT if all(self.strict[b.slice].all() for b in touched) else REGULAR

    def _interval(
        self,
        quantity: LinearResult,
        k: int,
        change: FloatArray,
        shared: dict[tuple[float, ...], tuple[float, float, float]],
    ) -> tuple[float, float, str, str]:
        """Ends, status and proof of one label; `shared` keeps those of the same direction."""
        largest = float(change[np.argmax(np.abs(change))])
        key = tuple(np.round(change / largest, 6).tolist())
        if key not in shared:
            ends = [self._end(quantity, k, sign) for sign in (1.0, -1.0)]
            if ends[0] is None or ends[1] is None:
                return np.nan, np.nan, UNKNOWN, LINEAR
            shared[key] = (ends[0], -ends[1], largest)
        low, high, unit = shared[key]
        # quantities that every move changes in proportion have intervals in proportion
        low, high = sorted((low * largest / unit, high * largest / unit))
        value = float(quantity.start[k])
        if high - low <= WIDTH * quantity.scale:
            return value, value, UNIQUE, LINEAR
        return value + low, value + high, INTERVAL, LINEAR

    def _end(self, quantity: LinearResult, k: int, sign: float) -> float | None:
        """Least change of `sign` times the quantity; None where it was not found."""
        for _ in range(MORE_PATHS):
            weights = sign * quantity.weights(self.coupled.mcp, self.polytope)[[k]].toarray()[0]
            found = self.polytope.least_value(weights)
            if found is None or self.strict is not None:
                return None if found is None or not self.exact else found[0]
            if not np.isfinite(found[0]) or not self._grow(found[1]):
                return found[0]
        return None

    def _grow(self, move: FloatArray) -> bool:
        """Let paths take part that are cheaper than those in use after a move of prices."""
        coupled, mcp = self.coupled, self.coupled.mcp
        if coupled.scenario.case.paths.method != "exact":
            return False
        z = self.z.copy()
        z[self.polytope.entries] += self.polytope.column * move
        values, traffic = mcp.split(z), coupled.traffic
        limit = traffic.trip_costs(values, -CHEAPER)
        roads = traffic.with_paths(price_all(traffic, traffic.conditions(values), limit).paths)
        if roads.columns == traffic.columns:
            return False
        self.coupled = coupled.over(roads)
        self.z = self.coupled.mcp.carry(mcp, self.z)
        self.polytope = multipliers(self.coupled.mcp, self.z)
        self.moves = self.polytope.moves()
        return True


# -- Stations where nothing is traded --------------------------------------------------------------


def _untraded(
    search: _Search, quantity: LinearResult, idle: BoolArray, *, paid: bool
) -> Iterator[tuple[Any, ...]]:
    """Rows of stations without trade: from where trade would start to where a vehicle would come.

    Where trade would start is the canonical price; that it is unique says the active set. Where the
    first vehicle would come, all other prices as they are, is found from the other side: every
    cheapest path that would earn says at which price it would not. The CNO's prices are the
    drivers' less what a station's limits cost.
    """
    if not idle.any():
        return
    coupled, values = search.coupled, search.coupled.mcp.split(search.z)
    charging = quantity.result in ("charge_price", "purchase_price")
    drivers = "charge_price" if charging else "discharge_price"
    markup = values[drivers] - quantity.start
    _, settled = search.changes(replace(quantity, parts=search.starts[quantity.result]))
    for s in np.flatnonzero(idle).tolist():
        label, here = quantity.labels[s], float(quantity.start[s])
        if not (search.monotone and settled[s]):
            yield quantity.result, label, np.nan, np.nan, UNKNOWN, LINEAR if search.monotone else ""
            continue
        if (s, charging) not in search.first:
            search.first[s, charging] = _first_vehicle(
                coupled, values, s, charging=charging, paid=paid
            )
        other = search.first[s, charging] - float(markup[s])
        low, high = (min(other, here), here) if charging else (here, max(other, here))
        if np.isnan(other):
            yield quantity.result, label, np.nan, np.nan, UNKNOWN, LINEAR
        elif high - low <= WIDTH * quantity.scale:
            yield quantity.result, label, here, here, UNIQUE, LINEAR
        else:
            yield quantity.result, label, low, high, INTERVAL, LINEAR


def _first_vehicle(
    coupled: Coupled,
    values: Mapping[str, FloatArray],
    station: int,
    *,
    charging: bool,
    paid: bool,
) -> float:
    """Price at which the first vehicle would trade at a station without trade, $/kWh.

    Infinite where no price brings any. Prices that pay vehicles to charge, more than their time
    at the plug, take a search over elementary routes: they are tried where `paid`, on small roads,
    else nan is returned where nobody comes without, and where trips' whole time has a cost.
    """
    traffic, scenario = coupled.traffic, coupled.scenario
    charge, discharge = values["charge_price"].copy(), values.get("discharge_price")
    discharge = None if discharge is None else discharge.copy()
    electric = traffic.electric
    if not electric:
        return -np.inf if charging else np.inf
    if any(traffic.classes[k].cost_of_time for k in electric):
        return np.nan
    cost, here = traffic.trip_costs(values), traffic.conditions(values)
    far = FAR * scenario.case.market.voll
    plug = [traffic.classes[k].value_of_time / traffic.charger_power(k)[station] for k in electric]
    paid &= len(traffic.graph.nodes) <= SMALL_ROAD
    start = far if not charging else -far if paid else -float(min(plug))
    price, sign, kind = start, 1.0 if charging else -1.0, "C" if charging else "D"
    for _ in range(MORE_PATHS * 5):
        prices = charge if charging or discharge is None else discharge
        prices[station] = price
        found = price_all(
            traffic,
            replace(here, charge_price=charge, discharge_price=discharge),
            below=traffic.trip_costs(values, -CHEAPER),
            kinds=("ev",),
        )
        ends = []
        for name in electric:
            for path in found.paths[name]:
                here_too = [s for s in path.stops if s.station == station and s.kind == kind]
                energy = sum(s.energy_kwh for s in here_too)
                if energy > 0.0:
                    saving = cost[name][path.od] - found.cost[name][path.od]
                    ends.append(price + sign * saving / energy)
        if not ends:
            if price != start:
                return price
            if charging and not paid:
                return np.nan
            return -np.inf if charging else np.inf
        price = max(ends) if charging else min(ends)
    return np.nan
