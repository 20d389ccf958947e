"""Derivatives of an equilibrium with respect to data, by implicit differentiation.

At a solution with strictly complementary bounds the active bounds stay active under small changes
of data p, and the free part of z follows the linear system J_II dz_I = -dF_I/dp - J_IA dz_A.
dF/dp comes from the problem rebuilt with changed data at the same point, so every numeric
parameter can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import BoolArray, FloatArray
from v2geq.data.parameters.targets import find_target, value_of
from v2geq.errors import DataError, did_you_mean
from v2geq.market.coupling import Coupled, couple
from v2geq.market.own import set_up
from v2geq.market.prices import CANONICAL
from v2geq.results.point import Point
from v2geq.results.polytope import multipliers, strategies
from v2geq.results.tables import tables
from v2geq.results.uniqueness import changing
from v2geq.solvers.linear import PatternFactor
from v2geq.trips.paths import PathSet, make_path
from v2geq.trips.traffic import Traffic, traffic

if TYPE_CHECKING:
    import xarray as xr

STEP = 1e-5
"""Relative step of the data in the difference that gives dF/dp; F is smooth in the data."""
DEGENERATE = 1e-6
"""Scaled distance from a bound, and size of F, below which a pair is degenerate."""
PROXIMAL = 1e-8
SOLVED = 1e-6
"""Residual of the linear system, as a share of its right side, from which there is no solution."""

COLUMNS = {
    "load_kw": ("feeder.loads", "bus"),
    "rating_kva": ("feeder.branches", "line"),
    "max_kw": ("generators", "generator"),
    "charge_max_kw": ("stations", "station"),
    "discharge_max_kw": ("stations", "station"),
    "piles": ("stations", "station"),
    "discharge_piles": ("stations", "station"),
}
"""Columns of tables that may be asked for as a whole: table and dimension."""


@dataclass(frozen=True)
class _Base:
    """The active set and the factorised system of a solution."""

    at_low: BoolArray
    at_high: BoolArray
    column: FloatArray
    row: FloatArray
    exact: sp.csc_array
    factor: PatternFactor
    degenerate: list[str]


def sensitivity(eq: Point, *, of: str, to: str) -> xr.DataArray:
    """Derivative of result `of` with respect to data `to`.

    Parameters
    ----------
    of
        Name of a result in ``eq.data``, for example "dlmp".
    to
        A parameter by name ("voll", "generators.g13.max_kw"), or a whole column ("load_kw",
        "rating_kva", "max_kw", "charge_max_kw", "discharge_max_kw", "piles", "discharge_piles").

    Returns
    -------
    xarray.DataArray
        Dimensions of the result, and ``d_<dimension>`` for a column. Unit in ``attrs["unit"]``;
        ``attrs["degenerate"]`` lists entries at a kink, where only one-sided derivatives exist;
        ``attrs["not_unique"]`` those labels of the result that have none, as the result is any
        value of an interval there: they are NaN.

    Raises
    ------
    DataError
        Unknown names, a result or parameter that is not a number, a result that is nowhere unique,
        or limits so tight that none of them can move alone.
    """
    import xarray as xr

    if eq.coupled.grid.has_losses:
        raise DataError(
            "sensitivities with losses are not known",
            advice="solve with feeder.losses = false, or twice with the parameter changed",
        )
    if of not in eq.data or eq.data[of].dtype.kind != "f":
        known = [str(k) for k in eq.data if eq.data[k].dtype.kind == "f"]
        raise DataError(f"no numeric result {of!r}", advice=did_you_mean(of, known))
    loose = _not_unique(eq, of)
    if loose.size and loose.all():
        raise DataError(
            f"{of} is not unique, so it has no derivative", advice="see eq.full_uniqueness"
        )
    base = _factorise(eq)
    names, dimension = _targets(eq, to)
    columns = [np.where(loose, np.nan, _derivative(eq, base, of, name)) for name in names.values()]
    result = eq.data[of]
    unit = f"{result.attrs.get('unit', '')} per unit of {to}"
    attrs = {"unit": unit, "degenerate": "; ".join(base.degenerate), "not_unique": ""}
    if result.ndim == 1:
        labels = result[result.dims[0]].to_numpy()[loose]
        attrs["not_unique"] = ", ".join(map(str, labels.tolist()))
    if dimension is None:
        return xr.DataArray(columns[0], coords=result.coords, dims=result.dims, attrs=attrs)
    return xr.DataArray(
        np.stack(columns, axis=-1),
        coords={**result.coords, dimension: list(names)},
        dims=(*result.dims, dimension),
        attrs=attrs,
    )


def _targets(eq: Point, to: str) -> tuple[dict[str, str], str | None]:
    """Parameters asked for, by label, and the dimension of a column."""
    if to not in COLUMNS:
        return {to: find_target(eq.scenario.case, to).name}, None
    table, dimension = COLUMNS[to]
    scenario = eq.scenario
    rows = {
        "bus": [scenario.buses[i] for i in scenario.load_buses],
        "line": list(scenario.lines.names),
        "generator": list(map(str, scenario.generators.index)),
        "station": list(map(str, scenario.stations.index)),
    }[dimension]
    return {row: f"{table}.{row}.{to}" for row in rows}, f"d_{dimension}"


def _not_unique(eq: Point, of: str) -> BoolArray:
    """Where a result changes with what can move within the equilibrium, in its shape."""
    mcp, out = eq.coupled.mcp, np.zeros(eq.data[of].shape, dtype=bool)
    polytopes = (multipliers(mcp, eq.z), strategies(mcp, eq.z)[0])
    for polytope in polytopes:
        out |= changing(eq.coupled, eq.z, polytope).get(of, False)
    return out


def _factorise(eq: Point) -> _Base:
    mcp = eq.coupled.mcp
    # units in which the Jacobian keeps its skew symmetry
    column, row = mcp.scale, mcp.row_scale
    x, f = eq.z / column, mcp.F(eq.z) / row
    low, high = mcp.lower / column, mcp.upper / column
    fixed = mcp.lower == mcp.upper
    near_low, near_high = x - low <= DEGENERATE, high - x <= DEGENERATE
    at_low = (near_low & (f > DEGENERATE)) | fixed
    at_high = near_high & (f < -DEGENERATE) & ~fixed
    loose = (near_low | near_high) & ~at_low & ~at_high
    # entries at a kink are held where they are: a one-sided derivative
    at_low |= loose & near_low
    at_high |= loose & near_high & ~at_low
    a = mcp.J(eq.z)
    factor_row = 1.0 / row[a.indices]
    factor_column = column[np.repeat(np.arange(mcp.n), np.diff(a.indptr))]
    data = a.data * factor_row * factor_column
    data[mcp.diagonal_positions] += np.where(at_low | at_high, 1e14, 0.0)
    exact = sp.csc_array((data, a.indices, a.indptr), shape=a.shape)
    shifted = data.copy()
    shifted[mcp.diagonal_positions] += PROXIMAL
    factor = PatternFactor()
    factor.factor(sp.csc_array((shifted, a.indices, a.indptr), shape=a.shape))
    # what is not traded sits at its canonical price, where trade would start: a kink by choice;
    # and path flows are not unique
    sales = [sale for program in mcp.programs for sale in program.sales]
    quiet = {v.key for sale in sales if sale.market in CANONICAL for v in sale.terms}
    for key in quiet | set(map(eq.coupled.traffic.flow_key, eq.coupled.traffic.classes)):
        loose[mcp[key].slice] = False
    kinks = [mcp.describe(int(k)) for k in np.flatnonzero(loose)]
    return _Base(at_low, at_high, column, row, exact, factor, kinks)


def _derivative(eq: Point, base: _Base, of: str, name: str) -> FloatArray:
    """d(of) / d(name), shape of the result."""
    value = _value(eq, name)
    step = STEP * max(abs(value), 1e-3)
    high, up = _moved(eq, name, value, step)
    low, down = _moved(eq, name, value, -step)
    span = high - low
    if not span:
        raise DataError(
            f"{name} = {value:g} cannot move by a little, so nothing has a derivative by it",
            advice="compare two equilibria instead",
        )
    new, old = up.mcp, down.mcp
    d_low, d_high = (
        _difference(a, b) / span for a, b in ((new.lower, old.lower), (new.upper, old.upper))
    )
    d_f = (new.F(eq.z) - old.F(eq.z)) / span / base.row
    dx = np.zeros(new.n)
    dx[base.at_low] = (d_low / base.column)[base.at_low]
    dx[base.at_high] = (d_high / base.column)[base.at_high]
    active = base.at_low | base.at_high
    moved = base.exact @ np.where(active, dx, 0.0)
    rhs = np.where(active, 0.0, -d_f - moved)
    free = base.factor.solve(rhs)
    for _ in range(8):
        residual = rhs - base.exact @ free
        if np.abs(residual).max() <= 1e-12 * max(np.abs(rhs).max(), 1e-300):
            break
        free = free + base.factor.solve(residual)
    residual = rhs - base.exact @ free
    if not np.abs(residual).max() <= SOLVED * max(np.abs(rhs).max(), 1e-300):
        worst = eq.coupled.mcp.describe(int(np.argmax(np.abs(residual))))
        raise DataError(
            f"{of} has no derivative with respect to {name}: limits are tight without need, and "
            f"{worst} cannot follow",
            advice="compare two equilibria instead",
        )
    dz = np.where(active, dx, free) * base.column
    after = tables(up, new.split(eq.z + high * dz))[of].to_numpy()
    before = tables(down, old.split(eq.z + low * dz))[of].to_numpy()
    change: FloatArray = (after - before) / span
    return change


def _moved(eq: Point, name: str, value: float, step: float) -> tuple[float, Coupled]:
    """The problem with a parameter moved by a step, or where it is if it may go no further.

    It may not where the case refuses, or where the problem would have other variables or rows.
    """
    try:
        changed = _changed(eq, name, value + step)
    except DataError:
        changed = None
    if changed is not None and changed.mcp.n == eq.coupled.mcp.n:
        return step, changed
    return 0.0, _changed(eq, name, value)


def _difference(a: FloatArray, b: FloatArray) -> FloatArray:
    """a - b, zero where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(a) & np.isfinite(b), a - b, 0.0)


