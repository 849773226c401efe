"""Limits: how many tasks of a project, a resource group or a pool may have a session at once."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from fasttrack.db.limits import hold_limit
from fasttrack.db.limits import list_limits as list_stored
from fasttrack.domain.access import Permission
from fasttrack.errors import NotFound
from fasttrack.ids import JobId
from fasttrack.workflow.writes import change_limit

from . import models
from .reach import Call, InProject, OfCaller, the_project
from .revisions import OVERTAKEN, IfMatch, IfNoneMatch, expected_of, preconditions, tag_of
from .routing import Route

router = APIRouter(prefix="/api/v1/limits", tags=["limits"], route_class=Route)

Scope = Annotated[Literal["resource_group", "pool"], Path(description="What it limits.")]
LimitName = Annotated[
    str, Path(min_length=1, max_length=64, description="Of the resource group or pool.", examples=["gpu-loaders"])
]


@router.get("", summary="List limits")
async def list_limits(call: OfCaller, project: InProject = None) -> list[models.Limit]:
    """The project's limits, with what is used of each and how many tasks wait for it."""
    async with call.parts.database.transaction() as db:
        found = await list_stored(db, await the_project(db, call, project))
    return [models.Limit.model_validate(limit, from_attributes=True) for limit in found]


@router.get("/project", summary="Read the project's limit")
async def read_project_limit(call: OfCaller, response: Response, project: InProject = None) -> models.Limit:
    """The limit of the whole project, with what is used of it and how many tasks wait for it."""
    return await _read(call, response, project, "project", "")


@router.put("/project", summary="Limit the project", status_code=204)
async def set_project_limit(
    call: OfCaller,
    given: models.LimitBody,
    project: InProject = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Set how many tasks of the whole project may have a session. What runs beyond it goes on."""
    return await _change(call, project, "project", "", given.slots, expected_of(if_match, if_none_match))


@router.delete("/project", summary="Remove the project's limit", status_code=204, responses=OVERTAKEN)
async def delete_project_limit(call: OfCaller, project: InProject = None, if_match: IfMatch = None) -> Response:
    """Remove the limit of the whole project: what waited for it starts."""
    return await _change(call, project, "project", "", None, expected_of(if_match))


@router.get("/{scope}/{name}", summary="Read a limit")
async def read_limit(
    call: OfCaller, response: Response, scope: Scope, name: LimitName, project: InProject = None
) -> models.Limit:
    """A limit, with what is used of it and how many tasks wait for it. `If-Match` takes its `ETag` when it is changed."""
    return await _read(call, response, project, scope, name)


@router.put("/{scope}/{name}", summary="Set a limit", status_code=204)
async def set_limit(
    call: OfCaller,
    scope: Scope,
    name: LimitName,
    given: models.LimitBody,
    project: InProject = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Set a limit, over an older one. What runs beyond it goes on; a raised one lets the next in at once."""
    return await _change(call, project, scope, name, given.slots, expected_of(if_match, if_none_match))


@router.delete("/{scope}/{name}", summary="Remove a limit", status_code=204, responses=OVERTAKEN)
async def delete_limit(
    call: OfCaller, scope: Scope, name: LimitName, project: InProject = None, if_match: IfMatch = None
) -> Response:
    """Remove a limit: what waited for it starts."""
    return await _change(call, project, scope, name, None, expected_of(if_match))


async def _read(call: Call, response: Response, project: str | None, scope: str, name: str) -> models.Limit:
    async with call.parts.database.transaction() as db:
        found = await list_stored(db, await the_project(db, call, project))
    limit = next((one for one in found if (one.scope, one.name) == (scope, name)), None)
    if limit is None:
        raise NotFound(f"there is no limit for {scope} {name}".rstrip())
    response.headers["ETag"] = tag_of(limit.revision, limit.used, limit.waiting)
    return models.Limit.model_validate(limit, from_attributes=True)


async def _change(
    call: Call, project: str | None, scope: str, name: str, slots: int | None, expected: int | None
) -> Response:
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project, Permission.OPERATE)
        with preconditions():
            jobs: list[JobId] = list(
                await change_limit(db, call.caller, where, scope, name, slots, expected_revision=expected)
            )
        held = await hold_limit(db, where, scope, name)
    await call.parts.doorbell.ring(jobs)
    return Response(status_code=204, headers=None if held is None else {"ETag": tag_of(held.revision)})
