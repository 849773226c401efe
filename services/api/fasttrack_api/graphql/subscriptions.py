"""Subscriptions: events, transitions, progress, and a window on a large job. Each message carries its cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON

from fasttrack.domain.states import InstanceState
from fasttrack.errors import FastTrackError, InvalidInput
from fasttrack.feed import Cursor
from fasttrack.ids import JobId

from ..streams import Asked, Chunk, Ended, Hub, Message, Subscriber, Ticket, start_of
from ..streams.asked import parse_id
from ..streams.tracking import Tracked, gathered, layers_of, picture_of
from .context import Context
from .sockets import connection_of

Info = strawberry.Info[Context]

WINDOW = 500
"""Tasks that a window may show."""
BANDS = 200
"""Groups of layers that a window counts apart, at most."""


@strawberry.type(description="One event of a job, as it is kept in its history.")
class StreamEvent:
    cursor: str = strawberry.field(description="Go on after this one with it.")
    project_id: strawberry.ID
    pipeline_id: strawberry.ID
    job_id: strawberry.ID
    seq: int = strawberry.field(description="Its number in the job's history: 1, 2, 3 … without a gap.")
    kind: str = strawberry.field(description="Such as `task.running` or `job.succeeded`.")
    at: datetime
    task: str | None = strawberry.field(description="The name of the task it is about; null for the job itself.")
    task_instance_id: strawberry.ID | None
    payload: JSON


@strawberry.type(description="Events that follow one another; none at all is a bookmark, which keeps the cursor fresh.")
class EventBatch:
    cursor: str = strawberry.field(description="Subscribe again with it as `after`, and nothing is missed or repeated.")
    events: list[StreamEvent]


@strawberry.type(description="A task instance has come to another state.")
class TaskInstanceTransition:
    cursor: str
    seq: int
    task: str
    task_instance_id: strawberry.ID
    from_state: str | None
    to_state: str
    at: datetime
    reason: str | None
    attempt: int | None
    failure: str | None
    exit_code: int | None


@strawberry.type(description="Transitions that follow one another; none at all is a bookmark.")
class TransitionBatch:
    cursor: str
    transitions: list[TaskInstanceTransition]


@strawberry.type(description="How many tasks are in a state.")
class TaskStateCount:
    state: str
    count: int


@strawberry.type(description="Where a job stands. The last one is of its end.")
class JobProgress:
    cursor: str
    state: str
    tasks: int
    counts: list[TaskStateCount]


@strawberry.type(description="A task inside a window, as it is now.")
class WindowTask:
    task_instance_id: strawberry.ID
    name: str
    index: int
    layer: int
    state: str


@strawberry.type(description="What lies outside a window, from one layer of the graph to another, as it is now.")
class LayerCounts:
    first: int
    last: int
    counts: list[TaskStateCount]


@strawberry.type(description="A job seen through a window: first as a whole, then what has changed.")
class JobWindow:
    cursor: str
    is_snapshot: bool = strawberry.field(description="Whether this shows everything, and not only what has changed.")
    state: str
    counts: list[TaskStateCount] = strawberry.field(description="Of the whole job.")
    tasks: list[WindowTask] = strawberry.field(description="Inside the window.")
    layers: list[LayerCounts] = strawberry.field(description="Outside the window.")


@strawberry.input(description="Layers of the graph; layer 0 needs nothing.")
class LayerRange:
    first: int
    last: int


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
        project: strawberry.ID | None = None,
        pipeline: strawberry.ID | None = None,
        job: strawberry.ID | None = None,
        states: list[str] | None = None,
        kinds: list[str] | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[EventBatch, None]:
        asked = Asked(project, pipeline, job, states or (), kinds or ())
        async with following(info, asked, after) as stream:
            while True:
                yield _batch(await stream.next())

    @strawberry.subscription(
        description="Every change of state of the job's task instances, beyond `after`, or from now on."
    )
    async def task_instance_transitions(
        self, info: Info, job: strawberry.ID, after: str | None = None
    ) -> AsyncGenerator[TransitionBatch, None]:
        async with following(info, Asked(job=job), after) as stream:
            while True:
                chunk = await stream.next()
                batch = _transitions(chunk)
                if batch.transitions or not chunk.messages:
                    yield batch

    @strawberry.subscription(
        description="How many of the job's tasks are in each state: now, and whenever that changes, gathered over a "
        "fraction of a second. Completes when the job is over."
    )
    async def job_progress(self, info: Info, job: strawberry.ID) -> AsyncGenerator[JobProgress, None]:
        async with _tracking(info, job) as (stream, tracked):
            async for cursor in gathered(stream, tracked, _gather(info)):
                yield JobProgress(
                    cursor=cursor, state=tracked.state, tasks=len(tracked.states), counts=_counts(tracked.counts)
                )

    @strawberry.subscription(
        description="A large job through a window of at most 500 tasks, given by id or as layers of its graph: the "
        "tasks inside one by one, those outside as counts. Completes when the job is over."
    )
    async def job_window(
        self,
        info: Info,
        job: strawberry.ID,
        tasks: list[strawberry.ID] | None = None,
        layers: LayerRange | None = None,
    ) -> AsyncGenerator[JobWindow, None]:
        async with _tracking(info, job) as (stream, tracked):
            layer_of = await layers_of(info.context.parts.database, tracked.version_id)
            window = _Window(tracked, layer_of, tasks, layers)
            async for cursor in gathered(stream, tracked, _gather(info)):
                yield window.look(cursor)


class _Window:
    """What one subscriber sees of a job."""

    def __init__(
        self, tracked: Tracked, layer_of: list[int], tasks: list[strawberry.ID] | None, layers: LayerRange | None
    ) -> None:
        """:raises InvalidInput: the window is too large, or names what the job does not have."""
        self._tracked = tracked
        self._layer_of = layer_of
        self._shown = self._choose(tasks, layers)
        depth = max(layer_of, default=0) + 1
        self._height = -(-depth // BANDS)
        self._bands: list[list[int]] = [[] for _ in range(-(-depth // self._height))]
        for index, layer in enumerate(layer_of):
            if index not in self._shown:
                self._bands[layer // self._height].append(index)
        self._is_first = True

    def _choose(self, tasks: list[strawberry.ID] | None, layers: LayerRange | None) -> set[int]:
        if (tasks is None) == (layers is None):
            raise InvalidInput("give a window either `tasks` or `layers`")
        if layers is not None:
            shown = {i for i, layer in enumerate(self._layer_of) if layers.first <= layer <= layers.last}
        else:
            assert tasks is not None
            if len(tasks) > WINDOW:
                raise InvalidInput(f"a window shows at most {WINDOW} tasks, and these are {len(tasks)}")
            known = {str(instance): index for index, instance in enumerate(self._tracked.ids)}
            unknown = [str(t)[:80] for t in tasks if str(t) not in known]
            if unknown:
                raise InvalidInput(f"the job has no task instance {unknown[0]!r}")
            shown = {known[str(t)] for t in tasks}
        if len(shown) > WINDOW:
            raise InvalidInput(
                f"a window shows at most {WINDOW} tasks, and these layers have {len(shown)}: choose fewer"
            )
        return shown

    def look(self, cursor: str) -> JobWindow:
        """Everything at first, then what has changed since the last look."""
        tracked = self._tracked
        changed = set(range(len(tracked.states))) if self._is_first else tracked.changed
        bands = sorted({self._layer_of[i] // self._height for i in changed if i not in self._shown})
        seen = JobWindow(
            cursor=cursor,
            is_snapshot=self._is_first,
            state=tracked.state,
            counts=_counts(tracked.counts),
            tasks=[self._task(i) for i in sorted(changed & self._shown)],
            layers=[self._band(b) for b in bands],
        )
        self._is_first, tracked.changed = False, set()
        return seen

    def _task(self, index: int) -> WindowTask:
        tracked = self._tracked
        return WindowTask(
            task_instance_id=strawberry.ID(str(tracked.ids[index])),
            name=tracked.names[index],
            index=index,
            layer=self._layer_of[index],
            state=tracked.states[index],
        )

    def _band(self, number: int) -> LayerCounts:
        first = number * self._height
        last = min(first + self._height - 1, max(self._layer_of))
        return LayerCounts(first=first, last=last, counts=_counts(self._tracked.count(self._bands[number])))


@asynccontextmanager
async def _tracking(info: Info, job: strawberry.ID) -> AsyncIterator[tuple[Subscriber, Tracked]]:
    try:
        picture = await picture_of(info.context.parts.database, info.context.caller, _job_id(job))
    except FastTrackError as error:
        raise typed(error) from None
    async with following(info, Asked(job=job), None, at=Cursor(picture.epoch, picture.pos)) as stream:
        yield stream, Tracked(picture)


def _job_id(job: strawberry.ID) -> JobId:
    return JobId(parse_id(str(job), "job"))


def _gather(info: Info) -> float:
    return info.context.parts.settings.stream_gather_interval.total_seconds()


def _counts(counts: Mapping[InstanceState, int]) -> list[TaskStateCount]:
    return [TaskStateCount(state=s, count=counts[s]) for s in InstanceState if counts.get(s)]


def _id(value: object) -> strawberry.ID:
    return strawberry.ID(str(value))


def _event(message: Message) -> StreamEvent:
    event = message.event
    return StreamEvent(
        cursor=message.cursor,
        project_id=_id(event.project_id),
        pipeline_id=_id(event.pipeline_id),
        job_id=_id(event.job_id),
        seq=event.seq,
        kind=event.kind,
        at=event.at,
        task=event.task,
        task_instance_id=_id(event.task_instance_id) if event.task_instance_id else None,
        payload=cast("Any", event.payload),
    )


def _batch(chunk: Chunk) -> EventBatch:
    made = chunk.memo.get("events")
    if made is None:
        made = chunk.memo["events"] = EventBatch(cursor=chunk.cursor, events=[_event(m) for m in chunk.messages])
    return cast("EventBatch", made)


def _transitions(chunk: Chunk) -> TransitionBatch:
    made = chunk.memo.get("transitions")
    if made is None:
        made = TransitionBatch(cursor=chunk.cursor, transitions=list(_each_transition(chunk.messages)))
        chunk.memo["transitions"] = made
    return cast("TransitionBatch", made)


def _each_transition(messages: Iterable[Message]) -> Iterable[TaskInstanceTransition]:
    for message in messages:
        event, payload = message.event, message.event.payload
        if event.task is not None and "to" in payload:
            yield TaskInstanceTransition(
                cursor=message.cursor,
                seq=event.seq,
                task=event.task,
                task_instance_id=_id(event.task_instance_id),
                from_state=payload.get("from"),
                to_state=payload["to"],
                at=event.at,
                reason=payload.get("reason"),
                attempt=payload.get("attempt"),
                failure=payload.get("failure"),
                exit_code=payload.get("exit_code"),
            )
