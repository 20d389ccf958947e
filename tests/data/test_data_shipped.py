"""The shipped networks and cases hold the published numbers."""

from __future__ import annotations

import csv
import re
import warnings
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from v2geq.data.edit.case import Case, load_case
from v2geq.data.model.feeder import Feeder
from v2geq.data.readers import folders
from v2geq.data.readers.feeder import read_feeder
from v2geq.data.readers.folders import available_cases, networks_folder
from v2geq.data.readers.road import read_road
from v2geq.data.readers.tntp import read_tntp
from v2geq.errors import DataError

CASES = ["ieee123_sioux_falls", "ieee123_sioux_falls_binding", "ieee123_sioux_falls_reference"]
RAW = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_raw = pytest.mark.skipif(
    not RAW.is_dir(), reason="the upstream raw files are not part of the repository"
)


@pytest.fixture(scope="module")
def feeder() -> Feeder:
    return read_feeder(networks_folder() / "ieee123")


def test_available_cases():
    assert available_cases() == CASES


def test_networks_folder_installed_or_in_the_source_tree(tmp_path, monkeypatch):
    module = tmp_path / "lib" / "v2geq" / "data" / "readers" / "folders.py"
    monkeypatch.setattr(folders, "__file__", str(module))
    with pytest.raises(DataError, match="not installed"):
        folders.networks_folder()
    (tmp_path / "lib" / "networks").mkdir(parents=True)
    assert folders.networks_folder() == tmp_path / "lib" / "networks"
    (tmp_path / "lib" / "v2geq" / "_networks").mkdir(parents=True)
    assert folders.networks_folder() == tmp_path / "lib" / "v2geq" / "_networks"


def test_every_data_set_names_its_source():
    for folder in networks_folder().iterdir():
        assert (folder / "SOURCE.md").is_file(), folder.name


def test_ieee123_counts_and_totals(feeder):
    assert len(feeder.buses) == 130
    assert len(feeder.branches) == 131
    assert list(feeder.branches.index[feeder.branches["normally_open"]]) == ["sw7", "sw8"]
    assert len(feeder.loads) == 85
    assert feeder.loads["load_kw"].sum() == 3490.0
    assert feeder.loads["load_kvar"].sum() == 1920.0
    assert dict(zip(feeder.capacitors["bus"], feeder.capacitors["kvar"], strict=True)) == {
        "83": 600.0,
        "88": 50.0,
        "90": 50.0,
        "92": 50.0,
    }
    kinds = feeder.branches["kind"].value_counts().to_dict()
    assert kinds == {"line": 118, "switch": 8, "regulator": 4, "transformer": 1}
    assert feeder.branches.loc["reg4", "ratio"] == 1.03125
    assert feeder.branches.loc["l1", "length_km"] == pytest.approx(0.175 * 0.3048, abs=1e-12)


def test_ieee123_is_a_tree_oriented_away_from_the_root(feeder):
    closed = feeder.branches[~feeder.branches["normally_open"]]
    assert len(closed) == len(feeder.buses) - 1
    assert sorted([*closed["to_bus"], feeder.root]) == sorted(feeder.buses.index)


def test_ieee123_islands(feeder):
    closed = feeder.branches[~feeder.branches["normally_open"]].drop(index=["sw3", "sw4"])
    near = defaultdict(list)
    for start, end in zip(closed["from_bus"], closed["to_bus"], strict=True):
        near[start].append(end)
    found = {}
    for source in ("150", "135", "160"):
        part, stack = set(), [source]
        while stack:
            bus = stack.pop()
            part.add(bus)
            stack += near[bus]
        loads = feeder.loads[feeder.loads.index.isin(part)]
        banks = feeder.capacitors[feeder.capacitors["bus"].isin(part)]
        found[source] = (loads["load_kw"].sum(), loads["load_kvar"].sum(), banks["kvar"].sum())
    assert found["150"][0] == 1310.0
    assert found["135"] == (755.0, 470.0, 0.0)
    assert found["160"] == (1425.0, 770.0, 750.0)


def test_sioux_falls_counts_and_totals():
    road = read_road(networks_folder() / "sioux_falls")
    assert len(road.nodes) == 24
    assert len(road.arcs) == 76
    assert len(road.trips) == 528
    assert road.trips["trips_veh_h"].sum() == 360600.0
    assert road.arcs.loc["2-6"].tolist()[:7] == ["2", "6", 4958.180928, 5.0, 5.0, 0.15, 4.0]
    assert (road.arcs.index == road.arcs["from_node"] + "-" + road.arcs["to_node"]).all()


@pytest.mark.parametrize("name", CASES)
def test_cases_load_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case = load_case(name)
    assert case.name == name
    assert case.stations["road_node"].tolist() == ["5", "8", "11", "12", "15", "16", "18", "22"]
    assert case.stations["bus"].tolist() == ["7", "18", "35", "47", "57", "76", "97", "105"]
    assert case.generators["max_kw"].tolist() == [300.0, 250.0, 250.0] * 2
    assert case.generators["lse"].tolist() == ["A"] * 3 + ["B"] * 3
    assert case.trips["ev"]["trips_veh_h"].sum() == 720.0
    assert list(case.scenarios) == ["base", "stress", "island"]
    assert case.scenarios["island"].outages == ("sw3", "sw4")


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_has_a_basis(name):
    case = load_case(name)
    for section in ("feeder.vmin", "market.voll", "drivers.ev.battery", "paths.method"):
        assert case.basis[section][0] in ("measured", "cited", "assumed")
    for table in ("stations", "lses", "generators"):
        for row in getattr(case, table).index:
            assert f"{table}.{row}" in case.basis


