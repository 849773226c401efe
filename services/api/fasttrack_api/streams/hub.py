"""One reader of the whole feed per process, and everyone who follows it.

Each batch is read once, matched once per different filter, and handed on without waiting for anybody. The reader works
while somebody follows, woken by the doorbell; a look every second is the backstop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from typing import cast
from uuid import UUID

import structlog
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from fasttrack.db import Database
from fasttrack.db.feed import read_head
from fasttrack.db.follow import Stretch, Wanted, read_events
from fasttrack.doorbell import Doorbell
from fasttrack.errors import FastTrackError, Unavailable
from fasttrack.feed import Cursor, CursorExpired
from fasttrack.ids import JobId
from fasttrack.settings import Settings
from fasttrack.tasks import end_tasks
from fasttrack.telemetry import LogLimiter

from ..parts import Parts
from ..problems import STATUS
from .access import Access, Ticket
from .messages import Chunk, Message
from .subscriber import Subscriber

log = structlog.get_logger()

_ALL = Wanted(None)
_PAGE = 1000
_BACKSTOP = 1.0
_GOING = "the server is going away: come back with the newest cursor"


class TooManyStreams(FastTrackError):
    """Too many streams are open: close one, or try again later."""

    code = "TOO_MANY_STREAMS"
    retryable = True


STATUS[TooManyStreams] = 429
STATUS[CursorExpired] = 410


class Hub:
    """The process's reader and its subscribers."""

    def __init__(self, database: Database, doorbell: Doorbell, settings: Settings) -> None:
        self.epoch = UUID(int=0)
        self.pos = 0
        """How far the reader has read."""
        self.bookmark_interval = settings.stream_bookmark_interval.total_seconds()
        self.buffer_bytes = settings.stream_buffer_bytes
        self.buffer_events = settings.stream_buffer_events
        self.linger = 10.0
        """Seconds that the reader works on when nobody follows any more: whoever reconnects finds it at work."""
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        # By job, since most follow one: an event is matched with those of its job, and those of no job.
        self._channels: dict[JobId | None, dict[Wanted, set[Subscriber]]] = defaultdict(dict)
        self._access: dict[Hashable, Access] = {}
        self._streams: dict[Subscriber, Ticket] = {}
        self._held: Counter[Hashable] = Counter()
        self._reader: asyncio.Task[None] | None = None
        self._ended: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._is_closed = False
        # Everyone who is behind at once would take every connection that requests need.
        self._reading = asyncio.Semaphore(max(settings.database_pool_size // 2, 1))
        self._limiter = LogLimiter()
        self._wake = asyncio.Event()

    @classmethod
    def of(cls, connection: HTTPConnection) -> Hub:
        """That of the application that serves this request or socket."""
        state = connection.app.state
        if not hasattr(state, "hub"):
            parts = Parts.of(connection)
            state.hub = cls(parts.database, parts.doorbell, parts.settings)
        return cast("Hub", state.hub)

    @property
    def open(self) -> int:
        """How many follow."""
        return len(self._streams)

    async def subscribe(
        self,
        ticket: Ticket,
        wanted: Wanted,
        *,
        after: Cursor | None,
        is_fixed: bool = False,
        from_the_start: bool = False,
    ) -> Subscriber:
        """Follow what is wanted beyond the cursor, or from now on.

        :param ticket: stands for what the caller came with, and is looked at again while the stream is open.
        :param is_fixed: one project, pipeline or job was asked for, rather than all that the caller may read.
        :param from_the_start: without a cursor, begin with the oldest event that is kept.
        :raises TooManyStreams: the token's, or the process's, are all taken.
        :raises CursorExpired: the cursor is of another feed, or ahead of this one, or what follows it was removed.
        :raises Unavailable: the database cannot be asked.
        """
        if self._is_closed:
            raise Unavailable(_GOING)
        await self._start()
        if after is not None and after.epoch != self.epoch:
            raise CursorExpired
        self._refuse_too_many(ticket)
        pos = after.pos if after is not None else 0 if from_the_start else self.pos
        access = self._access.get(ticket.key)
        if access is None:
            interval = self._settings.stream_access_interval.total_seconds()
            access = self._access[ticket.key] = Access(ticket.caller, ticket.renew, interval)
        may_be_cut = after is None and from_the_start
        stream = Subscriber(self, access, wanted, pos, is_fixed=is_fixed, may_be_cut=may_be_cut)
        self._streams[stream] = ticket
        self._held[ticket.holder] += 1
        access.join(stream)
        try:
            await stream.begin()
        except BaseException:
            stream.close()
            raise
        return stream

    async def _start(self) -> None:
        async with self._starting:
            if self._reader is None or self._reader.done():
                async with self._database.transaction() as db:
                    head = await read_head(db)
                self.epoch, self.pos = head.epoch, head.pos
                self._reader = asyncio.create_task(self._read())

    def _refuse_too_many(self, ticket: Ticket) -> None:
        if self._held[ticket.holder] >= self._settings.stream_limit_per_token:
            raise TooManyStreams(
                f"{self._held[ticket.holder]} streams of yours are open, which is as many as may be: close one, or "
                "follow several jobs with one"
            )
        if len(self._streams) >= self._settings.stream_limit:
            raise TooManyStreams("this server holds as many streams as it may: try again later")

    def left(self, stream: Subscriber) -> None:
        """It is closed."""
        ticket = self._streams.pop(stream, None)
        if ticket is None:
            return
        self._held[ticket.holder] -= 1
        if not self._held[ticket.holder]:
            del self._held[ticket.holder]
        stream.access.leave(stream)
        if not stream.access.streams and self._access.get(ticket.key) is stream.access:
            del self._access[ticket.key]
        if not self._streams:
            asyncio.get_running_loop().call_later(self.linger, self._rest)

    def _rest(self) -> None:
        """Stop reading, unless somebody follows again."""
        if not self._streams and self._reader is not None:
            self._reader.cancel()
            self._ended.add(self._reader)
            self._reader.add_done_callback(self._ended.discard)
            self._reader = None

    def attach(self, stream: Subscriber) -> None:
        """Hand it what follows."""
        self._channels[stream.wanted.job].setdefault(stream.wanted, set()).add(stream)

    def detach(self, stream: Subscriber) -> None:
        """Hand it nothing more."""
        channels = self._channels.get(stream.wanted.job, {})
        members = channels.get(stream.wanted)
        if members is not None:
            members.discard(stream)
            if not members:
                del channels[stream.wanted]
        if not channels:
            self._channels.pop(stream.wanted.job, None)

    async def read(self, wanted: Wanted, *, after: int, limit: int) -> Stretch:
        """A page from the database. :raises Unavailable: it cannot be asked."""
        async with self._reading, self._database.transaction() as db:
            return await read_events(db, wanted, after=after, limit=limit)

    def chunk(self, page: Stretch) -> Chunk:
        """A page as it is handed out."""
        return Chunk(page.epoch, [Message(page.epoch, e) for e in page.events], page.reached)

    async def close(self) -> None:
        """End every stream, saying that the server goes away, stop reading, and begin no more."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.end(Unavailable(_GOING))
        readers = [*self._ended, *([self._reader] if self._reader else [])]
        await end_tasks(*readers)
        for stream in list(self._streams):
            stream.access.leave(stream)

    # -- the reader --------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        helpers = [asyncio.create_task(self._listen()), asyncio.create_task(self._tick())]
        try:
            while True:
                self._wake.clear()
                try:
                    if await self._read_on():
                        continue
                except Unavailable as error:
                    if self._limiter.allows("read"):
                        log.warning("the feed cannot be read; streams wait", error=error.message)
                except Exception as error:  # our fault: nobody who follows may be left alone with a dead reader
                    if self._limiter.allows("fault"):
                        log.error("the feed could not be read", exc_info=error)
                    for stream in list(self._streams):
                        stream.fall_behind()  # it may have missed what was read
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BACKSTOP):
                        await self._wake.wait()
        finally:
            await end_tasks(*helpers)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(min(self.bookmark_interval / 4, 1.0))
            now = asyncio.get_running_loop().time()
            for stream in list(self._streams):
                if stream.due <= now:
                    stream.nudge()

    async def _listen(self) -> None:
        async for _ in self._doorbell.feed_moves():
            self._wake.set()

    async def _read_on(self) -> bool:
        """Read what follows and hand it on; whether there is more."""
        async with self._database.transaction() as db:
            page = await read_events(db, _ALL, after=self.pos, limit=_PAGE)
        if page.epoch != self.epoch or page.head < self.pos:  # another database: what was followed is gone
            self.epoch, self.pos = page.epoch, page.head
            for stream in list(self._streams):
                stream.end(CursorExpired())
            return False
        self._hand_on(page)
        return page.reached < page.head

    def _hand_on(self, page: Stretch) -> None:
        by_job: dict[JobId, list[Message]] = defaultdict(list)
        everything = []
        for event in page.events:
            message = Message(page.epoch, event)
            everything.append(message)
            if event.job_id in self._channels:
                by_job[event.job_id].append(message)
        # First the reader's place: whoever falls behind meanwhile reads up to it.
        self.pos = page.reached
        for job, messages in [(None, everything), *by_job.items()]:
            for wanted, members in list(self._channels.get(job, {}).items()):
                taken = [m for m in messages if wanted.takes(m.event)]
                if taken:
                    chunk = Chunk(page.epoch, taken, page.reached)
                    for stream in list(members):
                        stream.offer(chunk)


@asynccontextmanager
async def closing(app: Starlette) -> AsyncIterator[None]:
    """End the application's streams when the block ends."""
    try:
        yield
    finally:
        await end_streams(app)


async def end_streams(app: object) -> None:
    """End the streams of an application, if it is one that has any, and begin no more. Safe to call again."""
    hub = getattr(getattr(app, "state", None), "hub", None)
    if isinstance(hub, Hub):
        await hub.close()
