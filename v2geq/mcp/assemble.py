"""Join players' programs and market clearing into one mixed complementarity problem.

F(z) = M z + q + separable terms, with every index named. The Jacobian keeps one sparsity pattern
for the life of the problem, so that a factorisation can reuse its ordering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray, IntArray
from v2geq.errors import DataError, did_you_mean
from v2geq.mcp.block import Block, find_block, paired_unit
from v2geq.mcp.checks import real_numbers
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.settle import settled
from v2geq.mcp.terms import Composite, Constraint, NonlinearCost, Sales, Variable


@dataclass(frozen=True)
class _Term:
    cost: NonlinearCost
    own: slice
    rivals: tuple[slice, ...]
    positions: IntArray
    """Where the second derivatives go in the Jacobian's data: own, then each rival."""


@dataclass(frozen=True)
class _CompositeTerm:
    cost: Composite
    own: slice
    matrix: sp.csr_array
    """(entry, n) the combination's coefficients."""
    rows: IntArray
    data: FloatArray
    positions: IntArray
    """Entries of the matrix: row, value, and place in the Jacobian's data."""

    def argument(self, z: FloatArray) -> FloatArray:
        combined: FloatArray = self.matrix @ z + self.cost.constant
        return combined


class MCP:
    """Find z in [lower, upper] with F(z) = 0 inside, >= 0 at lower, <= 0 at upper bounds.

    Attributes
    ----------
    blocks : named index blocks, in order of position
    lower, upper, start : (n,) arrays
    scale, row_scale : (n,) magnitudes of the data by which variables and rows are divided in the
        scaled natural residual
    matrix, constant : the linear part of F
    """

    def __init__(self, programs: Sequence[Program], markets: Sequence[Market]) -> None:
        self.markets = tuple(markets)
        variables = {v.key: v for p in programs for v in p.variables}
        known = {m.name: m for m in markets}
        self.programs = tuple(settled(p, variables, known) for p in programs)
        _check_parts(self.programs, self.markets)
        self.blocks: list[Block] = []
        data: list[tuple[FloatArray, ...]] = []

        def add(
            of: Variable | Constraint | Market,
            key: str,
            units: tuple[str, str],
            *values: FloatArray,
        ) -> None:
            at = self.blocks[-1].stop if self.blocks else 0
            stop = at + len(of.labels)
            self.blocks.append(Block(key, of.dims, of.labels, *units, at, stop, of.meaning))
            data.append(values)

        for program in self.programs:
            for v in program.variables:
                units = v.unit, paired_unit(v.unit)
                add(v, v.key, units, v.lower, v.upper, v.start, v.scale, v.row_scale)
            for c in program.constraints:
                low = np.full(len(c), -np.inf if c.equality else 0.0)
                high, units = np.full(len(c), np.inf), (paired_unit(c.unit), c.unit)
                add(c, c.key, units, low, high, c.start, c.multiplier_scale, c.scale)
        for m in markets:
            n = len(m.labels)
            first = np.broadcast_to(m.start, n)
            low, high = np.full(n, m.lower), np.full(n, np.inf)
            pinned = list(m.pinned)
            low[pinned] = high[pinned] = first[pinned]
            scales = _market_scales(m, self.programs, programs[0].money_scale)
            add(m, m.name, (m.price_unit, m.unit), low, high, first, *scales)

        self._block = {b.name: b for b in self.blocks}
        self.n = self.blocks[-1].stop
        self.lower, self.upper, self.start, self.scale, self.row_scale = (
            np.concatenate(part) for part in zip(*data, strict=True)
        )
        self._assemble()

    def __repr__(self) -> str:
        return (
            f"<MCP of {len(self.programs)} players: {self.n} unknowns in {len(self.blocks)} blocks>"
        )

    def __getitem__(self, name: str) -> Block:
        if name not in self._block:
            raise DataError(
                f"the problem has no block {name!r}", advice=did_you_mean(name, self._block)
            )
        return self._block[name]

    def __contains__(self, name: str) -> bool:
        return name in self._block

    def describe(self, position: int) -> str:
        """Name of entry `position` of z."""
        return find_block(self.blocks, position).describe(position)

    def split(self, z: FloatArray) -> dict[str, FloatArray]:
        """Entries of `z` by block name (views)."""
        return {b.name: z[b.slice] for b in self.blocks}

    def join(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Inverse of `split`; raises DataError where blocks are missing, unknown or do not fit."""
        for name in values:
            self[name]
        z = np.empty(self.n)
        for b in self.blocks:
            if b.name not in values:
                raise DataError(f"block {b.name!r} is missing; it needs {len(b)} values")
            given = real_numbers(f"block {b.name!r}", values[b.name])
            if given.shape != (len(b),):
                raise DataError(f"block {b.name!r} needs {len(b)} values, not shape {given.shape}")
            z[b.slice] = given
        return z

    def carry(self, other: MCP, z: FloatArray) -> FloatArray:
        """A start for this problem from the point `z` of a similar one, matched by labels.

        Entries the other problem lacks are zero, or their own start in blocks it lacks altogether;
        everything is clipped to the bounds.
        """
        if z.shape != (other.n,):
            raise DataError(f"the other problem has {other.n} unknowns, not shape {z.shape}")
        out = self.start.copy()
        for b in self.blocks:
            if b.name not in other:
                continue
            theirs = other[b.name]
            values = z[theirs.slice]
            if b.labels == theirs.labels:
                out[b.slice] = values
            else:
                known = dict(zip(theirs.labels, values.tolist(), strict=True))
                out[b.slice] = [known.get(label, 0.0) for label in b.labels]
        inside: FloatArray = np.clip(out, self.lower, self.upper)
        return inside

    def F(self, z: FloatArray) -> FloatArray:
        """The map, shape (n,)."""
        out: FloatArray = self.matrix @ z + self.constant
        for term in self._terms:
            out[term.own] += term.cost.gradient(z[term.own], self._others(term, z))
        for composite in self._composites:
            out[composite.own] += composite.cost.curve.value(composite.argument(z))
        return out

    def J(self, z: FloatArray) -> sp.csc_array:
        """The Jacobian of F at z, always with the same pattern (all diagonal entries stored)."""
        data = self._base.copy()
        for term in self._terms:
            own, other = term.cost.hessian(z[term.own], self._others(term, z))
            values = np.concatenate([own] + [other] * len(term.rivals))
            data[term.positions] += values
        for composite in self._composites:
            slope = composite.cost.curve.first(composite.argument(z))
            data[composite.positions] += slope[composite.rows] * composite.data
        return sp.csc_array((data, self._indices, self._indptr), shape=(self.n, self.n))

    @property
    def is_strategy(self) -> BoolArray:
        """(n,) whether an entry is a player's variable, not a multiplier or a price."""
        out = np.zeros(self.n, dtype=bool)
        for program in self.programs:
            for v in program.variables:
                out[self[v.key].slice] = True
        return out

    @property
    def diagonal_positions(self) -> IntArray:
        """Where the diagonal sits in the data of every Jacobian, shape (n,)."""
        return self._diagonal

    def _others(self, term: _Term, z: FloatArray) -> FloatArray:
        others: FloatArray = np.zeros(term.own.stop - term.own.start)
        for rival in term.rivals:
            others = others + z[rival]
        return others

    def _assemble(self) -> None:
        n = self.n
        rows: list[IntArray] = []
        columns: list[IntArray] = []
        data: list[FloatArray] = []
        self.constant = np.zeros(n)

        def put(
            matrix: sp.csr_array, at_row: int, at_column: int, mirrored: float | None = None
        ) -> None:
            """Add the entries of a matrix, and those of its transpose times `mirrored`."""
            row = np.repeat(np.arange(at_row, at_row + matrix.shape[0]), np.diff(matrix.indptr))
            column = matrix.indices.astype(np.int64) + at_column
            rows.append(row)
            columns.append(column)
            data.append(matrix.data)
            if mirrored is not None:
                rows.append(column)
                columns.append(row)
                data.append(matrix.data * mirrored)

        for program in self.programs:
            for v in {*program.linear, *program.margins}:
                self.constant[self[v.key].slice] += program.marginal(v)
            for x in program.products:
                put(x.matrix, self[x.variable.key].start, self[x.rival].start)
            for con in program.constraints:
                at = self[con.key].start
                for v, a in con.terms.items():
                    put(a, at, self[v.key].start, -con.weights.get(v, 1.0))
                for key, a in con.rivals.items():
                    put(a, at, self[key].start)
                self.constant[self[con.key].slice] -= con.rhs
            for sale in program.sales:
                price = self[sale.market]
                for v, s in sale.terms.items():
                    put(s, price.start, self[v.key].start, -1.0)
                self.constant[price.slice] += sale.constant

        entries, at_entry = np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))
        self.matrix = sp.csr_array(sp.coo_array((entries, at_entry), shape=(n, n)))

        terms: list[tuple[NonlinearCost, slice, tuple[slice, ...], IntArray, IntArray]] = []
        for program in self.programs:
            for cost in program.nonlinear:
                own = self[cost.variable.key].slice
                rivals = tuple(self[key].slice for key in cost.rivals)
                across = [np.arange(s.start, s.stop) for s in (own, *rivals)]
                terms.append(
                    (cost, own, rivals, np.tile(across[0], len(across)), np.concatenate(across))
                )
        combined = [
            (cost, self[cost.variable.key].slice, self._combination(cost))
            for program in self.programs
            for cost in program.composites
        ]
        coos = [(own.start, m.tocoo()) for _, own, m in combined]
        everything = np.arange(n)
        more_rows = [*(t[3] for t in terms), *(start + m.row for start, m in coos)]
        more_columns = [*(t[4] for t in terms), *(m.col for _, m in coos)]
        all_rows = np.concatenate([*rows, everything, *more_rows]).astype(np.int64)
        all_columns = np.concatenate([*columns, everything, *more_columns]).astype(np.int64)
        # column-major keys sort into the CSC order
        keys, inverse = np.unique(all_columns * n + all_rows, return_inverse=True)
        at = len(entries)
        self._base = np.bincount(inverse[:at], weights=entries, minlength=len(keys)).astype(float)
        self._indices = (keys % n).astype(np.int32)
        self._indptr = np.searchsorted(keys, np.arange(n + 1) * n).astype(np.int32)
        self._diagonal: IntArray = inverse[at : at + n]
        at += n
        self._terms: list[_Term] = []
        for cost, own, rivals, term_rows, _ in terms:
            self._terms.append(_Term(cost, own, rivals, inverse[at : at + len(term_rows)]))
            at += len(term_rows)
        self._composites: list[_CompositeTerm] = []
        for (composite, own, matrix), (_, m) in zip(combined, coos, strict=True):
            place = inverse[at : at + m.nnz]
            self._composites.append(_CompositeTerm(composite, own, matrix, m.row, m.data, place))
            at += m.nnz

    def _combination(self, cost: Composite) -> sp.csr_array:
        """(entry, n) coefficients of what a composite cost is a curve of."""
        rows, columns, data = [], [], []
        for key, matrix in cost.parts.items():
            coo = sp.coo_array(matrix)
            rows.append(coo.row)
            columns.append(coo.col + self[key].start)
            data.append(coo.data)
        at = (np.concatenate(rows), np.concatenate(columns))
        shape = (len(cost.variable), self.n)
        return sp.csr_array(sp.coo_array((np.concatenate(data), at), shape=shape))


