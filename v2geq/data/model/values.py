"""What one value may be: type, unit, range; and the checks that enforce it."""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from typing import Any, get_type_hints

from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.show import MONEY, money

# where a value came from, in words; a function where the words are only needed for an error
Where = str | Callable[[], str]

BASES = ("measured", "cited", "assumed")
LARGEST = 1e15
"""Largest size of a number in a case: products of a few such numbers are still finite."""
LEAST = 1e-12
"""Least number where it must be above zero: quotients of such numbers are still finite."""
NAME_LENGTH = 100
"""Most letters of a name; names become parts of file names."""

_LONGEST_CURRENCY = 8
_INTEGER = re.compile(r"[+-]?\d+\Z")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class ValueSpec:
    """Name, type, unit and range of one value.

    Attributes
    ----------
    name : column or setting
    kind : 'float', 'int', 'bool' or 'text'
    unit : unit of the value; empty for ratios and texts
    lower, upper : range; `strict` makes `lower` an open bound
    choices : values a text may take; empty for any
    required : whether the value must be given
    default : value taken when it is not given
    default_of : column whose values are taken when this one is not given
    unknown : whether nan may stand for a number nobody knows, but not in a file
    longest : most letters of a text; least : least number where the open bound is zero
    even : whether a whole number must be
    """

    name: str
    kind: str
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    strict: bool = False
    choices: tuple[str, ...] = ()
    required: bool = True
    default: Any = None
    default_of: str = ""
    unknown: bool = False
    longest: int = 10_000
    least: float = LEAST
    even: bool = False

    def priced(self, currency: str) -> ValueSpec:
        """The same in a currency."""
        return replace(self, unit=money(self.unit, currency))

    def parse(self, text: str, where: Where) -> Any:
        """Value written as `text` in a table cell; raises DataError naming the place `where`."""
        value: Any = text
        if self.kind == "float":
            value = _number(self, text, where)
        elif self.kind == "int":
            if not _INTEGER.match(text) or len(text) > 18:
                raise DataError(
                    f"{self.name} = {quoted(text)} is not a whole number",
                    where=in_words(where),
                    advice="write digits only, at most 17, for example 12",
                )
            value = int(text)
        elif self.kind == "bool":
            if text.lower() not in _TRUTH:
                raise DataError(
                    f"{self.name} = {quoted(text)} is neither true nor false",
                    where=in_words(where),
                    advice="write true or false",
                )
            value = _TRUTH[text.lower()]
        return self.check(value, where)

    def check(self, value: Any, where: Where) -> Any:
        """Value as the declared Python type; raises DataError naming the place `where`."""
        value = _plain(value)
        if self.unknown and isinstance(value, float) and math.isnan(value):
            return value
        value = _typed(self, value, where)
        if self.kind in ("float", "int"):
            _check_range(self, value, where)
        elif self.kind == "text":
            _check_text(self, value, where)
        if self.choices and value not in self.choices:
            raise DataError(
                f"{self.name} = {quoted(value)} is not one of {', '.join(self.choices)}",
                where=in_words(where),
                advice=did_you_mean(str(value), self.choices),
            )
        return value

    @property
    def range(self) -> str:
        """Values it may take, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        parts = []
        if self.lower is not None:
            parts.append(f"{'above' if self.strict else 'at least'} {self.lower:g}")
        if self.upper is not None:
            parts.append(f"at most {self.upper:g}")
        if self.even:
            parts.append("even")
        return ", ".join(parts)

    def stand_in(self, value: Any) -> Any:
        """What stands for a value that cannot be used, so that other mistakes are found too."""
        if self.kind == "float":
            return math.nan
        if self.kind == "text":
            known = not self.choices or value in self.choices
            return value if isinstance(value, str) and known else self.default or ""
        return False if self.kind == "bool" else self.default or 0


def setting(
    unit: str,
    text: str,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    strict: bool = False,
    choices: tuple[str, ...] = (),
    even: bool = False,
) -> Any:
    """Declare one scalar setting with its unit, meaning, default and range.

    `strict` makes `lower` an open bound; `choices` lists the values a text setting may take.
    """
    meta = dict(unit=unit, text=text, lower=lower, upper=upper, strict=strict, choices=choices)
    meta |= {"even": even}
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=meta)
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


def setting_specs(cls: Any, currency: str = MONEY) -> dict[str, ValueSpec]:
    """Specs of the scalar settings of the class `cls` by name, read from its attribute table."""
    return _specs_of(cls, currency)


def is_currency(name: Any) -> bool:
    """Whether a text may stand for money in units: a few letters or currency signs."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_CURRENCY
        and all(c.isalpha() or c == "." or unicodedata.category(c) == "Sc" for c in name)
    )


