"""Retention's storage: what is due, and removing it in batches that nobody waits for.

Only jobs that are over are ever touched, and a reconcile pass touches only those that are not, so the two never want the
same row. Every removal takes at most `BATCH` rows in a transaction of its own, skips what somebody holds, and gives up
rather than wait (`give_way`). Everything is found by index and from a mark on, so a turn costs what it removes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ..domain.retention import Kind
from ..domain.states import TERMINAL_JOB_STATES
from ..ids import JobId, PipelineId, ProjectId, session_name
from .answers import delete_answers
from .engine import Db
from .statistics import forget_days

BATCH = 1000
_OVER = f"state IN ({', '.join(repr(str(s)) for s in sorted(TERMINAL_JOB_STATES))})"
_FIRST = UUID(int=0)

OwnDays = Mapping[str, int | str]
"""As a project's own figures are stored: days by kind, or `forever`."""


@dataclass(frozen=True, slots=True)
class ProjectRetention:
    """A project and its own figures, if it has any."""

    id: ProjectId
    name: str
    own: OwnDays


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that is over."""

    id: JobId
    pipeline_id: PipelineId
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows, and their bytes as text: about what they take, and the same however the server reads them."""

    rows: int
    size: int


async def give_way(db: Db) -> None:
    """Let this transaction fail soon, and be tried later, rather than wait for somebody or hold anything for long."""
    await db.execute("SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '10s'")


async def database_time(db: Db) -> datetime:
    """The time by the database's clock: a machine whose clock is a year ahead must not remove a year of jobs."""
    now: datetime = await db.value("SELECT now()")
    return now


# -- figures and marks -------------------------------------------------------------------------------------------


async def list_retentions(db: Db) -> list[ProjectRetention]:
    """Every project with its own figures, by name."""
    rows = await db.rows("SELECT id, name, coalesce(retention, '{}') AS own FROM project ORDER BY name")
    return [ProjectRetention(**r) for r in rows]


async def lock_retention(db: Db, project: ProjectId) -> OwnDays:
    """The project's own figures, held until the transaction ends."""
    own: OwnDays | None = await db.value("SELECT retention FROM project WHERE id = $1 FOR NO KEY UPDATE", project)
    return own or {}


async def write_retention(db: Db, project: ProjectId, own: OwnDays) -> None:
    """Store the project's own figures; none leaves the settings alone."""
    await db.execute("UPDATE project SET retention = $2 WHERE id = $1", project, dict(own) or None)


async def read_marks(db: Db, site: str) -> dict[ProjectId, dict[Kind, datetime]]:
    """Per project and kind, before which end of their job nothing is left: of this site's files, and in the database."""
    rows = await db.rows("SELECT project_id, kind, ended_before FROM retention_mark WHERE site IN ($1, '')", site)
    marks: dict[ProjectId, dict[Kind, datetime]] = {}
    for row in rows:
        marks.setdefault(ProjectId(row["project_id"]), {})[Kind(row["kind"])] = row["ended_before"]
    return marks


async def move_mark(db: Db, project: ProjectId, site: str, kind: Kind, ended_before: datetime) -> None:
    """Move a mark forward; another scheduler's further one stays."""
    await db.execute(
        """INSERT INTO retention_mark AS m (project_id, site, kind, ended_before) VALUES ($1, $2, $3, $4)
           ON CONFLICT (project_id, site, kind) DO UPDATE SET ended_before = excluded.ended_before
             WHERE m.ended_before < excluded.ended_before""",
        project,
        site,
        kind,
        ended_before,
    )


# -- what is due -------------------------------------------------------------------------------------------------


