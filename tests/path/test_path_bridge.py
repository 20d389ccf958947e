"""The bridge to PATH, driven by a stand-in library with the same entry points."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from cases import make_case
from path_problems import curved, market

from v2geq.equilibrium import solve
from v2geq.errors import DataError
from v2geq.mcp.problem import scaled_residual
from v2geq.solvers import path_structs
from v2geq.solvers.interior_point import interior_point
from v2geq.solvers.path_bridge import STATUS, path
from v2geq.solvers.path_structs import Termination
from v2geq.solvers.protocol import Options, Status

# -- layouts ---------------------------------------------------------------------------------------

STRUCTURES = {
    "MCP_Interface": path_structs.MCPInterface,
    "Output_Interface": path_structs.OutputInterface,
    "Interrupt_Interface": path_structs.InterruptInterface,
    "Information": path_structs.Information,
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_layout(standin: str, name: str) -> None:
    """Every field lies where a C compiler puts it."""
    layout = ctypes.CDLL(standin).Standin_Layout
    ours = STRUCTURES[name]
    fields = [f[0] for f in ours._fields_ if f[0] != "spare"]
    for field in fields:
        assert getattr(ours, field).offset == layout(f"{name}.{field}".encode()), field
    size = ours.spare.offset if hasattr(ours, "spare") else ctypes.sizeof(ours)
    # the compiler may pad the end up to the alignment of a double
    assert size <= layout(name.encode()) < size + 8


def test_hessian_has_its_slot() -> None:
    names = [f[0] for f in path_structs.MCPInterface._fields_]
    assert names.index("hessian_evaluation") == names.index("jacobian_evaluation") + 1


# -- solutions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [market, curved])
def test_solution(standin: str, make) -> None:
    problem, known = make()
    result = path(problem, library=standin)
    assert result.status is Status.SOLVED
    assert np.abs((result.z - known) / problem.scale).max() <= 1e-8
    assert result.residual == scaled_residual(problem, result.z).max() <= 1e-8
    assert result.termination == "solved" and result.version.startswith("Path 5")
    assert result.iterations == len(result.log) == result.stats["factorisations"] > 0
    assert result.stats["path_major_iterations"] >= result.iterations
    assert result.stats["evaluations"] <= problem.calls["F"]
    assert result.worst in [problem.describe(k) for k in range(problem.n)]
    pickle.loads(pickle.dumps(result))


UNIQUE = ("dso.p_line", "dso.v_squared", "lse.A.generation", "lse.B.sales", "drivers.arc_flow")


def assert_same_market(mcp, z: np.ndarray) -> None:
    own = interior_point(mcp, None, Options(tolerance=1e-10)).z
    for name in UNIQUE:
        block = mcp[name]
        assert np.abs(z - own)[block.slice].max() <= 1e-6 * mcp.scale[block.slice].max(), name


def test_small_market(standin: str) -> None:
    """A coupled feeder-and-road market: the same point as the package's own method."""
    mcp = solve(make_case()).coupled.mcp
    result = path(mcp, library=standin)
    assert result.status.ok and scaled_residual(mcp, result.z).max() == result.residual
    assert_same_market(mcp, result.z)


def test_start_is_used(standin: str) -> None:
    problem, known = curved()
    result = path(problem, known, library=standin)
    assert result.stats["path_major_iterations"] == 0 and result.status.ok
    assert np.array_equal(result.z, known)


def test_library_from_the_environment(standin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_LIBRARY", standin)
    assert path(market()[0]).status.ok


def test_nothing_leaks(standin: str) -> None:
    for _ in range(20):
        path(market()[0], library=standin)
    assert ctypes.CDLL(standin).Standin_Alive() == 0
    library = path_structs.path_library(standin)
    assert library.sink is None and library.interrupted is None


# -- termination -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [c for c in Termination if c is not Termination.LICENSE_ERROR])
def test_termination_away_from_a_solution(standin: str, code: Termination) -> None:
    problem, _ = market()
    result = path(problem, path_options={"standin_return": int(code)}, library=standin)
    assert result.status is STATUS[code] and not result.status.ok
    assert result.termination == code.name.lower()
    assert result.stats["path_code"] == code
    assert result.residual == scaled_residual(problem, result.z).max() > 1e-8


@pytest.mark.parametrize("code", [c for c in Termination if c is not Termination.LICENSE_ERROR])
def test_residual_decides(standin: str, code: Termination) -> None:
    """Whatever PATH says, a point within the tolerance is solved, and PATH's word is kept."""
    result = path(
        market()[0], path_options={"standin_return": int(code), "standin_break": 1}, library=standin
    )
    assert result.status is Status.SOLVED
    assert result.termination == code.name.lower()


def test_unknown_code(standin: str) -> None:
    result = path(market()[0], path_options={"standin_return": 77}, library=standin)
    assert result.status is Status.STALLED and result.termination == "code 77"


def test_licence_refused_in_the_run(standin: str) -> None:
    with pytest.raises(DataError, match="PATH_LICENSE_STRING"):
        path(market()[0], path_options={"standin_return": 11}, library=standin)


def test_every_code_has_a_status() -> None:
    assert set(Termination) - set(STATUS) == {Termination.LICENSE_ERROR}


def test_limits(standin: str) -> None:
    problem, _ = market()
    few = path(problem, options=Options(max_iterations=1), library=standin)
    assert few.status is Status.ITERATION_LIMIT and few.iterations == 1
    none = path(problem, options=Options(time_limit_s=0.0), library=standin)
    assert none.status is Status.TIME_LIMIT
    loose = path(problem, path_options={"convergence_tolerance": 1e3}, library=standin)
    assert loose.termination == "solved" and loose.status is Status.STALLED


def test_crossed_bounds(standin: str) -> None:
    problem, _ = curved()
    problem.upper[0] = -1.0
    result = path(problem, problem.start, library=standin)
    assert result.termination == "bound_error" and result.status is Status.DOMAIN_ERROR


def test_undefined_start(standin: str) -> None:
    problem, _ = curved()
    problem.lower[:] = -np.inf
    result = path(problem, np.array([-1.0, 1.0]), library=standin)
    assert result.termination == "domain_error" and result.status is Status.DOMAIN_ERROR


def test_undefined_points_are_backed_away_from(standin: str) -> None:
    problem, known = curved()
    problem.lower[:] = -np.inf
    result = path(problem, np.array([10.0, 1.0]), library=standin)  # a full step goes below zero
    assert result.status.ok and np.abs(result.z - known).max() <= 1e-7


# -- text, options, callbacks ----------------------------------------------------------------------


def test_text(standin: str) -> None:
    heard: list[str] = []
    result = path(market()[0], library=standin, output=heard.append)
    assert "".join(heard) == result.output
    assert "Path 5.0.00" in result.output
    assert "block.quantity[a rather long label" in result.output


def test_options_reach_path(standin: str) -> None:
    result = path(market()[0], path_options={"nms": False, "lemke_start": "first"}, library=standin)
    assert "option nms = no is not known" in result.output
    assert "option lemke_start = first is not known" in result.output


@pytest.mark.parametrize("bad", [{"two words": 1}, {"output": "log file"}, {"": 1}, {"größe": 1}])
def test_option_that_is_none(standin: str, bad: dict[str, object]) -> None:
    with pytest.raises(DataError, match="path_options"):
        path(market()[0], path_options=bad, library=standin)


def test_callback(standin: str) -> None:
    seen = []
    result = path(market()[0], options=Options(callback=seen.append), library=standin)
    assert seen == result.log
    assert [i.number for i in seen] == list(range(len(seen))) and seen[0].phase == "path"
    assert (
        seen[0].residual
        == scaled_residual(
            market()[0], market()[0].start.clip(market()[0].lower, market()[0].upper)
        ).max()
    )


# -- errors and interrupts -------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["F", "J", "describe", "callback", "output"])
def test_errors_come_back(standin: str, where: str) -> None:
    """An exception in any callback ends the run and is raised after it, the same object."""
    problem, _ = market()
    error = ZeroDivisionError(where)
    count = 0

    def fail(*arguments):
        nonlocal count
        count += 1
        if count == 2:
            raise error
        return original(*arguments) if original else None

    original = getattr(problem, where, None)
    options, heard = Options(), None
    if where == "callback":
        options = Options(callback=fail)
    elif where == "output":
        heard = fail
    else:
        setattr(problem, where, fail)
    with pytest.raises(ZeroDivisionError) as raised:
        path(problem, options=options, library=standin, output=heard)
    assert raised.value is error
    assert path(market()[0], library=standin).status.ok  # the library is usable again


def test_map_of_wrong_shape(standin: str) -> None:
    problem, _ = market()
    problem.function = lambda z: np.ones(3)
    with pytest.raises(ValueError, match="broadcast"):
        path(problem, library=standin)


def test_changing_pattern(standin: str) -> None:
    problem, _ = market()
    first = problem.J
    problem.J = lambda z: first(z) if problem.calls["J"] == 0 else sp.csc_array(np.eye(5))
    with pytest.raises(ValueError, match=r"pattern changed from 12 to 5"):
        path(problem, library=standin)


@pytest.mark.parametrize("macros", [(), ("NO_INTERRUPTS",)], ids=["interface", "no interface"])
def test_interrupt(compiled, monkeypatch: pytest.MonkeyPatch, macros: tuple[str, ...]) -> None:
    """Ctrl-C during a run: the best point met, and the old handler in place again."""
    monkeypatch.delenv("PATH_LICENSE_STRING", raising=False)
    problem, _ = market()
    function = problem.function
    before = signal.getsignal(signal.SIGINT)

    def interrupted(z):
        if problem.calls["F"] == 2:
            signal.raise_signal(signal.SIGINT)
        return function(z)

    problem.function = interrupted
    result = path(problem, library=compiled(*macros))
    assert result.status is Status.INTERRUPTED
    assert problem.calls["F"] < 40
    assert signal.getsignal(signal.SIGINT) is before
    assert np.isfinite(result.z).all()


def test_keyboard_interrupt_raised_by_the_map(standin: str) -> None:
    problem, _ = market()
    function = problem.function

    def raising(z):
        if problem.calls["F"] == 2:
            raise KeyboardInterrupt
        return function(z)

    problem.function = raising
    assert path(problem, library=standin).status is Status.INTERRUPTED


def test_threads_take_turns(standin: str) -> None:
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(path(market()[0], library=standin)))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.status for r in results] == [Status.SOLVED] * 4
    assert len({r.output for r in results}) == 1


