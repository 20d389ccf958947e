"""Formulas that would take all time and memory, in files of every kind: one short line, at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import netCDF4
import pytest
from door import Answer, SmallCase

HOSTILE = {
    "9**9**9*g": "has the exponent",
    "g**9**9**9": "has the exponent",
    "exp(exp)": "has no argument",
    "(" * 3000 + "g" + ")" * 3000: "6,001 characters",
    "(1+g)**100000": "has the exponent",
    "exp(exp(exp(g)))": "not finite",
    "0.1*g - 50*exp(-((g-37.123)/0.01)**2)": "is not convex at g = 37.",
}


def assert_refused(answer: Answer, said: str) -> None:
    assert answer.code == 2, answer
    assert not answer.out
    assert said in answer.err
    assert "generator 'g13'" in answer.err
    assert answer.err[:-1].isprintable()
    assert len(answer.err) < 450


@pytest.mark.parametrize("cost", HOSTILE, ids=lambda cost: ascii(cost[:20]))
def test_check_refuses_a_cost_in_a_table(
    small: SmallCase, run: Callable[..., Answer], cost: str
) -> None:
    file = small.path("generators.csv")
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    assert "cost" not in head.split(",")
    lines = [f"{head},cost"] + [r + (f",{cost}" if r.startswith("g13,") else ",") for r in rows]
    file.write_text("\n".join(lines), encoding="utf-8")
    answer = run("check", small.folder)
    assert_refused(answer, HOSTILE[cost])
    line = 2 + [r.startswith("g13,") for r in rows].index(True)
    assert f"generators.csv, line {line}, column cost" in answer.err


@pytest.mark.parametrize("cost", HOSTILE, ids=lambda cost: ascii(cost[:20]))
def test_certify_refuses_a_cost_in_a_saved_file(
    saved: Path, tmp_path: Path, run: Callable[..., Answer], cost: str
) -> None:
    path = Path(shutil.copy(saved, tmp_path / "edited.nc"))
    with netCDF4.Dataset(path, "a") as file:
        document = json.loads(file.getncattr("case"))
        table = document["generators"]
        columns = table.get("columns", table)
        names = columns["generator"]
        columns["cost"][names.index("g13")] = cost
        file.setncattr("case", json.dumps(document))
    assert_refused(run("certify", path), HOSTILE[cost])


def test_check_refuses_an_inverse_demand(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.edit("case.toml", "[market]", "[market]\ninverse_demand = 'p0*q**9**9**9'")
    answer = run("check", small.folder)
    assert answer.code == 2
    assert "case.toml, line" in answer.err
    assert "market.inverse_demand: the expression 'p0*q**9**9**9' has the exponent" in answer.err
