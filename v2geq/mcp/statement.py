"""Variables and rows of one player, with the scales of their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.mcp.block import Label, as_dims, as_labels
from v2geq.mcp.checks import positive, unique_labels, usable_bounds, vector
from v2geq.mcp.coefficients import Coefficient, entries, matrix_of, negative
from v2geq.mcp.market import Market
from v2geq.mcp.terms import (
    Composite,
    Constraint,
    NonlinearCost,
    Offer,
    Product,
    Sales,
    Variable,
)

SCALAR: tuple[Label, ...] = ((),)


class Scales(Protocol):
    """Magnitudes of the data, from which a program takes the scales that are not given."""

    @property
    def money_scale(self) -> float:
        """$/h."""

    def scale_of(self, unit: str) -> float | None:
        """Magnitude of quantities in a unit; None for units it does not know."""


@dataclass(frozen=True)
class FixedScales:
    """Scales of a program that stands for itself, by unit."""

    money_scale: float
    units: Mapping[str, float] = field(default_factory=dict)

    def scale_of(self, unit: str) -> float | None:
        return self.units.get(unit)


class Statement:
    """Names, variables and rows of a program; see `v2geq.mcp.program.Program`."""

    def __init__(self, player: str, scales: Scales | float, *, title: str = "") -> None:
        if not isinstance(player, str) or not player.isprintable() or not player.strip():
            raise DataError(f"the name of a player must be a word, not {quoted(player)}")
        known = FixedScales(float(scales)) if isinstance(scales, (int, float)) else scales
        if not hasattr(known, "scale_of"):
            raise DataError(
                f"player {player!r} is stated in {quoted(scales)}, which is no scenario",
                advice="write vg.Program(name, s), with the s the function is called with",
            )
        self.player = player
        self.title = title or player
        money = positive(f"the money scale of player {player!r}", known.money_scale, 1)
        self.money_scale = float(money[0])
        self.scales: Scales = known
        self.variables: list[Variable] = []
        self.constraints: list[Constraint] = []
        self.linear: dict[Variable, FloatArray] = {}
        self.margins: dict[Variable, FloatArray] = {}
        self.nonlinear: list[NonlinearCost] = []
        self.products: list[Product] = []
        self.composites: list[Composite] = []
        self.offers: list[Offer] = []
        self.sales: list[Sales] = []
        self.markets: list[Market] = []
        self.replaced: list[tuple[str, str, tuple[str, ...]]] = []
        self.terms: dict[str, str] = {}

    def __getitem__(self, name: str) -> Variable:
        """Variable by name."""
        for v in self.variables:
            if v.name == name:
                return v
        raise DataError(
            f"player {self.player!r} has no variable {name!r}",
            advice=did_you_mean(name, [v.name for v in self.variables]),
        )

    def __contains__(self, name: str) -> bool:
        return any(v.name == name for v in self.variables)

    def __repr__(self) -> str:
        words = ", ".join(v.name for v in self.variables)
        return f"<Program of {self.player}: {words}; {len(self.constraints)} constraints>"

    # -- variables --------------------------------------------------------------------------------

    def variable(
        self,
        name: str,
        dims: str | Sequence[str] = (),
        labels: Sequence[str | int | Label] = SCALAR,
        *,
        unit: str,
        lower: float | FloatArray = 0.0,
        upper: float | FloatArray = np.inf,
        reach: float | FloatArray = np.inf,
        start: float | FloatArray = 0.0,
        scale: float | FloatArray | None = None,
        row_scale: float | FloatArray | None = None,
        meaning: str = "",
    ) -> Variable:
        """Declare a block of variables, one per label; without labels a single one.

        Parameters
        ----------
        dims, labels
            Name of the dimension, or several, and a label (or tuple of labels) per entry.
        lower, upper
            Bounds, in `unit`; a variable is >= 0 unless it says otherwise.
        reach
            Magnitude no state of the market exceeds: bounds the player's own deviation where the
            bounds do not.
        scale, row_scale
            Magnitude of the data of the variable and of its stationarity row; by the unit, else by
            the range, and ``money_scale / scale``, if left out.

        Raises
        ------
        DataError
            A name or label declared twice, crossed bounds, numbers that are none or do not fit.
        """
        dims, labels = as_dims(dims), as_labels(labels)
        n = len(labels)
        what = self._new_name(name, dims, labels)
        low, high = usable_bounds(
            entries(f"the lower bound of {what}", lower, labels, finite=False),
            entries(f"the upper bound of {what}", upper, labels, finite=False),
            lambda k: f"{what}[{', '.join(labels[k])}]" if dims else what,
        )
        far = entries(f"the reach of {what}", reach, labels, finite=False)
        known = self.scales.scale_of(unit)
        if scale is None:
            size = _size(low, high, far, known)
            if row_scale is None and known is not None:
                row_scale = self.money_scale / known
        else:
            size = positive(f"the scale of {what}", scale, n)
        var = Variable(
            self.player,
            name,
            dims,
            labels,
            unit,
            low,
            high,
            size,
            self._partner_scale(f"the row scale of {what}", row_scale, size),
            entries(f"the start of {what}", start, labels),
            far,
            meaning,
        )
        self.variables.append(var)
        return var

    # -- constraints ------------------------------------------------------------------------------

    def equality(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v == rhs``; the multiplier is free. Arguments: see `at_least`."""
        return self._constraint(name, *args, equality=True, **kw)

    def at_least(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v >= rhs``; the multiplier is >= 0.

        Parameters
        ----------
        name, dims, labels
            As of a variable.
        terms
            Coefficients by variable; rivals' variables by their key.
        rhs
            Right side, in the rows' unit.
        unit, scale, multiplier_scale
            Unit and magnitude of the data of the rows, and magnitude of their multipliers; if left
            out, that of the first variable, of the terms, and ``money_scale / scale``.
        start, weights, meaning
            Start of the multipliers, see `Constraint`, and the rows in words.
        """
        return self._constraint(name, *args, equality=False, **kw)

    def at_most(self, name: str, *args: Any, **kw: Any) -> Constraint:
        """Add rows ``sum A v <= rhs``; the multiplier is >= 0. Arguments: see `at_least`."""
        what = f"rows {self.player}.{name}"
        kw["terms"] = {v: negative(what, c) for v, c in _by_variable(what, kw.get("terms")).items()}
        kw["rhs"] = negative(f"the right side of {what}", kw.get("rhs", 0.0))
        return self._constraint(name, *args, equality=False, **kw)

    def _constraint(
        self,
        name: str,
        dims: str | Sequence[str] = (),
        labels: Sequence[str | int | Label] = SCALAR,
        *,
        equality: bool,
        terms: Mapping[Variable | str, Coefficient] | None = None,
        rhs: float | FloatArray = 0.0,
        unit: str | None = None,
        scale: float | FloatArray | None = None,
        multiplier_scale: float | FloatArray | None = None,
        start: float | FloatArray = 0.0,
        weights: Mapping[Variable, float] | None = None,
        meaning: str = "",
    ) -> Constraint:
        dims, labels = as_dims(dims), as_labels(labels)
        n = len(labels)
        what = self._new_name(name, dims, labels)
        terms = _by_variable(f"rows {what}", terms)
        own = [v for v in terms if not isinstance(v, str)]
        for v in own:
            self._own(v, f"rows {what}")
        if not terms:
            raise DataError(f"rows {what} name no variable")
        for v, weight in _by_variable(f"weights of rows {what}", weights).items():
            self._own(v, f"rows {what}")
            vector(f"the weight of {v.key} in rows {what}", weight, 1)
        matrices = {v: matrix_of(f"rows {what}, {v.key}", terms[v], n, v.labels) for v in own}
        if unit is None:
            unit = own[0].unit if own else ""
        known = self.scales.scale_of(unit)
        if scale is None:
            scale = _largest(matrices, n)
            if known is not None:
                scale = np.minimum(scale, known)
                if multiplier_scale is None:
                    multiplier_scale = self.money_scale / known
        size = positive(f"the scale of rows {what}", scale, n)
        row = Constraint(
            self.player,
            name,
            dims,
            labels,
            unit,
            matrices,
            entries(f"the right side of rows {what}", rhs, labels),
            equality,
            size,
            self._partner_scale(f"the multiplier scale of rows {what}", multiplier_scale, size),
            vector(f"the start of rows {what}", start, n),
            dict(weights or {}),
            meaning,
            {key: c for key, c in terms.items() if isinstance(key, str)},
        )
        self.constraints.append(row)
        return row

    # -- chores -----------------------------------------------------------------------------------

    def _partner_scale(
        self, what: str, given: float | FloatArray | None, size: FloatArray
    ) -> FloatArray:
        return self.money_scale / size if given is None else positive(what, given, len(size))

    def _new_name(self, name: str, dims: Sequence[str], labels: Sequence[Label]) -> str:
        """Key of a new block; raises DataError where it or one of its labels is there already."""
        key = f"{self.player}.{name}"
        if key in [v.key for v in self.variables] + [c.key for c in self.constraints]:
            raise DataError(f"player {self.player!r} declares {name!r} twice")
        unique_labels(key, labels, dims)
        return key

    def _own(self, variable: Variable, where: str) -> None:
        """Raises DataError where `variable` was not declared by this program."""
        if not any(variable is v for v in self.variables):
            name = variable.key if isinstance(variable, Variable) else quoted(variable)
            raise DataError(
                f"{where} of player {self.player!r} names {name}, which is no variable of that "
                "player",
                advice="declare it with `variable` of the same program",
            )


def _by_variable(what: str, terms: Any) -> Mapping[Any, Any]:
    if terms is not None and not isinstance(terms, Mapping):
        raise DataError(f"{what} are {quoted(terms)}", advice="write {variable: coefficient, ...}")
    return terms or {}


def _size(low: FloatArray, high: FloatArray, far: FloatArray, known: float | None) -> FloatArray:
    """Scale of a variable: of its unit, but no more than its range."""
    size = np.minimum(np.maximum(np.abs(low), np.abs(high)), far)
    size = np.where((size > 0.0) & np.isfinite(size), size, known or 1.0)
    return size if known is None else np.minimum(size, known)


def _largest(matrices: Mapping[Variable, sp.csr_array], rows: int) -> FloatArray:
    """(row,) largest term at the scales of the variables; one where there is none."""
    size = np.zeros(rows)
    for v, matrix in matrices.items():
        if matrix.nnz:
            size = np.maximum(size, (abs(matrix) @ sp.diags_array(v.scale)).max(axis=1).toarray())
    return np.where(size > 0.0, size, 1.0)
