"""Drafts: the text of a pipeline that its editors share until it is published, and where its tasks stand on a canvas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..ids import PipelineId, ProjectId
from .engine import Db

Positions = Mapping[str, tuple[float, float]]
"""Where tasks stand on a canvas, by name."""


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """The draft of a pipeline, or what one would begin with."""

    pipeline_id: PipelineId
    project_id: ProjectId
    pipeline: str
    """The pipeline's name."""
    latest_version: int
    """The number of the pipeline's newest version, 0 if it has none."""
    revision: int
    """One more with every change to the draft, its end included; never used twice. 0: there never was one."""
    is_begun: bool
    base_version: int
    """The newest version when it was begun, 0 if there was none."""
    source: str | None
    """Its text, or that of the newest version; `None` if there is neither."""
    positions: Positions
    updated_by: str | None
    updated_at: datetime | None
    """Of the last change; `None` when no draft is begun."""


def _record(row: Any) -> DraftRecord:
    return DraftRecord(**{**row, "positions": {name: (x, y) for name, (x, y) in row["positions"].items()}})


async def load_drafts(db: Db, pipelines: Collection[UUID]) -> dict[UUID, DraftRecord]:
    """The drafts of these pipelines, or what theirs would begin with, in one statement."""
    rows = await db.rows(
        """SELECT p.id AS pipeline_id, p.project_id, p.name AS pipeline, p.latest_version,
                  coalesce(d.revision, 0) AS revision, d.source IS NOT NULL AS is_begun,
                  coalesce(d.base_version, p.latest_version) AS base_version, coalesce(d.source, v.source) AS source,
                  coalesce(d.positions, d.published_positions, '{}') AS positions,
                  CASE WHEN d.source IS NOT NULL THEN d.updated_by END AS updated_by,
                  CASE WHEN d.source IS NOT NULL THEN d.updated_at END AS updated_at
           FROM pipeline p LEFT JOIN pipeline_draft d ON d.pipeline_id = p.id
           LEFT JOIN pipeline_version v ON v.pipeline_id = p.id AND v.number = p.latest_version AND d.source IS NULL
           WHERE p.id = ANY($1::uuid[])""",
        list(pipelines),
    )
    return {r["pipeline_id"]: _record(r) for r in rows}


async def load_positions(db: Db, pipelines: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Where the tasks of these pipelines stood when they were last published from a draft."""
    rows = await db.rows(
        "SELECT pipeline_id, published_positions FROM pipeline_draft WHERE pipeline_id = ANY($1::uuid[])",
        list(pipelines),
    )
    return {r["pipeline_id"]: r["published_positions"] for r in rows}


async def lock_draft(db: Db, pipeline: PipelineId) -> DraftRecord:
    """The draft as it is now; nobody else changes it until the transaction ends."""
    await db.execute(
        """INSERT INTO pipeline_draft (pipeline_id, revision, updated_by) VALUES ($1, 0, '')
           ON CONFLICT (pipeline_id) DO NOTHING""",
        pipeline,
    )
    await hold_draft(db, pipeline)
    return (await load_drafts(db, [pipeline]))[pipeline]


async def hold_draft(db: Db, pipeline: PipelineId) -> None:
    """Have nobody else change the draft until the transaction ends, if there ever was one."""
    await db.execute("SELECT 1 FROM pipeline_draft WHERE pipeline_id = $1 FOR UPDATE", pipeline)


async def write_draft(db: Db, draft: DraftRecord, source: str, positions: Positions, *, by: str) -> None:
    """Give the draft that was locked its next revision."""
    await db.execute(
        """UPDATE pipeline_draft SET revision = revision + 1, source = $2, base_version = $3, positions = $4,
                  updated_by = $5, updated_at = now() WHERE pipeline_id = $1""",
        draft.pipeline_id,
        source,
        draft.base_version,
        dict(positions),
        by,
    )


async def end_draft(db: Db, pipeline: PipelineId, *, by: str, published: Positions | None = None) -> None:
    """Remove the draft that was locked; with `published`, its positions are those of the pipeline from here on."""
    await db.execute(
        """UPDATE pipeline_draft SET revision = revision + 1, source = NULL, base_version = NULL, positions = NULL,
                  published_positions = coalesce($3, published_positions), updated_by = $2, updated_at = now()
           WHERE pipeline_id = $1""",
        pipeline,
        by,
        None if published is None else dict(published),
    )
