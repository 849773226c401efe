"""Gives committed events their places in the feed: at once after a pass, and a few times a second for those of others."""

from __future__ import annotations

import asyncio

from fasttrack.feed import Placer


class Placing:
    """Runs this process's placer."""

    def __init__(self, placer: Placer) -> None:
        self._placer = placer
        self.wake = asyncio.Event()

    async def turn(self) -> float:
        """Place everything that is committed."""
        placed = await self._placer.place()
        return 0.5 if placed else 1.0