async def jobs_that_ended(
    db: Db,
    project: ProjectId,
    *,
    since: datetime | None,
    before: datetime,
    site: str | None,
    after: EndedJob | None = None,
    limit: int = 100,
) -> list[EndedJob]:
    """Jobs of the project that ended from `since` on and before `before`, the earliest first, those beyond `after`.

    :param site: only those whose sessions were there; `None` for all.
    """
    rows = await db.rows(
        """SELECT id, pipeline_id, ended_at FROM job
           WHERE project_id = $1 AND ended_at IS NOT NULL AND ended_at < $2 AND (ended_at, id) > ($3, $4)
             AND ($5::text IS NULL OR site = $5) ORDER BY ended_at, id LIMIT $6""",
        project,
        before,
        after.ended_at if after else since or datetime.fromisoformat("0001-01-02T00:00:00Z"),
        after.id if after else _FIRST,
        site,
        limit,
    )
    return [EndedJob(**r) for r in rows]


async def only_removable(db: Db, jobs: Sequence[EndedJob], *, site: str, abandoned_before: datetime) -> list[EndedJob]:
    """Those of `jobs` whose files, if any, are this site's to remove, or that their own site has left for too long."""
    rows = await db.rows(
        "SELECT id FROM job WHERE id = ANY($1::uuid[]) AND (site IS NULL OR site = $2 OR ended_at < $3)",
        [j.id for j in jobs],
        site,
        abandoned_before,
    )
    mine = {r["id"] for r in rows}
    return [j for j in jobs if j.id in mine]


async def sessions_of(db: Db, job: JobId) -> list[str]:
    """The names of all sessions the job ever had."""
    rows = await db.rows("SELECT id, attempt FROM task_instance WHERE job_id = $1 AND attempt > 0", job)
    return [session_name(r["id"], number) for r in rows for number in range(1, r["attempt"] + 1)]


async def lock_ended(db: Db, jobs: Sequence[EndedJob]) -> set[JobId]:
    """Hold those of `jobs` that are over and nobody else holds."""
    rows = await db.rows(
        f"SELECT id FROM job WHERE id = ANY($1::uuid[]) AND {_OVER} ORDER BY id FOR UPDATE SKIP LOCKED",
        [j.id for j in jobs],
    )
    return {JobId(r["id"]) for r in rows}


async def needed_by_reruns(db: Db, jobs: Sequence[EndedJob]) -> dict[JobId, bool]:
    """Those of `jobs` that another job stands on, and whether one that is not over does.

    A job stands on its origin until it is over, and on the jobs whose outputs it reuses until its own outputs go; those
    that go with it, being among `jobs`, are not kept by it. Ask with the jobs' rows held: a re-run holds its origin's row
    while it is made, so none can slip in between.
    """
    rows = await db.rows(
        f"""SELECT id, bool_or(is_open) AS is_open FROM (
              SELECT o.id, true AS is_open FROM unnest($1::uuid[], $2::uuid[]) AS o(id, pipeline_id)
              JOIN job r ON r.pipeline_id = o.pipeline_id AND NOT (r.{_OVER}) AND r.origin_job_id = o.id
              UNION ALL
              SELECT i.reused_from, NOT (r.{_OVER}) FROM task_instance i JOIN job r ON r.id = i.job_id
              WHERE i.reused_from = ANY($1::uuid[]) AND r.pruned_at IS NULL AND r.id <> ALL($1::uuid[])) AS needed
            GROUP BY id""",
        [j.id for j in jobs],
        [j.pipeline_id for j in jobs],
    )
    return {JobId(r["id"]): r["is_open"] for r in rows}


async def list_reused(db: Db, jobs: Sequence[EndedJob]) -> list[EndedJob]:
    """The jobs whose outputs stand for tasks of these, each once; they ended before."""
    rows = await db.rows(
        f"""SELECT o.id, o.pipeline_id, o.ended_at FROM job o WHERE o.{_OVER} AND o.id IN (
              SELECT i.reused_from FROM job r JOIN task_instance i ON i.job_id = r.id
              WHERE r.id = ANY($1::uuid[]) AND r.origin_job_id IS NOT NULL AND i.reused_from IS NOT NULL)
            ORDER BY o.ended_at, o.id""",
        [j.id for j in jobs],
    )
    return [EndedJob(**r) for r in rows]


