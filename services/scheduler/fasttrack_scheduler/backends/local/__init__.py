"""The local backend: compute sessions as real processes on this machine, kept in files of the state directory.

Read `backend.py` first (the verbs of the contract), then `site` (what one turn does to the files). Below them: `journal` and `ledger`
(what is on disk), `queue`, `capacity` and `devices` (who may run), `starting`, `folders`, `environment`, `sandbox` and
`launcher` (how a command starts), `registry`, `watch`, `stopping` and `ending` (its life and end), `outcome` (what is
told of it), `process` (/proc). What people read of it, output and folders, is in `fasttrack.storage`.
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
