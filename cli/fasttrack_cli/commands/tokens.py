"""`fasttrack tokens`: what callers of the API show; a token's text is printed once, when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ..completion import complete_accounts, complete_scopes, complete_tokens
from ..exits import OK
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.domain.access import Permission

    from ..store.people import MadeToken, Token

ID = Annotated[
    UUID,
    typer.Argument(metavar="ID", help="The token's id, as `tokens list` shows it.", autocompletion=complete_tokens),
]
ACCOUNT = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="Whose, by name or id; by default your own, which is the owner's on this machine.",
        autocompletion=complete_accounts,
    ),
]


async def create(
    call: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.", show_default=False)],
    account: ACCOUNT = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it allows at most: read, edit, run, secrets, operate or manage. May be repeated; by default all "
            "that you may give.",
            autocompletion=complete_scopes,
        ),
    ] = None,
    only: Annotated[bool, typer.Option("--only-this-project", help="For the project of this command alone.")] = False,
    stored_only: Annotated[
        bool,
        typer.Option(
            "--stored-operations-only",
            help="It runs stored operations of GraphQL (`fasttrack operations`), and is good for nothing else.",
        ),
    ] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How long it is valid.")] = 90,
) -> int:
    """Make a token and print it. It is stored as a hash, so this is the only time that anybody sees it.

    Example: `fasttrack tokens create ci --account vision/nightly --scope read --scope run`
    """
    from fasttrack.domain.tokens import require_token_name

    from ..store.people import TokenRequest

    require_token_name(name)
    request = TokenRequest(
        name=name,
        account=account,
        scopes=_scopes(scope),
        is_for_project=only,
        stored_only=stored_only,
        lifetime=timedelta(days=days),
    )
    async with call.store(any_project=not only) as store:
        made = await store.tokens.create(request)
    return _show(call, made)


async def list_(call: Invocation, account: ACCOUNT = None) -> int:
    """List the tokens of an account, newest first: what they are for and when they end, never their text.

    Example: `fasttrack tokens list --account vision/nightly`
    """
    from ..view.words import moment

    async with call.store(any_project=True) as store:
        tokens = await store.tokens.all(account)
    if call.out.as_json:
        call.out.document({"tokens": [_json(t) for t in tokens]})
    elif tokens:
        call.out.table(
            ["token", "name", "scopes", "ends", "last used", "state"],
            [
                [str(t.id), t.name, ",".join(sorted(t.scopes)), moment(t.expires_at), moment(t.last_used_at), _state(t)]
                for t in tokens
            ],
        )
    else:
        call.out.say("There are no tokens yet: `fasttrack tokens create NAME` makes one.")
    return OK


async def rotate(
    call: Invocation,
    token: ID,
    overlap: Annotated[
        int, typer.Option("--overlap-hours", min=0, max=168, help="How long the old one works beside the new one.")
    ] = 24,
) -> int:
    """Make a token that takes the place of another, and print it. Both work for the overlap, then only the new one.

    Example: `fasttrack tokens rotate 0193c0de-0000-7000-8000-000000000001 --overlap-hours 2`
    """
    async with call.store(any_project=True) as store:
        made = await store.tokens.rotate(token, overlap=timedelta(hours=overlap))
    return _show(call, made)


async def revoke(call: Invocation, token: ID) -> int:
    """Have a token be worth nothing; it is refused everywhere within five seconds, on open streams too.

    Example: `fasttrack tokens revoke 0193c0de-0000-7000-8000-000000000001`
    """
    async with call.store(any_project=True) as store:
        revoked = await store.tokens.revoke(token)
    if call.out.as_json:
        call.out.document({"token": _json(revoked)})
    else:
        call.out.say(f"revoked {revoked.name} of {revoked.account_name}")
    return OK


def _show(call: Invocation, made: MadeToken) -> int:
    from ..view.words import moment

    if call.out.as_json:
        call.out.document({"token": _json(made.token), "secret": made.secret})
    else:
        call.out.text(made.secret)
        until = f" until {moment(made.token.expires_at)}" if made.token.expires_at else ""
        call.out.say(f"{made.token.id} of {made.token.account_name}, valid{until}; it is not shown again")
    return OK


def _scopes(given: list[str] | None) -> frozenset[Permission] | None:
    from fasttrack.domain.access import Permission
    from fasttrack.errors import InvalidInput

    try:
        return frozenset(Permission(s) for s in given) if given else None
    except ValueError:
        raise InvalidInput(f"a scope is one of {', '.join(Permission)}") from None


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.rotated_to is not None:
        return "rotated"
    return "stored operations only" if token.stored_only else ""


def _json(token: Token) -> dict[str, Any]:
    names = (
        "id", "name", "kind", "account_name", "only_project", "created_by", "created_at", "not_before", "expires_at",
        "last_used_at", "revoked_at", "rotated_to", "stored_only",
    )  # fmt: skip
    return {name: getattr(token, name) for name in names} | {"scopes": sorted(token.scopes)}


COMMANDS = (("create", create), ("list", list_), ("rotate", rotate), ("revoke", revoke))
