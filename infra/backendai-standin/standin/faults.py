"""The fault panel: what goes wrong, asked for by tests at `/standin/faults`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .problems import Problem, answer

KINDS = {
    "lost_before": "the request never arrives: the connection is cut and nothing is done",
    "lost_after": "the request takes effect, and its answer is lost",
    "late": "the request takes effect after `seconds`, long after its sender has given up",
    "status": "answered with `status`, and nothing is done",
    "slow": "answered after `seconds`",
}
EVENT_KINDS = {"events_lost", "events_doubled", "events_reordered"}
OTHERS = {"events_right", "skew", "never_healthy", "healthy", "no_app_proxy"}
"""`skew`: the manager's clock is off by `seconds`, so that it takes no request of anybody whose clock is right.

`never_healthy`: model services that are made or scaled from now on serve nothing; `healthy`: they do again. `no_app_proxy`:
the cluster takes none.
"""
_PROBLEMS = {401: "auth-failed", 429: "rate-limit-exceeded", 503: "server-frozen"}


@dataclass
class Fault:
    """One entry of the panel."""

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    """How often; less than 0: until it is removed."""
    status: int = 500
    seconds: float = 0.0
    share: float = 1.0
    """Of the requests that it could meet."""

    def meets(self, request: Request) -> bool:
        return (
            self.times != 0
            and self.method in ("", request.method)
            and request.url.path.startswith(self.path)
            and random.random() < self.share  # noqa: S311 - faults, not secrets
        )


class Cut(BaseException):
    """The connection ends here, with nothing said. Not an `Exception`: the framework would answer that with a 500."""


class Faults:
    """What was asked for and has not happened yet."""

    def __init__(self) -> None:
        self.planned: list[Fault] = []
        self.events_do: str = ""
        self.skew = 0.0
        self.never_healthy = False
        self.no_app_proxy = False
        self._held: bytes | None = None

    def plan(self, given: dict[str, Any]) -> None:
        """Take an entry. :raises ValueError: there is no such fault."""
        kind = given.get("kind")
        if kind in EVENT_KINDS or kind == "events_right":
            self.events_do = "" if kind == "events_right" else str(kind)
            return
        if kind in ("never_healthy", "healthy"):
            self.never_healthy = kind == "never_healthy"
            return
        if kind == "no_app_proxy":
            self.no_app_proxy = True
            return
        if kind == "skew":
            self.skew = float(given.get("seconds", 0.0))
            return
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(sorted({*KINDS, *EVENT_KINDS, *OTHERS}))}")
        self.planned.append(Fault(**given))

    def clear(self) -> None:
        self.planned.clear()
        self.events_do = ""
        self.skew = 0.0
        self.never_healthy = self.no_app_proxy = False

    def due(self, request: Request) -> Fault | None:
        """What befalls this request."""
        for fault in self.planned:
            if fault.meets(request):
                fault.times -= 1
                return fault
        return None

    def events(self, message: bytes) -> list[bytes]:
        """What is told instead of this event."""
        match self.events_do:
            case "events_lost":
                return []
            case "events_doubled":
                return [message, message]
            case "events_reordered":
                held, self._held = self._held, message if self._held is None else None
                return [message, held] if held is not None else []
        return [message]


async def befall(fault: Fault | None, handle: Callable[[], Awaitable[Response]]) -> Response:
    """Answer the request as the fault has it. :raises Cut: it is not answered at all."""
    match fault:
        case Fault(kind="lost_before"):
            raise Cut
        case Fault(kind="lost_after"):
            await handle()
            raise Cut
        case Fault(kind="late"):
            task = asyncio.create_task(_later(fault.seconds, handle))
            _LATE.add(task)
            task.add_done_callback(_LATE.discard)
            raise Cut
        case Fault(kind="status"):
            return answer(Problem(fault.status, _PROBLEMS.get(fault.status, "internal-server-error")))
        case Fault(kind="slow"):
            await asyncio.sleep(fault.seconds)
    return await handle()


_LATE: set[asyncio.Task[None]] = set()


async def _later(seconds: float, handle: Callable[[], Awaitable[Response]]) -> None:
    await asyncio.sleep(seconds)
    with suppress(Problem):  # refused by then, and nobody hears of it
        await handle()
