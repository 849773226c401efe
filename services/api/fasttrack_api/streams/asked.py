"""What a client asks to follow, checked against what they may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from fasttrack.db import Database, Db
from fasttrack.db.follow import KINDS, STATES, Wanted, find_job_place, find_pipeline_project
from fasttrack.db.projects import find_project
from fasttrack.domain.access import Caller, Permission
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.feed import Cursor
from fasttrack.ids import JobId, PipelineId, ProjectId

_MOST = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as it came from outside: ids as text, a project by id or name."""

    project: str | None = None
    pipeline: str | None = None
    job: str | None = None
    states: Sequence[str] = field(default_factory=tuple)
    kinds: Sequence[str] = field(default_factory=tuple)

    @property
    def is_fixed(self) -> bool:
        """Whether one project, pipeline or job is asked for, rather than all that the caller may read."""
        return not (self.project is self.pipeline is self.job is None)

    async def resolve(self, database: Database, caller: Caller) -> Wanted:
        """What may be read of it. One transaction.

        :raises NotFound: there is no such project, pipeline or job, or it is not the caller's to see.
        :raises InvalidInput: a kind or state that does not exist.
        """
        states = _known("state", [s.upper() for s in self.states], STATES)
        kinds = _known("kind", self.kinds, KINDS)
        if not self.is_fixed:
            return Wanted(caller.projects, states=states, kinds=kinds)
        async with database.transaction() as db:
            return await self._resolve(db, caller, states, kinds)

    async def _resolve(self, db: Db, caller: Caller, states: frozenset[str], kinds: frozenset[str]) -> Wanted:
        owners: list[ProjectId] = []
        pipeline = job = None
        if self.project is not None:
            as_id = _uuid_or_none(self.project)
            is_name = 0 < len(self.project) <= 200 and self.project.isprintable()
            by_name = await find_project(db, self.project) if as_id is None and is_name else None
            found = ProjectId(as_id) if as_id else by_name
            owners.append(_seen(caller, found, "project"))
        if self.pipeline is not None:
            pipeline = PipelineId(parse_id(self.pipeline, "pipeline"))
            owners.append(_seen(caller, await find_pipeline_project(db, pipeline), "pipeline"))
        if self.job is not None:
            job = JobId(parse_id(self.job, "job"))
            place = await find_job_place(db, job)
            owners.append(_seen(caller, place[0] if place else None, "job"))
        if len(set(owners)) > 1:  # a job of one project and a pipeline of another: nothing is both
            raise InvalidInput("the project, pipeline and job that were given do not belong together")
        return Wanted(frozenset(owners), pipeline, job, states, kinds)


def start_of(cursor: str | None) -> Cursor | None:
    """The cursor of this text; `None` for none.

    :raises CursorInvalid: it is no cursor.
    """
    return Cursor.parse(cursor) if cursor else None


def _seen(caller: Caller, project: ProjectId | None, what: str) -> ProjectId:
    if project is None:
        raise NotFound(f"there is no such {what}")
    caller.require(Permission.READ, project, what=what)
    return project


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) in (32, 36) else None
    except ValueError:
        return None


def parse_id(text: str, what: str) -> UUID:
    """The id of this text. :raises NotFound: it is none, so there is no such thing."""
    found = _uuid_or_none(text)
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found


def _known(what: str, given: Sequence[str], known: frozenset[str]) -> frozenset[str]:
    if len(given) > _MOST:
        raise InvalidInput(f"at most {_MOST} {what}s can be given, and these are {len(given)}")
    for name in given:
        if name not in known:
            raise InvalidInput(f"there is no {what} {name[:80]!r}; there are {', '.join(sorted(known))}")
    return frozenset(given)
