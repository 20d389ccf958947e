"""Named index blocks of a mixed complementarity problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from v2geq.errors import DataError, quoted
from v2geq.show import brief

Label = tuple[str, ...]


def as_labels(names: Iterable[str | int | Label] | str | int) -> tuple[Label, ...]:
    """Labels as tuples of text, from those of an index or a single one."""
    if isinstance(names, (str, Integral)):
        names = (str(names),)
    if not isinstance(names, Iterable):
        raise DataError(f"{quoted(names)} is no list of labels", advice='for example ["76", "65"]')
    labels: tuple[Any, ...] = tuple(
        tuple(n) if isinstance(n, (tuple, list)) else (n,) for n in names
    )
    if {type(part) for label in labels for part in label} <= {str}:
        return labels
    if any(part is None for label in labels for part in label):
        raise DataError("a label is None")
    return tuple(tuple(map(str, label)) for label in labels)


def as_dims(names: Any) -> tuple[str, ...]:
    """Names of dimensions as a tuple, from several or one."""
    dims = (names,) if isinstance(names, str) else names
    if not isinstance(dims, Sequence) or not all(isinstance(d, str) and d for d in dims):
        raise DataError(f"{quoted(names)} is no name of a dimension", advice='for example "bus"')
    if len(set(dims)) < len(dims):
        raise DataError(f"the dimensions {quoted(names)} repeat")
    return tuple(dims)


@dataclass(frozen=True)
class Block:
    """A contiguous run of variables and of the rows they are paired with.

    Attributes
    ----------
    name
        ``owner.quantity``, for example ``dso.p_line``.
    dims, labels
        Dimension names and one label tuple per entry; a scalar has ``dims == ()``.
    unit, row_unit
        Units of the variable and of its row of F. Their product is $/h.
    start, stop
        Position in z.
    meaning
        The row in words.
    """

    name: str
    dims: tuple[str, ...]
    labels: tuple[Label, ...]
    unit: str
    row_unit: str
    start: int
    stop: int
    meaning: str = ""

    __repr__ = brief

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)

    def describe(self, position: int) -> str:
        """Name of the entry at `position` of z, for example ``dso.p_line[l12]``."""
        label = self.labels[position - self.start]
        return f"{self.name}[{', '.join(label)}]" if label else self.name


def find_block(blocks: Sequence[Block], position: int) -> Block:
    """The block that holds entry `position` of z."""
    for block in blocks:
        if block.start <= position < block.stop:
            return block
    raise IndexError(position)


def paired_unit(unit: str) -> str:
    """Unit of the partner of a quantity in `unit`: together they make $/h."""
    known = {"kW": "$/kWh", "kvar": "$/kvarh", "pu2": "$/h/pu2"}
    reverse = {b: a for a, b in known.items()}
    if unit in known or unit in reverse:
        return known.get(unit) or reverse[unit]
    # a rate has the price of what flows, and a price the rate of what it is paid for
    if unit.endswith("/h"):
        return f"$/{unit.removesuffix('/h')}"
    return f"{unit.removeprefix('$/')}/h" if unit.startswith("$/") else f"$/h per {unit}"
