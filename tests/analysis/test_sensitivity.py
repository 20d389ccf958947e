"""Derivatives by implicit differentiation against solutions with changed data."""

from __future__ import annotations

import numpy as np
import pytest

import v2geq as vg
from v2geq.equilibrium import Equilibrium
from v2geq.errors import DataError

pytestmark = pytest.mark.slow

CASE = "ieee123_sioux_falls_binding"


@pytest.fixture(scope="module")
def eq() -> Equilibrium:
    return vg.solve(vg.load_case(CASE), "stress", v2g=True)


def by_differences(eq: Equilibrium, of: str, name: str, value: float, step: float) -> np.ndarray:
    up, down = (
        vg.solve(eq.original, "stress", v2g=True, parameters={name: value + s})
        for s in (step, -step)
    )
    return ((up.data[of] - down.data[of]) / (2.0 * step)).to_numpy()


@pytest.mark.parametrize(
    ("of", "name", "value", "step"),
    [
        ("dlmp", "feeder.loads.76.load_kw", 245.0, 0.1),
        ("dlmp", "substation.price", 0.08, 1e-4),
        ("dlmp", "feeder.branches.l13.rating_kva", 1300.0, 0.1),
        ("flow_veh_h", "stations.s12.piles", 40.0, 0.05),
        ("cost_ev", "generators.g66.max_kw", 250.0, 0.1),
        ("cost_ev", "drivers.ev.value_of_time", 12.0, 0.001),
        ("cost_ev", "feeder.root_voltage", 1.0, 1e-6),
        ("flow_veh_h", "road.capacity_factor", 0.1, 1e-6),
    ],
)
def test_derivative_equals_the_difference(
    eq: Equilibrium, of: str, name: str, value: float, step: float
) -> None:
    derivative = eq.sensitivity(of=of, to=name).to_numpy()
    difference = by_differences(eq, of, name, value, step)
    size = np.nanmax(np.abs(difference))
    assert size > 0
    np.testing.assert_allclose(derivative, difference, atol=1e-4 * size, equal_nan=True)


def test_a_whole_column_is_labelled(eq: Equilibrium) -> None:
    table = eq.sensitivity(of="dlmp", to="max_kw")
    assert table.dims == ("bus", "d_generator")
    alone = eq.sensitivity(of="dlmp", to="generators.g66.max_kw")
    np.testing.assert_allclose(
        table.sel(d_generator="g66").to_numpy(), alone.to_numpy(), equal_nan=True
    )
    assert table.attrs["unit"] == "$/kWh per unit of max_kw"
    # more local generation lowers the price of the bus it stands at
    assert float(table.sel(bus="66", d_generator="g66")) < 0


def test_unknown_names_are_refused(eq: Equilibrium) -> None:
    with pytest.raises(DataError, match="did you mean 'dlmp'"):
        eq.sensitivity(of="dlpm", to="voll")
    with pytest.raises(DataError, match="vol"):
        eq.sensitivity(of="dlmp", to="vol")
    with pytest.raises(DataError, match="is not a number"):
        eq.sensitivity(of="dlmp", to="paths.method")


def test_parameters_that_cannot_move_alone_have_no_derivative() -> None:
    eq = vg.solve(vg.load_case("ieee123_sioux_falls"), "base")
    with pytest.raises(DataError, match=r"lses\.A\.portion = 0\.\d+ cannot move by a little"):
        eq.sensitivity(of="dlmp", to="lses.A.portion")
    with pytest.raises(DataError, match="rating_sides must be a whole number"):
        eq.sensitivity(of="dlmp", to="rating_sides")
