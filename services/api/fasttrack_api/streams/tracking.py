"""A job's tasks as they change, kept by one who shows only a part of them: states, counts, and layers of the graph."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Iterable, Mapping
from uuid import UUID

from fasttrack.db import Database
from fasttrack.db.follow import JobPicture, read_picture
from fasttrack.db.pipelines import load_specs
from fasttrack.domain.access import Caller, Permission
from fasttrack.domain.dag import layers
from fasttrack.domain.states import InstanceState, JobState
from fasttrack.errors import NotFound
from fasttrack.ids import JobId, VersionId
from fasttrack.workflow.versions import compile_spec

from .messages import Chunk
from .subscriber import Subscriber

_KEPT = 32
_layers: OrderedDict[UUID, list[int]] = OrderedDict()


class Tracked:
    """The states of a job's tasks, brought on by its events."""

    def __init__(self, picture: JobPicture) -> None:
        self.state: JobState = picture.state
        self.states: list[InstanceState] = list(picture.states)
        self.version_id = VersionId(picture.version_id)
        self.ids = picture.ids
        self.names = picture.names
        self.counts: Counter[InstanceState] = Counter(self.states)
        self.changed: set[int] = set()
        """Indexes of the tasks that have changed since this was last emptied."""
        self.is_changed = True
        """Whether anything has, the job itself included."""
        self._seq = picture.seq

    def apply(self, chunk: Chunk) -> None:
        """Bring it on by these events of the job; those that the picture shows already change nothing."""
        for message in chunk.messages:
            event = message.event
            if event.seq <= self._seq:
                continue
            self._seq = event.seq
            to = event.payload.get("to")
            if to is None:
                continue
            self.is_changed = True
            if event.task_index is None:
                self.state = JobState(to)
            elif event.task_index < len(self.states):
                self._move(event.task_index, InstanceState(to))

    def _move(self, index: int, to: InstanceState) -> None:
        self.counts[self.states[index]] -= 1
        self.counts[to] += 1
        self.states[index] = to
        self.changed.add(index)

    def count(self, indexes: Iterable[int]) -> Mapping[InstanceState, int]:
        """How many of these tasks are in each state."""
        return Counter(self.states[i] for i in indexes)


async def picture_of(database: Database, caller: Caller, job: JobId) -> JobPicture:
    """The job at this instant. :raises NotFound: there is none, or it is not the caller's to see."""
    async with database.transaction() as db:
        picture = await read_picture(db, job)
    if picture is None:
        raise NotFound("there is no such job")
    caller.require(Permission.READ, picture.project_id, what="job")
    return picture


async def layers_of(database: Database, version: VersionId) -> list[int]:
    """For each task of the version, by index, its layer: 0 for those that need nothing."""
    found = _layers.get(version)
    if found is None:
        async with database.transaction() as db:
            documents = await load_specs(db, [version])
        # A large file takes a second to compile: not in the loop that everyone shares.
        pipeline = await asyncio.to_thread(compile_spec, documents[version])
        found = [0] * len(pipeline.tasks)
        for number, wave in enumerate(layers([t.needs for t in pipeline.tasks])):
            for index in wave:
                found[index] = number
        _layers[version] = found
        while len(_layers) > _KEPT:
            _layers.popitem(last=False)
    return found


async def gathered(stream: Subscriber, tracked: Tracked, interval: float) -> AsyncGenerator[str, None]:
    """The cursor each time there is something to tell: at once after a rest, then at most once per interval.

    Ends with the job.
    """
    loop = asyncio.get_running_loop()
    yield stream.cursor
    told = loop.time()
    while not tracked.state.is_terminal:
        tracked.is_changed = False
        chunk = await stream.next()
        tracked.apply(chunk)
        if not tracked.is_changed and chunk.messages:
            continue
        await asyncio.sleep(max(told + interval - loop.time(), 0))
        for more in stream.at_hand():
            tracked.apply(more)
        told = loop.time()
        yield stream.cursor
