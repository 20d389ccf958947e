"""What long work says of itself: where, when, what, and nothing where nobody looks."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import v2geq as vg
from v2geq import progress
from v2geq.analysis.validation import braess
from v2geq.data.edit.case import load_case
from v2geq.errors import DataError
from v2geq.progress import UNSEEN, Line, Reporter, Terminal, beside, clock, remark, shown
from v2geq.show import log_to_stderr
from v2geq.solvers import METHODS, Options, solve_mcp

CASE = "ieee123_sioux_falls"


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True

    @property
    def states(self) -> list[str]:
        """Texts of the line, one after the other."""
        return [text.rstrip() for text in self.getvalue().split("\r") if text.strip()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns; the line appears at once and changes often."""
    screen = Screen()
    monkeypatch.setattr(progress, "visible", lambda: Terminal(screen))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "DELAY", 0.02)
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    return screen


def wait_for(screen: Screen, text: str) -> None:
    end = time.monotonic() + 10.0
    while text not in screen.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    assert text in screen.getvalue()


def test_line_follows_phases_and_goes(screen: Screen) -> None:
    with shown(None, "reading") as show:
        wait_for(screen, "0:00  reading")
        show.phase("round 1", "1,000 paths")
        show.iteration(3, "residual", 1e-3, 1e-8)
        wait_for(screen, "0:00  round 1, 1,000 paths, iteration 3, residual 1.0e-03")
    # blank, and back at its beginning
    *_, blank, end = screen.getvalue().split("\r")
    assert end == "" and blank.strip() == ""
    assert len(blank) >= max(map(len, screen.states))
    said = screen.getvalue()
    time.sleep(0.1)
    assert screen.getvalue() == said


def test_short_work_says_nothing(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 5.0)
    road, trips = braess()
    vg.assign(road, trips)
    assert screen.getvalue() == ""


def test_every_state_fits_the_line(screen: Screen) -> None:
    with shown(None, "a long phase " * 10):
        wait_for(screen, "...")
    assert max(map(len, screen.states)) == 79
    assert "\n" not in screen.getvalue()


def test_usual_states_fit_80_columns() -> None:
    show = Reporter()
    show.phase("round 12", "96,161 paths")
    show._trend.extend((time.monotonic() - 80.0 + 10.0 * k, 2.0 - k / 4) for k in range(8))
    show.iteration(18, "residual", 1.2e-3, 1e-8)
    assert "about" in show.text
    assert len(f"12:34  {show.text}") < 80


def test_line_says_the_same_again_with_the_time(screen: Screen) -> None:
    # a phase that takes long shows that it is under way
    with shown(None, "factorising"):
        time.sleep(1.3)
    assert {s[:4] for s in screen.states} >= {"0:00", "0:01"}
    assert len(screen.states) > 10


def test_inner_work_joins_the_line(screen: Screen) -> None:
    with shown(None, "study"), shown(None, "round 1") as inner:
        wait_for(screen, "study: round 1")
        with shown(print) as lines:
            lines.phase("assigning")
            wait_for(screen, "study: round 1: assigning")
        with shown(False, "silent"):
            inner.phase("round 2")
            wait_for(screen, "study: round 2")
        assert "silent" not in screen.getvalue()


def test_other_text_gets_a_line_of_its_own(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("v2geq")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "level", log.level)
    monkeypatch.setattr("sys.stderr", screen)
    log_to_stderr()
    with shown(None, "solving"):
        wait_for(screen, "solving")
        log.info("a message")
        with beside():
            print("another", file=sys.stderr)
    for text in ("a message", "another"):
        assert re.search(f"[\r\n]{text}\n", screen.getvalue())


def test_compiling_is_told_beside_the_phase(screen: Screen) -> None:
    remark("nobody is at work")
    with shown(None, "first paths"):
        remark("compiling inner loops")
        wait_for(screen, "first paths, compiling inner loops")
    assert "nobody" not in screen.getvalue()


def test_line_goes_after_an_error_or_an_interrupt(screen: Screen) -> None:
    def work(error: type[BaseException]) -> None:
        with shown(None, "solving"):
            wait_for(screen, "solving")
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            work(error)
        assert progress._line is None
        assert screen.getvalue().endswith(" \r")


