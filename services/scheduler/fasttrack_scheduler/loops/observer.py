"""Asks the backend for the truth: about everything that is open, every few seconds; about what it hints at, at once.

Hints may be lost, repeated or wrong; the periodic question is what correctness rests on (F20, F21).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import structlog

from fasttrack.crashpoints import crash_point
from fasttrack.db import Database
from fasttrack.db.passes import OpenSession, find_open_session, open_sessions, read_clock
from fasttrack.domain.facts import Fact, SessionMissing, SessionSeen
from fasttrack.ids import JobId, parse_session_name
from fasttrack.settings import Settings
from fasttrack.telemetry import LogLimiter

from ..backends.base import Observation, PartlyUnavailable, SessionBackend
from ..effects import as_fact

log = structlog.get_logger()

_BATCH = 500
_GATHER = 0.01
"""Seconds between two looks at what was hinted at. The first of many hints is looked at at once, the others together:
otherwise each of them is a pass of its own, and takes the processors away from the sessions themselves."""


class Observer:
    """What one backend says of our sessions, as facts."""

    def __init__(
        self, database: Database, backend: SessionBackend, settings: Settings, learn: Callable[[JobId, Fact], None]
    ) -> None:
        self._database = database
        self._backend = backend
        self._interval = settings.observe_interval.total_seconds()
        self._learn = learn
        self._hinted: dict[str, None] = {}
        self._next_look = 0.0
        self._awaited: set[str] = set()
        # What was said since the last turn, which compares with what is stored: a hint that repeats it is no news.
        self._told: dict[str, SessionSeen] = {}
        self._jobs: dict[str, JobId] = {}
        # One question at a time: an older answer must not overtake a newer one.
        self._asking = asyncio.Lock()
        self._limiter = LogLimiter()
        self.wake = asyncio.Event()
        self.hint_wake = asyncio.Event()

    def expect(self, name: str, job: JobId) -> None:
        """Know whose session this is, and that its create is under way: its hints wait for the answer."""
        self._jobs[name] = job
        self._awaited.add(name)

    def answered(self, fact: Fact) -> None:
        """What a call of ours was told: hints that say the same are not worth a pass."""
        self._awaited.discard(fact.name)
        if isinstance(fact, SessionSeen):
            self._told[fact.name] = fact
            if fact.status.is_terminal:
                self._hinted.pop(fact.name, None)
        if fact.name in self._hinted:
            self.hint_wake.set()

    async def turn(self) -> float:
        """Ask about every open session of the site; facts for those that differ from what is stored."""
        async with self._database.transaction() as db:
            stored, asked_at = await open_sessions(db, self._backend.site), await read_clock(db)
        self._jobs = {s.name: s.job_id for s in stored} | {n: j for n, j in self._jobs.items() if n in self._hinted}
        self._told.clear()
        for start in range(0, len(stored), _BATCH):
            await self._compare(stored[start : start + _BATCH], asked_at)
        return self._interval

    async def _compare(self, stored: Sequence[OpenSession], asked_at: datetime) -> None:
        async with self._asking:
            observations, unknown = await self._observe([s.name for s in stored])
        seen = {o.name: o for o in observations}
        crash_point("observe.after_read")
        for session in stored:
            if session.name in unknown:
                continue
            observation = seen.get(session.name)
            if observation is None:
                self._learn(session.job_id, SessionMissing(session.name, asked_at))
            elif observation.status.value != session.state.value or (
                observation.reason != session.reason and not session.is_stopping
            ):
                self._learn(session.job_id, as_fact(observation))

    async def _observe(self, names: Sequence[str]) -> tuple[Sequence[Observation], Collection[str]]:
        """What is known, and the names of those that nothing can be known of right now."""
        try:
            return await self._backend.observe(names), ()
        except PartlyUnavailable as error:
            if self._limiter.allows(error.message):
                log.warning("some sessions cannot be asked about", error=error.message, sessions=len(error.unknown))
            return error.seen, error.unknown

    async def listen(self) -> None:
        """Collect hints, for ever."""
        async for name in self._backend.events():
            told = self._told.get(name)
            if told is None or not told.status.is_terminal:
                self._hinted[name] = None
                if name not in self._awaited:
                    self.hint_wake.set()

    async def hint_turn(self) -> float:
        """Ask about the sessions that were hinted at."""
        now = asyncio.get_running_loop().time()
        if now < self._next_look:
            await asyncio.sleep(self._next_look - now)
        names = [name for name in self._hinted if name not in self._awaited]
        for name in names:
            del self._hinted[name]
        for start in range(0, len(names), _BATCH):
            async with self._asking:
                observations, _ = await self._observe(names[start : start + _BATCH])
            crash_point("observe.after_hint")
            for observation in observations:
                await self._hear(as_fact(observation))
        if names:
            self._next_look = asyncio.get_running_loop().time() + _GATHER
        return 60.0

    async def _hear(self, fact: SessionSeen) -> None:
        told = self._told.get(fact.name)
        if told is not None and (told.status, told.reason) == (fact.status, fact.reason):
            return
        job = self._jobs.get(fact.name) or await self._job_of(fact.name)
        if job is not None:
            self._told[fact.name] = fact
            if fact.status.is_terminal:
                self._jobs.pop(fact.name, None)
            self._learn(job, fact)

    async def _job_of(self, name: str) -> JobId | None:
        """Whose session a name is, from the database; `None` for a stranger's or one that is over."""
        parsed = parse_session_name(name)
        if parsed is None:
            return None
        async with self._database.transaction() as db:
            return await find_open_session(db, *parsed)
