"""Ending sessions by request: one task each that asks, waits for the grace, and forces."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress

from . import ending
from .process import Table, look, send
from .registry import Live
from .site import Site

ASK_AGAIN = 0.1
"""Seconds between looks for processes that were not asked yet: children of those that ended, a main process."""
FORCE_AGAIN = 0.3
KEEPER_PATIENCE = 5.0
"""Seconds after which a keeper that does not record the end is killed as well."""


class Stopping:
    """The endings under way in this process. Their deadlines are in the files too, for whoever comes after it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reading = asyncio.Lock()
        self._table: tuple[float, Table] | None = None

    def stop(self, live: Live, deadline: float) -> None:
        """End the session by then; asked again, the earlier deadline holds."""
        if live.stop_at is not None and live.name in self._tasks:
            live.stop_at = min(live.stop_at, deadline)
            return
        live.stop_at = deadline
        task = self._tasks[live.name] = asyncio.create_task(self._run(live))
        task.add_done_callback(lambda _: self._tasks.pop(live.name, None))

    async def close(self) -> None:
        """Stop looking after the endings; another process finds them in the files."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, live: Live) -> None:
        asked: set[int] = set()
        started = live.started
        assert started is not None
        while not live.is_over.is_set():
            assert live.stop_at is not None
            left = live.stop_at - time.time()
            if left > 0:
                await asyncio.to_thread(ending.ask, started, asked, await self._processes())
                wait = min(ASK_AGAIN, left)
            else:
                await asyncio.to_thread(ending.force, started, self._site.session_id(live.name))
                wait = FORCE_AGAIN
                if left < -KEEPER_PATIENCE and started.keeper is not None and started.keeper.is_alive:
                    keeper = look(started.keeper.pid)
                    if keeper is not None:
                        send(keeper, signal.SIGKILL)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await live.is_over.wait()

    async def _processes(self) -> Table:
        # One reading serves all endings of a moment: a cancelled job may have hundreds.
        async with self._reading:
            now = time.monotonic()
            if self._table is None or now - self._table[0] > ASK_AGAIN / 2:
                self._table = now, await asyncio.to_thread(Table)
            return self._table[1]
