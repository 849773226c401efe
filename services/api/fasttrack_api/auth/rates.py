"""Requests, counted by the minute: those of each account, and of each address that does not say who it is.

Every process counts for itself and settles with the others over Valkey five times a second, for all who called at once: no
request waits for it, and with several processes somebody may get what they ask for in that fifth of a second too much.
While Valkey is away, each process goes by its own count.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.requests import HTTPConnection
from starlette.types import Scope

from fasttrack.domain.access import OWNER, Caller
from fasttrack.doorbell import Doorbell
from fasttrack.errors import TooManyRequests
from fasttrack.telemetry import LogLimiter

from ..parts import Parts
from .attempts import group_of
from .loopback import is_from_this_machine

log = structlog.get_logger()

PERIOD = 60
_SETTLE_AFTER = 0.2
_MOST_COUNTED = 100_000
_ROOM = "fasttrack.room"


@dataclass(frozen=True, slots=True)
class Room:
    """What somebody may still ask for in this minute."""

    policy: str
    limit: int
    left: int
    seconds: int
    """Until the next minute."""

    @property
    def headers(self) -> dict[str, str]:
        """As answers say it: the IETF's draft of RateLimit header fields."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.limit};w={PERIOD}',
            "RateLimit": f'"{self.policy}";r={self.left};t={self.seconds}',
        }


class Rates:
    """The counts of one process."""

    def __init__(self, doorbell: Doorbell, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._doorbell = doorbell
        self._minute = 0
        self._counts: Counter[str] = Counter()
        self._news: Counter[str] = Counter()
        self._is_news = asyncio.Event()
        self._limiter = LogLimiter(PERIOD)

    @classmethod
    def of(cls, parts: Parts) -> Rates:
        """The counts of the process that has these parts."""
        rates = parts.kept.get(cls)
        if rates is None:
            rates = parts.kept[cls] = cls(parts.doorbell)
        assert isinstance(rates, cls)
        return rates

    def take(self, policy: str, who: str, limit: int) -> Room:
        """Count one request, and say what is left. Waits for nothing.

        :raises TooManyRequests: it is one too many; it is not counted.
        """
        now = int(self.clock())
        wait = PERIOD - now % PERIOD
        self._turn(now // PERIOD)
        key = f"{policy}:{who}"
        if self._counts[key] >= limit:
            if self._limiter.allows(key):
                log.warning("somebody asks too often", policy=policy, who=who, limit=limit)
            raise TooManyRequests(
                f"more than {limit} requests came from you in this minute, which is the most; go on in {wait} seconds",
                retry_after=wait,
                room=Room(policy, limit, 0, wait),
            )
        if key in self._counts or len(self._counts) < _MOST_COUNTED:
            self._counts[key] += 1
            self._news[key] += 1
            self._is_news.set()
        return Room(policy, limit, limit - self._counts[key], wait)

    async def settle(self) -> None:
        """Tell the others what was counted here, and learn what they have."""
        minute = self._minute
        news, self._news = self._news, Counter()
        names = {key: f"requests:{key}:{minute}" for key in news}
        totals = await self._doorbell.count_many({names[key]: count for key, count in news.items()}, 2 * PERIOD)
        if totals is None or minute != self._minute:
            return
        for key, name in names.items():
            self._counts[key] = max(self._counts[key], totals[name] + self._news[key])

    async def keep_settling(self) -> None:
        """Settle soon after there is something to tell, until cancelled."""
        while True:
            await self._is_news.wait()
            await asyncio.sleep(_SETTLE_AFTER)
            self._is_news.clear()
            await self.settle()

    def _turn(self, minute: int) -> None:
        # Processes on machines whose clocks agree count the same minute.
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
            self._news.clear()


def count_caller(connection: HTTPConnection, caller: Caller) -> None:
    """Count one request or operation of the caller, whatever they do it with.

    The owner on this machine without a token is not counted: whoever has the machine has the database itself.

    :raises TooManyRequests: it is one too many in this minute.
    """
    parts = Parts.of(connection)
    limit = parts.settings.api_requests_per_minute
    if limit and not (caller.account_id == OWNER and caller.token_id is None):
        _take(connection.scope, Rates.of(parts), "caller", str(caller.account_id), limit)


def count_stranger(connection: HTTPConnection) -> None:
    """Count one request that does not say who it is from, by its address.

    :raises TooManyRequests: it is one too many in this minute.
    """
    parts = Parts.of(connection)
    limit = parts.settings.api_anonymous_requests_per_minute
    if not limit or (parts.settings.is_open_on_loopback and is_from_this_machine(connection)):
        return
    address = connection.client.host if connection.client else ""
    _take(connection.scope, Rates.of(parts), "address", group_of(address), limit)


def room_of(scope: Scope) -> Room | None:
    """What is left to whoever sent this request; `None`: it was not counted."""
    room = scope.get(_ROOM)
    return room if isinstance(room, Room) else None


def _take(scope: Scope, rates: Rates, policy: str, who: str, limit: int) -> None:
    try:
        scope[_ROOM] = rates.take(policy, who, limit)
    except TooManyRequests as refused:
        scope[_ROOM] = refused.facts["room"]
        raise
