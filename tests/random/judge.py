"""What must be true of the answer to any case: solved and certified, or refused for a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import byhand
import cvxpy as cp
import numpy as np
from drivers_byhand import legs_of
from random_cases import Market

import v2geq as vg
from v2geq.errors import DataError
from v2geq.market.lifting import lifted, settle
from v2geq.scenario import resolve
from v2geq.solvers import Options, solver
from v2geq.trips.traffic import traffic


def solve(market: Market) -> vg.Equilibrium | None:
    """The equilibrium, or None where the case is refused and the refusal is right.

    A ConvergenceError is a failure: every case is monotone or nearly so, and small.
    """
    try:
        return vg.solve(market.case, v2g=market.v2g)
    except DataError as error:
        confirm(market, str(error))
        return None


# -- refusals ------------------------------------------------------------------------------------


def confirm(market: Market, message: str) -> None:
    """Raise unless the case deserves this error."""
    f = byhand.facts(market.case, "base", market.v2g)
    if "and no supply" in message:
        assert _island_without_supply(f), message
    elif "energy-feasible path" in message:
        assert _no_path(market, f, message), message
    elif "no state of the market" in message:
        assert not some_state(market, f), message
    elif any(word in message for word in ("is held at", "reactive source", "reactive range")):
        assert not _solvable(byhand.Grid(f).constraints), message
    else:
        raise AssertionError(f"refused for an unknown reason: {message}")


def _island_without_supply(f: byhand.Facts) -> bool:
    load = f.firm + f.responsive
    for c in set(f.island) - {f.island[f.at[f.root]]}:
        here = {b for b, k in zip(f.buses, f.island, strict=True) if k == c}
        supply = f.generators["max_kw"][f.generators["bus"].isin(here)].sum()
        if f.v2g:
            supply += f.stations["discharge_max_kw"][f.stations["bus"].isin(here)].sum()
        if load[f.island == c].sum() > 0 and supply == 0:
            return True
    return False


def _no_path(market: Market, f: byhand.Facts, message: str) -> bool:
    case = market.case
    legs = legs_of(case.road, case.drivers, f.stations)
    lacking = [
        (name, o, d)
        for name, known in legs.items()
        for o, d in zip(case.trips[name]["origin"], case.trips[name]["destination"], strict=True)
        if not known.feasible(o, d)
    ]
    if lacking:
        return True
    # on base routes a path may be missing that exists: they repeat no node, as the way to a station
    # and back does, and pass no closed node, at whose station a trip may stop
    return case.paths.method == "enumerate" and "on its" in message


def some_state(market: Market, f: byhand.Facts) -> bool:
    """Whether all constraints of all players can hold together, over all paths; by HiGHS."""
    case = market.case
    grid = byhand.Grid(f)
    retailers = [byhand.Retailer(f, k) for k in case.lses.index]
    charge, discharge, rules = _station_use(market, f)
    rules += [sum(k.use for k in retailers) == grid.withdrawal, *grid.constraints]
    for k in retailers:
        rules += k.constraints
    if len(f.stations):
        rules += [
            charge == sum(k.to_station for k in retailers),
            discharge == sum(k.from_station for k in retailers),
            charge - discharge <= f.stations["charge_max_kw"].to_numpy(),
            charge - discharge >= -f.stations["discharge_max_kw"].to_numpy(),
        ]
    return _solvable(rules)


def _solvable(rules) -> bool:
    problem = cp.Problem(cp.Minimize(0), rules)
    # trips of 1e-9 an hour that must charge where nothing is sold are infeasible by 1e-8 kW
    options = {"method": "highs", "primal_feasibility_tolerance": 1e-10}
    problem.solve(solver=cp.SCIPY, scipy_options=options)
    assert problem.status in ("optimal", "infeasible"), problem.status
    return problem.status == "optimal"


def _station_use(market: Market, f: byhand.Facts):
    """Energy charged and discharged by station (kW) as expressions of flows, and the flows' rules."""
    case, stations = market.case, list(f.stations.index)
    # class -> (OD pair, station -> energy of a vehicle, charged positive)
    options: dict[str, list[tuple[int, dict[int, float]]]] = {}
    if case.paths.method == "enumerate":
        roads = traffic(resolve(case, "base", v2g=market.v2g))
        for name in roads.classes:
            options[name] = [
                (p.od, {s.station: s.energy_kwh * (1 if s.kind == "C" else -1) for s in p.stops})
                for p in roads.paths[name].paths
            ]
    else:
        legs = legs_of(case.road, case.drivers, f.stations)
        for name, known in legs.items():
            t = case.trips[name]
            options[name] = [
                (w, use)
                for w, (o, d) in enumerate(zip(t["origin"], t["destination"], strict=True))
                for use in known.station_energies(o, d, v2g=market.v2g)
            ]
    charge: Any = cp.Constant(np.zeros(len(stations)))
    discharge: Any = charge
    rules = []
    for name, listed in options.items():
        flow = byhand.variable(len(listed), nonneg=True)
        trips = case.trips[name]["trips_veh_h"].to_numpy()
        member = np.zeros((len(trips), len(listed)))
        energy = np.zeros((len(stations), len(listed)))
        for k, (w, use) in enumerate(listed):
            member[w, k] = 1.0
            for s, e in use.items():
                energy[s, k] += e
        rules.append(member @ flow == trips)
        if stations:
            charge = charge + np.maximum(energy, 0) @ flow
            discharge = discharge + np.maximum(-energy, 0) @ flow
    return charge, discharge, rules


