"""Opening what a task may have tampered with (S48): step by step from one directory descriptor to the next.

No step follows a link, so a path never leads out of where it began; what was opened stays what it is, so that a name
which is swapped between a look and a use changes nothing. Only regular files and directories are ever opened. Hard links
are files like any other: who could make one could have copied the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import ELOOP, ENAMETOOLONG, ENOTDIR, ENXIO

from ..errors import Conflict, InvalidInput, NotFound

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe would wait for its writer, and a terminal would become ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LONGEST_PATH, _LONGEST_NAME, DEEPEST = 4096, 255, 64


def parts_of(path: str) -> tuple[str, ...]:
    """The names of a relative path. :raises InvalidInput: it is none, or leads upwards."""
    if path == "":
        return ()
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(
            f"{path[:200]!r} is not a path inside a folder: names with `/` between them, none of them empty, `.` or `..`"
        )
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise InvalidInput(f"{path[:200]!r} is not UTF-8") from None
    if sum(lengths) > _LONGEST_PATH or max(lengths) > _LONGEST_NAME or len(parts) > DEEPEST:
        raise InvalidInput(
            f"the path is too long: names have at most {_LONGEST_NAME} bytes, a path {_LONGEST_PATH} and {DEEPEST} names"
        )
    return tuple(parts)


def open_file(path: str, *, dir_fd: int | None = None) -> int:
    """The regular file, open for reading. :raises FileNotFoundError: there is none, or it is something else."""
    try:
        fd = os.open(path, _FILE, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (ELOOP, ENXIO):
            raise FileNotFoundError(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(path)
    return fd


@contextmanager
def directory(root: str, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The directory that `parts` lead to from `root`, open while the block runs.

    :param make: make what is missing below `root`.
    :raises FileNotFoundError, NotADirectoryError: there is none, or a link stands in the way.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=fd)
            inner = open_directory(name, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def open_directory(name: str, *, dir_fd: int) -> int:
    """The directory of that name in another one. :raises NotADirectoryError: it is something else."""
    return os.open(name, _DIRECTORY, dir_fd=dir_fd)


@contextmanager
def told(path: str) -> Iterator[None]:
    """Failures of the file system while the block runs become sentences about the path."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no file or directory {path[:200]!r}") from None
    except PermissionError:
        raise Conflict(f"{path[:200]!r} is closed to the server: its task has changed who may open it") from None
    except OSError as error:
        if error.errno in (ELOOP, ENAMETOOLONG, ENOTDIR):
            raise NotFound(f"there is no file or directory {path[:200]!r}") from None
        raise
