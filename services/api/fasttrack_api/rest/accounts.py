"""Accounts: people and programs that may call, superadmins, and the admins of domains."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from fasttrack.db import Db
from fasttrack.db import accounts as stored
from fasttrack.db.windows import Window
from fasttrack.domain.access import Permission
from fasttrack.workflow import accounts, members

from . import access_models as models
from .models import Page
from .reach import AnAccount, Call, InProject, Limited, OfCaller, the_account, the_project_record
from .routing import Route

router = APIRouter(prefix="/api/v1", tags=["accounts"], route_class=Route)

ADomain = Annotated[str, Path(alias="domain", max_length=64, description="The domain's name.", examples=["research"])]


@router.get("/accounts", summary="List accounts")
async def list_accounts(
    call: OfCaller,
    after: Annotated[str, Query(max_length=200, description="`next` of the page before.")] = "",
    limit: Limited = 100,
) -> Page[models.Account]:
    """Accounts by name: all for a superadmin, for others those they share a project with."""
    async with call.parts.database.transaction() as db:
        page = await accounts.list_accounts(db, call.caller, Window(limit, after=(after,)))
        items = await _shown(db, call, page.items)
    return Page(items=items, next=items[-1].name if page.has_more else None)


@router.get("/accounts/{account}", summary="Read an account")
async def read_account(call: OfCaller, account: AnAccount) -> models.Account:
    """An account. Whoever manages a project finds every person by name, so as to make them a member."""
    async with call.parts.database.transaction() as db:
        found = await accounts.find_account(db, call.caller, await the_account(db, call, account))
        return (await _shown(db, call, [found]))[0]


@router.post("/accounts", summary="Make an account for a person", status_code=201)
async def create_account(call: OfCaller, given: models.AccountBody) -> models.Account:
    """Make an account for a person; a name that is taken answers 409. For superadmins."""
    more = {"display_name": given.display_name, "email": given.email}

    async def make(db: Db) -> stored.Account:
        return await accounts.create_user(db, call.caller, given.name, is_superadmin=given.is_superadmin, **more)

    return await _change(call, make)


@router.post("/accounts/service", summary="Make an account for a program", status_code=201)
async def create_service_account(
    call: OfCaller, given: models.ServiceAccountBody, project: InProject = None
) -> models.Account:
    """Make an account for a program, as a member of the one project that it belongs to. Needs `manage`."""

    async def make(db: Db) -> stored.Account:
        where = await the_project_record(db, call, project)
        call.caller.require(Permission.MANAGE, where.id)
        return await accounts.create_service_account(
            db, call.caller, where.id, where.name, given.name, given.role, display_name=given.display_name
        )

    return await _change(call, make)


@router.post("/accounts/{account}/disable", summary="Disable an account")
async def disable_account(call: OfCaller, account: AnAccount) -> models.Account:
    """Have an account do nothing any more: its tokens are refused within seconds; what it made stays. May be repeated.

    For superadmins; a service account also for whoever manages its project.
    """
    now = call.parts.clock.now()
    return await _change_this(
        call, account, lambda db, found: accounts.disable_account(db, call.caller, found, now=now)
    )


@router.post("/accounts/{account}/enable", summary="Enable an account")
async def enable_account(call: OfCaller, account: AnAccount) -> models.Account:
    """Let a disabled account act again, with the tokens it has. May be repeated. For those who may disable it."""
    return await _change_this(call, account, lambda db, found: accounts.enable_account(db, call.caller, found))


@router.put("/accounts/{account}/superadmin", summary="Make a person a superadmin")
async def change_superadmin(call: OfCaller, account: AnAccount, given: models.SuperadminBody) -> models.Account:
    """Make a person a superadmin, or one no more; the last one stays. May be repeated. For superadmins."""
    return await _change_this(
        call, account, lambda db, found: accounts.change_superadmin(db, call.caller, found, given.is_superadmin)
    )


@router.put("/domains/{domain}/admins/{account}", summary="Make a person the admin of a domain", status_code=204)
async def add_domain_admin(call: OfCaller, domain: ADomain, account: AnAccount) -> Response:
    """Make a person the admin of all projects of a domain, those to come too. May be repeated. For superadmins."""
    return await _change_domain_admin(call, domain, account, is_admin=True)


@router.delete("/domains/{domain}/admins/{account}", summary="Remove the admin of a domain", status_code=204)
async def remove_domain_admin(call: OfCaller, domain: ADomain, account: AnAccount) -> Response:
    """Have a person be the admin of a domain no more; memberships stay. May be repeated. For superadmins."""
    return await _change_domain_admin(call, domain, account, is_admin=False)


async def _shown(db: Db, call: Call, found: Sequence[stored.Account]) -> list[models.Account]:
    """The accounts, with the addresses that the caller may read."""
    addresses = await accounts.load_addresses(db, call.caller, [a.id for a in found])
    return [models.Account.model_validate(a).model_copy(update={"email": addresses.get(a.id)}) for a in found]


async def _change(call: Call, change: Callable[[Db], Awaitable[stored.Account]]) -> models.Account:
    async def work(db: Db) -> models.Account:
        return (await _shown(db, call, [await change(db)]))[0]

    return await call.parts.database.run(work)


async def _change_this(
    call: Call, account: str, change: Callable[[Db, UUID], Awaitable[stored.Account]]
) -> models.Account:
    async def work(db: Db) -> stored.Account:
        return await change(db, await the_account(db, call, account))

    return await _change(call, work)


async def _change_domain_admin(call: Call, domain: str, account: str, *, is_admin: bool) -> Response:
    async def work(db: Db) -> None:
        found = await the_account(db, call, account)
        await members.change_domain_admin(db, call.caller, found, domain, is_admin=is_admin)

    await call.parts.database.run(work)
    return Response(status_code=204)
