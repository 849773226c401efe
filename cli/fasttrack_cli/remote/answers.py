"""What the API of a server answers, as far as commands need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import Problem
from fasttrack.ids import InstanceId, JobId

from ..store import Begun, Plan, Published, Version

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some things of a list."""

    items: list[T]
    next: str | None


@dataclass(frozen=True)
class Submitted:
    """The job that a request led to."""

    id: JobId
    number: int
    is_new: bool

    def begun(self, *, is_ours: bool) -> Begun:
        """As commands are told: a job under a key that nobody else has is new, however often it was asked for."""
        return Begun(self.id, self.number, is_ours or self.is_new)


@dataclass(frozen=True)
class PublishedFile:
    """What publishing gave."""

    name: str
    version: Version
    tasks: int
    is_new: bool
    warnings: list[Problem]

    def told(self) -> Published:
        """As commands are told."""
        return Published(self.name, self.version, self.tasks, self.is_new, self.warnings)


@dataclass(frozen=True)
class Started:
    """The job of a file or a pipeline."""

    job: Submitted | None
    name: str
    tasks: int
    version: Version
    published: PublishedFile | None


@dataclass(frozen=True)
class Rerun:
    """A plan, and the job that carries it out."""

    job: Submitted | None
    plan: Plan


@dataclass(frozen=True)
class Changed:
    """A job that something was asked of."""

    id: JobId
    state_before: JobState


@dataclass(frozen=True)
class TaskChanged:
    """A task that something was asked of."""

    id: InstanceId
    name: str
    state_before: InstanceState


@dataclass(frozen=True)
class Named:
    """Something with a name."""

    name: str


@dataclass(frozen=True)
class Event:
    """An event of a stream or a page."""

    cursor: str
    job_id: JobId
    seq: int
    kind: str
    at: datetime
    task: str | None
    task_instance_id: UUID | None
    payload: dict[str, Any]


@dataclass(frozen=True)
class EventPage:
    """Some events."""

    events: list[Event]
    next: str
    has_more: bool


def in_path(text: str) -> str:
    """The text as one part of a path. A lone dot would be taken out of it by those on the way."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")
