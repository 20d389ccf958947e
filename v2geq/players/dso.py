"""Distribution system operator (DSO) on the linearised DistFlow model.

spec section 3. Real power is in kW, reactive in kvar, squared voltage in per unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray
from v2geq.mcp.program import Program
from v2geq.scenario import Scenario


def incidence(scenario: Scenario) -> sp.csr_array:
    """Bus-line incidence, buses x lines: +1 where a line ends, -1 where it begins."""
    lines, n = scenario.lines, len(scenario.buses)
    k = np.arange(len(lines.names))
    ones = np.ones(len(k))
    return sp.csr_array(
        sp.coo_array(
            (np.r_[ones, -ones], (np.r_[lines.to_bus, lines.from_bus], np.r_[k, k])),
            shape=(n, len(k)),
        )
    )


def voltage_rows(scenario: Scenario) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """Matrices (V, R, X), lines x (buses, lines, lines), of V v + R P + X Q = 0.

    v_j - ratio^2 v_i + 2 ratio^2 (r P + x Q) / (1000 kV^2) = 0 for a line from i to j.
    """
    lines = scenario.lines
    n, k = len(scenario.buses), np.arange(len(lines.names))
    squared = lines.ratio**2
    v = sp.csr_array(
        sp.coo_array(
            (
                np.r_[np.ones(len(k)), -squared],
                (np.r_[k, k], np.r_[lines.to_bus, lines.from_bus]),
            ),
            shape=(len(k), n),
        )
    )
    factor = 2.0 * squared / (1000.0 * scenario.case.feeder.base_kv**2)
    return (
        v,
        sp.csr_array(sp.diags_array(factor * lines.r_ohm)),
        sp.csr_array(sp.diags_array(factor * lines.x_ohm)),
    )


def rating_polygon(sides: int) -> tuple[FloatArray, FloatArray, float]:
    """Normals (cos, sin) and apothem of the regular polygon inside the unit circle."""
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    return np.cos(angle), np.sin(angle), float(np.cos(np.pi / sides))


def dso(scenario: Scenario, power_reach: float) -> Program:
    """The DSO's program.

    Parameters
    ----------
    power_reach
        Total load plus generation, kW: bounds unrated flows in the deviation problem.

    Notes
    -----
    The statement is the same at every bus; that only price differences are determined, and the
    root's is set to zero, is the coupling's business. The root's voltage is fixed by its bounds.
    """
    case, lines, buses = scenario.case, scenario.lines, scenario.buses
    limits = case.feeder_settings
    power = scenario.power_scale
    p = Program("dso", scenario.money_scale, title="Distribution system operator")

    kw: dict[str, Any] = {"unit": "kW", "scale": power}
    kvar: dict[str, Any] = {"unit": "kvar", "scale": power}
    boxed = lines.rating_kva if limits.line_rating == "box" else np.full(len(lines.names), np.inf)
    unrated = limits.line_rating == "none"
    # on a tree no line carries more than all reactive loads and sources together; sources with
    # limits that stand for none have no use for more than all power there is
    reactive_load = float(np.abs(scenario.reactive_kvar).sum())
    sources = np.maximum(np.abs(scenario.reactive_min), np.abs(scenario.reactive_max))
    sources = np.minimum(sources, reactive_load + power_reach)
    reactive_reach = reactive_load + float(sources.sum())
    line: dict[str, Any] = {"dims": ("line",), "labels": lines.names}
    at_root = np.arange(len(buses)) == 0
    withdrawal = p.variable(
        "withdrawal",
        ("bus",),
        buses,
        **kw,
        lower=-np.inf,
        reach=power_reach,
        meaning="net withdrawal from the grid at a bus (W)",
    )
    p_line = p.variable(
        "p_line",
        **line,
        **kw,
        lower=-boxed,
        upper=boxed,
        reach=power_reach if unrated else np.minimum(lines.rating_kva, power_reach),
        meaning="real flow (P)",
    )
    q_line = p.variable(
        "q_line",
        **line,
        **kvar,
        lower=-boxed,
        upper=boxed,
        reach=reactive_reach if unrated else np.minimum(lines.rating_kva, reactive_reach),
        meaning="reactive flow (Q)",
    )
    v = p.variable(
        "v_squared",
        ("bus",),
        buses,
        unit="pu2",
        scale=scenario.voltage_scale,
        lower=np.where(at_root, limits.root_voltage, limits.vmin) ** 2,
        upper=np.where(at_root, limits.root_voltage, limits.vmax) ** 2,
        start=limits.root_voltage**2,
        meaning="squared voltage (v)",
    )
    s = case.substation
    p_tso = p.variable(
        "p_tso",
        (),
        [()],
        **kw,
        lower=s.import_min,
        upper=s.import_max,
        reach=power_reach,
        meaning="bought from the TSO (p_TSO)",
    )
    q_tso = p.variable(
        "q_tso",
        (),
        [()],
        **kvar,
        lower=s.reactive_min,
        upper=s.reactive_max,
        reach=reactive_reach,
        meaning="reactive supply of the TSO (q_TSO)",
    )
    ranged = np.flatnonzero(scenario.reactive_max > scenario.reactive_min)
    q_source = p.variable(
        "q_source",
        ("bus",),
        [buses[i] for i in ranged],
        **kvar,
        lower=scenario.reactive_min[ranged],
        upper=scenario.reactive_max[ranged],
        reach=reactive_reach,
        meaning="reactive supply of generators, sources and capacitors (q_DG + q_shunt)",
    )

    p.cost(p_tso, s.price, term="TSO purchase")
    p.sell("tso_price", {p_tso: np.ones((1, 1))}, 1)
    p.sell("wheeling_price", {withdrawal: 1.0}, len(buses))

    a = incidence(scenario)
    to_root = sp.csr_array(([1.0], ([0], [0])), shape=(len(buses), 1))
    p.equality(
        "balance",
        ("bus",),
        buses,
        terms={p_line: a, p_tso: to_root, withdrawal: -1.0},
        **kw,
        meaning="real inflow and TSO supply equal the withdrawal (mu)",
    )
    at_source = sp.csr_array(
        (np.ones(len(ranged)), (ranged, np.arange(len(ranged)))), shape=(len(buses), len(ranged))
    )
    fixed = np.where(scenario.reactive_max > scenario.reactive_min, 0.0, scenario.reactive_min)
    p.equality(
        "reactive_balance",
        ("bus",),
        buses,
        terms={q_line: a, q_tso: to_root, q_source: at_source},
        rhs=scenario.reactive_kvar - fixed,
        **kvar,
        meaning="reactive inflow and supply equal the reactive load (mu_q)",
    )
    v_rows, r_rows, x_rows = voltage_rows(scenario)
    p.equality(
        "voltage_drop",
        **line,
        terms={v: v_rows, p_line: r_rows, q_line: x_rows},
        unit="pu2",
        scale=scenario.voltage_scale,
        meaning="LinDistFlow voltage drop (eta)",
    )
    if limits.line_rating == "polygon":
        cos, sin, apothem = rating_polygon(limits.rating_sides)
        n = len(lines.names)
        eye = sp.eye_array(n, format="csr")
        p.at_least(
            "rating",
            ("line", "side"),
            [(name, str(k)) for name in lines.names for k in range(limits.rating_sides)],
            terms={
                p_line: sp.csr_array(sp.kron(eye, -cos[:, None], format="csr")),
                q_line: sp.csr_array(sp.kron(eye, -sin[:, None], format="csr")),
            },
            rhs=-apothem * np.repeat(lines.rating_kva, limits.rating_sides),
            **kw,
            meaning="apparent power inside the rating polygon (nu_S)",
        )
    return p
