"""Run notebooks and store what they show: ``python tests/notebooks/execute.py [NAME ...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: str | Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its run in `folder`."""
    book = nbformat.read(path, as_version=4)
    NotebookClient(
        book,
        timeout=120,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for cell in book.cells:
        if cell.cell_type == "code":
            # what was told of long work on the way is gone when it is done
            cell.outputs = [o for o in cell.outputs if o.get("data", {}).get("text/plain") != ""]
    book.metadata = {key: book.metadata[key] for key in ("kernelspec", "language_info")}
    book.metadata["language_info"] = {"name": "python"}
    return book


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        if not sys.argv[1:] or notebook.stem in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as place:
                nbformat.write(executed(notebook, place), notebook)
            print(notebook.name)
