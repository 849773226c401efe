"""Subscriptions: events, transitions, progress, and a window on a large job. Each message carries its cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, cast

import strawberry
from graphql import GraphQLError

from fasttrack.db.sites import InstanceSite, load_instance_sites
from fasttrack.domain.access import Permission
from fasttrack.domain.states import JobState
from fasttrack.errors import FastTrackError, NotFound
from fasttrack.feed import Cursor
from fasttrack.ids import JobId
from fasttrack.logs import Characters

from ..streams import Asked, Chunk, Ended, Hub, Subscriber, Ticket, start_of
from ..streams.logs import LogStream, Printed
from ..streams.tracking import Tracked, gathered, layers_of, picture_of
from .context import Context
from .ids import Kind, parse_global, require_id
from .sockets import connection_of
from .types.log import FromByte, LogPage, OfAttempt, require_offset
from .types.stream import (
    EventBatch,
    JobProgress,
    JobWindow,
    LayerRange,
    StreamEvent,
    TaskInstanceTransition,
    TransitionBatch,
)
from .window import Window, counted

Info = strawberry.Info[Context]


def said(description: str) -> object:
    """An argument with this description."""
    return strawberry.argument(description=description)


OfJob = Annotated[strawberry.ID, said("The global id of the job.")]
After = Annotated[str | None, said("The cursor of the last message; without it, from now on.")]


def typed(error: FastTrackError) -> GraphQLError:
    """An error raised on purpose, with its code for programs."""
    return GraphQLError(
        error.message, original_error=error, extensions={"code": error.code, "retryable": error.retryable}
    )


@asynccontextmanager
async def following(
    info: Info, asked: Asked, after: str | None, *, at: Cursor | None = None
) -> AsyncIterator[Subscriber]:
    """A stream of what is asked for while the block is open; errors become GraphQL's, and an end by the client's leave
    ends the block quietly.
    """
    stream: Subscriber | None = None
    try:
        context = info.context
        wanted = await asked.resolve(context.parts.database, context.caller)
        connection = connection_of(context)
        stream = await Hub.of(connection).subscribe(
            Ticket.of(connection, context.caller),
            wanted,
            after=at or start_of(after),
            is_fixed=asked.is_fixed,
            from_the_start=False,
        )
        yield stream
    except Ended as ended:
        if ended.error is not None:
            raise typed(ended.error) from None
    except FastTrackError as error:
        raise typed(error) from None
    finally:
        if stream is not None:
            stream.close()


@strawberry.type(description="Everything that can be followed.")
class Subscription:
    @strawberry.subscription(
        description="Events of everything that you may read, or of one project (id or name), pipeline or job: beyond "
        "`after`, or from now on. `states` are those that an event leads to."
    )
    async def events(
        self,
        info: Info,
        project: Annotated[strawberry.ID | None, said("Only of this project: its global id, or its name.")] = None,
        pipeline: Annotated[strawberry.ID | None, said("Only of this pipeline.")] = None,
        job: Annotated[strawberry.ID | None, said("Only of this job.")] = None,
        states: Annotated[list[str] | None, said("Only those that lead to one of these states.")] = None,
        kinds: Annotated[list[str] | None, said("Only of these kinds, such as `task.failed`.")] = None,
        after: After = None,
    ) -> AsyncGenerator[EventBatch, None]:
        asked = Asked(_project(project), _raw(Kind.PIPELINE, pipeline), _raw(Kind.JOB, job), states or (), kinds or ())
        async with following(info, asked, after) as stream:
            while True:
                yield _batch(await stream.next())

    @strawberry.subscription(
        description="Every change of state of the job's task instances, beyond `after`, or from now on."
    )
    async def task_instance_transitions(
        self, info: Info, job: OfJob, after: After = None
    ) -> AsyncGenerator[TransitionBatch, None]:
        async with following(info, Asked(job=_raw(Kind.JOB, job)), after) as stream:
            while True:
                chunk = await stream.next()
                batch = _transitions(chunk)
                if batch.transitions or not chunk.messages:
                    yield batch

    @strawberry.subscription(
        description="How many of the job's tasks are in each state: now, and whenever that changes, gathered over a "
        "fraction of a second. Completes when the job is over."
    )
    async def job_progress(self, info: Info, job: OfJob) -> AsyncGenerator[JobProgress, None]:
        async with _tracking(info, job) as (stream, tracked):
            async for cursor in gathered(stream, tracked, _gather(info)):
                yield JobProgress(
                    cursor=cursor,
                    state=JobState(tracked.state),
                    tasks=len(tracked.states),
                    counts=counted(tracked.counts),
                )

    @strawberry.subscription(
        description="A large job through a window of at most 500 tasks, given by id or as layers of its graph: the "
        "tasks inside one by one, those outside as counts. Completes when the job is over."
    )
    async def job_window(
        self,
        info: Info,
        job: OfJob,
        tasks: Annotated[list[strawberry.ID] | None, said("The task instances inside, at most 500.")] = None,
        layers: Annotated[LayerRange | None, said("The layers inside; give either these or `tasks`.")] = None,
    ) -> AsyncGenerator[JobWindow, None]:
        async with _tracking(info, job) as (stream, tracked):
            layer_of = await layers_of(info.context.parts.database, tracked.version_id)
            window = Window(tracked, layer_of, tasks, layers)
            async for cursor in gathered(stream, tracked, _gather(info)):
                yield window.look(cursor)

    @strawberry.subscription(
        description="What an attempt of the task instance prints, from the given byte on, as it is written; of one that has "
        "not begun, once it has. Completes when the attempt is over and all was sent. Resume with `nextOffset` as `offset`."
    )
    async def job_log(
        self,
        info: Info,
        instance: Annotated[strawberry.ID, said("The global id of the task instance.")],
        offset: FromByte = 0,
        attempt: OfAttempt = None,
    ) -> AsyncGenerator[LogPage, None]:
        stream: LogStream | None = None
        try:
            require_offset(offset)
            printed = Printed.chosen(await _instance_site(info, instance), attempt)
            stream = await LogStream.open(connection_of(info.context), info.context.caller, printed)
            characters = Characters(offset)
            async for chunk in stream.chunks(offset):
                told = characters.read(chunk)
                if told.text or told.is_final:
                    yield LogPage.of(told, stream.printed.attempt)
        except Ended as ended:
            if ended.error is not None:
                raise typed(ended.error) from None
        except FastTrackError as error:
            raise typed(error) from None
        finally:
            if stream is not None:
                stream.close()


async def _instance_site(info: Info, instance: strawberry.ID) -> InstanceSite:
    identifier, caller = require_id(Kind.TASK_INSTANCE, instance), info.context.caller
    async with info.context.reading() as db:
        found = (await load_instance_sites(db, caller.projects, [identifier])).get(identifier)
    if found is None:
        raise NotFound("there is no such task instance")
    caller.require(Permission.READ, found.project_id, what="task instance")
    return found


@asynccontextmanager
async def _tracking(info: Info, job: strawberry.ID) -> AsyncIterator[tuple[Subscriber, Tracked]]:
    try:
        picture = await picture_of(info.context.parts.database, info.context.caller, _job_id(job))
    except FastTrackError as error:
        raise typed(error) from None
    async with following(info, Asked(job=str(_job_id(job))), None, at=Cursor(picture.epoch, picture.pos)) as stream:
        yield stream, Tracked(picture)


def _job_id(job: strawberry.ID) -> JobId:
    return JobId(require_id(Kind.JOB, job))


def _raw(kind: Kind, text: str | None) -> str | None:
    try:
        return None if text is None else str(require_id(kind, text))
    except FastTrackError as error:
        raise typed(error) from None


def _project(text: str | None) -> str | None:
    found = None if text is None else parse_global(text)
    return text if found is None else _raw(Kind.PROJECT, text)


def _gather(info: Info) -> float:
    return info.context.parts.settings.stream_gather_interval.total_seconds()


def _batch(chunk: Chunk) -> EventBatch:
    made = chunk.memo.get("events")
    if made is None:
        made = chunk.memo["events"] = EventBatch(
            cursor=chunk.cursor, events=[StreamEvent.of(m) for m in chunk.messages]
        )
    return cast("EventBatch", made)


def _transitions(chunk: Chunk) -> TransitionBatch:
    made = chunk.memo.get("transitions")
    if made is None:
        shown = [t for m in chunk.messages if (t := TaskInstanceTransition.of(m)) is not None]
        made = TransitionBatch(cursor=chunk.cursor, transitions=shown)
        chunk.memo["transitions"] = made
    return cast("TransitionBatch", made)
