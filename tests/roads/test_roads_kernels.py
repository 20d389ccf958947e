"""Compiled loops on disk: which folder keeps them, that no stale or foreign code is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import v2geq
import v2geq as vg
from v2geq.kernels import cache

PACKAGE = Path(v2geq.__file__).parent
PRICE = (
    "import numpy as np; from v2geq.kernels.compiled import longer; print(longer(np.ones(3))[2])"
)


def copy_of_package(folder: Path) -> Path:
    """What the compiled loops need of the package, apart from this installation."""
    target = folder / "v2geq"
    for room in ("kernels", "roads/kernels", "trips/kernels"):
        shutil.copytree(PACKAGE / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "roads/__init__.py", "trips/__init__.py"):
        (target / name).write_text("")
    for name in ("arrays.py", "errors.py", "progress.py", "show.py"):
        shutil.copy(PACKAGE / name, target)
    return folder


def run(package: Path, program: str = PRICE, **environment: str) -> tuple[str, str]:
    """Output and log of a program with the package from a folder; no HOME but what is given."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")}
    show = "import logging; logging.basicConfig(level='INFO', format='%(message)s');"
    done = subprocess.run(
        [sys.executable, "-B", "-c", show + program],
        env={**kept, "PYTHONPATH": str(package), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=package,
    )
    return done.stdout.strip(), done.stderr.strip()


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copy_of_package(tmp_path / "package")


def block(folder: Path) -> None:
    """Make a place useless for everybody, the administrator too: a file stands there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")


def places(package: Path, tmp_path: Path) -> tuple[dict[str, str], list[Path]]:
    """An environment with a place of every kind, and the places, best first."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    temporary.mkdir()
    environment = {
        "NUMBA_CACHE_DIR": str(tmp_path / "own"),
        "XDG_CACHE_HOME": str(tmp_path / "xdg"),
        "HOME": str(home),
        "TMPDIR": str(temporary),
    }
    found = [
        tmp_path / "own",
        package / "v2geq/kernels/__pycache__",
        tmp_path / "xdg/v2geq",
        home / ".cache/v2geq",
        temporary / f"v2geq-{os.geteuid()}",
    ]
    return environment, found


def chosen() -> Path | None:
    """The folder a new process would take."""
    return cache.cache_folder.__wrapped__()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
def test_places_in_turn(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first place that can be written to is used, in a private folder."""
    environment, found = places(package, tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache, "_SOURCES", package / "v2geq/kernels")
    monkeypatch.setattr(tempfile, "tempdir", None)
    for place in found:
        folder = chosen()
        assert folder is not None and folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        assert chosen() == folder
        shutil.rmtree(place)
        block(place)
    assert chosen() is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
def test_no_home_at_all(package: Path, tmp_path: Path) -> None:
    """Without HOME and a writable package the temporary folder serves, for later processes too."""
    block(package / "v2geq/kernels/__pycache__")
    program = "import os; os.path.expanduser = lambda path: path;" + PRICE
    said = "compiling inner loops, once after installation (up to 20 s)"
    assert run(package, program, TMPDIR=str(tmp_path)) == ("1.0", said)
    assert run(package, program, TMPDIR=str(tmp_path)) == ("1.0", "")
    assert entries(tmp_path / f"v2geq-{os.geteuid()}")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
def test_folders_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is refused where somebody else owns it, can write to it or can exchange it."""
    own = tmp_path / "a" / "b"
    own.mkdir(mode=0o700, parents=True)
    assert cache.is_private(own)
    for path, mode in ((own, 0o770), (own, 0o702), (own.parent, 0o777), (own.parent, 0o775)):
        before = path.stat().st_mode
        path.chmod(mode)
        assert not cache.is_private(own), (path, oct(mode))
        path.chmod(before)
    own.parent.chmod(0o1777)  # as /tmp
    assert cache.is_private(own)
    link = tmp_path / "link"
    link.symlink_to(own)
    assert not cache.is_private(link)
    link.unlink()
    link.symlink_to(own.parent)
    assert cache.is_private(link / "b")
    # what another user made beforehand, under the name we would take
    monkeypatch.setattr(cache, "_user", lambda: os.geteuid() + 1)
    assert not cache.is_private(own)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to give away")
def test_temporary_folder_of_another_user(package: Path, tmp_path: Path) -> None:
    """Code that another user put where we would look is not loaded, and nothing is put there."""
    environment, found = places(package, tmp_path)
    for place in found[:-1]:
        block(place)
    found[-1].mkdir()
    os.chown(found[-1], 12345, 12345)
    assert "every command does" in run(package, **environment)[1]
    assert not entries(found[-1])


@pytest.mark.slow
def test_edit_in_another_file(package: Path, tmp_path: Path) -> None:
    """An edit of what a function calls, in another file, is seen, and the old code removed."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "own")}
    program = (
        "import numpy as np; from v2geq.roads.kernels.shortest import *; no = np.zeros(1, dtype=np.int64);"
        "star = Star(np.array([0, 1, 1]), no, no + 1, no, np.ones(2, dtype=np.bool_));"
        "print(shortest_trees(star, np.ones(1), no)[0][0, 1])"
    )
    assert run(package, program, **environment)[0] == "1.0"
    before = set(entries(tmp_path / "own"))
    trees = package / "v2geq/roads/kernels/trees.py"
    line = "reached = distance[node] + length[arc]"
    assert trees.read_text().count(line) == 1
    trees.write_text(trees.read_text().replace(line, line + " + 1.0"))
    assert run(package, program, **environment)[0] == "2.0"
    assert not before & set(entries(tmp_path / "own"))
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_every_source_is_hashed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = package / "v2geq"
    before = cache.source_hash()
    monkeypatch.setattr(cache, "_SOURCES", folder / "kernels")
    seen = {before, cache.source_hash.__wrapped__()}
    assert len(seen) == 1
    files = sorted(folder.glob("**/kernels/*.py"))
    for file in files:
        file.write_text(file.read_text() + "\n")
        seen.add(cache.source_hash.__wrapped__())
    assert len(seen) == 1 + len(files) > 8


@pytest.mark.slow
def test_damaged_entries(package: Path, tmp_path: Path) -> None:
    """Files cut short are compiled again, and whole afterwards."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "own")}
    run(package, **environment)
    for ending in ("nbi", "nbc"):
        for file in (tmp_path / "own").rglob(f"*.{ending}"):
            file.write_bytes(file.read_bytes()[:40])
        assert run(package, **environment)[0] == "1.0"
    assert run(package, **environment) == ("1.0", "")


@pytest.mark.slow
def test_full_disk(package: Path, tmp_path: Path) -> None:
    """Where the compiled code cannot be saved the answer comes all the same, and one line says so."""
    program = (
        "from numba.core import caching\n"
        "def full(*_): raise OSError(28, 'No space left on device')\n"
        "caching.CompileResultCacheImpl.reduce = full\n" + PRICE
    )
    output, log = run(package, program, NUMBA_CACHE_DIR=str(tmp_path / "own"))
    assert output == "1.0"
    assert log.count("No space left on device") == 1 and "Traceback" not in log


@pytest.mark.slow
def test_two_processes_at_once(package: Path, tmp_path: Path) -> None:
    """Each function is compiled by one of them, the other waits for it, and both are right."""
    # in opposite order, so that the numbers of the entries would clash
    programs = [
        "import numpy as np; from v2geq.kernels import cache, compiled;"
        "seen = []; save = cache._Cache.save_overload;"
        "cache._Cache.save_overload = lambda self, sig, data: (seen.append(1), save(self, sig, data))[1];"
        f"print([float(compiled.longer(np.ones(3, dtype=k))[1]) for k in ({kinds})], len(seen))"
        for kinds in ("'f8', 'i8', 'i4'", "'i4', 'i8', 'f8'")
    ]
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH")}
    environment = {**kept, "PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(tmp_path / "own")}
    both = [
        subprocess.Popen(
            [sys.executable, "-B", "-c", p],
            env=environment,
            cwd=package,
            stdout=subprocess.PIPE,
            text=True,
        )
        for p in programs
    ]
    outputs = [p.communicate(timeout=120)[0] for p in both]
    assert [o.rpartition(" ")[0] for o in outputs] == ["[1.0, 1.0, 1.0]"] * 2
    assert sum(int(o.rpartition(" ")[2]) for o in outputs) == 3
    for program in programs:
        assert run(package, program, **environment)[0] == "[1.0, 1.0, 1.0] 0"


def test_rehearsed_loops_serve_a_solve() -> None:
    """Loops compiled ahead are those a solve calls: none is compiled again for other types."""
    from numba.core.dispatcher import Dispatcher

    from v2geq.roads.kernels import assignment, shortest
    from v2geq.trips.kernels import labels, legs
    from v2geq.trips.rehearsal import rehearse

    rehearse()
    vg.solve(vg.load_case("ieee123_sioux_falls"), "base")
    served = {
        name: function.signatures
        for module in (assignment, labels, legs, shortest)
        for name, function in vars(module).items()
        if isinstance(function, Dispatcher) and function.py_func.__module__ == module.__name__
    }
    for name in ("_gap", "_label_setting", "_front_legs", "_compose", "_trace", "_shortest_trees"):
        assert len(served[name]) == 1, name
