"""Notes what the site has and what is free of it, for those who ask the API: when it changes, and once a minute that it is still so.

Several schedulers of a site may do so at once; each writes what the backend says, and nothing is decided by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from fasttrack.db import Database
from fasttrack.db.capacity import write_capacity
from fasttrack.domain.room import Room
from fasttrack.settings import Settings

from ..backends.base import SessionBackend

_AGAIN_AFTER = 60.0


class Surveyor:
    """Keeps the capacity of one site known."""

    def __init__(self, database: Database, backend: SessionBackend, settings: Settings) -> None:
        self._database = database
        self._backend = backend
        self._interval = settings.capacity_interval.total_seconds()
        self._told: tuple[Mapping[str, Room], float] | None = None
        self.wake = asyncio.Event()

    async def turn(self) -> float:
        """Ask the backend, and write down what is news."""
        groups = await self._backend.room(max_age=timedelta(seconds=self._interval / 2))
        now = asyncio.get_running_loop().time()
        if self._told is None or self._told[0] != groups or now - self._told[1] >= _AGAIN_AFTER:
            await self._database.run(lambda db: write_capacity(db, self._backend.site, groups))
            self._told = groups, now
        return self._interval
