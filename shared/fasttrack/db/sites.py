"""Where what a task instance printed and wrote is to be found: its job's site, and what its files are named after."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.states import InstanceState
from ..ids import InstanceId, JobId, PipelineId, ProjectId
from .engine import Db
from .listings import Visible
from .windows import Where


@dataclass(frozen=True, slots=True)
class InstanceSite:
    """A task instance with what its log and its outputs are found by."""

    id: InstanceId
    name: str
    project_id: ProjectId
    pipeline_id: PipelineId
    job_id: JobId
    site: str | None
    """Where the job's sessions live; `None` until its first one is created."""
    state: InstanceState
    attempt: int
    """The number of the newest; 0 before the first."""
    started_at: datetime | None
    """When the newest attempt's command began."""
    reused_from: JobId | None
    """The job whose outputs stand for it."""
    job_ended_at: datetime | None
    outputs_pruned_at: datetime | None
    """Since when its outputs are gone."""


_SITE = """SELECT i.id, i.name, j.project_id, j.pipeline_id, i.job_id, j.site, i.state, i.attempt, i.started_at,
                  i.reused_from, j.ended_at AS job_ended_at, j.pruned_at AS outputs_pruned_at
           FROM task_instance i JOIN job j ON j.id = i.job_id WHERE {} """


async def load_instance_sites(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, InstanceSite]:
    """Those of these task instances whose project may be read."""
    where = Where()
    where.add("i.id = ANY({}::uuid[])", list(ids))
    if visible is not None:
        where.add("j.project_id = ANY({}::uuid[])", list(visible))
    return {r["id"]: _site(r) for r in await db.rows(_SITE.format(where), *where.values)}


async def find_instance_site(db: Db, job: JobId, task: str | UUID) -> InstanceSite | None:
    """That of the job's task of this name, or of its task instance of this id."""
    column = "id" if isinstance(task, UUID) else "name"
    row = await db.row(_SITE.format(f"i.job_id = $1 AND i.{column} = $2"), job, task)
    return _site(row) if row else None


def _site(row: Any) -> InstanceSite:
    return InstanceSite(**{**row, "state": InstanceState(row["state"])})
