"""Wrong tokens, counted by the address they come from: over all processes in Valkey, and here when that is away."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network

import structlog

from fasttrack.doorbell import Doorbell
from fasttrack.errors import TooManyRequests
from fasttrack.telemetry import LogLimiter

log = structlog.get_logger()

_PERIOD = 60
_MOST_ADDRESSES = 10_000


class WrongTokens:
    """Counts, and refuses to look at more from an address that sent too many. The right token is always let in."""

    def __init__(self, doorbell: Doorbell, limit: int) -> None:
        self._doorbell = doorbell
        self._limit = limit
        self._period = 0
        self._counts: dict[str, int] = {}
        self._limiter = LogLimiter(_PERIOD)

    def require_room(self, address: str) -> None:
        """Pass if a token from this address may be looked at. :raises TooManyRequests: not in this minute."""
        self._turn()
        if self._counts.get(group_of(address), 0) > self._limit:
            raise self._refusal()

    async def add(self, address: str) -> None:
        """Note a wrong token. :raises TooManyRequests: it was one too many."""
        self._turn()
        period = self._period
        group = group_of(address)
        here = self._counts.get(group, 0) + 1
        everywhere = await self._doorbell.count(f"wrong-tokens:{group}:{period}", 2 * _PERIOD)
        if period == self._period and (group in self._counts or len(self._counts) < _MOST_ADDRESSES):
            self._counts[group] = max(here, self._counts.get(group, 0), everywhere or 0)
        if max(here, everywhere or 0) > self._limit:
            if self._limiter.allows(group):
                log.warning("many wrong tokens come from one address", address=group, limit=self._limit)
            raise self._refusal()

    def _turn(self) -> None:
        # Processes on machines whose clocks agree count the same minute.
        period = int(time.time()) // _PERIOD
        if period != self._period:
            self._period = period
            self._counts.clear()

    def _refusal(self) -> TooManyRequests:
        wait = _PERIOD - int(time.time()) % _PERIOD
        return TooManyRequests(
            f"too many wrong tokens came from your address; wait {wait} seconds, and check the token meanwhile",
            retry_after=wait,
        )


def group_of(address: str) -> str:
    """Whom an address stands for: one of IPv4, or a whole network of IPv6, as whoever has one has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    mapped = getattr(parsed, "ipv4_mapped", None)
    if parsed.version == 4 or mapped is not None:
        return str(mapped or parsed)
    return str(ip_network(f"{parsed}/64", strict=False))
