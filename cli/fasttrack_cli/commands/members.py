"""`fasttrack members`: who may do what in the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.db.accounts import Member
    from fasttrack.domain.access import Role

NAME = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.", show_default=False)]
ROLE = Annotated[
    str, typer.Argument(metavar="ROLE", help="viewer, editor, operator or admin; each may do more.", show_default=False)
]


async def list_(call: Invocation) -> int:
    """List the members of the project with their roles.

    Example: `fasttrack members list --project vision`
    """
    from fasttrack.db import Db
    from fasttrack.workflow.members import list_members

    from ..lookup import every

    async with call.opened() as bench:

        async def all_of_them(db: Db) -> list[Member]:
            caller = await bench.caller(db)
            return await every(lambda window: list_members(db, caller, bench.project, window), lambda m: (m.name,))

        members = await bench.database.run(all_of_them)
    if call.out.as_json:
        call.out.document({"members": [_json(m) for m in members]})
    elif members:
        call.out.table(["member", "role", "kind", "added by"], [[m.name, m.role, m.kind, m.added_by] for m in members])
    else:
        call.out.say("The project has no members yet: `fasttrack members add NAME ROLE` adds one.")
    return OK


async def add(call: Invocation, name: NAME, role: ROLE) -> int:
    """Make an account a member of the project.

    Example: `fasttrack members add ada editor --project vision`
    """
    from fasttrack.workflow.members import add_member

    return await _change(call, name, add_member, read_role(role))


async def change(call: Invocation, name: NAME, role: ROLE) -> int:
    """Give a member another role. The last admin of a project stays one.

    Example: `fasttrack members change ada operator --project vision`
    """
    from fasttrack.workflow.members import change_member

    return await _change(call, name, change_member, read_role(role))


async def remove(call: Invocation, name: NAME) -> int:
    """Have an account be a member no more: it sees nothing of the project within seconds. The last admin stays.

    Example: `fasttrack members remove ada --project vision`
    """
    from fasttrack.db import Db
    from fasttrack.workflow.accounts import find_account_named
    from fasttrack.workflow.members import remove_member

    async with call.opened() as bench:

        async def work(db: Db) -> None:
            caller = await bench.caller(db)
            found = await find_account_named(db, caller, name)
            await remove_member(db, caller, bench.project, found.id)

        await bench.database.run(work)
    if call.out.as_json:
        call.out.document({"name": name, "removed": True})
    else:
        call.out.say(f"removed {name}")
    return OK


async def _change(call: Invocation, name: str, work: Any, role: Role) -> int:
    from fasttrack.db import Db
    from fasttrack.workflow.accounts import find_account_named

    async with call.opened() as bench:

        async def change_it(db: Db) -> Member:
            caller = await bench.caller(db)
            found = await find_account_named(db, caller, name)
            member: Member = await work(db, caller, bench.project, found.id, role)
            return member

        member = await bench.database.run(change_it)
    if call.out.as_json:
        call.out.document({"member": _json(member)})
    else:
        call.out.text(f"{member.name}: {member.role}")
    return OK


def read_role(text: str) -> Role:
    """The role of that name. :raises InvalidInput: there is none."""
    from fasttrack.domain.access import Role
    from fasttrack.errors import InvalidInput

    try:
        return Role(text)
    except ValueError:
        raise InvalidInput(f"{text[:40]!r} is not a role; the roles are {', '.join(Role)}") from None


def _json(member: Member) -> dict[str, Any]:
    names = ("name", "display_name", "kind", "role", "added_by", "created_at", "disabled_at")
    return {name: getattr(member, name) for name in names} | {"account_id": member.account_id}


COMMANDS = (("list", list_), ("add", add), ("change", change), ("remove", remove))
