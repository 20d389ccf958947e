"""The stand-in for PATH's library, compiled once per session."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "standin.c"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile the stand-in with macros defined; the file of the shared library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (gcc or cc) to build the stand-in for PATH with")
    folder = tmp_path_factory.mktemp("standin")

    def build(*macros: str) -> str:
        library = folder / f"libpath_{'_'.join(macros) or 'standin'}.so"
        if not library.exists():
            defines = [f"-D{m}" for m in macros]
            flags = ["-O1", "-Wall", "-shared", "-fPIC"]
            command = [compiler, *flags, *defines, str(SOURCE), "-o", str(library), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return str(library)

    return build


@pytest.fixture
def standin(compiled: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("PATH_LICENSE_STRING", raising=False)
    monkeypatch.delenv("PATH_LIBRARY", raising=False)
    return compiled()
