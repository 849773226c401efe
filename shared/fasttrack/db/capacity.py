"""What the sites have in all, as their schedulers tell, and which tasks take of it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..domain.room import Room
from ..domain.states import InstanceState
from ..ids import PipelineId, ProjectId, VersionId
from .engine import Db

FORGOTTEN_AFTER = timedelta(days=7)
"""A site of which no scheduler has told anything for so long is not there any more."""


@dataclass(frozen=True, slots=True)
class StoredCapacity:
    """What one resource group of a site has of one slot."""

    site: str
    resource_group: str
    """Empty: the site makes no difference between groups."""
    slot: str
    capacity: Decimal
    used: Decimal | None
    """By anybody; like the rest, `None` where it is not known."""
    free: Decimal | None
    largest_free: Decimal | None
    agents: int | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class OpenTasks:
    """Task instances with a session that are alike: of one task of a version, in one state, for one who asked."""

    site: str
    resource_group: str
    project_id: ProjectId
    project: str
    pipeline_id: PipelineId
    pipeline: str
    submitted_by: str
    version_id: VersionId
    index: int
    """Which task of the version."""
    override: dict[str, Any] | None
    """What it has otherwise than the file says, in these jobs."""
    state: InstanceState
    count: int


async def write_capacity(db: Db, site: str, groups: Mapping[str, Room]) -> None:
    """Note what the site has and has left, in place of what was noted before; sites that nobody tells of any more are
    forgotten.

    One statement, repeatable, by any number of schedulers at once.
    """
    rows = sorted((group, slot) for group, room in groups.items() for slot in room.capacity)
    rooms = [groups[group] for group, _ in rows]
    slots = [slot for _, slot in rows]
    none = Decimal(0)
    await db.execute(
        """WITH told AS (
             SELECT * FROM unnest($2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::int[])
               AS t(resource_group, slot, capacity, used, free, largest_free, agents)),
             gone AS (
               DELETE FROM group_capacity AS c WHERE c.seen_at < now() - $9::interval OR (c.site = $1 AND NOT EXISTS (
                 SELECT FROM told t WHERE t.resource_group = c.resource_group AND t.slot = c.slot)))
           INSERT INTO group_capacity (site, resource_group, slot, capacity, used, free, largest_free, agents, seen_at)
           SELECT $1, told.*, now() FROM told ORDER BY 1, 2, 3
           ON CONFLICT (site, resource_group, slot) DO UPDATE SET
             capacity = excluded.capacity, used = excluded.used, free = excluded.free,
             largest_free = excluded.largest_free, agents = excluded.agents, seen_at = excluded.seen_at""",
        site,
        [group for group, _ in rows],
        slots,
        [room.capacity[slot] for room, slot in zip(rooms, slots, strict=True)],
        [room.used.get(slot, none) for room, slot in zip(rooms, slots, strict=True)],
        [room.free.get(slot, none) for room, slot in zip(rooms, slots, strict=True)],
        [None if room.largest is None else room.largest[slot] for room, slot in zip(rooms, slots, strict=True)],
        [room.agents for room in rooms],
        FORGOTTEN_AFTER,
    )


async def list_capacity(db: Db) -> list[StoredCapacity]:
    """What every site has, by site, resource group and slot."""
    rows = await db.rows(
        """SELECT site, resource_group, slot, capacity, used, free, largest_free, agents, seen_at
           FROM group_capacity WHERE seen_at >= now() - $1::interval ORDER BY site, resource_group, slot""",
        FORGOTTEN_AFTER,
    )
    return [StoredCapacity(**r) for r in rows]


async def list_open_tasks(db: Db) -> list[OpenTasks]:
    """What has a session now, in all projects, counted by what is alike. Costs what is open, not what is stored."""
    rows = await db.rows(
        """SELECT j.site, i.resource_group, j.project_id, p.name AS project, j.pipeline_id, l.name AS pipeline,
                  j.submitted_by, j.version_id, i.index, j.overrides -> i.name AS override,
                  i.state, count(*)::int AS count
           FROM task_instance i JOIN job j ON j.id = i.job_id JOIN project p ON p.id = j.project_id
                JOIN pipeline l ON l.id = j.pipeline_id
           WHERE i.state IN ('STARTING', 'QUEUED', 'PREPARING', 'RUNNING', 'STOPPING') AND j.site IS NOT NULL
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 ORDER BY 1, 2, 3, 5, 7, 8, 9, 10, 11"""
    )
    return [_open(r) for r in rows]


def _open(row: Any) -> OpenTasks:
    return OpenTasks(**{**row, "state": InstanceState(row["state"])})
