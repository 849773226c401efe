"""Who PostgreSQL runs as. It refuses root, so for root it is another user; for everybody else it is the caller.

Root's directory for the servers is closed to others, and so often are the directories above it (`/root`) and the one FastTrack is
installed in. Opening them for the server would open them for everyone. The server gets one power of root instead, on
Linux: to pass and read directories whatever their mode. Nobody but root can then reach the server's files or socket,
and the power helps no one else.
"""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

from fasttrack.errors import InvalidInput

# From linux/capability.h. Reading is enough; containers often have only the stronger of the two.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAP_CHOWN, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 0, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to run a server as; `capability` is the one power of root that it keeps."""

    uid: int
    gid: int
    capability: int | None = None

    @property
    def is_caller(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def directory_mode(self) -> int:
        """Closed to others; open for passing, not for reading, when the server cannot do without."""
        return 0o700 if self.is_caller or self.capability is not None else 0o711


def caller() -> Identity:
    return Identity(os.geteuid(), os.getegid())


def unprivileged() -> Identity:
    """The user PostgreSQL runs as: the caller, or `nobody` for root. Raises InvalidInput when that cannot be."""
    if os.geteuid() != 0:
        return caller()
    held = capabilities()
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        raise _refusal("this machine has no user `nobody`") from None
    if not all(held >> needed & 1 for needed in (CAP_CHOWN, CAP_SETGID, CAP_SETUID)):
        raise _refusal("this root may not become another user")
    # The least that passes closed directories, where this process may hand anything on at all.
    may_hand_on = sys.platform == "linux" and held >> CAP_SETPCAP & 1
    passing = (each for each in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if may_hand_on and held >> each & 1)
    return Identity(user.pw_uid, user.pw_gid, next(passing, None))


def capabilities() -> int:
    """The powers of root that this process has, as a set of bits; all of them where root is not divided."""
    try:
        return int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    except FileNotFoundError:
        return -1


def check_reachable(identity: Identity, *places: Path) -> None:
    """Refuse, with the directory in the way, when `identity` cannot reach one of `places`."""
    if identity.is_caller or identity.capability is not None:
        return
    for place in places:
        for directory in reversed((place, *place.parents)):
            status = directory.stat()
            mine = status.st_uid == identity.uid
            if not status.st_mode & (0o100 if mine else 0o001):
                raise _refusal(
                    f"the user it runs as here cannot enter {directory} (let others pass it with "
                    "chmod o+x, or set FASTTRACK_STATE_DIR to a directory that they may pass)"
                )


def _refusal(why: str) -> InvalidInput:
    return InvalidInput(
        f"PostgreSQL does not run as root, and {why}: run FastTrack as an ordinary user, or set FASTTRACK_DATABASE_URL "
        "to a server you run."
    )
