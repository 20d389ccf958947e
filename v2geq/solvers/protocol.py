"""What every solver takes and returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import DataError
from v2geq.mcp.problem import Problem, scaled_residual
from v2geq.show import LongList, card


class Status(StrEnum):
    """How a run ended: a word for tables and files, and a message for people."""

    SOLVED = "solved", "solved"
    STALLED = "stalled", "stalled: no further progress"
    ITERATION_LIMIT = (
        "iteration_limit",
        "iteration limit reached; raise max_iterations or loosen the tolerance",
    )
    TIME_LIMIT = "time_limit", "time limit reached; raise time_limit_s or loosen the tolerance"
    DIVERGED = "diverged", "diverged: the iterates grow without bound"
    INFEASIBLE_STATIONARY = (
        "infeasible_stationary",
        "stuck where the residual is locally smallest and not zero; try another start",
    )
    DOMAIN_ERROR = (
        "domain_error",
        "F or its Jacobian is not finite at an iterate; check bounds and start",
    )
    UNSETTLED = (
        "unsettled",
        "losses do not settle; state costs that rise with output, or feeder.losses = false",
    )
    INTERRUPTED = "interrupted", "interrupted; the best point met is returned"

    message: str

    def __new__(cls, word: str, message: str) -> Status:
        status = str.__new__(cls, word)
        status._value_ = word
        status.message = message
        return status

    @property
    def ok(self) -> bool:
        return self is Status.SOLVED


@dataclass(frozen=True)
class Iteration:
    """One line of the log: scaled natural residual, scaled complementarity, step, seconds."""

    number: int
    phase: str
    residual: float
    complementarity: float
    step: float
    seconds: float


@dataclass(frozen=True)
class Options:
    """Limits of a run.

    Attributes
    ----------
    tolerance
        Scaled natural residual at which a point counts as solved.
    max_iterations, time_limit_s
        Where a run gives up.
    callback
        Called with every `Iteration`.
    warm
        The start is the solution of a neighbouring problem: stay near it. A run that gets nowhere
        from there begins again from the problem's own start.
    """

    tolerance: float = 1e-8
    max_iterations: int = 200
    time_limit_s: float = np.inf
    callback: Callable[[Iteration], None] | None = None
    warm: bool = False

    def __post_init__(self) -> None:
        for name in ("tolerance", "max_iterations", "time_limit_s"):
            value = getattr(self, name)
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not (number and value >= 0 and (np.isfinite(value) or name == "time_limit_s")):
                raise _wrong(name, value, "a number not below zero")
        if not (self.callback is None or callable(self.callback)):
            raise _wrong("callback", self.callback, "a function of an Iteration")
        if not isinstance(self.warm, bool):
            raise _wrong("warm", self.warm, "True or False")


def _wrong(name: str, value: object, wanted: str) -> DataError:
    return DataError(f"{name} = {value!r}; it must be {wanted}", where="solver option")


@dataclass
class MCPResult:
    """A point, how good it is and how it was reached.

    Attributes
    ----------
    z : (n,) the returned point, within the bounds
    residual : scaled natural residual, recomputed at `z`
    worst : name of the entry with the largest scaled residual
    diverging : entries of a failed run that grew beyond any data: where to look for a conflict
    log : one entry per iteration; stats : evaluations, factorisations, seconds
    """

    status: Status
    z: FloatArray
    residual: float
    worst: str
    diverging: list[str] = field(default_factory=list)
    log: list[Iteration] = field(default_factory=list)
    stats: dict[str, float] = field(default_factory=dict)

    @property
    def iterations(self) -> int:
        return len(self.log)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.status}, residual {self.residual:.1e} of "
            f"{len(self.z)} unknowns, {self.iterations} iterations>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "status": self.status,
            "unknowns": f"{len(self.z)}",
            "residual": f"{self.residual:.2e}, worst {self.worst}",
            "iterations": f"{self.iterations}",
            **{name: f"{value:.6g}" for name, value in self.stats.items()},
        }
        return card("solver's result", rows, note=", ".join(self.diverging), good=self.status.ok)


class Record:
    """Log, limits and the best point of a run that begins at `z`."""

    def __init__(
        self, problem: Problem, options: Options, z: FloatArray, begin: float | None = None
    ) -> None:
        self.problem, self.options = problem, options
        self.begin = time.perf_counter() if begin is None else begin
        self.log: list[Iteration] = LongList()
        self.best, self.best_residual = z, np.inf
        self.stats: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Time since the run began, s."""
        return time.perf_counter() - self.begin

    def count(self, what: str, amount: float = 1) -> None:
        """Add to the statistics."""
        self.stats[what] = self.stats.get(what, 0) + amount

    def residual(self, z: FloatArray, f: FloatArray | None = None) -> float:
        """Largest scaled natural residual of `z`, which is remembered if it is the best."""
        r = float(scaled_residual(self.problem, z, f).max(initial=0.0))
        if r < self.best_residual:
            self.best, self.best_residual = z.copy(), r
        return r

    def note(self, phase: str, residual: float, step: float, complementarity: float = 0.0) -> None:
        """Add a line to the log."""
        entry = Iteration(len(self.log), phase, residual, complementarity, step, self.seconds)
        self.log.append(entry)
        if self.options.callback is not None:
            self.options.callback(entry)

    def limit(self) -> Status | None:
        """Which limit of the run is reached, if any."""
        if len(self.log) > self.options.max_iterations:
            return Status.ITERATION_LIMIT
        return Status.TIME_LIMIT if self.seconds > self.options.time_limit_s else None

    def result(self, status: Status, diverging: Sequence[str] = (), **stats: float) -> MCPResult:
        """The best point, its residual computed anew."""
        with np.errstate(all="ignore"):
            residual = scaled_residual(self.problem, self.best)
        worst = int(np.argmax(np.where(np.isfinite(residual), residual, np.inf)))
        return MCPResult(
            status,
            self.best,
            float(residual[worst]),
            self.problem.describe(worst),
            list(diverging),
            self.log,
            {**self.stats, **stats, "seconds": self.seconds},
        )


def skew_scales(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Units of variables and rows whose product is the same everywhere, and weights, (n,) each.

    In such units a Jacobian that pairs strategies and multipliers skew stays so, whatever the
    problem's own scales are. A complementarity product of size one in the problem's own scales has
    the size of its weight in these units.
    """
    product = problem.scale * problem.row_scale
    common = float(np.median(product))
    weight = product / common
    column = problem.scale / np.sqrt(weight)
    return column, common / column, weight


def first_point(problem: Problem, start: FloatArray | None) -> FloatArray:
    """Where a run begins, (n,): `start`, or the problem's own, within the bounds.

    Raises
    ------
    DataError
        Where `start` is not n finite numbers.
    """
    if start is None:
        start = problem.start
    elif np.shape(start) != (problem.n,) or not np.isfinite(start).all():
        raise DataError(f"the start must be {problem.n} finite numbers")
    first: FloatArray = np.clip(start, problem.lower, problem.upper)
    return first


def one_per_block(problem: Problem, positions: IntArray, most: int = 4) -> list[str]:
    """Names of the first entry of every block among `positions`, at most so many."""
    names: dict[str, str] = {}
    for k in positions.tolist():
        name = problem.describe(k)
        names.setdefault(name.partition("[")[0], name)
    return list(names.values())[:most]
