"""Members: who may do what in a project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from fasttrack.db import Db
from fasttrack.db import accounts as stored
from fasttrack.db.windows import Window
from fasttrack.domain.access import Permission
from fasttrack.ids import ProjectId
from fasttrack.workflow import members

from . import access_models as models
from .models import Page
from .reach import AnAccount, Call, InProject, Limited, OfCaller, the_account, the_project
from .routing import Route

router = APIRouter(prefix="/api/v1/members", tags=["members"], route_class=Route)


@router.get("", summary="List members")
async def list_members(
    call: OfCaller,
    project: InProject = None,
    after: Annotated[str, Query(max_length=200, description="`next` of the page before.")] = "",
    limit: Limited = 100,
) -> Page[models.Member]:
    """The members of the project by name."""
    async with call.parts.database.transaction() as db:
        where = await the_project(db, call, project)
        page = await members.list_members(db, call.caller, where, Window(limit, after=(after,)))
    items = [models.Member.model_validate(m) for m in page.items]
    return Page(items=items, next=items[-1].name if page.has_more else None)


@router.post("", summary="Add a member", status_code=201)
async def add_member(call: OfCaller, given: models.MemberBody, project: InProject = None) -> models.Member:
    """Make an account a member of the project; one that is a member already answers 409. Needs `manage`."""

    async def add(db: Db, where: ProjectId) -> stored.Member:
        found = await the_account(db, call, given.account)
        return await members.add_member(db, call.caller, where, found, given.role)

    return await _change(call, project, add)


@router.put("/{account}", summary="Change a member's role")
async def change_member_role(
    call: OfCaller, account: AnAccount, given: models.RoleBody, project: InProject = None
) -> models.Member:
    """Give a member another role; the last admin of a project stays one. Needs `manage`."""

    async def change(db: Db, where: ProjectId) -> stored.Member:
        found = await the_account(db, call, account)
        return await members.change_member(db, call.caller, where, found, given.role)

    return await _change(call, project, change)


@router.delete("/{account}", summary="Remove a member", status_code=204)
async def remove_member(call: OfCaller, account: AnAccount, project: InProject = None) -> Response:
    """Have an account be a member no more: within seconds it sees nothing of the project. The last admin stays.

    Needs `manage`; whoever is a member may leave.
    """

    async def work(db: Db) -> None:
        where = await the_project(db, call, project)
        found = await the_account(db, call, account)
        await members.remove_member(db, call.caller, where, found)

    await call.parts.database.run(work)
    return Response(status_code=204)


async def _change(
    call: Call, project: str | None, change: Callable[[Db, ProjectId], Awaitable[stored.Member]]
) -> models.Member:
    async def work(db: Db) -> stored.Member:
        return await change(db, await the_project(db, call, project, Permission.MANAGE))

    return models.Member.model_validate(await call.parts.database.run(work))
