"""Where a job and its tasks stand, from a stored snapshot and the events after it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from fasttrack.domain.events import FeedEvent
from fasttrack.domain.pipeline import Pipeline
from fasttrack.domain.states import FailureClass, InstanceState, JobState

from .values import Job, Task


class Viewer(Protocol):
    """Who is shown what happens to a job."""

    def event(self, event: FeedEvent) -> None:
        """Something happened; the board knows it already."""

    def note(self, text: str) -> None:
        """Something about the watching itself; empty when all is well again."""


@dataclass(slots=True)
class TaskView:
    """One task of the job, as it is shown."""

    name: str
    state: InstanceState
    reason: str = ""
    attempt: int = 0
    failure: FailureClass | None = None
    exit_code: int | None = None
    ready_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def elapsed(self, now: datetime) -> timedelta | None:
        """How long its newest attempt runs, or ran; `None` before it began."""
        if self.started_at is None:
            return None
        return max((self.ended_at or now) - self.started_at, timedelta(0))

    def waited(self, now: datetime) -> timedelta | None:
        """How long it waited from the moment it could have run; `None` before that."""
        if self.ready_at is None:
            return None
        return max((self.started_at or self.ended_at or now) - self.ready_at, timedelta(0))


@dataclass(slots=True)
class Board:
    """A job in motion."""

    job: Job
    pipeline: Pipeline
    tasks: dict[str, TaskView]
    """By name, in the order of the file."""
    state: JobState
    reason: str
    seq: int
    ended_at: datetime | None
    note: str = ""
    """What the viewer should know about the view itself, such as that the database is away."""
    _changed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, job: Job, pipeline: Pipeline, tasks: Sequence[Task]) -> Board:
        """The board of a stored job."""
        views = {task.name: task_view(task) for task in tasks}
        return cls(job, pipeline, views, job.state, job.reason, job.seq, job.ended_at)

    def apply(self, event: FeedEvent) -> bool:
        """Take over what an event says. `False`: it was known already."""
        if event.seq <= self.seq:
            return False
        self.seq = event.seq
        if event.task is None:
            self._apply_to_job(event)
        elif event.task in self.tasks:
            _apply_to_task(self.tasks[event.task], event)
        return True

    def take_over(self, job: Job, tasks: Sequence[Task]) -> None:
        """Stand where a newer snapshot stands."""
        self.tasks |= {task.name: task_view(task) for task in tasks}
        self.state, self.reason, self.seq, self.ended_at = job.state, job.reason, job.seq, job.ended_at

    def show(self, event: FeedEvent, viewer: Viewer) -> None:
        """Take over what an event says, and tell the viewer of it; nothing when it was known already."""
        was_waiting = self.state is JobState.PENDING
        if not self.apply(event):
            return
        if was_waiting and self.state is not JobState.PENDING:
            viewer.note("")
        viewer.event(event)

    def counts(self) -> dict[InstanceState, int]:
        """How many tasks are in each state, in the order of states; none that nobody is in."""
        counts = dict.fromkeys(InstanceState, 0)
        for task in self.tasks.values():
            counts[task.state] += 1
        return {state: count for state, count in counts.items() if count}

    def _apply_to_job(self, event: FeedEvent) -> None:
        if (target := event.payload.get("to")) is not None:
            self.state = JobState(target)
            self.reason = str(event.payload.get("reason", ""))
            if self.state.is_terminal:
                self.ended_at = event.at


def task_view(record: Task) -> TaskView:
    """A stored task instance as it is shown."""
    return TaskView(
        name=record.name,
        state=record.state,
        reason=record.reason,
        attempt=record.attempt,
        failure=record.failure,
        exit_code=record.exit_code,
        ready_at=record.ready_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
    )


def _apply_to_task(task: TaskView, event: FeedEvent) -> None:
    payload: Mapping[str, Any] = event.payload
    task.reason = str(payload.get("reason", ""))
    if (target := payload.get("to")) is None:
        return  # only the reason has changed
    task.state = InstanceState(target)
    task.attempt = int(payload.get("attempt", task.attempt))
    if "failure" in payload:
        task.failure = FailureClass(payload["failure"])
    task.exit_code = payload.get("exit_code", task.exit_code)
    match task.state:
        case InstanceState.READY:
            task.ready_at = task.ready_at or event.at
        case InstanceState.STARTING:
            task.ready_at = task.ready_at or event.at
            task.started_at = task.failure = task.exit_code = None
        case InstanceState.RUNNING:
            task.started_at = task.started_at or event.at
        case InstanceState.SUCCEEDED:
            task.exit_code = 0
    if task.state.is_terminal:
        task.ended_at = event.at
