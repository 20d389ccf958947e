"""Equilibria with losses: AC-feasible, with prices of the AC power flow and closed accounts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases import self_supplied

import v2geq as vg
from v2geq.equilibrium import Equilibrium
from v2geq.errors import ConvergenceError, DataError
from v2geq.market.prices import dlmp_parts

SHIPPED = ("ieee123_sioux_falls", "ieee123_sioux_falls_binding", "ieee123_sioux_falls_reference")


def solved(case: str, scenario: str, losses: bool = True) -> Equilibrium:
    return vg.solve(vg.load_case(case), scenario, parameters={"feeder.losses": losses})


def drawn(eq: Equilibrium) -> np.ndarray:
    """Net withdrawal by bus, kVA."""
    net = eq.coupled.grid.network
    ranged = np.flatnonzero(net.reactive_max > net.reactive_min)
    supply = np.where(net.reactive_max > net.reactive_min, 0.0, net.reactive_min)
    supply[ranged] = eq.values["dso.q_source"]
    return np.asarray(eq.withdrawal_kw + 1j * (net.reactive_kvar - supply))


def sweep(eq: Equilibrium, power: np.ndarray) -> tuple[complex, np.ndarray]:
    """AC power flow of the root's tree in complex numbers: power at the root, voltages."""
    net = eq.coupled.grid.network
    z = (net.lines.r_ohm + 1j * net.lines.x_ohm) / (1000.0 * net.base_kv**2)
    begin, end, ratio = net.lines.from_bus, net.lines.to_bus, net.lines.ratio
    ways = {bus: len(net.way(bus)) for bus in net.buses}
    order = sorted(range(len(z)), key=lambda k: ways[net.buses[end[k]]])
    v = np.full(len(net.buses), net.limits.root_voltage, dtype=complex)
    for _ in range(60):
        current = np.conj(power / v)
        for k in reversed(order):
            current[begin[k]] += ratio[k] * current[end[k]]
        for k in order:
            v[end[k]] = ratio[k] * (v[begin[k]] - z[k] * ratio[k] * current[end[k]])
    return complex(v[0] * np.conj(current[0])), v


@pytest.mark.parametrize("case", SHIPPED)
def test_it_is_ac_feasible(case: str) -> None:
    """A sweep in complex numbers has the equilibrium's voltages and import."""
    eq = solved(case, "stress")
    assert eq.certificate.holds, eq.certificate
    assert eq.certificate.ac_distance_kw < 1e-3
    assert eq.certificate.ac_distance_pu < 1e-6
    root, v = sweep(eq, drawn(eq))
    assert root.real == pytest.approx(float(eq.tso_import_kw), abs=1e-4)
    assert np.allclose(np.abs(v), eq.voltage_pu, rtol=0.0, atol=1e-7)
    plain = solved(case, "stress", losses=False)
    assert "ac_distance_kw" not in [f.name for f in plain.certificate.figures]


def test_prices_are_those_of_the_ac_power_flow() -> None:
    """Without limits that bind, a fee is tau times the marginal loss of the AC power flow."""
    eq = solved("ieee123_sioux_falls_reference", "base")
    assert not any(eq.coupled.grid.binding(eq.values))
    power, tau, step = drawn(eq), float(eq.tso_price), 1.0
    fee = eq.wheeling_price.to_numpy()
    for at in range(1, len(power), 10):
        ends = []
        for sign in (1.0, -1.0):
            moved = power.copy()
            moved[at] += sign * step
            ends.append(sweep(eq, moved)[0].real)
        marginal = (ends[0] - ends[1]) / (2.0 * step)
        assert tau + fee[at] == pytest.approx(tau * marginal, rel=2e-6)


@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
@pytest.mark.parametrize("case", SHIPPED)
def test_parts_add_up(case: str, scenario: str) -> None:
    """With losses and without; islands are priced from their heads."""
    for losses in (True, False):
        eq = solved(case, scenario, losses)
        assert eq.certificate.holds, eq.certificate
        assert eq.certificate.parts_gap < 1e-9
        parts = dlmp_parts(eq.coupled, eq.z)
        total = eq.dlmp_parts.sum(axis=1, skipna=False)
        assert np.allclose(total, eq.dlmp, rtol=0.0, atol=1e-9, equal_nan=True)
        results = np.column_stack([eq.data[f"dlmp_{name}"] for name in eq.dlmp_parts])
        assert np.array_equal(results, eq.dlmp_parts, equal_nan=True)
        dead = list(eq.scenario.dead_buses)
        assert eq.dlmp_parts.index[eq.dlmp_parts.isna().any(axis=1)].tolist() == dead
        for name, detail in (("congestion", eq.congestion_parts), ("voltage", eq.voltage_parts)):
            served = eq.dlmp_parts[name].dropna()
            assert np.allclose(detail.sum(axis=1)[served.index], served, rtol=0.0, atol=1e-12)
        assert (parts.table["scarcity"].abs().max() > 1e-6) == (scenario == "island")
        assert (parts.table["loss"].abs().max() > 1e-6) == losses


