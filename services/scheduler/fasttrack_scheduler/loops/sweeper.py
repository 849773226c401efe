"""Ends sessions that nobody owns: a create that arrived after its attempt was given up, a job that was pruned (I3).

Only what was seen ownerless twice, an interval apart, is ended: an owner whose commit is under way is not robbed. What an
attempt left behind whose job is over, as services are that end with it, has waited long enough.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from fasttrack.crashpoints import crash_point
from fasttrack.db import Database
from fasttrack.db.passes import owned_sessions
from fasttrack.ids import parse_session_name
from fasttrack.settings import Settings

from ..backends.base import SessionBackend

log = structlog.get_logger()


class Sweeper:
    """Looks for ownerless sessions on one site."""

    def __init__(self, database: Database, backend: SessionBackend, settings: Settings) -> None:
        self._database = database
        self._backend = backend
        self._interval = settings.sweep_interval.total_seconds()
        self._suspects: set[str] = set()
        self.wake = asyncio.Event()

    async def turn(self) -> float:
        """Compare what lives with what is owned; end what was ownerless the last time too."""
        living = {o.name for o in await self._backend.live() if parse_session_name(o.name) is not None}
        async with self._database.transaction() as db:
            found = await owned_sessions(db, [p for n in living if (p := parse_session_name(n)) is not None])
        ownerless = living - found.owned
        for name in ownerless & (self._suspects | found.left):
            crash_point("sweep.after_read")
            log.warning("ending a session that no attempt owns", session=name)
            await self._backend.terminate(name, grace=timedelta(0))
            crash_point("sweep.after_end")
        self._suspects = ownerless
        return self._interval