# -- equilibria ----------------------------------------------------------------------------------


def check_saved(eq: vg.Equilibrium, path: Path) -> None:
    """A saved file holds the same point to the last bit, and certifies by itself."""
    eq.save(path)
    again = vg.load(path)
    assert np.array_equal(again.z, eq.z)
    assert not again.edited
    assert again.certificate.holds, again.certificate
    assert again.summary == eq.summary or _same(again.summary, eq.summary)


def _same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        x == b[k] or (x != x and b[k] != b[k]) for k, x in a.items()
    )


def check_each_pair(eq: vg.Equilibrium) -> None:
    """The trips of every OD pair drive, as few as they are, and on none but its cheapest paths."""
    for name, kind in eq.original.drivers.items():
        paths, trips = eq.paths(name), eq.original.trips[name]
        costs = eq.data[f"cost_{name}"].to_numpy()
        for (o, d, demand), u in zip(
            trips[["origin", "destination", "trips_veh_h"]].itertuples(index=False),
            costs,
            strict=True,
        ):
            own = paths[(paths["origin"] == o) & (paths["destination"] == d)]
            flow = own["flow_veh_h"].to_numpy()
            assert abs(flow.sum() - demand) <= 1e-6 * demand, (name, o, d, flow.sum(), demand)
            assert (flow >= -1e-9 * demand).all(), (name, o, d, flow)
            dear = float(flow @ (own["cost"].to_numpy() - u))
            size = max(abs(u), kind.value_of_time * float(own["time_h"].min()))
            assert abs(dear) <= 1e-6 * demand * size, (name, o, d, dear / demand, u)


def has_potential(market: Market) -> bool:
    """Whether the equilibrium is the optimum of the convex program of the equilibrium page."""
    case = market.case
    times = {k.value_of_time for k in case.drivers.values() if k.kind == "ev"}
    return (
        len(times) <= 1
        and case.market.inverse_demand == "linear"
        and (case.generators["cost"] == "").all()
        # expansions of the potential need a slope and curvature
        and (case.road.arcs["bpr_power"] >= 1).all()
    )


