"""Accounts: who there is, and the caller that each of them is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from ..db import Db
from ..db import accounts as stored
from ..db.accounts import Account, Standing
from ..db.windows import FIRST_PAGE, Page, Window
from ..domain.access import AccountKind, Caller, Permission, Role, highest_roles
from ..errors import Conflict, InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_MOST_TEXT = 200


def caller_of(
    standing: Standing,
    *,
    origin: str = "",
    token_id: UUID | None = None,
    scopes: frozenset[Permission] = frozenset(Permission),
    only_project: ProjectId | None = None,
    granted: Iterable[tuple[ProjectId, Role]] = (),
    is_superadmin: bool = False,
    is_stored_only: bool = False,
) -> Caller:
    """The caller that an account is.

    :param granted: roles besides the stored ones, which an identity provider vouches for; the highest counts.
    """
    account = standing.account
    return Caller(
        account.id,
        account.name,
        account.kind,
        account.is_superadmin or is_superadmin,
        highest_roles((*standing.roles, *granted)),
        scopes,
        only_project,
        token_id,
        origin,
        is_stored_only,
    )


# -- accounts -----------------------------------------------------------------------------------------------------------


async def create_user(
    db: Db, caller: Caller, name: str, *, display_name: str = "", email: str = "", is_superadmin: bool = False
) -> Account:
    """Make an account for a person. For superadmins.

    :raises InvalidInput: the name or another text cannot be one.
    :raises Conflict: there is an account of that name.
    """
    caller.require_everywhere(Permission.MANAGE)
    check_texts(name, display_name, email)
    made = await stored.insert_account(
        db, AccountKind.USER, name, display_name=display_name, email=email, is_superadmin=is_superadmin
    )
    if made is None:
        raise Conflict(f"there is an account {name} already")
    await record(db, caller, "account.create", object_kind="account", object_id=made.id, after=_facts(made))
    return made


async def create_service_account(
    db: Db, caller: Caller, project: ProjectId, project_name: str, name: str, role: Role, *, display_name: str = ""
) -> Account:
    """Make an account for a program, as a member of the one project that it belongs to. It is called `PROJECT/NAME`.

    :raises Conflict: the project has a service account of that name.
    """
    caller.require(Permission.MANAGE, project)
    check_texts(name, display_name, "")
    made = await stored.insert_account(
        db, AccountKind.SERVICE, f"{project_name}/{name}", display_name=display_name, project=project
    )
    if made is None:
        raise Conflict(f"the project has a service account {name} already")
    await stored.insert_member(db, project, made.id, role, by=caller.name)
    await record(
        db,
        caller,
        "account.create",
        project=project,
        object_kind="account",
        object_id=made.id,
        after={**_facts(made), "role": role},
    )
    return made


async def disable_account(db: Db, caller: Caller, account: UUID, *, now: datetime) -> Account:
    """Have an account do nothing any more: its tokens and sign-ins are refused within seconds. What it made stays.

    A person: for superadmins. A service account: also for whoever manages its project.

    :raises NotFound: no such account, or it is not the caller's to see.
    :raises Conflict: it is the last superadmin.
    """
    found = await _manageable(db, caller, account)
    if found.is_superadmin and await stored.lock_superadmins(db) <= {account}:
        raise Conflict(f"{found.name} is the last superadmin; make another one first")
    return await _set_disabled(db, caller, found, found.disabled_at or now)


async def enable_account(db: Db, caller: Caller, account: UUID) -> Account:
    """Let a disabled account act again, with the tokens it has. For those who may disable it.

    :raises NotFound: no such account, or it is not the caller's to see.
    """
    return await _set_disabled(db, caller, await _manageable(db, caller, account), None)


async def change_superadmin(db: Db, caller: Caller, account: UUID, value: bool) -> Account:
    """Make a person a superadmin, or one no more. For superadmins.

    :raises NotFound: no such account.
    :raises Conflict: it is the last superadmin.
    :raises InvalidInput: it is a service account.
    """
    caller.require_everywhere(Permission.MANAGE)
    found = await stored.find_account(db, account)
    if found is None:
        raise NotFound("there is no such account")
    if found.kind is AccountKind.SERVICE:
        raise InvalidInput("a service account belongs to one project and cannot be a superadmin")
    if not value and found.is_superadmin and await stored.lock_superadmins(db) <= {account}:
        raise Conflict(f"{found.name} is the last superadmin; make another one first")
    await stored.set_superadmin(db, account, value)
    await _record_change(db, caller, "account.change", found, {"is_superadmin": value})
    return await _again(db, account)


async def list_accounts(db: Db, caller: Caller, window: Window = FIRST_PAGE) -> Page[Account]:
    """Accounts by name: all for a superadmin, for others those they share a project with."""
    return await stored.list_accounts(db, caller.projects, window)


async def list_service_accounts(
    db: Db, caller: Caller, project: ProjectId, window: Window = FIRST_PAGE
) -> Page[Account]:
    """The service accounts of a project by name. :raises NotFound: the project is not the caller's to see."""
    caller.require(Permission.READ, project)
    return await stored.list_service_accounts(db, project, window)


