"""The runs of a study in processes beside each other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection

from v2geq.kernels.announcement import Once, share
from v2geq.show import log_to_stderr
from v2geq.studies.outcome import Outcome, failed, solve_run
from v2geq.studies.plan import Run, Study

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def outcomes(study: Study, out: str, jobs: int) -> Iterator[Outcome]:
    """What becomes of the runs, as they end, in `jobs` processes."""
    if jobs == 1:
        for run in study.runs:
            yield solve_run(study, run, out)
        return
    lost: list[Run] = []
    with _one_thread(), _pool(jobs) as pool:
        futures: dict[Future[Outcome], Run] = {}
        for position, run in enumerate(study.runs):
            if position == 1:
                # the first run compiles what is not in the cache yet, and the others help it;
                # whatever one is at, nobody else compiles
                with _no_interrupts():
                    for _ in range(jobs - 1):
                        pool.submit(_get_ready)
            try:
                with _no_interrupts():
                    future = pool.submit(solve_run, study, run, out)
                futures[future] = run
            except BrokenProcessPool:
                lost.append(run)
        for future in as_completed(futures):
            error, run = future.exception(), futures[future]
            if error is None:
                yield future.result()
            elif isinstance(error, BrokenProcessPool):
                lost.append(run)
            else:  # a mistake of the program: the other runs go on, and this one says so
                yield failed(
                    run,
                    "crashed",
                    f"internal error, {type(error).__name__}: {error}; please report it",
                )
    # a process that dies takes the runs of all others with it: alone, each shows its own fate
    for run in [r for r in study.runs if r in lost]:
        with _one_thread(), _pool(1) as pool:
            try:
                with _no_interrupts():
                    future = pool.submit(solve_run, study, run, out)
                yield future.result()
            except BrokenProcessPool:
                yield failed(
                    run,
                    "crashed",
                    "its process died; the memory may be too small (try --jobs 1), or a script "
                    "calls run_study outside of: if __name__ == '__main__'",
                )


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    talks = logging.getLogger("v2geq").isEnabledFor(logging.INFO)
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start, initargs=(talks, theirs, context.Lock())
    )
    try:
        yield pool
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


def _start(talks: bool, lifeline: Connection, turn: Once) -> None:
    """Leave interrupts to the main process; a worker's log goes where the main one's does.

    `lifeline` is a pipe to which nothing is written: it ends when the main process closes it or is
    no more, and the worker with it. Only one of those who share `turn` says that it compiles.
    """
    share(turn)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if talks:
        log_to_stderr()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold interrupts back; processes started meanwhile never get any."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _get_ready() -> None:
    """Import what solving takes, and load or compile the loops that a run comes to last."""
    from v2geq import equilibrium  # noqa: F401
    from v2geq.trips.rehearsal import rehearse

    rehearse()


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of linear algebra per new process, or they get in each other's way."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
