"""Projects: which there are for the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from fasttrack.db import Db
from fasttrack.db.visible import ProjectRecord, find_visible_project, list_visible_projects
from fasttrack.domain.access import Permission
from fasttrack.workflow.members import change_domain as move_to_domain
from fasttrack.workflow.projects import create_project as make_project

from . import access_models, models
from .reach import Limited, OfCaller, the_project_record
from .routing import Route

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], route_class=Route)

AProject = Annotated[
    str, Path(alias="project", max_length=64, description="The project's name or id.", examples=["default"])
]


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


@router.post(
    "",
    summary="Make a project",
    status_code=201,
    responses={200: {"description": "It was there already.", "model": models.Project}},
)
async def create_project(call: OfCaller, given: access_models.ProjectBody, response: Response) -> models.Project:
    """Make a project; one that is there already is left as it is, and answers 200. For superadmins."""

    async def work(db: Db) -> tuple[ProjectRecord | None, bool]:
        project, is_new = await make_project(db, call.caller, given.name, domain=given.domain)
        return await find_visible_project(db, project, None), is_new

    made, is_new = await call.parts.database.run(work)
    if not is_new:
        response.status_code = 200
    return models.Project.model_validate(made)


@router.put("/{project}/domain", summary="Move a project to a domain")
async def change_domain(call: OfCaller, project: AProject, given: access_models.DomainBody) -> models.Project:
    """Have a project belong to another domain, whose admins are its admins from then on. For superadmins."""

    async def work(db: Db) -> ProjectRecord:
        found = await the_project_record(db, call, project)
        await move_to_domain(db, call.caller, found.id, given.domain)
        return await the_project_record(db, call, project)

    return models.Project.model_validate(await call.parts.database.run(work))


@router.get("/{project}", summary="Read a project")
async def read_project(call: OfCaller, project: AProject) -> models.Project:
    """One project, by its name or id."""
    async with call.parts.database.transaction() as db:
        found = await the_project_record(db, call, project)
    call.caller.require(Permission.READ, found.id)
    return models.Project.model_validate(found)
