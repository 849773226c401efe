"""Projects, pipelines, versions and jobs as people list them: pages and sets, only of the projects a caller may read.

Each filter has its index; nothing here writes. `visible` is the projects of the caller, `None` all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.cursor import Cursor
from ..domain.states import TERMINAL_JOB_STATES, JobState
from ..ids import JobId, PipelineId, ProjectId, VersionId
from .engine import Db
from .jobs import page_in_states
from .pipelines import BY_TAGS
from .windows import Order, Page, Where, Window, page_of

Visible = Collection[ProjectId] | None


@dataclass(frozen=True, slots=True)
class ProjectListing:
    """A project."""

    id: ProjectId
    name: str
    domain: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PipelineListing:
    """A pipeline, live or archived."""

    id: PipelineId
    project_id: ProjectId
    name: str
    latest_version: int
    latest_job: int
    created_by: str
    created_at: datetime
    paused_at: datetime | None
    archived_at: datetime | None
    description: str
    tags: Sequence[str]
    revision: int
    created_from: Mapping[str, Any] | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class VersionListing:
    """A version without its texts, which may be long."""

    id: VersionId
    pipeline_id: PipelineId
    project_id: ProjectId
    number: int
    author: str
    message: str
    hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class JobListing:
    """A job with all that is stored about it, but its tasks."""

    id: JobId
    project_id: ProjectId
    pipeline_id: PipelineId
    pipeline: str
    number: int
    version_id: VersionId
    version: int
    state: JobState
    reason: str
    params: dict[str, Any]
    priority: int
    submitted_by: str
    site: str | None
    origin_job_id: JobId | None
    skip: Sequence[str]
    overrides: dict[str, Any] | None
    seq: int
    tasks: int
    open_tasks: int
    failed_tasks: int
    cancelled_tasks: int
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    pruned_at: datetime | None
    cursor: Cursor
    """The feed's head when this was read: nothing that follows it is in here, and all that came before is."""


_PROJECT = "SELECT id, name, domain, created_at FROM project "
_PIPELINE = """SELECT id, project_id, name, latest_version, latest_job, created_by, created_at, paused_at, archived_at,
                      description, tags, revision, created_from, problem
               FROM pipeline """
_VERSION = """SELECT v.id, v.pipeline_id, p.project_id, v.number, v.author, v.message, v.hash, v.created_at
              FROM pipeline_version v JOIN pipeline p ON p.id = v.pipeline_id AND p.deleted_at IS NULL """
_JOB = """SELECT j.id, j.project_id, j.pipeline_id, p.name AS pipeline, j.number, j.version_id, v.number AS version,
                 j.state, j.reason, j.params, j.priority, j.submitted_by, j.site, j.origin_job_id, j.skip, j.overrides,
                 j.seq, j.tasks, j.open_tasks, j.failed_tasks, j.cancelled_tasks, j.cancel_requested_at, j.created_at,
                 j.started_at, j.ended_at, j.pruned_at,
                 (SELECT epoch FROM feed_head) AS epoch, (SELECT pos FROM feed_head) AS pos
          FROM job j JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
               JOIN pipeline_version v ON v.id = j.version_id """


def _job(row: Any) -> JobListing:
    parts = dict(row)
    cursor = Cursor(parts.pop("epoch"), parts.pop("pos"))
    return JobListing(**{**parts, "state": JobState(row["state"])}, cursor=cursor)


def _seen(where: Where, column: str, visible: Visible) -> None:
    if visible is not None:
        where.add(column + " = ANY({}::uuid[])", list(visible))


BY_NAME = Order(("name", "id"), ("text", "uuid"))
BY_NAME_DOWN = Order(("name", "id"), ("text", "uuid"), is_descending=True)
BY_AGE = Order(("id",), ("uuid",))
BY_AGE_DOWN = Order(("id",), ("uuid",), is_descending=True)
_VERSIONS = Order(("v.number",), ("int",), is_descending=True)
_JOBS = Order(("j.id",), ("uuid",), is_descending=True)


async def list_visible_projects(db: Db, visible: Visible, window: Window) -> Page[ProjectListing]:
    """Projects by name."""
    where = Where()
    _seen(where, "id", visible)
    tail = window.clause(where, BY_NAME)
    rows = await db.rows(f"{_PROJECT} WHERE {where}{tail}", *where.values)
    return page_of([ProjectListing(**r) for r in rows], window)


async def load_projects(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, ProjectListing]:
    """Those of these projects that may be read."""
    where = Where()
    where.add("id = ANY({}::uuid[])", list(ids))
    _seen(where, "id", visible)
    return {r["id"]: ProjectListing(**r) for r in await db.rows(f"{_PROJECT} WHERE {where}", *where.values)}


async def find_visible_project(db: Db, visible: Visible, name: str) -> ProjectListing | None:
    """The project of that name, if it may be read."""
    where = Where()
    where.add("name = {}", name)
    _seen(where, "id", visible)
    row = await db.row(f"{_PROJECT} WHERE {where}", *where.values)
    return ProjectListing(**row) if row else None


async def list_pipelines_of(
    db: Db,
    project: ProjectId,
    window: Window,
    *,
    order: Order = BY_NAME,
    search: str = "",
    tags: Sequence[str] = (),
    is_paused: bool | None = None,
    is_archived: bool = False,
) -> Page[PipelineListing]:
    """Pipelines of the project, live ones unless `is_archived`; `search` is part of the name, in any case.

    :param tags: all of which it has.
    """
    where = Where()
    where.add("project_id = {}", project)
    where.add("archived_at IS NOT NULL AND deleted_at IS NULL" if is_archived else "archived_at IS NULL")
    if tags:
        where.add(f"{BY_TAGS} @> {{}}::text[]", [*tags, str(project)])
    if search:
        where.add("position(lower({}) in lower(name)) > 0", search)
    if is_paused is not None:
        where.add("paused_at IS NOT NULL" if is_paused else "paused_at IS NULL")
    tail = window.clause(where, order)
    rows = await db.rows(f"{_PIPELINE} WHERE {where}{tail}", *where.values)
    return page_of([PipelineListing(**r) for r in rows], window)


