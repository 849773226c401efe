"""Task instances, attempts and history as people read them: pages and sets, for whole jobs in one statement.

Whoever asks has loaded the job, and so may read what belongs to it. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.states import FailureClass, InstanceState
from ..ids import InstanceId, JobId, ProjectId, VersionId
from .engine import Db
from .listings import Visible
from .windows import Order, Page, Where, Window, page_of


@dataclass(frozen=True, slots=True)
class InstanceListing:
    """A task instance with the session of its newest attempt."""

    id: InstanceId
    job_id: JobId
    project_id: ProjectId
    version_id: VersionId
    index: int
    name: str
    state: InstanceState
    reason: str
    unmet: int
    attempt: int
    failure: FailureClass | None
    exit_code: int | None
    resource_group: str
    pool: str | None
    pool_slots: int
    reused_from: JobId | None
    not_before: datetime | None
    granted_at: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    session_id: str | None
    facts: Mapping[str, str]
    override: dict[str, Any] | None
    """What it has otherwise than the file of its version says, in this job."""


@dataclass(frozen=True, slots=True)
class AttemptListing:
    """One attempt."""

    instance_id: InstanceId
    number: int
    state: InstanceState
    session_id: str | None
    reason: str
    failure: FailureClass | None
    exit_code: int | None
    facts: Mapping[str, str]
    opened_at: datetime
    running_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one task of a job stands: what a picture of the whole job needs."""

    id: InstanceId
    index: int
    name: str
    state: InstanceState
    attempt: int
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


_INSTANCE = """SELECT i.id, i.job_id, j.project_id, j.version_id, i.index, i.name, i.state, i.reason, i.unmet, i.attempt,
                      i.failure, i.exit_code, i.resource_group, i.pool, i.pool_slots, i.reused_from, i.not_before,
                      i.granted_at, i.ready_at, i.started_at, i.ended_at, a.session_id, coalesce(a.facts, '{{}}') AS facts,
                      j.overrides -> i.name AS override
               FROM task_instance i JOIN job j ON j.id = i.job_id
                    JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
                    LEFT JOIN attempt a ON a.instance_id = i.id AND a.number = i.attempt
               WHERE {} """
_ATTEMPT = """SELECT instance_id, number, state, session_id, reason, failure, exit_code, facts, opened_at, running_at,
                     ended_at FROM attempt WHERE {} ORDER BY instance_id, number"""
_ORDER = Order(("i.index",), ("int",))


def _typed(row: Any) -> dict[str, Any]:
    failure = row["failure"]
    return {**row, "state": InstanceState(row["state"]), "failure": FailureClass(failure) if failure else None}


async def list_instances_of(
    db: Db, job: JobId, window: Window, *, states: Sequence[InstanceState] = (), search: str = ""
) -> Page[InstanceListing]:
    """Task instances of the job in the order of the file; `search` is part of the task's name, in any case."""
    where = Where()
    where.add("i.job_id = {}", job)
    if states:
        where.add("i.state = ANY({}::text[])", list(states))
    if search:
        where.add("position(lower({}) in lower(i.name)) > 0", search)
    tail = window.clause(where, _ORDER)
    rows = await db.rows(_INSTANCE.format(where) + tail, *where.values)
    return page_of([InstanceListing(**_typed(r)) for r in rows], window)


async def load_instances(db: Db, visible: Visible, ids: Collection[UUID]) -> dict[UUID, InstanceListing]:
    """Those of these task instances whose project may be read."""
    where = Where()
    where.add("i.id = ANY({}::uuid[])", list(ids))
    if visible is not None:
        where.add("j.project_id = ANY({}::uuid[])", list(visible))
    rows = await db.rows(_INSTANCE.format(where), *where.values)
    return {r["id"]: InstanceListing(**_typed(r)) for r in rows}


async def find_instance_named(db: Db, job: JobId, name: str) -> InstanceListing | None:
    """The instance of the job's task of that name."""
    row = await db.row(_INSTANCE.format("i.job_id = $1 AND i.name = $2"), job, name)
    return InstanceListing(**_typed(row)) if row else None


async def load_attempts(db: Db, instances: Collection[UUID]) -> dict[UUID, list[AttemptListing]]:
    """The attempts of these task instances, the first one first."""
    found: dict[UUID, list[AttemptListing]] = {}
    for row in await db.rows(_ATTEMPT.format("instance_id = ANY($1::uuid[])"), list(instances)):
        found.setdefault(row["instance_id"], []).append(AttemptListing(**_typed(row)))
    return found


async def list_attempts_of_job(db: Db, job: JobId) -> list[AttemptListing]:
    """Every attempt of the job, by task instance and number."""
    sql = _ATTEMPT.format("instance_id IN (SELECT id FROM task_instance WHERE job_id = $1)")
    return [AttemptListing(**_typed(r)) for r in await db.rows(sql, job)]


async def count_states(db: Db, jobs: Collection[UUID]) -> dict[UUID, dict[InstanceState, int]]:
    """How many task instances of each job are in each state; states that nobody is in are left out."""
    rows = await db.rows(
        """SELECT job_id, state, count(*)::int AS instances FROM task_instance WHERE job_id = ANY($1::uuid[])
           GROUP BY 1, 2""",
        list(jobs),
    )
    counts: dict[UUID, dict[InstanceState, int]] = {}
    for row in rows:
        counts.setdefault(row["job_id"], {})[InstanceState(row["state"])] = row["instances"]
    return counts


async def load_standings(db: Db, jobs: Collection[UUID]) -> dict[UUID, list[Standing]]:
    """Where every task of these jobs stands, in the order of the file."""
    rows = await db.rows(
        """SELECT job_id, id, index, name, state, attempt, ready_at, started_at, ended_at FROM task_instance
           WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, index""",
        list(jobs),
    )
    found: dict[UUID, list[Standing]] = {}
    for job, identifier, index, name, state, *rest in rows:
        found.setdefault(job, []).append(Standing(identifier, index, name, InstanceState(state), *rest))
    return found
