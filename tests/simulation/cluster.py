"""A compute cluster with the real manager's rules: a name is taken only while its session lives; dead ones are found.

What a session does is written in its command. The cluster's own record is the ledger that invariants are checked on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from fasttrack.domain.states import FailureClass
from fasttrack.storage import LogChunk
from fasttrack_scheduler.backends.base import NO_SERVICES, Observation, SessionRefused, SessionSpec, SessionStatus

Status = SessionStatus


class Timers(Protocol):
    """When things happen; virtual or real."""

    def now(self) -> datetime: ...

    def later(self, seconds: float, callback: Callable[[], object]) -> None: ...


class NameTaken(Exception):
    """A living session has this name."""


@dataclass(frozen=True)
class Plan:
    """What one session does; seconds."""

    queued: float = 0
    preparing: float = 0
    run: float | None = 1
    """`None` runs until it is ended."""
    exit: int = 0
    broken: bool = False
    """It fails for the cluster's own reasons."""
    preempted: int = 0
    vanishes: bool = False
    cancelled: bool = False
    """Somebody ends it from outside."""
    stops_in: float = 0
    """How long it takes to end when asked; longer than the grace is forced."""
    refused: str = ""
    log: str = ""


def a_command(*plans: dict[str, Any]) -> str:
    """The command of a task whose first attempt follows the first plan, and so on; the last plan stays."""
    return json.dumps(plans)


def plan_of(spec: SessionSpec) -> Plan:
    plans = json.loads(spec.command)
    attempt = int(spec.envs.get("BACKENDAI_PIPELINE_TASK_ATTEMPT", "1"))
    return Plan(**plans[min(attempt, len(plans)) - 1])


@dataclass(eq=False)
class Session:
    """One session, as long as the cluster remembers it and in the ledger for ever."""

    id: str
    spec: SessionSpec
    plan: Plan
    created_at: datetime
    status: Status = Status.QUEUED
    reason: str = ""
    exit_code: int | None = None
    failure: FailureClass | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    runs: int = 0
    preemptions: int = 0
    is_forgotten: bool = False
    turn: int = 0
    """Grows with each change, so that a timer of an earlier stage finds itself too late."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_live(self) -> bool:
        return not self.status.is_terminal

    def seen(self) -> Observation:
        return Observation(
            self.name,
            self.id,
            self.status,
            reason=self.reason,
            exit_code=self.exit_code,
            failure=self.failure,
            started_at=self.started_at,
            ended_at=self.ended_at,
            facts={"isolation": "simulated"},
        )


@dataclass
class Ledger:
    """What really happened."""

    sessions: list[Session] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Names whose create was refused for good, with the reason."""
    creates: dict[str, int] = field(default_factory=dict)
    """Requests to create that arrived, by name."""
    name_taken: list[str] = field(default_factory=list)
    """Names that met a living session."""
    swept: list[str] = field(default_factory=list)
    """Names that were ended without any grace."""


