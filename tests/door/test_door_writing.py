"""What is written: where to, on a full disk, by two at once, by a process that is killed."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from door import Answer, SmallCase, left_over
from matplotlib.figure import Figure

import v2geq
from v2geq.equilibrium import Equilibrium
from v2geq.errors import DataError
from v2geq.export.gams import to_gams
from v2geq.files import locked, write_files
from v2geq.plots import save as save_figure
from v2geq.studies.plan import read_study
from v2geq.studies.run import run_study

ROOT = Path(v2geq.__file__).parents[1]
TNTP = (
    """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 2
<FIRST THRU NODE> 1
<NUMBER OF LINKS> 60
<END OF METADATA>
"""
    + 60 * "1 2 100 1 1 0.15 4 0 0 1 ;\n"
)
TRIPS = """<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 10
<END OF METADATA>
Origin 1
2 : 10.0;
"""


def one_error(answer: Answer, *said: str) -> None:
    assert answer.code == 2, answer
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and answer.err.endswith(errors[0] + "\n"), answer.err
    for words in said:
        assert words in errors[0]


# ---------------------------------------------------------------------------------------------
# One file


def test_a_file_takes_its_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    before = os.umask(0o027)
    try:
        write_files({path: b"one"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # another name of the same file keeps what it holds; rights stay
    os.link(path, tmp_path / "b.csv")
    path.chmod(0o600)
    write_files({path: b"two"})
    assert (path.read_bytes(), (tmp_path / "b.csv").read_bytes()) == (b"two", b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert left_over(tmp_path) == ["a.csv", "b.csv"]


def test_parts_of_others_are_left_alone(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "a.csv"
    victim.write_text("mine")
    (tmp_path / "a.csv.part").symlink_to(victim)
    (tmp_path / ".a.csv.part").write_text("mine too")
    write_files({path: b"one"})
    assert victim.read_text() == "mine"
    assert (tmp_path / "a.csv.part").is_symlink()
    assert left_over(tmp_path) == [".a.csv.part", "a.csv", "a.csv.part", "victim"]


def test_several_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match="/c: is a folder"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new", tmp_path / "c": b"new"})
    assert left_over(tmp_path) == ["a", "c"]
    assert (tmp_path / "a").read_text() == "old"


def linked(path: Path) -> None:
    (path.parent / "victim").write_text("mine")
    path.symlink_to(path.parent / "victim")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        here = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            s.bind(path.name)
        finally:
            os.chdir(here)


TARGETS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (os.mkfifo, "is a device or a pipe"),
    "socket": (bound, "is a device or a pipe"),
    "link": (linked, "is a link"),
    "link to nothing": (lambda p: p.symlink_to("nowhere"), "is a link"),
    "link to a device": (lambda p: p.symlink_to("/dev/null"), "is a link"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("writer", ["save", "gams", "figure"])
def test_what_is_no_file_is_not_replaced(
    solved: Equilibrium, tmp_path: Path, writer: str, target: str
) -> None:
    path = tmp_path / "thing.svg"
    make, said = TARGETS[target]
    make(path)
    before, kind = left_over(tmp_path), path.lstat()
    write: dict[str, Callable[[], Any]] = {
        "save": lambda: solved.save(path),
        "gams": lambda: to_gams(solved.coupled.mcp, path),
        "figure": lambda: save_figure(Figure(), tmp_path / "thing"),
    }
    with pytest.raises(DataError, match=f"thing.svg: {said}"):
        write[writer]()
    assert left_over(tmp_path) == before
    assert path.lstat() == kind
    assert not (tmp_path / "victim").exists() or (tmp_path / "victim").read_text() == "mine"


NAMES = {
    "device": ("/dev/null", "is a device"),
    "name too long": ("x" * 300, "name too long"),
    "name that ends a text": ("a\0b", "null"),
    "under a file": ("file/x.nc", "Not a directory"),
    "missing folder": ("no/x.nc", "does not exist"),
    "nothing": ("", "is a folder"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    given, said = NAMES[name]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=said) as told:
        write_files({tmp_path / given if given else Path(): b"x"})
    assert "\n" not in str(told.value)
    assert left_over(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="rights do not bind here")
def test_a_write_protected_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(DataError, match="write-protected"):
        write_files({tmp_path / "a": b"new"})


@pytest.mark.slow
def test_outputs_of_commands_that_are_links(small: SmallCase, run: Callable[..., Answer]) -> None:
    root = small.root
    (root / "victim").write_text("mine")
    (root / "net.tntp").write_text(TNTP)
    (root / "trips.tntp").write_text(TRIPS)
    for name in ("o.nc", "o.gms", "od/paths.csv", "out/summary.csv"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(root / "victim")
    base = (small.folder, "--scenario", "base", "--out")
    for words in (
        ("solve", *base, root / "o.nc"),
        ("export", *base, root / "o.gms"),
        ("assign", root / "net.tntp", root / "trips.tntp", "--out", root / "od"),
        ("study", small.folder, "--out", root / "out"),
    ):
        one_error(run(*words), "is a link")
    assert (root / "victim").read_text() == "mine"
    assert left_over(root / "od") == ["paths.csv"]
    assert left_over(root / "out") == ["summary.csv"]


# ---------------------------------------------------------------------------------------------
# A full disk


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file grows beyond a size; processes started meanwhile are bound too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 20_000, 150_000])
def test_a_full_disk_while_saving(solved: Equilibrium, tmp_path: Path, size: int) -> None:
    (tmp_path / "kept.nc").write_bytes(b"before")
    with full_after(size), pytest.raises(DataError, match=r"kept\.nc: cannot be written"):
        solved.save(tmp_path / "kept.nc")
    assert (tmp_path / "kept.nc").read_bytes() == b"before"
    assert left_over(tmp_path) == ["kept.nc"]


@pytest.mark.slow
def test_a_full_disk_for_commands(
    small: SmallCase, saved: Path, run: Callable[..., Answer]
) -> None:
    root = small.root
    (root / "net.tntp").write_text(TNTP)
    (root / "trips.tntp").write_text(TRIPS)
    (root / "runs").mkdir()
    (root / "runs" / "base_v2g.nc").write_bytes(saved.read_bytes())
    base = (small.folder, "--scenario", "base", "--out")
    for size, words in (
        (20_000, ("solve", *base, root / "o.nc")),
        (20_000, ("export", *base, root / "o.gms")),
        (900, ("assign", root / "net.tntp", root / "trips.tntp", "--out", root)),
        (5_000, ("plot", root / "runs", "--figure", "6", "--out", root)),
        (2_000, ("new", root / "mine")),
    ):
        before = left_over(root)
        with full_after(size):
            answer = run(*words)
        one_error(answer, "cannot be written")
        assert left_over(root) == before


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_does_not_stop_a_study(small: SmallCase, jobs: int) -> None:
    small.study("[study]\nscenarios = ['base', 'stress']\nv2g = [true]\n")
    out = small.root / "out"
    with full_after(50_000):
        outcomes = run_study(read_study(small.folder), out, jobs=jobs)
    assert [o.row["status"] for o in outcomes] == ["not_saved"] * 2
    assert all("solved but not saved" in o.problem for o in outcomes)
    assert left_over(out) == ["summary.csv", "summary.tex", "uniqueness.csv"]
    with full_after(100), pytest.raises(DataError, match=r"summary\.csv: cannot be written"):
        run_study(read_study(small.folder), out, jobs=jobs)
    assert left_over(out) == []


# ---------------------------------------------------------------------------------------------
# The standard output


def shell(command: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "bash",
            "-c",
            f'set -o pipefail; "$0" -m v2geq {command}',
            sys.executable,
            *map(str, words),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_outputs_nobody_reads(saved: Path) -> None:
    answer = shell('show "$1" | head -1', saved)
    assert answer.returncode in (0, 141)
    assert (answer.stdout.count("\n"), answer.stderr) == (1, "")
    answer = shell('certify "$1" | true', saved)
    assert answer.returncode in (0, 141) and answer.stderr == ""
    answer = shell('show "$1" > /dev/full', saved)
    assert answer.returncode == 2
    assert answer.stderr == "error: output: cannot be written (No space left on device)\n"
    assert shell('certify "$1" >&-', saved).returncode == 0
    assert shell('certify "$1" 2>/dev/full', saved).returncode == 0


# ---------------------------------------------------------------------------------------------
# Studies


@pytest.mark.slow
def test_two_studies_at_once(small: SmallCase, run: Callable[..., Answer]) -> None:
    small.study(
        "[study]\nscenarios = ['base']\nv2g = [true]\n[[study.variant]]\nname = 'a'\nset = {}\n"
    )
    out = small.root / "out"
    (out / "a").mkdir(parents=True)
    (out / "summary.csv").write_text("old")
    for folder in (out, out / "a"):
        with locked(folder):
            one_error(run("study", small.folder, "--out", out), f"{folder}: another study")
        assert left_over(out) == ["a", "summary.csv"]
        assert (out / "summary.csv").read_text() == "old"
    assert run("study", small.folder, "--out", out, "--jobs", "1").code == 0


@pytest.mark.slow
def test_a_smaller_study_into_an_old_folder(
    small: SmallCase, saved: Path, run: Callable[..., Answer]
) -> None:
    out = small.root / "out"
    whole = "[study]\nscenarios = ['base', 'stress']\nv2g = [false, true]\n"
    small.study(whole + "[[study.variant]]\nname = 'dear'\nset = { voll = 21.0 }\n")
    assert run("study", small.folder, "--out", out).code == 0
    (out / "summary.csv").unlink()  # as a study leaves it that is killed at its end
    # what a user keeps there: texts, other names, a saved run under the name of another one
    mine = {
        "island_v2g.nc": b"text",
        "mine.nc": saved.read_bytes(),
        "shore_v2g.nc": saved.read_bytes(),
        "base_v2g.nc.part": b"text",
    }
    for name, content in mine.items():
        (out / name).write_bytes(content)
    small.study("[study]\nscenarios = ['base']\nv2g = [true]\n")
    answer = run("study", small.folder, "--out", out, "--jobs", "1")
    assert answer.code == 0, answer.err
    assert sorted(p.name for p in out.glob("*.*")) == sorted(
        [*mine, "base_v2g.nc", "summary.csv", "summary.tex", "uniqueness.csv"]
    )
    assert all((out / name).read_bytes() == content for name, content in mine.items())
    assert len(left_over(out / "dear")) == 6
    assert f"note: {out / 'dear'} holds runs that are not of this study" in answer.err


SLEEPING = """
import os, time
from v2geq.studies import processes


