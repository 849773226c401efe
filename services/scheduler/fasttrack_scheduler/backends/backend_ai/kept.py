"""Answers of the cluster that hold for a while, so that a burst of sessions asks once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT = 60.0
"""Seconds that what was asked holds."""


class Kept(Generic[T]):
    """Something that is asked for at most once in a while, for each key; those who ask at once share the answer."""

    def __init__(self, ask: Callable[[str], Awaitable[T]]) -> None:
        self._ask = ask
        self._known: dict[str, tuple[float, T]] = {}
        self._asking: dict[str, tuple[float, asyncio.Task[T]]] = {}

    async def get(self, key: str = "", kept: float = KEPT) -> T:
        """What was answered to a question sent at most `kept` seconds ago; raises what the question raises."""
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known[0] + kept:
            return known[1]
        asking = self._asking.get(key)
        if asking is None or now >= asking[0] + kept:
            asking = self._asking[key] = now, asyncio.create_task(self._answer(key, now))
            asking[1].add_done_callback(_take_notice)
        return await asyncio.shield(asking[1])  # one that gives up waiting must not take the answer from the others

    def latest(self, key: str = "") -> T | None:
        """What was answered last, however long ago, without asking."""
        known = self._known.get(key)
        return None if known is None else known[1]

    async def _answer(self, key: str, asked_at: float) -> T:
        try:
            found = await self._ask(key)
        finally:
            asking = self._asking.get(key)
            if asking is not None and asking[0] == asked_at:
                del self._asking[key]
        if key not in self._known or self._known[key][0] <= asked_at:
            self._known[key] = asked_at, found
        return found


def _take_notice(task: asyncio.Task[T]) -> None:
    with suppress(asyncio.CancelledError):
        task.exception()  # whoever waits has it
