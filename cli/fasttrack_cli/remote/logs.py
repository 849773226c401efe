"""What tasks of a server printed: page by page, or as it is written, through outages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fasttrack.errors import FastTrackError, NotFound, TooManyRequests, Unavailable

from ..store import Job, LogWriter, Task
from .connection import Connection
from .jobs import RemoteJobs
from .problems import ServerFault

_PIECE = 256 * 1024
_QUIET_SECONDS = 60.0
"""A stream that says nothing for so long is opened anew: a task may be silent, and so is a connection that is gone."""
_LONGEST_REST = 5.0
_PRUNED = "LOG_PRUNED"


class RemoteLogs:
    """Of one project."""

    def __init__(self, connection: Connection, jobs: RemoteJobs) -> None:
        self._connection = connection
        self._jobs = jobs

    async def read(
        self,
        text: str,
        task: str,
        write: LogWriter,
        *,
        attempt: int | None,
        offset: int,
        tail: int | None,
        follow: bool,
    ) -> Sequence[str]:
        """Write what the task printed."""
        record, tasks = await self._jobs.read((await self._jobs.find(text)).id)
        found = _task_of(record, tasks, task)
        is_over = record.ended_at is not None
        if not found.attempt and (is_over or not follow):
            reason = f": {found.reason}" if found.reason else ""
            return [f"task {found.name} is {found.state} and has written nothing{reason}"]
        reading = _Reading(self._connection, f"/jobs/{record.id}/tasks/{found.id}/logs", attempt, write)
        try:
            await reading.pages(offset, tail, once=follow and not is_over)
            if follow and not is_over:
                await reading.on()
        except FastTrackError as error:
            if error.code != _PRUNED:
                raise
            return [f"what task {found.name} printed is not kept any more; its job ended long ago"]
        return []


class _Reading:
    """One attempt's output, read on from where it is."""

    def __init__(self, connection: Connection, path: str, attempt: int | None, write: LogWriter) -> None:
        self._connection = connection
        self._path = path
        self._attempt = attempt
        self._write = write
        self._offset = 0
        self._is_final = False

    async def pages(self, offset: int, tail: int | None, *, once: bool) -> None:
        """What is there from the offset on, or its last lines.

        :param once: one page only, since it is followed from there.
        """
        query: dict[str, Any] = {"attempt": self._attempt, "tail": tail}
        self._offset = offset
        while True:
            if tail is None:
                query |= {"offset": self._offset, "limit": _PIECE}
            answer = await self._connection.call("GET", self._path, query=query)
            self._attempt = self._attempt or int(answer.headers.get("log-attempt", 0)) or None
            self._is_final = answer.headers.get("log-is-final") == "true"
            self._tell(answer.content, int(answer.headers.get("log-next-offset", self._offset)))
            if once or self._is_final or tail is not None or not answer.content:
                return

    async def on(self) -> None:
        """Everything that follows, until the attempt is over; a server that goes away is asked again."""
        rest = 0.25
        while not self._is_final:
            before = self._offset
            try:
                await self._stream()
                self._is_final = True
                self._tell(b"", self._offset)
            except (Unavailable, ServerFault, TooManyRequests):
                rest = 0.25 if self._offset > before else min(rest * 2, _LONGEST_REST)
                await asyncio.sleep(rest)

    async def _stream(self) -> None:
        query = {"attempt": self._attempt, "offset": self._offset, "follow": "true"}
        async with self._connection.stream(
            self._path, headers={"Accept": "text/plain"}, read_timeout=_QUIET_SECONDS, query=query
        ) as answer:
            self._attempt = self._attempt or int(answer.headers.get("log-attempt", 0)) or None
            async for data in answer.aiter_bytes():
                self._tell(data, self._offset + len(data))

    def _tell(self, data: bytes, offset: int) -> None:
        self._offset = offset
        if data or self._is_final:
            self._write(data, offset, self._is_final)


def _task_of(job: Job, tasks: Sequence[Task], name: str) -> Task:
    """The job's task of that name. :raises NotFound: it has none; the sentence names those it has."""
    found = next((task for task in tasks if task.name == name), None)
    if found is None:
        names = ", ".join(task.name for task in tasks[:20]) + (", …" if len(tasks) > 20 else "")
        raise NotFound(f"job {job.id} has no task named {name}; it has {names}")
    return found
