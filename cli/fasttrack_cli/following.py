"""Follows a job until it is over: the feed from a cursor on, through outages, without a gap and without a repeat."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Protocol

from fasttrack.db import Db
from fasttrack.db.feed import read_history
from fasttrack.db.jobs import find_job, list_instances
from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import JobState
from fasttrack.errors import NotFound, Unavailable
from fasttrack.feed import Cursor, CursorExpired
from fasttrack.ids import JobId
from fasttrack.workflow.versions import CompiledVersions

from .view.board import Board
from .workbench import Workbench

BACKSTOP_SECONDS = 5.0
_LONGEST_REST = 5.0
_PAGE = 1000


class Viewer(Protocol):
    """Who is shown what happens."""

    def event(self, event: FeedEvent) -> None:
        """Something happened; the board knows it already."""

    def note(self, text: str) -> None:
        """Something about the watching itself; empty when all is well again."""


async def load_board(bench: Workbench, job: JobId) -> Board:
    """Where the job stands now. :raises NotFound: it is gone."""

    async def read(db: Db) -> Board:
        record = await find_job(db, bench.project, job)
        if record is None:
            raise NotFound(f"there is no job {job}")
        pipeline = (await CompiledVersions().get(db, {record.version_id}))[record.version_id]
        return Board.of(record, pipeline, await list_instances(db, job))

    return await bench.database.run(read)


async def follow(bench: Workbench, board: Board, cursor: Cursor, viewer: Viewer, *, is_scheduling: bool) -> None:
    """Bring the board up to every event beyond `cursor` until the job is over.

    The database may go away meanwhile: it is asked again, and the feed is followed on from the last cursor.
    """
    following = _Following(bench, board, cursor, viewer, is_scheduling)
    if board.state.is_terminal:
        return
    tasks = [asyncio.create_task(work) for work in (following.listen(), following.follow(), following.look())]
    try:
        await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


class _Following:
    def __init__(self, bench: Workbench, board: Board, cursor: Cursor, viewer: Viewer, is_scheduling: bool) -> None:
        self.bench = bench
        self.board = board
        self.cursor = cursor
        self.viewer = viewer
        self.is_scheduling = is_scheduling
        self.wake = asyncio.Event()

    async def listen(self) -> None:
        """Hear that the feed has moved."""
        async for _ in self.bench.doorbell.feed_moves():
            self.wake.set()

    async def follow(self) -> None:
        """Take event after event until the job is over."""
        rest = 0.1
        is_away = False
        while not self.board.state.is_terminal:
            try:
                if is_away:
                    await self.bench.feed.here()
                    is_away, rest = False, 0.1
                    self.viewer.note("")
                await self._take_events()
            except CursorExpired:
                self.viewer.note("the database was restored; the job's history is read again")
                self.cursor = await self.bench.feed.here()
                await self._catch_up()
            except Unavailable as error:
                is_away = True
                self.viewer.note(f"the job goes on, but cannot be watched: {error.message}. Trying again.")
                await asyncio.sleep(rest)
                rest = min(rest * 2, _LONGEST_REST)

    async def _take_events(self) -> None:
        feed = self.bench.feed.follow(self.cursor, job=self.board.job.id, wake=self.wake)
        async with aclosing(feed) as events:
            async for self.cursor, event in events:
                self._take(event)
                if self.board.state.is_terminal:
                    return

    async def look(self) -> None:
        """The backstop: now and then read the job's own history, in case the feed does not move."""
        while not self.board.state.is_terminal:
            seen = self.board.seq
            await asyncio.sleep(BACKSTOP_SECONDS)
            if self.board.seq != seen:
                continue
            with suppress(Unavailable):
                await self._catch_up()
            if self.board.state is JobState.PENDING and not self.is_scheduling:
                self.viewer.note("no scheduler has taken it up yet; `fasttrack up` runs one")

    async def _catch_up(self) -> None:
        while True:
            async with self.bench.database.transaction() as db:
                page = await read_history(db, self.board.job.id, after=self.board.seq, limit=_PAGE)
            for event in page:
                self._take(event)
            if len(page) < _PAGE:
                return

    def _take(self, event: FeedEvent) -> None:
        was_waiting = self.board.state is JobState.PENDING
        if not self.board.apply(event):
            return
        if was_waiting and self.board.state is not JobState.PENDING:
            self.viewer.note("")
        self.viewer.event(event)
