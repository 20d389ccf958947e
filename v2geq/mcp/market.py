"""Markets: a price by label, paired with the sum of all players' net sales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import DataError, quoted
from v2geq.mcp.block import Label, as_dims, as_labels, paired_unit
from v2geq.mcp.checks import positive, unique_labels, vector
from v2geq.show import brief


@dataclass(frozen=True, eq=False)
class Market:
    """One market, with one price or one by label.

    Parameters
    ----------
    name
        By which players sell in it, and name of its price among the results.
    unit
        Of the quantity traded, for example "kg/h"; the price is in $/h per unit.
    dims, labels
        Name of the dimension, or several, and the labels; without them there is one price.
    lower
        -inf: supply equals demand, whatever the price. 0: net sales are at least zero, and the
        price is zero while they are more: a cap that is slack costs nothing.
    scale, row_scale
        Magnitude of prices and of quantities traded; by the traders' if left out.
    start
        First price.
    pinned
        Positions whose prices stay at their start: a gauge, where the rows are linearly dependent
        and only price differences are determined.
    meaning
        The market in words.

    Raises
    ------
    DataError
        Labels and numbers that do not fit.
    """

    name: str
    unit: str
    dims: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ((),)
    lower: float = -np.inf
    scale: float | None = None
    row_scale: float | None = None
    start: float | FloatArray = 0.0
    pinned: Sequence[int] = ()
    meaning: str = ""

    __repr__ = brief

    def __post_init__(self) -> None:
        what = f"market {self.name!r}"
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name.strip():
            raise DataError(f"the name of a market must be a word, not {quoted(self.name)}")
        if not isinstance(self.unit, str) or not self.unit:
            raise DataError(f"{what} needs the unit of what is traded", advice='for example "kg/h"')
        dims, labels = as_dims(self.dims), as_labels(self.labels)
        unique_labels(what, labels, dims)
        if not isinstance(self.lower, (int, float)) or self.lower not in (0.0, -np.inf):
            raise DataError(
                f"{what} has a price of at least {quoted(self.lower)}; "
                "it is free (-inf) or at least 0"
            )
        places = tuple(np.ravel(np.asarray(self.pinned)).tolist())
        if not set(places) <= set(range(len(labels))):
            raise DataError(
                f"{what} pins prices at {places}; its positions are 0 to {len(labels) - 1}"
            )
        for name, given in (("scale", self.scale), ("row scale", self.row_scale)):
            if given is not None:
                positive(f"the {name} of {what}", given, 1)
        start = vector(f"the start of {what}", self.start, len(labels)).copy()
        for name, value in (("dims", dims), ("labels", labels), ("pinned", places)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "start", start)

    @property
    def price_unit(self) -> str:
        """Unit of the price: $/h per unit."""
        return paired_unit(self.unit)
