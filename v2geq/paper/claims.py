"""The thirteen claims of the paper, compared with what a study finds.

Claims: J. Hou, Y. Li, J.-S. Pang, arXiv 2605.16765 (2026), figures 5 to 10. The authors' parameters
are not printed, so a claim is met ("yes"), met in its direction only ("direction"), or not ("no").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from v2geq.errors import DataError

SCENARIOS = ("base", "stress", "island")
NORMAL_PRICE = 3.0
"""A DLMP counts as normal up to this multiple of the reference price."""
HIGH_PRICE = 10.0
"""A peak counts as exceptionally high from this multiple of the base case's."""
SAME_SHARE = 1e-3
"""Shares closer than this count as the same."""
NO_SHED = 1e-3
"""Load shed (kW) that counts as none."""
MARGINAL = 5e-3
"""Relative change of the social cost that counts as marginal."""
SAVING = 1e-9
"""Share of the social cost below which a change of it is rounding."""
POWER_TERMS = ("generation", "TSO purchase", "lost load")
PAPER_ROUTES = {False: "1-2-6-8-7-18-20", True: "1-3-12-13-24-21-20"}

Facts = Mapping[tuple[str, bool], Mapping[str, Any]]


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, what is found here, whether it holds, and why."""

    number: int
    claim: str
    paper: str
    here: str
    met: str
    reason: str


def check_claims(facts: Facts) -> list[Claim]:
    """Judge the claims on the six runs of a study.

    Parameters
    ----------
    facts
        (scenario, v2g) -> facts of the run, see `v2geq.paper.facts.facts`.

    Raises
    ------
    DataError
        Where one of the six runs is missing.
    """
    for scenario in SCENARIOS:
        for v2g in (False, True):
            if (scenario, v2g) not in facts:
                raise DataError(
                    f"the claims need run {scenario} {'with' if v2g else 'without'} V2G",
                    advice="solve base, stress and island, each without and with V2G",
                )
    view = _View(facts)
    return [
        view.base_is_normal(),
        view.stress_sheds(),
        view.v2g_relieves(),
        view.supply(),
        view.visits(),
        view.discharge_paths(),
        view.energies(),
        view.dwell(),
        view.pairs(),
        view.trip_cost(),
        view.route(),
        view.social_cost(),
        view.sources_of_saving(),
    ]


def _word(met: bool, direction: bool = False) -> str:
    return "yes" if met else "direction" if direction else "no"


class _View:
    """The facts by name, and one method per claim."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def get(self, name: str, v2g: bool) -> tuple[float, float, float]:
        """A figure in base, stress and island."""
        base, stress, island = (float(self.facts[s, v2g][name]) for s in SCENARIOS)
        return base, stress, island

    def base_is_normal(self) -> Claim:
        shed = [self.facts["base", v]["load_shed_kw"] for v in (False, True)]
        peak = [self.facts["base", v]["dlmp_max"] for v in (False, True)]
        normal = NORMAL_PRICE * self.facts["base", False]["reference_price"]
        return Claim(
            1,
            "base: no load shed, highest DLMP normal, V2G or not",
            "shed 0, normal price",
            f"shed {shed[0]:.0f} / {shed[1]:.0f} kW, peak {peak[0]:.3f} / {peak[1]:.3f} $/kWh",
            _word(max(shed) <= NO_SHED and max(peak) <= normal),
            f"normal: up to {NORMAL_PRICE:g} x the reference price, {normal:.2f} $/kWh",
        )

    def stress_sheds(self) -> Claim:
        base = self.facts["base", False]["dlmp_max"]
        _, *shed = self.get("load_shed_kw", False)
        _, *peak = self.get("dlmp_max", False)
        return Claim(
            2,
            "stress and island without V2G: load shed, exceptionally high peak DLMP",
            "shed > 0, very high peak",
            f"shed {shed[0]:.0f} / {shed[1]:.0f} kW, peak {peak[0]:.2f} / {peak[1]:.2f} $/kWh",
            _word(min(shed) > NO_SHED and min(peak) >= HIGH_PRICE * base),
            f"shed load sets the value of lost load as price; high: {HIGH_PRICE:g} x base",
        )

    def v2g_relieves(self) -> Claim:
        _, *before = self.get("dlmp_max", False)
        _, *after = self.get("dlmp_max", True)
        _, *shed = self.get("load_shed_kw", True)
        half = all(b <= 0.5 * a for a, b in zip(before, after, strict=True))
        return Claim(
            3,
            "stress and island with V2G: no load shed, highest DLMP near normal",
            "shed 0, near normal",
            f"shed {shed[0]:.0f} / {shed[1]:.0f} kW, peak {after[0]:.2f} / {after[1]:.2f} $/kWh",
            _word(max(shed) <= NO_SHED and half),
            f"peak {_ratio(after[0], before[0]):.0%} and {_ratio(after[1], before[1]):.0%} of the "
            "one without V2G (asked: at most half); in the island waiting vehicles set the price",
        )

    def supply(self) -> Claim:
        without, with_v2g = self.get("generation_kw", False), self.get("generation_kw", True)
        discharge = self.get("discharge_kw", True)
        net = float(self.facts["island", True]["stations_net_kw"])
        up = all(min(g[1:]) > g[0] for g in (without, with_v2g))
        return Claim(
            4,
            "local generation rises in stress and island; V2G adds supply; in island the stations "
            "inject on balance",
            "as said",
            f"generation {_list(without)} kW without, {_list(with_v2g)} with V2G; discharge "
            f"{_list(discharge)} kW; island stations net {net:.0f} kW",
            _word(up and min(discharge[1:]) > 0 and net < 0),
            "in the island the generators there run at their limits",
        )

    def visits(self) -> Claim:
        without, with_v2g = (self.get("station_visit_share", v2g) for v2g in (False, True))
        same = max(*without, with_v2g[0]) - min(*without, with_v2g[0]) <= SAME_SHARE
        rises = without[0] < with_v2g[1] < with_v2g[2]
        close = abs(with_v2g[1] - 0.22) < 0.02 and abs(with_v2g[2] - 0.34) < 0.02
        return Claim(
            5,
            "share of EV trips that use a station: the same without V2G and in base, higher with "
            "V2G in stress, more in island",
            "22 % stress, 34 % island",
            f"{_percent(without)} without, {_percent(with_v2g)} with V2G",
            _word(same and rises and close, rises),
            ("the same in the four runs; " if same else "not the same in the four runs; ")
            + "how far it rises depends on demand and piles, which the paper does not print",
        )

    def discharge_paths(self) -> Claim:
        share = self.get("discharge_share", True)
        return Claim(
            6,
            "trips that discharge: few in base, many in stress, most in island",
            "base < stress < island",
            _percent(share),
            _word(share[0] < share[1] < share[2]),
            "the price a vehicle is paid follows scarcity",
        )

    def energies(self) -> Claim:
        before, after = self.get("charge_kw", False), self.get("charge_kw", True)
        out = self.get("discharge_kw", True)
        lower = all(b < a for a, b in zip(before, after, strict=True))
        order = out[0] < out[1] < out[2]
        return Claim(
            7,
            "V2G lowers gross charging in all scenarios; discharged energy: base < stress < island",
            "lower; base < stress < island",
            f"charge {_list(before)} kW without, {_list(after)} with V2G; discharge {_list(out)}",
            _word(lower and order, order),
            "vehicles that discharge must charge again where the way is longer than what is left"
            if not lower
            else "vehicles leave with less where energy is dear",
        )

    def dwell(self) -> Claim:
        before, after = self.get("dwell_h", False), self.get("dwell_h", True)
        met = after[0] > before[0] and after[1] < before[1] and after[2] < before[2]
        return Claim(
            8,
            "V2G lowers dwell time at stations in stress and island, raises it in base",
            "base up, stress and island down",
            f"{_list(before, 1)} h/h without, {_list(after, 1)} with V2G",
            _word(met, after[1] < before[1]),
            "in the island discharging pays so well that vehicles queue for it"
            if after[2] >= before[2]
            else "stops spread over more stations",
        )

    def pairs(self) -> Claim:
        count = self.get("discharge_od_pairs", True)
        return Claim(
            9,
            "OD pairs that discharge: island > stress > base",
            "island > stress > base",
            _list(count),
            _word(count[0] < count[1] < count[2]),
            "pairs with more than 0.01 veh/h that discharge, least-squares path flow",
        )

    def trip_cost(self) -> Claim:
        _, *before = self.get("cost_od_1_20", False)
        _, *after = self.get("cost_od_1_20", True)
        falls = all(b < a for a, b in zip(before, after, strict=True))
        near = all(abs(b / 14.7 - 1.0) < 0.1 for b in after) and (
            abs(before[0] / 36.4 - 1.0) < 0.1 and abs(before[1] / 528.7 - 1.0) < 0.1
        )
        return Claim(
            10,
            "OD pair 1-20: cost per trip falls with V2G",
            "36.4 (stress), 528.7 (island) to about 14.7 $",
            f"{before[0]:.1f} to {after[0]:.1f} $ in stress, {before[1]:.1f} to {after[1]:.1f} $ "
            "in island",
            _word(near, falls),
            "the cost without V2G is the value of lost load times the energy that must be charged; "
            "in the island this pair charges in the part the substation feeds",
        )

    def route(self) -> Claim:
        found = {v: self.facts["stress", v]["focus_nodes"] for v in (False, True)}
        sold = self.facts["stress", True]["focus_discharges_at"]
        met = found == PAPER_ROUTES and str(sold).endswith("12")
        return Claim(
            11,
            "OD pair 1-20 in stress: dominant path without V2G and, longer, with a discharge at 12",
            f"{PAPER_ROUTES[False]}; {PAPER_ROUTES[True]} with a discharge at 12",
            "; ".join(
                f"{self.facts['stress', v]['focus_route']} "
                f"({self.facts['stress', v]['focus_km']:.0f} km)"
                for v in (False, True)
            ),
            _word(met, found == PAPER_ROUTES),
            "a trip that can drive 16 km after discharging need not charge on 22 km, so one "
            "discharge alone contradicts claim 10; discharging and charging again fits both",
        )

    def social_cost(self) -> Claim:
        change, bare = [], []
        for scenario in SCENARIOS:
            before, after = (self.facts[scenario, v]["social_cost_terms"] for v in (False, True))
            change.append(_ratio(sum(after.values()), sum(before.values())) - 1.0)
            bare.append(_ratio(_without_travel(after), _without_travel(before)) - 1.0)
        direction = abs(change[0]) < MARGINAL and max(change[1:]) < 0
        met = direction and all(abs(c + 0.06) < 0.02 for c in change[1:])
        return Claim(
            12,
            "social cost: marginal change in base, about -6 % in stress and island",
            "about 0, -6, -6 %",
            f"{_percent(change, 2)}; without travel time {_percent(bare, 1)}",
            _word(met, direction),
            "travel time of fuel vehicles is most of the cost; see the change in $ by term",
        )

    def sources_of_saving(self) -> Claim:
        shares, penalties = [], []
        for scenario in SCENARIOS[1:]:
            before, after = (self.facts[scenario, v]["social_cost_terms"] for v in (False, True))
            saving = sum(before.values()) - sum(after.values())
            power = sum(before[k] - after[k] for k in POWER_TERMS)
            # rounding of the two costs is no saving
            saved = saving if abs(saving) > SAVING * sum(map(abs, before.values())) else 0.0
            shares.append(_ratio(power, saved))
            penalties.append(before["lost load"] - after["lost load"])
        return Claim(
            13,
            "the saving comes from generation cost and shortage penalty",
            "generation and penalty",
            "supply and lost load make "
            + " and ".join(
                f"{f'{share:.0%}' if share == share else 'nothing'} ({scenario})"
                for share, scenario in zip(shares, SCENARIOS[1:], strict=True)
            )
            + " of the saving",
            _word(min(shares) > 0.5 and min(penalties) > 0),
            f"lost load alone falls by {penalties[0]:,.0f} and {penalties[1]:,.0f} $/h; above "
            "100 % drivers give some of it back",
        )


def _ratio(part: float, whole: float) -> float:
    """`part / whole`, not a number where the whole is nothing, as where V2G is never used."""
    return part / whole if whole else float("nan")


def _without_travel(terms: Mapping[str, float]) -> float:
    return sum(v for k, v in terms.items() if not k.startswith("travel"))


def _list(values: tuple[float, ...], digits: int = 0) -> str:
    return " / ".join(f"{round(v, digits) + 0.0:.{digits}f}" for v in values)


def _percent(values: tuple[float, ...] | list[float], digits: int = 1) -> str:
    return " / ".join(f"{round(100.0 * v, digits) + 0.0:.{digits}f} %" for v in values)
