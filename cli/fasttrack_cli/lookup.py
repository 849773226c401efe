"""Finding what a person named, or saying that it is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fasttrack.db import Db
from fasttrack.db.jobs import InstanceRecord, JobRecord, list_instances
from fasttrack.db.pipelines import PipelineRecord, find_pipeline, find_pipelines
from fasttrack.db.windows import Page, Window
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import ProjectId

T = TypeVar("T")


async def every(read: Callable[[Window], Awaitable[Page[T]]], key: Callable[[T], Sequence[object]]) -> list[T]:
    """Everything of a list, page by page. :param key: what the list is ordered by, of one item."""
    found: list[T] = []
    while True:
        page = await read(Window(100, after=key(found[-1]) if found else None))
        found += page.items
        if not page.has_more:
            return found


async def require_pipeline(db: Db, project: ProjectId, name: str) -> PipelineRecord:
    """The pipeline of that name. :raises NotFound: there is none."""
    pipeline = await find_pipeline(db, project, name)
    if pipeline is None:
        raise NotFound(f"there is no pipeline named {name}")
    return pipeline


async def require_any_pipeline(db: Db, project: ProjectId, text: str) -> PipelineRecord:
    """The pipeline of that name, or of that id; an archived one when no live one has the name.

    :raises NotFound: there is none. :raises InvalidInput: several archived ones had that name.
    """
    found = await find_pipelines(db, project, text)
    if not found:
        raise NotFound(f"there is no pipeline named {text}")
    if len(found) > 1:
        ids = ", ".join(str(p.id) for p in found)
        raise InvalidInput(f"several archived pipelines were named {text}; give the id of one: {ids}")
    return found[0]


async def require_task(db: Db, job: JobRecord, name: str) -> InstanceRecord:
    """The job's task of that name. :raises NotFound: it has none; the sentence names those it has."""
    tasks = await list_instances(db, job.id)
    found = next((task for task in tasks if task.name == name), None)
    if found is None:
        names = ", ".join(task.name for task in tasks[:20]) + (", …" if len(tasks) > 20 else "")
        raise NotFound(f"job {job.id} has no task named {name}; it has {names}")
    return found
