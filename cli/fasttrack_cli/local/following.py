"""Follows a job of the database until it is over: the feed from a cursor on, through outages, without a gap or a repeat."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from fasttrack.db.feed import read_history
from fasttrack.domain.states import JobState
from fasttrack.errors import Unavailable
from fasttrack.feed import Cursor, CursorExpired

from ..store import Board, Viewer
from ..workbench import Workbench

BACKSTOP_SECONDS = 5.0
_LONGEST_REST = 5.0
_PAGE = 1000


class LocalWatch:
    """A job of the database, ready to be followed."""

    def __init__(self, bench: Workbench, board: Board, cursor: Cursor, is_scheduling: bool) -> None:
        self.board = board
        self._bench = bench
        self._cursor = cursor
        self._is_scheduling = is_scheduling
        self._wake = asyncio.Event()

    async def follow(self, viewer: Viewer) -> None:
        """Bring the board up to every event beyond the cursor until the job is over.

        The database may go away meanwhile: it is asked again, and the feed is followed on from the last cursor.
        """
        if self.board.state.is_terminal:
            return
        tasks = [asyncio.create_task(work) for work in (self._listen(), self._follow(viewer), self._look(viewer))]
        try:
            await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _listen(self) -> None:
        """Hear that the feed has moved."""
        async for _ in self._bench.doorbell.feed_moves():
            self._wake.set()

    async def _follow(self, viewer: Viewer) -> None:
        """Take event after event until the job is over."""
        rest = 0.1
        is_away = False
        while not self.board.state.is_terminal:
            try:
                if is_away:
                    await self._bench.feed.here()
                    is_away, rest = False, 0.1
                    viewer.note("")
                await self._take_events(viewer)
            except CursorExpired:
                viewer.note("the database was restored; the job's history is read again")
                self._cursor = await self._bench.feed.here()
                await self._catch_up(viewer)
            except Unavailable as error:
                is_away = True
                viewer.note(f"the job goes on, but cannot be watched: {error.message}. Trying again.")
                await asyncio.sleep(rest)
                rest = min(rest * 2, _LONGEST_REST)

    async def _take_events(self, viewer: Viewer) -> None:
        feed = self._bench.feed.follow(self._cursor, job=self.board.job.id, wake=self._wake)
        async with aclosing(feed) as events:
            async for self._cursor, event in events:
                self.board.show(event, viewer)
                if self.board.state.is_terminal:
                    return

    async def _look(self, viewer: Viewer) -> None:
        """The backstop: now and then read the job's own history, in case the feed does not move."""
        while not self.board.state.is_terminal:
            seen = self.board.seq
            await asyncio.sleep(BACKSTOP_SECONDS)
            if self.board.seq != seen:
                continue
            with suppress(Unavailable):
                await self._catch_up(viewer)
            if self.board.state is JobState.PENDING and not self._is_scheduling:
                viewer.note("no scheduler has taken it up yet; `fasttrack up` runs one")

    async def _catch_up(self, viewer: Viewer) -> None:
        while True:
            async with self._bench.database.transaction() as db:
                page = await read_history(db, self.board.job.id, after=self.board.seq, limit=_PAGE)
            for event in page:
                self.board.show(event, viewer)
            if len(page) < _PAGE:
                return
