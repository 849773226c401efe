"""What deleted pipelines have left: no read shows it, and retention removes it in turns.

The order is: the newest jobs first, as they may stand on the outputs of older ones; then the pipeline's folder, its
versions, and the row itself, which the others are found by. Cut short anywhere, the next turn finds the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..ids import JobId, PipelineId, ProjectId
from .engine import Db
from .retention import EndedJob

BATCH = 100
"""Versions in one transaction: each may have a megabyte of text."""


@dataclass(frozen=True, slots=True)
class DeletedPipeline:
    """A pipeline that nobody sees any more."""

    id: PipelineId
    project_id: ProjectId
    deleted_at: datetime


async def list_deleted(db: Db) -> dict[ProjectId, list[DeletedPipeline]]:
    """Deleted pipelines of which something is left, by project."""
    rows = await db.rows(
        "SELECT id, project_id, deleted_at FROM pipeline WHERE deleted_at IS NOT NULL ORDER BY deleted_at, id"
    )
    found: dict[ProjectId, list[DeletedPipeline]] = {}
    for row in rows:
        found.setdefault(row["project_id"], []).append(DeletedPipeline(**row))
    return found


async def jobs_of_deleted(
    db: Db, pipeline: PipelineId, *, site: str | None, before: JobId | None, limit: int
) -> list[EndedJob]:
    """Jobs of a deleted pipeline, the newest first, those older than `before`.

    :param site: only those whose files, if any, are there; `None`: all.
    """
    rows = await db.rows(
        """SELECT id, pipeline_id, ended_at FROM job
           WHERE pipeline_id = $1 AND ended_at IS NOT NULL AND ($2::uuid IS NULL OR id < $2)
             AND ($3::text IS NULL OR site IS NULL OR site = $3) ORDER BY id DESC LIMIT $4""",
        pipeline,
        before,
        site,
        limit,
    )
    return [EndedJob(**r) for r in rows]


async def delete_versions(db: Db, pipeline: PipelineId) -> int:
    """Remove at most `BATCH` versions of a deleted pipeline that has no job left; how many."""
    return await db.execute(
        """DELETE FROM pipeline_version WHERE id = ANY(ARRAY(
               SELECT v.id FROM pipeline_version v JOIN pipeline p ON p.id = v.pipeline_id
               WHERE p.id = $1 AND p.deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM job WHERE pipeline_id = p.id)
               LIMIT $2 FOR UPDATE OF v SKIP LOCKED))""",
        pipeline,
        BATCH,
    )


async def delete_row(db: Db, pipeline: PipelineId, *, deleted_before: datetime) -> bool:
    """Remove the row of a pipeline that was deleted before, if it is all that is left; whether it was."""
    # Whoever was saving a draft in the moment it was deleted has left it.
    await db.execute(
        "DELETE FROM pipeline_draft d USING pipeline p WHERE p.id = $1 AND p.deleted_at < $2 AND d.pipeline_id = p.id",
        pipeline,
        deleted_before,
    )
    removed = await db.execute(
        """DELETE FROM pipeline AS p WHERE p.id = $1 AND p.deleted_at < $2
             AND NOT EXISTS (SELECT FROM job WHERE pipeline_id = p.id)
             AND NOT EXISTS (SELECT FROM pipeline_version WHERE pipeline_id = p.id)""",
        pipeline,
        deleted_before,
    )
    return removed == 1
