"""Delay functions: compiled against numpy and sympy, slopes, integrals, what is refused."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
import sympy
from cases import fuel_only, make_road
from scipy.integrate import quad

import v2geq as vg
from v2geq.data.readers.road import read_road
from v2geq.data.template import write_template
from v2geq.errors import DataError
from v2geq.roads.delay import TravelTime, delay_arrays
from v2geq.roads.kernels.delay import integral, time_and_slope

EXPRESSIONS = (
    "t0*(1 + 0.15*(x/c)**4) + 0.01*sqrt(x + 1)",
    "t0*exp(0.3*x/c) + log(1 + x)/5",
    "t0*(1 + b*(x/c)**p) + l",
    "t0 + 0.01*(x - c + sqrt((x - c)**2 + 1))/2",
    "t0 + x**1.5/c**1.5 - 1/(1 + x) + 1",
    "t0 + sqrt((x + 1)**2)**3/c**3 + exp(1)*2**(x/c)",
    "t0",
)
KINDS = ("bpr", "conical", *EXPRESSIONS)
RATIOS = (0.0, 1e-9, 0.3, 1.0, 2.7, 9.0)


def road_of(delay="bpr", count=3, seed=0, **columns):
    """Parallel arcs of random parameters."""
    rng = np.random.default_rng(seed)
    row = {
        "capacity_veh_h": rng.uniform(200.0, 4000.0, count),
        "length_km": rng.uniform(0.0, 9.0, count),
        "free_flow_min": rng.uniform(0.0, 9.0, count),
        "bpr_b": rng.uniform(0.0, 1.0, count),
        "bpr_power": rng.choice([0.0, 1.0, 2.0, 4.0, 7.0, 1.3, 4.924, 18.0], count),
        "conical_alpha": rng.uniform(1.01, 12.0, count),
    }
    row |= columns
    arcs = {f"1-{k + 2}": {n: v[k] for n, v in row.items()} for k in range(count)}
    return make_road({name: {**r, "delay": delay} for name, r in arcs.items()})


def by_hand(delay, arc, x):
    """Minutes, from the formulas as published."""
    t0, c, b = arc["free_flow_min"], arc["capacity_veh_h"], arc["bpr_b"]
    if delay == "bpr":
        return t0 * (1 + b * np.float64(x / c) ** arc["bpr_power"])
    if delay == "conical":
        a = arc["conical_alpha"]
        beta = (2 * a - 1) / (2 * a - 2)
        return t0 * (2 + np.sqrt(a**2 * (1 - x / c) ** 2 + beta**2) - a * (1 - x / c) - beta)
    named = dict(x=x, t0=t0, c=c, b=b, p=arc["bpr_power"], l=arc["length_km"])
    return float(sympy.sympify(delay).subs(named))


@pytest.mark.parametrize("delay", KINDS)
def test_times_against_numpy_and_sympy(delay):
    road = road_of(delay)
    arrays = delay_arrays(road)
    for k, (_, arc) in enumerate(road.arcs.iterrows()):
        for ratio in RATIOS:
            x = ratio * arc["capacity_veh_h"]
            wanted = by_hand(delay, arc, x)
            assert time_and_slope(arrays, k, x)[0] == pytest.approx(wanted, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.3, 2.0, 3.0, 4.0, 4.924, 8.0, 16.0, 17.0])
def test_bpr_time_and_slope(power):
    arrays = delay_arrays(road_of(bpr_power=[power] * 3))
    for k in range(3):
        t0, b, c = arrays.free_flow[k], arrays.b[k], arrays.capacity[k]
        for ratio in (0.0, 0.4, 1.0, 3.1):
            below = ratio ** (power - 1) if power and (ratio or power == 1) else 0.0
            time, slope = time_and_slope(arrays, k, ratio * c)
            assert time == pytest.approx(t0 * (1 + b * ratio**power), rel=1e-13)
            assert slope == pytest.approx(t0 * b * power * below / c, rel=1e-12)


@pytest.mark.parametrize("delay", KINDS)
def test_slopes_against_differences(delay):
    road = road_of(delay)
    arrays = delay_arrays(road)
    for k, c in enumerate(road.arcs["capacity_veh_h"]):
        for ratio in (0.01, 0.3, 0.999, 1.0, 2.7, 9.0):
            x, h = ratio * c, 1e-6 * c
            ahead, behind = (time_and_slope(arrays, k, x + s * h)[0] for s in (1, -1))
            slope = time_and_slope(arrays, k, x)[1]
            scale = abs(slope) + 1e-9 * ahead / h
            assert abs((ahead - behind) / (2 * h) - slope) < 1e-5 * scale
            assert slope >= 0.0


@pytest.mark.parametrize("delay", KINDS)
def test_integrals_against_quad(delay):
    road = road_of(delay)
    arrays = delay_arrays(road)
    for k, c in enumerate(road.arcs["capacity_veh_h"]):
        for ratio in (0.3, 1.0, 4.0):
            x = ratio * c
            parts = [p for p in (c - 3.0, c, c + 3.0) if p < x]
            wanted, error = quad(
                lambda y, k=k: time_and_slope(arrays, k, y)[0], 0.0, x,
                points=parts or None, epsabs=0.0, epsrel=1e-12, limit=300,
            )  # fmt: skip
            assert abs(integral(arrays, k, x) - wanted) <= 1e-11 * wanted + error
        assert integral(arrays, k, 0.0) == 0.0


def test_integral_of_a_smoothed_kink_in_closed_form():
    # sqrt(z^2 + 1) bends within 1 veh/h of a capacity of thousands: a single rule misses it
    road = road_of("x - c + sqrt((x - c)**2 + 1)")
    arrays = delay_arrays(road)
    for k, c in enumerate(road.arcs["capacity_veh_h"]):
        x = 1.5 * c
        curved = [0.5 * (z * np.hypot(z, 1.0) + np.arcsinh(z)) for z in (x - c, -c)]
        wanted = x * (0.5 * x - c) + curved[0] - curved[1]
        assert integral(arrays, k, x) == pytest.approx(wanted, rel=1e-12)


def test_spiess_1990_conical_properties():
    # t(0) = t0, t(c) = 2 t0, slope at capacity a t0 / c
    arrays = delay_arrays(road_of("conical", count=8))
    for k in range(8):
        t0, c = arrays.free_flow[k], arrays.capacity[k]
        assert time_and_slope(arrays, k, 0.0)[0] == pytest.approx(t0, rel=1e-13)
        assert time_and_slope(arrays, k, c) == pytest.approx(
            (2 * t0, arrays.alpha[k] * t0 / c), rel=1e-12
        )


@pytest.mark.parametrize("power", [0.0, 1.0, 4.0, 4.924])
def test_an_expression_of_the_bpr_function_is_the_bpr_function(power):
    flow = np.array([0.0, 700.0, 5000.0])
    written = TravelTime.from_road(road_of("t0*(1 + b*(x/c)**p)", bpr_power=[power] * 3))
    built_in = TravelTime.from_road(road_of("bpr", bpr_power=[power] * 3))
    for what in ("time", "value", "first", "second"):
        assert getattr(written, what)(flow) == pytest.approx(
            getattr(built_in, what)(flow), rel=1e-12
        )


@pytest.mark.parametrize("delay", ["bpr", "conical", "t0*(1 + b*(x/c)**p)"])
def test_times_depend_on_flow_over_capacity(delay):
    """A tenth of trips and capacities alike: the same times, a tenth of their integral."""
    case = fuel_only(road=road_of(delay), capacity_factor=0.1)
    day, hour = (TravelTime.from_road(r) for r in (case.road, case.traffic_road))
    assert hour.capacity == pytest.approx(0.1 * day.capacity, rel=1e-15)
    for ratio in RATIOS:
        flow = ratio * day.capacity
        assert hour.time(0.1 * flow) == pytest.approx(day.time(flow), rel=1e-12)
        assert hour.value(0.1 * flow) == pytest.approx(0.1 * day.value(flow), rel=1e-12)


def test_a_mix_of_kinds_in_hours():
    road = road_of(count=len(KINDS))
    arcs = road.arcs.assign(delay=KINDS)
    curve = replace(TravelTime.from_road(replace(road, arcs=arcs)), weight=3.0)
    flow = 1.7 * curve.capacity
    minutes = [by_hand(d, a, x) for d, (_, a), x in zip(KINDS, arcs.iterrows(), flow, strict=True)]
    assert curve.time(flow) * 60.0 == pytest.approx(minutes, rel=1e-12)
    assert curve.first(flow) == pytest.approx(3.0 * curve.time(flow), rel=1e-15)
    h = 1e-5 * flow
    slope = (curve.first(flow + h) - curve.first(flow - h)) / (2 * h)
    assert curve.second(flow) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    price = (curve.value(flow + h) - curve.value(flow - h)) / (2 * h)
    assert curve.first(flow) == pytest.approx(price, rel=1e-6)


def test_below_zero_flow_the_time_stays():
    curve = TravelTime.from_road(
        replace(road := road_of(count=9), arcs=road.arcs.assign(delay=KINDS))
    )
    zero, below = np.zeros(9), np.full(9, -50.0)
    assert (curve.time(below) == curve.time(zero)).all()
    assert curve.value(below) == pytest.approx(-50.0 * curve.time(zero), rel=1e-14)


def test_formulas_are_the_functions():
    road = road_of(count=len(KINDS))
    curve = TravelTime.from_road(replace(road, arcs=road.arcs.assign(delay=KINDS)))
    flow = 1.3 * curve.capacity
    seen = np.zeros(len(KINDS))
    for formula in curve.formulas(len(KINDS)):
        seen[formula.positions] += 1
        names = {**{n: sympy.Symbol(n) for n in formula.parameters}, "max": sympy.Max}
        written = sympy.sympify(formula.first, locals=names)
        for at, k in enumerate(formula.positions):
            values = {names[n]: v[at] for n, v in formula.parameters.items()}
            found = written.subs({**values, sympy.Symbol("x"): flow[k]})
            assert float(found) == pytest.approx(curve.first(flow)[k], rel=1e-12)
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("delay", "said"),
    [
        ("t0*(1 + y)", ["'y' is not known", "use x, t0, c, b, p, l"]),
        ("t0*(1 + x", ["is not an expression"]),
        ("", ["is empty"]),
        ("t0 - x/c", ["'1-2'", "falls", "x = "]),
        ("t0 - 100 + x/c", ["'1-2'", "is negative", "x = 0 veh/h"]),
        ("t0 + log(x)", ["not finite", "x = 0 veh/h"]),
        ("t0 + 1/(1 - x/c)", ["'1-2'", "veh/h"]),
        ("t0 + exp(100*x/c)", ["not finite"]),
        ("t0 + 0.01*sqrt(x)", ["has no slope", "x = 0 veh/h", "sqrt(x + 1)"]),
        ("t0 + sqrt(0 - 1)*x", ["not a real number"]),
        ("BPR", ["'BPR' is not known"]),
    ],
)
def test_bad_expressions_are_refused(delay, said):
    with pytest.raises(DataError) as caught:
        delay_arrays(road_of(delay))
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("delay", "said"),
    [
        # between any two flows that are far apart nothing is to be seen of these
        ("t0 + x/c - 0.1*exp(-((x/c - 3.3333)*1e4)**2)", "arc '1-.' falls at x = "),
        ("t0 + x/c + 0.1*exp(-((x/c - 3.3333)*1e4)**2)", "arc '1-.' falls at x = "),
        ("5 - 6*exp(-((x/c - 7.7777)*1e4)**2)", "arc '1-.' (falls|is negative) at x = "),
        ("t0 + 1/(x/c - 3.3333)**2 + 1000*x/c", "falls|could not be proved"),
        ("t0 + x/c + sqrt((x/c - 3.3333)**2)*1e-4", None),
        ("t0 + (x - c + sqrt((x - c)**2))/2", None),
        ("t0*(1 + b*(x/c)**p) + x/c", None),
        ("t0*(1 + (x/c)**20)", None),
        ("t0*(1 + 1e-9*exp(x/c)) + log(1 + exp(x/c))", None),
        ("t0*(x/c)**1.01", None),
    ],
)
def test_times_that_fall_on_a_narrow_stretch_are_refused(delay, said):
    road = road_of(delay, free_flow_min=[0.0, 2.0, 3.0], bpr_power=[0.0, 1.0, 100.0])
    if said is None:
        delay_arrays(road)
        return
    with pytest.raises(DataError, match=said):
        delay_arrays(road)


@pytest.mark.parametrize(
    ("delay", "said"),
    [
        ("exp(exp)", "has no argument"),
        ("t0 + x//c", "not an expression"),
        ("t0 + x**9**9**9", "exponent"),
        ("(1 + x)**100000", "exponent"),
        ("t0" + "+x" * 1_000_000, "characters"),
        ("(" * 3000 + "x" + ")" * 3000, "characters"),
        ("t0 + x.real", "character"),
        ("t0 + \x1b[31mx", "character"),
        ("exp(" * 30 + "x" + ")" * 30, "not finite"),
    ],
)
def test_hostile_expressions_are_refused_in_one_short_line(delay, said):
    with pytest.raises(DataError, match=said) as caught:
        delay_arrays(road_of(delay))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_road_of_many_arcs_with_an_expression_is_checked_at_once():
    road = road_of("t0*(1 + b*(x/c)**p) + log(1 + x)/5", count=5000)
    start = process_time()
    delay_arrays(road)
    assert process_time() - start < 3.0


@pytest.mark.parametrize(
    ("column", "value", "delay"),
    [
        ("capacity_veh_h", 0.0, "bpr"),
        ("capacity_veh_h", np.nan, "bpr"),
        ("free_flow_min", -1.0, "bpr"),
        ("bpr_b", np.inf, "bpr"),
        ("bpr_power", 0.5, "bpr"),
        ("length_km", -1.0, "bpr"),
        ("conical_alpha", 1.0, "conical"),
        ("conical_alpha", np.nan, "conical"),
    ],
)
def test_bad_parameters_are_refused(column, value, delay):
    road = road_of(delay)
    road.arcs.loc["1-3", column] = value
    with pytest.raises(DataError, match=f"{column} = .* of arc '1-3'"):
        delay_arrays(road)


def test_a_road_folder_with_every_kind(tmp_path):
    (tmp_path / "road.toml").write_text('name = "kinds"\n')
    (tmp_path / "nodes.csv").write_text("node,x,y\n1,0,0\n2,0,0\n3,0,0\n")
    head = "arc,from_node,to_node,capacity_veh_h,length_km,free_flow_min,bpr_b,bpr_power,"
    rows = "conical_alpha,delay\na,1,2,900,1,5,0.15,4,0,bpr\nb,2,3,900,0,0,0.15,4,4,conical\n"
    arcs = tmp_path / "arcs.csv"
    arcs.write_text(head + rows + "c,1,3,900,1,5,0.15,4,0,t0 + x/c\n")
    curve = TravelTime.from_road(read_road(tmp_path))
    assert curve.time(np.full(3, 900.0)) * 60.0 == pytest.approx([5.75, 0.0, 6.0])
    arcs.write_text(head + rows + "c,1,3,900,1,5,0.15,4,0,t0 - x/c\n")
    with pytest.raises(DataError, match=r"arcs\.csv, line 4, column delay: .*arc 'c' falls"):
        read_road(tmp_path)
    arcs.write_text(head + rows.replace(",4,conical", ",1,conical"))
    with pytest.raises(DataError, match=r"arcs\.csv, line 3, column conical_alpha"):
        read_road(tmp_path)


def test_a_market_on_every_kind_and_on_arcs_without_time(tmp_path):
    folder = tmp_path / "market"
    write_template(folder)
    file = folder / "road" / "arcs.csv"
    head, *rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
    length, time = head.index("length_km"), head.index("free_flow_min")
    for k, row in enumerate(rows):
        if k < 2:  # there and back without time or length
            row[length] = row[time] = "0"
        row += ["4.5", ("bpr", "conical", "t0*(1 + b*(x/c)**p) + x/1000")[k % 3]]
    lines = [",".join(row) for row in [[*head, "conical_alpha", "delay"], *rows]]
    file.write_text("\n".join(lines), encoding="utf-8")
    case = vg.load_case(folder)
    eq = vg.solve(case, scenario="peak")
    assert eq.certificate.holds
    road, flow = case.road, eq.data["flow_veh_h"].to_numpy()
    minutes = [
        by_hand(delay, arc, x)
        for delay, (_, arc), x in zip(road.arcs["delay"], road.arcs.iterrows(), flow, strict=True)
    ]
    assert eq.data["time_h"].to_numpy() * 60.0 == pytest.approx(minutes, rel=1e-9, abs=1e-12)
