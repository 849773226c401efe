"""The feed's storage: places given after the commit, pages read by place (design D5).

Events are inserted without a place, and each transaction leaves a range of them per job in `unplaced_range`. Whoever holds
the one row of `feed_head` turns ranges into places in batches, so the order of places is the order of those transactions,
and a reader may use `pos > last` for ever: a serial column would lose rows to transactions that commit late (measured:
0.03 % to 22.8 % of them).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ..crashpoints import crash_point
from ..domain.events import FeedEvent
from ..ids import JobId, ProjectId
from .engine import Db

APPENDED = ("job_id", "seq", "at", "kind", "task", "payload")
"""The attributes of events that `appending` wants, as one array each."""


def appending(first: int, *, condition: str = "true") -> str:
    """Common table expressions that append events, in the statement that makes them true.

    Their arrays are the parameters from number `first` on; the events of one job follow one another without a gap. They
    get their places after the commit.
    """
    uuids, seqs, times, kinds, tasks, payloads = (f"${first + n}" for n in range(6))
    return f"""events AS (
                 INSERT INTO event (job_id, seq, at, kind, task, payload)
                 SELECT * FROM unnest({uuids}::uuid[], {seqs}::int[], {times}::timestamptz[], {kinds}::text[],
                                      {tasks}::int[], {payloads}::jsonb[])
                 WHERE {condition}
                 RETURNING job_id, seq),
               ranges AS (
                 INSERT INTO unplaced_range (job_id, seq, events)
                 SELECT job_id, min(seq), count(*) FROM events GROUP BY job_id)"""


@dataclass(frozen=True, slots=True)
class FeedHead:
    """The newest place of the feed."""

    epoch: UUID
    """Changes when the database is restored: cursors of another epoch are void."""
    pos: int


_PLACE = """
WITH head AS (SELECT pos FROM feed_head WHERE id = 1 FOR UPDATE SKIP LOCKED),
  taken AS (DELETE FROM unplaced_range AS u USING job AS j
            WHERE EXISTS (SELECT FROM head) AND j.id = u.job_id
              AND u.ctid = ANY(ARRAY(SELECT ctid FROM unplaced_range ORDER BY job_id, seq LIMIT $1))
            RETURNING j.project_id, u.job_id, u.seq, u.events),
  placed AS (INSERT INTO feed_range (pos, project_id, job_id, seq, events)
             SELECT head.pos + sum(t.events) OVER (ORDER BY t.job_id, t.seq), t.project_id, t.job_id, t.seq, t.events
             FROM head, taken t RETURNING events),
  moved AS (UPDATE feed_head SET pos = feed_head.pos + n.events
            FROM (SELECT sum(events) AS events FROM placed) AS n WHERE id = 1 AND n.events > 0)
SELECT head.pos, coalesce((SELECT sum(events) FROM placed), 0)::int AS events FROM head"""

BATCH = 1000
"""Most ranges that are given their places at once."""


async def place_events(db: Db) -> tuple[int, int] | None:
    """Give places to committed events, those of at most `BATCH` ranges; how many, and the newest place.

    `None`: another process is doing it right now, which serves as well. Must be its own transaction.

    One statement, which may have begun while another process was placing: whatever that one took is then skipped, since
    the rows are gone, and the head is read as that one left it.
    """
    row = await db.row(_PLACE, BATCH)
    if row is None:
        return None
    crash_point("place.before_commit")
    return row["events"], row["pos"] + row["events"]


async def read_head(db: Db) -> FeedHead:
    """The newest place; a list read after it in the same transaction misses nothing that follows this place."""
    row = await db.row("SELECT epoch, pos FROM feed_head WHERE id = 1")
    assert row is not None, "the schema's first migration makes the feed's head"
    return FeedHead(row["epoch"], row["pos"])


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events that follow a place."""

    events: list[FeedEvent]
    is_cut: bool
    """Whether events between that place and the first of these were removed, so that the reader has missed them."""


# An event's place follows from its range's.
_POS = "r.pos - r.events + 1 + e.seq - r.seq"

PLACED = f"""SELECT {_POS} AS pos, e.* FROM feed_range r
             JOIN event e ON e.job_id = r.job_id AND e.seq >= r.seq AND e.seq < r.seq + r.events"""
"""Every event that has a place, as a query."""

# Asked for each range on its own, by two keys: a pipeline that was deleted with a million jobs must not be read as a whole.
_IS_SHOWN = """(SELECT p.deleted_at IS NULL FROM job j JOIN pipeline p ON p.id = j.pipeline_id WHERE j.id = f.job_id)"""
_PAGE = f"""
SELECT p.pruned_pos > $1 AND {{is_cut}} AS is_cut, e.*
FROM project p LEFT JOIN LATERAL (
    SELECT {_POS} AS pos, e.job_id, e.seq, e.kind, e.at, i.name AS task, i.id AS task_instance_id, e.payload
    FROM (SELECT * FROM feed_range AS f WHERE {{of}} AND pos > $1 AND {_IS_SHOWN} ORDER BY pos LIMIT $3) AS r
         CROSS JOIN LATERAL (SELECT * FROM event WHERE job_id = r.job_id AND seq < r.seq + r.events
                               AND seq >= greatest(r.seq, r.seq + r.events + $1 - r.pos) ORDER BY seq LIMIT $3) AS e
         LEFT JOIN task_instance i ON i.job_id = e.job_id AND i.index = e.task
    ORDER BY 1 LIMIT $3) AS e ON true
WHERE p.id = $2 ORDER BY e.pos"""
_PAGE_OF_PROJECT = _PAGE.format(is_cut="true", of="project_id = $2")
# The events of a job are removed from its first on: as long as that is there, its reader has missed nothing.
_PAGE_OF_JOB = _PAGE.format(
    is_cut="NOT EXISTS (SELECT FROM event WHERE job_id = $4 AND seq = 1)", of="project_id = $2 AND job_id = $4"
)


async def read_page(db: Db, project: ProjectId, *, after: int, limit: int, job: JobId | None = None) -> FeedPage:
    """Events of the project (of one job, if given) with a place beyond `after`, in the feed's order.

    One statement, so that events cannot be removed between the look at them and the look at what was removed.
    """
    if job is None:
        rows = await db.rows(_PAGE_OF_PROJECT, after, project, limit)
    else:
        rows = await db.rows(_PAGE_OF_JOB, after, project, limit, job)
    events = [FeedEvent(**{name: r[name] for name in _EVENT}) for r in rows if r["pos"] is not None]
    return FeedPage(events, bool(rows) and rows[0]["is_cut"])


_EVENT = ("pos", "job_id", "seq", "kind", "at", "task", "task_instance_id", "payload")


async def read_history(db: Db, job: JobId, *, after: int = 0, limit: int = 1000) -> list[FeedEvent]:
    """Events of one job beyond its `after`-th, in its own order, whether they have a place yet or not (`pos` 0)."""
    rows = await db.rows(
        f"""SELECT coalesce({_POS}, 0) AS pos, e.job_id, e.seq, e.kind, e.at, i.name AS task, i.id AS task_instance_id,
                  e.payload
           FROM event e JOIN job j ON j.id = e.job_id JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
                LEFT JOIN task_instance i ON i.job_id = e.job_id AND i.index = e.task
                LEFT JOIN LATERAL (SELECT * FROM feed_range WHERE job_id = e.job_id AND seq <= e.seq
                                   ORDER BY seq DESC LIMIT 1) AS r ON e.seq < r.seq + r.events
           WHERE e.job_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3""",
        job,
        after,
        limit,
    )
    return [FeedEvent(**r) for r in rows]
