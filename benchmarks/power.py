"""Feeders alone and in markets: times, agreement with OpenDSS and with AC prices, in one run.

* optimal power flows of the IEEE 123-bus feeder, by formulation, without losses and with them; the
  peer is pandapower's AC optimal power flow of the same single-phase feeder, where it is installed;
* prices of the feeder of Baran and Wu against central differences of pandapower's AC power flow;
* voltages of the IEEE 123-bus feeder by phase, and what its head supplies, against OpenDSS with
  loads of constant power and taps as they are;
* the IEEE 8500-node feeder: import beside the engine's own compile, optimal power flow;
* runs of a study, cold, by formulation, without losses and with them.

Raw OpenDSS files are looked for in $V2GEQ_RAW, by default ../shared/data; what is not there or not
installed is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import v2geq as vg
from v2geq.data.model.feeder import Feeder
from v2geq.data.readers.dss_engine import dss_circuit
from v2geq.data.readers.feeder import find_feeder

RAW = Path(os.environ.get("V2GEQ_RAW") or Path(__file__).resolve().parents[2] / "shared" / "data")
FREE: dict[str, Any] = {"line_rating": "none", "vmin": 0.5, "vmax": 1.5}
"""No limit binds: what is compared are power flows and marginal losses."""
FORMULATIONS = ("single_phase", "three_phase")
STEP_KW = 1.0


def timed(function: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Median seconds and the last result."""
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), result


def pandapower_net(feeder: Feeder) -> Any:
    """The feeder as pandapower takes it; ratios of regulators are left out."""
    import pandapower as pp

    net = pp.create_empty_network()
    at = {
        b: pp.create_bus(net, vn_kv=feeder.base_kv, max_vm_pu=1.5, min_vm_pu=0.5)
        for b in feeder.buses.index
    }
    pp.create_ext_grid(net, at[feeder.root])
    pp.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=100.0)
    for branch in feeder.branches[~feeder.branches["normally_open"]].itertuples():
        pp.create_line_from_parameters(
            net,
            at[branch.from_bus],
            at[branch.to_bus],
            length_km=1.0,
            r_ohm_per_km=max(branch.r_ohm, 1e-4),
            x_ohm_per_km=max(branch.x_ohm, 1e-4),
            c_nf_per_km=0.0,
            max_i_ka=99.0,
        )
    for bus, row in feeder.loads.iterrows():
        pp.create_load(net, at[bus], row["load_kw"] / 1e3, row["load_kvar"] / 1e3)
    return net


def ieee123(runs: int) -> None:
    """Seconds of optimal power flows, feeder in memory."""
    feeder = find_feeder("ieee123")
    print("IEEE 123-bus feeder, optimal power flow, feeder in memory to certified result")
    peer = None
    if find_spec("pandapower"):
        import pandapower as pp

        net = pandapower_net(feeder)
        pp.runopp(net)
        peer, _ = timed(lambda: pp.runopp(net), min(runs, 3))
        print(f"  {'pandapower, AC':<28}{1e3 * peer:>8.0f} ms")
    for formulation in FORMULATIONS:
        for losses in (False, True):
            given = {"formulation": formulation, "losses": losses, **FREE}
            vg.optimal_power_flow(feeder, **given)
            seconds, r = timed(lambda g=given: vg.optimal_power_flow(feeder, **g), runs)
            assert r.certificate.holds
            name = f"{formulation}, {'with losses' if losses else 'without losses'}"
            ratio = "" if peer is None else f", {peer / seconds:.1f} times as fast"
            print(f"  {name:<28}{1e3 * seconds:>8.0f} ms{ratio}")
    print()


