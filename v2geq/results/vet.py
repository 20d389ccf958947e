"""Bytes that claim to be NetCDF, tried in a process of their own first.

The library behind netCDF4 trusts files: groups that contain themselves keep it for ever or crash
it, and many texts that share one place grow without limit when read.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

MOST_UNFOLDED = 100
"""Times the size of the file that its content may take; own files are not compressed."""
_SECONDS, _BYTES_PER_SECOND = 3.0, 10e6

_TRY = """
import sys
raw, unfolded = sys.stdin.buffer.read(), int(sys.argv[1])
from netCDF4 import Dataset
try:
    from resource import RLIMIT_AS, setrlimit
    most = 2**32 + unfolded * len(raw)
    setrlimit(RLIMIT_AS, (most, most))
except (ImportError, ValueError, OSError):
    pass
print("ready", flush=True)
with Dataset("equilibrium.nc", memory=raw) as file:
    for variable in file.variables.values():
        if variable.dtype is str and variable.size <= unfolded * len(raw):
            total = sum(map(len, variable[...].ravel()))
            if total > unfolded * len(raw):
                sys.exit(1)
"""


def opens(raw: bytes) -> bool:
    """Whether the NetCDF library opens these bytes and reads their texts in sane time and memory.

    What else is wrong with them is left to the reader.
    """
    if not sys.executable:
        return True
    command = [sys.executable, "-P", "-c", _TRY, str(MOST_UNFOLDED)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(raw)
                child.stdin.close()
            # what importing takes says nothing about the file
            child.stdout.readline()
            return child.wait(_SECONDS + len(raw) / _BYTES_PER_SECOND) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            child.kill()
