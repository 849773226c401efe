"""What commands are told: plain values, made from the database's records or from a server's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from fasttrack.domain.pipeline import Pipeline as Graph
from fasttrack.domain.states import FailureClass, InstanceState, JobState
from fasttrack.errors import Problem
from fasttrack.ids import InstanceId, JobId, PipelineId

T = TypeVar("T")
LogWriter = Callable[[bytes, int, bool], None]
"""Takes masked text, the offset to read on from, and whether nothing follows."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as lists show it."""

    id: PipelineId
    name: str
    latest_version: int
    latest_job: int
    created_by: str
    created_at: datetime
    archived_at: datetime | None = None
    description: str = ""
    tags: Sequence[str] = ()
    revision: int = 1
    problem: str | None = None
    """What keeps its jobs from running; `None`: nothing."""


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a pipeline."""

    number: int
    author: str
    message: str
    hash: str
    created_at: datetime
    source: str = ""
    """The text as it was published; empty in lists."""
    spec: dict[str, Any] = field(default_factory=dict)
    """The canonical document; empty in lists."""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing gave."""

    name: str
    version: Version
    tasks: int
    is_new: bool
    """`False`: the newest version means the same already, and was left as it is."""
    warnings: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A run of a pipeline."""

    id: JobId
    pipeline_id: PipelineId
    pipeline: str
    number: int
    version: int
    state: JobState
    reason: str
    params: dict[str, Any]
    submitted_by: str
    tasks: int
    open_tasks: int
    seq: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    pruned_at: datetime | None = None
    overrides: dict[str, Any] | None = None
    """By task, what it has otherwise than its file."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a job, with its newest attempt."""

    id: InstanceId
    name: str
    state: InstanceState
    reason: str
    attempt: int
    failure: FailureClass | None
    exit_code: int | None
    not_before: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    session_id: str | None
    facts: dict[str, str]
    outputs: Path | None = None
    """Where its outputs are on this machine; `None` when they are elsewhere, or it never ran."""


@dataclass(frozen=True, slots=True)
class FromFile:
    """Run what a file says, published as a new version if its meaning changed."""

    name: str
    text: bytes
    message: str


@dataclass(frozen=True, slots=True)
class FromVersion:
    """Run a stored version; `None` is the newest."""

    pipeline: str
    number: int | None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run asks for, besides the version."""

    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    skip: Sequence[str] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By task, what it has otherwise than its file, in the words of the file."""
    priority: int | None = None
    key: str | None = None
    """Same key, same request: the same job."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that a request led to."""

    id: JobId
    number: int
    is_new: bool
    """`False`: the idempotency key was used before, and this is its job."""


@dataclass(frozen=True, slots=True)
class Start:
    """A job that was started, or would be."""

    name: str
    """The pipeline's."""
    tasks: int
    version: Version
    job: Begun | None
    """`None`: it was only tried."""
    published: Published | None
    """What publishing the file gave; `None` for a stored version."""
    graph: Graph | None = None
    """What would run, when it was only tried."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What running a job again does."""

    origin: JobId
    version: int
    runs: Sequence[str]
    reuses: Mapping[str, JobId]
    skips: Sequence[str]
    unmatched: Sequence[str]
    added: Sequence[str]
    dropped_params: Sequence[str]


@dataclass(frozen=True, slots=True)
class Rerun:
    """A plan, and the job that carries it out."""

    plan: Plan
    job: Begun | None
    """`None`: it was only tried."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A job that something was asked of, with its state when it was asked."""

    job: Job
    before: JobState


@dataclass(frozen=True, slots=True)
class Skipped:
    """A task that is not to be run, with its state when that was asked."""

    id: InstanceId
    name: str
    before: InstanceState


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit with what is used of it."""

    scope: str
    name: str
    slots: int
    used: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, never its value."""

    name: str
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a cluster, never its secret half."""

    access_key: str
    added_by: str
    created_at: datetime
    retired_at: datetime | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Credential:
    """What the jobs of a project, or of a person, run with on a cluster."""

    project_id: UUID | None
    account_id: UUID | None
    holder: str
    site: str
    cluster_user: str
    keys: list[Key]
    """The one in use first."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose credential is meant."""

    is_project: bool = True
    account: str | None = None
    """A person's, by name or id, if it is not the project's; `None`: the caller's own."""


def as_told(kind: type[T], record: object, **more: Any) -> T:
    """The value of that kind that a record with the same attributes stands for; `more` are those it has not."""
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(record, name) for name in names if name not in more and hasattr(record, name)}, **more)


def uuid_of(text: str) -> UUID | None:
    """The whole id that the text is, with or without dashes."""
    digits = text.replace("-", "")
    try:
        return UUID(digits) if len(digits) == 32 else None
    except ValueError:
        return None
