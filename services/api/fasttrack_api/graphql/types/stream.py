"""What subscriptions send."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import strawberry
from strawberry.scalars import JSON

from fasttrack.domain.states import FailureClass, InstanceState, JobState

from ...streams import Message
from ..ids import Kind, to_global

_CURSOR = "Subscribe again with it as `after`, and nothing is missed or repeated."
_CURSOR_NOW = "The place in the feed that this is as of."


def described(text: str) -> Any:
    """A field with this description."""
    return strawberry.field(description=text)


@strawberry.type(description="One event of a job, as it is kept in its history, with its place in the feed.")
class StreamEvent:
    """Of the feed."""

    cursor: str = described("Go on after this one with it.")
    project_id: strawberry.ID = described("The global id of the project.")
    pipeline_id: strawberry.ID = described("The global id of the pipeline.")
    job_id: strawberry.ID = described("The global id of the job.")
    seq: int = described("Its number in the job's history: 1, 2, 3 … without a gap.")
    kind: str = described(
        "Such as `task.running` or `job.succeeded`. Kinds may be added: pass over those you do not know."
    )
    at: datetime = described("When, by the clock of whoever decided it.")
    task: str | None = described("The name of the task it is about; null for the job itself.")
    task_instance_id: strawberry.ID | None = described("The global id of the task instance; null for the job itself.")
    project_uuid: strawberry.ID = described("The UUID of the project, as REST uses it.")
    pipeline_uuid: strawberry.ID = described("The UUID of the pipeline, as REST uses it.")
    job_uuid: strawberry.ID = described("The UUID of the job, as REST uses it.")
    task_instance_uuid: strawberry.ID | None = described(
        "The UUID of the task instance, as REST uses it; null for the job itself."
    )
    payload: JSON = described(
        "What belongs to it: `from`, `to`, `reason`, `attempt`, `failure`, `exit_code`, `session_id`."
    )

    @classmethod
    def of(cls, message: Message) -> StreamEvent:
        """As the schema shows it."""
        event = message.event
        instance = event.task_instance_id
        return cls(
            cursor=message.cursor,
            project_id=strawberry.ID(to_global(Kind.PROJECT, event.project_id)),
            pipeline_id=strawberry.ID(to_global(Kind.PIPELINE, event.pipeline_id)),
            job_id=strawberry.ID(to_global(Kind.JOB, event.job_id)),
            seq=event.seq,
            kind=event.kind,
            at=event.at,
            task=event.task,
            task_instance_id=strawberry.ID(to_global(Kind.TASK_INSTANCE, instance)) if instance else None,
            project_uuid=strawberry.ID(str(event.project_id)),
            pipeline_uuid=strawberry.ID(str(event.pipeline_id)),
            job_uuid=strawberry.ID(str(event.job_id)),
            task_instance_uuid=strawberry.ID(str(instance)) if instance else None,
            payload=cast("Any", event.payload),
        )


@strawberry.type(description="Events that follow one another; none at all is a bookmark, which keeps the cursor fresh.")
class EventBatch:
    """Of one moment."""

    cursor: str = described(_CURSOR)
    events: list[StreamEvent] = described("In the order of the feed.")


@strawberry.type(description="A task instance has come to another state.")
class TaskInstanceTransition:
    """One of them."""

    cursor: str = described("Go on after this one with it.")
    seq: int = described("The number of its event in the job's history.")
    task: str = described("The name of the task.")
    task_instance_id: strawberry.ID = described("The global id of the task instance.")
    from_state: InstanceState = described("Where it was.")
    to_state: InstanceState = described("Where it is now.")
    at: datetime = described("When, by the clock of whoever decided it.")
    reason: str | None = described("Why, for people; null where the states say it all.")
    attempt: int | None = described("The number of the attempt it belongs to; null before the first.")
    failure: FailureClass | None = described("What kind of failure it was; null when it was none.")
    exit_code: int | None = described("What the command ended with; null when it did not end by itself.")

    @classmethod
    def of(cls, message: Message) -> TaskInstanceTransition | None:
        """As the schema shows it; `None`: the event is no such transition."""
        event, payload = message.event, message.event.payload
        if event.task is None or event.task_instance_id is None or "to" not in payload:
            return None
        return cls(
            cursor=message.cursor,
            seq=event.seq,
            task=event.task,
            task_instance_id=strawberry.ID(to_global(Kind.TASK_INSTANCE, event.task_instance_id)),
            from_state=InstanceState(payload["from"]),
            to_state=InstanceState(payload["to"]),
            at=event.at,
            reason=payload.get("reason"),
            attempt=payload.get("attempt"),
            failure=FailureClass(payload["failure"]) if payload.get("failure") else None,
            exit_code=payload.get("exit_code"),
        )


@strawberry.type(description="Transitions that follow one another; none at all is a bookmark.")
class TransitionBatch:
    """Of one moment."""

    cursor: str = described(_CURSOR)
    transitions: list[TaskInstanceTransition] = described("In the order of the job's history.")


@strawberry.type(description="How many tasks are in a state.")
class TaskStateCount:
    """Of one state."""

    state: InstanceState = described("The state.")
    count: int = described("How many task instances are in it; states that none is in are left out.")


@strawberry.type(description="Where a job stands. The last one is of its end.")
class JobProgress:
    """At one moment."""

    cursor: str = described(_CURSOR_NOW)
    state: JobState = described("The job's state.")
    tasks: int = described("How many task instances the job has.")
    counts: list[TaskStateCount] = described("How many of them are in each state.")


@strawberry.type(description="A task inside a window, as it is now.")
class WindowTask:
    """One of at most 500."""

    task_instance_id: strawberry.ID = described("The global id of the task instance.")
    name: str = described("The name of the task.")
    index: int = described("Which task of the version it is, from 0.")
    layer: int = described("Its layer in the graph, from 0, which needs nothing.")
    state: InstanceState = described("Its state.")


@strawberry.type(description="What lies outside a window, from one layer of the graph to another, as it is now.")
class LayerCounts:
    """Of some layers."""

    first: int = described("The first of these layers.")
    last: int = described("The last of these layers.")
    counts: list[TaskStateCount] = described("How many of their tasks outside the window are in each state.")


@strawberry.type(description="A job seen through a window: first as a whole, then what has changed.")
class JobWindow:
    """At one moment."""

    cursor: str = described(_CURSOR_NOW)
    is_snapshot: bool = described("Whether this shows everything, and not only what has changed.")
    state: JobState = described("The job's state.")
    counts: list[TaskStateCount] = described("Of the whole job.")
    tasks: list[WindowTask] = described("Inside the window.")
    layers: list[LayerCounts] = described("Outside the window.")


@strawberry.input(description="Layers of the graph; layer 0 needs nothing.")
class LayerRange:
    """From one to another."""

    first: int = described("The first of them.")
    last: int = described("The last of them.")
