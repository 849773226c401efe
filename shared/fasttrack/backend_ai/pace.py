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
_FIRST_SECONDS = 30.0  # of the full rate: what may be sent at once before anything is told
SLOWEST = 0.02  # of the full rate: with the window full we still see, slowly, that sessions end
_BRAKES_AT = 0.8  # of our share
_AT_ONCE = 0.5  # of what is left to the brakes


def rate_of(limit: int, used: int) -> float:
    """Requests per second that keep the window within our share: all of it at first, then less, never nothing."""
    budget = limit * SHARE
    full = budget / WINDOW
    room = (budget - used) / (budget * (1 - _BRAKES_AT))
    return full * min(1.0, max(SLOWEST, room))


def burst_of(limit: int, used: int) -> float:
    """Requests that may be sent at once: half of what is left before we brake, so that sessions need not wait for room
    that nobody uses. Each answer tells anew what is left, so several schedulers that burst together stop together.
    """
    return max(1.0, (limit * SHARE * _BRAKES_AT - used) * _AT_ONCE)


class Pace:
    """A bucket of requests, filled at the rate and as far as the manager's own count allows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: seconds that only go forward."""
        self._clock = clock
        self._full = self._rate = rate_of(_UNTIL_TOLD, 0)
        self._most = self._room = self._rate * _FIRST_SECONDS
        self._is_told = False
        self._filled_at = clock()
        self._turn = asyncio.Lock()

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer to a request of the key; those of a refusal may have none."""
        try:
            limit, left = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        except (KeyError, ValueError):
            return
        if limit > 0:
            self._fill()
            self._full, self._rate = rate_of(limit, 0), rate_of(limit, limit - left)
            self._most = burst_of(limit, limit - left)
            self._room = min(self._room, self._most) if self._is_told else self._most
            self._is_told = True

    def exhausted(self) -> None:
        """The manager refused a request for its number: brake at once, and no more for many refusals together."""
        self._fill()
        self._rate = self._full * SLOWEST
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
        self._room = min(self._room + (now - self._filled_at) * self._rate, self._most)
        self._filled_at = now
