"""PATH through its C interface, from a shared library that the user supplies.

PATH works on x = z / scale and F / row_scale, since its own tolerance is absolute. Whatever it
says of its run, the residual is computed anew at the returned point and decides the status.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.mcp.problem import Problem, scaled_residual
from v2geq.solvers.path_structs import (
    INFINITY,
    OUTPUT_LOG,
    BoundsCallback,
    FunctionCallback,
    Information,
    JacobianCallback,
    MCPInterface,
    NameCallback,
    PathLibrary,
    SizeCallback,
    Termination,
    path_library,
    require_licence,
)
from v2geq.solvers.protocol import MCPResult, Options, Record, Status, first_point

STATUS = {
    Termination.SOLVED: Status.STALLED,
    Termination.NO_PROGRESS: Status.INFEASIBLE_STATIONARY,
    Termination.MAJOR_ITERATION_LIMIT: Status.ITERATION_LIMIT,
    Termination.MINOR_ITERATION_LIMIT: Status.ITERATION_LIMIT,
    Termination.TIME_LIMIT: Status.TIME_LIMIT,
    Termination.USER_INTERRUPT: Status.INTERRUPTED,
    Termination.BOUND_ERROR: Status.DOMAIN_ERROR,
    Termination.DOMAIN_ERROR: Status.DOMAIN_ERROR,
    Termination.INFEASIBLE: Status.INFEASIBLE_STATIONARY,
    Termination.ERROR: Status.STALLED,
    Termination.OK: Status.STALLED,
}
"""Status of a run whose point is not within the tolerance, by PATH's verdict."""


@dataclass(repr=False)
class PathResult(MCPResult):
    """A result with PATH's own words.

    Attributes
    ----------
    termination : PATH's verdict, for example "no_progress"; output : its log; version : the library
    """

    termination: str = ""
    output: str = ""
    version: str = ""


def path(
    problem: Problem,
    start: FloatArray | None = None,
    options: Options | None = None,
    *,
    path_options: Mapping[str, str | float | int] | None = None,
    library: str | None = None,
    output: Callable[[str], None] | None = None,
) -> PathResult:
    """Solve an MCP with PATH (Dirkse, Ferris and Munson).

    Parameters
    ----------
    start
        (n,) first point; the problem's own if left out.
    options
        Tolerance and limits, handed on to PATH. The log has one entry per Jacobian.
    path_options
        PATH's own options by name, for example ``{"crash_method": "none"}``; they win.
    library
        File of the shared library; by default the environment variable PATH_LIBRARY names it.
    output
        Called with PATH's text as it comes; all of it is in the result.

    Returns
    -------
    PathResult
        SOLVED exactly where the residual, recomputed at the returned point, is within tolerance.

    Raises
    ------
    DataError
        No usable library, a problem beyond the licence, an option that is not one word.
    Exception
        Whatever F, J or a callback raised, once PATH has returned.
    """
    options = options or Options()
    loaded = path_library(library)
    settings = _settings(options, path_options or {})
    with _exclusive(loaded):
        z = first_point(problem, start)
        run = _Run(problem, z, options, output)
        loaded.sink, loaded.interrupted = run.print, run.stop
        require_licence(loaded, problem.n, len(run.rows))
        with _interrupts(run):
            code, information, x = _call(loaded, run, settings)
    if run.error is not None:
        raise run.error
    return run.result(code, information, x, loaded.version)


@contextmanager
def _exclusive(library: PathLibrary) -> Iterator[None]:
    with library.lock:
        if library.busy:
            raise DataError(
                "PATH is called from within its own run",
                advice="PATH keeps global state; use another method inside F, J or a callback",
            )
        library.busy = True
        try:
            yield
        finally:
            library.busy = False
            library.sink = library.interrupted = None


