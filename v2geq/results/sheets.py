"""Results as tidy tables in files: one row per thing, units in the headings."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from v2geq.errors import DataError, did_you_mean, quoted
from v2geq.files import as_path, write_tree
from v2geq.results.islands import COLUMNS
from v2geq.results.summary import summarise
from v2geq.show import MONEY, brief, money

if TYPE_CHECKING:
    import pandas as pd

    from v2geq.results.point import Point

SCHEMA = "columns"
"""The table of what is in the others."""
_LONGEST_NAME = 100
_CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp"}
"""Currency signs as headings write them; others by their names."""
_SCHEMA = {
    "table": ("", "name of the table"),
    "column": ("", "heading in it"),
    "key": ("", "whether it names the row"),
    "unit": ("", "empty for a pure number or a text; 'column unit' where it differs by row"),
    "meaning": ("", "what it is"),
}
_ACCOUNTS = {
    "player": ("", "who receives or pays"),
    "item": ("", "what for"),
    "term": ("", "part of the social cost"),
    "amount": ("$/h", "receipt; a payment is negative"),
    "cost": ("$/h", "cost to all together; a benefit is negative"),
}
_FIGURES = {
    "figure": ("", "name"),
    "value": ("column unit", "value, least-squares path flow where it depends on path flows"),
    "text": ("", "value of what is no number"),
    "low": ("column unit", "least value over all equilibria or path flows"),
    "high": ("column unit", "largest value over all equilibria or path flows"),
    "limit": ("column unit", "value above which the certificate fails"),
    "holds": ("", "whether the limit is kept"),
    "evidence": ("", "where the figure is worst"),
    "unit": ("", "unit of the row; empty for a pure number"),
    "meaning": ("", "what it is"),
    "result": ("", "name of the price"),
    "label": ("", "where"),
    "status": ("", "whether it is unique"),
    "proof": ("", "how that is known"),
}
_BALANCES = {
    "player": ("", "who"),
    "unit": ("", "unit of the row"),
    "block": ("", "variables and rows of one name"),
    "market": ("", "name"),
    "residual": ("column unit", "largest natural residual"),
    "scaled": ("", "the same by the scales of the data"),
    "mismatch": ("column unit", "largest imbalance"),
    "worst": ("", "entry where it is largest"),
    "regret": ("$/h", "what deviating alone could gain"),
    "turnover": ("$/h", "receipts and payments together"),
    "relative": ("", "regret as a share of turnover"),
}
_PATHS = {
    "path": ("", "nodes and stops"),
    "origin": ("", "node"),
    "destination": ("", "node"),
    "pattern": ("", "stops: C charges, D discharges"),
    "flow_veh_h": ("veh/h", "flow found by the solver"),
    "cost": ("$/veh", "cost of the trip"),
    "time_h": ("h", "travel time without stops"),
    "toll": ("$/veh", "tolls"),
    "length_km": ("km", "length"),
    "charge_kwh": ("kWh/veh", "energy bought"),
    "discharge_kwh": ("kWh/veh", "energy sold"),
    "arrival_kwh": ("kWh/veh", "energy in the battery at the destination"),
    "flow_least_squares_veh_h": ("veh/h", "flow of least squares"),
}
_PARTS = {
    "bus": ("", "whose DLMP it is part of"),
    "line": ("", "line that is full"),
    "limited_bus": ("", "bus at a limit of its voltage"),
    "price": ("$/kWh", "what it adds to the DLMP"),
}
_LOG = {
    "round": ("", "round of column generation"),
    "number": ("", "iteration in it"),
    "phase": ("", "part of the solver"),
    "residual": ("", "scaled natural residual"),
    "complementarity": ("", "scaled complementarity"),
    "step": ("", "length of the step"),
    "seconds": ("s", "time since the solver began"),
}


@dataclass(frozen=True)
class Sheet:
    """A table, with unit and meaning of its columns; `keys` are those that name a row."""

    frame: pd.DataFrame
    columns: Mapping[str, tuple[str, str]]
    keys: tuple[str, ...]

    __repr__ = brief


def sheets(eq: Point) -> dict[str, Sheet]:
    """All tables of a point by name, that of their columns first."""
    import pandas as pd

    found = {SCHEMA: Sheet(pd.DataFrame(), _SCHEMA, ("table", "column"))}
    for title, sheet in _sheets(eq):
        name = re.sub(r"[^\w.-]", "_", title)[:_LONGEST_NAME]
        while name.casefold() in map(str.casefold, found):
            name += "_"
        found[name] = sheet
    rows = [
        (name, column, column in sheet.keys, *sheet.columns[column])
        for name, sheet in found.items()
        for column in map(str, sheet.frame.columns)
    ]
    schema = pd.DataFrame(rows, columns=list(_SCHEMA))
    return {**found, SCHEMA: replace(found[SCHEMA], frame=schema)}


def write_sheets(eq: Point, folder: str | Path, form: str = "csv") -> list[Path]:
    """Write the tables of a point to a new or empty folder; return the files.

    Raises
    ------
    DataError
        An unknown format, pyarrow missing, a folder that is not empty or cannot be written.
    """
    if form not in FORMATS:
        raise DataError(f"no format {quoted(form)}", advice=did_you_mean(str(form), FORMATS))
    if form == "parquet" and find_spec("pyarrow") is None:
        raise DataError(
            "Parquet files need the package pyarrow", advice="pip install 'v2geq[parquet]'"
        )
    folder = as_path(folder, "a folder")
    files = {f"{name}.{form}": FORMATS[form](sheet.frame) for name, sheet in sheets(eq).items()}
    write_tree(folder, files)
    return [folder / name for name in files]


def heading(name: str, unit: str) -> str:
    """Name of a result with its unit: 'dlmp_usd_per_kwh'; as it is where it ends in its unit."""
    text = "".join(_CURRENCIES.get(c) or _in_words(c) for c in unit.lower()).replace("/", " per ")
    ending = "_".join(re.findall(r"\w+", text))
    if not ending or name.endswith(
        (f"_{ending}", f"_{ending.replace('_per_', '_')}", f"_{ending.partition('_per_')[0]}")
    ):
        return name
    return f"{name}_{ending}"


def _in_words(character: str) -> str:
    """A currency sign by its name, as 'indian_rupee'; other characters as they are."""
    if unicodedata.category(character) != "Sc":
        return character
    return unicodedata.name(character).removesuffix(" SIGN").lower().replace(" ", "_")


def _priced(
    frame: pd.DataFrame, columns: Mapping[str, tuple[str, str]], keys: tuple[str, ...], eq: Point
) -> Sheet:
    """A table whose columns of money bear their unit in the currency of the case."""
    units = {c: money(unit, eq.scenario.case.currency) for c, (unit, _) in columns.items()}
    names = {c: heading(c, units[c]) if MONEY in unit else c for c, (unit, _) in columns.items()}
    told = {names[c]: (units[c], meaning) for c, (_, meaning) in columns.items()}
    return Sheet(frame.rename(columns=names), told, keys)


def _sheets(eq: Point) -> Iterator[tuple[str, Sheet]]:
    import pandas as pd

    summary = summarise(eq)
    yield "summary", Sheet(summary.to_frame(), _FIGURES, ("figure",))
    yield from _results(eq)
    yield "islands", _priced(eq.islands.reset_index(), COLUMNS, ("island",), eq)
    if eq.tells_uniqueness:
        prices = eq.uniqueness
        units = [eq.data[name].attrs["unit"] for name in prices["result"]]
        yield "prices", Sheet(prices.assign(unit=units), _FIGURES, ("result", "label"))
    for name, cause, parts in (
        ("congestion_parts", "line", eq.congestion_parts),
        ("voltage_parts", "limited_bus", eq.voltage_parts),
    ):
        frame = parts.dropna().reset_index().melt("bus", var_name=cause, value_name="price")
        told = {c: _PARTS[c] for c in ("bus", cause, "price")}
        yield name, _priced(frame, told, ("bus", cause), eq)
    for name in eq.coupled.traffic.classes:
        yield f"paths_{name}", _priced(eq.paths(name).reset_index(), _PATHS, ("path",), eq)
    figures = summary.figures
    ranges = [
        (name, ends.value, ends.low, ends.high, figures[name].unit, figures[name].meaning)
        for name, ends in eq.path_flows.ranges.items()
    ]
    columns = ["figure", "value", "low", "high", "unit", "meaning"]
    yield "path_flow_ranges", Sheet(pd.DataFrame(ranges, columns=columns), _FIGURES, ("figure",))
    book, verdict = eq.accounts, eq.certificate
    yield "accounts", _priced(book.items, _ACCOUNTS, ("player", "item"), eq)
    social = book.social_cost.rename("cost").rename_axis("term").reset_index()
    yield "social_cost", _priced(social, _ACCOUNTS, ("term",), eq)
    evidence = [(f.name, f.value, f.limit, f.holds, f.unit, f.evidence) for f in verdict.figures]
    columns = ["figure", "value", "limit", "holds", "unit", "evidence"]
    yield "certificate", Sheet(pd.DataFrame(evidence, columns=columns), _FIGURES, ("figure",))
    blocks = verdict.blocks.rename_axis("block").reset_index()
    yield "certificate_blocks", Sheet(blocks, _BALANCES, ("block",))
    markets = verdict.markets.rename_axis("market").reset_index()
    yield "certificate_markets", Sheet(markets, _BALANCES, ("market",))
    regrets = verdict.regrets.rename_axis("player").reset_index()
    yield "certificate_regrets", _priced(regrets, _BALANCES, ("player",), eq)
    yield "iterations", Sheet(eq.convergence, _LOG, ("round", "number"))


def _results(eq: Point) -> Iterator[tuple[str, Sheet]]:
    """The labelled results, those of the same dimensions in one table."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, result in eq.data.data_vars.items():
        groups.setdefault(tuple(map(str, result.dims)), []).append(str(name))
    for dims, names in groups.items():
        part = eq.data[names]
        if dims:
            frame = part.to_dataframe(dim_order=list(dims)).reset_index()
        else:
            frame = part.expand_dims("market").to_dataframe().reset_index(drop=True)
        columns = {str(name): ("", "name") for name in frame.columns}
        headings: dict[str, str] = {}
        for name in names:
            unit, meaning = eq.data[name].attrs["unit"], eq.data[name].attrs["long_name"]
            headings[name] = new = heading(name, unit)
            columns.pop(name)
            columns[new] = (unit, meaning)
        yield _title(dims), Sheet(frame.rename(columns=headings), columns, dims)


def _title(dims: tuple[str, ...]) -> str:
    """Name of the table of results of these dimensions."""
    if not dims:
        return "market"
    first = dims[0]
    things = "buses" if first == "bus" else f"{first}s"
    if first.startswith("od_"):
        things = f"trips_{first.removeprefix('od_')}"
    return "_by_".join([things, *dims[1:]])


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\r\n").encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.to_parquet(content, engine="pyarrow", index=False)
    return content.getvalue()


FORMATS: dict[str, Callable[[pd.DataFrame], bytes]] = {"csv": _csv, "parquet": _parquet}
"""How a table is written, by the ending of its file."""
