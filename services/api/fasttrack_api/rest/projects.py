"""Projects: which there are for the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from fasttrack.db.visible import list_visible_projects
from fasttrack.domain.access import Permission

from . import models
from .reach import Limited, OfCaller, the_project_record
from .routing import Route

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], route_class=Route)


@router.get("", summary="List projects")
async def list_projects(
    call: OfCaller,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    limit: Limited = 100,
) -> models.Page[models.Project]:
    """The projects that the caller may read, by name."""
    async with call.parts.database.transaction() as db:
        found = await list_visible_projects(db, call.caller.projects, limit=limit + 1, after=after)
    page = [models.Project.model_validate(p) for p in found[:limit]]
    return models.Page(items=page, next=page[-1].name if len(found) > limit else None)


@router.get("/{project}", summary="Read a project")
async def read_project(
    call: OfCaller,
    project: Annotated[str, Path(max_length=64, description="The project's name or id.", examples=["default"])],
) -> models.Project:
    """One project, by its name or id."""
    async with call.parts.database.transaction() as db:
        found = await the_project_record(db, call, project)
    call.caller.require(Permission.READ, found.id)
    return models.Project.model_validate(found)