async def load_pipelines(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, PipelineListing]:
    """Those of these pipelines that may be read, archived ones too."""
    where = Where()
    where.add("id = ANY({}::uuid[]) AND deleted_at IS NULL", list(ids))
    _seen(where, "project_id", visible)
    return {r["id"]: PipelineListing(**r) for r in await db.rows(f"{_PIPELINE} WHERE {where}", *where.values)}


async def list_versions_of(db: Db, pipeline: PipelineId, window: Window) -> Page[VersionListing]:
    """Versions of the pipeline, newest first, without their texts."""
    where = Where()
    where.add("v.pipeline_id = {}", pipeline)
    tail = window.clause(where, _VERSIONS)
    rows = await db.rows(f"{_VERSION} WHERE {where}{tail}", *where.values)
    return page_of([VersionListing(**r) for r in rows], window)


async def load_versions(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, VersionListing]:
    """Those of these versions that may be read."""
    where = Where()
    where.add("v.id = ANY({}::uuid[])", list(ids))
    _seen(where, "p.project_id", visible)
    return {r["id"]: VersionListing(**r) for r in await db.rows(f"{_VERSION} WHERE {where}", *where.values)}


async def load_numbered_versions(
    db: Db, wanted: Collection[tuple[UUID, int]]
) -> dict[tuple[UUID, int], VersionListing]:
    """Versions by pipeline and number."""
    rows = await db.rows(
        f"{_VERSION} JOIN unnest($1::uuid[], $2::int[]) AS w(pipeline, number)"
        " ON v.pipeline_id = w.pipeline AND v.number = w.number",
        [pipeline for pipeline, _ in wanted],
        [number for _, number in wanted],
    )
    return {(r["pipeline_id"], r["number"]): VersionListing(**r) for r in rows}


async def load_sources(db: Db, versions: Collection[UUID]) -> dict[UUID, str]:
    """The texts of these versions as they were given."""
    rows = await db.rows("SELECT id, source FROM pipeline_version WHERE id = ANY($1::uuid[])", list(versions))
    return {r["id"]: r["source"] for r in rows}


async def load_graphs(db: Db, versions: Collection[VersionId]) -> dict[VersionId, list[tuple[str, list[str]]]]:
    """The name of each task with the names it needs, in the order of the file."""
    rows = await db.rows(
        """SELECT v.id, t.task->>'name' AS name, t.task->'dependencies' AS needs
           FROM pipeline_version v, jsonb_array_elements(v.spec->'tasks') WITH ORDINALITY AS t(task, place)
           WHERE v.id = ANY($1::uuid[]) ORDER BY v.id, t.place""",
        list(versions),
    )
    graphs: dict[VersionId, list[tuple[str, list[str]]]] = {}
    for row in rows:
        graphs.setdefault(row["id"], []).append((row["name"], row["needs"]))
    return graphs


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; what is not set plays no part."""

    project: ProjectId | None = None
    pipeline: PipelineId | None = None
    version: VersionId | None = None
    states: Sequence[JobState] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None


async def list_jobs_of(db: Db, wanted: JobFilter, window: Window) -> Page[JobListing]:
    """Jobs, newest first. A project, pipeline or version that the caller may read has to be given."""
    assert wanted.project or wanted.pipeline or wanted.version
    where = Where()
    for column, value in (
        ("j.version_id", wanted.version),
        ("j.pipeline_id", wanted.pipeline),
        ("j.project_id", wanted.project),
    ):
        if value is not None:
            where.add(column + " = {}", value)
    where.within("j.created_at", "j.id", wanted.created_from, wanted.created_before)
    tail = window.clause(where, _JOBS)
    rows = await db.rows(page_in_states(_JOB, where, tail, wanted.states), *where.values)
    return page_of([_job(r) for r in rows], window)


async def load_jobs(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, JobListing]:
    """Those of these jobs that may be read."""
    where = Where()
    where.add("j.id = ANY({}::uuid[])", list(ids))
    _seen(where, "j.project_id", visible)
    return {r["id"]: _job(r) for r in await db.rows(f"{_JOB} WHERE {where}", *where.values)}


async def load_last_jobs(db: Db, pipelines: Collection[UUID]) -> dict[UUID, JobListing]:
    """The newest job of each of these pipelines that has one."""
    rows = await db.rows(
        f"""{_JOB} JOIN unnest($1::uuid[]) AS w(id) ON w.id = j.pipeline_id AND j.number = p.latest_job""",
        list(pipelines),
    )
    return {r["pipeline_id"]: _job(r) for r in rows}


async def count_open_jobs(db: Db, projects: Collection[UUID]) -> dict[UUID, dict[JobState, int]]:
    """How many jobs of each project are in each state that is not final: never many."""
    terminal = ", ".join(repr(str(s)) for s in sorted(TERMINAL_JOB_STATES))
    rows = await db.rows(
        f"""SELECT project_id, state, count(*)::int AS jobs FROM job
            WHERE project_id = ANY($1::uuid[]) AND NOT (state IN ({terminal})) GROUP BY 1, 2""",
        list(projects),
    )
    counts: dict[UUID, dict[JobState, int]] = {}
    for row in rows:
        counts.setdefault(row["project_id"], {})[JobState(row["state"])] = row["jobs"]
    return counts
