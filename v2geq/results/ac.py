"""The AC power flow of a point's own injections beside what the point says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.data.model.settings import FeederSettings
from v2geq.errors import DataError, quoted
from v2geq.files import as_path, write_tree
from v2geq.grid.ac_state import SWEEP, ACState, Traded, injections, single_phase_state
from v2geq.grid.lindistflow import LinDistFlow
from v2geq.grid.wires import Connection
from v2geq.labelled import placed
from v2geq.market.coupling import Coupled
from v2geq.show import card, money

if TYPE_CHECKING:
    import xarray as xr

ENGINES = ("opendss", SWEEP)
"""What solves an AC power flow: OpenDSS (extra `power`), or the sweep of this package."""
VOLTAGE_PU, LOADING = 1e-5, 1e-4
"""How far a limit may be passed before it counts as broken: pu, and share of a rating."""
_SHOWN = 3


@dataclass(frozen=True, repr=False)
class ACPowerFlow:
    """AC power flow of an equilibrium's injections: load served, generation, trade at stations.

    Attributes
    ----------
    engine : that solved it; circuit : what it solved, in words
    buses : index bus, phase; columns model_pu, ac_pu, difference_pu (AC less model)
    branches : index line, phase; columns from_bus, to_bus, p_kw, q_kvar (at the sending end),
        loading (of its rating, nan where it has none), model_loading
    lines : index line; columns losses_kw, price (DLMP of the bus it leads to, per kWh), cost
        (losses at that price, per hour), relief_kw (what must be drawn less behind it so that no
        line is overloaded, beyond what the lines behind it need), relief_price (DLMP there less
        that of the bus it comes from), shed_price (value of lost load less DLMP there)
    heads : index bus, the reference of every island; columns p_kw, q_kvar it supplies
    violations : limits that are broken; columns kind (voltage, loading), name, phase, value,
        limit, model
    figures : by name with its unit, see `MEANINGS`
    without_losses : what the loss formulations would change, in words; empty for results with
        losses by phases
    currency : of costs
    """

    engine: str
    circuit: str
    buses: pd.DataFrame
    branches: pd.DataFrame
    lines: pd.DataFrame
    heads: pd.DataFrame
    violations: pd.DataFrame
    figures: Mapping[str, float]
    without_losses: str
    currency: str

    @property
    def _broken(self) -> str:
        return _in_words([Violation(*row) for row in self.violations.itertuples(index=False)])

    @cached_property
    def rows(self) -> dict[str, str]:
        """The report, line by line."""
        f, unit = self.figures, money("$/h", self.currency)
        at = self.buses["difference_pu"].abs()
        full = self.branches["loading"]
        out = {
            "solved by": f"{self.engine}: {self.circuit}",
            "head power": f"{f['head_kw']:,.1f} kW, the model's import {f['import_kw']:,.1f} kW",
        }
        for bus, p, q in self.heads.iloc[1:].itertuples():
            out[f"island of {bus}"] = f"its reference supplies {p:,.2f} kW, {q:,.2f} kvar to close"
        out |= {
            "losses": f"{f['losses_kw']:,.1f} kW, in the model {f['model_losses_kw']:,.1f} kW; "
            f"{f['losses_cost']:,.2f} {unit} at the DLMPs of the buses that lines lead to",
            "voltages": f"{f['lowest_voltage_pu']:.4f} to {f['highest_voltage_pu']:.4f} pu; at "
            f"most {f['voltage_difference_pu']:.4f} pu from the model's, at bus "
            f"{_label(*self.buses.index[int(np.nanargmax(at))])}",
        }
        if full.notna().any():
            k = int(np.nanargmax(full))
            model = self.branches["model_loading"].iloc[k]
            out["loading"] = (
                f"at most {100.0 * full.max():.1f} %, line {_label(*self.branches.index[k])}, in "
                f"the model {100.0 * model:.1f} %"
            )
        out["violations"] = self._broken
        if f["overload_kw"] > 0.0:
            out["overload"] = (
                f"{f['overload_kw']:,.1f} kW too much behind full lines: worth "
                f"{f['overload_cost']:,.2f} {unit} at the DLMPs' differences across them, "
                f"{f['overload_shed_cost']:,.2f} {unit} if load were shed for it"
            )
        if self.without_losses:
            out["with losses"] = self.without_losses
        return out

    def save(self, folder: str | Path) -> list[str]:
        """Write buses, branches, lines, heads, violations and figures as CSV files; return them.

        The folder is new or empty.
        """
        tables = {
            "buses": self.buses,
            "branches": self.branches,
            "lines": self.lines,
            "heads": self.heads,
            "violations": self.violations,
            "figures": pd.DataFrame(
                {"value": self.figures, "meaning": MEANINGS}, index=list(self.figures)
            ).rename_axis("figure"),
        }
        index = {"violations": False}
        files = {
            f"{name}.csv": t.to_csv(index=index.get(name, True)).encode()
            for name, t in tables.items()
        }
        write_tree(as_path(folder, "a folder"), files)
        return list(files)

    def __str__(self) -> str:
        width = max(map(len, self.rows))
        return "AC power flow\n" + "\n".join(f"  {k:<{width}}  {v}" for k, v in self.rows.items())

    def __repr__(self) -> str:
        return f"<ACPowerFlow by {self.engine}: {self.rows['losses']}, {self._broken}>"

    def _repr_html_(self) -> str:
        return card("AC power flow", self.rows, good=self.violations.empty)


class Violation(NamedTuple):
    """A limit that is broken: of voltage or loading, of a bus or line, of the phase named."""

    kind: str
    name: str
    phase: str
    value: float
    limit: float
    model: float


MEANINGS = {
    "voltage_difference_pu": "largest difference of a voltage from the model's, pu",
    "lowest_voltage_pu": "lowest voltage, pu",
    "highest_voltage_pu": "highest voltage, pu",
    "largest_loading": "largest flow over its rating",
    "losses_kw": "real power lost, kW",
    "model_losses_kw": "real power lost in the model, kW",
    "head_kw": "real power that the substation supplies, kW",
    "import_kw": "what the model buys from the TSO, kW",
    "losses_cost": "losses at the DLMP of the bus a line leads to, $/h",
    "violations": "number of limits broken",
    "overload_kw": "what must be drawn less so that no line is overloaded, kW",
    "overload_cost": "the same at the DLMPs' differences across the overloaded lines, $/h",
    "overload_shed_cost": "the same at the value of lost load less the DLMP behind them, $/h",
}
"""What the figures are."""


def _in_words(broken: Sequence[Violation]) -> str:
    """How many limits are broken, and those that are most."""
    if not broken:
        return "no violation"
    worst = sorted(broken, key=lambda v: -abs(v.value / v.limit - 1.0))[:_SHOWN]
    shown = [
        f"line {_label(v.name, v.phase)} {100.0 * v.value:.0f} %"
        if v.kind == "loading"
        else f"bus {_label(v.name, v.phase)} {v.value:.3f} pu"
        for v in worst
    ]
    more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return f"{len(broken)} violation{'s'[: len(broken) > 1]}: {', '.join(shown)}{more}"


def _label(name: str, phase: str) -> str:
    return f"{name}.{phase}" if phase else name


def ac_power_flow(
    coupled: Coupled,
    values: Mapping[str, FloatArray],
    data: xr.Dataset,
    *,
    engine: str = "opendss",
    script: str | Path | None = None,
    controls: bool = False,
) -> ACPowerFlow:
    """AC power flow of a point's injections; arguments and errors as of `Equilibrium.power_flow`.

    Parameters
    ----------
    data
        Its labelled results.
    """
    if engine not in ENGINES:
        raise DataError(
            f"engine = {quoted(engine)} is not one of {', '.join(ENGINES)}",
            advice="write engine='opendss'",
        )
    if (script is not None or controls) and engine == SWEEP:
        raise DataError(
            "script and controls are the OpenDSS engine's", advice="write engine='opendss'"
        )
    if controls and script is None:
        raise DataError(
            "controls of regulators and capacitors are in no table",
            advice="give the script that has them, script='Master.dss'",
        )
    state = _state(coupled, values, data, engine, script, controls)
    return _compared(coupled, values, data, state)


def ac_line(coupled: Coupled, values: Mapping[str, FloatArray], data: xr.Dataset) -> str:
    """In a line, by the sweep: largest difference of voltage, losses, limits that are broken."""
    state = _state(coupled, values, data, SWEEP, None, False)
    off = state.voltage_pu - _model(data, "voltage_pu", state.nodes)
    return (
        f"max dV {np.nanmax(np.abs(off)):.3f} pu, losses {state.lost_kw.sum():,.0f} kW, "
        f"{_in_words(_violations(data, state, coupled.grid.network.limits))}"
    )


def _state(
    coupled: Coupled,
    values: Mapping[str, FloatArray],
    data: xr.Dataset,
    engine: str,
    script: str | Path | None,
    controls: bool,
) -> ACState:
    scenario, grid = coupled.scenario, coupled.grid
    net, feeder = grid.network, scenario.case.feeder
    if engine == SWEEP and feeder.by_phase is None and isinstance(grid, LinDistFlow):
        return single_phase_state(grid, values)

    def by_bus(name: str) -> FloatArray:
        found: FloatArray = data[name].sel(bus=list(net.buses)).to_numpy()
        return np.nan_to_num(found)

    served = by_bus("firm_kw") - by_bus("shed_kw") + by_bus("sales_kw")
    own = [
        (scenario.generators, -data["generation_kw"].to_numpy()),
        (
            scenario.stations,
            (data["to_station_kw"] - data["from_station_kw"]).sum("lse").to_numpy(),
        ),
    ]
    traded = [
        Traded(
            [net.bus_position[b] for b in rows["bus"]],
            rows["bus"].tolist(),
            rows["phases"].tolist(),
            np.nan_to_num(kw),
        )
        for rows, kw in own
    ]
    references = [int(np.argmax(net.island == k)) for k in range(int(net.island.max()) + 1)]
    given = injections(grid, values, feeder, served, traded, by_bus("voltage_pu")[references])
    if engine == SWEEP:
        return given.swept()
    from v2geq.grid.dss_circuit import opendss_state, script_state

    if script is not None:
        return script_state(script, net, given, controls=controls)
    assert feeder.by_phase is not None
    return opendss_state(feeder.by_phase, net, given)


def _compared(
    coupled: Coupled, values: Mapping[str, FloatArray], data: xr.Dataset, state: ACState
) -> ACPowerFlow:
    grid, case = coupled.grid, coupled.scenario.case
    net, limits = grid.network, grid.network.limits
    buses, lines = list(net.buses), list(net.lines.names)
    price = data["dlmp"].sel(bus=buses).to_numpy()
    first, second = net.lines.from_bus, net.lines.to_bus
    volts = pd.DataFrame(
        {"model_pu": _model(data, "voltage_pu", state.nodes), "ac_pu": state.voltage_pu},
        index=pd.MultiIndex.from_tuples(state.nodes, names=["bus", "phase"]),
    )
    volts["difference_pu"] = volts["ac_pu"] - volts["model_pu"]
    at = {name: k for k, name in enumerate(lines)}
    of = np.array([at[name] for name, _ in state.conductors], dtype=np.int64)
    names = np.array(buses, dtype=object)
    branches = pd.DataFrame(
        {
            "from_bus": names[first[of]],
            "to_bus": names[second[of]],
            "p_kw": state.power.real,
            "q_kvar": state.power.imag,
            "loading": state.loading,
            "model_loading": _model(data, "loading", state.conductors),
        },
        index=pd.MultiIndex.from_tuples(state.conductors, names=["line", "phase"]),
    )
    rated = limits.line_rating != "none"
    broken = pd.DataFrame(_violations(data, state, limits), columns=list(Violation._fields))
    above = np.nan_to_num(np.abs(state.power.real) * (1.0 - 1.0 / np.fmax(state.loading, 1.0)))
    over = placed(of, len(lines)) @ above if rated else np.zeros(len(lines))
    table = pd.DataFrame(
        {
            "losses_kw": state.lost_kw,
            "price": price[second],
            "cost": state.lost_kw * price[second],
            "relief_kw": _relief(over, first, second, len(buses)),
            "relief_price": np.maximum(price[second] - price[first], 0.0),
            "shed_price": np.maximum(case.market.voll - price[second], 0.0),
        },
        index=pd.Index(lines, name="line"),
    )
    heads = [buses[int(np.argmax(net.island == k))] for k in range(len(state.head_kva))]
    bought = float(data["tso_import_kw"])
    lost = float(table["losses_kw"].sum())
    figures = {
        "voltage_difference_pu": float(volts["difference_pu"].abs().max()),
        "lowest_voltage_pu": float(volts["ac_pu"].min()),
        "highest_voltage_pu": float(volts["ac_pu"].max()),
        "largest_loading": float(branches["loading"].max()),
        "losses_kw": lost,
        "model_losses_kw": float(grid.losses(values).sum()),
        "head_kw": float(state.head_kva[0].real),
        "import_kw": bought,
        "losses_cost": float(table["cost"].sum()),
        "violations": len(broken),
        "overload_kw": float(table["relief_kw"].sum()),
        "overload_cost": float((table["relief_kw"] * table["relief_price"]).sum()),
        "overload_shed_cost": float((table["relief_kw"] * table["shed_price"]).sum()),
    }
    return ACPowerFlow(
        engine=state.engine,
        circuit=state.circuit,
        buses=volts,
        branches=branches,
        lines=table,
        heads=pd.DataFrame(
            {"p_kw": state.head_kva.real, "q_kvar": state.head_kva.imag},
            index=pd.Index(heads, name="bus"),
        ),
        violations=broken,
        figures=figures,
        without_losses=_without_losses(coupled, values, state, bought),
        currency=case.currency,
    )


def _model(data: xr.Dataset, name: str, labels: Sequence[Connection]) -> FloatArray:
    """The model's value by label and phase: its own by phases, or that of all phases."""
    if f"{name}_by_phase" in data:
        by_phase = data[f"{name}_by_phase"].to_series().to_dict()
        return np.array([by_phase.get(label, np.nan) for label in labels])
    whole = data[name].to_series().to_dict()
    return np.array([whole[label] for label, _ in labels], dtype=float)


