"""`fasttrack operations`: texts of GraphQL that callers may send the hash of, and what some tokens may run at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fasttrack.errors import InvalidInput

from ..exits import OK
from ..files import read_file
from ..invocation import Invocation

if TYPE_CHECKING:
    from fasttrack.db import Db
    from fasttrack.db.operations import StoredOperation

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
    from fasttrack.workflow.operations import hash_of, store_operation
    from fasttrack.workflow.owner import local_caller
    from fasttrack_api.graphql.measuring import Limits
    from fasttrack_api.graphql.schema import make_schema
    from fasttrack_api.graphql.stored import examine

    where, data = read_file(file)
    wanted = _texts(where, data, name)
    limits = Limits.of(call.settings)
    schema = make_schema(limits)._schema
    costs = {}
    for text, _ in wanted:
        try:
            found = examine(text, schema, limits)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {hash_of(text).hex()[:12]}: {error.message}") from None
        costs[text] = (found.cost, ", ".join(found.operations)[:200] or "query")
    async with call.opened(any_project=everywhere) as bench:

        async def work(db: Db) -> list[tuple[StoredOperation, bool]]:
            caller = await local_caller(db, bench.by)
            project = None if everywhere else bench.project
            return [
                await store_operation(db, caller, project, name=given or costs[text][1], text=text)
                for text, given in wanted
            ]

        stored = await bench.database.run(work)
    if call.out.as_json:
        shown = [{**_json(o), "is_new": is_new, "cost": costs[o.text][0]} for o, is_new in stored]
        call.out.document({"operations": shown})
    else:
        for operation, is_new in stored:
            call.out.text(operation.hash.hex())
            said = "stored" if is_new else "was stored already"
            call.out.say(f"{operation.name}: {said}, costs {costs[operation.text][0]} without variables")
    return OK


async def list_(call: Invocation, everywhere: EVERYWHERE = False) -> int:
    """List the newest hundred stored operations of the project, or those for every project.

    Example: `fasttrack operations list --everywhere`
    """
    from fasttrack.db.windows import Page, Window
    from fasttrack.workflow.operations import list_operations
    from fasttrack.workflow.owner import local_caller

    from ..view.words import moment

    async with call.opened(any_project=everywhere) as bench:

        async def read(db: Db) -> Page[StoredOperation]:
            caller = await local_caller(db, bench.by)
            return await list_operations(db, caller, None if everywhere else bench.project, Window(100))

        page = await bench.database.run(read)
    if call.out.as_json:
        call.out.document({"operations": [_json(o) for o in page.items], "has_more": page.has_more})
    elif page.items:
        call.out.table(
            ("sha256", "name", "by", "stored"),
            [(o.hash.hex(), o.name, o.created_by, moment(o.created_at)) for o in page.items],
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
    from fasttrack.workflow.operations import remove_operation
    from fasttrack.workflow.owner import local_caller

    try:
        key = bytes.fromhex(sha256)
    except ValueError:
        raise InvalidInput("SHA-256 has 64 digits from 0 to f; `fasttrack operations list` shows it") from None
    async with call.opened(any_project=everywhere) as bench:

        async def work(db: Db) -> StoredOperation:
            caller = await local_caller(db, bench.by)
            return await remove_operation(db, caller, None if everywhere else bench.project, key)

        removed = await bench.database.run(work)
    if call.out.as_json:
        call.out.document({"operation": _json(removed)})
    else:
        call.out.say(f"removed {removed.name}")
    return OK


def _texts(where: str, data: bytes, name: str | None) -> list[tuple[str, str | None]]:
    """The texts of a file, each with its name if it has one there."""
    try:
        text = data.decode()
        manifest = json.loads(text) if text.lstrip()[:1] == "{" and text.rstrip()[-1:] == "}" else None
    except UnicodeDecodeError:
        raise InvalidInput(f"{where} is not text in UTF-8") from None
    except ValueError:
        manifest = None  # GraphQL may begin with a brace, too
    if manifest is None:
        return [(text, name)]
    if isinstance(manifest.get("operations"), list):
        found = [(o.get("body"), o.get("name"), o.get("id")) for o in manifest["operations"] if isinstance(o, dict)]
    else:
        found = [(body, None, key) for key, body in manifest.items()]
    return [(_checked(where, body, key), given) for body, given, key in found]


def _checked(where: str, body: Any, key: Any) -> str:
    from fasttrack.workflow.operations import hash_of

    if not isinstance(body, str) or key != hash_of(body).hex():
        raise InvalidInput(
            f"{where}: {str(key)[:80]!r} is not SHA-256 of its text; have the compiler of your client write such hashes"
        )
    return body


def _json(operation: StoredOperation) -> dict[str, Any]:
    return {
        "sha256": operation.hash.hex(),
        "name": operation.name,
        "text": operation.text,
        "created_by": operation.created_by,
        "created_at": operation.created_at,
    }


COMMANDS = (("add", add), ("list", list_), ("remove", remove))
