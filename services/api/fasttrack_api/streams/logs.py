"""What one attempt prints: a page of it, or all of it as it is written.

One who follows is a subscriber of the job's events: so access is looked at again as for every other stream, and a change of
the task's state is known without asking. Bytes are read only when the client takes them, a piece at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from fasttrack.db.follow import Wanted
from fasttrack.db.sites import InstanceSite, load_instance_sites
from fasttrack.domain.access import Caller
from fasttrack.errors import FastTrackError, NotFound, Unavailable
from fasttrack.ids import ProjectId, session_name
from fasttrack.logs import PIECE, MaskedLog, Pace, followed, load_maskers
from fasttrack.storage import LogChunk, LogPruned, Masker

from ..parts import Parts
from ..problems import STATUS
from .access import Ended, Ticket
from .hub import Hub
from .subscriber import Subscriber

STATUS[LogPruned] = 410

MOST_PAGE = 256 * 1024
"""Bytes of one page at most."""
_PRUNED = "what this attempt printed is not kept any more: its job ended longer ago than its project keeps logs"


@dataclass(frozen=True, slots=True)
class Printed:
    """One attempt of a task instance, as it was when it was looked up."""

    of: InstanceSite
    attempt: int
    """0: there is none yet."""

    @classmethod
    def chosen(cls, instance: InstanceSite, attempt: int | None) -> Printed:
        """That attempt, by default the newest. :raises NotFound: there is no such attempt."""
        if attempt is not None and attempt > instance.attempt:
            known = f"its newest is {instance.attempt}" if instance.attempt else "it has not started"
            raise NotFound(f"task {instance.name} has no attempt {attempt}: {known}")
        return cls(instance, attempt or instance.attempt)

    @property
    def is_open(self) -> bool:
        """Whether the attempt may still print something."""
        if not self.attempt:
            return not self.of.state.is_terminal
        return self.attempt == self.of.attempt and self.of.state.has_session

    @property
    def has_log(self) -> bool:
        """Whether it has, or had, a session that prints somewhere."""
        return self.attempt > 0 and self.of.site is not None

    def log(self, parts: Parts, masker: Masker) -> MaskedLog:
        """Its log, which it must have. :raises FilesElsewhere: it is at a site that is not reached from here."""
        assert self.of.site is not None
        return MaskedLog(parts.sites.of(self.of.site).logs, session_name(self.of.id, self.attempt), masker)

    async def require_kept(self, log: MaskedLog) -> None:
        """Pass if a log that is over is there still, or never was. :raises LogPruned: it was removed."""
        never_began = self.attempt == self.of.attempt and self.of.started_at is None
        if self.of.job_ended_at is not None and not never_began and await log.is_gone():
            raise LogPruned(_PRUNED)


async def masker_of(parts: Parts, project: ProjectId) -> Masker:
    """Knows the project's secrets as they are now. One transaction."""
    async with parts.database.transaction() as db:
        return (await load_maskers(db, parts.box, [project]))[project]


async def page_of(parts: Parts, printed: Printed, masker: Masker, *, offset: int, limit: int) -> LogChunk:
    """At most `limit` bytes from `offset` on.

    :raises LogPruned: it is not kept any more. :raises FilesElsewhere: it is at a site that is not reached from here.
    :raises Unavailable: the site cannot be asked right now.
    """
    if not printed.has_log:
        return LogChunk(b"", offset, not printed.is_open, 0)
    log = printed.log(parts, masker)
    chunk = await log.read(offset, limit)
    if chunk.data or chunk.is_final or printed.is_open:
        return chunk
    await printed.require_kept(log)
    # An attempt that is over and left no word of its end, such as one that never got its session.
    return replace(chunk, is_final=True)


class LogStream:
    """Follows one attempt until it is over. `chunks` gives what it prints; `close` must be called."""

    def __init__(self, parts: Parts, printed: Printed, subscriber: Subscriber) -> None:
        self.printed = printed
        self._parts = parts
        self._subscriber = subscriber
        self._is_stale = True
        self._changed = asyncio.Event()
        self._ended: Ended | None = None
        self._watch = asyncio.create_task(self._watch_job())

    @classmethod
    async def open(cls, connection: HTTPConnection, caller: Caller, printed: Printed) -> LogStream:
        """Begin to follow. :raises TooManyStreams: the caller's, or the process's, are all taken."""
        parts = Parts.of(connection)
        if printed.of.site is not None:
            parts.sites.of(printed.of.site)  # what is not reached from here is said before anything is answered
        wanted = Wanted(frozenset([printed.of.project_id]), job=printed.of.job_id)
        ticket = Ticket.of(connection, caller)
        subscriber = await Hub.of(connection).subscribe(ticket, wanted, after=None, is_fixed=True)
        return cls(parts, printed, subscriber)

    async def chunks(self, offset: int, tail: int | None = None) -> AsyncGenerator[LogChunk, None]:
        """Everything from `offset` on, or the last lines and on; empty ones when nothing was printed for a while.

        The last one is final. :raises Ended: access was taken away, or the server goes away.
        :raises LogPruned, FilesElsewhere: as for a page.
        """
        while not self.printed.has_log:
            if not await self._is_open():
                yield LogChunk(b"", offset, is_final=True)
                return
            if not self.printed.has_log:
                await self._rest(self._quiet)
                yield LogChunk(b"", offset, is_final=False)
        # Only now: the attempt has begun, and a secret that it was given is stored.
        log = self.printed.log(self._parts, await masker_of(self._parts, self.printed.of.project_id))
        if not self.printed.is_open:
            await self.printed.require_kept(log)
        if tail is not None:
            offset = await log.begin_of_tail(tail, (await log.end()).next_offset)
        pace = Pace(self._is_open, self._rest, shortest=0.05, longest=1.0, quiet=self._quiet)
        async for chunk in followed(log, offset, pace, piece=PIECE):
            await self._confirm()
            yield chunk

    def end(self, error: FastTrackError | None) -> None:
        """Have `chunks` raise `Ended`."""
        self._ended = self._ended or Ended(error)
        self._changed.set()

    def close(self) -> None:
        """Let everything go. Safe to call again."""
        self._subscriber.close()
        self._watch.cancel()

    @property
    def _quiet(self) -> float:
        return self._parts.settings.stream_bookmark_interval.total_seconds()

    async def _watch_job(self) -> None:
        try:
            while True:
                chunk = await self._subscriber.next()
                if any(m.event.task_instance_id == self.printed.of.id for m in chunk.messages):
                    self._is_stale = True
                    self._changed.set()
        except Ended as ended:
            self._ended = self._ended or ended
            self._changed.set()

    async def _is_open(self) -> bool:
        if self._is_stale:
            self._is_stale = False
            try:
                await self._look()
            except Unavailable:  # the stream outlives its database being away
                self._is_stale = True
                return True
        return self.printed.is_open

    async def _look(self) -> None:
        """Bring the instance up to date; one that has begun is followed at the attempt that it began with."""
        async with self._parts.database.transaction() as db:
            found = await load_instance_sites(db, None, [self.printed.of.id])
        if (now := found.get(self.printed.of.id)) is None:
            raise LogPruned(_PRUNED)
        self.printed = Printed(now, self.printed.attempt or now.attempt)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
        await self._confirm()

    async def _confirm(self) -> None:
        """Pass when the caller may be told more. :raises Ended: they may not."""
        while self._ended is None and not self._subscriber.access.is_fresh:
            await self._subscriber.access.confirmed(1.0)
        if self._ended is not None:
            raise self._ended
