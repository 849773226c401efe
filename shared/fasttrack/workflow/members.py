"""Members of projects and admins of domains: who may do what, and where."""

from __future__ import annotations

from uuid import UUID

from ..db import Db
from ..db import accounts as stored
from ..db.accounts import Member
from ..db.windows import FIRST_PAGE, Page, Window
from ..domain.access import AccountKind, Caller, Permission, Role
from ..domain.accounts import require_texts
from ..errors import Conflict, InvalidInput, NotFound
from ..ids import ProjectId
from .audit import record

# -- members ------------------------------------------------------------------------------------------------------------


async def list_members(db: Db, caller: Caller, project: ProjectId, window: Window = FIRST_PAGE) -> Page[Member]:
    """The members of a project by name. :raises NotFound: the project is not the caller's to see."""
    caller.require(Permission.READ, project)
    return await stored.list_members(db, project, window)


async def add_member(db: Db, caller: Caller, project: ProjectId, account: UUID, role: Role) -> Member:
    """Make an account a member of the project.

    :raises NotFound: no such project or account.
    :raises Conflict: it is a member already, or a service account of another project.
    """
    caller.require(Permission.MANAGE, project)
    found = await stored.find_account(db, account)
    if found is None or await stored.domain_of(db, project) is None:
        raise NotFound("there is no such account")
    if found.kind is AccountKind.SERVICE and found.project_id != project:
        raise NotFound("there is no such account")  # of another project: not theirs to see
    if not await stored.insert_member(db, project, account, role, by=caller.name):
        raise Conflict(f"{found.name} is a member already; change the role instead")
    member = await _member(db, project, account)
    await record(
        db, caller, "member.add", project=project, object_kind="account", object_id=account, after=_role(member)
    )
    return member


async def change_member(db: Db, caller: Caller, project: ProjectId, account: UUID, role: Role) -> Member:
    """Give a member another role. Once more changes nothing.

    :raises NotFound: the account is no member.
    :raises Conflict: it is the project's last admin.
    """
    caller.require(Permission.MANAGE, project)
    if role is not Role.ADMIN:
        await _require_another_admin(db, project, account)
    before = await _member(db, project, account)
    if before.role is role:
        return before
    await stored.set_role(db, project, account, role)
    after = await _member(db, project, account)
    await record(
        db,
        caller,
        "member.change",
        project=project,
        object_kind="account",
        object_id=account,
        before=_role(before),
        after=_role(after),
    )
    return after


async def remove_member(db: Db, caller: Caller, project: ProjectId, account: UUID) -> None:
    """Have an account be a member no more; within seconds it sees nothing of the project.

    Whoever is a member may also leave by themselves, with a token that has the scope for it.

    :raises NotFound: the account is no member.
    :raises Conflict: it is the project's last admin.
    """
    is_leaving = account == caller.account_id and Permission.MANAGE in caller.scopes
    caller.require(Permission.READ if is_leaving else Permission.MANAGE, project)
    await _require_another_admin(db, project, account)
    before = await _member(db, project, account)
    await stored.delete_member(db, project, account)
    await record(
        db, caller, "member.remove", project=project, object_kind="account", object_id=account, before=_role(before)
    )


# -- domains ------------------------------------------------------------------------------------------------------------


async def change_domain(db: Db, caller: Caller, project: ProjectId, domain: str) -> None:
    """Have a project belong to another domain, whose admins are its admins from here on. For superadmins.

    :raises NotFound: no such project.
    """
    caller.require_everywhere(Permission.MANAGE)
    require_texts(domain)
    before = await stored.domain_of(db, project)
    if before is None:
        raise NotFound("there is no such project")
    if before == domain:
        return
    await stored.set_domain(db, project, domain)
    await record(
        db,
        caller,
        "project.change",
        project=project,
        object_kind="project",
        object_id=project,
        before={"domain": before},
        after={"domain": domain},
    )


async def change_domain_admin(db: Db, caller: Caller, account: UUID, domain: str, *, is_admin: bool) -> None:
    """Make a person the admin of a domain's projects, those to come too; or one no more. For superadmins.

    :raises NotFound: no such account.
    :raises InvalidInput: it is a service account, or the name can be none.
    """
    caller.require_everywhere(Permission.MANAGE)
    require_texts(domain)
    found = await stored.find_account(db, account)
    if found is None:
        raise NotFound("there is no such account")
    if found.kind is AccountKind.SERVICE:
        raise InvalidInput("a service account belongs to one project and cannot be the admin of a domain")
    changed = (
        await stored.insert_domain_admin(db, account, domain, by=caller.name)
        if is_admin
        else await stored.delete_domain_admin(db, account, domain)
    )
    if changed:
        await record(
            db,
            caller,
            "domain.add_admin" if is_admin else "domain.remove_admin",
            object_kind="account",
            object_id=account,
            before={"domain": None if is_admin else domain},
            after={"domain": domain if is_admin else None},
        )


async def _require_another_admin(db: Db, project: ProjectId, account: UUID) -> None:
    if await stored.lock_admins(db, project) == {account}:
        raise Conflict("this is the project's last admin; make another member an admin first")


async def _member(db: Db, project: ProjectId, account: UUID) -> Member:
    found = await stored.find_member(db, project, account)
    if found is None:
        raise NotFound("the account is no member of the project")
    return found


def _role(member: Member) -> dict[str, object]:
    return {"name": member.name, "role": member.role}
