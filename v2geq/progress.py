"""What long work says of itself while it runs: one line on a terminal, or below a notebook's cell.

The line belongs to whoever opens it first; work inside that work adds to the same line. It appears
after a while only, so that short work says nothing, and is gone when the work is done.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from importlib import import_module
from math import log10
from typing import Any, Protocol, TextIO

from v2geq.errors import DataError

Told = Callable[[str], None] | bool | None
"""Whom to tell: a function of a line of text; False for nobody; else a terminal or a notebook."""

DELAY = 1.5
"""Seconds before the line appears."""
INTERVAL = 0.5
"""Seconds between two states of the line."""
REMEMBERED = 8
"""Iterations whose trend tells how long it will take."""
LONGEST_ESTIMATE = 3600.0


class Reporter:
    """Where long work is: its phase, and what it has come to in it."""

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell
        self._phase, self._what, self._detail = "", "", ""
        self._begin = time.monotonic()
        self._ends: float | None = None
        self._trend: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    def say(self, text: str) -> None:
        """Give a line of text to whoever asked for lines."""
        if self._tell is not None:
            self._tell(text)

    def phase(self, text: str, what: str = "") -> None:
        """Begin a phase; an estimate is of its end, `what` it is about."""
        self._phase, self._what, self._detail, self._ends = text, what, "", None
        self._trend.clear()

    def detail(self, text: str) -> None:
        """Say what the phase is at."""
        self._detail = text

    def iteration(self, number: int, what: str, value: float, target: float) -> None:
        """Note an iteration whose `value` falls to `target`."""
        self._detail = f"iteration {number}, {what} {value:.1e}"
        now = time.monotonic()
        self._ends = None
        if not 0.0 < value < float("inf"):
            return
        self._trend.append((now, log10(value)))
        (begin, first), (_, last) = self._trend[0], self._trend[-1]
        # a few iterations say nothing of the rest
        if target > 0.0 and 2 * len(self._trend) > REMEMBERED and last < first:
            self._ends = now + max(last - log10(target), 0.0) * (now - begin) / (first - last)

    def count(self, what: str, done: int, total: int) -> None:
        """Note that so many of equal parts are done since the first time this was said."""
        now = time.monotonic()
        self._begin = now if done == 0 else self._begin
        self._detail = f"{done} of {total} {what} done"
        self._ends = now + (now - self._begin) * (total - done) / done if done else None

    @property
    def text(self) -> str:
        """Phase, about how long it takes where that is known, and how far it is."""
        left = "" if self._ends is None else _about(self._ends - time.monotonic())
        return ", ".join(part for part in (self._phase + left, self._what, self._detail) if part)


UNSEEN = Reporter()
"""A reporter nobody looks at."""


def _about(seconds: float) -> str:
    """Words for an estimate; none where it is over, or says nothing."""
    if not 1.0 <= seconds <= LONGEST_ESTIMATE:
        return ""
    return f" (about {clock(seconds)} left)"


def clock(seconds: float) -> str:
    """Minutes and seconds: 1:05."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


# -- the line --------------------------------------------------------------------------------------


class Surface(Protocol):
    """Where a line can be shown, changed and taken away again."""

    def show(self, text: str) -> None:
        """Show the text in place of the last."""

    def clear(self) -> None:
        """Leave nothing behind."""


class Terminal:
    """The last line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = 0

    def show(self, text: str) -> None:
        """Write over the last text; never more than a line."""
        room = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= room else text[: room - 3] + "..."
        self._write(f"\r{text}{' ' * (self.shown - len(text))}")
        self.shown = len(text)

    def clear(self) -> None:
        """Blank the line, with what an interrupt may have written behind it."""
        if self.shown:
            self._write(f"\r{' ' * (self.shown + 2)}\r")
            self.shown = 0

    def _write(self, text: str) -> None:
        # the work goes on where nobody can be told of it
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


class Notebook:
    """A line below a notebook's cell."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, text: str) -> None:
        """Show the text as plain output, which changes in place."""
        if self.handle is None:
            show = import_module("IPython.display").display
            self.handle = show({"text/plain": text}, raw=True, display_id=True)
        else:
            self.handle.update({"text/plain": text}, raw=True)

    def clear(self) -> None:
        """Leave an empty output."""
        if self.handle is not None:
            self.handle.update({"text/plain": "", "text/html": ""}, raw=True)
            self.handle = None


class Line:
    """The line of the work under way, shown again and again by a thread of its own."""

    def __init__(self, surface: Surface, first: Reporter) -> None:
        self.surface = surface
        self.reporters = [first]
        self._begin = time.monotonic()
        self._lock = threading.RLock()
        self._done = threading.Event()
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._repeat,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """Time since the beginning and what all who work say, outermost first."""
        said = ": ".join(text for r in list(self.reporters) if (text := r.text))
        return f"{clock(time.monotonic() - self._begin)}  {said}"

    def _repeat(self) -> None:
        wait = DELAY
        while not self._done.wait(wait):
            with self._lock:
                if not self._done.is_set():
                    self.surface.show(self.text)
            wait = INTERVAL

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Take the line away while other text is written; it comes back by itself."""
        with self._lock:
            self.surface.clear()
            yield

    def end(self) -> None:
        """Take the line away for good."""
        self._done.set()
        with self._lock:
            self.surface.clear()


_line: Line | None = None
"""The line of this process: there is one terminal."""


@contextmanager
def shown(told: Told = None, phase: str = "") -> Iterator[Reporter]:
    """A reporter of the work inside the block.

    Parameters
    ----------
    told
        A function gets lines of text, and no line of its own is shown; False silences. Otherwise
        the work is shown where somebody sees it: on the standard error if that is a terminal, or
        in a notebook.
    phase
        What is done first.

    Raises
    ------
    DataError
        If `told` is none of these.
    """
    global _line
    if not (told is None or isinstance(told, bool) or callable(told)):
        what = f"progress = {told!r}"
        raise DataError(what, advice="give a function of a line of text, True, False or None")
    reporter = Reporter(told if callable(told) else None)
    reporter.phase(phase)
    line = None if told is False else _line
    own = None
    if line is None and told in (None, True) and (surface := visible()) is not None:
        own = _line = Line(surface, reporter)
    elif line is not None:
        line.reporters.append(reporter)
    try:
        yield reporter
    finally:
        if own is not None:
            _line = None
            own.end()
        elif line is not None:
            line.reporters.remove(reporter)


def visible() -> Surface | None:
    """Where somebody sees a line: in a notebook, on a terminal; None where nobody does."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        return None  # one of several at work: the main one tells
    kernel = sys.modules.get("IPython")
    if kernel is not None and hasattr(kernel.get_ipython(), "kernel"):
        return Notebook()
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return Terminal(sys.stderr)
    return None


@contextmanager
def beside() -> Iterator[None]:
    """Write other text in the block: the line makes room for it."""
    with nullcontext() if _line is None else _line.lifted():
        yield


def remark(text: str) -> None:
    """Say what keeps the work under way in its phase."""
    if _line is not None:
        _line.reporters[-1].detail(text)
