"""Ending tasks of the event loop, for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_AFTER = 1.0


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks and wait until they are over, whatever they raise.

    One cancellation is not enough: it is lost when it meets a time-out of its own inside a library, and a loop that lost
    it waits for ever (seen of `redis-py` under CPython 3.11, in a process that then never ended). So it is repeated, after
    a second in which a task may still put things in order.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_AFTER)
    await asyncio.gather(*tasks, return_exceptions=True)
