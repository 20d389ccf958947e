"""A case written to a folder that `load_case` reads back equal."""

from __future__ import annotations

import os
from pathlib import Path

from v2geq.data.model.case import CaseData
from v2geq.data.readers.phases import remove_old_phases
from v2geq.data.writing import MARK, case_files
from v2geq.errors import DataError
from v2geq.files import as_path, read_bytes, write_tree


def save_case(case: CaseData, folder: str | Path) -> list[str]:
    """Write a checked case to a new or empty folder, or over a case saved there before.

    Returns the files' names. Raises `DataError` where the folder holds anything else.
    """
    folder = as_path(folder, "a folder")
    files = case_files(case)
    ours = False
    if os.path.isfile(folder / "case.toml"):
        ours = read_bytes(folder / "case.toml").startswith(MARK.encode())
        if not ours:
            raise DataError(
                "holds a case that was not saved from Python",
                where=str(folder),
                advice="give a new or empty folder",
            )
    write_tree(folder, {name: text.encode() for name, text in files.items()}, again=ours)
    inside = {name.removeprefix("feeder/"): text for name, text in files.items()}
    remove_old_phases(folder / "feeder", inside)
    return list(files)
