"""A labelled result before it becomes part of a table."""

from __future__ import annotations

from typing import Any, NamedTuple


class Labelled(NamedTuple):
    """A quantity by label: name, dimensions, values in their order, unit, meaning.

    Layers and players hand out their results so; `v2geq.results.tables` joins them.
    """

    name: str
    dims: tuple[str, ...]
    values: Any
    unit: str
    meaning: str
