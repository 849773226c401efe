"""What streams carry: each event encoded once per process, however many follow it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson

from fasttrack.db.follow import ToldEvent
from fasttrack.feed import Cursor


class Message:
    """One event with its cursor."""

    def __init__(self, epoch: UUID, event: ToldEvent) -> None:
        self.event = event
        self.cursor = str(Cursor(epoch, event.pos))

    @cached_property
    def json(self) -> bytes:
        """The event as one JSON object."""
        event = self.event
        return orjson.dumps(
            {
                "cursor": self.cursor,
                "project_id": str(event.project_id),
                "pipeline_id": str(event.pipeline_id),
                "job_id": str(event.job_id),
                "seq": event.seq,
                "kind": event.kind,
                "at": event.at,
                "task": event.task,
                "task_instance_id": str(event.task_instance_id) if event.task_instance_id else None,
                "payload": event.payload,
            }
        )

    @cached_property
    def frame(self) -> bytes:
        """The event as a server-sent event."""
        return b"id: %b\nevent: event\ndata: %b\n\n" % (self.cursor.encode(), self.json)


class Chunk:
    """Events that follow one another, and the place that a reader has reached with them; none of them: a bookmark.

    All whose filter is the same share one.
    """

    def __init__(self, epoch: UUID, messages: Sequence[Message], reached: int) -> None:
        self.messages = messages
        self.reached = reached
        self._epoch = epoch

    @cached_property
    def cursor(self) -> str:
        """Where a reader goes on after this."""
        return str(Cursor(self._epoch, self.reached))

    @cached_property
    def size(self) -> int:
        """Bytes that it holds, encoded."""
        return sum(len(m.json) for m in self.messages)

    @cached_property
    def frames(self) -> bytes:
        """The whole as server-sent events."""
        if not self.messages:
            return bookmark(self.cursor)
        return b"".join(m.frame for m in self.messages)

    @cached_property
    def memo(self) -> dict[str, Any]:
        """Forms that others have made of it, so that they are made once."""
        return {}

    def beyond(self, pos: int) -> Chunk:
        """The part that lies beyond this place."""
        return Chunk(self._epoch, [m for m in self.messages if m.event.pos > pos], self.reached)


def bookmark(cursor: str) -> bytes:
    """A server-sent event that says only how far the stream is."""
    return b'id: %b\nevent: bookmark\ndata: {"cursor":"%b"}\n\n' % (cursor.encode(), cursor.encode())


def end(code: str, detail: str, *, is_retryable: bool) -> bytes:
    """The last server-sent event of a stream that the server ends."""
    body = orjson.dumps({"code": code, "detail": detail, "retryable": is_retryable})
    return b"event: end\ndata: %b\n\n" % body


HEARTBEAT = b": nothing new\n\n"
"""Keeps the connection from looking dead when there is not even a new cursor to tell."""