async def load_accounts(db: Db, caller: Caller, accounts: Collection[UUID]) -> dict[UUID, Account]:
    """Those of these accounts that the caller may see, as `find_account` says."""
    return await stored.load_accounts(db, caller.projects, caller.account_id, accounts)


async def load_addresses(db: Db, caller: Caller, accounts: Collection[UUID]) -> dict[UUID, str]:
    """Those email addresses of these accounts that the caller may read, in one statement: their own, and those of the
    members of a project that they manage, as a domain's admin manages all of its projects. For superadmins all.
    """
    managed = None
    if not caller.may_everywhere(Permission.MANAGE):
        managed = [p for p in caller.projects or () if caller.may(Permission.MANAGE, p)]
    return await stored.load_addresses(db, managed, caller.account_id, accounts)


async def find_account(db: Db, caller: Caller, account: UUID) -> Account:
    """An account that the caller shares a project with, or is. :raises NotFound: no such account, or not theirs to see."""
    found = (await load_accounts(db, caller, [account])).get(account)
    if found is None:
        raise NotFound("there is no such account")
    return found


async def find_account_named(db: Db, caller: Caller, name: str) -> Account:
    """An account by its name. Whoever manages a project may look for anybody's, so as to make them a member.

    :raises NotFound: no such account, or not theirs to see.
    """
    found = await stored.find_account_named(db, name)
    if found is None:
        raise NotFound(f"there is no account {name[:80]}")
    if found.kind is AccountKind.USER and any(caller.may(Permission.MANAGE, project) for project in caller.roles):
        return found
    try:
        return await find_account(db, caller, found.id)
    except NotFound:
        raise NotFound(f"there is no account {name[:80]}") from None


# -- inside -------------------------------------------------------------------------------------------------------------


async def _manageable(db: Db, caller: Caller, account: UUID) -> Account:
    found = await stored.find_account(db, account)
    if found is None:
        raise NotFound("there is no such account")
    if found.project_id is not None:
        caller.require(Permission.MANAGE, found.project_id, what="account")
        return found
    if not caller.may_everywhere(Permission.MANAGE):
        await find_account(db, caller, account)  # whoever cannot see it learns nothing
        caller.require_everywhere(Permission.MANAGE)
    return found


async def _set_disabled(db: Db, caller: Caller, account: Account, at: datetime | None) -> Account:
    if account.disabled_at != at:
        await stored.set_disabled(db, account.id, at)
        action = "account.enable" if at is None else "account.disable"
        await _record_change(db, caller, action, account, {"disabled_at": at})
    return await _again(db, account.id)


async def _record_change(db: Db, caller: Caller, action: str, account: Account, changes: dict[str, object]) -> None:
    await record(
        db,
        caller,
        action,
        project=account.project_id,
        object_kind="account",
        object_id=account.id,
        before={"name": account.name, **{name: getattr(account, name) for name in changes}},
        after={"name": account.name, **changes},
    )


async def _again(db: Db, account: UUID) -> Account:
    found = await stored.find_account(db, account)
    assert found is not None
    return found


def _facts(account: Account) -> dict[str, object]:
    names = ("name", "kind", "display_name", "email", "is_superadmin")
    return {name: getattr(account, name) for name in names}


def check_texts(name: str, display_name: str = "", email: str = "") -> None:
    """Pass if these can be the texts of an account. :raises InvalidInput: one cannot."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot be a name here: use 1 to 64 letters, digits and `.`, `_`, `@`, `+`, `-`, "
            "beginning with a letter or a digit"
        )
    for what, text in (("display name", display_name), ("email address", email)):
        if len(text) > _MOST_TEXT or not text.isprintable():
            raise InvalidInput(f"a {what} has at most {_MOST_TEXT} printable characters")
