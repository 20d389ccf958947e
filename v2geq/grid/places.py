"""Where on a feeder energy is traded: at buses, or at phases of buses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from v2geq.errors import DataError, quoted
from v2geq.labelled import eye
from v2geq.mcp.block import Label
from v2geq.show import brief


@dataclass(frozen=True)
class Places:
    """Labels of the wheeling market, and how what is traded at a bus is shared by them.

    Attributes
    ----------
    dims, labels : of the market
    load : (label, bus) shares of the load of a bus; of what is balanced where it has none
    balanced : (label, bus) shares of what all phases of a bus share evenly
    phases : by bus, the positions of its labels by phase; empty where phases are not told apart
    """

    dims: tuple[str, ...]
    labels: tuple[Label, ...]
    load: sp.csr_array
    balanced: sp.csr_array
    phases: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)

    __repr__ = brief

    def of(
        self, at: Sequence[int], buses: Sequence[str], phases: Sequence[str] | None = None
    ) -> sp.csr_array:
        """(label, item) shares of what is connected at buses, to some phases or ('') to all.

        Parameters
        ----------
        at, buses
            Position and name of every item's bus.

        Raises
        ------
        DataError
            A phase that a bus does not have.
        """
        shares = sp.csc_array(self.balanced)[:, list(at)]
        if phases is None or not self.phases or not any(phases):
            return sp.csr_array(shares)
        shares = sp.lil_array(shares)
        for k, (bus, own) in enumerate(zip(buses, phases, strict=True)):
            if not own:
                continue
            known = self.phases[bus]
            for phase in own:
                if phase not in known:
                    raise DataError(
                        f"phases = {quoted(own)} at bus {quoted(bus)}, which has "
                        f"{''.join(known)} alone",
                        advice="name phases of the bus",
                    )
            shares[:, [k]] = 0.0
            for phase in own:
                shares[known[phase], k] = 1.0 / len(own)
        return sp.csr_array(shares)


def bus_places(buses: Sequence[str]) -> Places:
    """Buses themselves."""
    whole = eye(len(buses))
    return Places(("bus",), tuple((b,) for b in buses), whole, whole)


def shares(cells: dict[tuple[int, int], float], labels: int, buses: int) -> sp.csr_array:
    """(label, bus) shares from cells."""
    row, column = (np.array([c[k] for c in cells], dtype=np.int64) for k in (0, 1))
    entries = sp.coo_array((list(cells.values()), (row, column)), shape=(labels, buses))
    return sp.csr_array(entries)