def test_reference_case_is_the_written_one(reference: Case):
    feeder, market, ev = reference.feeder_settings, reference.market, reference.drivers["ev"]
    assert (feeder.vmin, feeder.vmax, feeder.root_voltage) == (0.95, 1.05, 1.03)
    assert (feeder.regulators, feeder.capacitors, feeder.line_rating) == (False, "none", "box")
    assert not feeder.reactive_load_scales
    assert (market.voll, market.firm_share, market.elasticity) == (20.0, 0.8, -0.5)
    assert (ev.battery, ev.consumption, ev.discharge_level, ev.reserve) == (24.0, 1.0, 0.5, 0.2)
    assert (ev.charger_power, ev.degradation, ev.energy_value) == (150.0, 0.05, 0.0)
    assert (reference.substation.price, reference.substation.import_max) == (0.08, 2800.0)
    assert reference.generators["cost_linear"].tolist() == [0.10, 0.12, 0.12, 0.11, 0.13, 0.12]
    assert reference.generators["cost_quadratic"].tolist() == [1e-4, 1e-4, 1.5e-4] * 2
    assert reference.paths.method == "enumerate"
    assert reference.trips["fv"]["trips_veh_h"].sum() == 12 * 12100.0
    assert reference.scenarios["island"].reactive_sources == {"135": 10000.0, "160": 10000.0}


@needs_raw
def test_ieee123_equals_the_raw_tables(feeder):
    folder = RAW / "ieee123" / "single_phase"

    def rows(name: str) -> list[dict[str, str]]:
        with open(folder / name, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    lines = rows("lines.csv")
    assert [row["name"] for row in lines] == list(feeder.branches.index)
    for row, branch in zip(lines, feeder.branches.itertuples(), strict=True):
        assert (row["from"], row["to"], row["kind"]) == (
            branch.from_bus,
            branch.to_bus,
            branch.kind,
        )
        for column in ("r_ohm", "x_ohm", "rating_kva", "ratio"):
            assert float(row[column]) == getattr(branch, column), row["name"]
        assert branch.length_km == pytest.approx(0.3048 * float(row["length_kft"]), abs=1e-9)
        assert branch.normally_open == (row["normally_open"] == "1")
    for row in rows("loads.csv"):
        load = feeder.loads.loc[row["bus"]]
        assert (load["load_kw"], load["load_kvar"]) == (float(row["p_kw"]), float(row["q_kvar"]))
    for row in rows("buses.csv"):
        bus = feeder.buses.loc[row["name"]]
        assert (bus["phases"], bus["x"], bus["y"], bus["base_kv"]) == (
            row["phases"],
            float(row["x"]),
            float(row["y"]),
            float(row["base_kv"]),
        )


@needs_raw
def test_sioux_falls_equals_the_raw_files():
    road = read_road(networks_folder() / "sioux_falls")
    folder = RAW / "tntp" / "SiouxFalls"
    body = (folder / "SiouxFalls_net.tntp").read_text().split("~")[-1].splitlines()[1:]
    arcs = [line.split()[:7] for line in body if line.strip()]
    assert [[a, b, *map(float, numbers)] for a, b, *numbers in arcs] == road.arcs.iloc[
        :, :7
    ].to_numpy().tolist()
    trips, origin = {}, ""
    for line in (folder / "SiouxFalls_trips.tntp").read_text().splitlines():
        if line.startswith("Origin"):
            origin = line.split()[1]
        for node, value in re.findall(r"(\d+)\s*:\s*([\d.]+);", line):
            if float(value):
                trips[origin, node] = float(value)
    pairs = zip(road.trips["origin"], road.trips["destination"], strict=True)
    assert dict(zip(pairs, road.trips["trips_veh_h"], strict=True)) == trips


def test_anaheim_counts_and_totals():
    road = read_road(networks_folder() / "anaheim")
    assert (len(road.nodes), len(road.arcs), len(road.trips)) == (416, 914, 1406)
    assert road.trips["trips_veh_h"].sum() == pytest.approx(104_694.40, abs=1e-6)
    assert list(road.nodes.index[~road.nodes["through"]]) == [str(k) for k in range(1, 39)]
    assert road.nodes[["x", "y"]].isna().all(axis=None)


@needs_raw
def test_anaheim_equals_the_raw_files():
    folder = RAW / "tntp" / "Anaheim"
    road, _ = read_tntp(folder / "Anaheim_net.tntp", folder / "Anaheim_trips.tntp")
    shipped = read_road(networks_folder() / "anaheim")
    pd.testing.assert_frame_equal(shipped.arcs, road.arcs, rtol=1e-12)
    pd.testing.assert_frame_equal(shipped.trips, road.trips, check_exact=True)
    pd.testing.assert_frame_equal(shipped.nodes, road.nodes)