def solve_run(study, run, out):
    open(os.path.join(out, f"{os.getpid()}.pid"), "w").close()
    time.sleep(300)


if __name__ != "__mp_main__":
    processes.solve_run = solve_run
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGKILL, -9, ""),
        (signal.SIGTERM, 143, "terminated; what was saved before is complete"),
        (signal.SIGINT, 130, "interrupted; what was saved before is complete"),
    ],
)
def test_a_killed_study_leaves_no_processes(
    small: SmallCase, number: int, code: int, said: str
) -> None:
    (small.root / "sleeping.py").write_text(SLEEPING)
    small.study("[study]\nscenarios = ['base', 'stress']\nv2g = [true]\n")
    out = small.root / "out"
    with subprocess.Popen(
        [
            *(sys.executable, "-c", "import sleeping; from v2geq.cli import main; main()"),
            *("study", str(small.folder), "--out", str(out), "--jobs", "2"),
        ],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{small.root}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            soon(lambda: any(out.glob("*.pid")), 60)
            workers = children(process.pid)
            process.send_signal(number)
            process.wait(20)
        finally:
            process.kill()
        assert process.stderr is not None
        # read only once no worker holds it open
        soon(lambda: not any(map(alive, workers)), 20)
        told = process.stderr.read()
    assert workers
    assert process.returncode == code
    assert "Traceback" not in told
    assert said in told
    # nobody holds the folder any more
    with locked(out):
        pass


def soon(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
