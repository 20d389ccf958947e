"""A case names its currency once: all that leaves it is in that money, and no number changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import make_case, make_road
from matplotlib.text import Text
from typer.testing import CliRunner

import v2geq as vg
from v2geq.cli import app
from v2geq.data.model.values import is_currency
from v2geq.data.parameters.change import with_parameters
from v2geq.data.readers.document import case_from_document, case_to_document
from v2geq.data.template import write_template
from v2geq.plots.prices import prices
from v2geq.plots.social_cost import social_cost
from v2geq.plots.trip_costs import trip_costs
from v2geq.results.sheets import sheets
from v2geq.studies.plan import read_study
from v2geq.studies.run import run_study


def written(folder: Path, currency: str) -> Path:
    """The template with a toll, in a currency."""
    write_template(folder)
    for name, old, new in (
        ("case.toml", 'currency = "$"', f'currency = "{currency}"'),
        ("road/road.toml", "source", "toll_usd = 0.5\nsource"),
        ("road/arcs.csv", "bpr_power\n", "bpr_power,toll\n"),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    lines = (folder / "road/arcs.csv").read_text().splitlines()
    tolled = [lines[0], *(f"{line},{1.0 if k == 0 else 0.0}" for k, line in enumerate(lines[1:]))]
    (folder / "road/arcs.csv").write_text("\n".join(tolled) + "\n")
    return folder


@pytest.fixture(scope="module", params=["€", "CNY"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("case") / "own", request.param)


@pytest.fixture(scope="module")
def case(folder: Path) -> vg.Case:
    return vg.load_case(folder)


@pytest.fixture(scope="module")
def eq(case: vg.Case) -> vg.Equilibrium:
    return vg.solve(case, "island")


@pytest.fixture(scope="module")
def before(case: vg.Case) -> vg.Equilibrium:
    return vg.solve(case, "island", v2g=False)


def said(eq: vg.Equilibrium, name: str) -> Iterator[str]:
    """What an object shows of itself."""
    thing = {
        "equilibrium": lambda: eq,
        "summary": lambda: eq.summary,
        "accounts": lambda: eq.accounts,
        "certificate": lambda: eq.certificate,
        "case": lambda: eq.case,
        "scenario": lambda: eq.scenario,
        "trip": lambda: eq.explain(od=(1, 6)),
        "bus": lambda: eq.explain(bus="b5"),
        "station": lambda: eq.explain(station="s4"),
        "line": lambda: eq.explain(line="l1"),
        "parameters": lambda: vg.parameters(eq.case).to_csv(),
        "social cost": lambda: eq.accounts.social_cost,
        "summary frame": lambda: eq.summary.to_frame().to_csv(),
        "warnings": lambda: eq.warnings,
        "blocks": lambda: eq.certificate.blocks.to_csv() + eq.certificate.markets.to_csv(),
        "equations": lambda: eq.equations(),
    }[name]()
    yield from (repr(thing), str(thing))
    if hasattr(thing, "_repr_html_"):
        yield thing._repr_html_()


@pytest.mark.parametrize("name", ["equilibrium", "case", "scenario", "line", "warnings"])
def test_short_texts_speak_of_no_other_money(eq: vg.Equilibrium, name: str) -> None:
    assert not [text for text in said(eq, name) if "$" in text]


@pytest.mark.parametrize(
    "name",
    [
        "summary",
        "accounts",
        "certificate",
        "trip",
        "bus",
        "station",
        "parameters",
        "social cost",
        "summary frame",
        "blocks",
        "equations",
    ],
)
def test_texts_are_in_the_currency(eq: vg.Equilibrium, case: vg.Case, name: str) -> None:
    texts = list(said(eq, name))
    assert not [text for text in texts if "$" in text]
    assert any(case.currency in text for text in texts)


def test_results_and_tables_are_in_the_currency(
    eq: vg.Equilibrium, case: vg.Case, tmp_path: Path
) -> None:
    assert eq.dlmp.attrs["unit"] == f"{case.currency}/kWh"
    assert eq.toll.attrs["unit"] == f"{case.currency}/veh"
    assert not [v for v in eq.data.variables.values() if "$" in str(v.attrs)]
    assert "$" not in str(eq.sensitivity(of="dlmp", to="voll").attrs)
    word = {"€": "eur", "CNY": "cny"}[case.currency]
    found = sheets(eq)
    assert f"dlmp_{word}_per_kwh" in found["buses"].frame
    assert f"cost_{word}_per_veh" in found["paths_ev"].frame
    assert f"amount_{word}_per_h" in found["accounts"].frame
    for file in eq.to_tables(tmp_path / "tables"):
        text = file.read_text(encoding="utf-8")
        assert "$" not in text and "usd" not in text, file
    # dollars of LaTeX are those of formulas
    table = eq.to_latex()
    assert rf"{case.currency}/kWh" in table and r"\$" not in table


def test_figures_are_in_the_currency(
    eq: vg.Equilibrium, before: vg.Equilibrium, case: vg.Case
) -> None:
    figures = {name: getattr(eq.plot, name)() for name in eq.plot.names()}
    runs = [before, eq]
    figures |= {f.__name__ + " of two": f(runs) for f in (prices, social_cost, trip_costs)}
    told = {
        name: [t.get_text() for t in figure.findobj(Text)]  # type: ignore[call-overload]
        for name, figure in figures.items()
    }
    assert not {name: t for name, texts in told.items() for t in texts if "$" in t}
    for name in ("feeder", "prices", "route", "trip_costs", "social_cost of two"):
        assert any(case.currency in t for t in told[name]), name


def test_commands_speak_of_no_other_money(folder: Path, case: vg.Case, tmp_path: Path) -> None:
    run, out = CliRunner().invoke, str(tmp_path / "a.nc")
    arguments = ["--scenario", "island", "--out", out]
    for command in (
        ["check", str(folder)],
        ["parameters", str(folder)],
        ["solve", str(folder), *arguments],
        ["show", out],
    ):
        done = run(app, command)
        assert done.exit_code == 0, done.output
        assert "$" not in done.output and f"{case.currency}/" in done.output, command


def test_studies_are_in_the_currency(folder: Path, case: vg.Case, tmp_path: Path) -> None:
    study = read_study(folder)
    study = replace(study, runs=tuple(r for r in study.runs if r.scenario == "island"))
    outcomes = run_study(study, tmp_path / "out")
    assert all(o.ok for o in outcomes) and "$" not in outcomes[0]._repr_html_()
    for file in (tmp_path / "out").rglob("*.csv"):
        assert "$" not in file.read_text(encoding="utf-8")
    assert f"({case.currency}/h)" in (tmp_path / "out/social_cost.csv").read_text(encoding="utf-8")
    assert r"\$" not in (tmp_path / "out/summary.tex").read_text(encoding="utf-8")


def test_no_number_changes(eq: vg.Equilibrium, case: vg.Case, tmp_path: Path) -> None:
    dollars = vg.solve(vg.load_case(written(tmp_path / "usd", "$")), "island")
    np.testing.assert_array_equal(eq.z, dollars.z)
    assert dollars.dlmp.attrs["unit"] == "$/kWh"
    assert float(eq.toll.max()) == 0.5
    for name, values in dollars.data.variables.items():
        np.testing.assert_array_equal(eq.data[name].to_numpy(), values.to_numpy())
    renamed = vg.solve(vg.load_case(tmp_path / "usd"), "island", parameters={"currency": "€"})
    assert renamed.dlmp.attrs["unit"] == "€/kWh"


def test_round_trips(eq: vg.Equilibrium, case: vg.Case, tmp_path: Path) -> None:
    assert case_from_document(case_to_document(case)).currency == case.currency
    case.save(tmp_path / "again")
    again = vg.load_case(tmp_path / "again")
    assert case_to_document(again)["settings"] == case_to_document(case)["settings"]
    stated = case.with_parameters(
        {"voll": {"value": 7.0, "unit": f"{case.currency}/kWh", "basis": "cited", "note": "law"}}
    )
    stated.save(tmp_path / "stated")
    text = (tmp_path / "stated/case.toml").read_text(encoding="utf-8")
    assert f'unit = "{case.currency}/kWh"' in text
    assert vg.load_case(tmp_path / "stated").market.voll == 7.0
    eq.save(tmp_path / "a.nc")
    loaded = vg.load(tmp_path / "a.nc")
    assert loaded.certificate.holds
    assert loaded.dlmp.attrs["unit"] == f"{case.currency}/kWh"


def test_mistakes_are_told_in_the_currency(folder: Path, case: vg.Case) -> None:
    with pytest.raises(vg.DataError, match="voll = -1.0 ") as told:
        with_parameters(case, {"voll": -1.0})
    assert f"{case.currency}/kWh" in str(told.value) and "$" not in str(told.value)
    with pytest.raises(vg.DataError, match=r"given in '\$/kWh'; convert it to") as told:
        with_parameters(case, {"voll": {"value": 5.0, "unit": "$/kWh"}})
    assert f"'{case.currency}/kWh'" in str(told.value)
    with pytest.raises(vg.DataError, match="cost_linear is missing|cost_linear") as told:
        case.with_generator("new", lse="A", bus="b2", max_kw=1.0)
    assert "$" not in str(told.value)


def test_a_table_is_judged_in_the_currency(tmp_path: Path) -> None:
    folder = written(tmp_path / "wrong", "€")
    text = (folder / "generators.csv").read_text().replace("0.0001", "-1", 1)
    (folder / "generators.csv").write_text(text)
    with pytest.raises(vg.DataError, match=r"cost_quadratic = -1.* €/kW2h") as told:
        vg.load_case(folder)
    assert "$" not in str(told.value)


@pytest.mark.parametrize("name", ["$", "€", "EUR", "kr", "Fr.", "US$", "zł", "₹"])
def test_a_currency_is_a_sign_or_a_short_word(name: str) -> None:
    assert is_currency(name)
    assert make_case().with_parameters({"currency": name}).currency == name


@pytest.mark.parametrize(
    "name", ["", "€/kWh", "1000 €", "E U R", "Dollars of Fiji", 7, "$\n", "{}"]
)
def test_what_is_no_currency_is_refused(name: object) -> None:
    with pytest.raises(vg.DataError, match="currency = "):
        make_case().with_parameters({"currency": name})


def test_units_of_another_currency_are_refused_with_advice() -> None:
    with pytest.raises(vg.DataError, match=r"convert it to '\$/kWh', or .*currency = '€'"):
        make_case().with_parameters({"voll": {"value": 5.0, "unit": "€/kWh"}})
    with pytest.raises(vg.DataError, match=r"convert it to '\$/kWh'$"):
        make_case().with_parameters({"voll": {"value": 5.0, "unit": "$/MWh"}})


def test_scenarios_share_the_currency() -> None:
    with pytest.raises(vg.DataError, match="one for all scenarios"):
        make_case().with_scenario("abroad", parameters={"currency": "€"})


def test_tolls_of_a_road_are_in_the_currency_of_its_case() -> None:
    road = make_road({"1-2": {"toll": 2.0}, "2-3": {}})
    case = make_case(currency="€")
    for unit in ("$/veh", "€/veh"):
        own = case.with_road(replace(road, toll_unit=unit))
        assert own.road.toll_unit == "$/veh"
        assert vg.solve(own, uniqueness=False).toll.attrs["unit"] == "€/veh"
    with pytest.raises(vg.DataError, match=r"toll = 2\.0 CNY/veh, where the case counts in €/veh"):
        case.with_road(replace(road, toll_unit="CNY/veh"))
    with pytest.raises(vg.DataError, match=r"€/veh, where the case counts in \$/veh"):
        make_case().with_road(replace(road, toll_unit="€/veh"))


def test_a_case_is_built_in_its_currency() -> None:
    road = replace(make_road({"1-2": {"toll": 2.0}, "2-3": {}}), toll_unit="€/veh")
    trips = pd.DataFrame({"origin": ["1"], "destination": ["3"], "trips_veh_h": [5.0]})
    parts = {"feeder": make_case().feeder, "road": replace(road, trips=trips)}
    voll = {"value": 3.0, "unit": "€/kWh"}
    case = vg.Case.build(**parts, parameters={"voll": voll, "currency": "€"})
    assert (case.currency, case.market.voll) == ("€", 3.0)
    parts["road"] = replace(parts["road"], toll_unit="$/veh")
    with pytest.raises(vg.DataError, match="currency = 'E1'"):
        vg.Case.build(**parts, parameters={"currency": "E1"})
    drivers = {"fv": {"kind": "fv", "trips": 1.0, "value_of_time": -1.0}}
    with pytest.raises(vg.DataError, match=r"value_of_time = -1.* €/h") as told:
        vg.Case.build(**parts, drivers=drivers, parameters={"currency": "€"})
    assert "$" not in str(told.value)


def test_runs_in_different_currencies_are_not_drawn_together() -> None:
    runs = [
        vg.solve(make_case(currency=c), v2g=v, uniqueness=False)
        for c, v in (("$", False), ("€", True))
    ]
    with pytest.raises(vg.DataError, match=r"equilibria in \$ and €"):
        prices(runs)
