"""Notebooks run from top to bottom with the public API and show what they have stored."""

from __future__ import annotations

import re
import time
from pathlib import Path

import nbformat
import pytest
from execute import NOTEBOOKS, executed

NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
LARGEST = 400_000
"""Bytes of a notebook with its pictures."""
VARIES = "varies"
"""Tag of cells that show how long something took, or flows that are not unique."""
WORST = re.compile(r"^ *worst .*$", re.MULTILINE)
"""Which entry of a solution is worst is decided by its last digits."""


def said(cell: nbformat.NotebookNode) -> str:
    """Plain text of a cell's outputs, without how tables are aligned."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return " ".join(re.sub(r"-{3,}", " ", WORST.sub("", "\n".join(texts))).split())


def code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_shows_what_it_has_stored(path: Path, tmp_path: Path) -> None:
    """The words are the same, and numbers but for noise."""
    begin = time.monotonic()
    fresh = executed(path, tmp_path)
    assert time.monotonic() - begin < 60.0
    for now, stored in zip(code(fresh), code(nbformat.read(path, as_version=4)), strict=True):
        if VARIES in now.metadata.get("tags", ()):
            continue
        assert NUMBER.split(said(now)) == NUMBER.split(said(stored)), now.source
        pairs = zip(NUMBER.findall(said(now)), NUMBER.findall(said(stored)), strict=True)
        for new, old in ([float(n.replace(",", "")) for n in pair] for pair in pairs):
            assert new == pytest.approx(old, rel=1e-3, abs=1e-6), now.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_stored_with_its_outputs(path: Path) -> None:
    """In the order of the cells, small, and without places of a machine."""
    book = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in code(book)] == list(range(1, len(code(book)) + 1))
    outputs = [output for cell in code(book) for output in cell.outputs]
    assert outputs
    assert all(output.output_type != "error" for output in outputs)
    assert path.stat().st_size < LARGEST
    shown = " ".join(map(said, code(book)))
    for place in ("/tmp", "/home", "/root", "/Users", "site-packages", str(Path.cwd())):
        assert place not in shown, place
