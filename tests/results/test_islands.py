"""Parts of the feeder: their balances, by kind of supply, and what they are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import make_case, make_feeder

import v2geq as vg
from v2geq.data.model.case import ScenarioData
from v2geq.results.islands import COLUMNS

LINES = {"r-a": {}, "a-b": {}, "b-c": {}, "a-d": {}}
LOADS = {"a": (100.0, 40.0), "b": (200.0, 80.0), "c": (50.0, 20.0)}
CUT = {"cut": ScenarioData(outages=("a-b",), reactive_sources={"c": 150.0})}


def battery(s: Any) -> vg.Program:
    """Sells 20 kW in the island."""
    p = vg.Program("battery", s)
    out = p.variable("power", unit="kW", lower=20.0, upper=20.0, meaning="sold")
    p.sell("energy", out, at="b")
    return p


def cut(losses: bool, **more: Any) -> vg.Equilibrium:
    case = make_case(
        feeder=make_feeder(LINES, LOADS),
        stations={"s": {"road_node": "2", "bus": "c", "pv_kw": 30.0}},
        generators={
            "ga": {"lse": "A", "bus": "a", "max_kw": 60.0, "cost_linear": 0.05},
            "gb": {"lse": "B", "bus": "b", "max_kw": 120.0},
        },
        scenarios=CUT,
        losses=losses,
    )
    return vg.solve(case, "cut", **more)


@pytest.mark.parametrize("losses", [False, True])
def test_every_part_balances(losses: bool) -> None:
    """Generators, stations, players and the TSO supply what is served, charged and lost."""
    eq = cut(losses, players=[battery])
    assert eq.certificate.holds
    table = eq.islands
    assert list(table.columns) == list(COLUMNS)[1:]
    assert table["reference"].tolist() == ["r", "b"]
    assert table["buses"].tolist() == [3, 2]
    assert table["load_kw"].tolist() == pytest.approx([100.0, 250.0])
    assert table["own_kw"].tolist() == [0.0, 20.0]
    assert table["generation_kw"].tolist() == pytest.approx([60.0, 120.0])
    supply = table[["generation_kw", "stations_kw", "own_kw", "import_kw"]].sum(axis=1)
    used = table[["served_kw", "charge_kw", "losses_kw"]].sum(axis=1)
    np.testing.assert_allclose(supply, used, rtol=0.0, atol=1e-6)
    assert ((table["losses_kw"] > 1e-3) == losses).all()
    assert table.loc[1, ["import_kw", "import_kvar"]].tolist() == [0.0, 0.0]
    assert table.loc[0, "supply_kvar"] == 0.0
    lack = (table["supply_kvar"] + table["import_kvar"] - table["load_kvar"]).to_numpy()
    assert (lack > 1e-3).all() if losses else np.abs(lack).max() < 1e-6
    assert table["fee"].tolist() == [0.0, float(eq.wheeling_price.sel(bus="b"))]
    # who supplies an island's losses: its withdrawals sum to them, taken out
    island = eq.data["island"].to_numpy() == 1.0
    drawn = float(eq.withdrawal_kw.to_numpy()[island].sum())
    assert drawn == pytest.approx(-table.loc[1, "losses_kw"], abs=1e-6)
    assert "b: " in eq._repr_html_()


def test_one_part() -> None:
    eq = vg.solve(make_case(), "base")
    assert eq.islands["reference"].tolist() == ["r"]
    assert "islands" not in eq._repr_html_()