@contextmanager
def _interrupts(run: _Run) -> Iterator[None]:
    """Note Ctrl-C for PATH to find at its next check, instead of raising between C frames."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: run.interrupt())
    try:
        yield
    finally:
        # None: a handler that was not set from Python cannot be put back from here
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _settings(options: Options, own: Mapping[str, str | float | int]) -> list[bytes]:
    """Options as PATH reads them: name and value in one string."""
    # PATH measures with the Fischer function, at least 0.58 of the natural residual entry by entry
    values: dict[str, str | float | int] = {
        "convergence_tolerance": 0.5 * options.tolerance,
        "major_iteration_limit": options.max_iterations,
    }
    if np.isfinite(options.time_limit_s):
        values["time_limit"] = options.time_limit_s
    values.update(own)
    lines = []
    for name, value in values.items():
        word = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        line = f"{name} {word}"
        if len(line.split()) != 2 or not line.isascii():
            raise DataError(
                f"{name!r} = {value!r} is no option of PATH",
                where="path_options",
                advice="give names and values of one word each",
            )
        lines.append(line.encode())
    return lines


def _call(
    library: PathLibrary, run: _Run, settings: list[bytes]
) -> tuple[int, Information, FloatArray]:
    """One run of PATH: its verdict, its report and its point."""
    dll, n = library.dll, run.problem.n
    chosen = dll.Options_Create()
    try:
        dll.Path_AddOptions(chosen)
        dll.Options_Default(chosen)
        for line in settings:
            dll.Options_Set(chosen, line)
        mcp = dll.MCP_Create(n, max(len(run.rows), 1))
        try:
            dll.MCP_Jacobian_Structure_Constant(mcp, 1)
            dll.MCP_Jacobian_Data_Contiguous(mcp, 1)
            dll.MCP_SetInterface(mcp, ctypes.byref(run.interface))
            information = Information()
            information.generate_output = OUTPUT_LOG
            information.use_start = 1
            code = int(dll.Path_Solve(mcp, ctypes.byref(information)))
            at = dll.MCP_GetX(mcp)
            x = np.ctypeslib.as_array(at, shape=(n,)).copy() if at else np.full(n, np.nan)
        finally:
            dll.MCP_Destroy(mcp)
    finally:
        dll.Options_Destroy(chosen)
    return code, information, x


class _Run:
    """The problem as PATH's callbacks see it, and what happened in them."""

    def __init__(
        self,
        problem: Problem,
        z: FloatArray,
        options: Options,
        output: Callable[[str], None] | None,
    ) -> None:
        self.problem, self.forward = problem, output
        self.record = Record(problem, options, z)
        self.first = z
        self.column, self.row = problem.scale, problem.row_scale
        a = problem.J(z)
        # PATH counts from one
        self.rows = a.indices.astype(np.intc) + 1
        self.column_starts = a.indptr[:-1].astype(np.intc) + 1
        self.lengths = np.diff(a.indptr).astype(np.intc)
        where = np.repeat(np.arange(problem.n), self.lengths)
        self._factor = self.column[where] / self.row[a.indices]
        self.error: BaseException | None = None
        self.text: list[str] = []
        self.record.stats = {"evaluations": 0, "factorisations": 0}
        self._interrupted = False
        # kept for as long as the run: C holds no references
        self._callbacks = {
            "problem_size": SizeCallback(self._size),
            "bounds": BoundsCallback(self._bounds),
            "function_evaluation": FunctionCallback(self._function),
            "jacobian_evaluation": JacobianCallback(self._jacobian),
            "variable_name": NameCallback(self._name),
            "constraint_name": NameCallback(self._name),
        }
        self.interface = MCPInterface(**self._callbacks)

    # -- interrupts, errors, text ------------------------------------------------------------------

    def interrupt(self) -> None:
        self._interrupted = True

    def stop(self) -> bool:
        """Whether PATH should end: Ctrl-C, or an error to raise."""
        return self._interrupted or self.error is not None

    def print(self, message: str) -> None:
        self.text.append(message)
        if self.forward is not None:
            forward = self.forward
            self._guard(lambda: forward(message))

    def _guard(self, action: Callable[[], int | None]) -> int:
        """Run a callback's work; 1, a domain error to PATH, where it failed or should stop."""
        if self.stop():
            return 1
        try:
            return action() or 0
        except KeyboardInterrupt:
            self.interrupt()
        # whatever it is, it must not cross PATH's C frames; `path` raises it after the call
        except BaseException as error:
            self.error = error
        return 1

    # -- callbacks ---------------------------------------------------------------------------------

    def _size(self, data: Any, n: Any, nonzeros: Any) -> None:
        n[0], nonzeros[0] = self.problem.n, len(self.rows)

    def _bounds(self, data: Any, n: int, x: Any, low: Any, high: Any) -> None:
        def work() -> None:
            p, c = self.problem, self.column
            _view(x, n)[:] = self.first / c
            _view(low, n)[:] = np.clip(p.lower / c, -INFINITY, INFINITY)
            _view(high, n)[:] = np.clip(p.upper / c, -INFINITY, INFINITY)

        self._guard(work)

    def _function(self, data: Any, n: int, x: Any, f: Any) -> int:
        return self._guard(lambda: self._evaluate(n, x, f)[1])

    def _evaluate(self, n: int, x: Any, f: Any) -> tuple[FloatArray, int]:
        """F into `f`; the point, and the number of entries that are not finite."""
        z = _view(x, n) * self.column
        value = self.problem.F(z)
        self.record.count("evaluations")
        _view(f, n)[:] = value / self.row
        return z, int(n - np.isfinite(value).sum())

    def _jacobian(
        self,
        data: Any,
        n: int,
        x: Any,
        want_f: int,
        f: Any,
        nonzeros: Any,
        starts: Any,
        lengths: Any,
        rows: Any,
        values: Any,
    ) -> int:
        def work() -> int:
            bad = 0
            if want_f:
                z, bad = self._evaluate(n, x, f)
            else:
                z = _view(x, n) * self.column
            a = self.problem.J(z)
            self.record.count("factorisations")
            size = len(self.rows)
            if a.nnz != size:
                raise ValueError(f"the Jacobian's pattern changed from {size} to {a.nnz} entries")
            _view(starts, n)[:] = self.column_starts
            _view(lengths, n)[:] = self.lengths
            _view(rows, size)[:] = self.rows
            _view(values, size)[:] = a.data * self._factor
            nonzeros[0] = size
            self._note(z, _view(f, n) * self.row if want_f and not bad else None)
            return bad + int(size - np.isfinite(a.data).sum())

        return self._guard(work)

    def _name(self, data: Any, index: int, buffer: Any, size: int) -> None:
        def work() -> None:
            text = self.problem.describe(index - 1).encode("ascii", errors="replace")
            ctypes.memmove(buffer, text[: size - 1] + b"\0", min(len(text), size - 1) + 1)

        if size > 0:
            self._guard(work)

    def _note(self, z: FloatArray, f: FloatArray | None) -> None:
        """One line of the log; remembers the best point."""
        inside = np.clip(z, self.problem.lower, self.problem.upper)
        if f is None or (inside != z).any():
            f = self.problem.F(inside)
        # PATH tells neither step nor complementarity through its callbacks
        self.record.note("path", self.record.residual(inside, f), 0.0)

    # -- result ------------------------------------------------------------------------------------

    def result(self, code: int, told: Information, x: FloatArray, version: str) -> PathResult:
        """The better of PATH's last point and the best one met, judged by its own residual."""
        if code == Termination.LICENSE_ERROR:
            raise DataError(
                "PATH refuses its licence: " + "".join(self.text).strip()[-300:],
                advice="check PATH_LICENSE_STRING",
            )
        known, record = code in list(Termination), self.record
        if np.isfinite(x).all():
            last = np.clip(x * self.column, self.problem.lower, self.problem.upper)
            if scaled_residual(self.problem, last).max(initial=0.0) <= record.best_residual:
                record.best = last
        found = record.result(
            STATUS[Termination(code)] if known else Status.STALLED,
            path_code=code,
            path_residual=told.residual,
            path_major_iterations=told.major_iterations,
            path_minor_iterations=told.minor_iterations,
        )
        if found.residual <= record.options.tolerance:
            found.status = Status.SOLVED
        elif self._interrupted:
            found.status = Status.INTERRUPTED
        word = Termination(code).name.lower() if known else f"code {code}"
        return PathResult(
            **vars(found), termination=word, output="".join(self.text), version=version
        )


def _view(pointer: Any, n: int) -> Any:
    """PATH's array as a NumPy one, without a copy."""
    return np.ctypeslib.as_array(pointer, shape=(n,))