def _violations(data: xr.Dataset, state: ACState, limits: FeederSettings) -> list[Violation]:
    """Limits that are broken."""
    v, full = state.voltage_pu, state.loading
    rated = limits.line_rating != "none"
    out: list[Violation] = []
    for kind, result, labels, found, limit, broken in (
        ("voltage", "voltage_pu", state.nodes, v, limits.vmin, v < limits.vmin - VOLTAGE_PU),
        ("voltage", "voltage_pu", state.nodes, v, limits.vmax, v > limits.vmax + VOLTAGE_PU),
        ("loading", "loading", state.conductors, full, 1.0, rated & (full > 1.0 + LOADING)),
    ):
        at = np.flatnonzero(broken).tolist()
        model = _model(data, result, [labels[k] for k in at])
        out += [
            Violation(kind, labels[k][0], labels[k][1], float(found[k]), limit, m)
            for k, m in zip(at, model.tolist(), strict=True)
        ]
    return out


def _relief(over: FloatArray, first: Any, second: Any, buses: int) -> FloatArray:
    """(line,) what must be drawn less behind each line, beyond what lines behind it need, kW."""
    entering = {int(j): k for k, j in enumerate(second)}
    below = np.zeros(buses)
    out = np.zeros(len(over))
    left = np.bincount(first, minlength=buses)
    ready = [k for j, k in entering.items() if not left[j]]
    while ready:
        k = ready.pop()
        out[k] = max(0.0, over[k] - below[second[k]])
        i = int(first[k])
        below[i] += below[second[k]] + out[k]
        left[i] -= 1
        if not left[i] and i in entering:
            ready.append(entering[i])
    return out


def _without_losses(
    coupled: Coupled, values: Mapping[str, FloatArray], state: ACState, bought: float
) -> str:
    """What the loss formulations would change at the same injections, in words."""
    grid = coupled.grid
    found = []
    if isinstance(grid, LinDistFlow) and not grid.has_losses:
        alike = single_phase_state(grid, values)
        found.append(("feeder.losses = true", alike))
    by_phase = any(phase for _, phase in state.nodes)
    if by_phase and not (grid.has_losses and not isinstance(grid, LinDistFlow)):
        what = "feeder.formulation = 'three_phase' and feeder.losses = true"
        found.append((what, state))
    return "; ".join(
        f"{what}: losses {s.lost_kw.sum():,.1f} kW, import {s.head_kva[0].real:,.1f} kW "
        f"({s.head_kva[0].real - bought:+,.1f} kW) at the same injections"
        for what, s in found
    )
