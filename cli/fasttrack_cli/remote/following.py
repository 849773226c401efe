"""Follows a job of a server until it is over, by server-sent events: from a cursor on, through outages and restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fasttrack.domain.cursor import Cursor
from fasttrack.domain.events import FeedEvent
from fasttrack.errors import FastTrackError, Forbidden, NotFound, TooManyRequests, Unauthenticated, Unavailable
from fasttrack.ids import JobId

from ..store import Board, Job, Task, Viewer
from .answers import Event
from .connection import Connection
from .problems import CursorExpired, ServerFault
from .sse import Sent, sent_in

QUIET_SECONDS = 45.0
"""A stream that says nothing for so long is dead: a server sends a bookmark at least every fifteen seconds by default."""
BACKSTOP_SECONDS = 5.0
_LONGEST_REST = 5.0
_NO_MORE = (NotFound, Forbidden, Unauthenticated)


class RemoteWatch:
    """A job of a server, ready to be followed."""

    def __init__(
        self,
        connection: Connection,
        board: Board,
        read: Callable[[JobId], Awaitable[tuple[Job, Sequence[Task]]]],
        history: Callable[[JobId], AsyncIterator[FeedEvent]],
    ) -> None:
        self.board = board
        self._connection = connection
        self._read = read
        self._history = history
        self._cursor: str | None = None

    async def follow(self, viewer: Viewer) -> None:
        """Bring the board up to every event until the job is over.

        The server may go away meanwhile: it is asked again, at this address, and the stream goes on from the last
        cursor; what is known already is left out by its number in the job's history.
        """
        if self.board.state.is_terminal:
            return
        tasks = [asyncio.create_task(work) for work in (self._follow(viewer), self._look(viewer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _follow(self, viewer: Viewer) -> None:
        rest = 0.1
        while not self.board.state.is_terminal:
            began = time.monotonic()
            try:
                async with aclosing(self._events()) as events:
                    async for event in events:
                        viewer.note("")
                        if event is not None and self._is_last(event, viewer):
                            return
            except CursorExpired:
                viewer.note("the place in the feed is gone; the job's history is read again")
                self._cursor = None
            except (Unavailable, TooManyRequests, ServerFault) as error:
                viewer.note(f"the job goes on, but cannot be watched: {error.message}. Trying again.")
            if time.monotonic() - began > _LONGEST_REST:
                rest = 0.1  # it was well for a while
            await asyncio.sleep(rest)
            rest = min(rest * 2, _LONGEST_REST)

    def _is_last(self, event: FeedEvent, viewer: Viewer) -> bool:
        self.board.show(event, viewer)
        return self.board.state.is_terminal

    async def _events(self) -> AsyncGenerator[FeedEvent | None, None]:
        """Events of one connection, in order, each when its cursor is kept; `None` for a sign of life."""
        headers = {"Accept": "text/event-stream"}
        if self._cursor is not None:
            headers["Last-Event-ID"] = self._cursor
        path = f"/jobs/{self.board.job.id}/events"
        async with self._connection.stream(path, headers=headers, read_timeout=QUIET_SECONDS) as answer:
            async for sent in sent_in(answer):
                if sent.kind == "end":
                    raise _end_of(sent)
                yield _event_of(sent) if sent.kind == "event" else None
                self._cursor = sent.id or self._cursor

    async def _look(self, viewer: Viewer) -> None:
        """The backstop: when the stream says nothing for a while, ask for the job itself."""
        while not self.board.state.is_terminal:
            seen = self.board.seq
            await asyncio.sleep(BACKSTOP_SECONDS)
            if self.board.seq != seen:
                continue
            with suppress(Unavailable, TooManyRequests, ServerFault):
                job, tasks = await self._read(self.board.job.id)
                if not job.state.is_terminal or self.board.seq != seen:
                    continue
                async for event in self._history(job.id):
                    self.board.show(event, viewer)
                if not self.board.state.is_terminal:  # nobody gives the last events their places
                    self.board.take_over(job, tasks)


def as_feed_event(event: Event) -> FeedEvent:
    """The event as commands know it."""
    return FeedEvent(
        pos=Cursor.parse(event.cursor).pos,
        job_id=event.job_id,
        seq=event.seq,
        kind=event.kind,
        at=event.at,
        task=event.task,
        task_instance_id=event.task_instance_id,
        payload=event.payload,
    )


def _event_of(sent: Sent) -> FeedEvent:
    try:
        return as_feed_event(TypeAdapter(Event).validate_json(sent.data))
    except ValidationError:
        raise Unavailable("the stream of events is not one of a FastTrack of this version") from None


def _end_of(sent: Sent) -> FastTrackError:
    """Why the server ends a stream, as the error that the same refusal of a request is."""
    try:
        body: Any = TypeAdapter(dict[str, Any]).validate_json(sent.data)
    except ValidationError:
        body = {}
    code, detail = str(body.get("code", "")), str(body.get("detail", "the server ended the stream"))[:500]
    if body.get("retryable"):
        return Unavailable(detail)
    kind = next((kind for kind in (*_NO_MORE, CursorExpired) if kind.code == code), None)
    return kind(detail) if kind is not None else Unavailable(detail)
