"""Named index blocks of a mixed complementarity problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Label = tuple[str, ...]


def as_labels(names: Iterable[str | int | Label]) -> tuple[Label, ...]:
    """Labels of a one-dimensional index as tuples."""
    return tuple(n if isinstance(n, tuple) else (str(n),) for n in names)


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
