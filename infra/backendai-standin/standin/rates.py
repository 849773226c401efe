"""How many requests a key may send, and what answers tell of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from .generations import Generation

WINDOW = 900.0
ANONYMOUS = 1000


class Rates:
    """Counts the requests of each key that are signed rightly; those over the limit count too.

    23.09 looks back 900 s from each request; 26.x starts counting anew 900 s after the first, and tells when that is.
    """

    def __init__(
        self,
        generation: Generation,
        *,
        limit: int = 30000,
        window: float = WINDOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.window = window
        self.counts: dict[str, int] = {}
        """How many ever came, by access key."""
        self._is_rolling = generation.is_strict
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}

    def take(self, key: str) -> tuple[bool, dict[str, str]]:
        """Count a request. Whether it is still allowed, and the headers of its answer."""
        self.counts[key] = self.counts.get(key, 0) + 1
        now, recent = self._clock(), self._recent.setdefault(key, deque())
        if self._is_rolling:
            while recent and recent[0] <= now - self.window:
                recent.popleft()
        elif recent and recent[0] <= now - self.window:
            recent.clear()
        recent.append(now)
        return len(recent) <= self.limit, self._headers(self.limit, len(recent), recent[0] + self.window - now)

    def anonymous(self) -> dict[str, str]:
        """The headers of an answer to somebody unknown, who is not counted here."""
        return self._headers(ANONYMOUS, 0, self.window)

    def _headers(self, limit: int, used: int, seconds: float) -> dict[str, str]:
        found = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Window": f"{self.window:g}",
        }
        return found if self._is_rolling else {**found, "X-RateLimit-Reset": f"{seconds:.0f}"}
