"""The feed's storage: places given after the commit, pages read by place (design D5).

Events are inserted without a place. Whoever holds the one row of `feed_head` gives places in batches, so the order of
places is the order of those transactions, and a reader may use `pos > last` for ever: a serial column would lose rows to
transactions that commit late (measured: 0.03 % to 22.8 % of them).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ..crashpoints import crash_point
from ..domain.events import FeedEvent
from ..ids import JobId, ProjectId
from .engine import Db


@dataclass(frozen=True, slots=True)
class FeedHead:
    """The newest place of the feed."""

    epoch: UUID
    """Changes when the database is restored: cursors of another epoch are void."""
    pos: int


async def place_events(db: Db, *, limit: int = 5000) -> tuple[int, int] | None:
    """Give places to committed events, at most `limit`; how many, and the newest place.

    `None`: another process is doing it right now, which serves as well. Must be its own transaction.
    """
    head = await db.value("SELECT pos FROM feed_head WHERE id = 1 FOR UPDATE SKIP LOCKED")
    if head is None:
        return None
    placed = await db.execute(
        """UPDATE event AS e SET pos = $1 + n.place
           FROM (SELECT job_id, seq, row_number() OVER (ORDER BY job_id, seq) AS place
                 FROM (SELECT job_id, seq FROM event WHERE pos IS NULL ORDER BY job_id, seq LIMIT $2) AS unplaced) AS n
           WHERE e.job_id = n.job_id AND e.seq = n.seq""",
        head,
        limit,
    )
    if placed:
        crash_point("place.after_lock")
        await db.execute("UPDATE feed_head SET pos = $1 WHERE id = 1", head + placed)
        crash_point("place.before_commit")
    return placed, head + placed


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


async def read_page(db: Db, project: ProjectId, *, after: int, limit: int, job: JobId | None = None) -> FeedPage:
    """Events of the project (of one job, if given) with a place beyond `after`, in the feed's order.

    One statement, so that events cannot be removed between the look at them and the look at what was removed. The
    events of a job are removed from its first on: as long as that is there, its reader has missed nothing.
    """
    rows = await db.rows(
        """SELECT p.pruned_pos > $1 AND ($3::uuid IS NULL OR NOT EXISTS (
                    SELECT 1 FROM event f WHERE f.job_id = $3 AND f.seq = 1)) AS is_cut, e.*
           FROM project p LEFT JOIN LATERAL (
               SELECT e.pos, e.job_id, e.seq, e.kind, e.at, i.name AS task, i.id AS task_instance_id, e.payload
               FROM event e JOIN job j ON j.id = e.job_id
                    LEFT JOIN task_instance i ON i.job_id = e.job_id AND i.index = e.task
               WHERE e.pos > $1 AND j.project_id = $2 AND ($3::uuid IS NULL OR e.job_id = $3)
               ORDER BY e.pos LIMIT $4) AS e ON true
           WHERE p.id = $2 ORDER BY e.pos""",
        after,
        project,
        job,
        limit,
    )
    events = [FeedEvent(**{name: r[name] for name in _EVENT}) for r in rows if r["pos"] is not None]
    return FeedPage(events, bool(rows) and rows[0]["is_cut"])


_EVENT = ("pos", "job_id", "seq", "kind", "at", "task", "task_instance_id", "payload")


async def read_history(db: Db, job: JobId, *, after: int = 0, limit: int = 1000) -> list[FeedEvent]:
    """Events of one job beyond its `after`-th, in its own order, whether they have a place yet or not (`pos` 0)."""
    rows = await db.rows(
        """SELECT coalesce(e.pos, 0) AS pos, e.job_id, e.seq, e.kind, e.at, i.name AS task, i.id AS task_instance_id,
                  e.payload
           FROM event e LEFT JOIN task_instance i ON i.job_id = e.job_id AND i.index = e.task
           WHERE e.job_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3""",
        job,
        after,
        limit,
    )
    return [FeedEvent(**r) for r in rows]
