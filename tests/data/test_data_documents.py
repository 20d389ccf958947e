"""Cases as documents and back."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, is_dataclass, replace

import pandas as pd
import pytest

from v2geq.data.edit.case import Case, load_case
from v2geq.data.parameters.change import with_parameters
from v2geq.data.readers.document import case_from_document, case_to_document
from v2geq.data.readers.folders import available_cases
from v2geq.errors import DataError


def same(a, b) -> None:
    """Assert equality of values, dtypes, labels and order."""
    assert type(a) is type(b)
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_exact=True, check_freq=False)
    elif is_dataclass(a):
        for f in (f for f in fields(a) if f.compare):
            same(getattr(a, f.name), getattr(b, f.name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    else:
        assert a == b


@pytest.mark.parametrize("name", available_cases())
def test_round_trip(name):
    case = load_case(name)
    text = json.dumps(case_to_document(case), allow_nan=False)
    same(Case.of(case_from_document(json.loads(text))), case)


def test_round_trip_of_a_changed_case(reference):
    case = with_parameters(
        reference,
        {
            "voll": 0.1 + 0.2,
            "feeder.loads.48.load_kw": 1 / 3,
            "scenario.stress.set": {"voll": 3, "paths.method": "exact"},
            "drivers.fv.trips_factor": 1.1,
            "road.capacity_factor": 0.3,
        },
    )
    again = Case.of(case_from_document(json.loads(json.dumps(case_to_document(case)))))
    same(again, case)
    assert with_parameters(again, {"drivers.fv.trips_factor": 2.0}).trips["fv"].shape == (21, 3)


def test_round_trip_of_empty_tables(editable):
    editable.path("generators.csv").write_text(
        "generator,lse,bus,max_kw,cost_linear,cost_quadratic\n", encoding="utf-8"
    )
    editable.path("feeder/capacitors.csv").unlink()
    case = editable.load()
    assert case.generators.empty
    same(Case.of(case_from_document(json.loads(json.dumps(case_to_document(case))))), case)


def _set(*path):
    *keys, last, value = path

    def change(document):
        for key in keys:
            document = document[key]
        document[last] = value

    return change


def _drop(key):
    return lambda document: document.pop(key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("format", "other"), "not a case document"),
        (_set("version", 99), "version 99"),
        (_set("extra", 1), "unknown key 'extra'"),
        (_drop("stations"), "missing key 'stations'"),
        (_drop("basis"), "missing key 'basis'"),
        (_set("name", 3), "must be text"),
        (_set("settings", "market", "voll", "3"), "market.voll: voll = '3'"),
        (_set("settings", "market", "vol", 3), "unknown key 'vol'"),
        (_set("settings", "market", 3), "not a table"),
        (_set("stations", "piles", [40.0]), "different length"),
        (_set("stations", "piles", 40.0), "not a list"),
        (_set("stations", "bus", 0, "7x"), "unknown bus '7x'"),
        (_set("stations", "station", 1, "s5"), "'s5' appears twice"),
        (_set("feeder", "branches", "r_ohm", 0, -1.0), "row 1, column r_ohm"),
        (_set("feeder", "branches", "r_ohm", 0, float("nan")), "not finite"),
        (_set("feeder", "root", "zz"), "root bus 'zz'"),
        (_set("feeder", "base_kv", 0.0), "base_kv"),
        (_set("road", "trips", "trips_veh_h", 0, -1.0), "column trips_veh_h"),
        (_set("trips", "taxi", {}), "missing key"),
        (_set("scenarios", "base", "outages", "sw3"), "not a list"),
        (_set("scenarios", "base", "set", {"vol": 3}), "unknown parameter 'vol'"),
        (_set("scenarios", "base", 3), "not a scenario"),
        (_set("road", "arcs", "toll", 0, -1.0), "column toll"),
        (_set("road", "toll_unit", 2), "toll_unit = 2"),
        (_set("road", "arcs", "fixed_min", 0, 1.0), "fixed_min = 1.0"),
        (_set("basis", "market.voll", ["known", ""]), "basis of 'market.voll'"),
    ],
)
def test_refused(reference, change, said):
    document = copy.deepcopy(case_to_document(reference))
    change(document)
    with pytest.raises(DataError) as caught:
        case_from_document(document)
    assert said in str(caught.value)


@pytest.mark.parametrize("thing", [None, [], "text", {}])
def test_not_a_document(thing):
    with pytest.raises(DataError, match="not a case document"):
        case_from_document(thing)


def test_foreign_columns_are_not_lost_in_silence(reference):
    case = replace(reference, stations=reference.stations.assign(colour="red"))
    with pytest.warns(UserWarning, match="stations: column 'colour' is not known and left out"):
        document = case_to_document(case)
    assert document == case_to_document(reference)


def test_documents_without_optional_columns_take_their_defaults(reference):
    """Those written before a column existed, and networks made without it."""
    document = json.loads(json.dumps(case_to_document(reference)))
    for column in ("delay", "toll", "fixed_min", "conical_alpha"):
        del document["road"]["arcs"][column]
    for column in ("charger_power_kw", "discharge_piles"):
        del document["stations"][column]
    del document["road"]["toll_unit"]
    same(Case.of(case_from_document(document)), reference)
    bare = replace(reference.road, arcs=reference.road.arcs.drop(columns=["toll", "delay"]))
    same(Case.of(case_from_document(case_to_document(replace(reference, road=bare)))), reference)
    del document["road"]["arcs"]["bpr_b"]
    with pytest.raises(DataError, match="missing key 'bpr_b'"):
        case_from_document(document)


def test_nodes_without_a_place(reference):
    nowhere = reference.road.nodes.assign(x=float("nan"), y=float("nan"))
    case = replace(reference, road=replace(reference.road, nodes=nowhere))
    document = json.loads(json.dumps(case_to_document(case)))
    assert case_from_document(document).road.nodes["x"].isna().all()


def test_what_a_document_may_not_hold_no_object_may(reference):
    """Values of both are checked at one door."""
    road = replace(reference.road, toll_unit=2)
    with pytest.raises(DataError, match="toll_unit = 2"):
        with_parameters(replace(reference, road=road), {})
