"""`fasttrack operations`: texts of GraphQL that callers may send the hash of, and what some tokens may run at all."""

from __future__ import annotations

import hashlib
import json
import string
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fasttrack.errors import InvalidInput

from ..exits import OK
from ..files import read_file
from ..invocation import Invocation

if TYPE_CHECKING:
    from ..store import Operation, OperationText

_MOST_SHOWN = 100
EVERYWHERE = Annotated[
    bool, typer.Option("--everywhere", help="For callers of every project, instead of those of this one.")
]


async def add(
    call: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of GraphQL, or a JSON manifest of several.")],
    name: Annotated[str | None, typer.Option("--name", help="What people call it; by default as in the text.")] = None,
    everywhere: EVERYWHERE = False,
) -> int:
    """Store operations: each is checked against the schema and measured, and all are stored or none is.

    A manifest is the JSON that a compiler of clients writes: texts by their hash (Relay), or Apollo's format.

    Example: `fasttrack operations add portal/persisted-queries.json`
    """
    where, data = read_file(file)
    wanted = _texts(where, data, name)
    async with call.store(any_project=everywhere) as store:
        try:
            done = await store.operations.add(wanted, everywhere=everywhere)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error.message}") from None
    if call.out.as_json:
        shown = [{**_json(one.operation), "is_new": one.is_new, "cost": one.cost} for one in done]
        call.out.document({"operations": shown})
    else:
        for one in done:
            call.out.text(one.operation.sha256)
            said = "stored" if one.is_new else "was stored already"
            call.out.say(f"{one.operation.name}: {said}, costs {one.cost} without variables")
    return OK


async def list_(call: Invocation, everywhere: EVERYWHERE = False) -> int:
    """List the newest hundred stored operations of the project, or those for every project.

    Example: `fasttrack operations list --everywhere`
    """
    from ..view.words import moment

    async with call.store(any_project=everywhere) as store:
        found, has_more = await store.operations.newest(_MOST_SHOWN, everywhere=everywhere)
    if call.out.as_json:
        call.out.document({"operations": [_json(o) for o in found], "has_more": has_more})
    elif found:
        call.out.table(
            ("sha256", "name", "by", "stored"),
            [(o.sha256, o.name, o.created_by, moment(o.created_at)) for o in found],
        )
    else:
        call.out.say("There are no stored operations yet: `fasttrack operations add FILE` stores some.")
    return OK


async def remove(
    call: Invocation,
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="The hash, as `operations list` shows it.")],
    everywhere: EVERYWHERE = False,
) -> int:
    """Forget a stored operation: within five seconds nobody runs it by its hash.

    Example: `fasttrack operations remove 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`
    """
    if len(sha256) != 64 or not set(sha256) <= set(string.hexdigits):
        raise InvalidInput("SHA-256 has 64 digits from 0 to f; `fasttrack operations list` shows it")
    async with call.store(any_project=everywhere) as store:
        removed = await store.operations.remove(sha256.lower(), everywhere=everywhere)
    if call.out.as_json:
        call.out.document({"operation": _json(removed)})
    else:
        call.out.say(f"removed {removed.name}")
    return OK


def _texts(where: str, data: bytes, name: str | None) -> list[OperationText]:
    """The texts of a file, each with its name if it has one there."""
    from ..store import OperationText

    try:
        text = data.decode()
        manifest = json.loads(text) if text.lstrip()[:1] == "{" and text.rstrip()[-1:] == "}" else None
    except UnicodeDecodeError:
        raise InvalidInput(f"{where} is not text in UTF-8") from None
    except ValueError:
        manifest = None  # GraphQL may begin with a brace, too
    if manifest is None:
        return [OperationText(text, name)]
    if isinstance(manifest.get("operations"), list):
        found = [(o.get("body"), o.get("name"), o.get("id")) for o in manifest["operations"] if isinstance(o, dict)]
    else:
        found = [(body, None, key) for key, body in manifest.items()]
    if not found:
        raise InvalidInput(f"{where} has no operations in it")
    return [_checked(where, *one) for one in found]


def _checked(where: str, body: Any, name: Any, key: Any) -> OperationText:
    from ..store import OperationText

    if not isinstance(body, str) or key != _sha256(body):
        raise InvalidInput(
            f"{where}: {str(key)[:80]!r} is not SHA-256 of its text; have the compiler of your client write such hashes"
        )
    return OperationText(body, name if isinstance(name, str) else None)


def _sha256(text: str) -> str | None:
    """What a text is found by; `None`: it cannot be written down."""
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        return None


def _json(operation: Operation) -> dict[str, Any]:
    return {
        "sha256": operation.sha256,
        "name": operation.name,
        "text": operation.text,
        "created_by": operation.created_by,
        "created_at": operation.created_at,
    }


COMMANDS = (("add", add), ("list", list_), ("remove", remove))
