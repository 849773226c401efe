"""Resource groups as people ask about them: what they have, what is taken of it, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

from .. import spec
from ..db import Db
from ..db.capacity import OpenTasks, StoredCapacity, list_capacity, list_open_tasks
from ..db.listings import Visible
from ..domain.pipeline import Pipeline
from ..domain.usage import Asked, ResourceGroup, Told, User, sum_up
from ..ids import VersionId
from .versions import CompiledVersions, NotCompiled


async def read_groups(
    reading: Callable[[], AbstractAsyncContextManager[Db]], versions: CompiledVersions, visible: Visible
) -> list[ResourceGroup]:
    """Every resource group of every site, by site and name. Whoever may read no project sees none.

    :param reading: a short transaction; versions that are not at hand are compiled with none open.
    :param visible: the projects whose names, pipelines and people may be told; the others are summed. `None` is all.
    """
    if visible is not None and not visible:
        return []
    async with reading() as db:
        stored, tasks = await list_capacity(db), await list_open_tasks(db)
    pipelines = await _compiled(reading, versions, {t.version_id for t in tasks})
    return sum_up(_by_group(stored), [_asked(t, pipelines[t.version_id], visible) for t in tasks])


async def _compiled(
    reading: Callable[[], AbstractAsyncContextManager[Db]], versions: CompiledVersions, wanted: Collection[VersionId]
) -> dict[VersionId, Pipeline]:
    while True:
        try:
            async with reading() as db:
                return await versions.get(db, wanted)
        except NotCompiled as missing:
            await asyncio.to_thread(versions.compile, missing.documents)


def _by_group(stored: Collection[StoredCapacity]) -> dict[tuple[str, str], Told]:
    rows: dict[tuple[str, str], list[StoredCapacity]] = {}
    for row in stored:
        rows.setdefault((row.site, row.resource_group), []).append(row)
    return {
        key: Told(
            {row.slot: row.capacity for row in found},
            found[0].seen_at,
            {row.slot: row.used for row in found if row.used is not None},
            {row.slot: row.free for row in found if row.free is not None},
            {row.slot: row.largest_free for row in found if row.largest_free is not None},
            found[0].agents,
        )
        for key, found in rows.items()
    }


def _asked(tasks: OpenTasks, pipeline: Pipeline, visible: Visible) -> Asked:
    is_named = visible is None or tasks.project_id in visible
    return Asked(
        tasks.site,
        tasks.resource_group,
        User(tasks.project, tasks.pipeline, tasks.submitted_by) if is_named else None,
        tasks.state,
        tasks.count,
        spec.override_task(pipeline.tasks[tasks.index], tasks.override).asked,
    )
