"""Where the shipped networks and cases are, and which there are."""

from __future__ import annotations

from pathlib import Path

from v2geq.errors import DataError


def networks_folder() -> Path:
    """Folder of the shipped networks: installed with the package, or beside it in a source tree.

    Raises
    ------
    DataError
        If neither exists.
    """
    package = Path(__file__).resolve().parents[1]
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
