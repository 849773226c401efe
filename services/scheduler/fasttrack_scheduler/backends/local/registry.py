"""The sessions of the site as the event loop knows them: what to tell of each, and a pidfd for each that runs.

The descriptor turns readable when the session's keeper is gone, so nothing polls for an end. Every scheduler holds one
for every running session of the site, whoever started it: that is how they outlive each other.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..base import Observation, SessionStatus
from ..hints import Hints
from .journal import Started
from .outcome import look_at
from .site import Site
from .watch import Watched

SHORT_COMMAND = 0.02
"""Seconds that a session has to end before it is told that it runs. Of a command that is over so soon the engine has
one state to write down instead of two; that any other runs is told this much later."""
MOST_REMEMBERED = 10_000
"""Ended sessions whose end is kept in memory; older ones are read from their files."""


@dataclass(slots=True, eq=False)
class Live:
    """A session that is not over."""

    name: str
    has_room: bool = False
    """Whether some scheduler has given it room."""
    started: Started | None = None
    view: Observation | None = None
    """What to tell once it has started."""
    pidfd: int | None = None
    stop_at: float | None = None
    """When its grace is over, in seconds since the epoch, once it is being ended."""
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has started, or ended without."""
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class Registry:
    """Sessions by name. Used on the event loop only."""

    def __init__(self, site: Site, hints: Hints, on_gone: Callable[[str], None]) -> None:
        self.live: dict[str, Live] = {}
        self._over: OrderedDict[str, Observation] = OrderedDict()
        self._site = site
        self._hints = hints
        self._on_gone = on_gone

    def view(self, name: str) -> Observation | None:
        """What is known of a session without looking at files."""
        if (over := self._over.get(name)) is not None:
            return over
        live = self.live.get(name)
        if live is None:
            return None
        if live.view is not None:
            return live.view
        status = SessionStatus.PREPARING if live.has_room else SessionStatus.QUEUED
        reason = "" if live.has_room else self._site.why_waiting(name)
        facts = {"log": self._site.directory(name).log}
        return Observation(name, self._site.session_id(name), status, reason=reason, facts=facts)

    async def once_begun(self, name: str, *, start_within: float) -> Observation | None:
        """What is known of a session once it has begun, and has had a moment to end; neither is waited for longer."""
        live = self.live.get(name)
        if live is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(start_within):
                    await live.has_begun.wait()
                async with asyncio.timeout(SHORT_COMMAND):
                    await live.is_over.wait()
        return self.view(name)

    def is_over(self, name: str) -> bool:
        return name in self._over

    def meet(self, name: str, *, has_room: bool, is_launched: bool = False) -> None:
        """Know of a session that is not over. One that is launched already will tell of its start by itself."""
        live = self.live.get(name)
        if live is None:
            if name in self._over:
                return
            live = self.live[name] = Live(name, has_room)
        elif live.has_room is has_room:
            return
        live.has_room = has_room
        if not is_launched:
            self._hints.ring(name)

    def has_started(self, name: str) -> None:
        """Read the session's start, watch its keeper, and tell."""
        live, directory = self.live.get(name), self._site.directory(name)
        if live is None or live.started is not None or (started := directory.started()) is None:
            return
        live.started, live.has_room = started, True
        live.has_begun.set()
        directory.forget_secrets()
        live.view = look_at(directory, self._site.session_id(name))
        asyncio.get_running_loop().call_later(SHORT_COMMAND, self._tell_start, live)
        self._watch(live)

    def _tell_start(self, live: Live) -> None:
        if self.live.get(live.name) is live:
            self._hints.ring(live.name)

    def look_again(self, live: Live) -> None:
        """Make the view of a started session from its files, and tell."""
        live.view = look_at(self._site.directory(live.name), self._site.session_id(live.name))
        self._hints.ring(live.name)

    def finish(self, seen: Observation) -> None:
        """The session is over; tell if that is new."""
        if self._over.get(seen.name) == seen:
            return
        self._over[seen.name] = seen
        if len(self._over) > MOST_REMEMBERED:
            self._over.popitem(last=False)
        if (live := self.live.pop(seen.name, None)) is not None:
            self._let_go(live)
            live.has_begun.set()
            live.is_over.set()
        self._hints.ring(seen.name)

    def forget_ends(self, names: Sequence[str]) -> None:
        """Ask the files again about these ended sessions."""
        for name in names:
            self._over.pop(name, None)

    def waiting(self) -> list[str]:
        """Sessions that have not been seen to start."""
        return [live.name for live in self.live.values() if live.started is None]

    def running(self) -> Iterator[Live]:
        """Sessions whose command runs."""
        return (live for live in self.live.values() if live.started is not None)

    def watched(self) -> list[Watched]:
        """What `watch.check` needs to know of the running sessions."""
        found = []
        for live in self.running():
            entry = self._site.ledger.entries.get(live.name)
            memory = int(entry.slots.get("mem", 0)) if entry is not None else 0
            assert live.started is not None
            found.append(
                Watched(self._site.directory(live.name), self._site.session_id(live.name), live.started, memory)
            )
        return found

    def close(self) -> None:
        """Let go of every descriptor; no session is touched."""
        for live in self.live.values():
            self._let_go(live)
        self.live.clear()

    def _watch(self, live: Live) -> None:
        assert live.started is not None
        keeper = live.started.keeper
        try:
            live.pidfd = None if keeper is None else keeper.open()
        except OSError:
            # Out of descriptors: the housekeeper looks at it once a second instead.
            return
        if live.pidfd is None:
            self._on_gone(live.name)
        else:
            asyncio.get_running_loop().add_reader(live.pidfd, self._gone, live)

    def _gone(self, live: Live) -> None:
        self._let_go(live)
        if live.started is not None and live.started.keeper is not None:
            # Orphans come to us only where this process is the first of its container.
            with suppress(ChildProcessError):
                os.waitpid(live.started.keeper.pid, os.WNOHANG)
        self._on_gone(live.name)

    def _let_go(self, live: Live) -> None:
        if live.pidfd is not None:
            asyncio.get_running_loop().remove_reader(live.pidfd)
            os.close(live.pidfd)
            live.pidfd = None
