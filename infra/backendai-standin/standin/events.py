"""The stream of session events: no past, no ids, pings; and the callback, which nobody retries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx

from .faults import Faults
from .generations import Generation
from .ledger import Kernel, Session

_PING = 15.0


class Events:
    """Everyone who listens, and what is told to them."""

    def __init__(self, generation: Generation, faults: Faults) -> None:
        self._generation = generation
        self._faults = faults
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._callbacks: set[asyncio.Task[None]] = set()

    @property
    def is_old(self) -> bool:
        return not self._generation.deletes_any_time

    def session(self, name: str, session: Session, reason: str, exit_code: int | None = None) -> None:
        """Tell of a session. Some names never reach the stream of 23.09: it looks them up by a key that is gone."""
        if self.is_old and name in ("session_enqueued", "session_scheduled", "session_started", "session_cancelled"):
            return
        told = exit_code if self._generation.tells_exit_codes else None
        self._tell(name, session, reason, told, {})

    def kernels(
        self, name: str, session: Session, reason: str, exit_code: int | None = None, only: str | None = None
    ) -> None:
        """Tell of each container of a session, or of one."""
        for kernel in session.kernels:
            if only not in (None, kernel.host):
                continue
            self._tell(name, session, reason, exit_code, _place(kernel))

    def _tell(self, name: str, session: Session, reason: str, exit_code: int | None, more: dict[str, Any]) -> None:
        data = {
            "reason": reason,
            "sessionName": session.name,
            "ownerAccessKey": session.access_key,
            "sessionId": session.id,
            "exitCode": exit_code,
            **more,
        }
        message = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        for told in self._faults.events(message):
            for queue in self._listeners:
                queue.put_nowait(told)

    def cut(self) -> None:
        """End every stream, as a manager that is stopped does."""
        for queue in self._listeners:
            queue.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """What is told from now on."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), _PING)
                except TimeoutError:
                    yield b": ping\n\n"
                    continue
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(queue)

    def call_back(self, session: Session, event: str) -> None:
        """Call the session's address, once, without waiting; 26.x does so for the outcome only."""
        if session.callback_url is None or (not self.is_old and event not in ("success", "failure")):
            return
        body: dict[str, Any] = {
            "type": "session_lifecycle",
            "event": event,
            "session_id": session.id,
            "when": datetime.now(UTC).isoformat(),
        }
        if not self.is_old:
            body |= {"status_history": session.history, "result": session.result, "status_data": session.data}
        task = asyncio.create_task(_post(session.callback_url, body))
        self._callbacks.add(task)
        task.add_done_callback(self._callbacks.discard)


async def _post(url: str, body: dict[str, Any]) -> None:
    try:
        async with httpx.AsyncClient(timeout=30) as client:
            await client.post(url, json=body)
    except httpx.HTTPError:
        pass  # a real manager writes a line into its log


def _place(kernel: Kernel) -> dict[str, Any]:
    return {"kernelId": kernel.id, "clusterRole": kernel.role, "clusterIdx": kernel.index}
