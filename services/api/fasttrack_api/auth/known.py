"""Callers that were just looked up: for two seconds, so that a page of requests asks the database once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from fasttrack.domain.access import Caller
from fasttrack.errors import Unauthenticated

Standing: TypeAlias = Callable[[str, datetime], Caller]
"""From an origin and a moment to a caller; raises what a token gets that is worth nothing at that moment."""

LIFETIME = 2.0
"""Seconds. Whatever is revoked is refused everywhere within them, and on a stream that asks every two within four."""
_MOST = 10_000


class KnownCallers:
    """Looked up once for all who ask at the same time; only what was found is kept."""

    def __init__(self, *, lifetime: float = LIFETIME, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Standing]] = OrderedDict()
        self._underway: dict[bytes, asyncio.Task[Standing]] = {}
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def was_good(self, key: bytes) -> bool:
        """Whether this very token was let in before: it is looked at also when its neighbours misbehave."""
        return key in self._good

    async def get(self, key: bytes, look_up: Callable[[], Awaitable[Standing]]) -> Standing:
        """What is known under the key, looked up if that is too old. Raises what `look_up` does."""
        found = self._known.get(key)
        if found is not None and self._clock() < found[0]:
            return found[1]
        underway = self._underway.get(key)
        if underway is None:
            underway = asyncio.create_task(self._look_up(key, look_up))
            self._underway[key] = underway
            underway.add_done_callback(lambda task: self._done(key, task))
        return await asyncio.shield(underway)  # whoever leaves first leaves the others their answer

    async def _look_up(self, key: bytes, look_up: Callable[[], Awaitable[Standing]]) -> Standing:
        asked_at = self._clock()  # what is read may be as old as the question
        standing = await look_up()
        self._known[key] = (asked_at + self._lifetime, standing)
        self._known.move_to_end(key)
        self._good[key] = None
        self._good.move_to_end(key)
        for kept in (self._known, self._good):
            while len(kept) > _MOST:
                kept.popitem(last=False)
        return standing

    def _done(self, key: bytes, task: asyncio.Task[Standing]) -> None:
        del self._underway[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unauthenticated):
            self._known.pop(key, None)
            self._good.pop(key, None)
