"""What the figures show: heights against the tables, files, messages, no trace left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from cases import make_case
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

import v2geq as vg
from v2geq.errors import DataError
from v2geq.paper.figures import FIGURES, draw, plot_study
from v2geq.plots import COLUMN_MM, PAGE_MM, load_runs, save, tables
from v2geq.plots.api import Plots
from v2geq.plots.feeder import feeder_table
from v2geq.plots.feeder_view import feeder_view
from v2geq.plots.limits import full_stations
from v2geq.plots.positions import spread
from v2geq.plots.prices import prices
from v2geq.plots.routes import electric_pairs, routes
from v2geq.plots.runs import as_runs
from v2geq.plots.social_cost import social_cost
from v2geq.plots.station_use import station_use
from v2geq.plots.style import number
from v2geq.plots.supply import supply
from v2geq.plots.trip_costs import trip_costs

pytestmark = pytest.mark.slow


def heights(axes):
    bars = [p for p in axes.patches if isinstance(p, Rectangle)]
    return np.array([b.get_height() for b in bars])


def texts(figure):
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


@pytest.mark.parametrize("width", [COLUMN_MM, PAGE_MM])
@pytest.mark.parametrize("k", list(FIGURES))
def test_every_figure_has_its_width_and_readable_text(runs, k, width):
    figure = draw(runs, k, width_mm=width)
    assert isinstance(figure, Figure)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(width)
    figure.draw_without_rendering()
    sizes = {t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_text().strip()}
    assert min(sizes) >= 6


def test_supply_bars_are_the_table(runs):
    table = tables.supply_table(runs)
    left, right = supply(runs).axes
    stacked = table[["tso_import_kw", "generation_kw", "discharge_kw"]].to_numpy().sum()
    shed = table["load_shed_kw"]
    assert heights(left).sum() == pytest.approx(stacked + shed[shed > 0.5].sum(), rel=1e-9)
    both = heights(right)
    assert both[both > 0].sum() == pytest.approx(table["charge_kw"].sum())
    assert both[both < 0].sum() == pytest.approx(-table["discharge_kw"].sum(), rel=1e-6)


def test_station_use_bars_are_the_table(runs):
    table = tables.trips_table(runs)
    share, energy, dwell, pairs = station_use(runs).axes
    assert heights(share).sum() == pytest.approx(100 * table["visit_share"].sum())
    assert heights(pairs).sum() == table["discharge_od_pairs"].sum()
    both = heights(energy)
    assert both[both > 0].sum() == pytest.approx(table["charge_kwh_per_stop"].sum())
    assert both[both < 0].sum() == pytest.approx(-table["discharge_kwh_per_stop"].sum())
    points = [x for line in dwell.lines if line.get_marker() == "o" for x in line.get_ydata()]
    np.testing.assert_allclose(points, table["dwell_h"])


@pytest.mark.parametrize("order", ["value", "feeder"])
def test_prices_have_a_step_per_bus(runs, order):
    table = tables.dlmp_table(runs)
    figure = prices(runs, order=order)
    assert len(figure.axes) == 3
    for axes, scenario in zip(figure.axes, runs.scenarios, strict=True):
        steps = [p.get_data() for p in axes.patches if isinstance(p, StepPatch)]
        lost = [c for c in axes.collections if isinstance(c, LineCollection)]
        text = next(t for t in map(str.strip, texts(axes)) if t.startswith("highest DLMP"))
        tops, shed = [], []
        for step, segments, v2g in zip(steps, lost, (False, True), strict=True):
            part = tables.rows_of(table, scenario, v2g)
            want = part["dlmp"].to_numpy()
            np.testing.assert_allclose(step.values, np.sort(want) if order == "value" else want)
            widths = part["firm_kw"].to_numpy()
            if order == "value":
                widths = widths[np.argsort(want, kind="stable")]
            np.testing.assert_allclose(np.diff(step.edges), widths, atol=1e-8)
            drawn = sum(s[1][0] - s[0][0] for s in segments.get_segments())
            assert drawn == pytest.approx(part["shed_kw"].sum(), abs=1.0 * len(part))
            if order == "value":
                assert drawn == pytest.approx(part["shed_kw"].sum(), abs=2.0)
            tops.append(f"{want.max():.3g}")
            shed.append(number(part["shed_kw"].sum()))
        assert text.startswith(f"highest DLMP {' → '.join(tops)} $/kWh")
        assert text.endswith(f"load not served {' → '.join(shed)} kW")
        assert axes.get_yscale() == "log"


def test_prices_refuse_an_unknown_order(runs):
    with pytest.raises(DataError, match=r"order.*'value'"):
        prices(runs, order="vaule")


def test_trip_costs_stack_to_the_table(runs):
    table = tables.trip_cost_table(runs)
    figure = trip_costs(runs)
    assert len(figure.axes) == 6
    for axes, (key, _) in zip(figure.axes, runs, strict=True):
        part = tables.rows_of(table, *key)
        widths = sum(b.get_width() for b in axes.patches if isinstance(b, Rectangle))
        assert widths == pytest.approx(part["total"].sum())
        np.testing.assert_allclose(axes.lines[0].get_xdata(), part["total"])


def test_trip_costs_keep_the_largest_pairs(runs):
    figure = trip_costs(runs, most=5)
    assert len(figure.axes[0].get_yticks()) == 5


def test_waterfall_ends_at_the_total(runs):
    table = tables.social_cost_table(runs)
    for axes, scenario in zip(social_cost(runs).axes, runs.scenarios, strict=True):
        change = float(table.loc[scenario, "change"].sum())
        bars = [b for b in axes.patches if isinstance(b, Rectangle)]
        if abs(change) > 1:
            assert bars[-1].get_width() == pytest.approx(change)
            assert sum(b.get_width() for b in bars[:-1]) == pytest.approx(change)
            assert any(number(change) in t for t in texts(axes.figure))


def test_routes_name_both_runs(runs):
    shown = texts(routes(runs))
    assert "a  island without V2G" in shown
    assert "b  island with V2G" in shown
    # where most trips discharge, which the default is there to show
    table = runs.get("island", True).paths("ev")
    sold = table[table["discharge_kwh"] > 0]
    trips = sold.groupby(["origin", "destination"])["flow_least_squares_veh_h"].sum().round(3)
    assert any(f"of trips {'-'.join(trips.idxmax())}" in text for text in shown)


@pytest.mark.parametrize("od", [("1", "20"), (1, 20), [1, "20"], "1-20"])
def test_a_pair_may_be_spelled_in_many_ways(runs, od):
    eq = runs.get("stress", True)
    assert any("of trips 1-20" in text for text in texts(Plots(eq).route(od)))
    assert any("of trips 1-20" in text for text in texts(Plots(eq).route(od=od)))


def test_the_paper_s_routes_are_those_of_its_pair_in_stress(runs):
    shown = texts(draw(runs, 9))
    assert "a  stress without V2G" in shown
    assert "b  stress with V2G" in shown
    assert any("of trips 1-20" in text for text in shown)


def test_another_study_s_routes_are_those_with_the_most_trips():
    case = make_case(trips={"ev": {"1-2": 3.0, "1-3": 10.0}})
    both = as_runs([vg.solve(case, "base", v2g=v2g) for v2g in (False, True)])
    assert electric_pairs(both.first) == [("1", "2"), ("1", "3")]
    for k in FIGURES:
        draw(both, k).draw_without_rendering()
    shown = texts(draw(both, 9))
    assert "b  base with V2G" in shown
    assert any("of trips 1-3" in text for text in shown)


def test_routes_of_a_pair_nobody_travels(runs):
    with pytest.raises(DataError, match=r"no electric vehicles travel 1-2\b.*did you mean"):
        routes(runs, od=(1, 2))
    with pytest.raises(DataError, match=r"\('1', '2', '3'\) is no OD pair; write od="):
        routes(runs, od=("1", "2", "3"))


def test_plot_study_writes_svg_with_text_and_png(folder, tmp_path):
    said = []
    files = plot_study(folder, [5], out=tmp_path, progress=said.append)
    assert [f.name for f in files] == ["figure_5.svg", "figure_5.png"]
    assert "TSO import" in files[0].read_text(encoding="utf-8")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert said == ["figure 5: supply and station energy"]


def test_equal_figures_are_equal_files(runs, tmp_path):
    first, second = (save(supply(runs), tmp_path / name)[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_settings_of_the_user_stay(runs, tmp_path):
    before = dict(mpl.rcParams)
    save(supply(runs), tmp_path / "x")
    assert dict(mpl.rcParams) == before


def test_notebooks_show_a_figure_without_pyplot(runs):
    assert supply(runs)._repr_png_().startswith(b"\x89PNG")


def test_part_of_a_study_gives_what_it_can(folder, tmp_path):
    for name in ("base_no_v2g", "base_v2g", "island_v2g"):
        shutil.copy(folder / f"{name}.nc", tmp_path)
    said = []
    files = plot_study(tmp_path, progress=said.append)
    assert {f.stem for f in files} == {f"figure_{k}" for k in (5, 6, 7, 8, 10)}
    assert "stress_no_v2g.nc" in said[0]
    assert "island_no_v2g.nc" in said[0]
    assert any("figure 9 left out" in text for text in said)
    with pytest.raises(DataError, match=r"stress_no_v2g\.nc is missing"):
        plot_study(tmp_path, [9])
    assert "no run" in texts(supply(load_runs(tmp_path)))


def test_without_any_pair_the_missing_file_is_named(folder, tmp_path):
    shutil.copy(folder / "island_v2g.nc", tmp_path)
    with pytest.raises(DataError, match=r"island_no_v2g\.nc is missing"):
        plot_study(tmp_path, [10])


def test_folders_without_a_study(folder, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_runs(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no saved equilibrium"):
        load_runs(tmp_path)
    shutil.copy(folder / "island_v2g.nc", tmp_path / "x.nc")
    with pytest.raises(DataError, match=r"holds no run of a study.*x\.nc"):
        load_runs(tmp_path)
    shutil.move(tmp_path / "x.nc", tmp_path / "base_v2g.nc")
    with pytest.raises(DataError, match=r"base_v2g\.nc: holds scenario 'island' with V2G"):
        load_runs(tmp_path)


def test_unknown_figure_lists_the_known(folder):
    with pytest.raises(DataError, match=r"no figure 4; figures: 5 \(supply"):
        plot_study(folder, [4])


def test_two_equilibria_of_one_run(runs):
    eq = runs.get("base", True)
    with pytest.raises(DataError, match="two equilibria of scenario 'base' with V2G"):
        supply([eq, eq])


def test_every_figure_of_one_equilibrium(runs):
    plots = Plots(runs.get("island", True))
    assert "networks" in plots.names()
    for name in plots.names():
        getattr(plots, name)().draw_without_rendering()


def test_mistyped_figure_has_advice(runs):
    plots = Plots(runs.get("base", True))
    with pytest.raises(AttributeError, match="did you mean 'networks'"):
        plots.netwroks()
    with pytest.raises(DataError, match="did you mean 'voltage'"):
        plots.networks(color="voltages")


@pytest.mark.parametrize("color", ["dlmp", "voltage", "loading"])
def test_networks_show_all_buses_lines_and_stations(runs, color):
    eq = runs.get("island", True)
    figure = Plots(eq).networks(color=color)
    links = [a for a in figure.artists if isinstance(a, mpl.patches.ConnectionPatch)]
    assert len(links) == len(eq.scenario.stations) == 8
    states = feeder_table(feeder_view(eq))["state"].value_counts()
    assert states["closed"] == len(eq.scenario.lines.names)
    assert states["open"] == 2
    assert states["out"] == 2
    points = sum(len(c.get_offsets()) for c in figure.axes[1].collections)
    assert points >= len(eq.scenario.case.feeder.buses)


@pytest.mark.parametrize("scenario", ["base", "stress", "island"])
@pytest.mark.parametrize("v2g", [False, True])
def test_maps_mark_what_binds_and_say_how_much(runs, scenario, v2g):
    eq = runs.get(scenario, v2g)
    binding = eq.coupled.grid.binding(eq.values)
    for name in ("feeder", "networks"):
        figure = getattr(Plots(eq), name)()
        words = [t.get_text() for t in figure.legends[0].get_texts()]
        axes = figure.axes[0 if name == "feeder" else 1]
        # white ones are the halo of the others
        marked = {
            kind: sum(len(m.get_xdata()) for m in axes.lines if m.get_marker() == kind)
            for kind in ("|", "v", "^")
        }
        marked["|"] -= sum(m.get_color() == "white" for m in axes.lines)
        found = (marked["|"], marked["v"], marked["^"])
        assert found == tuple(map(len, binding))
        if binding.lines:
            assert f"line rating binds ({len(binding.lines)})" in words
        if binding.lowest:
            assert f"lowest voltage 0.985 pu ({len(binding.lowest)})" in words
        none = not (binding.lines or binding.lowest or binding.highest)
        assert ("no limit of the feeder binds" in words) == none


def test_maps_mark_stations_at_their_limit():
    near = {"road_node": "2", "bus": "b", "charge_max_kw": 20.0}
    slow = {"road_node": "2", "bus": "b", "base_wait_h": 0.1}
    case = make_case(stations={"s": near, "slow": slow}, drivers={"ev": {"battery": 10.0}})
    eq = vg.solve(case, "base", v2g=False)
    assert full_stations(eq) == ["s"]
    assert "station at its limit (1)" in texts(Plots(eq).roads())
    assert full_stations(vg.solve(make_case(), "base")) == []


@pytest.mark.parametrize(
    ("color", "words"),
    [
        ("dlmp", "DLMP ($/kWh; value of lost load 20)"),
        ("voltage", "Voltage (pu; limits 0.985 to 1.05)"),
        ("loading", "Flow / rating (-; limit 1)"),
    ],
)
def test_feeder_maps_have_a_title_and_their_limits(runs, color, words):
    shown = texts(Plots(runs.get("stress", True)).feeder(color=color))
    assert "stress with V2G" in shown
    assert words in shown


def test_figures_of_one_run_have_no_place_for_another(runs):
    plots = Plots(runs.get("stress", True))
    for name in ("supply", "prices"):
        figure = getattr(plots, name)()
        assert "no run" not in texts(figure)
        assert not any("without V2G" in text for text in texts(figure))
    assert len(plots.prices().axes) == 1
    (bar,) = {p.get_x() for p in plots.supply().axes[1].patches}
    assert bar == pytest.approx(-0.18)


def test_nodes_that_touch_are_moved_apart():
    xy = spread(np.array([[0.0, 0.0], [0.0, 0.0], [0.01, 0.0], [1.0, 1.0]]), 0.1)
    gaps = [np.hypot(*(xy[i] - xy[j])) for i in range(4) for j in range(i)]
    assert min(gaps) > 0.09
    assert (xy[3] == 1.0).all()


@pytest.mark.parametrize("v2g", [False, True])
def test_a_small_case_without_stops_can_be_drawn(v2g):
    eq = vg.solve(make_case(), "base", v2g=v2g)
    plots = Plots(eq)
    for name in plots.names():
        getattr(plots, name)().draw_without_rendering()
    station_use(eq).draw_without_rendering()


def test_importing_the_package_leaves_matplotlib_alone():
    code = (
        "import sys, v2geq, v2geq.cli, v2geq.equilibrium; "
        "sys.exit(int('matplotlib' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_list_of_figures_says_what_each_shows(runs):
    plots = Plots(runs.first)
    page = plots._repr_html_()
    for name in plots.names():
        assert f"{name}()" in page and name in repr(plots)
        assert getattr(Plots, name).__doc__


def test_equilibrium_has_its_figures(folder):
    eq = vg.load(folder / "base_v2g.nc")
    assert eq.plot.names() == Plots(eq).names()


def test_command_draws_and_says_what_is_missing(folder, tmp_path, capsys, monkeypatch):
    from v2geq.cli import main

    monkeypatch.setattr(sys, "argv", ["v2geq", "plot", str(folder), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert len(list(tmp_path.iterdir())) == 12
    assert "12 files in" in capsys.readouterr().err
    argv = ["v2geq", "plot", str(folder / "none"), "--figure", "6"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "no such folder" in capsys.readouterr().err
