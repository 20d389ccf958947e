"""A labelled result before it becomes part of a table."""

from __future__ import annotations

from typing import Any, NamedTuple

from v2geq.arrays import FloatArray


class Labelled(NamedTuple):
    """A quantity by label: name, dimensions, values in their order, unit, meaning.

    Layers and players hand out their results so; `v2geq.results.tables` joins them.
    """

    name: str
    dims: tuple[str, ...]
    values: Any
    unit: str
    meaning: str


class LinearResult(NamedTuple):
    """A result, by its name in the tables, that is linear in one block, entry by entry.

    `values` are the result's, `slope` its change per unit of the block; `scale` is what differences
    are compared with. `v2geq.results.uniqueness` asks for them.
    """

    name: str
    block: str
    values: FloatArray
    slope: FloatArray
    scale: float
