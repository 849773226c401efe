"""Ends sessions for certain: managers refuse it while a session is set up, answer late, and are away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from fasttrack.backend_ai.answers import Away, ManagerError, Missing, NotYet, Unknown
from fasttrack.backend_ai.gateway import Gateway

log = structlog.get_logger()

_AGAIN = 1.0
_PATIENCE = 300.0
"""Seconds after which it is left to whoever asks for the end again."""
_SLOWEST = 60.0  # a manager of 23.09 answers when the container is gone, after 20 s


class Stopping:
    """Sessions that are being ended by this process, by name."""

    def __init__(self, gateway: Gateway, done: Callable[[str], None]) -> None:
        """:param done: called with the name when the manager has taken it in."""
        self._gateway = gateway
        self._done = done
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    async def close(self) -> None:
        """Leave it to others."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def stop(self, name: str, session_id: str, *, runs_nothing: bool = False) -> asyncio.Task[None]:
        """End a session; asked again, it is the same end. Refused while the session is set up, it is asked for until that is
        over.

        :param runs_nothing: the agent it is on is lost, or its containers are over: only force ends it. Nothing else is ended
            by force: the session is told to be over at once then, and its command runs on for 12 s (26.9.6), or to its end
            (23.09.10, PREPARING).
        """
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(self._stop(name, session_id, forced=runs_nothing))
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return task

    async def _stop(self, name: str, session_id: str, *, forced: bool) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        while clock() - began < _PATIENCE:
            try:
                await self._gateway.call(
                    "DELETE", f"/session/{session_id}", query={"forced": str(forced).lower()}, seconds=_SLOWEST
                )
            except Missing:  # over
                break
            except NotYet:
                pass
            except (Away, Unknown) as error:
                log.info("a session could not be ended yet", session=name, reason=str(error))
            except ManagerError as error:
                log.warning("a session cannot be ended", session=name, reason=str(error))
                return
            else:
                break
            await asyncio.sleep(_AGAIN)
        self._done(name)
