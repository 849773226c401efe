"""Writes to pipelines besides their versions: made, changed, archived, deleted, and the names they had before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ..domain.catalog import LONGEST_NAME, free_name, stem_of
from ..domain.states import TERMINAL_JOB_STATES
from ..errors import Conflict
from ..ids import PipelineId, ProjectId, new_id
from .engine import Db
from .statistics import forget_days_of
from .visible import Projects

_OVER = f"state IN ({', '.join(repr(str(s)) for s in sorted(TERMINAL_JOB_STATES))})"
_NAMES = 1000  # names of one stem that are looked at for a free one


@dataclass(frozen=True, slots=True)
class HeldPipeline:
    """A pipeline whose row is held, archived or not."""

    id: PipelineId
    project_id: ProjectId
    name: str
    description: str
    tags: Sequence[str]
    revision: int
    latest_version: int
    archived_at: datetime | None


async def insert_pipeline(
    db: Db,
    project: ProjectId,
    name: str,
    *,
    by: str,
    description: str,
    tags: Sequence[str],
    created_from: Mapping[str, Any] | None,
) -> PipelineId | None:
    """A new pipeline without a version; `None`: the project has one of that name."""
    made = await db.value(
        """INSERT INTO pipeline (id, project_id, name, created_by, description, tags, created_from)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (project_id, name) WHERE archived_at IS NULL DO NOTHING RETURNING id""",
        new_id(),
        project,
        name,
        by,
        description,
        list(tags),
        None if created_from is None else dict(created_from),
    )
    return PipelineId(made) if made else None


async def hold_pipeline(db: Db, pipeline: PipelineId, visible: Projects) -> HeldPipeline | None:
    """The pipeline, if it may be read; its row is held until the transaction ends, so no job of it is made meanwhile."""
    row = await db.row(
        """SELECT id, project_id, name, description, tags, revision, latest_version, archived_at FROM pipeline
           WHERE id = $1 AND deleted_at IS NULL AND ($2::uuid[] IS NULL OR project_id = ANY($2)) FOR UPDATE""",
        pipeline,
        None if visible is None else list(visible),
    )
    return HeldPipeline(**row) if row else None


async def write_pipeline(
    db: Db, pipeline: PipelineId, *, name: str, description: str, tags: Sequence[str], is_archived: bool
) -> None:
    """Change a pipeline whose row is held. :raises Conflict: somebody took the name in the same moment."""
    try:
        await db.execute(
            """UPDATE pipeline SET name = $2, description = $3, tags = $4, revision = revision + 1,
                 archived_at = CASE WHEN $5 THEN coalesce(archived_at, now()) END WHERE id = $1""",
            pipeline,
            name,
            description,
            list(tags),
            is_archived,
        )
    except asyncpg.UniqueViolationError:
        raise Conflict(f"somebody has just taken the name {name}; choose another one") from None


async def mark_deleted(db: Db, pipeline: PipelineId) -> None:
    """Have no read show the pipeline or anything of it from the commit on. Needs its row held, and no job open."""
    project = await db.value(
        """UPDATE pipeline SET deleted_at = now(), archived_at = coalesce(archived_at, now()), revision = revision + 1
           WHERE id = $1 RETURNING project_id""",
        pipeline,
    )
    await forget_days_of(db, project, pipeline)
    await db.execute("DELETE FROM template WHERE pipeline_id = $1", pipeline)
    await db.execute("DELETE FROM former_name WHERE pipeline_id = $1", pipeline)
    await db.execute("DELETE FROM pipeline_draft WHERE pipeline_id = $1", pipeline)


async def count_jobs_open(db: Db, pipeline: PipelineId) -> int:
    """How many jobs of the pipeline are not over."""
    count: int = await db.value(f"SELECT count(*)::int FROM job WHERE pipeline_id = $1 AND NOT ({_OVER})", pipeline)
    return count


async def is_taken(db: Db, project: ProjectId, name: str) -> bool:
    """Whether a live pipeline of the project has that name."""
    found: bool = await db.value(
        "SELECT EXISTS (SELECT FROM pipeline WHERE project_id = $1 AND name = $2 AND archived_at IS NULL)",
        project,
        name,
    )
    return found


async def find_free_name(db: Db, project: ProjectId, name: str) -> str:
    """The name, or one like it that no live pipeline of the project has."""
    stem = stem_of(name)
    rows = await db.rows(
        """SELECT name FROM pipeline WHERE project_id = $1 AND archived_at IS NULL
             AND (name = $2 OR starts_with(name, $3)) ORDER BY length(name), name LIMIT $4""",
        project,
        name,
        stem[: LONGEST_NAME - 8],
        _NAMES,
    )
    return free_name(name, {r["name"] for r in rows})


# -- names that pipelines had ---------------------------------------------------------------------------------------


async def remember_name(db: Db, project: ProjectId, name: str, pipeline: PipelineId) -> None:
    """Say that the pipeline had this name; of several the last counts."""
    await db.execute(
        """INSERT INTO former_name (project_id, name, pipeline_id) VALUES ($1, $2, $3)
           ON CONFLICT (project_id, name) DO UPDATE SET pipeline_id = excluded.pipeline_id, created_at = now()""",
        project,
        name,
        pipeline,
    )


async def find_by_former_name(db: Db, project: ProjectId, name: str) -> str | None:
    """What the live pipeline that had this name is called now; `None` too when a live one has the name."""
    found: str | None = await db.value(
        """SELECT p.name FROM former_name f JOIN pipeline p ON p.id = f.pipeline_id
           WHERE f.project_id = $1 AND f.name = $2 AND p.archived_at IS NULL
             AND NOT EXISTS (SELECT FROM pipeline WHERE project_id = $1 AND name = $2 AND archived_at IS NULL)""",
        project,
        name,
    )
    return found
