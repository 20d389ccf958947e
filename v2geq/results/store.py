"""Loss-free NetCDF files: case, scenario, strategies, paths and labelled results in one file.

A file holds what is needed to rebuild the problem, so a saved equilibrium can be certified again
without solving. Results that no longer follow from the strategies are found, and a digest of every
part finds edits that change no result, such as a limit that does not bind.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.data.model.case import CaseData
from v2geq.data.parameters.change import with_parameters
from v2geq.data.readers.document import case_from_document, case_to_document
from v2geq.errors import DataError
from v2geq.files import as_path, check_result, read_bytes, write_files
from v2geq.market.coupling import couple
from v2geq.market.own import own_to_document, set_up
from v2geq.market.prices import check_names
from v2geq.results.tables import tables
from v2geq.results.vet import MOST_UNFOLDED, opens
from v2geq.show import LongList, brief
from v2geq.solvers.protocol import Iteration, Status
from v2geq.trips.restore import restored, unusable
from v2geq.trips.traffic import traffic

if TYPE_CHECKING:
    import xarray as xr

    from v2geq.results.point import Point

P = TypeVar("P", bound="Point")
FORMAT = "v2geq equilibrium 1"
_TEXTS = ("scenario", "status", "case", "changes", "log", "seconds")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TEXT_BYTES = 16  # of a text's reference in the file

_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
"""How the readers of NetCDF fail on damaged files."""


@dataclass
class Saved:
    """What a file holds; `tables.attrs["edited"]` names the parts changed since it was written."""

    case: CaseData
    scenario: str
    v2g: bool
    changes: dict[str, Any]
    status: Status
    z: dict[str, FloatArray]
    paths: dict[str, dict[str, np.ndarray]]
    log: list[Iteration]
    seconds: dict[str, float]
    tables: xr.Dataset
    players: Any
    tells_uniqueness: bool

    __repr__ = brief


def write(path: Path, eq: Point) -> None:
    """Write a point to a file, which appears under its name only when complete.

    Raises
    ------
    DataError
        Where no file can be written under this name, or a player of the user holds Python code.
    """
    check_result(path)
    scenario, own = eq.scenario, eq.coupled.own
    players = own_to_document(own) if own.programs else None
    arrays = {f"z.{name}": np.asarray(values, dtype=float) for name, values in eq.values.items()}
    for name, paths in eq.coupled.traffic.paths.items():
        for what, array in paths.to_arrays().items():
            arrays[f"paths.{name}.{what}"] = array
    # at once: xarray checks all variables again for each one that is added
    data = eq.data.assign({name: ((f"{name}.n",), array) for name, array in arrays.items()})
    data.attrs = {
        "format": FORMAT,
        "scenario": scenario.name,
        "v2g": int(scenario.v2g),
        "changes": json.dumps(dict(scenario.changes), default=_plain),
        "status": str(eq.status),
        "case": json.dumps(case_to_document(eq.original)),
        "log": json.dumps([asdict(entry) for entry in eq.log]),
        "seconds": json.dumps({**eq.seconds, "rounds": eq.rounds}),
    }
    if players is not None:
        data.attrs["players"] = json.dumps(players)
    if eq.tells_uniqueness:
        data.attrs["uniqueness"] = eq.uniqueness.to_json(orient="split", index=False)
    data.attrs["digests"] = json.dumps(_digests(data))

    def fill(part: Path) -> None:
        try:
            data.to_netcdf(part, engine="netcdf4")
        except RuntimeError as error:
            raise OSError(f"{error}; the disk may be full") from error

    write_files({path: fill})


def _plain(value: Any) -> Any:
    """Python value of a numpy scalar or array, for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved")


