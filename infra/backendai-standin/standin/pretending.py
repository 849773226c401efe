"""Commands that are not run: for a cluster with more sessions than one machine has room for processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

SECONDS = "STANDIN_SECONDS"
"""The variable of a session that says how long its command pretends to take."""


class Pretended:
    """What stands where the process of a command would: it takes its time, prints nothing, and ends with 0."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        self._over = asyncio.Event()
        self._timer = asyncio.get_running_loop().call_later(float(environ.get(SECONDS, 0)), self._end, 0)

    async def wait(self) -> int:
        """Until it is over; the exit code."""
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """End it now."""
        self._timer.cancel()
        self._end(-9)

    def _end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
        self._over.set()
