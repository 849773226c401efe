"""Runs asynchronous work for a command, and lets a person interrupt it in order."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """SIGINT or SIGTERM came before the work was done."""


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run the work in an event loop of its own, the fast one where there is one."""
    try:
        import uvloop

        loop_factory = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


@asynccontextmanager
async def signals() -> AsyncIterator[asyncio.Event]:
    """Set when SIGINT or SIGTERM comes; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()

    def stop() -> None:
        came.set()
        forget()

    def forget() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    if threading.current_thread() is not threading.main_thread():
        yield came  # signals belong to the main thread
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield came
    finally:
        forget()


async def unless_interrupted(work: Coroutine[Any, Any, T], came: asyncio.Event) -> T:
    """The work's result. :raises Interrupted: `came` was set first; the work was cancelled and has ended."""
    task = asyncio.ensure_future(work)
    signal_came = asyncio.ensure_future(came.wait())
    try:
        await asyncio.wait({task, signal_came}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        signal_came.cancel()
        if not task.done():
            task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        if came.is_set():
            raise Interrupted from None
        raise
