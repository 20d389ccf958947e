"""Supply that the operator buys, whatever the formulation: by the TSO, and reactive by players."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.data.model.settings import SubstationSettings
from v2geq.grid.places import Places
from v2geq.grid.power_flow import OPERATOR
from v2geq.labelled import Labelled, column, whole
from v2geq.mcp.program import Program
from v2geq.mcp.terms import Variable
from v2geq.show import brief

_BOUGHT, _SOLD, _REACTIVE, _KVAR = "p_tso", "p_feed", "q_tso", "q_bought"


class Supply(NamedTuple):
    """Purchase and, where it has a price of its own, sale, kW; reactive supply, kvar."""

    purchase: Variable
    sale: Variable | None
    reactive: Variable

    def __repr__(self) -> str:
        return brief(self)


def state_supply(
    program: Program, tso: SubstationSettings, power_scale: float, reach: float, kvar_reach: float
) -> Supply:
    """Add what the TSO supplies to the operator's program."""
    kw: dict[str, Any] = {"unit": "kW", "scale": power_scale}
    purchase = program.variable(
        _BOUGHT,
        **kw,
        lower=max(tso.import_min, 0.0) if sells(tso) else tso.import_min,
        upper=tso.import_max,
        reach=reach,
        meaning="bought from the TSO (p_TSO)",
    )
    sale = None
    if sells(tso):
        meaning = "sold to the TSO (p_feed)"
        sale = program.variable(_SOLD, **kw, upper=tso.export_max, reach=reach, meaning=meaning)
    reactive = program.variable(
        _REACTIVE,
        unit="kvar",
        scale=power_scale,
        lower=tso.reactive_min,
        upper=tso.reactive_max,
        reach=kvar_reach,
        meaning="reactive supply of the TSO (q_TSO)",
    )
    return Supply(purchase, sale, reactive)


def state_purchase(
    program: Program, places: Places, at: IntArray, most: FloatArray
) -> Variable | None:
    """Add what is bought of players, kvar; None where they have nothing to sell.

    Parameters
    ----------
    at
        Positions of places where it is bought.
    most
        Most that they could sell or buy, by energised bus.
    """
    if not len(at):
        return None
    return program.variable(
        _KVAR,
        places.dims,
        [places.labels[k] for k in at],
        unit="kvar",
        lower=-np.inf,
        # twice it: what nobody sells is no limit either
        reach=2.0 * float(most.sum()),
        meaning="reactive power bought of players (q_buy)",
    )


def bought_kvar(program: Program) -> Variable | None:
    """What is bought of players, kvar."""
    return program[_KVAR] if _KVAR in program else None  # noqa: SIM401


def purchase_parts(places: sp.csr_array) -> dict[str, sp.csr_array]:
    """What is bought of players by bus, from that by place; empty where nothing is."""
    return {f"{OPERATOR}.{_KVAR}": places} if places.shape[1] else {}


def sells(tso: SubstationSettings) -> bool:
    """Whether sale to the TSO is apart from purchase: at one price one variable says both."""
    return tso.export_max > 0.0 and tso.feed_in_price < tso.price


def bought_kw(tso: SubstationSettings, values: Mapping[str, FloatArray]) -> float:
    """Real power bought from the TSO less what is sold to it, kW."""
    sold = values[f"{OPERATOR}.{_SOLD}"][0] if sells(tso) else 0.0
    return float(values[f"{OPERATOR}.{_BOUGHT}"][0] - sold)


def supply_results(tso: SubstationSettings, values: Mapping[str, FloatArray]) -> Iterator[Labelled]:
    """Import and reactive supply."""
    meaning, sold = "bought from the TSO", {}
    if sells(tso):
        meaning, sold = f"{meaning} less sold to it", {f"{OPERATOR}.{_SOLD}": column([-1.0])}
    bought = {f"{OPERATOR}.{_BOUGHT}": column([1.0]), **sold}
    kw = np.array(bought_kw(tso, values))
    yield Labelled("tso_import_kw", (), kw, "kW", meaning, parts=bought)
    meaning = "reactive supply of the TSO"
    key = f"{OPERATOR}.{_REACTIVE}"
    yield whole("tso_reactive_kvar", (), key, values, "kvar", meaning)