def test_who_pays() -> None:
    """The DSO buys what is lost and does not resell it; the accounts close."""
    eq = solved("ieee123_sioux_falls", "stress")
    lost = float(eq.coupled.grid.losses(eq.values).sum())
    bought, resold = float(eq.tso_import_kw), float(eq.import_kw.sum())
    assert lost > 50.0
    assert bought - resold == pytest.approx(lost, abs=1e-5)
    tau, price = float(eq.tso_price), eq.case.substation.price
    own = eq.accounts.items.query("player == 'dso'").groupby("item")["amount"].sum()
    assert own["at tso_price"] == pytest.approx(tau * resold)
    assert own["cost of p_tso"] == pytest.approx(-price * bought)
    assert eq.accounts.social_cost["TSO purchase"] == pytest.approx(price * bought)
    assert abs(eq.accounts.identity_gap) < 1e-8


def test_saved_and_loaded(tmp_path: Path) -> None:
    eq = solved("ieee123_sioux_falls", "stress")
    eq.save(tmp_path / "eq.nc")
    again = vg.load(tmp_path / "eq.nc")
    assert np.array_equal(again.z, eq.z)
    assert again.certificate.holds
    assert again.dlmp_parts.equals(eq.dlmp_parts)
    assert [f.value for f in again.certificate.figures] == [f.value for f in eq.certificate.figures]


def test_other_ways_to_solve() -> None:
    """Legs for paths, a neighbouring start: the same equilibrium."""
    eq = solved("ieee123_sioux_falls", "stress")
    case = vg.load_case("ieee123_sioux_falls").with_parameters({"feeder.losses": True})
    for again in (
        vg.solve(case, "stress", parameters={"paths.form": "legs"}),
        vg.solve(case, "stress", start=solved("ieee123_sioux_falls", "stress", losses=False)),
    ):
        assert again.certificate.holds, again.certificate
        assert np.allclose(again.dlmp, eq.dlmp, rtol=0.0, atol=1e-7)


def test_what_is_not_known_with_losses() -> None:
    eq = solved("ieee123_sioux_falls", "base")
    with pytest.raises(DataError, match="sensitivities with losses"):
        eq.sensitivity(of="dlmp", to="load_kw")


@pytest.mark.parametrize("scenario", ["stress", "island"])
def test_explained(scenario: str) -> None:
    """What a bus, a station and a line are told adds up, losses among it."""
    eq = solved("ieee123_sioux_falls_binding", scenario)
    bus = str(eq.dlmp.to_series().idxmax())
    told = eq.explain(bus=bus)
    assert "losses add" in told.text
    dlmp, energy = (float(x.sel(bus=bus)) for x in (eq.dlmp, eq.energy_price))
    head = eq.dlmp_parts.loc[bus, "scarcity"]
    most = {
        f"line {eq.congestion_parts.T[bus].idxmax()} is full and adds": eq.congestion_parts,
        f"the voltage limit at bus {eq.voltage_parts.T[bus].idxmax()} adds": eq.voltage_parts,
    }
    for words, detail in most.items():
        added = float(detail.T[bus].max())
        assert (f"{words} {added:.4f} $/kWh" in told.text) == (added > 1e-6)
    columns = [c for c in told.table if c.endswith("_price") and c != "fee_price"]
    assert {"loss_price", "reactive_price"} < set(columns)
    total = float(told.table[columns].to_numpy().sum())
    assert energy + head + total == pytest.approx(dlmp, abs=1e-7)
    station = str(eq.data["station"].to_numpy()[0])
    assert "loss_price" in eq.explain(station=station).table
    line = eq.coupled.grid.network.lines.names[0]
    assert eq.explain(line=line).text.startswith(f"Line {line} from bus")
    assert float(eq.losses_kw.sum()) == pytest.approx(eq.coupled.grid.losses(eq.values).sum())


@pytest.mark.parametrize("formulation", ["single_phase", "three_phase"])
def test_without_the_tso_generators_supply_what_is_lost(formulation: str) -> None:
    """The LSEs sell it to the DSO, at a price of its own."""
    alone = {"substation.import_max": 0.0, "feeder.losses": True}
    case = vg.load_case("ieee123_sioux_falls_reference")
    eq = vg.solve(case, "base", parameters={**alone, "feeder.formulation": formulation})
    assert eq.certificate.holds, eq.certificate
    assert float(eq.tso_import_kw) == 0.0
    assert -float(eq.import_kw.sum()) == pytest.approx(float(eq.losses_kw.sum()), abs=1e-5)
    assert float(eq.tso_price) > 1.0


@pytest.mark.parametrize(
    ("most", "told"),
    [(0.05, "above import_max 0.05"), (0.1, r"import_max = 0.1 kW: raise it, or set it to 0")],
)
def test_losses_above_what_the_tso_supplies_are_named(most: float, told: str) -> None:
    case = self_supplied(losses=True, import_max=most)
    with pytest.raises((ConvergenceError, DataError), match=told):
        vg.solve(case, "base")


def test_losses_that_do_not_settle_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2geq.market.solve.MAX_BASES", 1)
    with pytest.raises(ConvergenceError, match=r"losses do not settle.*flows, which still move by"):
        vg.solve(self_supplied(losses=True), "base")
