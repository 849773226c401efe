"""Templates: a version of a pipeline, offered to its project, its domain or everyone. What it is of stays out of reach."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.catalog import TemplateScope
from ..ids import PipelineId, ProjectId, TemplateId, VersionId, new_id
from .engine import Db
from .visible import Projects
from .windows import Order, Page, Where, Window, page_of


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A template that somebody offered."""

    id: TemplateId
    project_id: ProjectId
    pipeline_id: PipelineId
    version_id: VersionId
    version: int
    """The version's number."""
    scope: TemplateScope
    name: str
    description: str
    shared_by: str
    created_at: datetime
    revision: int
    """Another one with every change; a number is never used twice, nor by another template."""


# An archived pipeline is out of use, and so is what was offered of it, until it is brought back.
_TEMPLATE = """SELECT t.id, t.project_id, t.pipeline_id, t.version_id, v.number AS version, t.scope, t.name, t.description,
                      t.shared_by, t.created_at, t.revision
               FROM template t JOIN pipeline p ON p.id = t.pipeline_id AND p.archived_at IS NULL
                    JOIN pipeline_version v ON v.id = t.version_id """
_BY_AGE_DOWN = Order(("t.id",), ("uuid",), is_descending=True)


def _template(row: Any) -> StoredTemplate:
    return StoredTemplate(**{**row, "scope": TemplateScope(row["scope"])})


def _offered(where: Where, projects: Projects) -> None:
    """Require that it is offered to whoever may read these projects."""
    if projects is not None:
        where.add(
            """(t.scope = 'everyone' OR t.project_id = ANY({}::uuid[]) OR (t.scope = 'domain' AND t.project_id IN (
                  SELECT n.id FROM project o JOIN project n ON n.domain = o.domain WHERE o.id = ANY({}::uuid[]))))""",
            list(projects),
            list(projects),
        )


async def list_stored_templates(
    db: Db,
    projects: Projects,
    window: Window,
    *,
    search: str = "",
    scope: TemplateScope | None = None,
) -> Page[StoredTemplate]:
    """Templates that are offered to whoever may read these projects, newest first.

    :param search: part of the name or the description, in any case.
    """
    where = Where()
    _offered(where, projects)
    if scope is not None:
        # Said as the predicate of the partial index is, which the planner does not derive from a parameter.
        where.add(f"t.scope = '{scope.value}'")
    if search:
        where.add("position(lower({}) in lower(t.name || ' ' || t.description)) > 0", search)
    tail = window.clause(where, _BY_AGE_DOWN)
    rows = await db.rows(f"{_TEMPLATE} WHERE {where}{tail}", *where.values)
    return page_of([_template(r) for r in rows], window)


async def load_stored_templates(db: Db, projects: Projects, ids: Collection[UUID]) -> dict[UUID, StoredTemplate]:
    """Those of these templates that are offered to whoever may read these projects."""
    where = Where()
    where.add("t.id = ANY({}::uuid[])", list(ids))
    _offered(where, projects)
    return {r["id"]: _template(r) for r in await db.rows(f"{_TEMPLATE} WHERE {where}", *where.values)}


async def load_templates_of(db: Db, pipelines: Collection[UUID]) -> dict[UUID, StoredTemplate]:
    """What is offered of each of these pipelines, which the caller may read."""
    rows = await db.rows(f"{_TEMPLATE} WHERE t.pipeline_id = ANY($1::uuid[])", list(pipelines))
    return {r["pipeline_id"]: _template(r) for r in rows}


async def put_template(
    db: Db,
    *,
    project: ProjectId,
    pipeline: PipelineId,
    version: VersionId,
    scope: TemplateScope,
    name: str,
    description: str,
    by: str,
) -> TemplateId:
    """Offer the version, over what was offered of the pipeline before; the template keeps its id.

    Needs the pipeline's row, which whoever else would offer something of it waits for.
    """
    made = await db.value(
        """INSERT INTO template AS held
             (id, project_id, pipeline_id, version_id, scope, name, description, shared_by, revision)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nextval('revision'))
           ON CONFLICT (pipeline_id) DO UPDATE SET version_id = excluded.version_id, scope = excluded.scope,
             name = excluded.name, description = excluded.description, shared_by = excluded.shared_by,
             revision = CASE WHEN (held.version_id, held.scope, held.name, held.description, held.shared_by)
               = (excluded.version_id, excluded.scope, excluded.name, excluded.description, excluded.shared_by)
               THEN held.revision ELSE excluded.revision END
           RETURNING id""",
        new_id(),
        project,
        pipeline,
        version,
        scope,
        name,
        description,
        by,
    )
    return TemplateId(made)


async def remove_template(db: Db, pipeline: PipelineId) -> None:
    """Offer nothing of the pipeline."""
    await db.execute("DELETE FROM template WHERE pipeline_id = $1", pipeline)
