"""The CSV reader: what it forgives and what it refuses."""

from __future__ import annotations

import pytest

from v2geq.data.model.schema import BRANCHES, LOADS, NO_LIMIT_KW, STATIONS, TRIPS
from v2geq.data.readers.tables import read_table
from v2geq.errors import DataError

GOOD = "bus,load_kw,load_kvar\n1,40,20\n2,20,10\n"


def write(tmp_path, content):
    path = tmp_path / "loads.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", " , "),
        GOOD + "\n\n",
        GOOD.rstrip("\n"),
        "load_kvar,bus,load_kw\n20,1,40\n10,2,20\n",
        '"bus","load_kw","load_kvar"\n"1","40","20"\n2,2e1,1e1\n',
    ],
    ids=["plain", "bom", "crlf", "spaces", "blank lines", "no last newline", "order", "quotes"],
)
def test_same_table_however_written(tmp_path, content):
    frame, origin = read_table(write(tmp_path, content), LOADS)
    assert frame.index.tolist() == ["1", "2"]
    assert frame.columns.tolist() == ["load_kw", "load_kvar"]
    assert frame.to_numpy().tolist() == [[40.0, 20.0], [20.0, 10.0]]
    assert origin.lines == {"1": 2, "2": 3}


def test_columns_left_out(tmp_path):
    """As many piles to discharge as there are piles, and no limit of power, unless said."""
    head = "station,road_node,bus,charge_max_kw,discharge_max_kw,piles,base_wait_h,queue_slope_h"
    rows = [(head, ""), ("s,1,b,9,9,4,0,0", ",3"), ("t,1,b,9,9,5,0,0", ",2")]
    short = "\n".join(row for row, _ in rows)
    frame, _ = read_table(write(tmp_path, short), STATIONS)
    assert frame["discharge_piles"].tolist() == [4.0, 5.0]
    assert frame["charger_power_kw"].tolist() == [NO_LIMIT_KW, NO_LIMIT_KW]
    full = "\n".join(row + (more or ",discharge_piles") for row, more in rows)
    frame, _ = read_table(write(tmp_path, full), STATIONS)
    assert frame["discharge_piles"].tolist() == [3.0, 2.0]
    assert frame["piles"].tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["is empty", "bus, load_kw, load_kvar"]),
        ("\n \n", ["is empty"]),
        ("bus,load_kw\n1,4\n", ["line 1", "missing column 'load_kvar'"]),
        ("bus,load_kW,load_kvar\n", ["unknown column 'load_kW'", "did you mean 'load_kw'"]),
        ("bus,load_kw,load_kw,load_kvar\n", ["'load_kw' appears twice"]),
        ("bus;load_kw;load_kvar\n1;2;3\n", ["no commas"]),
        (GOOD + "3,1\n", ["line 4", "2 values under 3 columns"]),
        (GOOD + "3,1,2,\n", ["line 4", "4 values under 3 columns"]),
        (GOOD + "3,nan,2\n", ["line 4, column load_kw", "'nan'", "finite"]),
        (GOOD + "3,1,-inf\n", ["line 4, column load_kvar", "'-inf'"]),
        (GOOD + "3,1e999,1\n", ["line 4, column load_kw", "'1e999'"]),
        (GOOD + "3,many,2\n", ["line 4, column load_kw", "'many'"]),
        (GOOD + "3,1_000,2\n", ["line 4, column load_kw", "'1_000'"]),
        (GOOD + '3,"1,5",2\n', ["'1,5'", "decimal point"]),
        (GOOD + "3,,2\n", ["line 4, column load_kw", "missing"]),
        (GOOD + ",1,2\n", ["line 4, column bus", "missing"]),
        (GOOD + "3,-1,2\n", ["line 4, column load_kw", "-1.0 kW", "at least 0"]),
        (GOOD + "3\x00,1,2\n", ["line 4, column bus", "cannot be shown"]),
        (GOOD + '"3\n4",1,2\n', ["line 4, column bus", "cannot be shown"]),
        (GOOD + "1,1,2\n", ["line 4", "bus '1' appears twice, first in line 2"]),
        (GOOD + '"3,1,2\n', ["line 4", "quotation"]),
        (GOOD.encode() + b"M\xfcnchen,1,2\n", ["line 4", "0xfc", "UTF-8"]),
        (GOOD.encode("utf-16"), ["UTF-8"]),
    ],
)
def test_refused(tmp_path, content, said):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_table(path, LOADS)
    for words in ["loads.csv", *said]:
        assert words in str(caught.value)


def test_missing_file_suggests_a_near_name(tmp_path):
    write(tmp_path, GOOD)
    with pytest.raises(DataError, match="did you mean 'loads.csv'"):
        read_table(tmp_path / "load.csv", LOADS)
    with pytest.raises(DataError, match="is a folder; give the path of a file"):
        read_table(tmp_path, LOADS)


def test_names_stay_text_and_optional_columns_get_defaults(tmp_path):
    path = write(
        tmp_path,
        "branch,from_bus,to_bus,kind,phases,length_km,r_ohm,x_ohm,rating_kva\n"
        "01,1.0,1,line,abc,1,0.1,0.2,100\n",
    )
    frame, _ = read_table(path, BRANCHES)
    assert frame.index.tolist() == ["01"]
    assert frame.loc["01", ["from_bus", "to_bus"]].tolist() == ["1.0", "1"]
    assert frame["ratio"].tolist() == [1.0]
    assert frame["normally_open"].tolist() == [False]
    assert frame["normally_open"].dtype == bool


def test_key_of_two_columns(tmp_path):
    path = write(tmp_path, "origin,destination,trips_veh_h\n1,2,3\n2,1,3\n1,2,4\n")
    with pytest.raises(DataError, match="line 4: origin and destination '1-2' appears twice"):
        read_table(path, TRIPS)
    path = write(tmp_path, "origin,destination,trips_veh_h\n")
    frame, _ = read_table(path, TRIPS)
    assert frame.empty
    assert frame["trips_veh_h"].dtype == float
