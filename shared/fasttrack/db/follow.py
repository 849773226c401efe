"""Events of many projects after a place, filtered in SQL: what streams are read from (design D6).

A page looks at a bounded part of the feed, whatever it finds there, and says how far it has looked: a filter that
matches little moves on all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..domain.events import JOB_KINDS, TASK_KINDS
from ..domain.states import InstanceState, JobState
from ..ids import InstanceId, JobId, PipelineId, ProjectId
from .engine import Db

KINDS = frozenset({*JOB_KINDS, *TASK_KINDS})
"""Every kind of event."""
STATES = frozenset({*JobState, *InstanceState})
"""Every state that an event can lead to."""

_RANGES = 500  # ranges that one page looks at
_EVENTS = 5000  # events that one page looks at, but for the last range, which is looked at as a whole


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An event with everything by which it can be wanted."""

    pos: int
    project_id: ProjectId
    pipeline_id: PipelineId
    job_id: JobId
    seq: int
    kind: str
    at: datetime
    task: str | None
    task_index: int | None
    task_instance_id: InstanceId | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: all that is given must hold."""

    projects: frozenset[ProjectId] | None
    """Those the caller may read; `None` is all of them."""
    pipeline: PipelineId | None = None
    job: JobId | None = None
    states: frozenset[str] = frozenset()
    """Only changes to one of these states, of a job or of a task; empty for any event."""
    kinds: frozenset[str] = frozenset()

    def takes(self, event: ToldEvent) -> bool:
        """Whether the event is wanted: what `read_events` decides in SQL."""
        return (
            (self.projects is None or event.project_id in self.projects)
            and (self.job is None or event.job_id == self.job)
            and (self.pipeline is None or event.pipeline_id == self.pipeline)
            and (not self.kinds or event.kind in self.kinds)
            and (not self.states or event.payload.get("to") in self.states)
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the feed."""

    epoch: UUID
    head: int
    """The newest place of the feed."""
    reached: int
    """How far this looked: every wanted event up to here is in `events`."""
    is_cut: bool
    """Whether wanted events after the given place were removed."""
    events: list[ToldEvent]


_FOUND = {
    "all": "SELECT * FROM feed_range WHERE pos > $1 ORDER BY pos LIMIT $3",
    "projects": """SELECT r.* FROM unnest($4::uuid[]) AS p(id) CROSS JOIN LATERAL (
                     SELECT * FROM feed_range WHERE project_id = p.id AND pos > $1 ORDER BY pos LIMIT $3) AS r
                   ORDER BY r.pos LIMIT $3""",
    "job": """SELECT * FROM feed_range WHERE job_id = $6 AND ($4::uuid[] IS NULL OR project_id = ANY($4))
                AND pos > $1 ORDER BY pos LIMIT $3""",
}
_IS_PRUNED = "EXISTS (SELECT FROM project WHERE ($4::uuid[] IS NULL OR id = ANY($4)) AND pruned_pos > $1)"
_IS_CUT = {
    "all": _IS_PRUNED,
    "projects": _IS_PRUNED,
    # The events of a job are removed from its first on: as long as that is there, its reader has missed nothing.
    "job": _IS_PRUNED + " AND NOT EXISTS (SELECT FROM event WHERE job_id = $6 AND seq = 1)",
}
_STRETCH = """
WITH head AS (SELECT epoch, pos FROM feed_head WHERE id = 1),
  found AS ({found}),
  taken AS (SELECT * FROM (SELECT *, sum(events) OVER (ORDER BY pos) - events AS before FROM found) AS f
            WHERE before < $9),
  page AS (SELECT r.pos - r.events + 1 + e.seq - r.seq AS pos, r.project_id, j.pipeline_id, e.job_id, e.seq, e.kind,
                  e.at, i.name AS task, e.task AS task_index, i.id AS task_instance_id, e.payload
           FROM taken r JOIN job j ON j.id = r.job_id JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
                CROSS JOIN LATERAL (SELECT * FROM event WHERE job_id = r.job_id AND seq < r.seq + r.events
                                      AND seq >= greatest(r.seq, r.seq + r.events + $1 - r.pos)) AS e
                LEFT JOIN task_instance i ON i.job_id = e.job_id AND i.index = e.task
           WHERE ($5::uuid IS NULL OR j.pipeline_id = $5) AND ($6::uuid IS NULL OR e.job_id = $6)
             AND (cardinality($7::text[]) = 0 OR e.payload ->> 'to' = ANY($7))
             AND (cardinality($8::text[]) = 0 OR e.kind = ANY($8))
           ORDER BY 1 LIMIT $2)
SELECT head.epoch, head.pos AS head, {is_cut} AS is_cut, page.*,
       CASE WHEN (SELECT count(*) FROM found) < $3 AND (SELECT count(*) FROM found) = (SELECT count(*) FROM taken)
            THEN head.pos  -- fewer ranges than asked for and none left out: that is all there is
            ELSE (SELECT max(pos) FROM taken) END AS looked
FROM head LEFT JOIN page ON true ORDER BY page.pos"""
_SQL = {scope: _STRETCH.format(found=_FOUND[scope], is_cut=_IS_CUT[scope]) for scope in _FOUND}
_COLUMNS = tuple(ToldEvent.__slots__)


