"""Who uses a state directory right now: shared file locks, which the kernel lets go when a process ends, however it ends.

`SERVERS` is held by every command that works with the embedded servers, so that they are not stopped under it;
`SCHEDULER` by every command that runs a scheduler, so that others can tell whether a submitted job will start by itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVERS = "servers"
SCHEDULER = "scheduler"


class Presence:
    """One process's share in a lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def is_alone(self) -> bool:
        """Whether nobody else has a share. Then newcomers wait until this one is given up."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def present(state_dir: Path, what: str) -> Iterator[Presence]:
    """Have a share while the block runs; waits while somebody is just shutting down. The directory must exist."""
    descriptor = os.open(_path(state_dir, what), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield Presence(descriptor)
    finally:
        os.close(descriptor)


def anyone_present(state_dir: Path, what: str) -> bool:
    """Whether some process has a share."""
    try:
        descriptor = os.open(_path(state_dir, what), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not Presence(descriptor).is_alone()
    finally:
        os.close(descriptor)


def _path(state_dir: Path, what: str) -> Path:
    return state_dir / f"{what}.in-use"
