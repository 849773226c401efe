"""The local backend: compute sessions as real processes on this machine, kept in files of the state directory.

Read `backend.py` first; the nouns below it are `journal` (what is on disk), `capacity` and `devices` (who may run),
`sandbox` and `folders` (what a task sees), `process` (starting, watching, ending).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasttrack.clock import Clock
    from fasttrack.settings import Settings

    from .backend import LocalBackend


def make(settings: Settings, clock: Clock) -> LocalBackend:
    """The backend of this machine. Times come from the file system, so `clock` is not asked."""
    from .backend import LocalBackend

    return LocalBackend(settings)


__all__ = ["make"]
