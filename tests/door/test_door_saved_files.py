"""Saved equilibria: nothing is lost, nothing is solved again, no edit goes unnoticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from door import Answer, left_over

import v2geq as vg
from v2geq import equilibrium
from v2geq.data.readers.document import case_to_document
from v2geq.equilibrium import Equilibrium, load
from v2geq.errors import DataError
from v2geq.market.coupling import couple
from v2geq.market.prices import canonical
from v2geq.scenario import resolve
from v2geq.solvers import METHODS, solver
from v2geq.solvers.protocol import Status
from v2geq.trips.traffic import traffic

pytestmark = pytest.mark.slow

Edit = Callable[[Path], None]


def test_round_trip_is_bitwise(solved: Equilibrium, saved: Path) -> None:
    again = load(saved)
    assert again.z.tobytes() == solved.z.tobytes()
    for name, paths in solved.coupled.traffic.paths.items():
        assert again.coupled.traffic.paths[name].paths == paths.paths
    xr.testing.assert_identical(again.data, solved.data)
    assert case_to_document(again.original) == case_to_document(solved.original)
    assert dict(again.scenario.changes) == dict(solved.scenario.changes)
    assert (again.status, again.log, again.rounds) == (solved.status, solved.log, solved.rounds)
    assert again.seconds == solved.seconds
    # the evidence is recomputed and comes out the same to the last digit
    assert again.summary == solved.summary


def test_the_stored_tables_are_the_results(solved: Equilibrium, saved: Path) -> None:
    with xr.open_dataset(saved) as file:
        for name, values in solved.data.items():
            assert file[name].to_numpy().tobytes() == values.to_numpy().tobytes() or (
                file[name].dtype == values.dtype == object and file[name].equals(values)
            )


def test_saving_a_loaded_file_changes_nothing(saved: Path, tmp_path: Path) -> None:
    load(saved).save(tmp_path / "again.nc")
    with xr.open_dataset(saved) as a, xr.open_dataset(tmp_path / "again.nc") as b:
        xr.testing.assert_identical(a, b)


def test_nothing_is_solved_to_certify(
    saved: Path, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a solver was called")

    for method in METHODS:
        monkeypatch.setitem(METHODS, method, refuse)
    answer = run("certify", saved)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("certificate: holds")
    assert not answer.err


def test_a_file_copied_by_xarray_is_not_an_edit(
    saved: Path, tmp_path: Path, run: Callable[..., Answer]
) -> None:
    with xr.open_dataset(saved) as data:
        data.load().to_netcdf(tmp_path / "copy.nc")
    assert run("certify", tmp_path / "copy.nc").code == 0


def test_a_part_of_the_enumerated_paths_is_refused(tmp_path: Path) -> None:
    """Without its discharging paths the reference case would shed load and hold all the same."""
    case = vg.load_case("ieee123_sioux_falls_reference")
    scenario = resolve(case, "stress", v2g=True)
    roads = traffic(scenario)
    roads = roads.keep({"ev": np.array(["D" not in p for p in roads.paths["ev"].patterns])})
    coupled = couple(scenario, roads)
    z = canonical(coupled, solver("auto")(coupled.mcp, None, None).z)
    seconds = {"build": 0.0, "solve": 0.0}
    part = Equilibrium(coupled, z, Status.SOLVED, [], seconds)
    assert float(part.data["shed_kw"].sum()) > 400.0
    part.save(tmp_path / "part.nc")
    with pytest.raises(DataError, match=r"enumerated paths are not in the file, for example"):
        load(tmp_path / "part.nc")
    vg.solve(case, "stress", v2g=True).save(tmp_path / "whole.nc")
    whole = load(tmp_path / "whole.nc").certificate
    assert whole.holds
    assert whole.wardrop_gap_all_paths > 0.1


# ---------------------------------------------------------------------------------------------
# Edits


def values(name: str, change: Callable[[Any], Any]) -> Edit:
    """Change the values of a variable."""

    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file[name][...] = change(np.array(file[name][...]))

    return edit


def first(amount: float) -> Callable[[Any], Any]:
    """Add to the first value."""

    def change(array: Any) -> Any:
        array.flat[0] += amount
        return array

    return change


def attribute(name: str, change: Callable[[Any], Any]) -> Edit:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.setncattr(name, change(file.getncattr(name)))

    return edit


def case(change: Callable[[dict[str, Any]], Any]) -> Edit:
    """Change the case in the file."""

    def text(old: str) -> str:
        document = json.loads(old)
        change(document)
        return json.dumps(document)

    return attribute("case", text)


def rename(old: str, new: str) -> Edit:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.renameVariable(old, new)

    return edit


def remove(*names: str) -> Edit:
    def edit(path: Path) -> None:
        with xr.open_dataset(path) as file:
            data = file.load().drop_vars(names)
        data.to_netcdf(path)

    return edit


def add(path: Path) -> None:
    with netCDF4.Dataset(path, "a") as file:
        file.createVariable("note", "f8", ())


EDITS: dict[str, tuple[Edit, int, list[str]]] = {
    # a result, a strategy, a multiplier: the certificate says what does not follow
    "price": (values("dlmp", first(1e-4)), 1, ["FAILS", "stored dlmp does not follow"]),
    "price by a hair": (values("dlmp", first(1e-13)), 1, ["FAILS", "dlmp was changed"]),
    "price not a number": (values("dlmp", first(np.nan)), 1, ["FAILS", "dlmp"]),
    "flag": (values("charge_traded", lambda a: 1 - a), 1, ["FAILS", "charge_traded"]),
    "strategy": (values("z.drivers.arc_flow", first(1.0)), 1, ["FAILS", "natural_residual"]),
    "strategy by a hair": (values("z.dso.p_line", first(1e-12)), 1, ["z.dso.p_line was changed"]),
    "multiplier": (values("z.lse.A.energy", first(0.01)), 1, ["FAILS", "natural_residual"]),
    "strategy not a number": (values("z.dso.p_line", first(np.nan)), 2, ["dso.p_line", "finite"]),
    "strategy infinite": (values("z.dso.p_line", first(np.inf)), 2, ["dso.p_line", "finite"]),
    # paths
    "path's pair": (values("paths.ev.od", first(1)), 2, ["class 'ev'", "no path for OD pair"]),
    "path's arc": (values("paths.fv.arc", first(1)), 2, ["class 'fv'", "not a route"]),
    "arc out of range": (values("paths.ev.arc", first(10**6)), 2, ["arc position outside"]),
    "path's bounds": (values("paths.ev.arc_start", first(1)), 2, ["arc_start is inconsistent"]),
    "stop's station": (values("paths.ev.stop_station", first(1)), 2, ["class 'ev'", "station"]),
    "stop's place": (values("paths.ev.stop_after", first(-1)), 2, ["class 'ev'", "stops"]),
    "stop's kind": (values("paths.ev.stop_discharge", first(1)), 2, ["rule of the battery"]),
    "stop's energy": (values("paths.ev.stop_energy_kwh", first(0.1)), 2, ["energies"]),
    "arrival": (values("paths.ev.arrival_kwh", first(-0.1)), 2, ["energies"]),
    "fuel with a battery": (values("paths.fv.arrival_kwh", first(1.0)), 2, ["fuel class"]),
    # the case: also where it changes no result
    "value of lost load": (
        case(lambda d: d["settings"]["market"].update(voll=25.0)),
        1,
        ["FAILS", "case was changed after saving"],
    ),
    "price of the TSO": (
        case(lambda d: d["settings"]["substation"].update(price=0.5)),
        1,
        ["FAILS", "case was changed"],
    ),
    "limit that does not bind": (
        case(lambda d: d["settings"]["feeder"].update(vmin=0.94)),
        1,
        ["case was changed"],
    ),
    "load": (
        case(lambda d: d["feeder"]["loads"]["load_kw"].__setitem__(0, 41.0)),
        1,
        ["FAILS", "natural_residual"],
    ),
    "parameter not a number": (
        case(lambda d: d["settings"]["market"].update(voll=float("nan"))),
        2,
        ["market.voll", "nan is not finite"],
    ),
    "parameter out of range": (
        case(lambda d: d["settings"]["market"].update(voll=-1.0)),
        2,
        ["market.voll", "out of range"],
    ),
    "station taken away": (
        case(lambda d: [column.pop() for column in d["stations"].values()]),
        2,
        ["do not fit the case"],
    ),
    "case without a part": (case(lambda d: d.pop("lses")), 2, ["missing key 'lses'"]),
    "case cut short": (attribute("case", lambda t: t[:200]), 2, ["case is damaged"]),
    "case of another type": (attribute("case", lambda t: 3), 2, ["case is missing or damaged"]),
    # what was solved
    "scenario": (attribute("scenario", lambda t: "stress"), 1, ["FAILS", "scenario was changed"]),
    "unknown scenario": (attribute("scenario", lambda t: "storm"), 2, ["scenario is missing or"]),
    "V2G": (attribute("v2g", lambda v: 0), 2, ["do not fit the case"]),
    "V2G neither": (attribute("v2g", lambda v: "no"), 2, ["v2g is missing or damaged"]),
    "changes": (
        attribute("changes", lambda t: '{"paths.method": "exact", "voll": 5.0}'),
        1,
        ["changes was changed"],
    ),
    "changes left out": (attribute("changes", lambda t: "{}"), 2, ["paths are not in the file"]),
    "unknown change": (attribute("changes", lambda t: '{"vol": 5.0}'), 2, ["did you mean 'voll'"]),
    "changes of another type": (attribute("changes", lambda t: "[1]"), 2, ["changes"]),
    "status": (attribute("status", lambda t: "stalled"), 1, ["status is stalled"]),
    "log": (attribute("log", lambda t: "[{}]"), 2, ["log"]),
    "seconds": (attribute("seconds", lambda t: '{"build": "x"}'), 2, ["seconds"]),
    "digests": (attribute("digests", lambda t: "{}"), 1, ["was added to the file"]),
    "other format": (attribute("format", lambda t: "v2geq 9"), 2, ["'v2geq 9'", "reads"]),
    # variables
    "result missing": (remove("voltage_pu"), 1, ["FAILS", "the file has no voltage_pu"]),
    "result renamed": (rename("dlmp", "dlpm"), 1, ["the file has no dlmp", "dlpm was added"]),
    "result added": (add, 1, ["note was added to the file"]),
    "strategy missing": (remove("z.dso.p_line"), 2, ["block 'dso.p_line' is missing"]),
    "strategy renamed": (rename("z.dso.p_line", "z.dso.p"), 2, ["no block 'dso.p'"]),
    "path part missing": (remove("paths.ev.od"), 2, ["the file has no od", "class 'ev'"]),
    "path part renamed": (rename("paths.ev.od", "paths.od"), 2, ["the file has no od"]),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_found(
    saved: Path, tmp_path: Path, run: Callable[..., Answer], name: str
) -> None:
    edit, code, said = EDITS[name]
    file = tmp_path / "edited.nc"
    shutil.copy(saved, file)
    edit(file)
    answer = run("certify", file)
    assert answer.code == code, answer
    told = answer.out if code == 1 else answer.err
    for words in said:
        assert words in told
    if code == 2:
        assert_one_error(answer, "edited.nc")


def assert_one_error(answer: Answer, place: str) -> None:
    assert not answer.out
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert place in answer.err


# ---------------------------------------------------------------------------------------------
# Files that are something else


def cut(size: int) -> Edit:
    def edit(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return edit


def text(path: Path) -> None:
    path.write_text("bus,dlmp\n1,0.17\n")


def other(path: Path) -> None:
    xr.Dataset({"t": ("x", [1.0, 2.0])}).to_netcdf(path)


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4000::4000] = bytes(255 - b for b in raw[4000::4000])
    path.write_bytes(raw)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FILES: dict[str, tuple[Edit, str]] = {
    "empty": (cut(0), "the file is empty"),
    "one byte": (cut(1), "not a readable NetCDF file"),
    "cut in the header": (cut(100), "not a readable NetCDF file"),
    "cut in the middle": (cut(150_000), "cut short"),
    "text": (text, "not a readable NetCDF file"),
    "another NetCDF file": (other, "not a saved equilibrium (another NetCDF file)"),
    "flipped bytes": (flipped, "not a readable NetCDF file"),
    "folder": (folder, "is a folder"),
    "missing": (Path.unlink, "no such file"),
}


@pytest.mark.parametrize("command", ["certify", "show"])
@pytest.mark.parametrize("name", FILES)
def test_not_a_saved_equilibrium(
    saved: Path, tmp_path: Path, run: Callable[..., Answer], name: str, command: str
) -> None:
    make, said = FILES[name]
    file = tmp_path / "thing.nc"
    shutil.copy(saved, file)
    make(file)
    answer = run(command, file)
    assert answer.code == 2
    assert said in answer.err
    assert_one_error(answer, "thing.nc")
    with pytest.raises(DataError, match=r"thing\.nc"):
        load(file)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="rights do not bind here"
)
def test_file_without_the_right_to_read(
    saved: Path, tmp_path: Path, run: Callable[..., Answer]
) -> None:
    file = tmp_path / "mine.nc"
    shutil.copy(saved, file)
    file.chmod(0)
    answer = run("certify", file)
    assert answer.code == 2
    assert "cannot be read" in answer.err
    assert_one_error(answer, "mine.nc")


def test_unreadable_file_whoever_asks(
    saved: Path, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    answer = run("certify", saved)
    assert answer.code == 2
    assert "cannot be read (Permission denied)" in answer.err


# ---------------------------------------------------------------------------------------------
# Writing


def test_a_full_disk_leaves_nothing(
    solved: Equilibrium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: xr.Dataset, path: Path, **__: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(DataError, match="No space left on device"):
        solved.save(tmp_path / "full.nc")
    assert left_over(tmp_path) == []


def test_a_failed_save_keeps_the_file_before(
    solved: Equilibrium, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kept.nc"
    shutil.copy(saved, file)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        solved.save(file)
    assert file.read_bytes() == saved.read_bytes()
    assert left_over(tmp_path) == ["kept.nc"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere/file.nc", "the folder .* does not exist"), (".", "is a folder")],
)
def test_a_place_that_cannot_be_written(
    solved: Equilibrium, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        solved.save(tmp_path / name)
    assert left_over(tmp_path) == []


def test_changes_as_numpy_values_are_saved(solved_case: Any, tmp_path: Path) -> None:
    eq = equilibrium.solve(solved_case, "base", parameters={"voll": np.float32(16.0)})
    eq.save(tmp_path / "numpy.nc")
    assert load(tmp_path / "numpy.nc").scenario.changes == {"voll": 16.0}
