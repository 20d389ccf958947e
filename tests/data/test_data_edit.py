"""Cases changed, built and saved in Python: checked, told in the user's words, read back equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import v2geq as vg
from v2geq.data.edit.build import DRIVERS, SETTINGS
from v2geq.data.parameters.change import admit_case
from v2geq.data.provenance import provenance
from v2geq.data.readers.document import fingerprint
from v2geq.data.readers.feeder import read_feeder
from v2geq.data.readers.folders import networks_folder
from v2geq.data.template import write_template
from v2geq.errors import DataError

S9 = {"road_node": "9", "bus": "13", "charge_max_kw": 100.0, "discharge_max_kw": 50.0}
S9 |= {"piles": 4.0, "base_wait_h": 0.02, "queue_slope_h": 0.02}
PAIRS = pd.DataFrame({"origin": [1, 2], "destination": [20, 13], "trips_veh_h": [30.0, 20.0]})
TAXI = {"value_of_time": 30.0, "battery": 60.0, "consumption": 1.0, "discharge_level": 0.5}
TAXI |= {"reserve": 0.2, "charger_power": 100.0}


def no_coordinates(road):
    return replace(road, nodes=road.nodes.assign(x=np.nan, y=np.nan))


EDITS = {
    "station like": lambda c: c.with_station("s9", like="s5", road_node=9, bus=13, piles=10),
    "station whole": lambda c: c.with_station("s9", **S9, basis="measured", note="counted, twice"),
    "station changed": lambda c: c.with_station("s5", piles=3.0),
    "station removed": lambda c: c.without_station("s5", "s8"),
    "generator": lambda c: c.with_generator("g9", like="g13", bus=20, cost="0.1*g + 1e-4*g**2"),
    "generator removed": lambda c: c.without_generator("g13"),
    "lse": lambda c: c.with_lse("C", portion=0.2),
    "lse gone": lambda c: c.with_lse("C", portion=0.2).without_lse("C"),
    "class like": lambda c: c.with_class("taxi", like="ev", trips=0.5, battery=60),
    "class of a frame": lambda c: c.with_class("my taxi", kind="ev", trips=PAIRS, **TAXI),
    "class of a series": lambda c: c.with_class(
        "taxi", like="ev", trips=PAIRS.set_index(["origin", "destination"])["trips_veh_h"]
    ),
    "class of the road": lambda c: c.with_class("lorry", kind="fv", value_of_time=40, trips=0.01),
    "class turned": lambda c: c.with_class("van", like="ev", kind="fv"),
    "class changed": lambda c: c.with_class("ev", trips=2.0, v2g=False),
    "class removed": lambda c: c.without_class("fv"),
    "classes by case": lambda c: c.with_class("EV", like="ev"),
    "inverters": lambda c: c.with_generator("g13", kva=400.0).with_station("s5", kva=90.0),
    "scenario": lambda c: c.with_scenario(
        "x", like="stress", outages=["sw3"], voll=5, reactive_sources={135: 10}
    ),
    "scenario switched": lambda c: c.with_scenario("x", closed=["sw7"], outages=("sw4",)),
    "scenario with a blank": lambda c: c.with_scenario("a b.c", parameters={"voll": 5}),
    "scenario removed": lambda c: c.without_scenario("island"),
    "arcs": lambda c: c.with_arcs({"6-8": {"toll": 2.0, "note": "bridge"}}),
    "arcs of a frame": lambda c: c.with_arcs(
        pd.DataFrame({"toll": [1.0, np.nan], "capacity_veh_h": [9e3, 8e3]}, index=["6-8", "8-6"])
    ),
    "arc added": lambda c: c.with_arcs(
        {"1-24": {**c.road.arcs.loc["1-2"].to_dict(), "from_node": 1, "to_node": 24}}
    ),
    "formula": lambda c: c.with_arcs({"6-8": {"delay": "t0*(1 + b*(x/c)**p)"}}),
    "parameters": lambda c: c.with_parameters(
        {"drivers.ev.trips_factor": 2, "feeder.loads.48.load_kw": 3, "road.arcs.6-8.toll": 1},
        voll=5,
    ),
    "capacities": lambda c: c.with_parameters({"road.capacity_factor": 0.3}),
    "no coordinates": lambda c: c.with_road(no_coordinates(c.road)),
    "road": lambda c: c.with_road("sioux_falls", stations={"s5": 9}, trips={"ev": PAIRS}),
    "feeder": lambda c: c.with_feeder("ieee123", stations={"s5": 13}, generators={"g13": 20}),
    "spread": lambda c: c.with_class("ev", trips_spread=True),
}


@pytest.fixture(scope="module")
def case():
    return vg.load_case("ieee123_sioux_falls")


def read_back(case, folder):
    case.save(folder)
    return vg.load_case(folder)


@pytest.mark.parametrize("name", [*vg.available_cases(), "template"])
def test_saved_cases_are_read_back_equal(name, tmp_path):
    if name == "template":
        write_template(tmp_path / name)
        name = tmp_path / name
    case = vg.load_case(name)
    again = read_back(case, tmp_path / "saved")
    assert fingerprint(again) == fingerprint(case)
    assert fingerprint(read_back(again, tmp_path / "saved")) == fingerprint(case)
    if isinstance(name, str):
        assert "as shipped" in str(provenance(again, {}))


@pytest.mark.parametrize("name", EDITS)
def test_edited_cases_are_checked_saved_and_told(name, case, tmp_path):
    before = fingerprint(case)
    edited = EDITS[name](case)
    assert fingerprint(case) == before
    assert fingerprint(admit_case(edited)) == fingerprint(edited)
    again = read_back(edited, tmp_path / "saved")
    assert fingerprint(again) == fingerprint(edited)
    told = str(provenance(edited, {}))
    assert name == "lse gone" or "not the shipped case of this name" in told
    assert len(told.splitlines()) < 16


def test_left_out_columns_follow_the_row_it_is_like_or_the_schema(case):
    like = case.with_station("s9", like="s5", piles=10).stations.loc["s9"]
    assert like["piles"] == like["discharge_piles"] == 10
    assert like["charge_max_kw"] == 2000
    whole = case.with_station("s9", **S9).stations.loc["s9"]
    assert whole["charger_power_kw"] == 1e6 and whole["discharge_piles"] == 4
    assert list(case.with_station("s5", piles=3).stations.index) == list(case.stations.index)


def test_portions_share_the_rest(case):
    lses = case.with_lse("C", portion=0.2).lses["portion"]
    assert lses.to_dict() == pytest.approx({"A": 0.4, "B": 0.4, "C": 0.2})
    lses = case.with_lse("C", portion=0.2).with_lse("A", portion=0.1).lses["portion"]
    assert lses.to_dict() == pytest.approx({"A": 0.1, "B": 0.6, "C": 0.3})


def test_trips_of_a_class(case):
    ev, road = case.trips["ev"]["trips_veh_h"].sum(), case.road.trips["trips_veh_h"].sum()
    made = {
        "half": case.with_class("taxi", like="ev", trips=0.5),
        "whole": case.with_class("taxi", like="ev"),
        "own": case.with_class("taxi", like="ev", trips=PAIRS),
        "road": case.with_class("taxi", kind="fv", value_of_time=9, trips=0.1),
    }
    found = {k: c.trips["taxi"]["trips_veh_h"].sum() for k, c in made.items()}
    assert found == pytest.approx({"half": ev / 2, "whole": ev, "own": 50.0, "road": road / 10})
    assert made["own"].drivers["taxi"].battery == case.drivers["ev"].battery
    assert made["half"].basis["drivers.taxi.battery"] == case.basis["drivers.ev.battery"]


def test_factors_on_the_road_stay_on_another(case):
    told = {"value": 0.2, "basis": "cited", "note": "a count"}
    low = case.with_parameters({"road.capacity_factor": told, "road.arcs.6-8.toll": 1})
    other = low.with_road("sioux_falls")
    assert other.road_settings.capacity_factor == 0.2
    assert other.basis["road.capacity_factor"] == ("cited", "a count")
    assert "road.arcs.6-8" in low.basis and "road.arcs.6-8" not in other.basis
    built = vg.Case.build(feeder="ieee123", road="sioux_falls")
    assert built.traffic_road is built.road


def test_changes_are_solved(case):
    edited = case.with_class("taxi", like="ev", trips=0.2, battery=30).with_station(
        "s9", like="s5", road_node=9, bus=13
    )
    eq = vg.solve(edited.with_scenario("mild", load_factor=0.8, voll=7), "mild")
    assert eq.certificate.holds
    assert "s9" in eq.data["charge_kw"].indexes["station"]
    assert eq.scenario.case.market.voll == 7


def test_a_case_is_built_from_networks_alone():
    case = vg.Case.build(feeder="ieee123", road="sioux_falls")
    assert list(case.drivers) == list(DRIVERS) and list(case.scenarios) == ["base"]
    assert case.market.voll == SETTINGS["market"]["voll"]
    assert case.lses["portion"].to_dict() == {"A": 1.0}
    total = case.road.trips["trips_veh_h"].sum()
    assert case.trips["ev"]["trips_veh_h"].sum() == pytest.approx(0.1 * total)
    assert {kind for kind, _ in case.basis.values()} == {"assumed"}


def test_a_case_is_built_from_parts_saved_and_solved(tmp_path):
    shipped = vg.load_case("ieee123_sioux_falls")
    feeder = shipped.feeder
    parts = {
        "root": 150,
        "base_kv": 4.16,
        **{k: getattr(feeder, k).reset_index() for k in ("buses", "branches", "loads")},
    }
    road = no_coordinates(shipped.road)
    case = vg.Case.build(
        feeder=parts,
        road={"nodes": road.nodes[["through"]], "arcs": road.arcs, "trips": road.trips},
        stations={"s9": {**S9, "road_node": 9, "bus": 13}},
        generators=pd.DataFrame(
            {"bus": [48], "max_kw": [250.0], "cost_linear": [0.1], "cost_quadratic": [1e-4]},
            index=["g"],
        ),
        drivers={"taxi": {"kind": "ev", "trips": PAIRS, **TAXI}},
        scenarios={"base": {}, "late": {"load_factor": 0.5, "parameters": {"voll": 3}}},
        name="mine",
        voll=7,
        parameters={"paths.form": "legs"},
    )
    assert case.market.voll == 7 and case.paths.form == "legs"
    assert case.generators.loc["g", "lse"] == "A"
    assert fingerprint(read_back(case, tmp_path / "mine")) == fingerprint(case)
    eq = vg.solve(case, "late")
    assert eq.certificate.holds
    figure = eq.plot.networks()
    figure.draw_without_rendering()
    assert any("computed" in text.get_text() for text in figure.findobj(Text))


def test_networks_by_object_and_folder(tmp_path):
    folder = networks_folder() / "ieee123"
    road = (vg.load_case("ieee123_sioux_falls").road, pd.DataFrame())  # as of read_tntp
    made = [vg.Case.build(feeder=f, road=road) for f in (folder, str(folder), read_feeder(folder))]
    assert len({fingerprint(case) for case in made}) == 1


def test_saving_overwrites_saved_cases_only(case, tmp_path):
    folder = tmp_path / "mine"
    names = case.save(folder)
    assert set(names) == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    case.with_parameters(voll=9).save(folder)
    assert vg.load_case(folder).market.voll == 9
    file = tmp_path / "file"
    file.write_text("mine")
    write_template(tmp_path / "new")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for place, said in (
        (file, "is a file"),
        (tmp_path / "new", "not saved from Python"),
        (tmp_path / "full", "is not empty"),
        (5, "is not the path of a folder"),
    ):
        with pytest.raises(vg.DataError, match=said):
            case.save(place)
    assert file.read_text() == "mine" and (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_names_and_notes_of_every_kind_are_read_back(case, tmp_path):
    odd = 'a "b", c.d #e = [f]'
    edited = (
        case.with_station(odd, like="s5", note="'it', \"is\"; \\ so", basis="cited")
        .with_scenario("été 1.5 #x", reactive_sources={"48": 3.5})
        .with_parameters({"market.inverse_demand": "p0*(2 - q/q0)"})
        .with_class("x=1 [y]", like="ev", trips=1e-7)
    )
    assert fingerprint(read_back(edited, tmp_path / "odd")) == fingerprint(edited)


def test_another_road_and_feeder_with_everything_moved():
    """Nothing stays by the chance that a name is on both networks."""
    case = vg.load_case("ieee123_sioux_falls").without_station("s8", "s11", "s12")
    places = dict(zip(case.stations.index, ("117", "74", "253", "411", "338"), strict=True))
    pairs = PAIRS.assign(destination=["20", "13"])
    moved = case.with_road("anaheim", stations=places, trips={"ev": pairs})
    assert moved.stations["road_node"].to_dict() == places
    assert moved.trips["fv"]["trips_veh_h"].sum() == pytest.approx(
        case.drivers["fv"].trips_factor * 104_694.4
    )
    assert moved.trips["ev"]["trips_veh_h"].tolist() == [30.0, 20.0]


def test_nodes_named_by_whole_numbers_are_so_in_all_tables_of_a_road() -> None:
    ends = {"origin": [1, 2], "destination": [2, 1]}
    trips = pd.DataFrame({**ends, "trips_veh_h": [10.0, 20.0]})
    arcs = {"capacity_veh_h": 100.0, "length_km": 5.0, "free_flow_min": 5.0, "bpr_b": 0.15}
    road = {
        "nodes": pd.DataFrame({"node": [1, 2]}),
        "arcs": pd.DataFrame(
            {"arc": ["1-2", "2-1"], "from_node": [1, 2], "to_node": [2, 1], **arcs, "bpr_power": 4}
        ),
    }
    by_pair = trips.set_index(["origin", "destination"])["trips_veh_h"]
    built = [vg.Case.build(feeder="ieee123", road={**road, "trips": t}) for t in (trips, by_pair)]
    assert built[0] == built[1]
    assert list(built[0].road.trips["origin"]) == ["1", "2"]
    with pytest.raises(DataError, match=r"^road\.trips '1-2', column trips_veh_h"):
        vg.Case.build(feeder="ieee123", road={**road, "trips": trips.assign(trips_veh_h=np.nan)})


def test_cases_are_equal_where_their_data_are(tmp_path) -> None:
    write_template(tmp_path / "new")
    case = vg.load_case(tmp_path / "new").with_parameters(voll=4.0)
    case.save(tmp_path / "mine")
    assert vg.load_case(tmp_path / "mine") == case
    assert case != case.with_station("s3", pv_kw=1.0) and case != 5
    with pytest.raises(TypeError, match="unhashable type: 'Case'"):
        hash(case)


@pytest.mark.parametrize("name", [None, ["a"], 1.5])
def test_scenarios_listed_by_what_is_no_name_are_refused(name) -> None:
    with pytest.raises(DataError, match="^scenario: name = "):
        vg.Case.build(feeder="ieee123", road="sioux_falls", scenarios=[name])
