"""The power flow that a feeder's settings ask for."""

from __future__ import annotations

from v2geq.data.checks.agreement import check_agreement
from v2geq.data.model.feeder import Feeder
from v2geq.errors import DataError
from v2geq.grid.lindistflow import LinDistFlow
from v2geq.grid.network import Network
from v2geq.grid.power_flow import PowerFlow
from v2geq.grid.three_phase import ThreePhase
from v2geq.grid.wires import wires_of


def formulated(
    network: Network, feeder: Feeder, power_scale: float, price_scale: float
) -> PowerFlow:
    """Power flow on the network of a feeder, without losses.

    Raises
    ------
    DataError
        Three phases of a feeder that has none, or whose tables of phases say something else.
    """
    if network.limits.formulation == "single_phase":
        return LinDistFlow(network, power_scale, price_scale)
    if feeder.by_phase is None:
        raise DataError(
            'formulation = "three_phase" needs a feeder by phases',
            where=f"feeder {feeder.name!r}",
            advice="read it from OpenDSS (read_opendss), or give its folder a sub-folder phases",
        )
    check_agreement(feeder)
    wires = wires_of(feeder.by_phase, network)
    return ThreePhase(network, wires, power_scale, price_scale)
