"""`fasttrack members`: who may do what in the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..completion import complete_accounts, complete_members, complete_roles
from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.domain.access import Role

    from ..store.people import Member

ACCOUNT = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The account's name, or its id.", show_default=False, autocompletion=complete_accounts
    ),
]
MEMBER = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The account's name, or its id.", show_default=False, autocompletion=complete_members
    ),
]
ROLE = Annotated[
    str,
    typer.Argument(
        metavar="ROLE",
        help="viewer, editor, operator or admin; each may do more.",
        show_default=False,
        autocompletion=complete_roles,
    ),
]


async def list_(call: Invocation) -> int:
    """List the members of the project with their roles.

    Example: `fasttrack members list --project vision`
    """
    async with call.store() as store:
        members = await store.members.all()
    if call.out.as_json:
        call.out.document({"members": [_json(m) for m in members]})
    elif members:
        call.out.table(["member", "role", "kind", "added by"], [[m.name, m.role, m.kind, m.added_by] for m in members])
    else:
        call.out.say("The project has no members yet: `fasttrack members add NAME ROLE` adds one.")
    return OK


async def add(call: Invocation, name: ACCOUNT, role: ROLE) -> int:
    """Make an account a member of the project.

    Example: `fasttrack members add ada editor --project vision`
    """
    wanted = read_role(role)
    async with call.store() as store:
        member = await store.members.add(name, wanted)
    return _answer(call, member)


async def change(call: Invocation, name: MEMBER, role: ROLE) -> int:
    """Give a member another role. The last admin of a project stays one.

    Example: `fasttrack members change ada operator --project vision`
    """
    wanted = read_role(role)
    async with call.store() as store:
        member = await store.members.change(name, wanted)
    return _answer(call, member)


async def remove(call: Invocation, name: MEMBER) -> int:
    """Have an account be a member no more: it sees nothing of the project within seconds. The last admin stays.

    Example: `fasttrack members remove ada --project vision`
    """
    async with call.store() as store:
        await store.members.remove(name)
    if call.out.as_json:
        call.out.document({"name": name, "removed": True})
    else:
        call.out.say(f"removed {name}")
    return OK


def read_role(text: str) -> Role:
    """The role of that name. :raises InvalidInput: there is none."""
    from fasttrack.domain.access import Role
    from fasttrack.errors import InvalidInput

    try:
        return Role(text)
    except ValueError:
        raise InvalidInput(f"{text[:40]!r} is not a role; the roles are {', '.join(Role)}") from None


def _answer(call: Invocation, member: Member) -> int:
    if call.out.as_json:
        call.out.document({"member": _json(member)})
    else:
        call.out.text(f"{member.name}: {member.role}")
    return OK


def _json(member: Member) -> dict[str, Any]:
    names = ("name", "display_name", "kind", "role", "added_by", "created_at", "disabled_at", "account_id")
    return {name: getattr(member, name) for name in names}


COMMANDS = (("list", list_), ("add", add), ("change", change), ("remove", remove))
