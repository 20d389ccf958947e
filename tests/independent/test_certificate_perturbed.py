"""The certificate must fail, by the right figure, where the point is moved off the equilibrium."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
from cases import fuel_only, make_case, make_feeder
from test_closed_forms import detour, two_buses
from test_potential import busy

import v2geq as vg
from v2geq.certificates.market import certify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    """Queues, binding lines, charging and discharging, two classes, two LSEs."""
    eq = vg.solve(busy(), v2g=True)
    # or a price could move within its interval and still be one of an equilibrium
    assert (eq.discharge_traded == 1).all()
    assert (eq.charge_traded == 1).all()
    return eq


def moved(eq: vg.Equilibrium, **changes):
    """Certificate with entries changed: block ("." as "__") -> {position: by how much}."""
    values = {k: v.copy() for k, v in eq.values.items()}
    for name, entries in changes.items():
        for k, by in entries.items():
            values[name.replace("__", ".")][k] += by
    return certify(eq.coupled, eq.coupled.mcp.join(values))[0]


def broken(certificate) -> set[str]:
    return {figure.name for figure in certificate.figures if not figure.holds}


def test_certificate_holds_unmoved(eq) -> None:
    assert not broken(moved(eq))


PRICES = [
    ("charge_price", 0, {"natural_residual"}),
    ("purchase_price", 1, {"natural_residual", "regret"}),
    ("discharge_price", 0, {"natural_residual"}),
    ("resale_price", 0, {"natural_residual", "regret"}),
    ("tso_price", 0, {"natural_residual", "regret"}),
    ("wheeling_price", 2, {"natural_residual", "regret", "parts_gap"}),
    ("lse__A__energy", 0, {"natural_residual"}),
    ("dso__balance", 1, {"natural_residual"}),
    ("dso__voltage_drop", 1, {"natural_residual"}),
    ("drivers__arc_time", 2, {"natural_residual"}),
    ("drivers__demand_ev", 0, {"natural_residual"}),
    ("cno__net_upper", 0, {"natural_residual"}),
]


@pytest.mark.parametrize(("block", "at", "figures"), PRICES)
@pytest.mark.parametrize("by", [1e-3, -1e-3])
def test_certificate_price_moved(eq, block, at, figures, by) -> None:
    if block == "cno__net_upper":
        by = abs(by)
    assert figures <= broken(moved(eq, **{block: {at: by}}))


QUANTITIES = [
    ("cno__charge", {"market_mismatch_kw", "natural_residual"}),
    ("cno__discharge", {"market_mismatch_kw", "natural_residual"}),
    ("dso__withdrawal", {"market_mismatch_kw", "natural_residual"}),
    ("dso__p_tso", {"market_mismatch_kw", "natural_residual"}),
    ("lse__A__sales", {"market_mismatch_kw", "natural_residual"}),
    ("lse__B__generation", {"market_mismatch_kw", "natural_residual"}),
    ("lse__A__import", {"market_mismatch_kw", "natural_residual"}),
    ("lse__A__to_station", {"market_mismatch_kw", "natural_residual"}),
    ("lse__B__from_station", {"market_mismatch_kw", "natural_residual"}),
    ("dso__p_line", {"natural_residual"}),
    ("dso__q_line", {"natural_residual"}),
    ("drivers__arc_flow", {"natural_residual"}),
    ("drivers__station_flow", {"natural_residual"}),
    ("drivers__flow_ev", {"natural_residual"}),
    ("drivers__flow_fv", {"natural_residual"}),
]


@pytest.mark.parametrize(("block", "figures"), QUANTITIES)
def test_certificate_quantity_moved(eq, block, figures) -> None:
    assert figures <= broken(moved(eq, **{block: {0: 0.1}}))


def test_certificate_root_row(eq) -> None:
    """The root's balance, which the gauge takes out of the problem, is checked all the same."""
    certificate = moved(eq, dso__withdrawal={0: 1.0}, dso__p_tso={0: 1.0}, lse__A__import={0: 1.0})
    assert "market_mismatch_kw" in broken(certificate)


def test_certificate_limits_broken(eq) -> None:
    assert "voltage_violation_pu" in broken(moved(eq, dso__v_squared={1: 0.5}))
    assert "rating_violation_kva" in broken(moved(eq, dso__p_line={0: 500.0}))
    assert "bound_violation" in broken(moved(eq, lse__A__shed={0: -1.0}))
    assert "bound_violation" in broken(moved(eq, lse__A__generation={0: 500.0}))


def test_certificate_accounts_open(eq) -> None:
    """Energy that is withdrawn and used by nobody is paid by nobody."""
    at = int(np.argmax(np.abs(eq.values["wheeling_price"])))
    assert "account_gap" in broken(moved(eq, dso__withdrawal={at: 10.0}))


def test_regret_driver_moved(eq) -> None:
    """Trips moved from one path to a dearer one: gap and regret are flow x difference of cost."""
    eq = vg.solve(eq.original, eq.scenario.name, parameters={"paths.method": "enumerate"})
    table = eq.paths("ev")
    od = table[(table["origin"] == "1") & (table["destination"] == "4")]
    dear, cheap = od["cost"].idxmax(), od["flow_veh_h"].idxmax()
    worse = od.loc[dear, "cost"] - od.loc[cheap, "cost"]
    assert worse > 0.02
    k, j = table.index.get_loc(dear), table.index.get_loc(cheap)
    # the flows alone: x and n, and with them all costs, stay as they are
    certificate = moved(eq, drivers__flow_ev={k: 0.5, j: -0.5})
    assert {"wardrop_gap", "natural_residual"} <= broken(certificate)
    assert certificate.regrets.loc["drivers.ev", "relative"] > certificate["regret"].limit
    assert certificate.regrets.loc["drivers.ev", "regret"] == pytest.approx(0.5 * worse, rel=1e-6)


