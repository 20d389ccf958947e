"""What is read: regular files of sane size; saved files that lie are found before memory is taken."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from door import Answer, SmallCase

from v2geq.data.edit.case import load_case
from v2geq.data.readers.tables import read_text
from v2geq.data.readers.tntp import read_tntp
from v2geq.equilibrium import load
from v2geq.errors import DataError
from v2geq.files import MOST_BYTES, read_bytes
from v2geq.studies.plan import read_study

Edit = Callable[[Path], Any]


def one_error(answer: Answer, *said: str) -> None:
    assert answer.code == 2, answer
    assert not answer.out
    assert answer.err.startswith("error: ") and answer.err.count("\n") == 1, answer.err
    for words in said:
        assert words in answer.err


@contextmanager
def little_memory(more: int = 2**30) -> Iterator[None]:
    """At most so much more memory than there is now, and a moment of time."""
    now = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    before, begin = resource.getrlimit(resource.RLIMIT_AS), time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.process_time() - begin < 10.0


# ---------------------------------------------------------------------------------------------
# Files that are none


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, MOST_BYTES + 1)


THINGS: dict[str, tuple[Edit, str]] = {
    "pipe": (os.mkfifo, "is a device or a pipe"),
    "device": (lambda p: p.symlink_to("/dev/zero"), "is a device or a pipe"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "huge": (sparse, "are read at most"),
    "link to itself": (lambda p: p.symlink_to(p), "cannot be read (Too many levels"),
}
READERS: dict[str, Callable[[Path], Any]] = {
    "text": read_text,
    "bytes": read_bytes,
    "network": read_tntp,
    "equilibrium": load,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("thing", THINGS)
def test_only_regular_files_are_read(tmp_path: Path, thing: str, reader: str) -> None:
    make, said = THINGS[thing]
    make(tmp_path / "thing")
    with little_memory(), pytest.raises(DataError, match="/thing: ") as told:
        READERS[reader](tmp_path / "thing")
    assert said in str(told.value)


def test_a_table_that_is_a_pipe(small: SmallCase) -> None:
    for file in ("stations.csv", "road/trips.csv", "feeder/capacitors.csv", "case.toml"):
        path = small.path(file)
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError):
            small.load()
        path.unlink()
        path.write_bytes(content)
    # a table that may be left out is not left out by a link to nothing
    small.path("feeder/capacitors.csv").unlink()
    small.path("feeder/capacitors.csv").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"capacitors\.csv: file not found"):
        small.load()


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000])
def test_names_no_file_can_have(tmp_path: Path, name: str) -> None:
    for read in (load_case, read_study, load, read_tntp):
        with pytest.raises(DataError) as told:
            read(tmp_path / name)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["x" * 300, "a\\u0000b"])
@pytest.mark.parametrize("key", ["feeder", "road", "trips"])
def test_names_in_files_no_file_can_have(small: SmallCase, key: str, name: str) -> None:
    text = small.path("case.toml").read_text(encoding="utf-8")
    found = re.search(rf'^{key} = .*?"(.+?)"', text, re.MULTILINE)
    assert found is not None
    small.edit("case.toml", found[0], found[0].replace(found[1], name))
    with pytest.raises(DataError) as told:
        small.load()
    assert "\n" not in str(told.value)
    with pytest.raises(DataError):
        read_study(small.study(f'[study]\ncase = "{name}"\n'))


# ---------------------------------------------------------------------------------------------
# Saved files that lie


def variable(kind: Any, size: int | None = 10, **options: Any) -> Edit:
    """Declare a variable; without a size its length is unlimited."""

    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.createDimension("many", size)
            made = kind(file) if callable(kind) and kind is not str else kind
            file.createVariable("extra", made, ("many",), **options)

    return edit


def attribute(name: str, value: Any) -> Edit:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.setncattr(name, value)

    return edit


def group(path: Path) -> None:
    with netCDF4.Dataset(path, "a") as file:
        file.createGroup("a/b/c")


def document(change: Callable[[str], str]) -> Edit:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.setncattr("case", change(file.getncattr("case")))

    return edit


def bomb(path: Path) -> None:
    """2 GB of zeros in a few hundred kB."""
    variable("f8", 250_000_000, compression="zlib", complevel=1, chunksizes=(2**20,))(path)
    with netCDF4.Dataset(path, "a") as file:
        zeros = np.zeros(2**20)
        for k in range(8):
            file["extra"][k * 2**20 : (k + 1) * 2**20] = zeros


def log_entry(**entry: Any) -> Edit:
    whole = {
        "number": 1,
        "phase": "x",
        "residual": 0.0,
        "complementarity": 0.0,
        "step": 1.0,
        "seconds": 0.0,
    }
    return attribute("log", json.dumps([{**whole, **entry}]))


LIES: dict[str, tuple[Edit, str]] = {
    "declared, not there": (variable("f8", 10**11), "declares 8e+11 bytes"),
    "texts declared, not there": (variable(str, 10**11), "declares 1.6e+12 bytes"),
    "numbers of a byte": (variable("i1", 10**12), "declares 1e+12 bytes"),
    "compressed": (bomb, "declares 2e+09 bytes"),
    "a huge chunk": (
        variable("f8", None, chunksizes=(400_000_000,), compression="zlib"),
        "declares 3.2e+09 bytes",
    ),
    "groups": (group, "missing or damaged"),
    "lists of numbers": (
        variable(lambda f: f.createVLType("f8", "list")),
        "the file's extra is missing or damaged",
    ),
    "several values in one": (
        variable(lambda f: f.createCompoundType(np.dtype([("a", "f8"), ("b", "i4")]), "both")),
        "the file's extra is missing or damaged",
    ),
    "choices": (
        variable(lambda f: f.createEnumType("i1", "choice", {"a": 0, "b": 1})),
        "the file's extra is missing or damaged",
    ),
    "a format of two": (attribute("format", np.array([1.0, 2.0])), "not a saved equilibrium"),
    "a format without an end": (attribute("format", "x" * 10**5), "not a saved equilibrium"),
    "V2G of two": (attribute("v2g", np.array([0, 1])), "v2g is missing or damaged"),
    "half V2G": (attribute("v2g", 0.5), "v2g is missing or damaged"),
    "a status of one's own": (attribute("status", "\x1b[2Jsolved\nok"), "status is missing or"),
    "nested": (attribute("changes", "[" * 10**5), "changes is damaged"),
    "a nested case": (document(lambda t: '{"a":' * 10**5), "case is damaged"),
    "a number of 10,000 digits": (
        attribute("seconds", '{"build": 1' + "0" * 10**4 + "}"),
        "seconds",
    ),
    "endless seconds": (attribute("seconds", '{"build": Infinity}'), "seconds"),
    "no number of rounds": (attribute("seconds", '{"rounds": NaN}'), "seconds"),
    "texts of seconds": (attribute("seconds", '{"build": "1"}'), "seconds"),
    "a log of texts": (log_entry(step="x"), "log"),
    "a log of tables": (log_entry(residual=[1]), "log"),
    "a log of lists": (attribute("log", "[[1]]"), "log"),
    "a log without an end": (log_entry(number=float("inf")), "log"),
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_saved_files_that_lie(
    saved: Path, tmp_path: Path, run: Callable[..., Answer], lie: str
) -> None:
    edit, said = LIES[lie]
    file = tmp_path / "lie.nc"
    shutil.copy(saved, file)
    edit(file)
    with little_memory():
        answer = run("certify", file)
    one_error(answer, "lie.nc", said)
    assert len(answer.err) < 600


@pytest.mark.slow
def test_a_compressed_copy_still_certifies(
    saved: Path, tmp_path: Path, run: Callable[..., Answer]
) -> None:
    import xarray as xr

    with xr.open_dataset(saved) as file:
        data = file.load()
    packed = {
        str(n): {"zlib": True, "complevel": 9}
        for n, v in data.variables.items()
        if v.dtype.kind in "fi"
    }
    data.to_netcdf(tmp_path / "packed.nc", encoding=packed)
    assert run("certify", tmp_path / "packed.nc").code == 0
