"""Removing what is kept long enough: each function is one short transaction over one batch, and may be repeated.

What is removed outside of the database is said before and removed after: a job is marked, then its files go, then a
mark of the project moves on. Cut short anywhere, the next turn finds the same job again, and removing what is gone is
nothing. The order in which a job goes is: files, events, attempts, task instances, the job itself. A deleted pipeline goes
with its jobs first, then its folder, its versions, and its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..crashpoints import crash_point
from ..db import Db
from ..db.deleted import DeletedPipeline, delete_row, delete_versions, list_deleted
from ..db.retention import (
    EndedJob,
    Removed,
    database_time,
    delete_children,
    delete_events,
    delete_jobs,
    give_way,
    list_retentions,
    lock_ended,
    mark_pruned,
    move_mark,
    needed_by_reruns,
    read_marks,
)
from ..domain.retention import PARTS, TOMBSTONE_KEPT, Kind
from ..ids import JobId, PipelineId, ProjectId
from ..settings import Settings
from .retention import retention_of


@dataclass(frozen=True, slots=True)
class Due:
    """What is due in one project."""

    project: ProjectId
    name: str
    cutoffs: Mapping[Kind, datetime]
    """Before which end of a job each kind goes; a kind that is kept for ever is not in it."""
    marks: Mapping[Kind, datetime]
    """Up to where that was done before."""
    deleted: Sequence[DeletedPipeline] = ()
    """Pipelines of which everything is due."""


async def what_is_due(
    db: Db, settings: Settings, site: str, *, now: datetime | None = None
) -> tuple[list[Due], datetime]:
    """Every project with its cutoffs at `now`, which is the database's time unless a test says otherwise."""
    now = now or await database_time(db)
    marks = await read_marks(db, site)
    deleted = await list_deleted(db)
    found = []
    for project in await list_retentions(db):
        retention = retention_of(settings, project.own)
        cutoffs = {kind: cutoff for kind in Kind if (cutoff := retention.cutoff(kind, now)) is not None}
        found.append(Due(project.id, project.name, cutoffs, marks.get(project.id, {}), deleted.get(project.id, ())))
    return found, now


async def give_up_outputs(db: Db, jobs: Sequence[EndedJob], *, now: datetime) -> list[EndedJob]:
    """Say of those of `jobs` that nobody holds and no other job stands on that their outputs go now; which those are.

    From here on they cannot be run again in part, so their files may be removed after the commit.
    """
    await give_way(db)
    held = await lock_ended(db, jobs)
    free = held - (await needed_by_reruns(db, jobs)).keys()
    await mark_pruned(db, list(free), now)
    crash_point("prune.before_mark")
    return [job for job in jobs if job.id in free]


async def remove_events(db: Db, project: ProjectId, jobs: Sequence[EndedJob]) -> dict[JobId, Removed]:
    """Remove one batch of the events of these jobs, the first of each job first; readers that missed them are told."""
    await give_way(db)
    return await delete_events(db, project, jobs)


async def remove_children(db: Db, jobs: Sequence[EndedJob]) -> Removed:
    """Remove one batch of the attempts and task instances of these jobs."""
    await give_way(db)
    return await delete_children(db, [job.id for job in jobs])


async def remove_jobs(db: Db, jobs: Sequence[EndedJob]) -> dict[JobId, int]:
    """Remove those of these jobs of which nothing else is left; the bytes of each."""
    await give_way(db)
    return await delete_jobs(db, list(await lock_ended(db, jobs)))


async def give_up_jobs(db: Db, jobs: Sequence[EndedJob], *, now: datetime) -> list[EndedJob]:
    """Say of those of these jobs of a deleted pipeline that nobody holds that their outputs go now; which those are.

    What stands on them are jobs of the same pipeline, which go as well.
    """
    await give_way(db)
    held = await lock_ended(db, jobs)
    await mark_pruned(db, list(held), now)
    return [job for job in jobs if job.id in held]


async def remove_versions(db: Db, pipeline: PipelineId) -> int:
    """Remove one batch of the versions of a deleted pipeline that has no job left; how many."""
    await give_way(db)
    return await delete_versions(db, pipeline)


async def remove_pipeline(db: Db, pipeline: PipelineId, *, now: datetime) -> bool:
    """Remove the row of a deleted pipeline, if nothing else is left and every site had its turn; whether it was."""
    await give_way(db)
    return await delete_row(db, pipeline, deleted_before=now - TOMBSTONE_KEPT)


async def remember(db: Db, due: Due, site: str, kind: Kind, ended_before: datetime) -> None:
    """Say that nothing of this kind is left of the project's jobs that ended before."""
    assert kind in PARTS
    await give_way(db)
    await move_mark(db, due.project, "" if kind is Kind.EVENTS else site, kind, ended_before)
