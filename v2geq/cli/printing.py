"""What commands print: lines, tables, equilibria."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from v2geq.errors import one_line
from v2geq.progress import Told, beside, visible
from v2geq.show import MONEY, money

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.equilibrium import Equilibrium
    from v2geq.results.summary import SummaryFigure
    from v2geq.studies.outcome import Outcome

STATION_COLUMNS = {
    "charge_price": ("charging", "$/kWh", "{:z.4f}"),
    "discharge_price": ("discharging", "$/kWh", "{:z.4f}"),
    "charge_kw": ("charge", "kW", "{:.1f}"),
    "discharge_kw": ("discharge", "kW", "{:.1f}"),
    "stops_veh_h": ("stops", "veh/h", "{:.1f}"),
    "wait_h": ("wait", "h", "{:.4f}"),
    "charge_wait_h": ("to charge", "h", "{:.4f}"),
    "discharge_wait_h": ("to discharge", "h", "{:.4f}"),
}
"""Columns of the stations' table; the waits by direction only where queues are apart."""


DEAREST = 5
"""Buses whose price is told by parts."""
SHOWN = 1e-9
"""Size of a part of a price that is shown, $/kWh."""
_PARTS = {
    "load_kw": ("load", "kW"),
    "served_kw": ("served", "kW"),
    "charge_kw": ("charge", "kW"),
    "losses_kw": ("losses", "kW"),
    "generation_kw": ("generators", "kW"),
    "stations_kw": ("stations", "kW"),
    "own_kw": ("own", "kW"),
    "import_kw": ("TSO", "kW"),
    "load_kvar": ("load", "kvar"),
    "supply_kvar": ("supply", "kvar"),
}
"""Columns of the table of islands."""


def say(text: str) -> None:
    """Write a line to the standard error."""
    # work goes on where nobody can be told of it
    with beside(), suppress(OSError):
        print(one_line(text), file=sys.stderr, flush=True)


def told() -> Told:
    """Whom work tells how far it is: a terminal shows a line that goes away, files get lines."""
    return None if visible() else say


