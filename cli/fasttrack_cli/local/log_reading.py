"""Reads the output of one attempt from the session backend, piece by piece, masked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from fasttrack.clock import SystemClock
from fasttrack.db import Db
from fasttrack.db.jobs import InstanceRecord, JobRecord
from fasttrack.db.secrets import list_secrets, read_secrets
from fasttrack.errors import Conflict, NotFound, Unavailable
from fasttrack.ids import session_name
from fasttrack_scheduler.backends import make_backend
from fasttrack_scheduler.backends.base import LogChunk

from ..lookup import require_task
from ..masking import Masker
from ..store import LogWriter
from ..workbench import Workbench

_PIECE = 256 * 1024
_SHORTEST_REST, _LONGEST_REST = 0.1, 1.0


class LogReader:
    """One attempt's output."""

    def __init__(self, bench: Workbench, job: JobRecord, task: InstanceRecord, attempt: int, masker: Masker) -> None:
        self._bench = bench
        self._job = job
        self._task = task
        self._attempt = attempt
        self._masker = masker
        self._backend = make_backend(bench.settings.backend, bench.settings, SystemClock())
        self.notes: list[str] = []
        """What a person should know besides the text."""

    @classmethod
    async def of(cls, bench: Workbench, job: JobRecord, task: InstanceRecord, *, attempt: int | None) -> LogReader:
        """The reader of that attempt, of the newest by default. :raises NotFound: there is no such attempt."""
        if attempt is not None and attempt > task.attempt:
            known = f"its newest is {task.attempt}" if task.attempt else "it has not started"
            raise NotFound(f"task {task.name} has no attempt {attempt}: {known}")
        return cls(bench, job, task, attempt or task.attempt, Masker(await _secret_values(bench)))

    async def read(self, write: LogWriter, *, offset: int, tail: int | None, follow: bool) -> None:
        """Write everything from `offset` on, or the last lines; with `follow` until the attempt is over."""
        if self._job.ended_at is not None:
            follow = False  # nothing follows, and what is not kept any more would never say that it ends
            if self._attempt and await self._is_gone():
                self.notes.append(f"what task {self._task.name} printed is not kept any more; its job ended long ago")
                return
        if not self._attempt and follow:
            await self._wait_for_start()
        if not self._attempt:
            reason = f": {self._task.reason}" if self._task.reason else ""
            self.notes.append(f"task {self._task.name} is {self._task.state} and has written nothing{reason}")
            return
        lead = min(offset, self._masker.longest)  # a secret may begin before the place that was asked for
        self._masker.drop(lead)
        if tail is None:
            async for chunk in self._chunks(offset - lead, follow=follow):
                is_last = chunk.is_final or (not follow and not chunk.data)
                self._write(write, chunk, is_last=is_last)
            return
        chunks = [chunk async for chunk in self._chunks(offset - lead, follow=False)]
        last = chunks[-1]
        text = b"".join(self._masker.feed(c.data, is_final=c is last and not follow) for c in chunks)
        write(_last_lines(text, tail), last.next_offset, last.is_final)
        if follow and not last.is_final:
            async for chunk in self._chunks(last.next_offset, follow=True):
                self._write(write, chunk, is_last=chunk.is_final)

    def _write(self, write: LogWriter, chunk: LogChunk, *, is_last: bool) -> None:
        text = self._masker.feed(chunk.data, is_final=is_last)
        if text or is_last:
            write(text, chunk.next_offset, chunk.is_final)

    async def _chunks(self, offset: int, *, follow: bool) -> AsyncIterator[LogChunk]:
        name = session_name(self._task.id, self._attempt)
        rest = _SHORTEST_REST
        while True:
            try:
                chunk = await self._backend.logs(name, offset=offset, limit=_PIECE)
            except Unavailable:
                if not follow:
                    raise
                chunk = LogChunk(b"", offset, is_final=False)
            if chunk.is_final and not chunk.data and follow and await self._is_open():
                chunk = LogChunk(b"", offset, is_final=False)  # its session is only being created
            yield chunk
            offset = chunk.next_offset
            if chunk.is_final or (not follow and not chunk.data):
                return
            if chunk.data:
                rest = _SHORTEST_REST
                continue
            await asyncio.sleep(rest)
            rest = min(rest * 1.5, _LONGEST_REST)

    async def _is_gone(self) -> bool:
        chunk = await self._backend.logs(session_name(self._task.id, self._attempt), offset=0, limit=1)
        return not chunk.data and not chunk.is_final

    async def _is_open(self) -> bool:
        await self._refresh()
        return self._task.attempt == self._attempt and self._task.state.has_session

    async def _wait_for_start(self) -> None:
        rest = _SHORTEST_REST
        while not self._task.attempt and not self._task.state.is_terminal:
            await asyncio.sleep(rest)
            rest = min(rest * 1.5, _LONGEST_REST)
            await self._refresh()
        self._attempt = self._task.attempt

    async def _refresh(self) -> None:
        self._task = await self._bench.database.run(lambda db: require_task(db, self._job, self._task.name))


async def _secret_values(bench: Workbench) -> list[str]:
    async def read(db: Db) -> list[str]:
        names = [secret.name for secret in await list_secrets(db, bench.project)]
        values: list[str] = []
        for name in names:
            try:
                values += (await read_secrets(db, bench.box, bench.project, [name])).values()
            except Conflict:
                continue  # sealed with another key: no task of ours can have had it
        return values

    return await bench.database.run(read)


def _last_lines(text: bytes, count: int) -> bytes:
    return b"".join(deque(text.splitlines(keepends=True), maxlen=count))