def test_regret_lse_moved() -> None:
    """10 kW imported instead of generated, at 0.08 against 0.05 + 0.001 g: 0.05 $/h lost."""
    eq = vg.solve(two_buses(1000.0))
    certificate = moved(eq, lse__A__generation={0: -10.0}, lse__A__import={0: 10.0})
    assert certificate.regrets.loc["lse.A", "regret"] == pytest.approx(5e-4 * 100, rel=1e-5)
    assert "regret" in broken(certificate)


def test_regret_dso_moved() -> None:
    """10 kW less through the full line at a price difference of 0.03 $/kWh: 0.30 $/h lost."""
    eq = vg.solve(two_buses(40.0))
    certificate = moved(
        eq, dso__p_line={0: -10.0}, dso__p_tso={0: -10.0}, dso__withdrawal={1: -10.0}
    )
    assert certificate.regrets.loc["dso", "regret"] == pytest.approx(0.30, rel=1e-6)
    assert "regret" in broken(certificate)


def test_regret_cno_moved() -> None:
    """20 kW sold less at a margin of nu_up."""
    eq = vg.solve(detour(charge_max_kw=100.0), v2g=False)
    certificate = moved(eq, cno__charge={0: -20.0})
    nu = eq.values["cno.net_upper"][0]
    assert certificate.regrets.loc["cno", "regret"] == pytest.approx(20 * nu, rel=1e-6)
    assert "regret" in broken(certificate)


def test_regret_cournot_moved() -> None:
    """A seller q off its optimum loses b q^2."""
    case = fuel_only(
        feeder=make_feeder({"r-a": {}}, {"a": 100.0}),
        lses={"A": 0.5, "B": 0.5},
        generators={},
        firm_share=0.0,
    )
    eq = vg.solve(case)
    certificate = moved(eq, lse__A__sales={0: 5.0}, lse__A__import={0: 5.0})
    b = 0.15 / (0.5 * 100.0)
    assert certificate.regrets.loc["lse.A", "regret"] == pytest.approx(b * 25.0, rel=1e-6)


def test_certificate_missing_path_is_seen() -> None:
    """Exact paths: a cheaper path outside the list is a regret of the drivers."""

    from v2geq.market.coupling import couple
    from v2geq.scenario import resolve
    from v2geq.solvers.interior_point import interior_point
    from v2geq.trips.traffic import traffic

    case = make_case()
    scenario = resolve(case, "base", v2g=False)
    slow = [
        p
        for p in vg.solve(case.with_parameters({"road.arcs.1-3.free_flow_min": 1.0}), v2g=False)
        .coupled.traffic.paths["ev"]
        .paths
        if len(p.arcs) == 1
    ]
    coupled = couple(scenario, traffic(scenario).with_paths({"ev": slow}))
    z = interior_point(coupled.mcp).z
    certificate = certify(coupled, z)[0]
    assert certificate.wardrop_gap <= 1e-12
    assert certificate.wardrop_gap_all_paths > 0.05
    assert "regret" in broken(certificate)


# -- files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(eq, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "eq.nc"
    eq.save(path)
    return path


def edited(file, tmp_path, change) -> vg.Equilibrium:
    copy = tmp_path / "edited.nc"
    copy.write_bytes(file.read_bytes())
    with netCDF4.Dataset(copy, "r+") as data:
        change(data)
    return vg.load(copy)


def test_file_round_trip(eq, file) -> None:
    back = vg.load(file)
    assert back.certificate.holds, back.certificate
    assert np.array_equal(back.z, eq.z)
    assert back.data.identical(eq.data)


@pytest.mark.parametrize(
    "name",
    [
        "dlmp", "shed_kw", "charge_kw", "discharge_price", "flow_veh_h", "generation_kw",
        "cost_ev", "voltage_pu", "theta", "tso_import_kw",
    ],
)  # fmt: skip
def test_file_edited_result(file, tmp_path, name) -> None:
    def change(data) -> None:
        v = data[name]
        v[...] = v[...] * 1.001 + 0.01

    certificate = edited(file, tmp_path, change).certificate
    assert not certificate.holds
    assert any(name in text for text in certificate.failures)


@pytest.mark.parametrize(
    "name",
    ["z.dso.p_line", "z.wheeling_price", "z.drivers.flow_ev", "z.lse.A.generation", "z.cno.charge"],
)
def test_file_edited_strategy(file, tmp_path, name) -> None:
    def change(data) -> None:
        v = data[name]
        v[...] = np.asarray(v[...]) + 0.01

    assert not edited(file, tmp_path, change).certificate.holds


def test_file_edited_status_and_case(file, tmp_path) -> None:
    def stalled(data) -> None:
        data.setncattr("status", "stalled")

    assert not edited(file, tmp_path, stalled).certificate.holds

    def dearer(data) -> None:
        data.setncattr("case", data.getncattr("case").replace('"price": 0.08', '"price": 0.09'))

    assert not edited(file, tmp_path, dearer).certificate.holds


def test_file_edited_paths(file, tmp_path) -> None:
    """Energies of stops in the file are not free to be changed."""

    def change(data) -> None:
        name = next(v for v in data.variables if v.endswith("ev.stop_energy_kwh"))
        data[name][...] = np.asarray(data[name][...]) * 1.5

    try:
        eq = edited(file, tmp_path, change)
    except vg.DataError:
        return
    assert not eq.certificate.holds
