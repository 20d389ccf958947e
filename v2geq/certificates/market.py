"""The certificate: every reason to believe a point is an equilibrium, recomputed from the point.

model.md, 7. Nothing here comes from the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from v2geq.arrays import FloatArray
from v2geq.certificates.duality import could_gain
from v2geq.certificates.verdict import Figure, Verdict
from v2geq.certificates.wardrop import relative, wardrop
from v2geq.convex.deviation import best_deviation
from v2geq.errors import ConvergenceError
from v2geq.market.accounts import Accounts, accounts
from v2geq.market.coupling import Coupled
from v2geq.market.prices import dlmp_parts
from v2geq.mcp.problem import scaled_residual
from v2geq.show import MONEY, money


@dataclass(frozen=True, repr=False)
class Certificate(Verdict):
    """Recomputed evidence that a point is an equilibrium.

    Its figures, by attribute; ``certificate[name].evidence`` tells where they are worst:

    natural_residual
        Scaled natural residual: the largest of |z - clip(z - F, lower, upper)| after dividing
        variables and rows by their data scales.
    wardrop_gap
        sum f (C - u) / sum f * time cost over the paths in the problem.
    trip_cost_gap
        Largest |u - cheapest path| over all OD pairs, however few their trips, as a share of the
        trip's cost (at least of its time); over the listed paths where paths are enumerated.
    market_mismatch_kw
        Largest imbalance of any market in kW, the root's included, which the gauge takes out of the
        problem.
    row_gap
        Largest violation of any player's constraint, or of a market in another unit than kW, as a
        share of its own terms (of one unit where they are smaller): scales of the data, which one
        odd entry can make large, have no part in it.
    voltage_violation_pu, rating_violation_kva, bound_violation
        Largest violation of voltage limits (pu), line ratings (kVA) and any bound (scaled).
    regret
        Largest of `regrets` as a share of turnover, of the players in the verdict.
    account_gap
        Gap of the accounting identity, as a share of the turnover of all players but the drivers.
    parts_gap
        Largest difference between a DLMP and the sum of its parts, of which each is found by
        itself, as a share of the largest DLMP (of one where it is smaller).
    ac_distance_kw, ac_distance_pu
        With losses, largest distance of flows and of voltages from their AC power flow.

    Attributes
    ----------
    blocks
        By block: unit of the variable or row, natural residual in it, its worst entry, scaled
        residual.
    markets
        By market: unit, largest imbalance in it, where. More sold than bought is none where the
        price may not be below zero.
    regrets
        By player: regret ($/h, what deviating alone could gain), turnover ($/h), relative regret.
        Found by solving the player's problem anew, or else bounded by the duality gap.
    wardrop_gap_all_paths
        As wardrop_gap, against the cheapest path over all energy-feasible paths.
    exact_paths
        Whether the drivers' regret is part of the verdict: with enumerated paths cheaper ones may
        exist outside the list, and the regret says by how much.
    case
        Name and hash of the case it is about.
    currency
        That of the case.
    """

    blocks: pd.DataFrame = field(kw_only=True)
    markets: pd.DataFrame = field(kw_only=True)
    regrets: pd.DataFrame = field(kw_only=True)
    wardrop_gap_all_paths: float = field(kw_only=True)
    exact_paths: bool = field(kw_only=True)
    case: str = field(default="", kw_only=True)
    currency: str = field(default=MONEY, kw_only=True)

    def lines(self) -> list[str]:
        """The verdict, its figures, where they are worst, and the regret of every player."""
        head, *lines = super().lines()
        for word, name in (
            ("entry", "natural_residual"),
            ("trip cost", "trip_cost_gap"),
            ("constraint", "row_gap"),
        ):
            lines.append(f"  {'worst ' + word:<22} {self[name].evidence}")
        if self.case:
            lines.insert(0, f"  {'case':<22} {self.case}")
        lines.append(f"  {'gap over all paths':<22} {self.wardrop_gap_all_paths:10.2e}")
        for market, row in self.markets[self.markets["unit"] != "kW"].iterrows():
            lines.append(
                f"  {f'imbalance of {market}':<22} {row['mismatch']:10.2e}   {row['unit']}"
            )
        lines.append(f"  regret by player ({self.currency}/h, share of turnover):")
        for player, row in self.regrets.iterrows():
            lines.append(f"    {player:<14} {row['regret']:10.2e} {row['relative']:10.2e}")
        return [head, *lines]


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
                "unit": money(b.row_unit if by_row else b.unit, coupled.scenario.case.currency),
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
        unit = money(market.unit, coupled.scenario.case.currency)
        rows[market.name] = (unit, float(off.max(initial=0.0)), worst)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["unit", "mismatch", "worst"])


def certify(coupled: Coupled, z: FloatArray) -> tuple[Certificate, Accounts]:
    """Certificate and accounts of the point `z`."""
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
    regrets, f = {}, mcp.split(mcp.F(z))
    for player, program in coupled.traders.items():
        try:
            gain = best_deviation(program, values, values).profit - program.profit(values, values)
        except ConvergenceError:
            # where its own problem defeats Clarabel the multipliers say what it can be at most
            gain = could_gain(program, values, f)
        regrets[player] = (max(gain, 0.0), float(book.turnover[player]))
    traders = list(regrets)
    for name, gain in drivers.gains.items():
        regrets[f"drivers.{name}"] = (max(gain, 0.0), drivers.time_costs[name])
    table = pd.DataFrame.from_dict(regrets, orient="index", columns=["regret", "turnover"])
    table["relative"] = [relative(*row) for row in table.to_numpy().tolist()]

    parts = dlmp_parts(coupled, z)
    exact = case.paths.method == "exact"
    counted = table if exact else table.loc[traders]
    entry = blocks["scaled"].to_numpy().argmax()
    figures = [
        Figure("natural_residual", blocks["scaled"].max(), 1e-8, "", blocks["worst"].iloc[entry]),
        Figure("wardrop_gap", drivers.gap, 1e-8),
        Figure("trip_cost_gap", drivers.trip_cost_gap, 1e-7, "", drivers.worst),
        Figure("market_mismatch_kw", in_kw["mismatch"].max(skipna=False), 1e-6, "kW"),
        Figure("row_gap", off, 1e-6, "", worst),
        Figure("voltage_violation_pu", broken.voltage_pu, 1e-6, "pu"),
        Figure("rating_violation_kva", broken.rating_kva, 1e-4, "kVA"),
        Figure("bound_violation", max(0.0, outside.max()), 1e-9),
        Figure("regret", counted["relative"].max(skipna=False), 1e-5),
        Figure("account_gap", abs(book.identity_gap) / float(book.turnover[traders].sum()), 1e-6),
        Figure("parts_gap", parts.gap / max(1.0, float(parts.price.abs().max())), 1e-7),
    ]
    if coupled.grid.has_losses:
        kw, pu = coupled.grid.distance(values)
        figures += [Figure("ac_distance_kw", kw, 1e-3, "kW")]
        figures += [Figure("ac_distance_pu", pu, 1e-6, "pu")]
    return (
        Certificate(
            tuple(f._replace(value=float(f.value)) for f in figures),
            blocks=blocks,
            markets=mismatches,
            regrets=table,
            wardrop_gap_all_paths=drivers.gap_all_paths,
            exact_paths=exact,
            currency=case.currency,
        ),
        book,
    )
