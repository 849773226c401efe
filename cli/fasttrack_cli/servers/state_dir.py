"""The state directory: made on first use, closed to other users, marked with the format of what is in it.

    format             `1`
    servers/           everything of the embedded servers; 0700
      lock             held while a server is started or stopped
      postgres.alive   held while PostgreSQL or any of its children lives
      postgres.ready   the running PostgreSQL has its database
      sockets          names the directory of the sockets, when this one's path is too long for a socket
      postgres/        the database `data`, its socket
      valkey/          its socket and process id
      postgres.log  valkey.log

What cannot be used is refused with one sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from fasttrack.errors import FastTrackError, InvalidInput, Unavailable

FORMAT = 1
LOCK_TIMEOUT_SECONDS = 120.0


def open_state_dir(path: Path, *, mode: int = 0o700) -> Path:
    """The state directory, absolute, made if need be. Raises InvalidInput when it cannot be used."""
    path = path.expanduser().absolute()
    with refusals(path):
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(mode)
        check_format(path)
        if not (path / "format").exists():
            write_file(path / "format", f"{FORMAT}\n")
    return path.resolve()


def check_format(path: Path) -> None:
    """Refuse a state directory that a newer FastTrack wrote."""
    try:
        written = (path / "format").read_text().strip()
    except FileNotFoundError:
        return
    if not written.isdecimal():
        raise InvalidInput(
            f"{path / 'format'} does not hold a format number: choose another FASTTRACK_STATE_DIR, or put the file "
            "back from a backup."
        )
    if int(written) > FORMAT:
        raise InvalidInput(
            f"{path} was written by a newer FastTrack (format {written}); this one knows format {FORMAT}. "
            "Upgrade FastTrack or choose another FASTTRACK_STATE_DIR."
        )


def own_directory(path: Path, *, uid: int, gid: int, mode: int = 0o700) -> Path:
    """Make `path` a directory of that user with that mode. A stranger's directory, or a link, is refused."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (uid, os.geteuid()):
        raise InvalidInput(
            f"{path} is not a directory of yours: run FastTrack as its owner, or choose another FASTTRACK_STATE_DIR."
        )
    if status.st_uid != uid:
        os.chown(path, uid, gid, follow_symlinks=False)
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
    return path


def write_file(path: Path, text: str, *, uid: int = -1, gid: int = -1) -> None:
    """Replace a file, whole or not at all, readable by its owner only."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(new, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), uid, gid)
        os.fsync(file.fileno())
    new.replace(path)


@asynccontextmanager
async def locked(servers: Path) -> AsyncIterator[None]:
    """Only one process of this state directory is in here. The lock goes when its holder dies."""
    with refusals(servers):
        lock = os.open(servers / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _take(lock, servers)
        yield
    finally:
        os.close(lock)


async def _take(lock: int, servers: Path) -> None:
    try:
        async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
            # Polled: a thread blocked in flock could not be cancelled.
            while not try_lock(lock):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise Unavailable(
            f"Another FastTrack process has been starting or stopping the servers of {servers.parent} for "
            f"{LOCK_TIMEOUT_SECONDS:.0f} seconds: end that process, then try again."
        ) from None


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of that file."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(lock)
    finally:
        os.close(lock)


def try_lock(lock: int) -> bool:
    """Take the lock of an open file, if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses about `path` into one sentence with the remedy."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path) from error


def refusal(error: OSError, path: Path) -> FastTrackError:
    place = error.filename or path
    match error.errno:
        case errno.EACCES | errno.EPERM:
            why = f"no permission to use {place}: give it to the user who runs FastTrack"
        case errno.EROFS:
            why = f"{place} is on a read-only file system"
        case errno.ENOTDIR | errno.EEXIST:
            why = f"{place} is a file, or has one above it, where a directory is needed: move the file away"
        case errno.ENOSPC | errno.EDQUOT:
            return Unavailable(f"No space is left on the disk of {path}: free some, then try again.")
        case _:
            return Unavailable(f"The servers of {path} cannot be used now: {error.strerror or error} ({place}).")
    return InvalidInput(f"The state directory {path} cannot be used, {why}, or choose another FASTTRACK_STATE_DIR.")
