"""`fasttrack accounts`: people and programs that may call the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..completion import complete_accounts, complete_roles
from ..exits import OK
from ..invocation import Invocation
from .members import read_role

if TYPE_CHECKING:
    from ..store.people import Account

NEW = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.", show_default=False)]
NAME = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The account's name, or its id.", show_default=False, autocompletion=complete_accounts
    ),
]


async def list_(call: Invocation) -> int:
    """List the accounts by name: of all projects for a superadmin, for others those they share a project with.

    Example: `fasttrack accounts list`
    """
    async with call.store(any_project=True) as store:
        accounts = await store.accounts.all()
    if call.out.as_json:
        call.out.document({"accounts": [_json(a) for a in accounts]})
    else:
        call.out.table(
            ["account", "kind", "can do", "name"],
            [[a.name, a.kind, _standing(a), a.display_name or a.email or ""] for a in accounts],
        )
    return OK


async def create(
    call: Invocation,
    name: NEW,
    service: Annotated[
        bool, typer.Option("--service", help="For a program: it belongs to the project, and is called PROJECT/NAME.")
    ] = False,
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Of a service account: viewer, editor, operator or admin.",
            autocompletion=complete_roles,
        ),
    ] = "editor",
    display_name: Annotated[str, typer.Option("--display-name", metavar="TEXT", help="How it is shown.")] = "",
    email: Annotated[str, typer.Option("--email", metavar="ADDRESS", help="Of a person.")] = "",
    superadmin: Annotated[
        bool, typer.Option("--superadmin", help="A person who may do everything everywhere.")
    ] = False,
) -> int:
    """Make an account, and print its name. It can do nothing before it has a token and, for a person, a membership.

    Example: `fasttrack accounts create nightly --service --role editor`
    """
    from fasttrack.domain.accounts import require_texts
    from fasttrack.errors import InvalidInput

    wanted = read_role(role)
    if service and (superadmin or email):
        raise InvalidInput("a service account has no email address, and cannot be a superadmin")
    require_texts(name, display_name, email)
    async with call.store(any_project=not service) as store:
        if service:
            made = await store.accounts.create_service(name, wanted, display_name=display_name)
        else:
            made = await store.accounts.create_user(
                name, display_name=display_name, email=email, is_superadmin=superadmin
            )
    _answer(call, made, made.name)
    return OK


async def disable(call: Invocation, name: NAME) -> int:
    """Have an account do nothing any more: its tokens are refused within seconds. What it made stays.

    Example: `fasttrack accounts disable ada`
    """
    return await _switch(call, name, is_on=False)


async def enable(call: Invocation, name: NAME) -> int:
    """Let a disabled account act again, with the tokens it has.

    Example: `fasttrack accounts enable ada`
    """
    return await _switch(call, name, is_on=True)


async def _switch(call: Invocation, name: str, *, is_on: bool) -> int:
    async with call.store(any_project=True) as store:
        changed = await store.accounts.switch(name, is_on=is_on)
    _answer(call, changed, f"{changed.name}: {_standing(changed)}")
    return OK


def _answer(call: Invocation, account: Account, text: str) -> None:
    if call.out.as_json:
        call.out.document({"account": _json(account)})
    else:
        call.out.text(text)


def _standing(account: Account) -> str:
    if account.disabled_at is not None:
        return "disabled"
    return "everything" if account.is_superadmin else "as a member"


def _json(account: Account) -> dict[str, Any]:
    names = ("id", "name", "kind", "display_name", "email", "is_superadmin", "issuer", "created_at", "disabled_at")
    return {name: getattr(account, name) for name in names}


COMMANDS = (("list", list_), ("create", create), ("disable", disable), ("enable", enable))
