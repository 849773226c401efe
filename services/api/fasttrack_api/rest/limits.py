"""Limits: how many tasks of a project, a resource group or a pool may have a session at once."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from fasttrack.db.limits import list_limits as list_stored
from fasttrack.domain.access import Permission
from fasttrack.ids import JobId
from fasttrack.workflow.writes import change_limit

from . import models
from .reach import Call, InProject, OfCaller, the_project
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


@router.put("/project", summary="Limit the project", status_code=204)
async def set_project_limit(call: OfCaller, given: models.LimitBody, project: InProject = None) -> Response:
    """Set how many tasks of the whole project may have a session. What runs beyond it goes on."""
    return await _change(call, project, "project", "", given.slots)


@router.delete("/project", summary="Remove the project's limit", status_code=204)
async def delete_project_limit(call: OfCaller, project: InProject = None) -> Response:
    """Remove the limit of the whole project: what waited for it starts."""
    return await _change(call, project, "project", "", None)


@router.put("/{scope}/{name}", summary="Set a limit", status_code=204)
async def set_limit(
    call: OfCaller, scope: Scope, name: LimitName, given: models.LimitBody, project: InProject = None
) -> Response:
    """Set a limit, over an older one. What runs beyond it goes on; a raised one lets the next in at once."""
    return await _change(call, project, scope, name, given.slots)


@router.delete("/{scope}/{name}", summary="Remove a limit", status_code=204)
async def delete_limit(call: OfCaller, scope: Scope, name: LimitName, project: InProject = None) -> Response:
    """Remove a limit: what waited for it starts."""
    return await _change(call, project, scope, name, None)


async def _change(call: Call, project: str | None, scope: str, name: str, slots: int | None) -> Response:
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project, Permission.OPERATE)
        jobs: list[JobId] = list(await change_limit(db, call.caller, where, scope, name, slots))
    await call.parts.doorbell.ring(jobs)
    return Response(status_code=204)
