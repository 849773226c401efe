"""How fast a key may ask: a share of its limit, whoever else uses it.

A manager counts the requests of a key over a rolling window of 900 s, refused ones included, and tells with each answer
how many are left. So several schedulers with one key need not know of each other: each slows down as the window fills.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

WINDOW = 900.0
SHARE = 0.6
"""Of the limit; the rest is for the people who use the same key by hand."""

_UNTIL_TOLD = 10_000  # the limit of a key that nobody changed
_BURST_SECONDS = 30.0
SLOWEST = 0.02  # of the full rate: with the window full we still see, slowly, that sessions end
_BRAKES_AT = 0.8  # of our share


def rate_of(limit: int, used: int) -> float:
    """Requests per second that keep the window within our share: all of it at first, then less, never nothing."""
    budget = limit * SHARE
    full = budget / WINDOW
    room = (budget - used) / (budget * (1 - _BRAKES_AT))
    return full * min(1.0, max(SLOWEST, room))


class Pace:
    """A bucket of requests, filled at the rate that the manager's own count allows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: seconds that only go forward."""
        self._clock = clock
        self._rate = rate_of(_UNTIL_TOLD, 0)
        self._filled_at = clock()
        self._room = self._rate * _BURST_SECONDS
        self._turn = asyncio.Lock()

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer; those of a refusal have none."""
        try:
            limit, left = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        except (KeyError, ValueError):
            return
        if limit > 0:
            self._fill()
            self._rate = rate_of(limit, limit - left)
            self._room = min(self._room, self._rate * _BURST_SECONDS)

    def exhausted(self) -> None:
        """The manager refused a request for its number: brake at once."""
        self._fill()
        self._rate *= SLOWEST
        self._room = 0.0

    async def wait(self) -> None:
        """Until a request may be sent; callers are let go in the order they came."""
        async with self._turn:
            self._fill()
            while self._room < 1.0:
                await asyncio.sleep((1.0 - self._room) / self._rate)
                self._fill()
            self._room -= 1.0

    def _fill(self) -> None:
        now = self._clock()
        self._room = min(self._room + (now - self._filled_at) * self._rate, max(1.0, self._rate * _BURST_SECONDS))
        self._filled_at = now
