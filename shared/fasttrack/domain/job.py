"""Jobs, task instances and attempts as the engine holds them while it decides.

These are working copies: one reconcile pass loads them under the job's row lock, `transitions` changes them, and the
same transaction writes them back. Nobody else sees a half-decided one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..ids import InstanceId, JobId, PipelineId, ProjectId, VersionId, session_name
from .pipeline import Pipeline, Task
from .states import FailureClass, InstanceState, JobState

ParamValue = str | int | float | bool


@dataclass(slots=True)
class Job:
    """One run of a pipeline version."""

    id: JobId
    project_id: ProjectId
    pipeline_id: PipelineId
    version_id: VersionId
    number: int
    """Running number inside its pipeline, from 1."""
    state: JobState
    reason: str
    params: Mapping[str, ParamValue]
    priority: int
    site: str | None
    """Where its sessions live; set when the first attempt is opened."""
    seq: int
    """Number of events so far; the next event is `seq + 1`."""
    open_tasks: int
    """Instances that are not terminal."""
    failed_tasks: int
    """Instances that bring the job down."""
    cancelled_tasks: int
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_reconcile_at: datetime | None = None
    project: str = ""
    """The project's name."""
    origin_job_id: JobId | None = None
    """The job it runs again."""
    overrides: Mapping[str, Any] | None = None
    """By task, what this run has otherwise than the file; `spec.overrides` reads it."""
    is_pipeline_paused: bool = False
    limits: frozenset[str] = frozenset()
    """The project's limits as `scope:name`: a task under any of them needs a grant before it starts."""


@dataclass(slots=True)
class TaskInstance:
    """One task in one job."""

    id: InstanceId
    job_id: JobId
    index: int
    """Which task of the version."""
    state: InstanceState
    reason: str = ""
    unmet: int = 0
    """Dependencies that have not ended."""
    deps_ok: int = 0
    """Dependencies that ended and count as success."""
    deps_failed: int = 0
    """Dependencies that ended and count as failure."""
    attempt: int = 0
    """Number of the newest attempt, 0 before the first."""
    failures: int = 0
    """Failed attempts that used up the task's own retry policy."""
    infrastructure_failures: int = 0
    """Attempts whose session was lost, or whose backend failed."""
    preemptions: int = 0
    """Attempts whose resources were taken away for something more urgent."""
    quota_failures: int = 0
    """Attempts that met a limit of the project or the user."""
    not_before: datetime | None = None
    """Retry time: no attempt is opened earlier."""
    failure: FailureClass | None = None
    exit_code: int | None = None
    resource_group: str = ""
    pool: str | None = None
    pool_slots: int = 0
    reused_from: JobId | None = None
    """The job whose outputs stand for this task's."""
    granted_at: datetime | None = None
    """READY, and let in by every limit it is under."""
    ready_at: datetime | None = None
    started_at: datetime | None = None
    """When the newest attempt's command began to run."""
    ended_at: datetime | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every limit, as `scope:name`, that would hold for it."""
        own = ("project:", f"resource_group:{self.resource_group}")
        return own if self.pool is None else (*own, f"pool:{self.pool}")

    @property
    def session_name(self) -> str:
        """Name of the newest attempt's session."""
        return session_name(self.id, self.attempt)


@dataclass(slots=True)
class Attempt:
    """One try of a task instance: at most one session, at most one execution."""

    instance_id: InstanceId
    job_id: JobId
    number: int
    state: InstanceState
    opened_at: datetime
    fence_until: datetime
    """Until then a create that was sent may still take effect."""
    session_id: str | None = None
    """The backend's identifier, once the session was seen."""
    stop: FailureClass | None = None
    """Why we are ending it, if we are."""
    missing_since: datetime | None = None
    """When a session that had been seen could first not be found."""
    asked_at: datetime | None = None
    """When the backend last answered a question about it: an unanswered create, a session that should be ending."""
    running_at: datetime | None = None
    ended_at: datetime | None = None
    failure: FailureClass | None = None
    exit_code: int | None = None
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the backend wants remembered: isolation, devices, image."""

    @property
    def session_name(self) -> str:
        """Name of this attempt's session, the same after any replay."""
        return session_name(self.instance_id, self.number)


@dataclass(slots=True)
class JobSnapshot:
    """What a pass has loaded of one job: everything that can move, not the whole graph."""

    job: Job
    pipeline: Pipeline
    instances: dict[int, TaskInstance]
    attempts: dict[int, Attempt]
    """The open attempt of an instance, by the instance's index."""

    def task(self, instance: TaskInstance) -> Task:
        """The task an instance is one of."""
        return self.pipeline.tasks[instance.index]
