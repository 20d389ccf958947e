"""Files in and out: only regular files of sane size are read, what is written appears whole."""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from v2geq.errors import DataError, quoted

if sys.platform != "win32":
    import fcntl

MOST_BYTES = 2**29
"""Largest file that is read."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEW |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_INPUTS = (".toml", ".csv", ".tntp")
_OTHER_FOLDER = "choose another folder"


def as_path(path: str | Path, what: str = "a file") -> Path:
    """The path of `what`; raises DataError for anything that is none, such as bytes."""
    if not isinstance(path, (str, Path)):
        raise DataError(f"{quoted(path)} is not the path of {what}")
    return Path(path)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Content of a regular file.

    Raises
    ------
    FileNotFoundError
        There is none of this name.
    DataError
        It is a folder, a device, a pipe, larger than `most` bytes, or cannot be read.
    """
    where = str(path)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise DataError("is a folder", where=where, advice="give the path of a file")
        if not stat.S_ISREG(status.st_mode):
            raise DataError(
                "is a device or a pipe", where=where, advice="give the path of a regular file"
            )
        if status.st_size > most:
            raise DataError(
                f"{status.st_size / 1e6:,.1f} MB are too many; {most / 1e6:,.1f} are read at most",
                where=where,
                advice="check that it is the file you mean",
            )
        with path.open("rb") as file:
            return file.read()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read ({_reason(error)})",
            where=where,
            advice="check the path and the file's rights",
        ) from error


def check_writable(path: Path) -> None:
    """Raise DataError unless a file could be written under this name.

    Meant to be called before long work whose result goes there. An existing file may be replaced if
    it is a regular one; links are not followed.
    """
    where, folder = str(path), path.parent
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise _unwritten(path, error) from error
    if mode is not None and stat.S_ISDIR(mode):
        raise DataError("is a folder", where=where, advice="give the name of a file in it")
    if mode is not None and not stat.S_ISREG(mode):
        what = "is a link" if stat.S_ISLNK(mode) else "is a device or a pipe"
        raise DataError(
            f"{what}, which is not replaced", where=where, advice="give the name of a regular file"
        )
    if not os.path.isdir(folder):
        raise DataError(
            f"the folder {str(folder)!r} does not exist",
            where=where,
            advice="make it first, or choose another",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(
            f"the folder {str(folder)!r} cannot be written to", where=where, advice="choose another"
        )
    if mode is not None and not os.access(path, os.W_OK):
        raise DataError("is write-protected", where=where, advice="choose another name")


def check_result(path: Path) -> None:
    """`check_writable` for a result: raise DataError also where it would pass for an input file."""
    if path.suffix.lower() in _INPUTS:
        raise DataError(
            f"ends in {path.suffix}, as the files of a case do",
            where=str(path),
            advice="choose another ending",
        )
    check_writable(path)


def write_files(files: Mapping[Path, bytes | Callable[[Path], object]]) -> None:
    """Write files; each appears under its name only when all are complete.

    They are written beside their places under names nobody can foresee, opened only if new, and
    then take the place of what was there, with its permissions.

    Parameters
    ----------
    files
        Content by path, or a function that writes it to the path it is given.

    Raises
    ------
    DataError
        Where one cannot be written; then all stay as they were.
    """
    parts: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in files.items():
            check_writable(path)
            part = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.part")
            with open(os.open(part, _NEW, 0o666), "wb") as file:
                parts[path] = part
                if path.exists():
                    target = file.fileno() if os.chmod in os.supports_fd else part
                    os.chmod(target, stat.S_IMODE(path.stat().st_mode) & 0o777)
                if callable(content):
                    content(part)
                else:
                    file.write(content)
                    file.flush()
                # some file systems tell only now that they are full
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        for part in parts.values():
            with suppress(OSError):
                # a library that failed may hold it open, and with it the space
                os.truncate(part, 0)
                part.unlink()


def write_tree(folder: Path, files: Mapping[str, bytes], *, again: bool = False) -> None:
    """Write files by path in a folder, which is new or empty unless it is written `again`.

    Raises
    ------
    DataError
        Where the folder is no folder, not empty, or cannot be written; then it stays as it was.
    """
    there = os.path.lexists(folder)
    if there and not (os.path.isdir(folder) and os.access(folder, os.R_OK)):
        what = "cannot be read" if os.path.isdir(folder) else "is a file"
        raise DataError(what, where=str(folder), advice="give a new or empty folder")
    if there and not again and os.listdir(folder):
        raise DataError("is not empty", where=str(folder), advice="give a new or empty folder")
    make_folder(folder)
    inside = {(folder / name).parent for name in files} - {folder}
    try:
        for path in inside:
            make_folder(path)
        write_files({folder / name: content for name, content in files.items()})
    except DataError:
        # as it was, so that another try finds an empty folder
        for path in (*inside, *(() if there else (folder,))):
            with suppress(OSError):
                path.rmdir()
        raise


def remove_unfinished(path: Path) -> None:
    """Remove what `write_files` left beside `path` in a process that was killed over it."""
    ours = re.compile(re.escape(_prefix(path)) + r"[0-9a-f]{16}\.part")
    for name in os.listdir(path.parent):
        if ours.fullmatch(name):
            remove(path.with_name(name))


def remove(path: Path) -> None:
    """Remove a file, if there is one, or raise DataError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"in the way and cannot be removed ({_reason(error)})",
            where=str(path),
            advice=_OTHER_FOLDER,
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it, or raise DataError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot make the folder ({_reason(error)})", where=str(path), advice="choose another"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise DataError("cannot be written to", where=str(path), advice=_OTHER_FOLDER)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to this block; nothing stays behind, also where the process is killed.

    Raises
    ------
    DataError
        Another process, or another block, has it.
    """
    if sys.platform == "win32":
        yield
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                "another study is writing to this folder",
                where=str(folder),
                advice=f"wait for it, or {_OTHER_FOLDER}",
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(fd)


def _prefix(path: Path) -> str:
    """How the names of unfinished files begin; short, for names have a limit."""
    return f".{path.name[:40]}."


def _unwritten(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot be written ({_reason(error)})",
        where=str(path),
        advice="check the path, the free space and the rights of the folder",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
