"""An event loop of virtual time, in which a process can be killed or stopped at any `await`.

Nothing waits: when no callback is ready, time jumps to the next timer. Ready callbacks run in an order drawn from the
seed. What belongs to a process carries its `Life` in a context variable; a kill means that its callbacks are never run
again, so that no `finally` and no `except` of it runs, as with a real `kill -9` and unlike a cancelled task.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any

_MOST_PER_SECOND = 4_000
"""More callbacks than this in one virtual second are a loop that spins."""


class Spinning(AssertionError):
    """Something runs round and round without letting time pass."""


@dataclass(eq=False)
class Life:
    """One life of one process, from its start to its kill."""

    process: str
    number: int
    is_dead: bool = False
    is_stopped: bool = False
    """Like SIGSTOP: what becomes ready waits."""
    held: list[Handle] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.process}#{self.number}"


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines in virtual time; the same seed gives the same order."""

    # These belong to the base class; the type stubs do not know them.
    _ready: deque[Handle]
    _scheduled: list[TimerHandle]

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._now = 1000.0
        self._second = 0
        self._in_second = 0
        self.busiest = 0
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task that was made and may not be over: what is dead is kept, so that nothing of it is collected."""
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._on_exception)
        self.failures: list[str] = []

    def time(self) -> float:
        return self._now

    def spawn(self, coroutine: Coroutine[Any, Any, Any], life: Life | None) -> asyncio.Task[Any]:
        """Run the coroutine as a part of this life; `None` is the world itself, which nobody kills."""
        return self.create_task(coroutine, context=context_of(life))

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Let the world do something after that time, whoever asked for it."""
        self.call_later(seconds, callback, context=context_of(None))

    def resume(self, life: Life) -> None:
        """Let a stopped process go on with all that has become ready meanwhile."""
        life.is_stopped = False
        self._ready.extend(life.held)
        life.held.clear()

    def bury(self) -> None:
        """Close what is left of every task, and the loop. Whatever a `finally` does now has no effect."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task.get_coro())
        self.tasks.clear()
        self.close()

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
        if len(self.tasks) > 2000:
            self.tasks = [t for t in self.tasks if not t.done()]
        self.tasks.append(task)
        return task

    def _on_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        scheduled = self._scheduled
        while scheduled and (scheduled[0]._cancelled or _is_gone(scheduled[0])):  # type: ignore[attr-defined]
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not self._ready:
            if not scheduled:
                raise RuntimeError("nothing is ready and nothing is planned: the world waits for ever")
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            if not handle._cancelled:  # type: ignore[attr-defined]
                self._ready.append(handle)
        batch = list(self._ready)
        self._ready.clear()
        self._random.shuffle(batch)
        self._count(len(batch))
        for each in batch:
            life: Life | None = each._context.get(LIFE)  # type: ignore[attr-defined]
            if each._cancelled or (life is not None and life.is_dead):  # type: ignore[attr-defined]
                continue
            if life is not None and life.is_stopped:
                life.held.append(each)
            else:
                each._run()

    def _count(self, callbacks: int) -> None:
        if int(self._now) != self._second:
            self._second, self._in_second = int(self._now), 0
        self._in_second += callbacks
        self.busiest = max(self.busiest, self._in_second)
        if self._in_second > _MOST_PER_SECOND:
            raise Spinning(f"more than {_MOST_PER_SECOND} callbacks in one virtual second")

    def _process_events(self, event_list: object) -> None:
        """There is nothing outside."""

    def _write_to_self(self) -> None:
        """There are no other threads."""


def context_of(life: Life | None) -> Context:
    """A context whose callbacks belong to this life."""
    context = copy_context()
    context.run(LIFE.set, life)
    return context


def _is_gone(handle: Handle) -> bool:
    life: Life | None = handle._context.get(LIFE)  # type: ignore[attr-defined]
    return life is not None and life.is_dead


def _close(coroutine: Any) -> None:
    for _ in range(20):  # one that awaits in a `finally` must be told again
        try:
            coroutine.close()
        except RuntimeError:
            continue
        except BaseException:  # what a `finally` raises now is nobody's business
            return
        return
