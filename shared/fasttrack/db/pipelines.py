"""Pipelines and their immutable versions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from ..ids import PipelineId, ProjectId, VersionId, new_id, parse_id
from .engine import Db


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """A pipeline as lists show it."""

    id: PipelineId
    name: str
    latest_version: int
    """Number of its newest version, 0 if it has none."""
    latest_job: int
    """Number of its newest job, 0 if it never ran."""
    created_by: str
    created_at: datetime
    paused_at: datetime | None = None
    """Since when it starts nothing."""
    archived_at: datetime | None = None
    description: str = ""
    tags: Sequence[str] = ()
    revision: int = 1
    """Grows with each change of its name, description, tags and archiving; publishing is none."""
    problem: str | None = None
    """What keeps its jobs from running, in a sentence; `None`: nothing."""


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One immutable version of a pipeline."""

    id: VersionId
    pipeline_id: PipelineId
    number: int
    author: str
    message: str
    hash: str
    created_at: datetime
    source: str
    """The text as it was given."""
    spec: dict[str, Any]
    """The canonical document."""


_PIPELINE = """id, name, latest_version, latest_job, created_by, created_at, paused_at, archived_at, description, tags,
               revision, problem"""
BY_TAGS = "array_append(tags, project_id::text)"
"""What the index on tags is of; `@>` asks for tags and a project at once."""
_VERSION = "id, pipeline_id, number, author, message, hash, created_at, source, spec"


def _pipeline(row: asyncpg.Record) -> PipelineRecord:
    return PipelineRecord(**row)


def _version(row: asyncpg.Record) -> VersionRecord:
    return VersionRecord(**row)


async def find_pipeline(db: Db, project: ProjectId, name: str, *, lock: bool = False) -> PipelineRecord | None:
    """The live pipeline of that name in the project. With `lock`, its row is held until the transaction ends."""
    row = await db.row(
        f"SELECT {_PIPELINE} FROM pipeline WHERE project_id = $1 AND name = $2 AND archived_at IS NULL"
        + (" FOR UPDATE" if lock else ""),
        project,
        name,
    )
    return _pipeline(row) if row else None


async def ensure_pipeline(db: Db, project: ProjectId, name: str, *, by: str, description: str = "") -> PipelineRecord:
    """The pipeline of that name, made if there is none; its row is held until the transaction ends."""
    await db.execute(
        """INSERT INTO pipeline (id, project_id, name, created_by, description) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (project_id, name) WHERE archived_at IS NULL DO NOTHING""",
        new_id(),
        project,
        name,
        by,
        description,
    )
    found = await find_pipeline(db, project, name, lock=True)
    assert found is not None
    return found


async def list_pipelines(
    db: Db, project: ProjectId, *, limit: int, after: str | None = None, search: str = "", tags: Sequence[str] = ()
) -> list[PipelineRecord]:
    """Live pipelines of the project by name, at most `limit`, those after the name `after`.

    :param search: part of the name, in any case. :param tags: all of which it has.
    """
    having = f"{BY_TAGS} @> $5::text[]" if tags else "$5::text[] IS NOT NULL"
    rows = await db.rows(
        f"""SELECT {_PIPELINE} FROM pipeline WHERE project_id = $1 AND archived_at IS NULL AND name > $2
              AND position(lower($4) in lower(name)) > 0 AND {having}
            ORDER BY name LIMIT $3""",
        project,
        after or "",
        limit,
        search,
        [*tags, str(project)],
    )
    return [_pipeline(r) for r in rows]


async def list_archived(
    db: Db,
    project: ProjectId,
    *,
    limit: int,
    before: PipelineId | None = None,
    search: str = "",
    tags: Sequence[str] = (),
) -> list[PipelineRecord]:
    """Archived pipelines of the project, the newest first, at most `limit`, those older than `before`."""
    having = f"{BY_TAGS} @> $5::text[]" if tags else "$5::text[] IS NOT NULL"
    rows = await db.rows(
        f"""SELECT {_PIPELINE} FROM pipeline WHERE project_id = $1 AND archived_at IS NOT NULL AND deleted_at IS NULL
              AND ($2::uuid IS NULL OR id < $2) AND position(lower($4) in lower(name)) > 0 AND {having}
            ORDER BY id DESC LIMIT $3""",
        project,
        before,
        limit,
        search,
        [*tags, str(project)],
    )
    return [_pipeline(r) for r in rows]


async def find_pipelines(db: Db, project: ProjectId, text: str) -> list[PipelineRecord]:
    """What `text` can mean: the pipeline of that id, else the live one of that name, else archived ones (at most ten)."""
    row = None
    if (identifier := parse_id(text)) is not None:
        row = await db.row(
            f"SELECT {_PIPELINE} FROM pipeline WHERE id = $2 AND project_id = $1 AND deleted_at IS NULL",
            project,
            identifier,
        )
    found = _pipeline(row) if row is not None else await find_pipeline(db, project, text)
    if found is not None:
        return [found]
    rows = await db.rows(
        f"""SELECT {_PIPELINE} FROM pipeline
            WHERE project_id = $1 AND name = $2 AND archived_at IS NOT NULL AND deleted_at IS NULL
            ORDER BY id DESC LIMIT 10""",
        project,
        text,
    )
    return [_pipeline(r) for r in rows]


async def add_version(
    db: Db, pipeline: PipelineRecord, *, author: str, message: str, hash: str, source: str, spec: dict[str, Any]
) -> VersionRecord:
    """Append the next version. The caller holds the pipeline's row, so numbers have no gap and no race."""
    row = await db.row(
        f"""INSERT INTO pipeline_version (id, pipeline_id, number, author, message, hash, source, spec)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_VERSION}""",
        new_id(),
        pipeline.id,
        pipeline.latest_version + 1,
        author,
        message,
        hash,
        source,
        spec,
    )
    await db.execute("UPDATE pipeline SET latest_version = $2 WHERE id = $1", pipeline.id, pipeline.latest_version + 1)
    assert row is not None
    return _version(row)


async def find_version(db: Db, pipeline: PipelineId, number: int) -> VersionRecord | None:
    """Version `number` of the pipeline."""
    row = await db.row(
        f"SELECT {_VERSION} FROM pipeline_version WHERE pipeline_id = $1 AND number = $2", pipeline, number
    )
    return _version(row) if row else None


async def list_versions(db: Db, pipeline: PipelineId, *, limit: int, before: int | None = None) -> list[VersionRecord]:
    """Versions, newest first, at most `limit`, those with a number below `before`."""
    rows = await db.rows(
        f"""SELECT {_VERSION} FROM pipeline_version WHERE pipeline_id = $1 AND number < $2
            ORDER BY number DESC LIMIT $3""",
        pipeline,
        before if before is not None else 2**31 - 1,
        limit,
    )
    return [_version(r) for r in rows]


async def load_specs(db: Db, versions: Collection[VersionId]) -> dict[VersionId, dict[str, Any]]:
    """The canonical documents of these versions, in one statement."""
    rows = await db.rows("SELECT id, spec FROM pipeline_version WHERE id = ANY($1::uuid[])", list(versions))
    return {VersionId(r["id"]): r["spec"] for r in rows}


async def mark_paused(db: Db, pipeline: PipelineId, *, paused: bool) -> None:
    """Pause the pipeline, or end its pause; a second time changes nothing."""
    await db.execute(
        "UPDATE pipeline SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END WHERE id = $1",
        pipeline,
        paused,
    )
