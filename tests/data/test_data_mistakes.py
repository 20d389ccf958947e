"""All mistakes of a case at once, extra columns, and the list of parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

import v2geq as vg
from v2geq.cli import app
from v2geq.data.template import write_template
from v2geq.errors import collecting, collects, mistake, mistakes, part

MISTAKES = {
    # file: (old, new, said)
    "station power": ("stations.csv", "s3,3,b3,800", "s3,3,b3,-800", "charge_max_kw = -800.0 kW"),
    "station node": ("stations.csv", "s4,4,b5", "s4,44,b5", "unknown road node '44'"),
    "generator": ("generators.csv", "g1,A", "g1,C", "unknown LSE 'C'"),
    "portions": ("lses.csv", "B,0.4", "B,0.5", "sum to 1.1"),
    "load": ("feeder/loads.csv", "b2,250", "b2,x", "load_kw = 'x' is not a finite number"),
    "load bus": ("feeder/loads.csv", "b3,150", "b33,150", "load at unknown bus 'b33'"),
    "capacity": ("road/arcs.csv", "1-2,1,2,400", "1-2,1,2,0", "capacity_veh_h = 0.0"),
    "arc node": ("road/arcs.csv", "2-4,2,4", "2-4,2,9", "unknown node '9'"),
    "trips": ("fv_trips.csv", "1,6,300", "1,6,-300", "trips_veh_h = -300.0"),
    "trip row": ("ev_trips.csv", "6,1,30", "6,1", "2 values under 3 columns"),
    "voll": ("case.toml", "voll = 5.0", "voll = -5.0", "voll = -5.0 $/kWh"),
    "key": ("case.toml", "elasticity = -0.3", "elasticity = -0.3\ncolour = 1", "key 'colour'"),
    "voltages": ("case.toml", "vmin = 0.95", "vmin = 1.95", "vmin = 1.95 pu is not below"),
    "battery": ("case.toml", "battery = 30.0", "battery = 0", "battery of driver class 'ev' is 0"),
    "outage": ("case.toml", 'outages = ["l3"]', 'outages = ["l33"]', "unknown branch 'l33'"),
    "set": ("case.toml", "set = {}", "set = { vol = 3 }", "parameter 'vol'"),
}


@pytest.fixture
def folder(tmp_path):
    write_template(tmp_path / "case")
    return tmp_path / "case"


def edit(folder, file, old, new):
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("name", MISTAKES)
def test_one_mistake_is_told_once_and_brings_no_other(name, folder):
    *change, said = MISTAKES[name]
    edit(folder, *change)
    report = vg.check(folder)
    # a voltage below which nothing may fall is above the root's too
    assert len(report.errors) == (2 if name == "voltages" else 1), report
    assert said in report.errors[0]
    with pytest.raises(vg.DataError) as caught:
        vg.load_case(folder)
    assert str(caught.value) == report.errors[0]


def test_all_mistakes_are_told_at_once(folder):
    for *change, _ in MISTAKES.values():
        edit(folder, *change)
    report = vg.check(folder)
    text = "\n".join(report.errors)
    assert not [name for name, (*_, said) in MISTAKES.items() if said not in text]
    assert len(report.errors) == len(MISTAKES) + 1 and not report.ok
    assert f"{len(report.errors)} errors" in repr(report) and len(repr(report)) < 200
    assert all(error in str(report) for error in report.errors)
    assert "&#10007;" in report._repr_html_() and "error 16" in report._repr_html_()
    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 2
    assert not [error for error in report.errors if error not in done.output]


@pytest.mark.parametrize("file", ["feeder/buses.csv", "road/road.toml", "stations.csv"])
def test_a_missing_file_hides_no_mistake_of_another(file, folder):
    (folder / file).unlink()
    edit(folder, *MISTAKES["voll"][:3])
    edit(folder, *MISTAKES["load"][:3])
    errors = vg.check(folder).errors
    assert len(errors) == 3 and sum("found" in e or "no road" in e for e in errors) == 1


def test_a_case_made_in_python_tells_all_its_mistakes():
    case = vg.load_case("ieee123_sioux_falls")
    stations = case.stations.copy()
    stations.loc["s5", "piles"], stations.loc["s8", "bus"] = -1.0, "x"
    market = replace(case.market, voll=-1.0)
    feeder = replace(case.feeder, root="x")
    report = vg.check(replace(case, stations=stations, market=market, feeder=feeder))
    for said in ("piles = -1.0", "unknown bus 'x'", "voll = -1.0", "root bus 'x'"):
        assert said in str(report)
    assert len(report.errors) == 4
    assert (
        vg.check(replace(case, stations=None, market=market)).errors[-1].startswith("market.voll")
    )


@pytest.mark.parametrize("name", vg.available_cases())
def test_shipped_cases_are_without_mistake(name):
    report = vg.check(vg.load_case(name))
    assert report.ok and report.name == name and "0 errors" in repr(report)
    assert report.lines[0].startswith(name)


def test_neither_case_nor_path():
    with pytest.raises(vg.DataError, match="not the path of a case"):
        vg.check(5)
    assert "no case 'nothing'" in vg.check("nothing").errors[0]


def test_contents_of_files_elsewhere_are_not_shown(folder, tmp_path):
    (tmp_path / "secret.csv").write_text("origin,destination,trips_veh_h\n1,6,secret\n1,5,word\n")
    edit(folder, "case.toml", '"ev_trips.csv"', '"../secret.csv"')
    errors = vg.check(folder).errors
    assert len(errors) == 1 and "outside the folders of the case" in errors[0]
    assert "word" not in str(errors) and "'secret'" not in str(errors)


def test_extra_columns_warn_by_name(folder):
    file = folder / "stations.csv"
    rows = file.read_text().splitlines()
    file.write_text("\n".join([rows[0] + ",pile,colour", *(r + ",1,red" for r in rows[1:])]))
    with pytest.warns(UserWarning, match="is not known") as told:
        case = vg.load_case(folder)
    texts = [str(w.message) for w in told]
    assert len(texts) == 2 and all("stations.csv, line 1" in text for text in texts)
    assert "column 'pile' is not known and left out; did you mean 'piles'?" in texts[0]
    assert "'colour'" in texts[1] and "colour" not in case.stations
    report = vg.check(folder)
    assert report.ok and set(texts) <= set(report.warnings)


def test_collected_or_raised():
    error = vg.DataError("wrong")
    assert not collects() and mistakes() == 0
    with pytest.raises(vg.DataError), part():
        mistake(error)
    with collecting() as found:
        mistake(error)
        with part():
            raise error
        with collecting(False), pytest.raises(vg.DataError):
            mistake(error)
        assert collects() and mistakes() == 2
    assert found == [error, error] and not collects()


# ---------------------------------------------------------------------------------------------
# Parameters


def test_every_parameter_is_listed_and_can_be_set():
    case = vg.load_case("ieee123_sioux_falls_reference")
    table = vg.parameters(case)
    assert list(table.columns)[:6] == ["name", "value", "unit", "range", "basis", "meaning"]
    assert table["name"].is_unique and (table["meaning"] != "").all()
    row = table.set_index("name").loc["market.voll"]
    assert (row["value"], row["unit"], row["basis"]) == (20.0, "$/kWh", "assumed")
    assert row["range"] == "above 0" and row["meaning"] == "value of lost load"
    every = table.drop_duplicates(subset="meaning")
    for name, value in zip(every["name"], every["value"], strict=True):
        if "described only" in table.set_index("name").loc[name, "meaning"] or name.endswith(
            (".x", ".y", ".length_km", ".base_kv")
        ):
            continue
        case.with_parameters({name: value})


@pytest.mark.parametrize(
    ("search", "first"),
    [
        ("VOLL", "market.voll"),
        ("line limits", "feeder.line_rating"),
        ("value of lost load", "market.voll"),
        ("degrad", "drivers.ev.degradation"),
        ("battery wear", "drivers.ev.wear"),
        ("battery ageing", "drivers.ev.degradation"),
    ],
)
def test_parameters_are_found_by_name_and_meaning(search, first):
    found = vg.parameters(vg.load_case("ieee123_sioux_falls"), search)
    assert found["name"].iloc[0] == first


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VoLL", "did you mean 'voll'"),
        ("volls", "did you mean 'voll'"),
        ("voll_kwh", "did you mean 'voll'"),
        ("ev_share", "'drivers.ev.trips_factor'"),
        ("load_factor", "'scenario.base.load_factor'"),
        ("evs", "its parameters are drivers.ev.kind"),
        ("Stress", "its parameters are scenario.stress.load_factor"),
        ("line limits", "'feeder.line_rating'"),
        ("ageing", "'drivers.ev.degradation'"),
        ("Battery_kWh", "did you mean 'battery'"),
        ("toll", "'road.arcs.1-2.toll'"),
        ("ev.battery", "did you mean 'battery'"),
        ("price of the tso", "'substation.price'"),
        ("xyzzy", "known names: "),
    ],
)
def test_unknown_parameters_are_understood_by_meaning(name, said):
    case = vg.load_case("ieee123_sioux_falls")
    for use in (
        lambda: case.with_parameters({name: 1}),
        lambda: vg.solve(case, parameters={name: 1}),
        lambda: case.with_scenario("x", parameters={name: 1}),
    ):
        with pytest.raises(vg.DataError) as caught:
            use()
        assert said in str(caught.value)


def test_the_command_lists_parameters():
    run = CliRunner().invoke
    every = run(app, ["parameters", "ieee123_sioux_falls"])
    assert every.exit_code == 0
    assert "market.voll" in every.output and "road.arcs.1-2.toll" not in every.output
    tolls = run(app, ["parameters", "ieee123_sioux_falls", "toll"])
    assert tolls.output.count("road.arcs.") == 76 and "market.voll" not in tolls.output
    assert run(app, ["parameters", "ieee123_sioux_falls", "xyzzy"]).exit_code == 2