def _value(eq: Point, name: str) -> float:
    case = eq.scenario.case
    value: Any = value_of(case, find_target(case, name))
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise DataError(f"{name} = {value!r} is not a number")
    return float(value)


def _changed(eq: Point, name: str, value: float) -> Coupled:
    """The problem with one parameter changed, on the same paths."""
    own = eq.coupled.own
    scenario, own = set_up(
        eq.original,
        eq.scenario.name,
        v2g=eq.scenario.v2g,
        changes={**eq.scenario.changes, name: value},
        players=own.functions,
        own=own,
    )
    roads = traffic(scenario, first_paths=False)
    return couple(scenario, roads.over(_driven(eq.coupled.traffic, roads)), own)


def _driven(old: Traffic, new: Traffic) -> dict[str, PathSet]:
    """The same paths, with the energies of the batteries and roads there are now.

    Raises
    ------
    DataError
        Where one breaks a rule of the battery then.
    """
    sets = dict(old.paths)
    same_roads = np.array_equal(old.graph.length_km, new.graph.length_km)
    for name in new.electric:
        rules, own = new.rules(name), old.paths[name]
        if same_roads and rules == old.rules(name):
            continue
        driven = [make_path(new.graph, rules, p.od, p.arcs, p.key[2]) for p in own.paths]
        feasible = [p for p in driven if p is not None]
        if len(feasible) < len(driven):
            raise DataError(f"a path of class {name!r} would break a rule of the battery")
        sets[name] = PathSet(new.graph, own.od_count, own.stations, feasible)
    return sets