async def read_events(db: Db, wanted: Wanted, *, after: int, limit: int) -> Stretch:
    """Wanted events with a place beyond `after`, in the feed's order, at most `limit`. One statement."""
    scope = "job" if wanted.job is not None else "all" if wanted.projects is None else "projects"
    rows = await db.rows(
        _SQL[scope],
        after,
        limit,
        _RANGES,
        None if wanted.projects is None else list(wanted.projects),
        wanted.pipeline,
        wanted.job,
        list(wanted.states),
        list(wanted.kinds),
        _EVENTS,
    )
    events = [ToldEvent(**{name: r[name] for name in _COLUMNS}) for r in rows if r["pos"] is not None]
    first = rows[0]
    # A page that is full may have left events out that lie before the place it looked up to.
    reached = events[-1].pos if len(events) == limit else max(first["looked"], after)
    return Stretch(first["epoch"], first["head"], reached, first["is_cut"], events)


async def find_job_place(db: Db, job: JobId) -> tuple[ProjectId, PipelineId] | None:
    """The job's project and pipeline."""
    row = await db.row(
        """SELECT j.project_id, j.pipeline_id FROM job j
           JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL WHERE j.id = $1""",
        job,
    )
    return (row["project_id"], row["pipeline_id"]) if row else None


async def find_pipeline_project(db: Db, pipeline: PipelineId) -> ProjectId | None:
    """The pipeline's project."""
    found = await db.value("SELECT project_id FROM pipeline WHERE id = $1 AND deleted_at IS NULL", pipeline)
    return ProjectId(found) if found else None


@dataclass(frozen=True, slots=True)
class JobPicture:
    """A job and the states of all its tasks at one instant."""

    epoch: UUID
    pos: int
    """A place from which on nothing is missed that this does not show yet."""
    seq: int
    """How many of the job's events this shows: those up to here are in it, later ones are not."""
    project_id: ProjectId
    version_id: UUID
    state: JobState
    ids: list[InstanceId]
    """Of the task instances, in the order of the file, as the next two."""
    names: list[str]
    states: list[InstanceState]


async def read_picture(db: Db, job: JobId) -> JobPicture | None:
    """The job as it is at this instant. One statement, so that it shows exactly the events up to `seq`."""
    row = await db.row(
        """SELECT h.epoch, h.pos, j.seq, j.project_id, j.version_id, j.state, i.ids, i.names, i.states
           FROM feed_head h, job j JOIN pipeline p ON p.id = j.pipeline_id AND p.deleted_at IS NULL
             CROSS JOIN LATERAL (
               SELECT array_agg(id ORDER BY index) AS ids, array_agg(name ORDER BY index) AS names,
                      array_agg(state ORDER BY index) AS states FROM task_instance WHERE job_id = j.id) AS i
           WHERE h.id = 1 AND j.id = $1""",
        job,
    )
    if row is None:
        return None
    states = [InstanceState(s) for s in row["states"] or ()]
    return JobPicture(
        **{
            **row,
            "state": JobState(row["state"]),
            "states": states,
            "ids": row["ids"] or [],
            "names": row["names"] or [],
        }
    )