def _table(headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with two lines of heading, the first column to the left."""
    cells = [[h[0] for h in headings], [h[1] for h in headings], *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def print_runs(outcomes: Sequence[Outcome], figures: Mapping[str, SummaryFigure]) -> None:
    """Print the figures of the runs of a study that have a heading; a failed run has none."""
    certified = all(o.ok for o in outcomes)
    shown = [f for f in figures.values() if f.heading and not (certified and f.name == "status")]
    shown.sort(key=lambda f: f.evidence)
    while True:
        rows = [
            [
                o.run.name,
                *(f.format.format(o.row[f.name]) if f.name in o.row else "-" for f in shown),
            ]
            for o in outcomes
        ]
        lines = _table([("", "run"), *(f.heading for f in shown if f.heading)], rows)
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
        if len(shown) < 4 or max(map(len, lines)) <= room:
            break
        # a narrow terminal gets fewer columns, never cut numbers; the file has them all
        shown.pop()
    print("\n".join(lines), flush=True)


def print_claims(outcomes: list[Outcome], variants: Sequence[str]) -> None:
    """Print the paper's claims where the study asks for them and can judge them."""
    from v2geq.paper.facts import ARXIV
    from v2geq.studies.tables import claims_of

    claims = claims_of(outcomes)
    if not claims:
        return
    beside = {v: claims_of(outcomes, v) for v in variants if v}
    print(f"\nclaims of the paper (arXiv {ARXIV}), met here?")
    for k, claim in enumerate(claims):
        print(f"{claim.number:>3}  {claim.met:<9}  {claim.claim}")
        print(f"{'':16}paper: {claim.paper}")
        print(f"{'':16}here:  {claim.here}")
        for name, others in beside.items():
            if others and others[k].here != claim.here:
                print(f"{'':16}{name}: {others[k].here} ({others[k].met})")
        print(f"{'':16}{claim.reason}")
    print(flush=True)


def say_notes(outcomes: list[Outcome]) -> None:
    """Warnings of all runs, each once."""
    runs: dict[str, list[str]] = {}
    for outcome in outcomes:
        for text in outcome.warnings:
            runs.setdefault(text, []).append(outcome.run.name)
    certified = sum(o.ok for o in outcomes)
    for text, names in runs.items():
        say(f"note: {text} ({'all runs' if len(names) == certified > 1 else ', '.join(names)})")


def print_equilibrium(eq: Equilibrium) -> None:
    """Print an equilibrium for people."""
    figures, currency = eq.summary.figures, eq.scenario.case.currency
    print(repr(eq).strip("<>"))
    print(eq.effort)
    print("\nfigures")
    for key, value in eq.summary.items():
        if isinstance(value, float):
            print(f"  {key:<20}  {_number(value):>12}  {figures[key].unit}".rstrip())
    if eq.tells_uniqueness:
        counts = eq.uniqueness["status"].value_counts()
        told = ", ".join(f"{n} {status}" for status, n in counts.items())
        print(f"  {'prices':<20}  {told or 'of no equilibrium'}")
    print(f"  {'AC':<20}  {eq.ac_line}")
    ranges = eq.path_flows
    print("\nranges over path flows of equal cost: value [min, max]")
    for figure, ends in ranges.ranges.items():
        print(f"  {figure:<20}  {ends}")
    if not ranges.complete:
        print("  too many cheapest paths to list: the ranges may be wider")
    if len(eq.islands) > 1:
        print("\nparts of the feeder, by their reference bus")
        rows = [
            [
                str(row["reference"]),
                *(f"{round(row[c]) + 0:,}" for c in _PARTS),
                f"{row['fee'] + 0.0:z.4f}",
            ]
            for _, row in eq.islands.iterrows()
        ]
        headings = [("", "bus"), *_PARTS.values(), ("fee", money("$/kWh", currency))]
        print("\n".join("  " + line for line in _table(headings, rows)))
    columns = {k: c for k, c in STATION_COLUMNS.items() if k in eq.data}
    stations = eq.data[list(columns)].to_dataframe()[list(columns)]
    if len(stations):
        print("\nstations (prices to drivers)")
        rows = [
            [str(name)]
            + [
                columns[c][2].format(v + 0.0) if v == v else "-"
                for c, v in zip(columns, row.round(4), strict=True)
            ]
            for name, row in zip(stations.index, stations.to_numpy(), strict=True)
        ]
        headings = [
            ("", "station"),
            *((word, money(unit, currency)) for word, unit, _ in columns.values()),
        ]
        print("\n".join("  " + line for line in _table(headings, rows)))
    print_dearest(eq.dlmp_parts, currency)
    own = eq.own_players
    if len(own):
        print("\nown players")
        width = max(len(" ".join(map(str, key))) for key in own.index)
        for key, (amount, unit, meaning) in zip(own.index, own.to_numpy(), strict=True):
            words = " ".join(map(str, key)).strip()
            print(f"  {words:<{width}}  {_number(amount):>12}  {unit:<8}  {meaning}")
    for title, account in (
        ("profit", eq.accounts.profit),
        ("social cost", eq.accounts.social_cost),
    ):
        print(f"\n{title} ({currency}/h)")
        width = max(len(str(name)) for name in account.index)
        for name, value in account.items():
            print(f"  {name!s:<{width}}  {round(float(value), 2) + 0.0:>16,.2f}")
        if title == "social cost":
            print(f"  {'total':<{width}}  {float(account.sum()):>16,.2f}")
    if eq.warnings:
        print()
    for warning in eq.warnings:
        print(f"note: {warning}")
    print()
    print(eq.certificate)


def print_dearest(parts: pd.DataFrame, currency: str = MONEY) -> None:
    """Print the highest DLMPs and their parts, by bus."""
    parts = parts.dropna()
    parts = parts.loc[:, (parts.abs() > SHOWN).any()]
    parts.insert(0, "DLMP", parts.sum(axis=1))
    unit = f"{currency}/kWh"
    rows = [
        [bus if isinstance(bus, str) else ".".join(bus), *(f"{value:z.5f}" for value in row)]
        for bus, *row in parts.nlargest(DEAREST, "DLMP").itertuples()
    ]
    print("\ndearest buses: prices and their parts")
    headings = [("", "bus"), *((str(name), unit) for name in parts)]
    print("\n".join("  " + line for line in _table(headings, rows)))


def _number(value: float) -> str:
    return "-" if value != value else f"{value + 0.0:.6g}"
