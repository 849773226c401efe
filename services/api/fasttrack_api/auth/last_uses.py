"""When tokens were used last: noted in memory by each request, written now and then for all of them at once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from fasttrack.db import Database
from fasttrack.db.tokens import write_last_uses
from fasttrack.errors import Unavailable

log = structlog.get_logger()

INTERVAL = 10.0
"""Seconds between two writes."""
_NEWS = timedelta(minutes=1)


class LastUses:
    """What is still to be written."""

    def __init__(self) -> None:
        self._written: dict[UUID, datetime] = {}
        self._news: dict[UUID, datetime] = {}

    def note(self, token: UUID, now: datetime) -> None:
        """A token is used. Costs no statement and no wait."""
        last = self._written.get(token)
        if last is None or now - last >= _NEWS:
            self._news[token] = now

    async def write(self, database: Database) -> int:
        """Write what is new by a minute, in one statement; how many tokens it was."""
        if not self._news:
            return 0
        news, self._news = self._news, {}
        try:
            written = await database.run(lambda db: write_last_uses(db, news), tries=1)
        except Unavailable:
            self._news = {**news, **self._news}
            raise
        if len(self._written) > 10_000:
            self._written.clear()  # the statement looks at the minute again
        self._written.update(news)
        return written

    async def keep_writing(self, database: Database) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.write(database)
            except Unavailable as error:
                log.warning("when tokens were used last could not be written; it is tried again", error=error.message)
