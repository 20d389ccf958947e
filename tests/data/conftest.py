"""A small editable copy of a shipped case."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from v2geq.data.edit.case import Case, load_case
from v2geq.data.readers.folders import networks_folder

_FOLDERS = ("ieee123", "sioux_falls", "ieee123_sioux_falls_reference")


class EditableCase:
    """Copy of the reference case with its networks; files named 'feeder/...', 'road/...' or bare."""

    def __init__(self, root: Path) -> None:
        for name in _FOLDERS:
            shutil.copytree(networks_folder() / name, root / name)
        self.root, self.folder = root, root / "ieee123_sioux_falls_reference"

    def path(self, file: str) -> Path:
        part, _, name = file.rpartition("/")
        folder = {"feeder": "ieee123", "road": "sioux_falls", "": self.folder.name}[part]
        return self.root / folder / name

    def edit(self, file: str, old: str, new: str) -> None:
        text = self.path(file).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        self.path(file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def load(self) -> Case:
        return load_case(self.folder)


@pytest.fixture
def editable(tmp_path: Path) -> EditableCase:
    return EditableCase(tmp_path)


@pytest.fixture(scope="session")
def reference() -> Case:
    return load_case("ieee123_sioux_falls_reference")
