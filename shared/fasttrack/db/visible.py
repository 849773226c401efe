"""Which project a thing belongs to, asked among the projects that the caller may read.

`projects` is `Caller.projects`: the ids that may be read, or `None` for all. What lies elsewhere is not found, as if it
were not there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..ids import JobId, PipelineId, ProjectId
from .engine import Db

Projects = Collection[ProjectId] | None


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project as lists show it."""

    id: ProjectId
    name: str
    domain: str
    created_at: datetime


def _list(projects: Projects) -> list[ProjectId] | None:
    return None if projects is None else list(projects)


async def find_visible_project(db: Db, what: str | UUID, projects: Projects) -> ProjectRecord | None:
    """The project of that name or id."""
    column = "id" if isinstance(what, UUID) else "name"
    row = await db.row(
        f"SELECT id, name, domain, created_at FROM project WHERE {column} = $1 AND ($2::uuid[] IS NULL OR id = ANY($2))",
        what,
        _list(projects),
    )
    return ProjectRecord(**row) if row else None


async def list_visible_projects(db: Db, projects: Projects, *, limit: int, after: str = "") -> list[ProjectRecord]:
    """Projects by name, at most `limit`, those after the name `after`."""
    rows = await db.rows(
        """SELECT id, name, domain, created_at FROM project WHERE name > $1 AND ($2::uuid[] IS NULL OR id = ANY($2))
           ORDER BY name LIMIT $3""",
        after,
        _list(projects),
        limit,
    )
    return [ProjectRecord(**r) for r in rows]


async def project_of_job(db: Db, job: JobId, projects: Projects) -> ProjectId | None:
    """The project of the job."""
    found = await db.value(
        """SELECT j.project_id FROM job j JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
           WHERE j.id = $1 AND ($2::uuid[] IS NULL OR j.project_id = ANY($2))""",
        job,
        _list(projects),
    )
    return ProjectId(found) if found else None


async def project_of_pipeline(db: Db, pipeline: PipelineId, projects: Projects) -> ProjectId | None:
    """The project of the pipeline, live or archived."""
    found = await db.value(
        """SELECT project_id FROM pipeline
           WHERE id = $1 AND deleted_at IS NULL AND ($2::uuid[] IS NULL OR project_id = ANY($2))""",
        pipeline,
        _list(projects),
    )
    return ProjectId(found) if found else None
