"""Jobs: runs of a pipeline's version."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from fasttrack.db.feed import read_head, read_history
from fasttrack.db.instances import find_instance_named, list_attempts_of_job, list_instances_of, load_standings
from fasttrack.db.listings import JobListing
from fasttrack.db.windows import Page
from fasttrack.domain.events import FeedEvent
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import NotFound

from ..context import Info
from ..ids import Kind, to_global
from ..paging import After, Before, First, Last, Listing, LiveConnection
from .common import Node, TaskInstanceStateCount, seconds
from .event import Event, EventConnection
from .instance import TaskInstance, TaskInstanceConnection
from .picture import gantt_of, graph_of

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .project import Project
    from .version import Version

_INSTANCES = Listing("i", int)
_EVENTS = Listing("e", int)


@strawberry.input(description="Which task instances; what is left out plays no part.")
class TaskInstanceFilter:
    """Of a job."""

    states: list[InstanceState] | None = strawberry.field(
        default=None, description="Those in one of these states; null or empty: in any."
    )
    search: str | None = strawberry.field(
        default=None, description="Those whose name has this in it, in upper or lower case; null: any."
    )


@strawberry.type(description="One run of a pipeline. It keeps the version it was made of, whatever is published later.")
class Job(Node):
    """A job."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as the command line and REST use it.")
    number: int = strawberry.field(description="Its running number in its pipeline, from 1.")
    pipeline_name: str = strawberry.field(description="The name of its pipeline.")
    version_number: int = strawberry.field(description="The number of its version.")
    state: JobState = strawberry.field(description="Where it stands.")
    reason: str = strawberry.field(description="A sentence on why it stands there; may be empty.")
    params: JSON = strawberry.field(description="The values of its parameters, an object.")
    priority: int = strawberry.field(description="Larger is more urgent.")
    submitted_by: str = strawberry.field(description="Who started it.")
    skip: list[str] = strawberry.field(description="Tasks that it was asked not to run.")
    overrides: JSON | None = strawberry.field(
        description="What some of its tasks have otherwise than the file says, an object by task; null: nothing."
    )
    site: str | None = strawberry.field(description="Where its sessions are; null until the first one is made.")
    task_count: int = strawberry.field(description="How many tasks it has.")
    open_task_count: int = strawberry.field(description="How many of them are not over.")
    failed_task_count: int = strawberry.field(description="How many of them bring it down.")
    cancelled_task_count: int = strawberry.field(description="How many of them were cancelled.")
    created_at: datetime = strawberry.field(description="When it was submitted, by the database's clock.")
    started_at: datetime | None = strawberry.field(description="When it was let in; null before that.")
    ended_at: datetime | None = strawberry.field(description="When it was over; null before that.")
    cancel_requested_at: datetime | None = strawberry.field(description="When a cancel was asked for; null: never.")
    outputs_removed_at: datetime | None = strawberry.field(
        description="Since when its outputs and logs are gone by retention; null: they are kept."
    )
    waited_seconds: float | None = strawberry.field(description="From its submission to its start; null before that.")
    run_seconds: float | None = strawberry.field(description="From its start to its end; null before it has ended.")
    event_count: int = strawberry.field(description="The number of its newest event.")
    feed_cursor: str = strawberry.field(
        description="The place in the feed at which it was read: whoever follows from there misses nothing of what has "
        "become of it since."
    )
    record: strawberry.Private[JobListing]

    @classmethod
    def of(cls, record: JobListing) -> Job:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.JOB, record.id)),
            uuid=strawberry.ID(str(record.id)),
            number=record.number,
            pipeline_name=record.pipeline,
            version_number=record.version,
            state=record.state,
            reason=record.reason,
            params=record.params,  # type: ignore[arg-type]
            priority=record.priority,
            submitted_by=record.submitted_by,
            skip=list(record.skip),
            overrides=record.overrides,  # type: ignore[arg-type]
            site=record.site,
            task_count=record.tasks,
            open_task_count=record.open_tasks,
            failed_task_count=record.failed_tasks,
            cancelled_task_count=record.cancelled_tasks,
            created_at=record.created_at,
            started_at=record.started_at,
            ended_at=record.ended_at,
            cancel_requested_at=record.cancel_requested_at,
            outputs_removed_at=record.pruned_at,
            waited_seconds=seconds(record.created_at, record.started_at),
            run_seconds=seconds(record.started_at, record.ended_at),
            event_count=record.seq,
            feed_cursor=str(record.cursor),
            record=record,
        )

    @strawberry.field(description="The project it belongs to.")
    async def project(self, info: Info) -> Annotated[Project, strawberry.lazy(".project")]:
        """Its project."""
        from .project import Project

        found = await info.context.loaders.projects.load(self.record.project_id)
        assert found is not None
        return Project.of(found)

    @strawberry.field(description="The pipeline it is a run of.")
    async def pipeline(self, info: Info) -> Annotated[Pipeline, strawberry.lazy(".pipeline")]:
        """Its pipeline."""
        from .pipeline import Pipeline

        found = await info.context.loaders.pipelines.load(self.record.pipeline_id)
        assert found is not None
        return Pipeline.of(found)

    @strawberry.field(description="The version it was made of.")
    async def version(self, info: Info) -> Annotated[Version, strawberry.lazy(".version")]:
        """Its version."""
        from .version import Version

        found = await info.context.loaders.versions.load(self.record.version_id)
        assert found is not None
        return Version.of(found)

    @strawberry.field(description="The job that it runs again; null if it is no re-run, or that one is not kept.")
    async def origin(self, info: Info) -> Annotated[Job, strawberry.lazy(".job")] | None:
        """The job it runs again."""
        if self.record.origin_job_id is None:
            return None
        found = await info.context.loaders.jobs.load(self.record.origin_job_id)
        return Job.of(found) if found is not None else None

    @strawberry.field(description="How many of its tasks are in each state; states that none is in are left out.")
    async def counts(self, info: Info) -> list[TaskInstanceStateCount]:
        """Its tasks by state."""
        counts = await info.context.loaders.counts.load(self.record.id) or {}
        return [TaskInstanceStateCount(state=s, count=counts[s]) for s in InstanceState if s in counts]

    @strawberry.field(description="Its tasks in the order of the file, page by page.")
    async def task_instances(
        self,
        info: Info,
        filter: Annotated[TaskInstanceFilter | None, strawberry.argument(description="Which ones; null: all.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TaskInstanceConnection:
        """A page of its tasks."""
        window = _INSTANCES.window(first, after, last, before, most=info.context.page_size)
        wanted = filter or TaskInstanceFilter()
        async with info.context.reading() as db:
            page = await list_instances_of(
                db, self.record.id, window, states=wanted.states or (), search=wanted.search or ""
            )
        return TaskInstanceConnection(
            **_INSTANCES.parts(page, window, TaskInstance.of, lambda i: (i.index,)),
            feed_cursor=self.feed_cursor,  # as old as what else is told of the job
            total_count=None if wanted.states or wanted.search else self.record.tasks,
        )

    @strawberry.field(description="One of its tasks by name; an error with the code NOT_FOUND if there is none.")
    async def task_instance(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The task's name.")]
    ) -> TaskInstance:
        """The task of that name."""
        async with info.context.reading() as db:
            found = await find_instance_named(db, self.record.id, name)
        if found is None:
            raise NotFound("the job has no such task")
        return TaskInstance.of(found)

    @strawberry.field(
        description="Its history, the oldest event first. Events are removed some time after the job's end, "
        "90 days by default; then it is empty."
    )
    async def events(self, info: Info, first: First = None, after: After = None) -> EventConnection:
        """A page of its history."""
        window = _EVENTS.window(first, after, None, None, most=info.context.page_size)
        reached = window.after[0] if window.after is not None else 0
        assert isinstance(reached, int)
        async with info.context.reading() as db:
            head = await read_head(db)
            events = await read_history(db, self.record.id, after=reached, limit=window.size + 1)
        page: Page[FeedEvent] = Page(events[: window.size], len(events) > window.size)
        return EventConnection(**_EVENTS.parts(page, window, lambda e: Event.of(e, head), lambda e: (e.seq,)))

    @strawberry.field(
        description="The whole graph, packed, to be drawn: columns with one entry per task in the order of the file "
        "(`name`, `id`, `state` as an index into `states`, `attempt`, `layer`, `row`), `edges` as pairs of indexes one "
        "after the other (a task, then one that needs it), the number of `layers` and of `rows` in the largest, and "
        "`seq` and `feedCursor`, after which events are to be followed. The same graph always has the same layout.",
        metadata={"cost": 10},
    )
    async def graph(self, info: Info) -> JSON:
        """Its graph."""
        graph = await info.context.loaders.graphs.load(self.record.version_id)
        assert graph is not None
        async with info.context.reading() as db:
            standings = (await load_standings(db, [self.record.id])).get(self.record.id, [])
        return graph_of(graph, standings, self.event_count, self.feed_cursor)  # type: ignore[return-value]

    @strawberry.field(
        description="All its times, packed, to be drawn: columns with one entry per task in the order of the file "
        "(`name`, `state` as an index into `states`, `readyAt`, `startedAt`, `endedAt`), and `attempts` as rows "
        "`[task, number, state, openedAt, runningAt, endedAt]`. Times are milliseconds since 1970, null before they come.",
        metadata={"cost": 10},
    )
    async def gantt(self, info: Info) -> JSON:
        """Its times."""
        async with info.context.reading() as db:
            standings = await load_standings(db, [self.record.id])
            attempts = await list_attempts_of_job(db, self.record.id)
        return gantt_of(standings.get(self.record.id, []), attempts)  # type: ignore[return-value]


@strawberry.type(name="JobConnection", description="One page of jobs.")
class JobConnection(LiveConnection[Job]):
    """A page."""
