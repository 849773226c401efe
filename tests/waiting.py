"""Waiting for what happens in its own time: poll until it holds, never sleep and hope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None] | T | None], *, within: float = 25.0) -> T:
    """The first true value that `look` gives; it may raise AssertionError meanwhile.

    :raises AssertionError: it does not hold within that many seconds; the last failure is the cause.
    """
    last: BaseException | None = None
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    rest = 0.005
    while True:
        try:
            value = look()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value  # type: ignore[return-value]
        except AssertionError as error:
            last = error
        if loop.time() > until:
            raise AssertionError(f"it did not hold within {within} s") from last
        await asyncio.sleep(rest)
        rest = min(rest * 1.5, 0.1)
