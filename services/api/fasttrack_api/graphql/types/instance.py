"""Task instances: the tasks of one job, with their attempts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from fasttrack import spec
from fasttrack.db.instances import AttemptListing, InstanceListing, Standing
from fasttrack.domain.states import FailureClass, InstanceState
from fasttrack.domain.usage import HOLDING
from fasttrack.ids import session_name

from ...folders import outputs_of
from ..context import Info
from ..ids import Kind, to_global
from ..paging import First, LiveConnection
from .common import Node, seconds
from .file import AfterName, FilePage, InFolder, page_of_files
from .log import USUAL_PAGE, FromByte, LogPage, MostBytes, OfAttempt, read_log_page
from .resource import slots_of
from .task import Slot, Task

if TYPE_CHECKING:
    from .job import Job


@strawberry.type(description="One try of a task instance: at most one compute session, at most one execution.")
class Attempt:
    """Of a task instance."""

    number: int = strawberry.field(description="1 for the first.")
    state: InstanceState = strawberry.field(description="Where it stands.")
    session_name: str = strawberry.field(description="The name of its compute session.")
    session_id: str | None = strawberry.field(description="The backend's id of the session; null until it was seen.")
    reason: str = strawberry.field(description="A sentence on why it stands there; may be empty.")
    failure: FailureClass | None = strawberry.field(description="Why it did not succeed; null otherwise.")
    exit_code: int | None = strawberry.field(description="Of the command; null if it has not ended by itself.")
    facts: JSON = strawberry.field(description="What the backend said of it: isolation, devices. An object of texts.")
    opened_at: datetime = strawberry.field(description="When it was decided on.")
    running_at: datetime | None = strawberry.field(description="When its command began; null before that.")
    ended_at: datetime | None = strawberry.field(description="When it was over; null before that.")
    run_seconds: float | None = strawberry.field(description="How long its command ran; null before it has ended.")

    @classmethod
    def of(cls, attempt: AttemptListing) -> Attempt:
        """As the schema shows it."""
        return cls(
            number=attempt.number,
            state=attempt.state,
            session_name=session_name(attempt.instance_id, attempt.number),
            session_id=attempt.session_id,
            reason=attempt.reason,
            failure=attempt.failure,
            exit_code=attempt.exit_code,
            facts=attempt.facts,  # type: ignore[arg-type]
            opened_at=attempt.opened_at,
            running_at=attempt.running_at,
            ended_at=attempt.ended_at,
            run_seconds=seconds(attempt.running_at, attempt.ended_at),
        )


@strawberry.type(description="A task that another one waits for.")
class Need:
    """Of what an instance waits for."""

    id: strawberry.ID = strawberry.field(description="The global id of its task instance.")
    task: str = strawberry.field(description="Its name.")
    state: InstanceState = strawberry.field(description="Where it stands: never a final state.")


@strawberry.type(description="What a task instance waits for.")
class Waiting:
    """Of an instance that has not started."""

    reason: str = strawberry.field(description="A sentence; may be empty.")
    needs: list[Need] = strawberry.field(description="Tasks that have to end before it.", metadata={"size": 10})
    until: datetime | None = strawberry.field(description="It is not tried again before then; null: no such wait.")
    is_in_line: bool = strawberry.field(description="Whether it could run, and waits for a limit or for a scheduler.")
    resource_group: str = strawberry.field(description="The resource group whose limit holds for it.")
    pool: str | None = strawberry.field(description="The pool it wants slots of; null: none.")
    pool_slots: int = strawberry.field(description="How many slots of the pool it wants; 0 without one.")


@strawberry.type(description="One task in one job.")
class TaskInstance(Node):
    """A task of a job."""

    uuid: strawberry.ID = strawberry.field(description="Its UUID, as the command line and REST use it.")
    index: int = strawberry.field(description="Its place in the file, from 0.")
    name: str = strawberry.field(description="The task's name.")
    state: InstanceState = strawberry.field(description="Where it stands.")
    reason: str = strawberry.field(description="A sentence on why it stands there; may be empty.")
    attempt: int = strawberry.field(description="The number of the newest attempt; 0 before the first.")
    failure: FailureClass | None = strawberry.field(description="Why the newest attempt did not succeed; else null.")
    exit_code: int | None = strawberry.field(description="Of the newest attempt's command; null until it has ended.")
    resource_group: str = strawberry.field(description="Where it runs.")
    pool: str | None = strawberry.field(description="The pool it takes slots of; null: none.")
    pool_slots: int = strawberry.field(description="How many slots of the pool; 0 without one.")
    not_before: datetime | None = strawberry.field(description="It is not tried again before then; null: no such wait.")
    ready_at: datetime | None = strawberry.field(description="When it could first run; null before that.")
    started_at: datetime | None = strawberry.field(description="When the newest attempt's command began; null before.")
    ended_at: datetime | None = strawberry.field(description="When it was over; null before that.")
    waited_seconds: float | None = strawberry.field(
        description="From when it could run to when the newest attempt's command began; null before that."
    )
    run_seconds: float | None = strawberry.field(
        description="How long the newest attempt's command ran; null before it has ended."
    )
    session_id: str | None = strawberry.field(description="The backend's id of the newest session; null before one.")
    facts: JSON = strawberry.field(
        description="What the backend said of the newest attempt: isolation, devices; of a model service its name and "
        "address. An object of texts."
    )
    record: strawberry.Private[InstanceListing]

    @classmethod
    def of(cls, record: InstanceListing) -> TaskInstance:
        """As the schema shows it."""
        return cls(
            id=strawberry.ID(to_global(Kind.TASK_INSTANCE, record.id)),
            uuid=strawberry.ID(str(record.id)),
            index=record.index,
            name=record.name,
            state=record.state,
            reason=record.reason,
            attempt=record.attempt,
            failure=record.failure,
            exit_code=record.exit_code,
            resource_group=record.resource_group,
            pool=record.pool,
            pool_slots=record.pool_slots,
            not_before=record.not_before,
            ready_at=record.ready_at,
            started_at=record.started_at,
            ended_at=record.ended_at,
            waited_seconds=seconds(record.ready_at, record.started_at),
            run_seconds=seconds(record.started_at, record.ended_at),
            session_id=record.session_id,
            facts=record.facts,  # type: ignore[arg-type]
            record=record,
        )

    @strawberry.field(description="Its job.")
    async def job(self, info: Info) -> Annotated[Job, strawberry.lazy(".job")]:
        """The job."""
        from .job import Job

        found = await info.context.loaders.jobs.load(self.record.job_id)
        assert found is not None
        return Job.of(found)

    @strawberry.field(description="What its version's file says of it: resources, retries and the rest.")
    async def task(self, info: Info) -> Task:
        """The task."""
        pipeline = await info.context.loaders.compiled.load(self.record.version_id)
        assert pipeline is not None
        return Task.of(pipeline, pipeline.tasks[self.index])

    @strawberry.field(
        description="What its compute session asks for: all its containers together, with the first accelerator choice.",
        metadata={"cost": 0, "size": 5},
    )
    async def slots_asked(self, info: Info) -> list[Slot]:
        """What it asks for."""
        pipeline = await info.context.loaders.compiled.load(self.record.version_id)
        assert pipeline is not None
        return slots_of(spec.override_task(pipeline.tasks[self.index], self.record.override).asked)

    @strawberry.field(
        description="What its compute session holds now, of what it asked for; empty when it has none, or waits for room.",
        metadata={"cost": 0, "size": 5},
    )
    async def slots_used(self, info: Info) -> list[Slot]:
        """What it holds."""
        return await self.slots_asked(info) if self.state in HOLDING else []

    @strawberry.field(description="Its attempts, the first one first; empty when logs are not kept any more.")
    async def attempts(self, info: Info) -> list[Attempt]:
        """The attempts."""
        return [Attempt.of(a) for a in await info.context.loaders.attempts.load(self.record.id) or ()]

    @strawberry.field(description="The job whose outputs stand for it, in a job that runs another again; else null.")
    async def reused_from(self, info: Info) -> Annotated[Job, strawberry.lazy(".job")] | None:
        """The job it was taken over from."""
        from .job import Job

        if self.record.reused_from is None:
            return None
        found = await info.context.loaders.jobs.load(self.record.reused_from)
        return Job.of(found) if found is not None else None

    @strawberry.field(description="What it waits for; null once it has started or is over.", metadata={"cost": 2})
    async def waiting(self, info: Info) -> Waiting | None:
        """What it waits for."""
        if self.state not in (InstanceState.PENDING, InstanceState.READY):
            return None
        needs: list[Standing] = []
        if self.state is InstanceState.PENDING:
            loaders = info.context.loaders
            pipeline = await loaders.compiled.load(self.record.version_id)
            standings = await loaders.standings.load(self.record.job_id)
            assert pipeline is not None
            assert standings is not None
            needs = [standings[i] for i in pipeline.tasks[self.index].needs if not standings[i].state.is_terminal]
        return Waiting(
            reason=self.reason,
            needs=[
                Need(id=strawberry.ID(to_global(Kind.TASK_INSTANCE, n.id)), task=n.name, state=n.state) for n in needs
            ],
            until=self.not_before,
            is_in_line=self.state is InstanceState.READY and self.record.granted_at is None,
            resource_group=self.resource_group,
            pool=self.pool,
            pool_slots=self.pool_slots,
        )

    @strawberry.field(
        description="A page of what an attempt printed, from the given byte on. Null with an error: `LOG_PRUNED`, it is not "
        "kept any more; `FILES_ELSEWHERE`, it is at a site that this server does not reach; `NOT_FOUND`, no such attempt.",
        metadata={"cost": 100},
    )
    async def log(
        self, info: Info, attempt: OfAttempt = None, offset: FromByte = 0, limit: MostBytes = USUAL_PAGE
    ) -> LogPage | None:
        """A page of its log."""
        return await read_log_page(info.context, self.record.id, attempt, offset, limit)

    @strawberry.field(
        description="A directory of what it wrote to `/pipeline/outputs`, by name. Null with an error: `OUTPUTS_PRUNED`, it "
        "is not kept any more; `FILES_ELSEWHERE`, it is at a site that this server does not reach; `NOT_FOUND`, no such "
        "directory.",
        metadata={"cost": 10},
    )
    async def outputs(
        self, info: Info, path: InFolder = "", first: First = None, after: AfterName = ""
    ) -> FilePage | None:
        """A page of its outputs."""
        site = await info.context.loaders.instance_sites.load(self.record.id)
        assert site is not None
        base = f"/api/v1/jobs/{site.job_id}/tasks/{site.id}/outputs"
        place = outputs_of(info.context.parts, site)
        return await page_of_files(place, base, path, first, after, info.context.page_size)


@strawberry.type(name="TaskInstanceConnection", description="One page of the tasks of a job.")
class TaskInstanceConnection(LiveConnection[TaskInstance]):
    """A page."""

    total_count: int | None = strawberry.field(
        description="How many tasks the job has, whatever the page; null with a filter, as they would have to be counted: "
        "`Job.counts` has them by state."
    )
