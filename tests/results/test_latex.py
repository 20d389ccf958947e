"""LaTeX tables: complete lines, as many cells as columns, nothing that LaTeX would obey."""

from __future__ import annotations

import re

import pytest
from cases import make_case, make_road

import v2geq as vg
from v2geq.results.latex import escaped, figure_words, summary_latex
from v2geq.results.summary import FIGURES, SummaryFigure, is_number


@pytest.fixture(scope="module")
def pair() -> tuple[vg.Equilibrium, vg.Equilibrium]:
    trips = {"ev": {"1-3": 10.0, "3-1": 0.5}}
    arcs = {"1-2": {}, "2-3": {}, "3-2": {}, "2-1": {}}
    case = make_case(trips=trips, road=make_road(arcs))
    return vg.solve(case, "base", v2g=True), vg.solve(case, "base", v2g=False)


def cells(line: str) -> list[str]:
    """Cells of a line of a table."""
    assert line.endswith(r" \\")
    return re.split(r"(?<!\\)&", line.removesuffix(r" \\"))


def body(table: str) -> list[list[str]]:
    """Cells of all lines, heading first; the structure around them is checked."""
    lines = table.splitlines()
    begin = re.fullmatch(r"\\begin\{tabular\}\{(l+r+)\}", lines[0])
    assert begin
    assert lines[1] == r"\toprule"
    assert lines[3] == r"\midrule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    rows = [cells(line) for line in lines[2:-2] if line != r"\midrule"]
    for row in rows:
        assert len(row) == len(begin[1])
        for cell in row:
            bare = re.sub(r"\\[&%$#_{}]", "", cell)
            assert bare.count("{") == bare.count("}")
            assert bare.count("$") % 2 == 0
            assert not re.search(r"[%#~]", bare)
            assert "_" not in bare
            assert "^" not in re.sub(r"\$[^$]*\$", "", bare)
    return rows


def test_a_table_has_every_number_with_its_unit(
    pair: tuple[vg.Equilibrium, vg.Equilibrium],
) -> None:
    eq, other = pair
    heads, *rows = body(eq.to_latex(other))
    assert [h.strip() for h in heads] == ["", "unit", "base, with V2G", "base, without V2G"]
    numbers = [f for f in FIGURES.values() if is_number(eq.summary[f.name])]
    assert sorted(r[0].strip() for r in rows) == sorted(figure_words(f.name) for f in numbers)
    named = {r[0].strip(): r for r in rows}
    assert named["Social cost"][1].strip() == r"\$/h"
    # evidence is last
    assert [r[0].strip() for r in rows[-2:]] == ["Natural residual", "Wardrop gap"]
    assert len(body(eq.to_latex())[0]) == 3


def test_headings_may_be_given(pair: tuple[vg.Equilibrium, vg.Equilibrium]) -> None:
    eq, other = pair
    heads = body(eq.to_latex(other, names=["50 % & more", r"a_b\c"]))[0]
    assert heads[2].strip() == r"50 \% \& more"
    assert heads[3].strip() == r"a\_b\textbackslash{}c"
    with pytest.raises(vg.DataError, match="1 names for 2 equilibria"):
        eq.to_latex(other, names=["one"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "$0$"),
        (3, "$3$"),
        (1e-13, "$0$"),
        (-12.3456, "$-12.35$"),
        (0.0953072, "$0.09531$"),
        (1508954.81, "$1{,}508{,}955$"),
        (2.5e12, r"$2.5 \times 10^{12}$"),
        (float("nan"), "--"),
        (float("inf"), r"$\infty$"),
    ],
)
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    figure = SummaryFigure("cost", "cost", lambda eq: value, "$")
    table = summary_latex([{"cost": value}], {"cost": figure}, ["x"])
    assert body(table)[1][2].strip() == text


def test_evidence_keeps_small_numbers_and_a_missing_figure_is_a_dash() -> None:
    figure = SummaryFigure("gap", "gap", lambda eq: 0.0, evidence=True)
    table = summary_latex([{"gap": 2.84e-12}, {}], {"gap": figure}, ["x", "y"])
    assert [c.strip() for c in body(table)[1][2:]] == [r"$2.8 \times 10^{-12}$", "--"]


def test_names_become_words() -> None:
    assert figure_words("tso_import_kw") == "TSO import"
    assert figure_words("discharge_od_pairs") == "Discharge OD pairs"
    assert figure_words("solve_seconds") == "Solve time"
    assert figure_words("cost_od_1_20") == "Cost OD 1-20"


def test_what_latex_obeys_is_written_out() -> None:
    assert escaped("a\n{b}~^$#<|>") == (
        r"a \{b\}\textasciitilde{}\textasciicircum{}\$\#"
        r"\textless{}\textbar{}\textgreater{}"
    )
