"""The command line: studies and single solves, saved results, traffic assignment, cases.

Results go to the standard output, progress and errors to the standard error. Exit codes: 0 done and
certified; 1 a run did not converge or a certificate fails; 2 bad input.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import warnings
from typing import Annotated, Any

import typer

from v2geq import __version__
from v2geq.cli import cases, equations, feeders, markets, roads, studies
from v2geq.cli.printing import say
from v2geq.errors import ConvergenceError, V2GError, one_line
from v2geq.show import log_to_stderr

app = typer.Typer(
    help="Market equilibrium of electric vehicles, charging stations and a distribution feeder.",
    epilog="Exit codes: 0 done and certified, 1 not converged or not certified, 2 bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143
"""Exit codes after Ctrl-C, a reader that went away and a signal to end, as shells have them."""

_STOPPED = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Entry point: expected errors become one line and an exit code."""
    if sys.stdout is None or sys.stderr is None:
        # closed by the caller: files opened later must not take their place
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # names of cases may hold letters that the terminal's encoding lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning
    log_to_stderr()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    raise SystemExit(_flush(_run()))


def _run() -> int:
    """Exit code of the command."""
    try:
        app()
    except ConvergenceError as error:
        say(f"not solved: {error}")
        return 1
    except V2GError as error:
        say(f"error: {error}")
        return 2
    except OSError as error:
        if error.errno not in _FULL:
            raise
        say(f"error: {error.filename or 'output'}: cannot be written ({error.strerror})")
        return 2
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.__context__, BrokenPipeError):
            # nobody reads on, and what the command would have found is not known
            return UNREAD
        if code in _STOPPED:
            say(f"{_STOPPED[code]}; what was saved before is complete")
            gc.freeze()  # what a large case leaves is not searched for circles at the end
        return code
    return 0


def _flush(code: int) -> int:
    """Exit code once the streams are written out; what nobody reads any more is dropped."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            # or the interpreter tries again at its end, and tells of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                say(f"error: output: cannot be written ({error.strerror})")
                code = code or 2
    return code


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"v2geq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options before the command."""


for command in (
    cases.new,
    cases.check,
    cases.parameters,
    studies.study,
    studies.plot,
    markets.solve,
    feeders.feeder,
    feeders.opf,
    roads.assign,
    roads.validate,
    markets.certify,
    markets.powerflow,
    markets.show,
    markets.tables,
    markets.export,
    equations.equations,
    cases.cases,
):
    # in the order in which the help lists them
    app.command()(command)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings about data as notes; those of numerical libraries are no help to a user."""
    if issubclass(category, UserWarning):
        say(f"note: {one_line(str(message))}")
