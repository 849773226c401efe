"""One who follows: from the database until they have caught up, then from the hub's memory, then, if they fall behind,
from the database again. They hold a cursor and a bounded buffer, and nobody waits for them.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from fasttrack.db.follow import Stretch, Wanted
from fasttrack.domain.access import Caller, Permission
from fasttrack.errors import FastTrackError, NotFound, Unavailable
from fasttrack.feed import Cursor, CursorExpired

from .access import Access, Ended
from .messages import Chunk

PAGE = 200
"""Events that are read from the database at once for one who is behind."""
REMOVED = "events after this cursor were removed, as old ones are: list again, and follow from the list's cursor"


class Source(Protocol):
    """Where a subscriber gets events from: the hub."""

    epoch: UUID
    pos: int
    bookmark_interval: float
    buffer_bytes: int
    buffer_events: int

    async def read(self, wanted: Wanted, *, after: int, limit: int) -> Stretch:
        """A page from the database."""

    def chunk(self, page: Stretch) -> Chunk:
        """The page as it is handed out."""

    def attach(self, stream: Subscriber) -> None:
        """Offer it what follows."""

    def detach(self, stream: Subscriber) -> None:
        """Offer it nothing more."""

    def left(self, stream: Subscriber) -> None:
        """It is closed."""


class Subscriber:
    """Follows what is wanted, beyond a place. `next` gives one chunk after the other; `close` must be called."""

    def __init__(
        self, hub: Source, access: Access, wanted: Wanted, pos: int, *, is_fixed: bool, may_be_cut: bool
    ) -> None:
        self.wanted = wanted
        self.is_live = False
        self.pos = pos
        """How far everything was handed out."""
        self.due = math.inf
        """When a bookmark is due, by the loop's clock."""
        self.access = access
        self._hub = hub
        self._buffer: deque[Chunk] = deque()
        self._bytes = self._events = 0
        self._seen = pos  # how far everything was handed out or is in the buffer
        self._wake = asyncio.Event()
        self._error: Ended | None = None
        self._first: Chunk | None = None
        self._before_first = pos
        self._may_be_cut = may_be_cut
        self._is_fixed = is_fixed

    async def next(self) -> Chunk:
        """The next events; or a bookmark, when there were none for a while.

        :raises Ended: access was taken away, the cursor can no longer be honoured, or `close` was called.
        """
        self.due = asyncio.get_running_loop().time() + self._hub.bookmark_interval
        chunk: Chunk | None
        while True:
            if self._error is not None:
                raise self._error
            if not self.access.is_fresh:
                await self.access.confirmed(1.0)
                continue
            if self._first is not None:
                chunk, self._first = self._first, None
            elif self.is_live:
                chunk = await self._from_memory()
            else:
                chunk = await self._patiently()
            if chunk is not None:
                return chunk

    @property
    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self.due

    def nudge(self) -> None:
        """Have `next` look whether a bookmark is due. Called by the hub, whose one clock is cheaper than one for each."""
        self._wake.set()

    def at_hand(self) -> list[Chunk]:
        """What can be had without waiting, if anything."""
        found = []
        while self._buffer and self._error is None and self.access.is_fresh:
            found.append(self._take())
        return found

    async def begin(self) -> None:
        """Read the first page, so that what is wrong is known before anything is answered.

        :raises CursorExpired: the cursor is ahead of the feed, or what follows it was removed.
        :raises Unavailable: the database cannot be asked.
        """
        before = self.pos
        self._first = await self._from_database()
        self._before_first = before
        if self._error is not None and self._error.error is not None:
            raise self._error.error

    async def _from_memory(self) -> Chunk | None:
        if self._buffer:
            return self._take()
        if self._is_due:
            self.pos = self._seen = max(self._seen, self._hub.pos)
            return Chunk(self._hub.epoch, (), self.pos)
        self._wake.clear()
        await self._wake.wait()
        return None

    def _take(self) -> Chunk:
        chunk = self._buffer.popleft()
        self._bytes -= chunk.size
        self._events -= len(chunk.messages)
        self.pos = chunk.reached
        return chunk

    async def _patiently(self) -> Chunk | None:
        try:
            return await self._from_database()
        except Unavailable:  # the stream outlives its database being away
            await asyncio.sleep(0.5)
            return None

    async def _from_database(self) -> Chunk | None:
        wanted = self.wanted
        page = await self._hub.read(wanted, after=self.pos, limit=PAGE)
        if self._error is not None or wanted is not self.wanted:
            return None  # what the caller may read has changed meanwhile
        if page.epoch != self._hub.epoch or page.head < self.pos:
            self.end(CursorExpired())
            return None
        if page.is_cut and not self._may_be_cut:
            self.end(CursorExpired(REMOVED))
            return None
        self._may_be_cut = False
        chunk = self._hub.chunk(page)
        self.pos = self._seen = page.reached
        if page.reached >= self._hub.pos:
            self.is_live = True
            self._hub.attach(self)
        return chunk if chunk.messages or self._is_due else None

    def offer(self, chunk: Chunk) -> None:
        """Called by the hub with what follows. Never waits."""
        if chunk.reached <= self._seen:
            return  # read from the database already
        if chunk.messages[0].event.pos <= self._seen:
            chunk = chunk.beyond(self._seen)
        self._seen = chunk.reached
        if not chunk.messages:
            return
        self._buffer.append(chunk)
        self._bytes += chunk.size
        self._events += len(chunk.messages)
        if self._bytes > self._hub.buffer_bytes or self._events > self._hub.buffer_events:
            self.fall_behind()
        self._wake.set()

    def fall_behind(self) -> None:
        """Be served from the database from now on, beyond what was handed out; the memory is free."""
        self._hub.detach(self)
        self.is_live = False
        self._buffer.clear()
        self._bytes = self._events = 0
        if self._first is not None:
            self._first, self.pos = None, self._before_first
        self._seen = self.pos
        self._wake.set()

    def rescope(self, caller: Caller) -> None:
        """Follow what the caller may read now."""
        if self._is_fixed:
            assert self.wanted.projects is not None
            if not all(caller.may(Permission.READ, project) for project in self.wanted.projects):
                self.end(NotFound())
        elif caller.projects != self.wanted.projects:
            self.fall_behind()
            self.wanted = replace(self.wanted, projects=caller.projects)

    def end(self, error: FastTrackError | None) -> None:
        """Have `next` raise `Ended`; what was not handed out yet is dropped."""
        self._error = self._error or Ended(error)
        self.fall_behind()

    def close(self) -> None:
        """Let everything go. Safe to call again."""
        self.end(None)
        self._hub.left(self)

    @property
    def cursor(self) -> str:
        """Where a reader goes on after what was handed out."""
        return str(Cursor(self._hub.epoch, self.pos))

    @property
    def held(self) -> tuple[int, int]:
        """Bytes and events that are in memory for it."""
        return self._bytes, self._events
