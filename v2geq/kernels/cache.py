"""Where compiled functions are kept: a folder that is the user's alone, named after the sources.

A folder holds what was compiled from one state of all files in folders called kernels; after an
upgrade or an edit there is another, and the old one is removed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from numba.core import config
from numba.core.caching import FunctionCache, NullCache

from v2geq.kernels import announcement

try:
    import fcntl
except ImportError:  # Windows: two processes that compile at once both do all the work
    fcntl = None  # type: ignore[assignment]

_SOURCES = Path(__file__).resolve().parent
_LONGEST_WAIT = 120.0
"""Seconds after which a function is compiled though another process still seems to do so."""


def cache_for(function: Callable[..., Any]) -> Any:
    """The cache that compiled forms of `function` are read from and written to."""
    folder = cache_folder()
    if folder is not None:
        settings: Any = config
        before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder)
        try:
            return _Cache(function)
        except RuntimeError as error:
            # the folder has filled up or gone, or the sources are in an archive
            if "no locator" not in str(error):
                raise
        finally:
            settings.CACHE_DIR = before
    return _NoCache()


@functools.cache
def source_hash() -> str:
    """Hash of all compiled files: the cache of a function does not see edits of those it calls."""
    digest = hashlib.sha256()
    package = _SOURCES.parent
    for path in sorted(package.glob("**/kernels/*.py")):
        content, name = path.read_bytes(), path.relative_to(package).as_posix()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """A folder that can be written to, and by nobody else; None where there is none."""
    # several installations may share a place; each clears up its own folders only
    prefix = f"kernels-{hashlib.sha256(os.fsencode(_SOURCES)).hexdigest()[:8]}-"
    for place in _places():
        folder = place / (prefix + source_hash())
        new = not folder.exists()
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            safe = is_private(folder, below=_SOURCES)
        except OSError:
            continue
        if not safe or not os.access(folder, os.W_OK | os.X_OK):
            continue
        if new:
            _clear_up(place, prefix, folder)
        return folder
    return None


def _places() -> Iterator[Path]:
    """Where the folder may be, best first."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own:
        yield Path(own).absolute()
    yield _SOURCES / "__pycache__"
    names = ("XDG_CACHE_HOME", "LOCALAPPDATA") if os.name == "nt" else ("XDG_CACHE_HOME",)
    for user in (*(os.environ.get(name, "") for name in names), os.path.expanduser("~/.cache")):
        if os.path.isabs(user):
            yield Path(user) / "v2geq"
    try:
        # its name must be known beforehand: whoever made it first is looked at in `is_private`
        yield Path(tempfile.gettempdir()).absolute() / f"v2geq-{_user()}"
    except FileNotFoundError:
        return


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def is_private(folder: Path, *, below: Path | None = None) -> bool:
    """Whether only the user, and the administrator, can put anything into the folder.

    Code is loaded from there, so it must be the user's own, and nobody else may write to it, nor
    to a folder above it or a link to it, where they could exchange it. What is above `below` is
    left out: who can write there can exchange the program itself.
    """
    if not hasattr(os, "geteuid"):
        return True
    at = folder.lstat()
    if not stat.S_ISDIR(at.st_mode) or at.st_uid != _user() or at.st_mode & 0o022:
        return False
    real = folder.resolve()
    if below is not None and real.is_relative_to(below):
        return True
    for path in {*folder.parents, *real.parents}:
        at = path.lstat()
        # in a folder with the sticky bit others can add files, but not exchange them
        shared = at.st_mode & 0o022 and not at.st_mode & stat.S_ISVTX
        if at.st_uid not in (0, _user()) or (shared and not stat.S_ISLNK(at.st_mode)):
            return False
    return True


def _clear_up(place: Path, prefix: str, kept: Path) -> None:
    """Remove folders of other states of the sources, and what was once kept beside them."""
    for old in place.glob(prefix + "*"):
        if old != kept:
            shutil.rmtree(old, ignore_errors=True)
    if place.parent == _SOURCES:
        for file in (*place.glob("*.nbi"), *place.glob("*.nbc")):
            file.unlink(missing_ok=True)


class _NoCache(NullCache):
    """Nothing is kept; every process compiles."""

    def load_overload(self, sig: Any, target_context: Any) -> None:
        announcement.tell(
            "compiling inner loops (up to 20 s); every command does, as no folder to keep them in "
            "can be written: set NUMBA_CACHE_DIR to a folder of your own"
        )


class _Cache(FunctionCache):
    """Numba's cache of one function; whoever is to compile it locks it until it is written.

    So no two processes compile the same function, nor write to its index at once. A function is
    locked before those it calls, as none calls back: nobody waits in a circle.
    """

    _held: BinaryIO | None = None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._read(sig, target_context)
        if found is None:
            self._lock()
            # it may have been written in the meantime
            found = self._read(sig, target_context)
            if found is None:
                announcement.tell("compiling inner loops, once after installation (up to 20 s)")
            else:
                self._unlock()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            announcement.warn(
                f"compiled loops cannot be kept in {self.cache_path} "
                f"({error.strerror or error}): the next command compiles them again"
            )
        finally:
            self._unlock()

    def _read(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, ValueError, pickle.PickleError):
            # cut short by a crash or a full disk
            try:
                self.flush()
            except OSError:
                self.disable()
            return None

    def _lock(self) -> None:
        """Wait, within reason, until no other process compiles this function."""
        if fcntl is None or self._held is not None:
            return
        try:
            file = open(f"{self.cache_path}/{self._py_func.__qualname__}.lock", "wb")  # noqa: SIM115
        except OSError:
            return
        end = time.monotonic() + _LONGEST_WAIT
        while self._held is None and time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._held = file
            except BlockingIOError:
                announcement.tell("another process compiles inner loops, once (up to 20 s)")
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        if self._held is None:
            file.close()

    def _unlock(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
