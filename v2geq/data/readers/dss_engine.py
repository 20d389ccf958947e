"""The OpenDSS engine: scripts compiled, a snapshot solved until it has truly converged."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from v2geq.errors import ConvergenceError, DataError, did_you_mean, one_line, quoted
from v2geq.files import as_path

ITERATIONS, CONTROL_ITERATIONS = 500, 200
"""The engine's own 15 iterations return figures that have not converged, without an error."""

_NAMED = re.compile(
    r"(?im)(?:^\s*(?:redirect|compile|buscoords|latlongcoords)\s+|file\s*=\s*)"
    r"[\"'(\[{]?([^\s\"')\]}!,]+)"
)
_SCRIPT = frozenset({".dss", ".txt", ".inc"})
_PLACE = re.compile(r'\[file: "(?P<file>[^"]*)", line: (?P<line>\d+)\]')


@contextmanager
def dss_circuit(master: str | Path, opened: Iterable[str] = ()) -> Iterator[Any]:
    """A compiled script, its snapshot solved with controls acting; the engine's own object.

    Files are found whatever the case of their letters, and the working directory stays.

    Parameters
    ----------
    opened
        Lines to open before the solution.

    Raises
    ------
    DataError
        No engine, a file that is missing or does not compile, a line that is not there.
    ConvergenceError
        The engine's solution does not converge.
    """
    engine, failure = _engine()
    path = as_path(master, "a file").absolute()
    if path.is_dir():
        raise DataError("this is a folder", where=str(path), advice="name the script in it")
    if not path.is_file():
        near = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
        raise DataError(
            "file not found",
            where=str(path),
            advice=did_you_mean(path.name, near) if near else "check the path",
        )
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="v2geq-dss-") as folder:
        start = _linked(path, Path(folder))

        def told(error: Exception) -> DataError:
            return _told(error, str(path), folder if start != path else "")

        try:
            engine.ClearAll()
            engine(f'compile "{start}"')
            if not engine.NumCircuits:
                raise DataError(
                    "the script makes no circuit", where=str(path), advice="write New Circuit.NAME"
                )
            for name in opened:
                known = engine.ActiveCircuit.Lines.AllNames
                if str(name).casefold() not in known:
                    raise DataError(
                        f"there is no line {quoted(name)} to open",
                        where=str(path),
                        advice=did_you_mean(str(name), known),
                    )
                engine(f"open line.{name} term=1")
            _solve(engine, path, told)
            yield engine
        except failure as error:
            raise told(error) from None
        finally:
            os.chdir(here)
            engine.ClearAll()


@contextmanager
def dss_commands(commands: Iterable[str], what: str) -> Iterator[Any]:
    """A circuit made by commands and solved as it is, without controls; the engine's own object.

    Parameters
    ----------
    what
        Words for errors.

    Raises
    ------
    DataError
        No engine, or a command it refuses.
    ConvergenceError
        The engine's solution does not converge.
    """
    engine, failure = _engine()
    try:
        engine.ClearAll()
        for command in commands:
            engine(command)
        dss_solve(engine, what)
        yield engine
    except failure as error:
        raise _told(error, what, "") from None
    finally:
        engine.ClearAll()


def dss_version(engine: Any) -> str:
    """Version of the engine."""
    found = re.search(r"version (\S+)", str(engine.Version))
    return found[1] if found else ""


def dss_solve(engine: Any, what: str, *, controls: bool = False) -> None:
    """Solve a circuit once more, its controls acting or not.

    Raises
    ------
    ConvergenceError
        The engine's solution does not converge.
    """
    engine(f"set controlmode={'static' if controls else 'off'}")
    _solve(engine, what, lambda error: _told(error, what, ""))


def _engine() -> tuple[Any, type[Exception]]:
    """An engine of its own, and what it raises."""
    try:
        from dss import DSSException, dss
    except ImportError:
        raise DataError(
            "the OpenDSS engine (dss-python) is not installed",
            advice="pip install 'v2geq[power]'",
        ) from None
    engine = dss.NewContext()
    engine.AllowForms = False
    return engine, DSSException


def _solve(engine: Any, path: Path | str, told: Any) -> None:
    solution = engine.ActiveCircuit.Solution
    solution.MaxIterations = max(solution.MaxIterations, ITERATIONS)
    solution.MaxControlIterations = max(solution.MaxControlIterations, CONTROL_ITERATIONS)
    solution.Tolerance = min(solution.Tolerance, 1e-7)
    try:
        solution.SolveSnap()
    except Exception as error:
        if solution.ControlIterations < solution.MaxControlIterations and solution.Converged:
            raise
        raise ConvergenceError(
            f"{path}: the controls of regulators and capacitors do not settle within "
            f"{solution.MaxControlIterations} rounds ({told(error).problem})"
        ) from None
    if not solution.Converged:
        raise ConvergenceError(
            f"{path}: the OpenDSS engine does not converge within {solution.MaxIterations} "
            "iterations; loads may be above what the feeder can carry, or a voltage base wrong"
        )


def _told(error: Exception, master: str, folder: str) -> DataError:
    """The engine's message with file and line in the reader's own words."""
    text = str(error.args[-1] if error.args else error).replace(folder or "\0", "")
    place = _PLACE.search(text)
    where = f"{place['file']}, line {place['line']}" if place else master
    message = one_line(" ".join(_PLACE.sub("", text).split()).strip("."))
    return DataError(f"OpenDSS: {message}", where=where)


def _linked(master: Path, folder: Path) -> Path:
    """The master script, or a link to it beside links in the spelling its scripts use."""
    found: dict[Path, Path] = {}
    _follow(master, master, found, set())
    if all(os.path.exists(asked) and asked.name in os.listdir(asked.parent) for asked in found):
        return master
    for asked, real in {**found, master: master}.items():
        link = folder / asked.relative_to(asked.anchor)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(link):
            link.symlink_to(real)
    return folder / master.relative_to(master.anchor)


def _follow(script: Path, real: Path, found: dict[Path, Path], seen: set[Path]) -> None:
    """Files a script names, as it spells them, and where they are."""
    if real in seen:
        return
    seen.add(real)
    text = real.read_bytes().decode("utf-8", errors="replace")
    for name in dict.fromkeys(_NAMED.findall(text)):
        asked = Path(os.path.normpath(script.parent / name.replace("\\", "/")))
        there = _regardless_of_case(asked)
        if there is None:
            continue
        found[asked] = there
        if there.suffix.lower() in _SCRIPT:
            _follow(asked, there, found, seen)


def _regardless_of_case(path: Path) -> Path | None:
    """The file of a path, letters of the other case allowed; the exact spelling first."""
    if path.is_file():
        return path
    at = Path(path.anchor)
    for piece in path.parts[1:]:
        if (at / piece).exists():
            at = at / piece
            continue
        names = sorted(os.listdir(at)) if at.is_dir() else []
        same = [n for n in names if n.casefold() == piece.casefold()]
        if not same:
            return None
        at = at / same[0]
    return at if at.is_file() else None
