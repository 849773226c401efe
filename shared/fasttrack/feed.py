"""Events after a cursor, then live: no gap, no repeat, and a plain answer when a cursor cannot be honoured.

`Placer` gives committed events their places and rings once per batch. `Feed` is read by place; waking is a convenience
(this process's placer, or the doorbell), and a look once a second is the backstop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from .crashpoints import crash_point
from .db import Database
from .db.feed import BATCH, place_events, read_head, read_page
from .domain.cursor import Cursor as Cursor
from .domain.cursor import CursorInvalid as CursorInvalid
from .domain.events import FeedEvent
from .doorbell import Doorbell
from .errors import InvalidInput
from .ids import JobId, ProjectId
from .telemetry import PLACED

_PAGE = 500
_REMOVED = "events after this cursor were removed, as old ones are: list again, and follow from the list's cursor"


class CursorExpired(InvalidInput):
    """The cursor belongs to a feed that is gone: list again, and follow from the list's cursor."""

    code = "CURSOR_EXPIRED"


class Placer:
    """Gives committed events their places, one batch after the other, and says so."""

    def __init__(self, database: Database, doorbell: Doorbell | None = None) -> None:
        self._database = database
        self._doorbell = doorbell
        self.moved = asyncio.Event()
        """Set when the feed has moved; whoever waits for it clears it first."""

    async def place(self) -> int:
        """Place everything that is committed; how many events. Safe from any process at any time."""
        total = 0
        while (done := await self._database.run(place_events)) is not None and done[0]:
            crash_point("place.after_commit")
            placed, pos = done
            total += placed
            self.moved.set()
            if self._doorbell is not None:
                await self._doorbell.announce(pos)
            if placed < BATCH:  # fewer events than ranges fit in: it was all
                break
        PLACED.inc(total)
        return total


class Feed:
    """Reads the feed of one project."""

    def __init__(self, database: Database, project: ProjectId) -> None:
        self._database = database
        self._project = project

    async def here(self) -> Cursor:
        """The newest place: what is listed after this call misses nothing that follows it."""
        async with self._database.transaction() as db:
            head = await read_head(db)
        return Cursor(head.epoch, head.pos)

    async def follow(
        self,
        after: Cursor,
        *,
        job: JobId | None = None,
        wake: asyncio.Event | None = None,
        every: float = 1.0,
    ) -> AsyncGenerator[tuple[Cursor, FeedEvent], None]:
        """Every event beyond `after` (of one job, if given), once and in order, for ever; each with its own cursor.

        :param wake: set by whoever knows that the feed has moved; without it, and as a backstop, the database is
            asked every `every` seconds.
        :raises CursorExpired: the cursor is of another feed, or ahead of this one (a restored database); or events
            beyond it were removed because they were old, also while following. Never for those it has seen. (Of one
            job, whose history is gone as a whole: when the cursor is older than what was last removed of the project.)
        """
        head = await self.here()
        if after.epoch != head.epoch or after.pos > head.pos:
            raise CursorExpired
        pos = after.pos
        while True:
            if wake is not None:
                wake.clear()
            async with self._database.transaction() as db:
                page = await read_page(db, self._project, after=pos, limit=_PAGE, job=job)
            if page.is_cut:
                raise CursorExpired(_REMOVED)
            for event in page.events:
                pos = event.pos
                yield Cursor(head.epoch, pos), event
            if len(page.events) < _PAGE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await (wake.wait() if wake is not None else asyncio.sleep(every))