class Cluster:
    """The manager. Every method is one request at the moment it arrives."""

    def __init__(self, timers: Timers, *, room: int | None = None) -> None:
        self.timers = timers
        self.room = room
        self.ledger = Ledger()
        self.on_change: Callable[[Session], None] = lambda _: None
        self.on_create: Callable[[Session], None] = lambda _: None
        self.lingering: set[str] = set()
        """Names whose next session runs until it is ended: a ghost that leaves by itself teaches nothing."""
        self._by_name: dict[str, list[Session]] = {}
        self._waiting: list[Session] = []
        self._busy: set[str] = set()

    @property
    def used(self) -> Decimal:
        """Places that are taken."""
        return Decimal(len(self._busy))

    # -- requests -----------------------------------------------------------------------------------------------

    def create(self, spec: SessionSpec) -> Observation:
        """:raises NameTaken: a session of this name lives. :raises SessionRefused: it can never run."""
        self.ledger.creates[spec.name] = self.ledger.creates.get(spec.name, 0) + 1
        if spec.service is not None:
            raise SessionRefused(NO_SERVICES)
        plan = plan_of(spec)
        if plan.refused:
            self.ledger.refused[spec.name] = plan.refused
            raise SessionRefused(plan.refused)
        if any(s.is_live for s in self._by_name.get(spec.name, ())):
            self.ledger.name_taken.append(spec.name)
            raise NameTaken(spec.name)
        if spec.name in self.lingering:
            plan = replace(plan, run=None, queued=0)
        session = Session(f"id-{len(self.ledger.sessions)}", spec, plan, self.timers.now())
        self.ledger.sessions.append(session)
        self._by_name.setdefault(spec.name, []).append(session)
        self.on_create(session)
        self._then(session, plan.queued, self._enter)
        return session.seen()

    def find(self, name: str) -> Observation | None:
        """The newest session of this name, dead or alive."""
        known = self._by_name.get(name)
        return known[-1].seen() if known else None

    def list(self, names: Sequence[str]) -> list[Observation]:
        """The newest session of each of these names."""
        return [seen for name in names if (seen := self.find(name)) is not None]

    def live(self) -> list[Observation]:
        """Every session that is not over."""
        return [s.seen() for s in self.living()]

    def living(self) -> list[Session]:
        """For checks: every session that is not over."""
        return [s for known in self._by_name.values() for s in known if s.is_live]

    def destroy(self, name: str, grace: timedelta) -> None:
        """End the living session of this name, by force when the grace is over."""
        for session in self._by_name.get(name, ()):
            if not session.is_live or (session.status is Status.STOPPING and grace):
                continue
            if not grace:
                self.ledger.swept.append(name)
            wait = min(session.plan.stops_in, grace.total_seconds())
            if wait > 0:
                self._leave(session)
                self._change(session, Status.STOPPING)
            self._then(session, wait, self._cancelled)

    def read(self, name: str, offset: int, limit: int) -> LogChunk:
        """A piece of its output."""
        known = self._by_name.get(name)
        data = known[-1].plan.log.encode() if known and known[-1].started_at else b""
        piece = data[offset : offset + limit]
        over = bool(known) and not known[-1].is_live and offset + len(piece) >= len(data)
        return LogChunk(piece, offset + len(piece), over, len(data))

    # -- what sessions do ---------------------------------------------------------------------------------------

    def _enter(self, session: Session) -> None:
        if self.room is not None and len(self._busy) >= self.room:
            session.reason = f"waits for a place: {len(self._busy)} of {self.room} are in use"
            self._waiting.append(session)
            return
        self._busy.add(session.id)
        session.reason = ""
        if session.plan.preparing:
            self._change(session, Status.PREPARING)
        self._then(session, session.plan.preparing, self._run)

    def _run(self, session: Session) -> None:
        session.runs += 1
        session.started_at = self.timers.now()
        self._change(session, Status.RUNNING)
        if session.plan.run is not None:
            self._then(session, session.plan.run, self._over)

    def _over(self, session: Session) -> None:
        plan = session.plan
        if session.preemptions < plan.preempted:
            session.preemptions += 1
            session.started_at = None
            self._leave(session)
            session.reason = "was pre-empted"
            self._change(session, Status.QUEUED)
            self._then(session, plan.queued + 1, self._enter)
        elif plan.vanishes:
            self._end(session, Status.FAILED, FailureClass.INFRASTRUCTURE, "vanished")
            session.is_forgotten = True
            self._by_name[session.name].remove(session)
        elif plan.cancelled:
            self._end(session, Status.CANCELLED, FailureClass.CANCELLED, "ended by an administrator")
        elif plan.broken:
            self._end(session, Status.FAILED, FailureClass.INFRASTRUCTURE, "the agent was lost")
        elif plan.exit:
            session.exit_code = plan.exit
            self._end(session, Status.FAILED, FailureClass.USER, f"exited with code {plan.exit}")
        else:
            session.exit_code = 0
            self._end(session, Status.SUCCEEDED, None, "")

    def _cancelled(self, session: Session) -> None:
        self._end(session, Status.CANCELLED, FailureClass.CANCELLED, "it was ended by request")

    def _end(self, session: Session, status: Status, failure: FailureClass | None, reason: str) -> None:
        self._leave(session)
        session.ended_at = self.timers.now()
        session.failure, session.reason = failure, reason
        self._change(session, status)

    def _leave(self, session: Session) -> None:
        self._busy.discard(session.id)
        if session in self._waiting:
            self._waiting.remove(session)
        while self._waiting and (self.room is None or len(self._busy) < self.room):
            self._enter(self._waiting.pop(0))

    def _change(self, session: Session, status: Status) -> None:
        session.status = status
        session.turn += 1
        self.on_change(session)

    def _then(self, session: Session, seconds: float, stage: Callable[[Session], None]) -> None:
        session.turn += 1
        turn = session.turn

        def go_on() -> None:
            if session.turn == turn and session.is_live:
                stage(session)

        if seconds > 0:
            self.timers.later(seconds, go_on)
        else:
            go_on()