def currency_told(given: Any, name: str = "currency") -> str:
    """Currency in a table of settings, read before the values in it; the usual one if unusable."""
    told = given.get(name) if isinstance(given, Mapping) else None
    told = told.get("value") if isinstance(told, Mapping) else told
    return str(told) if is_currency(told) else MONEY


@cache
def _specs_of(cls: Any, currency: str) -> dict[str, ValueSpec]:
    hints = get_type_hints(cls)
    kinds = {float: "float", int: "int", bool: "bool", str: "text"}
    return {
        f.name: _setting_spec(f, kinds[hints[f.name]]).priced(currency)
        for f in fields(cls)
        if hints[f.name] in kinds
    }


def _setting_spec(f: Field[Any], kind: str) -> ValueSpec:
    required = f.default is MISSING
    declared = {name: value for name, value in f.metadata.items() if name != "text"}
    default = None if required else f.default
    return ValueSpec(f.name, kind, required=required, default=default, **declared)


def in_words(where: Where) -> str:
    """Words of a place."""
    return where if isinstance(where, str) else where()


def _plain(value: Any) -> Any:
    # numpy scalars (of sweeps, of frames) stand for the Python value they hold
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _number(spec: ValueSpec, text: str, where: Where) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if "_" in text or not text.isascii() or not math.isfinite(value):
        comma = re.fullmatch(r"[+-]?\d+,\d+", text)
        raise DataError(
            f"{spec.name} = {quoted(text)} is not a finite number",
            where=in_words(where),
            advice="use a decimal point, not a comma" if comma else "write a plain number",
        )
    return value


def _typed(spec: ValueSpec, value: Any, where: Where) -> Any:
    wanted = {"float": "a number", "int": "a whole number", "bool": "true or false", "text": "text"}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if spec.kind == "float" and number:
        if abs(value) > sys.float_info.max or value != value:
            raise DataError(
                f"{spec.name} = {quoted(value)} is not finite",
                where=in_words(where),
                advice="for 'no limit' write a large number, such as 1e9",
            )
        if abs(value) > LARGEST:
            raise DataError(
                f"{spec.name} = {quoted(value)} is beyond {LARGEST:g}",
                where=in_words(where),
                advice="for 'no limit' write 1e9, else check the unit",
            )
        return float(value)
    matches = {
        "int": number and isinstance(value, int) and abs(value) < 2**63,
        "bool": isinstance(value, bool),
        "text": isinstance(value, str),
    }
    if matches.get(spec.kind, False):
        return str(value) if spec.kind == "text" else value
    unit = f" (unit {spec.unit})" if spec.unit else ""
    raise DataError(
        f"{spec.name} = {quoted(value)} is {_kind(value)}",
        where=in_words(where),
        advice=f"{spec.name} must be {wanted[spec.kind]}{unit}",
    )


def _kind(value: Any) -> str:
    """Type of a value in words of files rather than of Python."""
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    words |= {list: "a list", tuple: "a list", dict: "a table"}
    return words.get(type(value), f"of type {type(value).__name__}")


def _check_text(spec: ValueSpec, value: str, where: Where) -> None:
    if not value.isprintable():
        raise DataError(
            f"{spec.name} = {quoted(value)} holds a character that cannot be shown",
            where=in_words(where),
            advice="use letters, digits and signs only, on one line",
        )
    if len(value) > spec.longest:
        raise DataError(
            f"{spec.name} = {quoted(value)} has {len(value)} letters",
            where=in_words(where),
            advice=f"give at most {spec.longest}",
        )


def _check_range(spec: ValueSpec, value: float, where: Where) -> None:
    unit = f" {spec.unit}" if spec.unit else ""
    low, high = spec.lower, spec.upper
    if low is not None and (value <= low if spec.strict else value < low):
        bound = f"above {low:g}" if spec.strict else f"at least {low:g}"
    elif high is not None and value > high:
        bound = f"at most {high:g}"
    elif low == 0.0 and spec.strict and value < spec.least:
        bound = f"at least {spec.least:g}"
    elif spec.even and value % 2:
        bound = "even"
    else:
        return
    raise DataError(
        f"{spec.name} = {quoted(value)}{unit} is out of range",
        where=in_words(where),
        advice=f"{spec.name} must be {bound}{unit}",
    )
