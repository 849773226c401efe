"""What every loop shares: wait for a wake-up or an interval, survive a bad turn, say so without flooding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from fasttrack.errors import Unavailable
from fasttrack.telemetry import LOOP_ERRORS, LogLimiter

log = structlog.get_logger()

_LONGEST_REST = 5.0


async def repeat(
    name: str,
    turn: Callable[[], Awaitable[float]],
    wake: asyncio.Event,
) -> None:
    """Run `turn` for ever: again when `wake` is set, or after the seconds that it returned.

    A turn that raises is repeated after a rest that doubles up to 5 s; a part that is away is a warning, anything else
    an error with its trace. Ends only by cancellation.
    """
    limiter = LogLimiter()
    rest = 0.1
    while True:
        wake.clear()
        try:
            wait = await turn()
            rest = 0.1
        except Unavailable as error:
            LOOP_ERRORS.labels(name).inc()
            if limiter.allows(error.message):
                log.warning("waiting for a part that is away", loop=name, error=error.message)
            wait, rest = rest, min(rest * 2, _LONGEST_REST)
            await asyncio.sleep(wait)
            continue
        except Exception:
            LOOP_ERRORS.labels(name).inc()
            if limiter.allows("failed"):
                log.exception("a turn failed and will be repeated", loop=name)
            wait, rest = rest, min(rest * 2, _LONGEST_REST)
            await asyncio.sleep(wait)
            continue
        if wait > 0:
            # Not wait_for: in Python 3.11 it swallows a cancellation that meets a wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await wake.wait()
