"""What the engine learns from outside (facts), and what it wants done outside (effects).

Facts come from backends and go into a reconcile pass; effects come out of a pass and are carried out after its commit.
Both name an attempt by its session name, so neither needs a look-up to be told apart from a stale one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .job import Attempt, Job, TaskInstance
from .pipeline import Pipeline
from .states import FailureClass, InstanceState


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """The backend knows the session."""

    name: str
    session_id: str
    status: InstanceState
    """QUEUED, PREPARING, RUNNING, STOPPING, SUCCEEDED, FAILED or CANCELLED."""
    reason: str = ""
    exit_code: int | None = None
    failure: FailureClass | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    is_create_answer: bool = False
    """The answer of a create: how the session began, possibly older than what was observed since."""
    is_answer: bool = False
    """The answer to a look or an end that this job's last decision asked for: the next question waits its time."""


@dataclass(frozen=True, slots=True)
class SessionMissing:
    """The backend was asked for the session by name, dead ones included, and does not know it."""

    name: str
    looked_at: datetime
    """When the question was sent."""
    is_answer: bool = False
    """As in `SessionSeen`."""


@dataclass(frozen=True, slots=True)
class SessionRefused:
    """The backend will never run this session."""

    name: str
    reason: str
    failure: FailureClass


@dataclass(frozen=True, slots=True)
class BackendAway:
    """The backend did not answer. Changes no state: unknown is not failed (I16)."""

    name: str
    reason: str
    is_lasting: bool = False
    """Whether it stays so until somebody does something about it: people are told at once."""


@dataclass(frozen=True, slots=True)
class CreateNotSent:
    """The create was decided but certainly not sent: its fence was too near. It may be decided anew at once."""

    name: str
    fence_until: datetime
    """The fence of the create that was not sent. If the attempt has another by now, another create was decided since."""


Fact = CreateNotSent | SessionSeen | SessionMissing | SessionRefused | BackendAway


@dataclass(frozen=True, slots=True)
class CreateSession:
    """Create the session of an attempt whose intent is committed."""

    job: Job
    pipeline: Pipeline
    instance: TaskInstance
    attempt: Attempt

    @property
    def name(self) -> str:
        """The session's name."""
        return self.attempt.session_name


@dataclass(frozen=True, slots=True)
class LookForSession:
    """Settle an attempt whose create has no known answer: look its name up, dead sessions included."""

    job: Job
    name: str


@dataclass(frozen=True, slots=True)
class EndSession:
    """End the session, and look whether it is gone."""

    job: Job
    name: str


Effect = CreateSession | LookForSession | EndSession
