"""A small case that solves in a moment, the command line as a function, and saved equilibria."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from door import Answer, SmallCase

from v2geq import cli
from v2geq.data.edit.case import Case
from v2geq.equilibrium import Equilibrium, solve


@pytest.fixture
def small(tmp_path: Path) -> SmallCase:
    return SmallCase(tmp_path)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """The command line inside this process: exit code and what is written where.

    Whatever escapes `main` other than an exit is a traceback for users and fails the test.
    """

    def call(*words: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["v2geq", *map(str, words)])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def solved_case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return SmallCase(tmp_path_factory.mktemp("solved")).load()


@pytest.fixture(scope="session")
def solved(solved_case: Case) -> Equilibrium:
    return solve(solved_case, "base", v2g=True, parameters={"paths.method": "exact", "voll": 19.0})


@pytest.fixture(scope="session")
def saved(solved: Equilibrium, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "base.nc"
    solved.save(path)
    return path