def baran_wu() -> None:
    """Largest error of a price."""
    print("feeder of Baran and Wu, prices against central differences of pandapower's power flow")
    if not find_spec("pandapower"):
        print("  left out: pandapower is not installed\n")
        return
    import pandapower as pp
    from pandapower.networks import case33bw

    net = case33bw()
    dlmp = vg.optimal_power_flow(net, price=1.0, losses=True, vmin=0.5).dlmp.to_numpy()
    found = np.ones(len(net.bus))
    load = net.load.set_index("bus").index
    for k, bus in enumerate(load):
        ends = []
        for sign in (1.0, -1.0):
            net.load.loc[net.load.index[k], "p_mw"] += sign * STEP_KW / 1e3
            pp.runpp(net, tolerance_mva=1e-12)
            ends.append(float(net.res_ext_grid["p_mw"].sum()))
            net.load.loc[net.load.index[k], "p_mw"] -= sign * STEP_KW / 1e3
        found[int(bus)] = (ends[0] - ends[1]) / (2.0 * STEP_KW / 1e3)
    off = np.abs(dlmp / found - 1.0)
    print(f"  all {len(found)} within {off.max():.1e} of a price\n")


def opendss() -> None:
    """Differences of voltages and of the head from the engine's solution."""
    print("IEEE 123-bus feeder by phases, against OpenDSS with constant power and taps as they are")
    master = RAW / "ieee123" / "opendss" / "IEEE123Master.dss"
    if not master.is_file():
        print(f"  left out: {master} is not there\n")
        return
    feeder = vg.read_opendss(master)
    with dss_circuit(master) as engine:
        engine("set controlmode=off")
        engine("batchedit load..* model=1 vminpu=0.5 vmaxpu=1.5")
        engine.ActiveCircuit.Solution.Solve()
        circuit = engine.ActiveCircuit
        nodes = (name.partition(".") for name in circuit.AllNodeNames)
        volts = pd.Series(
            list(circuit.AllBusVmagPu),
            index=pd.MultiIndex.from_tuples([(b, "abc"[int(p) - 1]) for b, _, p in nodes]),
        )
        head = -float(circuit.TotalPower[0])
    for losses in (False, True):
        r = vg.optimal_power_flow(feeder, formulation="three_phase", losses=losses, **FREE)
        both = r.voltage.index.intersection(volts.index)
        off = (r.voltage[both] - volts[both]).abs().max()
        name = "with losses" if losses else "without losses"
        there = abs(r.import_kw / head - 1.0)
        print(f"  {name:<16}{len(both)} voltages within {off:.6f} pu, the head within {there:.4%}")
    print()


def ieee8500(runs: int) -> None:
    """Seconds of the import and of optimal power flows."""
    print("IEEE 8500-node feeder")
    master = RAW / "ieee8500" / "opendss" / "Master.dss"
    if not master.is_file():
        print(f"  left out: {master} is not there\n")
        return

    def compiled() -> None:
        with dss_circuit(master):
            pass

    engine, _ = timed(compiled, runs)
    whole, feeder = timed(lambda: vg.read_opendss(master), runs)
    print(f"  import {whole:.2f} s, of which the engine compiles and solves for {engine:.2f} s")
    single = feeder.single_phase()
    print(f"  optimal power flow of {len(single.buses)} buses of medium and low voltage")
    for formulation in FORMULATIONS:
        for losses in (False, True):
            given = {"formulation": formulation, "losses": losses, **FREE}
            given["root_voltage"] = feeder.root_voltage
            seconds, r = timed(lambda g=given: vg.optimal_power_flow(single, **g), runs)
            assert r.certificate.holds
            name = f"{formulation}, {'with losses' if losses else 'without losses'}"
            print(f"  {name:<28}{seconds:>8.2f} s")
    print()


def markets() -> None:
    """Seconds of cold runs of the shipped case."""
    case = vg.load_case("ieee123_sioux_falls")
    print("runs of the shipped study with V2G, cold")
    for formulation in FORMULATIONS:
        for losses in (False, True):
            given = {"feeder.formulation": formulation, "feeder.losses": losses}
            for scenario in case.scenarios:
                eq = vg.solve(case, scenario, parameters=given, uniqueness=False)
                assert eq.certificate.holds
                seconds = sum(eq.seconds.values())
                name = f"{formulation}, {'with losses' if losses else 'without losses'}"
                print(f"  {name:<30}{scenario:<8}{seconds:>6.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="repetitions; medians are printed")
    parser.add_argument("--markets", action="store_true", help="runs of a study as well")
    options = parser.parse_args()
    ieee123(options.runs)
    baran_wu()
    opendss()
    ieee8500(min(options.runs, 3))
    if options.markets:
        markets()


if __name__ == "__main__":
    main()