def _market_scales(
    market: Market, programs: Sequence[Program], money: float
) -> tuple[FloatArray, FloatArray]:
    """Scales of the prices of a market and of its rows, by the traders' where it has none."""
    n = len(market.labels)
    row, price = market.row_scale, market.scale
    if row is None and price is None:
        sales = [s for p in programs for s in p.sales if s.market == market.name]
        sizes = [abs(s.constant).max(initial=0.0) for s in sales]
        prices = [np.inf]
        for v, m in ((v, sp.coo_array(m)) for s in sales for v, m in s.terms.items() if m.nnz):
            sizes.append(float((np.abs(m.data) * v.scale[m.col]).max()))
            some = m.data != 0.0
            prices.append(float((v.row_scale[m.col] / np.abs(m.data))[some].min(initial=np.inf)))
        row = max(sizes) or 1.0 if sizes else 1.0
        price = min(prices) if np.isfinite(min(prices)) else None
    if price is None:
        assert row is not None
        price = money / row
    return np.full(n, price), np.full(n, row or money / price)


def _check_parts(programs: Sequence[Program], markets: Sequence[Market]) -> None:
    """Raise DataError where players and markets do not fit together, naming which."""
    if not programs:
        raise DataError("a problem needs at least one player")
    names = [v.key for p in programs for v in p.variables]
    names += [c.key for p in programs for c in p.constraints]
    names += [m.name for m in markets]
    if not any(len(v) for p in programs for v in p.variables):
        raise DataError("no player has a variable")
    for k, name in enumerate(names):
        if name in names[:k]:
            raise DataError(f"two players, rows or markets share the name {name!r}")
    size = {m.name: len(m.labels) for m in markets}
    variables = {v.key: v for p in programs for v in p.variables}
    for market in markets:
        _check_traded(market, [s for p in programs for s in p.sales if s.market == market.name])
    for program in programs:
        for sale in program.sales:
            whose = f"player {program.player!r}"
            if sale.market not in size:
                raise DataError(
                    f"{whose} sells in market {sale.market!r}, which there is not",
                    advice=did_you_mean(sale.market, size),
                )
            if len(sale.constant) != size[sale.market]:
                raise DataError(
                    f"{whose} sells in {len(sale.constant)} rows of market {sale.market!r}, which "
                    f"has {size[sale.market]}"
                )
        for cost in program.nonlinear:
            for key in cost.rivals:
                if key not in variables:
                    raise DataError(
                        f"{cost.variable.key} names the rival {key!r}, which no player declares",
                        advice=did_you_mean(key, variables),
                    )
                if variables[key].player == program.player:
                    raise DataError(f"{cost.variable.key} names {key!r}, which is no rival's")
                if variables[key].labels != cost.variable.labels:
                    raise DataError(f"{cost.variable.key} and its rival {key!r} differ in labels")


def _check_traded(market: Market, sales: Sequence[Sales]) -> None:
    """Raise DataError where fixed quantities cannot balance, as nobody trades any other."""
    fixed = sum((s.constant for s in sales), np.zeros(len(market.labels)))
    if not fixed.any() or any(len(s.constant) != len(fixed) for s in sales):
        return
    traded = np.zeros(len(fixed))
    for s in sales:
        for m in s.terms.values():
            traded += abs(m).sum(axis=1)
    stuck = (traded == 0.0) & ((fixed < 0.0) | ((fixed > 0.0) & (market.lower < 0.0)))
    for k in np.flatnonzero(stuck)[:1].tolist():
        raise DataError(
            f"market {market.name!r} has only a fixed quantity of {fixed[k]:g} {market.unit} "
            f"{' '.join(market.labels[k])} and nobody who trades more or less"
        )