def check_potential(eq: vg.Equilibrium, *, rel: float = 1e-5) -> bool:
    """The point attains the convex program's optimum, and agrees in what is unique there.

    Ties are common in random cases, so only what is strictly convex counts as unique: flows on
    arcs that congest, stops where queues grow, generation with a quadratic cost, sales. Where
    several optima exist, the value decides. False where Clarabel finds no optimum to compare with.
    """
    case = eq.original
    f = byhand.facts(case, "base", eq.scenario.v2g)
    paths = byhand.path_lists(eq)
    phi = byhand.potential_value(eq.values, eq.coupled.mcp, f, paths)
    try:
        program = byhand.Potential(f, paths).solve()
    except AssertionError as error:
        if "Clarabel ended" not in str(error):
            raise
        return False
    k, t = program.retailers, program.trips
    road = case.road.arcs
    ratio = np.maximum(t.ratio.value, 0.0)
    rise = t.bpr_b * ratio ** (t.power + 1) / (t.power + 1)
    travel = float((t.t0 * t.cap * (ratio + rise)).sum())
    waiting = 0.0
    if t.waits:
        n = t.n.value

        def queue(z: np.ndarray) -> np.ndarray:
            e = t.eps
            return (z**2 + z * np.sqrt(z**2 + e**2) + e**2 * np.arcsinh(z / e)) / 4

        waiting = float((t.base * n + t.slope * (queue(n - t.piles) - queue(-t.piles))).sum())
    money = float(t.money.value) if hasattr(t.money, "value") else float(t.money)
    best = float(program.power_cost.value) + t.omega * (travel + waiting) + money
    book = abs(best) + float(eq.accounts.social_cost.abs().sum())
    # Phi is convex: no feasible point can be below its optimum, and an equilibrium is not above
    # (to the accuracy of the convex program, in the money that all load is worth)
    worth = float(f.firm.sum() + f.responsive.sum()) * case.market.reference_price
    assert abs(phi - best) <= 1e-7 * max(book, worth), (phi, best)

    def close(got, want, size: float, what: str) -> None:
        gap = float(np.abs(np.asarray(got) - np.asarray(want)).max(initial=0.0))
        assert gap <= rel * size, (what, gap / size)

    congests = ((road["bpr_b"] > 0) & (road["bpr_power"] == 1)).to_numpy()
    x = np.maximum(eq.flow_veh_h.to_numpy(), 0.0)
    # flows of a few vehicles a day are beneath the program's own accuracy
    close((ratio * t.cap)[congests], x[congests], max(float(x.max()), 0.01), "arc flow")
    kw = max(1.0, float(f.firm.sum() + f.responsive.sum()))
    for name, r in k.items():
        if not len(r.q.value):
            continue
        mine = byhand.Retailer(f, name)
        mine.assign(eq)
        close(r.q.value, mine.q.value, kw, f"sales of {name}")
        curvature = r.own["cost_quadratic"].to_numpy()
        gap = np.abs(r.gen.value - mine.gen.value)
        # where costs are nearly straight, the program's own accuracy in $ leaves some room
        room = np.maximum((rel * kw) ** 2 * curvature, 1e-10 * book)
        assert (curvature * gap**2 <= room).all(), (f"generation of {name}", gap)
    return True


def sells_beyond_range(eq: vg.Equilibrium) -> bool:
    """Whether the result says that sales leave the range where the inverse demand was checked."""
    return any("demand_range" in text for text in eq.warnings)


def solve_from_afar(eq: vg.Equilibrium) -> None:
    """The same problem from a far point, on both sides of all bounds, is solved as well.

    Not from arbitrarily far: where arcs start at many times their capacity, times of the fourth
    power hold every step up.
    """
    faint = lifted(eq.coupled)
    mcp = faint or eq.coupled.mcp
    start = mcp.start + mcp.scale * np.random.default_rng(1).normal(0.0, 1.0, mcp.n)
    result = solver("auto")(mcp, start, None)
    if faint is not None:
        result = settle(eq.coupled, result, Options())
    assert result.status.ok, (result.status, result.residual, result.worst)
