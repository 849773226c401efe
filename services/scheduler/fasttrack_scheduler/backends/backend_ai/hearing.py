"""The manager's stream of events: when to look, and on releases to 25.12 how commands ended, which nothing else tells.

Events are lost, doubled and out of order, and a stream has no past; so each name is only a reason to look, and after every
connection all that is known is looked at.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from fasttrack.backend_ai.answers import ManagerError
from fasttrack.backend_ai.gateway import Gateway

log = structlog.get_logger()

_QUERY = {"sessionName": "*", "scope": "*"}
_LONGEST_LINE = 64 * 1024
_SILENCE = 45.0  # a comment comes every 15 s
_SHORTEST, _LONGEST = 1.0, 30.0


class Hearing:
    """Listens for as long as it runs."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        ring: Callable[[str], None],
        ended: Callable[[str, int], None],
        connected: Callable[[], None],
    ) -> None:
        """:param ring: something happened to the session of this name. :param ended: its command ended with that code.
        :param connected: a stream begins; what happened before is not told.
        """
        self._gateway = gateway
        self._ring = ring
        self._ended = ended
        self._connected = connected

    async def run(self) -> None:
        """For ever, through outages."""
        wait = _SHORTEST
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._listen()
            except (ManagerError, TimeoutError) as error:
                log.debug("the stream of events ended", reason=str(error) or "nothing came")
            except Exception:  # whatever it is: sessions are seen without events, only later
                log.exception("an event could not be taken")
            if asyncio.get_running_loop().time() - began > _LONGEST:
                wait = _SHORTEST
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spread over schedulers, no secret
            wait = min(wait * 2, _LONGEST)

    async def _listen(self) -> None:
        async with self._gateway.stream("/events/session", _QUERY) as lines:
            self._connected()
            event = ""
            while True:
                async with asyncio.timeout(_SILENCE):
                    line = await anext(lines, None)
                if line is None:
                    return
                if len(line) > _LONGEST_LINE:
                    continue
                key, _, value = line.partition(":")
                if key == "event":
                    event = value.strip()
                elif key == "data":
                    self._take(event, value)

    def _take(self, event: str, text: str) -> None:
        try:
            data: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        if not isinstance(data, dict) or not isinstance(name := data.get("sessionName"), str):
            return
        code = data.get("exitCode")
        if event in ("session_success", "session_failure") and isinstance(code, int):
            self._ended(name, code)
        self._ring(name)
