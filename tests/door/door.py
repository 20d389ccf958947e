"""A small editable case, what a command answers, and what is left in a folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from v2geq.data.edit.case import Case, load_case
from v2geq.data.readers.folders import networks_folder

NAME = "ieee123_sioux_falls_reference"
PAIRS = "origin,destination,trips_veh_h\n1,20,30\n13,6,30\n24,1,30\n"


class SmallCase:
    """Editable copy of the reference case with three OD pairs.

    Files are named 'feeder/...', 'road/...', or bare for those of the case itself.
    """

    def __init__(self, root: Path) -> None:
        for name in ("ieee123", "sioux_falls", NAME):
            shutil.copytree(networks_folder() / name, root / name)
        self.root, self.folder = root, root / NAME
        self.path("ev_trips.csv").write_text(PAIRS, encoding="utf-8")

    def path(self, file: str) -> Path:
        """Path of one of its files."""
        part, _, name = file.rpartition("/")
        folder = {"feeder": "ieee123", "road": "sioux_falls", "": self.folder.name}[part]
        return self.root / folder / name

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the first `old` in a file; a text that is not there is a mistake of the test."""
        text = self.path(file).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        self.path(file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def keep_header(self, file: str) -> None:
        """Leave a table without rows."""
        header = self.path(file).read_text(encoding="utf-8").splitlines()[0]
        self.path(file).write_text(header + "\n", encoding="utf-8")

    def study(self, text: str) -> Path:
        """Replace study.toml."""
        self.path("study.toml").write_text(text, encoding="utf-8")
        return self.path("study.toml")

    def load(self) -> Case:
        """Read it."""
        return load_case(self.folder)


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


def left_over(folder: Path) -> list[str]:
    """Files and folders under `folder`, for comparisons before and after."""
    return sorted(os.path.relpath(p, folder) for p in folder.rglob("*"))
