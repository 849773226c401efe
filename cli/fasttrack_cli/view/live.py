"""Shows a job while it runs: a picture that is redrawn on a terminal, a line per event elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from rich.live import Live

from fasttrack.domain.events import FeedEvent

from ..output import Output
from ..store import Board
from .picture import graph_rows, picture
from .words import event_line

_BETWEEN_FRAMES = 0.08
_LONGEST_FRAME = 0.5  # elapsed times move although nothing happens


class Lines:
    """One line per event on standard error."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._noted = ""

    def event(self, event: FeedEvent) -> None:
        self._out.say(event_line(event))

    def note(self, text: str) -> None:
        if text and text != self._noted:
            self._out.warn(text)
        elif self._noted and not text:
            self._out.say("watching again")
        self._noted = text


class Screen:
    """The board as a picture on a terminal."""

    def __init__(self, out: Output, board: Board) -> None:
        self._console = out.progress
        self._board = board
        self._rows = graph_rows(board.pipeline)
        self._changed = asyncio.Event()

    def event(self, event: FeedEvent) -> None:
        self._changed.set()

    def note(self, text: str) -> None:
        self._board.note = text
        self._changed.set()

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """The picture is on the screen while the block runs; its last state stays there."""
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as live:
            ticking = asyncio.create_task(self._tick(live))
            try:
                yield
            finally:
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)
                self._draw(live)

    async def _tick(self, live: Live) -> None:
        while True:
            self._changed.clear()
            self._draw(live)
            await asyncio.sleep(_BETWEEN_FRAMES)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_FRAME):
                    await self._changed.wait()

    def _draw(self, live: Live) -> None:
        live.update(
            picture(self._board, self._rows, now=datetime.now(UTC), height=self._console.height - 1), refresh=True
        )


@asynccontextmanager
async def viewing(out: Output, board: Board) -> AsyncIterator[Lines | Screen]:
    """The viewer that suits where standard error goes."""
    if out.progress.is_terminal and not out.as_json:
        screen = Screen(out, board)
        async with screen.shown():
            yield screen
    else:
        yield Lines(out)
