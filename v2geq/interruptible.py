"""Long calls of compiled libraries, which an interrupt need not wait for."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

LONG = 100_000
"""Stored entries of a matrix from which an interrupt cannot wait for the end of work on it."""
INTERVAL = 0.2
"""Seconds between two looks for an interrupt where waiting for a thread cannot be interrupted."""


def interruptible(entries: int, work: Callable[[], T]) -> T:
    """What `work` returns; where its matrix has many entries, done in a thread of its own.

    Interrupts reach the main thread between two steps of Python only. While it waits here it takes
    them at once; the call then runs to its end behind it, and what it returns is dropped. Nothing
    that `work` changes may be used after that.
    """
    if entries <= LONG or threading.current_thread() is not threading.main_thread():
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(INTERVAL)
    if errors:
        raise errors[0]
    return results[0]


def elsewhere(entries: int, function: Callable[..., T], *args: Any) -> T:
    """What the function returns; where its matrix has many entries, from a process of its own.

    For calls that hold the interpreter's lock for seconds, so that a thread would not help: nothing
    else of this process runs meanwhile. An interrupt ends the process. The function is one of a
    module, and all can be pickled.
    """
    if entries <= LONG:
        return function(*args)
    here = os.pathsep.join(sys.path)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", f"import {__name__} as here; here.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": here},
            start_new_session=True,
        ) as process:
            try:
                answer = _answer(process, pickle.dumps((function, args)))
            except BaseException:
                process.kill()
                raise
    except OSError:
        answer = b""  # no more processes, or no interpreter to start
    if not answer:
        return function(*args)
    done, result = pickle.loads(answer)
    if not done:
        raise result
    return cast(T, result)


def _answer(process: subprocess.Popen[bytes], question: bytes | None) -> bytes:
    while True:
        try:
            return process.communicate(question, INTERVAL)[0]
        except subprocess.TimeoutExpired:
            question = None  # called again it goes on where it was


def serve() -> None:
    """Answer the call on the standard input; the interrupt is left to who asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    function, args = pickle.load(sys.stdin.buffer)
    try:
        answer = True, function(*args)
    except Exception as error:
        answer = False, error
    with open(out, "wb") as file:
        pickle.dump(answer, file)
