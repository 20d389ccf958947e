"""Costs that players state: proved, or at least seen, convex on the range of their variable."""

from __future__ import annotations

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.mcp.checks import real_numbers
from v2geq.mcp.curves import Curve
from v2geq.mcp.expression import Expression
from v2geq.mcp.terms import Variable

FLAT = 1e-12
"""Share of the largest curvature up to which a negative one is rounding."""


def formula(variable: Variable, text: str) -> Expression:
    """A formula in x, proved convex on the range of every entry."""
    curve = Expression.parse(text, variable="x", parameters={}, where=f"the cost of {variable.key}")
    far = farthest(variable)
    low, high = np.maximum(variable.lower, -far), np.minimum(variable.upper, far)
    for start, end in dict.fromkeys(zip(low.tolist(), high.tolist(), strict=True)):
        if np.isinf(start) or np.isinf(end):
            raise unbounded(variable)
        curve.check_convex(start, end, unit=variable.unit)
    return curve


def price_formula(variable: Variable, text: str) -> Expression:
    """A formula in x, proved to fall and to leave the seller's profit concave up to its reach."""
    where = f"the price of {variable.key}"
    curve = Expression.parse(text, variable="x", parameters={}, where=where)
    far = _most_sold(variable)
    curve.check_inverse_demand(far)
    return curve


def check_price(variable: Variable, curve: Curve) -> None:
    """Raises DataError where a price rises, or leaves the seller's profit not concave."""
    far = _most_sold(variable)
    for share in np.linspace(0.0, 1.0, 201):
        x = share * far
        first, bend = curve.first(x), x * np.abs(curve.second(x))
        for k in np.flatnonzero(~((first < 0.0) & (2.0 * first + bend <= -FLAT * first)))[:1]:
            raise DataError(
                f"the price of {variable.key} does not fall, or bends too much for a concave "
                f"profit, at {x[k]:g} {variable.unit}"
            )


def _most_sold(variable: Variable) -> FloatArray:
    far = farthest(variable)
    if (variable.lower < 0.0).any():
        raise DataError(f"{variable.key} is sold at a price it moves, and may be below zero")
    if np.isinf(far).any():
        raise unbounded(variable)
    return far


def check_convex(variable: Variable, curve: Curve) -> None:
    """Raises DataError where a curve bends down somewhere on the range of its variable."""
    far = farthest(variable)
    low, high = np.maximum(variable.lower, -far), np.minimum(variable.upper, far)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise unbounded(variable)
    check_curve(variable, curve)
    for share in np.linspace(0.0, 1.0, 201):
        x = low + share * (high - low)
        bend = curve.second(x)
        for k in np.flatnonzero(~(bend >= -FLAT * np.abs(curve.first(x))))[:1].tolist():
            raise DataError(
                f"the cost of {variable.key} is not convex at {x[k]:g} {variable.unit}: its second "
                f"derivative is {bend[k]:g}"
            )


def check_curve(variable: Variable, curve: Curve) -> None:
    """Raises DataError where a curve is none, or has more or fewer entries than its variable."""
    what = f"the curve of {variable.key}"
    begin = np.clip(variable.start, variable.lower, variable.upper)
    for name in ("value", "first", "second"):
        if not callable(getattr(curve, name, None)):
            raise DataError(f"{what} has no function {name!r}", advice="write a formula in x")
        with np.errstate(all="ignore"):
            try:
                shape = real_numbers(what, getattr(curve, name)(begin)).shape
            except ValueError as error:
                raise DataError(f"{what} does not fit it: {error}") from error
        if shape != begin.shape:
            raise DataError(f"{what} returns shape {shape}, not {begin.shape}")


def principal_parts(what: str, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues above zero of a symmetric matrix, and their vectors, (entry, part).

    Raises
    ------
    DataError
        A matrix that is not positive semidefinite.
    """
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if values.min() < -FLAT * np.abs(values).max():
        raise DataError(f"{what} is not convex: its matrix has the eigenvalue {values.min():g}")
    bent = values > FLAT * np.abs(values).max()
    return values[bent], vectors[:, bent]


def farthest(variable: Variable) -> FloatArray:
    """Largest magnitude every entry can have: by its bounds, else by its reach."""
    bounds = np.maximum(np.abs(variable.lower), np.abs(variable.upper))
    return np.minimum(bounds, variable.reach)


def unbounded(variable: Variable) -> DataError:
    return DataError(
        f"{variable.key} has no bound, and no reach",
        advice="give bounds, or reach= the largest magnitude it can have in any state",
    )
