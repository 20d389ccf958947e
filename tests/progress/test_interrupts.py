"""An interrupt ends long work at once, and long work says something all the time."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import chicago
import numpy as np
import pytest

import v2geq as vg
from v2geq.data.edit.case import load_case
from v2geq.interruptible import LONG, elsewhere, interruptible
from v2geq.solvers.protocol import Iteration, Options

CASE = "ieee123_sioux_falls"
ENDED = "interrupted; what was saved before is complete"


@pytest.fixture(autouse=True)
def interrupts_are_heard() -> Iterator[None]:
    """Background jobs of a shell ignore interrupts, and what they start does so too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, signal.raise_signal, [signal.SIGINT])
    timer.daemon = True
    timer.start()
    return timer


# -- long calls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: interruptible(LONG + 1, lambda: time.sleep(30.0)),
        lambda: elsewhere(LONG + 1, time.sleep, 30.0),
    ],
)
def test_long_calls_are_left_at_once(call: Callable[[], None]) -> None:
    begin = time.monotonic()
    interrupt_after(0.5)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert time.monotonic() - begin < 2.5


@pytest.mark.parametrize("entries", [0, LONG + 1])
def test_calls_return_and_raise_as_if_made_here(entries: int) -> None:
    assert interruptible(entries, lambda: 1.5) == 1.5
    assert elsewhere(entries, np.sqrt, 4.0) == 2.0
    with pytest.raises(ZeroDivisionError):
        interruptible(entries, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        elsewhere(entries, divmod, 1, 0)


def test_calls_go_on_here_where_no_process_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("/no/such/python", "/bin/false"):
        monkeypatch.setattr("sys.executable", name)
        assert elsewhere(LONG + 1, np.sqrt, 4.0) == 2.0


def test_calls_outside_the_main_thread_stay_there() -> None:
    seen: list[int] = []

    def work() -> None:
        interruptible(LONG + 1, lambda: seen.append(threading.get_ident()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [thread.ident]


# -- one solve -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "semismooth", "extragradient"])
def test_an_interrupt_in_the_solver(method: str) -> None:
    def press(entry: Iteration) -> None:
        if entry.number == 2:
            signal.raise_signal(signal.SIGINT)

    case, options = load_case(CASE), Options(callback=press)
    with pytest.raises(KeyboardInterrupt):
        vg.solve(case, "base", method=method, options=options)
    eq = vg.solve(case, "base", method=method, options=options, check=False)
    assert eq.status == "interrupted"
    assert len(eq.log) == 3
    assert eq.z.size == eq.coupled.mcp.n
    assert not eq.certificate.holds


@pytest.mark.parametrize("phase", ["setting up", "first paths", "round 1", "round 1, pricing"])
def test_an_interrupt_in_any_phase(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from v2geq.progress import Reporter

    def begin(self: Reporter, text: str, what: str = "") -> None:
        if text.startswith(phase):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Reporter, "phase", begin)
    with pytest.raises(KeyboardInterrupt):
        vg.solve(load_case(CASE), "base")


# -- the command line ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a command showed on a terminal, when, and how it ended."""

    code: int
    parts: list[tuple[float, str]]
    sent: float
    end: float

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.parts)

    @property
    def longest_silence(self) -> float:
        times = [0.0, *(at for at, _ in self.parts)]
        return max(b - a for a, b in pairwise(times))


def watch(words: list[str], stop: Callable[[float, str], bool], limit: float = 900.0) -> Seen:
    """Run the command line on a terminal; an interrupt comes once `stop(seconds, text)`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    begin, sent, parts = time.monotonic(), np.inf, []
    with subprocess.Popen(
        [sys.executable, "-m", "v2geq", *words],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            while (now := time.monotonic() - begin) < limit:
                if sent == np.inf and stop(now, parts[-1][1] if parts else ""):
                    process.send_signal(signal.SIGINT)
                    sent = now
                if not select.select([ours], [], [], 0.05)[0]:
                    continue
                try:
                    part = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                parts.append((time.monotonic() - begin, part.decode()))
            process.wait(20)
        finally:
            process.kill()
            os.close(ours)
    return Seen(process.returncode, parts, sent, time.monotonic() - begin)


def test_a_command_ends_with_one_line() -> None:
    seen = watch(["solve", CASE, "--scenario", "base"], lambda now, _: now > 1.0)
    assert seen.code == 130
    assert seen.end - seen.sent < 2.0
    assert seen.text.split("\r")[-2] == ENDED
    assert "Traceback" not in seen.text


@pytest.mark.slow
def test_compiling_is_shown_and_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    seen = watch(["solve", CASE, "--scenario", "base"], lambda now, _: now > 6.0)
    assert "first paths, compiling inner loops" in seen.text
    assert seen.code == 130
    assert seen.end - seen.sent < 2.0
    assert seen.longest_silence < 2.5


needs_raw = pytest.mark.skipif(
    not chicago.RAW.is_dir(), reason="the upstream raw files are not part of the repository"
)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chicago.write_chicago(tmp_path_factory.mktemp("large") / "chicago")


@needs_raw
@pytest.mark.slow
@pytest.mark.parametrize(
    "phase",
    [
        "reading the case",
        "iteration 0,",  # the first factorisation, which orders the entries
        "iteration 3,",
    ],
)
def test_a_large_market_ends_at_once(large: Path, phase: str) -> None:
    since: list[float] = []

    def stop(now: float, text: str) -> bool:
        since.extend([now] if phase in text and not since else [])
        return bool(since) and now > since[0] + 1.0

    seen = watch(["solve", str(large), "--scenario", "base"], stop)
    assert (seen.code, seen.text.split("\r")[-2]) == (130, ENDED)
    assert seen.end - seen.sent < 2.0
    assert seen.longest_silence < 2.5


@needs_raw
@pytest.mark.slow
def test_a_large_market_is_never_silent(large: Path) -> None:
    """Through all that is done before the first round's solution, and into that."""
    seen = watch(
        ["solve", str(large), "--scenario", "base"], lambda _, text: "iteration 8," in text
    )
    assert seen.code == 130
    assert seen.end - seen.sent < 2.0
    assert seen.longest_silence < 5.0
    assert {len(state) <= 79 for state in seen.text.split("\r")} == {True}
    for phase in ("reading the case", "first paths", "building", "round 1"):
        assert phase in seen.text