@pytest.mark.parametrize("told", [False, print])
def test_no_line_where_none_is_wanted(screen: Screen, told: Any) -> None:
    with shown(told, "solving"):
        time.sleep(0.1)
    assert screen.getvalue() == ""


def test_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Screen())
    assert isinstance(progress.visible(), Terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert progress.visible() is None
    monkeypatch.setenv("TERM", "xterm")
    for stream in (None, io.StringIO()):
        monkeypatch.setattr("sys.stderr", stream)
        assert progress.visible() is None


def test_a_closed_terminal_is_no_error(screen: Screen) -> None:
    with shown(None, "solving"):
        wait_for(screen, "solving")
        screen.close()
        time.sleep(0.1)


# -- estimates -------------------------------------------------------------------------------------


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock's time, to be set."""
    time = [100.0]
    monkeypatch.setattr("v2geq.progress.time.monotonic", lambda: time[0])
    return time


def test_estimate_follows_the_trend(now: list[float]) -> None:
    show = Reporter()
    show.phase("round 1")
    for k in range(7):  # a tenth every ten seconds, to 1e-8 from 1e-6
        show.iteration(k, "residual", 10.0**-k, 1e-8)
        assert ("about" in show.text) == (k >= 4)
        now[0] += 10.0
    now[0] -= 10.0
    assert show.text == "round 1 (about 0:20 left), iteration 6, residual 1.0e-06"
    now[0] += 12.0
    assert "(about 0:08 left)" in show.text
    # past what was estimated there is nothing to say
    now[0] += 12.0
    assert show.text == "round 1, iteration 6, residual 1.0e-06"
    show.phase("round 2")
    assert show.text == "round 2"


@pytest.mark.parametrize("value", [1.0, np.nan, np.inf, 0.0])
def test_no_estimate_without_a_trend(now: list[float], value: float) -> None:
    show = Reporter()
    for k in range(20):
        show.iteration(k, "residual", value, 1e-8)
        now[0] += 10.0
    assert "about" not in show.text


def test_estimate_of_equal_parts(now: list[float]) -> None:
    show = Reporter()
    show.phase("study")
    show.count("runs", 0, 12)
    assert show.text == "study, 0 of 12 runs done"
    now[0] += 30.0
    show.count("runs", 3, 12)
    assert show.text == "study (about 1:30 left), 3 of 12 runs done"


def test_clock() -> None:
    assert [clock(s) for s in (0.0, 59.9, 61.0, 3600.0)] == ["0:00", "0:59", "1:01", "60:00"]


# -- who is told -----------------------------------------------------------------------------------


def test_solving_is_shown_from_the_first_phase_on(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def phase(self: Reporter, text: str, what: str = "") -> None:
        seen.append(text)

    monkeypatch.setattr(Reporter, "phase", phase)
    eq = vg.solve(load_case(CASE), "base", v2g=False)
    assert eq.certificate.holds and len(eq.uniqueness)
    _ = eq.path_flows
    order = [
        *("setting up", "first paths", "first paths with stops", "round 1", "certifying"),
        *("which prices are unique", "ranges of path flows"),
    ]
    assert [text for text in dict.fromkeys(seen) if text in order] == order
    assert "round 1, pricing paths" in seen


def test_a_function_gets_a_line_for_every_round(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    case = load_case("ieee123_sioux_falls_reference")
    eq = vg.solve(case, "base", v2g=False, progress=lines.append)
    assert len(lines) == eq.rounds
    assert lines[-1].startswith(f"round {eq.rounds}: solved, residual ")
    assert capfd.readouterr().err == ""


def test_whom_to_tell_is_a_function_or_a_switch() -> None:
    with pytest.raises(DataError, match="progress = 'x'; give a function"):
        vg.solve(CASE, "base", v2g=False, progress="x")


def test_results_keep_silent_like_the_solve(screen: Screen, monkeypatch: Any) -> None:
    case = load_case(CASE)
    for told in (False, [].append):
        eq = vg.solve(case, "base", v2g=False, progress=told)
        monkeypatch.setattr(progress, "DELAY", 0.0)
        _ = eq.certificate, eq.uniqueness, eq.path_flows, eq.data
        assert screen.getvalue() == ""
    eq = vg.solve(case, "base", v2g=False)
    _ = eq.path_flows
    assert "ranges of path flows" in screen.getvalue()


@pytest.mark.parametrize("method", [m for m in METHODS if m != "path"])
def test_every_solver_tells_its_iterations(method: str) -> None:
    told: list[int] = []
    options = Options(callback=lambda entry: told.append(entry.number))
    result = solve_mcp(
        lambda z: 2.0 * z - np.array([1.0, -1.0]),
        lambda z: 2.0 * np.eye(2),
        np.zeros(2),
        np.full(2, np.inf),
        method=method,
        options=options,
    )
    assert result.status.ok and told == [entry.number for entry in result.log]


def test_the_users_callback_is_called_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[float] = []
    options = Options(callback=lambda entry: told.append(entry.residual))
    case = load_case("ieee123_sioux_falls_reference")
    eq = vg.solve(case, "base", v2g=False, options=options)
    assert told == [entry.residual for entry in eq.log]


def test_unseen_work_leaves_no_thread() -> None:
    with shown(None, "solving"):
        assert progress._line is None
    assert UNSEEN.text is not None


# -- processes and notebooks -----------------------------------------------------------------------

WORK = """
    import sys, time
    from v2geq import progress
    progress.DELAY = progress.INTERVAL = 0.05
    def work():
        with progress.shown(None, "at work") as show:
            time.sleep(0.4)
    if __name__ == "__main__":
"""


def in_terminal(words: list[str], after: Callable[[Any], None] | None = None) -> tuple[int, str]:
    """Exit code of a process and what its standard error shows on a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    if after is not None:
        after(process)
    said = b""
    with suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    return process.wait(), said.decode()


def script(folder: Path, text: str) -> list[str]:
    file = folder / "work.py"
    file.write_text(textwrap.dedent(WORK) + textwrap.indent(textwrap.dedent(text), "    "))
    return [sys.executable, str(file)]


def test_a_terminal_shows_the_line_and_a_pipe_nothing(tmp_path: Path) -> None:
    words = script(tmp_path, "work()\n")
    code, said = in_terminal(words)
    assert code == 0
    assert "\r0:00  at work" in said
    assert said.endswith(" \r")
    piped = subprocess.run(words, capture_output=True, text=True, check=True)
    assert piped.stdout == piped.stderr == ""


def test_processes_beside_each_other_leave_the_line_to_the_main_one(tmp_path: Path) -> None:
    code, said = in_terminal(
        script(
            tmp_path,
            """
            import multiprocessing
            p = multiprocessing.get_context("spawn").Process(target=work)
            p.start(); p.join()
            """,
        )
    )
    assert (code, said) == (0, "")


def test_a_notebook_shows_the_line_below_the_cell(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook()
    text = textwrap.dedent(WORK).replace('if __name__ == "__main__":', "")
    book.cells = [
        nbformat.v4.new_code_cell(text + "\nwork()"),
        nbformat.v4.new_code_cell("progress.DELAY = 5.0\nwork()"),
    ]
    seen: list[str] = []

    class Client(NotebookClient):  # type: ignore[misc]
        def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen.append(message["content"]["data"]["text/plain"])
            assert message["msg_type"] != "stream", message
            return super().process_message(message, cell, cell_index)

    Client(book, timeout=60, kernel_name="python3").execute(cwd=str(tmp_path))
    assert "0:00  at work" in seen
    assert seen[-1] == ""
    long, short = (cell.outputs for cell in book.cells)
    assert [output["data"]["text/plain"] for output in long] == [""]
    assert short == []


def test_imports_stay_light() -> None:
    text = (
        "import sys, v2geq, v2geq.progress, v2geq.cli\n"
        "print([m for m in ('IPython', 'numpy', 'multiprocessing') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer


def test_line_can_be_lifted_inside_itself(screen: Screen) -> None:
    line = Line(Terminal(screen), UNSEEN)
    with line.lifted(), line.lifted():
        pass
    line.end()
