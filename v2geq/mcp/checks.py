"""What may stand in a problem: numbers, bounds, labels; everything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.mcp.block import Label

INFINITE = 1e20
"""Size from which a bound is none."""


def usable_bounds(
    lower: FloatArray, upper: FloatArray, describe: Callable[[int], str]
) -> tuple[FloatArray, FloatArray]:
    """Copies of the bounds, those of size `INFINITE` or more made infinite.

    Raises
    ------
    DataError
        NaN, a lower bound above all numbers, an upper one below all, or bounds that cross;
        `describe` names the entry.
    """
    for what, bound in (("lower", lower), ("upper", upper)):
        for k in np.flatnonzero(np.isnan(bound))[:1].tolist():
            raise DataError(f"the {what} bound of {describe(k)} is not a number")
    for k in np.flatnonzero(lower > upper)[:1].tolist():
        raise DataError(f"bounds of {describe(k)} cross: {lower[k]:g} > {upper[k]:g}")
    for what, bound, sign, none in (("lower", lower, 1, "-inf"), ("upper", upper, -1, "inf")):
        for k in np.flatnonzero(sign * bound >= INFINITE)[:1].tolist():
            raise DataError(
                f"the {what} bound of {describe(k)} is {bound[k]:g}, which no value keeps",
                advice=f"write {none} for no bound",
            )
    return (
        np.where(lower <= -INFINITE, -np.inf, lower),
        np.where(upper >= INFINITE, np.inf, upper),
    )


def real_numbers(what: str, value: Any) -> FloatArray:
    """`value` as an array of floats; raises DataError for text, complex numbers and the like."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} is no array of numbers: {error}") from error
    if array.dtype.kind in "biuf":
        return array.astype(float)
    if array.dtype.kind == "O":
        try:
            return array.astype(float)
        except (TypeError, ValueError):
            pass
    kind = "complex numbers" if array.dtype.kind == "c" else f"values of type {array.dtype}"
    raise DataError(f"{what} holds {kind}; it must hold real numbers")


def vector(what: str, value: Any, n: int, *, finite: bool = True) -> FloatArray:
    """`value` as n floats, a scalar repeated; raises DataError where it is anything else."""
    array = real_numbers(what, value)
    if array.ndim and array.shape != (n,):
        raise DataError(f"{what} has shape {array.shape}, expected ({n},)")
    array = np.ascontiguousarray(np.broadcast_to(array, (n,)))
    wrong = np.flatnonzero(~np.isfinite(array) if finite else np.isnan(array))
    if wrong.size:
        k = int(wrong[0])
        raise DataError(f"{what} is {array[k]:g} at entry {k}; it must be a number")
    return array


def positive(what: str, value: Any, n: int) -> FloatArray:
    """`value` as n finite numbers above zero, a scalar repeated; raises DataError otherwise."""
    numbers = vector(what, value, n)
    for k in np.flatnonzero(numbers <= 0.0)[:1].tolist():
        raise DataError(f"{what} is {numbers[k]:g}; it must be a finite number above zero")
    return numbers


def unique_labels(what: str, labels: Sequence[Label], dims: Sequence[str]) -> None:
    """Raises DataError where labels repeat or have another number of parts than `dims`."""
    if len(set(labels)) == len(labels) and set(map(len, labels)) <= {len(dims)}:
        return
    seen: set[Label] = set()
    for label in labels:
        name = "[" + ", ".join(map(str, label)) + "]"
        if len(label) != len(dims):
            raise DataError(f"{what}{name} has {len(label)} labels for the dimensions {dims}")
        if label in seen:
            raise DataError(f"{what}{name} is declared twice")
        seen.add(label)
