"""Values as files and users give them: plain, or with unit, basis and note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from v2geq.data.model.values import BASES, ValueSpec, Where, in_words, is_currency
from v2geq.errors import DataError, did_you_mean, quoted

Basis = tuple[str, str]
_FORM = ("value", "unit", "basis", "note")


def parameter(spec: ValueSpec, raw: Any, where: Where) -> tuple[Any, Basis]:
    """Checked value and (basis, note) of `raw`: a plain value, or `{value, unit, basis, note}`.

    Raises
    ------
    DataError
        Wrong type, unit other than the declared one, value out of range, unknown basis or key.
    """
    if not isinstance(raw, Mapping):
        return spec.check(raw, where), ("assumed", "")
    for key in raw:
        if key not in _FORM:
            raise DataError(
                f"unknown key {quoted(key)} of {spec.name}",
                where=in_words(where),
                advice=did_you_mean(key, _FORM),
            )
    if "value" not in raw:
        raise DataError(
            f"{spec.name} has no value",
            where=in_words(where),
            advice=f"write {spec.name} = {{ value = ..., unit = ..., basis = ..., note = ... }}",
        )
    unit = raw.get("unit", spec.unit)
    if unit != spec.unit:
        raise DataError(
            f"{spec.name} is given in {quoted(unit)}",
            where=in_words(where),
            advice=_other_unit(spec, str(unit)),
        )
    basis = ValueSpec("basis", "text", choices=BASES).check(raw.get("basis", "assumed"), where)
    note = ValueSpec("note", "text").check(raw.get("note", ""), where)
    return spec.check(raw["value"], where), (basis, note)


def _other_unit(spec: ValueSpec, unit: str) -> str:
    """What to do about a value in another unit than its own."""
    if not spec.unit:
        return "it has no unit; drop the key"
    advice = f"convert it to {quoted(spec.unit)}"
    other, _, per = unit.partition("/")
    own, _, same = spec.unit.partition("/")
    if per == same and is_currency(other) and is_currency(own):
        advice += f", or let the case count in it: market.currency = {quoted(other)}"
    return advice


def flatten(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables of changes as dotted names; `{value = ...}` forms stay whole."""
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and "value" not in value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat
