"""Layouts and entry points of PATH's C interface, version 5, and loading of the user's library.

Facts taken from PATH's public headers (MCP_Interface.h, Output_Interface.h, Interrupt_Interface.h,
Types.h, Options.h). Version 5 differs from the 4.x headers: `MCP_Interface` has a slot for a
Hessian, and `Information` a time spent in factorisations.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char, c_char_p, c_double, c_int, c_void_p
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from v2geq.errors import DataError

INFINITY = 1e20
"""What PATH takes for an infinite bound."""
FREE_VARIABLES, FREE_NONZEROS = 300, 2000
"""Size that PATH solves without a licence."""
WEBSITE = "https://pages.cs.wisc.edu/~ferris/path.html"

_Double = POINTER(c_double)
_Int = POINTER(c_int)

SizeCallback = ctypes.CFUNCTYPE(None, c_void_p, _Int, _Int)
BoundsCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int, _Double, _Double, _Double)
FunctionCallback = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, _Double, _Double)
JacobianCallback = ctypes.CFUNCTYPE(
    c_int, c_void_p, c_int, _Double, c_int, _Double, _Int, _Int, _Int, _Int, _Double
)
NameCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int, POINTER(c_char), c_int)
PrintCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)
FlushCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int)
HookCallback = ctypes.CFUNCTYPE(None, c_void_p)
CheckCallback = ctypes.CFUNCTYPE(c_int, c_void_p)


class MCPInterface(Structure):
    """Callbacks that state a problem. Slots left empty are null."""

    _fields_: ClassVar = [
        ("interface_data", c_void_p),
        ("problem_size", SizeCallback),
        ("bounds", BoundsCallback),
        ("function_evaluation", FunctionCallback),
        ("jacobian_evaluation", JacobianCallback),
        ("hessian_evaluation", c_void_p),
        ("start", c_void_p),
        ("finish", c_void_p),
        ("variable_name", NameCallback),
        ("constraint_name", NameCallback),
        ("basis", c_void_p),
    ]


class OutputInterface(Structure):
    """Where PATH's text goes."""

    _fields_: ClassVar = [
        ("output_data", c_void_p),
        ("print", PrintCallback),
        ("flush", FlushCallback),
    ]


class InterruptInterface(Structure):
    """How PATH learns of an interrupt; `check` returns a positive number for one."""

    _fields_: ClassVar = [
        ("interrupt_data", c_void_p),
        ("set", HookCallback),
        ("restore", HookCallback),
        ("check", CheckCallback),
    ]


class Information(Structure):
    """What is asked of a run, and what it reports. Booleans of PATH are C enumerations."""

    _fields_: ClassVar = [
        ("residual", c_double),
        ("distance", c_double),
        ("steplength", c_double),
        ("total_time", c_double),
        ("basis_time", c_double),
        ("maximum_distance", c_double),
        ("major_iterations", c_int),
        ("minor_iterations", c_int),
        ("crash_iterations", c_int),
        ("function_evaluations", c_int),
        ("jacobian_evaluations", c_int),
        ("gradient_steps", c_int),
        ("restarts", c_int),
        ("generate_output", c_int),
        ("generated_output", c_int),
        ("forward", c_int),
        ("backtrace", c_int),
        ("gradient", c_int),
        ("use_start", c_int),
        ("use_basics", c_int),
        ("used_start", c_int),
        ("used_basics", c_int),
        # not PATH's: room for what a later version may append
        ("spare", c_char * 64),
    ]


class Termination(IntEnum):
    """PATH's own verdict on a run (MCP_Termination)."""

    SOLVED = 1
    NO_PROGRESS = 2
    MAJOR_ITERATION_LIMIT = 3
    MINOR_ITERATION_LIMIT = 4
    TIME_LIMIT = 5
    USER_INTERRUPT = 6
    BOUND_ERROR = 7
    DOMAIN_ERROR = 8
    INFEASIBLE = 9
    ERROR = 10
    LICENSE_ERROR = 11
    OK = 12


OUTPUT_LOG = 1

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "Path_Version": (c_char_p, []),
    "Path_CheckLicense": (c_int, [c_int, c_int]),
    "Path_AddOptions": (None, [c_void_p]),
    "Path_Solve": (c_int, [c_void_p, POINTER(Information)]),
    "Options_Create": (c_void_p, []),
    "Options_Destroy": (None, [c_void_p]),
    "Options_Default": (None, [c_void_p]),
    "Options_Set": (None, [c_void_p, c_char_p]),
    "MCP_Create": (c_void_p, [c_int, c_int]),
    "MCP_Destroy": (None, [c_void_p]),
    "MCP_SetInterface": (None, [c_void_p, POINTER(MCPInterface)]),
    "MCP_GetX": (_Double, [c_void_p]),
    "MCP_Jacobian_Structure_Constant": (None, [c_void_p, c_int]),
    "MCP_Jacobian_Data_Contiguous": (None, [c_void_p, c_int]),
    "Output_SetInterface": (None, [POINTER(OutputInterface)]),
}
_OPTIONAL: dict[str, tuple[Any, list[Any]]] = {
    "Interrupt_SetInterface": (None, [POINTER(InterruptInterface)]),
}


class PathLibrary:
    """A loaded library. PATH keeps global state: one run at a time, under `lock`.

    The output and interrupt interfaces belong to the process, so they are set once and kept alive
    here; `sink` and `interrupted` are what the present run wants of them.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.dll = ctypes.CDLL(str(path))
        except OSError as error:
            raise DataError(
                f"the PATH library {str(path)!r} cannot be loaded: {error}",
                advice="give the shared library built for this operating system and processor, "
                "with the libraries it needs (LUSOL) beside it",
            ) from error
        missing = [name for name in _FUNCTIONS if not hasattr(self.dll, name)]
        if missing:
            raise DataError(
                f"{str(path)!r} lacks {', '.join(missing)}: it is not a PATH library, or of a "
                "version this bridge does not know",
                advice=f"get libpath of version 5 from {WEBSITE}",
            )
        for name, (returns, takes) in {**_FUNCTIONS, **_OPTIONAL}.items():
            if hasattr(self.dll, name):
                function = getattr(self.dll, name)
                function.restype, function.argtypes = returns, takes
        self.version = self.dll.Path_Version().decode(errors="replace").strip()
        number = re.search(r"(\d+)\.\d+", self.version)
        if number and int(number.group(1)) < 5:
            raise DataError(
                f"{str(path)!r} is {self.version!r}, whose structures differ from version 5",
                advice=f"get libpath of version 5 from {WEBSITE}",
            )
        self.lock = threading.RLock()
        self.busy = False
        self.sink: Callable[[str], None] | None = None
        self.interrupted: Callable[[], bool] | None = None
        self._output = OutputInterface(
            None, PrintCallback(self._print), FlushCallback(lambda data, mode: None)
        )
        self.dll.Output_SetInterface(ctypes.byref(self._output))
        nothing = HookCallback(lambda data: None)
        self._interrupt = InterruptInterface(None, nothing, nothing, CheckCallback(self._check))
        if hasattr(self.dll, "Interrupt_SetInterface"):
            self.dll.Interrupt_SetInterface(ctypes.byref(self._interrupt))

    def _print(self, data: int | None, mode: int, message: bytes | None) -> None:
        if self.sink is not None and message:
            self.sink(message.decode(errors="replace"))

    def _check(self, data: int | None) -> int:
        return int(self.interrupted is not None and self.interrupted())


_loaded: dict[Path, PathLibrary] = {}


def path_library(library: str | None = None) -> PathLibrary:
    """The PATH library at `library`, or where the environment variable PATH_LIBRARY points.

    Nothing is searched for: PATH is proprietary and comes from the user.

    Raises
    ------
    DataError
        No library named, no such file, not loadable, entry points missing, version before 5.
    """
    named = library or os.environ.get("PATH_LIBRARY", "")
    if not named:
        raise DataError(
            "no PATH library is given",
            advice=f"get libpath from {WEBSITE} and set the environment variable PATH_LIBRARY "
            "to the file (libpath*.so, .dylib or .dll), or use another method",
        )
    path = Path(named).expanduser()
    if not path.is_file():
        raise DataError(
            f"the PATH library {named!r} is not a file",
            where="" if library else "PATH_LIBRARY",
            advice="give the shared library itself, for example /opt/path/libpath.so",
        )
    path = path.resolve()
    if path not in _loaded:
        _loaded[path] = PathLibrary(path)
    return _loaded[path]


def require_licence(library: PathLibrary, n: int, nonzeros: int) -> None:
    """Raise DataError unless PATH accepts a problem of this size.

    PATH itself reads the environment variable PATH_LICENSE_STRING.
    """
    if library.dll.Path_CheckLicense(n, nonzeros):
        return
    size = f"{n} variables and {nonzeros} nonzeros"
    if os.environ.get("PATH_LICENSE_STRING"):
        raise DataError(
            f"PATH's licence does not cover {size}",
            where="PATH_LICENSE_STRING",
            advice=f"check whether it has expired; licences are at {WEBSITE}",
        )
    raise DataError(
        f"PATH without a licence takes {FREE_VARIABLES} variables and {FREE_NONZEROS} nonzeros; "
        f"this problem has {size}",
        advice=f"set the environment variable PATH_LICENSE_STRING (licences are at {WEBSITE}), "
        "or use another method",
    )
