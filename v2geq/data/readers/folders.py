"""Where the shipped networks and cases are, and which files belong to a case."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from v2geq.errors import DataError, collecting, collects, mistake


def networks_folder() -> Path:
    """Folder of the shipped networks: installed with the package, or beside it in a source tree.

    Raises
    ------
    DataError
        If neither exists.
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_networks", package.parent / "networks"):
        if folder.is_dir():
            return folder
    raise DataError(
        "the shipped networks are not installed",
        where=str(package),
        advice="install the package again, or give the path of a case folder",
    )


def available_cases() -> list[str]:
    """Names of the shipped cases, sorted."""
    return sorted(path.parent.name for path in networks_folder().glob("*/case.toml"))


def find_network(kind: str, name: str | Path, beside: Path = Path()) -> Path | None:
    """Folder of a feeder or road: relative to the folder `beside`, or the name of a shipped one."""
    for found in (beside / name, networks_folder() / name):
        if os.path.isfile(found / f"{kind}.toml"):
            return found
    return None


def known_networks(kind: str) -> list[str]:
    """Names of the shipped feeders or roads."""
    return sorted(p.parent.name for p in networks_folder().glob(f"*/{kind}.toml"))


@contextmanager
def discreet(path: Path, homes: Iterable[Path]) -> Iterator[None]:
    """Errors about `path` do not quote it where it lies, links followed, outside all `homes`.

    A case may name any file or link to it, its errors may be read by others: what they show is
    the case's own folders, those of its networks, and the shipped ones.
    """
    found: list[DataError] = []
    homes = tuple(homes)
    try:
        with collecting(collects()) as found:
            yield
    except DataError as error:
        hidden = _discreet(error, path, homes)
        if hidden is error:
            raise
        raise hidden from None
    finally:
        for kept in found:
            mistake(_discreet(kept, path, homes))


def _discreet(error: DataError, path: Path, homes: Iterable[Path]) -> DataError:
    """The error, or one that does not quote the file."""
    if not error.where.startswith(str(path)):
        return error
    real = os.path.realpath(path)
    for home in (*homes, networks_folder()):
        own = os.path.realpath(home)
        if os.path.commonpath([own, real]) == own:
            return error
    return DataError(
        "this file outside the folders of the case cannot be used",
        where=str(path),
        advice="its contents are not shown; copy it into the folder to see what is wrong",
    )
