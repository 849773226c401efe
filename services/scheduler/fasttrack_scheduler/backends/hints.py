"""Names of sessions that changed, handed to whoever listens; repeated names collapse while nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

MOST_UNREAD = 10_000
"""A listener that does not read loses the oldest hints beyond this many: a hint may be lost, memory may not grow."""


class Hints:
    """Where changes are announced."""

    def __init__(self) -> None:
        self._listeners: WeakSet[_Listener] = WeakSet()

    def ring(self, name: str) -> None:
        """Tell every listener that this session changed."""
        for listener in self._listeners:
            listener.put(name)

    def listen(self) -> AsyncIterator[str]:
        """The names rung from now on; forgotten when the caller drops it."""
        listener = _Listener()
        self._listeners.add(listener)
        return listener


class _Listener(AsyncIterator[str]):
    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._filled = asyncio.Event()

    def put(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > MOST_UNREAD:
            del self._names[next(iter(self._names))]
        self._filled.set()

    async def __anext__(self) -> str:
        while not self._names:
            self._filled.clear()
            await self._filled.wait()
        name = next(iter(self._names))
        del self._names[name]
        return name
