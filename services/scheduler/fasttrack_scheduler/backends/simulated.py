"""A scripted backend in memory: the outside world of tests and benchmarks, held to the same contract as the real ones.

Every session succeeds at once unless a `Script` says otherwise, by session name or by task; `ledger` remembers all that
happened, for exact counts. Several backends over one `SimulatedSite` see the same sessions, as several schedulers do.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from fasttrack.clock import Clock, SystemClock
from fasttrack.domain.room import Room
from fasttrack.domain.states import FailureClass
from fasttrack.domain.usage import ANY_GROUP
from fasttrack.ids import JobId, PipelineId
from fasttrack.settings import Settings
from fasttrack.storage import LogChunk

from . import base
from .base import ROOM_AGE, Freed, Observation, SessionBackendUnavailable, SessionRefused, SessionSpec, SessionStatus
from .hints import Hints
from .simulated_ledger import Ledger


@dataclass(frozen=True, slots=True)
class Script:
    """How one session behaves; durations are seconds."""

    duration: float = 0
    """How long the command runs; 0 ends it inside `create`."""
    held: bool = False
    """Runs until `SimulatedSite.finish`, whatever `duration` says."""
    exit_code: int = 0
    failure: FailureClass | None = None
    """Class of the failure; unset follows from the exit code."""
    reason: str = ""
    log: bytes = b""
    queued: float = 0
    """How long it waits before it runs."""
    preparing: float = 0
    """How long it is prepared after that."""
    refused: str = ""
    """`create` raises `SessionRefused` with this sentence."""
    unavailable: int = 0
    """This many first `create` calls have no effect and raise `SessionBackendUnavailable`."""
    lost_answers: int = 0
    """This many first `create` calls take effect and raise `SessionBackendUnavailable` all the same."""
    vanishes: bool = False
    """When its time is over it is unknown, as if it had never been."""
    preempted: int = 0
    """It goes back to QUEUED this often before it ends."""
    ignores_stop: bool = False
    """Ends only when the grace of `terminate` is over."""


class _Session:
    """One session's state; plain attributes because benchmarks make tens of thousands."""

    __slots__ = ("log", "preempted", "reason", "script", "spec", "started_at", "status", "timer", "view")

    def __init__(self, spec: SessionSpec, script: Script) -> None:
        self.spec = spec
        self.script = script
        self.status = SessionStatus.QUEUED
        self.reason = ""
        self.started_at: datetime | None = None
        self.log = b""
        self.preempted = 0
        self.timer: asyncio.TimerHandle | None = None
        self.view: Observation | None = None


_SUCCEEDS = Script()


