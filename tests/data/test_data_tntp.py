"""The TNTP reader: dialects it forgives, what it refuses with file and line, known networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import v2geq as vg
from v2geq.data.checks.road import arc_tolls, check_road
from v2geq.data.readers.tntp import read_tntp, read_tntp_flows
from v2geq.errors import DataError
from v2geq.roads.delay import TravelTime

NET = """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 4
<ORIGINAL HEADER>~ \tTail\tHead\tCapacity (veh/h)\tLength (ft)\tFree Flow Time (min)\tB\tPower\t;
<END OF METADATA>

~ \tinit\tterm\tcapacity\tlength\ttime\tb\tpower\tspeed\ttoll\ttype\t;
\t1\t3\t900\t5280\t1.1\t0.15\t4\t0\t0\t1\t;
\t3\t2\t900\t1000\t0\t0\t0\t0\t7\t1\t;
\t3\t2\t450\t1000\t2.5\t0.15\t4\t0\t0\t1;
\t2\t1\t1e3\t0\t.5\t1\t1\t0\t0\t1\t;
"""
TRIPS = """<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 16.5
<END OF METADATA>

Origin \t1
    1 :      2.0;     2 :    14.0;
Origin 2
    1 :      0.5;     2 :     0.0;
"""


@pytest.fixture
def read(tmp_path):
    def read(net=NET, trips=TRIPS, **options):
        (tmp_path / "small_net.tntp").write_text(net, encoding="utf-8")
        (tmp_path / "small_trips.tntp").write_text(trips, encoding="utf-8")
        if "nodes" in options:
            (tmp_path / "small_node.tntp").write_text(options["nodes"], encoding="utf-8")
            options["nodes"] = tmp_path / "small_node.tntp"
        return read_tntp(tmp_path / "small_net.tntp", tmp_path / "small_trips.tntp", **options)

    return read


def test_tolls_have_the_unit_they_are_given(read):
    """The file names none: such tolls will do for an assignment, not for a case."""
    with pytest.raises(DataError, match=r"'3-2'.* toll = 7.0 in an unknown unit.*toll_usd"):
        arc_tolls(read()[0])
    assert arc_tolls(read(toll_usd=0.01)[0]).tolist() == [0.0, 0.07, 0.0, 0.0]
    assert not arc_tolls(read(NET.replace("\t7\t1", "\t0\t1"))[0]).any()
    for factor in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="toll_usd = "):
            read(toll_usd=factor)


def test_tables(read):
    road, demand = read(distance_factor=0.001, toll_factor=0.5)
    assert vg.read_tntp is read_tntp
    assert road.name == "small"
    assert road.nodes.index.tolist() == ["1", "2", "3"]
    assert road.nodes["through"].tolist() == [False, False, True]
    assert road.nodes["x"].isna().all()
    assert road.arcs.index.tolist() == ["1-3", "3-2", "3-2#2", "2-1"]
    assert road.arcs["from_node"].tolist() == ["1", "3", "3", "2"]
    assert road.arcs["capacity_veh_h"].tolist() == [900.0, 900.0, 450.0, 1000.0]
    assert road.arcs["length_km"].tolist() == pytest.approx([1.609344, 0.3048, 0.3048, 0.0])
    assert road.arcs["free_flow_min"].tolist() == [1.1, 0.0, 2.5, 0.5]
    assert road.arcs["toll"].tolist() == [0.0, 7.0, 0.0, 0.0]
    assert road.arcs["fixed_min"].tolist() == pytest.approx([5.28, 1.0 + 3.5, 1.0, 0.0])
    assert demand.to_numpy().tolist() == [["1", "1", 2.0], ["1", "2", 14.0], ["2", "1", 0.5]]
    assert road.trips.to_numpy().tolist() == [["1", "2", 14.0], ["2", "1", 0.5]]


def test_without_trips_and_with_nodes(read, tmp_path):
    road, _ = read(nodes="Node\tX\tY\t;\n2\t1.5\t-2\t;\n1 0 0\n~ a remark\n3 4 5 ;\n")
    assert road.nodes[["x", "y"]].to_numpy().tolist() == [[0.0, 0.0], [1.5, -2.0], [4.0, 5.0]]
    _, demand = read_tntp(tmp_path / "small_net.tntp")
    assert len(demand) == 0
    assert demand.columns.tolist() == ["origin", "destination", "trips_veh_h"]


DIALECTS = {
    "crlf": (NET.replace("\n", "\r\n"), TRIPS.replace("\n", "\r\n")),
    "trailing tabs": (NET.replace(" 2\n", " 2\t\t\t\n"), TRIPS.replace(";\n", "; \t\n")),
    "no semicolons": (NET.replace(";", ""), TRIPS.replace(";\n", "\n")),
    "no spaces": (
        NET.replace("> ", ">"),
        TRIPS.replace("> ", ">").replace("  ", "").replace(" :", ":"),
    ),
    "spaced brackets": (NET.replace("<NUMBER OF", "< Number  of"), TRIPS),
    "remarks": (
        NET.replace("\n\n", "\n~ words: 1;\n\n"),
        TRIPS.replace("14.0;", "14.0; ~ 3 : 1;\n~ Origin 3\n"),
    ),
    "one entry a line": (NET, TRIPS.replace("; ", ";\n")),
    "one line": (NET, TRIPS.replace(";\n", "; ").replace("1\n ", "1\t").replace("2\n  ", "2 ")),
    "capitals": (NET, TRIPS.replace("Origin", "ORIGIN")),
    "no last newline": (NET.rstrip("\n"), TRIPS.rstrip("\n")),
    "byte order mark": ("\ufeff" + NET, "\ufeff" + TRIPS),
    "no total": (NET, TRIPS.replace("<TOTAL OD FLOW> 16.5\n", "")),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(read, name):
    road, demand = read()
    net, trips = DIALECTS[name]
    assert (net, trips) != (NET, TRIPS)
    other, same = read(net, trips)
    assert other.arcs.equals(road.arcs)
    assert same.equals(demand)


def test_units(read):
    plain = NET.replace(" (ft)", "").replace(" (min)", "")
    arcs = read(plain)[0].arcs
    assert arcs["length_km"].iloc[0] == 5280.0
    assert arcs["free_flow_min"].iloc[0] == 1.1
    arcs = read(NET.replace("(ft)", "(Miles)").replace("(min)", "(0.01 h)"))[0].arcs
    assert arcs["length_km"].iloc[0] == pytest.approx(5280.0 * 1.609344)
    assert arcs["free_flow_min"].iloc[0] == pytest.approx(0.66)
    # arguments before the header; factors are per unit of the file
    arcs = read(length_unit="m", time_unit="h", distance_factor=0.01, toll_factor=2.0)[0].arcs
    assert arcs["length_km"].iloc[0] == pytest.approx(5.28)
    assert arcs["free_flow_min"].iloc[0] == pytest.approx(66.0)
    assert arcs["fixed_min"].tolist() == pytest.approx([3168.0, 60.0 * 24.0, 600.0, 0.0])
    with pytest.warns(UserWarning, match=r"line 5: unit 'furlong' .* taken as km; say length_unit"):
        read(NET.replace("(ft)", "(furlong)"))
    with pytest.raises(DataError, match=r"time_unit = 'minutes'; .*'min'"):
        read(time_unit="minutes")


LINK = "\t3\t2\t900\t1000\t0\t0\t0\t0\t7\t1\t;"
BAD_NETS = {
    "no end": ("<END OF METADATA>", "", ["small_net.tntp", "line 9", "before <END OF METADATA>"]),
    "cut short": (NET[NET.index("<END") :], "", ["<END OF METADATA> is missing"]),
    "empty": (NET, "", ["<END OF METADATA> is missing"]),
    "zones": ("<NUMBER OF ZONES> 2\n", "", ["<NUMBER OF ZONES> is missing", "NUMBER OF NODES"]),
    "nodes text": ("NODES> 3", "NODES> three", ["line 2", "<NUMBER OF NODES> = 'three'"]),
    "zones above nodes": ("ZONES> 2", "ZONES> 4", ["line 1", "4 zones, but 3 nodes"]),
    "nothing passed": ("NODE> 3", "NODE> 4", ["line 3", "FIRST THRU NODE"]),
    "nodes without end": ("NODES> 3", "NODES> 99999999", ["line 2", "99999999 nodes", "at most"]),
    "number without end": ("NODES> 3", "NODES> " + "3" * 5000, ["line 2", "no whole number"]),
    "two values": ("<FIRST", "<NUMBER OF NODES> 4\n<FIRST", ["line 3", "NODES>", "in line 2"]),
    "links": ("LINKS> 4", "LINKS> 5", ["line 4", "5 links announced, 4 found"]),
    "columns": (LINK, LINK.replace("\t7", ""), ["line 10", "9 values for 10 columns", "power"]),
    "more columns": (LINK, LINK + " 3", ["line 10", "11 values"]),
    "no number": (LINK, LINK.replace("900", "many"), ["line 10", "capacity = 'many'"]),
    "underscore": (LINK, LINK.replace("900", "9_00"), ["line 10", "capacity = '9_00'"]),
    "nan": (LINK, LINK.replace("1000", "nan"), ["line 10", "length = 'nan'"]),
    "infinite": (LINK, LINK.replace("1000", "1e999"), ["line 10", "length = '1e999'"]),
    "node zero": (LINK, LINK.replace("\t3\t", "\t0\t"), ["line 10", "init node 0 is no node"]),
    "node beyond": (LINK, LINK.replace("\t2\t", "\t4\t"), ["line 10", "term node 4", "1 to 3"]),
    "node text": (LINK, LINK.replace("\t3\t", "\t3.5\t"), ["line 10", "init node = '3.5'"]),
    "self loop": (LINK, LINK.replace("\t3\t", "\t2\t"), ["line 10", "node 2 to itself"]),
    "zero capacity": (LINK, LINK.replace("900", "0"), ["line 10", "capacity = 0 of link 3-2"]),
    "negative length": (LINK, LINK.replace("1000", "-1"), ["line 10", "length = -1 of link 3-2"]),
    "negative time": ("1.1\t", "-1.1\t", ["line 9", "free flow time = -1.1 of link 1-3"]),
    "negative b": ("1.1\t0.15", "1.1\t-0.15", ["line 9", "B = -0.15"]),
    "negative toll": (LINK, LINK.replace("\t7", "\t-7"), ["line 10", "toll = -7"]),
    "power": ("1.1\t0.15\t4", "1.1\t0.15\t0.5", ["line 9", "power = 0.5", "1-3", "slope"]),
    "trips as net": (NET, TRIPS, ["small_net.tntp: this is a trip table, not a network"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NETS)
def test_bad_networks(read, name):
    old, new, said = BAD_NETS[name]
    assert old in NET
    with pytest.raises(DataError) as caught:
        read(NET.replace(old, new))
    for words in said:
        assert words in str(caught.value)


BAD_TRIPS = {
    "net as trips": (TRIPS, NET, ["small_trips.tntp: this is a network, not a trip table"]),
    "no end": ("<END OF METADATA>\n", "", ["line 4", "before <END OF METADATA>"]),
    "zones": ("ZONES> 2", "ZONES> 3", ["line 1", "3 zones, but 2 in", "small_net.tntp"]),
    "origin": ("Origin 2", "Origin 5", ["line 7", "origin 5 is no zone", "1 to 2"]),
    "origin text": ("Origin 2", "Origin two", ["line 7", "origin = 'two'"]),
    "no origin": ("Origin 2", "Origin", ["line 7", "origin = ''"]),
    "destination": ("2 :    14.0", "3 :    14.0", ["line 6", "destination 3 is no zone", "1 to 2"]),
    "destination zero": ("2 :    14.0", "0 :    14.0", ["line 6", "destination 0 is no zone"]),
    "destination long": ("2 :    14.0", "9" * 19 + " : 14.0", ["line 6", "9999 : 14.0"]),
    "destination text": ("2 :    14.0", "b :    14.0", ["line 6", "'b :    14.0'"]),
    "negative": ("14.0", "-14.0", ["line 6", "trips from 1 to 2 are -14", ">= 0"]),
    "nan": ("14.0", "nan", ["line 6", "trips from 1 to 2 are nan"]),
    "text": ("14.0", "many", ["line 6", "'2 :    many'"]),
    "underscore": ("14.0", "1_4.0", ["line 6", "1_4.0"]),
    "no colon": ("2 :    14.0", "2     14.0", ["line 6", "destination : trips;"]),
    "lost semicolon": ("2.0;", "2.0", ["line 6", "no entry"]),
    "twice": ("2 :    14.0;", "2 : 4.0; 2 : 10.0;", ["line 6", "trips from 1 to 2 appear twice"]),
    "origin twice": ("Origin 2", "Origin 1", ["line 8", "trips from 1 to 1 appear twice"]),
    "before the first origin": ("Origin \t1\n", "", ["line 5", "before the first origin"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TRIPS)
def test_bad_trips(read, name):
    old, new, said = BAD_TRIPS[name]
    assert old in TRIPS
    with pytest.raises(DataError) as caught:
        read(trips=TRIPS.replace(old, new))
    for words in said:
        assert words in str(caught.value)


def test_a_total_that_differs_is_told(read):
    with pytest.warns(UserWarning, match=r"sum to 16\.5, <TOTAL OD FLOW> says 17"):
        read(trips=TRIPS.replace("> 16.5", "> 17"))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ("1 0 0\n2 0 0\n", "node 3 is missing"),
        ("1 0 0\n2 0 0\n2 1 1\n", "line 3: node 2 appears twice"),
        ("1 0 0\n4 0 0\n", "line 2: 4 is no node"),
        ("1 0 0\n2 0\n", "line 2: 2 values"),
        ("1 0 0\n2 0 east\n", "line 2: y = 'east'"),
    ],
)
def test_bad_nodes(read, nodes, said):
    with pytest.raises(DataError, match=said):
        read(nodes=nodes)


def test_missing_file_and_bad_factor(read, tmp_path):
    read()
    with pytest.raises(DataError, match=r"did you mean 'small_net\.tntp'"):
        read_tntp(tmp_path / "smal_net.tntp")
    with pytest.raises(DataError, match=r"distance_factor = -1\.0"):
        read(distance_factor=-1.0)


def test_flows(tmp_path):
    path = tmp_path / "flow.tntp"
    path.write_text("From \tTo \tVolume \tCost \n1 \t3 \t10.5 \t1 \n3 2 4 2;\n3 2 6.5 2.1\n")
    flows = read_tntp_flows(path)
    assert flows.index.tolist() == ["1-3", "3-2", "3-2#2"]
    assert flows["volume"].tolist() == [10.5, 4.0, 6.5]
    path.write_text("From To Volume Cost\n1 3 10.5\n")
    with pytest.raises(DataError, match="line 2: 3 values"):
        read_tntp_flows(path)
    path.write_text("From To Volume Cost 1 3 10.5 1\n3 2 4 2\n")
    with pytest.raises(DataError, match="line 1: 8 values"):
        read_tntp_flows(path)


# ---------------------------------------------------------------------------------------------
# Networks of the public collection

RAW = Path(__file__).resolve().parents[3] / "shared" / "data" / "tntp"
needs_raw = pytest.mark.skipif(
    not RAW.is_dir(), reason="the upstream raw files are not part of the repository"
)


@needs_raw
@pytest.mark.parametrize(
    ("name", "stem", "factors", "sizes", "total"),
    [
        ("SiouxFalls", "SiouxFalls", (0.0, 0.0), (24, 76, 528, 0), 360_600.0),
        ("Anaheim", "Anaheim", (0.0, 0.0), (416, 914, 1406, 38), 104_694.4),
        ("Chicago-Sketch", "ChicagoSketch", (0.04, 0.02), (933, 2950, 93_513, 0), 1_260_907.44),
    ],
)
def test_best_known_flows_cost_what_the_file_says(name, stem, factors, sizes, total):
    at = RAW / name
    road, demand = read_tntp(
        at / f"{stem}_net.tntp",
        at / f"{stem}_trips.tntp",
        distance_factor=factors[0],
        toll_factor=factors[1],
    )
    closed = int((~road.nodes["through"]).sum())
    assert (len(road.nodes), len(road.arcs), len(demand), closed) == sizes
    assert demand["trips_veh_h"].sum() == pytest.approx(total, rel=1e-9)
    check_road(road)
    flows = read_tntp_flows(at / f"{stem}_flow.tntp")
    assert flows.index.tolist() == road.arcs.index.tolist()
    curve = TravelTime.from_road(replace(road, arcs=road.arcs.assign(fixed_min=0.0)))
    minutes = curve.time(flows["volume"].to_numpy()) * 60.0 + road.arcs["fixed_min"].to_numpy()
    np.testing.assert_allclose(minutes, flows["cost"], rtol=1e-9)


@needs_raw
def test_sioux_falls_objective_as_published():
    at = RAW / "SiouxFalls"
    road, _ = read_tntp(at / "SiouxFalls_net.tntp")
    flows = read_tntp_flows(at / "SiouxFalls_flow.tntp")
    objective = 60.0 * TravelTime.from_road(road).value(flows["volume"].to_numpy()).sum()
    assert objective == pytest.approx(4231335.287107440, rel=1e-12)