def read(path: Path) -> Saved:
    """Read a file; raises DataError where it is not one of ours or is damaged."""
    path = Path(path)
    where = str(path)
    data = _open(path)
    attrs = data.attrs
    written = attrs.get("format", "")
    if not isinstance(written, str) or written != FORMAT:
        found = f"format {str(written)[:60]!r}" if "format" in attrs else "another NetCDF file"
        raise DataError(
            f"not a saved equilibrium ({found})",
            where=where,
            advice=f"this version reads {FORMAT!r}",
        )
    texts = {name: _text(attrs, name, where) for name in _TEXTS}
    parts = {name: _json(texts, name, where) for name in ("case", "changes", "log", "seconds")}
    if not isinstance(attrs.get("v2g"), (int, np.integer)) or attrs["v2g"] not in (0, 1):
        raise _damaged("v2g", where)
    status = {str(s): s for s in Status}.get(texts["status"])
    if status is None:
        raise _damaged("status", where)
    try:
        log = LongList(_iteration(entry) for entry in parts["log"])
        changes = {str(name): value for name, value in parts["changes"].items()}
        seconds = {str(name): _finite(value) for name, value in parts["seconds"].items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unusable(
            f"the file's log, changes or seconds are damaged ({error})", where
        ) from error
    try:
        case = case_from_document(parts["case"])
        with_parameters(case, changes)
    except DataError as error:
        raise unusable(
            f"the case or its changes in the file are damaged ({error})", where
        ) from error
    if texts["scenario"] not in case.scenarios:
        raise _damaged("scenario", where)
    players = None
    if "players" in attrs:
        players = _json({"players": _text(attrs, "players", where)}, "players", where)
    z: dict[str, FloatArray] = {}
    paths: dict[str, dict[str, np.ndarray]] = {}
    internal = []
    for name, variable in data.data_vars.items():
        key = str(name)
        kind, _, rest = key.partition(".")
        if kind == "z":
            z[rest] = _numbers(variable, key, where)
            internal.append(key)
        elif kind == "paths":
            owner, _, part = rest.rpartition(".")
            paths.setdefault(owner, {})[part] = _numbers(variable, key, where)
            internal.append(key)
    edited = _edited(data, where)
    tables = data.drop_vars(internal)
    tables.attrs = {"edited": edited}
    told, scenario, v2g = "uniqueness" in attrs, texts["scenario"], bool(attrs["v2g"])
    return Saved(
        case, scenario, v2g, changes, status, z, paths, log, seconds, tables, players, told
    )


def load_point(path: str | Path, kind: type[P]) -> P:
    """Read a saved point and rebuild its problem; nothing is solved.

    Results in the file that do not follow from its strategies make the certificate fail.

    Raises
    ------
    DataError
        Where the file is missing, damaged, or does not fit the case it holds.
    """
    path = as_path(path)
    where = str(path)
    saved = read(path)
    try:
        resolved, own = set_up(
            saved.case,
            saved.scenario,
            v2g=saved.v2g,
            changes=saved.changes,
            document=saved.players,
        )
    except DataError as error:
        raise error.at(where) from None
    # where paths are enumerated the list is made again, and the file's must be the same
    enumerated = resolved.case.paths.method == "enumerate"
    roads = restored(traffic(resolved, first_paths=enumerated), saved.paths, where)
    try:
        coupled = couple(resolved, roads, own)
        check_names(coupled)
    except DataError as error:
        raise error.at(where) from None
    try:
        z = coupled.mcp.join(saved.z)
    except DataError as error:
        raise unusable(f"strategies do not fit the case: {error}", where) from error
    if not np.isfinite(z).all():
        worst = coupled.mcp.describe(int(np.argmin(np.isfinite(z))))
        raise unusable(f"{worst} is not finite", where)
    coupled = coupled.settled(z)
    seconds = dict(saved.seconds)
    rounds = int(seconds.pop("rounds", 1))
    edited = tuple(differences(saved.tables, tables(coupled, coupled.mcp.split(z))))
    told, log = saved.tells_uniqueness, saved.log
    return kind(coupled, z, saved.status, log, seconds, rounds, edited, told)


def run_in(path: Path) -> tuple[str, bool] | None:
    """Scenario and V2G of a saved equilibrium, by its head alone; None for any other file."""
    from netCDF4 import Dataset

    try:
        raw = read_bytes(path)
        if not opens(raw):
            return None
        with Dataset("equilibrium.nc", memory=raw) as file:
            if file.getncattr("format") == FORMAT:
                return str(file.getncattr("scenario")), bool(file.getncattr("v2g"))
    except (DataError, *_UNREADABLE):
        pass
    return None


def _open(path: Path) -> xr.Dataset:
    where = str(path)
    import xarray as xr
    from netCDF4 import Dataset
    from xarray.backends import NetCDF4DataStore

    try:
        raw = read_bytes(path)
    except FileNotFoundError:
        raise DataError(
            "no such file", where=where, advice="give the path of a saved .nc file"
        ) from None
    if not raw:
        raise unusable("the file is empty", where)
    try:
        if not raw.startswith(_SIGNATURE):
            raise ValueError("not HDF5")
        if not opens(raw):
            raise ValueError("not safe to open")
        with Dataset("equilibrium.nc", memory=raw) as file:
            _check_declared(file, len(raw), where)
            content = NetCDF4DataStore(file)  # type: ignore[no-untyped-call]
            return xr.open_dataset(content).load()
    except _UNREADABLE as error:
        raise unusable("not a readable NetCDF file, or cut short", where) from error


def _check_declared(file: Any, size: int, where: str) -> None:
    """Refuse types that are never saved, and a NetCDF file that unfolds far beyond its `size`."""
    total = 0
    for name, variable in file.variables.items():
        number, kind = variable.dtype is not str, variable.datatype
        plain = isinstance(kind, np.dtype) and kind.kind in "iufS"
        if file.groups or (number and not plain):
            raise _damaged(name, where)
        # a chunk is read whole, also where the variable is smaller
        chunk = variable.chunking()
        cells = max(math.prod(variable.shape), math.prod(chunk) if isinstance(chunk, list) else 0)
        total += cells * (np.dtype(variable.dtype).itemsize if number else _TEXT_BYTES)
    if total > MOST_UNFOLDED * size:
        raise unusable(f"declares {total:.3g} bytes of data in a file of {size:,}", where)


def _text(attrs: Mapping[str, Any], name: str, where: str) -> str:
    value = attrs.get(name)
    if not isinstance(value, str):
        raise _damaged(name, where)
    return value


def _json(texts: Mapping[str, str], name: str, where: str) -> Any:
    try:
        return json.loads(texts[name])
    except (ValueError, RecursionError) as error:
        raise unusable(f"the file's {name} is damaged ({error})", where) from error


def _iteration(entry: Mapping[str, Any]) -> Iteration:
    """An entry of the log; its figures may be NaN where a solver had none."""
    types = {"number": int, "phase": str}
    return Iteration(**{name: types.get(name, float)(value) for name, value in entry.items()})


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def _damaged(name: str, where: str) -> DataError:
    return unusable(f"the file's {name} is missing or damaged", where)


def _numbers(variable: xr.DataArray, name: str, where: str) -> np.ndarray:
    values = variable.to_numpy()
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise _damaged(name, where)
    return values


# -- Edits -----------------------------------------------------------------------------------------


def _digests(data: xr.Dataset) -> dict[str, str]:
    """Digest of every variable and attribute, by name."""
    out = {}
    for name, variable in data.variables.items():
        values = variable.to_numpy()
        if values.dtype.kind in "biu":
            content = values.astype(np.int64).tobytes()
        elif values.dtype.kind == "f":
            # one bit pattern for all NaN
            content = np.where(np.isnan(values), np.nan, values).astype(np.float64).tobytes()
        else:
            content = "\0".join(values.astype(str).ravel().tolist()).encode()
        shape = f"{variable.dims}{values.shape}".encode()
        out[str(name)] = hashlib.sha256(shape + content).hexdigest()[:16]
    for name, value in data.attrs.items():
        if name != "digests":
            out[f"@{name}"] = hashlib.sha256(str(value).encode()).hexdigest()[:16]
    return out


def _edited(data: xr.Dataset, where: str) -> dict[str, str]:
    """Parts that were changed, added or removed since the file was written, each in words."""
    texts = {"digests": _text(data.attrs, "digests", where)}
    stored, found = _json(texts, "digests", where), _digests(data)
    if not isinstance(stored, dict):
        raise _damaged("digests", where)
    out = {n: f"the file has no {n.removeprefix('@')}" for n in stored if n not in found}
    for name, digest in found.items():
        if stored.get(name) != digest:
            word = "changed after saving" if name in stored else "added to the file"
            out[name] = f"{name.removeprefix('@')} was {word}"
    return out


def differences(stored: xr.Dataset, computed: xr.Dataset) -> list[str]:
    """What is wrong with a file's results: parts edited, and values that do not follow.

    Parameters
    ----------
    stored
        Tables of `read`.
    computed
        Tables computed from the saved strategies.
    """
    out: dict[str, str] = {}
    for key, fresh in computed.variables.items():
        name = str(key)
        if name not in stored.variables:
            out[name] = f"the file has no {name}"
            continue
        old, new = stored[name].to_numpy(), fresh.to_numpy()
        if old.shape != new.shape:
            out[name] = f"{name} has shape {old.shape}, expected {new.shape}"
        elif new.dtype.kind not in "fiu":
            if not (old.astype(str) == new.astype(str)).all():
                out[name] = f"stored {name} differs from the case's"
        elif old.dtype.kind not in "fiub":
            out[name] = f"{name} is not numeric"
        else:
            size = np.nanmax(np.abs(new), initial=1e-9) if new.size else 1.0
            same = np.isclose(old, new, rtol=1e-9, atol=1e-9 * size, equal_nan=True)
            if not same.all():
                at = int(np.argmin(same.ravel()))
                out[name] = (
                    f"stored {name} does not follow from the strategies at entry {at}: "
                    f"{old.ravel()[at]:g}, computed {new.ravel()[at]:g}"
                )
    # an edit that shows in the results is told once, by its values
    return list({**stored.attrs.get("edited", {}), **out}.values())
