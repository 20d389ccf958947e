"""Figures of equilibria beside each other, as a LaTeX table (package booktabs)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import floor, isnan, log10
from typing import Any

from v2geq.errors import DataError
from v2geq.results.summary import SummaryFigure, is_number

_DIGITS = 4
"""Significant digits of a number."""
_PLAIN = (1e-3, 1e9)
"""Magnitudes that are written without a power of ten."""
_NOISE = 6
"""Decimals beyond which a figure of the market, not of the evidence, says nothing."""
_ESCAPED = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)
_CAPITALS = ("dlmp", "tso", "od")
_ENDINGS = {"kw": "", "h": "", "seconds": " time"}
"""What is said instead of the unit at the end of a name."""


def summary_latex(
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, SummaryFigure],
    names: Sequence[str] | None = None,
) -> str:
    """A tabular of figures, one to a line, by equilibrium; what is text has no line.

    Parameters
    ----------
    rows
        Values of the figures by name, for each equilibrium; a missing one is a dash.
    figures
        What to list, by name; evidence comes last.
    names
        Headings of the equilibria; by default scenario, with or without V2G.
    """
    if names is None:
        names = [f"{r['scenario']}, {'with' if r['v2g'] else 'without'} V2G" for r in rows]
    elif len(names) != len(rows):
        raise DataError(f"{len(names)} names for {len(rows)} equilibria")
    numbers = {
        name: figure
        for name, figure in figures.items()
        if all(is_number(row.get(name, 0.0)) for row in rows)
    }
    parts = [
        [
            [
                escaped(figure_words(figure.name)),
                escaped(figure.unit),
                *(_number(row.get(name, float("nan")), figure.evidence) for row in rows),
            ]
            for name, figure in numbers.items()
            if figure.evidence == evidence
        ]
        for evidence in (False, True)
    ]
    heads = ["", "unit", *map(escaped, names)]
    lines = [rf"\begin{{tabular}}{{ll{'r' * len(rows)}}}", r"\toprule", _row(heads)]
    for part in filter(None, parts):
        lines += [r"\midrule", *map(_row, part)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escaped(text: str) -> str:
    """Text with the characters written out that LaTeX obeys, on one line."""
    return " ".join(text.split()).translate(_ESCAPED)


def figure_words(name: str) -> str:
    """Name of a figure in words, without its unit: 'tso_import_kw' is 'TSO import'."""
    first, _, last = name.rpartition("_")
    # zones are numbers beside each other
    parts = re.sub(r"(?<=\d)_(?=\d)", "-", first if last in _ENDINGS else name).split("_")
    text = " ".join(p.upper() if p in _CAPITALS else p for p in parts) + _ENDINGS.get(last, "")
    return text[:1].upper() + text[1:]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _number(value: float, evidence: bool) -> str:
    """A number of few digits; those of the market without what is noise."""
    value = float(value) if evidence else round(float(value), _NOISE)
    if isnan(value):
        return "--"
    size = abs(value)
    if size == 0.0 or (value.is_integer() and size < _PLAIN[1]):
        text = f"{size:,.0f}"
    elif _PLAIN[0] <= size < _PLAIN[1]:
        text = f"{size:,.{max(0, _DIGITS - 1 - floor(log10(size)))}f}"
    else:
        mantissa, _, power = f"{size:.1e}".partition("e")
        text = rf"{mantissa} \times 10^{{{int(power)}}}" if power else r"\infty"
    sign = "-" if value < 0 else ""
    return f"${sign}{text.replace(',', '{,}')}$"
