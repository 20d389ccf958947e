"""The house keeps its rules: names, sizes, citations, and which room knows of which."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import v2geq as vg

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "v2geq"
MODEL = ROOT / "notebooks" / "model.md"

MOST_LINES = 520
LONGER = {
    "export/gams.py": "one writer of one format, in the order of the file it writes",
    "roads/kernels/assignment.py": "compiled loops over one pool of paths, called by each other",
}
"""Files longer than `MOST_LINES`, and why."""
SAYS_DOLLARS = {
    "paper/claims.py": "the paper's money",
    "export/gams.py": "commands of GAMS",
    "results/latex.py": "formulas of LaTeX",
    "mcp/block.py": "makes units",
}
"""Files with a $ in a text that is put together, and what it is; units alone have one anywhere."""
SAME_NAME: dict[str, str] = {}
"""Public classes and functions of one name in two modules, and why; commands do not count."""


def modules() -> dict[str, Path]:
    """Every module of the package by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_public_names() -> None:
    assert vg.__all__ == sorted(vg.__all__)
    assert dir(vg) == vg.__all__
    for name in vg.__all__:
        assert getattr(vg, name).__name__ == name


def test_public_names_come_from_where_they_are_defined() -> None:
    """At run time by `_HOME`, for type checkers by import."""
    homes = vg._HOME
    assert sorted(homes) == vg.__all__
    block = next(n for n in tree(PACKAGE / "__init__.py").body if isinstance(n, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == homes
    for name, home in homes.items():
        assert getattr(vg, name).__module__ == home


def test_no_module_takes_the_name_of_a_public_one() -> None:
    """Its import would put the module in the place of the function."""
    assert not {m.split(".")[1] for m in modules() if "." in m} & set(vg.__all__)


def _not_docstrings(module: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(module):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and not isinstance(node, ast.Expr):
                yield child


def test_modules_are_imported_by_statement() -> None:
    """Imports by name of a text are seen by no linter; the package's first page has them all."""
    known = set(modules()) - {"v2geq"}
    found = []
    for name, path in modules().items():
        if name == "v2geq":
            continue
        found += [
            f"{name}, line {c.lineno}: {c.value!r}"
            for c in _not_docstrings(tree(path))
            if isinstance(c.value, str) and c.value in known
        ]
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__"):
                what = node.args[0]
                text = what.value if isinstance(what, ast.Constant) else "?"
                # a name that is put together could be any
                if not isinstance(text, str) or text.startswith(("v2geq", ".", "?")):
                    found.append(f"{name}, line {node.lineno}: {ast.unparse(node)}")
    assert not found


def test_no_file_is_too_long() -> None:
    long = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in modules().values()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not {name: lines for name, lines in long.items() if name not in LONGER}


def _public(module: ast.Module) -> Iterator[str]:
    """Public classes, functions and type aliases (capitalised, not constants)."""
    for node in module.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and re.match(r"[A-Z]+[a-z]", target.id):
                    yield target.id


def test_one_thing_one_name() -> None:
    """Commands are named after what they run; everything else has its name for itself."""
    homes: dict[str, list[str]] = {}
    for name, path in modules().items():
        if not name.startswith("v2geq.cli"):
            for public in _public(tree(path)):
                if not public.startswith("_"):
                    homes.setdefault(public, []).append(name)
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert not {name: where for name, where in twice.items() if name not in SAME_NAME}


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in [*modules().values(), *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node)
                if text:
                    line = getattr(node, "lineno", 1)
                    yield f"{path.relative_to(ROOT)}, line {line}", text


def test_citations_lead_somewhere() -> None:
    """Docstrings cite sections of the model's page as 'model.md, 3', and nothing else."""
    sections = re.findall(r"^## (\d+)\. ", MODEL.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [str(k) for k in range(1, 9)]
    cited = set()
    for where, text in _docstrings():
        for citation in re.finditer(r"model\.md(?:, (\d+))?", text):
            assert citation[1] in (None, *sections), where
            cited.add(citation[1])
        assert not re.search(r"\b[Ss]pec section|\b[Ss]ection \d", text), where
    assert cited >= {"1", "2", "3", "4", "5", "7", "8"}


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
    both = {name: (ROOT / "notebooks" / name).read_text() for name in ("model.md", "equations.md")}
    assert "(equations.md)" in both["model.md"]
    assert "(model.md)" in both["equations.md"]


def test_formulas_of_the_model_page_can_be_shown() -> None:
    """Every formula ends in the line it begins in, unless it stands alone."""
    text = re.sub(r"`[^`]*`", "", MODEL.read_text(encoding="utf-8"))
    alone = re.findall(r"^\$\$.*?\$\$$", text, re.MULTILINE | re.DOTALL)
    assert text.count("$$") == 2 * len(alone)
    for formula in alone:
        text = text.replace(formula, "")
        assert formula.count("{") == formula.count("}"), formula
        assert len(re.findall(r"\\left\b", formula)) == formula.count(r"\right"), formula
    for line in text.splitlines():
        assert line.count("$") % 2 == 0, line
        assert line.count("{") == line.count("}"), line


def test_imports_go_one_way() -> None:
    """The contracts of pyproject.toml, type-checking imports counted."""
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed (extra 'lint')")
    command = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


BLOCK = re.compile(
    r"^(cno|dso|lse\.\w+)\.\w|^drivers\.(flow|route|plan|leg|demand|arc_|station_|queue_)"
)
KNOW_BLOCKS = {"players", "trips", "grid", "data"}
"""Rooms that name blocks: those that state them; in data the words are names of parameters."""


def test_blocks_are_named_only_where_they_are_stated() -> None:
    """Others ask the layer or the player for what they need."""
    found = []
    for name, path in modules().items():
        if path.relative_to(PACKAGE).parts[0] in KNOW_BLOCKS:
            continue
        documents = {
            node.body[0].value
            for node in ast.walk(tree(path))
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{name}: {node.value!r}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in documents
            and BLOCK.search(node.value)
        ]
    assert not found


def test_texts_name_no_currency() -> None:
    """The case does: ``f"{price} {case.currency}/kWh"``."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in modules().values()
        for text in ast.walk(tree(path))
        if isinstance(text, ast.JoinedStr)
        for part in text.values
        if isinstance(part, ast.Constant) and "$" in str(part.value)
    }
    assert found == set(SAYS_DOLLARS)
