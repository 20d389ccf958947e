"""Loss-free NetCDF files: case, scenario, strategies, paths and labelled results in one file.

A file holds what is needed to rebuild the problem, so a saved equilibrium can be certified again
without solving, and results that no longer follow from the strategies are found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2geq.data.case import case_from_document, case_to_document
from v2geq.data.model import Case
from v2geq.errors import DataError
from v2geq.mcp.curves import FloatArray
from v2geq.players.drivers import Traffic
from v2geq.players.paths import PathSet
from v2geq.solvers.protocol import Iteration

if TYPE_CHECKING:
    import xarray as xr

FORMAT = "v2geq equilibrium 1"


@dataclass
class Saved:
    """What a file holds."""

    case: Case
    scenario: str
    v2g: bool
    changes: dict[str, Any]
    status: str
    z: dict[str, FloatArray]
    paths: dict[str, dict[str, np.ndarray]]
    log: list[Iteration]
    seconds: dict[str, float]
    tables: xr.Dataset


def write(
    path: Path,
    *,
    case: Case,
    scenario: str,
    v2g: bool,
    changes: Mapping[str, Any],
    status: str,
    z: Mapping[str, FloatArray],
    traffic: Traffic,
    log: list[Iteration],
    seconds: Mapping[str, float],
    tables: xr.Dataset,
) -> None:
    """Write a file; it appears under its name only when complete."""
    data = tables.copy()
    for name, values in z.items():
        key = f"z.{name}"
        data[key] = ((f"n.{name}",), np.asarray(values, dtype=float))
    for name, paths in traffic.paths.items():
        for part, array in paths.to_arrays().items():
            data[f"paths.{name}.{part}"] = ((f"paths.{name}.{part}.n",), array)
    data.attrs = {
        "format": FORMAT,
        "scenario": scenario,
        "v2g": int(v2g),
        "changes": json.dumps(dict(changes)),
        "status": status,
        "case": json.dumps(case_to_document(case)),
        "log": json.dumps([asdict(entry) for entry in log]),
        "seconds": json.dumps(dict(seconds)),
    }
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        data.to_netcdf(part, engine="netcdf4")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> Saved:
    """Read a file; raises DataError where it is not one of ours or is damaged."""
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", where=str(path), advice="give the path of a saved .nc file")
    try:
        with xr.open_dataset(path, engine="netcdf4") as opened:
            data = opened.load()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"not a readable NetCDF file ({error})", where=str(path), advice="save it again"
        ) from error
    attrs = data.attrs
    if attrs.get("format") != FORMAT:
        raise DataError(
            f"not a saved equilibrium (format {attrs.get('format')!r})",
            where=str(path),
            advice=f"this version reads {FORMAT!r}",
        )
    try:
        saved = Saved(
            case=case_from_document(json.loads(attrs["case"])),
            scenario=str(attrs["scenario"]),
            v2g=bool(attrs["v2g"]),
            changes=json.loads(attrs["changes"]),
            status=str(attrs["status"]),
            z={},
            paths={},
            log=[Iteration(**entry) for entry in json.loads(attrs["log"])],
            seconds=json.loads(attrs["seconds"]),
            tables=data,
        )
    except (KeyError, json.JSONDecodeError, TypeError) as error:
        raise DataError(
            f"the file lacks or garbles a part ({error})", where=str(path), advice="save it again"
        ) from error
    extra = []
    for name, variable in data.data_vars.items():
        key = str(name)
        if key.startswith("z."):
            saved.z[key[2:]] = variable.to_numpy().astype(float)
            extra.append(key)
        elif key.startswith("paths."):
            _, kind, part = key.split(".")
            saved.paths.setdefault(kind, {})[part] = variable.to_numpy()
            extra.append(key)
    saved.tables = data.drop_vars(extra)
    saved.tables.attrs = {}
    return saved


def restore_paths(traffic: Traffic, saved: Saved, where: str) -> None:
    """Put the saved paths in place of the traffic's own; raises DataError where they do not fit."""
    for name, own in traffic.paths.items():
        if name not in saved.paths:
            raise DataError(f"the file has no paths of class {name!r}", where=where)
        try:
            paths = PathSet.from_arrays(
                own.graph,
                own.od_count,
                own.station_count,
                saved.paths[name],
                stations=own.stations,
            )
        except (ValueError, KeyError, IndexError) as error:
            raise DataError(
                f"the paths of class {name!r} do not fit the case ({error})",
                where=where,
                advice="solve and save again",
            ) from error
        traffic.paths[name] = paths


def differences(stored: xr.Dataset, computed: xr.Dataset) -> list[str]:
    """Results that do not follow from the saved strategies, by name and place."""
    out: list[str] = []
    for name, fresh in computed.variables.items():
        if name not in stored.variables:
            out.append(f"the file has no {name}")
            continue
        old, new = stored[name].to_numpy(), fresh.to_numpy()
        if old.shape != new.shape:
            out.append(f"{name} has shape {old.shape}, expected {new.shape}")
        elif new.dtype.kind in "fiu":
            size = np.nanmax(np.abs(new), initial=1e-9) if new.size else 1.0
            same = np.isclose(old, new, rtol=1e-9, atol=1e-9 * size, equal_nan=True)
            if not same.all():
                at = int(np.argmin(same.ravel()))
                out.append(
                    f"stored {name} does not follow from the strategies at entry {at}: "
                    f"{old.ravel()[at]:g}, computed {new.ravel()[at]:g}"
                )
        elif not (old.astype(str) == new.astype(str)).all():
            out.append(f"stored {name} differs from the case's")
    return out
