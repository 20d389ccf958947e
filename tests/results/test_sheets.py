"""Tables in files: every result, with units, and the same values when they are read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cases import make_case, make_feeder, make_road

import v2geq as vg
from v2geq.results import sheets as module
from v2geq.results.sheets import SCHEMA, heading, sheets


def reserve(s: Any) -> vg.Program:
    """A player with results in two dimensions of its own, and one whose name needs care."""
    p = vg.Program("reserve a", s)
    kept = p.variable(
        "kept", ("bus", "hour"), [("b1", "8"), ("b1", "9")], unit="kW", upper=5.0, meaning="kept"
    )
    p.cost(kept, 1.0)
    return p


@pytest.fixture(scope="module")
def eq() -> vg.Equilibrium:
    trips = {"ev": {"1-3": 10.0, "3-1": 0.5}}
    arcs = {"1-2": {}, "2-3": {}, "3-2": {}, "2-1": {}}
    return vg.solve(make_case(trips=trips, road=make_road(arcs)), "base")


def read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, float_precision="round_trip", keep_default_na=True)


@pytest.mark.parametrize(("form", "read"), [("csv", read_csv), ("parquet", pd.read_parquet)])
def test_what_is_read_back_is_what_was_written(
    eq: vg.Equilibrium, tmp_path: Path, form: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="extra 'parquet'")
    files = eq.to_tables(tmp_path / "new" / "tables", form)
    expected = sheets(eq)
    assert [f.name for f in files] == [f"{name}.{form}" for name in expected]
    assert sorted(files) == sorted((tmp_path / "new" / "tables").iterdir())
    for file, sheet in zip(files, expected.values(), strict=True):
        found = read(file)
        assert list(found.columns) == list(map(str, sheet.frame.columns))
        assert len(found) == len(sheet.frame)
        for name in found:
            values = sheet.frame[name]
            if values.dtype.kind in "fiub":
                np.testing.assert_array_equal(found[name].to_numpy(values.dtype), values)
            else:
                # nothing written is nothing read
                assert list(found[name].fillna("").astype(str)) == list(values.astype(str))


def test_every_result_is_in_a_table_with_its_unit(eq: vg.Equilibrium) -> None:
    found = sheets(eq)
    told = found[SCHEMA].frame.set_index(["table", "column"])
    headings = {column for _, column in told.index}
    for name, result in eq.data.data_vars.items():
        new = heading(str(name), result.attrs["unit"])
        assert new in headings
        rows = told.xs(new, level="column")
        assert result.attrs["unit"] in set(rows["unit"])
        assert result.attrs["long_name"] in set(rows["meaning"])
    assert told["meaning"].all()
    for name, sheet in found.items():
        if sheet.keys:
            assert not sheet.frame.duplicated(list(sheet.keys)).any(), name
    buses = found["buses"].frame.set_index("bus")
    np.testing.assert_array_equal(buses["dlmp_usd_per_kwh"], eq.dlmp)
    np.testing.assert_array_equal(found["stations"].frame["charge_kw"], eq.charge_kw)
    assert len(found["lses_by_bus"].frame) == eq.data.sizes["lse"] * eq.data.sizes["bus"]


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("dlmp", "$/kWh", "dlmp_usd_per_kwh"),
        ("load_kw", "kW", "load_kw"),
        ("flow_veh_h", "veh/h", "flow_veh_h"),
        ("toll", "$/veh", "toll_usd_per_veh"),
        ("toll", "€/veh", "toll_eur_per_veh"),
        ("dlmp", "CNY/kWh", "dlmp_cny_per_kwh"),
        ("dlmp", "₹/kWh", "dlmp_indian_rupee_per_kwh"),
        ("loading", "", "loading"),
        ("battery.power", "kW", "battery.power_kw"),
        ("tank.level", "t CO2/h", "tank.level_t_co2_per_h"),
    ],
)
def test_headings_end_in_the_unit_once(name: str, unit: str, expected: str) -> None:
    assert heading(name, unit) == expected


def test_own_players_have_tables() -> None:
    eq = vg.solve(make_case(), "base", players=[reserve], uniqueness=False)
    found = sheets(eq)
    assert "prices" not in found
    (own,) = [s for s in found.values() if "hour" in "".join(map(str, s.frame.columns))]
    assert list(own.frame.columns)[-1].endswith("kept_kw")


def test_a_folder_that_is_not_empty_is_refused(eq: vg.Equilibrium, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(vg.DataError, match="is not empty; give a new or empty folder"):
        eq.to_tables(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_unknown_formats_are_refused(eq: vg.Equilibrium, tmp_path: Path) -> None:
    with pytest.raises(vg.DataError, match=r"no format 'parquett'; did you mean 'parquet'\?"):
        eq.to_tables(tmp_path / "out", "parquett")
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_told(
    eq: vg.Equilibrium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(vg.DataError, match=r"need the package pyarrow; pip install 'v2geq\[parq"):
        eq.to_tables(tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()
    assert eq.to_tables(tmp_path / "out", "csv")


def test_parts_of_prices_by_what_limits() -> None:
    """A row for every bus and every line that is full, or bus at a limit of its voltage."""
    lines = {"r-a": {}, "a-b": {"rating_kva": 120.0}, "b-c": {}}
    feeder = make_feeder(lines, {"b": 100.0, "c": 100.0})
    plant = {"g": {"lse": "A", "bus": "c", "cost_linear": 0.3}}
    eq = vg.solve(make_case(feeder=feeder, generators=plant), "base", v2g=False)
    found = sheets(eq)["congestion_parts"].frame.set_index(["bus", "line"])["price_usd_per_kwh"]
    assert list(found.index) == [(bus, "a-b") for bus in "rabc"]
    np.testing.assert_allclose(found, eq.dlmp_congestion, rtol=0.0, atol=1e-12)
    assert found["c", "a-b"] == pytest.approx(float(eq.dlmp.sel(bus="c") - eq.dlmp.sel(bus="a")))
    assert sheets(eq)["voltage_parts"].frame.empty
