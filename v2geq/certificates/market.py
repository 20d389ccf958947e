"""The certificate: every reason to believe a point is an equilibrium, recomputed from the point.

model.md, 7. Nothing here comes from the solver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.certificates.wardrop import relative, wardrop
from v2geq.convex.deviation import best_deviation
from v2geq.market.accounts import Accounts, accounts
from v2geq.market.coupling import Coupled
from v2geq.mcp.problem import scaled_residual
from v2geq.show import card

LIMITS: Mapping[str, float] = {
    "natural_residual": 1e-8,
    "wardrop_gap": 1e-8,
    "trip_cost_gap": 1e-7,
    "market_mismatch_kw": 1e-6,
    "row_gap": 1e-6,
    "voltage_violation_pu": 1e-6,
    "rating_violation_kva": 1e-4,
    "bound_violation": 1e-9,
    "regret": 1e-5,
    "account_gap": 1e-6,
}
"""What a certificate must keep; `regret` and `account_gap` are shares of turnover."""


@dataclass(frozen=True)
class Certificate:
    """Recomputed evidence that a point is an equilibrium.

    Attributes
    ----------
    natural_residual
        Scaled natural residual: the largest of |z - clip(z - F, lower, upper)| after dividing
        variables and rows by their data scales.
    blocks
        By block: unit of the variable, unit of the row, natural residual in these units, its
        worst entry, scaled residual.
    wardrop_gap
        sum f (C - u) / sum f * time cost over the paths in the problem.
    wardrop_gap_all_paths
        The same against the cheapest path over all energy-feasible paths.
    trip_cost_gap, trip_cost_worst
        Largest |u - cheapest path| over all OD pairs, however few their trips, as a share of the
        trip's cost (at least of its time), and the pair; over the listed paths where paths are
        enumerated.
    market_mismatch_kw
        Largest imbalance of any market in kW, the root's included, which the gauge takes out of the
        problem.
    markets
        By market: unit, largest imbalance in it, where. More sold than bought is none where the
        price may not be below zero.
    row_gap, row_worst
        Largest violation of any player's constraint, or of a market in another unit than kW, as a
        share of its own terms (of one unit where they are smaller), and which: scales of the data,
        which one odd entry can make large, have no part in it.
    voltage_violation_pu, rating_violation_kva, bound_violation
        Largest violation of voltage limits (pu), line ratings (kVA) and any bound (scaled).
    regrets
        By player: regret ($/h, what deviating alone could gain), turnover ($/h), relative regret.
    account_gap
        Gap of the accounting identity, as a share of the turnover of all players but the drivers.
    exact_paths
        Whether the drivers' regret is part of the verdict: with enumerated paths cheaper ones may
        exist outside the list, and the regret says by how much.
    case
        Name and hash of the case it is about.
    """

    natural_residual: float
    blocks: pd.DataFrame
    wardrop_gap: float
    wardrop_gap_all_paths: float
    trip_cost_gap: float
    trip_cost_worst: str
    market_mismatch_kw: float
    markets: pd.DataFrame
    row_gap: float
    row_worst: str
    voltage_violation_pu: float
    rating_violation_kva: float
    bound_violation: float
    regrets: pd.DataFrame
    account_gap: float
    exact_paths: bool
    extra_failures: tuple[str, ...] = field(default=())
    case: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """The figures the verdict rests on, by name."""
        return {
            "natural_residual": self.natural_residual,
            "wardrop_gap": self.wardrop_gap,
            "trip_cost_gap": self.trip_cost_gap,
            "market_mismatch_kw": self.market_mismatch_kw,
            "row_gap": self.row_gap,
            "voltage_violation_pu": self.voltage_violation_pu,
            "rating_violation_kva": self.rating_violation_kva,
            "bound_violation": self.bound_violation,
            "regret": self.largest_regret,
            "account_gap": self.account_gap,
        }

    @property
    def largest_regret(self) -> float:
        """Largest relative regret of the players in the verdict."""
        counted = self.regrets
        if not self.exact_paths:
            counted = counted[~counted.index.str.startswith("drivers")]
        return float(counted["relative"].max(skipna=False))

    @property
    def failures(self) -> list[str]:
        """What breaks its limit, in words; empty for an equilibrium."""
        broken = [
            f"{name} is {value:.3g}, limit {LIMITS[name]:.0e}"
            for name, value in self.figures.items()
            if not value <= LIMITS[name]
        ]
        return [*broken, *self.extra_failures]

    @property
    def holds(self) -> bool:
        """Whether every figure keeps its limit."""
        return not self.failures

    def _repr_html_(self) -> str:
        rows = {
            name: f"{value:.2e} (limit {LIMITS[name]:.0e})" for name, value in self.figures.items()
        }
        rows["gap over all paths"] = f"{self.wardrop_gap_all_paths:.2e}"
        return card("certificate", rows, note="; ".join(self.failures), good=self.holds)

    def __str__(self) -> str:
        lines = [
            "certificate: " + ("holds" if self.holds else "FAILS: " + "; ".join(self.failures))
        ]
        for name, value in self.figures.items():
            lines.append(f"  {name:<22} {value:10.2e}   (limit {LIMITS[name]:.0e})")
        worst = self.blocks["worst"].iloc[int(self.blocks["scaled"].to_numpy().argmax())]
        lines.append(f"  worst entry            {worst}")
        lines.append(f"  worst trip cost        {self.trip_cost_worst}")
        lines.append(f"  worst constraint       {self.row_worst}")
        if self.case:
            lines.insert(1, f"  {'case':<22} {self.case}")
        lines.append(f"  gap over all paths     {self.wardrop_gap_all_paths:10.2e}")
        for market, row in self.markets[self.markets["unit"] != "kW"].iterrows():
            lines.append(f"  imbalance of {market:<9} {row['mismatch']:10.2e}   {row['unit']}")
        lines.append("  regret by player ($/h, share of turnover):")
        for player, row in self.regrets.iterrows():
            lines.append(f"    {player:<14} {row['regret']:10.2e} {row['relative']:10.2e}")
        return "\n".join(lines)


def block_residuals(coupled: Coupled, z: FloatArray) -> pd.DataFrame:
    """Natural residual by block, in the block's units and scaled.

    An entry's residual is at most the smaller of what is wrong with the variable and with the
    row; it is reported as the variable's, in the variable's unit, unless the entry is free, where
    it is the row's.
    """
    mcp = coupled.mcp
    scaled = scaled_residual(mcp, z)
    free = np.isinf(mcp.lower) & np.isinf(mcp.upper)
    size = np.where(free, mcp.row_scale, mcp.scale)
    rows = []
    for b in mcp.blocks:
        if not len(b):
            continue
        worst = b.start + int(np.argmax(scaled[b.slice]))
        by_row = bool(free[worst])
        rows.append(
            {
                "block": b.name,
                "unit": b.row_unit if by_row else b.unit,
                "residual": scaled[worst] * size[worst],
                "worst": b.describe(worst),
                "scaled": scaled[worst],
            }
        )
    return pd.DataFrame(rows).set_index("block")


def row_gap(coupled: Coupled, z: FloatArray) -> tuple[float, str]:
    """Largest violation of a player's constraint beside the size of its own terms, and its name.

    Markets in other units than kW count as well.
    """
    mcp, off, worst = coupled.mcp, 0.0, ""
    left = mcp.matrix @ z + mcp.constant
    size = np.maximum(abs(mcp.matrix) @ np.abs(z) + np.abs(mcp.constant), 1.0)
    rows = [(c.key, c.equality) for program in mcp.programs for c in program.constraints]
    rows += [(m.name, m.lower < 0.0) for m in mcp.markets if m.unit != "kW"]
    for name, equality in rows:
        at = mcp[name]
        value = left[at.slice]
        gap = (np.abs(value) if equality else np.maximum(-value, 0.0)) / size[at.slice]
        if len(gap) and not gap.max() <= off:
            off, worst = float(gap.max()), at.describe(at.start + int(np.argmax(gap)))
    return off, worst


def market_mismatches(coupled: Coupled, z: FloatArray) -> pd.DataFrame:
    """Largest imbalance of every market in its unit; columns unit, mismatch, worst."""
    mcp, rows = coupled.mcp, {}
    f = mcp.F(z)
    for market in mcp.markets:
        at = mcp[market.name]
        # the rows themselves, also the root's, which the gauge takes out of the problem
        value = f[at.slice]
        off = np.abs(value) if market.lower < 0.0 else np.maximum(-value, 0.0)
        worst = at.describe(at.start + int(np.argmax(off))) if len(off) else ""
        rows[market.name] = (market.unit, float(off.max(initial=0.0)), worst)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["unit", "mismatch", "worst"])


def certify(coupled: Coupled, z: FloatArray) -> tuple[Certificate, Accounts]:
    """Certificate and accounts of the point `z`.

    Raises
    ------
    ConvergenceError
        Where a player's own problem has no solution.
    """
    mcp, case = coupled.mcp, coupled.scenario.case
    values = mcp.split(z)
    book = accounts(coupled, values)
    blocks = block_residuals(coupled, z)

    mismatches = market_mismatches(coupled, z)
    in_kw = mismatches[mismatches["unit"] == "kW"]

    off, worst = row_gap(coupled, z)

    broken = coupled.grid.violations(values)
    outside = np.maximum(mcp.lower - z, z - mcp.upper) / mcp.scale

    drivers = wardrop(coupled.traffic, values, exact=case.paths.method == "exact")
    regrets = {}
    for player, program in coupled.programs.items():
        if player == "drivers":
            continue
        now = program.profit(values, values)
        best = best_deviation(program, values, values).profit
        regrets[player] = (max(best - now, 0.0), float(book.turnover[player]))
    traders = list(regrets)
    for name, gain in drivers.gains.items():
        regrets[f"drivers.{name}"] = (max(gain, 0.0), drivers.time_costs[name])
    table = pd.DataFrame.from_dict(regrets, orient="index", columns=["regret", "turnover"])
    table["relative"] = [relative(*row) for row in table.to_numpy().tolist()]

    return (
        Certificate(
            natural_residual=float(blocks["scaled"].max()),
            blocks=blocks,
            wardrop_gap=drivers.gap,
            wardrop_gap_all_paths=drivers.gap_all_paths,
            trip_cost_gap=drivers.trip_cost_gap,
            trip_cost_worst=drivers.worst,
            market_mismatch_kw=float(in_kw["mismatch"].max(skipna=False)),
            markets=mismatches,
            row_gap=off,
            row_worst=worst,
            voltage_violation_pu=broken.voltage_pu,
            rating_violation_kva=broken.rating_kva,
            bound_violation=max(0.0, float(outside.max())),
            regrets=table,
            account_gap=abs(book.identity_gap) / float(book.turnover[traders].sum()),
            exact_paths=case.paths.method == "exact",
        ),
        book,
    )