def test_no_run_within_a_run(standin: str) -> None:
    problem, _ = market()
    function = problem.function
    problem.function = lambda z: path(market()[0], library=standin) and function(z)
    with pytest.raises(DataError, match="within its own run"):
        path(problem, library=standin)


# -- what is missing -------------------------------------------------------------------------------


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH_LIBRARY", raising=False)
    with pytest.raises(DataError, match=r"PATH_LIBRARY.*libpath"):
        path(market()[0])


def test_no_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_LIBRARY", str(tmp_path / "libpath.so"))
    with pytest.raises(DataError, match=r"PATH_LIBRARY: .*libpath\.so.* is not a file"):
        path(market()[0])


def test_not_a_library(tmp_path) -> None:
    (tmp_path / "libpath.so").write_text("text")
    with pytest.raises(DataError, match="cannot be loaded"):
        path(market()[0], library=str(tmp_path / "libpath.so"))


def test_missing_entry_point(compiled) -> None:
    with pytest.raises(DataError, match="lacks Path_Solve"):
        path(market()[0], library=compiled("LEAVE_OUT_SOLVE"))


def test_old_version(compiled) -> None:
    with pytest.raises(DataError, match=r"4\.7\.04.*version 5"):
        path(market()[0], library=compiled("OLD_VERSION"))


def large():
    problem, _ = market()
    n = 301
    eye = np.eye(n)
    kind = type(problem)
    ones = np.ones(n)
    return kind(lambda z: z - 1.0, lambda z: eye, eye > 0, 0 * ones, 9 * ones, ones, ones, ones)


def test_size_without_a_licence(standin: str) -> None:
    with pytest.raises(DataError, match=r"300 variables and 2000 .*301 variables.*PATH_LICENSE_ST"):
        path(large(), library=standin)


def test_licence_is_paths_own_business(standin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # C reads the process's environment, which os.environ writes through to
    monkeypatch.setenv("PATH_LICENSE_STRING", "stand-in")
    assert path(large(), library=standin).status.ok
    monkeypatch.setenv("PATH_LICENSE_STRING", "expired")
    with pytest.raises(DataError, match=r"PATH_LICENSE_STRING: .*301 variables"):
        path(large(), library=standin)


# -- the real one ----------------------------------------------------------------------------------

real = pytest.mark.skipif(
    not os.environ.get("PATH_LIBRARY"), reason="PATH_LIBRARY is not set: PATH itself is not run"
)


@real
@pytest.mark.parametrize("make", [market, curved])
def test_real_path(make) -> None:
    problem, known = make()
    result = path(problem)
    assert result.status.ok and result.termination == "solved"
    assert np.abs((result.z - known) / problem.scale).max() <= 1e-7
    # a layout that does not fit would show here
    assert 0.0 <= result.stats["path_residual"] <= 1e-7
    assert 0 < result.stats["path_major_iterations"] < 100


@real
def test_real_path_on_a_small_market() -> None:
    mcp = solve(make_case()).coupled.mcp
    result = path(mcp)
    assert result.status.ok
    assert_same_market(mcp, result.z)
