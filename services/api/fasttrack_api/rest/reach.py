"""From what an address names to the thing itself, among what the caller may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from starlette.requests import Request

from fasttrack.db import Db
from fasttrack.db.jobs import JobRecord, find_job
from fasttrack.db.pipelines import PipelineRecord, find_pipelines
from fasttrack.db.visible import ProjectRecord, find_visible_project, project_of_job, project_of_pipeline
from fasttrack.domain.access import Caller, Permission
from fasttrack.errors import InvalidInput, NotFound
from fasttrack.ids import JobId, PipelineId, ProjectId, parse_id
from fasttrack.workflow.accounts import account_named

from ..auth import caller_of, count_caller
from ..parts import Parts


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who calls, and the parts of the process."""

    parts: Parts
    caller: Caller
    request: Request

    async def still(self, permission: Permission, project: ProjectId) -> None:
        """Pass if they still may, by what is stored now: for answers that take long.

        :raises Unauthenticated: nobody knows them any more. :raises NotFound: they may not read the project any more.
        :raises Forbidden: they may read it, but not do this.
        """
        (await caller_of(self.request)).require(permission, project)


async def _call_of(request: Request) -> Call:
    caller = request.state.caller = await caller_of(request)
    count_caller(request, caller)
    return Call(Parts.of(request), caller, request)


OfCaller = Annotated[Call, Depends(_call_of)]
InProject = Annotated[
    str | None,
    Query(
        alias="project",
        min_length=1,
        max_length=64,
        description="The project's name; unset is the one of the server's settings.",
        examples=["default"],
    ),
]
Limited = Annotated[int, Query(alias="limit", ge=1, le=500, description="At most this many.")]
AnId = Annotated[UUID | None, Query(alias="after", description="`next` of the page before: only what follows it.")]
AJob = Annotated[
    str,
    Path(alias="job", max_length=255, description="The job's id.", examples=["01936f2e-7a10-7c3e-9d55-0a1b2c3d4e5f"]),
]
ATask = Annotated[
    str, Path(alias="task", min_length=1, max_length=255, description="The task's name.", examples=["train"])
]
APipeline = Annotated[
    str,
    Path(
        alias="pipeline",
        max_length=255,
        description="The pipeline's id, or its name in the project.",
        examples=["train"],
    ),
]

AnAccount = Annotated[
    str,
    Path(
        alias="account",
        max_length=200,
        description="The account's id, or a person's name; a service account's name has a slash, so use its id.",
        examples=["ada"],
    ),
]


async def the_project(db: Db, call: Call, name: str | None, permission: Permission = Permission.READ) -> ProjectId:
    """The project of that name or id; by default the one of the settings.

    :raises NotFound: there is none that the caller may see. :raises Forbidden: they may not do this there.
    """
    found = await the_project_record(db, call, name)
    call.caller.require(permission, found.id)
    return found.id


async def the_project_record(db: Db, call: Call, name: str | None) -> ProjectRecord:
    """The project of that name or id; by default the one of the settings.

    :raises NotFound: there is none that the caller may see.
    """
    name = call.parts.settings.project if name is None else name
    found = await find_visible_project(db, parse_id(name) or name, call.caller.projects)
    if found is None:
        raise NotFound(f"there is no project {name[:80]!r}")
    return found


async def the_pipeline(
    db: Db, call: Call, what: str, project: str | None, permission: Permission = Permission.READ
) -> tuple[ProjectId, PipelineRecord]:
    """The live pipeline of that id, or of that name in the project. Of an archived one the id is there to be read.

    :raises NotFound: there is none that the caller may see. :raises Forbidden: they may not do this to it.
    """
    where, found = await _pipelines(db, call, what, project)
    is_meant = found[0].archived_at is None or (permission is Permission.READ and parse_id(what) == found[0].id)
    if not is_meant:
        raise NotFound(f"there is no pipeline named {what[:80]}")
    call.caller.require(permission, where, what="pipeline")
    return where, found[0]


async def the_pipeline_in_any_state(db: Db, call: Call, what: str, project: str | None) -> PipelineRecord:
    """The pipeline of that id or name, live or archived. What is done to it checks what the caller may.

    :raises NotFound: there is none that the caller may see.
    :raises InvalidInput: no live one has the name, and several archived ones had it.
    """
    _, found = await _pipelines(db, call, what, project)
    if len(found) > 1:
        ids = ", ".join(str(p.id) for p in found)
        raise InvalidInput(f"several archived pipelines were named {what[:80]}; give the id of one: {ids}")
    return found[0]


async def _pipelines(db: Db, call: Call, what: str, project: str | None) -> tuple[ProjectId, list[PipelineRecord]]:
    """The project, and what can be meant in it: one at least."""
    identifier = parse_id(what)
    located = (
        None if identifier is None else await project_of_pipeline(db, PipelineId(identifier), call.caller.projects)
    )
    where = located or await the_project(db, call, project)
    found = await find_pipelines(db, where, what)
    if not found:
        raise NotFound(f"there is no pipeline named {what[:80]}")
    return where, found


async def the_job(
    db: Db, call: Call, what: str, permission: Permission = Permission.READ
) -> tuple[ProjectId, JobRecord]:
    """The job of that id.

    :raises NotFound: there is none that the caller may see. :raises Forbidden: they may not do this to it.
    """
    missing = NotFound(f"there is no job {what[:80]}")
    identifier = parse_id(what)
    if identifier is None:
        raise missing
    project = await project_of_job(db, JobId(identifier), call.caller.projects)
    found = None if project is None else await find_job(db, project, JobId(identifier))
    if project is None or found is None:
        raise missing
    call.caller.require(permission, project, what="job")
    return project, found


async def the_account(db: Db, call: Call, what: str) -> UUID:
    """The id that `what` is, or that of the account of that name; what is done with an id checks who may see it.

    :raises NotFound: there is no account of that name that the caller may see.
    """
    return await account_named(db, call.caller, what)