class SimulatedSite:
    """The place where simulated sessions live."""

    def __init__(self, clock: Clock | None = None, *, room: int | None = None) -> None:
        """`room` bounds how many sessions are prepared or run at the same time; each is taken for one cpu."""
        self.clock = clock or SystemClock()
        self.room = room
        self.ledger = Ledger()
        self.is_away = False
        """While true every call raises `SessionBackendUnavailable` and has no effect."""
        self.hints = Hints()
        self.outputs: set[JobId] = set()
        """Jobs whose tasks have written something."""
        self.folders: set[PipelineId] = set()
        """Pipelines that have a folder of their own."""
        self._scripts: dict[str, list[Script]] = {}
        self._taken: Counter[str] = Counter()
        self._sessions: dict[str, _Session] = {}
        self._waiting: deque[_Session] = deque()
        self.busy = 0
        """How many are prepared or run."""
        self._is_filling = False

    def script(self, key: str, *scripts: Script) -> None:
        """Let sessions of this name, or else of this task, behave so, one script after the other; the last one stays."""
        self._scripts[key] = list(scripts)
        self._taken[key] = 0

    def finish(self, name: str, *, exit_code: int = 0, failure: FailureClass | None = None, reason: str = "") -> None:
        """End a session that is not over."""
        self._end(self._sessions[name], exit_code, failure, reason)

    def preempt(self, name: str) -> None:
        """Send a running session back to the queue; it starts again when there is room."""
        session = self._sessions[name]
        if session.status in (SessionStatus.RUNNING, SessionStatus.PREPARING):
            self._back_to_queue(session)
            self._fill()

    def forget(self, name: str) -> None:
        """Lose every trace of a session."""
        session = self._sessions[name]
        if not session.status.is_terminal:
            self._leave(session)
        del self._sessions[name]
        self.hints.ring(name)
        self._fill()

    def require_present(self) -> None:
        """Pass unless the site is away."""
        if self.is_away:
            raise SessionBackendUnavailable("the simulated site is away")

    def create(self, spec: SessionSpec) -> Observation:
        self.require_present()
        name, ledger = spec.name, self.ledger
        ledger.create_calls[name] += 1
        session = self._sessions.get(name)
        if session is None:
            if spec.service is not None:
                raise SessionRefused(base.NO_SERVICES)
            script = self._script_for(spec)
            if script.refused:
                raise SessionRefused(script.refused)
            if ledger.create_calls[name] <= script.unavailable:
                raise SessionBackendUnavailable("the simulated site did not answer")
            session = self._admit(spec, script)
        if ledger.create_calls[name] <= session.script.lost_answers:
            raise SessionBackendUnavailable("the simulated site's answer was lost")
        return self.look(session)

    def get(self, name: str) -> Observation | None:
        """What is known of a session."""
        session = self._sessions.get(name)
        return None if session is None else self.look(session)

    def live(self) -> list[Observation]:
        """Every session that is not over."""
        return [self.look(session) for session in self._sessions.values() if not session.status.is_terminal]

    def read(self, name: str) -> tuple[bytes, bool]:
        """A session's output so far, and whether it is over."""
        session = self._sessions.get(name)
        return (b"", False) if session is None else (session.log, session.status.is_terminal)

    def stop(self, name: str, grace: timedelta) -> None:
        self.ledger.terminated[name] += 1
        session = self._sessions.get(name)
        if session is None or session.status.is_terminal or session.status is SessionStatus.STOPPING:
            return
        if session.script.ignores_stop and session.status is SessionStatus.RUNNING:
            session.status = SessionStatus.STOPPING
            self._changed(session)
            self._later(session, grace.total_seconds(), self._cancel)
        else:
            self._cancel(session)

    def look(self, session: _Session) -> Observation:
        """The session as an observation, made once per change."""
        if session.view is None:
            session.view = Observation(
                session.spec.name,
                f"simulated-{session.spec.name}",
                session.status,
                reason=session.reason,
                started_at=session.started_at,
                facts={"isolation": "simulated"},
            )
        return session.view

    def _script_for(self, spec: SessionSpec) -> Script:
        for key in (spec.name, spec.workspace.task):
            if scripts := self._scripts.get(key):
                return scripts[min(self._taken[key], len(scripts) - 1)]
        return _SUCCEEDS

    def _admit(self, spec: SessionSpec, script: Script) -> _Session:
        for key in (spec.name, spec.workspace.task):
            if key in self._scripts:
                self._taken[key] += 1
                break
        session = self._sessions[spec.name] = _Session(spec, script)
        ledger, owner = self.ledger, (spec.workspace.job_id, spec.workspace.task)
        ledger.created.append(spec.name)
        self.outputs.add(spec.workspace.job_id)
        self.folders.add(spec.workspace.pipeline_id)
        ledger.live[owner] += 1
        ledger.most_live[owner] = max(ledger.most_live[owner], ledger.live[owner])
        if script.queued:
            self._later(session, script.queued, self._enter)
        else:
            self._enter(session)
        return session

    def _enter(self, session: _Session) -> None:
        if self.room is not None and self.busy >= self.room:
            session.reason = f"waits for a place: {self.busy} of {self.room} are in use"
            self._waiting.append(session)
            return
        self.busy += 1
        session.reason = ""
        if session.script.preparing:
            session.status = SessionStatus.PREPARING
            self._changed(session)
            self._later(session, session.script.preparing, self._run)
        else:
            self._run(session)

    def _run(self, session: _Session) -> None:
        script = session.script
        self.ledger.executions[session.spec.name] += 1
        session.status = SessionStatus.RUNNING
        session.started_at = self.clock.now()
        session.log += script.log
        if script.held or script.duration:
            self._changed(session)
        if not script.held:
            self._later(session, script.duration, self._over)

    def _over(self, session: _Session) -> None:
        script = session.script
        if session.preempted < script.preempted:
            session.preempted += 1
            self._back_to_queue(session)
            self._fill()
        elif script.vanishes:
            self.forget(session.spec.name)
        else:
            self._end(session, script.exit_code, script.failure, script.reason)

    def _cancel(self, session: _Session) -> None:
        self._end(session, None, FailureClass.CANCELLED, "it was ended by request")

    def _end(self, session: _Session, code: int | None, failure: FailureClass | None, reason: str) -> None:
        if session.status.is_terminal:
            return
        self._leave(session)
        if failure is FailureClass.CANCELLED:
            status = SessionStatus.CANCELLED
        elif code or failure is not None:
            status = SessionStatus.FAILED
            failure = failure or FailureClass.USER
            reason = reason or (f"exited with code {code}" if code else f"failed: {failure}")
        else:
            status = SessionStatus.SUCCEEDED
        session.status = status
        self._changed(session)
        session.view = Observation(
            session.spec.name,
            f"simulated-{session.spec.name}",
            status,
            reason=reason,
            exit_code=code,
            failure=failure,
            started_at=session.started_at,
            ended_at=self.clock.now(),
            facts={"isolation": "simulated"},
        )
        self._fill()

    def _back_to_queue(self, session: _Session) -> None:
        self._free(session)
        session.status = SessionStatus.QUEUED
        session.reason = "was pre-empted"
        session.started_at = None
        self._changed(session)
        if session.script.queued:
            self._later(session, session.script.queued, self._enter)
        else:
            self._waiting.append(session)

    def _leave(self, session: _Session) -> None:
        self.ledger.live[session.spec.workspace.job_id, session.spec.workspace.task] -= 1
        self._free(session)

    def _free(self, session: _Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None
        if session.status is SessionStatus.QUEUED:
            if session in self._waiting:
                self._waiting.remove(session)
        else:
            self.busy -= 1

    def _fill(self) -> None:
        # Not nested: each of many sessions that end at once would otherwise start the next one level deeper.
        if self._is_filling:
            return
        self._is_filling = True
        while self._waiting and (self.room is None or self.busy < self.room):
            self._enter(self._waiting.popleft())
        self._is_filling = False

    def _later(self, session: _Session, seconds: float, then: Callable[[_Session], None]) -> None:
        if seconds:
            session.timer = asyncio.get_running_loop().call_later(seconds, then, session)
        else:
            then(session)

    def _changed(self, session: _Session) -> None:
        session.view = None
        self.hints.ring(session.spec.name)


class SimulatedBackend:
    """A scheduler's view of a `SimulatedSite`."""

    def __init__(
        self, site: SimulatedSite, *, fence: timedelta = timedelta(seconds=2), name: str = "simulated"
    ) -> None:
        self.world = site
        self.site, self.fence = name, fence

    async def start(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def create(self, spec: SessionSpec) -> Observation:
        return self.world.create(spec)

    async def find(self, name: str) -> Observation | None:
        self.world.require_present()
        return self.world.get(name)

    async def observe(self, names: Sequence[str]) -> list[Observation]:
        self.world.require_present()
        return [seen for name in names if (seen := self.world.get(name)) is not None]

    async def live(self) -> list[Observation]:
        self.world.require_present()
        return self.world.live()

    async def terminate(self, name: str, *, grace: timedelta) -> None:
        self.world.require_present()
        self.world.stop(name, grace)

    async def logs(self, name: str, *, offset: int, limit: int) -> LogChunk:
        self.world.require_present()
        data, is_over = self.world.read(name)
        piece = data[offset : offset + limit]
        following = offset + len(piece)
        return LogChunk(piece, following, is_over and following >= len(data), len(data))

    async def room(self, *, max_age: timedelta = ROOM_AGE) -> Mapping[str, Room]:
        self.world.require_present()
        in_all, used = {"cpu": Decimal(self.world.room or 0)}, {"cpu": Decimal(self.world.busy)}
        return {} if self.world.room is None else {ANY_GROUP: Room.of([(in_all, used, True)])}

    async def forget_sessions(self, names: Sequence[str], *, dry_run: bool = False) -> Freed:
        over = {seen.name for seen in await self.observe(names) if seen.status.is_terminal}
        freed = Freed(len(over), sum(len(self.world.read(name)[0]) for name in over))
        for name in () if dry_run else over:
            self.world.forget(name)
        return freed

    async def forget_outputs(self, jobs: Sequence[tuple[PipelineId, JobId]], *, dry_run: bool = False) -> Freed:
        self.world.require_present()
        there = self.world.outputs & {job for _, job in jobs}
        self.world.outputs -= set() if dry_run else there
        return Freed(len(there))

    async def forget_pipelines(self, pipelines: Sequence[PipelineId], *, dry_run: bool = False) -> Freed:
        self.world.require_present()
        there = self.world.folders & set(pipelines)
        self.world.folders -= set() if dry_run else there
        return Freed(len(there))

    async def folder_problems(self, pipelines: Sequence[tuple[PipelineId, JobId]]) -> base.FolderProblems:
        return {}  # nobody can take one away

    def events(self) -> AsyncIterator[str]:
        return self.world.hints.listen()


def make(settings: Settings, clock: Clock) -> SimulatedBackend:
    """A backend over a fresh site of its own."""
    return SimulatedBackend(SimulatedSite(clock))
