"""How many requests a key may send in a rolling window."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

from .problems import Problem

WINDOW = 900


class Rates:
    """Counts the requests of each key. Those that are refused count too, as long as they are signed."""

    def __init__(self, limit: int = 30000, window: float = WINDOW, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.window = window
        self.counts: dict[str, int] = {}
        """How many ever came, by access key."""
        self._clock = clock
        self._recent: dict[str, deque[float]] = defaultdict(deque)

    def take(self, key: str) -> dict[str, str]:
        """Count a request; the headers of its answer. :raises Problem: the limit is used up."""
        self.counts[key] = self.counts.get(key, 0) + 1
        now, recent = self._clock(), self._recent[key]
        recent.append(now)
        while recent[0] <= now - self.window:
            recent.popleft()
        if len(recent) > self.limit:
            raise Problem(429, "rate-limit-exceeded")
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - len(recent)),
            "X-RateLimit-Window": str(WINDOW),
        }