async def hold_outputs(db: Db, jobs: Collection[JobId]) -> set[JobId]:
    """Have the outputs of these jobs stay until the transaction ends; those whose outputs are gone, or going.

    Whoever makes a job that stands on them asks in the transaction that makes it: from its commit on,
    `needed_by_reruns` keeps them.
    """
    rows = await db.rows(
        """SELECT j.id FROM job j JOIN pipeline p ON p.id = j.pipeline_id
           WHERE j.id = ANY($1::uuid[]) AND j.pruned_at IS NULL AND j.number > p.lost_jobs ORDER BY j.id FOR KEY SHARE OF j""",
        list(jobs),
    )
    return set(jobs) - {JobId(r["id"]) for r in rows}


async def mark_pruned(db: Db, jobs: Sequence[JobId], now: datetime) -> None:
    """Say of these jobs that their outputs go from here on. Needs their rows held."""
    await db.execute("UPDATE job SET pruned_at = $2 WHERE id = ANY($1::uuid[]) AND pruned_at IS NULL", jobs, now)


# -- removing ----------------------------------------------------------------------------------------------------


# Nobody can have read an event that has no place yet; the places of a job follow its order.
_IS_PLACED = """NOT EXISTS (SELECT FROM unplaced_range u WHERE u.job_id = e.job_id AND u.seq <= e.seq)"""


async def delete_events(db: Db, project: ProjectId, jobs: Sequence[EndedJob]) -> dict[JobId, Removed]:
    """Remove at most `BATCH` events of these jobs of the project with their places, and remember the newest that went.

    What has no place yet stays.
    """
    rows = await db.rows(
        f"""WITH gone AS (
               DELETE FROM event AS d WHERE d.ctid = ANY(ARRAY(
                   SELECT e.ctid FROM event e WHERE e.job_id = ANY($1::uuid[]) AND {_IS_PLACED}
                   ORDER BY e.job_id, e.seq LIMIT $2 FOR UPDATE OF e SKIP LOCKED))
               RETURNING d.job_id, d.seq, octet_length(d::text) AS size)
           SELECT job_id, count(*) AS rows, sum(size)::bigint AS size, max(seq) AS newest FROM gone GROUP BY job_id""",
        [j.id for j in jobs],
        BATCH,
    )
    if rows:
        await db.execute(
            """WITH gone AS (SELECT r.pos - r.events + 1 + g.seq - r.seq AS pos
                             FROM unnest($2::uuid[], $3::int[]) AS g(job_id, seq) JOIN feed_range r
                               ON r.job_id = g.job_id AND g.seq >= r.seq AND g.seq < r.seq + r.events)
               UPDATE project AS p SET pruned_pos = n.pos FROM (SELECT max(pos) AS pos FROM gone) AS n
               WHERE p.id = $1 AND p.pruned_pos < n.pos""",
            project,
            [r["job_id"] for r in rows],
            [r["newest"] for r in rows],
        )
        await db.execute(
            """DELETE FROM feed_range AS r WHERE r.job_id = ANY($1::uuid[]) AND NOT EXISTS (
                   SELECT FROM event e WHERE e.job_id = r.job_id AND e.seq >= r.seq AND e.seq < r.seq + r.events)""",
            [r["job_id"] for r in rows],
        )
    return {JobId(r["job_id"]): Removed(r["rows"], r["size"]) for r in rows}


async def count_events(db: Db, jobs: Sequence[EndedJob]) -> dict[JobId, Removed]:
    """What `delete_events` would remove of each of these jobs, in the end."""
    rows = await db.rows(
        f"""SELECT e.job_id, count(*) AS rows, sum(octet_length(e::text))::bigint AS size
           FROM event e WHERE e.job_id = ANY($1::uuid[]) AND {_IS_PLACED} GROUP BY e.job_id""",
        [j.id for j in jobs],
    )
    return {JobId(r["job_id"]): Removed(r["rows"], r["size"]) for r in rows}


