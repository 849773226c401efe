"""The history of a job."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from fasttrack.db.feed import FeedHead
from fasttrack.domain.events import FeedEvent
from fasttrack.feed import Cursor

from ..ids import Kind, to_global
from ..paging import Connection


@strawberry.type(description="Something that happened to a job or to one of its tasks. Events never change.")
class Event:
    """Of a job's history."""

    seq: int = strawberry.field(description="Its place in the job's history: 1, 2, 3 … without a gap.")
    kind: str = strawberry.field(
        description="What happened, in the past tense: `job.submitted`, `job.running`, `task.succeeded` … "
        "Of a change of state it is the new state. Kinds may be added: pass over those you do not know."
    )
    at: datetime = strawberry.field(description="When, by the clock of whoever decided it.")
    task: str | None = strawberry.field(description="The task's name; null when it is about the job itself.")
    task_instance_id: strawberry.ID | None = strawberry.field(
        description="The global id of the task instance; null when it is about the job itself."
    )
    job_id: strawberry.ID = strawberry.field(description="The global id of the job.")
    payload: JSON = strawberry.field(
        description="What belongs to it, as far as it is known: `from`, `to`, `reason`, `attempt`, `failure`, "
        "`exit_code`, `not_before`, `session_id`; of `job.submitted` also `version`, `tasks`, `params`, `by`."
    )
    feed_cursor: str | None = strawberry.field(
        description="Its place in the feed of the project; null for the moment after it happened, until it has one."
    )

    @classmethod
    def of(cls, event: FeedEvent, head: FeedHead) -> Event:
        """As the schema shows it."""
        instance = event.task_instance_id
        return cls(
            seq=event.seq,
            kind=event.kind,
            at=event.at,
            task=event.task,
            task_instance_id=strawberry.ID(to_global(Kind.TASK_INSTANCE, instance)) if instance else None,
            job_id=strawberry.ID(to_global(Kind.JOB, event.job_id)),
            payload=event.payload,  # type: ignore[arg-type]
            feed_cursor=str(Cursor(head.epoch, event.pos)) if event.pos else None,
        )


@strawberry.type(name="EventConnection", description="One page of a job's history.")
class EventConnection(Connection[Event]):
    """A page."""
