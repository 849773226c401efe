"""Reads the output of one attempt from the session backend, piece by piece, masked."""

from __future__ import annotations

import asyncio

from fasttrack.db.jobs import InstanceRecord, JobRecord
from fasttrack.errors import NotFound
from fasttrack.ids import session_name
from fasttrack.logs import MaskedLog, Pace, followed, load_maskers
from fasttrack.storage import LogChunk

from ..lookup import require_task
from ..store import LogWriter
from ..workbench import Workbench

_PIECE = 256 * 1024
_REST = 0.25


class LogReader:
    """One attempt's output."""

    def __init__(self, bench: Workbench, job: JobRecord, task: InstanceRecord, attempt: int) -> None:
        self._bench = bench
        self._job = job
        self._task = task
        self._attempt = attempt
        self.notes: list[str] = []
        """What a person should know besides the text."""

    @classmethod
    def of(cls, bench: Workbench, job: JobRecord, task: InstanceRecord, *, attempt: int | None) -> LogReader:
        """The reader of that attempt, of the newest by default. :raises NotFound: there is no such attempt."""
        if attempt is not None and attempt > task.attempt:
            known = f"its newest is {task.attempt}" if task.attempt else "it has not started"
            raise NotFound(f"task {task.name} has no attempt {attempt}: {known}")
        return cls(bench, job, task, attempt or task.attempt)

    async def read(self, write: LogWriter, *, offset: int, tail: int | None, follow: bool) -> None:
        """Write everything from `offset` on, or the last lines; with `follow` until the attempt is over."""
        if self._job.ended_at is not None:
            follow = False  # nothing follows, and what is not kept any more would never say that it ends
        if not self._attempt and follow:
            await self._wait_for_start()
        if not self._attempt:
            reason = f": {self._task.reason}" if self._task.reason else ""
            self.notes.append(f"task {self._task.name} is {self._task.state} and has written nothing{reason}")
            return
        log = await self._log()
        if self._job.ended_at is not None and await log.is_gone():
            self.notes.append(f"what task {self._task.name} printed is not kept any more; its job ended long ago")
            return
        if tail is not None:
            offset = await log.begin_of_tail(tail, (await log.end()).next_offset)
        if follow:
            async for chunk in followed(log, offset, Pace(self._is_open), piece=_PIECE):
                if chunk.data or chunk.is_final:
                    write(chunk.data, chunk.next_offset, chunk.is_final)
            return
        chunk = LogChunk(b"", offset, is_final=False)
        while not chunk.is_final:
            chunk = await log.read(chunk.next_offset, _PIECE)
            if chunk.data or chunk.is_final:
                write(chunk.data, chunk.next_offset, chunk.is_final)
            if not chunk.data:
                return

    async def _log(self) -> MaskedLog:
        bench = self._bench
        maskers = await bench.database.run(lambda db: load_maskers(db, bench.box, [bench.project]))
        source = bench.backend()
        return MaskedLog(source, session_name(self._task.id, self._attempt), maskers[bench.project])

    async def _is_open(self) -> bool:
        await self._refresh()
        return self._task.attempt == self._attempt and self._task.state.has_session

    async def _wait_for_start(self) -> None:
        while not self._task.attempt and not self._task.state.is_terminal:
            await asyncio.sleep(_REST)
            await self._refresh()
        self._attempt = self._task.attempt

    async def _refresh(self) -> None:
        self._task = await self._bench.database.run(lambda db: require_task(db, self._job, self._task.name))
