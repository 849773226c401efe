"""`fasttrack credentials`: the keys that jobs run with on a cluster; secret halves go in and never come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fasttrack.domain.credentials import require_keypair
from fasttrack.errors import InvalidInput

from ..completion import complete_accounts
from ..exits import OK
from ..files import read_file
from ..invocation import Invocation

if TYPE_CHECKING:
    from ..store import Credential, Key, Whose

MINE = Annotated[bool, typer.Option("--mine", help="Your own key, instead of the project's.")]
ACCOUNT = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="The key of this person, for superadmins.",
        autocompletion=complete_accounts,
    ),
]
ANOTHER_USER = Annotated[
    bool,
    typer.Option("--another-user", help="Do it even if pipelines have folders of another user of the cluster."),
]
_MOST = 4096


async def list_(call: Invocation) -> int:
    """List the keys that jobs run with on the cluster, of projects and of people: never their secret halves.

    Example: `fasttrack credentials list`
    """
    async with call.store(any_project=True) as store:
        found = await store.credentials.all()
    if call.out.as_json:
        call.out.document({"credentials": [_json(credential) for credential in found]})
    elif found:
        rows = [
            [c.holder, "project" if c.project_id else "person", c.cluster_user, k.access_key, _state(k)]
            for c in found
            for k in c.keys
        ]
        call.out.table(["of", "kind", "cluster user", "access key", "state"], rows)
    else:
        call.out.say("All jobs run with the key of the settings: `fasttrack credentials set ACCESS_KEY` gives another.")
    return OK


async def set_(
    call: Invocation,
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="The public half.", show_default=False)],
    mine: MINE = False,
    account: ACCOUNT = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="Take the secret half from a file.")
    ] = None,
    another_user: ANOTHER_USER = False,
) -> int:
    """Have the project's jobs run with this key on the cluster, or rotate the key that they run with.

    The secret half is asked for, or read from standard input or a file; never from the command line, where other users
    could see it. The cluster is asked about the key before anything is changed. What runs under an older key goes on.

    Example: `fasttrack credentials set AKIAEXAMPLE --project vision < secret.txt`
    """
    whose = _whose(mine, account)
    require_keypair(access_key, "x")  # before anybody types the other half
    secret_key = _secret(access_key, from_file)
    require_keypair(access_key, secret_key)
    async with call.store(any_project=not whose.is_project) as store:
        credential = await store.credentials.put(whose, access_key, secret_key, another_user=another_user)
    if call.out.as_json:
        call.out.document(_json(credential))
    else:
        retiring = [key.access_key for key in credential.keys if key.retired_at is not None]
        kept = f"; kept until nothing runs under it: {', '.join(retiring)}" if retiring else ""
        call.out.say(f"jobs of {credential.holder} run with {access_key} of {credential.cluster_user}{kept}")
    return OK


async def remove(
    call: Invocation,
    access_key: Annotated[
        str | None,
        typer.Option(
            "--access-key",
            metavar="KEY",
            help="Forget this retiring key alone, as when the cluster does not take it any more: what still runs under it is "
            "given up, and tried again under the key in use.",
        ),
    ] = None,
    mine: MINE = False,
    account: ACCOUNT = None,
    another_user: ANOTHER_USER = False,
) -> int:
    """Forget the key that the project's jobs run with; the next ones run with that of the settings.

    Example: `fasttrack credentials remove --project vision`
    """
    whose = _whose(mine, account)
    async with call.store(any_project=not whose.is_project) as store:
        await store.credentials.delete(whose, access_key=access_key, another_user=another_user)
    if call.out.as_json:
        call.out.document({"access_key": access_key, "removed": True})
    else:
        call.out.say("removed the credential" if access_key is None else f"removed the key {access_key}")
    return OK


async def personal(
    call: Invocation,
    allow: Annotated[
        bool | None, typer.Option("--allow/--forbid", help="Change it; without either it is shown.", show_default=False)
    ] = None,
) -> int:
    """Show or change whether people's jobs in the project run with their own keys, where they have one.

    Example: `fasttrack credentials personal --allow --project vision`
    """
    async with call.store() as store:
        if allow is not None:
            await store.credentials.allow_personal(allowed=allow)
        is_allowed = await store.credentials.are_personal_allowed()
    if call.out.as_json:
        call.out.document({"personal_keys": is_allowed})
    else:
        whose = "their own key, if they have one" if is_allowed else "the project's key, whoever starts them"
        call.out.say(f"jobs of the project run with {whose}")
    return OK


def _whose(mine: bool, account: str | None) -> Whose:
    from ..store import Whose

    if mine and account is not None:
        raise InvalidInput("give --mine or --account, not both")
    return Whose(is_project=not mine and account is None, account=account)


def _secret(access_key: str, from_file: Path | None) -> str:
    import sys

    if from_file is not None:
        _, data = read_file(str(from_file))
    elif sys.stdin.isatty():
        return str(typer.prompt(f"Secret key of {access_key}", hide_input=True, err=True)).strip()
    else:
        data = sys.stdin.buffer.read(_MOST)
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise InvalidInput("the secret key is not text; nothing was stored") from None


def _state(key: Key) -> str:
    running = "1 session" if key.sessions == 1 else f"{key.sessions} sessions"
    return f"{'in use' if key.retired_at is None else 'retiring'}, {running}"


def _json(credential: Credential) -> dict[str, Any]:
    return {
        "holder": credential.holder,
        "kind": "project" if credential.project_id else "person",
        "site": credential.site,
        "cluster_user": credential.cluster_user,
        "keys": [
            {
                "access_key": key.access_key,
                "in_use": key.retired_at is None,
                "added_by": key.added_by,
                "created_at": key.created_at,
                "retired_at": key.retired_at,
                "sessions": key.sessions,
            }
            for key in credential.keys
        ],
    }


COMMANDS = (("list", list_), ("set", set_), ("remove", remove), ("personal", personal))
