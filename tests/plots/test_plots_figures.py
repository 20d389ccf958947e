"""What the figures show: heights against the tables, files, messages, no trace left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from cases import make_case
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import v2geq as vg
from v2geq.errors import DataError
from v2geq.paper.figures import FIGURES, draw, plot_study
from v2geq.plots import COLUMN_MM, PAGE_MM, load_runs, save, tables
from v2geq.plots.api import Plots
from v2geq.plots.feeder import feeder_table
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
    assert both[both > 0].sum() == pytest.approx(table["charge_kw"].sum())
    points = [x for line in dwell.lines if line.get_marker() == "o" for x in line.get_ydata()]
    np.testing.assert_allclose(points, table["dwell_h"])


@pytest.mark.parametrize("order", ["value", "feeder"])
def test_prices_have_a_point_per_bus(runs, order):
    table = tables.dlmp_table(runs)
    figure = prices(runs, order=order)
    for axes, scenario in zip(figure.axes, runs.scenarios, strict=False):
        lines = [line for line in axes.lines if line.get_marker() == "o"]
        for line, v2g in zip(lines, (False, True), strict=True):
            want = tables.rows_of(table, scenario, v2g)["dlmp"].to_numpy()
            np.testing.assert_allclose(
                line.get_ydata(), np.sort(want) if order == "value" else want
            )
        assert axes.get_yscale() == "log"
    assert heights(figure.axes[-1]).sum() == pytest.approx(
        tables.supply_table(runs)["load_shed_kw"].sum()
    )


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
        assert widths == pytest.approx(part["total_usd"].sum())
        np.testing.assert_allclose(axes.lines[0].get_xdata(), part["total_usd"])


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
    states = feeder_table(eq)["state"].value_counts()
    assert states["closed"] == len(eq.scenario.lines.names)
    assert states["open"] == 2
    assert states["out"] == 2
    points = sum(len(c.get_offsets()) for c in figure.axes[1].collections)
    assert points >= len(eq.scenario.case.feeder.buses)


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
