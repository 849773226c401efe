"""Questions that are asked at about the same time become one: a burst of sessions is a few requests, not a few each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

GATHER = 0.01
"""Seconds that the first question of a batch waits for others: a fraction of what the answer takes."""


class Gathering(Generic[K, V]):
    """One question about many keys, asked by callers that each have one or a few.

    What a caller is told was asked after its call, never before: an answer that is under way is not joined.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int, *, wait: float = GATHER
    ) -> None:
        """:param most: keys of one question. :param wait: seconds that the first key waits for others."""
        self._wait = wait
        self._ask = ask
        self._most = most
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def __call__(self, key: K) -> V | None:
        """What was answered for this key; `None`: nothing. Raises what the question raised."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._waiting) == 1:
                self._spawn(self._gather())
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Stop; whoever waits is cancelled."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _gather(self) -> None:
        try:
            await asyncio.sleep(self._wait)
        finally:
            waiting, self._waiting = self._waiting, {}
        keys = list(waiting)
        batches = [keys[start : start + self._most] for start in range(0, len(keys), self._most)]
        await asyncio.gather(*(self._answer({key: waiting[key] for key in batch}) for batch in batches))

    async def _answer(self, batch: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._ask(list(batch))
        except Exception as error:
            for future in batch.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # a caller that gave up does not make it an error of nobody
        except asyncio.CancelledError:
            for future in batch.values():
                future.cancel()
            raise
        else:
            for key, future in batch.items():
                if not future.done():
                    future.set_result(found.get(key))