# What a job is made of besides its row and its events: first the rows that could not be found without the second.
_CHILDREN = (
    """DELETE FROM attempt AS d WHERE d.ctid = ANY(ARRAY(
           SELECT a.ctid FROM task_instance i JOIN attempt a ON a.instance_id = i.id WHERE i.job_id = ANY($1::uuid[])
           LIMIT $2 FOR UPDATE OF a SKIP LOCKED))
       RETURNING octet_length(d::text) AS size""",
    """DELETE FROM task_instance AS d WHERE d.ctid = ANY(ARRAY(
           SELECT i.ctid FROM task_instance i WHERE i.job_id = ANY($1::uuid[])
             AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.instance_id = i.id)
           LIMIT $2 FOR UPDATE SKIP LOCKED))
       RETURNING octet_length(d::text) AS size""",
)


async def delete_children(db: Db, jobs: Sequence[JobId]) -> Removed:
    """Remove at most `BATCH` attempts, or when there are none task instances, of these jobs."""
    for statement in _CHILDREN:
        sizes = [r["size"] for r in await db.rows(statement, jobs, BATCH)]
        if sizes:
            return Removed(len(sizes), sum(sizes))
    return Removed(0, 0)


# Without what retention itself writes into it, so that a dry run tells what a real one does.
_JOB_SIZE = "octet_length((to_jsonb(j) - 'pruned_at')::text)"


async def delete_jobs(db: Db, jobs: Sequence[JobId]) -> dict[JobId, int]:
    """Remove those of these jobs of which nothing else is left, with their idempotency keys; the bytes of each row."""
    rows = await db.rows(
        f"""DELETE FROM job AS j WHERE j.id = ANY($1::uuid[]) AND j.{_OVER}
              AND NOT EXISTS (SELECT 1 FROM event e WHERE e.job_id = j.id)
              AND NOT EXISTS (SELECT 1 FROM task_instance i WHERE i.job_id = j.id)
            RETURNING j.id, j.project_id, j.ended_at, {_JOB_SIZE} AS size""",
        jobs,
    )
    if rows:
        # A key is made before its job ends; most are long gone, and the index on their age says so at once.
        await db.execute(
            "DELETE FROM idempotency WHERE created_at < $2 AND job_id = ANY($1::uuid[])",
            [r["id"] for r in rows],
            max(r["ended_at"] for r in rows) + timedelta(days=1),
        )
        await forget_days(db, [(ProjectId(r["project_id"]), r["ended_at"]) for r in rows])
    return {JobId(r["id"]): r["size"] for r in rows}


async def weigh_jobs(db: Db, jobs: Sequence[EndedJob]) -> dict[JobId, int]:
    """The bytes of these jobs' rows, with those of their instances and attempts."""
    rows = await db.rows(
        f"""SELECT j.id, {_JOB_SIZE}
                  + coalesce((SELECT sum(octet_length(i::text)) FROM task_instance i WHERE i.job_id = j.id), 0)
                  + coalesce((SELECT sum(octet_length(a::text)) FROM task_instance i JOIN attempt a ON a.instance_id = i.id
                              WHERE i.job_id = j.id), 0) AS size
           FROM job j WHERE j.id = ANY($1::uuid[])""",
        [j.id for j in jobs],
    )
    return {JobId(r["id"]): int(r["size"]) for r in rows}


async def delete_keys(db: Db, before: datetime) -> int:
    """Forget at most `BATCH` idempotency keys of submits that were used before, and as many of other writes; how many."""
    submits = await db.execute(
        """DELETE FROM idempotency WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))""",
        before,
        BATCH,
    )
    return submits + await delete_answers(db, before, limit=BATCH)


async def count_keys(db: Db, before: datetime) -> int:
    """How many idempotency keys were used before."""
    count: int = await db.value(
        """SELECT (SELECT count(*) FROM idempotency WHERE created_at < $1)
                + (SELECT count(*) FROM idempotent_answer WHERE created_at < $1)""",
        before,
    )
    return count
