"""Feeders of pandapower nets against pandapower's own power flow."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import v2geq as vg
from v2geq.data.model.feeder import Feeder
from v2geq.data.model.phases import NO_LIMIT_KVA
from v2geq.errors import DataError

pp = pytest.importorskip("pandapower", reason="needs pandapower: pip install 'v2geq[pandapower]'")
networks = pytest.importorskip("pandapower.networks")


def voltages(feeder: Feeder, root_voltage: float) -> dict[str, float]:
    """AC voltages of a single-phase feeder by a plain sweep, pu."""
    kv2 = 1000.0 * feeder.base_kv**2
    branches = feeder.branches[~feeder.branches["normally_open"]]
    ways: dict[str, tuple[str, complex, float]] = {}
    near: dict[str, list[tuple[str, complex, float]]] = {b: [] for b in feeder.buses.index}
    for row in branches.itertuples():
        z = complex(row.r_ohm, row.x_ohm) / kv2
        near[row.from_bus].append((row.to_bus, z, row.ratio))
        near[row.to_bus].append((row.from_bus, z * row.ratio**2, 1.0 / row.ratio))
    order = [feeder.root]
    for bus in order:
        for other, z, ratio in near[bus]:
            if other != feeder.root and other not in ways:
                ways[other] = (bus, z, ratio)
                order.append(other)
    load = {b: 0j for b in order}
    for row in feeder.loads.itertuples():
        load[row.Index] += row.load_kw + 1j * row.load_kvar
    bank = {b: 0.0 for b in order}
    for row in feeder.capacitors.itertuples():
        bank[row.bus] += row.kvar
    v = {b: complex(root_voltage) for b in order}
    for _ in range(60):
        amps = {b: np.conj((load[b] - 1j * bank[b] * abs(v[b]) ** 2) / v[b]) for b in order}
        for bus in order[:0:-1]:
            start, _, ratio = ways[bus]
            amps[start] += ratio * amps[bus]
        for bus in order[1:]:
            start, z, ratio = ways[bus]
            v[bus] = ratio * (v[start] - z * ratio * amps[bus])
    return {b: abs(u) for b, u in v.items()}


def test_case33bw() -> None:
    net = networks.case33bw()
    pp.runpp(net, numba=False)
    feeder = vg.read_pandapower(net)
    assert (feeder.root, feeder.base_kv, len(feeder.buses)) == ("0", 12.66, 33)
    assert feeder.loads.sum().tolist() == pytest.approx([3715.0, 2300.0])
    assert int(feeder.branches["normally_open"].sum()) == 5
    assert (feeder.branches["rating_kva"] == NO_LIMIT_KVA).all(), "99,999 kA are no limit"
    here = voltages(feeder, 1.0)
    there = net.res_bus["vm_pu"]
    assert max(abs(here[str(b)] - v) for b, v in there.items()) < 1e-8
    station = {"road_node": "1", "bus": "17", "charge_max_kw": 50.0, "discharge_max_kw": 50.0}
    station |= {"piles": 5.0, "base_wait_h": 0.1, "queue_slope_h": 0.01}
    case = vg.Case.build(
        feeder=feeder,
        road="sioux_falls",
        stations={"A": station},
        parameters={"vmin": 0.8},
    )
    assert vg.solve(case, v2g=True).certificate.holds


def small() -> Any:
    """Transformer off its middle tap, a switch, a capacitor, loads of one and three phases."""
    net = pp.create_empty_network()
    high, low, far, tip = (
        pp.create_bus(net, kv, name=name)
        for kv, name in ((20.0, "high"), (0.4, "low"), (0.4, "far"), (0.4, "tip"))
    )
    pp.create_ext_grid(net, high, vm_pu=1.02)
    pp.create_transformer_from_parameters(
        net, high, low, sn_mva=0.4, vn_hv_kv=20.5, vn_lv_kv=0.4, vk_percent=6.0, vkr_percent=1.5,
        pfe_kw=0.0, i0_percent=0.0, tap_side="hv", tap_neutral=0, tap_pos=-2, tap_step_percent=2.5,
        tap_min=-2, tap_max=2, tap_changer_type="Ratio", name="station",
    )  # fmt: skip
    line = {"r_ohm_per_km": 0.2, "x_ohm_per_km": 0.08, "c_nf_per_km": 0.0, "max_i_ka": 0.27}
    pp.create_line_from_parameters(net, low, far, length_km=0.3, name="cable", parallel=2, **line)
    pp.create_line_from_parameters(net, low, tip, length_km=0.3, name="loop", **line)
    pp.create_switch(net, low, 1, et="l", closed=False)
    pp.create_switch(net, far, tip, et="b", closed=True)
    pp.create_load(net, far, p_mw=0.08, q_mvar=0.03, scaling=1.1)
    pp.create_load(net, tip, p_mw=0.05, q_mvar=0.01)
    pp.create_shunt_as_capacitor(net, tip, q_mvar=0.02, loss_factor=0.0)
    return net


def test_small_net() -> None:
    net = small()
    pp.runpp(net, numba=False)
    feeder = vg.read_pandapower(net)
    assert feeder.branches["kind"].to_dict() == {
        **{"cable": "line", "loop": "line", "station": "transformer", "switch1": "switch"}
    }
    assert feeder.branches.index[feeder.branches["normally_open"]].tolist() == ["loop"]
    assert feeder.branches.loc["cable", "rating_kva"] == pytest.approx(2 * 3**0.5 * 0.4 * 270.0)
    assert feeder.branches.loc["station", "rating_kva"] == 400.0
    here = voltages(feeder, 1.02)
    there = net.res_bus["vm_pu"]
    assert max(abs(here[net.bus.at[b, "name"]] - v) for b, v in there.items()) < 1e-6


def test_what_is_left_out_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = small()
    pp.create_sgen(net, 2, p_mw=0.03)
    with pytest.warns(UserWarning, match="left out, .* as generators: sgen 0"):
        vg.read_pandapower(net)
    net = small()
    pp.create_ext_grid(net, 1)
    with pytest.raises(DataError, match="2 external grids in service"):
        vg.read_pandapower(net)
    net = small()
    net.switch["closed"] = True
    with pytest.raises(DataError, match="loop: .*loop"):
        vg.read_pandapower(net)
    net = small()
    net.line["max_i_ka"] = 0.0
    with pytest.raises(DataError, match="max_i_ka = 0 of line 0 is not above 0"):
        vg.read_pandapower(net)
    net = small()
    pp.create_impedance(net, 1, 2, rft_pu=0.1, xft_pu=0.1, sn_mva=1.0)
    with pytest.raises(DataError, match="cannot be taken: impedance 0"):
        vg.read_pandapower(net)
    with pytest.raises(DataError, match="'case33bw' is no pandapower net"):
        vg.read_pandapower("case33bw")
    monkeypatch.setitem(sys.modules, "pandapower", None)
    with pytest.raises(DataError, match=r"not installed; pip install 'v2geq\[pandapower\]'"):
        vg.read_pandapower(net)
