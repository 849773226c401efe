"""What a server wrote before it gave up, as one sentence with the remedy."""

from __future__ import annotations

import re
from pathlib import Path

from fasttrack.errors import Unavailable

# The first that matches wins: shared memory also reports "No space left on device".
REMEDIES = (
    (
        r"in (become|keep_only)\b",
        "this root may not become the user `nobody`, and PostgreSQL does not run as root: run FastTrack as an ordinary "
        "user, or set FASTTRACK_DATABASE_URL to a server you run",
    ),
    (
        r"shared memory.*(No space|Cannot allocate|Invalid argument)|could not (create|map|resize).*shared memory",
        "shared memory is exhausted: end other programs, or give the container more with --shm-size",
    ),
    (r"No space left on device|Disk quota exceeded", "the disk of the state directory is full: free some space"),
    (r"Cannot allocate memory|Out of memory|oom", "the machine is out of memory: end other programs"),
    (
        r"Address already in use|lock file .* already exists",
        "another server uses this state directory: end it, or choose another FASTTRACK_STATE_DIR",
    ),
    (
        r"user does not exist|could not look up effective user",
        "the user who runs FastTrack has no entry in the user database (/etc/passwd): add one, or set "
        "FASTTRACK_DATABASE_URL to a server you run",
    ),
    (
        r"Permission denied|Operation not permitted",
        "it may not use the state directory: give that to the user who runs FastTrack, or choose another "
        "FASTTRACK_STATE_DIR",
    ),
    (r"Read-only file system", "the state directory is read-only: choose another FASTTRACK_STATE_DIR"),
    (r"error while loading shared libraries", "a system library is missing: install it"),
)


def start_failure(name: str, output: str, log: Path | None = None) -> Unavailable:
    """The error for a server that did not start, from the last lines it wrote."""
    remedy = next((text for pattern, text in REMEDIES if re.search(pattern, output, re.I)), None)
    if remedy is None:
        remedy = f"its log is {log}" if log else "its own words tell why"
    said = f" The server said:\n{output}" if output else ""
    return Unavailable(f"{name} did not start, {remedy}.{said}")
