"""Events: facts in the past tense, each with the state it describes inside.

The kind of a state change is its target: `task.running`, `job.succeeded`. Three kinds are not state changes:
`job.submitted`, `job.cancel_requested` and `task.noted` (the reason a task waits has changed). Payload keys, all
optional: `from`, `to`, `reason`, `attempt`, `failure`, `exit_code`, `not_before` (ISO 8601), `session_id`, and in
`job.submitted` `version`, `tasks`, `params`, `by`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..ids import JobId
from .states import InstanceState, JobState

JOB_SUBMITTED = "job.submitted"
JOB_CANCEL_REQUESTED = "job.cancel_requested"
TASK_NOTED = "task.noted"

JOB_KINDS = (JOB_SUBMITTED, JOB_CANCEL_REQUESTED, *(f"job.{s.lower()}" for s in JobState if s is not JobState.PENDING))
TASK_KINDS = (TASK_NOTED, *(f"task.{s.lower()}" for s in InstanceState if s is not InstanceState.PENDING))


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of one job."""

    job_id: JobId
    seq: int
    """Position in the job's history: 1, 2, 3 … without a gap."""
    kind: str
    at: datetime
    task: int | None
    """Index of the task it is about, or `None` for the job itself."""
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event as subscribers get it: with its place in the feed, and names instead of indexes."""

    pos: int
    job_id: JobId
    seq: int
    kind: str
    at: datetime
    task: str | None
    task_instance_id: UUID | None
    payload: Mapping[str, Any]
